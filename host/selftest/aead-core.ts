// The ciphers of a core, called with byte arrays: for known-answer tests only.
//
// What always holds: inputs and outputs lie in the core's scratch, the end of its page that it never uses itself; what
// does not fit is refused before the core is called.

/** What went wrong before a known answer could be compared. */
export class SelftestError extends Error {
  constructor(
    readonly code: 'core-without-tests' | 'input-too-long' | 'core-refused' | 'vectors-unreadable',
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = 'SelftestError';
  }
}

/** The exports of as/aead/exports.ts. Pointers, and lengths in bytes. */
interface AeadExports {
  readonly memory: WebAssembly.Memory;
  testScratch(): number;
  testCmacContextBytes(): number;
  testSivContextBytes(): number;
  testDrbgState(): number;
  testAeadContext(): number;
  testAeadKeyBytes(algorithm: number): number;
  testAeadNonceBytes(algorithm: number): number;
  testAeadTextOffset(algorithm: number): number;
  testAeadSetKey(algorithm: number, key: number): void;
  testAeadWipe(): void;
  testAeadSeal(
    data: number,
    dataLength: number,
    nonce: number,
    nonceLength: number,
    sealed: number,
    textLength: number,
  ): void;
  testAeadOpen(
    data: number,
    dataLength: number,
    nonce: number,
    nonceLength: number,
    sealed: number,
    sealedLength: number,
  ): number;
  testPolyvalBlock(sum: number, key: number, block: number): void;
  testAesExpandKey(schedule: number, key: number, keyBytes: number): void;
  testAesEncrypt(schedule: number, source: number, target: number): void;
  testAesXorPair(schedule: number, first: number, second: number, text: number): void;
  testCmacSetKey(context: number, key: number, keyBytes: number): void;
  testCmacStart(): void;
  testCmacUpdate(context: number, data: number, length: number): void;
  testCmacFinish(context: number, tag: number): void;
  testSivSetKey(context: number, key: number, keyBytes: number): void;
  testSivStart(context: number): void;
  testSivAd(context: number, data: number, length: number): void;
  testSivSeal(context: number, text: number, length: number, tag: number): void;
  testSivOpen(context: number, text: number, length: number, tag: number): number;
  testDeriveKey(
    root: number,
    label: number,
    labelLength: number,
    context: number,
    contextLength: number,
    output: number,
    outputLength: number,
  ): void;
  testDrbgInstantiate(entropy: number, personalization: number, personalizationLength: number): void;
  testDrbgReseed(entropy: number): void;
  testDrbgGenerate(output: number, length: number): number;
  testEqualBytes(left: number, right: number, length: number): number;
  testWipe(target: number, length: number): void;
}

const functionNames: readonly (keyof AeadExports)[] = [
  'testScratch',
  'testCmacContextBytes',
  'testSivContextBytes',
  'testDrbgState',
  'testAeadContext',
  'testAeadKeyBytes',
  'testAeadNonceBytes',
  'testAeadTextOffset',
  'testAeadSetKey',
  'testAeadWipe',
  'testAeadSeal',
  'testAeadOpen',
  'testPolyvalBlock',
  'testAesExpandKey',
  'testAesEncrypt',
  'testAesXorPair',
  'testCmacSetKey',
  'testCmacStart',
  'testCmacUpdate',
  'testCmacFinish',
  'testSivSetKey',
  'testSivStart',
  'testSivAd',
  'testSivSeal',
  'testSivOpen',
  'testDeriveKey',
  'testDrbgInstantiate',
  'testDrbgReseed',
  'testDrbgGenerate',
  'testEqualBytes',
  'testWipe',
];

/** The authenticated ciphers with their numbers in IANA's registry. */
export const algorithms = { sivCmac256: 15, sivCmac384: 16, sivCmac512: 17, gcmSiv128: 30 } as const;

/** Sizes in bytes of the keys that AES and CMAC, and SIV, take, and of every tag. */
export const aesKeyBytes: readonly number[] = [16, 24, 32];
export const sivKeyBytes: readonly number[] = [32, 48, 64];
export const tagBytes = 16;

/** Bytes of an expanded key before its round keys, and in all; a key has as many rounds as words, and 6 more. */
const roundKeysAt = 4;
const scheduleBytes = (key: Uint8Array) => roundKeysAt + (key.length / 4 + 7) * 16;

/** Size in bytes of the generator's state: Key, V, u32 reseed counter. */
const drbgStateBytes = 36;

type Part = Uint8Array | number;

const sizeOf = (part: Part) => (typeof part === 'number' ? part : part.length);

/** A key of AES-SIV that stays in the core, at a place of its own. */
export interface SivKey {
  readonly context: number;
}

