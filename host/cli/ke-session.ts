// One NTS key establishment, watched: the core of a meter with a network of its own does it, the connection is a real
// one, and what goes over it is kept for display. Whether it succeeded is what the core says.
// Exported keys go to the core and nowhere else.
import { isIP } from 'node:net';
import { Channel, Failure, KeError, Message, MeterEvent } from '../../as/abi/codes.ts';
import { decodeMessage, encodeMessage, type GatewayMessage, tlsDataBytes } from '../link/messages.ts';
import type { SoftwareMeter } from '../meter/software-meter.ts';
import { Resolver } from '../net/dns.ts';
import { lookupProcesses } from '../net/lookup.ts';
import { errorText, SocketError } from '../net/socket-error.ts';
import { connectTls, type TlsConnection, type TlsDetails, TlsOpenError } from '../net/tls.ts';
import type { TrustAnchors } from '../net/trust-anchors.ts';
import type { HostPort } from '../provision/host-port.ts';
import { makeSoftwareMeter, provisionMemory } from './software-meter.ts';

/** A key that the core had exported; the key itself is not kept. */
export interface KeExport {
  /** Kept for the case that the server knows no cookie made with the others (as/meter/establish.ts: tags 2 and 3). */
  readonly spare: boolean;
  readonly label: string;
  readonly context: Uint8Array;
  readonly bytes: number;
}

/** What was seen of one key establishment. */
export interface KeSession {
  /** The connection; undefined when none was begun. */
  readonly details: TlsDetails | undefined;
  readonly request: Uint8Array;
  readonly answer: Uint8Array;
  readonly exports: readonly KeExport[];
  /** From the end of the handshake to the core's verdict. */
  readonly recordsMs: number | undefined;
  readonly totalMs: number;
  /** How the connection ended before the verdict, if it did. */
  readonly closed: { readonly failure: Failure; readonly detail: string } | undefined;
  readonly verdict: KeVerdict;
}

export type KeVerdict =
  | { readonly ok: true; readonly aead: number; readonly cookies: number }
  /** `code` of the peer or a `Failure`, as the event's `b`. */
  | { readonly ok: false; readonly error: KeError; readonly code: number };

export interface KeSessionOptions {
  readonly server: HostPort;
  readonly anchors: TrustAnchors;
  /** Unix seconds at which certificates must be valid; undefined: dates are not checked. */
  readonly validAt: bigint | undefined;
  /** AEADs to offer, the preferred one first; undefined: the core's own choice. */
  readonly aeads?: readonly number[] | undefined;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** Does one key establishment. Never rejects for what the server or the network does. */
export async function runKeSession(options: KeSessionOptions): Promise<KeSession> {
  // What is told as the time of the lookup is then that alone.
  if (isIP(options.server.host) === 0) await lookupProcesses.ready();
  const watch = new KeWatch(options);
  try {
    return await watch.run();
  } finally {
    watch.end();
  }
}

class KeWatch {
  readonly #options: KeSessionOptions;
  readonly #meter: SoftwareMeter;
  readonly #stop = new AbortController();
  readonly #beginMs = performance.now();
  readonly #request: Uint8Array[] = [];
  readonly #answer: Uint8Array[] = [];
  readonly #exports: KeExport[] = [];
  #connection: TlsConnection | undefined;
  #details: TlsDetails | undefined;
  #openedMs: number | undefined;
  #closed: KeSession['closed'];
  #settle: (verdict: KeVerdict) => void = () => {};

