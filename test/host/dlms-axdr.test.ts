// A-XDR: vectors by hand, values of each type, and bytes that are none.
import { describe, expect, it } from 'vitest';
import { type AxdrValue, axdrLimits, axdrTags, decodeAxdr, encodeAxdr } from '../../host/dlms/axdr.ts';
import { DlmsError } from '../../host/dlms/error.ts';
import { type SeededRandom, seededRandom } from '../core/random.ts';
import { readHex } from './dlms-reader.ts';

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const bytes = (text: string) => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'));
const octets = (text: string): AxdrValue => ({ type: 'octet-string', bytes: bytes(text) });

const vectors: [string, AxdrValue][] = [
  ['00', { type: 'null' }],
  ['03 01', { type: 'boolean', value: true }],
  ['04 0a aa 80', { type: 'bit-string', bits: '1010101010' }],
  ['05 ff ff ff fe', { type: 'double-long', value: -2 }],
  ['06 ff ff ff fe', { type: 'double-long-unsigned', value: 4_294_967_294 }],
  ['09 06 00 00 01 00 00 ff', octets('0000010000ff')],
  ['0a 02 68 69', { type: 'visible-string', text: 'hi' }],
  ['0c 02 c3 a9', { type: 'utf8-string', text: 'é' }],
  ['0d 12', { type: 'bcd', value: 0x12 }],
  ['0f ff', { type: 'integer', value: -1 }],
  ['10 ff c4', { type: 'long', value: -60 }],
  ['11 ff', { type: 'unsigned', value: 255 }],
  ['12 01 00', { type: 'long-unsigned', value: 256 }],
  ['14 80 00 00 00 00 00 00 00', { type: 'long64', value: -(2n ** 63n) }],
  ['15 ff ff ff ff ff ff ff ff', { type: 'long64-unsigned', value: 2n ** 64n - 1n }],
  ['16 04', { type: 'enum', value: 4 }],
  ['17 3f c0 00 00', { type: 'float32', value: 1.5 }],
  ['18 3f f8 00 00 00 00 00 00', { type: 'float64', value: 1.5 }],
  ['19 07ea0701ff0c223800ff8880', { type: 'date-time', bytes: bytes('07ea0701ff0c223800ff8880') }],
  ['1a 07ea070103', { type: 'date', bytes: bytes('07ea070103') }],
  ['1b 0c223800', { type: 'time', bytes: bytes('0c223800') }],
  ['01 00', { type: 'array', items: [] }],
  ['02 01 00', { type: 'structure', items: [{ type: 'null' }] }],
  [
    '01 01 02 02 11 01 09 00',
    { type: 'array', items: [{ type: 'structure', items: [{ type: 'unsigned', value: 1 }, octets('')] }] },
  ],
];

describe.each(vectors)('%s', (text, value) => {
  it('is what is encoded and decoded', () => {
    expect(hex(encodeAxdr(value))).toBe(text.replaceAll(' ', ''));
    expect(decodeAxdr(bytes(text))).toEqual(value);
  });

  it('ends nowhere earlier, and nothing follows it', () => {
    const whole = bytes(text);
    for (let length = 0; length < whole.length; length++) {
      expect(() => decodeAxdr(whole.subarray(0, length))).toThrow(DlmsError);
    }
    expect(() => decodeAxdr(bytes(`${text} 00`))).toThrow(
      `A-XDR, byte ${whole.length}: expected the end, came 1 more bytes`,
    );
  });
});

it('the vectors are of all types', () => {
  expect(new Set(vectors.map(([, { type }]) => type))).toEqual(new Set(Object.keys(axdrTags)));
});

// Test data of the public library dlms-cosem (u9n): an entry of a load profile, and LTE monitoring.
it.each([
  ['0203090c07e2020c0500000000800000110006000186a0', ['07e2020c0500000000800000', 0, 100_000]],
  ['02051202d0120ca81112111e0fc0', [720, 3240, 18, 30, -64]],
])('%s is read as it is by others', (text, expected) => {
  expect(readHex(text)).toEqual(expected);
  expect(bare(decodeAxdr(bytes(text)))).toEqual(expected);
});

