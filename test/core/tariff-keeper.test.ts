// Tariffs are switched at the right second of legal time, once, whatever the clock does; and not by a time that is not good
// enough, where the settings say so.
import { beforeAll, describe, expect, it } from 'vitest';
import { ClockStatus, DoubtRule, MeterEvent, RecordReason, TariffFlag, TimeFlag } from '../../as/abi/codes.ts';
import type { TariffSwitch } from '../../host/meter/parts.ts';
import { timeProfiles } from '../../host/provision/time-rules.ts';
import type { DynamicTariffs, TariffProgram } from '../../host/tariff/model.ts';
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
  unix,
  utcNsOf,
} from './tariff-meter.ts';

beforeAll(async () => {
  await buildCore();
});

/** A meter with a time, which tells when it told its application, half a minute before this UTC. */
class Life {
  readonly told: { at: number; tariff: number; doubtful: boolean; since: number | undefined }[] = [];
  readonly sim: SimulatedMeter;

  constructor(text: string, options: TariffMeterOptions = {}) {
    this.sim = runningMeter({ program: berlin, startUtcNs: utcNsOf(text) - 7200n * second, ...options });
    const { switches } = this.sim;
    const told = this.told;
    const sim = this.sim;
    switches.push = (...items: TariffSwitch[]): number => {
      for (const { tariff, doubtful, sinceUnixSeconds } of items) {
        told.push({ at: Number(sim.utcNs) / 1e9, tariff, doubtful, since: sinceUnixSeconds });
      }
      return told.length;
    };
    this.sim.run(2 * hour - 30 - Number(this.sim.time.nowNs / second));
    this.sim.records.length = 0;
  }

  /** What was switched: UTC and tariff. */
  get switched(): [string, number][] {
    return this.told.map(({ at, tariff }) => [new Date(Math.floor(at) * 1000).toISOString().slice(0, 19), tariff]);
  }
}

/** A program whose one day switches at these times of day. */
const dayOf = (actions: readonly [string, number][], zone = berlin.zone): TariffProgram => ({
  ...berlin,
  zone,
  days: [{ id: 1, actions: actions.map(([time, tariff]) => ({ time, tariff })) }],
});

