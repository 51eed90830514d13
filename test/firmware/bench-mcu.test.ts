// `npm run bench:mcu`: that its counts are exact, and are those of the code that ships.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { type BoardCounts, boardName, countOnBoard } from '../../bench/mcu-board.ts';
import { markUpdate } from '../../bench/mcu-core.ts';
import { countCore, type Spread, type Variant } from '../../bench/mcu-counts.ts';
import { makeRecording, type Recording } from '../../bench/mcu-recording.ts';
import { buildFirmware } from '../../host/build/index.ts';
import { loadCoreModule } from '../../host/core/core.ts';
import { buildCore } from '../../scripts/build-core.mjs';
import { root } from '../../scripts/lib/project.mjs';

const options = { servers: 1, polls: 10, seed: 7 };

let corePath: string;
let recording: Recording;
let counts: Variant[];
let again: BoardCounts;
beforeAll(async () => {
  counts = await countCore(options, () => {});
  corePath = (await buildCore({ servers: 1 })).path;
  recording = makeRecording({ ...options, thermometer: true, core: loadCoreModule(corePath) });
  again = await countOnBoard(corePath, recording, false);
}, 300_000);

describe('counts of instructions', () => {
  it('are the same in two runs, of each cipher and each event', () => {
    expect(again.ciphers.size).toBe(2);
    expect(again.events.size).toBe(recording.labels.size);
    expect(again).toEqual(counts[0]!.board);
  });

  it('are those of the object code that the firmware links', async () => {
    const { elfPath } = await buildFirmware({ board: boardName });
    const object = readFileSync(join(dirname(elfPath), 'obj', 'core', 'core.o'));
    expect(again.objectSha256).toBe(createHash('sha256').update(object).digest('hex'));
  }, 120_000);

  it('are those of the decisions that were recorded: others are noticed', async () => {
    const other = { ...recording, checksum: recording.checksum ^ 1 };
    await expect(countOnBoard(corePath, other, false)).rejects.toThrow('not the same decisions');
  }, 120_000);

  it.each([true, false])('has an update of the clock in each answer (thermometer: %s)', (thermometer) => {
    const { events } = counts.find((one) => one.thermometer === thermometer)!;
    const [request, answer, update, poll] = (['request', 'answer', 'update', 'poll'] as const).map((kind) => {
      return events.get(kind)!;
    }) as [Spread, Spread, Spread, Spread];
    expect([answer.times, update.times]).toEqual([10, 10]);
    expect(poll.times).toBe(request.times);
    expect(update.median).toBeLessThan(answer.median);
    expect(request.median + answer.median).toBeLessThan(poll.median);
    expect(events.has('temperature')).toBe(thermometer);
    // What is promised: docs/testing.md.
    expect(update.most).toBeLessThanOrEqual(100_000);
  });
});

describe('marks around an update', () => {
  const text = readFileSync(join(root, 'as', 'meter', 'poll.ts'), 'utf8');

  it('are added to the source as it is', () => {
    expect(markUpdate(text)).toMatch(/benchMark\(1\);\n *const verdict = agreeTake\([^;]*\);\n *benchMark\(0\);/);
  });

  it('are not put anywhere where the call is not, or is twice', () => {
    const call = /^ *const verdict = agreeTake\([^;]*\);$/m;
    expect(() => markUpdate(text.replace(call, ''))).toThrow('agreeTake 0 times');
    expect(() => markUpdate(text.replace(call, (found) => `${found}\n${found}`))).toThrow('agreeTake 2 times');
  });
});
