// The gateway's end of a link against a meter with the real core: sessions, loss, damage, and what is bounded.
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { afterEach, beforeAll, expect, test } from 'vitest';
import { Channel, Message, MeterEvent } from '../../../as/abi/codes.ts';
import type { CoreModule } from '../../../host/core/core.ts';
import { FaultyTransport } from '../../../host/link/faults.ts';
import { LinkEnd } from '../../../host/link/link-end.ts';
import type { MeterMessage } from '../../../host/link/messages.ts';
import { createPair, type LinkListener, type LinkTransport, openLink } from '../../../host/link/transports.ts';
import { coreModule, startMeter } from '../gateway/software-meters.ts';

let core: CoreModule;
beforeAll(async () => {
  core = await coreModule();
});

const open: { stop(): unknown }[] = [];
afterEach(async () => {
  for (const one of open.splice(0)) await one.stop();
});

function startEnd(transport: LinkTransport) {
  const end = new LinkEnd({ transport, core });
  const messages: MeterMessage[] = [];
  const sessions: number[] = [];
  const downs: string[] = [];
  end.on('message', ({ message, firstTick, lastTick }) => {
    expect(firstTick).toBeLessThanOrEqual(lastTick);
    expect(lastTick).toBeLessThanOrEqual(process.hrtime.bigint());
    messages.push(message);
  });
  end.on('session', (session) => sessions.push(session));
  end.on('down', (reason) => downs.push(reason));
  open.push(end);
  end.start();
  const count = (type: Message) => messages.filter((one) => one.type === type).length;
  return { end, messages, sessions, downs, count };
}

/** A meter and the gateway's end on one line. */
function startPair(wrap = (transport: LinkTransport): LinkTransport => transport) {
  const [a, b] = createPair();
  const started = startEnd(wrap(b));
  const meter = startMeter(a, core, 'meter-1');
  open.push(meter);
  a.start();
  return { ...started, meter };
}

const long = { timeout: 20_000 };

test('a session: the meter says who it is and what happened, and reports its time', async () => {
  const { end, messages, sessions, count } = startPair();
  expect(end.isUp).toBe(false);
  await expect.poll(() => count(Message.Time), long).toBeGreaterThan(1);
  expect(sessions).toHaveLength(1);
  expect(end.isUp).toBe(true);
  expect(messages.find((one) => one.type === Message.Info)).toMatchObject({ meterId: 'meter-1', board: 'test' });
  expect(messages.find((one) => one.type === Message.Event)).toMatchObject({ sequence: 1, code: MeterEvent.Started });
  expect(end.counters).toMatchObject({ framesDamaged: 0, framesTooLong: 0, messagesRefused: 0, coreRestarts: 0 });
  expect(end.counters.framesReceived).toBeGreaterThan(2);
});

/** A transport that says how long a byte takes. */
class Paced extends FaultyTransport {
  override readonly byteNs = 10e9 / 115_200;
}

test('what was read with bytes behind it had come before, by what those take', async () => {
  const [a, b] = createPair();
  const end = new LinkEnd({ transport: new Paced(b, { seed: 1 }), core });
  open.push(end);
  const kept: number[] = [];
  end.on('message', ({ lastTick, cameTick }) => kept.push(Number(lastTick - cameTick)));
  end.start();
  // Frames are read as they are sent here, so that the zero at a frame's end is the last byte; until one more zero is.
  const write = a.write.bind(a);
  a.write = (bytes) => write(Uint8Array.from([...bytes, ...new Uint8Array(50)]));
  const meter = startMeter(a, core, 'meter-1');
  open.push(meter);
  a.start();
  await expect.poll(() => kept.length, long).toBeGreaterThan(2);
  expect(new Set(kept)).toEqual(new Set([Math.round((50 * 10e9) / 115_200)]));
});

test('an event is sent again in a new session until it is acknowledged', async () => {
  const { end, messages, count } = startPair();
  await expect.poll(() => count(Message.Event), long).toBeGreaterThan(0);
  messages.length = 0;
  end.restart();
  await expect.poll(() => count(Message.Info), long).toBe(1);
  await expect.poll(() => messages.some((one) => one.type === Message.Event && one.sequence === 1), long).toBe(true);
  for (const one of messages) {
    if (one.type === Message.Event) end.send({ type: Message.EventAck, sequence: one.sequence });
  }
  // The report of the time that follows shows that the acknowledgements have gone through before it.
  const reports = count(Message.Time);
  await expect.poll(() => count(Message.Time), long).toBeGreaterThan(reports + 1);
  messages.length = 0;
  end.restart();
  await expect.poll(() => count(Message.Time), long).toBeGreaterThan(0);
  expect(messages.some((one) => one.type === Message.Event && one.sequence === 1)).toBe(false);
});

