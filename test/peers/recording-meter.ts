// A meter with the real core whose application records as much as there is room for, and whose power fails at any byte
// of what it writes and sends.
//
// What always holds: a core does nothing outside of its memory but write and send, so a power cut at any of its
// instructions is one before, in, or after one of these. `made` has each entry of the record ring that was ever whole in
// the storage: what has to arrive.
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ChainField, Format, RecordField, RecordReason, Ring, StorageMap } from '../../as/abi/codes.ts';
import type { CoreModule } from '../../host/core/core.ts';
import type { LinkTransport } from '../../host/link/transports.ts';
import { SystemClock } from '../../host/meter/clocks.ts';
import type { MeterStorage } from '../../host/meter/parts.ts';
import { lineOf, type MeterLine, SoftwareMeter } from '../../host/meter/software-meter.ts';
import { MemoryStorage } from '../../host/meter/storage.ts';
import type { MeterKeys } from '../../host/provision/meter-keys.ts';
import { provisionStorage, readStorageKeys } from '../../host/provision/storage-file.ts';
import type { SeededRandom } from '../core/random.ts';
import { type LabSettings, labSettings, softwareBuildUnixSeconds } from '../e2e/meters.ts';
import { everyFourSeconds, recordingSettings } from '../e2e/recording.ts';

/** Far fewer slots than records are made: the meter has to free them again and again. */
const recordSlots = 128;
/** The application waits while more than these are not delivered, so that no record is lost for want of room. */
const undeliveredMost = recordSlots / 2;
/** What an EEPROM takes for a page, or a little less. */
const writeMs = 1;

interface RecordExports {
  testStoreReady(): number;
  testStoreNewest(ring: number): number;
  testStoreOldest(): number;
}

/** Storage in which a write takes its time, and is torn when power fails meanwhile. */
class TornStorage implements MeterStorage {
  readonly #memory: MemoryStorage;
  readonly #random: SeededRandom;
  #writing: { readonly offset: number; readonly data: Uint8Array; readonly end: (isDone: boolean) => void } | undefined;

  constructor(
    contents: Uint8Array,
    random: SeededRandom,
    private readonly onWhole: (offset: number, data: Uint8Array) => void,
  ) {
    this.#memory = new MemoryStorage(contents);
    this.#random = random;
  }

  get bytes(): number {
    return this.#memory.bytes;
  }

  read(offset: number, length: number): Uint8Array {
    return this.#memory.read(offset, length);
  }

  write(offset: number, data: Uint8Array): Promise<void> {
    if (this.#writing !== undefined) throw new Error('the core writes while it writes');
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#end(data.length), writeMs);
      const end = (isDone: boolean) => {
        clearTimeout(timer);
        if (isDone) resolve();
        else reject(new Error('power failed'));
      };
      this.#writing = { offset, data, end };
    });
  }

  /** Power fails when so many bytes of what is being written are there; of a byte more, anything may be there. */
  fail(count: number): void {
    const { data } = this.#writing ?? {};
    if (data !== undefined) this.#end(Math.min(count, data.length), true);
  }

  #end(count: number, failed = false): void {
    const { offset, data, end } = this.#writing!;
    this.#writing = undefined;
    this.#memory.write(offset, data.subarray(0, count));
    if (count < data.length && this.#random.below(2) === 0) {
      this.#memory.write(offset + count, Uint8Array.of(this.#random.below(256)));
    }
    const isWhole = Buffer.compare(this.#memory.read(offset, data.length), data) === 0;
    if (isWhole) this.onWhole(offset, data);
    end(!failed);
  }
}

export interface RecordingMeterOptions {
  readonly settings: LabSettings;
  readonly core: CoreModule;
  /** The meter's end of its link; closed with the meter. */
  readonly transport: LinkTransport;
  readonly folder: string;
  readonly random: SeededRandom;
}

export class RecordingMeter {
  readonly id: string;
  readonly keys: MeterKeys;
  /** Whole entries of the record ring by sequence. */
  readonly made = new Map<number, Buffer>();
  /** What must not be: a sequence that was given twice. */
  readonly failures: string[] = [];
  starts = 0;
  /** How often power has failed. */
  cuts = 0;
  transactions = 0;
  readonly #meter: SoftwareMeter;
  readonly #storage: TornStorage;
  readonly #transport: LinkTransport;
  readonly #random: SeededRandom;
  /** Bytes that are still written and sent until power fails. */
  #left: number | undefined;
  #onCut: () => void = () => {};
  #isCharging = false;
  /** The record of the transaction that began or ended last is still to come. */
  #isAwaited = false;
  /** Numbers of transactions whose begin is recorded, and whose end is not. */
  readonly #open = new Set<number>();
  #energy = 0n;

