// The thermometer of the emulated board: its driver through the echo core, and the product's core from end to end, with
// temperatures that change and with a board whose thermometer is gone.
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  Capability,
  Message,
  MeterEvent,
  MilliCelsius,
  TemperatureField,
  TemperatureStatus,
} from '../../as/abi/codes.ts';
import { type Board, buildFirmware, type Emulator, loadBoard, startEmulator } from '../../host/build/index.ts';
import { LinkEnd } from '../../host/link/link-end.ts';
import type { Info, MeterEventMessage, MeterMessage, Time } from '../../host/link/messages.ts';
import { connectSocket } from '../../host/link/socket-transport.ts';
import { settingsDefaults } from '../../host/provision/settings-block.ts';
import { provisionStorage } from '../../host/provision/storage-file.ts';
import { boardName, type Line } from './echo-meter.ts';
import { useEchoMeters } from './use-echo-meters.ts';

const board = loadBoard(boardName);
const { newFolder, start } = useEchoMeters();

/** The board with nothing at the thermometer's address. */
function withoutThermometer(): Board {
  const { program, arguments: all } = board.emulation!;
  const device = all.findIndex((argument) => argument.startsWith(board.thermometer!.driver));
  expect(all[device - 1]).toBe('-device');
  return { ...board, emulation: { program, arguments: all.toSpliced(device - 1, 2) } };
}

/** Thousandths of a degree; undefined where it failed. */
async function readTemperature(line: Line): Promise<number | undefined> {
  const payload = Buffer.from(await line.ask('H'), 'hex');
  expect(payload).toHaveLength(TemperatureField.Bytes);
  const value = payload.readInt32LE(TemperatureField.MilliCelsius);
  if (payload[TemperatureField.Status] === TemperatureStatus.Measured) return value;
  expect([payload[TemperatureField.Status], value]).toEqual([TemperatureStatus.Failed, 0]);
  return undefined;
}

describe('the driver', () => {
  it('configures the part at the first read, then reads what it measures to 1/16 °C', async () => {
    const { emulator, line } = await start();
    await emulator.setTemperature(21_500);
    expect(await readTemperature(line)).toBeUndefined();
    expect(await readTemperature(line)).toBe(21_500);
    for (const value of [
      0,
      62.5,
      -62.5,
      25_062.5,
      -10_437.5,
      MilliCelsius.Least,
      MilliCelsius.Most,
      127_937.5,
      -128_000,
    ]) {
      // QEMU takes whole thousandths and counts 1/16 °C downwards.
      await emulator.setTemperature(Math.ceil(value));
      expect(await readTemperature(line)).toBe(Math.trunc(value));
    }
  });

  it('says so when none answers; clock and storage do, all the same', async () => {
    const { emulator, line } = await start(newFolder(), { board: withoutThermometer() });
    for (let i = 0; i < 3; i++) expect(await readTemperature(line)).toBeUndefined();
    expect(await line.ask('T')).toMatch(/^00/);
    expect(await line.ask('R000000000004')).toBe('00000000ffffffff');
    await expect(emulator.setTemperature(20_000)).rejects.toMatchObject({ code: 'emulator-failed' });
  });
});

describe('the product', { timeout: 120_000 }, () => {
  let elfPath: string;
  beforeAll(async () => {
    elfPath = (await buildFirmware({ board: boardName })).elfPath;
  });

  /** Starts the product, and lets `act` see what it reports. */
  async function withProduct(
    emulated: Board,
    act: (emulator: Emulator, messages: readonly MeterMessage[]) => Promise<void>,
  ): Promise<void> {
    const folder = newFolder();
    const [link, storageFile] = [join(folder, 'link'), join(folder, 'storage')];
    const settings = { ...settingsDefaults, servers: [{ host: 'time.example', port: 4460 }], reportSeconds: 1 };
    provisionStorage(storageFile, { id: 'meter-1', ...settings }, { bytes: board.storage.bytes });
    const emulator = await startEmulator({ board: emulated, image: elfPath, link, storageFile });
    const end = new LinkEnd({ transport: connectSocket({ path: link }) });
    const messages: MeterMessage[] = [];
    end.on('message', ({ message }) => messages.push(message));
    end.start();
    try {
      await act(emulator, messages);
    } finally {
      await end.stop();
      await emulator.kill();
    }
  }

  const info = (messages: readonly MeterMessage[]) =>
    messages.find((message): message is Info => message.type === Message.Info);
  const times = (messages: readonly MeterMessage[]) =>
    messages.filter((message): message is Time => message.type === Message.Time);
  const failures = (messages: readonly MeterMessage[]) =>
    messages.filter(
      (message): message is MeterEventMessage =>
        message.type === Message.Event && message.code === MeterEvent.ThermometerFailed,
    );

  it('reports the temperature, and how it changes', async () => {
    await withProduct(board, async (emulator, messages) => {
      const last = () => times(messages).at(-1)?.milliCelsius;
      await emulator.setTemperature(21_500);
      await expect.poll(last, { timeout: 20_000 }).toBe(21_500);
      expect(info(messages)!.capabilities & Capability.Thermometer).not.toBe(0);
      await emulator.setTemperature(19_250);
      await expect.poll(last, { timeout: 30_000 }).toBe(19_250);
      // No such change in so short a time: that is a step of the part, which has to be confirmed.
      await emulator.setTemperature(-30_000);
      await expect.poll(last, { timeout: 30_000 }).toBe(-30_000);
      expect(failures(messages)).toEqual([]);
    });
  });

  it('tells that its thermometer fails, and goes on without', async () => {
    await withProduct(withoutThermometer(), async (_, messages) => {
      await expect.poll(() => failures(messages), { timeout: 20_000 }).toHaveLength(1);
      expect(failures(messages)[0]).toMatchObject({ a: 0n, b: 0n });
      const seen = times(messages).length;
      await expect.poll(() => times(messages).length, { timeout: 20_000 }).toBeGreaterThan(seen + 1);
      expect(times(messages).map(({ milliCelsius }) => milliCelsius)).not.toContainEqual(expect.any(Number));
    });
  });
});
