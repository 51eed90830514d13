// metertime sync HOST…: one meter in software, from power-on to an authenticated time of up to four servers.
import { Command } from 'commander';
import { ClockStatus, Failure, KeError, MeterEvent, Reject, SourceFlag, SourceState } from '../../as/abi/codes.ts';
import { TraceRecorder } from '../core/trace.ts';
import { Gateway } from '../gateway/gateway.ts';
import { HostClock } from '../gateway/host-clock.ts';
import type { ServerReport } from '../gateway/server-reports.ts';
import { sourcesMax, type Time } from '../link/messages.ts';
import { loggerTo } from '../log.ts';
import { type ServerPayload, serverPayload, type TimePayload, timePayload, utcText } from '../mqtt/payloads.ts';
import { loadTrustAnchors, type TrustAnchors } from '../net/trust-anchors.ts';
import { shortAead } from '../provision/aeads.ts';
import { formatHostPort, type HostPort, ntsKePort } from '../provision/host-port.ts';
import type { Agreement } from '../provision/settings-block.ts';
import {
  clockStatusNames,
  describeEvent,
  failureNames,
  keErrorNames,
  nameOf,
  rejectNames,
  waitingText,
} from '../text/names.ts';
import { formatPairs, formatTable } from '../text/table.ts';
import { type Context, collect, withHelp } from './context.ts';
import { usageError } from './errors.ts';
import { ExitCode } from './exit-codes.ts';
import { serverArgument } from './ke.ts';
import { type LinkedMeter, linkMeter } from './linked-meter.ts';
import { aeadOption, agreement, seconds, wholeNumber } from './options.ts';
import { hasMajority, serverMark } from './server-table.ts';
import { provisionMemory } from './software-meter.ts';
import { clockText } from './status.ts';
import { printable, type Terminal } from './terminal.ts';
import { aroundNs, plainNs, signedNs } from './units.ts';

interface Options {
  ca: string[];
  aead?: number[];
  agreement?: Agreement;
  timeout: number;
  samples: number;
  record?: string;
  verbose?: boolean;
  json?: boolean;
}

const legend = `
  #        mark: * followed, + agrees and counts, ~ agrees but its last sample is
           too far off to count, - heard but not counted, x contradicts the others,
           ? not heard or no keys
  Server   NTS-KE server                   Delay    round trip to the NTP server
  Offset   server minus the meter's clock  St       stratum of the NTP server
           at the last sample              Cookies  held, and the bytes of one
  Took     from power-on to the server's first authenticated answer

  Offset from this computer's clock: the meter's clock minus it, with its expanded
  uncertainty (k = 2); Bound: what the error is certainly not beyond
`.split('\n');

export function syncCommand(context: Context): Command {
  const command = new Command('sync')
    .summary('authenticated time from one to four servers, by a meter in software')
    .description(
      "Starts a meter in software behind a link and a gateway within this process, and shows the time that it comes to: offset from this computer's clock, uncertainty, hard bound; and of each server offset, delay, stratum, AEAD, cookies, and whether it agrees with the others. This computer's clock is neither set nor trusted: certificates are checked at the time obtained.",
    )
    .argument('<host[:port]...>', `NTS-KE servers, up to ${sourcesMax}; port ${ntsKePort} unless given`)
    .option('--ca <file>', 'further certificate authorities (PEM); may be repeated', collect, [])
    .addOption(aeadOption())
    .option('--agreement <servers>', 'how many have to agree (default: majority)', agreement)
    .option('--timeout <seconds>', 'give up after this long', seconds, 20)
    .option('-n, --samples <count>', 'authenticated samples to take of each, a second or more apart', wholeNumber, 1)
    .option('--record <file>', 'record a trace of the meter (holds secrets; mode 0600)')
    .option('-v, --verbose', 'explain the columns')
    .option('--json', 'print the result as JSON')
    .action((servers: string[], options: Options) => sync(context, servers, options));
  return withHelp(command, {
    examples: [
      ['sync time.example', 'one server'],
      ['sync -v ptbtime1.ptb.de ptbtime2.ptb.de time.cloudflare.com', 'three, of which two have to agree'],
      ['sync --aead AES-SIV-CMAC-512 time.example', 'with another AEAD'],
      ['sync --ca lab-ca.pem --record meter.trace 127.0.0.1:4460', 'with a trace for metertime replay'],
    ],
    exitCodes: [ExitCode.Ok, ExitCode.Failed, ExitCode.Usage, ExitCode.NoTime, ExitCode.Interrupted],
  });
}

