// The files that settings name: looked at as they will be used, so that a wrong one is told with its setting's place
// before anything starts. No message holds what stands in a file.
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { createSecureContext } from 'node:tls';
import { checkFile, FileError, readFileWithin } from '../files.ts';
import { loadTrustAnchors, splitPem, TrustAnchorError } from '../net/trust-anchors.ts';
import { OcmfError } from '../ocmf/from-records.ts';
import { pemSigner } from '../ocmf/signer.ts';
import { KeysFileError, keysOf, LinkKeysFileError, linkKeysOf } from '../provision/meter-keys.ts';
import { type Problem, pathText, type Reading } from './problems.ts';
import type { RawSettings } from './schema.ts';

/** Some fifty times a distribution's list of authorities. */
export const namedFileLimitBytes = 16 << 20;
const othersRead = 0o004;

/** The password that a password file holds: its first line. */
export function passwordIn(contents: Buffer): string {
  return contents.toString('utf8').split(/\r?\n/, 1)[0] ?? '';
}

interface NamedFile {
  readonly path: readonly (string | number)[];
  readonly name: string | undefined;
  /** Nobody else is to read it: that everyone can is told, or an error. */
  readonly secret?: 'warn' | 'refuse';
  /** What is wrong with what it holds, and what was expected. Where nothing is said of that, it is not read. */
  readonly wrong?: (contents: Buffer, file: string) => string | undefined;
}

function namedFiles({ linkKeys, trust, mqtt, ocmf }: RawSettings): NamedFile[] {
  return [
    ...linkKeys.files.map((name, index): NamedFile => {
      return { path: ['linkKeys', 'files', index], name, secret: 'refuse', wrong: wrongLinkKeys };
    }),
    ...trust.files.map((name, index) => ({ path: ['trust', 'files', index], name, wrong: wrongAnchors })),
    { path: ['mqtt', 'caFile'], name: mqtt?.caFile, wrong: wrongCertificates },
    { path: ['mqtt', 'certFile'], name: mqtt?.certFile, wrong: wrongCertificates },
    { path: ['mqtt', 'keyFile'], name: mqtt?.keyFile, secret: 'warn', wrong: wrongKey },
    { path: ['mqtt', 'passwordFile'], name: mqtt?.passwordFile, secret: 'warn', wrong: wrongPassword },
    { path: ['ocmf', 'keyFile'], name: ocmf?.keyFile, secret: 'refuse', wrong: wrongOcmfKey },
    { path: ['ocmf', 'tokenModule'], name: ocmf?.tokenModule },
    { path: ['ocmf', 'tokenPinFile'], name: ocmf?.tokenPinFile, secret: 'refuse', wrong: wrongPin },
    ...(ocmf?.meters ?? []).map(({ keysFile }, index): NamedFile => {
      return { path: ['ocmf', 'meters', index, 'keysFile'], name: keysFile, secret: 'refuse', wrong: wrongMeterKeys };
    }),
  ];
}

/** Everything wrong with the files that the settings name, and warnings about secrets that everyone can read. */
export function fileProblems(reading: Reading, settingsFile: string): Problem[] {
  const { settings, positions } = reading;
  if (settings === undefined) return [];
  const folder = dirname(resolve(settingsFile));
  const problems: Problem[] = [];
  const sound = new Map<string, Buffer>();
  for (const { path, name, secret, wrong } of namedFiles(settings)) {
    if (name === undefined) continue;
    const file = resolve(folder, name);
    const say = (severity: Problem['severity'], message: string) =>
      problems.push(positions.problem(severity, positions.valueOffset(path), path, message));
    const looked = lookAt(file, wrong);
    if (typeof looked === 'string') {
      say('error', `${pathText(path)} is ${JSON.stringify(name)}; ${looked}`);
      continue;
    }
    sound.set(pathText(path), looked);
    if (secret !== undefined && (statSync(file).mode & othersRead) !== 0) {
      const severity = secret === 'warn' ? 'warning' : 'error';
      say(severity, `${file} holds a secret and everyone can read it; run: chmod o-rwx ${file}`);
    }
  }
  const [certificate, key] = [sound.get('mqtt.certFile'), sound.get('mqtt.keyFile')];
  const mismatch = certificate && key && wrongPair(certificate, key);
  if (mismatch !== undefined) {
    const path = ['mqtt', 'keyFile'];
    const said = `mqtt.keyFile is ${JSON.stringify(settings.mqtt?.keyFile)}; ${mismatch}`;
    problems.push(positions.problem('error', positions.valueOffset(path), path, said));
  }
  problems.push(...sameMeterProblems(reading, sound));
  if (settings.mqtt?.password !== undefined) problems.push(...inlinePasswordProblems(reading, settingsFile));
  return problems;
}

