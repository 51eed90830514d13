// Frames of the link made and read without the core: a second implementation of the layout in as/link/layout.ts, of
// COBS and of CRC-32, to say things to an end that the core would not say, and to read what it says.
import type { Channel } from '../../as/abi/codes.ts';
import {
  AnswerField,
  Control,
  FrameField,
  FrameSize,
  HelloField,
  OpenField,
  StatusField,
} from '../../as/link/layout.ts';
import type { LinkExports } from './link-core.ts';

const crcTable = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  return crc;
});

export function crc32(bytes: Uint8Array): number {
  let crc = ~0;
  for (const byte of bytes) crc = (crc >>> 8) ^ crcTable[(crc ^ byte) & 255]!;
  return ~crc >>> 0;
}

/** Without delimiters. */
export function cobsEncode(data: Uint8Array): Uint8Array {
  const blocks: number[] = [];
  let block: number[] = [];
  for (const byte of [...data, 0]) {
    if (byte !== 0) {
      block.push(byte);
      continue;
    }
    blocks.push(block.length + 1, ...block);
    block = [];
  }
  return Uint8Array.from(blocks);
}

export function cobsDecode(encoded: Uint8Array): Uint8Array {
  const data: number[] = [];
  for (let at = 0; at < encoded.length; at += encoded[at]!) {
    data.push(...encoded.subarray(at + 1, at + encoded[at]!), 0);
  }
  return Uint8Array.from(data.slice(0, -1));
}

export interface Frame {
  readonly version: number;
  readonly channel: number;
  readonly flags: number;
  readonly keyId: number;
  readonly credit: number;
  readonly counter: number;
  readonly session: number;
  readonly sequence: number;
  readonly acknowledge: number;
  readonly payload: Uint8Array;
}

/** A frame to be said: what is not given is as in a quiet session. */
export type Spoken = Partial<Omit<Frame, 'payload'>> & { readonly payload: ArrayLike<number> };

/** What goes between two zeros. */
export function encodeFrame(frame: Spoken): Uint8Array {
  const decoded = new Uint8Array(FrameField.Payload + frame.payload.length + 4);
  const view = new DataView(decoded.buffer);
  view.setUint8(FrameField.VersionChannel, ((frame.version ?? FrameSize.Version) << 4) | (frame.channel ?? 0));
  view.setUint8(FrameField.Flags, frame.flags ?? 0);
  view.setUint8(FrameField.KeyId, frame.keyId ?? 0);
  view.setUint8(FrameField.Credit, frame.credit ?? 4);
  view.setUint32(FrameField.Counter, frame.counter ?? 0, true);
  view.setUint16(FrameField.Session, frame.session ?? 0, true);
  view.setUint8(FrameField.Sequence, frame.sequence ?? 0);
  view.setUint8(FrameField.Acknowledge, frame.acknowledge ?? 0);
  decoded.set(frame.payload, FrameField.Payload);
  view.setUint32(decoded.length - 4, crc32(decoded.subarray(0, -4)), true);
  return cobsEncode(decoded);
}

/** Reads a frame with its delimiters; throws when it is not as it should be. */
export function decodeFrame(bytes: Uint8Array): Frame {
  if (bytes.length > 256) throw new Error(`a frame of ${bytes.length} bytes`);
  if (bytes[0] !== 0 || bytes.at(-1) !== 0 || bytes.subarray(1, -1).includes(0)) throw new Error('delimiters');
  const decoded = cobsDecode(bytes.subarray(1, -1));
  const view = new DataView(decoded.buffer);
  if (view.getUint32(decoded.length - 4, true) !== crc32(decoded.subarray(0, -4))) throw new Error('CRC');
  return {
    version: decoded[0]! >> 4,
    channel: decoded[0]! & 15,
    flags: decoded[FrameField.Flags]!,
    keyId: decoded[FrameField.KeyId]!,
    credit: decoded[FrameField.Credit]!,
    counter: view.getUint32(FrameField.Counter, true),
    session: view.getUint16(FrameField.Session, true),
    sequence: decoded[FrameField.Sequence]!,
    acknowledge: decoded[FrameField.Acknowledge]!,
    payload: decoded.slice(FrameField.Payload, -4),
  };
}

