// Which tariff applies at an instant, and when that changes: dynamic tariffs, what follows their end, and the calendar.
// What always holds: the calendar is read at the effective local time, which never goes back: so nothing is switched twice
// in the hour that autumn repeats, and what is in the hour that spring leaves out takes place right after it.

import { DynamicFallback, ProgramField } from '../abi/codes';
import { calendarNext, calendarTariff } from './calendar';
import { dynamicApplies, dynamicEnded, dynamicNext, dynamicTariff } from './dynamic';
import { programCount, programTariff } from './items';
import { programInUse } from './program';
import { zoneEffective, zoneOffsetSeconds, zoneStretchEnd } from './zone';

/** As far ahead as `tariffNextAction` looks, s. */
const AHEAD_SECONDS: i64 = 25 * 3600;
/** As far ahead as `tariffNext` looks, s: about a year. */
const SEARCH_SECONDS: i64 = 366 * 86_400;

/** Of the last `tariffAt`: whether the tariff is a dynamic one, and whether the dynamic ones have ended, a week at most. */
export let tariffDynamic: bool = false;
export let tariffDynamicEnded: bool = false;

/** The tariff at `utc`; 0 where neither a program nor dynamic tariffs are in use. */
export function tariffAt(utc: i64): u32 {
  tariffDynamic = dynamicApplies(utc);
  tariffDynamicEnded = dynamicEnded(utc);
  return tariffOf(utc);
}

function tariffOf(utc: i64): u32 {
  if (dynamicApplies(utc)) return dynamicTariff(utc);
  if (!programInUse()) return 0;
  if (dynamicEnded(utc)) {
    const fallback = programCount(ProgramField.Fallback);
    if (fallback == DynamicFallback.Keep) return dynamicTariff(utc);
    if (fallback == DynamicFallback.Tariff) return programTariff(ProgramField.FallbackTariff);
  }
  return calendarTariff(zoneEffective(utc));
}

/** The first instant after `utc` at which the tariff may change, at most 25 hours ahead. */
export function tariffNextAction(utc: i64): i64 {
  let next = min<i64>(utc + AHEAD_SECONDS, dynamicNext(utc));
  if (!programInUse()) return next;
  next = min<i64>(next, zoneStretchEnd(utc));
  // While local time is behind the effective one, the difference passes first.
  const local = calendarNext(zoneEffective(utc));
  return min<i64>(next, local - zoneOffsetSeconds(utc));
}

/**
 * The first instant after `utc`, at most `until` and a year ahead, at which the tariff is another one; 0 for none. Looks at
 * every action until then.
 */
export function tariffNext(utc: i64, until: i64): i64 {
  const tariff = tariffOf(utc);
  const end = min<i64>(until, utc + SEARCH_SECONDS);
  for (let next = tariffNextAction(utc); next <= end; next = tariffNextAction(next)) {
    if (tariffOf(next) != tariff) return next;
  }
  return 0;
}
