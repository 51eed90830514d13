// TLS connections for meters: 1.3 only, the server's certificate verified at the meter's time, ALPN as asked for.
//
// What always holds:
// - No byte of the server is handed on and no key is exported before the certificate path, the name and the ALPN
//   protocol have been checked, the path twice (path-judge.ts). node's own check is off: it knows only this machine's time, and tells one reason of
//   several. That the server holds the certificate's key is proven by the handshake (RFC 8446 4.4.3), which OpenSSL
//   checks whatever node is told; resumption, which would skip it, is never offered.
// - Each connection ends with exactly one `closed`, unless this side closed it.
import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import { isIP } from 'node:net';
import { connect, createSecureContext, type TLSSocket } from 'node:tls';
import { Failure } from '../../as/abi/codes.ts';
import { type CertificateSummary, parseCertificate } from './certificate.ts';
import { type CertificatePath, checkCertificatePath, normaliseHost, type PathRequest } from './certificate-path.ts';
import { connectAny } from './connect.ts';
import type { Address, Resolver } from './dns.ts';
import { errorText, SocketError } from './socket-error.ts';
import { TokenBucket } from './token-bucket.ts';
import type { TrustAnchors } from './trust-anchors.ts';

export interface TlsTimeouts {
  readonly connectMs: number;
  readonly handshakeMs: number;
  /** Without a byte in either direction. */
  readonly idleMs: number;
  /** From open to closed. */
  readonly lifetimeMs: number;
  /** From our close_notify to the peer's. */
  readonly closeMs: number;
}

export const tlsTimeouts: TlsTimeouts = {
  connectMs: 10_000,
  handshakeMs: 10_000,
  idleMs: 10_000,
  lifetimeMs: 60_000,
  closeMs: 2_000,
};

export interface TlsConnectOptions {
  /** DNS name or address. */
  readonly host: string;
  readonly port: number;
  readonly alpn: string;
  /** Unix seconds at which all certificates must be valid; undefined: at any time at all. */
  readonly validAt: bigint | undefined;
  readonly anchors: TrustAnchors;
  readonly resolver: Pick<Resolver, 'resolve'>;
  readonly timeouts?: Partial<TlsTimeouts>;
  readonly signal?: AbortSignal;
}

/** What is known of a connection; of one that failed, as much as was reached. */
export interface TlsDetails {
  readonly addresses: readonly Address[];
  readonly remote: Address | undefined;
  readonly port: number;
  /** `TLSv1.3` */
  readonly version: string | undefined;
  readonly cipher: string | undefined;
  readonly alpn: string | undefined;
  /** Certificates that the server sent and that follow from its own, that one first. */
  readonly sent: readonly CertificateSummary[];
  /** The path that was found; undefined where none holds. */
  readonly path: CertificatePath | undefined;
  readonly timings: {
    readonly dnsMs: number | undefined;
    readonly connectMs: number | undefined;
    readonly handshakeMs: number | undefined;
    readonly verifyMs: number | undefined;
  };
}

type Writable<T> = { -readonly [Key in keyof T]: T[Key] };
/** Details while they become known. */
type Progress = Writable<Omit<TlsDetails, 'timings'>> & { readonly timings: Writable<TlsDetails['timings']> };

/** A connection that could not be opened, with what was seen of it. */
export class TlsOpenError extends SocketError {
  constructor(
    cause: SocketError,
    readonly details: TlsDetails,
  ) {
    super(cause.failure, cause.message, { cause });
    this.name = 'TlsOpenError';
  }
}

/** Certificates of servers are checked here and not by OpenSSL, so its context has no authorities to load. */
let context: ReturnType<typeof createSecureContext> | undefined;

/**
 * Opens a TLS connection and checks the server.
 * @throws TlsOpenError with one `Failure` for each kind of reason
 */
