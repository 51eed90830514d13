// Keys and cookies over restarts: a meter that has a reserve is back without NTS-KE; no cookie is ever sent twice; one
// that has none does not storm the NTS-KE servers. `Life` watches each cookie over all starts.
import { randomBytes } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import { ClockStatus, Failure, Message, MeterEvent, SourceFlag, StorageMap } from '../../as/abi/codes.ts';
import { loadCoreModule } from '../../host/core/core.ts';
import { encodeSettings } from '../../host/provision/settings-block.ts';
import { Aead } from '../../host/setup/nts-aeads.ts';
import { buildCore } from '../../scripts/build-core.mjs';
import { seededRandom } from './random.ts';
import { Life, partOffset } from './reserve-life.ts';
import { second, testSettings } from './simulated-meter.ts';
import type { Behaviour } from './simulated-server.ts';

beforeAll(async () => {
  await buildCore();
});

/** A meter that has stored its reserves and is off. */
function stored(options: ConstructorParameters<typeof Life>[0] = {}, change: (life: Life) => void = () => {}): Life {
  const life = new Life(options);
  change(life);
  life.start();
  life.settle();
  life.cut();
  return life;
}

describe('a restart with an intact reserve', () => {
  const lengths = [[64], [100], [171, 64, 256], [256]] as const;
  for (const aead of Object.values(Aead)) {
    it.each(lengths)(`makes no NTS-KE (AEAD ${aead}, cookies of %d bytes …)`, (...cookieBytes) => {
      for (const servers of [1, 2, 4]) {
        const life = stored({ servers }, ({ sim }) => {
          for (const { behaviour } of sim.servers) Object.assign(behaviour, { aeads: [aead], cookieBytes });
        });
        for (const hours of [0.01, 5, 70]) {
          life.sim.run(hours * 3600);
          life.start();
          life.settle(5);
          expect([life.establishments, life.restored]).toEqual([0, servers]);
          life.sim.run(60);
          for (const source of life.sim.sources) {
            expect(source.flags & SourceFlag.Restored).toBeTruthy();
            expect(source.aead).toBe(aead);
          }
          life.cut();
        }
      }
    });
  }

  it('stays so when it restarts every minute', () => {
    const life = stored({ servers: 3 });
    for (let start = 0; start < 100; start++) {
      life.start();
      life.settle(5);
      expect(life.establishments).toBe(0);
      life.sim.run(50);
      life.cut(0.1);
    }
  });

  it('survives a power cut after power cut before any answer comes: one for each cookie', () => {
    const life = stored();
    const { onRequest } = life.sim.behaviour;
    life.sim.behaviour.onRequest = (request, exchange) => {
      onRequest(request, exchange);
      return [];
    };
    for (let start = 0; start < 2; start++) {
      life.start();
      life.sim.runUntil('a request', () => life.requests.length > 0, 5);
      expect([life.establishments, life.restored]).toEqual([0, 1]);
      life.cut(10);
    }
    life.sim.behaviour.onRequest = onRequest;
    life.start();
    life.sim.run(400);
    expect(life.establishments).toBe(1);
    expect(life.synchronised).toBe(true);
  });

  it('goes on with the server that it had, of more servers than the core can use at once', async () => {
    const { path } = await buildCore({ servers: 1 });
    const life = new Life({ servers: 3, source: loadCoreModule(path) });
    const [first, second_] = life.sim.servers;
    first!.behaviour.onTlsOpen = ({ id }) => ({ type: Message.TlsClosed, id, reason: Failure.Connect, detail: '' });
    life.start();
    life.settle(60);
    life.cut();
    life.start();
    life.settle(5);
    expect([life.establishments, life.restored]).toEqual([0, 1]);
    expect(life.requests.every(({ server }) => server === second_)).toBe(true);
  });

  it('is of no use where the settings name the servers in another order', () => {
    const rootKey = randomBytes(16);
    const life = stored({ servers: 2, rootKey });
    const servers = ['b.test', 'a.test'].map((host) => ({ host, port: 4460 }));
    life.sim.storage.write(StorageMap.Settings, encodeSettings({ ...testSettings, servers }, rootKey));
    life.start();
    life.settle(400);
    expect([life.establishments, life.restored]).toEqual([2, 0]);
  });
});

