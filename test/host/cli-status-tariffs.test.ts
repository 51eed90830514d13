// Tariffs and records in status and monitor, against mosquitto, with what a gateway publishes of them.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectAsync, type MqttClient } from 'mqtt';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { ClockStatus, RecordReason, Ring, TariffFlag } from '../../as/abi/codes.ts';
import { ExitCode } from '../../host/cli/exit-codes.ts';
import type { Tariff } from '../../host/link/messages.ts';
import { timePayload } from '../../host/mqtt/payloads.ts';
import {
  headPublication,
  newestRecordOf,
  type Published,
  recordPublication,
  tariffPayload,
} from '../../host/mqtt/record-payloads.ts';
import { contextFrom } from '../../host/record/context-parts.ts';
import { decodeHead } from '../../host/record/entry.ts';
import { headJson } from '../../host/record/json.ts';
import { type Mosquitto, startMosquitto } from '../../host/setup/mosquitto.ts';
import { until } from '../../host/setup/until.ts';
import { runMetertime } from './cli-run.ts';
import { chainOf } from './gateway/record-meter.ts';
import { tariff as sample, time } from './mqtt-samples.ts';

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
  prefix = `tariffs-${number++}`;
});

const nowNs = () => BigInt(Date.now()) * 1_000_000n;
const berlin = (iso: string) => BigInt(Date.parse(iso) / 1000);

/** At the eve of summer time: the next switch is in it. */
function report(change: Partial<Tariff> = {}): Tariff {
  return {
    ...sample,
    ...{ flags: TariffFlag.Known, tariff: 2, nextTariff: 1, offsetMinutes: 60, letter: 'S', dlmsStatus: 0 },
    ...{ since: berlin('2027-03-27T21:00:00Z'), next: berlin('2027-03-28T04:00:30Z') },
    ...{ periodEnd: berlin('2027-03-27T22:15:00Z'), passiveActivation: 0n, dynamicCrc: 0, dynamicEnd: 0n },
    ...{ programCrc: 0xc0ffee, activeName: 'household', passiveName: '', ptbStatus: 0 },
    ...{ recordNewest: 7, recordOldest: 5, logNewest: 41, networkNewest: 3 },
    ...change,
  };
}

/** A chain whose newest record is two minutes old. */
function chain() {
  const made = chainOf('m1');
  const parts = made.context({ program: 'household' });
  const record = made.record({
    ...{ letter: 'R', tariff: 2, readings: [2_935_600n], reasons: RecordReason.Switch },
    captureUtcNs: nowNs() - 120_000_000_000n,
    targetUnixSeconds: berlin('2027-03-27T21:00:00Z'),
  });
  return { made, record, parts, context: contextFrom(parts)! };
}

async function publish(topic: string, payload: unknown, retain = true): Promise<void> {
  await client.publishAsync(`${prefix}/${topic}`, JSON.stringify(payload), { retain, qos: 1 });
}
/** What makes meters of one gateway count as online. */
async function publishOnline(...meters: string[]): Promise<void> {
  await publish('g1/state', { state: 'online', sinceUtc: '2026-11-22T02:31:40.000Z', version: '0.1.0' });
  for (const meter of meters) {
    await publish(`g1/${meter}/state`, { state: 'online', sinceUtc: '2026-11-22T02:31:42.123Z' });
  }
}
async function publishAs(topic: string, { payload, properties }: Published, retain: boolean): Promise<void> {
  const { contentType, payloadFormatIndicator } = properties;
  await client.publishAsync(`${prefix}/${topic}`, Buffer.from(payload), {
    ...{ retain, qos: 1 },
    properties: {
      ...(contentType === undefined ? {} : { contentType }),
      payloadFormatIndicator: !!payloadFormatIndicator,
    },
  });
}

async function status(...args: string[]) {
  return runMetertime(['status', '--mqtt', broker.url, '--prefix', prefix, ...args]);
}

