// What a meter makes of answers, where RFC 8915 and RFC 5905 ask for it: how much of NTS-KE it reads (4), what an error
// leaves behind (4.1.3), what a server's precision costs (RFC 5905 7.3), and kisses that say a time (RFC 5905 7.4).
// docs/conformance.md names these tests.
import { beforeAll, describe, expect, it } from 'vitest';
import { ClockStatus, Failure, Message, MeterEvent } from '../../as/abi/codes.ts';
import { buildCore } from '../../scripts/build-core.mjs';
import {
  aeadRecord,
  answerParts,
  compliantRecord,
  cookieRecord,
  endOfMessage,
  extensionField,
  keAnswer,
  nextProtocol,
  record,
  sealedAnswer,
} from './nts-reference.ts';
import { second, startedWith } from './simulated-meter.ts';

beforeAll(async () => {
  await buildCore();
});

/** A right answer of so many bytes, filled up with a record that is not known. */
function answerOf(bytes: number): Buffer {
  const cookies = Array.from({ length: 8 }, () => cookieRecord(100));
  const first = Buffer.concat([nextProtocol(), aeadRecord()]);
  const last = Buffer.concat([...cookies, endOfMessage()]);
  return Buffer.concat([first, record(4000, Buffer.alloc(bytes - first.length - last.length - 4, 7), false), last]);
}

describe('the length of an answer (RFC 8915 4)', () => {
  it('of 65,536 bytes is taken', () => {
    const answer = answerOf(65_536);
    expect(answer.length).toBe(65_536);
    const sim = startedWith((behaviour) => {
      behaviour.onKe = () => [answer];
    });
    sim.runUntilSynchronised();
    sim.run(20);
    expect(sim.report).toMatchObject({ keAttempts: 1, keFailures: 0, cookies: 8 });
  });

  it('is the last that is taken', () => {
    const sim = startedWith((behaviour) => {
      behaviour.onKe = () => [answerOf(65_537)];
    });
    sim.run(5);
    expect(sim.eventCodes()).toContain(MeterEvent.KeFailed);
    expect(sim.meter.time().status).toBe(ClockStatus.Unsynchronised);
  });
});

describe('a further key establishment takes nothing from the one before', () => {
  it('no server, no port and no record 1024 (RFC 8915 4.1.7, 4.1.8, 5.1)', () => {
    const extra = [record(6, Buffer.from('ntp.test')), record(7, [0x30, 0x39]), compliantRecord()];
    let asked = 0;
    const sim = startedWith(
      (behaviour) => {
        behaviour.onKe = () => [keAnswer(8, 100, 30, asked++ % 2 === 0 ? extra : [])];
      },
      { settings: { keyAgeHours: 1 } },
    );
    sim.run(3.5 * 3600);
    const first = ['ntp.test.', 12345];
    expect(sim.sentOf(Message.UdpOpen).map(({ host, port }) => [host, port])).toEqual([
      first,
      ['time.test', 123],
      first,
      ['time.test', 123],
    ]);
    const contexts = sim.sentOf(Message.TlsExport).map(({ context }) => context[3]);
    expect(contexts).toEqual([30, 30, 15, 15, 30, 30, 30, 30, 15, 15, 30, 30]);
    expect(sim.report).toMatchObject({ keFailures: 0, reach: 0xff });
  });

  it('nor what was read of it before it was cut off, wherever that was', () => {
    for (let bytes = 1; bytes <= 40; bytes++) {
      const sim = startedWith((behaviour) => {
        behaviour.onKe = () => [keAnswer().subarray(0, bytes)];
        behaviour.closeReason = Failure.None;
      });
      sim.run(5);
      expect(sim.eventCodes(), `${bytes} bytes`).toContain(MeterEvent.KeFailed);
      sim.behaviour.onKe = () => [keAnswer()];
      sim.runUntilSynchronised();
      expect(sim.servers[0]!.opened.length, `${bytes} bytes`).toBe(2);
    }
  });

  it('nor its length', () => {
    const sim = startedWith(
      (behaviour) => {
        behaviour.onKe = () => [answerOf(40_000)];
      },
      { settings: { keyAgeHours: 1 } },
    );
    sim.run(2.5 * 3600);
    expect(sim.servers[0]!.opened.length).toBe(3);
    expect(sim.report).toMatchObject({ keFailures: 0, reach: 0xff });
  });
});

