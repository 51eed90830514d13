// Splits received bytes at 0x00 into frames and stamps the first and the last byte of each.
// Bytes that cannot be a frame, as they are more than one may have, are dropped whole up to the next zero and counted.
import { LinkLimit } from '../../as/abi/codes.ts';

/** Both delimiters belong to a frame's 256 bytes. */
const longestFrame = LinkLimit.FrameBytes - 2;

export class FrameSplitter {
  readonly #frame = new Uint8Array(longestFrame);
  readonly #take: (frame: Uint8Array, firstTick: bigint, lastTick: bigint) => void;
  #length = 0;
  #tooLong = false;
  #firstTick = 0n;
  #dropped = 0;

  /** @param take is given the bytes between two zeros (at least one, a copy) and the ticks of first byte and end */
  constructor(take: (frame: Uint8Array, firstTick: bigint, lastTick: bigint) => void) {
    this.#take = take;
  }

  /** Frames dropped because they were too long. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Takes bytes that arrived at `tick`, in chunks of any length. */
  push(bytes: Uint8Array, tick: bigint): void {
    for (const byte of bytes) {
      if (byte === 0) {
        if (this.#tooLong) this.#dropped++;
        const length = this.#tooLong ? 0 : this.#length;
        this.reset();
        if (length > 0) this.#take(this.#frame.slice(0, length), this.#firstTick, tick);
      } else if (this.#length === longestFrame) {
        this.#tooLong = true;
      } else {
        if (this.#length === 0) this.#firstTick = tick;
        this.#frame[this.#length++] = byte;
      }
    }
  }

  /** Forgets a frame that has begun. */
  reset(): void {
    this.#length = 0;
    this.#tooLong = false;
  }
}
