// Local time minus UTC at an instant, and the instant of a local time, for the few that objects of DLMS/COSEM name.
//
// What always holds: of a local time that comes twice the first is meant, and one that is left out counts by the clock
// before the gap.
import { utcSeconds } from '../tariff/model.ts';
import { summerTimeOf } from '../tariff/posix-tz.ts';
import type { ResolvedZone } from '../tariff/zone.ts';

export interface LegalOffset {
  readonly offsetSeconds: number;
  readonly summer: boolean;
}

interface Change extends LegalOffset {
  readonly utc: number;
}

/** @param utc Unix seconds */
export function legalOffsetAt(zone: ResolvedZone, utc: number): LegalOffset {
  const { initial, changes } = changesAround(zone, utc);
  return changes.filter((change) => change.utc <= utc).at(-1) ?? initial;
}

/** The first change after an instant; undefined where none comes. @param utc Unix seconds */
export function nextChange(zone: ResolvedZone, utc: number): Change | undefined {
  return changesAround(zone, utc).changes.find((change) => change.utc > utc);
}

/** Unix seconds of a local time, itself in seconds as if it were UTC. */
export function instantOfLocal(zone: ResolvedZone, local: number): number {
  const { initial, changes } = changesAround(zone, local);
  const offsets = [...new Set([initial, ...changes].map(({ offsetSeconds }) => offsetSeconds))];
  const instants = offsets
    .map((offsetSeconds) => local - offsetSeconds)
    .filter((utc) => legalOffsetAt(zone, utc).offsetSeconds === local - utc);
  return instants.length > 0 ? Math.min(...instants) : local - legalOffsetAt(zone, local - 86_400).offsetSeconds;
}

/** In ascending order; of a rule those of three years. */
function changesAround(zone: ResolvedZone, utc: number): { initial: LegalOffset; changes: Change[] } {
  if (zone.kind === 'list') {
    const offset = ({ offsetMinutes, summer }: { offsetMinutes: number; summer: boolean }): LegalOffset => ({
      ...{ offsetSeconds: offsetMinutes * 60, summer },
    });
    const { initial, transitions } = zone.list;
    return {
      initial: offset(initial),
      changes: transitions.map((each) => ({ utc: utcSeconds(each.utc), ...offset(each) })),
    };
  }
  const { standard, summer } = zone.rule;
  const initial: LegalOffset = { offsetSeconds: standard.offsetSeconds, summer: false };
  const year = new Date(utc * 1000).getUTCFullYear();
  const changes = [year - 1, year, year + 1].flatMap((each): Change[] => {
    const times = summerTimeOf(zone.rule, each);
    if (times === undefined || summer === undefined) return [];
    return [
      { utc: times.begin, offsetSeconds: summer.offsetSeconds, summer: true },
      { utc: times.end, ...initial },
    ];
  });
  return { initial, changes: changes.sort((a, b) => a.utc - b.utc) };
}
