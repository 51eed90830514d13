// core.wasm and a board's data to ELF, HEX and BIN: wasm2c, the board's compiler, sizes against budgets.
//
// What always holds: the same commit and compiler give the same image, wherever and whenever it is built: inputs are
// sorted, paths are mapped, nothing reads the clock. A build appears in its folder by one rename, whole or not at all;
// one whose inputs did not change is not done again.
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { buildCore } from '../../scripts/build-core.mjs';
import { type Board, loadBoard } from './board.ts';
import { compileImage } from './compile.ts';
import { parseElf, symbolAddress } from './elf.ts';
import { BuildError } from './errors.ts';
import { abiHeader, boardHeader, hasNmi, identityHeader, interruptHandlers, memoryHeader } from './headers.ts';
import { buildDate, packageVersion, sha256 } from './identity.ts';
import { inspectCore } from './inspect-core.ts';
import { linkerScript, stackReserveBytes } from './linker-script.ts';
import { requireNative } from './native.ts';
import { formatBuildReport } from './report.ts';
import { type Sanitizer, sanitizerFlags } from './sanitizers.ts';
import { measureSizes, type SizeReport } from './sizes.ts';
import { isStackBounded, measureStack, type StackDepth } from './stack-depth.ts';
import { requireCheckout, requireTool, runTool, type Tool } from './tools.ts';
import { convertWasm } from './wasm-to-c.ts';

/** What to build. */
export interface BuildOptions {
  readonly board: string;
  /** Time servers that it can use at once, in the place of the board's own number: the budgets are only reported then. */
  readonly servers?: number;
  /** A process with the compiler's sanitizers, such as address and undefined: budgets are only reported then. */
  readonly sanitize?: readonly Sanitizer[];
  /** A core other than this checkout's own: path of its wasm. */
  readonly corePath?: string;
  /**
   * Where to put it; default build/<board>, or build/<board>.servers-<n> for a number not the board's own, and
   * build/<board>.sanitized with sanitizers.
   */
  readonly outDir?: string;
  /** The checkout; default the one that this program belongs to. */
  readonly root?: string;
  /** Says which step is under way. */
  readonly onStep?: (text: string) => void;
  /** Breaks it off: when the promise rejects with the signal's reason, no compiler is at work and no file is left. */
  readonly signal?: AbortSignal;
}

/** What was built. Paths are absolute, hashes lower-case hex. */
export interface BuildReport extends SizeReport {
  readonly board: string;
  /** Time servers that the core can use at once; undefined for a core other than this checkout's own. */
  readonly servers: number | undefined;
  /** Whether that is the board's own number, and there are no sanitizers, so that its budgets are rules. */
  readonly budgetsHold: boolean;
  readonly sanitize: readonly Sanitizer[];
  readonly version: string;
  readonly buildUnixSeconds: number;
  readonly elfPath: string;
  /** Undefined for a process, which is the ELF file. */
  readonly hexPath: string | undefined;
  readonly binPath: string | undefined;
  readonly coreSha256: string;
  /** Of the BIN file, or of a process' ELF file, as the firmware computes it at each start. */
  readonly imageSha256: string;
  readonly imageBytes: number;
  readonly coreMemoryBytes: number;
  readonly stackBytes: number;
  readonly stack: StackDepth;
  /** False when an earlier build of the same inputs was found. */
  readonly rebuilt: boolean;
}

type StoredReport = Omit<
  BuildReport,
  'elfPath' | 'hexPath' | 'binPath' | 'rebuilt' | 'servers' | 'budgetsHold' | 'sanitize'
>;

/**
 * Builds the firmware of a board.
 * Throws `BuildError`: board-unknown, board-invalid, tool-missing, tool-failed, core-invalid, wasm2c-changed,
 * over-budget, stack-unbounded, output-foreign, sanitize-bare; and the signal's reason.
 */
