// Quantities as people read them, all in the same manner: a sign where it counts, three digits, a unit.
import { durationText } from '../text/names.ts';

/** `+1.23 ms`, `-12 ns`; `-` where it is not known. */
export function signedNs(ns: bigint | number | null | undefined): string {
  if (ns === null || ns === undefined) return '-';
  return `${ns < 0 ? '' : '+'}${durationText(ns)}`;
}

/** `1.23 ms`; `-` where it is not known. */
export function plainNs(ns: bigint | number | null | undefined): string {
  return ns === null || ns === undefined ? '-' : durationText(ns);
}

/** `-0.02 ms ± 1.20 ms`: both in one unit and to one digit, the third of the half width. */
export function aroundNs(ns: bigint, halfWidthNs: bigint): string {
  const [value, half] = [Number(ns), Number(halfWidthNs)];
  const size = Math.max(Math.abs(value), half);
  const [divisor, unit] = size >= 1e9 ? [1e9, 's'] : size >= 1e6 ? [1e6, 'ms'] : size >= 1e3 ? [1e3, 'us'] : [1, 'ns'];
  const finest = Math.round(Math.log10(divisor));
  const digits = Math.min(finest, Math.max(0, 2 - Math.floor(Math.log10(Math.max(half, 1) / divisor))));
  const [middle, around] = [value, half].map((each) => (each / divisor).toFixed(digits));
  return `${value < 0 ? '' : '+'}${middle} ${unit} ± ${around} ${unit}`;
}

/** How long, or how long ago, as chronyc and ntpq print it: `12`, `34m`, `5h`, `6d`, `7y`; a dash for never. */
export function ageText(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined || Number.isNaN(seconds)) return '-';
  const steps = [
    [1, 's', 1000],
    [60, 'm', 600],
    [3600, 'h', 100],
    [86_400, 'd', 1000],
    [31_557_600, 'y', Number.POSITIVE_INFINITY],
  ] as const;
  const value = Math.max(0, seconds);
  const [size, unit] = steps.find(([unitSize, , most]) => value / unitSize < most) ?? steps[4];
  return `${Math.round(value / size)}${unit}`;
}

/** Seconds since a UTC time in ns, by this machine's clock; null for never. */
export function secondsSince(utcNs: string | null): number | null {
  return utcNs === null ? null : Date.now() / 1000 - Number(BigInt(utcNs) / 1_000_000n) / 1000;
}

/** The eight last polls in octal, as chronyc and ntpq print them. */
export function reachText(bits: string): string {
  return Number.parseInt(bits, 2).toString(8).padStart(3, '0');
}

/** Frequency correction in ppm. */
export function ppmText(ppb: number): string {
  return `${ppb < 0 ? '' : '+'}${(ppb / 1000).toFixed(3)} ppm`;
}

/** `-4.2001 ppm ± 0.0315 ppm`: both to one digit, the third of the half width, and no finer than the meter tells. */
export function aroundPpm(ppb: number, halfWidthPpb: number): string {
  const [value, half] = [ppb / 1000, halfWidthPpb / 1000];
  const digits = Math.min(6, Math.max(0, 2 - Math.floor(Math.log10(Math.max(half, 1e-6)))));
  return `${value < 0 ? '' : '+'}${value.toFixed(digits)} ppm ± ${half.toFixed(digits)} ppm`;
}
