// RFC 8915 5, RFC 7822 and RFC 5905: answers that a client must refuse. The server holds the keys, so most of them are
// authenticated; each says a time that is an hour off. They come instead of the genuine answer to a meter that is
// synchronised: its clock must not move, the reason must be right, and the next genuine answer must be taken.
import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  type Answer,
  type Association,
  cookieField,
  FieldType,
  fieldOf,
  goodAnswer,
  headerBytes,
  identifierField,
  nak,
  ntpTimestamp,
  parseFields,
  type Request,
  writeAnswer,
} from '../../host/setup/nts-packets.ts';
import { seededRandom } from '../core/random.ts';
import { HostileLab, type Reject, type Surroundings, startSurroundings } from './lab.ts';
import type { NtpContext, NtpMisbehaviour } from './server.ts';

let surroundings: Surroundings;
let lab: HostileLab;
beforeAll(async () => {
  surroundings = await startSurroundings();
  lab = new HostileLab(surroundings);
  lab.start();
});
beforeEach(() => {
  // What a case that failed has left.
  surroundings.server.script.ntp.splice(0);
  return lab.synchronised();
});
afterEach(() => expect(surroundings.server.faults.splice(0)).toEqual([]));
afterAll(async () => {
  await lab.stop();
  await surroundings.server.stop();
});

type Edit = (answer: Answer, context: NtpContext) => void;
type Reason = keyof typeof Reject;

const hourNs = 3_600_000_000_000n;
const secondNs = 1_000_000_000n;
const utcNs = () => surroundings.world.utcNs();

/** An answer that says a time which is an hour off, and is wrong in a way of its own. */
function lying(edit: Edit): NtpMisbehaviour {
  return {
    answer: (answer, context) => {
      answer.receive = ntpTimestamp(utcNs() + hourNs);
      answer.transmit = ntpTimestamp(utcNs() + hourNs);
      edit(answer, context);
    },
  };
}

/** The same for what is done to the packet when it is sealed. */
function forging(send: (packet: Buffer, context: NtpContext) => void): NtpMisbehaviour {
  return { ...lying(() => {}), send };
}

const edited = (packet: Buffer, edit: (copy: Buffer) => void): Buffer => {
  const copy = Buffer.from(packet);
  edit(copy);
  return copy;
};

/** Refuses each, in turn. */
function refused(cases: readonly (readonly [string, Reason, NtpMisbehaviour])[]): void {
  it.each(cases)('%s', async (_name, reason, misbehaviour) => {
    expect((await lab.refuses(misbehaviour)).reason).toBe(reason);
  });
}