  constructor(options: KeSessionOptions) {
    this.#options = options;
    this.#meter = makeSoftwareMeter({
      storage: provisionMemory({
        id: 'ke',
        servers: [options.server],
        firstDatesUnchecked: true,
        ...(options.aeads === undefined ? {} : { aeads: options.aeads }),
      }),
      onMessage: (channel, bytes) => this.#message(channel, bytes),
    });
  }

  async run(): Promise<KeSession> {
    const { timeoutMs, signal } = this.#options;
    const verdict = await new Promise<KeVerdict>((resolve) => {
      this.#settle = resolve;
      const late = (): void => resolve({ ok: false, error: KeError.Timeout, code: 0 });
      const timer = setTimeout(late, timeoutMs);
      this.#stop.signal.addEventListener('abort', () => clearTimeout(timer));
      signal.addEventListener('abort', late, { once: true });
      this.#meter.start();
    });
    const nowMs = performance.now();
    return {
      details: this.#details,
      request: Buffer.concat(this.#request),
      answer: Buffer.concat(this.#answer),
      exports: this.#exports,
      recordsMs: this.#openedMs === undefined ? undefined : nowMs - this.#openedMs,
      totalMs: nowMs - this.#beginMs,
      closed: this.#closed,
      verdict,
    };
  }

  end(): void {
    this.#stop.abort();
    this.#meter.powerCut();
    this.#connection?.close();
  }

  #deliver(message: GatewayMessage): void {
    this.#meter.deliver(Channel.Stream, encodeMessage(message));
  }

  #message(channel: Channel, bytes: Uint8Array): void {
    const message = decodeMessage(channel, bytes);
    switch (message.type) {
      case Message.TlsOpen:
        // One attempt: a second one would show what the first did wrong as if it were the first.
        if (this.#details === undefined && this.#openedMs === undefined) void this.#open(message.id, message.alpn);
        break;
      case Message.TlsWrite:
        this.#request.push(message.data);
        this.#connection?.write(message.data);
        break;
      case Message.TlsExport: {
        const { id, tag, length, label, context } = message;
        this.#exports.push({ spare: tag >= 2, label, context, bytes: length });
        let key: Uint8Array = new Uint8Array(0);
        try {
          key = this.#connection?.exportKey(length, label, context) ?? key;
        } catch (error) {
          if (!(error instanceof SocketError)) throw error;
        }
        this.#deliver({ type: Message.TlsExported, id, tag, key });
        break;
      }
      case Message.TlsClose:
        this.#connection?.close();
        break;
      case Message.Event:
        if (message.code === MeterEvent.KeysEstablished) {
          this.#settle({ ok: true, aead: Number(message.a), cookies: Number(message.b) });
        } else if (message.code === MeterEvent.KeFailed) {
          this.#settle({ ok: false, error: Number(message.a), code: Number(message.b) });
        }
        break;
      default:
        break;
    }
  }

  async #open(id: number, alpn: string): Promise<void> {
    const { server, anchors, validAt } = this.#options;
    const end = (failure: Failure, detail: string): void => {
      this.#closed ??= { failure, detail };
      const text = Buffer.from(detail)
        .subarray(0, 200)
        .toString('latin1')
        .replace(/[^\x20-\x7e]/g, '?');
      this.#deliver({ type: Message.TlsClosed, id, reason: failure, detail: text });
    };
    let connection: TlsConnection;
    try {
      connection = await connectTls({
        ...{ host: server.host, port: server.port, alpn, validAt, anchors },
        resolver: new Resolver(),
        signal: this.#stop.signal,
      });
    } catch (error) {
      if (error instanceof TlsOpenError) this.#details = error.details;
      if (this.#stop.signal.aborted) return;
      end(error instanceof SocketError ? error.failure : Failure.Tls, errorText(error));
      return;
    }
    this.#connection = connection;
    this.#details = connection.details;
    this.#openedMs = performance.now();
    connection.on('data', (bytes) => {
      this.#answer.push(bytes);
      for (let at = 0; at < bytes.length; at += tlsDataBytes) {
        this.#deliver({ type: Message.TlsData, id, data: bytes.subarray(at, at + tlsDataBytes) });
      }
    });
    connection.on('closed', end);
    const { notBefore, notAfter, fingerprint } = connection.path;
    this.#deliver({
      type: Message.TlsOpened,
      id,
      notBefore,
      notAfter,
      fingerprint,
      alpn: connection.details.alpn ?? '',
    });
    connection.resume();
  }
}