describe('power that fails at an operation of the storage', () => {
  /** Runs three starts; power fails in the second, at operation `cut` of it and after so many bytes of a write. */
  function life(cut: number, tornAfter: number, seconds: number): Life | undefined {
    const it = stored({ settings: { poll: { minSeconds: 16, maxSeconds: 36_000 } } });
    const from = it.operations.length;
    it.fate = ({ kind, length }, index) => {
      if (index !== from + cut) return 'done';
      return kind === 'write' && tornAfter > length ? 'done' : { tornAfter };
    };
    it.start();
    it.sim.run(seconds);
    if (it.sim.meter.running) return undefined;
    it.fate = () => 'done';
    it.cut(60);
    it.start();
    it.settle(5);
    return it;
  }

  it('leaves a cookie for the next start, at every operation and byte of a start and of the first write', {
    timeout: 120_000,
  }, () => {
    const random = seededRandom('reserve cuts');
    let lives = 0;
    for (let cut = 0; ; cut++) {
      let happened = false;
      for (let bytes = 0; bytes <= 280; ) {
        const torn = life(cut, bytes, 10);
        if (torn === undefined) break;
        happened = true;
        lives++;
        expect([cut, bytes, torn.establishments, torn.restored]).toEqual([cut, bytes, 0, 1]);
        // All bytes of number and tag, then some.
        bytes += bytes < 22 ? 1 : 20 + random.below(40);
      }
      if (!happened) break;
    }
    console.log(`${lives} lives`);
    expect(lives).toBeGreaterThan(150);
  });

  it('leaves a cookie for the next start, at every operation and byte of a daily write', { timeout: 120_000 }, () => {
    const random = seededRandom('reserve cuts of a daily write');
    let lives = 0;
    for (const part of [1, 2]) {
      for (let bytes = 0; bytes <= 280; bytes += bytes < 22 ? 1 : 20 + random.below(40)) {
        const it = stored({ settings: { poll: { minSeconds: 16, maxSeconds: 36_000 } } });
        it.start();
        it.settle();
        const from = it.operations.length;
        it.fate = ({ kind, offset }, index) =>
          kind === 'write' && index >= from && offset === partOffset(0, part) ? { tornAfter: bytes } : 'done';
        it.sim.run(2 * 86_400);
        expect(it.sim.meter.running).toBe(false);
        it.fate = () => 'done';
        it.cut();
        it.start();
        it.settle(5);
        expect([part, bytes, it.establishments, it.restored]).toEqual([part, bytes, 0, 1]);
        lives++;
      }
    }
    expect(lives).toBeGreaterThan(50);
  });

  it('again and again, with reads and writes that fail and answers that are lost, sends no cookie twice', {
    timeout: 120_000,
  }, () => {
    const random = seededRandom('reserve faults');
    for (let round = 0; round < 12; round++) {
      const servers = 1 + random.below(4);
      const it = new Life({ servers, settings: { spreadSeconds: 20 } });
      for (const { behaviour } of it.sim.servers) {
        behaviour.cookieBytes = [64 + random.below(193), 64 + random.below(193)];
        behaviour.aeads = [Object.values(Aead)[random.below(4)]!];
        const { onRequest } = behaviour;
        behaviour.onRequest = (request, exchange) => {
          const answers = onRequest(request, exchange);
          return random.below(10) < 3 ? [] : answers;
        };
      }
      it.fate = ({ kind, length }) => {
        const drawn = random.below(100);
        if (drawn < 4) return { tornAfter: kind === 'write' ? random.below(length + 1) : 0 };
        return drawn < 8 ? 'fails' : 'done';
      };
      for (let start = 0; start < 40; start++) {
        it.start();
        for (let i = 0; i < 10 && it.sim.meter.running; i++) it.sim.run(random.below(60) / (1 + random.below(10)));
        it.cut(random.below(4) === 0 ? random.below(100_000) : 0.01);
      }
      it.fate = () => 'done';
      it.start();
      it.settle(900);
    }
  });
});

