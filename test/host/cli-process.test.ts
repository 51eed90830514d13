// The command as a process: files that are pipes, and disks, pipes and devices that take nothing.
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ExitCode } from '../../host/cli/exit-codes.ts';
import { replayTrace } from '../../host/core/trace.ts';
import { buildDist } from '../../scripts/build-dist.mjs';
import { runMetertime } from './cli-run.ts';

let folder = '';
let program = '';
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'metertime-process-'));
  const { outDir } = await buildDist({ outDir: join(folder, 'dist') });
  program = join(outDir, 'metertime.mjs');
});
afterAll(() => rmSync(folder, { recursive: true }));

const at = (name: string): string => join(folder, name);

/** The real command in a shell; `"$0" "$1"` is metertime. */
function shell(script: string) {
  const { status, signal, stdout, stderr } = spawnSync('bash', ['-c', script, process.execPath, program], {
    cwd: folder,
    encoding: 'utf8',
    timeout: 20_000,
    killSignal: 'SIGKILL',
  });
  return { status, signal, stdout, stderr };
}

describe('pipes', () => {
  it('are files to read; one that does not end is not read on', () => {
    // Of a key size that the core does not have.
    const vector = { tcId: 1, result: 'valid', key: '00'.repeat(32), iv: '', aad: '', msg: '', ct: '', tag: '' };
    const vectors = JSON.stringify({ algorithm: 'AES-GCM-SIV', testGroups: [{ tests: [vector] }] });
    const taken = shell(`printf '%s' '${vectors}' | "$0" "$1" selftest --vectors /dev/stdin <(echo '${vectors}')`);
    for (const aes of ['bitsliced', 'table']) {
      expect(taken.stdout).toMatch(new RegExp(`^/dev/stdin +AES-GCM-SIV +${aes} +0 +0 +1$`, 'm'));
    }
    expect(taken.status).toBe(ExitCode.Ok);
    const endless = shell('"$0" "$1" selftest --vectors <(cat /dev/zero)');
    expect(endless.stderr).toMatch(/expected at most 67108864 bytes, came more/);
    expect(endless.status).toBe(ExitCode.Usage);
  });
});

describe('a broker that accepts connections and says nothing', () => {
  it.each([['status', '--mqtt'], ['monitor']])('%s is ended by Ctrl-C at once', async (...args) => {
    const server = createServer();
    const ended = new AbortController();
    // Ctrl-C as soon as the connection stands; the connection itself is given up only after ten seconds.
    server.on('connection', () => ended.abort());
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const startMs = performance.now();
    const { exitCode } = await runMetertime([...args, `mqtt://127.0.0.1:${port}`], { signal: ended.signal });
    expect(exitCode).toBe(ExitCode.Interrupted);
    expect(performance.now() - startMs).toBeLessThan(8_000);
    server.close();
    // The client has gone, so the server closes.
    await once(server, 'close');
  });
});

describe('where nothing can be written', () => {
  const plain = { signal: null, stdout: '' };
  // SIGXFSZ ignored makes writes beyond the limit of file sizes fail as on a full disk.
  const full = `trap '' XFSZ; ulimit -f 0; "$0" "$1"`;

  it('standard output: one line, and the exit code 1', () => {
    const message = 'metertime: standard output cannot be written: ENOSPC: no space left on device, write\n';
    for (const args of ['init -', '--version', '--help', 'selftest', 'selftest --json']) {
      expect(shell(`"$0" "$1" ${args} >/dev/full`), args).toEqual({
        ...plain,
        status: ExitCode.Failed,
        stderr: message,
      });
    }
  });

  it('standard output of what goes on until Ctrl-C: that ends, in order', () => {
    const { status, signal, stderr } = shell('"$0" "$1" run --board software --server 127.0.0.1:1 >/dev/full');
    expect(stderr.match(/standard output cannot be written/g)).toHaveLength(1);
    expect({ status, signal }).toEqual({ status: ExitCode.Failed, signal: null });
  });

  it('a pipe whose reader went: quiet, and fine', () => {
    expect(shell('exec 3> >(exec true); wait $!; "$0" "$1" init - >&3')).toEqual({
      ...plain,
      status: ExitCode.Ok,
      stderr: '',
    });
  });

  it('standard error: the exit code still tells', () => {
    expect(shell('"$0" "$1" replay /nowhere/x 2>/dev/full')).toMatchObject({ status: ExitCode.Usage, signal: null });
  });

  it('init names the file and leaves none behind', () => {
    const failed = shell(`${full} init full.yaml`);
    expect(failed.stderr).toMatch(/^metertime: full\.yaml cannot be written: EFBIG.*\n$/);
    expect(failed.status).toBe(ExitCode.Failed);
    expect(existsSync(at('full.yaml'))).toBe(false);
    expect(shell('"$0" "$1" init full.yaml').status).toBe(ExitCode.Ok);
  });

  it('init without a name is a wrong use', async () => {
    const { exitCode, stderr } = await runMetertime(['init', '']);
    expect(stderr).toMatch(/^metertime: the name of the file is empty\nName a file/);
    expect(exitCode).toBe(ExitCode.Usage);
  });

  it('a trace without an event is not left behind; one with some says where it ends', () => {
    const args = 'sync --timeout 1 127.0.0.1:1 --record';
    const empty = shell(`${full} ${args} empty.trace`);
    expect(empty.stderr).toMatch(/^metertime: the trace empty\.trace cannot be written: EFBIG.*\n$/);
    expect(empty.status).toBe(ExitCode.Failed);
    expect(existsSync(at('empty.trace'))).toBe(false);
    const some = shell(`${full.replace('-f 0', '-f 1')} ${args} some.trace`);
    const event = /cannot be written: EFBIG.*; it ends after event (\d+)\n$/.exec(some.stderr)?.[1];
    expect(Number(event), some.stderr).toBeGreaterThan(0);
    expect(() => replayTrace(at('some.trace'))).toThrow(`is cut off after event ${event};`);
  });
});
