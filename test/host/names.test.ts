// Every code that a meter reports has a name and an explanation, and no two codes of a kind share a name.
import { describe, expect, test } from 'vitest';
import {
  Capability,
  ClockStatus,
  CommandResult,
  Failure,
  Format,
  Invalidity,
  KeError,
  MeterEvent,
  Missing,
  ProgramError,
  RecordMark,
  RecordReason,
  Reject,
  ResetCause,
  Ring,
  RtcRefusal,
  RtcStatus,
  SettingsError,
  SourceFlag,
  SourceState,
  Tampering,
  TariffFlag,
  TimeFlag,
} from '../../as/abi/codes.ts';
import {
  aeadName,
  capabilityNames,
  clockStatusNames,
  commandResultNames,
  describeEvent,
  dlmsStatusNames,
  durationText,
  failureNames,
  formatNames,
  invalidityNames,
  keErrorNames,
  meterEventNames,
  missingNames,
  type Name,
  nameOf,
  namesOfBits,
  programErrorNames,
  ptbStatusNames,
  recordMarkNames,
  recordReasonNames,
  rejectNames,
  resetCauseNames,
  ringNames,
  rtcRefusalNames,
  rtcStatusNames,
  settingsErrorNames,
  sourceFlagNames,
  sourceStateNames,
  tamperingNames,
  tariffFlagNames,
  timeFlagNames,
  waitingText,
} from '../../host/text/names.ts';

const tables: [string, Record<string, string | number>, Readonly<Record<number, Name>>][] = [
  ['Capability', Capability, capabilityNames],
  ['ClockStatus', ClockStatus, clockStatusNames],
  ['Failure', Failure, failureNames],
  ['KeError', KeError, keErrorNames],
  ['MeterEvent', MeterEvent, meterEventNames],
  ['Missing', Missing, missingNames],
  ['Reject', Reject, rejectNames],
  ['ResetCause', ResetCause, resetCauseNames],
  ['RtcRefusal', RtcRefusal, rtcRefusalNames],
  ['RtcStatus', RtcStatus, rtcStatusNames],
  ['SettingsError', SettingsError, settingsErrorNames],
  ['SourceFlag', SourceFlag, sourceFlagNames],
  ['SourceState', SourceState, sourceStateNames],
  ['TimeFlag', TimeFlag, timeFlagNames],
  ['Invalidity', Invalidity, invalidityNames],
  ['CommandResult', CommandResult, commandResultNames],
  ['Format', Format, formatNames],
  ['ProgramError', ProgramError, programErrorNames],
  ['RecordMark', RecordMark, recordMarkNames],
  ['RecordReason', RecordReason, recordReasonNames],
  ['Ring', Ring, ringNames],
  ['Tampering', Tampering, tamperingNames],
  ['TariffFlag', TariffFlag, tariffFlagNames],
];

const monthEnd = 1_798_761_600n;
const leapEvents: [MeterEvent, bigint, bigint, string, string][] = [
  [
    MeterEvent.LeapAnnounced,
    -1_000_000_000n,
    monthEnd,
    '',
    'The servers announce a leap second: the last second of 2026-12-31 is 23:59:60.',
  ],
  [
    MeterEvent.LeapAnnounced,
    1_000_000_000n,
    monthEnd,
    '',
    'The servers announce a leap second: the last second of 2026-12-31 is 23:59:58.',
  ],
  [MeterEvent.LeapAnnounced, 0n, monthEnd, '', 'The leap second at the end of 2026-12-31 is announced no more.'],
  [MeterEvent.LeapSecond, -1_000_000_000n, monthEnd, '', 'A leap second is inserted at the end of 2026-12-31.'],
  [MeterEvent.LeapSecond, 1_000_000_000n, monthEnd, '', 'A leap second is left out at the end of 2026-12-31.'],
  [
    MeterEvent.LeapDisagrees,
    1n,
    monthEnd,
    'a.test',
    'A server announced an inserted leap second for the end of 2026-12-31, which is not what was done (a.test).',
  ],
];

describe.each(tables)('%s', (_, codes, names) => {
  const members = Object.values(codes).filter((value): value is number => typeof value === 'number');

  test('names each member and nothing else', () => {
    expect(
      Object.keys(names)
        .map(Number)
        .sort((x, y) => x - y),
    ).toEqual([...members].sort((x, y) => x - y));
  });

  test('has distinct kebab-case names and an explanation each', () => {
    const all = members.map((member) => names[member]!);
    expect(new Set(all.map(({ name }) => name)).size).toBe(members.length);
    for (const { name, text } of all) {
      expect(name).toMatch(/^[a-z0-9]+(-[a-z0-9]+)*$/);
      expect(text.length).toBeGreaterThan(5);
    }
  });
});

test('a name is that of its member', () => {
  const kebab = (text: string) => text.replace(/(?<=[a-z0-9])(?=[A-Z])/g, '-').toLowerCase();
  for (const [kind, codes, names] of tables) {
    for (const [member, value] of Object.entries(codes)) {
      if (typeof value === 'number') expect(nameOf(names, value).name, `${kind}.${member}`).toBe(kebab(member));
    }
  }
});

test('codes of a later version keep their number', () => {
  expect(nameOf(meterEventNames, 999).name).toBe('unknown-999');
  expect(namesOfBits(timeFlagNames, 0b1_0000_0101)).toEqual(['single-source', 'slewing', 'unknown-256']);
  expect(aeadName(15)).toBe('AEAD_AES_SIV_CMAC_256');
  expect(aeadName(77)).toBe('AEAD 77');
  expect(aeadName(0)).toBeUndefined();
  expect(namesOfBits(dlmsStatusNames, 0x82)).toEqual(['doubtful', 'summer-time']);
  expect(nameOf(ptbStatusNames, 3).name).toBe('critical-temporary-error');
});

