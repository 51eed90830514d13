// Meters with records and tariffs: a storage whose bytes are changed before a start, blocks true and damaged, questions,
// acknowledgements and transactions in any order, parts of the storage that fail, power that is cut.
//
// What is checked beside what every core is: an entry is written with a seal that holds, into its slot, as the one behind the
// newest in the storage; none is overwritten that is not delivered or released by the mark in the storage, which stays until
// the next one is there, never goes back, and names nothing that no gateway has acknowledged; what is sent is what the storage
// holds, and unasked only what was not delivered, in order; each command gets one answer at most; and where nothing fails any
// more, the meter is quiet and records a transaction.
import {
  Block,
  ChainField,
  Channel,
  Event,
  MarkField,
  Message,
  ReadingsField,
  RecordField,
  RecordReason,
  Ring,
  StorageMap,
} from '../../as/abi/codes.ts';
import type { MeterMessage } from '../../host/link/messages.ts';
import { blockPartBytes } from '../../host/link/record-messages.ts';
import { encodeDynamic } from '../../host/tariff/dynamic-block.ts';
import { encodeProgram } from '../../host/tariff/program-block.ts';
import { crc32 } from '../core/link-wire.ts';
import { cmac, deriveKey } from '../core/openssl-reference.ts';
import { calibrationItem, registerItem, rulesItem } from '../core/tariff-settings.ts';
import { type CheckedModules, Violation } from './checked-core.ts';
import { mutate } from './mutate.ts';
import type { Prng } from './prng.ts';
import type { Target } from './targets.ts';
import { World } from './world.ts';

const entryBytes = StorageMap.EntryBytes;
const rings: readonly Ring[] = [Ring.Records, Ring.Logbook, Ring.Network];
const baseOf = {
  [Ring.Records]: StorageMap.Records,
  [Ring.Logbook]: StorageMap.Logbook,
  [Ring.Network]: StorageMap.NetworkLog,
};
/** In front of a mark where an entry has its ring. */
const markLabel = 255;
/** Tokens from here on are of nobody. */
const strangeTokens = 0xf000;
const isoOf = (world: World, seconds: number) =>
  new Date(Number(world.utcNs / 1_000_000_000n) * 1000 + seconds * 1000).toISOString().replace(/\.\d+/, '');

/** What the application's registers give: mostly what was asked for. */
function drawReadings(random: Prng): () => Uint8Array | undefined {
  const [silent, wrong] = [random.pick([0, 0.1, 0.9]), random.pick([0, 0.1])];
  return () => {
    if (random.chance(silent)) return undefined;
    const count = random.below(5);
    const payload = random.bytes(ReadingsField.Values + 8 * count);
    payload[ReadingsField.Count] = count;
    return random.chance(wrong) ? mutate(random, payload, 100) : payload;
  };
}

class RecordWorld {
  readonly world: World;
  readonly recordKey: Buffer;
  /** Records that came over an undamaged way. */
  readonly records: Uint8Array[] = [];
  readonly answered = new Set<number>();
  inputs = 0;
  /** Nothing that the meter is given is wrong. */
  calm = false;
  #token = 0;
  /** The entry that was written last, or is being written. */
  #written: { ring: Ring; sequence: number; offset: number; bytes: Uint8Array } | undefined;
  /** Entries that are in the storage, or have been: hexadecimal. */
  readonly #stored = new Set<string>();
  /** For each ring the newest entry in the storage; without it, where the storage was changed since, or misread. */
  readonly #newest = new Map<Ring, number>(rings.map((ring) => [ring, 0]));
  /** Nothing of the storage was ever changed or misread. */
  #whole = true;
  /** The meter may have misread the storage since its start. */
  #misled = false;
  /** Whatever a gateway said was delivered. */
  readonly #acknowledged = new Set([0]);
  /** The newest record that came. */
  newestRecord = 0;
  /** The record that came last unasked in this session of the link, and before that what was delivered at the start. */
  #unasked = 0;
  #deliveredAtStart = 0;

