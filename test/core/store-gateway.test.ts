// What of the rings goes to the gateway: nothing before it said what it has, then all in order; and what it asks for. What it
// says is not trusted.
import { beforeAll, describe, expect, it } from 'vitest';
import { CommandResult, LogField, MarkField, Message, MeterEvent, Ring, StorageMap } from '../../as/abi/codes.ts';
import { buildCore } from '../../scripts/build-core.mjs';
import { type SeededRandom, seededRandom } from './random.ts';
import { isHandedIn, StoreLab, storageOf } from './store-lab.ts';

let random: SeededRandom;
beforeAll(async () => {
  await buildCore();
  random = seededRandom('records to the gateway');
});

const newest = (lab: StoreLab, ring = Ring.Records) => lab.core.testStoreNewest(ring);
const upTo = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

function withRecords(count: number): StoreLab {
  const lab = new StoreLab();
  lab.start();
  lab.fill(count);
  lab.sim.run(5);
  return lab;
}

function ask(lab: StoreLab, ring: number, from: number, count: number, token = 77): void {
  const message = Buffer.alloc(10);
  message[0] = Message.EntriesAsk;
  message[1] = ring;
  message.writeUInt16LE(token, 2);
  message.writeUInt32LE(from, 4);
  message.writeUInt16LE(count, 8);
  lab.sim.meter.deliver(3, message);
}

function release(lab: StoreLab, sequence: number, ring = Ring.Logbook, token = 88): void {
  const message = Buffer.alloc(8);
  message[0] = Message.Release;
  message[1] = ring;
  message.writeUInt16LE(token, 2);
  message.writeUInt32LE(sequence, 4);
  lab.sim.meter.deliver(3, message);
}

describe('records', () => {
  it('wait until the gateway has said what it has', () => {
    const lab = withRecords(5);
    lab.sim.run(60);
    expect(lab.records.size).toBe(0);
    lab.acknowledge(0, 0);
    lab.sim.run(5);
    expect([...lab.records.keys()]).toEqual(upTo(1, newest(lab)));
    // Each as the storage has it.
    for (const { sequence, bytes } of lab.entries(Ring.Records))
      expect(lab.records.get(sequence)!.equals(bytes)).toBe(true);
  });

  it('begin behind what the gateway has, and go on as they are made', () => {
    const lab = withRecords(5);
    lab.acknowledge(7, 3);
    lab.sim.run(5);
    expect([...lab.records.keys()]).toEqual(upTo(8, newest(lab)));
    lab.fill(4, 50);
    lab.sim.run(5);
    expect([...lab.records.keys()]).toEqual(upTo(8, newest(lab)));
  });

  it('go again to a gateway that has lost them, from the first that the broker does not have', () => {
    const lab = withRecords(8);
    lab.acknowledge(10, 6);
    lab.sim.run(5);
    lab.restart();
    lab.records.clear();
    lab.sim.run(5);
    expect(lab.records.size).toBe(0);
    lab.acknowledge(0, 6);
    lab.sim.run(5);
    expect([...lab.records.keys()]).toEqual(upTo(7, newest(lab)));
  });

  it('what comes beyond the newest counts for nothing, and what was delivered stays so', () => {
    const lab = withRecords(8);
    const last = newest(lab);
    lab.acknowledge(last + 1, last + 1);
    expect(lab.core.testStoreOldest()).toBe(1);
    lab.acknowledge(0xffff_ffff, 0xffff_ffff);
    expect(lab.core.testStoreOldest()).toBe(1);
    lab.sim.run(5);
    expect([...lab.records.keys()]).toEqual(upTo(1, last));
    lab.acknowledge(last, 9);
    expect(lab.core.testStoreOldest()).toBe(10);
    lab.acknowledge(3, 3);
    expect(lab.core.testStoreOldest()).toBe(10);
    lab.acknowledge(last, last);
    expect(lab.core.testStoreOldest()).toBe(last + 1);
    // Too short to be one.
    lab.sim.meter.deliver(3, Uint8Array.of(Message.RecordAck, 0, 0, 0, 1, 0, 0, 0));
    expect(lab.core.testStoreOldest()).toBe(last + 1);
  });

  it('one that the storage misreads once goes all the same; one that does not hold is left out and told', () => {
    const lab = withRecords(8);
    const read = lab.sim.storage.read.bind(lab.sim.storage);
    const misread = new Set([lab.offset(Ring.Records, 4)]);
    lab.sim.storage.read = (offset, length) => {
      const bytes = read(offset, length);
      if (misread.delete(offset)) bytes[77]! ^= 4;
      return bytes;
    };
    lab.storage[lab.offset(Ring.Records, 9) + 33]! ^= 1;
    lab.acknowledge(0, 0);
    lab.sim.run(5);
    expect([...lab.records.keys()]).toEqual(upTo(1, newest(lab)).filter((sequence) => sequence !== 9));
    const told = lab.sim.events.filter(({ code }) => code === MeterEvent.Tampered);
    expect(told.map(({ b }) => b)).toEqual([9n]);
  });

  it('any run of acknowledgements, restarts and records loses none and doubles none', () => {
    const lab = new StoreLab({ storageBytes: storageOf(100) });
    lab.start();
    let made = 0;
    let stored = 0;
    for (let turn = 0; turn < 300; turn++) {
      const what = random.below(10);
      if (what < 5 && lab.record(made + 1)) made++;
      else if (what < 8) {
        // A gateway stores what came in order, and the broker some of that.
        while (lab.records.has(stored + 1)) stored++;
        lab.acknowledge(stored, random.below(stored + 1));
      } else if (what === 8) {
        lab.sim.run(3);
      } else {
        // What waits in memory is stored, unless there is no room.
        lab.sim.run(20);
        if (lab.core.testStoreFull() === 0) lab.restart();
      }
      lab.sim.run(0.5);
    }
    lab.acknowledge(stored, 0);
    lab.sim.run(20);
    lab.acknowledge(newest(lab), newest(lab));
    lab.sim.run(20);
    expect([...lab.records.keys()].sort((a, b) => a - b)).toEqual(upTo(1, newest(lab)));
    const entries = [...lab.records].map(([sequence, bytes]) => ({ sequence, bytes, format: bytes[0]! }));
    expect(lab.problems(entries.sort((a, b) => a.sequence - b.sequence))).toEqual([]);
    const values = entries.filter(isHandedIn).map(({ bytes }) => bytes.readUInt32LE(64));
    expect(values).toEqual(upTo(1, made));
  });
});

