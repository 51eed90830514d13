// A time server that keeps all the rules, in virtual time, for the meters under attack.

import { Aead } from '../../host/setup/nts-aeads.ts';
import type { Prng } from '../fuzz/prng.ts';
import { NtsServer } from './nts-server.ts';
import { startUtcNs } from './simulated-meter.ts';

/** A server that keeps all the rules, and whose time is wrong by no more than the root distance that it tells. */
export class HonestServer extends NtsServer {
  readonly pathNs: number;
  /** Share of the root distance by which it is wrong, from -1 to 1, and how long that takes to swing. */
  readonly #wrong: number;
  readonly #swingNs: number;

  constructor(index: number, random: Prng) {
    super(index, random, {
      aead: random.pick(Object.values(Aead)),
      compliant: random.chance(0.5),
      cookieBytes: random.pick([64, 100, 104, 161]),
      rootDelayNs: random.chance(0.3) ? 0 : 4e7 * random.fraction(),
      rootDispersionNs: 10 ** (4 + 4.6 * random.fraction()),
    });
    this.pathNs = 1e5 * 400 ** random.fraction();
    this.#wrong = random.chance(0.3) ? 0 : random.pick([-1, 1]) * random.fraction() ** 0.3;
    this.#swingNs = random.pick([Number.POSITIVE_INFINITY, 3600e9, 86_400e9]);
  }

  get rootDistanceNs(): number {
    return this.options.rootDelayNs / 2 + this.options.rootDispersionNs;
  }

  override utcNs(truthNs: bigint): bigint {
    const phase = Math.cos((2 * Math.PI * Number(truthNs - startUtcNs)) / this.#swingNs);
    return truthNs + BigInt(Math.trunc(this.#wrong * phase * this.rootDistanceNs));
  }

  /** It has not said from which exporter context its keys for AEAD 30 are, and a NAK makes a meter try the other one. */
  get mayGetOtherKeys(): boolean {
    return this.options.aead === Aead.gcmSiv128 && !this.options.compliant;
  }
}
