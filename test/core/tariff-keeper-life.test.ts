// Random lives of a meter with periods and tariffs: silence, corrections, power cuts, transactions. Each boundary of legal time
// has one record, or what comes behind it says why not; tariffs are what a table made beforehand says.
import { beforeAll, expect, it } from 'vitest';
import { RecordMark, RecordReason } from '../../as/abi/codes.ts';
import { timeProfiles } from '../../host/provision/time-rules.ts';
import { buildCore } from '../../scripts/build-core.mjs';
import { type SeededRandom, seededRandom } from './random.ts';
import { type SimulatedMeter, second } from './simulated-meter.ts';
import { berlin, day, hour, marksOf, reasonsOf, runningMeter, utcNsOf } from './tariff-meter.ts';

beforeAll(async () => {
  await buildCore();
});

/** Local hour in Berlin, by node's own tables. */
const berlinHour = new Intl.DateTimeFormat('en-GB', { timeZone: 'Europe/Berlin', hour: '2-digit', hourCycle: 'h23' });
const tariffBefore = (utcNs: bigint): number => {
  const local = Number(berlinHour.format(new Date(Number(utcNs / 1_000_000n) - 1)));
  return local >= 6 && local < 22 ? 1 : 2;
};

const { PeriodInvalid, PeriodIncomplete } = RecordMark;
const explained = PeriodInvalid | PeriodIncomplete;

/**
 * Checks what was recorded: targets of periods go on without a gap that no mark explains. Gives how many follow the one
 * before without a mark.
 */
function check(sim: SimulatedMeter, periodSeconds: bigint): number {
  let unmarked = 0;
  const periods = sim.records.filter(({ reasons }) => (reasons & RecordReason.Period) !== 0);
  for (const [i, record] of periods.entries()) {
    const text = `${new Date(Number(record.targetUtcNs / 1_000_000n)).toISOString()} ${reasonsOf(record)} ${marksOf(record)}`;
    expect(record.targetUtcNs % (periodSeconds * second), text).toBe(0n);
    expect(record.captureUtcNs >= record.targetUtcNs, text).toBe(true);
    if (i === 0) continue;
    const since = record.targetUtcNs - periods[i - 1]!.targetUtcNs;
    // What comes back or is left out is never without a mark.
    if (since !== periodSeconds * second) expect(record.marks & explained, text).not.toBe(0);
    else if ((record.marks & explained) === 0) {
      unmarked++;
      expect(record.captureUtcNs - record.targetUtcNs < 1_000_000n, text).toBe(true);
    }
    expect([record.dlmsStatus & 3, text]).not.toEqual([3, text]);
    if (record.letter === 'S') expect(record.dlmsStatus & 3, text).toBe(0);
    if ((record.marks & (explained | RecordMark.SwitchHeld)) === 0 && i > 1) {
      expect([record.tariff, text]).toEqual([tariffBefore(record.targetUtcNs), text]);
    }
  }
  const sequences = sim.records.map(({ sequence }) => sequence);
  expect(sequences).toEqual([...new Set(sequences)].sort((a, b) => a - b));
  const transactions = sim.records.flatMap(({ reasons, transaction }) => [
    ...((reasons & RecordReason.TransactionBegin) === 0 ? [] : [`begin ${transaction}`]),
    ...((reasons & RecordReason.TransactionEnd) === 0 ? [] : [`end ${transaction}`]),
  ]);
  const begun = transactions.filter((text) => text.startsWith('begin')).length;
  const expected = Array.from({ length: begun }, (_, i) => [`begin ${i + 1}`, `end ${i + 1}`]).flat();
  // The last one may run on.
  expect(transactions).toEqual(expected.slice(0, transactions.length));
  expect(expected.length - transactions.length).toBeLessThanOrEqual(1);
  return unmarked;
}

async function happen(sim: SimulatedMeter, random: SeededRandom): Promise<void> {
  const { below } = random;
  switch (below(6)) {
    case 0:
      sim.behaviour.serverErrorNs += BigInt((below(2) === 0 ? 1 : -1) * 10 ** below(5)) * 20_000_000n;
      break;
    case 1:
      sim.behaviour.onRequest = below(2) === 0 ? () => [] : (request) => [sim.answer(request)];
      break;
    case 2:
      if (below(2) === 0) await sim.meter.stop();
      else sim.meter.powerCut();
      sim.run(below(2) === 0 ? below(30) : below(3 * hour));
      sim.meter.start();
      break;
    case 3:
      sim.meter.transaction(true);
      break;
    default:
      sim.meter.transaction(false);
  }
  sim.run(60 + below(2) * below(8 * hour));
}

it.each([
  ['default', 15],
  ['ptb-50.7', 5],
  ['uk', 60],
  ['charger-24h', 30],
] as const)('a life under the rules %s, with periods of %d minutes', async (profile, periodMinutes) => {
  const random = seededRandom(`life of tariffs, ${profile}`);
  const sim = runningMeter({
    program: berlin,
    startUtcNs: utcNsOf('2026-10-22T12:02:00Z') + BigInt(random.below(day)) * second,
    rtc: random.below(3) > 0,
    frequencyPpb: random.below(80_001) - 40_000,
    rules: { periodMinutes, uncertaintyMaxMs: 0, boundMaxMs: random.below(2) * 9000 },
    storageBytes: 0x80000,
    settings: { timeRules: timeProfiles[profile].rules, spreadSeconds: 10 },
  });
  for (let i = 0; i < 40; i++) await happen(sim, random);
  sim.behaviour.onRequest = (request) => [sim.answer(request)];
  sim.run(day);
  const unmarked = check(sim, BigInt(periodMinutes * 60));
  expect(unmarked * periodMinutes * 60).toBeGreaterThan(6 * hour);
  expect(sim.meter.traps).toBe(0);
});
