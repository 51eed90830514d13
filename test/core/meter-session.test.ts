// The core as a meter, in virtual time, against a server written from RFC 8915: what must succeed, what must fail, and
// how each failure is told.
import { randomBytes } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import { ClockStatus, Failure, KeError, Message, MeterEvent, Reject, TimeFlag } from '../../as/abi/codes.ts';
import { buildCore } from '../../scripts/build-core.mjs';
import {
  type AnswerParts,
  aeadRecord,
  answerParts,
  cookieRecord,
  endOfMessage,
  keAnswer,
  nextProtocol,
  record,
  sealedAnswer,
  unsealedAnswer,
} from './nts-reference.ts';
import { seededRandom } from './random.ts';
import {
  type Behaviour,
  buildUnixSeconds,
  millisecond,
  type ServedRequest,
  SimulatedMeter,
  second,
  startedWith,
  startUtcNs,
} from './simulated-meter.ts';

beforeAll(async () => {
  await buildCore();
});

function keFailure(change: (behaviour: Behaviour) => void) {
  const sim = startedWith(change);
  sim.runUntil('a failed key establishment', () => sim.eventCodes().includes(MeterEvent.KeFailed), 60);
  const event = sim.events.find(({ code }) => code === MeterEvent.KeFailed)!;
  expect(sim.meter.time().status).toBe(ClockStatus.Unsynchronised);
  return { error: Number(event.a) as KeError, detail: Number(event.b), sim };
}

describe('from power-on to time', () => {
  it('synchronises, tells who it is and shows the time within its bound', () => {
    const sim = startedWith();
    sim.runUntilSynchronised();
    sim.run(20);
    const { status, boundNs, uncertaintyNs } = sim.meter.time();
    expect(status).toBe(ClockStatus.Synchronised);
    expect(abs(sim.errorNs)).toBeLessThan(1_000_000n);
    expect(abs(sim.errorNs)).toBeLessThanOrEqual(boundNs);
    expect(uncertaintyNs).toBeLessThanOrEqual(boundNs);
    expect(sim.info).toMatchObject({ meterId: 'sim-1', board: 'software' });
    expect(sim.report).toMatchObject({ stratum: 1, aead: 15, cookies: 8, cookieBytes: 100, keHost: 'time.test' });
    expect(sim.sources[0]).toMatchObject({ keHost: 'time.test', ntpHost: 'time.test', ntpPort: 123 });
    expect(sim.report!.flags & TimeFlag.SingleSource).toBeTruthy();
    expect(sim.eventCodes().slice(0, 4)).toEqual([
      MeterEvent.Started,
      MeterEvent.KeysEstablished,
      MeterEvent.ClockSet,
      MeterEvent.Synchronised,
    ]);
    // Also the first setting tells when it was.
    for (const { utcNs } of sim.events.slice(2, 4)) expect(abs(utcNs - startUtcNs)).toBeLessThan(second);
  });

  it('asks for its first certificate without dates, and for later ones at its own time', () => {
    const sim = startedWith();
    sim.runUntilSynchronised();
    const opens = () => sim.sent.filter((message) => message.type === Message.TlsOpen);
    expect(opens()).toMatchObject([{ validAt: undefined, host: 'time.test', port: 4460, alpn: 'ntske/1' }]);
    sim.behaviour.onRequest = () => [];
    sim.runUntil('new keys', () => opens().length > 1, 1200);
    expect(Number(opens()[1]!.validAt! - sim.utcNs / second)).toBeCloseTo(0, -1);
  });

  it('uses the time floor for certificates where the trust policy wants dates checked', () => {
    const sim = startedWith(() => {}, { settings: { firstDatesUnchecked: false } });
    sim.runUntil('an open', () => sim.sent.length > 0);
    expect(sim.sent.find((message) => message.type === Message.TlsOpen)).toMatchObject({ validAt: 1_795_000_000n });
  });

  it('refuses the time of a server whose certificate does not hold at that time', () => {
    const sim = startedWith((behaviour) => {
      behaviour.notAfter = 1_795_000_000n;
    });
    sim.runUntil('a refusal', () => sim.eventCodes().includes(MeterEvent.CertificateRefused));
    expect(sim.meter.time().status).toBe(ClockStatus.Unsynchronised);
    expect(sim.eventCodes()).not.toContain(MeterEvent.ClockSet);
  });

  it.each([
    ['2036, the next NTP era', 2_085_978_490n],
    ['2038', 2_147_483_640n],
    ['2040', 2_208_988_800n],
  ])('works across %s', (_, startSeconds) => {
    const sim = startedWith(() => {}, { startUtcNs: startSeconds * second });
    sim.runUntilSynchronised();
    sim.run(60);
    expect(abs(sim.errorNs)).toBeLessThan(millisecond);
  });

  it('takes server and port records, and asks for the NTP socket there', () => {
    const sim = startedWith((behaviour) => {
      behaviour.onKe = () => [Buffer.concat([record(7, [0x30, 0x39]), record(6, Buffer.from('ntp.test')), keAnswer()])];
    });
    sim.runUntilSynchronised();
    expect(sim.sent.find((message) => message.type === Message.UdpOpen)).toMatchObject({
      host: 'ntp.test.',
      port: 12345,
      attempt: 0,
    });
  });

  it('has a time of another server at once where one fails and one is enough', () => {
    const sim = new SimulatedMeter({ servers: 2, settings: { agreement: 1 } });
    sim.behaviour.onTlsOpen = ({ id }) => ({ type: Message.TlsClosed, id, reason: Failure.Connect, detail: 'refused' });
    sim.meter.start();
    sim.run(3);
    expect(sim.meter.time().status).toBe(ClockStatus.Synchronised);
    expect(sim.report).toMatchObject({ keHost: 'b.test', source: 1 });
  });
});

