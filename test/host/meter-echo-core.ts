// A core for tests of the meter around it: it does what the test says, and tells what it was told.
// - Event.Message: the message is taken as actions, as they are. First byte 0xff: trap (unreachable); 0xfe: trap
//   (out of bounds).
// - Event.TimeAsk: Action.TimeNow with the tick as UTC, and a sample at tick 4001.
// - Any other event: Action.Message with the event's number as its channel, then tick (u64) and payload.
// - Event.Start with 0xee as first byte of entropy traps.
import { createHash } from 'node:crypto';
import wabt from 'wabt';
import { Abi, Action, Event, TimeNowField } from '../../as/abi/codes.ts';
import type { CoreModule } from '../../host/core/core.ts';

const source = `(module
  (memory (export "memory") 1 1)
  (func (export "enlargeBuffers"))
  (func (export "bitsliceAes"))
  (func (export "abiVersion") (result i32) i32.const ${Abi.Version})
  (func (export "memoryEnd") (result i32) i32.const 32768)
  (func (export "eventBuffer") (result i32) i32.const 1024)
  (func (export "eventCapacity") (result i32) i32.const 4096)
  (func (export "actionBuffer") (result i32) i32.const 16384)
  (func (export "handle") (param $event i32) (param $length i32) (result i32)
    (if (i32.eq (local.get $event) (i32.const ${Event.Message})) (then
      (if (i32.eq (i32.load8_u (i32.const 1033)) (i32.const 0xff)) (then unreachable))
      (if (i32.eq (i32.load8_u (i32.const 1033)) (i32.const 0xfe)) (then (drop (i32.load (i32.const -1)))))
      (memory.copy (i32.const 16384) (i32.const 1033) (i32.sub (local.get $length) (i32.const 1)))
      (return (i32.sub (local.get $length) (i32.const 1)))))
    (if (i32.eq (local.get $event) (i32.const ${Event.TimeAsk})) (then
      (i32.store16 (i32.const 16384) (i32.const ${Action.TimeNow}))
      (i32.store16 (i32.const 16386) (i32.const ${TimeNowField.Bytes}))
      (memory.fill (i32.const 16388) (i32.const 0) (i32.const ${TimeNowField.Bytes}))
      (i64.store (i32.const 16396) (i64.load (i32.const 1024)))
      (i64.store (i32.const 16404) (i64.const 77))
      (i64.store (i32.const 16412) (i64.const 33))
      (i64.store (i32.const 16420) (i64.sub (i64.load (i32.const 1024)) (i64.const 4001)))
      (i32.store (i32.const 16432) (i32.const 11))
      (i32.store (i32.const 16448) (i32.const -55))
      (return (i32.const ${TimeNowField.Bytes + 4}))))
    (if (i32.and (i32.eq (local.get $event) (i32.const ${Event.Start}))
                 (i32.eq (i32.load8_u (i32.const 1120)) (i32.const 0xee))) (then unreachable))
    (i32.store16 (i32.const 16384) (i32.const ${Action.Message}))
    (i32.store16 (i32.const 16386) (i32.add (local.get $length) (i32.const 9)))
    (i32.store8 (i32.const 16388) (local.get $event))
    (memory.copy (i32.const 16389) (i32.const 1024) (i32.add (local.get $length) (i32.const 8)))
    (i32.add (local.get $length) (i32.const 13))))`;

/** Compiles the test core; `change` gives one with another SHA-256. */
export async function echoCore(change = ''): Promise<CoreModule> {
  const module = (await wabt()).parseWat('echo.wat', source, { bulk_memory: true });
  const bytes = module.toBinary({}).buffer;
  module.destroy();
  return {
    module: new WebAssembly.Module(bytes as Uint8Array<ArrayBuffer>),
    sha256: new Uint8Array(createHash('sha256').update(bytes).update(change).digest()),
  };
}

/** One action as the core writes it. */
export function action(kind: Action, payload: Uint8Array | readonly number[] = []): Uint8Array {
  const bytes = new Uint8Array(4 + payload.length);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, kind, true);
  view.setUint16(2, payload.length, true);
  bytes.set(payload, 4);
  return bytes;
}

export function u32(value: number): number[] {
  return [value & 0xff, (value >> 8) & 0xff, (value >> 16) & 0xff, value >>> 24];
}

export function u64(value: bigint): number[] {
  return [...u32(Number(value & 0xffffffffn)), ...u32(Number(value >> 32n))];
}
