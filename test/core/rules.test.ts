// What is done with corrections of the clock: each profile on both sides of its limits, days, transactions, holdover, and
// that no instant is shown twice.
import { beforeAll, describe, expect, it } from 'vitest';
import { ClockStatus, Invalidity, MeterEvent, TimeFlag } from '../../as/abi/codes.ts';
import type { CoreExports } from '../../host/core/core.ts';
import type { SoftwareMeterOptions } from '../../host/meter/software-meter.ts';
import { type TimeProfileName, type TimeRules, timeProfiles } from '../../host/provision/time-rules.ts';
import { buildCore } from '../../scripts/build-core.mjs';
import { seededRandom } from './random.ts';
import { millisecond, SimulatedMeter, type SimulatedMeterOptions, second, started } from './simulated-meter.ts';

const hour = 3600;
const { ClockSet, ClockSlewed, ClockRefused, PeriodsInvalid } = MeterEvent;
const corrections = [ClockSet, ClockSlewed, ClockRefused, PeriodsInvalid];

beforeAll(async () => {
  await buildCore();
});

const magnitude = (value: bigint) => (value < 0n ? -value : value);

/** A meter under these rules that is synchronised and has told all that its start had to tell. */
function running(rules: TimeRules | TimeProfileName, options: SimulatedMeterOptions = {}): SimulatedMeter {
  const timeRules = typeof rules === 'string' ? timeProfiles[rules].rules : rules;
  const sim = started({ ...options, settings: { reportSeconds: 300, ...options.settings, timeRules } });
  sim.runUntilSynchronised();
  sim.run(hour);
  sim.events.length = 0;
  return sim;
}

/** Shifts the server, and runs until the meter has taken it: the fourth and more samples insist. */
function shift(sim: SimulatedMeter, ms: number, seconds = 900): void {
  sim.behaviour.serverErrorNs += BigInt(ms) * millisecond;
  sim.run(seconds);
}

const told = (sim: SimulatedMeter) => sim.events.filter(({ code }) => corrections.includes(code));
const names = (sim: SimulatedMeter) => told(sim).map(({ code }) => MeterEvent[code]);
const reasons = (sim: SimulatedMeter) =>
  told(sim).flatMap(({ code, b }) => (code === PeriodsInvalid ? [Number(b)] : []));

/** Profile, correction in ms, what is told. A correction is up to 10 ms smaller than the shift, the interval's half. */
const limits: [TimeProfileName, number, readonly string[]][] = [
  ['default', 45, ['ClockSlewed']],
  ['default', 75, ['ClockSet']],
  ['default', 8980, ['ClockSet']],
  ['default', 9030, ['PeriodsInvalid', 'ClockSet']],
  ['ptb-50.7', 75, []],
  ['ptb-50.7', 8980, []],
  ['ptb-50.7', 9030, ['PeriodsInvalid', 'ClockSet']],
  ['ptb-50.8', 8980, ['ClockSet']],
  ['ptb-50.8', 9030, ['PeriodsInvalid', 'ClockSet']],
  ['load-profile-90d', 45, ['ClockSlewed']],
  ['load-profile-90d', 75, ['PeriodsInvalid', 'ClockSet']],
  ['charger-48h', 75, ['ClockSet']],
  ['charger-24h', 9030, ['PeriodsInvalid', 'ClockSet']],
  ['uk', 9980, []],
  ['uk', 10_030, ['ClockRefused']],
  ['gas', 19_980, []],
  ['gas', 20_030, ['PeriodsInvalid', 'ClockSet']],
];

describe('a correction', () => {
  it.each(limits)('%s: %d ms', (profile, ms, expected) => {
    for (const sign of [1, -1]) {
      const sim = running(profile);
      shift(sim, sign * ms);
      expect(names(sim)).toEqual(expected);
      for (const { code, a } of told(sim)) {
        if (code !== PeriodsInvalid) expect(Math.abs(Number(a) / 1e6 - sign * ms)).toBeLessThan(11);
      }
      const { invalidations, status } = sim.meter.time();
      expect(invalidations).toBe(reasons(sim).length);
      expect(reasons(sim).every((reason) => reason === Invalidity.Correction)).toBe(true);
      expect(status).toBe(ClockStatus.Synchronised);
      const moved = Math.abs(Number(sim.errorNs) / 1e6);
      if (expected.includes('ClockRefused')) expect(moved).toBeLessThan(1);
      else expect(moved).toBeGreaterThan(Math.min(ms - 11, 100));
    }
  });

  it('with load-profile-90d makes periods invalid whenever the clock is set, also where less is slewed', () => {
    const sim = running({ ...timeProfiles['load-profile-90d'].rules, slewMaxMs: 15, invalidMs: 15 });
    shift(sim, 40);
    expect(names(sim)).toEqual(['PeriodsInvalid', 'ClockSet']);
  });

  it('is told where the rules have a limit of 0 for silence, and set where they have one for slewing', () => {
    const own = timeProfiles.default.rules;
    const loud = running({ ...own, silentMaxMs: 0 });
    shift(loud, 25);
    expect(names(loud)).toContain('ClockSlewed');
    const sudden = running({ ...own, silentMaxMs: 0, slewMaxMs: 0 });
    shift(sudden, 25);
    expect(names(sudden)).toContain('ClockSet');
    expect(names(sudden)).not.toContain('ClockSlewed');
  });
});

