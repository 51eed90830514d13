// `npm run demo`: sets up what is missing, bundles host/demo/main.ts and runs it with the arguments given.
// Without compiler or emulator the demo still runs; it asks debianTool() itself what there is.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { bundle } from './build-dist.mjs';
import { step } from './lib/progress.mjs';
import { root } from './lib/project.mjs';
import { setUp } from './setup.mjs';

console.log('metertime demo: setting up (nothing is installed on this machine; everything lies below .cache/)');

const outDir = join(root, 'build', 'demo');
try {
  const missing = await setUp();
  for (const { reason } of missing) console.error(`  ! ${reason}`);
  await step('demo program', async () => {
    await bundle('host/demo/main.ts', outDir);
  });
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exit(1);
}

const demo = spawn(process.execPath, [join(outDir, 'metertime.mjs'), ...process.argv.slice(2)], {
  cwd: root,
  stdio: 'inherit',
});
// Ctrl-C reaches the demo too, being in the same group: it ends what it started, and this process waits for it.
process.on('SIGINT', () => {});
for (const signal of /** @type {const} */ (['SIGTERM', 'SIGHUP'])) process.on(signal, () => demo.kill(signal));
demo.on('close', (code, signal) => {
  process.exitCode = code ?? (signal === 'SIGINT' ? 130 : 1);
});
