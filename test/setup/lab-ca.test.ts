// The lab's certificates are what they say, as OpenSSL sees them.
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createSecureContext } from 'node:tls';
import { expect, test } from 'vitest';
import { LabCa, writeCertificate } from '../../host/setup/lab-ca.ts';

test('a leaf is issued by its root, for its names and addresses only', async () => {
  const ca = await LabCa.create('test root');
  const issued = await ca.issue({ names: ['time.example', '127.0.0.1', '::1', '2001:db8::7:1'] });
  const root = new X509Certificate(ca.certificatePem);
  const leaf = new X509Certificate(issued.certificatePem);
  expect(root.ca).toBe(true);
  expect(root.checkIssued(root)).toBe(true);
  expect(leaf.ca).toBe(false);
  expect(leaf.checkIssued(root)).toBe(true);
  expect(leaf.verify(root.publicKey)).toBe(true);
  expect(leaf.checkHost('time.example')).toBe('time.example');
  expect(leaf.checkHost('other.example')).toBeUndefined();
  expect(leaf.checkIP('127.0.0.1')).toBe('127.0.0.1');
  expect(leaf.checkIP('::1')).toBe('::1');
  expect(leaf.checkIP('2001:db8::7:1')).toBe('2001:db8::7:1');
  expect(leaf.checkIP('127.0.0.2')).toBeUndefined();
  expect(leaf.publicKey.asymmetricKeyDetails?.namedCurve).toBe('prime256v1');
});

test('dates and uses are those asked for', async () => {
  const ca = await LabCa.create();
  const notBefore = new Date('2020-01-02T03:04:05Z');
  const notAfter = new Date('2061-01-02T03:04:05Z');
  const issued = await ca.issue({ names: ['a.example'], notBefore, notAfter, extendedKeyUsage: ['clientAuth'] });
  const leaf = new X509Certificate(issued.certificatePem);
  expect(new Date(leaf.validFrom)).toEqual(notBefore);
  expect(new Date(leaf.validTo)).toEqual(notAfter);
  expect(leaf.keyUsage).toEqual(['1.3.6.1.5.5.7.3.2']);
});

test('a chain through an intermediate authority holds leaf and intermediate, not the root', async () => {
  const root = await LabCa.create('root');
  const intermediate = await root.createIntermediate('intermediate');
  const { chainPem } = await intermediate.issue({ names: ['a.example'] });
  const chain = chainPem.split(/(?=-----BEGIN)/).map((pem) => new X509Certificate(pem));
  expect(chain.map((certificate) => certificate.subject)).toEqual(['CN=a.example', 'CN=intermediate']);
  expect(chain[0]!.verify(chain[1]!.publicKey)).toBe(true);
  expect(chain[1]!.verify(new X509Certificate(root.certificatePem).publicKey)).toBe(true);
});

test('files hold a matching pair, the key for its owner only', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'metertime-ca-'));
  try {
    const ca = await LabCa.create();
    const issued = await ca.issue({ names: ['a.example'] });
    const files = await writeCertificate(folder, 'server', issued);
    expect(statSync(files.key).mode & 0o777).toBe(0o600);
    expect(() => createSecureContext({ cert: issued.chainPem, key: issued.privateKeyPem })).not.toThrow();
    const other = await ca.issue({ names: ['a.example'] });
    expect(() => createSecureContext({ cert: issued.chainPem, key: other.privateKeyPem })).toThrow(/mismatch/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
