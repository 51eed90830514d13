// A token bucket: so much at once, so much a second for ever.

export interface Rate {
  readonly burst: number;
  readonly perSecond: number;
}

export class TokenBucket {
  readonly #rate: Rate;
  readonly #nowMs: () => number;
  #tokens: number;
  #atMs: number;

  constructor(rate: Rate, nowMs: () => number = () => performance.now()) {
    this.#rate = rate;
    this.#nowMs = nowMs;
    this.#tokens = rate.burst;
    this.#atMs = nowMs();
  }

  /** Takes `count` tokens if there are as many. */
  take(count = 1): boolean {
    if (this.available < count) return false;
    this.#tokens -= count;
    return true;
  }

  get available(): number {
    const nowMs = this.#nowMs();
    this.#tokens = Math.min(this.#rate.burst, this.#tokens + ((nowMs - this.#atMs) / 1000) * this.#rate.perSecond);
    this.#atMs = nowMs;
    return this.#tokens;
  }
}
