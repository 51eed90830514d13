// AES-SIV of the core, AEAD_AES_SIV_CMAC_256, 384 and 512: RFC 5297, independent implementations, forgeries, keys kept between messages.
import { aessiv } from '@noble/ciphers/aes.js';
import { describe, expect, test } from 'vitest';
import { AeadCore } from '../../host/selftest/aead-core.ts';
import { toHex } from '../../host/selftest/hex.ts';
import { messages } from '../../host/selftest/vectors/rfc5297.ts';
import { loadCore } from './load-core.ts';
import { sivSeal as openSslSeal } from './openssl-reference.ts';
import { seededRandom } from './random.ts';

const core = new AeadCore(await loadCore());

/** A copy with one bit changed. */
function withBitChanged(bytes: Uint8Array, bit: number): Uint8Array {
  const changed = bytes.slice();
  changed[bit >> 3]! ^= 1 << (bit & 7);
  return changed;
}

const keySizes = [32, 48, 64];
const algorithmOf = (keyBytes: number) => 13 + keyBytes / 16;

const zeros = (length: number) => toHex(new Uint8Array(length));

describe('RFC 5297', () => {
  test.each(messages)('$name: seal', ({ key, strings, plaintext, sealed }) => {
    expect(toHex(core.seal(key, strings, plaintext))).toBe(toHex(sealed));
  });

  test.each(messages)('$name: open', ({ key, strings, plaintext, sealed }) => {
    expect(toHex(core.open(key, strings, sealed).plaintext!)).toBe(toHex(plaintext));
  });
});

describe.each(keySizes)('other implementations, key of %i bytes', (keyBytes) => {
  test('random keys, lengths and numbers of strings agree with OpenSSL and with @noble/ciphers', () => {
    const random = seededRandom(`AES-SIV, key of ${keyBytes} bytes`);
    for (let i = 0; i < 300; i++) {
      const key = random.bytes(keyBytes);
      const strings = Array.from({ length: random.below(5) }, () => random.bytes(random.below(70)));
      const plaintext = random.bytes(random.below(120));
      const sealed = core.seal(key, strings, plaintext);
      expect(toHex(sealed)).toBe(toHex(openSslSeal(key, strings, plaintext)));
      expect(toHex(sealed)).toBe(toHex(aessiv(key, ...strings).encrypt(plaintext)));
      expect(toHex(core.open(key, strings, sealed).plaintext!)).toBe(toHex(plaintext));
    }
  });

  test('every plaintext length from 0 to 80 agrees with OpenSSL', () => {
    const random = seededRandom(`AES-SIV lengths, key of ${keyBytes} bytes`);
    for (let length = 0; length <= 80; length++) {
      const key = random.bytes(keyBytes);
      const strings = [random.bytes(length), random.bytes(16)];
      const plaintext = random.bytes(length);
      expect(toHex(core.seal(key, strings, plaintext))).toBe(toHex(openSslSeal(key, strings, plaintext)));
    }
  });

  test('with associated data and nonce as an NTP packet has them, of any length', () => {
    const random = seededRandom(`AES-SIV with a nonce, key of ${keyBytes} bytes`);
    for (let i = 0; i < 200; i++) {
      const key = random.bytes(keyBytes);
      const data = random.bytes(48 + random.below(400));
      const nonce = random.bytes(1 + random.below(40));
      const plaintext = random.bytes(random.below(300));
      const sealed = core.aeadSeal(algorithmOf(keyBytes), key, data, nonce, plaintext);
      expect(toHex(sealed)).toBe(toHex(aessiv(key, data, nonce).encrypt(plaintext)));
      expect(toHex(core.aeadOpen(algorithmOf(keyBytes), key, data, nonce, sealed).plaintext!)).toBe(toHex(plaintext));
    }
  });

  test('a message of 40,000 bytes agrees with OpenSSL', () => {
    const random = seededRandom(`AES-SIV long, key of ${keyBytes} bytes`);
    const key = random.bytes(keyBytes);
    const plaintext = random.bytes(40_000);
    expect(toHex(core.seal(key, [], plaintext))).toBe(toHex(openSslSeal(key, [], plaintext)));
  });
});

