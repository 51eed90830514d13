// What holds for all records until the next context: whole and true in the record ring, made anew when it changes; and what
// differs from the last start is told.
import { createHash } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  ChainField,
  ContextField,
  ContextPartField,
  Format,
  MarkField,
  MeterEvent,
  RecordField,
  Ring,
  SettingsTag,
  StorageMap,
  Tampering,
} from '../../as/abi/codes.ts';
import { loadCoreModule } from '../../host/core/core.ts';
import { encodeSettings } from '../../host/provision/settings-block.ts';
import { type Context, decodeContext, decodeEntry } from '../../host/record/entry.ts';
import { buildCore } from '../../scripts/build-core.mjs';
import { testSettings } from './simulated-meter.ts';
import { markLabel, StoreLab, sha512, storageOf } from './store-lab.ts';
import { registerItem, withItems } from './tariff-settings.ts';

beforeAll(async () => {
  await buildCore();
});

/** The context that the last record refers to. */
function contextOf(lab: StoreLab): Context {
  const entries = lab.entries(Ring.Records);
  const record = lab.handedIn().at(-1)!;
  const first = record.bytes.readUInt32LE(RecordField.Context);
  const parts = entries.filter(
    ({ sequence, bytes }) =>
      sequence >= first &&
      sequence < first + entries.find((e) => e.sequence === first)!.bytes[2]! &&
      bytes[0] === Format.Context,
  );
  return decodeContext(parts.map(({ bytes }) => decodeEntry(Ring.Records, bytes)) as never);
}

const contexts = (lab: StoreLab) =>
  lab.entries(Ring.Records).filter(({ format, bytes }) => format === Format.Context && bytes[1] === 0).length;

function record(lab: StoreLab, value: number): Context {
  lab.fill(1, value);
  lab.sim.run(10);
  expect(lab.values().at(-1)).toBe(value);
  return contextOf(lab);
}

/**
 * What whoever has the record key, but not the seed, can make of a storage: the last context names another public key, and all
 * seals, links and hashes fit.
 */
function withPublicKey(lab: StoreLab, key: Uint8Array): Uint8Array {
  const contents = Buffer.from(lab.storage);
  const mark = lab.mark()!;
  const first = mark.readUInt32LE(MarkField.Context);
  const whole: Buffer[] = [];
  let link: Buffer | undefined;
  for (const { sequence, bytes } of lab.entries(Ring.Records)) {
    const entry = Buffer.from(bytes);
    const part = sequence - first;
    if (sequence >= first && entry[0] === Format.Context) {
      const at = ContextField.PublicKey - part * ContextPartField.PartBytes;
      for (let i = 0; i < 32; i++) {
        if (at + i >= 0 && at + i < ContextPartField.PartBytes) entry[ContextPartField.Part + at + i] = key[i]!;
      }
      whole.push(entry.subarray(ContextPartField.Part, ContextPartField.Part + ContextPartField.PartBytes));
    }
    link?.copy(entry, ChainField.Link);
    lab.seal(Ring.Records, entry).copy(entry, ChainField.Seal);
    link = sha512(entry).subarray(0, ChainField.Seal - ChainField.Link);
    entry.copy(contents, StorageMap.Records + (sequence % 64) * entry.length);
  }
  const context = Buffer.concat(whole);
  sha512(context.subarray(0, context.readUInt16LE(0))).copy(mark, MarkField.ContextHash, 0, 16);
  lab.seal(markLabel, mark).copy(mark, ChainField.Seal);
  for (const at of [StorageMap.MarkA, StorageMap.MarkB]) mark.copy(contents, at);
  // Heads as before the first one was signed.
  contents.fill(0xff, StorageMap.HeadA, StorageMap.MarkA);
  return contents;
}