/** Something else comes in place of the next answer. */
function insteadOfFirst(life: Life, other: Behaviour['onRequest']): void {
  const { behaviour } = life.sim;
  const { onRequest } = behaviour;
  let answered = 0;
  behaviour.onRequest = (request, exchange) => {
    const answers = onRequest(request, exchange);
    return answered++ === 0 ? other(request, exchange) : answers;
  };
}

describe('the second cookie', () => {
  it('is loaded when the answer to the first is lost', () => {
    const life = stored();
    insteadOfFirst(life, () => []);
    life.start();
    life.settle(30);
    expect([life.establishments, life.restored]).toEqual([0, 1]);
  });

  it('is loaded when somebody forges a NAK to the first', () => {
    const life = stored();
    insteadOfFirst(life, (request) => [request.server.kiss(request, 'NTSN')]);
    life.start();
    life.settle(30);
    expect(life.establishments).toBe(0);
  });

  it('is not sent when it cannot be erased; then there are new keys', () => {
    const life = stored({ settings: { spreadSeconds: 20 } });
    const from = life.operations.length;
    life.fate = ({ kind, offset }, index) =>
      index >= from && kind === 'write' && offset === partOffset(0, 2) ? 'fails' : 'done';
    insteadOfFirst(life, () => []);
    life.start();
    life.settle(90);
    expect([life.establishments, life.restored]).toEqual([1, 1]);
    expect(life.sim.eventCodes()).toContain(MeterEvent.StorageFailed);
  });

  it('is all there is when the first cannot be read', () => {
    const life = stored();
    life.fate = ({ kind, offset }) => (kind === 'read' && offset === partOffset(0, 1) ? 'fails' : 'done');
    life.start();
    life.settle(5);
    expect([life.establishments, life.restored]).toEqual([0, 1]);
  });
});

describe('a reserve does not count', () => {
  const rekeyed = (life: Life, sources = 1) => {
    life.start();
    life.settle(400);
    expect(life.restored).toBe(0);
    expect(life.establishments).toBe(sources);
  };
  const provision = (life: Life, change: Partial<typeof testSettings>, rootKey: Uint8Array) =>
    life.sim.storage.write(StorageMap.Settings, encodeSettings({ ...testSettings, ...change }, rootKey));

  it('for another port or name of the server', () => {
    const rootKey = randomBytes(16);
    const life = stored({ rootKey });
    provision(life, { servers: [{ host: 'time.test', port: 4461 }] }, rootKey);
    rekeyed(life);
  });

  it('with another root key, or of another meter', () => {
    const rootKey = randomBytes(16);
    const other = stored({ rootKey });
    provision(other, {}, randomBytes(16));
    rekeyed(other);
    const life = stored({ rootKey });
    provision(life, { id: 'sim-2' }, rootKey);
    rekeyed(life);
  });

  it('with an AEAD that the settings no longer offer', () => {
    const rootKey = randomBytes(16);
    const life = stored({ rootKey });
    life.sim.behaviour.aeads = [Aead.sivCmac384];
    provision(life, { aeads: [Aead.sivCmac384] }, rootKey);
    rekeyed(life);
  });

  it('at the place of another source, part or reserve', () => {
    const life = stored({ servers: 2 });
    const { storage } = life.sim;
    const part = (source: number, which: number) =>
      storage.read(partOffset(source, which), StorageMap.ReservePartBytes);
    const [first, firstCookie, second_] = [part(0, 0), part(0, 1), part(1, 0)];
    storage.write(partOffset(0, 0), second_);
    storage.write(partOffset(1, 0), first);
    rekeyed(life, 2);
    // An older first cookie in front of newer keys, and twice.
    const again = stored();
    const old = again.sim.storage.read(partOffset(0, 1), StorageMap.ReservePartBytes);
    again.sim.storage.write(partOffset(0, 2), old);
    again.sim.storage.write(partOffset(0, 1), firstCookie);
    rekeyed(again);
  });

  it('with any byte of its keys changed', () => {
    const random = seededRandom('reserve bytes');
    for (let at = 0; at < StorageMap.ReservePartBytes; at += 1 + random.below(12)) {
      const life = stored({ settings: { spreadSeconds: 1 } });
      const keys = life.sim.storage.read(partOffset(0, 0), StorageMap.ReservePartBytes);
      keys[at]! ^= 1 << random.below(8);
      life.sim.storage.write(partOffset(0, 0), keys);
      rekeyed(life);
    }
  });

  it('where there is garbage', () => {
    const random = seededRandom('reserve garbage');
    for (let round = 0; round < 20; round++) {
      const life = stored({ servers: 2, settings: { spreadSeconds: 1 } });
      const length = 2 * StorageMap.ReserveBytes;
      life.sim.storage.write(StorageMap.Reserves, random.bytes(length));
      rekeyed(life, 2);
    }
  });

  it('where there is no room for it', () => {
    const life = new Life({ servers: 2 });
    Object.defineProperty(life.sim.storage, 'bytes', { value: StorageMap.Reserves + StorageMap.ReserveBytes });
    life.start();
    life.settle();
    life.cut();
    life.start();
    life.sim.run(400);
    expect([life.establishments, life.restored]).toEqual([1, 1]);
    expect(life.operations.every(({ offset, length }) => offset + length <= life.sim.storage.bytes)).toBe(true);
  });
});

