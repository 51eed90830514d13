// Messages: every type comes back as it went, and nothing that is a byte short, a byte long or elsewhere passes.
import { expect, test } from 'vitest';
import {
  Abi,
  Block,
  BlockCommitField,
  BlockWriteField,
  Channel,
  ClockStatus,
  CommandResult,
  DoneField,
  EntriesAskField,
  EntryField,
  Failure,
  HeadField,
  Message,
  MilliCelsius,
  Missing,
  RecordAckField,
  Reject,
  ReleaseField,
  Ring,
  Slot,
  SlotFlag,
  SlotsField,
  SourceCountField,
  SourceField,
  SourceState,
  TariffField,
  TimeField,
  UpdateBeginField,
  UpdateState,
} from '../../../as/abi/codes.ts';
import { truncateText } from '../../../host/link/message-bytes.ts';
import {
  channelOf,
  decodeMessage,
  encodeMessage,
  entryBytes,
  headBytes,
  isMeterMessage,
  type LinkMessage,
  MessageError,
  messageLimit,
  sourcesMax,
} from '../../../host/link/messages.ts';

const hash = (first: number) => Uint8Array.from({ length: 32 }, (_, index) => (first + index) & 0xff);

const messages: LinkMessage[] = [
  { type: Message.UdpSend, socket: 1, exchange: 0xfffe, payload: new Uint8Array(1232).fill(7) },
  {
    type: Message.TimeReply,
    token: 0xdeadbeef,
    status: ClockStatus.Holdover,
    probeFlags: 32,
    replyFlags: 33,
    probeUtcNs: 1_790_000_000_123_456_789n,
    replyUtcNs: -1n,
    boundNs: (1n << 64n) - 1n,
  },
  { type: Message.TlsOpen, id: 3, validAt: 4_102_444_800n, port: 4460, alpn: 'ntske/1', host: 'time.example' },
  { type: Message.TlsOpen, id: 3, validAt: undefined, port: 4460, alpn: 'ntske/1', host: '::1' },
  { type: Message.TlsWrite, id: 255, data: new Uint8Array(219).fill(9) },
  { type: Message.TlsExport, id: 1, tag: 2, length: 32, label: 'EXPORTER-x', context: Uint8Array.of(0, 0, 0, 15, 1) },
  { type: Message.TlsExport, id: 1, tag: 2, length: 32, label: 'EXPORTER-x', context: new Uint8Array(0) },
  { type: Message.TlsClose, id: 9 },
  { type: Message.UdpOpen, socket: 4, attempt: 200, port: 123, host: 'time.example' },
  { type: Message.UdpClose, socket: 4 },
  {
    type: Message.Info,
    abiVersion: Abi.Version,
    resetCause: 1,
    capabilities: 6,
    maxFrequencyErrorPpb: 100_000,
    buildUnixSeconds: 1_790_000_000n,
    coreSha256: hash(1),
    imageSha256: hash(2),
    serversMax: 4,
    meterId: 'meter-1',
    board: 'mps2-an385',
    firmwareVersion: '0.1.0',
    stack: { usedBytes: 1_232, totalBytes: 2_176 },
  },
  {
    type: Message.Time,
    status: ClockStatus.Synchronised,
    flags: 5,
    stratum: 1,
    reach: 0b1011,
    cookies: 8,
    cookieBytes: 100,
    aead: 15,
    pollSeconds: 64,
    rootDelayNs: 1_000,
    rootDispersionNs: 0xffffffff,
    frequencyPpb: -12_345,
    utcNs: 1_790_000_000_000_000_000n,
    offsetNs: -5_000n,
    delayNs: 3_000_000n,
    uncertaintyNs: 400n,
    boundNs: 500n,
    lastSyncUtcNs: 1_789_999_999_000_000_000n,
    keysSinceUtcNs: 1n,
    sent: 1,
    authenticated: 2,
    rejected: 3,
    naks: 4,
    keAttempts: 5,
    keFailures: 6,
    lastReject: 7,
    lastKeError: 8,
    eventsLost: 9,
    servers: 4,
    agreeing: 3,
    needed: 2,
    missing: Missing.Majority,
    milliCelsius: -55_000,
    rtcOffsetUs: -0x7fff_ffff,
    rtcRatePpb: undefined,
    budget: {
      noiseNs: 1,
      asymmetryNs: 2,
      serverNs: 0xffffffff,
      stampsNs: 4,
      slewNs: 5,
      frequencyPpt: -0x8000_0000,
      frequencyUncertaintyPpt: 7,
    },
    source: 1,
    keHost: 'ke.example',
  },
  {
    type: Message.Source,
    index: 3,
    flags: 0b10101,
    state: SourceState.Serving,
    stratum: 1,
    leap: 2,
    reach: 0b1011,
    cookies: 7,
    cookieBytes: 256,
    aead: 30,
    pollSeconds: 64,
    ntpPort: 65_535,
    rootDelayNs: 1_000,
    rootDispersionNs: 0xffffffff,
    offsetNs: -5_000n,
    delayNs: 3_000_000n,
    lastSyncUtcNs: 1_789_999_999_000_000_000n,
    keysSinceUtcNs: 1n,
    retrySeconds: 432_000,
    keHost: `${'k'.repeat(55)}.example`,
    ntpHost: `${'n'.repeat(56)}.example`,
  },
  {
    type: Message.SourceCounts,
    index: 0,
    lastReject: Reject.Kiss,
    lastKeError: 8,
    kissCode: 'RATE',
    sent: 1,
    authenticated: 2,
    naks: 3,
    keAttempts: 4,
    keFailures: 0xffffffff,
    rejected: Array.from({ length: Reject.Certificate }, (_, index) => (index === 6 ? 65_535 : index)),
  },
  {
    type: Message.Event,
    sequence: 77,
    code: 7,
    utcNs: 5n,
    uptimeNs: 6n,
    a: -7n,
    b: 8n,
    boot: 0x01020304,
    text: 'zeit-ä.example',
  },
  {
    type: Message.UdpReceived,
    socket: 2,
    exchange: 3,
    forwardResidenceNs: 4_000,
    backResidenceNs: 0xffffffff,
    payload: new Uint8Array(1232).fill(1),
  },
  { type: Message.UdpFailed, socket: 2, exchange: 3, reason: Failure.Timeout },
  { type: Message.TimeProbe, token: 5 },
  {
    type: Message.TlsOpened,
    id: 1,
    notBefore: -1n,
    notAfter: 253_402_300_799n,
    fingerprint: hash(3),
    alpn: 'ntske/1',
  },
  { type: Message.TlsData, id: 1, data: Uint8Array.of(0) },
  { type: Message.TlsExported, id: 1, tag: 2, key: hash(4) },
  { type: Message.TlsClosed, id: 1, reason: Failure.Expired, detail: 'the certificate ran out' },
  { type: Message.UdpOpened, socket: 1, family: 6, addresses: 2, address: hash(5).subarray(0, 16) },
  { type: Message.UdpOpenFailed, socket: 1, reason: Failure.Dns, detail: '' },
  { type: Message.EventAck, sequence: 77 },
  { type: Message.Entry, ring: Ring.Network, token: 0xfffe, entry: new Uint8Array(entryBytes).fill(3) },
  { type: Message.Head, head: Uint8Array.from({ length: headBytes }, (_, index) => 'MTH1'.charCodeAt(index) || index) },
  {
    type: Message.Tariff,
    flags: 0x81,
    tariff: 0xffff,
    nextTariff: 2,
    offsetMinutes: -630,
    since: 1_790_000_000n,
    next: 4_294_967_296n,
    periodEnd: 1_790_000_900n,
    passiveActivation: 1_800_000_000n,
    recordNewest: 0xffffffff,
    recordOldest: 5,
    logNewest: 6,
    networkNewest: 7,
    programCrc: 0x89abcdef,
    dynamicCrc: 9,
    dynamicEnd: 10n,
    letter: 'I',
    ptbStatus: 3,
    dlmsStatus: 0x82,
    activeName: 'Haushalt-ä',
    passiveName: '',
  },
  { type: Message.Done, result: CommandResult.Absent, token: 0x1234, detail: 0xffffffff },
  { type: Message.RecordAck, stored: 0xffffffff, delivered: 0xfffffffe },
  { type: Message.EntriesAsk, ring: Ring.Logbook, token: 0x1234, from: 0xffffffff, count: 0xffff },
  { type: Message.BlockWrite, block: Block.Dynamic, token: 7, offset: 0xffff, part: new Uint8Array(215).fill(4) },
  { type: Message.BlockCommit, block: Block.Program, token: 0xffff, length: 2_048 },
  { type: Message.Provision, token: 1, offset: 215, part: Uint8Array.of(1, 2, 3) },
  { type: Message.Release, ring: Ring.Logbook, token: 1, sequence: 0xffffffff },
  {
    type: Message.Slots,
    slot: Slot.B,
    flags: SlotFlag.Trial,
    state: UpdateState.Accepted,
    imageVersion: 0x0102_0003,
    floor: 0x0100_0000,
    slotBytes: 0x1_8000,
    offset: 0x1000,
    length: 0xffffffff,
    version: 1,
    keyId: new Uint8Array(16).fill(7),
  },
  { type: Message.UpdateBegin, token: 2, manifest: new Uint8Array(128).fill(1), signature: new Uint8Array(64).fill(2) },
  { type: Message.UpdatePart, token: 0xffff, offset: 0xffffffff, part: new Uint8Array(208).fill(3) },
  { type: Message.UpdateFinish, token: 3, manifest: new Uint8Array(128).fill(4) },
];

