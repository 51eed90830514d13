// The clock object: attributes by hand, POSIX rules as dates with wildcards and back, and what neither can say.
import { beforeAll, describe, expect, it } from 'vitest';
import { decodeAxdr, encodeAxdr } from '../../host/dlms/axdr.ts';
import type { GetAttribute } from '../../host/dlms/calendar.ts';
import { ClockBase, clockName, clockOf, decodeClock, encodeClock, zoneOfClock } from '../../host/dlms/clock.ts';
import { anyDateTime, type DeviationSign, type DlmsDateTime, deviationSigns } from '../../host/dlms/date-time.ts';
import { dateTimeText } from '../../host/dlms/decoded.ts';
import { dateOfZoneDay, zoneDayOfDate } from '../../host/dlms/summer-time.ts';
import { parsePosixTz, printPosixTz, summerTimeOf, type ZoneDay, zoneDayLocal } from '../../host/tariff/posix-tz.ts';
import { buildCore } from '../../scripts/build-core.mjs';
import { type SeededRandom, seededRandom } from '../core/random.ts';

beforeAll(async () => {
  await buildCore();
});

const hexOf = (attributes: ReturnType<typeof encodeClock>) =>
  Object.fromEntries(
    Object.entries(attributes).map(([number, value]) => [number, Buffer.from(encodeAxdr(value)).toString('hex')]),
  );
const getFrom =
  (hex: Record<string, string>): GetAttribute =>
  (number) =>
    decodeAxdr(Buffer.from(hex[number]!, 'hex'));

const berlin = parsePosixTz('CET-1CEST,M3.5.0,M10.5.0/3');
const july = { utcNs: BigInt(Date.UTC(2026, 6, 1, 10, 34, 56)) * 1_000_000n, offsetMinutes: 120, status: 0x80 };

describe('the clock of Berlin on a day of summer', () => {
  it('has these attributes', () => {
    expect(hexOf(encodeClock(clockOf(berlin, july), 'dlms'))).toEqual({
      1: '09060000010000ff',
      2: '090c07ea0701030c223800ff8880',
      3: '10ffc4',
      4: '1180',
      5: '090cffff03fe0702000000ffc400',
      6: '090cffff0afe0703000000ff8880',
      7: '0f3c',
      8: '0301',
      9: '1600',
    });
  });

  it('has other signs where the deviation is inverted, but not in attribute 7', () => {
    const inverted = hexOf(encodeClock(clockOf(berlin, july), 'inverted'));
    expect(inverted).toMatchObject({ 3: '10003c', 5: '090cffff03fe0702000000003c00', 7: '0f3c' });
    expect(decodeClock(getFrom(inverted), 'inverted')).toEqual(clockOf(berlin, july));
  });

  it('says nothing of the time where there is none', () => {
    expect(hexOf(encodeClock(clockOf(berlin), 'dlms'))).toMatchObject({ 2: '090cffffffffffffffffff8000ff', 4: '11ff' });
    const lost = clockOf(berlin, { utcNs: undefined, offsetMinutes: 0, status: 1 });
    expect(hexOf(encodeClock(lost, 'dlms'))).toMatchObject({ 2: '090cffffffffffffffffff800001', 4: '1101' });
  });
});

