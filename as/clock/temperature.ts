// The temperature of the local oscillator, as a thermometer beside it measures it.
// What always holds: only readings that count get here (`thermometer.ts`), each with the local time at which it was taken.

import { MilliCelsius } from '../abi/codes';
import { SECOND_NS } from '../ntp/timestamp';
import { cycleTemperature } from './cycle';

/** What is older tells nothing of the oscillator now: a cabinet in the sun warms by some kelvin in ten minutes. */
const KNOWN_NS: i64 = 300 * SECOND_NS;

let last: i32 = MilliCelsius.None;
let takenAt: i64 = 0;

/** Takes a good reading, thousandths of a degree Celsius, of local time `t`. */
export function temperatureTaken(t: i64, milliCelsius: i32): void {
  last = milliCelsius;
  takenAt = t;
  cycleTemperature(t, milliCelsius);
}

/** Whether there is a reading not older than five minutes at local time `t`. */
export function temperatureKnown(t: i64): bool {
  return last != MilliCelsius.None && t - takenAt <= KNOWN_NS;
}

/** The last good reading, thousandths of a degree Celsius; `MilliCelsius.None` where there was none since the start. */
export function temperatureMilliCelsius(): i32 {
  return last;
}
