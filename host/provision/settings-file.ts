// A meter's settings as a YAML file, for `metertime provision --settings FILE`: the same names as MeterSettings, servers
// as HOST or HOST:PORT. It never holds the root key. Errors name line, value and what was expected.
import { z } from 'zod';
import { formatProblem, readYaml } from '../config/problems.ts';
import { settingMeta } from '../config/schema.ts';
import { readTextWithin } from '../files.ts';
import { aeadChoice, aeadText, parseAeads } from './aeads.ts';
import { parseHostPort } from './host-port.ts';
import {
  coreDefaults,
  type MeterSettings,
  type ServerLimits,
  type SettingPath,
  SettingsBlockError,
  settingsDefaults,
  settingsLimits,
} from './settings-block.ts';
import {
  type GivenTariffSettings,
  type RefuseSetting,
  readTariffSettings,
  tariffSettingsShape,
} from './tariff-settings-file.ts';
import {
  type TimeProfileName,
  type TimeRules,
  timeProfileNames,
  timeProfileProblem,
  timeProfiles,
  timeRuleLimits,
} from './time-rules.ts';
import { whole } from './whole.ts';

const limitBytes = 1 << 20;

const limits = settingsLimits;
const ofSeconds = ' of seconds';
const ofMilliseconds = ' of milliseconds';

