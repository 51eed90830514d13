// core.wasm to C: npm wabt's wasm2c, then our own checks of memory and stack in the place of its own, and one instance
// that every function finds by itself instead of being handed it.
//
// What always holds: each replacement must find what it replaces, so another version of wasm2c fails the build rather
// than losing a check; wasm2c's own definitions of loads and stores are gone, so an access that was missed cannot
// compile; only exported functions take an instance, and all that call others make it the one at work.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BuildError } from './errors.ts';
import { boundGlobals } from './global-bounds.ts';
import { requireWabt, runTool } from './tools.ts';

/** What of a module becomes C. */
export interface ConvertOptions {
  /** Exports that the image never calls, where there are such: left out, and what they alone can change is constant. */
  readonly leftOut?: readonly string[];
  /** Others, by a macro of the compiler's: where it is defined, they are in. */
  readonly leftOutUnless?: Readonly<Record<string, readonly string[]>>;
  readonly signal?: AbortSignal | undefined;
}

/** Writes `<folder>/<name>.c` and `.h` for a module; its functions are called `w2c_<name>_…`. */
export async function convertWasm(
  wasmPath: string,
  folder: string,
  name: string,
  { leftOut = [], leftOutUnless = {}, signal }: ConvertOptions = {},
): Promise<void> {
  const source = join(folder, `${name}.c`);
  const header = join(folder, `${name}.h`);
  await runTool(requireWabt('wasm2c'), [wasmPath, '-n', name, '-o', source], folder, signal);
  let output = readFileSync(source, 'utf8');
  let interfaces = replaceOnce(readFileSync(header, 'utf8'), '#include "wasm-rt.h"', '#include "wasm_rt.h"');
  const left: [string | undefined, readonly string[]][] = [[undefined, leftOut], ...Object.entries(leftOutUnless)];
  for (const [unless, names] of left) {
    for (const exported of names) {
      if (interfaces.includes(`/* export: '${exported}' */`)) {
        [output, interfaces] = leaveOut(output, interfaces, name, exported, unless);
      }
    }
  }
  writeFileSync(header, sortGlobals(interfaces, output, name));
  writeFileSync(source, shareInstance(packData(insertChecks(output)), name));
}

/**
 * Leaves an exported function without arguments and result out of wasm2c's output, and writes the first value of each
 * global that nothing else sets in the global's place: the compiler drops what that shuts off.
 */
function leaveOut(
  output: string,
  header: string,
  name: string,
  exported: string,
  unless: string | undefined,
): [string, string] {
  const instead = (lines: string, by = '') => {
    if (unless === undefined) return by;
    return `#ifdef ${unless}\n${lines}${by === '' ? '' : `#else\n${by}`}#endif\n`;
  };
  const outer = `w2c_${name}_${exported}`;
  const bodyOf = (called: string) => {
    const found = new RegExp(`^void ${called}\\(w2c_${name}\\* instance\\) \\{\\n[\\s\\S]*?^\\}\\n`, 'm').exec(output);
    if (!found) throw changed(`there is no function ${called}`);
    return found[0];
  };
  const wrapper = bodyOf(outer);
  const [, inner] = /^ {2}(w2c_\w+)\(instance\);$/m.exec(wrapper) ?? [];
  if (inner === undefined) throw changed(`${outer} calls nothing`);
  const body = bodyOf(inner);
  const comment = `/* export: '${exported}' */\n`;
  const called = `${comment}void ${outer}(w2c_${name}*);\n`;
  // asc makes one function of those that do the same: it goes with the last of them that is left out.
  if (output.split(`${inner}(`).length > 4) {
    const whole = comment + wrapper;
    return [replaceOnce(output, whole, instead(whole)), replaceOnce(header, called, instead(called))];
  }
  let text = replaceOnce(output, body, '');
  let interfaces = header;
  for (const [, global] of body.matchAll(/\binstance->(w2c_g\d+) = /g)) {
    const first = new RegExp(`^  instance->${global} = (\\w+);\\n`, 'm');
    const sets = text.match(new RegExp(`\\binstance->${global} = `, 'g'))?.length;
    const value = first.exec(text)?.[1];
    if (sets !== 1 || value === undefined) continue;
    if (unless === undefined) {
      text = text.replace(first, '');
      interfaces = replaceOnce(interfaces, new RegExp(`^  \\w+ ${global};\\n`, 'm'), '');
    }
    const use = new RegExp(`\\binstance->${global}\\b(?! = )`, 'g');
    text = text.replace(new RegExp(`^.*${use.source}.*\\n`, 'gm'), (line) =>
      instead(line, line.replaceAll(use, value)),
    );
  }
  const declaration = `static void ${inner}(w2c_${name}*);\n`;
  text = replaceOnce(text, declaration, instead(declaration));
  text = replaceOnce(text, comment + wrapper, instead(comment + wrapper + body));
  return [text, replaceOnce(interfaces, called, instead(called))];
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

const segment = /^static const u8 (data_segment_data_\w+)\[\] = \{\n([^}]*)\};\n\n?/gm;
const loads = /(?:^ {2}LOAD_DATA\(instance->w2c_memory, \d+u, \w+, \d+\);\n)+/gm;