describe('requests (RFC 8915 5.7, data minimisation)', () => {
  it('hold nothing but random numbers, a cookie and placeholders', () => {
    const sim = startedWith();
    sim.runUntilSynchronised();
    sim.run(300);
    const seen = new Set<string>();
    for (const request of sim.requests) {
      expect(request.packet.subarray(0, 40).toString('hex')).toBe(`23${'00'.repeat(39)}`);
      expect(request.packet.length).toBeLessThanOrEqual(1232);
      for (const value of [request.origin, request.identifier, request.cookie]) {
        const hex = value.toString('hex');
        expect(seen.has(hex)).toBe(false);
        seen.add(hex);
      }
    }
    expect(sim.requests.length).toBeGreaterThan(6);
  });

  it('refill the cookies that were lost, and are no shorter than the answer', () => {
    const sim = startedWith();
    sim.runUntilSynchronised();
    sim.run(30);
    sim.behaviour.onRequest = () => [];
    const before = sim.requests.length;
    sim.runUntil('three lost polls', () => sim.requests.length >= before + 3, 300);
    const lengths: [number, number][] = [];
    sim.behaviour.onRequest = (request) => {
      const answer = sim.answer(request);
      lengths.push([request.packet.length, answer.length]);
      return [answer];
    };
    sim.runUntil('cookies again', () => sim.report!.cookies === 8, 300);
    expect(sim.requests.at(-1)!.placeholders.length).toBeGreaterThanOrEqual(3);
    for (const [request, answer] of lengths) expect(answer).toBeLessThanOrEqual(request);
  });

  it.each([1, 63, 64, 97, 108, 109, 168, 255, 256])('carry cookies of %i bytes', (bytes) => {
    const sim = startedWith((behaviour) => {
      behaviour.onKe = () => [keAnswer(3, bytes)];
    });
    sim.runUntilSynchronised();
    sim.run(200);
    // As many as RFC 8915 5.7 asks for, or have room.
    expect(sim.report!.cookies).toBe(Math.min(8, Math.floor(880 / (2 + bytes))));
    for (const { packet } of sim.requests) expect(packet.length).toBeLessThanOrEqual(1232);
  });
});

