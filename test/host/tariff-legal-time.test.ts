// Offsets, their changes, and instants of local times, as other systems are told them: by the core.
import { beforeAll, expect, test } from 'vitest';
import { instantOfLocal, legalOffsetAt, nextChange } from '../../host/tariff/legal-time.ts';
import type { TariffProgram } from '../../host/tariff/model.ts';
import { resolveZone } from '../../host/tariff/zone.ts';
import { buildCore } from '../../scripts/build-core.mjs';

beforeAll(async () => {
  await buildCore();
});

const utc = (iso: string) => Date.parse(iso) / 1000;
const local = (iso: string) => utc(`${iso}Z`);
const iso = (second: number) => new Date(second * 1000).toISOString().replace('.000Z', 'Z');

test.each<
  [zone: TariffProgram['zone'], from: string, changes: [utc: string, offsetMinutes: number, summer: boolean][]]
>([
  [
    'Europe/Berlin',
    '2026-11-22T00:00:00Z',
    [
      ['2027-03-28T01:00:00Z', 120, true],
      ['2027-10-31T01:00:00Z', 60, false],
    ],
  ],
  // Summer time is the larger offset, whichever the rule has as an exception.
  [
    'IST-1GMT0,M10.5.0,M3.5.0/1',
    '2027-01-01T00:00:00Z',
    [
      ['2027-03-28T01:00:00Z', 60, true],
      ['2027-10-31T01:00:00Z', 0, false],
    ],
  ],
  [
    'Australia/Lord_Howe',
    '2027-01-01T00:00:00Z',
    [
      ['2027-04-03T15:00:00Z', 630, false],
      ['2027-10-02T15:30:00Z', 660, true],
    ],
  ],
  ['Asia/Kathmandu', '2027-01-01T00:00:00Z', []],
  [
    {
      initial: { offsetMinutes: 60, summer: false },
      transitions: [{ utc: '2030-03-31T01:00:00Z', offsetMinutes: 0, summer: false }],
    },
    '2027-01-01T00:00:00Z',
    [['2030-03-31T01:00:00Z', 0, false]],
  ],
])('the offsets of %j change when its clocks do', (name, from, changes) => {
  const zone = resolveZone(name);
  let at = utc(from);
  for (const [when, offsetMinutes, summer] of changes) {
    const next = nextChange(zone, at);
    expect(next && { ...next, utc: iso(next.utc) }).toEqual({ utc: when, offsetSeconds: offsetMinutes * 60, summer });
    expect(legalOffsetAt(zone, next!.utc)).toEqual({ offsetSeconds: offsetMinutes * 60, summer });
    expect(legalOffsetAt(zone, next!.utc - 1)).not.toEqual({ offsetSeconds: offsetMinutes * 60, summer });
    at = next!.utc;
  }
  if (typeof name !== 'string' || changes.length === 0) expect(nextChange(zone, at)).toBeUndefined();
});

test.each([
  ['2026-07-01T12:00:00', '2026-07-01T10:00:00Z'],
  // Comes twice: the first; is left out: by the clock before.
  ['2026-10-25T02:30:00', '2026-10-25T00:30:00Z'],
  ['2026-10-25T03:00:00', '2026-10-25T02:00:00Z'],
  ['2027-03-28T02:30:00', '2027-03-28T01:30:00Z'],
])('%s in Berlin is %s', (time, instant) => {
  expect(iso(instantOfLocal(resolveZone('Europe/Berlin'), local(time)))).toBe(instant);
});
