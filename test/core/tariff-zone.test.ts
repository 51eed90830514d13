// Legal time by rules and lists: offsets, transitions, and the effective local time.
import { beforeAll, describe, expect, it } from 'vitest';
import { ProgramError } from '../../as/abi/codes.ts';
import { loadCoreModule } from './load-core.ts';
import { type BlockList, programBlock, sealed } from './tariff-blocks.ts';
import { isoOf, TariffCore, unix } from './tariff-core.ts';

let core: TariffCore;
beforeAll(async () => {
  core = new TariffCore(await loadCoreModule());
});

const hour = 3600;
const minute = 60;

/** Transitions of a year, as they are, with the offset from then on in hours. */
function yearOf(zone: string | BlockList, year: number): [string, number][] {
  core.useZone(zone);
  return core
    .transitions(`${year - 1}-12-31T23:59:59Z`, `${year}-12-31T23:59:59Z`)
    .map((at) => [at, core.offset(at) / hour]);
}

describe('without a program', () => {
  it('is UTC', () => {
    core.useZone('CET-1CEST,M3.5.0,M10.5.0/3');
    core.exports.testProgramDrop();
    expect(core.offset('2026-07-01T00:00:00Z')).toBe(0);
    expect(core.summer('2026-07-01T00:00:00Z')).toBe(false);
    expect(core.nextTransition('2026-07-01T00:00:00Z')).toBeUndefined();
    expect(core.effective('2026-07-01T12:34:56Z')).toBe('2026-07-01T12:34:56');
  });
});