describe('a switch', () => {
  it('comes within a millisecond of its second, before which its registers are read', () => {
    const { sim, told } = new Life('2026-07-01T20:00:00Z');
    sim.run(60);
    expect(told).toHaveLength(1);
    expect(told[0]).toMatchObject({ tariff: 2, doubtful: false, since: unix('2026-07-01T20:00:00Z') });
    expect(told[0]!.at - unix('2026-07-01T20:00:00Z')).toBeLessThan(0.001);
    expect(told[0]!.at - unix('2026-07-01T20:00:00Z')).toBeGreaterThanOrEqual(0);
    const [record] = recordsOf(sim, RecordReason.Switch);
    expect(reasonsOf(record!)).toEqual(['Period', 'Switch']);
    // It closes the tariff that applied until then.
    expect(record).toMatchObject({ tariff: 1, marks: 0, letter: 'S' });
    expect(targetsOf([record!])).toEqual(['2026-07-01T20:00:00Z']);
    expect(sim.tariff).toMatchObject({ tariff: 2, nextTariff: 1 });
    expect(Number(sim.tariff!.next)).toBe(unix('2026-07-02T04:00:00Z'));
    expect(Number(sim.tariff!.since)).toBe(unix('2026-07-01T20:00:00Z'));
    expect(sim.tariff!.flags).toBe(TariffFlag.Known | TariffFlag.Summer);
  });

  it('between two boundaries has a record of its own', () => {
    const { sim } = new Life('2026-07-01T20:00:00Z', {
      program: dayOf([
        ['00:00', 3],
        ['22:07:33', 4],
      ]),
    });
    sim.run(900);
    expect(recordsOf(sim, RecordReason.Switch).map(reasonsOf)).toEqual([['Switch']]);
    expect(targetsOf(recordsOf(sim, RecordReason.Switch))).toEqual(['2026-07-01T20:07:33Z']);
  });

  it('inside the hour that spring leaves out comes right after it', () => {
    const life = new Life('2026-03-29T01:00:00Z', {
      program: dayOf([
        ['00:00', 1],
        ['02:30', 2],
        ['03:00', 3],
      ]),
    });
    life.sim.run(2 * hour);
    // Both at 03:00 summer time: the later one applies.
    expect(life.switched).toEqual([['2026-03-29T01:00:00', 3]]);
  });

  it('in the hour that autumn repeats comes once', () => {
    const life = new Life('2026-10-25T00:00:00Z', {
      program: dayOf([
        ['00:00', 1],
        ['02:30', 2],
        ['03:30', 3],
      ]),
    });
    life.sim.run(4 * hour);
    expect(life.switched).toEqual([
      ['2026-10-25T00:30:00', 2],
      ['2026-10-25T02:30:00', 3],
    ]);
  });

  it.each(['2036-02-07T06:28:16Z', '2038-01-19T03:14:08Z'])('comes at %s', (text) => {
    const time = text.slice(11, 19);
    const life = new Life(text, {
      program: dayOf(
        [
          ['00:00', 1],
          [time, 2],
        ],
        'UTC0',
      ),
    });
    life.sim.run(60);
    expect(life.told).toMatchObject([{ tariff: 2, since: unix(text) }]);
    expect(life.told[0]!.at - unix(text)).toBeLessThan(0.001);
  });

  it('follows dynamic tariffs, and what the program says after them', () => {
    const dynamic: DynamicTariffs = {
      entries: [
        { utc: '2026-07-01T10:00:00Z', tariff: 100 },
        { utc: '2026-07-01T10:15:00Z', tariff: 101 },
      ],
      endUtc: '2026-07-01T10:30:00Z',
    };
    const program = { ...berlin, dynamicFallback: 77 };
    const life = new Life('2026-07-01T10:00:00Z', { program, dynamic });
    life.sim.run(600);
    expect(life.sim.tariff!.flags & TariffFlag.Dynamic).not.toBe(0);
    life.sim.run(1800);
    expect(life.switched).toEqual([
      ['2026-07-01T10:00:00', 100],
      ['2026-07-01T10:15:00', 101],
      ['2026-07-01T10:30:00', 77],
    ]);
    expect(life.sim.tariff!.flags & TariffFlag.DynamicEnded).not.toBe(0);
    const last = life.sim.records.at(-1)!;
    expect([marksOf(last), last.ptbStatus]).toEqual([['DynamicEnded'], 1]);
  });

  it('needs no program where there are dynamic tariffs', () => {
    const sim = tariffMeter({
      startUtcNs: utcNsOf('2026-07-01T09:59:00Z'),
      dynamic: { entries: [{ utc: '2026-07-01T10:00:00Z', tariff: 100 }], endUtc: '2026-07-02T10:30:00Z' },
    });
    sim.meter.start();
    sim.run(120);
    expect(sim.switches.at(-1)).toMatchObject({ tariff: 100 });
  });
});

const rules = (invalidMs: number) => ({ ...timeProfiles.default.rules, invalidMs, dayLimitMs: 0 });
const anyTime = { uncertaintyMaxMs: 0, boundMaxMs: 0 };

function setBy(sim: SimulatedMeter, seconds: number): void {
  const count = () => sim.eventCodes().filter((code) => code === MeterEvent.ClockSet).length;
  const before = count();
  sim.behaviour.serverErrorNs += BigInt(seconds) * second;
  sim.runUntil('the clock is set', () => count() > before, hour);
  sim.run(1);
}

