import {
  Channel,
  ClockStatus,
  Event,
  Failure,
  Message,
  MeterEvent,
  Reject,
  UdpReceivedField,
} from '../../as/abi/codes.ts';
import type { MeterMessage } from '../../host/link/messages.ts';
import { Aead, algorithm, open } from '../../host/setup/nts-aeads.ts';
import {
  type AnswerParts,
  aeadRecord,
  answerParts,
  compliantRecord,
  endOfMessage,
  extensionField,
  keAeads,
  keAnswer,
  nextProtocol,
  ntpEpochSeconds,
  openRequest,
  record,
  sealedAnswer,
  unsealedAnswer,
} from '../core/nts-reference.ts';
import { exporterContext } from '../core/simulated-server.ts';
import { buildUnixSeconds, DirectMeter, settingsOf } from './direct-meter.ts';
import { joined, mutate } from './mutate.ts';
import type { Prng } from './prng.ts';
import type { Target } from './targets.ts';

const second = 1_000_000_000n;
/** UTC at tick 0 of a meter here. */
export const startUtcNs = (buildUnixSeconds + 1_000_000n) * second;

export const knownAeads: readonly number[] = [Aead.sivCmac256, Aead.sivCmac384, Aead.sivCmac512, Aead.gcmSiv128];
/** Which source a connection or socket is of. */
const sourceOf = (id: number) => id & 3;

function randomRecord(random: Prng): Uint8Array {
  const critical = random.chance(0.5);
  switch (random.below(13)) {
    case 0:
      return record(random.below(10), random.bytes(random.size(300)), critical);
    case 1:
      return record(random.u32() & 0x7fff, random.bytes(random.size(2000)), random.chance(0.1));
    case 2:
      return record(5, random.bytes(random.pick([0, 1, 100, 255, 256, 257])), critical);
    case 3:
      return record(
        6,
        random.chance(0.7) ? Buffer.alloc(random.pick([1, 63, 64, 65]), 'n') : random.bytes(8),
        critical,
      );
    case 4:
      return record(7, random.bytes(random.pick([0, 1, 2, 2, 2, 3])), critical);
    case 5:
      return endOfMessage();
    case 6:
      return nextProtocol(random.below(2));
    case 7:
      return aeadRecord(random.pick([15, 15, 16, 17, 30]), critical);
    case 8:
      return record(1024, random.bytes(random.pick([0, 0, 0, 1, 2, 257])), random.chance(0.2));
    default:
      return record(5, random.bytes(random.between(1, 256)), critical);
  }
}

function randomKeAnswer(random: Prng): Uint8Array {
  switch (random.below(5)) {
    case 0:
      return random.bytes(random.size(1000));
    case 1:
      return mutate(random, keAnswer(random.between(1, 3), random.between(1, 256), random.pick(knownAeads)), 70_000);
    case 2: {
      const list = Array.from({ length: random.size(12) }, () => randomRecord(random));
      return joined(list);
    }
    default: {
      const list = [
        nextProtocol(),
        aeadRecord(random.pick(knownAeads), random.chance(0.5)),
        record(5, random.bytes(random.between(1, 256)), false),
        ...(random.chance(0.3) ? [compliantRecord()] : []),
      ];
      // Up to the longest answer that is read, and beyond it.
      if (random.chance(0.02)) list.push(record(0x4000, random.bytes(random.between(65_000, 65_535)), false));
      for (let more = random.size(4); more > 0; more--)
        list.splice(random.below(list.length + 1), 0, randomRecord(random));
      return joined([...list, endOfMessage()]);
    }
  }
}

interface KeReading {
  readonly aead: number;
  /** Record 1024 came. */
  readonly compliant: boolean;
  readonly cookies: number;
  readonly host: string;
  readonly port: number;
  readonly endBytes: number;
}

/** Longest answer that is read, and what a source has room for of its cookies: two bytes and the cookie each. */
const answerMaxBytes = 65_536;
const jar = { cookies: 8, bytes: 880 };