/** Also what docs/meter-settings.md is made from. */
export const meterSettingsSchema = z.strictObject({
  id: z
    .string()
    .optional()
    .meta(
      settingMeta({
        description: 'Id of the meter: 1 to 32 letters, digits, dots, dashes, underscores.',
        example: 'meter-1',
        defaultText: 'as given with `--id`',
      }),
    ),
  servers: z
    .array(z.string())
    .optional()
    .meta(
      settingMeta({
        description:
          'Time servers (NTS-KE), HOST or HOST:PORT, one to four. The meter asks as many of them at once as its software can; the others stand in for those that fail.',
        example: ['time.example', '[2001:db8::1]:4461'],
        defaultText: 'as given with `--server`',
      }),
    ),
  agreement: z
    .union([z.literal('majority'), whole({ least: 1, most: limits.servers }, '')], {
      error: `expected majority, or a whole number from 1 to ${limits.servers}`,
    })
    .optional()
    .meta(
      settingMeta({
        description:
          'How many servers have to agree before the clock is set. majority is more than half of those in use, and a server that asked not to be polled any more goes on counting as one of them. A number asks for that many; of the servers that are heard, more than half always have to agree, so that with 1 one server is enough only while no other contradicts it. With 1 a server that is heard first and lies ahead may never be contradicted: once the time floor has followed it, the answers of the others are refused. A meter whose software asks fewer servers at once than the number never has a time; metertime provision --board refuses that.',
        example: 2,
        defaultText: '`majority`',
      }),
    ),
  firstDatesUnchecked: z
    .boolean()
    .optional()
    .meta(
      settingMeta({
        description:
          'Without any trusted time, one key establishment may ignore certificate dates; they are checked at the time that it leads to. Without this, such a meter needs a clock that keeps the time.',
        defaultText: `\`${settingsDefaults.firstDatesUnchecked}\``,
      }),
    ),
  sealedLink: z
    .boolean()
    .optional()
    .meta(
      settingMeta({
        description:
          'The link to the gateway is sealed, and never open; the gateway needs the link key, which metertime provision --keys writes.',
        defaultText: 'what it was, `false` for a new meter',
      }),
    ),
  aeads: z
    .array(z.union([z.string(), z.number()], { error: `expected ${aeadChoice}` }))
    .optional()
    .meta(
      settingMeta({
        description: `AEAD algorithms offered, by name or number, the preferred one first. Each is ${aeadChoice}.`,
        example: ['AES-SIV-CMAC-256'],
        defaultText: `\`${coreDefaults.aeads.map(aeadText).join('`, `')}\``,
      }),
    ),
  keyAgeHours: whole(limits.keyAgeHours, ' of hours')
    .optional()
    .meta(
      settingMeta({
        description: 'Age at which keys are replaced by a new key establishment, hours.',
        defaultText: `\`${coreDefaults.keyAgeHours}\` (4 weeks)`,
      }),
    ),
  spreadSeconds: whole(limits.spreadSeconds, ofSeconds)
    .optional()
    .meta(
      settingMeta({
        description:
          'After a start that is not the first, a key establishment waits a random time up to this, so that a fleet that comes back together does not come all at once.',
        defaultText: `\`${coreDefaults.spreadSeconds}\``,
      }),
    ),
  asymmetryPercent: whole(limits.asymmetryPercent, ' of percent')
    .optional()
    .meta(
      settingMeta({
        description:
          'Share of the smallest delay to a server that may be one-sided, percent: the uncertainty counts a rectangular distribution over half of that share. 0 takes the path for symmetric. The hard bound never relies on it.',
        defaultText: `\`${coreDefaults.asymmetryPercent}\``,
      }),
    ),
  updateKey: z
    .string()
    .regex(
      /^[0-9a-fA-F]{64}$/,
      'expected an Ed25519 public key of 64 hexadecimal digits, as metertime update key prints it',
    )
    .optional()
    .meta(
      settingMeta({
        description:
          'Public key that updates of the software have to be signed with (Ed25519, 64 hexadecimal digits): metertime update key makes one. A meter without slots for software passes it over.',
        example: 'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a',
        defaultText: 'none: no update is taken',
      }),
    ),
  poll: z
    .strictObject({
      minSeconds: whole(limits.pollSeconds, ofSeconds)
        .optional()
        .meta(
          settingMeta({
            description:
              'Shortest interval. The first eight polls come sooner, four of them a fifth of it apart; then it trebles with each answer.',
            defaultText: `\`${settingsDefaults.poll.minSeconds}\`, or maxSeconds where that is less`,
          }),
        ),
      maxSeconds: whole(limits.pollSeconds, ofSeconds)
        .optional()
        .meta(
          settingMeta({
            description:
              'Longest interval. Holdover begins when the last sample that counted is as old as eight of them: 2 h 17 min with 1024.',
            defaultText: `\`${settingsDefaults.poll.maxSeconds}\`, or minSeconds where that is more`,
          }),
        ),
    })
    .optional()
    .meta(settingMeta({ description: 'How often each server is asked.' })),
  reportSeconds: whole(limits.reportSeconds, ofSeconds)
    .optional()
    .meta(
      settingMeta({
        description: 'Interval at which the meter reports its time to the gateway.',
        defaultText: `\`${settingsDefaults.reportSeconds}\``,
      }),
    ),
  limits: z
    .strictObject({
      stratum: whole(limits.stratum, '')
        .optional()
        .meta(settingMeta({ description: 'Stratum.', defaultText: `\`${coreDefaults.limits.stratum}\`` })),
      rootDelayMs: whole(limits.rootMs, ofMilliseconds)
        .optional()
        .meta(
          settingMeta({
            description: 'Root delay, milliseconds.',
            defaultText: `\`${coreDefaults.limits.rootDelayMs}\``,
          }),
        ),
      rootDispersionMs: whole(limits.rootMs, ofMilliseconds)
        .optional()
        .meta(
          settingMeta({
            description: 'Root dispersion, milliseconds.',
            defaultText: `\`${coreDefaults.limits.rootDispersionMs}\``,
          }),
        ),
    })
    .optional()
    .meta(settingMeta({ description: 'What a server may have at most; answers with more are refused.' })),
  timeRules: z
    .strictObject({
      profile: z
        .enum(timeProfileNames, { error: `expected one of ${timeProfileNames.join(', ')}` })
        .optional()
        .meta(
          settingMeta({
            description:
              'Where the numbers below that are not given come from: [time-rules.md](time-rules.md) has them all.',
            example: 'ptb-50.7',
            defaultText: '`default`',
          }),
        ),
      slewMaxMs: ruleNumber(
        'slewMaxMs',
        ofMilliseconds,
        'A correction up to this is slewed, above it the clock is set, which an event tells. Milliseconds; each takes 2 s.',
      ),
      silentMaxMs: ruleNumber(
        'silentMaxMs',
        ofMilliseconds,
        'A correction up to this is slewed without an event, milliseconds; no more than slewMaxMs.',
      ),
      invalidMs: ruleNumber(
        'invalidMs',
        ofMilliseconds,
        'A correction above this makes registration periods invalid, milliseconds; 0: none does.',
      ),
      refuseMs: ruleNumber(
        'refuseMs',
        ofMilliseconds,
        'A correction above this is not done until an operator accepts it or the meter starts anew, milliseconds; 0: all are done. No less than slewMaxMs.',
      ),
      dayLimitMs: ruleNumber(
        'dayLimitMs',
        ofMilliseconds,
        'Corrections that add up to more than this in a day make registration periods invalid, milliseconds; 0: no limit.',
      ),
      dayLimitCount: ruleNumber(
        'dayLimitCount',
        '',
        'When the clock is set more often than this in a day, registration periods are invalid; 0: no limit.',
      ),
      holdoverHours: ruleNumber(
        'holdoverHours',
        ' of hours',
        'Without an authenticated sample for longer than this, the time is not to be billed by, hours; 0: no limit.',
      ),
      duringTransaction: z
        .enum(['wait', 'slew'], { error: 'expected wait or slew' })
        .optional()
        .meta(
          settingMeta({
            description:
              'Corrections while a transaction runs: wait holds all of them back, slew only those that the clock would have to be set for.',
            defaultText: '`wait`',
          }),
        ),
    })
    .optional()
    .meta(settingMeta({ description: 'What may be done with corrections of the clock.' })),
  ...tariffSettingsShape,
});

/** Of rules for the clock: a number that the profile has where the file does not. */
function ruleNumber(name: keyof typeof timeRuleLimits, unit: string, description: string) {
  const defaultText = `\`${timeProfiles.default.rules[name]}\``;
  return whole(timeRuleLimits[name], unit).optional().meta(settingMeta({ description, defaultText }));
}

