// The native part of `npm run fuzz`: builds the fuzzer, runs targets side by side, prints how far they are.
import { availableParallelism } from 'node:os';
import { buildFuzzer } from './build.ts';
import { corpusOf, type NativeProgress, type NativeTarget, replayNative, runNative } from './campaign.ts';

const progressMs = 5000;

const rate = ({ inputs, edges, seconds }: NativeProgress) =>
  `${inputs} inputs, ${Math.round(inputs / Math.max(seconds, 0.001))}/s, ${edges} edges`;

/** Runs targets, as many at a time as there are processors. @returns whether nothing was found */
export async function fuzzNatively(
  targets: readonly NativeTarget[],
  options: { readonly seed: number; readonly inputs: number | undefined },
): Promise<boolean> {
  console.log('native: building (wasm2c, clang with libFuzzer, AddressSanitizer, UBSan)');
  const fuzzer = await buildFuzzer();
  const running = new Map<string, NativeProgress>();
  const timer = setInterval(() => {
    for (const [name, progress] of running) console.log(`  native ${name}: ${rate(progress)}`);
  }, progressMs);
  let total = 0;
  let clean = true;
  const waiting = [...targets];
  const work = async () => {
    for (let target = waiting.shift(); target !== undefined; target = waiting.shift()) {
      const { name } = target;
      const { found, ...done } = await runNative(fuzzer, target, {
        seed: options.seed,
        inputs: options.inputs ?? target.inputs,
        corpus: corpusOf(name),
        onProgress: (progress) => running.set(name, progress),
      });
      running.delete(name);
      total += done.inputs;
      console.log(`native ${name}: ${rate(done)}, ${done.seconds.toFixed(1)} s`);
      if (found === undefined) continue;
      clean = false;
      console.error(`FOUND native ${name}: ${found.message}\n  ${found.path ?? 'no input was saved'}`);
    }
  };
  try {
    await Promise.all(Array.from({ length: Math.min(availableParallelism(), targets.length) }, work));
  } finally {
    clearInterval(timer);
  }
  console.log(`native: ${total} inputs`);
  return clean;
}

/** Gives one saved input to its target again. @returns whether it does no harm */
export async function replayNatively(path: string): Promise<boolean> {
  const found = await replayNative(await buildFuzzer(), path);
  console.log(found === undefined ? `${path}: no harm` : `FOUND ${path}: ${found.message}`);
  return found === undefined;
}
