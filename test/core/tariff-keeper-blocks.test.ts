// Tariff programs and dynamic tariffs over the link: taken whole or not at all, wherever power fails, and told in the logbook
// before they take effect.
import { crc32 } from 'node:zlib';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  Block,
  CommandResult,
  Message,
  MeterEvent,
  ProgramError,
  ProgramField,
  StorageMap,
} from '../../as/abi/codes.ts';
import { encodeDynamic } from '../../host/tariff/dynamic-block.ts';
import type { DynamicTariffs, TariffProgram } from '../../host/tariff/model.ts';
import { encodeProgram } from '../../host/tariff/program-block.ts';
import { buildCore } from '../../scripts/build-core.mjs';
import { seededRandom } from './random.ts';
import { SimulatedMeter, second } from './simulated-meter.ts';
import {
  berlin,
  command,
  day,
  hour,
  runningMeter,
  send,
  sendDynamic,
  sendProgram,
  tariffMeter,
  utcNsOf,
} from './tariff-meter.ts';

beforeAll(async () => {
  await buildCore();
});

const startUtcNs = utcNsOf('2026-07-01T12:02:00Z');
const always = (tariff: number, more: Partial<TariffProgram> = {}): TariffProgram => ({
  name: `always ${tariff}`,
  zone: 'UTC0',
  defaultTariff: tariff,
  ...more,
});
const prices: DynamicTariffs = {
  entries: [
    { utc: '2026-07-01T12:00:00Z', tariff: 50 },
    { utc: '2026-07-01T13:00:00Z', tariff: 51 },
  ],
  endUtc: '2026-07-02T00:00:00Z',
};

function meter(options: Parameters<typeof runningMeter>[0] = {}): SimulatedMeter {
  const sim = runningMeter({ program: berlin, startUtcNs, ...options });
  sim.run(60);
  return sim;
}
const tariffOf = (sim: SimulatedMeter) => sim.switches.at(-1)?.tariff;
const logged = (sim: SimulatedMeter, ...codes: MeterEvent[]) =>
  sim.events.filter(({ code }) => codes.includes(code)).map(({ code }) => MeterEvent[code]);
const { ProgramStored, ProgramActivated, DynamicStored } = MeterEvent;

async function restart(sim: SimulatedMeter): Promise<void> {
  await sim.meter.stop();
  sim.switches.length = 0;
  sim.meter.start();
  sim.run(120);
}

describe('a program', () => {
  it('of activation 0 takes effect at once, and what it replaces is gone', async () => {
    const sim = meter({ rtc: true });
    expect(sendProgram(sim, always(7)).result).toBe(CommandResult.Done);
    sim.run(1);
    expect(tariffOf(sim)).toBe(7);
    expect(sim.tariff).toMatchObject({ activeName: 'always 7', passiveName: '', tariff: 7 });
    expect(logged(sim, ProgramStored, ProgramActivated)).toEqual(['ProgramStored', 'ProgramActivated']);
    await restart(sim);
    expect(tariffOf(sim)).toBe(7);
    expect(sendProgram(sim, always(8)).result).toBe(CommandResult.Done);
    sim.run(1);
    expect(tariffOf(sim)).toBe(8);
    await restart(sim);
    expect(tariffOf(sim)).toBe(8);
    expect(sim.meter.traps).toBe(0);
  });

  it('with an activation time takes effect then, once, also where power fails meanwhile and after', async () => {
    const sim = meter({ rtc: true });
    const activationUtc = '2026-07-01T13:07:00Z';
    expect(sendProgram(sim, always(7, { activationUtc })).result).toBe(CommandResult.Done);
    sim.run(2);
    expect(tariffOf(sim)).toBe(1);
    expect(sim.tariff).toMatchObject({ activeName: berlin.name, passiveName: 'always 7' });
    await restart(sim);
    expect(sim.tariff).toMatchObject({ activeName: berlin.name, passiveName: 'always 7' });
    sim.run(2 * hour);
    expect(sim.switches.at(-1)).toMatchObject({ tariff: 7, sinceUnixSeconds: Date.parse(activationUtc) / 1000 });
    expect(sim.records.some(({ targetUtcNs }) => targetUtcNs === utcNsOf(activationUtc))).toBe(true);
    await restart(sim);
    sim.run(hour);
    expect(sim.tariff).toMatchObject({ activeName: 'always 7', passiveName: '', tariff: 7 });
    expect(logged(sim, ProgramStored, ProgramActivated)).toEqual(['ProgramStored', 'ProgramActivated']);
  });

  it('whose activation came while the meter was off takes effect as soon as the time is known', async () => {
    const sim = meter();
    sendProgram(sim, always(7, { activationUtc: '2026-07-01T13:07:00Z' }));
    sim.run(day);
    await sim.meter.stop();
    sim.run(day);
    sim.meter.start();
    sim.run(600);
    expect(tariffOf(sim)).toBe(7);
    expect(logged(sim, ProgramActivated)).toHaveLength(1);
  });

  it('replaces a passive one, which is never activated', () => {
    const sim = meter();
    sendProgram(sim, always(7, { activationUtc: '2026-07-01T13:07:00Z' }));
    sendProgram(sim, always(8, { activationUtc: '2026-07-01T14:07:00Z' }));
    sim.run(90 * 60);
    expect(tariffOf(sim)).toBe(1);
    sim.run(90 * 60);
    expect(tariffOf(sim)).toBe(8);
  });

  it('is in the logbook before it is in force', () => {
    const sim = meter();
    const writes: number[] = [];
    const write = sim.storage.write.bind(sim.storage);
    sim.storage.write = (offset, bytes) => {
      writes.push(offset);
      write(offset, bytes);
    };
    sendProgram(sim, always(7));
    const head = writes.lastIndexOf(StorageMap.ProgramB);
    const entry = writes.findIndex((offset) => offset >= StorageMap.Logbook && offset < StorageMap.NetworkLog);
    expect(entry).toBeGreaterThan(-1);
    expect(entry).toBeLessThan(head);
  });
});

