// When a frame that was not acknowledged is sent again: round trip and speed of the line as measured (RFC 6298).
//
// What always holds:
// - Only frames that were sent once give a round trip (Karn).
// - The timeout leaves room for the peer to end a full frame and to send another one that carries the acknowledgement.
// - All durations are local ticks.

import { LinkLimit } from '../abi/codes';

/** Instead of a tick: never. */
export const NEVER: u64 = u64.MAX_VALUE;

/** Tenths of a second that an answer takes beside its time on the line. */
const ANSWER: u32 = 15;

// A tenth of a second.
let tenth: u32 = 0;
let roundTrip: i32 = 0;
let variation: i32 = 0;
// A frame of the largest size on the line; rises at once, falls slowly.
let frameTicks: u32 = 0;

/** `hz`: 1,000 to 1,000,000,000 ticks a second, so that two seconds of them fit 31 bits. */
export function timingStart(hz: u32): void {
  tenth = hz / 10;
  roundTrip = tenth;
  variation = tenth >> 1;
  frameTicks = 0;
}

/** Local ticks of `n` tenths of a second. */
export function tenths(n: u32): u64 {
  return <u64>tenth * n;
}

/** A duration of at most two seconds. */
function limited(ticks: u64): u32 {
  return <u32>min(ticks, tenths(20));
}

/** A frame of `length` bytes took `ticks` from its handing over until its last byte had left. */
export function timingFrame(length: u32, ticks: u64): void {
  const full = limited(<u64>(limited(ticks) / length) * LinkLimit.FrameBytes);
  frameTicks = full > frameTicks ? full : frameTicks - ((frameTicks - full) >> 3);
}

/** How long the next piece of an answer may take: another frame may be on the line first, and a server thinks. */
export function timingAnswer(): u64 {
  return tenths(ANSWER) + ((<u64>frameTicks) << 1);
}

/** A frame was acknowledged `ticks` after its last byte had left. */
export function timingRoundTrip(ticks: u64): void {
  const error = <i32>limited(ticks) - roundTrip;
  roundTrip += error >> 3;
  variation += ((error < 0 ? -error : error) - variation) >> 2;
}

/**
 * How long to wait for an acknowledgement after `retries` tries without one: 50 ms to 4 s, and at most sixteen times the
 * first wait, for nobody else uses the line and a damaged frame is no sign of a busy one.
 */
export function timeout(retries: u32): u64 {
  const once = <u64>roundTrip + ((<u64>variation) << 2) + ((<u64>frameTicks) << 1);
  return min(max(once, tenth >> 1) << min(retries, 4), tenths(40));
}
