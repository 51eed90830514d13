// HOST[:PORT] as people write it: a DNS name, an IPv4 address, or an IPv6 address (in brackets when a port follows).
import { isIP, isIPv6, SocketAddress } from 'node:net';

/** Port of NTS-KE (RFC 8915 4). */
export const ntsKePort = 4460;

/** Where a server is. */
export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** The one spelling of all that name the same host: lower case, no dot at the end, an IPv6 address in its short form. */
export function canonicalHost(host: string): string {
  if (!isIPv6(host)) return host.toLowerCase().replace(/\.$/, '');
  const [address = '', zone] = host.split('%');
  const short = new SocketAddress({ family: 'ipv6', address }).address.replace(/^::ffff:(?=\d+\.)/, '');
  return zone === undefined ? short : `${short}%${zone}`;
}

/** A text in quotes, cut where it is long: for messages about it. */
export function quoted(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 79)}…` : text);
}

/** Why a text names no host and port; `undefined` when it does. */
export function hostProblem(host: string): string | undefined {
  if (isIP(host) !== 0) return undefined;
  if (host.length === 0 || host.length > 63) return 'expected a name of 1 to 63 characters';
  if (host.endsWith('.')) return 'expected a name without a dot at its end: certificates carry none';
  if (/^[0-9.]+$/.test(host)) return 'expected a DNS name or an IP address';
  const label = /^[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?$/;
  return host.split('.').every((part) => part.length <= 63 && label.test(part))
    ? undefined
    : 'expected a DNS name or an IP address, such as time.example or [2001:db8::1]:4460';
}

/**
 * Reads HOST, HOST:PORT, [IPV6]:PORT or a bare IPv6 address.
 * @throws {RangeError} with a message that says what was expected
 */
export function parseHostPort(text: string, defaultPort = ntsKePort): HostPort {
  const url = /^[a-z][a-z0-9+.-]*:\/\//i.exec(text)?.[0];
  if (url !== undefined) throw new RangeError(`${quoted(text)}: expected HOST or HOST:PORT without ${quoted(url)}`);
  const match = isIPv6(text) ? [text, text, undefined] : /^(\[[^\]]*\]|[^:]*)(?::(.*))?$/.exec(text);
  const host = match?.[1]?.replace(/^\[(.*)\]$/, '$1');
  if (host === undefined) throw new RangeError(`${quoted(text)}: expected HOST or HOST:PORT`);
  const problem =
    text.startsWith('[') && !isIPv6(host) ? 'expected an IPv6 address in the brackets' : hostProblem(host);
  if (problem !== undefined) throw new RangeError(`${quoted(text)}: ${problem}`);
  const port = match?.[2] === undefined ? defaultPort : Number(match[2]);
  if (match?.[2] === '' || !Number.isInteger(port) || port < 1 || port > 65_535) {
    throw new RangeError(`${quoted(text)}: expected a port from 1 to 65535 after the colon`);
  }
  return { host, port };
}

/** The form in which people write it; the default port is left out. */
export function formatHostPort({ host, port }: HostPort, defaultPort = ntsKePort): string {
  const name = isIPv6(host) && port !== defaultPort ? `[${host}]` : host;
  return port === defaultPort ? name : `${name}:${port}`;
}
