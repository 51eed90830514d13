// One X.509 certificate, read for path validation: what RFC 5280 4 lets it say, and what is wrong with it by itself.
// OpenSSL (node:crypto) matches names and checks signatures; pkijs reads the extensions that OpenSSL does not show.
import { createHash, X509Certificate } from 'node:crypto';
import {
  type BasicConstraints,
  Certificate,
  type ExtKeyUsage,
  type NameConstraints,
  type PolicyConstraints,
  RSASSAPSSParams,
} from 'pkijs';

/** Object identifiers of the extensions that are checked (RFC 5280 4.2.1). */
const oid = {
  subjectKeyIdentifier: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  nameConstraints: '2.5.29.30',
  certificatePolicies: '2.5.29.32',
  policyMappings: '2.5.29.33',
  authorityKeyIdentifier: '2.5.29.35',
  policyConstraints: '2.5.29.36',
  extKeyUsage: '2.5.29.37',
  inhibitAnyPolicy: '2.5.29.54',
  serverAuth: '1.3.6.1.5.5.7.3.1',
  anyExtKeyUsage: '2.5.29.37.0',
} as const;

/**
 * Critical extensions that may stand in a path. Policies are among them without being processed: with any policy
 * acceptable (RFC 5280 6.1.1 c) they can refuse a path only through requireExplicitPolicy, which is refused itself.
 */
const understood = new Set<string>(Object.values(oid));

/** Signatures that are believed: SHA-2 with RSA (both paddings) or ECDSA, and EdDSA. */
const signatures = new Set([
  '1.2.840.113549.1.1.11',
  '1.2.840.113549.1.1.12',
  '1.2.840.113549.1.1.13',
  '1.2.840.10045.4.3.2',
  '1.2.840.10045.4.3.3',
  '1.2.840.10045.4.3.4',
  '1.3.101.112',
  '1.3.101.113',
]);
const rsaPss = '1.2.840.113549.1.1.10';
const sha2 = new Set(['2.16.840.1.101.3.4.2.1', '2.16.840.1.101.3.4.2.2', '2.16.840.1.101.3.4.2.3']);

const curves = new Set([
  'prime256v1',
  'secp384r1',
  'secp521r1',
  'brainpoolP256r1',
  'brainpoolP384r1',
  'brainpoolP512r1',
]);
const leastRsaBits = 2048;

/** Bits of keyUsage (RFC 5280 4.2.1.3), first bit highest. */
enum KeyUsageBit {
  DigitalSignature = 0x80,
  KeyCertSign = 0x04,
}

/** A certificate as people want to see it. */
export interface CertificateSummary {
  readonly subject: string;
  readonly issuer: string;
  /** Unix seconds. */
  readonly notBefore: bigint;
  readonly notAfter: bigint;
  /** As node prints them: `DNS:time.example, IP Address:192.0.2.1`. */
  readonly subjectAltNames: string;
  /** SHA-256 of the certificate, hexadecimal. */
  readonly sha256: string;
  /** Kind of key and its size or curve. */
  readonly key: string;
}

/** One parsed certificate. `defects` are reasons not to believe it wherever it stands in a path. */
export interface ParsedCertificate {
  readonly x509: X509Certificate;
  readonly der: Uint8Array;
  readonly asn1: Certificate;
  readonly summary: CertificateSummary;
  /** Name for messages. */
  readonly label: string;
  readonly selfIssued: boolean;
  /** May issue certificates: the CA flag of basicConstraints and, where keyUsage is present, keyCertSign. */
  readonly mayIssue: boolean;
  readonly pathLength: number | undefined;
  /** keyUsage is absent or has digitalSignature. */
  readonly maySign: boolean;
  /** extKeyUsage is absent or has serverAuth; `anyUsage`: or anyExtendedKeyUsage. */
  readonly serverUsage: boolean;
  readonly anyUsage: boolean;
  readonly nameConstraints: NameConstraints | undefined;
  readonly defects: readonly string[];
  /** Why the certificate's own signature is not believed; of no matter for a trust anchor. */
  readonly weakSignature: string | undefined;
}

/** Certificates that were read last, by the SHA-256 of their bytes: hundreds of meters ask the same few servers. */
const known = new Map<string, ParsedCertificate>();
const mostKnown = 32;

/**
 * Reads one certificate (DER). What it gives is shared, and not to be changed.
 * @throws Error when it is no certificate or an extension that matters cannot be read.
 */
export function parseCertificate(der: Uint8Array): ParsedCertificate {
  const key = createHash('sha256').update(der).digest('base64');
  const certificate = known.get(key) ?? readCertificate(Uint8Array.from(der));
  known.delete(key);
  known.set(key, certificate);
  const [oldest] = known.keys();
  if (known.size > mostKnown) known.delete(oldest!);
  return certificate;
}

