// Trust anchors from the system and from files, and what is said about files that cannot be used.
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { rootCertificates } from 'node:tls';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { loadTrustAnchors, splitPem } from '../../../host/net/trust-anchors.ts';
import { makeRoot } from './certificates.ts';

let folder: string;
const chosen = process.env.SSL_CERT_FILE;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'metertime-anchors-'));
  delete process.env.SSL_CERT_FILE;
});
afterEach(() => {
  rmSync(folder, { recursive: true });
  if (chosen === undefined) delete process.env.SSL_CERT_FILE;
  else process.env.SSL_CERT_FILE = chosen;
});

function write(text: string): string {
  const file = join(folder, 'ca.pem');
  writeFileSync(file, text);
  return file;
}

test('the system’s authorities', () => {
  const { size } = loadTrustAnchors({ system: true });
  expect(size).toBeGreaterThan(50);
  if (!existsSync('/etc/ssl/certs/ca-certificates.crt')) expect(size).toBe(new Set(rootCertificates).size);
});

test('SSL_CERT_FILE stands for the system', () => {
  const [a, b] = [makeRoot('A'), makeRoot('B')];
  process.env.SSL_CERT_FILE = write(a.pem + b.pem);
  const anchors = loadTrustAnchors({ system: true });
  expect(anchors.size).toBe(2);
  expect(anchors.has(b.der)).toBe(true);
});

test('files, alone or with the system; other blocks are passed over', () => {
  const [a, b] = [makeRoot('A'), makeRoot('B')];
  const file = write(`# ours\n${a.pem}\n${b.keyPem}${b.pem}${a.pem}`);
  expect(loadTrustAnchors({ system: false, files: [file] }).size).toBe(2);
  expect(loadTrustAnchors({ system: true, files: [file] }).has(a.der)).toBe(true);
});

test.each([
  ['no certificate', 'hello', /expected certificates in PEM/],
  ['a broken one', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n', /certificate 1 cannot be read/],
])('a file with %s', (_, text, message) => {
  const file = write(text);
  expect(() => loadTrustAnchors({ system: false, files: [file] })).toThrow(message);
  expect(() => loadTrustAnchors({ system: false, files: [file] })).toThrow(file);
});

test('no file, no anchor', () => {
  expect(() => loadTrustAnchors({ system: false, files: [join(folder, 'none.pem')] })).toThrow(/it does not exist/);
  expect(() => loadTrustAnchors({ system: false })).toThrow(/no trust anchor/);
});

test('PEM with the line ends of any system', () => {
  const { pem, der } = makeRoot();
  expect(splitPem(pem.replaceAll('\n', '\r\n'))).toEqual([der]);
});
