// metertime ke HOST: one NTS key establishment, every record explained.
import { Command } from 'commander';
import { Failure, KeError } from '../../as/abi/codes.ts';
import type { CertificateSummary } from '../net/certificate.ts';
import { isoTime } from '../net/certificate-path.ts';
import { loadTrustAnchors } from '../net/trust-anchors.ts';
import { knownAeads } from '../provision/aeads.ts';
import { type HostPort, ntsKePort, parseHostPort } from '../provision/host-port.ts';
import { aeadKeyBits, aeadName, failureNames, keErrorNames, nameOf } from '../text/names.ts';
import { formatPairs, formatTableWrapped, tableColumns } from '../text/table.ts';
import { type Context, collect, withHelp } from './context.ts';
import { usageError } from './errors.ts';
import { ExitCode } from './exit-codes.ts';
import { type KeRecord, readKeRecords } from './ke-records.ts';
import { type KeSession, type KeVerdict, runKeSession } from './ke-session.ts';
import { aeadOption, seconds } from './options.ts';
import { printable, type Terminal } from './terminal.ts';

interface Options {
  ca: string[];
  ignoreDates?: boolean;
  aead?: number[];
  timeout: number;
  json?: boolean;
}

export function keCommand(context: Context): Command {
  const command = new Command('ke')
    .summary('one NTS key establishment, every record explained')
    .description(
      'Does one NTS key establishment (RFC 8915 4) with a server and explains it: address, TLS version and cipher, certificate path, every record of request and answer, what was negotiated, times. Whether it succeeded is what the core of a meter says.',
    )
    .argument('<host[:port]>', `NTS-KE server; port ${ntsKePort} unless given`)
    .option('--ca <file>', 'further certificate authorities (PEM)', collect, [])
    .option('--ignore-dates', "do not check certificate dates (otherwise: at this computer's time)")
    .addOption(aeadOption())
    .option('--timeout <seconds>', 'give up after this long', seconds, 20)
    .option('--json', 'print the result as JSON')
    .action((server: string, options: Options) => ke(context, server, options));
  return withHelp(command, {
    examples: [
      ['ke time.example', 'port 4460'],
      ['ke time.example --aead AES-SIV-CMAC-512,15', 'with other algorithms than a meter offers by itself'],
      ['ke 127.0.0.1:4460 --ca lab-ca.pem', 'a server of a certificate authority of your own'],
    ],
    exitCodes: [ExitCode.Ok, ExitCode.Failed, ExitCode.Usage, ExitCode.Interrupted],
  });
}

/** HOST[:PORT] of the command line. */
export function serverArgument(text: string): HostPort {
  try {
    return parseHostPort(text);
  } catch (error) {
    throw usageError((error as Error).message);
  }
}

async function ke(context: Context, text: string, options: Options): Promise<void> {
  const { terminal, signal } = context;
  const server = serverArgument(text);
  const anchors = loadTrustAnchors({ system: true, files: options.ca });
  const session = await terminal.during(
    () => `key establishment with ${text}`,
    () =>
      runKeSession({
        server,
        anchors,
        aeads: options.aead,
        validAt: options.ignoreDates ? undefined : BigInt(Math.floor(Date.now() / 1000)),
        timeoutMs: options.timeout * 1000,
        signal,
      }),
  );
  if (signal.aborted) {
    context.exitCode = ExitCode.Interrupted;
    return;
  }
  if (!session.verdict.ok) context.exitCode = ExitCode.Failed;
  if (options.json) terminal.printJson(sessionJson(server, options.aead ?? knownAeads, session));
  else terminal.print(...sessionLines(terminal, server, session, options.ignoreDates !== true));
}

/** Why the connection failed, where that is why it all failed. */
function connectionFailure({ verdict, closed }: KeSession): Failure | undefined {
  if (verdict.ok) return undefined;
  if (verdict.error === KeError.Connection) return verdict.code;
  return verdict.error === KeError.Alpn ? closed?.failure : undefined;
}

/** Why it failed, in words; the details where the connection had some. */
function failureText(session: KeSession): string {
  const { verdict, closed } = session;
  if (verdict.ok) return '';
  const { text } = nameOf(keErrorNames, verdict.error);
  const failure = connectionFailure(session);
  if (failure === undefined) return verdict.code === 0 ? text : `${text} (${verdict.code})`;
  const detail = closed === undefined || closed.detail === '' ? '' : `: ${printable(closed.detail)}`;
  return `${verdict.error === KeError.Connection ? nameOf(failureNames, failure).text : text}${detail}`;
}

