// Carries out one command on a meter: what came as text, what the meter is told, and what is answered.
// What always holds: nothing reaches the meter that does not fit the command's schema, and what it refuses is said in words.

import { join } from 'node:path';
import type { z } from 'zod';
import { Block, CommandResult, Ring } from '../../as/abi/codes.ts';
import { FileError, readFileWithin } from '../files.ts';
import type { CommandOutcome, MeterCommands } from '../gateway/meter-commands.ts';
import { MeterSessionError } from '../gateway/meter-commands.ts';
import type { Slots } from '../link/messages.ts';
import type { Context } from '../record/entry.ts';
import { TariffError } from '../tariff/errors.ts';
import { parseDynamic, parseProgram } from '../tariff/program-file.ts';
import { commandResultNames, nameOf, programErrorNames, ringNames } from '../text/names.ts';
import { decodeUpdate, slotLetter, UpdateError, type UpdateImage, updateFileBytesMax } from '../update/manifest.ts';
import { sendUpdate } from '../update/send.ts';
import { versionText } from '../update/version.ts';
import {
  type AnyCommandResult,
  CommandError,
  type CommandName,
  type CommandResultOf,
  commandSchemas,
  entriesAtOnce,
} from './command-payloads.ts';
import { type EntryPayload, entryPayload } from './record-payloads.ts';

/** What commands need of a meter. */
export interface CommandMeter {
  /** Undefined while it is offline. */
  readonly commands: Pick<MeterCommands, 'entries' | 'write' | 'release' | 'update'> | undefined;
  /** Sequence of the newest entry of a ring; undefined where the meter has not said it. */
  newest(ring: Ring): number | undefined;
  /** What the meter said of its slots for software; undefined while it is offline, and where it has none. */
  readonly slots: Slots | undefined;
  /** The gateway's folder of updates. */
  readonly updates: string | undefined;
  /** The context that holds for its records, where it is known. */
  context(sequence: number): Context | undefined;
}

/** @throws CommandError */
export async function carryOut(id: string, meter: CommandMeter, name: CommandName, text: string) {
  try {
    return await (carriers[name] as Carrier)(id, meter, text);
  } catch (error) {
    if (error instanceof MeterSessionError) {
      throw new CommandError(error.code, error.message, sessionHints[error.code], { cause: error });
    }
    if (error instanceof UpdateError) {
      throw new CommandError('meter-refused', error.message, 'What ran before runs on.', { cause: error });
    }
    if (error instanceof TariffError) {
      throw new CommandError('command-invalid', error.message, 'Correct it and send it again; nothing was changed.', {
        cause: error,
      });
    }
    throw error;
  }
}

const sessionHints = {
  'meter-offline': 'Send it again when the state of meter and gateway is online.',
  'meter-silent': 'Send it again; where it stays so, look at the link of the meter.',
  'meter-busy': 'Send it again when the commands before it are answered.',
} as const;

type Carrier = (id: string, meter: CommandMeter, text: string) => Promise<AnyCommandResult>;

const carriers: { [Name in CommandName]: (...of: Parameters<Carrier>) => Promise<CommandResultOf<Name>> } = {
  'tariff-program': async (_, meter, text) => {
    const { program, block } = parseProgram(text, 'tariff-program');
    await written(meter, Block.Program, block);
    return { name: program.name, activationUtc: program.activationUtc ?? null, bytes: block.length };
  },
  'dynamic-tariffs': async (_, meter, text) => {
    const { dynamic, block } = parseDynamic(text, 'dynamic-tariffs');
    await written(meter, Block.Dynamic, block);
    return { entries: dynamic.entries.length, endUtc: dynamic.endUtc ?? null, bytes: block.length };
  },
  records: async (id, meter, text) => {
    const { from, count } = parse('records', commandSchemas.records, text);
    return { entries: await entries(id, meter, Ring.Records, from, count) };
  },
  logbook: async (id, meter, text) => {
    const { from, count, ring: name } = parse('logbook', commandSchemas.logbook, text);
    const ring = name === 'network' ? Ring.Network : Ring.Logbook;
    return { ring: ringNames[ring].name, entries: await entries(id, meter, ring, from, count) };
  },
  'logbook-release': async (_, meter, text) => {
    const { sequence } = parse('logbook-release', commandSchemas['logbook-release'], text);
    const outcome = await online(meter).release(Ring.Logbook, sequence);
    if (outcome.result === CommandResult.Request) {
      throw new CommandError(
        'meter-refused',
        `expected an entry that the logbook has and that is not released yet (its newest is ${outcome.detail}), came ${sequence}`,
        'Read the logbook, and release what was read.',
      );
    }
    assertDone(outcome);
    return { released: sequence, newest: outcome.detail };
  },
  update: async (_, meter, text) => {
    const { file } = parse('update', commandSchemas.update, text);
    const { manifest } = await sendUpdate(meter, readUpdate(meter, file));
    return { version: versionText(manifest.version), slot: slotLetter(manifest.slot), imageBytes: manifest.length };
  },
};