/** What RFC 8915 4.1 makes of an answer: what it gives and where it ends, undefined when it is none. */
function readKeAnswer(bytes: Uint8Array, offered: readonly number[]): KeReading | undefined {
  const buffer = Buffer.from(bytes);
  const times = new Map<number, number>();
  let [cookies, jarBytes, host, port, aead] = [0, 0, '', 0, 0];
  for (let at = 0; at + 4 <= buffer.length && at < answerMaxBytes; ) {
    const critical = (buffer[at]! & 0x80) !== 0;
    const type = buffer.readUInt16BE(at) & 0x7fff;
    const length = buffer.readUInt16BE(at + 2);
    const body = buffer.subarray(at + 4, at + 4 + length);
    at += 4 + length;
    if (body.length < length || at > answerMaxBytes) return undefined;
    times.set(type, (times.get(type) ?? 0) + 1);
    const once = times.get(type) === 1;
    if (type === 0) {
      const whole = critical && length === 0 && times.has(1) && times.has(4) && cookies > 0;
      const compliant = times.has(1024) && offered.includes(Aead.gcmSiv128);
      return whole ? { aead, compliant, cookies, host, port, endBytes: at } : undefined;
    }
    if (type === 1 && !(once && critical && body.equals(Uint8Array.of(0, 0)))) return undefined;
    if (type === 2 || type === 3) return undefined;
    if (type === 4) {
      if (!once || length !== 2 || !offered.includes(body.readUInt16BE(0))) return undefined;
      aead = body.readUInt16BE(0);
    }
    if (type === 5) {
      if (length < 1 || length > 256) return undefined;
      if (cookies < jar.cookies && jarBytes + 2 + length <= jar.bytes) {
        cookies++;
        jarBytes += 2 + length;
      }
    }
    if (type === 6) {
      if (!once || length < 1 || length > 64 || !/^[\x21-\x7e]+$/.test(body.toString('latin1'))) return undefined;
      host = body.toString('latin1');
    }
    if (type === 7) {
      if (!once || length !== 2 || body.readUInt16BE(0) === 0) return undefined;
      port = body.readUInt16BE(0);
    }
    if (type === 1024 && offered.includes(Aead.gcmSiv128)) {
      if (length !== 0) return undefined;
    } else if (type > 7 && critical) return undefined;
  }
  return undefined;
}

/** A name that a server gave is fully qualified (RFC 8915 4.1.7), which the dot at its end says. */
const ntpHost = (named: string) => (/:|^[0-9.]+$|\.$/.test(named) ? named : `${named}.`);

function tlsOpened(id: number) {
  return {
    type: Message.TlsOpened,
    id,
    notBefore: 0n,
    notAfter: 1n << 40n,
    fingerprint: new Uint8Array(32),
    alpn: 'ntske/1',
  } as const;
}

/** Answers the request of one key establishment, and checks what the meter makes of it. */
function answerKe(random: Prng, meter: DirectMeter, id: number, offered: readonly number[], keHost: string): void {
  meter.events.length = 0;
  const answer = randomKeAnswer(random);
  const pieceBytes = random.chance(0.3) ? 1 + random.size(20) : 219;
  const read = readKeAnswer(answer, offered);
  // What comes after the end is seen where it comes in the same piece, and not waited for.
  const endPieceBytes = read && Math.min(Math.ceil(read.endBytes / pieceBytes) * pieceBytes, answer.length);
  const expected = read?.endBytes === endPieceBytes ? read : undefined;
  for (let at = 0; at < answer.length; at += pieceBytes) {
    meter.tell({ type: Message.TlsData, id, data: answer.subarray(at, at + pieceBytes) });
  }
  const exports = meter.asked.flatMap((message) =>
    message.type === Message.TlsExport && message.id === id ? [message] : [],
  );
  if (exports.length > 0 !== (expected !== undefined)) {
    const what = exports.length > 0 ? 'taken' : 'refused';
    meter.fail(`an answer of NTS-KE is ${what}: ${Buffer.from(answer).toString('hex')}`);
  }
  if (expected === undefined) {
    meter.tell({ type: Message.TlsClosed, id, reason: random.pick([Failure.None, Failure.Reset]), detail: '' });
    if (!meter.events.some(({ code }) => code === MeterEvent.KeFailed)) meter.fail('a failure that is not told');
    return;
  }
  const { aead, compliant, cookies, host, port } = expected;
  const contexts = aead === Aead.gcmSiv128 && !compliant ? [Aead.sivCmac256, aead] : [aead];
  if (exports.length !== 2 * contexts.length) meter.fail(`${exports.length} keys are asked for`);
  for (const { tag, context, length } of exports) {
    const right = exporterContext(contexts[tag >> 1] ?? 0, tag & 1).equals(context);
    if (!right || length !== algorithm(aead).keyBytes) meter.fail(`key ${tag} of AEAD ${aead}: another is asked for`);
    meter.tell({ type: Message.TlsExported, id, tag, key: random.bytes(length) });
  }
  const keys = meter.events.find(({ code }) => code === MeterEvent.KeysEstablished);
  if (Number(keys?.a) !== aead || Number(keys?.b) !== cookies) {
    meter.fail(`AEAD ${keys?.a} and ${keys?.b} cookies instead of ${aead} and ${cookies}`);
  }
  const socket = meter.asked.find(
    (message) => message.type === Message.UdpOpen && sourceOf(message.socket) === sourceOf(id),
  );
  if (socket?.type !== Message.UdpOpen) meter.fail('no socket is asked for');
  else if (socket.host !== (host === '' ? keHost : ntpHost(host)) || socket.port !== (port || 123)) {
    meter.fail(`NTP at ${socket.host} port ${socket.port}`);
  }
}

