// metertime sync HOST…: one meter in software for each server, from power-on to an authenticated time.
import { Command } from 'commander';
import { ClockStatus, MeterEvent, TimeFlag } from '../../as/abi/codes.ts';
import { TraceRecorder } from '../core/trace.ts';
import { Gateway } from '../gateway/gateway.ts';
import { HostClock } from '../gateway/host-clock.ts';
import type { ServerReport } from '../gateway/server-reports.ts';
import type { MeterEventMessage, Time } from '../link/messages.ts';
import { loggerTo } from '../log.ts';
import { utcText } from '../mqtt/payloads.ts';
import { loadTrustAnchors, type TrustAnchors } from '../net/trust-anchors.ts';
import { formatHostPort, type HostPort, ntsKePort } from '../provision/host-port.ts';
import { aeadName, clockStatusNames, describeEvent, nameOf, namesOfBits, timeFlagNames } from '../text/names.ts';
import { type Context, collect, withHelp } from './context.ts';
import { usageError } from './errors.ts';
import { ExitCode } from './exit-codes.ts';
import { serverArgument } from './ke.ts';
import { linkMeter } from './linked-meter.ts';
import { seconds, wholeNumber } from './options.ts';
import { provisionMemory } from './software-meter.ts';
import { clockText } from './status.ts';
import { formatTable } from './table.ts';
import { printable, type Terminal } from './terminal.ts';
import { plainNs, signedNs } from './units.ts';

interface Options {
  ca: string[];
  timeout: number;
  samples: number;
  record?: string;
  verbose?: boolean;
  json?: boolean;
}

/** What came of one server. */
export interface SyncResult {
  readonly server: HostPort;
  readonly ok: boolean;
  /** Server minus this computer's clock. */
  readonly offsetNs: bigint | undefined;
  readonly uncertaintyNs: bigint | undefined;
  readonly boundNs: bigint | undefined;
  readonly utcNs: bigint | undefined;
  readonly status: ClockStatus;
  /** The meter's last report. */
  readonly report: Time | undefined;
  /** What the meter reported of its servers. */
  readonly servers: readonly ServerReport[];
  /** From power-on to the first authenticated time, and to the end. */
  readonly firstMs: number | undefined;
  readonly totalMs: number;
  /** Why there is no time. */
  readonly reason: string | undefined;
}

const legend = `
  Server   NTS-KE server                       St       stratum of the NTP server
  Offset   server minus this computer's clock  AEAD     algorithm of the keys
  U (k=2)  expanded uncertainty of the time    Cookies  held, and the length of one
  Bound    hard bound on the error             Took     from power-on to authenticated time
  Delay    round trip to the NTP server
`.split('\n');

export function syncCommand(context: Context): Command {
  const command = new Command('sync')
    .summary('authenticated time from one or more servers, by meters in software')
    .description(
      "Starts a meter in software for each server, all at once, each behind a link and a gateway within this process, and shows the time that it comes to: offset from this computer's clock, uncertainty, hard bound, delay, stratum, AEAD, cookies. This computer's clock is neither set nor trusted: certificates are checked at the time obtained.",
    )
    .argument('<host[:port]...>', `NTS-KE servers; port ${ntsKePort} unless given`)
    .option('--ca <file>', 'further certificate authorities (PEM); may be repeated', collect, [])
    .option('--timeout <seconds>', 'give up after this long', seconds, 20)
    .option('-n, --samples <count>', 'authenticated samples to take, a second or more apart', wholeNumber, 1)
    .option('--record <file>', 'record a trace of the one meter (holds secrets; mode 0600)')
    .option('-v, --verbose', 'explain the columns')
    .option('--json', 'print the results as JSON')
    .action((servers: string[], options: Options) => sync(context, servers, options));
  return withHelp(command, {
    examples: [
      ['sync time.example', 'one server'],
      ['sync -v ptbtime1.ptb.de time.cloudflare.com', 'two servers at once, with a legend'],
      ['sync --ca lab-ca.pem --record meter.trace 127.0.0.1:4460', 'with a trace for metertime replay'],
    ],
    exitCodes: [ExitCode.Ok, ExitCode.Failed, ExitCode.Usage, ExitCode.NoTime, ExitCode.Interrupted],
  });
}

