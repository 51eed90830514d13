// Certificate paths: what holds, and each single way not to hold with the failure that the meter is told.
import { createHash } from 'node:crypto';
import * as asn1js from 'asn1js';
import * as pkijs from 'pkijs';
import { beforeAll, describe, expect, test } from 'vitest';
import { Failure } from '../../../as/abi/codes.ts';
import { checkCertificatePath, type PathRequest } from '../../../host/net/certificate-path.ts';
import { SocketError } from '../../../host/net/socket-error.ts';
import { TrustAnchors } from '../../../host/net/trust-anchors.ts';
import {
  clientAuth,
  day,
  Extension,
  type Issued,
  issue,
  type KeyKind,
  KeyUsageFlags,
  makeIntermediate,
  makeLeaf,
  makeRoot,
  serverAuth,
} from './certificates.ts';

const now = BigInt(Math.floor(Date.now() / 1000));
const daySeconds = 86_400n;
let root: Issued;
let stranger: Issued;
let leaf: Issued;

beforeAll(async () => {
  [root, stranger] = await Promise.all([makeRoot(), makeRoot('Unknown Root')]);
  leaf = await makeLeaf(root);
});

function check(sent: Issued[], more: Partial<Omit<PathRequest, 'anchors'>> & { anchors?: Issued[] } = {}) {
  const { anchors = [root], ...rest } = more;
  return checkCertificatePath({
    sent: sent.map((one) => one.der),
    host: 'time.example',
    validAt: now,
    ...rest,
    anchors: new TrustAnchors(anchors.map((anchor) => anchor.der)),
  });
}

function refused(failure: Failure, text: RegExp, ...args: Parameters<typeof check>): void {
  let result: unknown;
  try {
    result = check(...args);
  } catch (error) {
    result = error;
  }
  expect(result).toBeInstanceOf(SocketError);
  const error = result as SocketError;
  expect({ failure: Failure[error.failure], message: error.message }).toMatchObject({
    failure: Failure[failure],
    message: expect.stringMatching(text),
  });
}

const seconds = (date: Date) => BigInt(Math.floor(date.getTime() / 1000));

