// metertime flash: firmware into a board's flash, with the programs of the field.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command, Option } from 'commander';
import type { Board } from '../build/board.ts';
import type { BuildReport } from '../build/firmware.ts';
import type { FlashMethod } from '../build/flash-methods.ts';
import type { HostPort } from '../provision/host-port.ts';
import type { MeterSettings } from '../provision/settings-block.ts';
import { type Context, collect, withHelp } from './context.ts';
import { CliError, usageError } from './errors.ts';
import { ExitCode } from './exit-codes.ts';
import { monitorLink } from './monitor-link.ts';
import { addServer, wholeSettings } from './provision.ts';
import { openMeterLink, provisionAtLink } from './provision-link.ts';

const methods = ['openocd', 'st-flash', 'dfu-util', 'stm32flash', 'gdb', 'emulator'] as const;

interface Options {
  readonly board: string;
  readonly port?: string;
  readonly method?: (typeof methods)[number];
  readonly monitor?: boolean;
  readonly link?: string;
  readonly dryRun?: boolean;
  readonly settings?: string;
  readonly id?: string;
  readonly server?: HostPort[];
  readonly keys?: string;
  readonly storage?: string;
  readonly ca: string[];
  readonly json?: boolean;
}

export function flashCommand(context: Context): Command {
  const command = new Command('flash')
    .summary('write firmware into a board')
    .description(
      "Builds the firmware of a board where that is not done yet, writes it into the board's flash with the first of the methods that its data name, verifies it and starts it. The device is found by its USB ids; where there is none, or more than one, it is said what is there. A board that is emulated only gets its image from gdb too: its emulator starts with erased flash, and runs for as long as it is watched. With an id or settings, the meter is provisioned over its link as soon as it runs. Needs a checkout of metertime.",
    )
    .requiredOption('-b, --board <board>', 'the board; metertime boards lists them')
    .option(
      '-p, --port <port>',
      'the serial port (stm32flash), where gdb finds the probe (gdb), or the serial number of the USB device (the others)',
    )
    .addOption(
      new Option('--method <method>', 'one of the methods that the board has, or its emulator').choices(methods),
    )
    .option('--monitor', 'then show what the meter reports, until Ctrl-C')
    .option(
      '-s, --settings <file>',
      'then provision the meter, if it has no settings: YAML or JSON (docs/meter-settings.md)',
    )
    .option('-i, --id <id>', 'the same: id of the meter')
    .option('-S, --server <host[:port]>', 'the same: NTS-KE server; repeat for up to four', addServer)
    .option('--keys <file>', 'the same: where its keys go, which nobody can ask it for')
    .option('--storage <file>', "the emulated meter's storage, kept (otherwise: lost at the end)")
    .option('--ca <file>', "further certificate authorities of the meter's time servers, for --monitor", collect, [])
    .option('--link <link>', "the meter's link for --monitor (default: the serial port found with the device)")
    .option('--dry-run', 'build, find the device and print what would be run; no device is touched')
    .option('--json', 'print what was done as one JSON object')
    .action((options: Options) => flash(context, options));
  return withHelp(command, {
    examples: [
      ['flash --board netduinoplus2', 'through the probe or adapter that is plugged in'],
      ['flash --board netduinoplus2 --method stm32flash --port /dev/ttyUSB0', "over the chip's serial boot loader"],
      ['flash --board netduinoplus2 --monitor', 'and watch it'],
      ['flash -b netduinoplus2 -s meter-1.yaml --keys meter-1.json --monitor', 'provision it first'],
      [
        'flash -b lm3s6965evb --method emulator -i meter-1 -S time.example --keys meter-1.json --monitor',
        'all of it in an emulator',
      ],
    ],
    exitCodes: [ExitCode.Ok, ExitCode.Failed, ExitCode.Usage, ExitCode.Interrupted],
  });
}

