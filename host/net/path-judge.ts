// The second judge of a certificate path: pkijs's CertificateChainValidationEngine (RFC 5280 6), independent of the
// checks in certificate-path.ts. It judges signatures, name chaining, CA flags and keyCertSign, name constraints, policies
// and dates; path lengths, extended key usages, unknown critical extensions and the server's name it does not.
//
// What always holds:
// - It is given one path, in order, with its one anchor. Left to search, it follows certificates that issue each other
//   without end, and even one path can hold such a pair under different names.
// - A path of one certificate is not judged: that is a trust anchor itself, byte for byte, so nothing was issued
//   (RFC 5280 6.1), and pkijs would ask a server's pinned certificate to be a CA.
// - A signature by an Ed25519, Ed448 or Brainpool key is left to OpenSSL, which has checked it when the path was found:
//   pkijs has no such keys. All else of such a path is judged.
// - Where pkijs is stricter than RFC 5280 the path is refused: policy mappings that are inhibited or meet a certificate
//   without policies, a permitted DNS name of zero length, an excluded directory name above an empty subject, and
//   RSASSA-PSS with different hashes for message and mask.
import { webcrypto } from 'node:crypto';
import { CertificateChainValidationEngine, CryptoEngine } from 'pkijs';
import type { ParsedCertificate } from './certificate.ts';

const crypto = new CryptoEngine({ crypto: webcrypto as unknown as Crypto });

/** Curves whose signatures pkijs checks, as OpenSSL calls them. */
const knownCurves = new Set(['prime256v1', 'secp384r1', 'secp521r1']);

/**
 * Says why pkijs refuses `path` (from the server's certificate to the anchor) at `atUnixSeconds`; undefined when it
 * accepts it. The signatures must have been checked before.
 */
export async function judgePath(
  path: readonly ParsedCertificate[],
  atUnixSeconds: bigint,
): Promise<string | undefined> {
  if (path.length === 1) return undefined;
  const certificates = path.map((certificate) => certificate.asn1);
  let wrongSignature: string | undefined;
  const engine = new CertificateChainValidationEngine({
    trustedCerts: certificates.slice(-1),
    // The one to be judged is the last.
    certs: certificates.slice(0, -1).reverse(),
    checkDate: new Date(Number(atUnixSeconds) * 1000),
    findIssuer: async (certificate) => {
      const at = certificates.indexOf(certificate);
      const [child, issuer] = [path[at], path[at + 1]];
      if (child === undefined || issuer === undefined) return [];
      if (!knowsKey(issuer) || (await signatureHolds(child, issuer))) return [issuer.asn1];
      wrongSignature = `the signature on "${child.label}" is not by "${issuer.label}"`;
      return [];
    },
  });
  const verdict = await engine.verify({}, crypto);
  if (wrongSignature !== undefined) return wrongSignature;
  if (verdict.error instanceof TypeError) return `it cannot process what the path says (${verdict.error.message})`;
  if (!verdict.result) return `${verdict.resultMessage} (code ${verdict.resultCode})`;
  const judged = verdict.certificatePath ?? [];
  const same = judged.length === certificates.length && judged.every((one, at) => one === certificates[at]);
  return same ? undefined : `it took a path of ${judged.length} certificates for one of ${path.length}`;
}

function knowsKey({ x509 }: ParsedCertificate): boolean {
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = x509.publicKey;
  return type === 'rsa' || type === 'rsa-pss' || (type === 'ec' && knownCurves.has(details?.namedCurve ?? ''));
}

async function signatureHolds(child: ParsedCertificate, issuer: ParsedCertificate): Promise<boolean> {
  try {
    return await child.asn1.verify(issuer.asn1, crypto);
  } catch {
    return false;
  }
}
