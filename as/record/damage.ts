// What of the rings does not hold: found and told.
// What always holds: damage is told once for each ring and start; what is in the network's ring has no weight.

import { ChainField, MeterEvent, Ring, Tampering } from '../abi/codes';
import { raiseEvent } from '../meter/events';
import { chainClose, chainHolds, chainOpen } from './chain';
import { ringNewest, ringSlots } from './ring';

/** A slot that does not hold is read so often: it may have been misread. */
export const READS: u32 = 3;

/** Rings of which damage was told: bits. */
let told: u32 = 0;

/** Whether damage of the ring was told. */
export function damageTold(ring: u32): bool {
  return (told & (1 << ring)) != 0;
}

/** Tells once for each ring: `what` is of `Tampering`. */
export function damageTell(ring: u32, what: u32, sequence: u32): void {
  if (damageTold(ring)) return;
  told |= 1 << ring;
  raiseEvent(MeterEvent.Tampered, what, sequence, false);
}

/** An entry of a ring does not hold. */
export function damageOf(ring: u32, sequence: u32): void {
  if (ring == Ring.Network) return;
  damageTell(ring, ring == Ring.Records ? Tampering.Record : Tampering.Logbook, sequence);
}

/** Whether the slot of a sequence is the one behind the newest, which may hold what a write left: that is no damage. */
export function isBehind(ring: u32, sequence: u32): bool {
  return sequence + ringSlots(ring) == ringNewest(ring) + 1;
}

/** Whether what was read is the entry of a sequence. */
export function entryHolds(ring: u32, sequence: u32, data: usize): bool {
  chainOpen();
  const right = load<u32>(data, ChainField.Sequence) == sequence && chainHolds(ring, data);
  chainClose();
  return right;
}
