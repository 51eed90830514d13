// Numbers and byte layouts that the core shares with host, firmware and tests: the only place where they are written down.
// All integers are little-endian unless said otherwise; a `text` is one length byte and that many bytes of UTF-8.
// Values never change their meaning; new ones are added at the end of their range.

/** Version of everything in this file; Event.Start refuses another one. */
export enum Abi {
  Version = 5,
  /** Bytes in front of each event's payload: the local tick (u64) at which it happened. */
  EventHeaderBytes = 8,
  /** Bytes in front of each action's payload: kind (u16), payload length (u16). */
  ActionHeaderBytes = 4,
}

/** What the core is told: `handle(event, payloadLength)`, tick and payload in the event buffer. */
export enum Event {
  /** The meter starts: `StartField`. Once, first. */
  Start = 1,
  /** The tick of the last `Action.Wake` has come. Early or extra ones do no harm. No payload. */
  Wake = 2,
  /** A frame came on the line: tick of its first byte u64, then the bytes between two zeros. The header's tick is that of its last byte. */
  Frame = 3,
  /** The frame of the last `Action.FrameSend` has left; the header's tick is that of its last byte or before it, never after. No payload. */
  FrameSent = 4,
  /** Answer to `Action.StorageRead`: offset u32, then the bytes; fewer or none when the storage cannot be read, which the meter then tries again. */
  StorageData = 5,
  /** Answer to `Action.StorageWrite`: offset u32, result u8 (0 written, 1 failed). The bytes are in the storage for good. */
  StorageDone = 6,
  /** Answer to `Action.RtcRead`: `RtcField`. */
  RtcTime = 7,
  /** Answer to `Action.RtcSet`: result u8 (0 set, 1 failed). */
  RtcDone = 8,
  /** A board with a network of its own, or with sockets of its own for datagrams: channel u8, then a message as on the link. */
  Message = 9,
  /** Asks for the time at the header's tick: answered by `Action.TimeNow`. No payload. */
  TimeAsk = 10,
  /** Answer to `Action.TemperatureRead`: `TemperatureField`. */
  Temperature = 11,
  /** The application: a transaction, as of a charger, begins (u8 1) or ends (u8 0). The core forgets it when it starts anew. */
  Transaction = 12,
  /** An operator accepts the correction that `MeterEvent.ClockRefused` told of. No payload. */
  CorrectionAccept = 13,
  /** Answer to `Action.ReadingsRead`: `ReadingsField`; the header's tick is that at which the registers were read. */
  Readings = 14,
  /** How deep the stack was ever used: `StackField`. Where that is measured: whenever it has grown. */
  Stack = 15,
  /** The gateway's end of a link starts: `LinkStartField`. Once, first, instead of `Start`. */
  LinkStart = 16,
  /** The gateway's end sends: channel u8, then the message. Refused (dropped, counted) unless `Action.LinkReady` said that there is room. */
  LinkSend = 17,
  /** Answer to `Action.LinkHello` that asks: `LinkKeyField`. */
  LinkKey = 18,
  /** Answer to `Action.SlotErase`, `SlotWrite`, `SlotCommit` and `SlotConfirm`: result u8 (0 done, 1 failed). It is in the flash for good. */
  SlotDone = 20,
  /** Answer to `Action.SlotRead`: offset u32, then the bytes; fewer or none when they cannot be read. */
  SlotData = 21,
}

/** What the core asks for, in the order in which it is to be done. */
export enum Action {
  /** Send these bytes on the line (encoded, delimiters included), then report `Event.FrameSent`. At most one at a time. */
  FrameSend = 1,
  /** Call back at this local tick (u64); replaces the one before. */
  Wake = 2,
  /** Read the storage: offset u32, length u32. */
  StorageRead = 3,
  /** Write to the storage: offset u32, then the bytes. */
  StorageWrite = 4,
  /** Read the real-time clock. No payload. */
  RtcRead = 5,
  /** Set the real-time clock, now: `RtcField` from `Second` on. */
  RtcSet = 6,
  /** A message for a board with a network of its own, or a datagram for one with sockets of its own (channel u8, message), or what the gateway's end received (`LinkMessageField`). */
  Message = 7,
  /** Answer to `Event.TimeAsk`: `TimeNowField`. */
  TimeNow = 8,
  /** The gateway's end: what the link is and has room for: `LinkReadyField`. */
  LinkReady = 9,
  /** Read the thermometer. No payload. */
  TemperatureRead = 10,
  /** Read the application's registers, now: answered by `Event.Readings`. No payload. */
  ReadingsRead = 11,
  /** The tariff that applies from now on: `TariffSwitchField`. At each switch, at a start as soon as it is known, and when the time becomes good enough to bill by or ceases to be. */
  TariffSwitch = 12,
  /** Restart the board, `ResetCause.Software`; nothing that follows counts. No payload. */
  Restart = 13,
  /** A board with sockets of its own: `DatagramTargetField`, where datagrams of a socket go from now on. A socket with the same low two bits is forgotten. */
  DatagramTarget = 14,
  /**
   * The slot that does not run: erase the units of its flash that begin in these bytes: offset u32, length u32. At offset 0
   * its trailer goes first, and with it whatever it said. At most one of the actions of slots is under way at a time.
   */
  SlotErase = 20,
  /** The slot that does not run: offset u32, then the bytes; what is there is erased, or already the same. */
  SlotWrite = 21,
  /** The slot that does not run: offset u32, length u32. */
  SlotRead = 22,
  /** The image in the slot that does not run is whole, and to be tried at the next start: `SlotImageField`. */
  SlotCommit = 23,
  /** The slot that runs keeps running at each start from now on. No payload. */
  SlotConfirm = 24,
  /** The gateway's end: a meter says hello, `LinkHelloField`. */
  LinkHello = 14,
}

/** Payload of `Action.SlotCommit`. */
export enum SlotImageField {
  /** u32. */
  Length = 0,
  /** u32. */
  Version = 4,
  /** 32 bytes: the first of SHA-512 of the image. */
  Hash = 8,
  Bytes = 40,
}

/** Slots of a board whose software can be replaced over the link. */
export enum Slot {
  /** The board has none. */
  None = 0,
  A = 1,
  B = 2,
}

export enum SlotFlag {
  /** The image that runs is tried: unless it is confirmed, the next start takes the other one. */
  Trial = 1,
  /** The image in the slot that does not run was tried and not confirmed. */
  OtherFailed = 2,
}

/** Why the meter started. */
export enum ResetCause {
  PowerOn = 0,
  Watchdog = 1,
  Trap = 2,
  Software = 3,
}

/** What stopped the core or the firmware under it, where the `ResetCause` is `Trap`. */
export enum TrapCode {
  None = 0,
  /** A load or store outside the core's memory. */
  OutOfBounds = 1,
  IntegerOverflow = 2,
  DivisionByZero = 3,
  InvalidConversion = 4,
  Unreachable = 5,
  IndirectCall = 6,
  StackExhausted = 7,
  /** The core asked for something that this interface does not allow, or is of another version. */
  Interface = 8,
  /** A fault of the processor: 256 and the number of the exception. */
  Fault = 256,
}

/** Payload of `Event.Start`. */
export enum StartField {
  /** u16, `Abi.Version`. */
  AbiVersion = 0,
  /** u8, `ResetCause`. */
  ResetCause = 2,
  /** u8, `Capability` bits. */
  Capabilities = 3,
  /** u32, local ticks per second, 1,000 or more. */
  TickHz = 4,
  /** u32, the largest frequency error that the board's oscillator may have over its life and temperature range, in parts per billion. */
  MaxFrequencyErrorPpb = 8,
  /** u32, bytes of storage. */
  StorageBytes = 12,
  /** u64, Unix seconds: when this software was built. No time before it is ever believed. */
  BuildUnixSeconds = 16,
  /** 32 bytes, SHA-256 of core.wasm. */
  CoreSha256 = 24,
  /** 32 bytes, SHA-256 of the image as it is now, computed at the start; zero where it is the core alone. */
  ImageSha256 = 56,
  /** 32 bytes from the board's entropy source; all zero where it has none. */
  Entropy = 88,
  /** u32, trap code where `ResetCause` is `Trap`. */
  TrapCode = 120,
  /** u32, version of the image; of a board without slots 0, as what follows. */
  ImageVersion = 124,
  /** u32, bytes of the longest image that fits into a slot. */
  SlotBytes = 128,
  /** u8, `Slot` that runs. */
  Slot = 132,
  /** u8, `SlotFlag` bits. */
  SlotFlags = 133,
  /** Two texts: board, firmware version; at most 31 bytes each. */
  Names = 136,
}

/** What is in a version: 1.2.3 is 0x01020003. */
export enum CoreVersion {
  /** Of the legally relevant part of the software, the core: it goes up with each change of what that decides. */
  Number = 0x0100_0000,
}

/** Payload of `Event.Stack`. */
export enum StackField {
  /** u32 each, bytes: used at most since the start, and how many there are. */
  UsedBytes = 0,
  TotalBytes = 4,
  Bytes = 8,
}

export enum Capability {
  /** A network of its own: no link. */
  OwnNetwork = 1,
  Rtc = 2,
  Storage = 4,
  /** It measures the temperature of the oscillator, as near to it as the board allows. */
  Thermometer = 8,
  /** An application with registers, which answers `Action.ReadingsRead`. */
  Registers = 16,
  /** Datagrams leave from sockets of the board's own; names and connections are the gateway's, at the link. */
  OwnDatagrams = 32,
}

