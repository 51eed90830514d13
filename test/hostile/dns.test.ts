// RFC 1035 and RFC 8915 4.1.7: a hostile DNS server, and resolvers that give what no resolver should. The gateway asks;
// its meter must be told that there is no address, or find the one that serves, and come back once names resolve.

import { createSocket, type Socket } from 'node:dgram';
import { promises as dns } from 'node:dns';
import { createServer, type Server, type Socket as TcpSocket } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Failure, KeError, MeterEvent } from '../../as/abi/codes.ts';
import { loggerTo } from '../../host/log.ts';
import { type Address, type Lookup, Resolver } from '../../host/net/dns.ts';
import { HostileLab, type Surroundings, startSurroundings } from './lab.ts';
import { u16 } from './records.ts';

const name = 'time.test';
const typeA = 1;
const typeCname = 5;

interface Question {
  readonly id: Buffer;
  readonly type: number;
  /** As it stands in the query: name, type, class. */
  readonly bytes: Buffer;
}

type DnsAnswer = (question: Question) => Buffer | undefined;

/** A DNS server on loopback, UDP and TCP, that answers what it is told to. */
class HostileDns {
  answer: DnsAnswer = genuine;
  questions = 0;
  /** Over TCP, once a question was cut off. */
  stream: ((socket: TcpSocket, question: Question) => void) | undefined;
  readonly #udp: Socket;
  readonly #tcp: Server;
  readonly #open = new Set<TcpSocket>();

  private constructor(udp: Socket, tcp: Server) {
    this.#udp = udp;
    this.#tcp = tcp;
    udp.on('message', (query, from) => {
      this.questions++;
      const answer = this.answer(questionOf(query));
      if (answer !== undefined) udp.send(answer, from.port, from.address);
    });
    udp.on('error', () => {});
    tcp.on('connection', (socket) => {
      this.#open.add(socket);
      socket.on('close', () => this.#open.delete(socket));
      socket.on('error', () => {});
      socket.once('data', (query) => this.stream?.(socket, questionOf(query.subarray(2))));
    });
  }

  static async start(): Promise<HostileDns> {
    const udp = createSocket('udp4');
    await new Promise<void>((resolve) => udp.bind(0, '127.0.0.1', resolve));
    const tcp = createServer();
    await new Promise<void>((resolve) => tcp.listen(udp.address().port, '127.0.0.1', resolve));
    return new HostileDns(udp, tcp);
  }

  /** Asks this server, as a gateway's machine would. */
  lookup(): Lookup {
    return async (host) => {
      const resolver = new dns.Resolver({ timeout: 200, tries: 1 });
      resolver.setServers([`127.0.0.1:${this.#udp.address().port}`]);
      const found = await Promise.allSettled([resolver.resolve4(host), resolver.resolve6(host)]);
      const addresses = found.flatMap((one, at) =>
        one.status === 'fulfilled' ? one.value.map((address): Address => ({ address, family: at === 0 ? 4 : 6 })) : [],
      );
      const failed = found.find((one) => one.status === 'rejected');
      if (addresses.length === 0 && failed !== undefined) throw failed.reason;
      return addresses;
    };
  }

  async stop(): Promise<void> {
    for (const socket of this.#open) socket.destroy();
    await new Promise<void>((resolve) => this.#udp.close(resolve));
    await new Promise<void>((resolve) => this.#tcp.close(() => resolve()));
  }
}

function questionOf(query: Buffer): Question {
  let end = 12;
  while (query[end] !== 0) end += 1 + query[end]!;
  return { id: query.subarray(0, 2), type: query.readUInt16BE(end + 1), bytes: query.subarray(12, end + 5) };
}

/** A message of RFC 1035 4: flags, counts that may lie, and what follows the question. */
function message({ id, bytes }: Question, answers: Buffer[], { flags = 0x8180, count = answers.length } = {}): Buffer {
  return Buffer.concat([id, u16(flags), u16(1), u16(count), u16(0), u16(0), bytes, ...answers]);
}

/** A resource record of the name at `owner`, by default the question's. */
function resource(type: number, data: Uint8Array, { owner = u16(0xc00c), length = data.length } = {}): Buffer {
  return Buffer.concat([owner, u16(type), u16(1), Buffer.alloc(4), u16(length), data]);
}

const label = (text: string) => Buffer.concat([Buffer.of(text.length), Buffer.from(text)]);
const domain = (text: string) => Buffer.concat([...text.split('.').map(label), Buffer.of(0)]);
const loopback = Buffer.of(127, 0, 0, 1);

const genuine: DnsAnswer = (question) => message(question, question.type === typeA ? [resource(typeA, loopback)] : []);

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
      await unresolved((host) => {
        const asked = first ? lookup : good;
        first = false;
        return asked(host);
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
