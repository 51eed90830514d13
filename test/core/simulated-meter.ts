// A meter in virtual time with a network of its own, which a test's server answers: years in seconds, any fault.
import { randomBytes } from 'node:crypto';
import { Channel, ClockStatus, type Failure, Message, StorageMap } from '../../as/abi/codes.ts';
import {
  decodeMessage,
  encodeMessage,
  type GatewayMessage,
  type Info,
  type MeterEventMessage,
  type MeterMessage,
  type Time,
} from '../../host/link/messages.ts';
import { VirtualClock, VirtualTime } from '../../host/meter/clocks.ts';
import { SoftwareRtc } from '../../host/meter/parts.ts';
import { SoftwareMeter, type SoftwareMeterOptions } from '../../host/meter/software-meter.ts';
import { MemoryStorage } from '../../host/meter/storage.ts';
import { encodeSeedSlot, encodeSettings, type MeterSettings } from '../../host/provision/settings-block.ts';
import { type AnswerParts, answerParts, keAnswer, type Request, readRequest, sealedAnswer } from './nts-reference.ts';

export const second = 1_000_000_000n;
export const millisecond = 1_000_000n;

/** 2026-11-22 00:00 UTC. */
export const startUtcNs = 1_795_305_600n * second;
export const buildUnixSeconds = 1_795_000_000;

export interface Behaviour {
  /** The answer to a TlsOpen; undefined: none at all. */
  onTlsOpen: (open: Extract<MeterMessage, { type: Message.TlsOpen }>) => GatewayMessage | undefined;
  /** The bytes of the answer to the NTS-KE request, in the pieces in which they come. */
  onKe: (request: Buffer) => Uint8Array[];
  /** How the server closes after its answer; undefined: it leaves that to the meter. */
  closeReason: Failure | undefined;
  /** The datagrams that come back for a request; by default one good answer. */
  onRequest: (request: Request, exchange: number) => Uint8Array[];
  /** Changes a good answer before it is sealed. */
  change: (parts: AnswerParts) => void;
  /** One-way delays. */
  outNs: () => bigint;
  backNs: () => bigint;
  /** Server minus true UTC. */
  serverErrorNs: bigint;
  notBefore: bigint;
  notAfter: bigint;
}

export interface SimulatedMeterOptions extends Partial<Pick<SoftwareMeterOptions, 'entropy' | 'trace'>> {
  readonly settings?: Partial<MeterSettings>;
  readonly frequencyPpb?: number;
  readonly startUtcNs?: bigint;
  readonly rtc?: boolean;
  readonly seed?: Uint8Array;
  readonly rootKey?: Uint8Array;
  readonly maxFrequencyErrorPpb?: number;
  readonly tickHz?: number;
  readonly buildUnixSeconds?: number;
}

export const testSettings: MeterSettings = {
  id: 'sim-1',
  servers: [{ host: 'time.test', port: 4460 }],
  firstDatesUnchecked: true,
  poll: { minSeconds: 16, maxSeconds: 64 },
  reportSeconds: 10,
};

export class SimulatedMeter {
  readonly time: VirtualTime;
  readonly clock: VirtualClock;
  readonly storage: MemoryStorage;
  readonly rtc: SoftwareRtc | undefined;
  readonly meter: SoftwareMeter;
  readonly sent: MeterMessage[] = [];
  readonly events: MeterEventMessage[] = [];
  readonly requests: Request[] = [];
  readonly behaviour: Behaviour;
  info: Info | undefined;
  report: Time | undefined;
  acknowledge = true;
  keys = { clientToServer: randomBytes(32), serverToClient: randomBytes(32) };
  readonly #startUtcNs: bigint;

