// Whose storage it is: the meter's id and root key among the settings in a storage, whatever else these say.
// What always holds: nothing but a block that holds is believed; the root key is in no text.
import { SettingsTag } from '../../as/abi/codes.ts';
import { SettingsBlockError, type SettingsItem, settingsItems } from '../provision/settings-items.ts';

export interface StoredIdentity {
  readonly meter: string;
  /** 16 bytes. */
  readonly rootKey: Uint8Array;
}

/** Undefined where the storage holds no settings, or damaged ones. */
export function storedIdentity(storage: Uint8Array): StoredIdentity | undefined {
  const items = itemsOf(storage);
  const meter = items.findLast(({ tag }) => tag === SettingsTag.MeterId)?.value.toString('utf8');
  const rootKey = items.findLast(({ tag }) => tag === SettingsTag.RootKey)?.value;
  if (meter === undefined || rootKey?.length !== 16) return undefined;
  return { meter, rootKey: new Uint8Array(rootKey) };
}

function itemsOf(storage: Uint8Array): readonly SettingsItem[] {
  try {
    return settingsItems(storage);
  } catch (error) {
    if (!(error instanceof SettingsBlockError)) throw error;
    return [];
  }
}
