// COBS, CRC-32 and the frame: known values, and agreement with a second implementation.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { Channel } from '../../as/abi/codes.ts';
import { compileLink, type LinkExports, newLink } from './link-core.ts';
import * as wire from './link-wire.ts';
import { seededRandom } from './random.ts';

let core: LinkExports;

beforeAll(async () => {
  core = await newLink();
});

function put(bytes: ArrayLike<number>): number {
  const at = core.scratch();
  new Uint8Array(core.memory.buffer).set(bytes, at);
  return at;
}

function encode(data: ArrayLike<number>): Uint8Array {
  const at = put([99, ...Array.from(data)]);
  core.cobsEncode(at, data.length);
  return new Uint8Array(core.memory.buffer).slice(at, at + data.length + 1);
}

/** Undefined when the bytes are no COBS. */
function decode(encoded: ArrayLike<number>): Uint8Array | undefined {
  const at = put(encoded);
  if (core.cobsDecode(at, encoded.length) === 0) return undefined;
  return new Uint8Array(core.memory.buffer).slice(at + 1, at + encoded.length);
}

const hex = (text: string) => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'));

describe('CRC-32', () => {
  test.each([
    ['', 0],
    ['123456789', 0xcbf43926],
    ['a', 0xe8b7be43],
    ['The quick brown fox jumps over the lazy dog', 0x414fa339],
    ['\0\0\0\0', 0x2144df1c],
    ['\xff\xff\xff\xff', 0xffffffff],
  ])('of %j', (text, value) => {
    const at = put(Buffer.from(text, 'latin1'));
    expect(core.crc32(at, text.length) >>> 0).toBe(value);
  });

  test('agrees with a second implementation', () => {
    const random = seededRandom('crc32');
    for (let i = 0; i < 300; i++) {
      const bytes = random.bytes(random.below(300));
      expect(core.crc32(put(bytes), bytes.length) >>> 0).toBe(wire.crc32(bytes));
    }
  });
});

describe('COBS', () => {
  // Cheshire and Baker, and the examples that other implementations share.
  test.each([
    ['00', '01 01'],
    ['00 00', '01 01 01'],
    ['00 11 00', '01 02 11 01'],
    ['11 22 00 33', '03 11 22 02 33'],
    ['11 22 33 44', '05 11 22 33 44'],
    ['11 00 00 00', '02 11 01 01 01'],
    ['', '01'],
  ])('of %s', (data, encoded) => {
    expect(encode(hex(data))).toEqual(hex(encoded));
    expect(decode(hex(encoded))).toEqual(hex(data));
  });

  test('of the longest frame, without a zero and of zeros only', () => {
    const full = new Uint8Array(253).fill(7);
    expect(encode(full)).toEqual(Uint8Array.from([254, ...full]));
    expect(decode(encode(full))).toEqual(full);
    const zeros = new Uint8Array(253);
    expect(encode(zeros)).toEqual(new Uint8Array(254).fill(1));
    expect(decode(encode(zeros))).toEqual(zeros);
  });

  test('agrees with a second implementation and comes back', () => {
    const random = seededRandom('cobs');
    for (let i = 0; i < 1000; i++) {
      const zeros = random.below(4);
      const data = random.bytes(random.below(254)).map((byte) => (random.below(4) < zeros ? 0 : byte));
      const encoded = encode(data);
      expect(encoded).toEqual(wire.cobsEncode(data));
      expect(encoded.includes(0)).toBe(false);
      expect(decode(encoded)).toEqual(data);
    }
  });

  test.each(['02', '05 11 22', 'ff 01', '01 02', '03 11 22 00', '00'])('refuses %s', (encoded) => {
    expect(decode(hex(encoded))).toBeUndefined();
  });

  test('touches nothing but the bytes that it is given', () => {
    const random = seededRandom('cobs bounds');
    const memory = new Uint8Array(core.memory.buffer);
    const from = core.scratch();
    for (let i = 0; i < 5000; i++) {
      const encoded = random.bytes(1 + random.below(254));
      memory.fill(0xa5, from, from + 1024);
      memory.set(encoded, from + 300);
      core.cobsDecode(from + 300, encoded.length);
      const around = [
        memory.subarray(from, from + 300),
        memory.subarray(from + 300 + encoded.length, from + 1024),
      ].every((part) => part.every((byte) => byte === 0xa5));
      expect(around).toBe(true);
    }
  });
});

