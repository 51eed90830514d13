// RFC 8915 4: NTS-KE that never ends, slowly or fast. Whatever the server does, the meter gives up within its
// own deadline or size, the gateway holds no more than its share, and the meter comes back.
import type { TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Failure, KeError } from '../../as/abi/codes.ts';
import { RecordType, record } from '../../host/setup/ke-records.ts';
import { HostileLab, type Surroundings, startSurroundings } from './lab.ts';
import type { KeMisbehaviour } from './server.ts';

let surroundings: Surroundings;
beforeAll(async () => {
  surroundings = await startSurroundings();
});
afterAll(async () => {
  expect(surroundings.server.faults).toEqual([]);
  await surroundings.server.stop();
});

/** Bytes that were written to a client, and how its connection ended. */
class Flood {
  bytes = 0;
  ended = false;

  /** Writes one piece after the other for as long as the client takes them. */
  write(socket: TLSSocket, first: Buffer, piece: Buffer): void {
    socket.on('close', () => {
      this.ended = true;
    });
    const next = (bytes: Buffer) => {
      if (socket.destroyed || !socket.writable) return;
      this.bytes += bytes.length;
      socket.write(bytes, (error) => {
        // A turn of the event loop for each, as the client lives in it, too.
        if (!error) setImmediate(next, piece);
      });
    };
    next(first);
  }
}

describe('without an end', () => {
  const unknown = (bytes: number) => record(4000, Buffer.alloc(bytes), false);
  const cases: [string, Buffer][] = [
    ['RFC 8915 4.1: records of no bytes', Buffer.concat(Array.from({ length: 1_000 }, () => unknown(0)))],
    ['RFC 8915 4.1: records of 65,535 bytes', unknown(65_535)],
    [
      'RFC 8915 4.1.6: cookies',
      Buffer.concat(Array.from({ length: 100 }, () => record(RecordType.cookie, Buffer.alloc(100, 7), false))),
    ],
    ['RFC 8915 4.1: records of 3,855 bytes, a byte at a time', Buffer.of(15)],
  ];
  it.each(cases)('%s', async (_name, piece) => {
    const lab = new HostileLab(surroundings);
    const flood = new Flood();
    try {
      const refused = await lab.refusesKe({
        records: (good) => [good.protocol, good.aead],
        write: (socket, answer) => flood.write(socket, answer, piece),
      });
      // The meter has had enough, or its gateway.
      const gateway = refused.error === 'Connection' && refused.detail === Failure.Limit;
      expect(gateway || refused.error === 'Timeout').toBe(true);
      await lab.pass('the end of the connection', () => flood.ended);
      // What the meter reads, what the gateway holds for it, and what two kernels do.
      expect(flood.bytes).toBeLessThan(16 * 1024 * 1024);
      expect(lab.session.sockets.tls).toBe(0);
    } finally {
      await lab.stop();
    }
  });

  it('RFC 8915 4.1: a record of 65,535 bytes that never comes whole', async () => {
    const misbehaviour: KeMisbehaviour = {
      records: (good) => [good.protocol, good.aead, record(4000, Buffer.alloc(100), false, 65_535)],
      write: (socket, answer) => void socket.write(answer),
    };
    expect(await givenUp(misbehaviour)).toBe('Timeout');
  });
});

/** How a meter gives up whose own deadline is the first to pass. */
async function givenUp(misbehaviour: KeMisbehaviour): Promise<string> {
  const lab = new HostileLab(surroundings);
  try {
    const { error } = await lab.refusesKe(misbehaviour, { skipping: true });
    return error;
  } finally {
    await lab.stop();
  }
}

describe('slow loris', () => {
  const silent: [string, KeMisbehaviour][] = [
    ['RFC 8915 4: before the handshake', { tcp: () => {} }],
    ['RFC 8915 4: within a TLS record', { tcp: (socket) => void socket.write(Buffer.of(22, 3, 3, 0, 122, 2)) }],
    ['RFC 8915 4: instead of an answer', { write: () => {} }],
    ['RFC 8915 4: within an answer', { write: (socket, answer) => void socket.write(answer.subarray(0, 20)) }],
    ['RFC 8915 4: before End of Message', { write: (socket, answer) => void socket.write(answer.subarray(0, -4)) }],
  ];
  it.each(silent)('%s: given up', async (_name, misbehaviour) => {
    expect(await givenUp(misbehaviour)).toBe('Timeout');
  });

  it('RFC 8915 4: a byte a second: given up', async () => {
    const lab = new HostileLab(surroundings);
    let bytes = 0;
    const cancels = new Set<() => void>();
    const drip = (socket: TLSSocket, answer: Buffer) => {
      const next = () => {
        if (!socket.writable) return;
        bytes++;
        socket.write(answer.subarray(bytes - 1, bytes));
        cancels.add(surroundings.world.at(surroundings.world.nowTicks() + 1_000_000_000n, next));
      };
      next();
    };
    try {
      const begin = surroundings.world.nowTicks();
      const { error } = await lab.refusesKe({ write: drip }, { skipping: true });
      expect(error).toBe('Timeout');
      expect(bytes).toBeGreaterThan(10);
      // With the back-off, until it is synchronised.
      expect(Number(surroundings.world.nowTicks() - begin) / 1e9).toBeLessThan(60);
    } finally {
      for (const cancel of cancels) cancel();
      await lab.stop();
    }
  });

  // The gateway's own timeouts, in its own time.
  const timeouts = { handshakeMs: 150, idleMs: 150, lifetimeMs: 400 };
  const cases: [string, KeMisbehaviour][] = [
    ['before the handshake', { tcp: () => {} }],
    ['within the handshake', { tcp: (socket) => void socket.write(Buffer.of(22, 3, 3, 0, 122, 2)) }],
    ['instead of an answer', { write: () => {} }],
    ['a byte now and then', { write: (socket, answer) => dripEvery(socket, answer, 50) }],
  ];
  it.each(cases)('RFC 8915 4: %s: the gateway gives up by itself', async (_name, misbehaviour) => {
    const lab = new HostileLab(surroundings, { gateway: { tlsTimeouts: timeouts } });
    try {
      const { error, detail } = await lab.refusesKe(misbehaviour);
      expect([error, detail]).toEqual([KeError[KeError.Connection], Failure.Timeout]);
    } finally {
      await lab.stop();
    }
  });
});

function dripEvery(socket: TLSSocket, answer: Buffer, ms: number): void {
  let at = 0;
  const timer = setInterval(() => {
    if (socket.writable && at < answer.length) socket.write(answer.subarray(at, ++at));
  }, ms);
  socket.on('close', () => clearInterval(timer));
}
