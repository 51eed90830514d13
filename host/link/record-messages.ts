// The messages of records, tariffs and commands between meter and gateway: bytes to typed values and back; layouts in
// as/abi/codes.ts. What entries, heads and blocks hold is not looked at here: they are carried as the bytes that they are.
// What always holds: as in messages.ts, strict both ways. A ring, block, result or letter that is none is an error.
import {
  Block,
  BlockCommitField,
  BlockWriteField,
  ChainField,
  CommandResult,
  DoneField,
  EntriesAskField,
  EntryField,
  HeadField,
  HeadFormat,
  LinkLimit,
  Message,
  ProvisionField,
  RecordAckField,
  ReleaseField,
  Ring,
  TariffField,
} from '../../as/abi/codes.ts';
import { type ByteReader, type ByteWriter, MessageError, oneOf, token } from './message-bytes.ts';

// ---------------------------------------------------------------- meter to gateway

/** An entry of a ring. */
export interface Entry {
  readonly type: Message.Entry;
  readonly ring: Ring;
  /** Of the `EntriesAsk` that it answers; 0 where it is sent unasked. */
  readonly token: number;
  /** `entryBytes` bytes (`ChainField`). */
  readonly entry: Uint8Array;
}

/** The newest head, signed. */
export interface Head {
  readonly type: Message.Head;
  /** `headBytes` bytes: `HeadField` from `Magic` on, what is signed and its signature. */
  readonly head: Uint8Array;
}

export type StatusLetter = 'S' | 'I' | 'R' | 'U';

/** The tariff that applies, and what is next. Times are Unix seconds, 0 where not known. */
export interface Tariff {
  readonly type: Message.Tariff;
  /** `TariffFlag` bits. */
  readonly flags: number;
  /** Meaningless without `TariffFlag.Known`. */
  readonly tariff: number;
  readonly nextTariff: number;
  /** Local time minus UTC. */
  readonly offsetMinutes: number;
  readonly since: bigint;
  readonly next: bigint;
  readonly periodEnd: bigint;
  readonly passiveActivation: bigint;
  /** Newest entry of the record ring, oldest that is not delivered, newest of the logbook, of the network's ring. */
  readonly recordNewest: number;
  readonly recordOldest: number;
  readonly logNewest: number;
  readonly networkNewest: number;
  /** CRC-32 of the active program, of the dynamic tariffs; 0 without. */
  readonly programCrc: number;
  readonly dynamicCrc: number;
  readonly dynamicEnd: bigint;
  /** Of a record made now. */
  readonly letter: StatusLetter;
  readonly ptbStatus: number;
  readonly dlmsStatus: number;
  readonly activeName: string;
  readonly passiveName: string;
}

/** A command is done, or refused. */
export interface Done {
  readonly type: Message.Done;
  readonly result: CommandResult;
  readonly token: number;
  /** Entries sent, the newest sequence of the ring, or a `ProgramError`. */
  readonly detail: number;
}

export type MeterRecordMessage = Entry | Head | Tariff | Done;

// ---------------------------------------------------------------- gateway to meter

/** How far the gateway and the broker have the records; both count entries of the record ring. */
export interface RecordAck {
  readonly type: Message.RecordAck;
  readonly stored: number;
  /** At most `stored`. */
  readonly delivered: number;
}

/** Asks for entries of a ring. */
export interface EntriesAsk {
  readonly type: Message.EntriesAsk;
  readonly ring: Ring;
  /** Not 0. */
  readonly token: number;
  readonly from: number;
  readonly count: number;
}

/** A part of a tariff program or of dynamic tariffs; 1 to `blockPartBytes` bytes. */
export interface BlockWrite {
  readonly type: Message.BlockWrite;
  readonly block: Block;
  /** Not 0. */
  readonly token: number;
  readonly offset: number;
  readonly part: Uint8Array;
}

/** The parts written are whole. */
export interface BlockCommit {
  readonly type: Message.BlockCommit;
  readonly block: Block;
  /** Not 0. */
  readonly token: number;
  /** Bytes of the whole block. */
  readonly length: number;
}

/** An operator has read the logbook up to `sequence`. */
export interface Release {
  readonly type: Message.Release;
  readonly ring: Ring.Logbook;
  /** Not 0. */
  readonly token: number;
  readonly sequence: number;
}

