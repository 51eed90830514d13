// Meters that live: in the simulated world of the property tests, polling, with keys and a time, while what reaches them
// is changed. So every input meets every state, and the time that they show can be checked against the truth.
import { Channel, Event, Message } from '../../as/abi/codes.ts';
import { FrameSize } from '../../as/link/layout.ts';
import type { CheckedModules } from './checked-core.ts';
import { gatewayMessages } from './gateway-messages.ts';
import { frameOf, joined, mutate, openFrame } from './mutate.ts';
import type { Prng } from './prng.ts';
import type { Conditions, HostConditions } from './sockets.ts';
import type { Target } from './targets.ts';
import { World } from './world.ts';

/** Longest payload of an event for a meter with large buffers, and a little more. */
const payloadLimit = 1300;

/** AEADs of each server; of three or four one may lie about the time, by however much. */
function drawHosts(random: Prng, servers: number): Conditions['host'] {
  const hosts = new Map<string, HostConditions>();
  const liar = servers >= 3 && random.chance(0.5) ? 'b.test' : undefined;
  const lie = (2 * random.fraction() - 1) * 10 ** random.between(6, 14);
  return (name) => {
    const drawn = hosts.get(name) ?? {
      aeads: random.pick([[15], [16, 15], [17], [30], [30, 15]]),
      compliant: random.chance(0.5),
      lieNs: name === liar ? () => lie : () => 0,
    };
    hosts.set(name, drawn);
    return drawn;
  };
}

/** One that fails now and then, says what it cannot measure now and then, and the weather else. */
function drawThermometer(random: Prng): () => number | undefined {
  const [failing, lying] = [random.pick([0, 0.1, 0.9]), random.pick([0, 0.1, 0.9])];
  const lie = random.pick([-55_001, 125_001, -0x7fff_ffff, 0x7fff_fffe, random.u32() | 0]);
  let milliCelsius = random.between(-55_000, 125_000);
  return () => {
    if (random.chance(failing)) return undefined;
    if (random.chance(lying)) return lie + random.between(0, 1);
    milliCelsius += random.between(-500, 500);
    return milliCelsius;
  };
}

function newWorld(random: Prng, modules: CheckedModules, baud?: number): World {
  const servers = random.between(1, 4);
  const world = new World({
    seed: random.u32(),
    modules,
    ...(baud === undefined ? {} : { baud }),
    settings: {
      servers: ['a.test', 'b.test', 'c.test', 'd.test'].slice(0, servers).map((host) => ({ host, port: 4460 })),
      poll: { minSeconds: 1, maxSeconds: random.pick([1, 4, 16]) },
      reportSeconds: random.pick([1, 60]),
      sealedLink: baud !== undefined && random.chance(0.5),
    },
    ...(random.chance(0.5) ? { thermometer: drawThermometer(random.fork()) } : {}),
    check: { twin: true, record: true },
    eventsPerSecond: Number.POSITIVE_INFINITY,
  });
  world.device.setFrequency((2 * random.fraction() - 1) * 50_000);
  Object.assign(world.conditions, {
    outNs: () => random.exponential(5e6),
    backNs: () => random.exponential(5e6),
    lossBack: 0.05,
    duplicates: 0.1,
    replays: 0.1,
    forgeries: 0.1,
    residenceLies: random.chance(0.5),
    host: drawHosts(random, servers),
    cookieBytes: random.pick([1, 17, 64, 100, 104, 170, 171, 255, 256]),
    cookies: random.between(1, 9),
  });
  return world;
}

/** A message that no gateway sent: of a known type, for an id that may be in use. */
function randomMessage(random: Prng): { channel: number; message: Uint8Array } {
  const message = random.bytes(1 + random.size(random.chance(0.1) ? payloadLimit : 260));
  const type = random.chance(0.9) ? random.pick(gatewayMessages) : random.u32() & 0xff;
  message[0] = type;
  if (message.length > 1 && random.chance(0.8)) message[1] = random.below(16);
  const right = type < 0x10 ? Channel.Time : type < 0x30 ? Channel.Stream : Channel.Report;
  return { channel: random.chance(0.95) ? right : random.below(256), message };
}

/** An event that nothing asked for; none that says that the storage or the real-time clock took what it did not. */
function strayEvent(random: Prng): { event: number; payload: Uint8Array } {
  const event = random.pick([
    Event.Wake,
    Event.Frame,
    Event.FrameSent,
    Event.StorageData,
    Event.TimeAsk,
    Event.Temperature,
    Event.LinkSend,
    0,
    99,
  ]);
  return { event, payload: random.bytes(random.size(payloadLimit)) };
}

