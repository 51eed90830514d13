// Registration periods: they begin where the local time of day is a multiple of the period.
// What always holds: a period ends after it began; where local time is set by what is no multiple of the period, as Lord
// Howe's half hour is none of an hour, the transition ends it too. A day has whole periods, but for its last one where they
// do not divide it.

import { DAY_SECONDS, zoneLocal, zoneOffsetSeconds, zoneStretchBegin, zoneStretchEnd } from './zone';

/** The first boundary after `utc`; i64.MAX_VALUE where there are no periods (`minutes` 0). */
export function periodEnd(utc: i64, minutes: u32): i64 {
  if (minutes == 0) return i64.MAX_VALUE;
  const period: i64 = 60 * <i64>minutes;
  let end = endInStretch(utc, period);
  // Each turn is a later stretch of the zone, which are not many.
  while (end >= zoneStretchEnd(utc)) {
    end = zoneStretchEnd(utc);
    const jump = zoneOffsetSeconds(end) - zoneOffsetSeconds(utc);
    if (jump % period != 0 || sinceBoundary(end, period) == 0) break;
    utc = end;
    end = endInStretch(utc, period);
  }
  return end;
}

/** The last boundary at or before `utc`; i64.MIN_VALUE where there are no periods. */
export function periodBegin(utc: i64, minutes: u32): i64 {
  if (minutes == 0) return i64.MIN_VALUE;
  const period: i64 = 60 * <i64>minutes;
  let begin = utc - sinceBoundary(utc, period);
  while (begin < zoneStretchBegin(utc)) {
    begin = zoneStretchBegin(utc);
    const jump = zoneOffsetSeconds(utc) - zoneOffsetSeconds(begin - 1);
    if (jump % period != 0) break;
    utc = begin - 1;
    begin = utc - sinceBoundary(utc, period);
  }
  return begin;
}

// Seconds since the local time of day was a multiple of the period, by the present offset.
function sinceBoundary(utc: i64, period: i64): i64 {
  return (zoneLocal(utc) % DAY_SECONDS) % period;
}

// The first time after `utc` at which it will be that, by the same offset.
function endInStretch(utc: i64, period: i64): i64 {
  const second = zoneLocal(utc) % DAY_SECONDS;
  return utc + min<i64>(period - (second % period), DAY_SECONDS - second);
}
