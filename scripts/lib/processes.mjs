// The processes below this one, from Linux's /proc, so that none outlives it. Node built-ins only.
import { readdirSync, readFileSync } from 'node:fs';

/**
 * Ids of the processes that a process started, and theirs. None where there is no /proc.
 * @param {number} pid
 * @returns {number[]}
 */
export function descendants(pid) {
  /** @type {Map<number, number[]>} */
  const children = new Map();
  for (const entry of list('/proc')) {
    const id = Number(entry);
    if (!Number.isInteger(id)) continue;
    // The name in parentheses may hold anything, so the fields are counted from its end.
    const fields = read(`/proc/${id}/stat`)
      .replace(/^.*\) /s, '')
      .split(' ');
    const parent = Number(fields[1]);
    if (fields[0] !== 'Z') children.set(parent, [...(children.get(parent) ?? []), id]);
  }
  /** @type {number[]} */
  const found = [];
  const look = (/** @type {number} */ id) => {
    for (const child of children.get(id) ?? []) {
      found.push(child);
      look(child);
    }
  };
  look(pid);
  return found;
}

/** Kills all processes that this one started, and theirs. */
export function killDescendants() {
  for (const pid of descendants(process.pid)) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {} // it ended meanwhile
  }
}

/** @param {string} folder */
function list(folder) {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** @param {string} path */
function read(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
