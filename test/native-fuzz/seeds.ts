// First inputs of each native target, in the form that its C reads (harness/*.c): what a good peer sends, and a few of
// the rules' edges, so that the fuzzer need not find their shapes itself.

import { crc32 } from 'node:zlib';
import {
  Capability,
  Channel,
  Event,
  Failure,
  Message,
  RtcStatus,
  SettingsField,
  StorageMap,
} from '../../as/abi/codes.ts';
import { Control, Credit, FrameSize } from '../../as/link/layout.ts';
import { encodeTemperature } from '../../host/meter/parts.ts';
import {
  aeadRecord,
  compliantRecord,
  endOfMessage,
  extensionField,
  nextProtocol,
  ntpTimestamp,
  record,
} from '../core/nts-reference.ts';
import { buildUnixSeconds } from '../fuzz/direct-meter.ts';
import { gatewayMessages } from '../fuzz/gateway-messages.ts';
import { keAnswer, settingsBlock, settingsBlockOf } from './data.ts';

const u16 = (value: number) => [value & 0xff, value >> 8];
const bytes = (...parts: (number | ArrayLike<number>)[]) =>
  Buffer.concat(parts.map((part) => (typeof part === 'number' ? Buffer.of(part) : Buffer.from(Array.from(part)))));
const zeros = (length: number) => new Uint8Array(length);

const second = 1_000_000_000n;
const nowNs = (buildUnixSeconds + 1_000_000n) * second;

// ---------------------------------------------------------------- NTS-KE

/** Second byte: source, AEADs offered, old cookies, whether the new ones count (harness/parsers.c). */
const keMode = (source: number, rest: number) => (source & 3) | (rest === 6 ? 16 | 32 : rest === 234 ? 8 : 32);

/** An answer with cookies of these lengths; eight of one length. */
function answerWith(lengths: readonly number[]): Buffer {
  const all = lengths.length === 1 ? Array.from({ length: 8 }, () => lengths[0]!) : lengths;
  const cookies = all.map((length) => record(5, new Uint8Array(length).fill(0xc0), false));
  return Buffer.concat([nextProtocol(), aeadRecord(), ...cookies, endOfMessage()]);
}

/** Room for a server's cookies, each with its length in two bytes (`as/nts/cookies.ts`). */
const JAR_BYTES = 880;

/** The cookie that fills a jar with these in it to its last byte. */
const left = (...cookies: number[]) => cookies.reduce((room, bytes) => room - 2 - bytes, JAR_BYTES - 2);

function keSeeds(): Buffer[] {
  const server = record(6, Buffer.from('ntp.test'), false);
  const answers = [
    keAnswer(100),
    Buffer.concat([nextProtocol(), aeadRecord(), record(5, zeros(256), false), endOfMessage()]),
    Buffer.concat([
      nextProtocol(),
      aeadRecord(),
      server,
      record(7, [0, 124]),
      record(5, zeros(1), false),
      endOfMessage(),
    ]),
    Buffer.concat([record(0x4000, zeros(300), false), nextProtocol(), aeadRecord(15, false), endOfMessage()]),
    Buffer.concat([record(2, [0, 1])]),
    Buffer.concat([record(3, [0, 1])]),
    Buffer.concat([nextProtocol(), record(4, []), endOfMessage()]),
    Buffer.concat([nextProtocol(1), aeadRecord(30), endOfMessage()]),
    ...[15, 16, 17, 30].map((aead) => keAnswer(100, aead)),
    keAnswer(60, 30, [compliantRecord()]),
    keAnswer(60, 30, [record(1024, [0], false)]),
    keAnswer(256, 17, [record(1024, [], true)]),
    // A jar that is full to its last byte, and one byte more: alone, and beside two old cookies of 200 bytes.
    ...[[JAR_BYTES / 8 - 2], [256, 256, 256, left(256, 256, 256)], [256, 256, 256, left(256, 256, 256) + 1]].map(
      answerWith,
    ),
    ...[0, 1].map((more) => answerWith([200, 136, left(200, 200, 200, 136) + more])),
  ];
  const endless = record(0x4000, new Uint8Array(300).fill(0xff), false);
  return [
    bytes(255, 0xc0, endless),
    ...answers.flatMap((answer, i) => [0, 6, 234].map((piece) => bytes(piece, keMode(i, piece), answer))),
  ];
}

// ---------------------------------------------------------------- NTP

