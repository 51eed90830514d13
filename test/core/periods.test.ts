// Registration periods: one record at each boundary of legal time, on days of every length, across corrections of the clock,
// power cuts and the dates at which counters overflow.
import { beforeAll, describe, expect, it } from 'vitest';
import { MeterEvent, RecordMark, RecordReason } from '../../as/abi/codes.ts';
import { timeProfiles } from '../../host/provision/time-rules.ts';
import type { RecordEntry } from '../../host/record/entry.ts';
import { buildCore } from '../../scripts/build-core.mjs';
import { type SimulatedMeter, second } from './simulated-meter.ts';
import {
  berlin,
  day,
  hour,
  marksOf,
  reasonsOf,
  recordsOf,
  runningMeter,
  type TariffMeterOptions,
  targetsOf,
  tariffMeter,
  utcNsOf,
} from './tariff-meter.ts';

beforeAll(async () => {
  await buildCore();
});

const periodsOf = (sim: SimulatedMeter) => recordsOf(sim, RecordReason.Period);

/** A meter with a time, half a minute before this UTC. */
function ahead(text: string, options: TariffMeterOptions = {}): SimulatedMeter {
  const sim = runningMeter({ program: berlin, startUtcNs: utcNsOf(text) - 7200n * second, ...options });
  sim.run(2 * hour - 30 - Number(sim.time.nowNs / second));
  sim.records.length = 0;
  return sim;
}

/** Whether each boundary has one record, read within a millisecond of it, and they are this far apart. */
function expectEvery(records: readonly RecordEntry[], seconds: number): void {
  for (const [i, record] of records.entries()) {
    expect(record.captureUtcNs - record.targetUtcNs).toBeGreaterThanOrEqual(0n);
    expect(record.captureUtcNs - record.targetUtcNs).toBeLessThan(1_000_000n);
    expect(marksOf(record)).toEqual([]);
    // The first register counts true seconds.
    expect(Math.abs(Number(record.readings[0]! - record.targetUtcNs / second))).toBeLessThanOrEqual(1);
    if (i > 0) expect(record.targetUtcNs - records[i - 1]!.targetUtcNs).toBe(BigInt(seconds) * second);
  }
}

