// NTP answers that must be refused, from a man in the middle: the meter's clock does not move, the reason is right, and
// the genuine answers beside them still count.
import { beforeAll, describe, expect, it } from 'vitest';
import { ClockStatus, MeterEvent, Reject } from '../../as/abi/codes.ts';
import { HostClock } from '../../host/gateway/host-clock.ts';
import { type Chronyd, startChronyd } from '../../host/setup/chronyd.ts';
import { LabCa } from '../../host/setup/lab-ca.ts';
import { NtpRelay, type Passing, relayAddress } from '../../host/setup/ntp-relay.ts';
import { seededRandom } from '../core/random.ts';
import { Verdict } from './judge.ts';
import { labGateway, labMeter } from './lab.ts';
import { EmulatedMeter } from './meters.ts';
import { MeterWatch, type SeenTime } from './watch.ts';

const host = new HostClock();

let ca: LabCa;
beforeAll(async () => {
  ca = await LabCa.create();
});

/** A time server with a man in the middle before it, as its key establishment tells meters to go there. */
async function startServer(): Promise<{ server: Chronyd; relay: NtpRelay; stop: () => Promise<void> }> {
  const server = await startChronyd({ ca, extraConfig: [`ntsntpserver ${relayAddress}`] });
  const relay = await NtpRelay.start(server.ntpPort);
  return {
    server,
    relay,
    async stop() {
      await relay.stop();
      await server.stop();
    },
  };
}

/** A meter in software at such a server. */
async function startMeter(relaying: (relay: NtpRelay) => void = () => {}) {
  const { server, relay, stop } = await startServer();
  relaying(relay);
  const lab = labMeter(ca, { id: 'attacked', servers: [{ host: '127.0.0.1', port: server.kePort }] });
  lab.meter.start();
  const wrong: string[] = [];
  return {
    ...lab,
    relay,
    /** Where the meter's clock was surely beyond its bound. */
    wrong,
    check() {
      const before = process.hrtime.bigint();
      const time = lab.meter.time();
      const after = process.hrtime.bigint();
      if (time.status === ClockStatus.Unsynchronised) return;
      const low = time.utcNs - host.wallNs(after);
      const high = time.utcNs - host.wallNs(before);
      if (low > time.boundNs || high < -time.boundNs) wrong.push(`${low} to ${high} ns, bound ${time.boundNs} ns`);
    },
    async stop() {
      await lab.stop();
      await stop();
    },
  };
}

const ntpSeconds = { receive: 32, transmit: 40 };
const headerBytes = 48;

function edited(answer: Buffer, edit: (copy: Buffer) => void): Buffer {
  const copy = Buffer.from(answer);
  edit(copy);
  return copy;
}

/** An answer that is one hour off, as somebody without the keys would make it of a genuine one. */
function hourOff(answer: Buffer): Buffer {
  return edited(answer, (copy) => {
    for (const at of [ntpSeconds.receive, ntpSeconds.transmit]) copy.writeUInt32BE(copy.readUInt32BE(at) + 3600, at);
  });
}

/** Where a packet's extension fields begin, by type. */
function fieldsOf(packet: Buffer): { type: number; at: number; length: number }[] {
  const fields = [];
  for (let at = headerBytes; at + 4 <= packet.length; ) {
    const length = packet.readUInt16BE(at + 2);
    fields.push({ type: packet.readUInt16BE(at), at, length });
    if (length < 4) break;
    at += length;
  }
  return fields;
}

/** A header and the request's unique identifier, and no authenticator. */
function bare(request: Buffer, answer: Buffer, edit: (copy: Buffer) => void): Buffer {
  const identifier = fieldsOf(request).find(({ type }) => type === 0x0104)!;
  const packet = Buffer.concat([
    answer.subarray(0, headerBytes),
    request.subarray(identifier.at, identifier.at + identifier.length),
  ]);
  return edited(packet, edit);
}

/** What the meter said about a time of attack. */
interface Attacked {
  readonly refused: ReadonlySet<Reject>;
  readonly last: SeenTime;
}

