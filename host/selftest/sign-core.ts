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
  testSignKeyBegin(seed: number): void;
  testSignBegin(message: number, length: number): void;
  testSignStep(): number;
  testSignBusy(): number;
  testSignPublicKey(): number;
  testSignSignature(): number;
  testVerifyBegin(key: number, signature: number, message: number, length: number): void;
  testVerifyStep(): number;
  testVerifyHolds(): number;
  testFieldAdd(target: number, x: number, y: number): void;
  testFieldSubtract(target: number, x: number, y: number): void;
  testFieldMultiply(target: number, x: number, y: number): void;
  testFieldEncode(to: number, x: number): void;
  testScalarFromHash(scalar: number, hash: number): void;
  testScalarAnswer(scalar: number, k: number, s: number, r: number): void;
}

const functionNames: readonly (keyof SignExports)[] = [
  'testScratch',
  'testSha512Start',
  'testSha512Update',
  'testSha512Finish',
  'testSignKeyBegin',
  'testSignBegin',
  'testSignStep',
  'testSignBusy',
  'testSignPublicKey',
  'testSignSignature',
  'testVerifyBegin',
  'testVerifyStep',
  'testVerifyHolds',
  'testFieldAdd',
  'testFieldSubtract',
  'testFieldMultiply',
  'testFieldEncode',
  'testScalarFromHash',
  'testScalarAnswer',
];

/** Size in bytes of a SHA-512 hash. */
const sha512Bytes = 64;

/** Sizes in bytes of an Ed25519 seed and public key, of a signature, and of the longest message that the core signs or checks. */
const ed25519KeyBytes = 32;
const signatureBytes = 64;
export const signedMessageMaxBytes = 256;

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

  /** The public key of a seed (RFC 8032 5.1.5); `sign` then signs with it. */
  publicKey(seed: Uint8Array): Uint8Array {
    this.exports.testSignKeyBegin(this.#place(seed));
    this.#finish();
    return this.#read(this.exports.testSignPublicKey(), ed25519KeyBytes);
  }

  /**
   * An Ed25519 signature (RFC 8032 5.1.6) with the key of the last `publicKey`.
   * @throws {SelftestError} input-too-long
   */
  sign(message: Uint8Array): Uint8Array {
    if (message.length > signedMessageMaxBytes) {
      throw new SelftestError(
        'input-too-long',
        `a message of ${message.length} bytes; the core signs at most ${signedMessageMaxBytes}`,
      );
    }
    this.exports.testSignBegin(this.#place(message), message.length);
    this.#finish();
    return this.#read(this.exports.testSignSignature(), signatureBytes);
  }

  /**
   * Whether an Ed25519 signature (RFC 8032 5.1.7, without the cofactor) holds. A signature under way
   * is lost by it.
   * @throws {SelftestError} input-too-long
   */
  verifies(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
    if (publicKey.length !== ed25519KeyBytes || signature.length !== signatureBytes) return false;
    if (message.length > signedMessageMaxBytes) {
      throw new SelftestError(
        'input-too-long',
        `a message of ${message.length} bytes; the core checks at most ${signedMessageMaxBytes}`,
      );
    }
    const key = this.#place(Buffer.concat([publicKey, signature, message]));
    const signed = key + ed25519KeyBytes;
    this.exports.testVerifyBegin(key, signed, signed + signatureBytes, message.length);
    while (this.exports.testVerifyStep() === 0) {
      // The next slice.
    }
    return this.exports.testVerifyHolds() !== 0;
  }

  #finish(): void {
    while (this.exports.testSignStep() === 0) {
      // The next slice.
    }
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
