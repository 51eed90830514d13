// The second judge of certificate paths: it refuses what is wrong by itself, accepts every kind that may hold, and its
// refusal alone is enough. What it refuses though RFC 5280 would not is pinned here too.
import { generateKeyPairSync } from 'node:crypto';
import * as asn1js from 'asn1js';
import * as pkijs from 'pkijs';
import { beforeAll, describe, expect, test } from 'vitest';
import { Failure } from '../../../as/abi/codes.ts';
import { parseCertificate } from '../../../host/net/certificate.ts';
import { checkCertificatePath } from '../../../host/net/certificate-path.ts';
import { judgePath } from '../../../host/net/path-judge.ts';
import { TrustAnchors } from '../../../host/net/trust-anchors.ts';
import {
  type CertificateOptions,
  day,
  type Issued,
  issue,
  type KeyKind,
  makeExtension,
  makeIntermediate,
  makeLeaf,
  makeRoot,
} from './certificates.ts';

const now = BigInt(Math.floor(Date.now() / 1000));
const daySeconds = 86_400n;
let root: Issued;

beforeAll(() => {
  root = makeRoot();
});

const judge = (path: Issued[], at = now) =>
  judgePath(
    path.map((one) => parseCertificate(one.der)),
    at,
  );

/** The whole check, the last of `path` being the anchor. */
const check = (path: Issued[], validAt: bigint | 'any' = now) =>
  checkCertificatePath({
    sent: path.slice(0, -1).map((one) => one.der),
    anchors: new TrustAnchors([path.at(-1)!.der]),
    host: 'time.example',
    validAt: validAt === 'any' ? undefined : validAt,
  });

/** Our own checks accept, pkijs does not. */
async function refusedByJudgeAlone(text: RegExp, path: Issued[]): Promise<void> {
  for (const validAt of [now, 'any'] as const) {
    await expect(check(path, validAt)).rejects.toMatchObject({
      failure: Failure.Untrusted,
      message: expect.stringMatching(
        new RegExp(`passes the gateway's own checks, but pkijs refuses it: .*${text.source}`),
      ),
    });
  }
}

const anyPolicy = '2.5.29.32.0';
const [policyA, policyB] = ['1.3.6.1.4.1.99999.1', '1.3.6.1.4.1.99999.2'];

function policies(...identifiers: string[]): pkijs.Extension {
  const certificatePolicies = identifiers.map((policyIdentifier) => new pkijs.PolicyInformation({ policyIdentifier }));
  return makeExtension('2.5.29.32', false, new pkijs.CertificatePolicies({ certificatePolicies }).toSchema().toBER());
}

function mapping(issuerDomainPolicy: string, subjectDomainPolicy: string): pkijs.Extension {
  const mappings = [new pkijs.PolicyMapping({ issuerDomainPolicy, subjectDomainPolicy })];
  return makeExtension('2.5.29.33', true, new pkijs.PolicyMappings({ mappings }).toSchema().toBER());
}

function inhibitMapping(): pkijs.Extension {
  const constraints = new pkijs.PolicyConstraints({ inhibitPolicyMapping: 0 });
  return makeExtension('2.5.29.36', true, constraints.toSchema().toBER());
}

function constraints(which: 'permittedSubtrees' | 'excludedSubtrees', base: pkijs.GeneralName): pkijs.Extension {
  const value = new pkijs.NameConstraints({ [which]: [new pkijs.GeneralSubtree({ base })] });
  return makeExtension('2.5.29.30', true, value.toSchema().toBER());
}

const dnsName = (value: string) => new pkijs.GeneralName({ type: 2, value });

function directoryName(commonName: string): pkijs.GeneralName {
  const value = new asn1js.Utf8String({ value: commonName });
  const typesAndValues = [new pkijs.AttributeTypeAndValue({ type: '2.5.4.3', value })];
  return new pkijs.GeneralName({ type: 4, value: new pkijs.RelativeDistinguishedNames({ typesAndValues }) });
}

/** From the leaf to the root, `extensions` on the two issuers and the leaf. */
function pathWith(
  outer: pkijs.Extension[],
  inner: pkijs.Extension[],
  leaf: pkijs.Extension[],
  anchor = root,
): Issued[] {
  const first = makeIntermediate(anchor, { name: 'Outer', extensions: outer });
  const second = makeIntermediate(first, { name: 'Inner', extensions: inner });
  return [makeLeaf(second, { extensions: leaf }), second, first, anchor];
}

