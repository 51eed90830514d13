// The instant at which the event being handled happened.

import { ClockStatus } from '../abi/codes';
import { clockStatus, clockUtc } from '../clock/clock';
import { localFromTicks } from '../clock/local';

let nowTicks: u64 = 0;
let nowLocal: i64 = 0;

/** An event happened at this local tick. Time never runs backwards: an earlier tick, as that of a frame sent may be, changes nothing. */
export function timeSetNow(ticks: u64): void {
  if (ticks < nowTicks) return;
  nowTicks = ticks;
  nowLocal = localFromTicks(ticks);
}

/** Local tick of the event being handled. */
export function timeNowTicks(): u64 {
  return nowTicks;
}

/** Local ns of the event being handled. */
export function timeNowLocal(): i64 {
  return nowLocal;
}

/** UTC ns of the event being handled; 0 while unsynchronised. */
export function timeNowUtc(): i64 {
  return clockStatus() == ClockStatus.Unsynchronised ? 0 : clockUtc(nowLocal);
}
