// The settings block of the storage, checked as a whole before any of it counts.
// What always holds: after `settingsRead` returned `SettingsError.None`, each required item is there once and in range.

import { clear, copy } from '../abi/bytes';
import {
  CalibrationField,
  DoubtRule,
  LogFullRule,
  ProfileField,
  SettingsError,
  SettingsField,
  SettingsFormat,
  SettingsTag,
  StorageMap,
  TariffRulesField,
  TrustPolicy,
} from '../abi/codes';
import { aeadKeyBytes } from '../aead/aead';
import { AES_KEY_BYTES } from '../aead/aes';
import { rulesConfigure } from '../clock/rules';
import { crc32 } from '../link/crc32';
import { AEADS_MAX } from '../nts/key-establishment';

const CRC_BYTES: u32 = 4;
const METER_ID_MAX: u32 = 32;
const CALIBRATION_ID_MAX: u32 = 32;
/** Servers that the settings can name; the core may use fewer at once. */
const NAMED_MAX: u32 = 4;
/** With an NTP server of 64 bytes, the longest that is accepted, both still fit into a time report. */
const SERVER_NAME_MAX: u32 = 63;
/** An unknown item with this bit in its tag may be skipped. */
const TAG_OPTIONAL: u32 = 0x80;

const POLL_MIN_SECONDS: u32 = 1;
export const POLL_MAX_SECONDS: u32 = 36_000;

/** The meter's id: a text of at most 32 bytes. */
export const METER_ID: usize = memory.data(36, 4);

/** The root key, 16 bytes. */
export const ROOT_KEY: usize = memory.data(16, 4);

// Servers: port u16, then a text of at most 63 bytes.
const SERVER_BYTES: u32 = 68;
const SERVERS: usize = memory.data(272, 4);

let servers: u32 = 0;
let trustPolicy: u32 = 0;
let pollMin: u32 = 64;
let pollMax: u32 = 1024;
let reportSeconds: u32 = 10;
let keyAgeHours: u32 = 672;
let agreement: u32 = 0;
let spreadSeconds: u32 = 300;
let stratumMax: u32 = 15;
let rootDelayMaxMs: u32 = 3000;
let rootDispersionMaxMs: u32 = 1500;
let asymmetryPercent: u32 = 100;

// AEADs offered, u8 each: AES-128-GCM-SIV, whose packets are shortest, first.
const AEADS: usize = memory.data<u8>([30, 15, 16, 17], 4);
let aeads: u32 = 4;

// Registers: OBIS code (6 bytes), scale i8, unit u8.
const REGISTER_BYTES: u32 = 8;
const REGISTERS_MAX: u32 = 4;
let registers: u32 = 0;
let calibrated: bool = false;

// Periods of 15 minutes; time is good enough within 1 s of uncertainty and 9 s of bound.
const TARIFF_RULES: usize = TARIFF == 0 ? 0 : memory.data<u8>([15, 0, 0, 0, 0xe8, 3, 0, 0, 0x28, 0x23, 0, 0], 4);
const CALIBRATION: usize = TARIFF == 0 ? 0 : memory.data(56, 8);
const REGISTERS: usize = TARIFF == 0 ? 0 : memory.data(32, 4);

const UPDATE_KEY_BYTES: u32 = 32;
const UPDATE_KEY: usize = UPDATE == 0 ? 0 : memory.data(32, 4);
let updateKeyed: bool = false;

const HOUR_NS: i64 = 3_600_000_000_000;
const MILLISECOND_NS: i64 = 1_000_000;

