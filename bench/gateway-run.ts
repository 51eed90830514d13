// One run of the gateway's bench, from an empty outbox to the end of a window of whole minutes, and what all that took.
// What always holds: the window begins and ends far from the end of any period; what is left when all has ended counts too.
import { until } from '../host/setup/until.ts';
import { median, quantile } from './figures.ts';
import { Lab, type PeerCpu, type PhaseCpu, periodMs, type RunOptions, sleepUntil } from './gateway-lab.ts';
import { type Insight, insight, residentBytes } from './gateway-processes.ts';

export interface RunResult {
  readonly flags: string;
  readonly meters: number;
  /** 0: only the start was measured. */
  readonly minutes: number;
  /** From the first meter's switch-on to the last one's authenticated time. */
  readonly start: PhaseCpu & { readonly synchronised: number };
  readonly window: PhaseCpu & {
    readonly expected: number;
    readonly arrived: number;
    /** Messages that the gateway published, records included, each minute. */
    readonly messagesPerMinute: number;
    readonly delayMedianMs: number;
    readonly delayP99Ms: number;
    readonly delayMostMs: number;
    /** Entries that meters have made and that are not at the broker: the most at any second, and at the end. */
    readonly backlogMost: number;
    readonly backlogEnd: number;
    /** Entries that meters do not know to be delivered. */
    readonly unacknowledgedMost: number;
    readonly unacknowledgedEnd: number;
    readonly loopDelayP99Ms: number;
    readonly loopDelayMostMs: number;
    readonly collectionMs: number;
  };
  /** Of the whole run. */
  readonly entries: number;
  readonly duplicates: number;
  readonly missing: number;
  readonly broken: number;
  readonly traps: number;
  /** What was in the gateway's outbox when all had ended. */
  readonly outboxEntries: number;
  readonly memory: {
    readonly idleResidentBytes: number;
    readonly residentBytes: number;
    readonly residentMostBytes: number;
    readonly idleHeapBytes: number;
    readonly heapBytes: number;
    readonly externalBytes: number;
  };
  /** Undefined where it did not run. */
  readonly peer: PeerCpu | undefined;
}

/** A window begins and ends so long after a period's end, ms: far from the next one. */
const phaseMs = 40_000;

/** The next moment at which a window may begin. */
function nextPhase(): number {
  return Math.ceil((Date.now() - phaseMs) / periodMs) * periodMs + phaseMs;
}

function between(before: PhaseCpu, after: PhaseCpu): PhaseCpu {
  const names = Object.keys(before) as (keyof PhaseCpu)[];
  return Object.fromEntries(names.map((key) => [key, after[key] - before[key]])) as unknown as PhaseCpu;
}

async function startAll(lab: Lab): Promise<RunResult['start']> {
  const { meters, startSeconds, note } = lab.options;
  const before = lab.cpu();
  lab.startMeters();
  const limitMs = startSeconds * 1000 + 120_000;
  const startMs = performance.now();
  let beatMs = 0;
  while (lab.synchronised.size < meters && performance.now() - startMs < limitMs) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    lab.assertRunning();
    if (performance.now() < beatMs) continue;
    beatMs = performance.now() + 2_000;
    note(`${lab.synchronised.size} of ${meters} meters synchronised`);
  }
  return { ...between(before, lab.cpu()), synchronised: lab.synchronised.size };
}

interface Watched {
  readonly cpu: PhaseCpu;
  readonly fromMs: number;
  readonly toMs: number;
  readonly backlogMost: number;
  readonly unacknowledgedMost: number;
  readonly insight: Insight;
}

async function watch(lab: Lab): Promise<Watched> {
  const { minutes, note } = lab.options;
  const fromMs = Date.now();
  const toMs = fromMs + minutes * periodMs;
  await insight(lab.gateway, false);
  const before = lab.cpu();
  let [backlogMost, unacknowledgedMost] = [0, 0];
  await sleepUntil(toMs, () => {
    lab.assertRunning();
    const { notArrived, unacknowledged } = lab.backlog;
    backlogMost = Math.max(backlogMost, notArrived);
    unacknowledgedMost = Math.max(unacknowledgedMost, unacknowledged);
    note(
      `measuring, ${Math.max(0, Math.round((toMs - Date.now()) / 1000))} s left: ${lab.arrivals.entries} entries at the broker, backlog ${notArrived}`,
    );
  });
  const cpu = between(before, lab.cpu());
  return { cpu, fromMs, toMs, backlogMost, unacknowledgedMost, insight: await insight(lab.gateway, false) };
}

/** Everything from an empty outbox to the end. */
export async function runOnce(options: RunOptions): Promise<RunResult> {
  const { meters, minutes, note } = options;
  const lab = new Lab(options);
  try {
    note('time servers, broker and gateway start');
    await lab.start();
    const idle = { ...(await insight(lab.gateway, true)), resident: residentBytes(lab.gateway.pid!).now };
    const start = await startAll(lab);
    if (minutes > 0) {
      note('waiting for the first whole minute');
      await sleepUntil(nextPhase());
    }
    if (minutes > 0) note('what is published in a minute is recorded');
    const samples = minutes > 0 ? await lab.sample() : [];
    const watched = await watch(lab);
    // What the meters say of a moment behind the end.
    await until('the meters say what they have', () => lab.backlog.atMs > watched.toMs, { timeoutMs: 15_000 });
    if (minutes === 0) await lab.noBacklog();
    const { notArrived, unacknowledged } = lab.backlog;
    const loaded = { ...(await insight(lab.gateway, true)), resident: residentBytes(lab.gateway.pid!) };
    const withPeer = options.withPeer && minutes > 0;
    if (withPeer) note('the peer publishes the same');
    const peer = withPeer ? await lab.peer(samples) : undefined;
    const arrived = lab.arrivals.within(watched.fromMs, watched.toMs, meters, periodMs);
    const { entries, duplicates, missing, broken } = lab.arrivals;
    const { traps } = lab;
    note('ending');
    const outboxEntries = await lab.finish();
    const { delaysMs, ...counted } = arrived;
    return {
      ...{
        flags: options.flags,
        meters,
        minutes,
        start,
        entries,
        duplicates,
        missing,
        broken,
        traps,
        outboxEntries,
        peer,
      },
      window: {
        ...{ ...watched.cpu, ...counted, messagesPerMinute: samples.length },
        delayMedianMs: median(delaysMs),
        delayP99Ms: quantile(delaysMs, 0.99),
        delayMostMs: quantile(delaysMs, 1),
        backlogMost: watched.backlogMost,
        backlogEnd: notArrived,
        unacknowledgedMost: watched.unacknowledgedMost,
        unacknowledgedEnd: unacknowledged,
        loopDelayP99Ms: watched.insight.loopDelayP99Ms,
        loopDelayMostMs: watched.insight.loopDelayMostMs,
        collectionMs: watched.insight.collectionMs,
      },
      memory: {
        idleResidentBytes: idle.resident,
        residentBytes: loaded.resident.now,
        residentMostBytes: loaded.resident.most,
        idleHeapBytes: idle.heapUsedBytes,
        heapBytes: loaded.heapUsedBytes,
        externalBytes: loaded.externalBytes,
      },
    };
  } finally {
    await lab.stop();
  }
}