describe('a clock that is corrected', () => {
  const text = '2026-07-01T20:00:00Z';

  it('back across a switch by no more than passes in silence switches nothing back or again', () => {
    const life = new Life(text, { rules: anyTime, settings: { timeRules: rules(900_000) } });
    life.sim.run(120);
    setBy(life.sim, -600);
    life.sim.run(hour);
    expect(life.told.map(({ tariff }) => tariff)).toEqual([2]);
    expect(recordsOf(life.sim, RecordReason.Switch)).toHaveLength(1);
    expect(recordsOf(life.sim, RecordReason.ClockSet)).toHaveLength(1);
  });

  it('back across it by more is determined anew, and marked', () => {
    const life = new Life(text, { rules: anyTime, settings: { timeRules: rules(9000) } });
    life.sim.run(120);
    setBy(life.sim, -600);
    expect(life.told.map(({ tariff }) => tariff)).toEqual([2, 1]);
    const [, back] = recordsOf(life.sim, RecordReason.Switch);
    expect(reasonsOf(back!)).toEqual(expect.arrayContaining(['Switch', 'ClockSet']));
    expect(back!.tariff).toBe(2);
    life.sim.run(hour);
    expect(life.told.map(({ tariff }) => tariff)).toEqual([2, 1, 2]);
    expect(life.told.at(-1)!.since).toBe(unix(text));
    expect(life.sim.eventCodes()).toContain(MeterEvent.PeriodsInvalid);
  });

  it('forward across switches applies the last of them, since its own second', () => {
    const program = dayOf([
      ['00:00', 1],
      ['22:10', 2],
      ['22:20', 3],
      ['22:30', 4],
      ['23:59', 5],
    ]);
    const life = new Life(text, { program, rules: anyTime, settings: { timeRules: rules(9000) } });
    setBy(life.sim, 2000);
    expect(life.told).toHaveLength(1);
    expect(life.told[0]).toMatchObject({ tariff: 4, since: unix('2026-07-01T20:30:00Z') });
    const [record] = recordsOf(life.sim, RecordReason.Switch);
    expect(reasonsOf(record!)).toEqual(['Period', 'Switch', 'ClockSet']);
    expect(marksOf(record!)).toContain('Late');
  });

  it('forward by years is right at once', () => {
    const life = new Life(text, { rules: anyTime, settings: { timeRules: rules(9000) } });
    setBy(life.sim, 3 * 365 * day);
    expect(life.sim.tariff!.tariff).toBe(2);
    expect(life.sim.meter.traps).toBe(0);
    life.sim.run(day);
    expect(
      life.told
        .slice(-2)
        .map(({ tariff }) => tariff)
        .sort(),
    ).toEqual([1, 2]);
  });

  it('by slewing switches at the second that it shows, once', () => {
    for (const sign of [1n, -1n]) {
      const life = new Life(text, { rules: anyTime, settings: { timeRules: timeProfiles['ptb-50.7'].rules } });
      life.sim.behaviour.serverErrorNs = sign * 8n * second;
      life.sim.run(9 * hour);
      expect(life.told.map(({ tariff }) => tariff)).toEqual([2, 1]);
      // By then it is off by what was slewed.
      expect(life.told[1]!.at - unix('2026-07-02T04:00:00Z')).toBeCloseTo(-8 * Number(sign), 1);
    }
  });
});

