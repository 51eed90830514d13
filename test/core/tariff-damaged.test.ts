// Tariff programs from outside: whatever their bytes are, they are refused or they are one, and nothing traps, hangs or
// reads what is beyond them.
import { beforeAll, describe, expect, it } from 'vitest';
import { ProgramError, ProgramField, ProgramFormat } from '../../as/abi/codes.ts';
import { loadCoreModule } from './load-core.ts';
import { randomFrom, type SeededRandom, seededRandom } from './random.ts';
import { any, type BlockProgram, dynamicBlock, lastDay, programBlock, sealed, summerBegin } from './tariff-blocks.ts';
import { TariffCore, unix } from './tariff-core.ts';
import { drawCalendar } from './tariff-draw.ts';

let module: WebAssembly.Module;
let core: TariffCore;
beforeAll(async () => {
  module = await loadCoreModule();
  core = new TariffCore(module);
});

const program: BlockProgram = {
  zone: 'CET-1CEST,M3.5.0,M10.5.0/3',
  defaultTariff: 9,
  scripts: [1, 2],
  seasons: [
    { month: 4, day: 1, week: 0 },
    { year: 2030, month: summerBegin, week: 1 },
  ],
  weeks: [
    [0, 0, 0, 0, 0, 1, 1],
    [1, 1, 1, 1, 1, 1, 1],
  ],
  days: [
    [
      ['06:00:00', 0],
      ['22:00:00', 1],
    ],
    [['00:00:00', 1]],
  ],
  specialDays: [{ month: 12, day: 25, to: 1 }],
};

const at = unix('2026-07-01T12:00:00Z');

describe('the name of a program', () => {
  it('is UTF-8, as node understands it', () => {
    const random = seededRandom('names of programs');
    const bytesAt = [
      0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xed, 0xef, 0xf0, 0xf4, 0xf5,
    ];
    const utf8 = new TextDecoder('utf-8', { fatal: true });
    const seen = { text: 0, none: 0 };
    for (let turn = 0; turn < 20_000; turn++) {
      const name = Uint8Array.from({ length: random.below(6) }, () => bytesAt[random.below(bytesAt.length)]!);
      const block = programBlock(program);
      block.set([name.length, ...name], ProgramField.Name);
      let isText = true;
      try {
        utf8.decode(name);
      } catch {
        isText = false;
      }
      seen[isText ? 'text' : 'none']++;
      const error = core.useProgramBytes(sealed(block));
      expect(error, Buffer.from(name).toString('hex')).toBe(isText ? ProgramError.None : ProgramError.Damaged);
    }
    expect(Math.min(seen.text, seen.none)).toBeGreaterThan(1000);
  });
});

