// A hostile time server: NTS-KE over TLS 1.3 and NTP over UDP on loopback, IPv4 and IPv6, all four AEADs of NTS. It is
// right in everything, but where a test says so: a misbehaviour names the hook at which it departs from RFC 8915.
//
// What always holds:
// - A misbehaviour in `script` is used once, for the next key establishment or request; then the server is right again,
//   unless it `always` misbehaves.
// - It watches its clients: what they do against RFC 8915 stands in `faults`. Each cookie may come once, each unique
//   identifier, nonce and transmit timestamp likewise, and an answer is never longer than its request.
import { randomBytes } from 'node:crypto';
import { createSocket, type RemoteInfo, type Socket as UdpSocket } from 'node:dgram';
import { type AddressInfo, createServer as createTcpServer, type Socket, type Server as TcpServer } from 'node:net';
import { createServer as createTlsServer, type TLSSocket, type TlsOptions, type Server as TlsServer } from 'node:tls';
import { type KeRecord, numbers, parseRecords, RecordType, record, u16 } from '../../host/setup/ke-records.ts';
import type { IssuedCertificate } from '../../host/setup/lab-ca.ts';
import { Aead, algorithm } from '../../host/setup/nts-aeads.ts';
import {
  type Answer,
  type Association,
  goodAnswer,
  nak,
  ntpTimestamp,
  type Request,
  readRequest,
  verifyRequest,
  writeAnswer,
} from '../../host/setup/nts-packets.ts';

/** The records of a right answer, by name and in the order in which they are sent. */
export interface KeAnswer {
  readonly protocol: Buffer;
  readonly aead: Buffer;
  /** Empty unless AEAD 30 was chosen and the client asked for the exporter's compliant context. */
  readonly compliant: Buffer;
  readonly port: Buffer;
  readonly cookies: Buffer[];
  readonly end: Buffer;
}

export interface KeRequest {
  readonly records: readonly KeRecord[];
  readonly aeads: readonly number[];
  readonly asksCompliant: boolean;
}

/** Where a key establishment goes wrong, stage by stage. */
export interface KeMisbehaviour {
  /** Takes the connection before TLS. */
  readonly tcp?: (socket: Socket) => void;
  /** Other certificate, versions, protocols. */
  readonly tls?: TlsOptions;
  /** The AEAD to choose from those offered. */
  readonly aead?: number;
  /** The port to name for NTP. */
  readonly port?: number;
  /** Length of each cookie. */
  readonly cookieBytes?: (index: number) => number;
  /** The exporter's context for AEAD 30, and whether record 1024 is answered. */
  readonly exporter?: { readonly context: number; readonly echo: boolean };
  /** What is sent. */
  readonly records?: (good: KeAnswer, request: KeRequest) => Buffer[];
  /** How it is sent; by default at once, and closed. */
  readonly write?: (socket: TLSSocket, answer: Buffer) => void;
}

/** What a misbehaviour of NTP can know and do. */
export interface NtpContext {
  readonly request: Request;
  readonly from: RemoteInfo;
  /** The server's time when the request came, UTC ns. */
  readonly receivedUtcNs: bigint;
  /** Genuine answers sent so far, to whomever. */
  readonly sent: readonly Buffer[];
  /** Sends from the server's own port, from another one, from another address. */
  readonly reply: (packet: Uint8Array) => void;
  readonly replyFromOtherPort: (packet: Uint8Array) => void;
  readonly replyFromOtherAddress: (packet: Uint8Array) => void;
}

/** Where an answer goes wrong, stage by stage. */
export interface NtpMisbehaviour {
  /** Changes the parts before they are sealed. */
  readonly answer?: (answer: Answer, context: NtpContext) => void;
  /** Sends what is to be sent, of the sealed packet. */
  readonly send?: (packet: Buffer, context: NtpContext) => void;
}

export interface HostileServerOptions {
  readonly certificate: IssuedCertificate;
  /** Its clock. */
  readonly utcNs: () => bigint;
  /** AEADs that it knows, the dearest first. */
  readonly aeads?: readonly number[];
}

const cookiesAtOnce = 8;
const exporterLabel = 'EXPORTER-network-time-security';

