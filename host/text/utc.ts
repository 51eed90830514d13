// Instants as ISO 8601 with nanoseconds: UTC, and legal time with its offset.
// What always holds: a text names one instant exactly; where no calendar date exists there is no text.

export const nsPerSecond = 1_000_000_000n;
const latestDateSeconds = 8_640_000_000_000n;

/**
 * Nanoseconds since 1970 as ISO 8601 with nine decimals; null where no calendar date exists.
 * @param leapSecond an inserted second is passing, which repeats 23:59:59 and is 23:59:60
 */
export function utcText(ns: bigint, leapSecond = false): string | null {
  const text = civilText(ns);
  return text === null ? null : `${leapSecond ? text.replace(/(?<=23:59:)59(?=\.)/, '60') : text}Z`;
}

/**
 * The same in local time: `2026-10-25T02:30:00.000000000+02:00`.
 * @param offsetMinutes local time minus UTC
 */
export function legalText(ns: bigint, offsetMinutes: number, leapSecond = false): string | null {
  const utc = civilText(ns);
  const local = civilText(ns + BigInt(offsetMinutes) * 60n * nsPerSecond);
  if (local === null || utc === null) return null;
  // Offsets are whole minutes, so the second that repeats is the last of a local minute too.
  const text = leapSecond && utc.includes('T23:59:59.') ? local.replace(/59(?=\.)/, '60') : local;
  return `${text}${offsetText(offsetMinutes)}`;
}

/** A UTC time of a report as legal time to the second, which is left out where it is 0: `2026-10-25T02:30+02:00`. */
export function legalTime(utc: string, offsetMinutes: number): string {
  const ms = Date.parse(utc);
  const text = Number.isNaN(ms) ? null : legalText(BigInt(Math.floor(ms / 1000)) * nsPerSecond, offsetMinutes);
  return text?.replace(/\.\d{9}/, '').replace(/(T\d\d:\d\d):00/, '$1') ?? utc;
}

/** `+02:00`: local time minus UTC, whole minutes. */
export function offsetText(offsetMinutes: number): string {
  const minutes = Math.abs(offsetMinutes);
  return `${offsetMinutes < 0 ? '-' : '+'}${twoDigits(Math.trunc(minutes / 60))}:${twoDigits(minutes % 60)}`;
}

const twoDigits = (value: number) => value.toString().padStart(2, '0');

function civilText(ns: bigint): string | null {
  const fraction = ((ns % nsPerSecond) + nsPerSecond) % nsPerSecond;
  const seconds = (ns - fraction) / nsPerSecond;
  if (seconds > latestDateSeconds || seconds < -latestDateSeconds) return null;
  const date = new Date(Number(seconds) * 1000)
    .toISOString()
    .replace(/\.000Z$/, '')
    .replace(/^\+0*(?=\d{4,}-)/, '');
  return `${date}.${fraction.toString().padStart(9, '0')}`;
}
