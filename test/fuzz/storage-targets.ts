// What a meter is given at its start: the start itself, settings, seeds, state and the real-time clock, with a second
// reading of the settings and of the rules for the clock. And any event at all.
import { crc32 } from 'node:zlib';
import {
  Capability,
  Event,
  Message,
  MeterEvent,
  SettingsError,
  SettingsField,
  SettingsFormat,
  SettingsTag,
  StorageMap,
} from '../../as/abi/codes.ts';
import { encodeSeedSlot, encodeSettings } from '../../host/provision/settings-block.ts';
import { encodeTimeRules, timeProfileNames, timeProfiles } from '../../host/provision/time-rules.ts';
import { answerParts, readRequest, sealedAnswer } from '../core/nts-reference.ts';
import { CheckedCore, type CheckedModules } from './checked-core.ts';
import { DirectMeter, plainSettings, startPayload } from './direct-meter.ts';
import { joined, mutate } from './mutate.ts';
import { knownAeads, Servers, startUtcNs } from './nts-targets.ts';
import type { Prng } from './prng.ts';
import type { Target } from './targets.ts';

const second = 1_000_000_000n;

const known: readonly [SettingsTag, (random: Prng) => Uint8Array][] = [
  [
    SettingsTag.MeterId,
    (random) => Buffer.alloc(random.pick([0, 1, 5, 32, 33]), random.pick(['a', 'Z', '-', '_', '.', '7', ' ', 'é'])),
  ],
  [SettingsTag.RootKey, (random) => random.bytes(random.pick([16, 16, 16, 15, 17, 0]))],
  [SettingsTag.Server, (random) => joined([random.bytes(2), Buffer.alloc(random.pick([1, 8, 63, 64, 0]), 'h')])],
  [SettingsTag.TrustPolicy, (random) => random.bytes(random.pick([1, 1, 1, 0, 2]))],
  [SettingsTag.Poll, (random) => Uint8Array.of(random.below(20), 0, random.below(60), random.pick([0, 0, 140, 141]))],
  [SettingsTag.ReportSeconds, (random) => Uint8Array.of(random.below(3), random.below(2))],
  [
    SettingsTag.Aeads,
    (random) => Uint8Array.from({ length: random.below(6) }, () => random.pick([15, 16, 17, 30, 30, 14, 0])),
  ],
  [SettingsTag.KeyAgeHours, (random) => random.bytes(2).map((byte) => byte & random.pick([0, 0xff]))],
  [SettingsTag.Agreement, (random) => Uint8Array.of(random.below(7)).subarray(random.below(2) * random.below(2))],
  [SettingsTag.SpreadSeconds, (random) => random.bytes(random.pick([2, 2, 1, 3]))],
  [SettingsTag.Limits, (random) => joined([Uint8Array.of(random.below(18)), random.bytes(random.pick([4, 4, 3, 5]))])],
  [
    SettingsTag.Asymmetry,
    (random) => random.bytes(random.pick([1, 1, 0, 2])).map((byte) => byte & random.pick([0x7f, 0xff])),
  ],
  [SettingsTag.Profile, (random) => randomProfile(random).subarray(0, random.pick([24, 24, 24, 23, 0]))],
];

/** Rules for the clock, near the limits of what they may be. */
function randomProfile(random: Prng): Buffer {
  const value = Buffer.alloc(24);
  for (const at of [0, 4, 8, 12, 16]) {
    const near = random.pick([0, 50, 10_000, 20_000, 1_000_000, 0x7fff_ffff]);
    value.writeUInt32LE(Math.max(near + random.between(-1, 1), 0), at);
  }
  if (random.chance(0.5)) value.copyWithin(4, 0, 4);
  value.writeUInt16LE(random.below(65_536), 20);
  value.set([random.below(256), random.below(3)], 22);
  return value;
}

