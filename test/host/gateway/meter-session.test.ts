// One meter at its gateway, message by message, against real servers: sockets, shares, reports, and its clock.
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TLSSocket } from 'node:tls';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { Abi, ClockStatus, Failure, Message, MeterEvent } from '../../../as/abi/codes.ts';
import { meterLimits } from '../../../host/gateway/limits.ts';
import { MeterSession, type MeterSessionOptions } from '../../../host/gateway/meter-session.ts';
import type { ServerReport } from '../../../host/gateway/server-reports.ts';
import {
  type Info,
  type MeterEventMessage,
  sourcesMax,
  type TlsOpen,
  type UdpSend,
} from '../../../host/link/messages.ts';
import { type Address, Resolver } from '../../../host/net/dns.ts';
import { TrustAnchors } from '../../../host/net/trust-anchors.ts';
import { serverReport, time } from '../mqtt-samples.ts';
import { type Issued, makeLeaf, makeRoot } from '../net/certificates.ts';
import { ScriptedLink } from './scripted-link.ts';

let root: Issued;
let leaf: Issued;
let link: ScriptedLink;
let session: MeterSession;
const open: { close(): unknown }[] = [];

beforeAll(() => {
  root = makeRoot();
  leaf = makeLeaf(root);
});

const local: Address = { address: '127.0.0.1', family: 4 };

function start(options: Partial<MeterSessionOptions> = {}): void {
  link = new ScriptedLink();
  session = new MeterSession({
    link,
    anchors: new TrustAnchors([root.der]),
    resolver: new Resolver(async () => [local]),
    ...options,
  });
  session.start();
  link.open();
}

beforeEach(() => start());
afterEach(async () => {
  await session.stop();
  for (const one of open.splice(0)) one.close();
});

async function listen(server: Server): Promise<number> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
  });
  open.push({
    close: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as { port: number }).port;
}

async function serveTls(onSecure: (socket: TLSSocket) => void = () => {}): Promise<number> {
  const options = { key: leaf.keyPem, cert: leaf.pem, minVersion: 'TLSv1.3' as const, ALPNProtocols: ['ntske/1'] };
  const server = createTlsServer(options, (socket) => {
    socket.on('error', () => {});
    onSecure(socket);
  });
  server.on('tlsClientError', () => {});
  return listen(server);
}

async function serveUdp(answer: (message: Buffer, reply: (payload: Uint8Array) => void) => void): Promise<number> {
  const socket = createSocket('udp4');
  socket.on('message', (message, from) => answer(message, (payload) => socket.send(payload, from.port, from.address)));
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  open.push(socket);
  return socket.address().port;
}

const tlsOpen = (port: number, more: Partial<TlsOpen> = {}): TlsOpen => ({
  type: Message.TlsOpen,
  id: 1,
  validAt: undefined,
  port,
  alpn: 'ntske/1',
  host: 'time.example',
  ...more,
});
const udpSend = (exchange: number, more: Partial<UdpSend> = {}): UdpSend => ({
  type: Message.UdpSend,
  socket: 1,
  exchange,
  payload: Buffer.from('request'),
  ...more,
});
const info: Info = {
  type: Message.Info,
  abiVersion: Abi.Version,
  resetCause: 0,
  capabilities: 0,
  maxFrequencyErrorPpb: 1,
  buildUnixSeconds: 1n,
  coreSha256: new Uint8Array(32),
  imageSha256: new Uint8Array(32),
  serversMax: 4,
  meterId: 'm1',
  board: 'test',
  firmwareVersion: '1',
};

describe('time servers', () => {
  const seen: ServerReport[] = [];
  const source = (index: number) => ({ ...serverReport(index).source, keHost: `s${index}.example` });
  const counts = (index: number, sent: number) => ({ ...serverReport(index).counts, sent });
  beforeEach(() => {
    seen.length = 0;
    session.on('server', (report) => seen.push(report));
  });

  test('are told with the counters, which come behind the state', () => {
    link.say(counts(0, 5));
    link.say(source(1));
    expect(seen).toEqual([]);
    link.say(counts(1, 7));
    expect(seen).toEqual([{ source: source(1), counts: counts(1, 7) }]);
    link.say({ ...source(1), reach: 0 });
    expect(seen).toHaveLength(1);
    link.say(counts(1, 8));
    expect(seen.at(-1)).toEqual({ source: { ...source(1), reach: 0 }, counts: counts(1, 8) });
    link.say(source(0));
    expect(session.servers.map(({ source: { keHost } }) => keHost)).toEqual(['s0.example', 's1.example']);
  });

  test('are forgotten when the meter has fewer, and with the session', () => {
    for (const index of [0, 1, 2]) {
      link.say(source(index));
      link.say(counts(index, 1));
    }
    link.say({ ...time, servers: 2 });
    expect(session.servers).toHaveLength(2);
    // Half of what it said in this session does not go with the other half of the last.
    link.open();
    expect(session.servers).toEqual([]);
    seen.length = 0;
    link.say(counts(0, 1));
    expect(seen).toEqual([]);
  });
});