describe('errors of the key establishment (RFC 8915 4.1)', () => {
  const answers: [string, () => Uint8Array, KeError][] = [
    ['no record at all', () => Buffer.alloc(0), KeError.Empty],
    ['an answer without End of Message', () => keAnswer().subarray(0, -4), KeError.Truncated],
    ['an answer cut in a record', () => keAnswer().subarray(0, 300), KeError.Truncated],
    ['error 0', () => Buffer.concat([record(2, [0, 0]), endOfMessage()]), KeError.PeerUnrecognizedCritical],
    ['error 1', () => Buffer.concat([record(2, [0, 1]), endOfMessage()]), KeError.PeerBadRequest],
    ['error 2', () => Buffer.concat([record(2, [0, 2]), endOfMessage()]), KeError.PeerInternal],
    ['error 4711', () => Buffer.concat([record(2, [0x12, 0x67]), endOfMessage()]), KeError.PeerUnknown],
    ['an error of three bytes', () => record(2, [0, 0, 0]), KeError.Malformed],
    ['a warning', () => Buffer.concat([nextProtocol(), record(3, [0, 7])]), KeError.Warning],
    ['an unknown critical record', () => Buffer.concat([record(77, []), keAnswer()]), KeError.UnknownCritical],
    ['no Next Protocol', () => Buffer.concat([aeadRecord(), cookieRecord(), endOfMessage()]), KeError.NextProtocol],
    ['two Next Protocol', () => Buffer.concat([nextProtocol(), keAnswer()]), KeError.NextProtocol],
    ['another protocol', () => Buffer.concat([nextProtocol(1), aeadRecord()]), KeError.NextProtocol],
    ['a Next Protocol that is not critical', () => record(1, [0, 0], false), KeError.NextProtocol],
    ['an empty Next Protocol', () => Buffer.concat([record(1, []), endOfMessage()]), KeError.NoNtpv4],
    ['no AEAD', () => Buffer.concat([nextProtocol(), cookieRecord(), endOfMessage()]), KeError.Aead],
    ['two AEADs', () => Buffer.concat([aeadRecord(), keAnswer()]), KeError.Aead],
    ['an empty AEAD', () => Buffer.concat([nextProtocol(), record(4, []), endOfMessage()]), KeError.NoCommonAead],
    ['an AEAD that was not offered', () => Buffer.concat([nextProtocol(), aeadRecord(18)]), KeError.AeadNotOffered],
    ['no cookie', () => Buffer.concat([nextProtocol(), aeadRecord(), endOfMessage()]), KeError.NoCookies],
    ['an empty cookie', () => Buffer.concat([cookieRecord(0), keAnswer()]), KeError.CookieLength],
    ['a cookie of 257 bytes', () => Buffer.concat([cookieRecord(257), keAnswer()]), KeError.CookieLength],
    ['a server name of 65 bytes', () => record(6, Buffer.alloc(65, 'a')), KeError.ServerRecord],
    ['a server name with a space', () => record(6, Buffer.from('a b')), KeError.ServerRecord],
    ['a port of one byte', () => record(7, [1]), KeError.ServerRecord],
    ['port 0', () => record(7, [0, 0]), KeError.ServerRecord],
    ['End of Message with a body', () => record(0, [0]), KeError.EndOfMessage],
    ['End of Message not critical', () => record(0, [], false), KeError.EndOfMessage],
    ['data behind End of Message', () => Buffer.concat([keAnswer(), Buffer.from([0])]), KeError.TrailingData],
    ['more than 65,536 bytes', () => record(9, Buffer.alloc(65_533), false), KeError.Timeout],
  ];
  it.each(answers)('%s', (_, answer, expected) => {
    const { error } = keFailure((behaviour) => {
      behaviour.onKe = () => [answer()];
      behaviour.closeReason = Failure.None;
    });
    expect(KeError[error] ?? error).toBe(KeError[expected] ?? expected);
  });

  it('another ALPN protocol', () => {
    const { error } = keFailure((behaviour) => {
      const open = behaviour.onTlsOpen;
      behaviour.onTlsOpen = (message) => ({ ...open(message)!, alpn: 'h2' }) as ReturnType<typeof open>;
    });
    expect(error).toBe(KeError.Alpn);
  });

  it('a connection that fails, with its reason', () => {
    for (const reason of [Failure.Dns, Failure.Connect, Failure.Untrusted, Failure.Expired, Failure.WrongName]) {
      const { error, detail } = keFailure((behaviour) => {
        behaviour.onTlsOpen = ({ id }) => ({ type: Message.TlsClosed, id, reason, detail: 'because' });
      });
      expect([error, detail]).toEqual([KeError.Connection, reason]);
    }
  });

  it('a gateway that never answers', () => {
    const { error } = keFailure((behaviour) => {
      behaviour.onTlsOpen = () => undefined;
    });
    expect(error).toBe(KeError.Timeout);
  });

  it('takes records in any order, in pieces of any size, with either critical bit on the AEAD', () => {
    const random = seededRandom('order of records');
    for (let round = 0; round < 20; round++) {
      const records = [nextProtocol(), aeadRecord(15, round % 2 === 0), record(99, randomBytes(round * 20), false)];
      for (let i = 0; i < 8; i++) records.push(cookieRecord(100));
      for (let i = records.length - 1; i > 0; i--) {
        const other = random.below(i + 1);
        [records[i], records[other]] = [records[other]!, records[i]!];
      }
      const answer = Buffer.concat([...records, endOfMessage()]);
      const pieces: Uint8Array[] = [];
      for (let at = 0; at < answer.length; at += 1 + round * 7) pieces.push(answer.subarray(at, at + 1 + round * 7));
      const sim = startedWith((behaviour) => {
        behaviour.onKe = () => pieces;
      });
      sim.runUntilSynchronised();
    }
  });

  it('waits longer after each failure (RFC 8915 4.2)', () => {
    const sim = startedWith((behaviour) => {
      behaviour.onKe = () => [endOfMessage()];
    });
    const { opened } = sim.servers[0]!;
    sim.runUntil('eight attempts', () => opened.length >= 8, 30_000);
    const waits = opened.slice(1).map((at, i) => Number(at - opened[i]!) / 1e9);
    expect(waits[0]).toBeLessThanOrEqual(15.1);
    for (const [i, wait] of waits.entries()) {
      expect(wait).toBeGreaterThanOrEqual(10 * 1.5 ** i);
      if (i > 0) expect(wait / waits[i - 1]!).toBeGreaterThanOrEqual(1.99);
      if (i > 0) expect(wait / waits[i - 1]!).toBeLessThanOrEqual(3.01);
    }
  });
});