describe('what it accepts', () => {
  test.each<KeyKind>(['p256', 'p384', 'rsa2048', 'pss2048', 'ed25519'])('%s', async (kind) => {
    const anchor = makeRoot('Root', { kind });
    const intermediate = makeIntermediate(anchor, { kind });
    const leaf = makeLeaf(intermediate, { kind });
    expect(await judge([leaf, intermediate, anchor])).toBeUndefined();
    // The anchor need not be self-signed.
    expect(await judge([leaf, intermediate])).toBeUndefined();
  });

  test.each([
    ['P-521', 'p256', () => generateKeyPairSync('ec', { namedCurve: 'P-521' })],
    ['brainpoolP256r1', 'p256', () => generateKeyPairSync('ec', { namedCurve: 'brainpoolP256r1' })],
    ['RSASSA-PSS only', 'pss2048', () => generateKeyPairSync('rsa-pss', { modulusLength: 2048 })],
  ] as const)('an issuer with a key of kind %s', async (_, kind, makeKeys) => {
    const keysOf = { ...root, ...makeKeys(), kind };
    const anchor = issue({ name: 'Root', ca: {}, keysOf });
    expect(await judge([makeLeaf(anchor), anchor])).toBeUndefined();
    expect((await check([makeLeaf(anchor), anchor])).path).toHaveLength(2);
  });

  test('ECDSA signatures of every length', async () => {
    const parsed = parseCertificate(root.der);
    const lengths = new Set<number>();
    for (let times = 0; times < 300; times++) {
      const leaf = parseCertificate(issue({ name: 'time.example', issuer: root, keysOf: root }).der);
      lengths.add(leaf.asn1.signatureValue.valueBlock.valueHexView.length);
      expect(await judgePath([leaf, parsed], now), Buffer.from(leaf.der).toString('base64')).toBeUndefined();
    }
    expect(lengths.size).toBeGreaterThan(2);
  });

  test('the one certificate of a path that is an anchor itself', async () => {
    expect(await judge([makeLeaf(undefined)])).toBeUndefined();
  });

  test('dates beyond 2050, to the last that there is', async () => {
    const notAfter = new Date(Date.UTC(9999, 11, 31, 23, 59, 59));
    const far = makeRoot('Far', { notAfter });
    const path = [makeLeaf(far, { notAfter }), far];
    const last = BigInt(notAfter.getTime() / 1000);
    expect(await judge(path, last)).toBeUndefined();
    expect(await judge(path, last + 1n)).toMatch(/expired/);
  });

  test('self-issued certificates, names that hold, policies', async () => {
    const renewed = issue({ name: 'Test Root', issuer: root, ca: {} });
    expect(await judge([makeLeaf(renewed), renewed, root])).toBeUndefined();
    const named = makeIntermediate(root, { extensions: [constraints('permittedSubtrees', dnsName('time.example'))] });
    expect(await judge([makeLeaf(named, { dns: ['a.time.example'] }), named, root])).toBeUndefined();
    expect(await judge(pathWith([policies(anyPolicy)], [policies(policyA)], []))).toBeUndefined();
    expect(
      await judge(pathWith([policies(policyA)], [policies(policyA), mapping(policyA, policyB)], [policies(policyB)])),
    ).toBeUndefined();
    expect(await judge(pathWith([inhibitMapping()], [], []))).toBeUndefined();
  });

  test('a key that comes twice in a path, under two names', async () => {
    const upper = makeIntermediate(root, { name: 'Upper' });
    const middle = makeIntermediate(upper, { name: 'Middle' });
    const lower = issue({ name: 'Lower', issuer: middle, keysOf: upper, ca: {} });
    expect(await judge([makeLeaf(lower), lower, middle, upper, root])).toBeUndefined();
  });
});

