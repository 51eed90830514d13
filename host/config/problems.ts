// Reads settings text into a schema's shape, that of the gateway or that of a meter, and says everything that is wrong
// with it, with line and column.
// No message holds a secret: values under secret settings, values of unknown keys and user names in URLs are not quoted,
// and the YAML parser's own messages, which quote the text, are replaced.
import {
  type Document,
  isMap,
  isScalar,
  LineCounter,
  type Node,
  type Pair,
  parseDocument,
  visit,
  type YAMLError,
} from 'yaml';
import type { z } from 'zod';
import { type RawSettings, type SettingMeta, settingsSchema } from './schema.ts';
import { hideUserinfo } from './secret.ts';
import { suggest } from './suggest.ts';

/** Something wrong with the settings; `line` and `column` count from 1. */
export interface Problem {
  readonly severity: 'error' | 'warning';
  readonly file: string;
  readonly line: number;
  readonly column: number;
  /** The setting, such as `mqtt.url`; empty for the whole file. */
  readonly path: string;
  /** The value, what was expected, what to do. */
  readonly message: string;
}

/** `file:line:column: message`, as compilers print it. */
export function formatProblem(problem: Problem): string {
  const kind = problem.severity === 'warning' ? 'warning: ' : '';
  return `${problem.file}:${problem.line}:${problem.column}: ${kind}${problem.message}`;
}

type Path = readonly (string | number)[];

/** Where each setting stands in the text. */
export class Positions {
  constructor(
    readonly file: string,
    readonly document: Document.Parsed,
    readonly lines: LineCounter,
  ) {}

  problem(severity: Problem['severity'], offset: number, path: Path, message: string): Problem {
    const { line, col } = this.lines.linePos(offset);
    return {
      severity,
      file: this.file,
      line: Math.max(line, 1),
      column: Math.max(col, 1),
      path: pathText(path),
      message,
    };
  }

  /** Offset of the value at `path`, or of what is nearest to it where it is not there. */
  valueOffset(path: Path): number {
    for (let length = path.length; length > 0; length--) {
      const at = path.slice(0, length);
      const node = this.document.getIn(at, true) as Node | undefined;
      if (length === path.length && node?.range) return node.range[0];
      if (length < path.length) {
        const key = this.pair(at)?.key as Node | undefined;
        if (key?.range) return key.range[0];
        if (node?.range) return node.range[0];
      }
    }
    return this.document.contents?.range?.[0] ?? 0;
  }

  /** Offset of the key at `path`. */
  keyOffset(path: Path): number {
    const key = this.pair(path)?.key as Node | undefined;
    return key?.range?.[0] ?? this.valueOffset(path);
  }

  /** `file:line:column` of the value at `path`; undefined where the text does not say it. */
  place(path: Path): string | undefined {
    const node = this.document.getIn(path, true) as Node | undefined;
    if (!node?.range) return undefined;
    const { line, col } = this.lines.linePos(node.range[0]);
    return `${this.file}:${line}:${col}`;
  }

  private pair(path: Path): Pair | undefined {
    const parent = this.document.getIn(path.slice(0, -1), true);
    const key = path.at(-1);
    return isMap(parent) ? parent.items.find((item) => isScalar(item.key) && item.key.value === key) : undefined;
  }
}

/** What reading gave: settings only where there is no error. */
export interface Reading<Settings = RawSettings> {
  readonly problems: Problem[];
  readonly settings: Settings | undefined;
  readonly positions: Positions;
}

/** Reads and validates a gateway's settings; all problems at once, in the order of the text. */
export function readSettings(text: string, file: string): Reading {
  return readYaml(text, file, settingsSchema);
}

/** As `readSettings`, for any schema. */
export function readYaml<Schema extends z.ZodType>(
  text: string,
  file: string,
  schema: Schema,
): Reading<z.output<Schema>> {
  const lines = new LineCounter();
  const document = parseDocument(text, {
    lineCounter: lines,
    prettyErrors: false,
    strict: true,
    uniqueKeys: true,
    merge: false,
  });
  const positions = new Positions(file, document, lines);
  const problems = [...document.errors, ...document.warnings].map((error) =>
    positions.problem('error', error.pos[0], [], yamlMessage(error)),
  );
  problems.push(...aliasProblems(document, positions));
  if (problems.length > 0) return { problems: sorted(problems), settings: undefined, positions };
  const value: unknown = document.contents === null ? {} : document.toJS();
  const result = schema.safeParse(value);
  if (result.success) return { problems: [], settings: result.data, positions };
  problems.push(...result.error.issues.flatMap((issue) => issueProblems(issue, value, positions, schema)));
  return { problems: sorted(problems), settings: undefined, positions };
}

