// Certificate paths from a server to a trust anchor, at the time that a meter gives and never at this machine's
// (RFC 5280 6, RFC 9525 for the name).
// Steps: 1 every path of matching names and holding signatures to an anchor is found, within a budget of work;
// 2 each is checked for CA flags, path lengths, key usage, constraints, strength; 3 name; 4 dates;
// 5 pkijs judges the one that was chosen, and must accept it too (path-judge.ts).
// A refusal is told by what weighs most, so `Expired` says that everything but the dates holds. Revocation is not
// checked: neither CRLs nor OCSP are fetched.
import { createHash } from 'node:crypto';
import { isIP } from 'node:net';
import { Failure } from '../../as/abi/codes.ts';
import { type CertificateSummary, type ParsedCertificate, parseCertificate } from './certificate.ts';
import { addressBytes } from './dns.ts';
import { violatedConstraint } from './name-constraints.ts';
import { judgePath } from './path-judge.ts';
import { errorText, SocketError } from './socket-error.ts';
import type { TrustAnchors } from './trust-anchors.ts';

/** Most certificates that a server may send, that a path may have, and signatures that one search checks. */
const limits = { sent: 16, path: 8, signatures: 64 } as const;

export interface PathRequest {
  /** What the server sent, DER, its own certificate first; the others in any order. */
  readonly sent: readonly Uint8Array[];
  readonly anchors: TrustAnchors;
  /** DNS name or IP address that the certificate must be for. */
  readonly host: string;
  /** Unix seconds at which the whole path must be valid; undefined: at any time at all. */
  readonly validAt: bigint | undefined;
}

export interface CertificatePath {
  /** From the server's certificate to the trust anchor. */
  readonly path: readonly CertificateSummary[];
  /** Unix seconds: latest notBefore and earliest notAfter of the whole path, the anchor's included. */
  readonly notBefore: bigint;
  readonly notAfter: bigint;
  /** SHA-256 of the server's certificate, 32 bytes. */
  readonly fingerprint: Uint8Array;
}

interface Problem {
  readonly failure: Failure.Untrusted | Failure.WrongUsage | Failure.WrongName | Failure.Expired;
  readonly text: string;
}

/** Weight of a refusal; the heaviest of a path is the one told. */
const weight: Record<Problem['failure'], number> = {
  [Failure.Untrusted]: 4,
  [Failure.WrongUsage]: 3,
  [Failure.WrongName]: 2,
  [Failure.Expired]: 1,
};

/**
 * Finds a path that holds; both these checks and pkijs must accept it.
 * @throws SocketError untrusted, wrong-usage, wrong-name or expired.
 */
export async function checkCertificatePath(request: PathRequest): Promise<CertificatePath> {
  const [leaf, ...others] = parseSent(request.sent);
  const { paths, notes } = findPaths(leaf!, others, request.anchors);
  if (paths.length === 0) throw refusal([{ failure: Failure.Untrusted, text: whyNoPath(leaf!, others, notes) }]);

  const host = normaliseHost(request.host);
  const name = nameProblem(leaf!, host);
  const judged = paths.map((path) => {
    const window = windowOf(path);
    const problems = pathProblems(path, host);
    if (name !== undefined) problems.push(name);
    const dates = request.validAt === undefined ? neverProblem(window) : dateProblem(path, request.validAt);
    if (dates !== undefined) problems.push(dates);
    return { path, problems, ...window };
  });
  // Without a date the path that lasts longest is taken, so that the check made later has the best chance.
  judged.sort((a, b) => heaviest(a.problems) - heaviest(b.problems) || Number(b.notAfter - a.notAfter));
  const best = judged[0]!;
  if (best.problems.length > 0) throw refusal(best.problems);
  const doubt = await judgePath(best.path, request.validAt ?? best.notBefore);
  if (doubt !== undefined) {
    const text = `the path to "${best.path.at(-1)!.label}" passes the gateway's own checks, but pkijs refuses it: ${doubt}`;
    throw refusal([{ failure: Failure.Untrusted, text }]);
  }
  return {
    path: best.path.map((certificate) => certificate.summary),
    notBefore: best.notBefore,
    notAfter: best.notAfter,
    fingerprint: new Uint8Array(createHash('sha256').update(leaf!.der).digest()),
  };
}

/** Lower case, no trailing dot; an IP address stays as it is. */
export function normaliseHost(host: string): string {
  return isIP(host) !== 0 ? host : host.toLowerCase().replace(/\.$/, '');
}

