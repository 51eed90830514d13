// Sealed links: against a second implementation of the seal, and against somebody on the line who records, alters, repeats
// and invents frames.
import { beforeAll, describe, expect, test } from 'vitest';
import { Channel, LinkKnown } from '../../as/abi/codes.ts';
import { Control, FrameFlag, FrameKey, StatusFlag } from '../../as/link/layout.ts';
import { giveKey, newLink, newLinkSync } from './link-core.ts';
import { bringUp, joinEnds } from './link-line.ts';
import { flipped, GatewayPeer, helloBytes, SealedSession } from './link-peer.ts';
import { cobsDecode, decodeFrame, encodeFrame, type Frame, openPayload, Script, statusPayload } from './link-wire.ts';
import { type SeededRandom, seededRandom } from './random.ts';

beforeAll(async () => {
  await newLink();
});

const linkKey = Buffer.from('000102030405060708090a0b0c0d0e0f', 'hex');
const otherKey = Buffer.alloc(16, 0xee);

function sealedMeter(seed = 0x1234): GatewayPeer {
  const core = newLinkSync();
  giveKey(core, false, 'meter-1', linkKey);
  return new GatewayPeer(new Script(core, false, seed), 'meter-1', linkKey);
}

function standing(): { peer: GatewayPeer; script: Script; session: SealedSession } {
  const peer = sealedMeter();
  const session = peer.open(9, 1n);
  peer.script.hear(session.seal({ payload: statusPayload() }));
  peer.script.frames();
  return { peer, script: peer.script, session };
}

/** What a test plays to a gateway with the key of meter-1, and how its session is opened. */
function sealedGateway(known = LinkKnown.Key, key: Uint8Array = linkKey): Script {
  const core = newLinkSync();
  giveKey(core, true, 'meter-1', key);
  core.linkTrust(known);
  const script = new Script(core, true, 0x5678);
  script.next();
  return script;
}

/** The session that an answer offers, as the meter sees it. */
function offered(answer: Frame): SealedSession {
  const bytes = encodeFrame(answer);
  return new SealedSession(false, answer.session, linkKey, cobsDecode(bytes).slice(0, 32));
}

function openGateway(script: Script, nonce = 5n): SealedSession {
  script.hear(helloBytes('meter-1', nonce, linkKey));
  const session = offered(script.frames()[0]!);
  script.hear(session.seal({ payload: statusPayload() }));
  for (const frame of script.frames()) session.open(frame);
  return session;
}

const refused = ({ core }: Script) => [core.sealFramesForged(), core.sealFramesReplayed()];

