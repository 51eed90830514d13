// The outbox keeps what it has taken: over kills, a full disk and damage; and says what it cannot keep.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  watch,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { decodeEntry, encodeEntry } from '../../host/outbox/entry.ts';
import { Outbox, type OutboxEntry, type OutboxOptions, type OutboxReport } from '../../host/outbox/outbox.ts';
import { entryKey, makeStore } from '../../host/outbox/store.ts';
import { checkStore, damagedLogBytes, isTableWhole, namedFiles } from '../../host/outbox/store-check.ts';
import { until } from '../../host/setup/until.ts';
import { bundleChild } from './bundle-child.ts';
import { fullDisk } from './full-disk.ts';

const seed = Number(process.env.METERTIME_SEED ?? Math.floor(Math.random() * 2 ** 31));
console.log(`outbox: METERTIME_SEED=${seed}`);
let state = seed;
/** Integers below `limit` from the seed (mulberry32). */
function random(limit: number): number {
  state = (state + 0x6d2b79f5) | 0;
  let t = Math.imul(state ^ (state >>> 15), 1 | state);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) % limit;
}

let directory = '';
let reports: OutboxReport[] = [];
const open: Outbox[] = [];
const children: ChildProcess[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'metertime-outbox-'));
  reports = [];
});
afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  await Promise.all(open.splice(0).map((outbox) => outbox.close()));
  rmSync(directory, { recursive: true, force: true });
});

async function openOutbox(options: Partial<OutboxOptions> = {}): Promise<Outbox> {
  const outbox = new Outbox({
    directory,
    maxBytes: 1 << 26,
    reserveBytes: 1 << 16,
    retryMs: 20,
    report: (report) => reports.push(report),
    ...options,
  });
  await outbox.open();
  open.push(outbox);
  return outbox;
}

async function reopen(outbox: Outbox): Promise<Outbox> {
  await outbox.close();
  open.splice(open.indexOf(outbox), 1);
  return openOutbox();
}

const message = (text: string) => ({
  topic: 'a/b',
  payload: Buffer.from(text),
  properties: { contentType: 'text/plain' },
});
const codes = () => reports.map(({ code }) => code);

async function all(outbox: Outbox): Promise<string[]> {
  const texts: string[] = [];
  for (const { number } of outbox.waiting()) texts.push(Buffer.from((await outbox.read(number))!.payload).toString());
  return texts;
}

/** Files of the store. */
const files = (pattern: RegExp) =>
  readdirSync(join(directory, 'store'))
    .filter((name) => pattern.test(name))
    .map((name) => join(directory, 'store', name));

describe('is for its own user alone', () => {
  const modeOf = (...names: string[]) => statSync(join(directory, ...names)).mode & 0o777;
  test('where it makes its folders', async () => {
    directory = join(directory, 'data', 'outbox');
    await openOutbox();
    for (const names of [['..'], [], ['store']]) expect(modeOf(...names)).toBe(0o700);
    expect(codes()).toEqual([]);
  });

  test('where an earlier version made the store', async () => {
    mkdirSync(join(directory, 'store'), { mode: 0o755 });
    await openOutbox();
    expect(modeOf('store')).toBe(0o700);
    expect(codes()).toEqual([]);
  });

  test('where it found its folder open to everyone, it says so', async () => {
    chmodSync(directory, 0o755);
    const outbox = await openOutbox();
    expect(modeOf('store')).toBe(0o700);
    expect(codes()).toEqual(['outbox-not-private']);
    expect(reports[0]!.message).toContain(`chmod o-rwx ${directory}`);
    chmodSync(directory, 0o750);
    await reopen(outbox);
    expect(codes()).toEqual(['outbox-not-private']);
  });
});

