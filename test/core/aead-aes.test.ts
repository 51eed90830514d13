// AES-128 of the core: FIPS 197, and any key and block as OpenSSL has it.
import { createCipheriv } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { AeadCore } from '../../host/selftest/aead-core.ts';
import { toHex } from '../../host/selftest/hex.ts';
import { encryptions, keyExpansion } from '../../host/selftest/vectors/fips197.ts';
import { loadCore } from './load-core.ts';
import { aesBlocks } from './openssl-reference.ts';
import { seededRandom } from './random.ts';

const core = new AeadCore(await loadCore());

describe('FIPS 197', () => {
  test('appendix A.1: key expansion', () => {
    const schedule = core.aesSchedule(keyExpansion.key);
    expect(toHex(schedule.subarray(0, 32))).toBe(toHex(keyExpansion.firstWords));
    expect(toHex(schedule.subarray(160))).toBe(toHex(keyExpansion.lastWords));
  });

  test.each(encryptions)('$name', ({ key, plaintext, ciphertext }) => {
    expect(toHex(core.aes(key, plaintext))).toBe(toHex(ciphertext));
  });
});

test('the S-box holds for every byte in every place of a block', () => {
  const key = new Uint8Array(16);
  for (let byte = 0; byte < 256; byte++) {
    for (let place = 0; place < 16; place++) {
      const block = new Uint8Array(16);
      block[place] = byte;
      expect(toHex(core.aes(key, block))).toBe(toHex(aesBlocks(key, block)));
    }
  }
});

test('random keys and blocks agree with OpenSSL', () => {
  const random = seededRandom('AES-128');
  for (let i = 0; i < 500; i++) {
    const key = random.bytes(16);
    const block = random.bytes(16);
    expect(toHex(core.aes(key, block))).toBe(toHex(aesBlocks(key, block)));
  }
});

test('a thousand rounds of feeding the ciphertext back as key and block agree with OpenSSL', () => {
  let key: Uint8Array = new Uint8Array(16);
  let block: Uint8Array = new Uint8Array(16);
  let openSslKey = Buffer.alloc(16);
  let openSslBlock = Buffer.alloc(16);
  for (let i = 0; i < 1000; i++) {
    [key, block] = [block, core.aes(key, block)];
    const cipher = createCipheriv('aes-128-ecb', openSslKey, null).setAutoPadding(false);
    [openSslKey, openSslBlock] = [openSslBlock, Buffer.concat([cipher.update(openSslBlock), cipher.final()])];
  }
  expect(toHex(block)).toBe(toHex(openSslBlock));
});
