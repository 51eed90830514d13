// A meter in software: core.wasm in this process, with clock, entropy, storage, real-time clock and line from outside.
// It does what firmware does: carries bytes, ticks and entropy to the core, does the actions it asks for, in their
// order, and reports each result as one event, never from within the event that asked.
// A core that traps is thrown away and a new one started, as a microcontroller restarts.
// With a clock and storage that answer at once everything happens synchronously, so years pass in seconds.

import { createHash } from 'node:crypto';
import type { ClockStatus } from '../../as/abi/codes.ts';
import {
  Abi,
  Action,
  Capability,
  Event,
  ResetCause,
  RtcStatus,
  SlotFlag,
  SlotImageField,
  StartField,
  TimeFlag,
  TimeNowField,
  TrapCode,
} from '../../as/abi/codes.ts';
import { type AesWay, Core, type CoreAction, CoreError, type CoreModule, loadCoreModule } from '../core/core.ts';
import type { TraceSink } from '../core/trace.ts';
import { FrameSplitter } from '../link/frame-splitter.ts';
import { ByteReader } from '../link/message-bytes.ts';
import { type Budget, readBudget } from '../link/messages.ts';
import type { LinkTransport } from '../link/transport.ts';
import { systemTicks } from './clocks.ts';
import {
  type Cancel,
  decodeRtcSet,
  decodeTariffSwitch,
  encodeReadings,
  encodeRtcTime,
  encodeTemperature,
  type MeterClock,
  type MeterRtc,
  type MeterStorage,
  type TariffSwitch,
} from './parts.ts';
import type { BootChoice, MeterSlots } from './slots.ts';

/** A meter was asked for what it cannot do. */
export class MeterError extends Error {
  constructor(
    readonly code: 'meter-running' | 'meter-stopped' | 'meter-network' | 'meter-options',
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = 'MeterError';
  }
}

/** The meter's end of a serial line. */
export interface MeterLine {
  /**
   * Sends bytes; calls back when the last one has left, with the meter's tick of that, or one before it: nobody may
   * have had the last byte earlier. Without a tick it is that of the callback.
   */
  write(bytes: Uint8Array, sent: (tick?: bigint) => void): void;
  /** Where received bytes go, in pieces of any length, with the meter's tick at their arrival where it is known. */
  onData(listener: (bytes: Uint8Array, tick?: bigint) => void): void;
}

/** A transport as the line of a meter whose clock is a `SystemClock`: their ticks are the same. */
export function lineOf(transport: LinkTransport): MeterLine {
  return {
    // The peer may have the bytes before this process is told that they left.
    write: (bytes, sent) => {
      const tick = systemTicks();
      void transport.write(bytes).then(() => sent(tick));
    },
    onData: (listener) => void transport.on('data', (bytes, arrivedNs) => listener(bytes, systemTicks(arrivedNs))),
  };
}

export interface SoftwareMeterOptions {
  readonly clock: MeterClock;
  /** 32 random bytes for each start; left out for a board without an entropy source. */
  readonly entropy?: () => Uint8Array;
  readonly storage?: MeterStorage;
  readonly rtc?: MeterRtc;
  /** Measures the temperature of the oscillator, thousandths of a degree Celsius; undefined where it gives nothing. */
  readonly thermometer?: () => number | undefined;
  /** Reads the application's registers, at most four, in the order and units of the settings. */
  readonly registers?: () => bigint[] | Promise<bigint[]>;
  /** Takes the tariff that applies from now on: at each switch, and where the time becomes good enough to bill by or ceases to be. */
  readonly onTariff?: (tariff: TariffSwitch) => void;
  /** The line to a gateway; or `onMessage`, for a board with a network of its own. */
  readonly line?: MeterLine;
  /** Takes what the meter sends when it has a network of its own; answers go to `deliver`. */
  readonly onMessage?: (channel: number, message: Uint8Array) => void;
  /** Largest frequency error of the oscillator over its life, parts per billion. Default 100,000. */
  readonly maxFrequencyErrorPpb?: number;
  /** Unix seconds: no time before it is believed. */
  readonly buildUnixSeconds: number;
  /** Names that the meter reports; at most 31 bytes each. */
  readonly board?: string;
  readonly version?: string;
  readonly source?: CoreModule;
  /** How the core computes AES. */
  readonly aes?: AesWay | undefined;
  /** Slots whose images are cores: what runs is what their bootloader chooses, in the place of `source`. */
  readonly slots?: MeterSlots;
  /** Is told every event and action. These hold secrets. */
  readonly trace?: TraceSink;
  /** Told when the core trapped; it has been restarted by then, unless it trapped in its first event. */
  readonly onTrap?: (trap: Trap) => void;
}

