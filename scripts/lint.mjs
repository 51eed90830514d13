// Lints everything: Biome (style and format), tsc for host, tests and scripts, tsc for the core against
// AssemblyScript's types. All three run, whatever the first one says.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { filesBelow, isMain, root } from './lib/project.mjs';

/**
 * @returns {Promise<boolean>} whether nothing was found
 */
export async function lint() {
  const bin = (/** @type {string} */ name) => join(root, 'node_modules', '.bin', name);
  const checks = [
    ['biome', bin('biome'), ['check', '--error-on-warnings', '.']],
    ['tsc', bin('tsc'), ['-p', 'tsconfig.json']],
    ['tsc as/', bin('tsc'), ['-p', join('as', 'tsconfig.json')]],
  ];
  if (!existsSync(join(root, 'as')) || filesBelow(join(root, 'as'), (path) => path.endsWith('.ts')).length === 0) {
    checks.pop();
  }
  const results = await Promise.all(
    checks.map(([name, command, args]) => run(String(name), String(command), /** @type {string[]} */ (args))),
  );
  return results.every((clean) => clean);
}

/**
 * @param {string} name
 * @param {string} command
 * @param {string[]} args
 * @returns {Promise<boolean>}
 */
function run(name, command, args) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    child.stdout.on('data', (chunk) => {
      output += chunk;
    });
    child.stderr.on('data', (chunk) => {
      output += chunk;
    });
    child.on('error', (error) => {
      console.error(`${name}: ${error.message}`);
      resolve(false);
    });
    child.on('close', (code) => {
      if (code !== 0) console.error(`${name}:\n${output}`);
      resolve(code === 0);
    });
  });
}

if (isMain(import.meta.url)) process.exitCode = (await lint()) ? 0 : 1;
