// RFC 8915 5.7 and RFC 5905 7.4: NAKs, kisses, cookies and fields that nothing vouches for. A meter that is synchronised
// may believe a NAK only when no valid answer comes, no kiss without authentication, and no field outside the seal.
import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ClockStatus, MeterEvent } from '../../as/abi/codes.ts';
import {
  type Answer,
  cookieField,
  extensionField,
  FieldType,
  identifierField,
  kiss,
  nak,
} from '../../host/setup/nts-packets.ts';
import { HostileLab, Reject, refusesCookies, type Surroundings, startSurroundings } from './lab.ts';
import { HostileServer, type KeMisbehaviour, type NtpContext } from './server.ts';

let surroundings: Surroundings;
let lab: HostileLab;
beforeAll(async () => {
  surroundings = await startSurroundings();
  lab = new HostileLab(surroundings);
  lab.start();
});
beforeEach(() => {
  // What a case that failed has left.
  const { script } = surroundings.server;
  script.ntp.splice(0);
  script.ke.splice(0);
  return lab.synchronised();
});
afterEach(() => expect(surroundings.server.faults.splice(0)).toEqual([]));
afterAll(async () => {
  await lab.stop();
  await surroundings.server.stop();
});

describe('a NAK', () => {
  it('RFC 8915 5.7: with the right identifier, and no answer until the next poll: new keys', async () => {
    const { server } = surroundings;
    const { keAttempts, naks } = lab.last;
    const from = lab.localNs;
    await lab.newKeys();
    await lab.pass('keys', () => lab.last.keAttempts === keAttempts + 1);
    expect(lab.last.naks).toBeGreaterThan(naks);
    expect(lab.last.status).toBe(ClockStatus.Synchronised);
    const codes = lab.watch.events.filter(({ uptimeNs }) => uptimeNs > from).map(({ code }) => code);
    expect(codes).toContain(MeterEvent.Nak);
    expect(codes).toContain(MeterEvent.KeysEstablished);
    expect(server.faults).toEqual([]);
  });

  it('RFC 8915 5.7: once, and NTS-KE is down: the old keys go on serving', async () => {
    const { server } = surroundings;
    const down: KeMisbehaviour = { tcp: (socket) => void socket.destroy() };
    server.script.ke.push(...Array.from({ length: 50 }, () => down));
    const { reason } = await lab.refuses(refusesCookies);
    expect(reason).toBe('Nak');
    for (let round = 0; round < 20; round++) {
      await lab.synchronised();
      expect(lab.meter.time().status).toBe(ClockStatus.Synchronised);
    }
    server.script.ke.splice(0);
  });

  it('RFC 8915 5.7: with the right identifier, before the right answer: nothing happens', async () => {
    const { naks, keAttempts, authenticated } = lab.last;
    await lab.misbehave({
      send: (packet, { request, reply }) => {
        reply(nak(request));
        reply(packet);
      },
    });
    await lab.pass('a NAK and an answer', () => lab.last.naks > naks && lab.last.authenticated > authenticated);
    for (let round = 0; round < 3; round++) await lab.synchronised();
    expect(lab.last.keAttempts).toBe(keAttempts);
  });

  it('RFC 8915 5.7: with the right identifier, behind the right answer: nothing happens', async () => {
    const { keAttempts, rejected } = lab.last;
    await lab.misbehave({
      send: (packet, { request, reply }) => {
        reply(packet);
        reply(nak(request));
      },
    });
    const after = await lab.pass('a late NAK', () => lab.watch.times.find((time) => time.rejected > rejected));
    expect(Reject[after.lastReject]).toBe('Unexpected');
    for (let round = 0; round < 3; round++) await lab.synchronised();
    expect(lab.last.keAttempts).toBe(keAttempts);
  });

  const wrong: [string, keyof typeof Reject, (context: NtpContext) => Buffer][] = [
    [
      'RFC 8915 5.7: with another identifier',
      'UniqueIdentifier',
      ({ request: { origin } }) => nak({ origin, identifier: randomBytes(32) }),
    ],
    ['RFC 8915 5.7: without an identifier', 'UniqueIdentifier', ({ request }) => nak(request).subarray(0, 48)],
    [
      'RFC 5905 8: with another origin',
      'Origin',
      ({ request: { identifier } }) => nak({ identifier, origin: randomBytes(8) }),
    ],
    ['RFC 8915 5.7: of stratum 1', 'NoAuthenticator', ({ request }) => stratumOne(nak(request))],
    [
      'RFC 8915 5.7: with an authenticator that does not hold',
      'Authentication',
      ({ request }) => Buffer.concat([nak(request), extensionField(FieldType.authenticator, fakeAuthenticator())]),
    ],
  ];
  it.each(wrong)('%s: ignored', async (_name, expected, make) => {
    const { naks, keAttempts } = lab.last;
    const { reason } = await lab.refuses({ send: (_packet, context) => context.reply(make(context)) });
    expect(reason).toBe(expected);
    expect(lab.last).toMatchObject({ naks, keAttempts });
  });

  it('RFC 8915 4.2 and 5.7: to every request: new keys are asked for ever more seldom', async () => {
    const { server, world } = surroundings;
    const attempts: bigint[] = [];
    const count = server.connections;
    server.always = refusesCookies;
    const counted = () => {
      if (server.connections > count + attempts.length) attempts.push(world.nowTicks());
      return attempts.length === 5;
    };
    await lab.pass('five attempts', counted, { stepMs: 1_000 });
    lab.expectRight();
    server.always = undefined;
    // No authenticated answer came in between: 10 s, and half as long again each time. A step of time is 1 s.
    for (const [at, least] of [10, 15, 22.5, 33.75].entries()) {
      expect(Number(attempts[at + 1]! - attempts[at]!) / 1e9).toBeGreaterThan(least - 1);
    }
    await lab.synchronised();
  });
});