describe('metertime status', () => {
  test('shows tariffs and records in a table of 80 columns, and what is not as it should be', async () => {
    const { record } = chain();
    const newest = newestRecordOf(record)!;
    await publishOnline('m1', 'm2', 'm3');
    await publish('g1/m1/tariff', tariffPayload('m1', report(), newest));
    const flags = TariffFlag.Known | TariffFlag.Doubtful | TariffFlag.RecordsFull;
    const far = report({ flags, tariff: 65_535, nextTariff: 65_535, recordNewest: 4_294_967_295 });
    await publish('g1/m2/tariff', tariffPayload('m2', far));
    await publish('g1/m3/tariff', tariffPayload('m3', report({ flags: 0, next: 0n, recordNewest: 0 })));
    const { stdout, stderr, exitCode } = await status();
    expect(stderr).toBe('');
    expect(exitCode).toBe(ExitCode.Ok);
    const lines = stdout.split('\n');
    const begin = lines.findIndex((line) => line.startsWith('Meter') && line.includes('Tariff'));
    expect(lines.slice(begin, -1)).toEqual([
      expect.stringMatching(/^Meter +Tariff +Until +Next +Record +St +Age$/),
      expect.stringMatching(/^=+$/),
      expect.stringMatching(/^m1 +2 {2}2027-03-28T05:00:30\+01:00 +1 +[1-9] +R +\d+s$/),
      expect.stringMatching(/^m2 +65535 +2027-03-28T05:00:30\+01:00 +65535 +4294967295 +- +-$/),
      expect.stringMatching(/^m3 +- +- +- +- +- +-$/),
      '',
      'm2: the time is not good enough to bill by',
      'm2: there is no room for records: the broker has not acknowledged for too long',
    ]);
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(80);
    expect((await status('-v')).stdout).toContain('its letter, as in OCMF');
  });

  test('says nothing of tariffs where no meter has any', async () => {
    await publish('g1/m1/state', { state: 'online', sinceUtc: '2026-11-22T02:31:42.123Z' });
    expect((await status()).stdout).not.toMatch(/Tariff|Record/);
    expect((await status('m1')).stdout).not.toMatch(/Tariff|record/);
  });

  test('shows no kept report of a meter that is offline as if it applied now', async () => {
    const flags = TariffFlag.Known | TariffFlag.RecordsFull;
    const payload = tariffPayload('m1', report({ flags }));
    await publish('g1/m1/tariff', payload);
    await publishOnline('m1');
    expect((await status('-v')).stdout).toMatch(/^m1 +2 .*^m1: there is no room for records.*^ {2}Tariff +that/ms);
    const offline = { state: 'offline', sinceUtc: '2026-11-22T02:40:00.000Z' };
    const gateway = { ...offline, reason: 'lost', version: '0.1.0' };
    for (const [topic, state] of [
      ['g1/m1/state', { ...offline, reason: 'link' }],
      ['g1/state', gateway],
    ] as const) {
      await publishOnline('m1');
      await publish(topic, state);
      expect((await status('-v')).stdout).not.toMatch(/Tariff|records/);
      const { stdout, exitCode } = await status('m1');
      expect(exitCode).toBe(ExitCode.NoTime);
      expect(stdout).toMatch(/^Last told +: the meter is offline, what follows may have changed\nTariff +: 2 since/m);
      const { meters } = JSON.parse((await status('--json')).stdout);
      expect(meters).toMatchObject([{ meter: 'm1', online: false, tariff: payload }]);
    }
  });

  test.each(['json', 'cbor'] as const)('tells all of one meter, and all as JSON (%s)', async (format) => {
    const { made, record } = chain();
    const newest = newestRecordOf(record)!;
    const change = { passiveActivation: berlin('2027-12-31T23:00:00Z'), passiveName: 'household-2028' };
    const dynamic = { dynamicCrc: 1, dynamicEnd: berlin('2027-03-28T22:00:00Z') };
    const flags = TariffFlag.Known | TariffFlag.Dynamic | TariffFlag.Suspended;
    const payload = tariffPayload('m1', report({ ...change, ...dynamic, flags, dlmsStatus: 2, letter: 'I' }), newest);
    await publish('g1/m1/tariff', payload);
    const head = made.head(1_795_309_200_000_000_000n);
    await publishAs('g1/m1/head', headPublication('m1', head, format), true);
    await publishOnline('m1');
    const { stdout, exitCode } = await status('m1');
    // No time was reported.
    expect(exitCode).toBe(ExitCode.NoTime);
    expect(stdout).not.toContain('Last told');
    const values = Object.fromEntries(stdout.split('\n').map((line) => line.split(/ +: /)));
    expect(values).toMatchObject({
      Tariff: '2 since 2027-03-27T22:00+01:00',
      'Next tariff': '1 from 2027-03-28T05:00:30+01:00',
      Attention: 'records are suspended, as the rules say',
      Period: 'ends 2027-03-27T23:15+01:00',
      'Legal time': 'UTC+01:00',
      Program: 'household (CRC-32 00c0ffee)',
      'Next program': 'household-2028 from 2028-01-01T00:00+01:00',
      'Dynamic tariffs': 'apply now, end 2027-03-28T23:00+01:00',
      'A record now': 'I (informative), DLMS 02 (doubtful), PTB ok',
      'Newest record': expect.stringMatching(new RegExp(`^${newest.sequence}, R, 12\\ds ago$`)),
      'Not delivered': '3 entries from 5 on',
      Logbook: '41 entries so far; network 3',
      'Signed head': `record ${made.rings[Ring.Records].length}, at 2026-11-22T01:00:00.000000000Z`,
    });
    const json = JSON.parse((await status('--json')).stdout);
    expect(json.meters).toMatchObject([{ meter: 'm1', tariff: payload, head: headJson(decodeHead(head)) }]);
  });

  test('ends although gateways go on publishing', async () => {
    await publish('g1/m1/tariff', tariffPayload('m1', report()));
    let over = false;
    const floods = (async () => {
      while (!over) await publish('g1/m1/event', {}, false);
    })();
    const { stdout } = await status('--json');
    over = true;
    await floods;
    expect(JSON.parse(stdout).meters).toMatchObject([{ meter: 'm1', tariff: { tariff: 2 } }]);
  });
});

