// When a frame that was not acknowledged is sent again: round trip and speed of the line as measured (RFC 6298).
//
// What always holds:
// - Only frames that were sent once give a round trip (Karn).
// - The timeout leaves room for the peer to end a full frame and to send another one that carries the acknowledgement.
// - All durations are local ticks.

import { LinkLimit } from '../abi/codes';

/** Instead of a tick: never. */
export const NEVER: u64 = u64.MAX_VALUE;

let tickHz: u64 = 0;
let roundTrip: i64 = 0;
let variation: i64 = 0;
// A frame of the largest size on the line; rises at once, falls slowly.
let frameTicks: u64 = 0;

export function timingStart(hz: u32): void {
  tickHz = hz;
  roundTrip = hz / 10;
  variation = hz / 20;
  frameTicks = 0;
}

/** Local ticks of `n` tenths of a second. */
export function tenths(n: u32): u64 {
  return (tickHz / 10) * n;
}

/** A frame of `length` bytes took `ticks` from its handing over until its last byte had left. */
export function timingFrame(length: u32, ticks: u64): void {
  const limit = tenths(20);
  const full = min<u64>(<u64>(<u32>min(ticks, limit) / length) * LinkLimit.FrameBytes, limit);
  frameTicks = full > frameTicks ? full : frameTicks - ((frameTicks - full) >> 3);
}

/** A frame was acknowledged `ticks` after its last byte had left. */
export function timingRoundTrip(ticks: u64): void {
  const error = <i64>min(ticks, tenths(40)) - roundTrip;
  roundTrip += error >> 3;
  variation += ((error < 0 ? -error : error) - variation) >> 2;
}

/**
 * How long to wait for an acknowledgement after `retries` tries without one: 50 ms to 4 s, and at most sixteen times the
 * first wait, for nobody else uses the line and a damaged frame is no sign of a busy one.
 */
export function timeout(retries: u32): u64 {
  const once = <u64>(roundTrip + (variation << 2)) + (frameTicks << 1);
  return min(max(once, tenths(1) >> 1) << min(retries, 4), tenths(40));
}
