// This machine's wall time at a tick of its monotonic counter, for comparing a meter's time with the host's.
// Date.now() counts whole milliseconds, so the edge between two of them is looked for once (at most 2 ms), which
// leaves an error of some microseconds; it is looked for again when the two drift apart: somebody has set the clock.
// Nothing that a meter believes comes from here.

const toleranceNs = 2_000_000n;

export class HostClock {
  #offsetNs: bigint | undefined;

  /** Wall time (UTC ns since 1970, POSIX) at `tick` of process.hrtime.bigint(). */
  wallNs(tick: bigint): bigint {
    return tick + this.offsetNs();
  }

  /** Wall time minus tick, now. */
  offsetNs(): bigint {
    const roughNs = BigInt(Date.now()) * 1_000_000n - process.hrtime.bigint();
    if (this.#offsetNs === undefined || distance(roughNs, this.#offsetNs) > toleranceNs) this.#offsetNs = findOffset();
    return this.#offsetNs;
  }
}

function findOffset(): bigint {
  const first = Date.now();
  let edge = first;
  let tick = process.hrtime.bigint();
  const giveUpTick = tick + 2_000_000n;
  while (edge === first && tick < giveUpTick) {
    edge = Date.now();
    tick = process.hrtime.bigint();
  }
  return BigInt(edge) * 1_000_000n - tick;
}

function distance(a: bigint, b: bigint): bigint {
  return a > b ? a - b : b - a;
}
