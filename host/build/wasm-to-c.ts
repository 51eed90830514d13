// core.wasm to C: npm wabt's wasm2c, then our own checks of memory and stack in the place of its own.
//
// What always holds: each replacement must find what it replaces, so another version of wasm2c fails the build rather
// than losing a check; wasm2c's own definitions of loads and stores are gone, so an access that was missed cannot
// compile.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BuildError } from './errors.ts';
import { requireWabt, runTool } from './tools.ts';

/** Writes `<folder>/<name>.c` and `.h` for a module; its functions are called `w2c_<name>_…`. */
export async function convertWasm(wasmPath: string, folder: string, name: string, signal?: AbortSignal): Promise<void> {
  const source = join(folder, `${name}.c`);
  await runTool(requireWabt('wasm2c'), [wasmPath, '-n', name, '-o', source], folder, signal);
  const header = join(folder, `${name}.h`);
  writeFileSync(header, replaceOnce(readFileSync(header, 'utf8'), '#include "wasm-rt.h"', '#include "wasm_rt.h"'));
  writeFileSync(source, insertChecks(readFileSync(source, 'utf8')));
}

const definitions = /(?:DEFINE_(?:LOAD|STORE)\([^)]*\)\n)+/g;
const depthCount = /#if WASM_RT_STACK_DEPTH_COUNT\n[\s\S]*?\n#endif\n/g;
const access =
  /\b((?:i32|i64|f32|f64)_(?:load|store)\w*)_default32\(&instance->w2c_memory, \(u64\)\((\w+)\)(?: \+ (\d+)u?)?(?=[,)])/g;
const unconverted = /^.*\b(?:i32|i64|f32|f64)_(?:load|store)\w*(?<!_checked)\(.*$/m;

/** Replaces wasm2c's memory and stack checks in its output. Throws `BuildError` wasm2c-changed. */
export function insertChecks(output: string): string {
  let text = replaceOnce(output, definitions, '#include "wasm_memory.h"\n');
  text = replaceOnce(text, depthCount, '#define FUNC_PROLOGUE WASM_CHECK_STACK()\n#define FUNC_EPILOGUE\n');
  text = text.replace(
    access,
    (_, name: string, base: string, offset?: string) => `${name}_checked(${base}, ${offset ?? 0}u`,
  );
  const left = unconverted.exec(text);
  if (left) throw changed(`an access of a form not known here: ${left[0].trim()}`);
  return text;
}

function replaceOnce(text: string, what: RegExp | string, by: string): string {
  const parts = text.split(what);
  if (parts.length !== 2) throw changed(`${what} occurs ${parts.length - 1} times, expected once`);
  return parts.join(by);
}

function changed(detail: string): BuildError {
  return new BuildError('wasm2c-changed', `wasm2c's output is not what wabt 1.0.39 writes: ${detail}`);
}
