// Everything between meters under load and who watches at the broker is killed, cut and filled up, again and again; then
// every record has to be there. For a test, and for `npm run soak`.
//
// What always holds: rounds follow each other as soon as some more records have arrived, so that what was hit last is
// often still on its way back when the next one is hit.
import { RecordMark, RecordReason } from '../../as/abi/codes.ts';
import type { RecordEntry } from '../../host/record/entry.ts';
import type { SeededRandom } from '../core/random.ts';
import { judgeEntries } from '../e2e/recording.ts';
import { drawnMoment, shuffle } from '../e2e/restart-lab.ts';
import { RecordLab } from './record-lab.ts';
import type { RecordingMeter } from './recording-meter.ts';

/** What is hit in a round, and how. */
export const killKinds = {
  broker: 'broker killed',
  gateway: 'gateway killed -9',
  meter: 'meter cut off at any byte that it writes or sends',
  line: 'line of a meter cut in the middle of a frame',
  wire: 'connection to the broker cut in the middle of a packet',
  disk: "gateway's disk full for a while",
} as const;
export type KillKind = keyof typeof killKinds;
export type Kills = Readonly<Record<KillKind, number>>;

/** Bytes of a meter's writes and frames, or of a line, before it is cut. */
const cutWithin = { meter: 4_000, start: 1_500, line: 4_000, wire: 8_000 } as const;
/** What the gateway says when something is lost, or taken for another. */
const wrongLines = /begin anew|no more of these|other bytes|broken|damaged|cannot be read|without it/;

export interface KillFigures {
  readonly seed: number;
  /** Rounds of each kind that were done. */
  readonly kills: Kills;
  readonly meters: number;
  /** Power cuts in all, those soon after another one included. */
  readonly cuts: number;
  readonly transactions: number;
  /** Entries of the record ring: records, and parts of contexts. */
  readonly records: number;
  readonly contexts: number;
  /** Messages with them that arrived, and how many of these came again. */
  readonly arrived: number;
  readonly duplicates: number;
  /** Numbers that were given, and of which nothing arrived. */
  readonly gaps: number;
  readonly seconds: number;
  readonly failures: readonly string[];
}

class Campaign {
  readonly lab: RecordLab;
  /** Meters that are off, or may be soon again. */
  readonly #hit = new Set<RecordingMeter>();

  constructor(private readonly random: SeededRandom) {
    this.lab = new RecordLab(random);
  }

