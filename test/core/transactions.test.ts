// Transactions of the application: numbered, recorded at both ends with readings, and ended whatever happens.
import { beforeAll, describe, expect, it } from 'vitest';
import { ClockStatus, Message, MeterEvent, RecordReason } from '../../as/abi/codes.ts';
import { timeProfiles } from '../../host/provision/time-rules.ts';
import type { RecordEntry } from '../../host/record/entry.ts';
import { buildCore } from '../../scripts/build-core.mjs';
import { type SimulatedMeter, second } from './simulated-meter.ts';
import { berlin, hour, marksOf, reasonsOf, runningMeter, tariffMeter, utcNsOf } from './tariff-meter.ts';

beforeAll(async () => {
  await buildCore();
});

const { TransactionBegin, TransactionEnd } = RecordReason;
const startUtcNs = utcNsOf('2026-07-01T12:02:00Z');

function charger(options: Parameters<typeof runningMeter>[0] = {}): SimulatedMeter {
  const sim = runningMeter({ program: berlin, startUtcNs, ...options });
  sim.run(120);
  sim.records.length = 0;
  return sim;
}

const ends = (sim: SimulatedMeter): RecordEntry[] =>
  sim.records.filter(({ reasons }) => (reasons & (TransactionBegin | TransactionEnd)) !== 0);
const told = (sim: SimulatedMeter) => ends(sim).map((record) => [...reasonsOf(record), record.transaction]);

describe('a transaction', () => {
  it('is recorded at its begin and its end, with readings of that time', () => {
    const sim = charger();
    sim.run(7.25);
    const begin = sim.utcNs;
    sim.meter.transaction(true);
    sim.run(100);
    const end = sim.utcNs;
    sim.meter.transaction(false);
    sim.run(5);
    expect(told(sim)).toEqual([
      ['TransactionBegin', 1],
      ['TransactionEnd', 1],
    ]);
    for (const [i, at] of [begin, end].entries()) {
      const record = ends(sim)[i]!;
      expect(record).toMatchObject({ letter: 'S', targetUtcNs: 0n, tariff: 1, marks: 0 });
      expect(record.readings[0]).toBe(at / second);
      expect(Math.abs(Number(record.captureUtcNs - at))).toBeLessThan(20e6);
    }
  });

  it('is numbered on, and its number stands in all that is recorded meanwhile', () => {
    const sim = charger();
    for (let i = 0; i < 3; i++) {
      sim.meter.transaction(true);
      sim.run(900);
      sim.meter.transaction(false);
      sim.run(60);
    }
    expect(told(sim).map(([, number]) => number)).toEqual([1, 1, 2, 2, 3, 3]);
    const within = sim.records.filter(({ reasons }) => reasons === RecordReason.Period);
    expect(within.map(({ transaction }) => transaction)).toEqual([1, 2, 3]);
    sim.run(900);
    expect(sim.records.at(-1)).toMatchObject({ transaction: 0, reasons: RecordReason.Period });
  });

  it('that is begun twice is one, and an end too many is none', () => {
    const sim = charger();
    sim.meter.transaction(false);
    sim.meter.transaction(true);
    sim.run(1);
    sim.meter.transaction(true);
    sim.run(1);
    sim.meter.transaction(false);
    sim.run(1);
    sim.meter.transaction(false);
    sim.run(5);
    expect(told(sim)).toEqual([
      ['TransactionBegin', 1],
      ['TransactionEnd', 1],
    ]);
  });

  it('that begins and ends while registers are not answered loses neither', () => {
    let answers = true;
    const sim = charger({
      registers: () => {
        if (!answers) throw new Error('no registers');
        return [1n, 2n];
      },
    });
    answers = false;
    for (const runs of [true, false, true, false]) {
      sim.meter.transaction(runs);
      sim.run(0.1);
    }
    sim.run(20);
    expect(told(sim)).toEqual([
      ['TransactionBegin', 1],
      ['TransactionEnd', 1],
      ['TransactionBegin', 2],
      ['TransactionEnd', 2],
    ]);
    expect(ends(sim).every((record) => marksOf(record).includes('NoReadings'))).toBe(true);
  });

  it('asks for a signed head at its end', () => {
    const sim = charger();
    sim.run(hour);
    const heads = () => sim.sentOf(Message.Head).length;
    const before = heads();
    sim.meter.transaction(true);
    sim.run(30);
    expect(heads()).toBe(before);
    sim.meter.transaction(false);
    sim.run(30);
    expect(heads()).toBe(before + 1);
    const { head } = sim.sentOf(Message.Head).at(-1)!;
    expect(new DataView(head.buffer, head.byteOffset).getUint32(4, true)).toBe(ends(sim).at(-1)!.sequence);
  });

  it('during which power fails is ended by the next start, and numbers go on', async () => {
    const sim = charger({ rtc: true });
    sim.meter.transaction(true);
    sim.run(300);
    await sim.meter.stop();
    sim.run(60);
    sim.records.length = 0;
    sim.meter.start();
    sim.run(120);
    const [first] = sim.records;
    expect(reasonsOf(first!)).toEqual(expect.arrayContaining(['Start', 'TransactionEnd']));
    expect(marksOf(first!)).toContain('PeriodIncomplete');
    expect(first).toMatchObject({ transaction: 1 });
    expect(['I', 'U']).toContain(first!.letter);
    sim.meter.transaction(true);
    sim.run(10);
    expect(told(sim).at(-1)).toEqual(['TransactionBegin', 2]);
    await sim.meter.stop();
    sim.meter.start();
    sim.run(120);
    sim.meter.transaction(true);
    sim.run(10);
    expect(told(sim).slice(-2)).toEqual([
      ['TransactionEnd', 'Start', 2],
      ['TransactionBegin', 3],
    ]);
  });

  it('that ended is not ended again by the next start', async () => {
    const sim = charger({ rtc: true });
    sim.meter.transaction(true);
    sim.run(60);
    sim.meter.transaction(false);
    sim.run(60);
    await sim.meter.stop();
    sim.records.length = 0;
    sim.meter.start();
    sim.run(120);
    expect(ends(sim)).toEqual([]);
    expect(sim.records[0]!.transaction).toBe(0);
  });

  it('that is told before the meter has found its records begins as soon as it has', () => {
    const sim = tariffMeter({ program: berlin, startUtcNs });
    sim.meter.start();
    sim.meter.transaction(true);
    sim.run(60);
    expect(told(sim)).toEqual([['TransactionBegin', 1]]);
  });

  it('that is never ended counts as ended after a day', () => {
    const sim = charger({ settings: { timeRules: timeProfiles['charger-48h'].rules } });
    sim.meter.transaction(true);
    sim.run(25 * hour);
    expect(sim.eventCodes()).toContain(MeterEvent.TransactionOverdue);
    expect(told(sim)).toEqual([
      ['TransactionBegin', 1],
      ['TransactionEnd', 1],
    ]);
    sim.meter.transaction(false);
    sim.run(10);
    expect(ends(sim)).toHaveLength(2);
  });
});

