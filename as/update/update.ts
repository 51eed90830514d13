// Replaces the software: takes an image over the link into the slot that does not run, tries it, keeps it or gives it up.
//
//   record read ──> idle ──> begin: signature checked ──> record ──> first step erased ──> parts written, step by step ──┐
//                    ▲  ▲                                                                                                │
//                    │  └── refused                                                            record <── next erased ◄──┤
//                    │                                                                                                   │
//                    │   restart <── slot committed <── record <── told, and logged <── finish: read back and hashed ◄───┘
//                    └── after it, tried: confirmed once there are session and time, or another restart
//
// What always holds:
// - Nothing is erased before a signature held, under the key of the settings, for this board and the slot that does not run.
// - An image is tried only if what was read back from its slot has the hash that was signed, and after `UpdateAccepted` is in
//   the logbook or, on a meter without one, stored by the gateway.
// - The floor never goes back, and grows only by what an image that was confirmed asked for.
// - Cut off anywhere, what runs is whole and goes on running: the other slot counts from `Action.SlotCommit` on.
// - One command at a time, and one answer to each at most; none where a new session began meanwhile.
// - One operation on storage or slots at a time, those of others included.
//
// What a check or a hash needs lies in memory that the link lends; datagrams wait meanwhile. Behind what verify.ts has:
//
//     0  the hash so far    64

import { actionAdd, actionRead } from '../abi/buffers';
import { clear, copy, isZero } from '../abi/bytes';
import {
  Action,
  Channel,
  ClockStatus,
  CommandResult,
  DoneField,
  ManifestField,
  ManifestFormat,
  Message,
  MeterEvent,
  Slot,
  SlotFlag,
  SlotImageField,
  SlotsField,
  StartField,
  StorageMap,
  UpdateBeginField,
  UpdateFinishField,
  UpdateLimit,
  UpdatePartField,
  UpdateRefusal,
  UpdateState,
} from '../abi/codes';
import { equalBytes } from '../aead/constant-time';
import { DIGEST } from '../aead/scratch';
import { clockStatus } from '../clock/clock';
import { localFromTicks } from '../clock/local';
import { rulesTransactionRuns } from '../clock/rules';
import { datagramLend, datagramReturn } from '../link/datagram';
import { eventRaised, eventRoom, eventSettled, raiseEvent } from '../meter/events';
import { networkBegin, networkSend, networkUp } from '../meter/network';
import { timeNowLocal, timeNowTicks } from '../meter/now';
import { reportNames } from '../meter/report';
import { retryNs } from '../meter/retry';
import { settingsServers, settingsUpdateKey } from '../meter/settings';
import { SECOND_NS } from '../ntp/timestamp';
import { logRoom } from '../record/log';
import { signBusy } from '../sign/ed25519';
import { sha512Finish, sha512Resume, sha512Start, sha512Suspend, sha512Update } from '../sign/sha512';
import { BEHIND_VERIFY, verifyBegin, verifyHolds, verifyMessage, verifyStep } from '../sign/verify';
import {
  FLOOR,
  HASH,
  HASH_BYTES,
  ITS_FLOOR,
  LENGTH,
  OFFSET,
  RECORD,
  recordRead,
  recordUnwritten,
  recordWrite,
  STATE,
  TARGET,
  VERSION,
} from './record';

/** Bytes that are read back at once: a block of SHA-512. */
const READ_BYTES: u32 = 128;
const RETRY_MAX_MS: u32 = 60_000;
/** How long software that is tried has until it is confirmed. */
const TRIAL_NS: i64 = 600 * SECOND_NS;
/** How long telling that software was accepted may take. */
const TELL_NS: i64 = 30 * SECOND_NS;
/** Between the answer that software was accepted, and the restart. */
const RESTART_NS: i64 = 2 * SECOND_NS;
const REFUSED_NS: i64 = 60 * SECOND_NS;

/** What is signed begins with "metertime update". */
const DOMAIN_0: u32 = 0x6574_656d;
const DOMAIN_4: u32 = 0x6d69_7472;
const DOMAIN_8: u32 = 0x7075_2065;
const DOMAIN_12: u32 = 0x6574_6164;
const DOMAIN_BYTES: u32 = 16;

