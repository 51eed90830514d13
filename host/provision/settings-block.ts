// The settings block and seed slots of a meter's storage, as the core reads them: layouts in as/abi/codes.ts
// (StorageMap, SettingsField, SettingsTag, SeedField). What `encode` accepts, the core accepts.
// The root key is among the bytes of a block and in no text made from it.
import { crc32 } from 'node:zlib';
import { SeedField, SettingsField, SettingsFormat, SettingsTag, StorageMap, TrustPolicy } from '../../as/abi/codes.ts';
import { aeadChoice, aeadText, knownAeads } from './aeads.ts';
import type { HostPort } from './host-port.ts';
import { canonicalHost, hostProblem, quoted } from './host-port.ts';
import { crcBytes, damagedSettings, type SettingPath, SettingsBlockError, settingsItems } from './settings-items.ts';
import {
  type Calibration,
  calibrationProblem,
  decodeCalibration,
  decodeRegister,
  decodeTariffRules,
  encodeCalibration,
  encodeRegister,
  encodeTariffRules,
  type Register,
  registersProblem,
  type TariffRules,
  type TariffSettingsProblem,
  tariffRulesProblem,
} from './tariff-settings.ts';
import { decodeTimeRules, encodeTimeRules, type TimeRules, timeRulesProblem } from './time-rules.ts';

export { type SettingPath, SettingsBlockError } from './settings-items.ts';

/** What a meter is told before its first start. */
export interface MeterSettings {
  /** 1 to 32 letters, digits, dots, dashes, underscores. */
  readonly id: string;
  /** NTS-KE servers: 1 to 4, of which the meter uses as many at once as it can, the others when one of these fails. */
  readonly servers: readonly HostPort[];
  /** Without any trusted time, one key establishment may ignore certificate dates; they are checked afterwards. */
  readonly firstDatesUnchecked: boolean;
  /** The link is sealed under the link key, and never open. */
  readonly sealedLink?: boolean | undefined;
  /** Shortest and longest poll interval. */
  readonly poll: { readonly minSeconds: number; readonly maxSeconds: number };
  /** Interval of time reports. */
  readonly reportSeconds: number;
  /** AEADs offered, the preferred one first; the core's own choice where missing, as all that follows. */
  readonly aeads?: readonly number[] | undefined;
  /** Age at which keys are replaced. */
  readonly keyAgeHours?: number | undefined;
  /** How many servers have to agree; `majority`: more than half of those in use. */
  readonly agreement?: Agreement | undefined;
  /** After a start that is not the first, key establishments wait a random time up to this. */
  readonly spreadSeconds?: number | undefined;
  /** What a server may have at most. */
  readonly limits?: ServerLimits | undefined;
  /** Share of the smallest delay that may be one-sided: what the uncertainty counts for the path. */
  readonly asymmetryPercent?: number | undefined;
  /** What may be done with corrections of the clock. */
  readonly timeRules?: TimeRules | undefined;
  /** What is recorded, and what time is good enough for it. A meter without tariffs refuses this and what follows. */
  readonly tariff?: TariffRules | undefined;
  /** Of the meter's clock. */
  readonly calibration?: Calibration | undefined;
  /** What records carry, at most four. */
  readonly registers?: readonly Register[] | undefined;
  /** Ed25519 public key that updates of the software have to be signed with, 32 bytes; without one none are taken. */
  readonly updateKey?: Uint8Array | undefined;
}

export type Agreement = 'majority' | number;

export interface ServerLimits {
  readonly stratum: number;
  readonly rootDelayMs: number;
  readonly rootDispersionMs: number;
}

export const settingsLimits = {
  idBytes: 32,
  servers: 4,
  hostBytes: 63,
  pollSeconds: { least: 1, most: 36_000 },
  reportSeconds: { least: 1, most: 65_535 },
  keyAgeHours: { least: 1, most: 65_535 },
  spreadSeconds: { least: 0, most: 65_535 },
  stratum: { least: 1, most: 15 },
  asymmetryPercent: { least: 0, most: 100 },
  rootMs: { least: 0, most: 65_535 },
  rootKeyBytes: 16,
  seedBytes: 32,
  updateKeyBytes: 32,
} as const;

