// The firmware build: the product's image within its budgets, the same bits anywhere, and what it refuses.
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as codes from '../../as/abi/codes.ts';
import { abiHeader, boardHeader } from '../../host/build/headers.ts';
import {
  BuildError,
  buildFirmware,
  formatBuildReport,
  listBoards,
  loadBoard,
  startEmulator,
} from '../../host/build/index.ts';
import { isStackBounded, measureStack } from '../../host/build/stack-depth.ts';
import { convertWasm } from '../../host/build/wasm-to-c.ts';
import { ExitCode } from '../../host/cli/exit-codes.ts';
import { until } from '../../host/setup/until.ts';
import { buildCore } from '../../scripts/build-core.mjs';
import { bundle } from '../../scripts/build-dist.mjs';
import { root } from '../../scripts/lib/project.mjs';
import { runMetertime } from '../host/cli-run.ts';
import { boardName, buildEchoFirmware, compileTestCore, Line, temporaryFolder } from './echo-meter.ts';

const temporary = temporaryFolder();
afterAll(() => temporary.remove());

/** A copy of what the build reads, elsewhere, with changed board data. */
function copyCheckout(name: string, change: (board: Record<string, unknown>) => void = () => {}): string {
  const copy = join(temporary.path, name);
  mkdirSync(join(copy, 'host'), { recursive: true });
  for (const path of ['firmware', 'boards', 'host/build', 'package.json']) {
    cpSync(join(root, path), join(copy, path), { recursive: true });
  }
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
  const file = join(copy, 'boards', boardName, 'board.json');
  const board = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
  change(board);
  writeFileSync(file, JSON.stringify(board));
  return copy;
}

describe('the product', { timeout: 120_000 }, () => {
  it('fits its budgets, its stack has a proven bound, and it runs within it', async () => {
    const report = await buildFirmware({ board: boardName });
    console.log(formatBuildReport(report));
    expect(report.flash.usedBytes).toBeLessThanOrEqual(98_304);
    expect(report.ram.usedBytes).toBeLessThanOrEqual(16_384);
    expect(report.ram.parts.map(({ part }) => part)).toContain('stack');
    for (const { usedBytes, parts } of [report.flash, report.ram]) {
      expect(parts.reduce((sum, { bytes }) => sum + bytes, 0)).toBe(usedBytes);
    }
    expect(report.stack.unboundedBy).toBeUndefined();
    const emulator = await startEmulator({
      board: boardName,
      image: report.elfPath,
      link: join(temporary.path, 'link'),
      storageFile: join(temporary.path, 'storage'),
    });
    try {
      const line = await Line.open(emulator.link);
      // It opens its link, again and again until it is answered.
      await line.receive(20_000);
      line.close();
      const { usedBytes } = await emulator.readStack();
      console.log(`stack: ${usedBytes} bytes used, at most ${report.stack.totalBytes} possible`);
      expect(usedBytes).toBeLessThanOrEqual(report.stack.totalBytes!);
    } finally {
      await emulator.stop();
    }
  });
});

