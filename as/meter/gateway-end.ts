// The gateway's end of one link: frames in and out, messages for the host, nothing else of a meter.
// What always holds: a message handed in without room is dropped by the link and the host is told the room again.

import { actionAdd, actionScratch } from '../abi/buffers';
import { clear, copy } from '../abi/bytes';
import { Action, Channel, LinkMessageField, LinkReadyField, LinkStartField } from '../abi/codes';
import {
  linkChannel,
  linkDeadline,
  linkFirstTick,
  linkFrameSent,
  linkFramesDamaged,
  linkFramesReceived,
  linkFramesResent,
  linkFramesSent,
  linkLastTick,
  linkMessage,
  linkMessageLength,
  linkPoll,
  linkReceive,
  linkRoom,
  linkSend,
  linkSession,
  linkStart,
  linkUp,
} from '../link/link';
import { timeNowTicks } from './now';

/** `Event.LinkStart`. */
export function gatewayStart(start: usize, length: u32): bool {
  if (length < <u32>LinkStartField.Bytes || load<u32>(start, LinkStartField.TickHz) < 1000) return false;
  linkStart(true, load<u32>(start, LinkStartField.TickHz), load<u32>(start, LinkStartField.Nonce));
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

/** `Event.LinkSend`. */
export function gatewaySend(channel: u32, message: usize, length: u32): void {
  if (channel != Channel.Control && channel <= <u32>Channel.Report) linkSend(channel, message, length);
}

// What the host was told last: LinkReadyField.
const TOLD: usize = memory.data(24, 8);

/** After each event: the next frame, what changed, the next wake-up. */
export function gatewayStep(): void {
  const frameBytes = linkPoll(timeNowTicks(), actionScratch());
  if (frameBytes != 0) actionAdd(Action.FrameSend, frameBytes);
  const ready = actionScratch();
  clear(ready, LinkReadyField.Bytes);
  store<u8>(ready, linkUp() ? 1 : 0, LinkReadyField.Up);
  store<u8>(ready, <u8>linkRoom(Channel.Time), LinkReadyField.TimeRoom);
  store<u8>(ready, <u8>linkRoom(Channel.Stream), LinkReadyField.StreamRoom);
  store<u8>(ready, <u8>linkRoom(Channel.Report), LinkReadyField.ReportRoom);
  store<u16>(ready, <u16>linkSession(), LinkReadyField.Session);
  store<u32>(ready, linkFramesReceived(), LinkReadyField.FramesReceived);
  store<u32>(ready, linkFramesDamaged(), LinkReadyField.FramesDamaged);
  store<u32>(ready, linkFramesSent(), LinkReadyField.FramesSent);
  store<u32>(ready, linkFramesResent(), LinkReadyField.FramesResent);
  let same = true;
  for (let i: usize = 0; i < <usize>LinkReadyField.Bytes; i += 4)
    same = same && load<u32>(ready + i) == load<u32>(TOLD + i);
  if (!same) {
    copy(TOLD, ready, LinkReadyField.Bytes);
    actionAdd(Action.LinkReady, LinkReadyField.Bytes);
  }
  const wake = linkDeadline();
  if (wake != u64.MAX_VALUE) store<u64>(actionAdd(Action.Wake, 8), wake);
}