describe('a program', () => {
  it('is used when it is valid, also with more bytes behind it', () => {
    expect(core.useProgramBytes(programBlock(program))).toBe(ProgramError.None);
    expect(core.exports.testProgramInUse()).toBe(1);
    expect(core.tariff(at)).toBe(1);
    expect(core.useProgramBytes(Buffer.concat([programBlock(program), Buffer.alloc(100, 0xff)]))).toBe(
      ProgramError.None,
    );
  });

  it('is refused whatever byte of it is another one, and then there is none', () => {
    const block = programBlock(program);
    for (let byte = 0; byte < block.length; byte++) {
      for (const bit of [0x01, 0x10, 0x80]) {
        core.useProgram(program);
        const damaged = Uint8Array.from(block);
        damaged[byte] = damaged[byte]! ^ bit;
        expect(core.useProgramBytes(damaged)).not.toBe(ProgramError.None);
        expect(core.exports.testProgramInUse()).toBe(0);
        expect(core.tariff(at)).toBe(0);
        expect(core.offset(at)).toBe(0);
      }
    }
  });

  it('is refused wherever it is cut off', () => {
    const block = programBlock(program);
    for (let length = 0; length < block.length; length++) {
      expect(core.useProgramBytes(block.subarray(0, length))).not.toBe(ProgramError.None);
    }
    expect(core.exports.toolProgramUse(2049)).toBe(ProgramError.Damaged);
  });

  it('may be as large as the format allows', () => {
    const largest: BlockProgram = {
      zone: {
        initial: { minutes: 0, summer: false },
        transitions: Array.from({ length: 64 }, (_, i) => ({ unixSeconds: 1e9 + i, minutes: i, summer: true })),
      },
      defaultTariff: 9,
      scripts: Array(16).fill(3),
      seasons: Array.from({ length: 12 }, (_, i) => ({ month: i + 1, day: 1, week: i })),
      weeks: Array(12).fill([0, 1, 2, 3, 4, 5, 15]),
      days: Array(16).fill(Array.from({ length: 8 }, (_, i) => [`0${i}:00:00`, 15])),
      specialDays: Array.from({ length: 64 }, (_, i) => ({ month: 1, day: (i % 31) + 1, to: 15 })),
    };
    const block = programBlock(largest);
    expect(block.length).toBe(1888);
    expect(core.useProgramBytes(block)).toBe(ProgramError.None);
    expect(core.tariff(at)).toBe(3);
    const more = (change: Partial<BlockProgram>) => core.useProgramBytes(programBlock({ ...program, ...change }));
    expect(more({ seasons: Array(13).fill(program.seasons[0]) })).toBe(ProgramError.TooMany);
    expect(more({ weeks: Array(13).fill(program.weeks[0]) })).toBe(ProgramError.TooMany);
    expect(more({ days: Array(17).fill(program.days[0]) })).toBe(ProgramError.TooMany);
    expect(more({ specialDays: Array(65).fill(program.specialDays[0]) })).toBe(ProgramError.TooMany);
    expect(more({ scripts: Array(17).fill(1) })).toBe(ProgramError.TooMany);
    expect(more({ days: [Array.from({ length: 9 }, (_, i) => [`0${i}:00:00`, 0]), []] })).toBe(ProgramError.TooMany);
    expect(more({ name: 'x'.repeat(24) })).toBe(ProgramError.TooMany);
    const transitions = Array.from({ length: 65 }, (_, i) => ({ unixSeconds: 1e9 + i, minutes: 0, summer: false }));
    expect(more({ zone: { initial: { minutes: 0, summer: false }, transitions } })).toBe(ProgramError.TooMany);
  });

  it('is refused: an activation before 1970 or beyond 2106', () => {
    const at = (seconds: bigint) => {
      const block = Buffer.from(programBlock(program));
      block.writeBigInt64LE(seconds, ProgramField.Activation);
      return core.useProgramBytes(sealed(block));
    };
    expect(at(0n)).toBe(ProgramError.None);
    expect(at(2n ** 32n - 1n)).toBe(ProgramError.None);
    for (const seconds of [-1n, 2n ** 32n, 9_223_372_037n, 2n ** 63n - 1n, -(2n ** 63n)]) {
      expect(at(seconds)).toBe(ProgramError.Date);
    }
  });

  it.each<[string, Partial<BlockProgram>, ProgramError]>([
    ['a season in month 0', { seasons: [{ month: 0, day: 1, week: 0 }] }, ProgramError.Date],
    ['a season in any month', { seasons: [{ month: any, day: 1, week: 0 }] }, ProgramError.Date],
    ['a season on any day', { seasons: [{ month: 1, day: any, week: 0 }] }, ProgramError.Date],
    ['a season on 31 April', { seasons: [{ month: 4, day: 31, week: 0 }] }, ProgramError.Date],
    ['a season on each 29 February', { seasons: [{ month: 2, day: 29, week: 0 }] }, ProgramError.Date],
    ['a season on 29 February 2027', { seasons: [{ year: 2027, month: 2, day: 29, week: 0 }] }, ProgramError.Date],
    ['a season on day 0', { seasons: [{ month: 2, day: 0, week: 0 }] }, ProgramError.Date],
    ['a season on weekday 0', { seasons: [{ month: 2, day: 1, weekday: 0, week: 0 }] }, ProgramError.Date],
    ['a season on weekday 8', { seasons: [{ month: 2, day: 1, weekday: 8, week: 0 }] }, ProgramError.Date],
    ['a season before 1970', { seasons: [{ year: 1969, month: 2, day: 1, week: 0 }] }, ProgramError.Date],
    ['a season at 24:00', { seasons: [{ month: 2, day: 1, time: '24:00:00', week: 0 }] }, ProgramError.Date],
    ['a season at minute 60', { seasons: [{ month: 2, day: 1, time: '00:60:00', week: 0 }] }, ProgramError.Date],
    ['a season at second 60', { seasons: [{ month: 2, day: 1, time: '00:00:60', week: 0 }] }, ProgramError.Date],
    ['a season of a week that there is not', { seasons: [{ month: 2, day: 1, week: 2 }] }, ProgramError.Index],
    ['a week of a day that there is not', { weeks: [[0, 0, 0, 0, 0, 0, 2], program.weeks[1]!] }, ProgramError.Index],
    ['an action of a script that there is not', { days: [[['00:00:00', 2]], program.days[1]!] }, ProgramError.Index],
    ['a special day that there is not', { specialDays: [{ month: 1, day: 1, to: 2 }] }, ProgramError.Index],
    ['a special day on 30 February', { specialDays: [{ month: 2, day: 30, to: 0 }] }, ProgramError.Date],
    [
      'a special day on 29 February 2100',
      { specialDays: [{ year: 2100, month: 2, day: 29, to: 0 }] },
      ProgramError.Date,
    ],
    ['a special day on day 32', { specialDays: [{ day: 32, to: 0 }] }, ProgramError.Date],
    ['a day without an action', { days: [[], program.days[1]!] }, ProgramError.Actions],
    [
      'actions out of order',
      {
        days: [
          [
            ['06:00:00', 0],
            ['05:00:00', 0],
          ],
          program.days[1]!,
        ],
      },
      ProgramError.Actions,
    ],
    [
      'two actions at once',
      {
        days: [
          [
            ['06:00:00', 0],
            ['06:00:00', 1],
          ],
          program.days[1]!,
        ],
      },
      ProgramError.Actions,
    ],
    ['an action at 24:00', { days: [[['24:00:00', 0]], program.days[1]!] }, ProgramError.Date],
    ['what follows dynamic tariffs', { fallback: 3 }, ProgramError.Index],
  ])('is refused: %s', (_, change, error) => {
    core.useProgram(program);
    expect(core.useProgramBytes(programBlock({ ...program, ...change }))).toBe(error);
    expect(core.exports.testProgramInUse()).toBe(0);
  });

  it.each<[string, Partial<BlockProgram>]>([
    ['a season on 29 February 2028', { seasons: [{ year: 2028, month: 2, day: 29, week: 0 }] }],
    ['a season on the last of February', { seasons: [{ month: 2, day: lastDay, week: 0 }] }],
    ['a special day on each 29 February', { specialDays: [{ month: 2, day: 29, to: 0 }] }],
    ['a special day on any day', { specialDays: [{ to: 0 }] }],
    ['no calendar at all', { seasons: [], weeks: [], days: [], specialDays: [], scripts: [] }],
    ['a name of 23 bytes', { name: 'x'.repeat(23) }],
  ])('may have %s', (_, change) => {
    expect(core.useProgramBytes(programBlock({ ...program, ...change }))).toBe(ProgramError.None);
  });

  it('is none where it is of another kind or version', () => {
    const other = (field: ProgramField, value: number) => {
      const block = programBlock(program);
      block[field] = value;
      return core.useProgramBytes(sealed(block));
    };
    expect(other(ProgramField.Magic, 0)).toBe(ProgramError.Absent);
    expect(other(ProgramField.Version, ProgramFormat.Version + 1)).toBe(ProgramError.Absent);
    expect(other(ProgramField.Zone, 2)).toBe(ProgramError.Zone);
    expect(other(ProgramField.Length, 0)).toBe(ProgramError.Damaged);
  });
});