describe('AES bitsliced', { timeout: 120_000 }, () => {
  // A mask that ShiftRows of planes has, and nothing else (aes-bitsliced.ts).
  const mask = `${0xc000_c000}u`;

  async function convert(leftOut: string[]): Promise<string> {
    const folder = join(temporary.path, `bitsliced-${leftOut.length}`);
    mkdirSync(folder);
    await convertWasm((await buildCore()).path, folder, 'core', { leftOut });
    return readFileSync(join(folder, 'core.h'), 'utf8') + readFileSync(join(folder, 'core.c'), 'utf8');
  }

  it('is not in the image of a board without a data cache, nor is the choice', async () => {
    const report = await buildFirmware({ board: boardName });
    const folder = dirname(report.elfPath);
    const source = readFileSync(join(folder, 'core.c'), 'utf8');
    const functions = [...source.matchAll(/^\w+ (w2c_core_\w+)\([^)]*\) \{\n[\s\S]*?^\}\n/gm)];
    const sliced = functions.filter(([text]) => text.includes(mask)).map(([, name]) => name);
    expect(sliced).toHaveLength(1);
    const graph = readFileSync(join(folder, 'obj', 'core', 'core.ci'), 'utf8');
    expect(graph.includes('"w2c_core_handle"')).toBe(true);
    expect(new RegExp(`\\b${sliced[0]}\\b`).test(graph)).toBe(false);
    expect(source.includes('bitsliceAes')).toBe(false);
  });

  it('costs a global of the instance where it is to be chosen', async () => {
    const [without, chosen] = [await convert(['bitsliceAes']), await convert([])];
    const globals = (text: string) => text.match(/^ {2}u\d+ w2c_g\d+;$/gm)?.length ?? 0;
    expect(globals(chosen)).toBe(globals(without) + 1);
    expect(chosen.includes('void w2c_core_bitsliceAes(w2c_core*);')).toBe(true);
    expect(without.includes('bitsliceAes')).toBe(false);
  });

  it('is asked for by the glue where the board says that it has one', () => {
    const board = loadBoard(boardName);
    expect(boardHeader(board)).not.toContain('DATA_CACHE');
    expect(boardHeader({ ...board, dataCache: true })).toContain('#define BOARD_DATA_CACHE 1\n');
  });
});

describe('time servers at once', { timeout: 240_000 }, () => {
  const build = (servers: number) => buildFirmware({ board: boardName, servers });

  it('three take at most 10 KB in three more RAM than one, each; four come with tariffs, records and logbook', async () => {
    const [one, three, four] = [await build(1), await build(3), await build(4)];
    expect(one).toMatchObject({ servers: 1, budgetsHold: true });
    expect(three).toMatchObject({ servers: 3, budgetsHold: false });
    expect(three.ram.usedBytes).toBeGreaterThan(one.ram.usedBytes);
    expect(three.ram.usedBytes - one.ram.usedBytes).toBeLessThanOrEqual((2 * 10_240) / 3);
    expect(four).toMatchObject({ servers: 4, budgetsHold: false });
    expect(four.ram.usedBytes).toBeGreaterThan(three.ram.usedBytes);
    expect(four.ram.usedBytes).toBeLessThanOrEqual(32_768);
  });

  it("are the board's number where none is given, and have an image of their own where it is another", async () => {
    const own = await buildFirmware({ board: boardName });
    const [one, four] = [await build(1), await build(4)];
    expect(own).toMatchObject({ servers: 1, budgetsHold: true, coreSha256: one.coreSha256, elfPath: one.elfPath });
    expect(four.coreSha256).not.toBe(one.coreSha256);
    expect(four.elfPath).not.toBe(one.elfPath);
    expect(formatBuildReport(own)).toMatch(/^for one time server$/m);
    expect(formatBuildReport(four)).toMatch(/^for up to 4 time servers at once, .* shown, not demanded$/m);
  });

  it('fit the budgets of a board with more memory', async () => {
    const report = await buildFirmware({ board: `${boardName}-4` });
    expect(report).toMatchObject({ servers: 4, budgetsHold: true });
    expect(report.ram.usedBytes).toBeLessThanOrEqual(32_768);
  });
});

