// Leap seconds where the meter's own clock is far off, was off, or is asked about an instant before one.
import { beforeAll, describe, expect, it } from 'vitest';
import { Channel, ClockStatus, Message, MeterEvent, TimeFlag } from '../../as/abi/codes.ts';
import { encodeMessage, type TimeReply } from '../../host/link/messages.ts';
import { buildCore } from '../../scripts/build-core.mjs';
import { type Leap, LeapLab, type LeapServer, monthStart, Timeline } from './leap-lab.ts';
import { millisecond, type SimulatedMeterOptions, second } from './simulated-meter.ts';

beforeAll(async () => {
  await buildCore();
});

const end = monthStart(2027, 1);
const kinds: Leap[] = [
  { end, kind: 'insert' },
  { end, kind: 'delete' },
];
const hour = 3600n * second;

function lab(
  leaps: readonly Leap[],
  before: bigint,
  options: SimulatedMeterOptions & { says?: LeapServer[] } = {},
): LeapLab {
  const lab = new LeapLab({ servers: 3, ...options, startUtcNs: end - before, leaps });
  lab.sim.meter.start();
  return lab;
}

const told = ({ sim }: LeapLab, code: MeterEvent) => sim.events.filter((event) => event.code === code);

describe('an oscillator that is off by a lot', () => {
  // 0.4 % in 10 h: 144 s.
  const drifting = (leap: Leap, sign: number, servers = 3, announced?: Leap[][]) => {
    const poll = { minSeconds: 16, maxSeconds: 16 };
    const says = announced?.map((announces) => ({ announces })) ?? [];
    const meter = lab([leap], 11n * hour, { servers, says, maxFrequencyErrorPpb: 5_000_000, settings: { poll } });
    meter.sim.run(3600);
    meter.lost = true;
    meter.sim.clock.setFrequency(sign * 4_000_000);
    return meter;
  };

  it.each(kinds.flatMap((leap) => [1, -1].map((sign) => ({ ...leap, sign }))))(
    'in holdover over the end of a month, $kind, $sign: within the bound before, between and after',
    (leap) => {
      const meter = drifting(leap, leap.sign);
      meter.runTo(end, -300n * second);
      meter.watch(600, 0.37);
      expect(told(meter, MeterEvent.LeapSecond)).toHaveLength(1);
    },
  );

  const isRight = (meter: LeapLab) => {
    const { status, errorNs } = meter.check();
    expect(status).toBe(ClockStatus.Synchronised);
    // Up to 50 ms may still be slewed.
    expect(Math.abs(Number(errorNs))).toBeLessThan(5e7);
  };

  it.each(kinds)(
    'ahead, and asked again before the month ends: what came too early is undone, then done: $kind',
    (leap) => {
      const meter = drifting(leap, 1);
      // The meter is past its leap second, the truth is not.
      meter.runTo(end, -60n * second);
      const delta = leap.kind === 'insert' ? -second : second;
      expect(told(meter, MeterEvent.LeapSecond).map(({ a }) => a)).toEqual([delta]);
      meter.sim.clock.setFrequency(0);
      meter.lost = false;
      meter.watch(40, 0.1);
      expect(told(meter, MeterEvent.LeapSecond).map(({ a }) => a)).toEqual([delta, -delta]);
      isRight(meter);
      meter.watch(60, 0.1);
      expect(told(meter, MeterEvent.LeapSecond).map(({ a }) => a)).toEqual([delta, -delta, delta]);
      isRight(meter);
    },
  );

  it('ahead, and asked again before the month ends by servers that are divided: nobody knows, still', () => {
    const insertion = kinds[0]!;
    const meter = drifting(insertion, 1, 4, [[insertion], [insertion], [], []]);
    meter.runTo(end, -60n * second);
    meter.sim.clock.setFrequency(0);
    meter.lost = false;
    meter.watch(40, 0.1);
    isRight(meter);
    expect(meter.look().boundNs).toBeLessThan(200n * millisecond);
    meter.runTo(end, -3n * second);
    meter.watch(5, 0.01);
    expect(meter.look().boundNs).toBeGreaterThan(second);
    meter.watch(60, 0.1);
    isRight(meter);
  });

  it.each(kinds)('behind, and asked again after the month has ended: it takes place then: $kind', (leap) => {
    const meter = drifting(leap, -1);
    meter.runTo(end, 20n * second);
    expect(told(meter, MeterEvent.LeapSecond)).toHaveLength(0);
    meter.sim.clock.setFrequency(0);
    meter.lost = false;
    meter.watch(40, 0.1);
    expect(told(meter, MeterEvent.LeapSecond)).toHaveLength(1);
    isRight(meter);
  });
});

