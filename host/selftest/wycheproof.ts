// Reads the test vector files of project Wycheproof (JSON, schemas aead_test_schema_v1, daead_test_schema_v1,
// mac_test_schema_v1, eddsa_verify_schema_v1 and the older eddsa_verify_schema) as far as the core has the algorithm.
import { z } from 'zod';
import { algorithms, SelftestError } from './aead-core.ts';
import { hex } from './hex.ts';

/** What the file says an implementation does: it must accept, may do either, must refuse. */
export type Verdict = 'valid' | 'acceptable' | 'invalid';

/** One test of AES-SIV without a nonce. */
export interface SivTest {
  readonly kind: 'siv';
  readonly id: string;
  readonly verdict: Verdict;
  readonly key: Uint8Array;
  readonly strings: readonly Uint8Array[];
  readonly plaintext: Uint8Array;
  /** Tag, then ciphertext. */
  readonly sealed: Uint8Array;
}

/** One test of an authenticated cipher with a nonce: an algorithm of NTS, which the size of the key chooses. */
export interface AeadTest {
  readonly kind: 'aead';
  readonly id: string;
  readonly verdict: Verdict;
  /** The algorithm's number for each size of a key in bytes. */
  readonly algorithms: ReadonlyMap<number, number>;
  readonly key: Uint8Array;
  readonly data: Uint8Array;
  readonly nonce: Uint8Array;
  readonly plaintext: Uint8Array;
  /** Tag and ciphertext in the algorithm's order. */
  readonly sealed: Uint8Array;
}

/** One test of a message authentication code. */
export interface CmacTest {
  readonly kind: 'cmac';
  readonly id: string;
  readonly verdict: Verdict;
  readonly key: Uint8Array;
  readonly message: Uint8Array;
  /** May be shorter than the full tag: its first bytes. */
  readonly tag: Uint8Array;
}

/** One test of a signature. */
export interface EddsaTest {
  readonly kind: 'eddsa';
  readonly id: string;
  readonly verdict: Verdict;
  readonly curve: string;
  readonly publicKey: Uint8Array;
  /** Only the older files have it. */
  readonly privateKey: Uint8Array | undefined;
  readonly message: Uint8Array;
  readonly signature: Uint8Array;
}

export type VectorTest = SivTest | AeadTest | CmacTest | EddsaTest;

/** A file's content. */
export interface VectorFile {
  readonly algorithm: string;
  readonly tests: readonly VectorTest[];
}

const bytes = z
  .string()
  .regex(/^([0-9a-f]{2})*$/i, 'pairs of hexadecimal digits expected')
  .transform((text) => hex(text));
const common = { tcId: z.int(), comment: z.string().default(''), result: z.enum(['valid', 'acceptable', 'invalid']) };
const groupsOf = <T extends z.ZodType>(test: T) =>
  z.object({ testGroups: z.array(z.object({ tests: z.array(test) })) });

const head = z.object({
  algorithm: z.string(),
  testGroups: z.array(z.object({ tests: z.array(z.unknown()) })),
});
const aeadTest = z.object({ ...common, key: bytes, iv: bytes, aad: bytes, msg: bytes, ct: bytes, tag: bytes });
const aead = groupsOf(aeadTest);
const daead = groupsOf(z.object({ ...common, key: bytes, aad: bytes, msg: bytes, ct: bytes }));
const mac = groupsOf(z.object({ ...common, key: bytes, msg: bytes, tag: bytes }));
const eddsaKey = z.object({ curve: z.string(), pk: bytes, sk: bytes.optional() });
const eddsaTests = z.array(z.object({ ...common, msg: bytes, sig: bytes }));
const eddsa = z.object({
  testGroups: z.array(
    z.union([
      z.object({ publicKey: eddsaKey, tests: eddsaTests }),
      // As it was called before.
      z.object({ key: eddsaKey, tests: eddsaTests }).transform(({ key, tests }) => ({ publicKey: key, tests })),
    ]),
  ),
});

