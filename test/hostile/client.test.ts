// RFC 8915, RFC 8446 and RFC 9109: what the server sees of its client, also while it misbehaves. What must hold at each
// request is watched by the server all the time (`faults`); here is the rest.
import type { TLSSocket } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { MeterEvent } from '../../as/abi/codes.ts';
import { Resolver } from '../../host/net/dns.ts';
import { RecordType } from '../../host/setup/ke-records.ts';
import type { Association } from '../../host/setup/nts-packets.ts';
import { HostileLab, type LabOptions, type Surroundings, startSurroundings } from './lab.ts';
import type { KeMisbehaviour, KeRequest } from './server.ts';

let surroundings: Surroundings;
beforeAll(async () => {
  surroundings = await startSurroundings();
});
afterEach(() => expect(surroundings.server.faults.splice(0)).toEqual([]));
afterAll(() => surroundings.server.stop());

async function withMeter<T>(run: (lab: HostileLab) => Promise<T>, options: LabOptions = {}): Promise<T> {
  const lab = new HostileLab(surroundings, options);
  try {
    return await run(lab);
  } finally {
    surroundings.server.always = undefined;
    await lab.stop();
  }
}

/** The extensions of a ClientHello (RFC 8446 4.1.2), which is the first TLS record. */
function clientHello(bytes: Buffer): Map<number, Buffer> {
  // Record header 5, handshake header 4, version 2, random 32.
  let at = 5 + 4 + 2 + 32;
  at += 1 + bytes[at]!;
  at += 2 + bytes.readUInt16BE(at);
  at += 1 + bytes[at]!;
  const end = at + 2 + bytes.readUInt16BE(at);
  const extensions = new Map<number, Buffer>();
  for (at += 2; at < end; ) {
    const length = bytes.readUInt16BE(at + 2);
    extensions.set(bytes.readUInt16BE(at), bytes.subarray(at + 4, at + 4 + length));
    at += 4 + length;
  }
  return extensions;
}

/** The first ClientHello of a meter. */
function helloOf(options: LabOptions = {}): Promise<Map<number, Buffer>> {
  return withMeter(async (lab) => {
    const hello = new Promise<Buffer>((resolve) => {
      surroundings.server.script.ke.push({
        tcp: (socket) => {
          socket.once('data', (bytes) => {
            resolve(bytes);
            socket.destroy();
          });
        },
      });
    });
    lab.start();
    const extensions = clientHello(await hello);
    await lab.watch.event(MeterEvent.KeFailed);
    return extensions;
  }, options);
}

const extension = { serverName: 0, alpn: 16, earlyData: 42, supportedVersions: 43, presharedKey: 41 } as const;

describe('ClientHello', () => {
  it('RFC 8915 3: TLS 1.3 alone', async () => {
    const versions = (await helloOf()).get(extension.supportedVersions)!;
    expect([...versions]).toEqual([2, 3, 4]);
  });

  it('RFC 8915 4: ALPN ntske/1 alone', async () => {
    const protocols = (await helloOf()).get(extension.alpn)!;
    expect(protocols.subarray(2).toString('latin1')).toBe('\x07ntske/1');
  });

  it('RFC 8446 4.2.10 and 4.2.11: no early data and no session to resume', async () => {
    const hello = await helloOf();
    expect(hello.has(extension.earlyData)).toBe(false);
    expect(hello.has(extension.presharedKey)).toBe(false);
  });

  it('RFC 6066 3: the name of a server, and nothing for an address', async () => {
    expect((await helloOf()).has(extension.serverName)).toBe(false);
    const resolver = new Resolver(async () => [{ address: '127.0.0.1', family: 4 }]);
    const named = await helloOf({ host: 'time.test', gateway: { resolver } });
    expect(named.get(extension.serverName)!.toString('latin1')).toContain('time.test');
  });
});

describe('TLS', () => {
  const suites: [string, KeMisbehaviour][] = [
    ['RFC 8446 9.1: TLS_AES_128_GCM_SHA256', { tls: { ciphers: 'TLS_AES_128_GCM_SHA256' } }],
    ['RFC 8446 9.1: TLS_AES_256_GCM_SHA384', { tls: { ciphers: 'TLS_AES_256_GCM_SHA384' } }],
    ['RFC 8446 9.1: TLS_CHACHA20_POLY1305_SHA256', { tls: { ciphers: 'TLS_CHACHA20_POLY1305_SHA256' } }],
    ['RFC 8446 9.1: secp256r1', { tls: { ecdhCurve: 'P-256' } }],
    ['RFC 8446 9.1: X25519', { tls: { ecdhCurve: 'X25519' } }],
    ['RFC 8446 4.1.4: a group for which there is no share yet', { tls: { ecdhCurve: 'P-521' } }],
  ];
  it.each(suites)('%s: taken', async (_name, misbehaviour) => {
    await withMeter(async (lab) => {
      surroundings.server.script.ke.push(misbehaviour);
      lab.start();
      await lab.synchronised();
      expect(lab.last).toMatchObject({ keAttempts: 1, keFailures: 0 });
    });
  });

  it('RFC 8446 6.1: the client says goodbye to a server that does not', async () => {
    await withMeter(async (lab) => {
      const ended = new Promise<void>((resolve) => {
        surroundings.server.script.ke.push({
          write: (socket: TLSSocket, answer) => {
            socket.on('end', resolve);
            socket.write(answer);
          },
        });
      });
      lab.start();
      await lab.synchronised();
      await ended;
      expect(lab.session.sockets.tls).toBe(0);
    });
  });
});

