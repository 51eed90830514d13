// How many instructions the core takes on a microcontroller, exactly, beside other implementations of the ciphers. Run by
// scripts/bench-mcu.mjs.
import { parseArgs } from 'node:util';
import { formatTable } from '../host/text/table.ts';
import { serversMax } from '../scripts/build-core.mjs';
import { step } from '../scripts/lib/progress.mjs';
import { boardName } from './mcu-board.ts';
import { countCore, type Variant } from './mcu-counts.ts';
import peers from './mcu-peers.json' with { type: 'json' };
import { mcuUsage } from './usage.mjs';

function readArguments() {
  try {
    return parseArgs({
      options: {
        servers: { type: 'string', default: '1' },
        polls: { type: 'string', default: '40' },
        seed: { type: 'string', default: '1' },
        json: { type: 'boolean', default: false },
        check: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    }).values;
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${mcuUsage}`);
    process.exit(2);
  }
}

const number = (value: number) => value.toLocaleString('en-US');

const values = readArguments();
if (values.help) {
  console.log(mcuUsage);
  process.exit(0);
}

function whole(option: 'servers' | 'polls' | 'seed', least: number, most: number): number {
  const value = Number(values[option]);
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  console.error(`--${option}: expected a whole number from ${least} to ${most}, came ${values[option]}`);
  process.exit(2);
}

const parameters = {
  servers: whole('servers', 1, serversMax),
  // The first ones come before there is a time to read.
  polls: whole('polls', 8, 1_000),
  seed: whole('seed', 0, 2 ** 32 - 1),
};

interface Target {
  readonly what: string;
  readonly came: number;
  readonly atMost?: number;
  readonly below?: number;
  readonly kept: boolean;
}

const atMost = (what: string, came: number, limit: number): Target => ({
  what,
  came,
  atMost: limit,
  kept: came <= limit,
});
const below = (what: string, came: number, limit: number): Target => ({ what, came, below: limit, kept: came < limit });

/** What is asked of a Cortex-M3, in instructions; its AEAD 15 takes less than the native one of nettle. */
const limits = { update: 100_000, slice: 60_000, pollMedian: 200_000 } as const;

const names = {
  request: 'build a request',
  answer: 'accept an answer',
  update: '  of that: update the clock',
  poll: 'a whole poll',
  temperature: 'take a temperature',
  idle: 'wake up with nothing due',
  time: 'read the time',
  again: '  again, within a second',
} as const;

const variants = await step('instructions', (note) => countCore(parameters, note));
const stackBytes = Math.max(...variants.map(({ board }) => board.stackBytes));
// The same recorded calls, whatever else the board is told.
const { ciphers, signing } = variants[0]!.board;
const signingNames = ['Ed25519, a public key', 'Ed25519, a signature of 256 bytes'] as const;
const native = peers.aead15.find(({ name }) => name.startsWith('nettle'))!;
const targets = [
  below('AEAD 15, a request sealed', ciphers.get(15)!.sealRequest, native.request),
  below('AEAD 15, an answer opened', ciphers.get(15)!.openAnswer, native.answer),
  ...variants.flatMap(({ thermometer, events }) => {
    const board = `${thermometer ? 'with' : 'without'} a thermometer`;
    const poll = events.get('poll')!;
    return [
      below(`a whole poll, ${board}, the median (most: ${number(poll.most)})`, poll.median, limits.pollMedian),
      atMost(`one clock update, ${board}`, events.get('update')!.most, limits.update),
    ];
  }),
  ...signing.map(({ largest }, i) => atMost(`one slice of ${signingNames[i]}`, largest, limits.slice)),
];
const within = targets.every(({ kept }) => kept);

function printEvents({ thermometer, events }: Variant): void {
  const columns = [
    { heading: `Instructions, ${thermometer ? 'with' : 'without'} a thermometer` },
    { heading: 'Count', align: 'right' },
    { heading: 'Median', align: 'right' },
    { heading: 'Most', align: 'right' },
  ] as const;
  const rows = [...events].map(([kind, { times, median, most }]) => {
    return [names[kind], ...[times, median, most].map(number)];
  });
  console.log(`\n${formatTable(columns, rows).join('\n')}`);
}

function printCiphers(): void {
  const columns = [
    { heading: 'Instructions' },
    { heading: 'Request', align: 'right' },
    { heading: 'Answer', align: 'right' },
    { heading: 'Times ours', align: 'right' },
  ] as const;
  const own = [...ciphers].map(([algorithm, { setKey, sealRequest, openAnswer }]) => {
    return [`AEAD ${algorithm}, metertime; keys: ${number(setKey)}`, number(sealRequest), number(openAnswer)];
  });
  const ours = ciphers.get(15)!;
  const others = peers.aead15.map(({ name, request, answer }) => {
    const ratios = [request / ours.sealRequest, answer / ours.openAnswer].map((ratio) => ratio.toFixed(2));
    return [`AEAD 15, ${name}`, number(request), number(answer), ratios.join(', ')];
  });
  console.log(`\n${formatTable(columns, [...own, ...others]).join('\n')}`);
}

function printSigning(): void {
  const columns = [
    { heading: 'Instructions' },
    { heading: 'Slices', align: 'right' },
    { heading: 'All', align: 'right' },
    { heading: 'Largest', align: 'right' },
  ] as const;
  const rows = signing.map(({ slices, all, largest }, i) => [signingNames[i]!, ...[slices, all, largest].map(number)]);
  console.log(`\n${formatTable(columns, rows).join('\n')}`);
}

if (values.json) {
  const counts = variants.map(({ thermometer, events }) => ({ thermometer, events: Object.fromEntries(events) }));
  const byAlgorithm = Object.fromEntries(ciphers);
  console.log(
    JSON.stringify({
      board: boardName,
      parameters,
      counts,
      ciphers: byAlgorithm,
      signing,
      stackBytes,
      peers,
      targets,
      within,
    }),
  );
} else {
  const { servers, seed } = parameters;
  console.log(`${boardName} (Cortex-M3); ${servers === 1 ? '1 server' : `${servers} servers`}; seed ${seed}; AEAD 15`);
  for (const variant of variants) printEvents(variant);
  printCiphers();
  if (signing.length > 0) printSigning();
  console.log(`
Request: 188 bytes of associated data, no text; answer: 84 bytes, and 104 of text. The others' figures:
${peers.source}. Deepest stack of the core: ${stackBytes} bytes.`);
  for (const { what, came, atMost, below, kept } of targets) {
    const limit = below === undefined ? `at most ${number(atMost!)}` : `below ${number(below)}`;
    console.log(`${kept ? 'kept   ' : 'MISSED '} ${what}: ${number(came)}, ${limit}`);
  }
}
if (values.check && !within) process.exitCode = 1;
