// The meter's way to the network: messages over the link to the gateway, or, on a board with a network of its own, as
// actions. A board may have sockets of its own for datagrams alone: those are actions, all else goes over the link. What always holds: a message is built in place (`networkBegin`) and either sent whole or not at all.

import { actionAdd, actionRoom, actionScratch, actionScratchRoom } from '../abi/buffers';
import { copy } from '../abi/bytes';
import { Action, Channel, DatagramTargetField } from '../abi/codes';
import { AES_KEY_BYTES } from '../aead/aes';
import {
  linkDatagramBuffer,
  linkDatagramSent,
  linkDatagramTick,
  linkIdentify,
  linkRoom,
  linkSend,
  linkStart,
  linkUp,
} from '../link/link';
import { LINK_KEY } from '../link/seal';
import { KeyPurpose, meterKey } from './keys';
import { METER_ID, settingsLinkSealed } from './settings';

/** A message on the time channel up to this size has a place of its own in the link. */
const SHORT_BYTES: u32 = 64;

/** Where `Message.UdpOpened` has family and address. */
const OPENED_FAMILY: usize = 2;
const OPENED_ADDRESS: usize = 4;
export const OPENED_BYTES: u32 = 20;

let own: bool = false;
let ownDatagrams: bool = false;
let datagramTick: u64 = 0;
let datagramLeft: bool = false;

/** Starts the way to the network. */
export function networkStart(ownNetwork: bool, tickHz: u32, seed: u64): void {
  own = ownNetwork;
  if (own) return;
  const sealed = settingsLinkSealed();
  if (sealed) meterKey(KeyPurpose.Link, LINK_KEY, AES_KEY_BYTES);
  linkIdentify(METER_ID, sealed);
  linkStart(false, tickHz, seed);
}

/** Datagrams leave from sockets of the board's own, beside the link. */
export function networkOwnDatagrams(): void {
  ownDatagrams = true;
}

/** Whether datagrams are the board's own affair: it tells when they came, and how long they stayed in it. */
export function networkDatagramsAreOwn(): bool {
  return own || ownDatagrams;
}

/** Where a socket's datagrams go: `Message.UdpOpened` of the gateway, and the port. False when that has to wait. */
export function networkTarget(opened: usize, port: u32): bool {
  if (!ownDatagrams) return true;
  if (!actionRoom(DatagramTargetField.Bytes)) return false;
  const at = actionAdd(Action.DatagramTarget, DatagramTargetField.Bytes);
  store<u8>(at, load<u8>(opened, 1), DatagramTargetField.Socket);
  store<u8>(at, load<u8>(opened, OPENED_FAMILY), DatagramTargetField.Family);
  store<u16>(at, <u16>port, DatagramTargetField.Port);
  copy(at + DatagramTargetField.Address, opened + OPENED_ADDRESS, 16);
  return true;
}

/** Whether the board has a network of its own. */
export function networkIsOwn(): bool {
  return own;
}

/** Whether messages can be sent at all. */
export function networkUp(): bool {
  return own || linkUp();
}

function isAction(channel: u32, length: u32): bool {
  return own || (ownDatagrams && channel == Channel.Time && length > SHORT_BYTES);
}

/** Room for a message of up to `length` bytes on a channel: where to build it; 0 when it has to wait. */
export function networkBegin(channel: u32, length: u32): usize {
  const asAction = isAction(channel, length);
  if (!asAction && channel == Channel.Time && length > SHORT_BYTES) {
    return linkRoom(channel) == 0 ? 0 : linkDatagramBuffer();
  }
  if (!asAction && channel != Channel.Time && linkRoom(channel) == 0) return 0;
  return (asAction ? actionRoom(1 + length) : actionScratchRoom(1 + length)) ? actionScratch() + 1 : 0;
}

/** Sends the message built where `networkBegin` said. */
export function networkSend(channel: u32, length: u32): void {
  if (isAction(channel, length)) {
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
