// stm32flash itself, from Debian, against a chip in its boot loader on a pseudo terminal.
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { flashMethod } from '../../host/build/flash-methods.ts';
import { flashBoard } from '../../host/flash/flash.ts';
import { type An3155Device, type DeviceFaults, startAn3155Device } from './an3155-device.ts';

// A pseudo terminal has no parity.
const method = flashMethod.parse({ method: 'stm32flash', mode: '8n1' });
const folder = mkdtempSync(join(tmpdir(), 'mt-'));
const image = { elfPath: '', binPath: join(folder, 'image.bin'), origin: 0x08000000 };
const bytes = randomBytes(20_003);
writeFileSync(image.binPath, bytes);

let device: An3155Device;
afterEach(() => device?.stop());
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));

async function flash(faults?: DeviceFaults): Promise<string[]> {
  device = await startAn3155Device(faults);
  const progress: string[] = [];
  const target = { port: device.port, serial: undefined, what: device.port };
  await flashBoard(method, target, image, (text) => progress.push(text));
  return progress;
}

it('writes the image over what was there, verifies it, tells how far it is and starts it', async () => {
  const progress = await flash();
  expect(device.flash.subarray(0, bytes.length).equals(bytes)).toBe(true);
  expect(device.startedAt()).toBe(0x08000000);
  const percents = progress.flatMap((text) => /, (\d+) %$/.exec(text)?.[1] ?? []).map(Number);
  expect(percents.length).toBeGreaterThan(10);
  expect(percents).toEqual([...percents].sort((a, b) => a - b));
  expect(percents.at(-1)).toBe(100);
});

it('a bit that cannot be programmed ends it, and nothing is started', async () => {
  bytes[12_345] = bytes[12_345]! & 0xfe;
  writeFileSync(image.binPath, bytes);
  await expect(flash({ stuckAt: 12_345 })).rejects.toMatchObject({
    code: 'flash-failed',
    message: expect.stringMatching(/without firmware until it is flashed again:\n[\s\S]*0x08003039/),
  });
  expect(device.startedAt()).toBeUndefined();
});

it('a board that is unplugged in the midst ends it with a clear error, and is flashed again', async () => {
  await expect(flash({ silentAfterWrites: 20 })).rejects.toMatchObject({ code: 'flash-failed' });
  expect(device.startedAt()).toBeUndefined();
  await device.stop();
  await flash();
  expect(device.flash.subarray(0, bytes.length).equals(bytes)).toBe(true);
});

it('a port that is not there is named', async () => {
  const target = { port: join(folder, 'none'), serial: undefined, what: 'none' };
  await expect(flashBoard(method, target, image)).rejects.toThrow(/none/);
});
