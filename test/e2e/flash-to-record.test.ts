// metertime flash on an emulated board: one command from erased flash and a blank storage to the first record that has
// authenticated time, against chronyd.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ExitCode } from '../../host/cli/exit-codes.ts';
import { readStorageSettings } from '../../host/provision/storage-file.ts';
import { type Chronyd, startChronyd } from '../../host/setup/chronyd.ts';
import { LabCa } from '../../host/setup/lab-ca.ts';
import { runMetertime } from '../host/cli-run.ts';

let ca: LabCa;
let server: Chronyd;
let folder: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'metertime-flash-'));
  ca = await LabCa.create();
  server = await startChronyd({ ca });
});
afterAll(async () => {
  await server?.stop();
  rmSync(folder, { recursive: true, force: true });
});

interface Line {
  readonly kind?: string;
  readonly sequence?: number;
  readonly status?: { readonly clock?: string };
}

it('one command builds, flashes, provisions and watches until there is a record', async () => {
  const [anchors, keys, storage] = ['ca.pem', 'keys.json', 'storage'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  writeFileSync(anchors, ca.certificatePem);
  const args = [
    ...[
      'flash',
      '--board',
      'lm3s6965evb',
      '--method',
      'emulator',
      '--id',
      'meter-1',
      '--server',
      `127.0.0.1:${server.kePort}`,
    ],
    ...['--keys', keys, '--ca', anchors, '--storage', storage, '--monitor', '--json'],
  ];
  const run = async (isLast: (line: Line) => boolean) => {
    const abort = new AbortController();
    let text = '';
    let last: Line | undefined;
    const ran = await runMetertime(args, {
      signal: abort.signal,
      watch: (piece) => {
        text += piece;
        for (const line of text.split('\n').slice(0, -1)) {
          if (!line.startsWith('{')) continue;
          const value = JSON.parse(line) as Line;
          if (last === undefined && isLast(value)) last = value;
        }
        text = text.slice(text.lastIndexOf('\n') + 1);
        if (last !== undefined) abort.abort();
      },
    });
    return { ran, last };
  };
  const first = await run(({ kind, status }) => kind === 'record' && status?.clock === 'synchronised');
  expect(first.ran.exitCode, first.ran.stderr).toBe(ExitCode.Ok);
  expect(first.last).toMatchObject({ meter: 'meter-1' });
  expect(JSON.parse(first.ran.stdout.split('\n')[0]!)).toMatchObject({ board: 'lm3s6965evb', method: 'gdb' });
  expect(JSON.parse(readFileSync(keys, 'utf8'))).toMatchObject({ meter: 'meter-1' });
  expect(readStorageSettings(storage)).toMatchObject({ id: 'meter-1' });
  // Flashed again, the meter keeps its settings and its records.
  const second = await run(({ kind, sequence = 0 }) => kind === 'record' && sequence > first.last!.sequence!);
  expect(second.ran.exitCode, second.ran.stderr).toBe(ExitCode.Ok);
});
