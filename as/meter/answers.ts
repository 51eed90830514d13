// Answers to commands that came over the link (`Message.Done`).
// What always holds: an answer waits for room, and they go out in their order; a command is taken only where its answer and
// those of the commands under way have a place (`answersTake`); in a new session nobody waits for those of the last one.

import { clear, copy } from '../abi/bytes';
import { Channel, DoneField, Message } from '../abi/codes';
import { networkBegin, networkSend, networkUp } from './network';

const PLACES: u32 = 4;
/** Those that are under way at once: a block, and entries or a release. */
const UNDER_WAY: u32 = 2;
const WAITING: usize = TARIFF == 0 ? 0 : memory.data(32, 4);

let held: u32 = 0;

/** Whether a command that came can be taken: else it gets no answer. */
export function answersTake(): bool {
  return held < PLACES - UNDER_WAY;
}

/** Answers a command. */
export function answersAdd(token: u32, result: u32, detail: u32): void {
  const at = WAITING + held * <u32>DoneField.Bytes;
  held += 1;
  clear(at, DoneField.Bytes);
  store<u8>(at, Message.Done);
  store<u8>(at, <u8>result, DoneField.Result);
  store<u16>(at, <u16>token, DoneField.Token);
  store<u32>(at, detail, DoneField.Detail);
}

/** A new session of the link. */
export function answersRestart(): void {
  held = 0;
}

/** Sends what waits and has room. */
export function answersSend(): void {
  while (held != 0 && networkUp()) {
    const message = networkBegin(Channel.Report, DoneField.Bytes);
    if (message == 0) return;
    copy(message, WAITING, DoneField.Bytes);
    networkSend(Channel.Report, DoneField.Bytes);
    held -= 1;
    copy(WAITING, WAITING + <u32>DoneField.Bytes, held * <u32>DoneField.Bytes);
  }
}
