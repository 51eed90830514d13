// The figures of the gateway's bench as a table, and which targets a run has missed.
// What always holds: one column for each run, in the order in which they ran; shares of time are of one processor.
import type { PhaseCpu } from './gateway-lab.ts';
import type { RunResult } from './gateway-run.ts';

const mebibyte = 1 << 20;
const kibibyte = 1 << 10;
/** Nothing is late by more than this, ms: every record is at the broker before the next is made. */
const delayLimitMs = 60_000;
/** Of the time in which nothing else would run in the gateway's process, per cent. */
const processorLimitPercent = 100;

const percent = (ms: number, { seconds }: Pick<PhaseCpu, 'seconds'>) => ms / seconds / 10;
const fixed = (digits: number) => (value: number) => value.toFixed(digits);

/** Processor time of the gateway beside that of the peer in the same time; undefined without a peer. */
export function peerRatio({ window, peer }: RunResult): number | undefined {
  return peer === undefined ? undefined : window.gatewayMs / window.seconds / (peer.cpuMs / peer.seconds);
}

/** What a run has missed, one sentence each. */
export function failuresOf(run: RunResult): string[] {
  const { meters, start, window, missing, duplicates, broken, traps, outboxEntries } = run;
  const failures: string[] = [];
  const demand = (holds: boolean, what: string) => {
    if (!holds) failures.push(run.flags === '' ? what : `${run.flags}: ${what}`);
  };
  const gatewayPercent = percent(window.gatewayMs, window);
  demand(start.synchronised === meters, `${start.synchronised} of ${meters} meters came to a time`);
  demand(window.arrived === window.expected, `${window.arrived} of ${window.expected} records of periods arrived`);
  demand(window.backlogEnd === 0, `${window.backlogEnd} entries were not at the broker at the end`);
  demand(
    window.unacknowledgedEnd === 0,
    `${window.unacknowledgedEnd} entries were not known to be delivered at the end`,
  );
  demand(!(window.delayMostMs >= delayLimitMs), `a record came ${(window.delayMostMs / 1000).toFixed(1)} s late`);
  demand(missing === 0, `${missing} entries were passed over`);
  demand(duplicates === 0, `${duplicates} entries came twice`);
  demand(broken === 0, `${broken} entries do not follow the one before`);
  demand(traps === 0, `${traps} cores trapped`);
  demand(outboxEntries === 0, `${outboxEntries} entries were left in the outbox`);
  demand(
    run.minutes === 0 || gatewayPercent < processorLimitPercent,
    `the gateway took ${gatewayPercent.toFixed(0)} % of a processor`,
  );
  return failures;
}

interface Row {
  readonly title: string;
  readonly value: (run: RunResult) => number | undefined;
  readonly text: (value: number) => string;
}

interface Section {
  readonly title: string;
  /** Only of runs that measure for some minutes. */
  readonly ofWindow?: boolean;
  readonly rows: readonly Row[];
}

const whole = fixed(0);