/** A meter that is synchronised, then attacked for `polls` polls in which the genuine answers come too, and last. */
async function attack(polls: number, forge: (passing: Passing) => Uint8Array[]): Promise<Attacked> {
  const { watch, relay, wrong, check, stop } = await startMeter();
  try {
    // Events come one by one, after the first report: those before the attack must not count as its own.
    await watch.event(MeterEvent.Synchronised);
    const first = await watch.synchronised();
    let forged = 0;
    relay.onAnswer = (passing) => {
      const packets = forge(passing);
      forged += packets.length;
      for (const packet of packets) passing.send(packet);
      passing.send(passing.answer);
    };
    const from = watch.events.length;
    const last = await watch.until(
      `${polls} answers under attack`,
      () => {
        check();
        return watch.times.find(({ authenticated }) => authenticated >= first.authenticated + polls);
      },
      60_000,
    );
    expect(forged).toBeGreaterThanOrEqual(polls - 1);
    // The answers to the last poll may be under way.
    expect(last.rejected).toBeGreaterThanOrEqual(forged - 3);
    expect(last).toMatchObject({ status: ClockStatus.Synchronised, keAttempts: 1, cookies: 8 });
    expect(last.reach & 7).toBe(7);
    expect(wrong).toEqual([]);
    expect(watch.events.slice(from).map(({ code }) => code)).not.toContain(MeterEvent.ClockSet);
    return { refused: reasons(watch), last };
  } finally {
    await stop();
  }
}

/** Why the meter refused answers. */
function reasons({ events, times }: MeterWatch): Set<Reject> {
  const told = events.filter(({ code }) => code === MeterEvent.AnswerRefused).map(({ a }) => Number(a) as Reject);
  const reported = times.filter(({ rejected }) => rejected > 0).map(({ lastReject }) => lastReject);
  return new Set([...told, ...reported]);
}

describe.concurrent('beside the genuine answer', () => {
  it('one that is an hour off and not authenticated by its server', async () => {
    const { refused } = await attack(4, ({ answer }) => [hourOff(answer)]);
    expect([...refused]).toEqual([Reject.Authentication]);
  });

  it('one whose authenticator is taken away', async () => {
    const { refused } = await attack(4, ({ request, answer }) => [bare(request, hourOff(answer), () => {})]);
    expect([...refused]).toEqual([Reject.NoAuthenticator]);
  });

  it('the genuine answer of an earlier poll', async () => {
    let earlier: Buffer | undefined;
    const { refused } = await attack(4, ({ answer }) => {
      const replayed = earlier === undefined ? [] : [earlier];
      earlier = Buffer.from(answer);
      return replayed;
    });
    expect([...refused]).toEqual([Reject.Origin]);
  });

  it('the genuine answer of an earlier poll, made to fit by its origin', async () => {
    let earlier: Buffer | undefined;
    const { refused } = await attack(4, ({ request, answer }) => {
      const replayed = earlier === undefined ? [] : [edited(earlier, (copy) => request.copy(copy, 24, 40, 48))];
      earlier = Buffer.from(answer);
      return replayed;
    });
    expect([...refused]).toEqual([Reject.UniqueIdentifier]);
  });

  it('one cut off at any length', async () => {
    const random = seededRandom('truncated answers');
    const { refused } = await attack(8, ({ answer }) =>
      [0, 1, 2].map(() => answer.subarray(0, random.below(answer.length))),
    );
    // A cut behind the header or a field is well-formed, and lacks what would authenticate it.
    for (const reason of refused) {
      expect([Reject.Malformed, Reject.UniqueIdentifier, Reject.NoAuthenticator]).toContain(reason);
    }
    expect(refused.has(Reject.Malformed)).toBe(true);
  });

  it('one with a single bit flipped, anywhere', async () => {
    const random = seededRandom('flipped bits');
    const { refused } = await attack(12, ({ answer }) =>
      [0, 1, 2].map(() =>
        edited(answer, (copy) => {
          const at = random.below(copy.length);
          copy[at] = copy[at]! ^ (1 << random.below(8));
        }),
      ),
    );
    const reasonable = [
      Reject.Malformed,
      Reject.Mode,
      Reject.Origin,
      Reject.UniqueIdentifier,
      Reject.NoAuthenticator,
      Reject.Authentication,
    ];
    for (const reason of refused) expect(reasonable).toContain(reason);
    expect(refused.has(Reject.Authentication)).toBe(true);
  });

  it('a NAK and kisses of death that anybody could have sent', async () => {
    const kiss = (code: string) => (passing: Passing) =>
      bare(passing.request, passing.answer, (copy) => {
        copy[1] = 0;
        copy.write(code, 12, 'latin1');
      });
    const { refused, last } = await attack(6, (passing) => ['NTSN', 'RATE', 'DENY'].map((code) => kiss(code)(passing)));
    expect([...refused].sort((a, b) => a - b)).toEqual([Reject.Kiss, Reject.Nak]);
    expect(last.naks).toBeGreaterThanOrEqual(5);
  });

  it('the same answer again', async () => {
    const { watch, relay, wrong, check, stop } = await startMeter();
    try {
      const first = await watch.synchronised();
      relay.onAnswer = ({ answer, send }) => {
        for (let copy = 0; copy < 3; copy++) send(answer);
      };
      const last = await watch.until('four answers', () => {
        check();
        return watch.times.find(({ authenticated }) => authenticated >= first.authenticated + 4);
      });
      expect(last.rejected).toBeGreaterThanOrEqual(6);
      expect([...reasons(watch)]).toEqual([Reject.Unexpected]);
      expect(last.cookies).toBe(8);
      expect(wrong).toEqual([]);
    } finally {
      await stop();
    }
  });
});

