// Local time minus UTC at an instant, when it changes next, and the instant of a local time: for the few that other
// systems are told. The core says the offset, as in a meter.
//
// What always holds: of a local time that comes twice the first is meant, and one that is left out counts by the clock
// before the gap.
import { TariffEngine } from './engine.ts';
import { utcSeconds } from './model.ts';
import { encodeProgram } from './program-block.ts';
import type { ResolvedZone } from './zone.ts';

export interface LegalOffset {
  readonly offsetSeconds: number;
  readonly summer: boolean;
}

export interface OffsetChange extends LegalOffset {
  /** Unix seconds. */
  readonly utc: number;
}

let engine: TariffEngine | undefined;
/** The zone that the engine has. */
let used = '';

function engineOf(zone: ResolvedZone): TariffEngine {
  engine ??= new TariffEngine();
  const value = zone.kind === 'rule' ? zone.text : zone.list;
  const key = JSON.stringify(value);
  if (key !== used) {
    used = '';
    engine.useProgram(encodeProgram({ name: 'zone', zone: value, defaultTariff: 0 }));
    used = key;
  }
  return engine;
}

/** @param utc Unix seconds */
export function legalOffsetAt(zone: ResolvedZone, utc: number): LegalOffset {
  const { offsetSeconds, summer } = engineOf(zone).at(utc);
  return { offsetSeconds, summer };
}

const hourSeconds = 3600;
/** Of a rule, one change comes each year at least. */
const yearHours = 367 * 24;

/** The first change after an instant; undefined where none comes. @param utc Unix seconds */
export function nextChange(zone: ResolvedZone, utc: number): OffsetChange | undefined {
  const at = (second: number): OffsetChange => ({ utc: second, ...legalOffsetAt(zone, second) });
  if (zone.kind === 'list') {
    const next = zone.list.transitions.map((each) => utcSeconds(each.utc)).find((each) => each > utc);
    return next === undefined ? undefined : at(next);
  }
  if (zone.rule.summer === undefined) return undefined;
  const { offsetSeconds } = at(utc);
  for (let hour = 1; hour <= yearHours; hour++) {
    let high = utc + hour * hourSeconds;
    if (at(high).offsetSeconds === offsetSeconds) continue;
    for (let low = high - hourSeconds; high - low > 1; ) {
      const middle = Math.floor((low + high) / 2);
      if (at(middle).offsetSeconds === offsetSeconds) low = middle;
      else high = middle;
    }
    return at(high);
  }
  return undefined;
}

const daySeconds = 24 * hourSeconds;

/** Unix seconds of a local time, itself in seconds as if it were UTC. */
export function instantOfLocal(zone: ResolvedZone, local: number): number {
  // Offsets are a day at most.
  const hours = Array.from({ length: 2 * 48 + 1 }, (_, hour) => local + (hour - 48) * hourSeconds);
  const offsets = new Set(hours.map((utc) => legalOffsetAt(zone, utc).offsetSeconds));
  const instants = [...offsets]
    .map((offsetSeconds) => local - offsetSeconds)
    .filter((utc) => legalOffsetAt(zone, utc).offsetSeconds === local - utc);
  return instants.length > 0 ? Math.min(...instants) : local - legalOffsetAt(zone, local - daySeconds).offsetSeconds;
}