test('the list above has every type of message', () => {
  const types = Object.values(Message).filter((value) => typeof value === 'number');
  expect(new Set(messages.map((message) => message.type))).toEqual(new Set(types));
});

test.each(messages)('$type: decoding undoes encoding', (message) => {
  const bytes = encodeMessage(message);
  expect(bytes.length).toBeLessThanOrEqual(messageLimit(channelOf(message.type)));
  expect(decodeMessage(channelOf(message.type), bytes)).toEqual(message);
});

test.each(messages)('$type: each shorter message is refused, unless it ends in free bytes', (message) => {
  const bytes = encodeMessage(message);
  const free: Message[] = [
    Message.UdpSend,
    Message.TlsWrite,
    Message.UdpReceived,
    Message.TlsData,
    Message.TlsExported,
    Message.BlockWrite,
    Message.Provision,
    Message.UpdatePart,
  ];
  for (let length = 0; length < bytes.length; length++) {
    const cut = bytes.subarray(0, length);
    if (free.includes(message.type)) {
      try {
        const again = encodeMessage(decodeMessage(channelOf(message.type), cut));
        if (Buffer.compare(again, cut) !== 0) expect(again).toEqual(cut);
      } catch (error) {
        expect(error).toBeInstanceOf(MessageError);
      }
    } else {
      expect(() => decodeMessage(channelOf(message.type), cut), `${length} bytes`).toThrow(MessageError);
    }
  }
  if (!free.includes(message.type)) {
    expect(() => decodeMessage(channelOf(message.type), Uint8Array.of(...bytes, 0))).toThrow(/expected .* came/);
  }
});

