// The meter in software with the real core: provisioned storage, years in seconds, traces of real sessions.
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Channel, Failure, Message, MeterEvent, SettingsError, StorageMap } from '../../as/abi/codes.ts';
import { replayTrace, TraceRecorder } from '../../host/core/trace.ts';
import { decodeMessage, encodeMessage, type MeterMessage } from '../../host/link/messages.ts';
import { VirtualClock, VirtualTime } from '../../host/meter/clocks.ts';
import { SoftwareMeter, type SoftwareMeterOptions } from '../../host/meter/software-meter.ts';
import { FileStorage, MemoryStorage } from '../../host/meter/storage.ts';
import { encodeSeedSlot, encodeSettings, isSeedSlot, type MeterSettings } from '../../host/provision/settings-block.ts';
import { provisionStorage } from '../../host/provision/storage-file.ts';
import { buildCore } from '../../scripts/build-core.mjs';

const folder = mkdtempSync(join(tmpdir(), 'metertime-'));
beforeAll(async () => {
  await buildCore();
});
afterAll(() => rmSync(folder, { recursive: true }));

const settings: MeterSettings = {
  id: 'meter-1',
  servers: [
    { host: 'first.example', port: 4460 },
    { host: '2001:db8::1', port: 14_460 },
  ],
  firstDatesUnchecked: true,
  poll: { minSeconds: 1, maxSeconds: 64 },
  reportSeconds: 60,
};

function provisioned(change: Partial<MeterSettings> = {}): MemoryStorage {
  const storage = new MemoryStorage();
  storage.write(StorageMap.Settings, encodeSettings({ ...settings, ...change }, randomBytes(16)));
  storage.write(StorageMap.SeedA, encodeSeedSlot(randomBytes(32), 1));
  return storage;
}

/** A meter with a network of its own that refuses every connection. */
function makeMeter(options: Partial<SoftwareMeterOptions>) {
  const time = new VirtualTime();
  const messages: MeterMessage[] = [];
  const traps: unknown[] = [];
  const meter: SoftwareMeter = new SoftwareMeter({
    clock: new VirtualClock(time),
    buildUnixSeconds: 1_767_225_600,
    onTrap: (trap) => traps.push(trap),
    onMessage: (channel, bytes) => {
      const message = decodeMessage(channel, bytes) as MeterMessage;
      messages.push(message);
      if (message.type === Message.TlsOpen) {
        const closed = { type: Message.TlsClosed, id: message.id, reason: Failure.Connect, detail: 'refused' } as const;
        meter.deliver(Channel.Stream, encodeMessage(closed));
      }
    },
    ...options,
  });
  const events = () => messages.filter((message) => message.type === Message.Event);
  return { meter, time, messages, events, traps };
}