describe('dynamic tariffs', () => {
  it('take effect at once, are replaced, and can be taken back', async () => {
    const sim = meter({ rtc: true });
    expect(sendDynamic(sim, prices).result).toBe(CommandResult.Done);
    sim.run(1);
    expect(tariffOf(sim)).toBe(50);
    await restart(sim);
    expect(tariffOf(sim)).toBe(50);
    sendDynamic(sim, { ...prices, entries: [{ utc: '2026-07-01T12:00:00Z', tariff: 60 }] });
    sim.run(1);
    expect(tariffOf(sim)).toBe(60);
    const none = encodeDynamic(prices, 0).subarray(0, 20);
    const view = new DataView(none.buffer, none.byteOffset, none.length);
    view.setUint16(4, 20, true);
    view.setUint16(6, 0, true);
    view.setUint32(16, crc32(none.subarray(0, 16)), true);
    expect(send(sim, Block.Dynamic, none).result).toBe(CommandResult.Done);
    sim.run(1);
    expect(tariffOf(sim)).toBe(1);
    await restart(sim);
    expect(tariffOf(sim)).toBe(1);
    expect(logged(sim, DynamicStored)).toHaveLength(3);
  });
});

describe('a command', () => {
  const bytes = encodeProgram(always(7), 0);

  it('says what is wrong with a block, and what was in force stays so', () => {
    const sim = meter();
    const damaged = bytes.slice();
    damaged[70]! ^= 1;
    expect(send(sim, Block.Program, damaged)).toMatchObject({ result: CommandResult.Damaged });
    const invalid = bytes.slice();
    invalid[ProgramField.Fallback] = 9;
    new DataView(invalid.buffer).setUint32(invalid.length - 4, crc32(invalid.subarray(0, -4)), true);
    expect(send(sim, Block.Program, invalid)).toMatchObject({
      result: CommandResult.Invalid,
      detail: ProgramError.Index,
    });
    expect(send(sim, Block.Dynamic, bytes.subarray(0, 40))).toMatchObject({ result: CommandResult.Damaged });
    sim.run(9 * hour);
    expect(tariffOf(sim)).toBe(2);
    expect(sim.tariff!.activeName).toBe(berlin.name);
    expect(sim.tariff!.letter).toBe('S');
    expect(logged(sim, ProgramStored, ProgramActivated, DynamicStored)).toEqual([]);
  });

  it('needs parts in order, all of them, and the right length', () => {
    const sim = meter();
    const write = (block: number, offset: number, part: Uint8Array) =>
      command(sim, (token) => ({ type: Message.BlockWrite, block, token, offset, part })).result;
    const commit = (block: number, length: number) =>
      command(sim, (token) => ({ type: Message.BlockCommit, block, token, length })).result;
    expect(commit(Block.Program, bytes.length)).toBe(CommandResult.Request);
    expect(write(Block.Program, 10, bytes.subarray(10, 20))).toBe(CommandResult.Request);
    expect(write(Block.Program, 0, bytes.subarray(0, 10))).toBe(CommandResult.Done);
    expect(write(Block.Program, 20, bytes.subarray(20, 30))).toBe(CommandResult.Request);
    expect(write(Block.Dynamic, 10, bytes.subarray(10, 20))).toBe(CommandResult.Request);
    expect(write(Block.Program, 10, bytes.subarray(10))).toBe(CommandResult.Done);
    expect(commit(Block.Program, bytes.length - 1)).toBe(CommandResult.Damaged);
    expect(commit(Block.Program, bytes.length)).toBe(CommandResult.Done);
    expect(commit(Block.Program, bytes.length)).toBe(CommandResult.Request);
  });

  it('takes parts of any size', () => {
    for (const parts of [1, 5, 11, 13]) {
      const sim = meter();
      expect(send(sim, Block.Program, bytes, { parts }).result).toBe(CommandResult.Done);
      sim.run(1);
      expect(tariffOf(sim)).toBe(7);
    }
  });

  it('is refused while another is under way', () => {
    const sim = meter();
    for (const token of [901, 902]) {
      sim.deliver({ type: Message.BlockWrite, block: Block.Program, token, offset: 0, part: bytes.subarray(0, 10) });
    }
    sim.run(1);
    expect(sim.done.filter(({ token }) => token >= 901).map(({ token, result }) => [token, result])).toEqual(
      expect.arrayContaining([[901, CommandResult.Done]]),
    );
    expect(sim.done.filter(({ token }) => token === 902)).toHaveLength(1);
  });

  it('has no effect on a meter without storage for it', () => {
    const sim = new SimulatedMeter({ startUtcNs, buildUnixSeconds: 1_770_000_000 });
    sim.meter.start();
    sim.runUntilSynchronised();
    expect(sendProgram(sim, always(7)).result).toBe(CommandResult.Absent);
    // Nor does it keep such a meter awake.
    let wakes = 0;
    const at = sim.clock.at.bind(sim.clock);
    sim.clock.at = (tick, callback) => {
      wakes++;
      return at(tick, callback);
    };
    sim.run(hour);
    expect(wakes).toBeLessThan(2000);
    expect(sim.tariff).toBeUndefined();
  });
});

