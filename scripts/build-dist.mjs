// Bundles the host into dist/: metertime.mjs (one file), core.wasm, and the prebuilt native files for Linux. dist/ runs
// in any folder with nothing but node. What needs sources (`metertime build`, `run`) needs the checkout.
//
//   dist/metertime.mjs                           the command
//   dist/core.wasm                               the core
//   dist/native/PACKAGE/prebuilds/linux-ARCH/    native files, x64, arm64 and arm; node-gyp-build chooses
//   dist/THIRD-PARTY.txt                         licences of what is bundled
import { copyFileSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { buildCore } from './build-core.mjs';
import { filesBelow, hashFiles, isMain, readText, root } from './lib/project.mjs';

const architectures = ['linux-x64', 'linux-arm64', 'linux-arm'];

const banner = `#!/usr/bin/env node
import { createRequire as __createRequire } from 'node:module';
import { dirname as __pathDirname } from 'node:path';
import { fileURLToPath as __fileURLToPath } from 'node:url';
const require = __createRequire(import.meta.url);
const __filename = __fileURLToPath(import.meta.url);
const __dirname = __pathDirname(__filename);`;

/** The sources whose change makes dist/ stale. @returns {string} one hash over all of them */
export function hashDistInputs() {
  return hashFiles([
    ...['as', 'host', 'scripts'].flatMap((folder) =>
      filesBelow(join(root, folder), (path) => /\.(ts|mjs|json)$/.test(path)),
    ),
    ...['asconfig.json', 'package.json', 'package-lock.json'].map((name) => join(root, name)),
  ]);
}

/** Whether dist/ was built from the sources as they are. */
export function distIsCurrent() {
  const stamp = readText(join(root, 'dist', 'stamp.json'));
  return stamp !== undefined && JSON.parse(stamp).inputs === hashDistInputs();
}

/**
 * Builds dist/.
 * @param {{ entry?: string, outDir?: string }} [options] another entry or place, for tests
 * @returns {Promise<{ outDir: string, files: string[] }>} files relative to outDir
 */
export async function buildDist(options = {}) {
  const outDir = options.outDir ?? join(root, 'dist');
  const inputs = hashDistInputs();
  const core = await buildCore();
  const { files, packages } = await bundle(options.entry ?? 'host/cli/main.ts', outDir);
  files.push(
    place(outDir, 'core.wasm', (path) => copyFileSync(core.path, path)),
    place(outDir, 'THIRD-PARTY.txt', (path) => writeFileSync(path, licences(packages))),
    place(outDir, 'stamp.json', (path) => writeFileSync(path, `${JSON.stringify({ inputs, core: core.sha256 })}\n`)),
  );
  return { outDir, files };
}

/**
 * Bundles a program of the host into outDir/metertime.mjs, with the native files beside it.
 * @param {string} entry its first file
 * @param {string} outDir
 * @returns {Promise<{ files: string[], packages: string[] }>} files relative to outDir; folders of the packages in it
 */
export async function bundle(entry, outDir) {
  const { build } = await import('esbuild');
  /** @type {Map<string, string>} */
  const nativePackages = new Map();
  const result = await build({
    absWorkingDir: root,
    entryPoints: [entry],
    outfile: join(outDir, 'metertime.mjs'),
    write: false,
    bundle: true,
    platform: 'node',
    target: 'node20.19',
    format: 'esm',
    banner: { js: banner },
    define: { METERTIME_BUNDLE: 'true' },
    // Compilers, and what an optional package loads of the system: found in node_modules when a command needs them, and only there.
    external: ['assemblyscript', 'assemblyscript/*', 'esbuild', 'pkcs11js', 'wabt', 'vitest'],
    sourcemap: 'linked',
    sourcesContent: false,
    metafile: true,
    legalComments: 'none',
    logLevel: 'silent',
    plugins: [nativePlugin(nativePackages)],
  });
  const files = result.outputFiles.map((file) =>
    place(outDir, relative(outDir, file.path), (path) =>
      writeFileSync(path, file.contents, { mode: file.path.endsWith('.mjs') ? 0o755 : 0o644 }),
    ),
  );
  for (const [name, folder] of nativePackages) {
    for (const below of architectures.map((architecture) => join('prebuilds', architecture))) {
      for (const file of readdirSync(join(folder, below)).sort()) {
        const copy = (/** @type {string} */ path) => copyFileSync(join(folder, below, file), path);
        files.push(place(outDir, join('native', name, below, file), copy));
      }
    }
  }
  const inPackages = Object.keys(result.metafile.inputs).filter((input) => input.includes('node_modules/'));
  return { files, packages: [...new Set(inPackages.map((input) => packageFolder(join(root, input))))].sort() };
}

/**
 * Writes a file under another name and renames it, so that a command started meanwhile finds a whole one.
 * @param {string} outDir
 * @param {string} name
 * @param {(path: string) => void} write
 * @returns {string} name
 */
function place(outDir, name, write) {
  const path = join(outDir, name);
  const partial = `${path}.${process.pid}.partial`;
  mkdirSync(dirname(path), { recursive: true });
  try {
    write(partial);
    renameSync(partial, path);
  } finally {
    rmSync(partial, { force: true });
  }
  return name;
}

/**
 * Makes node-gyp-build look for native files beside the bundle instead of in the package's folder.
 * @param {Map<string, string>} packages receives name and folder of each package with native files
 * @returns {import('esbuild').Plugin}
 */
function nativePlugin(packages) {
  return {
    name: 'native',
    setup(build) {
      build.onResolve({ filter: /^node-gyp-build$/ }, ({ importer, namespace }) => {
        if (namespace === 'native') return undefined;
        const folder = packageFolder(importer);
        const { name } = JSON.parse(readText(join(folder, 'package.json')) ?? '{}');
        packages.set(name, folder);
        return { path: name, namespace: 'native' };
      });
      build.onLoad({ filter: /.*/, namespace: 'native' }, ({ path }) => ({
        contents: `const load = require('node-gyp-build');
          const { join } = require('node:path');
          module.exports = () => load(join(__dirname, 'native', ${JSON.stringify(path)}));`,
        resolveDir: root,
      }));
    },
  };
}

/**
 * The folder of the package that a file of node_modules belongs to.
 * @param {string} file
 * @returns {string}
 */
function packageFolder(file) {
  const match = /^(.*\/node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(file);
  if (match === null) throw new Error(`${file} asks for node-gyp-build, but is in no package`);
  return String(match[1]);
}

/**
 * @param {string[]} folders of the bundled packages
 * @returns {string} name, version, licence and licence text of each
 */
function licences(folders) {
  const parts = folders.map((folder) => {
    const { name, version, license } = JSON.parse(readText(join(folder, 'package.json')) ?? '{}');
    const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
    const text = file === undefined ? '' : (readText(join(folder, file)) ?? '').trim();
    return `${name} ${version} (${license})\n\n${text}\n`;
  });
  return parts.join(`\n${'-'.repeat(80)}\n\n`);
}

if (isMain(import.meta.url)) {
  try {
    const { files } = await buildDist();
    if (!process.argv.includes('--quiet')) console.log(`dist: ${files.length} files`);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
}
