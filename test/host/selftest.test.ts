// The known-answer tests that `metertime selftest` runs: what passes, what fails, what is skipped.
import { aessiv, gcmsiv } from '@noble/ciphers/aes.js';
import { describe, expect, test } from 'vitest';
import { aesWays } from '../../host/core/core.ts';
import { SelftestError } from '../../host/selftest/aead-core.ts';
import { hex, toHex } from '../../host/selftest/hex.ts';
import { describeReport, joinReports, runSelftest } from '../../host/selftest/selftest.ts';
import { macs } from '../../host/selftest/vectors/rfc4493.ts';
import { messages } from '../../host/selftest/vectors/rfc5297.ts';
import { signatures } from '../../host/selftest/vectors/rfc8032.ts';
import { loadCore } from '../core/load-core.ts';

const deterministic = messages[0]!;

type Result = 'valid' | 'acceptable' | 'invalid';

/** A file as Wycheproof writes them, of one group. */
function file(algorithm: string, ...tests: object[]): { name: string; text: string } {
  const numbered = tests.map((entry, i) => ({ tcId: i + 1, comment: '', flags: [], ...entry }));
  const content = { algorithm, numberOfTests: tests.length, testGroups: [{ type: 'Test', tests: numbered }] };
  return { name: `${algorithm}.json`, text: JSON.stringify(content) };
}

function daead(result: Result, sealed = deterministic.sealed) {
  const { key, strings, plaintext } = deterministic;
  return { key: toHex(key), aad: toHex(strings[0]!), msg: toHex(plaintext), ct: toHex(sealed), result };
}

function mac(result: Result, tag = macs[2]!.tag, key = macs[2]!.key) {
  return { key: toHex(key), msg: toHex(macs[2]!.message), tag: toHex(tag), result };
}

const withNonce = (
  key: Uint8Array,
  iv: Uint8Array,
  aad: Uint8Array,
  msg: Uint8Array,
  ct: Uint8Array,
  tag: Uint8Array,
) => ({ key: toHex(key), iv: toHex(iv), aad: toHex(aad), msg: toHex(msg), ct: toHex(ct), tag: toHex(tag) });

const changed = (bytes: Uint8Array, at: number) => bytes.map((byte, i) => (i === at ? byte ^ 0x40 : byte));

async function run(...files: { name: string; text: string }[]) {
  const report = runSelftest(await loadCore(), files);
  return { report, files: report.files.slice(1), file: report.files[1]! };
}

describe('built-in answers', () => {
  test('pass', async () => {
    const report = runSelftest(await loadCore());
    expect(report.files.map(({ name }) => name)).toEqual(['built-in']);
    expect(report).toMatchObject({ ok: true, failed: 0, skipped: 0 });
    expect(report.passed).toBeGreaterThanOrEqual(122);
  });

  test('fail when one bit of the cipher’s table is wrong', async () => {
    const core = await loadCore();
    const memory = new Uint8Array(core.memory.buffer);
    // Entry 0x53 of the table, the S-box example of FIPS 197 5.1.1: S(0x53) = 0xed.
    const entry = Buffer.from(memory.buffer).indexOf(hex('c1eded2c'));
    expect(entry).toBeGreaterThan(0);
    memory[entry + 1]! ^= 1;
    memory[entry + 2]! ^= 1;
    const report = runSelftest(core);
    expect(report.ok).toBe(false);
    expect(report.failed).toBeGreaterThan(0);
    expect(report.files[0]!.failures[0]!.message).toMatch(/expected [0-9a-f]+, got [0-9a-f]+/);
  });

  test('fail when the core’s hash does', async () => {
    const core = await loadCore();
    const report = runSelftest({ ...core, testSha512Update: () => {} });
    // All but the hash of nothing.
    expect(report.files[0]!.failures.filter(({ id }) => id.startsWith('SHA-512'))).toHaveLength(2);
  });

  test('fail when the core’s signature does', async () => {
    const core = await loadCore<{ testSignBegin(message: number, length: number): void }>();
    const testSignBegin = (message: number) => core.testSignBegin(message, 1);
    const report = runSelftest({ ...core, testSignBegin });
    // All but the one whose message has one byte.
    expect(report.files[0]!.failures.map(({ id }) => id)).toEqual(
      signatures.filter((one) => one.message.length !== 1).map(({ name }) => `Ed25519 signature, ${name}`),
    );
  });

  test('need a core that exports its ciphers', () => {
    const memory = new WebAssembly.Memory({ initial: 1 });
    expect(() => runSelftest({ memory })).toThrow(
      expect.objectContaining({ constructor: SelftestError, code: 'core-without-tests' }),
    );
  });
});

