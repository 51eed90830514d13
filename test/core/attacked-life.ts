// A meter's life under attack: phases of attacks that last from minutes to weeks, pauses, restarts and power cuts, an
// oscillator anywhere within what its board guarantees. After each phase the meter has to come back within the wait that
// it had come to. All of it follows from one seed.
import { ClockStatus } from '../../as/abi/codes.ts';
import { Violation } from '../fuzz/checked-core.ts';
import { Prng } from '../fuzz/prng.ts';
import { AttackedMeter, type AttackedOptions } from './attacked-meter.ts';
import type { StrategyName } from './attacker-on-path.ts';

const minute = 60;
const hour = 3600;
const day = 86_400;

/** What is under way when the attacker stops may still fail: a connection, the turns of three others, an answer. */
const endsSeconds = 120;

/** How long a meter may need beyond its wait, s: keys, a poll and its retry. */
const comesBackSeconds = 180;

export interface LifeOptions extends Partial<AttackedOptions> {
  readonly seed: number;
  /** At least so long. */
  readonly days: number;
  /** At least so many phases of attacks. */
  readonly phasesLeast?: number;
  /** Longest phase of attacks. */
  readonly phaseDaysMost?: number;
  /** What the attacker does to all servers in each phase, instead of what he draws. */
  readonly strategies?: readonly StrategyName[];
  /** Told after each phase, once the meter is back. */
  readonly progress?: (life: { readonly days: number; readonly phases: number }) => void;
}

export interface LifeFigures {
  readonly seed: number;
  readonly days: number;
  readonly servers: number;
  readonly phases: number;
  readonly starts: number;
  readonly requests: number;
  readonly requestsInHourMost: number;
  readonly establishments: number;
  readonly establishmentsInDayMost: number;
  readonly forged: number;
  readonly dropped: number;
  readonly writes: number;
  readonly writesInDayMost: number;
  readonly probes: number;
  /** Largest error as a share of the bound. */
  readonly worstErrorOfBound: number;
  /** Longest time from the end of an attack to synchronisation. */
  readonly recoverySecondsMost: number;
}

class Life {
  readonly meter: AttackedMeter;
  readonly random: Prng;
  phases = 0;
  recoverySecondsMost = 0;

  constructor(readonly options: LifeOptions) {
    const random = new Prng(options.seed);
    this.meter = new AttackedMeter(
      {
        servers: random.pick([1, 3, 4]),
        pollMinSeconds: random.pick([16, 64]),
        pollMaxSeconds: 1024,
        rtc: random.chance(0.5),
        maxFrequencyErrorPpb: random.pick([2_000, 20_000, 100_000]),
        ...options,
      },
      random.fork(),
    );
    this.random = random.fork();
    this.#oscillate(random.fork());
  }

