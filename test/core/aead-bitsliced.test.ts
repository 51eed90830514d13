// The bitsliced AES beside the one with a table: the same answers, and no memory address and no way through the code that
// depends on a key or a text; the table's addresses do, so that such a thing would show here.
import { readFileSync } from 'node:fs';
import binaryen from 'binaryen';
import { beforeAll, describe, expect, test } from 'vitest';
import { Abi, Event, LinkStartField } from '../../as/abi/codes.ts';
import { type AesWay, aesWays } from '../../host/core/core.ts';
import { AeadCore, algorithms } from '../../host/selftest/aead-core.ts';
import { toHex } from '../../host/selftest/hex.ts';
import { runSelftest } from '../../host/selftest/selftest.ts';
import { buildCore } from '../../scripts/build-core.mjs';
import { type CoreExports, loadCore } from './load-core.ts';
import { aesBlocks } from './openssl-reference.ts';
import { randomFrom, type SeededRandom, seededRandom } from './random.ts';

const keyBytes = new Map([
  [algorithms.sivCmac256, 32],
  [algorithms.sivCmac384, 48],
  [algorithms.sivCmac512, 64],
  [algorithms.gcmSiv128, 16],
] as const);

/** Everything that the core does with AES, once: what came out. Lengths alone decide what is done. */
function useAll(core: AeadCore, random: SeededRandom, dataLength: number, textLength: number): string[] {
  const results: Uint8Array[] = [];
  for (const [algorithm, length] of keyBytes) {
    const key = random.bytes(length);
    const nonce = random.bytes(12);
    const data = random.bytes(dataLength);
    const text = random.bytes(textLength);
    const sealed = core.aeadSeal(algorithm, key, data, nonce, text);
    const opened = core.aeadOpen(algorithm, key, data, nonce, sealed);
    expect(toHex(opened.plaintext!)).toBe(toHex(text));
    results.push(sealed);
  }
  for (const length of [16, 24, 32]) {
    results.push(core.cmac(random.bytes(length), random.bytes(dataLength)));
    results.push(core.aes(random.bytes(length), random.bytes(16)));
  }
  results.push(core.deriveKey(random.bytes(16), random.bytes(8), random.bytes(dataLength), 48));
  core.drbgInstantiate(random.bytes(32));
  results.push(core.drbgGenerate(textLength));
  return results.map(toHex);
}

test('the same answers, whatever is asked', async () => {
  const { below } = seededRandom('AES both ways');
  const cores = await Promise.all(aesWays.map(async (aes) => new AeadCore(await loadCore({ aes }))));
  for (let i = 0; i < 100; i++) {
    const [seed, dataLength, textLength] = [below(2 ** 32), below(200), below(200)];
    const [sliced, table] = cores.map((core) => useAll(core, randomFrom(seed), dataLength, textLength));
    expect(sliced).toEqual(table);
  }
});

test.each(aesWays)('the built-in answers, %s', async (aes) => {
  const report = runSelftest(await loadCore({ aes }), [], aes);
  expect(report).toMatchObject({ ok: true, failed: 0, skipped: 0, files: [{ aes }] });
});

test('two blocks at once are those of one after the other', async () => {
  const random = seededRandom('two blocks');
  const { exports } = new AeadCore(await loadCore({ aes: 'bitsliced' }));
  const memory = new Uint8Array(exports.memory.buffer);
  const at = exports.testScratch() + 10_001;
  for (const length of [16, 24, 32]) {
    for (let i = 0; i < 50; i++) {
      const [key, blocks, text] = [random.bytes(length), random.bytes(32), random.bytes(32)];
      memory.set(key, at);
      exports.testAesExpandKey(at + 100, at, length);
      memory.set(blocks, at + 400);
      memory.set(text, at + 500);
      exports.testAesXorPair(at + 100, at + 400, at + 416, at + 500);
      const expected = aesBlocks(key, blocks).map((byte, place) => byte ^ text[place]!);
      expect(toHex(memory.subarray(at + 500, at + 532))).toBe(toHex(expected));
    }
  }
});