async function sync(context: Context, texts: readonly string[], options: Options): Promise<void> {
  const { terminal, signal } = context;
  const servers = texts.map(serverArgument);
  if (options.samples < 1) throw usageError('expected at least one sample');
  if (servers.length > sourcesMax) throw usageError(`expected at most ${sourcesMax} servers, came ${servers.length}`);
  const anchors = loadTrustAnchors({ system: true, files: options.ca });
  const trace = options.record === undefined ? undefined : new TraceRecorder(options.record);
  let run: SyncRun | undefined;
  let result: SyncResult;
  try {
    run = new SyncRun({ servers, anchors, trace, ...options, timeoutMs: options.timeout * 1000, signal });
    result = await terminal.during(
      () => run!.doing(),
      () => run!.run(),
    );
  } finally {
    trace?.close();
  }
  if (signal.aborted) {
    context.exitCode = ExitCode.Interrupted;
    return;
  }
  if (!result.ok) context.exitCode = ExitCode.NoTime;
  if (options.json) terminal.printJson(resultJson(result));
  else print(terminal, result, options.verbose === true);
  if (options.record !== undefined) {
    terminal.note(`The trace is in ${options.record}; it holds secrets. Replay it: metertime replay ${options.record}`);
  }
}

interface SyncOptions {
  readonly servers: readonly HostPort[];
  readonly anchors: TrustAnchors;
  readonly aead?: readonly number[];
  readonly agreement?: Agreement;
  readonly samples: number;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  readonly trace: TraceRecorder | undefined;
}

/** What came of one server. */
interface ServerResult {
  readonly server: HostPort;
  /** Whether it gave as many authenticated samples as were asked for. */
  readonly ok: boolean;
  readonly payload: ServerPayload | undefined;
  /** From power-on to its first authenticated answer. */
  readonly firstMs: number | undefined;
  /** Why it gave none. */
  readonly reason: string | undefined;
}

interface SyncResult {
  /** Whether the meter came to an authenticated time. */
  readonly ok: boolean;
  readonly status: ClockStatus;
  /** The meter's clock minus this computer's. */
  readonly offsetNs: bigint | undefined;
  readonly uncertaintyNs: bigint | undefined;
  readonly boundNs: bigint | undefined;
  readonly utcNs: bigint | undefined;
  /** An inserted leap second was passing. */
  readonly leapSecond: boolean;
  /** Servers whose authenticated answers contradict the time. */
  readonly contradicting: number;
  /** The meter's last report. */
  readonly time: TimePayload | undefined;
  /** From power-on to the first authenticated time, and to the end. */
  readonly firstMs: number | undefined;
  readonly totalMs: number;
  readonly servers: readonly ServerResult[];
}

const hostClock = new HostClock();
const meterId = 'sync';

/** A server that gave the samples asked for, and after as many more requests no other, has no offset to show. */
const offsetRequests = 4;

/** With this many samples of each server, those that do not agree will not agree with more. */
const conclusiveSamples = 5;

/** One meter on its way to the time. It never fails for what a server or the network does. */
class SyncRun {
  readonly #options: SyncOptions;
  readonly #gateway: Gateway;
  readonly #meter: LinkedMeter;
  /** Why connections failed, by host and port. */
  readonly #connections = new Map<string, string>();
  /** Certificates that did not hold at the time obtained, by host. */
  readonly #certificates = new Map<string, string>();
  readonly #reports = new Map<number, ServerReport>();
  readonly #firstMs = new Map<number, number>();
  #time: Time | undefined;
  #timeMs: number | undefined;

