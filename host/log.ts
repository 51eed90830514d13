// Log records: one line each, for people on a terminal or as JSON for machines.
// A record never holds a secret: callers pass ids, counts, names and reasons, no keys, payloads or passwords.
// Text that came from outside (meters, servers) is stripped of control characters, so that it cannot forge lines.

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';
export type LogValue = string | number | bigint | boolean | undefined;
export type LogFields = Readonly<Record<string, LogValue>>;

export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** A logger whose records all carry these fields in front. */
  child(fields: LogFields): Logger;
}

export interface LogRecord {
  readonly time: Date;
  readonly level: LogLevel;
  readonly message: string;
  readonly fields: LogFields;
}

/** What a log is written to: process.stderr or anything like it. */
export interface LogStream {
  write(text: string): unknown;
  readonly isTTY?: boolean;
}

export interface LoggerOptions {
  /** Records below this level are not written; `info` by default. */
  readonly level?: LogLevel;
  /** One JSON object a line instead of text for people. */
  readonly json?: boolean;
  /** stderr by default: stdout belongs to results. */
  readonly stream?: LogStream;
  /** Colour; by default on a terminal unless NO_COLOR is set. */
  readonly colour?: boolean;
}

const order: Record<LogLevel, number> = { debug: 0, info: 1, warn: 2, error: 3 };
const paint: Record<LogLevel, string> = { debug: '2', info: '36', warn: '33', error: '31' };

/** A logger that writes records of `level` and above to `stream`. */
export function createLogger(options: LoggerOptions = {}): Logger {
  const stream = options.stream ?? process.stderr;
  const colour = options.colour ?? (stream.isTTY === true && !process.env.NO_COLOR);
  const least = order[options.level ?? 'info'];
  const format = options.json ? formatJson : (record: LogRecord) => formatLine(record, colour);
  return loggerTo((record) => {
    if (order[record.level] >= least) stream.write(`${format(record)}\n`);
  });
}

/** A logger that hands each record to `take`. */
export function loggerTo(take: (record: LogRecord) => void, fields: LogFields = {}): Logger {
  const at =
    (level: LogLevel) =>
    (message: string, more: LogFields = {}) =>
      take({ time: new Date(), level, message, fields: { ...fields, ...more } });
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: (more) => loggerTo(take, { ...fields, ...more }),
  };
}

/** Writes nothing. */
export const silentLogger: Logger = loggerTo(() => {});

/** `2026-11-22T02:31:42.123Z warn  message  key=value` */
export function formatLine(record: LogRecord, colour = false): string {
  const dim = (text: string) => (colour ? `\x1b[2m${text}\x1b[0m` : text);
  const level = record.level.padEnd(5);
  const parts = [
    dim(record.time.toISOString()),
    colour ? `\x1b[${paint[record.level]}m${level}\x1b[0m` : level,
    clean(record.message),
  ];
  const fields = Object.entries(record.fields)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${key}=${quoteWhereNeeded(clean(String(value)))}`);
  return fields.length === 0 ? parts.join(' ') : `${parts.join(' ')}  ${dim(fields.join(' '))}`;
}

/** One JSON object; big integers become decimal strings. */
export function formatJson(record: LogRecord): string {
  return JSON.stringify(
    { time: record.time.toISOString(), level: record.level, message: record.message, ...record.fields },
    (_key, value) => (typeof value === 'bigint' ? value.toString() : value),
  );
}

function quoteWhereNeeded(text: string): string {
  return /^[^\s"=]+$/.test(text) ? text : JSON.stringify(text);
}

function clean(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, '\ufffd');
}
