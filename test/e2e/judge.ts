// How wrong a meter's clock is, as far as this machine can tell; its own clock is the one that the lab's servers serve.
//
//   host     before -------------------------------- after
//   meter              probe --------- reply
//
// The meter's clock said `probe` no earlier than `before`, and `reply` no later than `after`, so its error lies in
// [reply - after, probe - before], whatever link and machine do meanwhile.
import { ClockStatus } from '../../as/abi/codes.ts';
import type { Meter } from '../../host/gateway/gateway.ts';
import { MeterSessionError, type ProbedTime } from '../../host/gateway/meter-session.ts';

/** Meter minus host, ns: the truth lies between `lowNs` and `highNs`. */
export interface Judged {
  readonly status: ClockStatus;
  readonly lowNs: number;
  readonly highNs: number;
  readonly boundNs: number;
  /** What is not known of the error. */
  readonly widthNs: number;
}

export function judge(probe: ProbedTime): Judged {
  const lowNs = Number(probe.replyUtcNs - probe.hostAfterNs);
  const highNs = Number(probe.probeUtcNs - probe.hostBeforeNs);
  return { status: probe.status, lowNs, highNs, boundNs: Number(probe.boundNs), widthNs: highNs - lowNs };
}

/** Whether the error is surely no larger than `limitNs`. */
export function surelyWithin({ lowNs, highNs }: Judged, limitNs: number): boolean {
  return lowNs >= -limitNs && highNs <= limitNs;
}

/** Whether the error is surely larger than `limitNs`. */
export function surelyBeyond({ lowNs, highNs }: Judged, limitNs: number): boolean {
  return lowNs > limitNs || highNs < -limitNs;
}

/** Probes that a meter answered, and what they say together. */
export class Verdict {
  readonly probes: Judged[] = [];
  unanswered = 0;

  /** Asks once; a meter that is away or lost the probe does not answer, which is counted. */
  async probe(meter: Meter): Promise<Judged | undefined> {
    try {
      const judged = judge(await meter.probeTime(2_000));
      this.probes.push(judged);
      return judged;
    } catch (error) {
      if (!(error instanceof MeterSessionError)) throw error;
      this.unanswered++;
      return undefined;
    }
  }

  get timed(): Judged[] {
    return this.probes.filter(({ status }) => status !== ClockStatus.Unsynchronised);
  }

  /** Probes at which the error was surely beyond the bound that the meter claimed. */
  get boundBroken(): Judged[] {
    return this.timed.filter((probe) => surelyBeyond(probe, probe.boundNs));
  }

  /** Probes at which it was surely within. */
  get boundProven(): Judged[] {
    return this.timed.filter((probe) => surelyWithin(probe, probe.boundNs));
  }

  /** Probes at which it was surely no larger than `limitNs`. */
  within(limitNs: number): Judged[] {
    return this.timed.filter((probe) => surelyWithin(probe, limitNs));
  }

  /** Probes at which it was surely larger than `limitNs`. */
  beyond(limitNs: number): Judged[] {
    return this.timed.filter((probe) => surelyBeyond(probe, limitNs));
  }

  /** The sharpest probes, the most certain first. */
  sharpest(count: number): Judged[] {
    return [...this.timed].sort((a, b) => a.widthNs - b.widthNs).slice(0, count);
  }

  /** Largest error that one of the probes leaves possible, after leaving out those that do not see sharper than `widthNs`. */
  worstNs(widthNs: number): number {
    const sharp = this.timed.filter((probe) => probe.widthNs <= widthNs);
    return Math.max(...sharp.map(({ lowNs, highNs }) => Math.max(Math.abs(lowNs), Math.abs(highNs))));
  }

  describe(): string {
    const ms = (ns: number) => `${(ns / 1e6).toFixed(3)} ms`;
    const width = [...this.timed].map(({ widthNs }) => widthNs).sort((a, b) => a - b);
    const bound = [...this.timed].map(({ boundNs }) => boundNs).sort((a, b) => a - b);
    const at = (sorted: number[], share: number) => ms(sorted[Math.floor((sorted.length - 1) * share)] ?? Number.NaN);
    const middles = this.sharpest(this.timed.length).map(({ lowNs, highNs }) => (lowNs + highNs) / 2);
    return (
      `${this.timed.length} probes with a time, ${this.unanswered} unanswered; error of the sharpest ${ms(middles[0] ?? Number.NaN)}, ` +
      `largest certain error ${ms(Math.max(0, ...this.timed.map(({ lowNs, highNs }) => Math.max(lowNs, -highNs))))}, ` +
      `width median ${at(width, 0.5)} max ${at(width, 1)}, bound median ${at(bound, 0.5)} min ${at(bound, 0)} max ${at(bound, 1)}; ` +
      `${this.boundBroken.length} beyond the bound, ${this.boundProven.length} surely within`
    );
  }
}