function stratumOne(packet: Buffer): Buffer {
  packet[1] = 1;
  return packet;
}

/** A nonce and a tag of nobody. */
function fakeAuthenticator(): Buffer {
  return Buffer.concat([Buffer.of(0, 16, 0, 16), randomBytes(32)]);
}

describe('a kiss that nobody vouches for', () => {
  it.each(['DENY', 'RSTR', 'RATE', 'INIT', 'STEP', 'CRYP', 'X000', '\0\0\0\0'])(
    'RFC 5905 7.4: %j: counted and ignored',
    async (code) => {
      const { keAttempts, pollSeconds } = lab.last;
      const { reason } = await lab.refuses({ send: (_packet, { request, reply }) => reply(kiss(request, code)) });
      expect(reason).toBe('Kiss');
      for (let round = 0; round < 2; round++) await lab.synchronised();
      expect(lab.last).toMatchObject({ keAttempts, pollSeconds });
    },
  );
});

describe('a kiss under the seal', () => {
  const kissing = (code: string) => ({
    answer: (answer: Answer) => {
      answer.stratum = 0;
      answer.leap = 3;
      answer.referenceId = Buffer.from(code, 'latin1');
    },
  });

  it.each(['INIT', 'STEP', 'X000', 'NTSN', '\0\0\0\0'])('RFC 5905 7.4: %j: gives no time', async (code) => {
    const { keAttempts, pollSeconds } = lab.last;
    const { reason } = await lab.refuses(kissing(code));
    expect(reason).toBe('Kiss');
    expect(lab.last).toMatchObject({ keAttempts, pollSeconds });
  });

  it('RFC 5905 7.4: RATE: the meter polls half as often each time, and says so', async () => {
    const elsewhere = await startSurroundings();
    const { server, world } = elsewhere;
    const own = new HostileLab(elsewhere, { poll: { minSeconds: 4, maxSeconds: 64 } });
    try {
      own.start();
      await own.synchronised();
      for (const seconds of [8, 16, 32]) {
        const from = own.localNs;
        await own.misbehave(kissing('RATE'));
        const asked = world.nowTicks();
        const { requests } = server;
        const event = await own.pass('an event', () =>
          own.watch.events.find(({ code, uptimeNs }) => code === MeterEvent.RateLimited && uptimeNs > from),
        );
        expect(Number(event.a)).toBeGreaterThanOrEqual(seconds);
        await own.pass('the next request', () => server.requests > requests);
        expect(Number(world.nowTicks() - asked) / 1e9).toBeGreaterThanOrEqual(seconds - 0.25);
        await own.synchronised();
      }
      expect(server.faults).toEqual([]);
    } finally {
      await own.stop();
      await server.stop();
    }
  });

  it.each(['DENY', 'RSTR'])('RFC 5905 7.4: %s: the meter asks this server no more', async (code) => {
    const elsewhere = await startSurroundings();
    const own = new HostileLab(elsewhere);
    try {
      own.start();
      await own.synchronised();
      await own.misbehave(kissing(code));
      await own.pass('an event', () => own.watch.events.some((event) => event.code === MeterEvent.SourceStopped));
      const { requests, connections } = elsewhere.server;
      const until = own.localNs + 86_400_000_000_000n;
      await own.pass('a day', () => own.localNs > until, { stepMs: 600_000 });
      expect(elsewhere.server).toMatchObject({ requests, connections, faults: [] });
      expect(own.meter.time().status).toBe(ClockStatus.Holdover);
      own.expectRight();
    } finally {
      await own.stop();
      await elsewhere.server.stop();
    }
  });

  it('RFC 5905 7.4: DENY from one of two: the other gives the time', async () => {
    const { ca, world, server } = surroundings;
    const certificate = await ca.issue({ names: ['127.0.0.1'] });
    const denying = await HostileServer.start({ certificate, utcNs: () => world.utcNs() });
    const servers = [denying, server].map(({ kePort }) => ({ host: '127.0.0.1', port: kePort }));
    const own = new HostileLab(surroundings, { servers, agreement: 1 });
    try {
      own.start();
      await own.pass('both', () => denying.sent.length > 2);
      denying.script.ntp.push(kissing('DENY'));
      await own.pass('an event', () => own.watch.events.some(({ code }) => code === MeterEvent.SourceStopped));
      const { requests } = denying;
      for (let round = 0; round < 5; round++) await own.synchronised();
      expect(denying.requests).toBe(requests);
      expect(own.meter.time().status).toBe(ClockStatus.Synchronised);
    } finally {
      await own.stop();
      await denying.stop();
    }
  });
});