export interface Trap {
  readonly code: TrapCode;
  /** The event in which it happened. */
  readonly event: Event;
  readonly restarted: boolean;
  readonly error: CoreError;
}

/** The time that a meter shows. */
export interface MeterTime {
  readonly status: ClockStatus;
  /** Nanoseconds since 1970 without leap seconds; meaningless when unsynchronised. */
  readonly utcNs: bigint;
  /** An inserted leap second, 23:59:60, is passing: `utcNs` repeats 23:59:59. */
  readonly leapSecond: boolean;
  /** Hard bound on the error, ns. */
  readonly boundNs: bigint;
  /** Expanded uncertainty (k = 2), ns. */
  readonly uncertaintyNs: bigint;
  /** What that uncertainty is made of, and the frequency; meaningless when unsynchronised. */
  readonly budget: Budget;
  /** ns since the last authenticated sample that moved the clock; undefined before the first. */
  readonly sampleAgeNs: bigint | undefined;
  /** How often registration periods became invalid since the start, modulo 256. */
  readonly invalidations: number;
  /** The last authenticated sample is older than the rules allow: the time is not to be billed by. */
  readonly holdoverEnded: boolean;
}

interface QueuedEvent {
  readonly event: Event;
  readonly tick: bigint;
  readonly payload: Uint8Array;
}

const noPayload = new Uint8Array(0);

export class SoftwareMeter {
  readonly #options: SoftwareMeterOptions;
  #source: CoreModule;
  #chosen: BootChoice | undefined;
  #core: Core | undefined;
  /** Counts instances of the core: an answer to a question of an earlier one is dropped. */
  #generation = 0;
  #queue: QueuedEvent[] = [];
  #draining = false;
  #cancelWake: Cancel = () => {};
  readonly #pendingWrites = new Set<Promise<void>>();
  readonly #splitter: FrameSplitter;
  #traps = 0;

