// The meter's clock against models of oscillator, network and servers, in virtual time, beside the figures of others.
// Run by scripts/bench-clock.mjs; docs/bench-clock.md says what it shows.
import { mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import { setImmediate as immediate } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { isMainThread } from 'node:worker_threads';
import { FileError } from '../host/files.ts';
import { step } from '../scripts/lib/progress.mjs';
import { root } from '../scripts/lib/project.mjs';
import { type Case, CaseError, loadCases } from './clock/cases.ts';
import { RunError, runAll, workHere } from './clock/crew.ts';
import { plotCase } from './clock/plot.ts';
import { caseText, said, tableHead, targetsOf } from './clock/report.ts';
import { figuresOf, sumTallies } from './clock/tally.ts';
import { clockUsage } from './usage.mjs';

const ownCases = join(root, 'bench', 'clock', 'cases');

function wrong(message: string): never {
  console.error(message);
  process.exit(2);
}

function readArguments() {
  try {
    return parseArgs({
      options: {
        cases: { type: 'string', default: ownCases },
        only: { type: 'string' },
        seeds: { type: 'string', default: '1-100' },
        every: { type: 'string' },
        jobs: { type: 'string', default: String(availableParallelism()) },
        json: { type: 'boolean', default: false },
        check: { type: 'boolean', default: false },
        plot: { type: 'string' },
        help: { type: 'boolean', default: false },
      },
    }).values;
  } catch (error) {
    wrong(`${(error as Error).message}\n\n${clockUsage}`);
  }
}

function whole(option: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  wrong(`--${option}: expected a whole number from ${least} to ${most}, came ${text}`);
}

function readSeeds(text: string): number[] {
  const seeds = text.split(',').flatMap((part) => {
    const match = /^(\d+)(?:-(\d+))?$/.exec(part.trim());
    const [from, to] = [Number(match?.[1]), Number(match?.[2] ?? match?.[1])];
    if (match === null || to < from || to > 2 ** 31 || to - from > 1e6) {
      wrong(`--seeds: expected numbers and ranges such as 1-100 or 3,7,20-29, came ${text}`);
    }
    return Array.from({ length: to - from + 1 }, (_, n) => from + n);
  });
  return [...new Set(seeds)];
}

function choose(cases: readonly Case[], only: string | undefined): Case[] {
  if (only === undefined) return [...cases];
  const chosen = only.split(',').map((name) => {
    const pattern = new RegExp(
      `^${name
        .trim()
        .replace(/[.+?^${}()|[\]\\]/g, '\\$&')
        .replaceAll('*', '.*')}$`,
    );
    const found = cases.filter((each) => pattern.test(each.name));
    if (found.length === 0) {
      wrong(`--only: expected some of ${cases.map((each) => each.name).join(', ')}, came ${name}`);
    }
    return found;
  });
  return cases.filter((each) => chosen.some((found) => found.includes(each)));
}

function readCases(path: string): Case[] {
  try {
    return loadCases(resolve(path));
  } catch (error) {
    if (error instanceof CaseError || error instanceof FileError) wrong(error.message);
    throw error;
  }
}

async function writePlots(cases: readonly Case[], seed: number, folder: string): Promise<void> {
  mkdirSync(folder, { recursive: true });
  await step(`pictures in ${folder}`, async (note) => {
    for (const each of cases) {
      note(each.name);
      await immediate();
      writeFileSync(join(folder, `${each.name}.svg`), plotCase(each, seed));
    }
    note(`${cases.length}`);
  });
}

async function main(): Promise<void> {
  const values = readArguments();
  if (values.help) return console.log(clockUsage);
  const seeds = readSeeds(values.seeds);
  const jobs = whole('jobs', values.jobs, 1, 256);
  const every = values.every === undefined ? undefined : whole('every', values.every, 1, 1_000_000);
  const cases = choose(readCases(values.cases), values.only).map((each) =>
    every === undefined ? each : { ...each, readEverySeconds: every },
  );
  const label = `${cases.length} cases with ${seeds.length} seeds`;
  const tallies = await step(label, (note) =>
    runAll(cases, seeds, jobs, new URL(import.meta.url), (runs, all) => note(`${runs} of ${all} runs`)),
  );
  if (values.plot !== undefined) await writePlots(cases, seeds[0]!, resolve(values.plot));
  const results = cases.map((of, n) => {
    const figures = figuresOf(sumTallies(tallies[n]!), of);
    return { of, figures, targets: targetsOf(of, figures) };
  });
  const targets = results.flatMap(({ targets: each }) => each);
  const missed = targets.filter(({ kept }) => !kept);
  if (values.json) {
    console.log(
      JSON.stringify({
        seeds,
        cases: results.map(({ of: { name, title, limitRmsMs, peers }, figures, targets: kept }) => {
          return { name, title, figures, limitRmsMs, peers, targets: kept };
        }),
        within: missed.length === 0,
      }),
    );
  } else {
    console.log(tableHead);
    for (const { of, figures } of results) console.log(caseText(of, figures));
    console.log(`\nTargets kept: ${targets.length - missed.length} of ${targets.length}`);
    for (const { of, targets: each } of results) {
      for (const { kept, ...target } of each) if (!kept) console.log(`  MISSED  ${of.name}: ${said(target)}`);
    }
  }
  if (values.check && missed.length > 0) process.exitCode = 1;
}

if (isMainThread) {
  try {
    await main();
  } catch (error) {
    if (!(error instanceof RunError)) throw error;
    console.error(error.message);
    process.exitCode = 1;
  }
} else {
  workHere();
}