/** Payload of `Event.RtcTime`; `Action.RtcSet` carries the same from `Second` on. UTC, Gregorian. */
export enum RtcField {
  /** u8, `RtcStatus`. */
  Status = 0,
  Second = 1,
  Minute = 2,
  Hour = 3,
  /** u8, 1 to 31. */
  Day = 4,
  /** u8, 1 to 12. */
  Month = 5,
  /** u16. */
  Year = 6,
  Bytes = 8,
}

export enum RtcStatus {
  Running = 0,
  /** The oscillator-stop flag is set: the time was lost. */
  Stopped = 1,
  /** No clock answers, or what it answers is no date. */
  Absent = 2,
}

/** Payload of `Event.Temperature`. */
export enum TemperatureField {
  /** u8, `TemperatureStatus`. */
  Status = 0,
  /** i32. */
  MilliCelsius = 1,
  Bytes = 5,
}

/** Payload of `Event.Readings`. */
export enum ReadingsField {
  /** u8, how many follow, in the order of the settings' registers. */
  Count = 0,
  /** i64 each: the register's value, in units of its scale. */
  Values = 8,
}

/** Payload of `Action.DatagramTarget`. */
export enum DatagramTargetField {
  /** u8, as in `Message.UdpSend`. */
  Socket = 0,
  /** u8, 4 or 6. */
  Family = 1,
  /** u16. */
  Port = 2,
  /** 16 bytes, IPv4 in the first four. */
  Address = 4,
  Bytes = 20,
}

/** Payload of `Action.TariffSwitch`. */
export enum TariffSwitchField {
  /** u16. */
  Tariff = 0,
  /** u8: 1 where the time is not good enough to bill by. */
  Doubtful = 2,
  /** i64, Unix seconds at which it took effect; 0 where that is not known. */
  SinceUnixSeconds = 8,
  Bytes = 16,
}

export enum TemperatureStatus {
  Measured = 0,
  /** No thermometer answers, or it has measured nothing yet. */
  Failed = 1,
}

/** Temperatures, thousandths of a degree Celsius. */
export enum MilliCelsius {
  /** In the place of one that is not known. */
  None = -0x8000_0000,
  /** What the thermometers in use can measure. */
  Least = -55_000,
  Most = 125_000,
}

/** Payload of `Action.TimeNow`. */
export enum TimeNowField {
  /** u8, `ClockStatus`. */
  Status = 0,
  /** u8, `TimeFlag` bits. */
  Flags = 1,
  /** u8: how often registration periods became invalid since the start, modulo 256 (`MeterEvent.PeriodsInvalid`). */
  Invalidations = 2,
  /** i64, nanoseconds since 1970 without leap seconds (UTC as POSIX counts it); meaningless when unsynchronised. */
  UtcNs = 8,
  /** u64, hard bound on the error, ns. */
  BoundNs = 16,
  /** u64, expanded uncertainty (k = 2), ns. */
  UncertaintyNs = 24,
  /** i64, ns since the last authenticated sample; -1 for never. */
  SampleAgeNs = 32,
  /** `BudgetField`. */
  Budget = 40,
  Bytes = 68,
}

/** What an expanded uncertainty is made of (GUM 8): twice the root of the sum of squares of the first four, and the fifth. */
export enum BudgetField {
  /** u32 each, ns, saturated: standard uncertainties of the estimate, of the path's asymmetry, of the server, of stamps. */
  NoiseNs = 0,
  AsymmetryNs = 4,
  ServerNs = 8,
  StampsNs = 12,
  /** u32, ns, saturated: what is known to be wrong and not slewed yet, or not corrected as the rules say. */
  SlewNs = 16,
  /** i32, parts of 10^12 by which the clock runs faster than the local counter. */
  FrequencyPpt = 20,
  /** u32, parts of 10^12, saturated: expanded uncertainty (k = 2) of the frequency. */
  FrequencyUncertaintyPpt = 24,
  Bytes = 28,
}

export enum ClockStatus {
  Unsynchronised = 0,
  Synchronised = 1,
  Holdover = 2,
}

// ---------------------------------------------------------------- link

/** Channels of a link; a lower number is sent first. */
export enum Channel {
  /** The link's own affairs. */
  Control = 0,
  /** Datagrams and what is stamped: never sent again. */
  Time = 1,
  /** Connections: in order, sent again when lost. */
  Stream = 2,
  /** Reports of the meter: in order, sent again when lost. */
  Report = 3,
}

/** Payload of `Event.LinkStart`. */
export enum LinkStartField {
  /** u32, ticks per second of the ticks that this end is told, 1,000 or more. */
  TickHz = 0,
  /** u64, random: what tells this run of the gateway from all others. */
  Nonce = 4,
  /** u8, 1: any meter whose link is open is served, and not asked about. */
  ServesOpen = 12,
  Bytes = 13,
}

/** `Action.LinkHello`. */
export enum LinkHelloField {
  /** u8, `LinkHello`. */
  Kind = 0,
  /** u8, 1 when the meter's link is to be sealed. */
  Sealed = 1,
  /** Text of up to 32 bytes: who the meter says it is; empty without settings. */
  Meter = 2,
}

/** What is to be said of a hello. */
export enum LinkHello {
  /** What does the gateway know of this meter? The hello waits for `Event.LinkKey`. */
  Asks = 0,
  /** Its proof does not hold under the key that the host gave: the meter has another one, or it is somebody else. */
  Refused = 1,
}

/** Payload of `Event.LinkKey`; it holds until another meter says hello. */
export enum LinkKeyField {
  /** u8, `LinkKnown`. */
  Known = 0,
  /** 16 bytes, where there is a key. */
  Key = 1,
  /** Text: the meter that this is about. */
  Meter = 17,
}

/** What a gateway knows of a meter. */
export enum LinkKnown {
  /** Nothing, and it is not to be served. */
  Nothing = 0,
  /** It has no key: its link is open. */
  Open = 1,
  /** Its key: its link is sealed, and never open. */
  Key = 2,
}

/** `Action.Message` of the gateway's end. */
export enum LinkMessageField {
  /** u8. */
  Channel = 0,
  /** u64, tick of the first byte of the message's first frame. */
  FirstTick = 8,
  /** u64, tick of the last byte of the message's last frame. */
  LastTick = 16,
  Message = 24,
}

/** Payload of `Action.LinkReady`, told whenever one of them changes. */
export enum LinkReadyField {
  /** u8, 1 when a session stands. */
  Up = 0,
  /** u8, 1 when a datagram may be sent on the time channel. */
  TimeRoom = 1,
  /** u8, messages that may be sent on the stream channel now. */
  StreamRoom = 2,
  /** u8, the same for the report channel. */
  ReportRoom = 3,
  /** u16, session number: another one means that the meter or its link started anew. */
  Session = 4,
  /** u8, 1 when it is sealed. */
  Sealed = 6,
  /** Counters, u32 each: frames received, frames damaged (CRC, COBS, header), frames sent, frames sent again. */
  FramesReceived = 8,
  FramesDamaged = 12,
  FramesSent = 16,
  FramesResent = 20,
  /** u32 each, of a sealed session: frames without the seal that they should have, and frames that came before or too late. */
  FramesForged = 24,
  FramesReplayed = 28,
  /** Text of up to 32 bytes: the meter that the session is with. Proven where it is sealed, said where it is not. */
  Meter = 32,
  Bytes = 68,
}

/** Largest message on the stream and report channels: one frame's payload, with its seal. */
export enum LinkLimit {
  FrameBytes = 256,
  MessageBytes = 221,
  /** Largest message on the time channel, sent in pieces: a UDP payload of 1,232 bytes and its header. */
  DatagramBytes = 1256,
}

// ---------------------------------------------------------------- messages

/** First byte of each message. Meter to gateway: M>G, gateway to meter: G>M. */
export enum Message {
  // Time channel
  /** M>G: socket u8, exchange u16, UDP payload. One fresh source port for each. */
  UdpSend = 0x01,
  /** G>M: `UdpReceivedField`. */
  UdpReceived = 0x02,
  /** G>M: token u32. Asks for the meter's time. */
  TimeProbe = 0x03,
  /** M>G: `TimeReplyField`. */
  TimeReply = 0x04,
  /** G>M: socket u8, exchange u16, reason u8 (`Failure`). */
  UdpFailed = 0x05,

  // Stream channel
  /** M>G: `TlsOpenField`. */
  TlsOpen = 0x10,
  /** M>G: id u8, bytes. */
  TlsWrite = 0x11,
  /** M>G: id u8, tag u8, length u8, label (text), context (one length byte, bytes). Exporter of RFC 8446 7.5. */
  TlsExport = 0x12,
  /** M>G: id u8. close_notify is sent. */
  TlsClose = 0x13,
  /** M>G: socket u8, attempt u8 (which of the host's addresses, counted modulo their number), port u16, host (text). */
  UdpOpen = 0x14,
  /** M>G: socket u8. */
  UdpClose = 0x15,
  /** G>M: `TlsOpenedField`. */
  TlsOpened = 0x20,
  /** G>M: id u8, bytes. */
  TlsData = 0x21,
  /** G>M: id u8, tag u8, bytes. */
  TlsExported = 0x22,
  /** G>M: id u8, reason u8 (`Failure`; `None` when the peer closed), detail (text, for people). Nothing follows for this id. */
  TlsClosed = 0x23,
  /** G>M: socket u8, family u8 (4 or 6), addresses u8 (how many the host has), address 16 bytes (IPv4 in the first four). */
  UdpOpened = 0x24,
  /** G>M: socket u8, reason u8 (`Failure`), detail (text). */
  UdpOpenFailed = 0x25,