/** First byte of an answer: harness/answer.c. */
const mode = { origin: 1, identifier: 2, sealed: 4, plausible: 8, tampered: 16, cut: 32, context: 64, source: 128 };

interface Answer {
  readonly mode: number;
  readonly header?: Uint8Array;
  readonly fields?: Uint8Array;
  readonly nonceBytes?: number;
  readonly text?: Uint8Array;
  readonly rest?: readonly number[];
}

function answer({
  mode: how,
  header = zeros(48),
  fields = zeros(0),
  nonceBytes = 16,
  text = zeros(0),
  rest = [],
}: Answer) {
  const seal = how & mode.sealed ? [nonceBytes - 1, ...zeros(nonceBytes), ...u16(text.length), ...text] : [];
  return bytes(how, header, u16(fields.length), fields, seal, rest);
}

function header(stratum: number, kiss: string): Buffer {
  const result = Buffer.alloc(48);
  result[0] = 0x24;
  result[1] = stratum;
  result.write(kiss, 12, 'latin1');
  ntpTimestamp(nowNs).copy(result, 32);
  ntpTimestamp(nowNs).copy(result, 40);
  return result;
}

const nakAnswer = () => answer({ mode: mode.origin | mode.identifier, header: header(0, 'NTSN') });

function answers(): Buffer[] {
  const good = mode.origin | mode.identifier | mode.sealed | mode.plausible;
  const cookies = Buffer.concat(Array.from({ length: 3 }, () => extensionField(0x204, zeros(100))));
  const other = extensionField(0x4321, zeros(28));
  const nak = mode.origin | mode.identifier;
  return [
    answer({ mode: good, text: cookies }),
    answer({ mode: good, text: extensionField(0x204, zeros(256)), fields: other }),
    answer({ mode: good, nonceBytes: 1, text: Buffer.concat([other, cookies]) }),
    answer({ mode: good, nonceBytes: 33, text: zeros(5) }),
    answer({ mode: good | mode.tampered, text: cookies, rest: [...u16(60), 3] }),
    answer({ mode: good | mode.cut, text: cookies, rest: [4] }),
    answer({ mode: good | mode.context, text: cookies }),
    answer({ mode: good | mode.source, text: cookies }),
    answer({ mode: good, nonceBytes: 64, text: cookies }),
    nakAnswer(),
    answer({ mode: nak, header: header(0, 'RATE'), fields: other }),
    answer({ mode: nak | mode.sealed, header: header(0, 'RATE') }),
    answer({ mode: nak | mode.sealed, header: header(3, '\x7f\0\0\x01') }),
    answer({ mode: nak, header: header(1, 'TEST'), fields: Buffer.concat([other, other]) }),
    // Authenticators that say lengths of their own.
    ...[
      [16, 16],
      [16, 17],
      [0, 16],
      [1, 36],
      [65_535, 16],
      [16, 65_535],
      [4, 40],
    ].map(([nonce = 0, sealed = 0]) => {
      const value = Buffer.alloc(44);
      value.writeUInt16BE(nonce, 0);
      value.writeUInt16BE(sealed, 2);
      return answer({ mode: nak, header: header(1, 'TEST'), fields: extensionField(0x404, value) });
    }),
    // The jar is full to its last byte; a cookie more; one that does not fit.
    ...[
      [132, 132],
      [132, 132, 12],
      [132, 136],
    ].map((lengths) =>
      answer({ mode: good, text: Buffer.concat(lengths.map((length) => extensionField(0x204, zeros(length)))) }),
    ),
    // Sealed fields of no length, of less than their header, and of no multiple of four.
    ...[0, 1, 2, 3, 4, 5, 6, 7, 8].map((length) => answer({ mode: good, text: bytes(4, 4, 0, length, zeros(8)) })),
  ];
}

/** Answers for a source of each AEAD. */
const answerSeeds = () => answers().flatMap((one) => [0, 1, 2, 3].map((source) => bytes(source, one)));

/** Each algorithm sealed and opened, tampered with, and opened as it is, with texts of several blocks. */
function aeadSeeds(): Buffer[] {
  return [0, 4, 8, 16, 24].flatMap((how) =>
    [0, 1, 2, 3].flatMap((algorithm) =>
      [16, 17, 48, 130].map((length) => bytes(how | algorithm, length, length, zeros(400), 70, 0, 1)),
    ),
  );
}

// ---------------------------------------------------------------- storage