describe('what holds', () => {
  test('a leaf below the anchor: window of the path, fingerprint of the leaf', async () => {
    const notAfter = new Date(Date.now() + 5 * day);
    const intermediate = await makeIntermediate(root, { notBefore: new Date(Date.now() - 2 * day) });
    const below = await makeLeaf(intermediate, { notAfter, notBefore: new Date(Date.now() - 3 * day) });
    const path = check([below, intermediate]);
    expect(path.path.map((one) => one.subject)).toEqual(['CN=time.example', 'CN=Test Intermediate', 'CN=Test Root']);
    expect(path.notAfter).toBe(seconds(notAfter));
    expect(path.notBefore).toBe(seconds(new Date(Date.now() - 2 * day)));
    expect(Buffer.from(path.fingerprint)).toEqual(createHash('sha256').update(below.der).digest());
  });

  test('the window ends with the anchor when that ends first', async () => {
    const short = await makeRoot('Short Root', { notAfter: new Date(Date.now() + 3 * day) });
    const below = await makeLeaf(short);
    expect(check([below], { anchors: [short] }).notAfter).toBe(seconds(new Date(Date.now() + 3 * day)));
  });

  test('certificates in any order, the anchor sent too, others that do not belong', async () => {
    const outer = await makeIntermediate(root, { name: 'Outer' });
    const inner = await makeIntermediate(outer, { name: 'Inner' });
    const below = await makeLeaf(inner);
    expect(check([below, stranger, outer, root, inner]).path).toHaveLength(4);
  });

  test.each<KeyKind>(['p256', 'p384', 'rsa2048', 'pss2048', 'ed25519'])('%s', async (kind) => {
    const [ca, other] = [await makeRoot(`Root ${kind}`, { kind }), await makeRoot(`Root ${kind}`, { kind })];
    const below = await makeLeaf(ca, { kind });
    expect(check([below], { anchors: [ca] }).path).toHaveLength(2);
    refused(Failure.Untrusted, /signature/, [below], { anchors: [other] });
  });

  test('cross-signed: through whichever of two issuers is trusted, whatever the order', async () => {
    const one = await makeIntermediate(stranger);
    const two = await makeIntermediate(root, { keysOf: one });
    const below = await makeLeaf(one);
    for (const sent of [
      [below, one, two],
      [below, two, one],
    ]) {
      expect(check(sent).path.at(-1)!.subject).toBe('CN=Test Root');
      expect(check(sent, { anchors: [stranger] }).path.at(-1)!.subject).toBe('CN=Unknown Root');
    }
  });

  test('cross-signed: an expired way does not spoil the one that holds', async () => {
    const old = await makeIntermediate(root, { notAfter: new Date(Date.now() - day / 2) });
    const fresh = await makeIntermediate(stranger, { keysOf: old });
    const below = await makeLeaf(old);
    expect(check([below, old, fresh], { anchors: [root, stranger] }).path.at(-1)!.subject).toBe('CN=Unknown Root');
    expect(check([below, old, fresh], { anchors: [root, stranger], validAt: undefined }).notAfter).toBeGreaterThan(now);
    refused(Failure.Expired, /Test Intermediate/, [below, old, fresh]);
  });

  test('a self-signed server certificate that is pinned as anchor', async () => {
    const pinned = await makeLeaf(undefined);
    expect(check([pinned], { anchors: [pinned] }).path).toHaveLength(1);
    refused(Failure.Untrusted, /self-signed/, [pinned]);
    refused(Failure.WrongName, /time\.example/, [pinned], { anchors: [pinned], host: 'other.example' });
    refused(Failure.Expired, /expired/, [pinned], { anchors: [pinned], validAt: now + 60n * daySeconds });
  });

  test('a pinned certificate without the CA flag issues nothing', async () => {
    const pinned = await makeLeaf(undefined, { name: 'Pinned' });
    const below = await makeLeaf(pinned);
    refused(Failure.Untrusted, /Pinned.*may not issue/, [below, pinned], { anchors: [pinned] });
  });

  test('an intermediate that is pinned as anchor', async () => {
    const intermediate = await makeIntermediate(stranger);
    const below = await makeLeaf(intermediate);
    expect(check([below], { anchors: [intermediate] }).path).toHaveLength(2);
    expect(check([below, intermediate], { anchors: [intermediate] }).path).toHaveLength(2);
  });

  test('self-issued certificates do not count for the path length', async () => {
    const ca = await makeRoot('Rollover', { ca: { pathLength: 0 } });
    const renewed = await issue({ name: 'Rollover', issuer: ca, ca: {} });
    const below = await makeLeaf(renewed);
    expect(check([below, renewed], { anchors: [ca] }).path).toHaveLength(3);
  });

  test('usages that are absent restrict nothing', async () => {
    const plain = await issue({ name: 'time.example', issuer: root, dns: ['time.example'] });
    expect(check([plain]).path).toHaveLength(2);
  });
});

