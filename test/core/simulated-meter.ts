// A meter in virtual time with a network of its own, which a test's servers answer: years in seconds, any fault.
// What always holds: each request is sealed with keys of one of the servers; no cookie and no unique identifier is ever
// sent twice.
import { Channel, ClockStatus, Format, Message, Ring, StorageMap } from '../../as/abi/codes.ts';
import type { CoreModule } from '../../host/core/core.ts';
import {
  decodeMessage,
  encodeMessage,
  type GatewayMessage,
  type Info,
  type MeterEventMessage,
  type MeterMessage,
  type Source,
  type SourceCounts,
  type Time,
} from '../../host/link/messages.ts';
import type { Done, Tariff } from '../../host/link/record-messages.ts';
import { VirtualClock, VirtualTime } from '../../host/meter/clocks.ts';
import type { TariffSwitch } from '../../host/meter/parts.ts';
import { SoftwareRtc } from '../../host/meter/parts.ts';
import { SoftwareMeter, type SoftwareMeterOptions } from '../../host/meter/software-meter.ts';
import { MemoryStorage } from '../../host/meter/storage.ts';
import { encodeSeedSlot, encodeSettings, type MeterSettings } from '../../host/provision/settings-block.ts';
import { decodeEntry, type LogEntry, type RecordEntry } from '../../host/record/entry.ts';
import { type SeededRandom, seededRandom } from './random.ts';
import { type Behaviour, type ServedRequest, SimulatedServer } from './simulated-server.ts';

import { withItems } from './tariff-settings.ts';

export { type Behaviour, millisecond, type ServedRequest, SimulatedServer, second } from './simulated-server.ts';

import { second, servingNs } from './simulated-server.ts';

/** 2026-11-22 00:00 UTC. */
export const startUtcNs = 1_795_305_600n * second;
export const buildUnixSeconds = 1_795_000_000;

export interface SimulatedMeterOptions
  extends Partial<
    Pick<SoftwareMeterOptions, 'entropy' | 'thermometer' | 'trace' | 'source' | 'registers' | 'slots' | 'board'>
  > {
  /** Items behind those of the settings: tariffs and records. */
  readonly items?: readonly Uint8Array[];
  /** How many servers the settings name: a.test, b.test and so on; without it, time.test. */
  readonly servers?: number;
  readonly settings?: Partial<MeterSettings>;
  readonly frequencyPpb?: number;
  readonly startUtcNs?: bigint;
  /** UTC at a time that passes evenly and is UTC at the start: where leap seconds are to be. */
  readonly utcNs?: (even: bigint) => bigint;
  /** A perfect real-time clock, or one made on a time that passes evenly, as it counts no leap seconds. */
  readonly rtc?: boolean | ((evenNs: () => bigint) => SoftwareRtc);
  readonly seed?: Uint8Array;
  readonly rootKey?: Uint8Array;
  readonly maxFrequencyErrorPpb?: number;
  readonly tickHz?: number;
  /** A core for another number of servers. */
  readonly core?: CoreModule;
  readonly storageBytes?: number;
  readonly buildUnixSeconds?: number;
}

export const testSettings: MeterSettings = {
  id: 'sim-1',
  servers: [{ host: 'time.test', port: 4460 }],
  firstDatesUnchecked: true,
  poll: { minSeconds: 16, maxSeconds: 64 },
  reportSeconds: 10,
};

let random: SeededRandom | undefined;
/** What a meter draws itself, as when it polls, follows from the seed of the run and how many were made before it. */
function drawn(bytes: number): Uint8Array {
  random ??= seededRandom('simulated meters');
  return random.bytes(bytes);
}

export class SimulatedMeter {
  readonly time: VirtualTime;
  readonly clock: VirtualClock;
  readonly storage: MemoryStorage;
  readonly rtc: SoftwareRtc | undefined;
  readonly meter: SoftwareMeter;
  readonly sent: MeterMessage[] = [];
  readonly events: MeterEventMessage[] = [];
  readonly requests: ServedRequest[] = [];
  /** Those that the settings name, in that order. */
  readonly servers: readonly SimulatedServer[];
  info: Info | undefined;
  report: Time | undefined;
  /** The last report on each source. */
  readonly sources: Source[] = [];
  readonly counts: SourceCounts[] = [];
  acknowledge = true;
  /** Whether records are, where events are. */
  acknowledgeRecords = true;
  /** Records as they came, and what was told of the tariff to the application and over the link. */
  readonly records: RecordEntry[] = [];
  readonly logbook: LogEntry[] = [];
  readonly switches: TariffSwitch[] = [];
  readonly done: Done[] = [];
  tariff: Tariff | undefined;
  readonly #startUtcNs: bigint;
  readonly #utcNs: (even: bigint) => bigint;
  readonly #seen = new Set<string>();
  /** Newest entry of the records that came. */
  #stored = 0;
  /** Hosts of the sockets. */
  readonly #hosts = new Map<number, string>();

