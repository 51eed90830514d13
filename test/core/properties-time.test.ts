// What must stay true of a meter's time whatever the oscillator, the network, the gateway and the power do: the bound
// covers the error, time never runs backwards without an event, nothing is sent twice. Years pass in seconds; each run
// draws its world from a seed, so METERTIME_SEED repeats it.
import { beforeAll, describe, expect, it } from 'vitest';
import { ClockStatus, Message, MeterEvent } from '../../as/abi/codes.ts';
import { buildCore } from '../../scripts/build-core.mjs';
import { type CheckedModules, checkedModules } from '../fuzz/checked-core.ts';
import { Prng, runSeed } from '../fuzz/prng.ts';
import { second } from '../fuzz/sockets.ts';
import { World, type WorldOptions } from '../fuzz/world.ts';

const day = 86_400;

let modules: CheckedModules;
let seed: number;
beforeAll(async () => {
  await buildCore();
  modules = checkedModules();
  seed = runSeed('properties of time');
});

/** Months since 1970 of the true UTC, a second early, and by as much as the meter may be ahead. */
function monthsAt(world: World): number {
  const boundNs = world.probe()?.boundNs ?? 0n;
  const latest = new Date(Number((world.utcNs + 2n * boundNs + second) / 1_000_000n));
  return latest.getUTCFullYear() * 12 + latest.getUTCMonth();
}

/** Draws a network that delays one way more than the other, sometimes by seconds, and loses, doubles and forges. */
function hostileNetwork(world: World, random: Prng): void {
  const delay = () => {
    const base = 10 ** (5 + 3 * random.fraction());
    const jitter = base * random.fraction();
    const spike = random.fraction() * 0.05;
    return () => base + random.exponential(jitter) + (random.chance(spike) ? random.exponential(1e9) : 0);
  };
  const dispersionNs = 10 ** (3 + 5 * random.fraction());
  const rootDelayNs = random.chance(0.5) ? 0 : 2e7 * random.fraction();
  Object.assign(world.conditions, {
    outNs: delay(),
    backNs: delay(),
    holdNs: () => random.exponential(1e6),
    residenceLies: random.chance(0.5),
    lossOut: 0.1 * random.fraction(),
    lossBack: 0.1 * random.fraction(),
    duplicates: 0.2,
    replays: 0.2,
    forgeries: 0.2,
    rootDelayNs,
    rootDispersionNs: dispersionNs,
    // The server is wrong by no more than it says.
    serverErrorNs: () => (2 * random.fraction() - 1) * (rootDelayNs / 2 + dispersionNs),
    servingNs: () => random.exponential(1e5),
  });
}

/** The oscillator: at one end of what the board guarantees, constant, or walking between the ends. */
function oscillator(world: World, random: Prng): void {
  const most = world.device.options.maxFrequencyErrorPpb;
  const kind = random.below(3);
  let ppb = kind === 0 ? most * random.pick([-1, 1]) : most * (2 * random.fraction() - 1);
  world.device.setFrequency(ppb);
  if (kind !== 2) return;
  const walk = () => {
    ppb = Math.max(-most, Math.min(most, ppb + most * (random.fraction() - 0.5)));
    world.device.setFrequency(ppb);
    world.time.schedule(world.time.nowNs + BigInt(Math.round(random.exponential(3600e9))), walk);
  };
  walk();
}

/** Server, key establishment and gateway go and come. */
function outages(world: World, random: Prng, everySeconds: number): void {
  const next = () => {
    const what = random.pick(['serverUp', 'keUp', 'gatewayUp', 'restart', 'unsynchronised'] as const);
    const lastsNs = BigInt(Math.round(random.exponential(everySeconds * 1e8)));
    if (what === 'restart') world.sockets.restartServer();
    else if (what === 'unsynchronised') world.conditions.serverUnsynchronised = true;
    else world.conditions[what] = false;
    world.time.schedule(world.time.nowNs + lastsNs, () => {
      Object.assign(world.conditions, { serverUp: true, keUp: true, gatewayUp: true, serverUnsynchronised: false });
    });
    world.time.schedule(world.time.nowNs + BigInt(Math.round(random.exponential(everySeconds * 1e9))), next);
  };
  world.time.schedule(world.time.nowNs + BigInt(Math.round(random.exponential(everySeconds * 1e9))), next);
}

