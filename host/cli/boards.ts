// metertime boards: what firmware can be built for, and what it may use there.
import { Command } from 'commander';
import { serversMax } from '../../scripts/build-core.mjs';
import type { Board } from '../build/board.ts';
import { type MeterSettings, SettingsBlockError } from '../provision/settings-block.ts';
import { newTariffStorageBytes } from '../provision/storage-file.ts';
import { type Context, withHelp } from './context.ts';
import { ExitCode } from './exit-codes.ts';
import { formatPairs, formatTable, tableColumns } from './table.ts';

/** The meter in software: no firmware, the same core. */
export const softwareBoard = 'software';

/** With room for the reserves of four servers, tariffs, and records of 35 days. */
const softwareStorageBytes = newTariffStorageBytes;

/** Size of a board's storage in bytes. */
export async function boardStorageBytes(name: string): Promise<number> {
  if (name === softwareBoard) return softwareStorageBytes;
  const { loadBoard } = await import('../build/board.ts');
  return loadBoard(name).storage.bytes;
}

/** Time servers that the meters of a board can use at once. */
async function boardServers(name: string): Promise<number> {
  if (name === softwareBoard) return serversMax;
  const { loadBoard } = await import('../build/board.ts');
  return loadBoard(name).servers;
}

/** Refuses settings with which a meter of this board would never have a time. @throws SettingsBlockError */
export async function checkAgreement(board: string, { agreement }: Pick<MeterSettings, 'agreement'>): Promise<void> {
  if (typeof agreement !== 'number') return;
  const servers = await boardServers(board);
  if (agreement <= servers) return;
  throw new SettingsBlockError(
    'settings-value',
    `agreement: expected at most ${servers}, as many servers as ${board} asks at once, came ${agreement}; metertime boards lists how many each board asks`,
    ['agreement'],
  );
}

/** Refuses settings that the software of this board would not take. @throws SettingsBlockError */
export async function checkTariffs(board: string, settings: MeterSettings): Promise<void> {
  const [need] = (['tariff', 'calibration', 'registers'] as const).filter((name) => settings[name] !== undefined);
  if (need === undefined || (await boardServers(board)) === serversMax) return;
  const message = `${need}: expected none, as the software of ${board} has no tariffs and records; boards for ${serversMax} servers have them (metertime boards)`;
  throw new SettingsBlockError('settings-value', message, [need]);
}

interface Row {
  readonly name: string;
  readonly description: string;
  readonly run: 'emulator' | 'this process' | 'hardware only';
  readonly board?: Board;
}

export function boardsCommand(context: Context): Command {
  const command = new Command('boards')
    .summary('list the boards that there is firmware for')
    .description('Lists the boards that there is firmware for, with their budgets, and how `metertime run` runs them.')
    .option('--json', 'print the list as JSON')
    .action((options: { json?: boolean }) => listAll(context, options.json === true));
  return withHelp(command, {
    examples: [
      ['boards', 'the list'],
      ['build --board mps2-an385', 'builds firmware for one'],
      ['run --board mps2-an385 --server time.example', 'builds it, starts the emulator and watches'],
    ],
    exitCodes: [ExitCode.Ok, ExitCode.Failed],
  });
}

async function listAll({ terminal }: Context, json: boolean): Promise<void> {
  const { listBoards, loadBoard } = await import('../build/board.ts');
  const { BuildError } = await import('../build/errors.ts');
  const rows: Row[] = [
    { name: softwareBoard, description: 'A meter in software: the core in node', run: 'this process' },
  ];
  try {
    for (const { name, description, emulated } of listBoards()) {
      rows.push({ name, description, run: emulated ? 'emulator' : 'hardware only', board: loadBoard(name) });
    }
  } catch (error) {
    if (!(error instanceof BuildError) || error.code !== 'checkout-missing') throw error;
    terminal.note('There is no checkout of metertime here: boards with firmware are not listed.');
  }
  if (json) {
    terminal.printJson(
      rows.map(({ name, description, run, board }) => ({
        name,
        description,
        run,
        ...(board === undefined
          ? { servers: serversMax }
          : {
              chip: board.chip,
              clockHz: board.clockHz,
              servers: board.servers,
              budgets: board.budgets,
              storageBytes: board.storage.bytes,
              maxFrequencyErrorPpb: board.maxFrequencyErrorPpb,
            }),
      })),
    );
    return;
  }
  const kib = (bytes: number | undefined): string => (bytes === undefined ? '-' : `${bytes / 1024} KiB`);
  terminal.print(
    ...formatTable(
      [
        { heading: 'Board' },
        { heading: 'Flash', align: 'right' },
        { heading: 'RAM', align: 'right' },
        { heading: 'Servers', align: 'right' },
        { heading: 'Oscillator', align: 'right' },
        { heading: 'Runs in' },
      ],
      rows.map(({ name, run, board }) => [
        name,
        kib(board?.budgets.flashBytes),
        kib(board?.budgets.ramBytes),
        String(board?.servers ?? serversMax),
        `±${(board?.maxFrequencyErrorPpb ?? 100_000) / 1000} ppm`,
        run,
      ]),
    ),
    '',
    ...formatPairs(
      rows.map(({ name, description }) => [name, description]),
      tableColumns(terminal),
    ),
  );
}