describe('how servers count the second itself', () => {
  it.each(kinds)('does not matter: all show it a second later, and are asked each second: $kind', (leap) => {
    const late = new Timeline([leap]).late(second);
    const says = [0, 1, 2].map(() => ({ utcNs: (even: bigint) => late.at(even).utcNs }));
    const meter = lab([leap], 600n * second, { says, settings: { poll: { minSeconds: 1, maxSeconds: 1 } } });
    meter.runTo(end, -20n * second);
    for (let i = 0; i < 4000; i++) {
      meter.sim.run(0.01);
      expect(Math.abs(Number(meter.check().errorNs))).toBeLessThan(1e6);
    }
    expect(told(meter, MeterEvent.ClockSet)).toHaveLength(1);
    expect(told(meter, MeterEvent.LeapSecond)).toHaveLength(1);
  });
});

describe('off over ends of months, with a real-time clock', () => {
  it.each([
    [1, 1],
    [2, 2],
    [12, 12],
    [120, 120],
  ])('%i: the bound grows by %i s more than by what the crystal may be wrong', (months) => {
    const leaps = Array.from({ length: months }, (_, i): Leap => ({ end: monthStart(2027, 1 + i), kind: 'insert' }));
    for (const some of [leaps, [], leaps.map((leap): Leap => ({ ...leap, kind: 'delete' }))]) {
      const meter = lab(some, 2n * hour, { rtc: true });
      meter.sim.run(600);
      meter.sim.meter.powerCut();
      meter.runTo(monthStart(2027, months), hour);
      const elapsed = meter.sim.time.nowNs;
      meter.sim.meter.start();
      meter.sim.run(0.001);
      const { status, boundNs } = meter.check();
      expect(status).toBe(ClockStatus.Holdover);
      const leapsNs = Number(boundNs) - Number(elapsed) * 100.011e-6;
      // The reading itself is known to a second.
      expect(leapsNs / 1e9 - months).toBeGreaterThan(0);
      expect(leapsNs / 1e9 - months).toBeLessThan(1.1);
      // Each is counted once: what was widened for is not widened for again.
      meter.watch(600, 11);
      const { errorNs, status: later } = meter.look();
      expect(later).toBe(ClockStatus.Synchronised);
      expect(errorNs < millisecond && errorNs > -millisecond).toBe(true);
    }
  });
});

describe('a probe', () => {
  /** Probes at an instant that the meter handles now; a board with a network of its own tells it with the message. */
  const probe = ({ sim }: LeapLab, agoNs: bigint): TimeReply => {
    const tick = sim.clock.nowTicks() - (agoNs * BigInt(sim.clock.tickHz)) / second;
    const nowTicks = sim.clock.nowTicks;
    sim.clock.nowTicks = () => tick;
    sim.meter.deliver(Channel.Time, encodeMessage({ type: Message.TimeProbe, token: 1 }));
    sim.clock.nowTicks = nowTicks;
    return sim.sentOf(Message.TimeReply).at(-1)!;
  };
  const errorOf = ({ truth }: LeapLab, utcNs: bigint, flags: number, even: bigint) =>
    Math.abs(Number(truth.evenOf(utcNs, (flags & TimeFlag.LeapSecond) !== 0) - even));

  it.each(kinds)('that came before the leap second and is answered after it: each with its own time, $kind', (leap) => {
    const meter = lab([leap], hour);
    meter.runTo(end, leap.kind === 'insert' ? -5n * millisecond : -second - 5n * millisecond);
    meter.sim.run(0.015);
    meter.check();
    const ago = 12n * millisecond;
    const { probeUtcNs, probeFlags, replyUtcNs, replyFlags } = probe(meter, ago);
    expect((replyFlags & TimeFlag.LeapSecond) !== 0).toBe(leap.kind === 'insert');
    expect(probeFlags).toBe(0);
    expect(errorOf(meter, replyUtcNs, replyFlags, meter.even)).toBeLessThan(1e6);
    expect(errorOf(meter, probeUtcNs, probeFlags, meter.even - ago)).toBeLessThan(1e6);
  });

  it('within an inserted second says so of both instants', () => {
    const meter = lab([kinds[0]!], hour);
    meter.runTo(end, -millisecond);
    meter.sim.run(0.5);
    meter.check();
    const { probeFlags, replyFlags } = probe(meter, 12n * millisecond);
    expect(probeFlags & replyFlags & TimeFlag.LeapSecond).toBe(TimeFlag.LeapSecond);
  });
});