  // Report channel
  /** M>G: `InfoField`. After each start of the link's session, and with a report of the time when the stack was used deeper. */
  Info = 0x30,
  /** M>G: `TimeField`. */
  Time = 0x31,
  /** M>G: `EventField`. Sent again after a new session until acknowledged. */
  Event = 0x32,
  /** M>G: `SourceField`: a time server and what stands between it and the meter. */
  Source = 0x33,
  /** M>G: `SourceCountField`: what was counted of a time server since the start. */
  SourceCounts = 0x34,
  /** M>G: `EntryField`: an entry of the records, or one that was asked for. */
  Entry = 0x35,
  /** M>G: `HeadField` from offset 4 on: the newest head, signed. */
  Head = 0x36,
  /** M>G: `TariffField`: the tariff that applies, and what is next. */
  Tariff = 0x37,
  /** G>M: sequence u32: this event is stored for good. */
  EventAck = 0x38,
  /** G>M: `RecordAckField`: how far the records are stored by the gateway, and acknowledged by the broker. */
  RecordAck = 0x39,
  /** G>M: `EntriesAskField`: entries of a ring are to be sent again. */
  EntriesAsk = 0x3a,
  /** M>G: `DoneField`: the command with this token is done, or refused. */
  Done = 0x3b,
  /** G>M: `BlockWriteField`: a part of a tariff program or of dynamic tariffs. */
  BlockWrite = 0x3c,
  /** G>M: `BlockCommitField`: the parts written are whole, and take effect. */
  BlockCommit = 0x3d,
  /** G>M: `ReleaseField`: an operator has read the logbook so far; its entries may be overwritten. */
  Release = 0x3e,
  /** G>M: `ProvisionField`: a part of what a meter without settings is to have at the begin of its storage. */
  Provision = 0x3f,
  /** M>G: `SlotsField`: what runs, and how far an update is. Of boards with slots only. */
  Slots = 0x40,
  /** G>M: `UpdateBeginField`: an image is to come, or to go on. */
  UpdateBegin = 0x41,
  /** G>M: `UpdatePartField`: a part of it. */
  UpdatePart = 0x42,
  /** G>M: `UpdateFinishField`: it is whole, and takes effect. */
  UpdateFinish = 0x43,
}

/** Why a connection or socket failed, as the meter is told. */
export enum Failure {
  None = 0,
  /** The name does not exist or no DNS server answers. */
  Dns = 1,
  /** Refused, unreachable or no answer. */
  Connect = 2,
  /** TLS failed in a way not listed here. */
  Tls = 3,
  /** The server does not speak TLS 1.3. */
  TlsVersion = 4,
  /** The server does not speak the protocol asked for (ALPN). */
  Alpn = 5,
  /** No path to a trust anchor. */
  Untrusted = 6,
  /** A certificate of the path is not valid yet or no more, at the time that the meter gave. */
  Expired = 7,
  /** The certificate is for another name. */
  WrongName = 8,
  /** The certificate is not for TLS servers. */
  WrongUsage = 9,
  /** The peer stopped answering. */
  Timeout = 10,
  /** The connection broke. */
  Reset = 11,
  /** The meter asked for more than its share (connections, bytes, datagrams). */
  Limit = 12,
  /** The meter's message made no sense. */
  Request = 13,
}

export enum TlsOpenField {
  Id = 1,
  /** u8, bit 0: certificate dates are not checked. */
  Flags = 2,
  /** i64, Unix seconds at which all certificates of the path must be valid. */
  ValidAt = 3,
  /** u16. */
  Port = 11,
  /** Two texts: ALPN protocol, host (DNS name or address). */
  Texts = 13,
}

export enum TlsOpenFlag {
  DatesNotChecked = 1,
}

export enum TlsOpenedField {
  Id = 1,
  /** i64, Unix seconds: the latest notBefore and the earliest notAfter of the whole path. */
  NotBefore = 2,
  NotAfter = 10,
  /** 32 bytes, SHA-256 of the server's certificate. */
  Fingerprint = 18,
  /** One text: ALPN protocol that the server chose. */
  Texts = 50,
}

export enum UdpReceivedField {
  Socket = 1,
  /** u16. */
  Exchange = 2,
  /** u32, ns from the arrival of the request's last byte at the gateway to its departure; the largest value when longer. */
  ForwardResidenceNs = 4,
  /** u32, ns from the answer's arrival at the gateway to the departure of its first byte on the link. */
  BackResidenceNs = 8,
  Payload = 12,
}

export enum TimeReplyField {
  /** u32. */
  Token = 1,
  /** u8, `ClockStatus`. */
  Status = 5,
  /** u8 each, `TimeFlag` bits: at the last byte of the probe, where `LeapSecond` alone is told, and when the reply was made. */
  ProbeFlags = 6,
  ReplyFlags = 7,
  /** i64, UTC ns at the last byte of the probe, and when the reply was made. */
  ProbeUtcNs = 8,
  ReplyUtcNs = 16,
  /** u64, ns. */
  BoundNs = 24,
  Bytes = 32,
}

export enum InfoField {
  /** u8, `Abi.Version`. */
  AbiVersion = 1,
  /** u8, `ResetCause`. */
  ResetCause = 2,
  /** u8, `Capability` bits. */
  Capabilities = 3,
  /** u32. */
  MaxFrequencyErrorPpb = 4,
  /** u64, Unix seconds. */
  BuildUnixSeconds = 8,
  /** 32 bytes each. */
  CoreSha256 = 16,
  ImageSha256 = 48,
  /** u8: how many servers the core can use at once. */
  ServersMax = 80,
  /** Three texts: meter id, board, firmware version. Then `StackField`, zeros where it is not measured. */
  Texts = 81,
}

/** `Message.Time`: the meter's time and how sure it is; what is a server's is that of the one that is followed. */
export enum TimeField {
  /** u8, `ClockStatus`. */
  Status = 1,
  /** u8, `TimeFlag` bits. */
  Flags = 2,
  /** u8, of the server. */
  Stratum = 3,
  /** u8, eight last polls, newest in bit 0. */
  Reach = 4,
  /** u8, cookies held. */
  Cookies = 5,
  /** u16, length of the newest cookie. */
  CookieBytes = 6,
  /** u16, AEAD algorithm of the keys in use, 0 without keys. */
  Aead = 8,
  /** u16, s. */
  PollSeconds = 10,
  /** u32, ns: NTP short formats of the server turned into ns, saturated. */
  RootDelayNs = 12,
  RootDispersionNs = 16,
  /** i32, correction of the local oscillator's rate in force. */
  FrequencyPpb = 20,
  /** i64, when this report was made; 0 when unsynchronised. */
  UtcNs = 24,
  /** i64, the last authenticated sample: server minus meter, before the correction that followed. */
  OffsetNs = 32,
  /** u64, round trip of that sample without serial line and gateway. */
  DelayNs = 40,
  /** u64. */
  UncertaintyNs = 48,
  /** u64. */
  BoundNs = 56,
  /** i64, UTC of the last authenticated sample; 0 for never. */
  LastSyncUtcNs = 64,
  /** i64, UTC at which the keys were made; 0 without keys. */
  KeysSinceUtcNs = 72,
  /** u32 each, sums over all servers. */
  Sent = 80,
  Authenticated = 84,
  Rejected = 88,
  Naks = 92,
  KeAttempts = 96,
  KeFailures = 100,
  /** u8, `Reject` of the last refused answer; u8, `KeError` of the last failed key establishment. */
  LastReject = 104,
  LastKeError = 105,
  /** u16, events that did not fit and were lost. */
  EventsLost = 106,
  /** u8 each: servers in use, how many of them agree, how many have to. */
  Servers = 108,
  Agreeing = 109,
  Needed = 110,
  /** u8, `Missing`: what the meter still waits for before it has a time. */
  Missing = 111,
  /** u8, index of the server that the report's server fields are about. */
  Source = 112,
  /** i32, the thermometer's last good reading, where it is not older than five minutes; `MilliCelsius.None` else. */
  MilliCelsius = 113,
  /** i32, µs: the real-time clock's offset to UTC, as the last comparison and its rate have it; `RtcKnown.None` without. */
  RtcOffsetUs = 117,
  /** i32: its rate, positive where it is fast; `RtcKnown.None` as long as none was learned. */
  RtcRatePpb = 121,
  /** `BudgetField`; zeros while unsynchronised. */
  Budget = 125,
  /** One text: the server's NTS-KE host. */
  Texts = 153,
}

/** Of the real-time clock. */
export enum RtcKnown {
  /** In the place of what is not known. */
  None = -0x8000_0000,
  /** Where more does not fit, either way. */
  Most = 0x7fff_ffff,
}

/** What a meter without a time waits for next. */
export enum Missing {
  None = 0,
  /** Settings that hold. */
  Settings = 1,
  /** A seed for random bytes. */
  Random = 2,
  /** The link to the gateway. */
  Network = 3,
  /** Keys: no NTS key establishment succeeded. */
  Keys = 4,
  /** An authenticated answer. */
  Answer = 5,
  /** A certificate that holds at the time obtained. */
  Certificate = 6,
  /** As many servers that agree as are needed. */
  Majority = 7,
}

export enum TimeFlag {
  /** One server is enough, by number or by the settings: no majority stands behind this time. */
  SingleSource = 1,
  /** The certificate's dates are not checked yet at the obtained time. */
  DatesUnchecked = 2,
  /** A correction is being slewed. */
  Slewing = 4,
  /** The time comes from the real-time clock, unconfirmed since the start. */
  FromRtc = 8,
  /** Fewer servers agree than are needed. */
  NoMajority = 16,
  /** An inserted leap second, 23:59:60, is passing: UTC ns repeat those of 23:59:59. */
  LeapSecond = 32,
  /** The last authenticated sample is older than the profile allows: the time is not to be billed by. */
  HoldoverEnded = 64,
  /** The profile refuses a correction, which an operator has to accept. */
  ClockRefused = 128,
}

