// TLS for meters against real servers of every kind: what opens, and the failure that each bad one leads to.
import { webcrypto } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TLSSocket, type TlsOptions } from 'node:tls';
import { PolicyMapping, PolicyMappings } from 'pkijs';
import { afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { Failure } from '../../../as/abi/codes.ts';
import { type Address, Resolver } from '../../../host/net/dns.ts';
import { connectTls, type TlsConnection, type TlsConnectOptions, TlsOpenError } from '../../../host/net/tls.ts';
import { TrustAnchors } from '../../../host/net/trust-anchors.ts';
import { clientAuth, day, type Issued, makeExtension, makeIntermediate, makeLeaf, makeRoot } from './certificates.ts';

const alpn = 'ntske/1';
const label = 'EXPORTER-network-time-security';
const now = BigInt(Math.floor(Date.now() / 1000));
let root: Issued;
let stranger: Issued;
let leaf: Issued;

beforeAll(() => {
  [root, stranger] = [makeRoot(), makeRoot('Unknown Root')];
  leaf = makeLeaf(root, { ip: ['127.0.0.1', '::1'] });
});

const open: { close(): unknown }[] = [];
const sockets = new Set<Socket>();
afterEach(() => {
  for (const one of open.splice(0)) one.close();
  for (const socket of sockets) socket.destroy();
  sockets.clear();
});

async function listen(server: Server, host = '127.0.0.1'): Promise<number> {
  open.push(server);
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
  });
  server.listen(0, host);
  await once(server, 'listening');
  return (server.address() as { port: number }).port;
}

/** A TLS server with this certificate and those that it sends along. */
function serve(
  chain: Issued[],
  options: TlsOptions = {},
  onSecure: (socket: TLSSocket) => void = () => {},
  host?: string,
) {
  const server = createTlsServer(
    {
      key: chain[0]!.keyPem,
      cert: chain.map((one) => one.pem).join(''),
      minVersion: 'TLSv1.3',
      ALPNProtocols: [alpn],
      ...options,
    },
    onSecure,
  );
  server.on('secureConnection', (socket) => socket.on('error', () => {}));
  server.on('tlsClientError', () => {});
  return listen(server, host);
}

async function connect(port: number, more: Partial<TlsConnectOptions> = {}): Promise<TlsConnection> {
  const connection = await connectTls({
    host: 'time.example',
    port,
    alpn,
    validAt: now,
    anchors: new TrustAnchors([root.der]),
    resolver: new Resolver(async () => [{ address: '127.0.0.1', family: 4 }]),
    ...more,
  });
  open.push({ close: () => connection.destroy() });
  return connection;
}

