// Where the project is and whether its files changed. Node built-ins only: it runs before `npm ci` did.
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The checkout's folder. */
export const root = resolve(fileURLToPath(new URL('../..', import.meta.url)));

/** The folder for everything that set-up fetches; never committed. */
export const cacheDir = join(root, '.cache');

/**
 * Files below a folder, sorted by path, so that every machine sees the same order.
 * @param {string} folder
 * @param {(path: string) => boolean} wanted
 * @returns {string[]} absolute paths; none when the folder is missing
 */
export function filesBelow(folder, wanted) {
  let entries;
  try {
    entries = readdirSync(folder, { withFileTypes: true, recursive: true });
  } catch {
    return [];
  }
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter(wanted)
    .sort();
}

/**
 * One SHA-256 over names and contents; a missing file counts as empty.
 * @param {string[]} paths
 * @returns {string} lower-case hex
 */
export function hashFiles(paths) {
  const hash = createHash('sha256');
  for (const path of paths) {
    let bytes = Buffer.alloc(0);
    try {
      bytes = readFileSync(path);
    } catch {}
    hash.update(`${relative(root, path)}\0${bytes.length}\0`).update(bytes);
  }
  return hash.digest('hex');
}

/** Whether the module at this URL is the one that node was started with. @param {string} url */
export function isMain(url) {
  return process.argv[1] !== undefined && resolve(process.argv[1]) === fileURLToPath(url);
}
