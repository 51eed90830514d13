// Sessions: how they are opened, what does not end them, what does. One compiled end; the test plays the other.
import { beforeAll, describe, expect, test } from 'vitest';
import { Channel } from '../../as/abi/codes.ts';
import { Control, OpenField } from '../../as/link/layout.ts';
import { newLink, newLinkSync } from './link-core.ts';
import { encodeFrame, type Frame, openPayload, Script, statusPayload } from './link-wire.ts';

beforeAll(async () => {
  await newLink();
});

const meter = () => new Script(newLinkSync(), false, 0x1234);
const gateway = () => new Script(newLinkSync(), true, 0x5678);
const nonceOf = (frame: Frame | undefined) => new DataView(frame!.payload.buffer).getUint32(OpenField.Nonce, true);

/** Times, in ms, at which the end sends something within `limitMs`. */
function timesWithin(script: Script, limitMs: number): number[] {
  const times: number[] = [];
  const limit = script.ms + limitMs;
  while (script.next(limit - script.ms) !== undefined) times.push(Math.round(script.ms - script.frameMs));
  return times;
}

describe('opening', () => {
  test('the meter says hello after 0.1, 0.2, ... and then every 5 s, with the same nonce', () => {
    const script = meter();
    const times = timesWithin(script, 30_000);
    expect(times.slice(0, 8)).toEqual([0, 100, 300, 700, 1500, 3100, 6300, 11_300]);
    expect(times.length).toBe(11);
    const hello = script.next();
    expect(hello).toMatchObject({ channel: Channel.Control, session: 0 });
    expect(nonceOf(hello)).toBe(0x1235);
    expect(script.core.linkUp()).toBe(0);
    expect(script.core.linkSession()).toBe(0);
  });

  test('the gateway calls as often, for session 0', () => {
    const script = gateway();
    expect(timesWithin(script, 30_000)).toHaveLength(11);
    expect(script.next()).toMatchObject({ session: 0, payload: Uint8Array.of(Control.Call) });
  });

  test('the answer makes the session stand at the meter, which says a status until it hears a frame of it', () => {
    const script = meter();
    const hello = script.next();
    script.hear(encodeFrame({ session: 9, payload: openPayload(Control.Answer, nonceOf(hello)) }));
    expect(script.core.linkUp()).toBe(1);
    expect(script.core.linkSession()).toBe(9);
    expect(script.core.linkSessionChanged()).toBe(1);
    expect(script.core.linkSessionChanged()).toBe(0);
    expect(timesWithin(script, 2000)).toHaveLength(6);
    script.hearFrame({ payload: statusPayload() });
    expect(timesWithin(script, 2000)).toHaveLength(0);
  });

  test('a status makes the session stand at the gateway; what comes before is dropped without a call', () => {
    const script = gateway();
    script.next();
    script.hear(encodeFrame({ payload: openPayload(Control.Hello, 5) }));
    const [answer] = script.frames();
    expect(nonceOf(answer)).toBe(5);
    expect(script.core.linkUp()).toBe(0);
    const data = encodeFrame({ session: answer!.session, channel: Channel.Report, payload: [1, 2] });
    expect(script.hear(data)).toBeUndefined();
    expect(script.core.linkUp()).toBe(0);
    expect(script.frames()).toEqual([]);
    expect(script.hear(encodeFrame({ session: answer!.session, payload: statusPayload() }))).toBeUndefined();
    expect(script.core.linkUp()).toBe(1);
    expect(script.core.linkSession()).toBe(answer!.session);
    expect(script.core.linkSessionChanged()).toBe(1);
    expect(script.hear(data)).toEqual(Uint8Array.of(1, 2));
  });

  test('the status goes before a time message that is given at once', () => {
    const script = meter();
    const hello = script.next();
    script.hear(encodeFrame({ session: 9, payload: openPayload(Control.Answer, nonceOf(hello)) }));
    script.send(Channel.Time, [1]);
    expect(script.frames().map((frame) => frame.channel)).toEqual([Channel.Control, Channel.Time]);
  });

  test('an answer to another hello, of version 3 or with session 0 is not taken', () => {
    const script = meter();
    const nonce = nonceOf(script.next());
    script.hear(encodeFrame({ session: 9, payload: openPayload(Control.Answer, nonce + 1) }));
    script.hear(encodeFrame({ session: 0, payload: openPayload(Control.Answer, nonce) }));
    const later = openPayload(Control.Answer, nonce);
    later[OpenField.Version] = 3;
    script.hear(encodeFrame({ session: 9, payload: later }));
    script.hear(encodeFrame({ session: 9, payload: openPayload(Control.Answer, nonce).subarray(0, 19) }));
    expect(script.core.linkUp()).toBe(0);
  });

  test('a hello that comes twice gets the same session', () => {
    const script = gateway();
    script.next();
    script.hear(encodeFrame({ payload: openPayload(Control.Hello, 5) }));
    const [first] = script.frames();
    script.hear(encodeFrame({ payload: openPayload(Control.Hello, 5) }));
    const [second] = script.frames();
    expect(second!.session).toBe(first!.session);
  });

  test('session numbers are never 0 and never that of the session that stands', () => {
    const script = new Script(newLinkSync(), true, 0xfffd);
    script.open();
    const seen = new Set([script.core.linkSession()]);
    for (let nonce = 1; nonce < 70_000; nonce++) {
      script.hear(encodeFrame({ payload: openPayload(Control.Hello, nonce) }));
      const answer = script.poll()!;
      script.sent();
      if (nonce % 1000 === 0) script.hearFrame({ payload: statusPayload() });
      expect(answer.session).not.toBe(0);
      expect(answer.session).not.toBe(script.core.linkSession());
      seen.add(answer.session);
    }
    expect(seen.size).toBe(65_535);
  });
});

