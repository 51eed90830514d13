// A real-time clock whose crystal is that of a meter in a cabinet: a parabola over a temperature of days, weather and
// season, and aging. It counts whole seconds; setting it begins a new second, or keeps the phase as some chips do.
import { RtcStatus } from '../../as/abi/codes.ts';
import { dateOfNs, nsOfDate, type RtcDate, SoftwareRtc } from '../../host/meter/parts.ts';
import type { SeededRandom } from './random.ts';

const second = 1_000_000_000;
const day = 86_400;

export interface Crystal {
  /** Frequency error at 25 °C, ppm. */
  readonly ppm: number;
  /** ppm/K², negative; 0 for a crystal that temperature does not touch. */
  readonly curve: number;
  readonly agingPpmPerYear: number;
  /** °C over the year; amplitude of the day and of the season, and of the weather, K. */
  readonly meanCelsius: number;
  readonly dayKelvin: number;
  readonly seasonKelvin: number;
  readonly weatherKelvin: number;
}

const steadyCrystal: Crystal = {
  ppm: 0,
  curve: 0,
  agingPpmPerYear: 0,
  meanCelsius: 25,
  dayKelvin: 0,
  seasonKelvin: 0,
  weatherKelvin: 0,
};

/** A cabinet outdoors, and a typical crystal of 32,768 Hz. */
export function cabinetCrystal(random: SeededRandom): Crystal {
  return {
    ppm: 60 * (random.below(1e6) / 1e6) - 30,
    curve: -0.035,
    agingPpmPerYear: 2 * (random.below(1e6) / 1e6) - 1,
    meanCelsius: 15,
    dayKelvin: 10,
    seasonKelvin: 8,
    weatherKelvin: 3,
  };
}

/** What differs from a steady one. */
export function crystal(changes: Partial<Crystal>): Crystal {
  return { ...steadyCrystal, ...changes };
}

const stepSeconds = 900;

export class CrystalRtc extends SoftwareRtc {
  readonly #evenNs: () => bigint;
  readonly #originNs: bigint;
  readonly #crystal: Crystal;
  readonly #waves: readonly { readonly kelvin: number; readonly seconds: number; readonly phase: number }[];
  /** What the crystal gained by the n-th step, ns. */
  readonly #gained = [0];
  #setUtcNs: bigint;
  #setToNs: bigint;
  #stopped = true;
  /** UTC at which it was set, ns. */
  readonly sets: bigint[] = [];

  constructor(
    evenNs: () => bigint,
    crystal: Crystal,
    random: SeededRandom,
    readonly keepsPhase: boolean,
  ) {
    super(evenNs);
    this.#evenNs = evenNs;
    this.#originNs = evenNs();
    this.#crystal = crystal;
    const { dayKelvin, seasonKelvin, weatherKelvin } = crystal;
    const wave = (kelvin: number, days: number) => ({
      kelvin,
      seconds: days * day,
      phase: 7 * (random.below(1e6) / 1e6),
    });
    this.#waves = [
      wave(dayKelvin, 1),
      wave(seasonKelvin, 365.25),
      ...[3.7, 6.1, 11, 23].map((days) => wave((weatherKelvin * Math.SQRT2) / 2, days)),
    ];
    this.#setUtcNs = evenNs();
    this.#setToNs = 946_684_800_000_000_000n + BigInt(random.below(1_000_000_000));
  }

  #ratePpm(seconds: number): number {
    const { ppm, curve, agingPpmPerYear, meanCelsius } = this.#crystal;
    let kelvin = meanCelsius - 25;
    for (const wave of this.#waves) {
      kelvin += wave.kelvin * Math.sin((2 * Math.PI * seconds) / wave.seconds + wave.phase);
    }
    return ppm + curve * kelvin * kelvin + (agingPpmPerYear * seconds) / (365.25 * day);
  }

  #gainedNs(utcNs: bigint): number {
    const seconds = Number(utcNs - this.#originNs) / second;
    const steps = Math.floor(seconds / stepSeconds);
    while (this.#gained.length <= steps + 1) {
      const n = this.#gained.length;
      this.#gained.push(this.#gained[n - 1]! + this.#ratePpm((n - 0.5) * stepSeconds) * 1000 * stepSeconds);
    }
    const share = seconds / stepSeconds - steps;
    return this.#gained[steps]! * (1 - share) + this.#gained[steps + 1]! * share;
  }

  /** What it would show if it showed more than whole seconds, ns since 1970. */
  get shownNs(): bigint {
    const now = this.#evenNs();
    const gained = Math.round(this.#gainedNs(now) - this.#gainedNs(this.#setUtcNs));
    return this.#setToNs + now - this.#setUtcNs + BigInt(gained);
  }

  override read(): { status: RtcStatus; date: RtcDate } {
    return { status: this.#stopped ? RtcStatus.Stopped : RtcStatus.Running, date: dateOfNs(this.shownNs) };
  }

  override set(date: RtcDate): void {
    const phase = this.keepsPhase ? this.shownNs % BigInt(second) : 0n;
    this.#setUtcNs = this.#evenNs();
    this.#setToNs = nsOfDate(date) + phase;
    this.#stopped = false;
    this.sets.push(this.#setUtcNs);
  }

  override loseTime(): void {
    this.#setUtcNs = this.#evenNs();
    this.#setToNs = 946_684_800_000_000_000n;
    this.#stopped = true;
  }
}
