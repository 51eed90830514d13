// The ways to a meter, written as URLs in the settings and on the command line.
//
//   serial:/dev/ttyUSB0?baud=115200     a serial port
//   tcp://192.0.2.7:4059                connects to a meter or a serial server
//   tcp-listen://[::1]:4059             waits for a meter to connect
//   unix:/run/metertime/m1.sock         connects to a socket
//   unix-listen:/run/metertime/m1.sock  waits for a meter to connect
//
// A path is taken as it stands: nothing in it is decoded.
import { isIPv4, isIPv6 } from 'node:net';
import { hideUserinfo } from '../config/secret.ts';
import { LinkError } from './transport.ts';

export interface SerialAddress {
  readonly kind: 'serial';
  readonly path: string;
  readonly baud: number;
}

export interface TcpAddress<Kind = 'tcp' | 'tcp-listen'> {
  readonly kind: Kind;
  readonly host: string;
  /** 0 only where it listens: any free one. */
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

/** A text that names no link. */
export class LinkUrlError extends LinkError {
  /** @param expected what would have been right, as a sentence's second half: `expected …` */
  constructor(
    text: string,
    readonly expected: string,
  ) {
    super('link-url', `the link ${JSON.stringify(hideUserinfo(text))} cannot be: ${expected}`);
    this.name = 'LinkUrlError';
  }
}

const defaultBaud = 115_200;
const baudRates = { least: 1_200, most: 4_000_000 } as const;
/** What the sockets API takes for a path: 108 bytes with a final zero (sun_path). */
const maxSocketPathBytes = 107;

/**
 * Takes a link's URL apart.
 * @throws LinkUrlError
 */
export function parseLinkUrl(text: string): LinkAddress {
  const refuse: Refuse = (expected) => {
    throw new LinkUrlError(text, expected);
  };
  const scheme = /^([a-z-]+):/.exec(text)?.[1];
  const rest = text.slice((scheme?.length ?? -1) + 1);
  switch (scheme) {
    case 'serial':
      return parseSerial(rest, refuse);
    case 'tcp':
    case 'tcp-listen':
      return { kind: scheme, ...parseHostPort(scheme, rest, refuse) };
    case 'unix':
    case 'unix-listen':
      return { kind: scheme, path: parseSocketPath(scheme, rest, refuse) };
    default:
      return refuse(
        'expected serial:PATH?baud=N, tcp://HOST:PORT, tcp-listen://HOST:PORT, unix:PATH or unix-listen:PATH',
      );
  }
}

type Refuse = (expected: string) => never;

function parseSerial(rest: string, refuse: Refuse): SerialAddress {
  const example = 'serial:/dev/ttyUSB0?baud=115200';
  const at = rest.indexOf('?');
  const path = at < 0 ? rest : rest.slice(0, at);
  if (!isPath(path)) refuse(`expected the whole path of a serial port, with one slash in front, such as ${example}`);
  if (at < 0) return { kind: 'serial', path, baud: defaultBaud };
  const value = /^baud=([^&]*)$/.exec(rest.slice(at + 1))?.[1];
  if (value === undefined) return refuse(`expected nothing but a baud rate after the ?, as in ${example}`);
  const baud = /^[1-9][0-9]{2,6}$/.test(value) ? Number(value) : 0;
  const { least, most } = baudRates;
  return baud < least || baud > most
    ? refuse(`expected a baud rate from ${least} to ${most}`)
    : { kind: 'serial', path, baud };
}

function parseSocketPath(scheme: string, path: string, refuse: Refuse): string {
  if (!isPath(path)) {
    refuse(
      `expected a whole path after "${scheme}:", with one slash in front, such as ${scheme}:/run/metertime/m1.sock`,
    );
  }
  if (path.includes('?')) refuse(`expected a path without a ?: ${scheme} has no further settings`);
  if (Buffer.byteLength(path) > maxSocketPathBytes) {
    refuse(`expected a path of at most ${maxSocketPathBytes} bytes: the system takes no longer ones`);
  }
  return path;
}

function parseHostPort(scheme: string, rest: string, refuse: Refuse): { host: string; port: number } {
  const match = /^\/\/(\[([^\]]+)\]|[^:/@[\]]+):([0-9]{1,5})\/?$/.exec(rest);
  const [, outer = '', inner] = match ?? [];
  const port = Number(match?.[3] ?? 0);
  if (match === null || port > 65_535 || (port === 0 && scheme === 'tcp')) {
    refuse(`expected a host and a port from 1 to 65535, such as ${scheme}://192.0.2.7:4059`);
  }
  const host = inner ?? outer;
  if (inner === undefined ? !isHost(host) : !isIPv6(host)) {
    refuse(`expected a name or an address for a host; an IPv6 address in brackets, such as ${scheme}://[::1]:4059`);
  }
  return { host, port };
}

/** From the root on. Two slashes would be the beginning of a host. */
function isPath(path: string): boolean {
  return /^\/[^/\p{Cc}][^\p{Cc}]*$/u.test(path);
}

/** An IPv4 address, or a name in letters of ASCII; one that ends in a number would be an address. */
function isHost(host: string): boolean {
  const labels = host.replace(/\.$/, '').split('.');
  if (/^[0-9]+$/.test(labels.at(-1)!)) return isIPv4(host);
  return host.length <= 254 && labels.every((label) => /^[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$/.test(label));
}