const sections: readonly Section[] = [
  {
    title: 'start: from the first switch-on to the last authenticated time',
    rows: [
      { title: 'all synchronised after, s', value: ({ start }) => start.seconds, text: fixed(1) },
      { title: 'gateway, % of a processor', value: ({ start }) => percent(start.gatewayMs, start), text: fixed(1) },
      { title: 'gateway, ms per meter', value: ({ start, meters }) => start.gatewayMs / meters, text: fixed(1) },
    ],
  },
  {
    title: 'records',
    rows: [
      { title: 'of periods, expected', value: ({ window }) => window.expected, text: whole },
      { title: 'of periods, at the broker', value: ({ window }) => window.arrived, text: whole },
      { title: 'entries of the whole run', value: ({ entries }) => entries, text: whole },
      { title: 'missing', value: ({ missing }) => missing, text: whole },
      { title: 'twice', value: ({ duplicates }) => duplicates, text: whole },
      { title: 'not at the broker, most at a second', value: ({ window }) => window.backlogMost, text: whole },
      { title: 'not at the broker at the end', value: ({ window }) => window.backlogEnd, text: whole },
      { title: 'not known as delivered, most', value: ({ window }) => window.unacknowledgedMost, text: whole },
      { title: 'not known as delivered at the end', value: ({ window }) => window.unacknowledgedEnd, text: whole },
      { title: 'left in the outbox', value: ({ outboxEntries }) => outboxEntries, text: whole },
      { title: 'from period end to broker, median, ms', value: ({ window }) => window.delayMedianMs, text: whole },
      { title: '... 99 %, ms', value: ({ window }) => window.delayP99Ms, text: whole },
      { title: '... most, ms', value: ({ window }) => window.delayMostMs, text: whole },
    ],
  },
  {
    title: 'processors, % of one',
    ofWindow: true,
    rows: [
      { title: 'gateway', value: ({ window }) => percent(window.gatewayMs, window), text: fixed(1) },
      { title: 'mosquitto', value: ({ window }) => percent(window.brokerMs, window), text: fixed(1) },
      { title: 'meters', value: ({ window }) => percent(window.metersMs, window), text: fixed(1) },
      { title: 'time servers', value: ({ window }) => percent(window.serversMs, window), text: fixed(1) },
      { title: 'this bench', value: ({ window }) => percent(window.benchMs, window), text: fixed(1) },
      {
        title: 'gateway, ms per meter and minute',
        value: ({ window, meters }) => window.gatewayMs / meters / (window.seconds / 60),
        text: fixed(2),
      },
      { title: 'messages published a minute', value: ({ window }) => window.messagesPerMinute, text: whole },
      {
        title: 'gateway, ms per message',
        value: ({ window }) => window.gatewayMs / (window.seconds / 60) / window.messagesPerMinute,
        text: fixed(3),
      },
      {
        title: 'peer: publishing alone',
        value: ({ peer }) => (peer === undefined ? undefined : percent(peer.cpuMs, peer)),
        text: fixed(1),
      },
      { title: 'gateway / peer', value: peerRatio, text: fixed(2) },
      { title: 'garbage collection, %', value: ({ window }) => percent(window.collectionMs, window), text: fixed(2) },
      { title: 'event loop late, 99 %, ms', value: ({ window }) => window.loopDelayP99Ms, text: fixed(1) },
      { title: '... most, ms', value: ({ window }) => window.loopDelayMostMs, text: fixed(1) },
    ],
  },
  {
    title: 'memory of the gateway',
    rows: [
      { title: 'without meters, MiB', value: ({ memory }) => memory.idleResidentBytes / mebibyte, text: fixed(1) },
      { title: 'with all, MiB', value: ({ memory }) => memory.residentBytes / mebibyte, text: fixed(1) },
      { title: 'most ever, MiB', value: ({ memory }) => memory.residentMostBytes / mebibyte, text: fixed(1) },
      {
        title: 'a meter, KiB',
        value: ({ memory, meters }) => (memory.residentBytes - memory.idleResidentBytes) / meters / kibibyte,
        text: fixed(1),
      },
      {
        title: '... of which objects in use, KiB',
        value: ({ memory, meters }) => (memory.heapBytes - memory.idleHeapBytes) / meters / kibibyte,
        text: fixed(1),
      },
    ],
  },
];

const titleWidth = 40;

/** The figures, and what was missed. */
export function tableOf(runs: readonly RunResult[], failures: readonly string[]): string {
  const widths = runs.map(({ flags }) => Math.max(10, flags.length + 2));
  const line = (title: string, cells: readonly string[]) =>
    `${title.padEnd(titleWidth)}${cells.map((cell, index) => cell.padStart(widths[index]!)).join('')}`.trimEnd();
  const head =
    runs.length === 1
      ? []
      : [
          line(
            'flags',
            runs.map(({ flags }) => flags || 'none'),
          ),
          '',
        ];
  const isShort = runs.every(({ minutes }) => minutes === 0);
  const body = sections.flatMap(({ title, ofWindow, rows }) =>
    isShort && ofWindow
      ? []
      : [
          title,
          ...rows.map((row) => {
            const cells = runs.map((run) => {
              const value = row.value(run);
              return value === undefined || Number.isNaN(value) ? '-' : row.text(value);
            });
            return line(`  ${row.title}`, cells);
          }),
          '',
        ],
  );
  const verdict = failures.length === 0 ? ['all targets are met'] : ['MISSED:', ...failures.map((one) => `  ${one}`)];
  return [...head, ...body, ...verdict].join('\n');
}