// Compilers share the machine with the other tests.
describe('a build', { timeout: 120_000 }, () => {
  it('gives the same bits in another folder, and another image for another date', async () => {
    const corePath = await compileTestCore('echo');
    const here = await buildEchoFirmware();
    const before = process.env.SOURCE_DATE_EPOCH;
    try {
      process.env.SOURCE_DATE_EPOCH = String(here.buildUnixSeconds);
      const there = await buildFirmware({ board: boardName, corePath, root: copyCheckout('elsewhere') });
      expect(there.rebuilt).toBe(true);
      for (const path of ['elfPath', 'hexPath', 'binPath'] as const) {
        expect(readFileSync(there[path]!).equals(readFileSync(here[path]!)), path).toBe(true);
      }
      expect(there.imageSha256).toBe(here.imageSha256);
      process.env.SOURCE_DATE_EPOCH = '1';
      const outDir = join(temporary.path, 'dated');
      const dated = await buildFirmware({ board: boardName, corePath, outDir });
      expect(dated.buildUnixSeconds).toBe(1);
      expect(dated.imageSha256).not.toBe(here.imageSha256);
      expect((await buildFirmware({ board: boardName, corePath, outDir })).rebuilt).toBe(false);
      process.env.SOURCE_DATE_EPOCH = 'yesterday';
      await expect(buildFirmware({ board: boardName, corePath })).rejects.toThrow(/Unix seconds/);
    } finally {
      if (before === undefined) delete process.env.SOURCE_DATE_EPOCH;
      else process.env.SOURCE_DATE_EPOCH = before;
    }
  });

  it('has no driver for a part that the board has not', async () => {
    const corePath = await compileTestCore('echo');
    const copy = copyCheckout('cool', (board) => {
      delete board.thermometer;
    });
    const map = (outDir: string) => readFileSync(join(outDir, 'firmware.map'), 'utf8');
    const folder = join(temporary.path, 'without');
    const without = await buildFirmware({ board: boardName, corePath, root: copy, outDir: folder });
    const here = await buildEchoFirmware();
    expect(map(join(here.elfPath, '..'))).toMatch(/tmp105\.o[\s\S]*thermometer_read_temperature/);
    expect(map(folder)).not.toMatch(/tmp105|thermometer/);
    expect(boardHeader(loadBoard(boardName, copy))).toContain(
      `#define BOARD_CAPABILITIES ${codes.Capability.Rtc | codes.Capability.Storage}u`,
    );
    expect(without.flash.usedBytes).toBeLessThan(here.flash.usedBytes);
  });

  it('fails over budget, with the table', async () => {
    const corePath = await compileTestCore('echo');
    const copy = copyCheckout('small', (board) => {
      board.budgets = { flashBytes: 4096, ramBytes: 1024 };
    });
    const build = buildFirmware({ board: boardName, corePath, root: copy });
    await expect(build).rejects.toThrow(/more flash than its budget and more RAM than its budget:[\s\S]*linear memory/);
    await expect(build).rejects.toMatchObject({ code: 'over-budget' });
  });

  it('leaves a folder alone that is not of its making', async () => {
    const corePath = await compileTestCore('echo');
    const outDir = join(temporary.path, 'precious');
    mkdirSync(outDir);
    writeFileSync(join(outDir, 'letter.txt'), 'keep');
    await expect(buildFirmware({ board: boardName, corePath, outDir })).rejects.toMatchObject({
      code: 'output-foreign',
    });
    expect(readFileSync(join(outDir, 'letter.txt'), 'utf8')).toBe('keep');
  });

  it('refuses a core that imports something', async () => {
    const corePath = join(temporary.path, 'imports.wasm');
    const empty = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0];
    const type = [1, 4, 1, 0x60, 0, 0];
    const imported = [2, 7, 1, 1, 0x65, 1, 0x66, 0, 0];
    writeFileSync(corePath, Buffer.from([...empty, ...type, ...imported]));
    await expect(buildFirmware({ board: boardName, corePath })).rejects.toThrow(/imports e\.f/);
  });
});