describe('cookies', () => {
  it('RFC 8915 5.7: as many as were asked for, and each used once', async () => {
    const { requests } = surroundings.server;
    await lab.pass('twenty requests', () => surroundings.server.requests >= requests + 20);
    await lab.synchronised();
    expect(lab.last.cookies).toBe(8);
  });

  it('RFC 8915 5.7: an answer without any: more are asked for next time', async () => {
    await lab.misbehave({ answer: (answer) => void answer.sealedFields.splice(0) });
    const fewer = await lab.pass('a cookie less', () => lab.last.cookies === 7 && lab.last);
    expect(fewer.status).toBe(ClockStatus.Synchronised);
    await lab.pass('all cookies again', () => lab.last.cookies === 8);
  });

  it('RFC 8915 5.7: never any more: new keys when the last is used, and time all along', async () => {
    const { keAttempts, keFailures, authenticated } = lab.last;
    for (let answer = 0; answer < 8; answer++) {
      await lab.misbehave({ answer: ({ sealedFields }) => void sealedFields.splice(0) });
    }
    await lab.pass('eight answers', () => lab.last.authenticated >= authenticated + 8);
    await lab.pass('new keys', () => lab.last.keAttempts > keAttempts, { stepMs: 1_000 });
    await lab.synchronised();
    expect(lab.last).toMatchObject({ keAttempts: keAttempts + 1, keFailures });
  });

  it('RFC 8915 5.7: more than were asked for: no more than eight are held', async () => {
    const surplus = Array.from({ length: 6 }, () => cookieField(surroundings.server.poison()));
    await lab.misbehave({ answer: (answer) => void answer.sealedFields.push(...surplus) });
    for (let round = 0; round < 10; round++) await lab.synchronised();
    expect(lab.last.cookies).toBe(8);
  });

  const elsewhere: [string, (answer: Answer, field: Buffer) => void][] = [
    ['RFC 8915 5.7: in clear, before the authenticator', (answer, field) => void answer.fields.push(field)],
    [
      'RFC 8915 5.5: a placeholder among the encrypted fields',
      (answer, field) => {
        field.writeUInt16BE(FieldType.placeholder, 0);
        answer.sealedFields.push(field);
      },
    ],
    [
      'RFC 8915 5.6: in a field that is not known',
      (answer, field) => void answer.sealedFields.push(extensionField(0x7f7f, field)),
    ],
  ];
  it.each(elsewhere)('%s: never used', async (_name, place) => {
    const { rejected } = lab.last;
    await lab.misbehave({
      answer: (answer) => {
        answer.sealedFields = [];
        place(answer, cookieField(surroundings.server.poison()));
      },
    });
    await lab.pass('a cookie less', () => lab.last.cookies === 7);
    for (let round = 0; round < 10; round++) await lab.synchronised();
    expect(lab.last.rejected).toBe(rejected);
  });
});