async function sync(context: Context, texts: readonly string[], options: Options): Promise<void> {
  const { terminal, signal } = context;
  const servers = texts.map(serverArgument);
  if (options.samples < 1) throw usageError('expected at least one sample');
  if (options.record !== undefined && servers.length > 1) {
    throw usageError('a trace is of one meter', 'Give one server with --record.');
  }
  const anchors = loadTrustAnchors({ system: true, files: options.ca });
  const trace = options.record === undefined ? undefined : new TraceRecorder(options.record);
  let waiting = servers.length;
  let results: SyncResult[];
  try {
    results = await terminal.during(
      () => `waiting for ${waiting} of ${servers.length} servers`,
      () =>
        Promise.all(
          servers.map(async (server) => {
            const result = await syncServer(server, {
              anchors,
              samples: options.samples,
              timeoutMs: options.timeout * 1000,
              signal,
              ...(trace === undefined ? {} : { trace }),
            });
            waiting--;
            return result;
          }),
        ),
    );
  } finally {
    trace?.close();
  }
  if (signal.aborted) {
    context.exitCode = ExitCode.Interrupted;
    return;
  }
  if (results.some(({ ok }) => !ok)) context.exitCode = ExitCode.NoTime;
  if (options.json) terminal.printJson(results.map(resultJson));
  else print(terminal, results, options.verbose === true);
  if (options.record !== undefined) {
    terminal.note(`The trace is in ${options.record}; it holds secrets. Replay it: metertime replay ${options.record}`);
  }
}

interface SyncOptions {
  readonly anchors: TrustAnchors;
  readonly samples: number;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  readonly trace?: TraceRecorder;
}

const hostClock = new HostClock();

/** Brings one meter to an authenticated time. Never rejects for what the server or the network does. */
export async function syncServer(server: HostPort, options: SyncOptions): Promise<SyncResult> {
  const { anchors, samples, timeoutMs, signal, trace } = options;
  // A gateway for each, so that each meter has a whole share and the same id.
  let detail = '';
  const log = loggerTo(({ level, fields }) => {
    if (level === 'warn' && typeof fields.detail === 'string') detail = fields.detail;
  });
  const gateway = new Gateway({ links: [], anchors, log });
  const linked = linkMeter(gateway, formatHostPort(server), {
    storage: provisionMemory({
      id: 'sync',
      servers: [server],
      poll: { minSeconds: 1, maxSeconds: 1 },
      reportSeconds: 1,
    }),
    ...(trace === undefined ? {} : { trace }),
  });
  const beginMs = performance.now();
  let report: Time | undefined;
  let firstMs: number | undefined;
  let reason = 'no answer came in time';
  let certificateRefused = false;
  try {
    const ok = await new Promise<boolean>((resolve) => {
      const timer = setTimeout(() => resolve(false), timeoutMs);
      const abort = (): void => resolve(false);
      signal.addEventListener('abort', abort, { once: true });
      const settle = (value: boolean): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', abort);
        resolve(value);
      };
      linked.session.on('time', (time) => {
        report = time;
        if (time.status !== ClockStatus.Synchronised || (time.flags & TimeFlag.DatesUnchecked) !== 0) return;
        firstMs ??= performance.now() - beginMs;
        if (time.authenticated >= samples) settle(true);
      });
      linked.session.on('event', ({ event, ack }) => {
        ack();
        const trouble = troubleOf(event);
        if (trouble !== undefined) reason = detail === '' ? trouble : `${trouble}: ${detail}`;
        certificateRefused ||= event.code === MeterEvent.CertificateRefused;
        // The meter would try again, later and later; who waits at a terminal wants to know now.
        if (event.code === MeterEvent.KeFailed || certificateRefused) settle(false);
      });
      linked.start();
    });
    // Read together, in this order: what lies between is shorter than any uncertainty.
    const now = linked.meter.time();
    const hostNs = hostClock.wallNs(process.hrtime.bigint());
    return {
      server,
      ok,
      offsetNs: ok ? now.utcNs - hostNs : undefined,
      uncertaintyNs: ok ? now.uncertaintyNs : undefined,
      boundNs: ok ? now.boundNs : undefined,
      utcNs: ok ? now.utcNs : undefined,
      status: now.status,
      report,
      servers: linked.session.servers,
      firstMs,
      totalMs: performance.now() - beginMs,
      reason: ok ? undefined : reason,
    };
  } finally {
    await linked.stop();
    await gateway.stop();
  }
}

