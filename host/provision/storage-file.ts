// Writes a meter's settings into a storage file, such as the image of its EEPROM.
// The file is replaced as a whole, by a rename, and readable by its owner only. Another meter's storage, or a file that
// is no storage, is not touched unless forced. A meter provisioned anew keeps its root key, seeds, state and reserves of
// keys and cookies; a reserve is sealed for its server, so another one has no use of it.
import { randomBytes } from 'node:crypto';
import { closeSync, fchmodSync, fsyncSync, openSync, realpathSync, renameSync, rmSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { StorageMap } from '../../as/abi/codes.ts';
import { FileError, readFileWithin } from '../files.ts';
import {
  checkRootKey,
  decodeSettings,
  encodeSeedSlot,
  encodeSettings,
  isSeedSlot,
  type MeterSettings,
  SettingsBlockError,
  settingsLimits,
} from './settings-block.ts';

/** The largest storage that a board can have: its driver addresses a byte with 16 bits. */
export const maxStorageBytes = 65_536;

/** Size of a new storage unless another one is asked for: a common EEPROM's, with room for the reserves of four servers. */
export const newStorageBytes = 8192;

/** 32 digits, and white space around them. */
const rootKeyFileBytes = 1024;

/** A storage file cannot be provisioned. */
export class ProvisionError extends Error {
  constructor(
    readonly code: 'provision-other-meter' | 'provision-foreign' | 'provision-size' | 'provision-io' | 'provision-key',
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = 'ProvisionError';
  }
}

export interface ProvisionOptions {
  /** 16 bytes; by default the one that this meter has already, else random. */
  readonly rootKey?: Uint8Array;
  /** 32 bytes; by default the ones that this meter has already, else random. */
  readonly seed?: Uint8Array;
  /** Size of a new file; an existing one keeps its size. Default `newStorageBytes`. */
  readonly bytes?: number;
  /** Replaces whatever the file holds. */
  readonly force?: boolean;
}

export interface Provisioned {
  readonly path: string;
  readonly bytes: number;
  /** Whether this meter was in the file before. */
  readonly before: 'nothing' | 'this-meter' | 'another';
  readonly rootKey: 'given' | 'kept' | 'new';
  readonly seed: 'given' | 'kept' | 'new';
}

/** @throws {FileError} */
function readStorage(path: string): Buffer {
  // It is replaced by a rename, which a pipe has no place for.
  return readFileWithin(path, maxStorageBytes, 'file');
}

/** Reads a storage file; undefined when there is none. @throws {FileError} */
function readIfThere(path: string): Buffer | undefined {
  try {
    return readStorage(path);
  } catch (error) {
    if (error instanceof FileError && (error.cause as NodeJS.ErrnoException | undefined)?.code === 'ENOENT') {
      return undefined;
    }
    throw error;
  }
}

/** The settings that a storage file holds. @throws {SettingsBlockError} @throws {FileError} */
export function readStorageSettings(path: string): MeterSettings {
  return decodeSettings(readStorage(path)).settings;
}

/** Writes settings, root key and seed. @throws {SettingsBlockError} @throws {ProvisionError} @throws {FileError} */
export function provisionStorage(path: string, settings: MeterSettings, options: ProvisionOptions = {}): Provisioned {
  const old = readIfThere(path);
  const size = old?.length ?? options.bytes ?? newStorageBytes;
  if (size < StorageMap.Bytes || size > maxStorageBytes) {
    throw new ProvisionError(
      'provision-size',
      `${path}: ${size} bytes are too ${size < StorageMap.Bytes ? 'few' : 'many'}; a meter's storage has ${StorageMap.Bytes} to ${maxStorageBytes}`,
    );
  }
  if (old !== undefined && options.bytes !== undefined && options.bytes !== size) {
    throw new ProvisionError('provision-size', `${path} has ${size} bytes, expected ${options.bytes}; remove it first`);
  }
  const found = old === undefined ? undefined : findMeter(path, old, settings.id, options.force === true);
  const rootKey = options.rootKey ?? found?.rootKey ?? randomRootKey();
  // State is sealed with a key made from the root key: with another one it is worthless.
  const sameKey = found !== undefined && Buffer.from(found.rootKey).equals(rootKey);

  const contents = Buffer.alloc(size);
  if (old !== undefined && found !== undefined) old.copy(contents);
  contents.set(encodeSettings(settings, rootKey), StorageMap.Settings);
  const hasSeed = [StorageMap.SeedA, StorageMap.SeedB].some((at) =>
    isSeedSlot(contents.subarray(at, at + StorageMap.SeedBytes)),
  );
  const keepSeed = hasSeed && options.seed === undefined;
  if (!keepSeed) {
    contents.fill(0, StorageMap.SeedA, StorageMap.SeedB + StorageMap.SeedBytes);
    contents.set(encodeSeedSlot(options.seed ?? randomBytes(settingsLimits.seedBytes), 1), StorageMap.SeedA);
  }
  if (!sameKey) contents.fill(0, StorageMap.StateA, sealedEnd(size));
  replaceFile(path, contents);
  return {
    path,
    bytes: size,
    before: found !== undefined ? 'this-meter' : old === undefined || isBlank(old) ? 'nothing' : 'another',
    rootKey: options.rootKey !== undefined ? 'given' : found === undefined ? 'new' : 'kept',
    seed: options.seed !== undefined ? 'given' : keepSeed ? 'kept' : 'new',
  };
}

/** End of what is sealed with a key made from the root key. */
function sealedEnd(size: number): number {
  return Math.min(size, StorageMap.Reserves + settingsLimits.servers * StorageMap.ReserveBytes);
}

/** What the file knows of this meter; nothing when it is blank or `force` gives up what it holds. */
function findMeter(path: string, contents: Buffer, id: string, force: boolean): { rootKey: Uint8Array } | undefined {
  if (isBlank(contents)) return undefined;
  try {
    const { settings, rootKey } = decodeSettings(contents);
    if (settings.id === id) return { rootKey };
    if (force) return undefined;
    throw new ProvisionError(
      'provision-other-meter',
      `${path} belongs to meter ${settings.id}, not ${id}; choose another file, or give it up with --force`,
    );
  } catch (error) {
    if (!(error instanceof SettingsBlockError)) throw error;
    if (force) return undefined;
    throw new ProvisionError(
      'provision-foreign',
      `${path} holds something that is no valid meter storage (${error.message}); choose another file, or overwrite it with --force`,
      { cause: error },
    );
  }
}

/** As an erased or a new storage is: one value everywhere. */
function isBlank(contents: Buffer): boolean {
  const value = contents[0];
  return (value === 0 || value === 0xff || value === undefined) && contents.every((byte) => byte === value);
}

function randomRootKey(): Uint8Array {
  return new Uint8Array(randomBytes(settingsLimits.rootKeyBytes));
}

function replaceFile(path: string, contents: Uint8Array): void {
  let target = path;
  let partial: string | undefined;
  try {
    try {
      target = realpathSync(path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
    partial = join(dirname(target), `.${randomBytes(8).toString('hex')}.partial`);
    const file = openSync(partial, 'wx', 0o600);
    try {
      fchmodSync(file, 0o600);
      for (let at = 0; at < contents.length; ) at += writeSync(file, contents, at);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(partial, target);
    const folder = openSync(dirname(target), 'r');
    try {
      fsyncSync(folder);
    } finally {
      closeSync(folder);
    }
  } catch (cause) {
    if (partial !== undefined) rmSync(partial, { force: true });
    throw new ProvisionError('provision-io', `${path} cannot be written: ${(cause as Error).message}`, { cause });
  }
}

/**
 * Reads a root key from a file: 16 bytes, or 32 hexadecimal digits.
 * @throws {FileError}
 * @throws {ProvisionError} provision-key; the message holds nothing of the file
 */
export function readRootKeyFile(path: string): Uint8Array {
  const contents = readFileWithin(path, rootKeyFileBytes);
  const text = contents.toString('latin1').trim();
  const key = /^[0-9a-fA-F]{32}$/.test(text) ? Buffer.from(text, 'hex') : contents;
  try {
    checkRootKey(key);
  } catch (cause) {
    throw new ProvisionError(
      'provision-key',
      `${path}: expected 16 random bytes or 32 hexadecimal digits (make one with: openssl rand -hex 16)`,
      { cause },
    );
  }
  return new Uint8Array(key);
}