/** What the file holds, or what is wrong with it. */
function lookAt(file: string, wrong: NamedFile['wrong']): Buffer | string {
  try {
    // No pipe: each of these files is read more than once.
    checkFile(file, 'file');
    if (wrong === undefined) return Buffer.alloc(0);
    const contents = readFileWithin(file, namedFileLimitBytes, 'file');
    return wrong(contents, file) ?? contents;
  } catch (error) {
    if (!(error instanceof FileError)) throw error;
    return `expected a file that can be read (${error.reason})`;
  }
}

function wrongAnchors(_: Buffer, file: string): string | undefined {
  return messageOf(TrustAnchorError, file, () => loadTrustAnchors({ system: false, files: [file] }));
}

const holdsKey = (text: string) => /-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(text);

function wrongCertificates(contents: Buffer): string | undefined {
  const text = contents.toString('utf8');
  const certificates = splitPem(text);
  if (certificates.length === 0) {
    const found = holdsKey(text) ? 'a private key; are certFile and keyFile swapped?' : 'none';
    return `expected certificates in PEM (-----BEGIN CERTIFICATE-----), found ${found}`;
  }
  const broken = certificates.findIndex((der) => !isReadable(() => new X509Certificate(der)));
  return broken < 0 ? undefined : `certificate ${broken + 1} in it cannot be read; replace it`;
}

function wrongKey(contents: Buffer): string | undefined {
  const text = contents.toString('utf8');
  if (!holdsKey(text)) {
    const found = splitPem(text).length > 0 ? 'a certificate; are certFile and keyFile swapped?' : 'none';
    return `expected a private key in PEM (-----BEGIN PRIVATE KEY-----), found ${found}`;
  }
  if (/-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: 4,ENCRYPTED/m.test(text)) {
    return 'expected a private key without a passphrase, found one with it';
  }
  return isReadable(() => createPrivateKey(contents)) ? undefined : 'the private key in it cannot be read; replace it';
}

function wrongPassword(contents: Buffer): string | undefined {
  return passwordIn(contents) === '' ? 'expected a password in its first line, found none' : undefined;
}

function wrongPin(contents: Buffer): string | undefined {
  return passwordIn(contents) === '' ? 'expected a PIN in its first line, found none' : undefined;
}

function wrongOcmfKey(contents: Buffer, file: string): string | undefined {
  return messageOf(OcmfError, file, () => pemSigner(contents, file));
}

function wrongMeterKeys(contents: Buffer, file: string): string | undefined {
  return messageOf(KeysFileError, file, () => keysOf(contents.toString('utf8'), file));
}

function wrongLinkKeys(contents: Buffer, file: string): string | undefined {
  return messageOf(LinkKeysFileError, file, () => linkKeysOf(contents.toString('utf8'), file));
}

/** What an error of this kind says, without the file's name. */
function messageOf(kind: new (...args: never[]) => Error, file: string, work: () => void): string | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    if (!(error instanceof kind)) throw error;
    return error.message.replace(`${file}: `, '');
  }
}

/** Meters whose keys are named twice. */
function sameMeterProblems({ settings, positions }: Reading, sound: ReadonlyMap<string, Buffer>): Problem[] {
  const first = new Map<string, string>();
  return (settings?.ocmf?.meters ?? []).flatMap((_, index) => {
    const path = ['ocmf', 'meters', index, 'keysFile'];
    const name = pathText(path);
    const contents = sound.get(name);
    if (contents === undefined) return [];
    const { meter } = keysOf(contents.toString('utf8'), name);
    const before = first.get(meter);
    first.set(meter, before ?? name);
    if (before === undefined) return [];
    const said = `${name} has the keys of ${meter}; expected each meter once, and ${before} has them, too`;
    return [positions.problem('error', positions.valueOffset(path), path, said)];
  });
}

/** The first certificate of the file is the one that TLS takes for the gateway's own. */
function wrongPair(certificate: Buffer, key: Buffer): string | undefined {
  const [own] = splitPem(certificate.toString('utf8'));
  if (!new X509Certificate(own!).checkPrivateKey(createPrivateKey(key))) {
    return 'expected the key of the first certificate in mqtt.certFile, found another one';
  }
  try {
    createSecureContext({ cert: certificate, key });
    return undefined;
  } catch (error) {
    return `expected a key and a certificate that TLS takes (${(error as NodeJS.ErrnoException).code})`;
  }
}

/** What node:crypto cannot read it throws at, in words of OpenSSL. */
function isReadable(read: () => unknown): boolean {
  try {
    read();
    return true;
  } catch {
    return false;
  }
}

function inlinePasswordProblems({ positions }: Reading, file: string): Problem[] {
  try {
    if ((statSync(file).mode & othersRead) === 0) return [];
  } catch {
    return []; // The text did not come from a file.
  }
  const path = ['mqtt', 'password'];
  const message = `this file holds a password and everyone can read it; use passwordFile, or run: chmod o-rwx ${file}`;
  return [positions.problem('warning', positions.keyOffset(path), path, message)];
}
