// A meter: what happens to each event, from the start on.
//
//   settings ──> seeds ──> new seed written ──> used seed erased ──> state ──> real-time clock ──> reserves ──> running
//      ├── settings or seed missing: the link runs and tells so, nothing else does
//      └── storage fails: the same stage again, later and later, for ever; the link runs meanwhile and tells so
//
// What always holds: one storage operation at a time, which is told by its offset; no random byte is used before its seed was replaced; no time is
// believed and no state written before the stored one was read; the state's proof for the real-time clock is written after
// the clock was set, and one already there always covers the clock.

import { actionAdd, actionFrameRoom, actionRead, actionScratch } from '../abi/buffers';
import { clear, copy } from '../abi/bytes';
import {
  Abi,
  Action,
  Capability,
  Channel,
  ClockStatus,
  LinkRefusal,
  Message,
  MeterEvent,
  ResetCause,
  SettingsError,
  StartField,
  StorageMap,
  TimeNowField,
} from '../abi/codes';
import {
  clockAccept,
  clockBoundNs,
  clockBudget,
  clockDeadline,
  clockSampleAgeNs,
  clockStatus,
  clockStep,
  clockTransactionBegin,
  clockTransactionEnd,
  clockUncertaintyNs,
  clockUtc,
} from '../clock/clock';
import { cycleStart } from '../clock/cycle';
import { disciplineConfigure } from '../clock/discipline';
import { estimatorStart } from '../clock/estimator';
import { localConfigure, localShownErrorPpb, ticksFromLocal } from '../clock/local';
import { rulesInvalidations } from '../clock/rules';
import {
  linkChannel,
  linkDeadline,
  linkFirstTick,
  linkFrameSent,
  linkLastTick,
  linkMessage,
  linkMessageLength,
  linkPoll,
  linkReceive,
  linkSessionChanged,
} from '../link/link';
import { sealFramesForged, sealFramesReplayed } from '../link/seal';
import { cookiesSpare } from '../nts/cookies';
import {
  storeData,
  storeDeadline,
  storeDone,
  storeMessage,
  storeOwns,
  storeRestart,
  storeSettings,
  storeStart,
  storeStep,
  storeTell,
} from '../record/store';
import {
  updateData,
  updateDeadline,
  updateDone,
  updateExpired,
  updateMessage,
  updateOwns,
  updateRestart,
  updateSend,
  updateStart,
  updateStep,
  updateTakes,
  updateWritten,
} from '../update/update';
import { answersRestart, answersSend } from './answers';
import { eventsAcknowledge, eventsRestart, eventsSetBoot, raiseEvent, raiseLinkRefused } from './events';
import { networkDatagramsAreOwn, networkIsOwn, networkStart } from './network';
import { timeNowLocal, timeNowTicks } from './now';
import {
  provisioningDeadline,
  provisioningMessage,
  provisioningOpen,
  provisioningRestart,
  provisioningStep,
  provisioningWrite,
  provisioningWrites,
  provisioningWritten,
} from './provisioning';
import { reportDeadline, reportFlags, reportProbe, reportRestart, reportStart, reportStep } from './report';
import { reserveDone, reserveLoad, reserveOwns, reserveRead, reserveStart, reserveStep } from './reserve';
import { retryNs } from './retry';
import {
  keeperDeadline,
  keeperRead,
  keeperSet,
  keeperSetting,
  keeperStart,
  keeperStep,
  keeperWithout,
  keeperWritten,
} from './rtc-keeper';
import {
  random32,
  randomReady,
  seedEntropy,
  seedErase,
  seedNotReplaced,
  seedRead,
  seedReady,
  seedReplace,
  seedStarts,
} from './seed';
import {
  sessionDatagram,
  sessionDeadline,
  sessionMessage,
  sessionNetworkReset,
  sessionStart,
  sessionStep,
  sessionUdpFailed,
} from './session';
import { settingsAsymmetryPercent, settingsRead } from './settings';
import { sourcesStart } from './source';
import { stateRead, stateStart, stateStored } from './state';
import { blocksRestart } from './tariff-blocks';
import { tariffDeadline, tariffStart, tariffStep } from './tariff-keeper';
import { recordsReadings } from './tariff-records';
import { tariffMessage, tariffReportDeadline, tariffReportStep } from './tariff-report';
import { slotsData, slotsDeadline, slotsDone, slotsOwn, slotsStep } from './tariff-slots';
import { thermometerAnswer, thermometerStart, thermometerStep } from './thermometer';

