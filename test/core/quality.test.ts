// What the time of a record is worth: each row of the table in docs/time-rules.md.
import { beforeAll, describe, expect, it } from 'vitest';
import {
  ClockStatus,
  LogFullRule,
  Message,
  MeterEvent,
  RecordMark,
  RecordReason,
  StorageMap,
  TimeFlag,
} from '../../as/abi/codes.ts';
import { timeProfiles } from '../../host/provision/time-rules.ts';
import { encodeProgram } from '../../host/tariff/program-block.ts';
import { buildCore } from '../../scripts/build-core.mjs';
import { type SimulatedMeter, second } from './simulated-meter.ts';
import {
  berlin,
  day,
  hour,
  recordsOf,
  runningMeter,
  type TariffMeterOptions,
  tariffMeter,
  unix,
  utcNsOf,
} from './tariff-meter.ts';

beforeAll(async () => {
  await buildCore();
});

const text = '2026-07-01T12:02:00Z';
const startUtcNs = utcNsOf(text);
const at = unix(text);

/** Letter, DLMS status without summer time, and PTB status of the last record of a period. */
function worth(sim: SimulatedMeter): [string, number, number] {
  const { letter, dlmsStatus, ptbStatus } = recordsOf(sim, RecordReason.Period).at(-1)!;
  return [letter, dlmsStatus & 0x7f, ptbStatus];
}

function meter(options: TariffMeterOptions = {}, seconds = 1700): SimulatedMeter {
  const sim = runningMeter({ program: berlin, startUtcNs, ...options });
  sim.run(seconds);
  return sim;
}

/** After so many hours without an answer. */
function silent(hours: number, options: TariffMeterOptions = {}): SimulatedMeter {
  const sim = meter(options);
  for (const { behaviour } of sim.servers) behaviour.onRequest = () => [];
  sim.run(hours * hour);
  return sim;
}

const limits = { uncertaintyMaxMs: 0, boundMaxMs: 0 };