describe('a refused correction', () => {
  it('leaves the clock, says so, and is inside bound and uncertainty', () => {
    const sim = running('uk');
    shift(sim, 10_200, 2 * hour);
    expect(names(sim)).toEqual(['ClockRefused']);
    expect(told(sim)[0]!.b).toBe(10n * second);
    const { boundNs, uncertaintyNs } = sim.meter.time();
    // The server is right now, as far as the meter can know.
    expect(boundNs).toBeGreaterThan(10_190n * millisecond);
    expect(uncertaintyNs).toBeGreaterThan(10_190n * millisecond);
    sim.run(300);
    expect(sim.report!.flags & TimeFlag.ClockRefused).not.toBe(0);
  });

  it('is done when an operator accepts it, and that once', () => {
    const sim = running('uk');
    shift(sim, 10_200);
    sim.meter.acceptCorrection();
    sim.run(1);
    expect(names(sim)).toEqual(['ClockRefused', 'PeriodsInvalid', 'ClockSet']);
    expect(Number(sim.errorNs) / 1e6).toBeCloseTo(10_200, -2);
    sim.run(300);
    expect(sim.report!.flags & TimeFlag.ClockRefused).toBe(0);
    shift(sim, 10_200);
    expect(names(sim).slice(3)).toEqual(['ClockRefused']);
  });

  it('is none where nothing was refused: an operator does not allow the next one beforehand', () => {
    const sim = running('uk');
    sim.meter.acceptCorrection();
    shift(sim, 10_200);
    expect(names(sim)).toEqual(['ClockRefused']);
  });

  it('is done after a restart', async () => {
    const sim = running('uk', { rtc: true });
    shift(sim, 15_000, 7 * hour);
    expect(names(sim)).toEqual(['ClockRefused']);
    await sim.meter.stop();
    sim.run(60);
    sim.meter.start();
    sim.runUntilSynchronised();
    sim.run(hour);
    expect(names(sim)).toEqual(['ClockRefused', 'PeriodsInvalid', 'ClockSet']);
    expect(Math.abs(Number(sim.errorNs) / 1e6 - 15_000)).toBeLessThan(15);
  });
});

describe('corrections of a day', () => {
  const own = { ...timeProfiles['ptb-50.7'].rules, holdoverHours: 0 };
  const settings = { poll: { minSeconds: 64, maxSeconds: 64 } };

  it('that add up to more than its limit are told, however small each is', () => {
    const sim = running({ ...own, slewMaxMs: 1000, silentMaxMs: 1000, dayLimitMs: 2000 }, { settings });
    for (let i = 0; i < 4; i++) shift(sim, 600, hour);
    expect(reasons(sim)).toEqual([Invalidity.DayShift]);
    expect(Number(told(sim)[0]!.a) / 1e6).toBeCloseTo(2400, -2);
    // Then the count begins anew.
    for (let i = 0; i < 3; i++) shift(sim, 600, hour);
    expect(reasons(sim)).toHaveLength(1);
  });

  it('cancel out, and those of another day do not count', () => {
    const sim = running({ ...own, slewMaxMs: 1000, silentMaxMs: 1000, dayLimitMs: 2000 }, { settings });
    for (let i = 0; i < 6; i++) shift(sim, i % 2 === 0 ? 900 : -900, hour);
    expect(told(sim)).toEqual([]);
    for (let i = 0; i < 3; i++) {
      shift(sim, 900, hour);
      sim.run(33 * hour);
    }
    expect(told(sim)).toEqual([]);
  });

  it('count what is set too, and how often', () => {
    const rules = { ...own, slewMaxMs: 50, silentMaxMs: 10, dayLimitMs: 0, dayLimitCount: 2 };
    const sim = running(rules, { settings });
    for (const ms of [500, -500, 500]) shift(sim, ms, hour);
    expect(names(sim)).toEqual(['ClockSet', 'ClockSet', 'PeriodsInvalid', 'ClockSet']);
    expect(reasons(sim)).toEqual([Invalidity.DayCount]);
    sim.run(33 * hour);
    shift(sim, -500, hour);
    expect(reasons(sim)).toHaveLength(1);
    const summed = running({ ...rules, dayLimitMs: 900, dayLimitCount: 0 }, { settings });
    for (const ms of [500, 500]) shift(summed, ms, hour);
    expect(reasons(summed)).toEqual([Invalidity.DayShift]);
  });
});