describe('a day', () => {
  it.each([
    ['of 25 hours', '2026-10-24T22:00:00Z', 100],
    ['of 23 hours', '2026-03-28T23:00:00Z', 92],
    ['of 24 hours', '2026-07-01T22:00:00Z', 96],
    ['around the end of NTP era 0', '2036-02-06T23:00:00Z', 96],
    ['around 2^31 seconds', '2038-01-18T23:00:00Z', 96],
  ])('%s has all its periods', (_, midnight, periods) => {
    const sim = ahead(midnight, {});
    sim.run(60 + (periods * hour) / 4);
    const records = periodsOf(sim);
    expect(records).toHaveLength(periods + 1);
    expect(targetsOf(records)[0]).toBe(midnight);
    expectEvery(records, 900);
    const local = (record: RecordEntry) =>
      new Date(Number(record.targetUtcNs / 1_000_000n) + record.offsetMinutes * 60_000).toISOString().slice(11, 16);
    expect(local(records[0]!)).toBe('00:00');
    expect(local(records.at(-1)!)).toBe('00:00');
    expect(sim.meter.traps).toBe(0);
  });

  it.each([1, 5, 30, 60])('has periods of %d minutes', (periodMinutes) => {
    const sim = ahead('2026-10-24T22:00:00Z', { rules: { periodMinutes } });
    sim.run(60 + 4 * hour);
    expect(periodsOf(sim)).toHaveLength(1 + (4 * 60) / periodMinutes);
    expectEvery(periodsOf(sim), periodMinutes * 60);
    expect(periodsOf(sim).every((record) => record.periodMinutes === periodMinutes)).toBe(true);
  });

  it('has none where the rules name none', () => {
    const sim = ahead('2026-10-24T22:00:00Z', { rules: { periodMinutes: 0 } });
    sim.run(day);
    expect(periodsOf(sim)).toEqual([]);
    // Tariffs are switched all the same.
    expect(recordsOf(sim, RecordReason.Switch)).toHaveLength(2);
  });

  it('is one of UTC without a program', () => {
    const sim = runningMeter({ startUtcNs: utcNsOf('2026-10-24T22:01:00Z'), rules: { periodMinutes: 60 } });
    sim.run(3 * hour);
    const records = periodsOf(sim);
    expect(targetsOf(records)).toEqual(['2026-10-24T23:00:00Z', '2026-10-25T00:00:00Z', '2026-10-25T01:00:00Z']);
    for (const record of records) {
      expect(record.offsetMinutes).toBe(0);
      expect(record.marks & RecordMark.NoProgram).not.toBe(0);
    }
    expect(sim.switches).toEqual([]);
  });

  it('cuts a period short where the offset changes by no multiple of it', () => {
    const program = { ...berlin, zone: 'Australia/Lord_Howe' };
    // At 02:00 summer time, 15:00 UTC, clocks go back by half an hour.
    const sim = ahead('2026-04-04T13:00:00Z', {
      program,
      rules: { periodMinutes: 60 },
      buildUnixSeconds: 1_772_000_000,
    });
    sim.run(4.2 * hour);
    expect(targetsOf(periodsOf(sim))).toEqual([
      '2026-04-04T13:00:00Z',
      '2026-04-04T14:00:00Z',
      '2026-04-04T15:00:00Z',
      '2026-04-04T15:30:00Z',
      '2026-04-04T16:30:00Z',
    ]);
    expect(periodsOf(sim).map(({ offsetMinutes }) => offsetMinutes)).toEqual([660, 660, 630, 630, 630]);
  });
});

describe('a record at a boundary', () => {
  it('has the summer time of its capture', () => {
    const sim = ahead('2026-10-25T00:00:00Z', { rules: { periodMinutes: 60 } });
    sim.run(1.5 * hour);
    expect(periodsOf(sim).map(({ offsetMinutes, dlmsStatus }) => [offsetMinutes, dlmsStatus])).toEqual([
      [120, 0x80],
      [60, 0],
    ]);
  });

  it('is marked where readings do not come, and comes two seconds later', () => {
    let answers = true;
    const sim = ahead('2026-07-01T22:00:00Z', {
      registers: () => {
        if (!answers) throw new Error('no registers');
        return [7n, 8n];
      },
    });
    answers = false;
    sim.run(120);
    const [late] = periodsOf(sim);
    expect(marksOf(late!)).toEqual(['NoReadings']);
    expect(late!.readings).toEqual([]);
    expect(late!.ptbStatus).toBe(2);
    expect(Number(late!.captureUtcNs - late!.targetUtcNs) / 1e9).toBeCloseTo(2, 3);
    answers = true;
    sim.run(900);
    expect(periodsOf(sim).at(-1)).toMatchObject({ readings: [7n, 8n], marks: 0, ptbStatus: 0 });
  });

  it('is marked where there are no registers', () => {
    const sim = ahead('2026-07-01T22:00:00Z', { registerCount: 0 });
    sim.run(120);
    expect(periodsOf(sim).map(marksOf)).toEqual([['NoReadings']]);
    // Nothing is missing where nothing is to be read.
    expect(periodsOf(sim)[0]!.ptbStatus).toBe(0);
  });

  it('has no more readings than the settings have registers', () => {
    const sim = ahead('2026-07-01T22:00:00Z', { registerCount: 2, registers: () => [1n, 2n, 3n, 4n] });
    sim.run(120);
    expect(periodsOf(sim)[0]!.readings).toEqual([1n, 2n]);
  });
});