async function flash(context: Context, options: Options): Promise<void> {
  const { terminal, signal } = context;
  const { buildFirmware, loadBoard } = await import('../build/index.ts');
  const { findDevice } = await import('../flash/find-device.ts');
  const { FlashError } = await import('../flash/flash-error.ts');
  const { flashBoard, flashSteps } = await import('../flash/flash.ts');
  const board = loadBoard(options.board);
  const method = chooseMethod(board, options.method);
  const settings = await settingsToGive(board, options);
  if (method === 'emulator') return await flashEmulated(context, board, settings, options);
  if (options.storage !== undefined) throw usageError('--storage is that of an emulated meter', 'Leave it out.');
  // Before the build: it takes longer than to find that nothing is plugged in.
  const target = (() => {
    try {
      return findDevice(method, options.port);
    } catch (error) {
      if (!(error instanceof FlashError) || !runsInQemu(board)) throw error;
      throw new CliError(error.code, error.message, { cause: error, hint: 'Without a board: --method emulator' });
    }
  })();
  const link =
    options.link ?? (target.port === undefined ? undefined : `serial:${target.port}?baud=${board.link.baud}`);
  if ((options.monitor === true || settings !== undefined) && link === undefined) {
    throw usageError('the device that was found has no serial port', 'Name the link: --link serial:/dev/ttyUSB0');
  }
  const report = await build(context, board, buildFirmware);
  const image = imageOf(board, report);
  if (options.dryRun === true) {
    const commands = flashSteps(method, target, image, '/tmp').map(({ tool, args }) => [tool, ...args]);
    if (options.json === true) terminal.printJson({ method: method.method, device: target.what, commands });
    else terminal.print(`Through ${target.what}:`, ...commands.map((words) => `  ${words.map(quote).join(' ')}`));
    return;
  }
  const startMs = performance.now();
  let progress = 'starting';
  await terminal.during(
    () => `${board.name} through ${target.what}: ${progress}`,
    () =>
      flashBoard(method, target, image, (text) => {
        progress = text;
      }),
  );
  tell(context, options, board, report, method.method, target.what, performance.now() - startMs);
  if (settings !== undefined) await provision(context, link!, settings, options);
  if (options.monitor === true && !signal.aborted) {
    await monitorLink(context, link!, {
      ca: options.ca,
      keys: linkKeysFiles(settings, options),
      json: options.json === true,
    });
  }
}

