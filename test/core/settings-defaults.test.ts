// What the core takes where the settings block says nothing is what docs/meter-settings.md says.
import { randomBytes } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { beforeAll, describe, expect, it } from 'vitest';
import { ClockStatus, SettingsField, SettingsTag, StorageMap } from '../../as/abi/codes.ts';
import { decodeSettings, encodeSettings, settingsDefaults } from '../../host/provision/settings-block.ts';
import { buildCore } from '../../scripts/build-core.mjs';
import { SimulatedMeter, testSettings } from './simulated-meter.ts';

beforeAll(async () => {
  await buildCore();
});

/** A block without the items that have a default. */
function bare(): Uint8Array {
  const block = Buffer.from(encodeSettings(testSettings, randomBytes(16)));
  const items: Buffer[] = [];
  const end = SettingsField.Items + block.readUInt16LE(SettingsField.ItemsBytes);
  for (let at: number = SettingsField.Items; at < end; at += 2 + block[at + 1]!) {
    const item = block.subarray(at, at + 2 + block[at + 1]!);
    if (item[0] !== SettingsTag.Poll && item[0] !== SettingsTag.ReportSeconds) items.push(Buffer.from(item));
  }
  const kept = Buffer.concat(items);
  block.fill(0, SettingsField.Items);
  block.set(kept, SettingsField.Items);
  block.writeUInt16LE(kept.length, SettingsField.ItemsBytes);
  const last = SettingsField.Items + kept.length;
  block.writeUInt32LE(crc32(block.subarray(0, last)), last);
  return new Uint8Array(block);
}

describe('a meter that is told no intervals', () => {
  it('polls from 64 s to 1024 s apart, in threefold steps, and is in holdover after eight of the longest', () => {
    const block = bare();
    expect(decodeSettings(block).settings.poll).toEqual(settingsDefaults.poll);
    const sim = new SimulatedMeter();
    sim.storage.write(StorageMap.Settings, block);
    sim.meter.start();
    const seen: number[] = [];
    sim.runUntil(
      'the longest interval',
      () => {
        const { pollSeconds } = sim.sources[0] ?? { pollSeconds: 0 };
        if (pollSeconds !== seen.at(-1)) seen.push(pollSeconds);
        return pollSeconds === 1024;
      },
      2000,
    );
    expect(seen.filter((interval) => interval > 0)).toEqual([64, 192, 576, 1024]);
    sim.run(3000);
    sim.behaviour.onRequest = () => [];
    sim.runUntil('holdover', () => sim.meter.time().status === ClockStatus.Holdover, 10_000);
    const age = Number(sim.meter.time().sampleAgeNs) / 1e9;
    expect(age).toBeGreaterThanOrEqual(8 * 1024);
    expect(age).toBeLessThan(8 * 1027 + 1);
  });
});
