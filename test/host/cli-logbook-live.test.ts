// metertime logbook METER --mqtt: rings of a running meter are read whole through a real broker, and verified with what was
// given; what was changed, cut off or held back on the way is found, and nothing more is claimed than was checked.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectAsync } from 'mqtt';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { ChainField, CommandResult, Message, Ring } from '../../as/abi/codes.ts';
import { ExitCode } from '../../host/cli/exit-codes.ts';
import type { PublisherReport } from '../../host/mqtt/publisher.ts';
import { keysFileText } from '../../host/provision/meter-keys.ts';
import { ed25519Key } from '../../host/record/seal.ts';
import type { Report } from '../../host/record/verify.ts';
import { until } from '../../host/setup/until.ts';
import { runMetertime } from './cli-run.ts';
import { type CommandGatewayOptions, startCommandGateway } from './command-gateway.ts';
import { chainOf } from './gateway/record-meter.ts';
import type { ChainMaker } from './record-chain.ts';

let directory = '';
const cleanUp: (() => unknown)[] = [];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'metertime-logbook-live-'));
});
afterEach(async () => {
  for (const undo of cleanUp.splice(0).reverse()) await undo();
  rmSync(directory, { recursive: true, force: true });
});

/** More than two portions of each ring. */
function filled(): ChainMaker {
  const chain = chainOf('m1');
  chain.context();
  for (let index = 0; index < 300; index++) chain.record();
  for (let index = 0; index < 300; index++) chain.log(Ring.Logbook, { text: `server-${index}` });
  for (let index = 0; index < 5; index++) chain.log(Ring.Network);
  return chain;
}

function keysOf({ meter, recordKey, publicKey }: ChainMaker): string {
  const path = join(directory, 'keys.json');
  writeFileSync(path, keysFileText({ meter, recordKey, publicKey: ed25519Key(publicKey) }));
  return path;
}

interface Read {
  readonly exitCode: number;
  readonly entries: readonly { sequence: number; format: string; bytes: string }[];
  readonly report: Report & { notes: readonly string[] };
  readonly stdout: string;
}

async function start(given: Partial<CommandGatewayOptions> = {}) {
  const { chain = filled(), ...others } = given;
  const gateway = await startCommandGateway({ directory, cleanUp, chain, ...others });
  const run = (...args: string[]) => runMetertime(['logbook', 'm1', '--mqtt', gateway.broker.url, ...args]);
  const read = async (...args: string[]): Promise<Read> => {
    const { exitCode, stdout, stderr } = await run('--json', ...args);
    expect(stderr).toBe('');
    const lines = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    return { exitCode, entries: lines.slice(0, -1), report: lines.at(-1), stdout };
  };
  /** Publishes a head, and waits until the broker has it. */
  const publishHead = async (head: Uint8Array): Promise<void> => {
    gateway.publisher.meter('m1').head(head);
    const client = await connectAsync(gateway.broker.url, { protocolVersion: 5 });
    const came = new Promise((resolve) => client.once('message', resolve));
    await client.subscribeAsync('metertime/g1/m1/head');
    await came;
    await client.endAsync();
  };
  return { ...gateway, run, read, publishHead };
}

const found = ({ report }: Read) => report.findings.map(({ check, ring, sequence }) => `${check} ${ring} ${sequence}`);
const sequences = (count: number, from = 1) => Array.from({ length: count }, (_, index) => from + index);

