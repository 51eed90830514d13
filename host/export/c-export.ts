// `metertime export`: the core with its glue, for firmware of one's own: as C, or as a module for a WebAssembly runtime.
//
// What always holds: what is exported of firmware/ is what boards are built from; the same commit gives the same files,
// and none of them names this machine.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildCore } from '../../scripts/build-core.mjs';
import { bundle } from '../../scripts/build-dist.mjs';
import { BuildError } from '../build/errors.ts';
import { abiHeader, identityHeader, memoryHeader } from '../build/headers.ts';
import { buildDate, packageVersion, sha256 } from '../build/identity.ts';
import { inspectCore } from '../build/inspect-core.ts';
import { requireCheckout, runTool } from '../build/tools.ts';
import { convertWasm } from '../build/wasm-to-c.ts';
import { refuseFullFolder, writeFolder } from './folder.ts';
import { measurePort, type PortNeeds } from './port-needs.ts';
import { interfaceHeader, moduleHeader, stripCore } from './wasm-module.ts';

/** Where a port may begin. */
export const examples = ['super-loop', 'freertos', 'zephyr'] as const;
export type Example = (typeof examples)[number];

/** The core as C, or as a module that a runtime executes. */
export type Target = 'c' | 'wasm';

export interface CExportOptions {
  readonly target?: Target;
  readonly servers: number;
  readonly example: Example;
  readonly outDir: string;
  /** Writes over the files of a folder that is not empty. */
  readonly force?: boolean;
  /** Whether to find out what it takes of a Cortex-M3, where there is a compiler for that; default true. */
  readonly measure?: boolean;
  /** The checkout; default the one that this program belongs to. */
  readonly root?: string;
  readonly onStep?: (text: string) => void;
  readonly signal?: AbortSignal;
}

/** What was exported; hashes lower-case hex. */
export interface CExport {
  readonly target: Target;
  readonly folder: string;
  readonly version: string;
  readonly servers: number;
  readonly example: Example;
  readonly coreSha256: string;
  /** Of the module where a runtime executes it, else of the core that the C was made of. */
  readonly coreBytes: number;
  /** The core's linear memory, bytes. */
  readonly coreMemoryBytes: number;
  /** What it takes of a Cortex-M3; undefined without a compiler for that, and where a runtime executes it. */
  readonly needs: PortNeeds | undefined;
  readonly files: readonly string[];
}

/** From firmware/, by folder of the export: for both targets, then for each. */
const shared = {
  include: ['export/metertime.h', 'export/metertime_platform.h', 'glue/core_time.h'],
  src: [
    'export/adapter.c',
    'export/board_config.h',
    'export/cpu.h',
    'export/names.h',
    'glue/bytes.h',
    'glue/core_port.c',
    'glue/core_port.h',
    'glue/line.c',
    'glue/loop.c',
    'glue/loop.h',
    'glue/start_event.c',
    'glue/start_event.h',
    'platform/application.h',
    'platform/line.h',
    'platform/platform.h',
  ],
  conformance: [
    'export/conformance/conformance.c',
    'export/conformance/conformance.h',
    'export/conformance/conformance.mk',
  ],
  '': ['export/CMakeLists.txt', 'export/Makefile'],
};

const sources: Readonly<Record<Target, Readonly<Record<string, readonly string[]>>>> = {
  c: {
    src: [
      'runtime/double_add.c',
      'runtime/include/alloca.h',
      'runtime/include/assert.h',
      'runtime/square_root.c',
      'runtime/wasm_base.h',
      'runtime/wasm_memory.h',
      'runtime/wasm_rt.h',
      'runtime/wasm_runtime.c',
      'runtime/wasm_words.h',
    ],
  },
  wasm: {
    src: [
      'export/wasm/core.h',
      'export/wasm/core_calls.h',
      'export/wasm/core_wamr.c',
      'export/wasm/core_wasm3.c',
      'runtime/double_add.c',
    ],
    '': ['export/wasm/runtime.mk'],
  },
};

/**
 * Writes the core as C to a folder that builds on its own.
 * Throws `BuildError`: checkout-missing, tool-missing, tool-failed, core-invalid, wasm2c-changed, output-foreign; and the
 * signal's reason.
 */