export async function connectTls(options: TlsConnectOptions): Promise<TlsConnection> {
  const details: Progress = {
    addresses: [],
    remote: undefined,
    port: options.port,
    version: undefined,
    cipher: undefined,
    alpn: undefined,
    sent: [],
    path: undefined,
    timings: { dnsMs: undefined, connectMs: undefined, handshakeMs: undefined, verifyMs: undefined },
  };
  const timeouts = { ...tlsTimeouts, ...options.timeouts };
  let socket: TLSSocket | undefined;
  try {
    details.addresses = await timed(details, 'dnsMs', () => options.resolver.resolve(options.host));
    const { socket: tcp, address } = await timed(details, 'connectMs', () =>
      connectAny(details.addresses, options.port, timeouts.connectMs, options.signal),
    );
    details.remote = address;
    socket = await timed(details, 'handshakeMs', () => handshake(tcp, options, timeouts.handshakeMs));
    const path = await verify(socket, options, details);
    if (options.signal?.aborted) throw new SocketError(Failure.Reset, 'the connection was given up');
    // It may have broken while its certificates were checked.
    if (socket.destroyed) throw brokenBy(socket.errored);
    return new TlsConnection(socket, { ...details, path }, timeouts);
  } catch (error) {
    if (socket !== undefined) refuse(socket, timeouts.closeMs);
    const cause =
      error instanceof SocketError ? error : new SocketError(Failure.Tls, errorText(error), { cause: error });
    throw new TlsOpenError(cause, details);
  }
}

/** Ends a connection that was not handed out, with close_notify (RFC 8446 6.1) where it still stands. */
function refuse(socket: TLSSocket, closeMs: number): void {
  if (socket.destroyed) return;
  const timer = setTimeout(() => socket.destroy(), closeMs);
  socket.once('close', () => clearTimeout(timer));
  socket.destroySoon();
}

async function timed<T>(details: Progress, what: keyof TlsDetails['timings'], run: () => Promise<T>): Promise<T> {
  const startMs = performance.now();
  try {
    return await run();
  } finally {
    details.timings[what] = performance.now() - startMs;
  }
}

function handshake(tcp: Socket, options: TlsConnectOptions, timeoutMs: number): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    context ??= createSecureContext({ ca: [], minVersion: 'TLSv1.3', maxVersion: 'TLSv1.3' });
    const socket = connect({
      socket: tcp,
      secureContext: context,
      minVersion: 'TLSv1.3',
      maxVersion: 'TLSv1.3',
      rejectUnauthorized: false,
      ALPNProtocols: [options.alpn],
      ...(isIP(options.host) === 0 ? { servername: normaliseHost(options.host) } : {}),
    });
    const finish = (settle: () => void) => {
      clearTimeout(deadline);
      options.signal?.removeEventListener('abort', aborted);
      socket.removeListener('error', failed);
      socket.removeListener('close', closed);
      // Until the connection has its own listener, an error is only an end.
      socket.on('error', () => {});
      settle();
    };
    const fail = (error: SocketError) =>
      finish(() => {
        socket.destroy();
        tcp.destroy();
        reject(error);
      });
    const failed = (error: Error) => fail(new SocketError(handshakeFailure(error), explain(error), { cause: error }));
    const closed = () => fail(new SocketError(Failure.Reset, 'the server closed the connection during the handshake'));
    const aborted = () => fail(new SocketError(Failure.Reset, 'the connection was given up'));
    const deadline = setTimeout(
      () => fail(new SocketError(Failure.Timeout, `the server did not finish the handshake within ${timeoutMs} ms`)),
      timeoutMs,
    );
    socket.once('error', failed);
    socket.once('close', closed);
    socket.once('secureConnect', () => finish(() => resolve(socket)));
    options.signal?.addEventListener('abort', aborted, { once: true });
    if (options.signal?.aborted) aborted();
  });
}

const versionErrors = new Set(['ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION', 'ERR_SSL_UNSUPPORTED_PROTOCOL']);
const resetErrors = new Set(['ECONNRESET', 'EPIPE', 'ECONNABORTED', 'ERR_STREAM_PREMATURE_CLOSE']);

