// A time server of the simulated meter: NTS-KE behind a gateway's TLS, and NTP, each as good or bad as a test wants it.
// What always holds: keys follow from the connection's secret and the exporter's label and context alone (RFC 8446 7.5);
// which context counts follows from the server's own answer (RFC 8915 5.1, record 1024).
import { createHmac, randomBytes } from 'node:crypto';
import { Failure, Message } from '../../as/abi/codes.ts';
import type { GatewayMessage, MeterMessage } from '../../host/link/messages.ts';
import { Aead, algorithm } from '../../host/setup/nts-aeads.ts';
import {
  type AnswerParts,
  answerParts,
  compliantRecord,
  keAeads,
  keAnswer,
  keRecords,
  openRequest,
  type Request,
  sealedAnswer,
  unsealedAnswer,
} from './nts-reference.ts';

export const second = 1_000_000_000n;
export const millisecond = 1_000_000n;

type TlsOpen = Extract<MeterMessage, { type: Message.TlsOpen }>;
type TlsExport = Extract<MeterMessage, { type: Message.TlsExport }>;

export interface Keys {
  readonly aead: number;
  readonly clientToServer: Uint8Array;
  readonly serverToClient: Uint8Array;
}

/** A request and whose it is. */
export interface ServedRequest extends Request {
  readonly server: SimulatedServer;
  readonly keys: Keys;
}

/**
 * What a server does about record 1024 and the keys of AEAD 30: it knows the record, or knows neither it nor the right
 * context, or uses the right context without a word.
 */
export type Compliance = 'echoed' | 'unknown' | 'silent';

export interface Behaviour {
  /** The answer to a TlsOpen; undefined: none at all. */
  onTlsOpen: (open: TlsOpen) => GatewayMessage | undefined;
  /** How long the handshake takes. */
  openNs: () => bigint;
  /** AEADs that the server has. */
  aeads: readonly number[];
  compliance: Compliance;
  cookies: number;
  /** Lengths of its first cookies, in turn. */
  cookieBytes: readonly number[];
  /** The bytes of the answer to the NTS-KE request, in the pieces in which they come. */
  onKe: (request: Buffer) => Uint8Array[];
  /** The key for an export; undefined: none comes. */
  onExport: (key: Uint8Array, request: TlsExport) => Uint8Array | undefined;
  /** How the server closes after its answer; undefined: it leaves that to the meter. */
  closeReason: Failure | undefined;
  /** The datagrams that come back for a request; by default one good answer. */
  onRequest: (request: ServedRequest, exchange: number) => Uint8Array[];
  /** Changes a good answer before it is sealed. */
  change: (parts: AnswerParts) => void;
  /** One-way delays. */
  outNs: () => bigint;
  backNs: () => bigint;
  /** Server minus true UTC. */
  serverErrorNs: bigint;
  notBefore: bigint;
  notAfter: bigint;
}

/** A TLS connection, and the association that came of it. */
interface Connection {
  readonly id: number;
  readonly secret: Buffer;
  keys: Keys | undefined;
}

/** From a request's arrival to the departure of its answer. */
export const servingNs = 20_000n;

const label = 'EXPORTER-network-time-security';

/** RFC 8915 5.1: protocol u16, AEAD u16, direction u8. */
export function exporterContext(aead: number, direction: number): Buffer {
  return Buffer.from([0, 0, aead >> 8, aead & 0xff, direction]);
}

function exportKey(secret: Buffer, context: Uint8Array, length: number): Buffer {
  return createHmac('sha512', secret).update(label).update(context).digest().subarray(0, length);
}

export class SimulatedServer {
  readonly behaviour: Behaviour;
  readonly requests: ServedRequest[] = [];
  /** What the meter asked to export, newest last. */
  readonly exports: TlsExport[] = [];
  /** When the meter asked for connections: true UTC. */
  readonly opened: bigint[] = [];
  /** Newest last. */
  readonly #connections: Connection[] = [];
  readonly #onTlsOpen: Behaviour['onTlsOpen'];

  constructor(
    readonly host: string,
    readonly utcNs: () => bigint,
  ) {
    const behaviour: Behaviour = {
      onTlsOpen: ({ id, validAt }) => {
        const { notBefore, notAfter } = behaviour;
        if (validAt !== undefined && (validAt < notBefore || validAt > notAfter)) {
          return { type: Message.TlsClosed, id, reason: Failure.Expired, detail: '' };
        }
        const fingerprint = new Uint8Array(32).fill(7);
        return { type: Message.TlsOpened, id, notBefore, notAfter, fingerprint, alpn: 'ntske/1' };
      },
      openNs: () => 0n,
      aeads: [Aead.sivCmac256],
      compliance: 'echoed',
      cookies: 8,
      cookieBytes: [100],
      onKe: (request) => [this.keAnswer(request)],
      onExport: (key) => key,
      closeReason: undefined,
      onRequest: (request) => [this.answer(request)],
      change: () => {},
      outNs: () => 10n * millisecond,
      backNs: () => 10n * millisecond,
      serverErrorNs: 0n,
      notBefore: utcNs() / second - 86_400n,
      notAfter: utcNs() / second + 86_400n * 365n,
    };
    this.behaviour = behaviour;
    this.#onTlsOpen = behaviour.onTlsOpen;
  }

