// Reads and writes the fields of one message: little-endian integers, texts, bytes; no field outside the message.
// A reader remembers how far it has read, so that bytes behind the last field are an error and not ignored.

/** A message that as/abi/codes.ts does not describe, or a value that does not fit its field. */
export class MessageError extends Error {
  constructor(
    readonly code: 'length' | 'type' | 'channel' | 'value' | 'text' | 'version',
    message: string,
  ) {
    super(message);
    this.name = 'MessageError';
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true });
const toUtf8 = new TextEncoder();

/** Reads fields at offsets counted from the message's type byte. */
export class ByteReader {
  readonly #view: DataView;
  #position = 1;

  constructor(
    readonly name: string,
    readonly message: Uint8Array,
  ) {
    this.#view = new DataView(message.buffer, message.byteOffset, message.byteLength);
  }

  /** Where the next field begins. */
  get position(): number {
    return this.#position;
  }

  #take(at: number, length: number): number {
    if (at + length > this.message.length) {
      throw new MessageError(
        'length',
        `${this.name}: expected at least ${at + length} bytes, came ${this.message.length}`,
      );
    }
    if (at + length > this.#position) this.#position = at + length;
    return at;
  }

  u8(at: number): number {
    return this.#view.getUint8(this.#take(at, 1));
  }

  u16(at: number): number {
    return this.#view.getUint16(this.#take(at, 2), true);
  }

  u32(at: number): number {
    return this.#view.getUint32(this.#take(at, 4), true);
  }

  i8(at: number): number {
    return this.#view.getInt8(this.#take(at, 1));
  }

  i16(at: number): number {
    return this.#view.getInt16(this.#take(at, 2), true);
  }

  i32(at: number): number {
    return this.#view.getInt32(this.#take(at, 4), true);
  }

  u64(at: number): bigint {
    return this.#view.getBigUint64(this.#take(at, 8), true);
  }

  i64(at: number): bigint {
    return this.#view.getBigInt64(this.#take(at, 8), true);
  }

  /** A copy of `length` bytes. */
  bytes(at: number, length: number): Uint8Array {
    this.#take(at, length);
    return this.message.slice(at, at + length);
  }

  /** A copy of everything from `at` on, at least `least` bytes. */
  rest(at: number, least: number): Uint8Array {
    return this.bytes(at, Math.max(least, this.message.length - at));
  }

  /** One length byte and that many bytes. */
  counted(at: number): Uint8Array {
    return this.bytes(at + 1, this.u8(at));
  }

  /** `count` texts one behind the other. */
  texts(at: number, count: number): string[] {
    const texts: string[] = [];
    for (let next = at; texts.length < count; next = this.#position) {
      try {
        texts.push(utf8.decode(this.counted(next)));
      } catch (error) {
        if (error instanceof MessageError) throw error;
        throw new MessageError('text', `${this.name}: expected text in UTF-8 at byte ${next}, came other bytes`);
      }
    }
    return texts;
  }

  /** Where the next field begins, behind the last that was read. */
  get next(): number {
    return this.#position;
  }

  /** The message has this length. */
  exactly(length: number): void {
    if (this.message.length !== length) {
      throw new MessageError('length', `${this.name}: expected ${length} bytes, came ${this.message.length}`);
    }
    this.#position = length;
  }

  /** Nothing follows the last field. */
  end(): void {
    if (this.#position !== this.message.length) {
      throw new MessageError('length', `${this.name}: expected ${this.#position} bytes, came ${this.message.length}`);
    }
  }
}

/** Appends fields; refuses values that do not fit and messages above `limit` bytes. */
export class ByteWriter {
  readonly #buffer: Uint8Array;
  readonly #view: DataView;
  #length = 0;

  constructor(
    readonly name: string,
    readonly limit: number,
  ) {
    this.#buffer = new Uint8Array(limit);
    this.#view = new DataView(this.#buffer.buffer);
  }

  #take(length: number): number {
    const at = this.#length;
    if (at + length > this.limit) {
      throw new MessageError('length', `${this.name}: expected at most ${this.limit} bytes, came ${at + length}`);
    }
    this.#length = at + length;
    return at;
  }

  #integer(value: number, least: number, most: number): number {
    if (!Number.isInteger(value) || value < least || value > most) {
      throw new MessageError('value', `${this.name}: expected an integer from ${least} to ${most}, came ${value}`);
    }
    return value;
  }

  #big(value: bigint, least: bigint, most: bigint): bigint {
    if (value < least || value > most) {
      throw new MessageError('value', `${this.name}: expected an integer from ${least} to ${most}, came ${value}`);
    }
    return value;
  }

  u8(value: number): this {
    this.#view.setUint8(this.#take(1), this.#integer(value, 0, 0xff));
    return this;
  }

  u16(value: number): this {
    this.#view.setUint16(this.#take(2), this.#integer(value, 0, 0xffff), true);
    return this;
  }

  u32(value: number): this {
    this.#view.setUint32(this.#take(4), this.#integer(value, 0, 0xffffffff), true);
    return this;
  }

  i16(value: number): this {
    this.#view.setInt16(this.#take(2), this.#integer(value, -0x8000, 0x7fff), true);
    return this;
  }

  i32(value: number): this {
    this.#view.setInt32(this.#take(4), this.#integer(value, -0x80000000, 0x7fffffff), true);
    return this;
  }

  u64(value: bigint): this {
    this.#view.setBigUint64(this.#take(8), this.#big(value, 0n, (1n << 64n) - 1n), true);
    return this;
  }

  i64(value: bigint): this {
    this.#view.setBigInt64(this.#take(8), this.#big(value, -(1n << 63n), (1n << 63n) - 1n), true);
    return this;
  }

  /** Bytes as they are; exactly `length` of them where it is given. */
  raw(bytes: Uint8Array, length = bytes.length): this {
    if (bytes.length !== length) {
      throw new MessageError('length', `${this.name}: expected a field of ${length} bytes, came ${bytes.length}`);
    }
    this.#buffer.set(bytes, this.#take(length));
    return this;
  }

  text(text: string): this {
    const bytes = toUtf8.encode(text);
    if (bytes.length > 0xff) {
      throw new MessageError('length', `${this.name}: expected a text of at most 255 bytes, came ${bytes.length}`);
    }
    return this.u8(bytes.length).raw(bytes);
  }

  /** Zeros up to offset `end`. */
  pad(end: number): this {
    this.#take(end - this.#length);
    return this;
  }

  bytes(): Uint8Array {
    return this.#buffer.slice(0, this.#length);
  }
}

/** The longest start of `text` that fits into `bytes` bytes of UTF-8, cut between characters. */
export function truncateText(text: string, bytes: number): string {
  const room = new Uint8Array(bytes);
  return text.slice(0, toUtf8.encodeInto(text, room).read);
}

/** The number at `at`, which is one of `values`, an enum. */
export function oneOf<Value extends number>(
  r: ByteReader,
  at: number,
  values: Record<string, Value | string>,
  what: string,
) {
  const value = r.u8(at);
  if (values[value] === undefined) {
    throw new MessageError('value', `${r.name}: expected ${what} of as/abi/codes.ts at byte ${at}, came ${value}`);
  }
  return value as Value;
}

/** The token of a command, which is not 0. */
export function token(name: string, value: number): number {
  if (value === 0) throw new MessageError('value', `${name}: expected a token other than 0`);
  return value;
}
