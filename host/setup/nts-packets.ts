// NTP packets with NTS extension fields (RFC 5905 7.3, RFC 7822, RFC 8915 5): requests as a server reads them, answers
// of which each part can be replaced before they are sealed.
//
// What always holds: an answer as `goodAnswer` makes it is right in everything; what `writeAnswer` writes is what the
// answer's parts say, however wrong that is.
import { randomBytes } from 'node:crypto';
import { u16 } from './ke-records.ts';
import { algorithm, open, seal } from './nts-aeads.ts';

/** From 1900 to 1970. */
export const ntpEpochSeconds = 2_208_988_800n;
export const headerBytes = 48;
export const FieldType = { identifier: 0x0104, cookie: 0x0204, placeholder: 0x0304, authenticator: 0x0404 } as const;

/** UTC ns as an NTP timestamp, in whatever era. */
export function ntpTimestamp(utcNs: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  const nanoseconds = ((utcNs % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n;
  const seconds = (utcNs - nanoseconds) / 1_000_000_000n;
  bytes.writeUInt32BE(Number((seconds + ntpEpochSeconds) & 0xffff_ffffn), 0);
  bytes.writeUInt32BE(Number((nanoseconds << 32n) / 1_000_000_000n), 4);
  return bytes;
}

export function extensionField(type: number, value: Uint8Array): Buffer {
  const padded = (value.length + 3) & ~3;
  const bytes = Buffer.alloc(4 + padded);
  bytes.writeUInt16BE(type, 0);
  bytes.writeUInt16BE(4 + padded, 2);
  bytes.set(value, 4);
  return bytes;
}

/** What client and server have agreed on. */
export interface Association {
  readonly aead: number;
  readonly clientToServer: Buffer;
  readonly serverToClient: Buffer;
}

export interface Field {
  readonly type: number;
  readonly value: Buffer;
  readonly at: number;
}

/** The extension fields of a packet. @throws Error when they do not add up */
export function parseFields(packet: Buffer): Field[] {
  const fields: Field[] = [];
  for (let at = headerBytes; at < packet.length; ) {
    const length = at + 4 <= packet.length ? packet.readUInt16BE(at + 2) : 0;
    if (length < 16 || length % 4 !== 0 || at + length > packet.length) throw new Error(`field of ${length} at ${at}`);
    fields.push({ type: packet.readUInt16BE(at), value: packet.subarray(at + 4, at + length), at });
    at += length;
  }
  return fields;
}

/** A request, parsed and verified. */
export interface Request {
  readonly packet: Buffer;
  readonly identifier: Buffer;
  readonly cookie: Buffer;
  readonly placeholders: number;
  readonly nonce: Buffer;
  /** The client's transmit timestamp. */
  readonly origin: Buffer;
}

/** Reads what of a request needs no key. @throws Error saying what RFC 8915 5.7 forbids in it */
export function readRequest(packet: Buffer): Request & { readonly authenticator: Field } {
  const fields = parseFields(packet);
  const only = (type: number): Field => {
    const found = fields.filter((field) => field.type === type);
    if (found.length !== 1) throw new Error(`${found.length} fields of type ${type.toString(16)}`);
    return found[0]!;
  };
  const [identifier, cookie, authenticator] = [
    only(FieldType.identifier).value,
    only(FieldType.cookie).value,
    only(FieldType.authenticator),
  ];
  const placeholders = fields.filter(({ type }) => type === FieldType.placeholder);
  if (authenticator !== fields.at(-1)) throw new Error('the authenticator is not the last field');
  if (identifier.length < 32) throw new Error(`a unique identifier of ${identifier.length} bytes`);
  if (placeholders.length > 7) throw new Error(`${placeholders.length} placeholders`);
  for (const { value } of placeholders) {
    if (value.length !== cookie.length)
      throw new Error(`a placeholder of ${value.length}, a cookie of ${cookie.length}`);
    if (value.some((byte) => byte !== 0)) throw new Error('a placeholder that is not all zeros');
  }
  const nonce = authenticator.value.subarray(4, 4 + authenticator.value.readUInt16BE(0));
  const origin = packet.subarray(40, 48);
  return { packet, identifier, cookie, placeholders: placeholders.length, nonce, origin, authenticator };
}

/** Whether the client's authenticator holds. */
export function verifyRequest(
  { packet, nonce, authenticator }: ReturnType<typeof readRequest>,
  { aead, clientToServer }: Association,
): boolean {
  const at = 4 + ((nonce.length + 3) & ~3);
  const sealed = authenticator.value.subarray(at, at + authenticator.value.readUInt16BE(2));
  return open(aead, clientToServer, nonce, packet.subarray(0, authenticator.at), sealed) !== undefined;
}

/** The parts of an answer; all can be replaced. */
export interface Answer {
  leap: number;
  version: number;
  mode: number;
  stratum: number;
  /** log2 s. */
  precision: number;
  /** s. */
  rootDelay: number;
  rootDispersion: number;
  referenceId: Buffer;
  reference: Buffer;
  origin: Buffer;
  receive: Buffer;
  transmit: Buffer;
  /** Before the authenticator: the unique identifier. */
  fields: Buffer[];
  /** Encrypted. */
  sealedFields: Buffer[];
  /** False leaves the authenticator out. */
  authenticated: boolean;
  association: Association;
  nonce: Buffer;
  /** Changes the body of the authenticator field. */
  authenticator: (body: AuthenticatorBody) => AuthenticatorBody;
  /** Behind the authenticator. */
  trailing: Buffer[];
}

/** RFC 8915 5.6. The lengths are those of nonce and ciphertext, unless they are replaced. */
export interface AuthenticatorBody {
  readonly nonceLength: number;
  readonly sealedLength: number;
  readonly nonce: Buffer;
  readonly sealed: Buffer;
}

export const identifierField = (identifier: Uint8Array): Buffer => extensionField(FieldType.identifier, identifier);
export const cookieField = (cookie: Uint8Array): Buffer => extensionField(FieldType.cookie, cookie);

/** A field whose header says a length of its own. */
export function fieldOf(type: number, length: number, value: Uint8Array = Buffer.alloc(0)): Buffer {
  return Buffer.concat([u16(type), u16(length), value]);
}

/** Seconds as an NTP short format. */
function shortFormat(seconds: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(Math.round(seconds * 65_536) % 2 ** 32);
  return bytes;
}

/** @param cookies new ones */
export function goodAnswer(request: Request, association: Association, cookies: Buffer[], nowUtcNs: bigint): Answer {
  return {
    leap: 0,
    version: 4,
    mode: 4,
    stratum: 1,
    precision: -24,
    rootDelay: 0,
    rootDispersion: 0,
    referenceId: Buffer.from('LAB\0'),
    reference: ntpTimestamp(nowUtcNs - 1_000_000_000n),
    origin: request.origin,
    receive: ntpTimestamp(nowUtcNs),
    transmit: ntpTimestamp(nowUtcNs),
    fields: [identifierField(request.identifier)],
    sealedFields: cookies.map(cookieField),
    authenticated: true,
    association,
    nonce: randomBytes(algorithm(association.aead).nonceBytes),
    authenticator: (body) => body,
    trailing: [],
  };
}

/** Seals an answer with the keys of its association. */
export function writeAnswer(answer: Answer): Buffer {
  const open = Buffer.concat([
    Buffer.from([(answer.leap << 6) | (answer.version << 3) | answer.mode, answer.stratum, 6, answer.precision & 0xff]),
    shortFormat(answer.rootDelay),
    shortFormat(answer.rootDispersion),
    answer.referenceId,
    answer.reference,
    answer.origin,
    answer.receive,
    answer.transmit,
    ...answer.fields,
  ]);
  if (!answer.authenticated) return Buffer.concat([open, ...answer.trailing]);
  const { aead, serverToClient } = answer.association;
  const sealed = seal(aead, serverToClient, answer.nonce, open, Buffer.concat(answer.sealedFields));
  const { nonce } = answer;
  const body = answer.authenticator({ nonceLength: nonce.length, sealedLength: sealed.length, nonce, sealed });
  const padded = (bytes: Buffer) => Buffer.concat([bytes, Buffer.alloc(-bytes.length & 3)]);
  const value = [u16(body.nonceLength), u16(body.sealedLength), padded(body.nonce), padded(body.sealed)];
  return Buffer.concat([open, extensionField(FieldType.authenticator, Buffer.concat(value)), ...answer.trailing]);
}

/** A NAK (RFC 8915 5.7). */
export function nak(request: Pick<Request, 'identifier' | 'origin'>): Buffer {
  return kiss(request, 'NTSN');
}

/** A Kiss-o'-Death (RFC 5905 7.4) that nobody vouches for. */
export function kiss({ identifier, origin }: Pick<Request, 'identifier' | 'origin'>, code: string): Buffer {
  const header = Buffer.alloc(headerBytes);
  header[0] = 0xe4;
  header.write(code, 12, 'latin1');
  origin.copy(header, 24);
  return Buffer.concat([header, identifierField(identifier)]);
}