describe('dates are those of the meter', () => {
  test('not yet valid at the meter’s time though valid now, and the other way round', async () => {
    refused(Failure.Expired, /not valid before .* the meter's time is/, [leaf], { validAt: now - 10n * daySeconds });
    const future = await makeLeaf(root, {
      notBefore: new Date(Date.now() + 100 * day),
      notAfter: new Date(Date.now() + 200 * day),
    });
    refused(Failure.Expired, /not valid before/, [future]);
    expect(check([future], { validAt: now + 150n * daySeconds }).path).toHaveLength(2);
    const past = await makeLeaf(root, {
      notBefore: new Date(Date.now() - 200 * day),
      notAfter: new Date(Date.now() - 100 * day),
    });
    refused(Failure.Expired, /expired at/, [past]);
    expect(check([past], { validAt: now - 150n * daySeconds }).path).toHaveLength(2);
    expect(check([past], { validAt: undefined }).notAfter).toBeLessThan(now);
  });

  test('the first and the last second count, the ones around do not', async () => {
    const at = (s: number) => new Date(s * 1000);
    const [from, to] = [1_800_000_000, 1_800_000_100];
    const long = await makeRoot('Long', { notBefore: at(1_000_000_000), notAfter: at(5_000_000_000) });
    const below = await makeLeaf(long, { notBefore: at(from), notAfter: at(to) });
    const anchors = [long];
    expect(check([below], { anchors, validAt: BigInt(from) }).path).toHaveLength(2);
    expect(check([below], { anchors, validAt: BigInt(to) }).path).toHaveLength(2);
    refused(Failure.Expired, /before/, [below], { anchors, validAt: BigInt(from) - 1n });
    refused(Failure.Expired, /expired/, [below], { anchors, validAt: BigInt(to) + 1n });
  });

  test('dates beyond 2038, 2050 and 9999 years', async () => {
    const far = await makeRoot('Far', { notAfter: new Date(Date.UTC(9999, 11, 31, 23, 59, 59)) });
    const below = await makeLeaf(far, { notAfter: new Date(Date.UTC(2060, 0, 1)) });
    const validAt = seconds(new Date(Date.UTC(2055, 5, 1)));
    expect(check([below], { anchors: [far], validAt }).notAfter).toBe(seconds(new Date(Date.UTC(2060, 0, 1))));
    refused(Failure.Expired, /the meter's time is 99999999999999 s/, [below], {
      anchors: [far],
      validAt: 99999999999999n,
    });
    refused(Failure.Expired, /./, [below], { anchors: [far], validAt: -(1n << 63n) });
  });

  test('an intermediate or an anchor that is expired', async () => {
    const old = await makeIntermediate(root, { notAfter: new Date(Date.now() - day / 2) });
    refused(Failure.Expired, /Test Intermediate/, [await makeLeaf(old), old]);
    const gone = await makeRoot('Gone', { notAfter: new Date(Date.now() - day / 2) });
    refused(Failure.Expired, /Gone/, [await makeLeaf(gone)], { anchors: [gone] });
  });
});

describe('an expired certificate hides nothing else', () => {
  const past = { notBefore: new Date(Date.now() - 200 * day), notAfter: new Date(Date.now() - 100 * day) };

  test.each([now, undefined])('unknown CA (time %s)', async (validAt) => {
    refused(Failure.Untrusted, /Unknown Root/, [await makeLeaf(stranger, past)], { validAt });
    refused(Failure.Untrusted, /is no trust anchor/, [await makeLeaf(stranger, past), stranger], { validAt });
  });

  test.each([now, undefined])('wrong name (time %s)', async (validAt) => {
    refused(Failure.WrongName, /other\.example/, [await makeLeaf(root, past)], { validAt, host: 'other.example' });
  });

  test.each([now, undefined])('wrong key usage (time %s)', async (validAt) => {
    const client = await makeLeaf(root, { ...past, extKeyUsage: [clientAuth] });
    refused(Failure.WrongUsage, /not for TLS servers/, [client], { validAt });
  });

  test.each([now, undefined])('leaf used as CA (time %s)', async (validAt) => {
    const forger = await makeLeaf(root, { ...past, name: 'Forger' });
    refused(Failure.Untrusted, /Forger/, [await makeLeaf(forger, past), forger], { validAt });
  });
});

