// A meter with records and logbook in its storage, a gateway that takes them, and a verifier of its own: what the storage
// holds is read slot by slot, with node's hashes and ciphers, not with the core's.
import { createHash, createPublicKey, randomBytes, verify } from 'node:crypto';
import {
  ChainField,
  Format,
  HeadField,
  LogField,
  MarkField,
  Message,
  RecordField,
  Ring,
  StorageMap,
} from '../../as/abi/codes.ts';
import type { MeterMessage } from '../../host/link/messages.ts';
import { signingKey } from './ed25519-reference.ts';
import { cmac, deriveKey } from './openssl-reference.ts';
import { SimulatedMeter, type SimulatedMeterOptions } from './simulated-meter.ts';
import { rulesItem, withItems } from './tariff-settings.ts';

export const entryBytes = ChainField.Bytes as number;
/** What a mark has in its seal where an entry has its ring. */
export const markLabel = 255;
const rings = [Ring.Records, Ring.Logbook, Ring.Network] as const;

/** An entry as it was found in the storage. */
export interface Found {
  readonly sequence: number;
  readonly format: number;
  readonly bytes: Buffer;
}

export const sha512 = (bytes: Uint8Array) => createHash('sha512').update(bytes).digest();

/** Whether it is a record that a test handed in: the meter's own have a reason. */
export const isHandedIn = ({ format, bytes }: Found) => format === Format.Record && bytes[RecordField.Reasons] === 0;

/** Exports of the core that these tests use. */
export interface RecordExports {
  readonly memory: WebAssembly.Memory;
  testScratch(): number;
  testRecord(body: number): number;
  testHeadRequest(): void;
  testLogFull(): number;
  testMark(since: bigint, tariff: number, transaction: number): void;
  testMarkedTariff(): number;
  testMarkedSince(): bigint;
  testMarkedTransaction(): number;
  testStoreReady(): number;
  testStoreFull(): number;
  testStoreNewest(ring: number): number;
  testStoreOldest(): number;
}

/** Storage with this many slots for records. */
export const storageOf = (recordSlots: number) => StorageMap.Records + recordSlots * entryBytes;

export class StoreLab {
  readonly sim: SimulatedMeter;
  readonly rootKey: Uint8Array;
  readonly recordKey: Buffer;
  /** What the gateway has: records by sequence, heads, and answers to what was asked. */
  readonly records = new Map<number, Buffer>();
  readonly heads: Buffer[] = [];
  readonly asked: { ring: number; token: number; sequence: number; bytes: Buffer }[] = [];
  readonly done: Extract<MeterMessage, { type: Message.Done }>[] = [];

  readonly #onTlsOpen: SimulatedMeter['behaviour']['onTlsOpen'];

  constructor(options: SimulatedMeterOptions = {}, contents?: Uint8Array) {
    this.rootKey = options.rootKey ?? randomBytes(16);
    const settings = { spreadSeconds: 0, ...options.settings };
    this.sim = new SimulatedMeter({ storageBytes: storageOf(64), ...options, settings, rootKey: this.rootKey });
    this.sim.acknowledgeRecords = false;
    // No periods: the only records of the meter's own are those of a start and of a changed status.
    const block = this.sim.storage.read(StorageMap.Settings, StorageMap.SettingsBytes);
    this.sim.storage.write(StorageMap.Settings, withItems(block, [rulesItem({ periodMinutes: 0 })]));
    if (contents !== undefined) this.storage.set(contents);
    const id = Buffer.from(options.settings?.id ?? 'sim-1');
    this.recordKey = deriveKey(this.rootKey, Buffer.from('record'), id, 16);
    this.#onTlsOpen = this.sim.behaviour.onTlsOpen;
    const sent = this.sim.sent;
    sent.push = (...messages: MeterMessage[]) => {
      for (const message of messages) this.#take(message);
      return Array.prototype.push.apply(sent, messages);
    };
  }

  get storage(): Uint8Array {
    return this.sim.storage.contents;
  }

  get core(): RecordExports {
    return this.sim.meter.core!.exports as unknown as RecordExports;
  }