describe('key establishment', () => {
  it('RFC 8915 4.1.5: offers AEADs that are known, AEAD 15 among them, each once', async () => {
    await withMeter(async (lab) => {
      let request: KeRequest | undefined;
      surroundings.server.script.ke.push({
        records: (good, asked) => {
          request = asked;
          return Object.values(good).flat();
        },
      });
      lab.start();
      await lab.synchronised();
      const { aeads, records } = request!;
      expect(aeads).toContain(15);
      expect(new Set(aeads).size).toBe(aeads.length);
      for (const aead of aeads) expect([15, 16, 17, 30]).toContain(aead);
      expect(records.at(-1)!.type).toBe(RecordType.end);
      for (const { type, critical } of records) {
        if (type === RecordType.server || type === RecordType.port) expect(critical).toBe(false);
      }
    });
  });

  it('RFC 8915 8.7: no unprotected request, however often it fails', async () => {
    const { server } = surroundings;
    await withMeter(async (lab) => {
      const { requests } = server;
      for (let attempt = 0; attempt < 4; attempt++) server.script.ke.push({ tcp: (socket) => void socket.destroy() });
      lab.start();
      await lab.pass('four failures', () => lab.last.keFailures >= 4, { stepMs: 1_000 });
      expect(server.requests).toBe(requests);
      await lab.synchronised();
    });
  });

  it('RFC 8915 5.7: new keys: nothing of the old ones is used any more', async () => {
    const { server } = surroundings;
    await withMeter(async (lab) => {
      lab.start();
      await lab.synchronised();
      await lab.newKeys();
      const used = new Set<Association>();
      server.always = { answer: (answer) => void used.add(answer.association) };
      for (let round = 0; round < 10; round++) await lab.synchronised();
      expect([...used]).toEqual([server.associations.at(-1)]);
    });
  });
});

describe('requests', () => {
  it('RFC 8915 5.7: as many placeholders as answers were lost, up to seven, and none when all cookies are there', async () => {
    const { server } = surroundings;
    await withMeter(async (lab) => {
      lab.start();
      for (let round = 0; round < 3; round++) await lab.synchronised();
      const placeholders: number[] = [];
      let answering = true;
      server.always = {
        send: (packet, { request, reply }) => {
          placeholders.push(request.placeholders);
          if (answering) reply(packet);
        },
      };
      await lab.synchronised();
      answering = false;
      await lab.pass('three lost', () => placeholders.length >= 4);
      answering = true;
      await lab.synchronised();
      await lab.synchronised();
      expect(placeholders.slice(0, 6)).toEqual([0, 0, 1, 2, 3, 0]);
    });
  });

  it('RFC 8915 5.7: short enough for 1,280 bytes of IPv6, however long the cookies', async () => {
    const { server } = surroundings;
    await withMeter(
      async (lab) => {
        server.script.ke.push({ cookieBytes: () => 174 });
        lab.start();
        await lab.synchronised();
        const lengths: number[] = [];
        let lose = 5;
        server.always = {
          send: (packet, { request, reply }) => {
            lengths.push(request.packet.length);
            if (lose-- <= 0) reply(packet);
          },
        };
        await lab.pass('eight requests', () => lengths.length >= 8);
        server.always = undefined;
        await lab.synchronised();
        expect(Math.max(...lengths)).toBeGreaterThan(950);
        expect(Math.max(...lengths)).toBeLessThanOrEqual(1_024);
      },
      { host: '::1' },
    );
  });

  it('RFC 9109 3: from a port of their own each', async () => {
    const { server } = surroundings;
    await withMeter(async (lab) => {
      const ports: number[] = [];
      server.always = {
        send: (packet, { from, reply }) => {
          ports.push(from.port);
          reply(packet);
        },
      };
      lab.start();
      await lab.pass('twenty requests', () => ports.length >= 20);
      server.always = undefined;
      expect(ports).not.toContain(123);
      // The kernel may choose one twice, but not often.
      expect(new Set(ports).size).toBeGreaterThan(15);
    });
  });

  it('RFC 5905 7.4, RFC 8915 5.7: one at a time, however long the answer takes', async () => {
    const { server, world } = surroundings;
    await withMeter(async (lab) => {
      lab.start();
      await lab.synchronised();
      let open = 0;
      let most = 0;
      server.always = {
        send: (packet, { reply }) => {
          most = Math.max(most, ++open);
          world.at(world.nowTicks() + 2_000_000_000n, () => {
            open--;
            reply(packet);
          });
        },
      };
      const { requests } = server;
      await lab.pass('five requests', () => server.requests >= requests + 5);
      server.always = undefined;
      expect(most).toBe(1);
      await lab.synchronised();
    });
  });
});
