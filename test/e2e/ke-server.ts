// An NTS-KE server that answers what a test tells it to, for everything that a real one never says.
import type { AddressInfo } from 'node:net';
import { createServer, type Server, type TLSSocket, type TlsOptions } from 'node:tls';
import type { IssuedCertificate } from '../../host/setup/lab-ca.ts';

/** Types of RFC 8915 4.1. */
export const Record = {
  end: 0,
  nextProtocol: 1,
  error: 2,
  warning: 3,
  aead: 4,
  cookie: 5,
  server: 6,
  port: 7,
} as const;

/** One record; critical unless said otherwise. */
export function record(type: number, body: Uint8Array | readonly number[] = [], critical = true): Buffer {
  const head = Buffer.alloc(4);
  head.writeUInt16BE((critical ? 0x8000 : 0) | type, 0);
  head.writeUInt16BE(body.length, 2);
  return Buffer.concat([head, Buffer.from(body)]);
}

export const ntpv4 = record(Record.nextProtocol, [0, 0]);
export const aead15 = record(Record.aead, [0, 15]);
export const cookie = record(Record.cookie, new Uint8Array(100).fill(7), false);
export const end = record(Record.end);

export class KeServer {
  private constructor(
    private readonly server: Server,
    private readonly sockets: Set<TLSSocket>,
  ) {}

  /** @param answer what is sent once a request has come; the server then closes, unless it is undefined */
  static start(
    certificate: IssuedCertificate,
    answer: Uint8Array | undefined,
    options: TlsOptions = {},
  ): Promise<KeServer> {
    const sockets = new Set<TLSSocket>();
    const server = createServer({
      cert: certificate.chainPem,
      key: certificate.privateKeyPem,
      ALPNProtocols: ['ntske/1'],
      ...options,
    });
    server.on('secureConnection', (socket) => {
      sockets.add(socket);
      socket.on('close', () => sockets.delete(socket));
      socket.on('error', () => {});
      socket.once('data', () => {
        if (answer !== undefined) socket.end(answer);
      });
    });
    server.on('tlsClientError', () => {});
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(0, '127.0.0.1', () => resolve(new KeServer(server, sockets)));
    });
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  stop(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    return new Promise((resolve) => this.server.close(() => resolve()));
  }
}
