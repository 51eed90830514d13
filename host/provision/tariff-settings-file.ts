// Settings of tariffs and records in a meter's settings file: rules, the clock's calibration, and registers.
import { z } from 'zod';
import { settingMeta } from '../config/schema.ts';
import { utcSchema, utcSeconds, utcText } from '../tariff/model.ts';
import type { MeterSettings, SettingPath } from './settings-block.ts';
import {
  type Calibration,
  doubtRules,
  expectedObis,
  expectedUnit,
  logFullRules,
  obisBytes,
  obisText,
  type Register,
  registrationMinutes,
  type TariffRules,
  tariffProfiles,
  tariffRulesDefaults,
  tariffSettingsLimits,
  unitNumber,
  type WhenLogbookFull,
  type WhenTimeDoubtful,
} from './tariff-settings.ts';
import type { TimeProfileName } from './time-rules.ts';
import { whole } from './whole.ts';

/** Ends reading with an error at the setting's place. */
export type RefuseSetting = (setting: SettingPath, message: string) => never;

/** What a file says of tariffs and records. */
export interface GivenTariffSettings {
  /** Whole: what the file leaves out of it the profile has, or has its default. */
  readonly tariff?: MeterSettings['tariff'];
  /** What the profile says of tariffs where the file says nothing: for meters that have them. */
  readonly profileTariff?: MeterSettings['tariff'];
  readonly calibration?: MeterSettings['calibration'];
  readonly registers?: MeterSettings['registers'];
}

/** Part of the schema of a meter's settings. */
export const tariffSettingsShape = {
  tariff: z
    .strictObject({
      registrationMinutes: z
        .literal(registrationMinutes, { error: `expected one of ${registrationMinutes.join(', ')}` })
        .optional()
        .meta(
          settingMeta({
            description: 'Length of the registration periods, minutes, aligned to legal time; 0: there are none.',
            defaultText: tariffDefault('registrationMinutes'),
          }),
        ),
      whenTimeDoubtful: z
        .enum(names<WhenTimeDoubtful>(doubtRules), { error: 'expected switch, keep or suspend' })
        .optional()
        .meta(
          settingMeta({
            description:
              'While the time is not good enough to bill by, tariffs go on switching by the time that there is (switch), the last tariff is kept (keep), or it is kept and no records of periods are made (suspend). Records are marked in any case.',
            defaultText: tariffDefault('whenTimeDoubtful'),
          }),
        ),
      whenLogbookFull: z
        .enum(names<WhenLogbookFull>(logFullRules), { error: 'expected invalid or mark' })
        .optional()
        .meta(
          settingMeta({
            description: 'While the logbook is full, registration periods are invalid, or marked only.',
            defaultText: tariffDefault('whenLogbookFull'),
          }),
        ),
      uncertaintyMaxMs: whole(tariffSettingsLimits.uncertaintyMaxMs, ' of milliseconds')
        .optional()
        .meta(
          settingMeta({
            description:
              'Above this uncertainty (k = 2) the time is not good enough to bill by, milliseconds; 0: no limit.',
            defaultText: tariffDefault('uncertaintyMaxMs'),
          }),
        ),
      boundMaxMs: whole(tariffSettingsLimits.boundMaxMs, ' of milliseconds')
        .optional()
        .meta(
          settingMeta({
            description: 'The same of the hard bound, milliseconds; 0: no limit.',
            defaultText: tariffDefault('boundMaxMs'),
          }),
        ),
    })
    .optional()
    .meta(
      settingMeta({
        description:
          'What is recorded, and what time is good enough for it. For meters with tariffs, whose storage has at least 64 KiB. What is not given here comes from the profile of timeRules, where that says it ([time-rules.md](time-rules.md)).',
      }),
    ),
  calibration: z
    .strictObject({
      id: z.string().meta(
        settingMeta({
          description: 'Id of the calibration or of its certificate, 1 to 32 bytes. Each record carries it.',
          example: 'DKD-K-12345-2026-01',
        }),
      ),
      atUtc: utcSchema.meta(settingMeta({ description: 'When it was done, UTC.', example: '2026-01-15T09:00:00Z' })),
      untilUtc: utcSchema.meta(
        settingMeta({ description: 'Until when it is valid, UTC.', example: '2034-01-15T09:00:00Z' }),
      ),
      uncertaintyPpb: whole(tariffSettingsLimits.uncertaintyPpb, ' of ppb').meta(
        settingMeta({ description: 'Expanded uncertainty of the frequency (k = 2), ppb.', example: 500 }),
      ),
    })
    .optional()
    .meta(
      settingMeta({
        description: "Calibration of the meter's clock. Without one that is valid no record ever has status S.",
      }),
    ),
  registers: z
    .array(
      z.strictObject({
        obis: z.string({ error: expectedObis }),
        scale: whole(tariffSettingsLimits.scale, '').optional(),
        unit: z.union([z.string(), whole({ least: 0, most: 255 }, '')], { error: expectedUnit }),
      }),
    )
    .optional()
    .meta(
      settingMeta({
        description: `Registers that records carry, at most ${tariffSettingsLimits.registers}, in the order in which the application hands them in: obis, scale (power of ten; 0 where it is missing) and unit (${'`Wh`'}, or its number in DLMS/COSEM).`,
        example: ["{ obis: '1-0:1.8.0*255', scale: 0, unit: Wh }"],
        defaultText: 'none',
      }),
    ),
};

type Said = z.output<z.ZodObject<typeof tariffSettingsShape>> & {
  readonly timeRules?: { readonly profile?: TimeProfileName | undefined } | undefined;
};

function names<Name extends string>(codes: Readonly<Record<Name, number>>): [Name, ...Name[]] {
  return Object.keys(codes) as [Name, ...Name[]];
}

function tariffDefault(name: keyof TariffRules): string {
  return `\`${tariffRulesDefaults[name]}\``;
}

/** What the file says of tariffs and records, and what its profile does. */
export function readTariffSettings(
  { timeRules, tariff, calibration, registers }: Said,
  refuse: RefuseSetting,
): GivenTariffSettings {
  const profile = tariffProfiles[timeRules?.profile ?? 'default'];
  const said = Object.fromEntries(Object.entries(tariff ?? {}).filter(([, value]) => value !== undefined));
  const rules: TariffRules = { ...tariffRulesDefaults, ...profile?.rules, ...said };
  return {
    tariff: tariff === undefined ? undefined : rules,
    profileTariff: tariff === undefined && profile !== undefined ? rules : undefined,
    calibration: calibration === undefined ? undefined : readCalibration(calibration),
    registers: registers?.map((register, index) => readRegister(register, index, refuse)),
  };
}

function readCalibration(given: Calibration): Calibration {
  const { id, atUtc, untilUtc, uncertaintyPpb } = given;
  return { id, atUtc: utcText(utcSeconds(atUtc)), untilUtc: utcText(utcSeconds(untilUtc)), uncertaintyPpb };
}

function readRegister(
  { obis, scale = 0, unit }: { obis: string; scale?: number | undefined; unit: string | number },
  index: number,
  refuse: RefuseSetting,
): Register {
  const code = obisBytes(obis) ?? refuse(['registers', index, 'obis'], `registers[${index + 1}].obis: ${expectedObis}`);
  const number = typeof unit === 'number' ? unit : unitNumber(unit);
  if (number === undefined) {
    const message = `registers[${index + 1}].unit: ${expectedUnit}, came ${JSON.stringify(unit)}`;
    return refuse(['registers', index, 'unit'], message);
  }
  return { obis: obisText(code), scale, unit: number };
}
