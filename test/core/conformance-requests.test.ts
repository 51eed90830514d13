// What a meter sends, held against RFC 8915 record by record and field by field: the request of NTS-KE (4), that of NTP
// (5.3 to 5.7, RFC 7822), and that nothing goes out without NTS (8.7). docs/conformance.md names these tests.
import { beforeAll, describe, expect, it } from 'vitest';
import { ClockStatus, Failure, Message } from '../../as/abi/codes.ts';
import { algorithm } from '../../host/setup/nts-aeads.ts';
import { buildCore } from '../../scripts/build-core.mjs';
import { endOfMessage, keAnswer, keRecords, record } from './nts-reference.ts';
import { type SimulatedMeter, startedWith } from './simulated-meter.ts';

beforeAll(async () => {
  await buildCore();
});

const keRequests = (sim: SimulatedMeter) => sim.sentOf(Message.TlsWrite).map(({ data }) => Buffer.from(data));
const u16s = (body: Buffer) => Array.from({ length: body.length >> 1 }, (_, at) => body.readUInt16BE(2 * at));
const offer = (request: Buffer) => u16s(keRecords(request)[1]!.body);

describe('the request of NTS-KE (RFC 8915 4)', () => {
  it.each([[[30, 15, 16, 17]], [[15]], [[17, 16]]])(
    'is one, of whole records in the order of 4.1: AEADs %j',
    (aeads) => {
      const sim = startedWith(
        (behaviour) => {
          behaviour.aeads = aeads;
        },
        { settings: { aeads, keyAgeHours: 1 } },
      );
      sim.run(3 * 3600);
      const opened = sim.sentOf(Message.TlsOpen);
      const requests = keRequests(sim);
      expect(opened.length).toBeGreaterThanOrEqual(3);
      expect(requests.length).toBe(opened.length);
      for (const request of requests) {
        const records = keRecords(request);
        expect(records.reduce((sum, { body }) => sum + 4 + body.length, 0)).toBe(request.length);
        const optional = aeads.includes(30) ? [[1024, false]] : [];
        // No error, warning, cookie, server or port (4.1.3, 4.1.4, 4.1.6 to 4.1.8).
        expect(records.map(({ type, critical }) => [type, critical])).toEqual([
          [1, true],
          [4, true],
          ...optional,
          [0, true],
        ]);
        expect(u16s(records[0]!.body)).toEqual([0]);
        expect(offer(request)).toEqual(aeads);
        expect(records.slice(2).every(({ body }) => body.length === 0)).toBe(true);
      }
    },
  );

  it('follows the handshake at once', () => {
    const sim = startedWith((behaviour) => {
      behaviour.openNs = () => 3_000_000_000n;
    });
    sim.run(2.9);
    expect(keRequests(sim)).toEqual([]);
    sim.run(0.2);
    expect(keRequests(sim).length).toBe(1);
  });

  it('is followed by a close of the connection, once the keys are there or the answer is refused', () => {
    const good = startedWith();
    good.runUntilSynchronised();
    const bad = startedWith((behaviour) => {
      behaviour.onKe = () => [endOfMessage()];
    });
    bad.run(5);
    for (const sim of [good, bad]) {
      const { id } = sim.sentOf(Message.TlsOpen)[0]!;
      expect(sim.sentOf(Message.TlsClose)).toMatchObject([{ id }]);
    }
  });

  it.each([
    ['15 alone, which is the plainest', [15]],
    ['no 15, which is not offered in its place', [30, 16]],
  ])('refused as unknown or bad is not made again for a day: %s (4.1.3)', (_, aeads) => {
    for (const code of [0, 1]) {
      const sim = startedWith(
        (behaviour) => {
          behaviour.onKe = () => [Buffer.concat([record(2, [0, code]), endOfMessage()])];
        },
        { settings: { aeads, reportSeconds: 3600 } },
      );
      sim.run(86_000);
      expect(keRequests(sim).map(offer)).toEqual([aeads]);
      sim.run(1_000);
      expect(keRequests(sim).length).toBe(2);
    }
  });
});

describe('the host of NTS-KE (RFC 6125 6.2.1)', () => {
  it('is that of the settings, whatever a server record said', () => {
    const sim = startedWith(
      (behaviour) => {
        behaviour.onKe = () => [keAnswer(8, 100, 15, [record(6, Buffer.from('elsewhere.test'))])];
      },
      { settings: { keyAgeHours: 1 } },
    );
    sim.run(4 * 3600);
    const hosts = sim.sentOf(Message.TlsOpen).map(({ host }) => host);
    expect(hosts.length).toBeGreaterThan(2);
    expect(new Set(hosts)).toEqual(new Set(['time.test']));
    expect(new Set(sim.sentOf(Message.UdpOpen).map(({ host }) => host))).toEqual(new Set(['elsewhere.test.']));
  });
});

