// Which address of a host one meter's sockets go to first: what its TLS connections and datagrams have shown.
//
// What always holds:
// - NTP is first asked where NTS-KE went (RFC 8915 4.1.7), whether it answers there or not: cookies are for that address.
// - A host that serves NTS-KE at an address where NTP stays silent is asked for its next keys at another one, as long as
//   one does better; any datagram that comes clears its address.
// - No more hosts and addresses are kept than a meter has use for.
import { normaliseHost } from '../net/certificate-path.ts';
import type { Address } from '../net/dns.ts';

interface Known {
  /** Where the latest TLS connection went. */
  tls: Address | undefined;
  /** Addresses from which datagrams came since then. */
  readonly heard: Set<string>;
  /** Addresses that answered no datagram, the one that has been left alone longest first. */
  readonly silent: Set<string>;
}

const rememberedHosts = 16;
const rememberedAddresses = 16;

export class HostAddresses {
  readonly #hosts = new Map<string, Known>();

  /** A TLS connection to `host` went to `address`. */
  connected(host: string, { address, family }: Address): void {
    const known = this.#know(host);
    known.tls = { address, family };
    known.heard.clear();
  }

  /** A datagram came from there. */
  heard(host: string, { address }: Address): void {
    const known = this.#know(host);
    keep(known.heard, address);
    known.silent.delete(address);
  }

  /** A datagram to there had no answer; one that was lost on the way to an address that answers does not count. */
  unanswered(host: string, { address }: Address): void {
    const known = this.#know(host);
    if (!known.heard.has(address)) keep(known.silent, address);
  }

  /** For datagrams: where NTS-KE went comes first. */
  forDatagrams(host: string, addresses: readonly Address[]): Address[] {
    const first = this.#hosts.get(normaliseHost(host))?.tls;
    if (first === undefined) return [...addresses];
    return [first, ...addresses.filter(({ address }) => address !== first.address)];
  }

  /** For a TLS connection: silent addresses come last, and only when the others, where there are any, had time to answer. */
  forTls(host: string, addresses: readonly Address[]): Address[] {
    const silent = [...(this.#hosts.get(normaliseHost(host))?.silent ?? [])];
    const good = addresses.filter(({ address }) => !silent.includes(address));
    const others = silent.flatMap((one) => addresses.filter(({ address }) => address === one));
    if (good.length === 0) return others;
    return [...good, ...others.map((one) => ({ ...one, lastResort: true }))];
  }

  #know(host: string): Known {
    const name = normaliseHost(host);
    const known = this.#hosts.get(name) ?? { tls: undefined, heard: new Set<string>(), silent: new Set<string>() };
    this.#hosts.delete(name);
    if (this.#hosts.size >= rememberedHosts) this.#hosts.delete(this.#hosts.keys().next().value!);
    this.#hosts.set(name, known);
    return known;
  }
}

/** Puts `address` last; the oldest one goes where there are too many. */
function keep(addresses: Set<string>, address: string): void {
  addresses.delete(address);
  if (addresses.size >= rememberedAddresses) addresses.delete(addresses.keys().next().value!);
  addresses.add(address);
}