describe('header', () => {
  const cases: [string, Reason, Edit][] = [
    ...[0, 1, 2, 3, 5, 6, 7].map((version): [string, Reason, Edit] => [
      `RFC 5905 7.3: version ${version}`,
      'Mode',
      (answer) => (answer.version = version),
    ]),
    ['RFC 5905 7.3: mode 0', 'Mode', (answer) => (answer.mode = 0)],
    ['RFC 5905 7.3: mode 1, symmetric', 'Mode', (answer) => (answer.mode = 1)],
    ['RFC 5905 7.3: mode 2, symmetric', 'Mode', (answer) => (answer.mode = 2)],
    ['RFC 5905 7.3: mode 3, a client', 'Mode', (answer) => (answer.mode = 3)],
    ['RFC 5905 7.3: mode 5, broadcast', 'Mode', (answer) => (answer.mode = 5)],
    ['RFC 5905 7.3: mode 6, control', 'Mode', (answer) => (answer.mode = 6)],
    ['RFC 5905 7.3: mode 7, private', 'Mode', (answer) => (answer.mode = 7)],
    ['RFC 5905 7.3: leap 3, not synchronised', 'Unsynchronised', (answer) => (answer.leap = 3)],
    ['RFC 5905 7.3: stratum 16, not synchronised', 'Unsynchronised', (answer) => (answer.stratum = 16)],
    ['RFC 5905 7.3: stratum 17, reserved', 'Unsynchronised', (answer) => (answer.stratum = 17)],
    ['RFC 5905 7.3: stratum 255', 'Unsynchronised', (answer) => (answer.stratum = 255)],
    ['RFC 5905 11.2.1: a root dispersion of 1.6 s', 'RootDistance', (answer) => (answer.rootDispersion = 1.6)],
    ['RFC 5905 11.2.1: a root delay of 3.1 s', 'RootDistance', (answer) => (answer.rootDelay = 3.1)],
    [
      'RFC 5905 11.2.1: root delay and dispersion that are too much together',
      'RootDistance',
      (answer) => {
        answer.rootDelay = 2;
        answer.rootDispersion = 0.6;
      },
    ],
    ['RFC 5905 7.3: a precision of 2 s', 'RootDistance', (answer) => (answer.precision = 1)],
    ['RFC 5905 7.3: the largest precision', 'RootDistance', (answer) => (answer.precision = 127)],
    ['RFC 5905 7.3: the largest root dispersion', 'RootDistance', (answer) => (answer.rootDispersion = 65_535.99998)],
    ['RFC 5905 8: an origin of zero', 'Origin', (answer) => (answer.origin = Buffer.alloc(8))],
    ['RFC 5905 8: an origin that is not ours', 'Origin', (answer) => (answer.origin = randomBytes(8))],
    ['RFC 5905 8: the origin with one bit changed', 'Origin', (answer) => (answer.origin = flipped(answer.origin, 63))],
    [
      'RFC 5905 8: sent before it was received',
      'ServerTime',
      (answer) => (answer.transmit = ntpTimestamp(utcNs() + hourNs - secondNs)),
    ],
    [
      'RFC 5905 8: a round trip that is negative',
      'Delay',
      (answer) => (answer.transmit = ntpTimestamp(utcNs() + hourNs + 30n * secondNs)),
    ],
    [
      'RFC 5905 7.3: receive and transmit timestamps of zero',
      'ServerTime',
      (answer) => {
        answer.receive = Buffer.alloc(8);
        answer.transmit = Buffer.alloc(8);
      },
    ],
    ['RFC 5905 7.3: a transmit timestamp of zero', 'ServerTime', (answer) => (answer.transmit = Buffer.alloc(8))],
    [
      'RFC 5905 6: before this software was built',
      'BehindFloor',
      (answer) => setTime(answer, Date.UTC(2025, 11, 31, 23, 59, 59)),
    ],
    ['RFC 5905 6: 1970', 'BehindFloor', (answer) => setTime(answer, 0)],
    ['RFC 5905 6: 2070, further than a meter lives', 'BehindFloor', (answer) => setTime(answer, Date.UTC(2070))],
    ['RFC 5905 6: 2106, in the next era', 'BehindFloor', (answer) => setTime(answer, Date.UTC(2106, 1, 8))],
    ['RFC 5905 6: 1989, which is 2125 in the next era', 'BehindFloor', (answer) => setTime(answer, Date.UTC(2125, 2))],
  ];
  refused(cases.map(([name, reason, edit]) => [name, reason, lying(edit)] as const));
});

function setTime(answer: Answer, unixMs: number): void {
  answer.receive = ntpTimestamp(BigInt(unixMs) * 1_000_000n);
  answer.transmit = answer.receive;
}

function flipped(bytes: Buffer, bit: number): Buffer {
  return edited(bytes, (copy) => {
    copy[bit >> 3] = copy[bit >> 3]! ^ (1 << (bit & 7));
  });
}

describe('length', () => {
  const cut = (bytes: number) => forging((packet, { reply }) => reply(packet.subarray(0, bytes)));
  const longer = (bytes: number) => forging((packet, { reply }) => reply(Buffer.concat([packet, Buffer.alloc(bytes)])));
  refused([
    ['RFC 5905 7.3: no byte at all', 'Malformed', cut(0)],
    ['RFC 5905 7.3: one byte', 'Malformed', cut(1)],
    ['RFC 5905 7.3: a header cut off by a byte', 'Malformed', cut(headerBytes - 1)],
    ['RFC 8915 5.7: a header alone', 'UniqueIdentifier', cut(headerBytes)],
    ['RFC 7822 3: a header and a byte', 'Malformed', cut(headerBytes + 1)],
    ['RFC 7822 3: a header and half the header of a field', 'Malformed', cut(headerBytes + 2)],
    ['RFC 7822 3: a header and the header of a field', 'Malformed', cut(headerBytes + 4)],
    ['RFC 7822 3: cut off by one byte', 'Malformed', forging((packet, { reply }) => reply(packet.subarray(0, -1)))],
    ['RFC 7822 3: cut off by four bytes', 'Malformed', forging((packet, { reply }) => reply(packet.subarray(0, -4)))],
    ['RFC 7822 3: one byte too many', 'Malformed', longer(1)],
    ['RFC 7822 3: four bytes too many', 'Malformed', longer(4)],
    ['RFC 7822 3: zeros as fields', 'Malformed', longer(64)],
    ['RFC 7822 3: zeros up to 1,024 bytes', 'Malformed', filledUpTo(1_024)],
  ]);

  it.each([1_233, 1_236, 4_096, 65_507])('of %i bytes: the gateway keeps it from the meter', async (bytes) => {
    await lab.ignores(filledUpTo(bytes));
  });

  function filledUpTo(bytes: number): NtpMisbehaviour {
    return forging((packet, { reply }) => reply(Buffer.concat([packet, Buffer.alloc(bytes - packet.length)])));
  }
});