function sessionLines(terminal: Terminal, server: HostPort, session: KeSession, datesChecked: boolean): string[] {
  const { details, verdict } = session;
  const lines = [terminal.paint('bold', `NTS key establishment with ${server.host}, port ${server.port}`)];
  if (details !== undefined) {
    const { addresses, remote, timings } = details;
    const others = addresses.map(({ address }) => address).filter((address) => address !== remote?.address);
    lines.push(
      ...formatPairs([
        [
          'Address',
          remote === undefined ? undefined : `${remote.address}${others.length ? ` (also ${others.join(', ')})` : ''}`,
        ],
        ['TLS', details.version === undefined ? undefined : `${details.version.replace('v', ' ')}, ${details.cipher}`],
        ['ALPN', details.version === undefined ? undefined : (details.alpn && printable(details.alpn)) || 'none'],
        ['DNS lookup', ms(timings.dnsMs)],
        ['TCP connection', ms(timings.connectMs)],
        ['TLS handshake', ms(timings.handshakeMs)],
        ['Certificate check', ms(timings.verifyMs)],
        ['Records', ms(session.recordsMs)],
        ['All together', ms(session.totalMs)],
      ]),
      '',
      ...certificateLines(terminal, session, datesChecked),
    );
  }
  lines.push(
    ...recordLines(terminal, 'Request', session.request),
    ...recordLines(terminal, 'Answer', session.answer),
    ...exportLines(terminal, session),
    ...negotiatedLines(terminal, session),
    verdictLine(terminal, session, verdict, datesChecked),
  );
  return lines;
}

function ms(value: number | undefined): string | undefined {
  return value === undefined ? undefined : `${value.toFixed(1)} ms`;
}

function certificateLines(terminal: Terminal, { details, closed }: KeSession, datesChecked: boolean): string[] {
  if (details === undefined || details.sent.length === 0) return [];
  const verified = details.path !== undefined;
  const chain = details.path?.path ?? details.sent;
  const nowSeconds = BigInt(Math.floor(Date.now() / 1000));
  const failure = closed?.failure ?? Failure.Tls;
  const why = failure === Failure.Expired ? datesText(datesChecked) : nameOf(failureNames, failure).name;
  const title = verified
    ? `Certificates, from the server to the trust anchor: ${terminal.paint('green', 'verified')}${datesChecked ? '' : ', dates not checked'}`
    : `Certificates as the server sent them: ${terminal.paint('red', `not verified (${why})`)}`;
  return [
    terminal.paint('bold', title),
    ...chain.flatMap((certificate, index) => [
      `  ${index}  ${oneLine(certificate.subject)}`,
      ...(index === 0 ? [`     for ${printable(certificate.subjectAltNames) || 'no name'}`] : []),
      `     issued by ${oneLine(certificate.issuer)}`,
      `     ${certificate.key}, valid from ${isoTime(certificate.notBefore)} to ${isoTime(certificate.notAfter)} (${validityText(terminal, certificate, nowSeconds)})`,
      ...(index === 0 ? [`     SHA-256 ${certificate.sha256}`] : []),
    ]),
    '',
  ];
}

/** What is wrong with dates: too early, too late, or no time at which all of the path is valid. */
function datesText(datesChecked: boolean): string {
  return datesChecked ? 'not valid now' : 'valid at no time';
}

/** node prints each part of a name on a line of its own. */
function oneLine(name: string): string {
  return printable(name.replaceAll('\n', ', '));
}

function validityText(terminal: Terminal, { notBefore, notAfter }: CertificateSummary, nowSeconds: bigint): string {
  if (nowSeconds < notBefore) {
    return terminal.paint('red', `not valid for another ${spanText(notBefore - nowSeconds)}`);
  }
  if (nowSeconds > notAfter) return terminal.paint('red', `expired ${spanText(nowSeconds - notAfter)} ago`);
  const left = `${spanText(notAfter - nowSeconds)} left`;
  return notAfter - nowSeconds < 14n * 86_400n ? terminal.paint('yellow', left) : left;
}

/** `3 days`, `47 hours`, `119 minutes`, `1 second`: in the largest unit of which there are two. */
function spanText(seconds: bigint): string {
  const units = [
    ['day', 86_400n],
    ['hour', 3_600n],
    ['minute', 60n],
    ['second', 1n],
  ] as const;
  const [unit, size] = units.find(([, each]) => seconds >= 2n * each) ?? units[3];
  const count = seconds / size;
  return `${count} ${unit}${count === 1n ? '' : 's'}`;
}

function recordLines(terminal: Terminal, title: string, bytes: Uint8Array): string[] {
  if (bytes.length === 0) return [];
  const { records, rest } = readKeRecords(bytes);
  const groups: { record: KeRecord; count: number }[] = [];
  for (const record of records) {
    const last = groups.at(-1);
    if (last !== undefined && JSON.stringify(last.record) === JSON.stringify(record)) last.count++;
    else groups.push({ record, count: 1 });
  }
  return [
    terminal.paint('bold', `${title}, ${bytes.length} bytes`),
    ...formatTableWrapped(
      tableColumns(terminal),
      [
        { heading: '' },
        { heading: 'Type', align: 'right' },
        { heading: 'C' },
        { heading: 'Record' },
        { heading: 'Says' },
      ],
      groups.map(({ record, count }) => [
        count > 1 ? `${count} ×` : '',
        String(record.type),
        record.critical ? '!' : '',
        record.name,
        record.text,
      ]),
    ),
    ...(rest > 0 ? [`${rest} bytes follow that are no whole record`] : []),
    '',
  ];
}