  constructor({ settings, core, transport, folder, random }: RecordingMeterOptions) {
    this.id = settings.id;
    this.#random = random;
    this.#transport = transport;
    const file = join(folder, `${settings.id}.storage`);
    const bytes = StorageMap.Records + recordSlots * StorageMap.EntryBytes;
    provisionStorage(file, labSettings({ ...recordingSettings, ...settings }), { bytes, dynamic: everyFourSeconds() });
    this.keys = readStorageKeys(file);
    this.#storage = new TornStorage(new Uint8Array(readFileSync(file)), random, (offset, data) =>
      this.#note(offset, data),
    );
    this.#meter = new SoftwareMeter({
      clock: new SystemClock(),
      storage: {
        bytes,
        read: (offset, length) => this.#storage.read(offset, length),
        write: (offset, data) => {
          const done = this.#storage.write(offset, data);
          const count = this.#spend(data.length);
          if (count !== undefined) this.#cut(count);
          return done;
        },
      },
      registers: () => this.#read(),
      entropy: () => new Uint8Array(randomBytes(32)),
      buildUnixSeconds: softwareBuildUnixSeconds,
      board: 'test',
      source: core,
      line: this.#line(lineOf(transport)),
    });
  }

  #line(line: MeterLine): MeterLine {
    return {
      onData: (listener) => line.onData(listener),
      write: (bytes, sent) => {
        const count = this.#spend(bytes.length);
        line.write(count === undefined ? bytes : bytes.subarray(0, count), sent);
        if (count !== undefined) this.#cut(this.#random.below(StorageMap.EntryBytes + 1));
      },
    };
  }

  /** Of `bytes` that go out, how many still do before power fails; undefined where it does not. */
  #spend(bytes: number): number | undefined {
    if (this.#left === undefined) return undefined;
    const left = this.#left;
    // One more: it also fails behind the last byte.
    this.#left -= bytes + 1;
    return left <= bytes ? left : undefined;
  }

  #cut(writtenBytes: number): void {
    this.cuts++;
    this.#left = undefined;
    this.#isCharging = false;
    this.#isAwaited = false;
    this.#meter.powerCut();
    this.#storage.fail(writtenBytes);
    this.#onCut();
  }

  #note(offset: number, data: Uint8Array): void {
    if (offset < StorageMap.Records) return;
    const entry = Buffer.from(data);
    const sequence = entry.readUInt32LE(ChainField.Sequence);
    const before = this.made.get(sequence);
    if (before !== undefined && !before.equals(entry)) this.failures.push(`${this.id}: ${sequence} was made twice`);
    this.made.set(sequence, entry);
    if (before !== undefined || entry[ChainField.Format] !== Format.Record) return;
    const reasons = entry[RecordField.Reasons]!;
    const transaction = entry.readUInt32LE(RecordField.Transaction);
    if ((reasons & RecordReason.TransactionBegin) !== 0) this.#open.add(transaction);
    if ((reasons & RecordReason.TransactionEnd) !== 0) this.#open.delete(transaction);
    const awaited = this.#isCharging ? RecordReason.TransactionBegin : RecordReason.TransactionEnd;
    if ((reasons & awaited) !== 0) this.#isAwaited = false;
  }

  #read(): bigint[] {
    this.#energy += BigInt(this.#random.below(1000));
    return [this.#energy, this.#energy / 3n, this.#energy / 2n, -this.#energy];
  }

  get isOn(): boolean {
    return this.#meter.running;
  }

  get traps(): number {
    return this.#meter.traps;
  }

  get #exports(): RecordExports | undefined {
    return this.#meter.core?.exports as RecordExports | undefined;
  }

  /** Newest entry of the records; 0 while the meter does not know. */
  get newest(): number {
    return this.#exports?.testStoreNewest(Ring.Records) ?? 0;
  }

  /** The oldest record that is not delivered, as the meter knows it; 0 while it does not. */
  get oldest(): number {
    const core = this.#exports;
    return core === undefined || core.testStoreReady() === 0 ? 0 : core.testStoreOldest();
  }

  start(): void {
    if (this.starts++ === 0) this.#transport.start();
    this.#meter.start();
  }

  /** Power fails after so many further bytes that are written or sent; resolves when it has. */
  cutAfter(bytes: number): Promise<void> {
    return new Promise((resolve) => {
      this.#onCut = resolve;
      this.#left = bytes;
    });
  }

  /** The application begins a transaction, or ends the one that runs, once the last one's record is there and has room. */
  work(): void {
    const { newest, oldest } = this;
    if (oldest === 0 || this.#isAwaited || newest - oldest > undeliveredMost) return;
    this.#isAwaited = true;
    this.#isCharging = !this.#isCharging;
    if (this.#isCharging) this.transactions++;
    this.#meter.transaction(this.#isCharging);
  }

  /** The application ends its transaction, and begins no more. */
  rest(): void {
    if (!this.#isCharging) return;
    this.#isCharging = false;
    this.#isAwaited = true;
    this.#meter.transaction(false);
  }

  /** No transaction runs, and the ends of all are recorded. */
  get isResting(): boolean {
    return !this.#isCharging && !this.#isAwaited && this.#open.size === 0;
  }

  async stop(): Promise<void> {
    this.#meter.powerCut();
    await this.#transport.close();
  }
}
