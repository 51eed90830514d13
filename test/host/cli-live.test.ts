// sync, run, gateway and monitor with real servers: chronyd for the time, mosquitto as the broker.
import { execFile, spawn } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { connectAsync } from 'mqtt';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { StartField } from '../../as/abi/codes.ts';
import { ExitCode } from '../../host/cli/exit-codes.ts';
import { makeSoftwareMeter, provisionMemory } from '../../host/cli/software-meter.ts';
import { HostClock } from '../../host/gateway/host-clock.ts';
import { connectSocket } from '../../host/link/socket-transport.ts';
import { lineOf } from '../../host/meter/software-meter.ts';
import { provisionStorage } from '../../host/provision/storage-file.ts';
import { type Chronyd, startChronyd } from '../../host/setup/chronyd.ts';
import { LabCa } from '../../host/setup/lab-ca.ts';
import { freePorts } from '../../host/setup/lab-server.ts';
import { type Mosquitto, startMosquitto } from '../../host/setup/mosquitto.ts';
import { until } from '../../host/setup/until.ts';
import { buildCore } from '../../scripts/build-core.mjs';
import { debianTool } from '../../scripts/debian.mjs';
import { HostileServer } from '../hostile/server.ts';
import { startNtpsec } from '../peers/ntpsec.ts';
import { type Ran, runMetertime } from './cli-run.ts';

const folder = mkdtempSync(join(tmpdir(), 'metertime-'));
const caFile = join(folder, 'ca.pem');
let chronyd: Chronyd;
let broker: Mosquitto;
let server = '';
let ca: LabCa;
const others: HostileServer[] = [];

beforeAll(async () => {
  await buildCore();
  ca = await LabCa.create();
  writeFileSync(caFile, ca.certificatePem);
  [chronyd, broker] = await Promise.all([startChronyd({ ca, stratum: 3 }), startMosquitto()]);
  server = `127.0.0.1:${chronyd.kePort}`;
});
afterAll(async () => {
  await Promise.all([chronyd?.stop(), broker?.stop(), ...others.map((other) => other.stop())]);
  rmSync(folder, { recursive: true });
});

/** A time server with other AEADs, or whose clock is ahead of this machine's. */
async function otherServer({ aeads, aheadNs = 0n }: { readonly aeads?: readonly number[]; readonly aheadNs?: bigint }) {
  const clock = new HostClock();
  const other = await HostileServer.start({
    certificate: await ca.issue({ names: ['127.0.0.1'] }),
    utcNs: () => clock.wallNs(process.hrtime.bigint()) + aheadNs,
    ...(aeads === undefined ? {} : { aeads }),
  });
  others.push(other);
  return `127.0.0.1:${other.kePort}`;
}

/** Runs a command that goes on until it is ended: until its output satisfies `done`. */
async function runUntil(args: readonly string[], what: string, done: (output: string) => boolean): Promise<Ran> {
  const end = new AbortController();
  let seen = '';
  const watch = (text: string): void => {
    seen += text;
  };
  const run = runMetertime(args, { signal: end.signal, watch });
  // A command that ends by itself has failed: no need to wait longer.
  const over = run.then(() => true);
  await Promise.race([over, until(what, () => done(seen), { timeoutMs: 150_000 })]).catch((error) => {
    end.abort();
    throw new Error(`${error.message}; the output was:\n${seen}`);
  });
  end.abort();
  return run;
}