  constructor(options: SoftwareMeterOptions) {
    if ((options.line === undefined) === (options.onMessage === undefined)) {
      throw new MeterError('meter-options', 'a meter has either a line to a gateway or a network of its own');
    }
    this.#options = options;
    this.#source = options.slots === undefined ? (options.source ?? loadCoreModule()) : noSource;
    this.#splitter = new FrameSplitter((frame, firstTick, lastTick) => {
      const payload = new Uint8Array(8 + frame.length);
      new DataView(payload.buffer).setBigUint64(0, firstTick, true);
      payload.set(frame, 8);
      this.#queue.push({ event: Event.Frame, tick: lastTick, payload });
    });
    options.line?.onData((bytes, tick = options.clock.nowTicks()) => {
      if (this.#core === undefined) return;
      this.#splitter.push(bytes, tick);
      this.#drain();
    });
  }

  get running(): boolean {
    return this.#core !== undefined;
  }

  /** How often the core trapped since this object was made. */
  get traps(): number {
    return this.#traps;
  }

  /** The running core: for simulations that look at more of it than a meter tells. */
  get core(): Core | undefined {
    return this.#core;
  }

  /** Switches the meter on. */
  start(cause: ResetCause = ResetCause.PowerOn): void {
    if (this.#core !== undefined) {
      throw new MeterError('meter-running', 'the meter runs already; stop it before starting it again');
    }
    this.#boot(cause, TrapCode.None);
    this.#drain();
  }

  /** Switches the meter off and waits until what it was writing is in its storage. */
  async stop(): Promise<void> {
    this.powerCut();
    await Promise.all(this.#pendingWrites);
  }

  /** Takes the power away: nothing more is sent, stored or reported, from this moment on. */
  powerCut(): void {
    this.#generation++;
    this.#cancelWake();
    this.#core = undefined;
    this.#queue = [];
    this.#splitter.reset();
  }

  /** Asks the meter for its time at this moment. */
  time(): MeterTime {
    const core = this.#running();
    const tick = this.#options.clock.nowTicks();
    const answer = this.#handle(core, { event: Event.TimeAsk, tick, payload: noPayload });
    const now = answer?.find(({ kind }) => kind === Action.TimeNow)?.payload;
    if (now === undefined || now.length < TimeNowField.Bytes) {
      throw new MeterError('meter-stopped', 'the meter gave no time: its core trapped and starts anew');
    }
    this.#perform(answer ?? []);
    const reader = new ByteReader('TimeNow', now);
    const age = reader.i64(TimeNowField.SampleAgeNs);
    return {
      status: reader.u8(TimeNowField.Status),
      utcNs: reader.i64(TimeNowField.UtcNs),
      leapSecond: (reader.u8(TimeNowField.Flags) & TimeFlag.LeapSecond) !== 0,
      boundNs: reader.u64(TimeNowField.BoundNs),
      uncertaintyNs: reader.u64(TimeNowField.UncertaintyNs),
      budget: readBudget(reader, TimeNowField.Budget),
      sampleAgeNs: age < 0n ? undefined : age,
      invalidations: reader.u8(TimeNowField.Invalidations),
      holdoverEnded: (reader.u8(TimeNowField.Flags) & TimeFlag.HoldoverEnded) !== 0,
    };
  }

  /** Hands a message to a meter with a network of its own. Dropped while the meter is off, as a network would. */
  deliver(channel: number, message: Uint8Array): void {
    if (this.#options.onMessage === undefined) {
      throw new MeterError('meter-network', 'this meter has a line to a gateway; messages come as frames');
    }
    if (this.#core === undefined) return;
    const payload = new Uint8Array(1 + message.length);
    payload[0] = channel;
    payload.set(message, 1);
    this.#feed(Event.Message, this.#options.clock.nowTicks(), payload);
  }

  /** The application's transaction begins or ends: corrections of the clock wait meanwhile, as the settings say. */
  transaction(runs: boolean): void {
    this.#running();
    this.#feed(Event.Transaction, this.#options.clock.nowTicks(), Uint8Array.of(runs ? 1 : 0));
  }

  /** An operator accepts the correction that the meter refused. */
  acceptCorrection(): void {
    this.#running();
    this.#feed(Event.CorrectionAccept, this.#options.clock.nowTicks(), noPayload);
  }

  #running(): Core {
    if (this.#core === undefined) throw new MeterError('meter-stopped', 'the meter is off; start it first');
    return this.#core;
  }

  #boot(cause: ResetCause, trapCode: TrapCode): void {
    this.#generation++;
    this.#cancelWake();
    this.#queue = [];
    this.#splitter.reset();
    this.#options.trace?.reset();
    this.#core = this.#load();
    this.#queue.push({
      event: Event.Start,
      tick: this.#options.clock.nowTicks(),
      payload: this.#startPayload(cause, trapCode),
    });
  }

  #load(): Core {
    const { slots } = this.#options;
    const { aes } = this.#options;
    if (slots === undefined) return new Core(this.#source, { aes });
    for (;;) {
      this.#chosen = slots.boot();
      try {
        this.#source = coreOf(this.#chosen.image, this.#source);
        return new Core(this.#source, { aes });
      } catch (error) {
        // An image that does not even begin is given up as one that traps.
        if (!this.#isTrial()) throw error;
      }
    }
  }

  #isTrial(): boolean {
    return this.#chosen !== undefined && (this.#chosen.flags & SlotFlag.Trial) !== 0;
  }

  #startPayload(cause: ResetCause, trapCode: TrapCode): Uint8Array {
    const { clock, rtc, storage, thermometer, registers, entropy, onMessage, slots } = this.#options;
    const encoder = new TextEncoder();
    const names = [this.#options.board ?? 'software', this.#options.version ?? ''].map((name) => {
      const text = encoder.encode(name);
      if (text.length > 31) throw new MeterError('meter-options', `"${name}" is longer than 31 bytes`);
      return text;
    });
    const payload = new Uint8Array(StartField.Names + names.reduce((sum, text) => sum + 1 + text.length, 0));
    const view = new DataView(payload.buffer);
    view.setUint16(StartField.AbiVersion, Abi.Version, true);
    payload[StartField.ResetCause] = cause;
    payload[StartField.Capabilities] =
      (onMessage === undefined ? 0 : Capability.OwnNetwork) |
      (rtc === undefined ? 0 : Capability.Rtc) |
      (storage === undefined ? 0 : Capability.Storage) |
      (thermometer === undefined ? 0 : Capability.Thermometer) |
      (registers === undefined ? 0 : Capability.Registers);
    view.setUint32(StartField.TickHz, clock.tickHz, true);
    view.setUint32(StartField.MaxFrequencyErrorPpb, this.#options.maxFrequencyErrorPpb ?? 100_000, true);
    view.setUint32(StartField.StorageBytes, storage?.bytes ?? 0, true);
    view.setBigUint64(StartField.BuildUnixSeconds, BigInt(this.#options.buildUnixSeconds), true);
    payload.set(this.#source.sha256, StartField.CoreSha256);
    if (entropy !== undefined) {
      const random = entropy();
      if (random.length !== 32) {
        throw new MeterError('meter-options', `entropy gave ${random.length} bytes, expected 32`);
      }
      payload.set(random, StartField.Entropy);
    }
    view.setUint32(StartField.TrapCode, trapCode, true);
    if (slots !== undefined && this.#chosen !== undefined) {
      view.setUint32(StartField.ImageVersion, this.#chosen.version, true);
      view.setUint32(StartField.SlotBytes, slots.slotBytes, true);
      payload[StartField.Slot] = this.#chosen.slot;
      payload[StartField.SlotFlags] = this.#chosen.flags;
    }
    let at: number = StartField.Names;
    for (const text of names) {
      payload[at] = text.length;
      payload.set(text, at + 1);
      at += 1 + text.length;
    }
    return payload;
  }

  #feed(event: Event, tick: bigint, payload: Uint8Array): void {
    this.#queue.push({ event, tick, payload });
    this.#drain();
  }

  #drain(): void {
    if (this.#draining) return;
    this.#draining = true;
    try {
      while (this.#core !== undefined) {
        const next = this.#queue.shift();
        if (next === undefined) return;
        const actions = this.#handle(this.#core, next);
        if (actions !== undefined) this.#perform(actions);
      }
    } finally {
      this.#draining = false;
    }
  }

  /** The actions of one event; undefined when the core trapped in it. */
  #handle(core: Core, { event, tick, payload }: QueuedEvent): CoreAction[] | undefined {
    this.#options.trace?.event(event, tick, payload);
    let actions: CoreAction[];
    try {
      actions = core.handle(event, tick, payload);
    } catch (error) {
      if (!(error instanceof CoreError) || error.code !== 'core-trap') throw error;
      this.#trapped(event, error);
      return undefined;
    }
    this.#options.trace?.actions(actions);
    return actions;
  }

  #trapped(event: Event, error: CoreError): void {
    this.#options.trace?.trap();
    this.#traps++;
    const code = trapCode(error.cause);
    // A core that cannot even start would restart for ever, but not one that is tried.
    const restarted = event !== Event.Start || this.#isTrial();
    if (restarted) this.#boot(ResetCause.Trap, code);
    else this.powerCut();
    this.#options.onTrap?.({ code, event, restarted, error });
    this.#drain();
  }

  #perform(actions: readonly CoreAction[]): void {
    const generation = this.#generation;
    for (const { kind, payload } of actions) {
      if (generation !== this.#generation) return;
      this.#do(kind, payload, generation);
    }
  }

  #do(kind: Action, payload: Uint8Array, generation: number): void {
    const { clock, rtc, storage, thermometer, registers, line, onMessage, onTariff, slots } = this.#options;
    const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
    const answer = (event: Event, body: Uint8Array, tick = clock.nowTicks()): void => {
      if (generation === this.#generation) this.#feed(event, tick, body);
    };
    switch (kind) {
      case Action.FrameSend:
        line?.write(payload, (tick) => answer(Event.FrameSent, noPayload, tick));
        break;
      case Action.Wake: {
        this.#cancelWake();
        this.#cancelWake = clock.at(view.getBigUint64(0, true), () => answer(Event.Wake, noPayload));
        break;
      }
      case Action.StorageRead: {
        const offset = view.getUint32(0, true);
        settle(
          () => storage?.read(offset, view.getUint32(4, true)) ?? noPayload,
          (bytes) => answer(Event.StorageData, withOffset(offset, bytes)),
          () => answer(Event.StorageData, withOffset(offset, noPayload)),
        );
        break;
      }
      case Action.StorageWrite: {
        const offset = view.getUint32(0, true);
        const done = settle(
          () => {
            if (storage === undefined) throw new MeterError('meter-options', 'this meter has no storage');
            return storage.write(offset, payload.slice(4));
          },
          () => answer(Event.StorageDone, withOffset(offset, Uint8Array.of(0))),
          () => answer(Event.StorageDone, withOffset(offset, Uint8Array.of(1))),
        );
        if (done !== undefined) {
          this.#pendingWrites.add(done);
          void done.then(() => this.#pendingWrites.delete(done));
        }
        break;
      }
      case Action.RtcRead:
        settle(
          () => rtc?.read() ?? absentRtc,
          (reading) => answer(Event.RtcTime, encodeRtcTime(reading)),
          () => answer(Event.RtcTime, encodeRtcTime(absentRtc)),
        );
        break;
      case Action.RtcSet:
        settle(
          () => {
            if (rtc === undefined) throw new MeterError('meter-options', 'this meter has no real-time clock');
            rtc.set(decodeRtcSet(payload));
          },
          () => answer(Event.RtcDone, Uint8Array.of(0)),
          () => answer(Event.RtcDone, Uint8Array.of(1)),
        );
        break;
      case Action.TemperatureRead:
        settle(
          () => thermometer?.(),
          (milliCelsius) => answer(Event.Temperature, encodeTemperature(milliCelsius)),
          () => answer(Event.Temperature, encodeTemperature(undefined)),
        );
        break;
      case Action.ReadingsRead: {
        const tick = clock.nowTicks();
        // Registers that cannot be read give no answer: the record says that there is none.
        settle(
          () => registers?.() ?? [],
          (values) => answer(Event.Readings, encodeReadings(values), tick),
          () => {},
        );
        break;
      }
      case Action.Restart:
        this.#boot(ResetCause.Software, TrapCode.None);
        break;
      case Action.TariffSwitch:
        onTariff?.(decodeTariffSwitch(payload));
        break;
      case Action.SlotErase:
      case Action.SlotWrite:
      case Action.SlotCommit:
      case Action.SlotConfirm:
        settle(
          () => {
            if (slots === undefined) throw new MeterError('meter-options', 'this meter has no slots');
            changeSlot(slots, kind, payload);
          },
          () => answer(Event.SlotDone, Uint8Array.of(0)),
          () => answer(Event.SlotDone, Uint8Array.of(1)),
        );
        break;
      case Action.SlotRead: {
        const offset = view.getUint32(0, true);
        const bytes = slots?.read(offset, view.getUint32(4, true)) ?? noPayload;
        answer(Event.SlotData, withOffset(offset, bytes));
        break;
      }
      case Action.Message:
        onMessage?.(payload[0] ?? 0, payload.slice(1));
        break;
      default:
        break;
    }
  }
}

const noSource: CoreModule = {
  module: new WebAssembly.Module(Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0)),
  sha256: new Uint8Array(32),
};

