// Names and one-sentence explanations of every code that a meter reports: what people and JSON see instead of numbers.
// Each table has an entry for each member of its enum (checked by the compiler and by a test). A name never changes its
// meaning and is what programs compare; an explanation is for people and may be reworded.
import {
  Capability,
  ClockStatus,
  Failure,
  Invalidity,
  KeError,
  LinkRefusal,
  MeterEvent,
  Missing,
  Reject,
  ResetCause,
  RtcRefusal,
  RtcStatus,
  SettingsError,
  SourceFlag,
  SourceState,
  TimeFlag,
} from '../../as/abi/codes.ts';
import { versionText } from '../update/version.ts';
import { crcText } from './hex.ts';
import { tamperingNames } from './record-names.ts';
import { updateRefusalNames } from './update-names.ts';

export * from './record-names.ts';
export * from './update-names.ts';

/** `name` is kebab-case and for programs; `text` is a sentence for people. */
export interface Name {
  readonly name: string;
  readonly text: string;
}

export type Names<T extends number> = Readonly<Record<T, Name>>;

export const clockStatusNames: Names<ClockStatus> = {
  [ClockStatus.Unsynchronised]: { name: 'unsynchronised', text: 'The meter does not know the time.' },
  [ClockStatus.Synchronised]: { name: 'synchronised', text: 'The time comes from recent authenticated samples.' },
  [ClockStatus.Holdover]: {
    name: 'holdover',
    text: 'The time is carried on by the local oscillator; its error bound grows.',
  },
};

export const timeFlagNames: Names<TimeFlag> = {
  [TimeFlag.SingleSource]: {
    name: 'single-source',
    text: 'One server is enough: no majority stands behind this time.',
  },
  [TimeFlag.DatesUnchecked]: {
    name: 'dates-unchecked',
    text: "The server certificate's dates are not checked yet at the obtained time.",
  },
  [TimeFlag.Slewing]: { name: 'slewing', text: 'A correction is being slewed.' },
  [TimeFlag.FromRtc]: {
    name: 'from-rtc',
    text: 'The time comes from the real-time clock and is unconfirmed since the start.',
  },
  [TimeFlag.NoMajority]: { name: 'no-majority', text: 'Fewer servers agree than are needed.' },
  [TimeFlag.LeapSecond]: { name: 'leap-second', text: 'An inserted leap second, 23:59:60, is passing.' },
  [TimeFlag.HoldoverEnded]: {
    name: 'holdover-ended',
    text: "The last authenticated sample is older than the meter's rules allow: the time is not to be billed by.",
  },
  [TimeFlag.ClockRefused]: {
    name: 'clock-refused',
    text: "The meter's rules refuse a correction, which an operator has to accept.",
  },
};

/** Why registration periods are invalid: read behind "invalid:". */
export const invalidityNames: Names<Invalidity> = {
  [Invalidity.Correction]: { name: 'correction', text: 'the clock was corrected by more than the rules allow' },
  [Invalidity.DayShift]: {
    name: 'day-shift',
    text: 'corrections within a day add up to more than the rules allow',
  },
  [Invalidity.DayCount]: { name: 'day-count', text: 'the clock was set more often in a day than the rules allow' },
  [Invalidity.Holdover]: { name: 'holdover', text: 'no authenticated sample came for longer than the rules allow' },
};

/** What a meter without a time waits for: read behind "waiting for". */
export const missingNames: Names<Missing> = {
  [Missing.None]: { name: 'none', text: 'nothing' },
  [Missing.Settings]: { name: 'settings', text: 'settings that hold; provision it anew' },
  [Missing.Random]: { name: 'random', text: 'a seed for random bytes' },
  [Missing.Network]: { name: 'network', text: 'the link to its gateway' },
  [Missing.Keys]: { name: 'keys', text: 'keys: no NTS key establishment has succeeded' },
  [Missing.Answer]: { name: 'answer', text: 'an authenticated answer' },
  [Missing.Certificate]: { name: 'certificate', text: 'a certificate that holds at the time obtained' },
  [Missing.Majority]: { name: 'majority', text: 'a majority' },
};

export const sourceFlagNames: Names<SourceFlag> = {
  [SourceFlag.Agrees]: { name: 'agrees', text: 'Its last sample agrees with the majority, or with the most others.' },
  [SourceFlag.Disagrees]: {
    name: 'disagrees',
    text: 'Its last sample contradicts the majority, or the clock where nothing outvotes it.',
  },
  [SourceFlag.Reference]: { name: 'reference', text: 'The clock takes its path for symmetric.' },
  [SourceFlag.DatesUnchecked]: {
    name: 'dates-unchecked',
    text: "Its certificate's dates are not checked yet at an obtained time.",
  },
  [SourceFlag.Restored]: { name: 'restored', text: 'Its keys came out of the storage, from before the start.' },
  [SourceFlag.Strays]: {
    name: 'strays',
    text: 'Its last sample is further off than was foreseen, and counts only when the next ones insist.',
  },
};

