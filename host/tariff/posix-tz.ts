// POSIX TZ strings (IEEE Std 1003.1-2017, 8.3; times of -167 to 167 hours as in RFC 9636 3.3.1): parser and printer.
//
//   std offset [dst [offset] , start [/time] , end [/time]]     CET-1CEST,M3.5.0,M10.5.0/3
//   start, end: Mm.w.d (week 5 is the last) or Jn (1 to 365, never 29 February) or n (0 to 365)
//
// What always holds: offsets are local time minus UTC, the other way round than in the string; what is printed is parsed
// to the same; a string without rules for its summer time is refused, as POSIX leaves open what they would be.

/** A TZ string cannot be read. */
export class PosixTzError extends Error {
  readonly code = 'posix-tz';

  constructor(
    text: string,
    /** Of the character, counted from 1. */
    readonly position: number,
    /** What was expected and what came. */
    readonly reason: string,
  ) {
    super(`${JSON.stringify(text)}, character ${position}: ${reason}`);
    this.name = 'PosixTzError';
  }
}

export interface PosixTime {
  readonly name: string;
  /** Local time minus UTC. */
  readonly offsetSeconds: number;
}

/** A day of each year, and the time of day at which the offset changes: by the clock that is in force before. */
export type ZoneDay = (
  | { readonly kind: 'month-week-day'; readonly month: number; readonly week: number; readonly weekday: number }
  /** Of 365 days: 60 is always 1 March. */
  | { readonly kind: 'julian'; readonly day: number }
  | { readonly kind: 'zero-based'; readonly day: number }
) & { readonly timeSeconds: number };

export interface PosixSummerTime extends PosixTime {
  readonly begin: ZoneDay;
  readonly end: ZoneDay;
}

/** Legal time by a rule for all years. */
export interface PosixTz {
  readonly standard: PosixTime;
  readonly summer?: PosixSummerTime | undefined;
}

const hour = 3600;
/** 02:00:00, where a rule says no time. */
const defaultTimeSeconds = 2 * hour;
const mostTimeSeconds = 168 * hour - 1;

/** @throws {PosixTzError} */
export function parsePosixTz(text: string): PosixTz {
  const reader = new Reader(text);
  const standard = {
    name: reader.name('the name of standard time'),
    offsetSeconds: 0 - reader.clock(24 * hour, 'an offset'),
  };
  if (reader.atEnd) return { standard };
  const name = reader.name('the name of summer time, or the end');
  const offsetSeconds =
    reader.peek === ',' || reader.atEnd
      ? standard.offsetSeconds + hour
      : 0 - reader.clock(24 * hour, 'its offset, or a comma');
  reader.take(',', 'a comma and when summer time begins, such as ,M3.5.0,M10.5.0/3');
  const begin = reader.day();
  reader.take(',', 'a comma and when summer time ends');
  const end = reader.day();
  if (!reader.atEnd) reader.refuse('the end');
  return { standard, summer: { name, offsetSeconds, begin, end } };
}

class Reader {
  #at = 0;

  constructor(private readonly text: string) {}

  get peek(): string {
    return this.text[this.#at] ?? '';
  }

  get atEnd(): boolean {
    return this.#at === this.text.length;
  }

  refuse(expected: string, at = this.#at): never {
    const came = at >= this.text.length ? 'the end' : JSON.stringify(this.text[at]);
    throw new PosixTzError(this.text, at + 1, `expected ${expected}, came ${came}`);
  }

  take(character: string, expected: string): void {
    if (this.peek !== character) this.refuse(expected);
    this.#at++;
  }

  name(what: string): string {
    const quoted = this.peek === '<';
    const match = this.#match(quoted ? /<([A-Za-z0-9+-]{3,})>/y : /([A-Za-z]{3,})/y);
    if (match === undefined) {
      this.refuse(`${what}: three letters or more, or letters, digits, + and - in < >`);
    }
    return match[1]!;
  }

  /** `[+|-]h[:m[:s]]` in seconds. */
  clock(mostSeconds: number, what: string): number {
    const start = this.#at;
    const match = this.#match(/([+-]?)(\d{1,3})(?::(\d{2})(?::(\d{2}))?)?/y);
    if (match === undefined) this.refuse(`${what}: H, H:MM or H:MM:SS`);
    const [, sign, hours, minutes = '0', seconds = '0'] = match;
    if (Number(minutes) > 59 || Number(seconds) > 59) this.refuse('minutes and seconds of at most 59', start);
    const total = Number(hours) * hour + Number(minutes) * 60 + Number(seconds);
    if (total > mostSeconds) this.refuse(`${what} of at most ${printClock(mostSeconds)}`, start);
    return sign === '-' ? 0 - total : total;
  }

  day(): ZoneDay {
    const start = this.#at;
    const month = this.#match(/M(\d{1,2})\.(\d)\.(\d)/y);
    const julian = month === undefined ? this.#match(/J(\d{1,3})/y) : undefined;
    const zero = month === undefined && julian === undefined ? this.#match(/(\d{1,3})/y) : undefined;
    const [day, ...more] = (month ?? julian ?? zero ?? []).slice(1).map(Number);
    if (day === undefined) this.refuse('Mm.w.d (month, week, weekday), Jn (day 1 to 365) or n (day 0 to 365)', start);
    const [week = 0, weekday = 0] = more;
    if (month !== undefined && (day < 1 || day > 12)) this.refuse('a month from 1 to 12 after M', start);
    if (month !== undefined && (week < 1 || week > 5)) this.refuse('a week from 1 to 5 after the month', start);
    if (weekday > 6) this.refuse('a weekday from 0 (Sunday) to 6 after the week', start);
    if (julian !== undefined && (day < 1 || day > 365)) this.refuse('a day from 1 to 365 after J', start);
    if (day > 365) this.refuse('a day from 0 to 365', start);
    const timeSeconds = this.#time();
    if (month !== undefined) return { kind: 'month-week-day', month: day, week, weekday, timeSeconds };
    return { kind: julian === undefined ? 'zero-based' : 'julian', day, timeSeconds };
  }

  #time(): number {
    if (this.peek !== '/') return defaultTimeSeconds;
    this.#at++;
    return this.clock(mostTimeSeconds, 'a time of day');
  }