describe('TLS', () => {
  test('open, export, write, data in pieces, closed after the last of them', async () => {
    const label = 'EXPORTER-network-time-security';
    const context = Uint8Array.of(0, 0, 0, 15, 0);
    let serverKey: Buffer | undefined;
    const answer = Buffer.alloc(2_000, 'a');
    const port = await serveTls((socket) => {
      socket.once('data', () => {
        serverKey = socket.exportKeyingMaterial(32, label, Buffer.from(context));
        socket.end(answer);
      });
    });
    link.say(tlsOpen(port));
    const opened = await link.expect(Message.TlsOpened);
    expect(opened).toMatchObject({ id: 1, alpn: 'ntske/1' });
    expect(opened.notAfter).toBeGreaterThan(opened.notBefore);
    link.say({ type: Message.TlsExport, id: 1, tag: 7, length: 32, label, context });
    link.say({ type: Message.TlsWrite, id: 1, data: Buffer.from('request') });
    const closed = await link.expect(Message.TlsClosed);
    expect(closed).toMatchObject({ id: 1, reason: Failure.None });
    const exported = await link.expect(Message.TlsExported, { tag: 7 });
    expect(Buffer.from(exported.key)).toEqual(serverKey);
    const data = link.sent.filter((one) => one.type === Message.TlsData);
    expect(Buffer.concat(data.map((one) => one.data))).toEqual(answer);
    expect(link.sent.at(-1)).toBe(closed);
    // A meter at a slow line asks for its keys when the server has long said goodbye.
    link.say({ type: Message.TlsExport, id: 1, tag: 8, length: 32, label, context });
    expect(Buffer.from((await link.expect(Message.TlsExported, { tag: 8 })).key)).toEqual(serverKey);
    link.say({ type: Message.TlsClose, id: 1 });
    expect(session.sockets.tls).toBe(0);
  });

  test.each<[string, Partial<TlsOpen>, Failure]>([
    ['no host', { host: '' }, Failure.Request],
    ['no port', { port: 0 }, Failure.Request],
    ['no protocol', { alpn: '' }, Failure.Request],
    ['an impossible host', { host: '../etc' }, Failure.Request],
    ['another protocol', { alpn: 'h2' }, Failure.Alpn],
    ['another name', { host: 'other.example' }, Failure.WrongName],
    ['a time before the certificate', { validAt: 1_000_000_000n }, Failure.Expired],
  ])('%s', async (_, more, reason) => {
    link.say(tlsOpen(await serveTls(), more));
    const closed = await link.expect(Message.TlsClosed);
    expect(Failure[closed.reason]).toBe(Failure[reason]);
    expect(closed.detail).not.toBe('');
    expect(link.sent).toHaveLength(1);
  });

  test('a long reason is cut to what a message holds', async () => {
    const host = `${'a'.repeat(60)}.${'b'.repeat(60)}.${'c'.repeat(60)}.example`;
    link.say(tlsOpen(await serveTls(), { host: host }));
    const closed = await link.expect(Message.TlsClosed);
    expect(closed.detail.length).toBeLessThanOrEqual(160);
  });

  test('an id opened again: the older connection ends, and nothing comes of it', async () => {
    const servers: TLSSocket[] = [];
    const port = await serveTls((socket) => {
      servers.push(socket);
      socket.resume();
    });
    link.say(tlsOpen(port));
    await expect.poll(() => servers.length).toBe(1);
    await link.expect(Message.TlsOpened);
    link.say(tlsOpen(port));
    await expect.poll(() => servers.length).toBe(2);
    await expect.poll(() => servers[0]!.destroyed).toBe(true);
    servers[1]!.end('new');
    await link.expect(Message.TlsClosed);
    expect(link.sent.map((one) => Message[one.type])).toEqual(['TlsOpened', 'TlsOpened', 'TlsData', 'TlsClosed']);
  });

  test('a third connection is refused where two are the share, and the two go on', async () => {
    start({ limits: { tlsConnections: 2 } });
    const port = await serveTls((socket) => socket.on('data', (chunk) => socket.write(chunk)));
    link.say(tlsOpen(port, { id: 1 }));
    link.say(tlsOpen(port, { id: 2 }));
    link.say(tlsOpen(port, { id: 3 }));
    expect(await link.expect(Message.TlsClosed)).toMatchObject({ id: 3, reason: Failure.Limit });
    for (const id of [1, 2]) {
      await link.expect(Message.TlsOpened, { id });
      link.say({ type: Message.TlsWrite, id, data: Buffer.from('x') });
      await link.expect(Message.TlsData, { id });
    }
    link.say({ type: Message.TlsClose, id: 1 });
    link.clear();
    link.say(tlsOpen(port, { id: 3 }));
    await link.expect(Message.TlsOpened, { id: 3 });
  });

  test('connections that the servers have ended give way to new ones, and are told as closed once', async () => {
    start({ limits: { tlsConnections: 2 } });
    const port = await serveTls((socket) => socket.end('x'));
    for (let id = 1; id <= 4; id++) {
      link.say(tlsOpen(port, { id }));
      await link.expect(Message.TlsClosed, { id, reason: Failure.None });
    }
    link.say({ type: Message.TlsExport, id: 4, tag: 1, length: 0, label: '', context: new Uint8Array(0) });
    expect(link.sent.filter((one) => one.type === Message.TlsClosed)).toHaveLength(4);
  });

  test('opening again and again is refused after a while', async () => {
    const port = await serveTls();
    for (let times = 0; times < 40; times++) {
      link.say(tlsOpen(port));
      link.say({ type: Message.TlsClose, id: 1 });
    }
    const refused = link.sent.filter((one) => one.type === Message.TlsClosed && one.reason === Failure.Limit);
    expect(refused.length).toBe(40 - meterLimits.tlsOpens.burst);
  });

  test('a server that sends more than 64 KiB is cut off', async () => {
    const port = await serveTls((socket) => socket.write(Buffer.alloc(100_000)));
    link.say(tlsOpen(port));
    expect(await link.expect(Message.TlsClosed)).toMatchObject({ reason: Failure.Limit });
    const bytes = link.sent.reduce((sum, one) => sum + (one.type === Message.TlsData ? one.data.length : 0), 0);
    expect(bytes).toBeLessThanOrEqual(65_536);
  });

  test('a meter that writes more than 64 KiB is cut off', async () => {
    start({ limits: { messages: { burst: 1_000, perSecond: 1 } } });
    link.say(tlsOpen(await serveTls()));
    await link.expect(Message.TlsOpened);
    for (let times = 0; times < 300; times++) link.say({ type: Message.TlsWrite, id: 1, data: new Uint8Array(219) });
    expect(link.sent.filter((one) => one.type === Message.TlsClosed)).toMatchObject([{ reason: Failure.Limit }]);
  });

  test('while the link is busy nothing more is read from the server', async () => {
    const port = await serveTls((socket) => {
      socket.write(Buffer.alloc(20_000));
      socket.on('data', () => socket.write(Buffer.alloc(20_000)));
    });
    link.isBusy = true;
    link.say(tlsOpen(port));
    await link.expect(Message.TlsOpened);
    link.say({ type: Message.TlsExport, id: 1, tag: 1, length: 32, label: 'l', context: new Uint8Array(0) });
    await link.expect(Message.TlsExported);
    expect(link.sent.some((one) => one.type === Message.TlsData)).toBe(false);
    link.isBusy = false;
    link.emit('drain');
    await link.expect(Message.TlsData);
  });

  test('data or an export before TlsOpened make no sense; for unknown ids they have met TlsClosed', async () => {
    const port = await listen(createServer(() => {}));
    link.say(tlsOpen(port));
    link.say({ type: Message.TlsWrite, id: 1, data: Buffer.from('x') });
    expect(await link.expect(Message.TlsClosed)).toMatchObject({ id: 1, reason: Failure.Request });
    link.clear();
    link.say({ type: Message.TlsWrite, id: 1, data: Buffer.from('x') });
    link.say({ type: Message.TlsExport, id: 1, tag: 1, length: 32, label: 'l', context: new Uint8Array(0) });
    link.say({ type: Message.TlsClose, id: 1 });
    expect(link.sent).toEqual([]);
  });

  test.each([
    ['no label', { label: '', length: 32 }],
    ['no length', { label: 'l', length: 0 }],
    ['more than a message holds', { label: 'l', length: 250 }],
  ])('an export with %s ends the connection', async (_, more) => {
    link.say(tlsOpen(await serveTls()));
    await link.expect(Message.TlsOpened);
    link.say({ type: Message.TlsExport, id: 1, tag: 1, context: new Uint8Array(0), ...more });
    expect(await link.expect(Message.TlsClosed)).toMatchObject({ reason: Failure.Request });
  });

  test('close_notify reaches the server when the meter closes', async () => {
    let ended = false;
    const port = await serveTls((socket) => {
      socket.resume();
      socket.on('end', () => {
        ended = true;
      });
    });
    link.say(tlsOpen(port));
    await link.expect(Message.TlsOpened);
    link.say({ type: Message.TlsClose, id: 1 });
    await expect.poll(() => ended).toBe(true);
    expect(link.sent.map((one) => Message[one.type])).toEqual(['TlsOpened']);
  });

  test('a new session of the link closes everything, without a word', async () => {
    let state = 'none';
    const port = await serveTls((socket) => {
      state = 'open';
      socket.resume();
      socket.on('close', () => {
        state = 'closed';
      });
    });
    link.say(tlsOpen(port));
    await link.expect(Message.TlsOpened);
    await expect.poll(() => state).toBe('open');
    link.clear();
    link.open();
    await expect.poll(() => state).toBe('closed');
    expect(session.sockets).toEqual({ tls: 0, udp: 0, exchanges: 0 });
    expect(link.sent).toEqual([]);
  });
});