test.each([
  [0n, '0 ns'],
  [999n, '999 ns'],
  [1_250_000n, '1.25 ms'],
  [-3_400_000_000n, '-3.40 s'],
  [86_400_000_000_000n, '86400 s'],
  [45_600, '45.6 us'],
])('%d ns reads %s', (ns, text) => {
  expect(durationText(ns)).toBe(text);
});

test.each([
  [MeterEvent.Started, 2n, 7n, '', 'The meter started: the core trapped and was restarted clean (trap code 7).'],
  [MeterEvent.ClockSet, 0n, 2_500_000n, 'ntp.example', 'The clock was set, to within 2.50 ms (ntp.example).'],
  [
    MeterEvent.ClockSet,
    -3_600_000_000_000n,
    2_500_000n,
    'ntp.example',
    'The clock was set by -3600 s, to within 2.50 ms (ntp.example).',
  ],
  [
    MeterEvent.KeFailed,
    1n,
    6n,
    'ntp.example',
    "NTS key establishment failed (ntp.example): the gateway could not open the connection: the server's certificate leads to no trust anchor.",
  ],
  [
    MeterEvent.AnswerRefused,
    7n,
    12n,
    'ntp.example',
    '12 NTP answers were refused (ntp.example); reason of the last: its authenticator does not hold: it is forged or damaged.',
  ],
  [
    MeterEvent.RtcRefused,
    4n,
    1_000_000_000n,
    '',
    'The real-time clock is not believed: it says a time before the last authenticated one (it says 2001-09-09T01:46:40Z).',
  ],
  [
    MeterEvent.CertificateRefused,
    0n,
    1n << 62n,
    'ke.example',
    "The server's certificate (ke.example) is valid from 1970-01-01T00:00:00Z to Unix second 4611686018427387904 only, not at the time obtained, which is not taken.",
  ],
  [
    MeterEvent.SourceStopped,
    BigInt(Buffer.from('DENY').readUInt32BE()),
    0n,
    'ntp.example',
    'The server (ntp.example) asked not to be polled any more (DENY); it is not, until the meter starts anew.',
  ],
  [
    MeterEvent.RateLimited,
    128n,
    0n,
    'ntp.example',
    'The server (ntp.example) asked for fewer polls: one every 128 s from now on.',
  ],
  [
    MeterEvent.KeysRestored,
    30n,
    1n,
    'ke.example',
    'Keys from before the start are in use: AEAD_AES_128_GCM_SIV, 1 cookie (ke.example).',
  ],
  [
    MeterEvent.SourceDisagrees,
    2_000_000n,
    0n,
    'ke.example',
    'A server contradicts the others, or the clock where nothing outvotes it, by 2.00 ms (ke.example).',
  ],
  [
    MeterEvent.Holdover,
    2_000_000n,
    0n,
    '',
    'Holdover began: no authenticated sample counted for too long. The time is within 2.00 ms.',
  ],
  [MeterEvent.MajorityLost, 1n, 2n, '', 'Too few servers agree: 1 of the 2 that are needed.'],
  [MeterEvent.MajorityReached, 3n, 2n, '', 'Enough servers agree: 3, where 2 are needed.'],
  [MeterEvent.ThermometerFailed, 0n, 0n, '', 'The thermometer does not answer.'],
  [
    MeterEvent.ThermometerFailed,
    1n,
    -128_000n,
    '',
    'The thermometer gives nothing that counts: its last answer is -128.00 °C.',
  ],
  [
    MeterEvent.SettingsChanged,
    -1n,
    1n,
    '',
    'The settings are not those of the last start: 0000000000000001… instead of ffffffffffffffff….',
  ],
  [
    MeterEvent.ProgramStored,
    0xdeadbeefn,
    monthEnd,
    '',
    'A tariff program was stored (CRC-32 deadbeef): it takes effect at 2027-01-01T00:00:00Z.',
  ],
  [MeterEvent.ProgramStored, 1n, 0n, '', 'A tariff program was stored (CRC-32 00000001): it takes effect at once.'],
  [
    MeterEvent.Tampered,
    3n,
    77n,
    '',
    'The storage does not hold what was written to it: an entry of the records does not hold (77).',
  ],
  [
    MeterEvent.RecordsFull,
    900n,
    12n,
    '',
    'There is no room for records: those from 12 to 900 are not acknowledged by the broker.',
  ],
  [MeterEvent.RecordsResumed, 1n, 0n, '', 'Records are kept again; 1 record was lost.'],
  ...leapEvents,
  [4242, 0n, 0n, '', 'code 4242, not known to this version of metertime.'],
])('event %d is told as a sentence', (code, a, b, text, sentence) => {
  expect(describeEvent({ code, a, b, text })).toBe(sentence);
});

test('every event is told as one sentence that ends with a full stop, whatever its numbers', () => {
  for (const code of Object.values(MeterEvent).filter((value) => typeof value === 'number')) {
    for (const a of [0n, 1n, 99n, -(1n << 63n), (1n << 63n) - 1n]) {
      expect(describeEvent({ code, a, b: a, text: 'host' })).toMatch(/^[^.].*\.$/);
    }
  }
});

test('what a meter waits for reads as a sentence', () => {
  const of = (missing: Missing) => waitingText({ missing: missingNames[missing].name, agreeing: 1, needed: 2 });
  expect(of(Missing.None)).toBeUndefined();
  expect(of(Missing.Majority)).toBe('waiting for a majority: 1 of 2 needed servers agree');
  expect(of(Missing.Keys)).toBe('waiting for keys: no NTS key establishment has succeeded');
  expect(waitingText({ missing: 'unknown-99', agreeing: 0, needed: 1 })).toBe('waiting for unknown-99');
});
