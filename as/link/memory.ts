// Memory of a gateway's end of a link: a meter's end has little, a gateway's as much as the protocol allows.
// What always holds: an end that was given memory has it from its start on; one that was not keeps to a meter's. A core for
// one server is never a gateway's.
//
//      0  the long message that is sent             LinkLimit.DatagramBytes
//   1256  the long message that is put together     LinkLimit.DatagramBytes
//   2512  slots of the stream channel               four of 232
//   3440  keys of the session that is offered         48
//   3488  the hello that it is for, from its header on  80, of which 74 are used
//   3568  the meter whose key is known, the one that said that hello, and that of the session: texts, 36 each
//   3676  what the host was told last: LinkReadyField  68
//   3744

import { LinkLimit } from '../abi/codes';

const SECOND: u32 = LinkLimit.DatagramBytes;
const QUEUE: u32 = 2 * LinkLimit.DatagramBytes;

export const GATEWAY_SLOTS: u32 = 4;
export const GATEWAY_SLOT_BYTES: u32 = 232;
const SEAL: u32 = QUEUE + GATEWAY_SLOTS * GATEWAY_SLOT_BYTES;

/** How much there has to be. */
export const GATEWAY_MEMORY_BYTES: u32 = SERVERS_MAX == 1 ? 0 : SEAL + 304;

let memoryAt: usize = 0;

/** This is a gateway's end, whose memory is at `at`, a multiple of eight; before `linkStart`. */
export function linkUseMemory(at: usize): void {
  memoryAt = at;
}

/** Whether it is one. */
export function memoryOfGateway(): bool {
  return SERVERS_MAX != 1 && memoryAt != 0;
}

export function memorySending(): usize {
  return memoryAt;
}

export function memoryReceiving(): usize {
  return memoryAt + SECOND;
}

export function memoryQueue(): usize {
  return memoryAt + QUEUE;
}

export function memoryOffered(): usize {
  return memoryAt + SEAL;
}

export function memoryHello(): usize {
  return memoryAt + SEAL + 48;
}

/** The meter whose key is known. */
export function memoryKnown(): usize {
  return memoryAt + SEAL + 128;
}

/** The one to which a session is offered. */
export function memoryAsker(): usize {
  return memoryAt + SEAL + 164;
}

/** That of the session. */
export function memoryPeer(): usize {
  return memoryAt + SEAL + 200;
}

/** What the host was told last: `LinkReadyField`. */
export function memoryTold(): usize {
  return memoryAt + SEAL + 236;
}