describe('records that are optional', () => {
  it.each([true, false])('of server and port are taken with either critical bit (4.1.7, 4.1.8)', (critical) => {
    const extra = [record(6, Buffer.from('ntp.test'), critical), record(7, [0x30, 0x39], critical)];
    const sim = startedWith((behaviour) => {
      behaviour.onKe = () => [keAnswer(8, 100, 15, extra)];
    });
    sim.runUntilSynchronised();
    expect(sim.sentOf(Message.UdpOpen)[0]).toMatchObject({ host: 'ntp.test.', port: 12345 });
  });
});

describe('a host in a server record (RFC 8915 4.1.7)', () => {
  it.each([
    ['ntp.test', 'ntp.test.'],
    ['ntp.test.', 'ntp.test.'],
    ['1a.2.test', '1a.2.test.'],
    [`${'a'.repeat(60)}.com`, `${'a'.repeat(60)}.com.`],
    ['192.0.2.1', '192.0.2.1'],
    ['2001:db8::1', '2001:db8::1'],
    ['fe::', 'fe::'],
  ])('%s: NTP is asked for at %s', (named, host) => {
    const sim = startedWith((behaviour) => {
      behaviour.onKe = () => [keAnswer(8, 100, 15, [record(6, Buffer.from(named))])];
    });
    sim.runUntilSynchronised();
    expect(sim.sentOf(Message.UdpOpen).map((open) => open.host)).toEqual([host]);
  });
});

describe('a second authenticator', () => {
  it('is behind the first, so not authenticated and without effect (RFC 8915 5.7)', () => {
    const sim = startedWith();
    sim.behaviour.onRequest = (request) => [
      Buffer.concat([sim.answer(request), extensionField(0x0404, Buffer.alloc(36, 7))]),
    ];
    sim.runUntilSynchronised();
    sim.run(60);
    expect(sim.report).toMatchObject({ rejected: 0, cookies: 8, reach: 0xff & ((1 << sim.requests.length) - 1) });
  });
});

describe('an encrypted field', () => {
  it.each([4, 5, 6, 7, 8])(
    'of %i bytes is taken where that is a multiple of four, and refused else (RFC 8915 5.6)',
    (bytes) => {
      const sim = startedWith();
      sim.runUntilSynchronised();
      sim.run(60);
      const { rejected } = sim.report!;
      sim.behaviour.change = ({ extraSealed }) => {
        extraSealed.push(Buffer.concat([Buffer.from([3, 0, 0, bytes]), Buffer.alloc(bytes - 4)]));
      };
      sim.run(600);
      expect(sim.report!.rejected > rejected).toBe(bytes % 4 !== 0);
    },
  );
});

describe('an error or a warning among records that are right (RFC 8915 4.1.3, 4.1.4)', () => {
  const places = [0, 1, 2, 3, 6, 10];
  const codes = [0, 1, 2, 3, 255, 256, 32_767, 32_768, 65_535];
  it.each([
    ['an error', 2],
    ['a warning', 3],
  ])('of any code, at any place: no key, no cookie and no request come of %s', (_, type) => {
    for (const code of codes) {
      for (const place of places) {
        const records = [nextProtocol(), aeadRecord(), ...Array.from({ length: 8 }, () => cookieRecord(100))];
        records.splice(place, 0, record(type, [code >> 8, code & 0xff], code % 2 === 0));
        const sim = startedWith((behaviour) => {
          behaviour.onKe = () => [Buffer.concat([...records, endOfMessage()])];
        });
        sim.run(4);
        expect(sim.eventCodes()).toContain(MeterEvent.KeFailed);
        expect(sim.sentOf(Message.TlsExport)).toEqual([]);
        expect(sim.sentOf(Message.UdpOpen)).toEqual([]);
        expect(sim.sources[0] ?? sim.report).toMatchObject({ aead: 0, cookies: 0 });
      }
    }
  });

  it('leave the keys in use as they are', () => {
    const sim = startedWith(() => {}, { settings: { keyAgeHours: 1 } });
    sim.runUntilSynchronised();
    const [server] = sim.servers;
    const { keys } = server!;
    sim.behaviour.onKe = (request) => [
      Buffer.concat([server!.keAnswer(request).subarray(0, -4), record(2, [0, 2]), endOfMessage()]),
    ];
    sim.run(2 * 3600);
    expect(sim.report!.keFailures).toBeGreaterThan(2);
    expect(sim.requests.every((request) => request.keys === keys)).toBe(true);
    expect(sim.report).toMatchObject({ status: ClockStatus.Synchronised, cookies: 8, reach: 0xff });
  });
});