  constructor(
    readonly random: Prng,
    modules: CheckedModules,
  ) {
    const register = () => registerItem();
    const limit = () => random.pick([0, 1, 50, 9000]);
    this.world = new World({
      seed: random.u32(),
      modules,
      ...(random.chance(0.5) ? { baud: random.pick([9600, 115_200]) } : {}),
      storageBytes: StorageMap.Records + random.between(64, 130) * entryBytes + random.pick([0, 0, random.below(128)]),
      readings: drawReadings(random.fork()),
      items: [
        rulesItem({
          periodMinutes: random.pick([0, 1, 1, 5, 60]),
          doubt: random.below(3),
          logFull: random.below(2),
          uncertaintyMaxMs: limit(),
          boundMaxMs: limit(),
        }),
        ...(random.chance(0.7) ? [calibrationItem({ at: 1, until: 2n ** 40n })] : []),
        ...Array.from({ length: random.below(5) }, register),
      ],
      check: { twin: true, record: true },
      eventsPerSecond: Number.POSITIVE_INFINITY,
    });
    this.recordKey = deriveKey(this.world.rootKey, Buffer.from('record'), Buffer.from('sim-1'), 16);
    this.world.onRecords = (message) => this.#take(message);
    const { device, line, sockets } = this.world;
    device.tear = (_, offset, bytes) => this.#write(offset, bytes);
    if (line === undefined) return;
    line.onReset = () => {
      this.#unasked = this.#deliveredAtStart;
      sockets.reset();
    };
  }

  boot(): void {
    this.#look();
    this.#written = undefined;
    this.#misled = false;
    this.#deliveredAtStart = this.#mark().delivered;
    // Over a line, what was on its way comes first, and then the new session.
    if (this.world.line === undefined) this.#unasked = this.#deliveredAtStart;
    this.world.boot();
  }

  fail(message: string): never {
    throw new Violation(message, this.world.device.core?.happened, this.world.line === undefined);
  }

  slots(ring: Ring): number {
    if (ring === Ring.Logbook) return StorageMap.LogbookSlots;
    if (ring === Ring.Network) return StorageMap.NetworkLogSlots;
    return Math.floor((this.world.device.storage.length - StorageMap.Records) / entryBytes);
  }

