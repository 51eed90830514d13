// What the core costs on a Cortex-M3: counts of the emulated board put together.
// What always holds: all counts are of the core's C as it ships, but for those of a clock update, which come from the
// same sources with two marks in them; where the marks change the code around them, the bench ends.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadCoreModule } from '../host/core/core.ts';
import { buildCore } from '../scripts/build-core.mjs';
import { median } from './figures.ts';
import { type BoardCounts, countOnBoard } from './mcu-board.ts';
import { buildMarkedCore } from './mcu-core.ts';
import { makeRecording, type Recording } from './mcu-recording.ts';

export interface Options {
  /** Time servers that the core is laid out for, and asks. */
  readonly servers: number;
  readonly polls: number;
  readonly seed: number;
}

/** Instructions of something that happens more than once. */
export interface Spread {
  readonly times: number;
  readonly median: number;
  readonly most: number;
}

export const eventKinds = ['request', 'answer', 'update', 'poll', 'temperature', 'idle', 'time', 'again'] as const;

export type EventKind = (typeof eventKinds)[number];

/** With a thermometer or without one: where there is none, none is read. */
export interface Variant {
  readonly thermometer: boolean;
  readonly events: ReadonlyMap<EventKind, Spread>;
  /** Of the core that ships. */
  readonly board: BoardCounts;
}

/** Of a marked answer's instructions, how many more or less there may be than without marks. */
const marksShare = 0.01;

/** Counts everything, with a thermometer and without. `note` is told what is under way. */
export async function countCore({ servers, polls, seed }: Options, note: (text: string) => void): Promise<Variant[]> {
  note('core');
  const { path } = await buildCore({ servers, update: false });
  const core = loadCoreModule(path);
  const folder = mkdtempSync(join(tmpdir(), 'mt-'));
  try {
    const markedPath = join(folder, 'core.wasm');
    note('core with marks');
    await buildMarkedCore(servers, markedPath);
    const variants: Variant[] = [];
    for (const thermometer of [true, false]) {
      const recording = makeRecording({ core, servers, polls, seed, thermometer });
      const which = thermometer ? 'with a thermometer' : 'without one';
      note(`board ${which}`);
      const board = await countOnBoard(path, recording, false);
      note(`board ${which}, with marks`);
      const marked = await countOnBoard(markedPath, recording, true);
      variants.push({ thermometer, events: putTogether(recording, board, marked), board });
    }
    note('');
    return variants;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function putTogether(recording: Recording, shipped: BoardCounts, marked: BoardCounts): Variant['events'] {
  const found: Record<EventKind, number[]> = {
    request: [],
    answer: [],
    update: [],
    poll: [],
    temperature: [],
    idle: [],
    time: [],
    again: [],
  };
  // Of those whose request was built and left in one event.
  const polls = new Map<number, number>();
  let pieces = 0;
  for (const [index, { kind, poll }] of recording.labels) {
    const { instructions } = shipped.events.get(index)!;
    const before = poll === undefined || kind === 'request' ? 0 : polls.get(poll);
    if (poll !== undefined && before !== undefined) polls.set(poll, before + instructions);
    if (kind === 'piece') pieces += instructions;
    else if (kind !== 'answer' && kind !== 'rest') found[kind].push(instructions);
    if (kind !== 'answer') continue;
    found.answer.push(pieces + instructions);
    pieces = 0;
    const beside = marked.events.get(index)!;
    if (Math.abs(beside.instructions - instructions) > instructions * marksShare) {
      throw new Error(`an answer takes ${instructions} instructions, with marks ${beside.instructions}`);
    }
    if (beside.update === 0) throw new Error('an answer was accepted without an update of the clock');
    found.update.push(beside.update);
  }
  found.poll.push(...polls.values());
  return new Map(
    eventKinds.filter((kind) => found[kind].length > 0).map((kind) => [kind, spread(found[kind])] as const),
  );
}

function spread(counts: readonly number[]): Spread {
  return { times: counts.length, median: Math.round(median(counts)), most: Math.max(...counts) };
}