describe('keys that serve no more', () => {
  it('are erased as soon as there are new ones, and not restored', () => {
    const life = stored();
    life.start();
    life.settle();
    const { onRequest } = life.sim.behaviour;
    const old = life.sim.servers[0]!.keys!;
    life.sim.behaviour.onRequest = (request, exchange) => {
      const answers = onRequest(request, exchange);
      return request.keys === old ? [request.server.kiss(request, 'NTSN')] : answers;
    };
    life.sim.runUntil('new keys', () => life.sim.eventCodes().includes(MeterEvent.KeysEstablished), 600);
    life.sim.run(1);
    life.cut(1);
    life.start();
    life.settle(400);
    expect(life.restored).toBe(0);
    expect(life.requests.every(({ keys }) => keys !== old)).toBe(true);
  });

  it.each(['a NAK', 'a certificate that has expired'])(
    'because of %s are replaced after a start, spread over the time that the settings say',
    (why) => {
      const random = seededRandom('reserve spread after a restart');
      const waits: number[] = [];
      for (let meter = 0; meter < 12; meter++) {
        const life = stored({ seed: random.bytes(32), settings: { spreadSeconds: 200 } });
        const old = life.sim.servers[0]!.keys!;
        const { onRequest } = life.sim.behaviour;
        life.sim.behaviour.onRequest = (request, exchange) => {
          const answers = onRequest(request, exchange);
          return why === 'a NAK' && request.keys === old ? [request.server.kiss(request, 'NTSN')] : answers;
        };
        life.sim.run(why === 'a NAK' ? 0 : 366 * 86_400);
        life.sim.behaviour.notAfter = life.sim.utcNs / second + 86_400n;
        const from = life.sim.utcNs;
        life.start();
        life.settle(300);
        expect(life.establishments).toBe(1);
        waits.push(Number(life.sim.servers[0]!.opened.at(-1)! - from) / 1e9);
      }
      expect(Math.max(...waits)).toBeGreaterThan(80);
      expect(Math.max(...waits)).toBeLessThan(220);
      expect(Math.max(...waits) - Math.min(...waits)).toBeGreaterThan(60);
    },
  );
});