describe('answers that must be refused', () => {
  type Make = (sim: SimulatedMeter, request: ServedRequest) => Uint8Array[];
  const sealed =
    (change: (parts: AnswerParts) => void): Make =>
    (sim, request) => {
      const parts = answerParts(request, sim.utcNs, sim.utcNs + 1000n);
      change(parts);
      return [sealedAnswer(parts, request.keys.serverToClient)];
    };
  const unsealed =
    (change: (parts: AnswerParts) => void): Make =>
    (sim, request) => {
      const parts = answerParts(request, sim.utcNs, sim.utcNs);
      change(parts);
      return [unsealedAnswer(parts)];
    };
  const hour = 3600n * second;
  const cases: [string, Make, Reject][] = [
    ['empty', () => [Buffer.alloc(0)], Reject.Malformed],
    ['47 bytes', () => [Buffer.alloc(47)], Reject.Malformed],
    // Noise may look like a server's answer at first sight, but not with mode 7.
    ['48 bytes of noise', () => [Buffer.concat([Buffer.of(0xff), randomBytes(47)])], Reject.Mode],
    ['the request itself, reflected', (_, { packet }) => [packet], Reject.Mode],
    ['version 3', sealed((parts) => (parts.first = 0x1c)), Reject.Mode],
    ['mode 5', sealed((parts) => (parts.first = 0x25)), Reject.Mode],
    ['another origin', sealed((parts) => (parts.origin = randomBytes(8))), Reject.Origin],
    ['another unique identifier', sealed((parts) => (parts.identifier = randomBytes(32))), Reject.UniqueIdentifier],
    [
      'a short unique identifier',
      sealed((parts) => (parts.identifier = parts.identifier.subarray(0, 16))),
      Reject.UniqueIdentifier,
    ],
    ['no authenticator, one hour off', unsealed((parts) => (parts.transmitUtcNs += hour)), Reject.NoAuthenticator],
    [
      'sealed with another key, one hour off',
      (sim, request) => [sealedAnswer(answerParts(request, sim.utcNs + hour, sim.utcNs + hour), randomBytes(32))],
      Reject.Authentication,
    ],
    ['leap 3', sealed((parts) => (parts.first = 0xe4)), Reject.Unsynchronised],
    ['stratum 16', sealed((parts) => (parts.stratum = 16)), Reject.Unsynchronised],
    [
      'an authenticated kiss',
      sealed((parts) => {
        parts.stratum = 0;
        parts.referenceId = Buffer.from('RATE');
      }),
      Reject.Kiss,
    ],
    [
      'an unauthenticated kiss',
      unsealed((parts) => {
        parts.stratum = 0;
        parts.referenceId = Buffer.from('DENY');
      }),
      Reject.Kiss,
    ],
    ['root dispersion of 2 s', sealed((parts) => (parts.rootDispersion = 0x2_0000)), Reject.RootDistance],
    ['sent before received', sealed((parts) => (parts.transmitUtcNs -= second)), Reject.ServerTime],
    ['served for longer than the round trip', sealed((parts) => (parts.transmitUtcNs += second)), Reject.Delay],
    [
      'a year before the software was built',
      sealed((parts) => {
        parts.receiveUtcNs -= 300n * 86_400n * second;
        parts.transmitUtcNs = parts.receiveUtcNs;
      }),
      Reject.BehindFloor,
    ],
    ...[1, 19.6, 56.9, 95].map((years): [string, Make, Reject] => [
      `${years} years before the software was built`,
      sealed((parts) => {
        parts.receiveUtcNs = BigInt(Math.round(buildUnixSeconds - years * 31_557_600)) * second;
        parts.transmitUtcNs = parts.receiveUtcNs;
      }),
      Reject.BehindFloor,
    ]),
    [
      'a field of 12 bytes',
      sealed((parts) => parts.extra.push(Buffer.from('0abc000c0000000000000000', 'hex'))),
      Reject.Malformed,
    ],
    [
      'a second unique identifier',
      sealed((parts) => parts.extra.push(Buffer.concat([Buffer.from('01040024', 'hex'), parts.identifier]))),
      Reject.Malformed,
    ],
    ['a cookie of 257 bytes', sealed((parts) => (parts.cookies = [randomBytes(257)])), Reject.Malformed],
  ];
  it.each(cases)('%s', (_, make, expected) => {
    const sim = startedWith((behaviour) => {
      behaviour.onRequest = (request) => make(sim, request);
    });
    sim.runUntil('a refusal', () => (sim.report?.rejected ?? 0) > 0);
    expect(Reject[sim.report!.lastReject]).toBe(Reject[expected]);
    expect(sim.meter.time().status).toBe(ClockStatus.Unsynchronised);
    const event = sim.events.find(({ code }) => code === MeterEvent.AnswerRefused)!;
    expect(Number(event.a)).toBe(expected);
  });

  it('every flipped bit of an answer', () => {
    let bit = 0;
    let wholeBits = Number.POSITIVE_INFINITY;
    const sim = startedWith(
      (behaviour) => {
        behaviour.onRequest = (request) => {
          const forged: Uint8Array[] = [];
          const good = sim.answer(request);
          wholeBits = good.length * 8;
          for (let i = 0; i < 500 && bit < wholeBits; i++, bit++) {
            const copy = Buffer.from(good);
            copy[bit >> 3]! ^= 1 << (bit & 7);
            forged.push(copy);
          }
          return forged;
        };
      },
      { settings: { poll: { minSeconds: 1, maxSeconds: 1 } } },
    );
    while (bit < wholeBits) sim.run(10);
    sim.run(3);
    expect(sim.meter.time().status).toBe(ClockStatus.Unsynchronised);
    expect(sim.eventCodes()).not.toContain(MeterEvent.ClockSet);
    sim.behaviour.onRequest = (request) => [sim.answer(request)];
    sim.runUntil('synchronised', () => sim.meter.time().status === ClockStatus.Synchronised, 3600);
  });

  it('truncated to every length', () => {
    let at = 0;
    const sim = startedWith((behaviour) => {
      behaviour.onRequest = (request) => {
        const good = sim.answer(request);
        const cut = [];
        for (; at < good.length && cut.length < good.length; at++) cut.push(good.subarray(0, at));
        return cut;
      };
    });
    sim.run(20);
    expect(at).toBeGreaterThan(200);
    expect(sim.eventCodes()).not.toContain(MeterEvent.ClockSet);
  });

  it('replayed and late ones, while the good one counts', () => {
    let old: Buffer | undefined;
    const sim = startedWith((behaviour) => {
      behaviour.onRequest = (request) => {
        const good = sim.answer(request);
        const all = [...(old === undefined ? [] : [old]), good, good];
        old = good;
        return all;
      };
    });
    sim.runUntilSynchronised();
    sim.run(200);
    expect(abs(sim.errorNs)).toBeLessThan(millisecond);
    expect(sim.report!.rejected).toBeGreaterThan(5);
    expect(sim.report!.authenticated).toBe(sim.report!.sent);
  });

  it('an answer that comes after three seconds', () => {
    const sim = startedWith((behaviour) => {
      behaviour.backNs = () => 3100n * millisecond;
    });
    sim.run(60);
    expect(sim.meter.time().status).toBe(ClockStatus.Unsynchronised);
  });

  it('one forged answer after another does not keep the good one out', () => {
    const sim = startedWith((behaviour) => {
      behaviour.onRequest = (request) => {
        const forged = sealedAnswer(
          answerParts(request, sim.utcNs + 3600n * second, sim.utcNs + 3600n * second),
          randomBytes(32),
        );
        return [forged, forged, forged, sim.answer(request)];
      };
    });
    sim.runUntilSynchronised();
    expect(abs(sim.errorNs)).toBeLessThan(millisecond);
  });
});

