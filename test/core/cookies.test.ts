// Cookies (RFC 8915 5.4, 5.5, 5.7): each is sent once, as many come back as were lost, and no request is shorter than its
// answer; and what becomes of them when keys are replaced.
import { randomBytes } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import { ClockStatus, MeterEvent, Reject, StorageMap } from '../../as/abi/codes.ts';
import { buildCore } from '../../scripts/build-core.mjs';
import { keRecords } from './nts-reference.ts';
import { seededRandom } from './random.ts';
import { SimulatedMeter, type SimulatedMeterOptions, startedWith } from './simulated-meter.ts';
import type { Behaviour, ServedRequest } from './simulated-server.ts';

beforeAll(async () => {
  await buildCore();
});

/** Without room for reserves in the storage, so that every cookie is for polls. */
function started(change?: (behaviour: Behaviour) => void, options: SimulatedMeterOptions = {}): SimulatedMeter {
  return startedWith(change, { storageBytes: StorageMap.Bytes, ...options });
}

const datagramMost = 1024;

describe('a cookie', () => {
  it('is one of those that its server gave, and is sent once, whatever is lost, forged or replaced', () => {
    const random = seededRandom('cookies');
    for (let round = 0; round < 4; round++) {
      const given = new Set<string>();
      const lengths = Array.from({ length: 8 }, () => 1 + random.below(256));
      const sim = started(
        (behaviour) => {
          const { onKe } = behaviour;
          behaviour.aeads = [[15, 16, 17, 30][round % 4]!];
          behaviour.cookieBytes = lengths.map((length) => Math.max(length, 12));
          behaviour.onKe = (request) => {
            const pieces = onKe(request);
            for (const { type, body } of keRecords(Buffer.concat(pieces))) {
              if (type === 5) given.add(body.toString('hex'));
            }
            return pieces;
          };
          behaviour.change = (parts) => {
            if (random.below(10) === 0) parts.cookies.splice(random.below(2));
            for (const cookie of parts.cookies) given.add(cookie.toString('hex'));
          };
          behaviour.onRequest = (request) => {
            const answers = [request.server.answer(request)];
            if (random.below(8) === 0) answers.unshift(request.server.kiss(request, 'NTSN'));
            return random.below(3) === 0 ? answers.slice(0, random.below(2)) : answers;
          };
        },
        { settings: { poll: { minSeconds: 1, maxSeconds: 8 } } },
      );
      sim.run(3600);
      expect(sim.requests.length).toBeGreaterThan(200);
      // The simulated meter itself refuses whatever comes twice; a field is padded with zeros to four bytes.
      const known = [...given];
      const unknown = sim.requests.filter(({ cookie }) => {
        const hex = cookie.toString('hex');
        return !given.has(hex) && !known.some((one) => hex.startsWith(one) && /^0{0,6}$/.test(hex.slice(one.length)));
      });
      expect(unknown).toEqual([]);
    }
  });

  it('of one byte to 256 is taken, and padded as RFC 7822 wants it', () => {
    for (const bytes of [1, 2, 3, 4, 11, 12, 13, 64, 170, 171, 255, 256]) {
      const sim = started((behaviour) => {
        behaviour.cookieBytes = [bytes];
      });
      sim.run(2);
      const { cookie } = sim.requests[0]!;
      expect(cookie.length).toBe(Math.max(Math.ceil(bytes / 4) * 4, 12));
      expect(cookie.subarray(bytes).every((byte) => byte === 0)).toBe(true);
    }
  });

  it('fills a jar to its last byte; one that does not fit is left, and harms nothing of another server', () => {
    // 880 bytes, of which a cookie takes two more than it has.
    const before = [256, 256, 256];
    const cases = [
      { cookieBytes: Array.from({ length: 8 }, () => 108), held: 8 },
      { cookieBytes: [...before, 104], held: 4 },
      { cookieBytes: [...before, 105], held: 3 },
      { cookieBytes: [...before, 106], held: 3 },
    ];
    for (const { cookieBytes, held } of cases) {
      const sim = new SimulatedMeter({ servers: 4 });
      for (const { behaviour } of sim.servers) {
        Object.assign(behaviour, { cookieBytes, cookies: cookieBytes.length, onRequest: () => [] });
      }
      sim.meter.start();
      sim.run(2);
      const keyed = sim.events.filter(({ code }) => code === MeterEvent.KeysEstablished);
      expect(keyed.map(({ b }) => Number(b))).toEqual([held, held, held, held]);
      // The first of each is sent.
      expect(sim.sources.map(({ cookies }) => cookies)).toEqual(Array.from({ length: 4 }, () => held - 1));
    }
  });

  it('that leaves a jar full to its last byte harms nothing of another server', () => {
    const sim = new SimulatedMeter({ servers: 4 });
    // An answer brings one as long as that which was sent; in a field of its own, so padded to four bytes.
    for (const { behaviour } of sim.servers) behaviour.cookieBytes = [108, 112];
    sim.meter.start();
    sim.run(60);
    for (const { opened, requests } of sim.servers) {
      expect(opened.length).toBe(1);
      expect(requests.length).toBeGreaterThan(4);
    }
    expect(Math.min(...sim.sources.map(({ cookies }) => cookies))).toBeGreaterThanOrEqual(7);
  });

  it('too many are left where they are: eight are held at most', () => {
    const sim = started((behaviour) => {
      behaviour.cookies = 12;
      behaviour.change = (parts) => parts.cookies.push(...Array.from({ length: 3 }, () => randomBytes(100)));
    });
    sim.runUntilSynchronised();
    for (let i = 0; i < 20; i++) {
      sim.run(10);
      expect(sim.report!.cookies).toBeLessThanOrEqual(8);
    }
    expect(sim.requests.every(({ placeholders }) => placeholders.length <= 1)).toBe(true);
  });
});

