// The hostile server behaves where it is not told otherwise: a client that is not ours, chronyd, takes its keys and its
// time, and does not when it misbehaves.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { currentUser } from '../../host/setup/lab-server.ts';
import { debianTool } from '../../scripts/debian.mjs';
import { type Surroundings, startSurroundings } from './lab.ts';

let surroundings: Surroundings;
beforeAll(async () => {
  surroundings = await startSurroundings();
});
afterAll(() => surroundings.server.stop());

/** What chronyd says after one measurement of `samples` answers; it never touches the clock. */
async function chronyd(address: string, samples: number, timeoutSeconds = 20): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'chronyd-q-'));
  const { ca, server } = surroundings;
  writeFileSync(join(folder, 'ca.pem'), ca.certificatePem);
  writeFileSync(
    join(folder, 'chrony.conf'),
    [
      `server ${address} nts iburst maxsamples ${samples} ntsport ${server.kePort}`,
      `ntstrustedcerts ${join(folder, 'ca.pem')}`,
      'cmdport 0',
      'bindcmdaddress /',
      `pidfile ${join(folder, 'pid')}`,
      '',
    ].join('\n'),
  );
  const tool = debianTool('chronyd');
  if (!tool.ok) throw new Error(tool.reason);
  const root = process.getuid?.() === 0;
  const harmless = ['--pdeathsig', 'KILL', ...(root ? ['--bounding-set', '-sys_time'] : []), '--', tool.path];
  const options = ['-Q', '-t', `${timeoutSeconds}`, '-U', '-u', currentUser(), '-f', join(folder, 'chrony.conf')];
  const child = spawn('setpriv', [...harmless, ...tool.args, ...options], {
    env: { ...process.env, ...tool.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  child.stdout.on('data', (chunk) => {
    output += chunk;
  });
  child.stderr.on('data', (chunk) => {
    output += chunk;
  });
  try {
    await new Promise((resolve, reject) => {
      child.on('error', reject);
      child.on('close', resolve);
    });
    return output;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

it.each(['127.0.0.1', '::1'])('chronyd takes its time over %s', async (address) => {
  const { server } = surroundings;
  const { requests, connections } = server;
  const output = await chronyd(address, 1);
  const offset = /System clock wrong by (-?[\d.]+) seconds/.exec(output)?.[1];
  expect(offset, output).toBeDefined();
  expect(Math.abs(Number(offset))).toBeLessThan(0.1);
  expect(server.connections).toBe(connections + 1);
  expect(server.requests).toBeGreaterThan(requests);
  // chronyd tells its poll interval and precision, which RFC 8915 9.1 advises against.
  expect(server.faults.splice(0).filter((fault) => fault !== 'a request told more than it must')).toEqual([]);
});

it('chronyd does not take what the server seals with another key', async () => {
  const { server } = surroundings;
  server.always = {
    answer: (answer) => {
      const { aead, clientToServer } = answer.association;
      answer.association = { aead, clientToServer, serverToClient: clientToServer };
    },
  };
  try {
    expect(await chronyd('127.0.0.1', 1, 4)).not.toContain('System clock wrong');
  } finally {
    server.always = undefined;
    server.faults.splice(0);
  }
});