describe('metertime sync', () => {
  it('comes to the time of chronyd, which is that of this machine', async () => {
    const { exitCode, stdout } = await runMetertime(['sync', server, '--ca', caFile, '--json']);
    const result = JSON.parse(stdout);
    expect(result).toMatchObject({ ok: true, status: 'synchronised', missing: 'none', agreeing: 1, needed: 1 });
    expect(result.servers).toMatchObject([{ ok: true, mark: '*', reason: null, server: { host: '127.0.0.1' } }]);
    expect(result.servers[0].report).toMatchObject({
      ...{ ke: '127.0.0.1', ntp: { host: '127.0.0.1', port: chronyd.ntpPort }, state: 'serving', stratum: 3 },
      // Two of the eight may be in the storage already.
      nts: { aead: 15, aeadName: 'AEAD_AES_SIV_CMAC_256', cookies: expect.toSatisfy((held) => held >= 6 && held <= 8) },
      counters: { rejected: 0 },
    });
    expect(result.flags).not.toContain('dates-unchecked');
    // chronyd serves this machine's clock, so the true offset is zero.
    expect(Math.abs(result.offsetNs)).toBeLessThanOrEqual(result.boundNs + 100_000);
    expect(result.uncertaintyNs).toBeLessThanOrEqual(result.boundNs);
    expect(Math.abs(Date.parse(result.utc) - Date.now())).toBeLessThan(60_000);
    expect(exitCode).toBe(ExitCode.Ok);
  });

  it('asks several at once, says who agrees, and takes the time of the majority', async () => {
    const right = await otherServer({ aeads: [30] });
    const wrong = await otherServer({ aeads: [17], aheadNs: 60_000_000_000n });
    const args = ['sync', '-n', '2', '--ca', caFile, server, right, wrong];
    const { exitCode, stdout } = await runMetertime([...args, '-v']);
    expect(stdout).toMatch(/what the error is certainly not beyond/);
    const row = (mark: string, at: string, rest: string) =>
      new RegExp(`^${mark} +${at.replaceAll('.', '\\.')} +${rest}$`, 'm');
    // Of eight cookies two may be in the storage already.
    const value = '[+-]?[\\d.]+ [mnu]?s';
    expect(stdout).toMatch(row('[*+]', server, `${value} +${value} +3 +AES-SIV-CMAC-256 +[678] × \\d+ B +${value}`));
    expect(stdout).toMatch(row('[*+]', right, `${value} +${value} +\\d+ +AES-128-GCM-SIV +[678] × \\d+ B +${value}`));
    expect(stdout).toMatch(row('x', wrong, `\\+60\\.0 s +${value} +\\d+ +AES-SIV-CMAC-512 +[678] × \\d+ B +${value}`));
    expect(stdout).toMatch(/^Clock +: synchronised/m);
    expect(stdout).toMatch(/^Servers : 2 of 3 agree, 2 needed$/m);
    expect(stdout).not.toContain('✗');
    expect(exitCode).toBe(ExitCode.Ok);
    const result = JSON.parse((await runMetertime([...args, '--json'])).stdout);
    expect(result).toMatchObject({ ok: true, agreeing: 2, needed: 2 });
    expect(Math.abs(result.offsetNs)).toBeLessThanOrEqual(result.boundNs + 100_000);
    expect(result.servers.map(({ mark }: { mark: string }) => mark.replace('*', '+'))).toEqual(['+', '+', 'x']);
    // Those that answer before there is a majority are asked once more: only then there is a clock to compare them with.
    const once = JSON.parse((await runMetertime(['sync', '--ca', caFile, server, right, wrong, '--json'])).stdout);
    for (const { report } of once.servers) {
      expect(report).toMatchObject({ offsetNs: expect.any(Number), delayNs: expect.any(Number) });
      expect(report.lastSampleUtc).not.toBeNull();
    }
  });

  it('marks one server as the last to move the clock, where several did soon after each other', async () => {
    const args = ['sync', '--ca', caFile, server, await otherServer({}), await otherServer({}), '--json'];
    const { servers } = JSON.parse((await runMetertime(args)).stdout);
    expect(servers.map(({ mark }: { mark: string }) => mark).toSorted()).toEqual(['*', '+', '+']);
  }, 60_000);

  it('has no time where too few agree, unless fewer are asked for', async () => {
    const args = ['sync', '--ca', caFile, server, '127.0.0.1:1', '-n', '2'];
    const { exitCode, stdout } = await runMetertime(args);
    expect(exitCode).toBe(ExitCode.NoTime);
    expect(stdout).toMatch(/^\? +127\.0\.0\.1:1 +- +- +- +- +- +-$/m);
    expect(stdout).toMatch(/^Clock +: unsynchronised/m);
    expect(stdout).toMatch(/^Missing : waiting for a majority: 1 of 2 needed servers agree$/m);
    expect(stdout).not.toMatch(/^(Offset|Bound) /m);
    expect(stdout).toMatch(/^✗ 127\.0\.0\.1:1: NTS key establishment failed.*connection refused/m);
    const one = await runMetertime([...args, '--agreement', '1', '--json']);
    expect(one.exitCode).toBe(ExitCode.Ok);
    const result = JSON.parse(one.stdout);
    expect(result).toMatchObject({
      ok: true,
      agreeing: 1,
      needed: 1,
      flags: expect.arrayContaining(['single-source']),
    });
    expect(result.servers).toMatchObject([
      { ok: true, mark: '*' },
      { ok: false, mark: '?', report: { lastKeError: 'connection' } },
    ]);
    const wrong = await otherServer({ aheadNs: 60_000_000_000n });
    const apart = await runMetertime(['sync', '--ca', caFile, server, wrong]);
    expect(apart.exitCode).toBe(ExitCode.NoTime);
    expect(apart.stdout).toMatch(/^Missing : waiting for a majority: [01] of 2 needed servers agree$/m);
    // One is enough only while none contradicts it: whichever was heard first, and whether the other one was heard at all.
    for (const order of [
      [server, wrong],
      [wrong, server],
    ]) {
      const contradicted = await runMetertime(['sync', '--ca', caFile, ...order, '--agreement', '1']);
      expect(contradicted.exitCode, contradicted.stdout).toBe(ExitCode.NoTime);
      expect(contradicted.stdout).toMatch(
        /^Missing : waiting for (a majority: 1 of 2|servers that agree: 1 contradict)/m,
      );
      expect(contradicted.stdout).not.toMatch(/^(Offset|Bound) /m);
    }
  }, 60_000);

  it('offers the AEADs that it is told to', async () => {
    const other = await otherServer({});
    for (const [aead, name] of [
      ['30', 'AES-128-GCM-SIV'],
      ['AES-SIV-CMAC-384', 'AES-SIV-CMAC-384'],
    ] as const) {
      const { exitCode, stdout } = await runMetertime(['sync', other, '--ca', caFile, '--aead', aead]);
      expect(stdout).toMatch(new RegExp(`^\\* .* ${name} `, 'm'));
      expect(exitCode).toBe(ExitCode.Ok);
    }
    const none = await runMetertime(['sync', server, '--ca', caFile, '--aead', '17']);
    expect(none.stdout).toMatch(/^✗ .*: NTS key establishment failed: the server has none of the AEAD/m);
    expect(none.exitCode).toBe(ExitCode.NoTime);
  });

  it('records a trace that replays', async () => {
    const trace = join(folder, 'meter.trace');
    const recorded = await runMetertime(['sync', server, '--ca', caFile, '--record', trace]);
    expect(recorded.stderr).toContain(`metertime replay ${trace}`);
    expect(recorded.exitCode).toBe(ExitCode.Ok);
    expect(statSync(trace).mode & 0o777).toBe(0o600);
    const replayed = await runMetertime(['replay', trace]);
    expect(replayed.stdout).toMatch(/^same {2}\d+ events, \d+ actions: replayed to the same actions, bit for bit\n$/);
    expect(JSON.parse((await runMetertime(['replay', trace, '--json'])).stdout)).toMatchObject({
      ok: true,
      instances: 1,
    });
    const bytes = readFileSync(trace);
    // A bit of the entropy in the first event: everything random is another then.
    const other = join(folder, 'other.trace');
    const changed = Buffer.from(bytes);
    changed[44 + 1 + 15 + StartField.Entropy]! ^= 1;
    writeFileSync(other, changed);
    const differs = await runMetertime(['replay', other]);
    expect(differs.stdout).toMatch(
      /^differs {2}event \d+ \(\w+\): the same actions \(.*\), but byte \d+ of \d+ differs\n$/,
    );
    expect(differs.exitCode).toBe(ExitCode.Mismatch);
    const cut = join(folder, 'cut.trace');
    writeFileSync(cut, bytes.subarray(0, bytes.length - 20));
    const failed = await runMetertime(['replay', cut]);
    expect(failed.exitCode).toBe(ExitCode.Failed);
    expect(failed.stderr).toMatch(/is cut off after event \d+/);
    const again = await runMetertime(['sync', server, '--ca', caFile, '--record', trace]);
    expect(again.exitCode).toBe(ExitCode.Failed);
    expect(readFileSync(trace).equals(bytes)).toBe(true);
  });

  it('says why there is no time', async () => {
    const untrusted = await runMetertime(['sync', server]);
    expect(untrusted.stdout).toMatch(/leads to no trust anchor.*: the issuer of "localhost"/);
    expect(untrusted.exitCode).toBe(ExitCode.NoTime);
    const silent = createServer();
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const { port } = silent.address() as { port: number };
    const late = await runMetertime(['sync', `127.0.0.1:${port}`, '--timeout', '1']);
    expect(late.stdout).toMatch(/no answer came in time/);
    expect(late.exitCode).toBe(ExitCode.NoTime);
    silent.close();
    // Its answers are authenticated, and say a time before the software was built.
    const old = await otherServer({ aheadNs: -20n * 365n * 86_400_000_000_000n });
    const refused = await runMetertime(['sync', '--ca', caFile, server, old, '--agreement', '1']);
    expect(refused.stdout).toMatch(
      /^✗ 127\.0\.0\.1:\d+: an answer was refused: it says a time before this software was built/m,
    );
    expect(refused.exitCode).toBe(ExitCode.NoTime);
    for (const [args, message] of [
      [['a', 'b', 'c', 'd', 'e'], /expected at most 4 servers, came 5/],
      [['a', 'a'], /a port 4460 came twice/],
      [['time.example', 'Time.Example:4460'], /Time\.Example port 4460 came twice \(first as time\.example\)/],
      [['[::1]', '[0:0:0:0:0:0:0:1]'], /port 4460 came twice \(first as ::1\)/],
      [['a', '--agreement', '5'], /Expected majority, or a whole number from 1 to 4/],
      [['a', '--agreement', '2'], /agreement: expected at most 1/],
      [['a', '--aead', '99'], /"99": expected one of/],
    ] as const) {
      const wrong = await runMetertime(['sync', ...args]);
      expect(wrong.stderr).toMatch(message);
      expect(wrong.exitCode).toBe(ExitCode.Usage);
    }
  });
});

