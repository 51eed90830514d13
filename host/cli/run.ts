// metertime run: a board's firmware in its emulator, or a meter in software, with a gateway in this process.
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command, Option } from 'commander';
import type { Emulator } from '../build/index.ts';
import { type AesWay, aesWays } from '../core/core.ts';
import { Gateway } from '../gateway/gateway.ts';
import { loadTrustAnchors } from '../net/trust-anchors.ts';
import type { HostPort } from '../provision/host-port.ts';
import { type MeterSettings, settingsDefaults } from '../provision/settings-block.ts';
import { provisionStorage, readStorageKeys, readStorageSettings } from '../provision/storage-file.ts';
import { boardStorage, checkAgreement, softwareBoard } from './boards.ts';
import { type Context, collect, withHelp } from './context.ts';
import { CliError, usageError } from './errors.ts';
import { ExitCode } from './exit-codes.ts';
import { serverArgument } from './ke.ts';
import { LiveView } from './live.ts';
import { seconds, wholeNumber } from './options.ts';
import { meterLink, type SoftwareRun, startSoftware } from './run-software.ts';
import { printable, type Terminal } from './terminal.ts';
import { ended } from './wait.ts';
import { terminalLogger, watchMeters } from './watch-meters.ts';

interface Options {
  board: string;
  server: string[];
  id: string;
  storage?: string;
  rtc?: string;
  pollMin?: number;
  pollMax?: number;
  report?: number;
  ca: string[];
  record?: string;
  link?: string;
  transaction?: number;
  aes?: AesWay;
  verbose?: boolean;
  json?: boolean;
}

export function runCommand(context: Context): Command {
  const command = new Command('run')
    .summary('run a meter here: build, emulator, gateway, all in one')
    .description(
      `Builds the firmware of a board, provisions a storage, starts the emulator and serves it with a gateway in this process; shows what the meter reports until Ctrl-C. The board "${softwareBoard}" is a meter in software: it needs no compiler and no emulator.`,
    )
    .requiredOption('-b, --board <board>', 'the board; metertime boards lists them')
    .option('-S, --server <host[:port]>', 'NTS-KE server; may be repeated', collect, [])
    .option('-i, --id <id>', 'id of the meter', 'meter-1')
    .option('--storage <file>', 'storage that is kept; made when it does not exist (otherwise: lost at the end)')
    .option('--rtc <date>', 'what the real-time clock says at the start, such as 2020-01-01T00:00:00 (default: now)')
    .option('--poll-min <seconds>', `shortest poll interval (default ${settingsDefaults.poll.minSeconds})`, wholeNumber)
    .option('--poll-max <seconds>', `longest poll interval (default ${settingsDefaults.poll.maxSeconds})`, wholeNumber)
    .option('--report <seconds>', `interval of time reports (default ${settingsDefaults.reportSeconds})`, wholeNumber)
    .option('--ca <file>', 'further certificate authorities (PEM); may be repeated', collect, [])
    .option('--record <file>', 'record a trace (board software only; holds secrets; mode 0600)')
    .option('--link <url>', 'no gateway here: let one elsewhere serve the meter at this link (board software only)')
    .option(
      '--transaction <seconds>',
      'run a charging transaction as long as this, from when there is a time (board software only)',
      seconds,
    )
    .addOption(
      new Option('--aes <way>', 'how the meter computes AES (board software only; default: bitsliced)').choices(
        aesWays,
      ),
    )
    .option('-v, --verbose', "show the gateway's log too")
    .option('--json', 'print one JSON object a line')
    .action((options: Options) => run(context, options));
  return withHelp(command, {
    examples: [
      ['run --board mps2-an385 --server time.example', 'an emulated Cortex-M3 meter'],
      ['run --board software --server 127.0.0.1:4460 --ca lab-ca.pem', 'a meter in software, a server of your own'],
      ['run --board mps2-an385 --storage meter.bin', 'a storage that metertime provision wrote'],
    ],
    exitCodes: [ExitCode.Ok, ExitCode.Failed, ExitCode.Usage, ExitCode.Interrupted],
    untilCtrlC: true,
  });
}

/** Options that need a meter in software, and what it does with them. */
const softwareOnly = [
  ['record', 'record traces'],
  ['link', 'have their gateway elsewhere'],
  ['transaction', 'begin transactions by themselves'],
  ['aes', 'choose how they compute AES'],
] as const;

function softwareRun(
  { terminal }: Context,
  { record, transaction, aes }: Options,
  rtcNs: bigint | undefined,
  storageFile: string,
): SoftwareRun {
  return { note: (text) => terminal.note(text), storageFile, rtcNs, record, transactionSeconds: transaction, aes };
}

/** The meter alone: its gateway shows it. */
async function runAtLink(context: Context, options: Options, url: string, rtcNs: bigint | undefined): Promise<void> {
  if (options.ca.length > 0) throw usageError("--ca is the gateway's", 'Name it in the settings of that gateway.');
  for (const name of ['json', 'verbose'] as const) {
    if (options[name] !== true) continue;
    throw usageError(
      `--${name} is for a gateway here: with --link nothing is shown`,
      'Watch the meter at its gateway or broker, as with metertime monitor.',
    );
  }
  if (options.storage === undefined) {
    throw usageError('a meter at a gateway elsewhere needs a storage that is kept', 'Give --storage FILE.');
  }
  const link = meterLink(url);
  await provision(options, options.server.map(serverArgument), options.storage);
  const meter = await startSoftware(link, softwareRun(context, options, rtcNs, options.storage));
  try {
    context.terminal.note(`The meter runs; the gateway at ${printable(url)} serves it. Ctrl-C ends it.`);
    await ended(context.signal, meter.off);
  } finally {
    await meter.stop();
  }
}

