// What core.wasm is as a module: nothing imported, no start code that could surprise, memory that cannot grow.
import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import wabt from 'wabt';
import { Abi } from '../../as/abi/codes.ts';
import { buildCore } from '../../scripts/build-core.mjs';

let bytes: Buffer;
let module: WebAssembly.Module;

beforeAll(async () => {
  bytes = readFileSync((await buildCore()).path);
  module = new WebAssembly.Module(bytes);
});

/** Ids of the sections of a module (WebAssembly core specification 5.5.2). */
function sections(wasm: Buffer): { id: number; body: Buffer }[] {
  const found = [];
  for (let at = 8; at < wasm.length; ) {
    const id = wasm[at++]!;
    let size = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = wasm[at++]!;
      size |= (byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    found.push({ id, body: wasm.subarray(at, at + size) });
    at += size;
  }
  return found;
}

describe('core.wasm', () => {
  it('imports nothing', () => {
    expect(WebAssembly.Module.imports(module)).toEqual([]);
  });

  it('exports the interface of docs/protocol.md, and beyond it only functions of tools and known-answer tests', () => {
    const names = WebAssembly.Module.exports(module).map(({ name }) => name);
    const own = names.filter((name) => !/^(test|tool)[A-Z]/.test(name)).sort();
    expect(own).toEqual([
      'abiVersion',
      'actionBuffer',
      'backoffNext',
      'backoffSpread',
      'bitsliceAes',
      'enlargeBuffers',
      'eventBuffer',
      'eventCapacity',
      'handle',
      'memory',
      'memoryEnd',
      'ownDatagrams',
    ]);
  });

  it('has one page of memory and says that it has no more', () => {
    const memory = sections(bytes).find(({ id }) => id === 5)!.body;
    // One memory, with a maximum, 1 page to 1 page.
    expect([...memory]).toEqual([1, 1, 1, 1]);
  });

  it('never grows its memory: the instruction is not in it', async () => {
    const { readWasm } = await wabt();
    const text = readWasm(bytes, { readDebugNames: false }).toText({ foldExprs: false, inlineExport: false });
    expect(text).toContain('i32.load');
    expect(text).not.toContain('memory.grow');
  });

  it('fits a microcontroller: at most 12.5 KB of linear memory for a meter with one server, 16 KB more for four', async () => {
    const single = new WebAssembly.Module(readFileSync((await buildCore({ servers: 1 })).path));
    const [one, four] = [single, module].map((core) => {
      const { abiVersion, memoryEnd } = new WebAssembly.Instance(core, {}).exports as Record<string, () => number>;
      expect(abiVersion!()).toBe(Abi.Version);
      return memoryEnd!();
    });
    expect(one).toBeLessThanOrEqual(12_800);
    expect(four! - one!).toBeLessThanOrEqual(16_384);
  }, 120_000);
});
