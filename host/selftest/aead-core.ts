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
  testAesExpandKey(schedule: number, key: number): void;
  testAesEncrypt(schedule: number, source: number, target: number): void;
  testCmacSetKey(context: number, key: number): void;
  testCmacStart(): void;
  testCmacUpdate(context: number, data: number, length: number): void;
  testCmacFinish(context: number, tag: number): void;
  testSivSetKey(context: number, key: number): void;
  testSivStart(context: number): void;
  testSivAd(context: number, data: number, length: number): void;
  testSivSeal(context: number, text: number, length: number, tag: number): void;
  testSivOpen(context: number, text: number, length: number, tag: number): number;
  testSivSealWithNonce(
    context: number,
    data: number,
    dataLength: number,
    nonce: number,
    nonceLength: number,
    sealed: number,
    length: number,
  ): void;
  testSivOpenWithNonce(
    context: number,
    data: number,
    dataLength: number,
    nonce: number,
    nonceLength: number,
    sealed: number,
    sealedLength: number,
  ): number;
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
  'testAesExpandKey',
  'testAesEncrypt',
  'testCmacSetKey',
  'testCmacStart',
  'testCmacUpdate',
  'testCmacFinish',
  'testSivSetKey',
  'testSivStart',
  'testSivAd',
  'testSivSeal',
  'testSivOpen',
  'testSivSealWithNonce',
  'testSivOpenWithNonce',
  'testDeriveKey',
  'testDrbgInstantiate',
  'testDrbgReseed',
  'testDrbgGenerate',
  'testEqualBytes',
  'testWipe',
];

/** Sizes in bytes: of a key of AES and CMAC, of a key of SIV, of an expanded AES key, of a tag. */
export const aesKeyBytes = 16;
export const sivKeyBytes = 32;
export const aesScheduleBytes = 176;
export const tagBytes = 16;

/** Size in bytes of the generator's state: Key, V, u32 reseed counter. */
const drbgStateBytes = 36;

type Part = Uint8Array | number;

const sizeOf = (part: Part) => (typeof part === 'number' ? part : part.length);

/** A key of AEAD_AES_SIV_CMAC_256 that stays in the core, at a place of its own. */
export interface SivKey {
  readonly context: number;
}

/** What became of a sealed message: `plaintext` when its tag is right; `left`, the bytes in the ciphertext's place. */
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

  /** AES-128 of one block (FIPS 197). */
  aes(key: Uint8Array, block: Uint8Array): Uint8Array {
    const [k, source, schedule, target] = this.#place(key, block, aesScheduleBytes, block.length);
    this.exports.testAesExpandKey(schedule, k);
    this.exports.testAesEncrypt(schedule, source, target);
    return this.#read(target, block.length);
  }

  /** The expanded key (FIPS 197 5.2). */
  aesSchedule(key: Uint8Array): Uint8Array {
    const [k, schedule] = this.#place(key, aesScheduleBytes);
    this.exports.testAesExpandKey(schedule, k);
    return this.#read(schedule, aesScheduleBytes);
  }

  /** AES-CMAC (RFC 4493) of a message in pieces. */
  cmac(key: Uint8Array, ...pieces: Uint8Array[]): Uint8Array {
    const [k, tag, ...places] = this.#place(key, tagBytes, ...pieces);
    this.exports.testCmacSetKey(this.#cmacContext, k);
    this.exports.testCmacStart();
    for (const [i, piece] of pieces.entries()) {
      this.exports.testCmacUpdate(this.#cmacContext, places[i]!, piece.length);
    }
    this.exports.testCmacFinish(this.#cmacContext, tag);
    return this.#read(tag, tagBytes);
  }

  /** Takes a key of 32 bytes for `seal` and `open`; its room is not given back. */
  sivKey(key: Uint8Array): SivKey {
    const context = this.#reserve(this.exports.testSivContextBytes());
    this.#setSivKey(context, key);
    return { context };
  }

  /**
   * AEAD_AES_SIV_CMAC_256 (RFC 5297).
   * @param key of 32 bytes, or one from `sivKey`
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

  /** As `seal` with associated data and nonce, through the function that NTP packets use. */
  sealWithNonce(key: Uint8Array | SivKey, data: Uint8Array, nonce: Uint8Array, plaintext: Uint8Array): Uint8Array {
    const context = this.#contextOf(key);
    const [d, n, sealed] = this.#place(data, nonce, tagBytes, plaintext);
    this.exports.testSivSealWithNonce(context, d, data.length, n, nonce.length, sealed, plaintext.length);
    return this.#read(sealed, tagBytes + plaintext.length);
  }

  /** Opens what `sealWithNonce` returned, as `open` does; what is shorter than a tag is wrong. */
  openWithNonce(key: Uint8Array | SivKey, data: Uint8Array, nonce: Uint8Array, sealed: Uint8Array): Opened {
    const context = this.#contextOf(key);
    const [d, n, s] = this.#place(data, nonce, sealed);
    const right = this.exports.testSivOpenWithNonce(context, d, data.length, n, nonce.length, s, sealed.length);
    return this.#opened(right, s + tagBytes, Math.max(0, sealed.length - tagBytes));
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
    this.exports.testSivSetKey(context, at);
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