/** NTS-KE servers configured. */
export function settingsServers(): u32 {
  return servers;
}
/** A server: its port (u16), then its name (text). */
export function settingsServer(index: u32): usize {
  return SERVERS + index * SERVER_BYTES;
}
/** Port of a server. */
export function settingsServerPort(index: u32): u32 {
  return load<u16>(SERVERS + index * SERVER_BYTES);
}
/** Name of a server: a text. */
export function settingsServerName(index: u32): usize {
  return SERVERS + index * SERVER_BYTES + 2;
}
/** `TrustPolicy` bits. */
export function settingsTrustPolicy(): u32 {
  return trustPolicy;
}
/** Whether the link is to be sealed. */
export function settingsLinkSealed(): bool {
  return servers != 0 && (trustPolicy & TrustPolicy.SealedLink) != 0;
}
/** Shortest poll interval, s. */
export function settingsPollMin(): u32 {
  return pollMin;
}
/** Longest poll interval, s. */
export function settingsPollMax(): u32 {
  return pollMax;
}
/** Interval of time reports, s. */
export function settingsReportSeconds(): u32 {
  return reportSeconds;
}

/** AEADs to offer, u8 each, the preferred one first. */
export function settingsAeads(): usize {
  return AEADS;
}
/** How many of them. */
export function settingsAeadCount(): u32 {
  return aeads;
}
/** Whether an AEAD is among those to offer. */
export function settingsOffer(aead: u32): bool {
  for (let i: u32 = 0; i < aeads; i++) {
    if (load<u8>(AEADS + i) == aead) return true;
  }
  return false;
}
/** Age at which keys are replaced, ns. */
export function settingsKeyAgeNs(): i64 {
  return <i64>keyAgeHours * HOUR_NS;
}
/** Servers that have to agree; 0: more than half of those in use. */
export function settingsAgreement(): u32 {
  return agreement;
}
/** Over how long a fleet's key establishments are spread after a start, s. */
export function settingsSpreadSeconds(): u32 {
  return spreadSeconds;
}
/** Largest stratum that a server may have. */
export function settingsStratumMax(): u32 {
  return stratumMax;
}
/** Largest root delay, ns. */
export function settingsRootDelayMaxNs(): i64 {
  return <i64>rootDelayMaxMs * MILLISECOND_NS;
}
/** Largest root dispersion, ns. */
export function settingsRootDispersionMaxNs(): i64 {
  return <i64>rootDispersionMaxMs * MILLISECOND_NS;
}

/** Share of the smallest delay that may be one-sided, percent: what the uncertainty counts for the path. */
export function settingsAsymmetryPercent(): u32 {
  return asymmetryPercent;
}

/** What is recorded, and what time is good enough for it: `TariffRulesField`. */
export function settingsTariffRules(): usize {
  return TARIFF_RULES;
}
/** The calibration of the meter's clock, `CalibrationField`; 0 without one. */
export function settingsCalibration(): usize {
  return calibrated ? CALIBRATION : 0;
}
/** Registers that are recorded, at most four. */
export function settingsRegisters(): u32 {
  return registers;
}
/** A register, 8 bytes: OBIS code (6 bytes), scale i8 (power of ten), unit u8 (DLMS unit). */
export function settingsRegister(index: u32): usize {
  return REGISTERS + index * REGISTER_BYTES;
}

/** Ed25519 public key that updates have to be signed with, 32 bytes; 0 without one. */
export function settingsUpdateKey(): usize {
  return UPDATE != 0 && updateKeyed ? UPDATE_KEY : 0;
}

/** Reads the block at `at`, `length` bytes of it; returns `SettingsError`. */
export function settingsRead(at: usize, length: u32): u32 {
  const error = readBlock(at, length);
  if (error != SettingsError.None) forget();
  return error;
}

/** What `settingsRead` would say of a block; only for a meter that has no settings, and none afterwards. */
export function settingsCheck(at: usize, length: u32): u32 {
  const error = readBlock(at, length);
  forget();
  return error;
}

function forget(): void {
  servers = 0;
  clear(METER_ID, 36);
  clear(ROOT_KEY, AES_KEY_BYTES);
  registers = 0;
  calibrated = false;
  updateKeyed = false;
}

