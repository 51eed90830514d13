// The messages between meter and gateway: bytes to typed values and back; layouts in as/abi/codes.ts.
// Strict both ways: a message that is too short, too long, on the wrong channel or with text that is no UTF-8 is an
// error; every byte of an accepted message has been looked at, reserved ones aside.
import {
  Abi,
  BudgetField,
  Channel,
  ClockStatus,
  EventField,
  type Failure,
  InfoField,
  type KeError,
  LinkLimit,
  Message,
  type MeterEvent,
  MilliCelsius,
  type Missing,
  Reject,
  type ResetCause,
  RtcKnown,
  SourceCountField,
  SourceField,
  type SourceState,
  StackField,
  TimeField,
  TimeReplyField,
  TlsOpenedField,
  TlsOpenField,
  TlsOpenFlag,
  UdpReceivedField,
} from '../../as/abi/codes.ts';
import { ByteReader, ByteWriter, MessageError } from './message-bytes.ts';
import {
  type GatewayRecordMessage,
  type MeterRecordMessage,
  recordDecoders,
  recordEncoders,
} from './record-messages.ts';
import { type GatewayUpdateMessage, type Slots, updateDecoders, updateEncoders } from './update-messages.ts';

export { MessageError } from './message-bytes.ts';
export type * from './record-messages.ts';
export { blockPartBytes, entryBytes, headBytes } from './record-messages.ts';
export type * from './update-messages.ts';
export { keyIdBytes, manifestBytes, signatureBytes } from './update-messages.ts';

// ---------------------------------------------------------------- meter to gateway

export interface UdpSend {
  readonly type: Message.UdpSend;
  readonly socket: number;
  readonly exchange: number;
  readonly payload: Uint8Array;
}

export interface TimeReply {
  readonly type: Message.TimeReply;
  readonly token: number;
  readonly status: ClockStatus;
  /** `TimeFlag` bits and UTC ns at the last byte of the probe, and when the reply was made. */
  readonly probeFlags: number;
  readonly replyFlags: number;
  readonly probeUtcNs: bigint;
  readonly replyUtcNs: bigint;
  readonly boundNs: bigint;
}

export interface TlsOpen {
  readonly type: Message.TlsOpen;
  readonly id: number;
  /** Unix seconds at which the certificates must be valid; undefined when dates are not checked. */
  readonly validAt: bigint | undefined;
  readonly port: number;
  readonly alpn: string;
  readonly host: string;
}

export interface TlsWrite {
  readonly type: Message.TlsWrite;
  readonly id: number;
  readonly data: Uint8Array;
}

export interface TlsExport {
  readonly type: Message.TlsExport;
  readonly id: number;
  readonly tag: number;
  readonly length: number;
  readonly label: string;
  readonly context: Uint8Array;
}

export interface TlsClose {
  readonly type: Message.TlsClose;
  readonly id: number;
}

export interface UdpOpen {
  readonly type: Message.UdpOpen;
  readonly socket: number;
  readonly attempt: number;
  readonly port: number;
  readonly host: string;
}

export interface UdpClose {
  readonly type: Message.UdpClose;
  readonly socket: number;
}

export interface Info {
  readonly type: Message.Info;
  readonly abiVersion: number;
  readonly resetCause: ResetCause;
  /** `Capability` bits. */
  readonly capabilities: number;
  readonly maxFrequencyErrorPpb: number;
  readonly buildUnixSeconds: bigint;
  readonly coreSha256: Uint8Array;
  readonly imageSha256: Uint8Array;
  /** How many servers the core can use at once. */
  readonly serversMax: number;
  /** Empty while the meter is not provisioned. */
  readonly meterId: string;
  readonly board: string;
  readonly firmwareVersion: string;
  /** Undefined where the meter does not measure it. */
  readonly stack?: StackUse | undefined;
}

/** A microcontroller's stack: what was used of it at most since the start, and how much there is; bytes. */
export interface StackUse {
  readonly usedBytes: number;
  readonly totalBytes: number;
}

/** What an expanded uncertainty is made of (`BudgetField`); durations saturated at 4,294,967,295 ns. */
export interface Budget {
  /** Standard uncertainties, ns: of the estimate, of the path's asymmetry, of the server, of stamps. */
  readonly noiseNs: number;
  readonly asymmetryNs: number;
  readonly serverNs: number;
  readonly stampsNs: number;
  /** What is known to be wrong and not slewed yet. */
  readonly slewNs: number;
  /** By how much the clock runs faster than the local counter, and the expanded uncertainty (k = 2) of that; parts of 10^12. */
  readonly frequencyPpt: number;
  readonly frequencyUncertaintyPpt: number;
}

