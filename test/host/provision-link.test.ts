// metertime provision --link and provision-batch: meters without settings get them over their links, many from a list, with
// a report that says what became of each; no key is in anything that is printed or reported.
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { StorageMap } from '../../as/abi/codes.ts';
import { ExitCode } from '../../host/cli/exit-codes.ts';
import { openMeterLink, provisionAtLink } from '../../host/cli/provision-link.ts';
import type { LinkTransport } from '../../host/link/transport.ts';
import { type LinkListener, openLink } from '../../host/link/transports.ts';
import { SystemClock } from '../../host/meter/clocks.ts';
import { lineOf, SoftwareMeter } from '../../host/meter/software-meter.ts';
import { MemoryStorage } from '../../host/meter/storage.ts';
import { decodeSettings, settingsDefaults } from '../../host/provision/settings-block.ts';
import { readStorageSettings } from '../../host/provision/storage-file.ts';
import { buildCore } from '../../scripts/build-core.mjs';
import { runMetertime } from './cli-run.ts';

let folder: string;
beforeAll(async () => {
  await buildCore();
  folder = mkdtempSync(join(tmpdir(), 'metertime-provision-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const ending: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  await Promise.all(ending.splice(0).map((end) => end()));
});

interface Bench {
  readonly link: string;
  readonly storage: MemoryStorage;
  cut(): void;
}

/** A meter without settings behind a socket, as one on a bench is behind a serial port. */
async function benchMeter(board = 'bench'): Promise<Bench> {
  const storage = new MemoryStorage(StorageMap.TariffBytes);
  const listener = openLink('tcp-listen://127.0.0.1:0') as LinkListener;
  let now: LinkTransport | undefined;
  listener.on('link', (transport) => {
    now = transport;
    const line = lineOf(transport);
    const meter = new SoftwareMeter({
      clock: new SystemClock(),
      storage,
      line,
      board,
      buildUnixSeconds: 1_795_000_000,
    });
    transport.start();
    meter.start();
    ending.push(() => meter.stop());
  });
  await listener.start();
  ending.push(() => listener.close());
  return { link: `tcp://127.0.0.1:${listener.port}`, storage, cut: () => void now?.close() };
}

const file = (name: string, text?: string): string => {
  const path = join(folder, name);
  if (text !== undefined) writeFileSync(path, text);
  return path;
};

/** That no root key is where it should not be. */
function expectSecret(storage: Uint8Array, ...texts: string[]): void {
  const { rootKey } = decodeSettings(storage);
  const key = Buffer.from(rootKey);
  for (const text of texts) {
    for (const form of ['hex', 'base64', 'latin1'] as const) expect(text.includes(key.toString(form))).toBe(false);
  }
}

describe('metertime provision --link', () => {
  it('gives a meter its settings, once, and writes its keys', async () => {
    const { link, storage } = await benchMeter();
    const keys = file('one.json');
    const args = ['provision', '--link', link, '--id', 'one', '--server', 'time.example', '--keys', keys];
    const ran = await runMetertime(args);
    expect(ran.exitCode, ran.stderr).toBe(ExitCode.Ok);
    expect(ran.stdout).toMatch(/Meter +: one at tcp:.*: started with its settings\nBoard +: bench/);
    expect(decodeSettings(storage.contents).settings).toMatchObject({ id: 'one', servers: [{ host: 'time.example' }] });
    expect(JSON.parse(readFileSync(keys, 'utf8'))).toMatchObject({ meter: 'one' });
    expect(statSync(keys).mode & 0o777).toBe(0o600);
    expectSecret(storage.contents, ran.stdout, readFileSync(keys, 'utf8'));
    // A meter that has settings keeps them, and the keys that were made for it.
    const before = storage.contents.slice(0, StorageMap.SettingsBytes);
    const again = await runMetertime([...args, '--force']);
    expect(again).toMatchObject({ exitCode: ExitCode.Failed });
    expect(again.stderr).toMatch(/meter one is provisioned already/);
    const other = await runMetertime([
      'provision',
      '--link',
      link,
      '--id',
      'two',
      '--server',
      'a',
      '--keys',
      file('two'),
    ]);
    expect(other.stderr).toMatch(/meter one is provisioned already, and takes no other settings/);
    expect(existsSync(file('two'))).toBe(false);
    expect(storage.contents.slice(0, StorageMap.SettingsBytes)).toEqual(before);
    expect(existsSync(keys)).toBe(true);
  });

  it('leaves a meter alone that is another board than expected, or has no place for its settings', async () => {
    const { link, storage } = await benchMeter('other');
    const args = ['provision', '--link', link, '--id', 'one', '--server', 'time.example', '--keys', file('x.json')];
    const wrong = await runMetertime([...args, '--board', 'mps2-an385']);
    expect(wrong).toMatchObject({ exitCode: ExitCode.Failed });
    expect(wrong.stderr).toMatch(/expected board mps2-an385, came other; nothing was written/);
    expect(existsSync(file('x.json'))).toBe(false);
    expect(storage.contents.every((byte) => byte === 0xff)).toBe(true);
  });

  it.each([
    ["while not all of them were sent: its keys are nobody's", /^writing settings, 0 /, false],
    ['once all of them were sent: its keys stay', /^waiting for the meter to start/, true],
  ])('is ended %s', async (_, at, stay) => {
    const { link, storage } = await benchMeter();
    const abort = new AbortController();
    const keys = file(`ended-${stay}.json`);
    const settings = { ...settingsDefaults, id: 'one', servers: [{ host: 'time.example', port: 4460 }] };
    const ended = provisionAtLink(openMeterLink(link), settings, {
      ...{ files: { keys }, force: false, signal: abort.signal },
      onStep: (step) => at.test(step) && abort.abort(),
    });
    await expect(ended).rejects.toMatchObject({ code: 'provision-aborted' });
    expect(existsSync(keys)).toBe(stay);
    expect(storage.contents[0] !== 0xff).toBe(stay);
  });

  it('says what does not go together', async () => {
    const base = ['provision', '--link', 'tcp://127.0.0.1:9', '--id', 'one', '--server', 'a'];
    for (const [args, message] of [
      [base, /nobody would ever know the keys/],
      [[...base, '--keys', 'k', 'file.bin'], /--link and a storage file exclude each other/],
      [[...base, '--keys', 'k', '--tariff', 't.yaml'], /--link and --tariff exclude each other/],
      [['provision', '--id', 'one', '--server', 'a'], /nothing says where to/],
      [
        ['provision', '--link', 'tcp-listen://127.0.0.1:0', '--id', 'a', '--server', 'a', '--keys', file('k')],
        /meters connect there/,
      ],
    ] as const) {
      const ran = await runMetertime(args);
      expect(ran.exitCode).toBe(ExitCode.Usage);
      expect(ran.stderr).toMatch(message);
    }
  });
});

describe('metertime provision-batch', () => {
  it('provisions meters into files and over links, reports each, and goes on where it ended', async () => {
    const [first, second] = [await benchMeter(), await benchMeter()];
    const common = file(
      'common.yaml',
      'servers: [time.example, "other.example:4461"]\npoll: {minSeconds: 32, maxSeconds: 64}\n',
    );
    const list = file(
      'list.csv',
      [
        'id,link,servers,poll.maxSeconds,calibration.id,calibration.atUtc,calibration.untilUtc,calibration.uncertaintyPpb,x-serial,x-place',
        `a,${first.link},,,,,,,0001,"Hall 1, left"`,
        'b,,third.example,128,,,,,0002,',
        `c,${second.link},,,2026,2026-01-15T09:00:00Z,2034-01-15T09:00:00Z,500,0003,`,
        'd,tcp://127.0.0.1:1,,,,,,,0004,',
      ].join('\r\n'),
    );
    const [out, keys] = [file('images'), file('keys')];
    const args = ['provision-batch', list, '-s', common, '-o', out, '-k', keys];
    const abort = new AbortController();
    // Nobody is at the last link: the command is ended while it waits there.
    const ran = await runMetertime(args, {
      signal: abort.signal,
      watch: (() => {
        let seen = '';
        return (text: string) => {
          seen += text;
          if (['a', 'b', 'c'].every((id) => seen.includes(`${id}, `))) abort.abort();
        };
      })(),
    });
    expect(ran.exitCode).toBe(ExitCode.Interrupted);
    expect(ran.stdout).toMatch(/3 of 4 meters provisioned, 1 failed; report: .*list\.report\.csv\n$/);
    expect(decodeSettings(first.storage.contents).settings).toMatchObject({
      id: 'a',
      poll: { minSeconds: 32, maxSeconds: 64 },
    });
    expect(decodeSettings(second.storage.contents).settings.calibration).toMatchObject({
      id: '2026',
      uncertaintyPpb: 500,
    });
    expect(readStorageSettings(join(out, 'b.bin'))).toMatchObject({
      id: 'b',
      servers: [{ host: 'third.example' }],
      poll: { minSeconds: 32, maxSeconds: 128 },
    });
    for (const id of ['a', 'b', 'c']) {
      expect(JSON.parse(readFileSync(join(keys, `${id}.json`), 'utf8'))).toMatchObject({ meter: id });
    }
    const report = () => readFileSync(file('list.report.csv'), 'utf8');
    const rows = report().trim().split('\n');
    expect(rows[0]).toBe('id,result,target,keys,at,error,x-serial,x-place');
    expect(rows).toHaveLength(5);
    expect(rows.find((row) => row.startsWith('a,'))).toMatch(
      /^a,done,tcp:.*,.*a\.json,2\d{3}-.*Z,,0001,"Hall 1, left"$/,
    );
    expect(rows.find((row) => row.startsWith('d,'))).toMatch(
      /^d,failed,tcp:\/\/127\.0\.0\.1:1,,.*ended before it was done/,
    );
    for (const storage of [first.storage, second.storage]) expectSecret(storage.contents, ran.stdout, report());

    // The same list again: what is done is left alone.
    const third = await benchMeter();
    writeFileSync(list, readFileSync(list, 'utf8').replace('tcp://127.0.0.1:1', third.link));
    const again = await runMetertime([...args, '--json']);
    expect(again.exitCode, again.stderr).toBe(ExitCode.Ok);
    const { meters } = JSON.parse(again.stdout) as { meters: { id: string; result: string }[] };
    expect(Object.fromEntries(meters.map(({ id, result }) => [id, result]))).toEqual({
      a: 'done-before',
      b: 'done-before',
      c: 'done-before',
      d: 'done',
    });
    expect(decodeSettings(third.storage.contents).settings.id).toBe('d');
  });

  it.each([
    ['id,colour\na,red\n', /bad\.csv:1: unknown column "colour"; there are id, link, /],
    ['name\na\n', /bad\.csv:1: unknown column "name"/],
    ['x-a\na\n', /bad\.csv:1: expected a column id, came x-a/],
    ['id\na\na\n', /bad\.csv:3: meter a stands in line 2 already/],
    ['id,link,file\na,tcp://h:1,b.bin\n', /bad\.csv:2: link and file exclude each other/],
    ['id,poll.maxSeconds\na,64\nb,soon\n', /bad\.csv:3: poll\.maxSeconds is "soon"; expected a whole number/],
    ['id,servers\na,time.example:0\n', /bad\.csv:2: servers: /],
    ['id\na b\n', /bad\.csv:2: .*id/],
    ['id,"x\n', /bad\.csv: expected CSV with a row of column names/],
    ['', /bad\.csv: expected a row of column names and one for each meter/],
  ])('refuses the list %j before it does anything', async (text, message) => {
    const list = file('bad.csv', text);
    const common = file('servers.yaml', 'servers: [time.example]\n');
    const ran = await runMetertime(['provision-batch', list, '-s', common, '-o', file('none'), '-k', file('none')]);
    expect(ran.exitCode).toBe(ExitCode.Usage);
    expect(ran.stderr).toMatch(message);
    expect(existsSync(file('none'))).toBe(false);
    expect(existsSync(file('bad.report.csv'))).toBe(false);
  });

  it('leaves a link sealed unless it is said to be open', async () => {
    const common = file('sealed.yaml', 'servers: [time.example]\n');
    const [out, keys] = [file('sealed'), file('sealed-keys')];
    const batch = (name: string, text: string) =>
      runMetertime(['provision-batch', file(name, text), '-s', common, '-o', out, '-k', keys]);
    const isSealed = () => readStorageSettings(join(out, 's.bin')).sealedLink === true;
    expect(await batch('seal.csv', 'id,sealedLink\ns,true\n')).toMatchObject({ exitCode: ExitCode.Ok });
    expect(isSealed()).toBe(true);
    expect(await batch('again.csv', 'id\ns\n')).toMatchObject({ exitCode: ExitCode.Ok });
    expect(isSealed()).toBe(true);
    expect(await batch('open.csv', 'id,sealedLink\ns,false\n')).toMatchObject({ exitCode: ExitCode.Ok });
    expect(isSealed()).toBe(false);
  });

  it('takes no other file for its report', async () => {
    const list = file('small.csv', 'id\nz\n');
    const common = file('servers.yaml', 'servers: [time.example]\n');
    const report = file('notes.csv', 'a,b\n1,2\n');
    const ran = await runMetertime(['provision-batch', list, '-s', common, '-k', file('k2'), '-r', report]);
    expect(ran.exitCode).toBe(ExitCode.Failed);
    expect(ran.stderr).toMatch(
      /notes\.csv: expected a report of metertime provision-batch, came a file without the column id/,
    );
    expect(readFileSync(report, 'utf8')).toBe('a,b\n1,2\n');
  });
});
