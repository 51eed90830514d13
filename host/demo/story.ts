// What the demo prints: headings, paragraphs, and one line for each thing that happens, with its mark and the seconds
// since the start. On a terminal the lines at the bottom (what goes on, the last reports) are rewritten in place; elsewhere
// what lasts is told again every ten seconds. With JSON each happening is one object on a line.
import { paragraphWidth, wrap } from '../../scripts/lib/wrap.mjs';
import { printable, type Sink, type Style, Terminal } from '../cli/terminal.ts';

/** ok: it worked; refused: turned away, as it should be; note: for information; failed: the demo cannot go on. */
export type Mark = 'ok' | 'refused' | 'note' | 'failed';

const marks: Record<Mark | 'busy', { sign: string; style: Style }> = {
  ok: { sign: '✓', style: 'green' },
  refused: { sign: '✗', style: 'red' },
  note: { sign: '·', style: 'dim' },
  failed: { sign: '!', style: 'red' },
  busy: { sign: '…', style: 'yellow' },
};

/** What the marks mean, for people. */
export const legend = '✓ done or accepted   ✗ refused   … under way';

export interface StoryOptions {
  readonly sink: Sink;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Date.now() at the start of the demo. */
  readonly startedMs: number;
  readonly json: boolean;
}

const whoWidth = 9;
const longestLine = 110;
const lineWithoutTerminal = 100;
/** Without a terminal, what lasts is told after this long, and again after each further `againMs`. */
const quietMs = 2_000;
const againMs = 10_000;
const redrawMs = 250;
/** Room for what the terminal itself writes behind the last line when Ctrl-C is typed. */
const echoWidth = 3;

export class Story {
  readonly #options: StoryOptions;
  readonly #terminal: Terminal;
  readonly #live: boolean;
  /** Lines at the bottom of the terminal now. */
  #shown = 0;
  #bottom: () => string[] = () => [];
  #act = '';

  constructor(options: StoryOptions) {
    this.#options = options;
    this.#terminal = new Terminal({ stdout: options.sink, stderr: options.sink, env: options.env });
    this.#live = options.sink.isTTY === true && options.env.TERM !== 'dumb' && !options.json;
  }

  /** Whether lines at the bottom are rewritten in place. */
  get isLive(): boolean {
    return this.#live;
  }