describe('the letter of a transaction', () => {
  const letters = (sim: SimulatedMeter) => ends(sim).map(({ letter }) => letter);
  const tight = { uncertaintyMaxMs: 1, boundMaxMs: 1 };

  function charge(sim: SimulatedMeter, meanwhile: () => void = () => sim.run(60)): string[] {
    sim.meter.transaction(true);
    sim.run(5);
    meanwhile();
    sim.meter.transaction(false);
    sim.run(5);
    return letters(sim);
  }

  it('is S at both ends where the time is good', () => {
    expect(charge(charger())).toEqual(['S', 'S']);
  });

  it('is R where the clock is calibrated and the time is not good enough', () => {
    expect(charge(charger({ rules: tight }))).toEqual(['R', 'R']);
  });

  it('is I where the clock is not calibrated', () => {
    expect(charge(charger({ rules: tight, calibration: null }))).toEqual(['I', 'I']);
    expect(charge(charger({ calibration: null }))).toEqual(['I', 'I']);
  });

  it('goes from S to R where the time becomes worse', () => {
    const sim = charger({ settings: { timeRules: timeProfiles['charger-24h'].rules } });
    sim.run(hour);
    sim.behaviour.onRequest = () => [];
    sim.run(18 * hour);
    expect(charge(sim, () => sim.run(7 * hour))).toEqual(['S', 'R']);
  });

  it('is never S at the end where it was not at the begin', () => {
    // At 50 ppm the bound grows by 180 ms an hour.
    const sim = charger({ rules: { boundMaxMs: 500 } });
    sim.behaviour.onRequest = () => [];
    sim.run(4 * hour);
    sim.records.length = 0;
    sim.meter.transaction(true);
    sim.run(60);
    sim.behaviour.onRequest = (request) => [sim.answer(request)];
    sim.runUntil('a time again', () => sim.meter.time().status === ClockStatus.Synchronised, 20 * hour);
    sim.run(600);
    expect(sim.tariff!.letter).toBe('R');
    sim.meter.transaction(false);
    sim.run(400);
    expect(letters(sim)).toEqual(['R', 'R']);
    expect(sim.tariff!.letter).toBe('S');
  });

  it('is U where there is no time, and not R at an end that has one', () => {
    const sim = tariffMeter({ program: berlin, startUtcNs });
    let answers = false;
    sim.behaviour.onRequest = (request) => (answers ? [sim.answer(request)] : []);
    sim.meter.start();
    sim.run(20);
    sim.meter.transaction(true);
    sim.run(20);
    answers = true;
    sim.runUntilSynchronised();
    sim.run(60);
    sim.meter.transaction(false);
    sim.run(5);
    expect(letters(sim)).toEqual(['U', 'I']);
  });
});