function randomItems(random: Prng): Uint8Array {
  const items = known
    .filter(() => random.chance(0.97))
    .map(([tag, make]) => {
      const value = random.chance(0.8) ? goodItem(tag, random) : make(random);
      return joined([Uint8Array.of(tag, value.length), value]);
    });
  while (random.chance(0.3)) {
    const [tag, make] = random.pick(known);
    const value = random.chance(0.5) ? make(random) : random.bytes(random.size(80));
    const other = random.chance(0.5) ? tag : random.u32() & 0xff;
    items.splice(random.below(items.length + 1), 0, joined([Uint8Array.of(other, value.length), value]));
  }
  const all = joined(items);
  if (random.chance(0.05)) return fullItems(all, random.between(497, 504));
  return random.chance(0.2) ? mutate(random, all, 500) : all.subarray(0, 500);
}

/** The same with an item that may be skipped behind them, up to so many bytes: the block has room for 500. */
function fullItems(items: Uint8Array, bytes: number): Uint8Array {
  const list = [items.subarray(0, bytes)];
  for (let left = bytes - items.length; left >= 2; ) {
    const size = left > 257 ? 200 : left;
    list.push(Uint8Array.of(0x80, size - 2), new Uint8Array(size - 2));
    left -= size;
  }
  return joined(list);
}

function goodItem(tag: SettingsTag, random: Prng): Uint8Array {
  switch (tag) {
    case SettingsTag.MeterId:
      return Buffer.from('meter-1');
    case SettingsTag.RootKey:
      return random.bytes(16);
    case SettingsTag.Server:
      return Buffer.from('\x6c\x11time.test');
    case SettingsTag.TrustPolicy:
      return Uint8Array.of(1);
    case SettingsTag.Poll:
      return Uint8Array.of(64, 0, 0, 4);
    case SettingsTag.Aeads:
      return Uint8Array.from(random.pick([[15], [30, 15], [17, 16, 15, 30]]));
    case SettingsTag.Agreement:
      return Uint8Array.of(random.below(5));
    case SettingsTag.Limits:
      return Uint8Array.of(random.between(1, 15), 0, 1, 0, 1);
    case SettingsTag.Asymmetry:
      return Uint8Array.of(random.between(0, 100));
    case SettingsTag.Profile:
      return encodeTimeRules(timeProfiles[random.pick(timeProfileNames)].rules);
    default:
      return Uint8Array.of(10, 0);
  }
}

function settingsBlock(random: Prng, items: Uint8Array): Uint8Array {
  const room = Math.max(StorageMap.SettingsBytes, SettingsField.Items + items.length + 4);
  const block = Buffer.from(random.bytes(room));
  block.writeUInt32LE(SettingsFormat.Magic, SettingsField.Magic);
  block.writeUInt16LE(random.chance(0.97) ? SettingsFormat.Version : random.below(4), SettingsField.Version);
  block.writeUInt16LE(items.length, SettingsField.ItemsBytes);
  block.set(items, SettingsField.Items);
  const end = SettingsField.Items + items.length;
  block.writeUInt32LE(crc32(block.subarray(0, end)), end);
  return new Uint8Array(block.subarray(0, StorageMap.SettingsBytes));
}

/** What the core must make of a settings block; layout in as/abi/codes.ts. */
function readSettings(block: Uint8Array): SettingsError {
  const bytes = Buffer.from(block);
  if (bytes.readUInt32LE(0) !== SettingsFormat.Magic) return SettingsError.Absent;
  const end = SettingsField.Items + bytes.readUInt16LE(SettingsField.ItemsBytes);
  if (end + 4 > bytes.length || crc32(bytes.subarray(0, end)) !== bytes.readUInt32LE(end)) return SettingsError.Damaged;
  if (bytes.readUInt16LE(SettingsField.Version) !== SettingsFormat.Version) return SettingsError.Version;
  const seen = new Map<number, number>();
  for (let at: number = SettingsField.Items; at < end; ) {
    if (end - at < 2 || at + 2 + bytes[at + 1]! > end) return SettingsError.Damaged;
    const tag = bytes[at]!;
    const value = bytes.subarray(at + 2, at + 2 + bytes[at + 1]!);
    at += 2 + value.length;
    seen.set(tag, (seen.get(tag) ?? 0) + 1);
    if (seen.get(tag)! > (tag === SettingsTag.Server ? 4 : 1) && tag < 0x80) return SettingsError.Item;
    if (!isItem(tag, value)) return SettingsError.Item;
  }
  const required = [SettingsTag.MeterId, SettingsTag.RootKey, SettingsTag.Server, SettingsTag.TrustPolicy];
  return required.every((tag) => seen.has(tag)) ? SettingsError.None : SettingsError.Item;
}