const items = settingsBlock.subarray(
  SettingsField.Items,
  SettingsField.Items + Buffer.from(settingsBlock).readUInt16LE(SettingsField.ItemsBytes),
);
const server = (length: number) => bytes(3, 2 + length, u16(4460), Buffer.alloc(length, 'h'));

/** AEADs, age of keys, agreement, spread, limits. */
const more = bytes(7, 4, 17, 16, 15, 30, 8, 2, u16(24), 9, 1, 3, 10, 2, u16(600), 11, 5, 4, u16(500), u16(700));

/** A block with as many bytes of items and the right CRC-32 behind them, as much of it as there is room for. */
function longBlock(itemsBytes: number): Buffer {
  const block = Buffer.alloc(SettingsField.Items + itemsBytes + 4);
  block.set(settingsBlock.subarray(0, SettingsField.Items));
  block.writeUInt16LE(itemsBytes, SettingsField.ItemsBytes);
  block.set(items, SettingsField.Items);
  // Items that may be skipped fill it, in lengths that add up to the byte.
  let at = SettingsField.Items + items.length;
  for (let left = itemsBytes - items.length; left > 0; ) {
    const size = left > 257 ? 200 : left;
    block.set([0x80, size - 2], at);
    at += size;
    left -= size;
  }
  block.writeUInt32LE(crc32(block.subarray(0, at)), at);
  return block.subarray(0, StorageMap.SettingsBytes);
}

function settingsSeeds(): Buffer[] {
  const id = bytes(1, 32, Buffer.alloc(32, 'm'));
  const all = [
    items,
    bytes(items, server(63), server(1), server(20)),
    bytes(items, more),
    bytes(items, 0x80, 3, zeros(3)),
    bytes(id, items.subarray(2 + items[1]!)),
    bytes(1, 40, Buffer.alloc(40, 'm'), items.subarray(2 + items[1]!)),
    bytes(items, 7, 0),
  ];
  return [
    ...all.map((list) => bytes(1, list)),
    ...[499, 500, 501, 502, 503, 504].map((length) => bytes(0, longBlock(length))),
    bytes(0, settingsBlock),
    bytes(2, u16(100), settingsBlock.subarray(0, 100)),
  ];
}

function startSeeds(): Buffer[] {
  const date = bytes(RtcStatus.Running, 1, 2, 3, 4, 12, u16(2026));
  const absent = bytes(RtcStatus.Absent, zeros(7));
  const state = (count: number) => {
    const record = Buffer.alloc(224);
    record.writeUInt32LE(2, 0);
    record.writeBigInt64LE(nowNs, 8);
    // Compared then; 20 ms off within 1 ms; 5 ppm fast within 3 ppm, after a day.
    record.writeBigInt64LE(nowNs, 16);
    record.writeBigInt64LE(20_000_000n, 24);
    record.writeBigInt64LE(1_000_000n, 32);
    record.writeBigInt64LE(400_000n, 40);
    record.writeInt32LE(5000, 48);
    record.writeInt32LE(3000, 52);
    record.writeInt32LE(86_400, 56);
    return bytes(count, zeros(3), record);
  };
  const seed = (count: number) => bytes(count, zeros(3), new Uint8Array(32).fill(7), zeros(24));
  const four = settingsBlockOf(4);
  return [
    bytes(0, 0, u16(0), absent),
    bytes(0, 3, u16(0), date, state(1), state(2)),
    bytes(32 | 64, 2, u16(0), date, state(1), state(2)),
    bytes(32, 1, u16(0), date, state(3)),
    bytes(8 | 16, 3, u16(0), absent, seed(2), seed(4)),
    bytes(4, 0, u16(0), absent, u16(items.length), items),
    bytes(4, 0, u16(0), absent, u16(items.length + more.length), items, more),
    bytes(2, 0, u16(0), absent, u16(settingsBlock.length), settingsBlock),
    bytes(2, 0, u16(0), absent, u16(four.length), four),
    bytes(128, 3, u16(0), absent),
    ...[1, 2, 4, 8, 0x10, 0x20, 0xffff].map((failing) => bytes(0, 1, u16(failing), date)),
    bytes(1, 0, u16(0), absent, zeros(2 * 44), 128, zeros(3), Capability.Storage),
  ];
}

// ---------------------------------------------------------------- messages to a meter