it('a stored program that does not hold is known by its status, and the one before is in force', () => {
  const sim = tariffMeter({ program: berlin, startUtcNs });
  const other = encodeProgram(always(7), 2);
  other[60]! ^= 0xff;
  sim.storage.write(StorageMap.ProgramB, other);
  sim.meter.start();
  sim.runUntilSynchronised();
  sim.run(400);
  expect(sim.tariff).toMatchObject({ activeName: berlin.name, tariff: 1, letter: 'I', ptbStatus: 2 });
  // A new one in its place puts it right.
  expect(sendProgram(sim, always(8)).result).toBe(CommandResult.Done);
  sim.run(2);
  expect(sim.tariff).toMatchObject({ activeName: 'always 8', letter: 'S', ptbStatus: 0 });
});

it('a stored program that is misread twice is in force all the same', () => {
  const sim = tariffMeter({ program: berlin, startUtcNs });
  const read = sim.storage.read.bind(sim.storage);
  let misreads = 2;
  sim.storage.read = (offset, length) => {
    const bytes = read(offset, length);
    if (offset === StorageMap.ProgramA && misreads-- > 0) bytes[60]! ^= 0xff;
    return bytes;
  };
  sim.meter.start();
  sim.runUntilSynchronised();
  sim.run(400);
  expect(sim.tariff).toMatchObject({ activeName: berlin.name, tariff: 1, letter: 'S', ptbStatus: 0 });
});