test.each(messages)('$type: is refused on every other channel', (message) => {
  for (const channel of [Channel.Control, Channel.Time, Channel.Stream, Channel.Report]) {
    if (channel === channelOf(message.type)) continue;
    expect(() => decodeMessage(channel, encodeMessage(message))).toThrow(/channel/);
  }
});

test('layout: a TlsOpen is what as/abi/codes.ts draws', () => {
  const bytes = encodeMessage({ type: Message.TlsOpen, id: 1, validAt: 2n, port: 0x0304, alpn: 'a', host: 'bc' });
  expect([...bytes]).toEqual([0x10, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 4, 3, 1, 0x61, 2, 0x62, 0x63]);
});

test('layout: a Source and its counts are what as/abi/codes.ts draws', () => {
  const of = (type: Message) => Buffer.from(encodeMessage(messages.find((message) => message.type === type)!));
  const source = of(Message.Source);
  expect([...source.subarray(0, 8)]).toEqual([0x33, 3, 0b10101, 3, 1, 2, 0b1011, 7]);
  expect(source.readUInt16LE(SourceField.NtpPort)).toBe(65_535);
  expect(source.readBigInt64LE(SourceField.OffsetNs)).toBe(-5_000n);
  expect(source.readUInt32LE(SourceField.RetrySeconds)).toBe(432_000);
  expect(source[SourceField.Texts]).toBe(63);
  const counts = of(Message.SourceCounts);
  expect([...counts.subarray(0, 8)]).toEqual([0x34, 0, 9, 8, 0x52, 0x41, 0x54, 0x45]);
  expect(counts.readUInt32LE(SourceCountField.KeFailures)).toBe(0xffffffff);
  expect(counts.readUInt16LE(SourceCountField.Rejected + 2 * (Reject.Authentication - 1))).toBe(65_535);
  const time = of(Message.Time);
  expect([...time.subarray(TimeField.Servers, TimeField.Texts + 1)]).toEqual([
    ...[4, 3, 2, 7, 1, 0x28, 0x29, 0xff, 0xff],
    ...[1, 0, 0, 0x80, 0, 0, 0, 0x80],
    ...[1, 0, 0, 0, 2, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 4, 0, 0, 0, 5, 0, 0, 0],
    ...[0, 0, 0, 0x80, 7, 0, 0, 0, 10],
  ]);
});