export interface Time {
  readonly type: Message.Time;
  readonly status: ClockStatus;
  /** `TimeFlag` bits. */
  readonly flags: number;
  readonly stratum: number;
  readonly reach: number;
  readonly cookies: number;
  readonly cookieBytes: number;
  readonly aead: number;
  readonly pollSeconds: number;
  readonly rootDelayNs: number;
  readonly rootDispersionNs: number;
  readonly frequencyPpb: number;
  readonly utcNs: bigint;
  readonly offsetNs: bigint;
  readonly delayNs: bigint;
  readonly uncertaintyNs: bigint;
  readonly boundNs: bigint;
  readonly lastSyncUtcNs: bigint;
  readonly keysSinceUtcNs: bigint;
  readonly sent: number;
  readonly authenticated: number;
  readonly rejected: number;
  readonly naks: number;
  readonly keAttempts: number;
  readonly keFailures: number;
  readonly lastReject: Reject;
  readonly lastKeError: KeError;
  readonly eventsLost: number;
  /** Servers in use, how many of them agree, how many have to. */
  readonly servers: number;
  readonly agreeing: number;
  readonly needed: number;
  /** What a meter without a time waits for next. */
  readonly missing: Missing;
  /** Of the oscillator, thousandths of a degree Celsius; undefined where no thermometer says it. */
  readonly milliCelsius: number | undefined;
  /** Real-time clock minus UTC, µs, and its rate; undefined where that is not known. */
  readonly rtcOffsetUs: number | undefined;
  readonly rtcRatePpb: number | undefined;
  /** Zeros while unsynchronised. */
  readonly budget: Budget;
  /** Index of the server that stratum, cookies, keys and offset are about, and its NTS-KE host; empty without one. */
  readonly source: number;
  readonly keHost: string;
}

/** One of the meter's time servers. */
export interface Source {
  readonly type: Message.Source;
  /** From 0, below `sourcesMax`. */
  readonly index: number;
  /** `SourceFlag` bits. */
  readonly flags: number;
  readonly state: SourceState;
  /** Stratum and leap of the last authenticated answer. */
  readonly stratum: number;
  readonly leap: number;
  readonly reach: number;
  readonly cookies: number;
  readonly cookieBytes: number;
  readonly aead: number;
  readonly pollSeconds: number;
  readonly ntpPort: number;
  readonly rootDelayNs: number;
  readonly rootDispersionNs: number;
  readonly offsetNs: bigint;
  readonly delayNs: bigint;
  readonly lastSyncUtcNs: bigint;
  readonly keysSinceUtcNs: bigint;
  /** Until the next key establishment is tried; 0 where none is waited for. */
  readonly retrySeconds: number;
  readonly keHost: string;
  readonly ntpHost: string;
}

/** What was counted of a time server since the start of the meter. */
export interface SourceCounts {
  readonly type: Message.SourceCounts;
  readonly index: number;
  readonly lastReject: Reject;
  readonly lastKeError: KeError;
  /** The last kiss code, authenticated or not; empty for none. */
  readonly kissCode: string;
  readonly sent: number;
  readonly authenticated: number;
  readonly naks: number;
  readonly keAttempts: number;
  readonly keFailures: number;
  /** Refused answers by reason: the first for `Reject` 1, one for each; 65,535 stands for as many or more. */
  readonly rejected: readonly number[];
}

export interface MeterEventMessage {
  readonly type: Message.Event;
  readonly sequence: number;
  readonly code: MeterEvent;
  /** 0 when unsynchronised. */
  readonly utcNs: bigint;
  readonly uptimeNs: bigint;
  readonly a: bigint;
  readonly b: bigint;
  readonly boot: number;
  readonly text: string;
}

export type MeterMessage =
  | UdpSend
  | TimeReply
  | TlsOpen
  | TlsWrite
  | TlsExport
  | TlsClose
  | UdpOpen
  | UdpClose
  | Info
  | Time
  | Source
  | SourceCounts
  | MeterEventMessage
  | MeterRecordMessage
  | Slots;

// ---------------------------------------------------------------- gateway to meter

export interface UdpReceived {
  readonly type: Message.UdpReceived;
  readonly socket: number;
  readonly exchange: number;
  readonly forwardResidenceNs: number;
  readonly backResidenceNs: number;
  readonly payload: Uint8Array;
}

