// RFC 5905 11.2 and RFC 8915 8.5: servers that are authenticated and wrong. A meter with one server sees that its time
// leaps; one with several goes with those that agree, and tells who does not.
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ClockStatus, MeterEvent, Missing, Reject } from '../../as/abi/codes.ts';
import { type Answer, ntpTimestamp } from '../../host/setup/nts-packets.ts';
import { HostileLab, type LabOptions, type Surroundings, startSurroundings } from './lab.ts';
import { HostileServer, type NtpMisbehaviour } from './server.ts';

let surroundings: Surroundings;
let servers: HostileServer[];
let lab: HostileLab;
beforeEach(async () => {
  surroundings = await startSurroundings();
  servers = [surroundings.server];
});
afterEach(async () => {
  await lab.stop();
  for (const server of servers) {
    await server.stop();
    expect(server.faults).toEqual([]);
  }
});

/** A time that is off by so many seconds. */
function off(seconds: number): NtpMisbehaviour {
  return {
    answer: (answer: Answer) => {
      const utcNs = surroundings.world.utcNs() + BigInt(Math.round(seconds * 1e9));
      answer.receive = ntpTimestamp(utcNs);
      answer.transmit = answer.receive;
    },
  };
}

/** A meter with so many servers, which is off. */
async function withServers(count: number, options: LabOptions = {}): Promise<void> {
  const { ca, world } = surroundings;
  while (servers.length < count) {
    const certificate = await ca.issue({ names: ['127.0.0.1'] });
    servers.push(await HostileServer.start({ certificate, utcNs: () => world.utcNs() }));
  }
  lab = new HostileLab(surroundings, {
    servers: servers.map(({ kePort }) => ({ host: '127.0.0.1', port: kePort })),
    ...options,
  });
}

const told = (code: MeterEvent) => lab.watch.events.filter((event) => event.code === code);
/** Every server has answered so often since. */
async function answers(count: number): Promise<void> {
  const before = servers.map(({ requests }) => requests);
  await lab.pass(`${count} answers of each`, () =>
    servers.every(({ requests }, at) => requests >= before[at]! + count),
  );
}

describe('one server', () => {
  it('RFC 5905 8: whose time goes back by an hour, also to before the first answer: refused', async () => {
    await withServers(1);
    lab.start();
    await lab.synchronised();
    expect((await lab.refuses(off(-3_600))).reason).toBe(Reject[Reject.BehindFloor]);
    const until = lab.localNs + 7_200_000_000_000n;
    await lab.pass('two hours', () => lab.localNs > until, { stepMs: 60_000 });
    await lab.synchronised();
    expect((await lab.refuses(off(-3_600))).reason).toBe(Reject[Reject.Backwards]);
  });

  it('RFC 5905 8: whose time leaps ahead by an hour, once: told, whatever follows from it', async () => {
    await withServers(1);
    lab.start();
    await lab.synchronised();
    const { authenticated } = lab.last;
    await lab.misbehave(off(3_600));
    await lab.pass('an answer', () => lab.last.authenticated > authenticated);
    await lab.pass(
      'an event',
      () => told(MeterEvent.SourceDisagrees).length + told(MeterEvent.BoundsDisagree).length > 0,
    );
  });
});

describe('limits of the settings', () => {
  const cases: [string, (answer: Answer) => void][] = [
    [
      'a stratum of 4',
      (answer) => {
        answer.stratum = 4;
      },
    ],
    [
      'a root delay of 0.6 s',
      (answer) => {
        answer.rootDelay = 0.6;
      },
    ],
    [
      'a root dispersion of 0.3 s',
      (answer) => {
        answer.rootDispersion = 0.3;
      },
    ],
  ];
  it.each(cases)('RFC 5905 11.2.1: %s, which is too much here: refused', async (_name, answer) => {
    await withServers(1, { limits: { stratum: 3, rootDelayMs: 500, rootDispersionMs: 200 } });
    lab.start();
    await lab.synchronised();
    expect((await lab.refuses({ answer })).reason).toBe('Limits');
  });
});

describe('three servers', () => {
  it.each([3_600, -3_600, 0.5])(
    'RFC 5905 11.2: one is off by %d s from the start: the two others give the time',
    async (seconds) => {
      await withServers(3);
      servers[0]!.always = off(seconds);
      lab.start();
      await lab.pass('a time', () => lab.meter.time().status === ClockStatus.Synchronised);
      lab.expectRight();
      await answers(6);
      lab.expectRight();
      expect(Math.abs(lab.clock()!.errorNs)).toBeLessThan(300_000_000);
      await lab.pass('an event', () => told(MeterEvent.SourceDisagrees).length > 0);
    },
  );

  it.each([3_600, -3_600])('RFC 5905 11.2: one begins to be off by %d s: the clock stays', async (seconds) => {
    await withServers(3);
    lab.start();
    await lab.pass('a time', () => lab.meter.time().status === ClockStatus.Synchronised);
    await answers(4);
    servers[1]!.always = off(seconds);
    await answers(10);
    lab.expectRight();
    servers[1]!.always = undefined;
    await answers(4);
    lab.expectRight();
    expect(lab.meter.time().status).toBe(ClockStatus.Synchronised);
  });

  it('RFC 5905 11.2: three that contradict each other from the start: there is no time', async () => {
    await withServers(3);
    for (const [at, server] of servers.entries()) server.always = off(at * 3_600);
    lab.start();
    await answers(6);
    expect(lab.meter.time().status).toBe(ClockStatus.Unsynchronised);
    expect(lab.last.missing).toBe(Missing.Majority);
    expect(told(MeterEvent.ClockSet)).toEqual([]);
    for (const server of servers) server.always = undefined;
    await lab.pass('a time', () => lab.meter.time().status === ClockStatus.Synchronised);
    lab.expectRight();
  });

  it('RFC 8915 4.1.7: one names another as its own time server: it counts under its own keys alone', async () => {
    await withServers(3);
    const [first, second] = servers as [HostileServer, HostileServer];
    const { naks } = lab.last;
    // Its cookies are sent to a server that does not know them.
    first.script.ke.push({ port: second.ntpPort });
    lab.start();
    await lab.pass('a time', () => lab.meter.time().status === ClockStatus.Synchronised);
    await lab.pass('NAKs', () => lab.last.naks > naks);
    lab.expectRight();
  });
});

describe('two servers', () => {
  it('RFC 5905 11.2: that contradict each other: no time, where both have to agree', async () => {
    await withServers(2);
    servers[1]!.always = off(3_600);
    lab.start();
    await answers(6);
    expect(lab.meter.time().status).toBe(ClockStatus.Unsynchronised);
    servers[1]!.always = undefined;
    await lab.pass('a time', () => lab.meter.time().status === ClockStatus.Synchronised);
    lab.expectRight();
  });
});