/** The server's own certificate must be readable; others that are not are left out, as no path needs them. */
function parseSent(sent: readonly Uint8Array[]): ParsedCertificate[] {
  if (sent.length === 0 || sent.length > limits.sent) {
    const text = `expected 1 to ${limits.sent} certificates from the server, came ${sent.length}`;
    throw refusal([{ failure: Failure.Untrusted, text }]);
  }
  return sent.flatMap((der, index) => {
    try {
      return [parseCertificate(der)];
    } catch (cause) {
      if (index > 0) return [];
      const text = `the server's certificate cannot be read: ${errorText(cause)}`;
      throw refusal([{ failure: Failure.Untrusted, text }], cause);
    }
  });
}

// ---------------------------------------------------------------- step 1: paths

function findPaths(leaf: ParsedCertificate, others: readonly ParsedCertificate[], anchors: TrustAnchors) {
  const paths: ParsedCertificate[][] = [];
  const notes: string[] = [];
  let signaturesLeft: number = limits.signatures;

  const issued = (child: ParsedCertificate, issuer: ParsedCertificate): boolean => {
    if (!child.x509.checkIssued(issuer.x509)) {
      if (child.x509.issuer === issuer.x509.subject && !issuer.mayIssue) notes.push(notIssuer(issuer));
      return false;
    }
    if (signaturesLeft === 0) return false;
    signaturesLeft--;
    if (signatureHolds(child, issuer)) return true;
    notes.push(`the signature on "${child.label}" is not by "${issuer.label}"`);
    return false;
  };

  const extend = (path: ParsedCertificate[]): void => {
    const last = path.at(-1)!;
    if (anchors.has(last.der)) {
      paths.push(path);
      return;
    }
    if (path.length === limits.path) return;
    for (const anchor of anchors) {
      if (issued(last, anchor)) paths.push([...path, anchor]);
    }
    for (const issuer of others) {
      // The same name with the same key twice leads nowhere that the first one does not.
      const known = path.some((one) => one.x509.subject === issuer.x509.subject && sameKey(one, issuer));
      if (!known && !anchors.has(issuer.der) && issued(last, issuer)) extend([...path, issuer]);
    }
  };
  extend([leaf]);
  if (signaturesLeft === 0) notes.push('the search was given up: too many certificates of the same names');
  return { paths, notes };
}

function signatureHolds(child: ParsedCertificate, issuer: ParsedCertificate): boolean {
  try {
    return child.x509.verify(issuer.x509.publicKey);
  } catch {
    return false;
  }
}

function sameKey(a: ParsedCertificate, b: ParsedCertificate): boolean {
  return a.x509.publicKey.equals(b.x509.publicKey);
}

function whyNoPath(leaf: ParsedCertificate, others: readonly ParsedCertificate[], notes: readonly string[]): string {
  if (leaf.x509.checkIssued(leaf.x509) || (leaf.selfIssued && signatureHolds(leaf, leaf))) {
    return `"${leaf.label}" is self-signed and no trust anchor`;
  }
  if (notes.length > 0) return [...new Set(notes)].slice(0, 3).join('; ');
  const chain = [leaf];
  for (let next: ParsedCertificate | undefined = leaf; next !== undefined && chain.length <= others.length; ) {
    const child: ParsedCertificate = next;
    next = others.find((issuer) => !chain.includes(issuer) && child.x509.checkIssued(issuer.x509));
    if (next !== undefined) chain.push(next);
  }
  const last = chain.at(-1)!;
  if (last.selfIssued) return `"${last.label}" is no trust anchor`;
  return `the issuer of "${last.label}" (${last.summary.issuer}) is neither a trust anchor nor sent by the server`;
}

// ---------------------------------------------------------------- step 2: what each path must keep