const rules = (invalidMs: number) => ({ ...timeProfiles.default.rules, invalidMs, dayLimitMs: 0 });
/** Whatever the uncertainty: a server that contradicts the clock makes it large. */
const anyTime = { uncertaintyMaxMs: 0, boundMaxMs: 0 };

/** Sets the clock by so much, from about two minutes behind this UTC on; until it has happened. */
function setBy(sim: SimulatedMeter, seconds: number): void {
  sim.run(180);
  const before = sim.eventCodes().filter((code) => code === MeterEvent.ClockSet).length;
  sim.behaviour.serverErrorNs += BigInt(seconds) * second;
  sim.runUntil(
    'the clock is set',
    () => sim.eventCodes().filter((code) => code === MeterEvent.ClockSet).length > before,
    hour,
  );
}

describe('a clock that is set', () => {
  const target = '2026-07-01T22:00:00Z';

  it('forward across boundaries makes one record, of the last one', () => {
    const sim = ahead(target, { rules: anyTime, settings: { timeRules: rules(9000) } });
    setBy(sim, 3000);
    sim.run(60);
    const [record, ...others] = recordsOf(sim, RecordReason.ClockSet);
    expect(others).toEqual([]);
    expect(reasonsOf(record!)).toContain('Period');
    expect(marksOf(record!)).toEqual(['PeriodInvalid', 'PeriodIncomplete', 'Late']);
    expect(record!.ptbStatus).toBe(3);
    expect(record!.targetUtcNs % (900n * second)).toBe(0n);
    expect(record!.captureUtcNs - record!.targetUtcNs).toBeLessThan(900n * second);
    sim.run(2 * hour);
    const targets = periodsOf(sim).map(({ targetUtcNs }) => targetUtcNs);
    expect(targets[1]).toBe(record!.targetUtcNs);
    for (let i = 2; i < targets.length; i++) expect(targets[i]! - targets[i - 1]!).toBe(900n * second);
    expect(periodsOf(sim).slice(2).flatMap(marksOf)).toEqual([]);
  });

  it('within a period marks it', () => {
    const sim = ahead(target, { rules: anyTime, settings: { timeRules: rules(9000) } });
    setBy(sim, 5);
    sim.run(1800);
    const [set] = recordsOf(sim, RecordReason.ClockSet);
    expect(set!.targetUtcNs).toBe(0n);
    const [first, second, third] = periodsOf(sim);
    expect(marksOf(first!)).toEqual([]);
    // Set within the rules: a substitute may serve.
    expect([marksOf(second!), second!.ptbStatus]).toEqual([['PeriodInvalid'], 2]);
    expect([marksOf(third!), third!.ptbStatus]).toEqual([[], 0]);
  });

  it('beyond the rules makes it invalid', () => {
    const sim = ahead(target, { rules: anyTime, settings: { timeRules: rules(4000) } });
    setBy(sim, 5);
    sim.run(1800);
    const [, invalid] = periodsOf(sim);
    expect([marksOf(invalid!), invalid!.ptbStatus]).toEqual([['PeriodInvalid'], 3]);
  });

  it('back across a boundary by no more than passes in silence records nothing again', () => {
    const sim = ahead(target, { rules: anyTime, settings: { timeRules: rules(900_000) } });
    setBy(sim, -600);
    sim.run(3 * hour);
    const targets = targetsOf(periodsOf(sim));
    expect(new Set(targets).size).toBe(targets.length);
    expect(targets.slice(0, 3)).toEqual([target, '2026-07-01T22:15:00Z', '2026-07-01T22:30:00Z']);
    expect(marksOf(periodsOf(sim)[1]!)).toEqual(['PeriodInvalid']);
  });

  it('back across a boundary by more records it again, marked', () => {
    const sim = ahead(target, { rules: anyTime, settings: { timeRules: rules(9000) } });
    setBy(sim, -600);
    sim.run(hour);
    expect(targetsOf(periodsOf(sim)).slice(0, 3)).toEqual([target, target, '2026-07-01T22:15:00Z']);
    expect(periodsOf(sim).slice(0, 3).map(marksOf)).toEqual([[], ['PeriodInvalid'], []]);
    expect(periodsOf(sim)[1]!.ptbStatus).toBe(3);
  });

  it('back often, each time a little, is noticed when it adds up', () => {
    const sim = ahead(target, { rules: anyTime, settings: { timeRules: rules(200_000) } });
    for (let i = 0; i < 4; i++) setBy(sim, -150);
    sim.run(2 * hour);
    const targets = targetsOf(periodsOf(sim));
    // Nothing is missing behind it.
    expect(targets.at(-1)).not.toBe(targets.at(-2));
    const last = periodsOf(sim).slice(-4);
    expectEvery(
      last.map((record) => ({ ...record, readings: [record.targetUtcNs / second] })),
      900,
    );
  });

  it('by slewing brings the boundary at the time that it shows', () => {
    const sim = ahead(target, { rules: anyTime, settings: { timeRules: timeProfiles['ptb-50.7'].rules } });
    sim.run(180);
    sim.behaviour.serverErrorNs = 8n * second;
    sim.run(6 * hour);
    const records = periodsOf(sim);
    expect(records).toHaveLength(25);
    expectEvery(
      records.map((record) => ({ ...record, readings: [record.targetUtcNs / second] })),
      900,
    );
    expect(Number(sim.errorNs) / 1e9).toBeGreaterThan(7.9);
  });
});

