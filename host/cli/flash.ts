// metertime flash: firmware into a board's flash, with the programs of the field.
import { Command, Option } from 'commander';
import type { Board } from '../build/board.ts';
import type { FlashMethod } from '../build/flash-methods.ts';
import { type Context, withHelp } from './context.ts';
import { usageError } from './errors.ts';
import { ExitCode } from './exit-codes.ts';
import { monitorLink } from './monitor-link.ts';

const methods = ['openocd', 'st-flash', 'dfu-util', 'stm32flash'] as const;

interface Options {
  readonly board: string;
  readonly port?: string;
  readonly method?: (typeof methods)[number];
  readonly monitor?: boolean;
  readonly link?: string;
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

export function flashCommand(context: Context): Command {
  const command = new Command('flash')
    .summary('write firmware into a board')
    .description(
      "Builds the firmware of a board where that is not done yet, writes it into the board's flash with the first of the methods that its data name, verifies it and starts it. The device is found by its USB ids; where there is none, or more than one, it is said what is there. Needs a checkout of metertime.",
    )
    .requiredOption('-b, --board <board>', 'the board; metertime boards lists them')
    .option('-p, --port <port>', 'the serial port (stm32flash), or the serial number of the USB device (the others)')
    .addOption(new Option('--method <method>', 'one of the methods that the board has').choices(methods))
    .option('--monitor', 'then show what the meter reports, until Ctrl-C')
    .option('--link <link>', "the meter's link for --monitor (default: the serial port found with the device)")
    .option('--dry-run', 'build, find the device and print what would be run; no device is touched')
    .option('--json', 'print what was done as one JSON object')
    .action((options: Options) => flash(context, options));
  return withHelp(command, {
    examples: [
      ['flash --board netduinoplus2', 'through the probe or adapter that is plugged in'],
      ['flash --board netduinoplus2 --method stm32flash --port /dev/ttyUSB0', "over the chip's serial boot loader"],
      ['flash --board netduinoplus2 --monitor', 'and watch it'],
    ],
    exitCodes: [ExitCode.Ok, ExitCode.Failed, ExitCode.Usage, ExitCode.Interrupted],
  });
}

async function flash(context: Context, options: Options): Promise<void> {
  const { terminal, signal } = context;
  const { buildFirmware, loadBoard } = await import('../build/index.ts');
  const { findDevice } = await import('../flash/find-device.ts');
  const { flashBoard, flashSteps } = await import('../flash/flash.ts');
  const board = loadBoard(options.board);
  const method = chooseMethod(board, options.method);
  // Before the build: it takes longer than to find that nothing is plugged in.
  const target = findDevice(method, options.port);
  const link =
    options.link ?? (target.port === undefined ? undefined : `serial:${target.port}?baud=${board.link.baud}`);
  if (options.monitor === true && link === undefined) {
    throw usageError(
      '--monitor: the device that was found has no serial port',
      'Name the link: --link serial:/dev/ttyUSB0',
    );
  }
  let step = 'preparing';
  const onStep = (text: string) => {
    step = text;
  };
  const report = await terminal.during(
    () => `building ${board.name}: ${step}`,
    () => buildFirmware({ board: board.name, signal, onStep }),
  );
  const { elfPath, binPath, imageSha256, imageBytes } = report;
  // What has a way to be flashed has such a file.
  const image = { elfPath, binPath: binPath!, origin: board.memory.flash.origin };
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
  const seconds = (performance.now() - startMs) / 1000;
  if (options.json === true) {
    terminal.printJson({ board: board.name, method: method.method, device: target.what, imageBytes, imageSha256 });
  } else {
    terminal.print(
      `${board.name}: ${imageBytes.toLocaleString('en-US')} bytes written and verified in ${seconds.toFixed(1)} s (${method.method}, ${target.what})`,
      `Image sha256 ${imageSha256}`,
    );
  }
  if (options.monitor === true) await monitorLink(context, link!, { ca: [], json: options.json === true });
}

function chooseMethod(board: Board, wanted: string | undefined): FlashMethod {
  const names = board.flash.map(({ method }) => method);
  const method = wanted === undefined ? board.flash[0] : board.flash.find((each) => each.method === wanted);
  if (method !== undefined) return method;
  if (board.process !== undefined) {
    throw usageError(
      `board ${board.name} is a process of this machine: there is nothing to flash`,
      `metertime run --board ${board.name} starts it.`,
    );
  }
  if (names.length === 0) {
    const how = board.emulation === undefined ? '' : `: it is emulated; metertime run --board ${board.name} starts it`;
    throw usageError(`board ${board.name} names no way to flash it${how}`, 'docs/boards.md says what "flash" takes.');
  }
  throw usageError(`board ${board.name} is not flashed by ${wanted}`, `It has: ${names.join(', ')}.`);
}

const quote = (word: string): string => (/^[\w./:=,@%+-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);