describe('a certificate that was never seen to hold, of a server that disagrees', () => {
  it('stands behind no stored keys: a next start with a real-time clock looks at its dates', () => {
    const life = new Life({ servers: 3, rtc: true });
    const { behaviour } = life.sim.servers[2]!;
    behaviour.notAfter = life.sim.utcNs / second - 10n * 86_400n;
    behaviour.serverErrorNs = 3600n * second;
    life.start();
    life.settle();
    life.sim.run(60);
    expect(life.sim.sources[2]!.flags & SourceFlag.DatesUnchecked).toBeTruthy();
    life.cut(60);
    behaviour.serverErrorNs = 0n;
    life.start();
    life.sim.run(400);
    expect(life.restored).toBe(2);
    expect(life.sim.report).toMatchObject({ status: ClockStatus.Synchronised, agreeing: 2 });
  });
});

describe('a certificate that does not hold at the time obtained after a restart without real-time clock', () => {
  it('is refused, its time is not taken, and there are new keys', () => {
    const life = new Life();
    const { behaviour } = life.sim;
    behaviour.notAfter = life.sim.utcNs / second + 86_400n;
    life.start();
    life.settle();
    life.cut(5 * 86_400);
    behaviour.notAfter += 86_400n * 300n;
    const shown: ClockStatus[] = [];
    life.start();
    life.sim.runUntil('refused', () => life.sim.eventCodes().includes(MeterEvent.CertificateRefused), 10);
    shown.push(life.sim.meter.time().status);
    expect([life.restored, life.establishments]).toEqual([1, 0]);
    expect(shown).toEqual([ClockStatus.Unsynchronised]);
    expect(life.sim.eventCodes()).not.toContain(MeterEvent.Synchronised);
    life.settle(400);
    expect(life.establishments).toBe(1);
  });

  it('holds up no others: a majority of restored servers gives the time', () => {
    const life = new Life({ servers: 3 });
    life.sim.servers[1]!.behaviour.notAfter = life.sim.utcNs / second + 86_400n;
    life.start();
    life.settle();
    life.cut(5 * 86_400);
    life.start();
    life.settle(10);
    expect(life.restored).toBe(3);
    expect(life.sim.eventCodes()).toContain(MeterEvent.CertificateRefused);
  });
});

describe('NTS-KE after a start', () => {
  const withoutReserve = (seed: Uint8Array, spreadSeconds: number) => {
    const life = stored({ seed, settings: { spreadSeconds } });
    life.sim.storage.write(StorageMap.Reserves, new Uint8Array(StorageMap.ReserveBytes));
    return life;
  };

  it('is immediate the first time', () => {
    const life = new Life({ servers: 4 });
    life.start();
    life.sim.run(0.1);
    expect(life.establishments).toBe(4);
  });

  it('is spread over the time that the settings say, where there is no reserve', () => {
    const random = seededRandom('reserve spread');
    const waits = Array.from({ length: 60 }, () => {
      const life = withoutReserve(random.bytes(32), 100);
      const from = life.sim.utcNs;
      life.start();
      life.sim.run(101);
      expect(life.establishments).toBe(1);
      return Number(life.sim.servers[0]!.opened.at(-1)! - from) / 1e9;
    });
    // Each fifth of the time has its share: none is empty but once in a million.
    for (let fifth = 0; fifth < 5; fifth++) {
      expect(waits.filter((wait) => Math.floor(wait / 20) === fifth).length).toBeGreaterThan(0);
    }
  });

  it.each([5, 20])('is rare in a reset loop of %d s, whatever the servers do', (seconds) => {
    for (const answers of [true, false]) {
      const life = new Life();
      // Without an answer no state is ever stored, which does not make each start the first.
      if (!answers) life.sim.behaviour.onRequest = () => [];
      life.sim.behaviour.onTlsOpen = ({ id }) => ({ type: Message.TlsClosed, id, reason: Failure.Connect, detail: '' });
      const starts = 7200 / seconds;
      for (let start = 0; start < starts; start++) {
        life.start();
        life.sim.run(seconds);
        life.cut(0.01);
      }
      // Three at once; then one in a spread of 300 s on average: 24, of which three in eight leave time for a second one
      // after 10 to 15 s; and five standard deviations.
      expect(life.sim.servers[0]!.opened.length).toBeLessThan(3 + 33 + 5 * 7);
    }
  });
});