describe('NTPsec', () => {
  it('gives its time to sync, and explains itself to ke', async () => {
    const ca = await LabCa.create();
    const ntpsec = await startNtpsec({ ca });
    try {
      const bin = fileURLToPath(new URL('../../bin/metertime.mjs', import.meta.url));
      const metertime = async (...args: string[]) => {
        const [program = '', ...rest] = ntpsec.namespace.wrap([process.execPath, bin, ...args]);
        return JSON.parse((await promisify(execFile)(program, rest)).stdout);
      };
      const time = await metertime('sync', '127.0.0.1', '--ca', ntpsec.caFile, '--json', '--samples', '2');
      expect(time).toMatchObject({
        ok: true,
        servers: [{ ok: true, report: { nts: { aead: 15, cookieBytes: 104 } } }],
      });
      expect(time.servers[0].report.counters.authenticated).toBeGreaterThanOrEqual(2);
      expect(Math.abs(time.offsetNs)).toBeLessThanOrEqual(time.boundNs + 100_000);
      const keys = await metertime('ke', '127.0.0.1', '--ca', ntpsec.caFile, '--json');
      expect(keys).toMatchObject({ ok: true, aead: 15, cookies: 8 });
    } finally {
      await ntpsec.stop();
    }
  }, 90_000);
});

