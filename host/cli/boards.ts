// metertime boards: what firmware can be built for, and what it may use there.
import { Command, Option } from 'commander';
import { serversMax } from '../../scripts/build-core.mjs';
import type { Board } from '../build/board.ts';
import { type MeterSettings, SettingsBlockError } from '../provision/settings-block.ts';
import { newTariffStorageBytes, storageOptions } from '../provision/storage-file.ts';
import { formatPairs, formatTable, tableColumns } from '../text/table.ts';
import { type Context, withHelp } from './context.ts';
import { usageError } from './errors.ts';
import { ExitCode } from './exit-codes.ts';

/** The meter in software: no firmware, the same core. */
export const softwareBoard = 'software';

/** With room for the reserves of four servers, tariffs, and records of 35 days. */
const softwareStorageBytes = newTariffStorageBytes;

/** What a new storage of a board's meter is. */
export async function boardStorage(name: string): Promise<ReturnType<typeof storageOptions>> {
  if (name === softwareBoard) return { bytes: softwareStorageBytes };
  const { loadBoard } = await import('../build/board.ts');
  return storageOptions(loadBoard(name).storage);
}

/** Time servers that the meters of a board can use at once. */
async function boardServers(name: string): Promise<number> {
  if (name === softwareBoard) return serversMax;
  const { loadBoard } = await import('../build/board.ts');
  return loadBoard(name).servers;
}

/** Refuses settings with which a meter of this board would never have a time. @throws SettingsBlockError */
export async function checkAgreement(board: string, { agreement }: Pick<MeterSettings, 'agreement'>): Promise<void> {
  if (typeof agreement === 'number') checkAgreementOf(board, await boardServers(board), agreement);
}

/** The same, where it is known how many servers it asks at once. @throws SettingsBlockError */
export function checkAgreementOf(board: string, servers: number, agreement: MeterSettings['agreement']): void {
  if (typeof agreement !== 'number' || agreement <= servers) return;
  throw new SettingsBlockError(
    'settings-value',
    `agreement: expected at most ${servers}, as many servers as ${board} asks at once, came ${agreement}; metertime boards lists how many each board asks`,
    ['agreement'],
  );
}

/** Refuses settings that the software of this board would not take. @throws SettingsBlockError */
export async function checkTariffs(board: string, settings: MeterSettings): Promise<void> {
  checkTariffsOf(board, await boardServers(board), settings);
}

/** The same, where it is known how many servers it asks at once. @throws SettingsBlockError */
export function checkTariffsOf(board: string, servers: number, settings: MeterSettings): void {
  const [need] = (['tariff', 'calibration', 'registers'] as const).filter((name) => settings[name] !== undefined);
  if (need === undefined || servers === serversMax) return;
  const message = `${need}: expected none, as the software of ${board} has no tariffs and records; boards for ${serversMax} servers have them (metertime boards)`;
  throw new SettingsBlockError('settings-value', message, [need]);
}

interface Row {
  readonly name: string;
  readonly description: string;
  readonly run: 'emulator' | 'this process' | 'a process' | 'hardware only';
  readonly board?: Board;
}

export function boardsCommand(context: Context): Command {
  const command = new Command('boards')
    .summary('list the boards that there is firmware for, or start a new one')
    .description(
      'Lists the boards that there is firmware for, with their budgets and parts, and how `metertime run` runs them. With a name, all that its data say of one board.',
    )
    .argument('[board]', 'show this one')
    .option('--json', 'print it as JSON')
    .action((name: string | undefined, options: { json?: boolean }) =>
      name === undefined ? listAll(context, options.json === true) : showOne(context, name, options.json === true),
    );
  command.addCommand(addCommand(context));
  return withHelp(command, {
    examples: [
      ['boards', 'the list'],
      ['boards mps2-an385', 'what one has'],
      ['boards add wallbox-7 --like lm3s6965evb', 'starts a new one'],
      ['build --board mps2-an385', 'builds firmware for one'],
    ],
    exitCodes: [ExitCode.Ok, ExitCode.Failed, ExitCode.Usage],
  });
}

