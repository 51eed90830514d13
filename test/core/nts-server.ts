// A time server as meters in virtual time ask it: NTS-KE and NTP, right in everything that RFC 8915 asks; what time it
// gives is another's to say.
// What always holds: as a real server, it keeps nothing of a client; its cookies say whose they are.

import { numbers, parseRecords, RecordType, record, u16 } from '../../host/setup/ke-records.ts';
import { Aead, algorithm } from '../../host/setup/nts-aeads.ts';
import {
  type Association,
  goodAnswer,
  nak,
  readRequest,
  verifyRequest,
  writeAnswer,
} from '../../host/setup/nts-packets.ts';
import { Violation } from '../fuzz/checked-core.ts';
import type { Prng } from '../fuzz/prng.ts';
import { ntpTimestamp } from './nts-reference.ts';

/** From a request's arrival to the departure of its answer. */
export const answeringNs = 20_000n;

export interface NtsServerOptions {
  /** The one that it chooses where it is offered. */
  readonly aead: number;
  /** Whether it knows record 1024 and the keys of AEAD 30 that go with it. */
  readonly compliant: boolean;
  readonly cookieBytes: number;
  readonly rootDelayNs: number;
  readonly rootDispersionNs: number;
}

export abstract class NtsServer {
  readonly host: string;
  readonly #associations: Association[] = [];

  constructor(
    /** From 0 to 3. */
    readonly index: number,
    readonly random: Prng,
    readonly options: NtsServerOptions,
  ) {
    this.host = `${'abcd'[index]}.test`;
  }

  /** Its time at a true one. */
  abstract utcNs(truthNs: bigint): bigint;

  /** The answer to a key establishment, and the keys that go with it. @throws Violation for a request that makes no sense */
  establish(request: Buffer): { answer: Buffer; association: Association; contextAead: number } {
    const records = parseRecords(request);
    const find = (type: number) => records?.find((one) => one.type === type);
    const offered = numbers(find(RecordType.aead)?.body ?? Buffer.alloc(0));
    if (offered.length === 0) throw new Violation('a key establishment without an AEAD');
    const aead = offered.includes(this.options.aead) ? this.options.aead : offered[0]!;
    const compliant =
      aead === Aead.gcmSiv128 && this.options.compliant && find(RecordType.compliantExporter) !== undefined;
    const { keyBytes } = algorithm(aead);
    const key = () => Buffer.from(this.random.bytes(keyBytes));
    const association = { aead, clientToServer: key(), serverToClient: key() };
    this.#associations.push(association);
    const number = this.#associations.length - 1;
    const answer = Buffer.concat([
      record(RecordType.nextProtocol, u16(0)),
      record(RecordType.aead, u16(aead)),
      ...(compliant ? [record(RecordType.compliantExporter, Buffer.alloc(0), false)] : []),
      ...Array.from({ length: 8 }, () =>
        record(RecordType.cookie, this.#cookie(number, this.options.cookieBytes), false),
      ),
      record(RecordType.end),
    ]);
    return { answer, association, contextAead: aead === Aead.gcmSiv128 && !compliant ? Aead.sivCmac256 : aead };
  }

  #cookie(association: number, bytes: number): Buffer {
    const cookie = Buffer.from(this.random.bytes(bytes));
    cookie.writeUInt32BE(association * 4 + this.index);
    return cookie;
  }

  /** Whose request it is, or why that cannot be read. */
  read(packet: Buffer): { request: ReturnType<typeof readRequest>; number?: number } | string {
    let request: ReturnType<typeof readRequest>;
    try {
      request = readRequest(packet);
    } catch (cause) {
      return (cause as Error).message;
    }
    const number = request.cookie.readUInt32BE(0);
    const association = this.#associations[number >> 2];
    const right =
      (number & 3) === this.index &&
      association !== undefined &&
      request.nonce.length === algorithm(association.aead).nonceBytes &&
      verifyRequest(request, association);
    return right ? { request, number: number >> 2 } : { request };
  }

  /** Its answer to a request that comes now; undefined where it has none. */
  serve(packet: Buffer, truthNs: bigint): Buffer | undefined {
    const read = this.read(packet);
    // Somebody on the way has changed it.
    if (typeof read === 'string') return undefined;
    const { request, number } = read;
    if (number === undefined) return nak(request);
    const association = this.#associations[number]!;
    const cookies = Array.from({ length: 1 + request.placeholders }, () => this.#cookie(number, request.cookie.length));
    const nowNs = this.utcNs(truthNs);
    const answer = goodAnswer(request, association, cookies, nowNs);
    answer.nonce = Buffer.from(this.random.bytes(answer.nonce.length));
    answer.transmit = ntpTimestamp(nowNs + answeringNs);
    answer.rootDelay = Math.ceil((this.options.rootDelayNs * 65_536) / 1e9) / 65_536;
    answer.rootDispersion = Math.ceil((this.options.rootDispersionNs * 65_536) / 1e9) / 65_536;
    return writeAnswer(answer);
  }
}