  /** Keys of the newest association. */
  get keys(): Keys | undefined {
    return this.#connections.findLast(({ keys }) => keys !== undefined)?.keys;
  }

  open(message: TlsOpen): GatewayMessage | undefined {
    this.opened.push(this.utcNs());
    this.#connections.push({ id: message.id, secret: randomBytes(32), keys: undefined });
    return this.behaviour.onTlsOpen(message);
  }

  /** The server's own answer: the first AEAD offered that it has. */
  keAnswer(request: Buffer): Uint8Array {
    const { aeads, compliance, cookies, cookieBytes } = this.behaviour;
    const aead = keAeads(request).find((offered) => aeads.includes(offered)) ?? Aead.sivCmac256;
    const asked = keRecords(request).some(({ type }) => type === 1024);
    const echoes = aead === Aead.gcmSiv128 && asked && compliance === 'echoed';
    return keAnswer(cookies, cookieBytes, aead, echoes ? [compliantRecord()] : []);
  }

  /** Pieces of the answer to an NTS-KE request; the keys follow from what they say. */
  establish(id: number, request: Buffer): Uint8Array[] {
    const pieces = this.behaviour.onKe(request);
    const answer = Buffer.concat(pieces);
    const connection = this.#connection(id);
    const aead = keAeads(answer)[0] ?? Aead.sivCmac256;
    if (!isKnown(aead)) return pieces;
    const echoed = keRecords(answer).some(({ type }) => type === 1024);
    const compliant = aead !== Aead.gcmSiv128 || echoed || this.behaviour.compliance === 'silent';
    const contextAead = compliant ? aead : Aead.sivCmac256;
    const key = (direction: number) =>
      exportKey(connection.secret, exporterContext(contextAead, direction), algorithm(aead).keyBytes);
    connection.keys = { aead, clientToServer: key(0), serverToClient: key(1) };
    return pieces;
  }

  export(message: TlsExport): GatewayMessage | undefined {
    if (message.label !== label) throw new Error(`the meter asks for «${message.label}»`);
    this.exports.push(message);
    const { id, tag } = message;
    const key = this.behaviour.onExport(
      exportKey(this.#connection(id).secret, message.context, message.length),
      message,
    );
    return key === undefined ? undefined : { type: Message.TlsExported, id, tag, key };
  }

  /**
   * Reads a request as RFC 8915 5.7 demands; undefined when it is sealed with no key of this server, nor with those of the
   * other exporter context of AEAD 30.
   */
  read(packet: Buffer): ServedRequest | undefined {
    for (const connection of [...this.#connections].reverse()) {
      for (const keys of this.#allKeys(connection)) {
        const request = openRequest(packet, keys.clientToServer, keys.aead);
        if (request !== undefined) return { ...request, server: this, keys };
      }
    }
    return undefined;
  }

  /** Whether the request's keys are those that this server uses. */
  knows({ keys }: ServedRequest): boolean {
    return this.#connections.some((connection) => connection.keys === keys);
  }

  /** A good answer, changed as the behaviour says; a NAK where the keys are not those that the server uses. */
  answer(request: ServedRequest): Buffer {
    if (!this.knows(request)) return this.kiss(request, 'NTSN');
    const utc = this.utcNs() + this.behaviour.serverErrorNs;
    const parts = answerParts(request, utc, utc + servingNs);
    this.behaviour.change(parts);
    return sealedAnswer(parts, request.keys.serverToClient);
  }

  /** Connections fail for this reason, or succeed again. */
  fails(reason?: Failure): void {
    this.behaviour.onTlsOpen =
      reason === undefined ? this.#onTlsOpen : ({ id }) => ({ type: Message.TlsClosed, id, reason, detail: '' });
  }

  /** A kiss code without authenticator (RFC 5905 7.4). */
  kiss(request: Request, code: string): Buffer {
    return unsealedAnswer(this.#kiss(request, code));
  }

  /** One with. */
  sealedKiss(request: ServedRequest, code: string): Buffer {
    return sealedAnswer(this.#kiss(request, code), request.keys.serverToClient);
  }

  #kiss(request: Request, code: string): AnswerParts {
    const parts = answerParts(request, this.utcNs(), this.utcNs());
    parts.stratum = 0;
    parts.referenceId = Buffer.from(code);
    return parts;
  }

  #connection(id: number): Connection {
    return this.#connections.findLast((connection) => connection.id === id)!;
  }

  // Those that the server uses first; then, for AEAD 30, those of the other exporter context.
  #allKeys({ keys, secret }: Connection): Keys[] {
    if (keys?.aead !== Aead.gcmSiv128) return keys === undefined ? [] : [keys];
    const others = [Aead.gcmSiv128, Aead.sivCmac256].map((contextAead) => ({
      aead: keys.aead,
      clientToServer: exportKey(secret, exporterContext(contextAead, 0), 16),
      serverToClient: exportKey(secret, exporterContext(contextAead, 1), 16),
    }));
    return [keys, ...others];
  }
}

function isKnown(aead: number): boolean {
  return (Object.values(Aead) as number[]).includes(aead);
}
