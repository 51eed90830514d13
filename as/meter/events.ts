// What happened in the meter, kept until the gateway has stored it and, where there is a logbook, it is logged.
// What always holds: events keep their order and number; one that does not fit is counted as lost; what the network
// alone can provoke takes at most half of the places, so that it displaces nothing else; what is logged, and only that, gives
// its place to what is to be logged; refused answers are told at most once a minute for each reason, with how often it happened.
//
//   entry    0  sequence     u32
//            4  code         u16
//            6  about        u8    1: the text names the server
//            7  server       u8    index of the server in the settings
//            8  UTC          i64   ns, 0 while unsynchronised
//           16  uptime       i64   ns
//           24  a            i64
//           32  b            i64

import { appendText, copy } from '../abi/bytes';
import { EventField, LogField, Message, MeterEvent } from '../abi/codes';
import { SECOND_NS } from '../ntp/timestamp';
import { timeNowLocal, timeNowUtc } from './now';
import { settingsServerName, settingsServers } from './settings';
import { sourceHandledServer } from './source';

/** A start with several servers raises two or three for each, before a gateway has acknowledged the first. */
const ENTRIES: u32 = 8 + 2 * <u32>SERVERS_MAX;
const NETWORK_ENTRIES: u32 = ENTRIES / 2;
const ENTRY_BYTES: u32 = 40;
const RING: usize = memory.data(<i32>(ENTRY_BYTES * (8 + 2 * <u32>SERVERS_MAX)), 8);

const MINUTE_SECONDS: u32 = 60;
/** Reasons of `Reject` that are counted apart. */
const REASONS: u32 = 18;
/** For each reason: when it was last told (u32, seconds of local time and one, 0: never), how often it happened since (u32). */
const REPEATS: usize = memory.data(144, 4);
/** For each `LinkRefusal`: when it was last told, as above, and how many there had been by then (u32). */
const REFUSALS: usize = memory.data(16, 4);

let first: u32 = 0;
let held: u32 = 0;
let sent: u32 = 0;
/** Of those held, from the first on: acknowledged, and logged. */
let acknowledged: u32 = 0;
let logged: u32 = 0;
/** Whether they are to be logged. */
let logs: bool = false;
let sequence: u32 = 0;
let lost: u32 = 0;
let boot: u32 = 0;

/** Events that did not fit since the start. */
export function eventsLost(): u32 {
  return lost;
}

/** Sets the random number that tells this start's events from those of others. */
export function eventsSetBoot(value: u32): void {
  boot = value;
}

/** Adds an event that happened now. */
export function raiseEvent(code: u32, a: i64, b: i64, aboutServer: bool): void {
  if (held >= (isNetworks(code) ? NETWORK_ENTRIES : ENTRIES)) {
    lost += 1;
    if (TARIFF == 0 || held < ENTRIES || logged == 0 || isNetworks(code)) return;
    drop();
  }
  const at = RING + ((first + held) % ENTRIES) * ENTRY_BYTES;
  sequence += 1;
  store<u32>(at, sequence);
  store<u16>(at, <u16>code, 4);
  store<u8>(at, aboutServer ? 1 : 0, 6);
  store<u8>(at, <u8>sourceHandledServer(), 7);
  store<i64>(at, timeNowUtc(), 8);
  store<i64>(at, timeNowLocal(), 16);
  store<i64>(at, a, 24);
  store<i64>(at, b, 32);
  held += 1;
}

// Whether whoever sits on the network can bring the event about, as often as it likes.
function isNetworks(code: u32): bool {
  return (
    code == MeterEvent.AnswerRefused ||
    code == MeterEvent.KeFailed ||
    code == MeterEvent.Nak ||
    code == MeterEvent.MajorityLost ||
    code == MeterEvent.MajorityReached ||
    code == MeterEvent.LinkRefused ||
    (UPDATE != 0 && code == MeterEvent.UpdateRefused)
  );
}

/** Whether an event that is not the network's would be kept. */
export function eventRoom(): bool {
  return held < ENTRIES;
}

/** Number of the event that was raised last. */
export function eventRaised(): u32 {
  return sequence;
}

/** Whether that event, or one before it, is logged, or without a logbook stored by the gateway. */
export function eventSettled(number: u32): bool {
  if (logs) return logged == held || <i32>(load<u32>(unlogged()) - number) > 0;
  return held == 0 || <i32>(load<u32>(RING + first * ENTRY_BYTES) - number) > 0;
}

/** Adds a refused answer: at most one event a minute for each reason. */
export function raiseRefused(reason: u32): void {
  const at = REPEATS + min<u32>(reason, REASONS - 1) * 8;
  const now = <u32>(timeNowLocal() / SECOND_NS) + 1;
  const times = load<u32>(at, 4) + 1;
  const last = load<u32>(at);
  // Seconds that differ by a minute and one more are a minute apart.
  if ((last != 0 && now - last <= MINUTE_SECONDS) || held >= NETWORK_ENTRIES) {
    store<u32>(at, times, 4);
    return;
  }
  store<u32>(at, now);
  store<u32>(at, 0, 4);
  raiseEvent(MeterEvent.AnswerRefused, reason, times, true);
}

