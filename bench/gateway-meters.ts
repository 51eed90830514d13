// Meters in software in a process of their own, switched on one after the other, each with a line to the gateway over a
// unix socket, as one behind a terminal server has it.
// What always holds: they are real cores in real time, all instances of one compiled module; each second the parent is
// told what each has recorded, and how far it knows it to be delivered.
import { randomBytes } from 'node:crypto';
import { Ring, StorageMap } from '../as/abi/codes.ts';
import { loadCoreModule } from '../host/core/core.ts';
import { connectSocket } from '../host/link/socket-transport.ts';
import { SystemClock } from '../host/meter/clocks.ts';
import { simulatedRegisters } from '../host/meter/simulated-load.ts';
import { lineOf, SoftwareMeter } from '../host/meter/software-meter.ts';
import { MemoryStorage } from '../host/meter/storage.ts';
import type { HostPort } from '../host/provision/host-port.ts';
import { encodeSeedSlot, encodeSettings, settingsDefaults } from '../host/provision/settings-block.ts';
import { tariffRulesDefaults } from '../host/provision/tariff-settings.ts';

/** What a process of meters is told, as its first message. */
export interface MetersOptions {
  /** One meter each. */
  readonly ids: readonly string[];
  /** The gateway's listener. */
  readonly socket: string;
  readonly corePath: string;
  /** NTS-KE servers. */
  readonly servers: readonly HostPort[];
  readonly reportSeconds: number;
  /** The first is switched on after the first of these, the others after so long each, ms. */
  readonly firstMs: number;
  readonly apartMs: number;
}

/** What it says each second. */
export interface MetersState {
  /** Newest entry of each meter's record ring, and the newest that it knows to be delivered; 0 for none. */
  readonly newest: readonly number[];
  readonly delivered: readonly number[];
  /** When they were asked, Unix ms. */
  readonly atMs: number;
  readonly traps: number;
}

/** Room for records, so that two hours at the broker's absence fit. */
const recordSlots = 128;
/** No time before it is believed. */
const buildUnixSeconds = 1_790_000_000;

interface RecordExports {
  testStoreNewest(ring: Ring): number;
  testStoreOldest(): number;
}

function storageOf(id: string, { servers, reportSeconds }: MetersOptions): MemoryStorage {
  const storage = new MemoryStorage(StorageMap.Records + recordSlots * 128);
  const settings = {
    ...settingsDefaults,
    ...{ id, servers, reportSeconds },
    tariff: { ...tariffRulesDefaults, registrationMinutes: 1 },
    calibration: { id: 'bench', atUtc: '2026-01-01T00:00:00Z', untilUtc: '2046-01-01T00:00:00Z', uncertaintyPpb: 500 },
    registers: ['1-0:1.8.0*255', '1-0:1.8.1*255', '1-0:1.8.2*255', '1-0:2.8.0*255'].map((obis) => ({
      ...{ obis, scale: -1, unit: 30 },
    })),
  };
  storage.write(StorageMap.Settings, encodeSettings(settings, randomBytes(16)));
  storage.write(StorageMap.SeedA, encodeSeedSlot(randomBytes(32), 1));
  return storage;
}

/** Runs until the parent ends this process. */
export function runMeters(options: MetersOptions): void {
  const { ids, socket, corePath, firstMs, apartMs } = options;
  const source = loadCoreModule(corePath);
  const clock = new SystemClock();
  const meters = ids.map((id) => {
    const storage = storageOf(id, options);
    const transport = connectSocket({ path: socket });
    const meter = new SoftwareMeter({
      ...{ clock, storage, source, buildUnixSeconds, board: 'bench', version: '1.0.0' },
      entropy: () => new Uint8Array(randomBytes(32)),
      registers: simulatedRegisters(storage),
      line: lineOf(transport),
    });
    return { transport, meter };
  });
  for (const [index, { transport, meter }] of meters.entries()) {
    transport.once('up', () => meter.start());
    setTimeout(() => transport.start(), firstMs + index * apartMs);
  }
  setInterval(() => {
    const cores = meters.map(({ meter }) => meter.core?.exports as unknown as RecordExports | undefined);
    const state: MetersState = {
      newest: cores.map((core) => core?.testStoreNewest(Ring.Records) ?? 0),
      delivered: cores.map((core) => Math.max(0, (core?.testStoreOldest() ?? 0) - 1)),
      atMs: Date.now(),
      traps: meters.reduce((sum, { meter }) => sum + meter.traps, 0),
    };
    process.send?.(state);
  }, 1_000);
}