const STAGE_SETTINGS: u32 = 0;
const STAGE_SEEDS: u32 = 1;
const STAGE_SEED_WRITTEN: u32 = 2;
const STAGE_SEED_ERASED: u32 = 3;
const STAGE_STATE: u32 = 4;
const STAGE_RTC: u32 = 5;
const STAGE_RESERVES: u32 = 6;
const STAGE_RUNNING: u32 = 7;

/** A storage that failed at the start is tried again after this at most. */
const STORAGE_RETRY_MAX_MS: u32 = 60_000;
/** Failures in a row after which the link starts without waiting any longer. */
const STORAGE_TRIES_SILENT: u32 = 5;
/** Starts after provisioning that wait for nothing, until one of them has led to a time. */
const FIRST_STARTS: u32 = 3;
/** Settings, or both slots of the state, are read in pieces of this many bytes. */
const PIECE_BYTES: u32 = 256;
const GATHERED_BYTES: u32 = StorageMap.SettingsBytes;
/** Slowest local counter that a meter can have. */
const TICK_HZ_MIN: u32 = 1000;
/** A wake-up asked for at once while something else has to happen first. */
const WAKE_MIN_NS: i64 = 5_000_000;

let stage: u32 = STAGE_SETTINGS;
let capabilities: u32 = 0;
/** Bytes that were read of the settings or the states. */
let gathered: u32 = 0;
let tickHz: u32 = 0;
/** Whether a storage operation is under way. */
let storageBusy: bool = false;
let lastWake: u64 = 0;
/** Whether the link or the own network was started. */
let online: bool = false;
/** Storage operations that failed in a row, and when the next try is due while starting. */
let failures: u32 = 0;
let retryAt: i64 = i64.MAX_VALUE;
/** `Event.Start`: false when it makes no sense. */
export function meterStart(start: usize, length: u32): bool {
  if (length < <u32>StartField.Names + 2 || load<u16>(start) != Abi.Version) return false;
  const names = start + StartField.Names;
  const boardBytes: u32 = 1 + load<u8>(names);
  if (<u32>StartField.Names + boardBytes + 1 > length || boardBytes > 32) return false;
  const namesBytes = boardBytes + 1 + load<u8>(names + boardBytes);
  if (<u32>StartField.Names + namesBytes > length || namesBytes - boardBytes > 32) return false;
  tickHz = load<u32>(start, StartField.TickHz);
  if (tickHz < TICK_HZ_MIN) return false;
  capabilities = load<u8>(start, StartField.Capabilities);
  localConfigure(tickHz, load<u32>(start, StartField.MaxFrequencyErrorPpb));
  cycleStart((capabilities & Capability.Thermometer) != 0);
  estimatorStart(localShownErrorPpb());
  stateStart(<i64>load<u64>(start, StartField.BuildUnixSeconds));
  thermometerStart(capabilities);
  seedEntropy(start + StartField.Entropy);
  clear(start + StartField.Entropy, 32);
  reportStart(start, names, namesBytes);
  updateStart(start);
  const cause: u32 = load<u8>(start, StartField.ResetCause);
  raiseEvent(MeterEvent.Started, cause, cause == ResetCause.Trap ? load<u32>(start, StartField.TrapCode) : 0, false);
  const storageBytes = load<u32>(start, StartField.StorageBytes);
  const enough = storageBytes >= <u32>StorageMap.Bytes;
  reserveStart(storageBytes);
  tariffStart(capabilities, storageBytes);
  storeStart((capabilities & Capability.Storage) == 0 ? 0 : storageBytes);
  if ((capabilities & Capability.Storage) == 0 || !enough) {
    raiseEvent(MeterEvent.SettingsInvalid, SettingsError.Absent, 0, false);
    run();
  } else {
    begin(STAGE_SETTINGS);
  }
  return true;
}

// Enters a stage of the start, or tries it again.
function begin(next: u32): void {
  if (next != stage) failures = 0;
  stage = next;
  switch (next) {
    case STAGE_SETTINGS:
      return gather(StorageMap.Settings);
    case STAGE_SEEDS:
      return actionRead(StorageMap.SeedA, 2 * StorageMap.SeedBytes);
    case STAGE_SEED_WRITTEN:
      return seedReplace();
    case STAGE_SEED_ERASED:
      return seedErase();
    case STAGE_STATE:
      return gather(StorageMap.StateA);
    default:
      actionAdd(Action.RtcRead, 0);
  }
}

// Begins to read settings or states.
function gather(from: u32): void {
  gathered = 0;
  actionRead(from, PIECE_BYTES);
}