/** What the core takes where the block says nothing. */
export const settingsDefaults = {
  firstDatesUnchecked: true,
  poll: { minSeconds: 64, maxSeconds: 1024 },
  reportSeconds: 10,
} as const;

/** The same for what a block usually does not say. */
export const coreDefaults = {
  aeads: knownAeads,
  keyAgeHours: 672,
  agreement: 'majority',
  spreadSeconds: 300,
  limits: { stratum: 15, rootDelayMs: 3000, rootDispersionMs: 1500 },
  asymmetryPercent: 100,
} as const;

function refuse(message: string, ...setting: SettingPath): never {
  throw new SettingsBlockError('settings-value', message, setting);
}

interface Range {
  readonly least: number;
  readonly most: number;
}

function checkNumber(name: string, value: number, { least, most }: Range, unit = ''): void {
  if (!Number.isInteger(value) || value < least || value > most) {
    refuse(`${name}: expected a whole number${unit} from ${least} to ${most}, came ${value}`, ...name.split('.'));
  }
}

function checkSeconds(name: string, value: number, range: Range): void {
  checkNumber(name, value, range, ' of seconds');
}

/**
 * What a meter is to be told.
 * @throws {SettingsBlockError} settings-value for the first thing that the core would refuse, and for a server that came
 * twice, whatever the spelling: it would agree with itself
 */
export function checkSettings(settings: MeterSettings): void {
  checkBlock(settings);
  const names = settings.servers.map(({ host, port }) => `${canonicalHost(host)} ${port}`);
  for (const [index, { host, port }] of settings.servers.entries()) {
    const before = names.indexOf(names[index]!);
    if (before === index) continue;
    const first = settings.servers[before]!.host;
    const as = first === host ? '' : ` (first as ${first})`;
    refuse(`servers: expected each server once, ${host} port ${port} came twice${as}`, 'servers', index);
  }
}

function checkBlock(settings: MeterSettings): void {
  const { id, servers, poll, reportSeconds } = settings;
  if (!/^[A-Za-z0-9._-]{1,32}$/.test(id)) {
    refuse(`id: expected 1 to 32 letters, digits, dots, dashes and underscores, came ${quoted(id)}`, 'id');
  }
  if (servers.length < 1 || servers.length > settingsLimits.servers) {
    refuse(`servers: expected 1 to ${settingsLimits.servers} NTS-KE servers, came ${servers.length}`, 'servers');
  }
  for (const [index, { host, port }] of servers.entries()) {
    const problem = hostProblem(host);
    if (problem !== undefined) refuse(`servers: ${problem}, came ${quoted(host)}`, 'servers', index);
    if (!Number.isInteger(port) || port < 1 || port > 65_535) {
      refuse(`servers: expected a port from 1 to 65535 for ${host}, came ${port}`, 'servers', index);
    }
  }
  checkSeconds('poll.minSeconds', poll.minSeconds, settingsLimits.pollSeconds);
  checkSeconds('poll.maxSeconds', poll.maxSeconds, settingsLimits.pollSeconds);
  if (poll.minSeconds > poll.maxSeconds) {
    refuse(
      `poll: expected minSeconds no larger than maxSeconds, came ${poll.minSeconds} and ${poll.maxSeconds}`,
      'poll',
    );
  }
  checkSeconds('reportSeconds', reportSeconds, settingsLimits.reportSeconds);
  checkChoices(settings);
}

