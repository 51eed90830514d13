// What a command prints: results on stdout, everything else on stderr; colour only on a terminal and never with
// NO_COLOR. Text from outside (servers, meters, brokers) goes through `printable` before it is shown.

/** A stream to write to: process.stdout or anything like it. */
export interface Sink {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

export interface TerminalOptions {
  readonly stdout: Sink;
  readonly stderr: Sink;
  readonly env: Readonly<Record<string, string | undefined>>;
}

export type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan';
const codes: Record<Style, [number, number]> = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  cyan: [36, 39],
};

/** After this long a running command says what it is doing. */
const quietMs = 2000;

export class Terminal {
  readonly #stdout: Sink;
  readonly #stderr: Sink;
  readonly #colour: boolean;
  readonly #live: boolean;
  #statusShown = false;

  constructor({ stdout, stderr, env }: TerminalOptions) {
    this.#stdout = stdout;
    this.#stderr = stderr;
    const plain = (env.NO_COLOR ?? '') !== '' || env.TERM === 'dumb';
    this.#colour = stdout.isTTY === true && !plain;
    this.#live = stderr.isTTY === true && env.TERM !== 'dumb';
  }

  /** Width of the terminal, or undefined where there is none. */
  get columns(): number | undefined {
    return this.#stdout.isTTY === true ? this.#stdout.columns : undefined;
  }

  /** Marks text where colour is shown. */
  paint(style: Style, text: string): string {
    if (!this.#colour || text === '') return text;
    const [on, off] = codes[style];
    return `\x1b[${on}m${text}\x1b[${off}m`;
  }

  /** Lines of the result. */
  print(...lines: string[]): void {
    this.#clearStatus();
    for (const line of lines) this.#stdout.write(`${line}\n`);
  }

  /** The result as one JSON value; `indent` 0 puts it on one line. */
  printJson(value: unknown, indent = 2): void {
    this.#clearStatus();
    this.#stdout.write(`${JSON.stringify(value, jsonValue, indent)}\n`);
  }

  /** Lines beside the result: notes, warnings, errors. */
  note(...lines: string[]): void {
    this.#clearStatus();
    for (const line of lines) this.#stderr.write(`${line}\n`);
  }

  /**
   * Shows on stderr what goes on, once it takes longer than two seconds: rewritten in place on a terminal, else a new
   * line every ten seconds. Nothing is shown while the text is empty.
   */
  async during<T>(text: () => string, work: () => Promise<T>): Promise<T> {
    const beginMs = performance.now();
    let lastMs = Number.NEGATIVE_INFINITY;
    const show = (): void => {
      const nowMs = performance.now();
      if (nowMs - beginMs < quietMs || (!this.#live && nowMs - lastMs < 10_000)) return;
      const what = text();
      if (what === '') {
        this.#clearStatus();
        return;
      }
      lastMs = nowMs;
      const line = `${what} (${Math.round((nowMs - beginMs) / 1000)} s)`;
      if (this.#live) {
        this.#stderr.write(`\r\x1b[K${line.slice(0, (this.#stderr.columns ?? 80) - 1)}`);
        this.#statusShown = true;
      } else this.#stderr.write(`${line}\n`);
    };
    const timer = setInterval(show, 250);
    try {
      return await work();
    } finally {
      clearInterval(timer);
      this.#clearStatus();
    }
  }

  #clearStatus(): void {
    if (!this.#statusShown) return;
    this.#statusShown = false;
    this.#stderr.write('\r\x1b[K');
  }
}

/** JSON has no 64-bit integers: numbers where they are exact, else decimal text. Bytes become hexadecimal digits. */
function jsonValue(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : value.toString();
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  return value;
}

/** Text from outside without anything that a terminal would act on or that would feign other text. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}]/gu, '\ufffd');
}