// Bytes before, between and behind the buffers, which no program may change.
function watched(of: TariffCore): () => number[] {
  const memory = new Uint8Array(of.exports.memory.buffer);
  const own = [of.exports.toolProgramBuffer(), of.exports.toolDynamicBuffer()];
  const sizes = [2048, 1172];
  return () => {
    const rest = Uint8Array.from(memory);
    for (const [i, begin] of own.entries()) rest.fill(0, begin, begin + sizes[i]!);
    return [...rest.subarray(0, of.exports.testScratch())];
  };
}

/** Everything is asked, at instants near and far. */
function askAll(of: TariffCore, random: SeededRandom): void {
  const { exports } = of;
  for (let i = 0; i < 12; i++) {
    const far = [0n, -1n, 2n ** 32n, 2n ** 40n, 2n ** 63n - 1n, -(2n ** 63n)][random.below(60)];
    const t = far ?? BigInt(random.below(2 ** 32));
    const minutes = random.below(61);
    exports.toolZoneOffset(t);
    exports.toolZoneSummer(t);
    exports.testZoneEffective(t);
    exports.toolTariffAt(t);
    const next = exports.testTariffNextAction(t);
    const transition = exports.testZoneNextTransition(t);
    if (far !== undefined) continue;
    expect(next > t && next <= t + 90_000n).toBe(true);
    expect(transition > t).toBe(true);
    expect(exports.testPeriodBegin(t, minutes) <= t).toBe(true);
    expect(exports.testPeriodEnd(t, minutes) > t).toBe(true);
    const until = t + 3n * 86_400n;
    const found = exports.toolTariffNext(t, until);
    expect(found === 0n || (found > t && found <= until)).toBe(true);
  }
}

