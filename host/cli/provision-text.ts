// What `metertime provision` says about the settings that it wrote.
import { aeadText } from '../provision/aeads.ts';
import type { MeterSettings } from '../provision/settings-block.ts';
import { type Register, tariffRulesText } from '../provision/tariff-settings.ts';
import { timeProfilesOf, timeRulesText } from '../provision/time-rules.ts';
import { unitText } from '../record/json.ts';

type Pair = [string, string | undefined];

/** What the settings say beyond what all of them do. */
export function choicePairs(settings: MeterSettings): Pair[] {
  const { aeads, keyAgeHours, agreement, spreadSeconds, limits, asymmetryPercent, timeRules } = settings;
  const needed =
    agreement === 'majority'
      ? 'of more than half of the servers in use'
      : `of ${agreement} server${agreement === 1 ? '' : 's'}, and of more than half of those heard`;
  return [
    ...(aeads ?? []).map((aead, index): Pair => [`AEAD ${index + 1}`, `${aeadText(aead)} (${aead})`]),
    ['Keys replaced', keyAgeHours === undefined ? undefined : `after ${keyAgeHours} hours`],
    ['Agreement', agreement === undefined ? undefined : needed],
    ['Asymmetry', asymmetryPercent === undefined ? undefined : `up to ${asymmetryPercent} % of the smallest delay`],
    ['Spread', spreadSeconds === undefined ? undefined : `key establishments over ${spreadSeconds} s after a start`],
    [
      'Limits',
      limits &&
        `stratum ${limits.stratum}, root delay ${limits.rootDelayMs} ms, root dispersion ${limits.rootDispersionMs} ms`,
    ],
    [
      'Corrections',
      timeRules && `${timeProfilesOf(timeRules).join(', ') || 'rules of their own'}: ${timeRulesText(timeRules)}`,
    ],
    ...tariffPairs(settings),
  ];
}

function tariffPairs({ tariff, calibration, registers }: MeterSettings): Pair[] {
  const calibrated =
    calibration &&
    `${calibration.id}: ${calibration.atUtc} to ${calibration.untilUtc}, ${calibration.uncertaintyPpb} ppb (k = 2)`;
  return [
    ['Records', tariff && tariffRulesText(tariff)],
    ['Calibration', calibrated],
    ...(registers ?? []).map((register, index): Pair => [`Register ${index + 1}`, registerText(register)]),
  ];
}

function registerText({ obis, scale, unit }: Register): string {
  return `${obis}, in ${scale === 0 ? '' : `10^${scale} `}${unitText(unit)}`;
}