  #holds(label: number, entry: Uint8Array): boolean {
    const seal = cmac(this.recordKey, Buffer.concat([Buffer.of(label), entry.subarray(0, ChainField.Seal)]));
    return seal.equals(entry.subarray(ChainField.Seal));
  }

  /** The mark in force, as the storage holds it. */
  #mark(): { at?: number; count: number; delivered: number; released: number } {
    const { storage } = this.world.device;
    const [a, b] = [StorageMap.MarkA, StorageMap.MarkB].flatMap((at) => {
      const slot = storage.subarray(at, at + StorageMap.MarkBytes);
      return this.#holds(markLabel, slot) ? [{ at, ...markOf(slot) }] : [];
    });
    if (a === undefined) return { count: 0, delivered: 0, released: 0 };
    return b !== undefined && b.count > a.count ? b : a;
  }

  // Something is being written; where the power is cut in the middle.
  #write(offset: number, bytes: Uint8Array): number | undefined {
    this.#look();
    this.#written = undefined;
    if (offset >= StorageMap.Logbook) this.#checkEntry(ringAt(offset), offset, bytes);
    else if (offset === StorageMap.MarkA || offset === StorageMap.MarkB) this.#checkMark(offset, bytes);
    return !this.calm && this.random.chance(this.#tearing) ? this.random.between(0, bytes.length) : undefined;
  }
  readonly #tearing = 0.002;

  // Whether the entry that was written last is in the storage: its write may have failed.
  #look(): void {
    if (this.#written === undefined) return;
    const { ring, sequence, offset, bytes } = this.#written;
    if (!isSame(this.world.device.storage.subarray(offset, offset + entryBytes), bytes)) return;
    this.#stored.add(hexOf(bytes));
    if (!this.#misled) this.#newest.set(ring, sequence);
  }

  #checkEntry(ring: Ring, offset: number, bytes: Uint8Array): void {
    const sequence = u32(bytes, ChainField.Sequence);
    const slot = (offset - baseOf[ring]) / entryBytes;
    const what = `sequence ${sequence} of ring ${ring} into slot ${slot}`;
    if (bytes.length !== entryBytes || sequence % this.slots(ring) !== slot) this.fail(what);
    if (!this.#holds(ring, bytes)) this.fail(`${what}: its seal does not hold`);
    const newest = this.#newest.get(ring);
    if (newest !== undefined && (this.#whole ? sequence !== newest + 1 : sequence <= newest)) {
      this.fail(`${what}, where ${newest} is the newest`);
    }
    this.#written = { ring, sequence, offset, bytes };
    if (this.#misled || ring === Ring.Network) return;
    const { delivered, released } = this.#mark();
    if (sequence - this.slots(ring) > (ring === Ring.Records ? delivered : released)) {
      this.fail(`${what}, where the entry before it is to be kept`);
    }
  }

  #checkMark(offset: number, bytes: Uint8Array): void {
    if (!this.#holds(markLabel, bytes)) this.fail('a mark whose seal does not hold');
    const [next, before] = [markOf(bytes), this.#mark()];
    const what = `delivered ${next.delivered}, released ${next.released} is marked`;
    if (!this.#acknowledged.has(next.delivered)) this.fail(`${what}, which nobody has said`);
    if (this.#misled) return;
    if (offset === before.at) this.fail(`${what}, in the place of the mark in force`);
    if (next.delivered > (this.#newest.get(Ring.Records) ?? next.delivered)) this.fail(`${what}, beyond the newest`);
    if (next.count <= before.count || next.delivered < before.delivered || next.released < before.released) {
      this.fail(`${what}, where delivered ${before.delivered}, released ${before.released} was marked before`);
    }
  }

  /** What the storage holds was changed, or read wrongly: sequences may come again. */
  forget(): void {
    this.#look();
    this.#written = undefined;
    this.#newest.clear();
    this.newestRecord = 0;
    this.#whole = false;
  }

  /** The meter was given other bytes than the storage holds. */
  mislead(): void {
    this.forget();
    this.#misled = true;
  }

  #take(message: MeterMessage): void {
    if (message.type === Message.Done) {
      const { token } = message;
      if (token < strangeTokens && (token > this.#token || this.answered.has(token)))
        this.fail(`command ${token} is answered twice, or was never given`);
      this.answered.add(token);
    }
    if (message.type !== Message.Entry) return;
    const { ring, token, entry } = message;
    this.#look();
    if (!this.#holds(ring, entry)) this.fail('an entry was sent whose seal does not hold');
    if (!this.#stored.has(hexOf(entry))) this.fail('an entry was sent that was never in the storage');
    if (ring !== Ring.Records) return;
    const sequence = u32(entry, ChainField.Sequence);
    this.records.push(entry);
    this.newestRecord = Math.max(this.newestRecord, sequence);
    if (token !== 0) return;
    if (sequence <= this.#unasked && !this.#misled) {
      this.fail(`record ${sequence} was sent unasked, behind ${this.#unasked}, or delivered at the start`);
    }
    this.#unasked = sequence;
  }

  token(): number {
    this.#token += 1;
    return this.#token;
  }

  acknowledge(stored: number, delivered: number): void {
    this.#acknowledged.add(delivered);
    this.world.sockets.tell({ type: Message.RecordAck, stored: Math.max(stored, delivered), delivered });
  }

  /** A block as the gateway sends one: in parts, one a tenth of a second, and perhaps brought into force. */
  sendBlock(): void {
    const { random, world } = this;
    const block = random.pick([Block.Program, Block.Dynamic]);
    const whole = block === Block.Program ? this.#program() : this.#dynamic();
    let bytes = random.chance(0.4) ? mutate(random, whole, 2100) : whole;
    if (bytes !== whole && bytes.length > 4 && random.chance(0.7)) bytes = sealedAgain(bytes);
    const size = random.pick([blockPartBytes, blockPartBytes, 100, 13, random.between(1, blockPartBytes)]);
    for (let at = 0; at < bytes.length; at += size) {
      if (random.chance(0.02)) continue;
      const part = bytes.subarray(at, at + size);
      this.inputs++;
      world.sockets.tell({ type: Message.BlockWrite, block, token: this.token(), offset: at, part });
      world.run(random.chance(0.95) ? 0.1 : random.exponential(1));
    }
    const length = random.chance(0.95) ? bytes.length : random.below(3000);
    if (random.chance(0.9)) world.sockets.tell({ type: Message.BlockCommit, block, token: this.token(), length });
  }

  #program(): Uint8Array {
    const { random, world } = this;
    const later = random.pick([-100, 30, 300, 86_400]);
    const times = ['00:00', '06:00', '12:34', '22:00'];
    return encodeProgram(
      {
        name: `p${random.below(100)}`,
        zone: random.pick(['UTC0', 'CET-1CEST,M3.5.0,M10.5.0/3', '<+0545>-5:45']),
        defaultTariff: random.below(10),
        ...(random.chance(0.5) ? { activationUtc: isoOf(world, later) } : {}),
        seasons: [{ name: 'all', start: { month: 1, day: 1 }, week: 'all' }],
        weeks: [{ name: 'all', monday: 1, tuesday: 1, wednesday: 1, thursday: 1, friday: 1, saturday: 1, sunday: 1 }],
        days: [{ id: 1, actions: times.map((time) => ({ time, tariff: random.below(5) })) }],
      },
      random.u32(),
    );
  }

  #dynamic(): Uint8Array {
    const { random, world } = this;
    const entries = Array.from({ length: random.below(193) }, (_, i) => ({
      utc: isoOf(world, 60 * (i - 2)),
      tariff: random.below(100),
    }));
    return encodeDynamic({ entries, endUtc: isoOf(world, 60 * 200) }, random.u32());
  }

  /** One thing that a gateway, or whoever has its place, says. */
  say(): void {
    const { random, world } = this;
    this.inputs++;
    const newest = this.newestRecord;
    const near = () => (random.chance(0.9) ? Math.max(0, newest + random.between(-5, 2)) : random.u32());
    switch (random.below(7)) {
      case 0:
        this.acknowledge(near(), near());
        break;
      case 1:
        this.acknowledge(newest, newest);
        break;
      case 2: {
        const [ring, count] = [random.pick(rings), random.pick([0, 1, 10, 0xffff])];
        world.sockets.tell({ type: Message.EntriesAsk, ring, token: this.token(), from: near(), count });
        break;
      }
      case 3: {
        const sequence = random.pick([random.below(300), this.#newest.get(Ring.Logbook) ?? 0]);
        world.sockets.tell({
          type: Message.Release,
          ring: Ring.Logbook,
          token: this.token(),
          sequence,
        });
        break;
      }
      case 4: {
        const type = random.pick([
          Message.RecordAck,
          Message.EntriesAsk,
          Message.Release,
          Message.BlockWrite,
          Message.BlockCommit,
        ]);
        const message = random.bytes(1 + random.size(236));
        message[0] = type;
        if (message.length > 1 && random.chance(0.8)) message[1] = random.below(4);
        // A token that this gateway does not use itself.
        if (message.length > 3) message[3]! |= strangeTokens >> 8;
        if (type === Message.RecordAck && message.length >= 12) {
          this.#acknowledged.add(u32(message, 8));
        }
        world.sockets.send(Channel.Report, message);
        break;
      }
      case 5:
        world.device.feed(Event.Transaction, Uint8Array.of(random.below(2)));
        break;
      default:
        this.sendBlock();
    }
  }

  /** Transactions that nobody acknowledges, until the ring may be full. */
  fill(): void {
    for (let count = this.random.between(20, 80); count > 0; count--) {
      for (const begins of [1, 0]) {
        this.world.device.feed(Event.Transaction, Uint8Array.of(begins));
        this.world.run(2.5);
      }
    }
  }

  /** Changes what the storage holds of records and tariffs, while the meter is off. */
  damage(): void {
    const { random } = this;
    const { storage } = this.world.device;
    this.forget();
    for (let changes = random.size(40); changes > 0; changes--) {
      this.inputs++;
      const from = random.pick([
        StorageMap.HeadA,
        StorageMap.MarkA,
        StorageMap.DynamicA,
        StorageMap.ProgramA,
        StorageMap.Logbook,
        StorageMap.NetworkLog,
        StorageMap.Records,
      ]);
      const at = Math.min(from + random.size(storage.length - from), storage.length - 1);
      const end = Math.min(at + random.pick([1, 1, 128, random.size(8192)]), storage.length);
      switch (random.below(5)) {
        case 0:
          storage[at]! ^= 1 << random.below(8);
          break;
        case 1:
          storage.fill(random.pick([0, 0xff, 0x5a]), at, end);
          break;
        case 2:
          storage.set(random.bytes(end - at), at);
          break;
        case 3: {
          // Entries change places, or come again.
          const [one, other] = [slotAt(random, storage.length), slotAt(random, storage.length)];
          storage.copyWithin(one, other, other + entryBytes);
          break;
        }
        default: {
          const which = random.below(2);
          const block = random.chance(0.5) ? this.#program() : this.#dynamic();
          const [program, dynamic] = [
            StorageMap.ProgramA + which * StorageMap.ProgramSlotBytes,
            StorageMap.DynamicA + which * StorageMap.DynamicSlotBytes,
          ];
          const bytes = random.chance(0.5) ? block : sealedAgain(mutate(random, block, 1500));
          storage.set(bytes.subarray(0, StorageMap.DynamicSlotBytes), random.chance(0.5) ? program : dynamic);
        }
      }
    }
  }

  /** Nothing fails any more: the meter is quiet, and records a transaction. @throws Violation */
  settle(): void {
    const { world } = this;
    const { device } = world;
    this.calm = true;
    device.read = (_, bytes) => bytes;
    device.fail = () => false;
    device.writeNs = 5_000_000n;
    world.powerCut();
    world.run(1);
    this.boot();
    world.runUntilSynchronised(300);
    world.run(300);
    const ends = () =>
      this.records.filter((entry) => ((entry[RecordField.Reasons] ?? 0) & RecordReason.TransactionEnd) !== 0);
    const before = ends().length;
    // An overdue transaction of before, and room for records.
    device.feed(Event.Transaction, Uint8Array.of(0));
    for (let turns = 0; turns < 20; turns++) {
      this.acknowledge(this.newestRecord, this.newestRecord);
      world.run(10);
    }
    device.feed(Event.Transaction, Uint8Array.of(1));
    world.run(5);
    device.feed(Event.Transaction, Uint8Array.of(0));
    const handled = device.handled;
    world.run(60);
    if (device.handled - handled > 6000)
      this.fail(`${device.handled - handled} events in a minute in which little happens`);
    if (ends().length <= before) this.fail('a transaction that ended, and no record of it within a minute');
  }
}

function u32(bytes: Uint8Array, at: number): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(at, true);
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

function markOf(bytes: Uint8Array): { count: number; delivered: number; released: number } {
  const [count, delivered, released] = [MarkField.Count, MarkField.Delivered, MarkField.Released].map((field) =>
    u32(bytes, field),
  ) as [number, number, number];
  return { count, delivered, released };
}

/** The ring whose entry is at an offset of the storage. */
function ringAt(offset: number): Ring {
  if (offset >= StorageMap.Records) return Ring.Records;
  return offset >= StorageMap.NetworkLog ? Ring.Network : Ring.Logbook;
}

function slotAt(random: Prng, storageBytes: number): number {
  const first = random.pick([StorageMap.Logbook, StorageMap.Records, StorageMap.Records]);
  return first + random.size(Math.floor((storageBytes - first) / entryBytes) - 1) * entryBytes;
}

/** A block whose length and CRC-32 are right again. */
function sealedAgain(bytes: Uint8Array): Uint8Array {
  const block = Buffer.from(bytes);
  if (block.length < 12) return block;
  block.writeUInt16LE(block.length, 4);
  block.writeUInt32LE(crc32(block.subarray(0, -4)), block.length - 4);
  return block;
}

const records: Target = {
  name: 'records',
  about:
    'meters with records and tariffs: blocks, questions and storages, true and damaged, while power and storage fail',
  round: (random, modules) => {
    const life = new RecordWorld(random, modules);
    const { world } = life;
    const { device } = world;
    const [misread, failing] = [random.pick([0, 0, 0.01]), random.pick([0, 0, 0.05])];
    device.read = (offset, bytes) => {
      if (offset < StorageMap.HeadA || !random.chance(misread)) return bytes;
      life.mislead();
      return mutate(random, bytes, bytes.length);
    };
    device.fail = (offset) => offset >= StorageMap.HeadA && random.chance(failing);
    if (random.chance(0.5)) life.damage();
    life.boot();
    if (random.chance(0.3)) life.fill();
    for (let step = 0; step < 60; step++) {
      world.run(random.exponential(random.pick([0.01, 1, 30])));
      if (!device.running) life.boot();
      for (let more = random.size(4); more > 0; more--) life.say();
      if (random.chance(0.05)) {
        world.powerCut();
        if (random.chance(0.3)) life.damage();
        life.boot();
      }
      if (world.line !== undefined && random.chance(0.02)) world.line.restart();
      world.probe();
    }
    life.settle();
    world.finish();
    return life.inputs;
  },
};

export const recordTargets: readonly Target[] = [records];
