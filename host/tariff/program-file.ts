// Tariff programs and dynamic tariffs in files of YAML or JSON. Errors name file, line and column, the place in the
// program, what was expected and what came.
import type { z } from 'zod';
import { formatProblem, readYaml } from '../config/problems.ts';
import { readTextWithin } from '../files.ts';
import { encodeDynamic } from './dynamic-block.ts';
import { TariffError } from './errors.ts';
import { type DynamicTariffs, dynamicTariffsSchema, type TariffProgram, tariffProgramSchema } from './model.ts';
import { encodeProgram } from './program-block.ts';

const limitBytes = 1 << 20;

export interface ProgramFile {
  readonly program: TariffProgram;
  /** As `encodeProgram` makes it. */
  readonly block: Uint8Array;
}

export interface DynamicFile {
  readonly dynamic: DynamicTariffs;
  /** As `encodeDynamic` makes it. */
  readonly block: Uint8Array;
}

/** @throws {FileError} @throws {TariffError} tariff-value, tariff-zone with `FILE:LINE:COLUMN: …` for the first thing wrong */
export function readProgramFile(path: string): ProgramFile {
  return parseProgram(readTextWithin(path, limitBytes), path);
}

/** As `readProgramFile`, for text that `file` is the name of. */
export function parseProgram(text: string, file: string): ProgramFile {
  const { value: program, block } = parse(text, file, tariffProgramSchema, encodeProgram);
  return { program, block };
}

/** @throws {FileError} @throws {TariffError} tariff-value with `FILE:LINE:COLUMN: …` for the first thing wrong */
export function readDynamicFile(path: string): DynamicFile {
  return parseDynamic(readTextWithin(path, limitBytes), path);
}

/** As `readDynamicFile`, for text that `file` is the name of. */
export function parseDynamic(text: string, file: string): DynamicFile {
  const { value: dynamic, block } = parse(text, file, dynamicTariffsSchema, encodeDynamic);
  return { dynamic, block };
}

function parse<Value>(
  text: string,
  file: string,
  schema: z.ZodType<Value>,
  encode: (value: Value) => Uint8Array,
): { value: Value; block: Uint8Array } {
  const { problems, settings: value, positions } = readYaml(text, file, schema);
  const [problem] = problems;
  if (problem !== undefined || value === undefined) {
    throw new TariffError('tariff-value', problem === undefined ? file : formatProblem(problem));
  }
  try {
    return { value, block: encode(value) };
  } catch (cause) {
    if (!(cause instanceof TariffError)) throw cause;
    const place = positions.problem('error', positions.valueOffset(cause.path), cause.path, cause.message);
    throw new TariffError(cause.code, formatProblem(place), cause.path, { cause });
  }
}
