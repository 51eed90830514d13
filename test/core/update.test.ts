// Updates of a meter's software: taken, tried and kept; refused; resumed; given up.
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import {
  CommandResult,
  ManifestField,
  Message,
  MeterEvent,
  Slot,
  SlotFlag,
  StorageMap,
  UpdateLimit,
  UpdateRefusal,
  UpdateState,
} from '../../as/abi/codes.ts';
import { signImage } from '../../host/update/manifest.ts';
import { buildCore } from '../../scripts/build-core.mjs';
import { signingKey } from './ed25519-reference.ts';
import { seededRandom } from './random.ts';
import { board, nextVersion, otherCore, runningVersion, UpdateLab, update } from './update-lab.ts';

const done = (detail: number) => expect.objectContaining({ result: CommandResult.Done, detail });
const refusal = (detail: UpdateRefusal) => expect.objectContaining({ result: CommandResult.Refused, detail });
const pair = (upper: number, lower: number) => (BigInt(upper) << 32n) | BigInt(lower);

/** Runs until the meter has started anew and says what runs. */
function runRestarted(lab: UpdateLab, version: number): void {
  lab.sim.runUntil(`version ${version} runs`, () => lab.said?.imageVersion === version, 60);
}

describe('an update', () => {
  test('is taken, told in the logbook, tried, and kept', () => {
    const lab = new UpdateLab().start();
    expect(lab.said).toMatchObject({ slot: Slot.A, flags: 0, state: UpdateState.None, imageVersion: runningVersion });
    const image = update(Slot.B, { floor: runningVersion });
    expect(lab.sendAll(image)).toEqual(done(nextVersion));
    const accepted = lab.sim.events.find(({ code }) => code === MeterEvent.UpdateAccepted)!;
    expect(accepted.a).toBe(pair(nextVersion, runningVersion));
    expect(BigInt.asUintN(64, accepted.b)).toBe(Buffer.from(image.manifest.imageHash).readBigUInt64BE());
    runRestarted(lab, nextVersion);
    expect(lab.said).toMatchObject({ slot: Slot.B, flags: SlotFlag.Trial, state: UpdateState.Accepted, floor: 0 });
    lab.sim.runUntil('confirmed', () => lab.sim.eventCodes().includes(MeterEvent.UpdateConfirmed));
    lab.sim.run(5);
    expect(lab.said).toMatchObject({ slot: Slot.B, flags: 0, state: UpdateState.None, floor: runningVersion });
    expect(lab.sim.logbook.map(({ code }) => code)).not.toContain(MeterEvent.UpdateRolledBack);
    // It stays at the next start.
    lab.sim.meter.powerCut();
    lab.sim.sent.length = 0;
    lab.start();
    expect(lab.said).toMatchObject({ slot: Slot.B, flags: 0, imageVersion: nextVersion });
    // And so does the one after it, into the other slot.
    const next = update(Slot.A, { version: nextVersion + 1 }, otherCore(2));
    expect(lab.sendAll(next)).toEqual(done(nextVersion + 1));
    runRestarted(lab, nextVersion + 1);
    lab.sim.runUntil('confirmed', () => lab.said?.flags === 0);
    expect(lab.said).toMatchObject({ slot: Slot.A, floor: runningVersion });
  });

  test('is tried once: without a time within ten minutes, what ran before runs again', () => {
    const lab = new UpdateLab().start();
    expect(lab.sendAll(update(Slot.B))).toEqual(done(nextVersion));
    const { behaviour } = lab.sim;
    behaviour.onTlsOpen = () => undefined;
    behaviour.onRequest = () => [];
    runRestarted(lab, nextVersion);
    lab.sim.run(590);
    expect(lab.said?.imageVersion).toBe(nextVersion);
    lab.sim.run(20);
    expect(lab.said).toMatchObject({ slot: Slot.A, flags: SlotFlag.OtherFailed, imageVersion: runningVersion });
    const rolledBack = lab.sim.events.find(({ code }) => code === MeterEvent.UpdateRolledBack)!;
    expect([rolledBack.a, rolledBack.b]).toEqual([pair(nextVersion, runningVersion), 1n]);
    lab.sim.run(5);
    expect(lab.said?.state).toBe(UpdateState.None);
    // It never runs again, but can be sent again.
    lab.sim.meter.powerCut();
    lab.sim.meter.start();
    lab.sim.run(10);
    expect(lab.said).toMatchObject({ slot: Slot.A, imageVersion: runningVersion, state: UpdateState.None });
    expect(lab.begin(update(Slot.B))).toEqual(done(0));
  });

  test.each([
    ['traps at its first event', 'handle'],
    ['does not even begin', 'abiVersion'],
  ])('one that %s is given up at once', (_, name) => {
    const lab = new UpdateLab().start();
    // Without this export it is no core.
    const broken = Buffer.from(otherCore(3));
    const at = broken.indexOf(Buffer.concat([Buffer.of(name.length), Buffer.from(name)]));
    expect(at).toBeGreaterThan(0);
    broken[at + 1] = 'x'.charCodeAt(0);
    expect(lab.sendAll(update(Slot.B, {}, broken))).toEqual(done(nextVersion));
    lab.sim.runUntil('what ran before', () => lab.said?.flags === SlotFlag.OtherFailed, 20);
    expect(lab.said).toMatchObject({ slot: Slot.A, imageVersion: runningVersion });
    lab.sim.run(5);
    expect(lab.sim.events.find(({ code }) => code === MeterEvent.UpdateRolledBack)?.b).toBe(1n);
  });

  test('waits for the end of a transaction before it starts anew', () => {
    const lab = new UpdateLab().start();
    lab.sim.meter.transaction(true);
    expect(lab.sendAll(update(Slot.B))).toEqual(done(nextVersion));
    lab.sim.run(300);
    expect(lab.said).toMatchObject({ imageVersion: runningVersion, state: UpdateState.Accepted });
    lab.sim.meter.transaction(false);
    runRestarted(lab, nextVersion);
  });
});

