// RFC 8915 5.7 and RFC 5905 7.4: NAKs, kisses, cookies and fields that nothing vouches for. A meter that is synchronised
// may believe a NAK only when no valid answer comes, no kiss without authentication, and no field outside the seal.
import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ClockStatus, MeterEvent } from '../../as/abi/codes.ts';
import { HostileLab, Reject, type Surroundings, startSurroundings } from './lab.ts';
import { type Answer, cookieField, extensionField, FieldType, identifierField, kiss, nak } from './packets.ts';
import type { NtpContext } from './server.ts';

let surroundings: Surroundings;
let lab: HostileLab;
beforeAll(async () => {
  surroundings = await startSurroundings();
  lab = new HostileLab(surroundings);
  lab.start();
});
beforeEach(() => lab.synchronised());
afterEach(() => expect(surroundings.server.faults.splice(0)).toEqual([]));
afterAll(async () => {
  await lab.stop();
  await surroundings.server.stop();
});

describe('a NAK', () => {
  it('RFC 8915 5.7: with the right identifier, and no answer: new keys', async () => {
    const { naks, keAttempts } = lab.last;
    const from = lab.watch.events.length;
    const { reason } = await lab.refuses({ send: (_packet, { request, reply }) => reply(nak(request)) });
    expect(reason).toBe('Nak');
    await lab.pass('new keys', () => lab.last.keAttempts > keAttempts, { stepMs: 1_000 });
    await lab.synchronised();
    expect(lab.last).toMatchObject({ naks: naks + 1, keAttempts: keAttempts + 1, status: ClockStatus.Synchronised });
    const codes = lab.watch.events.slice(from).map(({ code }) => code);
    expect(codes).toContain(MeterEvent.Nak);
    expect(codes).toContain(MeterEvent.KeysEstablished);
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
    server.always = { send: (_packet, { request, reply }) => reply(nak(request)) };
    await lab.pass('five attempts', () => {
      if (server.connections > count + attempts.length) attempts.push(world.nowTicks());
      lab.expectRight();
      return attempts.length === 5;
    });
    server.always = undefined;
    // No authenticated answer came in between: 10 s, and half as long again each time. A step of time is 0.25 s.
    for (const [at, least] of [10, 15, 22.5, 33.75].entries()) {
      expect(Number(attempts[at + 1]! - attempts[at]!) / 1e9).toBeGreaterThan(least - 0.25);
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

  it.each(['RATE', 'INIT', 'X000', 'NTSN', '\0\0\0\0'])('RFC 5905 7.4: %j: gives no time', async (code) => {
    const { keAttempts } = lab.last;
    const { reason } = await lab.refuses(kissing(code));
    expect(reason).toBe('Kiss');
    expect(lab.last.keAttempts).toBe(keAttempts);
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
    const { keAttempts, authenticated } = lab.last;
    for (let answer = 0; answer < 8; answer++) {
      await lab.misbehave({ answer: ({ sealedFields }) => void sealedFields.splice(0) });
    }
    await lab.pass('eight answers', () => lab.last.authenticated >= authenticated + 8);
    await lab.pass('new keys', () => lab.last.keAttempts > keAttempts, { stepMs: 1_000 });
    await lab.synchronised();
    expect(lab.last).toMatchObject({ keAttempts: keAttempts + 1, keFailures: 0 });
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
  it.each(trailing)('%s: has no effect', async (_name, field) => {
    const { authenticated } = lab.last;
    await lab.misbehave({ answer: (answer) => void answer.trailing.push(field()) });
    const after = await lab.pass('an answer taken', () =>
      lab.watch.times.find((time) => time.authenticated > authenticated),
    );
    expect(after.status).toBe(ClockStatus.Synchronised);
    for (let round = 0; round < 10; round++) await lab.synchronised();
  });

  it('RFC 8915 5.7: an identifier only behind the authenticator: refused', async () => {
    const { reason } = await lab.refuses({ answer: (answer) => void answer.trailing.push(...answer.fields.splice(0)) });
    expect(['UniqueIdentifier', 'Malformed']).toContain(reason);
  });

  it.each([1, 13, 15, 17, 64])('RFC 8915 5.6: a nonce of %i bytes, padded: taken', async (bytes) => {
    const { rejected, authenticated } = lab.last;
    await lab.misbehave({
      answer: (answer) => {
        answer.nonce = randomBytes(bytes);
      },
    });
    await lab.pass('an answer taken', () => lab.last.authenticated > authenticated);
    expect(lab.last.rejected).toBe(rejected);
  });
});
