// What of the rings goes to the gateway: records, in order and unasked, and entries that it asks for.
// What always holds: in a session nothing is sent before the gateway said what it has (`RecordAck`); an entry goes out only as
// it is in the storage, with a seal that holds; what comes is not trusted: a sequence beyond the newest counts for nothing,
// and what was delivered once stays so.

import { copy } from '../abi/bytes';
import {
  Channel,
  CommandResult,
  EntriesAskField,
  EntryField,
  MarkField,
  Message,
  RecordAckField,
  ReleaseField,
  Ring,
} from '../abi/codes';
import { answersAdd, answersTake } from '../meter/answers';
import { networkBegin, networkSend, networkUp } from '../meter/network';
import { MARK, markChange, markReleased } from './mark';
import { ringNewest, ringOldest } from './ring';

/** Whether the gateway has said what it has, and the next record that it is sent. */
let acknowledged: bool = false;
let next: u32 = 0;

/** The command under way: `Message`, 0 for none; its token; entries left to send, and how many were sent. */
let command: u32 = 0;
let token: u32 = 0;
let askRing: u32 = 0;
let askNext: u32 = 0;
let askEnd: u32 = 0;
let askSent: u32 = 0;

/** A new session of the link: what it was told before is not known to it, and nobody waits for answers any more. */
export function sendRestart(): void {
  acknowledged = false;
  command = 0;
}

function end(result: u32, detail: u32): void {
  command = 0;
  answersAdd(token, result, detail);
}

/** A message of the report channel. `ready`: the rings are found; `able`: there are any. */
export function sendTake(message: usize, length: u32, ready: bool, able: bool): void {
  const type: u32 = load<u8>(message);
  if (type == Message.RecordAck) {
    if (length >= <u32>RecordAckField.Bytes && ready) {
      acknowledge(load<u32>(message, RecordAckField.Stored), load<u32>(message, RecordAckField.Delivered));
    }
    return;
  }
  const asks = type == Message.EntriesAsk && length >= <u32>EntriesAskField.Bytes;
  if (!asks && (type != Message.Release || length < <u32>ReleaseField.Bytes)) return;
  const ring: u32 = load<u8>(message, EntriesAskField.Ring);
  const came: u32 = load<u16>(message, EntriesAskField.Token);
  // Both have ring, token and sequence at the same places.
  const sequence = load<u32>(message, EntriesAskField.From);
  if (came == 0 || (command != 0 && came == token) || !answersTake()) return;
  if (!able) return answersAdd(came, CommandResult.Absent, 0);
  if (!ready || command != 0) return answersAdd(came, CommandResult.Busy, 0);
  token = came;
  if (asks) ask(ring, sequence, load<u16>(message, EntriesAskField.Count));
  else release(ring, sequence);
}

function acknowledge(stored: u32, delivered: u32): void {
  const newest = ringNewest(Ring.Records);
  if (delivered <= newest && delivered > load<u32>(MARK, MarkField.Delivered)) {
    store<u32>(MARK, delivered, MarkField.Delivered);
    markChange(false);
  }
  if (!acknowledged) next = 0;
  acknowledged = true;
  next = max<u32>(next, load<u32>(MARK, MarkField.Delivered) + 1);
  if (stored <= newest) next = max<u32>(next, stored + 1);
}

function ask(ring: u32, from: u32, count: u32): void {
  if (ring > <u32>Ring.Network) return end(CommandResult.Request, 0);
  command = Message.EntriesAsk;
  askRing = ring;
  askNext = max<u32>(from, ringOldest(ring));
  askEnd = <u32>min<u64>(<u64>from + count, <u64>ringNewest(ring) + 1);
  askSent = 0;
}

function release(ring: u32, sequence: u32): void {
  const newest = ringNewest(Ring.Logbook);
  if (ring != Ring.Logbook || sequence > newest || sequence < load<u32>(MARK, MarkField.Released)) {
    return end(CommandResult.Request, newest);
  }
  if (sequence == markReleased()) return end(CommandResult.Done, newest);
  command = Message.Release;
  store<u32>(MARK, sequence, MarkField.Released);
  markChange(true);
}

/** The mark was written, or could not be: a release is done when the storage knows of it, and else it is none. */
export function sendMarked(failed: bool): void {
  if (command != Message.Release) return;
  if (failed) {
    store<u32>(MARK, markReleased(), MarkField.Released);
    end(CommandResult.Storage, 0);
  } else if (markReleased() == load<u32>(MARK, MarkField.Released)) {
    end(CommandResult.Done, ringNewest(Ring.Logbook));
  }
}

/** Answers what asked for entries once all of them were sent. */
export function sendFinish(): void {
  if (command == Message.EntriesAsk && askNext >= askEnd) end(CommandResult.Done, askSent);
}

/** The entry that can be sent now is `sendSequence` of `sendRing`; false where there is none, or no room for it. */
export function sendWants(): bool {
  if (!networkUp()) return false;
  // Entries may have been overwritten since they were asked for.
  if (command == Message.EntriesAsk) askNext = max<u32>(askNext, ringOldest(askRing));
  const asked = command == Message.EntriesAsk && askNext < askEnd;
  if (!asked && (!acknowledged || next > ringNewest(Ring.Records))) return false;
  sendAsked = asked;
  sendRing = asked ? askRing : Ring.Records;
  sendSequence = asked ? askNext : next;
  return networkBegin(Channel.Report, EntryField.Bytes) != 0;
}

/** What is being read, to be sent. */
export let sendRing: u32 = 0;
export let sendSequence: u32 = 0;
let sendAsked: bool = false;

// Of an earlier session, or of before an acknowledgement.
function isCurrent(): bool {
  if (sendAsked) return command == Message.EntriesAsk && askRing == sendRing && askNext == sendSequence;
  return acknowledged && next == sendSequence;
}

/** It was read: sends it where there is still room; `entry` 0: it does not hold, and is left out. */
export function sendEntry(entry: usize): void {
  if (!isCurrent()) return;
  if (entry != 0) {
    const message = networkUp() ? networkBegin(Channel.Report, EntryField.Bytes) : 0;
    if (message == 0) return;
    store<u8>(message, Message.Entry);
    store<u8>(message, <u8>sendRing, EntryField.Ring);
    store<u16>(message, sendAsked ? <u16>token : 0, EntryField.Token);
    copy(message + EntryField.Entry, entry, EntryField.Bytes - EntryField.Entry);
    networkSend(Channel.Report, EntryField.Bytes);
  }
  if (!sendAsked) {
    next += 1;
    return;
  }
  askNext += 1;
  if (entry != 0) askSent += 1;
}
