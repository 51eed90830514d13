// Where the project is and whether its files changed. Node built-ins only: it runs before `npm ci` did.
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * The checkout that this code belongs to, found from its own place upwards, because it also runs bundled in dist/.
 * Undefined for a dist/ that was copied elsewhere.
 */
export const checkout = findCheckout(dirname(fileURLToPath(import.meta.url)));

/** The checkout's folder; without a checkout the folder of this file, so that paths below it are simply missing. */
export const root = checkout ?? dirname(fileURLToPath(import.meta.url));

/** The folder for everything that set-up fetches; never committed. */
export const cacheDir = join(root, '.cache');

/**
 * @param {string} folder
 * @returns {string | undefined}
 */
function findCheckout(folder) {
  const text = readText(join(folder, 'package.json'));
  if (text !== undefined && JSON.parse(text).name === 'metertime') return folder;
  const above = dirname(folder);
  return above === folder ? undefined : findCheckout(above);
}

/**
 * A file's text, or undefined when it cannot be read.
 * @param {string} path
 * @returns {string | undefined}
 */
export function readText(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

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

/**
 * Whether the module at this URL is the one that node was started with. In the bundle never: there all modules have the
 * bundle's URL, and the command line starts them.
 * @param {string} url
 */
export function isMain(url) {
  if (typeof METERTIME_BUNDLE !== 'undefined') return false;
  return process.argv[1] !== undefined && resolve(process.argv[1]) === fileURLToPath(url);
}