describe('before anything is erased', () => {
  const lab = new UpdateLab().start();
  const erasedNothing = () => expect(lab.flash.steps).toBe(steps);
  let steps = lab.flash.steps;

  test.each<[string, UpdateRefusal, ReturnType<typeof update>, (manifest: Buffer) => void]>([
    [
      'another signature',
      UpdateRefusal.Signature,
      { ...update(Slot.B), signature: new Uint8Array(64).fill(1) },
      () => {},
    ],
    [
      'another version than signed',
      UpdateRefusal.Signature,
      update(Slot.B),
      (m) => m.writeUInt32LE(nextVersion + 1, 40),
    ],
    [
      'another hash',
      UpdateRefusal.Signature,
      update(Slot.B),
      (m) => m.writeUInt8(m[ManifestField.ImageHash]! ^ 1, ManifestField.ImageHash),
    ],
    ['another key', UpdateRefusal.Signature, signImage(update(Slot.B), signingKey(new Uint8Array(32))), () => {}],
    ['another board', UpdateRefusal.Board, update(Slot.B, { board: `${board}2` }), () => {}],
    ['a board whose name is cut off', UpdateRefusal.Board, update(Slot.B, { board: board.slice(0, -1) }), () => {}],
    ['the slot that runs', UpdateRefusal.Slot, update(Slot.A), () => {}],
    ['no slot', UpdateRefusal.Slot, update(Slot.B), (m) => m.writeUInt8(3, ManifestField.Slot)],
    ['more than a slot', UpdateRefusal.Length, update(Slot.B, {}, new Uint8Array(96 * 1024 + 4)), () => {}],
    ['nothing', UpdateRefusal.Length, update(Slot.B), (m) => m.writeUInt32LE(0, ManifestField.Length)],
    [
      'a length that four does not divide',
      UpdateRefusal.Length,
      update(Slot.B),
      (m) => m.writeUInt32LE(1002, ManifestField.Length),
    ],
    [
      'a floor above the version',
      UpdateRefusal.Version,
      update(Slot.B),
      (m) => m.writeUInt32LE(nextVersion + 1, ManifestField.Floor),
    ],
    ['another magic', UpdateRefusal.Manifest, update(Slot.B), (m) => m.writeUInt8(0, 0)],
    ['another format', UpdateRefusal.Manifest, update(Slot.B), (m) => m.writeUInt8(2, ManifestField.Format)],
  ])('%s is refused', (_, why, image, change) => {
    steps = lab.flash.steps;
    expect(lab.begin(image, change)).toEqual(refusal(why));
    erasedNothing();
    expect(lab.said?.state).toBe(UpdateState.None);
  });

  test('refusals are told once a minute', () => {
    const refused = () => lab.sim.events.filter(({ code }) => code === MeterEvent.UpdateRefused);
    lab.sim.run(61);
    const before = refused().length;
    for (let i = 0; i < 5; i++) lab.begin(update(Slot.A));
    expect(refused().length).toBe(before + 1);
    lab.sim.run(61);
    lab.begin(update(Slot.A));
    lab.sim.run(1);
    expect([refused().length, refused().at(-1)!.a, refused().at(-1)!.b]).toEqual([
      before + 2,
      BigInt(UpdateRefusal.Slot),
      5n,
    ]);
  });

  test('without a key all are', () => {
    const keyless = new UpdateLab({ key: false }).start();
    expect(keyless.begin(update(Slot.B))).toEqual(refusal(UpdateRefusal.NoKey));
    expect(keyless.said?.keyId).toEqual(new Uint8Array(16));
    expect(lab.said?.keyId).not.toEqual(new Uint8Array(16));
  });
});