/**
 * What became of a sealed message: `plaintext` when its tag is right; `left`, the bytes in the ciphertext's place, none
 * when the core refused the message without touching it.
 */
export interface Opened {
  readonly plaintext: Uint8Array | undefined;
  readonly left: Uint8Array;
}

export class AeadCore {
  readonly exports: AeadExports;
  readonly #bytes: Uint8Array;
  readonly #cmacContext: number;
  readonly #sivContext: number;
  #free: number;

  /**
   * @param exports of an instance of core.wasm; an instance of its own is best, since the generator's state is shared
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
    this.exports = exports as unknown as AeadExports;
    this.#bytes = new Uint8Array(this.exports.memory.buffer);
    this.#free = this.exports.testScratch();
    this.#cmacContext = this.#reserve(this.exports.testCmacContextBytes());
    this.#sivContext = this.#reserve(this.exports.testSivContextBytes());
  }

  /** How many bytes of inputs and outputs one call can have. */
  get capacity(): number {
    return this.#bytes.length - this.#free;
  }

  /** AES of one block (FIPS 197). */
  aes(key: Uint8Array, block: Uint8Array): Uint8Array {
    const [k, source, schedule, target] = this.#place(key, block, scheduleBytes(key), block.length);
    this.exports.testAesExpandKey(schedule, k, key.length);
    this.exports.testAesEncrypt(schedule, source, target);
    return this.#read(target, block.length);
  }

  /** The expanded key (FIPS 197 5.2). */
  aesSchedule(key: Uint8Array): Uint8Array {
    const [k, schedule] = this.#place(key, scheduleBytes(key));
    this.exports.testAesExpandKey(schedule, k, key.length);
    return this.#read(schedule + roundKeysAt, scheduleBytes(key) - roundKeysAt);
  }