describe('the request of NTP (RFC 8915 5.7, RFC 7822)', () => {
  const [identifier, cookie, placeholder, authenticator] = [0x0104, 0x0204, 0x0304, 0x0404];

  it.each([15, 16, 17, 30])(
    'AEAD %i: one identifier, one cookie, placeholders, one authenticator behind them',
    (aead) => {
      for (const cookieBytes of [1, 8, 12, 13, 100, 256]) {
        const sim = startedWith((behaviour) => {
          behaviour.aeads = [aead];
          behaviour.cookieBytes = [cookieBytes];
          behaviour.onRequest = (request) => (sim.requests.length % 3 === 0 ? [sim.answer(request)] : []);
        });
        sim.run(200);
        expect(sim.requests.some(({ placeholders }) => placeholders.length > 0)).toBe(true);
        for (const { packet, fields } of sim.requests) {
          const types = fields.map(({ type }) => type);
          const placeholders = types.length - 3;
          expect(types).toEqual([identifier, cookie, ...Array(placeholders).fill(placeholder), authenticator]);
          // RFC 7822: 16 bytes each, the last one 28, all of them a multiple of 4, and nothing behind them.
          const lengths = fields.map(({ value }) => 4 + value.length);
          expect(lengths.reduce((sum, length) => sum + length, 48)).toBe(packet.length);
          expect(lengths.every((length) => length >= 16 && length % 4 === 0)).toBe(true);
          expect(lengths.at(-1)).toBeGreaterThanOrEqual(28);
          expect(fields[0]!.value.length).toBe(32);
          // Nonce and tag: nothing is encrypted, and no padding is needed (5.6).
          const { nonceBytes } = algorithm(aead);
          const body = fields.at(-1)!.value;
          expect([body.readUInt16BE(0), body.readUInt16BE(2), body.length]).toEqual([nonceBytes, 16, 20 + nonceBytes]);
          // Mode 3: the only one in which a client sends cookies and placeholders (5.4, 5.5).
          expect(packet[0]).toBe(0x23);
        }
      }
    },
  );

  it('asks for seven further cookies at most (5.7)', () => {
    const sim = startedWith();
    sim.runUntilSynchronised();
    sim.runUntil('the jar is full', () => sim.report!.cookies === 8, 100);
    const before = sim.requests.length;
    sim.behaviour.onRequest = () => [];
    sim.runUntil('eight requests', () => sim.requests.length >= before + 8, 900);
    const asked = sim.requests.slice(before, before + 8).map(({ placeholders }) => placeholders.length);
    expect(asked).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  });
});

describe('without NTS (RFC 8915 8.7)', () => {
  // The simulated meter throws at any request that is not sealed with keys of one of its servers.
  it.each([
    ['of connections', Failure.Connect],
    ['of certificates', Failure.Untrusted],
  ])('no request is sent, however long key establishment fails because %s', (_, reason) => {
    const sim = startedWith(() => {}, { settings: { reportSeconds: 3600 } });
    sim.servers[0]!.fails(reason);
    sim.run(10 * 86_400);
    expect(sim.sentOf(Message.TlsOpen).length).toBeGreaterThan(8);
    expect(sim.sentOf(Message.UdpSend)).toEqual([]);
    expect(sim.sentOf(Message.UdpOpen)).toEqual([]);
    expect(sim.meter.time().status).toBe(ClockStatus.Unsynchronised);
  });

  it('none is sent to a server that answers each with a NAK', () => {
    const sim = startedWith((behaviour) => {
      behaviour.onRequest = (request) => [request.server.kiss(request, 'NTSN')];
    });
    sim.run(86_400);
    expect(sim.requests.length).toBeGreaterThan(8);
    expect(sim.sentOf(Message.UdpSend).length).toBe(sim.requests.length);
  });

  it('no time is taken of an answer without a seal (5.7)', () => {
    const sim = startedWith((behaviour) => {
      behaviour.onRequest = (request) => {
        const sealed = sim.answer(request);
        // Header and identifier; header alone.
        return [sealed.subarray(0, 48 + 36), sealed.subarray(0, 48)];
      };
    });
    sim.run(600);
    expect(sim.report).toMatchObject({ authenticated: 0, status: ClockStatus.Unsynchronised });
    expect(sim.report!.rejected).toBeGreaterThan(8);
  });
});
