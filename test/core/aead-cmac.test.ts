// AES-CMAC of the core: RFC 4493 and SP 800-38B, any length in any pieces, independent implementations.
import { cmac as nobleCmac } from '@noble/ciphers/aes.js';
import { describe, expect, test } from 'vitest';
import { AeadCore } from '../../host/selftest/aead-core.ts';
import { toHex } from '../../host/selftest/hex.ts';
import { macs } from '../../host/selftest/vectors/rfc4493.ts';
import { loadCore } from './load-core.ts';
import { cmac as openSslCmac } from './openssl-reference.ts';
import { seededRandom } from './random.ts';

const core = new AeadCore(await loadCore());

const key = macs[0]!.key;
const keySizes = [16, 24, 32];

describe('standards', () => {
  test.each(macs)('$name', ({ key, message, tag }) => {
    expect(toHex(core.cmac(key, message))).toBe(toHex(tag));
  });
});

test.each(keySizes)(
  'key of %i bytes: every length from 0 to 100 agrees with OpenSSL and @noble/ciphers',
  (keyBytes) => {
    const random = seededRandom(`AES-CMAC lengths, key of ${keyBytes} bytes`);
    for (let length = 0; length <= 100; length++) {
      const anyKey = random.bytes(keyBytes);
      const message = random.bytes(length);
      const tag = toHex(core.cmac(anyKey, message));
      expect(tag).toBe(toHex(openSslCmac(anyKey, message)));
      expect(tag).toBe(toHex(nobleCmac(message, anyKey)));
    }
  },
);

test('a message in two pieces has the tag of the whole, wherever it is cut', () => {
  const random = seededRandom('AES-CMAC cuts');
  for (let length = 0; length <= 50; length++) {
    const message = random.bytes(length);
    const whole = toHex(core.cmac(key, message));
    for (let cut = 0; cut <= length; cut++) {
      expect(toHex(core.cmac(key, message.subarray(0, cut), message.subarray(cut)))).toBe(whole);
    }
  }
});

test('a message in many random pieces, empty ones too, has the tag of the whole', () => {
  const random = seededRandom('AES-CMAC pieces');
  for (let i = 0; i < 300; i++) {
    const pieces = Array.from({ length: random.below(8) }, () => random.bytes(random.below(40)));
    expect(toHex(core.cmac(key, ...pieces))).toBe(toHex(openSslCmac(key, Buffer.concat(pieces))));
  }
});
