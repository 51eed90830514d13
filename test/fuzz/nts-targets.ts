import { aessiv } from '@noble/ciphers/aes.js';
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
import {
  type AnswerParts,
  aeadRecord,
  answerParts,
  endOfMessage,
  extensionField,
  keAnswer,
  nextProtocol,
  readRequest,
  record,
  sealedAnswer,
  unsealedAnswer,
} from '../core/nts-reference.ts';
import { buildUnixSeconds, DirectMeter } from './direct-meter.ts';
import { joined, mutate } from './mutate.ts';
import type { Prng } from './prng.ts';
import type { Target } from './targets.ts';

const second = 1_000_000_000n;
/** UTC at tick 0 of a meter here. */
export const startUtcNs = (buildUnixSeconds + 1_000_000n) * second;

function randomRecord(random: Prng): Uint8Array {
  const critical = random.chance(0.5);
  switch (random.below(12)) {
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
    default:
      return record(5, random.bytes(random.between(1, 256)), critical);
  }
}

function randomKeAnswer(random: Prng): Uint8Array {
  switch (random.below(5)) {
    case 0:
      return random.bytes(random.size(1000));
    case 1:
      return mutate(random, keAnswer(random.between(1, 3), random.between(1, 256)), 20_000);
    case 2: {
      const list = Array.from({ length: random.size(12) }, () => randomRecord(random));
      return joined(list);
    }
    default: {
      const list = [
        nextProtocol(),
        aeadRecord(15, random.chance(0.5)),
        record(5, random.bytes(random.between(1, 256)), false),
      ];
      for (let more = random.size(4); more > 0; more--)
        list.splice(random.below(list.length + 1), 0, randomRecord(random));
      return joined([...list, endOfMessage()]);
    }
  }
}

/** What RFC 8915 4.1 makes of an answer: what it gives and where it ends, undefined when it is none. */
function readKeAnswer(
  bytes: Uint8Array,
): { cookies: number; host: string; port: number; endBytes: number } | undefined {
  const buffer = Buffer.from(bytes);
  const times = new Map<number, number>();
  let [cookies, host, port] = [0, '', 0];
  // Longer answers are given up.
  for (let at = 0; at + 4 <= buffer.length && at < 16_384; ) {
    const critical = (buffer[at]! & 0x80) !== 0;
    const type = buffer.readUInt16BE(at) & 0x7fff;
    const length = buffer.readUInt16BE(at + 2);
    const body = buffer.subarray(at + 4, at + 4 + length);
    at += 4 + length;
    if (body.length < length || at > 16_384) return undefined;
    times.set(type, (times.get(type) ?? 0) + 1);
    const once = times.get(type) === 1;
    if (type === 0) {
      const whole = critical && length === 0 && times.has(1) && times.has(4) && cookies > 0;
      return whole ? { cookies: Math.min(cookies, 8), host, port, endBytes: at } : undefined;
    }
    if (type === 1 && !(once && critical && body.equals(Uint8Array.of(0, 0)))) return undefined;
    if (type === 2 || type === 3) return undefined;
    if (type === 4 && !(once && body.equals(Uint8Array.of(0, 15)))) return undefined;
    if (type === 5) {
      if (length < 1 || length > 256) return undefined;
      cookies++;
    }
    if (type === 6) {
      if (!once || length < 1 || length > 64 || !/^[\x21-\x7e]+$/.test(body.toString('latin1'))) return undefined;
      host = body.toString('latin1');
    }
    if (type === 7) {
      if (!once || length !== 2 || body.readUInt16BE(0) === 0) return undefined;
      port = body.readUInt16BE(0);
    }
    if (type > 7 && critical) return undefined;
  }
  return undefined;
}

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

const ke: Target = {
  name: 'ke',
  about: 'answers of NTS-KE, against a second reading of RFC 8915 4.1',
  round: (random, modules) => {
    const meter = new DirectMeter(modules, random);
    meter.start();
    const inputs = 60;
    for (let i = 0; i < inputs; i++) {
      const { id } = meter.next(Message.TlsOpen);
      meter.tell(tlsOpened(id));
      meter.asked = [];
      meter.events.length = 0;
      const answer = randomKeAnswer(random);
      const pieceBytes = random.chance(0.3) ? 1 + random.size(20) : 235;
      const read = readKeAnswer(answer);
      // What comes after the end is seen where it comes in the same piece, and not waited for.
      const endPieceBytes = read && Math.min(Math.ceil(read.endBytes / pieceBytes) * pieceBytes, answer.length);
      const expected = read?.endBytes === endPieceBytes ? read : undefined;
      for (let at = 0; at < answer.length; at += pieceBytes) {
        meter.tell({ type: Message.TlsData, id, data: answer.subarray(at, at + pieceBytes) });
      }
      const taken = meter.asked.some(({ type }) => type === Message.TlsExport);
      if (taken !== (expected !== undefined)) {
        meter.fail(`an answer of NTS-KE is ${taken ? 'taken' : 'refused'}: ${Buffer.from(answer).toString('hex')}`);
      }
      if (taken && expected !== undefined) {
        for (const tag of [0, 1]) meter.tell({ type: Message.TlsExported, id, tag, key: random.bytes(32) });
        const keys = meter.events.find(({ code }) => code === MeterEvent.KeysEstablished);
        if (Number(keys?.b) !== expected.cookies) meter.fail(`${keys?.b} cookies instead of ${expected.cookies}`);
        const socket = meter.next(Message.UdpOpen);
        if (socket.host !== (expected.host || 'time.test') || socket.port !== (expected.port || 123)) {
          meter.fail(`NTP at ${socket.host} port ${socket.port}`);
        }
        // No answer to any poll: new keys are asked for.
        meter.tell({ type: Message.UdpOpenFailed, socket: socket.socket, reason: Failure.Dns, detail: '' });
      } else {
        meter.tell({ type: Message.TlsClosed, id, reason: random.pick([Failure.None, Failure.Reset]), detail: '' });
        if (taken) meter.tell({ type: Message.TlsClosed, id, reason: Failure.Reset, detail: '' });
        if (!meter.events.some(({ code }) => code === MeterEvent.KeFailed)) meter.fail('a failure that is not told');
      }
    }
    return inputs;
  },
};

