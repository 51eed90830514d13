// The product's own core on the emulated board: it reads its settings and clock, replaces its seed, opens its link and
// says what it is; again after each power cut.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { Capability, Message, MeterEvent, ResetCause, StorageMap } from '../../as/abi/codes.ts';
import { type Board, type BuildReport, buildFirmware, loadBoard, startEmulator } from '../../host/build/index.ts';
import { LinkEnd } from '../../host/link/link-end.ts';
import type { Info, MeterEventMessage, MeterMessage } from '../../host/link/messages.ts';
import { connectSocket } from '../../host/link/socket-transport.ts';
import { settingsDefaults } from '../../host/provision/settings-block.ts';
import { provisionStorage } from '../../host/provision/storage-file.ts';
import { boardName, temporaryFolder } from './echo-meter.ts';

const temporary = temporaryFolder();
afterAll(() => temporary.remove());

const storageOf = ({ name }: Board) => join(temporary.path, `storage-${name}`);

interface Seen {
  readonly info: Info;
  readonly started: MeterEventMessage;
  readonly stackBytes: number;
}

/** Starts the meter, waits for what it says about itself and its start, and cuts its power. */
async function runOnce(board: Board, report: BuildReport): Promise<Seen> {
  const link = join(temporary.path, 'link');
  const emulator = await startEmulator({ board, image: report.elfPath, link, storageFile: storageOf(board) });
  const end = new LinkEnd({ transport: connectSocket({ path: link }) });
  const messages: MeterMessage[] = [];
  end.on('message', ({ message }) => messages.push(message));
  end.start();
  try {
    const find = () => ({
      info: messages.find((message): message is Info => message.type === Message.Info),
      started: messages.find(
        (message): message is MeterEventMessage =>
          message.type === Message.Event && message.code === MeterEvent.Started,
      ),
    });
    await expect.poll(find, { timeout: 20_000 }).toEqual({ info: expect.anything(), started: expect.anything() });
    const { usedBytes } = await emulator.readStack();
    return { info: find().info!, started: find().started!, stackBytes: usedBytes };
  } finally {
    await end.stop();
    await emulator.kill();
  }
}

const seeds = (board: Board) => readFileSync(storageOf(board)).toString('hex', StorageMap.SeedA, StorageMap.StateA);

it.each([boardName, `${boardName}-4`])(
  '%s says what it is, with a new seed at each start',
  { timeout: 120_000 },
  async (name) => {
    const board = loadBoard(name);
    const report = await buildFirmware({ board: name });
    const servers = [{ host: 'time.example', port: 4460 }];
    provisionStorage(storageOf(board), { id: 'meter-1', servers, ...settingsDefaults }, { bytes: board.storage.bytes });
    const used = new Set([seeds(board)]);
    for (let starts = 1; starts <= 2; starts++) {
      const { info, started, stackBytes } = await runOnce(board, report);
      expect(info).toMatchObject({
        resetCause: ResetCause.PowerOn,
        capabilities:
          Capability.Rtc |
          Capability.Storage |
          Capability.Thermometer |
          (board.application === undefined ? 0 : Capability.Registers),
        serversMax: board.servers,
        maxFrequencyErrorPpb: board.maxFrequencyErrorPpb,
        buildUnixSeconds: BigInt(report.buildUnixSeconds),
        meterId: 'meter-1',
        board: board.name,
        firmwareVersion: report.version,
      });
      expect(Buffer.from(info.coreSha256).toString('hex')).toBe(report.coreSha256);
      expect(Buffer.from(info.imageSha256).toString('hex')).toBe(report.imageSha256);
      expect(started.a).toBe(BigInt(ResetCause.PowerOn));
      expect(stackBytes).toBeLessThanOrEqual(report.stack.totalBytes!);
      console.log(`stack: ${stackBytes} bytes used, at most ${report.stack.totalBytes} possible`);
      expect(used.has(seeds(board))).toBe(false);
      used.add(seeds(board));
    }
  },
);