describe('placeholders (RFC 8915 5.7)', () => {
  it.each([0, 1, 2, 3, 4, 5, 6])('are %i after as many lost answers, and fill the jar again', (lost) => {
    const sim = started();
    sim.runUntilSynchronised();
    sim.runUntil('the jar is full', () => sim.report!.cookies === 8, 100);
    const before = sim.requests.length;
    sim.behaviour.onRequest = (request) => (sim.requests.length > before + lost ? [sim.answer(request)] : []);
    sim.runUntil('an answer', () => sim.requests.length > before + lost, 400);
    const request = sim.requests[before + lost]!;
    expect(request.placeholders.length).toBe(lost);
    for (const body of request.placeholders) expect(body).toEqual(Buffer.alloc(request.cookie.length));
    sim.run(20);
    expect(sim.report).toMatchObject({ cookies: 8, keAttempts: 1 });
  });

  it.each([15, 16, 17, 30])('AEAD %i: no request is shorter than its answer, or longer than a datagram', (aead) => {
    const random = seededRandom(`lengths, AEAD ${aead}`);
    for (let round = 0; round < 6; round++) {
      const sim = started(
        (behaviour) => {
          behaviour.aeads = [aead];
          behaviour.cookieBytes = Array.from({ length: 8 }, () => 1 + random.below(256));
          behaviour.onRequest = (request) => {
            const answer = sim.answer(request);
            expect(answer.length).toBeLessThanOrEqual(request.packet.length);
            expect(request.packet.length).toBeLessThanOrEqual(datagramMost);
            return random.below(3) === 0 ? [] : [answer];
          };
        },
        { settings: { poll: { minSeconds: 1, maxSeconds: 4 } } },
      );
      sim.run(600);
      expect(sim.report!.authenticated).toBeGreaterThan(50);
    }
  });

  it('are as long as the cookie beside them, also where cookies have different lengths (RFC 8915 5.5)', () => {
    const lost = (request: ServedRequest) =>
      request.server.requests.length % 4 === 0 ? [request.server.answer(request)] : [];
    const sim = started((behaviour) => {
      behaviour.cookieBytes = [256, 12, 100, 64];
      behaviour.onRequest = lost;
    });
    sim.run(1200);
    const mixed = new Set(sim.requests.map(({ cookie }) => cookie.length));
    expect(mixed.size).toBeGreaterThan(1);
    const all = sim.requests.filter(({ placeholders }) => placeholders.length > 0);
    expect(all.length).toBeGreaterThan(5);
    for (const { cookie, placeholders } of all) {
      expect(new Set(placeholders.map(({ length }) => length))).toEqual(new Set([cookie.length]));
    }
  });
});