describe('a certificate that runs out', () => {
  it('brings about no key establishment while its keys serve (8.5)', () => {
    const sim = startedWith();
    sim.behaviour.notAfter = sim.utcNs / second + 3600n;
    sim.run(86_400);
    expect(sim.servers[0]!.opened.length).toBe(1);
    expect(sim.report).toMatchObject({ status: ClockStatus.Synchronised, reach: 0xff });
  });
});

describe('a server whose clock ticks 64 times a second, and says so', () => {
  it('gives no better time than that (RFC 5905 7.3, precision)', () => {
    const precision = -6;
    const tickNs = second >> BigInt(-precision);
    const atTick = (utcNs: bigint) => utcNs - (utcNs % tickNs);
    const sim = startedWith((behaviour) => {
      Object.assign(behaviour, { outNs: () => 200_000n, backNs: () => 200_000n });
      behaviour.change = (parts) => {
        parts.receiveUtcNs = atTick(parts.receiveUtcNs);
        parts.transmitUtcNs = atTick(parts.transmitUtcNs);
        parts.precision = precision;
      };
    });
    sim.runUntilSynchronised();
    for (let i = 0; i < 200; i++) {
      sim.run(3);
      const { boundNs } = sim.meter.time();
      const errorNs = sim.errorNs < 0n ? -sim.errorNs : sim.errorNs;
      expect(errorNs).toBeLessThanOrEqual(boundNs);
      expect(boundNs).toBeLessThan(3n * tickNs);
    }
  });
});

describe('an answer that takes long', () => {
  it.each([-1, 1])("costs what the meter's own oscillator may err meanwhile (RFC 5905 9.1): %i", (sign) => {
    const maxFrequencyErrorPpb = 100_000;
    const sim = startedWith(
      (behaviour) => Object.assign(behaviour, { outNs: () => 1_000n, backNs: () => 2_900_000_000n }),
      { frequencyPpb: sign * maxFrequencyErrorPpb, maxFrequencyErrorPpb },
    );
    sim.runUntilSynchronised();
    for (let i = 0; i < 50; i++) {
      sim.run(1);
      const errorNs = sim.errorNs < 0n ? -sim.errorNs : sim.errorNs;
      expect(errorNs).toBeLessThanOrEqual(sim.meter.time().boundNs);
    }
  });
});

describe('a kiss that says a time (RFC 5905 7.4)', () => {
  const hour = 3600n * second;
  it.each(['RATE', 'NTSN', 'INIT', 'XYZW'])('%s, with and without a seal: it is not taken', (code) => {
    const sim = startedWith();
    sim.runUntilSynchronised();
    sim.run(60);
    sim.behaviour.onRequest = (request) => {
      const parts = answerParts(request, sim.utcNs + hour, sim.utcNs + hour);
      parts.stratum = 0;
      parts.referenceId = Buffer.from(code);
      return [sealedAnswer(parts, request.keys.serverToClient)];
    };
    sim.run(3600);
    expect(sim.eventCodes().filter((one) => one === MeterEvent.ClockSet).length).toBe(1);
    expect(Math.abs(Number(sim.errorNs))).toBeLessThan(50e6);
    sim.behaviour.onRequest = (request) => {
      const unsealed = Buffer.from(request.server.kiss(request, code));
      unsealed.writeUInt32BE(unsealed.readUInt32BE(32) + 3600, 32);
      unsealed.writeUInt32BE(unsealed.readUInt32BE(40) + 3600, 40);
      return [unsealed];
    };
    sim.run(3600);
    expect(Math.abs(Number(sim.errorNs))).toBeLessThan(50e6);
  });
});