const ke: Target = {
  name: 'ke',
  about: 'answers of NTS-KE to meters with one to four servers and any AEADs, against a second reading of RFC 8915 4.1',
  round: (random, modules) => {
    let inputs = 0;
    while (inputs < 60) {
      const aeads = knownAeads.filter(() => random.chance(0.7));
      const offered = aeads.length === 0 ? [random.pick(knownAeads)] : aeads;
      const settings = { ...settingsOf(random.between(1, 4)), aeads: offered };
      const meter = new DirectMeter(modules, random, undefined, undefined, settings);
      meter.start();
      const ids = settings.servers.map(() => meter.next(Message.TlsOpen).id);
      for (const id of ids) meter.tell(tlsOpened(id));
      // One answer is read at a time.
      for (const { host } of settings.servers) {
        inputs++;
        const { id, data } = meter.next(Message.TlsWrite);
        const told = keAeads(data);
        if (told.join() !== offered.join()) meter.fail(`AEADs ${told} are offered instead of ${offered}`);
        answerKe(random, meter, id, offered, host);
        ids.splice(ids.indexOf(id), 1);
      }
      if (ids.length > 0) meter.fail(`connections ${ids} were opened for nothing`);
    }
    return inputs;
  },
};

// ---------------------------------------------------------------- NTP

export interface Keys {
  readonly aead: number;
  readonly compliant: boolean;
  clientToServer: Uint8Array;
  serverToClient: Uint8Array;
}

/** The other ends of a meter's connections and sockets: what each source's server knows. */
export class Servers {
  /** In use, by source. */
  readonly keys = new Map<number, Keys>();
  /** Of connections whose keys are not whole yet, by id. */
  readonly #fresh = new Map<number, Keys>();

  constructor(
    readonly meter: DirectMeter,
    readonly random: Prng,
    readonly aeads: readonly number[] = knownAeads,
  ) {}

  keysOf(id: number): Keys {
    return this.keys.get(sourceOf(id)) ?? this.meter.fail(`source ${sourceOf(id)} polls without keys`);
  }

  /** Answers everything but datagrams. */
  answer(message: MeterMessage): void {
    const { meter, random } = this;
    if (message.type === Message.TlsOpen) {
      meter.tell(tlsOpened(message.id));
    } else if (message.type === Message.TlsWrite) {
      const aead = random.pick(this.aeads.filter((known) => keAeads(message.data).includes(known)));
      const compliant = aead === Aead.gcmSiv128 && random.chance(0.5);
      this.#fresh.set(message.id, {
        aead,
        compliant,
        clientToServer: random.bytes(algorithm(aead).keyBytes),
        serverToClient: random.bytes(algorithm(aead).keyBytes),
      });
      const cookieBytes = random.pick([1, 16, 100, 170, 256]);
      const answer = keAnswer(8, cookieBytes, aead, compliant ? [compliantRecord()] : []);
      for (let at = 0; at < answer.length; at += 219) {
        meter.tell({ type: Message.TlsData, id: message.id, data: answer.subarray(at, at + 219) });
      }
    } else if (message.type === Message.TlsExport) {
      this.#export(message);
    } else if (message.type === Message.UdpOpen) {
      const address = new Uint8Array(16);
      meter.tell({ type: Message.UdpOpened, socket: message.socket, family: 6, addresses: 1, address });
    }
  }

  #export({ id, tag, length, context }: Extract<MeterMessage, { type: Message.TlsExport }>): void {
    const keys = this.#fresh.get(id);
    if (keys === undefined) return;
    // Without record 1024, keys of AEAD 30 are those of the context that names AEAD 15.
    const own = keys.aead === Aead.gcmSiv128 && !keys.compliant ? Aead.sivCmac256 : keys.aead;
    const right = exporterContext(own, tag & 1).equals(context);
    const key = (tag & 1) === 0 ? keys.clientToServer : keys.serverToClient;
    if (right) this.keys.set(sourceOf(id), keys);
    this.meter.tell({ type: Message.TlsExported, id, tag, key: right ? key : this.random.bytes(length) });
  }
}

