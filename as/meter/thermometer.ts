// The thermometer: when it is asked, and which of its readings count.
// What always holds: one reading is asked for at a time; one counts only where the one before it was as good and much the
// same, so that no single byte misread on the bus, and nothing from before the sensor's first measurement, gets further.

import { actionAdd } from '../abi/buffers';
import { Action, Capability, MeterEvent, MilliCelsius, TemperatureField, TemperatureStatus } from '../abi/codes';
import { temperatureTaken } from '../clock/temperature';
import { SECOND_NS } from '../ntp/timestamp';
import { raiseEvent } from './events';
import { timeNowLocal } from './now';

/**
 * How often it is asked. A cabinet whose day is a sine of ±10 K changes by 12 mK in this time at most, a fifth of what a
 * sensor of 12 bits shows, so its noise is averaged and nothing is missed; and at 1 K/min, as in the sun, by 0.3 K.
 */
const READ_NS: i64 = 16 * SECOND_NS;
/** How soon it is asked again after a reading that did not count: the slowest sensor has measured anew by then. */
const AGAIN_NS: i64 = SECOND_NS;
/** By how much two readings in a row may differ: 15 K/min, the fastest change of IEC 60068-2-14 (test Nb), in 16 s. */
const JUMP_MILLI_KELVIN: i32 = 4000;
/** So many readings in a row that do not count are an event; the first two after a start may. */
const FAILURES: u32 = 4;
/** One that comes and goes is told of no more often than this. */
const TELL_NS: i64 = 3600 * SECOND_NS;

/** Local time at which it is asked next. */
let readAt: i64 = i64.MAX_VALUE;
let asked: bool = false;
/** What it said last, whether that counted or not. */
let before: i32 = MilliCelsius.None;
let failures: u32 = 0;
let told: bool = false;
/** Local time from which a failure may be told of. */
let tellAt: i64 = 0;

/** The meter starts, on a board with these capabilities. */
export function thermometerStart(capabilities: u32): void {
  if ((capabilities & Capability.Thermometer) != 0) readAt = 0;
}

/** Asks it where that is due; returns the local time at which it is due next. */
export function thermometerStep(): i64 {
  if (timeNowLocal() >= readAt) {
    readAt = i64.MAX_VALUE;
    asked = true;
    actionAdd(Action.TemperatureRead, 0);
  }
  return readAt;
}

/** `Event.Temperature`: its answer (`TemperatureField`). */
export function thermometerAnswer(at: usize): void {
  if (!asked) return;
  asked = false;
  const now = timeNowLocal();
  const answers = <u32>load<u8>(at, TemperatureField.Status) == TemperatureStatus.Measured;
  const value = answers ? load<i32>(at, TemperatureField.MilliCelsius) : MilliCelsius.None;
  const possible = value >= MilliCelsius.Least && value <= MilliCelsius.Most;
  const counts = possible && before != MilliCelsius.None && abs<i32>(value - before) <= JUMP_MILLI_KELVIN;
  before = possible ? value : MilliCelsius.None;
  if (counts) {
    failures = 0;
    told = false;
    temperatureTaken(now, value);
  } else {
    failures = min<u32>(failures + 1, FAILURES);
    tell(now, answers, value);
  }
  readAt = now + (failures == 0 || failures == FAILURES ? READ_NS : AGAIN_NS);
}

function tell(now: i64, answers: bool, value: i32): void {
  if (failures < FAILURES || told || now < tellAt) return;
  told = true;
  tellAt = now + TELL_NS;
  raiseEvent(MeterEvent.ThermometerFailed, answers ? 1 : 0, answers ? value : 0, false);
}