// Takes a piece of them; true when they are whole, at `cookiesSpare`: no cookie is there before the reserves.
function gathers(offset: u32, data: usize, length: u32): bool {
  if (length != PIECE_BYTES) {
    clear(cookiesSpare(), gathered);
    retryLater(offset);
    return false;
  }
  copy(cookiesSpare() + gathered, data, PIECE_BYTES);
  clear(data, PIECE_BYTES);
  gathered += PIECE_BYTES;
  if (gathered == GATHERED_BYTES) return true;
  actionRead(offset + PIECE_BYTES, PIECE_BYTES);
  return false;
}

// The storage failed while starting: what it holds is not known, so the stage is tried again.
function retryLater(offset: u32): void {
  if (failures == 0) raiseEvent(MeterEvent.StorageFailed, offset, 0, false);
  retryAt = timeNowLocal() + retryNs(failures, STORAGE_RETRY_MAX_MS);
  failures += 1;
  if (failures != STORAGE_TRIES_SILENT) return;
  if (stage == STAGE_SEED_WRITTEN || stage == STAGE_SEED_ERASED) raiseEvent(MeterEvent.SeedInvalid, 0, 0, false);
  if (!online) goOnline();
}

/** `Event.StorageData`. */
export function meterStorageData(offset: u32, data: usize, length: u32): void {
  if (retryAt != i64.MAX_VALUE) return;
  if (stage == STAGE_SETTINGS && offset == StorageMap.Settings + gathered) {
    if (!gathers(offset, data, length)) return;
    const block = cookiesSpare();
    const error = settingsRead(block, StorageMap.SettingsBytes);
    storeSettings(error == SettingsError.None ? block : 0);
    clear(block, GATHERED_BYTES);
    if (error != SettingsError.None) {
      if (error == SettingsError.Absent) provisioningOpen();
      raiseEvent(MeterEvent.SettingsInvalid, error, 0, false);
      return run();
    }
    sourcesStart();
    disciplineConfigure(settingsAsymmetryPercent());
    begin(STAGE_SEEDS);
  } else if (stage == STAGE_SEEDS && offset == StorageMap.SeedA) {
    if (length != 2 * StorageMap.SeedBytes) return retryLater(offset);
    const stored = seedRead(data);
    clear(data, length);
    if (stored) return begin(STAGE_SEED_WRITTEN);
    if (!randomReady()) raiseEvent(MeterEvent.SeedInvalid, 0, 0, false);
    beginState();
  } else if (stage == STAGE_STATE && offset == StorageMap.StateA + gathered) {
    if (!gathers(offset, data, length)) return;
    stateRead(cookiesSpare());
    clear(cookiesSpare(), GATHERED_BYTES);
    if ((capabilities & Capability.Rtc) != 0) return begin(STAGE_RTC);
    keeperWithout();
    loadReserves();
  } else if (updateOwns(offset)) {
    if (!storageBusy) return;
    storageBusy = false;
    updateData(offset, data, length);
  } else if (slotsOwn(offset)) {
    if (!storageBusy) return;
    storageBusy = false;
    slotsData(timeNowLocal(), offset, data, length);
  } else if (storeOwns(offset)) {
    if (!storageBusy) return;
    storageBusy = false;
    storeData(timeNowLocal(), offset, data, length);
  } else if (reserveOwns(offset) && (stage == STAGE_RESERVES || storageBusy)) {
    storageBusy = reserveRead(data, length);
    if (stage == STAGE_RESERVES) loadReserves();
  }
}

// From here on there are random bytes, or never.
function beginState(): void {
  eventsSetBoot(random32());
  begin(STAGE_STATE);
}

// Without random bytes there are no requests, and no cookie is taken out of the storage.
function loadReserves(): void {
  stage = STAGE_RESERVES;
  if (!randomReady() || !reserveLoad()) run();
}

/** `Event.StorageDone`. */
export function meterStorageDone(offset: u32, failed: bool): void {
  if (retryAt != i64.MAX_VALUE) return;
  if (stage == STAGE_SEED_WRITTEN || stage == STAGE_SEED_ERASED) {
    if (failed) {
      if (!seedNotReplaced()) return retryLater(offset);
      raiseEvent(MeterEvent.StorageFailed, offset, 0, false);
      beginState();
    } else if (stage == STAGE_SEED_WRITTEN) {
      begin(STAGE_SEED_ERASED);
    } else {
      seedReady();
      beginState();
    }
  } else if (provisioningWrites()) {
    if (!storageBusy) return;
    storageBusy = false;
    provisioningWritten(failed);
  } else if (updateOwns(offset)) {
    if (!storageBusy) return;
    storageBusy = false;
    updateWritten(failed);
  } else if (slotsOwn(offset)) {
    if (!storageBusy) return;
    storageBusy = false;
    slotsDone(failed);
  } else if (storeOwns(offset)) {
    if (!storageBusy) return;
    storageBusy = false;
    storeDone(timeNowLocal(), offset, failed);
  } else if (reserveOwns(offset) && (stage == STAGE_RESERVES || storageBusy)) {
    storageBusy = reserveDone(failed);
    if (failed) raiseEvent(MeterEvent.StorageFailed, offset, 0, false);
    if (stage == STAGE_RESERVES) loadReserves();
  } else if (storageBusy) {
    storageBusy = false;
    if (failed) raiseEvent(MeterEvent.StorageFailed, offset, 0, false);
    keeperWritten(timeNowLocal(), failed);
  }
}

