#!/usr/bin/env node
// Starts metertime. In a checkout dist/ is built first when the sources changed; an installed package only runs it.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const at = (/** @type {string} */ path) => fileURLToPath(new URL(path, import.meta.url));

if (existsSync(at('../host')) && existsSync(at('../scripts/build.mjs'))) {
  const { packagesAreCurrent } = await import('../scripts/lib/packages.mjs');
  const { distIsCurrent } = await import('../scripts/build-dist.mjs');
  if (!packagesAreCurrent() || !distIsCurrent()) {
    const script = packagesAreCurrent() ? ['../scripts/build-dist.mjs', '--quiet'] : ['../scripts/build.mjs'];
    const [path = '', ...args] = script;
    const { status } = spawnSync(process.execPath, [at(path), ...args], { stdio: ['ignore', 2, 2] });
    if (status !== 0) process.exit(status ?? 1);
  }
}
await import(new URL('../dist/metertime.mjs', import.meta.url).href);