describe('a provisioned meter', () => {
  it('knows who it is and asks for its first server, then for the next', () => {
    const { meter, time, messages, events, traps } = makeMeter({ storage: provisioned() });
    meter.start();
    time.runUntil(3_600_000_000_000n);
    expect(messages.find((message) => message.type === Message.Info)).toMatchObject({
      meterId: 'meter-1',
      board: 'software',
      coreSha256: expect.any(Uint8Array),
    });
    const opened = messages.filter((message) => message.type === Message.TlsOpen);
    expect(opened[0]).toMatchObject({ host: 'first.example', port: 4460, alpn: 'ntske/1', validAt: undefined });
    expect(opened.map(({ host, port }) => `${host} ${port}`)).toContain('2001:db8::1 14460');
    expect(events().map(({ code }) => code)).not.toContain(MeterEvent.SettingsInvalid);
    expect(events().map(({ code }) => code)).not.toContain(MeterEvent.SeedInvalid);
    expect(traps).toEqual([]);
  });

  it('takes the largest settings that can be written', () => {
    const servers = [1, 2, 3, 4].map((n) => ({ host: `${'a'.repeat(31)}.${'b'.repeat(30)}${n}`, port: 65_535 }));
    const largest = { id: 'M'.repeat(32), servers, poll: { minSeconds: 1, maxSeconds: 36_000 }, reportSeconds: 65_535 };
    const { meter, time, messages, events } = makeMeter({ storage: provisioned(largest) });
    meter.start();
    time.runUntil(86_400_000_000_000n);
    expect(events().map(({ code }) => code)).not.toContain(MeterEvent.SettingsInvalid);
    const hosts = messages.filter((message) => message.type === Message.TlsOpen).map(({ host }) => host);
    expect(new Set(hosts)).toEqual(new Set(servers.map(({ host }) => host)));
  });

  it('replaces its seed at each start and uses none twice', async () => {
    const storage = provisioned();
    const seeds = new Set<string>();
    for (let start = 0; start < 5; start++) {
      const valid = [StorageMap.SeedA, StorageMap.SeedB]
        .map((at) => storage.read(at, StorageMap.SeedBytes))
        .filter((slot) => isSeedSlot(slot));
      expect(valid).toHaveLength(1);
      seeds.add(Buffer.from(valid[0]!).toString('hex', 4, 36));
      const { meter, traps } = makeMeter({ storage });
      meter.start();
      await meter.stop();
      expect(traps).toEqual([]);
    }
    expect(seeds.size).toBe(5);
  });

  it('works from a file that metertime provision wrote', async () => {
    const path = join(folder, 'meter.bin');
    provisionStorage(path, settings);
    const before = readFileSync(path);
    const storage = await FileStorage.open(path);
    const opened = new Promise<string>((resolve) => {
      const meter: SoftwareMeter = new SoftwareMeter({
        clock: new VirtualClock(new VirtualTime()),
        buildUnixSeconds: 0,
        storage,
        onMessage: (channel, bytes) => {
          const message = decodeMessage(channel, bytes);
          if (message.type === Message.TlsOpen) {
            resolve(message.host);
            void meter.stop();
          }
        },
      });
      meter.start();
    });
    expect(await opened).toBe('first.example');
    await storage.close();
    const after = readFileSync(path);
    expect(after.subarray(0, StorageMap.SeedA).equals(before.subarray(0, StorageMap.SeedA))).toBe(true);
    expect(isSeedSlot(after.subarray(StorageMap.SeedA, StorageMap.SeedB))).toBe(false);
    expect(isSeedSlot(after.subarray(StorageMap.SeedB, StorageMap.SeedB + StorageMap.SeedBytes))).toBe(true);
  });
});

describe('a meter without settings', () => {
  it.each([
    ['blank storage', () => new MemoryStorage(), SettingsError.Absent],
    [
      'a damaged block',
      () => {
        const storage = provisioned();
        storage.contents[20]! ^= 1;
        return storage;
      },
      SettingsError.Damaged,
    ],
  ])('says so: %s', (_name, storage, error) => {
    const { meter, time, messages, events } = makeMeter({ storage: storage(), entropy: () => randomBytes(32) });
    meter.start();
    time.runUntil(3_600_000_000_000n);
    expect(events().find(({ code }) => code === MeterEvent.SettingsInvalid)?.a).toBe(BigInt(error));
    expect(messages.filter((message) => message.type === Message.TlsOpen)).toEqual([]);
  });
});

describe('a year', () => {
  it('without any server passes in seconds, with growing pauses and no trap', () => {
    const { meter, time, messages, traps } = makeMeter({ storage: provisioned({ reportSeconds: 65_535 }) });
    meter.start();
    const beginMs = performance.now();
    time.runUntil(365n * 86_400n * 1_000_000_000n);
    const opened = messages.filter((message) => message.type === Message.TlsOpen).length;
    console.log(`a year: ${Math.round(performance.now() - beginMs)} ms, ${opened} connections tried`);
    expect(opened).toBeGreaterThan(70);
    expect(opened).toBeLessThan(365 * 24);
    expect(traps).toEqual([]);
    expect(meter.running).toBe(true);
  });
});

describe('a trace of the real core', () => {
  it('replays to the same actions, over a power cut', () => {
    const path = join(folder, 'meter.trace');
    const trace = new TraceRecorder(path);
    const { meter, time } = makeMeter({ storage: provisioned(), trace, entropy: () => randomBytes(32) });
    meter.start();
    time.runUntil(600_000_000_000n);
    meter.powerCut();
    meter.start();
    time.runUntil(1_200_000_000_000n);
    meter.time();
    trace.close();
    const result = replayTrace(path);
    expect(result.mismatch).toBeUndefined();
    expect(result.instances).toBe(2);
    expect(result.events).toBeGreaterThan(30);
  });
});