describe('holdover', () => {
  const settings = { poll: { minSeconds: 64, maxSeconds: 1024 }, reportSeconds: 600 };
  const ended = (sim: SimulatedMeter) => sim.events.filter(({ code }) => code === MeterEvent.HoldoverEnded);

  it.each([
    ['charger-24h', 24],
    ['charger-48h', 48],
    ['ptb-50.7', 72],
  ] as const)('%s: good for %d h', (profile, hours) => {
    const sim = running(profile, { settings });
    sim.behaviour.onRequest = () => [];
    const last = sim.report!.lastSyncUtcNs;
    const age = () => Number(sim.utcNs - last) / 1e9;
    sim.run(hours * hour - 660 - age());
    expect(ended(sim)).toEqual([]);
    expect(sim.report!.flags & TimeFlag.HoldoverEnded).toBe(0);
    sim.run(1400);
    expect(ended(sim)).toHaveLength(1);
    expect(Number(ended(sim)[0]!.a) / 3.6e12).toBeCloseTo(hours, 1);
    expect(reasons(sim)).toEqual([Invalidity.Holdover]);
    expect(sim.report!.flags & TimeFlag.HoldoverEnded).not.toBe(0);
    expect(sim.meter.time().status).toBe(ClockStatus.Holdover);
    // Its end is counted once; a period that begins and ends later tells by the flag that it is invalid.
    const counted = sim.meter.time();
    sim.run(900);
    expect(sim.meter.time()).toMatchObject({ holdoverEnded: true, invalidations: counted.invalidations });
    sim.behaviour.onRequest = (request) => [sim.answer(request)];
    // Keys that serve for nothing are replaced ever less often.
    sim.run(6 * 24 * hour);
    expect(sim.meter.time()).toMatchObject({ status: ClockStatus.Synchronised, holdoverEnded: false });
    expect(sim.report!.flags & TimeFlag.HoldoverEnded).toBe(0);
  });

  it('has no end where the rules name none', () => {
    const sim = running('default', { settings });
    sim.behaviour.onRequest = () => [];
    sim.run(100 * hour);
    expect(ended(sim)).toEqual([]);
  });

  it('goes on over a power cut', async () => {
    const sim = running('charger-24h', { settings, rtc: true });
    sim.run(8 * hour);
    await sim.meter.stop();
    sim.run(20 * hour);
    sim.behaviour.onTlsOpen = () => undefined;
    sim.behaviour.onRequest = () => [];
    sim.meter.start();
    sim.run(60);
    expect(sim.meter.time().status).toBe(ClockStatus.Holdover);
    expect(ended(sim)).toEqual([]);
    sim.run(5 * hour);
    expect(ended(sim)).toHaveLength(1);
  });
});

it('a clock that is set by days right after a sample is not in holdover for as long', () => {
  const rules = { ...timeProfiles['charger-24h'].rules, refuseMs: 10_000 };
  const sim = running(rules);
  sim.behaviour.serverErrorNs = 3n * 86_400n * second;
  sim.run(900);
  expect(names(sim)).toEqual(['ClockRefused']);
  sim.meter.acceptCorrection();
  sim.run(300);
  expect(names(sim)).toContain('ClockSet');
  expect(sim.eventCodes()).not.toContain(MeterEvent.HoldoverEnded);
  expect(sim.report!.flags & TimeFlag.HoldoverEnded).toBe(0);
});

