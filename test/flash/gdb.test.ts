// gdb itself, from Debian, against QEMU's erased boards: what it loads runs, and what does not hold is found.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { Message } from '../../as/abi/codes.ts';
import { type BuildReport, buildFirmware, type Emulator, loadBoard } from '../../host/build/index.ts';
import { flashEmulator } from '../../host/flash/flash-emulator.ts';
import { LinkEnd } from '../../host/link/link-end.ts';
import type { Info } from '../../host/link/messages.ts';
import { connectSocket } from '../../host/link/socket-transport.ts';

const folder = mkdtempSync(join(tmpdir(), 'mt-'));
afterAll(() => rmSync(folder, { recursive: true }));

let emulator: Emulator | undefined;
let end: LinkEnd | undefined;
afterEach(async () => {
  await end?.stop();
  await emulator?.kill();
  emulator = undefined;
});

const imageOf = ({ board, elfPath, binPath }: BuildReport) => ({
  ...{ elfPath, binPath: binPath! },
  origin: loadBoard(board).memory.flash.origin,
});

describe.each(['netduinoplus2', 'riscv-virt'])('%s', (name) => {
  it('runs what was loaded into its erased flash', { timeout: 120_000 }, async () => {
    const board = loadBoard(name);
    const report = await buildFirmware({ board: name });
    const [link, storageFile] = [join(folder, `${name}.link`), join(folder, `${name}.storage`)];
    const steps: string[] = [];
    emulator = await flashEmulator(board, imageOf(report), {
      link,
      storageFile,
      onProgress: (text) => steps.push(text),
    });
    expect(steps.length).toBeGreaterThan(0);
    end = new LinkEnd({ transport: connectSocket({ path: link }) });
    const told = new Promise<Info>((resolve) => {
      end!.on('message', ({ message }) => message.type === Message.Info && resolve(message));
    });
    end.start();
    const info = await told;
    expect(info).toMatchObject({ board: name, meterId: '' });
    expect(Buffer.from(info.imageSha256).toString('hex')).toBe(report.imageSha256);
  });
});