/** What a file or the command line says; what neither says has a default. */
export interface GivenSettings extends GivenTariffSettings {
  readonly id?: string | undefined;
  readonly servers?: MeterSettings['servers'] | undefined;
  readonly firstDatesUnchecked?: boolean | undefined;
  readonly sealedLink?: boolean | undefined;
  readonly poll?: { readonly minSeconds?: number | undefined; readonly maxSeconds?: number | undefined } | undefined;
  readonly reportSeconds?: number | undefined;
  readonly aeads?: MeterSettings['aeads'];
  readonly keyAgeHours?: number | undefined;
  readonly agreement?: MeterSettings['agreement'];
  readonly spreadSeconds?: number | undefined;
  readonly asymmetryPercent?: number | undefined;
  readonly updateKey?: Uint8Array | undefined;
  /** Whole: what the file leaves out of it has its default. */
  readonly limits?: MeterSettings['limits'];
  /** Whole: what the file leaves out of it the profile has. */
  readonly timeRules?: MeterSettings['timeRules'];
}

/** What a file says, and where. */
export interface SettingsFile {
  readonly given: GivenSettings;
  /** `FILE:LINE:COLUMN` of a setting; undefined where the file does not say it. */
  readonly placeOf: (setting: SettingPath) => string | undefined;
}

/** @throws {FileError} @throws {SettingsBlockError} settings-value with `FILE:LINE:COLUMN: …` for the first thing wrong */
export function readSettingsFile(path: string): SettingsFile {
  return parseSettings(readTextWithin(path, limitBytes), path);
}

/** As `readSettingsFile`, for text that `file` is the name of. */
export function parseSettings(text: string, file: string): SettingsFile {
  const { problems, settings: data, positions } = readYaml(text, file, meterSettingsSchema);
  const [problem] = problems;
  if (problem !== undefined || data === undefined) {
    throw new SettingsBlockError('settings-value', problem === undefined ? file : formatProblem(problem));
  }
  const refuse = (setting: SettingPath, message: string): never => {
    const place = formatProblem(positions.problem('error', positions.valueOffset(setting), setting, message));
    throw new SettingsBlockError('settings-value', place, setting);
  };
  const servers = data.servers?.map((server, index) => {
    try {
      return parseHostPort(server);
    } catch (error) {
      return refuse(['servers', index], `servers: ${(error as Error).message}`);
    }
  });
  const given = {
    ...{ id: data.id, servers, firstDatesUnchecked: data.firstDatesUnchecked, poll: data.poll },
    sealedLink: data.sealedLink,
    ...{ reportSeconds: data.reportSeconds, keyAgeHours: data.keyAgeHours, agreement: data.agreement },
    ...{ spreadSeconds: data.spreadSeconds, asymmetryPercent: data.asymmetryPercent },
    updateKey: data.updateKey === undefined ? undefined : new Uint8Array(Buffer.from(data.updateKey, 'hex')),
    aeads: readAeads(data.aeads, refuse),
    limits: data.limits === undefined ? undefined : wholeLimits(data.limits),
    timeRules: data.timeRules === undefined ? undefined : wholeRules(data.timeRules, refuse),
    ...readTariffSettings(data, refuse),
  };
  return { given, placeOf: (setting) => positions.place(setting) };
}

function readAeads(given: readonly (string | number)[] | undefined, refuse: RefuseSetting): number[] | undefined {
  if (given === undefined) return undefined;
  for (const count of [0, ...given.keys()]) {
    try {
      parseAeads(given.slice(0, count + 1));
    } catch (error) {
      refuse(given.length === 0 ? ['aeads'] : ['aeads', count], `aeads: ${(error as Error).message}`);
    }
  }
  return parseAeads(given);
}

function wholeLimits(given: Partial<Record<keyof ServerLimits, number | undefined>>): ServerLimits {
  const { stratum, rootDelayMs, rootDispersionMs } = coreDefaults.limits;
  return {
    stratum: given.stratum ?? stratum,
    rootDelayMs: given.rootDelayMs ?? rootDelayMs,
    rootDispersionMs: given.rootDispersionMs ?? rootDispersionMs,
  };
}

function wholeRules({ profile = 'default', ...given }: GivenRules, refuse: RefuseSetting): TimeRules {
  const said = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  const rules: TimeRules = { ...timeProfiles[profile].rules, ...said };
  const problem = timeProfileProblem(profile, rules);
  if (problem === undefined) return rules;
  // What the file does not say became wrong with what it says.
  const place = problem.setting in said ? problem.setting : 'profile';
  return refuse(['timeRules', place], `timeRules.${problem.setting}: ${problem.message}`);
}

type GivenRules = { readonly [Name in keyof TimeRules]?: TimeRules[Name] | undefined } & {
  readonly profile?: TimeProfileName | undefined;
};
