// Which address of a host a meter's TLS connections and datagrams go to first.
import { describe, expect, test } from 'vitest';
import { HostAddresses } from '../../../host/gateway/host-addresses.ts';
import type { Address } from '../../../host/net/dns.ts';

const [a, b, c] = ['192.0.2.1', '192.0.2.2', '192.0.2.3'].map((address): Address => ({ address, family: 4 }));
const all = [a!, b!, c!];
const host = 'time.example';
const texts = (addresses: readonly Address[]) => addresses.map(({ address }) => address.slice(-1)).join('');

describe('the addresses of a host', () => {
  test('keep their order before anything is known', () => {
    const addresses = new HostAddresses();
    expect(addresses.forTls(host, all)).toEqual(all);
    expect(addresses.forDatagrams(host, all)).toEqual(all);
  });

  test('datagrams go where the latest TLS connection went, also when nothing answers there (RFC 8915 4.1.7)', () => {
    const addresses = new HostAddresses();
    addresses.connected('Time.example.', b!);
    addresses.unanswered(host, b!);
    expect(texts(addresses.forDatagrams(host, all))).toBe('213');
    expect(texts(addresses.forDatagrams('other.example', all))).toBe('123');
  });

  test('TLS goes last to the ones that answer no datagram: each has its turn', () => {
    const addresses = new HostAddresses();
    const seen: string[] = [];
    for (let turn = 0; turn < 5; turn++) {
      const [first] = addresses.forTls(host, all);
      seen.push(first!.address.slice(-1));
      addresses.connected(host, first!);
      addresses.unanswered(host, first!);
    }
    expect(seen.join('')).toBe('12312');
    // None has to wait for one that does better.
    expect(addresses.forTls(host, all)).toEqual([c, a, b]);
    addresses.heard(host, b!);
    expect(addresses.forTls(host, all)).toEqual([b, { ...c, lastResort: true }, { ...a, lastResort: true }]);
  });

  test('a datagram that is lost says nothing of an address that has answered since the TLS connection', () => {
    const addresses = new HostAddresses();
    addresses.connected(host, a!);
    addresses.heard(host, a!);
    addresses.unanswered(host, a!);
    expect(addresses.forTls(host, all)).toEqual(all);
    addresses.connected(host, a!);
    addresses.unanswered(host, a!);
    expect(texts(addresses.forTls(host, all))).toBe('231');
  });

  test('a name with ever new addresses, and ever new names, are forgotten in the end', () => {
    const addresses = new HostAddresses();
    const many = Array.from({ length: 17 }, (_, at): Address => ({ address: `198.51.100.${at}`, family: 4 }));
    for (const one of many) addresses.unanswered(host, one);
    expect(addresses.forTls(host, many)[0]).toEqual(many[0]);
    for (let at = 0; at < 16; at++) addresses.connected(`h${at}.example`, a!);
    expect(addresses.forTls(host, many)).toEqual(many);
  });
});