/** A part of settings and first seed of a meter that has none; 1 to `blockPartBytes` bytes. */
export interface Provision {
  readonly type: Message.Provision;
  /** Not 0. */
  readonly token: number;
  readonly offset: number;
  readonly part: Uint8Array;
}

export type GatewayRecordMessage = RecordAck | EntriesAsk | BlockWrite | BlockCommit | Release | Provision;

export type RecordMessage = MeterRecordMessage | GatewayRecordMessage;

/** Bytes of an entry of a ring. */
export const entryBytes = ChainField.Bytes;
/** Bytes of a signed head without the storage's count. */
export const headBytes = HeadField.Bytes - HeadField.Magic;
/** Most bytes of a block that one message carries. */
export const blockPartBytes = LinkLimit.MessageBytes - BlockWriteField.Part;

type Of<Type> = Extract<RecordMessage, { type: Type }>;
type Decoders = { [Type in RecordMessage['type']]: (reader: ByteReader) => Of<Type> };
type Encoders = { [Type in RecordMessage['type']]: (message: Of<Type>, writer: ByteWriter) => void };

export const recordDecoders: Decoders = {
  [Message.Entry]: (r) => {
    r.exactly(EntryField.Bytes);
    return {
      type: Message.Entry,
      ring: oneOf(r, EntryField.Ring, Ring, 'a ring'),
      token: r.u16(EntryField.Token),
      entry: r.bytes(EntryField.Entry, entryBytes),
    };
  },
  [Message.Head]: (r) => {
    r.exactly(HeadField.Bytes);
    const magic = r.u32(HeadField.Magic);
    if (magic !== HeadFormat.Magic) {
      throw new MessageError('value', `Head: expected "MTH1" at byte 4, came 0x${magic.toString(16)}`);
    }
    return { type: Message.Head, head: r.bytes(HeadField.Magic, headBytes) };
  },
  [Message.Tariff]: (r) => {
    const fixed = {
      flags: r.u8(TariffField.Flags),
      tariff: r.u16(TariffField.Tariff),
      nextTariff: r.u16(TariffField.NextTariff),
      offsetMinutes: r.i16(TariffField.OffsetMinutes),
      since: r.i64(TariffField.Since),
      next: r.i64(TariffField.Next),
      periodEnd: r.i64(TariffField.PeriodEnd),
      passiveActivation: r.i64(TariffField.PassiveActivation),
      recordNewest: r.u32(TariffField.RecordNewest),
      recordOldest: r.u32(TariffField.RecordOldest),
      logNewest: r.u32(TariffField.LogNewest),
      networkNewest: r.u32(TariffField.NetworkNewest),
      programCrc: r.u32(TariffField.ProgramCrc),
      dynamicCrc: r.u32(TariffField.DynamicCrc),
      dynamicEnd: r.i64(TariffField.DynamicEnd),
      letter: statusLetter(r, TariffField.Letter),
      ptbStatus: r.u8(TariffField.PtbStatus),
      dlmsStatus: r.u8(TariffField.DlmsStatus),
    };
    const [activeName, passiveName] = r.texts(TariffField.Texts, 2) as [string, string];
    return { type: Message.Tariff, ...fixed, activeName, passiveName };
  },
  [Message.Done]: (r) => {
    r.exactly(DoneField.Bytes);
    return {
      type: Message.Done,
      result: oneOf(r, DoneField.Result, CommandResult, 'a command result'),
      token: r.u16(DoneField.Token),
      detail: r.u32(DoneField.Detail),
    };
  },
  [Message.RecordAck]: (r) => {
    r.exactly(RecordAckField.Bytes);
    const [stored, delivered] = [r.u32(RecordAckField.Stored), r.u32(RecordAckField.Delivered)];
    return { type: Message.RecordAck, ...acknowledged(stored, delivered) };
  },
  [Message.EntriesAsk]: (r) => {
    r.exactly(EntriesAskField.Bytes);
    return {
      type: Message.EntriesAsk,
      ring: oneOf(r, EntriesAskField.Ring, Ring, 'a ring'),
      token: token(r.name, r.u16(EntriesAskField.Token)),
      from: r.u32(EntriesAskField.From),
      count: r.u16(EntriesAskField.Count),
    };
  },
  [Message.BlockWrite]: (r) => ({
    type: Message.BlockWrite,
    block: oneOf(r, BlockWriteField.Block, Block, 'a block'),
    token: token(r.name, r.u16(BlockWriteField.Token)),
    offset: r.u16(BlockWriteField.Offset),
    part: r.rest(BlockWriteField.Part, 1),
  }),
  [Message.BlockCommit]: (r) => ({
    type: Message.BlockCommit,
    block: oneOf(r, BlockCommitField.Block, Block, 'a block'),
    token: token(r.name, r.u16(BlockCommitField.Token)),
    length: r.u16(BlockCommitField.Length),
  }),
  [Message.Provision]: (r) => ({
    type: Message.Provision,
    token: token(r.name, r.u16(ProvisionField.Token)),
    offset: r.u16(ProvisionField.Offset),
    part: r.rest(ProvisionField.Part, 1),
  }),
  [Message.Release]: (r) => {
    const ring = r.u8(ReleaseField.Ring);
    if (ring !== Ring.Logbook) {
      throw new MessageError('value', `Release: expected ring ${Ring.Logbook}, the logbook, came ${ring}`);
    }
    return {
      type: Message.Release,
      ring,
      token: token(r.name, r.u16(ReleaseField.Token)),
      sequence: r.u32(ReleaseField.Sequence),
    };
  },
};

