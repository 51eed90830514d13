// How long the core's authenticated ciphers take on this machine, with AES bitsliced and with its table, beside
// @noble/ciphers: the same keys and messages, in turns. Run by scripts/bench-aead.mjs.
//
// An answer is sealed once more by noble first: what it opens is what the core made.
import { randomBytes } from 'node:crypto';
import { parseArgs } from 'node:util';
import { aessiv, gcmsiv } from '@noble/ciphers/aes.js';
import { type AesWay, aesWays, Core } from '../host/core/core.ts';
import { AeadCore, algorithms } from '../host/selftest/aead-core.ts';
import { formatTable } from '../host/text/table.ts';
import { median } from './figures.ts';
import { aeadUsage } from './usage.mjs';

function readArguments() {
  try {
    return parseArgs({
      options: {
        rounds: { type: 'string', default: '41' },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    }).values;
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${aeadUsage}`);
    process.exit(2);
  }
}

const values = readArguments();
if (values.help) {
  console.log(aeadUsage);
  process.exit(0);
}
const rounds = Number(values.rounds);
if (!Number.isInteger(rounds) || rounds < 1 || rounds > 10_000) {
  console.error(`--rounds: expected a whole number from 1 to 10000, came ${values.rounds}`);
  process.exit(2);
}

// As bench:mcu has them: a request without a text, and an answer with one cookie.
const requestDataBytes = 188;
const answerDataBytes = 84;
const answerTextBytes = 104;
const messagesARound = 100;

const ciphers = [
  { name: 'AES-SIV-CMAC-256', algorithm: algorithms.sivCmac256, keyBytes: 32, nonceBytes: 16 },
  { name: 'AES-SIV-CMAC-512', algorithm: algorithms.sivCmac512, keyBytes: 64, nonceBytes: 16 },
  { name: 'AES-128-GCM-SIV', algorithm: algorithms.gcmSiv128, keyBytes: 16, nonceBytes: 12 },
] as const;
type Cipher = (typeof ciphers)[number];

type Who = AesWay | 'noble';

/** Seals a request, and opens an answer, each with its key set anew. */
interface Contestant {
  readonly who: Who;
  seal(): void;
  open(): void;
}

function contestants({ algorithm, keyBytes, nonceBytes }: Cipher): Contestant[] {
  const [key, nonce] = [randomBytes(keyBytes), randomBytes(nonceBytes)];
  const [requestData, answerData] = [randomBytes(requestDataBytes), randomBytes(answerDataBytes)];
  const noble = (data: Uint8Array) =>
    algorithm === algorithms.gcmSiv128 ? gcmsiv(key, nonce, data) : aessiv(key, data, nonce);
  const nothing = new Uint8Array(0);
  const sealed = noble(answerData).encrypt(randomBytes(answerTextBytes));
  const cores = aesWays.map((aes): Contestant => {
    const core = new AeadCore(new Core(undefined, { aes }).exports);
    return {
      who: aes,
      seal: () => core.aeadSeal(algorithm, key, requestData, nonce, nothing),
      open: () => {
        if (!core.aeadOpen(algorithm, key, answerData, nonce, sealed).plaintext) throw new Error('not opened');
      },
    };
  });
  return [
    ...cores,
    {
      who: 'noble',
      seal: () => noble(requestData).encrypt(nothing),
      open: () => noble(answerData).decrypt(sealed),
    },
  ];
}

function microseconds(run: () => void): number {
  const startMs = performance.now();
  for (let i = 0; i < messagesARound; i++) run();
  return ((performance.now() - startMs) * 1000) / messagesARound;
}

interface Row {
  readonly cipher: string;
  readonly who: Who;
  /** Medians of the rounds, µs a message. */
  readonly sealUs: number;
  readonly openUs: number;
}

const rows = ciphers.flatMap((cipher): Row[] => {
  const all = contestants(cipher).map((one) => ({ ...one, sealUs: [] as number[], openUs: [] as number[] }));
  // Those before the first that counts let the machine compile.
  for (let round = -20; round < rounds; round++) {
    for (const one of all) {
      const [sealUs, openUs] = [microseconds(one.seal), microseconds(one.open)];
      if (round < 0) continue;
      one.sealUs.push(sealUs);
      one.openUs.push(openUs);
    }
  }
  return all.map(({ who, sealUs, openUs }) => {
    return { cipher: cipher.name, who, sealUs: median(sealUs), openUs: median(openUs) };
  });
});

if (values.json) console.log(JSON.stringify({ rounds, messagesARound, rows }));
else {
  const ratio = (row: Row, of: 'sealUs' | 'openUs') => {
    const table = rows.find(({ cipher, who }) => cipher === row.cipher && who === 'table')!;
    return (row[of] / table[of]).toFixed(1);
  };
  const lines = rows.map((row) => [
    row.cipher,
    { bitsliced: 'core, bitsliced', table: 'core, table', noble: '@noble/ciphers' }[row.who],
    row.sealUs.toFixed(1),
    ratio(row, 'sealUs'),
    row.openUs.toFixed(1),
    ratio(row, 'openUs'),
  ]);
  const columns = [
    { heading: 'Cipher' },
    { heading: 'Implementation' },
    ...['Seal, µs', 'of table', 'Open, µs', 'of table'].map((heading) => ({ heading, align: 'right' as const })),
  ];
  console.log(formatTable(columns, lines).join('\n'));
}