describe.concurrent('instead of the genuine answer', () => {
  it('an hour off: the meter never takes it, and holds over', async () => {
    const { watch, meter, relay, wrong, check, stop } = await startMeter();
    try {
      await watch.synchronised();
      relay.onAnswer = ({ answer, send }) => send(hourOff(answer));
      await watch.event(MeterEvent.Holdover, { timeoutMs: 60_000 });
      check();
      expect(meter.time().status).toBe(ClockStatus.Holdover);
      expect(wrong).toEqual([]);
      expect([...reasons(watch)]).toEqual([Reject.Authentication]);
      relay.onAnswer = ({ answer, send }) => send(answer);
      await watch.synchronised(60_000);
      check();
      expect(wrong).toEqual([]);
      expect(watch.events.filter(({ code }) => code === MeterEvent.ClockSet)).toHaveLength(1);
    } finally {
      await stop();
    }
  });

  it('an hour off from the start: the meter has no time at all', async () => {
    const { watch, meter, relay, wrong, check, stop } = await startMeter((middle) => {
      middle.onAnswer = ({ answer, send }) => send(hourOff(answer));
    });
    try {
      await watch.nextTime('two refused', ({ rejected }) => rejected >= 2);
      expect(meter.time().status).toBe(ClockStatus.Unsynchronised);
      relay.onAnswer = ({ answer, send }) => send(answer);
      await watch.synchronised();
      check();
      expect(wrong).toEqual([]);
    } finally {
      await stop();
    }
  });

  it('the genuine one, held back: the clock stays within its bound', async () => {
    const { watch, relay, wrong, check, stop } = await startMeter();
    const timers = new Set<NodeJS.Timeout>();
    const later = (delayMs: number, run: () => void) => {
      const timer = setTimeout(() => {
        timers.delete(timer);
        run();
      }, delayMs);
      timers.add(timer);
    };
    try {
      const first = await watch.synchronised();
      // One direction only, which is what no client can see: half of it is the error.
      relay.onAnswer = ({ answer, send }) => later(400, () => send(answer));
      const slow = await watch.until('three late answers', () => {
        check();
        return watch.times.find(({ authenticated }) => authenticated >= first.authenticated + 3);
      });
      expect(Number(slow.delayNs)).toBeGreaterThan(390_000_000);
      relay.onAnswer = ({ answer, send }) => send(answer);
      relay.onRequest = (_request, pass) => later(400, pass);
      await watch.until('three late requests', () => {
        check();
        return watch.times.find(({ authenticated }) => authenticated >= slow.authenticated + 3);
      });
      expect(wrong).toEqual([]);

      // Longer than the meter waits, and shorter than its gateway hears answers: too late to count.
      relay.onRequest = (_request, pass) => pass();
      relay.onAnswer = ({ answer, send }) => later(3_500, () => send(answer));
      const { rejected } = watch.times.at(-1)!;
      const late = await watch.nextTime('a late answer refused', (time) => time.rejected > rejected);
      expect(late.lastReject).toBe(Reject.Unexpected);
      check();
      expect(wrong).toEqual([]);
    } finally {
      for (const timer of timers) clearTimeout(timer);
      await stop();
    }
  });
});

it('a meter on a microcontroller refuses them, too', async () => {
  const { server, relay, stop } = await startServer();
  const gateway = labGateway(ca);
  const meter = await EmulatedMeter.create({ id: 'emulated', servers: [{ host: '127.0.0.1', port: server.kePort }] });
  const watch = new MeterWatch(gateway, 'emulated');
  try {
    await meter.start();
    gateway.addLink(meter.transport());
    const first = await watch.synchronised();
    relay.onAnswer = ({ answer, send }) => {
      send(hourOff(answer));
      send(answer.subarray(0, 100));
      send(answer);
    };
    const verdict = new Verdict();
    const last = await watch.nextTime('six answers', ({ authenticated }) => authenticated >= first.authenticated + 6);
    for (let i = 0; i < 30; i++) await verdict.probe(watch.meter);
    expect(last.rejected).toBeGreaterThanOrEqual(8);
    expect(verdict.boundBroken).toEqual([]);
    expect(verdict.beyond(5_000_000)).toEqual([]);
    expect(verdict.timed.length).toBeGreaterThan(20);
    expect(watch.events.filter(({ code }) => code === MeterEvent.ClockSet)).toHaveLength(1);
  } finally {
    await gateway.stop();
    await meter.remove();
    await stop();
  }
});
