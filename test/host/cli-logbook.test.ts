// metertime logbook: rings in the storage of a meter with the real core are read, shown and verified; what was changed in the
// storage is found, and a write that power cut is not taken for a change.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { HeadField, Ring, StorageMap } from '../../as/abi/codes.ts';
import { ExitCode } from '../../host/cli/exit-codes.ts';
import { keysFileText, meterKeys } from '../../host/provision/meter-keys.ts';
import { ringOrder, slotsOf, storedHead, storedSlots } from '../../host/record/rings.ts';
import { type Report, verifyEvidence } from '../../host/record/verify.ts';
import { buildCore } from '../../scripts/build-core.mjs';
import { seededRandom } from '../core/random.ts';
import { StoreLab, storageOf } from '../core/store-lab.ts';
import { runMetertime } from './cli-run.ts';

const rings = [Ring.Records, Ring.Logbook, Ring.Network] as const;
const recordSlots = 64;
let folder = '';
let lab: StoreLab;
/** The storage of a meter that ran, went round its ring of records, and was switched off behind a head. */
let storage: Uint8Array;

beforeAll(async () => {
  await buildCore();
  folder = mkdtempSync(join(tmpdir(), 'metertime-logbook-'));
  lab = new StoreLab({ storageBytes: storageOf(recordSlots) });
  lab.startOnline();
  for (let round = 0; round < 10; round++) {
    lab.fill(8, 100 * round);
    lab.acknowledgeAll();
    lab.sim.run(2);
  }
  lab.fill(5, 900);
  const heads = lab.heads.length;
  lab.core.testHeadRequest();
  lab.sim.runUntil('a head', () => lab.heads.length > heads, 120);
  lab.sim.run(30);
  lab.sim.meter.powerCut();
  storage = lab.storage.slice();
}, 240_000);
afterAll(() => rmSync(folder, { recursive: true }));

function file(name: string, contents: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, contents);
  return path;
}
const stored = (contents: Uint8Array = storage) => file('meter.bin', contents);
const keys = () => file('keys.json', keysFileText(meterKeys(lab.rootKey, 'sim-1')));

interface Read {
  readonly exitCode: number;
  readonly entries: readonly { format: string; sequence: number; event?: string }[];
  readonly report: Report & { notes: readonly string[] };
  readonly stdout: string;
}

async function logbook(...args: string[]): Promise<Read> {
  const { exitCode, stdout, stderr } = await runMetertime(['logbook', '--json', ...args]);
  expect(stderr).toBe('');
  const lines = stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  return { exitCode, entries: lines.slice(0, -1), report: lines.at(-1), stdout };
}

