// Traces of a core: every event and the actions it led to, recorded on request and replayed to the same actions, bit
// for bit. A trace holds secrets (entropy, root key, NTS keys): its file has mode 0600, and only meters in software can
// record one. A recording that was not closed, or was cut off, is told apart from one that differs.
//
// File, little-endian:
//    0  "MTTRACE" and a zero byte
//    8  version of this format, u16        10  Abi.Version, u16
//   12  SHA-256 of core.wasm, 32 bytes
//   44  records: kind u8, then
//         Event    event u16, tick u64, length u32, payload
//         Actions  length u32, the actions of the event before it as the core wrote them
//         Trap     the event before it made the core trap
//         Reset    a new instance handles what follows
//         End      number of events u64; nothing follows
import { closeSync, constants, fchmodSync, fsyncSync, openSync, rmSync, writeSync } from 'node:fs';
import { Abi, Action, Event } from '../../as/abi/codes.ts';
import { InputFile } from '../files.ts';
import { Core, type CoreAction, CoreError, type CoreModule, loadCoreModule } from './core.ts';

enum TraceRecord {
  Event = 1,
  Actions = 2,
  Trap = 3,
  Reset = 4,
  End = 5,
}

const magic = 'MTTRACE\0';
const formatVersion = 1;
const headerBytes = 44;
const eventBytes = 15;
/** No event and no actions are longer: the core has one page (64 KiB) for all of its memory. */
const longestBytes = 65_536;

/** A trace cannot be written or used. */
export class TraceError extends Error {
  constructor(
    readonly code: 'trace-exists' | 'trace-io' | 'trace-foreign' | 'trace-core' | 'trace-truncated' | 'trace-damaged',
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = 'TraceError';
  }
}

/** What a meter in software tells while it runs; in the order in which it happens. */
export interface TraceSink {
  /** A new instance of the core takes over. Also before the first event. */
  reset(): void;
  event(event: Event, tick: bigint, payload: Uint8Array): void;
  actions(actions: readonly CoreAction[]): void;
  trap(): void;
}

/**
 * Writes a trace to a new file. A full disk ends the trace, not the meter: `close` throws what went wrong. A file that
 * holds no event then is removed: it would only be in the way of the next try.
 */
export class TraceRecorder implements TraceSink {
  readonly #file: number;
  #events = 0n;
  #open = true;
  #failure: TraceError | undefined;

  /** @throws {TraceError} when the file exists already (also as a link), or cannot be made or written */
  constructor(
    readonly path: string,
    source: CoreModule = loadCoreModule(),
  ) {
    try {
      this.#file = openSync(
        path,
        constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW,
        0o600,
      );
    } catch (cause) {
      const exists = (cause as NodeJS.ErrnoException).code === 'EEXIST';
      throw exists
        ? new TraceError('trace-exists', `${path} exists; a trace is only written to a new file`, { cause })
        : new TraceError('trace-io', `the trace ${path} cannot be made: ${(cause as Error).message}`, { cause });
    }
    const header = Buffer.alloc(headerBytes);
    header.write(magic, 0, 'latin1');
    header.writeUInt16LE(formatVersion, 8);
    header.writeUInt16LE(Abi.Version, 10);
    header.set(source.sha256, 12);
    this.#attempt(() => fchmodSync(this.#file, 0o600));
    this.#write(header);
    if (this.#failure !== undefined) this.close();
  }

  reset(): void {
    this.#write(Buffer.of(TraceRecord.Reset));
  }

