// Many random calendars, in worker threads: the core's switches and periods beside those of the reference.
// Run by scripts/check-tariff.mjs. What always holds: calendar N of a seed is the same one, whoever looks at it.
import { randomInt } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { isMainThread, workerData } from 'node:worker_threads';
import { step } from '../../scripts/lib/progress.mjs';
import { root } from '../../scripts/lib/project.mjs';
import { answerTasks, refuseArguments, runTasks, wholeNumber } from '../check-crew.ts';
import { randomFrom } from './random.ts';
import { type Comparison, compare, useCalendar } from './tariff-compare.ts';
import { TariffCore } from './tariff-core.ts';
import { type DrawnCalendar, drawCalendar } from './tariff-draw.ts';
import { checkTariffUsage } from './tariff-usage.mjs';
import { zoneDifferences } from './tariff-zones.ts';

interface Work {
  readonly module: WebAssembly.Module;
  readonly seed: number;
  /** Zones whose rule does not hold. */
  readonly asList: ReadonlySet<string>;
}
interface Result extends Comparison {
  readonly number: number;
  readonly calendar?: DrawnCalendar;
}

const seedMost = 2 ** 32 - 1;

function readArguments() {
  try {
    return parseArgs({
      options: {
        calendars: { type: 'string', default: '10000' },
        seed: { type: 'string', default: String(randomInt(2 ** 31)) },
        only: { type: 'string' },
        jobs: { type: 'string', default: String(availableParallelism()) },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    }).values;
  } catch (error) {
    refuseArguments(`${(error as Error).message}\n\n${checkTariffUsage}`);
  }
}

function workHere(): void {
  const { module, seed, asList } = workerData as Work;
  const core = new TariffCore(module);
  answerTasks(
    (number: number) => `calendar ${number} of seed ${seed}`,
    (number) => check(core, seed, number, asList),
  );
}

function check(core: TariffCore, seed: number, number: number, asList: ReadonlySet<string>): Result {
  const random = randomFrom((seed + Math.imul(number, 0x9e37_79b1)) >>> 0);
  const calendar = drawCalendar(random, asList);
  useCalendar(core, calendar);
  const result = compare(core, calendar, random);
  return { number, ...result, ...(result.difference === undefined ? {} : { calendar }) };
}

async function main(): Promise<void> {
  const values = readArguments();
  if (values.help) return console.log(checkTariffUsage);
  const count = wholeNumber('calendars', values.calendars, 1, 10_000_000);
  const seed = wholeNumber('seed', values.seed, 0, seedMost);
  const jobs = wholeNumber('jobs', values.jobs, 1, 256);
  const only = values.only === undefined ? undefined : wholeNumber('only', values.only, 1, 10_000_000);
  const numbers = only === undefined ? Array.from({ length: count }, (_, i) => i + 1) : [only];
  const module = new WebAssembly.Module(readFileSync(join(root, 'build', 'core.wasm')));
  const zones = zoneDifferences();
  const tz = process.versions.tz ?? 'unknown';
  console.error(`seed ${seed}; IANA data ${tz} of ICU ${process.versions.icu}`);
  for (const [name, said] of zones)
    console.error(`  ! ${name} is given as a list, as its rule is not what ICU has: ${said}`);
  let calendars = 0;
  let switches = 0;
  let boundaries = 0;
  const differing: Result[] = [];
  const work: Work = { module, seed, asList: new Set(zones.keys()) };
  await step('tariff calendars, 2026 to 2046', (note) =>
    runTasks(new URL(import.meta.url), work, numbers.values(), Math.min(jobs, numbers.length), (result: Result) => {
      calendars++;
      switches += result.switches;
      boundaries += result.boundaries;
      if (result.difference !== undefined) differing.push(result);
      note(`${calendars} of ${numbers.length}, ${switches} switches`);
      return result.difference === undefined;
    }),
  );
  const figures = { seed, tz, calendars, switches, boundaries };
  if (values.json) {
    console.log(JSON.stringify({ ...figures, asLists: Object.fromEntries(zones), differing }));
  } else {
    for (const { number, difference, calendar } of differing) {
      console.log(`DIFFERS: calendar ${number} of seed ${seed}, ${calendar!.zone}: ${difference}`);
      console.log(JSON.stringify(calendar));
    }
    console.log(
      `${calendars} calendars with ${switches} switches and ${boundaries} period boundaries: ` +
        `${differing.length === 0 ? 'all as in the reference' : `${differing.length} differ`} (seed ${seed})`,
    );
  }
  if (differing.length > 0) process.exitCode = 1;
}

if (isMainThread) {
  try {
    await main();
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
} else {
  workHere();
}
