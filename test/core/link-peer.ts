// The other end of a sealed link, written a second time from docs/protocol.md on OpenSSL's AES and @noble/ciphers: it opens
// what the core says, and says what the core would not.
import { aessiv } from '@noble/ciphers/aes.js';
import { Channel } from '../../as/abi/codes.ts';
import { Control, FrameFlag, FrameKey, FrameSize } from '../../as/link/layout.ts';
import { cobsDecode, cobsEncode, crc32, type Frame, type Script, type Spoken } from './link-wire.ts';
import { aesBlocks, deriveKey, sivSeal } from './openssl-reference.ts';

const text = (value: string) => Buffer.from(value, 'latin1');

/** A header, 12 bytes. */
function headerOf(frame: Omit<Frame, 'payload' | 'version'>): Buffer {
  const header = Buffer.alloc(12);
  header[0] = (FrameSize.Version << 4) | frame.channel;
  header[1] = frame.flags;
  header[2] = frame.keyId;
  header[3] = frame.credit;
  header.writeUInt32LE(frame.counter, 4);
  header.writeUInt16LE(frame.session, 8);
  header[10] = frame.sequence;
  header[11] = frame.acknowledge;
  return header;
}

function onLine(bytes: Uint8Array): Uint8Array {
  const crc = Buffer.alloc(4);
  crc.writeUInt32LE(crc32(bytes));
  return cobsEncode(Buffer.concat([bytes, crc]));
}

/** The proof that a frame carries of the link key, over all before it. */
const proof = (key: Uint8Array, label: string, frame: Uint8Array) => deriveKey(key, text(label), frame, 16);

const plain = { flags: 0, keyId: 0, credit: 0, counter: 0, sequence: 0, acknowledge: 0, channel: Channel.Control };

/** A hello as between two zeros; without a key, of an open link. */
export function helloBytes(meter: string, nonce: bigint, key?: Uint8Array): Uint8Array {
  const payload = Buffer.concat([
    Buffer.from([Control.Hello, FrameSize.Version, 3, 1]),
    Buffer.alloc(8),
    Buffer.from([key === undefined ? 0 : 1, meter.length]),
    text(meter),
  ]);
  payload.writeBigUInt64LE(nonce, 4);
  const frame = Buffer.concat([headerOf({ ...plain, session: 0 }), payload]);
  return onLine(key === undefined ? frame : Buffer.concat([frame, proof(key, 'hello', frame)]));
}

/** What both ends of a session know. */
export class SealedSession {
  readonly #keys: Buffer;
  sent = 0;
  /** Counter of each frame that was opened, in order. */
  readonly counters: number[] = [];

  /** @param offer the answer's frame up to its proof */
  constructor(
    readonly gateway: boolean,
    readonly number: number,
    linkKey: Uint8Array,
    offer: Uint8Array,
  ) {
    this.#keys = deriveKey(linkKey, text('session'), offer, 48);
  }

