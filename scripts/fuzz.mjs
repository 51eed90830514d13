// `npm run fuzz`: bundles test/fuzz/main.ts and runs it with the arguments given. It needs nothing but node: no server,
// no emulator.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { root } from './lib/project.mjs';
import { setUp } from './setup.mjs';

await setUp({ debian: [] });
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