describe('the floor', () => {
  test('is what a confirmed image asked for, and never goes back', () => {
    const lab = new UpdateLab().start();
    const older = update(Slot.B, { version: runningVersion - 1, floor: 0 });
    expect(lab.begin(older)).toEqual(done(0));
    expect(lab.sendAll(update(Slot.B, { floor: nextVersion }))).toEqual(done(nextVersion));
    runRestarted(lab, nextVersion);
    lab.sim.runUntil('confirmed', () => lab.said?.flags === 0 && lab.said.state === UpdateState.None);
    for (const version of [runningVersion, nextVersion - 1]) {
      expect(lab.begin(update(Slot.A, { version, floor: 0 }))).toEqual(refusal(UpdateRefusal.Version));
    }
    expect(lab.begin(update(Slot.A, { version: nextVersion, floor: 0 }))).toEqual(done(0));
    expect(lab.sendAll(update(Slot.A, { version: nextVersion + 1, floor: 1 }))).toEqual(done(nextVersion + 1));
    runRestarted(lab, nextVersion + 1);
    lab.sim.runUntil('confirmed', () => lab.said?.flags === 0 && lab.said.state === UpdateState.None);
    expect(lab.said?.floor).toBe(nextVersion);
  });

  test('stays where an image that asked for more was given up', () => {
    const lab = new UpdateLab().start();
    expect(lab.sendAll(update(Slot.B, { floor: nextVersion }))).toEqual(done(nextVersion));
    lab.sim.meter.powerCut();
    lab.sim.meter.start();
    lab.sim.meter.powerCut();
    lab.sim.sent.length = 0;
    lab.start();
    expect(lab.said).toMatchObject({ slot: Slot.A, floor: 0, flags: SlotFlag.OtherFailed });
  });
});