/** A message for a source, behind its type and id. */
function told(source: number, type: Message, rest: Uint8Array): Buffer {
  const short = rest.length < 256;
  // Five at a time; the rest is zeros.
  const length = short ? rest.length : Math.ceil(rest.length / 5);
  const kind = gatewayMessages.indexOf(type) + (short ? 0 : 130 - (130 % gatewayMessages.length));
  return bytes(source, kind, length, rest, zeros(short ? 0 : 5 * length - rest.length));
}

/** A message that is its type alone. */
const cut = (type: Message) => bytes(0, 40 + gatewayMessages.indexOf(type), 0);

/** Steps of the target `messages` (harness/meter.c). */
const message = (source: number, type: Message, rest: Uint8Array) => bytes(1, told(source, type, rest));
const datagram = (source: number, one: Uint8Array) => bytes(0, source, zeros(8), one);
const wake = Buffer.of(3);
const later = (units: number, shift: number) => bytes(4 | (shift << 3), u16(units));

function establishment(source: number, answerBytes: Uint8Array, keyBytes = 32, tags = [0, 1]): Buffer {
  const opened = bytes(zeros(8), new Uint8Array(8).fill(0x7f), zeros(32), 7, Buffer.from('ntske/1'));
  return bytes(
    message(source, Message.TlsOpened, opened),
    message(source, Message.TlsData, answerBytes),
    ...tags.map((tag) => message(source, Message.TlsExported, bytes(tag, zeros(keyBytes)))),
    message(source, Message.UdpOpened, bytes(6, 1, zeros(16))),
    wake,
  );
}

/** First byte of the target: what the meter is doing, and how many servers it has. */
const doing = (state: 0 | 1 | 2, servers: number) => state + 3 * (servers - 1);

function messageSeeds(): Buffer[] {
  const all = answers();
  const good = all[0]!;
  const nak = nakAnswer();
  const failed = message(0, Message.UdpOpenFailed, bytes(Failure.Dns, 0));
  const silence = Array.from({ length: 10 }, () => bytes(wake, later(4000, 20)));
  const readings = (all: (number | undefined)[]) =>
    all.map((value) => {
      const payload = encodeTemperature(value);
      return bytes(6 | (Event.Temperature << 3), payload.length, payload, later(4000, 20), wake);
    });
  const eachSource = [0, 1, 2, 3].map((source) => datagram(source, good));
  const steps = [
    ...all.map((one, i) => datagram(i & 3, one)),
    bytes(datagram(0, good), wake, datagram(0, all[1]!), wake, datagram(0x80, good)),
    bytes(datagram(0, nak), later(4000, 20), wake, wake),
    bytes(failed, wake, failed, wake, failed, wake, ...silence),
    bytes(message(0, Message.TimeProbe, zeros(4)), Buffer.of(7), message(0, Message.EventAck, bytes(1, zeros(3)))),
    bytes(...silence, wake, message(0, Message.TlsClosed, bytes(Failure.Reset, 0)), wake),
    bytes(5, 0xff, 6 | (Event.StorageDone << 3), 5, zeros(5), 6 | (Event.RtcDone << 3), 1, 0),
    bytes(...readings([20_000, 20_062, 90_000, 20_125, undefined, -0x8000_0000, 0x7fff_ffff, 20_125, 20_125])),
    bytes(...eachSource, wake, ...eachSource, wake, wake, wake, wake, ...eachSource),
  ];
  const closed = message(0, Message.TlsClosed, bytes(Failure.None, 0));
  const establishments = [
    bytes(establishment(0, keAnswer(16)), datagram(0, good), wake),
    bytes(establishment(0, keAnswer(1)), ...silence),
    bytes(message(0, Message.TlsOpened, bytes(zeros(48), 1, 0x61)), wake),
    bytes(establishment(0, record(2, [0, 1])), closed, wake, ...silence),
    bytes(establishment(0, nextProtocol()), closed, ...silence),
    bytes(establishment(0, keAnswer(16, 30, [compliantRecord()]), 16), datagram(0, good), wake),
    bytes(establishment(0, keAnswer(16, 30), 16, [0, 1, 2, 3]), datagram(0, nak), later(4000, 20), wake, wake),
    bytes(establishment(1, keAnswer(16, 16), 48), establishment(2, keAnswer(16, 17), 64), wake),
  ];
  const counts = [1, 2, 3, 4];
  const short = gatewayMessages.flatMap((type) => [
    bytes(1, cut(type)),
    ...[0, 1, 2, 3].map((length) => message(0, type, zeros(length))),
  ]);
  return [
    ...short.flatMap((one) => ([0, 1, 2] as const).map((state) => bytes(doing(state, 1), one))),
    ...establishments.flatMap((list) => counts.map((servers) => bytes(doing(0, servers), list))),
    ...steps.flatMap((list) =>
      counts.flatMap((servers) => [bytes(doing(1, servers), list), bytes(doing(2, servers), list)]),
    ),
  ];
}

