// A meter, its network or its link, and its time servers in virtual time, watched: the bound covers the error, the time
// never runs backwards without an event, nothing is sent twice, wake-ups are few.
import { ClockStatus, Message, MeterEvent, StorageMap, TimeNowField } from '../../as/abi/codes.ts';
import type { Info, MeterEventMessage, MeterMessage, Time } from '../../host/link/messages.ts';
import { VirtualTime } from '../../host/meter/clocks.ts';
import { linkKeyOf } from '../../host/provision/meter-keys.ts';
import { encodeSeedSlot, encodeSettings, type MeterSettings } from '../../host/provision/settings-block.ts';
import { withItems } from '../core/tariff-settings.ts';
import { type CheckedModules, type CheckOptions, Violation } from './checked-core.ts';
import { Device, DriftingRtc } from './device.ts';
import { GatewayLine } from './line.ts';
import { Prng } from './prng.ts';
import { type Conditions, GatewaySockets, goodConditions, second } from './sockets.ts';

/** 2026-11-22 00:00 UTC. */
const startUtcNs = 1_795_305_600n * second;

export interface WorldOptions {
  readonly seed: number;
  readonly modules: CheckedModules;
  /** The gateway's end of a line, where the meter's core is none that could be one. */
  readonly gatewayModules?: CheckedModules;
  /** Bits a second of a serial line to a gateway; without it, the board has a network of its own. */
  readonly baud?: number;
  readonly tickHz?: number;
  readonly maxFrequencyErrorPpb?: number;
  readonly rtc?: { readonly frequencyPpb: number; readonly phaseNs?: bigint };
  /** Measures thousandths of a degree Celsius; undefined where it gives nothing. */
  readonly thermometer?: () => number | undefined;
  readonly entropy?: boolean;
  /** Default: without room for records and tariffs. */
  readonly storageBytes?: number;
  /** The payload of `Event.Readings`; undefined where the application does not answer. */
  readonly readings?: () => Uint8Array | undefined;
  /** More items of the settings. */
  readonly items?: readonly Uint8Array[];
  readonly startUtcNs?: bigint;
  /** How long before the start of the world the software was built. */
  readonly buildAgeSeconds?: bigint;
  readonly settings?: Partial<MeterSettings>;
  readonly check?: Partial<CheckOptions>;
  /** Most events in a second of virtual time that the meter may need; the probes of the test are not counted. */
  readonly eventsPerSecond?: number;
}

export interface Shown {
  readonly status: ClockStatus;
  readonly utcNs: bigint;
  readonly boundNs: bigint;
  readonly uncertaintyNs: bigint;
}

export class World {
  readonly time = new VirtualTime();
  readonly random: Prng;
  readonly device: Device;
  readonly rtc: DriftingRtc | undefined;
  readonly sockets: GatewaySockets;
  readonly line: GatewayLine | undefined;
  readonly events: MeterEventMessage[] = [];
  readonly rootKey: Uint8Array;
  /** What comes of records and tariffs: entries, heads, answers to commands. */
  onRecords: (message: MeterMessage) => void = () => {};
  readonly startUtcNs: bigint;
  info: Info | undefined;
  report: Time | undefined;
  probes = 0;
  /** Answers to `Message.TimeProbe`. */
  replies = 0;
  /** Probes with a time, those whose error was within U, and the sum of bounds in ns. */
  readonly shown = { probes: 0, withinUncertainty: 0, errorOfBound: 0 };
  busiest = 0;
  #last: { boot: number; utcNs: bigint; uptimeNs: bigint } | undefined;
  /** Backward steps that an event must explain. */
  readonly #backward: { fromNs: bigint; toNs: bigint; bootNs: bigint; stepNs: bigint }[] = [];
  /** The events that explain one. */
  readonly #sets: { bootNs: bigint; uptimeNs: bigint }[] = [];
  #bootNs = 0n;
  #second = 0n;
  #inSecond = 0;
  readonly #eventsPerSecond: number;

