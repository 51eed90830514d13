// @ts-nocheck AssemblyScript, checked by its own compiler in the test that builds it.
// What every test core shows to the firmware: its buffers, and the actions that it builds in one of them.

import { Abi } from '../../../as/abi/codes';

export const EVENT: usize = memory.data(1024, 8);
export const PAYLOAD: usize = EVENT + Abi.EventHeaderBytes;
const ACTIONS: usize = memory.data(1024, 8);

let used: u32 = 0;

export function abiVersion(): u32 {
  return Abi.Version;
}

export function bitsliceAes(): void {}

export function ownDatagrams(): void {}

export function memoryEnd(): u32 {
  return <u32>__heap_base;
}

export function eventBuffer(): u32 {
  return <u32>EVENT;
}

export function eventCapacity(): u32 {
  return 1024;
}

export function actionBuffer(): u32 {
  return <u32>ACTIONS;
}

/** Bytes of the actions built so far. */
export function actionsUsed(): u32 {
  return used;
}

/** Keeps so many bytes of them. */
export function actionsCut(bytes: u32): void {
  used = bytes;
}

export function addAction(kind: u32, length: u32): usize {
  const at = ACTIONS + used;
  store<u16>(at, <u16>kind);
  store<u16>(at, <u16>length, 2);
  used += Abi.ActionHeaderBytes + length;
  return at + Abi.ActionHeaderBytes;
}

/** Appends a byte to the last action, whose length is still to be set. */
export function put(byte: u32): void {
  store<u8>(ACTIONS + used++, <u8>byte);
}

/** Sets the length of the last action, which begins at `at` and ends with what was put last. */
export function endAction(at: usize): void {
  store<u16>(at - 2, <u16>(ACTIONS + used - at));
}
