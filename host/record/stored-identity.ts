// Whose storage it is: the meter's id and root key among the settings in a storage, whatever else these say.
// What always holds: nothing but a block whose lengths and CRC-32 hold is believed; the root key is in no text.
import { crc32 } from 'node:zlib';
import { SettingsField, SettingsFormat, SettingsTag, StorageMap } from '../../as/abi/codes.ts';

export interface StoredIdentity {
  readonly meter: string;
  /** 16 bytes. */
  readonly rootKey: Uint8Array;
}

/** Undefined where the storage holds no settings, or damaged ones. */
export function storedIdentity(storage: Uint8Array): StoredIdentity | undefined {
  const block = Buffer.from(storage.subarray(StorageMap.Settings, StorageMap.Settings + StorageMap.SettingsBytes));
  if (block.length < StorageMap.SettingsBytes) return undefined;
  if (block.readUInt32LE(SettingsField.Magic) !== SettingsFormat.Magic) return undefined;
  const end = SettingsField.Items + block.readUInt16LE(SettingsField.ItemsBytes);
  if (end + 4 > block.length || crc32(block.subarray(0, end)) !== block.readUInt32LE(end)) return undefined;
  const items = new Map<number, Buffer>();
  for (let at: number = SettingsField.Items; at + 2 <= end; at += 2 + block[at + 1]!) {
    items.set(block[at]!, block.subarray(at + 2, at + 2 + block[at + 1]!));
  }
  const meter = items.get(SettingsTag.MeterId)?.toString('utf8');
  const rootKey = items.get(SettingsTag.RootKey);
  if (meter === undefined || rootKey?.length !== 16) return undefined;
  return { meter, rootKey: new Uint8Array(rootKey) };
}