export async function buildFirmware(options: BuildOptions): Promise<BuildReport> {
  const { signal } = options;
  const root = options.root ?? requireCheckout();
  const board = loadBoard(options.board, root);
  const servers = options.corePath === undefined ? (options.servers ?? board.servers) : undefined;
  const sanitize = options.sanitize ?? [];
  if (sanitize.length > 0 && board.process === undefined) {
    throw new BuildError('sanitize-bare', `board ${board.name} is no process: sanitizers need an operating system`);
  }
  const ownServers = servers === undefined || servers === board.servers;
  const budgetsHold = ownServers && sanitize.length === 0;
  // No board's name has a dot.
  const variant = `${ownServers ? '' : `.servers-${servers}`}${sanitize.length === 0 ? '' : '.sanitized'}`;
  const outDir = options.outDir ?? join(root, 'build', `${board.name}${variant}`);
  options.onStep?.('core');
  const corePath = options.corePath ?? (await buildCore({ servers, update: board.update !== undefined, signal })).path;
  const core = inspectCore(corePath, board.datagrams !== undefined);
  const gcc = requireCompiler(board);
  const identity = {
    coreSha256: sha256(core.bytes),
    version: packageVersion(root),
    buildUnixSeconds: await buildDate(root),
  };
  const sources = firmwareSources(board, root);
  const generated: Record<string, string> = {
    'core_abi.h': abiHeader(),
    'board_config.h': boardHeader(board),
    'wasm_config.h': memoryHeader(core.memoryBytes),
    'firmware_identity.h': identityHeader(identity),
    ...(board.process === undefined ? { 'link.ld': linkerScript(board) } : {}),
  };
  const moreFlags = sanitizerFlags(sanitize);
  const inputs = await hashInputs(root, [board, moreFlags], gcc, core.bytes, generated, signal);
  const stamp = join(outDir, 'report.json');
  const before = readStamp(stamp, inputs);
  const about = { servers, budgetsHold, sanitize, ...imagePaths(outDir, board) };
  if (before) return checked({ ...before, ...about, rebuilt: false }, board);

  if (options.outDir !== undefined) refuseForeignFolder(outDir);
  mkdirSync(dirname(outDir), { recursive: true });
  const folder = `${outDir}.${process.pid}.partial`;
  const remove = () => rmSync(folder, { recursive: true, force: true });
  remove();
  // Also when this process is told to exit in the middle.
  process.once('exit', remove);
  mkdirSync(folder);
  try {
    for (const [name, text] of Object.entries(generated)) writeFileSync(join(folder, name), text);
    options.onStep?.('wasm2c');
    copyFileSync(corePath, join(folder, 'core.wasm'));
    await convertWasm(join(folder, 'core.wasm'), folder, 'core', { leftOut: exportsLeftOut(board), signal });
    options.onStep?.('compiler');
    const elfPath = imagePaths(folder, board).elfPath;
    // Its temporary files go with the folder when a build is broken off.
    const compiler = { ...gcc, env: { ...gcc.env, TMPDIR: folder } };
    await compileImage({ root, folder, board, gcc: compiler, sources, elfPath, moreFlags, signal });
    const image = board.process === undefined ? await writeImage(folder, board, elfPath, signal) : readProgram(elfPath);
    const report: StoredReport = {
      board: board.name,
      version: identity.version,
      buildUnixSeconds: identity.buildUnixSeconds,
      coreSha256: Buffer.from(identity.coreSha256).toString('hex'),
      imageSha256: image.sha256,
      imageBytes: image.bytes,
      coreMemoryBytes: core.memoryBytes,
      stackBytes: board.stackBytes,
      stack: board.process === undefined ? stackOf(folder, board) : systemStack,
      ...measureSizes(readFileSync(join(folder, 'firmware.map'), 'utf8'), board),
    };
    writeFileSync(join(folder, 'report.json'), `${JSON.stringify({ inputs, report }, undefined, 2)}\n`);
    // A build of the same inputs beside this one may have been first, and its files be in use.
    if (readStamp(stamp, inputs) === undefined) replaceFolder(folder, outDir);
    return checked({ ...report, ...about, rebuilt: true }, board);
  } finally {
    process.off('exit', remove);
    remove();
  }
}

/** What the core can do and a board has no use of; it is not in its image. */
export function exportsLeftOut({ dataCache, datagrams }: Board): string[] {
  return [
    ...(dataCache ? [] : ['bitsliceAes']),
    ...(datagrams === undefined ? ['enlargeBuffers', 'ownDatagrams'] : []),
  ];
}