/** `Message.Source`: one of the meter's time servers. */
export enum SourceField {
  /** u8, from 0. */
  Index = 1,
  /** u8, `SourceFlag` bits. */
  Flags = 2,
  /** u8, `SourceState`. */
  State = 3,
  /** u8 each: of the last authenticated answer. */
  Stratum = 4,
  Leap = 5,
  /** u8, eight last polls, newest in bit 0. */
  Reach = 6,
  /** u8, cookies held. */
  Cookies = 7,
  /** u16, length of the next cookie. */
  CookieBytes = 8,
  /** u16, AEAD algorithm of the keys in use, 0 without keys. */
  Aead = 10,
  /** u16, s. */
  PollSeconds = 12,
  /** u16, UDP port. */
  NtpPort = 14,
  /** u32, ns, saturated. */
  RootDelayNs = 16,
  RootDispersionNs = 20,
  /** i64, last authenticated sample: server minus meter. */
  OffsetNs = 24,
  /** u64, round trip of that sample without serial line and gateway. */
  DelayNs = 32,
  /** i64, UTC of that sample; 0 for never. */
  LastSyncUtcNs = 40,
  /** i64, UTC at which the keys were made; 0 without keys or time. */
  KeysSinceUtcNs = 48,
  /** u32, s until the next key establishment is tried; 0 where none is waited for. */
  RetrySeconds = 56,
  /** Two texts: host of NTS-KE, host of NTP. */
  Texts = 60,
}

export enum SourceFlag {
  /** Its last sample agrees with the majority, or without one, with the largest group. */
  Agrees = 1,
  /** Its last sample contradicts the majority, or the clock where nothing outvotes it. */
  Disagrees = 2,
  /** The clock takes its path for symmetric: from this one the others' differences count. */
  Reference = 4,
  /** The certificate's dates are not checked yet at an obtained time. */
  DatesUnchecked = 8,
  /** The keys came out of the storage, from before the start. */
  Restored = 16,
  /** Its last sample is further off than was foreseen, and counts only when the next ones insist. */
  Strays = 32,
}

export enum SourceState {
  /** Waits until it may try a key establishment. */
  Waiting = 0,
  /** A TLS connection is being opened. */
  Connecting = 1,
  /** NTS key establishment runs. */
  Establishing = 2,
  /** Has keys and polls. */
  Serving = 3,
  /** The server asked, authenticated, not to be polled any more (RFC 5905 7.4: DENY, RSTR). */
  Stopped = 4,
}

/** `Message.SourceCounts`: since the start of the meter. */
export enum SourceCountField {
  /** u8, as in `SourceField`. */
  Index = 1,
  /** u8, `Reject` of the last refused answer; u8, `KeError` of the last failed key establishment. */
  LastReject = 2,
  LastKeError = 3,
  /** Four ASCII bytes: the last kiss code, authenticated or not; zeros for none. */
  KissCode = 4,
  /** u32 each. */
  Sent = 8,
  Authenticated = 12,
  Naks = 16,
  KeAttempts = 20,
  KeFailures = 24,
  /** u16 each, from `Reject` 1 on, saturated: refused answers by reason. */
  Rejected = 28,
}

/** `Message.Event`. */
export enum EventField {
  /** u32, counts from 1 at each start of the meter. */
  Sequence = 2,
  /** u16, `MeterEvent`. */
  Code = 6,
  /** i64, UTC ns; 0 when unsynchronised. */
  UtcNs = 8,
  /** i64, ns since the start of the meter. */
  UptimeNs = 16,
  /** i64 each; their meaning is the event's. */
  A = 24,
  B = 32,
  /** u32, random at each start: tells the events of two starts apart. */
  Boot = 40,
  /** One text. */
  Texts = 44,
}

/** `Message.Entry`. */
export enum EntryField {
  /** u8, `Ring`. */
  Ring = 1,
  /** u16, token of the `EntriesAsk` that it answers; 0 where it is sent unasked. */
  Token = 2,
  /** `ChainField`. */
  Entry = 4,
  Bytes = 132,
}

/** `Message.RecordAck`; both count entries of the record ring, contexts included. */
export enum RecordAckField {
  /** u32: the gateway has stored all up to this one for good; they need not be sent again in this session. */
  Stored = 4,
  /** u32: the broker has acknowledged all up to this one; the meter may free them. */
  Delivered = 8,
  Bytes = 12,
}

/** `Message.EntriesAsk`. One at a time. */
export enum EntriesAskField {
  /** u8, `Ring`. */
  Ring = 1,
  /** u16, not 0. */
  Token = 2,
  /** u32, sequence of the first. */
  From = 4,
  /** u16, how many. Those that the ring does not hold (any more) are left out. */
  Count = 8,
  Bytes = 10,
}

/** `Message.Done`. */
export enum DoneField {
  /** u8, `CommandResult`. */
  Result = 1,
  /** u16. */
  Token = 2,
  /** u32: entries sent, or the newest sequence of the ring; 0 where it means nothing. */
  Detail = 4,
  Bytes = 8,
}

export enum CommandResult {
  Done = 0,
  /** The message made no sense, or asks for what there is not. */
  Request = 1,
  /** Another command is under way. */
  Busy = 2,
  /** The storage failed. */
  Storage = 3,
  /** The block is damaged: CRC-32 or lengths do not hold, or parts are missing. */
  Damaged = 4,
  /** The block says what cannot be: Detail is a `ProgramError`; of `Message.Provision` a `SettingsError`. */
  Invalid = 5,
  /** This meter has no tariffs, or no storage for them; or no slots for software. */
  Absent = 6,
  /** This meter has settings, or none that could be written: it takes none over its link. */
  Provisioned = 7,
  /** The software is not taken: Detail is an `UpdateRefusal`. */
  Refused = 8,
}

/** `Message.BlockWrite`. Parts come in order, from offset 0 on. */
export enum BlockWriteField {
  /** u8, `Block`. */
  Block = 1,
  /** u16, not 0. */
  Token = 2,
  /** u16. */
  Offset = 4,
  Part = 6,
}

/**
 * `Message.Provision`: settings and first seed, as they stand from `StorageMap.Settings` up to `SeedB`. Parts come in
 * order, from offset 0 on; each is answered by `Done`, the last one when all of it is in the storage.
 */
export enum ProvisionField {
  /** u16, not 0. */
  Token = 2,
  /** u16, where the part begins. */
  Offset = 4,
  Part = 6,
}

/** `Message.BlockCommit`. */
export enum BlockCommitField {
  /** u8, `Block`. */
  Block = 1,
  /** u16, not 0. */
  Token = 2,
  /** u16, of the whole block. */
  Length = 4,
  Bytes = 6,
}

/** `Message.Slots`: with each new session, and when it changes. */
export enum SlotsField {
  /** u8, `Slot` that runs. */
  Slot = 1,
  /** u8, `SlotFlag` bits. */
  Flags = 2,
  /** u8, `UpdateState`. */
  State = 3,
  /** u32 each, versions: of the image that runs, and the lowest that is taken. */
  ImageVersion = 4,
  Floor = 8,
  /** u32. */
  SlotBytes = 12,
  /** u32 each: how much of the image that comes is stored for good, its length, its version; 0 without one. */
  Offset = 16,
  Length = 20,
  Version = 24,
  /** 16 bytes: the first of SHA-512 of the key that updates have to be signed with; zeros without one. */
  KeyId = 28,
  Bytes = 44,
}

export enum UpdateState {
  None = 0,
  /** An image comes. */
  Receiving = 1,
  /** It is whole and in the logbook: tried from the next start on, and kept or given up. */
  Accepted = 2,
}

/** `Message.UpdateBegin`. Answered when the signature was checked: Detail is the offset to go on from. */
export enum UpdateBeginField {
  /** u16, not 0. */
  Token = 2,
  /** `ManifestField`. */
  Manifest = 4,
  /** 64 bytes: Ed25519 (RFC 8032 5.1) of the 16 bytes "metertime update" and the manifest. */
  Signature = 132,
  Bytes = 196,
}

/** `Message.UpdatePart`. Parts come in order. Where another offset is expected, `CommandResult.Request` has it as Detail. */
export enum UpdatePartField {
  /** u16, not 0. */
  Token = 2,
  /** u32. */
  Offset = 4,
  Part = 8,
}

export enum UpdateLimit {
  /** A part has a length and an offset that four divides, and lies within one step. */
  PartBytes = 208,
  StepBytes = 4096,
}

/** `Message.UpdateFinish`. Answered when the image is in the logbook, and will be tried. */
export enum UpdateFinishField {
  /** u16, not 0. */
  Token = 2,
  /** `ManifestField`: that of the begin. */
  Manifest = 4,
  Bytes = 132,
}

/** What an update says of its image, and what is signed. An image is linked for one of the two slots. */
export enum ManifestField {
  /** u32, "MTU1". */
  Magic = 0,
  /** u8, `Slot`; then a u8 0. */
  Slot = 4,
  /** u16, 1. */
  Format = 6,
  /** A text of at most 31 bytes; zeros up to 32. */
  Board = 8,
  /** u32 each, versions: of the image; the lowest that is taken once this one was confirmed; of the core in it. */
  Version = 40,
  Floor = 44,
  CoreVersion = 48,
  /** u32, bytes of the image: four divides it. */
  Length = 52,
  /** u64, Unix seconds: when it was built. */
  BuildUnixSeconds = 56,
  /** 32 bytes: the first of SHA-512 of the image. */
  ImageHash = 64,
  /** 32 bytes: SHA-256 of core.wasm. */
  CoreSha256 = 96,
  Bytes = 128,
}

export enum ManifestFormat {
  /** "MTU1" read as a little-endian u32. */
  Magic = 0x3155544d,
  Format = 1,
}