describe('keeps messages', () => {
  test('in order, with number, topic, payload and properties, over a restart', async () => {
    let outbox = await openOutbox();
    const numbers = await Promise.all(['one', 'two', 'three'].map((text) => outbox.put(message(text))));
    expect(numbers).toEqual([1, 2, 3]);
    outbox = await reopen(outbox);
    expect(await all(outbox)).toEqual(['one', 'two', 'three']);
    expect(await outbox.read(2)).toEqual({ ...message('two'), number: 2 });
    expect(reports).toEqual([]);
  });

  test('until they are removed, and uses no number twice', async () => {
    let outbox = await openOutbox();
    await outbox.put(message('one'));
    await outbox.put(message('two'));
    outbox.remove(2);
    outbox.remove(2);
    expect(outbox.state).toMatchObject({ entries: 1, refused: 0 });
    outbox = await reopen(outbox);
    expect(await all(outbox)).toEqual(['one']);
    expect(await outbox.put(message('three'))).toBe(3);
    outbox.remove(1);
    outbox.remove(3);
    outbox = await reopen(outbox);
    expect(outbox.state).toEqual({ entries: 0, bytes: 0, refused: 0 });
    expect(await outbox.put(message('four'))).toBe(4);
    expect(reports).toEqual([]);
  });

  test('and gives them in order from any number on, several at once, whatever came and went', async () => {
    let outbox = await openOutbox();
    const kept: number[] = [];
    for (let round = 0; round < 30; round++) {
      const putting = Array.from({ length: 1 + random(20) }, (_, index) => outbox.put(message(`${round} ${index}`)));
      // Those that are being written are not there yet, and are not passed over afterwards.
      expect([...outbox.waiting()].map(({ number }) => number)).toEqual(kept);
      kept.push(...(await Promise.all(putting)));
      // Mostly the first ones go, as they do to a broker; now and then all but an old one.
      const most = random(8) === 0 ? kept.length : random(20);
      for (const number of kept.slice(random(3), most)) {
        kept.splice(kept.indexOf(number), 1);
        outbox.remove(number);
      }
      if (random(8) === 0) outbox = await reopen(outbox);
      const after = random(400);
      const behind = kept.filter((number) => number > after);
      expect([...outbox.waiting(after)].map(({ number }) => number)).toEqual(behind);
      expect([...outbox.waiting()].map(({ number }) => number)).toEqual(kept);
      const asked = [...behind.slice(0, 5).reverse(), 1_000_000];
      const read = await outbox.readAll(asked);
      expect(read.map((entry) => entry?.number)).toEqual([...asked.slice(0, -1), undefined]);
    }
    expect(reports).toEqual([]);
  });

  test('and the marks of those refused, and notes', async () => {
    let outbox = await openOutbox();
    await outbox.put(message('one'));
    expect(await outbox.mark(1, 0x87, 1000)).toEqual({ reasonCode: 0x87, times: 1, atMs: 1000 });
    expect(await outbox.mark(1, 0x97, 2000)).toEqual({ reasonCode: 0x97, times: 2, atMs: 2000 });
    outbox.note('online/m1', 'yes');
    outbox.note('online/m2', 'yes');
    outbox.note('online/m2', undefined);
    outbox = await reopen(outbox);
    expect([...outbox.waiting()]).toEqual([{ number: 1, refused: { reasonCode: 0x97, times: 2, atMs: 2000 } }]);
    expect(outbox.state.refused).toBe(1);
    expect([...outbox.notes]).toEqual([['online/m1', 'yes']]);
    expect(reports).toEqual([]);
  });

  test('up to its size', async () => {
    const outbox = await openOutbox({ maxBytes: 1000 });
    await outbox.put(message('x'.repeat(500)));
    await expect(outbox.put(message('y'.repeat(500)))).rejects.toMatchObject({ code: 'outbox-full' });
    await expect(outbox.put(message('y'.repeat(500)))).rejects.toThrow(/outbox\.maxMebibytes/);
    expect(codes()).toEqual(['outbox-full']);
    outbox.remove(1);
    await outbox.put(message('y'.repeat(500)));
    expect(await all(outbox)).toEqual(['y'.repeat(500)]);
  });

  test('together with others and with notes: all or none', async () => {
    let outbox = await openOutbox({ maxBytes: 2000 });
    outbox.note('of', 'before');
    const place = (position: number) => ({ series: 'records/m1/1', position });
    const two = [
      { ...message('one'), place: place(7) },
      { ...message('two'), place: place(8) },
    ];
    expect(await outbox.putAll(two, { notes: { of: 'both', other: 'x' } })).toEqual([1, 2]);
    const large = [message('three'), message('y'.repeat(2000))];
    await expect(outbox.putAll(large, { notes: { of: 'neither' } })).rejects.toMatchObject({ code: 'outbox-full' });
    outbox = await reopen(outbox);
    expect(await all(outbox)).toEqual(['one', 'two']);
    expect([...outbox.waiting()].map((entry) => entry.place)).toEqual([place(7), place(8)]);
    expect(Object.fromEntries(outbox.notes)).toEqual({ of: 'both', other: 'x' });
    expect(outbox.noteOf('of')).toBe('both');
    expect(codes()).toEqual(['outbox-full']);
  });

  test('up to a share of its size, which leaves room for others', async () => {
    const outbox = await openOutbox({ maxBytes: 1000 });
    await outbox.putAll([message('x'.repeat(300))], { share: 0.5 });
    for (let times = 0; times < 2; times++) {
      const refused = expect(outbox.putAll([message('y'.repeat(100))], { share: 0.5 })).rejects;
      await refused.toThrow(/takes 500 at most/);
      if (times === 0) await outbox.put(message('z'.repeat(100)));
    }
    expect(codes()).toEqual(['outbox-full']);
  });

  test('for one process only', async () => {
    const outbox = await openOutbox();
    await outbox.put(message('one'));
    const second = new Outbox({ directory, maxBytes: 1000 });
    await expect(second.open()).rejects.toMatchObject({
      code: 'outbox-locked',
      message: expect.stringContaining('in use by another process'),
    });
    await expect(second.put(message('x'))).rejects.toMatchObject({ code: 'outbox-closed' });
    expect(await all(outbox)).toEqual(['one']);
  });

  test('nowhere where it may not write', async () => {
    writeFileSync(join(directory, 'file'), '');
    const outbox = new Outbox({ directory: join(directory, 'file', 'outbox'), maxBytes: 1000 });
    await expect(outbox.open()).rejects.toMatchObject({ code: 'outbox-unavailable' });
  });
});

