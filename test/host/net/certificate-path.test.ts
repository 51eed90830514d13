// Certificate paths: what holds, and each single way not to hold with the failure that the meter is told.
import { createHash, randomBytes } from 'node:crypto';
import * as asn1js from 'asn1js';
import * as pkijs from 'pkijs';
import { beforeAll, describe, expect, test } from 'vitest';
import { Failure } from '../../../as/abi/codes.ts';
import { seededRandom } from '../../../host/link/faults.ts';
import { parseCertificate } from '../../../host/net/certificate.ts';
import { checkCertificatePath, type PathRequest } from '../../../host/net/certificate-path.ts';
import { SocketError } from '../../../host/net/socket-error.ts';
import { TrustAnchors } from '../../../host/net/trust-anchors.ts';
import {
  clientAuth,
  day,
  type Issued,
  issue,
  type KeyKind,
  KeyUsageFlags,
  makeExtension,
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

beforeAll(() => {
  [root, stranger] = [makeRoot(), makeRoot('Unknown Root')];
  leaf = makeLeaf(root);
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

async function refused(failure: Failure, text: RegExp, ...args: Parameters<typeof check>): Promise<void> {
  const result = await check(...args).catch((error: unknown) => error);
  expect(result).toBeInstanceOf(SocketError);
  const error = result as SocketError;
  expect({ failure: Failure[error.failure], message: error.message }).toMatchObject({
    failure: Failure[failure],
    message: expect.stringMatching(text),
  });
}

const seconds = (date: Date) => BigInt(Math.floor(date.getTime() / 1000));

test('a certificate is read once, however often it comes; of very many the last ones are known', () => {
  const parsed = parseCertificate(leaf.der);
  expect(parseCertificate(Uint8Array.from(leaf.der))).toBe(parsed);
  // What came is not what is kept.
  const bytes = Uint8Array.from(leaf.der);
  parseCertificate(bytes);
  bytes.fill(0);
  expect(parseCertificate(leaf.der).der).toEqual(Uint8Array.from(leaf.der));
  expect(() => parseCertificate(bytes)).toThrow();
  for (let count = 0; count < 40; count++) parseCertificate(makeLeaf(root).der);
  expect(parseCertificate(leaf.der)).not.toBe(parsed);
});

describe('what holds', () => {
  test('a leaf below the anchor: window of the path, fingerprint of the leaf', async () => {
    const notAfter = new Date(Date.now() + 5 * day);
    const notBefore = new Date(Date.now() - 2 * day);
    const intermediate = makeIntermediate(root, { notBefore });
    const below = makeLeaf(intermediate, { notAfter, notBefore: new Date(Date.now() - 3 * day) });
    const path = await check([below, intermediate]);
    expect(path.path.map((one) => one.subject)).toEqual(['CN=time.example', 'CN=Test Intermediate', 'CN=Test Root']);
    expect(path.notAfter).toBe(seconds(notAfter));
    expect(path.notBefore).toBe(seconds(notBefore));
    expect(Buffer.from(path.fingerprint)).toEqual(createHash('sha256').update(below.der).digest());
  });

  test('the window ends with the anchor when that ends first', async () => {
    const notAfter = new Date(Date.now() + 3 * day);
    const short = makeRoot('Short Root', { notAfter });
    const below = makeLeaf(short);
    expect((await check([below], { anchors: [short] })).notAfter).toBe(seconds(notAfter));
  });

  test('certificates in any order, the anchor sent too, others that do not belong', async () => {
    const outer = makeIntermediate(root, { name: 'Outer' });
    const inner = makeIntermediate(outer, { name: 'Inner' });
    const below = makeLeaf(inner);
    expect((await check([below, stranger, outer, root, inner])).path).toHaveLength(4);
  });

  test.each<KeyKind>(['p256', 'p384', 'rsa2048', 'pss2048', 'ed25519'])('%s', async (kind) => {
    const [ca, other] = [makeRoot(`Root ${kind}`, { kind }), makeRoot(`Root ${kind}`, { kind })];
    const below = makeLeaf(ca, { kind });
    expect((await check([below], { anchors: [ca] })).path).toHaveLength(2);
    await refused(Failure.Untrusted, /signature/, [below], { anchors: [other] });
  });

  test('cross-signed: through whichever of two issuers is trusted, whatever the order', async () => {
    const one = makeIntermediate(stranger);
    const two = makeIntermediate(root, { keysOf: one });
    const below = makeLeaf(one);
    for (const sent of [
      [below, one, two],
      [below, two, one],
    ]) {
      expect((await check(sent)).path.at(-1)!.subject).toBe('CN=Test Root');
      expect((await check(sent, { anchors: [stranger] })).path.at(-1)!.subject).toBe('CN=Unknown Root');
    }
  });

  test('cross-signed: an expired way does not spoil the one that holds', async () => {
    const old = makeIntermediate(root, { notAfter: new Date(Date.now() - day / 2) });
    const fresh = makeIntermediate(stranger, { keysOf: old });
    const below = makeLeaf(old);
    expect((await check([below, old, fresh], { anchors: [root, stranger] })).path.at(-1)!.subject).toBe(
      'CN=Unknown Root',
    );
    expect(
      (await check([below, old, fresh], { anchors: [root, stranger], validAt: undefined })).notAfter,
    ).toBeGreaterThan(now);
    await refused(Failure.Expired, /Test Intermediate/, [below, old, fresh]);
  });

  test('a self-signed server certificate that is pinned as anchor', async () => {
    const pinned = makeLeaf(undefined);
    expect((await check([pinned], { anchors: [pinned] })).path).toHaveLength(1);
    await refused(Failure.Untrusted, /self-signed/, [pinned]);
    await refused(Failure.WrongName, /time\.example/, [pinned], { anchors: [pinned], host: 'other.example' });
    await refused(Failure.Expired, /expired/, [pinned], { anchors: [pinned], validAt: now + 60n * daySeconds });
  });

  test('a pinned certificate without the CA flag issues nothing', async () => {
    const pinned = makeLeaf(undefined, { name: 'Pinned' });
    const below = makeLeaf(pinned);
    await refused(Failure.Untrusted, /Pinned.*may not issue/, [below, pinned], { anchors: [pinned] });
  });

  test('an intermediate that is pinned as anchor', async () => {
    const intermediate = makeIntermediate(stranger);
    const below = makeLeaf(intermediate);
    expect((await check([below], { anchors: [intermediate] })).path).toHaveLength(2);
    expect((await check([below, intermediate], { anchors: [intermediate] })).path).toHaveLength(2);
  });

  test('self-issued certificates do not count for the path length', async () => {
    const ca = makeRoot('Rollover', { ca: { pathLength: 0 } });
    const renewed = issue({ name: 'Rollover', issuer: ca, ca: {} });
    const below = makeLeaf(renewed);
    expect((await check([below, renewed], { anchors: [ca] })).path).toHaveLength(3);
  });

  test('usages that are absent restrict nothing', async () => {
    const plain = issue({ name: 'time.example', issuer: root, dns: ['time.example'] });
    expect((await check([plain])).path).toHaveLength(2);
  });
});

describe('dates are those of the meter', () => {
  test('not yet valid at the meter’s time though valid now, and the other way round', async () => {
    await refused(Failure.Expired, /not valid before .* checked at 20/, [leaf], {
      validAt: now - 10n * daySeconds,
    });
    const future = makeLeaf(root, {
      notBefore: new Date(Date.now() + 100 * day),
      notAfter: new Date(Date.now() + 200 * day),
    });
    await refused(Failure.Expired, /not valid before/, [future]);
    expect((await check([future], { validAt: now + 150n * daySeconds })).path).toHaveLength(2);
    const past = makeLeaf(root, {
      notBefore: new Date(Date.now() - 200 * day),
      notAfter: new Date(Date.now() - 100 * day),
    });
    await refused(Failure.Expired, /expired at/, [past]);
    expect((await check([past], { validAt: now - 150n * daySeconds })).path).toHaveLength(2);
    expect((await check([past], { validAt: undefined })).notAfter).toBeLessThan(now);
  });

  test('the first and the last second count, the ones around do not', async () => {
    const at = (s: number) => new Date(s * 1000);
    const [from, to] = [1_800_000_000, 1_800_000_100];
    const long = makeRoot('Long', { notBefore: at(1_000_000_000), notAfter: at(5_000_000_000) });
    const below = makeLeaf(long, { notBefore: at(from), notAfter: at(to) });
    const anchors = [long];
    expect((await check([below], { anchors, validAt: BigInt(from) })).path).toHaveLength(2);
    expect((await check([below], { anchors, validAt: BigInt(to) })).path).toHaveLength(2);
    await refused(Failure.Expired, /before/, [below], { anchors, validAt: BigInt(from) - 1n });
    await refused(Failure.Expired, /expired/, [below], { anchors, validAt: BigInt(to) + 1n });
  });

  test('dates beyond 2038, 2050 and 9999 years', async () => {
    const far = makeRoot('Far', { notAfter: new Date(Date.UTC(9999, 11, 31, 23, 59, 59)) });
    const below = makeLeaf(far, { notAfter: new Date(Date.UTC(2060, 0, 1)) });
    const validAt = seconds(new Date(Date.UTC(2055, 5, 1)));
    expect((await check([below], { anchors: [far], validAt })).notAfter).toBe(seconds(new Date(Date.UTC(2060, 0, 1))));
    await refused(Failure.Expired, /checked at 99999999999999 s/, [below], {
      anchors: [far],
      validAt: 99999999999999n,
    });
    await refused(Failure.Expired, /./, [below], { anchors: [far], validAt: -(1n << 63n) });
  });

  test('an intermediate or an anchor that is expired', async () => {
    const old = makeIntermediate(root, { notAfter: new Date(Date.now() - day / 2) });
    await refused(Failure.Expired, /Test Intermediate/, [makeLeaf(old), old]);
    const gone = makeRoot('Gone', { notAfter: new Date(Date.now() - day / 2) });
    await refused(Failure.Expired, /Gone/, [makeLeaf(gone)], { anchors: [gone] });
  });
});

describe('an expired certificate hides nothing else', () => {
  const past = { notBefore: new Date(Date.now() - 200 * day), notAfter: new Date(Date.now() - 100 * day) };

  test.each([now, undefined])('unknown CA (time %s)', async (validAt) => {
    await refused(Failure.Untrusted, /Unknown Root/, [makeLeaf(stranger, past)], { validAt });
    await refused(Failure.Untrusted, /is no trust anchor/, [makeLeaf(stranger, past), stranger], { validAt });
  });

  test.each([now, undefined])('wrong name (time %s)', async (validAt) => {
    await refused(Failure.WrongName, /other\.example/, [makeLeaf(root, past)], { validAt, host: 'other.example' });
  });

  test.each([now, undefined])('wrong key usage (time %s)', async (validAt) => {
    const client = makeLeaf(root, { ...past, extKeyUsage: [clientAuth] });
    await refused(Failure.WrongUsage, /not for TLS servers/, [client], { validAt });
  });

  test.each([now, undefined])('leaf used as CA (time %s)', async (validAt) => {
    const forger = makeLeaf(root, { ...past, name: 'Forger' });
    await refused(Failure.Untrusted, /Forger/, [makeLeaf(forger, past), forger], { validAt });
  });
});

describe('names', () => {
  test('DNS names, in any case, with or without the final dot', async () => {
    expect((await check([leaf], { host: 'TIME.Example' })).path).toHaveLength(2);
    expect((await check([leaf], { host: 'time.example.' })).path).toHaveLength(2);
  });

  test.each(['other.example', 'a.time.example', 'example', '.example', '127.0.0.1', 'time.example.evil.test', ''])(
    '"%s" is not time.example',
    (host) => refused(Failure.WrongName, /is for DNS:time\.example, DNS:localhost, not for/, [leaf], { host }),
  );

  test('a wildcard stands for exactly one whole label', async () => {
    const wild = makeLeaf(root, { dns: ['*.time.example', 'a*.test.example', '*.org'] });
    expect((await check([wild], { host: 'a.time.example' })).path).toHaveLength(2);
    for (const host of ['time.example', 'a.b.time.example', 'ab.test.example', 'a.test.example', 'evil.org']) {
      await refused(Failure.WrongName, /not for/, [wild], { host });
    }
  });

  test('addresses need an address in the certificate', async () => {
    const address = makeLeaf(root, { dns: ['127.0.0.9'], ip: ['127.0.0.1', '2001:db8::1'] });
    expect((await check([address], { host: '127.0.0.1' })).path).toHaveLength(2);
    expect((await check([address], { host: '2001:db8:0:0::1' })).path).toHaveLength(2);
    await refused(Failure.WrongName, /not for/, [address], { host: '127.0.0.9' });
    await refused(Failure.WrongName, /not for/, [address], { host: '2001:db8::2' });
  });

  test('the common name does not count', async () => {
    const { dns: _, ...plain } = { name: 'time.example', issuer: root, dns: [] };
    await refused(Failure.WrongName, /no name at all/, [issue(plain)]);
    await refused(Failure.WrongName, /other/, [makeLeaf(root, { dns: ['other.example'] })]);
  });
});

describe('issuers', () => {
  test('unknown', () => refused(Failure.Untrusted, /neither a trust anchor nor sent/, [makeLeaf(stranger)]));

  test('intermediate missing', async () => {
    const intermediate = makeIntermediate(root);
    await refused(Failure.Untrusted, /Test Intermediate.*neither/, [makeLeaf(intermediate)]);
  });

  test.each<[string, Parameters<typeof makeIntermediate>[1]]>([
    ['without basicConstraints', { ca: undefined, keyUsage: undefined }],
    ['with the CA flag off', { ca: false, keyUsage: undefined }],
    ['with the CA flag off and keyCertSign', { ca: false }],
    ['without keyCertSign', { keyUsage: KeyUsageFlags.digitalSignature }],
  ])('intermediate %s', async (_, more) => {
    const { ca, keyUsage, ...rest } = { ca: {}, ...more } as { ca?: false; keyUsage?: number };
    const intermediate = issue({
      name: 'Odd',
      issuer: root,
      ...rest,
      ...(ca === undefined ? {} : { ca }),
      ...(keyUsage === undefined ? {} : { keyUsage }),
    });
    await refused(Failure.Untrusted, /Odd.*may not issue/, [makeLeaf(intermediate), intermediate]);
  });

  test('path length exceeded', async () => {
    const outer = makeIntermediate(root, { name: 'Outer', ca: { pathLength: 0 } });
    const inner = makeIntermediate(outer, { name: 'Inner' });
    expect((await check([makeLeaf(outer), outer])).path).toHaveLength(3);
    await refused(Failure.Untrusted, /Outer" allows 0/, [makeLeaf(inner), inner, outer]);
    const narrow = makeRoot('Narrow', { ca: { pathLength: 0 } });
    const below = makeIntermediate(narrow);
    await refused(Failure.Untrusted, /Narrow" allows 0/, [makeLeaf(below), below], { anchors: [narrow] });
  });

  test('for clients only', async () => {
    const clients = makeIntermediate(root, { extKeyUsage: [clientAuth] });
    await refused(Failure.WrongUsage, /may not issue .* TLS servers/, [makeLeaf(clients), clients]);
    const servers = makeIntermediate(root, { extKeyUsage: [serverAuth, clientAuth] });
    expect((await check([makeLeaf(servers), servers])).path).toHaveLength(3);
  });

  test('a signature by another key of the same name', async () => {
    const impostor = makeRoot();
    await refused(Failure.Untrusted, /signature on "time.example"/, [makeLeaf(root, { signedBy: impostor })]);
  });

  test('a leaf changed after it was signed', async () => {
    const changed = { ...leaf, der: leaf.der.slice() };
    const at = Buffer.from(changed.der).indexOf('time.example', Buffer.from(changed.der).indexOf('localhost') - 20);
    changed.der[at] = 'x'.charCodeAt(0);
    await refused(Failure.Untrusted, /signature/, [changed]);
  });

  test('two that issue each other end the search', async () => {
    const a = makeRoot('A');
    const b = issue({ name: 'B', issuer: a, ca: {} });
    const again = issue({ name: 'A', issuer: b, keysOf: a, ca: {} });
    await refused(Failure.Untrusted, /./, [makeLeaf(b), b, again, a]);
  });

  test('many of the same names cost no more than the budget', async () => {
    const many = Array.from({ length: 14 }, () => makeIntermediate(stranger, { name: 'Unknown Root' }));
    const below = makeLeaf(many[0]!);
    // Of processors' time: others may keep them.
    const before = process.cpuUsage();
    await refused(Failure.Untrusted, /./, [below, ...many]);
    const { user, system } = process.cpuUsage(before);
    expect((user + system) / 1_000).toBeLessThan(1_000);
    await refused(Failure.Untrusted, /1 to 16/, [below, ...many, ...many]);
  });
});

const seed = Number(process.env.METERTIME_SEED ?? randomBytes(4).readUInt32LE());

test(`no bit of a certificate can be changed (seed ${seed})`, async () => {
  const random = seededRandom(seed);
  const intermediate = makeIntermediate(root);
  const below = makeLeaf(intermediate);
  expect((await check([below, intermediate])).path).toHaveLength(3);
  for (let times = 0; times < 400; times++) {
    const flip = ({ der, ...rest }: Issued) => {
      const changed = der.slice();
      const at = Math.floor(random() * changed.length);
      changed[at] = changed[at]! ^ (1 << Math.floor(random() * 8));
      return { ...rest, der: changed };
    };
    const sent = times % 2 === 0 ? [flip(below), intermediate] : [below, flip(intermediate)];
    const error = await check(sent).catch((caught: unknown) => caught);
    expect(error, `change ${times}`).toBeInstanceOf(SocketError);
  }
});

describe('usage of the server’s certificate', () => {
  test('for clients only', async () => {
    await refused(Failure.WrongUsage, /not for TLS servers/, [makeLeaf(root, { extKeyUsage: [clientAuth] })]);
  });

  test('keyUsage without digitalSignature', async () => {
    const more = { keyUsage: KeyUsageFlags.keyEncipherment };
    await refused(Failure.WrongUsage, /may not sign/, [makeLeaf(root, more)]);
  });
});

describe('strength', () => {
  test.each<[KeyKind, 'SHA-1' | 'SHA-256']>([
    ['rsa-sha1', 'SHA-256'],
    ['pss-sha1', 'SHA-1'],
    ['p256', 'SHA-1'],
  ])('SHA-1 signed with %s, unless on the anchor itself', async (kind, hash) => {
    const old = makeRoot('Old', { kind, hash });
    await refused(Failure.Untrusted, /algorithm/, [makeLeaf(old, { hash })], { anchors: [old] });
    const pinned = makeLeaf(undefined, { kind, hash });
    expect((await check([pinned], { anchors: [pinned] })).path).toHaveLength(1);
  });

  test('RSA of 1024 bits, wherever it stands', async () => {
    await refused(Failure.Untrusted, /1024 bits/, [makeLeaf(root, { kind: 'rsa1024' })]);
    const weak = makeIntermediate(root, { kind: 'rsa1024' });
    await refused(Failure.Untrusted, /1024 bits/, [makeLeaf(weak), weak]);
    const weakRoot = makeRoot('Weak', { kind: 'rsa1024' });
    await refused(Failure.Untrusted, /1024 bits/, [makeLeaf(weakRoot)], { anchors: [weakRoot] });
  });
});

describe('extensions', () => {
  const unknown = (critical: boolean) => makeExtension('1.3.6.1.4.1.99999.1', critical, Uint8Array.of(5, 0));

  test('unknown ones are refused where they are critical, and only there', async () => {
    await refused(Failure.Untrusted, /critical/, [makeLeaf(root, { extensions: [unknown(true)] })]);
    const odd = makeIntermediate(root, { extensions: [unknown(true)] });
    await refused(Failure.Untrusted, /critical/, [makeLeaf(odd), odd]);
    expect((await check([makeLeaf(root, { extensions: [unknown(false)] })])).path).toHaveLength(2);
  });

  test('twice the same', async () => {
    await refused(Failure.Untrusted, /twice/, [makeLeaf(root, { extensions: [unknown(false), unknown(false)] })]);
  });

  test('requireExplicitPolicy', async () => {
    const value = new pkijs.PolicyConstraints({ requireExplicitPolicy: 0 }).toSchema().toBER();
    const strict = makeIntermediate(root, { extensions: [makeExtension('2.5.29.36', true, value)] });
    await refused(Failure.Untrusted, /policies/, [makeLeaf(strict), strict]);
  });

  test('a certificate that cannot be read', async () => {
    await refused(Failure.Untrusted, /cannot be read/, [{ ...leaf, der: leaf.der.subarray(0, 100) }]);
    await refused(Failure.Untrusted, /1 to 16/, []);
    expect((await check([leaf, { ...leaf, der: Uint8Array.of(1, 2, 3) }])).path).toHaveLength(2);
  });

  test('an extension that cannot be read', async () => {
    const broken = makeExtension('2.5.29.30', true, Uint8Array.of(4, 1, 0));
    const odd = makeIntermediate(root, { extensions: [broken] });
    await refused(Failure.Untrusted, /./, [makeLeaf(odd), odd]);
    await refused(Failure.Untrusted, /cannot be read/, [makeLeaf(root, { extensions: [broken] })]);
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
      extensions: [makeExtension('2.5.29.30', true, new pkijs.NameConstraints(parameters).toSchema().toBER())],
    });

  test('permitted domain', async () => {
    const ca = constrained({ permittedSubtrees: [dns('time.example')] });
    expect((await check([makeLeaf(ca, { dns: ['time.example', 'a.time.example'] }), ca])).path).toHaveLength(3);
    const outside = makeLeaf(ca, { dns: ['time.example', 'xtime.example'] });
    await refused(Failure.Untrusted, /"xtime.example" is not permitted/, [outside, ca]);
  });

  test('excluded domain, also behind a wildcard', async () => {
    const ca = constrained({ excludedSubtrees: [dns('secret.time.example')] });
    const wild = makeLeaf(ca, { dns: ['*.time.example'] });
    expect((await check([wild, ca], { host: 'open.time.example' })).path).toHaveLength(3);
    await refused(Failure.Untrusted, /is excluded/, [wild, ca], { host: 'secret.time.example' });
  });

  test('addresses', async () => {
    const ca = constrained({ permittedSubtrees: [ip(10, 0, 0, 0, 255, 0, 0, 0)] });
    expect((await check([makeLeaf(ca, { ip: ['10.1.2.3'] }), ca], { host: '10.1.2.3' })).path).toHaveLength(3);
    const outside = makeLeaf(ca, { ip: ['10.1.2.3', '192.0.2.1'] });
    await refused(Failure.Untrusted, /not permitted/, [outside, ca], { host: '10.1.2.3' });
    const six = constrained({
      excludedSubtrees: [ip(0x20, 1, 0xd, 0xb8, ...Array(12).fill(0), ...Array(4).fill(255), ...Array(12).fill(0))],
    });
    const inside = makeLeaf(six, { ip: ['2001:db8::1'] });
    await refused(Failure.Untrusted, /excluded/, [inside, six], { host: '2001:db8::1' });
  });

  test('directory names', async () => {
    const name = new pkijs.RelativeDistinguishedNames({
      typesAndValues: [
        new pkijs.AttributeTypeAndValue({ type: '2.5.4.3', value: new asn1js.Utf8String({ value: 'time.example' }) }),
      ],
    });
    const base = new pkijs.GeneralName({ type: 4, value: name });
    const permitted = constrained({ permittedSubtrees: [new pkijs.GeneralSubtree({ base })] });
    expect((await check([makeLeaf(permitted), permitted])).path).toHaveLength(3);
    await refused(Failure.Untrusted, /subject is not permitted/, [makeLeaf(permitted, { name: 'b' }), permitted]);
    const excluded = constrained({ excludedSubtrees: [new pkijs.GeneralSubtree({ base })] });
    await refused(Failure.Untrusted, /subject is excluded/, [makeLeaf(excluded), excluded]);
  });
});
