// Runs of the native fuzzer: a target for as many inputs as asked, and inputs that once were found.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { cacheDir, root } from '../../scripts/lib/project.mjs';
import type { Fuzzer } from './build.ts';
import { longestInput, seeds } from './seeds.ts';

export interface NativeTarget {
  readonly name: keyof typeof longestInput;
  /** What is varied, in a few words. */
  readonly about: string;
  /** Inputs of a run, unless told: more where one takes less time. All together are more than ten million. */
  readonly inputs: number;
}

export const nativeTargets: readonly NativeTarget[] = [
  { name: 'ke', about: 'records of NTS-KE in pieces of any size, AEADs offered of several kinds', inputs: 1_000_000 },
  { name: 'aead', about: 'sealed texts of all four AEADs, of any lengths', inputs: 800_000 },
  { name: 'answer', about: 'NTP answers, also sealed with the right key of each AEAD', inputs: 1_200_000 },
  { name: 'settings', about: 'settings blocks, also with the right CRC-32', inputs: 3_500_000 },
  { name: 'start', about: 'starts with any storage, also a sealed state, and any date', inputs: 800_000 },
  {
    name: 'part',
    about: 'one part of a reserve, sealed as the meter would have, whatever is in it',
    inputs: 1_000_000,
  },
  {
    name: 'reserve',
    about: 'starts with keys and cookies in the storage, right or not; restarts, storage that fails',
    inputs: 100_000,
  },
  { name: 'messages', about: 'messages and datagrams to a meter that polls one to four servers', inputs: 750_000 },
  { name: 'frames', about: 'frames to both ends of a link, also with the right CRC-32', inputs: 1_200_000 },
];

/** Longest time for one input, s. */
const inputLimitSeconds = 10;

export interface NativeProgress {
  readonly inputs: number;
  /** Edges of the core's code that were reached. */
  readonly edges: number;
  readonly seconds: number;
}

export interface NativeFound {
  readonly message: string;
  /** The input; undefined when the fuzzer ended without one. */
  readonly path: string | undefined;
}

export interface NativeOutcome extends NativeProgress {
  readonly found: NativeFound | undefined;
}

export interface NativeOptions {
  readonly seed: number;
  readonly inputs?: number;
  readonly seconds?: number;
  /** Where inputs that reach something new are kept; it grows from run to run. */
  readonly corpus: string;
  /** Where a found input goes. */
  readonly foundFolder?: string;
  readonly onProgress?: (progress: NativeProgress) => void;
}

/** Where `npm run fuzz` keeps a target's inputs. */
export const corpusOf = (name: string) => join(cacheDir, 'native-fuzz', 'corpus', name);

/** Runs a target until it was given `inputs` inputs, for `seconds`, or until something is found. */
export async function runNative(fuzzer: Fuzzer, target: NativeTarget, options: NativeOptions): Promise<NativeOutcome> {
  const { seed, inputs, seconds, corpus, foundFolder = join(root, 'build', 'fuzz') } = options;
  writeSeeds(target, corpus);
  mkdirSync(foundFolder, { recursive: true });
  const args = [
    // 0 would be a random one.
    `-seed=${seed === 0 ? 1 : seed}`,
    ...(inputs === undefined ? [] : [`-runs=${inputs}`]),
    ...(seconds === undefined ? [] : [`-max_total_time=${seconds}`]),
    `-max_len=${longestInput[target.name]}`,
    `-timeout=${inputLimitSeconds}`,
    // Inputs that take long are varied less often.
    '-entropic_scale_per_exec_time=1',
    // Names of functions are looked up for findings alone.
    '-print_funcs=0',
    `-artifact_prefix=${join(foundFolder, `${target.name}-`)}`,
    corpus,
  ];
  const startMs = performance.now();
  let progress: NativeProgress = { inputs: 0, edges: 0, seconds: 0 };
  const { code, output } = await run(fuzzer, target.name, args, (line) => {
    const match = /^#(\d+)\s+\S+\s+cov: (\d+)/.exec(line);
    if (match === null) return;
    progress = { inputs: Number(match[1]), edges: Number(match[2]), seconds: (performance.now() - startMs) / 1000 };
    options.onProgress?.(progress);
  });
  const done = { ...progress, seconds: (performance.now() - startMs) / 1000 };
  return { ...done, found: code === 0 ? undefined : readFinding(output, code) };
}

/** The target of a saved input: its file's name begins with the target's. */
export function nativeTargetOf(path: string): NativeTarget | undefined {
  return nativeTargets.find(({ name }) => basename(path).startsWith(`${name}-`));
}

/** Gives a saved input to its target. */
export async function replayNative(fuzzer: Fuzzer, path: string): Promise<NativeFound | undefined> {
  const name = nativeTargetOf(path)?.name;
  if (name === undefined) throw new Error(`${path}: its name begins with no native target's`);
  const { code, output } = await run(fuzzer, name, [`-timeout=${inputLimitSeconds}`, path], () => {});
  return code === 0 ? undefined : { ...readFinding(output, code), path };
}

function writeSeeds(target: NativeTarget, folder: string): void {
  mkdirSync(folder, { recursive: true });
  for (const seed of seeds[target.name]?.() ?? []) {
    writeFileSync(join(folder, createHash('sha1').update(seed).digest('hex')), seed);
  }
}

/** Runs the fuzzer to its end. */
async function run(
  fuzzer: Fuzzer,
  target: string,
  args: readonly string[],
  onLine: (line: string) => void,
): Promise<{ code: number; output: string }> {
  const env = { ...process.env, ...fuzzer.env, METERTIME_FUZZ_TARGET: target };
  const child = spawn(fuzzer.path, args, { env, stdio: ['ignore', 'ignore', 'pipe'] });
  // Not left running by a process that is told to exit.
  const end = () => child.kill();
  process.once('exit', end);
  let output = '';
  let line = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    // A report ends what is printed.
    output = (output + text).slice(-100_000);
    const lines = (line + text).split('\n');
    line = lines.pop() ?? '';
    for (const one of lines) onLine(one);
  });
  const code = await new Promise<number>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (status, signal) => resolve(status ?? (signal === null ? 1 : 128)));
  }).finally(() => process.off('exit', end));
  return { code, output };
}

/** What happened, and where in the core: functions by the names that they have in as/. */
function readFinding(output: string, code: number): NativeFound {
  const what =
    /^FOUND: (.*)/m.exec(output)?.[1] ??
    /^==\d+==\s*ERROR: (AddressSanitizer: \S+|libFuzzer: .*)/m.exec(output)?.[1] ??
    /runtime error: .*/.exec(output)?.[0] ??
    `the fuzzer ended with ${code}:\n${output.slice(-2000)}`;
  const access = /^(READ|WRITE) of size \d+/m.exec(output)?.[0];
  const places = [...output.matchAll(/^\s+#\d+ 0x\S+ in w2c_core_(as0x2F\S+)/gm)].map((match) =>
    readable(match[1] ?? ''),
  );
  const lines = [access === undefined ? what : `${what}, ${access}`, ...[...new Set(places)].slice(0, 6)];
  return { message: lines.join('\n    in '), path: /Test unit written to (.*)/.exec(output)?.[1] };
}

/** wasm2c writes what is no letter of C as its code in hexadecimal. */
function readable(name: string): string {
  return name.replaceAll(/0x([0-9A-F]{2})/g, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16)));
}