function readUpdate({ updates }: CommandMeter, file: string): UpdateImage[] {
  if (updates === undefined) {
    throw new CommandError(
      'command-invalid',
      'this gateway has no folder of updates',
      'Name one in its settings: mqtt.updates.',
    );
  }
  try {
    return decodeUpdate(readFileWithin(join(updates, file), updateFileBytesMax));
  } catch (cause) {
    if (!(cause instanceof FileError) && !(cause instanceof UpdateError)) throw cause;
    throw new CommandError('command-invalid', `${file}: ${cause.message}`, 'Nothing was changed.', { cause });
  }
}

function online({ commands }: CommandMeter): NonNullable<CommandMeter['commands']> {
  if (commands === undefined) throw new MeterSessionError('meter-offline', 'the meter is not connected to its gateway');
  return commands;
}

async function written(meter: CommandMeter, block: Block, bytes: Uint8Array): Promise<void> {
  assertDone(await online(meter).write(block, bytes));
}

async function entries(
  id: string,
  meter: CommandMeter,
  ring: Ring,
  first: number | undefined,
  count: number = entriesAtOnce.default,
): Promise<EntryPayload[]> {
  const commands = online(meter);
  const newest = meter.newest(ring);
  if (first === undefined && newest === undefined) {
    throw new CommandError(
      'command-invalid',
      'expected "from", as the meter has not said its newest entry yet',
      'Send it again with "from", the sequence of the first entry.',
    );
  }
  const from = first ?? Math.max(1, newest! - count + 1);
  const outcome = await commands.entries(ring, from, count);
  assertDone(outcome);
  return outcome.entries.map((bytes) => payloadOf(id, meter, ring, bytes));
}

function payloadOf(id: string, meter: CommandMeter, ring: Ring, bytes: Uint8Array): EntryPayload {
  const payload = entryPayload(id, ring, bytes, undefined);
  const context = payload.format === 'record' ? meter.context(payload.context) : undefined;
  return context === undefined ? payload : entryPayload(id, ring, bytes, context);
}

function assertDone({ result, detail }: CommandOutcome): void {
  if (result === CommandResult.Done) return;
  const why =
    result === CommandResult.Invalid ? nameOf(programErrorNames, detail).text : nameOf(commandResultNames, result).text;
  throw new CommandError(
    result === CommandResult.Busy ? 'meter-busy' : 'meter-refused',
    `the meter refuses it: ${why}`,
    result === CommandResult.Busy ? sessionHints['meter-busy'] : 'Nothing was changed.',
  );
}

/** A command's JSON; no text at all stands for an object without members. */
function parse<Value>(name: string, schema: z.ZodType<Value>, text: string): Value {
  let json: unknown;
  try {
    json = text.trim() === '' ? {} : JSON.parse(text);
  } catch (cause) {
    throw invalid(`${name}: expected JSON, came something else (${(cause as Error).message})`, cause);
  }
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  const { path, message } = result.error.issues[0]!;
  const came = path.reduce<unknown>((value, key) => (value as Record<PropertyKey, unknown>)?.[key], json);
  throw invalid(`${[name, ...path].join('.')}: ${message}, came ${JSON.stringify(came) ?? 'nothing'}`, result.error);
}

function invalid(message: string, cause: unknown): CommandError {
  return new CommandError('command-invalid', message, 'Correct it and send it again; nothing was changed.', { cause });
}