/** Puts the data of the memory's begin into one table, of which one loop copies: code for each piece takes more than the piece. */
function packData(output: string): string {
  const bytes = new Map([...output.matchAll(segment)].map(([, name, text]) => [name!, text!]));
  const pieces = [...output.matchAll(/^ {2}LOAD_DATA\(instance->w2c_memory, (\d+)u, (\w+), (\d+)\);$/gm)];
  if (pieces.length === 0) return output;
  const size = pieces.some(([, to, , length]) => Number(to) + Number(length) > 0xffff) ? 'u32' : 'u16';
  const places = pieces.map(([, to, , length]) => `  {${to}, ${length}},\n`).join('');
  const data = pieces.map(([, , name]) => {
    const text = bytes.get(name!);
    if (text === undefined) throw changed(`there is no ${name}`);
    return text;
  });
  const table = `static const u8 data_bytes[] = {\n${data.join('')}};\n`;
  const index = `static const struct {\n  ${size} to, length;\n} data_places[] = {\n${places}};\n\n`;
  const loop = `  const u8* from = data_bytes;
  for (u32 i = 0; i < sizeof data_places / sizeof data_places[0]; i++) {
    LOAD_DATA(instance->w2c_memory, data_places[i].to, from, data_places[i].length);
    from += data_places[i].length;
  }
`;
  const text = replaceOnce(output.replace(segment, ''), loads, loop);
  return replaceOnce(text, 'static void init_memories(', `${table}${index}static void init_memories(`);
}

const globalField = /^ {2}(?:u32|u64|f32|f64) (w2c_g\d+);\n/gm;

/**
 * Orders the instance's globals in the header: those of eight bytes first, as pairs of words are reached only near the
 * instance's begin, then by size; of each size those used most. A global of four bytes gets one or two where that is enough
 * for all that it ever has.
 */
function sortGlobals(header: string, output: string, name: string): string {
  const [before, fields, after] = splitOnce(header, `typedef struct w2c_${name} {\n`, `} w2c_${name};\n`);
  const uses = new Map<string, number>();
  for (const [global] of output.matchAll(/\bw2c_g\d+\b/g)) uses.set(global, (uses.get(global) ?? 0) + 1);
  const bounds = boundGlobals(output);
  const sorted = [...fields.matchAll(globalField)].map(([line, global]) => {
    const bytes = line.includes('64') ? 8 : line.includes('f32') ? 4 : bytesFor(bounds.get(global!));
    return { line: bytes < 4 ? line.replace('u32', `u${8 * bytes}`) : line, bytes, uses: uses.get(global!) ?? 0 };
  });
  sorted.sort((a, b) => b.bytes - a.bytes || b.uses - a.uses);
  return before + sorted.map(({ line }) => line).join('') + fields.replace(globalField, '') + after;
}