  /** @throws SettingsBlockError for servers that no settings can hold */
  constructor(options: SyncOptions) {
    this.#options = options;
    const { servers, anchors, aead, trace } = options;
    const log = loggerTo(({ level, fields }) => {
      if (level !== 'warn' || typeof fields.detail !== 'string') return;
      const failure = Failure[String(fields.failure) as keyof typeof Failure] ?? Failure.Tls;
      const text = `${nameOf(failureNames, failure).text}: ${fields.detail}`;
      this.#connections.set(`${fields.host} ${fields.port}`, text);
    });
    const storage = provisionMemory({
      ...{ id: meterId, servers, poll: { minSeconds: 1, maxSeconds: 1 }, reportSeconds: 1, spreadSeconds: 0 },
      ...(aead === undefined ? {} : { aeads: aead }),
      ...(options.agreement === undefined ? {} : { agreement: options.agreement }),
    });
    this.#gateway = new Gateway({ links: [], anchors, log });
    this.#meter = linkMeter(this.#gateway, meterId, { storage, ...(trace === undefined ? {} : { trace }) });
  }

  /** What is waited for. */
  doing(): string {
    const { servers } = this.#options;
    const waiting = servers.filter((_, index) => !this.#isDone(index)).length;
    return waiting > 0 ? `waiting for ${waiting} of ${servers.length} servers` : 'waiting for the servers to agree';
  }

  async run(): Promise<SyncResult> {
    const beginMs = performance.now();
    try {
      const ok = await this.#settled(beginMs);
      // Read together, in this order: what lies between is shorter than any uncertainty.
      const now = this.#meter.meter.time();
      const hostNs = hostClock.wallNs(process.hrtime.bigint());
      return {
        ok,
        status: now.status,
        ...(ok
          ? { offsetNs: now.utcNs - hostNs, uncertaintyNs: now.uncertaintyNs, boundNs: now.boundNs, utcNs: now.utcNs }
          : { offsetNs: undefined, uncertaintyNs: undefined, boundNs: undefined, utcNs: undefined }),
        leapSecond: now.leapSecond,
        contradicting: this.#contradicting,
        time: this.#time === undefined ? undefined : timePayload(meterId, this.#time),
        firstMs: this.#timeMs,
        totalMs: performance.now() - beginMs,
        servers: this.#options.servers.map((server, index) => this.#serverResult(server, index)),
      };
    } finally {
      await this.#meter.stop();
      await this.#gateway.stop();
    }
  }

  /** Starts the meter; resolves with whether it has the time, once nothing better is to be expected. */
  #settled(beginMs: number): Promise<boolean> {
    const { timeoutMs, signal } = this.#options;
    const { session } = this.#meter;
    return new Promise<boolean>((resolve) => {
      const settle = (ok: boolean): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', abort);
        resolve(ok);
      };
      const abort = (): void => settle(false);
      const timer = setTimeout(() => settle(this.#hasTime() && this.#isAgreed), timeoutMs);
      signal.addEventListener('abort', abort, { once: true });
      const check = (): void => {
        const verdict = this.#verdict();
        if (verdict !== undefined) settle(verdict);
      };
      session.on('time', (time) => {
        this.#time = time;
        if (this.#hasTime()) this.#timeMs ??= performance.now() - beginMs;
        check();
      });
      session.on('server', (report) => {
        const { index } = report.source;
        this.#reports.set(index, report);
        if (report.counts.authenticated > 0 && !this.#firstMs.has(index)) {
          this.#firstMs.set(index, performance.now() - beginMs);
        }
        check();
      });
      session.on('event', ({ event, ack }) => {
        ack();
        if (event.code !== MeterEvent.CertificateRefused) return;
        this.#certificates.set(event.text, describeEvent(event).replace(/\.$/, ''));
        check();
      });
      this.#meter.start();
    });
  }

  /** Whether it came out well; undefined while there is something to wait for. */
  #verdict(): boolean | undefined {
    const { servers, samples } = this.#options;
    if (this.#time === undefined || !servers.every((_, index) => this.#isDone(index))) return undefined;
    const { needed, status } = this.#time;
    // The meter would try again, later and later; who waits at a terminal wants to know now.
    if (this.#answered === 0 || this.#answered < needed) return false;
    const hasTime = this.#hasTime();
    if (hasTime && this.#isAgreed) return this.#isMarked && this.#isMeasured ? true : undefined;
    const least = Math.max(samples, conclusiveSamples);
    const enough = [...this.#reports].every(
      ([index, { counts }]) => !this.#isAnswered(index) || counts.authenticated >= least,
    );
    return enough && (hasTime || status === ClockStatus.Unsynchronised) ? false : undefined;
  }

  /** Whether as many servers agree as are needed, and more than contradict them. */
  get #isAgreed(): boolean {
    const { agreeing, needed } = this.#time!;
    return agreeing >= needed && agreeing > this.#contradicting;
  }

  /** Servers whose authenticated answers contradict the time; those of one may all lie before it, and so give no sample. */
  get #contradicting(): number {
    const contradicts = ({ source, counts }: ServerReport) =>
      (source.flags & SourceFlag.Disagrees) !== 0 ||
      (source.delayNs === 0n && counts.authenticated > 0 && counts.lastReject === Reject.BehindFloor);
    return [...this.#reports.values()].filter(contradicts).length;
  }

  /** Whether the meter has a time behind which no certificate stands that is still to be checked. */
  #hasTime(): boolean {
    const unproven = SourceFlag.Agrees | SourceFlag.DatesUnchecked;
    return (
      this.#time?.status === ClockStatus.Synchronised &&
      [...this.#reports.values()].every(({ source }) => (source.flags & unproven) !== unproven)
    );
  }

  /** Whether it is told of each server that answered if it agrees: that comes behind the report of the time. */
  get #isMarked(): boolean {
    const judged = SourceFlag.Agrees | SourceFlag.Disagrees;
    return [...this.#reports].every(([index, { source }]) => !this.#isAnswered(index) || (source.flags & judged) !== 0);
  }

  /** Whether each server that answered has an offset to the meter's clock: one that answered before the majority has none. */
  get #isMeasured(): boolean {
    return [...this.#reports].every(
      ([index, { source, counts }]) =>
        !this.#isAnswered(index) ||
        source.lastSyncUtcNs !== 0n ||
        source.state === SourceState.Stopped ||
        counts.sent >= this.#options.samples + offsetRequests,
    );
  }

  /** How many servers gave the samples asked for. */
  get #answered(): number {
    return this.#options.servers.filter((_, index) => this.#isAnswered(index)).length;
  }

  #isAnswered(index: number): boolean {
    const report = this.#reports.get(index);
    return report !== undefined && !this.#isRefused(index) && report.counts.authenticated >= this.#options.samples;
  }