describe('where the time is not good enough', () => {
  /** As `berlin`, and the night of a Wednesday is the last one in a week: a time may take days to come again. */
  const lastNight: TariffProgram = {
    ...berlin,
    weeks: [{ name: 'all', monday: 2, tuesday: 2, wednesday: 1, thursday: 2, friday: 2, saturday: 2, sunday: 2 }],
    days: [...berlin.days!, { id: 2, actions: [{ time: '06:00', tariff: 1 }] }],
  };

  // At 50 ppm the bound grows by 180 ms an hour.
  function silent(doubt: DoubtRule): Life {
    const life = new Life('2026-07-01T20:00:00Z', {
      program: lastNight,
      rules: { doubt, boundMaxMs: 500, periodMinutes: 30 },
    });
    life.sim.behaviour.onRequest = () => [];
    life.sim.run(6 * hour);
    expect(life.told.at(-1)).toMatchObject({ tariff: 2, doubtful: true });
    life.sim.records.length = 0;
    life.told.length = 0;
    // Past the switch of the morning.
    life.sim.run(4 * hour);
    return life;
  }

  it('tariffs go on switching where the rules say so, and records are marked', () => {
    const { sim, told } = silent(DoubtRule.Switch);
    expect(told).toMatchObject([{ tariff: 1, doubtful: true, since: unix('2026-07-02T04:00:00Z') }]);
    const [record] = recordsOf(sim, RecordReason.Switch);
    expect([marksOf(record!), record!.ptbStatus, record!.dlmsStatus, record!.letter]).toEqual([
      ['Doubtful'],
      2,
      0x82,
      'I',
    ]);
    expect(sim.tariff!.flags & TariffFlag.Doubtful).not.toBe(0);
    expect(recordsOf(sim, RecordReason.Period)).toHaveLength(8);
  });

  it('the last tariff is kept where they say so, until the time is good again', () => {
    const { sim, told } = silent(DoubtRule.Keep);
    expect(told).toEqual([]);
    expect(recordsOf(sim, RecordReason.Switch)).toEqual([]);
    const held = recordsOf(sim, RecordReason.Period).slice(-3);
    for (const record of held) expect(marksOf(record)).toEqual(['Doubtful', 'SwitchHeld']);
    sim.records.length = 0;
    sim.behaviour.onRequest = (request) => [sim.answer(request)];
    sim.runUntil('a time again', () => sim.meter.time().status === ClockStatus.Synchronised, 96 * hour);
    sim.run(400);
    const since = Number(sim.tariff!.since);
    expect(told.at(-1)).toMatchObject({ tariff: 1, doubtful: false, since });
    // It took effect when it was switched, not when it should have been.
    expect(since).toBeGreaterThan(unix('2026-07-02T06:00:00Z'));
    const switched = recordsOf(sim, RecordReason.Switch);
    expect(switched.map(({ targetUtcNs, tariff }) => [Number(targetUtcNs / second), tariff])).toEqual([[since, 2]]);
  });

  it('no records of periods are made where they say so', () => {
    const { sim } = silent(DoubtRule.Suspend);
    expect(recordsOf(sim, RecordReason.Period)).toEqual([]);
    expect(sim.tariff!.flags & TariffFlag.Suspended).not.toBe(0);
    sim.behaviour.onRequest = (request) => [sim.answer(request)];
    sim.runUntil('a time again', () => sim.meter.time().status === ClockStatus.Synchronised, 96 * hour);
    sim.run(hour);
    const [first, second] = recordsOf(sim, RecordReason.Period);
    expect(marksOf(first!)).toContain('Doubtful');
    expect(marksOf(second!)).toEqual([]);
  });

  it('as holdover has ended, the same holds', () => {
    const timeRules = { ...timeProfiles['charger-24h'].rules, holdoverHours: 3 };
    const life = new Life('2026-07-01T20:00:00Z', {
      rules: { ...anyTime, doubt: DoubtRule.Keep },
      settings: { timeRules },
    });
    life.sim.behaviour.onRequest = () => [];
    life.sim.run(9 * hour);
    expect(life.told.map(({ tariff, doubtful }) => [tariff, doubtful])).toEqual([
      [2, false],
      [2, true],
    ]);
    expect(life.sim.records.at(-1)).toMatchObject({ ptbStatus: 3, dlmsStatus: 0x82 });
  });

  it('as a correction is refused, the same holds', () => {
    const life = new Life('2026-07-01T20:00:00Z', {
      rules: { ...anyTime, doubt: DoubtRule.Keep },
      settings: { timeRules: timeProfiles.uk.rules },
    });
    life.sim.run(hour);
    life.sim.behaviour.serverErrorNs = 60n * second;
    life.sim.run(9 * hour);
    expect(life.told.map(({ tariff, doubtful }) => [tariff, doubtful])).toEqual([
      [2, false],
      [2, true],
    ]);
    life.sim.meter.acceptCorrection();
    life.sim.run(70);
    expect(life.told.at(-1)).toMatchObject({ tariff: 1, doubtful: false });
  });
});

