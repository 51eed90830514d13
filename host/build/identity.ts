// What a build is called: version, date and hashes.
// What always holds: the date is that of the commit, never of the build, so that one commit gives one image anywhere.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { BuildError } from './errors.ts';
import { runTool } from './tools.ts';

/**
 * Unix seconds of the commit that is checked out; `SOURCE_DATE_EPOCH` overrides it. Without git and without that
 * variable 0, which lets the core believe any time (docs/building.md).
 */
export async function buildDate(root: string): Promise<number> {
  const given = process.env.SOURCE_DATE_EPOCH;
  if (given !== undefined && given !== '') {
    const seconds = Number(given);
    if (Number.isSafeInteger(seconds) && seconds >= 0) return seconds;
    throw new BuildError('image-invalid', `SOURCE_DATE_EPOCH is ${given}; expected Unix seconds`);
  }
  try {
    const git = { path: 'git', args: [], env: { HOME: process.env.HOME ?? '/' } };
    return Number(await runTool(git, ['-C', root, 'show', '-s', '--format=%ct', 'HEAD'], root));
  } catch {
    return 0;
  }
}

/** Version of the package, at most 31 bytes. */
export function packageVersion(root: string): string {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
  return version.slice(0, 31);
}

/** SHA-256, 32 bytes. */
export function sha256(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(createHash('sha256').update(bytes).digest());
}
