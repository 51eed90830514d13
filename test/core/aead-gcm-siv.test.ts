// AEAD_AES_128_GCM_SIV of the core: RFC 8452, independent implementations, a counter that wraps, forgeries.
import { createDecipheriv } from 'node:crypto';
import { gcmsiv } from '@noble/ciphers/aes.js';
import { describe, expect, test } from 'vitest';
import { AeadCore, algorithms } from '../../host/selftest/aead-core.ts';
import { toHex } from '../../host/selftest/hex.ts';
import { messages, polyval as polyvalExample } from '../../host/selftest/vectors/rfc8452.ts';
import { loadCore } from './load-core.ts';
import { aesBlocks, gcmSivSeal as openSslSeal, polyval } from './openssl-reference.ts';
import { seededRandom } from './random.ts';

const core = new AeadCore(await loadCore());
const algorithm = algorithms.gcmSiv128;
const nonceBytes = 12;
const tagBytes = 16;

const xor = (left: Uint8Array, right: Uint8Array) => left.map((byte, i) => byte ^ right[i]!);

/** A copy with one bit changed. */
function withBitChanged(bytes: Uint8Array, bit: number): Uint8Array {
  const changed = bytes.slice();
  changed[bit >> 3]! ^= 1 << (bit & 7);
  return changed;
}

describe('POLYVAL', () => {
  test('RFC 8452, appendix A', () => {
    const { key, blocks, sum } = polyvalExample;
    expect(toHex(core.polyval(key, blocks))).toBe(toHex(sum));
  });

  test('every pair of single bits has the product that the standard defines', () => {
    const bits = Array.from({ length: 128 }, (_, bit) => withBitChanged(new Uint8Array(16), bit));
    for (const key of bits) {
      for (const block of bits) {
        if (toHex(core.polyval(key, block)) !== toHex(polyval(key, block)))
          expect.fail(`${toHex(key)} ${toHex(block)}`);
      }
    }
  });

  test('factors of all ones, where most carries meet, have the right product', () => {
    const patterns = [0x00, 0x49, 0x92, 0x24, 0xdb, 0x55, 0xaa, 0x0f, 0xf0, 0xff].map((byte) =>
      new Uint8Array(16).fill(byte),
    );
    for (const key of patterns) {
      for (const block of patterns) {
        expect(toHex(core.polyval(key, block))).toBe(toHex(polyval(key, block)));
      }
    }
  });

  test('random keys and blocks agree with the definition, bit by bit', () => {
    const random = seededRandom('POLYVAL');
    for (let i = 0; i < 300; i++) {
      const key = random.bytes(16);
      const blocks = random.bytes(16 * (1 + random.below(5)));
      expect(toHex(core.polyval(key, blocks))).toBe(toHex(polyval(key, blocks)));
    }
  });
});

describe('RFC 8452', () => {
  test('has 24 examples for keys of 128 bits', () => {
    expect(messages).toHaveLength(24);
  });

  test.each(messages)('$name: seal', ({ key, data, nonce, plaintext, sealed }) => {
    expect(toHex(core.aeadSeal(algorithm, key, data, nonce, plaintext))).toBe(toHex(sealed));
  });

  test.each(messages)('$name: open', ({ key, data, nonce, plaintext, sealed }) => {
    expect(toHex(core.aeadOpen(algorithm, key, data, nonce, sealed).plaintext!)).toBe(toHex(plaintext));
  });
});

