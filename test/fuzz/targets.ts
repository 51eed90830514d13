// What can be fuzzed. A target gives a core its inputs, round by round; a round follows from its own seed, so any round
// can be run again. What it finds it throws as a `Violation`, with all events that the core was given.
import type { CheckedModules } from './checked-core.ts';
import type { Prng } from './prng.ts';

export interface Target {
  readonly name: string;
  /** What is varied, in a few words. */
  readonly about: string;
  /** One round; returns how many inputs it gave. @throws Violation */
  readonly round: (random: Prng, modules: CheckedModules) => number;
}