describe('AES-SIV-CMAC', () => {
  test('valid, acceptable and invalid tests pass when the core does as they say', async () => {
    const forged = changed(deterministic.sealed, 20);
    const { file: result } = await run(
      file('AES-SIV-CMAC', daead('valid'), daead('acceptable'), daead('acceptable', forged), daead('invalid', forged)),
    );
    expect(result).toMatchObject({ passed: 4, failed: 0, skipped: 0, algorithm: 'AES-SIV-CMAC' });
  });

  test('a valid message that the core refuses fails', async () => {
    const { report, file: result } = await run(file('AES-SIV-CMAC', daead('valid', changed(deterministic.sealed, 3))));
    expect(report.ok).toBe(false);
    expect(result.failures).toEqual([{ id: 'tcId 1', message: 'the right tag was refused' }]);
  });

  test('a plaintext other than the file’s fails', async () => {
    const test = { ...daead('valid'), msg: toHex(changed(deterministic.plaintext, 0)), comment: 'other plaintext' };
    const { file: result } = await run(file('AES-SIV-CMAC', test));
    expect(result.failures).toHaveLength(1);
    expect(result.failures[0]).toMatchObject({
      id: 'tcId 1 (other plaintext)',
      message: expect.stringMatching(/^plaintext: expected 5122.*, got 1122/),
    });
  });

  test('an invalid message that the core accepts fails', async () => {
    const { file: result } = await run(file('AES-SIV-CMAC', daead('valid'), daead('invalid')));
    expect(result).toMatchObject({ passed: 1, failed: 1 });
    expect(result.failures).toEqual([{ id: 'tcId 2', message: 'a forgery was accepted' }]);
  });

  test('what is shorter than a tag must be invalid', async () => {
    const short = deterministic.sealed.subarray(0, 15);
    const { file: result } = await run(file('AES-SIV-CMAC', daead('invalid', short), daead('valid', short)));
    expect(result).toMatchObject({ passed: 1, failed: 1 });
  });
});

describe('algorithms with a nonce', () => {
  test('AEAD-AES-SIV-CMAC: any key and nonce; the tag comes first', async () => {
    const { file: result } = await run(
      file(
        'AEAD-AES-SIV-CMAC',
        ...[32, 48, 64].flatMap((keyBytes) => {
          const key = new Uint8Array(keyBytes).fill(7);
          const [iv, aad, msg] = [hex('01'), hex('0203'), hex('040506')];
          const sealed = aessiv(key, aad, iv).encrypt(msg);
          const test = withNonce(key, iv, aad, msg, sealed.subarray(16), sealed.subarray(0, 16));
          return [
            { ...test, result: 'valid' },
            { ...test, iv: toHex(hex('02')), result: 'invalid' },
            { ...test, iv: '', result: 'invalid' },
          ];
        }),
      ),
    );
    expect(result).toMatchObject({ passed: 9, failed: 0, skipped: 0 });
  });

  test('AES-GCM-SIV: keys of 128 bits, nonces of 12 bytes; the tag comes last', async () => {
    const of = (keyBytes: number) => {
      const key = new Uint8Array(keyBytes).fill(7);
      const [iv, aad, msg] = [new Uint8Array(12), hex('0203'), hex('040506')];
      const sealed = gcmsiv(key, iv, aad).encrypt(msg);
      return withNonce(key, iv, aad, msg, sealed.subarray(0, -16), sealed.subarray(-16));
    };
    const { file: result } = await run(
      file(
        'AES-GCM-SIV',
        { ...of(16), result: 'valid' },
        { ...of(16), aad: '', result: 'invalid' },
        { ...of(16), iv: '00'.repeat(13), result: 'invalid' },
        { ...of(32), result: 'valid' },
      ),
    );
    expect(result).toMatchObject({ passed: 3, failed: 0, skipped: 1 });
    expect(result.skips).toEqual([{ reason: 'key of 256 bits; the core has 128', count: 1 }]);
  });

  test('a wrong verdict fails', async () => {
    const key = new Uint8Array(16);
    const nonce = new Uint8Array(12);
    const sealed = gcmsiv(key, nonce).encrypt(hex('01'));
    const empty = new Uint8Array(0);
    const test = withNonce(key, nonce, empty, hex('01'), sealed.subarray(0, 1), sealed.subarray(1));
    const { file: result } = await run(
      file('AES-GCM-SIV', { ...test, result: 'invalid' }, { ...test, tag: '00'.repeat(16), result: 'valid' }),
    );
    expect(result.failures).toEqual([
      { id: 'tcId 1', message: 'a forgery was accepted' },
      { id: 'tcId 2', message: 'the right tag was refused' },
    ]);
  });
});

