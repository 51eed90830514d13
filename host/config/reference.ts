// What the settings schemas look like to people: the file that `metertime init` writes, docs/settings.md and, for a
// meter's settings, docs/meter-settings.md. All are made from the schemas alone, so they cannot say anything else than what is
// checked.
import { stringify } from 'yaml';
import { z } from 'zod';
import { meterSettingsSchema } from '../provision/settings-file.ts';
import { type TariffRules, tariffProfiles } from '../provision/tariff-settings.ts';
import { type TimeProfile, type TimeRules, timeProfileNames, timeProfiles } from '../provision/time-rules.ts';
import { metaOf, unwrap } from './problems.ts';
import { settingsSchema } from './schema.ts';

/** What `metertime init` may know already. */
export interface AnnotatedOptions {
  readonly name?: string;
  readonly links?: readonly string[];
  readonly mqttUrl?: string;
}

interface Setting {
  readonly key: string;
  readonly description: string;
  readonly example: unknown;
  readonly secret: boolean;
  readonly defaultValue: unknown;
  readonly defaultText: string | undefined;
  readonly optional: boolean;
  readonly kind: string;
  /** The settings below this one. */
  readonly inner: readonly Setting[] | undefined;
}

const width = 100;

function settingsOf(schema: z.ZodType): Setting[] {
  const { shape } = unwrap(schema) as unknown as { shape: Record<string, z.ZodType> };
  return Object.entries(shape).map(([key, entry]) => {
    const json = z.toJSONSchema(entry, { io: 'input' }) as JsonSchema;
    const meta = metaOf(entry);
    return {
      key,
      description: meta?.description ?? '',
      example: meta?.example,
      secret: meta?.secret === true,
      defaultValue: json.type === 'object' ? undefined : json.default,
      defaultText: meta?.defaultText,
      optional: entry.safeParse(undefined).success,
      kind: kindOf(json),
      inner: json.type === 'object' ? settingsOf(entry) : undefined,
    };
  });
}

