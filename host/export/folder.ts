// The folder that an export is written to.
//
// What always holds: everything is made before anything is written; a folder that holds something is left alone unless it is
// to be written over, and then only files of the export's names are.
import { mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { BuildError } from '../build/errors.ts';

/** Text or bytes by path in the folder. */
export type ExportFiles = ReadonlyMap<string, string | Uint8Array>;

/** Throws `BuildError` output-foreign where the folder, which need not exist, is a file or holds something. */
export function refuseFullFolder(folder: string): void {
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === 'ENOENT') return;
    throw new BuildError('output-foreign', `${folder} is no folder that can be read (${code})`, { cause });
  }
  if (names.length === 0) return;
  throw new BuildError(
    'output-foreign',
    `${folder} is not empty: choose another folder with --out, or write over its files with --force`,
  );
}

/** Writes all files; one that exists is replaced as a whole. Throws `BuildError` output-foreign where that cannot be done. */
export function writeFolder(folder: string, files: ExportFiles): void {
  for (const [name, contents] of files) {
    const path = join(folder, name);
    const partial = `${path}.${process.pid}.partial`;
    try {
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(partial, contents);
      renameSync(partial, path);
    } catch (cause) {
      throw new BuildError('output-foreign', `${path} cannot be written: ${(cause as Error).message}`, { cause });
    } finally {
      rmSync(partial, { force: true });
    }
  }
}
