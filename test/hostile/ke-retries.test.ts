// RFC 8915 4.1.3 and 4.2: when a client may ask again. Whatever fails, each wait is at least half as long again as the
// one before, from 10 s; and a server that does not understand a request is not sent the same one again.
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { RecordType, record, u16 } from '../../host/setup/ke-records.ts';
import { HostileLab, type LabOptions, type Surroundings, startSurroundings } from './lab.ts';
import type { KeMisbehaviour, KeRequest } from './server.ts';

let surroundings: Surroundings;
beforeAll(async () => {
  surroundings = await startSurroundings();
});
afterEach(() => {
  surroundings.server.script.ke.splice(0);
  expect(surroundings.server.faults.splice(0)).toEqual([]);
});
afterAll(() => surroundings.server.stop());

async function withMeter(run: (lab: HostileLab) => Promise<void>, options: LabOptions = {}): Promise<void> {
  const lab = new HostileLab(surroundings, options);
  try {
    await run(lab);
  } finally {
    await lab.stop();
  }
}

const stepSeconds = 2;

/** Seconds between the first attempts of a meter. */
async function waits(lab: HostileLab, count: number): Promise<number[]> {
  const { server, world } = surroundings;
  const attempts: bigint[] = [];
  const before = server.connections;
  const counted = () => {
    if (server.connections > before + attempts.length) attempts.push(world.nowTicks());
    return attempts.length > count;
  };
  await lab.pass(`${count + 1} attempts`, counted, { stepMs: stepSeconds * 1_000 });
  return attempts.slice(1).map((at, index) => Number(at - attempts[index]!) / 1e9);
}

describe('each wait is half as long again, at least', () => {
  const cases: [string, KeMisbehaviour][] = [
    ['a connection that is reset', { tcp: (socket) => void socket.resetAndDestroy() }],
    ['no TLS', { tcp: (socket) => void socket.end('220 hello\r\n') }],
    ['no ALPN', { tls: { ALPNProtocols: undefined } }],
    ['an answer of nothing', { records: () => [] }],
    ['no cookie', { records: ({ protocol, aead, end }) => [protocol, aead, end] }],
    ['an internal error', { records: ({ end }) => [record(RecordType.error, u16(2)), end] }],
  ];
  it.each(cases)('RFC 8915 4.2: %s', async (_name, misbehaviour) => {
    await withMeter(async (lab) => {
      surroundings.server.script.ke.push(...Array.from({ length: 8 }, () => misbehaviour));
      lab.start();
      const seconds = await waits(lab, 3);
      for (const [at, wait] of seconds.entries()) expect(wait).toBeGreaterThan(10 * 1.5 ** at - stepSeconds);
      surroundings.server.script.ke.splice(0);
      await lab.pass('a time', () => lab.last.authenticated > 0, { stepMs: 5_000 });
      lab.expectRight();
    });
  });

  it('RFC 8915 4.2: keys that lead to no answer', async () => {
    await withMeter(async (lab) => {
      const { server } = surroundings;
      server.always = { send: () => {} };
      lab.start();
      const seconds = await waits(lab, 3);
      for (const [at, wait] of seconds.entries()) expect(wait).toBeGreaterThan(10 * 1.5 ** at - stepSeconds);
      server.always = undefined;
      await lab.pass('a time', () => lab.last.authenticated > 0, { stepMs: 5_000 });
    });
  });
});

describe('a request that the server does not understand', () => {
  it.each([0, 1])('RFC 8915 4.1.3: error %i: the plainest one instead, and then none for a day', async (code) => {
    await withMeter(async (lab) => {
      const { server } = surroundings;
      const asked: KeRequest[] = [];
      const refusing: KeMisbehaviour = {
        records: ({ end }, request) => {
          asked.push(request);
          return [record(RecordType.error, u16(code)), end];
        },
      };
      server.script.ke.push(...Array.from({ length: 8 }, () => refusing));
      lab.start();
      await lab.pass('two requests', () => asked.length === 2, { stepMs: 1_000 });
      expect(asked.map(({ aeads }) => aeads)).toEqual([[30, 15, 16, 17], [15]]);
      expect(asked[1]!.records).toHaveLength(3);
      const until = lab.localNs + 80_000_000_000_000n;
      await lab.pass('most of a day', () => lab.localNs > until, { stepMs: 600_000 });
      expect(asked).toHaveLength(2);
    });
  });

  it('RFC 8915 4.1.3: error 0, once: the plainest one is enough', async () => {
    await withMeter(async (lab) => {
      surroundings.server.script.ke.push({ records: ({ end }) => [record(RecordType.error, u16(0)), end] });
      lab.start();
      await lab.pass('a time', () => lab.last.authenticated > 0, { stepMs: 5_000 });
      expect(lab.last.aead).toBe(15);
    });
  });
});
