// The core's random generator: CTR_DRBG with AES-128 (NIST SP 800-90A r1, 10.2.1).
import { rngAesCtrDrbg128 } from '@noble/ciphers/aes.js';
import { beforeEach, describe, expect, test } from 'vitest';
import { AeadCore } from '../../host/selftest/aead-core.ts';
import { toHex } from '../../host/selftest/hex.ts';
import { outputs } from '../../host/selftest/vectors/sp800-90a.ts';
import { loadCore } from './load-core.ts';
import { CtrDrbg } from './openssl-reference.ts';
import { seededRandom } from './random.ts';

// as/aead/drbg.ts
const seedNeeded = 1;
const requestTooLong = 2;
const reseedInterval = 0x8000_0000;
const longestRequest = 0x1_0000;
const counterAt = 32;

let core: AeadCore;
beforeEach(async () => {
  core = new AeadCore(await loadCore());
});

function counter(): DataView {
  const state = core.drbgState();
  return new DataView(state.buffer, state.byteOffset + counterAt, 4);
}

describe('SP 800-90A', () => {
  test.each(outputs)('$name', ({ entropy, personalization, output }) => {
    core.drbgInstantiate(entropy, personalization);
    core.drbgGenerate(output.length);
    expect(toHex(core.drbgGenerate(output.length))).toBe(toHex(output));
  });

  test('any sequence of requests and seeds agrees with the standard written on node’s ciphers', () => {
    const random = seededRandom('CTR_DRBG');
    for (let i = 0; i < 30; i++) {
      const entropy = random.bytes(32);
      const personalization = random.bytes(random.below(33));
      const reference = new CtrDrbg(entropy, personalization);
      core.drbgInstantiate(entropy, personalization);
      for (let request = 0; request < 20; request++) {
        if (random.below(5) === 0) {
          const fresh = random.bytes(32);
          reference.update(fresh);
          core.drbgReseed(fresh);
        }
        const length = random.below(100);
        expect(toHex(core.drbgGenerate(length))).toBe(toHex(reference.generate(length)));
        expect(toHex(core.drbgState().subarray(0, 16))).toBe(toHex(reference.key));
        expect(toHex(core.drbgState().subarray(16, 32))).toBe(toHex(reference.value));
      }
    }
  });

  test('@noble/ciphers outputs the same', () => {
    const random = seededRandom('CTR_DRBG of noble');
    const entropy = random.bytes(32);
    const noble = rngAesCtrDrbg128(entropy);
    core.drbgInstantiate(entropy);
    for (const length of [1, 16, 31, 64, 200]) {
      expect(toHex(core.drbgGenerate(length))).toBe(toHex(noble.randomBytes(length)));
    }
  });

  test('V is a number of 128 bits: a carry runs through all of it', () => {
    const random = seededRandom('CTR_DRBG carry');
    for (const ones of [4, 8, 12, 16]) {
      const reference = new CtrDrbg(random.bytes(32));
      reference.value.fill(0xff, 16 - ones);
      core.drbgInstantiate(new Uint8Array(32));
      core.drbgState().set(reference.key, 0);
      core.drbgState().set(reference.value, 16);
      expect(toHex(core.drbgGenerate(48))).toBe(toHex(reference.generate(48)));
    }
  });
});

describe('refusals', () => {
  const refused = (code: number) =>
    expect.objectContaining({ code: 'core-refused', message: expect.stringMatching(`: ${code}$`) });

  test('nothing is output before a seed', () => {
    expect(() => core.drbgGenerate(16)).toThrow(refused(seedNeeded));
  });

  test('nothing is output after the reseed interval, until there is a seed', () => {
    core.drbgInstantiate(new Uint8Array(32).fill(7));
    counter().setUint32(0, reseedInterval, true);
    expect(core.drbgGenerate(16)).toHaveLength(16);
    const state = toHex(core.drbgState());
    expect(() => core.drbgGenerate(16)).toThrow(refused(seedNeeded));
    expect(toHex(core.drbgState())).toBe(state);
    core.drbgReseed(new Uint8Array(32).fill(8));
    expect(core.drbgGenerate(16)).toHaveLength(16);
    expect(counter().getUint32(0, true)).toBe(2);
  });

  test('a request longer than the standard allows is refused and writes nothing', () => {
    core.drbgInstantiate(new Uint8Array(32));
    const at = core.exports.testScratch();
    const before = toHex(new Uint8Array(core.exports.memory.buffer, at).slice());
    expect(core.exports.testDrbgGenerate(at, longestRequest + 1)).toBe(requestTooLong);
    expect(toHex(new Uint8Array(core.exports.memory.buffer, at).slice())).toBe(before);
  });
});

describe('backtracking resistance', () => {
  test('each output replaces Key and V, and leaves no schedule of the old key behind', () => {
    core.drbgInstantiate(new Uint8Array(32).fill(3));
    const before = core.drbgState().slice();
    const oldSchedule = core.aesSchedule(before.subarray(0, 16));
    core.drbgGenerate(32);
    const after = core.drbgState().slice();
    expect(toHex(after.subarray(0, 16))).not.toBe(toHex(before.subarray(0, 16)));
    expect(toHex(after.subarray(16, 32))).not.toBe(toHex(before.subarray(16, 32)));
    const own = Buffer.from(core.exports.memory.buffer, 0, core.exports.testScratch());
    for (let at = 0; at < oldSchedule.length; at += 16) {
      expect(own.indexOf(oldSchedule.subarray(at, at + 16))).toBe(-1);
    }
  });

  test('an empty request changes the state too', () => {
    core.drbgInstantiate(new Uint8Array(32).fill(4));
    const before = toHex(core.drbgState().subarray(0, 32));
    core.drbgGenerate(0);
    expect(toHex(core.drbgState().subarray(0, 32))).not.toBe(before);
  });
});