function isItem(tag: number, value: Buffer): boolean {
  const word = (at: number) => value.readUInt16LE(at);
  switch (tag) {
    case SettingsTag.MeterId:
      return /^[A-Za-z0-9._-]{1,32}$/.test(value.toString('latin1'));
    case SettingsTag.RootKey:
      return value.length === 16;
    case SettingsTag.Server:
      return /^[\x21-\x7e]{1,63}$/.test(value.toString('latin1', 2)) && word(0) !== 0;
    case SettingsTag.TrustPolicy:
      return value.length === 1;
    case SettingsTag.Poll:
      return value.length === 4 && word(0) >= 1 && word(0) <= word(2) && word(2) <= 36_000;
    case SettingsTag.ReportSeconds:
      return value.length === 2 && word(0) >= 1;
    case SettingsTag.Aeads:
      return (
        value.length >= 1 && new Set(value).size === value.length && value.every((aead) => knownAeads.includes(aead))
      );
    case SettingsTag.KeyAgeHours:
      return value.length === 2 && word(0) >= 1;
    case SettingsTag.Agreement:
      return value.length === 1 && value[0]! <= 4;
    case SettingsTag.SpreadSeconds:
      return value.length === 2;
    case SettingsTag.Limits:
      return value.length === 5 && value[0]! >= 1 && value[0]! <= 15;
    case SettingsTag.Asymmetry:
      return value.length === 1 && value[0]! <= 100;
    case SettingsTag.Profile: {
      if (value.length !== 24) return false;
      const [slew, silent, invalid, refuse, day] = [0, 4, 8, 12, 16].map((at) => value.readUInt32LE(at));
      const inRange = slew! <= 20_000 && Math.max(invalid!, refuse!, day!) <= 1_000_000 && value[23]! <= 1;
      return inRange && silent! <= slew! && (refuse === 0 || refuse! >= slew!);
    }
    default:
      return tag >= 0x80;
  }
}

function slot(random: Prng, bytes: number): Uint8Array {
  const kind = random.below(4);
  if (bytes === StorageMap.SeedBytes && kind < 2) {
    const seed = encodeSeedSlot(random.bytes(32), random.chance(0.5) ? random.below(3) : random.u32());
    return kind === 0 ? seed : mutate(random, seed, bytes);
  }
  return kind === 2 ? new Uint8Array(bytes).fill(random.pick([0, 0xff])) : random.bytes(bytes);
}

const storage: Target = {
  name: 'storage',
  about: 'settings with the right CRC-32, against a second reading; seed and state slots; dates of the real-time clock',
  round: (random, modules) => {
    const inputs = 40;
    for (let i = 0; i < inputs; i++) {
      const bytes = random.bytes(StorageMap.FullBytes);
      const block = settingsBlock(random, randomItems(random));
      bytes.set(random.chance(0.05) ? mutate(random, block, 512) : block);
      for (const at of [StorageMap.SeedA, StorageMap.SeedB]) bytes.set(slot(random, StorageMap.SeedBytes), at);
      for (const at of [StorageMap.StateA, StorageMap.StateB]) bytes.set(slot(random, StorageMap.StateBytes), at);
      const capabilities = Capability.Storage | Capability.OwnNetwork | Capability.Rtc;
      const meter = new DirectMeter(modules, random, bytes, capabilities);
      meter.rtc = random.chance(0.5) ? random.bytes(8 + random.size(8)) : randomDate(random);
      const expected = readSettings(bytes.subarray(0, StorageMap.SettingsBytes));
      meter.start(random.chance(0.3) ? random.bytes(32) : undefined);
      const told = meter.events.find(({ code }) => code === MeterEvent.SettingsInvalid);
      const error = told === undefined ? SettingsError.None : Number(told.a);
      if (error !== expected) {
        meter.fail(
          `settings are ${SettingsError[error]} instead of ${SettingsError[expected]}: ${Buffer.from(block).toString('hex')}`,
        );
      }
      if (meter.events.some(({ code }) => code === MeterEvent.RtcAccepted))
        meter.fail('a real-time clock without proof');
      for (let wakes = 0; wakes < 5; wakes++) meter.toWake();
      const opens = meter.asked.some(({ type }) => type === Message.TlsOpen);
      if (opens && expected !== SettingsError.None) meter.fail('a meter without settings asks for a connection');
    }
    return inputs;
  },
};

