// Keys that follow from a meter's root key, for those who verify what it says: the record key, which checks (and makes)
// seals, and the public key that its heads are signed for; and for its gateway, the link key. K = KDF(root, label, meter id),
// as in as/meter/keys.ts.
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
  /** 16 bytes: seals the meter's link. Missing where the file leaves it out. */
  readonly linkKey?: Uint8Array | undefined;
}

/** What a gateway needs of a meter whose link is sealed. */
export interface LinkKey {
  readonly meter: string;
  readonly linkKey: Uint8Array;
}

const linkKeyBytes = 16;

/** The link key of a meter. */
export function linkKeyOf(rootKey: Uint8Array, meter: string): Uint8Array {
  return new Uint8Array(derive(rootKey, 'link', meter, linkKeyBytes));
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
  const recordKey = new Uint8Array(derive(rootKey, 'record', meter, recordKeyBytes));
  return { meter, recordKey, publicKey, linkKey: linkKeyOf(rootKey, meter) };
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
  linkKey: hex(linkKeyBytes).optional(),
});

/** What a gateway reads of it: what else stands there is not its business, and may be left out. */
const linkKeySchema = z.object({ meter: z.string().min(1).max(32), linkKey: hex(linkKeyBytes) });
const linkKeysSchema = z.union([linkKeySchema.transform((one) => [one]), z.array(linkKeySchema).min(1)]);

/** The contents of a file of keys. */
export function keysFileText({ meter, recordKey, publicKey, linkKey }: MeterKeys): string {
  const contents: z.output<typeof keysFileSchema> = {
    meter,
    recordKey: Buffer.from(recordKey).toString('hex'),
    publicKey: Buffer.from(publicKeyOf(publicKey)).toString('hex'),
    ...(linkKey === undefined ? {} : { linkKey: Buffer.from(linkKey).toString('hex') }),
  };
  return `${JSON.stringify(contents, null, 2)}\n`;
}

const limitBytes = 65_536;
/** Of a fleet. */
const linkKeysLimitBytes = 4 << 20;

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
  const { meter, recordKey, publicKey, linkKey } = parseKeys(keysFileSchema, text, () => new KeysFileError(path));
  return {
    meter,
    recordKey: new Uint8Array(Buffer.from(recordKey, 'hex')),
    publicKey: ed25519Key(Buffer.from(publicKey, 'hex')),
    ...(linkKey === undefined ? {} : { linkKey: new Uint8Array(Buffer.from(linkKey, 'hex')) }),
  };
}

/** A file of link keys holds something else. */
export class LinkKeysFileError extends Error {
  /** As those of `FileError`: the command line names the wrong file. */
  readonly code = 'file-keys';

  constructor(path: string) {
    const how = 'as metertime provision --keys writes it, or a list of such';
    super(`${path}: expected JSON with meter and linkKey (32 hexadecimal digits), ${how}`);
    this.name = 'LinkKeysFileError';
  }
}

/**
 * The link keys that a file holds: one that `metertime provision --keys` wrote, or a list of such.
 * @throws {FileError}
 * @throws {LinkKeysFileError} The message holds nothing of the file.
 */
export function readLinkKeys(path: string): LinkKey[] {
  return linkKeysOf(readTextWithin(path, linkKeysLimitBytes), path);
}

/** As `readLinkKeys`, of what was read from a file. @throws {LinkKeysFileError} */
export function linkKeysOf(text: string, path: string): LinkKey[] {
  const found = parseKeys(linkKeysSchema, text, () => new LinkKeysFileError(path));
  return found.map(({ meter, linkKey }) => ({ meter, linkKey: new Uint8Array(Buffer.from(linkKey, 'hex')) }));
}

function parseKeys<Schema extends z.ZodType>(schema: Schema, text: string, wrong: () => Error): z.output<Schema> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    // Its message quotes the text.
    if (error instanceof SyntaxError) throw wrong();
    throw error;
  }
  const result = schema.safeParse(value);
  if (!result.success) throw wrong();
  return result.data;
}
