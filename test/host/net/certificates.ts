// Makes certificates for tests: each with exactly the fields that a test asks for, right or wrong.
// Built by hand from pkijs's structures and signed with node:crypto, so that nothing corrects what is to be wrong.
import { constants, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import { isIP } from 'node:net';
import * as asn1js from 'asn1js';
import * as pkijs from 'pkijs';

/** Those that end in sha1 sign with it. */
export type KeyKind = 'p256' | 'p384' | 'rsa2048' | 'rsa1024' | 'ed25519' | 'pss2048' | 'rsa-sha1' | 'pss-sha1';

export interface Issued {
  readonly name: string;
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
  readonly kind: KeyKind;
  readonly der: Uint8Array;
  readonly pem: string;
  readonly keyPem: string;
}

export interface CertificateOptions {
  /** Common name; `''` for an empty subject. */
  readonly name: string;
  /** Self-signed without one. */
  readonly issuer?: Issued;
  /** Keys of another certificate, for cross-signing. */
  readonly keysOf?: Issued;
  readonly kind?: KeyKind;
  /** CA flag with its path length; `false` writes the extension without the flag. */
  readonly ca?: { readonly pathLength?: number } | false;
  /** `KeyUsageFlags`. */
  readonly keyUsage?: number;
  /** Object identifiers. */
  readonly extKeyUsage?: string[];
  readonly dns?: string[];
  readonly ip?: string[];
  readonly notBefore?: Date;
  readonly notAfter?: Date;
  readonly extensions?: pkijs.Extension[];
  /** ECDSA with SHA-1 instead of SHA-256. */
  readonly hash?: 'SHA-1' | 'SHA-256';
  /** Signs with another key than the issuer's. */
  readonly signedBy?: Issued;
}

export const serverAuth = '1.3.6.1.5.5.7.3.1';
export const clientAuth = '1.3.6.1.5.5.7.3.2';

/** First byte of keyUsage (RFC 5280 4.2.1.3). */
export enum KeyUsageFlags {
  digitalSignature = 0x80,
  keyEncipherment = 0x20,
  keyCertSign = 0x04,
  cRLSign = 0x02,
}

export const day = 86_400_000;

/** An extension with this content (DER). */
export function makeExtension(oid: string, critical: boolean, content: Uint8Array | ArrayBuffer): pkijs.Extension {
  const extnValue = content instanceof ArrayBuffer ? content : Uint8Array.from(content).buffer;
  return new pkijs.Extension({ extnID: oid, critical, extnValue });
}

/** Makes one certificate; valid from yesterday for 30 days unless told otherwise. */
export function issue(options: CertificateOptions): Issued {
  const kind = options.keysOf?.kind ?? options.kind ?? 'p256';
  const { publicKey, privateKey } = options.keysOf ?? makeKeys(kind);
  const signer = options.signedBy ?? options.issuer ?? { privateKey, kind };

  const certificate = new pkijs.Certificate();
  certificate.version = 2;
  const serial = randomBytes(8);
  serial[0] = 1;
  certificate.serialNumber = new asn1js.Integer({ valueHex: Uint8Array.from(serial).buffer });
  certificate.subject = nameOf(options.name);
  certificate.issuer = nameOf(options.issuer?.name ?? options.name);
  certificate.notBefore = timeOf(options.notBefore ?? new Date(Date.now() - day));
  certificate.notAfter = timeOf(options.notAfter ?? new Date(Date.now() + 30 * day));
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  certificate.subjectPublicKeyInfo = pkijs.PublicKeyInfo.fromBER(Uint8Array.from(spki));
  const extensions = extensionsOf(options);
  if (extensions.length > 0) certificate.extensions = extensions;

  const { algorithm, make } = signatureOf(signer.kind, options.hash ?? 'SHA-256', signer.privateKey);
  certificate.signature = algorithm;
  certificate.signatureAlgorithm = algorithm;
  const toSign = certificate.encodeTBS().toBER();
  certificate.signatureValue = new asn1js.BitString({ valueHex: Uint8Array.from(make(Buffer.from(toSign))).buffer });
  const der = new Uint8Array(certificate.toSchema(true).toBER());
  const base64 = Buffer.from(der)
    .toString('base64')
    .match(/.{1,64}/g)!
    .join('\n');
  return {
    name: options.name,
    publicKey,
    privateKey,
    kind,
    der,
    pem: `-----BEGIN CERTIFICATE-----\n${base64}\n-----END CERTIFICATE-----\n`,
    keyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  };
}

function makeKeys(kind: KeyKind): { publicKey: KeyObject; privateKey: KeyObject } {
  switch (kind) {
    case 'p256':
      return generateKeyPairSync('ec', { namedCurve: 'P-256' });
    case 'p384':
      return generateKeyPairSync('ec', { namedCurve: 'P-384' });
    case 'ed25519':
      return generateKeyPairSync('ed25519');
    default:
      return generateKeyPairSync('rsa', { modulusLength: kind === 'rsa1024' ? 1024 : 2048 });
  }
}

function signatureOf(kind: KeyKind, ecHash: string, key: KeyObject) {
  const algorithmOf = (algorithmId: string, algorithmParams?: unknown) =>
    new pkijs.AlgorithmIdentifier({ algorithmId, ...(algorithmParams === undefined ? {} : { algorithmParams }) });
  switch (kind) {
    case 'p256':
    case 'p384': {
      const oid = ecHash === 'SHA-1' ? '1.2.840.10045.4.1' : '1.2.840.10045.4.3.2';
      return { algorithm: algorithmOf(oid), make: (data: Buffer) => sign(ecHash, data, key) };
    }
    case 'ed25519':
      return { algorithm: algorithmOf('1.3.101.112'), make: (data: Buffer) => sign(null, data, key) };
    case 'pss2048':
    case 'pss-sha1': {
      const sha1 = kind === 'pss-sha1';
      const hashAlgorithm = algorithmOf(sha1 ? '1.3.14.3.2.26' : '2.16.840.1.101.3.4.2.1', new asn1js.Null());
      const saltLength = sha1 ? 20 : 32;
      const parameters = new pkijs.RSASSAPSSParams({
        hashAlgorithm,
        maskGenAlgorithm: algorithmOf('1.2.840.113549.1.1.8', hashAlgorithm.toSchema()),
        saltLength,
      });
      const padding = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength };
      return {
        algorithm: algorithmOf('1.2.840.113549.1.1.10', parameters.toSchema()),
        make: (data: Buffer) => sign(sha1 ? 'SHA-1' : 'SHA-256', data, { key, ...padding }),
      };
    }
    default: {
      const sha1 = kind === 'rsa-sha1';
      return {
        algorithm: algorithmOf(sha1 ? '1.2.840.113549.1.1.5' : '1.2.840.113549.1.1.11', new asn1js.Null()),
        make: (data: Buffer) => sign(sha1 ? 'SHA-1' : 'SHA-256', data, key),
      };
    }
  }
}