  constructor(options: SimulatedMeterOptions = {}) {
    this.#startUtcNs = options.startUtcNs ?? startUtcNs;
    this.#utcNs = options.utcNs ?? ((even) => even);
    this.time = new VirtualTime();
    this.clock = new VirtualClock(this.time, {
      frequencyPpb: options.frequencyPpb ?? 0,
      tickHz: options.tickHz ?? 25_000_000,
    });
    this.storage = new MemoryStorage(options.storageBytes);
    const hosts = Array.from({ length: options.servers ?? 0 }, (_, i) => ({ host: `${'abcd'[i]}.test`, port: 4460 }));
    const named = hosts.length === 0 ? {} : { servers: hosts };
    const settings = { ...testSettings, ...named, ...options.settings };
    const block = encodeSettings(settings, options.rootKey ?? drawn(16));
    this.storage.write(StorageMap.Settings, options.items === undefined ? block : withItems(block, options.items));
    this.storage.write(StorageMap.SeedA, encodeSeedSlot(options.seed ?? drawn(32), 1));
    const makeRtc = options.rtc === true ? (evenNs: () => bigint) => new SoftwareRtc(evenNs) : options.rtc;
    this.rtc = makeRtc ? makeRtc(() => this.#startUtcNs + this.time.nowNs) : undefined;
    this.servers = settings.servers.map(({ host }) => new SimulatedServer(host, () => this.utcNs));
    this.meter = new SoftwareMeter({
      clock: this.clock,
      storage: this.storage,
      buildUnixSeconds: options.buildUnixSeconds ?? buildUnixSeconds,
      maxFrequencyErrorPpb: options.maxFrequencyErrorPpb ?? 50_000,
      onTariff: (tariff) => this.switches.push(tariff),
      onMessage: (channel, bytes) => this.#message(channel, bytes),
      ...(this.rtc === undefined ? {} : { rtc: this.rtc }),
      ...(options.core === undefined ? {} : { source: options.core }),
      ...(options.entropy === undefined ? {} : { entropy: options.entropy }),
      ...(options.thermometer === undefined ? {} : { thermometer: options.thermometer }),
      ...(options.registers === undefined ? {} : { registers: options.registers }),
      ...(options.trace === undefined ? {} : { trace: options.trace }),
      ...(options.source === undefined ? {} : { source: options.source }),
      ...(options.slots === undefined ? {} : { slots: options.slots }),
      ...(options.board === undefined ? {} : { board: options.board }),
    });
  }

  /** The behaviour of the first server. */
  get behaviour(): Behaviour {
    return this.servers[0]!.behaviour;
  }

  /** True UTC. */
  get utcNs(): bigint {
    return this.#utcNs(this.#startUtcNs + this.time.nowNs);
  }

  /** Meter minus truth; the meter must have a time. */
  get errorNs(): bigint {
    return this.meter.time().utcNs - this.utcNs;
  }

  run(seconds: number): void {
    this.time.runUntil(this.time.nowNs + BigInt(Math.round(seconds * 1e9)));
  }

  /** Runs until the condition holds, a tenth of a second at a time. @throws after `seconds` of virtual time */
  runUntil(what: string, condition: () => boolean, seconds = 120): void {
    for (let i = 0; i < seconds * 10; i++) {
      if (condition()) return;
      this.run(0.1);
    }
    throw new Error(`not within ${seconds} s: ${what}`);
  }

  runUntilSynchronised(): void {
    this.runUntil('synchronised', () => this.meter.time().status === ClockStatus.Synchronised);
  }

  /** A good answer to a request, changed as its server's behaviour says. */
  answer(request: ServedRequest): Buffer {
    return request.server.answer(request);
  }

  eventCodes(): number[] {
    return this.events.map(({ code }) => code);
  }

  /** What the meter sent of a type. */
  sentOf<T extends MeterMessage['type']>(type: T): Extract<MeterMessage, { type: T }>[] {
    return this.sent.filter((message) => message.type === type) as Extract<MeterMessage, { type: T }>[];
  }

  deliver(message: GatewayMessage, afterNs = 1_000_000n): void {
    const bytes = encodeMessage(message);
    const channel = message.type < 0x10 ? Channel.Time : message.type < 0x30 ? Channel.Stream : Channel.Report;
    this.time.schedule(this.time.nowNs + afterNs, () => this.meter.deliver(channel, bytes));
  }

  #message(channel: number, bytes: Uint8Array): void {
    const message = decodeMessage(channel as Channel, bytes) as MeterMessage;
    this.sent.push(message);
    switch (message.type) {
      case Message.TlsOpen: {
        const server = this.servers.find(({ host }) => host === message.host);
        if (server === undefined) throw new Error(`the meter connects to ${message.host}`);
        this.#later(server.behaviour.openNs(), () => {
          const answer = server.open(message);
          if (answer !== undefined) this.deliver(answer);
        });
        break;
      }
      case Message.TlsWrite: {
        const server = this.#serverOf(message.id);
        let after = 1_000_000n;
        for (const piece of server.establish(message.id, Buffer.from(message.data))) {
          for (let at = 0; at < piece.length; at += 219) {
            this.deliver({ type: Message.TlsData, id: message.id, data: piece.subarray(at, at + 219) }, after++);
          }
        }
        const reason = server.behaviour.closeReason;
        if (reason !== undefined)
          this.deliver({ type: Message.TlsClosed, id: message.id, reason, detail: '' }, ++after);
        break;
      }
      case Message.TlsExport: {
        const answer = this.#serverOf(message.id).export(message);
        if (answer !== undefined) this.deliver(answer);
        break;
      }
      case Message.UdpOpen:
        this.#hosts.set(message.socket, message.host);
        this.deliver({
          type: Message.UdpOpened,
          socket: message.socket,
          family: 4,
          addresses: 2,
          address: new Uint8Array(16).fill(192, 0, 1),
        });
        break;
      case Message.UdpSend: {
        const { socket, exchange } = message;
        const packet = Buffer.from(message.payload);
        const request = this.#read(socket, packet);
        const { server } = request;
        this.#once(request);
        this.#later(server.behaviour.outNs(), () => {
          this.requests.push(request);
          server.requests.push(request);
          for (const payload of server.behaviour.onRequest(request, exchange)) {
            const residences = { forwardResidenceNs: 0, backResidenceNs: 0 };
            this.deliver(
              { type: Message.UdpReceived, socket, exchange, ...residences, payload },
              servingNs + server.behaviour.backNs(),
            );
          }
        });
        break;
      }
      case Message.Source:
        this.sources[message.index] = message;
        break;
      case Message.SourceCounts:
        this.counts[message.index] = message;
        break;
      case Message.Entry: {
        const entry = decodeEntry(message.ring, message.entry);
        if (entry.format === Format.Record) this.records.push(entry);
        else if (entry.format === Format.Log && entry.ring === Ring.Logbook) this.logbook.push(entry);
        if (message.ring === Ring.Records && message.token === 0) {
          this.#stored = Math.max(this.#stored, entry.sequence);
          this.#acknowledge();
        }
        break;
      }
      case Message.Tariff:
        this.tariff = message;
        break;
      case Message.Done:
        this.done.push(message);
        break;
      case Message.Info:
        this.info = message;
        this.#acknowledge();
        break;
      case Message.Time:
        this.report = message;
        break;
      case Message.Event:
        this.events.push(message);
        if (this.acknowledge) this.deliver({ type: Message.EventAck, sequence: message.sequence });
        break;
    }
  }

  #acknowledge(): void {
    if (!this.acknowledge || !this.acknowledgeRecords) return;
    this.deliver({ type: Message.RecordAck, stored: this.#stored, delivered: this.#stored });
  }

  // The server whose socket it came on is asked first.
  #read(socket: number, packet: Buffer): ServedRequest {
    const host = this.#hosts.get(socket);
    const likely = this.servers.filter((server) => server.host === host);
    for (const server of new Set([...likely, ...this.servers])) {
      const request = server.read(packet);
      if (request !== undefined) return request;
    }
    throw new Error('no server knows the keys of a request');
  }

  #later(ns: bigint, then: () => void): void {
    this.time.schedule(this.time.nowNs + ns, then);
  }

  // A connection belongs to the server that it was opened to last under its number.
  #serverOf(id: number): SimulatedServer {
    const host = this.sentOf(Message.TlsOpen).findLast((open) => open.id === id)?.host;
    return this.servers.find((server) => server.host === host)!;
  }

  #once({ cookie, identifier, origin }: ServedRequest): void {
    for (const value of [cookie, identifier, origin]) {
      const hex = value.toString('hex');
      // A cookie of a byte or two may come by chance.
      if (value.length > 16 && this.#seen.has(hex)) throw new Error(`${hex} was sent twice`);
      this.#seen.add(hex);
    }
  }
}

/** A started meter; `change` comes before its start. */
export function started(
  options: SimulatedMeterOptions,
  change: (sim: SimulatedMeter) => void = () => {},
): SimulatedMeter {
  const sim = new SimulatedMeter(options);
  change(sim);
  sim.meter.start();
  return sim;
}

/** A started meter whose first server behaves as `change` says. */
export function startedWith(
  change: (behaviour: Behaviour) => void = () => {},
  options: SimulatedMeterOptions = {},
): SimulatedMeter {
  return started(options, ({ behaviour }) => change(behaviour));
}