/** `Event.SlotData`. */
export function meterSlotData(offset: u32, data: usize, length: u32): void {
  if (!storageBusy) return;
  storageBusy = false;
  updateData(offset, data, length);
}

/** `Event.SlotDone`. */
export function meterSlotDone(failed: bool): void {
  if (!storageBusy) return;
  storageBusy = false;
  updateDone(failed);
}

/** `Event.RtcTime`. */
export function meterRtcTime(at: usize): void {
  if (stage != STAGE_RTC) return keeperRead(timeNowLocal(), at);
  keeperStart(timeNowLocal(), at);
  loadReserves();
}

function run(): void {
  stage = STAGE_RUNNING;
  failures = 0;
  sessionStart(!stateStored() && seedStarts() <= FIRST_STARTS);
  goOnline();
}

// Also begins a new session, in which everything is told anew, where the link runs since the storage failed.
function goOnline(): void {
  online = true;
  const seed = randomReady() ? ((<u64>random32()) << 32) | random32() : timeNowTicks();
  networkStart((capabilities & Capability.OwnNetwork) != 0, tickHz, seed);
  if (!networkIsOwn()) return;
  reportRestart();
  if (UPDATE != 0) updateRestart();
}

/** `Event.RtcDone`. */
export function meterRtcDone(failed: bool): void {
  keeperSet(timeNowLocal(), failed);
}

/** `Event.Temperature`. */
export function meterTemperature(at: usize): void {
  thermometerAnswer(at);
}

/** `Event.Transaction`. */
export function meterTransaction(begins: bool): void {
  if (begins) clockTransactionBegin(timeNowLocal());
  else clockTransactionEnd(timeNowLocal());
}

/** `Event.Readings`, read at local tick `tick`. */
export function meterReadings(at: usize, length: u32, tick: u64): void {
  recordsReadings(at, length, tick, timeNowLocal());
}

/** `Event.CorrectionAccept`. */
export function meterCorrectionAccept(): void {
  clockAccept(timeNowLocal());
}

/** `Event.Frame`: false when the meter takes no frames yet. */
export function meterFrame(frame: usize, length: u32, firstTick: u64, lastTick: u64): void {
  if (!online || networkIsOwn()) return;
  if (linkReceive(frame, length, firstTick, lastTick, timeNowTicks())) {
    receive(linkChannel(), linkMessage(), linkMessageLength(), linkFirstTick(), linkLastTick());
  }
  raiseLinkRefused(LinkRefusal.Forged, sealFramesForged());
  raiseLinkRefused(LinkRefusal.Replayed, sealFramesReplayed());
}

/** `Event.FrameSent`. */
export function meterFrameSent(tick: u64): void {
  if (online && !networkIsOwn()) linkFrameSent(tick);
}

/** `Event.Message` of a board with a network, or with sockets for datagrams, of its own. */
export function meterMessage(channel: u32, message: usize, length: u32, tick: u64): void {
  if (online && networkDatagramsAreOwn()) receive(channel, message, length, tick, tick);
}

function receive(channel: u32, message: usize, length: u32, firstTick: u64, lastTick: u64): void {
  if (length == 0) return;
  const type: u32 = load<u8>(message);
  if (channel == Channel.Stream) sessionMessage(message, length);
  else if (channel == Channel.Time) {
    if (type == Message.UdpReceived) sessionDatagram(message, length, firstTick, lastTick);
    else if (type == Message.UdpFailed) sessionUdpFailed(message, length);
    else if (type == Message.TimeProbe) reportProbe(message, length, lastTick);
  } else if (channel == Channel.Report) {
    if (type == Message.EventAck && length >= 5) eventsAcknowledge(load<u32>(message, 1));
    else if (type == Message.Provision) provisioningMessage(message, length);
    else if (updateTakes(type)) storageBusy = updateMessage(message, length, storageBusy) || storageBusy;
    else if (!tariffMessage(message, length)) storeMessage(message, length);
  }
}