describe('the status of a record', () => {
  it('is S 0 0 where the time is authenticated, within the limits, and calibrated', () => {
    expect(worth(meter())).toEqual(['S', 0, 0]);
  });

  it('is S 0 1 in holdover within the rules', () => {
    const sim = silent(2);
    expect(sim.meter.time().status).toBe(ClockStatus.Holdover);
    expect(worth(sim)).toEqual(['S', 0, 1]);
  });

  it('is S 0 1 in holdover of several servers, of which none is heard', () => {
    const sim = silent(2, { servers: 3 });
    expect(sim.report!.flags & TimeFlag.NoMajority).not.toBe(0);
    expect(worth(sim)).toEqual(['S', 0, 1]);
  });

  it('is S 0 1 where records before it were lost, and S 0 0 again after', () => {
    const sim = tariffMeter({
      program: berlin,
      startUtcNs,
      rules: { periodMinutes: 1 },
      storageBytes: StorageMap.Records + 64 * StorageMap.EntryBytes,
    });
    sim.acknowledgeRecords = false;
    sim.meter.start();
    sim.runUntilSynchronised();
    sim.deliver({ type: Message.RecordAck, stored: 0, delivered: 0 });
    sim.runUntil('no room for records', () => sim.eventCodes().includes(MeterEvent.RecordsFull), 2 * hour);
    sim.run(600);
    const newest = sim.tariff!.recordNewest;
    sim.deliver({ type: Message.RecordAck, stored: newest, delivered: newest });
    sim.run(600);
    const periods = recordsOf(sim, RecordReason.Period);
    const first = periods.findIndex(({ marks }) => (marks & RecordMark.RecordsLost) !== 0);
    const status = periods.slice(first - 1, first + 2).map(({ letter, ptbStatus }) => [letter, ptbStatus]);
    expect(status).toEqual([
      ['S', 0],
      ['S', 1],
      ['S', 0],
    ]);
  });

  it('is S 0 1 within 30 days of the end of the calibration', () => {
    expect(worth(meter({ calibration: { at: 1, until: at + 30 * day } }))).toEqual(['S', 0, 1]);
    expect(worth(meter({ calibration: { at: 1, until: at + 31 * day } }))).toEqual(['S', 0, 0]);
  });

  it('is I 0 2 where the clock is not calibrated, not yet, or no more', () => {
    expect(worth(meter({ calibration: null }))).toEqual(['I', 0, 2]);
    expect(worth(meter({ calibration: { at: at + day, until: at + 2 * day } }))).toEqual(['I', 0, 2]);
    expect(worth(meter({ calibration: { at: 1, until: at } }))).toEqual(['I', 0, 2]);
  });

  it('changes with the second at which the calibration begins and ends', () => {
    const boundary = unix('2026-07-01T12:30:00Z');
    expect(worth(meter({ calibration: { at: 1, until: boundary } }))).toEqual(['I', 0, 2]);
    expect(worth(meter({ calibration: { at: 1, until: boundary + 1 } }))).toEqual(['S', 0, 1]);
    expect(worth(meter({ calibration: { at: boundary, until: 2n ** 40n } }))).toEqual(['S', 0, 0]);
    expect(worth(meter({ calibration: { at: boundary + 1, until: 2n ** 40n } }))).toEqual(['I', 0, 2]);
  });

  it('is I 2 2 where the bound or the uncertainty is above its limit', () => {
    expect(worth(meter({ rules: { boundMaxMs: 1, uncertaintyMaxMs: 0 } }))).toEqual(['I', 2, 2]);
    expect(worth(meter({ rules: { boundMaxMs: 0, uncertaintyMaxMs: 1 } }))).toEqual(['I', 2, 2]);
    expect(worth(meter({ rules: limits }))).toEqual(['S', 0, 0]);
  });

  it('is I 2 2 while a correction is refused', () => {
    const sim = meter({ rules: limits, settings: { timeRules: timeProfiles.uk.rules } });
    sim.behaviour.serverErrorNs = 60n * second;
    sim.run(hour);
    expect(sim.report!.flags & TimeFlag.ClockRefused).not.toBe(0);
    expect(worth(sim)).toEqual(['I', 2, 2]);
  });

  it('is I 2 2 while servers that are heard do not agree', () => {
    const sim = meter({ servers: 2, rules: limits });
    expect(worth(sim)).toEqual(['S', 0, 0]);
    sim.servers[1]!.behaviour.serverErrorNs = 60n * second;
    sim.run(hour);
    expect(sim.report!.flags & TimeFlag.NoMajority).not.toBe(0);
    expect(worth(sim)).toEqual(['I', 2, 2]);
  });

  it('is I 2 2 by the real-time clock, unconfirmed since the start', async () => {
    const sim = meter({ rtc: true, rules: limits });
    await sim.meter.stop();
    sim.behaviour.onTlsOpen = () => undefined;
    sim.behaviour.onRequest = () => [];
    sim.meter.start();
    sim.run(hour);
    expect(sim.report!.flags & TimeFlag.FromRtc).not.toBe(0);
    expect(worth(sim)).toEqual(['I', 2, 2]);
  });

  it('is I 2 3 where holdover has ended', () => {
    const timeRules = { ...timeProfiles['charger-24h'].rules, holdoverHours: 3 };
    expect(worth(silent(4, { rules: limits, settings: { timeRules } }))).toEqual(['I', 2, 3]);
  });

  it('is I 0 2 where a stored program does not hold', () => {
    const sim = tariffMeter({ program: berlin, startUtcNs });
    const broken = encodeProgram(berlin, 2);
    broken[60]! ^= 1;
    sim.storage.write(StorageMap.ProgramB, broken);
    sim.meter.start();
    sim.run(1700);
    expect(worth(sim)).toEqual(['I', 0, 2]);
  });

  it.each([
    [LogFullRule.Invalid, ['I', 0, 3]],
    [LogFullRule.Mark, ['S', 0, 1]],
  ] as const)('with a full logbook is as its rule %d says', async (logFull, expected) => {
    const sim = tariffMeter({ program: berlin, startUtcNs, rules: { logFull } });
    sim.meter.start();
    // Each start is an entry, and more follow.
    for (let starts = 0; starts < 300; starts++) {
      sim.run(2);
      await sim.meter.stop();
      sim.meter.start();
    }
    sim.runUntil('a time', () => sim.meter.time().status === ClockStatus.Synchronised, hour);
    sim.run(1700);
    expect(worth(sim)).toEqual(expected);
  });

  it('is U 1 3 without a time', () => {
    const sim = tariffMeter({ program: berlin, startUtcNs });
    sim.behaviour.onTlsOpen = () => undefined;
    sim.meter.start();
    sim.run(60);
    const { letter, dlmsStatus, ptbStatus } = sim.records[0]!;
    expect([letter, dlmsStatus, ptbStatus]).toEqual(['U', 1, 3]);
  });

  it('never is both invalid and doubtful', () => {
    const sim = silent(60, { rules: { boundMaxMs: 500 } });
    for (const { dlmsStatus } of sim.records) expect(dlmsStatus & 3).not.toBe(3);
    expect(sim.records.some(({ dlmsStatus }) => (dlmsStatus & 3) === 2)).toBe(true);
  });

  it('has what the clock said of itself, rounded up', () => {
    const sim = meter();
    const record = recordsOf(sim, RecordReason.Period).at(-1)!;
    expect(record.clockStatus).toBe(ClockStatus.Synchronised);
    expect(record.timeFlags).toBe(TimeFlag.SingleSource);
    expect(record.server).toBe(0);
    expect(record.sampleAgeSeconds).toBeLessThan(70);
    expect(record.boundNs!).toBeGreaterThanOrEqual(record.uncertaintyNs!);
    const now = sim.meter.time();
    expect(Math.abs(Number(now.boundNs) - record.boundNs!)).toBeLessThan(20e6);
  });
});
