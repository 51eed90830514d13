// One exchange with a server as a measurement: the interval in which UTC minus local time must lie, and the estimate in it.
// What always holds: the interval follows from the meter's own ticks and the server's authenticated timestamps and root
// distance alone; residence times move the estimate, which is clamped into the interval by whoever uses it.

import { localErrorNs } from './local';

/** The last measurement: UTC minus local time, ns; round trip without serial line, gateway and server, ns. */
export let sampleLow: i64 = 0;
export let sampleHigh: i64 = 0;
export let sampleEstimate: i64 = 0;
export let sampleDelay: i64 = 0;

/**
 * Measures.
 *
 * @param sent local time before which the server cannot have received the request
 * @param received local time after which the server cannot have sent the answer
 * @param sentCorrected the same two moved to where the gateway's own network begins
 * @param receivedCorrected see there
 * @param serverReceived UTC ns by the server when it received
 * @param serverSent UTC ns by the server when it sent
 * @param rootDistance half the server's root delay plus its root dispersion and precision, ns
 * @returns false when the timestamps contradict themselves (negative round trip)
 */
export function sampleMeasure(
  sent: i64,
  received: i64,
  sentCorrected: i64,
  receivedCorrected: i64,
  serverReceived: i64,
  serverSent: i64,
  rootDistance: i64,
): bool {
  const during = localErrorNs(received - sent);
  sampleHigh = serverReceived - sent + rootDistance + during;
  sampleLow = serverSent - received - rootDistance;
  if (sampleHigh < sampleLow || received < sent) return false;

  const served = serverSent - serverReceived;
  if (sentCorrected < sent || receivedCorrected > received || receivedCorrected - sentCorrected < served) {
    // Residence times that cannot be: the estimate does without.
    sentCorrected = sent;
    receivedCorrected = received;
  }
  // Halves first: the sum of two dates after 2116 would not fit.
  sampleEstimate = (serverReceived - sentCorrected) / 2 + (serverSent - receivedCorrected) / 2;
  sampleDelay = max<i64>(receivedCorrected - sentCorrected - served, 0);
  return true;
}