describe('entries that are asked for', () => {
  it('come with the token, in order, and then that it is done', () => {
    const lab = withRecords(10);
    ask(lab, Ring.Records, 4, 6);
    lab.sim.run(5);
    expect(lab.asked.map(({ sequence, token }) => [sequence, token])).toEqual(upTo(4, 9).map((at) => [at, 77]));
    expect(lab.done).toEqual([{ type: Message.Done, result: CommandResult.Done, token: 77, detail: 6 }]);
    // None of them goes unasked.
    expect(lab.records.size).toBe(0);
  });

  it('of the logbook', () => {
    const lab = withRecords(1);
    for (let i = 0; i < 3; i++) lab.restart();
    lab.sim.run(5);
    ask(lab, Ring.Logbook, 1, 100);
    lab.sim.run(5);
    expect(lab.asked.map(({ bytes }) => bytes.readUInt16LE(LogField.Code))).toEqual(lab.logged(Ring.Logbook));
    expect(lab.asked.length).toBeGreaterThanOrEqual(4);
  });

  it('beyond what there is are none; nonsense is refused; one at a time', () => {
    const lab = withRecords(3);
    const results = (what: () => void) => {
      lab.done.length = 0;
      what();
      lab.sim.run(5);
      return lab.done.map(({ result, token, detail }) => [result, token, detail]);
    };
    const last = newest(lab);
    expect(results(() => ask(lab, Ring.Records, last + 1, 9))).toEqual([[CommandResult.Done, 77, 0]]);
    expect(results(() => ask(lab, Ring.Records, 0xffff_ffff, 0xffff))).toEqual([[CommandResult.Done, 77, 0]]);
    expect(results(() => ask(lab, Ring.Records, 0, 0))).toEqual([[CommandResult.Done, 77, 0]]);
    expect(results(() => ask(lab, 3, 1, 1))).toEqual([[CommandResult.Request, 77, 0]]);
    expect(results(() => ask(lab, Ring.Records, 1, 1, 0))).toEqual([]);
    expect(results(() => release(lab, 1, Ring.Logbook, 0))).toEqual([]);
    expect(results(() => release(lab, 1, Ring.Records))).toEqual([
      [CommandResult.Request, 88, newest(lab, Ring.Logbook)],
    ]);
    expect(results(() => release(lab, 9999))).toEqual([[CommandResult.Request, 88, newest(lab, Ring.Logbook)]]);
    lab.asked.length = 0;
    // A slow storage: the second comes while the first is under way.
    const waiting: (() => void)[] = [];
    const { storage } = lab.sim;
    const read = storage.read.bind(storage);
    storage.read = ((offset: number, length: number) =>
      new Promise<Uint8Array>((resolve) => waiting.push(() => resolve(read(offset, length))))) as never;
    ask(lab, Ring.Records, 1, 5);
    expect(results(() => ask(lab, Ring.Records, 1, 5))).toEqual([]);
    expect(results(() => ask(lab, Ring.Records, 1, 5, 78))).toEqual([[CommandResult.Busy, 78, 0]]);
  });

  it('that are overwritten before they are read are left out, and nothing is told of them', async () => {
    const lab = withRecords(3);
    for (let i = 0; i < 20; i++) {
      lab.fill(4, 100 + 4 * i);
      lab.sim.run(1);
      lab.acknowledgeAll();
    }
    lab.sim.run(100);
    const { storage } = lab.sim;
    const read = storage.read.bind(storage);
    const waiting: (() => void)[] = [];
    storage.read = ((offset: number, length: number) =>
      new Promise<Uint8Array>((resolve) => waiting.push(() => resolve(read(offset, length))))) as never;
    const oldest = newest(lab) - lab.slots(Ring.Records) + 1;
    expect(oldest).toBeGreaterThan(1);
    ask(lab, Ring.Records, oldest, 6);
    lab.sim.run(1);
    // Records that come while the first is read are stored before the second is.
    let made = 0;
    while (lab.record(900 + made)) made++;
    expect(made).toBeGreaterThanOrEqual(2);
    while (waiting.length > 0) {
      waiting.shift()!();
      await new Promise((resolve) => setImmediate(resolve));
      lab.sim.run(0.1);
    }
    lab.sim.run(1);
    expect(lab.asked.map(({ sequence }) => sequence)).toEqual([oldest, ...upTo(oldest + made, oldest + 5)]);
    expect(lab.done.at(-1)).toMatchObject({ result: CommandResult.Done, detail: 6 - made + 1 });
    expect(lab.sim.eventCodes()).not.toContain(MeterEvent.Tampered);
  });

  it('in a meter without room for records: that there are none', () => {
    const lab = new StoreLab({ storageBytes: storageOf(0) });
    lab.sim.meter.start();
    lab.sim.run(5);
    ask(lab, Ring.Logbook, 1, 5);
    lab.sim.run(1);
    expect(lab.done.map(({ result, token }) => [result, token])).toEqual([[CommandResult.Absent, 77]]);
  });
});

