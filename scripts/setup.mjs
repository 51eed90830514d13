// All the set-up that tests, demo and builds need, on a fresh clone: npm packages, Debian programs, the core.
// Node built-ins only, as it runs before the packages are there. What is done already is not done again.
import { buildCore } from './build-core.mjs';
import { setUpDebian } from './debian.mjs';
import { installPackages } from './lib/packages.mjs';
import { step } from './lib/progress.mjs';
import { isMain } from './lib/project.mjs';

/** @typedef {import('./debian.mjs').GroupName} GroupName */

/**
 * @param {{ debian?: GroupName[], core?: boolean }} [what] Debian groups (default: all) and whether to build the core
 *   (default: yes)
 * @returns {Promise<{ group: GroupName, reason: string }[]>} Debian groups that could not be set up; the caller decides
 *   whether it can go on without them
 */
export async function setUp({ debian = ['servers', 'firmware', 'emulator', 'riscv'], core = true } = {}) {
  await installPackages();
  const missing = await setUpDebian(debian);
  if (core) {
    await step('core (build/core.wasm)', async (note) => {
      const built = await buildCore();
      note(`${built.size} bytes, sha256 ${built.sha256.slice(0, 8)}…${built.rebuilt ? '' : ', unchanged'}`);
    });
  }
  return missing;
}

if (isMain(import.meta.url)) {
  try {
    const missing = await setUp();
    for (const { reason } of missing) console.error(reason);
    process.exitCode = missing.length === 0 ? 0 : 1;
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
}
