// Runs a program of this checkout that needs a set-up: sets up, bundles it, runs it with the arguments of this process.
// What always holds: nothing that the program does not need is set up, and nothing at all to print its usage.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { bundle } from '../build-dist.mjs';
import { setUp } from '../setup.mjs';
import { root } from './project.mjs';

/**
 * Sets `process.exitCode` to the program's own. What is missing ends this process: the program cannot do without.
 * @param {string} name of the folder below build/
 * @param {string} entry first file, relative to the checkout
 * @param {{ usage: string, debian: import('../setup.mjs').GroupName[] }} what the answer to `--help`; the Debian programs
 *   that it needs beside the core
 */
export async function runProgram(name, entry, { usage, debian }) {
  const args = process.argv.slice(2);
  if (args.includes('--help')) return console.log(usage);
  const outDir = join(root, 'build', name);
  try {
    const missing = await setUp({ debian });
    for (const { reason } of missing) console.error(`  ! ${reason}`);
    if (missing.length > 0) process.exit(1);
    await bundle(entry, outDir);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exit(1);
  }
  const program = spawn(process.execPath, [join(outDir, 'metertime.mjs'), ...args], { cwd: root, stdio: 'inherit' });
  // Ctrl-C reaches the program too, being in the same group: it ends what it started, and this process waits for it.
  process.on('SIGINT', () => {});
  for (const signal of /** @type {const} */ (['SIGTERM', 'SIGHUP'])) process.on(signal, () => program.kill(signal));
  program.on('close', (code, signal) => {
    process.exitCode = code ?? (signal === 'SIGINT' ? 130 : 1);
  });
}