describe('legal time of a clock object', () => {
  const imported = (tz: string, change: object = {}) =>
    printPosixTz(zoneOfClock({ ...clockOf(parsePosixTz(tz)), ...change }));

  it.each([
    ['CET-1CEST,M3.5.0,M10.5.0/3', '<+01>-1<+02>,M3.5.0,M10.5.0/3'],
    ['EST5EDT,M3.2.0,M11.1.0', '<-05>5<-04>,M3.2.0,M11.1.0'],
    ['AEST-10AEDT,M10.1.0,M4.1.0/3', '<+10>-10<+11>,M10.1.0,M4.1.0/3'],
    ['<+1030>-10:30<+11>-11,M10.1.0,M4.1.0', '<+1030>-10:30<+11>-11,M10.1.0,M4.1.0'],
    ['IST-1GMT0,M10.5.0,M3.5.0/1', '<+01>-1<+00>0,M10.5.0,M3.5.0/1'],
    ['IST-5:30', '<+0530>-5:30'],
    ['<+00>0<+01>,J60/3,J300', '<+00>0<+01>,J60/3,J300'],
    // Dates that follow a weekday: Saturday after the last Thursday, and the Saturday before a Sunday.
    ['EET-2EEST,M3.4.4/50,M10.4.4/50', '<+02>-2<+03>,M3.4.4/50,M10.4.4/50'],
    ['<-02>2<-01>,M3.5.0/-1,M10.5.0/0', '<-02>2<-01>,M3.5.0/-1,M10.5.0/0'],
  ])('%s is %s', (tz, expected) => {
    const rule = zoneOfClock(clockOf(parsePosixTz(tz)));
    expect(rule.standard.offsetSeconds).toBe(parsePosixTz(expected).standard.offsetSeconds);
    for (let year = 2026; year < 2054; year++) {
      expect(summerTimeOf(rule, year)).toEqual(summerTimeOf(parsePosixTz(tz), year));
    }
    if (!tz.includes('/-')) expect(imported(tz)).toBe(expected);
  });

  it('is read with any deviation, or none, in begin and end', () => {
    const { summerBegin, summerEnd } = clockOf(berlin);
    const none = {
      summerBegin: { ...summerBegin, offsetMinutes: null },
      summerEnd: { ...summerEnd, offsetMinutes: null },
    };
    expect(imported('CET-1CEST,M3.5.0,M10.5.0/3', none)).toBe('<+01>-1<+02>,M3.5.0,M10.5.0/3');
    const utc = {
      summerBegin: { ...summerBegin, hour: 1, offsetMinutes: 0 },
      summerEnd: { ...summerEnd, hour: 1, offsetMinutes: 0 },
    };
    expect(imported('CET-1CEST,M3.5.0,M10.5.0/3', utc)).toBe('<+01>-1<+02>,M3.5.0,M10.5.0/3');
  });

  it('is the shortest rule that says a date', () => {
    const summerBegin = { ...clockOf(berlin).summerBegin, day: 25 };
    expect(imported('CET-1CEST,M3.5.0,M10.5.0/3', { summerBegin })).toBe('<+01>-1<+02>,M3.5.0,M10.5.0/3');
    // The end of the year is the same date each year.
    expect(imported('<+00>0<+01>,J365/25,J100')).toBe('<+00>0<+01>,J1/1,J100');
  });

  it('has no summer time where that is not enabled', () => {
    expect(imported('CET-1CEST,M3.5.0,M10.5.0/3', { summerEnabled: false })).toBe('<+01>-1');
    expect(clockOf(parsePosixTz('IST-5:30'))).toMatchObject({
      ...{ summerEnabled: false, summerShiftMinutes: 0, summerBegin: anyDateTime, normalOffsetMinutes: 330 },
      ...{ clockBase: ClockBase.NotDefined, logicalName: clockName },
    });
  });

  it.each<[string, Partial<DlmsDateTime>]>([
    ['a date of each year (year FFFF), came the year 2026', { year: 2026, month: 3, day: 29, weekday: null }],
    ['a month from 1 to 12, came none', { month: null }],
    ['a day of the month, came none', { day: null }],
    ['a time of day, came none', { hour: null }],
    ['a whole second, came 50 hundredths', { hundredths: 50 }],
    ['came 29 February', { month: 2, day: 29, weekday: null }],
    ['came days counted from the end of February', { month: 2, day: 'last', weekday: null }],
    ['came days counted from the end of February', { month: 2, day: 'second-last', weekday: 7 }],
    ['came a weekday on or after 29 February', { month: 2, day: 29, weekday: 7 }],
  ])('is refused: %s', (message, change) => {
    const summerBegin = { ...clockOf(berlin).summerBegin, ...change };
    const tz = () => imported('CET-1CEST,M3.5.0,M10.5.0/3', { summerBegin });
    expect(tz).toThrow('clock, attribute 5 (begin of summer time): expected ');
    expect(tz).toThrow(message);
  });
});

describe('a rule that has no such dates is refused', () => {
  it.each([
    [
      '<+00>0<+01>,60,J300',
      'begin of summer time: expected a day that is the same date or weekday each year, came day 60',
    ],
    [
      '<+00>0<+01>,J60/-1,J300',
      'begin of summer time: expected a day that is the same date or weekday each year, came a time that leads over the end of February',
    ],
    [
      '<+00>0<+01>,J1,M2.5.0/25',
      'end of summer time: expected a day that is the same date or weekday each year, came days counted from the end of February',
    ],
    ['<+00:30>0:00:30', 'standard time: expected an offset of whole minutes, came -30 s'],
  ])('%s', (tz, message) => {
    expect(() => clockOf(parsePosixTz(tz.replace('<+00:30>', '<+0030>')))).toThrow(message);
  });
});

