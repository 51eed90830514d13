// A meter's end of a link, where the long message that is sent and the one that is put together share a buffer: neither
// ever changes the other, and the next one waits for the answer; and where messages on the stream channel are requests alone.
import { beforeAll, describe, expect, test } from 'vitest';
import { Channel } from '../../as/abi/codes.ts';
import { FrameFlag, METER_DATAGRAM_BYTES, REQUEST_MAX_BYTES } from '../../as/link/layout.ts';
import { newLink, newLinkSync } from './link-core.ts';
import { bringUp, faultsEvery, joinEnds, noFaults, Traffic } from './link-line.ts';
import { Script } from './link-wire.ts';
import { seededRandom } from './random.ts';

const SECOND = 1_000_000_000;

beforeAll(async () => {
  await newLink();
  await newLink(1);
});

function standing(servers = 1): Script {
  const script = new Script(newLinkSync(servers), false);
  script.open();
  return script;
}

const bytes = (length: number, step = 7) => Uint8Array.from({ length }, (_, i) => (i * step) & 255);

/** A piece of 200 bytes of an answer, which differs from what `bytes` sends. */
const answer = (script: Script, sequence: number, flags: number) =>
  script.hearFrame({ channel: Channel.Time, sequence, flags, payload: bytes(200, 11) });
const answerBytes = Uint8Array.from([...bytes(200, 11), ...bytes(200, 11)]);

/** Sends what is left of a request and returns it. */
const rest = (script: Script) => Buffer.concat(script.frames().map((frame) => frame.payload));

describe('one buffer', () => {
  test('pieces that come while a request is being sent do not change it, and make no message', () => {
    for (let after = 0; after < 5; after++) {
      const script = standing();
      script.send(Channel.Time, bytes(METER_DATAGRAM_BYTES));
      const pieces: Uint8Array[] = [];
      for (let i = 0; i < after; i++) {
        pieces.push(script.poll()!.payload);
        script.sent();
      }
      expect(answer(script, 0, FrameFlag.First)).toBeUndefined();
      expect(answer(script, 1, 0)).toBeUndefined();
      pieces.push(rest(script));
      expect(Buffer.concat(pieces), `pieces after ${after} of the request`).toEqual(
        Buffer.from(bytes(METER_DATAGRAM_BYTES)),
      );
      // The end of what began too early is nothing either.
      expect(answer(script, 2, FrameFlag.Last)).toBeUndefined();
      expect(script.core.linkDatagramsDropped()).toBe(1);
      answer(script, 3, FrameFlag.First);
      expect(answer(script, 4, FrameFlag.Last)).toEqual(answerBytes);
    }
  });

  test('an answer counts from the moment on at which the last piece of the request is on the line', () => {
    const script = standing();
    script.send(Channel.Time, bytes(300));
    script.poll();
    script.sent();
    const last = script.poll()!;
    answer(script, 0, FrameFlag.First);
    expect(answer(script, 1, FrameFlag.Last)).toEqual(answerBytes);
    expect(Buffer.from(last.payload)).toEqual(Buffer.from(bytes(300).slice(150)));
    script.sent();
    expect(script.core.linkDatagramSent()).toBe(1);
    expect(script.core.linkDatagramsDropped()).toBe(0);
  });

  test('there is no room for the next request before an answer comes, or nothing of it for a second and a half', () => {
    for (const answered of [true, false]) {
      const script = standing();
      script.send(Channel.Time, bytes(300));
      rest(script);
      expect(script.core.linkRoom(Channel.Time)).toBe(0);
      script.next(1400);
      script.hearFrame({
        channel: Channel.Time,
        sequence: 200,
        flags: FrameFlag.First | FrameFlag.Last,
        payload: bytes(64),
      });
      expect(script.core.linkRoom(Channel.Time)).toBe(0);
      answer(script, 0, FrameFlag.First);
      script.next(1400);
      expect(script.core.linkRoom(Channel.Time)).toBe(0);
      if (answered) answer(script, 1, FrameFlag.Last);
      else script.next(200);
      expect(script.core.linkRoom(Channel.Time)).toBe(1);
    }
  });

  test('a request that is given, or made in its place, ends what was being put together', () => {
    for (const inPlace of [false, true]) {
      const script = standing();
      answer(script, 0, FrameFlag.First);
      expect(script.core.linkRoom(Channel.Time)).toBe(1);
      if (inPlace) {
        const at = script.core.linkDatagramBuffer();
        new Uint8Array(script.core.memory.buffer).set(bytes(300), at);
        expect(script.core.linkSend(Channel.Time, at, 300)).toBe(1);
      } else {
        expect(script.send(Channel.Time, bytes(300))).toBe(true);
      }
      expect(answer(script, 1, FrameFlag.Last)).toBeUndefined();
      expect(rest(script)).toEqual(Buffer.from(bytes(300)));
      expect(answer(script, 2, FrameFlag.Last)).toBeUndefined();
      answer(script, 3, FrameFlag.First);
      expect(answer(script, 4, FrameFlag.Last)).toEqual(answerBytes);
    }
  });

  test('short messages come and go meanwhile, one at a time, and never take the buffer', () => {
    const script = standing();
    answer(script, 0, FrameFlag.First);
    expect(script.send(Channel.Time, bytes(64))).toBe(true);
    expect(script.send(Channel.Time, bytes(64))).toBe(false);
    expect(rest(script)).toEqual(Buffer.from(bytes(64)));
    expect(script.send(Channel.Time, bytes(5))).toBe(true);
    expect(answer(script, 1, FrameFlag.Last)).toEqual(answerBytes);
    expect(script.send(Channel.Time, bytes(300))).toBe(true);
    expect(script.hearFrame({ channel: Channel.Time, sequence: 2, flags: 3, payload: bytes(20) })).toEqual(bytes(20));
    expect(rest(script)).toEqual(Buffer.from([...bytes(5), ...bytes(300)]));
  });
});

