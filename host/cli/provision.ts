// metertime provision FILE: writes a meter's settings, root key and first seed into its storage.
import { Command, InvalidArgumentError, Option } from 'commander';
import { StorageMap } from '../../as/abi/codes.ts';
import { formatHostPort, type HostPort, parseHostPort } from '../provision/host-port.ts';
import { checkKeysFiles, writeKeysFiles } from '../provision/keys-files.ts';
import { type MeterKeys, meterKeys } from '../provision/meter-keys.ts';
import {
  checkSettings,
  type MeterSettings,
  type SettingPath,
  SettingsBlockError,
  settingsDefaults,
} from '../provision/settings-block.ts';
import { type GivenSettings, readSettingsFile } from '../provision/settings-file.ts';
import {
  keysKept,
  linkWasSealed,
  maxStorageBytes,
  newStorageBytes,
  newTariffStorageBytes,
  type Provisioned,
  provisionStorage,
  readRootKeyFile,
  readStorageKeys,
  type StoredOptions,
  storageFileBytes,
  tariffNeeds,
} from '../provision/storage-file.ts';
import { readDynamicFile, readProgramFile } from '../tariff/program-file.ts';
import { formatPairs } from '../text/table.ts';
import { boardStorage, checkAgreement, checkTariffs } from './boards.ts';
import { type Context, withHelp } from './context.ts';
import { CliError, usageError } from './errors.ts';
import { ExitCode } from './exit-codes.ts';
import { wholeNumber } from './options.ts';
import { openMeterLink, provisionAtLink } from './provision-link.ts';
import { choicePairs } from './provision-text.ts';

export interface ProvisionCommandOptions {
  settings?: string;
  id?: string;
  server?: HostPort[];
  alwaysCheckDates?: boolean;
  pollMin?: number;
  pollMax?: number;
  report?: number;
  rootKeyFile?: string;
  board?: string;
  bytes?: number;
  tariff?: string;
  dynamic?: string;
  keys?: string;
  publicKey?: string;
  link?: string;
  sealedLink?: boolean;
  openLink?: boolean;
  force?: boolean;
  json?: boolean;
}

export function provisionCommand(context: Context): Command {
  const command = new Command('provision')
    .summary("write a meter's settings into its storage")
    .description(
      'Writes the settings block of a meter (id, root key, time servers, trust policy) and its first random seed into a storage file, such as the image of its EEPROM, or over its link into a meter that has none. The file is readable by its owner only. Root key and seed are random unless given, and never printed. Provisioning a meter again keeps its root key, seeds, state, and the reserves of keys and cookies of those servers that keep their place in the list. Over its link a meter is provisioned once, and nothing is ever read back: the root key is forgotten here, so the keys that follow from it have to be written (--keys).',
    )
    .argument('[file]', 'storage file; made when it does not exist')
    .option(
      '-l, --link <link>',
      'instead of a file: the link of a meter without settings, serial:/dev/ttyUSB0?baud=115200',
    )
    .option('-s, --settings <file>', 'YAML or JSON file (docs/meter-settings.md); options count more than it')
    .option('-i, --id <id>', 'id of the meter: letters, digits, dots, dashes, underscores')
    .option('-S, --server <host[:port]>', 'NTS-KE server; repeat for up to four', addServer)
    .option(
      '--always-check-dates',
      'without a trusted time, no certificate is taken: such a meter needs a clock that keeps the time (default: the first key establishment may ignore dates, which are checked at the time it leads to)',
    )
    .option('--sealed-link', 'seal the link to the gateway, which then needs the link key: give --keys too')
    .option('--open-link', 'leave the link open (default: what it was, open for a new meter)')
    .option('--poll-min <seconds>', `shortest poll interval (default ${settingsDefaults.poll.minSeconds})`, wholeNumber)
    .option('--poll-max <seconds>', `longest poll interval (default ${settingsDefaults.poll.maxSeconds})`, wholeNumber)
    .option('--report <seconds>', `interval of time reports (default ${settingsDefaults.reportSeconds})`, wholeNumber)
    .option('--root-key-file <file>', 'root key: 16 bytes or 32 hexadecimal digits')
    .option('-b, --board <board>', 'the board of the meter: size of a new file, servers that it can ask at once')
    .addOption(
      new Option(
        '--bytes <bytes>',
        `size of a new file (default ${newStorageBytes}, with tariffs ${newTariffStorageBytes})`,
      )
        .argParser(storageBytes)
        .conflicts('board'),
    )
    .option('--tariff <file>', 'tariff program, YAML or JSON (docs/tariff.md); replaces those that the meter has')
    .option('--dynamic <file>', 'dynamic tariffs, YAML or JSON; replace those that the meter has')
    .option(
      '--keys <file>',
      'write the keys of those who verify records, and the link key of the gateway: a secret; the root key stays',
    )
    .option('--public-key <file>', 'write the public key alone, PEM: the meter signs the heads of its records for it')
    .option('-f, --force', 'replace what the files hold, also another meter')
    .option('--json', 'print the result as JSON')
    .action((file: string | undefined, options: ProvisionCommandOptions) => provision(context, file, options));
  return withHelp(command, {
    examples: [
      ['provision meter-1.bin --id meter-1 --server time.example', 'a new meter'],
      [
        'provision meter-1.bin --settings meter-1.yaml --board mps2-an385',
        'settings from a file, an EEPROM of that board',
      ],
      ['provision meter-1.bin --id meter-1 --server [2001:db8::1]:4461', 'the same meter, another server'],
      ['provision meter-1.bin --settings meter-1.yaml --tariff household.yaml --keys meter-1.json', 'with tariffs'],
      [
        'provision --link serial:/dev/ttyUSB0?baud=115200 --settings meter-1.yaml --keys meter-1.json',
        'a meter on the bench',
      ],
    ],
    exitCodes: [ExitCode.Ok, ExitCode.Failed, ExitCode.Usage, ExitCode.Interrupted],
  });
}

