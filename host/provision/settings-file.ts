// A meter's settings as a YAML file, for `metertime provision --settings FILE`: the same names as MeterSettings, servers
// as HOST or HOST:PORT. It never holds the root key. Errors name line, value and what was expected.
import { LineCounter, parseDocument } from 'yaml';
import { z } from 'zod';
import { suggest } from '../config/suggest.ts';
import { readTextWithin } from '../files.ts';
import { parseHostPort } from './host-port.ts';
import { type MeterSettings, SettingsBlockError } from './settings-block.ts';

const limitBytes = 1 << 20;

const seconds = z.int();
const schema = z.strictObject({
  id: z.string().optional(),
  servers: z.array(z.string()).optional(),
  firstDatesUnchecked: z.boolean().optional(),
  poll: z.strictObject({ minSeconds: seconds.optional(), maxSeconds: seconds.optional() }).optional(),
  reportSeconds: seconds.optional(),
});

/** What a file or the command line says; what neither says has a default. */
export interface GivenSettings {
  readonly id?: string | undefined;
  readonly servers?: MeterSettings['servers'] | undefined;
  readonly firstDatesUnchecked?: boolean | undefined;
  readonly poll?: { readonly minSeconds?: number | undefined; readonly maxSeconds?: number | undefined } | undefined;
  readonly reportSeconds?: number | undefined;
}

/** @throws {FileError} @throws {SettingsBlockError} settings-value with `FILE:LINE:COLUMN: …` for the first thing wrong */
export function readSettingsFile(path: string): GivenSettings {
  return parseSettings(readTextWithin(path, limitBytes), path);
}

/** As `readSettingsFile`, for text that `file` is the name of. */
export function parseSettings(text: string, file: string): GivenSettings {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true });
  const refuse = (offset: number, message: string): never => {
    const { line, col } = lines.linePos(offset);
    throw new SettingsBlockError('settings-value', `${file}:${Math.max(line, 1)}:${Math.max(col, 1)}: ${message}`);
  };
  const [problem] = document.errors;
  if (problem !== undefined) refuse(problem.pos[0], problem.message);

  const value: unknown = document.contents === null ? {} : document.toJS();
  const parsed = schema.safeParse(value);
  const offsetOf = (at: readonly PropertyKey[]): number => {
    for (let length = at.length; length > 0; length--) {
      const node = document.getIn(at.slice(0, length), true) as { range?: [number, number, number] } | undefined;
      if (node?.range) return node.range[0];
    }
    return 0;
  };
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    if (issue?.code === 'unrecognized_keys') {
      const key = issue.keys[0]!;
      const known = Object.keys(issue.path[0] === 'poll' ? schema.shape.poll.unwrap().shape : schema.shape);
      const meant = suggest(key, known);
      const hint = meant === undefined ? `expected one of ${known.join(', ')}` : `did you mean "${meant}"?`;
      return refuse(offsetOf([...issue.path, key]), `unknown setting "${key}"; ${hint}`);
    }
    const at = issue?.path ?? [];
    const name = at
      .map((part) => (typeof part === 'number' ? `[${part + 1}]` : `.${String(part)}`))
      .join('')
      .slice(1);
    return refuse(offsetOf(at), `${name === '' ? 'settings' : name}: ${issue?.message ?? 'not understood'}`);
  }
  const servers = parsed.data.servers?.map((server, index) => {
    try {
      return parseHostPort(server);
    } catch (error) {
      return refuse(offsetOf(['servers', index]), `servers: ${(error as Error).message}`);
    }
  });
  return { ...parsed.data, servers };
}