describe('extension fields', () => {
  const front =
    (...fields: Buffer[]): Edit =>
    (answer) =>
      answer.fields.unshift(...fields);
  const other = 0x7f7f;
  const cases: [string, Reason, Edit][] = [
    ['RFC 7822 3: a field of length 0', 'Malformed', front(fieldOf(other, 0))],
    ['RFC 7822 3: a field of length 4', 'Malformed', front(fieldOf(other, 4))],
    ['RFC 7822 3: a field of length 12', 'Malformed', front(fieldOf(other, 12, Buffer.alloc(8)))],
    ['RFC 7822 3: a field of length 17', 'Malformed', front(fieldOf(other, 17, Buffer.alloc(16)))],
    ['RFC 7822 3: a field of length 18', 'Malformed', front(fieldOf(other, 18, Buffer.alloc(16)))],
    ['RFC 7822 3: a field of length 65,532', 'Malformed', front(fieldOf(other, 65_532, Buffer.alloc(12)))],
    ['RFC 7822 3: a field of length 65,535', 'Malformed', front(fieldOf(other, 65_535, Buffer.alloc(12)))],
    ['RFC 8915 5.3: no unique identifier', 'UniqueIdentifier', (answer) => (answer.fields = [])],
    [
      'RFC 8915 5.3: another unique identifier',
      'UniqueIdentifier',
      (answer) => (answer.fields = [identifierField(randomBytes(32))]),
    ],
    [
      'RFC 8915 5.3: the unique identifier with its last bit changed',
      'UniqueIdentifier',
      (answer, { request }) => (answer.fields = [identifierField(flipped(request.identifier, 255))]),
    ],
    [
      'RFC 8915 5.3: the unique identifier cut off',
      'UniqueIdentifier',
      (answer, { request }) => (answer.fields = [identifierField(request.identifier.subarray(0, 28))]),
    ],
    [
      'RFC 8915 5.3: the unique identifier made longer',
      'UniqueIdentifier',
      (answer, { request }) =>
        (answer.fields = [identifierField(Buffer.concat([request.identifier, Buffer.alloc(4)]))]),
    ],
    ['RFC 8915 5.3: the unique identifier twice', 'Malformed', (answer) => answer.fields.push(answer.fields[0]!)],
    ['RFC 8915 5.3: another unique identifier, then ours', 'UniqueIdentifier', front(identifierField(randomBytes(32)))],
    [
      'RFC 8915 5.3: ours, then another unique identifier',
      'Malformed',
      (answer) => answer.fields.push(identifierField(randomBytes(32))),
    ],
    [
      'RFC 8915 5.7: the unique identifier only among the encrypted fields',
      'UniqueIdentifier',
      (answer) => answer.sealedFields.push(...answer.fields.splice(0)),
    ],
    [
      'RFC 8915 5.7: the unique identifier only behind the authenticator',
      'UniqueIdentifier',
      (answer) => answer.trailing.push(...answer.fields.splice(0)),
    ],
    ['RFC 8915 5.7: no authenticator', 'NoAuthenticator', (answer) => (answer.authenticated = false)],
    [
      'RFC 8915 5.7: no authenticator, and cookies in clear',
      'NoAuthenticator',
      (answer) => {
        answer.authenticated = false;
        answer.fields.push(cookieField(surroundings.server.poison()));
      },
    ],
    [
      'RFC 8915 5.6: an encrypted field of length 0',
      'Malformed',
      (answer) => answer.sealedFields.push(fieldOf(other, 0)),
    ],
    [
      'RFC 8915 5.6: an encrypted field beyond the ciphertext',
      'Malformed',
      (answer) => answer.sealedFields.push(fieldOf(other, 65_532)),
    ],
    [
      'RFC 8915 5.6: half the header of an encrypted field',
      'Malformed',
      (answer) => answer.sealedFields.push(Buffer.of(2, 4)),
    ],
    [
      'RFC 8915 5.7: an encrypted cookie of no bytes',
      'Malformed',
      (answer) => answer.sealedFields.push(fieldOf(FieldType.cookie, 4)),
    ],
    [
      'RFC 8915 5.7: an encrypted cookie of 260 bytes',
      'Malformed',
      (answer) => (answer.sealedFields = [cookieField(surroundings.server.poison(260))]),
    ],
  ];
  refused(cases.map(([name, reason, edit]) => [name, reason, lying(edit)] as const));
});

