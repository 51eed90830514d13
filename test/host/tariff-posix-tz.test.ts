// POSIX TZ strings (IEEE Std 1003.1-2017, 8.3; RFC 9636 3.3.1): read, printed, and what they mean.
import { describe, expect, it } from 'vitest';
import {
  hasSummerTime,
  type PosixTz,
  PosixTzError,
  parsePosixTz,
  printPosixTz,
  summerTimeOf,
  type ZoneDay,
} from '../../host/tariff/posix-tz.ts';
import { seededRandom } from '../core/random.ts';

const hour = 3600;

describe('a TZ string', () => {
  it('says standard time, summer time, and when it begins and ends', () => {
    expect(parsePosixTz('CET-1CEST,M3.5.0,M10.5.0/3')).toEqual({
      standard: { name: 'CET', offsetSeconds: hour },
      summer: {
        name: 'CEST',
        offsetSeconds: 2 * hour,
        begin: { kind: 'month-week-day', month: 3, week: 5, weekday: 0, timeSeconds: 2 * hour },
        end: { kind: 'month-week-day', month: 10, week: 5, weekday: 0, timeSeconds: 3 * hour },
      },
    });
  });

  it.each<[string, number, number | undefined]>([
    ['UTC0', 0, undefined],
    ['<+0545>-5:45', 5.75 * hour, undefined],
    ['EST+5EDT,M3.2.0,M11.1.0', -5 * hour, -4 * hour],
    ['<+1030>-10:30<+11>-11,M10.1.0,M4.1.0', 10.5 * hour, 11 * hour],
    ['IST-1GMT0,M10.5.0,M3.5.0/1', hour, 0],
    ['AAA-24:00BBB24,J1,365', 24 * hour, -24 * hour],
    ['LMT-0:53:28', 53 * 60 + 28, undefined],
  ])('%s has its offsets', (text, standard, summer) => {
    const rule = parsePosixTz(text);
    expect([rule.standard.offsetSeconds, rule.summer?.offsetSeconds]).toEqual([standard, summer]);
    expect(hasSummerTime(rule)).toBe(summer !== undefined);
  });

  it.each([
    ['', 1, /name of standard time.*came the end/],
    ['CE-1', 1, /three letters or more/],
    ['<+1>-1', 1, /three letters or more, or letters, digits, \+ and - in < >, came "<"/],
    ['CET', 4, /an offset.*came the end/],
    ['CET-25', 4, /an offset of at most 24, came "-"/],
    ['CET-24:00:01', 4, /an offset of at most 24/],
    ['CET-1:60', 4, /at most 59/],
    ['CET-1CEST', 10, /a comma and when summer time begins/],
    ['CET-1CEST-2', 12, /a comma and when summer time begins/],
    ['CET-1CEST,M3.5.0', 17, /a comma and when summer time ends/],
    ['CET-1CEST,M13.5.0,M10.5.0', 11, /a month from 1 to 12/],
    ['CET-1CEST,M3.6.0,M10.5.0', 11, /a week from 1 to 5/],
    ['CET-1CEST,M3.0.0,M10.5.0', 11, /a week from 1 to 5/],
    ['CET-1CEST,M3.5.7,M10.5.0', 11, /a weekday from 0/],
    ['CET-1CEST,J0,M10.5.0', 11, /a day from 1 to 365/],
    ['CET-1CEST,0,366', 13, /a day from 0 to 365/],
    ['CET-1CEST,Easter,M10.5.0', 11, /Mm.w.d/],
    ['CET-1CEST,M3.5.0/168,M10.5.0', 18, /a time of day of at most 167:59:59/],
    ['CET-1CEST,M3.5.0/,M10.5.0', 18, /a time of day: H, H:MM/],
    ['CET-1CEST,M3.5.0,M10.5.0/3 ', 27, /the end, came " "/],
  ])('%j is refused at character %d', (text, position, reason) => {
    let error: unknown;
    try {
      parsePosixTz(text);
    } catch (caught) {
      error = caught;
    }
    expect(error).toBeInstanceOf(PosixTzError);
    expect(error).toMatchObject({ position });
    expect((error as PosixTzError).reason).toMatch(reason);
  });

  it('is printed as short as it can be, and read to the same', () => {
    const same = [
      'CET-1CEST,M3.5.0,M10.5.0/3',
      '<-02>2<-01>,M3.5.0/-1,M10.5.0/0',
      'AAA3BBB,J60/-167:59:59,0/167:59:59',
    ];
    for (const text of same) expect(printPosixTz(parsePosixTz(text))).toBe(text);
    expect(printPosixTz(parsePosixTz('<CET>-01:00:00CEST-02:00,M3.5.0/02,M10.5.0/+3:00'))).toBe(same[0]);
  });

  it('of any kind is read as it was printed', () => {
    const random = seededRandom('posix-tz');
    const seconds = (most: number): number => (random.below(2) === 0 ? 1 : -1) * random.below(most + 1);
    const day = (): ZoneDay => {
      const timeSeconds = seconds(168 * hour - 1);
      const kind = random.below(3);
      if (kind === 1) return { kind: 'julian', day: 1 + random.below(365), timeSeconds };
      if (kind === 2) return { kind: 'zero-based', day: random.below(366), timeSeconds };
      const [month, week, weekday] = [1 + random.below(12), 1 + random.below(5), random.below(7)];
      return { kind: 'month-week-day', month, week, weekday, timeSeconds };
    };
    const time = () => ({
      name: ['ABC', '+01', '-0330', 'Longer'][random.below(4)]!,
      offsetSeconds: seconds(24 * hour),
    });
    for (let round = 0; round < 2000; round++) {
      const standard = time();
      const rule: PosixTz =
        random.below(4) === 0 ? { standard } : { standard, summer: { ...time(), begin: day(), end: day() } };
      // -0 is no offset of its own.
      expect(parsePosixTz(printPosixTz(rule)), printPosixTz(rule)).toEqual(JSON.parse(JSON.stringify(rule)));
    }
  });
});

describe('summer time', () => {
  const span = (text: string, year: number): string[] => {
    const { begin, end } = summerTimeOf(parsePosixTz(text), year)!;
    return [begin, end].map((utc) => new Date(utc * 1000).toISOString().slice(0, 19));
  };

  it.each([
    // Directive 2000/84/EC: the last Sundays of March and October at 01:00 UTC.
    ['CET-1CEST,M3.5.0,M10.5.0/3', 2026, '2026-03-29T01:00:00', '2026-10-25T01:00:00'],
    ['EST5EDT,M3.2.0,M11.1.0', 2027, '2027-03-14T07:00:00', '2027-11-07T06:00:00'],
    ['<-04>4<-03>,M9.1.6/24,M4.1.6/24', 2026, '2026-09-06T04:00:00', '2026-04-05T03:00:00'],
    ['AAA0BBB,J59,J60', 2028, '2028-02-28T02:00:00', '2028-03-01T01:00:00'],
    ['AAA0BBB,59,365/0', 2028, '2028-02-29T02:00:00', '2028-12-30T23:00:00'],
    ['AAA0BBB,M2.5.2/-25,M2.1.0/167', 2028, '2028-02-27T23:00:00', '2028-02-12T22:00:00'],
  ])('of %s in %d', (text, year, begin, end) => {
    expect(span(text, year)).toEqual([begin, end]);
  });

  it('there is none without a rule for it', () => {
    expect(summerTimeOf(parsePosixTz('UTC0'), 2026)).toBeUndefined();
  });
});
