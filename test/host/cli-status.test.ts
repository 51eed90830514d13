// status and monitor against mosquitto, with what a gateway publishes.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectAsync, type MqttClient } from 'mqtt';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  Abi,
  ClockStatus,
  KeError,
  Message,
  MeterEvent,
  Missing,
  Reject,
  SourceFlag,
  SourceState,
  TimeFlag,
} from '../../as/abi/codes.ts';
import { readReport } from '../../host/cli/broker.ts';
import { ExitCode } from '../../host/cli/exit-codes.ts';
import { LiveView } from '../../host/cli/live.ts';
import { serverLegend, serverMark } from '../../host/cli/server-table.ts';
import { Terminal } from '../../host/cli/terminal.ts';
import { ageText, aroundNs, aroundPpm, ppmText, reachText, signedNs } from '../../host/cli/units.ts';
import { rejectReasons, type Source, type SourceCounts, type Time } from '../../host/link/messages.ts';
import { eventPayload, infoPayload, serverPayload, timePayload } from '../../host/mqtt/payloads.ts';
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
    ...{
      servers: 1,
      agreeing: 1,
      needed: 1,
      missing: Missing.None,
      milliCelsius: undefined,
      rtcOffsetUs: undefined,
      rtcRatePpb: undefined,
      budget: {
        ...{ noiseNs: 40_000, asymmetryNs: 91_000, serverNs: 32_000, stampsNs: 20_000, slewNs: 17_350 },
        ...{ frequencyPpt: -1_234_567, frequencyUncertaintyPpt: 31_500 },
      },
      source: 0,
      keHost: 'ke.example',
    },
    ...change,
  };
}

function server(index: number, change: Partial<Source> = {}, counted: Partial<SourceCounts> = {}) {
  const utcNs = BigInt(Date.now()) * 1_000_000n;
  const source: Source = {
    ...{ type: Message.Source, index, flags: SourceFlag.Agrees, state: SourceState.Serving, stratum: 2, leap: 0 },
    ...{ reach: 0b1111, cookies: 8, cookieBytes: 100, aead: 30, pollSeconds: 64, ntpPort: 123, rootDelayNs: 1 },
    ...{ rootDispersionNs: 2, offsetNs: -45_600n, delayNs: 12_300_000n, lastSyncUtcNs: utcNs - 30_000_000_000n },
    ...{ keysSinceUtcNs: utcNs - 7_200_000_000_000n, retrySeconds: 0, keHost: `s${index}.example` },
    ntpHost: change.keHost ?? `s${index}.example`,
    ...change,
  };
  const counts: SourceCounts = {
    ...{ type: Message.SourceCounts, index, lastReject: 0, lastKeError: 0, kissCode: '', sent: 20 },
    ...{ authenticated: 18, naks: 0, keAttempts: 1, keFailures: 0, rejected: new Array(rejectReasons).fill(0) },
    ...counted,
  };
  return serverPayload('meter-1', { source, counts });
}

/** The kinds of servers that a meter may have. */
function servers() {
  const rejected = (...reasons: Reject[]) =>
    Array.from({ length: rejectReasons }, (_, index) => (reasons.includes(index + 1) ? index + 1 : 0));
  const unsampled = {
    stratum: 0,
    offsetNs: 0n,
    delayNs: 0n,
    lastSyncUtcNs: 0n,
    keysSinceUtcNs: 0n,
    aead: 0,
    cookies: 0,
    cookieBytes: 0,
  };
  return [
    server(0, { flags: SourceFlag.Agrees | SourceFlag.Reference, ntpHost: 'ntp.s0.example', ntpPort: 11_123 }),
    server(
      1,
      { flags: SourceFlag.Disagrees | SourceFlag.Restored, keHost: `${'very-long-name.'.repeat(3)}example`, aead: 17 },
      {
        ...{ kissCode: 'RATE', lastReject: Reject.Kiss, naks: 2 },
        rejected: rejected(Reject.Authentication, Reject.Kiss, Reject.Backwards, Reject.UniqueIdentifier, Reject.Nak),
      },
    ),
    server(
      2,
      { ...unsampled, flags: 0, state: SourceState.Waiting, retrySeconds: 345, reach: 0, ntpHost: '' },
      { keAttempts: 4, keFailures: 4, lastKeError: KeError.NoCommonAead, sent: 0, authenticated: 0 },
    ),
    server(
      3,
      { flags: 0, state: SourceState.Stopped, aead: 0, keysSinceUtcNs: 0n, cookies: 0, cookieBytes: 0 },
      { kissCode: 'DENY' },
    ),
  ];
}