describe('a block of which a write fails', () => {
  const program = { ...berlin, name: 'another', defaultTariff: 70 };
  const list = { ...prices, entries: [{ utc: '2026-07-01T12:00:00Z', tariff: 60 }] };
  const [ofProgram, ofList] = [
    { block: Block.Program, bytes: encodeProgram(program, 0) },
    { block: Block.Dynamic, bytes: encodeDynamic(list, 0) },
  ];
  const cases = [
    { what: 'the first list', ...ofList, before: { program: berlin }, tariffs: [1, 2] },
    { what: 'the first program', ...ofProgram, before: { dynamic: prices }, tariffs: [50, 51, 0] },
    { what: 'another list', ...ofList, before: { program: berlin, dynamic: prices }, tariffs: [50, 51, 2] },
    { what: 'another program', ...ofProgram, before: { program: always(7) }, tariffs: [7] },
  ].flatMap((one) => [
    { ...one, write: 'CRC-32', bytesWritten: 4 },
    { ...one, write: 'head', bytesWritten: 12 },
  ]);

  it.each(cases)('$what, its $write: no tariff is told of it, and it is taken once the storage writes', async (one) => {
    const { block, bytes, before, tariffs, bytesWritten } = one;
    const sim = tariffMeter({ startUtcNs, rtc: true, ...before });
    sim.meter.start();
    sim.runUntilSynchronised();
    sim.run(60);
    const inForce = () => {
      const { activeName, passiveName, offsetMinutes, programCrc, dynamicCrc } = sim.tariff!;
      return { activeName, passiveName, offsetMinutes, programCrc, dynamicCrc };
    };
    const told = inForce();
    const write = sim.storage.write.bind(sim.storage);
    let failures = 0;
    sim.storage.write = (offset, part) => {
      const ofBlocks = offset >= StorageMap.DynamicA && offset < StorageMap.Logbook;
      if (!ofBlocks || part.length !== bytesWritten) return write(offset, part);
      failures++;
      throw new Error('worn out');
    };
    expect(send(sim, block, bytes).result).toBe(CommandResult.Storage);
    expect(failures).toBe(1);
    sim.storage.write = write;
    sim.run(13 * hour);
    expect(sim.switches.map(({ tariff }) => tariff)).toEqual(tariffs);
    expect(inForce()).toEqual(told);
    expect(send(sim, block, bytes).result).toBe(CommandResult.Done);
    sim.run(2);
    const taken = inForce();
    expect(taken).not.toEqual(told);
    await restart(sim);
    expect(inForce()).toEqual(taken);
  });
});

it('power that fails at any write leaves the old program or the new one', async () => {
  const random = seededRandom('block power cuts');
  const programs = [always(7), { ...berlin, name: 'longer', defaultTariff: 8, activationUtc: '2026-07-01T12:30:00Z' }];
  for (let round = 0; round < 12; round++) {
    const sim = meter({ rtc: true });
    const program = programs[round % 2]!;
    let left = random.below(12);
    const write = sim.storage.write.bind(sim.storage);
    let cut = false;
    sim.storage.write = (offset, bytes) => {
      if (left-- > 0 || cut) return cut ? undefined : write(offset, bytes);
      cut = true;
      // A part of it is written, and the page may be garbage behind it.
      const whole = random.below(bytes.length + 1);
      write(offset, bytes.subarray(0, whole));
      if (whole < bytes.length) write(offset + whole, random.bytes(1));
      sim.meter.powerCut();
      return undefined;
    };
    let result: CommandResult | undefined;
    try {
      result = sendProgram(sim, program).result;
    } catch (error) {
      if (!cut) throw error;
    }
    sim.run(10);
    sim.storage.write = write;
    if (sim.meter.running) sim.meter.powerCut();
    await sim.meter.stop();
    sim.switches.length = 0;
    sim.meter.start();
    sim.run(hour);
    expect([berlin.name, program.name]).toContain(sim.tariff!.activeName);
    if (result === CommandResult.Done) expect(sim.tariff!.activeName).toBe(program.name);
    expect(sim.meter.traps).toBe(0);
    expect(sendProgram(sim, always(9)).result).toBe(CommandResult.Done);
    sim.run(2);
    expect(tariffOf(sim)).toBe(9);
    expect(sim.tariff!.letter).toBe('S');
  }
});

it('takes effect also while the logbook cannot take its entry', () => {
  const sim = meter();
  const write = sim.storage.write.bind(sim.storage);
  sim.storage.write = (offset, bytes) => {
    if (offset >= StorageMap.Logbook && offset < StorageMap.NetworkLog) throw new Error('worn out');
    return write(offset, bytes);
  };
  expect(sendProgram(sim, always(7)).result).toBe(CommandResult.Done);
  sim.run(2);
  expect(tariffOf(sim)).toBe(7);
});

it('a storage that fails for a while keeps neither from loading', () => {
  const sim = tariffMeter({ program: berlin, startUtcNs });
  const read = sim.storage.read.bind(sim.storage);
  let failing = true;
  sim.storage.read = (offset, length) => {
    if (failing && offset >= StorageMap.DynamicA && offset < StorageMap.Logbook) throw new Error('no storage');
    return read(offset, length);
  };
  sim.meter.start();
  sim.runUntilSynchronised();
  sim.run(60);
  expect(sim.switches).toEqual([]);
  failing = false;
  sim.run(120);
  expect(tariffOf(sim)).toBe(1);
  expect(sim.utcNs).toBeGreaterThan(startUtcNs + second);
});