describe('a build that is broken off leaves neither files nor programs at work', { timeout: 120_000 }, () => {
  let corePath: string;
  beforeAll(async () => {
    corePath = await compileTestCore('echo');
  });

  /** An empty folder, and a place in it. */
  function place(name: string): { folder: string; outDir: string } {
    const folder = join(temporary.path, name);
    mkdirSync(folder);
    return { folder, outDir: join(folder, 'image') };
  }

  /** The programs that were started with a path in this folder. */
  function programsAt(folder: string): string[] {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .flatMap((pid) => {
        try {
          const command = readFileSync(`/proc/${pid}/cmdline`, 'latin1');
          return command.includes(`${folder}/`) ? [command.split('\0')[0]!] : [];
        } catch {
          return []; // it ended
        }
      });
  }

  const isAtWork = (folder: string) => programsAt(folder).some((path) => path.endsWith('/cc1'));

  it.each(['core', 'wasm2c', 'compiler'])('before the step %s', async (wanted) => {
    const { folder, outDir } = place(`before-${wanted}`);
    const abort = new AbortController();
    const onStep = (step: string) => {
      if (step === wanted) abort.abort(new Error('enough'));
    };
    const build = buildFirmware({ board: boardName, corePath, outDir, onStep, signal: abort.signal });
    await expect(build).rejects.toThrow(/^enough$/);
    expect(readdirSync(folder)).toEqual([]);
    expect(programsAt(folder)).toEqual([]);
  });

  it('while compilers are at work', async () => {
    const { folder, outDir } = place('while');
    const abort = new AbortController();
    const build = buildFirmware({ board: boardName, corePath, outDir, signal: abort.signal });
    const refused = expect(build).rejects.toThrow(/^enough$/);
    await until('a compiler at work', () => isAtWork(folder), { timeoutMs: 60_000, intervalMs: 1 });
    abort.abort(new Error('enough'));
    await refused;
    expect(readdirSync(folder)).toEqual([]);
    expect(programsAt(folder)).toEqual([]);
  });

  it('by the exit of its process', async () => {
    const { folder, outDir } = place('exit');
    const program = join(root, 'build', 'test-children', 'build-child');
    await bundle('test/firmware/build-child.ts', program);
    const { status, stderr } = spawnSync(process.execPath, [join(program, 'metertime.mjs'), corePath, outDir], {
      encoding: 'utf8',
    });
    expect({ status, stderr }).toEqual({ status: 3, stderr: '' });
    expect(readdirSync(folder)).toEqual([]);
    expect(programsAt(folder)).toEqual([]);
  });

  it('by Ctrl-C on the command line, which says so by its exit code', async () => {
    const { folder, outDir } = place('command');
    const abort = new AbortController();
    const running = runMetertime(['build', '--board', boardName, '--out', outDir], { signal: abort.signal });
    await until('a compiler at work', () => isAtWork(folder), { timeoutMs: 60_000 });
    abort.abort('SIGINT');
    expect((await running).exitCode).toBe(ExitCode.Interrupted);
    expect(readdirSync(folder)).toEqual([]);
    expect(programsAt(folder)).toEqual([]);
  });
});

describe('board data', () => {
  it('lists boards', () => {
    expect(listBoards()).toContainEqual(expect.objectContaining({ name: boardName, emulated: true }));
  });

  it("has four servers at once where it does not say how many, and its parent's number where that does", () => {
    const copy = copyCheckout('servers', (board) => {
      delete board.servers;
    });
    expect(loadBoard(boardName, copy).servers).toBe(4);
    const parent = copyCheckout('parent', (board) => {
      board.servers = 2;
    });
    const child = join(parent, 'boards', 'child');
    mkdirSync(child);
    writeFileSync(join(child, 'board.json'), JSON.stringify({ inherits: `${boardName}/board`, name: 'child' }));
    expect(loadBoard('child', parent).servers).toBe(2);
  });

  it('names the boards there are when one is not known', () => {
    expect(() => loadBoard('nucleo')).toThrow(/there is no board nucleo; there are: .*mps2-an385/);
    expect(() => loadBoard('../firmware')).toThrow(BuildError);
  });

  it.each([
    ['a wrong address', { rtc: { driver: 'ds1338', address: 104 } }, /rtc\.address/],
    [
      'a thermometer without an address',
      { thermometer: { driver: 'tmp105', address: undefined } },
      /thermometer\.address/,
    ],
    [
      'pages of 128 bytes',
      { storage: eeprom(128) },
      /a power of two up to 64, got 128: .*smaller pages.*storage\.pageBytes/s,
    ],
    ['pages of 48 bytes', { storage: eeprom(48) }, /a power of two up to 64, got 48/],
    ['an unknown key', { colour: 'red' }, /colour/],
    ['no server', { servers: 0 }, /servers/],
    ['five servers', { servers: 5 }, /servers/],
    [
      'a device that the chip has not',
      { link: { uart: 'uart9', baud: 9600 } },
      /link\.uart is uart9; there are: uart0/,
    ],
    ['a missing parent', { inherits: '_chip/none' }, /_chip\/none\.json/],
    ['a circle', { inherits: `${boardName}/board` }, /in a circle/],
    ['a budget beyond the memory', { budgets: { flashBytes: 2 ** 30, ramBytes: 1 } }, /larger than its memories/],
  ])('is refused with %s', (what, change, message) => {
    const copy = copyCheckout(what.replaceAll(' ', '-'), (board) => Object.assign(board, change));
    expect(() => loadBoard(boardName, copy)).toThrow(message);
  });
});

