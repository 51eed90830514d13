// Dynamic tariffs: absolute switch times before the calendar, what follows their end, and the week in which that is said.
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { DynamicFallback, ProgramError } from '../../as/abi/codes.ts';
import { loadCoreModule } from './load-core.ts';
import { type BlockDynamic, type BlockProgram, dynamicBlock, sealed } from './tariff-blocks.ts';
import { type Instant, isoOf, TariffCore, unix } from './tariff-core.ts';

let core: TariffCore;
beforeAll(async () => {
  core = new TariffCore(await loadCoreModule());
});
beforeEach(() => {
  core.exports.testProgramDrop();
  core.exports.testDynamicDrop();
});

function useCalendar(change: Partial<BlockProgram> = {}): void {
  core.useProgram({
    zone: 'CET-1CEST,M3.5.0,M10.5.0/3',
    defaultTariff: 99,
    scripts: [1, 2],
    seasons: [{ month: 1, day: 1, week: 0 }],
    weeks: [[0, 0, 0, 0, 0, 0, 0]],
    days: [
      [
        ['06:00:00', 0],
        ['22:00:00', 1],
      ],
    ],
    specialDays: [],
    ...change,
  });
}

const dynamic = (entries: [Instant, number][], end: Instant): BlockDynamic => ({
  entries: entries.map(([at, tariff]) => ({ unixSeconds: unix(at), tariff })),
  endUnixSeconds: unix(end),
});

function switches(from: string, until: string): [string, number][] {
  return core.switches(from, until).map(({ unixSeconds, tariff }) => [isoOf(unixSeconds), tariff]);
}

const evening = dynamic(
  [
    ['2026-07-01T18:00:00Z', 50],
    ['2026-07-01T18:15:00Z', 51],
    ['2026-07-01T18:30:00Z', 51],
    ['2026-07-01T18:45:00Z', 52],
  ],
  '2026-07-01T19:00:00Z',
);

describe('dynamic tariffs', () => {
  it('come before the calendar from the first to the end', () => {
    useCalendar();
    core.useDynamic(evening);
    expect(switches('2026-07-01T12:00:00Z', '2026-07-02T12:00:00Z')).toEqual([
      ['2026-07-01T18:00:00Z', 50],
      ['2026-07-01T18:15:00Z', 51],
      ['2026-07-01T18:45:00Z', 52],
      ['2026-07-01T19:00:00Z', 1],
      ['2026-07-01T20:00:00Z', 2],
      ['2026-07-02T04:00:00Z', 1],
    ]);
    expect(core.origin('2026-07-01T17:59:59Z')).toBe('calendar');
    expect(core.origin('2026-07-01T18:00:00Z')).toBe('dynamic');
    expect(core.origin('2026-07-01T18:59:59Z')).toBe('dynamic');
    expect(core.origin('2026-07-01T19:00:00Z')).toBe('ended');
  });

  it('are said to have ended for a week', () => {
    useCalendar();
    core.useDynamic(evening);
    expect(core.origin('2026-07-08T18:59:59Z')).toBe('ended');
    expect(core.origin('2026-07-08T19:00:00Z')).toBe('calendar');
    core.exports.testDynamicDrop();
    expect(core.origin('2026-07-01T19:00:00Z')).toBe('calendar');
  });

  it('keep the last of them for a week, where the program says so', () => {
    useCalendar({ fallback: DynamicFallback.Keep });
    core.useDynamic(evening);
    expect(switches('2026-07-01T18:45:00Z', '2026-07-09T00:00:00Z')).toEqual([
      ['2026-07-08T19:00:00Z', 1],
      ['2026-07-08T20:00:00Z', 2],
    ]);
    expect(core.tariff('2026-07-08T18:59:59Z')).toBe(52);
  });

  it('are followed by a tariff of its own for a week, where the program says so', () => {
    useCalendar({ fallback: DynamicFallback.Tariff, fallbackTariff: 77 });
    core.useDynamic(evening);
    expect(switches('2026-07-01T18:45:00Z', '2026-07-08T19:30:00Z')).toEqual([
      ['2026-07-01T19:00:00Z', 77],
      ['2026-07-08T19:00:00Z', 1],
    ]);
  });

  it('are followed by tariff 0 without a program, which is before them too', () => {
    core.useDynamic(evening);
    expect(switches('2026-07-01T12:00:00Z', '2026-07-30T00:00:00Z')).toEqual([
      ['2026-07-01T18:00:00Z', 50],
      ['2026-07-01T18:15:00Z', 51],
      ['2026-07-01T18:45:00Z', 52],
      ['2026-07-01T19:00:00Z', 0],
    ]);
    expect(core.origin('2026-07-01T19:00:00Z')).toBe('ended');
  });

  it('replace those before, and are taken back by none', () => {
    useCalendar();
    core.useDynamic(evening);
    core.useDynamic(dynamic([['2026-07-03T00:00:00Z', 60]], '2026-07-03T01:00:00Z'));
    expect(core.tariff('2026-07-01T18:00:00Z')).toBe(1);
    expect(core.tariff('2026-07-03T00:30:00Z')).toBe(60);
    core.useDynamic(dynamic([], 0));
    expect(core.tariff('2026-07-03T00:30:00Z')).toBe(2);
    expect(core.origin('2026-07-03T00:30:00Z')).toBe('calendar');
  });

  it('may be 192 quarter hours, and end after 2038', () => {
    const from = unix('2038-01-18T23:00:00Z');
    const entries = Array.from({ length: 192 }, (_, i): [number, number] => [from + 900 * i, 1000 + i]);
    core.useDynamic(dynamic(entries, from + 192 * 900));
    expect(core.switches(from - 1, from + 200 * 900)).toEqual([
      ...entries.map(([unixSeconds, tariff]) => ({ unixSeconds, tariff })),
      { unixSeconds: from + 192 * 900, tariff: 0 },
    ]);
  });

  it('may be in 2105', () => {
    core.useDynamic(dynamic([['2105-12-31T00:00:00Z', 5]], 2 ** 32 - 1));
    expect(core.tariff('2105-12-31T12:00:00Z')).toBe(5);
    expect(core.origin(2 ** 32 - 1)).toBe('ended');
    expect(core.origin(2 ** 32 - 1 + 7 * 86_400)).toBe('calendar');
  });
});

