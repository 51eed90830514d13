// Makes certificates for tests: each with exactly the fields that a test asks for, right or wrong.
import { webcrypto } from 'node:crypto';
import 'reflect-metadata';
import * as x509 from '@peculiar/x509';

const crypto = webcrypto as unknown as Crypto;
x509.cryptoProvider.set(crypto);

/** Those that end in sha1 sign with it. */
export type KeyKind = 'p256' | 'p384' | 'rsa2048' | 'rsa1024' | 'ed25519' | 'pss2048' | 'rsa-sha1' | 'pss-sha1';

export interface Issued {
  readonly subject: string;
  readonly keys: CryptoKeyPair;
  readonly kind: KeyKind;
  readonly der: Uint8Array;
  readonly pem: string;
  readonly keyPem: string;
}

export interface CertificateOptions {
  /** `time.example`: becomes the common name; `''` for none. */
  readonly name: string;
  /** Self-signed without one. */
  readonly issuer?: Issued;
  /** Keys of another certificate, for cross-signing. */
  readonly keysOf?: Issued;
  readonly kind?: KeyKind;
  /** CA flag with its path length; `false` writes the extension without the flag. */
  readonly ca?: { readonly pathLength?: number } | false;
  readonly keyUsage?: x509.KeyUsageFlags;
  /** Object identifiers. */
  readonly extKeyUsage?: string[];
  readonly dns?: string[];
  readonly ip?: string[];
  readonly notBefore?: Date;
  readonly notAfter?: Date;
  readonly extensions?: x509.Extension[];
  readonly hash?: 'SHA-1' | 'SHA-256' | 'SHA-384';
  /** Signs with another key than the issuer's. */
  readonly signedBy?: Issued;
}

export const serverAuth = x509.ExtendedKeyUsage.serverAuth;
export const clientAuth = x509.ExtendedKeyUsage.clientAuth;
export const { KeyUsageFlags, Extension } = x509;

const algorithms = {
  p256: { name: 'ECDSA', namedCurve: 'P-256' },
  p384: { name: 'ECDSA', namedCurve: 'P-384' },
  rsa2048: rsa('RSASSA-PKCS1-v1_5', 2048),
  rsa1024: rsa('RSASSA-PKCS1-v1_5', 1024),
  pss2048: rsa('RSA-PSS', 2048),
  'rsa-sha1': { ...rsa('RSASSA-PKCS1-v1_5', 2048), hash: 'SHA-1' },
  'pss-sha1': { ...rsa('RSA-PSS', 2048), hash: 'SHA-1' },
  ed25519: { name: 'Ed25519' },
};

function rsa(name: string, modulusLength: number) {
  return { name, modulusLength, publicExponent: Uint8Array.of(1, 0, 1), hash: 'SHA-256' };
}

export const day = 86_400_000;

/** Makes one certificate; valid from yesterday for 30 days unless told otherwise. */
export async function issue(options: CertificateOptions): Promise<Issued> {
  const kind = options.keysOf?.kind ?? options.kind ?? 'p256';
  const keys =
    options.keysOf?.keys ??
    ((await crypto.subtle.generateKey(algorithms[kind], true, ['sign', 'verify'])) as CryptoKeyPair);
  const signer = options.signedBy ?? options.issuer;
  const signerKind = signer?.kind ?? kind;
  const subject = options.name === '' ? '' : `CN=${options.name}`;
  const extensions: x509.Extension[] = [];
  if (options.ca !== undefined) {
    extensions.push(
      new x509.BasicConstraintsExtension(options.ca !== false, options.ca ? options.ca.pathLength : undefined, true),
    );
  }
  if (options.keyUsage !== undefined) extensions.push(new x509.KeyUsagesExtension(options.keyUsage, true));
  if (options.extKeyUsage) extensions.push(new x509.ExtendedKeyUsageExtension(options.extKeyUsage));
  const names = [
    ...(options.dns ?? []).map((value) => ({ type: 'dns' as const, value })),
    ...(options.ip ?? []).map((value) => ({ type: 'ip' as const, value })),
  ];
  if (names.length > 0) extensions.push(new x509.SubjectAlternativeNameExtension(names));
  extensions.push(...(options.extensions ?? []));

  const certificate = await x509.X509CertificateGenerator.create(
    {
      serialNumber: Buffer.from(
        crypto.getRandomValues(new Uint8Array(8)).map((byte, at) => (at === 0 ? 1 : byte)),
      ).toString('hex'),
      subject,
      issuer: options.issuer?.subject ?? subject,
      notBefore: options.notBefore ?? new Date(Date.now() - day),
      notAfter: options.notAfter ?? new Date(Date.now() + 30 * day),
      publicKey: keys.publicKey,
      signingKey: (signer?.keys ?? keys).privateKey,
      signingAlgorithm: signingAlgorithm(signerKind, options.hash ?? 'SHA-256') as EcdsaParams,
      extensions,
    },
    crypto,
  );
  const der = new Uint8Array(certificate.rawData);
  const pkcs8 = await crypto.subtle.exportKey('pkcs8', keys.privateKey);
  return {
    subject,
    keys,
    kind,
    der,
    pem: certificate.toString('pem'),
    keyPem: x509.PemConverter.encode(pkcs8, 'PRIVATE KEY'),
  };
}

function signingAlgorithm(kind: KeyKind, hash: string): object {
  if (kind === 'ed25519') return { name: 'Ed25519' };
  if (kind.startsWith('pss')) return { name: 'RSA-PSS', hash, saltLength: 32 };
  return kind.startsWith('rsa') ? { name: 'RSASSA-PKCS1-v1_5', hash } : { name: 'ECDSA', hash };
}

/** A root with the usual extensions. */
export function makeRoot(name = 'Test Root', more: Partial<CertificateOptions> = {}): Promise<Issued> {
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
export function makeIntermediate(issuer: Issued, more: Partial<CertificateOptions> = {}): Promise<Issued> {
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
export function makeLeaf(issuer: Issued | undefined, more: Partial<CertificateOptions> = {}): Promise<Issued> {
  return issue({
    name: 'time.example',
    ...(issuer ? { issuer } : {}),
    keyUsage: KeyUsageFlags.digitalSignature,
    extKeyUsage: [serverAuth],
    dns: ['time.example', 'localhost'],
    ...more,
  });
}