describe('a server that gives none back', () => {
  it('is asked for new keys when the last one is used; none is used twice meanwhile', () => {
    const sim = started((behaviour) => {
      behaviour.change = (parts) => parts.cookies.splice(0);
    });
    sim.runUntilSynchronised();
    sim.run(6 * 3600);
    const { opened } = sim.servers[0]!;
    const establishments = opened.length;
    expect(establishments).toBeGreaterThan(5);
    // Keys that last no longer than that are replaced less and less often.
    const waits = opened.slice(1).map((at, i) => Number(at - opened[i]!) / 1e9);
    for (const [i, wait] of waits.entries()) expect(wait).toBeGreaterThanOrEqual(10 * 1.5 ** i);
    expect(sim.requests.length).toBeLessThanOrEqual(8 * establishments);
    expect(sim.requests.length).toBeGreaterThan(7 * (establishments - 1));
    expect(Math.abs(Number(sim.errorNs))).toBeLessThan(Number(sim.meter.time().boundNs));
  });

  it('after which NTS-KE fails: the meter waits without a request', () => {
    const sim = started((behaviour) => {
      behaviour.change = (parts) => parts.cookies.splice(0);
    });
    sim.runUntilSynchronised();
    sim.behaviour.onTlsOpen = () => undefined;
    sim.run(3600);
    expect(sim.requests.length).toBe(8);
    expect(sim.meter.time().status).toBe(ClockStatus.Holdover);
  });
});

describe('keys of the age that the settings allow', () => {
  const settings = { keyAgeHours: 1 };

  it('are replaced, and serve until the new ones are there', () => {
    const sim = started((behaviour) => (behaviour.openNs = () => 25_000_000_000n), { settings });
    sim.runUntilSynchronised();
    const [server] = sim.servers;
    const old = server!.keys!;
    const madeAt = sim.time.nowNs;
    sim.runUntil('another key establishment', () => server!.opened.length > 1, 3700);
    expect(Number(sim.time.nowNs - madeAt)).toBeGreaterThanOrEqual(3598e9);
    sim.runUntil('new keys', () => server!.keys !== old, 60);
    sim.run(600);
    const during = sim.requests.map(({ keys }) => keys === old);
    expect(during.lastIndexOf(true)).toBe(during.indexOf(false) - 1);
    // No poll was missed, none was sent that found no answer.
    expect(sim.report).toMatchObject({ reach: 0xff, keAttempts: 2, naks: 0, rejected: 0 });
    expect(sim.eventCodes().filter((code) => code === MeterEvent.KeysEstablished).length).toBe(2);
    expect(sim.eventCodes()).not.toContain(MeterEvent.Holdover);
  });

  it('serve on for as long as no new ones are to be had, and the server is asked ever more seldom', () => {
    const sim = started(() => {}, { settings });
    sim.runUntilSynchronised();
    const [server] = sim.servers;
    const old = server!.keys;
    sim.behaviour.onKe = () => [Buffer.from('8002000200028000', 'hex'), Buffer.from('0000', 'hex')];
    sim.run(86_400);
    expect(sim.meter.time().status).toBe(ClockStatus.Synchronised);
    expect(sim.requests.at(-1)!.keys).toBe(old);
    expect(sim.report!.reach).toBe(0xff);
    const waits = server!.opened.slice(2).map((at, i) => Number(at - server!.opened[i + 1]!) / 1e9);
    expect(waits.length).toBeGreaterThan(4);
    for (const [i, wait] of waits.entries()) expect(wait).toBeGreaterThanOrEqual(10 * 1.5 ** i);
    expect(sim.report!.lastReject).toBe(Reject.None);
  });
});
