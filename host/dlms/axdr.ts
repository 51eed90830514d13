// A-XDR as DLMS/COSEM uses it (IEC 61334-6; type description Data of IEC 62056-5-3): values to bytes and back.
//
// What always holds: a value is one tag, then its contents; nothing follows a whole value. What is decoded is within
// limits of size and depth, and an array of n items takes at least n bytes. Encoding what was decoded gives the same
// value; the same bytes where lengths were in their shortest form, true was 1 and unused bits were 0.
//
//   null, boolean, numbers, date-time …   tag u8 | contents, of fixed size, big-endian
//   octet-string, visible-string, utf8    tag u8 | length | bytes
//   bit-string                            tag u8 | length in bits | bytes, the first bit the highest
//   array, structure                      tag u8 | number of items | items
//   length (BER)                          00 to 7F, or 80 + n and n bytes, big-endian
import { DlmsError } from './error.ts';

/** Types that are a number: tag, bytes, and whether it has a sign. */
const numbers = {
  'double-long': { tag: 5, bytes: 4, signed: true },
  'double-long-unsigned': { tag: 6, bytes: 4, signed: false },
  bcd: { tag: 13, bytes: 1, signed: true },
  integer: { tag: 15, bytes: 1, signed: true },
  long: { tag: 16, bytes: 2, signed: true },
  unsigned: { tag: 17, bytes: 1, signed: false },
  'long-unsigned': { tag: 18, bytes: 2, signed: false },
  enum: { tag: 22, bytes: 1, signed: false },
} as const;
const bigNumbers = {
  long64: { tag: 20, bytes: 8, signed: true },
  'long64-unsigned': { tag: 21, bytes: 8, signed: false },
} as const;
const floats = { float32: { tag: 23, bytes: 4 }, float64: { tag: 24, bytes: 8 } } as const;
/** Types that are bytes of a fixed number. */
const fixed = {
  'date-time': { tag: 25, bytes: 12 },
  date: { tag: 26, bytes: 5 },
  time: { tag: 27, bytes: 4 },
} as const;
const texts = { 'visible-string': { tag: 10 }, 'utf8-string': { tag: 12 } } as const;
const lists = { array: { tag: 1 }, structure: { tag: 2 } } as const;
const nullTag = 0;
const booleanTag = 3;
const bitStringTag = 4;
const octetStringTag = 9;

export type NumberType = keyof typeof numbers;

export type AxdrValue =
  | { readonly type: 'null' }
  | { readonly type: keyof typeof lists; readonly items: readonly AxdrValue[] }
  | { readonly type: 'boolean'; readonly value: boolean }
  /** Text of 0 and 1. */
  | { readonly type: 'bit-string'; readonly bits: string }
  | { readonly type: NumberType | keyof typeof floats; readonly value: number }
  | { readonly type: keyof typeof bigNumbers; readonly value: bigint }
  | { readonly type: 'octet-string' | keyof typeof fixed; readonly bytes: Uint8Array }
  | { readonly type: keyof typeof texts; readonly text: string };

export type AxdrType = AxdrValue['type'];

/** The tag of each type. */
export const axdrTags: Readonly<Record<AxdrType, number>> = {
  null: nullTag,
  boolean: booleanTag,
  'bit-string': bitStringTag,
  'octet-string': octetStringTag,
  ...(Object.fromEntries(
    Object.entries({ ...numbers, ...bigNumbers, ...floats, ...fixed, ...texts, ...lists }).map(([type, { tag }]) => [
      type,
      tag,
    ]),
  ) as Record<Exclude<AxdrType, 'null' | 'boolean' | 'bit-string' | 'octet-string'>, number>),
};

const typeOfTag = new Map(Object.entries(axdrTags).map(([type, tag]) => [tag, type as AxdrType]));

export const axdrLimits = {
  /** Of a whole value. */
  bytes: 65_536,
  /** Arrays and structures within each other. */
  depth: 16,
} as const;

function isOneOf<Table extends object>(table: Table, type: PropertyKey): type is keyof Table {
  return Object.hasOwn(table, type);
}

// ---------------------------------------------------------------- encode

/** @throws {DlmsError} dlms-value: a number out of its type's range, a text that its type cannot hold, or too much */
export function encodeAxdr(value: AxdrValue): Uint8Array {
  const parts: Uint8Array[] = [];
  encodeInto(parts, value, 0);
  const bytes = Buffer.concat(parts);
  if (bytes.length > axdrLimits.bytes) {
    throw new DlmsError('dlms-value', `A-XDR: expected at most ${axdrLimits.bytes} bytes, came ${bytes.length}`);
  }
  return new Uint8Array(bytes);
}