test('layout: records, tariffs and commands are what as/abi/codes.ts draws', () => {
  const of = (type: Message) => Buffer.from(encodeMessage(messages.find((message) => message.type === type)!));
  const entry = of(Message.Entry);
  expect([entry.length, entry[EntryField.Ring], entry.readUInt16LE(EntryField.Token)]).toEqual([132, 2, 0xfffe]);
  expect([...new Set(entry.subarray(EntryField.Entry))]).toEqual([3]);
  const head = of(Message.Head);
  expect([head.length, head.readUInt32LE(0), head.toString('latin1', 4, 8)]).toEqual([HeadField.Bytes, 0x36, 'MTH1']);
  const tariff = of(Message.Tariff);
  expect([...tariff.subarray(0, TariffField.Since)]).toEqual([0x37, 0x81, 255, 255, 2, 0, 0x8a, 0xfd]);
  expect(tariff.readBigInt64LE(TariffField.Next)).toBe(4_294_967_296n);
  expect(tariff.readBigInt64LE(TariffField.PassiveActivation)).toBe(1_800_000_000n);
  expect(tariff.readUInt32LE(TariffField.RecordOldest)).toBe(5);
  expect(tariff.readUInt32LE(TariffField.ProgramCrc)).toBe(0x89abcdef);
  expect([...tariff.subarray(TariffField.DynamicEnd, TariffField.Texts + 3)]).toEqual([
    ...[10, 0, 0, 0, 0, 0, 0, 0],
    ...[0x49, 3, 0x82, 0, 11, 0x48, 0x61],
  ]);
  expect(of(Message.Done).readUInt32LE(DoneField.Detail)).toBe(0xffffffff);
  expect([...of(Message.Done).subarray(0, 4)]).toEqual([0x3b, 6, 0x34, 0x12]);
  expect([...of(Message.RecordAck).subarray(0, RecordAckField.Delivered)]).toEqual([0x39, 0, 0, 0, 255, 255, 255, 255]);
  expect(of(Message.RecordAck).readUInt32LE(RecordAckField.Delivered)).toBe(0xfffffffe);
  expect([...of(Message.EntriesAsk)]).toEqual([0x3a, 1, 0x34, 0x12, 255, 255, 255, 255, 255, 255]);
  expect(of(Message.EntriesAsk).length).toBe(EntriesAskField.Bytes);
  expect([...of(Message.BlockWrite).subarray(0, BlockWriteField.Part + 1)]).toEqual([0x3c, 2, 7, 0, 255, 255, 4]);
  expect([...of(Message.BlockCommit)]).toEqual([0x3d, 1, 255, 255, 0, 8]);
  expect(of(Message.BlockCommit).length).toBe(BlockCommitField.Bytes);
  expect([...of(Message.Release)]).toEqual([0x3e, 1, 1, 0, 255, 255, 255, 255]);
  expect(of(Message.Release).length).toBe(ReleaseField.Bytes);
  expect([...of(Message.Slots).subarray(0, 8)]).toEqual([0x40, 2, 1, 2, 3, 0, 2, 1]);
  expect(of(Message.Slots).length).toBe(SlotsField.Bytes);
  expect([...of(Message.UpdateBegin).subarray(0, 5)]).toEqual([0x41, 0, 2, 0, 1]);
  expect(of(Message.UpdateBegin)[UpdateBeginField.Signature]).toBe(2);
  expect([...of(Message.UpdatePart).subarray(0, 9)]).toEqual([0x42, 0, 255, 255, 255, 255, 255, 255, 3]);
  expect([...of(Message.UpdateFinish).subarray(0, 5)]).toEqual([0x43, 0, 3, 0, 4]);
});