export const sourceStateNames: Names<SourceState> = {
  [SourceState.Waiting]: { name: 'waiting', text: 'It waits until it may try a key establishment.' },
  [SourceState.Connecting]: { name: 'connecting', text: 'A TLS connection is being opened.' },
  [SourceState.Establishing]: { name: 'establishing', text: 'NTS key establishment runs.' },
  [SourceState.Serving]: { name: 'serving', text: 'The meter has its keys and polls it.' },
  [SourceState.Stopped]: { name: 'stopped', text: 'It asked, authenticated, not to be polled any more.' },
};

/** Leap indicator of a server's answer (RFC 5905 7.3). */
export const leapNames: Readonly<Record<number, Name>> = {
  0: { name: 'none', text: 'No leap second is announced.' },
  1: { name: 'insert-second', text: 'The last minute of the day has 61 seconds.' },
  2: { name: 'delete-second', text: 'The last minute of the day has 59 seconds.' },
  3: { name: 'unsynchronised', text: 'The server says that it is not synchronised.' },
};

export const capabilityNames: Names<Capability> = {
  [Capability.OwnNetwork]: { name: 'own-network', text: 'The board has a network of its own.' },
  [Capability.Rtc]: { name: 'rtc', text: 'The board has a real-time clock.' },
  [Capability.Storage]: { name: 'storage', text: 'The board has storage that survives a power cut.' },
  [Capability.Thermometer]: { name: 'thermometer', text: "The board measures its oscillator's temperature." },
  [Capability.OwnDatagrams]: { name: 'own-datagrams', text: 'The board sends NTP from sockets of its own.' },
  [Capability.Registers]: { name: 'registers', text: 'An application hands in its registers.' },
};

export const resetCauseNames: Names<ResetCause> = {
  [ResetCause.PowerOn]: { name: 'power-on', text: 'power came on' },
  [ResetCause.Watchdog]: { name: 'watchdog', text: 'the watchdog restarted it because its software had stopped' },
  [ResetCause.Trap]: { name: 'trap', text: 'the core trapped and was restarted clean' },
  [ResetCause.Software]: { name: 'software', text: 'the firmware restarted it' },
};

export const rtcStatusNames: Names<RtcStatus> = {
  [RtcStatus.Running]: { name: 'running', text: 'The real-time clock runs and never stopped.' },
  [RtcStatus.Stopped]: { name: 'stopped', text: "The real-time clock's oscillator had stopped: its time was lost." },
  [RtcStatus.Absent]: { name: 'absent', text: 'No real-time clock answers, or what it answers is no date.' },
};

export const rtcRefusalNames: Names<RtcRefusal> = {
  [RtcRefusal.Absent]: { name: 'absent', text: 'no real-time clock answers, or what it answers is no date' },
  [RtcRefusal.OscillatorStopped]: { name: 'oscillator-stopped', text: 'its oscillator had stopped' },
  [RtcRefusal.NoProof]: { name: 'no-proof', text: 'storage holds no proof that an authenticated time set it' },
  [RtcRefusal.BehindFloor]: { name: 'behind-floor', text: 'it says a time before the last authenticated one' },
};

export const settingsErrorNames: Names<SettingsError> = {
  [SettingsError.None]: { name: 'none', text: 'no error' },
  [SettingsError.Absent]: { name: 'absent', text: 'the storage holds no settings block' },
  [SettingsError.Version]: {
    name: 'version',
    text: 'the settings block has a version that this firmware does not know',
  },
  [SettingsError.Damaged]: { name: 'damaged', text: 'the settings block is damaged (CRC-32 or lengths do not hold)' },
  [SettingsError.Item]: { name: 'item', text: 'a setting is missing, doubled, unknown or out of range' },
};

