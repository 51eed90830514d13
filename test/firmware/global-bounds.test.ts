// How large the globals of a compiled module can get: what each kind of statement gives, and random modules that run
// here and never have more than that.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { boundGlobals } from '../../host/build/global-bounds.ts';
import { requireWabt, runTool } from '../../host/build/tools.ts';
import { convertWasm } from '../../host/build/wasm-to-c.ts';
import { temporaryFolder } from './echo-meter.ts';
import { randomNumbers } from './random.ts';

const temporary = temporaryFolder();
afterAll(() => temporary.remove());

const most = 0xffff_ffff;

/** Compiles a module with functions to get its globals, `get0` and so on. */
async function compile(name: string, globals: number, functions: string): Promise<string> {
  const folder = join(temporary.path, name);
  mkdirSync(folder);
  const all = Array.from({ length: globals }, (_, i) => i);
  const text = [
    '(module (memory (export "memory") 1)',
    ...all.map((i) => `(global $g${i} (mut i32) (i32.const 0))`),
    ...all.map((i) => `(func (export "get${i}") (result i32) (global.get $g${i}))`),
    functions,
    ')',
  ].join('\n');
  writeFileSync(join(folder, 'm.wat'), text);
  await runTool(requireWabt('wat2wasm'), ['m.wat', '-o', 'm.wasm'], folder);
  return folder;
}

async function boundsOf(folder: string): Promise<number[]> {
  await runTool(requireWabt('wasm2c'), ['m.wasm', '-n', 'm', '-o', 'm.c'], folder);
  const bounds = boundGlobals(readFileSync(join(folder, 'm.c'), 'utf8'));
  return [...bounds].sort(([a], [b]) => Number(a.slice(5)) - Number(b.slice(5))).map(([, bound]) => bound);
}

const set = (value: string) => (i: number) => `(func (export "set${i}") (param i32) (global.set $g${i} ${value}))`;
const given = '(local.get 0)';
const byte = `(i32.load8_u ${given})`;

const statements: readonly (readonly [string, (i: number) => string, number])[] = [
  ['nothing but zero', set('(i32.const 0)'), 0],
  ['a constant', set('(i32.const 200)'), 255],
  ['a negative one', set('(i32.const -1)'), most],
  ['what is handed in', set(given), most],
  ['a comparison', set(`(i32.lt_s ${given} (i32.const 7))`), 1],
  ['a byte', set(byte), 255],
  ['a byte with its sign', set(`(i32.load8_s ${given})`), most],
  ['two bytes', set(`(i32.load16_u offset=2 ${given})`), 65_535],
  ['four', set(`(i32.load ${given})`), most],
  ['bits of what is handed in', set(`(i32.and ${given} (i32.const 0x7f))`), 127],
  ['bits of either', set(`(i32.or ${byte} (i32.const 256))`), 511],
  ['a sum', set(`(i32.add ${byte} ${byte})`), 511],
  ['a difference, which may wrap', set(`(i32.sub ${byte} (i32.const 1))`), most],
  ['a product', set(`(i32.mul ${byte} (i32.const 4))`), 1023],
  ['a quotient', set(`(i32.div_u ${byte} ${byte})`), 255],
  ['a rest', set(`(i32.rem_u ${given} (i32.const 10))`), 15],
  ['shifted to the left', set(`(i32.shl ${byte} (i32.const 3))`), 2047],
  ['shifted by who knows', set(`(i32.shl ${byte} ${given})`), most],
  ['shifted to the right', set(`(i32.shr_u ${byte} ${given})`), 255],
  ['one of two', set(`(select ${byte} (i32.const 300) ${given})`), 511],
  ['where ways meet', set(`(if (result i32) ${given} (then ${byte}) (else (i32.const 1)))`), 255],
  ['a count', (i) => set(`(i32.add (global.get $g${i}) (i32.const 1))`)(i), most],
  [
    'a count of seven bits',
    (i) => set(`(i32.and (i32.add (global.get $g${i}) (i32.const 1)) (i32.const 127))`)(i),
    127,
  ],
  [
    'what a function of the module is handed, by all who call it',
    (i) =>
      `(func $a${i} (param i32) (global.set $g${i} ${given}))` +
      `(func (export "set${i}") (param i32) (call $a${i} ${byte}) (call $a${i} (i32.const 1000)))`,
    1023,
  ],
  [
    'what it returns',
    (i) =>
      `(func $a${i} (param i32) (result i32) (if ${given} (then (return (i32.const 9)))) ${byte})` +
      `(func (export "set${i}") (param i32) (global.set $g${i} (call $a${i} ${given})))`,
    255,
  ],
  [
    'a local, over all that is put there',
    (i) =>
      `(func (export "set${i}") (param i32) (local $l i32) (local.set $l (i32.const 3))` +
      `(loop $again (global.set $g${i} (local.get $l)) (local.set $l ${byte}) (br_if $again ${given})))`,
    255,
  ],
];

it('follow from the statements that set them', async () => {
  const functions = statements.map(([, one], i) => one(i)).join('\n');
  const bounds = await boundsOf(await compile('statements', statements.length, functions));
  expect(bounds.map((bound, i) => [statements[i]![0], bound])).toEqual(
    statements.map(([what, , bound]) => [what, bound]),
  );
});