  /** AES-CMAC (RFC 4493) of a message in pieces. */
  cmac(key: Uint8Array, ...pieces: Uint8Array[]): Uint8Array {
    const [k, tag, ...places] = this.#place(key, tagBytes, ...pieces);
    this.exports.testCmacSetKey(this.#cmacContext, k, key.length);
    this.exports.testCmacStart();
    for (const [i, piece] of pieces.entries()) {
      this.exports.testCmacUpdate(this.#cmacContext, places[i]!, piece.length);
    }
    this.exports.testCmacFinish(this.#cmacContext, tag);
    return this.#read(tag, tagBytes);
  }

  /** POLYVAL (RFC 8452 3) of whole blocks. */
  polyval(key: Uint8Array, blocks: Uint8Array): Uint8Array {
    const [sum, k, b] = this.#place(tagBytes, key, blocks);
    for (let at = 0; at < blocks.length; at += tagBytes) this.exports.testPolyvalBlock(sum, k, b + at);
    return this.#read(sum, tagBytes);
  }

  /** Takes a key of 32, 48 or 64 bytes for `seal` and `open`; its room is not given back. */
  sivKey(key: Uint8Array): SivKey {
    const context = this.#reserve(this.exports.testSivContextBytes());
    this.#setSivKey(context, key);
    return { context };
  }

  /**
   * AES-SIV (RFC 5297) with any number of strings.
   * @param key of 32, 48 or 64 bytes, or one from `sivKey`
   * @param strings of associated data, a nonce last
   * @returns tag (16 bytes), then ciphertext
   */
  seal(key: Uint8Array | SivKey, strings: readonly Uint8Array[], plaintext: Uint8Array): Uint8Array {
    const context = this.#contextOf(key);
    const [tag, text, ...places] = this.#place(tagBytes, plaintext, ...strings);
    this.#addStrings(context, strings, places);
    this.exports.testSivSeal(context, text, plaintext.length, tag);
    return this.#read(tag, tagBytes + plaintext.length);
  }

  /**
   * Opens what `seal` returned.
   * @param sealed at least a tag
   */
  open(key: Uint8Array | SivKey, strings: readonly Uint8Array[], sealed: Uint8Array): Opened {
    const context = this.#contextOf(key);
    const [tag, ...places] = this.#place(sealed, ...strings);
    const length = sealed.length - tagBytes;
    this.#addStrings(context, strings, places);
    const right = this.exports.testSivOpen(context, tag + tagBytes, length, tag);
    return this.#opened(right, tag + tagBytes, length);
  }

  /**
   * Seals as NTP packets are, through the one interface of all algorithms.
   * @returns tag and ciphertext in the algorithm's order
   */
  aeadSeal(algorithm: number, key: Uint8Array, data: Uint8Array, nonce: Uint8Array, plaintext: Uint8Array): Uint8Array {
    const offset = this.exports.testAeadTextOffset(algorithm);
    const [k, d, n, sealed] = this.#place(key, data, nonce, offset, plaintext, tagBytes - offset);
    this.exports.testAeadSetKey(algorithm, k);
    this.exports.testAeadSeal(d, data.length, n, nonce.length, sealed, plaintext.length);
    this.exports.testAeadWipe();
    return this.#read(sealed, tagBytes + plaintext.length);
  }

  /** Opens what `aeadSeal` returned, as `open` does; a nonce or a message of a wrong length is wrong too. */
  aeadOpen(algorithm: number, key: Uint8Array, data: Uint8Array, nonce: Uint8Array, sealed: Uint8Array): Opened {
    const [k, d, n, s] = this.#place(key, data, nonce, sealed);
    this.exports.testAeadSetKey(algorithm, k);
    const right = this.exports.testAeadOpen(d, data.length, n, nonce.length, s, sealed.length);
    this.exports.testAeadWipe();
    if (right === 0 && Buffer.compare(this.#read(s, sealed.length), sealed) === 0) {
      return { plaintext: undefined, left: new Uint8Array(0) };
    }
    return this.#opened(right, s + this.exports.testAeadTextOffset(algorithm), sealed.length - tagBytes);
  }

  /** Key derivation in counter mode with AES-CMAC (NIST SP 800-108r1 4.1). */
  deriveKey(root: Uint8Array, label: Uint8Array, context: Uint8Array, length: number): Uint8Array {
    const [r, l, c, output] = this.#place(root, label, context, length);
    this.exports.testDeriveKey(r, l, label.length, c, context.length, output, length);
    return this.#read(output, length);
  }

  /** Starts the core's random generator (NIST SP 800-90A r1 10.2.1.3.1). */
  drbgInstantiate(entropy: Uint8Array, personalization: Uint8Array = new Uint8Array(0)): void {
    const [e, p] = this.#place(entropy, personalization);
    this.exports.testDrbgInstantiate(e, p, personalization.length);
  }

  /** Gives the random generator fresh entropy (10.2.1.4.1). */
  drbgReseed(entropy: Uint8Array): void {
    const [e] = this.#place(entropy);
    this.exports.testDrbgReseed(e);
  }

  /**
   * Random bytes (10.2.1.5.1).
   * @throws {SelftestError} core-refused
   */
  drbgGenerate(length: number): Uint8Array {
    const [output] = this.#place(length);
    const refusal = this.exports.testDrbgGenerate(output, length);
    if (refusal !== 0)
      throw new SelftestError('core-refused', `the core's generator refused ${length} bytes: ${refusal}`);
    return this.#read(output, length);
  }

  /** The generator's state: Key (16 bytes), V (16), reseed counter (u32). A view: writing changes the state. */
  drbgState(): Uint8Array {
    return this.#bytes.subarray(this.exports.testDrbgState(), this.exports.testDrbgState() + drbgStateBytes);
  }

  /** Whether the core finds two strings of the same length equal. */
  equalBytes(left: Uint8Array, right: Uint8Array): boolean {
    const [l, r] = this.#place(left, right);
    return this.exports.testEqualBytes(l, r, left.length) !== 0;
  }

  #addStrings(context: number, strings: readonly Uint8Array[], places: readonly number[]): void {
    this.exports.testSivStart(context);
    for (const [i, string] of strings.entries()) this.exports.testSivAd(context, places[i]!, string.length);
  }

  #opened(right: number, text: number, length: number): Opened {
    const left = this.#read(text, length);
    return { plaintext: right === 0 ? undefined : left, left };
  }

  #contextOf(key: Uint8Array | SivKey): number {
    if (!(key instanceof Uint8Array)) return key.context;
    this.#setSivKey(this.#sivContext, key);
    return this.#sivContext;
  }

  #setSivKey(context: number, key: Uint8Array): void {
    const [at] = this.#place(key);
    this.exports.testSivSetKey(context, at, key.length);
  }

  #reserve(length: number): number {
    const place = this.#free;
    this.#free += length;
    return place;
  }

  // Lays byte arrays, and zeros for numbers of bytes, one behind the other and returns where each begins. There are no
  // gaps: what has odd lengths in front of it shows whether the core takes every address.
  #place<const T extends readonly Part[]>(...parts: T): { readonly [K in keyof T]: number } {
    const total = parts.reduce<number>((sum, part) => sum + sizeOf(part), 0);
    if (total > this.capacity) {
      throw new SelftestError('input-too-long', `needs ${total} bytes, the core's scratch has ${this.capacity}`);
    }
    let at = this.#free;
    const places = parts.map((part) => {
      const place = at;
      if (typeof part === 'number') this.#bytes.fill(0, place, place + part);
      else this.#bytes.set(part, place);
      at += sizeOf(part);
      return place;
    });
    return places as { [K in keyof T]: number };
  }

  #read(at: number, length: number): Uint8Array {
    return this.#bytes.slice(at, at + length);
  }
}
