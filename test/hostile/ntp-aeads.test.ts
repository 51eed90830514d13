// RFC 8915 4.1.5 and 5.6, RFC 5297, RFC 8452: the four AEADs of NTS, each with what is its own: nonces, tags, cookies,
// and for AEAD 30 the exporter's context, on which servers differ (record 1024).
import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { MeterEvent } from '../../as/abi/codes.ts';
import { RecordType, record } from '../../host/setup/ke-records.ts';
import { Aead } from '../../host/setup/nts-aeads.ts';
import { FieldType, parseFields } from '../../host/setup/nts-packets.ts';
import { HostileLab, type LabOptions, type Surroundings, startSurroundings } from './lab.ts';
import { type KeMisbehaviour, keRecords } from './server.ts';

let surroundings: Surroundings;
beforeAll(async () => {
  surroundings = await startSurroundings();
});
afterEach(() => {
  surroundings.server.always = undefined;
  expect(surroundings.server.faults.splice(0)).toEqual([]);
});
afterAll(() => surroundings.server.stop());

async function withKeys(
  misbehaviour: KeMisbehaviour,
  run: (lab: HostileLab) => Promise<void>,
  options: LabOptions = {},
): Promise<void> {
  const lab = new HostileLab(surroundings, options);
  try {
    surroundings.server.script.ke.push(misbehaviour);
    lab.start();
    await lab.synchronised();
    await run(lab);
  } finally {
    await lab.stop();
  }
}

const all = Object.entries(Aead);

describe.each(all)('%s', (_name, aead) => {
  it('RFC 8915 5.7: gives time, with cookies of 1 to 256 bytes', () =>
    withKeys({ aead, cookieBytes: (index) => [1, 2, 3, 64, 100, 104, 255, 256][index]! }, async (lab) => {
      await lab.pass('twelve answers', () => lab.last.authenticated >= 12);
      expect(lab.last).toMatchObject({ aead, rejected: 0, keAttempts: 1 });
      lab.expectRight();
    }));

  it('RFC 8915 5.6: any bit from the authenticator on changed: refused', () =>
    withKeys({ aead }, async (lab) => {
      for (let round = 0; round < 8; round++) {
        const { reason } = await lab.refuses({
          send: (packet, { reply }) => {
            const { at } = parseFields(packet).find(({ type }) => type === FieldType.authenticator)!;
            // Nonce, tag, ciphertext.
            const place = at + 8 + Math.floor(((packet.length - at - 8) * round) / 8);
            packet[place] = packet[place]! ^ (1 << round);
            reply(packet);
          },
        });
        expect(reason).toBe('Authentication');
      }
    }));

  it('RFC 8915 5.6: an answer that only its own algorithm opens', () =>
    withKeys({ aead }, async (lab) => {
      for (const [, other] of all.filter(([, one]) => one !== aead)) {
        const { reason } = await lab.refuses({
          answer: (answer) => {
            const { clientToServer, serverToClient } = answer.association;
            const bytes = { 15: 32, 16: 48, 17: 64, 30: 16 }[other];
            const key = Buffer.concat([serverToClient, Buffer.alloc(64)]).subarray(0, bytes);
            answer.association = { aead: other, clientToServer, serverToClient: key };
            answer.nonce = randomBytes(other === Aead.gcmSiv128 ? 12 : 16);
          },
        });
        expect(reason).toBe('Authentication');
      }
    }));
});

