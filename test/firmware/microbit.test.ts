// What is particular to the micro:bit, through the echo core: random bytes, addresses that its processor faults on, and
// storage in flash that the emulator has in its memory only. What all boards have, boards.test.ts looks at.
import { cpSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, it } from 'vitest';
import { Capability, ResetCause, StartField } from '../../as/abi/codes.ts';
import { loadBoard, startEmulator } from '../../host/build/index.ts';
import { decodeFlashImage, encodeFlashImage } from '../../host/provision/flash-store-image.ts';
import { buildEchoFirmware, hex, type Line } from './echo-meter.ts';
import { randomNumbers } from './random.ts';
import { useEchoMeters } from './use-echo-meters.ts';

const board = loadBoard('microbit');
const tickHz = board.tickHz!;
const meters = useEchoMeters();
const start = (folder?: string) => meters.start(folder, { board });

beforeAll(async () => {
  await buildEchoFirmware('microbit');
});

async function startPayload(line: Line): Promise<Buffer> {
  const parts = [];
  for (const offset of [0, 64, 128]) parts.push(await line.ask(`I${hex(offset, 4)}`));
  return Buffer.from(parts.join(''), 'hex');
}

const entropyOf = (payload: Buffer) => payload.subarray(StartField.Entropy, StartField.Entropy + 32);

it('tells the core what it has, with other random bytes at each start', async () => {
  const payloads = [];
  for (let i = 0; i < 2; i++) {
    const { line } = await start();
    payloads.push(await startPayload(line));
    await meters.stop();
  }
  for (const payload of payloads) {
    expect(payload[StartField.ResetCause]).toBe(ResetCause.PowerOn);
    expect(payload[StartField.Capabilities]).toBe(Capability.Storage);
    expect(payload.readUInt32LE(StartField.TickHz)).toBe(tickHz);
    expect(payload.readUInt32LE(StartField.StorageBytes)).toBe(board.storage.bytes);
    // All of 32 bytes the same: once in 2^248.
    expect(new Set(entropyOf(payload)).size).toBeGreaterThan(1);
  }
  expect(entropyOf(payloads[0]!)).not.toEqual(entropyOf(payloads[1]!));
});

it('loads and stores at any address, which the processor itself does not', async () => {
  const { line } = await start();
  expect(await line.ask('U')).toBe('0000');
});

it('keeps its storage over a restart, a power cut and an end, in a file that only its owner can read', async () => {
  const folder = meters.newFolder();
  const file = join(folder, 'storage');
  const bytes = Buffer.from(Array.from({ length: 100 }, (_, i) => (i * 31 + 7) & 0xff));
  const read = async (line: Line) => Buffer.from((await line.ask(`R${hex(1000, 8)}0064`)).slice(8), 'hex');
  let { line, emulator } = await start(folder);
  expect(await read(line)).toEqual(Buffer.alloc(100, 0xff));
  expect(await line.ask(`W${hex(1000, 8)}${bytes.toString('hex')}`)).toBe('e803000000');
  expect(readFileSync(file).includes(bytes.subarray(24, 88))).toBe(false);
  line.send('Xu');
  expect((await line.receive()).text).toBe('!');
  expect(await read(line)).toEqual(bytes);
  await meters.stop();
  expect(readFileSync(file).includes(bytes.subarray(24, 88))).toBe(true);

  ({ line, emulator } = await start(folder));
  expect(await read(line)).toEqual(bytes);
  expect(await line.ask(`W${hex(1000, 8)}00`)).toBe('e803000000');
  await emulator.stop();
  line.close();

  ({ line } = await start(folder));
  bytes[0] = 0;
  expect(await read(line)).toEqual(bytes);
  expect(statSync(file).mode & 0o777).toBe(0o600);
});

it('reads what the host has put into its flash, and the host reads what it has written', async () => {
  if (board.storage.driver !== 'flash_store') throw new Error('the storage is no flash');
  const random = randomNumbers();
  const folder = meters.newFolder();
  const file = join(folder, 'storage');
  const contents = Buffer.from(Array.from({ length: board.storage.bytes }, () => random(256)));
  const image = encodeFlashImage(contents, board.storage);
  writeFileSync(file, image);
  const { line, emulator } = await start(folder);
  for (let offset = 0; offset < contents.length; offset += 100) {
    const length = Math.min(100, contents.length - offset);
    const answer = await line.ask(`R${hex(offset, 8)}${hex(length, 4)}`);
    expect(answer.slice(8)).toBe(contents.toString('hex', offset, offset + length));
  }
  // More than all units hold, so that each is erased once at least.
  for (let write = 0; write < 30 * board.storage.units; write++) {
    const data = Buffer.from(Array.from({ length: 1 + random(100) }, () => random(256)));
    const offset = random(contents.length - data.length + 1);
    expect((await line.ask(`W${hex(offset, 8)}${data.toString('hex')}`)).slice(8)).toBe('00');
    data.copy(contents, offset);
  }
  await emulator.kill();
  line.close();
  const after = readFileSync(file);
  expect(decodeFlashImage(after)).toEqual({ contents, geometry: decodeFlashImage(image).geometry });
  for (let unit = 0; unit < board.storage.units; unit++) {
    expect(after.readUInt32LE(unit * board.storage.unitBytes + 8)).toBeGreaterThan(1);
  }
});

it('has its storage where no firmware is put, or is refused', () => {
  const root = meters.newFolder();
  cpSync('boards', join(root, 'boards'), { recursive: true });
  const file = join(root, 'boards', 'microbit', 'board.json');
  expect(loadBoard('microbit', root).storage).toEqual(board.storage);
  writeFileSync(file, readFileSync(file, 'utf8').replace('"base": "0x34000"', '"base": "0x33c00"'));
  expect(() => loadBoard('microbit', root)).toThrow('its storage lies in memory.flash');
});

it('does not touch a storage file when the emulator does not start', async () => {
  const folder = meters.newFolder();
  const { elfPath } = await buildEchoFirmware('microbit');
  const storageFile = join(folder, 'storage');
  const started = startEmulator({ board, image: join(elfPath, 'none'), link: join(folder, 'l'), storageFile });
  await expect(started).rejects.toMatchObject({ code: 'emulator-failed' });
  expect(readFileSync(storageFile).every((byte) => byte === 0xff)).toBe(true);
});