function addCommand(context: Context): Command {
  const command = new Command('add')
    .summary('start a new board')
    .description(
      'Writes boards/NAME/board.json in the checkout: a board like another one, or one with a chip that there are data for. It is valid as it stands; what it supposes is told. docs/boards.md says what each key means, and what a new chip or architecture needs.',
    )
    .argument('<name>', 'what to call it: up to 31 of a-z, 0-9 and -')
    .addOption(new Option('--like <board>', 'inherit from this board').conflicts('chip'))
    .option('--chip <chip>', "take this chip's devices (a file in boards/_chip, without .json)")
    .option('--json', 'print what was written as JSON')
    .action(async (name: string, { like, chip, json }: { like?: string; chip?: string; json?: boolean }) => {
      const { addBoard, listBoards, listChips } = await import('../build/index.ts');
      if (like === undefined && chip === undefined) {
        const names = listBoards().map((board) => board.name);
        throw usageError(
          'expected --like BOARD or --chip CHIP',
          `Boards: ${names.join(', ')}. Chips: ${listChips().join(', ')}.`,
        );
      }
      const { file, board, supposed } = addBoard(name, like === undefined ? { chip: chip! } : { like });
      if (json === true) {
        context.terminal.printJson({ file, board, supposed });
        return;
      }
      context.terminal.print(
        `${file} is written. Check what it supposes:`,
        ...supposed.map((text) => `  - ${text}`),
        '',
        `Then: metertime build --board ${name}`,
      );
    });
  return withHelp(command, {
    examples: [
      ['boards add wallbox-7 --like lm3s6965evb', 'the same board with other parts'],
      ['boards add wallbox-7 --chip an385', 'another board with that chip'],
    ],
    exitCodes: [ExitCode.Ok, ExitCode.Failed, ExitCode.Usage],
  });
}

const softwareRow: Row = {
  name: softwareBoard,
  description: 'A meter in software: the core in node',
  run: 'this process',
};

function runs({ process, emulation }: Board): Row['run'] {
  if (process !== undefined) return 'a process';
  return emulation === undefined ? 'hardware only' : 'emulator';
}

function jsonOf({ name, description, run, board }: Row): object {
  const about = { name, description, run };
  if (board === undefined) return { ...about, servers: serversMax };
  const { chip, architecture, clockHz, servers, budgets, storage, maxFrequencyErrorPpb } = board;
  return {
    ...about,
    chip,
    architecture,
    clockHz,
    servers,
    budgets,
    storageBytes: storage.bytes,
    clock: board.rtc?.driver ?? null,
    thermometer: board.thermometer?.driver ?? null,
    watchdog: board.watchdog !== undefined,
    entropy: board.entropy !== undefined,
    maxFrequencyErrorPpb,
  };
}

async function showOne({ terminal }: Context, name: string, json: boolean): Promise<void> {
  if (name === softwareBoard) {
    if (json) terminal.printJson(jsonOf(softwareRow));
    else terminal.print(name, softwareRow.description);
    return;
  }
  const { boardParts, loadBoard } = await import('../build/index.ts');
  const board = loadBoard(name);
  const { description } = board;
  if (json) {
    terminal.printJson({
      ...jsonOf({ name, description, run: runs(board), board }),
      parts: Object.fromEntries(boardParts(board)),
    });
    return;
  }
  terminal.print(name, description, '', ...formatPairs(boardParts(board), tableColumns(terminal)));
}

async function listAll({ terminal }: Context, json: boolean): Promise<void> {
  const { boardFeatures, BuildError, listBoards, loadBoard } = await import('../build/index.ts');
  const rows: Row[] = [softwareRow];
  try {
    for (const { name, description } of listBoards()) {
      const board = loadBoard(name);
      rows.push({ name, description, run: runs(board), board });
    }
  } catch (error) {
    if (!(error instanceof BuildError) || error.code !== 'checkout-missing') throw error;
    terminal.note('There is no checkout of metertime here: boards with firmware are not listed.');
  }
  if (json) {
    terminal.printJson(rows.map(jsonOf));
    return;
  }
  const kib = (bytes: number | undefined): string => (bytes === undefined ? '-' : `${bytes / 1024} KiB`);
  const parts = ({ board }: Row): string =>
    board === undefined ? 'clock, storage, entropy' : boardFeatures(board).join(', ');
  terminal.print(
    ...formatTable(
      [
        { heading: 'Board' },
        { heading: 'Processor' },
        { heading: 'Flash', align: 'right' },
        { heading: 'RAM', align: 'right' },
        { heading: 'Servers', align: 'right' },
        { heading: 'Oscillator', align: 'right' },
        { heading: 'Runs in' },
      ],
      rows.map(({ name, run, board }) => [
        name,
        board?.architecture ?? '-',
        kib(board?.budgets.flashBytes),
        kib(board?.budgets.ramBytes),
        String(board?.servers ?? serversMax),
        `±${(board?.maxFrequencyErrorPpb ?? 100_000) / 1000} ppm`,
        run,
      ]),
    ),
    '',
    ...formatPairs(
      rows.map((row) => [row.name, `${row.description} (${parts(row)})`]),
      tableColumns(terminal),
    ),
  );
}