describe('after a start', () => {
  it('records are stored at once under the context that still holds, and power that fails then loses none', () => {
    const lab = new StoreLab();
    lab.start();
    record(lab, 1);
    lab.restart();
    expect(lab.record(2)).toBe(true);
    lab.sim.run(0.1);
    expect(lab.values().at(-1)).toBe(2);
    lab.restart();
    expect(lab.values().at(-1)).toBe(2);
    expect(contexts(lab)).toBe(1);
    record(lab, 3);
    expect(contexts(lab)).toBe(1);
    expect(lab.sim.eventCodes()).not.toContain(MeterEvent.Tampered);
    lab.verify();
  });

  it('records wait for the public key where a new context is due, which names it', () => {
    const lab = new StoreLab();
    lab.start();
    const { publicKey } = record(lab, 1);
    lab.sim.meter.powerCut();
    const block = lab.storage.slice(StorageMap.Settings, StorageMap.Settings + StorageMap.SettingsBytes);
    lab.storage.set(withItems(block, [registerItem()]), StorageMap.Settings);
    lab.start();
    lab.record(2);
    lab.sim.run(0.1);
    expect(lab.values().at(-1)).toBe(1);
    lab.sim.run(10);
    expect(lab.values().at(-1)).toBe(2);
    expect(contextOf(lab).publicKey).toEqual(publicKey);
    lab.verify();
  });

  it('another public key in a context that is sealed all the same is found, and a context with the right one comes', () => {
    const lab = new StoreLab();
    lab.start();
    const { publicKey } = record(lab, 1);
    lab.sim.run(60);
    lab.sim.meter.powerCut();
    const changed = new StoreLab({ rootKey: lab.rootKey }, withPublicKey(lab, Buffer.alloc(32, 7)));
    changed.start();
    changed.record(2);
    changed.sim.run(0.1);
    expect(Buffer.from(contextOf(changed).publicKey)).toEqual(Buffer.alloc(32, 7));
    expect(changed.sim.eventCodes()).not.toContain(MeterEvent.Tampered);
    changed.sim.run(10);
    expect(changed.sim.events.filter(({ code }) => code === MeterEvent.Tampered).map(({ a }) => a)).toEqual([
      BigInt(Tampering.Record),
    ]);
    expect(record(changed, 3).publicKey).toEqual(publicKey);
    expect(contexts(changed)).toBe(2);
  });

  it('a context that is changed without the record key is not believed', () => {
    const lab = new StoreLab();
    lab.start();
    record(lab, 1);
    lab.sim.meter.powerCut();
    const [part] = lab.entries(Ring.Records).filter(({ format, bytes }) => format === Format.Context && bytes[1] === 1);
    lab.storage[StorageMap.Records + (part!.sequence % 64) * 128 + 90]! ^= 1;
    lab.start();
    lab.record(2);
    lab.sim.run(0.1);
    expect(lab.values().at(-1)).toBe(1);
    lab.sim.run(60);
    expect(lab.values().at(-1)).toBe(2);
    expect(lab.sim.eventCodes()).toContain(MeterEvent.Tampered);
  });
});

/** SHA-512 of a settings block without the value of the root key and the checksum. */
function settingsHash(block: Uint8Array): Buffer {
  const hash = createHash('sha512').update(block.subarray(0, 8));
  const end = 8 + block[6]! + 256 * block[7]!;
  for (let at = 8; at < end; at += 2 + block[at + 1]!) {
    hash.update(block.subarray(at, block[at] === SettingsTag.RootKey ? at + 2 : at + 2 + block[at + 1]!));
  }
  return hash.digest().subarray(0, 32);
}

describe('a context', () => {
  it('says who the meter is, by which software and settings, and its public key', () => {
    const lab = new StoreLab();
    lab.start();
    const context = record(lab, 1);
    expect(context).toMatchObject({ meter: 'sim-1', board: 'software', program: '' });
    expect(context.servers.map(({ name }) => name)).toEqual(['time.test']);
    expect(Buffer.from(context.coreSha256).equals(Buffer.from(loadCoreModule().sha256))).toBe(true);
    const block = lab.storage.subarray(StorageMap.Settings, StorageMap.Settings + StorageMap.SettingsBytes);
    expect(Buffer.from(context.settingsHash).toString('hex')).toBe(settingsHash(block).toString('hex'));
    const spki = lab.publicKey.export({ format: 'der', type: 'spki' });
    expect(Buffer.from(context.publicKey).equals(spki.subarray(-32))).toBe(true);
  });

  it('is made once, and again when a certificate is seen; that one is known after a restart', () => {
    const lab = new StoreLab();
    lab.start();
    expect(record(lab, 1).servers[0]?.certificateSha256).toBeUndefined();
    record(lab, 2);
    expect(contexts(lab)).toBe(1);
    lab.sim.meter.powerCut();
    lab.startOnline();
    const seen = record(lab, 3).servers[0]?.certificateSha256;
    expect(seen).toHaveLength(32);
    expect(contexts(lab)).toBe(2);
    lab.restart();
    expect(record(lab, 4).servers[0]?.certificateSha256).toEqual(seen);
    expect(contexts(lab)).toBe(2);
    lab.verify();
  });

  it('is made anew when the ring has gone on by a sixteenth, and each record names one in the ring', () => {
    const lab = new StoreLab({ storageBytes: storageOf(1600) });
    lab.start();
    for (let value = 1; value <= 330; value++) lab.fill(1, value);
    lab.sim.run(10);
    expect(contexts(lab)).toBe(4);
    const entries = lab.entries(Ring.Records);
    for (const { sequence, format, bytes } of entries) {
      if (format !== Format.Record) continue;
      const at = bytes.readUInt32LE(RecordField.Context);
      expect(entries[at - 1]).toMatchObject({ sequence: at, format: Format.Context });
      expect(sequence - at).toBeLessThanOrEqual(100);
    }
  });
});

