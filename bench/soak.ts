// A meter under load for minutes, then everything killed again and again, then while meters record as much as they can,
// then years under attack. Run by scripts/soak.mjs.
//
// Part 1: an emulated meter beside two processes that take all there is of two processors. Its clock is compared with
// this machine's, which is the one that its time server serves: never more than 5 ms apart, and never more than the meter
// itself says. A comparison is an interval (test/e2e/judge.ts), as wide as machine and link were slow: an error counts
// when it is certain, and enough comparisons must be sharp enough to show that there is none.
// Part 2: gateway, broker, time server and emulated meter killed at drawn moments, alone and together.
// Part 3: broker and gateway killed, meters cut off, lines cut and disks full under a load of records: soak-records.ts.
// Part 4: an attacker on the path, in virtual time: soak-attack.ts.
import { parseArgs } from 'node:util';
import { ClockStatus } from '../as/abi/codes.ts';
import { settingsDefaults } from '../host/provision/settings-block.ts';
import { startChronyd } from '../host/setup/chronyd.ts';
import { LabCa } from '../host/setup/lab-ca.ts';
import { type SeededRandom, seededRandom } from '../test/core/random.ts';
import { Verdict } from '../test/e2e/judge.ts';
import { labGateway } from '../test/e2e/lab.ts';
import { Load } from '../test/e2e/load.ts';
import { EmulatedMeter } from '../test/e2e/meters.ts';
import { judgeRecords, recordingLab } from '../test/e2e/recording.ts';
import { RestartLab, shuffle, victims } from '../test/e2e/restart-lab.ts';
import { MeterWatch } from '../test/e2e/watch.ts';
import { killKinds } from '../test/peers/record-kills.ts';
import { median, quantile } from './figures.ts';
import { attackText, underAttack } from './soak-attack.ts';
import { parseKinds, recordsText, recordsUnderKills } from './soak-records.ts';

const limitNs = 5_000_000;
/** A comparison narrower than this shows whether the limit is kept. */
const sharpNs = 3_000_000;
const probeIntervalMs = 200;
const progressMs = 15_000;

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    rounds: { type: 'string', default: '12' },
    years: { type: 'string', default: '5' },
    kills: { type: 'string', default: '100' },
    only: { type: 'string', default: Object.keys(killKinds).join(',') },
    seed: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
});
const minutes = numberOf('minutes', values.minutes, 0, 10_080);
const rounds = numberOf('rounds', values.rounds, 0, 10_000);
const years = Math.floor(numberOf('years', values.years, 0, 10_000));
const killCount = Math.floor(numberOf('kills', values.kills, 0, 100_000));
const kinds =
  parseKinds(values.only) ?? refuse(`--only: expected some of ${Object.keys(killKinds)}, came ${values.only}`);
if (values.seed !== undefined) process.env.METERTIME_SEED = values.seed;
// Standard output then belongs to the result.
if (values.json) console.log = console.error;

function numberOf(name: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (value >= least && value <= most) return value;
  refuse(`--${name}: expected a number from ${least} to ${most}, came ${text}`);
}

function refuse(what: string): never {
  console.error(what);
  process.exit(2);
}

const ms = (ns: number) => `${(ns / 1e6).toFixed(3)} ms`;

