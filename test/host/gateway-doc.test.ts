// What docs/gateway.md tells operators to write is what the program takes.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { checkSettings } from '../../host/config/settings.ts';
import { root } from '../../scripts/lib/project.mjs';

const text = readFileSync(join(root, 'docs', 'gateway.md'), 'utf8');

function block(language: string): string {
  const found = new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, 'ms').exec(text);
  if (found === null) throw new Error(`docs/gateway.md has no block of ${language}`);
  return found[1]!;
}

it('shows settings that are valid', () => {
  expect(checkSettings(block('yaml'), 'docs/gateway.md', { files: false })).toEqual([]);
});

it('shows a unit that starts the command as the installation puts it there', () => {
  const [, path, settings] = /^ExecStart=(\S+) gateway -c (\S+)$/m.exec(block('ini')) ?? [];
  expect(text).toContain(`sudo ln -s /opt/metertime/metertime.mjs ${path}\n`);
  expect(text).toContain(`--name gateway-1 ${settings}\n`);
  // Node compiles at run time.
  expect(block('ini')).not.toMatch(/^MemoryDenyWriteExecute/m);
});
