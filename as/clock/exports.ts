// What simulations in node read of the clock; the name begins with `test`, firmware does not link it.
// What always holds: reading changes nothing that an event or a later reading sees.

import { actionsAt } from '../abi/buffers';
import { ClockStatus, TimeNowField } from '../abi/codes';
import { clockBoundNs, clockStatus, clockUncertaintyNs, clockUtc } from './clock';
import { localFromTicks } from './local';

/** Puts the time at a local tick into the action buffer, as `Action.TimeNow` has it; the status takes 32 bits. */
export function testClock(ticks: f64): void {
  const t = localFromTicks(<u64>ticks);
  const at = actionsAt();
  store<u32>(at, clockStatus(), TimeNowField.Status);
  // Without a time nothing else means anything, and what is not known yet is beyond any number.
  if (clockStatus() == ClockStatus.Unsynchronised) return;
  store<i64>(at, clockUtc(t), TimeNowField.UtcNs);
  store<i64>(at, clockBoundNs(t), TimeNowField.BoundNs);
  store<i64>(at, clockUncertaintyNs(t), TimeNowField.UncertaintyNs);
}