function randomWorld(random: Prng, options: Partial<WorldOptions>): World {
  const world = new World({
    seed: random.u32(),
    modules,
    tickHz: random.pick([1000, 32_768, 1_000_000, 25_000_000, 72_000_000, 1_000_000_000]),
    maxFrequencyErrorPpb: random.pick([500, 2_000, 50_000, 100_000, 5_000_000]),
    // Also around the ends of NTP's era 0 and of 32-bit Unix time, and 20 years after the software was built.
    startUtcNs:
      BigInt(random.pick([1_795_305_600, 2_085_978_496 - 9000, 2_147_483_648 - 9000, 4_102_444_800])) * second,
    buildAgeSeconds: random.pick([1n, 1_000_000n, 630_000_000n]),
    ...options,
  });
  oscillator(world, random);
  return world;
}

/** Lets time pass, with probes at random instants; power fails now and then. */
function live(world: World, random: Prng, seconds: number, probeSeconds: number, cutSeconds = Infinity): void {
  let left = seconds;
  while (left > 0) {
    const step = Math.min(random.exponential(probeSeconds), left);
    world.run(step);
    left -= step;
    world.probe();
    if (random.chance(0.1)) world.sockets.tell({ type: Message.TimeProbe, token: random.u32() });
    if (random.chance(probeSeconds / cutSeconds)) {
      world.powerCut();
      world.run(random.exponential(random.pick([1, 600, 2 * day])));
      world.boot();
    }
  }
}

describe('the bound covers the error', () => {
  it('for days, on hostile networks, with outages and power cuts', () => {
    const random = new Prng(seed);
    let [probes, replies] = [0, 0];
    for (let round = 0; round < 15; round++) {
      const rtcPpb = (2 * random.fraction() - 1) * 100_000;
      const world = randomWorld(random, {
        entropy: random.chance(0.3),
        ...(random.chance(0.6)
          ? { rtc: { frequencyPpb: rtcPpb, phaseNs: BigInt(random.below(2)) * BigInt(random.below(999_000_000)) } }
          : {}),
        settings: { poll: { minSeconds: random.pick([1, 16, 64]), maxSeconds: random.pick([64, 256, 1024]) } },
      });
      hostileNetwork(world, random);
      outages(world, random, 20_000);
      world.boot();
      live(world, random, 2 * day, 60, 12_000);
      world.finish();
      probes += world.shown.probes;
      replies += world.replies;
    }
    expect(probes).toBeGreaterThan(10_000);
    expect(replies).toBeGreaterThan(1000);
  }, 120_000);

  it('over a serial link that damages frames', () => {
    const random = new Prng(seed ^ 1);
    for (let round = 0; round < 6; round++) {
      const world = randomWorld(random, {
        baud: random.pick([9600, 115_200, 1_000_000]),
        ...(random.chance(0.5) ? { rtc: { frequencyPpb: (2 * random.fraction() - 1) * 100_000 } } : {}),
        settings: { reportSeconds: 60 },
      });
      hostileNetwork(world, random);
      const damage = random.pick([0, 0.001, 0.01, 0.05]);
      world.line!.fault = (frame) => {
        if (!random.chance(damage)) return [frame];
        const copy = frame.slice();
        copy[random.below(copy.length)]! ^= 1 + random.below(255);
        return random.pick([[], [copy], [frame, frame], [frame, copy]]);
      };
      world.boot();
      for (let hours = 0; hours < 4; hours++) {
        live(world, random, 3600, 20, 3000);
        if (random.chance(0.5)) world.line!.restart();
      }
      world.finish();
      expect(world.shown.probes).toBeGreaterThan(100);
    }
  }, 120_000);

  it.each([
    ['which takes seconds', undefined],
    // The rate of its real-time clock seems to vary by 0.3 s in half an hour.
    ['in which the clock itself is off by seconds', 1_208_118_951],
  ])(
    'in a year, %s',
    (_, fixed) => {
      const random = new Prng((fixed ?? seed) ^ 2);
      const world = randomWorld(random, {
        rtc: { frequencyPpb: 30_000 },
        settings: { poll: { minSeconds: 64, maxSeconds: 4096 }, reportSeconds: 36_000 },
      });
      hostileNetwork(world, random);
      outages(world, random, 10 * day);
      world.boot();
      const startMs = performance.now();
      live(world, random, 365 * day, 3600, 30 * day);
      world.finish();
      const tookMs = performance.now() - startMs;
      console.log(`a year: ${Math.round(tookMs)} ms, ${world.device.handled} events, ${world.device.boots} starts`);
      // Some 900,000: half of them follow what was learned of the oscillator, each 64 s.
      expect(world.device.handled).toBeLessThan(2_000_000);
      expect(world.shown.probes).toBeGreaterThan(1000);
    },
    60_000,
  );

  it('of a real-time clock too, which is found on any board, and not asked again and again', () => {
    for (const maxFrequencyErrorPpb of [500, 100_000, 5_000_000]) {
      const rtc = { frequencyPpb: 30_000, phaseNs: 300_000_000n };
      const world = new World({ seed, modules, maxFrequencyErrorPpb, rtc, settings: { reportSeconds: 3600 } });
      world.boot();
      world.runUntilSynchronised();
      world.run(3600);
      const before = world.device.handled;
      world.run(day);
      // Polls each minute, the rate each 64 s, and twelve readings an hour.
      expect(world.device.handled - before).toBeLessThan(10_000);
      expect(world.report?.rtcOffsetUs).toBeDefined();
      // After a start it gives the time, and where its seconds begin sharpens that.
      world.conditions.serverUp = false;
      world.powerCut();
      world.events.length = 0;
      world.boot();
      world.run(20);
      expect(world.codes()).toContain(MeterEvent.ClockSet);
      expect(world.probe()?.status).toBe(ClockStatus.Holdover);
      world.finish();
    }
  });

  it.each([-1, 1])(
    'in holdover for 90 days, the oscillator at the end of its range (%i)',
    (sign) => {
      for (const maxFrequencyErrorPpb of [2_000, 100_000, 5_000_000]) {
        const world = new World({ seed, modules, maxFrequencyErrorPpb, settings: { reportSeconds: 36_000 } });
        world.device.setFrequency(sign * maxFrequencyErrorPpb);
        world.boot();
        world.runUntilSynchronised();
        world.run(600);
        world.conditions.serverUp = false;
        world.conditions.keUp = false;
        const months = monthsAt(world);
        for (let hour = 0; hour < 90 * 24; hour++) {
          world.run(3600);
          const { status, boundNs } = world.probe()!;
          expect(status).toBe(ClockStatus.Holdover);
          // Nobody says at which end of a month there is a leap second.
          const leapsNs = 1e9 * (monthsAt(world) - months);
          // The clock follows what it learned, to an end of the interval: the other end is twice as far.
          expect(Number(boundNs) - leapsNs).toBeLessThan(
            (2 * (hour + 2) * 3600 * 1.01 + 1) * maxFrequencyErrorPpb + 5e7,
          );
        }
        world.finish();
      }
    },
    60_000,
  );

  it('with every delay on one way only, and residence times that are lies', () => {
    for (const [out, back] of [
      [900e6, 0],
      [0, 900e6],
      [2_900e6, 1e6],
    ] as const) {
      const world = new World({ seed, modules });
      Object.assign(world.conditions, { outNs: () => out, backNs: () => back, residenceLies: true });
      world.boot();
      world.runUntilSynchronised();
      live(world, new Prng(seed), 3600, 10);
      world.finish();
      // All of the delay is error that nobody can see: the bound is as large as it must be, and not much larger.
      expect(Number(world.probe()!.boundNs)).toBeLessThan(2 * (out + back) + 20e6);
    }
  });
});