  /** A sealed frame of this end, between two zeros. */
  seal(frame: Spoken): Uint8Array {
    const header = headerOf({
      ...{ channel: Channel.Control, credit: 4, sequence: 0, acknowledge: 0, session: this.number },
      ...frame,
      flags: (frame.flags ?? 0) | (this.gateway ? FrameFlag.Gateway : 0),
      keyId: frame.keyId ?? FrameKey.Sealed,
      counter: frame.counter ?? ++this.sent,
    });
    const sealed = sivSeal(this.#keys.subarray(0, 32), [header], Uint8Array.from(frame.payload));
    return onLine(Buffer.concat([header, sealed]));
  }

  /** A readable message, in pieces of `most` bytes, each as between two zeros. */
  tagged(message: Uint8Array, most: number, sequence: number): Uint8Array[] {
    const frames: Uint8Array[] = [];
    for (let at = 0; at < message.length; at += most) {
      const last = at + most >= message.length;
      const flags = (at === 0 ? FrameFlag.First : 0) | (last ? FrameFlag.Last : 0) | FrameFlag.Gateway;
      const counter = ++this.sent;
      const header = headerOf({
        ...{ ...plain, channel: Channel.Time, flags, keyId: FrameKey.Tagged, counter },
        ...{ session: this.number, sequence: sequence + frames.length },
      });
      const tag = last ? this.tagOf(header, message).subarray(0, 8) : Buffer.alloc(0);
      frames.push(onLine(Buffer.concat([header, message.subarray(at, at + most), tag])));
    }
    return frames;
  }

  tagOf(header: Uint8Array, message: Uint8Array): Buffer {
    const length = Buffer.alloc(4);
    length.writeUInt32LE(message.length);
    const first = Buffer.concat([header.subarray(0, 8), length, message.subarray(0, 4)]);
    const second = Buffer.concat([message.subarray(4, 12), message.subarray(-8)]);
    const key = this.#keys.subarray(32);
    const inner = aesBlocks(key, first);
    return aesBlocks(key, Buffer.from(inner.map((byte, i) => byte ^ second[i]!)));
  }

  /** The text of a frame of the other end. @throws where its seal does not hold */
  open(frame: Frame): Uint8Array {
    if (frame.keyId !== FrameKey.Sealed || frame.session !== this.number)
      throw new Error('not sealed for this session');
    if (((frame.flags & FrameFlag.Gateway) !== 0) === this.gateway) throw new Error('of this end');
    this.counters.push(frame.counter);
    return aessiv(this.#keys.subarray(0, 32), headerOf(frame)).decrypt(frame.payload);
  }
}

/** The gateway of a sealed meter, played by the test. */
export class GatewayPeer {
  session: SealedSession | undefined;

  constructor(
    readonly script: Script,
    readonly meter: string,
    readonly key: Uint8Array,
  ) {}

  /** Waits for a hello, checks it and returns the nonce that it says. */
  hello(): bigint {
    const frame = this.script.next()!;
    if (frame.payload[0] !== Control.Hello) throw new Error(`no hello but ${frame.payload[0]}`);
    const payload = Buffer.from(frame.payload);
    const bytes = Buffer.concat([headerOf(frame), payload.subarray(0, -16)]);
    const expected = Buffer.concat([payload.subarray(0, 12), Buffer.from([1, this.meter.length]), text(this.meter)]);
    if (!payload.subarray(0, -16).equals(expected)) throw new Error('a hello of another meter');
    if (!payload.subarray(-16).equals(proof(this.key, 'hello', bytes))) throw new Error('the proof does not hold');
    return payload.readBigUInt64LE(4);
  }

  /** An answer as between two zeros, and the session that it offers. */
  answer(nonce: bigint, number: number, own: bigint, key = this.key): { bytes: Uint8Array; session: SealedSession } {
    const payload = Buffer.concat([Buffer.from([Control.Answer, FrameSize.Version, 4, 4]), Buffer.alloc(16)]);
    payload.writeBigUInt64LE(nonce, 4);
    payload.writeBigUInt64LE(own, 12);
    const offer = Buffer.concat([headerOf({ ...plain, session: number }), payload]);
    return {
      bytes: onLine(Buffer.concat([offer, proof(key, 'answer', offer)])),
      session: new SealedSession(true, number, key, offer),
    };
  }

  /** Opens a session and reads the meter's first status. */
  open(number: number, own: bigint): SealedSession {
    const { bytes, session } = this.answer(this.hello(), number, own);
    this.script.hear(bytes);
    for (const frame of this.script.frames()) session.open(frame);
    this.session = session;
    return session;
  }
}

/** A frame as between two zeros with one bit of it, counted without its CRC, flipped, and a CRC that holds. */
export function flipped(encoded: Uint8Array, bit: number): Uint8Array {
  const decoded = cobsDecode(encoded).slice(0, -4);
  decoded[bit >> 3]! ^= 1 << (bit & 7);
  return onLine(decoded);
}
