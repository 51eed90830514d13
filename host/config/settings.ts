// Loads a gateway's settings: text to validated values, with paths resolved and files checked.
// Relative paths count from the settings file's folder. Secrets come wrapped, so that printing settings is safe.
import { homedir } from 'node:os';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { FileError, readTextWithin } from '../files.ts';
import { fileProblems } from './named-files.ts';
import { formatProblem, type Problem, readSettings, sorted } from './problems.ts';
import type { RawSettings } from './schema.ts';
import { Secret } from './secret.ts';

export { formatProblem, type Problem } from './problems.ts';
export { Secret } from './secret.ts';

/** The broker, ready to be connected to. Paths are absolute. */
export type MqttSettings = Omit<NonNullable<RawSettings['mqtt']>, 'password' | 'clientId'> & {
  readonly password?: Secret;
  readonly clientId: string;
};

/** What signs charging transactions, and those of which meters. Paths are absolute. */
export type OcmfSettings = NonNullable<RawSettings['ocmf']>;

/** A gateway's settings with all defaults filled in. Paths are absolute. */
export type Settings = Omit<RawSettings, 'mqtt' | 'outbox' | 'dataDirectory'> & {
  /** The settings file. */
  readonly file: string;
  readonly mqtt?: MqttSettings;
  readonly outbox: { readonly directory: string; readonly maxMebibytes: number };
  readonly dataDirectory: string;
};

/** Settings that cannot be used; the message has one line for each problem. */
export class SettingsError extends Error {
  override readonly name = 'SettingsError';

  constructor(
    readonly code: 'settings-missing' | 'settings-invalid',
    message: string,
    readonly problems: readonly Problem[] = [],
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** The annotated file has some 5 kB. */
const limitBytes = 1 << 20;

/**
 * Loads the settings file at `path`. Warnings go to `warn`.
 * Throws `SettingsError` with all problems, one a line as `file:line:column: …`.
 */
export function loadSettings(path: string, warn: (problem: Problem) => void = () => {}): Settings {
  const file = resolve(path);
  let text: string;
  try {
    text = readTextWithin(file, limitBytes);
  } catch (cause) {
    if (!(cause instanceof FileError)) throw cause;
    throw new SettingsError(
      'settings-missing',
      `${path}: the settings cannot be read (${cause.reason}); metertime init writes a file to begin with`,
      [],
      { cause },
    );
  }
  const reading = readSettings(text, path);
  const problems = sorted([...reading.problems, ...fileProblems(reading, file)]);
  const errors = problems.filter(({ severity }) => severity === 'error');
  if (errors.length > 0 || reading.settings === undefined) {
    throw new SettingsError('settings-invalid', problems.map(formatProblem).join('\n'), problems);
  }
  problems.forEach(warn);
  return resolveSettings(reading.settings, file);
}

/**
 * Everything wrong with the settings in `text`, sorted by line; `file` is what messages call it and where relative paths
 * count from. Files that the settings name are looked at unless `files` is false.
 */
export function checkSettings(text: string, file: string, options: { files?: boolean } = {}): Problem[] {
  const reading = readSettings(text, file);
  return sorted([...reading.problems, ...(options.files === false ? [] : fileProblems(reading, file))]);
}

/** The settings as YAML-like JSON for people; secrets are hidden. */
export function printSettings(settings: Settings): string {
  return JSON.stringify(settings, null, 2);
}

/** Where a gateway keeps its data when the settings do not say it. */
export function defaultDataDirectory(env: NodeJS.ProcessEnv = process.env, uid = process.getuid?.() ?? 1): string {
  const fromSystemd = env.STATE_DIRECTORY?.split(':')[0];
  if (fromSystemd) return fromSystemd;
  if (uid === 0) return '/var/lib/metertime';
  const xdg = env.XDG_STATE_HOME;
  return join(xdg && isAbsolute(xdg) ? xdg : join(homedir(), '.local', 'state'), 'metertime');
}

function resolveSettings(raw: RawSettings, file: string): Settings {
  const folder = dirname(file);
  const from = (path: string) => resolve(folder, path);
  const dataDirectory = raw.dataDirectory === undefined ? defaultDataDirectory() : from(raw.dataDirectory);
  const { mqtt, outbox, ...rest } = raw;
  return {
    ...rest,
    file,
    linkKeys: { ...raw.linkKeys, files: raw.linkKeys.files.map(from) },
    trust: { ...raw.trust, files: raw.trust.files.map(from) },
    ...(mqtt === undefined ? {} : { mqtt: resolveMqtt(mqtt, raw.name, from) }),
    ...(raw.ocmf === undefined ? {} : { ocmf: resolveOcmf(raw.ocmf, from) }),
    outbox: {
      ...outbox,
      directory: outbox.directory === undefined ? join(dataDirectory, 'outbox') : from(outbox.directory),
    },
    dataDirectory,
  };
}

function resolveMqtt(
  mqtt: NonNullable<RawSettings['mqtt']>,
  name: string,
  from: (path: string) => string,
): MqttSettings {
  const { password, passwordFile, caFile, certFile, keyFile, ...rest } = mqtt;
  return {
    ...rest,
    clientId: mqtt.clientId ?? `metertime-${name}`,
    ...(password === undefined ? {} : { password: new Secret(password) }),
    ...(passwordFile === undefined ? {} : { passwordFile: from(passwordFile) }),
    ...(caFile === undefined ? {} : { caFile: from(caFile) }),
    ...(certFile === undefined ? {} : { certFile: from(certFile) }),
    ...(keyFile === undefined ? {} : { keyFile: from(keyFile) }),
  };
}

function resolveOcmf(ocmf: OcmfSettings, from: (path: string) => string): OcmfSettings {
  const { keyFile, tokenModule, tokenPinFile, meters } = ocmf;
  return {
    ...ocmf,
    ...(keyFile === undefined ? {} : { keyFile: from(keyFile) }),
    ...(tokenModule === undefined ? {} : { tokenModule: from(tokenModule) }),
    ...(tokenPinFile === undefined ? {} : { tokenPinFile: from(tokenPinFile) }),
    meters: meters.map((meter) => ({ ...meter, keysFile: from(meter.keysFile) })),
  };
}
