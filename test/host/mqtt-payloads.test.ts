// What is published for each report of a meter: exact numbers, units in names, nothing that its schema does not describe.
import { describe, expect, test } from 'vitest';
import {
  Abi,
  Capability,
  ClockStatus,
  KeError,
  MeterEvent,
  Missing,
  Reject,
  type ResetCause,
  SourceState,
  TimeFlag,
} from '../../as/abi/codes.ts';
import { rejectReasons } from '../../host/link/messages.ts';
import { publishPacketBytes } from '../../host/mqtt/connection.ts';
import {
  eventPayload,
  eventSchema,
  infoPayload,
  infoSchema,
  serverPayload,
  serverSchema,
  timePayload,
  timeSchema,
  utcText,
} from '../../host/mqtt/payloads.ts';
import { counts, event, info, source, time } from './mqtt-samples.ts';

describe('info', () => {
  test('names the software by its hashes', () => {
    const payload = infoSchema.parse(infoPayload(info));
    expect(payload).toEqual({
      meter: 'm1',
      board: 'mps2-an385',
      firmwareVersion: '0.1.0',
      abiVersion: Abi.Version,
      resetCause: 'watchdog',
      capabilities: ['rtc', 'storage'],
      maxFrequencyErrorPpb: 50_000,
      serversMax: 4,
      buildUtc: '2026-11-22T02:00:00Z',
      stack: { usedBytes: 1_232, totalBytes: 2_176 },
      software: { coreSha256: '11'.repeat(32), imageSha256: '22'.repeat(32) },
    });
  });

  test('has no image where there is none, and no date where there is no such one', () => {
    const bare = { ...info, imageSha256: new Uint8Array(32), buildUnixSeconds: (1n << 64n) - 1n, stack: undefined };
    const payload = infoSchema.parse(infoPayload(bare));
    expect(payload.software.imageSha256).toBeNull();
    expect(payload.buildUtc).toBeNull();
    expect(payload.stack).toBeNull();
  });

  test('keeps what a later version says', () => {
    const later = { ...info, resetCause: 9 as ResetCause, capabilities: Capability.Rtc | 0x40 };
    expect(infoPayload(later)).toMatchObject({ resetCause: 'unknown-9', capabilities: ['rtc', 'unknown-64'] });
  });
});

