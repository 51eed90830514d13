// Names and explanations of the codes in records, logbook and answers to commands; rules as in names.ts, which exports them.
import {
  CommandResult,
  Format,
  ProgramError,
  RecordMark,
  RecordReason,
  Ring,
  Tampering,
  TariffFlag,
} from '../../as/abi/codes.ts';
import type { Name, Names } from './names.ts';

/** Rings of entries: read behind "of". */
export const ringNames: Names<Ring> = {
  [Ring.Records]: { name: 'records', text: 'the records' },
  [Ring.Logbook]: { name: 'logbook', text: 'the logbook' },
  [Ring.Network]: { name: 'network', text: 'what the network provoked' },
};

/** What an entry is. */
export const formatNames: Names<Format> = {
  [Format.Record]: { name: 'record', text: 'a record' },
  [Format.Context]: { name: 'context', text: 'a part of a context' },
  [Format.Log]: { name: 'log', text: 'an event of the logbook' },
};

export const recordReasonNames: Names<RecordReason> = {
  [RecordReason.Period]: { name: 'period', text: 'A registration period ended.' },
  [RecordReason.Switch]: { name: 'switch', text: 'The tariff changed.' },
  [RecordReason.TransactionBegin]: { name: 'transaction-begin', text: 'A transaction began.' },
  [RecordReason.TransactionEnd]: { name: 'transaction-end', text: 'A transaction ended.' },
  [RecordReason.Status]: { name: 'status', text: 'The status letter or the PTB status changed.' },
  [RecordReason.Start]: { name: 'start', text: 'The first record after a start.' },
  [RecordReason.ClockSet]: { name: 'clock-set', text: 'The clock was set.' },
};

export const recordMarkNames: Names<RecordMark> = {
  [RecordMark.Doubtful]: { name: 'doubtful', text: 'The time was not good enough to bill by.' },
  [RecordMark.PeriodInvalid]: {
    name: 'period-invalid',
    text: 'In the period that ended, the clock was set or corrected beyond the rules.',
  },
  [RecordMark.PeriodIncomplete]: {
    name: 'period-incomplete',
    text: 'The meter did not run through the whole period that ended.',
  },
  [RecordMark.NoReadings]: { name: 'no-readings', text: 'The application handed in no readings.' },
  [RecordMark.DynamicEnded]: {
    name: 'dynamic-ended',
    text: 'The dynamic tariffs had ended; what the program says instead applied.',
  },
  [RecordMark.NoProgram]: { name: 'no-program', text: 'There was no tariff program.' },
  [RecordMark.LogbookFull]: { name: 'logbook-full', text: 'The logbook was full.' },
  [RecordMark.RecordsLost]: {
    name: 'records-lost',
    text: 'Records before this one were lost, as there was no room.',
  },
  [RecordMark.Late]: {
    name: 'late',
    text: 'Registers were read further from the target than a hundredth of the period.',
  },
  [RecordMark.SwitchHeld]: {
    name: 'switch-held',
    text: 'A tariff switch was held back, as the time was not good enough.',
  },
};

/** Letters of a time's status in OCMF. */
export const letterNames: Readonly<Record<string, Name>> = {
  S: { name: 'synchronised', text: 'The time is legal time.' },
  I: { name: 'informative', text: 'The time is informative, not to be billed by.' },
  R: { name: 'relative', text: 'Durations are good; the absolute time is informative.' },
  U: { name: 'unsynchronised', text: 'The time is not known.' },
};

/** PTB status of a record. */
export const ptbStatusNames: Readonly<Record<number, Name>> = {
  0: { name: 'ok', text: 'No error.' },
  1: { name: 'warning', text: 'A warning.' },
  2: { name: 'temporary-error', text: 'A temporary error: a substitute value may be used.' },
  3: { name: 'critical-temporary-error', text: 'A critical temporary error: not to be used.' },
  4: { name: 'fatal-error', text: 'A fatal error.' },
};

/** Bits of the clock status of DLMS/COSEM (Blue Book 4.1.6.1). */
export const dlmsStatusNames: Readonly<Record<number, Name>> = {
  1: { name: 'invalid', text: 'The time is invalid.' },
  2: { name: 'doubtful', text: 'The time is doubtful.' },
  4: { name: 'different-clock-base', text: 'The clock runs on another base than usual.' },
  8: { name: 'invalid-status', text: 'The clock status itself is invalid.' },
  128: { name: 'summer-time', text: 'Summer time is in force.' },
};

