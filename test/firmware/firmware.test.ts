// Firmware and drivers on the emulated board, driven by frames through the echo core: ticks, link, storage, real-time
// clock, restarts.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { Abi, Capability, ResetCause, RtcStatus, StartField, TrapCode } from '../../as/abi/codes.ts';
import { parseElf, symbolAddress } from '../../host/build/elf.ts';
import type { BuildReport } from '../../host/build/index.ts';
import { loadBoard } from '../../host/build/index.ts';
import { boardName, buildEchoFirmware, hex, Line, startEchoMeter, tickHz } from './echo-meter.ts';
import { checkImageHash } from './image-hash.ts';
import { busyShare, checkStack, checkTicks, isoSeconds, parseEcho, readClock, setClock } from './line-checks.ts';
import { randomNumbers } from './random.ts';
import { useEchoMeters } from './use-echo-meters.ts';

const board = loadBoard(boardName);

/** The line's `frames`: four of two ticks, a length and 254 bytes. */
const frameSlots = 4;
const frameSlotBytes = 272;
const { newFolder, start, stop } = useEchoMeters();
let report: BuildReport;

beforeAll(async () => {
  report = await buildEchoFirmware();
});

/** Payload of the Start event that the core got. */
async function startPayload(line: Line): Promise<Buffer> {
  const parts = [];
  for (const offset of [0, 64, 128]) parts.push(await line.ask(`I${hex(offset, 4)}`));
  return Buffer.from(parts.join(''), 'hex');
}

describe('start', () => {
  it('tells the core what it runs on', async () => {
    const { line } = await start();
    const payload = await startPayload(line);
    const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
    const image = readFileSync(report.binPath!);
    expect({
      abi: payload.readUInt16LE(StartField.AbiVersion),
      cause: payload[StartField.ResetCause],
      capabilities: payload[StartField.Capabilities],
      tickHz: payload.readUInt32LE(StartField.TickHz),
      ppb: payload.readUInt32LE(StartField.MaxFrequencyErrorPpb),
      storage: payload.readUInt32LE(StartField.StorageBytes),
      build: Number(payload.readBigUInt64LE(StartField.BuildUnixSeconds)),
      core: payload.toString('hex', StartField.CoreSha256, StartField.CoreSha256 + 32),
      image: payload.toString('hex', StartField.ImageSha256, StartField.ImageSha256 + 32),
      entropy: payload.toString('hex', StartField.Entropy, StartField.Entropy + 32),
      trap: payload.readUInt32LE(StartField.TrapCode),
      names: payload.toString('latin1', StartField.Names),
    }).toEqual({
      abi: Abi.Version,
      cause: ResetCause.PowerOn,
      capabilities: Capability.Rtc | Capability.Storage | Capability.Thermometer,
      tickHz: board.clockHz,
      ppb: board.maxFrequencyErrorPpb,
      storage: board.storage.bytes,
      build: report.buildUnixSeconds,
      core: report.coreSha256,
      image: sha256(image),
      entropy: '00'.repeat(32),
      trap: TrapCode.None,
      names: `${String.fromCharCode(board.name.length)}${board.name}${String.fromCharCode(report.version.length)}${report.version}`,
    });
  });

  it('tells the core the hash of what is in its flash: a bit that flipped there shows', async () => {
    await checkImageHash(report, board, { newFolder, start, stop });
  });

  it('tells the core how deep its stack was used', async () => {
    const { line, emulator } = await start();
    await checkStack(line, emulator, board.stackBytes);
  });

  it('leaves most of the stack unused and sleeps when nothing happens', async () => {
    const { emulator, line } = await start();
    await line.ask('E');
    expect(await busyShare(emulator, 2000)).toBeLessThan(0.2);
    const { usedBytes, totalBytes } = await emulator.readStack();
    expect(totalBytes).toBe(board.stackBytes);
    expect(usedBytes).toBeGreaterThan(64);
    expect(usedBytes).toBeLessThan(board.stackBytes / 2);
  });
});

