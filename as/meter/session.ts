// All time servers of the meter at once: what is due of each, and which of them a message is for.
// What always holds: a connection's and a socket's number says in its low two bits whose it is; messages with a number that
// is not the source's present one are late, and ignored.

import { Channel, Message, Missing, Reject, UdpReceivedField } from '../abi/codes';
import { REQUEST_MAX_BYTES } from '../link/layout';
import { exchangeAead } from '../nts/exchange';
import { agreeDeadline, agreeMissing, agreeStep } from './agree';
import { establishDeadline, establishMessage, establishReset, establishStep, establishWanted } from './establish';
import { raiseRefused } from './events';
import { networkBegin, networkSend, networkUp } from './network';
import { timeNowLocal } from './now';
import {
  pollDatagram,
  pollDeadline,
  pollMessage,
  pollMissed,
  pollStep,
  pollsNoteLeft,
  pollsReset,
  pollUdpFailed,
  pollWanted,
  WANT_UDP_CLOSE,
} from './poll';
import { randomReady } from './seed';
import { settingsServers } from './settings';
import { Source, serverSpread, sourceAt, sourceChanged, sourceCountReject, sourceHandle, sources } from './source';

function ready(): bool {
  return settingsServers() != 0 && randomReady();
}

/** Whether the key establishments of a fleet are still to be spread. */
let spreads: bool = false;

/** The meter runs. After a start that is not the first, no server is asked for keys by a whole fleet at once. */
export function sessionStart(first: bool): void {
  spreads = !first;
}

// Also those that stand in for others, and those whose stored keys are too old: counted from the first network on, for
// which a fleet waits together.
function spread(): void {
  if (!spreads) return;
  spreads = false;
  for (let i: u32 = 0; i < settingsServers(); i++) serverSpread(i);
}

/** The network was lost or came back without memory of our sockets: what stood on them begins anew. */
export function sessionNetworkReset(): void {
  for (let i: u32 = 0; i < sources(); i++) {
    pollsReset(sourceAt(i));
    establishReset(sourceAt(i));
  }
}

/** Whether there was a network since the start: before, no poll can be missed. */
let wasUp: bool = false;

/** Does what is due and can be done now. */
export function sessionStep(): void {
  if (!ready()) return;
  const now = timeNowLocal();
  agreeStep(now);
  if (networkUp()) {
    wasUp = true;
    spread();
  }
  for (let i: u32 = 0; i < sources(); i++) {
    const source = sourceAt(i);
    sourceHandle(source);
    if (networkUp()) step(source, now);
    else if (wasUp && exchangeAead(i) != 0) pollMissed(source, now);
  }
}

function step(source: Source, now: i64): void {
  pollsNoteLeft(source);
  if (source.stopped) return sendWanted(source);
  if (exchangeAead(source.index) != 0) pollStep(source, now);
  establishStep(source, now);
  sendWanted(source);
}

/** Local time at which `sessionStep` has something to do again. */
export function sessionDeadline(): i64 {
  if (!ready()) return i64.MAX_VALUE;
  const now = timeNowLocal();
  let due = agreeDeadline();
  for (let i: u32 = 0; i < sources(); i++) {
    const source = sourceAt(i);
    if (source.stopped) continue;
    if (wasUp && exchangeAead(i) != 0) due = min<i64>(due, networkUp() ? pollDeadline(source, now) : source.pollAt);
    if (networkUp()) due = min<i64>(due, establishDeadline(source));
  }
  return due;
}

/** A message of the stream channel. */
export function sessionMessage(message: usize, length: u32): void {
  if (length < 2) return;
  const type: u32 = load<u8>(message);
  const id: u32 = load<u8>(message, 1);
  if ((id & 3) >= sources()) return;
  const source = sourceAt(id & 3);
  sourceHandle(source);
  if (type == Message.UdpOpened || type == Message.UdpOpenFailed) {
    if (id == source.socketId) pollMessage(source, message, length);
  } else if (id == source.connection) {
    establishMessage(source, message, length);
  }
}

/** A datagram could not be sent: `Message.UdpFailed`. */
export function sessionUdpFailed(message: usize, length: u32): void {
  const id: u32 = length > 1 ? load<u8>(message, 1) : 0xff;
  if ((id & 3) >= sources() || sourceAt(id & 3).socketId != id) return;
  sourceHandle(sourceAt(id & 3));
  pollUdpFailed(sourceAt(id & 3), message, length);
}

/**
 * A datagram came: `Message.UdpReceived`.
 *
 * @param firstTick local tick of its first byte on the link
 * @param lastTick local tick of its last
 */
export function sessionDatagram(message: usize, length: u32, firstTick: u64, lastTick: u64): void {
  if (sources() == 0) return;
  const id: u32 = length > 1 ? load<u8>(message, UdpReceivedField.Socket) : 0xff;
  const source = sourceAt((id & 3) < sources() ? id & 3 : 0);
  sourceHandle(source);
  if (length >= <u32>UdpReceivedField.Payload && id == source.socketId) {
    return pollDatagram(source, message, length, firstTick, lastTick);
  }
  sourceCountReject(source, Reject.Unexpected);
  sourceChanged(source);
  raiseRefused(Reject.Unexpected);
}

/** What the meter waits for before it has a time: `Missing`. */
export function sessionMissing(): u32 {
  if (settingsServers() == 0) return Missing.Settings;
  if (!randomReady()) return Missing.Random;
  const missing = agreeMissing(timeNowLocal());
  return missing != Missing.None && !networkUp() ? Missing.Network : missing;
}

function sendWanted(source: Source): void {
  while (source.wants != 0) {
    const want = <u32>source.wants & (0 - <u32>source.wants);
    const message = networkBegin(Channel.Stream, REQUEST_MAX_BYTES);
    if (message == 0) return;
    const length = want < WANT_UDP_CLOSE ? establishWanted(source, message, want) : pollWanted(source, message, want);
    networkSend(Channel.Stream, length);
    source.wants = <u16>(source.wants & ~want);
  }
}