describe('UDP', () => {
  async function openUdp(port: number, more: { socket?: number; attempt?: number; host?: string } = {}) {
    const socket = more.socket ?? 1;
    link.say({ type: Message.UdpOpen, socket, attempt: 0, port, host: 'time.example', ...more });
    return link.expect(Message.UdpOpened, { socket });
  }

  test('an exchange: the answer, and residence times that were measured', async () => {
    const port = await serveUdp((message, reply) => reply(Buffer.from(`re: ${message}`)));
    expect(await openUdp(port)).toMatchObject({ family: 4, addresses: 1 });
    const beforeNs = process.hrtime.bigint();
    link.say(udpSend(5));
    const received = await link.expect(Message.UdpReceived);
    const wholeNs = Number(process.hrtime.bigint() - beforeNs);
    expect(received).toMatchObject({ socket: 1, exchange: 5 });
    expect(Buffer.from(received.payload).toString()).toBe('re: request');
    expect(received.forwardResidenceNs).toBeGreaterThan(0);
    expect(received.backResidenceNs).toBeGreaterThan(0);
    expect(received.forwardResidenceNs + received.backResidenceNs).toBeLessThan(wholeNs);
  });

  test('addresses by attempt; the one of the latest TLS connection first', async () => {
    const addresses: Address[] = [
      { address: '127.0.0.2', family: 4 },
      { address: '::1', family: 6 },
      { address: '127.0.0.1', family: 4 },
    ];
    start({ resolver: new Resolver(async () => addresses) });
    const open = async (attempt: number) => {
      link.clear();
      const opened = await openUdp(123, { attempt });
      return { addresses: opened.addresses, address: Buffer.from(opened.address).toString('hex').slice(0, 8) };
    };
    expect(await open(0)).toEqual({ addresses: 3, address: '7f000002' });
    expect(await open(1)).toEqual({ addresses: 3, address: '00000000' });
    expect(await open(5)).toEqual({ addresses: 3, address: '7f000001' });
    link.say(tlsOpen(await serveTls(), { host: 'Time.example.' }));
    await link.expect(Message.TlsOpened);
    expect(await open(0)).toEqual({ addresses: 3, address: '7f000001' });
    expect(await open(1)).toEqual({ addresses: 3, address: '7f000002' });
    expect(await open(3)).toEqual({ addresses: 3, address: '7f000001' });
  });

  test.each<[string, { host?: string; port?: number }, Failure]>([
    ['a name that does not exist', { host: 'nothing.invalid' }, Failure.Dns],
    ['no host', { host: '' }, Failure.Request],
    ['no port', { port: 0 }, Failure.Request],
    ['an impossible host', { host: 'a b' }, Failure.Request],
  ])('%s', async (_, more, reason) => {
    start({ resolver: new Resolver() });
    link.say({ type: Message.UdpOpen, socket: 3, attempt: 0, port: 123, host: 'time.example', ...more });
    expect(await link.expect(Message.UdpOpenFailed)).toMatchObject({ socket: 3, reason });
    expect(session.sockets.udp).toBe(0);
  });

  test('a fifth socket is refused where four are the share; a closed one makes room', async () => {
    start({ limits: { udpSockets: 4 } });
    for (let socket = 1; socket <= 4; socket++) await openUdp(123, { socket });
    link.say({ type: Message.UdpOpen, socket: 5, attempt: 0, port: 123, host: 'time.example' });
    expect(await link.expect(Message.UdpOpenFailed)).toMatchObject({ socket: 5, reason: Failure.Limit });
    link.say({ type: Message.UdpClose, socket: 2 });
    await openUdp(123, { socket: 5 });
  });

  test('a socket that is not open, or a payload above 1,232 bytes', async () => {
    link.say(udpSend(1));
    expect(await link.expect(Message.UdpFailed)).toMatchObject({ exchange: 1, reason: Failure.Request });
    const port = await serveUdp(() => {});
    await openUdp(port);
    link.say(udpSend(2, { payload: new Uint8Array(1_233) }));
    expect(await link.expect(Message.UdpFailed, { exchange: 2 })).toMatchObject({ reason: Failure.Request });
  });

  test('a fifth exchange waits for an answer of one before where four are the share', async () => {
    start({ limits: { udpExchangesInFlight: 4 } });
    let answer = false;
    const port = await serveUdp((message, reply) => {
      if (answer) reply(message);
    });
    await openUdp(port);
    for (let exchange = 1; exchange <= 5; exchange++) link.say(udpSend(exchange));
    expect(await link.expect(Message.UdpFailed)).toMatchObject({ exchange: 5, reason: Failure.Limit });
    expect(session.sockets.exchanges).toBe(4);
    answer = true;
    link.say(udpSend(4));
    await link.expect(Message.UdpReceived, { exchange: 4 });
    link.say(udpSend(6));
    await link.expect(Message.UdpReceived, { exchange: 6 });
    expect(session.sockets.exchanges).toBe(4);
  });

  test('datagrams above the share are refused', async () => {
    start({ limits: { udpExchanges: { burst: 32, perSecond: 4 } } });
    const port = await serveUdp((message, reply) => reply(message));
    await openUdp(port);
    for (let exchange = 0; exchange < 60; exchange++) {
      link.say(udpSend(exchange));
      await expect
        .poll(() => link.sent.some((one) => 'exchange' in one && one.exchange === exchange), { interval: 1 })
        .toBe(true);
    }
    const refused = link.sent.filter((one) => one.type === Message.UdpFailed && one.reason === Failure.Limit);
    expect(refused.length).toBeGreaterThan(10);
    expect(refused.length).toBeLessThanOrEqual(60 - 32);
  });

  test('silence and a dead port are told apart', async () => {
    start({ udpAnswersMs: 200 });
    await openUdp(await serveUdp(() => {}));
    link.say(udpSend(1));
    expect(await link.expect(Message.UdpFailed, { exchange: 1 })).toMatchObject({ reason: Failure.Timeout });
    const dead = createSocket('udp4').bind(0, '127.0.0.1');
    await once(dead, 'listening');
    const { port } = dead.address();
    dead.close();
    await openUdp(port, { socket: 2 });
    link.say(udpSend(2, { socket: 2 }));
    expect(await link.expect(Message.UdpFailed, { exchange: 2 })).toMatchObject({ reason: Failure.Connect });
  });
});

