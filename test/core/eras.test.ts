// Dates of a meter's life: 2026 to 2046, across the end of NTP's era 0 (2036-02-07T06:28:16Z, RFC 5905 6) and of 32-bit Unix
// time (2038-01-19T03:14:08Z), software that was built before or after, and years without power.
import { beforeAll, describe, expect, it } from 'vitest';
import { ClockStatus, MeterEvent, Reject } from '../../as/abi/codes.ts';
import { buildCore } from '../../scripts/build-core.mjs';
import { millisecond, type SimulatedMeter, type SimulatedMeterOptions, second, started } from './simulated-meter.ts';

beforeAll(async () => {
  await buildCore();
});

const eraEnd = 2_085_978_496n * second;
const unixEnd = 2_147_483_648n * second;
const utc = (date: string) => BigInt(Date.parse(date)) * millisecond;
const unix = (date: string) => Date.parse(date) / 1000;
const yearSeconds = 31_557_600;

function meter(options: SimulatedMeterOptions, change: (sim: SimulatedMeter) => void = () => {}): SimulatedMeter {
  return started(options, (sim) => {
    for (const { behaviour } of sim.servers) behaviour.notAfter = 1n << 40n;
    change(sim);
  });
}

/** Within its bound; returns the error. */
function check(sim: SimulatedMeter): number {
  const { status, boundNs } = sim.meter.time();
  const error = Math.abs(Number(sim.errorNs));
  if (status !== ClockStatus.Unsynchronised && error > Number(boundNs)) {
    throw new Error(`at ${sim.utcNs}: an error of ${error} ns, a bound of ${boundNs} ns`);
  }
  return error;
}

function checkSynchronised(sim: SimulatedMeter): void {
  expect(sim.meter.time().status).toBe(ClockStatus.Synchronised);
  expect(check(sim)).toBeLessThan(1e6);
}

describe('a meter of software built in 2026', () => {
  it.each(Array.from({ length: 21 }, (_, i) => 2026 + i))(
    'gets the time in %i, and its real-time clock keeps it',
    (year) => {
      const sim = meter({
        startUtcNs: utc(`${year}-12-07T12:00:00Z`),
        rtc: true,
        buildUnixSeconds: unix('2026-11-22'),
      });
      sim.run(600);
      checkSynchronised(sim);
      sim.meter.powerCut();
      sim.run(3600);
      for (const { behaviour } of sim.servers) behaviour.onRequest = () => [];
      sim.meter.start();
      sim.run(1);
      expect(sim.meter.time().status).toBe(ClockStatus.Holdover);
      expect(check(sim)).toBeLessThan(2e9);
    },
  );

  it.each([
    ["NTP's era 0", eraEnd],
    ['32-bit Unix time', unixEnd],
  ])('synchronised across the end of %s: no step, no refused answer', (_, end) => {
    const sim = meter({
      servers: 3,
      startUtcNs: end - 300n * second,
      settings: { poll: { minSeconds: 1, maxSeconds: 1 } },
    });
    sim.run(30);
    for (let i = 0; i < 600; i++) {
      sim.run(1);
      checkSynchronised(sim);
    }
    expect(sim.eventCodes().filter((code) => code === MeterEvent.ClockSet)).toHaveLength(1);
    expect(sim.eventCodes()).not.toContain(MeterEvent.AnswerRefused);
  });

  it.each([
    ['the first time', 0],
    ['of many', 60],
  ])('an exchange whose answer leaves in the next era: %s', (_, before) => {
    // The server says that it had the request for 2.6 s, of a round trip of 2.8 s.
    let across = 0;
    const sim = meter(
      {
        startUtcNs: eraEnd - BigInt(before) * second - 1_450n * millisecond,
        settings: { poll: { minSeconds: 1, maxSeconds: 1 } },
      },
      ({ behaviour }) => {
        behaviour.outNs = () => 1_400n * millisecond;
        behaviour.backNs = () => 1_400n * millisecond;
        behaviour.change = (parts) => {
          parts.receiveUtcNs -= 1_300n * millisecond;
          parts.transmitUtcNs += 1_300n * millisecond;
          if (parts.receiveUtcNs < eraEnd && parts.transmitUtcNs >= eraEnd) across += 1;
        };
      },
    );
    for (let i = 0; i < 1200; i++) {
      sim.run(0.1);
      check(sim);
    }
    expect(across).toBeGreaterThan(0);
    checkSynchronised(sim);
    expect(sim.eventCodes()).not.toContain(MeterEvent.AnswerRefused);
  });

  it.each([true, false])('off from 2030 to 2040 (real-time clock: %s) comes back to the time', (rtc) => {
    const sim = meter({ startUtcNs: utc('2030-06-01T00:00:00Z'), rtc, buildUnixSeconds: unix('2026-11-22') });
    sim.run(86_400);
    checkSynchronised(sim);
    sim.meter.powerCut();
    sim.run(10 * yearSeconds);
    sim.meter.start();
    sim.run(0.01);
    expect(sim.meter.time().status).toBe(rtc ? ClockStatus.Holdover : ClockStatus.Unsynchronised);
    check(sim);
    sim.run(600);
    checkSynchronised(sim);
    expect(new Date(Number(sim.meter.time().utcNs / millisecond)).getUTCFullYear()).toBe(2040);
  });

  it('off since 2026, on again in 2046', () => {
    const sim = meter({ startUtcNs: utc('2026-12-01T00:00:00Z'), buildUnixSeconds: unix('2026-11-22') });
    sim.run(600);
    sim.meter.powerCut();
    sim.run(20 * yearSeconds);
    sim.meter.start();
    sim.run(600);
    checkSynchronised(sim);
  });
});

describe('a meter of software built after era 0', () => {
  it.each(['2036-02-07T06:28:16Z', '2037-01-01T00:00:00Z', '2045-01-01T00:00:00Z'])('%s', (built) => {
    const sim = meter({ startUtcNs: utc(built) + 1000n * second, buildUnixSeconds: unix(built) });
    sim.run(600);
    checkSynchronised(sim);
    // A time before it was built, also one of era 0, is none; 96 years before, it would be that of 40 years after.
    for (const years of [1, 20, 90]) {
      const behind = meter({ startUtcNs: utc(built), buildUnixSeconds: unix(built) }, ({ behaviour }) => {
        behaviour.serverErrorNs = -BigInt(years * yearSeconds) * second;
      });
      behind.run(600);
      expect(behind.meter.time().status).toBe(ClockStatus.Unsynchronised);
      expect(behind.counts[0]!.rejected[Reject.BehindFloor - 1]).toBeGreaterThan(0);
    }
  });
});