async function run(context: Context, options: Options): Promise<void> {
  const { terminal, signal } = context;
  if (options.board !== softwareBoard) {
    for (const [name, what] of softwareOnly) {
      if (options[name] === undefined) continue;
      throw usageError(`only meters in software ${what}`, `Give --board ${softwareBoard} with --${name}.`);
    }
  }
  const rtcNs = options.rtc === undefined ? undefined : rtcArgument(options.rtc);
  if (options.link !== undefined) return runAtLink(context, options, options.link, rtcNs);
  const servers = options.server.map(serverArgument);
  const anchors = loadTrustAnchors({ system: true, files: options.ca });
  const folder = mkdtempSync(join(tmpdir(), 'metertime-'));
  const storageFile = options.storage ?? join(folder, 'storage.bin');
  const view = new LiveView(terminal, { json: options.json === true });
  const log = terminalLogger(terminal, options.verbose === true ? 'debug' : 'warn');
  let stopMeter: (() => Promise<unknown>) | undefined;
  const linkKeys = new Map<string, Uint8Array>();
  const gateway = new Gateway({ links: [], anchors, log, linkKeys });
  try {
    await provision(options, servers, storageFile);
    addSealedLink(linkKeys, storageFile);
    watchMeters(gateway, view, { acknowledge: true });
    if (options.board === softwareBoard) {
      const meter = await startSoftware(gateway, softwareRun(context, options, rtcNs, storageFile));
      stopMeter = () => meter.stop();
      await ended(signal, meter.off);
    } else {
      const emulator = await startBoard(terminal, options, storageFile, join(folder, 'link'), signal);
      if (emulator === undefined) {
        context.exitCode = ExitCode.Interrupted;
        return;
      }
      stopMeter = () => emulator.stop();
      const { openLink, LinkListener } = await import('../link/transports.ts');
      const link = openLink(`unix:${emulator.link}`);
      if (!(link instanceof LinkListener)) gateway.addLink(link);
      const exit = await ended(signal, emulator.exit);
      if (exit !== undefined && !signal.aborted) {
        throw new CliError('emulator-ended', `the emulator ended by itself (${exit.signal ?? `code ${exit.code}`})`, {
          hint: emulator.logTail().trim() || 'It printed nothing.',
        });
      }
    }
  } finally {
    await gateway.stop();
    await stopMeter?.();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Adds the link key of the meter, where its link is sealed. */
function addSealedLink(linkKeys: Map<string, Uint8Array>, storageFile: string): void {
  if (readStorageSettings(storageFile).sealedLink !== true) return;
  const { meter, linkKey } = readStorageKeys(storageFile);
  linkKeys.set(meter, linkKey!);
}

/** ISO date to ns since 1970. */
function rtcArgument(text: string): bigint {
  const ms = Date.parse(/(Z|[+-]\d\d:?\d\d)$/.test(text) ? text : `${text}Z`);
  if (!/^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d)?(Z|[+-]\d\d:?\d\d)?)?$/.test(text) || Number.isNaN(ms)) {
    throw usageError(`--rtc is "${text}"`, 'Expected a date such as 2020-01-01T00:00:00 (UTC).');
  }
  return BigInt(ms) * 1_000_000n;
}

/** A storage that is provisioned already is taken as it is, unless servers are given. */
async function provision(options: Options, servers: readonly HostPort[], file: string): Promise<void> {
  if (servers.length === 0) {
    if (options.storage !== undefined && existsSync(options.storage)) {
      await checkAgreement(options.board, readStorageSettings(options.storage));
      return;
    }
    throw usageError('the meter needs a time server', 'Give --server HOST, or a provisioned --storage FILE.');
  }
  const { minSeconds, maxSeconds } = settingsDefaults.poll;
  const settings: MeterSettings = {
    id: options.id,
    servers,
    firstDatesUnchecked: settingsDefaults.firstDatesUnchecked,
    poll: {
      minSeconds: options.pollMin ?? Math.min(minSeconds, options.pollMax ?? minSeconds),
      maxSeconds: options.pollMax ?? Math.max(maxSeconds, options.pollMin ?? maxSeconds),
    },
    reportSeconds: options.report ?? settingsDefaults.reportSeconds,
    // One meter is no fleet whose key establishments were to be spread after a power cut.
    spreadSeconds: 0,
  };
  provisionStorage(file, settings, await boardStorage(options.board));
}

/** @returns the emulator; undefined when the signal came before it was started */
async function startBoard(
  terminal: Terminal,
  options: Options,
  storageFile: string,
  link: string,
  signal: AbortSignal,
): Promise<Emulator | undefined> {
  const { buildFirmware, startEmulator } = await import('../build/index.ts');
  let step = 'preparing';
  const report = await terminal.during(
    () => `building ${options.board}: ${step}`,
    () =>
      buildFirmware({
        board: options.board,
        signal,
        onStep: (text) => {
          step = text;
        },
      }),
  );
  if (signal.aborted) return undefined;
  if (options.json !== true) {
    terminal.note(
      `${report.board}: flash ${report.flash.usedBytes} of ${report.flash.budgetBytes} bytes, RAM ${report.ram.usedBytes} of ${report.ram.budgetBytes}, image ${report.imageSha256.slice(0, 16)}…`,
    );
  }
  const rtcBase = options.rtc === undefined ? {} : { rtcBase: isoSeconds(rtcArgument(options.rtc)) };
  return terminal.during(
    () => `starting the emulator of ${options.board}`,
    () => startEmulator({ board: options.board, image: report.elfPath, link, storageFile, ...rtcBase }),
  );
}

function isoSeconds(ns: bigint): string {
  return new Date(Number(ns / 1_000_000n)).toISOString().slice(0, 19);
}