describe('a running meter', () => {
  test.each(['json', 'cbor'] as const)('tells its whole logbook, which holds up to its head (%s)', async (format) => {
    const { chain, meter, read, publishHead } = await start({ recordFormat: format });
    await publishHead(chain.head());
    const logbook = await read('--keys', keysOf(chain));
    expect(logbook.report).toMatchObject({
      ok: true,
      findings: [],
      heads: { held: 1, failed: 0, unchecked: 0 },
      rings: [{ ring: 'logbook', entries: 300, from: 1, to: 300, seals: { held: 300 }, tail: 'signed' }],
      notes: [expect.stringContaining('2026-11-22T01:00:00.000000000Z: that nothing was written since')],
    });
    expect(logbook.exitCode).toBe(ExitCode.Ok);
    expect(logbook.entries.map(({ bytes }) => bytes)).toEqual(
      chain.rings[Ring.Logbook].map((entry) => entry.toString('base64')),
    );
    // In portions, none of which is asked for twice.
    const asked = meter.asked.flatMap(({ from, count }) => sequences(Math.min(count, 301 - from), from));
    expect(asked.toSorted((a, b) => a - b)).toEqual(sequences(300));
    expect(Math.max(...meter.asked.map(({ count }) => count))).toBe(128);
  });

  test('tells records and the ring of the network; as lines they are what metertime verify takes', async () => {
    const { chain, read, run } = await start();
    const keys = keysOf(chain);
    const records = await read('--records', '--keys', keys);
    expect(records.report).toMatchObject({ ok: true, rings: [{ ring: 'records', from: 1, tail: 'not-proven' }] });
    expect(records.entries.map(({ format }) => format)).toEqual(expect.arrayContaining(['context', 'record']));
    expect(records.entries).toHaveLength(chain.rings[Ring.Records].length);
    const lines = join(directory, 'records.ndjson');
    writeFileSync(lines, records.stdout);
    const head = join(directory, 'head.bin');
    writeFileSync(head, chain.head());
    const verified = await runMetertime(['verify', lines, '--keys', keys, '--head', head, '--from', '1']);
    expect(verified).toMatchObject({ exitCode: ExitCode.Ok, stdout: expect.stringContaining('nothing was found') });
    const network = await read('--network');
    expect(network.report).toMatchObject({ ok: true, rings: [{ ring: 'network', entries: 5, tail: 'not-proven' }] });
    const people = await run('--network');
    expect(people.stdout).toMatch(/^# {2}Time +What happened\n=+\n1 /);
  });

  test('whose oldest records are overwritten tells the others, and it is said', async () => {
    const { chain, meter, read } = await start();
    Object.assign(meter, { forgets: true, delivered: 37 });
    const { report, entries } = await read('--records', '--keys', keysOf(chain));
    expect(entries.map(({ sequence }) => sequence)).toEqual(sequences(chain.rings[Ring.Records].length - 37, 38));
    expect(report).toMatchObject({ ok: true, rings: [{ from: 38 }] });
    expect(report.notes).toEqual(['Whether the meter has overwritten all that came before entry 38 is not proven.']);
  });

  test.each([0, 7, 128, 290])('that wrote more than its gateway knows of (%i) tells that too', async (known) => {
    const { chain, target, read } = await start();
    vi.spyOn(target, 'newest').mockReturnValue(known);
    const { entries } = await read('--keys', keysOf(chain));
    expect(entries.map(({ sequence }) => sequence)).toEqual(sequences(300));
  });

  test('that has written nothing holds, and nothing is claimed of it', async () => {
    const { read } = await start({ chain: chainOf('m1') });
    const { report, exitCode } = await read();
    expect(report).toMatchObject({ ok: true, rings: [{ entries: 0, tail: 'not-proven' }], notes: [] });
    expect(exitCode).toBe(ExitCode.Ok);
  });

  test('is read in smaller portions where the broker takes no larger answers', async () => {
    const { chain, read, meter } = await start({ options: { extraConfig: ['max_packet_size 30000'] } });
    const { report, entries } = await read('--keys', keysOf(chain));
    expect(report).toMatchObject({ ok: true, findings: [] });
    expect(entries.map(({ sequence }) => sequence)).toEqual(sequences(300));
    expect(Math.min(...meter.asked.map(({ count }) => count))).toBeLessThan(128);
  });

  test('is asked again while other commands are under way', async () => {
    const reports: PublisherReport[] = [];
    const { broker, link, meter, read } = await start({ report: (each) => reports.push(each) });
    const other = await connectAsync(broker.url, { protocolVersion: 5 });
    cleanUp.push(() => other.endAsync(true));
    meter.silent = true;
    const busy = () => other.publishAsync('metertime/g1/m1/command/records', '{"from":1,"count":1}', { qos: 1 });
    await busy();
    await until('asked', () => meter.asked.length === 1);
    for (let waits = 0; waits < 4; waits++) await busy();
    const reading = read('--network');
    await until('refused', () => reports.some(({ fields }) => fields?.code === 'command-busy'));
    meter.silent = false;
    link.say({ type: Message.Done, result: CommandResult.Done, token: meter.asked[0]!.token, detail: 0 });
    expect((await reading).entries).toHaveLength(5);
  });

  test('is read by an operator with the access list of docs/mqtt.md', async () => {
    const text = readFileSync(new URL('../../docs/mqtt.md', import.meta.url), 'utf8');
    const [, acl] = /```mosquitto-acl\n(.*?)```/s.exec(text) ?? [];
    const users = { g1: 'g1-password', operator: 'operator-password' };
    const options = { users, acl: acl!.replaceAll('GATEWAY', 'g1').split('\n') };
    const { broker, chain, publisher } = await start({ options, login: { username: 'g1', password: users.g1 } });
    publisher.meter('m1').head(chain.head());
    const password = join(directory, 'operator');
    writeFileSync(password, users.operator);
    const login = ['--username', 'operator', '--password-file', password];
    const args = ['logbook', 'm1', '--mqtt', broker.url, '--keys', keysOf(chain), ...login];
    await until('signed', async () => (await runMetertime(args)).stdout.includes('300 hold  signed'));
  });
});

describe('what is not as the meter wrote it', () => {
  test('is found: a bit, an end that was cut off, a head of somebody else, a head that is none', async () => {
    const { chain, read, publishHead } = await start();
    const keys = keysOf(chain);
    const logbook = chain.rings[Ring.Logbook];
    await publishHead(chain.head());
    logbook[149]![40]! ^= 1;
    const changed = await read('--keys', keys);
    expect(found(changed)).toEqual(expect.arrayContaining(['seal logbook 150', 'link logbook 151']));
    expect(changed.exitCode).toBe(ExitCode.Mismatch);
    logbook[149]![40]! ^= 1;
    const last = logbook.pop()!;
    const cut = await read('--keys', keys);
    expect(found(cut)).toEqual(['tail logbook 300']);
    expect(cut.report.rings).toMatchObject([{ tail: 'cut' }]);
    logbook.push(last);
    await publishHead(chain.head(undefined, chainOf('m1', 2).key));
    const forged = await read('--keys', keys);
    expect(found(forged)).toEqual(['signature null null']);
    expect(forged.report).toMatchObject({ heads: { failed: 1 }, rings: [{ tail: 'not-proven' }], notes: [] });
  });

  test('is found where the broker keeps something else as head', async () => {
    const { broker, chain, read } = await start();
    const client = await connectAsync(broker.url, { protocolVersion: 5 });
    await client.publishAsync('metertime/g1/m1/head', '{"format":"head"}', { qos: 1, retain: true });
    await client.endAsync();
    expect(found(await read('--keys', keysOf(chain)))).toEqual(['layout null null']);
  });

  test('is found by a head from elsewhere', async () => {
    const { chain, read } = await start();
    const head = join(directory, 'head.bin');
    writeFileSync(head, chain.head());
    chain.rings[Ring.Logbook].splice(250);
    expect(found(await read('--keys', keysOf(chain)))).toEqual([]);
    expect(found(await read('--keys', keysOf(chain), '--head', head))).toEqual(['tail logbook 300']);
  });

  test('is no answer: entries that were not asked for', async () => {
    const { chain, run } = await start();
    for (const entry of chain.rings[Ring.Logbook].slice(0, 172)) entry.writeUInt32LE(7, ChainField.Sequence);
    const ran = await run();
    expect(ran).toMatchObject({ exitCode: ExitCode.Failed, stdout: '' });
    expect(ran.stderr).toMatch(/expected entries 45 to 172, came entry 7/);
  });
});

describe('what is said of what was not checked', () => {
  test('without keys: links alone hold', async () => {
    const { chain, run, publishHead } = await start();
    await publishHead(chain.head());
    const { stdout, exitCode } = await run();
    expect(exitCode).toBe(ExitCode.Ok);
    expect(stdout).toMatch(/logbook +300 +1 +300 +0 +300 hold +not checked +not proven/);
    expect(stdout).toContain('Heads : 1 not checked');
    expect(stdout).toContain('Seals were not checked');
    expect(stdout).not.toContain('The head that the broker keeps');
  });

  test('with keys of another meter, no meter, both sources, or a meter that is off: nothing is read', async () => {
    const { broker, chain, run } = await start();
    const other = join(directory, 'other.json');
    writeFileSync(other, keysFileText({ ...chainOf('m2'), meter: 'm2', publicKey: ed25519Key(chain.publicKey) }));
    const ofOther = await run('--keys', other);
    expect(ofOther).toMatchObject({ exitCode: ExitCode.Usage, stdout: '' });
    expect(ofOther.stderr).toContain('expected keys or --meter of m1, came those of m2');
    expect((await run('--storage', other)).exitCode).toBe(ExitCode.Usage);
    expect((await runMetertime(['logbook', '--mqtt', broker.url])).exitCode).toBe(ExitCode.Usage);
    expect((await runMetertime(['logbook', 'm1', '--storage', other])).exitCode).toBe(ExitCode.Usage);
    expect((await runMetertime(['logbook'])).stderr).toMatch(/expected either --mqtt .* or --storage/);
    const away = await runMetertime(['logbook', 'away', '-g', 'g1', '--mqtt', broker.url]);
    expect(away).toMatchObject({ exitCode: ExitCode.Failed, stderr: expect.stringContaining('not connected') });
  });

  test('of a meter that did not say yet how many entries it has', async () => {
    const { target, run } = await start();
    vi.spyOn(target, 'newest').mockReturnValue(undefined);
    const ran = await run();
    expect(ran).toMatchObject({ exitCode: ExitCode.Failed, stdout: '' });
    expect(ran.stderr).toMatch(/has not told its gateway yet how many entries it has\nRun it again/);
  });
});