describe('shares', () => {
  test('let a meter with as many servers as settings can name ask all of them at once', () => {
    expect(meterLimits.tlsConnections).toBeGreaterThanOrEqual(sourcesMax);
    expect(meterLimits.udpSockets).toBeGreaterThanOrEqual(sourcesMax);
    expect(meterLimits.udpExchangesInFlight).toBeGreaterThanOrEqual(sourcesMax);
    // At the shortest poll interval, one second.
    expect(meterLimits.udpExchanges.perSecond).toBeGreaterThanOrEqual(sourcesMax);
  });

  test('a flood of messages: not listened to, told so, and begun afresh later', async () => {
    start({ limits: { messages: { burst: 50, perSecond: 10 }, muteMs: 300 } });
    link.say(tlsOpen(await serveTls()));
    await link.expect(Message.TlsOpened);
    let infos = 0;
    const muted: string[] = [];
    session.on('info', () => infos++);
    session.on('muted', (reason) => muted.push(reason));
    for (let times = 0; times < 500; times++) link.say(info);
    expect(infos).toBeLessThan(60);
    expect(muted).toHaveLength(1);
    expect(await link.expect(Message.TlsClosed)).toMatchObject({ reason: Failure.Limit });
    await expect.poll(() => link.restarts).toBe(1);
    link.open();
    infos = 0;
    link.say(info);
    expect(infos).toBe(1);
  });

  test('a meter with bad names holds one lookup at a time', async () => {
    let running = 0;
    let most = 0;
    const resolver = new Resolver(
      () =>
        new Promise((_, reject) => {
          most = Math.max(most, ++running);
          setTimeout(() => {
            running--;
            reject(new Error('no'));
          }, 20);
        }),
    );
    start({ resolver });
    for (let socket = 0; socket < 4; socket++) {
      link.say({ type: Message.UdpOpen, socket, attempt: 0, port: 123, host: `h${socket}.example` });
    }
    for (let socket = 0; socket < 4; socket++) await link.expect(Message.UdpOpenFailed, { socket });
    expect(most).toBe(1);
  });
});

