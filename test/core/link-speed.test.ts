// How long a message takes: the wire time of its frames and little more. Prints the figures.
import { beforeAll, describe, expect, test } from 'vitest';
import { Channel } from '../../as/abi/codes.ts';
import { REQUEST_MAX_BYTES } from '../../as/link/layout.ts';
import { compileLink, newLink } from './link-core.ts';
import { bringUp, joinEnds } from './link-line.ts';
import { seededRandom } from './random.ts';

beforeAll(async () => {
  await newLink();
});

/** Milliseconds in which 1,000 bytes of an NTS-KE answer go from the gateway to the meter, and those of their bytes alone. */
function keAnswer(baud: number, latencyMs: number): { taken: number; wire: number } {
  const scene = joinEnds(seededRandom(`link speed ${baud}`), { baud, latencyNs: latencyMs * 1e6 });
  bringUp(scene, 5_000_000_000);
  const { timeline, meter, gateway } = scene;
  timeline.run(timeline.nowNs + 1_000_000_000);
  const answer = new Uint8Array(1000).fill(0x42);
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < answer.length; at += 219) pieces.push(answer.subarray(at, at + 219));
  let received = 0;
  let doneNs = 0;
  meter.onMessage = ({ message }) => {
    received += message.length;
    doneNs = timeline.nowNs;
  };
  gateway.onTurn = () => {
    while (pieces.length > 0 && gateway.core.linkRoom(Channel.Stream) > 0)
      gateway.send(Channel.Stream, pieces.shift()!);
  };
  const startNs = timeline.nowNs;
  const bytesBefore = gateway.bytesOnLine;
  gateway.turn();
  timeline.run(startNs + 10_000_000_000, () => received === 1000);
  expect(received).toBe(1000);
  expect(gateway.core.linkFramesResent()).toBe(0);
  return { taken: (doneNs - startNs) / 1e6, wire: ((gateway.bytesOnLine - bytesBefore) * 10_000) / baud };
}

describe('an NTS-KE answer of 1,000 bytes', () => {
  test.each([
    [9_600, 0],
    [9_600, 20],
    [115_200, 0],
    [115_200, 20],
    [921_600, 0],
  ])('at %i baud with %i ms of latency', (baud, latencyMs) => {
    const { taken, wire } = keAnswer(baud, latencyMs);
    console.log(
      `link: ${baud} baud, ${latencyMs} ms latency: ${taken.toFixed(1)} ms, of which ${wire.toFixed(1)} ms on the wire`,
    );
    expect(taken).toBeLessThan(wire * 1.02 + latencyMs + 1);
  });
});

test.each([9_600, 115_200])('a time datagram of 400 bytes waits for one frame at most at %i baud', (baud) => {
  const scene = joinEnds(seededRandom(`link time first ${baud}`), { baud });
  bringUp(scene, 5_000_000_000);
  const { timeline, meter, gateway } = scene;
  const full = new Uint8Array(REQUEST_MAX_BYTES).fill(1);
  meter.onTurn = () => {
    while (meter.core.linkRoom(Channel.Stream) > 0) meter.send(Channel.Stream, full);
  };
  let doneNs = 0;
  let sentTick = 0n;
  gateway.onMessage = ({ channel }) => {
    if (channel === Channel.Time) doneNs = timeline.nowNs;
  };
  meter.onDatagramSent = (tick) => {
    sentTick = tick;
  };
  meter.turn();
  timeline.run(timeline.nowNs + 3_000_000_000);
  const startNs = timeline.nowNs;
  expect(meter.send(Channel.Time, new Uint8Array(400).fill(2))).toBe(true);
  meter.turn();
  timeline.run(startNs + 5_000_000_000, () => doneNs > 0);
  const byteMs = 10_000 / baud;
  // One full frame on the line, two pieces of 200 bytes, a status between them.
  expect((doneNs - startNs) / 1e6).toBeLessThan((256 + 219 + 219 + 25) * byteMs);
  expect(sentTick).toBe(meter.tick(doneNs));
});

test('size of the link alone', async () => {
  const bytes = (await compileLink()).length;
  const memory = (await newLink()).scratch();
  console.log(`link: ${bytes} bytes of wasm, ${memory} bytes of memory, of which 3,744 are a gateway's`);
  // With AES and what is made of it, which the core has anyway.
  expect(bytes).toBeLessThan(10_600);
  expect(memory).toBeLessThan(7900);
});
