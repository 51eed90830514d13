// RFC 1035 and RFC 8915 4.1.7: a hostile DNS server, and resolvers that give what no resolver should. The gateway asks;
// its meter must be told that there is no address, or find the one that serves, and come back once names resolve.

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Failure, KeError, MeterEvent } from '../../as/abi/codes.ts';
import { loggerTo } from '../../host/log.ts';
import { type Address, Resolver } from '../../host/net/dns.ts';
import type { Lookup } from '../../host/net/lookup.ts';
import { u16 } from '../../host/setup/ke-records.ts';
import {
  type DnsAnswer,
  domain,
  genuine,
  HostileDns,
  loopback,
  message,
  resource,
  typeA,
  typeCname,
} from './dns-server.ts';
import { HostileLab, type Surroundings, startSurroundings } from './lab.ts';

const name = 'time.test';

let surroundings: Surroundings;
let hostile: HostileDns;
beforeAll(async () => {
  surroundings = await startSurroundings();
  hostile = await HostileDns.start();
});
beforeEach(() => {
  hostile.answer = genuine;
  hostile.stream = undefined;
});
afterAll(async () => {
  expect(surroundings.server.faults).toEqual([]);
  await hostile.stop();
  await surroundings.server.stop();
});

/** A meter whose server is known by its name. */
const named = (lookup: Lookup) =>
  new HostileLab(surroundings, { host: name, gateway: { resolver: new Resolver(lookup) } });

/** A meter whose gateway cannot resolve the name, and then can. */
async function unresolved(lookup: Lookup): Promise<void> {
  const lab = named(lookup);
  try {
    lab.start();
    const event = await lab.watch.event(MeterEvent.KeFailed);
    expect([KeError[Number(event.a)], Failure[Number(event.b)]]).toEqual(['Connection', 'Dns']);
    hostile.answer = genuine;
    hostile.stream = undefined;
    await lab.pass('another attempt', () => lab.last.keAttempts > 1, { stepMs: 1_000 });
    await lab.synchronised();
  } finally {
    await lab.stop();
  }
}

describe('answers without an address', () => {
  const cases: [string, DnsAnswer][] = [
    ['RFC 1035 4.1.1: none at all', () => undefined],
    ['RFC 1035 4.1.1: a failure of the server', (question) => message(question, [], { flags: 0x8182 })],
    ['RFC 1035 4.1.1: the name does not exist', (question) => message(question, [], { flags: 0x8183 })],
    ['RFC 1035 4.1.1: refused', (question) => message(question, [], { flags: 0x8185 })],
    ['RFC 1035 4: garbage', () => Buffer.alloc(512, 0xff)],
    ['RFC 1035 4: nothing but the id', ({ id }) => Buffer.from(id)],
    ['RFC 1035 4.1.1: no answers', (question) => message(question, [])],
    ['RFC 1035 4.1.1: more answers announced than there are', (question) => message(question, [], { count: 65_535 })],
    [
      'RFC 1035 4.1.3: an address longer than the message',
      (question) => message(question, [resource(question.type, loopback, { length: 65_535 })]),
    ],
    [
      'RFC 1035 4.1.3: an address of no bytes',
      (question) => message(question, [resource(question.type, Buffer.alloc(0))]),
    ],
    [
      'RFC 1035 4.1.4: a name that points to itself',
      (question) => {
        const at = 12 + question.bytes.length;
        return message(question, [resource(typeA, loopback, { owner: u16(0xc000 | at) })]);
      },
    ],
    ['RFC 1034 3.6.2: an alias of itself', (question) => message(question, [resource(typeCname, domain(name))])],
    [
      'RFC 1034 3.6.2: two aliases of each other',
      (question) =>
        message(question, [
          resource(typeCname, domain('other.test')),
          resource(typeCname, domain(name), { owner: domain('other.test') }),
        ]),
    ],
    [
      'RFC 5452 9.1: the answer to another question',
      (question) => message({ ...question, bytes: otherQuestion }, [resource(typeA, loopback)]),
    ],
    [
      'RFC 5452 9.1: the answer to another id',
      (question) =>
        message({ ...question, id: Buffer.from(question.id.map((byte) => ~byte)) }, [resource(typeA, loopback)]),
    ],
  ];
  const otherQuestion = Buffer.concat([domain('other.test'), u16(typeA), u16(1)]);
  it.each(cases)('%s', async (_name, answer) => {
    hostile.answer = answer;
    await unresolved(hostile.lookup());
  });

  it('RFC 1035 4.2.2: cut off, and over TCP without an end', async () => {
    hostile.answer = (question) => message(question, [], { flags: 0x8380 });
    let bytes = 0;
    hostile.stream = (socket) => {
      const piece = Buffer.alloc(65_536, 0xff);
      const next = () => {
        if (socket.destroyed || !socket.writable) return;
        bytes += piece.length;
        socket.write(piece, (error) => {
          if (!error) setImmediate(next);
        });
      };
      next();
    };
    await unresolved(hostile.lookup());
    expect(bytes).toBeLessThan(64 * 1024 * 1024);
  });

  it('a resolver that gives nothing, and one that fails in an unknown way', async () => {
    const wrong: Lookup[] = [async () => [], () => Promise.reject(new Error('something else'))];
    for (const lookup of wrong) {
      const good = hostile.lookup();
      let first = true;
      await unresolved((host, signal) => {
        const asked = first ? lookup : good;
        first = false;
        return asked(host, signal);
      });
    }
  });
});