describe('a start', () => {
  async function restart(off: number, options: TariffMeterOptions = {}): Promise<Life> {
    const life = new Life('2026-07-01T20:00:00Z', { rtc: true, ...options });
    life.sim.run(2 * hour);
    await life.sim.meter.stop();
    life.sim.run(off);
    life.told.length = 0;
    life.sim.records.length = 0;
    life.sim.meter.start();
    return life;
  }

  it('goes on with the tariff that applied, and does not switch it', async () => {
    const { sim, told } = await restart(hour);
    sim.run(600);
    expect(told.every(({ tariff, since }) => tariff === 2 && since === unix('2026-07-01T20:00:00Z'))).toBe(true);
    expect(told.at(-1)!.doubtful).toBe(false);
    expect(recordsOf(sim, RecordReason.Switch)).toEqual([]);
  });

  it('switches what was due meanwhile, since its own second', async () => {
    const { sim, told } = await restart(12 * hour);
    sim.run(600);
    expect(told.at(-1)).toMatchObject({ tariff: 1, since: unix('2026-07-02T04:00:00Z') });
    const switched = recordsOf(sim, RecordReason.Switch);
    expect(switched).toHaveLength(1);
    expect(marksOf(switched[0]!)).toContain('Late');
  });

  it('knows since when a tariff applies that was switched to and fro meanwhile', async () => {
    const { sim, told } = await restart(24 * hour);
    sim.run(600);
    expect(told.at(-1)).toMatchObject({ tariff: 2, since: unix('2026-07-02T20:00:00Z') });
    expect(recordsOf(sim, RecordReason.Switch)).toEqual([]);
  });

  it('without a time keeps the last tariff, and says that it is doubtful', async () => {
    const { sim, told } = await restart(12 * hour, { rtc: false });
    sim.behaviour.onTlsOpen = () => undefined;
    sim.behaviour.onRequest = () => [];
    sim.run(12 * hour);
    expect(told.map(({ tariff, doubtful }) => [tariff, doubtful])).toEqual([[2, true]]);
  });

  it('after weeks says what applies, and not since when', async () => {
    const { sim, told } = await restart(60 * day);
    sim.run(600);
    expect(told.at(-1)).toMatchObject({ tariff: 2 });
    sim.run(9 * hour);
    expect(told.at(-1)).toMatchObject({ tariff: 1, since: unix('2026-08-31T04:00:00Z') });
  });
});

it('a status that flaps makes a few records an hour', () => {
  const life = new Life('2026-07-01T20:00:00Z', { servers: 2, rules: { periodMinutes: 0 } });
  const letters: string[] = [];
  // Whoever has one of two servers lets it lie now and then.
  for (let i = 0; i < 12 * 20; i++) {
    life.sim.servers[1]!.behaviour.serverErrorNs = i % 2 === 0 ? 60n * second : 0n;
    life.sim.run(180);
    letters.push(life.sim.report!.flags & TimeFlag.NoMajority ? 'I' : 'S');
  }
  expect(letters.filter((letter, i) => letter !== letters[i - 1]).length).toBeGreaterThan(100);
  expect(recordsOf(life.sim, RecordReason.Status).length).toBeGreaterThan(12);
  const status = recordsOf(life.sim, RecordReason.Status);
  for (const record of status) {
    const within = status.filter(
      ({ captureUtcNs }) => captureUtcNs >= record.captureUtcNs && captureUtcNs < record.captureUtcNs + 3600n * second,
    );
    expect(within.length).toBeLessThanOrEqual(6);
  }
});