function exportLines(terminal: Terminal, { exports }: KeSession): string[] {
  if (exports.length === 0) return [];
  return [
    terminal.paint('bold', 'Keys exported from TLS (not shown)'),
    ...exports.map(({ spare, label, context, bytes }) => {
      const direction =
        context[4] === 0 ? 'client to server' : context[4] === 1 ? 'server to client' : 'unknown direction';
      return `  ${bytes} bytes, ${direction}: label ${printable(label)}, context ${Buffer.from(context).toString('hex')}${spare ? ' (spare)' : ''}`;
    }),
    '',
  ];
}

/** What both sides agreed on; undefined where they did not. */
interface Negotiated {
  readonly aead: number;
  /** Of AEAD 30: whether the server answered record 1024. */
  readonly compliantExporter: boolean | undefined;
  /** The AEAD that the exporter's context names (RFC 8915 5.1). */
  readonly contextAead: number | undefined;
}

const gcmSiv = 30;

/** From what the core asked for: it names in the context what it made of the server's answer. */
function negotiated({ verdict, exports }: KeSession): Negotiated | undefined {
  if (!verdict.ok) return undefined;
  const { aead } = verdict;
  const context = exports.find(({ spare }) => !spare)?.context;
  const contextAead = context === undefined ? undefined : Buffer.from(context).readUInt16BE(2);
  return { aead, contextAead, compliantExporter: aead === gcmSiv ? contextAead === gcmSiv : undefined };
}

function negotiatedLines(terminal: Terminal, session: KeSession): string[] {
  const result = negotiated(session);
  if (result === undefined) return [];
  const { aead, compliantExporter, contextAead } = result;
  const named = contextAead === undefined ? '-' : `names ${aeadName(contextAead)} (${contextAead})`;
  const compliant = contextAead === aead ? 'as RFC 8915 5.1 says' : 'as servers without record 1024 do';
  return [
    terminal.paint('bold', 'Negotiated'),
    ...formatPairs([
      ['  AEAD', `${aeadName(aead)} (${aead}), keys of ${aeadKeyBits(aead)} bits`],
      ['  Record 1024', compliantExporter === undefined ? undefined : compliantExporter ? 'echoed' : 'not echoed'],
      ['  Exporter context', `${named}, ${compliant}`],
    ]),
    '',
  ];
}

const hints: Partial<Record<Failure, string>> = {
  [Failure.Untrusted]: 'If the server has a certificate authority of its own, add it with --ca FILE.',
  [Failure.Expired]: "Dates are checked at this computer's time; --ignore-dates looks at the rest.",
};

function verdictLine(terminal: Terminal, session: KeSession, verdict: KeVerdict, datesChecked: boolean): string {
  if (!verdict.ok) {
    const failure = connectionFailure(session);
    const isHint = failure !== undefined && (failure !== Failure.Expired || datesChecked);
    const hint = isHint ? hints[failure] : undefined;
    return `${terminal.paint('red', '✗ failed')}: ${failureText(session)}${hint === undefined ? '' : `\n${hint}`}`;
  }
  return `${terminal.paint('green', '✓ keys established')}: ${aeadName(verdict.aead)}, ${verdict.cookies} cookies`;
}

function sessionJson(server: HostPort, offered: readonly number[], session: KeSession): object {
  const { details, verdict, request, answer, exports } = session;
  const failure = connectionFailure(session);
  const records = (bytes: Uint8Array): object => {
    const { records: found, rest } = readKeRecords(bytes);
    return { bytes: bytes.length, records: found, incompleteBytes: rest };
  };
  return {
    server,
    ok: verdict.ok,
    offered,
    ...(verdict.ok
      ? {
          aead: verdict.aead,
          aeadName: aeadName(verdict.aead),
          cookies: verdict.cookies,
          negotiated: negotiated(session),
        }
      : {
          error: nameOf(keErrorNames, verdict.error).name,
          ...(failure === undefined ? { code: verdict.code } : { failure: nameOf(failureNames, failure).name }),
          message: failureText(session),
        }),
    ...(details === undefined
      ? {}
      : {
          addresses: details.addresses.map(({ address }) => address),
          address: details.remote?.address ?? null,
          tls: { version: details.version ?? null, cipher: details.cipher ?? null, alpn: details.alpn ?? null },
          certificates: {
            verified: details.path !== undefined,
            path: (details.path?.path ?? details.sent).map((certificate) => ({
              ...certificate,
              notBefore: isoTime(certificate.notBefore),
              notAfter: isoTime(certificate.notAfter),
            })),
          },
          timings: { ...details.timings, recordsMs: session.recordsMs, totalMs: session.totalMs },
        }),
    request: records(request),
    answer: records(answer),
    exports: exports.map(({ spare, label, context, bytes }) => ({ spare, label, context, bytes })),
  };
}
