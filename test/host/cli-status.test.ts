// status and monitor against mosquitto, with what a gateway publishes.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectAsync, type MqttClient } from 'mqtt';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Abi, ClockStatus, MeterEvent } from '../../as/abi/codes.ts';
import { readReport } from '../../host/cli/broker.ts';
import { ExitCode } from '../../host/cli/exit-codes.ts';
import { ageText, ppmText, reachText, signedNs } from '../../host/cli/units.ts';
import type { Time } from '../../host/link/messages.ts';
import { eventPayload, infoPayload, timePayload } from '../../host/mqtt/payloads.ts';
import { LabCa } from '../../host/setup/lab-ca.ts';
import { type Mosquitto, startMosquitto } from '../../host/setup/mosquitto.ts';
import { until } from '../../host/setup/until.ts';
import { runMetertime } from './cli-run.ts';

let broker: Mosquitto;
let client: MqttClient;
let number = 0;
let prefix = '';
beforeAll(async () => {
  broker = await startMosquitto();
  client = await connectAsync(broker.url, { protocolVersion: 5 });
});
afterAll(async () => {
  await client?.endAsync();
  await broker?.stop();
});
beforeEach(() => {
  prefix = `test-${number++}`;
});

function time(change: Partial<Time> = {}): Omit<Time, 'type'> {
  const utcNs = BigInt(Date.now()) * 1_000_000n;
  return {
    ...{ status: ClockStatus.Synchronised, flags: 1, stratum: 1, reach: 0b11111111, cookies: 8, cookieBytes: 100 },
    ...{ aead: 15, pollSeconds: 16, rootDelayNs: 1_000_000, rootDispersionNs: 2_000_000, frequencyPpb: -1234 },
    ...{ utcNs, offsetNs: 12_300n, delayNs: 456_000n, uncertaintyNs: 230_000n, boundNs: 1_200_000n },
    ...{ lastSyncUtcNs: utcNs - 8_000_000_000n, keysSinceUtcNs: utcNs - 60_000_000_000n, sent: 9, authenticated: 8 },
    ...{ rejected: 1, naks: 0, keAttempts: 1, keFailures: 0, lastReject: 7, lastKeError: 0, eventsLost: 0 },
    ...{ keHost: 'ke.example', ntpHost: 'ntp.example' },
    ...change,
  };
}

async function publish(topic: string, payload: unknown): Promise<void> {
  await client.publishAsync(`${prefix}/${topic}`, JSON.stringify(payload), { retain: true, qos: 1 });
}

async function publishMeter(gateway: string, meter: string, report: Omit<Time, 'type'>): Promise<void> {
  const info = {
    ...{ abiVersion: Abi.Version as number, resetCause: 0, capabilities: 6, maxFrequencyErrorPpb: 100_000 },
    ...{ buildUnixSeconds: 1_767_225_600n, coreSha256: new Uint8Array(32).fill(0xc0) },
    ...{ imageSha256: new Uint8Array(32), meterId: meter, board: 'mps2-an385', firmwareVersion: '0.1.0' },
  };
  await publish(`${gateway}/state`, { state: 'online', sinceUtc: new Date().toISOString(), version: '0.1.0' });
  await publish(`${gateway}/${meter}/state`, { state: 'online', sinceUtc: new Date().toISOString() });
  await publish(`${gateway}/${meter}/info`, infoPayload(info));
  await publish(`${gateway}/${meter}/time`, timePayload(meter, report));
}

function status(...args: string[]) {
  return runMetertime(['status', '--mqtt', broker.url, '--prefix', prefix, ...args]);
}