/** The core that an image is: `before` where it is the same. What follows the module in it is what a slot is filled up with. */
function coreOf(image: Uint8Array, before: CoreModule): CoreModule {
  const bytes = withoutFill(image);
  const sha256 = new Uint8Array(createHash('sha256').update(bytes).digest());
  return Buffer.compare(sha256, before.sha256) === 0 ? before : { module: new WebAssembly.Module(bytes), sha256 };
}

/** A module ends with a section; 0xff begins none, so up to three of them are fill. */
function withoutFill(image: Uint8Array): Uint8Array<ArrayBuffer> {
  const copy = Uint8Array.from(image);
  for (let end = copy.length; end > copy.length - 4; end--) {
    const bytes = copy.subarray(0, end);
    if (WebAssembly.validate(bytes)) return bytes.slice();
  }
  return copy;
}

function changeSlot(slots: MeterSlots, kind: Action, payload: Uint8Array): void {
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  const offset = payload.length < 4 ? 0 : view.getUint32(0, true);
  if (kind === Action.SlotErase) slots.erase(offset, view.getUint32(4, true));
  else if (kind === Action.SlotWrite) {
    if (!slots.write(offset, payload.subarray(4))) throw new MeterError('meter-options', 'the slot did not take it');
  } else if (kind === Action.SlotCommit) {
    slots.commit({
      length: view.getUint32(SlotImageField.Length, true),
      version: view.getUint32(SlotImageField.Version, true),
      hash: payload.slice(SlotImageField.Hash, SlotImageField.Bytes),
    });
  } else slots.confirm();
}