export const commandResultNames: Names<CommandResult> = {
  [CommandResult.Done]: { name: 'done', text: 'what was asked for is done' },
  [CommandResult.Request]: { name: 'request', text: 'the request made no sense, or asks for what there is not' },
  [CommandResult.Busy]: { name: 'busy', text: 'another command is under way' },
  [CommandResult.Storage]: { name: 'storage', text: "the meter's storage failed" },
  [CommandResult.Damaged]: { name: 'damaged', text: 'the block is damaged, or parts of it are missing' },
  [CommandResult.Invalid]: { name: 'invalid', text: 'the block says what cannot be' },
  [CommandResult.Provisioned]: { name: 'provisioned', text: 'the meter has settings already, or no storage for them' },
  [CommandResult.Absent]: {
    name: 'absent',
    text: 'this meter has no tariffs, or no storage for them; or no slots for software',
  },
  [CommandResult.Refused]: { name: 'refused', text: 'the software is not taken' },
};

/** Why a tariff program or dynamic tariffs are refused. */
export const programErrorNames: Names<ProgramError> = {
  [ProgramError.None]: { name: 'none', text: 'no error' },
  [ProgramError.Absent]: { name: 'absent', text: 'there is no program, or it is of another version' },
  [ProgramError.Damaged]: { name: 'damaged', text: 'CRC-32 or lengths do not hold, or the name is no UTF-8' },
  [ProgramError.TooMany]: { name: 'too-many', text: 'it has more of something than fits' },
  [ProgramError.Zone]: {
    name: 'zone',
    text: 'its time zone has an offset or a day that cannot be, or transitions out of order',
  },
  [ProgramError.Date]: { name: 'date', text: 'it has a date or a time of day that cannot be' },
  [ProgramError.Index]: { name: 'index', text: 'it names a week, day or script that there is not' },
  [ProgramError.Actions]: { name: 'actions', text: 'a day has no action, or actions out of order' },
};

export const tariffFlagNames: Names<TariffFlag> = {
  [TariffFlag.Known]: { name: 'known', text: 'A tariff applies.' },
  [TariffFlag.Doubtful]: { name: 'doubtful', text: 'The time is not good enough to bill by.' },
  [TariffFlag.Dynamic]: { name: 'dynamic', text: 'The dynamic tariffs apply now.' },
  [TariffFlag.DynamicEnded]: {
    name: 'dynamic-ended',
    text: 'The dynamic tariffs have ended; what the program says instead applies.',
  },
  [TariffFlag.Suspended]: { name: 'suspended', text: 'Records are suspended, as the rules say.' },
  [TariffFlag.LogbookFull]: { name: 'logbook-full', text: 'The logbook is full.' },
  [TariffFlag.RecordsFull]: {
    name: 'records-full',
    text: 'There is no room for records: the broker has not acknowledged for too long.',
  },
  [TariffFlag.Summer]: { name: 'summer', text: 'Summer time is in force.' },
};

/** What is wrong with a meter's storage: read behind a colon. */
export const tamperingNames: Names<Tampering> = {
  [Tampering.RecordsCut]: { name: 'records-cut', text: 'the records end before the head that was signed' },
  [Tampering.LogbookCut]: { name: 'logbook-cut', text: 'the logbook ends before the head that was signed' },
  [Tampering.Record]: { name: 'record', text: 'an entry of the records does not hold' },
  [Tampering.Logbook]: { name: 'logbook', text: 'an entry of the logbook does not hold' },
  [Tampering.Head]: { name: 'head', text: 'the entry that the head was signed for is another one' },
  [Tampering.Mark]: { name: 'mark', text: 'neither copy of the mark holds' },
};

/** Units of registers by their number in DLMS/COSEM (Blue Book, enumeration `unit`). */
export const unitNames: Readonly<Record<number, string>> = {
  5: 'h',
  6: 'min',
  7: 's',
  8: '°',
  9: '°C',
  13: 'm3',
  14: 'm3',
  27: 'W',
  28: 'VA',
  29: 'var',
  30: 'Wh',
  31: 'VAh',
  32: 'varh',
  33: 'A',
  34: 'C',
  35: 'V',
  44: 'Hz',
  56: '%',
  255: '1',
};