export class HostileServer {
  /** Misbehaviour of the next key establishments and answers, one each. */
  readonly script: { readonly ke: KeMisbehaviour[]; readonly ntp: NtpMisbehaviour[] } = { ke: [], ntp: [] };
  /** Misbehaviour of all answers for which the script has none. */
  always: NtpMisbehaviour | undefined;
  /** What clients did that RFC 8915 forbids. */
  readonly faults: string[] = [];
  readonly associations: Association[] = [];
  /** Genuine answers. */
  readonly sent: Buffer[] = [];
  connections = 0;
  requests = 0;
  /** Cookies that no client may ever use. */
  readonly poisoned = new Set<string>();

  readonly #options: HostileServerOptions;
  readonly #tcp: TcpServer[] = [];
  readonly #udp = new Map<4 | 6, UdpSocket>();
  readonly #open = new Set<Socket>();
  readonly #cookies = new Map<string, Association>();
  readonly #seen = new Set<string>();
  #kePort = 0;
  #ntpPort = 0;

  private constructor(options: HostileServerOptions) {
    this.#options = options;
  }

  static async start(options: HostileServerOptions): Promise<HostileServer> {
    const server = new HostileServer(options);
    server.#kePort = await server.#listenTcp('127.0.0.1', 0);
    await server.#listenTcp('::1', server.#kePort);
    server.#ntpPort = await server.#listenUdp(4, 0);
    await server.#listenUdp(6, server.#ntpPort);
    return server;
  }

  get kePort(): number {
    return this.#kePort;
  }

  get ntpPort(): number {
    return this.#ntpPort;
  }

  async stop(): Promise<void> {
    for (const socket of this.#open) socket.destroy();
    await Promise.all(this.#tcp.map((server) => new Promise<void>((resolve) => server.close(() => resolve()))));
    await Promise.all([...this.#udp.values()].map((one) => new Promise<void>((resolve) => one.close(resolve))));
  }

  #fault(what: string): void {
    this.faults.push(what);
  }

  /** A value that a client must never use twice. */
  #once(what: string, value: Uint8Array): void {
    const key = `${what} ${Buffer.from(value).toString('hex')}`;
    if (this.#seen.has(key)) this.#fault(`${what} came twice`);
    this.#seen.add(key);
  }

  // ---------------------------------------------------------------- key establishment

  async #listenTcp(host: string, port: number): Promise<number> {
    const server = createTcpServer((socket) => this.#accept(socket));
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, host, resolve);
    });
    this.#tcp.push(server);
    return (server.address() as AddressInfo).port;
  }

  #accept(socket: Socket): void {
    this.connections++;
    this.#open.add(socket);
    socket.on('close', () => this.#open.delete(socket));
    // Clients break off what they do not like.
    socket.on('error', () => {});
    const misbehaviour = this.script.ke.shift() ?? {};
    if (misbehaviour.tcp) misbehaviour.tcp(socket);
    else this.#tlsServer(misbehaviour).emit('connection', socket);
  }

  /** One for each connection that misbehaves, one for all others. */
  #tlsServer(misbehaviour: KeMisbehaviour): TlsServer {
    const { chainPem, privateKeyPem } = this.#options.certificate;
    const server = createTlsServer({
      cert: chainPem,
      key: privateKeyPem,
      ALPNProtocols: ['ntske/1'],
      minVersion: 'TLSv1.3',
      ...misbehaviour.tls,
    });
    server.on('tlsClientError', () => {});
    server.on('secureConnection', (socket) => this.#serveKe(socket, misbehaviour));
    return server;
  }

