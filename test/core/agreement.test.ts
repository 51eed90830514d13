// Which servers a meter believes: a majority, and never one alone against others. What must hold whatever a minority says:
// the bound covers the error.
import { beforeAll, describe, expect, it } from 'vitest';
import { ClockStatus, MeterEvent, Missing, SourceFlag, TimeFlag } from '../../as/abi/codes.ts';
import { loadCoreModule } from '../../host/core/core.ts';
import { buildCore } from '../../scripts/build-core.mjs';
import { type SeededRandom, seededRandom } from './random.ts';
import { millisecond, type SimulatedMeter, second, started } from './simulated-meter.ts';

beforeAll(async () => {
  await buildCore();
});

const { Unsynchronised, Synchronised, Holdover } = ClockStatus;

const status = (sim: SimulatedMeter) => sim.meter.time().status;
const agrees = (sim: SimulatedMeter) => sim.sources.map(({ flags }) => (flags & SourceFlag.Agrees) !== 0);
const silence = (sim: SimulatedMeter, index: number, silent = true) => {
  sim.servers[index]!.behaviour.onRequest = (request) => (silent ? [] : [sim.answer(request)]);
};

/** The time, where there is one, is within its bound. */
function checkBound(sim: SimulatedMeter): void {
  const { status, boundNs } = sim.meter.time();
  if (status === Unsynchronised) return;
  const error = sim.errorNs < 0n ? -sim.errorNs : sim.errorNs;
  if (error > boundNs) throw new Error(`at ${sim.time.nowNs} ns: an error of ${error} ns, a bound of ${boundNs} ns`);
}

function watch(sim: SimulatedMeter, seconds: number, stepSeconds = 3): void {
  for (let passed = 0; passed < seconds; passed += stepSeconds) {
    sim.run(stepSeconds);
    checkBound(sim);
  }
}

describe('how many have to agree', () => {
  it.each([
    [1, 1],
    [2, 2],
    [3, 2],
    [4, 3],
  ])('of %i servers: %i', (servers, needed) => {
    const enough = started({ servers }, (sim) => {
      for (let i = needed; i < servers; i++) silence(sim, i);
    });
    enough.run(30);
    expect(status(enough)).toBe(Synchronised);
    expect(enough.report).toMatchObject({ servers, needed, agreeing: needed, missing: Missing.None });
    expect((enough.report!.flags & TimeFlag.SingleSource) !== 0).toBe(servers === 1);
    expect(enough.report!.flags & TimeFlag.NoMajority).toBe(0);

    const few = started({ servers }, (sim) => {
      for (let i = needed - 1; i < servers; i++) silence(sim, i);
    });
    few.run(120);
    expect(status(few)).toBe(Unsynchronised);
    expect(few.report!.missing).toBe(needed === 1 ? Missing.Answer : Missing.Majority);
    expect((few.report!.flags & TimeFlag.NoMajority) !== 0).toBe(servers > 1);
  });

  it.each([
    [1, 3, 1],
    [3, 3, 3],
    [2, 4, 2],
  ])('the settings say %i, of %i servers: %i', (agreement, servers, needed) => {
    const sim = started({ servers, settings: { agreement } }, (sim) => {
      for (let i = needed; i < servers; i++) silence(sim, i);
    });
    sim.run(30);
    expect(status(sim)).toBe(Synchronised);
    expect(sim.report!.needed).toBe(needed);
    expect((sim.report!.flags & TimeFlag.SingleSource) !== 0).toBe(needed === 1);
  });

  it('one is enough by the settings: still no one of two that contradict each other', () => {
    const sim = started({ servers: 2, settings: { agreement: 1 } }, (sim) => {
      sim.servers[1]!.behaviour.serverErrorNs = second;
      // Heard only after the first gave the time.
      sim.servers[1]!.behaviour.openNs = () => 10n * second;
    });
    watch(sim, 600);
    expect(Math.abs(Number(sim.errorNs))).toBeLessThan(50e6);
    expect(sim.sources[1]!.flags & SourceFlag.Agrees).toBe(0);
    // Then two are needed, and that they do not agree is told.
    expect(sim.report).toMatchObject({ agreeing: 1, needed: 2 });
    expect(sim.report!.flags & TimeFlag.NoMajority).not.toBe(0);
    expect(sim.events.map(({ code }) => code)).toContain(MeterEvent.MajorityLost);
  });
});