// ---------------------------------------------------------------- reserves

/** A change of a part of a reserve (harness/meter.c): places and bytes. */
const change = (source: number, part: number, how: number, changes: readonly (readonly [number, number])[]) =>
  bytes(source | (part << 2) | how, changes.length, ...changes.map(([at, by]) => bytes(u16(at), by)));
const spoilt = (source: number, part: number, at: number, by: number) =>
  bytes(source | (part << 2) | 32, u16(at), by, 0);

/** An input of the target `part` (harness/part.c) for a meter with as many servers, and bytes changed before the seal. */
function partInput(
  servers: number,
  source: number,
  part: number,
  changes: readonly (readonly [number, number])[],
  how = 0,
) {
  const before = 3 * ((servers * (servers - 1)) / 2);
  const state = before + 3 * source + part;
  return bytes(how | (changes.length << 5), state, ...changes.map(([at, by]) => bytes(u16(at), by)));
}

function partSeeds(): Buffer[] {
  const [livesOn, ownLength, ownRecord, unsealed, spoiltOne] = [16, 1, 2, 4, 8];
  const record = 20;
  const sources = [1, 2, 3, 4].flatMap((servers) => Array.from({ length: servers }, (_, i) => [servers, i] as const));
  const host = (length: number) => [[record + 192, length]] as const;
  const aead = (value: number) => [[record, value & 0xff] as const, [record + 1, value >> 8] as const];
  return [
    ...sources.flatMap(([servers, source]) => [
      ...[0, 1, 2].map((part) => partInput(servers, source, part, [], livesOn)),
      ...[0, 64, 65, 66, 67, 68, 72, 73, 255].map((length) => partInput(servers, source, 0, host(length), livesOn)),
      ...[0, 1, 2, 3].map((server) => partInput(servers, source, 0, [[0, 4 | server]], livesOn)),
    ]),
    ...[0, 14, 15, 16, 17, 18, 30, 271].map((value) => partInput(1, 0, 0, aead(value), livesOn)),
    ...[1, 2].flatMap((part) =>
      [0, 1, 2, 255, 256, 257, 258, 65_535].map((length) => partInput(1, 0, part, aead(length), livesOn)),
    ),
    ...[0, 1, 2].flatMap((part) =>
      [0, 3, 19, 20, 21, 279, 280, 281, 343].map((length) => bytes(partInput(2, 1, part, [], ownLength), u16(length))),
    ),
    ...[0, 1, 2].flatMap((part) => [
      partInput(2, 0, part, [], unsealed),
      bytes(partInput(2, 0, part, [], spoiltOne), u16(5), 0x80),
      ...[0, 0xff].map((byte) => bytes(partInput(4, 2, part, [], ownRecord | livesOn), new Uint8Array(260).fill(byte))),
    ]),
  ];
}

function reserveSeeds(): Buffer[] {
  const good = (answers: number) => Buffer.of(2 | (answers << 3));
  const hours = (count: number) => Buffer.of(7 | (count << 3));
  const restart = Buffer.of(6);
  const failing = (bits: number) => bytes(5, u16(bits));
  const lives = [
    bytes(good(20), wake, good(12)),
    bytes(good(12), restart, good(8), hours(25), good(8), restart, good(4)),
    bytes(restart, restart, restart, good(10)),
    bytes(good(4), restart, ...Array.from({ length: 6 }, () => bytes(wake, later(4000, 20))), good(10), restart),
    bytes(good(12), failing(0x55), hours(25), good(8), failing(0xff), restart, good(8)),
    bytes(datagram(0, nakAnswer()), later(4000, 20), wake, good(8), restart, good(8)),
  ];
  const whole = [0, 1, 2, 3].flatMap((servers) => lives.map((life) => bytes(servers, u16(0), life)));
  const none = [0, 1, 2, 3].flatMap((servers) => lives.map((life) => bytes(servers | 4, u16(0), life)));
  const changes = [
    spoilt(0, 0, 40, 1),
    spoilt(1, 1, 5, 0x80),
    spoilt(0, 2, 0, 3),
    // Another AEAD, another server, a longer and a shorter host, lengths of cookies.
    change(0, 0, 0, [[20, 1]]),
    change(0, 0, 0, [[0, 1]]),
    ...[0x45, 0x46, 0x4c].map((by) => change(1, 0, 0, [[212, by]])),
    change(1, 0, 0, [[212, 4]]),
    ...[64, 0x41, 0xbf, 0x140].map((by) => change(0, 1, 0, [[20 + (by >> 8), by & 0xff]])),
    change(2, 1, 64 | 16, [[0, 0]]),
  ];
  return [
    ...whole,
    ...none,
    ...changes.map((one) => bytes(3 | (1 << 3), u16(0), one, lives[1]!)),
    // Each operation of the storage fails once, and nothing but a poll is needed.
    ...Array.from({ length: 12 }, (_, i) => bytes(0, u16(1 << i), good(1), wake)),
    // The erasure of a cookie: the shortest, so the first input of a run.
    bytes(0, u16(1 << 9), good(1)),
    ...[1, 2, 4, 8, 0x10, 0x20, 0x40, 0x80, 0x100, 0x200, 0xffff].map((bits) => bytes(1, u16(bits), lives[1]!)),
  ];
}

