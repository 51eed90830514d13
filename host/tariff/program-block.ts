// A tariff program as the block that a meter keeps: layouts in as/abi/codes.ts (ProgramField and what follows it).
//
// What always holds: what `encodeProgram` makes, the core takes; what `decodeProgram` takes is encoded to the same bytes,
// but for the meter's own count and the CRC-32 over it; names of seasons, weeks and tariffs are not in a block.
import { crc32 } from 'node:zlib';
import {
  DayField,
  DynamicFallback,
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
import { TariffError } from './errors.ts';
import {
  type DatePattern,
  type DayOfMonth,
  defaultScriptTable,
  type SeasonStart,
  type TariffProgram,
  utcSeconds,
  utcText,
  weekdays,
  type ZoneList,
  type ZoneOffset,
} from './model.ts';
import { hasSummerTime, offsetName, type PosixTz, printPosixTz, type ZoneDay } from './posix-tz.ts';
import { type ProgramPlan, planProgram } from './program-plan.ts';
import type { ResolvedZone } from './zone.ts';

/** Codes of DLMS/COSEM dates. */
const anyYear = 0xffff;
const any = 0xff;
const monthCodes = { 'summer-begin': 0xfe, 'summer-end': 0xfd } as const;
const dayCodes = { last: 0xfe, 'second-last': 0xfd } as const;

const crcBytes = 4;
const tariffNameBytes = ProgramField.DefaultTariff - ProgramField.Name;

/**
 * The block of a program, as it is sent to a meter or written into its storage.
 * @param count that the storage keeps; 0 where the meter sets it
 * @throws {TariffError} tariff-value, tariff-zone
 */
export function encodeProgram(program: TariffProgram, count = 0): Uint8Array {
  const plan = planProgram(program);
  const items = [
    zoneBytes(plan.zone),
    ...plan.scripts.map(scriptBytes),
    ...plan.seasons.map(seasonBytes),
    ...plan.weeks.map((days) => filled(WeekField.Bytes, (bytes) => bytes.set(days, WeekField.Days))),
    ...plan.days.map(dayBytes),
    ...plan.specialDays.map(({ date, day }) =>
      filled(SpecialDayField.Bytes, (bytes) => {
        writeDate(bytes, date, SpecialDayField);
        bytes[SpecialDayField.DayIndex] = day;
      }),
    ),
  ];
  const block = Buffer.concat([header(plan, count), ...items, Buffer.alloc(crcBytes)]);
  block.writeUInt16LE(block.length, ProgramField.Length);
  seal(block);
  return new Uint8Array(block);
}

function seal(block: Buffer): void {
  const end = block.length - crcBytes;
  block.writeUInt32LE(crc32(block.subarray(0, end)), end);
}

function filled(length: number, fill: (bytes: Buffer) => void): Buffer {
  const bytes = Buffer.alloc(length);
  fill(bytes);
  return bytes;
}

function header(plan: ProgramPlan, count: number): Buffer {
  const { dynamicFallback, zone } = plan;
  const name = Buffer.from(plan.name);
  return filled(ProgramField.Items, (bytes) => {
    bytes.writeUInt32LE(ProgramFormat.Magic, ProgramField.Magic);
    bytes.writeUInt16LE(ProgramFormat.Version, ProgramField.Version);
    bytes.writeUInt32LE(count, ProgramField.Count);
    bytes.writeBigInt64LE(BigInt(plan.activation), ProgramField.Activation);
    bytes[ProgramField.Name] = name.length;
    bytes.set(name, ProgramField.Name + 1);
    bytes.writeUInt16LE(plan.defaultTariff, ProgramField.DefaultTariff);
    bytes[ProgramField.Fallback] = fallbackCode(dynamicFallback);
    bytes.writeUInt16LE(typeof dynamicFallback === 'number' ? dynamicFallback : 0, ProgramField.FallbackTariff);
    bytes[ProgramField.Seasons] = plan.seasons.length;
    bytes[ProgramField.Weeks] = plan.weeks.length;
    bytes[ProgramField.Days] = plan.days.length;
    bytes[ProgramField.SpecialDays] = plan.specialDays.length;
    bytes[ProgramField.Scripts] = plan.scripts.length;
    bytes[ProgramField.Zone] = zone.kind === 'rule' ? ZoneKind.Rule : ZoneKind.List;
    bytes[ProgramField.Transitions] = zone.kind === 'rule' ? 0 : zone.list.transitions.length;
  });
}

function fallbackCode(fallback: ProgramPlan['dynamicFallback']): DynamicFallback {
  if (typeof fallback === 'number') return DynamicFallback.Tariff;
  return fallback === 'keep' ? DynamicFallback.Keep : DynamicFallback.Calendar;
}

function zoneBytes(zone: ResolvedZone): Buffer {
  return zone.kind === 'rule' ? ruleBytes(zone.rule) : listBytes(zone.list);
}

function ruleBytes(rule: PosixTz): Buffer {
  const { standard, summer } = rule;
  return filled(ZoneRuleField.Bytes, (bytes) => {
    bytes.writeInt32LE(standard.offsetSeconds, ZoneRuleField.StandardSeconds);
    bytes.writeInt32LE((summer ?? standard).offsetSeconds, ZoneRuleField.SummerSeconds);
    if (summer === undefined || !hasSummerTime(rule)) return;
    writeZoneDay(bytes.subarray(ZoneRuleField.Begin), summer.begin);
    writeZoneDay(bytes.subarray(ZoneRuleField.End), summer.end);
  });
}

function writeZoneDay(bytes: Buffer, day: ZoneDay): void {
  bytes.writeInt32LE(day.timeSeconds, ZoneDayField.TimeSeconds);
  if (day.kind === 'month-week-day') {
    bytes[ZoneDayField.Kind] = ZoneDayKind.MonthWeekDay;
    bytes[ZoneDayField.Month] = day.month;
    bytes[ZoneDayField.Week] = day.week;
    bytes[ZoneDayField.Weekday] = day.weekday;
    return;
  }
  bytes[ZoneDayField.Kind] = day.kind === 'julian' ? ZoneDayKind.Julian : ZoneDayKind.ZeroBased;
  bytes.writeUInt16LE(day.day, ZoneDayField.DayOfYear);
}

function listBytes({ initial, transitions }: ZoneList): Buffer {
  const { Transitions, TransitionBytes, TransitionOffsetMinutes } = ZoneListField;
  return filled(Transitions + transitions.length * TransitionBytes, (bytes) => {
    writeOffset(bytes, initial);
    for (const [index, transition] of transitions.entries()) {
      const at = Transitions + index * TransitionBytes;
      bytes.writeUInt32LE(utcSeconds(transition.utc), at);
      writeOffset(bytes.subarray(at + TransitionOffsetMinutes), transition);
    }
  });
}

function writeOffset(bytes: Buffer, { offsetMinutes, summer }: ZoneOffset): void {
  bytes.writeInt16LE(offsetMinutes, ZoneListField.OffsetMinutes);
  bytes[ZoneListField.Summer] = summer ? 1 : 0;
}

function scriptBytes({ logicalName, selector, tariff }: ProgramPlan['scripts'][number]): Buffer {
  return filled(ScriptField.Bytes, (bytes) => {
    bytes.set(logicalName.split('.').map(Number), ScriptField.LogicalName);
    bytes.writeUInt16LE(selector, ScriptField.Selector);
    bytes.writeUInt16LE(tariff, ScriptField.Tariff);
  });
}

function seasonBytes({ start, timeSeconds, week }: ProgramPlan['seasons'][number]): Buffer {
  return filled(SeasonField.Bytes, (bytes) => {
    writeDate(bytes, start, SeasonField);
    bytes.set(clockOf(timeSeconds), SeasonField.Hour);
    bytes[SeasonField.Week] = week;
  });
}

interface DateFields {
  readonly Year: number;
  readonly Month: number;
  readonly Day: number;
  readonly Weekday: number;
}

function writeDate(bytes: Buffer, { year, month, day, weekday }: DatePattern, fields: DateFields): void {
  bytes.writeUInt16LE(year ?? anyYear, fields.Year);
  bytes[fields.Month] = typeof month === 'string' ? monthCodes[month] : (month ?? any);
  bytes[fields.Day] = typeof day === 'string' ? dayCodes[day] : (day ?? any);
  bytes[fields.Weekday] = weekday === undefined ? any : weekdays.indexOf(weekday) + 1;
}

function clockOf(seconds: number): [hour: number, minute: number, second: number] {
  return [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
}

function dayBytes({ id, actions }: ProgramPlan['days'][number]): Buffer {
  return filled(DayField.List + actions.length * DayField.ActionBytes, (bytes) => {
    bytes[DayField.Id] = id;
    bytes[DayField.Actions] = actions.length;
    for (const [index, { timeSeconds, script }] of actions.entries()) {
      bytes.set([...clockOf(timeSeconds), script], DayField.List + index * DayField.ActionBytes);
    }
  });
}

/** What the meter added to a program. */
export interface DecodedProgram {
  readonly program: TariffProgram;
  /** How many programs the meter had stored with it; 0 for one that was not stored. */
  readonly count: number;
  readonly crc32: number;
  readonly bytes: number;
}

/**
 * Reads a block; what follows it is not looked at. Seasons and weeks are named by their number.
 * @throws {TariffError} tariff-absent, tariff-version, tariff-damaged
 */
export function decodeProgram(block: Uint8Array): DecodedProgram {
  const all = Buffer.from(block.buffer, block.byteOffset, block.length);
  if (all.length < ProgramField.Items || all.readUInt32LE(ProgramField.Magic) !== ProgramFormat.Magic) {
    throw new TariffError('tariff-absent', 'there is no tariff program');
  }
  const version = all.readUInt16LE(ProgramField.Version);
  if (version !== ProgramFormat.Version) {
    const known = `this program knows ${ProgramFormat.Version}`;
    throw new TariffError('tariff-version', `the tariff program has version ${version}, ${known}`);
  }
  const length = all.readUInt16LE(ProgramField.Length);
  const end = length - crcBytes;
  if (end < ProgramField.Items || length > all.length) damaged(`it says that it has ${length} bytes, of ${all.length}`);
  const bytes = all.subarray(0, length);
  const crc = bytes.readUInt32LE(end);
  if (crc32(bytes.subarray(0, end)) !== crc) damaged('its CRC-32 does not hold');
  const count = bytes.readUInt32LE(ProgramField.Count);
  const program = readProgram(bytes);
  let again: Uint8Array;
  try {
    again = encodeProgram(program, count);
  } catch (cause) {
    if (!(cause instanceof TariffError)) throw cause;
    return damaged(cause.message, cause);
  }
  if (!bytes.equals(again)) damaged('it holds what no program says');
  return { program, count, crc32: crc, bytes: length };
}

function damaged(what: string, cause?: Error): never {
  throw new TariffError('tariff-damaged', `the tariff program is damaged: ${what}`, [], { cause });
}

/** Takes items off a block, one after the other. */
class Items {
  #at = ProgramField.Items;

  constructor(private readonly bytes: Buffer) {}

  take(length: number): Buffer {
    const item = this.bytes.subarray(this.#at, this.#at + length);
    if (this.#at + length > this.bytes.length - crcBytes) damaged('it ends before its last item');
    this.#at += length;
    return item;
  }

  list<Item>(count: number, length: number, read: (item: Buffer, index: number) => Item): Item[] {
    return Array.from({ length: count }, (_, index) => read(this.take(length), index));
  }
}

function readProgram(bytes: Buffer): TariffProgram {
  const items = new Items(bytes);
  const number = (field: ProgramField): number => bytes[field]!;
  const zone =
    number(ProgramField.Zone) === ZoneKind.Rule ? readRule(items) : readList(items, number(ProgramField.Transitions));
  const scripts = items.list(number(ProgramField.Scripts), ScriptField.Bytes, (item) => ({
    logicalName: item.subarray(ScriptField.LogicalName, ScriptField.Selector).join('.'),
    selector: item.readUInt16LE(ScriptField.Selector),
    tariff: item.readUInt16LE(ScriptField.Tariff),
  }));
  const weekCount = number(ProgramField.Weeks);
  const seasons = items.list(number(ProgramField.Seasons), SeasonField.Bytes, (item, index) => ({
    name: `season ${index + 1}`,
    start: { ...readDate(item, SeasonField), ...readStartTime(item) } as SeasonStart,
    week: `week ${item[SeasonField.Week]! + 1}`,
  }));
  const weeks = items.list(weekCount, WeekField.Bytes, (item) => [
    ...item.subarray(WeekField.Days, WeekField.Days + 7),
  ]);
  const days = Array.from({ length: number(ProgramField.Days) }, () => readDay(items, scripts));
  const dayId = (index: number): number => days[index]?.id ?? damaged(`it has no day ${index + 1}`);
  const specialDays = items.list(number(ProgramField.SpecialDays), SpecialDayField.Bytes, (item) => ({
    date: readDate(item, SpecialDayField),
    day: dayId(item[SpecialDayField.DayIndex]!),
  }));
  const activation = Number(bytes.readBigInt64LE(ProgramField.Activation));
  const nameLength = Math.min(number(ProgramField.Name), tariffNameBytes - 1);
  return {
    name: bytes.toString('utf8', ProgramField.Name + 1, ProgramField.Name + 1 + nameLength),
    ...(activation === 0 ? {} : { activationUtc: readActivation(activation) }),
    zone,
    defaultTariff: bytes.readUInt16LE(ProgramField.DefaultTariff),
    dynamicFallback: readFallback(bytes),
    ...{ scripts, seasons },
    weeks: weeks.map((indices, index) => ({ name: `week ${index + 1}`, days: indices.map(dayId) })),
    ...{ days, specialDays },
  };
}

function readActivation(seconds: number): string {
  return seconds >= 0 && seconds < 2 ** 32 ? utcText(seconds) : damaged('its activation time is not from 1970 to 2106');
}

function readFallback(bytes: Buffer): 'calendar' | 'keep' | number {
  const code = bytes[ProgramField.Fallback];
  if (code === DynamicFallback.Tariff) return bytes.readUInt16LE(ProgramField.FallbackTariff);
  return code === DynamicFallback.Keep ? 'keep' : 'calendar';
}

function readRule(items: Items): string {
  const bytes = items.take(ZoneRuleField.Bytes);
  const named = (offsetSeconds: number) => ({ name: offsetName(offsetSeconds), offsetSeconds });
  const standard = named(bytes.readInt32LE(ZoneRuleField.StandardSeconds));
  const summer = named(bytes.readInt32LE(ZoneRuleField.SummerSeconds));
  if (summer.offsetSeconds === standard.offsetSeconds) return printPosixTz({ standard });
  const begin = readZoneDay(bytes.subarray(ZoneRuleField.Begin));
  const end = readZoneDay(bytes.subarray(ZoneRuleField.End));
  return printPosixTz({ standard, summer: { ...summer, begin, end } });
}

function readZoneDay(bytes: Buffer): ZoneDay {
  const timeSeconds = bytes.readInt32LE(ZoneDayField.TimeSeconds);
  const kind = bytes[ZoneDayField.Kind];
  if (kind === ZoneDayKind.MonthWeekDay) {
    const [month, week, weekday] = [ZoneDayField.Month, ZoneDayField.Week, ZoneDayField.Weekday].map(
      (at) => bytes[at]!,
    );
    return { kind: 'month-week-day', month: month!, week: week!, weekday: weekday!, timeSeconds };
  }
  const day = bytes.readUInt16LE(ZoneDayField.DayOfYear);
  return { kind: kind === ZoneDayKind.Julian ? 'julian' : 'zero-based', day, timeSeconds };
}

function readList(items: Items, count: number): ZoneList {
  const initial = readOffset(items.take(ZoneListField.Transitions));
  const transitions = items.list(count, ZoneListField.TransitionBytes, (item) => ({
    utc: utcText(item.readUInt32LE(0)),
    ...readOffset(item.subarray(ZoneListField.TransitionOffsetMinutes)),
  }));
  return { initial, transitions };
}

function readOffset(bytes: Buffer): ZoneOffset {
  return {
    offsetMinutes: bytes.readInt16LE(ZoneListField.OffsetMinutes),
    summer: bytes[ZoneListField.Summer] === 1,
  };
}

function codeName<Codes extends Record<string, number>>(codes: Codes, code: number): keyof Codes | undefined {
  return Object.keys(codes).find((name) => codes[name] === code);
}

function readDate(bytes: Buffer, fields: DateFields): DatePattern {
  const year = bytes.readUInt16LE(fields.Year);
  const [month, day, weekday] = [bytes[fields.Month]!, bytes[fields.Day]!, bytes[fields.Weekday]!];
  return {
    ...(year === anyYear ? {} : { year }),
    ...(month === any ? {} : { month: codeName(monthCodes, month) ?? month }),
    ...(day === any ? {} : { day: (codeName(dayCodes, day) ?? day) as DayOfMonth }),
    ...(weekday === any ? {} : { weekday: weekdays[weekday - 1] ?? damaged(`it has a weekday ${weekday}`) }),
  };
}

function clockText([hour = 0, minute = 0, second = 0]: Iterable<number> & ArrayLike<number>): string {
  const parts = second === 0 ? [hour, minute] : [hour, minute, second];
  return parts.map((part) => `${part}`.padStart(2, '0')).join(':');
}

function readStartTime(bytes: Buffer): { time?: string } {
  const clock = bytes.subarray(SeasonField.Hour, SeasonField.Second + 1);
  return clock.every((part) => part === 0) ? {} : { time: clockText(clock) };
}

function readDay(items: Items, scripts: ProgramPlan['scripts']): NonNullable<TariffProgram['days']>[number] {
  const head = items.take(DayField.List);
  const actions = items.list(head[DayField.Actions]!, DayField.ActionBytes, (item) => {
    const script = scripts[item[3]!] ?? damaged(`it has no script ${item[3]! + 1}`);
    const { logicalName, selector, tariff } = script;
    const time = clockText(item.subarray(0, 3));
    if (scripts.find((other) => other.tariff === tariff) === script) return { time, tariff };
    return { time, selector, ...(logicalName === defaultScriptTable ? {} : { logicalName }) };
  });
  return { id: head[DayField.Id]!, actions };
}
