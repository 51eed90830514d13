// What of each meter's records is on disk for good, and what the broker has acknowledged: kept in the outbox, beside the
// messages that wait there.
//
// What always holds:
// - Both are contiguous: every entry up to `stored` is or was in the outbox, every one up to `delivered` was acknowledged by
//   the broker, ones that the meter does not have any more aside. Neither says more than what survives a power cut.
// - Sequences are of one chain of a meter. One that is found to be another begins with a new epoch and nothing known;
//   what waits of the old one is still published, and counts for nothing.
// - An entry that damage took from the outbox is not counted as delivered: the meter is asked for everything again.
import type { Outbox, OutboxMessage, Place } from './outbox.ts';

/** Share of the outbox that records may fill: the rest is for events. */
export const recordShare = 7 / 8;

/** An entry of the record ring that is to be stored. */
export interface StoredEntry {
  readonly sequence: number;
  /** How the entry after it names it (`ChainField.Link`), in hexadecimal digits. */
  readonly link: string;
  readonly message: Omit<OutboxMessage, 'place'>;
}

/** Entries of a context, 128 bytes each, in order. */
export type ContextEntries = readonly Uint8Array[];

/** Inclusive. */
type Range = readonly [first: number, last: number];

interface StoredNote {
  readonly epoch: number;
  /** Everything up to here was never seen: the chain was met behind it. */
  readonly base: number;
  readonly stored: number;
  readonly link: string;
}

interface DeliveredNote {
  readonly epoch: number;
  readonly delivered: number;
  /** What was acknowledged behind it, or is not to be had. */
  readonly ahead: readonly Range[];
}

interface ContextNote {
  readonly epoch: number;
  /** base64. */
  readonly entries: readonly string[];
}

const storedNote = 'records/';
const deliveredNote = 'delivered/';
const contextNote = 'context/';

export class RecordLedger {
  readonly #outbox: Outbox;
  readonly #meters = new Map<string, MeterLedger>();
  /** What waits since an earlier run, of meters that were not met yet: positions by series. */
  readonly #loaded = new Map<string, Set<number>>();