export function addServer(text: string, before: HostPort[] = []): HostPort[] {
  try {
    return [...before, parseHostPort(text)];
  } catch (error) {
    // Not an InvalidArgumentError: commander would show the whole argument beside it.
    throw usageError((error as Error).message, 'Try: metertime provision --help');
  }
}

function storageBytes(text: string): number {
  const bytes = wholeNumber(text);
  if (bytes < StorageMap.Bytes || bytes > maxStorageBytes) {
    throw new InvalidArgumentError(`A meter's storage has ${StorageMap.Bytes} to ${maxStorageBytes} bytes.`);
  }
  return bytes;
}

/** The file's settings, then the command line's, then the defaults. */
export function mergeSettings(file: GivenSettings, options: ProvisionCommandOptions, tariffs: boolean): MeterSettings {
  const id = options.id ?? file.id;
  const servers = options.server ?? file.servers;
  if (id === undefined) throw usageError('the meter needs an id', 'Give --id ID, or id in the --settings file.');
  if (servers === undefined) {
    throw usageError('the meter needs a time server', 'Give --server HOST, or servers in the --settings file.');
  }
  const said = options.openLink === true ? false : options.sealedLink;
  const sealedLink = said ?? file.sealedLink;
  const shortest = options.pollMin ?? file.poll?.minSeconds;
  const longest = options.pollMax ?? file.poll?.maxSeconds;
  const { minSeconds, maxSeconds } = settingsDefaults.poll;
  return {
    id,
    servers,
    firstDatesUnchecked:
      options.alwaysCheckDates === true ? false : (file.firstDatesUnchecked ?? settingsDefaults.firstDatesUnchecked),
    ...(sealedLink === undefined ? {} : { sealedLink }),
    poll: {
      // One given alone moves the other one's default out of its way.
      minSeconds: shortest ?? Math.min(minSeconds, longest ?? minSeconds),
      maxSeconds: longest ?? Math.max(maxSeconds, shortest ?? maxSeconds),
    },
    reportSeconds: options.report ?? file.reportSeconds ?? settingsDefaults.reportSeconds,
    // What is not given is not written: the core's own choice may be another one in time.
    ...(file.aeads === undefined ? {} : { aeads: file.aeads }),
    ...(file.keyAgeHours === undefined ? {} : { keyAgeHours: file.keyAgeHours }),
    ...(file.agreement === undefined ? {} : { agreement: file.agreement }),
    ...(file.spreadSeconds === undefined ? {} : { spreadSeconds: file.spreadSeconds }),
    ...(file.asymmetryPercent === undefined ? {} : { asymmetryPercent: file.asymmetryPercent }),
    ...(file.updateKey === undefined ? {} : { updateKey: file.updateKey }),
    ...(file.limits === undefined ? {} : { limits: file.limits }),
    ...(file.timeRules === undefined ? {} : { timeRules: file.timeRules }),
    ...tariffSettings(file, tariffs),
  };
}