describe('Ctrl-C', () => {
  it('ends what waits, at once and with its own exit code', async () => {
    const silent = createServer();
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const { port } = silent.address() as { port: number };
    for (const command of ['sync', 'ke']) {
      const end = new AbortController();
      const connected = new Promise<void>((resolve) => silent.once('connection', () => resolve()));
      const run = runMetertime([command, `127.0.0.1:${port}`], { signal: end.signal });
      await connected;
      end.abort();
      expect(await run).toMatchObject({ exitCode: ExitCode.Interrupted, stdout: '', stderr: '' });
    }
    silent.close();
  });
});

describe('metertime run', () => {
  const options = ['--poll-min', '1', '--poll-max', '1', '--report', '1'];

  it('shows a meter in software coming to the time, again from its kept storage', async () => {
    const storage = join(folder, 'meter.bin');
    const args = ['run', '--board', 'software', '--storage', storage, '--ca', caFile, ...options];
    const first = await runUntil([...args, '--server', server, '--rtc', '2020-01-01'], 'a time', (output) =>
      output.includes('host sees'),
    );
    expect(first.exitCode).toBe(ExitCode.Ok);
    expect(first.stdout).toMatch(/meter-1 +✓ NTS key establishment succeeded: AEAD_AES_SIV_CMAC_256, 8 cookies/);
    expect(first.stdout).toMatch(/meter-1 +· The real-time clock is not believed: .*2020-01-01/);
    expect(first.stdout).toMatch(/meter-1 +synchronised {2}20\d\d-.* host sees [+-]\d\S* [mun]?s ± \d/);
    expect(existsSync(storage)).toBe(true);
    const second = await runUntil([...args, '--json'], 'a time', (output) => output.includes('meterMinusHostNs'));
    const objects = second.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    const time = objects.find(({ meterMinusHostNs }) => meterMinusHostNs !== undefined);
    expect(time).toMatchObject({ kind: 'time', meter: 'meter-1' });
    expect(Math.abs(time.meterMinusHostNs)).toBeLessThanOrEqual(time.boundNs + time.meterMinusHostHalfWidthNs);
    expect(second.stderr).toBe('');
  });

  it('ends in order when the real process gets Ctrl-C', async () => {
    const bin = fileURLToPath(new URL('../../bin/metertime.mjs', import.meta.url));
    const args = ['run', '--board', 'software', '--server', server, '--ca', caFile, ...options];
    const child = spawn(process.execPath, [bin, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk) => {
        output += chunk;
      });
    }
    const ended = new Promise<[number | null, string | null]>((resolve) => {
      child.on('close', (code, signal) => resolve([code, signal]));
    });
    try {
      await until('a time', () => output.includes('host sees'), { timeoutMs: 60_000 });
      child.kill('SIGINT');
      expect(await ended, output).toEqual([ExitCode.Ok, null]);
      expect(output).toMatch(/meter-1 +offline/);
      expect(output).not.toMatch(/\n +at /);
    } finally {
      child.kill('SIGKILL');
    }
  }, 90_000);

  it.skipIf(!debianTool('qemu-system-arm').ok || !debianTool('arm-none-eabi-gcc').ok)(
    'builds firmware, starts the emulator and shows its meter coming to the time',
    async () => {
      const args = ['run', '--board', 'mps2-an385', '--server', server, '--ca', caFile, '--id', 'emu-7', ...options];
      const { exitCode, stdout, stderr } = await runUntil(args, 'a time', (output) => output.includes('host sees'));
      expect(exitCode, stderr).toBe(ExitCode.Ok);
      expect(stdout).toMatch(/emu-7 +board mps2-an385, firmware \S+, core [0-9a-f]{16}…, image [0-9a-f]{16}…/);
      expect(stdout).toMatch(/emu-7 +synchronised /);
      expect(stderr).toMatch(/^mps2-an385: flash \d+ of 98304 bytes, RAM \d+ of 16384, image [0-9a-f]{16}…$/m);
    },
    200_000,
  );

  it.skipIf(!debianTool('arm-none-eabi-gcc').ok)(
    'has been interrupted when it ends while it builds',
    async () => {
      const args = ['run', '--board', 'mps2-an385', '--server', server, '--ca', caFile];
      const { exitCode, stdout, stderr } = await runMetertime(args, { signal: AbortSignal.abort() });
      expect(exitCode, stderr).toBe(ExitCode.Interrupted);
      expect(stdout).toBe('');
    },
    120_000,
  );

  it('says what is wrong with its arguments', async () => {
    for (const [args, message] of [
      [['--board', 'software'], /needs a time server\nGive --server/],
      [['--board', 'mps2-an386', '--server', 'a'], /there is no board mps2-an386/],
      [['--board', 'software', '--server', 'a', '--rtc', 'soon'], /--rtc is "soon"\nExpected a date/],
      [['--board', 'mps2-an385', '--server', 'a', '--record', 'x'], /only meters in software record traces/],
      [
        ['--board', 'mps2-an385', '--server', 'a', '--link', 'x'],
        /only meters in software have their gateway elsewhere/,
      ],
      [['--board', 'mps2-an385', '--transaction', '9'], /only meters in software begin transactions/],
      [['--board', 'mps2-an385', '--aes', 'table'], /only meters in software choose how they compute AES/],
      [['--board', 'software', '--aes', 'quick'], /Allowed choices are bitsliced, table/],
      [['--board', 'software', '--server', 'a', '--link', 'unix:/x'], /needs a storage that is kept\nGive --storage/],
      [['--board', 'software', '--ca', caFile, '--link', 'unix:/x'], /--ca is the gateway's/],
      [['--board', 'software', '--json', '--link', 'unix:/x'], /--json is for a gateway here/],
      [['--board', 'software', '--verbose', '--link', 'unix:/x'], /--verbose is for a gateway here/],
      [
        ['--board', 'software', '--server', 'a', '--storage', 'x', '--link', 'unix-listen:/x'],
        /Expected what the gateway listens at/,
      ],
      [['--server', 'a'], /required option '-b, --board <board>' not specified/],
    ] as const) {
      const { exitCode, stderr } = await runMetertime(['run', ...args]);
      expect(stderr).toMatch(message);
      expect(exitCode).toBe(ExitCode.Usage);
    }
  });
});