describe('on a disk that is full when it is opened', () => {
  async function leave(): Promise<void> {
    const outbox = await openOutbox();
    for (const text of ['one', 'two', 'three']) await outbox.put(message(text));
    outbox.note('left', 'yes');
    await outbox.close();
    open.splice(open.indexOf(outbox), 1);
  }

  test('gives up its reserve, and knows at once what an earlier run left', async () => {
    await leave();
    const disk = fullDisk(() => readdirSync(directory).includes('reserve'));
    try {
      const outbox = await openOutbox();
      expect(outbox.noteOf('left')).toBe('yes');
      expect(await all(outbox)).toEqual(['one', 'two', 'three']);
      expect(codes()[0]).toBe('outbox-disk-full');
    } finally {
      disk.restore();
    }
  });

  test('takes nothing before it knows that: a number is used once, and notes are put together', async () => {
    await leave();
    const disk = fullDisk(() => true);
    try {
      const outbox = await openOutbox({ retryMs: 1 });
      let loaded = 0;
      outbox.onLoaded(() => loaded++);
      await expect(outbox.put(message('four'))).rejects.toMatchObject({ code: 'outbox-disk-full' });
      outbox.note('new', 'yes');
      disk.restore();
      const four = await until('taken', () => outbox.put(message('four')).catch(() => undefined));
      expect(four).toBe(4);
      expect(await all(outbox)).toEqual(['one', 'two', 'three', 'four']);
      expect(Object.fromEntries(outbox.notes)).toEqual({ left: 'yes', new: 'yes' });
      outbox.onLoaded(() => loaded++);
      expect(loaded).toBe(2);
      const again = await reopen(outbox);
      expect(await all(again)).toEqual(['one', 'two', 'three', 'four']);
      expect(Object.fromEntries(again.notes)).toEqual({ left: 'yes', new: 'yes' });
      expect(codes()).toEqual(['outbox-disk-full', 'outbox-room']);
    } finally {
      disk.restore();
    }
  });
});