describe('a server whose date cannot be', () => {
  // A receiver that lost 1,024 weeks of GPS; a clock that lost its date.
  it.each([0.8, 1.2, 19.625, 56.9, 95])('%s years behind: no time, now or after it is right again', (years) => {
    const sim = startedWith(
      (behaviour) => {
        behaviour.serverErrorNs = -BigInt(Math.round(years * 31_557_600)) * second;
        behaviour.notBefore = 0n;
        behaviour.notAfter = startUtcNs / second + 200n * 31_557_600n;
      },
      { settings: { firstDatesUnchecked: false }, rtc: true },
    );
    sim.run(3 * 86_400);
    expect(sim.report).toMatchObject({ status: ClockStatus.Unsynchronised, lastReject: Reject.BehindFloor });
    expect(sim.eventCodes()).not.toContain(MeterEvent.ClockSet);
    sim.behaviour.serverErrorNs = 0n;
    sim.runUntil('synchronised', () => sim.meter.time().status === ClockStatus.Synchronised, 86_400);
    expect(Math.abs(Number(sim.errorNs))).toBeLessThan(11e6);
  });

  it('behind while the meter has the time: the meter keeps it', () => {
    const sim = startedWith();
    sim.run(3_600);
    sim.behaviour.serverErrorNs = -1024n * 7n * 86_400n * second;
    sim.run(86_400);
    expect(sim.meter.time().status).toBe(ClockStatus.Holdover);
    expect(Math.abs(Number(sim.errorNs))).toBeLessThan(11e6);
  });
});

