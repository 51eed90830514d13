// Keys that follow from a meter's root key, for those who verify what it says: the record key, which checks (and makes)
// seals, and the public key that its heads are signed for. K = KDF(root, label, meter id), as in as/meter/keys.ts.
//
// What always holds: neither the root key nor the seed of the signing key is in what is returned, written or said; a file
// of keys is readable by its owner only.
import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { cmac } from '@noble/ciphers/aes.js';
import { z } from 'zod';
import { readTextWithin } from '../files.ts';
import { ed25519Key, publicKeyBytes, recordKeyBytes } from '../record/seal.ts';

/** A file of keys holds something else. */
export class KeysFileError extends Error {
  /** As those of `FileError`: the command line names the wrong file. */
  readonly code = 'file-keys';

  constructor(path: string) {
    const how = 'as metertime provision --keys writes it';
    super(`${path}: expected JSON with meter, recordKey (32 hexadecimal digits) and publicKey (64), ${how}`);
    this.name = 'KeysFileError';
  }
}

/** Of the seed of RFC 8032 5.1.5. */
const seedBytes = 32;
/** PKCS #8 of an Ed25519 seed (RFC 8410 7) up to the seed. */
const seedPrefix = Buffer.from('302e020100300506032b657004220420', 'hex');

export interface MeterKeys {
  readonly meter: string;
  /** 16 bytes: AES-CMAC of records and logbook. Whoever has it can check seals, and make them. */
  readonly recordKey: Uint8Array;
  /** Ed25519. */
  readonly publicKey: KeyObject;
}

/** NIST SP 800-108r1 4.1 in counter mode with AES-CMAC. */
function derive(rootKey: Uint8Array, label: string, meter: string, length: number): Buffer {
  const number = (value: number): Buffer => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(value);
    return bytes;
  };
  const fixed = Buffer.concat([Buffer.from(`${label}\0${meter}`), number(length * 8)]);
  const blocks = Array.from({ length: Math.ceil(length / 16) }, (_, index) =>
    cmac(Buffer.concat([number(index + 1), fixed]), rootKey),
  );
  return Buffer.concat(blocks).subarray(0, length);
}

/** The keys of a meter. */
export function meterKeys(rootKey: Uint8Array, meter: string): MeterKeys {
  const seed = derive(rootKey, 'sign', meter, seedBytes);
  const der = Buffer.concat([seedPrefix, seed]);
  const publicKey = createPublicKey(createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }));
  seed.fill(0);
  der.fill(0);
  return { meter, recordKey: new Uint8Array(derive(rootKey, 'record', meter, recordKeyBytes)), publicKey };
}

/** The 32 bytes of a public key of Ed25519. */
export function publicKeyOf(key: KeyObject): Uint8Array {
  return new Uint8Array(Buffer.from(key.export({ format: 'jwk' }).x ?? '', 'base64url'));
}

/** A public key as PEM (SubjectPublicKeyInfo, RFC 8410 4). */
export function publicKeyPem(key: KeyObject): string {
  return key.export({ format: 'pem', type: 'spki' }) as string;
}

const hex = (bytes: number) => z.string().regex(new RegExp(`^[0-9a-fA-F]{${2 * bytes}}$`));

/** What a file of keys holds. */
const keysFileSchema = z.strictObject({
  meter: z.string().min(1),
  recordKey: hex(recordKeyBytes),
  publicKey: hex(publicKeyBytes),
});

/** The contents of a file of keys. */
export function keysFileText({ meter, recordKey, publicKey }: MeterKeys): string {
  const contents: z.output<typeof keysFileSchema> = {
    meter,
    recordKey: Buffer.from(recordKey).toString('hex'),
    publicKey: Buffer.from(publicKeyOf(publicKey)).toString('hex'),
  };
  return `${JSON.stringify(contents, null, 2)}\n`;
}

const limitBytes = 65_536;

/**
 * Reads a file that `metertime provision --keys` wrote.
 * @throws {FileError}
 * @throws {KeysFileError} The message holds nothing of the file.
 */
export function readKeysFile(path: string): MeterKeys {
  return keysOf(readTextWithin(path, limitBytes), path);
}

/**
 * As `readKeysFile`, of what was read from a file; `path` is what errors call it.
 * @throws {KeysFileError} The message holds nothing of the file.
 */
export function keysOf(text: string, path: string): MeterKeys {
  const { meter, recordKey, publicKey } = parseKeys(text, path);
  return {
    meter,
    recordKey: new Uint8Array(Buffer.from(recordKey, 'hex')),
    publicKey: ed25519Key(Buffer.from(publicKey, 'hex')),
  };
}

function parseKeys(text: string, path: string): z.output<typeof keysFileSchema> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    // Its message quotes the text.
    if (error instanceof SyntaxError) throw new KeysFileError(path);
    throw error;
  }
  const result = keysFileSchema.safeParse(value);
  if (!result.success) throw new KeysFileError(path);
  return result.data;
}
