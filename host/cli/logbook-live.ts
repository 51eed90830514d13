// Reads a ring of a running meter through the broker: portion by portion, as the command of MQTT tells entries.
// What always holds: nothing but the meter's bytes is believed, and what is made of them here; every head that is compared
// was at the broker before the first entry was asked for, so all that it was signed for has to come.
import { setTimeout } from 'node:timers/promises';
import { z } from 'zod';
import { Ring } from '../../as/abi/codes.ts';
import { type AnyCommandResult, type CommandResponse, entriesAtOnce } from '../mqtt/command-payloads.ts';
import { maxStorageBytes } from '../provision/storage-file.ts';
import { entryBytes, sequenceOf } from '../record/entry.ts';
import { ringNames } from '../text/names.ts';
import { decodePayload, type Kept } from './broker.ts';
import type { Context } from './context.ts';
import { CliError } from './errors.ts';
import { MeterRequests, type RequestOptions, refusal } from './meter-requests.ts';

/** More than the largest storage of a meter holds. */
const mostEntries = maxStorageBytes / entryBytes;
/** Pause before a command is sent again where others are under way. */
const busyMs = 500;

const headSchema = z.looseObject({
  format: z.literal('head'),
  bytes: z.base64(),
});

export interface LiveRing {
  /** In order, 128 bytes each. */
  readonly entries: readonly Uint8Array[];
  /** That the broker keeps; undefined where it keeps none. */
  readonly head: Uint8Array | undefined;
}

/**
 * The whole ring: what the meter had when the reading began, and what it wrote meanwhile.
 * @throws CliError
 */
export async function readLiveRing(
  { terminal, signal }: Context,
  meter: string,
  ring: Ring,
  options: RequestOptions,
): Promise<LiveRing> {
  let reader: RingReader | undefined;
  return terminal.during(
    () => reader?.progress ?? 'connecting to the broker',
    async () => {
      const requests = await MeterRequests.open(meter, options, signal);
      try {
        // Nobody signs for what the network provokes.
        const kept = ring === Ring.Network ? undefined : await requests.kept('head');
        reader = new RingReader(requests, ring, options.timeout, signal);
        await reader.read();
        return { entries: reader.entries, head: kept && headOf(kept) };
      } finally {
        await requests.close();
      }
    },
  );
}

/** The head in a message; without bytes where it holds none, which the check finds. */
function headOf({ payload, contentType }: Kept): Uint8Array | undefined {
  if (payload.length === 0) return undefined;
  const { data } = headSchema.safeParse(decodePayload(payload, contentType));
  return new Uint8Array(Buffer.from(data?.bytes ?? '', 'base64'));
}

class RingReader {
  entries: Uint8Array[] = [];
  /** Entries that came so far, and the lowest sequence among them. */
  #count = 0;
  #oldest = Number.POSITIVE_INFINITY;
  /** Entries that are asked for at once. */
  #portion: number = entriesAtOnce.most;
  readonly #name: 'records' | 'logbook';

  constructor(
    private readonly requests: MeterRequests,
    private readonly ring: Ring,
    private readonly timeoutSeconds: number,
    private readonly signal: AbortSignal,
  ) {
    this.#name = ring === Ring.Records ? 'records' : 'logbook';
  }

  get progress(): string {
    const what = `reading ${this.ring === Ring.Records ? '' : 'the ring '}${ringNames[this.ring].name}`;
    return this.#count === 0 ? what : `${what}: ${this.#count} entries, back to ${this.#oldest}`;
  }

  /** From the newest that the gateway knows of to the oldest, which may be overwritten meanwhile; then what came since. */
  async read(): Promise<void> {
    this.entries = await this.#ask(undefined, this.#portion);
    const [oldest] = this.entries;
    if (oldest !== undefined) await this.#readBefore(sequenceOf(oldest));
    await this.#readBehind();
  }

  async #readBefore(first: number): Promise<void> {
    const portions = [this.entries];
    for (let end = first; end > 1; ) {
      const from = Math.max(1, end - this.#portion);
      const older = await this.#ask(from, end - from);
      portions.push(older);
      if (older.length === 0 || sequenceOf(older[0]!) > from) break;
      end = from;
    }
    this.entries = portions.reverse().flat();
  }

  async #readBehind(): Promise<void> {
    for (let full = true; full; ) {
      const last = this.entries.at(-1);
      const count = this.#portion;
      const newer = await this.#ask(last === undefined ? 1 : sequenceOf(last) + 1, count);
      this.entries.push(...newer);
      full = newer.length === count;
    }
  }

  /** Entries as the gateway tells them; the newest where it is not said from where on. */
  async #ask(from: number | undefined, count: number): Promise<Uint8Array[]> {
    const response = await this.#askUntilTaken(from, count);
    if (response.ok) return this.#entriesOf(response.result, from, count);
    if (from === undefined && response.error.code === 'command-invalid') {
      const hint = 'Run it again in a moment.';
      throw new CliError('meter-not-ready', 'the meter has not told its gateway yet how many entries it has', { hint });
    }
    if (response.error.code !== 'answer-too-large' || count === 1) throw refusal(response);
    const half = Math.ceil(count / 2);
    this.#portion = Math.min(this.#portion, half);
    if (from === undefined) return this.#ask(from, half);
    return [...(await this.#ask(from, half)), ...(await this.#ask(from + half, count - half))];
  }

  /** Other commands may be under way. */
  async #askUntilTaken(from: number | undefined, count: number): Promise<CommandResponse> {
    const ring = this.ring === Ring.Network ? 'network' : undefined;
    const payload = JSON.stringify({ from, count, ring });
    const untilMs = performance.now() + this.timeoutSeconds * 1000;
    for (;;) {
      const response = await this.requests.ask(this.#name, payload);
      const busy = !response.ok && ['meter-busy', 'command-busy'].includes(response.error.code);
      if (!busy || performance.now() >= untilMs) return response;
      await setTimeout(busyMs, undefined, { signal: this.signal });
    }
  }

  /** @param from of what was asked for: nothing else is part of a ring that is read */
  #entriesOf(result: AnyCommandResult, from: number | undefined, count: number): Uint8Array[] {
    if (!('entries' in result && Array.isArray(result.entries))) throw strange('entries', 'another answer');
    const entries = result.entries.map(({ bytes }) => new Uint8Array(Buffer.from(bytes, 'base64')));
    const short = entries.find(({ length }) => length !== entryBytes);
    if (short !== undefined) throw strange(`entries of ${entryBytes} bytes`, `${short.length}`);
    if (this.#count + entries.length > mostEntries) throw strange(`at most ${mostEntries} entries`, 'more');
    const outside = entries.map(sequenceOf).find((each) => from !== undefined && (each < from || each >= from + count));
    if (outside !== undefined) throw strange(`entries ${from} to ${from! + count - 1}`, `entry ${outside}`);
    if (entries.length > count) throw strange(`at most ${count} entries`, `${entries.length}`);
    this.#oldest = Math.min(this.#oldest, ...entries.map(sequenceOf));
    this.#count += entries.length;
    return entries;
  }
}

function strange(expected: string, came: string): CliError {
  return new CliError('answer-invalid', `expected ${expected}, came ${came}`, {
    hint: 'Who answered does not do so as a gateway of this version.',
  });
}
