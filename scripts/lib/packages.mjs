// Installs the npm packages when they are missing or not those of package-lock.json. Node built-ins only.
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { step } from './progress.mjs';
import { readText, root } from './project.mjs';
import { run } from './run.mjs';

/**
 * Whether node_modules holds what package-lock.json asks for. npm's own record of what it installed
 * (node_modules/.package-lock.json) is compared; packages for other machines (optional) may be absent.
 * @returns {boolean}
 */
export function packagesAreCurrent() {
  const wantedText = readText(join(root, 'package-lock.json'));
  const installedText = readText(join(root, 'node_modules', '.package-lock.json'));
  if (wantedText === undefined || installedText === undefined) return false;
  const wanted = JSON.parse(wantedText).packages;
  const installed = JSON.parse(installedText).packages;
  for (const [path, entry] of Object.entries(wanted)) {
    if (path === '') continue;
    const there = installed[path];
    if (there === undefined ? !entry.optional : there.version !== entry.version) return false;
  }
  return true;
}

/** Runs `npm ci` when the packages are missing or stale. */
export async function installPackages() {
  if (packagesAreCurrent()) return;
  await step('npm packages (npm ci)', async (note) => {
    const [command, args] = npmCommand();
    const output = await run(command, [...args, 'ci', '--no-audit', '--no-fund', '--no-progress'], { cwd: root });
    const added = /added (\d+) packages/.exec(output);
    if (added) note(`${added[1]} packages`);
  });
}

/**
 * npm beside the running node, as `node` alone may be what is on PATH.
 * @returns {[string, string[]]}
 */
function npmCommand() {
  const fromNpm = process.env.npm_execpath;
  if (fromNpm?.endsWith('npm-cli.js') && existsSync(fromNpm)) return [process.execPath, [fromNpm]];
  const beside = join(dirname(process.execPath), 'npm');
  return [existsSync(beside) ? beside : 'npm', []];
}
