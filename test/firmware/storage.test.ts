// Storage of the emulated board: what was reported as written is in the file for good, however the power goes.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { beforeAll, expect, it } from 'vitest';
import { loadBoard } from '../../host/build/index.ts';
import { boardName, buildEchoFirmware, type EchoMeter, hex } from './echo-meter.ts';
import { randomNumbers } from './random.ts';
import { useEchoMeters } from './use-echo-meters.ts';

const { storage: part } = loadBoard(boardName);
if (part.driver !== 'at24c') throw new Error(`${boardName} has no EEPROM`);
const storage = part;
const meters = useEchoMeters();
let meter: EchoMeter | undefined;
let folder = '';

const largeBoard = `${boardName}-4`;

beforeAll(async () => {
  await buildEchoFirmware();
  await buildEchoFirmware(largeBoard);
}, 60_000);

async function start(): Promise<EchoMeter> {
  meter = await meters.start(folder);
  return meter;
}

const file = () => readFileSync(join(folder, 'storage'));

/** Reads through the meter; at most 100 bytes. */
async function read(offset: number, length: number): Promise<Buffer> {
  const answer = Buffer.from(await meter!.line.ask(`R${hex(offset, 8)}${hex(length, 4)}`), 'hex');
  expect(answer.readUInt32LE(0)).toBe(offset);
  return answer.subarray(4);
}

const writeCommand = (offset: number, bytes: Buffer) => `W${hex(offset, 8)}${bytes.toString('hex')}`;

/** Writes through the meter and returns the result: 0 written, 1 failed. */
async function write(offset: number, bytes: Buffer): Promise<number> {
  const answer = Buffer.from(await meter!.line.ask(writeCommand(offset, bytes)), 'hex');
  expect(answer.readUInt32LE(0)).toBe(offset);
  return answer[4]!;
}

it('starts blank, keeps what is written and changes nothing else', async () => {
  folder = meters.newFolder();
  await start();
  expect(await read(0, 16)).toEqual(Buffer.alloc(16, 0xff));
  const expected = Buffer.alloc(storage.bytes, 0xff);
  for (const [offset, length] of [
    [0, 1],
    [storage.pageBytes - 1, 2],
    [5, 3 * storage.pageBytes],
    [storage.bytes - 100, 100],
  ] as const) {
    const bytes = Buffer.from(Array.from({ length }, (_, i) => (i * 31 + offset + 1) & 255));
    expect(await write(offset, bytes)).toBe(0);
    bytes.copy(expected, offset);
    expect(await read(offset, length)).toEqual(bytes);
    expect(file()).toEqual(expected);
  }
  await meters.stop();
  await start();
  expect(await read(storage.bytes - 100, 100)).toEqual(expected.subarray(storage.bytes - 100));
});

it('answers without bytes, or with a failure, past its end', async () => {
  folder = meters.newFolder();
  await start();
  expect(await read(storage.bytes - 4, 8)).toHaveLength(0);
  expect(await read(0xffff, 1)).toHaveLength(0);
  expect(await read(0xffff_ffff, 1)).toHaveLength(0);
  expect(await write(storage.bytes - 4, Buffer.alloc(8))).toBe(1);
  expect(file()).toEqual(Buffer.alloc(storage.bytes, 0xff));
});

it('is one where it has several parts', async () => {
  folder = meters.newFolder();
  const { bytes } = loadBoard(largeBoard).storage;
  const partBytes = 0x10000;
  expect(bytes).toBe(8 * partBytes);
  meter = await meters.start(folder, { board: largeBoard });
  const expected = Buffer.alloc(bytes, 0xff);
  for (let edge = partBytes; edge <= bytes; edge += partBytes) {
    // Across the edge, where there is a part behind it.
    const offset = edge - (edge < bytes ? 50 : 100);
    const written = Buffer.from(Array.from({ length: 100 }, (_, i) => (i * 7 + offset / partBytes) & 255));
    expect(await write(offset, written)).toBe(0);
    written.copy(expected, offset);
    expect(await read(offset, 100)).toEqual(written);
  }
  expect(await read(bytes - 4, 8)).toHaveLength(0);
  expect(await write(bytes - 4, Buffer.alloc(8))).toBe(1);
  expect(file().equals(expected)).toBe(true);
  await meters.stop();
  meter = await meters.start(folder, { board: largeBoard });
  expect(await read(3 * partBytes - 50, 100)).toEqual(expected.subarray(3 * partBytes - 50, 3 * partBytes + 50));
});

it('holds a prefix of what was to be written when the power goes, and all of what was reported', async () => {
  folder = meters.newFolder();
  const random = randomNumbers();
  const length = 3 * storage.pageBytes;
  const slots = [0x200, 0x280];
  const last = slots.map(() => Buffer.alloc(length, 0xff));
  let torn = 0;
  let whole = 0;
  let none = 0;
  // Up to here a write takes some 5 ms: the cuts fall before, into and after it.
  for (let round = 0; round < 60 && (round < 12 || torn === 0); round++) {
    const { line, emulator } = await start();
    const which = round % 2;
    const offset = slots[which]!;
    const first = Buffer.alloc(length, round + 1);
    expect(await write(offset, first)).toBe(0);
    last[which] = first;
    const second = Buffer.alloc(length, 0x80 + round);
    line.send(writeCommand(offset, second));
    await delay(random(12));
    await emulator.kill();
    const there = file().subarray(offset, offset + length);
    const other = slots[1 - which]!;
    expect(file().subarray(other, other + length)).toEqual(last[1 - which]);
    let prefix = 0;
    while (prefix < length && there[prefix] === second[0]) prefix++;
    expect(there.subarray(prefix)).toEqual(first.subarray(prefix));
    expect(prefix % storage.pageBytes).toBe(0);
    if (prefix === length) whole++;
    else if (prefix > 0) torn++;
    else none++;
    last[which] = Buffer.from(there);
    line.close();
  }
  console.log(`power cuts: ${none} before, ${torn} within, ${whole} after the write`);
  expect(torn).toBeGreaterThan(0);
});

it('is refused by the emulator when it is of the wrong size', async () => {
  folder = meters.newFolder();
  writeFileSync(join(folder, 'storage'), Buffer.alloc(100));
  await expect(start()).rejects.toThrow(/has 100 bytes/);
});
