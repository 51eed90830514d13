// Ed25519 of the core: the examples of RFC 8032, OpenSSL beside it, slices, nothing secret left behind.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { beforeEach, describe, expect, test } from 'vitest';
import { hex, toHex } from '../../host/selftest/hex.ts';
import { SignCore } from '../../host/selftest/sign-core.ts';
import { longMessageKey, signatures } from '../../host/selftest/vectors/rfc8032.ts';
import { buildCore } from '../../scripts/build-core.mjs';
import { ed25519 } from './ed25519-reference.ts';
import { loadCore } from './load-core.ts';
import { seededRandom } from './random.ts';

let core: SignCore;
let scratch: number;
beforeEach(async () => {
  core = new SignCore(await loadCore());
  scratch = core.exports.testScratch();
});

const sha512 = (...pieces: Uint8Array[]) => createHash('sha512').update(Buffer.concat(pieces)).digest();

function takeSlices(count: number): void {
  for (let i = 0; i < count; i++) expect(core.exports.testSignStep()).toBe(0);
}

function takeAll(): number {
  for (let slices = 1; ; slices++) if (core.exports.testSignStep() !== 0) return slices;
}

const signature = () => toHex(core.memory.slice(core.exports.testSignSignature()).subarray(0, 64));

describe('RFC 8032', () => {
  test.each(signatures)('$name', ({ seed, publicKey, message, signature }) => {
    expect(toHex(core.publicKey(seed))).toBe(toHex(publicKey));
    expect(toHex(core.sign(message))).toBe(toHex(signature));
  });

  test(longMessageKey.name, () => {
    expect(toHex(core.publicKey(longMessageKey.seed))).toBe(toHex(longMessageKey.publicKey));
  });
});

describe('beside OpenSSL', () => {
  test('200 random seeds and messages', () => {
    const random = seededRandom('Ed25519');
    for (let i = 0; i < 200; i++) {
      const seed = random.bytes(32);
      const message = random.bytes(random.below(257));
      const reference = ed25519(seed);
      expect(toHex(core.publicKey(seed))).toBe(toHex(reference.publicKey));
      const signed = core.sign(message);
      expect(toHex(signed), `seed ${toHex(seed)}, message ${toHex(message)}`).toBe(toHex(reference.sign(message)));
      expect(reference.verify(message, signed)).toBe(true);
    }
  });

  test('every length of message from 0 to 256, at any address, with one key', () => {
    const random = seededRandom('Ed25519 lengths');
    const seed = random.bytes(32);
    const reference = ed25519(seed);
    core.publicKey(seed);
    for (let length = 0; length <= 256; length++) {
      const message = random.bytes(length);
      const at = scratch + 8 + (length % 8);
      core.memory.set(message, at);
      core.exports.testSignBegin(at, length);
      takeAll();
      expect(signature(), `${length} bytes`).toBe(toHex(reference.sign(message)));
    }
  });

  test.each(['00', 'ff', '01', '80'])('seeds and messages of bytes %s', (byte) => {
    const seed = hex(byte.repeat(32));
    const reference = ed25519(seed);
    expect(toHex(core.publicKey(seed))).toBe(toHex(reference.publicKey));
    for (const length of [1, 64, 256]) {
      const message = hex(byte.repeat(length));
      expect(toHex(core.sign(message))).toBe(toHex(reference.sign(message)));
    }
  });
});

describe('slices', () => {
  const { seed, publicKey } = signatures[0]!;
  const message = new Uint8Array(100).fill(3);

  test('are as many for any seed and message', () => {
    const random = seededRandom('Ed25519 slices');
    const counts = Array.from({ length: 5 }, (_, i) => {
      core.memory.set(random.bytes(32 + 256), scratch);
      core.exports.testSignKeyBegin(scratch);
      const ofKey = takeAll();
      core.exports.testSignBegin(scratch + 32, 64 * i);
      return [ofKey, takeAll()];
    });
    expect(counts).toEqual(counts.map(() => counts[0]));
  });

  test('something is under way from the beginning to the last of them', () => {
    const { testSignBusy, testSignStep } = core.exports;
    expect(testSignBusy()).toBe(0);
    expect(testSignStep()).toBe(1);
    core.memory.set(seed, scratch);
    core.exports.testSignKeyBegin(scratch);
    for (let done = 0; done === 0; ) {
      expect(testSignBusy()).toBe(1);
      done = testSignStep();
    }
    expect(testSignBusy()).toBe(0);
    expect(testSignStep()).toBe(1);
    const at = core.exports.testSignPublicKey();
    expect(toHex(core.memory.slice(at, at + 32))).toBe(toHex(publicKey));
  });

  test('the seed is copied: it may go when a key has begun', () => {
    core.memory.set(seed, scratch);
    core.exports.testSignKeyBegin(scratch);
    core.memory.fill(0, scratch, scratch + 32);
    takeAll();
    expect(toHex(core.sign(message))).toBe(toHex(ed25519(seed).sign(message)));
  });

  test('another hash between two slices changes nothing', () => {
    core.publicKey(seed);
    core.memory.set(message, scratch + 200);
    core.exports.testSignBegin(scratch + 200, message.length);
    do {
      core.sha512(new Uint8Array(130).fill(9));
    } while (core.exports.testSignStep() === 0);
    expect(signature()).toBe(toHex(ed25519(seed).sign(message)));
  });

  test.each([1, 2, 3, 100, 280, 325, 328])(
    'what was under way for %i slices is dropped for what is begun',
    (slices) => {
      core.publicKey(seed);
      core.memory.fill(7, scratch, scratch + 50);
      core.exports.testSignBegin(scratch, 50);
      takeSlices(slices);
      expect(toHex(core.sign(message))).toBe(toHex(ed25519(seed).sign(message)));
      core.exports.testSignBegin(scratch, 50);
      takeSlices(slices);
      const other = new Uint8Array(32).fill(slices);
      expect(toHex(core.publicKey(other))).toBe(toHex(ed25519(other).publicKey));
      expect(toHex(core.sign(message))).toBe(toHex(ed25519(other).sign(message)));
    },
  );
});