export const failureNames: Names<Failure> = {
  [Failure.None]: { name: 'none', text: 'the peer closed' },
  [Failure.Dns]: { name: 'dns', text: 'the name does not exist or no DNS server answers' },
  [Failure.Connect]: { name: 'connect', text: 'refused, unreachable or no answer' },
  [Failure.Tls]: { name: 'tls', text: 'TLS failed' },
  [Failure.TlsVersion]: { name: 'tls-version', text: 'the server does not speak TLS 1.3' },
  [Failure.Alpn]: { name: 'alpn', text: 'the server does not speak the protocol asked for (ALPN)' },
  [Failure.Untrusted]: { name: 'untrusted', text: "the server's certificate leads to no trust anchor" },
  [Failure.Expired]: {
    name: 'expired',
    text: "the dates of the server's certificate path do not hold",
  },
  [Failure.WrongName]: { name: 'wrong-name', text: "the server's certificate is for another name" },
  [Failure.WrongUsage]: { name: 'wrong-usage', text: "the server's certificate is not for TLS servers" },
  [Failure.Timeout]: { name: 'timeout', text: 'the peer stopped answering' },
  [Failure.Reset]: { name: 'reset', text: 'the connection broke' },
  [Failure.Limit]: { name: 'limit', text: "the meter asked for more than the gateway's limits allow" },
  [Failure.Request]: { name: 'request', text: "the meter's message made no sense to the gateway" },
};

export const keErrorNames: Names<KeError> = {
  [KeError.None]: { name: 'none', text: 'no error' },
  [KeError.Connection]: { name: 'connection', text: 'the gateway could not open the connection' },
  [KeError.Truncated]: { name: 'truncated', text: 'the server closed before the End of Message record' },
  [KeError.Empty]: { name: 'empty', text: 'the server closed without any record' },
  [KeError.PeerUnrecognizedCritical]: {
    name: 'peer-unrecognized-critical',
    text: 'the server does not know a critical record of the request (error 0)',
  },
  [KeError.PeerBadRequest]: { name: 'peer-bad-request', text: 'the server calls the request bad (error 1)' },
  [KeError.PeerInternal]: { name: 'peer-internal', text: 'the server has an internal error (error 2)' },
  [KeError.PeerUnknown]: { name: 'peer-unknown', text: 'the server sent an error with an unknown code' },
  [KeError.Warning]: { name: 'warning', text: 'the server sent a warning record, of which none is defined' },
  [KeError.UnknownCritical]: { name: 'unknown-critical', text: 'the server sent a critical record of an unknown type' },
  [KeError.NextProtocol]: {
    name: 'next-protocol',
    text: 'the Next Protocol record is missing, repeated or not critical',
  },
  [KeError.NoNtpv4]: { name: 'no-ntpv4', text: 'the server does not serve NTPv4' },
  [KeError.Aead]: { name: 'aead', text: 'the AEAD record is missing, repeated or malformed' },
  [KeError.NoCommonAead]: { name: 'no-common-aead', text: 'the server has none of the AEAD algorithms offered' },
  [KeError.AeadNotOffered]: { name: 'aead-not-offered', text: 'the server chose an AEAD that was not offered' },
  [KeError.NoCookies]: { name: 'no-cookies', text: 'the server sent no cookie' },
  [KeError.CookieLength]: { name: 'cookie-length', text: 'the server sent a cookie of length 0 or over 256 bytes' },
  [KeError.ServerRecord]: { name: 'server-record', text: "the server's Server or Port record is malformed" },
  [KeError.EndOfMessage]: { name: 'end-of-message', text: 'End of Message has a body or lacks its critical bit' },
  [KeError.TrailingData]: { name: 'trailing-data', text: 'the server sent data after End of Message' },
  [KeError.Alpn]: { name: 'alpn', text: 'the server chose another ALPN protocol or none' },
  [KeError.Export]: { name: 'export', text: 'keys of the wrong length came from the gateway, or none' },
  [KeError.Timeout]: { name: 'timeout', text: 'no End of Message came within the time or size allowed' },
  [KeError.Malformed]: { name: 'malformed', text: "a record's body does not fit its type" },
};

