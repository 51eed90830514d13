// Files of DLMS/COSEM objects: JSON with each attribute's A-XDR in hexadecimal, and beside it what it says.
//
//   { format, deviation, objects: [{ classId, version, logicalName, attributes: { "1": hex, … }, decoded }],
//     program, passive }      what a tariff program says and the objects do not
//
// What always holds: the attributes are what counts; where `decoded` says something else, the file is refused, as nobody
// could know which of them was meant. Unknown keys are refused.
import { z } from 'zod';
import { type AxdrValue, decodeAxdr, encodeAxdr } from './axdr.ts';
import type { Attributes, GetAttribute } from './calendar.ts';
import { type DeviationSign, deviationSigns } from './date-time.ts';
import { DlmsError } from './error.ts';
import { at } from './shape.ts';

export const objectFileFormat = 'metertime-dlms-1';

const hexBytes = z.string().regex(/^([0-9a-f]{2} ?)+$/i, { error: 'expected bytes as two hexadecimal digits each' });

const objectSchema = z.strictObject({
  classId: z.int().min(0).max(65_535),
  version: z.int().min(0).max(255).optional(),
  /** `0.0.13.0.0.255`. */
  logicalName: z.string().regex(/^\d{1,3}(\.\d{1,3}){5}$/, { error: 'expected six numbers between dots' }),
  attributes: z.record(z.string().regex(/^[1-9]\d{0,2}$/, { error: 'expected the number of an attribute' }), hexBytes),
  /** What the attributes say, for people. */
  decoded: z.unknown().optional(),
});

/** What a tariff program says and the objects do not; checked with the program that comes of it. */
const programPart = z.strictObject({
  zone: z.unknown(),
  activationUtc: z.unknown().optional(),
  defaultTariff: z.unknown(),
  dynamicFallback: z.unknown().optional(),
  tariffs: z.unknown().optional(),
  scripts: z.unknown().optional(),
  /** Of the passive program, where they are not those of the active one: the table has no passive part. */
  specialDays: z.unknown().optional(),
});

const objectFileSchema = z.strictObject({
  format: z.literal(objectFileFormat, { error: `expected ${objectFileFormat}` }),
  /** Sign of the deviation: local time to UTC (`dlms`), or `inverted`. */
  deviation: z.enum(deviationSigns as [DeviationSign, ...DeviationSign[]]),
  objects: z.array(objectSchema),
  /** What the active and the passive program say and the objects do not. */
  program: programPart.optional(),
  passive: programPart.optional(),
});

export type DlmsObject = z.infer<typeof objectSchema>;
export type ProgramPart = z.infer<typeof programPart>;
export type ObjectFile = z.infer<typeof objectFileSchema>;

/** An object as it stands in a file. @throws {DlmsError} dlms-value */
export function objectOf(classId: number, logicalName: string, attributes: Attributes, decoded: object): DlmsObject {
  const entries = Object.entries(attributes).map(([number, value]) => [
    number,
    Buffer.from(encodeAxdr(value)).toString('hex'),
  ]);
  return { classId, version: 0, logicalName, attributes: Object.fromEntries(entries), decoded };
}

/** Decodes attributes as they are asked for. */
export function attributesOf({ attributes, classId, logicalName }: DlmsObject): GetAttribute {
  return (number) => {
    const place = `class ${classId}, ${logicalName}, attribute ${number}`;
    const hex = attributes[number];
    if (hex === undefined) throw new DlmsError('file-dlms', `${place}: expected its A-XDR, came none`);
    return at(place, (): AxdrValue => decodeAxdr(Buffer.from(hex.replaceAll(' ', ''), 'hex')));
  };
}

/** @throws {DlmsError} file-dlms: no JSON, or not such a file; the message says where */
export function parseObjectFile(text: string, file: string): ObjectFile {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new DlmsError('file-dlms', `${file}: expected JSON (${(cause as Error).message})`, { cause });
  }
  const result = objectFileSchema.safeParse(value);
  if (result.success) return result.data;
  const lines = result.error.issues.map(({ path, message }) => `${file}: ${path.join('.') || 'the file'}: ${message}`);
  throw new DlmsError('file-dlms', lines.join('\n'));
}
