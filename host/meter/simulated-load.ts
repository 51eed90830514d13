// Registers of a household that is not there, for meters in software: what they count follows from the time alone, so each
// start goes on where the last one ended.
// What always holds: energy never falls; a register has the unit and scale that the meter's settings say, and what the
// household does not have (exported energy, other units) is 0.
import { SettingsField, SettingsFormat, SettingsTag, StorageMap } from '../../as/abi/codes.ts';
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

interface Register {
  readonly quantity: number;
  readonly scale: number;
  readonly unit: number;
}

/** The registers that a settings block names; none where there is no block. */
function registersOf(block: Uint8Array): Register[] {
  const view = new DataView(block.buffer, block.byteOffset, block.byteLength);
  if (block.length < StorageMap.SettingsBytes || view.getUint32(0, true) !== SettingsFormat.Magic) return [];
  const registers: Register[] = [];
  const end = Math.min(SettingsField.Items + view.getUint16(SettingsField.ItemsBytes, true), block.length - 2);
  for (let at: number = SettingsField.Items; at < end; at += 2 + block[at + 1]!) {
    if (block[at] !== SettingsTag.Register || block[at + 1] !== 8) continue;
    registers.push({ quantity: block[at + 4]!, scale: view.getInt8(at + 8), unit: block[at + 9]! });
  }
  return registers;
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

function reading({ quantity, scale, unit }: Register, seconds: number): bigint {
  if (quantity !== imported || (unit !== watts && unit !== wattHours)) return 0n;
  const value = unit === watts ? power(seconds) : energy(seconds);
  return BigInt(Math.floor(value / 10 ** scale));
}

/**
 * The registers of the settings in a meter's storage, for `SoftwareMeterOptions.registers`.
 * @param nowMs Unix milliseconds
 */
export function simulatedRegisters(storage: MeterStorage, nowMs: () => number = Date.now): () => Promise<bigint[]> {
  let registers: Promise<Register[]> | undefined;
  const read = async () => registersOf(await storage.read(StorageMap.Settings, StorageMap.SettingsBytes));
  return async () => {
    const seconds = Math.max((nowMs() - beginMs) / 1000, 0);
    registers ??= read();
    return (await registers).map((register) => reading(register, seconds));
  };
}
