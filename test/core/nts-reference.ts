// The server's side of NTS (RFC 8915) for tests of the core: written from the RFC on independent AEADs, so that what both
// agree on is right. Every field of an answer can be changed before and after it is sealed.
import { randomBytes } from 'node:crypto';
import { Aead, algorithm, open, seal } from '../../host/setup/nts-aeads.ts';
import { extensionField, ntpEpochSeconds, ntpTimestamp } from '../../host/setup/nts-packets.ts';

export { extensionField, ntpEpochSeconds, ntpTimestamp };

/** A record of NTS-KE. */
export function record(type: number, body: Uint8Array | readonly number[], critical = true): Uint8Array {
  const bytes = Buffer.alloc(4 + body.length);
  bytes.writeUInt16BE((critical ? 0x8000 : 0) | type, 0);
  bytes.writeUInt16BE(body.length, 2);
  bytes.set(body, 4);
  return bytes;
}

export const nextProtocol = (protocol = 0) => record(1, [protocol >> 8, protocol & 0xff]);
export const aeadRecord = (aead = 15, critical = true) => record(4, [aead >> 8, aead & 0xff], critical);
export const cookieRecord = (bytes = 100) => record(5, randomBytes(bytes), false);
export const endOfMessage = () => record(0, []);

/** Says that the keys of AEAD 30 come from an exporter context that names AEAD 30. */
export const compliantRecord = () => record(1024, [], false);

/**
 * A complete answer of NTS-KE.
 * @param cookieBytes one length for all, or several in turn
 * @param extra records behind the AEAD's
 */
export function keAnswer(
  cookies = 8,
  cookieBytes: number | readonly number[] = 100,
  aead: number = Aead.sivCmac256,
  extra: readonly Uint8Array[] = [],
): Uint8Array {
  const lengths = typeof cookieBytes === 'number' ? [cookieBytes] : cookieBytes;
  const list = Array.from({ length: cookies }, (_, i) => cookieRecord(lengths[i % lengths.length]));
  return Buffer.concat([nextProtocol(), aeadRecord(aead), ...extra, ...list, endOfMessage()]);
}

export interface KeRecord {
  readonly type: number;
  readonly critical: boolean;
  readonly body: Buffer;
}

/** The whole records at the start of a message of NTS-KE. */
export function keRecords(bytes: Uint8Array): KeRecord[] {
  const message = Buffer.from(bytes);
  const found: KeRecord[] = [];
  for (let at = 0; at + 4 <= message.length; ) {
    const end = at + 4 + message.readUInt16BE(at + 2);
    if (end > message.length) break;
    const first = message.readUInt16BE(at);
    found.push({ type: first & 0x7fff, critical: first >= 0x8000, body: message.subarray(at + 4, end) });
    at = end;
  }
  return found;
}

/** AEADs in a message of NTS-KE: those of its AEAD record. */
export function keAeads(bytes: Uint8Array): number[] {
  const body = keRecords(bytes).find(({ type }) => type === 4)?.body ?? Buffer.alloc(0);
  return Array.from({ length: body.length >> 1 }, (_, i) => body.readUInt16BE(2 * i));
}

export interface Field {
  readonly type: number;
  readonly value: Buffer;
  readonly at: number;
}

/** What a server reads of a request. */
export interface Request {
  readonly packet: Buffer;
  readonly fields: readonly Field[];
  readonly identifier: Buffer;
  readonly cookie: Buffer;
  readonly placeholders: readonly Buffer[];
  readonly origin: Buffer;
  /** Of the keys that it is sealed with; AEAD 15 where nothing is said. */
  readonly aead?: number;
}

/** Parses and verifies a request as RFC 8915 5.7 demands. @throws Error when anything is not as it must be */
export function readRequest(packet: Buffer, clientToServer: Uint8Array, aead: number = Aead.sivCmac256): Request {
  const request = openRequest(packet, clientToServer, aead);
  if (request === undefined) throw new Error('the authenticator does not hold');
  return request;
}