describe('the logbook', () => {
  /** Restarts until the logbook holds so many entries. */
  function startedUntil(lab: StoreLab, entries: number): void {
    lab.sim.acknowledge = true;
    while (newest(lab, Ring.Logbook) < entries) {
      lab.restart();
      lab.sim.run(0.2);
    }
  }

  it('is never overwritten: full, it says so once, and goes on when an operator has released it', () => {
    const lab = new StoreLab();
    lab.start();
    startedUntil(lab, 254);
    expect(lab.core.testLogFull()).toBe(0);
    for (let i = 0; i < 5; i++) {
      lab.restart();
      lab.sim.run(0.5);
    }
    expect(lab.core.testLogFull()).toBe(1);
    const before = lab.entries(Ring.Logbook);
    expect(before.map(({ sequence }) => sequence)).toEqual(upTo(1, 256));
    expect(lab.logged(Ring.Logbook).filter((code) => code === MeterEvent.LogbookFull)).toHaveLength(1);
    expect(lab.logged(Ring.Logbook).at(-1)).toBe(MeterEvent.LogbookFull);
    // What does not fit is in the network's ring.
    expect(lab.logged(Ring.Network).filter((code) => code === MeterEvent.Started)).toHaveLength(4);
    expect(lab.entries(Ring.Logbook)).toEqual(before);
    release(lab, 200);
    lab.sim.run(1);
    expect(lab.done).toEqual([{ type: Message.Done, result: CommandResult.Done, token: 88, detail: 256 }]);
    expect(lab.core.testLogFull()).toBe(0);
    const [released] = lab.log(Ring.Logbook).slice(-1);
    expect(released).toMatchObject({ code: MeterEvent.LogbookReleased, a: 200n });
    lab.verify();
    // A release of less than before is none.
    release(lab, 100);
    lab.sim.run(1);
    expect(lab.done.at(-1)).toMatchObject({ result: CommandResult.Request });
    lab.restart();
    expect(lab.core.testLogFull()).toBe(0);
    lab.verify();
  });

  /** What the meter says of releases: answers, and events. */
  const releases = (lab: StoreLab) => ({
    answers: lab.done.map(({ result, token }) => [result, token]),
    events: lab.log(Ring.Logbook).filter(({ code }) => code === MeterEvent.LogbookReleased),
  });
  const isMark = (offset: number) => offset === StorageMap.MarkA || offset === StorageMap.MarkB;

  it('a release that comes while the mark is written counts when a mark that has it is stored', async () => {
    const lab = withRecords(3);
    const { storage } = lab.sim;
    const write = storage.write.bind(storage);
    const waiting: (() => void)[] = [];
    storage.write = ((offset: number, bytes: Uint8Array) => {
      if (!isMark(offset)) return write(offset, bytes);
      return new Promise<void>((resolve) => waiting.push(() => resolve(write(offset, bytes))));
    }) as never;
    const goOn = async () => {
      waiting.shift()!();
      await new Promise((resolve) => setImmediate(resolve));
      lab.sim.run(1);
    };
    lab.acknowledge(3, 3);
    lab.sim.run(3700);
    expect(waiting).toHaveLength(1);
    release(lab, 1);
    lab.sim.run(1);
    await goOn();
    expect(releases(lab)).toEqual({ answers: [], events: [] });
    expect(lab.mark()!.readUInt32LE(MarkField.Released)).toBe(0);
    await goOn();
    expect(releases(lab)).toMatchObject({ answers: [[CommandResult.Done, 88]], events: [{ a: 1n }] });
    expect(lab.mark()!.readUInt32LE(MarkField.Released)).toBe(1);
    // Again, it is done already.
    release(lab, 1);
    lab.sim.run(1);
    expect(releases(lab)).toMatchObject({
      answers: [
        [CommandResult.Done, 88],
        [CommandResult.Done, 88],
      ],
      events: [{ a: 1n }],
    });
    expect(waiting).toEqual([]);
  });

  it('a release that the storage refuses is none, also later', () => {
    const lab = withRecords(3);
    const { storage } = lab.sim;
    const write = storage.write.bind(storage);
    let failing = true;
    storage.write = (offset, bytes) => {
      if (failing && isMark(offset)) throw new Error('worn out');
      return write(offset, bytes);
    };
    release(lab, 1);
    lab.sim.run(0.05);
    failing = false;
    lab.sim.run(3700);
    expect(releases(lab)).toEqual({ answers: [[CommandResult.Storage, 88]], events: [] });
    expect(lab.mark()!.readUInt32LE(MarkField.Released)).toBe(0);
    release(lab, 1);
    lab.sim.run(1);
    expect(releases(lab)).toMatchObject({
      answers: [
        [CommandResult.Storage, 88],
        [CommandResult.Done, 88],
      ],
      events: [{ a: 1n }],
    });
  });

  it('events stay in memory until they are logged, whatever the gateway has acknowledged', () => {
    const lab = new StoreLab();
    lab.start();
    lab.sim.run(1);
    const before = newest(lab, Ring.Logbook);
    // The storage refuses for a while.
    const { storage } = lab.sim;
    const write = storage.write.bind(storage);
    let failing = true;
    storage.write = (offset, bytes) => {
      if (failing) throw new Error('worn out');
      return write(offset, bytes);
    };
    lab.sim.meter.powerCut();
    lab.sim.meter.start();
    lab.sim.run(60);
    const events = lab.sim.events.length;
    expect(lab.sim.eventCodes()).toContain(MeterEvent.StorageFailed);
    expect(newest(lab, Ring.Logbook)).toBeLessThanOrEqual(before);
    failing = false;
    lab.sim.run(4000);
    expect(lab.logged(Ring.Logbook).filter((code) => code === MeterEvent.Started)).toHaveLength(2);
    expect(lab.logged(Ring.Logbook)).toContain(MeterEvent.StorageFailed);
    // Not told twice.
    expect(lab.sim.events.slice(events).filter(({ code }) => code === MeterEvent.Started)).toEqual([]);
  });

  it('holds up neither records nor marks and heads where one of its places fails, however long', () => {
    const lab = new StoreLab();
    lab.start();
    lab.sim.run(60);
    const { storage } = lab.sim;
    const write = storage.write.bind(storage);
    const bad = lab.offset(Ring.Logbook, newest(lab, Ring.Logbook) + 1);
    let failing = true;
    storage.write = (offset, bytes) => {
      if (failing && offset === bad) throw new Error('worn out');
      return write(offset, bytes);
    };
    lab.restart();
    lab.sim.run(5);
    const tries = () => lab.sim.eventCodes().filter((code) => code === MeterEvent.StorageFailed);
    expect(tries()).toHaveLength(1);
    const heads = lab.heads.length;
    const count = lab.mark()!.readUInt32LE(MarkField.Count);
    for (let hours = 1; hours <= 6; hours++) {
      for (let i = 0; i < 4; i++) {
        lab.record(10 * hours + i);
        lab.sim.run(900);
      }
    }
    expect(lab.values()).toHaveLength(24);
    lab.acknowledgeAll();
    lab.sim.run(3700);
    expect(lab.mark()!.readUInt32LE(MarkField.Count)).toBeGreaterThan(count);
    expect(lab.mark()!.readUInt32LE(MarkField.Delivered)).toBe(newest(lab));
    lab.core.testHeadRequest();
    lab.sim.meter.time();
    lab.sim.run(60);
    expect(lab.heads.length).toBeGreaterThan(heads);
    // Told once, while nothing else fails.
    expect(tries()).toHaveLength(1);
    const before = newest(lab, Ring.Logbook);
    failing = false;
    lab.sim.run(3700);
    expect(lab.logged(Ring.Logbook).slice(before)).toEqual([MeterEvent.Started, MeterEvent.StorageFailed]);
    lab.verify();
  });

  it('counts an event once for its share of the logbook, however often it is tried', () => {
    const lab = withRecords(3);
    lab.sim.run(600);
    const { storage } = lab.sim;
    const write = storage.write.bind(storage);
    let failing = true;
    storage.write = (offset, bytes) => {
      if (failing) throw new Error('worn out');
      return write(offset, bytes);
    };
    const before = newest(lab, Ring.Logbook);
    release(lab, 1);
    lab.sim.run(60);
    failing = false;
    lab.sim.run(4000);
    const entries = lab.log(Ring.Logbook).slice(before);
    expect(entries.map(({ code }) => code)).toEqual([MeterEvent.StorageFailed, MeterEvent.StorageFailed]);
    expect(entries.map(({ leftOut }) => leftOut)).toEqual([0, 0]);
  });

  it('gets what happens also while no gateway acknowledges anything', () => {
    const lab = new StoreLab({ settings: { poll: { minSeconds: 4096, maxSeconds: 36_000 }, reportSeconds: 36_000 } });
    lab.sim.acknowledge = false;
    lab.sim.meter.start();
    lab.sim.runUntilSynchronised();
    // More than there are places in memory.
    for (let i = 0; i < 30; i++) {
      lab.sim.meter.transaction(true);
      lab.sim.run(86_600);
    }
    const overdue = lab.logged(Ring.Logbook).filter((code) => code === MeterEvent.TransactionOverdue);
    expect(overdue).toHaveLength(30);
  }, 60_000);
});
