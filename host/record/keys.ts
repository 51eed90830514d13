// Reads what records are verified with, beside a meter's file of keys: its record key alone, its public key alone, signed
// heads.
// What always holds: no text made from a file holds anything of a key; errors name the file, what was expected, what to do.
import { createPublicKey, type KeyObject } from 'node:crypto';
import { z } from 'zod';
import { readFileWithin } from '../files.ts';
import { headBytes } from './entry.ts';
import { ed25519Key, publicKeyBytes, recordKeyBytes } from './seal.ts';

/** Far above what any of these files has. */
const keysFileBytes = 16_384;
const headsFileBytes = 1_048_576;

/** A file holds no key, or no head. */
export class RecordKeyError extends Error {
  constructor(
    readonly code: 'file-keys' | 'file-head',
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = 'RecordKeyError';
  }
}

/** 16 bytes, or 32 hexadecimal digits. @throws {FileError} @throws {RecordKeyError} */
export function readRecordKeyFile(path: string): Uint8Array {
  const key = binaryOrHex(readFileWithin(path, keysFileBytes), recordKeyBytes);
  if (key !== undefined) return key;
  throw new RecordKeyError('file-keys', `${path}: expected a record key of 16 bytes or 32 hexadecimal digits`);
}

/** An Ed25519 key in PEM, or its 32 bytes, or 64 hexadecimal digits. @throws {FileError} @throws {RecordKeyError} */
export function readPublicKeyFile(path: string): KeyObject {
  const contents = readFileWithin(path, keysFileBytes);
  const raw = binaryOrHex(contents, publicKeyBytes);
  if (raw !== undefined) return ed25519Key(raw);
  const refuse = (came: string, cause?: unknown) =>
    new RecordKeyError(
      'file-keys',
      `${path}: expected a public key of Ed25519, in PEM or 64 hexadecimal digits; came ${came}`,
      { cause },
    );
  let key: KeyObject;
  try {
    key = createPublicKey(contents);
  } catch (cause) {
    throw refuse('something else', cause);
  }
  if (key.asymmetricKeyType !== 'ed25519') throw refuse(`a key of ${key.asymmetricKeyType}`);
  return key;
}

function binaryOrHex(contents: Buffer, bytes: number): Uint8Array | undefined {
  if (contents.length === bytes) return new Uint8Array(contents);
  const text = contents.toString('latin1').trim();
  return text.length === 2 * bytes && /^[0-9a-fA-F]*$/.test(text)
    ? new Uint8Array(Buffer.from(text, 'hex'))
    : undefined;
}

const headSchema = z.looseObject({ format: z.literal('head'), bytes: z.base64() });

/**
 * Signed heads: as published, one or one a line, or 184 bytes each. What they hold is not checked here.
 * @throws {FileError} @throws {RecordKeyError}
 */
export function readHeadFile(path: string): Uint8Array[] {
  const contents = readFileWithin(path, headsFileBytes);
  const text = contents.toString('utf8').trim();
  if (text.startsWith('{')) return jsonValues(text).map((value) => headOf(path, value));
  const count = contents.length / headBytes;
  if (count === 0 || !Number.isInteger(count)) {
    throw new RecordKeyError(
      'file-head',
      `${path}: expected a head as published (JSON), or ${headBytes} bytes; came ${contents.length} bytes of something else`,
    );
  }
  return Array.from(
    { length: count },
    (_, index) => new Uint8Array(contents.subarray(index * headBytes, (index + 1) * headBytes)),
  );
}

// One value over several lines, or a value a line.
function jsonValues(text: string): unknown[] {
  try {
    return [JSON.parse(text)];
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return text
      .split('\n')
      .filter((line) => line.trim() !== '')
      .map(parseOrUndefined);
  }
}

function parseOrUndefined(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function headOf(path: string, value: unknown): Uint8Array {
  const { data } = headSchema.safeParse(value);
  if (data !== undefined) return new Uint8Array(Buffer.from(data.bytes, 'base64'));
  throw new RecordKeyError(
    'file-head',
    `${path}: expected heads as published ("format": "head" and "bytes"), came other JSON`,
  );
}
