// What must arrive waits here, on disk, until it is removed: messages in the order of their numbers.
//
// Always holds:
// - `put()` resolves only when the message survives a power cut; what it accepted is lost by no kill and no full disk.
// - One write is under way at a time; messages put meanwhile share the next one. After a write that failed nothing more
//   is written until the store was opened anew: behind a record that is cut off, LevelDB would lose what follows.
// - A reserve file keeps room for opening the store and for removing messages when the disk is full. It is given up
//   first, and nothing is put until it stands again.
// - Messages put together, and the notes put with them, are there together or not at all.
// - Numbers rise and are not used twice: nothing is put before it is known what an earlier run left. The store holds a
//   count written with each change, so missing entries are noticed.
import { randomBytes } from 'node:crypto';
import { mkdir, open, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { ClassicLevel } from 'classic-level';
import type { Report } from '../report.ts';
import { decodeEntry, encodeEntry, type OutboxEntry, type OutboxMessage, type Place, type Refusal } from './entry.ts';
import { damagedKey, damagedTables, isCorruption, OutboxError, outboxError } from './error.ts';
import {
  assertFree,
  copyDamaged,
  entryKey,
  keyOf,
  META,
  makeStore,
  noteKey,
  repairStore,
  salvageStore,
  takeSalvaged,
} from './store.ts';
import { checkStore, type StoreDamage, undamaged } from './store-check.ts';

export type { MessageProperties, OutboxEntry, OutboxMessage, Place, Refusal } from './entry.ts';
export { OutboxError, type OutboxErrorCode } from './error.ts';

export type OutboxReport = Report<
  | 'outbox-damaged'
  | 'outbox-repaired'
  | 'outbox-disk-full'
  | 'outbox-full'
  | 'outbox-failed'
  | 'outbox-room'
  | 'outbox-not-private'
>;

export interface OutboxOptions {
  /** Folder of this outbox alone; made when it is not there. */
  readonly directory: string;
  /** Bytes of messages (with what surrounds them) above which `put` refuses. */
  readonly maxBytes: number;
  readonly report?: (report: OutboxReport) => void;
  /** Bytes kept free for the store's own needs on a full disk. */
  readonly reserveBytes?: number;
  /** Bytes that the store gathers before it writes a table. */
  readonly writeBufferBytes?: number;
  /** Shortest time between two attempts to get out of a failure, ms. */
  readonly retryMs?: number;
}

export interface OutboxState {
  readonly entries: number;
  readonly bytes: number;
  /** Entries that the broker refused. */
  readonly refused: number;
}

/** An entry that waits, without its message. */
export interface WaitingEntry {
  readonly number: number;
  readonly refused: Refusal | undefined;
  readonly place: Place | undefined;
}

export interface PutOptions {
  /** Values to be kept beside the entries; undefined removes one. */
  readonly notes?: Readonly<Record<string, string | undefined>>;
  /** Share of `maxBytes` above which these are refused, 0 to 1: the rest is kept for others. */
  readonly share?: number;
}

interface IndexEntry {
  readonly bytes: number;
  readonly place: Place | undefined;
  refused: Refusal | undefined;
}

interface Meta {
  /** Number of the next entry. */
  readonly next: number;
  /** Entries in the store. */
  readonly count: number;
}

type Operation =
  | { readonly type: 'put'; readonly key: string; readonly value: Buffer }
  | { readonly type: 'del'; readonly key: string };

interface Write {
  /** Written together; one of an entry stands first. */
  readonly operations: readonly [Operation, ...Operation[]];
  /** Entries that it adds. */
  readonly adds: number;
  /** Has to survive a power cut. */
  readonly sync: boolean;
  /** Missing for what is tried again by itself until it is written. */
  readonly done?: { resolve(): void; reject(error: OutboxError): void };
}

/** What the store takes for an entry beside its value: key, sequence, index; an estimate. */
const ENTRY_OVERHEAD = 64;

export class Outbox {
  readonly #options: Required<OutboxOptions>;
  readonly #folder: string;
  readonly #reserve: string;
  /** Missing while it is not open: the library opens one as soon as it is made. */
  #store: ClassicLevel<string, Buffer> | undefined;
  #index = new Map<number, IndexEntry>();
  /** No entry has a number below. */
  #first = 1;
  #notes = new Map<string, string>();
  #bytes = 0;
  /** Bytes of puts under way. */
  #pendingBytes = 0;
  /** Bytes of entries removed since the store was last made to shrink. */
  #removedBytes = 0;
  /** Shares of which it was said that they are full. */
  readonly #saidFull = new Set<number>();
  #loaded = false;
  #next = 1;
  /** Entries in the store, as far as written. */
  #count = 0;
  #queue: Write[] = [];
  #writing: Promise<void> | undefined;
  #opening: Promise<void> | undefined;
  #started = false;
  #hasReserve = false;
  /** Whether the store's files may be damaged: nobody has looked at them yet, or reading them failed. */
  #suspect = true;
  /** A write failed, or opening did: the store must be opened anew before the next one. */
  #broken = false;
  #failure: OutboxError | undefined;
  #retryAtMs = 0;
  #retryTimer: NodeJS.Timeout | undefined;
  readonly #putListeners = new Set<() => void>();
  readonly #lostListeners = new Set<(place: Place) => void>();
  readonly #loadedListeners = new Set<() => void>();

  constructor(options: OutboxOptions) {
    this.#options = {
      report: () => {},
      reserveBytes: 4 << 20,
      writeBufferBytes: 512 << 10,
      retryMs: 1000,
      ...options,
    };
    this.#folder = join(options.directory, 'store');
    this.#reserve = join(options.directory, 'reserve');
  }

  /**
   * Opens the outbox and checks everything in it. A full disk is no error here: it is reported, and `put` refuses until
   * there is room. Throws `OutboxError` (outbox-locked, outbox-unavailable).
   */
  async open(): Promise<void> {
    await this.#makeDirectory();
    this.#started = true;
    try {
      await this.#openStore();
      await this.#makeReserve().catch((error: unknown) => this.#fail(error));
    } catch (error) {
      const failure = this.#toError(error);
      if (failure.code !== 'outbox-disk-full') {
        this.#started = false;
        throw failure;
      }
      this.#broken = true;
      this.#fail(failure);
      // Without its reserve, it may open all the same.
      this.#run(() => this.#retry());
      await this.settled();
    }
  }

  async #makeDirectory(): Promise<void> {
    const { directory, report } = this.#options;
    const made = await mkdir(directory, { recursive: true, mode: 0o700 }).catch((cause: Error) => {
      throw new OutboxError('outbox-unavailable', `${directory}: the outbox cannot be made (${cause.message})`, {
        cause,
      });
    });
    if (made === undefined && ((await stat(directory)).mode & 0o007) !== 0) {
      report({
        level: 'warn',
        code: 'outbox-not-private',
        message: `${directory}: everyone can reach into the folder of the outbox; run: chmod o-rwx ${directory}`,
      });
    }
  }

  /** Writes what is under way and closes. */
  async close(): Promise<void> {
    if (!this.#started) return;
    while (this.#writing) await this.#writing;
    this.#started = false;
    clearTimeout(this.#retryTimer);
    await this.#opening?.catch(() => {});
    await this.#closeStore();
  }

  get state(): OutboxState {
    let refused = 0;
    for (const entry of this.#index.values()) if (entry.refused) refused++;
    return { entries: this.#index.size, bytes: this.#bytes, refused };
  }

  /**
   * Takes a message; resolves with its number when it is on disk for good.
   * Rejects with `OutboxError`: outbox-disk-full, outbox-full, outbox-unavailable, outbox-closed. What it rejected may
   * be put again; it may then be there twice where the failure came late.
   */
  async put(message: OutboxMessage): Promise<number> {
    const [number] = await this.putAll([message]);
    return number!;
  }

  /** As `put`, of several messages, in order, and notes: all of them or none. At least one message. */
  async putAll(messages: readonly OutboxMessage[], { notes = {}, share = 1 }: PutOptions = {}): Promise<number[]> {
    this.#assertLoaded();
    const entries = messages.map((message, index) => {
      const number = this.#next + index;
      const value = encodeEntry({ ...message, number });
      return { number, value, place: message.place, bytes: value.length + ENTRY_OVERHEAD };
    });
    const bytes = entries.reduce((sum, entry) => sum + entry.bytes, 0);
    this.#assertRoom(bytes, share);
    this.#next += entries.length;
    this.#pendingBytes += bytes;
    const [first, ...others] = [
      ...entries.map(({ number, value }) => ({ type: 'put' as const, key: entryKey(number), value })),
      ...Object.entries(notes).map(([name, value]) => noteOperation(name, value)),
    ];
    try {
      await new Promise<void>((resolve, reject) => {
        this.#enqueue({
          operations: [first!, ...others],
          adds: entries.length,
          sync: true,
          done: { resolve, reject },
        });
      });
    } finally {
      this.#pendingBytes -= bytes;
    }
    this.#saidFull.delete(share);
    for (const [name, value] of Object.entries(notes)) this.#keepNote(name, value);
    for (const { number, place, bytes } of entries) {
      this.#index.set(number, { bytes, place, refused: undefined });
      this.#bytes += bytes;
    }
    for (const listener of this.#putListeners) listener();
    return entries.map(({ number }) => number);
  }

  #assertRoom(bytes: number, share: number): void {
    const most = Math.floor(this.#options.maxBytes * share);
    const held = this.#bytes + this.#pendingBytes;
    if (held + bytes <= most) return;
    const error = new OutboxError(
      'outbox-full',
      `the outbox holds ${held} bytes and takes ${most} at most (outbox.maxMebibytes); ${bytes} more do not fit until the broker has taken some`,
    );
    if (!this.#saidFull.has(share)) this.#say('warn', 'outbox-full', error);
    this.#saidFull.add(share);
    throw error;
  }

  /** Calls `listener` after each message put. Gives a function that ends it. */
  onPut(listener: () => void): () => void {
    this.#putListeners.add(listener);
    return () => this.#putListeners.delete(listener);
  }

  /** Calls `listener` with the place of each entry that damage has destroyed while the outbox was open. */
  onLost(listener: (place: Place) => void): void {
    this.#lostListeners.add(listener);
  }

  /**
   * Calls `listener` once, when it is known what an earlier run left: where the disk is too full to open the outbox, that
   * is later than `open()`.
   */
  onLoaded(listener: () => void): void {
    if (this.#loaded) listener();
    else this.#loadedListeners.add(listener);
  }

  /** The entries behind `after`, in order. */
  *waiting(after = 0): Generator<WaitingEntry> {
    // Those that are being written are behind all that are there.
    while (this.#index.size > 0 && !this.#index.has(this.#first)) this.#first++;
    const from = Math.max(this.#first, after + 1);
    // Nearly all numbers are there, and looking for one is cheap; where a few old ones are left, the others are passed over.
    const numbers = this.#next - from <= 2 * this.#index.size ? count(from, this.#next) : this.#index.keys();
    for (const number of numbers) {
      const entry = number < from ? undefined : this.#index.get(number);
      if (entry !== undefined) yield { number, refused: entry.refused, place: entry.place };
    }
  }

  /** An entry; undefined when it is not (or no more) there. Rejects with `OutboxError`. */
  async read(number: number): Promise<OutboxEntry | undefined> {
    const [entry] = await this.readAll([number]);
    return entry;
  }

  /** As `read`, of several at once. */
  async readAll(numbers: readonly number[]): Promise<(OutboxEntry | undefined)[]> {
    this.#assertOpen();
    await this.#opening?.catch(() => {});
    const there = numbers.filter((number) => this.#index.has(number));
    if (there.length === 0) return numbers.map(() => undefined);
    const values = await this.#values(there);
    return numbers.map((number) => {
      const at = there.indexOf(number);
      return at < 0 ? undefined : this.#decode(number, values[at]);
    });
  }

  async #values(numbers: readonly number[]): Promise<(Buffer | undefined)[]> {
    try {
      return await this.#db.getMany(numbers.map(entryKey));
    } catch (error) {
      if (isCorruption(error)) {
        // Opening the store anew saves what can be read.
        this.#broken = true;
        this.#suspect = true;
        this.#run(() => this.#retry());
      }
      throw this.#toError(error);
    }
  }

  #decode(number: number, value: Buffer | undefined): OutboxEntry | undefined {
    const entry = value === undefined ? undefined : decodeEntry(value, number);
    if (entry === undefined && this.#index.has(number)) {
      this.#damaged(`entry ${number} cannot be read back and is lost`, { number });
      const { place } = this.#index.get(number)!;
      this.remove(number);
      this.#tellLost(place);
    }
    return entry;
  }

  /**
   * Removes an entry: it arrived. Gone from here at once, and from the disk as soon as it can be written; a power cut
   * before that brings it back.
   */
  remove(number: number): void {
    const entry = this.#index.get(number);
    if (entry === undefined) return;
    this.#index.delete(number);
    this.#bytes -= entry.bytes;
    this.#removedBytes += entry.bytes;
    this.#enqueue({ operations: [{ type: 'del', key: entryKey(number) }], adds: -1, sync: false });
  }

  /** Marks an entry as refused by the broker; it stays. Gives the mark. */
  async mark(number: number, reasonCode: number, atMs = Date.now()): Promise<Refusal | undefined> {
    const entry = await this.read(number);
    const indexed = this.#index.get(number);
    if (entry === undefined || indexed === undefined) return undefined;
    const refused = { reasonCode, times: (indexed.refused?.times ?? 0) + 1, atMs };
    indexed.refused = refused;
    this.#enqueue({
      operations: [{ type: 'put', key: entryKey(number), value: encodeEntry({ ...entry, refused }) }],
      adds: 0,
      sync: true,
    });
    return refused;
  }

  /** Small values that are kept beside the entries; a copy. */
  get notes(): Map<string, string> {
    return new Map(this.#notes);
  }

  noteOf(name: string): string | undefined {
    return this.#notes.get(name);
  }

  /**
   * Sets a note, or removes it (undefined). In force at once, on disk as soon as it can be written; without `sync`
   * a power cut may bring back the one before.
   */
  note(name: string, value: string | undefined, sync = true): void {
    if (this.#notes.get(name) === value) return;
    this.#assertOpen();
    this.#keepNote(name, value);
    this.#enqueue({ operations: [noteOperation(name, value)], adds: 0, sync: sync && value !== undefined });
  }

  #keepNote(name: string, value: string | undefined): void {
    if (value === undefined) this.#notes.delete(name);
    else this.#notes.set(name, value);
  }

  /** Resolves when everything under way is written or waits for room. */
  async settled(): Promise<void> {
    while (this.#writing) await this.#writing;
  }

  // ------------------------------------------------------------ writing

  #enqueue(write: Write): void {
    this.#queue.push(write);
    this.#run(() => this.#write());
  }

  #run(work: () => Promise<void>): void {
    if (this.#writing !== undefined) return;
    this.#writing = work().finally(() => {
      this.#writing = undefined;
      // What came after the last look at the queue. While nothing can be written, only those who wait for an answer.
      if (this.#queue.some(({ done }) => !this.#broken || done !== undefined)) this.#run(() => this.#write());
    });
  }

  async #write(): Promise<void> {
    while (this.#queue.length > 0) {
      if (!(await this.#makeReady())) {
        this.#rejectPuts(this.#queue);
        this.#retryLater();
        return;
      }
      const batch = this.#queue;
      this.#queue = [];
      // On a full disk what removes goes on; what adds is refused.
      if (!this.#hasReserve) this.#rejectPuts(batch);
      const writes = batch.filter((write) => this.#hasReserve || write.done === undefined);
      if (writes.length > 0) await this.#writeBatch(writes);
      if (!this.#hasReserve) this.#retryLater();
    }
  }

  async #writeBatch(writes: Write[]): Promise<void> {
    const count = writes.reduce((sum, { adds }) => sum + adds, this.#count);
    const meta: Meta = { next: this.#next, count };
    const operations: Operation[] = writes.flatMap(({ operations }) => operations);
    operations.push({ type: 'put', key: META, value: Buffer.from(JSON.stringify(meta)) });
    try {
      await this.#db.batch(operations, { sync: writes.some(({ sync }) => sync) });
    } catch (error) {
      this.#broken = true;
      this.#fail(error);
      // What has no one waiting for it is written later; the others are told.
      this.#queue = [...writes.filter(({ done }) => done === undefined), ...this.#queue];
      this.#rejectPuts(writes);
      return;
    }
    this.#count = count;
    for (const { done } of writes) done?.resolve();
  }

  #rejectPuts(writes: readonly Write[]): void {
    const failure = this.#failure ?? new OutboxError('outbox-unavailable', 'the outbox cannot be written');
    for (const { done } of writes) done?.reject(failure);
    if (writes === this.#queue) this.#queue = this.#queue.filter(({ done }) => done === undefined);
  }

  /** Whether anything can be written; tries to get out of a failure, not more often than every `retryMs`. */
  async #makeReady(): Promise<boolean> {
    if (!this.#broken && this.#hasReserve) return true;
    if (performance.now() < this.#retryAtMs) return !this.#broken;
    this.#retryAtMs = performance.now() + this.#options.retryMs;
    try {
      if (this.#broken) {
        await unlink(this.#reserve).catch(() => {});
        this.#hasReserve = false;
        await this.#closeStore();
        await this.#openStore();
        this.#broken = false;
      }
      await this.#shrink();
      // Half as much again must be free, or the next messages would fill the disk at once.
      if (!this.#hasReserve) await this.#makeReserve(this.#options.reserveBytes >> 1);
      if (this.#failure) {
        this.#failure = undefined;
        this.#options.report({ level: 'info', code: 'outbox-room', message: 'the outbox can be written again' });
      }
    } catch (error) {
      this.#fail(error);
    }
    return !this.#broken;
  }

  /**
   * Gives back what the store holds without need: files left from a table's rewriting, and, where enough was removed
   * to be worth its own need of room, the removed entries themselves.
   */
  async #shrink(): Promise<void> {
    const worthIt = this.#index.size === 0 || this.#removedBytes >= this.#options.reserveBytes / 2;
    await (worthIt ? this.#db.compactRange('e!', 'e~') : this.#db.compactRange('~', '~~'));
    if (worthIt) this.#removedBytes = 0;
  }

  #retryLater(): void {
    clearTimeout(this.#retryTimer);
    this.#retryTimer = setTimeout(() => {
      if (this.#started && (this.#broken || !this.#hasReserve)) this.#run(() => this.#retry());
    }, this.#options.retryMs * 5);
    this.#retryTimer.unref();
  }

  async #retry(): Promise<void> {
    if ((await this.#makeReady()) && this.#queue.length > 0) await this.#write();
    if (this.#broken || !this.#hasReserve) this.#retryLater();
  }

  async #makeReserve(spareBytes = 0): Promise<void> {
    const { reserveBytes } = this.#options;
    const size = await stat(this.#reserve).then(
      (found) => found.size,
      () => 0,
    );
    if (size !== reserveBytes) {
      try {
        const file = await open(this.#reserve, 'w', 0o600);
        try {
          // Random, so that no file system stores it in less room.
          await file.writeFile(randomBytes(reserveBytes + spareBytes));
          await file.sync();
          await file.truncate(reserveBytes);
        } finally {
          await file.close();
        }
      } catch (error) {
        await unlink(this.#reserve).catch(() => {});
        throw error;
      }
    }
    this.#hasReserve = true;
  }

  // ------------------------------------------------------------ opening

  #openStore(): Promise<void> {
    const opening = this.#checkAndLoad().finally(() => {
      this.#opening = undefined;
    });
    this.#opening = opening;
    return opening;
  }

  async #checkAndLoad(): Promise<void> {
    if (!this.#loaded) await takeSalvaged(this.#folder);
    const damage = this.#suspect ? await this.#check() : undamaged;
    if (damage.currentLost) await this.#mend('its file CURRENT is missing or damaged', repairStore);
    try {
      await this.#openFolder();
    } catch (error) {
      if (!isCorruption(error)) throw error;
      await this.#mend((error as Error).message, repairStore);
      await this.#openFolder();
    }
    const load = (store: ClassicLevel<string, Buffer>) => this.#load(store);
    try {
      await this.#orClose(async (store) => {
        if (damage.tables > 0) throw damagedTables(damage.tables);
        await load(store);
      });
    } catch (error) {
      if (!isCorruption(error)) throw error;
      // LevelDB's repair would keep damaged keys, or end this process over their order.
      await this.#mend((error as Error).message, salvageStore);
      await this.#openFolder();
      await this.#orClose(load);
    }
    this.#suspect = false;
    if (damage.logBytes > 0) {
      this.#damaged(`${damage.logBytes} bytes of its log are damaged; messages in them are lost`, {
        bytes: damage.logBytes,
      });
    }
  }

  /** Looks for damage. Files that come and go under its eyes are those of a process that has the store open. */
  async #check(): Promise<StoreDamage> {
    let damage: StoreDamage | undefined;
    try {
      damage = checkStore(this.#folder);
    } finally {
      if (damage === undefined || damage.currentLost) await assertFree(this.#folder);
    }
    return damage;
  }

  async #openFolder(): Promise<void> {
    this.#store = await makeStore(this.#folder, this.#options.writeBufferBytes);
    await this.#orClose((store) => store.open());
  }

  async #orClose(work: (store: ClassicLevel<string, Buffer>) => Promise<void>): Promise<void> {
    try {
      await work(this.#db);
    } catch (error) {
      await this.#closeStore();
      throw error;
    }
  }

  async #closeStore(): Promise<void> {
    const store = this.#store;
    this.#store = undefined;
    await store?.close();
  }

  /** Reads everything: index, notes, and whether all is there and whole. */
  async #load(store: ClassicLevel<string, Buffer>): Promise<void> {
    const index = new Map<number, IndexEntry>();
    const stored = new Set<string>();
    const notes = new Map<string, string>();
    const lost: number[] = [];
    let last = 0;
    let meta: Meta | undefined;
    for await (const [key, value] of store.iterator()) {
      if (key === META) {
        meta = parseMeta(value);
        continue;
      }
      if (key.startsWith('n!')) {
        notes.set(key.slice(2), value.toString());
        continue;
      }
      if (key !== keyOf(key, value)) throw damagedKey();
      const number = Number(key.slice(2));
      stored.add(key);
      last = number;
      const entry = decodeEntry(value, number);
      if (entry === undefined) lost.push(number);
      else index.set(number, { bytes: value.length + ENTRY_OVERHEAD, place: entry.place, refused: entry.refused });
    }
    // What waits to be written counts already; where a write that seemed to fail has removed an entry, nothing is left to do.
    this.#queue = this.#queue.filter(
      ({ operations: [{ key }], adds }) => adds > 0 || !key.startsWith('e!') || stored.has(key),
    );
    for (const { operations, adds } of this.#queue) if (adds === -1) index.delete(Number(operations[0].key.slice(2)));
    const gone = [...this.#index].filter(([number]) => !index.has(number));
    this.#index = index;
    this.#first = 1;
    this.#bytes = [...index.values()].reduce((sum, { bytes }) => sum + bytes, 0);
    this.#count = stored.size;
    this.#next = Math.max(this.#next, meta?.next ?? 1, last + 1);
    // Those that were set before it could be opened are newer.
    if (!this.#loaded) this.#notes = new Map([...notes, ...this.#notes]);
    this.#loaded = true;
    for (const number of lost) {
      this.#damaged(`entry ${number} does not match its checksum and is lost`, { number });
      this.#queue.push({ operations: [{ type: 'del', key: entryKey(number) }], adds: -1, sync: false });
    }
    for (const [, { place }] of gone) this.#tellLost(place);
    const expected = meta?.count ?? (stored.size > 0 ? undefined : 0);
    if (expected === undefined) this.#damaged('the count of its entries is missing', {});
    else if (stored.size < expected)
      this.#damaged(`${expected - stored.size} of ${expected} entries are missing`, {
        missing: expected - stored.size,
      });
    for (const listener of this.#loadedListeners) listener();
    this.#loadedListeners.clear();
  }

  /** Mends the store; a copy of the damaged one stays beside it. */
  async #mend(reason: string, work: (folder: string) => Promise<void>): Promise<void> {
    const copy = await copyDamaged(this.#folder);
    await work(this.#folder);
    const kept = copy === undefined ? 'there was no room for a copy' : `${copy} is a copy`;
    this.#options.report({
      level: 'error',
      code: 'outbox-repaired',
      message: `the outbox was damaged (${reason}) and has been repaired as far as it could be read; ${kept} of the damaged one`,
    });
  }

  // ------------------------------------------------------------ saying

  get #db(): ClassicLevel<string, Buffer> {
    if (this.#store === undefined) throw this.#failure ?? new OutboxError('outbox-closed', 'the outbox is not open');
    return this.#store;
  }

  #assertOpen(): void {
    if (!this.#started) throw new OutboxError('outbox-closed', 'the outbox is not open');
  }

  #assertLoaded(): void {
    this.#assertOpen();
    if (this.#loaded) return;
    this.#run(() => this.#retry());
    throw this.#failure ?? new OutboxError('outbox-unavailable', 'the outbox is being opened');
  }

  #tellLost(place: Place | undefined): void {
    if (place !== undefined) for (const listener of this.#lostListeners) listener(place);
  }

  #damaged(what: string, fields: Record<string, number>): void {
    this.#options.report({ level: 'error', code: 'outbox-damaged', message: `the outbox is damaged: ${what}`, fields });
  }

  #fail(error: unknown): void {
    const failure = this.#toError(error);
    if (this.#failure?.code !== failure.code) {
      this.#say('error', failure.code === 'outbox-disk-full' ? 'outbox-disk-full' : 'outbox-failed', failure);
    }
    this.#failure = failure;
  }

  #say(level: 'warn' | 'error', code: 'outbox-disk-full' | 'outbox-full' | 'outbox-failed', error: OutboxError): void {
    this.#options.report({ level, code, message: error.message });
  }

  #toError(cause: unknown): OutboxError {
    return outboxError(this.#options.directory, cause);
  }
}

function* count(from: number, end: number): Generator<number> {
  for (let number = from; number < end; number++) yield number;
}

function noteOperation(name: string, value: string | undefined): Operation {
  const key = noteKey(name);
  return value === undefined ? { type: 'del', key } : { type: 'put', key, value: Buffer.from(value) };
}

function parseMeta(value: Buffer): Meta | undefined {
  try {
    const { next, count } = JSON.parse(value.toString()) as Meta;
    return Number.isSafeInteger(next) && Number.isSafeInteger(count) ? { next, count } : undefined;
  } catch {
    return undefined;
  }
}
