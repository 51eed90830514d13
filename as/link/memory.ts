// Memory of a gateway's end of a link: a meter's end has little, a gateway's as much as the protocol allows.
// What always holds: an end that was given memory has it from its start on; one that was not keeps to a meter's. A core for
// one server is never a gateway's.
//
//      0  the long message that is sent             LinkLimit.DatagramBytes
//   1256  the long message that is put together     LinkLimit.DatagramBytes
//   2512  slots of the stream channel               four of 248

import { LinkLimit } from '../abi/codes';

const SECOND: u32 = LinkLimit.DatagramBytes;
const QUEUE: u32 = 2 * LinkLimit.DatagramBytes;

export const GATEWAY_SLOTS: u32 = 4;
export const GATEWAY_SLOT_BYTES: u32 = 248;

/** How much there has to be. */
export const GATEWAY_MEMORY_BYTES: u32 = SERVERS_MAX == 1 ? 0 : QUEUE + GATEWAY_SLOTS * GATEWAY_SLOT_BYTES;

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