async function publish(topic: string, payload: unknown): Promise<void> {
  await client.publishAsync(`${prefix}/${topic}`, JSON.stringify(payload), { retain: true, qos: 1 });
}

async function publishMeter(gateway: string, meter: string, report: Omit<Time, 'type'>): Promise<void> {
  const info = {
    ...{ abiVersion: Abi.Version as number, resetCause: 0, capabilities: 6, maxFrequencyErrorPpb: 100_000 },
    ...{ buildUnixSeconds: 1_767_225_600n, coreSha256: new Uint8Array(32).fill(0xc0) },
    ...{
      imageSha256: new Uint8Array(32),
      serversMax: 4,
      meterId: meter,
      board: 'mps2-an385',
      firmwareVersion: '0.1.0',
      stack: { usedBytes: 1232, totalBytes: 2176 },
    },
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
    const unsynchronised = { status: ClockStatus.Unsynchronised, stratum: 0, aead: 0, reach: 1 };
    await publishMeter(
      'gw-1',
      'meter-9',
      time({ ...unsynchronised, servers: 3, agreeing: 1, needed: 2, missing: Missing.Majority }),
    );
    const { exitCode, stdout, stderr } = await status();
    expect(stderr).toBe('');
    expect(exitCode).toBe(ExitCode.Ok);
    const lines = stdout.split('\n');
    expect(lines[0]).toMatch(/^Gateway gw-1: online since \d{4}-.*, metertime 0\.1\.0$/);
    expect(lines[2]).toMatch(/^Meter +State +Clock +Srv +Reach +Offset +U \(k=2\) +Bound +Last$/);
    expect(lines[4]).toMatch(/^meter-9 +online +unsynchronised +1\/3 +001 /);
    expect(lines[5]).toMatch(/^meter-10 +online +synchronised +1\/1 +377 +\+12\.3 us +230 us +1\.20 ms +([89]|1\d)s$/);
    expect(lines[7]).toBe('meter-9: waiting for a majority: 1 of 2 needed servers agree');
    expect(Math.max(...lines.slice(1).map((line) => line.length))).toBeLessThanOrEqual(80);
    const verbose = await status('-v');
    expect(verbose.stdout).toContain('hard bound on the error');
    const terms = [...verbose.stdout.matchAll(/^( {2}.*? {2,})(Offset|U \(k=2\)|Bound|Last) {2,}\S/gm)];
    expect(terms.map(([, , term]) => term)).toEqual(['Offset', 'U (k=2)', 'Bound', 'Last']);
    expect(new Set(terms.map(([, before]) => before!.length)).size, verbose.stdout).toBe(1);
  });

  it('shows a long id on a line above its row where both do not fit', async () => {
    const id = `${'a-meter-'.repeat(4)}`;
    await publishMeter('gw-1', id, time());
    await publishMeter('gw-1', 'meter-2', time());
    const lines = (await status()).stdout.split('\n').slice(2);
    expect(lines[1]).toMatch(/^={70,80}$/);
    expect(lines.slice(2)).toEqual([
      id,
      expect.stringMatching(/^ +online +synch/),
      expect.stringMatching(/^meter-2 /),
      '',
    ]);
    expect(lines[3]!.indexOf('online')).toBe(lines[4]!.indexOf('online'));
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80);
  });

  it('shows everything about one meter, and says by its exit code whether it has the time', async () => {
    await publishMeter('gw-1', 'meter-1', time({ milliCelsius: -5_062, rtcOffsetUs: -120_300, rtcRatePpb: -8_210 }));
    await publishMeter('gw-1', 'meter-2', time({ status: ClockStatus.Holdover }));
    const { exitCode, stdout } = await status('meter-1');
    expect(exitCode).toBe(ExitCode.Ok);
    for (const line of [
      /^Meter +: meter-1 at gateway gw-1$/m,
      /^Clock +: synchronised \(single-source\)$/m,
      /^Uncertainty +: 230 us \(k = 2\)$/m,
      /^Bound +: 1\.20 ms \(hard\)$/m,
      /^Servers +: 1 in use, 1 agree, 1 needed$/m,
      /^Reference +: ke\.example \(number 1\), stratum 1$/m,
      /^Last sample +: 20\S+Z, 8s before the report$/m,
      /^Frequency +: -1\.2346 ppm ± 0\.0315 ppm \(k = 2\)$/m,
      /^Real-time clock +: -120 ms to UTC, rate -8\.210 ppm$/m,
      /^Temperature +: -5\.06 °C$/m,
      /^Refused +: 1 \(last: authentication\), 0 NAKs$/m,
    ]) {
      expect(stdout).toMatch(line);
    }
    expect(stdout).not.toContain('meter-2');
    const other = await status('meter-2');
    expect(other.exitCode).toBe(ExitCode.NoTime);
    expect(other.stdout).not.toContain('Temperature');
    expect(other.stdout).not.toContain('Real-time clock');
    // In holdover from the real-time clock no server moved the clock yet.
    await publishMeter('gw-1', 'meter-2', time({ status: ClockStatus.Holdover, stratum: 0, lastSyncUtcNs: 0n }));
    expect((await status('meter-2')).stdout).not.toContain('Reference');
    const unknown = await status('meter-3');
    expect(unknown.exitCode).toBe(ExitCode.Failed);
    expect(unknown.stderr).toBe(
      'metertime: the broker knows no meter meter-3\nmetertime status lists those that it knows.\n',
    );
  });

  it('shows what the uncertainty is made of as a budget', async () => {
    await publishMeter('gw-1', 'meter-1', time());
    const budget = async () => {
      const { stdout } = await status('meter-1');
      return stdout.slice(stdout.indexOf('\n\nUncertainty') + 2).split('\n');
    };
    expect(await budget()).toEqual([
      'Uncertainty budget                  Type  Distribution  Standard  Share',
      '='.repeat(71),
      'estimate: samples and oscillator    A     normal         40.0 us   14 %',
      'asymmetry of the path               B     rectangular    91.0 us   73 %',
      'server: root distance               B     rectangular    32.0 us    9 %',
      'stamps: ticks, interrupts, gateway  B     normal         20.0 us    4 %',
      'combined                                                  106 us',
      'expanded, k = 2                                           213 us',
      'not slewed yet, added to it                              17.4 us',
      'uncertainty U                                             230 us',
      '',
    ]);
    // From the real-time clock; larger than what can be told; larger than the bound.
    const { budget: made } = time();
    const noise = { ...made, noiseNs: 0xffff_ffff, asymmetryNs: 0, serverNs: 0, stampsNs: 0, slewNs: 0 };
    const fromRtc = { status: ClockStatus.Holdover, flags: 8, budget: noise, uncertaintyNs: 1_200_000n };
    await publishMeter('gw-1', 'meter-1', time(fromRtc));
    expect((await budget()).slice(2)).toEqual([
      'real-time clock                        A, B                ≥ 4.29 s      -',
      'asymmetry of the path                  B     rectangular       0 ns      -',
      'server: root distance                  B     rectangular       0 ns      -',
      'stamps: ticks, interrupts, gateway     B     normal            0 ns      -',
      'combined                                                   ≥ 4.29 s',
      'expanded, k = 2                                            ≥ 8.59 s',
      'not slewed yet, added to it                                    0 ns',
      'uncertainty U, no more than the bound                       1.20 ms',
      '',
    ]);
    await publishMeter('gw-1', 'meter-1', time({ status: ClockStatus.Unsynchronised }));
    const { stdout } = await status('meter-1');
    expect(stdout).not.toMatch(/budget|Frequency/);
  });

  it('says below the table whose rules for the clock ask somebody to act', async () => {
    const flags = TimeFlag.ClockRefused | TimeFlag.HoldoverEnded;
    await publishMeter('gw-1', 'meter-1', time({ status: ClockStatus.Holdover, flags }));
    expect((await status()).stdout).toContain(
      '\nmeter-1: a correction of its clock is refused, an operator has to accept it\nmeter-1: no authenticated sample for too long, not to be billed by\n',
    );
    await publishMeter('gw-1', 'meter-1', time({ flags: TimeFlag.Slewing }));
    expect((await status()).stdout).not.toContain('meter-1: ');
  });

  it('says plainly that there is no majority, and marks nobody as followed', async () => {
    const flags = TimeFlag.NoMajority;
    const divided = { servers: 4, agreeing: 2, needed: 3, flags };
    await publishMeter('gw-1', 'meter-1', time({ ...divided, status: ClockStatus.Holdover }));
    const bits = [SourceFlag.Agrees | SourceFlag.Reference, SourceFlag.Agrees, 0, 0];
    for (const [index, each] of bits.entries()) {
      await publish(`gw-1/meter-1/server/${index + 1}`, server(index, { flags: each }));
    }
    const said = 'no majority: 2 of 4 servers agree, 3 have to; the clock runs on by itself';
    expect((await status()).stdout).toContain(`\nmeter-1: ${said}\n`);
    const { stdout } = await status('meter-1');
    expect(stdout).toMatch(/^Clock +: holdover \(no-majority\)$/m);
    expect(stdout).toMatch(/^Majority +: none: 2 of 4 servers agree, 3 have to; the clock runs on by\s+itself$/m);
    expect(stdout.match(/^\d[-*+~x?]/gm)).toEqual([
      '1-',
      '2-',
      '3-',
      '4-',
      '1-',
      '2-',
      '3-',
      '4-',
      '1-',
      '2-',
      '3-',
      '4-',
    ]);
    await publishMeter('gw-1', 'meter-1', time(divided));
    expect((await status()).stdout).toContain('3 have to; what they agreed on last counts until it is too old');
    // As long as it has no time, it says what it waits for.
    const waiting = { ...divided, status: ClockStatus.Unsynchronised, missing: Missing.Majority };
    await publishMeter('gw-1', 'meter-1', time(waiting));
    expect((await status()).stdout).toContain('meter-1: waiting for a majority: 2 of 3 needed servers agree\n');
    await publishMeter('gw-1', 'meter-1', time({ servers: 4, agreeing: 3, needed: 3, flags: 0 }));
    const found = await status('meter-1');
    expect(found.stdout).not.toContain('Majority');
    expect(found.stdout.match(/^\d[-*+~x?]/gm)!.slice(0, 4)).toEqual(['1*', '2+', '3-', '4-']);
  });

  it('shows the time servers of a meter as tables of 80 columns', async () => {
    await publishMeter('gw-1', 'meter-1', time({ servers: 4, agreeing: 2, needed: 3, missing: Missing.Majority }));
    for (const each of servers()) await publish(`gw-1/meter-1/server/${each.number}`, each);
    const { stdout } = await status('meter-1');
    expect(stdout).toMatch(/^Missing +: waiting for a majority: 2 of 3 needed servers agree$/m);
    const tables = stdout.slice(stdout.indexOf('\n\n#') + 2).split('\n');
    expect(tables.slice(0, 6).map((line) => line.replace(/\d+s$/, 'Ns'))).toEqual([
      '#   Server               State         St  Poll  Reach    Offset    Delay  Last',
      '='.repeat(79),
      '1*  s0.example           serving        2   64s    017  -45.6 us  12.3 ms   Ns',
      '2x  very-long-name.ver…  serving        2   64s    017  -45.6 us  12.3 ms   Ns',
      '3?  s2.example           waiting 345s   -     -    000         -        -     -',
      '4?  s3.example           stopped        2     -    017  -45.6 us  12.3 ms   Ns',
    ]);
    expect(tables.slice(7, 13)).toEqual([
      '#   Server               AEAD              Bits   Age  KE  Fail  NAK  Cook  CLen',
      '='.repeat(80),
      '1*  s0.example           AES-128-GCM-SIV    128  120m   1     0    0     8   100',
      '2x  very-long-name.ver…  AES-SIV-CMAC-512   512  120m   1     0    2     8   100',
      '3?  s2.example           no keys              -     -   4     4    0     0     0',
      '4?  s3.example           no keys              -     -   1     0    0     0     0',
    ]);
    expect(tables.slice(14, 20)).toEqual([
      '#   Server               Sent  Auth  Refused',
      '='.repeat(44),
      '1*  s0.example             20    18        0',
      '2x  very-long-name.ver…    20    18       50',
      '3?  s2.example              0     0        0',
      '4?  s3.example             20    18        0',
    ]);
    expect(tables.slice(21)).toEqual([
      '1  s0.example: NTP at ntp.s0.example, port 11123',
      `2  ${'very-long-name.'.repeat(3)}example:`,
      '   keys from before the start; 5 refused: unique-identifier;',
      '   7 refused: authentication; 9 refused: kiss; 14 refused: nak;',
      '   15 refused: backwards; last kiss code RATE',
      '3  s2.example:',
      '   last failed key establishment: the server has none of the AEAD algorithms',
      '   offered',
      '4  s3.example: last kiss code DENY',
      '',
    ]);
    expect(Math.max(...tables.map((line) => line.length))).toBeLessThanOrEqual(80);
  });

  it('shows the servers of all meters if asked, explains them, and gives all of it as JSON', async () => {
    await publishMeter('gw-1', 'meter-1', time({ servers: 4 }));
    await publishMeter('gw-1', 'meter-2', time());
    for (const each of servers()) await publish(`gw-1/meter-1/server/${each.number}`, each);
    expect((await status()).stdout).not.toContain('s0.example');
    const { stdout } = await status('--servers', '--verbose');
    expect(stdout).toMatch(/^Time servers of meter-1 at gateway gw-1\n# .*\n=+\n1\* {2}s0\.example /m);
    expect(stdout).toMatch(/^Time servers of meter-2 at gateway gw-1\nnone known$/m);
    expect(stdout).toContain('not heard in the last eight polls, or no keys');
    const { meters } = JSON.parse((await status('--json')).stdout);
    expect(meters[0].servers).toMatchObject([
      { number: 1, counters: { sent: 20 } },
      { number: 2, rejected: { authentication: 7, nak: 14 }, lastKiss: 'RATE', counters: { naks: 2 } },
      { number: 3, state: 'waiting', retrySeconds: 345, lastKeError: 'no-common-aead', nts: { aead: null } },
      { number: 4, state: 'stopped', nts: { aeadName: null, keyBits: null, cookieBytes: 0 } },
    ]);
    expect(meters[1].servers).toEqual([]);
  });

  it('holds a meter for offline when its gateway is', async () => {
    await publishMeter('gw-1', 'meter-1', time());
    await publish('gw-1/state', { state: 'offline', sinceUtc: null, reason: 'lost', version: '0.1.0' });
    expect((await status()).stdout).toMatch(/^Gateway gw-1: offline \(lost\), .*\n\n.*\n=+\nmeter-1 +offline /m);
    const one = await status('meter-1');
    expect(one.exitCode).toBe(ExitCode.NoTime);
    // What is kept says since when it was online.
    expect(one.stdout).toMatch(/^State +: offline, as its gateway is; was online since\s+[-0-9T:.]+Z$/m);
    expect(Math.max(...one.stdout.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80);
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

// A small server, as mosquitto cannot be made to do this; the bytes are those of MQTT 5 (3.2, 3.9).
it.each([
  ['breaks off as it is asked', () => undefined, /^metertime: the connection to the broker broke\n$/],
  [
    'breaks off before all can have come',
    (packet: Buffer, socket: Socket) => {
      const filters = packet.includes('/none') ? [0] : [0, 0, 0];
      const ack = Buffer.from([0x90, 3 + filters.length, packet[2]!, packet[3]!, 0, ...filters]);
      if (filters.length === 1) socket.end(ack);
      return ack;
    },
    /^metertime: the connection to the broker broke\n$/,
  ],
  [
    'lets this user read nothing',
    (packet: Buffer) => Buffer.from([0x90, 6, packet[2]!, packet[3]!, 0, 0x87, 0x87, 0x87]),
    /^metertime: the broker does not let this user read metertime\/.*\nIts access list has to allow it/,
  ],
] as const)('says so where the broker %s', async (_, answer, message) => {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', () => {
      socket.on('data', (packet) => {
        if (packet[0]! >> 4 !== 8) return;
        const ack = answer(packet, socket);
        if (ack === undefined) socket.destroy();
        else if (!socket.writableEnded) socket.write(ack);
      });
      socket.write(Buffer.from([0x20, 3, 0, 0, 0]));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    const { port } = server.address() as AddressInfo;
    const { exitCode, stdout, stderr } = await runMetertime(['status', '--mqtt', `mqtt://127.0.0.1:${port}`]);
    expect(stderr).toMatch(message);
    expect(stdout).toBe('');
    expect(exitCode).toBe(ExitCode.Failed);
  } finally {
    server.close();
  }
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

  it('tells of a server when its state, keys or agreement change, and no sooner', () => {
    let output = '';
    const sink = { write: (text: string) => (output += text) };
    const view = new LiveView(new Terminal({ stdout: sink, stderr: sink, env: {} }));
    const shown = (...payloads: ReturnType<typeof server>[]): string[] => {
      output = '';
      for (const payload of payloads) view.server('meter-1', payload);
      return output.trimEnd().split('\n').filter(Boolean);
    };
    expect(shown(server(0))[0]).toMatch(
      / meter-1 +server 1\+ s0\.example {2}serving {2}AES-128-GCM-SIV {2}cookies 8 {2}offset -45\.6 us {2}delay 12\.3 ms {2}agrees$/,
    );
    const reference = server(0, { flags: SourceFlag.Agrees | SourceFlag.Reference });
    expect(shown(server(0, { offsetNs: 1n, cookies: 7 }), reference, server(0))).toEqual([]);
    expect(shown(server(0, { flags: SourceFlag.Disagrees }), server(0, { aead: 15 }), server(1))).toHaveLength(3);
  });

  it('prints an object a line with --json, of one meter if asked', async () => {
    await publishMeter('gw-1', 'meter-1', time());
    await publishMeter('gw-1', 'meter-2', time());
    await publish('gw-1/meter-2/server/1', { ...server(0), meter: 'meter-2' });
    const end = new AbortController();
    let seen = '';
    const run = runMetertime(['monitor', broker.url, '--prefix', prefix, '--meter', 'meter-2', '--json'], {
      signal: end.signal,
      watch: (text) => {
        seen += text;
      },
    });
    await until('the reports', () => seen.trim().split('\n').length >= 5);
    // A gateway may be named like one of its meters.
    await publishMeter('meter-2', 'meter-2', time());
    await until('the reports of another gateway', () => seen.trim().split('\n').length >= 9);
    end.abort();
    const { stdout, stderr } = await run;
    const objects = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    const reports = (gateway: string, meter?: string) =>
      objects.filter((each) => each.gateway === gateway && each.meter === meter).map(({ kind }) => kind);
    for (const gateway of ['gw-1', 'meter-2']) expect(reports(gateway), 'its own').toEqual(['state']);
    expect(reports('gw-1', 'meter-2').sort()).toEqual(['info', 'server', 'state', 'time']);
    expect(reports('meter-2', 'meter-2').sort()).toEqual(['info', 'state', 'time']);
    expect(objects.filter(({ kind }) => kind === 'state').map(({ state }) => state)).toEqual(
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
    const others = ['m/gw/meter/server', 'm/gw/meter/server/0', 'm/gw/meter/server/x', 'm/gw/meter/time/1'];
    for (const topic of ['other/gw/state', 'm/gw', 'm/gw/meter/other', 'm/gw/meter/time/x', 'm/state', ...others]) {
      expect(readReport('m', topic, Buffer.from('{}'))).toBeUndefined();
    }
    expect(readReport('m', 'm/gw/state', Buffer.from('no JSON'))).toMatchObject({ kind: 'foreign' });
    expect(readReport('m', 'm/gw/meter/server/1', Buffer.from('{}'))).toMatchObject({ kind: 'foreign' });
    for (const leaf of ['time', 'server/1']) {
      expect(readReport('m', `m/gw/meter/${leaf}`, Buffer.alloc(0))).toBeUndefined();
    }
  });
});

describe("a server's mark", () => {
  const heard = { reach: '00000111', nts: { aead: 15 } };
  const silent = { reach: '00000000', nts: { aead: 15 } };
  it.each([
    ['*', ['agrees', 'reference'], heard, true],
    ['+', ['agrees'], heard, true],
    ['~', ['agrees', 'strays'], heard, true],
    ['~', ['agrees', 'reference', 'strays'], heard, true],
    ['x', ['disagrees'], heard, true],
    ['x', ['disagrees', 'reference', 'strays'], silent, true],
    ['-', [], heard, true],
    ['-', ['agrees', 'reference'], heard, false],
    ['-', ['strays'], heard, false],
    ['?', ['reference'], silent, true],
    ['?', ['dates-unchecked'], silent, false],
    ['?', [], { reach: '11111111', nts: { aead: null } }, true],
  ])('is %s with %j, %j and, for a majority, %j', (mark, flags, server, majority) => {
    expect(serverMark({ flags, ...server }, majority)).toBe(mark);
    expect(serverLegend.join('\n')).toContain(`  ${mark}  `);
  });
});

describe('units', () => {
  it('are printed in one manner', () => {
    expect([12_300n, -5n, 0, null].map(signedNs)).toEqual(['+12.3 us', '-5 ns', '+0 ns', '-']);
    expect(aroundNs(-16_800n, 188_000n)).toBe('-17 us ± 188 us');
    expect(aroundNs(-20_300n, 1_204_000n)).toBe('-0.02 ms ± 1.20 ms');
    expect(aroundNs(60_000_000_123n, 188_000n)).toBe('+60.000000 s ± 0.000188 s');
    expect(aroundNs(0n, 0n)).toBe('+0 ns ± 0 ns');
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
    expect(aroundPpm(-4200.125, 31.5)).toBe('-4.2001 ppm ± 0.0315 ppm');
    expect(aroundPpm(12.25, 5000)).toBe('+0.01 ppm ± 5.00 ppm');
    expect(aroundPpm(0, 0)).toBe('+0.000000 ppm ± 0.000000 ppm');
  });
});