describe('the next switch', () => {
  it('is the first at which the tariff differs, at most until the time that is said', () => {
    useCalendar();
    core.useDynamic(evening);
    expect(core.next('2026-07-01T18:15:00Z', '2026-07-02T00:00:00Z')).toBe('2026-07-01T18:45:00Z');
    expect(core.next('2026-07-01T18:15:00Z', '2026-07-01T18:45:00Z')).toBe('2026-07-01T18:45:00Z');
    expect(core.next('2026-07-01T18:15:00Z', '2026-07-01T18:44:59Z')).toBeUndefined();
  });

  it('is sought a year ahead at most', () => {
    useCalendar({ days: [[['00:00:00', 0]]], seasons: [{ year: 2028, month: 1, day: 1, week: 0 }] });
    expect(core.next('2026-07-01T00:00:00Z', '2046-07-01T00:00:00Z')).toBeUndefined();
    expect(core.next('2027-07-01T00:00:00Z', '2046-07-01T00:00:00Z')).toBe('2027-12-31T23:00:00Z');
  });

  it('leaves what was said of the tariff now as it was', () => {
    useCalendar();
    core.useDynamic(evening);
    expect(core.nextAction('2026-07-01T18:15:00Z')).toBe('2026-07-01T18:30:00Z');
    expect(core.exports.testTariffOriginAfterNext(BigInt(unix('2026-07-01T18:50:00Z')))).toBe(1);
  });

  it('is looked for anew within 25 hours', () => {
    useCalendar({ seasons: [] });
    expect(core.nextAction('2026-07-01T10:00:00Z')).toBe('2026-07-01T22:00:00Z');
    core.exports.testProgramDrop();
    expect(core.nextAction('2026-07-01T10:00:00Z')).toBe('2026-07-02T11:00:00Z');
  });
});

describe('dynamic tariffs that cannot be', () => {
  const refusal = (change: (block: DataView) => void, of: BlockDynamic = evening) => {
    core.useDynamic(evening);
    const block = dynamicBlock(of);
    change(new DataView(block.buffer));
    const error = core.useDynamicBytes(sealed(block));
    expect(core.origin('2026-07-01T18:00:00Z')).toBe(error === ProgramError.None ? 'dynamic' : 'calendar');
    return error;
  };

  it('are refused, and none are left', () => {
    expect(refusal(() => {})).toBe(ProgramError.None);
    expect(refusal((block) => block.setUint32(0, 0x3154_4d00, true))).toBe(ProgramError.Absent);
    expect(refusal((block) => block.setUint16(4, 43, true))).toBe(ProgramError.Damaged);
    expect(refusal((block) => block.setUint16(6, 5, true))).toBe(ProgramError.Damaged);
    expect(refusal((block) => block.setUint16(6, 193, true))).toBe(ProgramError.TooMany);
    expect(
      refusal(
        () => {},
        dynamic(
          [
            ['2026-07-01T18:00:00Z', 1],
            ['2026-07-01T18:00:00Z', 2],
          ],
          '2027-01-01T00:00:00Z',
        ),
      ),
    ).toBe(ProgramError.Actions);
    expect(refusal(() => {}, dynamic([['2026-07-01T18:00:00Z', 1]], '2026-07-01T18:00:00Z'))).toBe(ProgramError.Date);
  });

  it('are refused whatever byte of them is another one', () => {
    const block = dynamicBlock(evening);
    for (let at = 0; at < block.length; at++) {
      const damaged = Uint8Array.from(block);
      damaged[at] = damaged[at]! ^ 0x10;
      expect(core.useDynamicBytes(damaged)).not.toBe(ProgramError.None);
    }
    for (let length = 0; length < block.length; length++) {
      expect(core.useDynamicBytes(block.subarray(0, length))).not.toBe(ProgramError.None);
    }
    expect(core.useDynamicBytes(block)).toBe(ProgramError.None);
  });
});