enum Job {
  /** The record is to be read. */
  Open = 0,
  Idle = 1,
  /** The signature is checked. */
  Check = 2,
  /** The record says what comes. */
  Enter = 3,
  /** The step at `at` is erased. */
  Erase = 4,
  /** The record says how much there is. */
  Note = 5,
  /** A part is written. */
  Write = 6,
  /** The image is read back and hashed. */
  Hash = 7,
  /** It is told and logged. */
  Tell = 8,
  /** The record says that it is accepted. */
  Accept = 9,
  Commit = 10,
  /** It did not become what was signed, or could not be brought into force: the record says so. */
  Drop = 11,
  /** The meter starts anew as soon as it may. */
  Restart = 12,
  /** What runs is confirmed. */
  Confirm = 13,
  /** The record says what became of it. */
  Settle = 14,
}

let job: Job = Job.Open;
/** What `Event.Start` said. */
let running: u32 = Slot.None;
let flags: u32 = 0;
let version: u32 = 0;
let slotBytes: u32 = 0;
/** When what is tried has to be confirmed. */
let trialEnd: i64 = 0;
/** Whether parts are taken, and how many bytes of the image are written, or hashed; of the part under way. */
let open: bool = false;
let at: u32 = 0;
let partBytes: u32 = 0;
/** The command under way, 0 for none; and its answer as soon as there is one. */
let token: u32 = 0;
let answered: bool = false;
let result: u32 = CommandResult.Done;
let detail: u32 = 0;
/** The event of what was accepted, 0 before it is raised. */
let told: u32 = 0;
/** When the next try, the end of a wait or the restart is due. */
let due: i64 = 0;
let failures: u32 = 0;
/** Refusals that were not told, and from when on one is told again. */
let refused: u32 = 0;
let refusedUntil: i64 = 0;
/** `Message.Slots` is to be sent. */
let slotsDue: bool = false;

/** `Event.Start`. */
export function updateStart(start: usize): void {
  if (UPDATE == 0) return;
  if (load<u32>(start, StartField.StorageBytes) < <u32>StorageMap.UpdateBytes) return;
  running = load<u8>(start, StartField.Slot);
  flags = load<u8>(start, StartField.SlotFlags);
  version = load<u32>(start, StartField.ImageVersion);
  slotBytes = load<u32>(start, StartField.SlotBytes);
  trialEnd = localFromTicks(timeNowTicks()) + TRIAL_NS;
}

/** Whether an offset of the storage is the record's. */
export function updateOwns(offset: u32): bool {
  return UPDATE != 0 && offset >= <u32>StorageMap.UpdateA && offset < <u32>StorageMap.UpdateBytes;
}

/** A new session of the link: nobody waits for an answer. */
export function updateRestart(): void {
  token = 0;
  answered = false;
  slotsDue = true;
}

function isTrial(): bool {
  return (flags & SlotFlag.Trial) != 0;
}

// ---------------------------------------------------------------- commands

/** Whether a message of the report channel is one of an update. */
export function updateTakes(type: u32): bool {
  return UPDATE != 0 && type >= <u32>Message.UpdateBegin && type <= <u32>Message.UpdateFinish;
}

/** Takes it; true where it began an operation. `busy`: one is under way. */
export function updateMessage(message: usize, length: u32, busy: bool): bool {
  const number: u32 = length < 4 ? 0 : load<u16>(message, UpdateBeginField.Token);
  if (number == 0 || number == token || answered) return false;
  if (running == Slot.None) return refuseNow(number, CommandResult.Absent);
  if (token != 0 || job != Job.Idle || busy || isTrial()) return refuseNow(number, CommandResult.Busy);
  token = number;
  const type: u32 = load<u8>(message);
  if (type == Message.UpdateBegin && length == UpdateBeginField.Bytes) begin(message);
  else if (type == Message.UpdatePart) return part(message, length);
  else if (type == Message.UpdateFinish && length == UpdateFinishField.Bytes)
    finish(message + UpdateFinishField.Manifest);
  else answer(CommandResult.Request, 0);
  return false;
}