describe('link', () => {
  it('hands on what lies between two zeros, and nothing else', async () => {
    const { line } = await start();
    line.sendRaw(Buffer.from('\0\0\0Eone\0\0Etwo\0Ethree\0', 'latin1'));
    for (const data of ['one', 'two', 'three']) {
      expect(parseEcho((await line.receive()).text.slice(1)).data).toBe(data);
    }
    const bytes = Buffer.from(Array.from({ length: 192 }, (_, i) => 1 + ((i * 7) % 255)));
    expect(parseEcho(await line.ask(`E${bytes.toString('latin1')}`)).data).toBe(bytes.toString('latin1'));
  });

  it('sends frames as long as frames may be', async () => {
    const { line } = await start();
    expect(await line.ask('B')).toHaveLength(253);
  });

  it('cuts a frame that is too long and goes on with the next', async () => {
    const { line } = await start();
    line.send('?'.repeat(5000));
    expect((await line.receive()).text).toBe('?');
    expect(parseEcho(await line.ask('Eafter')).data).toBe('after');
  });

  it('survives noise at full speed, and wakes the core meanwhile', async () => {
    const { line } = await start();
    const random = randomNumbers();
    line.send(`A${hex(tickHz / 10, 16)}`);
    const noise = Buffer.alloc(64 * 1024);
    // Never a letter that is a command.
    for (let i = 0; i < noise.length; i++) noise[i] = random(10) === 0 ? 0 : 128 + random(128);
    line.sendRaw(noise);
    let awake = '';
    // 64 KB through an emulator.
    while (awake === '') {
      const { text } = await line.receive(20_000);
      if (text.startsWith('a')) awake = text;
    }
    const asked = BigInt(`0x${awake.slice(1, 17)}`);
    expect(BigInt(`0x${awake.slice(17)}`)).toBeGreaterThanOrEqual(asked);
    line.send('Eend');
    let end = await line.receive(20_000);
    while (end.text[0] !== 'e') end = await line.receive(20_000);
    expect(end.text.endsWith('end')).toBe(true);
  }, 60_000);

  it('keeps nothing of a frame that was handed over', async () => {
    const { emulator, line } = await start();
    const symbol = (name: string) => symbolAddress(parseElf(readFileSync(report.elfPath)), name);
    const readFrames = () => emulator.readMemory(symbol('frames'), frameSlots * frameSlotBytes);
    for (let frame = 0; frame < 2 * frameSlots; frame++) await line.ask(`E${'secret'.repeat(30)}`);
    expect((await readFrames()).includes('secret')).toBe(false);
    // What is still being received is seen there: it is the right place.
    line.sendRaw(Buffer.from('\0Esecret'));
    await expect.poll(async () => (await readFrames()).includes('secret')).toBe(true);
  });

  it('takes the next client when one has gone', async () => {
    const { emulator, line } = await start();
    await line.ask('E');
    line.close();
    const again = await Line.open(emulator.link);
    expect(parseEcho(await again.ask('Eagain')).data).toBe('again');
    again.close();
  });
});

describe('ticks', () => {
  it("follow the host's clock: each frame's lies between its sending and its answer", async () => {
    const { line } = await start();
    await checkTicks(line, tickHz, 5_000);
  });

  it('wake the core when it asked, never early', async () => {
    const { line } = await start();
    for (const ticks of [0, 1, 250, 25_000, 2_500_000, 20_000_000]) {
      const answer = await line.ask(`A${hex(ticks, 16)}`);
      const asked = BigInt(`0x${answer.slice(0, 16)}`);
      const came = BigInt(`0x${answer.slice(16)}`);
      expect(came).toBeGreaterThanOrEqual(asked);
      expect(came - asked).toBeLessThan(BigInt(tickHz));
    }
  });
});

