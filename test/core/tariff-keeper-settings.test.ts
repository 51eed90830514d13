// Which settings of tariffs and records a meter takes, and which it refuses as a whole.
import { randomBytes } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import { DoubtRule, LogFullRule, MeterEvent, SettingsError, StorageMap } from '../../as/abi/codes.ts';
import { encodeSettings } from '../../host/provision/settings-block.ts';
import { buildCore } from '../../scripts/build-core.mjs';
import { SimulatedMeter, testSettings } from './simulated-meter.ts';
import { calibrationItem, registerItem, rulesItem, withItems } from './tariff-settings.ts';

beforeAll(async () => {
  await buildCore();
});

/** What a meter says to these items beside what it needs: `SettingsError`. */
function verdict(...items: Uint8Array[]): number {
  const sim = new SimulatedMeter();
  sim.storage.write(StorageMap.Settings, withItems(encodeSettings(testSettings, randomBytes(16)), items));
  sim.meter.start();
  sim.run(1);
  const refused = sim.events.find(({ code }) => code === MeterEvent.SettingsInvalid);
  if (refused === undefined) expect(sim.info?.meterId).toBe(testSettings.id);
  return refused === undefined ? SettingsError.None : Number(refused.a);
}

describe('rules of tariffs and records', () => {
  it.each([0, 1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30, 60])('a period of %d minutes is taken', (periodMinutes) => {
    expect(verdict(rulesItem({ periodMinutes }))).toBe(SettingsError.None);
  });

  it.each([7, 8, 9, 11, 14, 45, 61, 120, 255])(
    'one of %d minutes is refused: it does not divide an hour',
    (periodMinutes) => {
      expect(verdict(rulesItem({ periodMinutes }))).toBe(SettingsError.Item);
    },
  );

  it.each([DoubtRule.Switch, DoubtRule.Keep, DoubtRule.Suspend])('doubt rule %d is taken', (doubt) => {
    expect(verdict(rulesItem({ doubt }))).toBe(SettingsError.None);
  });

  it.each([LogFullRule.Invalid, LogFullRule.Mark])('rule %d for a full logbook is taken', (logFull) => {
    expect(verdict(rulesItem({ logFull }))).toBe(SettingsError.None);
  });

  it.each([{ doubt: DoubtRule.Suspend + 1 }, { doubt: 255 }, { logFull: LogFullRule.Mark + 1 }, { reserved: 1 }])(
    '%o is refused',
    (rules) => {
      expect(verdict(rulesItem(rules))).toBe(SettingsError.Item);
    },
  );

  it('come once, and whole', () => {
    expect(verdict(rulesItem({}), rulesItem({}))).toBe(SettingsError.Item);
    const short = rulesItem({}).subarray(0, 13);
    expect(verdict(Buffer.concat([Buffer.of(short[0]!, 11), short.subarray(2)]))).toBe(SettingsError.Item);
  });
});

describe('a calibration', () => {
  const at = 1_790_000_000;

  it.each([
    { at, until: at + 1 },
    { at: 0, until: 1 },
    { at, until: 2n ** 62n },
    { at, until: at + 1, id: 'x'.repeat(32) },
  ])('%o is taken', (calibration) => {
    expect(verdict(calibrationItem(calibration))).toBe(SettingsError.None);
  });

  it.each([
    { at, until: at },
    { at, until: at - 1 },
    { at: -1, until: at },
    { at, until: at + 1, uncertaintyPpb: 0 },
    { at, until: at + 1, id: '' },
    { at, until: at + 1, id: 'x'.repeat(33) },
  ])('%o is refused', (calibration) => {
    expect(verdict(calibrationItem(calibration))).toBe(SettingsError.Item);
  });

  it('comes once, and its id is as long as the item says', () => {
    expect(verdict(calibrationItem({ at, until: at + 1 }), calibrationItem({ at, until: at + 1 }))).toBe(
      SettingsError.Item,
    );
    const longer = calibrationItem({ at, until: at + 1 });
    longer[2 + 20] = 6;
    expect(verdict(longer)).toBe(SettingsError.Item);
  });
});

describe('registers', () => {
  it('are up to four', () => {
    expect(verdict(...Array.from({ length: 4 }, () => registerItem()))).toBe(SettingsError.None);
    expect(verdict(...Array.from({ length: 5 }, () => registerItem()))).toBe(SettingsError.Item);
  });

  it('have eight bytes each', () => {
    expect(verdict(registerItem([1, 0, 1, 8, 0, 255, 0]))).toBe(SettingsError.Item);
    expect(verdict(registerItem([1, 0, 1, 8, 0, 255, 0, 30, 0]))).toBe(SettingsError.Item);
  });
});
