// Tariff programs and dynamic tariffs of tests, and their bytes; POSIX TZ strings as rules of a zone.
// What always holds: nothing is checked, so that blocks which cannot be are made in the same way.
import { crc32 } from 'node:zlib';
import {
  DayField,
  DynamicField,
  DynamicFormat,
  ProgramField,
  ProgramFormat,
  ScriptField,
  SeasonField,
  SpecialDayField,
  WeekField,
  ZoneDayField,
  ZoneDayKind,
  ZoneKind,
  ZoneListField,
  ZoneRuleField,
} from '../../as/abi/codes.ts';

export const anyYear = 0xffff;
export const any = 0xff;
export const lastDay = 0xfe;
export const secondLastDay = 0xfd;
export const summerBegin = 0xfe;
export const summerEnd = 0xfd;

/** A date as a block has it: numbers of DLMS/COSEM. */
export interface BlockDate {
  year?: number;
  month?: number;
  day?: number;
  weekday?: number;
}
export interface BlockOffset {
  minutes: number;
  summer: boolean;
}
export interface BlockTransition extends BlockOffset {
  unixSeconds: number;
}
export interface BlockList {
  initial: BlockOffset;
  transitions: BlockTransition[];
}
/** Time of day `HH:MM:SS`, index of a script. */
export type BlockAction = [time: string, script: number];

/** Indices are places in the lists. */
export interface BlockProgram {
  name?: string;
  /** POSIX TZ string, or a list. */
  zone: string | BlockList;
  defaultTariff: number;
  fallback?: number;
  fallbackTariff?: number;
  /** Tariffs. */
  scripts: number[];
  seasons: (BlockDate & { time?: string; week: number })[];
  /** Seven days each, Monday first. */
  weeks: number[][];
  days: BlockAction[][];
  specialDays: (BlockDate & { to: number })[];
}

export interface BlockDynamic {
  entries: { unixSeconds: number; tariff: number }[];
  endUnixSeconds: number;
}

/** The whole block of a program. */
export function programBlock(program: BlockProgram): Uint8Array {
  const { seasons, weeks, days, specialDays, scripts, zone } = program;
  const head = new DataView(new ArrayBuffer(ProgramField.Items));
  head.setUint32(ProgramField.Magic, ProgramFormat.Magic, true);
  head.setUint16(ProgramField.Version, ProgramFormat.Version, true);
  const name = Buffer.from(program.name ?? 'test');
  new Uint8Array(head.buffer).set([name.length, ...name], ProgramField.Name);
  head.setUint16(ProgramField.DefaultTariff, program.defaultTariff, true);
  head.setUint8(ProgramField.Fallback, program.fallback ?? 0);
  head.setUint16(ProgramField.FallbackTariff, program.fallbackTariff ?? 0, true);
  const counts = [
    [ProgramField.Seasons, seasons],
    [ProgramField.Weeks, weeks],
    [ProgramField.Days, days],
    [ProgramField.SpecialDays, specialDays],
    [ProgramField.Scripts, scripts],
  ] as const;
  for (const [field, items] of counts) head.setUint8(field, items.length);
  head.setUint8(ProgramField.Zone, typeof zone === 'string' ? ZoneKind.Rule : ZoneKind.List);
  head.setUint8(ProgramField.Transitions, typeof zone === 'string' ? 0 : zone.transitions.length);
  const items = [
    typeof zone === 'string' ? ruleBytes(zone) : listBytes(zone),
    ...scripts.map(scriptBytes),
    ...seasons.map(seasonBytes),
    ...weeks.map((week) => Uint8Array.from({ length: WeekField.Bytes }, (_, day) => week[day] ?? 0)),
    ...days.map(dayBytes),
    ...specialDays.map(specialDayBytes),
  ];
  const block = Buffer.concat([new Uint8Array(head.buffer), ...items, new Uint8Array(4)]);
  block.writeUInt16LE(block.length, ProgramField.Length);
  return sealed(block);
}

/** The whole block of dynamic tariffs. */
export function dynamicBlock({ entries, endUnixSeconds }: BlockDynamic): Uint8Array {
  const block = Buffer.alloc(DynamicField.List + DynamicField.EntryBytes * entries.length + 4);
  block.writeUInt32LE(DynamicFormat.Magic, DynamicField.Magic);
  block.writeUInt16LE(block.length, DynamicField.Length);
  block.writeUInt16LE(entries.length, DynamicField.Entries);
  block.writeUInt32LE(endUnixSeconds, DynamicField.End);
  for (const [i, { unixSeconds, tariff }] of entries.entries()) {
    const at = DynamicField.List + DynamicField.EntryBytes * i;
    block.writeUInt32LE(unixSeconds, at);
    block.writeUInt16LE(tariff, at + 4);
  }
  return sealed(block);
}

/** The same with the right CRC-32 in its last bytes. */
export function sealed(block: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(block);
  const at = copy.length - 4;
  new DataView(copy.buffer).setUint32(at, crc32(copy.subarray(0, at)), true);
  return copy;
}

function timeBytes(time: string): number[] {
  const [hour = 0, minute = 0, second = 0] = time.split(':').map(Number);
  return [hour, minute, second];
}

