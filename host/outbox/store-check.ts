// Looks for damage in the store's files before LevelDB reads them: LevelDB drops damaged records of its logs silently, and
// as it is built here it does not look at the checksums of its tables.
//
// A log is a row of blocks of 32,768 bytes; a block is a row of records, none of which crosses its end:
//   0  CRC-32C over type and data, masked, u32
//   4  length of the data, u16
//   6  type, u8: 1 whole, 2 first, 3 middle, 4 last piece
//   7  data
// A record that the end of the file cuts off, and zeros up to the end of the file, are what a power cut leaves of a
// write that was never acknowledged: no damage. The same for files that the manifest does not name (any more): a kill
// leaves half a table where LevelDB was writing one, beside the logs and tables that it was made from.
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

/** LevelDB's checksum: CRC-32C, masked since it stands beside what it is made over. */
function checksum(bytes: Uint8Array): number {
  const crc = crc32c(bytes);
  return (((crc >>> 15) | (crc << 17)) + MASK_DELTA) >>> 0;
}

/** Whether a whole record with a checksum that holds begins at `at`; gives the offset behind it. */
function recordEnd(block: Buffer, at: number): number | undefined {
  if (at + HEADER > block.length) return undefined;
  const type = block.readUInt8(at + 6);
  const end = at + HEADER + block.readUInt16LE(at + 4);
  if (type < 1 || type > 4 || end > block.length) return undefined;
  return block.readUInt32LE(at) === checksum(block.subarray(at + 6, end)) ? end : undefined;
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

/** The records of a log, put together from their pieces, up to its end or its first damage. */
function* records(log: Buffer): Generator<Buffer> {
  let pieces: Buffer[] = [];
  for (let start = 0; start < log.length; start += BLOCK) {
    const block = log.subarray(start, start + BLOCK);
    let at = 0;
    for (let end = recordEnd(block, at); end !== undefined; end = recordEnd(block, at)) {
      const type = block.readUInt8(at + 6);
      if (type <= 2) pieces = [];
      pieces.push(block.subarray(at + HEADER, end));
      if (type === 1 || type === 4) yield Buffer.concat(pieces);
      at = end;
    }
  }
}

// A table is a row of blocks, the last of which is an index that names the others; a footer names the index.
//   block   contents, type u8 (0: not compressed), checksum u32 over both
//   footer  48 bytes: the handles of a block that is empty here and of the index, zeros, magic number u64
//   handle  offset and length of a block's contents, varints
//   index   entries, then u32 restart points, then their number u32
//   entry   lengths of what the key shares with the one before, of its rest, and of the value, varints; rest; value
const FOOTER = 48;
const MAGIC = 0xdb47_7524_8b80_fb57n;

/** Reads varints, one behind the other. @throws RangeError behind the end */
class Varints {
  constructor(
    readonly bytes: Buffer,
    public at: number,
  ) {}

  next(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.bytes.readUInt8(this.at++);
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
  }
}

/** The contents of the block that a handle names. @throws RangeError where its checksum does not hold */
function blockAt(table: Buffer, handle: Varints): Buffer {
  const [offset, length] = [handle.next(), handle.next()];
  const end = offset + length;
  if (table.readUInt32LE(end + 1) !== checksum(table.subarray(offset, end + 1))) throw new RangeError('checksum');
  return table.subarray(offset, end);
}

/** Whether all blocks of a table are as they were written. */
export function isTableWhole(table: Buffer): boolean {
  try {
    if (table.readBigUInt64LE(table.length - 8) !== MAGIC) return false;
    const footer = new Varints(table, table.length - FOOTER);
    blockAt(table, footer);
    const index = blockAt(table, footer);
    const end = index.length - 4 - 4 * index.readUInt32LE(index.length - 4);
    const entries = new Varints(index, 0);
    while (entries.at < end) {
      const [, restBytes, valueBytes] = [entries.next(), entries.next(), entries.next()];
      entries.at += restBytes;
      blockAt(table, new Varints(index, entries.at));
      entries.at += valueBytes;
    }
    return true;
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return false;
  }
}

// A manifest is a log; each of its records is a change of the store's files: fields, each behind its tag, a varint.
//   1 comparator         length, name
//   2 first log          number: older logs are in tables
//   3, 4, 9              number: next file, last sequence, log before (0 in all that are written today)
//   5 compaction goes on behind  level, length, key
//   6 table gone         level, number
//   7 table              level, number, bytes; of its first and its last key: length, key

/** Files that a manifest names. */
export interface NamedFiles {
  readonly tables: ReadonlySet<number>;
  /** The first log that is not in tables. */
  readonly firstLog: number;
}

/** The files that LevelDB will read; undefined where the manifest is damaged, which keeps it from opening the store. */
export function namedFiles(manifest: Buffer): NamedFiles | undefined {
  if (damagedLogBytes(manifest) > 0) return undefined;
  const files = { tables: new Set<number>(), firstLog: 0 };
  try {
    for (const record of records(manifest)) applyChange(record, files);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return undefined;
  }
  return files;
}

/** @throws RangeError where a record is none of a manifest */
function applyChange(record: Buffer, files: { tables: Set<number>; firstLog: number }): void {
  const fields = new Varints(record, 0);
  const skipBytes = () => {
    const length = fields.next();
    fields.at += length;
  };
  while (fields.at < record.length) {
    const tag = fields.next();
    if (tag === 5 || tag === 6 || tag === 7) fields.next();
    if (tag === 2) files.firstLog = fields.next();
    else if (tag === 3 || tag === 4 || tag === 9) fields.next();
    else if (tag === 1 || tag === 5) skipBytes();
    else if (tag === 6) files.tables.delete(fields.next());
    else if (tag === 7) {
      files.tables.add(fields.next());
      fields.next();
      skipBytes();
      skipBytes();
    } else throw new RangeError(`tag ${tag}`);
  }
  if (fields.at > record.length) throw new RangeError('cut off');
}

/** Damage found in a store's folder before it is opened. */
export interface StoreDamage {
  /** Bytes of logs that cannot be read. */
  readonly logBytes: number;
  /** The file CURRENT, which names the list of the store's files, is gone or names none, though data are there. */
  readonly currentLost: boolean;
  /** Tables of the store that are not as they were written. */
  readonly tables: number;
}

export const undamaged: StoreDamage = { logBytes: 0, currentLost: false, tables: 0 };

/** Looks at a LevelDB folder that nobody has open. A folder that is not there has no damage. */
export function checkStore(folder: string): StoreDamage {
  if (!existsSync(folder)) return undamaged;
  const names = readdirSync(folder);
  const logs = names.filter((name) => /^\d+\.log$/.test(name));
  const tables = names.filter((name) => /^\d+\.(ldb|sst)$/.test(name));
  const hasData = tables.length > 0 || logs.some((log) => statSync(join(folder, log)).size > 0);
  const read = (name: string) => readFileSync(join(folder, name));
  const manifest = manifestName(join(folder, 'CURRENT'), names);
  // Without a manifest the store is repaired from all files that are there.
  const named = manifest === undefined ? undefined : namedFiles(read(manifest));
  const usedLogs = logs.filter((name) => named === undefined || Number.parseInt(name, 10) >= named.firstLog);
  const usedTables = tables.filter((name) => named === undefined || named.tables.has(Number.parseInt(name, 10)));
  return {
    logBytes: usedLogs.reduce((sum, name) => sum + damagedLogBytes(read(name)), 0),
    tables: usedTables.filter((name) => !isTableWhole(read(name))).length,
    currentLost: hasData && manifest === undefined,
  };
}

/** The manifest that CURRENT names; undefined where it names none that is there. */
function manifestName(current: string, names: readonly string[]): string | undefined {
  if (!existsSync(current)) return undefined;
  const text = readFileSync(current, 'latin1');
  const name = text.slice(0, -1);
  return text.endsWith('\n') && name.startsWith('MANIFEST-') && names.includes(name) ? name : undefined;
}