describe('nonces', () => {
  const siv = all.filter(([, aead]) => aead !== Aead.gcmSiv128).map(([, aead]) => aead);
  it.each(siv)('RFC 8915 5.6: AEAD %i: of 1 to 64 bytes, padded: taken', (aead) =>
    withKeys({ aead }, async (lab) => {
      for (const bytes of [1, 13, 15, 17, 64]) {
        const { rejected, authenticated } = lab.last;
        await lab.misbehave({
          answer: (answer) => {
            answer.nonce = randomBytes(bytes);
          },
        });
        await lab.pass('an answer taken', () => lab.last.authenticated > authenticated);
        expect(lab.last.rejected).toBe(rejected);
      }
    }),
  );

  it.each([8, 11, 13, 16, 64])('RFC 8452 4: AEAD 30: of %i bytes: refused', (bytes) =>
    withKeys({ aead: Aead.gcmSiv128 }, async (lab) => {
      const { reason } = await lab.refuses({
        answer: (answer) => {
          answer.authenticator = (body) => ({ ...body, nonceLength: bytes, nonce: randomBytes(bytes) });
        },
      });
      expect(reason).toBe('Authentication');
    }),
  );
});

describe('the choice', () => {
  it('RFC 8915 4.1.5: the one that the meter likes best, of those that the server has', () =>
    withKeys({}, async (lab) => expect(lab.last.aead).toBe(Aead.gcmSiv128)));

  it.each(all)('RFC 8915 4.1.5: %s, where the settings name no other', (_name, aead) =>
    withKeys({}, async (lab) => expect(lab.last.aead).toBe(aead), { aeads: [aead] }),
  );

  const pairs: [number, number][] = [
    [Aead.sivCmac256, Aead.gcmSiv128],
    [Aead.gcmSiv128, Aead.sivCmac512],
  ];
  it.each(pairs)('RFC 8915 4.1.5: offered %i and got %i: refused', async (offered, chosen) => {
    const lab = new HostileLab(surroundings, { aeads: [offered as 15] });
    try {
      expect(await lab.refusesKe({ aead: chosen })).toEqual({ error: 'AeadNotOffered', detail: chosen });
    } finally {
      await lab.stop();
    }
  });
});

describe('record 1024', () => {
  const aead = Aead.gcmSiv128;

  it('echoed: the compliant context', () => withKeys({ aead }, async (lab) => expect(lab.last.naks).toBe(0)));

  it('not echoed: the context of AEAD 15', () =>
    withKeys({ aead, exporter: { context: 15, echo: false } }, async (lab) => expect(lab.last.naks).toBe(0)));

  it('not echoed by a server that is compliant: its NAK shows it, and nobody needs new keys', () =>
    withKeys({ aead, exporter: { context: 30, echo: false } }, async (lab) => {
      expect(lab.last).toMatchObject({ naks: 1, keAttempts: 1 });
      expect(lab.watch.events.map(({ code }) => code)).toContain(MeterEvent.KeysSwitched);
    }));

  it('echoed by a server that is not compliant: there is no time with these keys', async () => {
    const lab = new HostileLab(surroundings);
    try {
      surroundings.server.script.ke.push({ aead, exporter: { context: 15, echo: true } });
      lab.start();
      await lab.pass('a NAK', () => lab.last.naks > 0);
      expect(lab.last.authenticated).toBe(0);
      await lab.pass('new keys', () => lab.last.keAttempts > 1, { stepMs: 1_000 });
      await lab.synchronised();
    } finally {
      await lab.stop();
    }
  });

  const echo = record(RecordType.compliantExporter, Buffer.alloc(0), false);

  it('with a body: refused', async () => {
    const lab = new HostileLab(surroundings);
    try {
      const compliant = record(RecordType.compliantExporter, Buffer.of(1), false);
      const { error } = await lab.refusesKe({ aead, records: (good) => keRecords({ ...good, compliant }) });
      expect(error).toBe('Malformed');
    } finally {
      await lab.stop();
    }
  });

  it('twice: as once', () =>
    withKeys({ aead, records: (good) => keRecords({ ...good, compliant: Buffer.concat([echo, echo]) }) }, async (lab) =>
      expect(lab.last).toMatchObject({ aead, naks: 0 }),
    ));

  it('beside AEAD 15: without effect', () =>
    withKeys(
      {
        aead: Aead.sivCmac256,
        records: (good) => keRecords({ ...good, compliant: echo }),
      },
      async (lab) => expect(lab.last).toMatchObject({ aead: Aead.sivCmac256, naks: 0 }),
    ));
});