const eeprom = (pageBytes: number) => ({ driver: 'at24c', address: '0x50', bytes: 8192, pageBytes, writeCycleMs: 10 });

describe('numbers for C', () => {
  it('are those of as/abi/codes.ts, all of them', () => {
    const header = abiHeader();
    expect(header).toContain('START_FIELD_CORE_SHA256 = 24,');
    expect(header).toContain('EVENT_FRAME_SENT = 4,');
    const numbers = Object.values(codes).flatMap((values) =>
      Object.values(values).filter((value) => typeof value === 'number'),
    );
    expect(header.match(/ = -?\d+,$/gm)).toHaveLength(numbers.length);
  });
});

describe('the depth of the stack', () => {
  const node = (title: string, bytes: number, kind = 'static') =>
    `node: { title: "${title}" label: "${title}\\nfile.c:1:1\\n${bytes} bytes (${kind})\\n0 dynamic objects" }\n`;
  const edge = (from: string, to: string) =>
    `edge: { sourcename: "${from}" targetname: "${to}" label: "file.c:1:1" }\n`;
  const base = node('nmi', 4) + node('irq', 20) + node('wasm_rt_trap', 8);
  const measure = (graph: string) =>
    measureStack({ frameBytes: 36, helperBytes: 48 }, [base, graph], 'main', ['irq'], 'nmi', (title) =>
      title.startsWith('core.c:'),
    );

  it('is that of the deepest chain, with a handler and the NMI on top', () => {
    const graph = node('main', 16) + node('a', 100) + node('b', 40) + edge('main', 'a') + edge('main', 'b');
    const { totalBytes, chain } = measure(graph + node('c', 70) + edge('b', 'c'));
    expect(chain).toEqual(['main', 'b', 'c']);
    expect(totalBytes).toBe(16 + 40 + 70 + 20 + 4 + 2 * 36);
  });

  it.each([
    ['recursion', node('main', 8) + node('a', 8) + edge('main', 'a') + edge('a', 'main'), /main calls itself/],
    ['a call through a pointer', node('main', 8) + edge('main', '__indirect_call'), /pointer/],
    ['a frame of unknown size', node('main', 8, 'dynamic'), /fixed frame/],
  ])('is unknown with %s', (_, graph, why) => {
    const { totalBytes, unboundedBy } = measure(graph);
    expect(totalBytes).toBeUndefined();
    expect(unboundedBy).toMatch(why);
    expect(isStackBounded(graph)).toBe(false);
  });

  it('has a bound in a file whose functions call others elsewhere', () => {
    expect(isStackBounded(node('a', 8) + node('b', 8) + edge('a', 'b') + edge('b', 'elsewhere'))).toBe(true);
  });

  it('is checked at run time by a core that calls itself, and by no other', async () => {
    const floor = async (name: string) => {
      const outDir = join(temporary.path, `floor-${name}`);
      await buildFirmware({ board: boardName, corePath: await compileTestCore(name), outDir });
      return readFileSync(join(outDir, 'obj', 'core', 'core.o')).includes('wasm_stack_floor');
    };
    expect(await floor('echo')).toBe(true);
    expect(await floor('failing')).toBe(false);
  }, 60_000);

  it("counts the core's largest frame into what is kept free below its check", () => {
    const graph = node('main', 8) + node('core.c:f', 200) + edge('main', 'core.c:f');
    expect(measure(graph).reserveBytes).toBe(200 + 48 + 20 + 4 + 2 * 36);
  });
});
