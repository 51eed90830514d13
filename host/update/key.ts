// The key that updates are signed with: an Ed25519 private key as PKCS #8 in PEM, in a file that its owner alone reads.
// What always holds: a key that others may read is not used; no error holds a byte of it.
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { statSync } from 'node:fs';
import { readTextWithin } from '../files.ts';
import { UpdateError } from './manifest.ts';

const keyFileBytesMax = 16_384;

/** A new private key, as PEM. */
export function newUpdateKey(): string {
  return generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
}

/** @throws {FileError} @throws {UpdateError} update-key */
export function readUpdateKey(path: string): KeyObject {
  const text = readTextWithin(path, keyFileBytesMax);
  if ((statSync(path).mode & 0o077) !== 0) {
    throw new UpdateError('update-key', `${path} may be read by others: chmod 600 ${path}`);
  }
  try {
    const key = createPrivateKey(text);
    if (key.asymmetricKeyType === 'ed25519') return key;
  } catch {
    // Told below, without what is in it.
  }
  throw new UpdateError('update-key', `${path} is no Ed25519 private key in PEM`);
}

/** The 32 bytes of a key's public half, as hexadecimal digits: `updateKey` of a meter's settings. */
export function publicKeyHex(key: KeyObject): string {
  return createPublicKey(key).export({ type: 'spki', format: 'der' }).subarray(-32).toString('hex');
}

/** The public key of `publicKeyHex`. */
export function publicKeyOfHex(hex: string): KeyObject {
  const spki = Buffer.from('302a300506032b6570032100', 'hex');
  return createPublicKey({ key: Buffer.concat([spki, Buffer.from(hex, 'hex')]), type: 'spki', format: 'der' });
}