// ---------------------------------------------------------------- NTP

export interface Keys {
  clientToServer: Uint8Array;
  serverToClient: Uint8Array;
}

/** Answers everything but datagrams. */
export function answerSockets(meter: DirectMeter, random: Prng, keys: Keys, message: MeterMessage): void {
  if (message.type === Message.TlsOpen) {
    keys.clientToServer = random.bytes(32);
    keys.serverToClient = random.bytes(32);
    meter.tell(tlsOpened(message.id));
  } else if (message.type === Message.TlsWrite) {
    const answer = keAnswer(8, random.pick([1, 16, 100, 256]));
    for (let at = 0; at < answer.length; at += 235) {
      meter.tell({ type: Message.TlsData, id: message.id, data: answer.subarray(at, at + 235) });
    }
  } else if (message.type === Message.TlsExport) {
    const key = message.tag === 0 ? keys.clientToServer : keys.serverToClient;
    meter.tell({ type: Message.TlsExported, id: message.id, tag: message.tag, key });
  } else if (message.type === Message.UdpOpen) {
    const address = new Uint8Array(16);
    meter.tell({ type: Message.UdpOpened, socket: message.socket, family: 6, addresses: 1, address });
  }
}

/** Changes parts of an answer that keep it honest about the time. */
function changeParts(random: Prng, parts: AnswerParts): void {
  if (random.chance(0.2))
    parts.first = random.chance(0.5) ? random.u32() & 0xff : random.pick([0x24, 0xe4, 0x64, 0x23]);
  if (random.chance(0.2)) parts.stratum = random.pick([0, 1, 2, 15, 16, 255]);
  if (random.chance(0.2)) parts.rootDelay = random.pick([0, 1, 0x10000, 0x30000, 0xffff_ffff]);
  if (random.chance(0.2)) parts.rootDispersion = random.pick([0, 1, 0x17fff, 0x18000, 0xffff_ffff]);
  if (random.chance(0.1)) parts.referenceId = Buffer.from(random.pick(['NTSN', 'RATE', 'DENY', '\0\0\0\0']));
  if (random.chance(0.1)) parts.origin = Buffer.from(random.bytes(8));
  if (random.chance(0.1)) parts.identifier = Buffer.from(random.bytes(random.pick([32, 0, 12, 31, 33, 64])));
  if (random.chance(0.1)) parts.receiveUtcNs -= BigInt(random.size(2e9));
  if (random.chance(0.1)) parts.transmitUtcNs += BigInt(random.size(2e9));
  if (random.chance(0.05)) parts.transmitUtcNs -= BigInt(random.size(2e9));
  if (random.chance(0.05)) parts.receiveUtcNs -= BigInt(random.size(3e15));
  if (random.chance(0.1)) Object.assign(parts, { stratum: 0, referenceId: Buffer.from('NTSN') });
  if (random.chance(0.3)) parts.nonce = Buffer.from(random.bytes(random.pick([1, 15, 16, 17, 32, 100])));
  const field = () =>
    extensionField(
      random.chance(0.3) ? random.pick([0x104, 0x204, 0x304, 0x404]) : random.u32() & 0xffff,
      random.bytes(12 + random.size(100)),
    );
  while (random.chance(0.2)) parts.extra.push(field());
  while (random.chance(0.2)) parts.extraSealed.push(field());
  if (random.chance(0.2)) parts.extraSealed.push(Buffer.from(random.bytes(random.size(40))));
  while (random.chance(0.2))
    parts.cookies.push(Buffer.from(random.bytes(random.pick([0, 1, 12, 100, 255, 256, 257, 260]))));
}