describe('a power cut', () => {
  it('marks the period in which the meter starts, and makes up for none', async () => {
    const sim = ahead('2026-07-01T22:00:00Z', { rtc: true });
    sim.run(120 + 1800);
    await sim.meter.stop();
    sim.run(hour);
    sim.meter.start();
    sim.run(2 * hour);
    const records = periodsOf(sim);
    expect(targetsOf(records).slice(0, 5)).toEqual([
      '2026-07-01T22:00:00Z',
      '2026-07-01T22:15:00Z',
      '2026-07-01T22:30:00Z',
      '2026-07-01T23:45:00Z',
      '2026-07-02T00:00:00Z',
    ]);
    expect(records.slice(0, 5).map((record) => marksOf(record).includes('PeriodIncomplete'))).toEqual([
      false,
      false,
      false,
      true,
      false,
    ]);
    expect(records[3]!.ptbStatus).toBeGreaterThanOrEqual(2);
    expect(recordsOf(sim, RecordReason.Start)).toHaveLength(1);
  });

  it('without a real-time clock leaves no record of a period before there is a time again', async () => {
    const sim = ahead('2026-07-01T22:00:00Z');
    sim.run(120);
    await sim.meter.stop();
    sim.behaviour.onTlsOpen = () => undefined;
    sim.behaviour.onRequest = () => [];
    sim.records.length = 0;
    sim.meter.start();
    sim.run(2 * hour);
    expect(sim.records.map(reasonsOf)).toEqual([['Start']]);
    expect(sim.records[0]).toMatchObject({ letter: 'U', ptbStatus: 3, dlmsStatus: 1, captureUtcNs: 0n, tariff: 2 });
    expect(sim.records[0]).toMatchObject({ uncertaintyNs: undefined, boundNs: undefined, sampleAgeSeconds: undefined });
  });
});

it('what a start begins is told of a meter that never had a time', () => {
  const sim = tariffMeter({ program: berlin });
  sim.behaviour.onTlsOpen = () => undefined;
  sim.meter.start();
  sim.run(hour);
  expect(sim.records.map(reasonsOf)).toEqual([['Start']]);
  expect(sim.switches).toEqual([]);
  expect(sim.tariff).toMatchObject({ flags: 2, letter: 'U', ptbStatus: 3, dlmsStatus: 1, periodEnd: 0n, next: 0n });
});
