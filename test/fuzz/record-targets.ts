// Meters with records and tariffs: a storage whose bytes are changed before a start, blocks true and damaged, questions,
// acknowledgements and transactions in any order, parts of the storage that fail, power that is cut.
//
// What is checked beside what every core is: an entry is written with a seal that holds, into its slot, and its sequence is used
// once; no record is overwritten that no gateway has acknowledged; each command gets one answer at most; and where nothing
// fails any more, the meter is quiet and records a transaction.
import {
  Block,
  ChainField,
  Channel,
  Event,
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
  /** For each ring the newest entry that is in the storage for good, as far as nothing was changed; the newest that is written. */
  #newest = new Map<Ring, number>();
  #delivered = 0;

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
    this.world.device.tear = (_, offset, bytes) => this.#written(offset, bytes);
  }

  fail(message: string): never {
    throw new Violation(message, this.world.device.core?.happened, this.world.line === undefined);
  }

  slots(ring: Ring): number {
    if (ring === Ring.Logbook) return StorageMap.LogbookSlots;
    if (ring === Ring.Network) return StorageMap.NetworkLogSlots;
    return Math.floor((this.world.device.storage.length - StorageMap.Records) / entryBytes);
  }

  #holds(ring: Ring, entry: Uint8Array): boolean {
    const seal = cmac(this.recordKey, Buffer.concat([Buffer.of(ring), entry.subarray(0, ChainField.Seal)]));
    return seal.equals(entry.subarray(ChainField.Seal));
  }

  // An entry that is being written; where the power is cut in the middle.
  #written(offset: number, bytes: Uint8Array): number | undefined {
    if (offset >= StorageMap.Logbook) this.#checkEntry(ringAt(offset), offset, bytes);
    return !this.calm && this.random.chance(this.#tearing) ? this.random.between(0, bytes.length) : undefined;
  }
  readonly #tearing = 0.002;

  #checkEntry(ring: Ring, offset: number, bytes: Uint8Array): void {
    const sequence = new DataView(bytes.buffer, bytes.byteOffset).getUint32(ChainField.Sequence, true);
    const slot = (offset - baseOf[ring]) / entryBytes;
    const what = `sequence ${sequence} of ring ${ring} into slot ${slot}`;
    if (bytes.length !== entryBytes || sequence % this.slots(ring) !== slot) this.fail(what);
    if (!this.#holds(ring, bytes)) this.fail(`${what}: its seal does not hold`);
    const newest = this.#newest.get(ring) ?? 0;
    if (sequence <= newest) this.fail(`${what}, where ${newest} is already`);
    if (ring === Ring.Records && sequence - this.slots(ring) > this.#delivered) {
      this.fail(`${what}, where of the record before it nobody has said that it was delivered`);
    }
  }

  /** What the storage holds is changed, or may be read or written wrongly: sequences may come again. */
  forget(): void {
    this.#newest.clear();
  }

  /** The meter's own view of its rings. */
  #note(ring: Ring, sequence: number): void {
    this.#newest.set(ring, Math.max(this.#newest.get(ring) ?? 0, sequence));
  }

  #take(message: MeterMessage): void {
    if (message.type === Message.Done) {
      const { token } = message;
      if (token < strangeTokens && (token > this.#token || this.answered.has(token)))
        this.fail(`command ${token} is answered twice, or was never given`);
      this.answered.add(token);
    }
    if (message.type !== Message.Entry) return;
    if (!this.#holds(message.ring, message.entry)) this.fail('an entry was sent whose seal does not hold');
    this.#note(
      message.ring,
      new DataView(message.entry.buffer, message.entry.byteOffset).getUint32(ChainField.Sequence, true),
    );
    if (message.ring === Ring.Records) this.records.push(message.entry);
  }

  token(): number {
    this.#token += 1;
    return this.#token;
  }

  acknowledge(stored: number, delivered: number): void {
    // What the meter takes for nonsense counts all the same here: then less is checked, never more.
    this.#delivered = Math.max(this.#delivered, delivered);
    this.world.sockets.tell({ type: Message.RecordAck, stored: Math.max(stored, delivered), delivered });
  }

  get newestRecord(): number {
    return this.#newest.get(Ring.Records) ?? 0;
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
          this.#delivered = Math.max(this.#delivered, new DataView(message.buffer).getUint32(8, true));
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
    this.forget();
    device.read = (_, bytes) => bytes;
    device.fail = () => false;
    device.writeNs = 5_000_000n;
    world.powerCut();
    world.run(1);
    world.boot();
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
      life.forget();
      return mutate(random, bytes, bytes.length);
    };
    device.fail = (offset) => offset >= StorageMap.HeadA && random.chance(failing);
    if (random.chance(0.5)) life.damage();
    world.boot();
    if (random.chance(0.3)) life.fill();
    for (let step = 0; step < 60; step++) {
      world.run(random.exponential(random.pick([0.01, 1, 30])));
      if (!device.running) world.boot();
      for (let more = random.size(4); more > 0; more--) life.say();
      if (random.chance(0.05)) {
        world.powerCut();
        if (random.chance(0.3)) life.damage();
        world.boot();
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
