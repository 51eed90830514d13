// A token in software (SoftHSM) with one key pair in it, for tests.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { TestContext } from 'vitest';
import { debianTool } from '../../scripts/debian.mjs';
import { root } from '../../scripts/lib/project.mjs';

/** pkcs11js is compiled when it is installed: without a compiler it is not there, and everything else is. */
const hasPkcs11 = existsSync(join(root, 'node_modules', 'pkcs11js'));

/** Leaves a test out where there is no pkcs11js, and says why. */
export function needPkcs11(context: TestContext): void {
  context.skip(!hasPkcs11, 'the optional package pkcs11js is not installed: it needs a compiler (g++, make, python3)');
}

export interface SoftHsm {
  /** PKCS #11 module. */
  readonly module: string;
  /** Of processes that use it: its libraries and its tokens are found by this. */
  readonly env: NodeJS.ProcessEnv;
}

/** A token "charger" with PIN 1234, and the key of a PEM file in it as "ocmf". @throws {Error} without SoftHSM */
export function softHsm(folder: string, keyFile: string): SoftHsm {
  const tool = debianTool('softhsm2-util');
  if (!tool.ok) throw new Error(tool.reason);
  const module = [join(dirname(tool.path), '..', 'lib'), '/usr/lib']
    .flatMap((lib) => [lib, ...['x86_64', 'aarch64'].map((machine) => join(lib, `${machine}-linux-gnu`))])
    .map((lib) => join(lib, 'softhsm', 'libsofthsm2.so'))
    .find((path) => existsSync(path))!;
  const tokens = join(folder, 'tokens');
  mkdirSync(tokens);
  const config = join(folder, 'softhsm2.conf');
  writeFileSync(config, `directories.tokendir = ${tokens}\nobjectstore.backend = file\nlog.level = ERROR\n`);
  const env = { ...process.env, ...tool.env, SOFTHSM2_CONF: config };
  const util = (...args: string[]) => execFileSync(tool.path, ['--module', module, ...args], { env, stdio: 'pipe' });
  util('--init-token', '--free', '--label', 'charger', '--pin', '1234', '--so-pin', '5678');
  util('--import', keyFile, '--token', 'charger', '--label', 'ocmf', '--id', '01', '--pin', '1234');
  return { module, env };
}
