// @ts-nocheck AssemblyScript, checked by its own compiler in the test that builds it.
// A core for tests of the firmware's restarts: traps some seconds after each start.
// What always holds: the storage's first byte counts the starts, and the byte of that number says for how many seconds
// the start lives, 0 for ever; each start sends its number and the tick at which it began, in lower-case hex.

import { Action, Event, StartField } from '../../../as/abi/codes';
import { actionsCut, actionsUsed, addAction, EVENT, PAYLOAD } from './interface';

export {
  abiVersion,
  actionBuffer,
  bitsliceAes,
  eventBuffer,
  eventCapacity,
  memoryEnd,
  ownDatagrams,
} from './interface';

const STARTS_MOST: u32 = 64;

let tickHz: u32 = 0;
let startTick: u64 = 0;
let seconds: u32 = 0;

function putHex(at: usize, value: u64, digits: u32): void {
  for (let i: u32 = 0; i < digits; i++) {
    const digit = <u32>(value >> (<u64>(digits - 1 - i) * 4)) & 15;
    store<u8>(at + i, <u8>(digit < 10 ? 48 + digit : 87 + digit));
  }
}

function tellStart(number: u32): void {
  const frame = addAction(Action.FrameSend, 20);
  store<u8>(frame, 0);
  putHex(frame + 1, number, 2);
  putHex(frame + 3, startTick, 16);
  store<u8>(frame + 19, 0);
}

function takeCount(): void {
  const number: u32 = load<u8>(PAYLOAD + 4) + 1;
  seconds = load<u8>(PAYLOAD + 4 + number);
  tellStart(number);
  const write = addAction(Action.StorageWrite, 5);
  store<u32>(write, 0);
  store<u8>(write + 4, <u8>number);
}

export function handle(event: u32, length: u32): u32 {
  actionsCut(0);
  if (event === Event.Start) {
    startTick = load<u64>(EVENT);
    tickHz = load<u32>(PAYLOAD + StartField.TickHz);
    const read = addAction(Action.StorageRead, 8);
    store<u32>(read, 0);
    store<u32>(read, STARTS_MOST, 4);
  } else if (event === Event.StorageData) {
    if (length !== 4 + STARTS_MOST) unreachable();
    takeCount();
  } else if (event === Event.StorageDone) {
    if (seconds > 0) store<u64>(addAction(Action.Wake, 8), startTick + <u64>tickHz * seconds);
  } else if (event === Event.Wake) {
    unreachable();
  }
  return actionsUsed();
}