  #match(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.#at;
    const match = pattern.exec(this.text) ?? undefined;
    this.#at += match?.[0].length ?? 0;
    return match;
  }
}

/** The string that says this; what has a default is left out where it is that. */
export function printPosixTz({ standard, summer }: PosixTz): string {
  const text = printName(standard.name) + printClock(-standard.offsetSeconds);
  if (summer === undefined) return text;
  const ahead = summer.offsetSeconds - standard.offsetSeconds;
  const offset = ahead === hour ? '' : printClock(-summer.offsetSeconds);
  return `${text}${printName(summer.name)}${offset},${printDay(summer.begin)},${printDay(summer.end)}`;
}

function printName(name: string): string {
  return /^[A-Za-z]{3,}$/.test(name) ? name : `<${name}>`;
}

function printDay(day: ZoneDay): string {
  const time = day.timeSeconds === defaultTimeSeconds ? '' : `/${printClock(day.timeSeconds)}`;
  if (day.kind === 'month-week-day') return `M${day.month}.${day.week}.${day.weekday}${time}`;
  return `${day.kind === 'julian' ? 'J' : ''}${day.day}${time}`;
}

/** Hours, minutes and seconds, without what is 0 at the end. */
function clockParts(seconds: number): number[] {
  const size = Math.abs(seconds);
  const parts = [Math.floor(size / hour), Math.floor(size / 60) % 60, size % 60];
  return parts.slice(0, parts[2] !== 0 ? 3 : parts[1] !== 0 ? 2 : 1);
}

const twoDigits = (part: number) => `${part}`.padStart(2, '0');

/** `-5:30`. */
function printClock(seconds: number): string {
  const [hours, ...others] = clockParts(seconds);
  return `${seconds < 0 ? '-' : ''}${[hours, ...others.map(twoDigits)].join(':')}`;
}

/** What a zone is called that has no name: `+0530`. */
export function offsetName(offsetSeconds: number): string {
  return `${offsetSeconds < 0 ? '-' : '+'}${clockParts(offsetSeconds).map(twoDigits).join('')}`;
}

/** Whether the offset ever changes. */
export function hasSummerTime({ standard, summer }: PosixTz): boolean {
  return summer !== undefined && summer.offsetSeconds !== standard.offsetSeconds;
}

const daySeconds = 86_400;

/** Unix seconds of a year's begin, were local time UTC. */
function yearBegin(year: number): number {
  return Date.UTC(year, 0, 1) / 1000;
}

/** When a rule's day and time come in a year: seconds as if local time, by the clock in force before, were UTC. */
export function zoneDayLocal(day: ZoneDay, year: number): number {
  if (day.kind === 'zero-based') return yearBegin(year) + day.day * daySeconds + day.timeSeconds;
  if (day.kind === 'julian') {
    const leap = Date.UTC(year, 1, 29) < Date.UTC(year, 2, 1);
    return yearBegin(year) + (day.day - 1 + (leap && day.day >= 60 ? 1 : 0)) * daySeconds + day.timeSeconds;
  }
  const first = Date.UTC(year, day.month - 1, 1) / 1000;
  const ahead = (day.weekday - new Date(first * 1000).getUTCDay() + 7) % 7;
  const days = new Date(Date.UTC(year, day.month, 0)).getUTCDate();
  const dayOfMonth = Math.min(ahead + (day.week - 1) * 7, ahead + Math.floor((days - 1 - ahead) / 7) * 7);
  return first + dayOfMonth * daySeconds + day.timeSeconds;
}

/** Unix seconds at which summer time begins and ends in a year. */
export function summerTimeOf({ standard, summer }: PosixTz, year: number): { begin: number; end: number } | undefined {
  if (summer === undefined) return undefined;
  return {
    begin: zoneDayLocal(summer.begin, year) - standard.offsetSeconds,
    end: zoneDayLocal(summer.end, year) - summer.offsetSeconds,
  };
}