  event(event: Event, tick: bigint, payload: Uint8Array): void {
    const head = Buffer.alloc(eventBytes);
    head[0] = TraceRecord.Event;
    head.writeUInt16LE(event, 1);
    head.writeBigUInt64LE(tick, 3);
    head.writeUInt32LE(payload.length, 11);
    if (this.#write(Buffer.concat([head, payload]))) this.#events++;
  }

  actions(actions: readonly CoreAction[]): void {
    const joined = joinActions(actions);
    const head = Buffer.alloc(5);
    head[0] = TraceRecord.Actions;
    head.writeUInt32LE(joined.length, 1);
    this.#write(Buffer.concat([head, joined]));
  }

  trap(): void {
    this.#write(Buffer.of(TraceRecord.Trap));
  }

  /**
   * Marks the end; until then the file counts as cut off.
   * @throws {TraceError} trace-io when not everything could be written
   */
  close(): void {
    if (!this.#open) return;
    const end = Buffer.alloc(9);
    end[0] = TraceRecord.End;
    end.writeBigUInt64LE(this.#events, 1);
    this.#write(end);
    this.#open = false;
    this.#attempt(() => fsyncSync(this.#file));
    closeSync(this.#file);
    if (this.#failure === undefined) return;
    if (this.#events === 0n) rmSync(this.path, { force: true });
    throw this.#failure;
  }

  /** Whether all of `bytes` went into the file. */
  #write(bytes: Uint8Array): boolean {
    if (!this.#open) return false;
    return this.#attempt(() => {
      for (let at = 0; at < bytes.length; ) at += writeSync(this.#file, bytes, at);
    });
  }

  // After the first failure nothing more is tried.
  #attempt(work: () => void): boolean {
    if (this.#failure !== undefined) return false;
    try {
      work();
      return true;
    } catch (cause) {
      const kept = this.#events === 0n ? '' : `; it ends after event ${this.#events}`;
      const message = `the trace ${this.path} cannot be written: ${(cause as Error).message}${kept}`;
      this.#failure = new TraceError('trace-io', message, { cause });
      return false;
    }
  }
}

/** Where a replay went another way than the recording. */
export interface TraceMismatch {
  /** Number of the event, from 1. */
  readonly event: number;
  /** Name of the event. */
  readonly name: string;
  /** What was recorded and what came now, for people; no bytes, as they may be secret. */
  readonly difference: string;
}

export interface ReplayResult {
  /** Events replayed, the differing one included. */
  readonly events: number;
  readonly actions: number;
  /** Instances of the core that took part: one, and one for each restart. */
  readonly instances: number;
  /** Ticks from the first event to the last. */
  readonly ticks: bigint;
  readonly mismatch?: TraceMismatch;
}

/**
 * Feeds a recorded trace to a new core and compares what it does, up to the first difference.
 * @throws {TraceError} trace-foreign (no trace, or another version), trace-core (recorded with another core.wasm),
 *   trace-truncated (replays as far as it goes, but its end is missing), trace-damaged
 * @throws {FileError}
 */
export function replayTrace(path: string, source: CoreModule = loadCoreModule()): ReplayResult {
  const file = InputFile.open(path);
  try {
    return replay(file, source);
  } finally {
    file.close();
  }
}

// A trace may be longer than the memory: no more of it is held than one record.
function replay(file: InputFile, source: CoreModule): ReplayResult {
  const { path } = file;
  checkHeader(path, file.upTo(headerBytes), source);
  let core: Core | undefined;
  let events = 0;
  let actions = 0;
  let instances = 0;
  let firstTick: bigint | undefined;
  let ticks = 0n;
  let current: { name: string; actions: Uint8Array | undefined; count: number } | undefined;
  const take = (length: number): Buffer => {
    const bytes = file.upTo(length);
    if (bytes.length === length) return bytes;
    throw new TraceError(
      'trace-truncated',
      `${path} is cut off after event ${events}; up to there it replays without a difference`,
    );
  };
  const damaged = (what: string): TraceError =>
    new TraceError('trace-damaged', `${path} is damaged after event ${events}: ${what}`);
  const takeCounted = (length: number): Buffer => {
    if (length <= longestBytes) return take(length);
    throw damaged(`expected a record of at most ${longestBytes} bytes, came one of ${length}`);
  };
  const result = (difference?: string): ReplayResult => ({
    events,
    actions,
    instances,
    ticks,
    ...(difference === undefined ? {} : { mismatch: { event: events, name: current?.name ?? '', difference } }),
  });

  for (;;) {
    const kind = take(1)[0] as TraceRecord;
    if (kind === TraceRecord.Reset) {
      core = new Core(source);
      instances++;
    } else if (kind === TraceRecord.Event) {
      if (core === undefined) throw damaged('an event comes before any instance of the core');
      const head = take(eventBytes - 1);
      const event = head.readUInt16LE(0) as Event;
      const tick = head.readBigUInt64LE(2);
      const payload = takeCounted(head.readUInt32LE(10));
      events++;
      firstTick ??= tick;
      ticks = tick - firstTick;
      current = handleRecorded(core, event, tick, payload);
    } else if (kind === TraceRecord.Actions) {
      const recorded = takeCounted(take(4).readUInt32LE(0));
      if (current === undefined) throw damaged('actions come before any event');
      if (current.actions === undefined) return result('the core trapped; when recorded it did not');
      const difference = compareActions(recorded, current.actions);
      if (difference !== undefined) return result(difference);
      actions += current.count;
    } else if (kind === TraceRecord.Trap) {
      if (current === undefined) throw damaged('a trap comes before any event');
      if (current.actions !== undefined) return result('the core handled it; when recorded it trapped');
    } else if (kind === TraceRecord.End) {
      if (take(8).readBigUInt64LE(0) !== BigInt(events)) throw damaged('the number of events at its end is another');
      if (file.upTo(1).length > 0) throw damaged('more bytes follow its end');
      return result();
    } else {
      throw damaged(`record kind ${kind} is unknown`);
    }
  }
}

function checkHeader(path: string, header: Buffer, source: CoreModule): void {
  if (header.length < magic.length || header.toString('latin1', 0, magic.length) !== magic) {
    throw new TraceError('trace-foreign', `${path} is no trace: it does not begin with "MTTRACE"`);
  }
  if (header.length < headerBytes) {
    throw new TraceError('trace-truncated', `${path} is cut off within its header`);
  }
  const version = header.readUInt16LE(8);
  const abi = header.readUInt16LE(10);
  if (version !== formatVersion || abi !== Abi.Version) {
    throw new TraceError(
      'trace-foreign',
      `${path} is a trace of format ${version} and interface version ${abi}; this program replays format ${formatVersion}, interface version ${Abi.Version}`,
    );
  }
  const recordedWith = header.subarray(12, headerBytes);
  if (!recordedWith.equals(source.sha256)) {
    throw new TraceError(
      'trace-core',
      `${path} was recorded with core ${recordedWith.toString('hex').slice(0, 16)}…, this one is ${Buffer.from(source.sha256).toString('hex').slice(0, 16)}…; replay it with the program that recorded it`,
    );
  }
}

function handleRecorded(core: Core, event: Event, tick: bigint, payload: Uint8Array) {
  const name = Event[event] ?? `event ${event}`;
  try {
    const actions = core.handle(event, tick, payload);
    return { name, actions: joinActions(actions), count: actions.length };
  } catch (error) {
    if (error instanceof CoreError && error.code === 'core-trap') return { name, actions: undefined, count: 0 };
    throw error;
  }
}

/** Actions as the core writes them. */
function joinActions(actions: readonly CoreAction[]): Buffer {
  return Buffer.concat(
    actions.map(({ kind, payload }) => {
      const head = Buffer.alloc(Abi.ActionHeaderBytes);
      head.writeUInt16LE(kind, 0);
      head.writeUInt16LE(payload.length, 2);
      return Buffer.concat([head, payload]);
    }),
  );
}

function compareActions(recorded: Buffer, now: Uint8Array): string | undefined {
  if (recorded.equals(now)) return undefined;
  const kinds = (bytes: Buffer): string[] => {
    const found: string[] = [];
    for (let at = 0; at + Abi.ActionHeaderBytes <= bytes.length; ) {
      const kind = bytes.readUInt16LE(at);
      const length = bytes.readUInt16LE(at + 2);
      found.push(`${Action[kind] ?? `action ${kind}`} (${length} bytes)`);
      at += Abi.ActionHeaderBytes + length;
    }
    return found;
  };
  const [before, after] = [kinds(recorded), kinds(Buffer.from(now))];
  const list = (names: string[]): string => (names.length === 0 ? 'nothing' : names.join(', '));
  if (before.join() !== after.join()) return `recorded ${list(before)}; now ${list(after)}`;
  let byte = 0;
  while (recorded[byte] === now[byte]) byte++;
  return `the same actions (${list(before)}), but byte ${byte} of ${now.length} differs`;
}