function readBlock(at: usize, length: u32): u32 {
  if (length != StorageMap.SettingsBytes || load<u32>(at) != SettingsFormat.Magic) return SettingsError.Absent;
  const itemsBytes: u32 = load<u16>(at, SettingsField.ItemsBytes);
  if (itemsBytes > length - <u32>SettingsField.Items - CRC_BYTES) return SettingsError.Damaged;
  const end: u32 = SettingsField.Items + itemsBytes;
  if (crc32(at, end) != load<u32>(at + end)) return SettingsError.Damaged;
  if (load<u16>(at, SettingsField.Version) != SettingsFormat.Version) return SettingsError.Version;

  let seen: u32 = 0;
  let item: u32 = SettingsField.Items;
  while (item < end) {
    if (end - item < 2) return SettingsError.Damaged;
    const tag: u32 = load<u8>(at + item);
    const size: u32 = load<u8>(at + item + 1);
    if (size > end - item - 2) return SettingsError.Damaged;
    let once = tag != SettingsTag.Server && tag < 32;
    if (TARIFF != 0) once = once && tag != SettingsTag.Register;
    if (once && (seen & (1 << tag)) != 0) return SettingsError.Item;
    if (tag < 32) seen |= 1 << tag;
    if (!readItem(tag, at + item + 2, size)) return SettingsError.Item;
    item += 2 + size;
  }
  const required: u32 =
    (1 << SettingsTag.MeterId) |
    (1 << SettingsTag.RootKey) |
    (1 << SettingsTag.Server) |
    (1 << SettingsTag.TrustPolicy);
  return (seen & required) == required ? SettingsError.None : SettingsError.Item;
}

function readItem(tag: u32, value: usize, size: u32): bool {
  switch (tag) {
    case SettingsTag.MeterId:
      return readMeterId(value, size);
    case SettingsTag.RootKey:
      if (size != AES_KEY_BYTES) return false;
      copy(ROOT_KEY, value, AES_KEY_BYTES);
      return true;
    case SettingsTag.Server:
      return readServer(value, size);
    case SettingsTag.TrustPolicy:
      if (size != 1) return false;
      trustPolicy = load<u8>(value);
      return true;
    case SettingsTag.Poll:
      if (size != 4) return false;
      pollMin = load<u16>(value);
      pollMax = load<u16>(value, 2);
      return pollMin >= POLL_MIN_SECONDS && pollMin <= pollMax && pollMax <= POLL_MAX_SECONDS;
    case SettingsTag.ReportSeconds:
      if (size != 2) return false;
      reportSeconds = load<u16>(value);
      return reportSeconds >= 1;
    case SettingsTag.Aeads:
      return readAeads(value, size);
    case SettingsTag.KeyAgeHours:
      if (size != 2) return false;
      keyAgeHours = load<u16>(value);
      return keyAgeHours >= 1;
    case SettingsTag.Agreement:
      if (size != 1) return false;
      agreement = load<u8>(value);
      return agreement <= NAMED_MAX;
    case SettingsTag.SpreadSeconds:
      if (size != 2) return false;
      spreadSeconds = load<u16>(value);
      return true;
    case SettingsTag.Limits:
      if (size != 5) return false;
      stratumMax = load<u8>(value);
      rootDelayMaxMs = load<u16>(value, 1);
      rootDispersionMaxMs = load<u16>(value, 3);
      return stratumMax >= 1 && stratumMax <= 15;
    case SettingsTag.Asymmetry:
      if (size != 1) return false;
      asymmetryPercent = load<u8>(value);
      return asymmetryPercent <= 100;
    case SettingsTag.Profile:
      return size == ProfileField.Bytes && rulesConfigure(value);
    case SettingsTag.UpdateKey:
      return UPDATE == 0 || readUpdateKey(value, size);
    default:
      if (TARIFF != 0 && tag >= <u32>SettingsTag.TariffRules && tag <= <u32>SettingsTag.Register) {
        return readTariffItem(tag, value, size);
      }
      return (tag & TAG_OPTIONAL) != 0;
  }
}

