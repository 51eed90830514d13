// What is published, as JSON: schemas that give the types, and how the meter's messages become them.
//
// Always holds: names carry units; a duration is a number of nanoseconds, exact, or null where it is unknown or beyond
// 2^53 ns (104 days); a time is ISO 8601 with nanoseconds, and beside it the count of nanoseconds since 1970 as text.
import { z } from 'zod';
import { ClockStatus, MeterEvent, TimeFlag } from '../../as/abi/codes.ts';
import type { ServerReport } from '../gateway/server-reports.ts';
import type { Budget, Info, MeterEventMessage, Time } from '../link/messages.ts';
import { hex } from '../text/hex.ts';
import {
  aeadKeyBits,
  aeadName,
  capabilityNames,
  clockStatusNames,
  describeEvent,
  keErrorNames,
  leapNames,
  meterEventNames,
  missingNames,
  nameOf,
  namesOfBits,
  rejectNames,
  resetCauseNames,
  sourceFlagNames,
  sourceStateNames,
  timeFlagNames,
} from '../text/names.ts';
import { nsPerSecond, utcText } from '../text/utc.ts';

export { utcText } from '../text/utc.ts';

const utc = z.string().regex(/^-?\d{4,}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$/);
const utcNs = z.string().regex(/^-?\d{1,19}$/, { error: 'expected a whole number of 64 bits as text' });
const durationNs = z.int().nullable();
const count = z.int().min(0);

/** Counted of a server since the meter's start. */
const serverCounters = z.strictObject({
  sent: count,
  authenticated: count,
  rejected: count,
  naks: count,
  keAttempts: count,
  keFailures: count,
});
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const presence = z.enum(['online', 'offline']);

/** `PREFIX/GATEWAY/state`, retained; `offline` also by last will. */
export const gatewayStateSchema = z.strictObject({
  state: presence,
  /** When it became so, by the gateway's own clock, which nothing relies on; null in a last will. */
  sinceUtc: z.iso.datetime().nullable(),
  /** Why it is offline: `stopped` or `lost`. */
  reason: z.enum(['stopped', 'lost']).optional(),
  version: z.string(),
});

/** `PREFIX/GATEWAY/METER/state`, retained. A meter is online only when this and the gateway's state say so. */
export const meterStateSchema = z.strictObject({
  state: presence,
  sinceUtc: z.iso.datetime(),
  /** Why it is offline: its link is down, or the gateway stopped or starts anew. */
  reason: z.enum(['link', 'gateway']).optional(),
});

/** `PREFIX/GATEWAY/METER/info`, retained: what the meter is. */
export const infoSchema = z.strictObject({
  meter: z.string(),
  board: z.string(),
  firmwareVersion: z.string(),
  abiVersion: count,
  resetCause: z.string(),
  capabilities: z.array(z.string()),
  maxFrequencyErrorPpb: count,
  /** How many time servers the software can use at once. */
  serversMax: count,
  /** When the software was built: no time before it is ever believed. */
  buildUtc: z.iso.datetime().nullable(),
  /** The microcontroller's stack: used at most since the start, and how much there is; null where it is not measured. */
  stack: z.strictObject({ usedBytes: count, totalBytes: count }).nullable(),
  software: z.strictObject({
    /** SHA-256 of core.wasm. */
    coreSha256: sha256,
    /** SHA-256 of the firmware image; null where the core runs without one (software meters). */
    imageSha256: sha256.nullable(),
  }),
});