function extensionsOf(options: CertificateOptions): pkijs.Extension[] {
  const extensions: pkijs.Extension[] = [];
  if (options.ca !== undefined) {
    const pathLenConstraint = options.ca ? options.ca.pathLength : undefined;
    const basic = new pkijs.BasicConstraints({
      cA: options.ca !== false,
      ...(pathLenConstraint === undefined ? {} : { pathLenConstraint }),
    });
    extensions.push(makeExtension('2.5.29.19', true, basic.toSchema().toBER()));
  }
  if (options.keyUsage !== undefined) {
    const bits = new asn1js.BitString({ valueHex: Uint8Array.of(options.keyUsage).buffer, unusedBits: 0 });
    extensions.push(makeExtension('2.5.29.15', true, bits.toBER()));
  }
  if (options.extKeyUsage) {
    const usage = new pkijs.ExtKeyUsage({ keyPurposes: options.extKeyUsage });
    extensions.push(makeExtension('2.5.29.37', false, usage.toSchema().toBER()));
  }
  const altNames = [
    ...(options.dns ?? []).map((value) => new pkijs.GeneralName({ type: 2, value })),
    ...(options.ip ?? []).map(
      (text) => new pkijs.GeneralName({ type: 7, value: new asn1js.OctetString({ valueHex: addressOf(text) }) }),
    ),
  ];
  if (altNames.length > 0) {
    extensions.push(makeExtension('2.5.29.17', false, new pkijs.AltName({ altNames }).toSchema().toBER()));
  }
  return [...extensions, ...(options.extensions ?? [])];
}

function nameOf(name: string): pkijs.RelativeDistinguishedNames {
  const value = new asn1js.Utf8String({ value: name });
  const typesAndValues = name === '' ? [] : [new pkijs.AttributeTypeAndValue({ type: '2.5.4.3', value })];
  return new pkijs.RelativeDistinguishedNames({ typesAndValues });
}

/** UTCTime up to 2049, GeneralizedTime from 2050 on (RFC 5280 4.1.2.5). */
function timeOf(value: Date): pkijs.Time {
  return new pkijs.Time({ type: value.getUTCFullYear() < 2050 ? 0 : 1, value });
}

function addressOf(text: string): ArrayBuffer {
  if (isIP(text) === 4) return Uint8Array.from(text.split('.'), Number).buffer;
  const [head = '', tail = ''] = text.split('::');
  const words = (part: string) => (part === '' ? [] : part.split(':').map((word) => Number.parseInt(word, 16)));
  const middle = new Array<number>(8 - words(head).length - words(tail).length).fill(0);
  return Uint8Array.from([...words(head), ...middle, ...words(tail)].flatMap((word) => [word >> 8, word & 0xff]))
    .buffer;
}

/** A root with the usual extensions. */
export function makeRoot(name = 'Test Root', more: Partial<CertificateOptions> = {}): Issued {
  return issue({
    name,
    ca: {},
    keyUsage: KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign,
    notBefore: new Date(Date.now() - 365 * day),
    notAfter: new Date(Date.now() + 3650 * day),
    ...more,
  });
}

/** A CA certificate below `issuer`. */
export function makeIntermediate(issuer: Issued, more: Partial<CertificateOptions> = {}): Issued {
  return issue({
    name: 'Test Intermediate',
    issuer,
    ca: {},
    keyUsage: KeyUsageFlags.keyCertSign,
    notBefore: new Date(Date.now() - 100 * day),
    notAfter: new Date(Date.now() + 1000 * day),
    ...more,
  });
}

/** A server's certificate for time.example and localhost. */
export function makeLeaf(issuer: Issued | undefined, more: Partial<CertificateOptions> = {}): Issued {
  return issue({
    name: 'time.example',
    ...(issuer ? { issuer } : {}),
    keyUsage: KeyUsageFlags.digitalSignature,
    extKeyUsage: [serverAuth],
    dns: ['time.example', 'localhost'],
    ...more,
  });
}