describe('a meter', () => {
  test('proves its key, takes an answer that does, and seals all that follows', () => {
    const { script, session } = standing();
    expect([script.core.linkUp(), script.core.linkSession(), script.core.sealStands()]).toEqual([1, 9, 1]);
    script.send(Channel.Stream, [1, 2, 3]);
    script.send(Channel.Report, new Uint8Array(221).fill(7));
    script.send(Channel.Time, [4, 5]);
    const frames = script.frames();
    expect(frames.map(({ channel }) => channel)).toEqual([Channel.Time, Channel.Stream, Channel.Report]);
    expect(frames.map((frame) => [...session.open(frame)])).toEqual([
      [4, 5],
      [1, 2, 3],
      [...new Uint8Array(221).fill(7)],
    ]);
    for (const [at, counter] of session.counters.entries()) expect(counter).toBe(at + 1);
    expect(script.hear(session.seal({ channel: Channel.Stream, payload: [9, 8] }))).toEqual(Uint8Array.of(9, 8));
    expect(refused(script)).toEqual([0, 0]);
  });

  test.each([65, 180, 232, 233, 500, 1036])('leaves a datagram of %i bytes readable, with a tag', (length) => {
    const { script, session } = standing();
    const message = Uint8Array.from({ length }, (_, i) => i * 7);
    expect(script.send(Channel.Time, message)).toBe(true);
    const frames = script.frames();
    expect(frames).toHaveLength(Math.ceil(length / 232));
    const last = frames.at(-1)!;
    const joined = Buffer.concat(frames.map(({ payload }) => payload));
    expect(joined.subarray(0, -5)).toEqual(Buffer.from(message));
    const header = cobsDecode(encodeFrame(last)).slice(0, 12);
    expect(joined.subarray(-5)).toEqual(session.tagOf(header, message).subarray(0, 5));
    expect(frames.every(({ keyId }) => keyId === FrameKey.Tagged)).toBe(true);
  });

  test.each([65, 229, 240, 1036])('takes a datagram of %i bytes whose tag holds, once', (length) => {
    const { script, session } = standing();
    const message = Uint8Array.from({ length }, (_, i) => i * 11);
    const frames = session.tagged(message, 229, 3);
    expect(frames.map((frame) => script.hear(frame.slice())).at(-1)).toEqual(message);
    for (const frame of frames) expect(script.hear(frame.slice())).toBeUndefined();
    expect(refused(script)).toEqual([0, frames.length]);
  });

  test('drops a datagram whose header, end, length or tag is another; the next one comes through', () => {
    const { script, session } = standing();
    const message = Uint8Array.from({ length: 200 }, (_, i) => i);
    // Header: all but credit, session (which key), sequence and acknowledge. Message: its first 12 bytes and its last 8.
    const bytes = [0, 1, 2, 4, 5, 6, 7, ...Array.from({ length: 12 }, (_, i) => 12 + i), 210, 211];
    for (const byte of [...bytes, 212, 219]) {
      for (const bit of [0, 7]) {
        const [frame] = session.tagged(message, 229, 0);
        // A counter that became lower is a replay; any other change is a forgery, or no such frame.
        expect(script.hear(flipped(frame!, byte * 8 + bit)), `byte ${byte}, bit ${bit}`).toBeUndefined();
      }
    }
    const [frame] = session.tagged(message, 229, 0);
    expect(script.hear(frame!)).toEqual(message);
  });

  test('pieces that somebody makes up break the message they come into, and no other', () => {
    const { script, session } = standing();
    const message = Uint8Array.from({ length: 400 }, (_, i) => i);
    const header = { channel: Channel.Time, session: 9, keyId: FrameKey.Tagged, counter: 0xffff_ffff };
    for (const flags of [FrameFlag.First, 0, FrameFlag.Last, FrameFlag.First | FrameFlag.Last]) {
      const [first, second] = session.tagged(message, 229, 0);
      script.hear(first!);
      script.hear(
        encodeFrame({ ...header, flags: flags | FrameFlag.Gateway, sequence: 77, payload: new Uint8Array(100) }),
      );
      script.hear(second!);
      const next = session.tagged(message, 229, 0).map((frame) => script.hear(frame));
      expect(next.at(-1)).toEqual(message);
    }
  });

  test('refuses each frame that was heard before, and what comes behind a later one', () => {
    const { script, session } = standing();
    const said = [
      session.seal({ payload: statusPayload() }),
      session.seal({ channel: Channel.Stream, payload: [1] }),
      session.seal({ channel: Channel.Report, payload: [2] }),
      session.seal({ channel: Channel.Time, flags: 3, payload: [3] }),
      session.seal({ channel: Channel.Stream, sequence: 1, payload: [4] }),
    ];
    const heard = said.map((frame) => script.hear(frame.slice()));
    expect(heard.slice(1).map((message) => message?.[0])).toEqual([1, 2, 3, 4]);
    for (const frame of said) expect(script.hear(frame.slice())).toBeUndefined();
    expect(refused(script)).toEqual([0, said.length]);
    const early = session.seal({ channel: Channel.Stream, sequence: 2, payload: [5] });
    const late = session.seal({ channel: Channel.Stream, sequence: 3, payload: [6] });
    expect(script.hear(late)).toBeUndefined();
    expect(script.hear(early)).toBeUndefined();
    expect(refused(script)).toEqual([0, said.length + 1]);
    expect(script.hear(session.seal({ channel: Channel.Stream, sequence: 2, payload: [5] }))).toEqual(Uint8Array.of(5));
  });

  test('refuses a frame in which any bit is another', () => {
    const { script, session } = standing();
    const bytes = 12 + 16 + 9;
    for (let bit = 0; bit < bytes * 8; bit++) {
      const frame = session.seal({ channel: Channel.Stream, payload: [1, 2, 3, 4, 5, 6, 7, 8, 9] });
      expect(script.hear(flipped(frame, bit)), `bit ${bit}`).toBeUndefined();
    }
    expect(script.core.linkSession()).toBe(9);
    const whole = session.seal({ channel: Channel.Stream, payload: [1] });
    expect(script.hear(whole)).toEqual(Uint8Array.of(1));
  });

  test('refuses its own frames when they come back', () => {
    const { script } = standing();
    script.send(Channel.Stream, [1, 2, 3]);
    const length = script.core.linkPoll(script.now);
    const line = new Uint8Array(script.core.memory.buffer, script.core.linkFrame(), length).slice();
    script.sent();
    expect(decodeFrame(line).keyId).toBe(FrameKey.Sealed);
    expect(script.hear(line.slice(1, -1))).toBeUndefined();
    expect(refused(script)).toEqual([1, 0]);
  });

  test('takes no open session: neither an answer without a proof, nor one of another key or another hello', () => {
    const peer = sealedMeter();
    const nonce = peer.hello();
    const { script } = peer;
    script.hear(encodeFrame({ session: 9, payload: openPayload(Control.Answer, Number(nonce)) }));
    script.hear(peer.answer(nonce, 9, 1n, otherKey).bytes);
    script.hear(peer.answer(nonce + 1n, 9, 1n).bytes);
    const good = peer.answer(nonce, 9, 1n);
    for (let bit = 0; bit < (12 + 20 + 16) * 8; bit++) script.hear(flipped(good.bytes, bit));
    expect(script.core.linkUp()).toBe(0);
    script.hear(good.bytes);
    expect(script.core.linkUp()).toBe(1);
  });

  test('refuses open frames of its session', () => {
    const { script } = standing();
    expect(script.hearFrame({ channel: Channel.Stream, payload: [1] })).toBeUndefined();
    expect(script.hearFrame({ channel: Channel.Time, flags: 3, payload: [1] })).toBeUndefined();
    script.hearFrame({ payload: statusPayload() });
    expect(refused(script)).toEqual([3, 0]);
    // They are no sign of life either.
    while (script.core.linkUp() !== 0) {
      script.next();
      script.hearFrame({ payload: statusPayload() });
    }
  });

  test('asks when it is called, and goes on when the gateway answers', () => {
    const { script, session } = standing();
    for (let i = 0; i < 5; i++) {
      script.hearFrame({ payload: [Control.Call] });
      const status = script.frames().map((frame) => session.open(frame));
      expect(status.map(([kind, flags]) => [kind, flags])).toEqual([[Control.Status, StatusFlag.Ask]]);
      script.hear(session.seal({ payload: statusPayload() }));
      script.ms += 4000;
      script.frames();
      expect(script.core.linkSession()).toBe(9);
    }
  });

  test('asks for another session when nothing answers a call', () => {
    const { peer, script } = standing();
    const before = script.ms;
    script.hearFrame({ payload: [Control.Call] });
    script.frames();
    expect(peer.hello()).toBe(0x1236n);
    expect(script.ms - before).toBeGreaterThan(1400);
    expect(script.ms - before).toBeLessThan(1700);
  });

  test('frames of an older session with the same number do not open in a new one', () => {
    const { peer, script, session } = standing();
    const old = [
      session.seal({ channel: Channel.Stream, payload: [1] }),
      session.seal({ channel: Channel.Time, flags: 3, payload: [2] }),
      ...session.tagged(new Uint8Array(100).fill(3), 229, 0),
    ];
    script.hearFrame({ payload: [Control.Call] });
    script.frames();
    const next = peer.open(9, 2n);
    script.hear(next.seal({ payload: statusPayload() }));
    for (const frame of old) expect(script.hear(frame)).toBeUndefined();
    expect(refused(script)).toEqual([old.length, 0]);
    expect(script.hear(next.seal({ channel: Channel.Stream, payload: [4] }))).toEqual(Uint8Array.of(4));
  });

  test('no two sessions have the same keys, though the gateway says the same nonce', () => {
    const { peer, script, session } = standing();
    script.hearFrame({ payload: [Control.Call] });
    script.frames();
    const next = peer.open(9, 1n);
    const say = (one: SealedSession) => Buffer.from(one.seal({ counter: 1, payload: [1] })).toString('hex');
    expect(say(next)).not.toBe(say(session));
  });
});

