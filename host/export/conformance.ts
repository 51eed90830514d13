// The gateway's end of a port's conformance program (firmware/export/conformance): asks one thing after the other, and
// judges what comes back.
//
// What always holds: a check fails only for what the port did; what this machine and the line add is allowed for. Where
// nothing comes back, the check says so, and the rest is not tried.
import { Abi, MilliCelsius, ResetCause, RtcStatus } from '../../as/abi/codes.ts';
import { FrameSplitter } from '../link/frame-splitter.ts';
import type { LinkListener, LinkTransport } from '../link/transports.ts';

/** What became of one check. */
export interface Checked {
  readonly name: string;
  /** `none`: the port has no such part, or it was not to be tried. */
  readonly result: 'ok' | 'failed' | 'none';
  readonly detail: string;
}

export interface ConformanceOptions {
  /** The line to the port, or what waits for it. */
  readonly link: LinkTransport | LinkListener;
  /** Tries the storage whatever is in it. */
  readonly erase?: boolean;
  /** How long ticks are compared with this machine's. */
  readonly seconds?: number;
  /** For the port to begin, and for it to come back after its restart. */
  readonly startMs?: number;
  /** For an answer; the storage's and the core's may take longer by several times. */
  readonly answerMs?: number;
  readonly onCheck?: (checked: Checked) => void;
  readonly signal?: AbortSignal;
}

/** The port did not answer. */
class SilentError extends Error {}

const letters = 'abcdefghijklmnopqrstuvwxyz';
/** What the conformance program restarts with. */
const restartCode = 4711;
/** A wake-up may be so late, ms: the core's shortest waits are tens of milliseconds. */
const lateMs = 50;

interface Answer {
  readonly text: string;
  readonly bytes: Uint8Array;
  readonly askedNs: bigint;
  readonly answeredNs: bigint;
}

/** Asks questions over whichever transport the port is on. */
class Asker {
  #transport: LinkTransport | undefined;
  #count = 0;
  #arrived: ((frame: Uint8Array, stampNs: bigint) => void) | undefined;
  readonly #link: LinkTransport | LinkListener;
  readonly #signal: AbortSignal | undefined;

  readonly #answerMs: number;

  constructor(link: LinkTransport | LinkListener, answerMs: number, signal: AbortSignal | undefined) {
    this.#link = link;
    this.#answerMs = answerMs;
    this.#signal = signal;
  }