/** Changes parts of an answer that keep it honest about the time. */
function changeParts(random: Prng, parts: AnswerParts): void {
  if (random.chance(0.2))
    parts.first = random.chance(0.5) ? random.u32() & 0xff : random.pick([0x24, 0xe4, 0x64, 0x23]);
  if (random.chance(0.2)) parts.stratum = random.pick([0, 1, 2, 15, 16, 255]);
  if (random.chance(0.2)) parts.precision = random.pick([-128, -64, -32, -6, -1, 0, 1, 2, 127]);
  if (random.chance(0.2)) parts.rootDelay = random.pick([0, 1, 0x10000, 0x30000, 0xffff_ffff]);
  if (random.chance(0.2)) parts.rootDispersion = random.pick([0, 1, 0x17fff, 0x18000, 0xffff_ffff]);
  if (random.chance(0.1))
    parts.referenceId = Buffer.from(random.pick(['NTSN', 'RATE', 'RATE', 'DENY', 'RSTR', '\0\0\0\0']));
  if (random.chance(0.1)) parts.origin = Buffer.from(random.bytes(8));
  if (random.chance(0.1)) parts.identifier = Buffer.from(random.bytes(random.pick([32, 0, 12, 31, 33, 64])));
  if (random.chance(0.1)) parts.receiveUtcNs -= BigInt(random.size(2e9));
  if (random.chance(0.1)) parts.transmitUtcNs += BigInt(random.size(2e9));
  if (random.chance(0.05)) parts.transmitUtcNs -= BigInt(random.size(2e9));
  if (random.chance(0.05)) parts.receiveUtcNs -= BigInt(random.size(3e15));
  if (random.chance(0.1)) Object.assign(parts, { stratum: 0, referenceId: Buffer.from('NTSN') });
  // GCM-SIV has nonces of one length.
  const nonceBytes = parts.aead === Aead.gcmSiv128 ? 12 : random.pick([1, 15, 16, 17, 32, 100]);
  if (random.chance(0.3)) parts.nonce = Buffer.from(random.bytes(nonceBytes));
  if (random.chance(0.05)) parts.receiveUtcNs = parts.transmitUtcNs = -ntpEpochSeconds * second;
  const field = () =>
    extensionField(
      random.chance(0.3) ? random.pick([0x104, 0x204, 0x304, 0x404]) : random.u32() & 0xffff,
      random.bytes(12 + random.size(100)),
    );
  while (random.chance(0.2)) parts.extra.push(field());
  while (random.chance(0.2)) parts.extraSealed.push(field());
  if (random.chance(0.2)) parts.extraSealed.push(Buffer.from(random.bytes(random.size(40))));
  // A length that is no more than a field's header.
  if (random.chance(0.1)) {
    const type = random.pick([0x104, 0x204, 0x304, 0x404, 0x4321]);
    const short = Buffer.from([type >> 8, type & 0xff, 0, random.below(5), ...random.bytes(random.below(9))]);
    parts.extraSealed.splice(random.below(parts.extraSealed.length + 1), 0, short);
  }
  while (random.chance(0.2))
    parts.cookies.push(Buffer.from(random.bytes(random.pick([0, 1, 12, 100, 255, 256, 257, 260]))));
}

