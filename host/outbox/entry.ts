// One entry of the outbox as bytes on disk. Each carries its own number and checksum, so that damage is noticed
// wherever it happens below: file system, store, or a value that stands under another's key.
//
//   0  CRC-32 (IEEE 802.3) over all that follows, u32
//   4  format, u8: 1; three zeros
//   8  number, u64
//  16  length of the head, u32
//  20  head: JSON { topic, properties, place, refused }
//      payload
import { crc32 } from 'node:zlib';

/** MQTT 5 properties that an entry keeps. */
export interface MessageProperties {
  readonly contentType?: string;
  readonly payloadFormatIndicator?: boolean;
  readonly messageExpiryInterval?: number;
  readonly userProperties?: Readonly<Record<string, string>>;
}

/** Where a message stands in a series of which none may be missing. */
export interface Place {
  readonly series: string;
  /** In the series; several messages may have the same one. */
  readonly position: number;
}

/** What is to be published. */
export interface OutboxMessage {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly properties?: MessageProperties;
  readonly place?: Place;
}

/** The broker's last refusal (a reason code of 0x80 or above) of an entry. */
export interface Refusal {
  readonly reasonCode: number;
  /** How often it was refused. */
  readonly times: number;
  /** When it was refused last, Unix ms of this machine's clock. */
  readonly atMs: number;
}

export interface OutboxEntry extends OutboxMessage {
  /** Counts from 1; never used again. */
  readonly number: number;
  readonly refused?: Refusal;
}

const FORMAT = 1;
const HEAD_AT = 20;

/** An entry as bytes. */
export function encodeEntry(entry: OutboxEntry): Buffer {
  const { topic, properties, place, refused } = entry;
  const head = Buffer.from(JSON.stringify({ topic, properties, place, refused }), 'utf8');
  const bytes = Buffer.alloc(HEAD_AT + head.length + entry.payload.length);
  bytes.writeUInt8(FORMAT, 4);
  bytes.writeBigUInt64LE(BigInt(entry.number), 8);
  bytes.writeUInt32LE(head.length, 16);
  bytes.set(head, HEAD_AT);
  bytes.set(entry.payload, HEAD_AT + head.length);
  bytes.writeUInt32LE(crc32(bytes.subarray(4)), 0);
  return bytes;
}

/** The number of an entry as its bytes tell it; undefined where they are damaged. */
export function numberOf(bytes: Buffer): number | undefined {
  if (bytes.length < HEAD_AT || bytes.readUInt32LE(0) !== crc32(bytes.subarray(4))) return undefined;
  return bytes.readUInt8(4) === FORMAT ? Number(bytes.readBigUInt64LE(8)) : undefined;
}

/** Bytes as an entry; undefined where they are damaged or belong to another number. */
export function decodeEntry(bytes: Buffer, number: number): OutboxEntry | undefined {
  if (numberOf(bytes) !== number) return undefined;
  const end = HEAD_AT + bytes.readUInt32LE(16);
  const head = JSON.parse(bytes.toString('utf8', HEAD_AT, end)) as Omit<OutboxEntry, 'number' | 'payload'>;
  return { ...head, number, payload: bytes.subarray(end) };
}