describe('what must not be done', () => {
  const { seed } = signatures[0]!;

  test('to sign without a public key, or while it is made', () => {
    expect(() => core.exports.testSignBegin(scratch, 1)).toThrow(WebAssembly.RuntimeError);
    core.publicKey(seed);
    core.exports.testSignBegin(scratch, 1);
    core.exports.testSignKeyBegin(scratch);
    takeSlices(10);
    expect(() => core.exports.testSignBegin(scratch, 1)).toThrow(WebAssembly.RuntimeError);
  });

  test('to sign more than 256 bytes', () => {
    core.publicKey(seed);
    expect(() => core.exports.testSignBegin(scratch, 257)).toThrow(WebAssembly.RuntimeError);
    core.exports.testSignBegin(scratch, 256);
  });

  test('to change a message while it is signed: there is no second half of a signature', () => {
    const slices = 330;
    for (let changedAfter = 2; changedAfter < slices - 3; changedAfter += changedAfter < 10 ? 1 : 23) {
      core.publicKey(seed);
      core.memory.fill(7, scratch, scratch + 100);
      core.exports.testSignBegin(scratch, 100);
      takeSlices(changedAfter);
      core.memory[scratch + 99]! ^= 1;
      expect(takeAll, `after ${changedAfter} slices`).toThrow(WebAssembly.RuntimeError);
      expect(signature().slice(64)).toBe('00'.repeat(32));
    }
  });
});

describe('secrets', () => {
  const seed = new Uint8Array(32).map((_, i) => i * 11 + 5);
  const message = new Uint8Array(80).fill(0x61);
  const hash = sha512(seed);
  const clamped = Buffer.from(hash.subarray(0, 32));
  clamped[0]! &= 0xf8;
  clamped[31] = (clamped[31]! & 0x7f) | 0x40;
  const nonce = sha512(hash.subarray(32), message);
  const found = (secret: Uint8Array) => Buffer.from(core.memory.subarray(0, scratch)).indexOf(secret) >= 0;
  /** Any eight bytes of it. */
  const foundPart = (secret: Uint8Array) => {
    return Array.from({ length: secret.length - 7 }, (_, i) => secret.subarray(i, i + 8)).some(found);
  };

  test('are gone when a key or a signature is done: of all memory, only the seed, the key and the signature differ', () => {
    const before = core.memory.slice(0, scratch);
    const key = core.publicKey(seed);
    const known = [seed, key];
    const check = (...signed: Uint8Array[]) => {
      const now = Buffer.from(core.memory.slice(0, scratch));
      for (const bytes of [...known, ...signed]) {
        const at = now.indexOf(bytes);
        expect(at).toBeGreaterThan(0);
        now.set(before.subarray(at, at + bytes.length), at);
      }
      expect(Buffer.compare(now, before)).toBe(0);
    };
    check();
    check(core.sign(message));
  });

  test('were there while it was made: what finds them can find them', () => {
    core.publicKey(seed);
    core.memory.set(message, scratch);
    core.exports.testSignBegin(scratch, message.length);
    takeSlices(1);
    expect([found(clamped), found(hash.subarray(32))]).toEqual([true, true]);
    takeSlices(1);
    expect(found(nonce)).toBe(true);
    takeAll();
    for (const secret of [hash, clamped, nonce]) expect(foundPart(secret)).toBe(false);
  });

  test('are gone at once when something else is begun', () => {
    core.publicKey(seed);
    core.memory.set(message, scratch);
    for (const slices of [1, 2, 3, 150, 300, 328]) {
      core.exports.testSignBegin(scratch, message.length);
      takeSlices(slices);
      core.exports.testSignKeyBegin(scratch + 500);
      for (const secret of [seed, hash, clamped, nonce]) expect(foundPart(secret), `${slices} slices`).toBe(false);
      core.publicKey(seed);
      core.memory.set(message, scratch);
    }
  });
});

describe('a core without records', () => {
  test('has none of it', async () => {
    const module = new WebAssembly.Module(readFileSync((await buildCore({ servers: 1 })).path));
    const { exports } = new WebAssembly.Instance(module, {});
    const small = new SignCore(exports as unknown as ConstructorParameters<typeof SignCore>[0]);
    const before = small.memory.slice();
    small.exports.testSha512Start();
    small.exports.testSha512Update(scratch, 200);
    small.exports.testSha512Finish(scratch);
    small.exports.testSignKeyBegin(scratch);
    expect(small.exports.testSignStep()).toBe(1);
    small.exports.testSignBegin(scratch, 10);
    expect(small.exports.testSignStep()).toBe(1);
    expect(Buffer.compare(small.memory, before)).toBe(0);
  }, 120_000);
});
