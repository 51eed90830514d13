// Settings and first seed of a meter whose storage has none, as they come over the link (`Message.Provision`).
//
//   parts ──> whole and valid ──> seed written ──> settings written ──> their magic number ──> answer ──> restart
//
// What always holds: a meter that has settings, also damaged ones, takes none over its link, and nothing tells what it has;
// wherever power fails, it has none or all of them; what is in memory of them is wiped when it is written.

import { actionAdd, actionWrite } from '../abi/buffers';
import { clear, copy } from '../abi/bytes';
import {
  Action,
  Channel,
  CommandResult,
  DoneField,
  Message,
  ProvisionField,
  SettingsError,
  StorageMap,
} from '../abi/codes';
import { SECOND_NS } from '../ntp/timestamp';
import { cookiesSpare } from '../nts/cookies';
import { networkBegin, networkSend, networkUp } from './network';
import { timeNowLocal } from './now';
import { seedValid } from './seed';
import { settingsCheck } from './settings';

/** Settings, then the first of the two seeds. */
const WHOLE_BYTES: u32 = StorageMap.SeedB - StorageMap.Settings;
const MAGIC_BYTES: u32 = 4;
/** Longest piece that is written at once. */
const PIECE_BYTES: u32 = 256;
/** The answer has this long to reach the gateway. */
const RESTART_NS: i64 = 2 * SECOND_NS;

let open: bool = false;
/** Bytes that came in order. */
let came: u32 = 0;
/** All of it came and is valid: up to where it is still to be written, from the end on; then the magic number. */
let unwritten: u32 = 0;
let magicDue: bool = false;
let writing: bool = false;
/** The answer that waits: token, 0 for none, result and detail. */
let token: u32 = 0;
let answered: bool = false;
let result: u32 = 0;
let detail: u32 = 0;
let restartAt: i64 = i64.MAX_VALUE;

/** The storage holds no settings. */
export function provisioningOpen(): void {
  open = true;
}

/** `Message.Provision`. */
export function provisioningMessage(message: usize, length: u32): void {
  const number: u32 = length > <u32>ProvisionField.Part ? load<u16>(message, ProvisionField.Token) : 0;
  // One at a time; what comes before its answer left gets none.
  if (number == 0 || token != 0) return;
  token = number;
  if (!open) return answer(CommandResult.Provisioned, 0);
  const offset: u32 = load<u16>(message, ProvisionField.Offset);
  const bytes = length - ProvisionField.Part;
  if ((offset != 0 && offset != came) || offset + bytes > WHOLE_BYTES) return answer(CommandResult.Request, came);
  if (offset == 0) forget();
  copy(cookiesSpare() + offset, message + ProvisionField.Part, bytes);
  came = offset + bytes;
  if (came < WHOLE_BYTES) return answer(CommandResult.Done, came);
  const error = settingsCheck(cookiesSpare(), StorageMap.SettingsBytes);
  if (error != SettingsError.None) return refuse(CommandResult.Invalid, error);
  if (!seedValid(cookiesSpare() + StorageMap.SeedA)) return refuse(CommandResult.Damaged, 0);
  unwritten = WHOLE_BYTES;
  magicDue = true;
}

function forget(): void {
  clear(cookiesSpare(), came);
  came = 0;
}

function refuse(why: u32, what: u32): void {
  forget();
  answer(why, what);
}

function answer(how: u32, what: u32): void {
  answered = true;
  result = how;
  detail = what;
}

/** Whether something is written just now. */
export function provisioningWrites(): bool {
  return writing;
}

/** Writes what is due while no storage operation is under way; true when it began one. */
export function provisioningWrite(): bool {
  if (!magicDue) return false;
  writing = true;
  if (unwritten <= MAGIC_BYTES) {
    copy(actionWrite(StorageMap.Settings, MAGIC_BYTES), cookiesSpare(), MAGIC_BYTES);
    return true;
  }
  const from = piece();
  copy(actionWrite(from, unwritten - from), cookiesSpare() + from, unwritten - from);
  return true;
}

// Where the piece begins that ends at `unwritten`.
function piece(): u32 {
  return max<u32>(MAGIC_BYTES, (unwritten - 1) & ~(PIECE_BYTES - 1));
}

/** A write is done, or failed. */
export function provisioningWritten(failed: bool): void {
  writing = false;
  if (failed) {
    magicDue = false;
    return refuse(CommandResult.Storage, 0);
  }
  if (unwritten > MAGIC_BYTES) {
    unwritten = piece();
    return;
  }
  magicDue = false;
  open = false;
  restartAt = timeNowLocal() + RESTART_NS;
  refuse(CommandResult.Done, WHOLE_BYTES);
}

/** Sends the answer that waits, and restarts the meter when all is done. */
export function provisioningStep(): void {
  if (answered && networkUp()) {
    const message = networkBegin(Channel.Report, DoneField.Bytes);
    if (message != 0) {
      clear(message, DoneField.Bytes);
      store<u8>(message, Message.Done);
      store<u8>(message, <u8>result, DoneField.Result);
      store<u16>(message, <u16>token, DoneField.Token);
      store<u32>(message, detail, DoneField.Detail);
      networkSend(Channel.Report, DoneField.Bytes);
      answered = false;
      token = 0;
    }
  }
  if (timeNowLocal() < restartAt) return;
  restartAt = i64.MAX_VALUE;
  actionAdd(Action.Restart, 0);
}

/** Local time at which `provisioningStep` has something to do. */
export function provisioningDeadline(): i64 {
  return restartAt;
}

/** A new session of the link: nobody waits for an answer any more, and the parts begin anew; what is being written is written. */
export function provisioningRestart(): void {
  if (magicDue) return;
  forget();
  token = 0;
  answered = false;
}
