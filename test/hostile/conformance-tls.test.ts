// The gateway's end of TLS as seen on the wire, held against RFC 8915 4, RFC 8446 and RFC 9325: the algorithms that its
// ClientHello offers, how it closes, and what it makes of bytes behind the server's end. Also that a name which is fully
// qualified is asked for as such (RFC 8915 4.1.7). docs/conformance.md names these tests.
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { createServer as createTlsServer, type TLSSocket, type TlsOptions } from 'node:tls';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Failure } from '../../as/abi/codes.ts';
import { Resolver } from '../../host/net/dns.ts';
import { connectTls, type TlsConnection, type TlsConnectOptions } from '../../host/net/tls.ts';
import { splitPem, TrustAnchors } from '../../host/net/trust-anchors.ts';
import { type IssuedCertificate, LabCa } from '../../host/setup/lab-ca.ts';

let ca: LabCa;
let certificate: IssuedCertificate;
beforeAll(async () => {
  ca = await LabCa.create('conformance root');
  certificate = await ca.issue({ names: ['time.test', '127.0.0.1'] });
});

const open: { close(): unknown }[] = [];
afterEach(() => {
  for (const one of open.splice(0).reverse()) one.close();
});

/** A record of TLS: its type, and its body as it went over the wire. */
interface TlsRecord {
  readonly type: number;
  readonly body: Buffer;
}

function tlsRecords(bytes: Buffer): TlsRecord[] {
  const found: TlsRecord[] = [];
  for (let at = 0; at + 5 <= bytes.length; at += 5 + bytes.readUInt16BE(at + 3)) {
    found.push({ type: bytes[at]!, body: bytes.subarray(at + 5, at + 5 + bytes.readUInt16BE(at + 3)) });
  }
  return found;
}

const applicationData = 23;
/** Level, description, inner type, tag (RFC 8446 5.2, 6). */
const alertBytes = 2 + 1 + 16;

interface ClientHello {
  readonly suites: number[];
  readonly extensions: Map<number, Buffer>;
}

const u16s = (bytes: Buffer) => Array.from({ length: bytes.length >> 1 }, (_, at) => bytes.readUInt16BE(2 * at));

/** RFC 8446 4.1.2. */
function clientHello({ body }: TlsRecord): ClientHello {
  let at = 4 + 2 + 32;
  const take = (bytes: 1 | 2) => {
    const length = body.readUIntBE(at, bytes);
    const value = body.subarray(at + bytes, at + bytes + length);
    at += bytes + length;
    return value;
  };
  take(1);
  const suites = u16s(take(2));
  take(1);
  const all = take(2);
  const extensions = new Map<number, Buffer>();
  for (let next = 0; next < all.length; next += 4 + all.readUInt16BE(next + 2)) {
    extensions.set(all.readUInt16BE(next), all.subarray(next + 4, next + 4 + all.readUInt16BE(next + 2)));
  }
  return { suites, extensions };
}

/** What client and server sent each other through it, and whether the client ended in order. */
class Tap {
  port = 0;
  sent = Buffer.alloc(0);
  came = Buffer.alloc(0);
  ended = false;
  broke = false;

