// Registers of a household that is not there, for meters in software: what they count follows from the time alone, so each
// start goes on where the last one ended.
// What always holds: energy never falls; a register has the unit and scale that the meter's settings say, and what the
// household does not have (exported energy, other units) is 0.
import { SettingsTag, StorageMap } from '../../as/abi/codes.ts';
import { SettingsBlockError, settingsItems } from '../provision/settings-items.ts';
import { decodeRegister, obisBytes, type Register } from '../provision/tariff-settings.ts';
import type { MeterStorage } from './parts.ts';

/** It counts from here on: 2026-01-01 00:00 UTC. */
const beginMs = Date.UTC(2026, 0, 1);
const daySeconds = 86_400;
/** In the middle of the night, and what is added to it over the day: most at noon (UTC), W. */
const nightWatts = 200;
const dayWatts = 600;

/** DLMS units. */
const watts = 27;
const wattHours = 30;
/** Value group C of OBIS: active power or energy, imported. */
const imported = 1;

/** The registers that settings name; none where there are no settings that hold. */
function registersOf(storage: Uint8Array): Register[] {
  try {
    const items = settingsItems(storage).filter(({ tag }) => tag === SettingsTag.Register);
    return items.flatMap(({ value }) => decodeRegister(value) ?? []);
  } catch (error) {
    // The meter tells what is wrong with them.
    if (!(error instanceof SettingsBlockError)) throw error;
    return [];
  }
}

/** Power that the household takes at a time, W. */
function power(seconds: number): number {
  return nightWatts + (dayWatts / 2) * (1 - Math.cos((2 * Math.PI * seconds) / daySeconds));
}

/** Energy that it has taken since the begin, Wh: the integral of its power. */
function energy(seconds: number): number {
  const turn = (2 * Math.PI) / daySeconds;
  return (nightWatts * seconds + (dayWatts / 2) * (seconds - Math.sin(turn * seconds) / turn)) / 3600;
}

function reading({ obis, scale, unit }: Register, seconds: number): bigint {
  const quantity = obisBytes(obis)?.[2];
  if (quantity !== imported || (unit !== watts && unit !== wattHours)) return 0n;
  const value = unit === watts ? power(seconds) : energy(seconds);
  return BigInt(Math.floor(value / 10 ** scale));
}

/**
 * The registers of the settings in a meter's storage, for `SoftwareMeterOptions.registers`.
 * @param nowMs Unix milliseconds
 */
export function simulatedRegisters(storage: MeterStorage, nowMs: () => number = Date.now): () => Promise<bigint[]> {
  let registers: readonly Register[] | undefined;
  return async () => {
    const seconds = Math.max((nowMs() - beginMs) / 1000, 0);
    registers ??= registersOf(await storage.read(StorageMap.Settings, StorageMap.SettingsBytes));
    return registers.map((register) => reading(register, seconds));
  };
}