describe('a length', () => {
  it.each([
    [127, '7f'],
    [128, '8180'],
    [255, '81ff'],
    [256, '820100'],
    [65_000, '82fde8'],
  ])('of %i is %s', (length, text) => {
    const encoded = encodeAxdr({ type: 'octet-string', bytes: new Uint8Array(length) });
    expect(hex(encoded.subarray(1, 1 + text.length / 2))).toBe(text);
    expect(decodeAxdr(encoded)).toEqual({ type: 'octet-string', bytes: new Uint8Array(length) });
  });

  it('may be longer than it need be', () => {
    expect(decodeAxdr(bytes('09 84 00000001 aa'))).toEqual(octets('aa'));
  });
});

describe('refused', () => {
  it.each([
    ['', 'A-XDR, byte 0: expected 1 bytes of a tag, came 0'],
    ['02 01 0b', 'A-XDR, byte 2: expected a tag of A-XDR that is known here, came 11'],
    ['09 80 00', 'A-XDR, byte 1: expected a length of 1 to 4 bytes, came 0 bytes'],
    ['09 85 0000000001 00', 'A-XDR, byte 1: expected a length of 1 to 4 bytes, came 5 bytes'],
    ['09 05 00', 'A-XDR, byte 2: expected 5 bytes of octet-string, came 1'],
    ['01 84 ffffffff 00', 'A-XDR, byte 0: expected 4294967295 items, came 1 bytes'],
    ['0c 01 ff', 'A-XDR, byte 1: utf8-string: expected UTF-8, came ff'],
    ['0a 01 00', 'A-XDR, byte 1: visible-string: expected printable ASCII, came 00'],
  ])('%s', (text, message) => {
    expect(() => decodeAxdr(bytes(text))).toThrow(message);
  });

  it('lists too deep within each other', () => {
    const nested = (depth: number) => bytes(`${'0101'.repeat(depth)}00`);
    expect(() => decodeAxdr(nested(axdrLimits.depth))).not.toThrow();
    expect(() => decodeAxdr(nested(axdrLimits.depth + 1))).toThrow(
      `byte ${2 * axdrLimits.depth}: expected at most 16 arrays and structures within each other`,
    );
    const value = Array.from({ length: axdrLimits.depth + 1 }).reduce<AxdrValue>(
      (inner) => ({ type: 'array', items: [inner] }),
      { type: 'null' },
    );
    expect(() => encodeAxdr(value)).toThrow('within each other');
  });

  it('more than 65,536 bytes', () => {
    expect(() => decodeAxdr(new Uint8Array(axdrLimits.bytes + 1))).toThrow('expected at most 65536 bytes, came 65537');
    const long: AxdrValue = { type: 'octet-string', bytes: new Uint8Array(axdrLimits.bytes) };
    expect(() => encodeAxdr(long)).toThrow('expected at most 65536 bytes');
  });

  it.each<[string, AxdrValue]>([
    ['unsigned: expected from 0 to 255, came 256', { type: 'unsigned', value: 256 }],
    ['integer: expected from -128 to 127, came -129', { type: 'integer', value: -129 }],
    ['long-unsigned: expected from 0 to 65535, came -1', { type: 'long-unsigned', value: -1 }],
    ['long: expected a whole number, came 0.5', { type: 'long', value: 0.5 }],
    ['long64: expected from', { type: 'long64', value: 2n ** 63n }],
    ['date: expected 5 bytes, came 4', { type: 'date', bytes: new Uint8Array(4) }],
    ['bit-string: expected 0 and 1', { type: 'bit-string', bits: '012' }],
    ['visible-string: expected printable ASCII', { type: 'visible-string', text: 'é' }],
  ])('%s', (message, value) => {
    expect(() => encodeAxdr(value)).toThrow(message);
  });
});

