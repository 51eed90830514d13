// What the meter knows of each time server in use: a source. `establish.ts` brings it to keys, `poll.ts` to samples.
// What always holds: a source belongs to one server of the settings, and no two to the same; waits before the next key
// establishment belong to the server and are forgotten only when keys led to an authenticated answer.

import { clear } from '../abi/bytes';
import { SourceState } from '../abi/codes';
import { pathForget } from '../clock/path';
import { backoffNext, backoffSpread, FailureKind } from '../nts/backoff';
import { timeNowLocal } from './now';
import { random32 } from './seed';
import { settingsServers, settingsSpreadSeconds } from './settings';

const MILLISECOND_NS: i64 = 1_000_000;

/** Sources at most. */
export const SOURCES: u32 = <u32>SERVERS_MAX;

/** Places of `Source.rejected`: one for each `Reject` from 1 on. */
export const REJECT_REASONS: u32 = 17;

/** Key establishment of a source. */
export enum Ke {
  /** The keys in use serve, or the source is stopped. */
  Idle = 0,
  /** New keys are wanted, and tried for when their server's wait is over. */
  Waiting = 1,
  /** A connection is being opened. */
  Opening = 2,
  /** It is open, and waits until the reader of answers is free. */
  Queued = 3,
  /** The request is sent. */
  Establishing = 4,
  /** The answer is whole; keys are asked for. */
  Exporting = 5,
}

/** The UDP socket of a source. */
export enum Socket {
  Closed = 0,
  Opening = 1,
  Open = 2,
}

@unmanaged
export class Source {
  // Ordered by size, as fields lie at multiples of theirs.

  // Key establishment.
  deadline: i64;
  opensNotBefore: i64;
  opensNotAfter: i64;

  // The keys in use; `exchangeAead` says whether there are any.
  keysSinceLocal: i64;
  keysSinceUtc: i64;
  notBefore: i64;
  notAfter: i64;

  // Its reserve in the storage: see `reserve.ts`.
  /** The keys there are those made at this local time. */
  reserveKeys: i64;
  /** Local time before which it is not stored again. */
  storeAt: i64;

  // Polls.
  socketDeadline: i64;
  builtAt: i64;
  exchangeDeadline: i64;
  sentTick: u64;
  pollAt: i64;

  // The last authenticated answer.
  rootDelayNs: i64;
  rootDispersionNs: i64;
  offsetNs: i64;
  delayNs: i64;
  lastUtc: i64;

  // Counted since the start.
  sent: u32;
  authenticated: u32;
  naks: u32;
  keAttempts: u32;
  keFailures: u32;
  kiss: u32;

  /** Number of the parts of its reserve, 0 where nothing in the storage is known to count. */
  reserve: u32;
  pollSeconds: u32;
  /** s, the least that the server's RATE leaves, also under new keys and when answers fail; 0 where it never asked for less. */
  pollFloor: u32;

  answersAtPoll: u16;
  silence: u16;
  exchange: u16;
  ntpPort: u16;
  /** Messages still to be sent: bits of `establish.ts` and `poll.ts`. */
  wants: u16;

  /** Its place, from 0, and that of its server in the settings. */
  index: u8;
  server: u8;
  stopped: bool;

  // Key establishment.
  ke: u8;
  connection: u8;
  keysSeen: u8;
  /** Whether the connection's certificate was accepted without a look at its dates. */
  opensUnchecked: bool;
  opensUnproven: bool;
  /** The last one failed because its certificate had expired at the meter's time. */
  expired: bool;

  // The keys in use.
  /** Whether they led to an authenticated answer yet. */
  proven: bool;
  restored: bool;
  /** Whether the certificate is still to hold at a time obtained, and whether its dates were looked at before. */
  datesUnproven: bool;
  datesUnchecked: bool;
  /** NTP is served by a host that the NTS-KE server named: any of its addresses will do (RFC 8915 4.1.7). */
  ntpElsewhere: bool;

  // Its reserve in the storage.
  /** The second cookie has not been loaded yet. */
  reserveLeft: bool;
  /** A cookie in the jar is being erased from the storage: it may not be sent yet. */
  taking: bool;

  // Polls.
  socket: u8;
  socketId: u8;
  address: u8;
  sentKnown: bool;
  nakSeen: bool;
  /** A poll fell due without a network. */
  overdue: bool;
  burst: u8;
  useless: u8;
  reach: u8;

  /** Whether its last sample meets that of the majority, or contradicts it. */
  agrees: bool;
  disagrees: bool;