/** So many frames of the link have been refused for a reason since the start: at most one event a minute for each reason. */
export function raiseLinkRefused(reason: u32, times: u32): void {
  const at = REFUSALS + (reason - 1) * 8;
  const before = load<u32>(at, 4);
  if (times == before || held >= NETWORK_ENTRIES) return;
  const now = <u32>(timeNowLocal() / SECOND_NS) + 1;
  const last = load<u32>(at);
  if (last != 0 && now - last <= MINUTE_SECONDS) return;
  store<u32>(at, now);
  store<u32>(at, times, 4);
  raiseEvent(MeterEvent.LinkRefused, reason, times - before, false);
}

// The first one goes.
function drop(): void {
  first = (first + 1) % ENTRIES;
  held -= 1;
  if (sent > 0) sent -= 1;
  if (TARIFF == 0) return;
  if (acknowledged > 0) acknowledged -= 1;
  if (logged > 0) logged -= 1;
}

/** A new session of the link: what is not acknowledged is told again. */
export function eventsRestart(): void {
  sent = TARIFF == 0 ? 0 : acknowledged;
}

/** Whether an event waits to be told. */
export function eventsPending(): bool {
  return sent < held;
}

/** Builds the message of the next event to tell; returns its length. */
export function eventMessage(target: usize): u32 {
  const at = RING + ((first + sent) % ENTRIES) * ENTRY_BYTES;
  store<u16>(target, Message.Event);
  store<u32>(target, load<u32>(at), EventField.Sequence);
  store<u16>(target, load<u16>(at, 4), EventField.Code);
  store<i64>(target, load<i64>(at, 8), EventField.UtcNs);
  store<i64>(target, load<i64>(at, 16), EventField.UptimeNs);
  store<i64>(target, load<i64>(at, 24), EventField.A);
  store<i64>(target, load<i64>(at, 32), EventField.B);
  store<u32>(target, boot, EventField.Boot);
  const text = target + EventField.Texts;
  const server: u32 = load<u8>(at, 7);
  if (load<u8>(at, 6) == 0 || server >= settingsServers()) {
    store<u8>(text, 0);
    return EventField.Texts + 1;
  }
  return <u32>(appendText(text, settingsServerName(server)) - target);
}

/** The message of `eventMessage` was given to the link. */
export function eventSent(): void {
  sent += 1;
}

/** The gateway stored all events up to `number`. */
export function eventsAcknowledge(number: u32): void {
  if (TARIFF == 0) {
    while (sent > 0 && isUpTo(first, number)) drop();
    return;
  }
  while (acknowledged < sent && isUpTo((first + acknowledged) % ENTRIES, number)) acknowledged += 1;
  release();
}

function isUpTo(place: u32, number: u32): bool {
  return <i32>(load<u32>(RING + place * ENTRY_BYTES) - number) <= 0;
}

// What is acknowledged, and logged where there is a logbook, goes.
function release(): void {
  while (acknowledged > 0 && (!logs || logged > 0)) drop();
}

// ---------------------------------------------------------------- logbook

/** Whether there is a logbook: then an event is kept until it is logged. */
export function eventsLogging(on: bool): void {
  logs = on;
  if (!on) release();
}

/** Whether an event waits to be logged. */
export function eventUnlogged(): bool {
  return logs && logged < held;
}

function unlogged(): usize {
  return RING + ((first + logged) % ENTRIES) * ENTRY_BYTES;
}

/** Code of the event to be logged next. */
export function eventUnloggedCode(): u32 {
  return load<u16>(unlogged(), 4);
}

/** Writes it as `LogField` has it. */
export function eventToLog(body: usize): void {
  const at = unlogged();
  store<u16>(body, load<u16>(at, 4), LogField.Code);
  store<u32>(body, boot, LogField.Boot);
  store<u32>(body, load<u32>(at), LogField.EventSequence);
  copy(body + LogField.UtcNs, at + 8, 32);
  const server: u32 = load<u8>(at, 7);
  if (load<u8>(at, 6) == 0 || server >= settingsServers()) return;
  const name = settingsServerName(server);
  const length = min<u32>(load<u8>(name), LOG_TEXT_BYTES);
  store<u8>(body, <u8>length, LogField.Texts);
  copy(body + LogField.Texts + 1, name + 1, length);
}

const LOG_TEXT_BYTES: u32 = LogField.LeftOut - LogField.Texts - 1;

/** It is logged. */
export function eventLogged(): void {
  logged += 1;
  release();
}
