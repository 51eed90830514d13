// A meter's clock seen from outside: compared with the clock that its time server gives out, of which the meter itself
// knows nothing. For most meters that is this computer's, and they are asked over their links.
import type { Meter } from '../gateway/gateway.ts';
import { type ClockDifference, meterMinusHost } from '../gateway/meter-session.ts';

export interface ClockCheck {
  /** Meter minus the other clock, ns, and how sure that is: the whole range in which it must lie is ± this. */
  readonly differenceNs: bigint;
  readonly marginNs: bigint;
  /** The meter's own bound on its error. */
  readonly boundNs: bigint;
  /** Whether the difference can lie within the bound. */
  readonly withinBound: boolean;
}

/** How often a clock is looked at: one of the looks is hardly disturbed. */
export const looksMade = 8;

/** One look at a clock, and the meter's own bound at that time. */
export type ClockLook = ClockDifference & { readonly boundNs: bigint };

/** The one of several looks that leaves the least room. */
export function bestCheck(looks: readonly ClockLook[]): ClockCheck {
  const best = looks.reduce((least, each) => (each.halfWidthNs < least.halfWidthNs ? each : least));
  const { ns: differenceNs, halfWidthNs: marginNs, boundNs } = best;
  return { differenceNs, marginNs, boundNs, withinBound: magnitude(differenceNs) <= boundNs + marginNs };
}

export function magnitude(ns: bigint): bigint {
  return ns < 0n ? -ns : ns;
}

/** Asks a meter over its link, and compares with this computer's clock. @throws MeterSessionError */
export async function checkClock(meter: Meter): Promise<ClockCheck> {
  const looks: ClockLook[] = [];
  while (looks.length < looksMade) {
    const probed = await meter.probeTime();
    looks.push({ ...meterMinusHost(probed), boundNs: probed.boundNs });
  }
  return bestCheck(looks);
}