  constructor(options: SimulatedMeterOptions = {}) {
    this.#startUtcNs = options.startUtcNs ?? startUtcNs;
    this.time = new VirtualTime();
    this.clock = new VirtualClock(this.time, {
      frequencyPpb: options.frequencyPpb ?? 0,
      tickHz: options.tickHz ?? 25_000_000,
    });
    this.storage = new MemoryStorage();
    const settings = { ...testSettings, ...options.settings };
    this.storage.write(StorageMap.Settings, encodeSettings(settings, options.rootKey ?? randomBytes(16)));
    this.storage.write(StorageMap.SeedA, encodeSeedSlot(options.seed ?? randomBytes(32), 1));
    this.rtc = options.rtc ? new SoftwareRtc(() => this.utcNs) : undefined;
    this.behaviour = {
      onTlsOpen: ({ id }) => ({
        type: Message.TlsOpened,
        id,
        notBefore: this.behaviour.notBefore,
        notAfter: this.behaviour.notAfter,
        fingerprint: new Uint8Array(32).fill(7),
        alpn: 'ntske/1',
      }),
      onKe: () => [keAnswer()],
      closeReason: undefined,
      onRequest: (request) => [this.answer(request)],
      change: () => {},
      outNs: () => 10n * millisecond,
      backNs: () => 10n * millisecond,
      serverErrorNs: 0n,
      notBefore: this.#startUtcNs / second - 86_400n,
      notAfter: this.#startUtcNs / second + 86_400n * 365n,
    };
    this.meter = new SoftwareMeter({
      clock: this.clock,
      storage: this.storage,
      buildUnixSeconds: options.buildUnixSeconds ?? buildUnixSeconds,
      maxFrequencyErrorPpb: options.maxFrequencyErrorPpb ?? 50_000,
      onMessage: (channel, bytes) => this.#message(channel, bytes),
      ...(this.rtc === undefined ? {} : { rtc: this.rtc }),
      ...(options.entropy === undefined ? {} : { entropy: options.entropy }),
      ...(options.trace === undefined ? {} : { trace: options.trace }),
    });
  }

  /** True UTC. */
  get utcNs(): bigint {
    return this.#startUtcNs + this.time.nowNs;
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

  /** A good answer to a request, changed as the behaviour says. */
  answer(request: Request): Buffer {
    const parts = answerParts(
      request,
      this.utcNs + this.behaviour.serverErrorNs,
      this.utcNs + this.behaviour.serverErrorNs + 20_000n,
    );
    this.behaviour.change(parts);
    return sealedAnswer(parts, this.keys.serverToClient);
  }

  eventCodes(): number[] {
    return this.events.map(({ code }) => code);
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
        this.keys = { clientToServer: randomBytes(32), serverToClient: randomBytes(32) };
        const answer = this.behaviour.onTlsOpen(message);
        if (answer !== undefined) this.deliver(answer);
        break;
      }
      case Message.TlsWrite: {
        let after = millisecond;
        for (const piece of this.behaviour.onKe(Buffer.from(message.data))) {
          for (let at = 0; at < piece.length; at += 235) {
            this.deliver({ type: Message.TlsData, id: message.id, data: piece.subarray(at, at + 235) }, after++);
          }
        }
        const reason = this.behaviour.closeReason;
        if (reason !== undefined)
          this.deliver({ type: Message.TlsClosed, id: message.id, reason, detail: '' }, ++after);
        break;
      }
      case Message.TlsExport: {
        const key = message.tag === 0 ? this.keys.clientToServer : this.keys.serverToClient;
        this.deliver({ type: Message.TlsExported, id: message.id, tag: message.tag, key });
        break;
      }
      case Message.UdpOpen:
        this.deliver({
          type: Message.UdpOpened,
          socket: message.socket,
          family: 4,
          addresses: 1,
          address: new Uint8Array(16).fill(192, 0, 1),
        });
        break;
      case Message.UdpSend: {
        const { socket, exchange } = message;
        this.time.schedule(this.time.nowNs + this.behaviour.outNs(), () => {
          const request = readRequest(Buffer.from(message.payload), this.keys.clientToServer);
          this.requests.push(request);
          for (const payload of this.behaviour.onRequest(request, exchange)) {
            const residences = { forwardResidenceNs: 0, backResidenceNs: 0 };
            this.deliver(
              { type: Message.UdpReceived, socket, exchange, ...residences, payload },
              this.behaviour.backNs(),
            );
          }
        });
        break;
      }
      case Message.Info:
        this.info = message;
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
}