describe('events', () => {
  it('what the network provokes displaces no correction of the clock', () => {
    let forging = false;
    const sim = startedWith(
      (behaviour) => {
        behaviour.onRequest = (request) => {
          const good = sim.answer(request);
          if (!forging) return [good];
          const bad = [0x1c, 0x25].map((first) => Buffer.concat([Buffer.of(first), good.subarray(1)]));
          const origin = Buffer.from(good);
          origin[24]! ^= 1;
          const identifier = Buffer.from(good);
          identifier[52]! ^= 1;
          const sealed = Buffer.from(good);
          sealed[sealed.length - 1]! ^= 1;
          const parts = unsealedAnswer(answerParts(request, sim.utcNs, sim.utcNs));
          return [...bad, origin, identifier, sealed, parts, good.subarray(0, 50), good, good];
        };
      },
      { settings: { poll: { minSeconds: 16, maxSeconds: 16 } } },
    );
    sim.run(60);
    sim.acknowledge = false;
    forging = true;
    sim.run(3_600);
    const held = sim.events.filter(({ code }) => code === MeterEvent.AnswerRefused);
    expect(held.length).toBeGreaterThan(0);
    expect(held.length).toBeLessThanOrEqual(8);
    sim.behaviour.serverErrorNs = 3_600n * second;
    // A single server is believed against the clock only when it insists.
    sim.run(120);
    const step = sim.events.findLast(({ code, a }) => code === MeterEvent.ClockSet && a !== 0n)!;
    expect(step).toBeDefined();
    // What was refused meanwhile is told, with how often, as soon as there is room.
    sim.acknowledge = true;
    sim.deliver({ type: Message.EventAck, sequence: step.sequence });
    sim.run(120);
    const told = sim.events.filter(({ code, a }) => code === MeterEvent.AnswerRefused && Number(a) === Reject.Mode);
    expect(told.reduce((sum, { b }) => sum + Number(b), 0)).toBeGreaterThan(400);
  });

  it('an answer refused for the same reason again and again is told once a minute', () => {
    const sim = startedWith(
      (behaviour) => {
        behaviour.onRequest = (request) => {
          const good = request.server.answer(request);
          return [Uint8Array.from([0xa5, ...good.subarray(1)]), good];
        };
      },
      { settings: { poll: { minSeconds: 1, maxSeconds: 1 } } },
    );
    sim.run(1_800);
    const told = sim.events.filter(({ code, a }) => code === MeterEvent.AnswerRefused && Number(a) === Reject.Mode);
    expect(told.length).toBeGreaterThan(25);
    const seconds = told.map(({ uptimeNs }) => Number(uptimeNs) / 1e9);
    for (let i = 1; i < told.length; i++) {
      expect(seconds[i]! - seconds[i - 1]!).toBeGreaterThanOrEqual(60);
      expect(seconds[i]! - seconds[i - 1]!).toBeLessThan(63);
      // The one that is told and those since the one before.
      expect(Number(told[i]!.b)).toBeGreaterThan(50);
    }
  });

  it('a correction that takes several polls is told once', () => {
    const sim = startedWith(
      (behaviour) => {
        behaviour.change = (parts) => {
          parts.rootDispersion = 0x2000;
        };
      },
      { settings: { poll: { minSeconds: 1, maxSeconds: 1 } } },
    );
    sim.run(60);
    sim.behaviour.serverErrorNs = 40n * millisecond;
    sim.run(240);
    expect(Math.abs(Number(sim.errorNs) - 40e6)).toBeLessThan(1e6);
    expect(sim.eventCodes().filter((code) => code === MeterEvent.ClockSlewed).length).toBe(1);
  });
});

