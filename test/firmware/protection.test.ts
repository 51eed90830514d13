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
  'behind RAM read',
  'behind RAM written',
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

const always = (exception: number) => Object.fromEntries(tries.map((what) => [what, exception])) as Outcomes;

/** Numbers of the exceptions. */
const expected: Record<NonNullable<Board['protection']>, Outcomes> = {
  // RISC-V, mcause: access fault of an instruction, a load, a store.
  pmp: {
    'code written': 7,
    'data executed': 1,
    'stack executed': 1,
    'stack overrun': 7,
    'behind RAM read': 5,
    'behind RAM written': 7,
    'null read': 5,
    'null written': 7,
  },
  // Cortex-M: MemManage.
  pmsav7: always(4),
  pmsav8: always(4),
};

/** What the same board, without its protection, does not refuse: there is memory in each of these places. */
const allowedWithout: Record<NonNullable<Board['protection']>, readonly (keyof Outcomes)[]> = {
  pmp: ['data executed', 'stack executed', 'behind RAM read', 'behind RAM written'],
  pmsav7: tries.filter((what) => what !== 'stack overrun'),
  pmsav8: tries.filter((what) => what !== 'stack overrun'),
};

// Less RAM than the emulator has, so that there is some behind it: a Cortex-M's regions have parts.
function withLessRam(board: Board): Board {
  const { flash, ram, ...rest } = board.memory;
  const bytes = board.protection === 'pmp' ? ram.bytes : (ram.bytes * 3) / 4;
  return { ...board, memory: { ...rest, flash, ram: { ...ram, bytes } } };
}

describe('memory protection', () => {
  const boards = listBoards()
    .map(({ name }) => loadBoard(name))
    .filter(({ protection, emulation }) => protection !== undefined && emulation !== undefined);

  it.each(boards.map((board) => [board.name, board] as const))('of %s refuses what it must', async (name, board) => {
    const less = withLessRam(board);
    expect(await runFaults(less, name)).toEqual(expected[board.protection!]);
    const { protection: _, ...bare } = less;
    const without = await runFaults(bare, `${name}-without`);
    const notRefusedOf = allowedWithout[board.protection!].map((what) => [what, notRefused]);
    expect(without).toMatchObject(Object.fromEntries(notRefusedOf));
    // Nor is an overrun of the stack a matter of memory protection there.
    if (board.protection !== 'pmp') expect(without['stack overrun']).not.toBe(4);
  });

  it('is there on every Cortex-M that has it', () => {
    const capable = listBoards()
      .map(({ name }) => loadBoard(name))
      .filter(({ architecture }) => /^cortex-m[34]/.test(architecture));
    expect(capable.filter(({ protection }) => protection === undefined)).toEqual([]);
  });
});
