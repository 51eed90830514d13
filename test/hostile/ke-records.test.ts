// RFC 8915 4: answers of NTS-KE that a client must refuse, and odd ones that it must take. Each case has a meter of its
// own without any time, which must not get one from it, and which comes back once the server behaves.
import { randomBytes } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RecordType, record, u16 } from '../../host/setup/ke-records.ts';
import { HostileLab, type KeError, type Surroundings, startSurroundings } from './lab.ts';
import { type KeAnswer, type KeMisbehaviour, keRecords } from './server.ts';

let surroundings: Surroundings;
beforeAll(async () => {
  surroundings = await startSurroundings();
});
afterAll(() => surroundings.server.stop());

type Edit = (good: KeAnswer) => Buffer[];
const odd = record(4000, Buffer.from('odd'), false);
const flat = (records: Iterable<Buffer | Buffer[]>): Buffer[] => [...records].flat();

/** A right answer with some of its records replaced. */
const having =
  (parts: Partial<Record<keyof KeAnswer, Buffer | Buffer[]>>): Edit =>
  (good) =>
    flat(Object.values({ ...good, ...parts }));

/** A right answer with further records before its end. */
const adding =
  (...records: Buffer[]): Edit =>
  (good) => [...keRecords({ ...good, end: Buffer.alloc(0) }), ...records, good.end];

/** Only some of the records of a right answer. */
const without =
  (...parts: (keyof KeAnswer)[]): Edit =>
  (good) =>
    flat(Object.values({ ...good, ...Object.fromEntries(parts.map((part) => [part, []])) }));

const none = Buffer.alloc(0);