  constructor(options: WorldOptions) {
    this.random = new Prng(options.seed);
    this.startUtcNs = options.startUtcNs ?? startUtcNs;
    this.#eventsPerSecond = options.eventsPerSecond ?? 400;
    if (options.rtc !== undefined) {
      this.rtc = new DriftingRtc(this.time, options.rtc.frequencyPpb, options.rtc.phaseNs);
    }
    this.device = new Device(
      this.time,
      options.modules,
      {
        ownNetwork: options.baud === undefined,
        tickHz: options.tickHz ?? 25_000_000,
        maxFrequencyErrorPpb: options.maxFrequencyErrorPpb ?? 50_000,
        buildUnixSeconds: this.startUtcNs / second - (options.buildAgeSeconds ?? 1_000_000n),
        entropy: options.entropy ?? false,
        ...(this.rtc === undefined ? {} : { rtc: this.rtc }),
        ...(options.storageBytes === undefined ? {} : { storageBytes: options.storageBytes }),
        ...(options.readings === undefined ? {} : { readings: options.readings }),
        ...(options.thermometer === undefined ? {} : { thermometer: options.thermometer }),
        ...(options.check === undefined ? {} : { check: options.check }),
      },
      this.random.fork(),
    );
    this.sockets = new GatewaySockets(this.time, () => this.utcNs, this.random.fork(), goodConditions(this.startUtcNs));
    if (options.baud === undefined) {
      this.device.onMessage = (channel, message) => this.sockets.message(channel, message);
      this.sockets.send = (channel, message) => this.deliver(channel, message);
    } else {
      this.line = new GatewayLine(this.time, options.gatewayModules ?? options.modules, this.device, {
        baud: options.baud,
        nonce: this.random.u32(),
        ...(options.check === undefined ? {} : { check: options.check }),
      });
      this.line.onMessage = (channel, message) => this.sockets.message(channel, message);
      this.line.onReset = () => this.sockets.reset();
      this.sockets.send = (channel, message) => this.line?.send(channel, message);
      this.line.start();
    }
    this.sockets.onReport = (message) => this.#report(message);
    this.device.onHandled = () => this.#count();
    const settings: MeterSettings = {
      id: 'sim-1',
      servers: [{ host: 'time.test', port: 4460 }],
      firstDatesUnchecked: true,
      poll: { minSeconds: 16, maxSeconds: 64 },
      reportSeconds: 10,
      ...options.settings,
    };
    this.rootKey = this.random.bytes(16);
    if (this.line !== undefined && settings.sealedLink === true) {
      this.line.linkKey = linkKeyOf(this.rootKey, settings.id);
    }
    const block = withItems(encodeSettings(settings, this.rootKey), options.items ?? []);
    this.device.storage.set(block, StorageMap.Settings);
    this.device.storage.set(encodeSeedSlot(this.random.bytes(32), 1), StorageMap.SeedA);
  }

  get conditions(): Conditions {
    return this.sockets.conditions;
  }

  /** True UTC. */
  get utcNs(): bigint {
    return this.startUtcNs + this.time.nowNs;
  }

  boot(): void {
    this.#last = undefined;
    this.#bootNs = this.time.nowNs;
    this.device.boot();
  }

  powerCut(): void {
    this.device.powerCut();
    // A board's own network loses its sockets with its power.
    if (this.line === undefined) this.sockets.reset();
  }

  /** Hands a message to a board with a network of its own. */
  deliver(channel: number, message: Uint8Array): void {
    const payload = new Uint8Array(1 + message.length);
    payload[0] = channel;
    payload.set(message, 1);
    this.device.feed(9, payload);
  }

  run(seconds: number): void {
    this.time.runUntil(this.time.nowNs + BigInt(Math.round(seconds * 1e9)));
  }

  /** Runs a second at a time until the condition holds. @throws Violation after `seconds` */
  runUntil(what: string, condition: () => boolean, seconds: number): void {
    for (let i = 0; i < seconds && !condition(); i++) this.run(1);
    if (!condition()) throw new Violation(`not within ${seconds} s: ${what}`);
  }

  runUntilSynchronised(seconds = 120): void {
    this.runUntil('synchronised', () => this.probe()?.status === ClockStatus.Synchronised, seconds);
  }

  codes(): number[] {
    return this.events.map(({ code }) => code);
  }

  /** Asks the meter for its time and checks it. @throws Violation */
  probe(): Shown | undefined {
    if (!this.device.running) return undefined;
    this.probes++;
    const payload = this.device.ask();
    const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
    const shown: Shown = {
      status: view.getUint8(TimeNowField.Status),
      utcNs: view.getBigInt64(TimeNowField.UtcNs, true),
      boundNs: view.getBigUint64(TimeNowField.BoundNs, true),
      uncertaintyNs: view.getBigUint64(TimeNowField.UncertaintyNs, true),
    };
    this.#checkShown(shown);
    return shown;
  }

