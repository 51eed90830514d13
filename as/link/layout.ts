// Byte layouts of the link: header of a frame, payloads of the control channel. Nothing but numbers, so that tests
// can read them too. All integers are little-endian.

/**
 * A frame before COBS and between its delimiters.
 *
 *    0  version (high 4 bits) | channel (low 4 bits)
 *    1  flags
 *    2  key id
 *    3  credit
 *    4  counter, u32
 *    8  session, u16
 *   10  sequence
 *   11  acknowledge
 *   12  payload, 1 to 237 bytes: open; or tag (16 bytes) and ciphertext; or a piece, of a message with a tag behind it
 *       CRC-32 over all before it, u32
 */
export enum FrameField {
  VersionChannel = 0,
  /** `FrameFlag`. */
  Flags = 1,
  /** `FrameKey`. */
  KeyId = 2,
  /** Stream and report: frames from `Acknowledge` on that the sender will take on this channel; 0 counts as 1. */
  Credit = 3,
  /** Of a sealed session: frames sent in it, from 1 on; else 0. */
  Counter = 4,
  Session = 8,
  /** Time, stream and report: each channel and direction counts from 0 in a new session, modulo 256. */
  Sequence = 10,
  /** Stream and report: sequence that the sender expects next on this channel. */
  Acknowledge = 11,
  Payload = 12,
}

/** How a frame is sealed. */
export enum FrameKey {
  Open = 0,
  /** Tag and ciphertext of AES-SIV-CMAC-256, with the header as associated data. */
  Sealed = 1,
  /** Time channel: part of a message that is readable, with a tag behind it, in the last of its frames (seal.ts). */
  Tagged = 2,
}

export enum FrameSize {
  Version = 2,
  CrcBytes = 4,
  PayloadBytes = 237,
  SealBytes = 16,
  /** Behind a readable message: what fits one frame together with a request that has a cookie of 100 bytes; and from a gateway. */
  MeterTagBytes = 5,
  GatewayTagBytes = 8,
  /** Header, payload and CRC. With at most 254 bytes COBS adds exactly one, in front. */
  DecodedBytes = 253,
  /** Between the delimiters: one byte of payload, and 237. */
  EncodedLeastBytes = 18,
  EncodedBytes = 254,
}

export enum FrameFlag {
  /** Time channel: first and last piece of a message; one that fits one frame has both. */
  First = 1,
  Last = 2,
  /** With a key id: the gateway sent it. */
  Gateway = 4,
}

/** First byte of a control frame's payload. */
export enum Control {
  /** Meter to gateway, header's session 0: the meter wants a session. `OpenField`, then `HelloField`. */
  Hello = 1,
  /** Gateway to meter, header's session is that of the new session: `OpenField` with the nonce of the hello, then `AnswerField`. */
  Answer = 2,
  /** Gateway to meter, no more payload. Header's session: this one is not known, open a new one; 0: say something. */
  Call = 3,
  /** Both ways: `StatusField`. */
  Status = 4,
}

export enum OpenField {
  Kind = 0,
  /** u8. Hello: the highest version that the meter speaks; answer: the one that is spoken from now on. */
  Version = 1,
  /** u8 each: credit of the sender at the start of the session. */
  StreamCredit = 2,
  ReportCredit = 3,
  /** u64. Another one for each session that a meter asks for. */
  Nonce = 4,
  Bytes = 12,
}

export enum HelloField {
  /** u8, 1: the link is to be sealed. */
  Sealed = 12,
  /** Text of up to 32 bytes: the meter's id. Behind it, where the link is to be sealed, the proof, 16 bytes. */
  Meter = 13,
  MostBytes = 62,
}

export enum AnswerField {
  /** u64. Another one for each session that a gateway offers. */
  Nonce = 12,
  /** 16 bytes, of a session that is sealed. */
  Proof = 20,
  SealedBytes = 36,
}

export enum StatusField {
  Kind = 0,
  /** u8, `StatusFlag` bits. */
  Flags = 1,
  /** u8 each, as in the header of a frame on that channel. */
  StreamAcknowledge = 2,
  StreamCredit = 3,
  ReportAcknowledge = 4,
  ReportCredit = 5,
  Bytes = 6,
}

export enum StatusFlag {
  /** The frame expected next is missing: send from there on again. */
  RejectStream = 1,
  RejectReport = 2,
  /** Whoever has this session says a status, too. */
  Ask = 4,
}

/** Longest message that a meter sends on the stream channel: what it asks of its gateway. */
export const REQUEST_MAX_BYTES = 160;

/** Largest message on the time channel that a meter's end sends or puts together: 1,024 bytes of NTP and their header. */
export const METER_DATAGRAM_BYTES = 1036;

/** How many frames an end takes on a channel before it has acknowledged the first of them. */
export enum Credit {
  /** The meter's driver has 4 receive buffers; all of a window must fit them even while the core is busy. */
  MeterStream = 3,
  MeterReport = 1,
  GatewayStream = 4,
  GatewayReport = 4,
}