describe('recovery', () => {
  it('gets new keys after a NAK that no answer contradicts', () => {
    const sim = startedWith();
    sim.runUntilSynchronised();
    sim.run(60);
    const attempts = sim.report!.keAttempts;
    sim.behaviour.onRequest = (request) => {
      const parts = answerParts(request, sim.utcNs, sim.utcNs);
      parts.stratum = 0;
      parts.referenceId = Buffer.from('NTSN');
      return [unsealedAnswer(parts)];
    };
    sim.runUntil('a NAK', () => sim.eventCodes().includes(MeterEvent.Nak), 120);
    sim.behaviour.onRequest = (request) => [sim.answer(request)];
    sim.runUntil('new keys', () => sim.report!.keAttempts > attempts && sim.report!.cookies === 8, 60);
    expect(sim.meter.time().status).toBe(ClockStatus.Synchronised);
  });

  it('does not believe a NAK beside a valid answer', () => {
    const sim = startedWith((behaviour) => {
      behaviour.onRequest = (request) => {
        const parts = answerParts(request, sim.utcNs, sim.utcNs);
        parts.stratum = 0;
        parts.referenceId = Buffer.from('NTSN');
        return [unsealedAnswer(parts), sim.answer(request)];
      };
    });
    sim.runUntilSynchronised();
    sim.run(120);
    expect(sim.report!.keAttempts).toBe(1);
  });

  it('goes into holdover when the server is gone, its bound growing, and comes back', () => {
    const sim = startedWith(() => {}, { frequencyPpb: 20_000 });
    sim.runUntilSynchronised();
    sim.run(300);
    const bound = sim.meter.time().boundNs;
    sim.behaviour.onRequest = () => [];
    sim.behaviour.onTlsOpen = ({ id }) => ({ type: Message.TlsClosed, id, reason: Failure.Connect, detail: '' });
    sim.runUntil('holdover', () => sim.meter.time().status === ClockStatus.Holdover, 900);
    sim.run(86_400);
    expect(sim.meter.time().boundNs).toBeGreaterThan(bound + 86_400n * 40_000n);
    expect(abs(sim.errorNs)).toBeLessThanOrEqual(sim.meter.time().boundNs);
    const fresh = new SimulatedMeter();
    Object.assign(sim.behaviour, { onTlsOpen: fresh.behaviour.onTlsOpen });
    sim.behaviour.onTlsOpen = ({ id }) => ({
      type: Message.TlsOpened,
      id,
      notBefore: sim.behaviour.notBefore,
      notAfter: sim.behaviour.notAfter,
      fingerprint: new Uint8Array(32),
      alpn: 'ntske/1',
    });
    sim.behaviour.onRequest = (request) => [sim.answer(request)];
    sim.runUntil('synchronised again', () => sim.meter.time().status === ClockStatus.Synchronised, 5 * 86_400);
    // Up to 50 ms are slewed.
    sim.run(100);
    expect(abs(sim.errorNs)).toBeLessThan(10n * millisecond);
  });

  it('tries the next address of a silent server that the NTS-KE server named (RFC 8915 4.1.7)', () => {
    const sim = startedWith((behaviour) => {
      behaviour.onKe = () => [keAnswer(8, 100, 15, [record(6, Buffer.from('ntp.test'))])];
    });
    sim.runUntilSynchronised();
    sim.behaviour.onRequest = () => [];
    sim.runUntil('another address', () => attempts(sim).includes(1), 300);
  });

  it('asks no other address of the NTS-KE host: its cookies are for that one (RFC 8915 4.1.7)', () => {
    const sim = startedWith();
    sim.runUntilSynchronised();
    sim.behaviour.onRequest = () => [];
    sim.run(3_600);
    expect(attempts(sim).length).toBeGreaterThan(5);
    expect(new Set(attempts(sim))).toEqual(new Set([0]));
  });
});

function attempts(sim: SimulatedMeter): number[] {
  return sim.sentOf(Message.UdpOpen).map(({ attempt }) => attempt);
}

function abs(value: bigint): bigint {
  return value < 0n ? -value : value;
}

describe('a connection that was given up', () => {
  it('is not taken for the next one when it opens late', () => {
    const sim = startedWith((behaviour) => {
      behaviour.onTlsOpen = () => undefined;
    });
    sim.runUntil('a second attempt', () => sim.sentOf(Message.TlsOpen).length === 2);
    const [first, next] = sim.sentOf(Message.TlsOpen).map(({ id }) => id);
    const { notBefore, notAfter } = sim.behaviour;
    const opened = (id: number) =>
      sim.deliver({
        type: Message.TlsOpened,
        id,
        notBefore,
        notAfter,
        fingerprint: new Uint8Array(32),
        alpn: 'ntske/1',
      });
    opened(first!);
    sim.run(1);
    expect(sim.sentOf(Message.TlsWrite)).toEqual([]);
    opened(next!);
    sim.run(1);
    expect(sim.sentOf(Message.TlsWrite).map(({ id }) => id)).toEqual([next]);
  });
});