function readCertificate(der: Uint8Array): ParsedCertificate {
  const x509 = new X509Certificate(der);
  const asn1 = Certificate.fromBER(Uint8Array.from(der));
  const label = labelOf(x509);
  const defects: string[] = [];
  const extensions = new Map<string, unknown>();
  for (const extension of asn1.extensions ?? []) {
    if (extensions.has(extension.extnID)) defects.push(`"${label}" has extension ${extension.extnID} twice`);
    if (!understood.has(extension.extnID)) {
      if (extension.critical) defects.push(`"${label}" has a critical extension not known here (${extension.extnID})`);
      extensions.set(extension.extnID, undefined);
      continue;
    }
    const value = extension.parsedValue as (object & { parsingError?: string }) | undefined;
    if (value === undefined || value.parsingError !== undefined) {
      throw new Error(`"${label}": extension ${extension.extnID} cannot be read`);
    }
    extensions.set(extension.extnID, value);
  }

  const basic = extensions.get(oid.basicConstraints) as BasicConstraints | undefined;
  const usage = extensions.get(oid.keyUsage) as { valueBlock: { valueHexView: Uint8Array } } | undefined;
  const usageBits = usage === undefined ? 0xff : (usage.valueBlock.valueHexView[0] ?? 0);
  const purposes = (extensions.get(oid.extKeyUsage) as ExtKeyUsage | undefined)?.keyPurposes;
  const policy = extensions.get(oid.policyConstraints) as PolicyConstraints | undefined;
  if (policy?.requireExplicitPolicy !== undefined) defects.push(`"${label}" requires certificate policies`);
  const weakKey = findWeakKey(x509);
  if (weakKey !== undefined) defects.push(`"${label}" has ${weakKey}`);

  return {
    x509,
    der,
    asn1,
    label,
    summary: summarise(x509, asn1),
    selfIssued: x509.subject === x509.issuer,
    mayIssue: basic?.cA === true && (usageBits & KeyUsageBit.KeyCertSign) !== 0,
    pathLength: basic?.pathLenConstraint === undefined ? undefined : pathLengthOf(basic.pathLenConstraint),
    maySign: (usageBits & KeyUsageBit.DigitalSignature) !== 0,
    serverUsage: purposes === undefined || purposes.includes(oid.serverAuth),
    anyUsage: purposes?.includes(oid.anyExtKeyUsage) ?? false,
    nameConstraints: extensions.get(oid.nameConstraints) as NameConstraints | undefined,
    defects,
    weakSignature: findWeakSignature(asn1, label),
  };
}

function pathLengthOf(value: NonNullable<BasicConstraints['pathLenConstraint']>): number {
  const length = typeof value === 'number' ? value : value.valueBlock.valueDec;
  if (length < 0) throw new Error('pathLenConstraint is negative');
  return length;
}

function findWeakKey(x509: X509Certificate): string | undefined {
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = x509.publicKey;
  switch (type) {
    case 'rsa':
    case 'rsa-pss': {
      const bits = details?.modulusLength ?? 0;
      return bits >= leastRsaBits ? undefined : `an RSA key of ${bits} bits (${leastRsaBits} is the least)`;
    }
    case 'ec': {
      const curve = details?.namedCurve ?? 'unnamed';
      return curves.has(curve) ? undefined : `a key on the curve ${curve}, which is not accepted`;
    }
    case 'ed25519':
    case 'ed448':
      return undefined;
    default:
      return `a key of a kind that is not accepted (${type})`;
  }
}

function findWeakSignature(asn1: Certificate, label: string): string | undefined {
  const { algorithmId, algorithmParams } = asn1.signatureAlgorithm;
  if (signatures.has(algorithmId)) return undefined;
  if (algorithmId === rsaPss) {
    const parameters = new RSASSAPSSParams({ schema: algorithmParams });
    const mask = parameters.maskGenAlgorithm.algorithmParams?.valueBlock?.value?.[0]?.valueBlock?.toString();
    if (sha2.has(parameters.hashAlgorithm.algorithmId) && sha2.has(mask)) return undefined;
  }
  return `"${label}" is signed with an algorithm that is not accepted (${algorithmId})`;
}

function summarise(x509: X509Certificate, asn1: Certificate): CertificateSummary {
  const { asymmetricKeyType: type = 'unknown', asymmetricKeyDetails: details } = x509.publicKey;
  const size = details?.modulusLength ?? details?.namedCurve;
  return {
    subject: oneLine(x509.subject),
    issuer: oneLine(x509.issuer),
    notBefore: unixSeconds(asn1.notBefore.value),
    notAfter: unixSeconds(asn1.notAfter.value),
    subjectAltNames: x509.subjectAltName ?? '',
    sha256: createHash('sha256').update(x509.raw).digest('hex'),
    key: size === undefined ? type : `${type} ${size}`,
  };
}

function unixSeconds(date: Date): bigint {
  const ms = date.getTime();
  if (Number.isNaN(ms)) throw new Error('a date cannot be read');
  return BigInt(Math.floor(ms / 1000));
}

function labelOf(x509: X509Certificate): string {
  const lines = (x509.subject ?? '').split('\n');
  const name = lines.find((line) => line.startsWith('CN=')) ?? lines.at(-1) ?? '';
  return name === '' ? (x509.subjectAltName ?? 'no name') : name.slice(name.indexOf('=') + 1);
}

function oneLine(name: string | undefined): string {
  return (name ?? '').split('\n').join(', ');
}