function handshakeFailure(error: Error): SocketError['failure'] {
  const code = (error as NodeJS.ErrnoException).code ?? '';
  if (versionErrors.has(code)) return Failure.TlsVersion;
  if (code === 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL') return Failure.Alpn;
  if (code === 'ETIMEDOUT') return Failure.Timeout;
  return resetErrors.has(code) ? Failure.Reset : Failure.Tls;
}

function explain(error: Error): string {
  const { code, reason } = error as NodeJS.ErrnoException & { reason?: string };
  if (code !== undefined && versionErrors.has(code)) return 'the server does not speak TLS 1.3';
  if (code === 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL') return 'the server has none of the protocols asked for';
  if (code === 'ERR_SSL_WRONG_VERSION_NUMBER' || code === 'ERR_SSL_PACKET_LENGTH_TOO_LONG') {
    return 'the server does not speak TLS on this port';
  }
  if (code === 'ECONNRESET') return 'the server closed the connection during the handshake';
  return reason ?? errorText(error);
}

/** Why an open connection ended other than by the peer's goodbye. */
function brokenBy(error: Error | null): SocketError {
  const reset = error === null || resetErrors.has((error as NodeJS.ErrnoException).code ?? '');
  const text = reset ? 'the connection broke' : explain(error);
  return new SocketError(reset ? Failure.Reset : Failure.Tls, text, { cause: error });
}

async function verify(socket: TLSSocket, options: TlsConnectOptions, details: Progress): Promise<CertificatePath> {
  const startMs = performance.now();
  try {
    details.version = socket.getProtocol() ?? undefined;
    details.cipher = socket.getCipher().standardName;
    details.alpn = socket.alpnProtocol === false ? undefined : (socket.alpnProtocol ?? undefined);
    if (details.version !== 'TLSv1.3') {
      throw new SocketError(Failure.TlsVersion, `expected TLS 1.3, the server chose ${details.version}`);
    }
    if (socket.isSessionReused())
      throw new SocketError(Failure.Tls, 'the server resumed a session that was not offered');
    const linked = linkedCertificates(socket);
    details.sent = linked.flatMap(summaryOf);
    const request = { anchors: options.anchors, host: options.host, validAt: options.validAt };
    const path = await findPath(socket, linked, request);
    details.path = path;
    if (details.alpn !== options.alpn) {
      throw new SocketError(
        Failure.Alpn,
        `expected protocol ${options.alpn}, the server chose ${details.alpn === undefined ? 'none' : `"${details.alpn}"`}`,
      );
    }
    return path;
  } finally {
    details.timings.verifyMs = performance.now() - startMs;
  }
}

async function findPath(
  socket: TLSSocket,
  linked: Uint8Array[],
  request: Omit<PathRequest, 'sent'>,
): Promise<CertificatePath> {
  try {
    return await checkCertificatePath({ ...request, sent: linked });
  } catch (error) {
    if (!(error instanceof SocketError) || error.failure !== Failure.Untrusted) throw error;
    const all = allCertificates(socket);
    if (all.length <= linked.length) throw error;
    return await checkCertificatePath({ ...request, sent: all });
  }
}

function summaryOf(der: Uint8Array): CertificateSummary[] {
  try {
    return [parseCertificate(der).summary];
  } catch {
    return [];
  }
}

/** The server's certificate, and of the others those that node can string together, each issued by the next. */
function linkedCertificates(socket: TLSSocket): Uint8Array[] {
  const certificates: Uint8Array[] = [];
  let next = socket.getPeerCertificate(true);
  while (next?.raw !== undefined && certificates.length < 32) {
    certificates.push(next.raw);
    if (next.issuerCertificate === next) break;
    next = next.issuerCertificate;
  }
  return certificates;
}

/**
 * All certificates that the server sent. node gives away some 20 KB for good each time that it lists them, so this is
 * done only where the linked ones lead to no anchor (a server that sends two issuers of one name), and not often.
 */
const allCertificatesBudget = new TokenBucket({ burst: 16, perSecond: 1 / 600 });

function allCertificates(socket: TLSSocket): Uint8Array[] {
  if (!allCertificatesBudget.take()) return [];
  const certificates: Buffer[] = [];
  for (
    let next = socket.getPeerX509Certificate();
    next !== undefined && certificates.length < 32;
    next = next.issuerCertificate
  ) {
    // The list begins with the server's certificate twice in some releases of node.
    if (certificates.at(-1)?.equals(next.raw) !== true) certificates.push(next.raw);
  }
  return certificates;
}

export interface TlsConnectionEvents {
  data: [Uint8Array];
  /** `None` when the peer closed, after all its data. No data follows. */
  closed: [failure: Failure, detail: string];
  /** Nothing is left of it, keys neither. */
  released: [];
}

/** An open connection to a server that was checked. It reads from `resume()` on. */
export class TlsConnection extends EventEmitter<TlsConnectionEvents> {
  readonly details: TlsDetails & { readonly path: CertificatePath };
  readonly #socket: TLSSocket;
  readonly #timeouts: TlsTimeouts;
  readonly #lifetime: NodeJS.Timeout;
  #done = false;
  /** Keys are still to be had: servers of NTS-KE say goodbye with their answer. */
  #peerClosed = false;

  constructor(socket: TLSSocket, details: TlsConnection['details'], timeouts: TlsTimeouts) {
    super();
    this.#socket = socket;
    this.details = details;
    this.#timeouts = timeouts;
    this.#lifetime = setTimeout(
      () => this.#end(Failure.Timeout, `still open after ${timeouts.lifetimeMs} ms`),
      timeouts.lifetimeMs,
    );
    socket.pause();
    socket.setTimeout(timeouts.idleMs, () => {
      this.#end(Failure.Timeout, `nothing was heard or sent for ${timeouts.idleMs} ms`);
    });
    socket.on('data', (chunk: Uint8Array) => {
      if (!this.#done) this.emit('data', chunk);
    });
    const ended = () => this.#end(Failure.None, '');
    // The peer's end may have come while its certificates were checked; it is told once somebody can listen.
    if (socket.readableEnded) setImmediate(ended);
    else socket.once('end', ended);
    socket.on('error', (error) => {
      const { failure, message } = brokenBy(error);
      this.#end(failure, message);
    });
    socket.once('close', () => {
      clearTimeout(this.#lifetime);
      this.#end(Failure.Reset, 'the connection broke');
      this.emit('released');
    });
  }

  #end(failure: Failure, detail: string): void {
    if (this.#done) {
      // After the peer's goodbye an end of any kind, such as idleness, is only an end.
      if (this.#peerClosed) this.close();
      return;
    }
    this.#done = true;
    if (failure === Failure.None) {
      this.#peerClosed = true;
    } else {
      clearTimeout(this.#lifetime);
      this.#socket.destroy();
    }
    this.emit('closed', failure, detail);
  }

  get isClosed(): boolean {
    return this.#done;
  }

  /** SHA-256 of the server's certificate and the window in which its path is valid. */
  get path(): CertificatePath {
    return this.details.path;
  }

  /** Lets data come; a connection starts paused. */
  resume(): void {
    this.#socket.resume();
  }

  /** Holds data back, in the end at the server. */
  pause(): void {
    this.#socket.pause();
  }

  /** Sends; after the end it does nothing. */
  write(bytes: Uint8Array): void {
    if (!this.#done) this.#socket.write(bytes);
  }

  /** Keying material of RFC 8446 7.5 with its context; also after the peer has closed, until `close()` or idleness. */
  exportKey(length: number, label: string, keyContext: Uint8Array): Uint8Array {
    if ((this.#done && !this.#peerClosed) || this.#socket.destroyed)
      throw new SocketError(Failure.Reset, 'the connection is closed');
    return new Uint8Array(this.#socket.exportKeyingMaterial(length, label, Buffer.from(keyContext)));
  }

  /** Sends what was written and close_notify, waits a moment for the peer's; no `closed` follows. */
  close(): void {
    if (this.#done && !this.#peerClosed) return;
    this.#done = true;
    this.#peerClosed = false;
    clearTimeout(this.#lifetime);
    this.#closeSocket();
  }

  #closeSocket(): void {
    const socket = this.#socket;
    socket.resume();
    socket.end();
    const timer = setTimeout(() => socket.destroy(), this.#timeouts.closeMs);
    socket.once('close', () => clearTimeout(timer));
  }

  /** Breaks it off; no `closed` follows. */
  destroy(): void {
    this.#done = true;
    this.#peerClosed = false;
    clearTimeout(this.#lifetime);
    this.#socket.destroy();
  }
}
