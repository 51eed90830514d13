// Which accesses are made: every width and sign, loads and stores, at constant offsets from 0 to 2^32 - 1, with bases
// around each place where something can go wrong: both ends of memory, the end of the room behind it, the sign bit, and
// the wrap at 2^32.
//
// What always holds: what must come of a case is decided here in integers without bounds, not as the code under test
// decides it: what lies in the memory is reached, what goes beyond the room traps. Between them either may be, and that
// is no case.
import { TrapCode } from '../../../as/abi/codes.ts';
import { memoryHeader } from '../../../host/build/headers.ts';

/** Bytes of the probe's memory: no power of two, so a mask instead of a comparison would be found out. */
export const memoryBytes = 1000;

/** Bytes that are the memory's and nothing else's: accesses behind its end may reach them. */
export const roomBytes = Number(/WASM_MEMORY_ROOM (\d+)u/.exec(memoryHeader(memoryBytes))![1]);

interface Access {
  /** As WebAssembly's text format says it, such as i64.load32_s. */
  readonly op: string;
  readonly type: 'i32' | 'i64' | 'f32' | 'f64';
  readonly bytes: number;
  readonly stores: boolean;
  readonly signed: boolean;
}

const accesses: readonly Access[] = [
  ...(['i32', 'i64', 'f32', 'f64'] as const).flatMap((type) =>
    ['load', 'store'].map((kind) => access(`${type}.${kind}`, type, Number(type.slice(1)) / 8)),
  ),
  ...(['i32', 'i64'] as const).flatMap((type) =>
    [8, 16, 32]
      .filter((bits) => bits < Number(type.slice(1)))
      .flatMap((bits) =>
        [`load${bits}_s`, `load${bits}_u`, `store${bits}`].map((kind) => access(`${type}.${kind}`, type, bits / 8)),
      ),
  ),
];

function access(op: string, type: Access['type'], bytes: number): Access {
  return { op, type, bytes, stores: op.includes('store'), signed: op.endsWith('_s') };
}

const top = 2 ** 32;

function offsetsFor(bytes: number): number[] {
  const fits = memoryBytes - bytes;
  return [
    0,
    1,
    7,
    roomBytes - memoryBytes - bytes,
    roomBytes - memoryBytes - bytes + 1,
    fits - 1,
    fits,
    fits + 1,
    memoryBytes,
    roomBytes - bytes,
    roomBytes - bytes + 1,
    2 ** 31 - 1,
    2 ** 31,
    top - memoryBytes,
    top - bytes,
    top - 1,
  ];
}

function basesFor(bytes: number, offset: number): number[] {
  const fits = memoryBytes - bytes - offset;
  const wrapped = top - offset;
  const near = [
    0,
    3,
    fits >> 1,
    fits,
    memoryBytes - offset,
    memoryBytes,
    roomBytes - bytes - offset,
    roomBytes - offset,
    roomBytes,
    2 ** 31,
    wrapped,
    wrapped + memoryBytes - bytes,
    wrapped + roomBytes - bytes,
    top,
  ];
  const all = near.flatMap((base) => [base - 1, base, base + 1]);
  return [...new Set(all)].filter((base) => base >= 0 && base < top).sort((a, b) => a - b);
}

/** One access of the table. */
export interface Case {
  readonly name: string;
  readonly base: number;
  readonly offset: number;
  readonly access: Access;
  readonly traps: boolean;
}

/** All cases, in the order of the table. */
export const cases: readonly Case[] = accesses.flatMap((one) =>
  offsetsFor(one.bytes).flatMap((offset) =>
    basesFor(one.bytes, offset)
      .map((base) => ({ base, end: BigInt(base) + BigInt(offset) + BigInt(one.bytes) }))
      .filter(({ end }) => end <= BigInt(memoryBytes) || end > BigInt(roomBytes))
      .map(({ base, end }) => ({
        name: functionName(one, offset),
        base,
        offset,
        access: one,
        traps: end > BigInt(memoryBytes),
      })),
  ),
);

function functionName({ op }: Access, offset: number): string {
  return `${op.replace('.', '_')}_at_${offset}`;
}

