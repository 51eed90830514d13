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
    const { state, parent } = statusOf(id);
    if (state !== 'Z') children.set(parent, [...(children.get(parent) ?? []), id]);
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

/**
 * Calls back once when the program that started this process is gone, or the one that started that: npm runs scripts
 * through a shell, which outlives an npm that is ended, and so would they.
 * @param {() => void} callback
 */
export function onceOrphaned(callback) {
  const lineage = () => `${process.ppid} ${statusOf(process.ppid).parent}`;
  const before = lineage();
  const timer = setInterval(() => {
    if (lineage() === before) return;
    clearInterval(timer);
    callback();
  }, 500);
  timer.unref();
}

/**
 * @param {number} pid
 * @returns {{ state: string, parent: number }}
 */
function statusOf(pid) {
  // The name in parentheses may hold anything, so the fields are counted from its end.
  const [state = '', parent = ''] = read(`/proc/${pid}/stat`)
    .replace(/^.*\) /s, '')
    .split(' ');
  return { state, parent: Number(parent) };
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
