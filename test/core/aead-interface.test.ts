// The core's one interface for the ciphers of NTS: what each needs, one context for all, nothing beside it touched.
import { aessiv, gcmsiv } from '@noble/ciphers/aes.js';
import { beforeEach, describe, expect, test } from 'vitest';
import { AeadCore, algorithms } from '../../host/selftest/aead-core.ts';
import { toHex } from '../../host/selftest/hex.ts';
import { loadCore } from './load-core.ts';
import { seededRandom } from './random.ts';

const canary = 0xa5;
const tagBytes = 16;

interface Case {
  readonly name: string;
  readonly algorithm: number;
  readonly keyBytes: number;
  readonly nonceBytes: number;
  readonly textOffset: number;
}

const cases: readonly Case[] = [
  { name: 'AES-SIV-CMAC-256', algorithm: algorithms.sivCmac256, keyBytes: 32, nonceBytes: 16, textOffset: 16 },
  { name: 'AES-SIV-CMAC-384', algorithm: algorithms.sivCmac384, keyBytes: 48, nonceBytes: 16, textOffset: 16 },
  { name: 'AES-SIV-CMAC-512', algorithm: algorithms.sivCmac512, keyBytes: 64, nonceBytes: 16, textOffset: 16 },
  { name: 'AES-128-GCM-SIV', algorithm: algorithms.gcmSiv128, keyBytes: 16, nonceBytes: 12, textOffset: 0 },
];

/** What @noble/ciphers seals. */
function reference({ textOffset }: Case, key: Uint8Array, data: Uint8Array, nonce: Uint8Array, text: Uint8Array) {
  return textOffset === 0 ? gcmsiv(key, nonce, data).encrypt(text) : aessiv(key, data, nonce).encrypt(text);
}

let core: AeadCore;
let memory: Uint8Array;
/** Far behind what `AeadCore` itself uses for small messages. */
let room: number;
beforeEach(async () => {
  core = new AeadCore(await loadCore());
  memory = new Uint8Array(core.exports.memory.buffer);
  room = core.exports.testScratch() + 10_000;
});

describe('what an algorithm needs', () => {
  test.each(cases)('$name', ({ algorithm, keyBytes, nonceBytes, textOffset }) => {
    expect(core.exports.testAeadKeyBytes(algorithm)).toBe(keyBytes);
    expect(core.exports.testAeadNonceBytes(algorithm)).toBe(nonceBytes);
    expect(core.exports.testAeadTextOffset(algorithm)).toBe(textOffset);
  });

  test('no other number is known', () => {
    const known = cases.map(({ algorithm }) => algorithm);
    for (let algorithm = 0; algorithm <= 0xffff; algorithm++) {
      if (!known.includes(algorithm) && core.exports.testAeadKeyBytes(algorithm) !== 0) expect.fail(`${algorithm}`);
    }
  });
});