/** Changes a few bytes, and makes the CRC-32 right. */
function mutated(block: Uint8Array, random: SeededRandom): Uint8Array {
  const copy = Uint8Array.from(block);
  for (let i = 1 + random.below(4); i > 0; i--) {
    const place = random.below(3) === 0 ? random.below(64) : random.below(copy.length - 4);
    copy[place] = random.below(3) === 0 ? [0, 1, 0x7f, 0x80, 0xfd, 0xfe, 0xff][random.below(7)]! : random.below(256);
  }
  return sealed(copy);
}

/** Random bytes that begin as a program does, with the right length and CRC-32. */
function noise(random: SeededRandom): Uint8Array {
  const block = random.bytes(68 + random.below(1981));
  const view = new DataView(block.buffer);
  view.setUint32(ProgramField.Magic, ProgramFormat.Magic, true);
  view.setUint16(ProgramField.Version, ProgramFormat.Version, true);
  view.setUint16(ProgramField.Length, block.length, true);
  for (let field: number = ProgramField.Seasons; field <= ProgramField.Scripts; field++)
    block[field] = random.below(14);
  block[ProgramField.Name] = random.below(24);
  block[ProgramField.Zone] = random.below(2);
  block[ProgramField.Transitions] = random.below(65);
  return sealed(block);
}

describe('random bytes', () => {
  it('never make the core trap, hang, or write anywhere else', { timeout: 120_000 }, () => {
    const random = seededRandom('random tariff programs');
    const fresh = new TariffCore(module);
    const rest = watched(fresh);
    const before = rest();
    let used = 0;
    let refused = 0;
    for (let i = 0; i < 1500; i++) {
      const drawn = i % 10 === 0 ? undefined : drawCalendar(randomFrom(random.below(2 ** 32)), new Set());
      const block = drawn === undefined ? noise(random) : mutated(programBlock(drawn.program), random);
      if (fresh.useProgramBytes(block) === ProgramError.None) used++;
      else refused++;
      if (drawn?.dynamic !== undefined) fresh.useDynamicBytes(mutated(dynamicBlock(drawn.dynamic), random));
      askAll(fresh, random);
    }
    expect(used).toBeGreaterThan(100);
    expect(refused).toBeGreaterThan(100);
    expect(rest()).toEqual(before);
  });

  it('mean the same whatever is behind them', { timeout: 120_000 }, () => {
    const random = seededRandom('what is behind tariff programs');
    const behind = [0, 0xff].map((byte) => {
      const other = new TariffCore(module);
      const { memory, toolProgramBuffer, toolDynamicBuffer } = other.exports;
      return (block: Uint8Array, at: number) => {
        const bytes = new Uint8Array(memory.buffer);
        bytes.fill(byte, toolDynamicBuffer(), toolDynamicBuffer() + 1172);
        bytes.fill(byte, toolProgramBuffer(), toolProgramBuffer() + 2048);
        const error = other.useProgramBytes(block);
        return [error, other.tariff(at), other.offset(at), other.nextAction(at), other.nextTransition(at)];
      };
    });
    for (let i = 0; i < 500; i++) {
      const { program: drawn } = drawCalendar(randomFrom(random.below(2 ** 32)), new Set());
      const block = i % 2 === 0 ? noise(random) : mutated(programBlock(drawn), random);
      const at = random.below(2 ** 32);
      expect(behind[0]!(block, at)).toEqual(behind[1]!(block, at));
    }
  });
});