describe('metertime status', () => {
  it('shows gateways, and meters as a table', async () => {
    await publishMeter('gw-1', 'meter-10', time());
    await publishMeter('gw-1', 'meter-9', time({ status: ClockStatus.Unsynchronised, stratum: 0, aead: 0, reach: 1 }));
    const { exitCode, stdout, stderr } = await status();
    expect(stderr).toBe('');
    expect(exitCode).toBe(ExitCode.Ok);
    const lines = stdout.split('\n');
    expect(lines[0]).toMatch(/^Gateway gw-1: online since \d{4}-.*, metertime 0\.1\.0$/);
    expect(lines[2]).toMatch(/^Meter +State +Clock +Server +St +AEAD +Ck +Reach +Offset +U \(k=2\) +Bound +Last$/);
    expect(lines[4]).toMatch(/^meter-9 +online +unsynchronised +ntp\.example +- +- +8 +001 /);
    expect(lines[5]).toMatch(
      /^meter-10 +online +synchronised +ntp\.example +1 +15 +8 +377 +\+12\.3 us +230 us +1\.20 ms +([89]|1\d)s$/,
    );
    const verbose = await status('-v');
    expect(verbose.stdout).toContain('hard bound on the error');
    const terms = [...verbose.stdout.matchAll(/^( {2}.*? {2,})(St|AEAD|Ck|Reach|Bound|Last) {2,}\S/gm)];
    expect(terms.map(([, , term]) => term)).toEqual(['St', 'AEAD', 'Ck', 'Reach', 'Bound', 'Last']);
    expect(new Set(terms.map(([, before]) => before!.length)).size, verbose.stdout).toBe(1);
  });

  it('shows everything about one meter, and says by its exit code whether it has the time', async () => {
    await publishMeter('gw-1', 'meter-1', time());
    await publishMeter('gw-1', 'meter-2', time({ status: ClockStatus.Holdover }));
    const { exitCode, stdout } = await status('meter-1');
    expect(exitCode).toBe(ExitCode.Ok);
    for (const line of [
      /^Meter +: meter-1 at gateway gw-1$/m,
      /^Clock +: synchronised \(single-source\)$/m,
      /^Uncertainty +: 230 us \(k = 2\)$/m,
      /^Bound +: 1\.20 ms \(hard\)$/m,
      /^AEAD +: AEAD_AES_SIV_CMAC_256 \(15\)$/m,
      /^Frequency +: -1\.234 ppm$/m,
      /^Refused +: 1 \(last: authentication\), 0 NAKs$/m,
    ]) {
      expect(stdout).toMatch(line);
    }
    expect(stdout).not.toContain('meter-2');
    expect((await status('meter-2')).exitCode).toBe(ExitCode.NoTime);
    const unknown = await status('meter-3');
    expect(unknown.exitCode).toBe(ExitCode.Failed);
    expect(unknown.stderr).toBe(
      'metertime: the broker knows no meter meter-3\nmetertime status lists those that it knows.\n',
    );
  });

  it('holds a meter for offline when its gateway is', async () => {
    await publishMeter('gw-1', 'meter-1', time());
    await publish('gw-1/state', { state: 'offline', sinceUtc: null, reason: 'lost', version: '0.1.0' });
    expect((await status()).stdout).toMatch(/^Gateway gw-1: offline \(lost\), .*\n\n.*\n=+\nmeter-1 +offline /m);
    expect((await status('meter-1')).exitCode).toBe(ExitCode.NoTime);
    const json = JSON.parse((await status('--json')).stdout);
    expect(json.gateways['gw-1'].state).toBe('offline');
    expect(json.meters).toMatchObject([{ meter: 'meter-1', online: false, time: { boundNs: 1_200_000 } }]);
  });

  it('leaves out what is not of this version, and says so', async () => {
    await publish('gw-1/meter-1/time', { format: 2 });
    const { stdout, stderr } = await status();
    expect(stderr).toContain(`${prefix}/gw-1/meter-1/time is not of this version of metertime and left out`);
    expect(stdout).toBe('The broker keeps nothing of any gateway.\n');
  });

  it('says what is wrong with a broker or its URL', async () => {
    for (const [url, code, message] of [
      [
        'mqtt://127.0.0.1:1',
        ExitCode.Failed,
        /the broker at 127\.0\.0\.1:1 cannot be reached: nothing listens there\nIs it running/,
      ],
      ['http://localhost', ExitCode.Usage, /begins with mqtt, mqtts, ws or wss/],
      ['mqtt://me:secret@localhost', ExitCode.Usage, /no user and no password in the URL/],
      ['broker', ExitCode.Usage, /"broker" is no URL/],
    ] as const) {
      const { exitCode, stderr } = await runMetertime(['status', '--mqtt', url]);
      expect(stderr).toMatch(message);
      expect(stderr).not.toContain('secret');
      expect(exitCode).toBe(code);
    }
  });
});

describe('a broker with passwords and TLS', () => {
  it('lets in who has them, and no password is ever shown', async () => {
    const ca = await LabCa.create();
    const folder = mkdtempSync(join(tmpdir(), 'metertime-'));
    const [caFile, right, wrong] = ['ca.pem', 'right', 'wrong'].map((name) => join(folder, name)) as [
      string,
      string,
      string,
    ];
    writeFileSync(caFile, ca.certificatePem);
    writeFileSync(right, 'open-sesame\n');
    writeFileSync(wrong, 'shut-sesame\n');
    const own = await startMosquitto({ tls: { ca }, users: { reader: 'open-sesame' } });
    const ask = (...args: string[]) => runMetertime(['status', '--mqtt', own.tlsUrl!, '--username', 'reader', ...args]);
    const good = await ask('--password-file', right, '--broker-ca', caFile);
    const bad = await ask('--password-file', wrong, '--broker-ca', caFile, '--debug');
    const foreign = await ask('--password-file', right);
    await own.stop();
    rmSync(folder, { recursive: true });
    expect(good).toMatchObject({ exitCode: ExitCode.Ok, stdout: 'The broker keeps nothing of any gateway.\n' });
    expect(bad.exitCode).toBe(ExitCode.Failed);
    expect(bad.stderr).toMatch(/does not let this gateway in: .*\nGive --username and --password-file/);
    expect(bad.stderr).not.toContain('sesame');
    expect(foreign.stderr).toMatch(/TLS with the broker at .* failed: .*\n.*--broker-ca FILE/);
  });
});