/** Of an open link; a hello is of a meter without a name. */
export function openPayload(kind: Control.Hello | Control.Answer, nonce: number, credits = [4, 4]): Uint8Array {
  const payload = new Uint8Array(kind === Control.Hello ? HelloField.Meter + 1 : AnswerField.Proof);
  payload.set([kind, FrameSize.Version, ...credits]);
  new DataView(payload.buffer).setUint32(OpenField.Nonce, nonce, true);
  return payload;
}

export function statusPayload(status: { flags?: number; stream?: [number, number]; report?: [number, number] } = {}) {
  const payload = new Uint8Array(StatusField.Bytes);
  payload.set([Control.Status, status.flags ?? 0, ...(status.stream ?? [0, 4]), ...(status.report ?? [0, 4])]);
  return payload;
}

/** Tells one end what a test wants it to hear, and reads what it says; `ms` is its time. */
export class Script {
  ms = 0;
  /** How long each frame of the end takes on the line. */
  frameMs = 1;

  constructor(
    readonly core: LinkExports,
    gateway: boolean,
    seed = 1,
  ) {
    core.linkStart(gateway ? 1 : 0, 1_000_000, seed);
  }

  get now(): bigint {
    return BigInt(Math.round(this.ms * 1000));
  }

  /** Gives the end what came between two zeros, during the last half millisecond; returns a message it completes. */
  hear(encoded: Uint8Array): Uint8Array | undefined {
    const { core, now } = this;
    this.ms += 1;
    const memory = new Uint8Array(core.memory.buffer);
    memory.set(encoded, core.scratch());
    if (core.linkReceive(core.scratch(), encoded.length, now + 500n, this.now, this.now) === 0) return undefined;
    return memory.slice(core.linkMessage(), core.linkMessage() + core.linkMessageLength());
  }

  hearFrame(frame: Spoken): Uint8Array | undefined {
    return this.hear(encodeFrame({ session: this.core.linkSession(), ...frame }));
  }

  send(channel: Channel, message: ArrayLike<number>): boolean {
    const at = this.core.scratch() + 1024;
    new Uint8Array(this.core.memory.buffer).set(message, at);
    return this.core.linkSend(channel, at, message.length) !== 0;
  }

  /** The frame that is due now; it stays outstanding. */
  poll(): Frame | undefined {
    const length = this.core.linkPoll(this.now);
    if (length === 0) return undefined;
    return decodeFrame(new Uint8Array(this.core.memory.buffer, this.core.linkFrame(), length).slice());
  }

  sent(): void {
    this.ms += this.frameMs;
    this.core.linkFrameSent(this.now);
  }

  /** All frames that are due now, one after the other, until the line is idle. */
  frames(): Frame[] {
    const frames: Frame[] = [];
    for (let frame = this.poll(); frame !== undefined; frame = this.poll()) {
      frames.push(frame);
      this.sent();
      if (frames.length > 100) throw new Error('the end does not stop sending');
    }
    return frames;
  }

  /** Goes on to the end's deadline and returns the first frame that it then sends, within `limitMs`. */
  next(limitMs = 60_000): Frame | undefined {
    const limit = this.ms + limitMs;
    for (;;) {
      const frame = this.poll();
      if (frame !== undefined) {
        this.sent();
        return frame;
      }
      const deadline = Number(BigInt.asUintN(64, this.core.linkDeadline())) / 1000;
      if (deadline > limit) {
        this.ms = limit;
        return undefined;
      }
      if (deadline <= this.ms) throw new Error('a deadline that does not lie ahead');
      this.ms = deadline;
    }
  }

  /** Brings a session up by playing the other end, and reads all that it has to say then. */
  open([stream, report]: [number, number] = [4, 4]): Frame[] {
    const credits = [stream, report];
    const status = statusPayload({ stream: [0, stream], report: [0, report] });
    if (this.core.linkUp() !== 0) throw new Error('a session stands already');
    const first = this.next();
    if (first?.payload[0] === Control.Call) {
      this.hear(encodeFrame({ payload: openPayload(Control.Hello, 77, credits) }));
      const answer = this.frames().find((frame) => frame.payload[0] === Control.Answer)!;
      this.hear(encodeFrame({ session: answer.session, payload: status }));
    } else {
      const nonce = new DataView(first!.payload.buffer).getUint32(OpenField.Nonce, true);
      this.hear(encodeFrame({ session: 4711, payload: openPayload(Control.Answer, nonce, credits) }));
      const frames = this.frames();
      this.hearFrame({ payload: status });
      return [...frames, ...this.frames()];
    }
    return this.frames();
  }
}