  // The last authenticated answer, the last refused one, and the last failed key establishment.
  stratum: u8;
  leap: u8;
  lastReject: u8;
  lastKeError: u8;
}

const SOURCE_BYTES: usize = (offsetof<Source>() + 7) & ~7;
const TABLE: usize = memory.data(<i32>(SOURCE_BYTES * <u32>SERVERS_MAX), 8);
// u16 for each reason and source.
const REJECTED: usize = memory.data(<i32>(2 * REJECT_REASONS * <u32>SERVERS_MAX), 4);

/**
 * SHA-256 of the certificate behind each source's keys. With as many sources as the settings can have servers its place is
 * that of the server; before there are keys, it is then that of the last context (`record/context.ts`).
 */
const CERTIFICATES: usize = memory.data(<i32>(32 * <u32>SERVERS_MAX), 4);
/** Host of NTP of each source: a text of at most 65 bytes. */
const NTP_HOSTS: usize = memory.data(<i32>(68 * <u32>SERVERS_MAX), 4);

// Servers of the settings.
const SERVERS: u32 = 4;
const KINDS: u32 = 5;
/** Local time from which on each may be asked for keys. */
const RETRY_AT: usize = memory.data(<i32>(8 * SERVERS), 8);
/** ms, for each kind of failure: the last wait. */
const WAITS: usize = memory.data(<i32>(4 * KINDS * SERVERS), 4);
/** Servers that asked not to be polled any more: bits. */
let refusing: u32 = 0;
/** Servers that understand no more than what RFC 8915 requires, AEAD 15 alone: bits. */
let plain: u32 = 0;

/** Source that is being handled, which an event is about. */
let handled: u32 = 0;
/** Source whose sample moved the clock last. */
let reference: u32 = 0;

let changedMask: u32 = 0;

/** Sources in use. */
export function sources(): u32 {
  return min<u32>(settingsServers(), SOURCES);
}

/** A source, from 0. */
export function sourceAt(index: u32): Source {
  return changetype<Source>(TABLE + <usize>index * SOURCE_BYTES);
}

export function sourceCertificate(source: Source): usize {
  return certificateAt(SOURCES == SERVERS ? source.server : source.index);
}

/** The same by its place. */
export function certificateAt(place: u32): usize {
  return CERTIFICATES + <usize>place * 32;
}

export function sourceNtpHost(source: Source): usize {
  return NTP_HOSTS + <usize>source.index * 68;
}

/** The settings are known: each source gets its server. */
export function sourcesStart(): void {
  clear(TABLE, <u32>SOURCE_BYTES * SOURCES);
  for (let i: u32 = 0; i < sources(); i++) {
    const source = sourceAt(i);
    source.index = <u8>i;
    source.server = <u8>i;
    source.connection = <u8>i;
    source.socketId = <u8>i;
    source.ke = <u8>Ke.Waiting;
  }
}

/** Events are about this source from now on. */
export function sourceHandle(source: Source): void {
  handled = source.index;
}

/** Server, in the settings, that events are about. */
export function sourceHandledServer(): u32 {
  return sourceAt(handled).server;
}

/** The source whose sample moved the clock last. */
export function sourceReference(): Source {
  return sourceAt(reference);
}

export function sourceSetReference(source: Source): void {
  if (reference != source.index) changedMask |= (1 << reference) | (1 << source.index);
  reference = source.index;
}

/** Something worth a report happened to this source. */
export function sourceChanged(source: Source): void {
  changedMask |= 1 << source.index;
}

/** Sources to which something worth a report happened since last asked: bits. */
export function sourcesChanged(): u32 {
  const mask = changedMask;
  changedMask = 0;
  return mask;
}

/** Of all sources: `Reject` of the last refused answer, `KeError` of the last failed key establishment. */
export let sourcesLastReject: u32 = 0;
export let sourcesLastKeError: u32 = 0;

/** Counts a failed key establishment. */
export function sourceCountKeFailure(source: Source, error: u32): void {
  source.keFailures += 1;
  source.lastKeError = <u8>error;
  sourcesLastKeError = error;
}

/** Counts a refused answer. */
export function sourceCountReject(source: Source, reason: u32): void {
  source.lastReject = <u8>reason;
  sourcesLastReject = reason;
  const at = REJECTED + 2 * (source.index * REJECT_REASONS + reason - 1);
  if (load<u16>(at) != 0xffff) store<u16>(at, load<u16>(at) + 1);
}