test.each([
  [1, 1],
  [4, 2],
])('with a core for %i servers %i of the longest requests are queued whole, a longer one is refused', (servers) => {
  const script = standing(servers);
  expect(script.send(Channel.Stream, bytes(REQUEST_MAX_BYTES + 1))).toBe(false);
  const requests = (servers === 1 ? [3] : [3, 5]).map((step) => bytes(REQUEST_MAX_BYTES, step));
  for (const request of requests) expect(script.send(Channel.Stream, request)).toBe(true);
  expect(script.send(Channel.Stream, requests[0]!)).toBe(false);
  expect(script.send(Channel.Report, bytes(221))).toBe(true);
  expect(script.frames().map(({ payload }) => payload)).toEqual([...requests, bytes(221)]);
});

test.each([
  [0, 1],
  [1000, 1],
  [300, 1],
  [0, 4],
  [300, 4],
])(
  'both ways at once for a minute, one byte in %i spoiled, with a core for %i servers: what arrives is whole',
  (spoiled, servers) => {
    const random = seededRandom(`link one buffer ${spoiled} ${servers}`);
    const scene = joinEnds(random, { servers, latencyNs: 5_000_000 });
    const ends = [new Traffic(scene.meter, random), new Traffic(scene.gateway, random)];
    bringUp(scene);
    scene.meter.faults = spoiled === 0 ? noFaults : faultsEvery(spoiled);
    scene.gateway.faults = scene.meter.faults;
    scene.timeline.run(scene.timeline.nowNs + 60 * SECOND);
    for (const traffic of ends) {
      expect(traffic.faultsFound).toEqual([]);
      expect(traffic.datagrams).toBeGreaterThan(10);
    }
    expect(scene.meter.core.linkDatagramsDropped(), 'messages that met a request').toBeGreaterThan(20);
  },
);