// An answer to a command that does not begin, unless another one is under way: then it gets none, and comes again.
function refuseNow(number: u32, why: u32): bool {
  if (token == 0) {
    token = number;
    answer(why, 0);
  }
  return false;
}

function answer(what: u32, more: u32): void {
  if (token == 0) return;
  answered = true;
  result = what;
  detail = more;
}

function refuse(why: u32): void {
  answer(CommandResult.Refused, why);
  refused += 1;
  if (refusedUntil > timeNowLocal()) return;
  refusedUntil = timeNowLocal() + REFUSED_NS;
  raiseEvent(MeterEvent.UpdateRefused, why, refused, false);
  refused = 0;
}

// What can be said of a manifest before its signature is checked; None where all of it holds.
function judge(manifest: usize): u32 {
  if (settingsUpdateKey() == 0) return UpdateRefusal.NoKey;
  if (load<u32>(manifest) != <u32>ManifestFormat.Magic) return UpdateRefusal.Manifest;
  if (load<u16>(manifest, ManifestField.Format) != <u16>ManifestFormat.Format) return UpdateRefusal.Manifest;
  const board = reportNames();
  const boardBytes: u32 = 1 + load<u8>(board);
  if (!equalBytes(manifest + ManifestField.Board, board, boardBytes)) return UpdateRefusal.Board;
  if (!isZero(manifest + ManifestField.Board + boardBytes, 32 - boardBytes)) return UpdateRefusal.Board;
  if (load<u16>(manifest, ManifestField.Slot) != <u16>(Slot.A + Slot.B - running)) return UpdateRefusal.Slot;
  const length = load<u32>(manifest, ManifestField.Length);
  if (length == 0 || length > slotBytes || (length & 3) != 0) return UpdateRefusal.Length;
  const floor = load<u32>(RECORD, FLOOR);
  const its = load<u32>(manifest, ManifestField.Version);
  const itsFloor = load<u32>(manifest, ManifestField.Floor);
  return its < floor || itsFloor > its ? UpdateRefusal.Version : UpdateRefusal.None;
}

function begin(message: usize): void {
  const manifest = message + UpdateBeginField.Manifest;
  const why = judge(manifest);
  if (why != UpdateRefusal.None) return refuse(why);
  if (signBusy() || !datagramLend()) return answer(CommandResult.Busy, 0);
  open = false;
  const signed = BEHIND_VERIFY;
  store<u32>(signed, DOMAIN_0);
  store<u32>(signed, DOMAIN_4, 4);
  store<u32>(signed, DOMAIN_8, 8);
  store<u32>(signed, DOMAIN_12, 12);
  copy(signed + DOMAIN_BYTES, manifest, ManifestField.Bytes);
  verifyBegin(
    settingsUpdateKey(),
    message + UpdateBeginField.Signature,
    signed,
    DOMAIN_BYTES + <u32>ManifestField.Bytes,
  );
  job = Job.Check;
}

// The signature was checked.
function checked(): void {
  datagramReturn();
  job = Job.Idle;
  if (!verifyHolds()) return refuse(UpdateRefusal.Signature);
  const manifest = verifyMessage() + DOMAIN_BYTES;
  hashManifest(manifest);
  const length = load<u32>(manifest, ManifestField.Length);
  if (load<u8>(RECORD, STATE) == UpdateState.Receiving && equalBytes(DIGEST, RECORD + HASH, HASH_BYTES)) {
    at = load<u32>(RECORD, OFFSET);
    open = true;
    slotsDue = true;
    // What was written of a step that is not whole goes.
    if (at < length) job = Job.Erase;
    else answer(CommandResult.Done, at);
    return;
  }
  store<u8>(RECORD, UpdateState.Receiving, STATE);
  store<u8>(RECORD, load<u8>(manifest, ManifestField.Slot), TARGET);
  store<u32>(RECORD, load<u32>(manifest, ManifestField.Version), VERSION);
  store<u32>(RECORD, load<u32>(manifest, ManifestField.Floor), ITS_FLOOR);
  store<u32>(RECORD, length, LENGTH);
  store<u32>(RECORD, 0, OFFSET);
  copy(RECORD + HASH, DIGEST, HASH_BYTES);
  at = 0;
  job = Job.Enter;
}