describe('refused', () => {
  const cases: [string, Edit, keyof typeof KeError, number?][] = [
    ['4: no answer at all', () => [], 'Empty'],
    ['4: an answer cut off behind a record', without('end'), 'Truncated'],
    ['4: an answer cut off within a header', (good) => [good.protocol, good.aead, Buffer.of(0x80)], 'Truncated'],
    [
      '4: an answer cut off within a body',
      (good) => [good.protocol, good.aead, good.cookies[0]!.subarray(0, 50)],
      'Truncated',
    ],
    [
      '4: a body longer than what comes',
      having({ cookies: record(RecordType.cookie, randomBytes(50), false, 200) }),
      'Truncated',
    ],
    ['4.1: an unknown critical record', adding(record(4000, none)), 'UnknownCritical', 4000],
    [
      '4.1: an unknown critical record of 65,535 bytes',
      adding(record(32_767, Buffer.alloc(65_535))),
      'UnknownCritical',
      32_767,
    ],
    [
      '4.1: an unknown critical record before all others',
      (good) => [record(8, none), ...keRecords(good)],
      'UnknownCritical',
      8,
    ],
    ['4.1.1: no End of Message, and something else instead', having({ end: odd }), 'Truncated'],
    [
      '4.1.1: End of Message that is not critical',
      having({ end: record(RecordType.end, none, false) }),
      'EndOfMessage',
    ],
    ['4.1.1: End of Message with a body', having({ end: record(RecordType.end, Buffer.of(0)) }), 'EndOfMessage', 1],
    ['4.1.1: End of Message twice', having({ end: [record(RecordType.end), record(RecordType.end)] }), 'TrailingData'],
    ['4.1.1: End of Message before the other records', (good) => [good.end, ...keRecords(good)], 'TrailingData'],
    ['4.1.1: records behind End of Message', having({ end: [record(RecordType.end), odd] }), 'TrailingData'],
    ['4.1.1: a byte behind End of Message', having({ end: [record(RecordType.end), Buffer.of(0)] }), 'TrailingData'],
    ['4.1.2: no next protocol', without('protocol'), 'NextProtocol'],
    ['4.1.2: the next protocol twice', (good) => [good.protocol, ...keRecords(good)], 'NextProtocol'],
    ['4.1.2: a next protocol that is not critical', having({ protocol: record(1, u16(0), false) }), 'NextProtocol'],
    [
      '4.1.2: another protocol than the one asked for',
      having({ protocol: record(1, u16(0x8000)) }),
      'NextProtocol',
      0x8000,
    ],
    ['4.1.2: one protocol more than asked for', having({ protocol: record(1, Buffer.of(0, 0, 0, 1)) }), 'NextProtocol'],
    ['4.1.2: a next protocol of one byte', having({ protocol: record(1, Buffer.of(0)) }), 'NextProtocol', 1],
    ['4.1.2: no protocol in common', having({ protocol: record(1) }), 'NoNtpv4'],
    [
      '4.1.3: error 0, a critical record not known',
      () => [record(2, u16(0)), record(0)],
      'PeerUnrecognizedCritical',
      0,
    ],
    ['4.1.3: error 1, a bad request', () => [record(2, u16(1)), record(0)], 'PeerBadRequest', 1],
    ['4.1.3: error 2, an internal error', () => [record(2, u16(2)), record(0)], 'PeerInternal', 2],
    ['4.1.3: an error that is not defined', () => [record(2, u16(4711)), record(0)], 'PeerUnknown', 4711],
    ['4.1.3: an error behind all the rest', adding(record(2, u16(2))), 'PeerInternal', 2],
    ['4.1.3: an error that is not critical', adding(record(2, u16(2), false)), 'PeerInternal', 2],
    ['4.1.3: an error without a code', adding(record(2)), 'Malformed', 2],
    ['4.1.3: an error of three bytes', adding(record(2, Buffer.alloc(3))), 'Malformed', 2],
    ['4.1.4: a warning, of which none is defined', adding(record(3, u16(5))), 'Warning', 5],
    ['4.1.4: a warning that is not critical', adding(record(3, u16(5), false)), 'Warning', 5],
    ['4.1.4: a warning without a code', adding(record(3)), 'Malformed', 3],
    ['4.1.5: no AEAD', without('aead'), 'Aead'],
    ['4.1.5: an AEAD twice', (good) => [good.aead, ...keRecords(good)], 'Aead'],
    ['4.1.5: two AEADs in one record', having({ aead: record(4, Buffer.of(0, 15, 0, 30)) }), 'Aead', 4],
    ['4.1.5: an AEAD of one byte', having({ aead: record(4, Buffer.of(15)) }), 'Aead', 1],
    ['4.1.5: no AEAD in common', having({ aead: record(4) }), 'NoCommonAead'],
    ['4.1.5: an AEAD that was not offered', having({ aead: record(4, u16(18)) }), 'AeadNotOffered', 18],
    ['4.1.5: AEAD 0', having({ aead: record(4, u16(0)) }), 'AeadNotOffered', 0],
    ['4.1.6: no cookie', without('cookies'), 'NoCookies'],
    ['4.1.6: a cookie of no bytes', adding(record(5, none, false)), 'CookieLength', 0],
    ['4.1.6: a cookie of 257 bytes', adding(record(5, randomBytes(257), false)), 'CookieLength', 257],
    ['4.1.6: a cookie of 65,535 bytes', adding(record(5, Buffer.alloc(65_535), false)), 'CookieLength', 65_535],
    ['4.1.7: a server of no bytes', adding(record(6)), 'ServerRecord', 6],
    [
      '4.1.7: a server twice',
      adding(record(6, Buffer.from('127.0.0.1')), record(6, Buffer.from('::1'))),
      'ServerRecord',
      6,
    ],
    ['4.1.7: a server with white space', adding(record(6, Buffer.from('127.0.0.1 '))), 'ServerRecord', 6],
    ['4.1.7: a server with a zero', adding(record(6, Buffer.from('127.0.0.1\0'))), 'ServerRecord', 6],
    ['4.1.7: a server that is not ASCII', adding(record(6, Buffer.from('zeit.exämple'))), 'ServerRecord', 6],
    ['4.1.7: a server of 65,535 bytes', adding(record(6, Buffer.alloc(65_535, 'a'))), 'ServerRecord', 6],
    ['4.1.8: a port of one byte', having({ port: record(7, Buffer.of(1)) }), 'ServerRecord', 7],
    ['4.1.8: a port of three bytes', having({ port: record(7, Buffer.alloc(3, 1)) }), 'ServerRecord', 7],
    ['4.1.8: a port of no bytes', having({ port: record(7) }), 'ServerRecord', 7],
    ['4.1.8: port 0', having({ port: record(7, u16(0)) }), 'ServerRecord', 7],
    ['4.1.8: a port twice', (good) => [good.port, ...keRecords(good)], 'ServerRecord', 7],
  ];
  it.each(cases)('RFC 8915 %s', async (_name, records, error, detail) => {
    const lab = new HostileLab(surroundings);
    try {
      const refused = await lab.refusesKe({ records });
      expect(refused.error).toBe(error);
      if (detail !== undefined) expect(refused.detail).toBe(detail);
    } finally {
      await lab.stop();
    }
  });
});