function imagePaths(folder: string, board: Board) {
  const path = (ending: string) => join(folder, `${board.name}.${ending}`);
  const isFlashed = board.process === undefined;
  return {
    elfPath: path('elf'),
    hexPath: isFlashed ? path('hex') : undefined,
    binPath: isFlashed ? path('bin') : undefined,
  };
}

/** Of a process: the system gives it one, with a page below it that ends what runs out of it. */
const systemStack: StackDepth = {
  totalBytes: undefined,
  mainBytes: undefined,
  unboundedBy: "it is the system's",
  reserveBytes: 0,
  chain: [],
};

function requireCompiler({ process, toolchain }: Board): Tool {
  const name = `${toolchain.prefix}${toolchain.compiler}`;
  return process === undefined ? requireTool(name) : requireNative(name);
}

// The folder is replaced as a whole: one of the caller's must be an earlier build's, or empty.
function refuseForeignFolder(folder: string): void {
  if (!existsSync(folder)) return;
  const names = readdirSync(folder);
  if (names.length > 0 && !(names.includes('report.json') && names.includes('firmware.map'))) {
    throw new BuildError('output-foreign', `${folder} holds something other than a build; choose an empty folder`);
  }
}

function replaceFolder(from: string, to: string): void {
  const old = `${from}.old`;
  rmSync(old, { recursive: true, force: true });
  if (existsSync(to)) renameSync(to, old);
  try {
    renameSync(from, to);
  } catch (error) {
    if (!existsSync(to)) throw error;
  } finally {
    rmSync(old, { recursive: true, force: true });
  }
}

/** C files of a board, relative to the checkout, sorted. */
function firmwareSources(board: Board, root: string): string[] {
  const inFolder = (folder: string) =>
    readdirSync(join(root, folder))
      .filter((name) => name.endsWith('.c'))
      .map((name) => join(folder, name));
  const { interruptController, reset, watchdog, i2c, entropy, rtc, thermometer, storage } = board;
  const bus = i2c && board.i2cs[i2c.device]!;
  const devices = [
    interruptController,
    reset,
    board.uarts[board.link.uart]!,
    board.timers[board.ticks.counter]!,
    board.timers[board.ticks.alarm]!,
    watchdog && board.watchdogs[watchdog.device]!,
    bus,
    bus?.driver === 'sc18im700' ? { driver: bus.port } : undefined,
    entropy && board.entropies[entropy.device]!,
    rtc,
    thermometer,
    storage,
    board.datagrams,
    storage.driver === 'flash_store' ? { driver: storage.device } : undefined,
  ];
  const drivers = devices.flatMap((device) => device?.driver ?? []).map((name) => `firmware/drivers/${name}.c`);
  const folders = ['firmware/glue', 'firmware/platform', ...board.sources];
  // Its system has a C library.
  if (board.process === undefined) folders.push('firmware/runtime');
  else drivers.push('firmware/runtime/wasm_runtime.c');
  // A file of the board's own folders stands in for the one of the same name that all others have.
  const own = new Set(board.sources.flatMap(inFolder).map((path) => basename(path)));
  const isUsed = (path: string) => dirname(path) !== join('firmware', 'platform') || !own.has(basename(path));
  const { application } = board;
  const applications = application === undefined ? [] : [join('firmware', 'applications', `${application}.c`)];
  return [...new Set([...folders.flatMap(inFolder), ...drivers, ...applications])].filter(isUsed).sort();
}

// Everything that the image can depend on.
async function hashInputs(
  root: string,
  data: unknown,
  gcc: Tool,
  core: Uint8Array,
  generated: Record<string, string>,
  signal: AbortSignal | undefined,
): Promise<string> {
  const hash = createHash('sha256')
    .update(core)
    .update(JSON.stringify([generated, data]));
  hash.update(await runTool(gcc, ['--version'], root, signal));
  for (const folder of ['firmware', 'host/build']) {
    for (const path of readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).sort()) {
      const file = join(root, folder, path);
      if (statSync(file).isFile()) hash.update(`${path}\0`).update(readFileSync(file));
    }
  }
  return hash.digest('hex');
}