// DIGEST = SHA-512 of a manifest
function hashManifest(manifest: usize): void {
  sha512Start();
  sha512Update(manifest, ManifestField.Bytes);
  sha512Finish(DIGEST);
}

function part(message: usize, length: u32): bool {
  const offset = length < <u32>UpdatePartField.Part ? u32.MAX_VALUE : load<u32>(message, UpdatePartField.Offset);
  const bytes = length - UpdatePartField.Part;
  const inStep = (at % <u32>UpdateLimit.StepBytes) + bytes <= <u32>UpdateLimit.StepBytes;
  const fits = bytes != 0 && bytes <= <u32>UpdateLimit.PartBytes && (bytes & 3) == 0 && inStep;
  if (!open || offset != at || !fits || bytes > load<u32>(RECORD, LENGTH) - at) {
    answer(CommandResult.Request, open ? at : 0);
    return false;
  }
  const target = actionAdd(Action.SlotWrite, 4 + bytes);
  store<u32>(target, offset);
  copy(target + 4, message + UpdatePartField.Part, bytes);
  partBytes = bytes;
  job = Job.Write;
  return true;
}

function finish(manifest: usize): void {
  if (!open || at != load<u32>(RECORD, LENGTH)) return answer(CommandResult.Request, open ? at : 0);
  hashManifest(manifest);
  if (!equalBytes(DIGEST, RECORD + HASH, HASH_BYTES)) return answer(CommandResult.Request, at);
  if (signBusy() || !datagramLend()) return answer(CommandResult.Busy, 0);
  copy(verifyMessage(), manifest, ManifestField.Bytes);
  sha512Start();
  sha512Suspend(BEHIND_VERIFY);
  open = false;
  at = 0;
  job = Job.Hash;
}

/** Sends what waits and has room: an answer, and what runs. */
export function updateSend(): void {
  if (running == Slot.None || !networkUp()) return;
  if (answered) {
    const message = networkBegin(Channel.Report, DoneField.Bytes);
    if (message == 0) return;
    clear(message, DoneField.Bytes);
    store<u8>(message, Message.Done);
    store<u8>(message, <u8>result, DoneField.Result);
    store<u16>(message, <u16>token, DoneField.Token);
    store<u32>(message, detail, DoneField.Detail);
    networkSend(Channel.Report, DoneField.Bytes);
    token = 0;
    answered = false;
  }
  if (!slotsDue || job == Job.Open) return;
  const message = networkBegin(Channel.Report, SlotsField.Bytes);
  if (message == 0) return;
  clear(message, SlotsField.Bytes);
  store<u8>(message, Message.Slots);
  store<u8>(message, <u8>running, SlotsField.Slot);
  store<u8>(message, <u8>flags, SlotsField.Flags);
  store<u8>(message, load<u8>(RECORD, STATE), SlotsField.State);
  store<u32>(message, version, SlotsField.ImageVersion);
  store<u32>(message, load<u32>(RECORD, FLOOR), SlotsField.Floor);
  store<u32>(message, slotBytes, SlotsField.SlotBytes);
  if (load<u8>(RECORD, STATE) != UpdateState.None) {
    store<u32>(message, load<u32>(RECORD, OFFSET), SlotsField.Offset);
    store<u32>(message, load<u32>(RECORD, LENGTH), SlotsField.Length);
    store<u32>(message, load<u32>(RECORD, VERSION), SlotsField.Version);
  }
  const key = settingsUpdateKey();
  if (key != 0) {
    sha512Start();
    sha512Update(key, 32);
    sha512Finish(DIGEST);
    copy(message + SlotsField.KeyId, DIGEST, HASH_BYTES);
  }
  networkSend(Channel.Report, SlotsField.Bytes);
  slotsDue = false;
}

// ---------------------------------------------------------------- what is done

/** Whether the software that is tried has had its time: the meter starts anew. Also where there are no settings or storage. */
export function updateExpired(): bool {
  return UPDATE != 0 && isTrial() && timeNowLocal() >= trialEnd && !rulesTransactionRuns();
}