describe('metertime gateway', () => {
  function settings(file: string, link: string): string {
    const path = join(folder, file);
    const lines = [
      'name: gw-1',
      `links: ["${link}"]`,
      `dataDirectory: ${join(folder, `${file}.data`)}`,
      `trust: { system: false, files: ["${caFile}"] }`,
      'mqtt:',
      `  url: ${broker.url}`,
      `  topicPrefix: ${file}`,
    ];
    writeFileSync(path, `${lines.join('\n')}\n`);
    return path;
  }

  it('serves a meter and publishes it, so that status shows the time; says goodbye at its end', async () => {
    const [port] = await freePorts(1);
    const config = settings('cli-live', `tcp-listen://127.0.0.1:${port}`);
    const checked = await runMetertime(['gateway', '-c', config, '--check']);
    expect(checked.stdout).toContain('is fine: gateway gw-1, 1 link, broker mqtt://');
    expect(checked.exitCode).toBe(ExitCode.Ok);

    const transport = connectSocket({ host: '127.0.0.1', port: port! });
    const meter = makeSoftwareMeter({
      storage: provisionMemory({
        id: 'meter-9',
        servers: [{ host: '127.0.0.1', port: chronyd.kePort }],
        poll: { minSeconds: 1, maxSeconds: 1 },
        reportSeconds: 1,
      }),
      line: lineOf(transport),
    });
    const end = new AbortController();
    let log = '';
    const run = runMetertime(['gateway', '-c', config], {
      signal: end.signal,
      watch: (text) => {
        log += text;
      },
    });
    await until('the start', () => log.includes('gateway started'));
    transport.start();
    meter.start();
    const status = () => runMetertime(['status', 'meter-9', '--mqtt', broker.url, '--prefix', 'cli-live']);
    const shown = await until(
      'the time at the broker',
      async () => {
        const ran = await status();
        return ran.exitCode === ExitCode.Ok && ran.stdout.includes('\n1* ') && ran;
      },
      { timeoutMs: 20_000, intervalMs: 200 },
    );
    expect(shown.stdout).toMatch(/^Meter +: meter-9 at gateway gw-1\n/);
    expect(shown.stdout).toMatch(/^Clock +: synchronised /m);
    expect(shown.stdout).toMatch(/^1\* +127\.0\.0\.1 +serving +3 +1s +\d{3} +[+-]\S+ [mun]?s +\S+ [mun]?s +\ds$/m);
    expect(shown.stdout).toMatch(/^1\* +127\.0\.0\.1 +AES-SIV-CMAC-256 +256 +\d+s +1 +0 +0 +[678] +100$/m);
    expect(shown.stdout).toMatch(/^1 {2}127\.0\.0\.1: NTP at 127\.0\.0\.1, port \d+$/m);
    expect(shown.stdout).toMatch(/^Reference +: 127\.0\.0\.1 \(number 1\), stratum 3$/m);
    end.abort();
    const ran = await run;
    expect(ran.exitCode).toBe(ExitCode.Ok);
    expect(ran.stderr).toMatch(/meter online .*meter=meter-9/);
    const client = await connectAsync(broker.url, { protocolVersion: 5 });
    const state = new Promise<string>((resolve) =>
      client.on('message', (_topic, payload) => resolve(payload.toString())),
    );
    await client.subscribeAsync('cli-live/gw-1/state');
    expect(JSON.parse(await state)).toMatchObject({ state: 'offline', reason: 'stopped' });
    await client.endAsync();
    await meter.stop();
    await transport.close();
  });

  it('serves a meter of metertime run --link with tariffs and a transaction; its records are read, verified and signed', async () => {
    const [port] = await freePorts(1);
    const config = settings('tariffs', `tcp-listen://127.0.0.1:${port}`);
    const at = (name: string) => join(folder, `tariffs-${name}`);
    writeFileSync(at('program.yaml'), 'name: household\nzone: Asia/Kathmandu\ndefaultTariff: 7\n');
    writeFileSync(
      at('meter.yaml'),
      `id: m1
servers: ["${server}"]
poll: { minSeconds: 1, maxSeconds: 1 }
reportSeconds: 1
registers: [{ obis: "1-0:1.8.0*255", scale: -3, unit: Wh }]
tariff: { registrationMinutes: 60 }
calibration: { id: CAL-1, atUtc: 2026-01-01T00:00:00Z, untilUtc: 2099-01-01T00:00:00Z, uncertaintyPpb: 500 }
`,
    );
    const files = ['--settings', at('meter.yaml'), '--tariff', at('program.yaml'), '--keys', at('keys.json')];
    const provisioned = await runMetertime(['provision', at('meter.bin'), ...files]);
    expect(provisioned.exitCode, provisioned.stderr).toBe(ExitCode.Ok);
    const end = new AbortController();
    let log = '';
    const watch = (text: string) => {
      log += text;
    };
    const gateway = runMetertime(['gateway', '-c', config], { signal: end.signal, watch });
    const link = ['--link', `tcp://127.0.0.1:${port}`];
    const run = ['run', '--board', 'software', '--storage', at('meter.bin'), ...link, '--transaction', '1'];
    const meter = runMetertime(run, { signal: end.signal, watch });
    const to = ['--mqtt', broker.url, '--prefix', 'tariffs'];
    const records = ['logbook', 'm1', ...to, '--records', '--json'];
    const read = await until(
      'the end of the transaction at the broker',
      async () => {
        const ran = await runMetertime([...records, '--keys', at('keys.json')]);
        return ran.stdout.includes('transaction-end') && ran;
      },
      { timeoutMs: 30_000, intervalMs: 200 },
    ).catch((error) => {
      throw new Error(`${error.message}; the log was:\n${log}`);
    });
    expect(read.exitCode).toBe(ExitCode.Ok);
    writeFileSync(at('records.ndjson'), read.stdout);
    const status = await until(
      'the newest record in status',
      async () => {
        const { stdout } = await runMetertime(['status', ...to]);
        return / [1-9]\d* +S +\d+s$/m.test(stdout) && stdout;
      },
      { timeoutMs: 20_000, intervalMs: 200 },
    );
    expect(status).toMatch(/^m1 +7 +- +- +\d+ +S +\d+s$/m);
    end.abort();
    expect([(await gateway).exitCode, (await meter).exitCode]).toEqual([ExitCode.Ok, ExitCode.Ok]);
    expect(log).toContain(`The meter runs; the gateway at tcp://127.0.0.1:${port} serves it.`);
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
    writeFileSync(at('ocmf.pem'), privateKey.export({ format: 'pem', type: 'sec1' }), { mode: 0o600 });
    const keys = ['--keys', at('keys.json'), '--sign-key', at('ocmf.pem'), '--gateway-serial', 'gw-1'];
    const ocmf = await runMetertime(['ocmf', at('records.ndjson'), ...keys]);
    expect(ocmf.stdout).toMatch(/^OCMF\|\{.*"TM":"[^"]*\+0545 S","TX":"B".*"TX":"E"/);
  }, 60_000);

  it('names file, line and column of what is wrong with its settings', async () => {
    const config = settings('wrong', 'carrier:pigeon');
    for (const extra of [[], ['--check']]) {
      const { exitCode, stderr } = await runMetertime(['gateway', '-c', config, ...extra]);
      expect(stderr).toMatch(/wrong:2:9: links\[1\] is "carrier:pigeon"; expected serial:/);
      expect(exitCode).toBe(ExitCode.Usage);
    }
    const absent = await runMetertime(['gateway', '-c', join(folder, 'absent.yaml')]);
    expect(absent.stderr).toMatch(/metertime init writes a file/);
    expect(absent.exitCode).toBe(ExitCode.Usage);
  });
});

describe('metertime monitor with a link', () => {
  it('serves and shows the meter at its other end', async () => {
    const [port] = await freePorts(1);
    const path = join(folder, 'monitored.bin');
    provisionStorage(path, {
      ...{ id: 'meter-5', servers: [{ host: '127.0.0.1', port: chronyd.kePort }], firstDatesUnchecked: true },
      ...{ poll: { minSeconds: 1, maxSeconds: 1 }, reportSeconds: 1 },
    });
    const { FileStorage } = await import('../../host/meter/storage.ts');
    const storage = await FileStorage.open(path);
    const transport = connectSocket({ host: '127.0.0.1', port: port! });
    const meter = makeSoftwareMeter({ storage, line: lineOf(transport) });
    transport.start();
    meter.start();
    const args = ['monitor', `tcp-listen://127.0.0.1:${port}`, '--ca', caFile];
    const { exitCode, stdout } = await runUntil(
      args,
      'a time and its server',
      (output) => output.includes('host sees') && /server 1[*+]/.test(output),
    );
    expect(exitCode).toBe(ExitCode.Ok);
    expect(stdout).toMatch(/meter-5 +online$/m);
    expect(stdout).toMatch(/meter-5 +✓ The clock is synchronised/);
    expect(stdout).toMatch(/meter-5 +server 1[*+] 127\.0\.0\.1 {2}serving {2}AES-SIV-CMAC-256 {2}cookies \d /);
    await meter.stop();
    await transport.close();
    await storage.close();
  });

  it('says what is wrong with a link', async () => {
    const { exitCode, stderr } = await runMetertime(['monitor', 'carrier:pigeon']);
    expect(stderr).toMatch(/carrier/);
    expect(exitCode).toBe(ExitCode.Usage);
  });
});