describe('what it refuses by itself', () => {
  const both = async (text: RegExp, path: Issued[], at = now) => {
    expect(await judge(path, at)).toMatch(text);
    await expect(check(path, at)).rejects.toHaveProperty('failure');
  };

  test.each<KeyKind>(['p256', 'p384', 'rsa2048', 'pss2048'])('a signature by another key (%s)', async (kind) => {
    const [anchor, impostor] = [makeRoot('Root', { kind }), makeRoot('Root', { kind })];
    await both(/^the signature on "time.example" is not by "Root"$/, [
      makeLeaf(anchor, { signedBy: impostor }),
      anchor,
    ]);
  });

  test('an issuer that is none', async () => {
    const forger = makeLeaf(root, { name: 'Forger' });
    await both(/not a CA/, [makeLeaf(forger), forger, root]);
    const flagless = issue({ name: 'Flagless', issuer: root });
    await both(/not a CA/, [makeLeaf(flagless), flagless, root]);
  });

  test('names that do not chain', async () => {
    const other = issue({ name: 'Other', issuer: root, ca: {}, keysOf: root });
    expect(await judge([makeLeaf(root), other, root])).toMatch(/name chaining/);
  });

  test('dates', async () => {
    const path = [makeLeaf(root), root];
    await both(/expired/, path, now + 31n * daySeconds);
    await both(/expired/, path, now - 2n * daySeconds);
  });

  test('names that are not permitted or are excluded', async () => {
    await both(/permitted/, pathWith([constraints('permittedSubtrees', dnsName('other.example'))], [], []));
    await both(/excluded/, pathWith([constraints('excludedSubtrees', dnsName('time.example'))], [], []));
  });
});

describe('its refusal alone is enough', () => {
  test.each<KeyKind>(['p256', 'ed25519'])('a mapping of any policy (RFC 5280 6.1.4 a), root %s', async (kind) => {
    const anchor = makeRoot('Test Root', { kind });
    const path = pathWith([], [mapping(anyPolicy, policyB)], [policies(policyB)], anchor);
    await refusedByJudgeAlone(/anyPolicy/, path);
    // The same without the mapping holds for both.
    expect((await check(pathWith([], [], [policies(policyB)], anchor))).path).toHaveLength(4);
  });

  // Valid by RFC 5280, as no policy is asked for; documented as refused.
  test('mappings that are inhibited', async () => {
    const inner = [policies(policyA), mapping(policyA, policyB)];
    await refusedByJudgeAlone(/mapping prohibited/, pathWith([inhibitMapping()], inner, [policies(policyB)]));
  });

  test('mappings above a certificate without policies', async () => {
    const inner = [policies(policyA), mapping(policyA, policyB)];
    await refusedByJudgeAlone(/cannot process/, pathWith([], inner, []));
  });

  test('a permitted DNS name of zero length', async () => {
    await refusedByJudgeAlone(/permitted/, pathWith([constraints('permittedSubtrees', dnsName(''))], [], []));
  });

  test('an excluded directory name above an empty subject', async () => {
    const ca = makeIntermediate(root, { extensions: [constraints('excludedSubtrees', directoryName('Other'))] });
    const leaf: Partial<CertificateOptions> = { name: '' };
    await refusedByJudgeAlone(/excluded/, [makeLeaf(ca, leaf), ca, root]);
  });
});

describe('the time at which it judges', () => {
  test('without a date, one within the window of the path', async () => {
    const at = (days: number) => new Date(Date.now() + days * day);
    const early = makeRoot('Early', { notBefore: at(-900), notAfter: at(-500) });
    const leaf = makeLeaf(early, { notBefore: at(-501), notAfter: at(100) });
    expect((await check([leaf, early], 'any')).notAfter).toBeLessThan(now);
  });

  test('a path whose certificates are never valid together', async () => {
    const at = (days: number) => new Date(Date.now() + days * day);
    const old = makeIntermediate(root, { notAfter: at(-50) });
    const leaf = makeLeaf(old, { notBefore: at(-40) });
    await expect(check([leaf, old, root], 'any')).rejects.toMatchObject({
      failure: Failure.Expired,
      message: expect.stringMatching(/valid at no time/),
    });
    // Cross-signed, the other way is taken.
    const fresh = makeIntermediate(root, { keysOf: old });
    expect((await check([leaf, old, fresh, root], 'any')).path).toHaveLength(3);
  });
});

test('finding and judging a path takes less than 20 ms', async () => {
  const anchor = makeRoot('Root', { kind: 'p384' });
  const intermediate = makeIntermediate(anchor, { kind: 'p384' });
  const path = [makeLeaf(intermediate), intermediate, anchor];
  let leastMs = Number.POSITIVE_INFINITY;
  for (let times = 0; times < 20; times++) {
    // Of processors' time: others may keep them.
    const before = process.cpuUsage();
    await check(path);
    const { user, system } = process.cpuUsage(before);
    leastMs = Math.min(leastMs, (user + system) / 1_000);
  }
  expect(leastMs).toBeGreaterThan(0);
  expect(leastMs).toBeLessThan(20);
});