describe('frame', () => {
  test('a hello, byte by byte', () => {
    const script = new wire.Script(core, false, 0x01020303);
    const length = core.linkPoll(0n);
    const bytes = new Uint8Array(core.memory.buffer).slice(core.linkFrame(), core.linkFrame() + length);
    // Header: version 2, channel 0, all else zero. Payload: hello, version 2, credits 3 and 1, nonce, open, no id.
    const decoded = hex('20 00 00 00 00000000 0000 00 00 01 02 03 01 04030201 00000000 00 00');
    const crc = new Uint8Array(4);
    new DataView(crc.buffer).setUint32(0, wire.crc32(decoded), true);
    expect(bytes).toEqual(Uint8Array.from([0, ...wire.cobsEncode(Uint8Array.from([...decoded, ...crc])), 0]));
    script.sent();
  });

  test('the largest message leaves room for a seal in 256 bytes', async () => {
    const script = new wire.Script(await newLink(), false);
    script.open();
    const message = new Uint8Array(221).fill(255);
    expect(script.send(Channel.Report, message)).toBe(true);
    expect(script.core.linkPoll(script.now)).toBe(240);
    script.sent();
    expect(script.send(Channel.Report, new Uint8Array(222))).toBe(false);
  });

  test.each([
    ['of version 1', { version: 1 }],
    ['of channel 4', { channel: 4 }],
    ['with a key id', { keyId: 1 }],
    ['with a counter', { counter: 1 }],
  ])('%s is refused and counted', async (_, change) => {
    const script = new wire.Script(await newLink(), false);
    script.open();
    const before = script.core.linkFramesDamaged();
    const received = script.core.linkFramesReceived();
    expect(script.hearFrame({ channel: Channel.Stream, payload: [1], ...change })).toBeUndefined();
    expect(script.core.linkFramesDamaged()).toBe(before + 1);
    expect(script.core.linkFramesReceived()).toBe(received);
    expect(script.frames()).toEqual([]);
    expect(script.hearFrame({ channel: Channel.Stream, payload: [1] })).toEqual(Uint8Array.of(1));
  });

  test('empty, too short, too long and without payload: nothing happens', async () => {
    const script = new wire.Script(await newLink(), false);
    script.open();
    expect(script.hear(new Uint8Array(0))).toBeUndefined();
    expect(script.core.linkFramesDamaged()).toBe(0);
    expect(script.hear(new Uint8Array(255).fill(1))).toBeUndefined();
    expect(script.hear(Uint8Array.of(1))).toBeUndefined();
    expect(script.hearFrame({ channel: Channel.Stream, payload: [] })).toBeUndefined();
    expect(script.core.linkFramesDamaged()).toBe(3);
  });
});

test('the module imports nothing and cannot grow', async () => {
  const module = new WebAssembly.Module((await compileLink()) as Uint8Array<ArrayBuffer>);
  expect(WebAssembly.Module.imports(module)).toEqual([]);
  expect(() => core.memory.grow(1)).toThrow(RangeError);
});

test('no source of the link allocates, imports or computes with floats', () => {
  const folder = join(import.meta.dirname, '..', '..', 'as', 'link');
  for (const name of readdirSync(folder)) {
    const source = readFileSync(join(folder, name), 'utf8').replaceAll(/\/\/.*|\/\*[\s\S]*?\*\//g, '');
    expect(source).not.toMatch(/\bnew |\bf32\b|\bf64\b|declare |heap\.|@/);
  }
});
