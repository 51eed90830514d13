// Dynamic tariffs: switch times and tariffs for the coming days (`DynamicField`), and what follows their end.
// What always holds: bytes from outside are checked as a whole before anything of them is used; an end comes after the last
// switch, and is over a week later.

import { DynamicField, DynamicFormat, ProgramError } from '../abi/codes';
import { crc32 } from '../link/crc32';

const CRC_BYTES: u32 = 4;
const BYTES_MAX: u32 = DynamicField.List + DynamicField.EntryBytes * DynamicFormat.EntriesMax + CRC_BYTES;
/** So long it matters that they have ended. */
const ENDED_SECONDS: i64 = 7 * 86_400;

const DYNAMIC: usize = TARIFF == 0 ? 0 : memory.data(BYTES_MAX, 8);
/** Behind the last entry; 0 where there are none. */
let end: usize = 0;

/** Where dynamic tariffs are put, 1,172 bytes, and then stay. Nothing is written there while they are in use. */
export function dynamicBuffer(): usize {
  return DYNAMIC;
}

/** From now on there are none. */
export function dynamicDrop(): void {
  end = 0;
}

/**
 * Checks the `length` bytes in the buffer, which may be more than there are of them, and uses them from now on if they are
 * valid. Otherwise there are none, and neither where they say that there are none.
 *
 * @returns `ProgramError`
 */
export function dynamicUse(length: u32): u32 {
  end = 0;
  if (length < <u32>DynamicField.List + CRC_BYTES) return ProgramError.Damaged;
  if (load<u32>(DYNAMIC) != <u32>DynamicFormat.Magic) return ProgramError.Absent;
  const entries: u32 = load<u16>(DYNAMIC, DynamicField.Entries);
  if (entries > <u32>DynamicFormat.EntriesMax) return ProgramError.TooMany;
  const whole: u32 = DynamicField.List + DynamicField.EntryBytes * entries + CRC_BYTES;
  if (whole > length || whole != <u32>load<u16>(DYNAMIC, DynamicField.Length)) return ProgramError.Damaged;
  if (crc32(DYNAMIC, whole - CRC_BYTES) != load<u32>(DYNAMIC + whole - CRC_BYTES)) return ProgramError.Damaged;
  if (entries == 0) return ProgramError.None;
  const behind = DYNAMIC + whole - CRC_BYTES;
  let last = load<u32>(DYNAMIC, DynamicField.List);
  for (let at = DYNAMIC + DynamicField.List + DynamicField.EntryBytes; at < behind; at += DynamicField.EntryBytes) {
    if (load<u32>(at) <= last) return ProgramError.Actions;
    last = load<u32>(at);
  }
  if (load<u32>(DYNAMIC, DynamicField.End) <= last) return ProgramError.Date;
  end = behind;
  return ProgramError.None;
}

/** Whether there are any that have not ended at `utc`, and have begun. */
export function dynamicApplies(utc: i64): bool {
  return (
    end != 0 && utc >= <i64>load<u32>(DYNAMIC, DynamicField.List) && utc < <i64>load<u32>(DYNAMIC, DynamicField.End)
  );
}

/** Whether they have ended at `utc`, within the last week. */
export function dynamicEnded(utc: i64): bool {
  const last: i64 = load<u32>(DYNAMIC, DynamicField.End);
  return end != 0 && utc >= last && utc < last + ENDED_SECONDS;
}

/** The tariff of the last of them that has begun at `utc`: one has. */
export function dynamicTariff(utc: i64): u32 {
  let at = end - DynamicField.EntryBytes;
  while (at > DYNAMIC + DynamicField.List && <i64>load<u32>(at) > utc) at -= DynamicField.EntryBytes;
  return load<u16>(at, 4);
}

/** The first instant after `utc` at which one begins, or they end, or that is a week ago; i64.MAX_VALUE for none. */
export function dynamicNext(utc: i64): i64 {
  if (end == 0) return i64.MAX_VALUE;
  for (let at = DYNAMIC + DynamicField.List; at < end; at += DynamicField.EntryBytes) {
    if (<i64>load<u32>(at) > utc) return load<u32>(at);
  }
  const last: i64 = load<u32>(DYNAMIC, DynamicField.End);
  if (last > utc) return last;
  return last + ENDED_SECONDS > utc ? last + ENDED_SECONDS : i64.MAX_VALUE;
}