  /** @param last bytes that come to the client behind the server's last */
  static async before(port: number, last = Buffer.alloc(0)): Promise<Tap> {
    const tap = new Tap();
    const pairs = new Set<Socket>();
    const server = createServer({ allowHalfOpen: true }, (client) => {
      const upstream = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
      for (const socket of [client, upstream]) {
        pairs.add(socket);
        socket.on('error', () => {
          tap.broke ||= socket === client;
          upstream.destroy();
          client.destroy();
        });
      }
      client.on('data', (bytes) => {
        tap.sent = Buffer.concat([tap.sent, bytes]);
        upstream.write(bytes);
      });
      client.on('end', () => {
        tap.ended = true;
        upstream.end();
      });
      upstream.on('data', (bytes) => {
        tap.came = Buffer.concat([tap.came, bytes]);
        client.write(bytes);
      });
      upstream.on('end', () => void client.end(last));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    open.push({
      close: () => {
        server.close();
        for (const socket of pairs) socket.destroy();
      },
    });
    tap.port = (server.address() as AddressInfo).port;
    return tap;
  }

  get records(): TlsRecord[] {
    return tlsRecords(this.sent);
  }

  get hello(): ClientHello {
    return clientHello(this.records[0]!);
  }
}

async function serve(options: TlsOptions = {}, onSecure: (socket: TLSSocket) => void = () => {}): Promise<number> {
  const { chainPem, privateKeyPem } = certificate;
  const server = createTlsServer({
    cert: chainPem,
    key: privateKeyPem,
    minVersion: 'TLSv1.3',
    ALPNProtocols: ['ntske/1'],
    ...options,
  });
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => void sockets.add(socket));
  server.on('secureConnection', (socket) => {
    socket.on('error', () => {});
    onSecure(socket);
  });
  server.on('tlsClientError', () => {});
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  open.push({
    close: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  });
  return (server.address() as AddressInfo).port;
}

async function opened(port: number, more: Partial<TlsConnectOptions> = {}): Promise<TlsConnection> {
  const connection = await connectTls({
    host: 'time.test',
    port,
    alpn: 'ntske/1',
    validAt: undefined,
    anchors: new TrustAnchors(splitPem(ca.certificatePem)),
    resolver: new Resolver(async () => [{ address: '127.0.0.1', family: 4 }]),
    ...more,
  });
  open.push({ close: () => connection.destroy() });
  return connection;
}

/** What comes, and how it ends. */
async function readAll(connection: TlsConnection): Promise<[string, keyof typeof Failure]> {
  let text = '';
  connection.on('data', (chunk) => {
    text += Buffer.from(chunk).toString();
  });
  const closed = once(connection, 'closed');
  connection.resume();
  const [failure] = (await closed) as [Failure];
  return [text, Failure[failure] as keyof typeof Failure];
}

const extension = { supportedGroups: 10, signatureAlgorithms: 13, keyShare: 51 } as const;

describe('the ClientHello', () => {
  it('offers the suites of TLS 1.3 that encrypt, and those groups and signatures that must be there (RFC 8446 9)', async () => {
    const tap = await Tap.before(await serve());
    await opened(tap.port);
    const { suites, extensions } = tap.hello;
    expect(suites.filter((suite) => suite !== 0x00ff).sort()).toEqual([0x1301, 0x1302, 0x1303]);
    const list = (type: number) => u16s(extensions.get(type)!.subarray(2));
    const [groups, signatures] = [list(extension.supportedGroups), list(extension.signatureAlgorithms)];
    // secp256r1, x25519; rsa_pkcs1_sha256, ecdsa_secp256r1_sha256, rsa_pss_rsae_sha256.
    expect(groups).toEqual(expect.arrayContaining([0x0017, 0x001d]));
    expect(signatures).toEqual(expect.arrayContaining([0x0401, 0x0403, 0x0804]));
    expect(extensions.has(extension.keyShare)).toBe(true);
    // Curves below secp256r1 end at 22 (RFC 8422 5.1.1); the hash is the high byte up to 6: MD5 is 1, SHA-1 is 2.
    expect(groups.filter((group) => group < 0x0017)).toEqual([]);
    expect(signatures.filter((one) => one >> 8 < 3)).toEqual([]);
  });
});

describe('the end', () => {
  const lastRecord = (tap: Tap) => tap.records.at(-1)!;

  it('close_notify is the last that is sent, behind what was written (RFC 8915 4, RFC 8446 6.1)', async () => {
    const tap = await Tap.before(await serve({}, (socket) => void socket.resume()));
    const connection = await opened(tap.port);
    connection.write(Buffer.from('question'));
    connection.close();
    await expect.poll(() => tap.ended).toBe(true);
    expect(tap.broke).toBe(false);
    const [question, end] = tap.records.slice(-2);
    expect([question!.type, question!.body.length]).toEqual([applicationData, 'question'.length + 1 + 16]);
    expect([end!.type, end!.body.length]).toEqual([applicationData, alertBytes]);
  });

  it('close_notify also goes to a server that is refused (RFC 8446 6.1)', async () => {
    const tap = await Tap.before(await serve());
    await expect(opened(tap.port, { host: 'other.test' })).rejects.toMatchObject({ failure: Failure.WrongName });
    await expect.poll(() => tap.ended || tap.broke).toBe(true);
    expect([lastRecord(tap).type, lastRecord(tap).body.length]).toEqual([applicationData, alertBytes]);
    // Nothing else was told to it: Finished, then the alert.
    expect(tap.records.filter(({ type }) => type === applicationData).length).toBe(2);
  });

  it.each([
    ['noise', Buffer.alloc(300, 0x5a)],
    ['a record', Buffer.concat([Buffer.of(23, 3, 3, 0, 40), Buffer.alloc(40, 7)])],
  ])('of the server is the end: %s behind its close_notify is ignored (RFC 8446 6.1)', async (_, last) => {
    const answers = (socket: TLSSocket) => void socket.once('data', () => socket.end('answer'));
    const tap = await Tap.before(await serve({}, answers), last);
    const connection = await opened(tap.port);
    connection.write(Buffer.from('question'));
    expect(await readAll(connection)).toEqual(['answer', 'None']);
    expect(tlsRecords(tap.came).at(-1)!.body.length).toBe(alertBytes);
    expect(connection.exportKey(32, 'EXPORTER-network-time-security', Uint8Array.of(0, 0, 0, 15, 0)).length).toBe(32);
  });
});

describe('a name with a dot at its end', () => {
  it('is asked for with it, so that no search list is tried (RFC 8915 4.1.7)', async () => {
    const asked: string[] = [];
    const resolver = new Resolver(async (name) => {
      asked.push(name);
      return [{ address: '192.0.2.1', family: 4 }];
    });
    await resolver.resolve('ntp.Example.');
    await resolver.resolve('ntp.example');
    expect(asked).toEqual(['ntp.example.', 'ntp.example']);
  });
});
