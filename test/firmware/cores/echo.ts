// @ts-nocheck AssemblyScript, checked by its own compiler in the test that builds it.
// A core for tests of firmware and drivers: does on command, by frame, what the real one may ask for.
// What always holds: answers are lower-case hex behind their command's letter, so they hold no zero byte; one command
// is under way at a time; a start is told with '!', a frame that is no command is answered with '?'.
//
//   E data         echo: e, first tick, last tick, tick of the last byte sent before, data as it came
//   I offset       64 bytes of the Start event's payload from there
//   R offset length, W offset data      storage
//   T, S fields    real-time clock
//   H              thermometer
//   A ticks        wake-up after so many ticks: a, tick asked for, tick of the event
//   U              stores and loads of each width at eight addresses in a row: u, how many bytes came out wrong
//   B              bytes of text as many as a frame holds
//   K              how deep the stack was used, as it was last told: StackField, hex of the bytes as they came
//   D depth        calls itself as often, which uses the stack
//   X kind         break: o load out of bounds, u unreachable, d division, r recursion, l endless loop,
//                  a action of no kind, c action cut off

import { Action, Event, RtcField, StackField } from '../../../as/abi/codes';
import { actionsCut, actionsUsed, addAction, EVENT, endAction, PAYLOAD, put } from './interface';

export {
  abiVersion,
  actionBuffer,
  bitsliceAes,
  eventBuffer,
  eventCapacity,
  memoryEnd,
  ownDatagrams,
} from './interface';

const START: usize = memory.data(192, 8);
const STACK: usize = memory.data(8, 4);

let startBytes: u32 = 0;
let sentTick: u64 = 0;
let wakeTick: u64 = 0;
let frameAt: usize = 0;

// A frame grows byte by byte at the end of the actions.
function frameStart(letter: u32): void {
  frameAt = addAction(Action.FrameSend, 0);
  put(0);
  put(letter);
}

function putHex(value: u64, digits: u32): void {
  for (let shift: i32 = <i32>(digits - 1) * 4; shift >= 0; shift -= 4) {
    const digit = <u32>(value >> <u64>shift) & 15;
    put(digit < 10 ? 48 + digit : 87 + digit);
  }
}

function frameEnd(): void {
  put(0);
  endAction(frameAt);
}

function digit(at: usize): u32 {
  const c = <u32>load<u8>(at);
  return c < 58 ? c - 48 : c - 87;
}

function getHex(at: usize, digits: u32): u64 {
  let value: u64 = 0;
  for (let i: u32 = 0; i < digits; i++) value = (value << 4) | digit(at + i);
  return value;
}

function recurse(depth: u32): u32 {
  if (depth === 0) return 0;
  // What is done with the result keeps this from becoming a loop.
  return (recurse(depth - 1) * 3) ^ load<u8>(EVENT + (depth & 7));
}

function breakDown(kind: u32, zero: u32): void {
  if (kind === 111) store<u32>(PAYLOAD, load<u32>(0x7ffffffc + zero));
  else if (kind === 117) unreachable();
  else if (kind === 100) store<u32>(PAYLOAD, 1 / zero);
  else if (kind === 114) store<u32>(PAYLOAD, recurse(0x7fffffff + zero));
  else if (kind === 108) while (<u32>load<u8>(EVENT) < 0x100 + zero) store<u8>(EVENT, <u8>zero);
  else if (kind === 97) addAction(999, 0);
  else if (kind === 99) actionsCut(3);
}

// What is stored whole is read byte by byte, and the other way round.
function countWrong(at: usize): u32 {
  const pattern: u64 = ((<u64>0x8796a5b4) << 32) | 0xc3d2e1f0;
  let wrong: u32 = 0;
  for (let width: u32 = 2; width <= 8; width *= 2) {
    for (let i: u32 = 0; i < 16; i++) store<u8>(at + i, 0);
    if (width === 2) store<u16>(at, <u16>pattern);
    else if (width === 4) store<u32>(at, <u32>pattern);
    else store<u64>(at, pattern);
    for (let i: u32 = 0; i < 16; i++) {
      if (load<u8>(at + i) !== (i < width ? <u8>(pattern >> (8 * i)) : 0)) wrong++;
    }
    for (let i: u32 = 0; i < width; i++) store<u8>(at + i, <u8>(i + 1));
    const counted: u64 = ((<u64>0x08070605) << 32) | 0x04030201;
    const expected = width === 8 ? counted : counted & (((<u64>1) << (8 * width)) - 1);
    const whole: u64 = width === 2 ? load<u16>(at) : width === 4 ? load<u32>(at) : load<u64>(at);
    if (whole !== expected) wrong++;
  }
  return wrong;
}