/** Local time at which there is something to do, while no operation is under way. */
export function updateDeadline(): i64 {
  if (UPDATE == 0 || running == Slot.None) return i64.MAX_VALUE;
  let next: i64 = isTrial() && !rulesTransactionRuns() ? trialEnd : i64.MAX_VALUE;
  if (settingsServers() == 0) return next;
  if (job == Job.Idle) {
    if (mayConfirm()) next = min<i64>(next, due);
  } else if (job == Job.Tell) {
    next = told != 0 && eventSettled(told) ? 0 : due;
  } else if (job != Job.Write) {
    next = job == Job.Restart && rulesTransactionRuns() ? i64.MAX_VALUE : due;
  }
  return next;
}

function mayConfirm(): bool {
  return isTrial() && networkUp() && clockStatus() == ClockStatus.Synchronised;
}

/** Does what is due while no operation on storage or slots is under way; true when it began one. */
export function updateStep(): bool {
  if (running == Slot.None || settingsServers() == 0 || timeNowLocal() < due) return job == Job.Tell && tell();
  switch (job) {
    case Job.Open:
      actionRead(StorageMap.UpdateA, 2 * StorageMap.UpdateSlotBytes);
      return true;
    case Job.Idle:
      if (!mayConfirm()) return false;
      job = Job.Confirm;
      actionAdd(Action.SlotConfirm, 0);
      return true;
    case Job.Check:
      if (verifyStep()) checked();
      return false;
    case Job.Enter:
    case Job.Note:
    case Job.Accept:
    case Job.Drop:
    case Job.Settle:
      recordWrite();
      return true;
    case Job.Erase:
      return slotAction(Action.SlotErase, UpdateLimit.StepBytes);
    case Job.Hash:
      return slotAction(Action.SlotRead, min<u32>(load<u32>(RECORD, LENGTH) - at, READ_BYTES));
    case Job.Tell:
      return tell();
    case Job.Commit:
      commit();
      return true;
    case Job.Confirm:
      actionAdd(Action.SlotConfirm, 0);
      return true;
    case Job.Restart:
      if (rulesTransactionRuns()) return false;
      actionAdd(Action.Restart, 0);
      job = Job.Idle;
      return true;
    default:
      return false;
  }
}

function slotAction(kind: u32, bytes: u32): bool {
  const action = actionAdd(kind, 8);
  store<u32>(action, at);
  store<u32>(action, bytes, 4);
  return true;
}

// Tells what was accepted, and waits until that is where it has to be.
function tell(): bool {
  if (told == 0 && eventRoom() && logRoom()) {
    const manifest = verifyMessage();
    const hash = bswap<u64>(load<u64>(manifest, ManifestField.ImageHash));
    raiseEvent(MeterEvent.UpdateAccepted, versions(), hash, false);
    told = eventRaised();
  } else if (told != 0 && eventSettled(told)) {
    store<u8>(RECORD, UpdateState.Accepted, STATE);
    job = Job.Accept;
    due = 0;
  } else if (timeNowLocal() >= due || !logRoom()) {
    drop();
    refuse(UpdateRefusal.NotLogged);
  }
  return false;
}

// The version that came, and that which runs.
function versions(): i64 {
  return <i64>(((<u64>load<u32>(RECORD, VERSION)) << 32) | version);
}

function commit(): void {
  const manifest = verifyMessage();
  const action = actionAdd(Action.SlotCommit, SlotImageField.Bytes);
  store<u32>(action, load<u32>(manifest, ManifestField.Length));
  store<u32>(action, load<u32>(manifest, ManifestField.Version), SlotImageField.Version);
  copy(action + SlotImageField.Hash, manifest + ManifestField.ImageHash, 32);
}

// What came does not count: the next begin starts anew.
function drop(): void {
  datagramReturn();
  store<u8>(RECORD, UpdateState.None, STATE);
  job = Job.Drop;
  due = 0;
}