describe('parts', () => {
  test('come in order, with the lengths that fit; else the meter says which one it expects', () => {
    const lab = new UpdateLab().start();
    const image = update(Slot.B);
    expect(lab.part(image, 0)).toMatchObject({ result: CommandResult.Request, detail: 0 });
    expect(lab.begin(image)).toEqual(done(0));
    const expects = (detail: number) => expect.objectContaining({ result: CommandResult.Request, detail });
    expect(lab.part(image, 208)).toEqual(expects(0));
    expect(lab.part(image, 0)).toEqual(done(208));
    expect(lab.part(image, 0)).toEqual(expects(208));
    expect(lab.finish(image)).toEqual(expects(208));
    expect(lab.part(image, 208, 4)).toEqual(done(212));
    for (let at = 212; at + 208 <= UpdateLimit.StepBytes; at += 208) lab.part(image, at);
    // Across the end of a step.
    const at = 212 + Math.floor((UpdateLimit.StepBytes - 212) / 208) * 208;
    expect(lab.part(image, at, 208)).toEqual(expects(at));
    expect(lab.part(image, at)).toEqual(done(UpdateLimit.StepBytes));
  });

  test('what arrived but is not what was signed is not tried, and comes anew', () => {
    const lab = new UpdateLab().start();
    const image = update(Slot.B);
    const changed = { ...image, image: Uint8Array.from(image.image) };
    changed.image[5000]! ^= 0x10;
    expect(lab.sendAll(changed)).toEqual(refusal(UpdateRefusal.Image));
    lab.sim.run(30);
    expect(lab.said).toMatchObject({ imageVersion: runningVersion, state: UpdateState.None });
    expect(lab.sim.eventCodes()).not.toContain(MeterEvent.UpdateAccepted);
    expect(lab.sendAll(image)).toEqual(done(nextVersion));
  });

  test('what changes in the slot after it was written is found before it is tried', () => {
    const lab = new UpdateLab().start();
    const image = update(Slot.B);
    lab.sendAll(image, image.image.length - 4);
    lab.part(image, image.image.length - 4);
    const at = lab.flash.contents.length / 2 + 40_000;
    lab.flash.contents[at]! ^= 1;
    expect(lab.finish(image)).toEqual(refusal(UpdateRefusal.Image));
  });

  test('another manifest at the end is none', () => {
    const lab = new UpdateLab().start();
    const image = update(Slot.B);
    lab.sendAll(image, image.image.length - 4);
    lab.part(image, image.image.length - 4);
    expect(lab.finish(image, (m) => m.writeUInt32LE(1, ManifestField.Floor)).result).toBe(CommandResult.Request);
    expect(lab.finish(image)).toEqual(done(nextVersion));
  });
});

describe('resuming', () => {
  test('goes on at the last whole step after a restart of the meter, and starts anew for another image', () => {
    const lab = new UpdateLab().start();
    const image = update(Slot.B);
    lab.sendAll(image, 2 * UpdateLimit.StepBytes + 500);
    lab.sim.meter.powerCut();
    lab.sim.sent.length = 0;
    lab.start();
    expect(lab.said).toMatchObject({
      state: UpdateState.Receiving,
      offset: 2 * UpdateLimit.StepBytes,
      version: nextVersion,
    });
    expect(lab.part(image, 2 * UpdateLimit.StepBytes).result).toBe(CommandResult.Request);
    expect(lab.begin(image)).toEqual(done(2 * UpdateLimit.StepBytes));
    lab.sendAll(image, 3 * UpdateLimit.StepBytes);
    const other = update(Slot.B, { version: nextVersion + 1 }, otherCore(9));
    expect(lab.begin(other)).toEqual(done(0));
    expect(lab.begin(image)).toEqual(done(0));
    expect(lab.sendAll(image)).toEqual(done(nextVersion));
    runRestarted(lab, nextVersion);
  });
});

describe('the logbook', () => {
  test('has the entry strictly before the slot counts', () => {
    const lab = new UpdateLab();
    const logged: boolean[] = [];
    const commit = lab.slots.commit.bind(lab.slots);
    lab.slots.commit = (image) => {
      logged.push(inLogbook(lab, MeterEvent.UpdateAccepted));
      commit(image);
    };
    lab.start();
    expect(lab.sendAll(update(Slot.B))).toEqual(done(nextVersion));
    expect(logged).toEqual([true]);
  });
});

describe('a meter without a logbook', () => {
  test('has the event stored by the gateway before the slot counts, and gives up where nobody stores it', async () => {
    const image = new Uint8Array(readFileSync((await buildCore({ servers: 1, update: true })).path));
    const lab = new UpdateLab({ image, storageBytes: StorageMap.UpdateBytes });
    const acknowledged: boolean[] = [];
    const commit = lab.slots.commit.bind(lab.slots);
    lab.slots.commit = (what) => {
      acknowledged.push(lab.sim.acknowledge);
      commit(what);
    };
    lab.start();
    const next = update(Slot.B, {}, otherCore(1, image));
    lab.sim.acknowledge = false;
    expect(lab.sendAll(next)).toEqual(refusal(UpdateRefusal.NotLogged));
    expect(acknowledged).toEqual([]);
    lab.sim.acknowledge = true;
    for (const { sequence } of lab.sim.events) lab.sim.deliver({ type: Message.EventAck, sequence });
    expect(lab.sendAll(next)).toEqual(done(nextVersion));
    expect(acknowledged).toEqual([true]);
    runRestarted(lab, nextVersion);
    lab.sim.runUntil('confirmed', () => lab.said?.flags === 0);
  }, 180_000);
});