describe('authenticator', () => {
  const body = (edit: (body: Parameters<Answer['authenticator']>[0]) => ReturnType<Answer['authenticator']>) =>
    lying((answer) => {
      answer.authenticator = edit;
    });
  const tampered = (part: (packet: Buffer) => number): NtpMisbehaviour =>
    forging((packet, { reply }) => reply(flipped(packet, part(packet))));
  const authenticatorAt = (packet: Buffer) =>
    parseFields(packet).find(({ type }) => type === FieldType.authenticator)!.at;
  const another = (): Association => ({ ...lastAssociation(), serverToClient: randomBytes(32) });
  refused([
    ['RFC 8915 5.6: no nonce', 'Authentication', body((all) => ({ ...all, nonceLength: 0, nonce: Buffer.alloc(0) }))],
    ['RFC 8915 5.6: a nonce length of 0', 'Authentication', body((all) => ({ ...all, nonceLength: 0 }))],
    ['RFC 8915 5.6: a nonce length of 65,535', 'Authentication', body((all) => ({ ...all, nonceLength: 65_535 }))],
    ['RFC 8915 5.6: a nonce longer than the field', 'Authentication', body((all) => ({ ...all, nonceLength: 1_000 }))],
    [
      'RFC 8915 5.6: no ciphertext',
      'Authentication',
      body((all) => ({ ...all, sealedLength: 0, sealed: Buffer.alloc(0) })),
    ],
    ['RFC 8915 5.6: a ciphertext length of 0', 'Authentication', body((all) => ({ ...all, sealedLength: 0 }))],
    [
      'RFC 8915 5.6: a ciphertext of 15 bytes',
      'Authentication',
      body((all) => ({ ...all, sealedLength: 15, sealed: all.sealed.subarray(0, 15) })),
    ],
    [
      'RFC 8915 5.6: a ciphertext length of 65,535',
      'Authentication',
      body((all) => ({ ...all, sealedLength: 65_535 })),
    ],
    [
      'RFC 8915 5.6: a ciphertext one byte longer than the field',
      'Authentication',
      body((all) => ({ ...all, sealedLength: all.sealed.length + 1 })),
    ],
    [
      'RFC 8915 5.6: a ciphertext one byte shorter than it is',
      'Authentication',
      body((all) => ({ ...all, sealedLength: all.sealed.length - 1 })),
    ],
    [
      'RFC 8915 5.6: a tag alone',
      'Authentication',
      body((all) => ({ ...all, sealedLength: 16, sealed: all.sealed.subarray(0, 16) })),
    ],
    ['RFC 8915 5.7: a stratum that was changed', 'Authentication', tampered(() => 8 + 1)],
    ['RFC 8915 5.7: a receive timestamp that was changed', 'Authentication', tampered(() => 8 * 35)],
    ['RFC 8915 5.7: a transmit timestamp that was changed', 'Authentication', tampered(() => 8 * 43)],
    [
      'RFC 8915 5.7: a nonce that was changed',
      'Authentication',
      tampered((packet) => 8 * (authenticatorAt(packet) + 8)),
    ],
    [
      'RFC 8915 5.7: the first byte of the ciphertext changed',
      'Authentication',
      tampered((packet) => 8 * (authenticatorAt(packet) + 24)),
    ],
    [
      'RFC 8915 5.7: the last byte of the ciphertext changed',
      'Authentication',
      tampered((packet) => 8 * packet.length - 1),
    ],
    ['RFC 8915 5.7: keys of nobody', 'Authentication', lying((answer) => (answer.association = another()))],
    [
      'RFC 8915 4.3: the key of the other direction',
      'Authentication',
      lying((answer) => {
        const { clientToServer } = answer.association;
        answer.association = { ...answer.association, serverToClient: clientToServer };
      }),
    ],
  ]);

  it('RFC 8915 5.7: any bit of an answer changed', async () => {
    const random = seededRandom('a bit of an answer');
    for (let round = 0; round < 16; round++) {
      const { reason } = await lab.refuses(tampered((packet) => random.below(8 * packet.length)));
      const reasons = ['Malformed', 'Mode', 'Origin', 'UniqueIdentifier', 'NoAuthenticator', 'Authentication'];
      expect(reasons).toContain(reason);
    }
  });
});

function lastAssociation(): Association {
  return surroundings.server.associations.at(-1)!;
}

