// metertime export: the core for firmware of one's own.
import { join } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import type { Example } from '../export/c-export.ts';
import { formatPairs } from '../text/table.ts';
import { type Context, withHelp } from './context.ts';
import { ExitCode } from './exit-codes.ts';

const targets = ['c', 'wasm'] as const;
const examples: readonly Example[] = ['super-loop', 'freertos', 'zephyr'];

interface Options {
  readonly target: (typeof targets)[number];
  readonly servers: number;
  readonly example: Example;
  readonly out?: string;
  readonly force?: boolean;
  readonly json?: boolean;
}

/** Those that boards are built for: with a majority, tariffs and records, or small. */
function serverCount(text: string): number {
  if (text !== '1' && text !== '4') throw new InvalidArgumentError('Expected 1 or 4.');
  return Number(text);
}

export function exportCommand(context: Context): Command {
  const command = new Command('export')
    .summary('write the core for firmware of your own')
    .description(
      'Writes a folder with the core for firmware that is not built here, and with the glue for it: one header of functions that your port has to have, an example, and a program that tries a port. With --target c the core is C and the folder builds on its own; with --target wasm it is a module, for firmware that has WAMR or wasm3. Nothing in it names this machine. Prints what C takes of a Cortex-M3 where there is a compiler for that. Needs a checkout of metertime.',
    )
    .addOption(new Option('-t, --target <target>', 'what it is for').choices(targets).makeOptionMandatory())
    .option('--servers <number>', 'time servers at once: 1, or 4 with tariffs and records', serverCount, 1)
    .addOption(new Option('--example <example>', 'the port to begin with').choices(examples).default('super-loop'))
    .option('-o, --out <folder>', 'where it goes (default metertime-TARGET)')
    .option('--force', 'write over the files of a folder that is not empty')
    .option('--json', 'print what was written as JSON')
    .action((options: Options) => exportCore(context, options));
  return withHelp(command, {
    examples: [
      ['export --target c', 'into metertime-c, for one server'],
      ['export --target c --example freertos', 'with a task of FreeRTOS to begin with'],
      ['export --target wasm', 'into metertime-wasm, for a WebAssembly runtime'],
      ['export --target c --servers 4 --out lib/metertime', 'four servers, tariffs and records'],
    ],
    exitCodes: [ExitCode.Ok, ExitCode.Failed, ExitCode.Usage, ExitCode.Interrupted],
  });
}

async function exportCore({ terminal, signal }: Context, options: Options): Promise<void> {
  const { exportC: write } = await import('../export/c-export.ts');
  const { target, servers, example } = options;
  let step = 'preparing';
  const result = await terminal.during(
    () => `exporting: ${step}`,
    () =>
      write({
        target,
        servers,
        example,
        outDir: options.out ?? `metertime-${target}`,
        force: options.force === true,
        signal,
        onStep: (text) => {
          step = text;
        },
      }),
  );
  if (options.json === true) {
    terminal.printJson(result);
    return;
  }
  const { folder, needs } = result;
  const kib = (bytes: number): string => `${bytes} bytes`;
  terminal.print(
    `${folder}: ${result.files.length} files, core ${result.coreSha256.slice(0, 16)}… for ${servers === 1 ? 'one server' : `${servers} servers`}`,
    ...formatPairs([
      ...(target === 'wasm' ? [['module', kib(result.coreBytes)] as const] : []),
      ['linear memory', kib(result.coreMemoryBytes)],
      ...(needs === undefined
        ? []
        : ([
            ['Cortex-M3, flash', kib(needs.flashBytes)],
            ['Cortex-M3, RAM', `${kib(needs.ramBytes)}, linear memory and line included`],
            ['Cortex-M3, stack', needs.stackBytes === undefined ? 'no bound' : kib(needs.stackBytes)],
          ] as const)),
    ]),
    note(target, needs !== undefined),
    `Read ${join(folder, 'README.md')} first.`,
  );
}

function note(target: Options['target'], measured: boolean): string {
  if (target === 'wasm') return 'What the runtimes took where they were measured: docs/export.md.';
  if (measured) return 'Without the functions of your port and the C library.';
  return 'What it takes of a Cortex-M3 is not known: there is no arm-none-eabi-gcc here.';
}