describe('time', () => {
  const nobody = { number: null, ke: null, stratum: null, rootDelayNs: null, rootDispersionNs: null };

  test('says all that the meter said', () => {
    expect(timeSchema.parse(timePayload('m1', time))).toEqual({
      meter: 'm1',
      status: 'synchronised',
      flags: ['single-source', 'slewing'],
      utc: '2036-02-07T06:28:16.123456789Z',
      utcNs: '2085978496123456789',
      offsetNs: -1_234_567,
      delayNs: 2_000_000,
      uncertaintyNs: 400_000,
      boundNs: 1_500_000,
      uncertaintyBudget: {
        noiseStandardNs: 61_200,
        asymmetryStandardNs: 180_000,
        serverStandardNs: 44_000,
        stampsStandardNs: 20_000,
        notSlewedNs: 12_000,
      },
      frequencyPpb: -4200.125,
      frequencyUncertaintyPpb: 31.5,
      temperatureMilliCelsius: -12_345,
      realTimeClock: { offsetNs: -301_250_000, ratePpb: 12_345 },
      missing: 'none',
      servers: { inUse: 3, agreeing: 2, needed: 2 },
      server: { number: 2, ke: 'ke.example', stratum: 2, rootDelayNs: 15_259, rootDispersionNs: 30_518 },
      lastSynchronisationUtc: '2036-02-07T06:28:10.000000001Z',
      lastSynchronisationUtcNs: '2085978490000000001',
      sampleAgeNs: 6_123_456_788,
      nts: {
        aead: 15,
        aeadName: 'AEAD_AES_SIV_CMAC_256',
        cookies: 8,
        cookieBytes: 100,
        keysSinceUtc: '2036-02-07T00:00:00.000000000Z',
      },
      reach: '00000111',
      pollSeconds: 64,
      counters: { sent: 3, authenticated: 2, rejected: 1, naks: 0, keAttempts: 4, keFailures: 3, eventsLost: 0 },
      lastReject: 'authentication',
      lastKeError: 'connection',
    });
  });

  test('claims nothing while unsynchronised', () => {
    const payload = timeSchema.parse(
      timePayload('m1', {
        ...time,
        status: ClockStatus.Unsynchronised,
        flags: 0,
        utcNs: 0n,
        boundNs: (1n << 64n) - 1n,
        milliCelsius: undefined,
        rtcOffsetUs: undefined,
        rtcRatePpb: undefined,
        uncertaintyNs: (1n << 64n) - 1n,
        lastSyncUtcNs: 0n,
        keysSinceUtcNs: 0n,
        aead: 0,
        agreeing: 1,
        missing: Missing.Majority,
        lastReject: Reject.None,
        lastKeError: KeError.None,
      }),
    );
    expect(payload).toMatchObject({
      status: 'unsynchronised',
      flags: [],
      utc: null,
      utcNs: null,
      offsetNs: null,
      delayNs: null,
      uncertaintyNs: null,
      boundNs: null,
      uncertaintyBudget: null,
      frequencyPpb: null,
      frequencyUncertaintyPpb: null,
      sampleAgeNs: null,
      temperatureMilliCelsius: null,
      realTimeClock: null,
      lastSynchronisationUtc: null,
      nts: { aead: null, aeadName: null, keysSinceUtc: null },
      missing: 'majority',
      servers: { inUse: 3, agreeing: 1, needed: 2 },
      server: nobody,
      lastReject: 'none',
      lastKeError: 'none',
    });
  });

  test('names no server in holdover from the real-time clock: none moved the clock yet', () => {
    const { server, delayNs, sampleAgeNs } = timeSchema.parse(
      timePayload('m1', { ...time, status: ClockStatus.Holdover, flags: TimeFlag.FromRtc, lastSyncUtcNs: 0n }),
    );
    expect({ server, delayNs, sampleAgeNs }).toEqual({ server: nobody, delayNs: null, sampleAgeNs: null });
  });

  test('of a clock that was set back since, the last sample is no age old', () => {
    expect(timePayload('m1', { ...time, utcNs: time.lastSyncUtcNs - 1n }).sampleAgeNs).toBe(0);
  });

  test('gives exact durations up to 2^53 ns and none beyond', () => {
    const exact = (1n << 53n) - 1n;
    expect(timePayload('m1', { ...time, boundNs: exact, offsetNs: -exact })).toMatchObject({
      boundNs: Number.MAX_SAFE_INTEGER,
      offsetNs: -Number.MAX_SAFE_INTEGER,
    });
    expect(timePayload('m1', { ...time, boundNs: exact + 1n }).boundNs).toBeNull();
  });

  test('every status and flag is one that its schema takes', () => {
    for (const status of [0, 1, 2] as ClockStatus[]) {
      for (let flags = 0; flags < 256; flags++) timeSchema.parse(timePayload('m1', { ...time, status, flags }));
    }
    expect(timePayload('m1', { ...time, flags: TimeFlag.FromRtc }).flags).toEqual(['from-rtc']);
    const utcNs = 1_798_761_599_250_000_000n;
    const leapt = timePayload('m1', { ...time, utcNs, flags: TimeFlag.LeapSecond });
    expect(leapt).toMatchObject({
      utc: '2026-12-31T23:59:60.250000000Z',
      utcNs: String(utcNs),
      flags: ['leap-second'],
    });
    expect(timePayload('m1', { ...time, utcNs, flags: 0 }).utc).toBe('2026-12-31T23:59:59.250000000Z');
  });
});