describe('a number of the settings', () => {
  it('that a board of fewer servers cannot reach is not weakened: no time, and the report says what is missing', async () => {
    const core = loadCoreModule((await buildCore({ servers: 1 })).path);
    const sim = started({ servers: 3, settings: { agreement: 2 }, core });
    sim.run(3600);
    expect(status(sim)).toBe(Unsynchronised);
    expect(sim.report).toMatchObject({ agreeing: 1, needed: 2, missing: Missing.Majority });
    expect(sim.report!.flags & TimeFlag.NoMajority).not.toBe(0);
    expect(sim.report!.flags & TimeFlag.SingleSource).toBe(0);
  }, 120_000);
});

describe('a server that stops counting', () => {
  it('is told at once, also where the others are asked rarely; what they agreed on counts until it is too old', () => {
    const sim = started({ servers: 2, settings: { poll: { minSeconds: 1024, maxSeconds: 1024 } } });
    sim.run(3000);
    expect(sim.report).toMatchObject({ status: Synchronised, agreeing: 2, needed: 2 });
    sim.servers[1]!.behaviour.onRequest = (request) => [request.server.sealedKiss(request, 'DENY')];
    sim.runUntil('it stops', () => sim.eventCodes().includes(MeterEvent.SourceStopped), 1100);
    silence(sim, 0);
    sim.run(60);
    expect(sim.report).toMatchObject({ status: Synchronised, agreeing: 1, needed: 2 });
    expect(sim.eventCodes()).toContain(MeterEvent.MajorityLost);
    watch(sim, 8 * 1030, 60);
    expect(status(sim)).toBe(Holdover);
  });
});

describe('a server that is off by nearly its root distance', () => {
  it.each([
    ['root dispersion, later', { rootDispersion: 0x1999 }, 99n],
    ['root dispersion, earlier', { rootDispersion: 0x1999 }, -99n],
    ['half its root delay, later', { rootDelay: 0x3333 }, 99n],
    ['half its root delay, earlier', { rootDelay: 0x3333 }, -99n],
  ])('agrees with one that is right: %s', (_, root, errorMs) => {
    const sim = started({ servers: 2 }, ({ behaviour }) => {
      behaviour.change = (parts) => Object.assign(parts, root);
      behaviour.serverErrorNs = errorMs * millisecond;
    });
    watch(sim, 600);
    expect(sim.report).toMatchObject({ status: Synchronised, agreeing: 2 });
    expect(sim.eventCodes()).not.toContain(MeterEvent.SourceDisagrees);
  });
});