const absentRtc = { status: RtcStatus.Absent };

/** Does something that may answer now or later, and calls back at once where it answers at once. */
function settle<T>(
  act: () => T | Promise<T>,
  done: (result: T) => void,
  failed: () => void,
): Promise<void> | undefined {
  let result: T | Promise<T>;
  try {
    result = act();
  } catch {
    failed();
    return undefined;
  }
  if (result instanceof Promise) return result.then(done, failed);
  done(result);
  return undefined;
}

/** An event's payload that begins with a u32 offset. */
function withOffset(offset: number, bytes: Uint8Array): Uint8Array {
  const payload = new Uint8Array(4 + bytes.length);
  new DataView(payload.buffer).setUint32(0, offset, true);
  payload.set(bytes, 4);
  return payload;
}

/** What a trap of node's engine is called in firmware. */
export function trapCode(cause: unknown): TrapCode {
  const message = cause instanceof Error ? cause.message : '';
  const codes: readonly [RegExp, TrapCode][] = [
    [/memory access out of bounds/, TrapCode.OutOfBounds],
    [/divide result unrepresentable/, TrapCode.IntegerOverflow],
    [/(divide|division|remainder) by zero/, TrapCode.DivisionByZero],
    [/float unrepresentable/, TrapCode.InvalidConversion],
    [/unreachable/, TrapCode.Unreachable],
    [/table index|function signature/, TrapCode.IndirectCall],
    [/call stack/, TrapCode.StackExhausted],
  ];
  return codes.find(([pattern]) => pattern.test(message))?.[1] ?? TrapCode.None;
}