describe('what the core wrote', () => {
  test('holds: each ring, its keys and its head', () => {
    const { recordKey, publicKey } = meterKeys(lab.rootKey, 'sim-1');
    const all = rings.map((ring) => ({ ring, ...ringOrder(ring, storedSlots(storage, ring)!, recordKey) }));
    const trust = { meter: 'sim-1', recordKey, publicKey };
    const report = verifyEvidence(all, [storedHead(storage)!, ...lab.heads], trust);
    expect(report.findings).toEqual([]);
    expect(report.rings).toMatchObject([
      { ring: 'records', gaps: 0, seals: { failed: 0 }, links: { failed: 0 }, tail: 'signed' },
      { ring: 'logbook', from: 1 },
      { ring: 'network', from: 1 },
    ]);
    expect(report.heads.held).toBe(1 + lab.heads.length);
    // The ring of records went round.
    expect(report.rings[0]!.from).toBeGreaterThan(1);
    expect(report.rings[0]!.entries).toBe(recordSlots);
  });

  test('is shown by the command, and verified with the keys of the storage or with those of provisioning', async () => {
    const { exitCode, entries, report } = await logbook('--storage', stored());
    expect(report.findings).toEqual([]);
    expect(exitCode).toBe(ExitCode.Ok);
    expect(report.notes).toEqual([expect.stringContaining('keys that the storage itself holds')]);
    expect(entries[0]).toMatchObject({ format: 'log', sequence: 1, event: 'started' });
    expect(entries.map(({ event }) => event)).toContain('clock-set');
    const network = await logbook('--storage', stored(), '--network', '--keys', keys());
    expect(network.report).toMatchObject({ ok: true, notes: [], rings: [{ ring: 'network', tail: 'not-proven' }] });
    const people = await runMetertime(['logbook', '--storage', stored(), '--keys', keys()]);
    expect(people.stdout).toMatch(/^# {2}Time +What happened\n=+\n1 .*The meter started: power came on\./);
    expect(people.stdout).toMatch(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z +The clock was set/);
    expect(people.stdout).toContain('holds  nothing was found');
    const records = await runMetertime(['logbook', '--storage', stored(), '--records']);
    expect(records.stdout).toMatch(/context, part 1 of \d/);
  });

  test.each([[], ['--network'], ['--records']])('as lines is what metertime verify takes: %j', async (...which) => {
    const { stdout, entries } = await logbook('--storage', stored(), ...which);
    const lines = file('lines.ndjson', stdout);
    const head = file('head.bin', lab.heads.at(-1)!);
    // Records whose context was overwritten in the storage are told without it.
    const args = ['verify', lines, '--json', '--keys', keys(), ...(which.length === 0 ? ['--head', head] : [])];
    const verified = await runMetertime(args);
    expect(JSON.parse(verified.stdout).findings).toEqual([]);
    expect(verified.exitCode).toBe(ExitCode.Ok);
    expect(JSON.parse(verified.stdout).rings).toMatchObject([{ entries: entries.length }]);
  });
});

describe('what was changed in the storage', () => {
  const changed = (change: (contents: Buffer) => void): string => {
    const contents = Buffer.from(storage);
    change(contents);
    return stored(contents);
  };
  const found = async (path: string, ...args: string[]) => {
    const { exitCode, report } = await logbook('--storage', path, ...args);
    expect(exitCode).toBe(report.ok ? ExitCode.Ok : ExitCode.Mismatch);
    return report.findings.map(({ check, sequence }) => `${check} ${sequence}`);
  };
  const slot = (sequence: number) => StorageMap.Logbook + sequence * StorageMap.EntryBytes;

  test('is found: a bit, an erased entry, one more, the whole ring, an old image', async () => {
    expect(await found(changed((c) => c.writeUInt8(c[slot(2) + 40]! ^ 1, slot(2) + 40)))).toEqual(
      expect.arrayContaining(['seal 2', 'link 3']),
    );
    expect(await found(changed((c) => c.fill(0xff, slot(2), slot(3))))).toContain('sequence 3');
    expect(await found(changed((c) => c.copy(c, slot(5), slot(1), slot(2))))).not.toEqual([]);
    expect(lab.entries(Ring.Logbook).length).toBeGreaterThan(2);
    const signed = Buffer.from(storedHead(storage)!).readUInt32LE(HeadField.LogSequence - HeadField.Magic);
    expect(await found(changed((c) => c.fill(0xff, StorageMap.Logbook, StorageMap.NetworkLog)))).toEqual([
      `tail ${signed}`,
    ]);
    const cut = changed((c) => {
      c.fill(0xff, slot(2), StorageMap.NetworkLog);
      c.fill(0xff, StorageMap.HeadA, StorageMap.MarkA);
    });
    expect(await found(cut)).toEqual([]);
    expect(await found(cut, '--keys', keys(), '--head', file('head.bin', lab.heads.at(-1)!))).toEqual([
      `tail ${signed}`,
    ]);
  });

  test('is told, and found in the lines, also where an entry does not fit its layout any more', async () => {
    const path = changed((c) => c.writeUInt8(9, slot(2)));
    const { entries, stdout } = await logbook('--storage', path);
    expect(entries[1]).toMatchObject({ format: 'unreadable', sequence: 2, chain: { ring: 'logbook' } });
    const verified = await runMetertime(['verify', file('lines.ndjson', stdout), '--json', '--keys', keys()]);
    const { findings } = JSON.parse(verified.stdout) as Report;
    expect(findings.map(({ check, ring, sequence }) => `${check} ${ring} ${sequence}`)).toEqual([
      'layout logbook 2',
      'seal logbook 2',
      'link logbook 3',
    ]);
    const people = await runMetertime(['logbook', '--storage', path]);
    expect(people.stdout).toMatch(/^2 +does not fit its layout$/m);
    expect(people.exitCode).toBe(ExitCode.Mismatch);
  });

  test('is not a write that power cut, at whatever byte', async () => {
    const random = seededRandom('writes that power cut');
    const { recordKey } = meterKeys(lab.rootKey, 'sim-1');
    const { entries } = ringOrder(Ring.Records, storedSlots(storage, Ring.Records)!, recordKey);
    const newest = entries.at(-1)!;
    const at = Buffer.from(newest).readUInt32LE(4) % recordSlots;
    for (let count = 0; count < 128; count++) {
      // The newest entry is not whole yet: behind its first bytes is what was there before it.
      const slots = slotsOf(Uint8Array.from(storage.subarray(StorageMap.Records)));
      const before = random.below(2) === 0 ? new Uint8Array(128).fill(0xff) : oldEntry(newest);
      slots[at]!.set(before);
      slots[at]!.set(newest.subarray(0, count));
      if (random.below(2) === 0) slots[at]![count] = random.below(256);
      const whole = Buffer.compare(slots[at]!, newest) === 0;
      const ordered = ringOrder(Ring.Records, slots, recordKey);
      const { findings } = verifyEvidence([{ ring: Ring.Records, entries: ordered.entries }], [], { recordKey });
      const [left, unfinished] = whole ? [recordSlots, false] : [recordSlots - 1, true];
      expect([count, findings, ordered.entries.length, ordered.unfinished]).toEqual([
        count,
        [],
        left,
        isBlank(slots[at]!) ? false : unfinished,
      ]);
      // Without the key nothing is left out.
      expect(ringOrder(Ring.Records, slots).entries.length).toBe(isBlank(slots[at]!) ? recordSlots - 1 : recordSlots);
    }
    function isBlank(slot: Uint8Array): boolean {
      return slot.every((byte) => byte === 0xff);
    }
    /** What the slot held a lap before: it has the place's sequence of then. */
    function oldEntry(entry: Uint8Array): Uint8Array {
      const old = Buffer.from(random.bytes(128));
      old.writeUInt32LE(Buffer.from(entry).readUInt32LE(4) - recordSlots, 4);
      return old;
    }
  });
});

describe('wrong uses', () => {
  test('say what to do', async () => {
    const small = await runMetertime(['logbook', '--storage', file('small.bin', new Uint8Array(8192))]);
    expect(small.exitCode).toBe(ExitCode.Usage);
    expect(small.stderr).toContain(
      'holds no logbook: it has 8192 bytes, and one with records and logbook has 65536 at least',
    );
    const both = await runMetertime(['logbook', '--storage', stored(), '--records', '--network']);
    expect(both.exitCode).toBe(ExitCode.Usage);
    expect((await runMetertime(['logbook'])).exitCode).toBe(ExitCode.Usage);
    // A storage that was never used has a logbook without entries, and settings of nobody.
    const blank = await logbook('--storage', file('blank.bin', new Uint8Array(65_536).fill(0xff)));
    expect(blank).toMatchObject({ exitCode: ExitCode.Ok, entries: [], report: { meter: null } });
  });
});
