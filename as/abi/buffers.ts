// Where an event is found and where the actions that it leads to are put: behind everything else in memory, so that a
// meter whose datagrams go over a link needs no room for them here.
// What always holds: actions are written one behind the other, each whole; what a single event can lead to fits, since
// messages to the network are held back (`actionRoom`) when the rest of the buffer is needed for everything else. There is
// one storage operation in an event at most, and no frame beside a long write, whose end is an event that comes at once
// (`actionFrameRoom`). The frame comes last, so its place is free before: a meter on a link builds there what it hands to the
// link, which copies it at once (`actionScratchRoom`).
//
//   action   0  kind         u16
//            2  length       u16
//            4  payload
//   event    0  local tick   u64
//            8  payload

import { GATEWAY_MEMORY_BYTES } from '../link/memory';
import { Abi, Action, LinkLimit, RtcField, StorageMap, TariffSwitchField, TimeNowField } from './codes';

/** The longest write to the storage: part of a reserve. */
const WRITE_BYTES: u32 = Abi.ActionHeaderBytes + 4 + StorageMap.ReservePartBytes;
const WAKE_BYTES: u32 = Abi.ActionHeaderBytes + 8;
/** The real-time clock set and asked, the thermometer asked, the next wake-up, and the time where that is asked for. */
const TIME_BYTES: u32 =
  3 * Abi.ActionHeaderBytes + RtcField.Bytes + WAKE_BYTES + Abi.ActionHeaderBytes + TimeNowField.Bytes;
/** A question for readings, and a tariff. */
const TARIFF_BYTES: u32 = TARIFF == 0 ? 0 : 2 * Abi.ActionHeaderBytes + TariffSwitchField.Bytes;
/** What may accompany a message. */
const RESERVED: u32 = WRITE_BYTES + TIME_BYTES + TARIFF_BYTES;

/** Actions of a meter on a link: none of them is a message. */
const SMALL_ACTIONS: u32 = RESERVED;
/** The largest event of a meter on a link: part of a reserve. What is longer is read in pieces. */
const SMALL_EVENT: u32 = Abi.EventHeaderBytes + 4 + StorageMap.ReservePartBytes;

/** With a datagram as an action or event, and the 24 bytes that the gateway's end puts in front of it. */
const LARGE_ACTIONS: u32 = RESERVED + Abi.ActionHeaderBytes + 24 + LinkLimit.DatagramBytes;
const LARGE_EVENT: u32 = Abi.EventHeaderBytes + 8 + LinkLimit.DatagramBytes;

let large: bool = false;
let used: u32 = 0;

/** Makes room for whole datagrams: for a board with a network of its own, and for the gateway's end of a link. */
export function buffersEnlarge(): void {
  large = true;
}

/** Where a gateway's end of a link finds its memory, `GATEWAY_MEMORY_BYTES`; 0 without large buffers. */
export function gatewayMemory(): usize {
  return large ? (__heap_base + 7) & ~7 : 0;
}

/** The action buffer. */
export function actionsAt(): usize {
  return ((__heap_base + 7) & ~7) + (large ? <usize>GATEWAY_MEMORY_BYTES : 0);
}

function actionsCapacity(): u32 {
  return ((large ? LARGE_ACTIONS : SMALL_ACTIONS) + 7) & ~7;
}

/** The event buffer. */
export function eventAt(): usize {
  return actionsAt() + actionsCapacity();
}

/** Bytes of the event buffer. */
export function eventBytes(): u32 {
  return ((large ? LARGE_EVENT : SMALL_EVENT) + 7) & ~7;
}

/** Forgets the actions of the last event. */
export function actionsClear(): void {
  used = 0;
}

/** Bytes of actions in the buffer. */
export function actionsBytes(): u32 {
  return used;
}

/** Whether a network message of `length` bytes fits without taking the room of the other actions. */
export function actionRoom(length: u32): bool {
  return used + Abi.ActionHeaderBytes + length + RESERVED <= actionsCapacity();
}

/** Whether `length` bytes can be built at `actionScratch`, for now. */
export function actionScratchRoom(length: u32): bool {
  return used + Abi.ActionHeaderBytes + length <= actionsCapacity();
}

/** Whether there is room for a frame, and for the wake-up behind it. */
export function actionFrameRoom(): bool {
  return actionScratchRoom(LinkLimit.FrameBytes + WAKE_BYTES);
}

/** Free memory behind the actions, at the place where `actionAdd` would put the payload of the next one. */
export function actionScratch(): usize {
  return actionsAt() + used + Abi.ActionHeaderBytes;
}

/** Adds an action with `length` bytes of payload and returns where the payload goes. */
export function actionAdd(kind: u32, length: u32): usize {
  const at = actionsAt() + used;
  store<u16>(at, <u16>kind);
  store<u16>(at, <u16>length, 2);
  used += Abi.ActionHeaderBytes + length;
  return at + Abi.ActionHeaderBytes;
}

/** Adds the action that reads `length` bytes of the storage. */
export function actionRead(offset: u32, length: u32): void {
  const at = actionAdd(Action.StorageRead, 8);
  store<u32>(at, offset);
  store<u32>(at, length, 4);
}

/** Adds the action that writes `length` bytes to the storage and returns where they go. */
export function actionWrite(offset: u32, length: u32): usize {
  const at = actionAdd(Action.StorageWrite, 4 + length);
  store<u32>(at, offset);
  return at + 4;
}
