// The hardware of a simulated meter: does what the core asks for, each thing after the time that it takes, in virtual
// time; its power can be cut at any instant, also in the middle of a write.
import { Abi, Action, Capability, Event, ResetCause, RtcStatus, StartField, StorageMap } from '../../as/abi/codes.ts';
import { VirtualClock, type VirtualTime } from '../../host/meter/clocks.ts';
import { dateOfNs, decodeRtcSet, encodeRtcTime, encodeTemperature, nsOfDate } from '../../host/meter/parts.ts';
import { CheckedCore, type CheckedModules, type CheckOptions } from './checked-core.ts';
import type { Prng } from './prng.ts';

const second = 1_000_000_000n;

/** A battery-backed clock that counts whole seconds with a frequency error of its own. */
export class DriftingRtc {
  #setNs = 0n;
  #setUtcNs = 0n;
  stopped = true;

  constructor(
    readonly time: VirtualTime,
    public frequencyPpb: number,
    /** Whether setting begins a new second, or keeps the phase below a second. */
    readonly phaseNs = 0n,
  ) {}

  #utcNs(): bigint {
    const elapsed = this.time.nowNs - this.#setNs;
    return this.#setUtcNs + elapsed + (elapsed * BigInt(Math.round(this.frequencyPpb))) / second;
  }

  read(): Uint8Array {
    return encodeRtcTime({
      status: this.stopped ? RtcStatus.Stopped : RtcStatus.Running,
      date: dateOfNs(this.#utcNs()),
    });
  }

  set(payload: Uint8Array): void {
    this.#setNs = this.time.nowNs;
    this.#setUtcNs = nsOfDate(decodeRtcSet(payload)) + this.phaseNs;
    this.stopped = false;
  }
}

export interface DeviceOptions {
  readonly ownNetwork: boolean;
  readonly tickHz: number;
  readonly maxFrequencyErrorPpb: number;
  readonly buildUnixSeconds: bigint;
  readonly entropy: boolean;
  /** Default: without room for records and tariffs. */
  readonly storageBytes?: number;
  /** What the application's registers give: the payload of `Event.Readings`; undefined where it does not answer. */
  readonly readings?: () => Uint8Array | undefined;
  readonly rtc?: DriftingRtc;
  /** Measures thousandths of a degree Celsius; undefined where it gives nothing. */
  readonly thermometer?: () => number | undefined;
  readonly check?: Partial<CheckOptions>;
}

export class Device {
  core: CheckedCore | undefined;
  clock: VirtualClock;
  readonly storage: Uint8Array;
  /** Frequency error of the oscillator now, ppb. */
  frequencyPpb = 0;
  boots = 0;
  handled = 0;
  writes = 0;
  /** Cuts the power in the middle of a write: how many of its bytes are written, or undefined. */
  tear: (write: number, offset: number, bytes: Uint8Array) => number | undefined = () => undefined;
  /** What a read of the storage gives, of the bytes that are there; none when it fails. */
  read: (offset: number, bytes: Uint8Array) => Uint8Array = (_, bytes) => bytes;
  /** How long a write takes, ns. */
  writeNs = 5_000_000n;
  /** How long after the real-time clock was set the core is told, ns. */
  rtcDoneNs = 500_000n;
  /** Whether the storage reports that a write failed. */
  fail: (offset: number, bytes: Uint8Array) => boolean = () => false;
  onMessage: (channel: number, message: Uint8Array) => void = () => {};
  onFrame: (bytes: Uint8Array, sent: () => void) => void = () => {};
  /** Told after each event with the core's time of it. */
  onHandled: (event: number) => void = () => {};
  #generation = 0;
  #cancelWake = () => {};
  #writing: { offset: number; bytes: Uint8Array } | undefined;
  readonly #queue: { event: number; tick: bigint; payload: Uint8Array }[] = [];
  #draining = false;

  constructor(
    readonly time: VirtualTime,
    readonly modules: CheckedModules,
    readonly options: DeviceOptions,
    readonly random: Prng,
  ) {
    this.clock = new VirtualClock(time, { tickHz: options.tickHz });
    this.storage = new Uint8Array(options.storageBytes ?? StorageMap.FullBytes).fill(0xff);
  }

  /** Where it is being written now. */
  get writingAt(): number | undefined {
    return this.#writing?.offset;
  }

  get running(): boolean {
    return this.core !== undefined;
  }

  setFrequency(ppb: number): void {
    this.frequencyPpb = ppb;
    this.clock.setFrequency(ppb);
  }

  boot(cause = ResetCause.PowerOn): void {
    this.#generation++;
    this.boots++;
    this.clock = new VirtualClock(this.time, { tickHz: this.options.tickHz, frequencyPpb: this.frequencyPpb });
    this.core = new CheckedCore(this.modules, { large: this.options.ownNetwork, ...this.options.check });
    this.feed(Event.Start, this.#startPayload(cause));
  }

  powerCut(): void {
    if (this.#writing !== undefined) {
      const { offset, bytes } = this.#writing;
      this.#writeSome(offset, bytes, this.random.between(0, bytes.length));
    }
    this.#generation++;
    this.#cancelWake();
    this.#writing = undefined;
    this.#queue.length = 0;
    this.core = undefined;
  }

  // A byte that was being written when power failed holds anything.
  #writeSome(offset: number, bytes: Uint8Array, count: number): void {
    this.storage.set(bytes.subarray(0, count), offset);
    if (count < bytes.length && this.random.chance(0.5)) this.storage[offset + count] = this.random.u32();
  }