it('give a global one byte, two or four', async () => {
  const functions = [set(byte), set('(i32.const 256)'), set(given)].map((one, i) => one(i)).join('\n');
  const folder = await compile('sizes', 3, functions);
  await convertWasm(join(folder, 'm.wasm'), folder, 'core');
  expect(
    [...readFileSync(join(folder, 'core.h'), 'utf8').matchAll(/^ {2}(u\d+) w2c_(g\d);/gm)].map(([, ...is]) => is),
  ).toEqual([
    ['u32', 'g2'],
    ['u16', 'g1'],
    ['u8', 'g0'],
  ]);
});

const globals = 40;
const functionsOfModule = 25;

/** A module of random statements; a function calls only those before it. */
function randomModule(random: (below: number) => number): string {
  const one = <T>(of: readonly T[]) => of[random(of.length)]!;
  const number = () =>
    `(i32.const ${one([0, 1, 2, 3, 7, 31, 255, 256, 4095, 65_535, 65_536, -1, -256, random(2 ** 31)])})`;
  const value = (depth: number, called: number): string => {
    const of = () => value(depth - 1, called);
    if (depth === 0)
      return one([number, () => `(local.get ${random(4)})`, () => `(global.get $g${random(globals)})`])();
    return one([
      number,
      () => `(local.get ${random(4)})`,
      () => `(global.get $g${random(globals)})`,
      () => `(i32.${one(['add', 'sub', 'mul', 'and', 'or', 'xor', 'shl', 'shr_u', 'shr_s', 'rotl'])} ${of()} ${of()})`,
      () =>
        `(i32.${one(['and', 'shr_u', 'rem_u'])} ${of()} ${one(['(i32.const 255)', '(i32.const 17)', '(i32.const 1)'])})`,
      () => `(i32.${one(['div_u', 'rem_u'])} ${of()} (i32.or (i32.const 1) ${of()}))`,
      () => `(i32.${one(['eq', 'ne', 'lt_u', 'lt_s', 'gt_s', 'ge_u', 'le_s'])} ${of()} ${of()})`,
      () => `(i32.eqz ${of()})`,
      () => `(select ${of()} ${of()} ${of()})`,
      () => `(if (result i32) ${of()} (then ${of()}) (else ${of()}))`,
      () =>
        `(i32.${one(['load', 'load8_u', 'load8_s', 'load16_u', 'load16_s'])} offset=${random(9)} (i32.and ${of()} (i32.const 4095)))`,
      () => `(i32.wrap_i64 (i64.extend_i32_${one(['u', 's'])} ${of()}))`,
      ...(called > 0 ? [() => `(call $f${random(called)} ${of()} ${of()})`] : []),
    ])();
  };
  const statement = (depth: number, called: number): string =>
    one([
      () => `(global.set $g${random(globals)} ${value(random(4), called)})`,
      () =>
        `(global.set $g${random(globals)} (i32.and ${value(random(4), called)} (i32.const ${one([1, 255, 4095])})))`,
      () => `(local.set ${random(4)} ${value(random(3), called)})`,
      () => `(if ${value(2, called)} (then ${several(depth - 1, called)}) (else ${several(depth - 1, called)}))`,
      () => `(block $out ${several(depth - 1, called)} (br_if $out ${value(2, called)}) ${several(depth - 1, called)})`,
      () =>
        `(local.set 4 (i32.const 5)) (loop $again ${several(depth - 1, called)}` +
        ' (br_if $again (local.tee 4 (i32.shr_u (local.get 4) (i32.const 1)))))',
    ])();
  const several = (depth: number, called: number): string =>
    depth <= 0 ? '' : Array.from({ length: 1 + random(3) }, () => statement(depth, called)).join(' ');
  return Array.from({ length: functionsOfModule }, (_, i) => {
    // Of those that are called, few, as they call others.
    const called = i % 5 === 0 ? 0 : Math.floor(i / 5) * 5 + 1;
    const outside = random(3) === 0 ? `(export "f${i}")` : '';
    const body = `${several(3, Math.min(called, i))} ${value(2, 0)}`;
    return `(func $f${i} ${outside} (param i32 i32) (result i32) (local i32 i32 i32) ${body})`;
  }).join('\n');
}

it('are never exceeded by random modules', { timeout: 60_000 }, async () => {
  const random = randomNumbers();
  let narrow = 0;
  for (let round = 0; round < 3; round++) {
    const folder = await compile(`random${round}`, globals, randomModule(random));
    const bounds = await boundsOf(folder);
    narrow += bounds.filter((bound) => bound <= 0xffff).length;
    const module = new WebAssembly.Module(readFileSync(join(folder, 'm.wasm')) as Uint8Array<ArrayBuffer>);
    const exports = new WebAssembly.Instance(module).exports as Record<string, (...args: number[]) => number>;
    const memory = new Uint8Array((exports.memory as unknown as WebAssembly.Memory).buffer);
    for (let i = 0; i < 5000; i++) memory[i] = random(256);
    const outside = Object.keys(exports).filter((name) => /^f\d/.test(name));
    for (let call = 0; call < 500 && outside.length > 0; call++) {
      exports[outside[random(outside.length)]!]!(random(2 ** random(33)), random(2 ** random(33)));
      const over = bounds.findIndex((bound, i) => exports[`get${i}`]!() >>> 0 > bound);
      if (over >= 0) throw new Error(`global ${over} of module ${round} is larger than ${bounds[over]}`);
    }
  }
  // A search that gave up everywhere would be right, too.
  expect(narrow).toBeGreaterThan(20);
});