describe('a gateway', () => {
  test('answers a meter that proves its key, and takes its first status', () => {
    const script = sealedGateway();
    const session = openGateway(script);
    expect(script.core.linkUp()).toBe(1);
    const at = script.core.linkPeer();
    expect(Buffer.from(new Uint8Array(script.core.memory.buffer, at, 8)).toString('latin1')).toBe('\x07meter-1');
    expect(script.hear(session.seal({ channel: Channel.Report, payload: [1] }))).toEqual(Uint8Array.of(1));
    script.send(Channel.Stream, [7]);
    expect(session.open(script.frames().at(-1)!)).toEqual(Uint8Array.of(7));
  });

  test('lets nobody in under the key of another meter, or under none, in the name of one that asked before', () => {
    const script = sealedGateway();
    const hello = helloBytes('meter-1', 5n, linkKey);
    script.hear(hello.slice());
    expect(script.frames()).toHaveLength(1);
    // Somebody with another key says another name, and what the meter said once more.
    giveKey(script.core, true, 'meter-2', otherKey);
    script.hear(helloBytes('meter-2', 6n, linkKey));
    script.hear(hello.slice());
    const [answer] = script.frames();
    if (answer !== undefined) {
      const session = new SealedSession(false, answer.session, otherKey, cobsDecode(encodeFrame(answer)).slice(0, 32));
      script.hear(session.seal({ payload: statusPayload() }));
    }
    expect([script.core.linkUp(), script.core.sealStands()]).toEqual([0, 0]);
    // The meter itself comes in.
    giveKey(script.core, true, 'meter-1', linkKey);
    openGateway(script, 7n);
    expect([script.core.linkUp(), script.core.sealStands()]).toEqual([1, 1]);
  });

  test.each([
    ['another key', LinkKnown.Key, helloBytes('meter-1', 5n, otherKey), 1],
    ['an open link though there is a key', LinkKnown.Key, helloBytes('meter-1', 5n), 0],
    ['a sealed link without a key', LinkKnown.Open, helloBytes('meter-1', 5n, linkKey), 0],
    ['a meter that is not served', LinkKnown.Nothing, helloBytes('meter-1', 5n), 0],
  ])('answers no hello with %s', (_, known, hello, wrong) => {
    const script = sealedGateway(known);
    script.hear(hello);
    expect(script.frames()).toEqual([]);
    expect(script.core.linkHelloRefused()).toBe(wrong);
    expect(script.core.linkUp()).toBe(0);
  });

  test('a hello in which a bit is another gets nothing', () => {
    const script = sealedGateway();
    const hello = helloBytes('meter-1', 5n, linkKey);
    for (let bit = 12 * 8; bit < (cobsDecode(hello).length - 4) * 8; bit++) {
      script.hear(flipped(hello, bit));
      expect(
        script.frames().filter(({ payload }) => payload[0] === Control.Answer),
        `bit ${bit}`,
      ).toEqual([]);
    }
  });

  test('hellos of others, open or sealed, end no sealed session and open none', () => {
    const script = sealedGateway();
    const session = openGateway(script);
    script.core.linkSessionChanged();
    script.core.linkTrust(LinkKnown.Open);
    script.hear(helloBytes('meter-2', 1n));
    expect(script.frames()).toEqual([]);
    // One that was recorded gets an answer, which is worth nothing without the key.
    script.core.linkTrust(LinkKnown.Key);
    script.hear(helloBytes('meter-1', 5n, linkKey));
    const [answer] = script.frames();
    for (const payload of [statusPayload(), new Uint8Array(40)]) {
      script.hear(encodeFrame({ session: answer!.session, payload }));
      script.hear(
        encodeFrame({ session: answer!.session, keyId: FrameKey.Sealed, counter: 1, payload: new Uint8Array(40) }),
      );
    }
    expect(script.core.linkSessionChanged()).toBe(0);
    expect(script.core.linkSession()).toBe(session.number);
    expect(script.hear(session.seal({ channel: Channel.Stream, payload: [1] }))).toEqual(Uint8Array.of(1));
  });

  test('an open session is taken where the host says that the link is open', () => {
    const script = sealedGateway(LinkKnown.Open);
    script.open();
    expect([script.core.linkUp(), script.core.sealStands()]).toEqual([1, 0]);
  });

  test('each session has keys of its own, though the meter says the same nonce', () => {
    const script = sealedGateway();
    const [first, second] = [openGateway(script), openGateway(script)];
    const say = (one: SealedSession) => Buffer.from(one.seal({ counter: 1, session: 1, payload: [1] })).toString('hex');
    expect(say(second)).not.toBe(say(first));
  });
});

