// The command `npm run bench:mcu`: mistakes in its options are told, before anything is built or run.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { beforeAll, expect, it } from 'vitest';
import { bundle } from '../../scripts/build-dist.mjs';
import { root } from '../../scripts/lib/project.mjs';

const program = join(root, 'build', 'bench-mcu-test');

beforeAll(async () => {
  await bundle('bench/mcu.ts', program);
});

it.each([
  ['--wrong', "Unknown option '--wrong'"],
  ['--polls=7', '--polls: expected a whole number from 8 to 1000, came 7'],
])('%s is a mistake', async (option, message) => {
  const { code, stderr } = await new Promise<{ code: unknown; stderr: string }>((resolve) => {
    execFile(process.execPath, [join(program, 'metertime.mjs'), option], (error, _, said) => {
      resolve({ code: error?.code, stderr: said });
    });
  });
  expect(code).toBe(2);
  expect(stderr).toContain(message);
  expect(stderr).not.toContain('    at ');
});