/** What a block says only where it is given. */
function checkChoices(settings: MeterSettings): void {
  const { servers, aeads, keyAgeHours, agreement, spreadSeconds, limits, asymmetryPercent, timeRules } = settings;
  if (aeads !== undefined) checkAeads(aeads);
  if (keyAgeHours !== undefined) checkNumber('keyAgeHours', keyAgeHours, settingsLimits.keyAgeHours, ' of hours');
  if (typeof agreement === 'number') {
    checkNumber('agreement', agreement, { least: 1, most: settingsLimits.servers });
    if (agreement > servers.length) {
      refuse(
        `agreement: expected at most ${servers.length}, as many as there are servers, came ${agreement}`,
        'agreement',
      );
    }
  }
  if (spreadSeconds !== undefined) checkSeconds('spreadSeconds', spreadSeconds, settingsLimits.spreadSeconds);
  if (asymmetryPercent !== undefined) {
    checkNumber('asymmetryPercent', asymmetryPercent, settingsLimits.asymmetryPercent, ' of percent');
  }
  if (limits !== undefined) {
    checkNumber('limits.stratum', limits.stratum, settingsLimits.stratum);
    checkNumber('limits.rootDelayMs', limits.rootDelayMs, settingsLimits.rootMs, ' of milliseconds');
    checkNumber('limits.rootDispersionMs', limits.rootDispersionMs, settingsLimits.rootMs, ' of milliseconds');
  }
  const { updateKey } = settings;
  if (updateKey !== undefined && updateKey.length !== settingsLimits.updateKeyBytes) {
    refuse(`updateKey: expected ${settingsLimits.updateKeyBytes} bytes, came ${updateKey.length}`, 'updateKey');
  }
  const problem = timeRules && timeRulesProblem(timeRules);
  if (problem) refuse(`timeRules.${problem.setting}: ${problem.message}`, 'timeRules', problem.setting);
  checkTariffSettings(settings);
}

function checkTariffSettings({ tariff, calibration, registers }: MeterSettings): void {
  const problems: [string, TariffSettingsProblem | undefined][] = [
    ['tariff', tariff && tariffRulesProblem(tariff)],
    ['calibration', calibration && calibrationProblem(calibration)],
    ['registers', registers && registersProblem(registers)],
  ];
  for (const [name, problem] of problems) {
    if (problem === undefined) continue;
    const path = problem.setting.map((part) => (typeof part === 'number' ? `[${part + 1}]` : `.${part}`)).join('');
    refuse(`${name}${path}: ${problem.message}`, name, ...problem.setting);
  }
}

function checkAeads(aeads: readonly number[]): void {
  if (aeads.length === 0) refuse(`aeads: expected at least ${aeadChoice}`, 'aeads');
  for (const [index, aead] of aeads.entries()) {
    if (!knownAeads.some((known) => known === aead))
      refuse(`aeads: expected ${aeadChoice}, came ${aead}`, 'aeads', index);
    if (aeads.indexOf(aead) !== index)
      refuse(`aeads: expected each once, ${aeadText(aead)} came twice`, 'aeads', index);
  }
}

function item(tag: SettingsTag, value: Uint8Array): Uint8Array {
  return Uint8Array.of(tag, value.length, ...value);
}

function u16(value: number): number[] {
  return [value & 0xff, value >> 8];
}

function choices(settings: MeterSettings): Uint8Array[] {
  const { aeads, keyAgeHours, agreement, spreadSeconds, limits, asymmetryPercent, timeRules } = settings;
  const items: [SettingsTag, Iterable<number> | undefined][] = [
    [SettingsTag.Aeads, aeads],
    [SettingsTag.KeyAgeHours, keyAgeHours === undefined ? undefined : u16(keyAgeHours)],
    [SettingsTag.Agreement, agreement === undefined ? undefined : [agreement === 'majority' ? 0 : agreement]],
    [SettingsTag.SpreadSeconds, spreadSeconds === undefined ? undefined : u16(spreadSeconds)],
    [SettingsTag.Limits, limits && [limits.stratum, ...u16(limits.rootDelayMs), ...u16(limits.rootDispersionMs)]],
    [SettingsTag.Asymmetry, asymmetryPercent === undefined ? undefined : [asymmetryPercent]],
    [SettingsTag.Profile, timeRules && encodeTimeRules(timeRules)],
    [SettingsTag.TariffRules, settings.tariff && encodeTariffRules(settings.tariff)],
    [SettingsTag.Calibration, settings.calibration && encodeCalibration(settings.calibration)],
    [SettingsTag.UpdateKey, settings.updateKey],
    ...(settings.registers ?? []).map((each): [SettingsTag, Uint8Array] => [
      SettingsTag.Register,
      encodeRegister(each),
    ]),
  ];
  return items.flatMap(([tag, bytes]) => (bytes === undefined ? [] : [item(tag, Uint8Array.from(bytes))]));
}

