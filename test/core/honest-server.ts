// A time server that keeps all the rules, in virtual time, for the meters under attack.
import { Violation } from '../fuzz/checked-core.ts';
import type { Prng } from '../fuzz/prng.ts';
import { Aead, algorithm } from '../hostile/aeads.ts';
import { type Association, goodAnswer, nak, readRequest, verifyRequest, writeAnswer } from '../hostile/packets.ts';
import { numbers, parseRecords, RecordType, record, u16 } from '../hostile/records.ts';
import { ntpTimestamp } from './nts-reference.ts';
import { startUtcNs } from './simulated-meter.ts';

/** A server that keeps all the rules, and whose time is wrong by no more than the root distance that it tells. */
export class HonestServer {
  readonly host: string;
  readonly aead: number;
  readonly pathNs: number;
  readonly rootDelayNs: number;
  readonly rootDispersionNs: number;
  readonly #cookieBytes: number;
  readonly #compliant: boolean;
  /** Share of the root distance by which it is wrong, from -1 to 1, and how long that takes to swing. */
  readonly #wrong: number;
  readonly #swingNs: number;
  readonly #associations: Association[] = [];

  constructor(
    readonly index: number,
    readonly random: Prng,
  ) {
    this.host = `${'abcd'[index]}.test`;
    this.aead = random.pick(Object.values(Aead));
    this.#compliant = random.chance(0.5);
    this.#cookieBytes = random.pick([64, 100, 104, 161]);
    this.pathNs = 1e5 * 400 ** random.fraction();
    this.rootDelayNs = random.chance(0.3) ? 0 : 4e7 * random.fraction();
    this.rootDispersionNs = 10 ** (4 + 4.6 * random.fraction());
    this.#wrong = random.chance(0.3) ? 0 : random.pick([-1, 1]) * random.fraction() ** 0.3;
    this.#swingNs = random.pick([Number.POSITIVE_INFINITY, 3600e9, 86_400e9]);
  }

  get rootDistanceNs(): number {
    return this.rootDelayNs / 2 + this.rootDispersionNs;
  }

  /** Its time at a true one. */
  utcNs(truthNs: bigint): bigint {
    const phase = Math.cos((2 * Math.PI * Number(truthNs - startUtcNs)) / this.#swingNs);
    return truthNs + BigInt(Math.trunc(this.#wrong * phase * this.rootDistanceNs));
  }

  /** The answer to a key establishment, and the keys that go with it. @throws Violation for a request that makes no sense */
  establish(request: Buffer): { answer: Buffer; association: Association; contextAead: number } {
    const records = parseRecords(request);
    const find = (type: number) => records?.find((one) => one.type === type);
    const offered = numbers(find(RecordType.aead)?.body ?? Buffer.alloc(0));
    if (offered.length === 0) throw new Violation('a key establishment without an AEAD');
    const aead = offered.includes(this.aead) ? this.aead : offered[0]!;
    const compliant = aead === Aead.gcmSiv128 && this.#compliant && find(RecordType.compliantExporter) !== undefined;
    const { keyBytes } = algorithm(aead);
    const key = () => Buffer.from(this.random.bytes(keyBytes));
    const association = { aead, clientToServer: key(), serverToClient: key() };
    this.#associations.push(association);
    const number = this.#associations.length - 1;
    const answer = Buffer.concat([
      record(RecordType.nextProtocol, u16(0)),
      record(RecordType.aead, u16(aead)),
      ...(compliant ? [record(RecordType.compliantExporter, Buffer.alloc(0), false)] : []),
      ...Array.from({ length: 8 }, () => record(RecordType.cookie, this.#cookie(number, this.#cookieBytes), false)),
      record(RecordType.end),
    ]);
    return { answer, association, contextAead: aead === Aead.gcmSiv128 && !compliant ? Aead.sivCmac256 : aead };
  }

  // As a real server, it keeps nothing of a client: its cookies say whose they are.
  #cookie(association: number, bytes: number): Buffer {
    const cookie = Buffer.from(this.random.bytes(bytes));
    cookie.writeUInt32BE(association * 4 + this.index);
    return cookie;
  }

  /** It has not said from which exporter context its keys for AEAD 30 are, and a NAK makes a meter try the other one. */
  get mayGetOtherKeys(): boolean {
    return this.aead === Aead.gcmSiv128 && !this.#compliant;
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
    // The attacker has changed it.
    if (typeof read === 'string') return undefined;
    const { request, number } = read;
    if (number === undefined) return nak(request);
    const association = this.#associations[number]!;
    const cookies = Array.from({ length: 1 + request.placeholders }, () => this.#cookie(number, request.cookie.length));
    const nowNs = this.utcNs(truthNs);
    const answer = goodAnswer(request, association, cookies, nowNs);
    answer.nonce = Buffer.from(this.random.bytes(answer.nonce.length));
    answer.transmit = ntpTimestamp(nowNs + 20_000n);
    answer.rootDelay = Math.ceil((this.rootDelayNs * 65_536) / 1e9) / 65_536;
    answer.rootDispersion = Math.ceil((this.rootDispersionNs * 65_536) / 1e9) / 65_536;
    return writeAnswer(answer);
  }
}