describe('a rule', () => {
  it('has summer time from the last Sunday of March to that of October in Berlin', () => {
    expect(yearOf('CET-1CEST,M3.5.0,M10.5.0/3', 2026)).toEqual([
      ['2026-03-29T01:00:00Z', 2],
      ['2026-10-25T01:00:00Z', 1],
    ]);
    expect(core.offset('2026-03-29T00:59:59Z')).toBe(hour);
    expect(core.offset('2026-10-25T00:59:59Z')).toBe(2 * hour);
    expect(core.summer('2026-07-01T00:00:00Z')).toBe(true);
    expect(core.summer('2026-12-01T00:00:00Z')).toBe(false);
  });

  it.each([2026, 2028, 2035, 2036, 2037, 2038, 2045, 2046, 2099, 2100])('holds in %i', (year) => {
    const lastSunday = (month: number) => {
      const last = new Date(Date.UTC(year, month, 0));
      return isoOf(Date.UTC(year, month - 1, last.getUTCDate() - last.getUTCDay(), 1) / 1000);
    };
    expect(yearOf('CET-1CEST,M3.5.0,M10.5.0/3', year)).toEqual([
      [lastSunday(3), 2],
      [lastSunday(10), 1],
    ]);
  });

  it('has summer time over the new year in Sydney', () => {
    expect(yearOf('AEST-10AEDT,M10.1.0,M4.1.0/3', 2026)).toEqual([
      ['2026-04-04T16:00:00Z', 10],
      ['2026-10-03T16:00:00Z', 11],
    ]);
    expect(core.summer('2026-01-01T00:00:00Z')).toBe(true);
    expect(core.offset('2026-12-31T23:59:59Z')).toBe(11 * hour);
  });

  it('changes by half an hour on Lord Howe', () => {
    expect(yearOf('<+1030>-10:30<+11>-11,M10.1.0,M4.1.0', 2026)).toEqual([
      ['2026-04-04T15:00:00Z', 10.5],
      ['2026-10-03T15:30:00Z', 11],
    ]);
  });

  it('changes at midnight in Santiago, which is the 24th hour of Saturday', () => {
    expect(yearOf('<-04>4<-03>,M9.1.6/24,M4.1.6/24', 2026)).toEqual([
      ['2026-04-05T03:00:00Z', -4],
      ['2026-09-06T04:00:00Z', -3],
    ]);
  });

  it('takes hours before the day, as in Nuuk', () => {
    expect(yearOf('<-02>2<-01>,M3.5.0/-1,M10.5.0/0', 2026)).toEqual([
      ['2026-03-29T01:00:00Z', -1],
      ['2026-10-25T01:00:00Z', -2],
    ]);
  });

  it('takes hours far beyond the day, as in Jerusalem and Gaza', () => {
    expect(yearOf('IST-2IDT,M3.4.4/26,M10.5.0', 2026)).toEqual([
      ['2026-03-27T00:00:00Z', 3],
      ['2026-10-24T23:00:00Z', 2],
    ]);
    expect(yearOf('EET-2EEST,M3.4.4/50,M10.4.4/50', 2026)).toEqual([
      ['2026-03-28T00:00:00Z', 3],
      ['2026-10-23T23:00:00Z', 2],
    ]);
  });

  it('takes the larger offset for summer time, whatever POSIX calls it, as in Dublin', () => {
    expect(yearOf('IST-1GMT0,M10.5.0,M3.5.0/1', 2026)).toEqual([
      ['2026-03-29T01:00:00Z', 1],
      ['2026-10-25T01:00:00Z', 0],
    ]);
    expect(core.summer('2026-07-01T00:00:00Z')).toBe(true);
    expect(core.summer('2026-12-01T00:00:00Z')).toBe(false);
  });

  it('counts days of the year with and without 29 February', () => {
    // J60 is 1 March; 59 is 29 February in leap years, else 1 March.
    expect(yearOf('AAA0BBB,J60/0,J300/1', 2027)[0]).toEqual(['2027-03-01T00:00:00Z', 1]);
    expect(yearOf('AAA0BBB,J60/0,J300/1', 2028)[0]).toEqual(['2028-03-01T00:00:00Z', 1]);
    expect(yearOf('AAA0BBB,59/0,J300/1', 2027)[0]).toEqual(['2027-03-01T00:00:00Z', 1]);
    expect(yearOf('AAA0BBB,59/0,J300/1', 2028)[0]).toEqual(['2028-02-29T00:00:00Z', 1]);
    expect(yearOf('AAA0BBB,J59/0,J300/1', 2028)[0]).toEqual(['2028-02-28T00:00:00Z', 1]);
    expect(yearOf('AAA0BBB,0/0,J365/1', 2028)).toEqual([
      ['2028-01-01T00:00:00Z', 1],
      ['2028-12-31T00:00:00Z', 0],
    ]);
  });

  it('takes times that lead out of the year', () => {
    // A week before New Year's Day, and a week after New Year's Eve.
    expect(yearOf('AAA0BBB,J1/-167,J100/1', 2026)).toEqual([
      ['2026-04-10T00:00:00Z', 0],
      ['2026-12-25T01:00:00Z', 1],
    ]);
    expect(yearOf('AAA0BBB,J200/0,J365/167', 2026)).toEqual([
      ['2026-01-06T22:00:00Z', 0],
      ['2026-07-19T00:00:00Z', 1],
    ]);
  });

  it('may be summer time for ever', () => {
    core.useZone('EST5EDT,0/0,J365/25');
    for (const at of ['2026-01-01T04:59:59Z', '2026-01-01T05:00:00Z', '2026-07-01T00:00:00Z']) {
      expect(core.offset(at)).toBe(-4 * hour);
      expect(core.summer(at)).toBe(true);
      expect(core.nextTransition(at)).toBeUndefined();
    }
  });

  it('may have one offset of any minutes, as Kathmandu', () => {
    core.useZone('<+0545>-5:45');
    expect(core.offset('2026-07-01T00:00:00Z')).toBe(5 * hour + 45 * minute);
    expect(core.nextTransition('2026-07-01T00:00:00Z')).toBeUndefined();
  });
});

