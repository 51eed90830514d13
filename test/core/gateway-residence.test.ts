// The residence that a gateway's end of the link tells of an answer: until its first byte departs, whatever is on the line.
import { beforeAll, expect, it } from 'vitest';
import { Action, Channel, Event, LinkStartField, Message } from '../../as/abi/codes.ts';
import { Core } from '../../host/core/core.ts';
import { decodeMessage, encodeMessage, type UdpReceived } from '../../host/link/messages.ts';
import { buildCore } from '../../scripts/build-core.mjs';
import { newLink, newLinkSync } from './link-core.ts';
import { seededRandom } from './random.ts';

const random = seededRandom('gateway residence');
const millisecond = 1_000_000n;
const greatest = 0xffff_ffff;

beforeAll(async () => {
  await buildCore();
  await newLink();
});

/** A gateway's end in a session with a meter's, on a line without any length. */
class Scene {
  readonly gateway = new Core();
  readonly meter = newLinkSync();
  nowNs = 0n;
  /** The frame that is on the line. */
  frame: Uint8Array | undefined;
  readonly received: UdpReceived[] = [];

  constructor() {
    const start = new Uint8Array(LinkStartField.Bytes);
    const view = new DataView(start.buffer);
    view.setUint32(LinkStartField.TickHz, 1e9, true);
    view.setUint8(LinkStartField.ServesOpen, 1);
    this.handle(Event.LinkStart, start);
    this.meter.linkStart(0, 1e9, 1);
    for (let round = 0; round < 20; round++) {
      this.#meterSends();
      this.leave();
      this.nowNs += 100n * millisecond;
    }
    expect(this.meter.linkUp()).toBe(1);
    expect(this.frame).toBeUndefined();
  }

  handle(event: Event, payload = new Uint8Array(0)): void {
    for (const { kind, payload: frame } of this.gateway.handle(event, this.nowNs, payload)) {
      if (kind === Action.FrameSend) this.frame = frame;
    }
  }

  send(channel: Channel, message: Uint8Array): void {
    this.handle(Event.LinkSend, Uint8Array.of(channel, ...message));
  }

  /** The frame on the line has left, and comes to the meter. */
  leave(): void {
    const { frame, meter } = this;
    if (frame === undefined) return;
    this.frame = undefined;
    new Uint8Array(meter.memory.buffer).set(frame.subarray(1, -1), meter.scratch());
    if (meter.linkReceive(meter.scratch(), frame.length - 2, this.nowNs, this.nowNs, this.nowNs) !== 0) {
      const at = meter.linkMessage();
      const bytes = new Uint8Array(meter.memory.buffer).slice(at, at + meter.linkMessageLength());
      if (meter.linkChannel() === Channel.Time) this.received.push(decodeMessage(Channel.Time, bytes) as UdpReceived);
    }
    this.handle(Event.FrameSent);
  }

  #meterSends(): void {
    const length = this.meter.linkPoll(this.nowNs);
    if (length === 0) return;
    const frame = new Uint8Array(this.meter.memory.buffer).slice(
      this.meter.linkFrame() + 1,
      this.meter.linkFrame() + length - 1,
    );
    this.meter.linkFrameSent(this.nowNs);
    this.handle(Event.Frame, Uint8Array.of(...new Uint8Array(8), ...frame));
  }
}

function answer(backResidenceNs: number, length: number): Uint8Array {
  const payload = new Uint8Array(length);
  return encodeMessage({
    type: Message.UdpReceived,
    socket: 1,
    exchange: 2,
    forwardResidenceNs: 77,
    backResidenceNs,
    payload,
  });
}

it.each([
  [1000, 200],
  [0, 500],
  [greatest - 10, 300],
])('an answer of residence %i ns and %i bytes that waits for the line tells of the wait', (residence, length) => {
  const scene = new Scene();
  const waitNs = BigInt(1 + random.below(200_000_000));
  scene.send(Channel.Stream, new Uint8Array(200).fill(1));
  expect(scene.frame).toBeDefined();
  scene.nowNs += 3n * millisecond;
  scene.send(Channel.Time, answer(residence, length));
  scene.nowNs += waitNs / 2n;
  scene.handle(Event.Wake);
  scene.nowNs += waitNs - waitNs / 2n;
  scene.leave();
  // Its own pieces take time, which is not counted.
  for (let piece = 0; piece < 4; piece++) {
    scene.nowNs += 100n * millisecond;
    scene.leave();
  }
  expect(scene.received).toHaveLength(1);
  const [{ forwardResidenceNs, backResidenceNs, payload }] = scene.received as [UdpReceived];
  expect({ forwardResidenceNs, length: payload.length }).toEqual({ forwardResidenceNs: 77, length });
  expect(backResidenceNs).toBe(Math.min(residence + Number(waitNs), greatest));
});

it('a short message that is sent meanwhile changes nothing of that', () => {
  const scene = new Scene();
  scene.send(Channel.Stream, new Uint8Array(200).fill(1));
  scene.send(Channel.Time, answer(9, 200));
  scene.nowNs += 20n * millisecond;
  scene.send(Channel.Time, encodeMessage({ type: Message.TimeProbe, token: 1 }));
  scene.nowNs += 20n * millisecond;
  for (let frame = 0; frame < 3; frame++) scene.leave();
  const told = scene.received.find(({ type }) => type === Message.UdpReceived);
  expect(told!.backResidenceNs).toBe(40_000_009);
});

it('an answer that finds the line free is left as it is', () => {
  const scene = new Scene();
  scene.send(Channel.Time, answer(1234, 200));
  scene.nowNs += 50n * millisecond;
  scene.leave();
  expect(scene.received[0]!.backResidenceNs).toBe(1234);
});

it('another long message is not touched', () => {
  const scene = new Scene();
  scene.send(Channel.Time, answer(5, 200));
  scene.leave();
  scene.send(Channel.Stream, new Uint8Array(200).fill(1));
  // A type that gateways do not send on this channel.
  const other = Uint8Array.from({ length: 200 }, (_, i) => (i === 0 ? Message.UdpSend : 3));
  scene.send(Channel.Time, other);
  scene.nowNs += 50n * millisecond;
  scene.leave();
  const { meter } = scene;
  scene.leave();
  const at = meter.linkMessage();
  expect([...new Uint8Array(meter.memory.buffer).slice(at, at + 200)]).toEqual([...other]);
});
