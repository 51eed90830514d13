// Compiles the core: as/index.ts with the options of asconfig.json to build/core.wasm.
// The compiler runs only when a source, an option or the compiler itself changed (build/core.stamp.json).
// Same sources, same bytes: nothing of the machine or the time goes into the module.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { filesBelow, hashFiles, isMain, root } from './lib/project.mjs';

const wasmPath = join(root, 'build', 'core.wasm');
const stampPath = join(root, 'build', 'core.stamp.json');

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
 * @param {{ shrinkLevel?: 0 | 1 | 2, outFile?: string }} [options] shrinkLevel and outFile override asconfig.json, for
 *   measurements; such a build is never skipped.
 * @returns {Promise<{ path: string, sha256: string, size: number, rebuilt: boolean }>} sha256 in lower-case hex,
 *   size in bytes.
 * @throws {Error} with asc's own report when the sources do not compile.
 */
export async function buildCore(options = {}) {
  const own = options.shrinkLevel === undefined && options.outFile === undefined;
  const outFile = options.outFile ?? wasmPath;
  const inputs = hashFiles([
    ...filesBelow(join(root, 'as'), (path) => path.endsWith('.ts')),
    join(root, 'asconfig.json'),
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
  const args = [compiler, '--config', 'asconfig.json', '--outFile', partial, '--noColors'];
  if (options.shrinkLevel !== undefined) args.push('--shrinkLevel', String(options.shrinkLevel));
  try {
    const { stderr } = await promisify(execFile)(process.execPath, args, { cwd: root });
    // asc also remarks there that its last pass of optimisation did not help.
    if (stderr.includes('WARNING')) process.stderr.write(stderr);
  } catch (error) {
    rmSync(partial, { force: true });
    const { stderr } = /** @type {{ stderr?: string }} */ (error);
    throw new Error(`as/ does not compile:\n${stderr || error}`);
  }
  const wasm = readFileSync(partial);
  renameSync(partial, outFile);
  const digest = sha256(wasm);
  if (own) writeFileSync(stampPath, `${JSON.stringify({ inputs, sha256: digest })}\n`);
  return { path: outFile, sha256: digest, size: wasm.length, rebuilt: true };
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