describe('one liar of three', () => {
  it('is marked and told, and has no effect', () => {
    const sim = started({ servers: 3 });
    sim.run(120);
    sim.servers[1]!.behaviour.serverErrorNs = 3600n * second;
    watch(sim, 600);
    expect(Math.abs(Number(sim.errorNs))).toBeLessThan(1e6);
    expect(agrees(sim)).toEqual([true, false, true]);
    expect(sim.sources[1]!.flags & SourceFlag.Disagrees).not.toBe(0);
    expect(sim.report).toMatchObject({ agreeing: 2, needed: 2 });
    const told = sim.events.filter(({ code }) => code === MeterEvent.SourceDisagrees);
    expect(told.map(({ text }) => text)).toEqual(['b.test']);
    expect(Number(told[0]!.a)).toBeGreaterThan(3599e9);
    // Back to the truth, it counts again; that its time ran backwards is told first.
    sim.servers[1]!.behaviour.serverErrorNs = 0n;
    watch(sim, 300);
    expect(agrees(sim)).toEqual([true, true, true]);
  });

  it('that was there first, at a start without any time, is not believed', () => {
    const sim = started({ servers: 3 }, ({ servers }) => {
      servers[0]!.behaviour.serverErrorNs = 100n * 86_400n * second;
      for (const server of servers.slice(1)) server.behaviour.openNs = () => 20n * second;
    });
    sim.run(15);
    expect(status(sim)).toBe(Unsynchronised);
    expect(sim.report!.missing).toBe(Missing.Majority);
    sim.run(30);
    expect(Math.abs(Number(sim.errorNs))).toBeLessThan(1e6);
    expect(agrees(sim)).toEqual([false, true, true]);
    // The events name those who gave the time, and one server is marked as having done so last.
    const told = (code: MeterEvent) => sim.events.filter((event) => event.code === code).map(({ text }) => text);
    expect(told(MeterEvent.SourceDisagrees)).toEqual(['a.test']);
    expect(told(MeterEvent.ClockSet)).not.toContain('a.test');
    expect(told(MeterEvent.Synchronised)).not.toContain('a.test');
    expect(sim.sources.filter(({ flags }) => (flags & SourceFlag.Reference) !== 0)).toHaveLength(1);
  });

  it.each([
    ['later', 30n, 0n, 20n],
    ['earlier', 0n, 30n, -20n],
  ])(
    'whose interval meets that of the only other one that is heard does not take the truth out of the bound: %s',
    (_, outMs, backMs, lieMs) => {
      const sim = started({ servers: 3 }, (sim) => {
        const [honest, liar] = sim.servers.map(({ behaviour }) => behaviour);
        Object.assign(honest!, { outNs: () => outMs * millisecond, backNs: () => backMs * millisecond });
        Object.assign(liar!, {
          outNs: () => millisecond,
          backNs: () => millisecond,
          serverErrorNs: lieMs * millisecond,
        });
        silence(sim, 2);
      });
      watch(sim, 600);
      expect(sim.report).toMatchObject({ status: Synchronised, agreeing: 2 });
      silence(sim, 2, false);
      watch(sim, 3600);
      expect(sim.report).toMatchObject({ status: Synchronised, agreeing: 2 });
    },
  );

  /** A lie that changes from answer to answer, as nobody's clock does. */
  const lies: [string, (random: SeededRandom, sim: SimulatedMeter) => () => bigint][] = [
    ['any time within a day', (random) => () => BigInt(random.below(172_800) - 86_400) * second],
    ['any time within 40 ms', (random) => () => BigInt(random.below(80_000) - 40_000) * 1000n],
    ['a drift of 1 ms each second', (_, sim) => () => sim.time.nowNs / 1000n],
    ['now the truth, now a minute', (random) => () => (random.below(2) === 0 ? 0n : 60n * second)],
    ['a step of 100 years back and forth', (random) => () => BigInt(random.below(3) - 1) * 3_155_760_000n * second],
  ];
  it.each(lies)('%s: never moves the clock or its bound off the truth', (name, lie) => {
    const random = seededRandom(`liar: ${name}`);
    for (let round = 0; round < 4; round++) {
      const sim = started(
        {
          servers: 3,
          frequencyPpb: random.below(100_000) - 50_000,
          settings: { poll: { minSeconds: 4, maxSeconds: 32 } },
        },
        (sim) => {
          for (const { behaviour } of sim.servers) {
            const [out, back] = [random.below(40), random.below(40)];
            behaviour.outNs = () => BigInt(out + random.below(20)) * millisecond;
            behaviour.backNs = () => BigInt(back + random.below(20)) * millisecond;
          }
          const liar = sim.servers[random.below(3)]!.behaviour;
          const error = lie(random, sim);
          liar.onRequest = (request) => {
            liar.serverErrorNs = error();
            return [sim.answer(request)];
          };
        },
      );
      watch(sim, 1800);
      expect(status(sim)).toBe(Synchronised);
      // What two honest servers know of their paths, whatever the third says.
      expect(Math.abs(Number(sim.errorNs))).toBeLessThan(70e6);
      expect(Number(sim.meter.time().boundNs)).toBeLessThan(150e6);
    }
  });
});

