// What a hostile or broken peer can say: noise, frames with flipped bits, and frames whose CRC is right and whose fields
// are not. Whatever comes, the core neither traps nor writes outside its buffers, sends at most one frame for each that
// it got, and afterwards still talks to an honest peer.
import { beforeAll, describe, expect, test } from 'vitest';
import { Channel } from '../../as/abi/codes.ts';
import { FrameSize } from '../../as/link/layout.ts';
import { newLink, newLinkSync } from './link-core.ts';
import { bringUp, joinEnds, Traffic } from './link-line.ts';
import { encodeFrame, Script } from './link-wire.ts';
import { type SeededRandom, seededRandom } from './random.ts';

const GUARD_BYTES = 1024;
const EACH = 40_000;

beforeAll(async () => {
  await newLink();
});

function randomFrame(random: SeededRandom, session: number): Uint8Array {
  const pick = (usual: number, limit: number) => (random.below(3) > 0 ? usual : random.below(limit));
  const channel = random.below(random.below(8) > 0 ? 4 : 16);
  const length = random.below(4) > 0 ? random.below(14) : random.below(238);
  const payload = random.bytes(length);
  if (channel === Channel.Control && length > 0) payload[0] = random.below(6);
  return encodeFrame({
    version: random.below(50) > 0 ? FrameSize.Version : random.below(16),
    channel,
    flags: random.below(4),
    keyId: random.below(50) > 0 ? 0 : random.below(256),
    credit: random.below(256),
    counter: random.below(50) > 0 ? 0 : random.below(2 ** 32),
    session: pick(session, 65_536),
    sequence: random.below(256),
    acknowledge: random.below(256),
    payload,
  });
}

const kinds: Record<string, (random: SeededRandom, session: number) => Uint8Array> = {
  'random bytes': (random) => random.bytes(random.below(300)),
  'frames with flipped bits': (random, session) => {
    const bytes = randomFrame(random, session);
    for (let flips = random.below(4); flips >= 0; flips--) bytes[random.below(bytes.length)]! ^= 1 << random.below(8);
    return bytes;
  },
  'frames that hold, with senseless fields': randomFrame,
};

describe.each(['meter', 'gateway'])('%s', (role) => {
  test.each(Object.keys(kinds))(`${EACH} × %s`, (kind) => {
    const random = seededRandom(`link fuzz ${role} ${kind}`);
    const script = new Script(newLinkSync(), role === 'gateway', random.below(2 ** 32));
    const { core } = script;
    script.open();
    const memory = new Uint8Array(core.memory.buffer);
    // Above what the link owns there is nothing that it may write to but the frame itself.
    const from = core.scratch();
    const at = from + GUARD_BYTES;
    const end = at + 300 + GUARD_BYTES;
    memory.fill(0x5a, from, end);
    let sent = 0;
    let worst = 0;
    let delivered = 0;
    for (let i = 0; i < EACH; i++) {
      if (random.below(1000) === 0) script.ms += random.below(20_000);
      if (core.linkUp() === 0 && random.below(20) === 0) {
        // Whatever the session was, it is over; play an honest peer to get a new one, on a line that is free.
        memory.fill(0x5a, from, end);
        script.frames();
        reopen(script);
        memory.fill(0x5a, from, end);
      }
      const bytes = kinds[kind]!(random, core.linkSession());
      memory.set(bytes, at);
      script.ms += 0.1;
      if (core.linkReceive(at, bytes.length, script.now - 10n, script.now, script.now) !== 0) {
        delivered++;
        const start = core.linkMessage();
        const length = core.linkMessageLength();
        if (length < 1 || length > 1256) throw new Error(`a message of ${length} bytes`);
        if (start < 16 || start + length > at + bytes.length) throw new Error(`a message at ${start}`);
      }
      if (!guarded(memory, from, at) || !guarded(memory, at + bytes.length, end)) {
        throw new Error(`frame ${i}: ${Buffer.from(bytes).toString('hex')} wrote outside its place`);
      }
      memory.fill(0x5a, at, at + bytes.length);
      if (random.below(4) === 0 && core.linkUp() !== 0) {
        for (const channel of [Channel.Time, Channel.Stream, Channel.Report]) core.linkSend(channel, from, 60);
      }
      const before = core.linkFramesSent();
      let calls = 0;
      while (core.linkPoll(script.now) !== 0) {
        core.linkFrameSent(script.now);
        if (++calls > 12) throw new Error(`frame ${i}: the core does not stop sending`);
      }
      worst = Math.max(worst, calls);
      sent += core.linkFramesSent() - before;
      const deadline = BigInt.asUintN(64, core.linkDeadline());
      if (deadline <= script.now) throw new Error('a deadline that does not lie ahead');
    }
    if (kind === 'random bytes') expect(delivered).toBe(0);
    if (kind === 'frames that hold, with senseless fields') expect(delivered).toBeGreaterThan(50);
    // A window of each channel may go again at once: 4 + 2, a time message of each kind, a status.
    expect(worst).toBeLessThanOrEqual(10);
    expect(sent).toBeLessThan(3 * EACH);
    expect(core.memory.buffer.byteLength).toBe(65_536);
  });
});

function guarded(memory: Uint8Array, from: number, to: number): boolean {
  for (let i = from; i < to; i++) if (memory[i] !== 0x5a) return false;
  return true;
}

function reopen(script: Script): void {
  if (script.core.linkUp() === 0) {
    script.ms += 6000;
    script.open();
  }
}

test('a peer that sends garbage as fast as it can does not keep an honest one out', () => {
  const random = seededRandom('link garbage then peer');
  const scene = joinEnds(random);
  const ends = [new Traffic(scene.meter, random), new Traffic(scene.gateway, random)];
  for (const end of [scene.meter, scene.gateway]) {
    for (let i = 0; i < 5000; i++) {
      const tick = end.tick(scene.timeline.nowNs);
      end.receiveFrame(
        random.below(2) === 0 ? random.bytes(1 + random.below(256)) : randomFrame(random, 7),
        tick,
        tick,
      );
    }
  }
  bringUp(scene, 10_000_000_000);
  scene.timeline.run(scene.timeline.nowNs + 5_000_000_000);
  for (const traffic of ends) {
    expect(traffic.faultsFound).toEqual([]);
    expect(traffic.delivered).toBeGreaterThan(50);
  }
});
