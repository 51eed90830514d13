// Simulated meters and servers through leap seconds.
// What always holds: a timeline is the truth, or a server's idea of it, as a function of time that passes evenly; each
// instant of it, with the mark of an inserted second, happens once.
import { ClockStatus } from '../../as/abi/codes.ts';
import { SimulatedMeter, type SimulatedMeterOptions, type SimulatedServer, second } from './simulated-meter.ts';

export const day = 86_400;

export interface Leap {
  /** UTC ns of 00:00:00 after it, the end of a month. */
  readonly end: bigint;
  readonly kind: 'insert' | 'delete';
  /** It takes place so much later than it should. */
  readonly lateNs?: bigint;
}

/** UTC ns of the first instant of a month, 1 to 12. */
export function monthStart(year: number, month: number): bigint {
  return BigInt(Date.UTC(year, month - 1, 1)) * 1_000_000n;
}

/** By what UTC minus even time changes. */
const change = ({ kind }: Leap) => (kind === 'insert' ? -second : second);

/** UTC as POSIX and NTP count it, over time that passes evenly: ns that are UTC until the first leap second. */
export class Timeline {
  /** When each takes place, even time. */
  readonly #begins: readonly { at: bigint; leap: Leap; before: bigint }[];

  constructor(readonly leaps: readonly Leap[]) {
    let before = 0n;
    this.#begins = leaps.map((leap) => {
      const at = leap.end - (leap.kind === 'delete' ? second : 0n) - before + (leap.lateNs ?? 0n);
      const begin = { at, leap, before };
      before += change(leap);
      return begin;
    });
  }

  at(even: bigint): { utcNs: bigint; leapSecond: boolean } {
    const last = this.#begins.findLast(({ at }) => at <= even);
    if (last === undefined) return { utcNs: even, leapSecond: false };
    return {
      utcNs: even + last.before + change(last.leap),
      leapSecond: last.leap.kind === 'insert' && even < last.at + second,
    };
  }

  /** Even time of an instant as a clock shows it; one that never was is that of a clock that did not leap. */
  evenOf(utcNs: bigint, leapSecond: boolean): bigint {
    // A leap second that never was comes after the second that it repeats.
    for (const { at, leap, before } of [...this.#begins].reverse()) {
      const even = utcNs - before - change(leap);
      const repeats = leap.kind === 'insert' && even < at + second;
      if (even >= at && (!repeats || leapSecond)) return repeats || !leapSecond ? even : even + second;
    }
    return leapSecond ? utcNs + second : utcNs;
  }

  /** As of a server that is late with each leap second. */
  late(lateNs: bigint): Timeline {
    return new Timeline(this.leaps.map((leap) => ({ ...leap, lateNs })));
  }

  /** UTC of a server that spreads a leap second over the 24 h around it. */
  smeared(leap: Leap, even: bigint): bigint {
    const span = BigInt(day) * second;
    const { at } = this.#begins.find((begin) => begin.leap === leap)!;
    const into = even - (at - span / 2n);
    const done = into <= 0n ? 0n : into >= span ? change(leap) : (change(leap) * into) / span;
    return this.at(even).utcNs + done - (even >= at ? change(leap) : 0n);
  }
}

/** What a server says: its time, and which leap seconds it announces on the last day of a month. */
export interface LeapServer {
  readonly utcNs?: (even: bigint) => bigint;
  readonly announces?: readonly Leap[];
  /** What it announces at an instant instead, where it does. */
  readonly announced?: (even: bigint) => Leap['kind'] | 'none' | undefined;
}

/** A meter whose servers tell the truth, or as `servers` says. */
export class LeapLab {
  readonly sim: SimulatedMeter;
  readonly truth: Timeline;
  readonly startNs: bigint;
  /** The servers have lost their own time, and say so. */
  lost = false;

  constructor(options: SimulatedMeterOptions & { startUtcNs: bigint; leaps: readonly Leap[]; says?: LeapServer[] }) {
    this.truth = new Timeline(options.leaps);
    this.startNs = options.startUtcNs;
    this.sim = new SimulatedMeter({
      ...options,
      settings: { poll: { minSeconds: 64, maxSeconds: 1024 }, reportSeconds: 600, ...options.settings },
      utcNs: (even) => this.truth.at(even).utcNs,
    });
    for (const [i, server] of this.sim.servers.entries()) this.#instruct(server, options.says?.[i] ?? {});
  }

  #instruct({ behaviour }: SimulatedServer, says: LeapServer): void {
    const { utcNs = (even) => this.truth.at(even).utcNs, announces = this.truth.leaps } = says;
    behaviour.notAfter = 1n << 40n;
    behaviour.change = (parts) => {
      const own = utcNs(this.even);
      const serving = parts.transmitUtcNs - parts.receiveUtcNs;
      parts.receiveUtcNs = own + behaviour.serverErrorNs;
      parts.transmitUtcNs = parts.receiveUtcNs + serving;
      const next = announces.find(({ end }) => own < end && end - own <= BigInt(day) * second);
      const announced = says.announced?.(this.even) ?? next?.kind ?? 'none';
      const indicator = this.lost ? 3 : { none: 0, insert: 1, delete: 2 }[announced];
      parts.first = 0x24 | (indicator << 6);
    };
  }

  /** Even time now. */
  get even(): bigint {
    return this.startNs + this.sim.time.nowNs;
  }

  /** Until the truth shows this, ns before or after an end of a month. */
  runTo(end: bigint, afterNs: bigint): void {
    const target = this.truth.evenOf(end + afterNs, false);
    if (target < this.even) throw new RangeError('that is past');
    this.sim.time.runUntil(this.sim.time.nowNs + target - this.even);
  }

  /** What the meter shows, and its error: even time by it minus that of the truth. */
  look(): { status: ClockStatus; utcNs: bigint; leapSecond: boolean; boundNs: bigint; errorNs: bigint } {
    const { status, utcNs, leapSecond, boundNs } = this.sim.meter.time();
    const errorNs = this.truth.evenOf(utcNs, leapSecond) - this.even;
    return { status, utcNs, leapSecond, boundNs, errorNs };
  }

  /** The same. @throws where the time is not within its bound */
  check(): ReturnType<LeapLab['look']> {
    const seen = this.look();
    const size = seen.errorNs < 0n ? -seen.errorNs : seen.errorNs;
    if (seen.status !== ClockStatus.Unsynchronised && size > seen.boundNs) {
      const at = new Date(Number(this.sim.utcNs / 1_000_000n)).toISOString();
      throw new Error(`at ${at}: an error of ${seen.errorNs} ns, a bound of ${seen.boundNs} ns`);
    }
    return seen;
  }

  watch(seconds: number, stepSeconds: number): void {
    for (let passed = 0; passed < seconds; passed += stepSeconds) {
      this.sim.run(Math.min(stepSeconds, seconds - passed));
      if (this.sim.meter.running) this.check();
    }
  }
}