function readUpdateKey(value: usize, size: u32): bool {
  if (updateKeyed || size != UPDATE_KEY_BYTES) return false;
  copy(UPDATE_KEY, value, UPDATE_KEY_BYTES);
  updateKeyed = true;
  return true;
}

function readTariffItem(tag: u32, value: usize, size: u32): bool {
  if (tag == SettingsTag.TariffRules) return readTariffRules(value, size);
  if (tag == SettingsTag.Calibration) return readCalibration(value, size);
  if (registers == REGISTERS_MAX || size != REGISTER_BYTES) return false;
  copy(settingsRegister(registers), value, REGISTER_BYTES);
  registers += 1;
  return true;
}

function readTariffRules(value: usize, size: u32): bool {
  if (size != TariffRulesField.Bytes) return false;
  const period: u32 = load<u8>(value, TariffRulesField.PeriodMinutes);
  if (period != 0 && 60 % period != 0) return false;
  if (load<u8>(value, TariffRulesField.Doubt) > <u8>DoubtRule.Suspend) return false;
  if (load<u8>(value, TariffRulesField.LogFull) > <u8>LogFullRule.Mark) return false;
  if (load<u8>(value, TariffRulesField.Reserved) != 0) return false;
  copy(TARIFF_RULES, value, TariffRulesField.Bytes);
  return true;
}

function readCalibration(value: usize, size: u32): bool {
  if (size < <u32>CalibrationField.Id + 2) return false;
  const idBytes: u32 = load<u8>(value, CalibrationField.Id);
  if (idBytes < 1 || idBytes > CALIBRATION_ID_MAX || size != <u32>CalibrationField.Id + 1 + idBytes) return false;
  const at = load<i64>(value, CalibrationField.At);
  if (at < 0 || load<i64>(value, CalibrationField.Until) <= at) return false;
  if (load<u32>(value, CalibrationField.UncertaintyPpb) == 0) return false;
  copy(CALIBRATION, value, size);
  calibrated = true;
  return true;
}

function readMeterId(value: usize, size: u32): bool {
  if (size < 1 || size > METER_ID_MAX) return false;
  for (let i: u32 = 0; i < size; i++) {
    const c: u32 = load<u8>(value + i);
    const letter = (c | 0x20) >= 0x61 && (c | 0x20) <= 0x7a;
    const digit = c >= 0x30 && c <= 0x39;
    if (!letter && !digit && c != 0x2d && c != 0x2e && c != 0x5f) return false;
  }
  store<u8>(METER_ID, <u8>size);
  copy(METER_ID + 1, value, size);
  return true;
}

// One to four that are known, none twice.
function readAeads(value: usize, size: u32): bool {
  if (size < 1 || size > AEADS_MAX) return false;
  for (let i: u32 = 0; i < size; i++) {
    if (aeadKeyBytes(load<u8>(value + i)) == 0) return false;
    for (let j: u32 = 0; j < i; j++) {
      if (load<u8>(value + i) == load<u8>(value + j)) return false;
    }
  }
  copy(AEADS, value, size);
  aeads = size;
  return true;
}

function readServer(value: usize, size: u32): bool {
  if (servers == NAMED_MAX || size < 3 || size > 2 + SERVER_NAME_MAX) return false;
  for (let i: u32 = 2; i < size; i++) {
    // Printable ASCII, so that reports with it are text.
    if (load<u8>(value + i) <= 0x20 || load<u8>(value + i) >= 0x7f) return false;
  }
  const at = SERVERS + servers * SERVER_BYTES;
  store<u16>(at, load<u16>(value));
  store<u8>(at, <u8>(size - 2), 2);
  copy(at + 3, value + 2, size - 2);
  servers += 1;
  return load<u16>(at) != 0;
}