/** Why software is not taken. */
export enum UpdateRefusal {
  None = 0,
  /** The settings name no key for updates. */
  NoKey = 1,
  /** It is no manifest, or one of another format. */
  Manifest = 2,
  /** It is for another board. */
  Board = 3,
  /** It is linked for the slot that runs. */
  Slot = 4,
  /** It is longer than a slot, or four does not divide its length. */
  Length = 5,
  /** Its version, or the floor that it asks for, is below what is taken, or the floor is above the version. */
  Version = 6,
  /** The signature does not hold. */
  Signature = 7,
  /** What is in the slot is not what was signed. */
  Image = 8,
  /** There is no room in the logbook, or nobody to tell. */
  NotLogged = 9,
}

/** What can be written over the link. */
export enum Block {
  /** `ProgramField`: takes effect at its activation time, or at once. */
  Program = 1,
  /** `DynamicField`: replaces the one before, at once. */
  Dynamic = 2,
}

/** `Message.Release`. */
export enum ReleaseField {
  /** u8, `Ring.Logbook`. */
  Ring = 1,
  /** u16, not 0. */
  Token = 2,
  /** u32. */
  Sequence = 4,
  Bytes = 8,
}

/** `Message.Tariff`. */
export enum TariffField {
  /** u8, `TariffFlag` bits. */
  Flags = 1,
  /** u16, the tariff that applies; meaningless without `TariffFlag.Known`. */
  Tariff = 2,
  /** u16, the next one. */
  NextTariff = 4,
  /** i16, local time minus UTC, minutes. */
  OffsetMinutes = 6,
  /** i64 each, Unix seconds, 0 where not known: since when it applies, the next switch, the end of the registration period. */
  Since = 8,
  Next = 16,
  PeriodEnd = 24,
  /** i64, Unix seconds: activation time of the passive program; 0 without one. */
  PassiveActivation = 32,
  /** u32 each: newest entry of the record ring, oldest that is not delivered, newest of the logbook, of the network's ring. */
  RecordNewest = 40,
  RecordOldest = 44,
  LogNewest = 48,
  NetworkNewest = 52,
  /** u32, CRC-32 of the active program, 0 without one; of the dynamic tariffs. */
  ProgramCrc = 56,
  DynamicCrc = 60,
  /** i64, Unix seconds: end of the dynamic tariffs; 0 without. */
  DynamicEnd = 64,
  /** u8, status letter of a record made now: S, I, R or U; u8, PTB status; u8, DLMS clock status. */
  Letter = 72,
  PtbStatus = 73,
  DlmsStatus = 74,
  /** Two texts: names of the active and of the passive program. */
  Texts = 76,
}

export enum TariffFlag {
  /** A tariff applies. */
  Known = 1,
  /** The time is not good enough to bill by. */
  Doubtful = 2,
  /** The dynamic tariffs apply now. */
  Dynamic = 4,
  /** They have ended, and what the program says instead applies. */
  DynamicEnded = 8,
  /** Records are suspended, as the rules say. */
  Suspended = 16,
  /** The logbook is full. */
  LogbookFull = 32,
  /** No room for records: the broker has not acknowledged for too long. */
  RecordsFull = 64,
  /** Summer time. */
  Summer = 128,
}

/** Code of an event: what happened in the meter. `a` and `b` as said here, 0 where nothing is said. */
export enum MeterEvent {
  /** The meter started. a: `ResetCause`, b: trap code. */
  Started = 1,
  /** Settings are missing or damaged: nothing can be done until provisioned. a: `SettingsError`. */
  SettingsInvalid = 2,
  /** The seed for random bytes is missing or could not be replaced. */
  SeedInvalid = 3,
  /** Storage cannot be read or written; the meter tries again. a: offset. */
  StorageFailed = 4,
  /** The real-time clock gives holdover. a: bound ns. */
  RtcAccepted = 5,
  /** The real-time clock does not count. a: `RtcRefusal`. b: its Unix seconds. */
  RtcRefused = 6,
  /** The clock was set (stepped). a: step ns, 0 where there was no time before; b: bound ns. Text: server. */
  ClockSet = 7,
  /** First or regained synchronisation. a: bound ns. Text: server. */
  Synchronised = 8,
  /** Holdover began: no authenticated sample within the reach. a: bound ns. */
  Holdover = 9,
  /** NTS key establishment succeeded. a: AEAD, b: cookies. Text: NTS-KE host. */
  KeysEstablished = 10,
  /** NTS key establishment failed. a: `KeError`, b: code of the peer or `Failure`. Text: host. */
  KeFailed = 11,
  /** An NTP answer was refused. a: `Reject`. b: how often this happened since the last such event. Text: host. */
  AnswerRefused = 12,
  /** The server says that it cannot use our cookie (NTSN). Text: host. */
  Nak = 13,
  /** The certificate does not hold at the time obtained, which is not taken. a, b: notBefore and notAfter, Unix seconds. Text: host. */
  CertificateRefused = 14,
  /** Two authenticated samples contradict each other's bounds. a: gap ns. */
  BoundsDisagree = 15,
  /** The clock began to slew. a: correction ns. */
  ClockSlewed = 16,
  /** The server asked, authenticated, not to be polled any more. a: its kiss code, four ASCII bytes, the first the highest. Text: host. */
  SourceStopped = 17,
  /** The server asked, authenticated, for fewer polls. a: new poll interval, s. Text: host. */
  RateLimited = 18,
  /** Keys and cookies from before the start are in use. a: AEAD, b: cookies. Text: host. */
  KeysRestored = 19,
  /** After a NAK the keys of the other exporter context of AEAD 30 are tried. Text: host. */
  KeysSwitched = 20,
  /** A server contradicts the majority, or the clock where nothing outvotes it. a: gap ns. Text: host. */
  SourceDisagrees = 21,
  /** Fewer servers agree than are needed. a: how many agree, b: how many have to. */
  MajorityLost = 22,
  /** As many servers agree as are needed, at last or again. a, b as above. */
  MajorityReached = 23,
  /** The thermometer gives nothing that counts; told once until it does again. a: 1 where it answers. b: its answer then, thousandths of a degree Celsius. */
  ThermometerFailed = 24,
  /** The servers announce a leap second, or take it back. a: what UTC minus local time changes by, ns, 0 for taken back; b: the month's end, Unix seconds. */
  LeapAnnounced = 25,
  /** A leap second begins, or was begun too early and is undone. a: what UTC minus local time changes by, ns: -1 s where one is inserted; b: the month's end, Unix seconds. */
  LeapSecond = 26,
  /** What a server announced for the month's end is not what was done. a: its leap indicator, b: the month's end, Unix seconds. Text: host. */
  LeapDisagrees = 27,
  /** The profile refuses a correction: it waits for an operator or a restart. Told once. a: correction ns, b: the limit, ns. Text: host. */
  ClockRefused = 28,
  /** What was registered around now is not to be billed by. a: the correction, or what the day's add up to, ns; b: `Invalidity`. */
  PeriodsInvalid = 29,
  /** The last authenticated sample is older than the profile allows. a: its age ns, b: hours allowed. */
  HoldoverEnded = 30,
  /** A transaction was not ended; it counts as ended now. a: how long it ran, ns. */
  TransactionOverdue = 31,
  /** The settings are not those of the last start. a, b: first 8 bytes of the old and of the new SHA-512, big-endian. */
  SettingsChanged = 32,
  /** Core or image are not those of the last start. a, b: as above, of both hashes together. */
  SoftwareChanged = 33,
  /** A tariff program was stored. a: its CRC-32; b: its activation time, Unix seconds, 0 for at once. */
  ProgramStored = 34,
  /** A stored tariff program took effect. a: its CRC-32; b: its activation time. */
  ProgramActivated = 35,
  /** Dynamic tariffs were stored. a: CRC-32; b: their end, Unix seconds. */
  DynamicStored = 36,
  /** What the storage holds is not what was written. a: `Tampering`; b: sequence. */
  Tampered = 37,
  /** The logbook has no room: until an operator releases it, registration periods are what the settings say. a: newest sequence. */
  LogbookFull = 38,
  /** The operator released the logbook. a: up to this sequence. */
  LogbookReleased = 39,
  /** The records have no room. a: newest sequence; b: oldest that is not delivered. */
  RecordsFull = 40,
  /** Records are kept again. a: how many were lost. */
  RecordsResumed = 41,
  /** Frames on a sealed link were refused. a: `LinkRefusal`. b: how often this happened since the last such event. */
  LinkRefused = 42,
  /** Other software was accepted, and will be tried. a: its version, and below it (32 bits each) that of what runs; b: first 8 bytes of its hash, big-endian. */
  UpdateAccepted = 50,
  /** The software that was tried stays. a: its version; b: the lowest version that is taken from now on. */
  UpdateConfirmed = 51,
  /** The software that was accepted does not run, and what ran before does. a: both versions, as above; b: 1 where it was tried. */
  UpdateRolledBack = 52,
  /** Software was not taken. a: `UpdateRefusal`; b: how often this happened since the last such event. */
  UpdateRefused = 53,
}

/** Why a frame on a sealed link was refused. */
export enum LinkRefusal {
  /** It has no seal, or one that does not hold: somebody made or altered it, or it is of another session. */
  Forged = 1,
  /** Its counter is not above the last one: somebody sent it again, or it came too late. */
  Replayed = 2,
}

/** What is wrong with the storage. */
export enum Tampering {
  /** The records end before what was signed or delivered. b: sequence that there was at least. */
  RecordsCut = 1,
  /** The logbook ends before what was signed or released. b: sequence that there was at least. */
  LogbookCut = 2,
  /** An entry of the records does not hold. b: its sequence. */
  Record = 3,
  /** An entry of the logbook does not hold. */
  Logbook = 4,
  /** The entry that the head was signed for is another one (b: its sequence), or neither slot of the head holds (b: 0). */
  Head = 5,
  /** Neither slot of the mark holds: what was delivered and released is not known. */
  Mark = 6,
}

