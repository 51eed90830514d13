// The core: events in, actions out (docs/protocol.md). One instance is a meter or a gateway's end of a link.
// What always holds: an event of the wrong length or for the other role does nothing; each call ends in bounded time.

import { actionsAt, actionsBytes, actionsClear, buffersEnlarge, eventAt, eventBytes } from './abi/buffers';
import { Abi, Event, RtcField, StackField, TemperatureField } from './abi/codes';
import { aesBitslice } from './aead/aes';
import { agreeLeap } from './meter/agree';
import {
  gatewayFrame,
  gatewayFrameSent,
  gatewayKey,
  gatewaySend,
  gatewayStart,
  gatewayStep,
} from './meter/gateway-end';
import {
  meterCorrectionAccept,
  meterFrame,
  meterFrameSent,
  meterMessage,
  meterReadings,
  meterRtcDone,
  meterRtcTime,
  meterSlotData,
  meterSlotDone,
  meterStart,
  meterStep,
  meterStorageData,
  meterStorageDone,
  meterTemperature,
  meterTimeAsk,
  meterTransaction,
  meterWoken,
} from './meter/meter';
import { networkOwnDatagrams } from './meter/network';
import { timeSetNow } from './meter/now';
import { reportStack } from './meter/report';

export * from './aead/exports';
export * from './clock/exports';
export { testMeterKey } from './meter/keys';
export { backoffNext, backoffSpread } from './nts/backoff';
export * from './record/exports';
export * from './sign/exports';
export * from './tariff/exports';
export * from './tariff/tools';

const ROLE_NONE: u32 = 0;
const ROLE_METER: u32 = 1;
const ROLE_GATEWAY: u32 = 2;

let role: u32 = ROLE_NONE;

/** Version of the interface. */
export function abiVersion(): u32 {
  return Abi.Version;
}

/** Makes the buffers large enough for whole datagrams, which moves both; before the first event, if at all. */
export function enlargeBuffers(): void {
  if (role == ROLE_NONE) buffersEnlarge();
}

/**
 * Leaves AES's table for the bitsliced way, whose timing tells nothing to others on a processor with a data cache; before
 * the first event, if at all.
 */
export function bitsliceAes(): void {
  if (role == ROLE_NONE) aesBitslice();
}

/**
 * Datagrams leave from sockets of the board's own (`Capability.OwnDatagrams`): makes the buffers large enough, which moves
 * both; before the first event, if at all.
 */
export function ownDatagrams(): void {
  if (role != ROLE_NONE) return;
  networkOwnDatagrams();
  buffersEnlarge();
}

/** First byte of memory that the core does not use. */
export function memoryEnd(): u32 {
  return <u32>eventAt() + eventBytes();
}

/** Where an event's header and payload are put. */
export function eventBuffer(): u32 {
  return <u32>eventAt();
}

/** Bytes that fit there. */
export function eventCapacity(): u32 {
  return eventBytes();
}

/** Where the actions are found. */
export function actionBuffer(): u32 {
  return <u32>actionsAt();
}

/** Handles one event with `length` bytes of payload; returns the bytes of actions. */
export function handle(event: u32, length: u32): u32 {
  actionsClear();
  if (length > eventBytes() - Abi.EventHeaderBytes) return 0;
  const tick = load<u64>(eventAt());
  const payload = eventAt() + Abi.EventHeaderBytes;
  timeSetNow(tick);
  if (role == ROLE_METER) handleMeter(event, tick, payload, length);
  else if (role == ROLE_GATEWAY) handleGateway(event, tick, payload, length);
  else if (event == Event.Start && meterStart(payload, length)) role = ROLE_METER;
  else if (event == Event.LinkStart && gatewayStart(payload, length)) role = ROLE_GATEWAY;
  if (role == ROLE_METER) meterStep();
  else if (role == ROLE_GATEWAY) gatewayStep();
  return actionsBytes();
}

function handleMeter(event: u32, tick: u64, payload: usize, length: u32): void {
  agreeLeap();
  switch (event) {
    case Event.Wake:
      meterWoken();
      break;
    case Event.Frame:
      if (length >= 8) meterFrame(payload + 8, length - 8, load<u64>(payload), tick);
      break;
    case Event.FrameSent:
      meterFrameSent(tick);
      break;
    case Event.StorageData:
      if (length >= 4) meterStorageData(load<u32>(payload), payload + 4, length - 4);
      break;
    case Event.StorageDone:
      if (length >= 5) meterStorageDone(load<u32>(payload), load<u8>(payload, 4) != 0);
      break;
    case Event.RtcTime:
      if (length >= <u32>RtcField.Bytes) meterRtcTime(payload);
      break;
    case Event.RtcDone:
      if (length >= 1) meterRtcDone(load<u8>(payload) != 0);
      break;
    case Event.Temperature:
      if (length >= <u32>TemperatureField.Bytes) meterTemperature(payload);
      break;
    case Event.Transaction:
      if (length >= 1) meterTransaction(load<u8>(payload) != 0);
      break;
    case Event.Readings:
      meterReadings(payload, length, tick);
      break;
    case Event.CorrectionAccept:
      meterCorrectionAccept();
      break;
    case Event.SlotData:
      if (UPDATE != 0 && length >= 4) meterSlotData(load<u32>(payload), payload + 4, length - 4);
      break;
    case Event.SlotDone:
      if (UPDATE != 0 && length >= 1) meterSlotDone(load<u8>(payload) != 0);
      break;
    case Event.Stack:
      if (length >= <u32>StackField.Bytes) reportStack(payload);
      break;
    case Event.Message:
      if (length >= 2) meterMessage(load<u8>(payload), payload + 1, length - 1, tick);
      break;
    case Event.TimeAsk:
      meterTimeAsk();
      break;
  }
}

function handleGateway(event: u32, tick: u64, payload: usize, length: u32): void {
  switch (event) {
    case Event.Frame:
      if (length >= 8) gatewayFrame(payload + 8, length - 8, load<u64>(payload), tick);
      break;
    case Event.FrameSent:
      gatewayFrameSent(tick);
      break;
    case Event.LinkSend:
      if (length >= 2) gatewaySend(load<u8>(payload), payload + 1, length - 1);
      break;
    case Event.LinkKey:
      gatewayKey(payload, length);
      break;
  }
}
