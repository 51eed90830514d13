// Legal time and tariffs for programs that look at a tariff program without a meter; firmware links none of them.
// What always holds: in a core without tariffs they do nothing, and nothing of tariffs is in it.

import { dynamicBuffer, dynamicUse } from './dynamic';
import { programBuffer, programUse } from './program';
import { tariffAt, tariffDynamic, tariffDynamicEnded, tariffNext } from './tariff';
import { zoneOffsetSeconds, zoneSummer } from './zone';

/** Where the bytes of a program are put. */
export function toolProgramBuffer(): usize {
  if (TARIFF == 0) return 0;
  return programBuffer();
}

/** Takes the program in the buffer into use; `ProgramError`. */
export function toolProgramUse(length: u32): u32 {
  if (TARIFF == 0) return 0;
  return programUse(length);
}

/** Where the bytes of dynamic tariffs are put. */
export function toolDynamicBuffer(): usize {
  if (TARIFF == 0) return 0;
  return dynamicBuffer();
}

/** Takes the dynamic tariffs in the buffer into use; `ProgramError`. */
export function toolDynamicUse(length: u32): u32 {
  if (TARIFF == 0) return 0;
  return dynamicUse(length);
}

/** Local time minus UTC, s. */
export function toolZoneOffset(utc: i64): i32 {
  if (TARIFF == 0) return 0;
  return zoneOffsetSeconds(utc);
}

export function toolZoneSummer(utc: i64): bool {
  if (TARIFF == 0) return false;
  return zoneSummer(utc);
}

/** The tariff, and from bit 16 on whether it is dynamic (1), or what follows (2). */
export function toolTariffAt(utc: i64): u32 {
  if (TARIFF == 0) return 0;
  const tariff = tariffAt(utc);
  return tariff | ((<u32>tariffDynamic) << 16) | ((<u32>tariffDynamicEnded) << 17);
}

/** The first instant after `utc`, at most `until` and a year ahead, at which the tariff is another one; 0 for none. */
export function toolTariffNext(utc: i64, until: i64): i64 {
  if (TARIFF == 0) return 0;
  return tariffNext(utc, until);
}