async function refused(failure: Failure, text: RegExp, ...args: Parameters<typeof connect>): Promise<TlsOpenError> {
  const error = await connect(...args).then(
    () => new Error('it opened'),
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(TlsOpenError);
  const { failure: came, message } = error as TlsOpenError;
  expect({ failure: Failure[came], message }).toMatchObject({
    failure: Failure[failure],
    message: expect.stringMatching(text),
  });
  return error as TlsOpenError;
}

/** What the client asked for by SNI; false for nothing. */
function serverName(socket: TLSSocket): string | false {
  return (socket as unknown as { servername: string | false }).servername;
}

/** Everything up to `closed`. */
async function readAll(connection: TlsConnection): Promise<{ data: Buffer; failure: Failure; detail: string }> {
  const chunks: Uint8Array[] = [];
  connection.on('data', (chunk) => chunks.push(chunk));
  const closed = once(connection, 'closed');
  connection.resume();
  const [failure, detail] = (await closed) as [Failure, string];
  return { data: Buffer.concat(chunks), failure, detail };
}

describe('what opens', () => {
  test('both sides export the same keys, data goes both ways, the end comes after the data', async () => {
    const context = Uint8Array.of(0, 0, 0, 15, 1);
    let heard = '';
    let ended = false;
    const port = await serve([leaf], {}, (socket) => {
      socket.once('data', (chunk) => {
        heard += chunk;
        socket.end(socket.exportKeyingMaterial(32, label, Buffer.from(context)));
      });
      socket.on('end', () => {
        ended = true;
      });
    });
    const connection = await connect(port);
    const key = Buffer.from(connection.exportKey(32, label, context));
    expect(Buffer.from(connection.exportKey(32, label, Uint8Array.of(0, 0, 0, 15, 0)))).not.toEqual(key);
    connection.write(Buffer.from('question'));
    expect(await readAll(connection)).toEqual({ data: key, failure: Failure.None, detail: '' });
    expect(Buffer.from(connection.exportKey(32, label, context))).toEqual(key);
    connection.close();
    await expect.poll(() => ended).toBe(true);
    expect(heard).toBe('question');
    expect(() => connection.exportKey(32, label, context)).toThrow(/closed/);
  });

  test('details for people', async () => {
    const intermediate = makeIntermediate(root);
    const port = await serve([makeLeaf(intermediate), intermediate]);
    const { details } = await connect(port);
    expect(details).toMatchObject({
      version: 'TLSv1.3',
      cipher: expect.stringMatching(/^TLS_AES/),
      alpn,
      port,
      remote: { address: '127.0.0.1', family: 4 },
    });
    expect(details.sent.map((one) => one.subject)).toEqual(['CN=time.example', 'CN=Test Intermediate']);
    expect(details.path.path.map((one) => one.subject)).toEqual([
      'CN=time.example',
      'CN=Test Intermediate',
      'CN=Test Root',
    ]);
    for (const ms of Object.values(details.timings)) expect(ms).toBeGreaterThanOrEqual(0);
  });

  test('addresses: by IPv4 and IPv6 literals, without a server name', async () => {
    for (const host of ['127.0.0.1', '::1']) {
      const port = await serve([leaf], {}, (socket) => socket.end(`${serverName(socket)}`), host);
      const connection = await connect(port, { host, resolver: new Resolver() });
      expect(connection.details.remote?.address).toBe(host);
      expect((await readAll(connection)).data.toString()).toBe('false');
    }
  });

  test('the server is told the name that is asked for', async () => {
    const port = await serve([leaf], {}, (socket) => {
      socket.end(`${serverName(socket)}`);
    });
    const connection = await connect(port, { host: 'TIME.example.' });
    expect((await readAll(connection)).data.toString()).toBe('time.example');
  });

  test('the next address is used when one is refused or silent', async () => {
    const port = await serve([leaf]);
    const addresses: Address[] = [
      { address: '::1', family: 6 },
      { address: '192.0.2.1', family: 4 },
      { address: '127.0.0.1', family: 4 },
    ];
    const connection = await connect(port, { resolver: new Resolver(async () => addresses) });
    expect(connection.details.remote).toEqual({ address: '127.0.0.1', family: 4 });
  });

  test('two issuers of one name, the second of them trusted', async () => {
    const one = makeIntermediate(stranger);
    const two = makeIntermediate(root, { keysOf: one });
    const port = await serve([makeLeaf(one), one, two]);
    expect((await connect(port)).path.path.at(-1)!.subject).toBe('CN=Test Root');
  });

  test.each(['rsa2048', 'ed25519', 'p384'] as const)('server key %s', async (kind) => {
    const port = await serve([makeLeaf(root, { kind })]);
    expect((await connect(port)).details.version).toBe('TLSv1.3');
  });

  test('close() sends close_notify after what was written', async () => {
    const heard = new Promise<string>((resolve) => {
      let text = '';
      void serve([leaf], {}, (socket) => {
        socket.on('data', (chunk) => {
          text += chunk;
        });
        socket.on('end', () => resolve(text));
      }).then(async (port) => {
        const connection = await connect(port);
        connection.write(Buffer.from('last words'));
        connection.close();
        expect(connection.isClosed).toBe(true);
      });
    });
    expect(await heard).toBe('last words');
  });

  test('each connection does a full handshake', async () => {
    const reused: boolean[] = [];
    const port = await serve([leaf], {}, (socket) => {
      reused.push(socket.isSessionReused());
      socket.end('x');
    });
    for (let times = 0; times < 3; times++) await readAll(await connect(port));
    expect(reused).toEqual([false, false, false]);
  });
});

describe('certificates, at the meter’s time', () => {
  const past = { notBefore: new Date(Date.now() - 200 * day), notAfter: new Date(Date.now() - 100 * day) };

  test('expired, unless the meter’s time is within or dates are not checked', async () => {
    const port = await serve([makeLeaf(root, past)]);
    const error = await refused(Failure.Expired, /expired at/, port);
    expect(error.details.sent[0]?.subject).toBe('CN=time.example');
    expect(error.details.path).toBeUndefined();
    expect((await connect(port, { validAt: now - 150n * 86_400n })).path.notAfter).toBeLessThan(now);
    expect((await connect(port, { validAt: undefined })).path.notAfter).toBeLessThan(now);
  });

  test('valid now but not at the meter’s time', async () => {
    await refused(Failure.Expired, /not valid before/, await serve([leaf]), { validAt: now - 50n * 86_400n });
  });

  test.each([now, undefined])('expired and of an unknown CA (time %s)', async (validAt) => {
    await refused(Failure.Untrusted, /Unknown Root/, await serve([makeLeaf(stranger, past)]), { validAt });
    await refused(Failure.Untrusted, /no trust anchor/, await serve([makeLeaf(stranger, past), stranger]), { validAt });
  });

  test.each([now, undefined])('expired and for another name (time %s)', async (validAt) => {
    const port = await serve([makeLeaf(root, { ...past, dns: ['other.example'] })]);
    await refused(Failure.WrongName, /other\.example/, port, { validAt });
  });

  test.each([now, undefined])('expired and for clients only (time %s)', async (validAt) => {
    const port = await serve([makeLeaf(root, { ...past, extKeyUsage: [clientAuth] })]);
    await refused(Failure.WrongUsage, /TLS servers/, port, { validAt });
  });

  test('self-signed', async () => {
    const pinned = makeLeaf(undefined);
    const port = await serve([pinned]);
    await refused(Failure.Untrusted, /self-signed/, port);
    expect((await connect(port, { anchors: new TrustAnchors([pinned.der]) })).path.path).toHaveLength(1);
  });

  test('an intermediate that is not sent', async () => {
    await refused(Failure.Untrusted, /neither/, await serve([makeLeaf(makeIntermediate(root))]));
  });

  test('a path that pkijs alone refuses', async () => {
    const mappings = [new PolicyMapping({ issuerDomainPolicy: '2.5.29.32.0', subjectDomainPolicy: '1.2.3' })];
    const value = new PolicyMappings({ mappings }).toSchema().toBER();
    const odd = makeIntermediate(root, { extensions: [makeExtension('2.5.29.33', true, value)] });
    const port = await serve([makeLeaf(odd), odd], {}, (socket) => socket.write('answer'));
    const { details } = await refused(Failure.Untrusted, /pkijs refuses it/, port);
    expect(details.path).toBeUndefined();
  });

  test('nothing is sent to a server that does not hold', async () => {
    let heard = 0;
    const port = await serve([makeLeaf(stranger)], {}, (socket) => {
      socket.on('data', (chunk) => {
        heard += chunk.length;
      });
    });
    await refused(Failure.Untrusted, /./, port);
    await expect.poll(() => [...sockets].every((socket) => socket.destroyed)).toBe(true);
    expect(heard).toBe(0);
  });
});

describe('protocols', () => {
  test('TLS 1.2 only', async () => {
    const port = await serve([leaf], { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' });
    await refused(Failure.TlsVersion, /TLS 1\.3/, port);
  });

  test('no ALPN', async () => {
    const { ALPNProtocols: _, ...rest } = { ALPNProtocols: undefined } as TlsOptions;
    const port = await listen(createTlsServer({ key: leaf.keyPem, cert: leaf.pem, minVersion: 'TLSv1.3', ...rest }));
    await refused(Failure.Alpn, /chose none/, port);
  });

  test('another ALPN protocol', async () => {
    await refused(Failure.Alpn, /none of the protocols/, await serve([leaf], { ALPNProtocols: ['h2'] }));
  });

  test('not TLS at all', async () => {
    const port = await listen(createServer((socket) => socket.end('220 mail.example ESMTP ready\r\n')));
    await refused(Failure.Tls, /does not speak TLS/, port);
  });
});

describe('networks', () => {
  test('a name that does not exist', async () => {
    const missing = () => Promise.reject(Object.assign(new Error('getaddrinfo'), { code: 'ENOTFOUND' }));
    const error = await refused(Failure.Dns, /does not exist/, 4460, { resolver: new Resolver(missing) });
    expect(error.details.timings.connectMs).toBeUndefined();
    await refused(Failure.Dns, /./, 4460, { host: 'nothing.invalid', resolver: new Resolver() });
  });

  test('a host that is neither name nor address', async () => {
    await refused(Failure.Request, /host name/, 4460, { host: 'a b', resolver: new Resolver() });
  });

  test('refused', async () => {
    const port = await serve([leaf]);
    open.pop()!.close();
    await refused(Failure.Connect, /127\.0\.0\.1 port \d+: connection refused/, port);
  });

  test('no answer to a connection', async () => {
    const resolver = new Resolver(async () => [{ address: '192.0.2.1', family: 4 }]);
    const error = await refused(Failure.Connect, /./, 4460, { resolver, timeouts: { connectMs: 300 } });
    expect(error.details.remote).toBeUndefined();
  });

  test('closes at once', async () => {
    await refused(Failure.Reset, /closed the connection/, await listen(createServer((socket) => socket.destroy())));
    await refused(Failure.Reset, /./, await listen(createServer((socket) => socket.resetAndDestroy())));
  });

  test('accepts and stays silent', async () => {
    const port = await listen(createServer(() => {}));
    await refused(Failure.Timeout, /handshake within 300 ms/, port, { timeouts: { handshakeMs: 300 } });
  });

  test('opens and stays silent', async () => {
    const connection = await connect(await serve([leaf]), { timeouts: { idleMs: 300 } });
    expect(await readAll(connection)).toMatchObject({ failure: Failure.Timeout, detail: /300 ms/ });
  });

  test('drips a byte now and then', async () => {
    const port = await serve([leaf], {}, (socket) => {
      const timer = setInterval(() => socket.write('x'), 50);
      socket.on('close', () => clearInterval(timer));
    });
    const connection = await connect(port, { timeouts: { idleMs: 300, lifetimeMs: 700 } });
    expect(await readAll(connection)).toMatchObject({ failure: Failure.Timeout, detail: /still open/ });
  });

  test('floods: no more is read than is taken', async () => {
    let written = 0;
    const port = await serve([leaf], {}, (socket) => {
      const chunk = Buffer.alloc(65_536);
      const more = () => {
        while (!socket.destroyed && written < 1e9) {
          written += chunk.length;
          if (!socket.write(chunk)) return;
        }
      };
      socket.on('drain', more);
      more();
    });
    const connection = await connect(port, { timeouts: { idleMs: 60_000 } });
    let taken = 0;
    const paused = new Promise<void>((resolve) => {
      connection.on('data', (chunk) => {
        taken += chunk.length;
        connection.pause();
        resolve();
      });
    });
    connection.resume();
    await paused;
    // What the server got rid of settles at the sockets' buffers once nobody takes any more.
    let before = -1;
    await expect
      .poll(
        () => {
          const same = written === before;
          before = written;
          return same;
        },
        { interval: 200, timeout: 10_000 },
      )
      .toBe(true);
    expect(taken).toBeLessThan(200_000);
    expect(written).toBeLessThan(50_000_000);
  });

  test('a connection that breaks', async () => {
    const port = await serve([leaf], {}, (socket) => {
      socket.write('half');
      socket.on('data', () => {
        for (const tcp of sockets) tcp.resetAndDestroy();
      });
    });
    const connection = await connect(port);
    connection.write(Buffer.from('x'));
    const { failure } = await readAll(connection);
    expect(Failure[failure]).toBe('Reset');
  });

  test.each([
    ['ends', (socket: TLSSocket) => socket.end()],
    [
      'breaks',
      () => {
        for (const tcp of sockets) tcp.resetAndDestroy();
      },
    ],
  ])('a server that %s while its certificates are checked', async (what, finish) => {
    const { subtle } = webcrypto;
    const verify = subtle.verify.bind(subtle);
    let finished = () => {};
    const end = new Promise<void>((resolve) => {
      finished = resolve;
    });
    const spy = vi.spyOn(subtle, 'verify').mockImplementation(async (...args) => {
      await end;
      // What was sent on the loopback is there already; a turn of the event loop reads it.
      for (let turns = 0; turns < 20; turns++) await new Promise((resolve) => setImmediate(resolve));
      return verify(...args);
    });
    try {
      const port = await serve([leaf], {}, (socket) => {
        socket.once('close', finished).once('finish', finished);
        finish(socket);
      });
      if (what === 'ends') {
        expect(await readAll(await connect(port))).toEqual({ data: Buffer.of(), failure: Failure.None, detail: '' });
      } else {
        await refused(Failure.Reset, /the connection broke/, port);
      }
      expect(spy).toHaveBeenCalled();
    } finally {
      spy.mockRestore();
    }
  });

  test('given up while its certificates are checked', async () => {
    const giveUp = new AbortController();
    const { subtle } = webcrypto;
    const verify = subtle.verify.bind(subtle);
    const spy = vi.spyOn(subtle, 'verify').mockImplementation((...args) => {
      giveUp.abort();
      return verify(...args);
    });
    try {
      await refused(Failure.Reset, /given up/, await serve([leaf]), { signal: giveUp.signal });
    } finally {
      spy.mockRestore();
    }
  });

  test('giving up ends it in each phase', async () => {
    const silent = await listen(createServer(() => {}));
    await refused(Failure.Reset, /given up/, silent, { signal: AbortSignal.timeout(200) });
    await refused(Failure.Connect, /given up/, silent, { signal: AbortSignal.abort() });
  });
});
