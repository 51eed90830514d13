// Names to addresses by the system's resolver: getaddrinfo with its hosts file, nsswitch.conf, search list and sorting
// (RFC 6724). It cannot be cancelled and may never end, as when a DNS server takes a TCP connection and says nothing.
// So it runs in processes of its own, which are ended with what hangs in them.
//
// What always holds:
// - A lookup has a place until its asker gives up and no longer holds up any other. 128 run at once; more wait in order.
// - A process is started when there is something to ask, and ends when it has been idle, when all its places hang, and
//   when this process ends, however that is. It keeps this process alive only until it can be asked, and while it is.
// - What it says is judged strictly: it has read what strangers sent. One that says anything else is ended.
import { type ChildProcess, spawn } from 'node:child_process';
import { isIP, type LookupFunction, type Socket } from 'node:net';
import type { Address } from './dns.ts';

/** Asks the system. Rejects with the signal's reason when that is aborted. */
export type Lookup = (host: string, signal: AbortSignal) => Promise<Address[]>;

/** Why there is no address; `code` is one of `dns.lookup`, or of a process that cannot be started. */
export class LookupError extends Error {
  constructor(
    readonly code: string,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = 'LookupError';
  }
}

const limits = {
  /** Longer than the 5 s after which getaddrinfo turns from a DNS server that is down to the next one. */
  timeoutMs: 8_000,
  processes: 4,
  /** Lookups at once in one process. */
  places: 32,
  idleMs: 30_000,
  /** Of each family; a DNS answer may hold thousands. */
  addresses: 16,
  lineCharacters: 4_096,
} as const;

// Reads lines [id, host] in JSON. Writes `ready`, then lines `id = ADDRESS…` and `id ! CODE`. It is ended by a signal, as
// exit() waits for all threads, those that hang included; signals of the terminal or the system are its parent's affair.
const childScript = `
const { lookup } = require('node:dns');
const end = () => process.kill(process.pid, 'SIGKILL');
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => {});
process.stdout.on('error', end);
process.stdin.on('error', end).on('end', end);
let rest = '';
process.stdin.setEncoding('utf8').on('data', (text) => {
  const lines = (rest + text).split('\\n');
  rest = lines.pop();
  for (const line of lines) {
    const [id, host] = JSON.parse(line);
    lookup(host, { all: true, verbatim: true }, (error, found) => {
      const some = (family) => (found ?? []).filter((one) => one.family === family).slice(0, ${limits.addresses});
      const kept = new Set([...some(4), ...some(6)]);
      const addresses = (found ?? []).filter((one) => kept.has(one)).map((one) => one.address);
      process.stdout.write((error ? [id, '!', error.code] : [id, '=', ...addresses]).join(' ') + '\\n');
    });
  }
});
process.stdout.write('ready\\n');
`;

interface Asked {
  readonly host: string;
  readonly signal: AbortSignal;
  readonly resolve: (found: Address[]) => void;
  readonly reject: (error: unknown) => void;
}

/** One process with its lookups. */
class LookupProcess {
  /** It reads what it is asked, or has ended. */
  readonly ready: Promise<void>;
  readonly #child: ChildProcess;
  readonly #changed: () => void;
  readonly #running = new Map<number, Asked>();
  /** Given up by those who asked, but not ended. */
  readonly #hanging = new Set<number>();
  #lastId = 0;
  #partial = '';
  #ended = false;
  #idle: NodeJS.Timeout | undefined;
  #isReady: () => void = () => {};

