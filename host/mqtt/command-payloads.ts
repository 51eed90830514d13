// Commands to meters over MQTT: what they take and what they answer, as schemas that give the types.
// What always holds: an answer says whether the command was carried out; where not, what was expected, what came, and what to
// do about it.
import { z } from 'zod';
import { dynamicTariffsSchema, tariffProgramSchema } from '../tariff/model.ts';
import { entrySchema } from './record-payloads.ts';

/** Entries that one command asks for at most, and where it does not say. */
export const entriesAtOnce = { most: 128, default: 32 } as const;
/** Bytes that a command takes at most. */
export const commandBytesMax = 65_536;

const whole = (least: number, most: number) => {
  const error = `expected a whole number from ${least} to ${most}`;
  return z.int({ error }).min(least, { error }).max(most, { error });
};

const sequence = whole(1, 0xffff_ffff);
const entries = {
  /** Sequence of the first; where it is missing, the newest ones are told. */
  from: sequence.optional(),
  count: whole(1, entriesAtOnce.most).optional(),
};

/** Of `PREFIX/GATEWAY/METER/command/NAME`, by name. */
export const commandSchemas = {
  'tariff-program': tariffProgramSchema,
  'dynamic-tariffs': dynamicTariffsSchema,
  records: z.strictObject(entries),
  logbook: z.strictObject({
    ...entries,
    /** `logbook`, or `network`: what the network provoked. */
    ring: z.enum(['logbook', 'network'], { error: 'expected logbook or network' }).optional(),
  }),
  'logbook-release': z.strictObject({
    /** The newest entry that was read: it and all before it may be overwritten. */
    sequence,
  }),
  update: z.strictObject({
    /** Name of a file in the gateway's folder of updates. */
    file: z.string().regex(/^[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}$/, 'expected the name of a file, without a folder'),
  }),
} as const;

export type CommandName = keyof typeof commandSchemas;

/** What is answered where a command was carried out, by its name. */
export const resultSchemas = {
  /** `bytes`: of the block that the meter stored. */
  'tariff-program': z.strictObject({ name: z.string(), activationUtc: z.string().nullable(), bytes: z.int() }),
  'dynamic-tariffs': z.strictObject({ entries: z.int(), endUtc: z.string().nullable(), bytes: z.int() }),
  records: z.strictObject({ entries: z.array(entrySchema) }),
  logbook: z.strictObject({ ring: z.string(), entries: z.array(entrySchema) }),
  /** `newest`: newest entry of the logbook. */
  'logbook-release': z.strictObject({ released: z.int(), newest: z.int() }),
  /** `version`: what is tried from the next start on, which comes at once. */
  update: z.strictObject({ version: z.string(), slot: z.enum(['A', 'B']), imageBytes: z.int() }),
} as const;

export const commandErrorCodes = [
  /** There is no such command. */
  'command-unknown',
  /** What came is not what the command takes. */
  'command-invalid',
  /** More bytes than a command takes. */
  'command-too-large',
  /** Too many commands wait. */
  'command-busy',
  /** The gateway does not know the meter. */
  'meter-unknown',
  'meter-offline',
  'meter-silent',
  'meter-busy',
  /** The meter refuses the command. */
  'meter-refused',
  /** The answer is larger than the broker takes. */
  'answer-too-large',
  /** A defect of metertime. */
  'gateway-failed',
] as const;

export type CommandErrorCode = (typeof commandErrorCodes)[number];

const failure = z.strictObject({
  ok: z.literal(false),
  meter: z.string(),
  command: z.string(),
  error: z.strictObject({
    code: z.enum(commandErrorCodes),
    /** What was expected, and what came. For people. */
    message: z.string(),
    /** What to do about it. For people. */
    hint: z.string(),
  }),
});

const success = z.strictObject({
  ok: z.literal(true),
  meter: z.string(),
  command: z.string(),
  /** By command. */
  result: z.union(Object.values(resultSchemas)),
});

/** The answer to a command, on its Response Topic. */
export const responseSchema = z.discriminatedUnion('ok', [success, failure]);

export type CommandResponse = z.infer<typeof responseSchema>;
export type CommandResultOf<Name extends CommandName> = z.infer<(typeof resultSchemas)[Name]>;
export type AnyCommandResult = CommandResultOf<CommandName>;

/** Why a command was not carried out. */
export class CommandError extends Error {
  constructor(
    readonly code: CommandErrorCode,
    message: string,
    readonly hint: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = 'CommandError';
  }
}