/** A profile's word on tariffs is for a meter that has them: any other would refuse its settings. */
function tariffSettings(file: GivenSettings, tariffs: boolean): Partial<MeterSettings> {
  const tariff = file.tariff ?? (tariffs ? file.profileTariff : undefined);
  return {
    ...(tariff === undefined ? {} : { tariff }),
    ...(file.calibration === undefined ? {} : { calibration: file.calibration }),
    ...(file.registers === undefined ? {} : { registers: file.registers }),
  };
}

/** Whether a storage of so many bytes has tariffs; one that is not there yet has them where they are given. */
export function storageHasTariffs(
  given: GivenSettings,
  files: { readonly tariff?: string | undefined; readonly dynamic?: string | undefined },
  storage: number | undefined,
): boolean {
  if (storage !== undefined) return storage >= StorageMap.TariffBytes;
  return files.tariff !== undefined || files.dynamic !== undefined || tariffNeeds(given, {}).length > 0;
}

/** @throws {SettingsBlockError} settings-value; where the file says what is wrong, with its line and column */
export async function wholeSettings(
  options: ProvisionCommandOptions,
  storage: number | undefined,
): Promise<MeterSettings> {
  const file = options.settings === undefined ? undefined : readSettingsFile(options.settings);
  const given = file?.given ?? {};
  const settings = mergeSettings(given, options, storageHasTariffs(given, options, storage));
  try {
    checkSettings(settings);
    if (options.board !== undefined) {
      await checkAgreement(options.board, settings);
      await checkTariffs(options.board, settings);
    }
    return settings;
  } catch (error) {
    if (!(error instanceof SettingsBlockError) || isOption(error.setting, options)) throw error;
    const place = file?.placeOf(error.setting);
    if (place === undefined) throw error;
    throw new SettingsBlockError(error.code, `${place}: ${error.message}`, error.setting, { cause: error });
  }
}

/** Whether a setting comes from the command line alone. */
function isOption(setting: SettingPath, options: ProvisionCommandOptions): boolean {
  const { id, server, pollMin, pollMax, report } = options;
  const given: Record<string, unknown> = {
    ...{ id, servers: server, 'poll.minSeconds': pollMin, 'poll.maxSeconds': pollMax, reportSeconds: report },
    poll: pollMin === undefined ? undefined : pollMax,
  };
  return given[setting.filter((part) => typeof part === 'string').join('.')] !== undefined;
}

async function provision(context: Context, file: string | undefined, options: ProvisionCommandOptions): Promise<void> {
  if (options.sealedLink === true && options.openLink === true) {
    throw usageError('--sealed-link and --open-link exclude each other', 'Name one of them.');
  }
  if (options.link !== undefined) return await provisionLink(context, options.link, file, options);
  if (file === undefined) throw usageError('nothing says where to', "Name a storage FILE, or the meter's --link.");
  const { terminal } = context;
  const { keys, publicKey } = options;
  const force = options.force === true;
  const board = options.board === undefined ? {} : await boardStorage(options.board);
  const bytes = options.bytes ?? board.bytes;
  const chosen = await wholeSettings(options, storageFileBytes(file, { ...board, force }) ?? bytes);
  const keepsSeal = chosen.sealedLink === undefined && linkWasSealed(file, chosen.id, { ...board, force });
  const settings = keepsSeal ? { ...chosen, sealedLink: true } : chosen;
  const program = options.tariff === undefined ? undefined : readProgramFile(options.tariff);
  const dynamic = options.dynamic === undefined ? undefined : readDynamicFile(options.dynamic);
  const rootKey = options.rootKeyFile === undefined ? undefined : readRootKeyFile(options.rootKeyFile);
  checkKeysFiles({ keys, publicKey }, keysBefore(file, settings.id, rootKey, { ...board, force }), force);
  const result = provisionStorage(file, settings, {
    ...board,
    ...(bytes === undefined ? {} : { bytes }),
    ...(rootKey === undefined ? {} : { rootKey }),
    ...(program === undefined ? {} : { program: program.block }),
    ...(dynamic === undefined ? {} : { dynamic: dynamic.block }),
    force,
  });
  writeKeysFiles({ keys, publicKey }, readStorageKeys(file), force);
  if (options.json) {
    terminal.printJson({ ...result, settings });
    return;
  }
  print(terminal, file, settings, result, options);
}