/** What an event says against an authenticated time, if anything. */
function troubleOf(event: MeterEventMessage): string | undefined {
  switch (event.code) {
    case MeterEvent.KeFailed:
    case MeterEvent.AnswerRefused:
    case MeterEvent.Nak:
    case MeterEvent.CertificateRefused:
    case MeterEvent.BoundsDisagree:
      return describeEvent(event).replace(/\.$/, '');
    default:
      return undefined;
  }
}

function print(terminal: Terminal, results: readonly SyncResult[], verbose: boolean): void {
  if (verbose) terminal.print(...legend);
  terminal.print(
    ...formatTable(
      [
        { heading: 'Server' },
        { heading: 'Offset', align: 'right' },
        { heading: '  U (k=2)', align: 'right' },
        { heading: 'Bound', align: 'right' },
        { heading: 'Delay', align: 'right' },
        { heading: 'St', align: 'right' },
        { heading: 'AEAD', align: 'right' },
        { heading: 'Cookies', align: 'right' },
        { heading: 'Took', align: 'right' },
        { heading: 'Clock' },
      ],
      results.map((result) => {
        const { report, ok } = result;
        const sampled = ok && report !== undefined;
        return [
          formatHostPort(result.server),
          signedNs(result.offsetNs),
          result.uncertaintyNs === undefined ? '-' : `± ${plainNs(result.uncertaintyNs)}`,
          plainNs(result.boundNs),
          sampled ? plainNs(report.delayNs) : '-',
          sampled ? String(report.stratum) : '-',
          report === undefined || report.aead === 0 ? '-' : String(report.aead),
          report === undefined || report.aead === 0 ? '-' : `${report.cookies} × ${report.cookieBytes} B`,
          result.firstMs === undefined ? '-' : plainNs(Math.round(result.firstMs * 1e6)),
          clockText(terminal, nameOf(clockStatusNames, result.status).name),
        ];
      }),
    ),
  );
  for (const { server, reason } of results) {
    if (reason !== undefined) {
      terminal.print(`${terminal.paint('red', '✗')} ${formatHostPort(server)}: ${printable(reason)}`);
    }
  }
}

function resultJson(result: SyncResult): object {
  const { server, ok, report, reason, firstMs, totalMs } = result;
  return {
    server,
    ok,
    status: nameOf(clockStatusNames, result.status).name,
    offsetNs: result.offsetNs ?? null,
    uncertaintyNs: result.uncertaintyNs ?? null,
    boundNs: result.boundNs ?? null,
    utc: result.utcNs === undefined ? null : utcText(result.utcNs),
    delayNs: ok ? (report?.delayNs ?? null) : null,
    stratum: ok ? (report?.stratum ?? null) : null,
    rootDelayNs: ok ? (report?.rootDelayNs ?? null) : null,
    rootDispersionNs: ok ? (report?.rootDispersionNs ?? null) : null,
    ntpHost: result.servers[0]?.source.ntpHost || null,
    aead: report === undefined || report.aead === 0 ? null : report.aead,
    aeadName: report === undefined ? null : (aeadName(report.aead) ?? null),
    cookies: report?.cookies ?? 0,
    cookieBytes: report?.cookieBytes ?? 0,
    flags: report === undefined ? [] : namesOfBits(timeFlagNames, report.flags),
    samples: report?.authenticated ?? 0,
    rejected: report?.rejected ?? 0,
    firstTimeMs: firstMs ?? null,
    totalMs,
    reason: reason ?? null,
  };
}
