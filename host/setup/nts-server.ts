// A time server in this process, for a lab whose time is not the machine's: NTS-KE over TLS 1.3 and NTP over UDP on
// 127.0.0.1, with AEAD 15, which every client and server has (RFC 8915 5.1). It can be unplugged and plugged in again.
// What always holds: it answers only what the keys of one of its cookies authenticate, with the time of its clock; unplugged,
// its ports are closed, and it keeps ports, keys and cookies.
import { randomBytes } from 'node:crypto';
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import { numbers, parseRecords, RecordType, record, u16 } from './ke-records.ts';
import type { IssuedCertificate } from './lab-ca.ts';
import { freePorts } from './lab-server.ts';
import { Aead, algorithm } from './nts-aeads.ts';
import {
  type Association,
  goodAnswer,
  nak,
  ntpTimestamp,
  readRequest,
  verifyRequest,
  writeAnswer,
} from './nts-packets.ts';

export interface NtsServerOptions {
  readonly certificate: IssuedCertificate;
  /** Its clock: UTC, ns since 1970. */
  readonly utcNs: () => bigint;
}

const host = '127.0.0.1';
const aead = Aead.sivCmac256;
const cookies = { atOnce: 8, bytes: 100 } as const;
/** RFC 8915 5.1: protocol 0, the AEAD, the direction. */
const exporter = { label: 'EXPORTER-network-time-security', context: [0, 0, 0, aead] } as const;
/** Longer requests than any client makes are not read. */
const requestMostBytes = 4_096;

export class NtsServer {
  readonly #options: NtsServerOptions;
  readonly #cookies = new Map<string, Association>();
  readonly #open = new Set<Socket>();
  #tls: Server | undefined;
  #udp: UdpSocket | undefined;
  #answers = 0;

  private constructor(
    options: NtsServerOptions,
    readonly kePort: number,
    readonly ntpPort: number,
  ) {
    this.#options = options;
  }

  /** Starts one on ports of its own. */
  static async start(options: NtsServerOptions): Promise<NtsServer> {
    const [kePort, ntpPort] = await freePorts(2);
    const server = new NtsServer(options, kePort!, ntpPort!);
    await server.plugIn();
    return server;
  }

  /** Authenticated answers given so far. */
  get answers(): number {
    return this.#answers;
  }

  /** Opens the ports. */
  async plugIn(): Promise<void> {
    if (this.#tls !== undefined) return;
    const { chainPem, privateKeyPem } = this.#options.certificate;
    const tls = createServer({
      cert: chainPem,
      key: privateKeyPem,
      ALPNProtocols: ['ntske/1'],
      minVersion: 'TLSv1.3',
    });
    tls.on('connection', (socket: Socket) => {
      this.#open.add(socket);
      socket.on('close', () => this.#open.delete(socket));
    });
    tls.on('secureConnection', (socket) => this.#serveKe(socket));
    tls.on('tlsClientError', () => {}); // clients break off what they do not like
    const udp = createSocket('udp4');
    udp.on('message', (packet, from) => {
      const answer = this.#answer(packet);
      if (answer !== undefined) udp.send(answer, from.port, from.address, () => {});
    });
    this.#tls = tls;
    this.#udp = udp;
    tls.listen(this.kePort, host);
    udp.bind(this.ntpPort, host);
    await Promise.all([once(tls, 'listening'), once(udp, 'listening')]);
    udp.on('error', () => {}); // answers to clients that are gone
  }

  /** Closes the ports and whatever is connected, as if its cable were pulled. */
  async unplug(): Promise<void> {
    const [tls, udp] = [this.#tls, this.#udp];
    this.#tls = undefined;
    this.#udp = undefined;
    if (tls === undefined || udp === undefined) return;
    const closed = [once(tls, 'close'), once(udp, 'close')];
    tls.close();
    udp.close();
    for (const socket of this.#open) socket.destroy();
    await Promise.all(closed);
  }

  stop(): Promise<void> {
    return this.unplug();
  }

  #serveKe(socket: TLSSocket): void {
    let received = Buffer.alloc(0);
    let answered = false;
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => {
      if (answered) return;
      received = Buffer.concat([received, chunk]);
      const records = parseRecords(received);
      if (records === undefined) {
        if (received.length > requestMostBytes) socket.destroy();
        return;
      }
      answered = true;
      const offers = (type: number, value: number) =>
        records.some((one) => one.type === type && numbers(one.body).includes(value));
      const known = offers(RecordType.nextProtocol, 0) && offers(RecordType.aead, aead);
      socket.end(Buffer.concat(known ? this.#establish(socket) : nothing));
    });
  }

  #establish(socket: TLSSocket): Buffer[] {
    const { keyBytes } = algorithm(aead);
    const key = (direction: number) =>
      socket.exportKeyingMaterial(keyBytes, exporter.label, Buffer.from([...exporter.context, direction]));
    const association: Association = { aead, clientToServer: key(0), serverToClient: key(1) };
    return [
      record(RecordType.nextProtocol, u16(0)),
      record(RecordType.aead, u16(aead)),
      record(RecordType.port, u16(this.ntpPort)),
      ...this.#newCookies(association, cookies.atOnce).map((cookie) => record(RecordType.cookie, cookie, false)),
      record(RecordType.end),
    ];
  }

  #newCookies(association: Association, count: number): Buffer[] {
    return Array.from({ length: count }, () => {
      const cookie = randomBytes(cookies.bytes);
      this.#cookies.set(cookie.toString('hex'), association);
      return cookie;
    });
  }

  #answer(packet: Buffer): Buffer | undefined {
    const { utcNs } = this.#options;
    const receivedUtcNs = utcNs();
    let request: ReturnType<typeof readRequest>;
    try {
      request = readRequest(packet);
    } catch {
      return undefined; // no request with NTS: nothing to say (RFC 8915 5.7)
    }
    const association = this.#cookies.get(request.cookie.toString('hex'));
    if (association === undefined || !verifyRequest(request, association)) return nak(request);
    const answer = goodAnswer(
      request,
      association,
      this.#newCookies(association, 1 + request.placeholders),
      receivedUtcNs,
    );
    answer.transmit = ntpTimestamp(utcNs());
    this.#answers++;
    return writeAnswer(answer);
  }
}

/** No protocol and no AEAD in common (RFC 8915 4.1.5). */
const nothing = [record(RecordType.nextProtocol, u16(0)), record(RecordType.aead), record(RecordType.end)];
