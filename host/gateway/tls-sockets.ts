// The TLS connections of one meter: its messages to connections and back.
// What always holds: an id has at most one connection, the newest; after TlsClosed nothing follows for it but keys, and
// those only after the server's own close; what came from the server goes to the meter in order, and is held back at
// the server while the link is busy.
import { Failure, Message } from '../../as/abi/codes.ts';
import type { LinkEnd } from '../link/link-end.ts';
import { truncateText } from '../link/message-bytes.ts';
import { type TlsClose, type TlsExport, type TlsOpen, type TlsWrite, tlsDataBytes } from '../link/messages.ts';
import type { Logger } from '../log.ts';
import type { Address, Resolver } from '../net/dns.ts';
import { errorText, SocketError } from '../net/socket-error.ts';
import { connectTls, type TlsConnection, TlsOpenError, type TlsTimeouts } from '../net/tls.ts';
import { TokenBucket } from '../net/token-bucket.ts';
import type { TrustAnchors } from '../net/trust-anchors.ts';
import type { MeterLimits } from './limits.ts';

/** Longest text that goes to a meter with a failure. */
export const detailBytes = 160;

export interface TlsSocketsOptions {
  readonly link: Pick<LinkEnd, 'send' | 'isBusy'>;
  readonly limits: MeterLimits;
  readonly anchors: TrustAnchors;
  readonly resolver: Pick<Resolver, 'resolve'>;
  readonly log: Logger;
  readonly timeouts?: Partial<TlsTimeouts>;
  readonly onConnected: (connection: OpenedConnection) => void;
}

/** A connection that stands, its certificate checked. */
export interface OpenedConnection {
  readonly host: string;
  readonly port: number;
  readonly remote: Address | undefined;
  /** Unix seconds at which the certificates were to be valid; undefined where dates were not checked. */
  readonly validAt: bigint | undefined;
  /** Unix seconds between which all certificates of the path are valid. */
  readonly notBefore: bigint;
  readonly notAfter: bigint;
}

interface Entry {
  readonly id: number;
  readonly giveUp: AbortController;
  connection: TlsConnection | undefined;
  received: number;
  sent: number;
  /** The server has said goodbye and the meter was told: there are only keys to be had. */
  ended: boolean;
}

export class TlsSockets {
  readonly #options: TlsSocketsOptions;
  readonly #entries = new Map<number, Entry>();
  readonly #opens: TokenBucket;

  constructor(options: TlsSocketsOptions) {
    this.#options = options;
    this.#opens = new TokenBucket(options.limits.tlsOpens);
  }

  get count(): number {
    return this.#entries.size;
  }