describe('other implementations', () => {
  test('random keys, nonces and lengths agree with the standard on OpenSSL’s AES and with @noble/ciphers', () => {
    const random = seededRandom('AES-GCM-SIV');
    for (let i = 0; i < 200; i++) {
      const key = random.bytes(16);
      const data = random.bytes(random.below(300));
      const nonce = random.bytes(nonceBytes);
      const plaintext = random.bytes(random.below(200));
      const sealed = core.aeadSeal(algorithm, key, data, nonce, plaintext);
      expect(toHex(sealed)).toBe(toHex(openSslSeal(key, data, nonce, plaintext)));
      expect(toHex(sealed)).toBe(toHex(gcmsiv(key, nonce, data).encrypt(plaintext)));
      expect(toHex(core.aeadOpen(algorithm, key, data, nonce, sealed).plaintext!)).toBe(toHex(plaintext));
    }
  });

  test('every length of data and text from 0 to 50 agrees with @noble/ciphers', () => {
    const random = seededRandom('AES-GCM-SIV lengths');
    const key = random.bytes(16);
    const nonce = random.bytes(nonceBytes);
    for (let dataLength = 0; dataLength <= 50; dataLength++) {
      for (let length = 0; length <= 50; length++) {
        const data = random.bytes(dataLength);
        const plaintext = random.bytes(length);
        const sealed = core.aeadSeal(algorithm, key, data, nonce, plaintext);
        expect(toHex(sealed)).toBe(toHex(gcmsiv(key, nonce, data).encrypt(plaintext)));
      }
    }
  });

  test('a message of 40,000 bytes agrees with @noble/ciphers', () => {
    const random = seededRandom('AES-GCM-SIV long');
    const [key, nonce, plaintext] = [random.bytes(16), random.bytes(nonceBytes), random.bytes(40_000)];
    const sealed = core.aeadSeal(algorithm, key, plaintext.subarray(0, 1), nonce, plaintext);
    expect(toHex(sealed)).toBe(toHex(gcmsiv(key, nonce, plaintext.subarray(0, 1)).encrypt(plaintext)));
  });
});

// RFC 8452 C.3 has this for keys of 256 bits only. A plaintext with any wanted tag comes from going backwards: from tag
// to sum, and from sum to the block of plaintext that makes it.
describe('the counter wraps within 32 bits and leaves the others alone', () => {
  /** x such that POLYVAL(x, y) = sum: sum · y^-1 by the power 2^128 - 2, where each product takes x^-128 with it. */
  function divide(sum: Uint8Array, y: Uint8Array): Uint8Array {
    let inverse: Uint8Array | undefined;
    let square: Uint8Array = y;
    for (let bit = 1; bit < 128; bit++) {
      square = polyval(square, square);
      inverse = inverse === undefined ? square : polyval(inverse, square);
    }
    return polyval(inverse!, sum);
  }

  /** A plaintext whose tag is `tag`: a block that follows from it, then `rest`, whole blocks. */
  function plaintextFor(key: Uint8Array, nonce: Uint8Array, tag: Uint8Array, rest: Uint8Array): Uint8Array | undefined {
    const half = (i: number) => aesBlocks(key, Buffer.concat([Buffer.from([i, 0, 0, 0]), nonce])).subarray(0, 8);
    const hashKey = Buffer.concat([half(0), half(1)]);
    const decipher = createDecipheriv('aes-128-ecb', Buffer.concat([half(2), half(3)]), null).setAutoPadding(false);
    const masked = Buffer.concat([decipher.update(tag), decipher.final()]);
    if ((masked[15]! & 0x80) !== 0) return undefined;
    let sum: Uint8Array = xor(masked, Buffer.concat([nonce, Buffer.alloc(4)]));
    const lengths = Buffer.alloc(16);
    lengths.writeUInt32LE((16 + rest.length) * 8, 8);
    for (const block of [lengths, ...blocksOf(rest).reverse()]) sum = xor(divide(sum, hashKey), block);
    return Buffer.concat([divide(sum, hashKey), rest]);
  }

  const blocksOf = (bytes: Uint8Array) =>
    Array.from({ length: bytes.length / 16 }, (_, i) => bytes.subarray(16 * i, 16 * i + 16));

  test.each(['ffffffff', 'feffffff', 'fdffffff', 'ffffff7f', 'ffff0000'])('counting from %s', (start) => {
    const random = seededRandom(`AES-GCM-SIV counter from ${start}`);
    const nonce = random.bytes(nonceBytes);
    const key = random.bytes(16);
    let plaintext: Uint8Array | undefined;
    let tag = new Uint8Array(0);
    while (plaintext === undefined) {
      tag = new Uint8Array([...Buffer.from(start, 'hex'), ...new Uint8Array(11).fill(0xff), random.below(256)]);
      plaintext = plaintextFor(key, nonce, tag, random.bytes(48));
    }
    const sealed = core.aeadSeal(algorithm, key, new Uint8Array(0), nonce, plaintext);
    expect(toHex(sealed.subarray(-tagBytes))).toBe(toHex(tag));
    expect(toHex(sealed)).toBe(toHex(openSslSeal(key, new Uint8Array(0), nonce, plaintext)));
    expect(toHex(sealed)).toBe(toHex(gcmsiv(key, nonce).encrypt(plaintext)));
    const opened = core.aeadOpen(algorithm, key, new Uint8Array(0), nonce, sealed).plaintext;
    expect(toHex(opened!)).toBe(toHex(plaintext));
  });
});