function scriptBytes(tariff: number, index: number): Uint8Array {
  const bytes = Buffer.alloc(ScriptField.Bytes);
  bytes.set([0, 0, 10, 0, 100, 255], ScriptField.LogicalName);
  bytes.writeUInt16LE(index + 1, ScriptField.Selector);
  bytes.writeUInt16LE(tariff, ScriptField.Tariff);
  return bytes;
}

function dateBytes(bytes: Buffer, { year = anyYear, month = any, day = any, weekday = any }: BlockDate): void {
  bytes.writeUInt16LE(year, SeasonField.Year);
  bytes.set([month, day, weekday], SeasonField.Month);
}

function seasonBytes(season: BlockProgram['seasons'][number]): Uint8Array {
  const bytes = Buffer.alloc(SeasonField.Bytes);
  dateBytes(bytes, season);
  bytes.set([...timeBytes(season.time ?? '00:00:00'), season.week], SeasonField.Hour);
  return bytes;
}

function dayBytes(actions: BlockAction[], index: number): Uint8Array {
  const list = actions.map(([time, script]) => [...timeBytes(time), script]);
  const bytes = new Uint8Array(DayField.List + DayField.ActionBytes * actions.length);
  bytes.set([index + 1], DayField.Id);
  bytes.set([actions.length], DayField.Actions);
  bytes.set(list.flat(), DayField.List);
  return bytes;
}

function specialDayBytes(special: BlockProgram['specialDays'][number]): Uint8Array {
  const bytes = Buffer.alloc(SpecialDayField.Bytes);
  dateBytes(bytes, special);
  bytes[SpecialDayField.DayIndex] = special.to;
  return bytes;
}

function listBytes({ initial, transitions }: BlockList): Uint8Array {
  const bytes = Buffer.alloc(ZoneListField.Transitions + ZoneListField.TransitionBytes * transitions.length);
  bytes.writeInt16LE(initial.minutes, ZoneListField.OffsetMinutes);
  bytes[ZoneListField.Summer] = +initial.summer;
  for (const [i, { unixSeconds, minutes, summer }] of transitions.entries()) {
    const at = ZoneListField.Transitions + ZoneListField.TransitionBytes * i;
    bytes.writeUInt32LE(unixSeconds, at);
    bytes.writeInt16LE(minutes, at + ZoneListField.TransitionOffsetMinutes);
    bytes[at + ZoneListField.TransitionSummer] = +summer;
  }
  return bytes;
}

const clock = String.raw`[+-]?\d{1,3}(?::\d\d){0,2}`;
const name = '(?:[A-Za-z]{3,}|<[A-Za-z0-9+-]+>)';
const day = (which: string) => String.raw`(?<${which}>M\d+\.\d\.\d|J\d+|\d+)(?:/(?<${which}Time>${clock}))?`;
const rule = new RegExp(`^${name}(?<standard>${clock})(?:${name}(?<summer>${clock})?,${day('begin')},${day('end')})?$`);

/** The bytes of a POSIX TZ string (IEEE Std 1003.1, 8.3, with the hours beyond a day of RFC 9636). */
export function ruleBytes(posix: string): Uint8Array {
  const parts = rule.exec(posix)?.groups;
  if (parts === undefined) throw new RangeError(`no POSIX TZ string: ${posix}`);
  const bytes = Buffer.alloc(ZoneRuleField.Bytes);
  // West is positive there.
  const standard = -seconds(parts.standard!);
  const { summer, begin, end } = parts;
  const other = summer === undefined ? standard + 3600 : -seconds(summer);
  bytes.writeInt32LE(standard, ZoneRuleField.StandardSeconds);
  bytes.writeInt32LE(begin === undefined ? standard : other, ZoneRuleField.SummerSeconds);
  if (begin !== undefined) bytes.set(ruleDayBytes(begin, parts.beginTime), ZoneRuleField.Begin);
  if (end !== undefined) bytes.set(ruleDayBytes(end, parts.endTime), ZoneRuleField.End);
  return bytes;
}

function seconds(text: string): number {
  const [hours = 0, minutes = 0, rest = 0] = text.replace(/^[+-]/, '').split(':').map(Number);
  return (3600 * hours + 60 * minutes + rest) * (text.startsWith('-') ? -1 : 1);
}

function ruleDayBytes(day: string, time: string | undefined): Uint8Array {
  const bytes = Buffer.alloc(8);
  bytes.writeInt32LE(time === undefined ? 7200 : seconds(time), ZoneDayField.TimeSeconds);
  if (day.startsWith('M')) {
    bytes[ZoneDayField.Kind] = ZoneDayKind.MonthWeekDay;
    bytes.set(day.slice(1).split('.').map(Number), ZoneDayField.Month);
    return bytes;
  }
  bytes[ZoneDayField.Kind] = day.startsWith('J') ? ZoneDayKind.Julian : ZoneDayKind.ZeroBased;
  bytes.writeUInt16LE(Number(day.replace('J', '')), ZoneDayField.DayOfYear);
  return bytes;
}
