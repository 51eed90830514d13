// Files that a command writes for people.
// What always holds: an existing file is never replaced; one that cannot be written to its end is not left behind.
import { closeSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { CliError } from './errors.ts';

/** @param hint what to do where the file exists already */
export function writeNewFile(file: string, content: string | Uint8Array, mode: number, hint: string): void {
  let handle: number;
  try {
    handle = openSync(file, 'wx', mode);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'EEXIST') {
      throw new CliError('new-file-exists', `${file} exists and is not replaced`, { hint, cause });
    }
    throw cannotWrite(file, cause);
  }
  try {
    try {
      writeFileSync(handle, content);
    } finally {
      closeSync(handle);
    }
  } catch (cause) {
    // Half a file is of no use, and the next try would find it in its way.
    rmSync(file, { force: true });
    throw cannotWrite(file, cause);
  }
}

function cannotWrite(file: string, cause: unknown): CliError {
  return new CliError('new-file-io', `${file} cannot be written: ${(cause as Error).message}`, { cause });
}
