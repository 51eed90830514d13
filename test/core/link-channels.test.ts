// Channels: order, windows, what is sent again and when, datagrams in pieces. One compiled end; the test plays the other.
import { beforeAll, describe, expect, test } from 'vitest';
import { Channel } from '../../as/abi/codes.ts';
import { Control, FrameFlag, StatusFlag } from '../../as/link/layout.ts';
import { newLink, newLinkSync } from './link-core.ts';
import { type Frame, Script, statusPayload } from './link-wire.ts';

beforeAll(async () => {
  await newLink();
});

function standing(gateway = true, credits: [number, number] = [4, 4]): Script {
  const script = new Script(newLinkSync(), gateway);
  script.open(credits);
  return script;
}

/** What a frame is, for reading in a test: channel letter and sequence, or the kind of a control frame. */
function name(frame: Frame): string {
  if (frame.channel === Channel.Control) return Control[frame.payload[0]!]!;
  return `${Channel[frame.channel]} ${frame.sequence}`;
}

const names = (script: Script) => script.frames().map(name);
const acknowledge = (script: Script, stream: number, credit = 4, flags = 0) =>
  script.hearFrame({ payload: statusPayload({ stream: [stream, credit], flags }) });

describe('sending on stream and report', () => {
  test('room for 4 stream and 2 report messages, of 1 to 221 bytes', () => {
    const script = standing();
    expect([0, 1, 2, 3, 4].map((channel) => script.core.linkRoom(channel))).toEqual([0, 1, 4, 2, 0]);
    expect(script.send(Channel.Stream, [])).toBe(false);
    expect(script.send(Channel.Control, [1])).toBe(false);
    expect(script.send(4 as Channel, [1])).toBe(false);
    for (let i = 0; i < 4; i++) expect(script.send(Channel.Stream, [i])).toBe(true);
    expect(script.send(Channel.Stream, [9])).toBe(false);
    expect(script.core.linkRoom(Channel.Report)).toBe(2);
  });

  test('no more frames than the peer takes; a credit of 0 counts as 1', () => {
    for (const [credit, count] of [
      [0, 1],
      [1, 1],
      [2, 2],
      [200, 4],
    ] as const) {
      const script = standing(true, [credit, 4]);
      for (let i = 0; i < 4; i++) script.send(Channel.Stream, [i]);
      expect(names(script)).toHaveLength(count);
      acknowledge(script, 1, credit);
      expect(names(script)).toHaveLength(credit < 4 ? 1 : 0);
    }
  });

  test('a channel with a lower number goes first', () => {
    const script = standing();
    script.send(Channel.Report, [1]);
    script.send(Channel.Stream, [1]);
    script.send(Channel.Time, [1]);
    expect(names(script)).toEqual(['Time 0', 'Stream 0', 'Report 0']);
  });

  test('one frame at a time is outstanding', () => {
    const script = standing();
    script.send(Channel.Stream, [1]);
    expect(script.poll()).toBeDefined();
    script.send(Channel.Time, [1]);
    expect(script.poll()).toBeUndefined();
    script.sent();
    expect(name(script.poll()!)).toBe('Time 0');
  });

  test('the frame that is missing and those after it are sent again, at once, when the peer says so', () => {
    const script = standing();
    for (let i = 0; i < 4; i++) script.send(Channel.Stream, [i]);
    names(script);
    acknowledge(script, 1, 4, StatusFlag.RejectStream);
    expect(names(script)).toEqual(['Stream 1', 'Stream 2', 'Stream 3']);
    expect(script.core.linkFramesResent()).toBe(3);
    expect(script.core.linkRoom(Channel.Stream)).toBe(1);
  });

  test('a rejection that left before the frame arrived is not about this try', () => {
    const script = standing();
    script.send(Channel.Stream, [1]);
    script.poll();
    acknowledge(script, 0, 4, StatusFlag.RejectStream);
    script.sent();
    expect(names(script)).toEqual([]);
  });

  test('a rejection after everything was acknowledged does nothing', () => {
    const script = standing();
    script.send(Channel.Stream, [1]);
    names(script);
    acknowledge(script, 1, 4, StatusFlag.RejectStream | StatusFlag.RejectReport);
    expect(names(script)).toEqual([]);
  });

  test('acknowledgements that are old or ahead of what was sent change nothing', () => {
    const script = standing();
    for (let i = 0; i < 4; i++) script.send(Channel.Stream, [i]);
    names(script);
    acknowledge(script, 2);
    expect(script.core.linkRoom(Channel.Stream)).toBe(2);
    for (const wrong of [1, 0, 5, 100, 255]) {
      acknowledge(script, wrong, 0, StatusFlag.RejectStream);
      expect(script.core.linkRoom(Channel.Stream)).toBe(2);
      expect(names(script)).toEqual([]);
    }
  });

  test('an acknowledgement that comes while the frames are sent again ends that', () => {
    const script = standing();
    for (let i = 0; i < 4; i++) script.send(Channel.Stream, [i]);
    names(script);
    acknowledge(script, 0, 4, StatusFlag.RejectStream);
    expect(name(script.poll()!)).toBe('Stream 0');
    acknowledge(script, 3);
    script.sent();
    expect(names(script)).toEqual(['Stream 3']);
    acknowledge(script, 4);
    expect(script.core.linkRoom(Channel.Stream)).toBe(4);
    expect(script.next(4000)).toBeUndefined();
  });

  test('without an answer a frame is sent again later and later, up to sixteen times the first wait', () => {
    const script = standing();
    for (let i = 0; i < 100; i++) {
      // An answer after 4 ms, so that the round trip is known.
      script.send(Channel.Stream, [i]);
      names(script);
      script.ms += 3;
      acknowledge(script, i + 1);
    }
    script.send(Channel.Stream, [1]);
    names(script);
    const gaps: number[] = [];
    for (let at = script.ms; gaps.length < 12; at = script.ms) {
      if (script.next()!.channel !== Channel.Stream) continue;
      gaps.push(Math.round(script.ms - script.frameMs - at));
      script.hearFrame({ payload: statusPayload({ stream: [100, 4] }) });
      script.ms -= 1;
    }
    expect(gaps[0]).toBeGreaterThanOrEqual(50);
    expect(gaps[0]).toBeLessThan(80);
    for (let i = 1; i < 5; i++) expect(gaps[i]! / gaps[i - 1]!).toBeCloseTo(2, 0);
    for (const gap of gaps.slice(5)) expect(gap / gaps[0]!).toBeCloseTo(16, 0);
  });

  test('a slow line gets more time', () => {
    const script = new Script(newLinkSync(), true);
    script.frameMs = 250;
    script.open();
    script.send(Channel.Stream, new Uint8Array(221));
    names(script);
    const at = script.ms;
    while (script.next()!.channel !== Channel.Stream);
    expect(script.ms - script.frameMs - at).toBeGreaterThan(500);
  });

  test('sequences wrap around', () => {
    const script = standing();
    for (let i = 0; i < 1000; i++) {
      expect(script.send(Channel.Stream, [i & 255, i >> 8])).toBe(true);
      const [frame] = script.frames();
      expect(frame).toMatchObject({ sequence: i & 255, payload: Uint8Array.of(i & 255, i >> 8) });
      if (i % 3 === 2) acknowledge(script, (i + 1) & 255);
    }
    expect(script.core.linkFramesResent()).toBe(0);
  });
});

