// `npm test`: sets up everything, lints, runs all tests, and says at its end how many ran.
// Arguments go to vitest (`npm test -- test/core`); with any, linting is left to `npm run lint`.
// METERTIME_NATIVE_FUZZ=skip leaves native fuzzing out, with the compiler that it needs, and what else needs that.
import { spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { join, relative } from 'node:path';
import { step } from './lib/progress.mjs';
import { readText, root } from './lib/project.mjs';
import { lint } from './lint.mjs';
import { setUp } from './setup.mjs';

async function lintOrThrow() {
  if (!(await lint())) throw new Error('lint found something');
}

const startMs = performance.now();
const args = process.argv.slice(2);
// One seed for all random tests of a run, so that the whole of it can be run again.
const seed = process.env.METERTIME_SEED ?? String(randomInt(2 ** 31));
console.log(`metertime: set-up, lint and tests; random tests with METERTIME_SEED=${seed}`);

const nativeFuzz = process.env.METERTIME_NATIVE_FUZZ !== 'skip';
/** @type {string[]} why tests fail or are skipped */
const reasons = nativeFuzz
  ? []
  : ['native fuzzing, storage while power fails, and the board posix are left out: METERTIME_NATIVE_FUZZ=skip'];
try {
  /** @type {import('./debian.mjs').GroupName[]} */
  const needed = ['servers', 'firmware', 'emulator', 'riscv', 'token', 'flash', 'gdb', 'make'];
  const missing = await setUp({ debian: nativeFuzz ? [...needed, 'fuzz'] : needed });
  for (const { reason } of missing) {
    reasons.push(reason);
    console.error(`  ! ${reason}; tests that need it fail, or are named as skipped in the last lines`);
  }
  if (!existsSync(join(root, 'node_modules', 'pkcs11js'))) {
    reasons.push('keys in tokens are not tested: the optional package pkcs11js needs a compiler (g++, make, python3)');
  }
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exit(1);
}

const clean =
  args.length > 0 ||
  (await step('lint (Biome, tsc)', lintOrThrow).then(
    () => true,
    () => false,
  ));
if (!clean) console.error('  ! lint found something; the tests run all the same');

const resultsPath = join(root, 'build', 'test-results.json');
mkdirSync(join(root, 'build'), { recursive: true });
rmSync(resultsPath, { force: true });
const vitest = spawn(
  process.execPath,
  [
    join(root, 'node_modules', 'vitest', 'vitest.mjs'),
    'run',
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${resultsPath}`,
    ...args,
  ],
  { cwd: root, stdio: 'inherit', env: { ...process.env, METERTIME_SEED: seed } },
);
// Ctrl-C reaches vitest too, being in the same group: it ends its workers, and this process waits for it.
process.on('SIGINT', () => {});
process.on('SIGTERM', () => vitest.kill('SIGTERM'));
const exitCode = await new Promise((resolve) => {
  vitest.on('error', () => resolve(1));
  vitest.on('close', (code) => resolve(code ?? 1));
});

const isRun = /^(passed|failed)$/;
const text = readText(resultsPath);
const results = text === undefined ? undefined : JSON.parse(text);
const seconds = Math.round((performance.now() - startMs) / 1000);
if (results === undefined) {
  console.log(`\nnpm test: no tests ran (vitest ended with ${exitCode}), ${seconds} s`);
} else {
  const files = results.testResults;
  const failedFiles = files.filter((/** @type {{ status: string }} */ file) => file.status !== 'passed').length;
  console.log(
    `\nnpm test: ${results.numPassedTests} tests passed, ${results.numFailedTests} failed, ` +
      `${results.numPendingTests + results.numTodoTests} skipped, in ${files.length} files (${failedFiles} failed); ` +
      `lint ${args.length > 0 ? 'not run' : clean ? 'clean' : 'FAILED'}; METERTIME_SEED=${seed}; ${seconds} s`,
  );
  for (const { name, assertionResults } of files) {
    const skipped = assertionResults.filter(
      (/** @type {{ status: string }} */ { status }) => !isRun.test(status),
    ).length;
    if (skipped > 0) console.log(`  skipped: ${skipped} of ${relative(root, name)}`);
  }
}
for (const reason of reasons) console.log(`  ! ${reason}`);
process.exitCode = exitCode === 0 && clean && results !== undefined ? 0 : 1;