/** Who records all that goes to one end, and says it again, or what was made of it. */
class OnTheLine {
  readonly heard: Uint8Array[] = [];

  constructor(
    readonly random: SeededRandom,
    readonly script: (bytes: Uint8Array) => void,
  ) {}

  act(): void {
    if (this.heard.length === 0) return;
    const bytes = this.heard[this.random.below(this.heard.length)]!;
    this.script(this.random.below(2) === 0 ? bytes.slice() : flipped(bytes, this.random.below((bytes.length - 5) * 8)));
  }
}

test('both ends with somebody on the line, and starting anew: everything arrives in order, nothing that he says', () => {
  const random = seededRandom('link seal on the line');
  const scene = joinEnds(random, { key: linkKey });
  const { timeline, meter, gateway } = scene;
  const ends = [meter, gateway];
  const counters = new Map<string, number>();
  const attackers = ends.map((end) => {
    const honest = end.receiveFrame.bind(end);
    const attacker = new OnTheLine(random, (bytes) => {
      const tick = end.tick(timeline.nowNs);
      honest(bytes, tick, tick);
    });
    end.receiveFrame = (frame, first, last) => {
      const bytes = Uint8Array.from(frame);
      attacker.heard.push(bytes.slice());
      const decoded = cobsDecode(bytes);
      const view = new DataView(decoded.buffer);
      if (decoded[2] !== 0) {
        // No counter comes twice from an end in a session.
        const key = `${end.gateway} ${view.getUint16(8, true)}`;
        expect(view.getUint32(4, true)).toBeGreaterThan(counters.get(key) ?? 0);
        counters.set(key, view.getUint32(4, true));
      }
      honest(frame, first, last);
    };
    return attacker;
  });
  bringUp(scene);
  const taken: Record<string, number> = {};
  const given: Record<string, number> = {};
  for (const end of ends) {
    const name = end.gateway ? 'gateway' : 'meter';
    end.onSession = () => {
      given[name] = 0;
      taken[name] = 0;
    };
    end.onMessage = ({ channel, message }) => {
      if (channel !== Channel.Stream) return;
      expect(message).toEqual(Uint8Array.of(taken[name]! & 255, end.gateway ? 0 : 1));
      taken[name]!++;
    };
  }
  let delivered = 0;
  for (let round = 0; round < 400; round++) {
    for (const end of ends) {
      const name = end.gateway ? 'gateway' : 'meter';
      if (end.core.linkRoom(Channel.Stream) > 0 && given[name] !== undefined) {
        if (end.send(Channel.Stream, Uint8Array.of(given[name]! & 255, end.gateway ? 1 : 0))) given[name]!++;
      }
      end.send(Channel.Time, random.bytes(100));
      end.turn();
    }
    for (const attacker of attackers) attacker.act();
    timeline.run(timeline.nowNs + 20_000_000);
    if (round % 100 === 99) {
      const end = ends[random.below(2)]!;
      delivered += (taken.meter ?? 0) + (taken.gateway ?? 0);
      end.restart();
      counters.clear();
      bringUp(scene, 30_000_000_000);
    }
  }
  expect(delivered).toBeGreaterThan(100);
});