describe('forgeries', () => {
  const random = seededRandom('AES-GCM-SIV forgeries');
  const key = random.bytes(16);
  const data = random.bytes(61);
  const nonce = random.bytes(nonceBytes);

  test.each([0, 1, 15, 16, 17, 40])('every changed bit of a message of %i bytes is refused and wiped', (length) => {
    const sealed = core.aeadSeal(algorithm, key, data, nonce, random.bytes(length));
    const refused = (what: string, k: Uint8Array, d: Uint8Array, n: Uint8Array, s: Uint8Array) => {
      const { plaintext, left } = core.aeadOpen(algorithm, k, d, n, s);
      expect(plaintext, what).toBeUndefined();
      expect(
        left.some((byte) => byte !== 0),
        what,
      ).toBe(false);
      // Of a text of zeros it does not show whether it was wiped.
      if (s.subarray(0, length).some((byte) => byte !== 0)) expect(left, what).toHaveLength(length);
    };
    for (let bit = 0; bit < sealed.length * 8; bit++) {
      refused(`bit ${bit} of ciphertext and tag`, key, data, nonce, withBitChanged(sealed, bit));
    }
    for (let bit = 0; bit < data.length * 8; bit++) {
      refused(`bit ${bit} of the associated data`, key, withBitChanged(data, bit), nonce, sealed);
    }
    for (let bit = 0; bit < nonce.length * 8; bit++) {
      refused(`bit ${bit} of the nonce`, key, data, withBitChanged(nonce, bit), sealed);
    }
    for (let bit = 0; bit < key.length * 8; bit++) {
      refused(`bit ${bit} of the key`, withBitChanged(key, bit), data, nonce, sealed);
    }
  });

  test('data and text are bound to their borders', () => {
    const text = random.bytes(16);
    const sealed = core.aeadSeal(algorithm, key, data, nonce, text);
    const longer = Buffer.concat([data, new Uint8Array(1)]);
    expect(core.aeadOpen(algorithm, key, longer, nonce, sealed).plaintext).toBeUndefined();
    expect(core.aeadOpen(algorithm, key, data.subarray(0, 60), nonce, sealed).plaintext).toBeUndefined();
    // The same blocks for POLYVAL, were it not for the lengths.
    const empty = core.aeadSeal(algorithm, key, text, nonce, new Uint8Array(0));
    expect(toHex(empty)).not.toBe(toHex(core.aeadSeal(algorithm, key, new Uint8Array(0), nonce, text).subarray(16)));
  });

  test('cut and lengthened messages are refused', () => {
    const sealed = core.aeadSeal(algorithm, key, data, nonce, random.bytes(33));
    for (let length = 0; length < sealed.length; length++) {
      expect(core.aeadOpen(algorithm, key, data, nonce, sealed.subarray(0, length)).plaintext).toBeUndefined();
    }
    expect(
      core.aeadOpen(algorithm, key, data, nonce, Buffer.concat([sealed, Buffer.alloc(1)])).plaintext,
    ).toBeUndefined();
  });
});