describe('server', () => {
  test('says all that the meter said of it', () => {
    expect(serverSchema.parse(serverPayload('m1', { source, counts }))).toEqual({
      meter: 'm1',
      number: 2,
      ke: 'ke.example',
      ntp: { host: 'ntp.example', port: 1123 },
      state: 'serving',
      flags: ['agrees', 'reference'],
      retrySeconds: null,
      stratum: 2,
      leap: 'insert-second',
      rootDelayNs: 15_259,
      rootDispersionNs: 30_518,
      offsetNs: -1_234_567,
      delayNs: 2_000_000,
      lastSampleUtc: '2036-02-07T06:28:10.000000001Z',
      lastSampleUtcNs: '2085978490000000001',
      reach: '00000111',
      pollSeconds: 64,
      nts: {
        aead: 30,
        aeadName: 'AEAD_AES_128_GCM_SIV',
        keyBits: 128,
        keysSinceUtc: '2036-02-07T00:00:00.000000000Z',
        keysSinceUtcNs: '2085955200000000000',
        cookies: 8,
        cookieBytes: 68,
      },
      counters: { sent: 9, authenticated: 5, rejected: 3, naks: 1, keAttempts: 4, keFailures: 3 },
      rejected: { authentication: 2, kiss: 1 },
      lastReject: 'kiss',
      lastKeError: 'connection',
      lastKiss: 'RATE',
    });
  });

  test('claims nothing before the first answer, and says when keys are tried for again', () => {
    const fresh = {
      ...{ state: SourceState.Waiting, flags: 0, stratum: 0, leap: 0, reach: 0, cookies: 0, cookieBytes: 0, aead: 0 },
      ...{
        offsetNs: 0n,
        delayNs: 0n,
        lastSyncUtcNs: 0n,
        keysSinceUtcNs: 0n,
        retrySeconds: 77,
        ntpHost: '',
        ntpPort: 0,
      },
    };
    const none = { ...counts, rejected: counts.rejected.map(() => 0), lastReject: 0, lastKeError: 0, kissCode: '' };
    const payload = serverPayload('m1', { source: { ...source, ...fresh }, counts: none });
    expect(serverSchema.parse(payload)).toMatchObject({
      ...{ ntp: null, state: 'waiting', flags: [], retrySeconds: 77, stratum: null, leap: null },
      ...{ offsetNs: null, delayNs: null, lastSampleUtc: null, lastSampleUtcNs: null, rejected: {}, lastKiss: null },
      nts: { aead: null, aeadName: null, keyBits: null, keysSinceUtc: null, cookies: 0 },
    });
  });

  test('of a sample from before the meter had a time, gives the delay', () => {
    const early = { ...source, lastSyncUtcNs: 0n, offsetNs: 0n };
    expect(serverPayload('m1', { source: early, counts })).toMatchObject({
      ...{ offsetNs: null, delayNs: Number(source.delayNs), lastSampleUtc: null },
    });
  });

  test('every state, flag, leap and reason is one that its schema takes', () => {
    const { data, success } = serverSchema.safeParse(
      serverPayload('m1', {
        source: { ...source, state: 9 as SourceState, flags: 255, leap: 7, aead: 99 },
        counts: { ...counts, rejected: counts.rejected.map((_, index) => index + 1), lastReject: 99 as Reject },
      }),
    );
    expect(success).toBe(true);
    expect(data).toMatchObject({ state: 'unknown-9', leap: 'unknown-7', lastReject: 'unknown-99' });
    expect(data?.flags.at(-1)).toBe('unknown-128');
    expect(Object.keys(data!.rejected)).toHaveLength(rejectReasons);
  });
});

describe('event', () => {
  test('carries what tells duplicates apart, the numbers and a sentence', () => {
    expect(eventSchema.parse(eventPayload('m1', event))).toEqual({
      meter: 'm1',
      boot: '00c0ffee',
      sequence: 4_294_967_295,
      event: 'clock-set',
      code: 7,
      text: 'The clock was set by -3600 s, to within 2.50 ms (ntp.example).',
      utc: '2036-02-07T06:28:16.123456789Z',
      utcNs: '2085978496123456789',
      uptimeNs: '9007199254740993',
      a: '-3600000000000',
      b: '2500000',
      detail: 'ntp.example',
    });
  });

  test('every code, also one not known here, is one that its schema takes', () => {
    for (const code of [...Object.values(MeterEvent), 999, 65_535]) {
      if (typeof code === 'number') eventSchema.parse(eventPayload('m1', { ...event, code, utcNs: 0n }));
    }
  });
});

test.each([
  [0n, '1970-01-01T00:00:00.000000000Z'],
  [-1n, '1969-12-31T23:59:59.999999999Z'],
  [2_147_483_648_000_000_000n, '2038-01-19T03:14:08.000000000Z'],
  [(1n << 63n) - 1n, '2262-04-11T23:47:16.854775807Z'],
  [-(1n << 63n), '1677-09-21T00:12:43.145224192Z'],
  [8_640_000_000_001_000_000_000n, null],
])('%d ns since 1970 is %s', (ns, text) => {
  expect(utcText(ns)).toBe(text);
});

test('the size of a PUBLISH packet is what MQTT 5 makes of it', () => {
  // 30 | length | topic | packet identifier | properties: format 2, expiry 5, content type 3+16 | payload
  const properties = { payloadFormatIndicator: true, messageExpiryInterval: 9, contentType: 'application/json' };
  const payload = new Uint8Array(100);
  expect(publishPacketBytes({ topic: 'a/b', payload, retain: false })).toBe(1 + 1 + 5 + 2 + 1 + 100);
  expect(publishPacketBytes({ topic: 'a/b', payload, retain: true, properties })).toBe(1 + 2 + 5 + 2 + 1 + 26 + 100);
});
