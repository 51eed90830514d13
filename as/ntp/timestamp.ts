// NTP timestamps (RFC 5905 6) to and from nanoseconds since 1970, across eras.
// What always holds: a 32-bit count of seconds is read as the one date within the 136 years that begin one year before
// the pivot, so 2036-02-07 and later need nothing special as long as the pivot is no older than the software. What was
// meant as more than a year before the pivot comes out beyond `ntpLatestNs`, and is no date at all.

/** Seconds from 1900 to 1970. */
const UNIX_EPOCH: i64 = 2208988800;
const ERA_SECONDS: i64 = 0x1_0000_0000;
const YEAR_SECONDS: i64 = 31_557_600;

/** Longest time from a pivot to a date that can be: the shelf and the life of a meter. */
const LIFE_SECONDS: i64 = 40 * YEAR_SECONDS;

/** Nanoseconds in a second. */
export const SECOND_NS: i64 = 1_000_000_000;

/**
 * A 64-bit NTP timestamp as UTC ns since 1970.
 *
 * @param at eight bytes in network order
 * @param pivotUnixSeconds date that chooses the era
 */
export function ntpToUnixNs(at: usize, pivotUnixSeconds: i64): i64 {
  const seconds = <i64>bswap<u32>(load<u32>(at));
  const fraction = <u64>bswap<u32>(load<u32>(at, 4));
  const earliest = pivotUnixSeconds - YEAR_SECONDS + UNIX_EPOCH;
  const since = (seconds - earliest) & (ERA_SECONDS - 1);
  return (earliest + since - UNIX_EPOCH) * SECOND_NS + <i64>((fraction * 1_000_000_000) >> 32);
}

/** Latest date, UTC ns, that a timestamp may be read as; the era of a later one is not known. */
export function ntpLatestNs(pivotUnixSeconds: i64): i64 {
  return (pivotUnixSeconds + LIFE_SECONDS) * SECOND_NS;
}

/** A 32-bit NTP short format (16.16 s, RFC 5905 6) in ns. */
export function ntpShortToNs(at: usize): i64 {
  return <i64>((<u64>bswap<u32>(load<u32>(at)) * 1_000_000_000) >> 16);
}

/** The precision of an NTP header, log2 s, as ns, rounded up; beyond 4 s, 4 s. */
export function ntpPrecisionNs(precision: i32): i64 {
  return precision > 0 ? SECOND_NS << min<i32>(precision, 2) : (SECOND_NS >> min<i32>(-precision, 63)) + 1;
}
