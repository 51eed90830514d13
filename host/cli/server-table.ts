// A meter's time servers as tables: what stands between them and the meter, as `chronyc sources` and `chronyc -N
// authdata` show it. Always holds: the tables are no wider than 80 columns or the terminal; names are cut for that, and
// stand whole where there is more to say of a server.
import type { ServerPayload, TimePayload } from '../mqtt/payloads.ts';
import { shortAead } from '../provision/aeads.ts';
import { keErrorNames, textOfName } from '../text/names.ts';
import { type Column, formatTable, leastColumns, tableColumns, tableWidth, wrapText } from '../text/table.ts';
import { printable, type Terminal } from './terminal.ts';
import { ageText, plainNs, reachText, secondsSince, signedNs } from './units.ts';

/** Explains the marks and columns. */
export const serverLegend = `
  #       number and mark:
          *  followed: agrees, and its path is taken for symmetric
          +  agrees and counts: each of its samples is weighed by its delay
          ~  agrees, but its last sample is too far off to count
          -  heard, but not counted: refused, or too few servers agree
          x  falseticker: contradicts the majority, or the clock where it is alone
          ?  not heard in the last eight polls, or no keys
  State   of its keys; waiting until a key establishment is tried again
  St      stratum                         AEAD    algorithm of the keys
  Poll    interval of the polls           Bits    of each key
  Reach   eight last polls, octal: 377    Age     of the keys
          is all answered                 KE      key establishments tried
  Offset  server minus meter, of the      Fail    key establishments failed
          last authenticated sample       NAK     cookies that it did not know
  Delay   round trip of that sample       Cook    cookies held
  Last    since that sample               CLen    bytes of the next cookie
  Sent    requests                        Auth    authenticated answers
  Refused answers, also authenticated     (so Auth and Refused may count one
          ones for what they say          answer both)
`
  .trimEnd()
  .split('\n');

/** However wide the other columns become, this much of a name is left. */
const leastName = 12;

/** What a mark is made from. */
export interface Marked extends Pick<ServerPayload, 'flags' | 'reach'> {
  readonly nts: Pick<ServerPayload['nts'], 'aead'>;
}

/** A server's mark, as chronyc has them; `majority`: whether as many servers agree as have to. */
export function serverMark({ flags, reach, nts }: Marked, majority: boolean): string {
  if (flags.includes('disagrees')) return 'x';
  if (flags.includes('agrees') && majority) {
    if (flags.includes('strays')) return '~';
    return flags.includes('reference') ? '*' : '+';
  }
  return nts.aead !== null && reach.includes('1') ? '-' : '?';
}

/** Whether as many servers agree as have to, by what the meter said last. */
export function hasMajority(time: Pick<TimePayload, 'flags'> | null | undefined): boolean {
  return time?.flags.includes('no-majority') !== true;
}

const styles = { '*': 'green', '+': 'green', '~': 'yellow', '-': 'yellow', x: 'red', '?': 'yellow' } as const;

/** State, and how long a server that waits does so still. */
export function serverState({ state, retrySeconds }: Pick<ServerPayload, 'state' | 'retrySeconds'>): string {
  return retrySeconds === null ? printable(state) : `${printable(state)} ${ageText(retrySeconds)}`;
}

/** The servers' tables, and a note for each that there is more to say of. */
export function serverLines(terminal: Terminal, servers: readonly ServerPayload[], majority: boolean): string[] {
  if (servers.length === 0) return [];
  const tables = [
    { columns: sourceColumns, rows: servers.map(sourceCells) },
    { columns: keyColumns, rows: servers.map(keyCells) },
    { columns: answerColumns, rows: servers.map(answerCells) },
  ];
  const others = Math.max(...tables.map(({ columns, rows }) => tableWidth(columns, rows)));
  const name = Math.max(leastName, tableColumns(terminal) - others - '#n'.length - 4);
  const begins = servers.map((server) => begin(terminal, server, name, majority));
  const lines = tables.flatMap(({ columns, rows }) => [
    '',
    ...formatTable(
      [{ heading: '#' }, { heading: 'Server' }, ...columns],
      rows.map((row, index) => [...begins[index]!, ...row]),
    ),
  ]);
  return [...lines.slice(1), ...notes(servers)];
}

