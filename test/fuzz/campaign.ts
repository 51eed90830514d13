// A run of fuzz targets for as many inputs as asked, and what is kept of an input that found something.
//
// A found input is a JSON file: target, round seed, what happened, and every event that the core was given, so that it
// can be given again without the world around it.
import { createContext, Script } from 'node:vm';
import { CheckedCore, type CheckedModules, type RecordedEvent, twinModules, Violation } from './checked-core.ts';
import { Prng } from './prng.ts';
import type { Target } from './targets.ts';

export interface Found {
  readonly target: string;
  readonly roundSeed: number;
  readonly message: string;
  /** Whether the core had its large buffers. */
  readonly large: boolean;
  /** Event, tick in decimal, payload in hexadecimal. */
  readonly events: readonly (readonly [number, string, string])[];
}

export interface Progress {
  readonly target: string;
  readonly inputs: number;
  readonly rounds: number;
  readonly seconds: number;
  readonly roundSeed: number;
}

/**
 * Runs a target until it was given `inputs` inputs, or for `seconds`.
 * @returns what was done and, where a round found something, that
 */
export async function runTarget(
  target: Target,
  options: {
    seed: number;
    /** One round alone, by its seed. */
    round?: number;
    inputs?: number;
    seconds?: number;
    onRound?: (progress: Progress) => void;
  },
): Promise<{ inputs: number; rounds: number; seconds: number; found: Found | undefined }> {
  const modules = await twinModules();
  const random = new Prng(options.seed);
  const startMs = performance.now();
  const seconds = () => (performance.now() - startMs) / 1000;
  const { inputs: most = Number.POSITIVE_INFINITY, seconds: longest = Number.POSITIVE_INFINITY } = options;
  let [inputs, rounds] = [0, 0];
  while (inputs < most && seconds() < longest) {
    const roundSeed = options.round ?? random.u32();
    options.onRound?.({ target: target.name, inputs, rounds, seconds: seconds(), roundSeed });
    const outcome = runRound(target, roundSeed, modules);
    if (typeof outcome !== 'number') return { inputs, rounds, seconds: seconds(), found: outcome };
    inputs += outcome;
    rounds++;
    if (options.round !== undefined) break;
  }
  return { inputs, rounds, seconds: seconds(), found: undefined };
}

/** A round takes well below a second; one that takes this long hangs. */
const roundLimitMs = 30_000;
const context = createContext({});
const script = new Script('task()');

/** Calls what may never return. @throws Violation when it does not return in time, or what it throws */
function limited<T>(task: () => T, limitMs: number): T {
  context.task = task;
  try {
    // V8 interrupts loops of WebAssembly too.
    return script.runInContext(context, { timeout: limitMs });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw error;
    const { happened = [], large = true } = CheckedCore.last ?? {};
    throw new Violation(`a round does not end within ${limitMs / 1000} s`, [...happened], large, { cause: error });
  }
}

/** One round: the number of its inputs, or what it found. */
export function runRound(
  target: Target,
  roundSeed: number,
  modules: CheckedModules,
  limitMs = roundLimitMs,
): number | Found {
  try {
    return limited(() => target.round(new Prng(roundSeed), modules), limitMs);
  } catch (error) {
    if (!(error instanceof Violation)) throw error;
    return {
      target: target.name,
      roundSeed,
      message: error.message,
      large: error.large,
      events: error.happened.map(({ event, tick, payload }) => [
        event,
        String(tick),
        Buffer.from(payload).toString('hex'),
      ]),
    };
  }
}

export function recordedEvents(found: Pick<Found, 'events'>): RecordedEvent[] {
  return found.events.map(([event, tick, payload]) => ({
    event,
    tick: BigInt(tick),
    payload: new Uint8Array(Buffer.from(payload, 'hex')),
  }));
}
