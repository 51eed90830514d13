// What the core relies on, shortly, on every board that can be emulated; firmware.test.ts has all of it for one of them,
// and stands for those with the same chip.
import { beforeAll, describe, expect, it } from 'vitest';
import { Abi, ResetCause, RtcStatus, StartField, TemperatureField, TrapCode } from '../../as/abi/codes.ts';
import { listBoards, loadBoard } from '../../host/build/index.ts';
import { until } from '../../host/setup/until.ts';
import { boardName, buildEchoFirmware, hex, hostNs } from './echo-meter.ts';
import { checkImageHash } from './image-hash.ts';
import { busyShare, checkStack, checkTicks, isoSeconds, parseEcho, readClock, setClock } from './line-checks.ts';
import { randomNumbers } from './random.ts';
import { useEchoMeters } from './use-echo-meters.ts';

const emulated = listBoards().flatMap(({ name, emulated }) => (emulated ? [name] : []));
const chip = loadBoard(boardName).chip;
const names = emulated.filter((name) => loadBoard(name).chip !== chip);
/** Needs the compiler of native fuzzing. */
const isLeft = (name: string) => loadBoard(name).process !== undefined && process.env.METERTIME_NATIVE_FUZZ === 'skip';

describe.each(names.filter((name) => !isLeft(name)))('%s', (name) => {
  const board = loadBoard(name);
  const tickHz = board.tickHz ?? board.clockHz;
  const watched = board.watchdog !== undefined && !board.emulation!.lacks?.includes('watchdog');
  const { newFolder, start, stop } = useEchoMeters();
  beforeAll(() => buildEchoFirmware(name));

  it('counts ticks as the host does, stamps frames rightly and wakes when asked', async () => {
    const { line, emulator } = await start(newFolder(), { board });
    // The ticks go on while the emulator is held up, so several turns of a short counter pass unseen.
    const holdUp = async () => {
      process.kill(emulator.pid, 'SIGSTOP');
      const endsNs = hostNs() + 1_500_000_000n;
      await until('the end of the hold-up', async () => hostNs() >= endsNs);
      process.kill(emulator.pid, 'SIGCONT');
    };
    await checkTicks(line, tickHz, 3_000, holdUp);
    for (const ticks of [0, 1, tickHz / 1000, tickHz / 2 + 1, tickHz].map(Math.floor)) {
      const answer = await line.ask(`A${hex(ticks, 16)}`);
      const asked = BigInt(`0x${answer.slice(0, 16)}`);
      const came = BigInt(`0x${answer.slice(16)}`);
      expect(came).toBeGreaterThanOrEqual(asked);
      expect(came - asked).toBeLessThan(BigInt(tickHz));
    }
    const { usedBytes, totalBytes } = await emulator.readStack();
    expect(usedBytes).toBeLessThan(totalBytes);
    // It sleeps when nothing happens.
    expect(await busyShare(emulator, 1_000)).toBeLessThan(0.3);
  });

  it('reports the hash of what is in its flash: a bit that flipped there shows', async () => {
    await checkImageHash(await buildEchoFirmware(name), board, { newFolder, start, stop });
  });

  it.runIf(board.process === undefined)('tells how deep its stack was used', async () => {
    const { line, emulator } = await start(newFolder(), { board });
    await checkStack(line, emulator, board.stackBytes);
  });

  it('hands on frames as they are, many at once too', async () => {
    const { line } = await start(newFolder(), { board });
    line.sendRaw(Buffer.from('\0\0\0Eone\0\0Etwo\0Ethree\0', 'latin1'));
    for (const data of ['one', 'two', 'three']) {
      expect(parseEcho((await line.receive()).text.slice(1)).data).toBe(data);
    }
    const bytes = Buffer.from(Array.from({ length: 192 }, (_, i) => 1 + ((i * 7) % 255)));
    expect(parseEcho(await line.ask(`E${bytes.toString('latin1')}`)).data).toBe(bytes.toString('latin1'));
    expect(await line.ask('B')).toHaveLength(253);
  });

  it('keeps in its storage what was written, wherever, over a power cut', async () => {
    const folder = newFolder();
    const random = randomNumbers();
    const most = board.storage.bytes - 64;
    const pieces = [0, most, ...Array.from({ length: 6 }, () => 64 * random(most / 64))].map((offset) => ({
      offset,
      data: Buffer.from(Array.from({ length: 64 }, () => random(256))).toString('hex'),
    }));
    const { line, emulator } = await start(folder, { board });
    for (const { offset, data } of pieces) {
      expect(await line.ask(`W${hex(offset, 8)}${data}`)).toBe(`${hexLe(offset)}00`);
    }
    line.close();
    await emulator.kill();
    const kept = new Map(pieces.map(({ offset, data }) => [offset, data]));
    const { line: again } = await start(folder, { board });
    for (const [offset, data] of kept) {
      expect(await again.ask(`R${hex(offset, 8)}${hex(64, 4)}`)).toBe(`${hexLe(offset)}${data}`);
    }
  });

  it.runIf(board.rtc !== undefined)('reads its real-time clock, and sets it', async () => {
    const { line } = await start(newFolder(), { board });
    const now = await readClock(line);
    expect(now.status).toBe(RtcStatus.Running);
    expect(Math.abs(isoSeconds(now.iso) - Date.now() / 1000)).toBeLessThan(3);
    const startMs = performance.now();
    expect(await setClock(line, '2036-02-07T06:28:16')).toBe('00');
    const passed = isoSeconds((await readClock(line)).iso) - isoSeconds('2036-02-07T06:28:16');
    expect(passed).toBeGreaterThanOrEqual(0);
    expect(passed).toBeLessThanOrEqual((performance.now() - startMs) / 1000 + 1);
  });

  it.runIf(board.thermometer !== undefined)('reads its thermometer', async () => {
    const { line, emulator } = await start(newFolder(), { board });
    await emulator.setTemperature(-12_500);
    await line.ask('H');
    const said = Buffer.from(await line.ask('H'), 'hex');
    expect(said.readInt32LE(TemperatureField.MilliCelsius)).toBe(-12_500);
  });

  it('restarts clean after a trap, and says so', async () => {
    const { line } = await start(newFolder(), { board });
    line.send('Xu');
    expect((await line.receive()).text).toBe('!');
    const payload = Buffer.from((await line.ask(`I${hex(0, 4)}`)) + (await line.ask(`I${hex(64, 4)}`)), 'hex');
    expect(payload.readUInt16LE(StartField.AbiVersion)).toBe(Abi.Version);
    expect(payload[StartField.ResetCause]).toBe(ResetCause.Trap);
    expect(payload.readUInt32LE(StartField.TickHz)).toBe(tickHz);
    await checkTicks(line, tickHz, 500);
  });

  it.runIf(watched)('is restarted by its watchdog when it hangs', async () => {
    const { line } = await start(newFolder(), { board });
    const before = performance.now();
    line.send('Xl');
    expect((await line.receive(20_000)).text).toBe('!');
    expect(performance.now() - before).toBeGreaterThan(board.watchdog!.timeoutMs - 1000);
    const payload = Buffer.from((await line.ask(`I${hex(0, 4)}`)) + (await line.ask(`I${hex(64, 4)}`)), 'hex');
    expect(payload[StartField.ResetCause]).toBe(ResetCause.Watchdog);
    expect(payload.readUInt32LE(StartField.TrapCode)).toBe(TrapCode.None);
  });
});

/** Four bytes as they are sent, the lowest first. */
function hexLe(value: number): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes.toString('hex');
}