test('it has the table’s memory to itself, and leaves nothing there', async () => {
  const random = seededRandom('memory of the bitsliced AES');
  const untouched = new Uint8Array((await loadCore()).memory.buffer);
  // Entries 0 and 0x53 of the table: S(0) = 0x63, S(0x53) = 0xed (FIPS 197 5.1.1).
  const table = Buffer.from(untouched.buffer).indexOf('c66363a5', 0, 'hex');
  expect(toHex(untouched.subarray(table + 4 * 0x53, table + 4 * 0x54))).toBe('c1eded2c');
  const core = new AeadCore(await loadCore({ aes: 'bitsliced' }));
  const place = new Uint8Array(core.exports.memory.buffer, table, 1024);
  for (const [data, text] of [
    [0, 0],
    [16, 16],
    [40, 100],
  ] as const) {
    useAll(core, random, data, text);
    expect(place.every((byte) => byte === 0)).toBe(true);
  }
});

test('the way is chosen before the first event, or not at all', async () => {
  const core = await loadCore<{
    bitsliceAes(): void;
    eventBuffer(): number;
    handle(event: Event, length: number): void;
  }>();
  const memory = new Uint8Array(core.memory.buffer);
  new DataView(core.memory.buffer).setUint32(core.eventBuffer() + Abi.EventHeaderBytes, 1000, true);
  core.handle(Event.LinkStart, LinkStartField.Bytes);
  const before = memory.slice();
  core.bitsliceAes();
  expect(Buffer.compare(memory, before)).toBe(0);
});

describe('what somebody sees who watches addresses and the way through the code', () => {
  let logged: WebAssembly.Module;
  beforeAll(async () => {
    const core = binaryen.readBinary(readFileSync((await buildCore()).path));
    core.runPasses(['instrument-memory', 'log-execution']);
    logged = new WebAssembly.Module(core.emitBinary() as Uint8Array<ArrayBuffer>);
    core.dispose();
  });

  /** Each access with its place in the code and its address, each function and loop as it is entered. */
  function watch(aes: AesWay, seed: number, data: number, text: number): Int32Array {
    const log: number[] = [];
    const address = (id: number, _bytes: number, offset: number, base: number) => {
      log.push(id, offset + base);
      return base;
    };
    const value = <T>(_id: number, what: T) => what;
    const names = ['i32', 'i64', 'f32', 'f64'].flatMap((type) => [`load_val_${type}`, `store_val_${type}`]);
    const env = {
      load_ptr: address,
      store_ptr: address,
      log_execution: (id: number) => void log.push(-1, id),
      memory_grow_pre: value,
      memory_grow_post: value,
      ...Object.fromEntries(names.map((name) => [name, value])),
    };
    const exports = new WebAssembly.Instance(logged, { env }).exports as unknown as CoreExports & {
      bitsliceAes(): void;
    };
    if (aes === 'bitsliced') exports.bitsliceAes();
    const core = new AeadCore(exports);
    log.length = 0;
    useAll(core, randomFrom(seed), data, text);
    return Int32Array.from(log);
  }

  const same = (a: Int32Array, b: Int32Array) => Buffer.compare(Buffer.from(a.buffer), Buffer.from(b.buffer)) === 0;

  test.each([
    [0, 0],
    [33, 70],
  ])('bitsliced: the same for all keys and texts (%i bytes of data, %i of text)', (data, text) => {
    const { below } = seededRandom('watched, bitsliced');
    const first = watch('bitsliced', below(2 ** 32), data, text);
    expect(first.length).toBeGreaterThan(10_000);
    for (let i = 0; i < 4; i++) expect(same(watch('bitsliced', below(2 ** 32), data, text), first)).toBe(true);
  });

  test('with the table: other addresses for other keys', () => {
    const { below } = seededRandom('watched, table');
    const seed = below(2 ** 32);
    const first = watch('table', seed, 0, 0);
    expect(same(watch('table', seed, 0, 0), first)).toBe(true);
    const other = watch('table', seed ^ 1, 0, 0);
    expect(other.length).toBe(first.length);
    expect(same(other, first)).toBe(false);
  });
});
