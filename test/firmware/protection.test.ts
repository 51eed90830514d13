// Memory protection of the boards that have it: what it forbids ends in a restart that reports a fault of the processor.
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { ResetCause, TrapCode } from '../../as/abi/codes.ts';
import { type Board, listBoards, loadBoard } from '../../host/build/index.ts';
import { runBare } from './bare.ts';
import { temporaryFolder } from './echo-meter.ts';

const temporary = temporaryFolder();
afterAll(() => temporary.remove());

const notRefused = 'not refused';
const tries = [
  'code written',
  'data executed',
  'stack executed',
  'stack overrun',
  'null read',
  'null written',
] as const;
type Outcomes = Record<(typeof tries)[number], number | typeof notRefused>;

/** Runs faults.c and returns how each of its tries was reported. */
async function runFaults(board: Board, name: string): Promise<Outcomes> {
  const words = 1 + 2 * tries.length;
  const program = { sources: ['test/firmware/protection/faults.c'], log: 'faults_log', words };
  const [, ...noted] = await runBare(board, join(temporary.path, name), program, ([done]) => done === tries.length);
  const reported = tries.map((what, index) => {
    const refused = noted[index] === ResetCause.Trap;
    return [what, refused ? noted[index + tries.length]! - TrapCode.Fault : notRefused];
  });
  return Object.fromEntries(reported) as Outcomes;
}

/** Numbers of the exceptions. */
const expected: Record<NonNullable<Board['protection']>, Outcomes> = {
  // RISC-V, mcause: access fault of an instruction, a load, a store.
  pmp: {
    'code written': 7,
    'data executed': 1,
    'stack executed': 1,
    'stack overrun': 7,
    'null read': 5,
    'null written': 7,
  },
};

describe('memory protection', () => {
  const boards = listBoards()
    .map(({ name }) => loadBoard(name))
    .filter(({ protection, emulation }) => protection !== undefined && emulation !== undefined);

  it.each(boards.map((board) => [board.name, board] as const))('of %s refuses what it must', async (name, board) => {
    expect(await runFaults(board, name)).toEqual(expected[board.protection!]);
    const { protection: _, ...bare } = board;
    const without = await runFaults(bare, `${name}-without`);
    expect(without).toMatchObject({ 'data executed': notRefused, 'stack executed': notRefused });
  });
});
