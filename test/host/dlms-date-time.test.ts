// Dates and times of DLMS/COSEM: known vectors, wildcards, the deviation's sign, and what cannot be.
import { describe, expect, it } from 'vitest';
import {
  anyDate,
  anyDateTime,
  type DlmsDateTime,
  dateTimeAt,
  decodeDate,
  decodeDateTime,
  decodeTime,
  deviationSigns,
  encodeDate,
  encodeDateTime,
  encodeTime,
  instantMsOf,
  weekdayOf,
} from '../../host/dlms/date-time.ts';
import { dateText, dateTimeText } from '../../host/dlms/decoded.ts';
import { DlmsError } from '../../host/dlms/error.ts';
import { type SeededRandom, seededRandom } from '../core/random.ts';

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const bytes = (text: string) => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'));

const july: DlmsDateTime = {
  ...{ year: 2026, month: 7, day: 1, weekday: null },
  ...{ hour: 12, minute: 34, second: 56, hundredths: 0 },
  ...{ offsetMinutes: 120, clockStatus: 0x80 },
};

describe('2026-07-01 12:34:56+02:00 in summer time', () => {
  it('is known', () => {
    expect(hex(encodeDateTime(july, 'dlms'))).toBe('07ea0701ff0c223800ff8880');
    expect(decodeDateTime(bytes('07EA 07 01 FF 0C 22 38 00 FF88 80'), 'dlms')).toEqual(july);
    expect(dateTimeText(july)).toBe('2026-07-01 12:34:56.00 +02:00 (summer time)');
  });

  it('has the other deviation where the sign is inverted', () => {
    expect(hex(encodeDateTime(july, 'inverted'))).toBe('07ea0701ff0c223800007880');
    expect(decodeDateTime(bytes('07EA 07 01 FF 0C 22 38 00 0078 80'), 'inverted')).toEqual(july);
    expect(decodeDateTime(bytes('07EA 07 01 FF 0C 22 38 00 0078 80'), 'dlms').offsetMinutes).toBe(-120);
  });

  it('is an instant, a Wednesday', () => {
    const utcNs = BigInt(Date.UTC(2026, 6, 1, 10, 34, 56)) * 1_000_000n;
    const at = dateTimeAt(utcNs + 129_999_999n, 120, 0x80);
    expect(at).toEqual({ ...july, weekday: 3, hundredths: 12 });
    expect(instantMsOf(at)).toBe(Date.UTC(2026, 6, 1, 10, 34, 56, 120));
    expect(instantMsOf({ ...at, offsetMinutes: null })).toBeUndefined();
  });
});

// Test data of the public library dlms-cosem (u9n).
it.each([
  ['07e4 01 01 ff 00030000 ff88 00', Date.UTC(2019, 11, 31, 22, 3)],
  ['07e4 01 06 ff 00030000 ffc4 00', Date.UTC(2020, 0, 5, 23, 3)],
])('%s is read as it is by others', (text, expected) => {
  expect(instantMsOf(decodeDateTime(bytes(text), 'dlms'))).toBe(expected);
});

describe('wildcards', () => {
  it('stand for all that is not specified', () => {
    expect(hex(encodeDateTime(anyDateTime, 'dlms'))).toBe('ffffffffffffffffff8000ff');
    expect(decodeDateTime(bytes('ffff ff ff ff ffffffff 8000 ff'), 'inverted')).toEqual(anyDateTime);
    expect(hex(encodeTime(anyDateTime))).toBe('ffffffff');
  });

  it.each([
    ['ffff 03 fe 07', { month: 3, day: 'last', weekday: 7 }, '*-03-last sunday'],
    ['ffff 02 fd ff', { month: 2, day: 'second-last' }, '*-02-second-last'],
    ['ffff fe ff ff', { month: 'summer-begin' }, '*-summer-begin-*'],
    ['ffff fd ff ff', { month: 'summer-end' }, '*-summer-end-*'],
    ['ffff 02 1d ff', { month: 2, day: 29 }, '*-02-29'],
    ['07ea ff 1f ff', { year: 2026, day: 31 }, '2026-*-31'],
    ['ffff ff ff 06', { weekday: 6 }, '*-*-* saturday'],
  ] as const)('%s', (text, part, said) => {
    const date = { ...anyDate, ...part };
    expect(hex(encodeDate(date))).toBe(text.replaceAll(' ', ''));
    expect(decodeDate(bytes(text))).toEqual(date);
    expect(dateText(date)).toBe(said);
  });
});