describe('an entry on disk', () => {
  const entry: OutboxEntry = { ...message('payload'), number: 7, refused: { reasonCode: 0x87, times: 1, atMs: 5 } };

  test('reads back as it was', () => {
    expect(decodeEntry(encodeEntry(entry), 7)).toEqual(entry);
  });

  test('is refused with any bit changed, cut short, or under another number', () => {
    const bytes = encodeEntry(entry);
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const damaged = Buffer.from(bytes);
      damaged[bit >> 3]! ^= 1 << (bit & 7);
      expect(decodeEntry(damaged, 7), `bit ${bit}`).toBeUndefined();
    }
    for (let length = 0; length < bytes.length; length++) {
      expect(decodeEntry(bytes.subarray(0, length), 7), `${length} bytes`).toBeUndefined();
    }
    expect(decodeEntry(bytes, 8)).toBeUndefined();
  });
});

describe('killed at any moment', () => {
  let child = '';
  beforeAll(async () => {
    child = await bundleChild('outbox-child.ts');
  });

  test('has everything that put() had taken, 15 times in a row', async () => {
    let next = 1;
    const acknowledged = new Set<number>();
    for (let round = 0; round < 15; round++) {
      const process_ = spawn(process.execPath, [
        child,
        directory,
        'put',
        String(next),
        '300',
        'writeBufferBytes=65536',
      ]);
      children.push(process_);
      let output = '';
      process_.stdout.on('data', (data: Buffer) => {
        output += data;
      });
      const target = 1 + random(60);
      const linesOf = (kind: string) =>
        output
          .split('\n')
          .slice(0, -1)
          .filter((line) => line.startsWith(kind));
      await until(`round ${round}: ${target} messages put`, () => linesOf('ok').length >= target, { intervalMs: 1 });
      process_.kill('SIGKILL');
      await once(process_, 'close');
      for (const line of linesOf('ok')) acknowledged.add(Number(line.slice(3)));
      expect(linesOf('report'), `round ${round}`).toEqual([]);
      next = Math.max(...acknowledged) + 10;
    }
    expect(await missing(acknowledged)).toEqual([]);
    expect(acknowledged.size).toBeGreaterThan(15);
    expect(reports).toEqual([]);
  });

  test('while it writes a table: half a table that the store does not name is no damage', {
    timeout: 60_000,
  }, async () => {
    const store = join(directory, 'store');
    mkdirSync(store, { mode: 0o700 });
    const acknowledged = new Set<number>();
    let next = 1;
    let halves = 0;
    for (let round = 0; round < 40 && halves < 3; round++) {
      // Large tables, which take a while to write.
      const argv = [child, directory, 'put', String(next), '30000', 'writeBufferBytes=1048576', 'reserveBytes=65536'];
      const process_ = spawn(process.execPath, argv);
      children.push(process_);
      const { lines, acknowledged: taken } = follow(process_);
      // Tables that it makes once it is open, not those of its opening.
      await until(`round ${round}: messages put`, () => taken().length >= 10, { intervalMs: 1 });
      const abort = new AbortController();
      const watcher = watch(store, { signal: abort.signal });
      await new Promise<void>((resolve) => {
        watcher.on('change', (_, name) => {
          if (String(name).endsWith('.ldb')) resolve();
        });
      });
      process_.kill('SIGKILL');
      abort.abort();
      await once(process_, 'close');
      for (const number of taken()) acknowledged.add(number);
      expect(
        lines.filter((line) => line.startsWith('report')),
        `round ${round}`,
      ).toEqual([]);
      next = Math.max(...acknowledged) + 10;
      halves += files(/\.ldb$/).filter((table) => !isTableWhole(readFileSync(table))).length;
      expect(checkStore(store), `round ${round}`).toEqual({ logBytes: 0, tables: 0, currentLost: false });
    }
    expect(halves).toBeGreaterThan(0);
    expect(await missing(acknowledged)).toEqual([]);
    expect(reports).toEqual([]);
  });

  test('lets the next process in, and keeps a second one out while it lives', async () => {
    const holder = spawn(process.execPath, [child, directory, 'hold']);
    children.push(holder);
    await once(holder.stdout, 'data');
    await expect(openOutbox()).rejects.toMatchObject({ code: 'outbox-locked' });
    holder.kill('SIGKILL');
    await once(holder, 'close');
    await (await openOutbox()).put(message('one'));
  });

  test('keeps a second process from mending a store that changes under its eyes', async () => {
    const holder = spawn(process.execPath, [child, directory, 'put', '1']);
    children.push(holder);
    const { lines, acknowledged } = follow(holder);
    await until('messages put', () => acknowledged().length >= 10);
    const store = join(directory, 'store');
    // A file that is listed and gone when it is looked at; a manifest that CURRENT names and that was not listed yet.
    symlinkSync('gone', join(store, '000900.log'));
    await expect(openOutbox()).rejects.toMatchObject({ code: 'outbox-locked' });
    rmSync(join(store, '000900.log'));
    const current = readFileSync(join(store, 'CURRENT'));
    writeFileSync(join(store, 'CURRENT'), 'MANIFEST-000900\n');
    await expect(openOutbox()).rejects.toMatchObject({ code: 'outbox-locked' });
    writeFileSync(join(store, 'CURRENT'), current);
    const before = acknowledged().length;
    await until('further messages', () => acknowledged().length >= before + 10);
    holder.kill('SIGKILL');
    await once(holder, 'close');
    expect(await missing(acknowledged())).toEqual([]);
    expect([...codes(), ...lines.filter((line) => line.startsWith('report'))]).toEqual([]);
  });

  /** Opens the outbox; gives those of a child's messages that are not in it. */
  async function missing(numbers: Iterable<number>): Promise<number[]> {
    const outbox = await openOutbox();
    const found = new Set<number>();
    for (const { number } of outbox.waiting()) {
      const { topic, payload } = (await outbox.read(number))!;
      const n = Buffer.from(payload).readUInt32LE(0);
      expect(topic).toBe(`t/${n}`);
      found.add(n);
    }
    return [...numbers].filter((n) => !found.has(n));
  }

  /** Runs with a small file system of its own (root, or user namespaces). */
  const namespace = process.getuid?.() === 0 ? ['unshare', '-m'] : ['unshare', '-Urm'];
  const canMount =
    spawnSync(namespace[0]!, [...namespace.slice(1), 'mount', '-t', 'tmpfs', 'tmpfs', tmpdir()]).status === 0;

  /** Follows a child that puts until it is told that the disk is full. */
  function follow(process_: ChildProcess) {
    children.push(process_);
    const lines: string[] = [];
    let rest = '';
    process_.stdout!.on('data', (data: Buffer) => {
      const parts = (rest + data).split('\n');
      rest = parts.pop()!;
      lines.push(...parts);
    });
    const acknowledged = () => lines.filter((line) => line.startsWith('ok')).map((line) => Number(line.slice(3)));
    return { lines, acknowledged };
  }

  test.skipIf(!canMount)(
    'on a full disk: refuses clearly, loses nothing, empties itself and goes on',
    { timeout: 80_000 },
    async () => {
      // The child's own copy of the mount table holds the small disk: it goes with the process.
      const script = `mount -t tmpfs -o size=6m,mode=700 tmpfs "$1" && exec "$2" "$3" "$1" put 1 3000 retryMs=50 reserveBytes=2097152 writeBufferBytes=262144`;
      const process_ = spawn(namespace[0]!, [
        ...namespace.slice(1),
        'sh',
        '-c',
        script,
        'sh',
        directory,
        process.execPath,
        child,
      ]);
      const { lines, acknowledged } = follow(process_);
      // The store gives back some room at first; then the disk stays full, and that is said each time.
      const full = () => lines.length > 100 && lines.slice(-100).every((line) => line === 'no outbox-disk-full');
      await until('a full disk', full, { timeoutMs: 25_000 });
      const before = acknowledged();
      expect(before.length).toBeGreaterThan(300);
      expect(lines.find((line) => line.startsWith('report'))).toBe('report outbox-disk-full');
      lines.push('now removed');
      // Messages leave: the reserve lets the store shrink, without help from outside.
      process_.stdin.write('remove\n');
      await until('room again', () => lines.indexOf('report outbox-room', lines.indexOf('now removed')) > 0, {
        timeoutMs: 25_000,
      });
      await until('further messages', () => acknowledged().length > before.length + 100, { timeoutMs: 25_000 });
      process_.kill('SIGKILL');
      await once(process_, 'close');
      expect(new Set(acknowledged()).size).toBe(acknowledged().length);
      expect(lines.filter((line) => line.includes('damaged') || line.includes('failed'))).toEqual([]);
    },
  );

  test('at the limit of file sizes: refuses clearly, loses nothing, and goes on when it is lifted', async () => {
    // SIGXFSZ ignored makes writes beyond the limit fail as on a full disk; 400 blocks of 512 bytes (or 1024) below the write buffer.
    const script = `trap '' XFSZ; ulimit -S -f 400; exec "$@"`;
    const argv = [child, directory, 'put', '1', '500', 'retryMs=50', 'reserveBytes=4096', 'writeBufferBytes=1048576'];
    const process_ = spawn('sh', ['-c', script, 'sh', process.execPath, ...argv]);
    const { lines, acknowledged } = follow(process_);
    await until('the limit', () => lines.includes('no outbox-disk-full'), { timeoutMs: 30_000 });
    const before = acknowledged();
    expect(before.length).toBeGreaterThan(100);
    expect(spawnSync('prlimit', ['--pid', String(process_.pid), '--fsize=unlimited']).status).toBe(0);
    await until('further messages', () => acknowledged().length > before.length + 50, { timeoutMs: 30_000 });
    process_.kill('SIGKILL');
    await once(process_, 'close');
    expect(await missing(acknowledged())).toEqual([]);
    expect(codes()).toEqual([]);
  });
});

