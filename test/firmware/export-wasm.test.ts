// `metertime export --target wasm`: a module that keeps within what it says of its memory and decides as the core does, and
// glue that compiles around it.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { requireTool } from '../../host/build/tools.ts';
import { ExitCode } from '../../host/cli/exit-codes.ts';
import { type CoreExports, loadCoreModule } from '../../host/core/core.ts';
import type { CExport } from '../../host/export/c-export.ts';
import { glueExports, stripCore } from '../../host/export/wasm-module.ts';
import { root } from '../../scripts/lib/project.mjs';
import { runMetertime } from '../host/cli-run.ts';
import { temporaryFolder } from './echo-meter.ts';
import { makeExported } from './exported.ts';

const temporary = temporaryFolder();
afterAll(() => temporary.remove());

const folder = join(temporary.path, 'exported');
let exported: CExport;
let module: WebAssembly.Module;
beforeAll(async () => {
  const { exitCode, stdout } = await runMetertime(['export', '--target', 'wasm', '--out', folder, '--json']);
  expect(exitCode).toBe(ExitCode.Ok);
  exported = JSON.parse(stdout) as CExport;
  module = new WebAssembly.Module(readFileSync(join(folder, 'core.wasm')));
});

it('the module imports nothing, and exports what the glue calls and how much memory it uses', () => {
  expect(WebAssembly.Module.imports(module)).toEqual([]);
  const names = WebAssembly.Module.exports(module).map(({ name }) => name);
  expect(names.sort()).toEqual([...Object.keys(glueExports), '__data_end', '__heap_base', 'memory'].sort());
  const { exports } = new WebAssembly.Instance(module);
  const value = (name: string) => (exports[name] as WebAssembly.Global).value;
  expect([value('__data_end'), value('__heap_base')]).toEqual([exported.coreMemoryBytes, exported.coreMemoryBytes]);
  expect(exported.coreMemoryBytes).toBeLessThan(16_384);
  const header = readFileSync(join(folder, 'include', 'metertime_core.h'), 'utf8');
  expect(header).toContain(`METERTIME_MEMORY_BYTES ${exported.coreMemoryBytes}u`);
  expect(header).toContain(`METERTIME_CORE_SHA256 "${exported.coreSha256}"`);
});

it('it replays the recording with the actions of the core, and touches nothing beyond its heap base', () => {
  const instance = new WebAssembly.Instance(module).exports as unknown as CoreExports;
  const text = readFileSync(join(folder, 'conformance', 'trace.h'), 'utf8');
  const trace = Buffer.from(
    text
      .slice(text.indexOf('{') + 1, text.indexOf('};'))
      .split(',')
      .map(Number),
  );
  const memory = new Uint8Array(instance.memory.buffer);
  let checksum = 2_166_136_261;
  let events = 0;
  for (let at = 0; trace.readUInt16LE(at + 8) !== 0; events++) {
    const length = trace.readUInt16LE(at + 10);
    memory.set(trace.subarray(at, at + 8), instance.eventBuffer());
    memory.set(trace.subarray(at + 16, at + 16 + length), instance.eventBuffer() + 8);
    const left = instance.handle(trace.readUInt16LE(at + 8), length);
    const from = instance.actionBuffer();
    for (const byte of memory.subarray(from, from + left)) checksum = Math.imul(checksum ^ byte, 16_777_619) >>> 0;
    expect(checksum, `event ${events + 1}`).toBe(trace.readUInt32LE(at + 12));
    at += (16 + length + 7) & ~7;
  }
  expect(events).toBeGreaterThan(100);
  expect(memory.subarray(exported.coreMemoryBytes).every((byte) => byte === 0)).toBe(true);
});

it('a core that asks for the size of its memory is refused, as WAMR would give it a whole page', async () => {
  // (module (memory 1 1) (global (mut i32) (i32.const 0)) (func (result i32) memory.size)), all exports of the glue.
  const names = Object.keys(glueExports);
  const section = (id: number, bytes: number[]) => [id, ...leb(bytes.length), ...bytes];
  const leb = (value: number) => (value < 128 ? [value] : [(value & 127) | 128, value >> 7]);
  const bytes = Uint8Array.from([
    ...[0, 97, 115, 109, 1, 0, 0, 0],
    ...section(1, [1, 0x60, 0, 1, 0x7f]),
    ...section(3, [1, 0]),
    ...section(5, [1, 1, 1, 1]),
    ...section(6, [1, 0x7f, 1, 0x41, 0, 0x0b]),
    ...section(7, [names.length, ...names.flatMap((name) => [name.length, ...Buffer.from(name), 0, 0])]),
    ...section(10, [1, 4, 0, 0x3f, 0, 0x0b]),
  ]);
  await expect(stripCore(bytes, 1024)).rejects.toThrow(/size of its memory/);
});

it('the same core gives the same module', async () => {
  const core = loadCoreModule(join(root, 'build', 'core-1.wasm'));
  expect(core.sha256).toHaveLength(32);
  const stripped = await stripCore(readFileSync(join(root, 'build', 'core-1.wasm')), exported.coreMemoryBytes);
  expect(Buffer.from(stripped).equals(readFileSync(join(folder, 'core.wasm')))).toBe(true);
});

it('the glue around it compiles without a warning as C11', { timeout: 120_000 }, async () => {
  const headers = `-mcpu=cortex-m3 -mthumb -ffreestanding -idirafter ${join(root, 'firmware/runtime/include')}`;
  const objects = ['adapter', 'core_port', 'line', 'loop', 'start_event'].map((name) => `build/${name}.o`);
  const variables = { CC: requireTool('arm-none-eabi-gcc').path, CPU: headers, RUNTIME: 'none' };
  await makeExported(folder, [...objects, 'build/conformance.o'], variables);
});