describe('fields that are not known', () => {
  const unknown = (bytes: number) => extensionField(0x7f7f, randomBytes(bytes));
  const cases: [string, (answer: Answer) => void][] = [
    ['RFC 8915 5.7: before the unique identifier', ({ fields }) => void fields.unshift(unknown(12))],
    ['RFC 8915 5.7: before the authenticator', ({ fields }) => void fields.push(unknown(100))],
    ['RFC 8915 5.7: before the cookies, encrypted', ({ sealedFields }) => void sealedFields.unshift(unknown(100))],
    ['RFC 8915 5.7: behind the cookies, encrypted', ({ sealedFields }) => void sealedFields.push(unknown(100))],
    [
      'RFC 8915 5.6: of four bytes, encrypted',
      ({ sealedFields }) => void sealedFields.push(Buffer.of(0x7f, 0x7f, 0, 4)),
    ],
    [
      'RFC 8915 5.3: a second unique identifier, encrypted',
      ({ sealedFields }) => void sealedFields.push(identifierField(randomBytes(32))),
    ],
  ];
  it.each(cases)('%s: passed over', async (_name, answer) => {
    const { rejected, authenticated } = lab.last;
    await lab.misbehave({ answer });
    await lab.pass('an answer taken', () => lab.last.authenticated > authenticated);
    lab.expectRight();
    expect(lab.last.rejected).toBe(rejected);
  });

  const trailing: [string, () => Buffer][] = [
    ['RFC 8915 5.7: a field behind the authenticator', () => unknown(100)],
    ['RFC 8915 5.7: a cookie behind the authenticator', () => cookieField(surroundings.server.poison())],
    ['RFC 8915 5.7: another identifier behind the authenticator', () => identifierField(randomBytes(32))],
    [
      'RFC 8915 5.7: an authenticator behind the authenticator',
      () => extensionField(FieldType.authenticator, fakeAuthenticator()),
    ],
  ];
  it.each(trailing)('%s: discarded, and the answer taken', async (_name, field) => {
    const { authenticated, rejected } = lab.last;
    await lab.misbehave({ answer: (answer) => void answer.trailing.push(field()) });
    await lab.pass('an answer taken', () => lab.last.authenticated > authenticated);
    for (let round = 0; round < 10; round++) await lab.synchronised();
    expect(lab.last.rejected).toBe(rejected);
  });
});
