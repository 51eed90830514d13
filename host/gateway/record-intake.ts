// Takes the entries of a meter's record ring into the outbox, in order, and tells the meter how far they have come.
//
// What always holds:
// - The meter is told of nothing as stored that is not on disk for good, nor as delivered that the broker has not
//   acknowledged; and of nothing as delivered before it is known in this session that its chain is the one of which it
//   was delivered: a meter that was provisioned anew, or whose storage is an older one, starts over.
// - No entry is passed over that the meter still has. Where one is missing, or found no place, a new session makes the
//   meter send everything again that is not stored.
// - A record is published with the context that it names; where that is not known, the meter is asked for it first.
import { createHash } from 'node:crypto';
import { ChainField, Message, Ring } from '../../as/abi/codes.ts';
import { type Entry, MessageError } from '../link/messages.ts';
import type { Logger } from '../log.ts';
import { OutboxError, type OutboxMessage } from '../outbox/outbox.ts';
import type { MeterLedger, StoredEntry } from '../outbox/record-ledger.ts';
import { type Context, tryDecodeEntry } from '../record/entry.ts';
import { ContextKeeper } from './context-keeper.ts';
import { MeterSessionError } from './meter-commands.ts';
import type { MeterSession } from './meter-session.ts';

/** Makes the message of an entry; `context` is the one that it names, or ends. */
export type RecordEncoder = (entry: Uint8Array, context: Context | undefined) => Omit<OutboxMessage, 'place'>;

/** An entry on its way into the outbox. */
export interface FollowedEntry {
  readonly bytes: Uint8Array;
  readonly sequence: number;
  /** The first 16 bytes of its SHA-512, in hexadecimal digits. */
  readonly link: string;
}

/** Who goes on with the entries of a meter. */
export interface RecordFollower {
  /** Notes for the outbox: there together with these entries, or not at all. */
  notesOf(entries: readonly FollowedEntry[]): Readonly<Record<string, string | undefined>>;
  /** They are stored, with their notes. */
  stored(entries: readonly FollowedEntry[]): void;
  /** What follows is of another chain. */
  begunAnew(): void;
}

export interface RecordIntakeOptions {
  readonly ledger: MeterLedger;
  readonly encode: RecordEncoder;
  readonly follower?: RecordFollower | undefined;
  readonly log: Logger;
  /** Pause before what the outbox did not take is tried again. */
  readonly outboxRetryMs?: number;
  /** Shortest time between two messages to the meter about how far its records have come. */
  readonly tellMs?: number;
}

/** What a session has to do for it. */
export type RecordSession = Pick<MeterSession, 'link' | 'commands' | 'generation'>;

const mostWaiting = 1_024;
const mostTogether = 64;
const hashesKept = 64;
/** Tries to hear a context of a meter that does not answer. */
const mostAskedInVain = 3;

export class RecordIntake {
  readonly #options: RecordIntakeOptions & Required<Pick<RecordIntakeOptions, 'outboxRetryMs' | 'tellMs'>>;
  readonly #ledger: MeterLedger;
  readonly #log: Logger;
  readonly #stopListening: () => void;
  /** The chain that is stored. */
  #series: string;
  #session: RecordSession | undefined;
  #generation = 0;
  /** The meter's chain is the one that is stored. */
  #verified = false;
  /** Nothing of this session came yet. */
  #isFirst = true;
  /** What comes is not taken: when all that waits is stored, a new session begins. */
  #deaf = false;
  readonly #waiting: FollowedEntry[] = [];
  /** Of the last entries that were stored. */
  readonly #hashes = new Map<number, string>();
  readonly #contexts = new ContextKeeper();
  #storing = false;
  /** How many are stored at once: fewer where the outbox is nearly full. */
  #together = mostTogether;
  #askedInVain = 0;
  #retry: NodeJS.Timeout | undefined;
  #told = '';
  #telling: NodeJS.Timeout | undefined;