export const recordEncoders: Encoders = {
  [Message.Entry]: (m, w) => w.u8(m.ring).u16(m.token).raw(m.entry, entryBytes),
  [Message.Head]: (m, w) => w.pad(HeadField.Magic).raw(m.head, headBytes),
  [Message.Tariff]: (m, w) =>
    w
      .u8(m.flags)
      .u16(m.tariff)
      .u16(m.nextTariff)
      .i16(m.offsetMinutes)
      .i64(m.since)
      .i64(m.next)
      .i64(m.periodEnd)
      .i64(m.passiveActivation)
      .u32(m.recordNewest)
      .u32(m.recordOldest)
      .u32(m.logNewest)
      .u32(m.networkNewest)
      .u32(m.programCrc)
      .u32(m.dynamicCrc)
      .i64(m.dynamicEnd)
      .u8(m.letter.charCodeAt(0))
      .u8(m.ptbStatus)
      .u8(m.dlmsStatus)
      .pad(TariffField.Texts)
      .text(m.activeName)
      .text(m.passiveName),
  [Message.Done]: (m, w) => w.u8(m.result).u16(m.token).u32(m.detail),
  [Message.RecordAck]: (m, w) => {
    const { stored, delivered } = acknowledged(m.stored, m.delivered);
    w.pad(RecordAckField.Stored).u32(stored).u32(delivered);
  },
  [Message.EntriesAsk]: (m, w) => w.u8(m.ring).u16(token('EntriesAsk', m.token)).u32(m.from).u16(m.count),
  [Message.BlockWrite]: (m, w) => w.u8(m.block).u16(token('BlockWrite', m.token)).u16(m.offset).raw(m.part),
  [Message.BlockCommit]: (m, w) => w.u8(m.block).u16(token('BlockCommit', m.token)).u16(m.length),
  [Message.Provision]: (m, w) => w.pad(ProvisionField.Token).u16(token('Provision', m.token)).u16(m.offset).raw(m.part),
  [Message.Release]: (m, w) => w.u8(m.ring).u16(token('Release', m.token)).u32(m.sequence),
};

function acknowledged(stored: number, delivered: number): { readonly stored: number; readonly delivered: number } {
  if (delivered > stored) {
    throw new MessageError(
      'value',
      `RecordAck: expected no more delivered than stored (${stored}), came ${delivered} delivered`,
    );
  }
  return { stored, delivered };
}

function statusLetter(r: ByteReader, at: number): StatusLetter {
  const letter = String.fromCharCode(r.u8(at));
  if (!/^[SIRU]$/.test(letter)) {
    throw new MessageError(
      'value',
      `${r.name}: expected a status letter S, I, R or U, came 0x${r.u8(at).toString(16)}`,
    );
  }
  return letter as StatusLetter;
}
