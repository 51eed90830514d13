// Twenty years of a meter's life through leap seconds of both signs, at the ends of months that are drawn. At each of them a
// minority of its servers may announce what is not, keep silent about what is, be late, smear or leap on its own; the meter
// may be on, without servers that know the time, or off. All of it follows from one seed.
import { ClockStatus, Message, MeterEvent } from '../../as/abi/codes.ts';
import type { Prng } from '../fuzz/prng.ts';
import { day, type Leap, LeapLab, type LeapServer, monthStart } from './leap-lab.ts';
import { second } from './simulated-meter.ts';

const hour = 3600;
const firstYear = 2027;

/** A server that is not as it should be around an end of a month. */
interface Fault {
  readonly server: number;
  readonly end: bigint;
  /** Even time. */
  readonly from: bigint;
  readonly to: bigint;
  /** Server minus truth. */
  readonly errorNs: (even: bigint) => bigint;
  /** What it announces instead. */
  readonly announces?: Leap['kind'] | 'none';
}

export interface LifeFigures {
  readonly servers: number;
  leaps: number;
  /** Those that were known to be coming, and those after which the bound had to say that nobody knew. */
  known: number;
  unknown: number;
  faults: number;
  starts: number;
  samples: number;
  probes: number;
}

/** Draws leap seconds at a sixth of the ends of months: more than there ever were. */
export function drawLeaps(random: Prng, years: number): Leap[] {
  const leaps: Leap[] = [];
  for (let month = 1; month <= 12 * years; month++) {
    if (random.chance(1 / 6))
      leaps.push({ end: monthStart(firstYear, month), kind: random.pick(['insert', 'delete']) });
  }
  return leaps;
}

/**
 * By how much a rate may be wrong until the next poll, ns/s, as an oscillator alone for so long may have wandered by the
 * second that nobody announced: one of 1e-7 per root second does in nine hours.
 */
function takenForRate(lostSeconds: number): number {
  return lostSeconds < 9 * hour ? 0 : 1.2e9 / lostSeconds;
}

export class LeapLife {
  readonly figures: LifeFigures;
  readonly lab: LeapLab;
  readonly #random: Prng;
  readonly #faults: Fault[] = [];
  readonly #maxPollSeconds = 32_768;
  /** What the bound comes to at most where the servers are asked so rarely, and each leap second is known. */
  readonly #boundNs: number;
  readonly #startNs = monthStart(firstYear, 1) - BigInt(20 * day) * second;