function randomDate(random: Prng): Uint8Array {
  const year = random.pick([0, 1969, 1970, 2026, 2027, 2100, 2199, 2200, 9999, 65_535]);
  return Uint8Array.of(
    random.below(3),
    random.pick([0, 59, 60, 255]),
    random.pick([0, 59, 60]),
    random.pick([0, 23, 24]),
    random.pick([0, 1, 28, 29, 30, 31, 32]),
    random.between(0, 13),
    year & 0xff,
    year >> 8,
  );
}

/** Where a part of the only server's reserve is: keys, cookie, cookie. */
const partAt = (part: number) => StorageMap.Reserves + part * StorageMap.ReservePartStride;
const partOf = (bytes: Uint8Array, part: number) =>
  bytes.subarray(partAt(part), partAt(part) + StorageMap.ReservePartBytes);

/** Damages parts of a reserve. @returns whether the keys and a cookie are as they were */
function damageReserve(random: Prng, bytes: Uint8Array): boolean {
  const whole = [0, 1, 2].map((part) => {
    if (random.chance(0.6)) return true;
    const data = partOf(bytes, part);
    const before = Buffer.from(data);
    data.set(mutate(random, data, data.length));
    return before.equals(data);
  });
  return whole[0]! && (whole[1]! || whole[2]!);
}

/** A real state of a meter, with its proof, and a real reserve, which are then damaged. */
const state: Target = {
  name: 'state',
  about: 'a true proof for the real-time clock and a true reserve of keys and cookies, damaged, and any date',
  round: (random, modules) => {
    const bytes = provenStorage(random, modules);
    const inputs = 40;
    for (let i = 0; i < inputs; i++) {
      const damaged = new Uint8Array(bytes);
      const slots = damaged.subarray(StorageMap.StateA, StorageMap.StateA + 2 * StorageMap.StateBytes);
      const whole = random.chance(0.3);
      if (!whole) slots.set(mutate(random, slots, slots.length));
      // One slot holds the proof; where it is untouched it counts.
      const used = bytes.subarray(StorageMap.StateA, StorageMap.StateA + 244);
      const untouched = Buffer.from(slots.subarray(0, 244)).equals(Buffer.from(used));
      const capabilities = Capability.Storage | Capability.OwnNetwork | Capability.Rtc;
      const meter = new DirectMeter(modules, random, damaged, capabilities);
      meter.rtc = randomDate(random);
      const [status, sec, minute, hour, day, month] = meter.rtc as unknown as [
        number,
        number,
        number,
        number,
        number,
        number,
      ];
      const year = meter.rtc[6]! | (meter.rtc[7]! << 8);
      const date = new Date(Date.UTC(year, month - 1, day, hour, minute, sec));
      const exists = date.getUTCFullYear() === year && date.getUTCMonth() === month - 1 && date.getUTCDate() === day;
      const valid = exists && sec < 60 && minute < 60 && hour < 24 && month >= 1 && year >= 1970 && year < 2200;
      const past = BigInt(Math.round(date.getTime())) * 1_000_000n + 2n * second < startUtcNs;
      const expected = untouched && status === 0 && valid && !past;
      const reserve = damageReserve(random, damaged);
      meter.start();
      const restored = meter.events.some(({ code }) => code === MeterEvent.KeysRestored);
      if (restored !== reserve)
        meter.fail(`a reserve that is ${reserve ? '' : 'not '}whole, keys restored: ${restored}`);
      const accepted = meter.events.some(({ code }) => code === MeterEvent.RtcAccepted);
      if (accepted !== expected) {
        meter.fail(`real-time clock ${accepted ? '' : 'not '}accepted: ${Buffer.from(meter.rtc).toString('hex')}`);
      }
    }
    return inputs;
  },
};