describe('two liars of four', () => {
  it('two groups of two: each is marked as agreeing with somebody, and that these are too few', () => {
    const sim = started({ servers: 4 });
    for (const { behaviour } of sim.servers.slice(2)) behaviour.serverErrorNs = second;
    sim.run(20);
    expect(status(sim)).toBe(Unsynchronised);
    expect(sim.report).toMatchObject({ agreeing: 2, needed: 3, missing: Missing.Majority });
    expect(agrees(sim).filter((agrees) => agrees)).toHaveLength(2);
  });

  const lie = (sim: SimulatedMeter, by: bigint) => {
    for (const { behaviour } of sim.servers.slice(2)) behaviour.serverErrorNs = by;
  };

  it('at the start: no time, and the meter says what is missing', () => {
    const sim = started({ servers: 4 }, (sim) => lie(sim, 5n * second));
    sim.run(600);
    expect(status(sim)).toBe(Unsynchronised);
    expect(sim.report).toMatchObject({ missing: Missing.Majority, servers: 4, agreeing: 2, needed: 3 });
    expect(sim.report!.flags & TimeFlag.NoMajority).not.toBe(0);
    lie(sim, 0n);
    sim.run(200);
    expect(status(sim)).toBe(Synchronised);
  });

  it('later: the majority is lost and told, the time goes into holdover within its bound, and comes back', () => {
    const sim = started({ servers: 4, frequencyPpb: 30_000 });
    sim.run(300);
    lie(sim, 5n * second);
    watch(sim, 1200);
    expect(status(sim)).toBe(Holdover);
    expect(sim.report!.flags & TimeFlag.NoMajority).not.toBe(0);
    expect(sim.events.find(({ code }) => code === MeterEvent.MajorityLost)).toMatchObject({ a: 2n, b: 3n });
    expect(sim.eventCodes()).toContain(MeterEvent.Holdover);
    lie(sim, 0n);
    watch(sim, 300);
    expect(status(sim)).toBe(Synchronised);
    expect(sim.eventCodes().lastIndexOf(MeterEvent.MajorityReached)).toBeGreaterThan(
      sim.eventCodes().indexOf(MeterEvent.MajorityLost),
    );
  });
});

describe('servers that come and go', () => {
  it('the majority lost to silence: holdover when its samples are too old, then synchronised again', () => {
    const sim = started({ servers: 3, frequencyPpb: -40_000 });
    sim.run(300);
    silence(sim, 0);
    silence(sim, 1);
    const lost = sim.time.nowNs;
    sim.runUntil('holdover', () => status(sim) === Holdover, 1200);
    // Eight polls of 64 s and their deadlines.
    expect(Number(sim.time.nowNs - lost) / 1e9).toBeLessThanOrEqual(8 * 67 + 1);
    watch(sim, 3600);
    expect(sim.report).toMatchObject({ agreeing: 1, needed: 2 });
    expect(sim.eventCodes()).toContain(MeterEvent.MajorityLost);
    silence(sim, 0, false);
    sim.runUntil('synchronised', () => status(sim) === Synchronised, 7200);
    checkBound(sim);
    expect(sim.eventCodes()).toContain(MeterEvent.MajorityReached);
  });

  it('at random, three honest ones of four: the time is always within its bound', () => {
    const random = seededRandom('servers that come and go');
    for (let round = 0; round < 3; round++) {
      const sim = started(
        {
          servers: 4,
          frequencyPpb: random.below(100_000) - 50_000,
          settings: { poll: { minSeconds: 8, maxSeconds: 32 } },
        },
        ({ servers }) => {
          servers[3]!.behaviour.serverErrorNs = BigInt(random.below(2_000_000) - 1_000_000) * 1000n;
        },
      );
      for (let i = 0; i < 40; i++) {
        silence(sim, random.below(4), random.below(3) > 0);
        if (random.below(6) === 0) silence(sim, random.below(3), false);
        watch(sim, random.below(180));
      }
      for (let i = 0; i < 3; i++) silence(sim, i, false);
      sim.runUntil('synchronised', () => status(sim) === Synchronised, 86_400);
      checkBound(sim);
    }
  });

  it('one that was away and lies when it is back is not believed', () => {
    const sim = started({ servers: 3 });
    sim.run(120);
    silence(sim, 2);
    watch(sim, 900);
    sim.servers[2]!.behaviour.serverErrorNs = -7n * second;
    silence(sim, 2, false);
    watch(sim, 3600);
    expect(agrees(sim)).toEqual([true, true, false]);
    expect(Math.abs(Number(sim.errorNs))).toBeLessThan(1e6);
  });
});