function readStamp(path: string, inputs: string): StoredReport | undefined {
  try {
    const stored = JSON.parse(readFileSync(path, 'utf8')) as { inputs: string; report: StoredReport };
    return stored.inputs === inputs ? stored.report : undefined;
  } catch {
    return undefined;
  }
}

// The image of a process is its ELF file.
function readProgram(path: string): { sha256: string; bytes: number } {
  const image = readFileSync(path);
  return { sha256: Buffer.from(sha256(image)).toString('hex'), bytes: image.length };
}

// Writes the image as BIN and HEX. Its hash is that of the BIN file: the firmware computes the same over its flash.
async function writeImage(
  folder: string,
  board: Board,
  elfPath: string,
  signal: AbortSignal | undefined,
): Promise<{ sha256: string; bytes: number }> {
  const objcopy = requireTool(`${board.toolchain.prefix}objcopy`);
  const { hexPath, binPath } = imagePaths(folder, board) as { hexPath: string; binPath: string };
  const elf = parseElf(readFileSync(elfPath));
  const hashed = symbolAddress(elf, 'image_end') - symbolAddress(elf, 'image_start');
  await runTool(objcopy, ['-O', 'binary', elfPath, binPath], folder, signal);
  await runTool(objcopy, ['-O', 'ihex', elfPath, hexPath], folder, signal);
  const image = readFileSync(binPath);
  if (image.length !== hashed) {
    throw new BuildError('image-invalid', `the image has ${image.length} bytes, of which it would hash ${hashed}`);
  }
  return { sha256: Buffer.from(sha256(image)).toString('hex'), bytes: image.length };
}

// Where the core itself has a bound, its functions do not check the stack (compile.ts), so all around it needs one too.
function stackOf(folder: string, board: Board): StackDepth {
  const graphs = readdirSync(join(folder, 'obj'), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ci'))
    .sort()
    .map((path) => readFileSync(join(folder, 'obj', path), 'utf8'));
  const { handler } = board.exceptions;
  const served = handler === undefined ? interruptHandlers(board).map(([, name]) => name) : [handler];
  const nmi = hasNmi(board) ? 'watchdog_on_expiry' : undefined;
  const isCore = (title: string) => title.includes('core.c:');
  const stack = measureStack(board.exceptions, graphs, 'startup_on_reset', served, nmi, isCore);
  const core = readFileSync(join(folder, 'obj', 'core', 'core.ci'), 'utf8');
  if (stack.totalBytes === undefined && isStackBounded(core)) {
    throw new BuildError(
      'stack-unbounded',
      `board ${board.name}: the stack has no bound: ${stack.unboundedBy ?? 'an interrupt handler'}`,
    );
  }
  return stack;
}

// Budgets are rules, not wishes: an image that breaks one is not handed out. They are made for the board's own number of
// servers; the stack has to suffice for any.
function checked(report: BuildReport, board: Board): BuildReport {
  // Without a bound the core checks the stack (compile.ts) and needs the reserve.
  const { totalBytes, mainBytes } = report.stack;
  const deepest = totalBytes ?? (mainBytes ?? 0) + stackReserveBytes;
  const broken = [
    report.budgetsHold && report.flash.usedBytes > report.flash.budgetBytes ? 'more flash than its budget' : '',
    report.budgetsHold && report.ram.usedBytes > report.ram.budgetBytes ? 'more RAM than its budget' : '',
    deepest > board.stackBytes ? `more stack than it has (${report.stack.chain.join(' > ')})` : '',
  ].filter((reason) => reason !== '');
  if (broken.length > 0) {
    throw new BuildError(
      'over-budget',
      `board ${board.name} uses ${broken.join(' and ')}:\n\n${formatBuildReport(report)}`,
    );
  }
  if (totalBytes === undefined && report.stack.reserveBytes > stackReserveBytes) {
    throw new BuildError(
      'stack-unbounded',
      `board ${board.name}: below its check a function of the core may need ${report.stack.reserveBytes} bytes of stack, ${stackReserveBytes} are kept free`,
    );
  }
  return report;
}