function begin(terminal: Terminal, server: ServerPayload, nameColumns: number, majority: boolean): [string, string] {
  const mark = serverMark(server, majority);
  const name = [...printable(server.ke ?? '-')];
  const shown = name.length > nameColumns ? `${name.slice(0, nameColumns - 1).join('')}…` : name.join('');
  return [`${server.number}${terminal.paint(styles[mark as keyof typeof styles], mark)}`, shown];
}

const right = (heading: string): Column => ({ heading, align: 'right' });

const sourceColumns: readonly Column[] = [
  { heading: 'State' },
  ...['St', 'Poll', 'Reach', 'Offset', 'Delay', 'Last'].map(right),
];

function sourceCells(server: ServerPayload): string[] {
  return [
    serverState(server),
    String(server.stratum ?? '-'),
    server.nts.aead === null ? '-' : ageText(server.pollSeconds),
    reachText(server.reach),
    signedNs(server.offsetNs),
    plainNs(server.delayNs),
    ageText(secondsSince(server.lastSampleUtcNs)),
  ];
}

const keyColumns: readonly Column[] = [
  { heading: 'AEAD' },
  ...['Bits', 'Age', 'KE', 'Fail', 'NAK', 'Cook', 'CLen'].map(right),
];

function keyCells({ nts, counters }: ServerPayload): string[] {
  return [
    nts.aeadName === null ? 'no keys' : printable(shortAead(nts.aeadName)),
    String(nts.keyBits ?? '-'),
    ageText(secondsSince(nts.keysSinceUtcNs)),
    String(counters.keAttempts),
    String(counters.keFailures),
    String(counters.naks),
    String(nts.cookies),
    String(nts.cookieBytes),
  ];
}

const answerColumns: readonly Column[] = [...['Sent', 'Auth', 'Refused'].map(right)];

function answerCells({ counters }: ServerPayload): string[] {
  return [counters.sent, counters.authenticated, counters.rejected].map(String);
}

function notes(servers: readonly ServerPayload[]): string[] {
  const lines = servers.flatMap((server) => {
    const { number, ke, ntp } = server;
    const said = [
      ...(ntp !== null && (ntp.host !== ke || ntp.port !== 123)
        ? [`NTP at ${printable(ntp.host)}, port ${ntp.port}`]
        : []),
      ...(server.flags.includes('dates-unchecked') ? ["certificate's dates not checked yet"] : []),
      ...(server.flags.includes('restored') ? ['keys from before the start'] : []),
      ...(server.leap === null || server.leap === 'none' ? [] : [`leap second: ${printable(server.leap)}`]),
      ...Object.entries(server.rejected).map(([reason, times]) => `${times} refused: ${printable(reason)}`),
      ...(server.lastKiss === null ? [] : [`last kiss code ${printable(server.lastKiss)}`]),
      ...(server.lastKeError === 'none'
        ? []
        : [`last failed key establishment: ${printable(textOfName(keErrorNames, server.lastKeError))}`]),
    ];
    return said.length === 0 ? [] : wrapped(`${number}  ${printable(ke ?? '-')}: `, said);
  });
  return lines.length === 0 ? [] : ['', ...lines];
}

const indent = '   ';

/** Items behind one another, in lines of at most 80 columns. */
function wrapped(begin: string, items: readonly string[]): string[] {
  const lines: string[] = [];
  let line = begin;
  for (const [index, item] of items.entries()) {
    const text = `${item}${index === items.length - 1 ? '' : '; '}`;
    if (line.length + text.trimEnd().length > leastColumns) {
      lines.push(line.trimEnd());
      line = indent;
    }
    // One that is longer than a line goes on in the next.
    const [last = '', ...others] = wrapText(text.trimEnd(), leastColumns - indent.length).reverse();
    lines.push(...others.reverse().map((each, at) => `${at === 0 ? line : indent}${each}`));
    line = `${others.length === 0 ? line : indent}${last}${text.endsWith(' ') ? ' ' : ''}`;
  }
  return [...lines, line];
}