/** The record was read, or part of the image; fewer bytes than asked for where that failed. */
export function updateData(offset: u32, data: usize, bytes: u32): void {
  if (job == Job.Open) return opened(data, bytes);
  if (job != Job.Hash || offset != at) return;
  const length = load<u32>(RECORD, LENGTH);
  if (bytes != min<u32>(length - at, READ_BYTES)) {
    answer(CommandResult.Storage, 0);
    return drop();
  }
  sha512Resume(BEHIND_VERIFY, at);
  sha512Update(data, bytes);
  at += bytes;
  if (at < length) return sha512Suspend(BEHIND_VERIFY);
  sha512Finish(DIGEST);
  if (!equalBytes(DIGEST, verifyMessage() + ManifestField.ImageHash, 32)) {
    drop();
    return refuse(UpdateRefusal.Image);
  }
  told = 0;
  job = Job.Tell;
  due = timeNowLocal() + TELL_NS;
}

// What became of what was accepted before the start.
function opened(data: usize, bytes: u32): void {
  if (bytes != 2 * StorageMap.UpdateSlotBytes) return retryLater();
  failures = 0;
  recordRead(data);
  job = Job.Idle;
  if (load<u8>(RECORD, STATE) != UpdateState.Accepted || isTrial()) return;
  if (load<u8>(RECORD, TARGET) == <u8>running) confirmed();
  else {
    raiseEvent(MeterEvent.UpdateRolledBack, versions(), (flags & SlotFlag.OtherFailed) != 0 ? 1 : 0, false);
    settle();
  }
}

// The image that runs is the one that was accepted, and stays.
function confirmed(): void {
  const floor = max<u32>(load<u32>(RECORD, FLOOR), load<u32>(RECORD, ITS_FLOOR));
  store<u32>(RECORD, floor);
  raiseEvent(MeterEvent.UpdateConfirmed, version, floor, false);
  settle();
}

function settle(): void {
  store<u8>(RECORD, UpdateState.None, STATE);
  slotsDue = true;
  job = Job.Settle;
}

function retryLater(): void {
  if (failures == 0) raiseEvent(MeterEvent.StorageFailed, StorageMap.UpdateA, 0, false);
  due = timeNowLocal() + retryNs(failures, RETRY_MAX_MS);
  failures += 1;
}

/** The record was written, or could not be. */
export function updateWritten(failed: bool): void {
  if (failed) {
    recordUnwritten();
    // What became of an image is written sooner or later; what comes, comes again.
    if (job == Job.Settle || job == Job.Drop) return retryLater();
    raiseEvent(MeterEvent.StorageFailed, StorageMap.UpdateA, 0, false);
    answer(CommandResult.Storage, 0);
    if (job == Job.Accept) return drop();
    open = false;
    job = Job.Idle;
    return;
  }
  failures = 0;
  due = 0;
  slotsDue = true;
  if (job == Job.Enter) job = Job.Erase;
  else if (job == Job.Accept) job = Job.Commit;
  else {
    if (job == Job.Note) answer(CommandResult.Done, at);
    job = Job.Idle;
  }
}

/** The last action on a slot is done, or failed. */
export function updateDone(failed: bool): void {
  if (job == Job.Confirm) {
    if (failed) return retryLater();
    failures = 0;
    due = 0;
    flags &= ~SlotFlag.Trial;
    slotsDue = true;
    job = Job.Idle;
    if (load<u8>(RECORD, STATE) == UpdateState.Accepted) confirmed();
    return;
  }
  if (failed) {
    answer(CommandResult.Storage, 0);
    open = false;
    if (job == Job.Commit) drop();
    else job = Job.Idle;
    return;
  }
  if (job == Job.Write) {
    at += partBytes;
    const length = load<u32>(RECORD, LENGTH);
    if (at < length && at % <u32>UpdateLimit.StepBytes != 0) {
      job = Job.Idle;
      return answer(CommandResult.Done, at);
    }
    job = at < length ? Job.Erase : noteAt();
  } else if (job == Job.Erase) {
    open = true;
    job = noteAt();
  } else if (job == Job.Commit) {
    datagramReturn();
    answer(CommandResult.Done, load<u32>(RECORD, VERSION));
    job = Job.Restart;
    due = timeNowLocal() + RESTART_NS;
  }
}

// How much is there is noted where it is more than was; else that is answered at once.
function noteAt(): Job {
  if (load<u32>(RECORD, OFFSET) != at) {
    store<u32>(RECORD, at, OFFSET);
    return Job.Note;
  }
  answer(CommandResult.Done, at);
  return Job.Idle;
}
