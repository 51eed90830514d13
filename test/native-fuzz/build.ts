// Builds the native fuzzer: parsers.ts with all of as/ to wasm, wasm2c to C, clang with libFuzzer, AddressSanitizer and
// UBSan.
//
// What always holds: red zones lie around each static region of the core and each server's part of it; each replacement in a source must find what it replaces; a build is whole or absent, and one whose inputs did
// not change is not done again.
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import asc from 'assemblyscript/asc';
import * as layout from '../../as/link/layout.ts';
import { abiHeader, enumLines } from '../../host/build/headers.ts';
import { requireNative, sanitizerEnvironment } from '../../host/build/native.ts';
import { sanitizerFlags } from '../../host/build/sanitizers.ts';
import { runTool } from '../../host/build/tools.ts';
import { convertWasm } from '../../host/build/wasm-to-c.ts';
import { cacheDir, filesBelow, hashFiles, root } from '../../scripts/lib/project.mjs';
import type { Change } from '../fuzz/checked-core.ts';
import { insertZones, replaceOnce, zoneMagic } from '../fuzz/red-zones.ts';
import { dataHeader } from './data.ts';

const here = join(root, 'test', 'native-fuzz');
const memoryBytes = 65_536;
/** Bytes between the buffers of actions and events; a multiple of eight. */
const bufferGap = 32;

export interface Fuzzer {
  readonly path: string;
  readonly env: Readonly<Record<string, string>>;
}

function readSource(path: string, change: Change): string | null {
  let text: string;
  try {
    text = readFileSync(join(root, path), 'utf8');
  } catch {
    return null;
  }
  if (path.startsWith('node_modules')) return text;
  if (path === 'as/abi/buffers.ts') {
    text = replaceOnce(
      text,
      'return actionsAt() + actionsCapacity();',
      `return actionsAt() + actionsCapacity() + ${bufferGap};`,
    );
  }
  const changed = change(path, text);
  return insertZones(path, changed);
}

/** Compiles the core with its red zones. */
async function compileCore(change: Change): Promise<Uint8Array> {
  const { options } = JSON.parse(readFileSync(join(root, 'asconfig.json'), 'utf8'));
  const config = {
    entries: [relative(root, join(here, 'parsers.ts'))],
    options: { ...options, outFile: 'core.wasm', debug: true },
  };
  let wasm: Uint8Array | undefined;
  const { error, stderr } = await asc.main(['--config', 'asconfig.json', '--noColors'], {
    readFile: (name: string) => (name === 'asconfig.json' ? JSON.stringify(config) : readSource(name, change)),
    writeFile: (_name: string, contents: Uint8Array | string) => {
      if (typeof contents !== 'string') wasm = contents;
    },
    listFiles: () => null,
  });
  if (error !== null || wasm === undefined) throw new Error(`the core for fuzzing does not compile:\n${stderr}`);
  return wasm;
}

/** How many red zones lie in the module's data. */
function countZones(wasm: Uint8Array): number {
  const magic = Buffer.from(Uint32Array.from(zoneMagic).buffer);
  const bytes = Buffer.from(wasm);
  let count = 0;
  for (let at = bytes.indexOf(magic); at >= 0; at = bytes.indexOf(magic, at + 1)) count++;
  return count;
}

/**
 * The firmware's loads and stores, but that each asks `fuzz_access` (harness/core.c) for its place, which checks it
 * against the end of the message in hand. A call, since comparisons in the core's code are traced, each one, to guide
 * the fuzzer.
 */
