// A drawn meter: records with contexts, logbook and what the network provoked, with heads on the way and at the end.
// What always holds: the same random numbers make the same meter.
import type { KeyObject } from 'node:crypto';
import { Ring } from '../../as/abi/codes.ts';
import { ed25519Key } from '../../host/record/seal.ts';
import type { SeededRandom } from '../core/random.ts';
import { ChainMaker, type ContextFields, type LogFields, type RecordFields, signingKey } from './record-chain.ts';
import { publishedEntries } from './record-lines.ts';

export interface DrawnMeter {
  readonly chain: ChainMaker;
  readonly publicKey: KeyObject;
  /** The last one covers all entries, the one before it fewer, each of them. */
  readonly heads: readonly Uint8Array[];
  /** The entries of a ring as lines. */
  lines(ring: Ring): readonly string[];
}

export function drawMeter(random: SeededRandom): DrawnMeter {
  const meter = text(random, 1 + random.below(32), 'abcXYZ0189._-');
  const chain = new ChainMaker(meter, random.bytes(16), signingKey(random.bytes(32)));
  chain.context(drawContext(random));
  chain.record(drawRecord(random));
  chain.log(Ring.Logbook, drawLog(random));
  for (let left = 8 + random.below(60); left > 0; left--) append(chain, random);
  const heads = [chain.head(int64(random))];
  chain.record(drawRecord(random));
  chain.log(Ring.Logbook, drawLog(random));
  for (let left = random.below(20); left > 0; left--) append(chain, random);
  while (chain.rings[Ring.Network].length < 3) chain.log(Ring.Network, drawLog(random));
  heads.push(chain.head(int64(random)));
  const lines = new Map<Ring, string[]>();
  return {
    chain,
    publicKey: ed25519Key(chain.publicKey),
    heads,
    lines: (ring) => {
      if (!lines.has(ring))
        lines.set(
          ring,
          publishedEntries(chain, ring).map((line) => JSON.stringify(line)),
        );
      return lines.get(ring)!;
    },
  };
}

function append(chain: ChainMaker, random: SeededRandom): void {
  const what = random.below(20);
  if (what === 0) chain.context(drawContext(random));
  else if (what < 10) chain.record(drawRecord(random));
  else chain.log(what < 16 ? Ring.Logbook : Ring.Network, drawLog(random));
}

function drawContext(random: SeededRandom): ContextFields {
  const id = text(random, 1 + random.below(32), 'CAL-2026/äß');
  return {
    board: text(random, random.below(31)),
    firmwareVersion: text(random, random.below(31)),
    coreSha256: random.bytes(32),
    imageSha256: random.below(2) === 0 ? Buffer.alloc(32) : random.bytes(32),
    settingsHash: random.bytes(32),
    ...(random.below(2) === 0 ? {} : { programHash: random.bytes(32), program: text(random, random.below(12)) }),
    ...(random.below(2) === 0
      ? {}
      : { calibration: { id, at: second(random), until: second(random), uncertaintyPpb: random.below(1e9) } }),
    registers: Array.from({ length: random.below(5) }, () => {
      const [a, b, c, d, e, f, scale, unit] = random.bytes(8);
      return { obis: [a!, b!, c!, d!, e!, f!] as const, scale: (scale! % 37) - 18, unit: unit! };
    }),
    servers: Array.from({ length: 1 + random.below(4) }, () => {
      const name = text(random, 1 + random.below(63));
      return random.below(4) === 0 ? { name } : { name, certificateSha256: random.bytes(32) };
    }),
  };
}

function drawRecord(random: SeededRandom): RecordFields {
  return {
    reasons: random.below(256),
    marks: random.below(65_536),
    transaction: random.below(3) === 0 ? 0 : random.below(2 ** 32),
    captureUtcNs: random.below(8) === 0 ? 0n : int64(random),
    targetUnixSeconds: random.below(3) === 0 ? 0n : second(random),
    uncertaintyUs: random.below(2 ** 32),
    boundUs: random.below(4) === 0 ? 0xffff_ffff : random.below(2 ** 32),
    rootDelayNs: random.below(2 ** 32),
    rootDispersionNs: random.below(2 ** 32),
    sampleAgeSeconds: random.below(4) === 0 ? 0xffff_ffff : random.below(1e6),
    offsetMinutes: random.below(2879) - 1439,
    tariff: random.below(65_536),
    letter: 'SIRU'[random.below(4)]!,
    dlmsStatus: random.below(256),
    ptbStatus: random.below(5),
    server: random.below(3) === 0 ? 255 : random.below(4),
    timeFlags: random.below(256),
    clockStatus: random.below(3),
    periodMinutes: random.below(61),
    readings: Array.from({ length: random.below(5) }, () => int64(random)),
  };
}

function drawLog(random: SeededRandom): LogFields {
  return {
    code: 1 + random.below(45),
    boot: random.below(2 ** 32),
    eventSequence: random.below(2 ** 32),
    utcNs: random.below(4) === 0 ? 0n : int64(random),
    uptimeNs: int64(random),
    a: int64(random),
    b: int64(random),
    text: text(random, random.below(23), 'ntp.example-ä'),
    leftOut: random.below(65_536),
  };
}

function text(random: SeededRandom, letters: number, from = 'abcdefgh.-0123'): string {
  return Array.from({ length: letters }, () => from[random.below(from.length)]).join('');
}

function second(random: SeededRandom): bigint {
  return BigInt(random.below(2 ** 32));
}

function int64(random: SeededRandom): bigint {
  return Buffer.from(random.bytes(8)).readBigInt64LE();
}