function pathProblems(path: readonly ParsedCertificate[], host: string): Problem[] {
  const problems: Problem[] = [];
  const untrusted = (text: string) => problems.push({ failure: Failure.Untrusted, text });
  const wrongUsage = (text: string) => problems.push({ failure: Failure.WrongUsage, text });
  const anchorAt = path.length - 1;
  const version = isIP(host);
  const hostName =
    version === 0
      ? host
      : addressBytes({ address: host, family: version === 6 ? 6 : 4 }).subarray(0, version === 6 ? 16 : 4);

  for (const [at, certificate] of path.entries()) {
    for (const defect of certificate.defects) untrusted(defect);
    if (at !== anchorAt && certificate.weakSignature !== undefined) untrusted(certificate.weakSignature);
    if (at === 0) {
      if (!certificate.serverUsage) wrongUsage(`"${certificate.label}" is not for TLS servers (extKeyUsage)`);
      if (!certificate.maySign) wrongUsage(`"${certificate.label}" may not sign handshakes (keyUsage)`);
      continue;
    }
    if (!certificate.mayIssue) untrusted(notIssuer(certificate));
    if (!certificate.serverUsage && !certificate.anyUsage) {
      wrongUsage(`"${certificate.label}" may not issue certificates for TLS servers (extKeyUsage)`);
    }
    const below = path.slice(1, at).filter((one) => !one.selfIssued).length;
    if (certificate.pathLength !== undefined && below > certificate.pathLength) {
      untrusted(`"${certificate.label}" allows ${certificate.pathLength} issuers below it, the path has ${below}`);
    }
    const { nameConstraints } = certificate;
    if (nameConstraints === undefined) continue;
    for (const [under, constrained] of path.slice(0, at).entries()) {
      if (under > 0 && constrained.selfIssued) continue;
      const violation = violatedConstraint(nameConstraints, constrained, under === 0 ? hostName : undefined);
      if (violation !== undefined) untrusted(`"${certificate.label}" constrains names: ${violation}`);
    }
  }
  return problems;
}

function notIssuer(certificate: ParsedCertificate): string {
  return `"${certificate.label}" may not issue certificates (basicConstraints, keyUsage)`;
}

// ---------------------------------------------------------------- steps 3 and 4: name and dates

/** The names of subjectAltName only; a wildcard is one whole leftmost label (RFC 9525 6.3). */
function nameProblem(leaf: ParsedCertificate, host: string): Problem | undefined {
  const { x509 } = leaf;
  const found =
    isIP(host) !== 0
      ? x509.checkIP(host)
      : /^[^.]/.test(host) && x509.checkHost(host, { subject: 'never', wildcards: true, partialWildcards: false });
  if (found) return undefined;
  const names = x509.subjectAltName ?? 'no name at all';
  return { failure: Failure.WrongName, text: `the certificate is for ${names}, not for ${host}` };
}

function windowOf(path: readonly ParsedCertificate[]): { notBefore: bigint; notAfter: bigint } {
  const latest = (a: bigint, b: bigint) => (a > b ? a : b);
  const earliest = (a: bigint, b: bigint) => (a < b ? a : b);
  return {
    notBefore: path.map((certificate) => certificate.summary.notBefore).reduce(latest),
    notAfter: path.map((certificate) => certificate.summary.notAfter).reduce(earliest),
  };
}

function dateProblem(path: readonly ParsedCertificate[], validAt: bigint): Problem | undefined {
  for (const { label, summary } of path) {
    if (validAt < summary.notBefore || validAt > summary.notAfter) {
      const when = validAt < summary.notBefore ? 'not valid before' : 'expired at';
      const limit = validAt < summary.notBefore ? summary.notBefore : summary.notAfter;
      const text = `"${label}": ${when} ${isoTime(limit)}, checked at ${isoTime(validAt)}`;
      return { failure: Failure.Expired, text };
    }
  }
  return undefined;
}

/** A path whose certificates are never valid together can hold at no time. */
function neverProblem(window: { notBefore: bigint; notAfter: bigint }): Problem | undefined {
  if (window.notBefore <= window.notAfter) return undefined;
  const [from, to] = [isoTime(window.notBefore), isoTime(window.notAfter)];
  const text = `the path is valid at no time: one certificate from ${from} on, another until ${to}`;
  return { failure: Failure.Expired, text };
}

/** `2036-02-07T06:28:16Z`; seconds outside of what a date can hold as a number. */
export function isoTime(unixSeconds: bigint): string {
  const date = new Date(Number(unixSeconds) * 1000);
  return Number.isNaN(date.getTime()) ? `${unixSeconds} s` : date.toISOString().replace('.000Z', 'Z');
}

function heaviest(problems: readonly Problem[]): number {
  return Math.max(0, ...problems.map((problem) => weight[problem.failure]));
}

function refusal(problems: readonly Problem[], cause?: unknown): SocketError {
  const worst = problems.reduce((a, b) => (weight[b.failure] > weight[a.failure] ? b : a));
  const text = problems.filter((problem) => problem.failure === worst.failure).map((problem) => problem.text);
  return new SocketError(worst.failure, [...new Set(text)].join('; '), { cause });
}