  /** @param changed called when it has another place, or has ended */
  constructor(script: string, changed: () => void) {
    this.#changed = changed;
    this.ready = new Promise((resolve) => {
      this.#isReady = resolve;
    });
    const { NODE_OPTIONS: _options, NODE_V8_COVERAGE: _coverage, ...env } = process.env;
    this.#child = spawn(process.execPath, ['-e', script], {
      // libuv gives getaddrinfo half of its threads.
      env: { ...env, UV_THREADPOOL_SIZE: String(2 * limits.places) },
      cwd: '/',
      stdio: ['pipe', 'pipe', 'inherit'],
      windowsHide: true,
    });
    this.#child.on('error', (error) => this.end(notStarted(error)));
    this.#child.on('exit', () => this.end());
    this.#child.stdin?.on('error', () => this.end());
    this.#child.stdout?.setEncoding('latin1').on('data', (text: string) => this.#said(text));
  }

  /** Undefined when it could not be started. */
  get pid(): number | undefined {
    return this.#child.pid;
  }

  get ended(): boolean {
    return this.#ended;
  }

  get hasPlace(): boolean {
    return this.#running.size + this.#hanging.size < limits.places;
  }

  ask(asked: Asked): void {
    const id = ++this.#lastId;
    this.#running.set(id, asked);
    clearTimeout(this.#idle);
    this.#hold(true);
    this.#child.stdin?.write(`${JSON.stringify([id, asked.host])}\n`);
    asked.signal.addEventListener('abort', () => {
      if (!this.#running.delete(id)) return;
      this.#hanging.add(id);
      this.#rested();
    });
  }

  /** Ends it; what it was asked has failed. */
  end(error = new LookupError('EIO', 'the process that asks for names has ended')): void {
    if (this.#ended) return;
    this.#ended = true;
    clearTimeout(this.#idle);
    this.#child.kill('SIGKILL');
    this.#isReady();
    for (const { reject } of this.#running.values()) reject(error);
    this.#running.clear();
    this.#hold(false);
    this.#changed();
  }

  #said(text: string): void {
    if (this.#ended) return;
    const lines = (this.#partial + text).split('\n');
    this.#partial = lines.pop() ?? '';
    if (this.#partial.length > limits.lineCharacters || !lines.every((line) => this.#saidLine(line))) {
      this.end(new LookupError('EPROTO', 'the process that asks for names said what it should not'));
      return;
    }
    this.#rested();
    this.#changed();
  }

  /** Whether the line is one that may come. */
  #saidLine(line: string): boolean {
    if (line === 'ready') {
      this.#isReady();
      return true;
    }
    const said = readAnswer(line);
    if (said === undefined) return false;
    const { id, code, addresses } = said;
    const asked = this.#running.get(id);
    if (code === undefined) asked?.resolve(addresses);
    else asked?.reject(new LookupError(code, `getaddrinfo ${code} ${asked.host}`));
    return this.#running.delete(id) || this.#hanging.delete(id);
  }

  // Nobody waits for it any more: it ends when it is of no use, and soon when it stays so.
  #rested(): void {
    if (this.#running.size > 0 || this.#ended) return;
    this.#hold(false);
    if (!this.hasPlace) this.end();
    clearTimeout(this.#idle);
    this.#idle = setTimeout(() => this.end(), limits.idleMs).unref();
  }

  #hold(hold: boolean): void {
    const { stdin, stdout } = this.#child;
    for (const one of [this.#child, stdin as Socket | null, stdout as Socket | null]) {
      if (hold) one?.ref();
      else one?.unref();
    }
  }
}

/** Of some errors, as where there is no memory for it (ENOMEM), `spawn` throws; of most it tells later. */
function notStarted(error: NodeJS.ErrnoException): LookupError {
  const message = `${process.execPath} cannot be started: ${error.message}`;
  return new LookupError(error.code ?? 'EIO', message, { cause: error });
}

/** `id = ADDRESS…` or `id ! CODE`; undefined for anything else. */
function readAnswer(line: string): { id: number; code: string | undefined; addresses: Address[] } | undefined {
  const [id = '', kind, ...words] = line.split(' ');
  if (!/^[1-9]\d{0,14}$/.test(id) || line.length > limits.lineCharacters) return undefined;
  if (kind === '!' && words.length === 1 && /^[A-Z][A-Z0-9_]{0,31}$/.test(words[0]!)) {
    return { id: Number(id), code: words[0], addresses: [] };
  }
  if (kind !== '=' || !words.every((word) => isIP(word) !== 0)) return undefined;
  const addresses = words.map((address): Address => ({ address, family: isIP(address) === 6 ? 6 : 4 }));
  return { id: Number(id), code: undefined, addresses };
}

/** Lookups of the system, in as few processes as have places for them. */
export class LookupProcesses {
  readonly #script: string;
  readonly #processes = new Set<LookupProcess>();
  readonly #waiting: Asked[] = [];

  /** @param prelude run in each process first; for tests */
  constructor(prelude = '') {
    this.#script = `${prelude}${childScript}`;
  }

  readonly lookup: Lookup = (host, signal) =>
    new Promise((resolve, reject) => {
      const asked: Asked = { host, signal, resolve, reject };
      signal.addEventListener('abort', () => {
        const at = this.#waiting.indexOf(asked);
        if (at >= 0) this.#waiting.splice(at, 1);
        reject(signal.reason);
      });
      this.#waiting.push(asked);
      this.#next();
    });

  /** Ids of the processes that there are. */
  get pids(): readonly (number | undefined)[] {
    return [...this.#processes].map(({ pid }) => pid);
  }

  /** Ends all of them; what they were asked has failed. Others are started for what waits or is asked later. */
  stop(): void {
    for (const process of [...this.#processes]) process.end();
  }

  /** Starts a process, where there is none, and waits until it can be asked. */
  async ready(): Promise<void> {
    await this.#withPlace()?.ready;
  }

  #next(): void {
    while (this.#waiting.length > 0) {
      try {
        const process = this.#withPlace();
        if (process === undefined) return;
        process.ask(this.#waiting[0]!);
      } catch (error) {
        this.#waiting[0]!.reject(notStarted(error as NodeJS.ErrnoException));
      }
      this.#waiting.shift();
    }
  }

  #withPlace(): LookupProcess | undefined {
    for (const process of this.#processes) if (process.hasPlace) return process;
    if (this.#processes.size >= limits.processes) return undefined;
    const process = new LookupProcess(this.#script, () => {
      if (process.ended) this.#processes.delete(process);
      this.#next();
    });
    this.#processes.add(process);
    return process;
  }
}

/** Those of this process. */
export const lookupProcesses = new LookupProcesses();

/** Asks the system, in a process apart. The hosts file, where `localhost.` is, knows it without the dot (RFC 6761 6.3). */
export const systemLookup: Lookup = (host, signal) =>
  lookupProcesses.lookup(host === 'localhost.' ? 'localhost' : host, signal);

/** Gives a lookup its time and no more, whether it heeds the signal or not. @throws LookupError EAI_AGAIN when late */
export async function lookupInTime(lookup: Lookup, host: string): Promise<Address[]> {
  const giveUp = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const error = new LookupError('EAI_AGAIN', `no answer within ${limits.timeoutMs} ms`);
      reject(error);
      giveUp.abort(error);
    }, limits.timeoutMs);
  });
  try {
    return await Promise.race([lookup(host, giveUp.signal), late]);
  } finally {
    clearTimeout(timer);
  }
}

/** For `net.connect` and what is built on it, which would otherwise ask within this process. */
export const socketLookup: LookupFunction = (host, { all, family }, done) => {
  const wanted = family === 'IPv4' ? 4 : family === 'IPv6' ? 6 : family;
  lookupInTime(systemLookup, host).then(
    (found) => {
      const fitting = found.filter((one) => !wanted || one.family === wanted);
      const [first] = fitting;
      if (first === undefined) done(new LookupError('ENOTFOUND', `getaddrinfo ENOTFOUND ${host}`), '');
      else if (all) done(null, fitting);
      else done(null, first.address, first.family);
    },
    (error: LookupError) => done(error, ''),
  );
};