async function provisionLink(
  context: Context,
  link: string,
  file: string | undefined,
  options: ProvisionCommandOptions,
): Promise<void> {
  const { terminal, signal } = context;
  const wrong = (['bytes', 'tariff', 'dynamic'] as const).find((name) => options[name] !== undefined);
  if (file !== undefined || wrong !== undefined) {
    throw usageError(
      `--link and ${wrong === undefined ? 'a storage file' : `--${wrong}`} exclude each other`,
      wrong === undefined ? 'Name one of them.' : 'A gateway gives a provisioned meter its tariffs (docs/mqtt.md).',
    );
  }
  const { keys, publicKey } = options;
  if (keys === undefined && options.rootKeyFile === undefined) {
    throw usageError(
      'nobody would ever know the keys of this meter',
      'Name a file for them with --keys FILE, or give a root key with --root-key-file.',
    );
  }
  const settings = await wholeSettings(options, undefined);
  const rootKey = options.rootKeyFile === undefined ? undefined : readRootKeyFile(options.rootKeyFile);
  let step = '';
  const result = await terminal.during(
    () => `${settings.id}: ${step}`,
    () =>
      provisionAtLink(openMeterLink(link), settings, {
        files: { keys, publicKey },
        force: options.force === true,
        ...{ rootKey, board: options.board, signal },
        onStep: (text) => {
          step = text;
        },
      }),
  );
  const { board, firmwareVersion, before } = result;
  if (before) {
    throw new CliError('provision-before', `${link}: meter ${settings.id} is provisioned already`, {
      hint: 'It takes no other settings over its link; write its storage anew instead.',
    });
  }
  if (options.json) {
    terminal.printJson({ link, board, firmwareVersion, rootKey: rootKey === undefined ? 'new' : 'given', settings });
    return;
  }
  terminal.print(
    ...formatPairs([
      ['Meter', `${settings.id} at ${link}: started with its settings`],
      ['Board', `${board}, firmware ${firmwareVersion}`],
      ...settingsPairs(settings),
      ['Root key', rootKey === undefined ? 'new and random' : 'as given'],
      ['Keys to verify', keys],
      ['Public key', publicKey],
    ]),
  );
}

/** The keys that the meter is going to have, as far as they are known. */
export function keysBefore(
  file: string,
  meter: string,
  rootKey: Uint8Array | undefined,
  stored: StoredOptions,
): MeterKeys | undefined {
  return rootKey === undefined ? keysKept(file, meter, stored) : meterKeys(rootKey, meter);
}

function print(
  terminal: Context['terminal'],
  file: string,
  settings: MeterSettings,
  result: Provisioned,
  options: ProvisionCommandOptions,
): void {
  const origin = { given: 'as given', kept: 'kept', new: 'new and random' };
  const before = { nothing: 'new', 'this-meter': 'provisioned anew', another: "another meter's before" };
  terminal.print(
    ...formatPairs([
      ['Meter', settings.id],
      ['Storage', `${file}, ${result.bytes} bytes, ${before[result.before]}`],
      ...settingsPairs(settings),
      ['Root key', origin[result.rootKey]],
      ['Seed', origin[result.seed]],
      ['Tariff program', result.program === 'none' ? undefined : origin[result.program]],
      ['Dynamic tariffs', result.dynamic === 'none' ? undefined : origin[result.dynamic]],
      ['Keys to verify', options.keys],
      ['Public key', options.publicKey],
    ]),
  );
}

function settingsPairs(settings: MeterSettings): [string, string | undefined][] {
  return [
    ...settings.servers.map(
      (server, index) => [`NTS-KE server ${index + 1}`, formatHostPort(server)] as [string, string],
    ),
    [
      'Certificate dates',
      settings.firstDatesUnchecked
        ? 'checked; without a trusted time, at the time obtained'
        : 'always checked; no key establishment without a trusted time',
    ],
    ['Link', settings.sealedLink === true ? 'sealed; its gateway needs the link key' : 'open'],
    ['Poll', `${settings.poll.minSeconds} to ${settings.poll.maxSeconds} s`],
    ['Time reports', `every ${settings.reportSeconds} s`],
    ...choicePairs(settings),
  ];
}