describe('addresses that do not serve', () => {
  const serves: Address = { address: '127.0.0.1', family: 4 };
  // TEST-NET-1 is nobody's (RFC 5737); nothing listens on the other loopback addresses.
  const dead = (count: number): Address[] =>
    Array.from({ length: count }, (_, at) => ({ address: `127.0.${1 + (at >> 8)}.${at & 255}`, family: 4 }));

  it('RFC 8305 5: fifteen that refuse, then the one that serves', async () => {
    const lab = named(async () => [...dead(15), serves]);
    try {
      lab.start();
      await lab.synchronised();
      expect(lab.last).toMatchObject({ keAttempts: 1, keFailures: 0 });
    } finally {
      await lab.stop();
    }
  });

  it('RFC 8305 5: ten thousand that refuse: sixteen are tried', async () => {
    const lines: string[] = [];
    const log = loggerTo(({ message, fields }) => void lines.push(`${message} ${fields.detail}`));
    const lab = new HostileLab(surroundings, {
      host: name,
      gateway: { resolver: new Resolver(async () => [...dead(10_000), serves]), log },
    });
    try {
      lab.start();
      const event = await lab.watch.event(MeterEvent.KeFailed);
      expect([KeError[Number(event.a)], Failure[Number(event.b)]]).toEqual(['Connection', 'Connect']);
      const failed = lines.find((line) => line.includes('TLS connection failed'))!;
      expect(failed.match(/connection refused/g)).toHaveLength(16);
    } finally {
      await lab.stop();
    }
  });

  it('RFC 8915 4.1.7: NTP goes to the address where NTS-KE went', async () => {
    const lab = named(async () => [{ address: '127.0.0.9', family: 4 }, serves]);
    const { requests } = surroundings.server;
    try {
      lab.start();
      await lab.synchronised();
      expect(surroundings.server.requests).toBeGreaterThan(requests);
      expect(lab.last.reach).toBe(1);
    } finally {
      await lab.stop();
    }
  });

  it('one that answers NTS-KE and no NTP: the next keys come from another one', async () => {
    const { server } = surroundings;
    server.always = { send: (packet, { from, reply }) => void (from.family === 'IPv6' && reply(packet)) };
    const lab = named(async () => [serves, { address: '::1', family: 6 }]);
    try {
      lab.start();
      await lab.pass('a time', () => lab.last.authenticated > 0, { stepMs: 1_000 });
      await lab.synchronised();
      expect(lab.last.keAttempts).toBe(2);
    } finally {
      server.always = undefined;
      await lab.stop();
    }
  });
});

it('a lookup that never ends holds up its own meter alone', async () => {
  const lab = named((host) => (host === name ? new Promise(() => {}) : Promise.resolve([])));
  const other = new HostileLab(surroundings);
  try {
    lab.start();
    other.start();
    await other.synchronised();
    const event = await lab.watch.event(MeterEvent.KeFailed, { timeoutMs: 15_000 });
    expect([KeError[Number(event.a)], Failure[Number(event.b)]]).toEqual(['Connection', 'Dns']);
  } finally {
    await lab.stop();
    await other.stop();
  }
});
