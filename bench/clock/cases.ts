// The cases of bench:clock: one YAML file each, docs/bench-clock.md says what they mean.
// What always holds: a case that was loaded has every setting within its limits, and all defaults filled in.
import { readdirSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { z } from 'zod';
import { formatProblem, readYaml } from '../../host/config/problems.ts';
import { readTextWithin } from '../../host/files.ts';

/** Cases cannot be used; the message has one line for each problem. */
export class CaseError extends Error {
  override readonly name = 'CaseError';
}

const number = (least: number, most: number) =>
  z
    .number(`expected a number from ${least} to ${most}`)
    .min(least, `expected a number from ${least} to ${most}`)
    .max(most, `expected a number from ${least} to ${most}`);
const whole = (least: number, most: number) =>
  number(least, most).refine(Number.isInteger, `expected a whole number from ${least} to ${most}`);
const percent = number(0, 100);
const delayMs = number(0, 100_000);
const hours = number(0, 100_000);

/** A group of settings of which one has to be there. */
function oneOf<Shape extends z.ZodRawShape>(shape: Shape) {
  const names = Object.keys(shape).join(', ');
  return z
    .strictObject(shape)
    .refine(
      (value) => Object.values(value as object).filter((one) => one !== undefined).length === 1,
      `expected one of: ${names}`,
    );
}

const distribution = oneOf({
  exponential: z.strictObject({ meanMs: delayMs }).optional(),
  gamma: z.strictObject({ shape: number(0.1, 1000), meanMs: delayMs }).optional(),
  lognormal: z.strictObject({ medianMs: delayMs, sigma: number(0, 5) }).optional(),
  uniform: z.strictObject({ fromMs: delayMs, toMs: delayMs }).optional(),
  table: z
    .strictObject({ ms: z.array(delayMs).min(2, 'expected two or more quantiles') })
    .refine(({ ms }) => ms.every((each, n) => n === 0 || each >= ms[n - 1]!), 'expected quantiles that rise')
    .optional(),
});

const direction = z.enum(['out', 'back', 'drawn']);

const network = z.strictObject({
  baseMs: delayMs.default(20),
  asymmetryPercent: number(-100, 100).default(0),
  jitter: distribution.default({ exponential: { meanMs: 1 } }),
  lossPercent: percent.default(0),
  routes: z
    .strictObject({
      everyHours: number(0.01, 100_000),
      fromMs: delayMs,
      toMs: delayMs,
      asymmetryPercent: percent.default(0),
    })
    .optional(),
  changes: z
    .array(z.strictObject({ atHours: hours, baseMs: delayMs, asymmetryPercent: number(-100, 100).default(0) }))
    .default([]),
  congestion: z
    .strictObject({
      everyHours: number(0.01, 100_000),
      meanMinutes: number(0.01, 100_000),
      direction: direction.default('drawn'),
      extra: distribution,
    })
    .optional(),
  outages: z.array(z.strictObject({ fromHours: hours, hours })).default([]),
});

const server = z.strictObject({
  offsetMs: number(-1e9, 1e9).default(0),
  fromHours: hours.default(0),
  smear: z.strictObject({ atHours: hours, hours: number(0.1, 1000), seconds: number(-1, 1) }).optional(),
  rootDelayMs: number(0, 1000).default(0),
  rootDispersionMs: number(0, 1000).default(0.1),
  cookieBytes: whole(64, 256).default(100),
  network: network.optional(),
});

const temperature = z
  .strictObject({
    meanC: number(-40, 85).default(15),
    dailyK: number(0, 60).default(0),
    dailyPpb: number(0, 100_000).default(0),
    phase: z.enum(['drawn', 'fixed']).default('fixed'),
    weather: z.strictObject({ standardK: number(0, 30), hours: number(0.1, 10_000) }).optional(),
  })
  .refine(({ dailyK, dailyPpb }) => dailyK === 0 || dailyPpb === 0, 'expected dailyK or dailyPpb, came both');

const oscillator = z.strictObject({
  offsetPpb: number(-90_000, 90_000).default(10_000),
  walkPpb: number(0, 1000).default(1),
  flickerPpb: number(0, 1000).default(0),
  agingPpmPerYear: number(-100, 100).default(0),
  sine: z.strictObject({ ppb: number(0, 100_000), hours: number(0.01, 10_000).default(24) }).optional(),
  steps: z.array(z.strictObject({ atHours: hours, ppb: number(-50_000, 50_000) })).default([]),
  crystal: z
    .strictObject({ ppmPerK2: number(-1, 1).default(-0.035), turningC: number(-40, 85).default(25) })
    .optional(),
});

const attack = z.strictObject({
  fromHours: hours,
  hours,
  direction,
  delay: distribution,
  server: whole(0, 3).optional(),
});

const link = z.strictObject({
  baud: whole(300, 4_000_000),
  usb: z.strictObject({ latencyMs: number(0.1, 255).default(16), frameMs: number(0, 10).default(0.125) }).optional(),
  gatewayJitter: distribution.default({ exponential: { meanMs: 0.1 } }),
});

/** What is told of each case, by its name in targets and peers; the unit is in the name, shares are in per cent. */
export const figureNames = [
  'rmsMs',
  'p95Ms',
  'maxMs',
  'frequencyRmsPpb',
  'pollSeconds',
  'pollsMost',
  'insideUPercent',
  'insideBoundPercent',
  'uOverRms',
  'oracleRmsMs',
  'overOracle',
  'timelessPercent',
  'synchronisedPercent',
] as const;
export type FigureName = (typeof figureNames)[number];

const target = oneOf({
  atMost: z.number('expected a number').optional(),
  atLeast: z.number('expected a number').optional(),
});

const caseSchema = z
  .strictObject({
    title: z.string().min(1),
    seconds: whole(60, 10_000_000).default(200_000),
    leaveOutSeconds: whole(0, 10_000_000).default(20_000),
    readEverySeconds: whole(1, 1_000_000).default(1),
    seedsMost: whole(1, 1_000_000).optional(),
    oscillator: oscillator.prefault({}),
    temperature: temperature.optional(),
    thermometer: z
      .strictObject({ resolutionK: number(0.001, 10).default(0.0625), offsetK: number(-10, 10).default(0) })
      .optional(),
    network: network.prefault({}),
    servers: z.array(server).min(1, 'expected 1 to 4 servers').max(4, 'expected 1 to 4 servers').prefault([{}]),
    attacks: z.array(attack).default([]),
    gateway: z.strictObject({ lies: distribution }).optional(),
    link: link.optional(),
    settings: z
      .strictObject({
        pollMinSeconds: whole(1, 36_000).default(64),
        pollMaxSeconds: whole(1, 36_000).default(1024),
        asymmetryPercent: percent.optional(),
      })
      .prefault({}),
    limitRmsMs: z.number('expected a number').optional(),
    peers: z.record(z.string(), z.partialRecord(z.enum(figureNames), z.number('expected a number'))).default({}),
    targets: z.partialRecord(z.enum(figureNames), target).default({}),
  })
  .refine(({ seconds, leaveOutSeconds }) => leaveOutSeconds <= seconds, {
    path: ['leaveOutSeconds'],
    message: 'expected no more than seconds',
  })
  .refine(({ temperature, oscillator }) => temperature === undefined || oscillator.crystal !== undefined, {
    path: ['temperature'],
    message: 'expected oscillator.crystal beside it',
  })
  .refine(({ thermometer, temperature }) => thermometer === undefined || temperature !== undefined, {
    path: ['thermometer'],
    message: 'expected temperature beside it',
  });

export type Case = z.output<typeof caseSchema> & { readonly name: string };
export type Network = z.output<typeof network>;
export type Distribution = z.output<typeof distribution>;
export type ServerCase = z.output<typeof server>;
export type OscillatorCase = Pick<Case, 'seconds' | 'oscillator' | 'temperature'>;
export type Direction = z.output<typeof direction>;

const limitBytes = 1 << 20;

/** A case from its text. @throws CaseError */
export function parseCase(text: string, file: string): Case {
  const { settings, problems } = readYaml(text, file, caseSchema);
  if (settings === undefined) throw new CaseError(problems.map(formatProblem).join('\n'));
  return { ...settings, name: basename(file).replace(/\.ya?ml$/, '') };
}

/** The cases of a file, or of all files of a folder by name. @throws CaseError, FileError */
export function loadCases(path: string): Case[] {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats === undefined) throw new CaseError(`${path}: expected a file or folder with cases, found none`);
  const files = stats.isDirectory()
    ? readdirSync(path)
        .filter((name) => /\.ya?ml$/.test(name))
        .sort()
        .map((name) => join(path, name))
    : [path];
  if (files.length === 0) throw new CaseError(`${path}: expected cases (*.yaml) in this folder`);
  return files.map((file) => parseCase(readTextWithin(file, limitBytes), file));
}
