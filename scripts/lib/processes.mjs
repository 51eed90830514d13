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

/** Kills all processes that this one started, and theirs: none of them runs when it returns. */
export function killDescendants() {
  killAll(() => descendants(process.pid));
}

/**
 * Kills a process and all that it started: none of them runs when it returns. Nothing is done where there is no /proc.
 * @param {number} pid
 */
export function killTree(pid) {
  killAll(() => [pid, ...descendants(pid)].filter(isAlive));
}

/** A process that cannot be halted or does not die (it waits for a disk) is not waited for any longer. */
const killTimeoutMs = 1_000;

/**
 * All are halted before one is killed: what a process starts while it is being killed belongs to nobody, so nobody would
 * find it.
 * @param {() => number[]} look finds the processes that are there
 */
function killAll(look) {
  let inTime = deadline();
  let found = look();
  /** @type {Set<number>} */
  let halted = new Set();
  // Only those that were halted before this look had nothing to start since.
  while (found.some((pid) => !halted.has(pid)) && inTime()) {
    for (const pid of found) send(pid, 'SIGSTOP');
    // One that waits (D) until its child, halted too, has become another program (vfork) starts nothing either.
    halted = new Set(found.filter((pid) => !isAlive(pid) || /^[tD]$/i.test(statusOf(pid).state)));
    if (halted.size < found.length) pause();
    found = look();
  }
  for (const pid of found) send(pid, 'SIGKILL');
  inTime = deadline();
  while (found.some(isAlive) && inTime()) pause();
}

function deadline() {
  const endMs = performance.now() + killTimeoutMs;
  return () => performance.now() < endMs;
}

/**
 * @param {number} pid
 * @param {NodeJS.Signals} signal
 */
function send(pid, signal) {
  try {
    process.kill(pid, signal);
  } catch {} // it ended meanwhile
}

/** Whether a process can still do something. @param {number} pid */
function isAlive(pid) {
  return !['', 'Z', 'X'].includes(statusOf(pid).state);
}

/** Leaves the processor to others for a millisecond, also while this process exits. */
function pause() {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
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
