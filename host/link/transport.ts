// What a link runs over: bytes in both directions, up or down, closed at the end.
// A transport that can connect again does so by itself; one that cannot (an accepted connection) emits `closed`.
// Bytes written while a transport is down are lost, as on an unplugged cable; the link's own retries bring them again.
import { EventEmitter } from 'node:events';

/** Errors of links: their settings, their ports, their servers. */
export class LinkError extends Error {
  constructor(
    readonly code: 'link-url' | 'link-serial' | 'link-listen' | 'link-closed',
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = 'LinkError';
  }
}

export interface TransportEvents {
  /** Bytes, and process.hrtime.bigint() at their arrival. */
  data: [chunk: Uint8Array, stampNs: bigint];
  up: [];
  /** Why, for people. */
  down: [reason: string];
  /** Nothing follows. */
  closed: [];
}

/** One end of a byte stream in each direction. */
export abstract class LinkTransport extends EventEmitter<TransportEvents> {
  /** For logs: the URL or the peer. */
  abstract readonly name: string;
  abstract readonly isUp: boolean;

  /** Begins to connect, or to read where it is connected already. */
  abstract start(): void;

  /** Resolves when the transport has taken the bytes or lost them; never rejects. One write at a time. */
  abstract write(bytes: Uint8Array): Promise<void>;

  /** Ends it for good; resolves when nothing is left open. */
  abstract close(): Promise<void>;
}

export interface SerialAddress {
  readonly kind: 'serial';
  readonly path: string;
  readonly baud: number;
}

export interface TcpAddress<Kind = 'tcp' | 'tcp-listen'> {
  readonly kind: Kind;
  readonly host: string;
  readonly port: number;
}

export interface UnixAddress<Kind = 'unix' | 'unix-listen'> {
  readonly kind: Kind;
  readonly path: string;
}

/** Where a link is: the parts of its URL. */
export type LinkAddress =
  | SerialAddress
  | TcpAddress<'tcp'>
  | TcpAddress<'tcp-listen'>
  | UnixAddress<'unix'>
  | UnixAddress<'unix-listen'>;

const forms =
  'serial:/dev/ttyUSB0?baud=115200, tcp://HOST:PORT, unix:/PATH, tcp-listen://HOST:PORT or unix-listen:/PATH';

/**
 * Reads the URL of a link.
 * @throws LinkError link-url
 */
export function parseLinkUrl(text: string): LinkAddress {
  const refuse = (why: string): never => {
    throw new LinkError('link-url', `link "${text}": ${why}; expected ${forms}`);
  };
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    return refuse('is no URL');
  }
  const kind = url.protocol.slice(0, -1);
  if (url.username || url.password || url.hash) refuse('holds parts that links do not have');
  if (kind !== 'serial' && url.search) refuse(`has settings that ${kind} does not have`);
  switch (kind) {
    case 'serial': {
      for (const key of url.searchParams.keys()) if (key !== 'baud') refuse(`has an unknown setting "${key}"`);
      const baud = url.searchParams.get('baud') ?? '115200';
      if (!/^\d{3,7}$/.test(baud) || Number(baud) < 300 || Number(baud) > 4_000_000) {
        refuse(`has baud "${baud}", expected 300 to 4000000`);
      }
      return { kind, path: pathOf(url, refuse), baud: Number(baud) };
    }
    case 'unix':
    case 'unix-listen': {
      const path = pathOf(url, refuse);
      // sun_path holds 108 bytes with its final zero.
      if (Buffer.byteLength(path) > 107) refuse('has a path of more than 107 bytes, which no socket can have');
      return { kind, path };
    }
    case 'tcp':
    case 'tcp-listen': {
      const port = Number(url.port);
      if (url.port === '' || (port === 0 && kind === 'tcp')) refuse('has no port');
      if (url.pathname !== '' && url.pathname !== '/') refuse('has a path');
      const host = decodeURIComponent(url.hostname).replace(/^\[(.*)\]$/, '$1');
      if (host === '') refuse('has no host');
      return { kind, host, port };
    }
    default:
      return refuse(`has the unknown scheme "${kind}"`);
  }
}

function pathOf(url: URL, refuse: (why: string) => never): string {
  if (url.host !== '') refuse('has a host where its path should begin (one slash, not two)');
  const path = decodeURIComponent(url.pathname);
  return path.startsWith('/') ? path : refuse('has no absolute path');
}

/** Time to the next try: doubles from 250 ms to 10 s, with jitter so that many do not come at once. */
export function backoffMs(failures: number, random: () => number = Math.random): number {
  const full = Math.min(250 * 2 ** Math.min(failures, 6), 10_000);
  return Math.round(full * (0.5 + random() / 2));
}
