// Compiles and links an image: the board's own C files, the core that wasm2c wrote, the linker script.
//
// What always holds: compilers run in the checkout's folder with relative paths, paths of this machine are mapped, and
// objects are linked in sorted order, so that nothing of the machine gets into the image; the core's functions check the
// stack unless their call graph gives it a bound.
import { mkdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { Board } from './board.ts';
import { isStackBounded } from './stack-depth.ts';
import { runTool, type Tool } from './tools.ts';

/** What to compile. `folder` holds the generated headers, link.ld and core.c, and takes objects and map. */
export interface ImageInputs {
  readonly root: string;
  readonly folder: string;
  readonly board: Board;
  readonly gcc: Tool;
  /** C files, relative to the checkout. */
  readonly sources: readonly string[];
  readonly elfPath: string;
  /** Compiler and linker flags besides the board's, of a process. */
  readonly moreFlags?: readonly string[];
  /** Breaks it off: compilers are ended, and what they wrote is left. */
  readonly signal?: AbortSignal | undefined;
}

/** Compiler flags of the firmware's own C, and of what wasm2c wrote. */
const ownFlags = ['-Os', '-Wall', '-Wextra', '-Werror'];
const coreFlags = ['-Os', '-w', '-ffp-contract=off', '-fno-strict-aliasing', '-fwrapv'];
// Of gcc's passes, those without which the core is smaller and no slower.
const leftOutPasses = ['-fno-schedule-insns2', '-fno-tree-dominator-opts'];

/** Compiles everything and links it. Throws `BuildError` tool-failed with the compiler's complaints. */
export async function compileImage(inputs: ImageInputs): Promise<void> {
  await compileAll(inputs);
  await link(inputs);
}

// firmware/drivers/at24c.c is obj/drivers/at24c.o.
function objectOf(source: string): string {
  return join('obj', source.replace(/^firmware\//, '').replace(/\.c$/, '.o'));
}

async function compileAll({ root, folder, board, gcc, sources, moreFlags = [], signal }: ImageInputs): Promise<void> {
  const bare = board.process === undefined;
  const shared = [
    ...board.toolchain.flags,
    ...moreFlags,
    '-std=gnu11',
    ...(bare ? ['-ffreestanding', '-fcallgraph-info=su'] : []),
    '-fno-common',
    '-ffunction-sections',
    '-fdata-sections',
    '-g',
    // The last one that fits is taken. The compiler's own headers have a place of their own on each machine.
    `-ffile-prefix-map=${root}=.`,
    `-ffile-prefix-map=${folder}=build`,
    `-ffile-prefix-map=${dirname(dirname(gcc.path))}=/usr`,
    ...(bare ? ['-Ifirmware/runtime/include'] : []),
    '-Ifirmware/runtime',
    '-Ifirmware/platform',
    '-Ifirmware/drivers',
    ...board.sources.map((source) => `-I${source}`),
    `-I${folder}`,
  ];
  const compile = (flags: string[], source: string, object: string) => {
    mkdirSync(dirname(join(folder, object)), { recursive: true });
    return runTool(gcc, [...shared, ...flags, '-c', source, '-o', join(folder, object)], root, signal);
  };
  const compileCore = async () => {
    const core = join(folder, 'core.c');
    const object = join('obj', 'core', 'core.o');
    const flags = bare ? [...coreFlags, ...leftOutPasses] : coreFlags;
    await compile([...flags, '-DWASM_STACK_PROVEN'], core, object);
    // Below a process' stack is a page that nobody may touch.
    if (!bare) return;
    const graph = readFileSync(join(folder, object.replace(/o$/, 'ci')), 'utf8');
    if (!isStackBounded(graph)) await compile(flags, core, object);
  };
  const jobs = [compileCore, ...sources.map((source) => () => compile(flagsOf(source), source, objectOf(source)))];
  // When one has failed the folder is about to go: no compiler is left at work in it.
  const ends = await Promise.allSettled([worker(jobs), worker(jobs)]);
  for (const end of ends) if (end.status === 'rejected') throw end.reason;
}

// Library functions must not be compiled into calls of themselves.
function flagsOf(source: string): string[] {
  return basename(source) === 'memory.c' ? [...ownFlags, '-fno-tree-loop-distribute-patterns'] : ownFlags;
}

async function worker(jobs: (() => Promise<unknown>)[]): Promise<void> {
  try {
    for (let job = jobs.shift(); job !== undefined; job = jobs.shift()) await job();
  } catch (error) {
    jobs.length = 0;
    throw error;
  }
}

async function link(inputs: ImageInputs): Promise<void> {
  const { root, folder, board, gcc, sources, elfPath, moreFlags = [], signal } = inputs;
  const objects = [join('obj', 'core', 'core.o'), ...sources.map(objectOf)].sort();
  const options = [
    ...board.toolchain.flags,
    ...moreFlags,
    '-Wl,--gc-sections',
    '-Wl,--build-id=none',
    `-Wl,-Map=${join(folder, 'firmware.map')}`,
    ...(board.process === undefined ? ['-nostdlib', '-Wl,--no-warn-rwx-segments', '-T', join(folder, 'link.ld')] : []),
  ];
  const library = board.process === undefined ? '-lgcc' : '-lm';
  const paths = objects.map((object) => join(folder, object));
  await runTool(gcc, [...options, ...paths, library, '-o', elfPath], root, signal);
}