describe('names', () => {
  test('DNS names, in any case, with or without the final dot', () => {
    expect(check([leaf], { host: 'TIME.Example' }).path).toHaveLength(2);
    expect(check([leaf], { host: 'time.example.' }).path).toHaveLength(2);
  });

  test.each(['other.example', 'a.time.example', 'example', '.example', '127.0.0.1', 'time.example.evil.test', ''])(
    '"%s" is not time.example',
    (host) => refused(Failure.WrongName, /is for DNS:time\.example, DNS:localhost, not for/, [leaf], { host }),
  );

  test('a wildcard stands for exactly one whole label', async () => {
    const wild = await makeLeaf(root, { dns: ['*.time.example', 'a*.test.example', '*.org'] });
    expect(check([wild], { host: 'a.time.example' }).path).toHaveLength(2);
    for (const host of ['time.example', 'a.b.time.example', 'ab.test.example', 'a.test.example', 'evil.org']) {
      refused(Failure.WrongName, /not for/, [wild], { host });
    }
  });

  test('addresses need an address in the certificate', async () => {
    const address = await makeLeaf(root, { dns: ['127.0.0.9'], ip: ['127.0.0.1', '2001:db8::1'] });
    expect(check([address], { host: '127.0.0.1' }).path).toHaveLength(2);
    expect(check([address], { host: '2001:db8:0:0::1' }).path).toHaveLength(2);
    refused(Failure.WrongName, /not for/, [address], { host: '127.0.0.9' });
    refused(Failure.WrongName, /not for/, [address], { host: '2001:db8::2' });
  });

  test('the common name does not count', async () => {
    const { dns: _, ...plain } = { name: 'time.example', issuer: root, dns: [] };
    refused(Failure.WrongName, /no name at all/, [await issue(plain)]);
    refused(Failure.WrongName, /other/, [await makeLeaf(root, { dns: ['other.example'] })]);
  });
});