// ---------------------------------------------------------------- frames

/** A step of harness/line.c: a frame of the session. */
const frame = (channel: Channel, flags: number, payload: Uint8Array) =>
  bytes(0, channel | (flags << 2), payload.length, payload);

function frameSeeds(): Buffer[] {
  const piece = (flags: number, length: number) =>
    frame(Channel.Time, flags, bytes(Message.UdpReceived, zeros(length - 1)));
  const nonce = new Uint8Array(8).fill(9);
  const status = bytes(Control.Status, 3, 0, Credit.GatewayStream, 0, Credit.GatewayReport);
  const lists = [
    // All that there is room for, one byte more, and eight: at a meter's end, and at a gateway's.
    ...[88, 89, 96].map((last) =>
      bytes(piece(1, 237), ...Array.from({ length: 3 }, () => piece(0, 237)), piece(2, last)),
    ),
    ...[71, 72, 79].map((last) =>
      bytes(piece(1, 237), ...Array.from({ length: 4 }, () => piece(0, 237)), piece(2, last)),
    ),
    bytes(piece(1, 237), ...Array.from({ length: 6 }, () => piece(0, 237)), piece(2, 237)),
    bytes(piece(3, 13), piece(3, 1), frame(Channel.Time, 3, bytes(Message.TimeProbe, zeros(4)))),
    bytes(...[1, 2, 3, 4, 5].map((length) => frame(Channel.Stream, 0, bytes(Message.TlsData, zeros(length))))),
    bytes(frame(Channel.Report, 0, bytes(Message.EventAck, 1, zeros(3))), 6, 6, 6),
    bytes(frame(Channel.Control, 0, status), frame(Channel.Control, 0, Buffer.of(Control.Call)), 0x86, 0x86),
    bytes(frame(Channel.Control, 0, bytes(Control.Hello, FrameSize.Version, 3, 1, nonce, 0, 0))),
    bytes(frame(Channel.Control, 0, bytes(Control.Hello, FrameSize.Version, 3, 1, nonce, 1, 1, 0x41, zeros(16)))),
    bytes(frame(Channel.Control, 0, bytes(Control.Answer, FrameSize.Version, 4, 4, nonce, nonce))),
    bytes(3, 20, 0x10, zeros(19), 4, 20, new Uint8Array(20).fill(1), 4, 1, 0),
    bytes(5 | (20 << 3), u16(20_000), 0x86, 0x86, 0x86),
    bytes(...[1, 2, 3].flatMap((channel) => [7, 40, channel, zeros(39)]), 6, 6, 6),
    bytes(7, 255, Channel.Time, zeros(254), 0x86),
  ];
  return lists.flatMap((list) => [0, 1, 2, 3].map((how) => bytes(how, list)));
}

export const seeds: Readonly<Record<string, () => Buffer[]>> = {
  ke: keSeeds,
  aead: aeadSeeds,
  answer: answerSeeds,
  settings: settingsSeeds,
  start: startSeeds,
  part: partSeeds,
  reserve: reserveSeeds,
  messages: messageSeeds,
  frames: frameSeeds,
};

/** Longest inputs, bytes. */
export const longestInput = {
  ke: 1500,
  aead: 832,
  answer: 2200,
  settings: 600,
  start: 1024,
  part: 320,
  reserve: 2048,
  messages: 4096,
  frames: 3072,
};
