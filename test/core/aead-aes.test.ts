// AES of the core, with its table and bitsliced, with keys of 128, 192 and 256 bits: FIPS 197, and any key and block as
// OpenSSL has it.
import { describe, expect, test } from 'vitest';
import { type AesWay, aesWays } from '../../host/core/core.ts';
import { AeadCore } from '../../host/selftest/aead-core.ts';
import { toHex } from '../../host/selftest/hex.ts';
import { encryptions, keyExpansions } from '../../host/selftest/vectors/fips197.ts';
import { loadCore } from './load-core.ts';
import { aesBlocks } from './openssl-reference.ts';
import { seededRandom } from './random.ts';

const keySizes = [16, 24, 32];

/** An expanded key as FIPS 197 5.2 has it; bitsliced, the round keys in its midst are transposed (aes-bitsliced.ts). */
function columnsOf(schedule: Uint8Array, aes: AesWay): Uint8Array {
  if (aes === 'table') return schedule;
  const columns = schedule.slice();
  for (let at = 16; at < schedule.length - 16; at += 16) {
    for (let place = 0; place < 16; place++) {
      const [word, byte] = [place >> 2, place & 3];
      columns[at + place] = [0, 1, 2, 3].reduce(
        (sum, pair) => sum | (((schedule[at + 4 * pair + byte]! >> (2 * word)) & 3) << (2 * pair)),
        0,
      );
    }
  }
  return columns;
}

describe.each(aesWays)('%s', async (aes) => {
  const core = new AeadCore(await loadCore({ aes }));

  describe('standards', () => {
    test.each(keyExpansions)('key expansion, $name', ({ key, firstWords, lastWords }) => {
      const schedule = columnsOf(core.aesSchedule(key), aes);
      expect(schedule).toHaveLength((key.length / 4 + 7) * 16);
      expect(toHex(schedule.subarray(0, firstWords.length))).toBe(toHex(firstWords));
      expect(toHex(schedule.subarray(-16))).toBe(toHex(lastWords));
    });

    test.each(encryptions)('$name', ({ key, plaintext, ciphertext }) => {
      expect(toHex(core.aes(key, plaintext))).toBe(toHex(ciphertext));
    });
  });

  test.each(keySizes)('the S-box holds for every byte in every place of a block: key of %i bytes', (keyBytes) => {
    const key = new Uint8Array(keyBytes);
    for (let byte = 0; byte < 256; byte++) {
      for (let place = 0; place < 16; place++) {
        const block = new Uint8Array(16);
        block[place] = byte;
        expect(toHex(core.aes(key, block))).toBe(toHex(aesBlocks(key, block)));
      }
    }
  });

  test.each(keySizes)('every byte in every place of a key of %i bytes agrees with OpenSSL', (keyBytes) => {
    const block = new Uint8Array(16);
    for (let byte = 0; byte < 256; byte += 5) {
      for (let place = 0; place < keyBytes; place++) {
        const key = new Uint8Array(keyBytes);
        key[place] = byte;
        expect(toHex(core.aes(key, block))).toBe(toHex(aesBlocks(key, block)));
      }
    }
  });

  test.each(keySizes)('random keys of %i bytes and blocks agree with OpenSSL', (keyBytes) => {
    const random = seededRandom(`AES ${aes}, key of ${keyBytes} bytes`);
    for (let i = 0; i < 500; i++) {
      const key = random.bytes(keyBytes);
      const block = random.bytes(16);
      expect(toHex(core.aes(key, block))).toBe(toHex(aesBlocks(key, block)));
    }
  });

  test.each(keySizes)('a thousand ciphertexts fed back as key of %i bytes and block agree with OpenSSL', (keyBytes) => {
    const feed = (encrypt: (key: Uint8Array, block: Uint8Array) => Uint8Array) => {
      let key = new Uint8Array(keyBytes);
      let block = new Uint8Array(16);
      for (let i = 0; i < 1000; i++) {
        const next = new Uint8Array(encrypt(key, block));
        key = new Uint8Array([...block, ...key]).subarray(0, keyBytes);
        block = next;
      }
      return toHex(block);
    };
    expect(feed((key, block) => core.aes(key, block))).toBe(feed(aesBlocks));
  });

  test('a key is expanded within the room that it needs', () => {
    const memory = new Uint8Array(core.exports.memory.buffer);
    const at = core.exports.testScratch() + 10_001;
    for (const keyBytes of keySizes) {
      const bytes = 4 + (keyBytes / 4 + 7) * 16;
      memory.fill(0xa5, at, at + 600);
      core.exports.testAesExpandKey(at + 100, at + 400, keyBytes);
      expect(memory.subarray(at, at + 100).every((byte) => byte === 0xa5)).toBe(true);
      expect(memory.subarray(at + 100 + bytes, at + 600).every((byte) => byte === 0xa5)).toBe(true);
    }
  });
});
