// Which ring an event belongs to: the logbook, whose entries stay until an operator has released them, or the network's ring,
// whose oldest are overwritten.
// What always holds: nothing that whoever sits on the network can bring about fills the logbook or wears out the storage.
// What it alone can provoke goes to its own ring, at most once a minute; what the logbook needs but a network can bring
// about often, as losing and regaining synchronisation, takes some entries a day and never the logbook's last quarter; the
// rest of it goes to the network's ring, and the next entry of the logbook counts it.

import { clear } from '../abi/bytes';
import { ChainField, Format, LogField, MeterEvent, Ring, StorageMap } from '../abi/codes';
import { eventLogged, eventToLog, eventUnlogged, eventUnloggedCode, raiseEvent } from '../meter/events';
import { SECOND_NS } from '../ntp/timestamp';
import { markReleased } from './mark';
import { ringNewest } from './ring';
import { shareDue, shareTake } from './share';

const HOUR_NS: i64 = 3600 * SECOND_NS;

/** The last slot is kept for the event that the logbook is full. */
const FULL: u32 = <u32>StorageMap.LogbookSlots - 1;
/** Up to here the logbook takes what a network can bring about. */
const LIMITED: u32 = (<u32>StorageMap.LogbookSlots / 4) * 3;
/** More events do not wait to be logged at once. */
const EVENTS_MAX: u32 = 16;
/** No ring: the event is not stored. */
const NOWHERE: u32 = 0xff;

// Whatever the network alone can provoke: bits of `MeterEvent`.
const NETWORK: u64 =
  ((<u64>1) << MeterEvent.KeysEstablished) |
  ((<u64>1) << MeterEvent.KeFailed) |
  ((<u64>1) << MeterEvent.AnswerRefused) |
  ((<u64>1) << MeterEvent.Nak) |
  ((<u64>1) << MeterEvent.CertificateRefused) |
  ((<u64>1) << MeterEvent.BoundsDisagree) |
  ((<u64>1) << MeterEvent.SourceStopped) |
  ((<u64>1) << MeterEvent.RateLimited) |
  ((<u64>1) << MeterEvent.KeysRestored) |
  ((<u64>1) << MeterEvent.KeysSwitched) |
  ((<u64>1) << MeterEvent.SourceDisagrees) |
  ((<u64>1) << MeterEvent.MajorityLost) |
  ((<u64>1) << MeterEvent.MajorityReached) |
  ((<u64>1) << MeterEvent.LeapDisagrees) |
  ((<u64>1) << MeterEvent.UpdateRefused) |
  ((<u64>1) << MeterEvent.LinkRefused) |
  // Daily, where prices change daily.
  ((<u64>1) << MeterEvent.DynamicStored);

// What a network that comes and goes, or is slow at will, brings about: of synchronisation, and of the clock.
const SYNCHRONISATION: u64 =
  ((<u64>1) << MeterEvent.Synchronised) |
  ((<u64>1) << MeterEvent.Holdover) |
  ((<u64>1) << MeterEvent.HoldoverEnded) |
  ((<u64>1) << MeterEvent.RecordsFull) |
  ((<u64>1) << MeterEvent.RecordsResumed);
const CLOCK: u64 =
  ((<u64>1) << MeterEvent.ClockSet) |
  ((<u64>1) << MeterEvent.ClockSlewed) |
  ((<u64>1) << MeterEvent.ClockRefused) |
  ((<u64>1) << MeterEvent.PeriodsInvalid) |
  ((<u64>1) << MeterEvent.LeapAnnounced);
// Parts that fail now and then, for years.
const PARTS: u64 = ((<u64>1) << MeterEvent.StorageFailed) | ((<u64>1) << MeterEvent.ThermometerFailed);

/** For each of these and for the network's ring: local time up to which its share is used, i64. */
const SHARES: usize = TARIFF == 0 ? 0 : memory.data(32, 8);

/** Ring of the oldest event that is not logged, once that is decided. */
let ring: u32 = 0;
let decided: bool = false;
/** Events that were left out of the logbook since its newest entry. */
let leftOut: u32 = 0;

/** Entries of the logbook that are not released. */
function used(): u32 {
  return ringNewest(Ring.Logbook) - markReleased();
}

/** Whether the logbook has no room: what that means, the rules of the settings say. */
export function logFull(): bool {
  if (TARIFF == 0) return false;
  return used() >= FULL;
}

/** Whether the logbook takes one more event, whatever others come before it. */
export function logRoom(): bool {
  if (TARIFF == 0) return true;
  return used() + EVENTS_MAX < FULL;
}

/** Tells where the logbook was found full, or has become it. */
export function logTellFull(): void {
  if (used() == FULL) raiseEvent(MeterEvent.LogbookFull, ringNewest(Ring.Logbook), 0, false);
}

// Whether one more fits into a share of `burst` at once and one each `interval` on average; then it is counted.
function takes(share: u32, now: i64, interval: i64, burst: i64): bool {
  const at = SHARES + 8 * share;
  const used = load<i64>(at);
  if (shareDue(used, now, interval, burst) > now) return false;
  store<i64>(at, shareTake(used, now, interval));
  return true;
}

function has(codes: u64, code: u32): bool {
  return ((codes >> code) & 1) != 0;
}

function ringOf(code: u32, now: i64): u32 {
  if (!has(NETWORK, code)) {
    let fits: bool = used() < FULL + (code == MeterEvent.LogbookFull ? 1 : 0);
    if (has(SYNCHRONISATION, code)) fits = used() < LIMITED && takes(1, now, 6 * HOUR_NS, 8);
    else if (has(CLOCK, code)) fits = used() < LIMITED && takes(2, now, 3 * HOUR_NS, 16);
    else if (has(PARTS, code)) fits = used() < LIMITED && takes(3, now, 12 * HOUR_NS, 4);
    if (fits) return Ring.Logbook;
    leftOut += 1;
  }
  return takes(0, now, 60 * SECOND_NS, 32) ? Ring.Network : NOWHERE;
}

/** Makes the entry of the oldest event that is not logged; false where there is none. Then `logRing` is its ring. */
export function logNext(now: i64, body: usize): bool {
  for (; eventUnlogged(); eventLogged()) {
    if (!decided) ring = ringOf(eventUnloggedCode(), now);
    decided = ring != NOWHERE;
    if (!decided) continue;
    clear(body, ChainField.BodyBytes);
    store<u8>(body, Format.Log);
    store<u8>(body, <u8>ring, LogField.Ring);
    eventToLog(body);
    if (ring == Ring.Logbook) store<u16>(body, <u16>min<u32>(leftOut, 0xffff), LogField.LeftOut);
    return true;
  }
  return false;
}
export function logRing(): u32 {
  return ring;
}

/** That entry is in its ring. */
export function logStored(): void {
  decided = false;
  eventLogged();
  if (ring != Ring.Logbook) return;
  leftOut = 0;
  logTellFull();
}