describe.each(cases)('$name', (one) => {
  const { name, algorithm, keyBytes, nonceBytes, textOffset } = one;

  test('seals and opens at any address and touches nothing else', () => {
    const random = seededRandom(`${name} at any address`);
    const contextAt = core.exports.testAeadContext();
    for (let i = 0; i < 200; i++) {
      const [key, nonce] = [random.bytes(keyBytes), random.bytes(nonceBytes)];
      const [data, text] = [random.bytes(random.below(70)), random.bytes(random.below(70))];
      const expected = reference(one, key, data, nonce, text);
      memory.fill(canary, room - 64, room + 1024);
      const at = {
        key: room + random.below(4),
        data: room + 128 + random.below(4),
        nonce: room + 256 + random.below(4),
      };
      const sealed = room + 384 + random.below(4);
      memory.set(key, at.key);
      memory.set(data, at.data);
      memory.set(nonce, at.nonce);
      memory.set(text, sealed + textOffset);
      const before = memory.slice();

      core.exports.testAeadSetKey(algorithm, at.key);
      core.exports.testAeadSeal(at.data, data.length, at.nonce, nonce.length, sealed, text.length);
      expect(toHex(memory.slice(sealed, sealed + expected.length))).toBe(toHex(expected));
      const opened = core.exports.testAeadOpen(at.data, data.length, at.nonce, nonce.length, sealed, expected.length);
      expect(opened).toBe(1);
      expect(toHex(memory.slice(sealed + textOffset, sealed + textOffset + text.length))).toBe(toHex(text));

      // A forgery too; then all but message, context and the core's own few blocks is as it was.
      memory.set(expected, sealed);
      memory[sealed + random.below(expected.length)]! ^= 1 << random.below(8);
      expect(core.exports.testAeadOpen(at.data, data.length, at.nonce, nonce.length, sealed, expected.length)).toBe(0);
      core.exports.testAeadWipe();
      memory.set(before.subarray(sealed, sealed + expected.length), sealed);
      const changed = [...memory.keys()].filter((place) => memory[place] !== before[place]);
      expect(changed.filter((place) => place >= core.exports.testScratch())).toEqual([]);
      const own = changed.filter((place) => place < contextAt || place >= contextAt + 520);
      expect(own).toEqual([]);
    }
  });

  test('an empty text is a tag alone', () => {
    const random = seededRandom(`${name}, empty text`);
    const [key, nonce, data] = [random.bytes(keyBytes), random.bytes(nonceBytes), random.bytes(20)];
    const empty = new Uint8Array(0);
    const sealed = core.aeadSeal(algorithm, key, data, nonce, empty);
    expect(toHex(sealed)).toBe(toHex(reference(one, key, data, nonce, empty)));
    expect(sealed).toHaveLength(tagBytes);
    expect(core.aeadOpen(algorithm, key, data, nonce, sealed).plaintext).toHaveLength(0);
    expect(core.aeadOpen(algorithm, key, empty, nonce, sealed).plaintext).toBeUndefined();
  });

  test('no byte of a key, or of what follows from it, outlives a wipe', () => {
    const random = seededRandom(`${name}, wiping`);
    const [key, nonce, data] = [random.bytes(keyBytes), random.bytes(nonceBytes), random.bytes(90)];
    const own = () => memory.slice(0, core.exports.testScratch());
    const sealAndWipe = (k: Uint8Array) => core.aeadSeal(algorithm, k, data, nonce, random.bytes(50));
    sealAndWipe(random.bytes(keyBytes));
    const before = own();
    const sealed = sealAndWipe(key);
    core.aeadOpen(algorithm, key, data, nonce, sealed);
    expect(toHex(own())).toBe(toHex(before));
    const context = core.exports.testAeadContext();
    expect(memory.subarray(context, context + 520).some((byte) => byte !== 0)).toBe(false);
  });

  test('what is shorter than a tag is refused without touching it', () => {
    const random = seededRandom(`${name}, short`);
    core.exports.testAeadSetKey(algorithm, room);
    for (let length = 0; length < tagBytes; length++) {
      const short = random.bytes(length);
      memory.set(short, room + 100);
      memory.fill(canary, room + 100 + length, room + 200);
      expect(core.exports.testAeadOpen(room, 40, room, nonceBytes, room + 100, length)).toBe(0);
      expect(toHex(memory.slice(room + 100, room + 100 + length))).toBe(toHex(short));
      expect(memory.subarray(room + 100 + length, room + 200).every((byte) => byte === canary)).toBe(true);
    }
  });

  test('a nonce of a wrong length opens nothing and traps where something would be sealed', () => {
    const wrong = textOffset === 0 ? [0, 1, 11, 13, 16] : [0];
    for (const length of wrong) {
      core.exports.testAeadSetKey(algorithm, room);
      memory.fill(canary, room + 100, room + 200);
      expect(core.exports.testAeadOpen(room, 40, room, length, room + 100, 50)).toBe(0);
      expect(() => core.exports.testAeadSeal(room, 40, room, length, room + 100, 30)).toThrow(WebAssembly.RuntimeError);
      expect(memory.subarray(room + 100, room + 200).every((byte) => byte === canary)).toBe(true);
    }
  });

  test('without a key nothing is opened, and sealing traps', () => {
    const opens = () => core.exports.testAeadOpen(room, 40, room, nonceBytes, room + 100, 50);
    const seals = () => core.exports.testAeadSeal(room, 40, room, nonceBytes, room + 100, 30);
    const refuses = () => {
      expect(opens()).toBe(0);
      expect(seals).toThrow(WebAssembly.RuntimeError);
    };
    refuses();
    core.exports.testAeadSetKey(algorithm, room);
    seals();
    core.exports.testAeadWipe();
    refuses();
    core.exports.testAeadSetKey(algorithm, room);
    core.exports.testAeadSetKey(18, room);
    refuses();
  });
});

test('SIV takes nonces of any length from one byte', () => {
  const random = seededRandom('AES-SIV nonces');
  for (const one of cases.filter(({ textOffset }) => textOffset !== 0)) {
    for (let length = 1; length <= 40; length++) {
      const [key, nonce] = [random.bytes(one.keyBytes), random.bytes(length)];
      const [data, text] = [random.bytes(60), random.bytes(20)];
      const sealed = core.aeadSeal(one.algorithm, key, data, nonce, text);
      expect(toHex(sealed)).toBe(toHex(reference(one, key, data, nonce, text)));
      expect(toHex(core.aeadOpen(one.algorithm, key, data, nonce, sealed).plaintext!)).toBe(toHex(text));
    }
  }
});

test('algorithms and keys follow each other in any order', () => {
  const random = seededRandom('AEADs in turn');
  for (let i = 0; i < 300; i++) {
    const one = cases[random.below(cases.length)]!;
    const [key, nonce] = [random.bytes(one.keyBytes), random.bytes(one.nonceBytes)];
    const [data, text] = [random.bytes(random.below(100)), random.bytes(random.below(100))];
    const sealed = core.aeadSeal(one.algorithm, key, data, nonce, text);
    expect(toHex(sealed)).toBe(toHex(reference(one, key, data, nonce, text)));
    const other = cases[random.below(cases.length)]!;
    const opened = core.aeadOpen(other.algorithm, random.bytes(other.keyBytes), data, nonce, sealed);
    expect(opened.plaintext).toBeUndefined();
  }
});

test('strings of associated data and no nonce: storage is sealed in the same context by the functions of SIV', () => {
  const random = seededRandom('SIV in the context of all');
  const context = core.exports.testAeadContext();
  expect(core.exports.testSivContextBytes()).toBe(520);
  const [key, text, string] = [random.bytes(32), random.bytes(40), random.bytes(4)];
  memory.set(key, room);
  memory.set(string, room + 64);
  memory.set(text, room + 128);
  core.exports.testSivSetKey(context, room, key.length);
  core.exports.testSivStart(context);
  core.exports.testSivAd(context, room + 64, string.length);
  core.exports.testSivSeal(context, room + 128, text.length, room + 112);
  expect(toHex(memory.slice(room + 112, room + 168))).toBe(toHex(aessiv(key, string).encrypt(text)));
  core.exports.testAeadWipe();
  expect(memory.subarray(context, context + 520).some((byte) => byte !== 0)).toBe(false);
});
