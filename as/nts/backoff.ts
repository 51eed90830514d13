// How long to wait before the next NTS key establishment with a server (RFC 8915 4.2).
//
//   start        a moment within the spread of the settings, unless it is the first start
//   first wait   10 s, times 1 to 1.5
//   each next    the one before, times 1.5 to 2 (DNS, TCP) or 2 to 3 (all others)
//   at most      5 days; after DNS errors, of which no time server knows, 1 hour
//
// The factors are drawn by each meter at each failure, so meters that failed together drift apart, by more each time.
// What always holds: never below RFC 8915's 10 s · 1.5^(n-1) for the n-th failure of a kind, up to the longest wait.

/** What failed: each kind has waits of its own. */
export enum FailureKind {
  /** The name was not resolved. */
  Dns = 0,
  /** No connection. */
  Tcp = 1,
  /** No TLS session, or a certificate that does not count. */
  Tls = 2,
  /** The key establishment itself, or keys that led to no authenticated answer. */
  KeyEstablishment = 3,
  /** Keys that led to answers, but not for long: whoever sees the requests can bring that about again and again. */
  ShortLived = 4,
}

const FIRST_MS: u32 = 10_000;
const LONGEST_MS: u32 = 432_000_000;
const LONGEST_DNS_MS: u32 = 3_600_000;

/**
 * The wait after a start that is not the first, so that a fleet does not come back all at once: a pure function.
 *
 * @param spreadSeconds over how long a fleet is spread, s; at most 65535
 * @param random 32 random bits
 * @returns ms, below the spread
 */
export function backoffSpread(spreadSeconds: u32, random: u32): u32 {
  return <u32>((<u64>spreadSeconds * 1000 * <u64>random) >> 32);
}

/**
 * The wait after a failure: a pure function.
 *
 * @param kind what failed
 * @param previousMs wait after the failure of this kind before, since the last authenticated answer; 0 for none
 * @param random 16 random bits
 * @returns ms
 */
export function backoffNext(kind: u32, previousMs: u32, random: u32): u32 {
  const longest = kind == FailureKind.Dns ? LONGEST_DNS_MS : LONGEST_MS;
  if (previousMs == 0) return FIRST_MS + <u32>(((<u64>FIRST_MS / 2) * (random & 0xffff)) >> 16);
  // In halves of the one before: 3 to 4, or 4 to 6.
  const least: u64 = kind >= <u32>FailureKind.Tls ? 4 : 3;
  const spread: u64 = kind >= <u32>FailureKind.Tls ? 2 : 1;
  const half = (<u64>previousMs + 1) / 2;
  return <u32>min<u64>(half * least + ((half * spread * (random & 0xffff)) >> 16), longest);
}
