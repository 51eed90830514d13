// The keys that a meter derives from its root key: against OpenSSL, one for each purpose and meter.
import { randomBytes } from 'node:crypto';
import { expect, it } from 'vitest';
import { loadCore } from './load-core.ts';
import { deriveKey } from './openssl-reference.ts';

interface KeyExports {
  testScratch(): number;
  testMeterKey(purpose: number, root: number, id: number, idLength: number, target: number, length: number): void;
}

const purposes = ['storage', 'link', 'record', 'sign'];

it('are those of SP 800-108 with the label of the purpose and the meter id as context', async () => {
  const core = await loadCore<KeyExports>();
  const at = core.testScratch();
  const derive = (purpose: number, root: Uint8Array, id: Buffer, length: number) => {
    const memory = new Uint8Array(core.memory.buffer);
    memory.set(root, at);
    memory.set(id, at + 16);
    core.testMeterKey(purpose, at, at + 16, id.length, at + 64, length);
    return Buffer.from(memory.slice(at + 64, at + 64 + length)).toString('hex');
  };
  const root = randomBytes(16);
  const seen = new Set<string>();
  for (const [purpose, label] of purposes.entries()) {
    for (const id of ['meter-1', 'meter-2'].map((text) => Buffer.from(text))) {
      for (const length of [16, 32]) {
        const key = derive(purpose, root, id, length);
        expect(key).toBe(deriveKey(root, Buffer.from(label), id, length).toString('hex'));
        expect(seen.has(key)).toBe(false);
        seen.add(key);
      }
    }
  }
});