interface JsonSchema {
  readonly type?: string | readonly string[];
  readonly enum?: readonly string[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly default?: unknown;
  readonly const?: unknown;
  readonly anyOf?: readonly JsonSchema[];
  readonly items?: JsonSchema;
}

function kindOf(json: JsonSchema): string {
  if (json.anyOf) return json.anyOf.map(kindOf).join(' or ');
  if (json.const !== undefined) return String(json.const);
  if (json.enum) return json.enum.join(', ');
  if (json.type === 'integer') return `${json.minimum} to ${json.maximum}`;
  if (json.type === 'boolean') return 'true, false';
  if (json.type === 'array' && json.items?.type === 'object') return 'list of settings';
  if (json.type === 'array') return Array.isArray(json.items?.type) ? 'list of texts or numbers' : 'list of texts';
  return json.type === 'string' ? 'text' : String(json.type ?? '');
}

/** A settings file with every setting in it, explained; it validates as it stands. */
export function annotatedSettings(options: AnnotatedOptions = {}): string {
  const given: Record<string, unknown> = {
    name: options.name ?? 'gateway-1',
    links: options.links ?? ['serial:/dev/ttyUSB0?baud=115200'],
    url: options.mqttUrl ?? 'mqtt://localhost:1883',
  };
  const lines = [
    '# Settings of a metertime gateway. Check with: metertime gateway -c FILE --check',
    '# Lines that begin with "#" and a setting show its default or an example.',
  ];
  for (const setting of settingsOf(settingsSchema)) {
    lines.push('', ...comment(describe(setting), ''));
    if (setting.inner === undefined) {
      lines.push(...entry(setting, given[setting.key], ''));
      continue;
    }
    // A group with nothing but comments in it would be an empty value.
    const live = setting.inner.some(({ key }) => given[key] !== undefined);
    lines.push(live ? `${setting.key}:` : `#${setting.key}:`);
    for (const inner of setting.inner) {
      lines.push(...comment(describe(inner), '  '), ...entry(inner, given[inner.key], '  '));
    }
  }
  return `${lines.join('\n')}\n`;
}

function describe(setting: Setting): string {
  const fallback = setting.defaultText === undefined ? '' : ` Default: ${setting.defaultText.replaceAll('`', '')}.`;
  const range = setting.kind.includes(' to ') ? ` From ${setting.kind}.` : '';
  const choice = setting.kind.includes(', ') && setting.kind !== 'true, false' ? ` One of: ${setting.kind}.` : '';
  return `${setting.description}${range}${choice}${fallback}`;
}

function entry(setting: Setting, given: unknown, indent: string): string[] {
  const value = given ?? setting.defaultValue ?? setting.example;
  const shown = Array.isArray(value) && value.length === 0 ? (setting.example ?? value) : value;
  const yaml = stringify({ [setting.key]: shown }, { lineWidth: 0 })
    .trimEnd()
    .split('\n');
  return yaml.map((line) => (given === undefined ? `#${indent}${line}` : `${indent}${line}`));
}

function comment(text: string, indent: string): string[] {
  const lines: string[] = [];
  let line = `${indent}#`;
  for (const word of text.split(' ')) {
    if (line.length + 1 + word.length > width) {
      lines.push(line);
      line = `${indent}#`;
    }
    line += ` ${word}`;
  }
  return [...lines, line];
}

/** docs/settings.md. */
export function settingsReference(): string {
  return reference(
    'Settings of the gateway',
    'A YAML file, given with `metertime gateway -c FILE`. `metertime init` writes one with every setting explained, and `metertime gateway -c FILE --check` says what is wrong with one, line by line. Unknown settings are errors. Relative paths count from the file that holds them. A setting without a default is required, or off when it says optional.',
    settingsSchema,
  );
}

/** docs/meter-settings.md. */
export function meterSettingsReference(): string {
  return reference(
    'Settings of a meter',
    'A YAML (or JSON) file, given with `metertime provision FILE --settings FILE`, which writes it into the storage of a meter. Unknown settings are errors, and an error names line and column. Options of the command count more than the file. It never holds the root key.',
    meterSettingsSchema,
  );
}

function reference(title: string, text: string, schema: z.ZodType): string {
  const top = settingsOf(schema);
  const lines = [`# ${title}`, '', text, '', ...table(top)];
  for (const setting of top) {
    if (setting.inner === undefined) continue;
    lines.push('', `## ${setting.key}`, '', setting.description, '', ...table(setting.inner));
  }
  return `${lines.join('\n')}\n`;
}

function table(settings: readonly Setting[]): string[] {
  const rows = settings.map((setting) => [
    setting.inner === undefined ? `\`${setting.key}\`` : `[\`${setting.key}\`](#${setting.key.toLowerCase()})`,
    setting.description,
    setting.inner === undefined ? setting.kind : 'settings',
    setting.inner === undefined || !setting.optional ? defaultOf(setting) : '',
    setting.secret || setting.example === undefined ? '' : exampleOf(setting.example),
  ]);
  const head = ['Setting', 'Meaning', 'Values', 'Default', 'Example'];
  const escaped = [head, ...rows].map((row) => row.map((cell) => cell.replaceAll('|', '\\|')));
  const [first, ...others] = escaped;
  return [first!, head.map(() => '---'), ...others].map((row) => `| ${row.join(' | ')} |`);
}

function defaultOf(setting: Setting): string {
  if (setting.defaultText !== undefined) return setting.defaultText;
  if (Array.isArray(setting.defaultValue)) return 'none';
  if (setting.defaultValue !== undefined) return `\`${setting.defaultValue}\``;
  return setting.optional ? 'optional' : '**required**';
}

function exampleOf(example: unknown): string {
  return (Array.isArray(example) ? example : [example]).map((value) => `\`${inline(value)}\``).join('<br>');
}

/** Settings of an entry of a list on one line. */
function inline(value: unknown): string {
  return typeof value === 'object' ? stringify(value, { collectionStyle: 'flow', lineWidth: 0 }).trimEnd() : `${value}`;
}

/** The table of docs/time-rules.md: what each profile says, and where each number comes from that is not our own. */
export function timeProfilesTable(): string {
  const columns = Object.keys(timeProfiles.default.rules) as (keyof TimeRules)[];
  const lines = [
    `| Profile | ${columns.map((column) => `\`${column}\``).join(' | ')} |`,
    `| --- | ${columns.map(() => '---').join(' | ')} |`,
  ];
  const sources: string[] = [];
  for (const name of timeProfileNames) {
    const profile: TimeProfile = timeProfiles[name];
    const cell = (column: keyof TimeRules) =>
      `${profile.rules[column]}${profile.sources[column] === undefined ? '' : ' *'}`;
    lines.push(`| \`${name}\`: ${profile.about} | ${columns.map(cell).join(' | ')} |`);
    for (const [column, source] of Object.entries(profile.sources))
      sources.push(`| \`${name}\` | \`${column}\` | ${source} |`);
  }
  return [...lines, '', '| Profile | \\* | Source |', '| --- | --- | --- |', ...sources].join('\n');
}

/** The same for what profiles say of tariffs and records. */
export function tariffProfilesTable(): string {
  const lines = ['| Profile | Setting | Value | Source |', '| --- | --- | --- | --- |'];
  for (const name of timeProfileNames) {
    const profile = tariffProfiles[name];
    for (const [setting, value] of Object.entries(profile?.rules ?? {})) {
      const source = profile?.sources[setting as keyof TariffRules];
      lines.push(`| \`${name}\` | \`${setting}\` | ${value} | ${source} |`);
    }
  }
  return lines.join('\n');
}
