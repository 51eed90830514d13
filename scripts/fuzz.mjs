// `npm run fuzz`: bundles test/fuzz/main.ts and runs it with the arguments given. It needs clang for the compiled C, and
// nothing but node with `--node`: no server, no emulator.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { root } from './lib/project.mjs';
import { setUp } from './setup.mjs';

const inNodeAlone = process.argv.some((argument) => /^--(node$|help$|round)/.test(argument));
for (const { reason } of await setUp({ debian: inNodeAlone ? [] : ['fuzz'] })) {
  console.error(`${reason}\nWithout clang the compiled C cannot be fuzzed; for the targets in node alone: --node`);
  process.exit(1);
}
const { build } = await import('esbuild');
const outfile = join(root, 'build', 'fuzz', 'main.mjs');
await build({
  entryPoints: [join(root, 'test', 'fuzz', 'main.ts')],
  bundle: true,
  packages: 'external',
  platform: 'node',
  format: 'esm',
  target: 'node20',
  sourcemap: true,
  // No script that it takes along is the program that was started.
  define: { METERTIME_BUNDLE: 'true' },
  outfile,
  logLevel: 'warning',
});
const child = spawn(process.execPath, ['--enable-source-maps', outfile, ...process.argv.slice(2)], {
  stdio: 'inherit',
});
// Ctrl-C reaches the child too.
process.on('SIGINT', () => {});
process.on('SIGTERM', () => child.kill('SIGTERM'));
process.exitCode = await new Promise((resolve) => {
  child.on('error', () => resolve(1));
  child.on('close', (code) => resolve(code ?? 1));
});
