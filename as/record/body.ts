// Fills a record (`RecordField`) with what the time was worth when the registers were read.
// What always holds: what does not fit is the largest value, and what is measured is rounded up: a record never claims less
// uncertainty than there was.

import { ClockStatus, RecordField, TariffRulesField } from '../abi/codes';
import { clockLastSampleUtc, clockSampleAgeNs, clockStatus } from '../clock/clock';
import { leapUtc } from '../clock/leap';
import { settingsTariffRules } from '../meter/settings';
import { sourceReference } from '../meter/source';
import { SECOND_NS } from '../ntp/timestamp';
import { qualityBoundNs, qualityFlags, qualityLetter, qualityUncertaintyNs } from './quality';

const MICROSECOND_NS: i64 = 1000;
const NO_SERVER: u8 = 255;

function saturate(value: i64): u32 {
  return value < 0 || value > 0xffff_ffff ? 0xffff_ffff : <u32>value;
}

function microseconds(ns: i64): u32 {
  return saturate(ns / MICROSECOND_NS + (ns % MICROSECOND_NS == 0 ? 0 : 1));
}

/** UTC ns shown at local time `t`; 0 while unsynchronised. */
export function captureUtc(t: i64): i64 {
  return clockStatus() == ClockStatus.Unsynchronised ? 0 : leapUtc(t);
}

/** Writes what `qualityAt` found for local time `t` to a cleared body. */
export function bodyTime(to: usize, t: i64): void {
  store<i64>(to, captureUtc(t), RecordField.CaptureUtcNs);
  store<u32>(to, microseconds(qualityUncertaintyNs), RecordField.UncertaintyUs);
  store<u32>(to, microseconds(qualityBoundNs), RecordField.BoundUs);
  store<u8>(to, <u8>qualityLetter, RecordField.Letter);
  store<u8>(to, <u8>qualityFlags, RecordField.TimeFlags);
  store<u8>(to, <u8>clockStatus(), RecordField.ClockStatus);
  store<u8>(to, load<u8>(settingsTariffRules(), TariffRulesField.PeriodMinutes), RecordField.PeriodMinutes);
  const age = clockSampleAgeNs(t);
  store<u32>(to, age < 0 ? 0xffff_ffff : saturate(age / SECOND_NS), RecordField.SampleAgeSeconds);
  const known = clockLastSampleUtc() != 0;
  const source = sourceReference();
  store<u8>(to, known ? <u8>source.server : NO_SERVER, RecordField.Server);
  if (!known) return;
  store<u32>(to, saturate(source.rootDelayNs), RecordField.RootDelayNs);
  store<u32>(to, saturate(source.rootDispersionNs), RecordField.RootDispersionNs);
}
