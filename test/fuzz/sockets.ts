// Time servers with NTS and the gateway's sockets that lead to them, in virtual time, on a network that delays, loses,
// doubles, replays and forges. The servers' side is test/core/nts-reference.ts: independent of the core.
import { Channel, Failure, LinkLimit, Message } from '../../as/abi/codes.ts';
import {
  channelOf,
  decodeMessage,
  encodeMessage,
  type GatewayMessage,
  type MeterMessage,
} from '../../host/link/messages.ts';
import type { VirtualTime } from '../../host/meter/clocks.ts';
import { Aead, algorithm } from '../../host/setup/nts-aeads.ts';
import {
  type AnswerParts,
  aeadRecord,
  answerParts,
  compliantRecord,
  endOfMessage,
  keAeads,
  nextProtocol,
  type Request,
  readRequest,
  record,
  sealedAnswer,
  unsealedAnswer,
} from '../core/nts-reference.ts';
import { exporterContext } from '../core/simulated-server.ts';
import { Violation } from './checked-core.ts';
import type { Prng } from './prng.ts';

export const second = 1_000_000_000n;

interface Keys {
  readonly aead: number;
  /** Record 1024 was answered: keys of AEAD 30 come from the context that names it. */
  readonly compliant: boolean;
  readonly clientToServer: Uint8Array;
  readonly serverToClient: Uint8Array;
}

interface Connection {
  readonly host: string;
  /** From the request on, which names the AEADs. */
  keys?: Keys;
}

/** What a server of one host does that the others do not. */
export interface HostConditions {
  /** AEADs that it has, the preferred one first. */
  readonly aeads: readonly number[];
  readonly compliant: boolean;
  /** Added to its time, ns, unsaid. */
  readonly lieNs: () => number;
}

/** What the network and the server do; functions are asked each time. */
export interface Conditions {
  /** One-way delays, ns. */
  outNs: () => number;
  backNs: () => number;
  /** How long the gateway holds a datagram, ns. */
  holdNs: () => number;
  /** What the gateway says about that: the truth, or anything. */
  residenceLies: boolean;
  lossOut: number;
  lossBack: number;
  duplicates: number;
  replays: number;
  forgeries: number;
  /** Server minus UTC, ns, and what the server admits of that. */
  serverErrorNs: () => number;
  rootDelayNs: number;
  rootDispersionNs: number;
  /** By the server's name. */
  host: (name: string) => HostConditions;
  /** How long the server takes, ns. */
  servingNs: () => number;
  serverUp: boolean;
  /** The server answers, but says that it is not synchronised. */
  serverUnsynchronised: boolean;
  keUp: boolean;
  gatewayUp: boolean;
  cookieBytes: number;
  cookies: number;
  notBefore: bigint;
  notAfter: bigint;
  /** Changes an answer before it is sealed. */
  change: (parts: AnswerParts) => void;
  /** What the gateway does instead of sending a datagram: undefined, or the failure that it tells. */
  udpFailure: () => Failure | undefined;
}

export function goodConditions(utcNs: bigint): Conditions {
  return {
    outNs: () => 10e6,
    backNs: () => 10e6,
    holdNs: () => 0,
    residenceLies: false,
    lossOut: 0,
    lossBack: 0,
    duplicates: 0,
    replays: 0,
    forgeries: 0,
    serverErrorNs: () => 0,
    host: () => ({ aeads: [Aead.sivCmac256], compliant: true, lieNs: () => 0 }),
    rootDelayNs: 0,
    rootDispersionNs: 0,
    servingNs: () => 20e3,
    serverUp: true,
    serverUnsynchronised: false,
    keUp: true,
    gatewayUp: true,
    cookieBytes: 100,
    cookies: 8,
    notBefore: utcNs / second - 86_400n,
    notAfter: utcNs / second + 86_400n * 365n * 30n,
    change: () => {},
    udpFailure: () => undefined,
  };
}

/** NTP short format that is no less than `ns`. */
function shortFormat(ns: number): number {
  return Math.ceil((ns * 65_536) / 1e9);
}

/** What no request may hold twice, ever. */
class NeverTwice {
  readonly #seen = new Set<string>();

