// The SC18IM700 that boards without emulated I2C have their storage behind (NXP, SC18IM700 Rev. 02; 7.1).
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { EmulatedBridge } from '../../host/build/emulated-bridge.ts';
import { until } from '../../host/setup/until.ts';

const part = 0x50;
const [write, read] = [part << 1, (part << 1) | 1];
const [S, P, R, W] = [...Buffer.from('SPRW')] as [number, number, number, number];
const done = 0xf0;
const noAcknowledge = 0xf1;
const askStatus = [R, 0x0a, P];

let folder: string;
let file: string;
let bridge: EmulatedBridge;
let socket: Socket;
let received: Buffer;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'metertime-'));
  file = join(folder, 'storage');
  writeFileSync(file, Buffer.alloc(65_536, 0xff));
  bridge = await EmulatedBridge.open(file, { address: part, bytes: 65_536, pageBytes: 8 });
  received = Buffer.alloc(0);
  socket = connect(bridge.path);
  socket.on('data', (chunk) => {
    received = Buffer.concat([received, chunk]);
  });
  await answer(2);
});
afterEach(() => {
  socket.destroy();
  bridge.close();
  rmSync(folder, { recursive: true, force: true });
});

async function answer(length: number): Promise<number[]> {
  await until(`${length} bytes of the bridge`, () => received.length >= length, { timeoutMs: 5_000, intervalMs: 1 });
  const bytes = [...received];
  received = Buffer.alloc(0);
  return bytes;
}

function send(...bytes: number[]): void {
  socket.write(Buffer.from(bytes));
}

it('writes to the file before it says so, and reads after a repeated start', async () => {
  send(S, write, 4, 0x12, 0x08, 7, P, P, ...askStatus);
  expect(await answer(1)).toEqual([done]);
  expect(readFileSync(file).subarray(0x1207, 0x120b)).toEqual(Buffer.of(0xff, 7, P, 0xff));
  send(S, write, 2, 0x12, 0x07, S, read, 4, P);
  expect(await answer(4)).toEqual([0xff, 7, P, 0xff]);
});

it('wraps a write at the end of its page', async () => {
  send(S, write, 6, 0, 0x0e, 1, 2, 3, 4, P, ...askStatus);
  expect(await answer(1)).toEqual([done]);
  expect(readFileSync(file).subarray(0, 20).toString('hex')).toBe(`${'ff'.repeat(8)}0304${'ff'.repeat(4)}0102ffffffff`);
});

it('writes nothing of a message that is longer than its FIFO, or for a part that is not there', async () => {
  send(S, write, 13, 0, 0, ...Buffer.alloc(11), P, ...askStatus);
  expect(await answer(1)).toEqual([noAcknowledge]);
  send(S, write + 2, 3, 0, 0, 1, P, ...askStatus);
  expect(await answer(1)).toEqual([noAcknowledge]);
  send(S, write, 12, 0, 0, ...Buffer.alloc(10), P, ...askStatus);
  expect(await answer(1)).toEqual([done]);
  expect(readFileSync(file).every((byte, at) => byte === (at < 8 ? 0 : 0xff))).toBe(true);
});

it('keeps its registers, tells one before the message ends, and has them anew after power-on', async () => {
  send(W, 0x00, 0x30, 0x01, P, P, R, 0x00);
  expect(await answer(1)).toEqual([0x30]);
  send(0x01, P);
  expect(await answer(1)).toEqual([P]);
  socket.destroy();
  socket = connect(bridge.path);
  socket.on('data', (chunk) => {
    received = Buffer.concat([received, chunk]);
  });
  expect(Buffer.from(await answer(2)).toString()).toBe('OK');
  send(R, 0x00, P);
  expect(await answer(1)).toEqual([0xf0]);
});

it('forgets a message that pauses, and writes nothing of it', async () => {
  send(S, write, 12, 0, 0, 1);
  // The first are taken for the message's own; the pause before the second is longer than the bridge waits.
  await until(
    'an answer after a pause',
    () => {
      if (received.length === 0) send(...askStatus);
      return received.length > 0;
    },
    { timeoutMs: 10_000, intervalMs: 700 },
  );
  expect(await answer(1)).toEqual([done]);
  expect(readFileSync(file).every((byte) => byte === 0xff)).toBe(true);
});