describe('replayed, reflected and mixed up', () => {
  const previous = ({ sent }: NtpContext) => Buffer.from(sent.at(-1)!);
  refused([
    [
      'RFC 5905 8: the genuine answer before',
      'Origin',
      forging((_packet, context) => context.reply(previous(context))),
    ],
    [
      'RFC 8915 5.3: the genuine answer before, with the origin of this request',
      'UniqueIdentifier',
      forging((_packet, context) =>
        context.reply(edited(previous(context), (copy) => context.request.origin.copy(copy, 24))),
      ),
    ],
    [
      'RFC 8915 5.7: the genuine answer before, with origin and identifier of this request',
      'Authentication',
      forging((_packet, context) =>
        context.reply(
          edited(previous(context), (copy) => {
            context.request.origin.copy(copy, 24);
            context.request.identifier.copy(copy, headerBytes + 4);
          }),
        ),
      ),
    ],
    ['RFC 5905 8: the request itself', 'Mode', forging((_packet, { request, reply }) => reply(request.packet))],
    [
      'RFC 5905 8: the request as if it were an answer',
      'Origin',
      forging((_packet, { request, reply }) => reply(edited(request.packet, (copy) => (copy[0] = 0x24)))),
    ],
    [
      'RFC 8915 5.7: the request as if it were an answer to itself',
      'Authentication',
      forging((_packet, { request, reply }) =>
        reply(
          edited(request.packet, (copy) => {
            copy[0] = 0x24;
            request.origin.copy(copy, 24);
          }),
        ),
      ),
    ],
  ]);

  it('RFC 8915 5.7: an answer under the keys of another association', async () => {
    const own = lastAssociation();
    const second = new HostileLab(surroundings);
    try {
      second.start();
      await second.synchronised();
    } finally {
      await second.stop();
    }
    const others = lastAssociation();
    expect(others).not.toEqual(own);
    const { reason } = await lab.refuses(
      lying((answer) => {
        answer.association = others;
      }),
    );
    expect(reason).toBe('Authentication');
  });

  it('RFC 8915 5.7: an answer of another server', async () => {
    const elsewhere = await startSurroundings();
    const second = new HostileLab(elsewhere);
    try {
      second.start();
      await second.synchronised();
      const answer = Buffer.from(elsewhere.server.sent.at(-1)!);
      expect((await lab.refuses(forging((_packet, { reply }) => reply(answer)))).reason).toBe('Origin');
      const fitted = forging((_packet, { request, reply }) =>
        reply(
          edited(answer, (copy) => {
            request.origin.copy(copy, 24);
            request.identifier.copy(copy, headerBytes + 4);
          }),
        ),
      );
      expect((await lab.refuses(fitted)).reason).toBe('Authentication');
    } finally {
      await second.stop();
      await elsewhere.server.stop();
    }
  });

  it('RFC 9109 3: a right answer from another port', async () => {
    await lab.ignores({ send: (packet, { replyFromOtherPort }) => replyFromOtherPort(packet) });
  });

  it('RFC 5905 9.1: a right answer from another address', async () => {
    await lab.ignores({ send: (packet, { replyFromOtherAddress }) => replyFromOtherAddress(packet) });
  });

  it('nothing', async () => {
    await lab.ignores({ send: () => {} });
  });

  it('RFC 5905 8: the right answer four times', async () => {
    const before = lab.last;
    await lab.misbehave({
      send: (packet, { reply }) => {
        for (let copy = 0; copy < 4; copy++) reply(packet);
      },
    });
    const after = await lab.pass('three answers too many', () =>
      lab.watch.times.find(({ rejected }) => rejected >= before.rejected + 3),
    );
    expect(after.lastReject).toBe(1);
    expect(after.authenticated).toBe(before.authenticated + 1);
    expect(after.cookies).toBe(8);
  });

  it('RFC 8915 5.7: wrong answers beside the right one', async () => {
    const before = lab.last;
    await lab.misbehave({
      send: (packet, { reply, request }) => {
        reply(flipped(packet, 8 * 35));
        reply(writeAnswer(lyingAnswer(request)));
        reply(nak(request));
        reply(packet);
      },
    });
    const after = await lab.pass('three refused', () =>
      lab.watch.times.find(({ rejected }) => rejected >= before.rejected + 3),
    );
    expect(after.authenticated).toBe(before.authenticated + 1);
    expect(after.keAttempts).toBe(before.keAttempts);
    lab.expectRight();
  });
});

/** An answer with a time that is an hour off, under keys of nobody. */
function lyingAnswer(request: Request): Answer {
  const association = { ...lastAssociation(), serverToClient: randomBytes(32) };
  return goodAnswer(request, association, [], utcNs() + hourNs);
}