  constructor(outbox: Outbox) {
    this.#outbox = outbox;
    outbox.onLost(({ series }) => this.#ofSeries(series)?.startOver());
  }

  /** Reads what an earlier run left; once, when the outbox knows it (`onLoaded`). */
  load(): void {
    for (const { place } of this.#outbox.waiting()) {
      if (place === undefined) continue;
      const positions = this.#loaded.get(place.series) ?? new Set();
      positions.add(place.position);
      this.#loaded.set(place.series, positions);
    }
    // A meter that was met before may have another chain than it left.
    for (const meter of this.#meters.values()) meter.startOver(this.#loaded);
  }

  /** A meter's; its id holds letters, digits, dots, dashes and underscores only. */
  meter(id: string): MeterLedger {
    let meter = this.#meters.get(id);
    if (meter === undefined) {
      meter = new MeterLedger(id, this.#outbox, this.#loaded);
      this.#meters.set(id, meter);
      for (const series of this.#loaded.keys()) if (isSeriesOf(series, id)) this.#loaded.delete(series);
    }
    return meter;
  }

  /** The broker has acknowledged an entry: to be called before it is removed from the outbox. */
  acknowledged(place: Place): void {
    this.#ofSeries(place.series)?.acknowledged(place.position);
  }

  /** Also of a meter that was not met since the start. */
  #ofSeries(series: string): MeterLedger | undefined {
    const [kind, id] = series.split('/');
    if (kind !== 'records' || id === undefined) return undefined;
    const meter = this.meter(id);
    return meter.series === series ? meter : undefined;
  }
}

export class MeterLedger {
  readonly #id: string;
  readonly #outbox: Outbox;
  #epoch = 0;
  #base = 0;
  #stored = 0;
  #delivered = 0;
  #ahead: Range[] = [];
  #link = '';
  #context: ContextEntries = [];
  readonly #listeners = new Set<() => void>();

  constructor(id: string, outbox: Outbox, waiting: ReadonlyMap<string, ReadonlySet<number>>) {
    this.#id = id;
    this.#outbox = outbox;
    const lastEpoch = this.#lastEpochOf(waiting);
    const stored = this.#read<StoredNote>(storedNote);
    if (stored === undefined || stored.epoch < lastEpoch) {
      this.#epoch = lastEpoch + 1;
      return;
    }
    this.#epoch = stored.epoch;
    this.#base = stored.base;
    this.#stored = stored.stored;
    this.#link = stored.link;
    const delivered = this.#read<DeliveredNote>(deliveredNote);
    const isOfEpoch = delivered?.epoch === this.#epoch;
    this.#delivered = Math.max(this.#base, isOfEpoch ? delivered.delivered : 0);
    this.#ahead = isOfEpoch ? [...delivered.ahead] : [];
    const context = this.#read<ContextNote>(contextNote);
    if (context?.epoch === this.#epoch) this.#context = context.entries.map((text) => Buffer.from(text, 'base64'));
    if (!this.#isWhole(waiting.get(this.series))) this.startOver();
  }

  #lastEpochOf(waiting: ReadonlyMap<string, unknown>): number {
    const epochs = [...waiting.keys()].filter((series) => isSeriesOf(series, this.#id));
    return Math.max(0, ...epochs.map((series) => Number(series.split('/')[2])));
  }

  /** Each entry is there that was stored and is not delivered. */
  #isWhole(waiting: ReadonlySet<number> = new Set()): boolean {
    for (let sequence = this.#delivered + 1; sequence <= this.#stored; sequence++) {
      const passed = this.#ahead.find(([first, last]) => first <= sequence && sequence <= last);
      if (passed !== undefined) sequence = passed[1];
      else if (!waiting.has(sequence)) return false;
    }
    return true;
  }

  /** Name of the chain among the places of the outbox. */
  get series(): string {
    return `records/${this.#id}/${this.#epoch}`;
  }

  /** All up to this entry are on disk for good; 0 where nothing is known of the chain. */
  get stored(): number {
    return this.#stored;
  }

  /** All up to this entry were acknowledged by the broker; 0 where none was. */
  get delivered(): number {
    return this.#delivered > this.#base ? Math.min(this.#delivered, this.#stored) : 0;
  }

  /** How the entry behind `stored` has to name it; empty where nothing is stored. */
  get link(): string {
    return this.#link;
  }

  /** The newest context; none where none is known. */
  get context(): ContextEntries {
    return this.#context;
  }

  /** Calls `listener` when `delivered` has changed, or the chain started over. Gives a function that ends it. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Nothing is known of the meter's chain any more.
   * @param waiting by series, where some may wait of which it did not know
   */
  startOver(waiting: ReadonlyMap<string, unknown> = new Map()): void {
    const noted = this.#read<StoredNote>(storedNote)?.epoch ?? 0;
    this.#epoch = Math.max(this.#epoch, noted, this.#lastEpochOf(waiting)) + 1;
    [this.#base, this.#stored, this.#delivered, this.#link] = [0, 0, 0, ''];
    this.#ahead = [];
    this.#context = [];
    this.#outbox.note(`${storedNote}${this.#id}`, JSON.stringify(this.#stateWith([])));
    for (const listener of this.#listeners) listener();
  }

  /**
   * Stores entries in ascending order: each follows the one before, or what is stored; or there is nothing between them
   * that the meter still has. Those at or before `stored` are published again and change nothing else. All are stored,
   * or none.
   * @param context the newest one, where it is another than before
   * @param more notes of others, to be there together with these entries or not at all
   * @throws OutboxError
   */
  async store(
    entries: readonly StoredEntry[],
    context?: ContextEntries,
    more: Readonly<Record<string, string | undefined>> = {},
  ): Promise<void> {
    const { series } = this;
    const messages = entries.map(({ sequence, message }) => ({ ...message, place: { series, position: sequence } }));
    const state = this.#stateWith(entries);
    const notes: Record<string, string | undefined> = {
      ...more,
      [`${storedNote}${this.#id}`]: JSON.stringify(state),
    };
    if (context !== undefined) {
      const encoded = context.map((bytes) => Buffer.from(bytes).toString('base64'));
      const note: ContextNote = { epoch: this.#epoch, entries: encoded };
      notes[`${contextNote}${this.#id}`] = JSON.stringify(note);
    }
    const skipped = this.#skippedBy(entries);
    await this.#outbox.putAll(messages, { notes, share: recordShare });
    if (series !== this.series) return;
    this.#base = state.base;
    this.#stored = state.stored;
    this.#link = state.link;
    if (context !== undefined) this.#context = context;
    this.#delivered = Math.max(this.#delivered, this.#base);
    this.#ahead = skipped.reduce(withRange, this.#ahead);
    this.#advance();
    if (skipped.length > 0) this.#noteDelivered();
  }

  #stateWith(entries: readonly StoredEntry[]): StoredNote {
    const last = entries.reduce((newest, entry) => (entry.sequence > newest.sequence ? entry : newest), {
      sequence: this.#stored,
      link: this.#link,
    });
    if (last.sequence === this.#stored) {
      return { epoch: this.#epoch, base: this.#base, stored: this.#stored, link: this.#link };
    }
    const base = this.#stored === 0 ? entries[0]!.sequence - 1 : this.#base;
    return { epoch: this.#epoch, base, stored: last.sequence, link: last.link };
  }

  /** Sequences between what is stored and these entries, and among them. */
  #skippedBy(entries: readonly StoredEntry[]): Range[] {
    const ranges: Range[] = [];
    let last = this.#stored === 0 ? entries[0]!.sequence - 1 : this.#stored;
    for (const { sequence } of entries) {
      if (sequence > last + 1) ranges.push([last + 1, sequence - 1]);
      last = Math.max(last, sequence);
    }
    return ranges;
  }

  /** The broker has acknowledged an entry. */
  acknowledged(sequence: number): void {
    if (sequence <= this.#delivered) return;
    this.#ahead = withRange(this.#ahead, [sequence, sequence]);
    this.#advance();
    this.#noteDelivered();
  }

  // Without `sync`: where a power cut takes it, it takes the entry's removal too, and both are done once more.
  #noteDelivered(): void {
    const note: DeliveredNote = { epoch: this.#epoch, delivered: this.#delivered, ahead: this.#ahead };
    this.#outbox.note(`${deliveredNote}${this.#id}`, JSON.stringify(note), false);
  }

  #advance(): void {
    const first = this.#ahead[0];
    if (first === undefined || first[0] > this.#delivered + 1) return;
    this.#delivered = Math.max(this.#delivered, first[1]);
    this.#ahead.shift();
    for (const listener of this.#listeners) listener();
  }

  #read<Note>(prefix: string): Note | undefined {
    const text = this.#outbox.noteOf(`${prefix}${this.#id}`);
    return text === undefined ? undefined : (JSON.parse(text) as Note);
  }
}

const isSeriesOf = (series: string, id: string) => series.startsWith(`records/${id}/`);

/** Ranges in ascending order, none of which touch, with one more. */
function withRange(ranges: readonly Range[], [first, last]: Range): Range[] {
  const before = ranges.filter((range) => range[1] + 1 < first);
  const behind = ranges.filter((range) => last + 1 < range[0]);
  const touched = ranges.slice(before.length, ranges.length - behind.length);
  const merged: Range = [Math.min(first, touched[0]?.[0] ?? first), Math.max(last, touched.at(-1)?.[1] ?? last)];
  return [...before, merged, ...behind];
}