test.each<[string, Message, at: number, value: number, RegExp]>([
  ['ring of an entry', Message.Entry, EntryField.Ring, 3, /expected a ring .* came 3/],
  ['ring asked for', Message.EntriesAsk, EntriesAskField.Ring, 3, /expected a ring .* came 3/],
  ['ring released', Message.Release, ReleaseField.Ring, Ring.Network, /expected ring 1, the logbook, came 2/],
  ['block written', Message.BlockWrite, BlockWriteField.Block, 0, /expected a block .* came 0/],
  ['block committed', Message.BlockCommit, BlockCommitField.Block, 3, /expected a block .* came 3/],
  ['result', Message.Done, DoneField.Result, 99, /expected a command result .* came 99/],
  ['letter', Message.Tariff, TariffField.Letter, 0x58, /expected a status letter S, I, R or U, came 0x58/],
  ['slot', Message.Slots, SlotsField.Slot, 0, /expected slot 1 or 2, came 0/],
  ['state of an update', Message.Slots, SlotsField.State, 3, /expected a state of an update .* came 3/],
  ['magic of a head', Message.Head, HeadField.Magic, 0x4e, /expected "MTH1" at byte 4, came 0x3148544e/],
])('a %s that is none is refused', (_, type, at, value, error) => {
  const bytes = encodeMessage(messages.find((message) => message.type === type)!);
  bytes[at] = value;
  expect(() => decodeMessage(Channel.Report, bytes)).toThrow(error);
});

test('a command without a token is refused, and so is more delivered than stored', () => {
  for (const type of [
    Message.EntriesAsk,
    Message.BlockWrite,
    Message.BlockCommit,
    Message.Release,
    Message.Provision,
  ]) {
    const message = messages.find((message) => message.type === type)!;
    const bytes = encodeMessage(message);
    bytes.fill(0, 2, 4);
    expect(() => decodeMessage(Channel.Report, bytes)).toThrow(/expected a token other than 0/);
    expect(() => encodeMessage({ ...message, token: 0 } as LinkMessage)).toThrow(/expected a token other than 0/);
  }
  const bytes = encodeMessage({ type: Message.RecordAck, stored: 5, delivered: 5 });
  bytes[RecordAckField.Delivered] = 6;
  expect(() => decodeMessage(Channel.Report, bytes)).toThrow(/no more delivered than stored \(5\), came 6/);
  expect(() => encodeMessage({ type: Message.RecordAck, stored: 5, delivered: 6 })).toThrow(/no more delivered/);
});

test('a kiss code that is none is told as its digits', () => {
  const counts = messages.find((message) => message.type === Message.SourceCounts)!;
  for (const kissCode of ['', 'DENY', '0x52410001', '0x00000001']) {
    const again = decodeMessage(Channel.Report, encodeMessage({ ...counts, kissCode }));
    expect(again).toMatchObject({ kissCode });
  }
  expect(() => encodeMessage({ ...counts, kissCode: 'DENIED' })).toThrow(/kiss code/);
});

