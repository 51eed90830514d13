// Whether decoded fields say what the bytes beside them say.
// What always holds: every field that came is compared, those that this program does not know too; `text` alone is not,
// as it is for people and may be reworded.

/** Where two JSON values differ first. */
export interface Difference {
  /** As `status.letter`. */
  readonly path: string;
  readonly expected: string;
  readonly came: string;
}

const forPeople = 'text';

/** The first difference between what was expected and what came; undefined where there is none. */
export function firstDifference(expected: unknown, came: unknown, path = ''): Difference | undefined {
  if (!isObject(expected) || !isObject(came) || Array.isArray(expected) !== Array.isArray(came)) {
    return Object.is(expected, came) ? undefined : { path, expected: short(expected), came: short(came) };
  }
  for (const key of new Set([...Object.keys(expected), ...Object.keys(came)])) {
    const [wanted, got] = [own(expected, key), own(came, key)];
    if (path === '' && key === forPeople && typeof wanted === 'string' && typeof got === 'string') continue;
    const difference = firstDifference(wanted, got, path === '' ? key : `${path}.${key}`);
    if (difference !== undefined) return difference;
  }
  return undefined;
}

type Fields = Readonly<Record<string, unknown>>;

function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null;
}

function own(fields: Fields, key: string): unknown {
  return Object.hasOwn(fields, key) ? fields[key] : undefined;
}

const longest = 80;

function short(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > longest ? `${text.slice(0, longest)}…` : text;
}

/**
 * A record as it came, without what only its context can say.
 * @param record as it came from JSON
 */
export function withoutContext(record: Fields): Fields {
  const { evidence, readings } = record;
  return {
    ...record,
    software: null,
    calibration: null,
    ...(isObject(evidence) ? { evidence: { ...evidence, server: null, certificateSha256: null } } : {}),
    ...(Array.isArray(readings) ? { readings: readings.map(rawOnly) } : {}),
  };
}

function rawOnly(reading: unknown): unknown {
  return isObject(reading) ? { ...reading, obis: null, value: null, unit: null } : reading;
}

/**
 * A field that an object of a JSON text has twice, of which other programs may take the other one; undefined for none.
 * @param text that is JSON
 */
export function repeatedKey(text: string): string | undefined {
  const open: Set<string>[] = [];
  let last = '';
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"|[{}:]/g)) {
    if (token === '{') open.push(new Set());
    else if (token === '}') open.pop();
    else if (token !== ':') last = token;
    else {
      const key: string = JSON.parse(last);
      const keys = open.at(-1)!;
      if (keys.has(key)) return key;
      keys.add(key);
    }
  }
  return undefined;
}