describe('what does not end a session', () => {
  test('gateway: a hello, late, doubled or of another meter, as long as nobody uses the session it gets', () => {
    const script = gateway();
    script.open();
    const session = script.core.linkSession();
    script.core.linkSessionChanged();
    for (const nonce of [77, 77, 5]) {
      script.hear(encodeFrame({ payload: openPayload(Control.Hello, nonce) }));
      expect(script.frames()[0]!.session).not.toBe(session);
    }
    expect(script.hearFrame({ channel: Channel.Stream, payload: [1] })).toEqual(Uint8Array.of(1));
    expect(script.core.linkSession()).toBe(session);
    expect(script.core.linkSessionChanged()).toBe(0);
  });

  test('gateway: frames of another session; they are called after, at most every 0.1 s', () => {
    const script = gateway();
    script.open();
    const session = script.core.linkSession();
    // The first call of this end is over.
    script.ms += 1000;
    for (let i = 0; i < 50; i++) {
      script.hear(encodeFrame({ session: session + 7, channel: Channel.Stream, payload: [1] }));
    }
    expect(script.frames()).toMatchObject([{ session: session + 7, payload: Uint8Array.of(Control.Call) }]);
    script.hear(encodeFrame({ session: session + 7, channel: Channel.Stream, payload: [1] }));
    expect(script.frames()).toEqual([]);
    const before = script.ms;
    expect(script.next()).toMatchObject({ session: session + 7 });
    expect(script.ms - before).toBeLessThan(101);
    expect(script.core.linkSession()).toBe(session);
  });

  test('meter: answers, calls for another session or for none, frames of another session', () => {
    const script = meter();
    script.open();
    script.core.linkSessionChanged();
    script.hear(encodeFrame({ session: 12, payload: openPayload(Control.Answer, 0x1235) }));
    script.hear(encodeFrame({ session: 12, payload: [Control.Call] }));
    script.hear(encodeFrame({ session: 12, channel: Channel.Stream, payload: [1] }));
    expect(script.frames()).toEqual([]);
    script.hear(encodeFrame({ session: 0, payload: [Control.Call] }));
    expect(script.frames()).toMatchObject([
      { session: 4711, payload: statusPayload({ stream: [0, 3], report: [0, 1] }) },
    ]);
    expect(script.core.linkSession()).toBe(4711);
    expect(script.core.linkSessionChanged()).toBe(0);
  });

  test('control messages that are unknown, or cut short', () => {
    for (const script of [meter(), gateway()]) {
      script.open();
      const session = script.core.linkSession();
      for (const payload of [[0], [9, 9, 9], [Control.Status], [Control.Hello], [Control.Answer, 1, 1]]) {
        script.hearFrame({ payload });
      }
      expect(script.core.linkSession()).toBe(session);
      expect(script.frames()).toEqual([]);
    }
  });
});

describe('what ends a session', () => {
  test('meter: a call for it; the next hello has another nonce, and all that was given is gone', () => {
    const script = meter();
    script.open();
    script.send(Channel.Stream, [1]);
    script.hearFrame({ payload: [Control.Call] });
    expect(script.core.linkUp()).toBe(0);
    expect(script.core.linkRoom(Channel.Stream)).toBe(0);
    expect(script.send(Channel.Stream, [1])).toBe(false);
    const hello = script.next();
    expect(nonceOf(hello)).toBe(0x1236);
    script.hear(encodeFrame({ session: 12, payload: openPayload(Control.Answer, 0x1236) }));
    expect(script.core.linkSession()).toBe(12);
    expect(script.core.linkRoom(Channel.Stream)).toBe(2);
    expect(script.frames().every((frame) => frame.channel === Channel.Control)).toBe(true);
  });

  test('a frame that is on the line when a session ends says nothing about the next one', () => {
    const script = meter();
    script.open();
    script.send(Channel.Time, new Uint8Array(100));
    script.poll();
    script.hearFrame({ payload: [Control.Call] });
    script.sent();
    expect(script.core.linkDatagramSent()).toBe(0);
    script.open();
    expect(script.core.linkRoom(Channel.Time)).toBe(1);
  });

  test('15 s of silence, at both ends, with a status every 5 s until then', () => {
    for (const script of [meter(), gateway()]) {
      script.open();
      const heard = script.ms;
      const kinds: number[] = [];
      while (script.core.linkUp() !== 0) kinds.push(script.next()!.payload[0]!);
      expect(kinds.slice(0, -1)).toEqual([Control.Status, Control.Status]);
      expect(script.ms - heard).toBeGreaterThan(14_990);
      expect(script.ms - heard).toBeLessThan(15_010);
    }
  });

  test('10 s of silence when an acknowledgement is owed', () => {
    const script = gateway();
    script.open();
    script.send(Channel.Stream, [1]);
    const heard = script.ms;
    while (script.core.linkUp() !== 0) script.next();
    expect(script.ms - heard).toBeGreaterThan(9990);
    expect(script.ms - heard).toBeLessThan(10_010);
  });

  test('a peer that is heard but acknowledges nothing', () => {
    const script = gateway();
    script.open();
    script.send(Channel.Report, [1]);
    let tries = 0;
    while (script.core.linkUp() !== 0) {
      if (script.next()!.channel === Channel.Report) tries++;
      script.hearFrame({ payload: statusPayload() });
    }
    expect(tries).toBe(33);
  });

  test('frames of the session keep it standing for ever, one in 14 s', () => {
    const script = meter();
    script.open();
    for (let i = 0; i < 20; i++) {
      for (let at = script.ms; script.ms < at + 14_000; ) script.next(at + 14_000 - script.ms);
      script.hearFrame({ payload: statusPayload() });
      expect(script.core.linkUp()).toBe(1);
    }
  });
});