  #checkShown(shown: Shown): void {
    if (shown.status === ClockStatus.Unsynchronised) {
      this.#last = undefined;
      return;
    }
    const error = abs(shown.utcNs - this.utcNs);
    if (error > shown.boundNs) this.#fail(`error ${error} ns, bound ${shown.boundNs} ns`);
    if (shown.uncertaintyNs > shown.boundNs) this.#fail(`U ${shown.uncertaintyNs} ns, bound ${shown.boundNs} ns`);
    this.shown.probes++;
    if (error <= shown.uncertaintyNs) this.shown.withinUncertainty++;
    this.shown.errorOfBound = Math.max(this.shown.errorOfBound, Number(error) / Number(shown.boundNs));
    const uptimeNs = this.time.nowNs - this.#bootNs;
    const last = this.#last;
    if (last !== undefined && last.boot === this.device.boots && shown.utcNs < last.utcNs) {
      this.#backward.push({
        fromNs: last.uptimeNs,
        toNs: uptimeNs,
        bootNs: this.#bootNs,
        stepNs: last.utcNs - shown.utcNs,
      });
    }
    this.#last = { boot: this.device.boots, utcNs: shown.utcNs, uptimeNs };
  }

  #fail(message: string): never {
    const at = Number(this.time.nowNs) / 1e9;
    throw new Violation(
      `after ${at} s, start ${this.device.boots}: ${message}`,
      this.device.core?.happened,
      this.line === undefined,
    );
  }

  #report(message: MeterMessage): void {
    if (message.type === Message.Time) {
      this.report = message;
      // Over a link a report is older than its arrival.
      if (this.line === undefined && message.status !== ClockStatus.Unsynchronised) {
        const error = abs(message.utcNs - this.utcNs);
        if (error > message.boundNs) this.#fail(`reported with an error of ${error} ns, bound ${message.boundNs} ns`);
      }
    } else if (message.type === Message.TimeReply && this.line === undefined) {
      this.replies++;
      // A board's own network takes no time, so that the probe came just now.
      const error = abs(message.probeUtcNs - this.utcNs);
      if (message.status !== ClockStatus.Unsynchronised && error > message.boundNs) {
        this.#fail(`answered a probe with an error of ${error} ns, bound ${message.boundNs} ns`);
      }
    } else if (message.type === Message.Info) {
      this.info = message;
    } else if (message.type === Message.Event) {
      this.events.push(message);
      if (message.code === MeterEvent.ClockSet) this.#sets.push({ bootNs: this.#bootNs, uptimeNs: message.uptimeNs });
      this.sockets.tell({ type: Message.EventAck, sequence: message.sequence });
    } else {
      this.onRecords(message);
    }
  }

  #count(): void {
    if (this.time.nowNs / second !== this.#second) {
      this.#second = this.time.nowNs / second;
      this.#inSecond = 0;
    }
    this.#inSecond++;
    this.busiest = Math.max(this.busiest, this.#inSecond);
    if (this.#inSecond > this.#eventsPerSecond) this.#fail(`${this.#inSecond} events within a second`);
  }

  /** Last checks of a run in which the meter could tell its events. @throws Violation */
  finish(): void {
    for (const { fromNs, toNs, bootNs, stepNs } of this.#backward) {
      // Another start took its events with it; within one, the meter's uptime is wrong by its oscillator's error.
      if (bootNs !== this.#bootNs || (this.report?.eventsLost ?? 0) > 0) continue;
      const slackNs = (toNs * BigInt(this.device.options.maxFrequencyErrorPpb)) / 990_000_000n + 1_000_000n;
      const explained = this.#sets.some(
        (set) => set.bootNs === bootNs && set.uptimeNs >= fromNs - slackNs && set.uptimeNs <= toNs + slackNs,
      );
      if (!explained)
        this.#fail(`time ran back by ${stepNs} ns without an event, ${fromNs} to ${toNs} ns after its start`);
    }
  }
}

export function abs(value: bigint): bigint {
  return value < 0n ? -value : value;
}