describe('a list', () => {
  const list: BlockList = {
    initial: { minutes: 60, summer: false },
    transitions: [
      { unixSeconds: unix('2026-02-15T02:00:00Z'), minutes: 0, summer: false },
      { unixSeconds: unix('2026-03-22T02:00:00Z'), minutes: 60, summer: false },
      { unixSeconds: unix('2026-05-01T00:00:00Z'), minutes: 60, summer: false },
      { unixSeconds: unix('2038-01-19T03:14:08Z'), minutes: -720, summer: true },
      { unixSeconds: unix('2105-12-31T00:00:00Z'), minutes: 1439, summer: false },
    ],
  };

  it('has the offset of the last transition', () => {
    core.useZone(list);
    expect(core.offset('1990-01-01T00:00:00Z')).toBe(hour);
    expect(core.offset('2026-02-15T01:59:59Z')).toBe(hour);
    expect(core.offset('2026-02-15T02:00:00Z')).toBe(0);
    expect(core.offset('2038-01-19T03:14:08Z')).toBe(-12 * hour);
    expect(core.summer('2038-01-19T03:14:07Z')).toBe(false);
    expect(core.summer('2038-01-19T03:14:08Z')).toBe(true);
    expect(core.offset('2200-01-01T00:00:00Z')).toBe(1439 * minute);
  });

  it('leaves out a transition that changes nothing', () => {
    core.useZone(list);
    expect(core.transitions('1990-01-01T00:00:00Z', '2200-01-01T00:00:00Z')).toEqual([
      '2026-02-15T02:00:00Z',
      '2026-03-22T02:00:00Z',
      '2038-01-19T03:14:08Z',
      '2105-12-31T00:00:00Z',
    ]);
  });

  it('may be without transitions', () => {
    core.useZone({ initial: { minutes: -210, summer: true }, transitions: [] });
    expect(core.offset('2026-01-01T00:00:00Z')).toBe(-210 * minute);
    expect(core.summer('2026-01-01T00:00:00Z')).toBe(true);
    expect(core.nextTransition('2026-01-01T00:00:00Z')).toBeUndefined();
  });
});

describe('the effective local time', () => {
  it('stands in the hour that autumn repeats', () => {
    core.useZone('CET-1CEST,M3.5.0,M10.5.0/3');
    expect(core.effective('2026-10-25T00:59:58Z')).toBe('2026-10-25T02:59:58');
    expect(core.effective('2026-10-25T00:59:59Z')).toBe('2026-10-25T02:59:59');
    expect(core.effective('2026-10-25T01:00:00Z')).toBe('2026-10-25T02:59:59');
    expect(core.effective('2026-10-25T01:59:59Z')).toBe('2026-10-25T02:59:59');
    expect(core.effective('2026-10-25T02:00:00Z')).toBe('2026-10-25T03:00:00');
  });

  it('leaves out the hour of spring', () => {
    core.useZone('CET-1CEST,M3.5.0,M10.5.0/3');
    expect(core.effective('2026-03-29T00:59:59Z')).toBe('2026-03-29T01:59:59');
    expect(core.effective('2026-03-29T01:00:00Z')).toBe('2026-03-29T03:00:00');
  });

  it('stays on the date that was reached, where midnight comes twice', () => {
    // An end of summer time at half past midnight.
    core.useZone('AAA0BBB,J100/0,J300/0:30');
    expect(core.effective('2027-10-26T23:29:59Z')).toBe('2027-10-27T00:29:59');
    expect(core.effective('2027-10-26T23:30:00Z')).toBe('2027-10-27T00:29:59');
    expect(core.effective('2027-10-27T00:29:59Z')).toBe('2027-10-27T00:29:59');
    expect(core.effective('2027-10-27T00:30:00Z')).toBe('2027-10-27T00:30:00');
  });

  it('is the latest of several steps back', () => {
    const at = unix('2026-06-01T12:00:00Z');
    const back = [600, 540, 480, 420].map((minutes, i) => ({ unixSeconds: at + i * 1800, minutes, summer: false }));
    core.useZone({ initial: { minutes: 660, summer: false }, transitions: back });
    // 22:59:59 was reached before the first; local time comes there four hours later.
    expect(core.effective(at - 1)).toBe('2026-06-01T22:59:59');
    expect(core.effective(at + 4 * hour - 1)).toBe('2026-06-01T22:59:59');
    expect(core.effective(at + 4 * hour)).toBe('2026-06-01T23:00:00');
  });

  it('lasts two days at most, after the largest step back', () => {
    const at = unix('2026-06-01T12:00:00Z');
    core.useZone({
      initial: { minutes: 1440, summer: false },
      transitions: [
        { unixSeconds: at, minutes: -1440, summer: false },
        { unixSeconds: at + 86_400, minutes: -1439, summer: false },
      ],
    });
    expect(core.effective(at - 1)).toBe('2026-06-02T11:59:59');
    expect(core.effective(at + 2 * 86_400 - 61)).toBe('2026-06-02T11:59:59');
    expect(core.effective(at + 2 * 86_400 - 60)).toBe('2026-06-02T12:00:00');
  });
});