describe('a transaction', () => {
  const settings = { poll: { minSeconds: 64, maxSeconds: 64 } };

  /** UTC minus true time at some instants. */
  function errors(sim: SimulatedMeter, times: number, seconds: number): number[] {
    return Array.from({ length: times }, () => {
      sim.run(seconds);
      return Number(sim.errorNs);
    });
  }

  it('sees no correction, and what waited is done at its end', () => {
    const sim = running('charger-48h', { settings });
    sim.meter.transaction(true);
    const before = Number(sim.errorNs);
    sim.behaviour.serverErrorNs = 300n * millisecond;
    // A rate of up to 1 ppb is left over from what was learned before.
    for (const [i, error] of errors(sim, 30, 60).entries())
      expect(Math.abs(error - before)).toBeLessThan(60 * (i + 1) + 10);
    expect(told(sim)).toEqual([]);
    const { boundNs, uncertaintyNs, status } = sim.meter.time();
    expect(status).toBe(ClockStatus.Synchronised);
    expect(Number(boundNs) / 1e6).toBeGreaterThan(299);
    expect(Number(uncertaintyNs) / 1e6).toBeGreaterThan(280);
    sim.meter.transaction(false);
    sim.run(1);
    expect(names(sim)).toEqual(['ClockSet']);
    expect(Number(sim.errorNs) / 1e6).toBeCloseTo(300, -1.5);
  });

  it('stops a slew, which goes on after it and is counted once', () => {
    const sim = running(
      { ...timeProfiles.default.rules, slewMaxMs: 1000, silentMaxMs: 0, dayLimitMs: 500 },
      { settings },
    );
    sim.behaviour.serverErrorNs = 400n * millisecond;
    sim.runUntil('slewing', () => sim.errorNs > 50n * millisecond, hour);
    sim.meter.transaction(true);
    const at = Number(sim.errorNs);
    for (const error of errors(sim, 5, 300)) expect(Math.abs(error - at)).toBeLessThan(1e6);
    const { uncertaintyNs } = sim.meter.time();
    expect(Number(uncertaintyNs)).toBeGreaterThan(4e8 - at - 15e6);
    sim.meter.transaction(false);
    sim.run(900);
    expect(Number(sim.errorNs) / 1e6).toBeGreaterThan(385);
    expect(reasons(sim)).toEqual([]);
  });

  it('lets the clock be slewed, not set, where the rules say so', () => {
    const rules = { ...timeProfiles['charger-48h'].rules, duringTransaction: 'slew' as const };
    const sim = running(rules, { settings });
    sim.meter.transaction(true);
    shift(sim, 45);
    expect(names(sim)).toEqual(['ClockSlewed']);
    shift(sim, 75);
    expect(names(sim)).toEqual(['ClockSlewed']);
    sim.meter.transaction(false);
    sim.run(1);
    expect(names(sim)).toEqual(['ClockSlewed', 'ClockSet']);
  });

  it('that is begun twice is one, and an end too many does nothing', () => {
    const sim = running('charger-48h', { settings });
    sim.meter.transaction(false);
    sim.meter.transaction(true);
    sim.meter.transaction(true);
    shift(sim, 300);
    expect(told(sim)).toEqual([]);
    sim.meter.transaction(false);
    sim.run(1);
    expect(names(sim)).toEqual(['ClockSet']);
  });

  it('that is never ended counts as ended after a day, and is told', () => {
    const sim = running('charger-48h', { settings });
    sim.meter.transaction(true);
    sim.behaviour.serverErrorNs = 300n * millisecond;
    sim.run(24 * hour - 120);
    expect(told(sim)).toEqual([]);
    sim.run(240);
    expect(sim.eventCodes()).toContain(MeterEvent.TransactionOverdue);
    expect(names(sim)).toEqual(['ClockSet']);
  });

  it('keeps a time from the real-time clock unconfirmed until it is corrected: that is not refused afterwards', async () => {
    const sim = running('uk', { rtc: true });
    sim.run(7 * hour);
    await sim.meter.stop();
    // The real-time clock is 15 s behind what servers say from here on.
    sim.behaviour.serverErrorNs = 15n * second;
    sim.run(3 * 86_400);
    sim.events.length = 0;
    sim.meter.start();
    sim.runUntil('a time', () => sim.meter.time().status === ClockStatus.Holdover, 1);
    sim.meter.transaction(true);
    sim.run(600);
    expect(sim.meter.time().status).toBe(ClockStatus.Synchronised);
    expect(Math.abs(Number(sim.errorNs) / 1e6)).toBeLessThan(1000);
    sim.meter.transaction(false);
    sim.run(100);
    expect(names(sim)).not.toContain('ClockRefused');
    expect(Math.abs(Number(sim.errorNs) / 1e6 - 15_000)).toBeLessThan(15);
  });

  it('does not keep a meter without a time from its first one', () => {
    const sim = new SimulatedMeter({ settings: { timeRules: timeProfiles['charger-48h'].rules } });
    sim.meter.start();
    sim.meter.transaction(true);
    sim.runUntilSynchronised();
    sim.run(600);
    sim.meter.transaction(false);
    sim.run(100);
    expect(magnitude(sim.errorNs)).toBeLessThan(millisecond);
  });
});