export interface UdpFailed {
  readonly type: Message.UdpFailed;
  readonly socket: number;
  readonly exchange: number;
  readonly reason: Failure;
}

export interface TimeProbe {
  readonly type: Message.TimeProbe;
  readonly token: number;
}

export interface TlsOpened {
  readonly type: Message.TlsOpened;
  readonly id: number;
  readonly notBefore: bigint;
  readonly notAfter: bigint;
  /** SHA-256 of the server's certificate. */
  readonly fingerprint: Uint8Array;
  readonly alpn: string;
}

export interface TlsData {
  readonly type: Message.TlsData;
  readonly id: number;
  readonly data: Uint8Array;
}

export interface TlsExported {
  readonly type: Message.TlsExported;
  readonly id: number;
  readonly tag: number;
  readonly key: Uint8Array;
}

export interface TlsClosed {
  readonly type: Message.TlsClosed;
  readonly id: number;
  readonly reason: Failure;
  readonly detail: string;
}

export interface UdpOpened {
  readonly type: Message.UdpOpened;
  readonly socket: number;
  readonly family: 4 | 6;
  readonly addresses: number;
  /** 16 bytes, IPv4 in the first four. */
  readonly address: Uint8Array;
}

export interface UdpOpenFailed {
  readonly type: Message.UdpOpenFailed;
  readonly socket: number;
  readonly reason: Failure;
  readonly detail: string;
}

export interface EventAck {
  readonly type: Message.EventAck;
  readonly sequence: number;
}

export type GatewayMessage =
  | UdpReceived
  | UdpFailed
  | TimeProbe
  | TlsOpened
  | TlsData
  | TlsExported
  | TlsClosed
  | UdpOpened
  | UdpOpenFailed
  | EventAck
  | GatewayRecordMessage
  | GatewayUpdateMessage;

export type LinkMessage = MeterMessage | GatewayMessage;

/** Most time servers that a meter can have: as many as its settings can name. */
export const sourcesMax = 4;

/** How many reasons for a refusal a SourceCounts counts: all of `Reject` but `None`. */
export const rejectReasons = Object.values(Reject).filter((value) => typeof value === 'number').length - 1;

/** Most bytes of data that one TlsWrite or TlsData carries. */
export const tlsDataBytes = LinkLimit.MessageBytes - 2;

const fromMeter = new Set<Message>([
  Message.UdpSend,
  Message.TimeReply,
  Message.TlsOpen,
  Message.TlsWrite,
  Message.TlsExport,
  Message.TlsClose,
  Message.UdpOpen,
  Message.UdpClose,
  Message.Info,
  Message.Time,
  Message.Source,
  Message.SourceCounts,
  Message.Event,
  Message.Entry,
  Message.Head,
  Message.Tariff,
  Message.Done,
  Message.Slots,
]);

/** The channel on which a message travels: by the range of its first byte. */
export function channelOf(type: Message): Channel {
  if (type < 0x10) return Channel.Time;
  return type < 0x30 ? Channel.Stream : Channel.Report;
}

/** Largest message of a channel, bytes. */
export function messageLimit(channel: Channel): number {
  return channel === Channel.Time ? LinkLimit.DatagramBytes : LinkLimit.MessageBytes;
}

/** Whether this is a message that meters send. */
export function isMeterMessage(message: LinkMessage): message is MeterMessage {
  return fromMeter.has(message.type);
}

/**
 * Decodes one message that came on `channel`.
 * @throws MessageError for anything that as/abi/codes.ts does not describe.
 */
export function decodeMessage(channel: Channel, bytes: Uint8Array): LinkMessage {
  const type = bytes[0];
  if (type === undefined) throw new MessageError('length', 'message: expected at least its type byte, came 0 bytes');
  const decode = decoders[type as Message];
  if (decode === undefined) {
    throw new MessageError('type', `message: expected a type of as/abi/codes.ts, came 0x${type.toString(16)}`);
  }
  const name = `${Message[type]}`;
  if (channelOf(type) !== channel) {
    throw new MessageError(
      'channel',
      `${name}: expected on channel ${Channel[channelOf(type)]}, came on ${Channel[channel] ?? channel}`,
    );
  }
  const reader = new ByteReader(name, bytes);
  const message = decode(reader);
  reader.end();
  return message;
}

/**
 * Encodes one message.
 * @throws MessageError when a value does not fit its field or the whole its channel.
 */
