// What others than metertime make of an OCMF data set: @road-labs/ocmf and OpenSSL.
import { execFileSync } from 'node:child_process';
import { createPublicKey } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Verifier } from '@road-labs/ocmf';
import { Crypto } from '@road-labs/ocmf-crypto-noble';

/** What @road-labs/ocmf makes of a data set; undefined where it does not verify. */
export async function roadLabs(text: string, publicKeyPem: string) {
  const crypto = new Crypto();
  const der = createPublicKey(publicKeyPem).export({ format: 'der', type: 'spki' });
  const key = await crypto.decodeEcPublicKey(new Uint8Array(der), 'spki-der');
  return (await new Verifier(crypto).parseAndVerify(text, key)).value;
}

/** Whether `openssl dgst` takes the signature of a data set. */
export function opensslAccepts(text: string, publicKeyPem: string): boolean {
  const [, payload, section] = text.split('|') as [string, string, string];
  const folder = mkdtempSync(join(tmpdir(), 'metertime-openssl-'));
  try {
    const paths = Object.fromEntries(['payload', 'signature', 'public'].map((name) => [name, join(folder, name)]));
    writeFileSync(paths.payload!, payload);
    writeFileSync(paths.signature!, Buffer.from((JSON.parse(section) as { SD: string }).SD, 'hex'));
    writeFileSync(paths.public!, publicKeyPem);
    const args = ['dgst', '-sha256', '-verify', paths.public!, '-signature', paths.signature!, paths.payload!];
    return execFileSync('openssl', args, { encoding: 'utf8', stdio: 'pipe' }).includes('Verified OK');
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