describe('the newest record in a tariff report', () => {
  test('is what its bytes say; of an entry that is none, nothing; of another chain, nothing', () => {
    const { record, parts } = chain();
    expect(newestRecordOf(record)).toMatchObject({ sequence: parts.length + 1, letter: 'R' });
    expect(newestRecordOf(parts[0]!)).toBeUndefined();
    const unsynchronised = chainOf('m1').record({ clockStatus: ClockStatus.Unsynchronised, letter: 'U' });
    expect(newestRecordOf(unsynchronised)).toEqual({ sequence: 1, letter: 'U', utc: null });
    const newest = newestRecordOf(record)!;
    expect(tariffPayload('m1', report({ recordNewest: newest.sequence }), newest).newestRecord).toEqual(newest);
    expect(tariffPayload('m1', report({ recordNewest: newest.sequence - 1 }), newest).newestRecord).toBeNull();
  });
});

describe('metertime monitor', () => {
  /** Runs monitor until its output has what is waited for; `act` publishes once `begun` is in it. */
  async function monitor(args: readonly string[], begun: string, act: () => Promise<void>, expected: string) {
    const end = new AbortController();
    let seen = '';
    const watch = (text: string) => {
      seen += text;
    };
    const has = (text: string) =>
      until(`${text} in the output`, () => seen.includes(text)).catch((error) => {
        throw new Error(`${error.message}; it was:\n${seen}`);
      });
    const run = runMetertime(['monitor', broker.url, '--prefix', prefix, ...args], { signal: end.signal, watch });
    try {
      await has(begun);
      await act();
      await has(expected);
    } finally {
      end.abort();
    }
    const { stdout } = await run;
    return stdout.trimEnd().split('\n');
  }

  test.each(['json', 'cbor'] as const)('has a line for each record and each switch (%s)', async (format) => {
    const { made, record, parts, context } = chain();
    await publish('g1/m1/tariff', tariffPayload('m1', report()));
    const act = async (): Promise<void> => {
      for (const entry of [...parts, record]) {
        await publishAs('g1/m1/record', recordPublication('m1', entry, context, format), false);
      }
      // With nothing new but its numbers, and then with a switch.
      await publish('g1/m1/tariff', tariffPayload('m1', report({ recordNewest: 8, periodEnd: 0n })));
      const switched = { tariff: 1, since: berlin('2027-03-28T04:00:30Z'), next: 0n, offsetMinutes: 120 };
      await publish('g1/m1/tariff', tariffPayload('m1', report(switched)));
    };
    const lines = await monitor([], 'Watching', act, 'tariff 1 since');
    const { length } = made.rings[Ring.Records];
    expect(lines.map((line) => line.replace(/^\S+ +m1 +/, ''))).toEqual([
      '· tariff 2 since 2027-03-27T22:00+01:00  until 2027-03-28T05:00:30+01:00, then 1  household',
      `record ${parts.length}  context of the next ones  household`,
      `record ${length}  2027-03-27T22:00:00+01:00  R  tariff 2  1-0:1.8.0*255 2935.600 Wh  switch`,
      '· tariff 1 since 2027-03-28T06:00:30+02:00  household',
    ]);
  });

  test('gives programs each report: metertime ocpp takes the offset of the tariff from them', async () => {
    const { made, record, context } = chain();
    await publish('g1/m1/time', timePayload('m1', time));
    await publish('g1/m1/tariff', tariffPayload('m1', report({ offsetMinutes: 345 })));
    await publishAs('g1/m1/head', headPublication('m1', made.head(), 'json'), true);
    const act = () => publishAs('g1/m1/record', recordPublication('m1', record, context, 'json'), false);
    const lines = await monitor(['--json'], '"kind":"head"', act, '"kind":"record"');
    const reports = lines.map((line) => JSON.parse(line));
    expect(reports.map(({ kind }) => kind).sort()).toEqual(['head', 'record', 'tariff', 'time']);
    expect(reports.find(({ kind }) => kind === 'record')).toMatchObject({
      ...{ gateway: 'g1', meter: 'm1', format: 'record', tariff: 2, bytes: record.toString('base64') },
      at: expect.stringMatching(/Z$/),
    });
    const folder = mkdtempSync(join(tmpdir(), 'metertime-tariffs-'));
    const file = join(folder, 'reports.ndjson');
    writeFileSync(file, lines.join('\n'));
    const ocpp = await runMetertime(['ocpp', '--state', file]);
    rmSync(folder, { recursive: true });
    const { getVariables } = JSON.parse(ocpp.stdout);
    const { getVariableResult } = getVariables as {
      getVariableResult: { variable: { name: string }; attributeValue?: string }[];
    };
    const offset = getVariableResult.find(({ variable }) => variable.name === 'TimeOffset');
    expect(offset?.attributeValue).toBe('+05:45');
  });
});