/** The same; undefined when the authenticator does not hold under this key. @throws Error when it is malformed */
export function openRequest(packet: Buffer, clientToServer: Uint8Array, aead: number): Request | undefined {
  const fields: Field[] = [];
  for (let at = 48; at < packet.length; ) {
    const length = packet.readUInt16BE(at + 2);
    if (length < 16 || length % 4 !== 0 || at + length > packet.length) throw new Error(`field of ${length} at ${at}`);
    fields.push({ type: packet.readUInt16BE(at), value: packet.subarray(at + 4, at + length), at });
    at += length;
  }
  const only = (type: number) => {
    const found = fields.filter((field) => field.type === type);
    if (found.length !== 1) throw new Error(`${found.length} fields of type ${type.toString(16)}`);
    return found[0]!;
  };
  const authenticator = only(0x0404);
  if (authenticator !== fields.at(-1)) throw new Error('the authenticator is not the last field');
  const nonceLength = authenticator.value.readUInt16BE(0);
  const sealedLength = authenticator.value.readUInt16BE(2);
  const nonce = authenticator.value.subarray(4, 4 + nonceLength);
  const sealed = authenticator.value.subarray(4 + nonceLength, 4 + nonceLength + sealedLength);
  if (nonceLength !== algorithm(aead).nonceBytes) return undefined;
  if (open(aead, clientToServer, nonce, packet.subarray(0, authenticator.at), sealed) === undefined) return undefined;
  return {
    aead,
    packet,
    fields,
    identifier: only(0x0104).value,
    cookie: only(0x0204).value,
    placeholders: fields.filter(({ type }) => type === 0x0304).map(({ value }) => value),
    origin: packet.subarray(40, 48),
  };
}

/** What goes into an answer; each part can be replaced. */
export interface AnswerParts {
  aead: number;
  first: number;
  stratum: number;
  /** log2 s. */
  precision: number;
  rootDelay: number;
  rootDispersion: number;
  referenceId: Buffer;
  origin: Buffer;
  receiveUtcNs: bigint;
  transmitUtcNs: bigint;
  identifier: Buffer;
  cookies: Buffer[];
  nonce: Buffer;
  /** Fields behind the unique identifier. */
  extra: Buffer[];
  /** Encrypted fields behind the cookies. */
  extraSealed: Buffer[];
}

/** Parts of a good answer: as many cookies as the request asked for. */
export function answerParts(request: Request, receiveUtcNs: bigint, transmitUtcNs: bigint): AnswerParts {
  const { aead = Aead.sivCmac256 } = request;
  return {
    aead,
    first: 0x24,
    stratum: 1,
    precision: -24,
    rootDelay: 0,
    rootDispersion: 0,
    referenceId: Buffer.from('TEST'),
    origin: request.origin,
    receiveUtcNs,
    transmitUtcNs,
    identifier: request.identifier,
    cookies: [request.cookie, ...request.placeholders].map((old) => randomBytes(old.length)),
    nonce: randomBytes(algorithm(aead).nonceBytes),
    extra: [],
    extraSealed: [],
  };
}

/** The header and the fields before the authenticator. */
export function unsealedAnswer(parts: AnswerParts): Buffer {
  const header = Buffer.alloc(48);
  header[0] = parts.first;
  header[1] = parts.stratum;
  header[2] = 6;
  header[3] = parts.precision;
  header.writeUInt32BE(parts.rootDelay, 4);
  header.writeUInt32BE(parts.rootDispersion, 8);
  parts.referenceId.copy(header, 12);
  ntpTimestamp(parts.receiveUtcNs).copy(header, 16);
  parts.origin.copy(header, 24);
  ntpTimestamp(parts.receiveUtcNs).copy(header, 32);
  ntpTimestamp(parts.transmitUtcNs).copy(header, 40);
  return Buffer.concat([header, extensionField(0x0104, parts.identifier), ...parts.extra]);
}

/** An answer, sealed. */
export function sealedAnswer(parts: AnswerParts, serverToClient: Uint8Array): Buffer {
  const clear = unsealedAnswer(parts);
  const plaintext = Buffer.concat([
    ...parts.cookies.map((cookie) => extensionField(0x0204, cookie)),
    ...parts.extraSealed,
  ]);
  const sealed = seal(parts.aead, serverToClient, parts.nonce, clear, plaintext);
  const lengths = Buffer.alloc(4);
  lengths.writeUInt16BE(parts.nonce.length, 0);
  lengths.writeUInt16BE(sealed.length, 2);
  const noncePadded = Buffer.alloc((parts.nonce.length + 3) & ~3);
  parts.nonce.copy(noncePadded);
  return Buffer.concat([clear, extensionField(0x0404, Buffer.concat([lengths, noncePadded, sealed]))]);
}
