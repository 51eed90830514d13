// Ending what was started: also a process that is just starting others, as a compiler's driver does.
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { root } from '../../scripts/lib/project.mjs';

const marker = 'METERTIME_TEST_RUN';
const mark = randomUUID();

/** Processes that inherited the mark: also those whose parents are gone. */
function marked(): number[] {
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/environ`, 'latin1').includes(`${marker}=${mark}`);
      } catch {
        return false; // none of a number, or it ended
      }
    });
}

afterEach(() => {
  for (const pid of marked()) process.kill(pid, 'SIGKILL');
});

/** Starts shells that each start a process that lasts, again and again; then ends all with `statement`, and itself. */
function startAndEnd(statement: string): Promise<number | null> {
  const program = `
    import { spawn } from 'node:child_process';
    import { descendants, killDescendants, killTree } from ${JSON.stringify(join(root, 'scripts/lib/processes.mjs'))};
    const shells = Array.from({ length: 4 }, () =>
      spawn('sh', ['-c', 'while :; do sleep 60 & sleep 0.002; done'], { stdio: 'ignore' }));
    const timer = setInterval(() => {
      if (descendants(process.pid).length < 20) return;
      clearInterval(timer);
      ${statement};
      process.exit(descendants(process.pid).length);
    }, 1);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, [marker]: mark },
  });
  return new Promise((resolve) => child.on('close', (code) => resolve(code)));
}

test.each(['killDescendants()', 'for (const { pid } of shells) killTree(pid)'])(
  'nothing runs on that is started meanwhile: %s',
  { timeout: 60_000 },
  async (statement) => {
    for (let round = 0; round < 5; round++) {
      expect(await startAndEnd(statement)).toBe(0);
      expect(marked()).toEqual([]);
    }
  },
);