/** Why registration periods are invalid. */
export enum Invalidity {
  /** A correction above the profile's limit. */
  Correction = 1,
  /** The corrections of a day add up to more than its limit. */
  DayShift = 2,
  /** The clock was set more often in a day than the profile allows. */
  DayCount = 3,
  /** Holdover lasted longer than the profile allows. */
  Holdover = 4,
}

export enum RtcRefusal {
  Absent = 1,
  OscillatorStopped = 2,
  /** Storage holds no proof that an authenticated time set it. */
  NoProof = 3,
  /** It says a time before the last authenticated one. */
  BehindFloor = 4,
}

// ---------------------------------------------------------------- NTS and NTP

/** Why a key establishment failed. */
export enum KeError {
  None = 0,
  /** The gateway could not open the connection: b is a `Failure`. */
  Connection = 1,
  /** The server closed before End of Message (RFC 8915 4.1.1): the answer is cut off. */
  Truncated = 2,
  /** The server closed without any record. */
  Empty = 3,
  /** Error record 0, unrecognized critical record (RFC 8915 4.1.3). */
  PeerUnrecognizedCritical = 4,
  /** Error record 1, bad request. */
  PeerBadRequest = 5,
  /** Error record 2, internal server error. */
  PeerInternal = 6,
  /** Error record with a code not known here: b is the code. */
  PeerUnknown = 7,
  /** A warning record: none is defined, so it is an error (RFC 8915 4.1.4). b is the code. */
  Warning = 8,
  /** A critical record of a type not known here (RFC 8915 4.1.1). b is the type. */
  UnknownCritical = 9,
  /** Next Protocol record missing, repeated or not critical (RFC 8915 4.1.2). */
  NextProtocol = 10,
  /** The server does not serve NTPv4. */
  NoNtpv4 = 11,
  /** AEAD record missing, repeated or malformed (RFC 8915 4.1.5). */
  Aead = 12,
  /** The server has none of the AEADs offered: empty record. */
  NoCommonAead = 13,
  /** The server chose an AEAD that was not offered. b is the AEAD. */
  AeadNotOffered = 14,
  /** No cookie (RFC 8915 4.1.6). */
  NoCookies = 15,
  /** A cookie of length 0 or over 256 bytes. b is the length. */
  CookieLength = 16,
  /** Server or port record malformed (RFC 8915 4.1.7, 4.1.8). b is the type. */
  ServerRecord = 17,
  /** End of Message with a body or without its critical bit. */
  EndOfMessage = 18,
  /** Data after End of Message. */
  TrailingData = 19,
  /** The server chose another ALPN protocol or none. */
  Alpn = 20,
  /** Keys of the wrong length came from the gateway, or none. */
  Export = 21,
  /** No End of Message within the time or size allowed. */
  Timeout = 22,
  /** A record's body does not fit its type. b is the type. */
  Malformed = 23,
}

/** Why an NTP answer was refused. */
export enum Reject {
  None = 0,
  /** No request is open for this exchange: late or replayed. */
  Unexpected = 1,
  /** Shorter than a header, longer than a datagram, or extension fields that do not add up (RFC 7822). */
  Malformed = 2,
  /** Version or mode is not that of a server's answer. */
  Mode = 3,
  /** The origin timestamp is not our transmit timestamp. */
  Origin = 4,
  /** The unique identifier is missing or not ours (RFC 8915 5.3). */
  UniqueIdentifier = 5,
  /** No authenticator field (RFC 8915 5.6). */
  NoAuthenticator = 6,
  /** The authenticator does not hold. */
  Authentication = 7,
  /** The server says that it is not synchronised (leap 3, stratum 0 or above 15). */
  Unsynchronised = 8,
  /** Kiss-o'-Death, authenticated or not. */
  Kiss = 9,
  /** Root distance above the limit. */
  RootDistance = 10,
  /** The server's transmit time is before its receive time. */
  ServerTime = 11,
  /** The round trip is negative or took too long. */
  Delay = 12,
  /** A time before this software was built or before the time floor, or more than 40 years later. */
  BehindFloor = 13,
  /** NTSN: the server does not know our cookie. */
  Nak = 14,
  /** The server's time is before its own of an earlier answer, beyond what clocks may err. */
  Backwards = 15,
  /** Stratum, root delay or root dispersion above the settings' limits. */
  Limits = 16,
  /** The server's certificate does not hold at the time obtained. */
  Certificate = 17,
}

// ---------------------------------------------------------------- storage

/**
 * Map of the storage. Slots A and B are written in turn; the valid one with the higher count is in force, so a cut
 * write leaves the other.
 *
 *   0x000  settings  512   written by provisioning, only read by the core
 *   0x200  seed A     64   count u32, seed 32 bytes, zero, CRC-32 in the last four bytes
 *   0x240  seed B     64
 *   0x280  state A   256   count u32, sealed with the storage key (AES-SIV)
 *   0x380  state B   256
 *   0x480  reserves 960   for each server in use: keys, cookie, cookie, each sealed with the storage key; 280 bytes every
 *                         320, so that no two share a page of 64 bytes or less
 *   0x1380 update A   64   count u32, sealed with the storage key (AES-SIV): on boards with slots
 *   0x13c0 update B   64
 */
export enum StorageMap {
  Settings = 0x000,
  SettingsBytes = 512,
  SeedA = 0x200,
  SeedB = 0x240,
  SeedBytes = 64,
  StateA = 0x280,
  StateB = 0x380,
  StateBytes = 256,
  Reserves = 0x480,
  ReserveBytes = 960,
  ReservePartStride = 320,
  ReservePartBytes = 280,
  /** Smallest storage that a meter can have. */
  Bytes = 0x480,
  /** Storage with reserves for four servers. */
  FullBytes = 0x1380,
  UpdateA = 0x1380,
  UpdateB = 0x13c0,
  UpdateSlotBytes = 64,
  /** Smallest storage of a board whose software can be replaced. */
  UpdateBytes = 0x1400,
  /** Signed heads (`HeadField`), two slots in turn. */
  HeadA = 0x1400,
  HeadB = 0x1500,
  HeadSlotBytes = 0x100,
  /** Where the rings stand (`MarkField`), two slots in turn. */
  MarkA = 0x1600,
  MarkB = 0x1680,
  MarkBytes = 0x80,
  /** Dynamic tariffs (`DynamicField`), two slots in turn. */
  DynamicA = 0x1800,
  DynamicB = 0x1e00,
  DynamicSlotBytes = 0x600,
  /** Tariff programs (`ProgramField`), active and passive. */
  ProgramA = 0x2400,
  ProgramB = 0x2c00,
  ProgramSlotBytes = 0x800,
  /** Logbook: 256 entries. */
  Logbook = 0x4000,
  LogbookSlots = 256,
  /** What the network provokes: 64 entries, the oldest overwritten. */
  NetworkLog = 0xc000,
  NetworkLogSlots = 64,
  /** Records: all that is left, down to whole entries. */
  Records = 0xe000,
  EntryBytes = 0x80,
  /** Smallest storage with tariffs, logbook and records. */
  TariffBytes = 0x10000,
}

/** Rings of entries, each a chain of its own. */
export enum Ring {
  Records = 0,
  Logbook = 1,
  Network = 2,
}

/**
 * An entry of a ring, 128 bytes. That of sequence n is in slot n modulo the ring's slots; the first is 1. Body by
 * `Format`.
 */
export enum ChainField {
  /** u8, `Format`. */
  Format = 0,
  /** u32. */
  Sequence = 4,
  BodyBytes = 96,
  /** 16 bytes: the first of SHA-512 of the 128 bytes of the entry before; zeros for sequence 1. */
  Link = 96,
  /** 16 bytes: AES-CMAC of all before it under the record key, with the u8 `Ring` in front. */
  Seal = 112,
  Bytes = 128,
}

export enum Format {
  /** `RecordField`. */
  Record = 1,
  /** `ContextPartField`. */
  Context = 2,
  /** `LogField`. */
  Log = 3,
}

/** A record: what the meter measured, when, and how sure that is. */
export enum RecordField {
  /** u8, `RecordReason` bits. */
  Reasons = 1,
  /** u16, `RecordMark` bits. */
  Marks = 2,
  /** u32, sequence of the first part of the context that holds for this record. */
  Context = 8,
  /** u32, number of the transaction that runs, begins or ends; 0 without. */
  Transaction = 12,
  /** i64, UTC ns since 1970 at which the registers were read; 0 while unsynchronised. */
  CaptureUtcNs = 16,
  /** i64, Unix seconds at which they had to be read: end of the period, switch; 0 for a record that has none. */
  TargetUnixSeconds = 24,
  /** u32 each, µs, rounded up, saturated: expanded uncertainty (k = 2) and hard bound of the capture time. */
  UncertaintyUs = 32,
  BoundUs = 36,
  /** u32 each, ns, saturated: of the server's last answer. */
  RootDelayNs = 40,
  RootDispersionNs = 44,
  /** u32, s, saturated: age of the last authenticated sample; the largest value for never. */
  SampleAgeSeconds = 48,
  /** i16, local time minus UTC at the capture, minutes. */
  OffsetMinutes = 52,
  /** u16, the tariff that applied up to the capture. */
  Tariff = 54,
  /** u8, ASCII: S synchronised, I informative, R relative, U unsynchronised (OCMF). */
  Letter = 56,
  /** u8, DLMS clock status (Blue Book 4.1.6.1). */
  DlmsStatus = 57,
  /** u8: 0 ok, 1 warning, 2 temporary error, 3 critical temporary error, 4 fatal error. */
  PtbStatus = 58,
  /** u8, index of the server in the settings and context; 255 for none. */
  Server = 59,
  /** u8, `TimeFlag` bits. */
  TimeFlags = 60,
  /** u8, `ClockStatus`. */
  ClockStatus = 61,
  /** u8, how many readings follow. */
  Readings = 62,
  /** u8, registration period, minutes. */
  PeriodMinutes = 63,
  /** i64 each, four: the registers of the context; unused ones zero. */
  Values = 64,
}

