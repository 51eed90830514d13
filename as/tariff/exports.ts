// What tests in node reach of legal time and tariffs beside the tools (`tools.ts`); the names begin with `test`, firmware links
// none of them.
// What always holds: in a core without tariffs they do nothing, and nothing of tariffs is in it.

import { dynamicDrop } from './dynamic';
import { periodBegin, periodEnd } from './period';
import { programDrop, programInUse } from './program';
import { tariffAt, tariffDynamic, tariffDynamicEnded, tariffNext, tariffNextAction } from './tariff';
import { zoneEffective, zoneNextTransition } from './zone';

/** Bytes of a switch: u32 Unix seconds, u16 tariff, u16 whether it is dynamic (1), or what follows (2). */
const SWITCH_BYTES: usize = 8;

export function testProgramDrop(): void {
  if (TARIFF == 0) return;
  programDrop();
}

export function testProgramInUse(): bool {
  if (TARIFF == 0) return false;
  return programInUse();
}

export function testDynamicDrop(): void {
  if (TARIFF == 0) return;
  dynamicDrop();
}

export function testZoneEffective(utc: i64): i64 {
  if (TARIFF == 0) return 0;
  return zoneEffective(utc);
}

export function testZoneNextTransition(utc: i64): i64 {
  if (TARIFF == 0) return 0;
  return zoneNextTransition(utc);
}

export function testPeriodBegin(utc: i64, minutes: u32): i64 {
  if (TARIFF == 0) return 0;
  return periodBegin(utc, minutes);
}

export function testPeriodEnd(utc: i64, minutes: u32): i64 {
  if (TARIFF == 0) return 0;
  return periodEnd(utc, minutes);
}

export function testTariffNextAction(utc: i64): i64 {
  if (TARIFF == 0) return 0;
  return tariffNextAction(utc);
}

/** Looks for the next switch, and then says where the tariff comes from, as `toolTariffAt` does from bit 16 on. */
export function testTariffOriginAfterNext(utc: i64): u32 {
  if (TARIFF == 0) return 0;
  tariffAt(utc);
  tariffNext(utc, utc + 86_400);
  return <u32>tariffDynamic | ((<u32>tariffDynamicEnded) << 1);
}

/** Switches after `utc` and at most at `until`, `SWITCH_BYTES` each, to `to`; at most `most`. Returns how many. */
export function testTariffSwitches(utc: i64, until: i64, to: usize, most: u32): u32 {
  if (TARIFF == 0) return 0;
  let count: u32 = 0;
  let tariff = tariffAt(utc);
  for (let t = tariffNextAction(utc); t <= until && count < most; t = tariffNextAction(t)) {
    const next = tariffAt(t);
    if (next == tariff) continue;
    tariff = next;
    const at = to + SWITCH_BYTES * count++;
    store<u32>(at, <u32>t);
    store<u16>(at, <u16>tariff, 4);
    store<u16>(at, <u16>(<u32>tariffDynamic | ((<u32>tariffDynamicEnded) << 1)), 6);
  }
  return count;
}

/** Period boundaries after `utc` and at most at `until`, u32 Unix seconds each, to `to`; at most `most`. Returns how many. */
export function testPeriodEnds(utc: i64, until: i64, minutes: u32, to: usize, most: u32): u32 {
  if (TARIFF == 0) return 0;
  let count: u32 = 0;
  for (let t = periodEnd(utc, minutes); t <= until && count < most; t = periodEnd(t, minutes)) {
    store<u32>(to + 4 * count++, <u32>t);
  }
  return count;
}
