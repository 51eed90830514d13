// The lab's servers are the real ones, and serve: chronyd and NTPsec answer NTS key establishment, mosquitto MQTT 5.
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Chronyd, startChronyd } from '../../host/setup/chronyd.ts';
import { LabCa } from '../../host/setup/lab-ca.ts';
import { type KeRecord, probeNtp, probeNtsKe } from '../../host/setup/probe.mjs';
import { until } from '../../host/setup/until.ts';
import { bundle } from '../../scripts/build-dist.mjs';
import { root } from '../../scripts/lib/project.mjs';
import { type Ntpsec, startNtpsec } from './ntpsec.ts';

const endOfMessage = 0;
const error = 2;
const aead = 4;
const cookie = 5;

function bodies(records: KeRecord[], type: number): string[] {
  return records.filter((record) => record.type === type).map((record) => Buffer.from(record.body).toString('hex'));
}

let ca: LabCa;
beforeAll(async () => {
  ca = await LabCa.create();
});

describe('chronyd', () => {
  let server: Chronyd;
  beforeAll(async () => {
    server = await startChronyd({ ca, stratum: 2 });
  });
  afterAll(() => server?.stop());

  test('answers NTS key establishment with AEAD 15 and eight cookies', async () => {
    const answer = await probeNtsKe('localhost', server.kePort, ca.certificatePem);
    expect(answer.protocol).toBe('TLSv1.3');
    expect(answer.alpn).toBe('ntske/1');
    expect(bodies(answer.records, error)).toEqual([]);
    expect(bodies(answer.records, aead)).toEqual(['000f']);
    expect(bodies(answer.records, cookie)).toHaveLength(8);
    expect(answer.records.at(-1)?.type).toBe(endOfMessage);
  });

  test('is refused by a client that does not know its authority', async () => {
    const other = await LabCa.create('another root');
    await expect(probeNtsKe('localhost', server.kePort, other.certificatePem)).rejects.toThrow(/certificate/);
  });

  test('answers NTP with the stratum asked for', async () => {
    expect(await probeNtp(server.address, server.ntpPort)).toMatchObject({ leap: 0, version: 4, mode: 4, stratum: 2 });
  });

  test('serves at the same ports after it was killed and started again', async () => {
    await server.kill();
    expect(server.running).toBe(false);
    await expect(probeNtp(server.address, server.ntpPort, 200)).rejects.toThrow();
    await server.start();
    expect((await probeNtp(server.address, server.ntpPort)).mode).toBe(4);
    await expect(probeNtsKe('localhost', server.kePort, ca.certificatePem)).resolves.toBeDefined();
  });

  test('is silent while it is stopped by a signal', async () => {
    server.signal('SIGSTOP');
    await expect(probeNtp(server.address, server.ntpPort, 200)).rejects.toThrow(/no NTP answer/);
    server.signal('SIGCONT');
    const answer = await until('an answer after SIGCONT', () => probeNtp(server.address, server.ntpPort));
    expect(answer.mode).toBe(4);
  });

  test('leaves nothing behind when it is stopped', async () => {
    const other = await startChronyd({ ca });
    const { pid, folder } = other;
    expect(existsSync(folder)).toBe(true);
    await other.stop();
    expect(existsSync(folder)).toBe(false);
    expect(existsSync(`/proc/${pid}`)).toBe(false);
    await expect(probeNtp(other.address, other.ntpPort, 200)).rejects.toThrow();
  });

  test('says what is wrong with its settings when it does not start', async () => {
    await expect(startChronyd({ ca, extraConfig: ['nonsense 1'] })).rejects.toThrow(/Invalid directive at line/);
  });
});

describe('NTPsec', () => {
  let server: Ntpsec;
  beforeAll(async () => {
    server = await startNtpsec({ ca });
  });
  afterAll(() => server?.stop());

  test('answers NTS key establishment with AEAD 15 and eight cookies', async () => {
    const answer = await server.probeNtsKe();
    expect(answer.protocol).toBe('TLSv1.3');
    expect(answer.alpn).toBe('ntske/1');
    expect(bodies(answer.records, aead)).toEqual(['000f']);
    expect(bodies(answer.records, cookie)).toHaveLength(8);
  });

  test('answers NTP as a synchronised server', async () => {
    const answer = await server.probeNtp();
    expect(answer.mode).toBe(4);
    expect(answer.leap).toBe(0);
    expect(answer.stratum).toBeLessThan(16);
  });
});

test('servers die with the process that started them, even when that is killed', async () => {
  const folder = mkdtempSync(join(root, 'build', 'orphans-'));
  try {
    await bundle('test/peers/fixtures/start-servers.ts', folder);
    // The bundle finds the unpacked programs from its own place upwards, so it lies in the checkout.
    const child = spawn(process.execPath, [join(folder, 'metertime.mjs')], { stdio: ['ignore', 'pipe', 'inherit'] });
    let output = '';
    child.stdout.on('data', (chunk) => {
      output += chunk;
    });
    const { groups, folders } = await until('the servers started', () => output.endsWith('\n') && JSON.parse(output));
    expect(groups).toHaveLength(2);
    expect(groups.every((group: number) => membersOf(group).length > 0)).toBe(true);
    child.kill('SIGKILL');
    await until('the servers gone', () => groups.every((group: number) => membersOf(group).length === 0));
    for (const left of folders) rmSync(left, { recursive: true });
  } finally {
    rmSync(folder, { recursive: true });
  }
});

/** Processes of a process group that still run. */
function membersOf(group: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        // pid (name) state ppid pgrp …; the name may hold anything, parentheses too.
        const [state, , pgrp] = readFileSync(`/proc/${pid}/stat`, 'utf8')
          .replace(/^.*\) /, '')
          .split(' ');
        return Number(pgrp) === group && state !== 'Z';
      } catch {
        return false;
      }
    });
}
