// Legal time and tariffs of a core, with numbers and dates of JavaScript.
import { instantiateSync } from '@assemblyscript/loader';
import { ProgramError } from '../../as/abi/codes.ts';
import { type BlockDynamic, type BlockList, type BlockProgram, dynamicBlock, programBlock } from './tariff-blocks.ts';

export interface TariffExports {
  readonly memory: WebAssembly.Memory;
  testScratch(): number;
  toolProgramBuffer(): number;
  toolProgramUse(length: number): number;
  testProgramDrop(): void;
  testProgramInUse(): number;
  toolDynamicBuffer(): number;
  toolDynamicUse(length: number): number;
  testDynamicDrop(): void;
  toolZoneOffset(utc: bigint): number;
  toolZoneSummer(utc: bigint): number;
  testZoneEffective(utc: bigint): bigint;
  testZoneNextTransition(utc: bigint): bigint;
  testPeriodBegin(utc: bigint, minutes: number): bigint;
  testPeriodEnd(utc: bigint, minutes: number): bigint;
  toolTariffAt(utc: bigint): number;
  testTariffNextAction(utc: bigint): bigint;
  toolTariffNext(utc: bigint, until: bigint): bigint;
  testTariffOriginAfterNext(utc: bigint): number;
  testTariffSwitches(utc: bigint, until: bigint, to: number, most: number): number;
  testPeriodEnds(utc: bigint, until: bigint, minutes: number, to: number, most: number): number;
}

export interface Switch {
  readonly unixSeconds: number;
  readonly tariff: number;
}

/** Instants are Unix seconds, or ISO 8601 in UTC. */
export type Instant = number | string;

export function unix(at: Instant): number {
  if (typeof at === 'number') return at;
  const ms = Date.parse(at);
  if (Number.isNaN(ms)) throw new RangeError(`no instant: ${at}`);
  return ms / 1000;
}

/** `2026-03-29T01:00:00Z`. */
export function isoOf(unixSeconds: number): string {
  return new Date(unixSeconds * 1000).toISOString().replace('.000Z', 'Z');
}

const never = 2n ** 63n - 1n;

export class TariffCore {
  readonly exports: TariffExports;

  constructor(module: WebAssembly.Module) {
    this.exports = instantiateSync(module, {}).exports as unknown as TariffExports;
  }

  /** What the core says of a program's bytes; it is in use when that is `None`. */
  useProgramBytes(bytes: Uint8Array): ProgramError {
    this.#put(this.exports.toolProgramBuffer(), bytes);
    return this.exports.toolProgramUse(bytes.length);
  }

  useDynamicBytes(bytes: Uint8Array): ProgramError {
    this.#put(this.exports.toolDynamicBuffer(), bytes);
    return this.exports.toolDynamicUse(bytes.length);
  }

  /** @throws {Error} where the core refuses it */
  useProgram(program: BlockProgram): void {
    const error = this.useProgramBytes(programBlock(program));
    if (error !== ProgramError.None) throw new Error(`the program is refused: ${ProgramError[error]}`);
  }

  /** Legal time alone. */
  useZone(zone: string | BlockList): void {
    this.useProgram({ zone, defaultTariff: 0, scripts: [], seasons: [], weeks: [], days: [], specialDays: [] });
  }

  /** @throws {Error} where the core refuses them */
  useDynamic(dynamic: BlockDynamic): void {
    const error = this.useDynamicBytes(dynamicBlock(dynamic));
    if (error !== ProgramError.None) throw new Error(`the dynamic tariffs are refused: ${ProgramError[error]}`);
  }

  /** Local time minus UTC, s. */
  offset(at: Instant): number {
    return this.exports.toolZoneOffset(big(at));
  }

  summer(at: Instant): boolean {
    return this.exports.toolZoneSummer(big(at)) !== 0;
  }

  /** Effective local time, as if it were UTC. */
  effective(at: Instant): string {
    return isoOf(Number(this.exports.testZoneEffective(big(at)))).slice(0, -1);
  }

  nextTransition(at: Instant): string | undefined {
    return maybeIso(this.exports.testZoneNextTransition(big(at)));
  }

  /** Until `until`, at most. */
  transitions(from: Instant, until: Instant): string[] {
    const found: string[] = [];
    let at = this.nextTransition(from);
    for (; at !== undefined && unix(at) <= unix(until); at = this.nextTransition(at)) found.push(at);
    return found;
  }

  periodBegin(at: Instant, minutes: number): string {
    return isoOf(Number(this.exports.testPeriodBegin(big(at), minutes)));
  }

  periodEnd(at: Instant, minutes: number): string {
    return isoOf(Number(this.exports.testPeriodEnd(big(at), minutes)));
  }

  tariff(at: Instant): number {
    return this.exports.toolTariffAt(big(at)) & 0xffff;
  }

  /** Where the tariff comes from. */
  origin(at: Instant): 'calendar' | 'dynamic' | 'ended' {
    return (['calendar', 'dynamic', 'ended'] as const)[this.exports.toolTariffAt(big(at)) >> 16]!;
  }

  nextAction(at: Instant): string {
    return isoOf(Number(this.exports.testTariffNextAction(big(at))));
  }

  next(at: Instant, until: Instant): string | undefined {
    const found = this.exports.toolTariffNext(big(at), big(until));
    return found === 0n ? undefined : isoOf(Number(found));
  }

  /** All of them after `from`, until `until` at most. */
  switches(from: Instant, until: Instant): Switch[] {
    const to = (this.exports.testScratch() + 7) & ~7;
    const most = Math.floor((this.exports.memory.buffer.byteLength - to) / 8);
    const found: Switch[] = [];
    const end = big(until);
    let at = big(from);
    for (;;) {
      const count = this.exports.testTariffSwitches(at, end, to, most);
      const words = new DataView(this.exports.memory.buffer, to);
      for (let i = 0; i < count; i++) {
        found.push({ unixSeconds: words.getUint32(8 * i, true), tariff: words.getUint16(8 * i + 4, true) });
      }
      if (count < most) return found;
      at = BigInt(found.at(-1)!.unixSeconds);
    }
  }

  /** All of them after `from`, until `until` at most, Unix seconds. */
  periodEnds(from: Instant, until: Instant, minutes: number): number[] {
    const to = (this.exports.testScratch() + 7) & ~7;
    const most = Math.floor((this.exports.memory.buffer.byteLength - to) / 4);
    const found: number[] = [];
    for (let at = big(from); ; at = BigInt(found.at(-1)!)) {
      const count = this.exports.testPeriodEnds(at, big(until), minutes, to, most);
      found.push(...new Uint32Array(this.exports.memory.buffer, to, count));
      if (count < most) return found;
    }
  }

  #put(at: number, bytes: Uint8Array): void {
    new Uint8Array(this.exports.memory.buffer).set(bytes, at);
  }
}

function big(at: Instant): bigint {
  return BigInt(unix(at));
}

function maybeIso(at: bigint): string | undefined {
  return at === never ? undefined : isoOf(Number(at));
}