  open(message: TlsOpen): void {
    const { id, host, port, alpn, validAt } = message;
    const { limits, anchors, resolver, timeouts, log } = this.#options;
    this.#drop(id);
    if (port === 0 || alpn === '' || host === '') {
      this.#tellClosed(id, Failure.Request, 'a connection needs a host, a port and a protocol');
      return;
    }
    for (const one of this.#entries.values()) {
      // An ended one gives way, the oldest first.
      if (one.ended && this.#entries.size >= limits.tlsConnections) this.#drop(one.id);
    }
    if (this.#entries.size >= limits.tlsConnections) {
      this.#tellClosed(id, Failure.Limit, `at most ${limits.tlsConnections} connections at once`);
      return;
    }
    if (!this.#opens.take()) {
      this.#tellClosed(id, Failure.Limit, 'too many connections in a short time');
      return;
    }
    const entry: Entry = {
      id,
      giveUp: new AbortController(),
      connection: undefined,
      received: 0,
      sent: 0,
      ended: false,
    };
    this.#entries.set(id, entry);
    const { signal } = entry.giveUp;
    connectTls({ host, port, alpn, validAt, anchors, resolver, signal, ...(timeouts ? { timeouts } : {}) }).then(
      (connection) => {
        if (this.#entries.get(id) === entry) this.#opened(entry, connection, message);
        else connection.destroy();
      },
      (error: unknown) => {
        if (this.#entries.get(id) !== entry) return;
        const failure = error instanceof TlsOpenError ? error.failure : Failure.Tls;
        log.warn('TLS connection failed', { host, port, failure: Failure[failure], detail: errorText(error) });
        this.#entries.delete(id);
        this.#tellClosed(id, failure, errorText(error));
      },
    );
  }

  #opened(entry: Entry, connection: TlsConnection, { host, port, validAt }: TlsOpen): void {
    const { id } = entry;
    const { link, log, limits, onConnected } = this.#options;
    const { path, details } = connection;
    entry.connection = connection;
    const { notBefore, notAfter } = path;
    onConnected({ host, port, remote: details.remote, validAt, notBefore, notAfter });
    log.debug('TLS connection opened', { host, port, address: details.remote?.address });
    link.send({
      type: Message.TlsOpened,
      id,
      notBefore,
      notAfter,
      fingerprint: path.fingerprint,
      alpn: details.alpn ?? '',
    });
    connection.on('data', (chunk) => {
      entry.received += chunk.length;
      if (entry.received > limits.tlsBytes) {
        log.warn('a server sent too much', { host, limitBytes: limits.tlsBytes });
        this.#drop(id);
        this.#tellClosed(id, Failure.Limit, `the server sent more than ${limits.tlsBytes} bytes`);
        return;
      }
      for (let at = 0; at < chunk.length; at += tlsDataBytes) {
        link.send({ type: Message.TlsData, id, data: chunk.subarray(at, at + tlsDataBytes) });
      }
      if (link.isBusy) connection.pause();
    });
    connection.on('closed', (failure, detail) => {
      // After the server's goodbye the meter may still ask for keys: on a slow line it has not seen the answer yet.
      entry.ended = true;
      if (failure !== Failure.None) this.#entries.delete(id);
      this.#tellClosed(id, failure, detail);
    });
    connection.on('released', () => {
      if (this.#entries.get(id) === entry) this.#entries.delete(id);
    });
    if (!link.isBusy) connection.resume();
  }

  write({ id, data }: TlsWrite): void {
    const entry = this.#entries.get(id);
    // Closed already: the TlsClosed and this have met on the line.
    if (entry === undefined) return;
    entry.sent += data.length;
    if (entry.connection === undefined) {
      this.#refuse(id, Failure.Request, 'data before TlsOpened');
    } else if (entry.sent > this.#options.limits.tlsBytes) {
      this.#refuse(id, Failure.Limit, `more than ${this.#options.limits.tlsBytes} bytes to the server`);
    } else {
      entry.connection.write(data);
    }
  }

  export({ id, tag, length, label, context }: TlsExport): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    try {
      if (entry.connection === undefined) throw new SocketError(Failure.Request, 'an export before TlsOpened');
      if (length === 0 || label === '') throw new SocketError(Failure.Request, 'an export needs a length and a label');
      const key = entry.connection.exportKey(length, label, context);
      this.#options.link.send({ type: Message.TlsExported, id, tag, key });
      key.fill(0);
    } catch (error) {
      this.#refuse(id, error instanceof SocketError ? error.failure : Failure.Request, errorText(error));
    }
  }

  close({ id }: TlsClose): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    this.#entries.delete(id);
    entry.giveUp.abort();
    entry.connection?.close();
  }

  /** The link has room again. */
  drain(): void {
    for (const { connection } of this.#entries.values()) connection?.resume();
  }

  /** Ends all; with a reason, each is told as closed. */
  closeAll(reason?: { readonly failure: Failure; readonly detail: string }): void {
    for (const id of [...this.#entries.keys()]) {
      if (reason === undefined) this.#drop(id);
      else this.#refuse(id, reason.failure, reason.detail);
    }
  }

  #refuse(id: number, failure: Failure, detail: string): void {
    const told = this.#entries.get(id)?.ended === true;
    this.#drop(id);
    if (!told) this.#tellClosed(id, failure, detail);
  }

  #drop(id: number): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    this.#entries.delete(id);
    entry.giveUp.abort();
    entry.connection?.destroy();
  }

  #tellClosed(id: number, reason: Failure, detail: string): void {
    this.#options.link.send({ type: Message.TlsClosed, id, reason, detail: truncateText(detail, detailBytes) });
  }
}