  add(what: string, bytes: Uint8Array): void {
    const key = what + Buffer.from(bytes).toString('latin1');
    if (this.#seen.has(key)) throw new Violation(`${what} was sent twice`);
    this.#seen.add(key);
  }
}

export class GatewaySockets {
  conditions: Conditions;
  /** Whether what comes from the meter may have been changed on its way. */
  meterDoubted = false;
  requests = 0;
  /** Requests that came to the server. */
  served = 0;
  establishments = 0;
  readonly received: MeterMessage[] = [];
  /** Sockets that the meter has opened and not closed. */
  readonly sockets = new Map<number, string>();
  readonly connections = new Map<number, Connection>();
  mostSockets = 0;
  onReport: (message: MeterMessage) => void = () => {};
  /** Sends to the meter. */
  send: (channel: number, message: Uint8Array) => void = () => {};
  readonly #once = new NeverTwice();
  #cookies = new Map<string, Keys>();
  #old: { socket: number; exchange: number; payload: Uint8Array }[] = [];
  #generation = 0;

  constructor(
    readonly time: VirtualTime,
    readonly utcNs: () => bigint,
    readonly random: Prng,
    conditions: Conditions,
  ) {
    this.conditions = conditions;
  }

  /** The gateway or the link lost all sockets. */
  reset(): void {
    this.#generation++;
    this.sockets.clear();
    this.connections.clear();
  }

  /** The server knows none of its cookies any more. */
  restartServer(): void {
    this.#cookies = new Map();
  }

  message(channel: number, bytes: Uint8Array): void {
    const most = channel === Channel.Time ? LinkLimit.DatagramBytes : LinkLimit.MessageBytes;
    if (bytes.length > most) throw new Violation(`a message of ${bytes.length} bytes on channel ${channel}`);
    let message: MeterMessage;
    try {
      message = decodeMessage(channel as Channel, bytes) as MeterMessage;
    } catch (cause) {
      if (this.meterDoubted) return;
      throw new Violation(`the meter's message makes no sense: ${(cause as Error).message}`, [], true, { cause });
    }
    if (!this.conditions.gatewayUp) return;
    this.received.push(message);
    if (this.received.length > 1000) this.received.splice(0, 500);
    switch (message.type) {
      case Message.TlsOpen:
        this.#tlsOpen(message);
        break;
      case Message.TlsWrite:
        this.#tlsWrite(message);
        break;
      case Message.TlsExport:
        this.#tlsExport(message);
        break;
      case Message.TlsClose:
        this.connections.delete(message.id);
        break;
      case Message.UdpOpen:
        this.sockets.set(message.socket, message.host);
        this.mostSockets = Math.max(this.mostSockets, this.sockets.size);
        this.tell({
          type: Message.UdpOpened,
          socket: message.socket,
          family: 4,
          addresses: 2,
          address: new Uint8Array(16).fill(192, 0, 1),
        });
        break;
      case Message.UdpClose:
        this.sockets.delete(message.socket);
        break;
      case Message.UdpSend:
        this.#udpSend(message);
        break;
      default:
        this.onReport(message);
    }
  }

  tell(message: GatewayMessage, afterNs = 1e6): void {
    const generation = this.#generation;
    this.#later(afterNs, () => {
      if (generation === this.#generation) this.send(channelOf(message.type), encodeMessage(message));
    });
  }