describe('AES-CMAC', () => {
  test('full and shortened tags', async () => {
    const tag = macs[2]!.tag;
    const { file: result } = await run(
      file(
        'AES-CMAC',
        mac('valid'),
        mac('valid', tag.subarray(0, 8)),
        mac('invalid', changed(tag, 15)),
        mac('acceptable'),
      ),
    );
    expect(result).toMatchObject({ passed: 4, failed: 0, skipped: 0 });
  });

  test('a wrong tag that is said to be valid, and a right one that is not, fail', async () => {
    const { file: result } = await run(file('AES-CMAC', mac('valid', changed(macs[2]!.tag, 0)), mac('invalid')));
    expect(result.failures).toEqual([
      { id: 'tcId 1', message: expect.stringMatching(/^tag: expected 9fa6.*, got dfa6/) },
      { id: 'tcId 2', message: 'a wrong tag was found right' },
    ]);
  });
});

describe('EDDSA', () => {
  const { seed, publicKey, message, signature } = signatures[2]!;
  const key = { curve: 'edwards25519', pk: toHex(publicKey), sk: toHex(seed) };
  const one = (result: Result, sig = signature, msg = message) => ({ msg: toHex(msg), sig: toHex(sig), result });

  function signatureFile(
    keyName: 'key' | 'publicKey',
    key: object,
    ...tests: object[]
  ): { name: string; text: string } {
    const numbered = tests.map((entry, i) => ({ tcId: i + 1, comment: '', ...entry }));
    const content = { algorithm: 'EDDSA', testGroups: [{ [keyName]: key, tests: numbered }] };
    return { name: 'EDDSA.json', text: JSON.stringify(content) };
  }

  test.each(['key', 'publicKey'] as const)(
    'the core makes and accepts what is valid, and not what is invalid (%s)',
    async (keyName) => {
      const forged = changed(signature, 40);
      const { file: result } = await run(
        signatureFile(keyName, key, one('valid'), one('invalid', forged), one('acceptable', forged)),
      );
      expect(result).toMatchObject({ algorithm: 'EDDSA', passed: 3, failed: 0, skipped: 0 });
    },
  );

  test('a wrong verdict fails, and so does a public key that is not of the private one', async () => {
    const tests = [one('valid', changed(signature, 3)), one('invalid')];
    const { file: result } = await run(signatureFile('key', key, ...tests));
    expect(result.failures).toEqual([
      { id: 'tcId 1', message: 'a valid signature was refused' },
      { id: 'tcId 2', message: 'an invalid signature was accepted' },
    ]);
    const other = { ...key, pk: toHex(changed(publicKey, 0)) };
    const { file: another } = await run(signatureFile('key', other, one('valid'), one('invalid')));
    expect(another.failures.map(({ message }) => message)).toEqual([
      expect.stringMatching(/^public key: expected bc51cd8e.*, got fc51cd8e/),
      expect.stringMatching(/^public key: /),
    ]);
  });

  test('without a private key the signature is checked alone', async () => {
    const { sk: _, ...publicOnly } = key;
    const forged = changed(signature, 40);
    const { file: result } = await run(
      signatureFile(
        'publicKey',
        publicOnly,
        one('valid'),
        one('invalid', forged),
        one('invalid'),
        one('valid', forged),
      ),
    );
    expect(result).toMatchObject({ passed: 2, failed: 2, skipped: 0 });
    expect(result.failures.map(({ message }) => message)).toEqual([
      'an invalid signature was accepted',
      'a valid signature was refused',
    ]);
  });

  test('what cannot be signed is skipped, and counted', async () => {
    const cases = [
      [{ ...key, curve: 'edwards448' }, message, 'curve edwards448; the core has edwards25519'],
      [key, new Uint8Array(257), 'messages longer than 256 bytes'],
    ] as const;
    for (const [anyKey, msg, reason] of cases) {
      const { report, file: result } = await run(signatureFile('publicKey', anyKey, one('valid', signature, msg)));
      expect(result).toMatchObject({ passed: 0, failed: 0, skipped: 1, skips: [{ reason, count: 1 }] });
      expect(report.ok).toBe(true);
    }
  });
});

