// A meter's clock seen from outside: asked over its link and compared with this computer's, which is also the clock that
// the demo's time server gives out. The meter knows nothing of this computer's clock.
import type { Meter } from '../gateway/gateway.ts';
import { meterMinusHost } from '../gateway/meter-session.ts';

export interface ClockCheck {
  /** Meter minus this computer, ns, and how sure that is: the whole range in which it must lie is ± this. */
  readonly differenceNs: bigint;
  readonly marginNs: bigint;
  /** The meter's own bound on its error. */
  readonly boundNs: bigint;
  /** Whether the difference can lie within the bound. */
  readonly withinBound: boolean;
}

const probes = 8;

/** Asks several times and keeps the answer that leaves the least room. @throws MeterSessionError */
export async function checkClock(meter: Meter): Promise<ClockCheck> {
  let best: ClockCheck | undefined;
  for (let i = 0; i < probes; i++) {
    const probed = await meter.probeTime();
    const { ns: differenceNs, halfWidthNs: marginNs } = meterMinusHost(probed);
    const { boundNs } = probed;
    const size = differenceNs < 0n ? -differenceNs : differenceNs;
    const check = { differenceNs, marginNs, boundNs, withinBound: size <= boundNs + marginNs };
    if (best === undefined || marginNs < best.marginNs) best = check;
  }
  return best!;
}