/** Why a record was made; several may hold. */
export enum RecordReason {
  /** A registration period ended. */
  Period = 1,
  /** The tariff changed. */
  Switch = 2,
  TransactionBegin = 4,
  TransactionEnd = 8,
  /** The status letter or the PTB status changed. */
  Status = 16,
  /** The first record after a start. */
  Start = 32,
  /** The clock was set. */
  ClockSet = 64,
}

/** What the record's reader has to know. */
export enum RecordMark {
  /** The time was not good enough to bill by. */
  Doubtful = 1,
  /** In the period that ended, the clock was set or corrected beyond the rules. */
  PeriodInvalid = 2,
  /** The meter did not run through the whole period that ended. */
  PeriodIncomplete = 4,
  /** The application handed in no readings. */
  NoReadings = 8,
  /** The dynamic tariffs had ended; what the program says instead applied. */
  DynamicEnded = 16,
  /** There was no tariff program. */
  NoProgram = 32,
  /** The logbook was full. */
  LogbookFull = 64,
  /** Records before this one were lost, as there was no room. */
  RecordsLost = 128,
  /** Registers were read further from the target than a hundredth of the period. */
  Late = 256,
  /** A tariff switch was held back, as the time was not good enough. */
  SwitchHeld = 512,
}

/** Part of a context: 88 bytes of `ContextField` each, in order, one entry behind the other. */
export enum ContextPartField {
  /** u8 each: which part, from 0; how many there are. */
  Index = 1,
  Count = 2,
  Part = 8,
  PartBytes = 88,
}

/** What holds for all records until the next context. */
export enum ContextField {
  /** u16, bytes of the whole. */
  Length = 0,
  /** u8, 1. */
  Version = 2,
  /** u8: registers, servers. */
  Registers = 3,
  Servers = 4,
  /** u32, calibration's expanded uncertainty of the frequency (k = 2), ppb. */
  CalibrationUncertaintyPpb = 8,
  /** i64, Unix seconds: calibrated at, valid until; 0 without calibration. */
  CalibratedAt = 16,
  CalibratedUntil = 24,
  /** 32 bytes each: SHA-256 of core and image; the first 32 of SHA-512 of the settings without the root key, and of the active program from `Activation` to before its CRC-32 (zeros without one). */
  CoreSha256 = 32,
  ImageSha256 = 64,
  SettingsHash = 96,
  ProgramHash = 128,
  /** 32 bytes: Ed25519 public key that the heads are signed with. */
  PublicKey = 160,
  /** Four registers of 8 bytes: OBIS code (6 bytes), scale i8 (power of ten), unit u8 (DLMS unit). */
  RegisterList = 192,
  /** For each of four servers, 32 bytes: SHA-256 of its certificate; zeros where none was seen. */
  Fingerprints = 224,
  /** Texts: meter id, board, firmware version, calibration id, program name, then each server's name. */
  Texts = 352,
}

/** An entry of the logbook or of the network's ring. */
export enum LogField {
  /** u8, `Ring`. */
  Ring = 1,
  /** u16, `MeterEvent`. */
  Code = 2,
  /** u32, random at each start. */
  Boot = 8,
  /** u32, number of the event since the start. */
  EventSequence = 12,
  /** i64 each, as in `EventField`. */
  UtcNs = 16,
  UptimeNs = 24,
  A = 32,
  B = 40,
  /** One text of at most 45 bytes. */
  Texts = 48,
  /** u16, of the logbook, saturated: events before this one that were left to the network's ring, as there were too many or there was no room. */
  LeftOut = 94,
}

/** A signed head: the newest entries of records and logbook. Its first bytes are the storage's alone. */
export enum HeadField {
  /** u32, counts the heads; the storage's slot with the higher one is in force. */
  Count = 0,
  /** u32, "MTH1". What is signed begins here. */
  Magic = 4,
  /** u32 each: newest entry of the records, of the logbook. */
  RecordSequence = 8,
  LogSequence = 12,
  /** i64, UTC ns; 0 while unsynchronised. */
  UtcNs = 16,
  /** 32 bytes each: the first of SHA-512 of the 128 bytes of these entries; zeros where there is none. */
  RecordHash = 24,
  LogHash = 56,
  /** A text: the meter's id; zeros up to 36 bytes. */
  MeterId = 88,
  /** 64 bytes: Ed25519 (RFC 8032 5.1) of all from `Magic` up to here. */
  Signature = 124,
  Bytes = 188,
  /** u32, CRC-32 over all before it, in the storage. */
  Crc = 188,
  StoredBytes = 192,
}

export enum HeadFormat {
  /** "MTH1" read as a little-endian u32. */
  Magic = 0x3148544d,
}

/** Where the rings stand; what is not here is found in the rings. */
export enum MarkField {
  /** u32, counts the marks; the slot with the higher one is in force. */
  Count = 0,
  /** u32: the broker has acknowledged all records up to this one. */
  Delivered = 4,
  /** u32: an operator has released the logbook up to this one. */
  Released = 8,
  /** u32, sequence of the first part of the context in force, 0 for none; 16 bytes, the first of SHA-512 of it. */
  Context = 12,
  ContextHash = 16,
  /** u32, number of the last transaction; bit 31 as long as it runs. */
  Transaction = 32,
  /** u32, sequence of the record of its begin: without that, the transaction never began. */
  TransactionFrom = 36,
  /** 8 bytes each: the first of SHA-512 of settings, and of software, of the last start. */
  Settings = 40,
  Software = 48,
  /** i64, Unix seconds of the last tariff switch; u16, that tariff; u16, 1 where they are known. */
  SwitchUnixSeconds = 56,
  Tariff = 64,
  TariffKnown = 66,
  /** u32, sequence of the first record that it holds after: without that, the tariff before does. */
  TariffFrom = 68,
  /** The same of the switch before: `TariffBytes` from `SwitchUnixSeconds` on. */
  Before = 72,
  TariffBytes = 12,
  /** 16 bytes: AES-CMAC of all before it under the record key, with a u8 255 in front. */
  Seal = 112,
}

/** A tariff program: legal time and calendar, after DLMS/COSEM (classes 8, 20, 11). */
export enum ProgramField {
  /** u32, "MTP1". */
  Magic = 0,
  /** u16, bytes of the whole, CRC-32 included. */
  Length = 4,
  /** u16. */
  Version = 6,
  /** u32, counts the programs stored: set by the core, which then computes the CRC-32 anew. */
  Count = 8,
  /** i64, Unix seconds below 2^32; 0 for at once. */
  Activation = 16,
  /** A text of at most 23 bytes. */
  Name = 24,
  /** u16: where no season, week or action says one. */
  DefaultTariff = 48,
  /** u8, `DynamicFallback`. */
  Fallback = 50,
  /** u8 each: how many there are. */
  Seasons = 51,
  Weeks = 52,
  Days = 53,
  SpecialDays = 54,
  Scripts = 55,
  /** u16, of `DynamicFallback.Tariff`. */
  FallbackTariff = 56,
  /** u8, `ZoneKind`; u8, transitions of a list. */
  Zone = 58,
  Transitions = 59,
  /** Zone, scripts, seasons, weeks, days, special days; then CRC-32 over all before it. */
  Items = 64,
}

export enum ProgramFormat {
  /** "MTP1" read as a little-endian u32. */
  Magic = 0x3150544d,
  /** "MTPR": in the place of the magic, where another program took effect instead; then that one's CRC-32. */
  Replaced = 0x5250544d,
  Version = 1,
  /** How many of each fit. */
  SeasonsMax = 12,
  WeeksMax = 12,
  DaysMax = 16,
  ActionsMax = 8,
  SpecialDaysMax = 64,
  ScriptsMax = 16,
  TransitionsMax = 64,
}

/** What applies after the last of the dynamic tariffs. */
export enum DynamicFallback {
  Calendar = 0,
  /** The last of them. */
  Keep = 1,
  /** A tariff of its own. */
  Tariff = 2,
}

export enum ZoneKind {
  /** `ZoneRuleField`: a rule for all years (POSIX TZ). */
  Rule = 0,
  /** `ZoneListField`: transitions. */
  List = 1,
}

export enum ZoneRuleField {
  /** i32 each, s, local time minus UTC: standard, and summer time; both alike where there is no summer time. */
  StandardSeconds = 0,
  SummerSeconds = 4,
  /** `ZoneDayField` each: when summer time begins (by standard time) and ends (by summer time). */
  Begin = 8,
  End = 16,
  Bytes = 24,
}

/** A day of each year, and the time of day at which the offset changes. */
export enum ZoneDayField {
  /** u8, `ZoneDayKind`. */
  Kind = 0,
  /** u8 each, of `MonthWeekDay`: month 1 to 12, week 1 to 5 (5: the last), weekday 0 (Sunday) to 6. */
  Month = 1,
  Week = 2,
  Weekday = 3,
  /** u16, of the other kinds. */
  DayOfYear = 2,
  /** i32, s after the day's begin, -604,799 to 604,799. */
  TimeSeconds = 4,
}

export enum ZoneDayKind {
  /** POSIX Mm.w.d. */
  MonthWeekDay = 0,
  /** POSIX Jn: 1 to 365, 29 February is never counted. */
  Julian = 1,
  /** POSIX n: 0 to 365. */
  ZeroBased = 2,
}

