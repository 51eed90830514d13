// Looks for damage in the store's write-ahead logs before LevelDB reads them: LevelDB drops damaged records silently.
//
// A log is a row of blocks of 32,768 bytes; a block is a row of records, none of which crosses its end:
//   0  CRC-32C over type and data, masked, u32
//   4  length of the data, u16
//   6  type, u8: 1 whole, 2 first, 3 middle, 4 last piece
//   7  data
// A record that the end of the file cuts off, and zeros up to the end of the file, are what a power cut leaves of a
// write that was never acknowledged: no damage.
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

const BLOCK = 32_768;
const HEADER = 7;
const MASK_DELTA = 0xa282ead8;

const table = Uint32Array.from({ length: 256 }, (_, index) => {
  let value = index;
  for (let bit = 0; bit < 8; bit++) value = (value >>> 1) ^ (value & 1 ? 0x82f63b78 : 0);
  return value;
});

function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = (crc >>> 8) ^ table[(crc ^ byte) & 0xff]!;
  return (crc ^ 0xffffffff) >>> 0;
}

/** Whether a whole record with a checksum that holds begins at `at`; gives the offset behind it. */
function recordEnd(block: Buffer, at: number): number | undefined {
  if (at + HEADER > block.length) return undefined;
  const type = block.readUInt8(at + 6);
  const end = at + HEADER + block.readUInt16LE(at + 4);
  if (type < 1 || type > 4 || end > block.length) return undefined;
  const crc = crc32c(block.subarray(at + 6, end));
  const masked = (((crc >>> 15) | (crc << 17)) + MASK_DELTA) >>> 0;
  return block.readUInt32LE(at) === masked ? end : undefined;
}

const isZero = (bytes: Uint8Array) => bytes.every((byte) => byte === 0);

/** Bytes of a log that LevelDB will drop although they were written whole once. */
export function damagedLogBytes(log: Buffer): number {
  let damaged = 0;
  for (let start = 0; start < log.length; start += BLOCK) {
    const block = log.subarray(start, start + BLOCK);
    const last = start + BLOCK >= log.length;
    let at = 0;
    while (block.length - at >= HEADER) {
      const end = recordEnd(block, at);
      if (end === undefined) break;
      at = end;
    }
    const rest = block.subarray(at);
    // Up to six bytes at the end of a block hold no record; so many at the end of the file may be a header cut off.
    if (rest.length < HEADER) continue;
    if (isZero(rest) && isZero(log.subarray(start + BLOCK))) break;
    if (last && isTorn(rest)) continue;
    damaged += rest.length;
  }
  return damaged;
}

/** Whether `rest`, at the end of a file, is one record cut off by that end: it says to be longer, and no record follows. */
function isTorn(rest: Buffer): boolean {
  if (HEADER + rest.readUInt16LE(4) <= rest.length) return false;
  for (let at = 1; at < rest.length; at++) {
    if (recordEnd(rest, at) !== undefined) return false;
  }
  return true;
}

/** Damage found in a store's folder before it is opened. */
export interface StoreDamage {
  /** Bytes of logs that cannot be read. */
  readonly logBytes: number;
  /** The file that says which files make up the store is gone though others are there. */
  readonly currentMissing: boolean;
}

/** Looks at a LevelDB folder that nobody has open. A folder that is not there has no damage. */
export function checkStore(folder: string): StoreDamage {
  if (!existsSync(folder)) return { logBytes: 0, currentMissing: false };
  const names = readdirSync(folder);
  const logs = names.filter((name) => /^\d+\.log$/.test(name)).map((name) => join(folder, name));
  const hasData = names.some((name) => /^\d+\.(ldb|sst)$/.test(name)) || logs.some((log) => statSync(log).size > 0);
  return {
    logBytes: logs.reduce((sum, log) => sum + damagedLogBytes(readFileSync(log)), 0),
    currentMissing: hasData && !names.includes('CURRENT'),
  };
}