describe('receiving on stream and report', () => {
  const stream = (script: Script, sequence: number) =>
    script.hearFrame({ channel: Channel.Stream, sequence, payload: [sequence] });

  test('in order only, each once, acknowledged each time', () => {
    const script = standing();
    expect(stream(script, 0)).toEqual(Uint8Array.of(0));
    expect(script.frames()).toMatchObject([{ payload: statusPayload({ stream: [1, 4] }) }]);
    expect(stream(script, 0)).toBeUndefined();
    expect(script.frames()).toMatchObject([{ payload: statusPayload({ stream: [1, 4] }) }]);
    expect(stream(script, 1)).toEqual(Uint8Array.of(1));
    expect(script.core.linkChannel()).toBe(Channel.Stream);
    expect(script.core.linkFirstTick()).toBe(script.now - 500n);
    expect(script.core.linkLastTick()).toBe(script.now);
  });

  test('a frame on the same channel carries the acknowledgement', () => {
    const script = standing();
    stream(script, 0);
    script.send(Channel.Stream, [1]);
    expect(script.frames()).toMatchObject([{ channel: Channel.Stream, acknowledge: 1, credit: 4 }]);
  });

  test('a gap is rejected once a round', () => {
    const script = standing();
    const rejected = statusPayload({ stream: [0, 4], flags: StatusFlag.RejectStream });
    expect(stream(script, 1)).toBeUndefined();
    expect(script.frames()).toMatchObject([{ payload: rejected }]);
    expect(stream(script, 2)).toBeUndefined();
    expect(stream(script, 3)).toBeUndefined();
    expect(script.frames()).toEqual([]);
    // The second round: the frame that is missing is lost again.
    expect(stream(script, 1)).toBeUndefined();
    expect(script.frames()).toMatchObject([{ payload: rejected }]);
    for (let sequence = 0; sequence < 4; sequence++) expect(stream(script, sequence)).toBeDefined();
    expect(script.frames()).toMatchObject([{ payload: statusPayload({ stream: [4, 4] }) }]);
  });

  test('a sequence that no window reaches is ignored', () => {
    const script = standing();
    for (const sequence of [8, 60, 127]) expect(stream(script, sequence)).toBeUndefined();
    expect(script.frames()).toEqual([]);
  });

  test('a damaged frame is reported once, until a good one came', () => {
    const script = standing();
    const report = statusPayload({ flags: StatusFlag.RejectStream | StatusFlag.RejectReport });
    script.hear(new Uint8Array(30).fill(3));
    script.hear(new Uint8Array(30).fill(3));
    expect(script.frames()).toMatchObject([{ payload: report }]);
    script.hear(new Uint8Array(30).fill(3));
    expect(script.frames()).toEqual([]);
    script.hearFrame({ payload: statusPayload() });
    script.hear(new Uint8Array(30).fill(3));
    expect(script.frames()).toMatchObject([{ payload: report }]);
    expect(script.core.linkFramesDamaged()).toBe(4);
  });

  test('1,000 messages with wrapping sequences', () => {
    const script = standing();
    for (let i = 0; i < 1000; i++) {
      expect(stream(script, i & 255)).toEqual(Uint8Array.of(i & 255));
      expect(stream(script, i & 255)).toBeUndefined();
      expect(stream(script, (i - 3) & 255)).toBeUndefined();
      script.frames();
    }
  });
});

