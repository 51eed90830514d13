// Settings of tariffs and records for tests, as items of the settings block, also such as no encoder would make.
// What always holds: the block's lengths and CRC-32 are right whatever the items are.
import { crc32 } from 'node:zlib';
import { CalibrationField, SettingsField, SettingsTag, StorageMap, TariffRulesField } from '../../as/abi/codes.ts';

/** What is recorded, and what time is good enough for it; what is left out is the core's default. */
export interface Rules {
  readonly periodMinutes?: number;
  readonly doubt?: number;
  readonly logFull?: number;
  readonly uncertaintyMaxMs?: number;
  readonly boundMaxMs?: number;
  readonly reserved?: number;
}

export interface Calibration {
  readonly at: number | bigint;
  readonly until: number | bigint;
  readonly uncertaintyPpb?: number;
  readonly id?: string;
}

/** An item: tag, length, value. */
function item(tag: SettingsTag, value: Uint8Array): Buffer {
  return Buffer.concat([Buffer.of(tag, value.length), value]);
}

export function rulesItem(rules: Rules): Buffer {
  const value = Buffer.alloc(TariffRulesField.Bytes);
  value[TariffRulesField.PeriodMinutes] = rules.periodMinutes ?? 15;
  value[TariffRulesField.Doubt] = rules.doubt ?? 0;
  value[TariffRulesField.LogFull] = rules.logFull ?? 0;
  value[TariffRulesField.Reserved] = rules.reserved ?? 0;
  value.writeUInt32LE(rules.uncertaintyMaxMs ?? 1000, TariffRulesField.UncertaintyMaxMs);
  value.writeUInt32LE(rules.boundMaxMs ?? 9000, TariffRulesField.BoundMaxMs);
  return item(SettingsTag.TariffRules, value);
}

export function calibrationItem({ at, until, uncertaintyPpb = 500, id = 'DKD-1' }: Calibration): Buffer {
  const text = Buffer.from(id);
  const value = Buffer.alloc(CalibrationField.Id + 1 + text.length);
  value.writeBigInt64LE(BigInt(at), CalibrationField.At);
  value.writeBigInt64LE(BigInt(until), CalibrationField.Until);
  value.writeUInt32LE(uncertaintyPpb, CalibrationField.UncertaintyPpb);
  value[CalibrationField.Id] = text.length;
  value.set(text, CalibrationField.Id + 1);
  return item(SettingsTag.Calibration, value);
}

/** A register: active energy, import, total, in units of Wh. */
export function registerItem(bytes: readonly number[] = [1, 0, 1, 8, 0, 255, 0, 30]): Buffer {
  return item(SettingsTag.Register, Uint8Array.from(bytes));
}

/** The settings block with these items behind its own. */
export function withItems(block: Uint8Array, items: readonly Uint8Array[]): Uint8Array {
  const old = Buffer.from(block);
  const end = SettingsField.Items + old.readUInt16LE(SettingsField.ItemsBytes);
  const kept = Buffer.concat([old.subarray(0, end), ...items]);
  const made = Buffer.alloc(StorageMap.SettingsBytes);
  made.set(kept);
  made.writeUInt16LE(kept.length - SettingsField.Items, SettingsField.ItemsBytes);
  made.writeUInt32LE(crc32(made.subarray(0, kept.length)), kept.length);
  return new Uint8Array(made);
}
