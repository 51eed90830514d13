// Known-answer tests of a core's ciphers, hash and signature: the built-in ones, and Wycheproof files as far as the core
// has the algorithm.
//
// What always holds: a test counts as passed, failed or skipped, never twice and never not at all; what the core lacks
// is skipped and named, never passed.
import type { AesWay } from '../core/core.ts';
import { AeadCore, aesKeyBytes, type Opened, SelftestError, sivKeyBytes, tagBytes } from './aead-core.ts';
import { toHex } from './hex.ts';
import { difference, type KnownAnswer, knownAnswers, refusal, signAnswers } from './known-answers.ts';
import { SignCore, signedMessageMaxBytes } from './sign-core.ts';
import {
  type AeadTest,
  type CmacTest,
  type EddsaTest,
  readWycheproof,
  type SivTest,
  type VectorTest,
} from './wycheproof.ts';

/** One core, as its ciphers and as its signatures are called. */
interface Cores {
  readonly aead: AeadCore;
  readonly sign: SignCore;
}

/** A Wycheproof file as read. */
export interface VectorInput {
  readonly name: string;
  readonly text: string;
}

export interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/** What became of one file, or of the built-in answers. */
export interface FileReport extends Counts {
  readonly name: string;
  readonly algorithm: string;
  /** How the core computed AES. */
  readonly aes: AesWay;
  /** Why nothing of the file could be read; `failed` is then 1. */
  readonly error: string | undefined;
  /** The tests that failed, in order. */
  readonly failures: readonly { readonly id: string; readonly message: string }[];
  /** Why tests were skipped, with their number. */
  readonly skips: readonly { readonly reason: string; readonly count: number }[];
}

export interface Report extends Counts {
  /** Whether nothing failed. */
  readonly ok: boolean;
  readonly files: readonly FileReport[];
}

type FileOutcome = Omit<FileReport, 'aes'>;

type Outcome = { readonly failure?: string | undefined; readonly skip?: string };

/**
 * Runs the built-in answers and the files.
 * @param core exports of an instance of core.wasm that nothing else uses: its random generator is started anew
 * @param aes how that instance computes AES
 * @throws {SelftestError} core-without-tests
 */
export function runSelftest(
  core: { readonly memory: WebAssembly.Memory } & Record<string, unknown>,
  vectorFiles: readonly VectorInput[] = [],
  aes: AesWay = 'table',
): Report {
  const cores = { aead: new AeadCore(core), sign: new SignCore(core) };
  const files = [runBuiltIn(cores), ...vectorFiles.map((file) => runFile(cores, file))];
  return reportOf(files.map((file) => ({ ...file, aes })));
}

/** One report of several: files in their order. */
export function joinReports(reports: readonly Report[]): Report {
  return reportOf(reports.flatMap(({ files }) => files));
}

function reportOf(files: readonly FileReport[]): Report {
  const sum = (key: keyof Counts) => files.reduce((total, file) => total + file[key], 0);
  const counts = { passed: sum('passed'), failed: sum('failed'), skipped: sum('skipped') };
  return { ok: counts.failed === 0, ...counts, files };
}

function runBuiltIn({ aead, sign }: Cores): FileOutcome {
  const run = <T>(answers: readonly KnownAnswer<T>[], core: T) =>
    answers.map((answer) => ({ id: answer.name, outcome: attempt(() => answer.run(core)) }));
  return summarise('built-in', 'all of the core', [...run(knownAnswers, aead), ...run(signAnswers, sign)]);
}

function runFile(cores: Cores, { name, text }: VectorInput): FileOutcome {
  try {
    const file = readWycheproof(text);
    const outcomes = file.tests.map((test) => ({ id: test.id, outcome: runTest(cores, test) }));
    return summarise(name, file.algorithm, outcomes);
  } catch (error) {
    if (!(error instanceof SelftestError)) throw error;
    return { ...summarise(name, 'unknown', []), failed: 1, error: error.message };
  }
}

function runTest({ aead: core, sign }: Cores, test: VectorTest): Outcome {
  if (test.kind === 'eddsa') return runEddsa(sign, test);
  const sizes = keySizesOf(test);
  if (!sizes.includes(test.key.length)) {
    return { skip: `key of ${test.key.length * 8} bits; the core has ${sizes.map((size) => size * 8).join(', ')}` };
  }
  switch (test.kind) {
    case 'cmac':
      return attempt(() => runCmac(core, test));
    case 'siv':
      return attempt(() => runSiv(core, test));
    case 'aead':
      return attempt(() => runAead(core, test));
  }
}

/** Bytes of the keys that the core takes for a test's algorithm. */
function keySizesOf(test: Exclude<VectorTest, EddsaTest>): readonly number[] {
  if (test.kind === 'aead') return [...test.algorithms.keys()];
  return test.kind === 'cmac' ? aesKeyBytes : sivKeyBytes;
}

function runCmac(core: AeadCore, { verdict, key, message, tag }: CmacTest): string | undefined {
  const actual = core.cmac(key, message).subarray(0, tag.length);
  const equal = tag.length > 0 && toHex(actual) === toHex(tag);
  if (verdict === 'valid') return difference('tag', tag, actual);
  return verdict === 'invalid' && equal ? 'a wrong tag was found right' : undefined;
}