function command(at: usize, length: u32, first: u64, last: u64): void {
  const letter = length > 0 ? <u32>load<u8>(at) : 0;
  const data = at + 1;
  if (letter === 69) {
    frameStart(101);
    putHex(first, 16);
    putHex(last, 16);
    putHex(sentTick, 16);
    for (let i: u32 = 0; i < length - 1; i++) put(load<u8>(data + i));
    frameEnd();
  } else if (letter === 73) {
    const offset = <u32>getHex(data, 4);
    frameStart(105);
    for (let i = offset; i < offset + 64 && i < startBytes; i++) putHex(load<u8>(START + i), 2);
    frameEnd();
  } else if (letter === 82) {
    const payload = addAction(Action.StorageRead, 8);
    store<u32>(payload, <u32>getHex(data, 8));
    store<u32>(payload, <u32>getHex(data + 8, 4), 4);
  } else if (letter === 87) {
    const bytes = (length - 9) / 2;
    const payload = addAction(Action.StorageWrite, 4 + bytes);
    store<u32>(payload, <u32>getHex(data, 8));
    for (let i: u32 = 0; i < bytes; i++) store<u8>(payload + 4 + i, <u8>getHex(data + 8 + 2 * i, 2));
  } else if (letter === 84) {
    addAction(Action.RtcRead, 0);
  } else if (letter === 83) {
    const payload = addAction(Action.RtcSet, RtcField.Bytes - RtcField.Second);
    for (let i: u32 = 0; i < 7; i++) store<u8>(payload + i, <u8>getHex(data + 2 * i, 2));
  } else if (letter === 72) {
    addAction(Action.TemperatureRead, 0);
  } else if (letter === 65) {
    wakeTick = last + getHex(data, 16);
    store<u64>(addAction(Action.Wake, 8), wakeTick);
  } else if (letter === 85) {
    let wrong: u32 = 0;
    for (let i: u32 = 0; i < 8; i++) wrong += countWrong(PAYLOAD + 64 + i);
    frameStart(117);
    putHex(wrong, 4);
    frameEnd();
  } else if (letter === 66) {
    frameStart(98);
    for (let i: u32 = 0; i < 253; i++) put(65 + (i % 26));
    frameEnd();
  } else if (letter === 75) {
    frameStart(107);
    for (let i: u32 = 0; i < <u32>StackField.Bytes; i++) putHex(load<u8>(STACK + i), 2);
    frameEnd();
  } else if (letter === 68) {
    const result = recurse(<u32>getHex(data, 2));
    frameStart(100);
    putHex(result, 8);
    frameEnd();
  } else if (letter === 88) {
    breakDown(load<u8>(data), 0);
  } else {
    frameStart(63);
    frameEnd();
  }
}

function answerHex(letter: u32, length: u32): void {
  frameStart(letter);
  for (let i: u32 = 0; i < length; i++) putHex(load<u8>(PAYLOAD + i), 2);
  frameEnd();
}

export function handle(event: u32, length: u32): u32 {
  actionsCut(0);
  const tick = load<u64>(EVENT);
  if (event === Event.Start) {
    startBytes = length;
    for (let i: u32 = 0; i < length; i++) store<u8>(START + i, load<u8>(PAYLOAD + i));
    frameStart(33);
    frameEnd();
  } else if (event === Event.Frame) {
    command(PAYLOAD + 8, length - 8, load<u64>(PAYLOAD), tick);
  } else if (event === Event.FrameSent) {
    sentTick = tick;
  } else if (event === Event.StorageData) {
    answerHex(114, length);
  } else if (event === Event.StorageDone) {
    answerHex(119, length);
  } else if (event === Event.RtcTime) {
    answerHex(116, length);
  } else if (event === Event.RtcDone) {
    answerHex(115, length);
  } else if (event === Event.Stack) {
    for (let i: u32 = 0; i < length; i++) store<u8>(STACK + i, load<u8>(PAYLOAD + i));
  } else if (event === Event.Temperature) {
    answerHex(104, length);
  } else if (event === Event.Wake) {
    frameStart(97);
    putHex(wakeTick, 16);
    putHex(tick, 16);
    frameEnd();
  }
  return actionsUsed();
}