  #isDone(index: number): boolean {
    const report = this.#reports.get(index);
    if (report === undefined) return false;
    const { source, counts } = report;
    const withoutKeys = source.aead === 0 && counts.keFailures > 0;
    return withoutKeys || source.state === SourceState.Stopped || this.#isRefused(index) || this.#isAnswered(index);
  }

  /** Whether its certificate did not hold at the time obtained. */
  #isRefused(index: number): boolean {
    const { host } = this.#options.servers[index]!;
    return this.#certificates.has(host) || this.#reports.get(index)?.counts.lastReject === Reject.Certificate;
  }

  #serverResult(server: HostPort, index: number): ServerResult {
    const report = this.#reports.get(index);
    const ok = this.#isAnswered(index) && !isUseless(report);
    return {
      server,
      ok,
      payload: report === undefined ? undefined : serverPayload(meterId, report),
      firstMs: this.#firstMs.get(index),
      reason: ok ? undefined : this.#reason(server, report),
    };
  }

  #reason({ host, port }: HostPort, report: ServerReport | undefined): string {
    const certificate = this.#certificates.get(host);
    if (certificate !== undefined) return certificate;
    const { lastKeError, lastReject } = report?.counts ?? { lastKeError: KeError.None, lastReject: Reject.None };
    if (lastKeError === KeError.Connection) {
      const text = this.#connections.get(`${host} ${port}`) ?? nameOf(keErrorNames, lastKeError).text;
      return `NTS key establishment failed: ${text}`;
    }
    if (lastKeError !== KeError.None) {
      return `NTS key establishment failed: ${nameOf(keErrorNames, lastKeError).text}`;
    }
    if (lastReject !== Reject.None) return `an answer was refused: ${nameOf(rejectNames, lastReject).text}`;
    return 'no answer came in time';
  }
}

/** Whether its answers were authenticated, and yet none of them gave a sample: all were refused for what they say. */
function isUseless(report: ServerReport | undefined): boolean {
  return report !== undefined && report.source.delayNs === 0n && report.counts.lastReject !== Reject.None;
}