test('a server beyond those that settings can name is refused', () => {
  for (const type of [Message.Source, Message.SourceCounts]) {
    const bytes = encodeMessage(messages.find((message) => message.type === type)!);
    bytes[SourceField.Index] = sourcesMax;
    expect(() => decodeMessage(Channel.Report, bytes)).toThrow(/index below 4, came 4/);
  }
  const time = encodeMessage(messages.find((message) => message.type === Message.Time)!);
  time[TimeField.Servers] = sourcesMax + 1;
  expect(() => decodeMessage(Channel.Report, time)).toThrow(/at most 4 servers, came 5/);
});

test('a temperature may be unknown, and is refused beyond what a thermometer measures', () => {
  const time = messages.find((message) => message.type === Message.Time)!;
  const bytes = encodeMessage({ ...time, milliCelsius: undefined });
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  expect(view.getInt32(TimeField.MilliCelsius, true)).toBe(MilliCelsius.None);
  expect(decodeMessage(Channel.Report, bytes)).toMatchObject({ milliCelsius: undefined });
  for (const beyond of [MilliCelsius.Least - 1, MilliCelsius.Most + 1]) {
    view.setInt32(TimeField.MilliCelsius, beyond, true);
    expect(() => decodeMessage(Channel.Report, bytes)).toThrow(/expected a temperature of -55000 to 125000/);
  }
});

test('directions are told apart', () => {
  expect(messages.filter(isMeterMessage).map((message) => Message[message.type])).toEqual(
    'UdpSend TimeReply TlsOpen TlsOpen TlsWrite TlsExport TlsExport TlsClose UdpOpen UdpClose Info Time Source SourceCounts Event Entry Head Tariff Done Slots'.split(
      ' ',
    ),
  );
});

test('what does not fit its field is not encoded', () => {
  const refuse = (message: LinkMessage) => expect(() => encodeMessage(message)).toThrow(MessageError);
  refuse({ type: Message.TlsClose, id: 256 });
  refuse({ type: Message.TlsClose, id: 1.5 });
  refuse({ type: Message.EventAck, sequence: -1 });
  refuse({ type: Message.TlsData, id: 1, data: new Uint8Array(236) });
  refuse({ type: Message.BlockWrite, block: Block.Program, token: 1, offset: 0, part: new Uint8Array(216) });
  for (const bytes of [0, 3, 212])
    refuse({ type: Message.UpdatePart, token: 1, offset: 0, part: new Uint8Array(bytes) });
  refuse({ type: Message.Entry, ring: Ring.Records, token: 0, entry: new Uint8Array(127) });
  refuse({ type: Message.UdpSend, socket: 0, exchange: 0, payload: new Uint8Array(1253) });
  refuse({ type: Message.TlsClosed, id: 1, reason: 0, detail: 'x'.repeat(234) });
  const counts = messages.find((message) => message.type === Message.SourceCounts)!;
  refuse({ ...counts, rejected: counts.rejected.slice(1) });
  refuse({ type: Message.TlsOpen, id: 1, validAt: 1n << 63n, port: 1, alpn: '', host: '' });
});

test('values without meaning are refused', () => {
  expect(() => decodeMessage(Channel.Stream, Uint8Array.of(0x7f))).toThrow(/0x7f/);
  const open = encodeMessage({ type: Message.TlsOpen, id: 1, validAt: 1n, port: 1, alpn: 'a', host: 'b' });
  open[2] = 2;
  expect(() => decodeMessage(Channel.Stream, open)).toThrow(/flags/);
  const info = encodeMessage(messages.find((message) => message.type === Message.Info)!);
  info[1] = Abi.Version + 1;
  expect(() => decodeMessage(Channel.Report, info)).toThrow(/interface version/);
  const closed = encodeMessage({ type: Message.TlsClosed, id: 1, reason: 0, detail: 'ab' });
  closed[4] = 0xff;
  expect(() => decodeMessage(Channel.Stream, closed)).toThrow(/UTF-8/);
});

test('a text is cut between characters', () => {
  expect(truncateText('äöü', 5)).toBe('äö');
  expect(truncateText('abc', 5)).toBe('abc');
  expect(truncateText('a😀', 4)).toBe('a');
});
