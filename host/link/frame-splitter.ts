// Splits received bytes at 0x00 into frames and stamps the first and the last byte of each.
// Bytes that cannot be a frame, as they are more than one may have, are dropped whole up to the next zero and counted.
//
// On a line of known speed it also tells how long the end of a frame was kept back by what received it (a USB adapter up to
// 16 ms, a UART the time of a few bytes, a process until it reads): a byte came no later than it was read, and earlier by
// what those took that were read with it and came after it. The bytes of a frame follow each other without a pause, so the one
// that was kept back least tells of the last.
import { LinkLimit } from '../../as/abi/codes.ts';

/** Both delimiters belong to a frame's 256 bytes. */
const longestFrame = LinkLimit.FrameBytes - 2;
/** Nothing keeps bytes back for so long: there was a pause between them. */
const pauseNs = 100e6;

/** Bytes between two zeros, at least one, a copy. */
export type FrameTaker = (
  frame: Uint8Array,
  /** When its first byte and the zero at its end were read, as they were stamped. */
  firstTick: bigint,
  lastTick: bigint,
  /** By how much earlier that zero had come. */
  keptNs: number,
) => void;

export class FrameSplitter {
  readonly #frame = new Uint8Array(longestFrame);
  readonly #take: FrameTaker;
  readonly #byteNs: number;
  #length = 0;
  #tooLong = false;
  #firstTick = 0n;
  /** When the last byte so far came at the latest, ns from `#firstTick`. */
  #cameNs = 0;
  #dropped = 0;

  /** @param byteNs what a byte takes on the line, where stamps are ns; 0 where that is not known */
  constructor(take: FrameTaker, byteNs = 0) {
    this.#take = take;
    this.#byteNs = byteNs;
  }

  /** Frames dropped because they were too long. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Takes bytes that arrived at `tick`, in chunks of any length. */
  push(bytes: Uint8Array, tick: bigint): void {
    let after = bytes.length;
    for (const byte of bytes) {
      after--;
      if (this.#byteNs > 0) this.#bound(tick, after);
      if (byte === 0) {
        if (this.#tooLong) this.#dropped++;
        const length = this.#tooLong ? 0 : this.#length;
        this.reset();
        if (length > 0) this.#take(this.#frame.slice(0, length), this.#firstTick, tick, this.#keptNs(tick));
      } else if (this.#length === longestFrame) {
        this.#tooLong = true;
      } else {
        if (this.#length === 0) this.#firstTick = tick;
        this.#frame[this.#length++] = byte;
      }
    }
  }

  // A byte was read at `tick`, and so many with it that came after it.
  #bound(tick: bigint, after: number): void {
    if (this.#length === 0) {
      this.#cameNs = -after * this.#byteNs;
      return;
    }
    const latestNs = Number(tick - this.#firstTick) - after * this.#byteNs;
    const followsNs = this.#cameNs + this.#byteNs;
    this.#cameNs = latestNs - followsNs > pauseNs ? latestNs : Math.min(followsNs, latestNs);
  }

  #keptNs(tick: bigint): number {
    return this.#byteNs > 0 ? Math.max(0, Math.round(Number(tick - this.#firstTick) - this.#cameNs)) : 0;
  }

  /** Forgets a frame that has begun. */
  reset(): void {
    this.#length = 0;
    this.#tooLong = false;
  }
}