  /** Seconds since the start of the demo. */
  get seconds(): number {
    return (Date.now() - this.#options.startedMs) / 1000;
  }

  heading(text: string): void {
    this.#act = text;
    if (!this.#options.json) this.#print('', ...this.#paragraph(text).map((line) => this.paint('bold', line)));
  }

  paragraph(text: string): void {
    if (!this.#options.json) this.#print(...this.#paragraph(text));
  }

  /** Something happened. `facts` are for JSON. */
  line(who: string, mark: Mark, text: string, facts: object = {}): void {
    if (this.#options.json) {
      this.#json({ who, mark, text, ...facts });
      return;
    }
    this.#print(...this.#format(who, mark, text));
  }

  /** Lines below the last happening, in its column; long ones are wrapped. */
  details(lines: readonly string[], facts: object = {}): void {
    if (this.#options.json) this.#json({ details: lines, ...facts });
    else {
      const width = this.#width - 5;
      this.#print(...lines.flatMap((line) => wrap(line, width, 2).map((part) => `    ${this.#dim(part)}`)));
    }
  }

  /** Lines that are to be read as they are, such as commands. */
  verbatim(...lines: string[]): void {
    if (this.#options.json) this.#json({ lines });
    else this.#print(...lines);
  }

  /**
   * Shows that something is under way while `work` lasts.
   * @param text as a function, which changes by itself, it is told later where there is no terminal
   */
  async during<T>(who: string, text: string | (() => string), work: () => Promise<T>): Promise<T> {
    const beganMs = performance.now();
    const label = () => {
      if (typeof text === 'function') return text();
      const seconds = Math.round((performance.now() - beganMs) / 1000);
      return seconds < 1 ? text : `${text} (${seconds} s)`;
    };
    const patienceMs = typeof text === 'function' ? againMs : quietMs;
    let lastMs = Number.NEGATIVE_INFINITY;
    const beat = setInterval(() => {
      if (this.#live) return this.#redraw();
      const nowMs = performance.now();
      if (nowMs - beganMs < patienceMs || nowMs - lastMs < againMs) return;
      lastMs = nowMs;
      if (this.#options.json) this.#json({ who, mark: 'busy', text: label() });
      else this.#print(...this.#format(who, 'busy', label()));
    }, redrawMs);
    const before = this.#bottom;
    this.bottom(() => this.#format(who, 'busy', label()).slice(0, 1));
    try {
      return await work();
    } finally {
      clearInterval(beat);
      this.bottom(before);
    }
  }

  /** The lines at the bottom of the terminal from now on; asked for whenever something is drawn. */
  bottom(lines: () => string[]): void {
    this.#bottom = lines;
    this.#redraw();
  }

  /** Lines for the bottom: a text in its column behind a name. */
  named(name: string, text: string): string[] {
    const indent = 2 + name.length + 2;
    const [first = '', ...others] = wrap(printable(text), this.#width - indent - echoWidth);
    return [`  ${this.paint(whoStyle(name), name)}  ${first}`, ...others.map((line) => ' '.repeat(indent) + line)];
  }

  /** Takes the lines at the bottom away, for good. */
  end(): void {
    this.bottom(() => []);
  }

  paint(style: Style, text: string): string {
    return this.#terminal.paint(style, text);
  }

  #paragraph(text: string): string[] {
    return wrap(text, Math.min(this.#width - 1, paragraphWidth));
  }

  /** One line of the story, wrapped; `mark` with its colour. */
  #format(who: string, mark: Mark | 'busy', text: string): string[] {
    const { sign, style } = marks[mark];
    const seconds = `${this.seconds.toFixed(1).padStart(5)} s`;
    const indent = seconds.length + 2 + whoWidth + 1 + 2;
    const [first = '', ...others] = wrap(printable(text), this.#width - indent - 1);
    const begin = `${this.#dim(seconds)}  ${this.paint(whoStyle(who), who.padEnd(whoWidth))} ${this.paint(style, sign)} `;
    return [begin + first, ...others.map((line) => ' '.repeat(indent) + line)];
  }

  #dim(text: string): string {
    return this.#terminal.paint('dim', text);
  }

  get #width(): number {
    return Math.min(this.#terminal.columns ?? lineWithoutTerminal, longestLine);
  }

  #json(value: object): void {
    // As the commands print JSON: of 64-bit integers, only those are texts that a number cannot hold exactly.
    this.#terminal.printJson({ seconds: Number(this.seconds.toFixed(3)), act: this.#act, ...value }, 0);
  }

  #print(...lines: string[]): void {
    this.#erase();
    this.#options.sink.write(lines.map((line) => `${line}\n`).join(''));
    this.#draw();
  }

  #redraw(): void {
    this.#erase();
    this.#draw();
  }

  #draw(): void {
    if (!this.#live) return;
    const lines = this.#bottom();
    if (lines.length === 0) return;
    this.#options.sink.write(lines.map((line) => cut(line, (this.#options.sink.columns ?? 80) - echoWidth)).join('\n'));
    this.#shown = lines.length;
  }

  #erase(): void {
    if (this.#shown === 0) return;
    const up = this.#shown > 1 ? `\x1b[${this.#shown - 1}A` : '';
    this.#shown = 0;
    this.#options.sink.write(`${up}\r\x1b[J`);
  }
}

function whoStyle(who: string): Style {
  if (who.startsWith('meter')) return 'cyan';
  return who === 'attacker' ? 'red' : 'bold';
}

/** The first `width` characters of a line; its colours stay whole. */
function cut(line: string, width: number): string {
  let left = width;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: colours are control sequences
  return line.replace(/\x1b\[\d+m|./gsu, (part) => (part.startsWith('\x1b') ? part : left-- > 0 ? part : ''));
}
