// What a tariff program says at an instant, by the core itself: the same engine as in a meter.
//
// What always holds: one program and one list of dynamic tariffs at a time, in a core of its own; times are Unix seconds.
import { ProgramError } from '../../as/abi/codes.ts';
import { Core, type CoreModule } from '../core/core.ts';
import { nameOf } from '../text/names.ts';
import { programErrorNames } from '../text/record-names.ts';
import { TariffError } from './errors.ts';

interface TariffTools {
  toolProgramBuffer(): number;
  toolProgramUse(length: number): number;
  toolDynamicBuffer(): number;
  toolDynamicUse(length: number): number;
  toolZoneOffset(utc: bigint): number;
  toolZoneSummer(utc: bigint): number;
  toolTariffAt(utc: bigint): number;
  toolTariffNext(utc: bigint, until: bigint): bigint;
}

export type TariffOrigin = 'calendar' | 'dynamic' | 'dynamic-ended';

export interface TariffNow {
  readonly tariff: number;
  /** Where it comes from; `dynamic-ended`: what the program says after the last of the dynamic tariffs. */
  readonly origin: TariffOrigin;
  /** Local time minus UTC. */
  readonly offsetSeconds: number;
  readonly summer: boolean;
}

export interface TariffSwitch extends TariffNow {
  readonly utc: number;
}

const origins: readonly TariffOrigin[] = ['calendar', 'dynamic', 'dynamic-ended'];
/** The core looks a year ahead at once. */
const aheadSeconds = 366 * 86_400;

export class TariffEngine {
  readonly #core: Core;
  readonly #tools: TariffTools;

  constructor(module?: CoreModule) {
    this.#core = new Core(module);
    this.#tools = this.#core.exports as unknown as TariffTools;
  }

  /** @param block as `encodeProgram` makes it @throws {TariffError} tariff-damaged where the core refuses it */
  useProgram(block: Uint8Array): void {
    const tools = this.#tools;
    this.#put('the tariff program', tools.toolProgramBuffer(), block, (length) => tools.toolProgramUse(length));
  }

  /** @param block as `encodeDynamic` makes it @throws {TariffError} tariff-damaged where the core refuses it */
  useDynamic(block: Uint8Array): void {
    const tools = this.#tools;
    this.#put('the list of dynamic tariffs', tools.toolDynamicBuffer(), block, (length) =>
      tools.toolDynamicUse(length),
    );
  }

  at(utc: number): TariffNow {
    const at = BigInt(utc);
    const found = this.#tools.toolTariffAt(at);
    return {
      tariff: found & 0xffff,
      origin: origins[found >> 16]!,
      offsetSeconds: this.#tools.toolZoneOffset(at),
      summer: this.#tools.toolZoneSummer(at) !== 0,
    };
  }

  /** Switches after `utc`, until `until`, and `most` of them at most. */
  switches(utc: number, until: number, most: number): TariffSwitch[] {
    const found: TariffSwitch[] = [];
    for (let from = utc; from < until && found.length < most; ) {
      const ahead = Math.min(until, from + aheadSeconds);
      const next = Number(this.#tools.toolTariffNext(BigInt(from), BigInt(ahead)));
      if (next !== 0) found.push({ utc: next, ...this.at(next) });
      from = next === 0 ? ahead : next;
    }
    return found;
  }

  #put(what: string, at: number, block: Uint8Array, use: (length: number) => number): void {
    new Uint8Array(this.#core.exports.memory.buffer).set(block, at);
    const error = use(block.length) as ProgramError;
    if (error === ProgramError.None) return;
    throw new TariffError('tariff-damaged', `${what} is refused: ${nameOf(programErrorNames, error).text}`);
  }
}
