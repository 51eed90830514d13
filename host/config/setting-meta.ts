// What the settings' schemas say beyond zod, for their documentation, and what several of them are made of.
import { z } from 'zod';

/** What the schema says beyond zod: read by the annotated file and the reference. */
export interface SettingMeta {
  readonly description: string;
  /** Shown where the setting has no default. */
  readonly example?: unknown;
  /** The value appears nowhere. */
  readonly secret?: boolean;
  /** Names a file that must be there and readable. */
  readonly file?: boolean;
  /** What the default is where it depends on the system. */
  readonly defaultText?: string;
}

/** An entry in the form that zod takes. */
export const settingMeta = (entry: SettingMeta) => entry as SettingMeta & Record<string, unknown>;

/** The name of a file. */
export const fileSetting = (entry: Omit<SettingMeta, 'file'>) =>
  z
    .string()
    .min(1)
    .meta(settingMeta({ ...entry, file: true }));

/** A rule about several settings: checked even where another one of the group is wrong, so that all errors come at once. */
export const settingsRule = (path: string, error: string) => ({
  path: [path],
  error,
  when: ({ value }: { value: unknown }) => typeof value === 'object' && value !== null,
});