function askForPlaces(header: string): string {
  const assertion = /_Static_assert\(\s*WASM_MEMORY_BYTES >= 8 [^;]*;\n/;
  const check = /#define WASM_CHECK_ACCESS\(base, offset, bytes\)[\s\S]*?while \(0\)\n/;
  const place = '&wasm_memory[base + offset]';
  if (!assertion.test(header) || !check.test(header) || header.split(place).length !== 3) {
    throw new Error('wasm_memory.h is not what is known here');
  }
  return header
    .replace(assertion, '__attribute__((returns_nonnull)) uint8_t *fuzz_access(u32 base, u32 offset, u32 bytes);\n')
    .replace(check, '#define WASM_CHECK_ACCESS(base, offset, bytes)\n')
    .replaceAll(place, 'fuzz_access(base, offset, sizeof(stored))');
}

// The harness has the memory, without room behind it; the stack is the machine's, which needs no check.
const memoryConfig = `#pragma once
#define WASM_MEMORY_BYTES ${memoryBytes}u
#define WASM_MEMORY_ROOM WASM_MEMORY_BYTES
#define WASM_MEMORY_ELSEWHERE
#define WASM_STACK_PROVEN
`;

async function writeSources(folder: string, change: Change): Promise<void> {
  const wasm = await compileCore(change);
  writeFileSync(join(folder, 'core.wasm'), wasm);
  await convertWasm(join(folder, 'core.wasm'), folder, 'core');
  const runtime = join(root, 'firmware', 'runtime');
  const zones = [
    `#define FUZZ_ZONE_MAGIC 0x${zoneMagic[1].toString(16)}${zoneMagic[0].toString(16)}ull`,
    `#define FUZZ_ZONES ${countZones(wasm)}u`,
    `#define FUZZ_BUFFER_GAP ${bufferGap}u`,
  ];
  const files = {
    'core_abi.h': abiHeader(),
    'wasm_config.h': memoryConfig,
    'wasm_memory.h': askForPlaces(readFileSync(join(runtime, 'wasm_memory.h'), 'utf8')),
    'fuzz_data.h': dataHeader([...zones, ...enumLines(layout)]),
  };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
}

async function compile(folder: string): Promise<string> {
  const clang = requireNative('clang-14');
  const sanitizers = sanitizerFlags(['address', 'undefined']);
  const flags = [...sanitizers, '-O1', '-g', '-fno-strict-aliasing', '-std=gnu11'];
  const includes = [folder, join(here, 'harness'), join(root, 'firmware', 'runtime')].map((path) => `-I${path}`);
  const own = filesBelow(join(here, 'harness'), (path) => path.endsWith('.c'));
  const objects: string[] = [];
  const one = async (source: string, more: string[]) => {
    const object = join(folder, `${source.replaceAll(/\W/g, '_')}.o`);
    await runTool(clang, [...flags, ...includes, ...more, '-c', source, '-o', object], folder);
    objects.push(object);
  };
  const jobs = [
    // The core alone guides the fuzzer.
    () => one(join(folder, 'core.c'), ['-w', '-fsanitize=fuzzer-no-link']),
    ...own.map((source) => () => one(source, ['-Wall', '-Wextra', '-Werror', '-Wno-missing-field-initializers'])),
  ];
  const worker = async () => {
    for (let job = jobs.shift(); job !== undefined; job = jobs.shift()) await job();
  };
  await Promise.all([worker(), worker()]);
  const program = join(folder, 'fuzzer');
  await runTool(clang, ['-fsanitize=fuzzer', ...sanitizers, ...objects.sort(), '-o', program], folder);
  for (const object of objects) rmSync(object);
  return program;
}

/** Everything that a build depends on. */
function inputsHash(): string {
  const files = [
    ...filesBelow(join(root, 'as'), (path) => path.endsWith('.ts')),
    ...filesBelow(here, (path) => /\.(ts|c|h)$/.test(path)),
    join(root, 'test', 'fuzz', 'red-zones.ts'),
    ...filesBelow(join(root, 'firmware', 'runtime'), () => true),
    ...filesBelow(join(root, 'host', 'build'), () => true),
    join(root, 'asconfig.json'),
    join(root, 'package-lock.json'),
  ];
  return hashFiles(files).slice(0, 16);
}

/**
 * Builds the fuzzer below .cache/native-fuzz, unless it is there; with a `change` of the core's sources, which follows
 * from the files of this folder, under a name of its own.
 *
 * @throws BuildError tool-missing without clang
 */
export async function buildFuzzer(changed?: { readonly name: string; readonly change: Change }): Promise<Fuzzer> {
  const env = sanitizerEnvironment();
  const folder = join(cacheDir, 'native-fuzz', 'build');
  const hash = inputsHash();
  const name = changed === undefined ? hash : `${hash}-${changed.name}`;
  const whole = join(folder, name);
  mkdirSync(folder, { recursive: true });
  if (!readdirSync(folder).includes(name)) {
    const partial = join(folder, `${name}.${process.pid}.partial`);
    mkdirSync(partial);
    try {
      await writeSources(partial, changed?.change ?? ((_path, text) => text));
      await compile(partial);
      renameSync(partial, whole);
    } finally {
      rmSync(partial, { recursive: true, force: true });
    }
  }
  removeOld(folder, hash);
  return { path: join(whole, 'fuzzer'), env };
}

// Another process may be running a build of other sources, so only old ones go.
function removeOld(folder: string, current: string): void {
  const dayMs = 86_400_000;
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    if (!name.startsWith(current) && Date.now() - statSync(path).mtimeMs > dayMs)
      rmSync(path, { recursive: true, force: true });
  }
}
