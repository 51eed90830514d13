// Dynamic tariffs as the block that a meter keeps: DynamicField in as/abi/codes.ts.
//
// What always holds: what `encodeDynamic` makes, the core takes; what `decodeDynamic` takes is encoded to the same bytes,
// but for the meter's own count and the CRC-32 over it.
import { crc32 } from 'node:zlib';
import { DynamicField, DynamicFormat } from '../../as/abi/codes.ts';
import { TariffError, type TariffPath } from './errors.ts';
import { type DynamicTariffs, dynamicTariffsSchema, utcSeconds, utcText } from './model.ts';

const crcBytes = 4;
const latestUtc = 2 ** 32 - 1;

function refuse(path: TariffPath, message: string): never {
  throw new TariffError('tariff-value', message, path);
}

/** Checks what goes beyond the shape. @throws {TariffError} tariff-value */
function checkDynamic(dynamic: DynamicTariffs): void {
  const result = dynamicTariffsSchema.safeParse(dynamic);
  if (!result.success) {
    const [issue] = result.error.issues;
    const path = (issue?.path ?? []) as TariffPath;
    refuse(path, `${path.length === 0 ? 'the dynamic tariffs' : path.join('.')}: ${issue?.message}`);
  }
  const { entries, endUtc } = dynamic;
  for (const [index, { utc }] of entries.entries()) {
    const place = `entry ${index + 1}`;
    checkTime(utc, ['entries', index, 'utc'], place);
    const before = entries[index - 1]?.utc;
    if (before === undefined || utcSeconds(utc) > utcSeconds(before)) continue;
    refuse(['entries', index, 'utc'], `${place}: expected a time after ${before}, that of the one before, came ${utc}`);
  }
  const last = entries.at(-1)?.utc;
  if (last === undefined) return;
  if (endUtc === undefined) refuse(['endUtc'], 'endUtc: expected the end of the last entry, came none');
  checkTime(endUtc, ['endUtc'], 'endUtc');
  if (utcSeconds(endUtc) > utcSeconds(last)) return;
  refuse(['endUtc'], `endUtc: expected a time after ${last}, when the last entry begins, came ${endUtc}`);
}

function checkTime(utc: string, path: TariffPath, place: string): void {
  const at = utcSeconds(utc);
  if (at < 1 || at > latestUtc) refuse(path, `${place}: expected a time from 1970 to 2106, came ${utc}`);
}

/**
 * The block of dynamic tariffs, as it is sent to a meter or written into its storage.
 * @param count that the storage keeps; 0 where the meter sets it
 * @throws {TariffError} tariff-value
 */
export function encodeDynamic(dynamic: DynamicTariffs, count = 0): Uint8Array {
  checkDynamic(dynamic);
  const { entries, endUtc } = dynamic;
  const end = DynamicField.List + entries.length * DynamicField.EntryBytes;
  const block = Buffer.alloc(end + crcBytes);
  block.writeUInt32LE(DynamicFormat.Magic, DynamicField.Magic);
  block.writeUInt16LE(block.length, DynamicField.Length);
  block.writeUInt16LE(entries.length, DynamicField.Entries);
  block.writeUInt32LE(count, DynamicField.Count);
  block.writeUInt32LE(entries.length === 0 || endUtc === undefined ? 0 : utcSeconds(endUtc), DynamicField.End);
  for (const [index, { utc, tariff }] of entries.entries()) {
    const at = DynamicField.List + index * DynamicField.EntryBytes;
    block.writeUInt32LE(utcSeconds(utc), at);
    block.writeUInt16LE(tariff, at + 4);
  }
  block.writeUInt32LE(crc32(block.subarray(0, end)), end);
  return new Uint8Array(block);
}

export interface DecodedDynamic {
  readonly dynamic: DynamicTariffs;
  /** How many dynamic tariffs the meter had stored with these; 0 for such as were not stored. */
  readonly count: number;
  readonly crc32: number;
  readonly bytes: number;
}

/** Reads a block; what follows it is not looked at. @throws {TariffError} tariff-absent, tariff-damaged */
export function decodeDynamic(block: Uint8Array): DecodedDynamic {
  const all = Buffer.from(block.buffer, block.byteOffset, block.length);
  if (all.length < DynamicField.List || all.readUInt32LE(DynamicField.Magic) !== DynamicFormat.Magic) {
    throw new TariffError('tariff-absent', 'there are no dynamic tariffs');
  }
  const entryCount = all.readUInt16LE(DynamicField.Entries);
  const length = all.readUInt16LE(DynamicField.Length);
  const end = DynamicField.List + entryCount * DynamicField.EntryBytes;
  if (length !== end + crcBytes || length > all.length) damaged(`they say ${length} bytes for ${entryCount} entries`);
  const bytes = all.subarray(0, length);
  const crc = bytes.readUInt32LE(end);
  if (crc32(bytes.subarray(0, end)) !== crc) damaged('their CRC-32 does not hold');
  const entries = Array.from({ length: entryCount }, (_, index) => {
    const at = DynamicField.List + index * DynamicField.EntryBytes;
    return { utc: utcText(bytes.readUInt32LE(at)), tariff: bytes.readUInt16LE(at + 4) };
  });
  const dynamic = entryCount === 0 ? { entries } : { entries, endUtc: utcText(bytes.readUInt32LE(DynamicField.End)) };
  const count = bytes.readUInt32LE(DynamicField.Count);
  let again: Uint8Array;
  try {
    again = encodeDynamic(dynamic, count);
  } catch (cause) {
    if (!(cause instanceof TariffError)) throw cause;
    return damaged(cause.message, cause);
  }
  if (!bytes.equals(again)) damaged('they hold what none can say');
  return { dynamic, count, crc32: crc, bytes: length };
}

function damaged(what: string, cause?: Error): never {
  throw new TariffError('tariff-damaged', `the dynamic tariffs are damaged: ${what}`, [], { cause });
}