function encodeInto(parts: Uint8Array[], value: AxdrValue, depth: number): void {
  parts.push(Uint8Array.of(axdrTags[value.type]));
  switch (value.type) {
    case 'null':
      return;
    case 'array':
    case 'structure':
      if (depth >= axdrLimits.depth) throw new DlmsError('dlms-value', `A-XDR: ${tooDeep}`);
      parts.push(encodeLength(value.items.length));
      for (const item of value.items) encodeInto(parts, item, depth + 1);
      return;
    case 'boolean':
      parts.push(Uint8Array.of(value.value ? 1 : 0));
      return;
    case 'bit-string':
      parts.push(encodeLength(value.bits.length), encodeBits(value.bits));
      return;
    case 'octet-string':
      parts.push(encodeLength(value.bytes.length), value.bytes);
      return;
    case 'visible-string':
    case 'utf8-string': {
      const bytes = encodeText(value.type, value.text);
      parts.push(encodeLength(bytes.length), bytes);
      return;
    }
    case 'date-time':
    case 'date':
    case 'time':
      parts.push(checkedBytes(value.type, value.bytes));
      return;
    default:
      parts.push(encodeNumber(value.type, value.value));
  }
}

const tooDeep = `expected at most ${axdrLimits.depth} arrays and structures within each other, came more`;

function encodeLength(length: number): Uint8Array {
  if (length < 0x80) return Uint8Array.of(length);
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(length);
  const first = bytes.findIndex((byte) => byte !== 0);
  return Uint8Array.of(0x80 + 4 - first, ...bytes.subarray(first));
}

function encodeBits(bits: string): Uint8Array {
  if (!/^[01]*$/.test(bits)) throw new DlmsError('dlms-value', `bit-string: expected 0 and 1, came "${bits}"`);
  const bytes = new Uint8Array(Math.ceil(bits.length / 8));
  for (const [index, bit] of [...bits].entries()) {
    if (bit === '1') bytes[index >> 3] = bytes[index >> 3]! | (0x80 >> (index & 7));
  }
  return bytes;
}

// 20 to 7E: VisibleString of ASN.1.
function encodeText(type: keyof typeof texts, text: string): Uint8Array {
  if (type === 'visible-string' && !/^[ -~]*$/.test(text)) {
    throw new DlmsError('dlms-value', `visible-string: expected printable ASCII, came ${JSON.stringify(text)}`);
  }
  return Buffer.from(text, 'utf8');
}

function checkedBytes(type: keyof typeof fixed, bytes: Uint8Array): Uint8Array {
  const expected = fixed[type].bytes;
  if (bytes.length !== expected) {
    throw new DlmsError('dlms-value', `${type}: expected ${expected} bytes, came ${bytes.length}`);
  }
  return bytes;
}

type AnyNumber = NumberType | keyof typeof bigNumbers | keyof typeof floats;

function encodeNumber(type: AnyNumber, value: number | bigint): Uint8Array {
  if (isOneOf(floats, type)) return encodeFloat(type, Number(value));
  const { bytes, signed } = isOneOf(numbers, type) ? numbers[type] : bigNumbers[type];
  const bits = 8 * bytes;
  if (typeof value === 'number' && !Number.isInteger(value)) {
    throw new DlmsError('dlms-value', `${type}: expected a whole number, came ${value}`);
  }
  const whole = BigInt(value);
  const held = signed ? BigInt.asIntN(bits, whole) : BigInt.asUintN(bits, whole);
  if (held !== whole) {
    const least = signed ? -(2n ** BigInt(bits - 1)) : 0n;
    const most = 2n ** BigInt(signed ? bits - 1 : bits) - 1n;
    throw new DlmsError('dlms-value', `${type}: expected from ${least} to ${most}, came ${value}`);
  }
  const out = Buffer.alloc(8);
  out.writeBigUInt64BE(BigInt.asUintN(64, whole));
  return out.subarray(8 - bytes);
}

function encodeFloat(type: keyof typeof floats, value: number): Uint8Array {
  const out = Buffer.alloc(floats[type].bytes);
  if (type === 'float32') out.writeFloatBE(value);
  else out.writeDoubleBE(value);
  return out;
}

