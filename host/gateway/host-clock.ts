// This machine's wall time at a tick of its monotonic counter, for comparing a meter's time with the host's.
// Nothing that a meter believes comes from here.
//
// What always holds: Date.now() counts whole milliseconds, and this process may be held up between two readings, so
// wall time minus tick as read never comes out too large. The largest one seen is kept: it is found at an edge between
// two milliseconds (at most 2 ms are spent on that), and corrected by each later reading that is larger. One that is
// much smaller means that somebody has set the clock, and all is forgotten.

const toleranceNs = 2_000_000n;

export class HostClock {
  #offsetNs: bigint | undefined;

  /** Wall time (UTC ns since 1970, POSIX) at `tick` of process.hrtime.bigint(). */
  wallNs(tick: bigint): bigint {
    return tick + this.offsetNs();
  }

  /** Wall time minus tick, now. */
  offsetNs(): bigint {
    const readNs = read();
    // Read twice: the first time may have been held up.
    const isSet = (knownNs: bigint) => knownNs - readNs > toleranceNs && knownNs - read() > toleranceNs;
    if (this.#offsetNs === undefined || isSet(this.#offsetNs)) this.#offsetNs = find();
    else if (readNs > this.#offsetNs) this.#offsetNs = readNs;
    return this.#offsetNs;
  }
}

// Wall time first: whatever happens in between makes the difference smaller.
function read(): bigint {
  const wallNs = BigInt(Date.now()) * 1_000_000n;
  return wallNs - process.hrtime.bigint();
}

function find(): bigint {
  const giveUpTick = process.hrtime.bigint() + 2_000_000n;
  let offsetNs = read();
  while (process.hrtime.bigint() < giveUpTick) {
    const readNs = read();
    if (readNs > offsetNs) offsetNs = readNs;
  }
  return offsetNs;
}
