// Writes the keys of those who verify into files of their own: all of them, or the public key alone.
// What always holds: a file that holds something else is only replaced by force, and this is seen before anything is written;
// one with the record key is readable by its owner only.
import { FileError, ifThere, readFileWithin } from '../files.ts';
import { keysFileText, type MeterKeys, publicKeyPem } from './meter-keys.ts';
import { ProvisionError, replaceFile } from './storage-file.ts';

/** Where keys go. */
export interface KeysFiles {
  /** JSON with record key and public key. */
  readonly keys?: string | undefined;
  /** PEM of the public key. */
  readonly publicKey?: string | undefined;
}

/**
 * @param keys whose they are; undefined where that is not known yet, so that an existing file is not theirs
 * @throws {ProvisionError} provision-keys-file where a file is in the way
 */
export function checkKeysFiles(files: KeysFiles, keys: MeterKeys | undefined, force: boolean): void {
  for (const { path, text } of contentsOf(files, keys)) {
    const before = force ? undefined : ifThere(() => textOf(path));
    if (before === undefined || before === text) continue;
    throw new ProvisionError(
      'provision-keys-file',
      `${path} exists and holds other than the keys of this meter; name another file, or overwrite it with --force`,
    );
  }
}

/** @throws {ProvisionError} provision-keys-file, provision-io */
export function writeKeysFiles(files: KeysFiles, keys: MeterKeys, force: boolean): void {
  checkKeysFiles(files, keys, force);
  for (const { path, text, mode } of contentsOf(files, keys)) replaceFile(path, Buffer.from(text ?? ''), mode);
}

interface Contents {
  readonly path: string;
  readonly text: string | undefined;
  readonly mode: number;
}

function contentsOf({ keys: file, publicKey }: KeysFiles, keys: MeterKeys | undefined): Contents[] {
  return [
    ...(file === undefined ? [] : [{ path: file, text: keys && keysFileText(keys), mode: 0o600 }]),
    ...(publicKey === undefined ? [] : [{ path: publicKey, text: keys && publicKeyPem(keys.publicKey), mode: 0o644 }]),
  ];
}

const limitBytes = 65_536;

/** A file's text, whatever it is where it is longer than any of keys. @throws {FileError} */
function textOf(path: string): string {
  try {
    return readFileWithin(path, limitBytes, 'file').toString('utf8');
  } catch (error) {
    if (!(error instanceof FileError) || error.code !== 'file-size') throw error;
    return '';
  }
}