  #take(message: MeterMessage): void {
    if (message.type === Message.Head) this.heads.push(Buffer.from(message.head));
    if (message.type === Message.Done) this.done.push(message);
    if (message.type !== Message.Entry) return;
    const bytes = Buffer.from(message.entry);
    const sequence = bytes.readUInt32LE(ChainField.Sequence);
    if (message.token !== 0) this.asked.push({ ring: message.ring, token: message.token, sequence, bytes });
    else this.records.set(sequence, bytes);
  }

  /** Starts the meter with a network, and waits until it has a time. */
  startOnline(): void {
    this.sim.behaviour.onTlsOpen = this.#onTlsOpen;
    this.sim.meter.start();
    this.sim.runUntilSynchronised();
  }

  /** Starts the meter without a network, and lets it find its rings. */
  start(): void {
    this.sim.behaviour.onTlsOpen = () => undefined;
    this.sim.meter.start();
    this.sim.runUntil('rings found', () => this.core.testStoreReady() !== 0, 200);
  }

  restart(): void {
    this.sim.meter.powerCut();
    this.start();
  }

  /** Hands in a record that holds `value`; whether it found a place. */
  record(value: number): boolean {
    const body = Buffer.alloc(ChainField.BodyBytes);
    body.writeUInt32LE(value, RecordField.Values);
    body.write('U', RecordField.Letter, 1, 'latin1');
    const { core } = this;
    new Uint8Array(core.memory.buffer).set(body, core.testScratch());
    const taken = core.testRecord(core.testScratch()) !== 0;
    // Any event lets the meter go on.
    this.sim.meter.time();
    return taken;
  }

  /** Hands in records, each when there is room for it. */
  fill(count: number, from = 1): void {
    for (let i = 0; i < count; i++) {
      this.sim.runUntil('a place for a record', () => this.record(from + i), 60);
    }
  }

  acknowledge(stored: number, delivered: number): void {
    const message = Buffer.alloc(12);
    message[0] = Message.RecordAck;
    message.writeUInt32LE(stored, 4);
    message.writeUInt32LE(delivered, 8);
    this.sim.meter.deliver(3, message);
  }

  /** The gateway has all, and so has the broker. */
  acknowledgeAll(): void {
    this.sim.run(0.1);
    const newest = this.core.testStoreNewest(Ring.Records);
    this.acknowledge(newest, newest);
  }

  slots(ring: Ring): number {
    if (ring === Ring.Logbook) return StorageMap.LogbookSlots;
    if (ring === Ring.Network) return StorageMap.NetworkLogSlots;
    return Math.floor((this.storage.length - StorageMap.Records) / entryBytes);
  }

  offset(ring: Ring, slot: number): number {
    const base = [StorageMap.Records, StorageMap.Logbook, StorageMap.NetworkLog][ring]!;
    return base + slot * entryBytes;
  }

  slotBytes(ring: Ring, slot: number): Buffer {
    const at = this.offset(ring, slot);
    return Buffer.from(this.storage.slice(at, at + entryBytes));
  }

  /** The seal of an entry, or of a mark. */
  seal(label: Ring | typeof markLabel, bytes: Buffer): Buffer {
    return cmac(this.recordKey, Buffer.concat([Buffer.of(label), bytes.subarray(0, ChainField.Seal)]));
  }

  holds(label: Ring | typeof markLabel, bytes: Buffer): boolean {
    return this.seal(label, bytes).equals(bytes.subarray(ChainField.Seal));
  }

  /** All entries of a ring that hold, in order. */
  entries(ring: Ring): Found[] {
    const found: Found[] = [];
    for (let slot = 0; slot < this.slots(ring); slot++) {
      const bytes = this.slotBytes(ring, slot);
      const sequence = bytes.readUInt32LE(ChainField.Sequence);
      if (sequence % this.slots(ring) !== slot || !this.holds(ring, bytes)) continue;
      found.push({ sequence, format: bytes[ChainField.Format]!, bytes });
    }
    return found.sort((a, b) => a.sequence - b.sequence);
  }

  /** What is wrong with a chain: gaps, doubled sequences, links that lead elsewhere. */
  problems(entries: readonly Found[]): string[] {
    const problems: string[] = [];
    for (const [at, { sequence, bytes }] of entries.entries()) {
      const link = bytes.subarray(ChainField.Link, ChainField.Seal);
      const before = entries[at - 1];
      if (before === undefined) {
        if (sequence === 1 && !link.equals(Buffer.alloc(16))) problems.push('the first entry has a link');
      } else if (sequence !== before.sequence + 1) {
        problems.push(`${sequence} behind ${before.sequence}`);
      } else if (!link.equals(sha512(before.bytes).subarray(0, 16))) {
        problems.push(`the link of ${sequence} leads elsewhere`);
      }
    }
    return problems;
  }

  /** @throws where a ring is no chain */
  verify(): void {
    for (const ring of rings) {
      const problems = this.problems(this.entries(ring));
      if (problems.length > 0) throw new Error(`ring ${ring}: ${problems.join('; ')}`);
    }
  }

  /** Codes of the events in a log. */
  logged(ring: Ring.Logbook | Ring.Network): number[] {
    return this.entries(ring).map(({ bytes }) => bytes.readUInt16LE(LogField.Code));
  }

  log(ring: Ring.Logbook | Ring.Network): { code: number; a: bigint; b: bigint; leftOut: number; text: string }[] {
    return this.entries(ring).map(({ bytes }) => ({
      code: bytes.readUInt16LE(LogField.Code),
      a: bytes.readBigInt64LE(LogField.A),
      b: bytes.readBigInt64LE(LogField.B),
      leftOut: bytes.readUInt16LE(LogField.LeftOut),
      text: bytes.toString('latin1', LogField.Texts + 1, LogField.Texts + 1 + bytes[LogField.Texts]!),
    }));
  }

  /** The records that were handed in here, in order: the meter's own have a reason. */
  handedIn(): Found[] {
    return this.entries(Ring.Records).filter(isHandedIn);
  }

  /** Their values. */
  values(): number[] {
    return this.handedIn().map(({ bytes }) => bytes.readUInt32LE(RecordField.Values));
  }

  /** The mark in force. */
  mark(): Buffer | undefined {
    const slots = [StorageMap.MarkA, StorageMap.MarkB].map((at) => Buffer.from(this.storage.slice(at, at + 128)));
    const whole = slots.filter((slot) => this.holds(markLabel, slot));
    whole.sort((a, b) => b.readUInt32LE(MarkField.Count) - a.readUInt32LE(MarkField.Count));
    return whole[0];
  }

  /** The meter's public key, from its root key. */
  get publicKey() {
    const id = Buffer.from('sim-1');
    const seed = deriveKey(this.rootKey, Buffer.from('sign'), id, 32);
    return createPublicKey(signingKey(seed));
  }

  /** Whether a head, from `HeadField.Magic` on, is signed by this meter. */
  isSigned(head: Uint8Array): boolean {
    const signed = HeadField.Signature - HeadField.Magic;
    return verify(null, head.subarray(0, signed), this.publicKey, head.subarray(signed, signed + 64));
  }
}