  // At an end of what is guaranteed, or walking between the ends, with steps of temperature.
  #oscillate(random: Prng): void {
    const { time, clock, options } = this.meter;
    const most = options.maxFrequencyErrorPpb;
    const set = (ppb: number) => {
      const within = Math.max(-most, Math.min(most, ppb));
      clock.setFrequency(within);
      return within;
    };
    let ppb = set(most * random.pick([-1, 1, 2 * random.fraction() - 1]));
    if (random.chance(0.3)) return;
    const walk = () => {
      const step = random.chance(0.1) ? 2 : 0.05;
      ppb = set(ppb + most * step * (2 * random.fraction() - 1));
      time.schedule(time.nowNs + BigInt(Math.round(random.exponential(2 * hour) * 1e9)), walk);
    };
    walk();
  }

  /** Between the two, each order of magnitude as likely. */
  #between(least: number, most: number): number {
    return least * (most / least) ** this.random.fraction();
  }

  get seconds(): number {
    return Number(this.meter.time.nowNs) / 1e9;
  }

  /** Time passes, the meter is looked at and loses its power now and then. */
  #live(seconds: number, cutSeconds: number): void {
    const { random, meter } = this;
    const end = this.seconds + seconds;
    let cut = this.seconds + random.exponential(cutSeconds);
    while (this.seconds < end) {
      meter.run(Math.max(0.001, Math.min(random.exponential(hour), end - this.seconds, cut - this.seconds)));
      meter.probe();
      if (this.seconds < cut || this.seconds >= end) continue;
      meter.powerCut();
      meter.run(this.#between(1, random.pick([minute, hour, 3 * day])));
      meter.boot();
      // Again soon, sometimes.
      cut = this.seconds + random.exponential(random.chance(0.3) ? minute : cutSeconds);
    }
  }

  /** The attacker has stopped: the meter comes back. @throws Violation */
  #recover(): void {
    const { meter } = this;
    const stopped = this.seconds;
    const before = meter.answers;
    const synchronised = () => meter.probe() === ClockStatus.Synchronised;
    // Answers from before he stopped still count for a while; what shows is that enough servers are heard anew.
    const back = () => synchronised() && meter.heardSince(before);
    meter.run(endsSeconds);
    const waits = meter.recoverySeconds();
    const limit = stopped + endsSeconds + waits + meter.options.pollMaxSeconds + comesBackSeconds;
    while (!back()) {
      if (this.seconds > limit) {
        meter.fail(
          `not back ${Math.round(this.seconds - stopped)} s after the attack, a wait of ${Math.round(waits)} s`,
        );
      }
      meter.run(5);
    }
    this.recoverySecondsMost = Math.max(this.recoverySecondsMost, this.seconds - stopped);
    meter.run(4 * meter.options.pollMaxSeconds + 300);
    if (!synchronised()) meter.fail('synchronised, and no more, with nobody in between');
    if (meter.boundNs > meter.calmBoundNs) {
      meter.fail(`the bound is still ${meter.boundNs} ns, more than ${Math.round(meter.calmBoundNs)}`);
    }
    meter.checkEvents();
    meter.checkWrites();
  }

  run(): LifeFigures {
    const { meter, random, options } = this;
    const { attacker } = meter;
    const most = Math.min(options.phaseDaysMost ?? 21, options.days / 2) * day;
    // He is there from the first moment on, or comes later.
    meter.boot();
    if (random.chance(0.5)) this.#live(this.#between(minute, most / 4), day);
    while (this.seconds < options.days * day || this.phases < (options.phasesLeast ?? 1)) {
      this.#attack();
      this.phases++;
      this.#live(this.#between(5 * minute, most), random.pick([day, 10 * day, 1000 * day]));
      attacker.stop();
      this.#recover();
      options.progress?.({ days: this.seconds / day, phases: this.phases });
      this.#live(this.#between(10 * minute, most / 4), 30 * day);
    }
    const { requests, attempts, boots, probes, worstErrorOfBound } = meter;
    const { requestsInHourMost, attemptsInDayMost, writes, writesInDayMost } = meter.figures;
    return {
      seed: options.seed,
      days: this.seconds / day,
      servers: meter.servers.length,
      phases: this.phases,
      starts: boots,
      requests,
      requestsInHourMost,
      establishments: attempts,
      establishmentsInDayMost: attemptsInDayMost,
      forged: attacker.forged,
      dropped: attacker.dropped,
      writes,
      writesInDayMost,
      probes,
      worstErrorOfBound,
      recoverySecondsMost: this.recoverySecondsMost,
    };
  }

  #attack(): void {
    const { strategies } = this.options;
    if (strategies === undefined) this.meter.attacker.begin();
    else this.meter.attacker.do(this.meter.servers.map(() => strategies));
  }
}

/** Lives through so many days. @throws Violation that names the seed, when something did not hold */
export function liveAttacked(options: LifeOptions): LifeFigures {
  try {
    return new Life(options).run();
  } catch (cause) {
    if (!(cause instanceof Violation)) throw cause;
    throw new Violation(`seed ${options.seed}: ${cause.message}`, cause.happened, cause.large, { cause });
  }
}