function provenStorage(random: Prng, modules: CheckedModules): Uint8Array {
  const capabilities = Capability.Storage | Capability.OwnNetwork | Capability.Rtc;
  const storage = new Uint8Array(StorageMap.FullBytes).fill(0xff);
  storage.set(encodeSettings(plainSettings, random.bytes(16)), StorageMap.Settings);
  storage.set(encodeSeedSlot(random.bytes(32), 1), StorageMap.SeedA);
  const meter = new DirectMeter(modules, random, storage, capabilities);
  const servers = new Servers(meter, random);
  meter.start();
  // Both slots are written once before the real-time clock is set, without a proof.
  const count = () => new DataView(storage.buffer).getUint32(StorageMap.StateA, true);
  const stored = () => partOf(storage, 2).some((byte) => byte !== 0xff);
  while (count() !== 3 || !stored()) {
    const message = meter.asked.shift();
    if (message === undefined) meter.toWake();
    else if (message.type === Message.UdpSend) {
      const keys = servers.keysOf(message.socket);
      const request = readRequest(Buffer.from(message.payload), keys.clientToServer, keys.aead);
      const utcNs = startUtcNs + meter.tick;
      const payload = sealedAnswer(answerParts(request, utcNs, utcNs), keys.serverToClient);
      const { socket, exchange } = message;
      meter.tell({ type: Message.UdpReceived, socket, exchange, forwardResidenceNs: 0, backResidenceNs: 0, payload });
    } else servers.answer(message);
  }
  return storage;
}

// ---------------------------------------------------------------- start and anything

const start: Target = {
  name: 'start',
  about: 'Start and LinkStart, changed; then any events with any payload at any tick, in both roles',
  round: (random, modules) => {
    let inputs = 0;
    for (let i = 0; i < 20; i++) {
      const large = random.chance(0.5);
      const core = new CheckedCore(modules, { large, twin: true, record: true });
      let tick = BigInt(random.size(1e12));
      const good = startPayload(random.below(16));
      const linkStart = Uint8Array.of(0, 0xca, 0x9a, 0x3b, 1, 2, 3, 4, 5, 6, 7, 8, 1);
      for (let event = random.size(60) + 1; event > 0; event--) {
        inputs++;
        const kind = random.below(5);
        const limit = core.capacity + 8;
        if (kind === 0) core.handle(Event.Start, tick, random.chance(0.3) ? good : mutate(random, good, limit));
        else if (kind === 1)
          core.handle(Event.LinkStart, tick, random.chance(0.3) ? linkStart : mutate(random, linkStart, limit));
        else if (kind === 2) core.handle(random.between(0, 20), tick, random.bytes(random.size(limit)));
        else if (kind === 3) {
          const offset = random.pick([StorageMap.Settings, StorageMap.SeedA, StorageMap.StateA]);
          const bytes = random.pick([512, 128, 256, random.size(515)]);
          const data = bytes === 512 ? settingsBlock(random, randomItems(random)) : random.bytes(bytes);
          const payload = joined([Uint8Array.of(offset & 0xff, offset >> 8, 0, 0), data]);
          core.handle(random.pick([Event.StorageData, Event.StorageDone]), tick, payload.subarray(0, limit));
        } else core.handle(random.u32(), tick, random.bytes(random.size(40)));
        if (random.chance(0.9)) tick += BigInt(random.size(1e10));
        else
          tick = random.chance(0.9) ? BigInt(random.size(1e15)) : (BigInt(random.u32()) << 32n) | BigInt(random.u32());
      }
    }
    return inputs;
  },
};

export const storageTargets: readonly Target[] = [storage, state, start];