  constructor(
    random: Prng,
    readonly years: number,
    /** Off for most of each month, which saves time. */
    readonly rests: boolean,
  ) {
    this.#random = random;
    const servers = random.between(1, 4);
    this.figures = { servers, leaps: 0, known: 0, unknown: 0, faults: 0, starts: 1, samples: 0, probes: 0 };
    const maxFrequencyErrorPpb = random.pick([500, 20_000, 100_000]);
    this.#boundNs = 0.1e9 + 2.2 * maxFrequencyErrorPpb * this.#maxPollSeconds;
    const leaps = drawLeaps(random, years);
    const says = Array.from({ length: servers }, (_, server) => this.#says(server));
    this.lab = new LeapLab({
      servers,
      says,
      leaps,
      startUtcNs: this.#startNs,
      rtc: true,
      frequencyPpb: random.between(-10, 10),
      maxFrequencyErrorPpb,
      settings: { poll: { minSeconds: 4096, maxSeconds: this.#maxPollSeconds }, reportSeconds: 65_000 },
    });
    for (const { behaviour } of this.lab.sim.servers) {
      const [out, back] = [random.between(1, 40), random.between(1, 40)];
      // Symmetric, so that the error shows nothing but leap seconds.
      const ms = BigInt(out + back) * 500_000n;
      Object.assign(behaviour, { outNs: () => ms, backNs: () => ms });
    }
    this.lab.sim.meter.start();
  }

  #says(server: number): LeapServer {
    const faultNow = (even: bigint) =>
      this.#faults.find((fault) => fault.server === server && even >= fault.from && even < fault.to);
    return {
      utcNs: (even) => this.lab.truth.at(even).utcNs + (faultNow(even)?.errorNs(even) ?? 0n),
      announced: (even) => {
        const fault = this.#faults.find(
          ({ server: one, end }) => one === server && end - even < BigInt(2 * day) * second,
        );
        if (fault?.announces === undefined || this.lab.truth.at(even).utcNs >= fault.end) return undefined;
        return fault.announces;
      },
    };
  }

  /** Lives on until the end. @throws where the bound does not cover the error, or the time is not right again */
  live(): LifeFigures {
    for (let month = 1; month <= 12 * this.years; month++) this.#month(monthStart(firstYear, month));
    return this.figures;
  }

  #month(end: bigint): void {
    const random = this.#random;
    const { sim, truth } = this.lab;
    this.#forget();
    const leap = truth.leaps.find((one) => one.end === end);
    if (leap !== undefined) this.figures.leaps += 1;
    this.#drawFaults(end, leap);
    const way = random.pick(['on', 'on', 'on', 'lost', 'off', 'restart'] as const);
    // How long before and after the end it lasts.
    const before =
      way === 'restart'
        ? random.between(1, 30 * hour)
        : Math.ceil(random.exponential(random.pick([hour, 20 * hour, 6 * day])));
    const after = way === 'restart' ? 0 : Math.ceil(random.exponential(random.pick([1, hour, 3 * day])));
    const capped = Math.min(before, 12 * day);
    if (this.rests) this.#rest(end, capped + day);
    this.#watchTo(end, -capped);
    if (way === 'lost') this.lab.lost = true;
    if (way === 'off' || way === 'restart') {
      sim.meter.powerCut();
      if (way === 'restart') {
        sim.run(random.between(1, 60));
        this.#start();
      }
    }
    if (capped > 5) this.#watchTo(end, -5);
    const changedBefore = sim.events.length;
    this.#closely(10);
    this.#watchTo(end, Math.max(6, Math.min(after, 8 * day)));
    if (way === 'lost') this.lab.lost = false;
    if (way === 'off') this.#start();
    // All have been asked again, also where some are asked twice before they agree.
    this.#watch(2.2 * this.#maxPollSeconds + 700);
    const { status, errorNs, boundNs } = this.lab.check();
    const lostSeconds = way === 'lost' && leap !== undefined ? capped + after : 0;
    const mostNs =
      1_000_000n + BigInt(Math.ceil(10 * this.#maxPollSeconds + takenForRate(lostSeconds) * this.#maxPollSeconds));
    const what = `${new Date(Number(end / 1_000_000n)).toISOString()}: ${leap?.kind ?? 'no leap second'}, ${way}`;
    if (status !== ClockStatus.Synchronised) throw new Error(`${what}: not synchronised afterwards`);
    if (errorNs > mostNs || errorNs < -mostNs) throw new Error(`${what}: an error of ${errorNs} ns afterwards`);
    if (Number(boundNs) > this.#boundNs) throw new Error(`${what}: a bound of ${boundNs} ns afterwards`);
    const told = sim.events.slice(changedBefore).some(({ code }) => code === MeterEvent.LeapSecond);
    if (told && leap === undefined) throw new Error(`${what}: and yet one took place`);
    if (way === 'on' && leap !== undefined && !told) throw new Error(`${what}: it did not take place`);
    if (leap !== undefined) this.figures[told ? 'known' : 'unknown'] += 1;
  }

  // As many at once as the others outvote.
  #drawFaults(end: bigint, leap: Leap | undefined): void {
    const random = this.#random;
    const { servers } = this.figures;
    this.#faults.length = 0;
    const most = servers - (Math.floor(servers / 2) + 1);
    if (most === 0 || random.chance(0.3)) return;
    const begin = this.lab.truth.evenOf(end - 2n * second, false);
    const hours = (n: number) => BigInt(Math.ceil(n * hour)) * second;
    const no = { server: random.below(servers), end, from: 0n, to: 0n, errorNs: () => 0n };
    const other = leap === undefined ? random.pick(['insert', 'delete'] as const) : 'none';
    const change = (kind: Leap['kind']) => (kind === 'insert' ? -second : second);
    const lie = leap === undefined ? change(other as Leap['kind']) : -change(leap.kind);
    const faults: Fault[] = [
      { ...no, announces: other },
      // It does not leap where the others do, or where they do not, for some time.
      {
        ...no,
        announces: other,
        from: begin + 3n * second,
        to: begin + hours(random.exponential(3)),
        errorNs: () => lie,
      },
      { ...no, from: begin + 3n * second, to: begin + hours(random.exponential(0.2)), errorNs: () => lie },
      {
        ...{ ...no, announces: 'none' as const, from: begin - hours(12), to: begin + hours(12) },
        // The truth leaps in the middle.
        errorNs: (even) =>
          leap === undefined ? 0n : this.lab.truth.smeared(leap, even) - this.lab.truth.at(even).utcNs,
      },
    ];
    this.#faults.push(random.pick(faults));
    this.figures.faults += 1;
  }

  #rest(end: bigint, seconds: number): void {
    const { sim, truth, even } = this.lab;
    const left = truth.evenOf(end - BigInt(seconds) * second, false) - even;
    if (left <= 0n) return;
    sim.meter.powerCut();
    sim.run(Number(left / second));
    this.#start();
  }

  #start(): void {
    this.lab.sim.meter.start();
    this.figures.starts += 1;
  }

  /** To a time of the truth, s before or after an end of a month. */
  #watchTo(end: bigint, seconds: number): void {
    const left = this.lab.truth.evenOf(end + BigInt(seconds) * second, false) - this.lab.even;
    if (left > 0n) this.#watch(Number(left) / 1e9);
  }

  #watch(seconds: number): void {
    const { sim } = this.lab;
    for (let left = seconds; left > 0; ) {
      const step = Math.min(left, this.#random.exponential(seconds / 8) + 0.001);
      sim.run(step);
      left -= step;
      this.#probe();
    }
  }

  #closely(seconds: number): void {
    for (let passed = 0; passed < seconds; ) {
      const step = this.#random.exponential(0.05) + 0.0001;
      this.lab.sim.run(step);
      passed += step;
      this.#probe();
    }
  }

  #probe(): void {
    if (!this.lab.sim.meter.running) return;
    this.lab.check();
    this.figures.probes += 1;
  }

  // What a life of 20 years would fill memory with.
  #forget(): void {
    const { sim } = this.lab;
    this.figures.samples += sim.requests.length;
    sim.sent.splice(0, sim.sent.length, ...sim.sent.filter(({ type }) => type === Message.TlsOpen).slice(-16));
    sim.requests.length = 0;
    sim.events.length = 0;
    for (const server of sim.servers) server.requests.length = 0;
  }
}