describe('writes', () => {
  const month = 30 * 86_400;
  const inUse = (source: number, part: number) => [partOffset(source, part), partOffset(source, part) + 1] as const;

  it('of a reserve: once after a start, then daily, its keys only when they are new', { timeout: 120_000 }, () => {
    const life = new Life({ servers: 2, settings: { poll: { minSeconds: 3600, maxSeconds: 3600 } } });
    life.start();
    life.sim.run(60);
    for (const source of [0, 1]) {
      for (const part of [0, 1, 2]) expect(life.writes(...inUse(source, part))).toHaveLength(1);
    }
    life.sim.run(month);
    for (const source of [0, 1]) {
      const keys = life.writes(...inUse(source, 0));
      // Written, erased after four weeks, written anew.
      expect(keys.map(({ length }) => length)).toEqual([280, 20, 280]);
      for (const part of [1, 2]) {
        const writes = life.writes(...inUse(source, part));
        expect(writes.length).toBeGreaterThan(27);
        expect(writes.length).toBeLessThanOrEqual(31);
        for (const [index, { at }] of writes.entries()) {
          if (index > 0) expect(at - writes[index - 1]!.at).toBeGreaterThanOrEqual(86_400 * 0.9999);
        }
      }
    }
    const states = life.writes(StorageMap.StateA, StorageMap.Reserves);
    expect(states.length).toBeLessThanOrEqual(31);
    expect(life.writes(StorageMap.SeedA, StorageMap.StateA)).toHaveLength(2);
  });

  it('however often keys change: no page is written more often than twice a day', { timeout: 120_000 }, () => {
    const life = new Life({ settings: { poll: { minSeconds: 300, maxSeconds: 300 } } });
    const { onRequest } = life.sim.behaviour;
    let answered = 0;
    life.sim.behaviour.onRequest = (request, exchange) => {
      const answers = onRequest(request, exchange);
      return ++answered % 6 === 0 ? [request.server.kiss(request, 'NTSN')] : answers;
    };
    life.start();
    life.sim.run(5 * 86_400);
    expect(life.establishments).toBeGreaterThan(50);
    for (const part of [0, 1, 2]) expect(life.writes(...inUse(0, part)).length).toBeLessThanOrEqual(2 * 6);
  });

  it('wear no page out in 20 years', { timeout: 120_000 }, () => {
    const pageBytes = 32;
    const endurance = 1_000_000;
    const pages = (life: Life, since = 0) => {
      const worn = new Map<number, number>();
      for (const { offset, length } of life.writes(0, 1 << 16, since)) {
        for (let page = Math.floor(offset / pageBytes); page * pageBytes < offset + length; page++) {
          worn.set(page, (worn.get(page) ?? 0) + 1);
        }
      }
      return Math.max(...worn.values());
    };
    const days = 10;
    const life = new Life({ servers: 4, rtc: true, settings: { poll: { minSeconds: 3600, maxSeconds: 3600 } } });
    life.start();
    life.sim.run(days * 86_400);
    const daily = pages(life) / days;
    // Restarts alone, the reserve consumed and written each time.
    life.cut(60);
    const since = life.operations.length;
    const starts = 50;
    for (let start = 0; start < starts; start++) {
      life.start();
      life.settle(10);
      life.cut(1);
    }
    const eachStart = pages(life, since) / starts;
    const twentyYears = (startsEachDay: number) => Math.round(20 * 365.25 * (daily + startsEachDay * eachStart));
    console.log(
      `busiest page: ${daily.toFixed(2)} writes a day, ${eachStart.toFixed(2)} a start; in 20 years ${twentyYears(0)} without restarts, ${twentyYears(1)} with one a day, ${twentyYears(24)} with one an hour`,
    );
    expect(twentyYears(0)).toBeLessThan(endurance / 50);
    expect(twentyYears(1)).toBeLessThan(endurance / 20);
    expect(twentyYears(24)).toBeLessThan(endurance / 2);
  });
});
