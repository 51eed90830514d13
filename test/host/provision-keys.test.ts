// Keys for those who verify: derived as the meter does it, and written and read without a trace of the root key.
import { randomBytes, sign, verify } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { keysFileText, meterKeys, publicKeyOf, publicKeyPem, readKeysFile } from '../../host/provision/meter-keys.ts';
import { ed25519, signingKey } from '../core/ed25519-reference.ts';
import { loadCore } from '../core/load-core.ts';
import { deriveKey } from '../core/openssl-reference.ts';

interface KeyExports {
  testScratch(): number;
  testMeterKey(purpose: number, root: number, id: number, idLength: number, target: number, length: number): void;
}

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'metertime-keys-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const ids = ['m', 'meter-1', 'a'.repeat(32)];

describe('the keys of a meter', () => {
  it('have the record key that the core has', async () => {
    const core = await loadCore<KeyExports>();
    const at = core.testScratch();
    for (const id of ids) {
      const rootKey = randomBytes(16);
      const memory = new Uint8Array(core.memory.buffer);
      memory.set(rootKey, at);
      memory.set(Buffer.from(id), at + 16);
      core.testMeterKey(2, at, at + 16, id.length, at + 64, 16);
      expect(Buffer.from(meterKeys(rootKey, id).recordKey)).toEqual(Buffer.from(memory.slice(at + 64, at + 80)));
    }
  });

  it('have the public key of the seed with the label "sign"', () => {
    for (const id of ids) {
      const rootKey = randomBytes(16);
      const seed = deriveKey(rootKey, Buffer.from('sign'), Buffer.from(id), 32);
      const { publicKey } = meterKeys(rootKey, id);
      const privateKey = signingKey(seed);
      expect(Buffer.from(publicKeyOf(publicKey)).equals(ed25519(seed).publicKey)).toBe(true);
      const message = randomBytes(124);
      expect(verify(null, message, publicKey, sign(null, message, privateKey))).toBe(true);
      message[0]! ^= 1;
      expect(verify(null, message, publicKey, sign(null, randomBytes(124), privateKey))).toBe(false);
    }
  });

  it('are told as a public key in the form of RFC 8410', () => {
    const { publicKey } = meterKeys(Buffer.from('000102030405060708090a0b0c0d0e0f', 'hex'), 'meter-1');
    expect(publicKeyPem(publicKey)).toMatch(
      /^-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA[A-Za-z0-9+/=]{44}\n-----END PUBLIC KEY-----\n$/,
    );
  });
});

describe('a file of keys', () => {
  it('is read as it was written, and holds neither root key nor seed', () => {
    const rootKey = randomBytes(16);
    const keys = meterKeys(rootKey, 'meter-1');
    const text = keysFileText(keys);
    const seed = deriveKey(rootKey, Buffer.from('sign'), Buffer.from('meter-1'), 32);
    for (const secret of [rootKey, seed]) {
      for (const form of ['hex', 'base64'] as const) expect(text).not.toContain(secret.toString(form));
    }
    const path = join(folder, 'keys.json');
    writeFileSync(path, text);
    const read = readKeysFile(path);
    expect(read.meter).toBe('meter-1');
    expect(read.recordKey).toEqual(keys.recordKey);
    expect(read.publicKey.equals(keys.publicKey)).toBe(true);
  });

  it.each([
    ['no JSON', 'recordKey: 00112233445566778899aabbccddeeff'],
    ['a short key', '{"meter":"m","recordKey":"00112233445566778899aabbccddee","publicKey":"00"}'],
    ['a root key', '00112233445566778899aabbccddeeff'],
  ])('with %s is refused, and not quoted', (_, text) => {
    const path = join(folder, 'bad.json');
    writeFileSync(path, text);
    let message = '';
    try {
      readKeysFile(path);
    } catch (error) {
      message = (error as Error).message;
    }
    expect(message).toMatch(/bad.json: expected JSON with meter, recordKey/);
    expect(message).not.toContain('00112233');
  });
});