describe('real-time clock', () => {
  it("reads the host's time, or the one it was started with", async () => {
    const { line } = await start();
    const beforeMs = Date.now();
    const now = await readClock(line);
    expect(now.status).toBe(RtcStatus.Running);
    expect(isoSeconds(now.iso)).toBeGreaterThan(beforeMs / 1000 - 2);
    expect(isoSeconds(now.iso)).toBeLessThan(Date.now() / 1000 + 2);
    const startMs = performance.now();
    const other = await startEchoMeter(newFolder(), { rtcBase: '2006-06-17T16:01:21' });
    try {
      const { iso } = await readClock(other.line);
      expect(isoSeconds(iso) - isoSeconds('2006-06-17T16:01:21')).toBeLessThan(
        (performance.now() - startMs) / 1000 + 1,
      );
      expect(isoSeconds(iso)).toBeGreaterThanOrEqual(isoSeconds('2006-06-17T16:01:21'));
    } finally {
      other.line.close();
      await other.emulator.kill();
    }
  });

  it.each([
    '2031-12-31T23:04:58',
    '2028-02-29T00:00:00',
    '2036-02-07T06:28:16',
    '2038-01-19T03:14:08',
    '2000-01-01T12:30:15',
    // QEMU's clock moves by at most 2^31 s; drivers.test.ts has the part's last year.
    '2090-12-31T11:59:30',
  ])('keeps %s', async (iso) => {
    const { line } = await start();
    const startMs = performance.now();
    expect(await setClock(line, iso)).toBe('00');
    const read = await readClock(line);
    expect(read.status).toBe(RtcStatus.Running);
    expect(isoSeconds(read.iso) - isoSeconds(iso)).toBeGreaterThanOrEqual(0);
    expect(isoSeconds(read.iso) - isoSeconds(iso)).toBeLessThanOrEqual((performance.now() - startMs) / 1000 + 1);
  });

  it('says so when a time cannot be set', async () => {
    const { line } = await start();
    expect(await setClock(line, '2100-01-01T00:00:00')).toBe('01');
    expect((await readClock(line)).status).toBe(RtcStatus.Running);
  });
});

describe('restart', () => {
  it.each([
    ['a load out of bounds', 'o', TrapCode.OutOfBounds],
    ['unreachable code', 'u', TrapCode.Unreachable],
    ['a division by zero', 'd', TrapCode.DivisionByZero],
    ['recursion without end', 'r', TrapCode.StackExhausted],
    ['an action that does not exist', 'a', TrapCode.Interface],
    ['an action cut off', 'c', TrapCode.Interface],
  ])('after %s is clean and reported', async (_, kind, trapCode) => {
    const events: string[] = [];
    const { line } = await start(newFolder(), { onEvent: ({ event }) => events.push(event) });
    line.send(`X${kind}`);
    expect((await line.receive()).text).toBe('!');
    const payload = await startPayload(line);
    expect(payload[StartField.ResetCause]).toBe(ResetCause.Trap);
    expect(payload.readUInt32LE(StartField.TrapCode)).toBe(trapCode);
    expect(parseEcho(await line.ask('Ealive')).data).toBe('alive');
    expect(events).toEqual(['RESET']);
  });

  it('is delayed when one failure follows another', async () => {
    const { line } = await start();
    const pausesMs: number[] = [];
    for (let failure = 0; failure < 3; failure++) {
      const before = performance.now();
      line.send('Xu');
      expect((await line.receive()).text).toBe('!');
      pausesMs.push(performance.now() - before);
    }
    expect(pausesMs[0]).toBeLessThan(pausesMs[1]!);
    expect(pausesMs[1]).toBeGreaterThan(990);
    expect(pausesMs[2]).toBeGreaterThan(1990);
  });

  it('comes from the watchdog when the core never returns', async () => {
    const { line } = await start();
    const before = performance.now();
    line.send('Xl');
    expect((await line.receive(20_000)).text).toBe('!');
    expect(performance.now() - before).toBeGreaterThan(board.watchdog!.timeoutMs - 1000);
    const payload = await startPayload(line);
    expect(payload[StartField.ResetCause]).toBe(ResetCause.Watchdog);
    expect(payload.readUInt32LE(StartField.TrapCode)).toBe(TrapCode.None);
  });
});