describe('refused', () => {
  it.each([
    ['07ea 0d 01 ff', 'date 07ea0d01ff: month: expected from 1 to 12, came 13'],
    ['07ea 00 01 ff', 'month: expected from 1 to 12, came 0'],
    ['07ea 01 e0 ff', 'day: expected from 1 to 31, came 224'],
    ['07ea 02 1d ff', 'day: expected from 1 to 28, came 29'],
    ['ffff 02 1e ff', 'day: expected from 1 to 29, came 30'],
    ['ffff 04 1f ff', 'day: expected from 1 to 30, came 31'],
    ['07ea 01 01 08', 'weekday: expected from 1 to 7, came 8'],
    // The standard calls weekdays that contradict the date an error.
    ['07ea 07 01 04', 'weekday: expected 3 on 2026-7-1, came 4'],
    ['07ea 07 01', 'date: expected 5 bytes, came 4 (07ea0701)'],
  ])('date %s', (text, message) => {
    expect(() => decodeDate(bytes(text))).toThrow(message);
    expect(() => decodeDate(bytes(text))).toThrow(DlmsError);
  });

  it.each([
    ['18 00 00 00', 'hour: expected from 0 to 23, came 24'],
    ['00 3c 00 00', 'minute: expected from 0 to 59, came 60'],
    ['00 00 3c 00', 'second: expected from 0 to 59, came 60'],
    ['00 00 00 64', 'hundredths: expected from 0 to 99, came 100'],
  ])('time %s', (text, message) => {
    expect(() => decodeTime(bytes(text))).toThrow(`time ${text.replaceAll(' ', '')}: ${message}`);
  });

  it.each([
    ['0349 00', 'deviation: expected whole minutes from -840 to 840, came 841'],
    ['0000 03', 'clock status: expected invalid or doubtful, not both, came 0x3'],
  ])('deviation and status %s', (text, message) => {
    expect(() => decodeDateTime(bytes(`ffffffffffffffffff ${text}`), 'dlms')).toThrow(message);
  });

  it('what has no bytes', () => {
    expect(() => encodeDateTime({ ...july, offsetMinutes: 0.5 }, 'dlms')).toThrow('deviation: expected whole minutes');
    expect(() => encodeDateTime({ ...july, clockStatus: 3 }, 'dlms')).toThrow('not both');
    expect(() => encodeDate({ ...anyDate, year: 65_535 })).toThrow('year: expected from 0 to 65534');
    expect(() => encodeTime({ ...july, second: -1 })).toThrow('second: expected from 0 to 59');
  });
});

describe('random', () => {
  it('dates and times come back', () => {
    const random = seededRandom('DLMS dates');
    for (let round = 0; round < 5000; round++) {
      const value = randomDateTime(random);
      for (const sign of deviationSigns) {
        expect(decodeDateTime(encodeDateTime(value, sign), sign)).toEqual(value);
      }
    }
  });

  it('bytes are encoded to the same, or refused with their hexadecimal form', () => {
    const random = seededRandom('DLMS date bytes');
    let values = 0;
    for (let round = 0; round < 20_000; round++) {
      const input = encodeDateTime(randomDateTime(random), 'dlms');
      if (random.below(4) > 0) input[random.below(12)] = random.below(256);
      try {
        expect(encodeDateTime(decodeDateTime(input, 'inverted'), 'inverted')).toEqual(input);
        values++;
      } catch (error) {
        expect((error as Error).message).toContain(`date-time ${hex(input)}: `);
      }
    }
    expect(values).toBeGreaterThan(5000);
    expect(values).toBeLessThan(20_000);
  });
});

it.each([
  [1999, 12, 31, 5],
  [2026, 7, 1, 3],
  [2100, 2, 28, 7],
  [99, 1, 1, 4],
])('%i-%i-%i is day %i of the week', (year, month, day, expected) => {
  expect(weekdayOf(year, month, day)).toBe(expected);
});

function randomDateTime(random: SeededRandom): DlmsDateTime {
  const maybe = <T>(value: T): T | null => (random.below(3) === 0 ? null : value);
  const year = maybe(1970 + random.below(200));
  const month = maybe(
    random.below(6) === 0 ? (['summer-begin', 'summer-end'] as const)[random.below(2)]! : 1 + random.below(12),
  );
  const day = maybe(
    random.below(4) === 0 ? (['last', 'second-last'] as const)[random.below(2)]! : 1 + random.below(28),
  );
  const whole = year !== null && typeof month === 'number' && typeof day === 'number';
  return {
    ...{ year, month, day },
    weekday: maybe(whole ? weekdayOf(year, month, day) : 1 + random.below(7)),
    ...{ hour: maybe(random.below(24)), minute: maybe(random.below(60)) },
    ...{ second: maybe(random.below(60)), hundredths: maybe(random.below(100)) },
    offsetMinutes: maybe(random.below(1681) - 840),
    clockStatus: maybe([0, 1, 2, 4, 0x80, 0x84, 0x88][random.below(7)]!),
  };
}