describe('time channel', () => {
  const bytes = (length: number) => Uint8Array.from({ length }, (_, i) => (i * 7) & 255);

  test('a long message goes in pieces with consecutive sequences; its end is stamped', () => {
    const script = standing(true);
    expect(script.send(Channel.Time, bytes(1257))).toBe(false);
    expect(script.send(Channel.Time, bytes(1256))).toBe(true);
    expect(script.core.linkRoom(Channel.Time)).toBe(0);
    expect(script.send(Channel.Time, bytes(100))).toBe(false);
    const frames: Frame[] = [];
    for (let i = 0; i < 6; i++) {
      expect(script.core.linkDatagramSent()).toBe(0);
      expect(script.core.linkRoom(Channel.Time)).toBe(0);
      frames.push(script.poll()!);
      script.sent();
    }
    expect(script.core.linkDatagramSent()).toBe(1);
    expect(script.core.linkDatagramSent()).toBe(0);
    expect(script.core.linkDatagramTick()).toBe(script.now);
    expect(script.core.linkRoom(Channel.Time)).toBe(1);
    expect(frames.map((frame) => [frame.sequence, frame.flags])).toEqual([
      [0, FrameFlag.First],
      [1, 0],
      [2, 0],
      [3, 0],
      [4, 0],
      [5, FrameFlag.Last],
    ]);
    expect(Buffer.concat(frames.map((frame) => frame.payload))).toEqual(Buffer.from(bytes(1256)));
    expect(script.next(4000)).toBeUndefined();
  });

  test('a message may be made where it is sent from', () => {
    const script = standing(false);
    const at = script.core.linkDatagramBuffer();
    new Uint8Array(script.core.memory.buffer).set(bytes(300), at);
    expect(script.core.linkSend(Channel.Time, at, 300)).toBe(1);
    expect(Buffer.concat(script.frames().map((frame) => frame.payload))).toEqual(Buffer.from(bytes(300)));
  });

  test('a short message has a place of its own, before or after a long one, and is not stamped', () => {
    const script = standing();
    script.send(Channel.Time, bytes(300));
    expect(script.send(Channel.Time, bytes(64))).toBe(true);
    expect(script.send(Channel.Time, bytes(64))).toBe(false);
    expect(script.poll()!.payload.length).toBe(64);
    script.sent();
    expect(script.core.linkDatagramSent()).toBe(0);
    script.poll();
    expect(script.send(Channel.Time, bytes(32))).toBe(true);
    script.sent();
    expect(script.frames().map((frame) => [frame.payload.length, frame.flags])).toEqual([
      [150, FrameFlag.Last],
      [32, FrameFlag.First | FrameFlag.Last],
    ]);
    // Two short ones: the second takes the long one's place.
    expect(script.send(Channel.Time, bytes(5))).toBe(true);
    expect(script.send(Channel.Time, bytes(6))).toBe(true);
    expect(script.core.linkDatagramSent()).toBe(1);
    expect(script.frames().map((frame) => frame.payload.length)).toEqual([5, 6]);
    expect(script.core.linkDatagramSent()).toBe(0);
    expect(script.core.linkRoom(Channel.Time)).toBe(1);
  });

  test('an acknowledgement goes between two pieces', () => {
    const script = standing(false);
    script.send(Channel.Time, bytes(500));
    script.poll();
    script.hearFrame({ channel: Channel.Stream, payload: [1] });
    script.send(Channel.Stream, [1]);
    script.sent();
    expect(names(script)).toEqual(['Status', 'Time 1', 'Time 2', 'Stream 0']);
  });

  const piece = (script: Script, sequence: number, flags: number, length = 200) =>
    script.hearFrame({ channel: Channel.Time, sequence, flags, payload: bytes(length) });

  test('pieces make a message, with the ticks of its first and last byte', () => {
    const script = standing();
    const first = script.now + 500n;
    expect(piece(script, 0, FrameFlag.First)).toBeUndefined();
    expect(script.hearFrame({ channel: Channel.Stream, payload: [1] })).toEqual(Uint8Array.of(1));
    expect(piece(script, 1, 0)).toBeUndefined();
    const message = piece(script, 2, FrameFlag.Last, 10);
    expect(message).toEqual(Uint8Array.from([...bytes(200), ...bytes(200), ...bytes(10)]));
    expect(script.core.linkChannel()).toBe(Channel.Time);
    expect(script.core.linkFirstTick()).toBe(first);
    expect(script.core.linkLastTick()).toBe(script.now);
  });

  test('a piece that is lost, doubled or of another message', () => {
    const script = standing();
    piece(script, 0, FrameFlag.First);
    expect(piece(script, 2, FrameFlag.Last)).toBeUndefined();
    expect(script.core.linkDatagramsDropped()).toBe(1);
    piece(script, 3, FrameFlag.First);
    piece(script, 3, FrameFlag.First);
    piece(script, 2, FrameFlag.Last);
    expect(piece(script, 4, FrameFlag.Last)).toHaveLength(400);
    expect(piece(script, 4, FrameFlag.Last)).toBeUndefined();
    expect(piece(script, 5, FrameFlag.Last)).toBeUndefined();
    expect(script.core.linkDatagramsDropped()).toBe(2);
    piece(script, 6, FrameFlag.First);
    expect(piece(script, 7, FrameFlag.First | FrameFlag.Last, 10)).toEqual(bytes(10));
    expect(script.core.linkDatagramsDropped()).toBe(3);
    expect(piece(script, 8, FrameFlag.Last)).toBeUndefined();
  });

  test('no more than 1,256 bytes are put together', () => {
    const script = standing();
    const memory = new Uint8Array(script.core.memory.buffer);
    piece(script, 0, FrameFlag.First, 237);
    for (let sequence = 1; sequence < 5; sequence++) piece(script, sequence, 0, 237);
    const after = memory.slice(0, script.core.scratch());
    expect(piece(script, 5, FrameFlag.Last, 72)).toBeUndefined();
    const changed = memory.slice(0, script.core.scratch()).filter((byte, i) => byte !== after[i]);
    expect(changed.length, 'bytes of state that changed').toBeLessThan(10);
    piece(script, 6, FrameFlag.First, 237);
    for (let sequence = 7; sequence < 11; sequence++) piece(script, sequence, 0, 237);
    expect(piece(script, 11, FrameFlag.Last, 71)).toHaveLength(1256);
  });

  test('is never sent again', () => {
    const script = standing();
    script.send(Channel.Time, bytes(100));
    expect(names(script)).toEqual(['Time 0']);
    script.hear(new Uint8Array(30).fill(3));
    script.hearFrame({ payload: statusPayload({ flags: 3 }) });
    expect(names(script)).toEqual(['Status']);
  });
});