describe('damage is noticed and said:', () => {
  async function fill(count: number): Promise<void> {
    const outbox = await openOutbox();
    for (let n = 0; n < count; n++) await outbox.put(message(`message ${n} ${'.'.repeat(200)}`));
    await outbox.close();
    open.splice(open.indexOf(outbox), 1);
  }

  function flip(path: string, at: number): void {
    const bytes = readFileSync(path);
    bytes[at]! ^= 0x40;
    writeFileSync(path, bytes);
  }

  test('a flipped bit anywhere in the newest log', async () => {
    await fill(40);
    const [log] = files(/\.log$/) as [string];
    const length = readFileSync(log).length;
    expect(length).toBeGreaterThan(10_000);
    flip(log, random(length - 400));
    const outbox = await openOutbox();
    expect(codes()).toContain('outbox-damaged');
    expect(outbox.state.entries).toBeLessThan(40);
    expect(await outbox.put(message('next'))).toBeGreaterThan(0);
  });

  test('the last record of the log', async () => {
    await fill(5);
    const [log] = files(/\.log$/) as [string];
    flip(log, readFileSync(log).length - 30);
    await openOutbox();
    expect(codes()).toEqual(['outbox-damaged']);
  });

  test('a flipped bit in a table', async () => {
    await fill(40);
    await reopen(await openOutbox());
    const [table] = files(/\.ldb$/) as [string];
    await Promise.all(open.splice(0).map((outbox) => outbox.close()));
    flip(table, 1000 + random(3000));
    const outbox = await openOutbox();
    expect(codes()).toContain('outbox-damaged');
    for (const text of await all(outbox)) expect(text).toMatch(/^message \d+ \.+$/);
  });

  test('a manifest full of zeros: what can be read is saved, a copy of the damaged store stays', async () => {
    await fill(10);
    const [manifest] = files(/^MANIFEST/) as [string];
    writeFileSync(manifest, Buffer.alloc(readFileSync(manifest).length));
    const outbox = await openOutbox();
    expect(codes()).toEqual(['outbox-repaired']);
    expect(await all(outbox)).toHaveLength(10);
    expect(readdirSync(directory)).toContain('store.damaged');
  });

  test('a power cut before a salvaged store took the place of the damaged one', async () => {
    await fill(10);
    renameSync(join(directory, 'store'), join(directory, 'store.salvaged'));
    cpSync(join(directory, 'store.salvaged'), join(directory, 'store'), { recursive: true });
    rmSync(join(directory, 'store', 'CURRENT'));
    const outbox = await openOutbox();
    expect(codes()).toEqual([]);
    expect(await all(outbox)).toHaveLength(10);
    expect(readdirSync(directory)).not.toContain('store.salvaged');
  });

  test('a missing CURRENT file, which would start an empty store', async () => {
    await fill(10);
    rmSync(join(directory, 'store', 'CURRENT'));
    const outbox = await openOutbox();
    expect(codes()).toEqual(['outbox-repaired']);
    expect(await all(outbox)).toHaveLength(10);
  });

  test('a CURRENT file that names no file of the store', async () => {
    await fill(10);
    const current = join(directory, 'store', 'CURRENT');
    flip(current, random(readFileSync(current).length));
    const outbox = await openOutbox();
    expect(codes()).toEqual(['outbox-repaired']);
    expect(await all(outbox)).toHaveLength(10);
  });

  test('a damaged key in a table: its entry is found by its own number', async () => {
    await fill(40);
    await reopen(await openOutbox());
    const [table] = files(/\.ldb$/) as [string];
    await Promise.all(open.splice(0).map((outbox) => outbox.close()));
    // The first key of a block stands there whole; the next ones are written as what differs from it.
    const at = readFileSync(table).indexOf('e!000000000000');
    expect(at).toBeGreaterThan(0);
    flip(table, at + random(16));
    const outbox = await openOutbox();
    expect(codes()).toContain('outbox-repaired');
    const texts = await all(outbox);
    for (const text of texts) expect(text).toMatch(/^message \d+ \.{200}$/);
    // Of two keys that became alike, LevelDB shows one.
    expect(texts.length).toBeGreaterThanOrEqual(38);
    const told = codes().length;
    await outbox.put(message('the next'));
    await reopen(outbox);
    expect(codes()).toHaveLength(told);
  });

  test('what a power cut leaves of the last write is no damage', async () => {
    await fill(10);
    const [log] = files(/\.log$/) as [string];
    const bytes = readFileSync(log);
    expect(damagedLogBytes(bytes)).toBe(0);
    const zeros = Buffer.concat([bytes, Buffer.alloc(5000)]);
    expect(damagedLogBytes(zeros)).toBe(0);
    writeFileSync(log, bytes.subarray(0, bytes.length - 1 - random(150)));
    const outbox = await openOutbox();
    expect(reports).toEqual([]);
    expect(outbox.state.entries).toBe(9);
  });

  test('looked for in the tables that LevelDB itself has for those of the store', async () => {
    const store = await makeStore(join(directory, 'store'), 1 << 16);
    await store.open();
    const listed = () =>
      [...store.getProperty('leveldb.sstables').matchAll(/^ (\d+):/gm)].map((match) => Number(match[1]));
    const named = () => namedFiles(readFileSync(files(/^MANIFEST/)[0]!))!;
    const logs = () => files(/\.log$/).map((log) => Number.parseInt(basename(log), 10));
    const sorted = (numbers: Iterable<number>) => [...numbers].sort((a, b) => a - b).join();
    for (let round = 0; round < 4; round++) {
      const before = sorted(listed());
      for (let n = 0; n < 60; n++) await store.put(entryKey(random(1000)), Buffer.alloc(4000, n));
      if (round > 1) await store.compactRange('e!', 'e~');
      // LevelDB may still be rewriting tables.
      await until(`round ${round}: one list`, () => sorted(named().tables) === sorted(listed()));
      await until(`round ${round}: the first log`, () => logs().includes(named().firstLog));
      expect(sorted(listed())).not.toBe(before);
    }
    await store.close();
  });

  test('what a kill leaves of a table or a log that the store does not name (any more) is no damage', async () => {
    await fill(40);
    await reopen(await openOutbox());
    await Promise.all(open.splice(0).map((outbox) => outbox.close()));
    const [table] = files(/\.ldb$/) as [string];
    const bytes = readFileSync(table);
    const half = join(directory, 'store', '000900.ldb');
    for (const length of [0, 1 + random(bytes.length - 1), bytes.length - 1]) {
      writeFileSync(half, bytes.subarray(0, length));
      writeFileSync(join(directory, 'store', '000001.log'), Buffer.alloc(100, 1));
      const outbox = await openOutbox();
      expect(reports, `${length} bytes`).toEqual([]);
      expect(outbox.state.entries).toBe(40);
      expect(files(/^000(900|001)\./)).toEqual([]);
      await outbox.close();
      open.splice(open.indexOf(outbox), 1);
    }
  });
});