  #later(ns: number, then: () => void): void {
    this.time.schedule(this.time.nowNs + BigInt(Math.max(0, Math.round(ns))), () => {
      if (this.conditions.gatewayUp) then();
    });
  }

  #tlsOpen({ id, validAt, host }: Extract<MeterMessage, { type: Message.TlsOpen }>): void {
    const { keUp, notBefore, notAfter } = this.conditions;
    const expired = validAt !== undefined && (validAt < notBefore || validAt > notAfter);
    if (!keUp || expired) {
      const reason = expired ? Failure.Expired : Failure.Connect;
      this.tell({ type: Message.TlsClosed, id, reason, detail: 'no' });
      return;
    }
    this.connections.set(id, { host });
    this.tell({ type: Message.TlsOpened, id, notBefore, notAfter, fingerprint: new Uint8Array(32), alpn: 'ntske/1' });
  }

  #newKeys(host: string, request: Uint8Array): Keys {
    const { aeads, compliant } = this.conditions.host(host);
    const offered = keAeads(request);
    const aead = aeads.find((known) => offered.includes(known)) ?? Aead.sivCmac256;
    const { keyBytes } = algorithm(aead);
    return {
      aead,
      compliant: aead === Aead.gcmSiv128 && compliant,
      clientToServer: this.random.bytes(keyBytes),
      serverToClient: this.random.bytes(keyBytes),
    };
  }

  #newCookie(keys: Keys, length: number): Buffer {
    const cookie = Buffer.from(this.random.bytes(length));
    this.#cookies.set(cookie.toString('latin1'), keys);
    return cookie;
  }

  /** The answer of NTS-KE with keys; its cookies are good. */
  #keAnswer(keys: Keys): Uint8Array {
    const { cookies, cookieBytes } = this.conditions;
    const list = Array.from({ length: cookies }, () => record(5, this.#newCookie(keys, cookieBytes), false));
    const compliant = keys.compliant ? [compliantRecord()] : [];
    return Buffer.concat([nextProtocol(), aeadRecord(keys.aead), ...compliant, ...list, endOfMessage()]);
  }

  #tlsWrite({ id, data }: Extract<MeterMessage, { type: Message.TlsWrite }>): void {
    const connection = this.connections.get(id);
    if (connection === undefined) return;
    this.establishments++;
    connection.keys = this.#newKeys(connection.host, data);
    const answer = this.#keAnswer(connection.keys);
    for (let at = 0, after = 1e6; at < answer.length; at += 219, after += 1000) {
      this.tell({ type: Message.TlsData, id, data: answer.subarray(at, at + 219) }, after);
    }
  }

  #tlsExport(message: Extract<MeterMessage, { type: Message.TlsExport }>): void {
    const { id, tag, label, context, length } = message;
    const keys = this.connections.get(id)?.keys;
    if (keys === undefined) return;
    const { aead, compliant } = keys;
    // Without record 1024, the keys of AEAD 30 are those of the context that names AEAD 15; both are asked for.
    const contexts = aead === Aead.gcmSiv128 && !compliant ? [Aead.sivCmac256, aead] : [aead];
    const which = contexts.findIndex((named) => exporterContext(named, tag & 1).equals(context));
    const right = label === 'EXPORTER-network-time-security' && which >= 0 && which === tag >> 1;
    if (!right || length !== algorithm(aead).keyBytes) {
      if (this.meterDoubted) return;
      throw new Violation('the meter asks for another key than RFC 8915 5.1 names');
    }
    const own = (tag & 1) === 0 ? keys.clientToServer : keys.serverToClient;
    this.tell({ type: Message.TlsExported, id, tag, key: which === 0 ? own : this.random.bytes(length) });
  }

  #udpSend({ socket, exchange, payload }: Extract<MeterMessage, { type: Message.UdpSend }>): void {
    this.requests++;
    const packet = Buffer.from(payload);
    if (this.meterDoubted && packet.length < 128) return;
    if (packet.length > 1232) throw new Violation(`a datagram of ${packet.length} bytes`);
    if (!this.meterDoubted) this.#checkOnce(packet);
    const failure = this.sockets.has(socket) ? this.conditions.udpFailure() : Failure.Request;
    if (failure !== undefined) {
      this.tell({ type: Message.UdpFailed, socket, exchange, reason: failure });
      return;
    }
    if (this.random.chance(this.conditions.lossOut) || !this.conditions.serverUp) return;
    const holdNs = this.conditions.holdNs();
    const { lieNs } = this.conditions.host(this.sockets.get(socket) ?? '');
    this.#later(holdNs + this.conditions.outNs(), () => this.#serve(socket, exchange, packet, holdNs, lieNs()));
  }

  #checkOnce(packet: Buffer): void {
    this.#once.add('origin timestamp', packet.subarray(40, 48));
    this.#once.add('unique identifier', packet.subarray(52, 84));
    // The authenticator of GCM-SIV is shorter than that of SIV by four bytes of its nonce.
    const nonceBytes = packet.readUInt16BE(packet.length - 34) === 36 ? 12 : 16;
    this.#once.add('nonce', packet.subarray(packet.length - 16 - nonceBytes, packet.length - 16));
    this.#once.add('cookie', packet.subarray(88, 88 + packet.readUInt16BE(86) - 4));
  }

  #serve(socket: number, exchange: number, packet: Buffer, holdNs: number, lieNs: number): void {
    if (!this.conditions.serverUp) return;
    const cookie = packet.subarray(88, 88 + packet.readUInt16BE(86) - 4);
    const keys = this.#cookieKeys(cookie);
    const { conditions, random } = this;
    const back = (bytes: Uint8Array) => {
      if (random.chance(conditions.lossBack)) return;
      for (let copy = 0; copy < (random.chance(conditions.duplicates) ? 2 : 1); copy++) {
        this.#back(socket, exchange, bytes, holdNs);
      }
    };
    if (keys === undefined) {
      const unknown = { identifier: packet.subarray(52, 84), origin: packet.subarray(40, 48), placeholders: [] };
      const parts = answerParts({ ...unknown, packet, fields: [], cookie }, this.#serverNs(0), this.#serverNs(0));
      parts.stratum = 0;
      parts.referenceId = Buffer.from('NTSN');
      back(unsealedAnswer(parts));
      return;
    }
    let request: Request;
    try {
      request = readRequest(packet, keys.clientToServer, keys.aead);
    } catch (cause) {
      if (this.meterDoubted) return;
      throw new Violation(`the server cannot read the request: ${(cause as Error).message}`, [], true, { cause });
    }
    this.served++;
    const receivedNs = this.#serverNs(lieNs);
    const servingNs = this.conditions.servingNs();
    this.#later(servingNs, () => {
      const parts = answerParts(request, receivedNs, receivedNs + BigInt(Math.round(servingNs)));
      parts.rootDelay = shortFormat(conditions.rootDelayNs);
      parts.rootDispersion = shortFormat(conditions.rootDispersionNs);
      parts.cookies = [request.cookie, ...request.placeholders].map((old) => this.#newCookie(keys, old.length));
      if (conditions.serverUnsynchronised) parts.first = 0xe4;
      conditions.change(parts);
      const answer = sealedAnswer(parts, keys.serverToClient);
      this.#forge(parts, back);
      back(answer);
      this.#old.push({ socket, exchange, payload: answer });
      if (this.#old.length > 20) this.#old.shift();
      for (const old of this.#old) {
        if (random.chance(conditions.replays / 20)) {
          // Under its own number, and under that of the exchange now open.
          this.#back(old.socket, old.exchange, old.payload, 0);
          this.#back(socket, exchange, old.payload, 0);
        }
      }
    });
  }

  /** Keys for a cookie, which is then used up; the core may have padded it with zeros. */
  #cookieKeys(padded: Buffer): Keys | undefined {
    for (let length = padded.length; length >= Math.max(padded.length - 15, 1); length--) {
      const name = padded.toString('latin1', 0, length);
      const keys = this.#cookies.get(name);
      if (keys !== undefined) {
        this.#cookies.delete(name);
        return keys;
      }
      if (padded[length - 1] !== 0) return undefined;
    }
    return undefined;
  }

  #serverNs(lieNs: number): bigint {
    return this.utcNs() + BigInt(Math.round(this.conditions.serverErrorNs() + lieNs));
  }

  // What somebody on the way can make: everything but an authenticator.
  #forge(good: AnswerParts, back: (bytes: Uint8Array) => void): void {
    if (!this.random.chance(this.conditions.forgeries)) return;
    const offset = BigInt(Math.round((this.random.fraction() - 0.5) * 2e13));
    const parts = { ...good, receiveUtcNs: good.receiveUtcNs + offset, transmitUtcNs: good.transmitUtcNs + offset };
    const kiss = { ...parts, stratum: 0, referenceId: Buffer.from(this.random.pick(['NTSN', 'RATE', 'DENY', 'RSTR'])) };
    back(unsealedAnswer(this.random.chance(0.5) ? parts : kiss));
    const { keyBytes } = algorithm(good.aead);
    back(sealedAnswer(parts, this.random.bytes(keyBytes)));
    const changed = sealedAnswer(good, this.random.bytes(keyBytes));
    changed[this.random.below(changed.length)]! ^= 1 << this.random.below(8);
    back(changed);
  }

  // Through the network to the gateway, which holds it a little before it sends it on.
  #back(socket: number, exchange: number, payload: Uint8Array, forwardNs: number): void {
    const generation = this.#generation;
    this.#later(this.conditions.backNs(), () => {
      const backNs = this.conditions.holdNs();
      this.#later(backNs, () => {
        if (generation !== this.#generation || !this.sockets.has(socket)) return;
        const lie = () => (this.conditions.residenceLies ? this.random.size(0xffff_ffff) : undefined);
        const said = (ns: number) => Math.min(Math.round(ns), 0xffff_ffff);
        const message = {
          type: Message.UdpReceived,
          socket,
          exchange,
          forwardResidenceNs: lie() ?? said(forwardNs),
          backResidenceNs: lie() ?? said(backNs),
          payload,
        } as const;
        this.send(Channel.Time, encodeMessage(message));
      });
    });
  }
}