describe('metertime monitor', () => {
  it('shows what is kept, then what comes, until it is ended', async () => {
    await publishMeter('gw-1', 'meter-1', time());
    const end = new AbortController();
    let seen = '';
    const run = runMetertime(['monitor', broker.url, '--prefix', prefix], {
      signal: end.signal,
      watch: (text) => {
        seen += text;
      },
    });
    await until('the start', () => seen.includes('Watching'));
    const event = {
      ...{ sequence: 2, code: MeterEvent.AnswerRefused, utcNs: 0n, uptimeNs: 1n },
      a: 7n,
      b: 1n,
      boot: 1,
    };
    const payload = eventPayload('meter-1', { ...event, text: 'ntp.example' });
    await client.publishAsync(`${prefix}/gw-1/meter-1/event`, JSON.stringify(payload), { qos: 1 });
    await until('the event', () => seen.includes('refused'));
    end.abort();
    const { exitCode, stdout } = await run;
    expect(exitCode).toBe(ExitCode.Ok);
    expect(stdout).toMatch(/^\d\d:\d\d:\d\d\.\d{3} {2}gw-1 +online$/m);
    expect(stdout).toMatch(/ meter-1 +synchronised {2}20\d\d-.*Z {2}± 230 us {2}bound 1\.20 ms {2}offset \+12\.3 us /);
    expect(stdout).toMatch(
      / meter-1 +✗ An NTP answer was refused \(ntp\.example\); reason: its authenticator does not hold/,
    );
  });

  it('prints an object a line with --json, of one meter if asked', async () => {
    await publishMeter('gw-1', 'meter-1', time());
    await publishMeter('gw-1', 'meter-2', time());
    const end = new AbortController();
    let seen = '';
    const run = runMetertime(['monitor', broker.url, '--prefix', prefix, '--meter', 'meter-2', '--json'], {
      signal: end.signal,
      watch: (text) => {
        seen += text;
      },
    });
    await until('the reports', () => seen.trim().split('\n').length >= 4);
    // A gateway may be named like one of its meters.
    await publishMeter('meter-2', 'meter-2', time());
    await until('the reports of another gateway', () => seen.trim().split('\n').length >= 8);
    end.abort();
    const { stdout, stderr } = await run;
    const objects = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    const reports = (gateway: string, meter?: string) =>
      objects.filter((each) => each.gateway === gateway && each.meter === meter).map(({ kind }) => kind);
    for (const gateway of ['gw-1', 'meter-2']) {
      expect(reports(gateway), 'its own').toEqual(['state']);
      expect(reports(gateway, 'meter-2').sort()).toEqual(['info', 'state', 'time']);
    }
    expect(objects.filter(({ state }) => state !== undefined).map(({ state }) => state)).toEqual(
      Array.from({ length: 4 }, () => 'online'),
    );
    expect(stdout).not.toContain('meter-1');
    expect(stderr).toBe('');
  });

  it('that is ended before it watches has been interrupted', async () => {
    const { exitCode, stdout } = await runMetertime(['monitor', broker.url], { signal: AbortSignal.abort() });
    expect(exitCode).toBe(ExitCode.Interrupted);
    expect(stdout).toBe('');
  });

  it('says so when the broker goes away', async () => {
    const own = await startMosquitto();
    let seen = '';
    const run = runMetertime(['monitor', own.url], {
      watch: (text) => {
        seen += text;
      },
    });
    await until('the start', () => seen.includes('Watching'));
    await own.stop();
    const { exitCode, stderr } = await run;
    expect(stderr).toMatch(/the connection to the broker broke/);
    expect(exitCode).toBe(ExitCode.Failed);
  });
});

describe('reports', () => {
  it('of other topics are none', () => {
    for (const topic of ['other/gw/state', 'm/gw', 'm/gw/meter/other', 'm/gw/meter/time/x', 'm/state']) {
      expect(readReport('m', topic, Buffer.from('{}'))).toBeUndefined();
    }
    expect(readReport('m', 'm/gw/state', Buffer.from('no JSON'))).toMatchObject({ kind: 'foreign' });
    expect(readReport('m', 'm/gw/meter/time', Buffer.alloc(0))).toBeUndefined();
  });
});

describe('units', () => {
  it('are printed in one manner', () => {
    expect([12_300n, -5n, 0, null].map(signedNs)).toEqual(['+12.3 us', '-5 ns', '+0 ns', '-']);
    expect([0, 999, 1001, 36_001, 360_001, 1e9, null].map(ageText)).toEqual([
      '0s',
      '999s',
      '17m',
      '10h',
      '4d',
      '32y',
      '-',
    ]);
    expect(reachText('11111111')).toBe('377');
    expect(ppmText(1500)).toBe('+1.500 ppm');
  });
});