/** The emulator runs until it has done what is asked for. */
async function flashEmulated(
  context: Context,
  board: Board,
  settings: MeterSettings | undefined,
  options: Options,
): Promise<void> {
  const { terminal, signal } = context;
  const { buildFirmware } = await import('../build/index.ts');
  const { emulatorName, flashEmulator } = await import('../flash/flash-emulator.ts');
  if (options.dryRun === true) throw usageError('--dry-run is for boards that are plugged in', 'Leave it out.');
  const report = await build(context, board, buildFirmware);
  const folder = mkdtempSync(join(tmpdir(), 'metertime-'));
  try {
    const link = join(folder, 'link');
    const startMs = performance.now();
    let progress = 'starting';
    const emulator = await terminal.during(
      () => `${board.name}: ${progress}`,
      () =>
        flashEmulator(board, imageOf(board, report), {
          link,
          storageFile: options.storage ?? join(folder, 'storage'),
          onProgress: (text) => {
            progress = text;
          },
        }),
    );
    try {
      tell(context, options, board, report, 'gdb', emulatorName(board), performance.now() - startMs);
      if (settings !== undefined) await provision(context, `unix:${link}`, settings, options);
      if (options.monitor !== true) terminal.note('The emulator ends with this command; --monitor watches the meter.');
      else if (!signal.aborted)
        await monitorLink(context, `unix:${link}`, {
          ca: options.ca,
          keys: linkKeysFiles(settings, options),
          json: options.json === true,
        });
    } finally {
      await emulator.stop();
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The file with the link key, where the meter was provisioned to seal its link. */
function linkKeysFiles(settings: MeterSettings | undefined, { keys }: Options): string[] {
  return settings?.sealedLink === true && keys !== undefined ? [keys] : [];
}

function build(
  { terminal, signal }: Context,
  board: Board,
  buildFirmware: (options: {
    board: string;
    signal: AbortSignal;
    onStep: (text: string) => void;
  }) => Promise<BuildReport>,
): Promise<BuildReport> {
  let step = 'preparing';
  return terminal.during(
    () => `building ${board.name}: ${step}`,
    () =>
      buildFirmware({
        board: board.name,
        signal,
        onStep: (text) => {
          step = text;
        },
      }),
  );
}

// What has a way to be flashed has such a file.
const imageOf = (board: Board, { elfPath, binPath }: BuildReport) => ({
  elfPath,
  binPath: binPath!,
  origin: board.memory.flash.origin,
});

function tell(
  { terminal }: Context,
  options: Options,
  board: Board,
  { imageBytes, imageSha256 }: BuildReport,
  method: string,
  device: string,
  ms: number,
): void {
  if (options.json === true) {
    terminal.printJson({ board: board.name, method, device, imageBytes, imageSha256 }, options.monitor ? 0 : 2);
    return;
  }
  terminal.print(
    `${board.name}: ${imageBytes.toLocaleString('en-US')} bytes written and verified in ${(ms / 1000).toFixed(1)} s (${method}, ${device})`,
    `Image sha256 ${imageSha256}`,
  );
}

/** What the meter is to be provisioned with; undefined where nothing is said of it. */
async function settingsToGive(board: Board, options: Options): Promise<MeterSettings | undefined> {
  const { settings, id, server, keys } = options;
  if (settings === undefined && id === undefined && server === undefined) {
    if (keys !== undefined)
      throw usageError('--keys: no meter is provisioned', 'Give --settings, or --id and --server.');
    return undefined;
  }
  if (keys === undefined) {
    throw usageError('nobody would ever know the keys of this meter', 'Name a file for them with --keys FILE.');
  }
  return await wholeSettings(
    {
      board: board.name,
      ...(settings === undefined ? {} : { settings }),
      ...(id === undefined ? {} : { id }),
      ...(server === undefined ? {} : { server }),
    },
    undefined,
  );
}

async function provision(context: Context, link: string, settings: MeterSettings, options: Options): Promise<void> {
  const { terminal, signal } = context;
  let step = '';
  const { before } = await terminal.during(
    () => `${settings.id}: ${step}`,
    () =>
      provisionAtLink(openMeterLink(link), settings, {
        files: { keys: options.keys },
        ...{ force: false, board: options.board, signal, gatewayFollows: options.monitor === true },
        onStep: (text) => {
          step = text;
        },
      }),
  );
  if (options.json === true) return;
  terminal.print(
    before
      ? `Meter ${settings.id} has its settings already; they stay.`
      : `Meter ${settings.id} has its settings; its keys are in ${options.keys}`,
  );
}

function chooseMethod(board: Board, wanted: string | undefined): FlashMethod | 'emulator' {
  const names: string[] = board.flash.map(({ method }) => method);
  if (runsInQemu(board)) names.push('emulator');
  const [first] = names;
  if (board.process !== undefined) {
    throw usageError(
      `board ${board.name} is a process of this machine: there is nothing to flash`,
      `metertime run --board ${board.name} starts it.`,
    );
  }
  if (first === undefined) {
    throw usageError(`board ${board.name} names no way to flash it`, 'docs/boards.md says what "flash" takes.');
  }
  const name = wanted ?? first;
  if (name === 'emulator' && runsInQemu(board)) return 'emulator';
  const method = board.flash.find((each) => each.method === name);
  if (method !== undefined) return method;
  throw usageError(`board ${board.name} is not flashed by ${name}`, `It has: ${names.join(', ')}.`);
}

const runsInQemu = ({ emulation }: Board): boolean => emulation?.program.startsWith('qemu-') === true;

const quote = (word: string): string => (/^[\w./:=,@%+-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);