/** `Event.TimeAsk`. */
export function meterTimeAsk(): void {
  const now = timeNowLocal();
  const at = actionAdd(Action.TimeNow, TimeNowField.Bytes);
  clear(at, TimeNowField.Bytes);
  store<u8>(at, <u8>clockStatus(), TimeNowField.Status);
  store<u8>(at, <u8>reportFlags(now), TimeNowField.Flags);
  store<i64>(at, clockSampleAgeNs(now), TimeNowField.SampleAgeNs);
  store<u8>(at, <u8>rulesInvalidations(), TimeNowField.Invalidations);
  if (clockStatus() == ClockStatus.Unsynchronised) return;
  store<i64>(at, clockUtc(now), TimeNowField.UtcNs);
  store<i64>(at, clockBoundNs(now), TimeNowField.BoundNs);
  store<i64>(at, clockUncertaintyNs(now), TimeNowField.UncertaintyNs);
  clockBudget(now, at + TimeNowField.Budget);
}

/** After each event: does what is due, sends what can be sent, asks for the next wake-up. */
export function meterStep(): void {
  if (timeNowLocal() >= retryAt) {
    retryAt = i64.MAX_VALUE;
    begin(stage);
  }
  if (updateExpired()) actionAdd(Action.Restart, 0);
  let due = retryAt;
  let stepDue = i64.MAX_VALUE;
  let exact = i64.MAX_VALUE;
  let wake = u64.MAX_VALUE;
  if (online) {
    if (!networkIsOwn() && linkSessionChanged()) {
      sessionNetworkReset();
      eventsRestart();
      reportRestart();
      provisioningRestart();
      if (UPDATE != 0) updateRestart();
      if (TARIFF != 0) {
        answersRestart();
        blocksRestart();
        storeRestart();
      }
    }
    if (stage == STAGE_RUNNING) {
      sessionStep();
      clockStep(timeNowLocal());
      if (!storageBusy) storageBusy = provisioningWrite();
      if (!storageBusy) storageBusy = keeperStep(timeNowLocal());
      // The state is written as soon as the real-time clock is set.
      if (!storageBusy && !keeperSetting()) storageBusy = reserveStep(timeNowLocal());
      if (TARIFF != 0) {
        tariffStep(timeNowLocal());
        if (!storageBusy && !keeperSetting()) storageBusy = slotsStep(timeNowLocal());
      }
      if (UPDATE != 0 && !storageBusy && !keeperSetting()) storageBusy = updateStep();
      if (!storageBusy && !keeperSetting()) storageBusy = storeStep(timeNowLocal());
      stepDue = thermometerStep();
      if (!storageBusy) stepDue = min<i64>(stepDue, min<i64>(keeperDeadline(), storeDeadline()));
      if (UPDATE != 0 && !storageBusy) stepDue = min<i64>(stepDue, updateDeadline());
      if (TARIFF != 0) {
        if (!storageBusy) stepDue = min<i64>(stepDue, slotsDeadline());
        exact = tariffDeadline(timeNowLocal());
      }
    }
    provisioningStep();
    reportStep();
    if (UPDATE != 0) updateSend();
    if (TARIFF != 0) {
      storeTell();
      answersSend();
    }
    tariffReportStep(timeNowLocal());
    if (!networkIsOwn()) {
      if (actionFrameRoom()) {
        const frameBytes = linkPoll(timeNowTicks(), actionScratch());
        if (frameBytes != 0) actionAdd(Action.FrameSend, frameBytes);
      }
      wake = linkDeadline();
    }
    due = min<i64>(min<i64>(due, stepDue), min<i64>(provisioningDeadline(), reportDeadline()));
    if (TARIFF != 0) due = min<i64>(due, tariffReportDeadline());
    if (stage == STAGE_RUNNING) due = min<i64>(due, min<i64>(sessionDeadline(), clockDeadline()));
  }
  if (due != i64.MAX_VALUE) wake = min<u64>(wake, ticksFromLocal(max<i64>(due, timeNowLocal() + WAKE_MIN_NS)));
  if (TARIFF != 0) {
    // Legal time is to the tick.
    if (exact <= timeNowLocal()) exact = timeNowLocal() + WAKE_MIN_NS;
    if (exact != i64.MAX_VALUE) wake = min<u64>(wake, ticksFromLocal(exact));
  }
  if (wake != u64.MAX_VALUE && wake != lastWake) {
    store<u64>(actionAdd(Action.Wake, 8), wake);
    lastWake = wake;
  }
}

/** `Event.Wake`: the last wake-up asked for is used up. */
export function meterWoken(): void {
  lastWake = 0;
}
