// Writes a meter's settings into a storage file: the image of its EEPROM, or of the flash that it keeps a log of pages in.
// The file is replaced as a whole, by a rename, and readable by its owner only. Another meter's storage, or a file that
// is no storage, is not touched unless forced. A meter provisioned anew keeps its root key, seeds, state and reserves of
// keys and cookies; a reserve is sealed for its server, so another one has no use of it.
import { randomBytes } from 'node:crypto';
import { closeSync, fchmodSync, fsyncSync, openSync, realpathSync, renameSync, rmSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { crc32 } from 'node:zlib';
import { DynamicField, DynamicFormat, ProgramField, ProgramFormat, StorageMap } from '../../as/abi/codes.ts';
import { FileError, ifThere, readFileWithin } from '../files.ts';
import {
  decodeFlashImage,
  encodeFlashImage,
  type FlashGeometry,
  FlashImageError,
  isFlashImage,
} from './flash-store-image.ts';
import { type MeterKeys, meterKeys } from './meter-keys.ts';
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

/** The largest storage that a board can have: eight parts of which each addresses a byte with 16 bits. */
export const maxStorageBytes = 524_288;

/** Size of a new storage unless another one is asked for: a common EEPROM's, with room for the reserves of four servers. */
export const newStorageBytes = 8192;

/** The same of a meter with tariffs: records of 35 days, a quarter of an hour each. */
export const newTariffStorageBytes = 524_288;

/** The largest flash that an emulator has a file of. */
const maxFileBytes = 64 << 20;

/** 32 digits, and white space around them. */
const rootKeyFileBytes = 1024;

/** A storage file cannot be provisioned. */
export class ProvisionError extends Error {
  constructor(
    readonly code:
      | 'provision-other-meter'
      | 'provision-foreign'
      | 'provision-size'
      | 'provision-io'
      | 'provision-key'
      | 'provision-keys-file'
      | 'provision-silent'
      | 'provision-refused'
      | 'provision-link'
      | 'provision-aborted',
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
  /** Size of a new storage; an existing one keeps its size. Default `newStorageBytes`. */
  readonly bytes?: number;
  /** A new storage is a log of pages in such flash; an existing one keeps what it is. */
  readonly flash?: FlashGeometry;
  /** Replaces whatever the file holds. */
  readonly force?: boolean;
  /** Block of a tariff program (`encodeProgram`): replaces those that the meter has. */
  readonly program?: Uint8Array;
  /** Block of dynamic tariffs (`encodeDynamic`): replaces those that the meter has. */
  readonly dynamic?: Uint8Array;
}

export interface Provisioned {
  readonly path: string;
  readonly bytes: number;
  /** Whether this meter was in the file before. */
  readonly before: 'nothing' | 'this-meter' | 'another';
  readonly rootKey: 'given' | 'kept' | 'new';
  readonly seed: 'given' | 'kept' | 'new';
  /** Tariff program and dynamic tariffs that the storage holds now; 'none' also where it has no room for them. */
  readonly program: 'given' | 'kept' | 'none';
  readonly dynamic: 'given' | 'kept' | 'none';
}

interface StoredFile {
  readonly contents: Buffer;
  /** Of a flash: how it is laid out, and its bytes. */
  readonly geometry?: FlashGeometry;
  readonly image?: Buffer;
}

/** What is known of a storage before its file is read. */
export type StoredOptions = Pick<ProvisionOptions, 'flash' | 'force'>;

// Undefined for a flash that is erased, and by force for one that nothing can be read from. @throws {FileError}
function readStored(path: string, { flash, force }: StoredOptions = {}): StoredFile | undefined {
  // It is replaced by a rename, which a pipe has no place for.
  const image = readFileWithin(path, maxFileBytes, 'file');
  if (flash !== undefined && isBlank(image.subarray(0, flash.units * flash.unitBytes))) return undefined;
  if (isFlashImage(image)) {
    try {
      return { ...decodeFlashImage(image), image };
    } catch (error) {
      if (!(error instanceof FlashImageError)) throw error;
      if (force === true) return undefined;
      throw new FileError('file-kind', path, error.message, { cause: error });
    }
  }
  if (image.length > maxStorageBytes) {
    throw new FileError('file-size', path, `expected at most ${maxStorageBytes} bytes, came ${image.length}`);
  }
  return { contents: image };
}

/** A storage as its meter sees it, whatever its file is an image of. @throws {FileError} */
export function readStorage(path: string): Buffer {
  // Without a geometry and without force there always is one.
  return readStored(path)!.contents;
}

/** What a board's data say of its storage, as options. */
export function storageOptions(
  storage: { readonly bytes: number } & (FlashGeometry | object),
): Pick<ProvisionOptions, 'bytes' | 'flash'> {
  const { bytes } = storage;
  if (!('units' in storage)) return { bytes };
  const { units, unitBytes, programBytes } = storage;
  return { bytes, flash: { units, unitBytes, programBytes } };
}

/** The settings that a storage file holds. @throws {SettingsBlockError} @throws {FileError} */
export function readStorageSettings(path: string): MeterSettings {
  return decodeSettings(readStorage(path)).settings;
}

/** What a meter needs a storage with tariffs for; empty where it needs none. */
export function tariffNeeds(
  settings: Pick<MeterSettings, 'tariff' | 'calibration' | 'registers'>,
  options: Pick<ProvisionOptions, 'program' | 'dynamic'>,
): string[] {
  const needs: [string, unknown][] = [
    ['a tariff program', options.program],
    ['dynamic tariffs', options.dynamic],
    ['tariff', settings.tariff],
    ['calibration', settings.calibration],
    ['registers', settings.registers],
  ];
  return needs.filter(([, value]) => value !== undefined).map(([name]) => name);
}

/** The keys of the meter that a storage file is of, for those who verify. @throws {SettingsBlockError} @throws {FileError} */
export function readStorageKeys(path: string): MeterKeys {
  const { settings, rootKey } = decodeSettings(readStorage(path));
  return meterKeys(rootKey, settings.id);
}

/** The same where the file is there, and is this meter's. @throws {FileError} */
export function keysKept(path: string, meter: string, options: StoredOptions = {}): MeterKeys | undefined {
  const contents = ifThere(() => readStored(path, options))?.contents;
  const found = contents === undefined ? undefined : findMeter(path, contents, meter, true);
  return found && meterKeys(found.rootKey, meter);
}

/** Whether a storage file is there, is this meter's, and has its link sealed. @throws {FileError} */
export function linkWasSealed(path: string, meter: string, options: StoredOptions = {}): boolean {
  const contents = ifThere(() => readStored(path, options))?.contents;
  const found = contents === undefined ? undefined : findMeter(path, contents, meter, true);
  return found !== undefined && decodeSettings(contents!).settings.sealedLink === true;
}

/** Size of a storage; undefined when its file is not there, or is an erased flash. @throws {FileError} */
export function storageFileBytes(path: string, options: StoredOptions = {}): number | undefined {
  return ifThere(() => readStored(path, options))?.contents.length;
}

/**
 * Writes settings, root key and seed, and tariffs.
 * @throws {SettingsBlockError} @throws {ProvisionError} @throws {FileError}
 */
export function provisionStorage(path: string, settings: MeterSettings, options: ProvisionOptions = {}): Provisioned {
  const stored = ifThere(() => readStored(path, options));
  const old = stored?.contents;
  const needs = tariffNeeds(settings, options);
  const size = old?.length ?? options.bytes ?? (needs.length === 0 ? newStorageBytes : newTariffStorageBytes);
  checkSize(path, size, needs, old?.length, options.bytes);
  const found = old === undefined ? undefined : findMeter(path, old, settings.id, options.force === true);
  const rootKey = options.rootKey ?? found?.rootKey ?? randomRootKey();
  // State is sealed with a key made from the root key: with another one it is worthless.
  const sameKey = found !== undefined && Buffer.from(found.rootKey).equals(rootKey);

  const contents = Buffer.alloc(size);
  if (old !== undefined && found !== undefined) old.copy(contents);
  // A link is opened only where that is said.
  const sealedLink =
    settings.sealedLink ?? (found !== undefined && decodeSettings(contents).settings.sealedLink === true);
  contents.set(encodeSettings({ ...settings, sealedLink }, rootKey), StorageMap.Settings);
  const hasSeed = [StorageMap.SeedA, StorageMap.SeedB].some((at) =>
    isSeedSlot(contents.subarray(at, at + StorageMap.SeedBytes)),
  );
  const keepSeed = hasSeed && options.seed === undefined;
  if (!keepSeed) {
    contents.fill(0, StorageMap.SeedA, StorageMap.SeedB + StorageMap.SeedBytes);
    contents.set(encodeSeedSlot(options.seed ?? randomBytes(settingsLimits.seedBytes), 1), StorageMap.SeedA);
  }
  if (!sameKey) eraseSealed(contents);
  const program = writeTariffs(contents, programSlots, options.program);
  const dynamic = writeTariffs(contents, dynamicSlots, options.dynamic);
  const geometry = stored === undefined ? options.flash : stored.geometry;
  replaceFile(path, geometry === undefined ? contents : flashImage(path, contents, geometry, stored?.image));
  return {
    path,
    bytes: size,
    before: found !== undefined ? 'this-meter' : old === undefined || isBlank(old) ? 'nothing' : 'another',
    rootKey: options.rootKey !== undefined ? 'given' : found === undefined ? 'new' : 'kept',
    seed: options.seed !== undefined ? 'given' : keepSeed ? 'kept' : 'new',
    ...{ program, dynamic },
  };
}

function flashImage(path: string, contents: Buffer, geometry: FlashGeometry, before: Buffer | undefined): Buffer {
  try {
    return encodeFlashImage(contents, geometry, before);
  } catch (cause) {
    if (!(cause instanceof FlashImageError)) throw cause;
    throw new ProvisionError('provision-size', `${path}: ${cause.message}; choose fewer --bytes`, { cause });
  }
}

function checkSize(
  path: string,
  size: number,
  needs: readonly string[],
  oldSize: number | undefined,
  asked: number | undefined,
): void {
  if (size < StorageMap.Bytes || size > maxStorageBytes) {
    throw new ProvisionError(
      'provision-size',
      `${path}: ${size} bytes are too ${size < StorageMap.Bytes ? 'few' : 'many'}; a meter's storage has ${StorageMap.Bytes} to ${maxStorageBytes}`,
    );
  }
  if (oldSize !== undefined && asked !== undefined && asked !== oldSize) {
    throw new ProvisionError('provision-size', `${path} has ${oldSize} bytes, expected ${asked}; remove it first`);
  }
  if (needs.length === 0 || size >= StorageMap.TariffBytes) return;
  const room = `a storage with room for ${needs.join(', ')} has at least ${StorageMap.TariffBytes} bytes, and ${newTariffStorageBytes} for records of 35 days`;
  const what = oldSize === undefined ? `${path} would have ${size} bytes` : `${path} has ${size} bytes`;
  const todo =
    oldSize === undefined ? 'choose a board with more, or give --bytes' : 'remove it first, or choose another file';
  throw new ProvisionError('provision-size', `${what}; ${room}: ${todo}`);
}

/** Erases what is sealed or signed with keys made from the root key: with another one it would be taken for tampering. */
function eraseSealed(contents: Buffer): void {
  const reservesEnd = StorageMap.Reserves + settingsLimits.servers * StorageMap.ReserveBytes;
  contents.fill(0, StorageMap.StateA, Math.min(contents.length, reservesEnd));
  if (contents.length < StorageMap.TariffBytes) return;
  contents.fill(0, StorageMap.HeadA, StorageMap.MarkB + StorageMap.MarkBytes);
  contents.fill(0, StorageMap.Logbook);
}

interface Slots {
  readonly at: readonly number[];
  readonly bytes: number;
  /** Offset of the field by which the newer slot is found. */
  readonly count: number;
  readonly magic: number;
}

const programSlots: Slots = {
  at: [StorageMap.ProgramA, StorageMap.ProgramB],
  bytes: StorageMap.ProgramSlotBytes,
  count: ProgramField.Count,
  magic: ProgramFormat.Magic,
};

const dynamicSlots: Slots = {
  at: [StorageMap.DynamicA, StorageMap.DynamicB],
  bytes: StorageMap.DynamicSlotBytes,
  count: DynamicField.Count,
  magic: DynamicFormat.Magic,
};

/** Into the first slot; the other one is erased, as what is given replaces all there was. */
function writeTariffs(contents: Buffer, slots: Slots, block: Uint8Array | undefined): 'given' | 'kept' | 'none' {
  if (contents.length < StorageMap.TariffBytes) return 'none';
  if (block === undefined) return slots.at.some((at) => contents.readUInt32LE(at) === slots.magic) ? 'kept' : 'none';
  for (const at of slots.at) contents.fill(0, at, at + slots.bytes);
  const stored = Buffer.from(block);
  stored.writeUInt32LE(1, slots.count);
  const end = stored.length - 4;
  stored.writeUInt32LE(crc32(stored.subarray(0, end)), end);
  contents.set(stored, slots.at[0]!);
  return 'given';
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

/** Replaces a file as a whole, by a rename, or makes it. @throws {ProvisionError} provision-io */
export function replaceFile(path: string, contents: Uint8Array, mode = 0o600): void {
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
      fchmodSync(file, mode);
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