describe.each(keySizes)('forgeries, key of %i bytes', (keyBytes) => {
  const random = seededRandom(`AES-SIV forgeries, key of ${keyBytes} bytes`);
  const key = random.bytes(keyBytes);
  const data = random.bytes(61);
  const nonce = random.bytes(16);

  test.each([0, 1, 15, 16, 17, 40])('every changed bit of a message of %i bytes is refused and wiped', (length) => {
    const sealed = core.seal(key, [data, nonce], random.bytes(length));
    const strings = [data, nonce];
    for (let bit = 0; bit < sealed.length * 8; bit++) {
      const { plaintext, left } = core.open(key, strings, withBitChanged(sealed, bit));
      expect(plaintext, `bit ${bit} of tag and ciphertext`).toBeUndefined();
      expect(toHex(left)).toBe(zeros(length));
    }
    for (let bit = 0; bit < data.length * 8; bit++) {
      const { plaintext, left } = core.open(key, [withBitChanged(data, bit), nonce], sealed);
      expect(plaintext, `bit ${bit} of the associated data`).toBeUndefined();
      expect(toHex(left)).toBe(zeros(length));
    }
    for (let bit = 0; bit < nonce.length * 8; bit++) {
      expect(
        core.open(key, [data, withBitChanged(nonce, bit)], sealed).plaintext,
        `bit ${bit} of the nonce`,
      ).toBeUndefined();
    }
    for (let bit = 0; bit < key.length * 8; bit++) {
      // K2 acts on the plaintext alone: another one can give the same few bytes of key stream.
      if (length < 15 && bit >= keyBytes * 4) break;
      expect(core.open(withBitChanged(key, bit), strings, sealed).plaintext, `bit ${bit} of the key`).toBeUndefined();
    }
  });

  test('associated data is bound to its place and its borders', () => {
    const sealed = core.seal(key, [data, nonce], data);
    expect(core.open(key, [nonce, data], sealed).plaintext).toBeUndefined();
    expect(core.open(key, [Buffer.concat([data, nonce])], sealed).plaintext).toBeUndefined();
    expect(core.open(key, [data, nonce, new Uint8Array(0)], sealed).plaintext).toBeUndefined();
    expect(
      core.open(key, [data.subarray(0, 60), Buffer.concat([data.subarray(60), nonce])], sealed).plaintext,
    ).toBeUndefined();
    expect(core.open(key, [data], sealed).plaintext).toBeUndefined();
  });

  test('cut and lengthened messages are refused', () => {
    const sealed = core.aeadSeal(algorithmOf(keyBytes), key, data, nonce, random.bytes(33));
    for (let length = 0; length < sealed.length; length++) {
      expect(
        core.aeadOpen(algorithmOf(keyBytes), key, data, nonce, sealed.subarray(0, length)).plaintext,
      ).toBeUndefined();
    }
    expect(
      core.aeadOpen(algorithmOf(keyBytes), key, data, nonce, Buffer.concat([sealed, Buffer.alloc(1)])).plaintext,
    ).toBeUndefined();
  });
});

describe('keys', () => {
  test('two keys serve many messages in turn, as client and server have one each', () => {
    const random = seededRandom('AES-SIV keys');
    const raw = [random.bytes(32), random.bytes(64)] as const;
    const kept = raw.map((key) => core.sivKey(key));
    for (let i = 0; i < 100; i++) {
      const which = random.below(2);
      const strings = [random.bytes(random.below(90)), random.bytes(16)];
      const plaintext = random.bytes(random.below(60));
      const sealed = core.seal(kept[which]!, strings, plaintext);
      expect(toHex(sealed)).toBe(toHex(openSslSeal(raw[which]!, strings, plaintext)));
      expect(core.open(kept[1 - which]!, strings, sealed).plaintext).toBeUndefined();
      expect(toHex(core.open(kept[which]!, strings, sealed).plaintext!)).toBe(toHex(plaintext));
    }
  });

  test('a message that was begun and abandoned leaves no trace in the next', () => {
    const random = seededRandom('AES-SIV abandoned');
    const key = random.bytes(32);
    const kept = core.sivKey(key);
    core.exports.testSivStart(kept.context);
    core.exports.testSivAd(kept.context, core.exports.testScratch(), 50);
    const plaintext = random.bytes(20);
    expect(toHex(core.seal(kept, [], plaintext))).toBe(toHex(openSslSeal(key, [], plaintext)));
  });
});
