// RFC 1035 4.2.2: a DNS server that cuts its answers off and then says nothing over TCP, which getaddrinfo waits for
// without an end. The gateway's own lookups are asked, through the system, in a namespace whose DNS server it is.
// Where namespaces are not allowed, as in many containers, these tests are skipped and say so.
import { execFile, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { until } from '../../host/setup/until.ts';
import { bundle } from '../../scripts/build-dist.mjs';
import { debianTool } from '../../scripts/debian.mjs';

interface Outcome {
  readonly name: string;
  readonly ms: number;
  readonly found: string;
}

const unshare = process.getuid?.() === 0 ? '-nm' : '-rnm';
const refusal = (() => {
  try {
    execFileSync('unshare', [unshare, 'true'], { stdio: 'pipe' });
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
})();
if (refusal !== undefined) console.log(`no namespaces here: ${refusal}`);

const settings = {
  'resolv.conf': 'nameserver 127.0.0.1\n',
  'nsswitch.conf': 'hosts: files dns\n',
  hosts: '127.0.0.1 localhost\n192.0.2.7 hosts-only.test\n',
};

describe.skipIf(refusal !== undefined)('a DNS server that never ends its answers', () => {
  let folder: string;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'metertime-names-'));
    for (const [name, text] of Object.entries(settings)) writeFileSync(join(folder, name), text);
    await bundle('test/hostile/fixtures/namespaced-names.ts', folder);
  });
  afterAll(() => {
    if (folder) rmSync(folder, { recursive: true });
  });

  /** Runs the fixture where the system is set up as above. */
  function inside(...args: string[]): [string, string[]] {
    const ip = debianTool('ip');
    if (!ip.ok) throw new Error(ip.reason);
    const environment = Object.entries(ip.env).map(([name, value]) => `${name}=${value}`);
    const script = [
      'folder=$1 fixture=$2 node=$3; shift 3',
      ...Object.keys(settings).map((name) => `mount --bind "$folder/${name}" "/etc/${name}"`),
      `env ${environment.map((one) => `'${one}'`).join(' ')} '${ip.path}' link set lo up`,
      // One lookup at a time within the gateway itself.
      'UV_THREADPOOL_SIZE=2 exec "$node" "$fixture" "$@"',
    ].join(' && ');
    const fixture = join(folder, 'metertime.mjs');
    return ['unshare', [unshare, 'sh', '-c', script, 'sh', folder, fixture, process.execPath, ...args]];
  }

  it('takes nothing from other names, however many are slow and however often they are asked for', async () => {
    const { stdout } = await promisify(execFile)(...inside(), { timeout: 90_000 });
    const { first, rounds, here, hosts, missing, failures, endMs } = JSON.parse(stdout);
    expect(first.found).toBe('127.0.0.1');
    for (const { slow, good, processes } of rounds) {
      for (const { name, found, ms } of slow as Outcome[]) {
        expect(found).toBe(`no DNS server answered for ${name}`);
        expect(ms).toBeLessThan(12_000);
      }
      for (const { name, found, ms } of good as Outcome[]) {
        expect([name, found]).toEqual([name, '127.0.0.1']);
        expect(ms, name).toBeLessThan(4_000);
      }
      expect(processes).toBeLessThanOrEqual(4);
    }
    expect(here.found).toBe('127.0.0.1');
    expect(here.ms).toBeLessThan(4_000);
    // As the system is set up: its hosts file counts, and what DNS says of a name is told apart.
    expect(hosts.found).toBe('192.0.2.7');
    expect(missing.found).toBe('missing.test does not exist or has no address');
    expect(Math.min(...failures)).toBeGreaterThan(0);
    // Nothing keeps a gateway that was stopped.
    expect(endMs).toBeLessThan(4_000);
  }, 100_000);

  it('leaves nothing behind when the gateway is killed while lookups hang', async () => {
    const server = spawn(...inside('hang'), { stdio: ['pipe', 'pipe', 'inherit'] });
    try {
      const line = await new Promise<string>((resolve, reject) => {
        server.stdout.once('data', (text) => resolve(String(text)));
        server.once('exit', (code) => reject(new Error(`it ended with ${code}`)));
      });
      const { asking, pids } = JSON.parse(line) as { asking: number; pids: number[] };
      expect([asking, ...pids].map(isRunning)).toEqual([true, true]);
      process.kill(asking, 'SIGKILL');
      // While the server keeps its connections.
      await until('the end of its processes', () => !pids.some(isRunning), { timeoutMs: 5_000 });
      expect(server.exitCode).toBeNull();
    } finally {
      server.stdin.end();
    }
  });
});

function isRunning(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch (error) {
    if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return false;
    throw error;
  }
}