export const rejectNames: Names<Reject> = {
  [Reject.None]: { name: 'none', text: 'no answer was refused' },
  [Reject.Unexpected]: { name: 'unexpected', text: 'no request is open for it: it is late or replayed' },
  [Reject.Malformed]: { name: 'malformed', text: 'its length or extension fields do not add up' },
  [Reject.Mode]: { name: 'mode', text: "its version or mode is not that of a server's answer" },
  [Reject.Origin]: { name: 'origin', text: 'its origin timestamp is not that of the request' },
  [Reject.UniqueIdentifier]: { name: 'unique-identifier', text: 'its unique identifier is missing or not ours' },
  [Reject.NoAuthenticator]: { name: 'no-authenticator', text: 'it is not authenticated' },
  [Reject.Authentication]: { name: 'authentication', text: 'its authenticator does not hold: it is forged or damaged' },
  [Reject.Unsynchronised]: { name: 'unsynchronised', text: 'the server says that it is not synchronised' },
  [Reject.Kiss]: { name: 'kiss', text: "the server sent a Kiss-o'-Death" },
  [Reject.RootDistance]: { name: 'root-distance', text: "the server's root distance is above the limit" },
  [Reject.ServerTime]: { name: 'server-time', text: 'the server sent it before it had received the request' },
  [Reject.Delay]: { name: 'delay', text: 'the round trip is negative or took too long' },
  [Reject.BehindFloor]: {
    name: 'behind-floor',
    text: 'it says a time before this software was built, before the last authenticated time, or decades later',
  },
  [Reject.Nak]: { name: 'nak', text: 'the server does not know our cookie (NTSN)' },
  [Reject.Backwards]: { name: 'backwards', text: "the server's time is before that of an earlier answer of its own" },
  [Reject.Limits]: { name: 'limits', text: 'its stratum, root delay or root dispersion is above the limits set' },
  [Reject.Certificate]: {
    name: 'certificate',
    text: "the server's certificate does not hold at the time obtained",
  },
};

export const meterEventNames: Names<MeterEvent> = {
  [MeterEvent.Started]: { name: 'started', text: 'The meter started.' },
  [MeterEvent.SettingsInvalid]: {
    name: 'settings-invalid',
    text: "The meter's settings are missing or damaged; provision it anew.",
  },
  [MeterEvent.SeedInvalid]: {
    name: 'seed-invalid',
    text: 'The seed for random bytes is missing or could not be replaced; provision the meter anew.',
  },
  [MeterEvent.StorageFailed]: { name: 'storage-failed', text: "The meter's storage cannot be read or written." },
  [MeterEvent.RtcAccepted]: { name: 'rtc-accepted', text: 'The real-time clock gives the time until a server does.' },
  [MeterEvent.RtcRefused]: { name: 'rtc-refused', text: 'The real-time clock is not believed.' },
  [MeterEvent.ClockSet]: { name: 'clock-set', text: 'The clock was set.' },
  [MeterEvent.Synchronised]: { name: 'synchronised', text: 'The clock is synchronised with an authenticated server.' },
  [MeterEvent.Holdover]: { name: 'holdover', text: 'Holdover began: no authenticated sample counted for too long.' },
  [MeterEvent.KeysEstablished]: { name: 'keys-established', text: 'NTS key establishment succeeded.' },
  [MeterEvent.KeFailed]: { name: 'ke-failed', text: 'NTS key establishment failed.' },
  [MeterEvent.AnswerRefused]: { name: 'answer-refused', text: 'An NTP answer was refused.' },
  [MeterEvent.Nak]: { name: 'nak', text: 'The server says that it cannot use our cookie; new keys are needed.' },
  [MeterEvent.CertificateRefused]: {
    name: 'certificate-refused',
    text: "The server's certificate does not hold at the time obtained, which is not taken.",
  },
  [MeterEvent.BoundsDisagree]: {
    name: 'bounds-disagree',
    text: "Two authenticated samples contradict each other's bounds.",
  },
  [MeterEvent.ClockSlewed]: { name: 'clock-slewed', text: 'The clock began to slew.' },
  [MeterEvent.SourceStopped]: { name: 'source-stopped', text: 'A server asked not to be polled any more.' },
  [MeterEvent.RateLimited]: { name: 'rate-limited', text: 'A server asked for fewer polls.' },
  [MeterEvent.KeysRestored]: { name: 'keys-restored', text: 'Keys and cookies from before the start are in use.' },
  [MeterEvent.KeysSwitched]: {
    name: 'keys-switched',
    text: 'The server knows no cookie; the keys of the other exporter context are tried.',
  },
  [MeterEvent.SourceDisagrees]: {
    name: 'source-disagrees',
    text: 'A server contradicts the majority, or the clock where nothing outvotes it.',
  },
  [MeterEvent.MajorityLost]: { name: 'majority-lost', text: 'Fewer servers agree than are needed.' },
  [MeterEvent.MajorityReached]: {
    name: 'majority-reached',
    text: 'As many servers agree as are needed.',
  },
  [MeterEvent.ThermometerFailed]: {
    name: 'thermometer-failed',
    text: 'The thermometer gives nothing that counts.',
  },
  [MeterEvent.LeapAnnounced]: {
    name: 'leap-announced',
    text: 'The servers announce a leap second, or take it back.',
  },
  [MeterEvent.LeapSecond]: { name: 'leap-second', text: 'A leap second takes place.' },
  [MeterEvent.LeapDisagrees]: {
    name: 'leap-disagrees',
    text: 'What a server announced for the end of the month is not what was done.',
  },
  [MeterEvent.ClockRefused]: { name: 'clock-refused', text: 'A correction of the clock is refused.' },
  [MeterEvent.PeriodsInvalid]: { name: 'periods-invalid', text: 'Registration periods are invalid.' },
  [MeterEvent.HoldoverEnded]: {
    name: 'holdover-ended',
    text: 'No authenticated sample came for longer than the rules allow; the time is not to be billed by.',
  },
  [MeterEvent.TransactionOverdue]: { name: 'transaction-overdue', text: 'A transaction was not ended.' },
  [MeterEvent.SettingsChanged]: {
    name: 'settings-changed',
    text: 'The settings are not those of the last start.',
  },
  [MeterEvent.SoftwareChanged]: {
    name: 'software-changed',
    text: 'The software is not that of the last start.',
  },
  [MeterEvent.ProgramStored]: { name: 'program-stored', text: 'A tariff program was stored.' },
  [MeterEvent.ProgramActivated]: { name: 'program-activated', text: 'A tariff program took effect.' },
  [MeterEvent.DynamicStored]: { name: 'dynamic-stored', text: 'Dynamic tariffs were stored.' },
  [MeterEvent.Tampered]: { name: 'tampered', text: 'The storage does not hold what was written to it.' },
  [MeterEvent.LogbookFull]: {
    name: 'logbook-full',
    text: 'The logbook is full; registration periods are invalid until an operator releases it.',
  },
  [MeterEvent.LogbookReleased]: { name: 'logbook-released', text: 'An operator released the logbook.' },
  [MeterEvent.RecordsFull]: {
    name: 'records-full',
    text: 'There is no room for records: the broker has not acknowledged any for too long.',
  },
  [MeterEvent.RecordsResumed]: { name: 'records-resumed', text: 'Records are kept again.' },
  [MeterEvent.UpdateAccepted]: { name: 'update-accepted', text: 'Other software was accepted, and will be tried.' },
  [MeterEvent.UpdateConfirmed]: { name: 'update-confirmed', text: 'The software that was tried stays.' },
  [MeterEvent.UpdateRolledBack]: {
    name: 'update-rolled-back',
    text: 'The software that was accepted does not run; what ran before does.',
  },
  [MeterEvent.UpdateRefused]: { name: 'update-refused', text: 'Software was not taken.' },
  [MeterEvent.LinkRefused]: { name: 'link-refused', text: 'Frames on the sealed link were refused.' },
};

