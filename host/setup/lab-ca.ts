// A certificate authority for the lab: demo and tests issue what their servers need, also what no real one would issue
// (expired, for another name, for another use). ECDSA on P-256 with SHA-256. Not for production: keys lie in memory.
import { randomBytes, webcrypto } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { join } from 'node:path';
import * as asn1js from 'asn1js';
import {
  AltName,
  AttributeTypeAndValue,
  BasicConstraints,
  Certificate,
  CryptoEngine,
  Extension,
  ExtKeyUsage,
  GeneralName,
  Time,
} from 'pkijs';

const crypto = webcrypto as unknown as Crypto;
const engine = new CryptoEngine({ name: 'node', crypto });
const dayMs = 86_400_000;

// RFC 5280, sections 4.2.1 and 4.2.1.12.
const oid = {
  commonName: '2.5.4.3',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  keyUsage: '2.5.29.15',
  extendedKeyUsage: '2.5.29.37',
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
  codeSigning: '1.3.6.1.5.5.7.3.3',
} as const;

/** Bits of KeyUsage, most significant first, in the first octet of its bit string (RFC 5280, 4.2.1.3). */
const keyUsageBit = { digitalSignature: 0x80, keyEncipherment: 0x20, keyCertSign: 0x04, crlSign: 0x02 } as const;

export type KeyUsage = keyof typeof keyUsageBit;
export type ExtendedKeyUsage = 'serverAuth' | 'clientAuth' | 'codeSigning';

export interface Validity {
  /** By default a day ago. */
  readonly notBefore?: Date;
  /** By default in 30 days for a leaf, in 10 years for an authority. */
  readonly notAfter?: Date;
}

export interface LeafRequest extends Validity {
  /** DNS names and IP addresses, as they are to stand in subjectAltName. */
  readonly names: readonly string[];
  /** By default digitalSignature. */
  readonly keyUsage?: readonly KeyUsage[];
  /** By default serverAuth; an empty list leaves the extension out. */
  readonly extendedKeyUsage?: readonly ExtendedKeyUsage[];
}

/** A certificate and its key, PEM. */
export interface IssuedCertificate {
  /** The leaf, then the authorities below the root. */
  readonly chainPem: string;
  /** The leaf alone. */
  readonly certificatePem: string;
  /** PKCS #8. */
  readonly privateKeyPem: string;
}

/** Paths of what `writeCertificate` wrote. */
export interface CertificateFiles {
  readonly certificate: string;
  readonly key: string;
}

/** An authority that issues leaves and further authorities. */
export class LabCa {
  private constructor(
    /** This authority's own certificate: the trust anchor when it is a root. */
    readonly certificatePem: string,
    private readonly certificate: Certificate,
    private readonly keys: CryptoKeyPair,
    /** What a server must send besides its own certificate: empty for a root. */
    private readonly intermediatesPem: string,
  ) {}

  /** A root with a key of its own. */
  static async create(name = 'metertime lab root', validity: Validity = {}): Promise<LabCa> {
    const keys = await generateKeys();
    const certificate = await authorityCertificate(name, validity, keys, undefined);
    return new LabCa(toPem('CERTIFICATE', certificate.toSchema(true).toBER()), certificate, keys, '');
  }

  /** An authority below this one. */
  async createIntermediate(name: string, validity: Validity = {}): Promise<LabCa> {
    const keys = await generateKeys();
    const certificate = await authorityCertificate(name, validity, keys, this);
    const pem = toPem('CERTIFICATE', certificate.toSchema(true).toBER());
    return new LabCa(pem, certificate, keys, pem + this.intermediatesPem);
  }

  /** A leaf certificate with a new key. */
  async issue(request: LeafRequest): Promise<IssuedCertificate> {
    const keys = await generateKeys();
    const certificate = newCertificate(request.names[0] ?? 'nameless', request, 30 * dayMs);
    certificate.issuer = this.certificate.subject;
    await certificate.subjectPublicKeyInfo.importKey(keys.publicKey, engine);
    certificate.extensions = [
      extension(oid.basicConstraints, true, new BasicConstraints({ cA: false }).toSchema()),
      keyUsageExtension(request.keyUsage ?? ['digitalSignature']),
      extension(oid.subjectAltName, false, new AltName({ altNames: request.names.map(generalName) }).toSchema()),
    ];
    const uses = request.extendedKeyUsage ?? ['serverAuth'];
    if (uses.length > 0) {
      const keyPurposes = uses.map((use) => oid[use]);
      certificate.extensions.push(extension(oid.extendedKeyUsage, false, new ExtKeyUsage({ keyPurposes }).toSchema()));
    }
    await this.sign(certificate);
    const certificatePem = toPem('CERTIFICATE', certificate.toSchema(true).toBER());
    const privateKeyPem = toPem('PRIVATE KEY', await crypto.subtle.exportKey('pkcs8', keys.privateKey));
    return { certificatePem, chainPem: certificatePem + this.intermediatesPem, privateKeyPem };
  }