describe('random', () => {
  it('values come back, and a second reader reads them alike', () => {
    const random = seededRandom('A-XDR values');
    for (let round = 0; round < 2000; round++) {
      const value = randomValue(random, 0);
      const encoded = encodeAxdr(value);
      expect(decodeAxdr(encoded)).toEqual(value);
      expect(readHex(hex(encoded))).toEqual(bare(value));
    }
  });

  it('bytes are a value that is encoded to bytes of the same value, or an error that names a byte', () => {
    const random = seededRandom('A-XDR bytes');
    let values = 0;
    for (let round = 0; round < 20_000; round++) {
      const input = random.below(2) === 0 ? random.bytes(random.below(12)) : changed(random);
      try {
        const value = decodeAxdr(input);
        expect(decodeAxdr(encodeAxdr(value))).toEqual(value);
        values++;
      } catch (error) {
        expect((error as DlmsError).code).toBe('file-axdr');
        expect((error as Error).message).toMatch(/^A-XDR, byte \d+: /);
      }
    }
    expect(values).toBeGreaterThan(100);
  });
});

function changed(random: SeededRandom): Uint8Array {
  const encoded = encodeAxdr(randomValue(random, 0));
  encoded[random.below(encoded.length)] = random.below(256);
  return encoded;
}

/** What the second reader gives. */
function bare(value: AxdrValue): unknown {
  if ('items' in value) return value.items.map(bare);
  if ('bytes' in value) return hex(value.bytes);
  if ('text' in value) return value.text;
  if ('bits' in value) return value.bits;
  return 'value' in value ? value.value : null;
}

function randomValue(random: SeededRandom, depth: number): AxdrValue {
  const types = Object.keys(axdrTags) as AxdrValue['type'][];
  const type = types[random.below(types.length)]!;
  const view = Buffer.from(random.bytes(8));
  switch (type) {
    case 'null':
      return { type };
    case 'array':
    case 'structure': {
      const length = depth > 4 ? 0 : random.below(random.below(40) === 0 ? 200 : 4);
      return { type, items: Array.from({ length }, () => randomValue(random, depth + 1)) };
    }
    case 'boolean':
      return { type, value: random.below(2) === 1 };
    case 'bit-string':
      return { type, bits: Array.from({ length: random.below(30) }, () => random.below(2)).join('') };
    case 'octet-string':
      return { type, bytes: random.bytes(random.below(20) === 0 ? random.below(400) : random.below(20)) };
    case 'visible-string':
      return {
        type,
        text: String.fromCharCode(...Array.from(random.bytes(random.below(9)), (byte) => 32 + (byte % 95))),
      };
    case 'utf8-string':
      return {
        type,
        text: String.fromCodePoint(...Array.from({ length: random.below(5) }, () => random.below(0xd800))),
      };
    case 'date-time':
      return { type, bytes: random.bytes(12) };
    case 'date':
      return { type, bytes: random.bytes(5) };
    case 'time':
      return { type, bytes: random.bytes(4) };
    case 'long64':
      return { type, value: view.readBigInt64BE() };
    case 'long64-unsigned':
      return { type, value: view.readBigUInt64BE() };
    case 'float32':
      return { type, value: random.below(2 ** 24) / 8 };
    case 'float64':
      return { type, value: random.below(2 ** 32) / 1024 };
    case 'double-long':
      return { type, value: view.readInt32BE() };
    case 'double-long-unsigned':
      return { type, value: view.readUInt32BE() };
    case 'long':
      return { type, value: view.readInt16BE() };
    case 'long-unsigned':
      return { type, value: view.readUInt16BE() };
    case 'bcd':
    case 'integer':
      return { type, value: view.readInt8() };
    case 'unsigned':
    case 'enum':
      return { type, value: view.readUInt8() };
  }
}