const goodEvents = [
  MeterEvent.Synchronised,
  MeterEvent.KeysEstablished,
  MeterEvent.KeysRestored,
  MeterEvent.RtcAccepted,
  MeterEvent.MajorityReached,
  MeterEvent.RecordsResumed,
  MeterEvent.UpdateConfirmed,
];
const badEvents = [
  MeterEvent.SettingsInvalid,
  MeterEvent.SeedInvalid,
  MeterEvent.StorageFailed,
  MeterEvent.Holdover,
  MeterEvent.KeFailed,
  MeterEvent.AnswerRefused,
  MeterEvent.Nak,
  MeterEvent.CertificateRefused,
  MeterEvent.BoundsDisagree,
  MeterEvent.SourceStopped,
  MeterEvent.SourceDisagrees,
  MeterEvent.MajorityLost,
  MeterEvent.ThermometerFailed,
  MeterEvent.LeapDisagrees,
  MeterEvent.ClockRefused,
  MeterEvent.PeriodsInvalid,
  MeterEvent.HoldoverEnded,
  MeterEvent.TransactionOverdue,
  MeterEvent.LinkRefused,
  MeterEvent.Tampered,
  MeterEvent.LogbookFull,
  MeterEvent.RecordsFull,
  MeterEvent.UpdateRolledBack,
  MeterEvent.UpdateRefused,
];

/** What an event, by its code or its name, is to people who watch. */
export function eventNews(event: number | string): 'good' | 'bad' | 'neither' {
  const isOne = (code: MeterEvent) => code === event || meterEventNames[code].name === event;
  if (goodEvents.some(isOne)) return 'good';
  return badEvents.some(isOne) ? 'bad' : 'neither';
}

/** AEAD algorithms by their number in IANA's registry; 0 stands for no keys. */
const aeadNames: Readonly<Record<number, string>> = {
  15: 'AEAD_AES_SIV_CMAC_256',
  16: 'AEAD_AES_SIV_CMAC_384',
  17: 'AEAD_AES_SIV_CMAC_512',
  30: 'AEAD_AES_128_GCM_SIV',
  31: 'AEAD_AES_256_GCM_SIV',
};

