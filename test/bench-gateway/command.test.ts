// The command `npm run bench:gateway`: mistakes are told before anything is built or run; and the start of some meters.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { beforeAll, expect, it } from 'vitest';
import { bundle } from '../../scripts/build-dist.mjs';
import { root } from '../../scripts/lib/project.mjs';

const program = join(root, 'build', 'bench-gateway-test');

beforeAll(async () => {
  await bundle('bench/gateway.ts', program);
});

function run(...options: string[]): Promise<{ code: unknown; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [join(program, 'metertime.mjs'), ...options], (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : error.code, stdout, stderr });
    });
  });
}

it.each([
  ['--wrong', "Unknown option '--wrong'"],
  ['--meters=0', '--meters: expected a whole number from 1 to 4000, came 0'],
  ['--minutes=1.5', '--minutes: expected a whole number from 0 to 1440, came 1.5'],
  ['--servers=5', '--servers: expected a whole number from 1 to 4, came 5'],
  ['--report=', '--report: expected a whole number from 1 to 65535, came nothing'],
])('%s is a mistake', async (option, message) => {
  const { code, stderr } = await run(option);
  expect(code).toBe(2);
  expect(stderr).toContain(message);
  expect(stderr).not.toContain('    at ');
});

it('meters start, come to a time, and all that they record is at the broker', { timeout: 180_000 }, async () => {
  const { code, stdout, stderr } = await run(
    ...['--meters', '3', '--minutes', '0', '--servers', '2', '--start', '1'],
    ...['--flags=METERTIME_BENCH=1 --max-semi-space-size=8', '--json', '--check'],
  );
  expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' });
  const { results, failures } = JSON.parse(stdout);
  expect(failures).toEqual([]);
  const [result] = results;
  expect(results).toHaveLength(1);
  expect(result).toMatchObject({
    ...{ meters: 3, minutes: 0, duplicates: 0, missing: 0, broken: 0, traps: 0, outboxEntries: 0 },
    start: { synchronised: 3 },
    window: { backlogEnd: 0, unacknowledgedEnd: 0 },
  });
  // A context and a record of each at least.
  expect(result.entries).toBeGreaterThanOrEqual(6);
  expect(result.start.gatewayMs).toBeGreaterThan(0);
  expect(result.memory.residentBytes).toBeGreaterThan(result.memory.heapBytes);
});