/** Refused answers of a source for a reason, saturated. */
export function sourceRejected(source: Source, reason: u32): u32 {
  return load<u16>(REJECTED + 2 * (source.index * REJECT_REASONS + reason - 1));
}

// ---------------------------------------------------------------- servers of the settings

/** Local time from which on a server may be asked for keys. */
export function serverRetryAt(server: u32): i64 {
  return load<i64>(RETRY_AT + server * 8);
}

/** A server is not asked for keys before this local time. */
export function serverHold(server: u32, until: i64): void {
  store<i64>(RETRY_AT + server * 8, max<i64>(serverRetryAt(server), until));
}

/** After a start that is not the first: key establishments of a fleet are spread over the time that the settings say. */
export function serverSpread(server: u32): void {
  const waitMs = backoffSpread(settingsSpreadSeconds(), random32());
  serverHold(server, timeNowLocal() + <i64>waitMs * MILLISECOND_NS);
}

/** A key establishment with a server failed: the next one waits, longer than the last time. */
export function serverFailed(server: u32, kind: u32): void {
  wait(server, kind, timeNowLocal());
}

function wait(server: u32, kind: u32, from: i64): void {
  const at = WAITS + (server * KINDS + kind) * 4;
  const waitMs = backoffNext(kind, load<u32>(at), random32() & 0xffff);
  store<u32>(at, waitMs);
  serverHold(server, from + <i64>waitMs * MILLISECOND_NS);
}

/** Keys of a server led to an authenticated answer (RFC 8915 4.2): its waits begin anew. */
export function serverProven(server: u32): void {
  clear(WAITS + server * KINDS * 4, FailureKind.ShortLived * 4);
}

/** Keys that led to answers are of no use any more: the next follow them at a distance that grows until some last. */
export function serverKeysUseless(server: u32, since: i64): void {
  wait(server, FailureKind.ShortLived, since);
}

/** The keys of a server have served for long enough. */
export function serverKeysLasted(server: u32): void {
  store<u32>(WAITS + (server * KINDS + FailureKind.ShortLived) * 4, 0);
}

/** A server asked not to be polled any more. */
export function serverRefuses(server: u32): void {
  refusing |= 1 << server;
}

/** Whether a server asked not to be polled any more. */
export function serverIsRefusing(server: u32): bool {
  return (refusing & (1 << server)) != 0;
}

/** A server refused a request that asked for more than RFC 8915 requires. */
export function serverMakePlain(server: u32): void {
  plain |= 1 << server;
}

/** Whether a server is asked for no more than what RFC 8915 requires. */
export function serverIsPlain(server: u32): bool {
  return (plain & (1 << server)) != 0;
}

/**
 * Gives a source that has failed another server, where one is free and may be asked sooner; says whether its server has
 * changed. A source whose server refuses it has none of its own.
 */
export function sourceMoves(source: Source): bool {
  return sourceMovesBefore(source, serverRetryAt(source.server));
}

/** The same, to one that may be asked before local time `until`. */
export function sourceMovesBefore(source: Source, until: i64): bool {
  let best: u32 = source.server;
  let bestAt = serverIsRefusing(best) ? i64.MAX_VALUE : until;
  for (let i: u32 = 0; i < settingsServers(); i++) {
    if (serverIsRefusing(i) || isTaken(i) || serverRetryAt(i) >= bestAt) continue;
    best = i;
    bestAt = serverRetryAt(i);
  }
  const moved = best != source.server;
  if (moved) {
    source.pollFloor = 0;
    pathForget(source.index);
  }
  source.server = <u8>best;
  return moved;
}

/**
 * Gives a source the server for which its keys were stored; the source that had it gets the other's. False where the
 * keys of that one were restored before.
 */
export function sourceServes(source: Source, server: u32): bool {
  for (let i: u32 = 0; i < sources(); i++) {
    const other = sourceAt(i);
    if (other == source || other.server != server) continue;
    if (other.restored) return false;
    other.server = source.server;
  }
  source.server = <u8>server;
  return true;
}

function isTaken(server: u32): bool {
  for (let i: u32 = 0; i < sources(); i++) {
    if (sourceAt(i).server == server) return true;
  }
  return false;
}

/** State of a source, as reports tell it. */
export function sourceState(source: Source, keyed: bool): u32 {
  if (source.stopped) return SourceState.Stopped;
  if (keyed) return SourceState.Serving;
  if (source.ke == Ke.Waiting) return SourceState.Waiting;
  return source.ke == Ke.Opening ? SourceState.Connecting : SourceState.Establishing;
}