/** Looks at the clock before and after each event that a meter is given, at its tick and the next ones. */
class Watch {
  readonly errors: string[] = [];
  looks = 0;
  core: (() => CoreExports | undefined) | undefined;
  #before: { tick: bigint; utc: bigint } | undefined;
  #last: { tick: bigint; utc: bigint } | undefined;

  at(tick: bigint): bigint | undefined {
    const exports = this.core?.() as (CoreExports & { testClock(ticks: number): void }) | undefined;
    if (exports === undefined) return undefined;
    exports.testClock(Number(tick));
    const view = new DataView(exports.memory.buffer, exports.actionBuffer());
    return view.getUint32(0, true) === ClockStatus.Unsynchronised ? undefined : view.getBigInt64(8, true);
  }

  event(tick: bigint): void {
    const utc = this.at(tick);
    this.#before = utc === undefined ? undefined : { tick, utc };
    if (this.#before !== undefined) this.#follows(this.#last, this.#before);
  }

  /** After the event: goes on from where it was, tick by tick. */
  after(): void {
    let last = this.#before;
    if (last === undefined) return;
    for (const ahead of [0n, 1n, 2n, 3n, 5n, 1999n, 2000n, 2001n, 4001n]) {
      const now = { tick: this.#before!.tick + ahead, utc: this.at(this.#before!.tick + ahead)! };
      this.#follows(last, now);
      last = now;
      if (ahead === 0n) this.#last = now;
    }
  }

  #follows(last: { tick: bigint; utc: bigint } | undefined, now: { tick: bigint; utc: bigint }): void {
    if (last === undefined) return;
    this.looks++;
    const ticks = now.tick - last.tick;
    const ns = now.utc - last.utc;
    // 500 ppm of slew and 100 ppm of rate, and a rounding at either end.
    const slack = (ticks * 601n) / 1_000_000n + 1n;
    if (ns < ticks - slack || ns > ticks + slack || (ns < 1n && ticks >= 2n)) {
      this.errors.push(`${ns} ns in ${ticks} ticks of 1 ns, at ${now.tick}`);
    }
  }
}

/** A meter whose counter counts nanoseconds, looked at around each of its events. */
function watched(watch: Watch, rules: TimeRules, frequencyPpb: number): SimulatedMeter {
  const trace = {
    reset: () => {},
    trap: () => {},
    event: (_: unknown, tick: bigint) => watch.event(tick),
    actions: () => watch.after(),
  } as unknown as NonNullable<SoftwareMeterOptions['trace']>;
  const settings = { poll: { minSeconds: 16, maxSeconds: 64 }, reportSeconds: 300, timeRules: rules };
  const sim = new SimulatedMeter({ settings, trace, tickHz: 1_000_000_000, frequencyPpb });
  sim.meter.start();
  sim.runUntilSynchronised();
  sim.run(hour);
  watch.core = () => sim.meter.core?.exports;
  return sim;
}

it('shows no instant twice, whatever is slewed, up to 10 s in either direction', () => {
  const random = seededRandom('monotonic');
  for (let round = 0; round < 4; round++) {
    const watch = new Watch();
    // Nothing is set: what is larger is refused.
    const rules = { ...timeProfiles.uk.rules, dayLimitMs: 0 };
    const sim = watched(watch, rules, random.below(100_001) - 50_000);
    let running = false;
    for (let i = 0; i < 30; i++) {
      const size = 10 ** (4 + random.below(7)) * (1 + random.below(9));
      sim.behaviour.serverErrorNs = BigInt(Math.min(size, 1e10)) * (random.below(2) === 0 ? 1n : -1n);
      sim.run(60 + random.below(1500));
      if (random.below(3) !== 0) continue;
      running = !running;
      sim.meter.transaction(running);
    }
    expect(watch.errors).toEqual([]);
    expect(watch.looks).toBeGreaterThan(5000);
    expect(sim.eventCodes().filter((code) => code === ClockSet)).toHaveLength(1);
  }
});