describe('a zone that cannot be', () => {
  const refused = (change: (zone: DataView) => void, zone: string | BlockList) => {
    const empty = { defaultTariff: 0, scripts: [], seasons: [], weeks: [], days: [], specialDays: [] };
    const block = programBlock({ zone, ...empty });
    change(new DataView(block.buffer, 64));
    return core.useProgramBytes(sealed(block));
  };
  const berlin = 'CET-1CEST,M3.5.0,M10.5.0/3';

  it.each<[string, (zone: DataView) => void]>([
    ['an offset beyond a day', (zone) => zone.setInt32(0, 86_401, true)],
    ['one the other way', (zone) => zone.setInt32(4, -86_401, true)],
    ['no kind of day', (zone) => zone.setUint8(8, 3)],
    ['month 0', (zone) => zone.setUint8(9, 0)],
    ['month 13', (zone) => zone.setUint8(17, 13)],
    ['week 0', (zone) => zone.setUint8(10, 0)],
    ['week 6', (zone) => zone.setUint8(18, 6)],
    ['weekday 7', (zone) => zone.setUint8(11, 7)],
    ['a time of a week', (zone) => zone.setInt32(12, 604_800, true)],
    ['the same before the day', (zone) => zone.setInt32(20, -604_800, true)],
    ['day J0', (zone) => zone.setUint32(8, 0x0000_0001, true)],
    ['day J366', (zone) => zone.setUint32(8, 0x016e_0001, true)],
    ['day 366', (zone) => zone.setUint32(8, 0x016e_0002, true)],
  ])('is refused: %s', (_, change) => {
    expect(refused(() => {}, berlin)).toBe(ProgramError.None);
    expect(refused(change, berlin)).toBe(ProgramError.Zone);
    expect(core.offset('2026-07-01T00:00:00Z')).toBe(0);
  });

  it.each<[string, (zone: DataView) => void]>([
    ['transitions out of order', (zone) => zone.setUint32(12, 999, true)],
    ['two at once', (zone) => zone.setUint32(12, 1000, true)],
    ['an offset beyond a day', (zone) => zone.setInt16(8, 1441, true)],
    ['one beyond a day before the first', (zone) => zone.setInt16(0, -1441, true)],
    ['a flag that is none', (zone) => zone.setUint8(2, 2)],
  ])('is refused in a list: %s', (_, change) => {
    const list: BlockList = {
      initial: { minutes: 0, summer: false },
      transitions: [1000, 2000].map((unixSeconds) => ({ unixSeconds, minutes: 60, summer: true })),
    };
    expect(refused(() => {}, list)).toBe(ProgramError.None);
    expect(refused(change, list)).toBe(ProgramError.Zone);
  });
});