/**
 * The settings block, `StorageMap.SettingsBytes` long.
 * @param rootKey 16 bytes
 * @throws {SettingsBlockError} settings-value
 */
export function encodeSettings(settings: MeterSettings, rootKey: Uint8Array): Uint8Array {
  checkSettings(settings);
  checkRootKey(rootKey);
  const items = Buffer.concat([
    item(SettingsTag.MeterId, Buffer.from(settings.id)),
    item(SettingsTag.RootKey, rootKey),
    ...settings.servers.map(({ host, port }) =>
      item(SettingsTag.Server, Uint8Array.of(...u16(port), ...Buffer.from(host))),
    ),
    item(SettingsTag.TrustPolicy, Uint8Array.of(trustPolicy(settings))),
    item(SettingsTag.Poll, Uint8Array.of(...u16(settings.poll.minSeconds), ...u16(settings.poll.maxSeconds))),
    item(SettingsTag.ReportSeconds, Uint8Array.of(...u16(settings.reportSeconds))),
    ...choices(settings),
  ]);
  const block = Buffer.alloc(StorageMap.SettingsBytes);
  const end = SettingsField.Items + items.length;
  if (end + crcBytes > block.length) refuse(`these settings need ${end + crcBytes} bytes, there are ${block.length}`);
  block.writeUInt32LE(SettingsFormat.Magic, SettingsField.Magic);
  block.writeUInt16LE(SettingsFormat.Version, SettingsField.Version);
  block.writeUInt16LE(items.length, SettingsField.ItemsBytes);
  block.set(items, SettingsField.Items);
  block.writeUInt32LE(crc32(block.subarray(0, end)), end);
  return new Uint8Array(block);
}

/** @throws {SettingsBlockError} settings-value; the message holds no byte of the key */
export function checkRootKey(rootKey: Uint8Array): void {
  if (rootKey.length !== settingsLimits.rootKeyBytes) {
    refuse(`root key: expected ${settingsLimits.rootKeyBytes} bytes, came ${rootKey.length}`);
  }
  if (rootKey.every((byte) => byte === rootKey[0])) refuse('root key: expected random bytes, all of them are the same');
}

function trustPolicy({ firstDatesUnchecked, sealedLink }: MeterSettings): number {
  return (firstDatesUnchecked ? TrustPolicy.FirstDatesUnchecked : 0) | (sealedLink ? TrustPolicy.SealedLink : 0);
}

/**
 * Reads a settings block.
 * @throws {SettingsBlockError} settings-absent, settings-version, settings-damaged
 */
export function decodeSettings(block: Uint8Array): { settings: MeterSettings; rootKey: Uint8Array } {
  let id = '';
  let rootKey = new Uint8Array(0);
  let firstDatesUnchecked = false;
  let sealedLink = false;
  let poll: MeterSettings['poll'] = settingsDefaults.poll;
  let reportSeconds: number = settingsDefaults.reportSeconds;
  let chosen: Partial<MeterSettings> = {};
  const servers: HostPort[] = [];
  for (const { tag, value } of settingsItems(block)) {
    if (tag === SettingsTag.MeterId) id = value.toString();
    else if (tag === SettingsTag.RootKey) rootKey = new Uint8Array(value);
    else if (tag === SettingsTag.Server && value.length > 2) {
      servers.push({ host: value.toString('utf8', 2), port: value.readUInt16LE(0) });
    } else if (tag === SettingsTag.TrustPolicy && value.length === 1) {
      firstDatesUnchecked = (value[0]! & TrustPolicy.FirstDatesUnchecked) !== 0;
      sealedLink = (value[0]! & TrustPolicy.SealedLink) !== 0;
    } else if (tag === SettingsTag.Poll && value.length === 4) {
      poll = { minSeconds: value.readUInt16LE(0), maxSeconds: value.readUInt16LE(2) };
    } else if (tag === SettingsTag.ReportSeconds && value.length === 2) reportSeconds = value.readUInt16LE(0);
    else {
      const choice = readChoice(tag, value, chosen);
      if (choice === undefined && (tag & 0x80) === 0) damagedSettings(`item ${tag} is unknown or has the wrong length`);
      chosen = { ...chosen, ...choice };
    }
  }
  const seal = sealedLink ? { sealedLink } : {};
  const settings = { id, servers, firstDatesUnchecked, ...seal, poll, reportSeconds, ...chosen };
  // A block that names one server twice is a meter's all the same: its root key is not to be lost for that.
  checkBlock(settings);
  return { settings, rootKey };
}