export function sorted(problems: readonly Problem[]): Problem[] {
  return [...problems].sort((a, b) => a.line - b.line || a.column - b.column);
}

/** Aliases are refused: no setting needs them, and an unquoted password may look like one. */
function aliasProblems(document: Document.Parsed, positions: Positions): Problem[] {
  const found: Problem[] = [];
  visit(document, {
    Alias(_, node) {
      found.push(
        positions.problem(
          'error',
          node.range?.[0] ?? 0,
          [],
          'expected no YAML alias; put a value that begins with * in quotes',
        ),
      );
    },
  });
  return found;
}

const quoteIt = 'put the value in single quotes';

/** The parser's errors in words that quote nothing. */
const yamlMessages: Partial<Record<YAMLError['code'], string>> = {
  ALIAS_PROPS: `expected no tag or anchor before an alias; ${quoteIt}`,
  BAD_ALIAS: `expected no YAML alias; ${quoteIt} if it begins with *`,
  BAD_DIRECTIVE: `expected no line that begins with %; ${quoteIt} if it is one`,
  BAD_DQ_ESCAPE: 'expected an escape that YAML knows after the backslash; single quotes take backslashes as they are',
  BAD_INDENT: 'expected the indentation of the lines around it',
  BAD_PROP_ORDER: `expected no anchor or tag; ${quoteIt}`,
  BAD_SCALAR_START: `expected a value that does not begin with this character; ${quoteIt}`,
  BLOCK_AS_IMPLICIT_KEY: 'expected one "key: value" a line',
  BLOCK_IN_FLOW: 'expected no indented lines within [ ] or { }',
  DUPLICATE_KEY: 'expected each setting once; this one stands above, too',
  IMPOSSIBLE: 'expected YAML',
  KEY_OVER_1024_CHARS: 'expected a setting\'s name before the ":"',
  MISSING_CHAR: 'expected a character that is missing here: a space, a colon, a closing quote or a bracket',
  MULTILINE_IMPLICIT_KEY: 'expected "key: value"; there is no ":" on this line or the one before',
  MULTIPLE_ANCHORS: `expected no anchor; ${quoteIt} if it begins with &`,
  MULTIPLE_DOCS: 'expected one document; remove this "---" and what follows',
  MULTIPLE_TAGS: `expected no tag; ${quoteIt} if it begins with !`,
  NON_STRING_KEY: 'expected a plain name before the ":"',
  TAB_AS_INDENT: 'expected spaces, came a tab',
  TAG_RESOLVE_FAILED: `expected no tag; ${quoteIt} if it begins with !`,
  UNEXPECTED_TOKEN: `expected no such character here; ${quoteIt} if it belongs to one`,
};

function yamlMessage(error: YAMLError): string {
  return yamlMessages[error.code] ?? 'expected YAML';
}

/** A path as people write it: `mqtt.url`, `links[2]` for the second link. */
export function pathText(path: Path): string {
  return path
    .map((part, index) => (typeof part === 'number' ? `[${part + 1}]` : index === 0 ? part : `.${part}`))
    .join('');
}

function issueProblems(issue: z.core.$ZodIssue, root: unknown, positions: Positions, schema: z.ZodType): Problem[] {
  const path = issue.path as Path;
  if (issue.code === 'unrecognized_keys') {
    const known = keysAt(schema, path);
    return issue.keys.map((key) => {
      const at = [...path, key];
      const meant = suggest(key, known);
      const hint = meant === undefined ? `expected one of: ${known.join(', ')}` : `did you mean "${meant}"?`;
      return positions.problem(
        'error',
        positions.keyOffset(at),
        at,
        `unknown setting "${hideUserinfo(pathText(at))}"; ${hint}`,
      );
    });
  }
  const inner = issue.code === 'invalid_union' ? issuesOfMeant(issue) : undefined;
  if (inner !== undefined) return inner.flatMap((each) => issueProblems(each, root, positions, schema));
  const name = pathText(path);
  const value = valueAt(root, path);
  if (value === undefined) {
    const example = metaAt(schema, path)?.example;
    const such = typeof example === 'string' ? `, such as ${path.at(-1)}: ${example}` : '';
    return [
      positions.problem(
        'error',
        positions.valueOffset(path),
        path,
        `${name} is missing; expected ${expectation(issue)}${such}`,
      ),
    ];
  }
  const subject = path.length === 0 ? 'the file' : name;
  const said =
    issue.code === 'custom' && typeof value === 'object'
      ? ''
      : ` is ${quote(value, metaAt(schema, path)?.secret === true)}`;
  const meant =
    issue.code === 'invalid_value' && typeof value === 'string' ? suggest(value, issue.values.map(String)) : undefined;
  const hint = meant === undefined ? '' : `; did you mean "${meant}"?`;
  return [
    positions.problem('error', positions.valueOffset(path), path, `${subject}${said}; ${expected(issue)}${hint}`),
  ];
}

