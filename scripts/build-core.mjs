// Compiles the core: as/index.ts with the options of asconfig.json to build/core.wasm, or, laid out for fewer servers and
// without tariffs, records and logbook, to build/core-1.wasm to core-3.wasm.
// The compiler runs only when a source, an option or the compiler itself changed (the stamp beside the core says so).
// Same sources, same bytes: nothing of the machine or the time goes into the module.
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { filesBelow, hashFiles, isMain, root } from './lib/project.mjs';
import { capture } from './lib/run.mjs';

/** Time servers that a core can use at once, at most: as asconfig.json says, and the core of every program on a host. */
export const serversMax = 4;

/**
 * What the constants of a build say: servers at once, and whether software can be replaced over the link.
 * @typedef {{ servers: number, update: boolean }} Features
 */

/**
 * Name of a core in build/, without its ending. `core` has all there is, as programs on a host need it.
 * @param {Features} features
 */
function coreName({ servers, update }) {
  const whole = servers === serversMax;
  return `core${whole ? '' : `-${servers}`}${update === whole ? '' : update ? '-update' : '-fixed'}`;
}

/** Reads a file, or gives undefined when there is none. @param {string} path */
function readIfThere(path) {
  try {
    return readFileSync(path);
  } catch {
    return undefined;
  }
}

/**
 * Builds the core when its sources changed.
 * @param {{ servers?: number | undefined, update?: boolean | undefined, shrinkLevel?: 0 | 1 | 2, outFile?: string, signal?: AbortSignal | undefined }}
 *   [options] servers that it can use at once, 1 to 4 (default); update: whether software can be replaced over the link,
 *   as the core for four servers alone has it by default; shrinkLevel and outFile override asconfig.json, for
 *   measurements; such a build is never skipped. A signal that aborts breaks the build off, and nothing of it is left.
 * @returns {Promise<{ path: string, sha256: string, size: number, rebuilt: boolean }>} sha256 in lower-case hex,
 *   size in bytes.
 * @throws {Error} with asc's own report when the sources do not compile; the signal's reason.
 */
export async function buildCore(options = {}) {
  const servers = options.servers ?? serversMax;
  if (!Number.isInteger(servers) || servers < 1 || servers > serversMax) {
    throw new RangeError(`a core for ${servers} servers; expected 1 to ${serversMax}`);
  }
  const features = { servers, update: options.update ?? servers === serversMax };
  const name = coreName(features);
  const own = options.shrinkLevel === undefined && options.outFile === undefined;
  const outFile = options.outFile ?? join(root, 'build', `${name}.wasm`);
  const stampPath = join(root, 'build', `${name}.stamp.json`);
  const inputs = hashFiles([
    ...filesBelow(join(root, 'as'), (path) => path.endsWith('.ts')),
    join(root, 'asconfig.json'),
    join(root, 'scripts', 'build-core.mjs'),
    join(root, 'node_modules', 'assemblyscript', 'package.json'),
  ]);
  if (own) {
    const stamp = JSON.parse(readIfThere(stampPath)?.toString() ?? '{}');
    const wasm = readIfThere(outFile);
    if (wasm && stamp.inputs === inputs && stamp.sha256 === sha256(wasm)) {
      return { path: outFile, sha256: stamp.sha256, size: wasm.length, rebuilt: false };
    }
  }
  mkdirSync(dirname(outFile), { recursive: true });
  // A name of its own until it is whole: another process may be reading the old module.
  const partial = `${outFile}.${process.pid}.partial`;
  const compiler = join(root, 'node_modules', 'assemblyscript', 'bin', 'asc.js');
  const config = `${partial}.json`;
  const remove = () => {
    for (const path of [partial, config]) rmSync(path, { force: true });
  };
  // Also when this process is told to exit in the middle.
  process.once('exit', remove);
  const args = [compiler, '--config', relative(root, config), '--outFile', partial, '--noColors'];
  if (options.shrinkLevel !== undefined) args.push('--shrinkLevel', String(options.shrinkLevel));
  try {
    writeFileSync(config, configFor(features, dirname(outFile)));
    await compile(args, options.signal);
    const wasm = readFileSync(partial);
    renameSync(partial, outFile);
    const digest = sha256(wasm);
    if (own) writeFileSync(stampPath, `${JSON.stringify({ inputs, sha256: digest })}\n`);
    return { path: outFile, sha256: digest, size: wasm.length, rebuilt: true };
  } finally {
    process.off('exit', remove);
    remove();
  }
}

/**
 * @param {string[]} args of node
 * @param {AbortSignal | undefined} signal
 */
async function compile(args, signal) {
  try {
    const { stderr } = await capture(process.execPath, args, { cwd: root, signal });
    // asc also remarks there that its last pass of optimisation did not help.
    if (stderr.includes('WARNING')) process.stderr.write(stderr);
  } catch (error) {
    signal?.throwIfAborted();
    const { stderr } = /** @type {{ stderr?: string }} */ (error);
    throw new Error(`as/ does not compile:\n${stderr || error}`);
  }
}

/**
 * asconfig.json for what a core is to have; what it says of constants outweighs the compiler's command line.
 * @param {Features} features
 * @param {string} folder where the text will stand: the compiler looks for the sources from there
 */
function configFor(features, folder) {
  const config = JSON.parse(readFileSync(join(root, 'asconfig.json'), 'utf8'));
  setFeatures(config, features);
  config.entries = config.entries.map((/** @type {string} */ entry) => relative(folder, join(root, entry)));
  return JSON.stringify(config);
}

/**
 * Sets the constants of asconfig.json: only the core for the most servers has tariffs.
 * @param {{ options: { use: string[] } }} config
 * @param {Features} features
 */
export function setFeatures({ options: { use } }, { servers, update }) {
  const constants = {
    [`SERVERS_MAX=${serversMax}`]: `SERVERS_MAX=${servers}`,
    'TARIFF=1': `TARIFF=${+(servers === serversMax)}`,
    'UPDATE=1': `UPDATE=${+update}`,
  };
  for (const [before, after] of Object.entries(constants)) {
    const at = use.indexOf(before);
    if (at < 0) throw new Error(`asconfig.json does not use ${before}`);
    use[at] = after;
  }
}

/** @param {Uint8Array} bytes */
function sha256(bytes) {
  return createHash('sha256').update(bytes).digest('hex');
}

if (isMain(import.meta.url)) {
  try {
    const core = await buildCore();
    console.log(`build/core.wasm  ${core.size} bytes  sha256 ${core.sha256}${core.rebuilt ? '' : '  (unchanged)'}`);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
}