async function underLoad() {
  const ca = await LabCa.create();
  const server = await startChronyd({ ca });
  const gateway = labGateway(ca);
  const { poll, reportSeconds } = settingsDefaults;
  const servers = [{ host: server.address, port: server.kePort }];
  const meter = await EmulatedMeter.create({ id: 'soak', servers, poll, reportSeconds });
  const watch = new MeterWatch(gateway, 'soak');
  const verdict = new Verdict();
  let load: Load | undefined;
  try {
    await meter.start();
    gateway.addLink(meter.transport());
    await watch.synchronised();
    load = new Load(2);
    const before = watch.times.length;
    const startMs = performance.now();
    let nextProgressMs = startMs + progressMs;
    while (performance.now() - startMs < minutes * 60_000) {
      await verdict.probe(watch.meter);
      await new Promise((resolve) => setTimeout(resolve, probeIntervalMs));
      if (performance.now() < nextProgressMs) continue;
      nextProgressMs += progressMs;
      const time = watch.times.at(-1)!;
      const elapsed = ((performance.now() - startMs) / 60_000).toFixed(1);
      console.log(
        `  ${elapsed.padStart(5)} min  ${ClockStatus[time.status]}  bound ${ms(Number(time.boundNs))}  ` +
          `answers ${time.authenticated}/${time.sent}  probes ${verdict.timed.length}  ` +
          `surely wrong ${verdict.beyond(limitNs).length}, beyond the bound ${verdict.boundBroken.length}`,
      );
    }
    const sharp = verdict.timed.filter(({ widthNs }) => widthNs <= sharpNs);
    const errors = sharp.map(({ lowNs, highNs }) => Math.abs(lowNs + highNs) / 2);
    const statuses = new Set(watch.times.slice(before).map(({ status }) => status));
    const stack = await meter.emulator!.readStack();
    const failures: string[] = [];
    const demand = (holds: boolean, what: string) => {
      if (!holds) failures.push(what);
    };
    demand(verdict.beyond(limitNs).length === 0, `${verdict.beyond(limitNs).length} probes surely off by over 5 ms`);
    demand(verdict.boundBroken.length === 0, `${verdict.boundBroken.length} probes surely beyond the meter's bound`);
    demand(sharp.length >= verdict.probes.length / 10, `only ${sharp.length} probes see 3 ms or sharper`);
    demand(verdict.worstNs(sharpNs) <= limitNs, `a sharp probe allows an error of ${ms(verdict.worstNs(sharpNs))}`);
    demand(verdict.boundProven.length >= verdict.timed.length / 2, 'too few probes prove the bound');
    demand(verdict.unanswered <= verdict.probes.length / 100, `${verdict.unanswered} probes without an answer`);
    demand(statuses.size === 1, `status was ${[...statuses].map((status) => ClockStatus[status]).join(', ')}`);
    demand(!meter.events.includes('WATCHDOG'), 'the watchdog barked');
    return {
      minutes,
      probes: verdict.timed.length,
      unanswered: verdict.unanswered,
      sharpProbes: sharp.length,
      errorMedianNs: median(errors),
      errorP99Ns: quantile(errors, 0.99),
      errorWorstPossibleNs: verdict.worstNs(sharpNs),
      boundMedianNs: median(verdict.timed.map(({ boundNs }) => boundNs)),
      boundMostNs: Math.max(...verdict.timed.map(({ boundNs }) => boundNs)),
      surelyOverLimit: verdict.beyond(limitNs).length,
      surelyBeyondBound: verdict.boundBroken.length,
      surelyWithinBound: verdict.boundProven.length,
      stackUsedBytes: stack.usedBytes,
      stackBytes: stack.totalBytes,
      failures,
    };
  } finally {
    await load?.stop();
    await gateway.stop();
    await meter.remove();
    await server.stop();
  }
}

async function restarts(random: SeededRandom) {
  const lab = new RestartLab(recordingLab);
  let records = 0;
  const seconds: number[] = [];
  const failures: string[] = [];
  try {
    await lab.start();
    for (let round = 1; round <= rounds; round++) {
      const together = shuffle(victims, random).slice(0, 1 + random.below(victims.length));
      seconds.push(await lab.round(together, random));
      console.log(
        `  round ${String(round).padStart(3)}  ${together.join(', ').padEnd(32)} back after ${seconds.at(-1)!.toFixed(1)} s`,
      );
    }
    failures.push(...lab.missingEvents());
    const judged = await judgeRecords(lab);
    records = judged.records.length;
    failures.push(...judged.problems);
  } catch (error) {
    failures.push((error as Error).message);
  } finally {
    await lab.stop().catch((error: Error) => failures.push(error.message));
  }
  return { rounds: seconds.length, seed: random.seed, backSecondsMost: Math.max(0, ...seconds), records, failures };
}

const random = seededRandom('soak');
if (minutes > 0) console.log(`soak: a meter under load for ${minutes} min`);
const load = minutes > 0 ? await underLoad() : undefined;
if (rounds > 0) console.log(`soak: ${rounds} rounds of kills`);
const kills = rounds > 0 ? await restarts(random) : undefined;
if (killCount > 0) console.log(`soak: ${killCount} kills and cuts of each kind under a load of records`);
const records = killCount > 0 ? await recordsUnderKills(killCount, kinds, random) : undefined;
if (years > 0) console.log(`soak: ${years} simulated years under attack`);
const attack = years > 0 ? underAttack(years, random.seed) : undefined;
const failures = [load, kills, records, attack].flatMap((part) => part?.failures ?? []);
if (values.json) {
  process.stdout.write(`${JSON.stringify({ ok: failures.length === 0, load, kills, records, attack })}\n`);
} else {
  if (load) {
    console.log(`
under load, ${minutes} min
  probes                        ${load.probes}, of which ${load.sharpProbes} see 3 ms or sharper; ${load.unanswered} unanswered
  error, sharp probes           median ${ms(load.errorMedianNs)}, 99 % ${ms(load.errorP99Ns)}, at most ${ms(load.errorWorstPossibleNs)}
  bound that the meter claims   median ${ms(load.boundMedianNs)}, at most ${ms(load.boundMostNs)}
  surely over 5 ms              ${load.surelyOverLimit}
  surely beyond the bound       ${load.surelyBeyondBound}   (surely within: ${load.surelyWithinBound})
  stack                         ${load.stackUsedBytes} of ${load.stackBytes} bytes`);
  }
  if (kills) {
    console.log(`kills
  rounds                        ${kills.rounds}, back after at most ${kills.backSecondsMost.toFixed(1)} s
  records                       ${kills.records}, all of those that the emulated meter made`);
  }
  if (records) console.log(recordsText(records));
  if (attack) console.log(attackText(attack));
  console.log(
    failures.length === 0 ? '\nall of it held' : `\nNOT HELD:\n${failures.map((one) => `  ${one}`).join('\n')}`,
  );
}
process.exitCode = failures.length === 0 ? 0 : 1;