/** What RFC 5905, 7822 and 8915 5 make of an answer. */
function readAnswer(
  packet: Buffer,
  request: { identifier: Buffer; origin: Buffer },
  key: Uint8Array,
  floorNs: bigint,
): Reject {
  if (packet.length < 48 || packet.length > 1232 || packet.length % 4 !== 0) return Reject.Malformed;
  if ((packet[0]! & 7) !== 4 || ((packet[0]! >> 3) & 7) !== 4) return Reject.Mode;
  if (!packet.subarray(24, 32).equals(request.origin)) return Reject.Origin;
  let identified = false;
  let authenticator: { at: number; value: Buffer } | undefined;
  for (let at = 48; at < packet.length; ) {
    const length = packet.length - at < 4 ? 0 : packet.readUInt16BE(at + 2);
    if (length < 16 || length % 4 !== 0 || at + length > packet.length || authenticator !== undefined)
      return Reject.Malformed;
    const type = packet.readUInt16BE(at);
    const value = packet.subarray(at + 4, at + length);
    if (type === 0x104) {
      if (identified) return Reject.Malformed;
      if (!value.equals(request.identifier)) return Reject.UniqueIdentifier;
      identified = true;
    }
    if (type === 0x404) authenticator = { at, value };
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
  let plaintext: Buffer;
  try {
    const cipher = aessiv(key, packet.subarray(0, authenticator.at), value.subarray(4, 4 + nonceBytes));
    plaintext = Buffer.from(cipher.decrypt(value.subarray(sealedAt, sealedAt + sealedBytes)));
  } catch {
    return Reject.Authentication;
  }
  for (let at = 0; at < plaintext.length; ) {
    const length = plaintext.length - at < 4 ? 0 : plaintext.readUInt16BE(at + 2);
    if (length < 4 || at + length > plaintext.length) return Reject.Malformed;
    if (plaintext.readUInt16BE(at) === 0x204 && (length === 4 || length > 260)) return Reject.Malformed;
    at += length;
  }
  if (kiss) return Reject.Kiss;
  if (packet[1]! > 15 || packet[0]! >> 6 === 3) return Reject.Unsynchronised;
  const short = (at: number) => (BigInt(packet.readUInt32BE(at)) * second) >> 16n;
  if (short(4) / 2n + short(8) > 1_500_000_000n) return Reject.RootDistance;
  const [received, transmitted] = [timestamp(packet, 32), timestamp(packet, 40)];
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
  about: 'NTP answers, sealed and not, against a second reading of RFC 7822 and 8915 5; the time against the truth',
  round: (random, modules) => {
    const meter = new DirectMeter(modules, random);
    const keys = { clientToServer: new Uint8Array(32), serverToClient: new Uint8Array(32) };
    meter.start();
    const utcNs = () => startUtcNs + meter.tick;
    const floorNs = buildUnixSeconds * second;
    let inputs = 0;
    let honest = true;
    for (let poll = 0; poll < 40; poll++) {
      const send = meter.next(Message.UdpSend, (message) => answerSockets(meter, random, keys, message));
      const request = readRequest(Buffer.from(send.payload), keys.clientToServer);
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
        if (packet.length > 1240) continue;
        // Spaced so that each answer has a report of its own.
        meter.tick += 60_000_000n;
        meter.feed(Event.TimeAsk);
        const before = meter.report!;
        const expected = readAnswer(packet, request, keys.serverToClient, floorNs);
        const message = new Uint8Array(UdpReceivedField.Payload + packet.length);
        message.set(random.bytes(UdpReceivedField.Payload));
        message.set([Message.UdpReceived, send.socket, send.exchange & 0xff, send.exchange >> 8]);
        message.set(packet, UdpReceivedField.Payload);
        meter.tick += 60_000_000n;
        meter.deliver(Channel.Time, message);
        const { rejected, authenticated, lastReject, status, utcNs: shownNs, boundNs } = meter.report!;
        const told = rejected === before.rejected ? Reject.None : lastReject;
        // Receive and transmit time may be so far apart that no round trip holds them.
        const delayed = told === Reject.Delay && expected === Reject.None;
        // A meter that had a time raised its floor to it.
        const behind =
          told === Reject.BehindFloor && expected === Reject.None && copy.receiveUtcNs < parts.receiveUtcNs;
        if (told !== expected && !delayed && !behind) {
          meter.fail(`an answer is ${Reject[told]} instead of ${Reject[expected]}: ${packet.toString('hex')}`);
        }
        // A server that gives one time twice, apart by seconds, is not honest.
        if (expected === Reject.None && copy.transmitUtcNs - copy.receiveUtcNs > 0n) honest = false;
        if (expected === Reject.None && copy.receiveUtcNs !== parts.receiveUtcNs) honest = false;
        const error = shownNs - utcNs();
        if (honest && status !== ClockStatus.Unsynchronised && (error < 0n ? -error : error) > boundNs) {
          meter.fail(`an error of ${error} ns with a bound of ${boundNs} ns`);
        }
        if (authenticated !== before.authenticated) break;
        if (expected === Reject.None) meter.fail('an answer was taken without being counted');
      }
      meter.asked = meter.asked.filter(({ type }) => type !== Message.UdpSend);
    }
    return inputs;
  },
};

export const ntsTargets: readonly Target[] = [ke, ntp];
