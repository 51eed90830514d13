// The meter's way to the network: messages over the link to the gateway, or, on a board with a network of its own, as
// actions. What always holds: a message is built in place (`networkBegin`) and either sent whole or not at all.

import { actionAdd, actionRoom, actionScratch, actionScratchRoom } from '../abi/buffers';
import { Action, Channel } from '../abi/codes';
import {
  linkDatagramBuffer,
  linkDatagramSent,
  linkDatagramTick,
  linkRoom,
  linkSend,
  linkStart,
  linkUp,
} from '../link/link';

/** A message on the time channel up to this size has a place of its own in the link. */
const SHORT_BYTES: u32 = 64;

let own: bool = false;
let datagramTick: u64 = 0;
let datagramLeft: bool = false;

/** Starts the way to the network. */
export function networkStart(ownNetwork: bool, tickHz: u32, seed: u32): void {
  own = ownNetwork;
  if (!own) linkStart(false, tickHz, seed);
}

/** Whether the board has a network of its own. */
export function networkIsOwn(): bool {
  return own;
}

/** Whether messages can be sent at all. */
export function networkUp(): bool {
  return own || linkUp();
}

/** Room for a message of up to `length` bytes on a channel: where to build it; 0 when it has to wait. */
export function networkBegin(channel: u32, length: u32): usize {
  if (!own && channel == Channel.Time && length > SHORT_BYTES) return linkRoom(channel) == 0 ? 0 : linkDatagramBuffer();
  if (!own && channel != Channel.Time && linkRoom(channel) == 0) return 0;
  return (own ? actionRoom(1 + length) : actionScratchRoom(1 + length)) ? actionScratch() + 1 : 0;
}

/** Sends the message built where `networkBegin` said. */
export function networkSend(channel: u32, length: u32): void {
  if (own) {
    store<u8>(actionAdd(Action.Message, 1 + length), <u8>channel);
    return;
  }
  if (channel == Channel.Time && length > SHORT_BYTES) {
    // Forgets that an earlier one left.
    linkDatagramSent();
    datagramLeft = false;
    linkSend(channel, linkDatagramBuffer(), length);
  } else {
    linkSend(channel, actionScratch() + 1, length);
  }
}

/** Whether the last datagram has left on the link; then `networkDatagramTick` says when. */
export function networkDatagramLeft(): bool {
  if (!own && linkDatagramSent()) {
    datagramLeft = true;
    datagramTick = linkDatagramTick();
  }
  return datagramLeft;
}

/** Local tick at which the last byte of the last datagram left. */
export function networkDatagramTick(): u64 {
  return datagramTick;
}