test('each session of the gateway has another number', async () => {
  const { end, sessions } = startPair();
  for (let times = 1; times <= 4; times++) {
    await expect.poll(() => sessions.length, long).toBe(times);
    end.restart();
    expect(end.isUp).toBe(false);
  }
  expect(new Set(sessions).size).toBe(sessions.length);
});

test('a lost connection comes back with a new session', async () => {
  const listener = openLink('tcp-listen://127.0.0.1:0') as LinkListener;
  const accepted: LinkTransport[] = [];
  listener.on('link', (link) => {
    accepted.push(link);
    const meter = startMeter(link, core, 'meter-2');
    open.push(meter);
    link.start();
  });
  await listener.start();
  open.push({ stop: () => listener.close() });
  const { sessions, downs, count } = startEnd(openLink(`tcp://127.0.0.1:${listener.port}`) as LinkTransport);
  await expect.poll(() => count(Message.Info), long).toBe(1);
  await accepted[0]!.close();
  await expect.poll(() => downs.length).toBe(1);
  await expect.poll(() => count(Message.Info), long).toBe(2);
  expect(sessions).toHaveLength(2);
  open.push({ stop: () => accepted[1]!.close() });
});

const seed = Number(process.env.METERTIME_SEED ?? randomBytes(4).readUInt32LE());

test(`a line that harms one byte in 1,000 (seed ${seed}): nothing comes through wrong, everything in the end`, async () => {
  const rate = 1 / 4_000;
  const faults = { flip: rate, drop: rate, duplicate: rate, noise: rate };
  const { end, messages, count } = startPair(
    (transport) => new FaultyTransport(transport, { seed, send: faults, receive: faults, bytesPerSecond: 11_520 }),
  );
  await expect.poll(() => end.isUp && count(Message.Info) > 0, long).toBe(true);
  let replies = 0;
  end.on('message', ({ message }) => {
    if (message.type === Message.TimeReply) replies++;
  });
  for (let token = 0; token < 150; token++) {
    const answered = once(end, 'message');
    if (end.send({ type: Message.TimeProbe, token })) {
      await Promise.race([answered, new Promise((resolve) => setTimeout(resolve, 100))]);
    }
  }
  await expect.poll(() => count(Message.Time), long).toBeGreaterThan(3);
  expect(replies).toBeGreaterThan(100);
  expect(end.counters.framesDamaged).toBeGreaterThan(0);
  expect(end.counters.messagesRefused).toBe(0);
  const infos = messages.filter((one) => one.type === Message.Info);
  expect(infos.every((one) => one.meterId === 'meter-1')).toBe(true);
});

test('noise alone is no session', async () => {
  const [a, b] = createPair();
  const { end, messages } = startEnd(b);
  a.start();
  for (let times = 0; times < 200; times++) await a.write(randomBytes(300));
  await a.write(new Uint8Array(1_000).fill(1));
  await a.write(Uint8Array.of(0));
  await expect.poll(() => end.counters.framesTooLong).toBeGreaterThan(0);
  expect(end.isUp).toBe(false);
  expect(messages).toEqual([]);
  await a.close();
});

test('without a session nothing is taken; with one, what waits is bounded', async () => {
  const { end, sessions } = startPair();
  expect(end.send({ type: Message.EventAck, sequence: 1 })).toBe(false);
  await expect.poll(() => sessions.length, long).toBe(1);
  const drained = once(end, 'drain');
  let taken = 0;
  while (end.send({ type: Message.TlsData, id: 1, data: new Uint8Array(200) })) taken++;
  expect(taken).toBeGreaterThan(500);
  expect(taken).toBeLessThan(1_000);
  expect(end.isBusy).toBe(true);
  expect(end.counters.messagesDropped).toBe(2);
  // A datagram does not wait for them.
  let sentTick = 0n;
  const reply = new Promise<void>((resolve) => {
    end.on('message', ({ message, firstTick }) => {
      if (message.type !== Message.TimeReply) return;
      expect(message.token).toBe(7);
      expect(firstTick).toBeGreaterThan(sentTick);
      resolve();
    });
  });
  end.send((nowTick) => {
    sentTick = nowTick;
    return { type: Message.TimeProbe, token: 7 };
  }, Channel.Time);
  await reply;
  expect(end.isBusy).toBe(true);
  await drained;
  expect(end.isBusy).toBe(false);
});

test('a meter that is switched off is down after a while, and back with a new session', async () => {
  const { meter, sessions, downs } = startPair();
  await expect.poll(() => sessions.length, long).toBe(1);
  meter.powerCut();
  await expect.poll(() => downs.length, { timeout: 60_000 }).toBe(1);
  meter.start();
  await expect.poll(() => sessions.length, long).toBe(2);
}, 90_000);