const messages: Target = {
  name: 'messages',
  about: 'messages to a meter with a network of its own, changed, doubled, made up',
  round: (random, modules) => {
    const world = newWorld(random, modules);
    let inputs = 0;
    world.sockets.meterDoubted = true;
    const deliver = world.sockets.send;
    const rate = random.fraction();
    world.sockets.send = (channel, message) => {
      if (random.chance(rate)) {
        inputs++;
        const changed = mutate(random, message, payloadLimit);
        deliver(channel, changed);
        if (random.chance(0.5)) return;
      }
      deliver(channel, message);
    };
    world.boot();
    for (let step = 0; step < 400; step++) {
      world.run(random.exponential(random.pick([0.001, 0.1, 2])));
      for (let more = random.size(8); more > 0; more--) {
        inputs++;
        if (random.chance(0.8)) {
          const { channel, message } = randomMessage(random);
          world.deliver(channel, message);
        } else {
          const { event, payload } = strayEvent(random);
          world.device.feed(event, payload);
        }
      }
      world.probe();
    }
    world.finish();
    return inputs;
  },
};

/** Changes header and payload of a frame; its CRC-32 is right again. */
function forgeFrame(random: Prng, frame: Uint8Array): Uint8Array {
  const decoded = openFrame(frame);
  switch (random.below(4)) {
    case 0:
      return frameOf(mutate(random, decoded, 249));
    case 1:
      // The header alone: channel, flags, credit, session, sequence, acknowledge.
      decoded[random.pick([0, 1, 3, 8, 10, 11])] = random.chance(0.5) ? random.below(8) : random.u32();
      return frameOf(decoded);
    case 2: {
      const payload = mutate(random, decoded.subarray(12), 237);
      return frameOf(joined([decoded.subarray(0, 12), payload]));
    }
    default: {
      const { channel, message } = randomMessage(random);
      decoded[0] = (FrameSize.Version << 4) | (channel & 3);
      return frameOf(joined([decoded.subarray(0, 12), message.subarray(0, 237)]));
    }
  }
}

/** A datagram in pieces, as many as there may be and more, some with a piece missing or doubled. */
function forgePieces(random: Prng, frame: Uint8Array): Uint8Array[] {
  const header = openFrame(frame).subarray(0, 12);
  const sequence = random.u32();
  const pieces = random.between(2, 9);
  const message = random.bytes(237);
  message.set([Message.UdpReceived, random.below(4), random.below(4), 0]);
  const list: Uint8Array[] = [];
  for (let i = 0; i < pieces; i++) {
    const flags = (i === 0 ? 1 : 0) | (i === pieces - 1 ? 2 : 0);
    header.set([(FrameSize.Version << 4) | Channel.Time, flags]);
    header[10] = sequence + i;
    const length = random.chance(0.8) ? 237 : random.between(1, 237);
    const piece = frameOf(joined([header, i === 0 ? message.subarray(0, length) : random.bytes(length)]));
    for (let copies = random.chance(0.9) ? 1 : random.below(3); copies > 0; copies--) list.push(piece);
  }
  return list;
}

const frames: Target = {
  name: 'frames',
  about: 'frames in both directions, damaged or forged with the right CRC-32; messages that the gateway sends unasked',
  round: (random, modules) => {
    const world = newWorld(random, modules, random.pick([9600, 115_200, 3_000_000]));
    const line = world.line!;
    let inputs = 0;
    world.sockets.meterDoubted = true;
    const rate = 0.5 * random.fraction() ** 2;
    line.fault = (frame) => {
      const arriving = [frame];
      while (random.chance(rate)) {
        inputs++;
        const changed = random.chance(0.7)
          ? forgeFrame(random, frame)
          : mutate(random, frame, 300).filter((byte) => byte !== 0);
        if (random.chance(0.2)) arriving[0] = changed;
        else arriving.splice(random.below(2), 0, changed);
        if (random.chance(0.1)) arriving.push(...forgePieces(random, frame));
      }
      return arriving;
    };
    world.boot();
    for (let step = 0; step < 300; step++) {
      world.run(random.exponential(random.pick([0.001, 0.1, 2])));
      for (let more = random.size(2); more > 0; more--) {
        inputs++;
        const { channel, message } = randomMessage(random);
        if (random.chance(0.8)) line.feed(Event.LinkSend, joined([Uint8Array.of(channel), message]));
        else line.feed(random.pick([Event.Wake, Event.Frame, Event.FrameSent, Event.Message, 0]), message);
      }
      if (random.chance(0.01)) line.restart();
      world.probe();
    }
    world.finish();
    return inputs;
  },
};

export const livingTargets: readonly Target[] = [messages, frames];