  #serveKe(socket: TLSSocket, misbehaviour: KeMisbehaviour): void {
    let received = Buffer.alloc(0);
    let answered = false;
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      const records = parseRecords(received);
      if (records === undefined) return;
      // RFC 8915 4: one request.
      const bytes = records.reduce((sum, { body }) => sum + 4 + body.length, 0);
      if (bytes < received.length) this.#fault(`${received.length - bytes} bytes behind the request`);
      if (answered) return;
      answered = true;
      const request = this.#readKe(records);
      const good = this.#establish(socket, request, misbehaviour);
      const all = misbehaviour.records?.(good, request) ?? keRecords(good);
      const write = misbehaviour.write ?? ((to, answer) => void to.end(answer));
      write(socket, Buffer.concat(all));
    });
  }

  #readKe(records: readonly KeRecord[]): KeRequest {
    const bodies = (type: number) => records.filter((one) => one.type === type).map(({ body }) => body);
    const [protocols, aeads] = [bodies(RecordType.nextProtocol), bodies(RecordType.aead)];
    if (protocols.length !== 1 || !numbers(protocols[0]!).includes(0)) this.#fault('NTPv4 was not asked for, once');
    if (aeads.length !== 1 || aeads[0]!.length === 0) this.#fault('AEADs were not offered, once');
    for (const { type, critical, body } of records) {
      const must = type === RecordType.end || type === RecordType.nextProtocol;
      if (must && !critical) this.#fault(`record ${type} was not critical`);
      if (type === RecordType.end && body.length > 0) this.#fault('the end had a body');
      const forbidden: number[] = [RecordType.error, RecordType.warning, RecordType.cookie];
      if (forbidden.includes(type)) this.#fault(`a client sent record ${type}`);
      if (type === RecordType.compliantExporter && critical) this.#fault('record 1024 was critical');
    }
    const asksCompliant = bodies(RecordType.compliantExporter).length > 0;
    return { records, aeads: numbers(aeads[0] ?? Buffer.alloc(0)), asksCompliant };
  }

  #establish(socket: TLSSocket, request: KeRequest, misbehaviour: KeMisbehaviour): KeAnswer {
    const known = this.#options.aeads ?? [Aead.gcmSiv128, Aead.sivCmac256, Aead.sivCmac384, Aead.sivCmac512];
    const aead = misbehaviour.aead ?? known.find((one) => request.aeads.includes(one));
    if (aead === undefined) {
      const none = record(RecordType.aead);
      const empty = Buffer.alloc(0);
      const nothing = { compliant: empty, port: empty, cookies: [] };
      return { protocol: record(RecordType.nextProtocol, u16(0)), aead: none, ...nothing, end: record(RecordType.end) };
    }
    const compliant = aead === Aead.gcmSiv128 && request.asksCompliant;
    // Servers from before record 1024 export for AEAD 30 as if it were 15.
    const context = misbehaviour.exporter?.context ?? (aead === Aead.gcmSiv128 && !compliant ? Aead.sivCmac256 : aead);
    const echo = misbehaviour.exporter?.echo ?? compliant;
    const { keyBytes } = algorithm(aead);
    const key = (direction: number) =>
      socket.exportKeyingMaterial(keyBytes, exporterLabel, Buffer.from([0, 0, context >> 8, context & 255, direction]));
    const association = { aead, clientToServer: key(0), serverToClient: key(1) };
    this.associations.push(association);
    const bytes = misbehaviour.cookieBytes ?? (() => 100);
    const cookies = Array.from({ length: cookiesAtOnce }, (_, at) => this.#cookie(association, bytes(at)));
    return {
      protocol: record(RecordType.nextProtocol, u16(0)),
      aead: record(RecordType.aead, u16(aead)),
      compliant: echo ? record(RecordType.compliantExporter, Buffer.alloc(0), false) : Buffer.alloc(0),
      port: record(RecordType.port, u16(misbehaviour.port ?? this.ntpPort)),
      cookies: cookies.map((cookie) => record(RecordType.cookie, cookie, false)),
      end: record(RecordType.end),
    };
  }

  #cookie(association: Association, bytes: number): Buffer {
    let cookie: Buffer;
    // Short ones may be drawn twice.
    do cookie = randomBytes(bytes);
    while (this.#cookies.has(cookieKey(cookie)));
    // A client cannot know where a cookie ends that was padded in a packet.
    this.#cookies.set(cookieKey(cookie), association);
    return cookie;
  }

  // ---------------------------------------------------------------- NTP

  async #listenUdp(family: 4 | 6, port: number): Promise<number> {
    const socket = createSocket(family === 4 ? { type: 'udp4' } : { type: 'udp6', ipv6Only: true });
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.bind(port, family === 4 ? '127.0.0.1' : '::1', resolve);
    });
    // Answers to clients that are gone.
    socket.on('error', () => {});
    socket.on('message', (packet, from) => this.#take(packet, from, socket));
    this.#udp.set(family, socket);
    return socket.address().port;
  }

  #take(packet: Buffer, from: RemoteInfo, socket: UdpSocket): void {
    const nowUtcNs = this.#options.utcNs();
    this.requests++;
    const reply = (bytes: Uint8Array) => socket.send(bytes, from.port, from.address);
    let request: ReturnType<typeof readRequest>;
    try {
      request = readRequest(packet);
    } catch (error) {
      this.#fault(`a request: ${(error as Error).message}`);
      return;
    }
    this.#watch(request);
    const association = this.#cookies.get(cookieKey(request.cookie));
    if (association === undefined || !verifyRequest(request, association)) {
      // RFC 8915 5.7: a server that cannot use a cookie or the authenticator.
      reply(nak(request));
      return;
    }
    const cookies = Array.from({ length: 1 + request.placeholders }, () =>
      this.#cookie(association, request.cookie.length),
    );
    const misbehaviour = this.script.ntp.shift() ?? this.always;
    const answer = goodAnswer(request, association, cookies, nowUtcNs);
    const context: NtpContext = {
      request,
      from,
      receivedUtcNs: nowUtcNs,
      sent: this.sent,
      reply,
      replyFromOtherPort: (bytes) => sendFrom({ address: socket.address().address }, bytes, from),
      replyFromOtherAddress: (bytes) => sendFrom({ address: '127.0.0.2', port: this.ntpPort }, bytes, from),
    };
    misbehaviour?.answer?.(answer, context);
    if (misbehaviour?.answer === undefined) answer.transmit = ntpTimestamp(this.#options.utcNs());
    const sealed = writeAnswer(answer);
    if (misbehaviour === undefined) {
      if (sealed.length > packet.length) this.#fault(`${sealed.length} bytes answer a request of ${packet.length}`);
      this.sent.push(sealed);
    }
    if (misbehaviour?.send) misbehaviour.send(sealed, context);
    else reply(sealed);
  }

  /** What a client must never do twice, or at all. */
  #watch({ packet, cookie, identifier, nonce, origin }: Request): void {
    this.#once('a cookie', cookie);
    this.#once('a unique identifier', identifier);
    this.#once('a nonce', nonce);
    this.#once('a transmit timestamp', origin);
    if (this.poisoned.has(cookieKey(cookie))) this.#fault('a cookie came that was not authenticated or not encrypted');
    if (packet[0] !== 0x23) this.#fault(`a request began with ${packet[0]}`);
    // RFC 8915 9.1: nothing of the client's state.
    if (packet.subarray(1, 40).some((byte) => byte !== 0)) this.#fault('a request told more than it must');
  }

  /** Gives a cookie that no client may ever use. */
  poison(bytes = 100): Buffer {
    const cookie = randomBytes(bytes);
    this.poisoned.add(cookieKey(cookie));
    return cookie;
  }
}

/** All records of an answer, in order. */
export function keRecords({ protocol, aead, compliant, port, cookies, end }: KeAnswer): Buffer[] {
  return [protocol, aead, compliant, port, ...cookies, end];
}

/** Cookies in packets are padded with zeros to at least 12 bytes and a multiple of four (RFC 7822 3). */
function cookieKey(cookie: Uint8Array): string {
  const padded = Buffer.alloc(Math.max(12, (cookie.length + 3) & ~3));
  padded.set(cookie);
  return padded.toString('hex');
}

function sendFrom(source: { address: string; port?: number }, bytes: Uint8Array, to: RemoteInfo): void {
  const socket = createSocket({ type: to.family === 'IPv6' ? 'udp6' : 'udp4', reuseAddr: true });
  socket.on('error', () => socket.close());
  socket.bind({ address: source.address, port: source.port ?? 0, exclusive: true }, () => {
    socket.send(bytes, to.port, to.address, () => socket.close());
  });
}