function runSiv(core: AeadCore, test: SivTest): string | undefined {
  const { verdict, key, strings, plaintext, sealed } = test;
  if (sealed.length < tagBytes) {
    return verdict === 'valid' ? `a valid message shorter than a tag: ${toHex(sealed)}` : undefined;
  }
  return judge(test, core.open(key, strings, sealed), () => core.seal(key, strings, plaintext));
}

function runAead(core: AeadCore, test: AeadTest): string | undefined {
  const { key, data, nonce, plaintext, sealed } = test;
  const algorithm = test.algorithms.get(key.length)!;
  const opened = core.aeadOpen(algorithm, key, data, nonce, sealed);
  return judge(test, opened, () => core.aeadSeal(algorithm, key, data, nonce, plaintext));
}

// The files are for those who verify. The core signs: what it makes must be the one signature that is valid.
function runEddsa(core: SignCore, { verdict, curve, publicKey, privateKey, message, signature }: EddsaTest): Outcome {
  if (curve !== 'edwards25519') return { skip: `curve ${curve}; the core has edwards25519` };
  if (message.length > signedMessageMaxBytes) return { skip: `messages longer than ${signedMessageMaxBytes} bytes` };
  return attempt(() => {
    const wrong =
      privateKey === undefined ? undefined : difference('public key', publicKey, core.publicKey(privateKey));
    if (wrong !== undefined) return wrong;
    const holds = core.verifies(publicKey, message, signature);
    if (verdict === 'valid' && !holds) return 'a valid signature was refused';
    if (verdict === 'invalid' && holds) return 'an invalid signature was accepted';
    if (privateKey === undefined) return undefined;
    const signed = core.sign(message);
    if (verdict === 'valid') return difference('signature', signature, signed);
    return verdict === 'invalid' && toHex(signed) === toHex(signature) ? 'an invalid signature was made' : undefined;
  });
}

/** What is wrong with an opened message, or with what `seal` makes of its plaintext. */
function judge(
  { verdict, plaintext, sealed }: SivTest | AeadTest,
  opened: Opened,
  seal: () => Uint8Array,
): string | undefined {
  if (verdict === 'invalid' || (verdict === 'acceptable' && opened.plaintext === undefined)) return refusal(opened);
  if (opened.plaintext === undefined) return 'the right tag was refused';
  return difference('plaintext', plaintext, opened.plaintext) ?? difference('tag and ciphertext', sealed, seal());
}

// A core that traps fails the test; what does not fit into its scratch is skipped.
function attempt(run: () => string | undefined): Outcome {
  try {
    return { failure: run() };
  } catch (error) {
    if (error instanceof SelftestError && error.code === 'input-too-long') return { skip: 'longer than the scratch' };
    return { failure: error instanceof Error ? error.message : String(error) };
  }
}

function summarise(
  name: string,
  algorithm: string,
  outcomes: readonly { readonly id: string; readonly outcome: Outcome }[],
): FileOutcome {
  const skips = new Map<string, number>();
  const failures: { id: string; message: string }[] = [];
  let passed = 0;
  for (const { id, outcome } of outcomes) {
    if (outcome.skip !== undefined) skips.set(outcome.skip, (skips.get(outcome.skip) ?? 0) + 1);
    else if (outcome.failure !== undefined) failures.push({ id, message: outcome.failure });
    else passed++;
  }
  return {
    name,
    algorithm,
    error: undefined,
    passed,
    failed: failures.length,
    skipped: outcomes.length - passed - failures.length,
    failures,
    skips: [...skips].map(([reason, count]) => ({ reason, count })),
  };
}

/**
 * The report as lines for a terminal: a table, then what failed and what was skipped.
 * @param listed how many failures of a file are shown
 */
export function describeReport(report: Report, listed = 10): string[] {
  const rows = [
    ['Vectors', 'Algorithm', 'AES', 'Passed', 'Failed', 'Skipped'],
    ...report.files.map((file) => [file.name, file.algorithm, file.aes, ...countsOf(file)]),
    ['total', '', '', ...countsOf(report)],
  ];
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const lines = rows.map((row) =>
    row
      .map((cell, column) => (column < 3 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)))
      .join('  ')
      .trimEnd(),
  );
  lines.splice(1, 0, widths.map((width) => '─'.repeat(width)).join('  '));
  for (const file of report.files) {
    if (file.error !== undefined) lines.push(`✗ ${file.name}: ${file.error}`);
    for (const { id, message } of file.failures.slice(0, listed)) lines.push(`✗ ${file.name}, ${id}: ${message}`);
    if (file.failures.length > listed) lines.push(`✗ ${file.name}: ${file.failures.length - listed} more failed`);
    for (const { reason, count } of file.skips) lines.push(`- ${file.name}: ${count} skipped: ${reason}`);
  }
  return lines;
}

function countsOf({ passed, failed, skipped }: Counts): string[] {
  return [passed, failed, skipped].map(String);
}