/** Bits of an AEAD's key (RFC 5297, RFC 8452); undefined for one not known here. */
export function aeadKeyBits(aead: number): number | undefined {
  return { 15: 256, 16: 384, 17: 512, 30: 128, 31: 256 }[aead];
}

/** The entry of a code, and `unknown-NUMBER` for one that this program does not know. */
export function nameOf(table: Readonly<Record<number, Name>>, code: number): Name {
  return table[code] ?? { name: `unknown-${code}`, text: `code ${code}, not known to this version of metertime` };
}

/** What a name of a table says; the name itself where this program does not know it. */
export function textOfName(table: Readonly<Record<number, Name>>, name: string): string {
  return Object.values(table).find((one) => one.name === name)?.text ?? name;
}

/** Names of the bits set in `bits`, lowest first; unknown bits as `unknown-VALUE`. */
export function namesOfBits(table: Readonly<Record<number, Name>>, bits: number): string[] {
  const names: string[] = [];
  for (let bit = 1; bit <= bits; bit *= 2) {
    if ((bits & bit) !== 0) names.push(nameOf(table, bit).name);
  }
  return names;
}

/** Name of an AEAD by its IANA number; undefined without keys (0). */
export function aeadName(aead: number): string | undefined {
  return aead === 0 ? undefined : (aeadNames[aead] ?? `AEAD ${aead}`);
}

/** Nanoseconds with the unit that reads best: `1.25 ms`, `-3.4 s`, `12 ns`. Three significant digits at least. */
export function durationText(ns: bigint | number): string {
  const value = Number(ns);
  const size = Math.abs(value);
  const [divisor, unit] = size >= 1e9 ? [1e9, 's'] : size >= 1e6 ? [1e6, 'ms'] : size >= 1e3 ? [1e3, 'us'] : [1, 'ns'];
  const scaled = value / divisor;
  const digits = divisor === 1 || Math.abs(scaled) >= 100 ? 0 : Math.abs(scaled) >= 10 ? 1 : 2;
  return `${scaled.toFixed(digits)} ${unit}`;
}

/** `23.56 °C`, of thousandths of a degree. */
export function celsiusText(milliCelsius: number): string {
  return `${(milliCelsius / 1000).toFixed(2)} °C`;
}

/** Unix seconds as ISO 8601, or the number itself where no such date exists. */
function dateText(unixSeconds: bigint): string {
  const date = new Date(Number(unixSeconds) * 1000);
  return Number.isNaN(date.getTime()) ? `Unix second ${unixSeconds}` : date.toISOString().replace('.000Z', 'Z');
}

/** The day before a month's end, in Unix seconds. */
function dayBefore(end: bigint): string {
  return dateText(end - 1n).replace(/T.*/, '');
}

const linkRefusalNames: Names<LinkRefusal> = {
  [LinkRefusal.Forged]: { name: 'forged', text: 'without a seal that holds' },
  [LinkRefusal.Replayed]: { name: 'replayed', text: 'that had come before, or came too late' },
};

/** `1 cookie`, `2 cookies`. */
function countText(count: bigint, unit: string): string {
  return `${count} ${unit}${count === 1n ? '' : 's'}`;
}

/** A kiss code as an event carries it: four ASCII bytes, the first the highest. */
function kissText(code: bigint): string {
  const digits = BigInt.asUintN(32, code).toString(16).padStart(8, '0');
  const text = Buffer.from(digits, 'hex').toString('latin1');
  return /^[\x21-\x7e]{4}$/.test(text) ? text : `0x${digits}`;
}

/** The first bytes of a hash, as an event carries them. */
function hashText(bytes: bigint): string {
  return `${BigInt.asUintN(64, bytes).toString(16).padStart(16, '0')}…`;
}

/** What a meter without a time waits for, as one sentence without its full stop; undefined where it waits for nothing. */
export function waitingText(time: {
  readonly missing: string;
  readonly agreeing: number;
  readonly needed: number;
}): string | undefined {
  const { missing, agreeing, needed } = time;
  if (missing === 'none') return undefined;
  return `waiting for ${textOfName(missingNames, missing)}${missing === 'majority' ? `: ${agreeing} of ${needed} needed servers agree` : ''}`;
}