function print(terminal: Terminal, result: SyncResult, verbose: boolean): void {
  const { servers, time } = result;
  if (verbose) terminal.print(...legend);
  terminal.print(
    ...formatTable(
      [
        { heading: '#' },
        { heading: 'Server' },
        { heading: 'Offset', align: 'right' },
        { heading: 'Delay', align: 'right' },
        { heading: 'St', align: 'right' },
        { heading: 'AEAD' },
        { heading: 'Cookies', align: 'right' },
        { heading: 'Took', align: 'right' },
      ],
      servers.map((server) => serverRow(server, time)),
    ),
    '',
    ...formatPairs([
      [
        'Offset',
        result.offsetNs === undefined || result.uncertaintyNs === undefined
          ? undefined
          : `${aroundNs(result.offsetNs, result.uncertaintyNs)} from this computer's clock`,
      ],
      ['Bound', result.boundNs === undefined ? undefined : plainNs(result.boundNs)],
      ['Clock', clockLine(terminal, result)],
      ['Servers', time && `${time.servers.agreeing} of ${time.servers.inUse} agree, ${time.servers.needed} needed`],
      ['Missing', missingText(result)],
      ['Took', result.firstMs === undefined ? undefined : plainNs(Math.round(result.firstMs * 1e6))],
    ]),
  );
  for (const { server, reason } of servers) {
    if (reason === undefined) continue;
    terminal.print(`${terminal.paint('red', '✗')} ${formatHostPort(server)}: ${printable(reason)}`);
  }
}

/** What stands between the meter and a time that counts. */
function missingText({ ok, time, contradicting }: SyncResult): string | undefined {
  if (ok || time === undefined) return undefined;
  const { missing, servers } = time;
  if (missing !== 'none') return waitingText({ missing, ...servers });
  // A meter that has the time goes on with it while servers contradict each other.
  if (servers.agreeing < servers.needed) return waitingText({ missing: 'majority', ...servers });
  return contradicting === 0 ? undefined : `waiting for servers that agree: ${contradicting} contradict the time`;
}

function clockLine(terminal: Terminal, { status, time }: SyncResult): string {
  const flags = time === undefined || time.flags.length === 0 ? '' : ` (${time.flags.map(printable).join(', ')})`;
  return `${clockText(terminal, nameOf(clockStatusNames, status).name)}${flags}`;
}

/** A server's own report may be from before another one was followed; that of the time knows which is. */
function markOf(payload: ServerPayload | undefined, time: TimePayload | undefined): string {
  if (payload === undefined) return '?';
  const followed = time?.server.number === payload.number;
  const flags = payload.flags.filter((flag) => flag !== 'reference');
  return serverMark({ ...payload, flags: followed ? [...flags, 'reference'] : flags }, hasMajority(time));
}

function serverRow({ server, payload, firstMs }: ServerResult, time: TimePayload | undefined): string[] {
  const nts = payload?.nts;
  const keys = nts !== undefined && nts.aeadName !== null;
  return [
    markOf(payload, time),
    formatHostPort(server),
    signedNs(payload?.offsetNs),
    plainNs(payload?.delayNs),
    String(payload?.stratum ?? '-'),
    keys ? shortAead(nts.aeadName!) : '-',
    keys ? `${nts.cookies} × ${nts.cookieBytes} B` : '-',
    firstMs === undefined ? '-' : plainNs(Math.round(firstMs * 1e6)),
  ];
}

function resultJson(result: SyncResult): object {
  const { ok, time, firstMs, totalMs } = result;
  return {
    ok,
    status: nameOf(clockStatusNames, result.status).name,
    flags: time?.flags ?? [],
    offsetNs: result.offsetNs ?? null,
    uncertaintyNs: result.uncertaintyNs ?? null,
    boundNs: result.boundNs ?? null,
    utc: result.utcNs === undefined ? null : utcText(result.utcNs, result.leapSecond),
    missing: time?.missing ?? null,
    agreeing: time?.servers.agreeing ?? 0,
    needed: time?.servers.needed ?? null,
    firstTimeMs: firstMs ?? null,
    totalMs,
    servers: result.servers.map(({ server, ok: answered, payload, firstMs: first, reason }) => ({
      server,
      ok: answered,
      mark: markOf(payload, time),
      firstAnswerMs: first ?? null,
      reason: reason ?? null,
      report: payload ?? null,
    })),
  };
}
