// What firmware does with received bytes: splits them at 0x00 and stamps the first and the last byte of each frame.
// A frame that is longer than any that can be right is dropped whole, up to the next zero.
import { LinkLimit } from '../../as/abi/codes.ts';

export class LineSplitter {
  readonly #frame = new Uint8Array(LinkLimit.FrameBytes);
  #length = 0;
  #tooLong = false;
  #firstTick = 0n;

  /** @param onFrame takes the bytes between two zeros (at least one byte), valid until it returns, and their ticks */
  constructor(private readonly onFrame: (frame: Uint8Array, firstTick: bigint, lastTick: bigint) => void) {}

  /** Takes bytes that arrived at `tick`, in pieces of any length. */
  take(bytes: Uint8Array, tick: bigint): void {
    for (const byte of bytes) {
      if (byte === 0) {
        const length = this.#tooLong ? 0 : this.#length;
        this.reset();
        if (length > 0) this.onFrame(this.#frame.subarray(0, length), this.#firstTick, tick);
      } else if (this.#length === this.#frame.length) {
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