/** `PREFIX/GATEWAY/METER/time`, retained with message expiry: the meter's time and how sure it is. */
export const timeSchema = z.strictObject({
  meter: z.string(),
  status: z.string(),
  flags: z.array(z.string()),
  /** When the report was made, by the meter's clock; null when unsynchronised. */
  utc: utc.nullable(),
  utcNs: utcNs.nullable(),
  /** Of the last authenticated sample: server minus meter, before the correction that followed. */
  offsetNs: durationNs,
  delayNs: durationNs,
  /** Expanded, k = 2. */
  uncertaintyNs: durationNs,
  /** Hard bound on the error. */
  boundNs: durationNs,
  /** What the uncertainty is made of: standard uncertainties, and what is not slewed yet; null while unsynchronised. */
  uncertaintyBudget: z
    .strictObject({
      noiseStandardNs: count,
      asymmetryStandardNs: count,
      serverStandardNs: count,
      stampsStandardNs: count,
      notSlewedNs: count,
    })
    .nullable(),
  /** By how much the clock runs faster than the local counter, and its uncertainty (k = 2); null while unsynchronised. */
  frequencyPpb: z.number().nullable(),
  frequencyUncertaintyPpb: z.number().nullable(),
  /** Of the oscillator; null where no thermometer says it. */
  temperatureMilliCelsius: z.int().nullable(),
  /** What is known of the meter's real-time clock; null where it was not compared with UTC. */
  realTimeClock: z
    .strictObject({
      /** Real-time clock minus UTC. */
      offsetNs: z.int(),
      /** How much faster it runs; null as long as this was not observed. */
      ratePpb: z.int().nullable(),
    })
    .nullable(),
  /** What the meter waits for next to have an authenticated time; `none` when it has one. */
  missing: z.string(),
  servers: z.strictObject({
    inUse: count,
    agreeing: count,
    needed: count,
  }),
  /** The server that is followed, null before the first sample; `nts`, `reach` and `pollSeconds` are about it too. */
  server: z.strictObject({
    /** As in the topic of its own report. */
    number: count.nullable(),
    ke: z.string().nullable(),
    stratum: count.nullable(),
    rootDelayNs: count.nullable(),
    rootDispersionNs: count.nullable(),
  }),
  /** The last authenticated sample; null for never. */
  lastSynchronisationUtc: utc.nullable(),
  lastSynchronisationUtcNs: utcNs.nullable(),
  /** How old that sample is, by the meter's clock when the report was made; null for never. */
  sampleAgeNs: durationNs,
  nts: z.strictObject({
    /** IANA number and name of the AEAD; null without keys. */
    aead: count.nullable(),
    aeadName: z.string().nullable(),
    cookies: count,
    cookieBytes: count,
    keysSinceUtc: utc.nullable(),
  }),
  /** Eight last polls, newest in the last bit, as text of 0 and 1. */
  reach: z.string().regex(/^[01]{8}$/),
  pollSeconds: count,
  counters: serverCounters.extend({ eventsLost: count }),
  lastReject: z.string(),
  lastKeError: z.string(),
});

/** `PREFIX/GATEWAY/METER/server/NUMBER`, retained with message expiry: one of the meter's time servers. */
export const serverSchema = z.strictObject({
  meter: z.string(),
  /** From 1, in the order of the meter's settings. */
  number: z.int().min(1),
  ke: z.string().nullable(),
  /** Where its time is asked for; null before the first key establishment. */
  ntp: z.strictObject({ host: z.string(), port: count }).nullable(),
  state: z.string(),
  flags: z.array(z.string()),
  /** Until the next key establishment is tried; null where none is waited for. */
  retrySeconds: count.nullable(),
  /** Of the last authenticated answer; null before it. */
  stratum: count.nullable(),
  leap: z.string().nullable(),
  rootDelayNs: count,
  rootDispersionNs: count,
  /** Of the last authenticated sample: server minus meter, before the correction that followed. */
  offsetNs: durationNs,
  delayNs: durationNs,
  lastSampleUtc: utc.nullable(),
  lastSampleUtcNs: utcNs.nullable(),
  /** Eight last polls, newest in the last bit, as text of 0 and 1. */
  reach: z.string().regex(/^[01]{8}$/),
  pollSeconds: count,
  nts: z.strictObject({
    /** IANA number and name of the AEAD; null without keys. */
    aead: count.nullable(),
    aeadName: z.string().nullable(),
    keyBits: count.nullable(),
    keysSinceUtc: utc.nullable(),
    keysSinceUtcNs: utcNs.nullable(),
    cookies: count,
    cookieBytes: count,
  }),
  counters: serverCounters,
  /** Refused answers by reason; those that never happened are left out. */
  rejected: z.record(z.string(), count),
  lastReject: z.string(),
  lastKeError: z.string(),
  /** The last kiss code, authenticated or not; null for none. */
  lastKiss: z.string().nullable(),
});

/** `PREFIX/GATEWAY/METER/event`, at least once each: `boot` and `sequence` together tell duplicates. */
export const eventSchema = z.strictObject({
  meter: z.string(),
  /** Random at each start of the meter, 8 hexadecimal digits. */
  boot: z.string().regex(/^[0-9a-f]{8}$/),
  /** Counts from 1 at each start of the meter. */
  sequence: count,
  event: z.string(),
  code: count,
  /** For people. */
  text: z.string(),
  /** By the meter's clock; null when unsynchronised. */
  utc: utc.nullable(),
  utcNs: utcNs.nullable(),
  /** Since the start of the meter, ns, as text. */
  uptimeNs: utcNs,
  /** The event's numbers as the meter gave them (as/abi/codes.ts, MeterEvent), as text, and its text. */
  a: utcNs,
  b: utcNs,
  detail: z.string(),
});