function bytesFor(most = 0xffff_ffff): number {
  return most <= 0xff ? 1 : most <= 0xffff ? 2 : 4;
}

function splitOnce(text: string, from: string, to: string): [string, string, string] {
  const [before, rest, ...more] = text.split(from);
  const end = rest?.indexOf(to) ?? -1;
  if (more.length > 0 || end < 0) throw changed(`${from} is not there once`);
  return [before + from, rest!.slice(0, end), rest!.slice(end)];
}

// What every exported function does around its call of another; it is for a register of another kind.
const enter =
  /^#if WASM_RT_USE_SEGUE_FOR_THIS_MODULE\n#if [\s\S]*?\n#endif\n {2}wasm_rt_segue_write_base\(.*\n#endif\n/gm;
const leave = /^#if WASM_RT_USE_SEGUE_FOR_THIS_MODULE && .*\n {2}wasm_rt_segue_write_base\(.*\n#endif\n/gm;
const zeroed = /^ {2}instance->w2c_\w+ = (?:0u|0ull|0\.0|0);\n/gm;

/** Lets the inner functions find the instance by themselves. Throws `BuildError` wasm2c-changed. */
function shareInstance(output: string, name: string): string {
  const type = `w2c_${name}`;
  const inner = new Set<string>();
  let text = output.replace(
    new RegExp(`^(static \\w+ )(${type}_\\w+)\\(${type}\\*(?:\\)|, )(.*)$`, 'gm'),
    (_, result: string, called: string, rest: string) => {
      inner.add(called);
      return `${result}${called}(${rest === ';' ? 'void);' : rest}`;
    },
  );
  const calls = (body: string) => [...body.matchAll(/\b(w2c_\w+)\(/g)].some(([, called]) => inner.has(called!));
  let defined = 0;
  text = text.replace(
    /^(\w[\w* ]*?\b(\w+)\()([^()]*)(\) \{\n)([\s\S]*?^\}\n)/gm,
    (whole, begin, called, given, brace, body) => {
      const args = given.replace(new RegExp(`^${type}\\* ?instance(?:, )?`), '');
      if (inner.has(called)) {
        if (args === given) throw changed(`${called} takes no instance`);
        defined++;
        return `${begin}${args || 'void'}${brace}${body.replaceAll(/\binstance->/g, 'wasm_instance->')}`;
      }
      if (called === 'init_globals')
        return `${begin}${given}${brace}  memset(instance, 0, sizeof *instance);\n${body.replace(zeroed, '')}`;
      if (!calls(body)) return whole;
      const entered = replaceOnce(replaceOnce(body, enter, '  WASM_ENTER(instance);\n'), leave, '  WASM_LEAVE();\n');
      return `${begin}${given}${brace}${entered}`;
    },
  );
  if (defined !== inner.size) throw changed(`${inner.size} functions are declared, ${defined} defined`);
  text = text.replace(/\b(w2c_\w+)\(instance(?:, |(?=\)))/g, (whole, called: string) =>
    inner.has(called) ? `${called}(` : whole,
  );
  return replaceOnce(
    text,
    `#include "${name}.h"\n`,
    `#include "${name}.h"\ntypedef ${type} wasm_instance_t;\n#include "wasm_base.h"\n`,
  );
}

function replaceOnce(text: string, what: RegExp | string, by: string): string {
  const parts = text.split(what);
  if (parts.length !== 2) throw changed(`${what} occurs ${parts.length - 1} times, expected once`);
  return parts.join(by);
}

function changed(detail: string): BuildError {
  return new BuildError('wasm2c-changed', `wasm2c's output is not what wabt 1.0.39 writes: ${detail}`);
}