/** A right answer with records before its end that are to be ignored. */
function filledUpTo(good: KeAnswer, bytes: number): Buffer[] {
  const own = keRecords(good).reduce((sum, one) => sum + one.length, 0);
  const fill = Array.from({ length: 8 }, (_, at) => {
    const share = Math.floor((bytes - own) / 8) + (at < (bytes - own) % 8 ? 1 : 0);
    return record(4_000 + at, Buffer.alloc(share - 4), false);
  });
  return adding(...fill)(good);
}

describe('taken', () => {
  const reversed: Edit = (good) => [...keRecords({ ...good, end: none }).reverse(), good.end];
  const cases: [string, KeMisbehaviour][] = [
    ['4: records in reverse order', { records: reversed }],
    ['4: one byte at a time', { write: (socket, answer) => void drip(socket, answer) }],
    [
      '4: closed without close_notify, behind End of Message',
      { write: (socket, answer) => socket.write(answer, () => socket.destroy()) },
    ],
    ['4: not closed at all', { write: (socket, answer) => void socket.write(answer) }],
    [
      '4.1: unknown records that are not critical, of 0 and of 1,000 bytes',
      { records: adding(odd, record(4001, none, false), record(4002, randomBytes(1_000), false)) },
    ],
    ['4: 65,536 bytes', { records: (good) => filledUpTo(good, 65_536) }],
    ['4.1: the same unknown record again and again', { records: adding(odd, odd, odd, odd) }],
    [
      '4.1.5: an AEAD record that is not critical',
      {
        records: (good) => flat(Object.values({ ...good, aead: Buffer.concat([Buffer.of(0), good.aead.subarray(1)]) })),
      },
    ],
    [
      '4.1.6: critical cookies',
      {
        records: (good) =>
          flat(Object.values({ ...good, cookies: good.cookies.map((one) => record(5, one.subarray(4))) })),
      },
    ],
    ['4.1.6: one cookie', { records: (good) => flat(Object.values({ ...good, cookies: good.cookies.slice(0, 1) })) }],
    [
      '4.1.6: more cookies than are kept',
      {
        records: (good) =>
          flat(
            Object.values({
              ...good,
              cookies: [...good.cookies, ...good.cookies.map(() => record(5, surroundings.server.poison(), false))],
            }),
          ),
      },
    ],
    ['4.1.6: cookies of 1 to 256 bytes', { cookieBytes: (index) => [1, 2, 3, 64, 100, 104, 255, 256][index]! }],
    ['4.1.7: a server by its address', { records: adding(record(6, Buffer.from('127.0.0.1'))) }],
    ['4.1.7: a server of the other family', { records: adding(record(6, Buffer.from('::1'))) }],
    ['4.1.7: a server by its name', { records: adding(record(6, Buffer.from('localhost'))) }],
  ];
  it.each(cases)('RFC 8915 %s', async (_name, misbehaviour) => {
    const { server } = surroundings;
    const lab = new HostileLab(surroundings);
    try {
      server.script.ke.push(misbehaviour);
      lab.start();
      await lab.synchronised();
      // All eight cookies are used.
      await lab.pass('ten answers', () => lab.last.authenticated >= 10);
      expect(lab.last).toMatchObject({ keAttempts: 1, keFailures: 0, rejected: 0 });
      lab.expectRight();
      expect(server.faults).toEqual([]);
    } finally {
      await lab.stop();
    }
  });
});

/** Each byte in a TLS record of its own. */
async function drip(socket: TLSSocket, answer: Buffer): Promise<void> {
  for (const byte of answer) {
    if (!socket.writable) return;
    await new Promise<void>((resolve) => socket.write(Buffer.of(byte), () => resolve()));
  }
  socket.end();
}