describe('what differs from the last start', () => {
  const changes = (lab: StoreLab) =>
    lab
      .log(Ring.Logbook)
      .filter(({ code }) => code === MeterEvent.SettingsChanged || code === MeterEvent.SoftwareChanged);

  it('is told of settings, once, with both hashes, and makes a new context', () => {
    const lab = new StoreLab();
    lab.start();
    record(lab, 1);
    const before = lab.storage.slice(0, 512);
    lab.sim.meter.powerCut();
    lab.storage.set(encodeSettings({ ...testSettings, reportSeconds: 77 }, lab.rootKey));
    const after = lab.storage.slice(0, 512);
    lab.start();
    record(lab, 2);
    lab.restart();
    lab.sim.run(2);
    const [change, ...more] = changes(lab);
    expect(more).toEqual([]);
    expect(change).toMatchObject({
      code: MeterEvent.SettingsChanged,
      a: settingsHash(before).readBigInt64BE(),
      b: settingsHash(after).readBigInt64BE(),
    });
    expect(contexts(lab)).toBe(2);
  });

  it('is told of software', () => {
    const lab = new StoreLab();
    lab.start();
    record(lab, 1);
    const source = { module: loadCoreModule().module, sha256: new Uint8Array(32).fill(7) };
    const other = new StoreLab({ rootKey: lab.rootKey, core: source }, lab.storage.slice());
    other.start();
    other.sim.run(2);
    expect(changes(other).map(({ code }) => code)).toEqual([MeterEvent.SoftwareChanged]);
    expect(Buffer.from(record(other, 2).coreSha256).equals(Buffer.alloc(32, 7))).toBe(true);
  });

  it('is told where the marks were erased', () => {
    const lab = new StoreLab();
    lab.start();
    record(lab, 1);
    lab.sim.meter.powerCut();
    lab.storage.fill(0xff, StorageMap.MarkA, StorageMap.MarkB + StorageMap.MarkBytes);
    lab.start();
    lab.sim.run(2);
    expect(changes(lab).map(({ code, a }) => [code, a])).toEqual([
      [MeterEvent.SettingsChanged, 0n],
      [MeterEvent.SoftwareChanged, 0n],
    ]);
  });
});

it('tariff and transaction are known after a restart, when the mark was stored within the hour', () => {
  const lab = new StoreLab();
  lab.start();
  expect(lab.core.testMarkedTariff()).toBe(-1);
  lab.sim.run(10);
  lab.core.testMark(1_795_305_600n, 12, 34);
  const writes: number[] = [];
  const write = lab.sim.storage.write.bind(lab.sim.storage);
  lab.sim.storage.write = (offset, bytes) => {
    if (offset === StorageMap.MarkA || offset === StorageMap.MarkB) writes.push(offset);
    return write(offset, bytes);
  };
  lab.sim.run(1800);
  expect(writes).toEqual([]);
  lab.sim.run(1900);
  expect(writes).toHaveLength(1);
  lab.restart();
  expect(lab.core.testMarkedTariff()).toBe(12);
  expect(lab.core.testMarkedSince()).toBe(1_795_305_600n);
  expect(lab.core.testMarkedTransaction()).toBe(34);
});