export type GatewayStatePayload = z.infer<typeof gatewayStateSchema>;
export type MeterStatePayload = z.infer<typeof meterStateSchema>;
export type InfoPayload = z.infer<typeof infoSchema>;
export type TimePayload = z.infer<typeof timeSchema>;
export type ServerPayload = z.infer<typeof serverSchema>;
export type EventPayload = z.infer<typeof eventSchema>;

/** A duration as an exact number, or null where a number cannot hold it. */
function duration(ns: bigint): number | null {
  const value = Number(ns);
  return Number.isSafeInteger(value) ? value : null;
}

const orNull = (text: string) => (text === '' ? null : text);

// The event is raised in the inserted second itself, where it is handled in time.
function beginsLeapSecond({ code, a, b, utcNs }: Omit<MeterEventMessage, 'type'>): boolean {
  return code === MeterEvent.LeapSecond && a < 0n && utcNs < b * nsPerSecond;
}

/** A time of which 0 means that there is none. */
function when(ns: bigint, leapSecond = false): { text: string | null; ns: string | null } {
  const text = ns === 0n ? null : utcText(ns, leapSecond);
  return { text, ns: text === null ? null : ns.toString() };
}

export function infoPayload(info: Omit<Info, 'type'>): InfoPayload {
  const build = utcText(info.buildUnixSeconds * nsPerSecond);
  return {
    meter: info.meterId,
    board: info.board,
    firmwareVersion: info.firmwareVersion,
    abiVersion: info.abiVersion,
    resetCause: nameOf(resetCauseNames, info.resetCause).name,
    capabilities: namesOfBits(capabilityNames, info.capabilities),
    maxFrequencyErrorPpb: info.maxFrequencyErrorPpb,
    serversMax: info.serversMax,
    buildUtc: build === null ? null : build.replace(/\.\d+Z$/, 'Z'),
    stack: info.stack ?? null,
    software: {
      coreSha256: hex(info.coreSha256),
      imageSha256: info.imageSha256.every((byte) => byte === 0) ? null : hex(info.imageSha256),
    },
  };
}

export function timePayload(meter: string, time: Omit<Time, 'type'>): TimePayload {
  const known = time.status !== ClockStatus.Unsynchronised;
  const made = when(known ? time.utcNs : 0n, (time.flags & TimeFlag.LeapSecond) !== 0);
  const last = when(time.lastSyncUtcNs);
  const sampled = last.ns !== null;
  return {
    meter,
    status: nameOf(clockStatusNames, time.status).name,
    flags: namesOfBits(timeFlagNames, time.flags),
    utc: made.text,
    utcNs: made.ns,
    offsetNs: sampled ? duration(time.offsetNs) : null,
    delayNs: sampled ? duration(time.delayNs) : null,
    uncertaintyNs: known ? duration(time.uncertaintyNs) : null,
    boundNs: known ? duration(time.boundNs) : null,
    uncertaintyBudget: known ? uncertaintyBudget(time.budget) : null,
    frequencyPpb: known ? time.budget.frequencyPpt / 1000 : null,
    frequencyUncertaintyPpb: known ? time.budget.frequencyUncertaintyPpt / 1000 : null,
    temperatureMilliCelsius: time.milliCelsius ?? null,
    realTimeClock:
      time.rtcOffsetUs === undefined ? null : { offsetNs: time.rtcOffsetUs * 1000, ratePpb: time.rtcRatePpb ?? null },
    missing: nameOf(missingNames, time.missing).name,
    servers: { inUse: time.servers, agreeing: time.agreeing, needed: time.needed },
    server: sampled
      ? {
          number: serverNumber(time.source),
          ke: orNull(time.keHost),
          stratum: time.stratum === 0 ? null : time.stratum,
          rootDelayNs: time.rootDelayNs,
          rootDispersionNs: time.rootDispersionNs,
        }
      : { number: null, ke: null, stratum: null, rootDelayNs: null, rootDispersionNs: null },
    lastSynchronisationUtc: last.text,
    lastSynchronisationUtcNs: last.ns,
    sampleAgeNs: sampled && known ? duration(sampleAge(time)) : null,
    nts: {
      aead: time.aead === 0 ? null : time.aead,
      aeadName: aeadName(time.aead) ?? null,
      cookies: time.cookies,
      cookieBytes: time.cookieBytes,
      keysSinceUtc: when(time.keysSinceUtcNs).text,
    },
    reach: time.reach.toString(2).padStart(8, '0'),
    pollSeconds: time.pollSeconds,
    counters: {
      sent: time.sent,
      authenticated: time.authenticated,
      rejected: time.rejected,
      naks: time.naks,
      keAttempts: time.keAttempts,
      keFailures: time.keFailures,
      eventsLost: time.eventsLost,
    },
    lastReject: nameOf(rejectNames, time.lastReject).name,
    lastKeError: nameOf(keErrorNames, time.lastKeError).name,
  };
}