export function encodeMessage(message: LinkMessage): Uint8Array {
  const writer = new ByteWriter(Message[message.type], messageLimit(channelOf(message.type)));
  writer.u8(message.type);
  (encoders[message.type] as (message: LinkMessage, writer: ByteWriter) => void)(message, writer);
  return writer.bytes();
}

type Decoders = { [Type in LinkMessage['type']]: (reader: ByteReader) => Extract<LinkMessage, { type: Type }> };
type Encoders = {
  [Type in LinkMessage['type']]: (message: Extract<LinkMessage, { type: Type }>, writer: ByteWriter) => void;
};

const decoders: Decoders & Record<number, ((reader: ByteReader) => LinkMessage) | undefined> = {
  [Message.UdpSend]: (r) => ({ type: Message.UdpSend, socket: r.u8(1), exchange: r.u16(2), payload: r.rest(4, 1) }),
  [Message.TimeReply]: (r) => {
    r.exactly(TimeReplyField.Bytes);
    return {
      type: Message.TimeReply,
      token: r.u32(TimeReplyField.Token),
      status: clockStatus(r, TimeReplyField.Status),
      probeFlags: r.u8(TimeReplyField.ProbeFlags),
      replyFlags: r.u8(TimeReplyField.ReplyFlags),
      probeUtcNs: r.i64(TimeReplyField.ProbeUtcNs),
      replyUtcNs: r.i64(TimeReplyField.ReplyUtcNs),
      boundNs: r.u64(TimeReplyField.BoundNs),
    };
  },
  [Message.TlsOpen]: (r) => {
    const id = r.u8(TlsOpenField.Id);
    const flags = r.u8(TlsOpenField.Flags);
    if ((flags & ~TlsOpenFlag.DatesNotChecked) !== 0) {
      throw new MessageError('value', `TlsOpen: expected flags 0 or 1, came ${flags}`);
    }
    const validAt = r.i64(TlsOpenField.ValidAt);
    const port = r.u16(TlsOpenField.Port);
    const [alpn, host] = r.texts(TlsOpenField.Texts, 2) as [string, string];
    const unchecked = (flags & TlsOpenFlag.DatesNotChecked) !== 0;
    return { type: Message.TlsOpen, id, validAt: unchecked ? undefined : validAt, port, alpn, host };
  },
  [Message.TlsWrite]: (r) => ({ type: Message.TlsWrite, id: r.u8(1), data: r.rest(2, 1) }),
  [Message.TlsExport]: (r) => {
    const [id, tag, length] = [r.u8(1), r.u8(2), r.u8(3)];
    const [label] = r.texts(4, 1) as [string];
    return { type: Message.TlsExport, id, tag, length, label, context: r.counted(r.position) };
  },
  [Message.TlsClose]: (r) => ({ type: Message.TlsClose, id: r.u8(1) }),
  [Message.UdpOpen]: (r) => {
    const [socket, attempt, port] = [r.u8(1), r.u8(2), r.u16(3)];
    const [host] = r.texts(5, 1) as [string];
    return { type: Message.UdpOpen, socket, attempt, port, host };
  },
  [Message.UdpClose]: (r) => ({ type: Message.UdpClose, socket: r.u8(1) }),
  [Message.Info]: (r) => {
    const abiVersion = r.u8(InfoField.AbiVersion);
    if (abiVersion !== Abi.Version) {
      throw new MessageError(
        'version',
        `Info: expected interface version ${Abi.Version}, came ${abiVersion}; meter and gateway must be of one release`,
      );
    }
    const fixed = {
      resetCause: r.u8(InfoField.ResetCause),
      capabilities: r.u8(InfoField.Capabilities),
      maxFrequencyErrorPpb: r.u32(InfoField.MaxFrequencyErrorPpb),
      buildUnixSeconds: r.u64(InfoField.BuildUnixSeconds),
      coreSha256: r.bytes(InfoField.CoreSha256, 32),
      imageSha256: r.bytes(InfoField.ImageSha256, 32),
      serversMax: r.u8(InfoField.ServersMax),
    };
    const [meterId, board, firmwareVersion] = r.texts(InfoField.Texts, 3) as [string, string, string];
    if (meterId !== '' && !isMeterId(meterId)) {
      throw new MessageError(
        'value',
        'Info: expected a meter id of up to 32 letters, digits, dots, dashes and underscores',
      );
    }
    return { type: Message.Info, abiVersion, ...fixed, meterId, board, firmwareVersion, stack: stackUse(r) };
  },
  [Message.Time]: (r) => {
    const fixed = {
      status: clockStatus(r, TimeField.Status),
      flags: r.u8(TimeField.Flags),
      stratum: r.u8(TimeField.Stratum),
      reach: r.u8(TimeField.Reach),
      cookies: r.u8(TimeField.Cookies),
      cookieBytes: r.u16(TimeField.CookieBytes),
      aead: r.u16(TimeField.Aead),
      pollSeconds: r.u16(TimeField.PollSeconds),
      rootDelayNs: r.u32(TimeField.RootDelayNs),
      rootDispersionNs: r.u32(TimeField.RootDispersionNs),
      frequencyPpb: r.i32(TimeField.FrequencyPpb),
      utcNs: r.i64(TimeField.UtcNs),
      offsetNs: r.i64(TimeField.OffsetNs),
      delayNs: r.u64(TimeField.DelayNs),
      uncertaintyNs: r.u64(TimeField.UncertaintyNs),
      boundNs: r.u64(TimeField.BoundNs),
      lastSyncUtcNs: r.i64(TimeField.LastSyncUtcNs),
      keysSinceUtcNs: r.i64(TimeField.KeysSinceUtcNs),
      sent: r.u32(TimeField.Sent),
      authenticated: r.u32(TimeField.Authenticated),
      rejected: r.u32(TimeField.Rejected),
      naks: r.u32(TimeField.Naks),
      keAttempts: r.u32(TimeField.KeAttempts),
      keFailures: r.u32(TimeField.KeFailures),
      lastReject: r.u8(TimeField.LastReject),
      lastKeError: r.u8(TimeField.LastKeError),
      eventsLost: r.u16(TimeField.EventsLost),
      servers: r.u8(TimeField.Servers),
      agreeing: r.u8(TimeField.Agreeing),
      needed: r.u8(TimeField.Needed),
      missing: r.u8(TimeField.Missing),
      source: r.u8(TimeField.Source),
      milliCelsius: temperature(r, TimeField.MilliCelsius),
      rtcOffsetUs: ofRtc(r, TimeField.RtcOffsetUs),
      rtcRatePpb: ofRtc(r, TimeField.RtcRatePpb),
      budget: readBudget(r, TimeField.Budget),
    };
    if (fixed.servers > sourcesMax) {
      throw new MessageError('value', `Time: expected at most ${sourcesMax} servers, came ${fixed.servers}`);
    }
    const [keHost] = r.texts(TimeField.Texts, 1) as [string];
    return { type: Message.Time, ...fixed, keHost };
  },
  [Message.Source]: (r) => {
    const fixed = {
      index: sourceIndex(r, SourceField.Index),
      flags: r.u8(SourceField.Flags),
      state: r.u8(SourceField.State),
      stratum: r.u8(SourceField.Stratum),
      leap: r.u8(SourceField.Leap),
      reach: r.u8(SourceField.Reach),
      cookies: r.u8(SourceField.Cookies),
      cookieBytes: r.u16(SourceField.CookieBytes),
      aead: r.u16(SourceField.Aead),
      pollSeconds: r.u16(SourceField.PollSeconds),
      ntpPort: r.u16(SourceField.NtpPort),
      rootDelayNs: r.u32(SourceField.RootDelayNs),
      rootDispersionNs: r.u32(SourceField.RootDispersionNs),
      offsetNs: r.i64(SourceField.OffsetNs),
      delayNs: r.u64(SourceField.DelayNs),
      lastSyncUtcNs: r.i64(SourceField.LastSyncUtcNs),
      keysSinceUtcNs: r.i64(SourceField.KeysSinceUtcNs),
      retrySeconds: r.u32(SourceField.RetrySeconds),
    };
    const [keHost, ntpHost] = r.texts(SourceField.Texts, 2) as [string, string];
    return { type: Message.Source, ...fixed, keHost, ntpHost };
  },
  [Message.SourceCounts]: (r) => {
    r.exactly(SourceCountField.Rejected + 2 * rejectReasons);
    return {
      type: Message.SourceCounts,
      index: sourceIndex(r, SourceCountField.Index),
      lastReject: r.u8(SourceCountField.LastReject),
      lastKeError: r.u8(SourceCountField.LastKeError),
      kissCode: kissCode(r, SourceCountField.KissCode),
      sent: r.u32(SourceCountField.Sent),
      authenticated: r.u32(SourceCountField.Authenticated),
      naks: r.u32(SourceCountField.Naks),
      keAttempts: r.u32(SourceCountField.KeAttempts),
      keFailures: r.u32(SourceCountField.KeFailures),
      rejected: Array.from({ length: rejectReasons }, (_, reason) => r.u16(SourceCountField.Rejected + 2 * reason)),
    };
  },
  [Message.Event]: (r) => {
    const fixed = {
      sequence: r.u32(EventField.Sequence),
      code: r.u16(EventField.Code),
      utcNs: r.i64(EventField.UtcNs),
      uptimeNs: r.i64(EventField.UptimeNs),
      a: r.i64(EventField.A),
      b: r.i64(EventField.B),
      boot: r.u32(EventField.Boot),
    };
    const [text] = r.texts(EventField.Texts, 1) as [string];
    return { type: Message.Event, ...fixed, text };
  },

  [Message.UdpReceived]: (r) => ({
    type: Message.UdpReceived,
    socket: r.u8(UdpReceivedField.Socket),
    exchange: r.u16(UdpReceivedField.Exchange),
    forwardResidenceNs: r.u32(UdpReceivedField.ForwardResidenceNs),
    backResidenceNs: r.u32(UdpReceivedField.BackResidenceNs),
    payload: r.rest(UdpReceivedField.Payload, 0),
  }),
  [Message.UdpFailed]: (r) => ({ type: Message.UdpFailed, socket: r.u8(1), exchange: r.u16(2), reason: r.u8(4) }),
  [Message.TimeProbe]: (r) => ({ type: Message.TimeProbe, token: r.u32(1) }),
  [Message.TlsOpened]: (r) => {
    const fixed = {
      id: r.u8(TlsOpenedField.Id),
      notBefore: r.i64(TlsOpenedField.NotBefore),
      notAfter: r.i64(TlsOpenedField.NotAfter),
      fingerprint: r.bytes(TlsOpenedField.Fingerprint, 32),
    };
    const [alpn] = r.texts(TlsOpenedField.Texts, 1) as [string];
    return { type: Message.TlsOpened, ...fixed, alpn };
  },
  [Message.TlsData]: (r) => ({ type: Message.TlsData, id: r.u8(1), data: r.rest(2, 1) }),
  [Message.TlsExported]: (r) => ({ type: Message.TlsExported, id: r.u8(1), tag: r.u8(2), key: r.rest(3, 0) }),
  [Message.TlsClosed]: (r) => {
    const [id, reason] = [r.u8(1), r.u8(2)];
    const [detail] = r.texts(3, 1) as [string];
    return { type: Message.TlsClosed, id, reason, detail };
  },
  [Message.UdpOpened]: (r) => {
    const family = r.u8(2);
    if (family !== 4 && family !== 6) {
      throw new MessageError('value', `UdpOpened: expected address family 4 or 6, came ${family}`);
    }
    return { type: Message.UdpOpened, socket: r.u8(1), family, addresses: r.u8(3), address: r.bytes(4, 16) };
  },
  [Message.UdpOpenFailed]: (r) => {
    const [socket, reason] = [r.u8(1), r.u8(2)];
    const [detail] = r.texts(3, 1) as [string];
    return { type: Message.UdpOpenFailed, socket, reason, detail };
  },
  [Message.EventAck]: (r) => ({ type: Message.EventAck, sequence: r.u32(1) }),
  ...recordDecoders,
  ...updateDecoders,
};

