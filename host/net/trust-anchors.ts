// Trust anchors: the certificates that a path may end in, from the system and from files.
// The system's bundle counts before node's built-in list, so that an administrator who removes an authority from the
// system has removed it here too; SSL_CERT_FILE names another bundle, as for OpenSSL.
import { existsSync } from 'node:fs';
import { rootCertificates } from 'node:tls';
import { FileError, readTextWithin } from '../files.ts';
import { type ParsedCertificate, parseCertificate } from './certificate.ts';

/** Where distributions keep their bundle: Debian, Fedora, openSUSE, Alpine. */
const bundles = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/etc/ssl/cert.pem',
];

/** Some fifty times a distribution's bundle. */
const limitBytes = 16 << 20;

/** A file of trust anchors that cannot be used. */
export class TrustAnchorError extends Error {
  readonly code = 'trust-anchors';

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'TrustAnchorError';
  }
}

export interface TrustAnchorOptions {
  /** Whether the system's authorities are trusted. */
  readonly system: boolean;
  /** PEM files with one or more certificates. */
  readonly files?: readonly string[];
}

/** A set of trust anchors. */
export class TrustAnchors {
  readonly #byDer = new Map<string, ParsedCertificate>();

  constructor(certificates: Iterable<Uint8Array> = []) {
    for (const der of certificates) this.add(der);
  }

  /** Adds one certificate (DER). */
  add(der: Uint8Array): void {
    const key = keyOf(der);
    if (!this.#byDer.has(key)) this.#byDer.set(key, parseCertificate(der));
  }

  get size(): number {
    return this.#byDer.size;
  }

  has(der: Uint8Array): boolean {
    return this.#byDer.has(keyOf(der));
  }

  [Symbol.iterator](): Iterator<ParsedCertificate> {
    return this.#byDer.values();
  }
}

function keyOf(der: Uint8Array): string {
  return Buffer.from(der).toString('base64');
}

/**
 * Loads trust anchors.
 * @throws TrustAnchorError when a file cannot be read or holds no certificate, or when there is no anchor at all.
 */
export function loadTrustAnchors(options: TrustAnchorOptions): TrustAnchors {
  const anchors = new TrustAnchors();
  if (options.system) {
    // One odd certificate in a distribution's bundle must not take all the others with it.
    for (const der of systemCertificates()) {
      try {
        anchors.add(der);
      } catch {}
    }
  }
  for (const file of options.files ?? []) {
    const certificates = splitPem(readText(file));
    if (certificates.length === 0) {
      throw new TrustAnchorError(`${file}: expected certificates in PEM (-----BEGIN CERTIFICATE-----), found none`);
    }
    for (const [index, der] of certificates.entries()) {
      try {
        anchors.add(der);
      } catch (cause) {
        throw new TrustAnchorError(`${file}: certificate ${index + 1} cannot be read; replace or remove it`, { cause });
      }
    }
  }
  if (anchors.size === 0) {
    throw new TrustAnchorError('no trust anchor: trust the system, or name a file with certificates');
  }
  return anchors;
}

/** The certificates (DER) of a PEM text; other blocks are passed over. */
export function splitPem(text: string): Uint8Array[] {
  const blocks = text.matchAll(/-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----([^-]+)-----END/g);
  return Array.from(blocks, (block) => new Uint8Array(Buffer.from(block[1]!, 'base64')));
}

function systemCertificates(): Uint8Array[] {
  const chosen = process.env.SSL_CERT_FILE;
  if (chosen) return splitPem(readText(chosen));
  const bundle = bundles.find((path) => existsSync(path));
  return splitPem(bundle === undefined ? rootCertificates.join('\n') : readText(bundle));
}

function readText(file: string): string {
  try {
    return readTextWithin(file, limitBytes);
  } catch (cause) {
    if (!(cause instanceof FileError)) throw cause;
    throw new TrustAnchorError(`${file}: the certificates cannot be read: ${cause.reason}`, { cause });
  }
}