/** Of several forms that a setting may have, what is wrong with the only one that has the value's type. */
function issuesOfMeant(issue: z.core.$ZodIssueInvalidUnion): z.core.$ZodIssue[] | undefined {
  if (issue.message.startsWith('expected ')) return undefined;
  const meant = issue.errors.filter(
    (issues) => !issues.some(({ code, path }) => code === 'invalid_type' && path.length === 0),
  );
  if (meant.length !== 1) return undefined;
  return meant[0]?.map((each) => ({ ...each, path: [...issue.path, ...each.path] }));
}

/** What was expected, as a sentence's second half. */
function expected(issue: z.core.$ZodIssue): string {
  const words = expectation(issue);
  return words.startsWith('expected') ? words : `expected ${words}`;
}

function expectation(issue: z.core.$ZodIssue): string {
  if (issue.message.startsWith('expected ')) return issue.message.slice('expected '.length);
  switch (issue.code) {
    case 'invalid_type':
      return typeNames[issue.expected] ?? `${issue.expected}`;
    case 'invalid_value':
      return `one of: ${issue.values.join(', ')}`;
    case 'too_small':
      return issue.origin === 'string' ? `at least ${issue.minimum} characters` : `${issue.minimum} or more`;
    case 'too_big':
      return issue.origin === 'string' ? `at most ${issue.maximum} characters` : `${issue.maximum} or less`;
    default:
      return issue.message;
  }
}

const typeNames: Partial<Record<string, string>> = {
  string: 'text (in quotes if it looks like a number)',
  int: 'a whole number',
  number: 'a whole number',
  boolean: 'true or false',
  array: 'a list: lines that begin with "- ", or [ ]',
  object: 'settings of its own, indented below it',
};

/** The value as it may be shown: short, on one line, never a secret. */
function quote(value: unknown, secret: boolean): string {
  if (secret) return 'not shown here';
  if (value === null) return 'empty';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a group of settings';
  if (typeof value !== 'string') return String(value);
  const shown = hideUserinfo(value);
  return JSON.stringify(shown.length > 80 ? `${shown.slice(0, 77)}...` : shown);
}

function valueAt(root: unknown, path: Path): unknown {
  return path.reduce<unknown>(
    (value, part) => (value as Record<string | number, unknown> | null | undefined)?.[part],
    root,
  );
}

/** The schema of the setting at `path`, without defaults around it. */
function schemaAt(root: z.ZodType, path: Path): z.ZodType | undefined {
  let schema: z.ZodType | undefined = root;
  for (const part of path) {
    const { shape, element }: Inner = formOf(schema);
    schema = typeof part === 'number' ? element : shape?.[part];
    if (schema === undefined) return undefined;
  }
  return schema;
}

interface Inner {
  readonly shape?: Record<string, z.ZodType>;
  readonly element?: z.ZodType;
}

/** What has settings of its own: of several forms the one that has. */
function formOf(schema: z.ZodType): Inner {
  const inner = unwrap(schema) as Inner & { readonly options?: readonly z.ZodType[] };
  const forms = inner.options?.map((option) => unwrap(option) as Inner) ?? [inner];
  return forms.find(({ shape, element }) => shape !== undefined || element !== undefined) ?? {};
}

/** A schema without the defaults and options around it. */
export function unwrap(schema: z.ZodType): z.ZodType {
  let inner = schema;
  for (;;) {
    const next = (inner as { _zod: { def: { innerType?: z.ZodType } } })._zod.def.innerType;
    if (next === undefined) return inner;
    inner = next;
  }
}

/** What the schema says about a setting: its own words, or those within its defaults and options. */
export function metaOf(schema: z.ZodType): SettingMeta | undefined {
  for (let inner: z.ZodType | undefined = schema; inner !== undefined; ) {
    const meta = inner.meta() as SettingMeta | undefined;
    if (meta?.description !== undefined) return meta;
    inner = (inner as { _zod: { def: { innerType?: z.ZodType } } })._zod.def.innerType;
  }
  return undefined;
}

function metaAt(root: z.ZodType, path: Path): SettingMeta | undefined {
  const schema = schemaAt(root, path);
  return schema === undefined ? undefined : metaOf(schema);
}

function keysAt(root: z.ZodType, path: Path): string[] {
  const schema = schemaAt(root, path);
  return Object.keys((schema && formOf(schema).shape) ?? {});
}