/** The module with one function for each access and offset, and others that trap in other ways. */
export function probeText(table: readonly Case[]): string {
  const functions = new Map(table.map((one) => [one.name, one]));
  const lines = [...functions.values()].map(({ name, access: { op, type, stores }, offset }) =>
    stores
      ? `(func (export "${name}") (param i32 ${type}) (${op} offset=${offset} (local.get 0) (local.get 1)))`
      : `(func (export "${name}") (param i32) (result ${type}) (${op} offset=${offset} (local.get 0)))`,
  );
  // The result of a load that nobody uses must trap all the same.
  lines.push('(func (export "unused") (param i32) (drop (i32.load (local.get 0))))');
  lines.push('(func (export "unreachable") (unreachable))');
  lines.push('(func (export "divide") (param i32) (result i32) (i32.div_s (i32.const 0x80000000) (local.get 0)))');
  return `(module (memory (export "memory") 1 1)\n${lines.join('\n')}\n)`;
}

/** C source with the table: `struct probe_case` of cases.h. */
export function probeSource(table: readonly Case[]): string {
  const wrappers = new Map(table.map((one) => [one.name, wrapper(one)]));
  const rows = table.map((one) => {
    const at = one.traps ? 0 : one.base + one.offset;
    const trap = one.traps ? TrapCode.OutOfBounds : TrapCode.None;
    const loaded = one.traps || one.access.stores ? 0n : expectedBits(one.access, at);
    return row(one.name, one.base, at, one.access.bytes, one.access.stores, trap, loaded);
  });
  rows.push(
    row('unused', memoryBytes - 4, 0, 4, false, TrapCode.None, 0n),
    row('unused', roomBytes - 3, 0, 4, false, TrapCode.OutOfBounds, 0n),
    row('unreachable', 0, 0, 0, false, TrapCode.Unreachable, 0n),
    row('divide', 0, 0, 0, false, TrapCode.DivisionByZero, 0n),
    row('divide', top - 1, 0, 0, false, TrapCode.IntegerOverflow, 0n),
    row('divide', 1, 0, 0, false, TrapCode.None, 0x80000000n),
  );
  return `// The probe's table.
#include "cases.h"

#include "core.h"
#include "wasm_rt.h"

static w2c_core instance;

void probe_start_instance(void) {
  wasm2c_core_instantiate(&instance);
}

${[...wrappers.values()].join('\n')}
static uint64_t unused(uint32_t base, uint64_t value) {
  (void)value;
  w2c_core_unused(&instance, base);
  return 0;
}

static uint64_t unreachable(uint32_t base, uint64_t value) {
  (void)base;
  (void)value;
  w2c_core_unreachable(&instance);
  return 0;
}

static uint64_t divide(uint32_t base, uint64_t value) {
  (void)value;
  return w2c_core_divide(&instance, base);
}

const struct probe_case probe_cases[] = {
${rows.join('\n')}
};

const uint32_t probe_count = sizeof probe_cases / sizeof probe_cases[0];
`;
}

function wrapper({ name, access: { type, stores } }: Case): string {
  const call = `w2c_core_${name}`;
  const bits = type.startsWith('f') ? `u${type.slice(1)}` : type.replace('i', 'u');
  const body = stores
    ? `  ${bits} bits = (${bits})value;
  ${type.replace('i', 'u')} given;
  __builtin_memcpy(&given, &bits, sizeof given);
  ${call}(&instance, base, given);
  return 0;`
    : `  (void)value;
  ${type.replace('i', 'u')} got = ${call}(&instance, base);
  ${bits} bits;
  __builtin_memcpy(&bits, &got, sizeof bits);
  return bits;`;
  return `static uint64_t ${name}(uint32_t base, uint64_t value) {\n${body}\n}\n`;
}

function row(
  name: string,
  base: number,
  at: number,
  bytes: number,
  stores: boolean,
  trap: TrapCode,
  loaded: bigint,
): string {
  return `    {${name}, ${base}u, ${at}u, ${bytes}, ${stores ? 1 : 0}, ${trap}, ${loaded}ull},`;
}

// The pattern of bounds.c, read as WebAssembly reads it.
function expectedBits({ type, bytes, signed }: Access, at: number): bigint {
  let value = 0n;
  for (let i = 0; i < bytes; i++) value |= BigInt(((at + i) * 37 + 11) & 255) << BigInt(8 * i);
  const width = Number(type.slice(1));
  return signed ? BigInt.asUintN(width, BigInt.asIntN(8 * bytes, value)) : value;
}