describe('reports and the meter’s clock', () => {
  const event: MeterEventMessage = {
    type: Message.Event,
    sequence: 9,
    code: MeterEvent.Started,
    utcNs: 0n,
    uptimeNs: 1n,
    a: 0n,
    b: 0n,
    boot: 5,
    text: '',
  };

  test('an event is acknowledged to the session that sent it, and to no other', async () => {
    const acks: (() => void)[] = [];
    session.on('event', ({ event, ack }) => {
      expect(event.sequence).toBe(9);
      acks.push(ack);
    });
    link.say(event);
    link.open();
    acks[0]!();
    expect(link.sent).toEqual([]);
    link.say(event);
    acks[1]!();
    expect(link.sent).toEqual([{ type: Message.EventAck, sequence: 9 }]);
  });

  test('the meter’s time lies between two readings of the host’s', async () => {
    const answered = session.probeTime();
    const { token } = await link.expect(Message.TimeProbe);
    const wallNs = BigInt(Date.now()) * 1_000_000n;
    const reply = {
      type: Message.TimeReply,
      token,
      status: ClockStatus.Synchronised,
      boundNs: 7n,
      probeFlags: 0,
      replyFlags: 0,
    } as const;
    link.say({ ...reply, token: (token + 1) >>> 0, probeUtcNs: 0n, replyUtcNs: 0n });
    link.say({ ...reply, probeUtcNs: wallNs, replyUtcNs: wallNs + 1n });
    const time = await answered;
    expect(time).toMatchObject({ probeUtcNs: wallNs, replyUtcNs: wallNs + 1n, boundNs: 7n, status: 1 });
    expect(time.hostAfterNs).toBeGreaterThan(time.hostBeforeNs);
    // Date.now() counts whole milliseconds.
    expect(time.hostBeforeNs).toBeLessThan(wallNs + 2_000_000n);
    expect(time.hostAfterNs).toBeGreaterThan(wallNs - 1_000_000n);
  });

  test('a silent meter, a link that goes down, a meter that is not there', async () => {
    await expect(session.probeTime(100)).rejects.toMatchObject({ code: 'meter-silent' });
    const waiting = session.probeTime(5_000);
    link.drop();
    await expect(waiting).rejects.toMatchObject({ code: 'meter-offline' });
    await expect(session.probeTime(100)).rejects.toMatchObject({ code: 'meter-offline' });
  });
});