  readonly hit: Readonly<Record<KillKind, () => Promise<void>>> = {
    broker: async () => {
      const { broker, wire, gateway, arrivals } = this.lab;
      await broker.kill();
      wire.close();
      // Now and then the gateway starts without a broker.
      if (this.random.below(4) === 0) {
        await gateway.kill();
        await gateway.start();
      }
      await broker.start();
      await arrivals.watch(broker);
      wire.open();
    },
    gateway: async () => {
      const { gateway } = this.lab;
      await gateway.kill();
      await drawnMoment(this.random, 100);
      await gateway.start();
    },
    meter: async () => {
      const others = () => this.lab.meters.filter((meter) => !this.#hit.has(meter));
      await this.lab.until('a meter that is back', () => others().length > 0);
      const meter = others()[this.random.below(others().length)]!;
      this.#hit.add(meter);
      const { cuts } = meter;
      const cut = meter.cutAfter(this.random.below(cutWithin.meter));
      void cut.then(() => this.#startAgain(meter)).then(() => this.#hit.delete(meter));
      // It may be on again before it is looked at.
      await this.lab.until(`${meter.id} cut off`, () => meter.cuts > cuts);
    },
    line: async () => {
      const line = this.lab.lines[this.random.below(this.lab.lines.length)]!;
      const { cuts } = line;
      void line.cutAfter(this.random.below(cutWithin.line), this.#direction());
      await this.lab.until('a line cut', () => line.cuts > cuts);
    },
    wire: async () => {
      const { wire } = this.lab;
      const { cuts } = wire;
      const direction = this.#direction();
      // The broker says little.
      void wire.cutAfter(this.random.below(direction === 'forth' ? cutWithin.wire : 100), direction);
      await this.lab.until('the wire cut', () => wire.cuts > cuts);
    },
    disk: async () => {
      const { gateway } = this.lab;
      const { length } = gateway.log;
      gateway.limitFiles(4_096);
      await this.lab.until('a full disk', () => gateway.log.indexOf('disk is full', length) >= 0);
      await drawnMoment(this.random, 300);
      if (this.random.below(3) === 0) {
        // Killed while its disk is full; the next process has room.
        await gateway.kill();
        return await gateway.start();
      }
      gateway.limitFiles('unlimited');
      // That it is full is said once, until there was room.
      await this.lab.until('room again', () => gateway.log.indexOf('can be written again', length) >= 0);
    },
  };

  #direction(): 'forth' | 'back' {
    return this.random.below(2) === 0 ? 'forth' : 'back';
  }

  /** Power comes back; now and then it fails again soon. */
  async #startAgain(meter: RecordingMeter): Promise<void> {
    for (let again = true; again; again = this.random.below(3) === 0) {
      if (meter.isOn) await meter.cutAfter(this.random.below(cutWithin.start));
      await drawnMoment(this.random, 200);
      meter.start();
    }
  }

  /** All meters run, and all that they had recorded when their applications rested is delivered. */
  async settle(): Promise<void> {
    await this.lab.until('all meters back', () => this.#hit.size === 0);
    const { meters } = this.lab;
    await this.lab.until('all meters know their records', () => meters.every(({ oldest }) => oldest > 0));
    this.lab.rest();
    await this.lab.until('all transactions ended', () => meters.every(({ isResting }) => isResting));
    const newest = new Map(meters.map((meter) => [meter.id, meter.newest]));
    await this.lab.until('all delivered', () => meters.every(({ id, oldest }) => oldest > newest.get(id)!));
    // Signing takes a meter in software some seconds.
    await this.lab.until('all signed', () => meters.every(({ id }) => this.lab.arrivals.of(id).head !== undefined));
    // A meter may be heard to have freed a record before the broker is heard with it.
    await this.lab.until('all seen', () => this.lab.isAllSeen);
  }

  /** What must hold of a meter at the end. */
  judge(meter: RecordingMeter): { problems: string[]; gaps: number; records: number; contexts: number } {
    const { id, made, keys, traps } = meter;
    const { entries, head } = this.lab.arrivals.of(id);
    const problems = [...meter.failures];
    // Periods and tariffs go on: what is made after the campaign's end may have arrived, too.
    const upTo = Math.max(meter.oldest - 1, ...entries.keys());
    const all = Array.from({ length: upTo }, (_, index) => entries.get(index + 1));
    const gaps = all.filter((entry) => entry === undefined).length;
    const demand = (holds: boolean, what: string) => {
      if (!holds) problems.push(`${id}: ${what}`);
    };
    demand(gaps === 0, `${gaps} of ${upTo} have not arrived`);
    demand(traps === 0, `its core trapped ${traps} times`);
    for (const [sequence, bytes] of entries) {
      demand(made.get(sequence)?.equals(bytes) === true, `what arrived as ${sequence} was not made`);
    }
    const whole = all.filter((entry) => entry !== undefined);
    const heads = head === undefined ? [] : [head];
    const { records, headsHeld, problems: found } = judgeEntries(whole, keys, heads);
    for (const problem of found.slice(0, 5)) demand(false, problem);
    demand(headsHeld === 1, 'no head of it arrived that holds');
    demand(!records.some(({ marks }) => (marks & RecordMark.RecordsLost) !== 0), 'a record says that some were lost');
    problems.push(...transactionProblems(records).map((problem) => `${id}: ${problem}`));
    return { problems, gaps, records: records.length, contexts: whole.length - records.length };
  }
}

/** Every transaction that began has ended, once. */
function transactionProblems(records: readonly RecordEntry[]): string[] {
  const of = (reason: RecordReason) => {
    const numbers = records.filter(({ reasons }) => (reasons & reason) !== 0).map(({ transaction }) => transaction);
    return { numbers, once: new Set(numbers) };
  };
  const begun = of(RecordReason.TransactionBegin);
  const ended = of(RecordReason.TransactionEnd);
  const open = begun.numbers.filter((number) => !ended.once.has(number));
  const twice = ended.numbers.length - ended.once.size;
  return [
    ...(open.length > 0 ? [`transactions that began and have no end: ${open.slice(0, 10).join(' ')}`] : []),
    ...(begun.numbers.length > begun.once.size ? ['a transaction began twice'] : []),
    ...(twice > 0 ? [`${twice} transactions ended twice`] : []),
  ];
}

export interface KillProgress {
  readonly round: number;
  readonly of: number;
  readonly kind: KillKind;
  readonly seconds: number;
  readonly arrived: number;
}

export interface KillOptions {
  readonly random: SeededRandom;
  /** How many rounds of each kind. */
  readonly kills: Kills;
  /** Is told now and then how far it is. */
  readonly progress?: (progress: KillProgress) => void;
}

/** Kills and cuts in a drawn order, and says what came of it. What did not hold is among the `failures`. */
export async function killWhileRecording({ random, kills, progress = () => {} }: KillOptions): Promise<KillFigures> {
  const startMs = performance.now();
  const rounds = shuffle(
    Object.entries(kills).flatMap(([kind, count]) => Array.from({ length: count }, () => kind as KillKind)),
    random,
  );
  const campaign = new Campaign(random);
  const { lab } = campaign;
  const done = Object.fromEntries(Object.keys(killKinds).map((kind) => [kind, 0])) as Record<KillKind, number>;
  const failures: string[] = [];
  try {
    await lab.start();
    for (const [index, kind] of rounds.entries()) {
      const roundMs = performance.now();
      await lab.moreArrived(killKinds[kind]);
      await campaign.hit[kind]();
      done[kind]++;
      const seconds = (performance.now() - roundMs) / 1_000;
      progress({ round: index + 1, of: rounds.length, kind, seconds, arrived: lab.arrivals.total });
    }
    await campaign.settle();
  } catch (error) {
    failures.push((error as Error).message);
  }
  // At one moment: more may arrive until all has stopped.
  const judged = lab.meters.map((meter) => campaign.judge(meter));
  const { total: arrived, duplicates } = lab.arrivals;
  const sum = (of: (one: (typeof judged)[number]) => number) => judged.reduce((total, one) => total + of(one), 0);
  const wrong = lab.log.split('\n').filter((line) => wrongLines.test(line));
  await lab.stop().catch((error: Error) => failures.push(error.message));
  failures.push(...lab.failures, ...lab.arrivals.failures, ...judged.flatMap(({ problems }) => problems), ...wrong);
  return {
    seed: random.seed,
    kills: done,
    meters: lab.meters.length,
    cuts: lab.meters.reduce((total, { cuts }) => total + cuts, 0),
    transactions: lab.meters.reduce((total, { transactions }) => total + transactions, 0),
    records: sum(({ records }) => records),
    contexts: sum(({ contexts }) => contexts),
    arrived,
    duplicates,
    gaps: sum(({ gaps }) => gaps),
    seconds: (performance.now() - startMs) / 1_000,
    failures,
  };
}