describe('what the core does not have', () => {
  test('key sizes are skipped and counted', async () => {
    const { report, file: result } = await run(
      file(
        'AES-CMAC',
        mac('valid', undefined, new Uint8Array(20)),
        mac('valid'),
        mac('invalid', undefined, new Uint8Array(20)),
      ),
    );
    expect(result).toMatchObject({ passed: 1, failed: 0, skipped: 2 });
    expect(result.skips).toEqual([{ reason: 'key of 160 bits; the core has 128, 192, 256', count: 2 }]);
    expect(report.ok).toBe(true);
  });

  test('messages longer than the scratch are skipped', async () => {
    const long = { ...mac('valid'), msg: '00'.repeat(70_000) };
    const { file: result } = await run(file('AES-CMAC', long));
    expect(result).toMatchObject({ passed: 0, failed: 0, skipped: 1 });
  });
});

describe('files that cannot be read fail, and say where', () => {
  test.each([
    ['not JSON', 'vectors', /a Wycheproof file in JSON expected/],
    ['JSON of another kind', '{"tests": []}', /at algorithm: /],
    ['another algorithm', file('AES-EAX', {}).text, /got AES-EAX$/],
    ['an algorithm named as what every object has', file('constructor', {}).text, /got constructor$/],
    ['an algorithm with a long name', file('A'.repeat(1000), {}).text, /got A{80}$/],
    ['no test', file('AES-CMAC').text, /at least one test expected, got none/],
    [
      'a test without its tag',
      file('AES-CMAC', { key: '', msg: '', result: 'valid' }).text,
      /testGroups\.0\.tests\.0\.tag/,
    ],
    ['half a byte', file('AES-CMAC', { ...mac('valid'), msg: 'abc' }).text, /tests\.0\.msg: pairs of hexadecimal/],
  ])('%s', async (_, text, message) => {
    const { report, file: result } = await run({ name: 'vectors.json', text });
    expect(report.ok).toBe(false);
    expect(result.error).toMatch(message);
    expect(describeReport(report).join('\n')).toMatch(message);
  });
});

test('a byte order mark is passed over', async () => {
  const { name, text } = file('AES-CMAC', mac('valid'));
  const { file: result } = await run({ name, text: `\ufeff${text}` });
  expect(result).toMatchObject({ passed: 1, failed: 0, skipped: 0, error: undefined });
});

test('the report is a table with a line for each file, then what failed', async () => {
  const { report } = await run(file('AES-SIV-CMAC', daead('valid'), daead('invalid')));
  const lines = describeReport(report);
  expect(lines[0]).toMatch(/^Vectors +Algorithm +AES +Passed +Failed +Skipped$/);
  expect(lines[3]).toMatch(/^AES-SIV-CMAC\.json +AES-SIV-CMAC +table +1 +1 +0$/);
  expect(lines[4]).toMatch(/^total +\d+ +1 +0$/);
  expect(lines[5]).toBe('✗ AES-SIV-CMAC.json, tcId 2: a forgery was accepted');
});

test('reports of several ways are one', async () => {
  const vectors = [file('AES-SIV-CMAC', daead('valid'), daead('invalid'))];
  const reports = await Promise.all(aesWays.map(async (aes) => runSelftest(await loadCore({ aes }), vectors, aes)));
  const report = joinReports(reports);
  expect(report).toMatchObject({ ok: false, passed: 2 * reports[0]!.passed, failed: 2, skipped: 0 });
  expect(report.files.map(({ name, aes }) => [name, aes])).toEqual(
    aesWays.flatMap((aes) => ['built-in', 'AES-SIV-CMAC.json'].map((name) => [name, aes])),
  );
});
