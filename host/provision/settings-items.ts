// The items of a settings block (SettingsField, SettingsTag), whatever they say.
// What always holds: nothing but a block whose version, lengths and CRC-32 hold is believed; no error holds a byte of it.
import { crc32 } from 'node:zlib';
import { SettingsField, SettingsFormat, type SettingsTag, StorageMap } from '../../as/abi/codes.ts';

/** Where a setting stands: `poll`, `minSeconds`; `servers`, 0. */
export type SettingPath = readonly (string | number)[];

/** Settings cannot be written, or a block cannot be read. */
export class SettingsBlockError extends Error {
  constructor(
    readonly code: 'settings-value' | 'settings-absent' | 'settings-version' | 'settings-damaged',
    message: string,
    /** What the message is about; empty for all of them. */
    readonly setting: SettingPath = [],
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = 'SettingsBlockError';
  }
}

export const crcBytes = 4;

export interface SettingsItem {
  readonly tag: SettingsTag;
  readonly value: Buffer;
}

/** @throws {SettingsBlockError} settings-damaged */
export function damagedSettings(what: string): never {
  throw new SettingsBlockError('settings-damaged', `the settings block is damaged: ${what}`);
}

/**
 * In their order.
 * @param storage that begins with the block
 * @throws {SettingsBlockError} settings-absent, settings-version, settings-damaged
 */
export function settingsItems(storage: Uint8Array): SettingsItem[] {
  const block = storage.subarray(StorageMap.Settings, StorageMap.Settings + StorageMap.SettingsBytes);
  const bytes = Buffer.from(block.buffer, block.byteOffset, block.length);
  if (bytes.length < StorageMap.SettingsBytes || bytes.readUInt32LE(SettingsField.Magic) !== SettingsFormat.Magic) {
    throw new SettingsBlockError('settings-absent', 'there is no settings block');
  }
  const end = SettingsField.Items + bytes.readUInt16LE(SettingsField.ItemsBytes);
  if (end + crcBytes > bytes.length) damagedSettings('its items are longer than the block');
  if (crc32(bytes.subarray(0, end)) !== bytes.readUInt32LE(end)) damagedSettings('its CRC-32 does not hold');
  const version = bytes.readUInt16LE(SettingsField.Version);
  if (version !== SettingsFormat.Version) {
    throw new SettingsBlockError(
      'settings-version',
      `the settings block has version ${version}, this program knows ${SettingsFormat.Version}`,
    );
  }
  const items: SettingsItem[] = [];
  for (let at: number = SettingsField.Items; at < end; ) {
    const length = bytes[at + 1] ?? 0;
    const next = at + 2 + length;
    if (next > end) damagedSettings('an item is longer than the block');
    items.push({ tag: bytes[at]!, value: bytes.subarray(at + 2, next) });
    at = next;
  }
  return items;
}