// ---------------------------------------------------------------- decode

/**
 * Decodes bytes that are one value and nothing else.
 * @throws {DlmsError} file-axdr, with the offset at which it does not hold
 */
export function decodeAxdr(bytes: Uint8Array): AxdrValue {
  if (bytes.length > axdrLimits.bytes) {
    throw new DlmsError('file-axdr', `A-XDR: expected at most ${axdrLimits.bytes} bytes, came ${bytes.length}`);
  }
  const reader = new Reader(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  const value = reader.value(0);
  if (reader.at < bytes.length) {
    throw reader.error(reader.at, `expected the end, came ${bytes.length - reader.at} more bytes`);
  }
  return value;
}

class Reader {
  at = 0;

  constructor(private readonly bytes: Buffer) {}

  value(depth: number): AxdrValue {
    const begin = this.at;
    const tag = this.take(1, 'a tag')[0]!;
    const type = typeOfTag.get(tag);
    if (type === undefined) throw this.error(begin, `expected a tag of A-XDR that is known here, came ${tag}`);
    if (isOneOf(lists, type)) return { type, items: this.items(begin, depth) };
    if (isOneOf(texts, type)) return { type, text: this.text(type) };
    if (isOneOf(fixed, type)) return { type, bytes: copy(this.take(fixed[type].bytes, type)) };
    if (isOneOf(numbers, type)) return { type, value: this.number(type) };
    if (isOneOf(bigNumbers, type)) {
      const bytes = this.take(8, type);
      return { type, value: type === 'long64' ? bytes.readBigInt64BE() : bytes.readBigUInt64BE() };
    }
    if (isOneOf(floats, type)) {
      const bytes = this.take(floats[type].bytes, type);
      return { type, value: type === 'float32' ? bytes.readFloatBE() : bytes.readDoubleBE() };
    }
    if (type === 'boolean') return { type, value: this.take(1, type)[0] !== 0 };
    if (type === 'bit-string') return { type, bits: this.bits() };
    if (type === 'octet-string') return { type, bytes: copy(this.take(this.length(type), type)) };
    return { type: 'null' };
  }

  error(at: number, what: string): DlmsError {
    return new DlmsError('file-axdr', `A-XDR, byte ${at}: ${what}`);
  }

  private take(length: number, what: string): Buffer {
    const left = this.bytes.length - this.at;
    if (length > left) throw this.error(this.at, `expected ${length} bytes of ${what}, came ${left}`);
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }

  private length(what: string): number {
    const at = this.at;
    const first = this.take(1, `the length of ${what}`)[0]!;
    if (first < 0x80) return first;
    const bytes = first - 0x80;
    if (bytes < 1 || bytes > 4) throw this.error(at, `expected a length of 1 to 4 bytes, came ${bytes} bytes`);
    return this.take(bytes, `the length of ${what}`).readUIntBE(0, bytes);
  }

  private items(begin: number, depth: number): AxdrValue[] {
    if (depth >= axdrLimits.depth) throw this.error(begin, tooDeep);
    const count = this.length('a list');
    const left = this.bytes.length - this.at;
    // Each takes a byte at least: no memory for what is only claimed.
    if (count > left) throw this.error(begin, `expected ${count} items, came ${left} bytes`);
    return Array.from({ length: count }, () => this.value(depth + 1));
  }

  private number(type: NumberType): number {
    const { bytes, signed } = numbers[type];
    const taken = this.take(bytes, type);
    return signed ? taken.readIntBE(0, bytes) : taken.readUIntBE(0, bytes);
  }

  private text(type: keyof typeof texts): string {
    const at = this.at;
    const bytes = this.take(this.length(type), type);
    try {
      const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
      if (type === 'utf8-string' || /^[ -~]*$/.test(text)) return text;
    } catch (cause) {
      if (!(cause instanceof TypeError)) throw cause;
    }
    const expected = type === 'utf8-string' ? 'UTF-8' : 'printable ASCII';
    throw this.error(at, `${type}: expected ${expected}, came ${bytes.toString('hex')}`);
  }

  private bits(): string {
    const count = this.length('bit-string');
    const bytes = this.take(Math.ceil(count / 8), 'bit-string');
    return Array.from(bytes, (byte) => byte.toString(2).padStart(8, '0'))
      .join('')
      .slice(0, count);
  }
}

function copy(bytes: Uint8Array): Uint8Array {
  return Uint8Array.from(bytes);
}