describe('issuers', () => {
  test('unknown', async () =>
    refused(Failure.Untrusted, /neither a trust anchor nor sent/, [await makeLeaf(stranger)]));

  test('intermediate missing', async () => {
    const intermediate = await makeIntermediate(root);
    refused(Failure.Untrusted, /Test Intermediate.*neither/, [await makeLeaf(intermediate)]);
  });

  test.each<[string, Parameters<typeof makeIntermediate>[1]]>([
    ['without basicConstraints', { ca: undefined, keyUsage: undefined }],
    ['with the CA flag off', { ca: false, keyUsage: undefined }],
    ['with the CA flag off and keyCertSign', { ca: false }],
    ['without keyCertSign', { keyUsage: KeyUsageFlags.digitalSignature }],
  ])('intermediate %s', async (_, more) => {
    const { ca, keyUsage, ...rest } = { ca: {}, ...more } as { ca?: false; keyUsage?: KeyUsageFlagsType };
    const intermediate = await issue({
      name: 'Odd',
      issuer: root,
      ...rest,
      ...(ca === undefined ? {} : { ca }),
      ...(keyUsage === undefined ? {} : { keyUsage }),
    });
    refused(Failure.Untrusted, /Odd.*may not issue/, [await makeLeaf(intermediate), intermediate]);
  });

  test('path length exceeded', async () => {
    const outer = await makeIntermediate(root, { name: 'Outer', ca: { pathLength: 0 } });
    const inner = await makeIntermediate(outer, { name: 'Inner' });
    expect(check([await makeLeaf(outer), outer]).path).toHaveLength(3);
    refused(Failure.Untrusted, /Outer" allows 0/, [await makeLeaf(inner), inner, outer]);
    const narrow = await makeRoot('Narrow', { ca: { pathLength: 0 } });
    const below = await makeIntermediate(narrow);
    refused(Failure.Untrusted, /Narrow" allows 0/, [await makeLeaf(below), below], { anchors: [narrow] });
  });

  test('for clients only', async () => {
    const clients = await makeIntermediate(root, { extKeyUsage: [clientAuth] });
    refused(Failure.WrongUsage, /may not issue .* TLS servers/, [await makeLeaf(clients), clients]);
    const servers = await makeIntermediate(root, { extKeyUsage: [serverAuth, clientAuth] });
    expect(check([await makeLeaf(servers), servers]).path).toHaveLength(3);
  });

  test('a signature by another key of the same name', async () => {
    const impostor = await makeRoot();
    refused(Failure.Untrusted, /signature on "time.example"/, [await makeLeaf(root, { signedBy: impostor })]);
  });

  test('a leaf changed after it was signed', () => {
    const changed = { ...leaf, der: leaf.der.slice() };
    const at = Buffer.from(changed.der).indexOf('time.example', Buffer.from(changed.der).indexOf('localhost') - 20);
    changed.der[at] = 'x'.charCodeAt(0);
    refused(Failure.Untrusted, /signature/, [changed]);
  });

  test('two that issue each other end the search', async () => {
    const a = await makeRoot('A');
    const b = await issue({ name: 'B', issuer: a, ca: {} });
    const again = await issue({ name: 'A', issuer: b, keysOf: a, ca: {} });
    refused(Failure.Untrusted, /./, [await makeLeaf(b), b, again, a]);
  });

  test('many of the same names cost no more than the budget', async () => {
    const many = await Promise.all(
      Array.from({ length: 14 }, () => makeIntermediate(stranger, { name: 'Unknown Root' })),
    );
    const below = await makeLeaf(many[0]!);
    const started = process.hrtime.bigint();
    refused(Failure.Untrusted, /./, [below, ...many]);
    expect(Number(process.hrtime.bigint() - started) / 1e6).toBeLessThan(1_000);
    refused(Failure.Untrusted, /1 to 16/, [below, ...many, ...many]);
  });
});

describe('usage of the server’s certificate', () => {
  test('for clients only', async () => {
    refused(Failure.WrongUsage, /not for TLS servers/, [await makeLeaf(root, { extKeyUsage: [clientAuth] })]);
  });

  test('keyUsage without digitalSignature', async () => {
    const more = { keyUsage: KeyUsageFlags.keyEncipherment };
    refused(Failure.WrongUsage, /may not sign/, [await makeLeaf(root, more)]);
  });
});

describe('strength', () => {
  test.each<[KeyKind, 'SHA-1' | 'SHA-256']>([
    ['rsa-sha1', 'SHA-256'],
    ['pss-sha1', 'SHA-1'],
    ['p256', 'SHA-1'],
  ])('SHA-1 signed with %s, unless on the anchor itself', async (kind, hash) => {
    const old = await makeRoot('Old', { kind, hash });
    refused(Failure.Untrusted, /algorithm/, [await makeLeaf(old, { hash })], { anchors: [old] });
    const pinned = await makeLeaf(undefined, { kind, hash });
    expect(check([pinned], { anchors: [pinned] }).path).toHaveLength(1);
  });

  test('RSA of 1024 bits, wherever it stands', async () => {
    refused(Failure.Untrusted, /1024 bits/, [await makeLeaf(root, { kind: 'rsa1024' })]);
    const weak = await makeIntermediate(root, { kind: 'rsa1024' });
    refused(Failure.Untrusted, /1024 bits/, [await makeLeaf(weak), weak]);
    const weakRoot = await makeRoot('Weak', { kind: 'rsa1024' });
    refused(Failure.Untrusted, /1024 bits/, [await makeLeaf(weakRoot)], { anchors: [weakRoot] });
  });
});

describe('extensions', () => {
  const unknown = (critical: boolean) => new Extension('1.3.6.1.4.1.99999.1', critical, Uint8Array.of(5, 0));

  test('unknown ones are refused where they are critical, and only there', async () => {
    refused(Failure.Untrusted, /critical/, [await makeLeaf(root, { extensions: [unknown(true)] })]);
    const odd = await makeIntermediate(root, { extensions: [unknown(true)] });
    refused(Failure.Untrusted, /critical/, [await makeLeaf(odd), odd]);
    expect(check([await makeLeaf(root, { extensions: [unknown(false)] })]).path).toHaveLength(2);
  });

  test('twice the same', async () => {
    refused(Failure.Untrusted, /twice/, [await makeLeaf(root, { extensions: [unknown(false), unknown(false)] })]);
  });

  test('requireExplicitPolicy', async () => {
    const value = new pkijs.PolicyConstraints({ requireExplicitPolicy: 0 }).toSchema().toBER();
    const strict = await makeIntermediate(root, { extensions: [new Extension('2.5.29.36', true, value)] });
    refused(Failure.Untrusted, /policies/, [await makeLeaf(strict), strict]);
  });

  test('a certificate that cannot be read', () => {
    refused(Failure.Untrusted, /cannot be read/, [{ ...leaf, der: leaf.der.subarray(0, 100) }]);
    refused(Failure.Untrusted, /1 to 16/, []);
    expect(check([leaf, { ...leaf, der: Uint8Array.of(1, 2, 3) }]).path).toHaveLength(2);
  });

  test('an extension that cannot be read', async () => {
    const broken = new Extension('2.5.29.30', true, Uint8Array.of(4, 1, 0));
    const odd = await makeIntermediate(root, { extensions: [broken] });
    refused(Failure.Untrusted, /./, [await makeLeaf(odd), odd]);
    refused(Failure.Untrusted, /cannot be read/, [await makeLeaf(root, { extensions: [broken] })]);
  });
});

describe('name constraints', () => {
  const dns = (value: string) => new pkijs.GeneralSubtree({ base: new pkijs.GeneralName({ type: 2, value }) });
  const ip = (...bytes: number[]) =>
    new pkijs.GeneralSubtree({
      base: new pkijs.GeneralName({
        type: 7,
        value: new asn1js.OctetString({ valueHex: Uint8Array.from(bytes).buffer }),
      }),
    });
  const constrained = (parameters: {
    permittedSubtrees?: pkijs.GeneralSubtree[];
    excludedSubtrees?: pkijs.GeneralSubtree[];
  }) =>
    makeIntermediate(root, {
      extensions: [new Extension('2.5.29.30', true, new pkijs.NameConstraints(parameters).toSchema().toBER())],
    });

  test('permitted domain', async () => {
    const ca = await constrained({ permittedSubtrees: [dns('time.example')] });
    expect(check([await makeLeaf(ca, { dns: ['time.example', 'a.time.example'] }), ca]).path).toHaveLength(3);
    const outside = await makeLeaf(ca, { dns: ['time.example', 'xtime.example'] });
    refused(Failure.Untrusted, /"xtime.example" is not permitted/, [outside, ca]);
  });

  test('excluded domain, also behind a wildcard', async () => {
    const ca = await constrained({ excludedSubtrees: [dns('secret.time.example')] });
    const wild = await makeLeaf(ca, { dns: ['*.time.example'] });
    expect(check([wild, ca], { host: 'open.time.example' }).path).toHaveLength(3);
    refused(Failure.Untrusted, /is excluded/, [wild, ca], { host: 'secret.time.example' });
  });

  test('addresses', async () => {
    const ca = await constrained({ permittedSubtrees: [ip(10, 0, 0, 0, 255, 0, 0, 0)] });
    expect(check([await makeLeaf(ca, { ip: ['10.1.2.3'] }), ca], { host: '10.1.2.3' }).path).toHaveLength(3);
    const outside = await makeLeaf(ca, { ip: ['10.1.2.3', '192.0.2.1'] });
    refused(Failure.Untrusted, /not permitted/, [outside, ca], { host: '10.1.2.3' });
    const six = await constrained({
      excludedSubtrees: [ip(0x20, 1, 0xd, 0xb8, ...Array(12).fill(0), ...Array(4).fill(255), ...Array(12).fill(0))],
    });
    const inside = await makeLeaf(six, { ip: ['2001:db8::1'] });
    refused(Failure.Untrusted, /excluded/, [inside, six], { host: '2001:db8::1' });
  });

  test('directory names', async () => {
    const name = new pkijs.RelativeDistinguishedNames({
      typesAndValues: [
        new pkijs.AttributeTypeAndValue({ type: '2.5.4.3', value: new asn1js.Utf8String({ value: 'time.example' }) }),
      ],
    });
    const base = new pkijs.GeneralName({ type: 4, value: name });
    const permitted = await constrained({ permittedSubtrees: [new pkijs.GeneralSubtree({ base })] });
    expect(check([await makeLeaf(permitted), permitted]).path).toHaveLength(3);
    refused(Failure.Untrusted, /subject is not permitted/, [await makeLeaf(permitted, { name: 'b' }), permitted]);
    const excluded = await constrained({ excludedSubtrees: [new pkijs.GeneralSubtree({ base })] });
    refused(Failure.Untrusted, /subject is excluded/, [await makeLeaf(excluded), excluded]);
  });
});

type KeyUsageFlagsType = (typeof KeyUsageFlags)[keyof typeof KeyUsageFlags];