function uncertaintyBudget(budget: Budget): NonNullable<TimePayload['uncertaintyBudget']> {
  return {
    noiseStandardNs: budget.noiseNs,
    asymmetryStandardNs: budget.asymmetryNs,
    serverStandardNs: budget.serverNs,
    stampsStandardNs: budget.stampsNs,
    notSlewedNs: budget.slewNs,
  };
}

// The clock may have been set back since.
function sampleAge({ utcNs, lastSyncUtcNs }: Omit<Time, 'type'>): bigint {
  return utcNs > lastSyncUtcNs ? utcNs - lastSyncUtcNs : 0n;
}

/** A server's number for people and topics: from 1, where the meter's interface counts from 0. */
export function serverNumber(index: number): number {
  return index + 1;
}

export function serverPayload(meter: string, { source, counts }: ServerReport): ServerPayload {
  const last = when(source.lastSyncUtcNs);
  const keys = when(source.keysSinceUtcNs);
  const answered = source.stratum !== 0;
  const sampled = last.ns !== null;
  return {
    meter,
    number: serverNumber(source.index),
    ke: orNull(source.keHost),
    ntp: source.ntpHost === '' ? null : { host: source.ntpHost, port: source.ntpPort },
    state: nameOf(sourceStateNames, source.state).name,
    flags: namesOfBits(sourceFlagNames, source.flags),
    retrySeconds: source.retrySeconds === 0 ? null : source.retrySeconds,
    stratum: answered ? source.stratum : null,
    leap: answered ? nameOf(leapNames, source.leap).name : null,
    rootDelayNs: source.rootDelayNs,
    rootDispersionNs: source.rootDispersionNs,
    offsetNs: sampled ? duration(source.offsetNs) : null,
    // Of a sample from before the meter had a time, there is nothing but the delay.
    delayNs: sampled || source.delayNs !== 0n ? duration(source.delayNs) : null,
    lastSampleUtc: last.text,
    lastSampleUtcNs: last.ns,
    reach: source.reach.toString(2).padStart(8, '0'),
    pollSeconds: source.pollSeconds,
    nts: {
      aead: source.aead === 0 ? null : source.aead,
      aeadName: aeadName(source.aead) ?? null,
      keyBits: aeadKeyBits(source.aead) ?? null,
      keysSinceUtc: keys.text,
      keysSinceUtcNs: keys.ns,
      cookies: source.cookies,
      cookieBytes: source.cookieBytes,
    },
    counters: {
      sent: counts.sent,
      authenticated: counts.authenticated,
      rejected: counts.rejected.reduce((sum, each) => sum + each, 0),
      naks: counts.naks,
      keAttempts: counts.keAttempts,
      keFailures: counts.keFailures,
    },
    rejected: rejectedByName(counts.rejected),
    lastReject: nameOf(rejectNames, counts.lastReject).name,
    lastKeError: nameOf(keErrorNames, counts.lastKeError).name,
    lastKiss: orNull(counts.kissCode),
  };
}

function rejectedByName(rejected: readonly number[]): Record<string, number> {
  const counted = rejected.map((times, index) => [nameOf(rejectNames, index + 1).name, times] as const);
  return Object.fromEntries(counted.filter(([, times]) => times > 0));
}

export function eventPayload(meter: string, event: Omit<MeterEventMessage, 'type'>): EventPayload {
  const at = when(event.utcNs, beginsLeapSecond(event));
  return {
    meter,
    boot: event.boot.toString(16).padStart(8, '0'),
    sequence: event.sequence,
    event: nameOf(meterEventNames, event.code).name,
    code: event.code,
    text: describeEvent(event),
    utc: at.text,
    utcNs: at.ns,
    uptimeNs: event.uptimeNs.toString(),
    a: event.a.toString(),
    b: event.b.toString(),
    detail: event.text,
  };
}