/**
 * @param text the file's content
 * @throws {SelftestError} vectors-unreadable, with the place of the first thing that is wrong
 */
export function readWycheproof(text: string): VectorFile {
  const json = parseJson(text);
  const { algorithm } = check(head, json);
  const tests = readTests(algorithm, json);
  if (tests.length === 0) throw new SelftestError('vectors-unreadable', 'at least one test expected, got none');
  return { algorithm, tests };
}

const sivAlgorithms: ReadonlyMap<number, number> = new Map([
  [32, algorithms.sivCmac256],
  [48, algorithms.sivCmac384],
  [64, algorithms.sivCmac512],
]);
const gcmSivAlgorithms: ReadonlyMap<number, number> = new Map([[16, algorithms.gcmSiv128]]);

function readTests(algorithm: string, json: unknown): VectorTest[] {
  switch (algorithm) {
    case 'AEAD-AES-SIV-CMAC':
      return testsOf(check(aead, json)).map((test) => ({
        ...aeadOf(test),
        algorithms: sivAlgorithms,
        sealed: new Uint8Array([...test.tag, ...test.ct]),
      }));
    case 'AES-GCM-SIV':
      return testsOf(check(aead, json)).map((test) => ({
        ...aeadOf(test),
        algorithms: gcmSivAlgorithms,
        sealed: new Uint8Array([...test.ct, ...test.tag]),
      }));
    case 'AES-SIV-CMAC':
      return testsOf(check(daead, json)).map((test) => ({
        ...nameOf(test),
        kind: 'siv',
        key: test.key,
        strings: [test.aad],
        plaintext: test.msg,
        sealed: test.ct,
      }));
    case 'AES-CMAC':
      return testsOf(check(mac, json)).map((test) => ({
        ...nameOf(test),
        kind: 'cmac',
        key: test.key,
        message: test.msg,
        tag: test.tag,
      }));
    case 'EDDSA':
      return check(eddsa, json).testGroups.flatMap(({ publicKey: { curve, pk, sk }, tests }) =>
        tests.map((test) => ({
          ...nameOf(test),
          kind: 'eddsa',
          curve,
          publicKey: pk,
          privateKey: sk,
          message: test.msg,
          signature: test.sig,
        })),
      );
    default:
      throw new SelftestError(
        'vectors-unreadable',
        `vectors for AES-SIV-CMAC, AEAD-AES-SIV-CMAC, AES-CMAC, AES-GCM-SIV or EDDSA expected, got ${algorithm.slice(0, 80)}`,
      );
  }
}

const testsOf = <T>(file: { testGroups: { tests: T[] }[] }): T[] => file.testGroups.flatMap((group) => group.tests);

function aeadOf(test: z.infer<typeof aeadTest>): Omit<AeadTest, 'algorithms' | 'sealed'> {
  return { ...nameOf(test), kind: 'aead', key: test.key, data: test.aad, nonce: test.iv, plaintext: test.msg };
}

function nameOf(test: { tcId: number; comment: string; result: Verdict }): { id: string; verdict: Verdict } {
  return {
    id: test.comment === '' ? `tcId ${test.tcId}` : `tcId ${test.tcId} (${test.comment})`,
    verdict: test.result,
  };
}

function parseJson(text: string): unknown {
  try {
    // JSON.parse takes no byte order mark, which some editors put in front.
    return JSON.parse(text.replace(/^\ufeff/, ''));
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new SelftestError('vectors-unreadable', `a Wycheproof file in JSON expected: ${why}`, { cause });
  }
}

function check<T>(schema: z.ZodType<T>, json: unknown): T {
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  const issue = result.error.issues[0]!;
  throw new SelftestError(
    'vectors-unreadable',
    `not as Wycheproof's schema has it, at ${issue.path.join('.') || 'the top'}: ${issue.message}`,
    { cause: result.error },
  );
}