describe('the uncertainty', () => {
  it('covers at least 95 % of the errors on an ordinary network, and is far below the bound', () => {
    const random = new Prng(seed ^ 3);
    let probes = 0;
    let within = 0;
    const ratios: number[] = [];
    for (let round = 0; round < 20; round++) {
      const world = new World({ seed: random.u32(), modules, maxFrequencyErrorPpb: 50_000 });
      world.device.setFrequency((2 * random.fraction() - 1) * 20_000);
      const [out, back] = [5e6 + 2e7 * random.fraction(), 5e6 + 2e7 * random.fraction()];
      const jitter = 2e6 * random.fraction();
      Object.assign(world.conditions, {
        outNs: () => out + random.exponential(jitter),
        backNs: () => back + random.exponential(jitter),
        lossOut: 0.01,
      });
      world.boot();
      world.runUntilSynchronised();
      for (let i = 0; i < 500; i++) {
        world.run(random.exponential(20));
        const { uncertaintyNs, boundNs } = world.probe()!;
        ratios.push(Number(uncertaintyNs) / Number(boundNs));
      }
      probes += world.shown.probes;
      within += world.shown.withinUncertainty;
    }
    const median = ratios.sort((a, b) => a - b)[ratios.length >> 1]!;
    console.log(
      `U covers ${((100 * within) / probes).toFixed(1)} % of ${probes}; median of U/bound ${median.toFixed(2)}`,
    );
    expect(within / probes).toBeGreaterThanOrEqual(0.95);
  }, 60_000);
});