/** That too few servers agree for a meter that has a time, as one sentence without its full stop; undefined where enough do. */
export function noMajorityText(time: {
  readonly status: string;
  readonly flags: readonly string[];
  readonly inUse: number;
  readonly agreeing: number;
  readonly needed: number;
}): string | undefined {
  const { status, flags, inUse, agreeing, needed } = time;
  if (!flags.includes('no-majority') || status === 'unsynchronised') return undefined;
  const clock =
    status === 'holdover' ? 'the clock runs on by itself' : 'what they agreed on last counts until it is too old';
  return `no majority: ${agreeing} of ${inUse} servers agree, ${needed} have to; ${clock}`;
}

/** An event of a meter as one sentence for people. `a`, `b`, `text`: as `MeterEvent` says. */
export function describeEvent(event: {
  readonly code: number;
  readonly a: bigint;
  readonly b: bigint;
  readonly text: string;
}): string {
  const { code, a, b, text } = event;
  const from = text === '' ? '' : ` (${text})`;
  switch (code) {
    case MeterEvent.Started: {
      const cause = nameOf(resetCauseNames, Number(a));
      const trap = Number(a) === ResetCause.Trap ? ` (trap code ${b})` : '';
      return `The meter started: ${cause.text}${trap}.`;
    }
    case MeterEvent.SettingsInvalid:
      return `The meter cannot work: ${nameOf(settingsErrorNames, Number(a)).text}; provision it anew.`;
    case MeterEvent.StorageFailed:
      return `The meter's storage cannot be read or written at offset 0x${a.toString(16)}.`;
    case MeterEvent.RtcAccepted:
      return `The real-time clock gives the time until a server does, within ${durationText(a)}.`;
    case MeterEvent.RtcRefused: {
      const says = b === 0n ? '' : ` (it says ${dateText(b)})`;
      return `The real-time clock is not believed: ${nameOf(rtcRefusalNames, Number(a)).text}${says}.`;
    }
    case MeterEvent.ClockSet:
      // Without a time before, there is nothing to be off by.
      if (a === 0n) return `The clock was set, to within ${durationText(b)}${from}.`;
      return `The clock was set by ${a < 0n ? '' : '+'}${durationText(a)}, to within ${durationText(b)}${from}.`;
    case MeterEvent.Synchronised:
      return `The clock is synchronised, within ${durationText(a)}${from}.`;
    case MeterEvent.Holdover:
      return `Holdover began: no authenticated sample counted for too long. The time is within ${durationText(a)}.`;
    case MeterEvent.KeysEstablished:
      return `NTS key establishment succeeded: ${aeadName(Number(a)) ?? 'no AEAD'}, ${b} cookies${from}.`;
    case MeterEvent.KeFailed: {
      const error = nameOf(keErrorNames, Number(a));
      const detail =
        Number(a) === KeError.Connection ? `: ${nameOf(failureNames, Number(b)).text}` : b === 0n ? '' : `: ${b}`;
      return `NTS key establishment failed${from}: ${error.text}${detail}.`;
    }
    case MeterEvent.AnswerRefused: {
      const times = b > 1n ? `${b} NTP answers were refused` : 'An NTP answer was refused';
      return `${times}${from}; reason${b > 1n ? ' of the last' : ''}: ${nameOf(rejectNames, Number(a)).text}.`;
    }
    case MeterEvent.CertificateRefused:
      return `The server's certificate${from} is valid from ${dateText(a)} to ${dateText(b)} only, not at the time obtained, which is not taken.`;
    case MeterEvent.BoundsDisagree:
      return `Two authenticated samples contradict each other's bounds by ${durationText(a)}${from}.`;
    case MeterEvent.ClockSlewed:
      return `The clock began to slew by ${a < 0n ? '' : '+'}${durationText(a)}${from}.`;
    case MeterEvent.SourceStopped:
      return `The server${from} asked not to be polled any more (${kissText(a)}); it is not, until the meter starts anew.`;
    case MeterEvent.RateLimited:
      return `The server${from} asked for fewer polls: one every ${a} s from now on.`;
    case MeterEvent.KeysRestored:
      return `Keys from before the start are in use: ${aeadName(Number(a)) ?? 'no AEAD'}, ${countText(b, 'cookie')}${from}.`;
    case MeterEvent.KeysSwitched:
      return `The server${from} knows no cookie; the keys of the other exporter context of AEAD_AES_128_GCM_SIV are tried.`;
    case MeterEvent.SourceDisagrees:
      return `A server contradicts the others, or the clock where nothing outvotes it, by ${durationText(a)}${from}.`;
    case MeterEvent.MajorityLost:
      return `Too few servers agree: ${a} of the ${b} that are needed.`;
    case MeterEvent.MajorityReached:
      return `Enough servers agree: ${a}, where ${b} are needed.`;
    case MeterEvent.ThermometerFailed:
      if (a === 0n) return 'The thermometer does not answer.';
      return `The thermometer gives nothing that counts: its last answer is ${celsiusText(Number(b))}.`;
    case MeterEvent.LeapAnnounced: {
      if (a === 0n) return `The leap second at the end of ${dayBefore(b)} is announced no more.`;
      return `The servers announce a leap second: the last second of ${dayBefore(b)} is ${a < 0n ? '23:59:60' : '23:59:58'}.`;
    }
    case MeterEvent.LeapSecond:
      return `A leap second is ${a < 0n ? 'inserted' : 'left out'} at the end of ${dayBefore(b)}.`;
    case MeterEvent.LeapDisagrees: {
      const said = a === 0n ? 'no leap second' : a === 1n ? 'an inserted leap second' : 'a deleted leap second';
      return `A server announced ${said} for the end of ${dayBefore(b)}, which is not what was done${from}.`;
    }
    case MeterEvent.ClockRefused:
      return `A correction of ${a < 0n ? '' : '+'}${durationText(a)} is refused, as it is above ${durationText(b)}; an operator has to accept it${from}.`;
    case MeterEvent.PeriodsInvalid: {
      const by = a === 0n ? '' : ` (${a < 0n ? '' : '+'}${durationText(a)})`;
      return `Registration periods are invalid: ${nameOf(invalidityNames, Number(b)).text}${by}.`;
    }
    case MeterEvent.HoldoverEnded:
      return `The last authenticated sample is ${durationText(a)} old, more than the ${b} h that are allowed; the time is not to be billed by.`;
    case MeterEvent.TransactionOverdue:
      return `A transaction was not ended within ${durationText(a)}; it counts as ended.`;
    case MeterEvent.SettingsChanged:
      return `The settings are not those of the last start: ${hashText(b)} instead of ${hashText(a)}.`;
    case MeterEvent.SoftwareChanged:
      return `The software is not that of the last start: ${hashText(b)} instead of ${hashText(a)}.`;
    case MeterEvent.ProgramStored:
      return `A tariff program was stored (CRC-32 ${crcText(a)}): it takes effect ${b === 0n ? 'at once' : `at ${dateText(b)}`}.`;
    case MeterEvent.ProgramActivated:
      return `A stored tariff program took effect (CRC-32 ${crcText(a)}${b === 0n ? '' : `, due at ${dateText(b)}`}).`;
    case MeterEvent.DynamicStored:
      return `Dynamic tariffs were stored (CRC-32 ${crcText(a)}): they end at ${dateText(b)}.`;
    case MeterEvent.Tampered:
      return `The storage does not hold what was written to it: ${nameOf(tamperingNames, Number(a)).text} (${b}).`;
    case MeterEvent.LogbookFull:
      return `The logbook is full, up to entry ${a}: registration periods are invalid until an operator releases it.`;
    case MeterEvent.LogbookReleased:
      return `An operator released the logbook up to entry ${a}.`;
    case MeterEvent.RecordsFull:
      return `There is no room for records: those from ${b} to ${a} are not acknowledged by the broker.`;
    case MeterEvent.RecordsResumed:
      return `Records are kept again; ${countText(a, 'record')} ${a === 1n ? 'was' : 'were'} lost.`;
    case MeterEvent.UpdateAccepted:
      return `Software ${upperVersion(a)} (hash ${hashText(b)}) was accepted in the place of ${lowerVersion(a)}, and will be tried.`;
    case MeterEvent.UpdateConfirmed:
      return `Software ${lowerVersion(a)} stays; from now on nothing below ${lowerVersion(b)} is taken.`;
    case MeterEvent.UpdateRolledBack:
      return `Software ${upperVersion(a)} was ${b === 0n ? 'not tried' : 'tried, and not confirmed'}; ${lowerVersion(a)} runs.`;
    case MeterEvent.UpdateRefused:
      return `Software was not taken: ${nameOf(updateRefusalNames, Number(a)).text}${b > 1n ? ` (${b} times)` : ''}.`;
    case MeterEvent.LinkRefused:
      return `Frames on the sealed link were refused: ${countText(b, 'frame')} ${nameOf(linkRefusalNames, Number(a)).text}.`;
    default:
      return `${nameOf(meterEventNames, code).text.replace(/\.$/, '')}${from}.`;
  }
}

/** The two versions of an event of updates: what came, and what runs. */
function upperVersion(pair: bigint): string {
  return versionText(Number((pair >> 32n) & 0xffff_ffffn));
}
function lowerVersion(pair: bigint): string {
  return versionText(Number(pair & 0xffff_ffffn));
}
