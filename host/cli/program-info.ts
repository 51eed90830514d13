// What this program is: its version, the core it carries and the time before which it did not exist.
import packageJson from '../../package.json' with { type: 'json' };
import { loadCoreModule } from '../core/core.ts';

export const version: string = packageJson.version;

/**
 * No time before this is believed by a meter in software (Unix seconds). It is written down and not taken from the
 * machine, so that a build depends on nothing but its sources.
 */
export const releaseUnixSeconds = Date.UTC(2026, 0, 1) / 1000;

/** SHA-256 of core.wasm, hexadecimal. */
export function coreSha256(): string {
  return Buffer.from(loadCoreModule().sha256).toString('hex');
}

/** What `metertime --version` prints. */
export function versionText(): string {
  return `metertime ${version}\ncore.wasm SHA-256 ${coreSha256()}`;
}
