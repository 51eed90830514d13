// The gateway's end of one link: frames in and out, messages for the host, nothing else of a meter.
// What always holds: a message handed in without room is dropped by the link and the host is told the room again; an answer
// that waits for the line tells how long.

import { actionAdd, actionScratch, gatewayMemory } from '../abi/buffers';
import { appendText, clear, copy } from '../abi/bytes';
import {
  Action,
  Channel,
  LinkHello,
  LinkHelloField,
  LinkKeyField,
  LinkMessageField,
  LinkReadyField,
  LinkStartField,
  Message,
  UdpReceivedField,
} from '../abi/codes';
import { SHORT_BYTES } from '../link/datagram';
import { HelloField } from '../link/layout';
import {
  linkAsks,
  linkChannel,
  linkDatagramBuffer,
  linkDatagramWaits,
  linkDeadline,
  linkFirstTick,
  linkFrameSent,
  linkFramesDamaged,
  linkFramesReceived,
  linkFramesResent,
  linkFramesSent,
  linkHello,
  linkHelloRefused,
  linkKnow,
  linkLastTick,
  linkMessage,
  linkMessageLength,
  linkPeer,
  linkPoll,
  linkReceive,
  linkRoom,
  linkSend,
  linkServeOpen,
  linkSession,
  linkStart,
  linkUp,
} from '../link/link';
import { linkUseMemory, memoryTold } from '../link/memory';
import { sealFramesForged, sealFramesReplayed, sealStands } from '../link/seal';
import { timeNowTicks } from './now';

let tickHz: u32 = 0;

// The answer that was given last and may wait for the line: its residence by then, ns, and when that was.
let answerGiven: bool = false;
let answerResidence: u64 = 0;
let answerTick: u64 = 0;

/** `Event.LinkStart`. */
export function gatewayStart(start: usize, length: u32): bool {
  if (length < <u32>LinkStartField.Bytes || load<u32>(start, LinkStartField.TickHz) < 1000) return false;
  tickHz = load<u32>(start, LinkStartField.TickHz);
  linkUseMemory(gatewayMemory());
  if (load<u8>(start, LinkStartField.ServesOpen) == 1) linkServeOpen();
  linkStart(true, tickHz, load<u64>(start, LinkStartField.Nonce));
  return true;
}

/** `Event.Frame`. */
export function gatewayFrame(frame: usize, length: u32, firstTick: u64, lastTick: u64): void {
  if (!linkReceive(frame, length, firstTick, lastTick, timeNowTicks())) return;
  const messageBytes = linkMessageLength();
  const at = actionAdd(Action.Message, LinkMessageField.Message + messageBytes);
  clear(at, LinkMessageField.Message);
  store<u8>(at, <u8>linkChannel(), LinkMessageField.Channel);
  store<u64>(at, linkFirstTick(), LinkMessageField.FirstTick);
  store<u64>(at, linkLastTick(), LinkMessageField.LastTick);
  copy(at + LinkMessageField.Message, linkMessage(), messageBytes);
}

/** `Event.FrameSent`. */
export function gatewayFrameSent(tick: u64): void {
  linkFrameSent(tick);
}

/** `Event.LinkKey`. */
export function gatewayKey(at: usize, length: u32): void {
  if (length <= <u32>LinkKeyField.Meter || length != <u32>LinkKeyField.Meter + 1 + load<u8>(at, LinkKeyField.Meter))
    return;
  linkKnow(at + LinkKeyField.Meter, load<u8>(at, LinkKeyField.Known), at + LinkKeyField.Key);
  clear(at, length);
}

function tellHello(kind: u32): void {
  const hello = linkHello();
  const id = hello + HelloField.Meter;
  const at = actionAdd(Action.LinkHello, LinkHelloField.Meter + 1 + load<u8>(id));
  store<u8>(at, <u8>kind, LinkHelloField.Kind);
  store<u8>(at, load<u8>(hello, HelloField.Sealed), LinkHelloField.Sealed);
  appendText(at + LinkHelloField.Meter, id);
}

/** `Event.LinkSend`. */
export function gatewaySend(channel: u32, message: usize, length: u32): void {
  if (channel == Channel.Control || channel > <u32>Channel.Report || !linkSend(channel, message, length)) return;
  // Short ones lie elsewhere, and no answer that is sealed is short.
  if (channel != Channel.Time || length <= SHORT_BYTES) return;
  answerGiven = load<u8>(message) == Message.UdpReceived;
  if (!answerGiven) return;
  answerResidence = load<u32>(message, UdpReceivedField.BackResidenceNs);
  answerTick = timeNowTicks();
}

// An answer's residence ends with the departure of its first byte, behind what is on the line.
function answerResides(): void {
  answerGiven = answerGiven && linkDatagramWaits();
  if (!answerGiven) return;
  // Nothing waits for longer, and what does is told as the largest value.
  const ticks = min<u64>(timeNowTicks() - answerTick, <u64>tickHz * 5);
  const residence = answerResidence + (ticks * 1_000_000_000) / tickHz;
  store<u32>(linkDatagramBuffer(), <u32>min<u64>(residence, u32.MAX_VALUE), UdpReceivedField.BackResidenceNs);
}

/** After each event: the next frame, what changed, the next wake-up. */
export function gatewayStep(): void {
  answerResides();
  if (linkAsks()) tellHello(LinkHello.Asks);
  if (linkHelloRefused()) tellHello(LinkHello.Refused);
  const frameBytes = linkPoll(timeNowTicks(), actionScratch());
  if (frameBytes != 0) actionAdd(Action.FrameSend, frameBytes);
  const ready = actionScratch();
  clear(ready, LinkReadyField.Bytes);
  store<u8>(ready, linkUp() ? 1 : 0, LinkReadyField.Up);
  store<u8>(ready, <u8>linkRoom(Channel.Time), LinkReadyField.TimeRoom);
  store<u8>(ready, <u8>linkRoom(Channel.Stream), LinkReadyField.StreamRoom);
  store<u8>(ready, <u8>linkRoom(Channel.Report), LinkReadyField.ReportRoom);
  store<u16>(ready, <u16>linkSession(), LinkReadyField.Session);
  store<u8>(ready, sealStands() ? 1 : 0, LinkReadyField.Sealed);
  store<u32>(ready, linkFramesReceived(), LinkReadyField.FramesReceived);
  store<u32>(ready, linkFramesDamaged(), LinkReadyField.FramesDamaged);
  store<u32>(ready, linkFramesSent(), LinkReadyField.FramesSent);
  store<u32>(ready, linkFramesResent(), LinkReadyField.FramesResent);
  store<u32>(ready, sealFramesForged(), LinkReadyField.FramesForged);
  store<u32>(ready, sealFramesReplayed(), LinkReadyField.FramesReplayed);
  if (linkPeer() != 0) appendText(ready + LinkReadyField.Meter, linkPeer());
  let same = true;
  for (let i: usize = 0; i < <usize>LinkReadyField.Bytes; i += 4)
    same = same && load<u32>(ready + i) == load<u32>(memoryTold() + i);
  if (!same) {
    copy(memoryTold(), ready, LinkReadyField.Bytes);
    actionAdd(Action.LinkReady, LinkReadyField.Bytes);
  }
  const wake = linkDeadline();
  if (wake != u64.MAX_VALUE) store<u64>(actionAdd(Action.Wake, 8), wake);
}