  /** Signs a certificate with this authority's key. */
  async sign(certificate: Certificate): Promise<void> {
    await certificate.sign(this.keys.privateKey, 'SHA-256', engine);
  }

  /** This authority's name, as the issuer of others. */
  get subject(): Certificate['subject'] {
    return this.certificate.subject;
  }
}

/**
 * Writes chain and key into a folder, as `NAME.pem` and, with mode 0600, `NAME.key`.
 * @returns their paths
 */
export async function writeCertificate(
  folder: string,
  name: string,
  issued: IssuedCertificate,
): Promise<CertificateFiles> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const files = { certificate: join(folder, `${name}.pem`), key: join(folder, `${name}.key`) };
  await writeFile(files.certificate, issued.chainPem);
  await writeFile(files.key, issued.privateKeyPem, { mode: 0o600 });
  return files;
}

async function authorityCertificate(
  name: string,
  validity: Validity,
  keys: CryptoKeyPair,
  parent: LabCa | undefined,
): Promise<Certificate> {
  const certificate = newCertificate(name, validity, 3650 * dayMs);
  certificate.issuer = parent?.subject ?? certificate.subject;
  await certificate.subjectPublicKeyInfo.importKey(keys.publicKey, engine);
  certificate.extensions = [
    extension(oid.basicConstraints, true, new BasicConstraints({ cA: true }).toSchema()),
    keyUsageExtension(['keyCertSign', 'crlSign']),
  ];
  if (parent === undefined) await certificate.sign(keys.privateKey, 'SHA-256', engine);
  else await parent.sign(certificate);
  return certificate;
}

function newCertificate(commonName: string, validity: Validity, lifetimeMs: number): Certificate {
  const certificate = new Certificate();
  certificate.version = 2; // X.509 v3
  // Positive and 16 bytes long: the first bit clear, the first byte never zero.
  const serial = randomBytes(16);
  serial[0] = (serial[0]! & 0x3f) | 0x40;
  certificate.serialNumber = new asn1js.Integer({ valueHex: new Uint8Array(serial).buffer });
  certificate.subject.typesAndValues.push(
    new AttributeTypeAndValue({ type: oid.commonName, value: new asn1js.Utf8String({ value: commonName }) }),
  );
  certificate.notBefore = time(validity.notBefore ?? new Date(Date.now() - dayMs));
  certificate.notAfter = time(validity.notAfter ?? new Date(Date.now() + lifetimeMs));
  return certificate;
}

/** UTCTime through 2049, GeneralizedTime from 2050 (RFC 5280, 4.1.2.5). */
function time(value: Date): Time {
  return new Time({ type: value.getUTCFullYear() < 2050 ? 0 : 1, value });
}

function generateKeys(): Promise<CryptoKeyPair> {
  return crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign', 'verify']);
}

function extension(extnID: string, critical: boolean, value: asn1js.BaseBlock): Extension {
  return new Extension({ extnID, critical, extnValue: value.toBER(false) });
}

function keyUsageExtension(usages: readonly KeyUsage[]): Extension {
  const octet = usages.reduce((bits, usage) => bits | keyUsageBit[usage], 0);
  // DER: no trailing zero bits.
  const unusedBits = octet === 0 ? 0 : 31 - Math.clz32(octet & -octet);
  const value = new asn1js.BitString({ valueHex: new Uint8Array([octet]).buffer, unusedBits });
  return extension(oid.keyUsage, true, value);
}

function generalName(name: string): GeneralName {
  const family = isIP(name);
  if (family === 0) return new GeneralName({ type: 2, value: name });
  const bytes = family === 4 ? Uint8Array.from(name.split('.'), Number) : ipv6Bytes(name);
  return new GeneralName({ type: 7, value: new asn1js.OctetString({ valueHex: bytes.buffer as ArrayBuffer }) });
}

/** The 16 bytes of an IPv6 address without an IPv4 tail. */
function ipv6Bytes(address: string): Uint8Array {
  const [head = '', tail] = address.split('::');
  const groups = (part: string) => (part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16)));
  const front = groups(head);
  const back = tail === undefined ? [] : groups(tail);
  const all = [...front, ...new Array(8 - front.length - back.length).fill(0), ...back];
  return Uint8Array.from(all.flatMap((group: number) => [group >> 8, group & 0xff]));
}

function toPem(label: string, der: ArrayBuffer): string {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}