describe('cut off', () => {
  const image = update(Slot.B, { floor: runningVersion }, otherCore(1));

  test('at any step of the flash: what ran or what came runs, whole, and the update goes on', () => {
    const whole = new UpdateLab().start();
    const before = whole.flash.steps;
    expect(whole.sendAll(image)).toEqual(done(nextVersion));
    runRestarted(whole, nextVersion);
    whole.sim.runUntil('confirmed', () => whole.said?.flags === 0);
    const steps = whole.flash.steps - before;
    expect(steps).toBeGreaterThan(800);
    const random = seededRandom('update power cuts');
    // The first and the last ones, where most is decided, and some between.
    const cuts = new Set([1, 2, 3, 4, 5, ...Array.from({ length: 12 }, (_, i) => steps - i)]);
    for (let i = 0; i < 8; i++) cuts.add(1 + random.below(steps));
    for (const cut of cuts) {
      const lab = new UpdateLab().start();
      lab.flash.cutAt = lab.flash.steps + cut;
      let off = false;
      lab.flash.onCut = () => {
        off = true;
        lab.sim.meter.powerCut();
      };
      expect(() => {
        lab.sendAll(image);
        lab.sim.run(60);
        if (!off) throw new Error(`step ${cut} did not come`);
        throw new Error('off');
      }).toThrow(/off|not within|power failed/);
      lab.sim.sent.length = 0;
      lab.start();
      const runs = lab.said!.imageVersion;
      expect([runningVersion, nextVersion], `cut at step ${cut} of ${steps}`).toContain(runs);
      if (runs === runningVersion) expect(lab.sendAll(image), `cut at step ${cut}`).toEqual(done(nextVersion));
      lab.sim.runUntil('it runs for good', () => lab.said?.imageVersion === nextVersion && lab.said.flags === 0, 700);
      lab.sim.runUntil('the floor', () => lab.said?.floor === runningVersion);
    }
  }, 120_000);

  test('at any write of the storage: the update goes on, and the floor is kept', () => {
    const count = (lab: UpdateLab, at: number, then: () => void) => {
      const { storage } = lab.sim;
      const write = storage.write.bind(storage);
      let writes = 0;
      storage.write = (offset, bytes) => {
        if (offset < StorageMap.UpdateA || offset >= StorageMap.UpdateBytes) return write(offset, bytes);
        writes++;
        if (writes !== at) return write(offset, bytes);
        write(offset, bytes.subarray(0, 30));
        then();
        throw new Error('the power failed');
      };
      return () => writes;
    };
    const whole = new UpdateLab().start();
    const writes = count(whole, 0, () => {});
    expect(whole.sendAll(image)).toEqual(done(nextVersion));
    runRestarted(whole, nextVersion);
    whole.sim.runUntil('the floor', () => whole.said?.floor === runningVersion);
    expect(writes()).toBeGreaterThan(20);
    for (let cut = 1; cut <= writes(); cut += cut > 3 && cut < writes() - 4 ? 5 : 1) {
      const lab = new UpdateLab().start();
      count(lab, cut, () => lab.sim.meter.powerCut());
      expect(() => {
        lab.sendAll(image);
        lab.sim.run(60);
        throw new Error('off');
      }).toThrow(/off|not within|power failed/);
      lab.sim.sent.length = 0;
      lab.start();
      if (lab.said!.imageVersion === runningVersion) {
        expect(lab.sendAll(image), `cut at write ${cut}`).toEqual(done(nextVersion));
      }
      lab.sim.runUntil('it runs for good', () => lab.said?.imageVersion === nextVersion && lab.said.flags === 0, 700);
      lab.sim.runUntil('the floor', () => lab.said?.floor === runningVersion);
    }
  }, 120_000);
});

/** Whether the storage holds an entry of the logbook with this event. */
function inLogbook(lab: UpdateLab, code: MeterEvent): boolean {
  const { contents } = lab.sim.storage;
  for (let at = 0x4000; at < 0xc000; at += 128) {
    if (contents[at] === 3 && contents[at + 2] === code && contents[at + 3] === 0) return true;
  }
  return false;
}