/** An item that a block may have; undefined for any other. */
function readChoice(
  tag: SettingsTag,
  value: Buffer,
  before: Partial<MeterSettings>,
): Partial<MeterSettings> | undefined {
  if (tag === SettingsTag.Aeads) return { aeads: [...value] };
  if (tag === SettingsTag.KeyAgeHours && value.length === 2) return { keyAgeHours: value.readUInt16LE(0) };
  if (tag === SettingsTag.Agreement && value.length === 1)
    return { agreement: value[0] === 0 ? 'majority' : value[0]! };
  if (tag === SettingsTag.SpreadSeconds && value.length === 2) return { spreadSeconds: value.readUInt16LE(0) };
  if (tag === SettingsTag.Asymmetry && value.length === 1) return { asymmetryPercent: value[0]! };
  if (tag === SettingsTag.Profile) {
    const timeRules = decodeTimeRules(value);
    return timeRules && { timeRules };
  }
  if (tag === SettingsTag.TariffRules) {
    const tariff = decodeTariffRules(value);
    return tariff && { tariff };
  }
  if (tag === SettingsTag.Calibration) {
    const calibration = decodeCalibration(value);
    return calibration && { calibration };
  }
  if (tag === SettingsTag.Register) {
    const register = decodeRegister(value);
    return register && { registers: [...(before.registers ?? []), register] };
  }
  if (tag === SettingsTag.UpdateKey && value.length === settingsLimits.updateKeyBytes) {
    return { updateKey: new Uint8Array(value) };
  }
  if (tag === SettingsTag.Limits && value.length === 5) {
    const [stratum, rootDelayMs, rootDispersionMs] = [value[0]!, value.readUInt16LE(1), value.readUInt16LE(3)];
    return { limits: { stratum, rootDelayMs, rootDispersionMs } };
  }
  return undefined;
}

/**
 * A seed slot, `StorageMap.SeedBytes` long.
 * @param seed 32 random bytes, used for nothing else
 */
export function encodeSeedSlot(seed: Uint8Array, count: number): Uint8Array {
  if (seed.length !== settingsLimits.seedBytes) {
    refuse(`seed: expected ${settingsLimits.seedBytes} bytes, came ${seed.length}`);
  }
  if (seed.every((byte) => byte === seed[0])) refuse('seed: expected random bytes, all of them are the same');
  const slot = Buffer.alloc(StorageMap.SeedBytes);
  slot.writeUInt32LE(count, SeedField.Count);
  slot.set(seed, SeedField.Seed);
  slot.writeUInt32LE(crc32(slot.subarray(0, SeedField.Crc)), SeedField.Crc);
  return new Uint8Array(slot);
}

/** Whether a slot holds a seed that the core would take. */
export function isSeedSlot(slot: Uint8Array): boolean {
  const bytes = Buffer.from(slot.buffer, slot.byteOffset, slot.length);
  return (
    bytes.length === StorageMap.SeedBytes &&
    crc32(bytes.subarray(0, SeedField.Crc)) === bytes.readUInt32LE(SeedField.Crc) &&
    bytes.subarray(SeedField.Seed, SeedField.Seed + settingsLimits.seedBytes).some((byte) => byte !== 0)
  );
}