  async start(): Promise<void> {
    const link = this.#link;
    if ('port' in link) link.on('link', (transport) => this.#take(transport));
    else this.#take(link);
    if ('port' in link) await link.start();
  }

  #take(transport: LinkTransport): void {
    const splitter = new FrameSplitter((frame, _first, last) => this.#arrived?.(frame, last));
    transport.on('data', (chunk, stampNs) => splitter.push(chunk, stampNs));
    transport.on('closed', () => {
      if (this.#transport === transport) this.#transport = undefined;
    });
    this.#transport = transport;
    transport.start();
  }

  async close(): Promise<void> {
    await this.#transport?.close();
    if ('port' in this.#link) await this.#link.close();
  }

  /** Waits until the port greets, as it does until it is asked something. */
  async greeting(timeoutMs: number): Promise<void> {
    await this.#wait(
      (frame) => Buffer.from(frame).toString('latin1') === '~~',
      timeoutMs,
      () => undefined,
    );
  }

  /** Asks until it is answered; `more` follows the question's letter; it may take `times` as long as most. */
  ask(question: string, more: Uint8Array = new Uint8Array(), times = 1): Promise<Answer> {
    const letter = letters[this.#count++ % letters.length]!;
    const begin = Buffer.from(letter + question, 'latin1');
    let askedNs = 0n;
    return this.#wait(
      (frame) => frame[0] === begin[0] && frame[1] === begin[1],
      times * this.#answerMs,
      () => {
        askedNs = process.hrtime.bigint();
        void this.#transport?.write(Buffer.concat([Buffer.of(0), begin, more, Buffer.of(0)]));
      },
      // A question may be lost where the line just came up; asked twice, it is done twice.
      question === 'i' || question === 'o' ? 1_000 : undefined,
    ).then(({ frame, stampNs }) => {
      const bytes = frame.subarray(2);
      return { text: Buffer.from(bytes).toString('latin1').trim(), bytes, askedNs, answeredNs: stampNs };
    });
  }

  /** Sends several questions at once and waits for all of their answers; resolves with how many came. */
  async askAtOnce(question: string, times: number): Promise<number> {
    const begins = Array.from({ length: times }, () => letters[this.#count++ % letters.length]! + question);
    const left = new Set(begins);
    const text = begins.map((begin) => `\0${begin}\0`).join('');
    try {
      await this.#wait(
        (frame) => {
          left.delete(Buffer.from(frame.subarray(0, 2)).toString('latin1'));
          return left.size === 0;
        },
        5_000,
        () => void this.#transport?.write(Buffer.from(text, 'latin1')),
      );
    } catch (error) {
      if (!(error instanceof SilentError)) throw error;
    }
    return times - left.size;
  }

  #wait(
    wanted: (frame: Uint8Array) => boolean,
    timeoutMs: number,
    send: () => void,
    againMs?: number,
  ): Promise<{ frame: Uint8Array; stampNs: bigint }> {
    return new Promise((resolve, reject) => {
      const end = () => {
        clearTimeout(timer);
        clearInterval(again);
        this.#signal?.removeEventListener('abort', stop);
        this.#arrived = undefined;
      };
      const stop = () => {
        end();
        reject(this.#signal?.reason);
      };
      const timer = setTimeout(() => {
        end();
        reject(new SilentError(`no answer within ${timeoutMs / 1000} s`));
      }, timeoutMs);
      const again = againMs === undefined ? undefined : setInterval(send, againMs);
      this.#signal?.addEventListener('abort', stop, { once: true });
      if (this.#signal?.aborted === true) return stop();
      this.#arrived = (frame, stampNs) => {
        if (!wanted(frame)) return;
        end();
        resolve({ frame, stampNs });
      };
      send();
    });
  }
}

type Verdict = readonly [result: Checked['result'], detail: string];
const ok = (detail: string): Verdict => ['ok', detail];
const failed = (detail: string): Verdict => ['failed', detail];
const none = (detail: string): Verdict => ['none', detail];

interface Port {
  readonly tickHz: number;
  readonly maxFrequencyErrorPpb: number;
  readonly storageBytes: number;
  readonly traceEvents: number;
  readonly traceChecksum: number;
  readonly cause: number;
  readonly code: number;
  readonly coreSha256: string;
}

const numbersOf = ({ text }: Answer): number[] => text.split(' ').map(Number);

async function readPort(asker: Asker): Promise<Port> {
  const answer = await asker.ask('i');
  const words = answer.text.split(' ');
  const [abi, tickHz, ppb, storageBytes, traceEvents, traceChecksum, cause, code] = words.map(Number);
  if (abi !== Abi.Version) throw new Error(`the port's interface version is ${abi}, this program's ${Abi.Version}`);
  return {
    tickHz: tickHz!,
    maxFrequencyErrorPpb: ppb!,
    storageBytes: storageBytes!,
    traceEvents: traceEvents!,
    traceChecksum: traceChecksum!,
    cause: cause!,
    code: code!,
    coreSha256: words[8] ?? '',
  };
}

/**
 * Runs all checks. Resolves with what became of them; those behind one that got no answer are missing.
 * Rejects with the signal's reason, and where the port is of another version.
 */
export async function checkPort(options: ConformanceOptions): Promise<Checked[]> {
  const { link, signal, onCheck, erase = false, seconds = 5 } = options;
  const { startMs = 60_000, answerMs = 20_000 } = options;
  const done: Checked[] = [];
  const asker = new Asker(link, answerMs, signal);
  let port: Port | undefined;
  const checks: readonly (readonly [name: string, check: () => Promise<Verdict>])[] = [
    [
      'greeting',
      async () => {
        await asker.greeting(startMs);
        return ok('the port sends');
      },
    ],
    [
      'answers',
      async () => {
        port = await readPort(asker);
        return ok(`core ${port.coreSha256.slice(0, 16)}…, ${port.tickHz} ticks a second`);
      },
    ],
    ['line', () => checkLine(asker)],
    ['stamps', () => checkStamps(asker)],
    ['ticks', () => checkTicks(asker)],
    ['rate', () => checkRate(asker, port!, seconds)],
    ['wait', () => checkWaits(asker, port!)],
    ['doubles', () => checkDoubles(asker)],
    ['core', () => checkCore(asker, port!)],
    ['entropy', () => checkEntropy(asker)],
    ['storage', () => checkStorage(asker, erase)],
    ['clock', () => checkClock(asker, port!)],
    ['thermometer', () => checkThermometer(asker)],
    ['registers', () => checkRegisters(asker)],
    ['restart', () => checkRestart(asker, startMs, done)],
  ];
  await asker.start();
  try {
    for (const [name, check] of checks) {
      let silent = false;
      let verdict: Verdict;
      try {
        verdict = await check();
      } catch (error) {
        if (!(error instanceof SilentError)) throw error;
        silent = true;
        verdict = failed(error.message);
      }
      const [result, detail] = verdict;
      const checked = { name, result, detail };
      done.push(checked);
      onCheck?.(checked);
      if (silent) break;
    }
  } finally {
    await asker.close();
  }
  return done;
}

// Every byte that a frame may have, both ways; and four frames at once, as a gateway sends them.
async function checkLine(asker: Asker): Promise<Verdict> {
  const all = Uint8Array.from({ length: 255 }, (_, i) => i + 1);
  for (let from = 0; from < all.length; from += 85) {
    const sent = all.subarray(from, from + 85);
    const { bytes } = await asker.ask('o', sent);
    const wrong = sent.findIndex((byte, i) => bytes[i] !== byte);
    if (wrong >= 0) return failed(`byte ${sent[wrong]} came back as ${bytes[wrong] ?? 'nothing'}`);
  }
  const longest = new Uint8Array(240).fill(0x55);
  const { bytes } = await asker.ask('o', longest);
  if (bytes.length !== longest.length) return failed(`of 240 bytes in one frame ${bytes.length} came back`);
  const came = await asker.askAtOnce('o', 4);
  return came === 4
    ? ok('all bytes, long frames, four at once')
    : failed(`of four frames at once ${came} were answered`);
}

// A frame's ticks, and that of the answer before it, are in order.
async function checkStamps(asker: Asker): Promise<Verdict> {
  let before: number[] | undefined;
  for (let turn = 0; turn < 5; turn++) {
    const [first = 0, last = 0, sent = 0] = numbersOf(await asker.ask('n'));
    if (last < first) return failed(`a frame ends at tick ${last}, before it begins at ${first}`);
    if (before !== undefined && sent < before[1]!) {
      return failed(`an answer left at tick ${sent}, before its question came at ${before[1]}`);
    }
    if (before !== undefined && first < sent)
      return failed(`a frame came at tick ${first}, before the last left at ${sent}`);
    before = [first, last];
  }
  return ok('in order');
}

async function checkTicks(asker: Asker): Promise<Verdict> {
  const [back = 0, passed = 0] = numbersOf(await asker.ask('a'));
  if (back > 0) return failed(`ran backwards ${back} times in 20,000 readings`);
  return passed > 0 ? ok('never backwards') : failed('stood still for 20,000 readings');
}

// The port took a tick between question and answer; so between two of them passed what this machine can bound.
async function checkRate(asker: Asker, { tickHz, maxFrequencyErrorPpb }: Port, seconds: number): Promise<Verdict> {
  const read = async () => {
    const answer = await asker.ask('n');
    return { tick: numbersOf(answer)[1]!, fromNs: answer.askedNs, toNs: answer.answeredNs };
  };
  const first = await read();
  let last = await read();
  const enough = BigInt(Math.round(seconds * 1e9));
  while (last.fromNs - first.toNs < enough) {
    await asker.ask('w');
    last = await read();
  }
  const passed = (last.tick - first.tick) / tickHz;
  const least = (Number(last.fromNs - first.toNs) / 1e9) * (1 - maxFrequencyErrorPpb / 1e9);
  const most = (Number(last.toNs - first.fromNs) / 1e9) * (1 + maxFrequencyErrorPpb / 1e9);
  const text = `${passed.toFixed(4)} s of ticks in ${least.toFixed(4)} to ${most.toFixed(4)} s`;
  return passed < least || passed > most ? failed(`${text}: METERTIME_TICK_HZ is not that of the ticks`) : ok(text);
}

async function checkWaits(asker: Asker, { tickHz }: Port): Promise<Verdict> {
  const late = numbersOf(await asker.ask('w')).map((ticks) => (ticks / tickHz) * 1000);
  const worst = Math.max(...late);
  const text = `awake at most ${worst.toFixed(3)} ms late`;
  return worst > lateMs ? failed(`${text}; expected no more than ${lateMs} ms`) : ok(text);
}

async function checkDoubles(asker: Asker): Promise<Verdict> {
  const [wrong] = numbersOf(await asker.ask('d'));
  if (wrong === 0) return ok('as IEEE 754 has them');
  return failed(
    `${wrong} of 8 differences are not rounded as IEEE 754 says; on Thumb-2 link with -Wl,--wrap=__aeabi_dadd -Wl,--wrap=__aeabi_dsub`,
  );
}

async function checkCore(asker: Asker, { traceEvents, traceChecksum }: Port): Promise<Verdict> {
  const [events, checksum, differs] = numbersOf(await asker.ask('c', undefined, 10));
  if (differs !== 0) return failed(`after event ${differs} of ${traceEvents} it took other decisions than in node`);
  if (events !== traceEvents || checksum !== traceChecksum) {
    return failed(`${events} of ${traceEvents} events were handled`);
  }
  return ok(`${events} events, the actions of node bit for bit`);
}

async function checkEntropy(asker: Asker): Promise<Verdict> {
  const { text } = await asker.ask('e');
  if (text === 'none') return none('no source of entropy');
  const [first = '', second = ''] = text.split(' ');
  if (!/^[0-9a-f]{64}$/.test(first) || !/^[0-9a-f]{64}$/.test(second)) return failed('it gives none');
  if (first === second) return failed('the same 32 bytes twice');
  const ones = [...Buffer.from(first + second, 'hex')].reduce(
    (sum, byte) => sum + byte.toString(2).replaceAll('0', '').length,
    0,
  );
  // Of 512 fair bits, further than eight standard deviations from half: never.
  if (Math.abs(ones - 256) > 90) return failed(`${ones} of 512 bits are 1`);
  if (new Set(first.match(/../g)).size < 16) return failed('hardly any byte is another');
  return ok(`${ones} of 512 bits are 1`);
}

async function checkStorage(asker: Asker, erase: boolean): Promise<Verdict> {
  const { text } = await asker.ask(erase ? 'S' : 's', undefined, 6);
  if (text === 'right') return ok('each byte has a place of its own, and is what was written last');
  if (text === 'used') return none("a meter's settings are in it; --erase tries it all the same");
  if (text === 'unread') return failed('it cannot be read');
  const [, what, place] = text.split(' ');
  const places: Record<string, string> = {
    addresses: `at ${place} is not what was written there, before other places were`,
    neighbours: `a longer write left something else at ${place}`,
    rewriting: `what was written last at ${place} is not there`,
  };
  return failed(places[what ?? ''] ?? `it said ${JSON.stringify(text)}`);
}

// Set two seconds before a year begins: it has to be running, and in the new year when that time has passed.
async function checkClock(asker: Asker, { tickHz }: Port): Promise<Verdict> {
  const set = (await asker.ask('X')).text.split(' ');
  if (set[0] === 'none') return none('no real-time clock');
  if (set[0] !== 'set') return failed('it does not keep what is written');
  const setTick = Number(set[1]);
  for (;;) {
    const [status, year, month, day, hour, minute, second, tick] = numbersOf(await asker.ask('x'));
    if (status !== RtcStatus.Running) return failed(`its status is ${RtcStatus[status!] ?? status}`);
    const passed = (tick! - setTick) / tickHz;
    const shown = Date.UTC(year!, month! - 1, day, hour, minute, second) - Date.UTC(2027, 11, 31, 23, 59, 58);
    // It was set within a second, and shows whole ones.
    if (shown / 1000 > passed + 1.1 || shown / 1000 < passed - 2.1) {
      return failed(
        `${passed.toFixed(1)} s after it was set to 2027-12-31 23:59:58 it says ${new Date(Date.UTC(year!, month! - 1, day, hour, minute, second)).toISOString()}`,
      );
    }
    if (shown >= 3_000) return ok('runs, and comes into the new year');
    await asker.ask('w');
  }
}

async function checkThermometer(asker: Asker): Promise<Verdict> {
  const { text } = await asker.ask('h');
  if (text === 'none') return none('no thermometer');
  const milliCelsius = Number(text);
  if (text === 'failed' || !Number.isFinite(milliCelsius)) return failed('it gives no temperature');
  const shown = `${milliCelsius / 1000} °C`;
  if (milliCelsius < MilliCelsius.Least || milliCelsius > MilliCelsius.Most)
    return failed(`${shown} is no temperature`);
  return ok(shown);
}

async function checkRegisters(asker: Asker): Promise<Verdict> {
  const { text } = await asker.ask('g');
  if (text === 'none') return none('no registers');
  const [count, ...values] = numbersOf({ text } as Answer);
  return count! <= 4 ? ok(values.join(', ')) : failed(`${count} registers, there are four at most`);
}

// What was written is there after a restart, and why it came is handed over.
async function checkRestart(asker: Asker, startMs: number, done: readonly Checked[]): Promise<Verdict> {
  const mayWrite = done.some(({ name, result }) => name === 'storage' && result !== 'none');
  const seed = Buffer.of(1 + Math.floor(Math.random() * 255));
  const written = mayWrite ? (await asker.ask('k', seed)).text : 'skipped';
  if (written === 'failed') return failed('the storage takes no more');
  await asker.ask('r');
  await asker.greeting(startMs);
  const { cause, code } = await readPort(asker);
  if (cause !== ResetCause.Trap || code !== restartCode) {
    return failed(
      `metertime_restart was given cause ${ResetCause.Trap} and code ${restartCode}, and the start ${cause} and ${code}`,
    );
  }
  if (!mayWrite) return ok('cause and code are handed over; the storage was not tried');
  const { text } = await asker.ask('q', seed);
  return text === 'kept' ? ok('storage, cause and code outlast it') : failed('what was written to the storage is lost');
}
