// A meter with a network of its own, driven by hand: no time passes but what the test lets pass. Storage answers at once.
// Everything but datagrams is answered as a good gateway would, unless the test takes a message away.
import { Abi, Action, Capability, type Channel, Event, Message, StartField, StorageMap } from '../../as/abi/codes.ts';
import {
  channelOf,
  decodeMessage,
  encodeMessage,
  type GatewayMessage,
  type MeterEventMessage,
  type MeterMessage,
  type SourceCounts,
  type Time,
} from '../../host/link/messages.ts';
import { encodeSeedSlot, encodeSettings, type MeterSettings } from '../../host/provision/settings-block.ts';
import { CheckedCore, type CheckedModules, Violation } from './checked-core.ts';
import { joined } from './mutate.ts';
import type { Prng } from './prng.ts';

export const buildUnixSeconds = 1_795_000_000n;
const tickHz = 1_000_000_000;

export const plainSettings: MeterSettings = {
  id: 'fuzz',
  servers: [{ host: 'time.test', port: 4460 }],
  firstDatesUnchecked: true,
  poll: { minSeconds: 1, maxSeconds: 16 },
  reportSeconds: 60_000,
};

const hosts = ['time.test', 'b.test', 'c.test', 'd.test'];

/** The same with as many servers. */
export const settingsOf = (servers: number): MeterSettings => ({
  ...plainSettings,
  servers: hosts.slice(0, servers).map((host) => ({ host, port: 4460 })),
});

export function startPayload(capabilities: number, entropy: Uint8Array = new Uint8Array(32)): Uint8Array {
  const payload = new Uint8Array(StartField.Names + 4);
  const view = new DataView(payload.buffer);
  view.setUint16(StartField.AbiVersion, Abi.Version, true);
  payload[StartField.Capabilities] = capabilities;
  view.setUint32(StartField.TickHz, tickHz, true);
  view.setUint32(StartField.MaxFrequencyErrorPpb, 50_000, true);
  view.setUint32(StartField.StorageBytes, StorageMap.FullBytes, true);
  view.setBigUint64(StartField.BuildUnixSeconds, buildUnixSeconds, true);
  payload.set(entropy, StartField.Entropy);
  payload.set([1, 0x62, 1, 0x76], StartField.Names);
  return payload;
}

export class DirectMeter {
  readonly core: CheckedCore;
  readonly storage: Uint8Array;
  tick = 0n;
  wake = 0n;
  report: Time | undefined;
  /** Tick of that report. */
  reportTick = 0n;
  /** What was counted of each source, by its index. */
  readonly counts = new Map<number, SourceCounts>();
  readonly events: MeterEventMessage[] = [];
  /** What the meter asked for lately, reports aside. */
  asked: MeterMessage[] = [];
  rtc: Uint8Array | undefined;
  /** Payload of the thermometer's answer; without one there is none. */
  temperature: () => Uint8Array | undefined = () => undefined;

  constructor(
    modules: CheckedModules,
    random: Prng,
    storage?: Uint8Array,
    readonly capabilities = Capability.Storage | Capability.OwnNetwork,
    settings = plainSettings,
  ) {
    this.core = new CheckedCore(modules, { large: true, twin: true, record: true });
    this.storage = storage ?? new Uint8Array(StorageMap.FullBytes).fill(0xff);
    if (storage === undefined) {
      this.storage.set(encodeSettings(settings, random.bytes(16)), StorageMap.Settings);
      this.storage.set(encodeSeedSlot(random.bytes(32), 1), StorageMap.SeedA);
    }
  }

  start(entropy?: Uint8Array): void {
    this.feed(Event.Start, startPayload(this.capabilities, entropy));
  }

  feed(event: number, payload: Uint8Array = new Uint8Array(0)): void {
    for (const { kind, payload: body } of this.core.handle(event, this.tick, payload)) {
      const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
      if (kind === Action.Wake) this.wake = view.getBigUint64(0, true);
      else if (kind === Action.StorageRead) {
        const offset = view.getUint32(0, true);
        const bytes = this.storage.slice(offset, offset + view.getUint32(4, true));
        this.feed(Event.StorageData, joined([body.subarray(0, 4), bytes]));
      } else if (kind === Action.StorageWrite) {
        this.storage.set(body.subarray(4), view.getUint32(0, true));
        this.feed(Event.StorageDone, joined([body.subarray(0, 4), Uint8Array.of(0)]));
      } else if (kind === Action.RtcRead) this.feed(Event.RtcTime, this.rtc ?? Uint8Array.of(2, 0, 0, 0, 0, 0, 0, 0));
      else if (kind === Action.RtcSet) this.feed(Event.RtcDone, Uint8Array.of(0));
      else if (kind === Action.TemperatureRead) {
        const answer = this.temperature();
        if (answer !== undefined) this.feed(Event.Temperature, answer);
      } else if (kind === Action.Message) this.#message(body[0]!, body.slice(1));
    }
  }

  #message(channel: number, bytes: Uint8Array): void {
    let message: MeterMessage;
    try {
      message = decodeMessage(channel as Channel, bytes) as MeterMessage;
    } catch (cause) {
      throw new Violation(`the meter's message makes no sense: ${(cause as Error).message}`, [...this.core.happened]);
    }
    if (message.type === Message.Time) {
      this.report = message;
      this.reportTick = this.tick;
    } else if (message.type === Message.SourceCounts) this.counts.set(message.index, message);
    else if (message.type === Message.Event) {
      this.events.push(message);
      this.tell({ type: Message.EventAck, sequence: message.sequence });
    } else if (message.type !== Message.Info && message.type !== Message.Source) this.asked.push(message);
  }

  tell(message: GatewayMessage): void {
    this.deliver(channelOf(message.type), encodeMessage(message));
  }

  deliver(channel: number, message: Uint8Array): void {
    this.feed(Event.Message, joined([Uint8Array.of(channel), message]));
  }

  /** Lets time pass until the meter wants to wake. */
  toWake(): void {
    if (this.wake > this.tick) this.tick = this.wake;
    this.feed(Event.Wake);
  }

  /** What the meter asked for, of one kind, the first; taken away. */
  take<T extends MeterMessage['type']>(type: T): Extract<MeterMessage, { type: T }> | undefined {
    const index = this.asked.findIndex((message) => message.type === type);
    return index < 0 ? undefined : (this.asked.splice(index, 1)[0] as Extract<MeterMessage, { type: T }>);
  }

  /** Lets time pass until the meter asks for something of this kind. @throws Violation when it never does */
  next<T extends MeterMessage['type']>(
    type: T,
    answer: (message: MeterMessage) => void = () => {},
  ): Extract<MeterMessage, { type: T }> {
    for (let i = 0; i < 1000; i++) {
      const found = this.take(type);
      if (found !== undefined) return found;
      const other = this.asked.shift();
      if (other !== undefined) answer(other);
      else this.toWake();
    }
    throw new Violation(`the meter never asks for ${Message[type]}`, [...this.core.happened]);
  }

  fail(message: string): never {
    throw new Violation(message, [...this.core.happened]);
  }
}
