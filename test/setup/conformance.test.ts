// docs/conformance.md has a row for each requirement of RFC 8915 on clients, and each row names a place in the code and a
// test that are there.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { root } from '../../scripts/lib/project.mjs';

/** Every requirement, by section: RFC 8915, what it refers to, and what servers must not do (S). */
const requirements = {
  '3': 'a b d e f',
  '4': 'a b c d e f g h i j k l',
  '4.1.1': 'a b',
  '4.1.2': 'a b c d',
  '4.1.3': 'a b c d e f',
  '4.1.4': 'a c',
  '4.1.5': 'a b c',
  '4.1.6': 'a b',
  '4.1.7': 'a b c d e f',
  '4.1.8': 'a b c',
  '4.2': 'a b c',
  '4.3': 'a b c',
  '5.1': 'a b c d',
  '5.3': 'a b',
  '5.4': 'a b',
  '5.5': 'a b c d',
  '5.6': 'a b c d e f g h',
  '5.7': 'a b c d e f g h i k l m n o p q r s t u v w x y z aa ab ac',
  '8.5': 'a b c d',
  '8.6': 'a',
  '8.7': 'a',
  '9.1': 'a',
  '5905': 'a b c d e f',
  '7822': 'a b d e f g',
  '9109': 'a b c d',
  S: '1 2 3 4 5 6 7 8 9 10 11',
  T: 'a b c d e f g h i j k l m n o p q r s t u v w x y z',
};
const levels = ['MUST', 'MUST NOT', 'SHALL', 'SHALL NOT', 'REQUIRED', 'SHOULD', 'SHOULD NOT', 'RECOMMENDED', 'MAY'];
/** Without a keyword of RFC 2119. */
const otherLevels = ['stated', 'none', 'choice'];

/** A file, and what stands in it: a name, or a test's title. */
interface Reference {
  readonly file: string;
  readonly what: string;
}

interface Row {
  readonly id: string;
  readonly level: string;
  readonly says: string;
  readonly places: readonly Reference[];
  readonly tests: readonly Reference[];
}

const lines = readFileSync(join(root, 'docs', 'conformance.md'), 'utf8').split('\n');
const cellsOf = (line: string) => line.split(' | ').map((cell) => cell.replace(/^\| | \|$/g, '').trim());

/** The rows of all tables with this header. */
function tables(header: string): string[][] {
  const rows: string[][] = [];
  let inside = false;
  for (const line of lines) {
    if (line === header) inside = true;
    else if (!line.startsWith('|')) inside = false;
    else if (inside && !line.startsWith('|---')) rows.push(cellsOf(line));
  }
  return rows;
}

function references(cell: string, form: RegExp): Reference[] {
  return cell.split('<br>').map((one) => {
    const [, file, what] = form.exec(one) ?? [];
    if (file === undefined || what === undefined) throw new Error(`docs/conformance.md: ${one}`);
    return { file, what };
  });
}

const rows = tables('| Id | Level | The client | Place | Test |').map(
  ([id = '', level = '', says = '', place = '', test = '']): Row => ({
    id,
    level,
    says,
    places: references(place, /^`([^`]+)` `([^`]+)`$/),
    tests: references(test, /^`(test\/[^`]+\.test\.ts)` "(.+)"$/),
  }),
);

const texts = new Map<string, string>();
function textOf(file: string): string {
  const path = join(root, file);
  if (!texts.has(file)) texts.set(file, existsSync(path) ? readFileSync(path, 'utf8') : '');
  return texts.get(file)!;
}

/** Whether a title stands in a test's file, as a literal of its own. */
function hasTitle({ file, what }: Reference): boolean {
  const quoted = ["'", '"', '`'].map((quote) => `${quote}${what.replaceAll(quote, `\\${quote}`)}${quote}`);
  return quoted.some((literal) => textOf(file).includes(literal));
}

function hasName({ file, what }: Reference): boolean {
  return new RegExp(`(?<![\\w$])${what}(?![\\w$])`).test(textOf(file));
}

const shown = ({ file, what }: Reference) => `${file}: ${what}`;

describe('docs/conformance.md', () => {
  it('has each requirement, once', () => {
    const all = Object.entries(requirements).flatMap(([section, letters]) =>
      letters.split(' ').map((letter) => `${section} ${letter}`),
    );
    const ids = rows.map(({ id }) => id);
    expect(ids.filter((id, at) => ids.indexOf(id) !== at)).toEqual([]);
    expect([...ids].sort()).toEqual(all.sort());
  });

  it('gives each a level and says what the client does', () => {
    for (const { id, level, says } of rows) {
      expect([...levels, ...otherLevels], id).toContain(level);
      expect(says.length, id).toBeGreaterThan(10);
    }
  });

  it('names places that are there', () => {
    const absent = rows.flatMap(({ id, places }) =>
      places.filter((one) => !hasName(one)).map((one) => `${id} ${shown(one)}`),
    );
    expect(absent).toEqual([]);
    expect(rows.every(({ places }) => places.every(({ file }) => /^(as|host)\//.test(file)))).toBe(true);
  });

  it('names tests that are there', () => {
    const absent = rows.flatMap(({ id, tests }) =>
      tests.filter((one) => !hasTitle(one)).map((one) => `${id} ${shown(one)}`),
    );
    expect(absent).toEqual([]);
  });

  it('lists each deviation with its reason', () => {
    const listed = tables('| Id | Level | What differs | Why |');
    const deviating = rows.filter(({ says }) => says.includes('**Deviates**'));
    expect(listed.map(([id, level]) => [id, level])).toEqual(deviating.map(({ id, level }) => [id, level]));
    for (const [id, , what = '', why = ''] of listed) {
      expect(what.length, id).toBeGreaterThan(10);
      expect(why.length, id).toBeGreaterThan(7);
    }
  });
});