it('what is no clock object is refused with its attribute', () => {
  const hex = hexOf(encodeClock(clockOf(berlin, july), 'dlms'));
  const decode = (change: Record<string, string>) => () => decodeClock(getFrom({ ...hex, ...change }), 'dlms');
  expect(decode({ 3: '0fc4' })).toThrow('clock, attribute 3: expected a number of the type long, came integer');
  expect(decode({ 5: '0901ff' })).toThrow('clock, attribute 5: date-time: expected 12 bytes, came 1 (ff)');
  expect(decode({ 8: '1101' })).toThrow('clock, attribute 8: expected a boolean, came unsigned');
  expect(decode({ 9: '1606' })).toThrow('clock, attribute 9: expected a clock base from 0 to 5, came 6');
  // A type of its own in the place of an octet-string is the same.
  expect(decode({ 2: '1907ea0701030c223800ff8880' })()).toEqual(clockOf(berlin, july));
});

describe('random', () => {
  it('days of a rule are the same seconds as dates, in each year', () => {
    const random = seededRandom('days of summer time');
    let said = 0;
    for (let round = 0; round < 3000; round++) {
      const day = randomDay(random);
      let date: DlmsDateTime;
      try {
        date = dateOfZoneDay(day, 60, 0, 'begin');
      } catch (error) {
        expect((error as Error).message).toMatch(/^begin: expected a day that is the same/);
        continue;
      }
      said++;
      const back = zoneDayOfDate(date, 60, 'begin');
      const came = yearsOf((year) => zoneDayLocal(day, year));
      expect(
        yearsOf((year) => secondsOf(date, year)),
        dateTimeText(date),
      ).toEqual(came);
      expect(
        yearsOf((year) => zoneDayLocal(back, year)),
        JSON.stringify([day, date, back]),
      ).toEqual(came);
    }
    expect(said).toBeGreaterThan(2000);
  });

  it('clocks come back', () => {
    const random = seededRandom('clock objects');
    for (let round = 0; round < 300; round++) {
      const offset = 60 * (random.below(1200) - 600);
      const rule = {
        standard: { name: 'std', offsetSeconds: offset },
        summer: {
          ...{ name: 'dst', offsetSeconds: offset + 60 * (random.below(240) - 120) },
          ...{ begin: plainDay(random), end: plainDay(random) },
        },
      };
      const clock = clockOf(rule);
      const sign: DeviationSign = deviationSigns[random.below(2)]!;
      expect(decodeClock(getFrom(hexOf(encodeClock(clock, sign))), sign)).toEqual(clock);
      if (clock.summerShiftMinutes === 0) continue;
      expect(zoneOfClock(clock).summer).toMatchObject({ begin: rule.summer.begin, end: rule.summer.end });
    }
  });
});

/** In the order of their seconds: a date may be said of the year before its own. */
function yearsOf(secondsIn: (year: number) => number): number[] {
  const seconds = Array.from({ length: 60 }, (_, index) => secondsIn(2020 + index)).sort((a, b) => a - b);
  const [from, to] = [Date.UTC(2026, 0, 20) / 1000, Date.UTC(2054, 0, 20) / 1000];
  return seconds.filter((each) => each >= from && each < to);
}

/** Reads a date with wildcards by counting days, as if local time were UTC. */
function secondsOf({ month, day, weekday, hour, minute, second }: DlmsDateTime, year: number): number {
  const days = (date: number) => Date.UTC(year, (month as number) - 1, date) / 1000;
  const length = new Date(Date.UTC(year, month as number, 0)).getUTCDate();
  let date = day === 'last' ? length : day === 'second-last' ? length - 1 : day!;
  const step = day === 'last' ? -1 : 1;
  while (weekday !== null && (new Date(days(date) * 1000).getUTCDay() || 7) !== weekday) date += step;
  if (day === 'second-last' && weekday !== null) throw new Error('not made by a rule');
  return days(date) + hour! * 3600 + minute! * 60 + second!;
}

function randomDay(random: SeededRandom): ZoneDay {
  const usual = random.below(2) === 0;
  const timeSeconds = usual ? random.below(86_400) : random.below(2 * 604_799) - 604_799;
  const kind = random.below(4);
  if (kind === 0) return { kind: 'julian', day: 1 + random.below(365), timeSeconds };
  if (kind === 1) return { kind: 'zero-based', day: random.below(90), timeSeconds };
  const [month, week, weekday] = [1 + random.below(12), 1 + random.below(5), random.below(7)];
  return { kind: 'month-week-day', month, week, weekday, timeSeconds };
}

/** Of those that come back as they were. */
function plainDay(random: SeededRandom): ZoneDay {
  const timeSeconds = random.below(86_400);
  if (random.below(3) === 0) return { kind: 'julian', day: 1 + random.below(365), timeSeconds };
  const [month, week, weekday] = [1 + random.below(12), 1 + random.below(5), random.below(7)];
  return { kind: 'month-week-day', month, week, weekday, timeSeconds };
}