  constructor(options: RecordIntakeOptions) {
    this.#options = { outboxRetryMs: 2_000, tellMs: 100, ...options };
    this.#ledger = options.ledger;
    this.#log = options.log;
    this.#series = this.#ledger.series;
    this.#contexts.restore(this.#ledger.context);
    this.#stopListening = this.#ledger.onChange(() => {
      if (this.#ledger.series === this.#series) this.#tell();
      else this.#begunAnew();
    });
  }

  /** The context of this sequence, where it is known. */
  context(sequence: number): Context | undefined {
    return this.#contexts.get(sequence);
  }

  /** Whether the session that has begun is this one, as it stands now. */
  isOf(session: RecordSession): boolean {
    return session === this.#session && session.generation === this.#generation;
  }

  /** The meter's session begins; nothing of it came yet. */
  begin(session: RecordSession): void {
    this.end();
    this.#session = session;
    this.#generation = session.generation;
    // What waits is not stored yet, and will come again.
    this.#waiting.length = 0;
    this.#verified = this.#ledger.stored === 0;
    this.#isFirst = true;
    this.#deaf = false;
    this.#askedInVain = 0;
    this.#tellNow();
    if (!this.#verified) void this.#verify(session);
  }

  /** The session is over. */
  end(): void {
    this.#session = undefined;
    this.#told = '';
    clearTimeout(this.#telling);
    this.#telling = undefined;
  }

  close(): void {
    this.end();
    clearTimeout(this.#retry);
    this.#waiting.length = 0;
    this.#stopListening();
  }

  /** Takes an entry that the meter sent unasked. */
  take({ ring, entry }: Entry): void {
    if (ring !== Ring.Records || this.#deaf || this.#session === undefined) return;
    const { sequence, link, previous } = named(entry);
    const [last] = this.#waiting.slice(-1);
    const next = Math.max(this.#ledger.stored, last?.sequence ?? 0) + 1;
    const isFirst = this.#isFirst;
    this.#isFirst = false;
    const waiting: FollowedEntry = { bytes: entry, sequence, link };
    if (sequence < next && this.#isKnown(waiting)) return;
    if (sequence === next && next > 1 && !this.#follows(waiting, previous, last)) return;
    if (sequence > next && next > 1) {
      if (!isFirst) {
        this.#resynchronise('an entry is missing', { expected: next, came: sequence });
        return;
      }
      this.#log.error('the meter has no more of these records: they did not come here', {
        first: next,
        last: sequence - 1,
      });
    }
    if (this.#waiting.length >= mostWaiting) {
      this.#resynchronise('more entries than can wait', {});
      return;
    }
    this.#waiting.push(waiting);
    void this.#run();
  }

  /** Whether an entry came before, with these bytes; one with other bytes is published too. */
  #isKnown({ sequence, link }: FollowedEntry): boolean {
    const hash = this.#waiting.find((one) => one.sequence === sequence)?.link ?? this.#hashes.get(sequence);
    const known = hash ?? (sequence === this.#ledger.stored ? this.#ledger.link : undefined);
    if (known === undefined || known === link) return known === link;
    this.#log.warn('the meter sent a record again with other bytes: both are published', { sequence });
    return false;
  }

  /** Whether an entry names the one before it; one that does not is taken all the same where the chain is known to be this one. */
  #follows({ sequence }: FollowedEntry, previous: string, last: FollowedEntry | undefined): boolean {
    const isOfStored = last === undefined || last.sequence <= this.#ledger.stored;
    const expected = isOfStored ? this.#ledger.link : last.link;
    if (previous === expected) {
      if (isOfStored) this.#accept();
      return true;
    }
    if (!this.#verified) {
      this.#startOver('what the meter sends does not follow what is stored');
      return false;
    }
    this.#log.warn('a record does not name the one before it: the chain is broken', { sequence });
    return true;
  }

  #accept(): void {
    if (this.#verified) return;
    this.#verified = true;
    this.#tell();
  }

  /** Asks for the last entry that is stored: who has it, has this chain. One that has it no more will name it in the next. */
  async #verify(session: RecordSession): Promise<void> {
    const { stored, link } = this.#ledger;
    try {
      const { entries } = await session.commands.entries(Ring.Records, stored, 1);
      if (session !== this.#session || this.#verified || stored !== this.#ledger.stored) return;
      const [entry] = entries;
      if (entry !== undefined && named(entry).link === link) this.#accept();
      else if (entry !== undefined) this.#startOver('an entry that is stored is another one in the meter');
    } catch (error) {
      if (!(error instanceof MeterSessionError)) throw error;
      // The next entry names the last one.
      this.#log.debug('the meter did not say its last record', { error: error.message });
    }
  }

  /** The meter says the sequence of its newest entry. */
  newest(sequence: number): void {
    const { stored } = this.#ledger;
    if (this.#session === undefined) return;
    if (sequence < stored && !this.#verified) this.#startOver('the meter has fewer entries than are stored');
    // One that starts takes no acknowledgement before it has found its rings.
    if (sequence > stored && this.#isFirst) {
      this.#told = '';
      this.#tell();
    }
  }

  #startOver(reason: string): void {
    this.#log.warn('the records of this meter begin anew', { reason, stored: this.#ledger.stored });
    this.#ledger.startOver();
  }

  /** Nothing is known of the chain any more. */
  #begunAnew(): void {
    this.#series = this.#ledger.series;
    this.#waiting.length = 0;
    this.#hashes.clear();
    this.#contexts.clear();
    this.#options.follower?.begunAnew();
    if (this.#session !== undefined) this.#resynchronise('another chain', {});
  }

  #resynchronise(reason: string, fields: Record<string, number>): void {
    if (this.#deaf) return;
    this.#deaf = true;
    this.#log.info('the meter is to send again what is not stored', { reason, ...fields });
    void this.#run();
  }

  /** Stores what waits; then begins a new session where one is due. */
  async #run(): Promise<void> {
    if (this.#storing || this.#retry !== undefined) return;
    this.#storing = true;
    try {
      while (this.#waiting.length > 0) {
        if (!(await this.#store())) return this.#pause();
      }
    } finally {
      this.#storing = false;
    }
    if (!this.#deaf || this.#session === undefined) return;
    const { link } = this.#session;
    this.end();
    link.restart();
  }

  #pause(): void {
    this.#retry = setTimeout(() => {
      this.#retry = undefined;
      void this.#run();
    }, this.#options.outboxRetryMs).unref();
  }

  /** Stores the first of those that wait; false where the outbox takes nothing now, or a context is still missing. */
  async #store(): Promise<boolean> {
    this.#dropStored();
    const together = this.#waiting.slice(0, this.#together);
    const [first] = together;
    if (first === undefined) return true;
    const stored: StoredEntry[] = [];
    for (const { bytes, sequence, link } of together) {
      const context = await this.#contextOf(bytes);
      if (context === 'missing') break;
      stored.push({ sequence, link, message: this.#options.encode(bytes, context) });
    }
    // A new session, or another chain, while the meter was asked.
    if (this.#waiting[0] !== first) return true;
    if (stored.length === 0) return false;
    const followed = together.slice(0, stored.length);
    const newest = this.#contexts.takeNewest();
    try {
      await this.#ledger.store(stored, newest, this.#options.follower?.notesOf(followed));
    } catch (error) {
      if (!(error instanceof OutboxError)) throw error;
      // The outbox has said why.
      this.#log.debug('records stay with their meter', { code: error.code });
      this.#contexts.giveBack(newest);
      if (error.code !== 'outbox-full' || this.#together === 1) return false;
      this.#together = Math.ceil(this.#together / 2);
      return true;
    }
    this.#together = Math.min(2 * this.#together, mostTogether);
    for (const { sequence, link } of stored) this.#remember(sequence, link);
    if (this.#waiting[0] === first) this.#waiting.splice(0, stored.length);
    this.#tell();
    this.#options.follower?.stored(followed);
    return true;
  }

  /** What was being stored when a session ended, and has come again since. */
  #dropStored(): void {
    const isStored = ({ sequence, link }: FollowedEntry) =>
      sequence <= this.#ledger.stored && this.#hashes.get(sequence) === link;
    const kept = this.#waiting.findIndex((waiting) => !isStored(waiting));
    this.#waiting.splice(0, kept < 0 ? this.#waiting.length : kept);
  }

  #remember(sequence: number, link: string): void {
    this.#hashes.delete(sequence);
    this.#hashes.set(sequence, link);
    const [oldest] = this.#hashes.keys();
    if (this.#hashes.size > hashesKept) this.#hashes.delete(oldest!);
  }

  /** The context that a record names, or whose last part an entry is; undefined where there is none to be had. */
  async #contextOf(bytes: Uint8Array): Promise<Context | undefined | 'missing'> {
    const entry = tryDecodeEntry(Ring.Records, bytes);
    if (entry instanceof MessageError) {
      this.#log.error('an entry of the records cannot be read: it is published as it is', named(bytes));
      return undefined;
    }
    return this.#contexts.of(entry, (sequence) => this.#askContext(sequence));
  }

  async #askContext(sequence: number): Promise<Context | undefined | 'missing'> {
    const session = this.#session;
    if (session === undefined) return 'missing';
    try {
      const context = await this.#contexts.ask(session.commands, sequence);
      if (context !== undefined) return context;
    } catch (error) {
      if (!(error instanceof MeterSessionError)) throw error;
      this.#log.debug('the meter did not say a context', { context: sequence, error: error.message });
      this.#askedInVain++;
      if (error.code === 'meter-offline' || this.#askedInVain < mostAskedInVain) return 'missing';
    }
    this.#askedInVain = 0;
    this.#log.warn('the meter does not have the context that a record names: the record is published without it', {
      context: sequence,
    });
    this.#contexts.giveUp(sequence);
    return undefined;
  }

  #tell(): void {
    if (this.#telling !== undefined) return;
    this.#tellNow();
  }

  /** Tells the meter how far its records have come, where that is not what it was told last. */
  #tellNow(): void {
    const { stored } = this.#ledger;
    const delivered = this.#verified ? this.#ledger.delivered : 0;
    const text = `${stored} ${delivered}`;
    if (this.#session === undefined || this.#deaf || text === this.#told) return;
    if (this.#session.link.send({ type: Message.RecordAck, stored, delivered })) this.#told = text;
    this.#telling = setTimeout(() => {
      this.#telling = undefined;
      this.#tellNow();
    }, this.#options.tellMs).unref();
  }
}

/** What an entry says of itself and of the one before it. */
function named(entry: Uint8Array): { readonly sequence: number; readonly link: string; readonly previous: string } {
  const bytes = Buffer.from(entry.buffer, entry.byteOffset, entry.byteLength);
  return {
    sequence: bytes.readUInt32LE(ChainField.Sequence),
    link: createHash('sha512').update(bytes).digest('hex').slice(0, 32),
    previous: bytes.toString('hex', ChainField.Link, ChainField.Seal),
  };
}