/** The budget in a message, or in another payload of the core, at offset `at`. */
export function readBudget(r: ByteReader, at: number): Budget {
  return {
    noiseNs: r.u32(at + BudgetField.NoiseNs),
    asymmetryNs: r.u32(at + BudgetField.AsymmetryNs),
    serverNs: r.u32(at + BudgetField.ServerNs),
    stampsNs: r.u32(at + BudgetField.StampsNs),
    slewNs: r.u32(at + BudgetField.SlewNs),
    frequencyPpt: r.i32(at + BudgetField.FrequencyPpt),
    frequencyUncertaintyPpt: r.u32(at + BudgetField.FrequencyUncertaintyPpt),
  };
}

const encoders: Encoders = {
  [Message.UdpSend]: (m, w) => w.u8(m.socket).u16(m.exchange).raw(m.payload),
  [Message.TimeReply]: (m, w) =>
    w
      .u32(m.token)
      .u8(m.status)
      .u8(m.probeFlags)
      .u8(m.replyFlags)
      .i64(m.probeUtcNs)
      .i64(m.replyUtcNs)
      .u64(m.boundNs)
      .pad(TimeReplyField.Bytes),
  [Message.TlsOpen]: (m, w) =>
    w
      .u8(m.id)
      .u8(m.validAt === undefined ? TlsOpenFlag.DatesNotChecked : 0)
      .i64(m.validAt ?? 0n)
      .u16(m.port)
      .text(m.alpn)
      .text(m.host),
  [Message.TlsWrite]: (m, w) => w.u8(m.id).raw(m.data),
  [Message.TlsExport]: (m, w) => w.u8(m.id).u8(m.tag).u8(m.length).text(m.label).u8(m.context.length).raw(m.context),
  [Message.TlsClose]: (m, w) => w.u8(m.id),
  [Message.UdpOpen]: (m, w) => w.u8(m.socket).u8(m.attempt).u16(m.port).text(m.host),
  [Message.UdpClose]: (m, w) => w.u8(m.socket),
  [Message.Info]: (m, w) =>
    w
      .u8(m.abiVersion)
      .u8(m.resetCause)
      .u8(m.capabilities)
      .u32(m.maxFrequencyErrorPpb)
      .u64(m.buildUnixSeconds)
      .raw(m.coreSha256, 32)
      .raw(m.imageSha256, 32)
      .u8(m.serversMax)
      .text(m.meterId)
      .text(m.board)
      .text(m.firmwareVersion)
      .u32(m.stack?.usedBytes ?? 0)
      .u32(m.stack?.totalBytes ?? 0),
  [Message.Time]: (m, w) =>
    w
      .u8(m.status)
      .u8(m.flags)
      .u8(m.stratum)
      .u8(m.reach)
      .u8(m.cookies)
      .u16(m.cookieBytes)
      .u16(m.aead)
      .u16(m.pollSeconds)
      .u32(m.rootDelayNs)
      .u32(m.rootDispersionNs)
      .i32(m.frequencyPpb)
      .i64(m.utcNs)
      .i64(m.offsetNs)
      .u64(m.delayNs)
      .u64(m.uncertaintyNs)
      .u64(m.boundNs)
      .i64(m.lastSyncUtcNs)
      .i64(m.keysSinceUtcNs)
      .u32(m.sent)
      .u32(m.authenticated)
      .u32(m.rejected)
      .u32(m.naks)
      .u32(m.keAttempts)
      .u32(m.keFailures)
      .u8(m.lastReject)
      .u8(m.lastKeError)
      .u16(m.eventsLost)
      .u8(m.servers)
      .u8(m.agreeing)
      .u8(m.needed)
      .u8(m.missing)
      .u8(m.source)
      .i32(m.milliCelsius ?? MilliCelsius.None)
      .i32(m.rtcOffsetUs ?? RtcKnown.None)
      .i32(m.rtcRatePpb ?? RtcKnown.None)
      .u32(m.budget.noiseNs)
      .u32(m.budget.asymmetryNs)
      .u32(m.budget.serverNs)
      .u32(m.budget.stampsNs)
      .u32(m.budget.slewNs)
      .i32(m.budget.frequencyPpt)
      .u32(m.budget.frequencyUncertaintyPpt)
      .text(m.keHost),
  [Message.Source]: (m, w) =>
    w
      .u8(m.index)
      .u8(m.flags)
      .u8(m.state)
      .u8(m.stratum)
      .u8(m.leap)
      .u8(m.reach)
      .u8(m.cookies)
      .u16(m.cookieBytes)
      .u16(m.aead)
      .u16(m.pollSeconds)
      .u16(m.ntpPort)
      .u32(m.rootDelayNs)
      .u32(m.rootDispersionNs)
      .i64(m.offsetNs)
      .u64(m.delayNs)
      .i64(m.lastSyncUtcNs)
      .i64(m.keysSinceUtcNs)
      .u32(m.retrySeconds)
      .text(m.keHost)
      .text(m.ntpHost),
  [Message.SourceCounts]: (m, w) => {
    w.u8(m.index)
      .u8(m.lastReject)
      .u8(m.lastKeError)
      .raw(kissCodeBytes(m.kissCode))
      .u32(m.sent)
      .u32(m.authenticated)
      .u32(m.naks)
      .u32(m.keAttempts)
      .u32(m.keFailures);
    if (m.rejected.length !== rejectReasons) {
      throw new MessageError(
        'length',
        `SourceCounts: expected counts for ${rejectReasons} reasons, came ${m.rejected.length}`,
      );
    }
    for (const count of m.rejected) w.u16(count);
  },
  [Message.Event]: (m, w) =>
    w
      .pad(EventField.Sequence)
      .u32(m.sequence)
      .u16(m.code)
      .i64(m.utcNs)
      .i64(m.uptimeNs)
      .i64(m.a)
      .i64(m.b)
      .u32(m.boot)
      .text(m.text),

  [Message.UdpReceived]: (m, w) =>
    w.u8(m.socket).u16(m.exchange).u32(m.forwardResidenceNs).u32(m.backResidenceNs).raw(m.payload),
  [Message.UdpFailed]: (m, w) => w.u8(m.socket).u16(m.exchange).u8(m.reason),
  [Message.TimeProbe]: (m, w) => w.u32(m.token),
  [Message.TlsOpened]: (m, w) => w.u8(m.id).i64(m.notBefore).i64(m.notAfter).raw(m.fingerprint, 32).text(m.alpn),
  [Message.TlsData]: (m, w) => w.u8(m.id).raw(m.data),
  [Message.TlsExported]: (m, w) => w.u8(m.id).u8(m.tag).raw(m.key),
  [Message.TlsClosed]: (m, w) => w.u8(m.id).u8(m.reason).text(m.detail),
  [Message.UdpOpened]: (m, w) => w.u8(m.socket).u8(m.family).u8(m.addresses).raw(m.address, 16),
  [Message.UdpOpenFailed]: (m, w) => w.u8(m.socket).u8(m.reason).text(m.detail),
  [Message.EventAck]: (m, w) => w.u32(m.sequence),
  ...recordEncoders,
  ...updateEncoders,
};

