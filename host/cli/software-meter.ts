// Meters in software for the command line: provisioned in memory for one purpose, with nothing kept.
import { randomBytes } from 'node:crypto';
import { StorageMap } from '../../as/abi/codes.ts';
import { SystemClock } from '../meter/clocks.ts';
import type { MeterStorage } from '../meter/parts.ts';
import { SoftwareMeter, type SoftwareMeterOptions } from '../meter/software-meter.ts';
import { MemoryStorage } from '../meter/storage.ts';
import { encodeSeedSlot, encodeSettings, type MeterSettings, settingsDefaults } from '../provision/settings-block.ts';
import { releaseUnixSeconds, version } from './program-info.ts';

/** Storage with settings, a random root key and a random seed; without room for keys, as there is no next start. */
export function provisionMemory(
  settings: Pick<MeterSettings, 'id' | 'servers'> & Partial<MeterSettings>,
): MeterStorage {
  const storage = new MemoryStorage(new Uint8Array(StorageMap.Bytes));
  const full = { ...settingsDefaults, ...settings };
  storage.write(StorageMap.Settings, encodeSettings(full, new Uint8Array(randomBytes(16))));
  storage.write(StorageMap.SeedA, encodeSeedSlot(new Uint8Array(randomBytes(32)), 1));
  return storage;
}

/** A meter on this machine's monotonic counter, with its randomness. */
export function makeSoftwareMeter(
  options: Omit<SoftwareMeterOptions, 'clock' | 'entropy' | 'buildUnixSeconds' | 'version'>,
): SoftwareMeter {
  return new SoftwareMeter({
    clock: new SystemClock(),
    entropy: () => new Uint8Array(randomBytes(32)),
    buildUnixSeconds: releaseUnixSeconds,
    version,
    ...options,
  });
}