/** What RFC 5905, 7822 and 8915 5 make of an answer. */
function readAnswer(
  packet: Buffer,
  request: { identifier: Buffer; origin: Buffer },
  keys: Keys,
  floorNs: bigint,
): Reject {
  if (packet.length < 48 || packet.length > 1024 || packet.length % 4 !== 0) return Reject.Malformed;
  if ((packet[0]! & 7) !== 4 || ((packet[0]! >> 3) & 7) !== 4) return Reject.Mode;
  if (!packet.subarray(24, 32).equals(request.origin)) return Reject.Origin;
  let identified = false;
  let authenticator: { at: number; value: Buffer } | undefined;
  for (let at = 48; at < packet.length; ) {
    const length = packet.length - at < 4 ? 0 : packet.readUInt16BE(at + 2);
    if (length < 16 || length % 4 !== 0 || at + length > packet.length) return Reject.Malformed;
    const type = packet.readUInt16BE(at);
    const value = packet.subarray(at + 4, at + length);
    if (authenticator !== undefined) {
      // Not authenticated, and without effect.
    } else if (type === 0x104) {
      if (identified) return Reject.Malformed;
      if (!value.equals(request.identifier)) return Reject.UniqueIdentifier;
      identified = true;
    } else if (type === 0x404) authenticator = { at, value };
    at += length;
  }
  if (!identified) return Reject.UniqueIdentifier;
  const kiss = packet[1] === 0;
  if (authenticator === undefined) {
    if (!kiss) return Reject.NoAuthenticator;
    return packet.toString('latin1', 12, 16) === 'NTSN' ? Reject.Nak : Reject.Kiss;
  }
  const { value } = authenticator;
  const [nonceBytes, sealedBytes] = [value.readUInt16BE(0), value.readUInt16BE(2)];
  const sealedAt = 4 + ((nonceBytes + 3) & ~3);
  if (nonceBytes === 0 || sealedBytes < 16 || sealedAt + ((sealedBytes + 3) & ~3) > value.length)
    return Reject.Authentication;
  const { aead, serverToClient } = keys;
  if (aead === Aead.gcmSiv128 && nonceBytes !== 12) return Reject.Authentication;
  const plaintext = open(
    aead,
    serverToClient,
    value.subarray(4, 4 + nonceBytes),
    packet.subarray(0, authenticator.at),
    value.subarray(sealedAt, sealedAt + sealedBytes),
  );
  if (plaintext === undefined) return Reject.Authentication;
  for (let at = 0; at < plaintext.length; ) {
    const length = plaintext.length - at < 4 ? 0 : plaintext.readUInt16BE(at + 2);
    if (length < 4 || at + length > plaintext.length) return Reject.Malformed;
    if (plaintext.readUInt16BE(at) === 0x204 && (length === 4 || length > 260)) return Reject.Malformed;
    at += length;
  }
  if (kiss) return Reject.Kiss;
  if (packet[1]! > 15 || packet[0]! >> 6 === 3) return Reject.Unsynchronised;
  const short = (at: number) => (BigInt(packet.readUInt32BE(at)) * second) >> 16n;
  const precision = packet.readInt8(3);
  // A server's precision is part of what its timestamps may be wrong by.
  const precisionNs = precision > 0 ? 4n * second : (second >> BigInt(-precision)) + 1n;
  if (short(4) / 2n + short(8) + precisionNs > 1_500_000_000n) return Reject.RootDistance;
  const [received, transmitted] = [timestamp(packet, 32), timestamp(packet, 40)];
  const zero = Buffer.alloc(8);
  if (packet.subarray(32, 40).equals(zero) || packet.subarray(40, 48).equals(zero)) return Reject.ServerTime;
  if (transmitted < received) return Reject.ServerTime;
  const latestNs = floorNs + 40n * 31_557_600n * second;
  return received < floorNs || received > latestNs ? Reject.BehindFloor : Reject.None;
}

/** UTC ns of an NTP timestamp of our time. */
function timestamp(packet: Buffer, at: number): bigint {
  // All dates here lie in the 136 years from one year before the software was built.
  const earliest = buildUnixSeconds - 31_557_600n + 2_208_988_800n;
  const since = (BigInt(packet.readUInt32BE(at)) - earliest) & 0xffff_ffffn;
  return (earliest + since - 2_208_988_800n) * second + ((BigInt(packet.readUInt32BE(at + 4)) * second) >> 32n);
}

