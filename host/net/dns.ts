// Names to addresses of both families, in the order in which they are to be tried; of a name with many, the first 16.
// The system answers (lookup.ts). A name is asked for once, however many ask at a time, and has its own time alone.
import { isIP } from 'node:net';
import { Failure } from '../../as/abi/codes.ts';
import { type Lookup, lookupInTime, systemLookup } from './lookup.ts';
import { errorText, SocketError } from './socket-error.ts';

export interface Address {
  readonly address: string;
  readonly family: 4 | 6;
  /** Whether the others are to have more time to answer before this one is tried. */
  readonly lastResort?: boolean;
}

const limits = {
  keepMs: 30_000,
  entries: 256,
  /** Addresses of a name that are used: a DNS answer may hold thousands, and each would be tried. */
  addresses: 16,
} as const;

/** Resolves host names; answers are kept for half a minute, so that attempts at one name see one list. */
export class Resolver {
  readonly #lookup: Lookup;
  readonly #kept = new Map<string, { addresses: Promise<Address[]>; untilMs: number }>();

  /** @param lookupHost by default the system's */
  constructor(lookupHost: Lookup = systemLookup) {
    this.#lookup = lookupHost;
  }

  /**
   * The addresses of a host, 1 to 16; an IP address is its own answer.
   * @throws SocketError dns, or request for a host that is neither a name nor an address
   */
  async resolve(host: string): Promise<Address[]> {
    const version = isIP(host);
    if (version !== 0) return [{ address: host, family: version === 6 ? 6 : 4 }];
    if (!isHostName(host)) {
      throw new SocketError(Failure.Request, `expected a host name or an address, came "${host}"`);
    }
    const name = host.toLowerCase();
    const kept = this.#kept.get(name);
    if (kept !== undefined && kept.untilMs > performance.now()) return kept.addresses;
    const addresses = this.#ask(name);
    this.#kept.delete(name);
    if (this.#kept.size >= limits.entries) this.#kept.delete(this.#kept.keys().next().value!);
    this.#kept.set(name, { addresses, untilMs: performance.now() + limits.keepMs });
    addresses.catch(() => this.#kept.delete(name));
    return addresses;
  }

  async #ask(name: string): Promise<Address[]> {
    try {
      const found = await lookupInTime(this.#lookup, name);
      if (found.length === 0) throw new SocketError(Failure.Dns, `${name} has no address`);
      return interleave(found).slice(0, limits.addresses);
    } catch (error) {
      if (error instanceof SocketError) throw error;
      throw new SocketError(Failure.Dns, explain(name, error), { cause: error });
    }
  }
}

function explain(name: string, error: unknown): string {
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'ENOTFOUND') return `${name} does not exist or has no address`;
  if (code === 'EAI_AGAIN') return `no DNS server answered for ${name}`;
  return `${name}: ${errorText(error)}`;
}

/** Whether `host` can be a DNS name: letters, digits, dashes and underscores between dots (RFC 1035 2.3.4). */
export function isHostName(host: string): boolean {
  return (
    host.length <= 253 &&
    /^(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.?$/i.test(host)
  );
}

/** Families in turn, beginning with that of the first address (RFC 8305 4). */
export function interleave(addresses: readonly Address[]): Address[] {
  const first = addresses.filter(({ family }) => family === addresses[0]?.family);
  const second = addresses.filter(({ family }) => family !== addresses[0]?.family);
  const merged: Address[] = [];
  for (let at = 0; at < Math.max(first.length, second.length); at++) {
    merged.push(...first.slice(at, at + 1), ...second.slice(at, at + 1));
  }
  return merged;
}

/** The 16 bytes of an address, an IPv4 one in the first four. */
export function addressBytes({ address, family }: Address): Uint8Array {
  const bytes = new Uint8Array(16);
  if (family === 4) {
    bytes.set(Uint8Array.from(address.split('.'), Number));
    return bytes;
  }
  // The URL parser writes an embedded IPv4 address in hexadecimal; a zone is no part of an address's bytes.
  const [head = '', tail = ''] = new URL(`http://[${address.split('%')[0]}]`).hostname.slice(1, -1).split('::');
  const words = (text: string) => (text === '' ? [] : text.split(':').map((word) => Number.parseInt(word, 16)));
  const place = (at: number, word: number) => bytes.set([word >> 8, word & 0xff], 2 * at);
  for (const [at, word] of words(head).entries()) place(at, word);
  for (const [at, word] of words(tail).entries()) place(8 - words(tail).length + at, word);
  return bytes;
}