  feed(event: number, payload: Uint8Array = new Uint8Array(0), tick = this.clock.nowTicks()): void {
    if (this.core === undefined) return;
    this.#queue.push({ event, tick, payload });
    if (this.#draining) return;
    this.#draining = true;
    try {
      for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) this.#handle(next);
    } finally {
      this.#draining = false;
    }
  }

  /** Asks for the time: the payload of `Action.TimeNow`. */
  ask(): Uint8Array {
    if (this.core === undefined) throw new Error('the meter is off');
    const actions = this.core.handle(Event.TimeAsk, this.clock.nowTicks());
    this.handled++;
    const found = actions.find(({ kind }) => kind === Action.TimeNow);
    if (found === undefined) throw new Error('no time');
    const generation = this.#generation;
    for (const { kind, payload } of actions) this.#do(kind, payload, generation);
    return found.payload;
  }

  #handle({ event, tick, payload }: { event: number; tick: bigint; payload: Uint8Array }): void {
    if (this.core === undefined) return;
    this.handled++;
    const actions = this.core.handle(event, tick, payload);
    const generation = this.#generation;
    for (const action of actions) {
      if (generation !== this.#generation) return;
      this.#do(action.kind, action.payload, generation);
    }
    this.onHandled(event);
  }

  #after(ns: bigint, generation: number, then: () => void): void {
    this.time.schedule(this.time.nowNs + ns, () => {
      if (generation === this.#generation) then();
    });
  }

  #do(kind: number, payload: Uint8Array, generation: number): void {
    const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
    const { rtc, thermometer } = this.options;
    switch (kind) {
      case Action.FrameSend:
        this.onFrame(payload, () => {
          // A driver may stamp a frame up to a millisecond before its last byte has left, never after.
          const early = BigInt(this.random.below(Math.ceil(this.options.tickHz / 1000)));
          const now = this.clock.nowTicks();
          if (generation === this.#generation) this.feed(Event.FrameSent, undefined, now > early ? now - early : 0n);
        });
        break;
      case Action.Wake:
        this.#cancelWake();
        this.#cancelWake = this.clock.at(view.getBigUint64(0, true), () => {
          if (generation === this.#generation) this.feed(Event.Wake);
        });
        break;
      case Action.StorageRead: {
        const offset = view.getUint32(0, true);
        const length = view.getUint32(4, true);
        this.#after(1_000_000n, generation, () =>
          this.feed(
            Event.StorageData,
            Buffer.concat([payload.subarray(0, 4), this.read(offset, this.storage.slice(offset, offset + length))]),
          ),
        );
        break;
      }
      case Action.StorageWrite:
        this.#write(view.getUint32(0, true), payload.slice(4), generation);
        break;
      case Action.RtcRead:
        this.#after(500_000n, generation, () =>
          this.feed(Event.RtcTime, rtc?.read() ?? encodeRtcTime({ status: RtcStatus.Absent })),
        );
        break;
      case Action.RtcSet:
        this.#after(500_000n, generation, () => {
          rtc?.set(payload);
          this.#after(this.rtcDoneNs, generation, () =>
            this.feed(Event.RtcDone, Uint8Array.of(rtc === undefined ? 1 : 0)),
          );
        });
        break;
      case Action.TemperatureRead:
        this.#after(500_000n, generation, () => this.feed(Event.Temperature, encodeTemperature(thermometer?.())));
        break;
      case Action.ReadingsRead: {
        const tick = this.clock.nowTicks();
        const readings = this.options.readings?.();
        if (readings === undefined) break;
        this.#after(500_000n, generation, () => this.feed(Event.Readings, readings, tick));
        break;
      }
      case Action.Restart:
        this.powerCut();
        this.boot(ResetCause.Software);
        break;
      case Action.Message:
        this.onMessage(payload[0]!, payload.slice(1));
        break;
    }
  }

  #write(offset: number, bytes: Uint8Array, generation: number): void {
    const index = this.writes++;
    const torn = this.tear(index, offset, bytes);
    if (torn !== undefined) {
      this.#writeSome(offset, bytes, torn);
      this.powerCut();
      return;
    }
    this.#writing = { offset, bytes };
    this.#after(this.writeNs, generation, () => {
      this.#writing = undefined;
      const done = new Uint8Array(5);
      if (this.fail(offset, bytes)) done[4] = 1;
      else this.storage.set(bytes, offset);
      new DataView(done.buffer).setUint32(0, offset, true);
      this.feed(Event.StorageDone, done);
    });
  }

  #startPayload(cause: ResetCause): Uint8Array {
    const { ownNetwork, rtc, thermometer, tickHz, maxFrequencyErrorPpb, buildUnixSeconds, entropy, readings } =
      this.options;
    const payload = new Uint8Array(StartField.Names + 2 + 4);
    const view = new DataView(payload.buffer);
    view.setUint16(StartField.AbiVersion, Abi.Version, true);
    payload[StartField.ResetCause] = cause;
    payload[StartField.Capabilities] =
      Capability.Storage |
      (ownNetwork ? Capability.OwnNetwork : 0) |
      (rtc === undefined ? 0 : Capability.Rtc) |
      (thermometer === undefined ? 0 : Capability.Thermometer) |
      (readings === undefined ? 0 : Capability.Registers);
    view.setUint32(StartField.TickHz, tickHz, true);
    view.setUint32(StartField.MaxFrequencyErrorPpb, maxFrequencyErrorPpb, true);
    view.setUint32(StartField.StorageBytes, this.storage.length, true);
    view.setBigUint64(StartField.BuildUnixSeconds, buildUnixSeconds, true);
    if (entropy) payload.set(this.random.bytes(32), StartField.Entropy);
    payload.set([3, 0x73, 0x69, 0x6d, 1, 0x31], StartField.Names);
    return payload;
  }
}