export enum ZoneListField {
  /** i16, minutes: local time minus UTC before the first transition; u8, 1 for summer time. */
  OffsetMinutes = 0,
  Summer = 2,
  /** Transitions: u32 Unix seconds, in ascending order, then as above; 8 bytes each. */
  Transitions = 4,
  TransitionBytes = 8,
  TransitionOffsetMinutes = 4,
  TransitionSummer = 6,
}

/** 10 bytes. */
export enum ScriptField {
  /** 6 bytes, logical name of the script table. */
  LogicalName = 0,
  /** u16. */
  Selector = 6,
  /** u16, the tariff that this script stands for. */
  Tariff = 8,
  Bytes = 10,
}

/** 10 bytes. Wildcards and special values as in DLMS/COSEM dates. */
export enum SeasonField {
  /** u16; 0xffff for each year. */
  Year = 0,
  /** u8: 1 to 12; 0xfd end, 0xfe begin of summer time. */
  Month = 2,
  /** u8: 1 to 31; 0xfe last, 0xfd second last day of the month. */
  Day = 3,
  /** u8: 1 (Monday) to 7, 0xff any; else the first such day at or after Day, or the last, or second last, of the month. */
  Weekday = 4,
  /** u8 each. */
  Hour = 5,
  Minute = 6,
  Second = 7,
  /** u8, index of the week. */
  Week = 8,
  Bytes = 10,
}

/** Indices of days, Monday first, u8 each; 8 bytes. */
export enum WeekField {
  Days = 0,
  Bytes = 8,
}

/** A day: at least one action, in ascending order of time. */
export enum DayField {
  /** u8, id in DLMS/COSEM. */
  Id = 0,
  /** u8. */
  Actions = 1,
  /** u8 each: hour, minute, second, index of the script. */
  List = 2,
  ActionBytes = 4,
}

/** 6 bytes; the first that fits a date counts. */
export enum SpecialDayField {
  /** u16; 0xffff for each year. */
  Year = 0,
  /** u8 each, as in `SeasonField`; 0xff any month, any day. */
  Month = 2,
  Day = 3,
  Weekday = 4,
  /** u8, index of the day. */
  DayIndex = 5,
  Bytes = 6,
}

export enum ProgramError {
  None = 0,
  /** No program, or one of another version. */
  Absent = 1,
  /** CRC-32 or lengths do not hold, or the name is no UTF-8. */
  Damaged = 2,
  /** More of something than fits. */
  TooMany = 3,
  /** Zone: offset beyond a day, day of the year, or transitions out of order. */
  Zone = 4,
  /** A date or time of day that cannot be. */
  Date = 5,
  /** An index of a week, day or script that there is not. */
  Index = 6,
  /** A day without an action, or actions out of order. */
  Actions = 7,
}

/** Dynamic tariffs: absolute switch times. */
export enum DynamicField {
  /** u32, "MTD1". */
  Magic = 0,
  /** u16, bytes of the whole, CRC-32 included; u16, how many there are, 0 to take them back. */
  Length = 4,
  Entries = 6,
  /** u32, as in `ProgramField`. */
  Count = 8,
  /** u32, Unix seconds: end of the last one. */
  End = 12,
  /** Each: u32 Unix seconds in ascending order, u16 tariff. Then CRC-32 over all before it. */
  List = 16,
  EntryBytes = 6,
}

export enum DynamicFormat {
  /** "MTD1" read as a little-endian u32. */
  Magic = 0x3144544d,
  EntriesMax = 192,
}

/** Seed slot. */
export enum SeedField {
  Count = 0,
  Seed = 4,
  /** CRC-32 (IEEE 802.3) over all before it. */
  Crc = 60,
}

/**
 * Settings block: magic u32 ("MTS1"), version u16, bytes of items u16, items, CRC-32 over all before it.
 * An item is tag u8, length u8, value.
 */
export enum SettingsField {
  Magic = 0,
  Version = 4,
  ItemsBytes = 6,
  Items = 8,
}

export enum SettingsFormat {
  /** "MTS1" read as a little-endian u32. */
  Magic = 0x3153544d,
  Version = 1,
}

/** Items of the settings block. An unknown tag with bit 7 set is skipped; without it, the settings are refused. */
export enum SettingsTag {
  /** Text of 1 to 32 bytes: letters, digits, dot, dash, underscore. Required. */
  MeterId = 1,
  /** 16 bytes. Required. */
  RootKey = 2,
  /** port u16, then the name of an NTS-KE server (1 to 63 bytes). 1 to 4 of them; those beyond the core's maximum stand in for others that fail. */
  Server = 3,
  /** u8, `TrustPolicy` bits. Required. */
  TrustPolicy = 4,
  /** Shortest and longest poll interval: u16 each, s. */
  Poll = 5,
  /** Interval of time reports: u16, s. */
  ReportSeconds = 6,
  /** AEADs offered, u8 each, the preferred one first: 1 to 4 of 15, 16, 17, 30. Default: 30, 15, 16, 17. */
  Aeads = 7,
  /** Age at which keys are replaced: u16, hours, 1 or more. Default: 672 (4 weeks). */
  KeyAgeHours = 8,
  /** Servers that have to agree: u8, 1 to 4; 0, the default: more than half of those in use. */
  Agreement = 9,
  /** After a start that is not the first, a key establishment waits a random time up to this: u16, s. Default: 300. */
  SpreadSeconds = 10,
  /** Largest stratum u8 (1 to 15), root delay u16 ms, root dispersion u16 ms that a server may have. Default: 15, 3000, 1500. */
  Limits = 11,
  /** Share of the smallest delay that may be one-sided: u8, percent, 0 to 100. Default: 100. */
  Asymmetry = 12,
  /** `ProfileField`: what may be done with corrections of the clock. Default: 50, 10, 9000, 0, 9000, 0, 0, 0. */
  Profile = 13,
  /** `TariffRulesField`: registration periods, and what time is good enough. Default: 15, 0, 0, 0, 1000, 9000. */
  TariffRules = 14,
  /** `CalibrationField`: of the meter's clock. Without it no record ever has status S. */
  Calibration = 15,
  /** 8 bytes, up to four times: OBIS code (6 bytes), scale i8 (power of ten), unit u8 (DLMS unit) of a register. */
  Register = 16,
  /** 32 bytes: Ed25519 public key that updates of the software have to be signed with; without it, all are refused. Boards without slots pass it over. */
  UpdateKey = 0x91,
}

/** What is recorded, and what time is good enough for it. */
export enum TariffRulesField {
  /** u8, minutes: a divisor of 60; 0: no periods. */
  PeriodMinutes = 0,
  /** u8, `DoubtRule`. */
  Doubt = 1,
  /** u8, `LogFullRule`. */
  LogFull = 2,
  /** u8, 0. */
  Reserved = 3,
  /** u32 each, ms: uncertainty (k = 2) and hard bound above which the time is not good enough; 0: no limit. */
  UncertaintyMaxMs = 4,
  BoundMaxMs = 8,
  Bytes = 12,
}

/** What happens while the time is not good enough to bill by; records are marked in any case. */
export enum DoubtRule {
  /** Tariffs go on switching by the time that there is. */
  Switch = 0,
  /** The last tariff is kept. */
  Keep = 1,
  /** The last tariff is kept, and no records of periods are made. */
  Suspend = 2,
}

/** What a full logbook means. */
export enum LogFullRule {
  /** Registration periods are invalid. */
  Invalid = 0,
  /** They are marked only. */
  Mark = 1,
}

/** The calibration of the meter's clock. */
export enum CalibrationField {
  /** i64, Unix seconds: calibrated at, valid until. */
  At = 0,
  Until = 8,
  /** u32, expanded uncertainty of the frequency (k = 2), ppb. */
  UncertaintyPpb = 16,
  /** Text of 1 to 32 bytes: id of the calibration or certificate. */
  Id = 20,
}

/** Rules for the clock; all but the first two are off where they are 0. */
export enum ProfileField {
  /** u32 ms, up to 20,000: a correction up to this is slewed, above it the clock is set. */
  SlewMaxMs = 0,
  /** u32 ms, no more than the one before: a correction up to this is slewed without an event. */
  SilentMaxMs = 4,
  /** u32 ms, up to 1,000,000 as those that follow: a correction above this makes registration periods invalid. */
  InvalidMs = 8,
  /** u32 ms, 0 or no less than SlewMaxMs: a correction above this is refused. */
  RefuseMs = 12,
  /** u32 ms: corrections that add up to more than this in a day make registration periods invalid. */
  DayLimitMs = 16,
  /** u16, hours without an authenticated sample after which the time is not to be billed by. */
  HoldoverHours = 20,
  /** u8: when the clock is set more often in a day than this, registration periods are invalid. */
  DayLimitCount = 22,
  /** u8, `TransactionRule`. */
  Transaction = 23,
  Bytes = 24,
}

/** What happens to corrections while a transaction runs. */
export enum TransactionRule {
  /** All wait: the clock goes on at the rate it had. */
  Hold = 0,
  /** It is slewed; what is too large for that waits. */
  Slew = 1,
}

export enum TrustPolicy {
  /** Without any trusted time, one key establishment may ignore certificate dates; they are checked at the time it leads to. */
  FirstDatesUnchecked = 1,
  /** The link is sealed under the link key, and never open. */
  SealedLink = 2,
}

export enum SettingsError {
  None = 0,
  /** The storage holds no settings block. */
  Absent = 1,
  Version = 2,
  /** CRC-32 or lengths do not hold. */
  Damaged = 3,
  /** An item is missing, doubled, unknown or out of range. */
  Item = 4,
}