/** Whether `id` may be a meter's id: it becomes a part of MQTT topics and file names. */
export function isMeterId(id: string): boolean {
  return /^[A-Za-z0-9._-]{1,32}$/.test(id);
}

function clockStatus(reader: ByteReader, at: number): ClockStatus {
  const status = reader.u8(at);
  if (status > ClockStatus.Holdover) {
    throw new MessageError('value', `${reader.name}: expected a clock status of 0 to 2, came ${status}`);
  }
  return status;
}

function stackUse(reader: ByteReader): StackUse | undefined {
  const at = reader.next;
  const usedBytes = reader.u32(at + StackField.UsedBytes);
  const totalBytes = reader.u32(at + StackField.TotalBytes);
  return totalBytes === 0 ? undefined : { usedBytes, totalBytes };
}

function ofRtc(reader: ByteReader, at: number): number | undefined {
  const value = reader.i32(at);
  return value === RtcKnown.None ? undefined : value;
}

function temperature(reader: ByteReader, at: number): number | undefined {
  const value = reader.i32(at);
  if (value === MilliCelsius.None) return undefined;
  if (value < MilliCelsius.Least || value > MilliCelsius.Most) {
    throw new MessageError(
      'value',
      `${reader.name}: expected a temperature of ${MilliCelsius.Least} to ${MilliCelsius.Most} thousandths of a degree, came ${value}`,
    );
  }
  return value;
}

function sourceIndex(reader: ByteReader, at: number): number {
  const index = reader.u8(at);
  if (index >= sourcesMax) {
    throw new MessageError('value', `${reader.name}: expected a server's index below ${sourcesMax}, came ${index}`);
  }
  return index;
}

/** Four printable ASCII bytes, or four zeros for none (RFC 5905 7.4). */
const kissCodePattern = /^[\x21-\x7e]{4}$/;

function kissCode(reader: ByteReader, at: number): string {
  const bytes = reader.bytes(at, 4);
  if (bytes.every((byte) => byte === 0)) return '';
  // What a server sent may be anything: what is no such code is told as its digits.
  const text = Buffer.from(bytes).toString('latin1');
  return kissCodePattern.test(text) ? text : `0x${Buffer.from(bytes).toString('hex')}`;
}

function kissCodeBytes(code: string): Uint8Array {
  if (code === '') return new Uint8Array(4);
  const digits = /^0x([0-9a-f]{8})$/.exec(code)?.[1];
  if (digits !== undefined) return Buffer.from(digits, 'hex');
  if (!kissCodePattern.test(code)) {
    throw new MessageError('value', 'SourceCounts: expected a kiss code of four printable ASCII characters');
  }
  return Buffer.from(code, 'latin1');
}
