// The hash and the signature of a core, called with byte arrays: for known-answer tests only.
//
// What always holds: inputs and outputs lie in the core's scratch, the end of its page that it never uses itself; what
// does not fit is refused before the core is called.
import { SelftestError } from './aead-core.ts';

/** The exports of as/sign/exports.ts. Pointers, and lengths in bytes. */
interface SignExports {
  readonly memory: WebAssembly.Memory;
  testScratch(): number;
  testSha512Start(): void;
  testSha512Update(at: number, length: number): void;
  testSha512Finish(to: number): void;
}

const functionNames: readonly (keyof SignExports)[] = [
  'testScratch',
  'testSha512Start',
  'testSha512Update',
  'testSha512Finish',
];

/** Size in bytes of a SHA-512 hash. */
export const sha512Bytes = 64;

export class SignCore {
  readonly exports: SignExports;
  readonly #bytes: Uint8Array;
  readonly #free: number;

  /**
   * @param exports of an instance of core.wasm that does nothing else meanwhile
   * @throws {SelftestError} core-without-tests
   */
  constructor(exports: { readonly memory: WebAssembly.Memory } & Record<string, unknown>) {
    const missing = functionNames.find((name) => typeof exports[name] !== 'function');
    if (missing !== undefined) {
      throw new SelftestError(
        'core-without-tests',
        `the core does not export ${missing}; use the core.wasm that this program was built with`,
      );
    }
    this.exports = exports as unknown as SignExports;
    this.#bytes = new Uint8Array(this.exports.memory.buffer);
    this.#free = this.exports.testScratch();
  }

  /** The whole of the core's memory. */
  get memory(): Uint8Array {
    return this.#bytes;
  }

  /** SHA-512 (FIPS 180-4) of a message in pieces. */
  sha512(...pieces: Uint8Array[]): Uint8Array {
    this.exports.testSha512Start();
    for (const piece of pieces) this.exports.testSha512Update(this.#place(piece), piece.length);
    this.exports.testSha512Finish(this.#free);
    return this.#read(this.#free, sha512Bytes);
  }

  #place(bytes: Uint8Array): number {
    const capacity = this.#bytes.length - this.#free;
    if (bytes.length > capacity) {
      throw new SelftestError('input-too-long', `needs ${bytes.length} bytes, the core's scratch has ${capacity}`);
    }
    this.#bytes.set(bytes, this.#free);
    return this.#free;
  }

  #read(at: number, length: number): Uint8Array {
    return this.#bytes.slice(at, at + length);
  }
}
