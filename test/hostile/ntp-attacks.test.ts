// RFC 8915 8.6 and RFC 7384: an attacker on the way between gateway and server, for more than one poll. It has no keys:
// it forges, cuts off and delays every answer. The clock stays within its bound, and the meter comes back afterwards.
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { ClockStatus, MeterEvent, Reject } from '../../as/abi/codes.ts';
import { kiss, nak } from '../../host/setup/nts-packets.ts';
import { seededRandom } from '../core/random.ts';
import { HostileLab, type Surroundings, startSurroundings } from './lab.ts';
import type { NtpMisbehaviour } from './server.ts';

let surroundings: Surroundings;
beforeAll(async () => {
  surroundings = await startSurroundings();
});
afterEach(() => expect(surroundings.server.faults.splice(0)).toEqual([]));
afterAll(() => surroundings.server.stop());

/** Lets the server misbehave at each request until told otherwise. */
function always(misbehaviour: NtpMisbehaviour): () => void {
  const { server } = surroundings;
  server.always = misbehaviour;
  return () => {
    server.always = undefined;
  };
}

/** An answer that says a time which is an hour off, as somebody without the keys makes it of a genuine one. */
function hourOff(packet: Buffer): Buffer {
  const copy = Buffer.from(packet);
  for (const at of [32, 40]) copy.writeUInt32BE(copy.readUInt32BE(at) + 3_600, at);
  return copy;
}

async function withMeter(run: (lab: HostileLab) => Promise<void>): Promise<void> {
  const lab = new HostileLab(surroundings);
  try {
    await run(lab);
  } finally {
    surroundings.server.always = undefined;
    await lab.stop();
  }
}

describe('every answer an hour off', () => {
  it('RFC 8915 5.7: from the start: there is no time at all', () =>
    withMeter(async (lab) => {
      const stop = always({ send: (packet, { reply }) => reply(hourOff(packet)) });
      lab.start();
      await lab.pass('five refused', () => lab.last.rejected >= 5);
      expect(lab.last).toMatchObject({ authenticated: 0, lastReject: Reject.Authentication });
      expect(lab.meter.time().status).toBe(ClockStatus.Unsynchronised);
      stop();
      await lab.synchronised();
    }));

  it('RFC 8915 5.7: to a meter that has time: it holds over, asks for new keys, and comes back', () =>
    withMeter(async (lab) => {
      lab.start();
      await lab.synchronised();
      const stop = always({ send: (packet, { reply }) => reply(hourOff(packet)) });
      await lab.pass('holdover', () => {
        lab.expectRight();
        return lab.watch.events.some(({ code }) => code === MeterEvent.Holdover);
      });
      expect(lab.meter.time().status).toBe(ClockStatus.Holdover);
      lab.expectRight();
      stop();
      await lab.synchronised();
      const reasons = lab.watch.events
        .filter(({ code }) => code === MeterEvent.AnswerRefused)
        .map(({ a }) => Number(a));
      expect(new Set(reasons)).toEqual(new Set([Reject.Authentication]));
    }));
});

describe('beside every right answer', () => {
  const random = seededRandom('answers cut off');
  const cases: [string, NtpMisbehaviour['send']][] = [
    ['RFC 8915 5.7: one that is an hour off', (packet, { reply }) => [hourOff(packet), packet].forEach(reply)],
    [
      'RFC 8915 5.7: three cut off at any length',
      (packet, { reply }) =>
        [...[0, 1, 2].map(() => packet.subarray(0, random.below(packet.length))), packet].forEach(reply),
    ],
    [
      'RFC 8915 5.7: a NAK and two kisses',
      (packet, { request, reply }) =>
        [nak(request), kiss(request, 'DENY'), kiss(request, 'RATE'), packet].forEach(reply),
    ],
    ['RFC 5905 8: all that were sent before', (packet, { sent, reply }) => [...sent.slice(-3), packet].forEach(reply)],
  ];
  it.each(cases)('%s: it alone counts', (_name, send) =>
    withMeter(async (lab) => {
      lab.start();
      await lab.synchronised();
      const stop = always({ send });
      const { authenticated, keAttempts } = lab.last;
      const from = lab.localNs;
      await lab.pass('twelve answers', () => {
        lab.expectRight();
        return lab.last.authenticated >= authenticated + 12;
      });
      stop();
      expect(lab.last.rejected).toBeGreaterThan(10);
      expect(lab.last).toMatchObject({ status: ClockStatus.Synchronised, keAttempts, cookies: 8 });
      expect(lab.last.reach & 0xff).toBe(0xff);
      expect(lab.watch.events.filter(({ code, uptimeNs }) => code === MeterEvent.Nak && uptimeNs > from)).toEqual([]);
    }),
  );
});

describe('every answer late', () => {
  const later =
    (ms: number): NonNullable<NtpMisbehaviour['send']> =>
    (packet, { reply }) => {
      const { world } = surroundings;
      world.at(world.nowTicks() + BigInt(ms) * 1_000_000n, () => reply(packet));
    };

  it('RFC 8915 8.6: by 400 ms in one direction, which nobody can see: the clock stays within its bound', () =>
    withMeter(async (lab) => {
      lab.start();
      await lab.synchronised();
      const { authenticated } = lab.last;
      const stop = always({ send: later(400) });
      await lab.pass('eight late answers', () => {
        lab.expectRight();
        return lab.last.authenticated >= authenticated + 8;
      });
      expect(Number(lab.last.delayNs)).toBeGreaterThan(390_000_000);
      stop();
      await lab.synchronised();
    }));

  it('RFC 8915 5.7: by more than the meter waits: they come too late to count', () =>
    withMeter(async (lab) => {
      lab.start();
      await lab.synchronised();
      const { rejected } = lab.last;
      await lab.misbehave({ send: later(3_500) });
      await lab.pass('a late answer', () => lab.last.rejected > rejected);
      expect(lab.last.lastReject).toBe(Reject.Unexpected);
      await lab.synchronised();
    }));
});
