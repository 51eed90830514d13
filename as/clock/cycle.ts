// What makes a crystal's frequency come and go: its temperature where the board has a thermometer, else the time of day.
// What always holds: `cycleTo` gives the integrals since the last `cycleMark`, in the same terms for as long as the core runs.
//
// With a thermometer the frequency is f + c1 g1 + c2 g2 with g1 = (T - 25 °C) / 10 K and g2 = g1², a crystal's parabola
// wherever it turns; without, c1 to c4 go with sine and cosine of the time of day and of its half, since a cabinet that is
// warmed each day repeats itself, and the parabola makes two waves out of one.

import { SECOND_NS } from '../ntp/timestamp';
import { turn, turnCosine, turnSine } from './gaussian';

/** Terms: with a thermometer, and without. */
export const TERMS_TEMPERATURE: u32 = 2;
export const TERMS_DAY: u32 = 4;

const DAY_NS: i64 = 86_400 * SECOND_NS;
const PER_DAY_NS: f64 = 1 / <f64>DAY_NS;
/** s/rad. */
const PER_DAILY: f64 = 1 / 7.27220521664304e-5;

/** At which temperature g1 is 0, and 1 / (°C * 1000) of it. */
const TURN_MILLI_CELSIUS: i32 = 25_000;
const PER_MILLI_CELSIUS: f64 = 1e-4;

/** What is assumed of a temperature that is not read any more: a standard deviation in units of g1, within the hour. */
const UNREAD_DEVIATION: f64 = 0.5;

let thermometer: bool = false;
let warmth: f64 = 0;
/** Local time up to which the integrals are taken: of the last reading, or mark. */
export let cycleTaken: i64 = 0;
/** Local time of the last reading. */
let readAt: i64 = i64.MIN_VALUE;
let first: f64 = 0;
let second: f64 = 0;

let sineMarked: f64 = 0;
let cosineMarked: f64 = 0;

/**
 * Results of `cycleTo`: integrals since the last mark (s), and the terms now. Before each is room for two numbers, with
 * which they are the vectors of `estimator.ts`.
 */
export const CYCLE_STEP: usize = memory.data(48, 8);
export const CYCLE_NOW: usize = memory.data(48, 8);
export const CYCLE_INTEGRALS: usize = CYCLE_STEP + 16;
export const CYCLE_TERMS: usize = CYCLE_NOW + 16;
/** s, for how much of that time the temperature was not known. */
export let cycleUnread: f64 = 0;

/** Whether the board has a thermometer. */
export function cycleStart(hasThermometer: bool): void {
  thermometer = hasThermometer;
}

export function cycleHasThermometer(): bool {
  return thermometer;
}

/** A reading counts for so long. */
const READING_NS: i64 = 300 * SECOND_NS;

let unread: f64 = 0;

// Takes the integrals up to local time t with the warmth in between.
function accumulate(t: i64, mean: f64): void {
  const seconds = <f64>(t - cycleTaken) * 1e-9;
  first += mean * seconds;
  second += mean * mean * seconds;
  if (readAt == i64.MIN_VALUE) unread += seconds;
  else if (t - readAt > READING_NS) unread += <f64>(t - max<i64>(cycleTaken, readAt + READING_NS)) * 1e-9;
  cycleTaken = t;
}

/** A reading of the thermometer at local time `t`. */
export function cycleTemperature(t: i64, milliCelsius: i32): void {
  const reading = <f64>(milliCelsius - TURN_MILLI_CELSIUS) * PER_MILLI_CELSIUS;
  const known = readAt != i64.MIN_VALUE;
  accumulate(t, known ? 0.5 * (warmth + reading) : reading);
  if (!known) unread = 0;
  warmth = reading;
  readAt = t;
}

function put(at: usize, a: f64, b: f64): void {
  store<f64>(at, a);
  store<f64>(at, b, 8);
}

/** Integrals of the terms from the last mark to local time `t`, and the terms then. */
export function cycleTo(t: i64, utc: i64): void {
  if (thermometer) {
    const seconds = <f64>(t - cycleTaken) * 1e-9;
    put(CYCLE_INTEGRALS, first + warmth * seconds, second + warmth * warmth * seconds);
    put(CYCLE_TERMS, warmth, warmth * warmth);
    const since = max<i64>(cycleTaken, readAt + READING_NS);
    cycleUnread = unread + (readAt == i64.MIN_VALUE ? seconds : <f64>max<i64>(t - since, 0) * 1e-9);
    return;
  }
  cycleUnread = 0;
  turn(<f64>(utc % DAY_NS) * PER_DAY_NS);
  const sine = turnSine;
  const cosine = turnCosine;
  put(CYCLE_TERMS, cosine, sine);
  // cos 2a = 1 - 2 sin² a, sin 2a = 2 sin a cos a.
  put(CYCLE_TERMS + 16, 1 - 2 * sine * sine, 2 * sine * cosine);
  put(CYCLE_INTEGRALS, (sine - sineMarked) * PER_DAILY, (cosineMarked - cosine) * PER_DAILY);
  put(
    CYCLE_INTEGRALS + 16,
    (sine * cosine - sineMarked * cosineMarked) * PER_DAILY,
    (sine * sine - sineMarked * sineMarked) * PER_DAILY,
  );
}

/** From here on integrals count anew: at the local time of the last `cycleTo`. */
export function cycleMark(t: i64): void {
  if (thermometer) accumulate(t, warmth);
  first = 0;
  second = 0;
  unread = 0;
  sineMarked = turnSine;
  cosineMarked = turnCosine;
}

/** Variance in s² that an unread temperature adds, for a slope of the frequency per unit of g1. */
export function cycleUnreadVariance(slope: f64): f64 {
  const error = slope * UNREAD_DEVIATION * cycleUnread;
  return error * error;
}
