// The ways to a meter, written as URLs in the settings and on the command line.
//
//   serial:/dev/ttyUSB0?baud=115200     a serial port
//   tcp://192.0.2.7:4059                connects to a meter or a serial server
//   tcp-listen://[::1]:4059             waits for a meter to connect
//   unix:/run/metertime/m1.sock         connects to a socket
//   unix-listen:/run/metertime/m1.sock  waits for a meter to connect

/** A link's address, taken apart. */
export type LinkUrl =
  | { readonly kind: 'serial'; readonly path: string; readonly baud: number }
  | { readonly kind: 'tcp' | 'tcp-listen'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix' | 'unix-listen'; readonly path: string };

export const defaultBaud = 115_200;
/** What the sockets API takes for a path (sun_path, without its final zero). */
const maxSocketPathBytes = 107;

/** Thrown for a text that names no link; the message says what was expected. */
export class LinkUrlError extends Error {
  readonly code = 'link-url';
  override readonly name = 'LinkUrlError';
}

/** Takes a link's URL apart. Throws `LinkUrlError`. */
export function parseLinkUrl(text: string): LinkUrl {
  const scheme = /^([a-z-]+):/.exec(text)?.[1];
  const rest = text.slice((scheme?.length ?? -1) + 1);
  switch (scheme) {
    case 'serial':
      return parseSerial(rest);
    case 'tcp':
    case 'tcp-listen':
      return { kind: scheme, ...parseHostPort(scheme, rest) };
    case 'unix':
    case 'unix-listen':
      if (rest === '' || rest.startsWith('//')) {
        throw new LinkUrlError(`expected a path after "${scheme}:", such as ${scheme}:/run/metertime/m1.sock`);
      }
      if (Buffer.byteLength(rest) > maxSocketPathBytes) {
        throw new LinkUrlError(
          `expected a path of at most ${maxSocketPathBytes} bytes: the system takes no longer ones`,
        );
      }
      return { kind: scheme, path: rest };
    default:
      throw new LinkUrlError(
        'expected serial:PATH?baud=N, tcp://HOST:PORT, tcp-listen://HOST:PORT, unix:PATH or unix-listen:PATH',
      );
  }
}

function parseSerial(rest: string): LinkUrl {
  const at = rest.indexOf('?');
  const path = at < 0 ? rest : rest.slice(0, at);
  if (path === '')
    throw new LinkUrlError('expected the path of a serial port, such as serial:/dev/ttyUSB0?baud=115200');
  let baud = defaultBaud;
  for (const [key, value] of new URLSearchParams(at < 0 ? '' : rest.slice(at + 1))) {
    if (key !== 'baud') throw new LinkUrlError('expected no parameter but baud, as in serial:/dev/ttyUSB0?baud=115200');
    if (!/^[1-9][0-9]{2,6}$/.test(value)) throw new LinkUrlError('expected a baud rate from 100 to 9999999');
    baud = Number(value);
  }
  return { kind: 'serial', path, baud };
}

function parseHostPort(scheme: string, rest: string): { host: string; port: number } {
  const match = /^\/\/(\[[0-9a-fA-F:.%]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})\/?$/.exec(rest);
  const port = Number(match?.[2] ?? 0);
  if (match === null || port > 65_535 || (port === 0 && scheme === 'tcp')) {
    throw new LinkUrlError(`expected a host and a port from 1 to 65535, such as ${scheme}://192.0.2.7:4059`);
  }
  return { host: match[1]!.replace(/^\[(.*)\]$/, '$1'), port };
}
