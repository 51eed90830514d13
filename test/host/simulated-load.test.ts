// The load that meters in software count: by the time alone, in the units of their settings.
import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { StorageMap } from '../../as/abi/codes.ts';
import { simulatedRegisters } from '../../host/meter/simulated-load.ts';
import { MemoryStorage } from '../../host/meter/storage.ts';
import { encodeSettings } from '../../host/provision/settings-block.ts';
import { testSettings } from '../core/simulated-meter.ts';
import { registerItem, withItems } from '../core/tariff-settings.ts';

const at = Date.UTC(2026, 6, 1, 12);

function storageWith(...registers: number[][]): MemoryStorage {
  const storage = new MemoryStorage();
  const block = encodeSettings(testSettings, randomBytes(16));
  storage.write(StorageMap.Settings, withItems(block, registers.map(registerItem)));
  return storage;
}

const energy = (scale: number) => [1, 0, 1, 8, 0, 255, scale & 0xff, 30];

describe('a simulated load', () => {
  it('counts energy, which never falls, in each scale', async () => {
    let now = at;
    const read = simulatedRegisters(storageWith(energy(0), energy(3), energy(-1)), () => now);
    let last = 0n;
    for (let i = 0; i < 24 * 60; i++) {
      const [wh, kwh, tenths] = (await read()) as [bigint, bigint, bigint];
      expect(tenths / 10n).toBe(wh);
      expect(wh / 1000n).toBe(kwh);
      expect(tenths).toBeGreaterThan(last);
      last = tenths;
      now += 60_000;
    }
    // 500 W on average.
    now = at;
    const [before] = (await read()) as [bigint];
    now += 86_400_000;
    const [after] = (await read()) as [bigint];
    expect(Math.abs(Number(after - before) - 12_000)).toBeLessThanOrEqual(1);
  });

  it('says its power, and 0 for what it has not', async () => {
    const power = [1, 0, 1, 7, 0, 255, 0, 27];
    const exported = [1, 0, 2, 8, 0, 255, 0, 30];
    const volts = [1, 0, 1, 7, 0, 255, 0, 35];
    expect(await simulatedRegisters(storageWith(power, exported, volts), () => at)()).toEqual([800n, 0n, 0n]);
  });

  it('reads its settings again where the storage failed', async () => {
    const storage = storageWith(energy(0));
    let fails = true;
    const failing = {
      read: (at: number, length: number) => {
        if (fails) throw new Error('the storage failed');
        return storage.read(at, length);
      },
      write: () => {},
      bytes: storage.bytes,
    };
    const read = simulatedRegisters(failing as unknown as MemoryStorage, () => at);
    await expect(read()).rejects.toThrow('the storage failed');
    fails = false;
    expect(await read()).toHaveLength(1);
  });

  it('has no registers where the settings have none, or are not there', async () => {
    expect(await simulatedRegisters(storageWith(), () => at)()).toEqual([]);
    expect(await simulatedRegisters(new MemoryStorage(), () => at)()).toEqual([]);
  });
});