const ntp: Target = {
  name: 'ntp',
  about:
    'NTP answers of one to four servers with any AEADs, sealed and not, against a second reading of RFC 7822 and 8915 5; ' +
    'the time against the truth, also where one of three lies',
  round: (random, modules) => {
    const settings = settingsOf(random.between(1, 4));
    const meter = new DirectMeter(modules, random, undefined, undefined, settings);
    const servers = new Servers(meter, random);
    meter.start();
    const utcNs = () => startUtcNs + meter.tick;
    const floorNs = buildUnixSeconds * second;
    const liars = new Set<number>();
    const liarsMost = settings.servers.length >= 3 ? 1 : 0;
    let inputs = 0;
    for (let poll = 0; poll < 40; poll++) {
      const send = meter.next(Message.UdpSend, (message) => servers.answer(message));
      const source = sourceOf(send.socket);
      const keys = servers.keysOf(send.socket);
      const request = openRequest(Buffer.from(send.payload), keys.clientToServer, keys.aead);
      if (request === undefined) {
        // Where the context of the keys was not said, a NAK that no answer contradicts leads to those of the other one.
        const switched = meter.events.some(({ code }) => code === MeterEvent.KeysSwitched);
        if (!switched || keys.aead !== Aead.gcmSiv128 || keys.compliant) meter.fail('a request under other keys');
        break;
      }
      meter.tick += BigInt(random.size(1e8));
      const parts = answerParts(request, utcNs(), utcNs());
      meter.tick += BigInt(random.size(1e8));
      for (let i = 0; i < 12; i++) {
        inputs++;
        const copy = { ...parts, cookies: [...parts.cookies], extra: [], extraSealed: [] };
        if (random.chance(0.6)) changeParts(random, copy);
        const kind = random.below(6);
        let packet: Buffer = kind === 0 ? unsealedAnswer(copy) : sealedAnswer(copy, keys.serverToClient);
        if (kind === 1) packet = Buffer.from(mutate(random, packet, 1240));
        if (kind === 2) packet = Buffer.from(random.bytes(random.size(1240)));
        if (kind === 3 && random.chance(0.3)) {
          packet = Buffer.concat([packet, extensionField(random.u32() & 0xffff, random.bytes(12 + random.size(40)))]);
        }
        if (packet.length > 1240) continue;
        // Spaced so that each answer has a report of its own.
        meter.tick += 60_000_000n;
        meter.feed(Event.TimeAsk);
        const before = meter.counts.get(source)!;
        const expected = readAnswer(packet, request, keys, floorNs);
        const message = new Uint8Array(UdpReceivedField.Payload + packet.length);
        message.set(random.bytes(UdpReceivedField.Payload));
        message.set([Message.UdpReceived, send.socket, send.exchange & 0xff, send.exchange >> 8]);
        message.set(packet, UdpReceivedField.Payload);
        meter.tick += 60_000_000n;
        meter.deliver(Channel.Time, message);
        const { rejected, authenticated, lastReject } = meter.counts.get(source)!;
        const told = sum(rejected) === sum(before.rejected) ? Reject.None : lastReject;
        // Receive and transmit time may be so far apart that no round trip holds them; what a server said before may
        // contradict them; and a meter that had a time raised its floor to it.
        const late = [Reject.Delay, Reject.Backwards, Reject.BehindFloor].includes(told) && expected === Reject.None;
        if (told !== expected && !late) {
          meter.fail(`an answer is ${Reject[told]} instead of ${Reject[expected]}: ${packet.toString('hex')}`);
        }
        // A server that gives one time twice, apart by seconds, is not honest.
        const same = copy.receiveUtcNs === parts.receiveUtcNs && copy.transmitUtcNs === copy.receiveUtcNs;
        if (expected === Reject.None && !same) liars.add(source);
        const { status, utcNs: shownNs, boundNs } = meter.report!;
        const error = shownNs - utcNs();
        const known = status !== ClockStatus.Unsynchronised && meter.reportTick === meter.tick;
        if (liars.size <= liarsMost && known && (error < 0n ? -error : error) > boundNs) {
          meter.fail(`an error of ${error} ns with a bound of ${boundNs} ns, and ${liars.size} liars`);
        }
        if (authenticated !== before.authenticated) break;
        if (expected === Reject.None) meter.fail('an answer was taken without being counted');
      }
      const stopped = meter.events.filter(({ code }) => code === MeterEvent.SourceStopped).length;
      if (stopped === settings.servers.length) break;
    }
    return inputs;
  },
};

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);

export const ntsTargets: readonly Target[] = [ke, ntp];
