// What is said about tariffs over the link: the tariff that applies and what is next; and the commands that bring new ones.
// What always holds: the tariff is told with each time report and after each change, at most once a second.

import { appendText, clear } from '../abi/bytes';
import {
  BlockCommitField,
  BlockWriteField,
  Channel,
  ClockStatus,
  Message,
  Ring,
  TariffField,
  TariffFlag,
} from '../abi/codes';
import { clockStatus } from '../clock/clock';
import { SECOND_NS } from '../ntp/timestamp';
import { logFull } from '../record/log';
import { qualityAt, qualityDlms, qualityLetter } from '../record/quality';
import { storeFull, storeNewest, storeOldest } from '../record/store';
import { tariffAt, tariffNext } from '../tariff/tariff';
import { networkBegin, networkIsOwn, networkSend, networkUp } from './network';
import { timeNowUtc } from './now';
import { blockCommit, blockWrite } from './tariff-blocks';
import {
  keeperDoubtful,
  keeperDynamic,
  keeperDynamicEnded,
  keeperNews,
  keeperOffsetSeconds,
  keeperPeriodEnd,
  keeperSummer,
  keeperSuspended,
  keeperSwitches,
  keeperTariff,
  keeperTariffSince,
} from './tariff-keeper';
import { recordsPtb, recordsTransactionBits } from './tariff-records';
import {
  slotsDynamicCrc,
  slotsDynamicEnd,
  slotsLoading,
  slotsName,
  slotsPassive,
  slotsPresent,
  slotsProgramCrc,
} from './tariff-slots';

const TARIFF_BYTES: u32 = TariffField.Texts + 2 * 24;
const APART_NS: i64 = SECOND_NS;
/** As far ahead as the next switch is looked for, and how long it counts that there is none, s. */
const AHEAD_SECONDS: i64 = 8 * 86_400;
const AGAIN_SECONDS: i64 = 3600;

let due: bool = false;
/** It waits for room on the link, and goes with the frame that brings it. */
let waits: bool = false;
let sentAt: i64 = -APART_NS;
/** The next switch, 0 for none, its tariff, and Unix seconds from which on it is looked for anew. */
let nextAt: i64 = 0;
let nextTariff: u32 = 0;
let nextUntil: i64 = 0;

/** The tariff is told soon. */
export function tariffReportSoon(): void {
  if (TARIFF == 0) return;
  due = slotsPresent();
}

/** `Message.BlockWrite` and `Message.BlockCommit`; false for any other. */
export function tariffMessage(message: usize, length: u32): bool {
  if (TARIFF == 0) return false;
  const type: u32 = load<u8>(message);
  const block: u32 = length > 1 ? load<u8>(message, BlockWriteField.Block) : 0;
  if (type == Message.BlockWrite && length >= <u32>BlockWriteField.Part) {
    const token: u32 = load<u16>(message, BlockWriteField.Token);
    const offset: u32 = load<u16>(message, BlockWriteField.Offset);
    const part = message + BlockWriteField.Part;
    blockWrite(block, token, offset, part, length - BlockWriteField.Part);
  } else if (type == Message.BlockCommit && length >= <u32>BlockCommitField.Bytes) {
    const token: u32 = load<u16>(message, BlockCommitField.Token);
    blockCommit(block, token, load<u16>(message, BlockCommitField.Length));
  }
  return type == Message.BlockWrite || type == Message.BlockCommit;
}

/** Sends what is due and has room. */
export function tariffReportStep(now: i64): void {
  if (TARIFF == 0 || !networkUp() || !slotsPresent()) return;
  if (keeperNews()) {
    due = true;
    nextUntil = 0;
  }
  if (!due || now < sentAt + APART_NS) return;
  const message = networkBegin(Channel.Report, TARIFF_BYTES);
  waits = message == 0 && !networkIsOwn();
  if (message == 0) return;
  due = false;
  sentAt = now;
  networkSend(Channel.Report, build(message, now));
}

/** Local time at which something is due. */
export function tariffReportDeadline(): i64 {
  if (TARIFF == 0 || !due || waits || !networkUp()) return i64.MAX_VALUE;
  return sentAt + APART_NS;
}

function flags(): u32 {
  let bits: u32 = keeperTariff() >= 0 ? TariffFlag.Known : 0;
  if (keeperDoubtful()) bits |= TariffFlag.Doubtful;
  if (keeperDynamic()) bits |= TariffFlag.Dynamic;
  if (keeperDynamicEnded()) bits |= TariffFlag.DynamicEnded;
  if (keeperSuspended()) bits |= TariffFlag.Suspended;
  if (logFull()) bits |= TariffFlag.LogbookFull;
  if (storeFull()) bits |= TariffFlag.RecordsFull;
  if (keeperSummer()) bits |= TariffFlag.Summer;
  return bits;
}

function build(message: usize, now: i64): u32 {
  clear(message, TARIFF_BYTES);
  const known = clockStatus() != ClockStatus.Unsynchronised;
  if (known && keeperSwitches() && !slotsLoading()) lookAhead(timeNowUtc() / SECOND_NS);
  store<u8>(message, Message.Tariff);
  store<u8>(message, <u8>flags(), TariffField.Flags);
  store<u16>(message, <u16>max<i32>(keeperTariff(), 0), TariffField.Tariff);
  store<i16>(message, <i16>(keeperOffsetSeconds() / 60), TariffField.OffsetMinutes);
  store<i64>(message, keeperTariffSince(), TariffField.Since);
  if (known && keeperSwitches()) {
    store<u16>(message, <u16>nextTariff, TariffField.NextTariff);
    store<i64>(message, nextAt, TariffField.Next);
  }
  store<i64>(message, keeperPeriodEnd(), TariffField.PeriodEnd);
  store<i64>(message, slotsPassive(), TariffField.PassiveActivation);
  store<u32>(message, storeNewest(Ring.Records), TariffField.RecordNewest);
  store<u32>(message, storeOldest(), TariffField.RecordOldest);
  store<u32>(message, storeNewest(Ring.Logbook), TariffField.LogNewest);
  store<u32>(message, storeNewest(Ring.Network), TariffField.NetworkNewest);
  store<u32>(message, slotsProgramCrc(), TariffField.ProgramCrc);
  store<u32>(message, slotsDynamicCrc(), TariffField.DynamicCrc);
  store<i64>(message, slotsDynamicEnd(), TariffField.DynamicEnd);
  qualityAt(now, recordsTransactionBits());
  store<u8>(message, <u8>qualityLetter, TariffField.Letter);
  store<u8>(message, <u8>recordsPtb(), TariffField.PtbStatus);
  store<u8>(message, <u8>qualityDlms(keeperSummer()), TariffField.DlmsStatus);
  return <u32>(appendText(appendText(message + TariffField.Texts, slotsName(false)), slotsName(true)) - message);
}

function lookAhead(utc: i64): void {
  if (utc < nextUntil) return;
  nextAt = tariffNext(utc, utc + AHEAD_SECONDS);
  nextTariff = nextAt == 0 ? 0 : tariffAt(nextAt);
  nextUntil = nextAt == 0 ? utc + AGAIN_SECONDS : nextAt;
}