export async function exportC(options: CExportOptions): Promise<CExport> {
  const { target = 'c', servers, example, outDir, signal, onStep } = options;
  const root = options.root ?? requireCheckout();
  if (options.force !== true) refuseFullFolder(outDir);
  onStep?.('core');
  const { path } = await buildCore({ servers, signal });
  const core = inspectCore(path);
  const module = target === 'c' ? core.bytes : await stripCore(core.bytes, core.memoryBytes);
  const identity = {
    coreSha256: sha256(module),
    version: packageVersion(root),
    buildUnixSeconds: await buildDate(root),
  };
  const coreSha256 = Buffer.from(identity.coreSha256).toString('hex');
  const files = new Map<string, string | Uint8Array>();
  for (const [folder, names] of [...Object.entries(shared), ...Object.entries(sources[target])]) {
    for (const name of names) files.set(join(folder, name.replace(/^.*\//, '')), exported(root, name));
  }
  for (const name of readdirSync(join(root, 'firmware', 'export', 'example', example)).sort()) {
    files.set(join('example', name), exported(root, join('export', 'example', example, name)));
  }
  if (target === 'c') {
    onStep?.('wasm2c');
    for (const [name, text] of Object.entries(await coreAsC(path, signal))) files.set(join('src', name), text);
  } else {
    files.set('src/core_module.h', moduleHeader(module));
    files.set('include/metertime_core.h', interfaceHeader(coreSha256, module.length, core.memoryBytes));
  }
  onStep?.('trace');
  files.set('conformance/trace.h', await traceHeader(root, servers, path, signal));
  files.set('include/core_abi.h', abiHeader());
  files.set('src/wasm_config.h', configHeader(core.memoryBytes));
  files.set('src/firmware_identity.h', ownIdentity(identityHeader(identity)));
  files.set('core.wasm', module);
  files.set('LICENSE', readFileSync(join(root, 'LICENSE')));
  const about = { target, version: identity.version, servers, example, coreSha256 };
  const facts = { ...about, coreBytes: module.length, coreMemoryBytes: core.memoryBytes };
  files.set('export.json', `${JSON.stringify(facts, undefined, 2)}\n`);
  files.set('README.md', readmeText(root, target, facts));
  onStep?.('sizes');
  const needs = options.measure === false || target === 'wasm' ? undefined : await measurePort(root, files, signal);
  signal?.throwIfAborted();
  writeFolder(outDir, files);
  return { ...facts, folder: outDir, needs, files: [...files.keys()].sort() };
}

// The glue's C files begin with the names that they have here; what they include has them too then.
function exported(root: string, name: string): string {
  const text = readFileSync(join(root, 'firmware', name), 'utf8');
  if (!/^(glue|runtime)\/\w+\.c$/.test(name)) return text;
  return text.replace(/^#include/m, '#include "names.h"\n\n#include');
}

function replaceOnce(text: string, what: string, by: string): string {
  const parts = text.split(what);
  if (parts.length !== 2)
    throw new BuildError('core-invalid', `${what} occurs ${parts.length - 1} times, expected once`);
  return parts.join(by);
}

async function coreAsC(wasmPath: string, signal: AbortSignal | undefined): Promise<Record<string, string>> {
  const folder = mkdtempSync(join(tmpdir(), 'metertime-export-'));
  try {
    await convertWasm(wasmPath, folder, 'core', {
      leftOut: ['enlargeBuffers', 'ownDatagrams'],
      leftOutUnless: { METERTIME_HAS_DATA_CACHE: ['bitsliceAes'] },
      signal,
    });
    return Object.fromEntries(['core.c', 'core.h'].map((name) => [name, readFileSync(join(folder, name), 'utf8')]));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

// Recorded by the bench, which is no part of this program: it runs beside it.
async function traceHeader(root: string, servers: number, corePath: string, signal?: AbortSignal): Promise<string> {
  // What simulates the gateway's end of the line.
  await buildCore({ signal });
  const folder = mkdtempSync(join(root, 'build', 'conformance-'));
  try {
    await bundle('bench/conformance-trace.ts', folder);
    const header = join(folder, 'trace.h');
    const program = { path: process.execPath, args: [join(folder, 'metertime.mjs')], env: {} };
    await runTool(program, [String(servers), corePath, header], root, signal);
    return readFileSync(header, 'utf8');
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

// The core's calls have a bound, which the build of each board proves; where the stack lies, the port knows.
function configHeader(memoryBytes: number): string {
  const text = memoryHeader(memoryBytes);
  return `${replaceOnce(text, '#pragma once\n', '#pragma once\n\n#include "metertime_config.h"\n#include "names.h"\n')}#define WASM_STACK_PROVEN 1\n`;
}

/** Version and date are the port's own where it says them. */
function ownIdentity(text: string): string {
  const ownNames = {
    FIRMWARE_VERSION: 'METERTIME_FIRMWARE_VERSION',
    FIRMWARE_BUILD_UNIX_SECONDS: 'METERTIME_BUILD_UNIX_SECONDS',
  };
  let result = replaceOnce(text, '#pragma once\n', '#pragma once\n\n#include "metertime_config.h"\n');
  for (const [name, own] of Object.entries(ownNames)) {
    result = result.replace(
      new RegExp(`^#define ${name} .*$`, 'm'),
      (line) => `#ifdef ${own}\n#define ${name} ${own}\n#else\n${line}\n#endif`,
    );
  }
  return result;
}

function readmeText(root: string, target: Target, facts: Readonly<Record<string, string | number>>): string {
  const folder = join(root, 'firmware', 'export');
  const text = readFileSync(join(folder, 'README.md'), 'utf8');
  const read = (...path: string[]) => readFileSync(join(folder, ...path), 'utf8').trim();
  const values: Record<string, string | number> = {
    ...facts,
    core: read(target === 'c' ? 'CORE.md' : 'wasm/CORE.md').replaceAll(/\{\{(\w+)\}\}/g, (_, name: string) =>
      String(facts[name]),
    ),
    about: read('example', String(facts.example), 'ABOUT.md'),
  };
  return text.replaceAll(/\{\{(\w+)\}\}/g, (whole, name: string) => {
    const value = values[name];
    if (value === undefined) throw new BuildError('core-invalid', `README.md names ${whole}, which is nothing`);
    return String(value);
  });
}
