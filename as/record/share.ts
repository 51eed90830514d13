// What may happen some times at once, and after that only so often: a share, kept as the local time up to which it is used.
// What always holds: over any time t no more than `burst` + t / `interval` are taken; what is not used is not saved up.

/** Local time at which one more fits into a share that is used up to `used`: so many at once, and one each interval (ns). */
export function shareDue(used: i64, now: i64, interval: i64, burst: i64): i64 {
  return max<i64>(used, now) - (burst - 1) * interval;
}

/** Up to when it is used with one more. */
export function shareTake(used: i64, now: i64, interval: i64): i64 {
  return max<i64>(used, now) + interval;
}
