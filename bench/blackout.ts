// The load on NTS-KE servers when a fleet comes back after a blackout: meters with the core's back-off (core.wasm itself
// is asked for each wait), beside clients that retry each second, and chrony's rule. Run by scripts/bench-blackout.mjs.
import { parseArgs } from 'node:util';
import { Core } from '../host/core/core.ts';
import { coreDefaults } from '../host/provision/settings-block.ts';
import { step } from '../scripts/lib/progress.mjs';
import {
  type Backoff,
  type Clients,
  doubling,
  doublingAtPolls,
  everySecond,
  type Load,
  meters,
  type Return,
  regular,
  seededBits,
  simulate,
  type World,
} from './blackout-fleet.ts';
import { drawLoads } from './blackout-picture.ts';
import { blackoutUsage } from './usage.mjs';

const { values } = parseArgs({
  options: {
    meters: { type: 'string', default: '1000000' },
    within: { type: 'string', default: '60' },
    servers: { type: 'string', default: '4' },
    capacity: { type: 'string', default: '1000' },
    down: { type: 'string', default: '10' },
    timeout: { type: 'string', default: '10' },
    spread: { type: 'string', default: String(coreDefaults.spreadSeconds) },
    share: { type: 'string', default: '2' },
    fleets: { type: 'string', default: 'all,drawn' },
    seed: { type: 'string', default: '1' },
    json: { type: 'boolean', default: false },
    check: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  console.log(blackoutUsage);
  process.exit(0);
}

function wrong(option: string, expected: string, came: string): never {
  console.error(`--${option}: expected ${expected}, came ${came}`);
  process.exit(2);
}

function whole(option: Exclude<keyof typeof values, 'json' | 'check' | 'help'>, least: number, most: number): number {
  const value = Number(values[option]);
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  wrong(option, `a whole number from ${least} to ${most}`, values[option]);
}

/** The fleets: what a meter does with several servers, and what one of the others does. */
const fleets = {
  all: 'each asks all servers at once, so that each server sees this',
  drawn: 'each asks one server, which it drew',
  first: 'each asks one server, all the same first',
} as const;
type Fleet = keyof typeof fleets;

const isFleet = (name: string): name is Fleet => Object.hasOwn(fleets, name);

const parameters = {
  meters: whole('meters', 1, 10_000_000),
  withinSeconds: whole('within', 1, 3600),
  servers: whole('servers', 1, 16),
  capacity: whole('capacity', 1, 1_000_000),
  downMinutes: whole('down', 0, 1440),
  timeoutSeconds: whole('timeout', 1, 60),
  spreadSeconds: whole('spread', 0, 65_535),
  sharePercent: whole('share', 0, 100),
  seed: whole('seed', 0, 2 ** 32 - 1),
};
const fleetNames = values.fleets
  .split(',')
  .map((name) => (isFleet(name) ? name : wrong('fleets', `some of ${Object.keys(fleets).join(', ')}`, name)));

const horizonDays = 30;
const horizonSeconds = horizonDays * 86_400;

/** When the load is told: the minute that ends then, s. */
const minutes = [60, 120, 300, 600, 1800, 3600, 21_600];
const minuteNames = ['1 min', '2 min', '5 min', '10 min', '30 min', '1 h', '6 h'];

interface Row {
  readonly client: string;
  readonly clients: number;
  /** Mean of each of the `minutes` at the server that is busiest then, 1/s. */
  readonly perSecond: readonly number[];
  /** Most in a second, at a server that is up. */
  readonly peak: number;
  /** The same at any server, up or not. */
  readonly peakAtAll: number;
  readonly attempts: number;
  /** When so many have keys, s after the power's return; null: not within the horizon. */
  readonly half: number | null;
  readonly most: number | null;
  readonly all: number | null;
}

interface Table {
  readonly fleet: Fleet;
  readonly upAfterMinutes: number;
  readonly rows: readonly Row[];
  readonly loads: readonly Load[];
}

const core = new Core().exports as unknown as Backoff;

type Kind = readonly [client: string, share: number, make: (fleet: Return) => Clients];
const stored = `metertime, ${parameters.sharePercent} % need keys`;
const empty = 'metertime, all need keys';
const fixed = 'retry after 1 s';
const timeoutMs = parameters.timeoutSeconds * 1000;
const kinds: readonly Kind[] = [
  [stored, parameters.sharePercent / 100, (fleet) => meters(fleet, parameters.spreadSeconds, core)],
  [empty, 1, (fleet) => meters(fleet, parameters.spreadSeconds, core)],
  [fixed, 1, (fleet) => regular(fleet, everySecond)],
  ['chrony, no connection', 1, (fleet) => regular(fleet, doubling(4))],
  ['chrony, no connection, polls', 1, (fleet) => doublingAtPolls(fleet, 4, timeoutMs)],
  ['chrony, no TLS', 1, (fleet) => regular(fleet, doubling(10))],
];

function rowOf(client: string, load: Load, upAtSeconds: number): Row {
  const mean = (attempts: Uint32Array, end: number) => attempts.subarray(end - 60, end).reduce((a, b) => a + b, 0) / 60;
  const peak = (from: number) =>
    Math.max(...load.attempts.map((attempts) => attempts.subarray(from).reduce((a, b) => Math.max(a, b), 0)));
  const [half, most, all] = secondsUntil(load, [0.5, 0.99, 1]);
  return {
    client,
    clients: load.clients,
    perSecond: minutes.map((end) => Math.max(...load.attempts.map((attempts) => mean(attempts, end)))),
    peak: peak(upAtSeconds),
    peakAtAll: peak(0),
    attempts: load.attemptsInAll,
    half: half!,
    most: most!,
    all: all!,
  };
}

/** When these shares of the clients have keys, s. */
function secondsUntil({ keyed, clients }: Load, shares: readonly number[]): (number | null)[] {
  const found: (number | null)[] = shares.map(() => null);
  let count = 0;
  keyed.forEach((now, second) => {
    count += now;
    shares.forEach((share, n) => {
      if (count >= share * clients) found[n] ??= second + 1;
    });
  });
  return found;
}

async function tableOf(fleet: Fleet, upAfterMinutes: number, note: (text: string) => void): Promise<Table> {
  // With all servers in use none is left to turn to: they do not depend on each other, and one stands for each.
  const servers = fleet === 'all' ? 1 : parameters.servers;
  const { capacity } = parameters;
  const world: World = { servers, capacity, upAtMs: upAfterMinutes * 60_000, timeoutMs, horizonSeconds };
  const rows: Row[] = [];
  const loads: Load[] = [];
  for (const [client, share, make] of kinds) {
    note(client);
    const load = await simulate(
      world,
      make({
        clients: Math.round(parameters.meters * share),
        withinMs: parameters.withinSeconds * 1000,
        servers,
        choice: fleet === 'drawn' ? 'drawn' : 'first',
        random: seededBits(parameters.seed),
      }),
    );
    loads.push(load);
    rows.push(rowOf(client, load, upAfterMinutes * 60));
  }
  note('');
  return { fleet, upAfterMinutes, rows, loads };
}

// ---------------------------------------------------------------- targets

interface Target {
  readonly fleet: Fleet;
  readonly upAfterMinutes: number;
  readonly what: string;
  readonly came: number | null;
  readonly atMost: number;
  readonly kept: boolean;
}

/** Shares of the one-second retry's peak and attempts that ours may have when no meter has cookies. */
const shares = { all: [1 / 5, 1 / 5], drawn: [1 / 3, 1 / 2], first: [1 / 5, 1 / 3] } as const;

function targetsOf({ fleet, upAfterMinutes, rows }: Table): Target[] {
  const row = (client: string) => rows.find((each) => each.client === client)!;
  const [few, many, each] = [row(stored), row(empty), row(fixed)];
  const target = (what: string, came: number | null, atMost: number): Target => {
    return { fleet, upAfterMinutes, what, came, atMost, kept: came !== null && came <= atMost };
  };
  const servers = fleet === 'all' ? 1 : parameters.servers;
  const leastSeconds = many.clients / (servers * parameters.capacity);
  const fromSeconds = upAfterMinutes * 60 + parameters.withinSeconds + parameters.spreadSeconds;
  const chrony = rows.filter(({ client }) => client.startsWith('chrony'));
  const chronySeconds = Math.min(...chrony.map(({ most }) => most ?? Number.POSITIVE_INFINITY));
  const targets = [
    target(`${stored}: peak beside the one-second retry's`, few.peak, each.peak / 100),
    target(`${empty}: peak beside the one-second retry's`, many.peak, each.peak * shares[fleet][0]),
    target(`${empty}: attempts beside the one-second retry's`, many.attempts, each.attempts * shares[fleet][1]),
    target(`${empty}: s until 99 %`, many.most, fromSeconds + 2 * leastSeconds),
    target(`${empty}: s until all`, many.all, fromSeconds + 3 * leastSeconds),
    target(`${empty}: s until 99 % beside chrony's soonest`, many.most, chronySeconds),
  ];
  if (upAfterMinutes > 0) return targets;
  return [
    ...targets,
    target(`${stored}: attempts, one each`, few.attempts, few.clients),
    target(`${stored}: s until all`, few.all, fromSeconds),
  ];
}

// ---------------------------------------------------------------- output

/** A duration in its largest unit of which there is at least one and a half. */
function duration(seconds: number | null): string {
  if (seconds === null) return `> ${horizonDays} d`;
  if (seconds < 90) return `${seconds} s`;
  if (seconds < 5400) return `${(seconds / 60).toFixed(1)} min`;
  return seconds < 129_600 ? `${(seconds / 3600).toFixed(1)} h` : `${(seconds / 86_400).toFixed(1)} d`;
}

const clientWidth = 28;
const rate = (perSecond: number) => (perSecond > 0 && perSecond < 10 ? perSecond.toFixed(1) : perSecond.toFixed(0));

function printTable({ fleet, upAfterMinutes, rows, loads }: Table): void {
  const up = upAfterMinutes === 0 ? 'servers up at once' : `servers up after ${upAfterMinutes} min`;
  const cells = (texts: readonly string[], width: number) => texts.map((text) => text.padStart(width)).join('');
  console.log(`\n${fleets[fleet]}; ${up}`);
  console.log(
    `${'attempts per second'.padEnd(clientWidth)}${cells(minuteNames, 8)}${cells(['peak', 'per client'], 11)}` +
      cells(['50 %', '99 %', 'all keys'], 10),
  );
  for (const row of rows) {
    const perClient = row.clients === 0 ? 0 : row.attempts / row.clients;
    console.log(
      row.client.padEnd(clientWidth) +
        cells(row.perSecond.map(rate), 8) +
        cells([rate(row.peak), perClient.toFixed(1)], 11) +
        cells([row.half, row.most, row.all].map(duration), 10),
    );
  }
  if (process.stdout.isTTY)
    console.log(
      `\n${drawLoads(
        kinds.map(([client]) => client.padEnd(clientWidth)),
        loads,
      )}`,
    );
}

const tables: Table[] = [];
if (!values.json) {
  const { meters, withinSeconds, capacity, servers, spreadSeconds, seed } = parameters;
  console.log(
    `${meters} meters back within ${withinSeconds} s; ${servers} servers, ${capacity} handshakes/s each; ` +
      `spread ${spreadSeconds} s; seed ${seed}`,
  );
}
for (const fleet of fleetNames) {
  for (const upAfterMinutes of new Set([0, parameters.downMinutes])) {
    const label = `${fleet}, servers up after ${upAfterMinutes} min`;
    const table = await step(label, (note) => tableOf(fleet, upAfterMinutes, note));
    tables.push(table);
    if (!values.json) printTable(table);
  }
}
const targets = tables.flatMap(targetsOf);
const missed = targets.filter(({ kept }) => !kept);
if (values.json) {
  console.log(
    JSON.stringify({
      parameters,
      minutesEndAtSeconds: minutes,
      tables: tables.map(({ loads: _, ...table }) => table),
      targets,
      within: missed.length === 0,
    }),
  );
} else {
  console.log(`
attempts per second: mean of the minute that ends then, at the server that is busiest then; peak: most in a second once
the servers are up. Attempts that are not served end after ${parameters.timeoutSeconds} s. Targets kept: ${targets.length - missed.length} of ${targets.length}`);
  for (const { fleet, upAfterMinutes, what, came, atMost } of missed) {
    console.log(`  MISSED  ${fleet}, up after ${upAfterMinutes} min: ${what}: ${came}, at most ${Math.floor(atMost)}`);
  }
}
if (values.check && missed.length > 0) process.exitCode = 1;
