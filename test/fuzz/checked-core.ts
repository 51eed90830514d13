// A core that is watched: whatever it is given, it must not trap, grow, write outside its memory, or answer nonsense.
// Two instances take every event. They differ in where they lie in memory and in what lies behind an event's payload,
// so a read beyond the payload shows as a difference, and one beyond the core's memory as a trap. The second has red zones
// around its static regions and each server's part of them, could grow, and computes AES bitsliced, the first with a table.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import asc from 'assemblyscript/asc';
import {
  Abi,
  Action,
  Event,
  LinkHelloField,
  LinkLimit,
  LinkMessageField,
  LinkReadyField,
  RtcField,
  SettingsFormat,
  SlotImageField,
  StartField,
  StorageMap,
  TariffSwitchField,
  TimeNowField,
  UpdateLimit,
} from '../../as/abi/codes.ts';
import { type CoreAction, type CoreExports, loadCoreModule, splitActions } from '../../host/core/core.ts';
import { root } from '../../scripts/lib/project.mjs';
import { Prng } from './prng.ts';
import { findZones, insertZones, type Zone } from './red-zones.ts';

const pageBytes = 65_536;

/** The core did what it must never do. */
export class Violation extends Error {
  constructor(
    message: string,
    readonly happened: readonly RecordedEvent[] = [],
    /** Whether the core to which that happened had its large buffers. */
    readonly large = true,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = 'Violation';
  }
}

export interface RecordedEvent {
  readonly event: number;
  readonly tick: bigint;
  readonly payload: Uint8Array;
}

/** Changes a source before it is compiled. `path` is relative to the checkout. */
export type Change = (path: string, text: string) => string;

/** Compiles the core with red zones, its data from `memoryBase` on, in a memory that may grow. */
async function compile(memoryBase: number, change: Change): Promise<WebAssembly.Module> {
  const config = JSON.parse(readFileSync(join(root, 'asconfig.json'), 'utf8'));
  Object.assign(config.options, { memoryBase, maximumMemory: 2 });
  config.options.outFile = 'core.wasm';
  let wasm: Uint8Array | undefined;
  const { error, stderr } = await asc.main(['--config', 'asconfig.json', '--noColors'], {
    readFile: (name: string) => {
      if (name === 'asconfig.json') return JSON.stringify(config);
      const path = join(root, name);
      if (!existsSync(path)) return null;
      const text = readFileSync(path, 'utf8');
      return name.startsWith('as/') ? insertZones(name, change(name, text)) : text;
    },
    writeFile: (_name: string, contents: Uint8Array | string) => {
      if (typeof contents !== 'string') wasm = contents;
    },
    listFiles: () => null,
  });
  if (error !== null || wasm === undefined) throw new Error(`as/ does not compile:\n${stderr.toString()}`);
  return new WebAssembly.Module(wasm as Uint8Array<ArrayBuffer>);
}

function instance(module: WebAssembly.Module, large: boolean): CoreExports {
  const exports = new WebAssembly.Instance(module, {}).exports as unknown as CoreExports;
  if (large) exports.enlargeBuffers();
  return exports;
}

/** A core whose memory ends where the page ends. */
interface Twin {
  readonly module: WebAssembly.Module;
  readonly zones: readonly Zone[];
  /** Its static memory before anything happened, the zones filled. */
  readonly fresh: Buffer;
}

interface TwinInstance extends Twin {
  readonly exports: CoreExports;
}

/** The core as it is, and what `CheckOptions.twin` needs. */
export interface CheckedModules {
  readonly plain: WebAssembly.Module;
  readonly atEnd?: { readonly small: Twin; readonly large: Twin };
}

let twins: Promise<CheckedModules> | undefined;

/** The core as it was built. */
export function checkedModules(): CheckedModules {
  return { plain: loadCoreModule().module };
}

/** The core with what `CheckOptions.twin` needs. */
export function twinModules(): Promise<CheckedModules> {
  twins ??= compileTwins((_path, text) => text);
  return twins;
}

/** The core, beside which the second instance runs changed sources: for tests. */
export async function compileTwins(change: Change): Promise<CheckedModules> {
  const first = await compile(16, change);
  const shifted = async (large: boolean): Promise<Twin> => {
    const room = pageBytes - instance(first, large).memoryEnd();
    const module = await compile(16 + (room & ~15), change);
    const fresh = instance(module, large);
    const end = fresh.memoryEnd();
    if (end > pageBytes || end <= pageBytes - 16) throw new Error(`the core ends at ${end} instead of the page's end`);
    const memory = Buffer.from(fresh.memory.buffer).subarray(0, fresh.actionBuffer());
    // Behind the regions follows the memory of a gateway's end.
    const zones = findZones(memory, instance(module, false).actionBuffer());
    // No two alike, so that what is copied from one into another shows.
    for (const { from, to } of zones) memory.set(new Prng(from).bytes(to - from), from);
    return { module, zones, fresh: memory };
  };
  return { ...checkedModules(), atEnd: { small: await shifted(false), large: await shifted(true) } };
}

/** Bytes behind the core's memory that it must not touch. */
const canary = 0xa5;
/** Longest time that one event may take; a loaded machine stops a process for a while, too. */
const handleLimitMs = 2_000;

export interface CheckOptions {
  /** For a board with a network of its own, and for a gateway's end. */
  readonly large: boolean;
  /** Whether a second instance takes every event too. */
  readonly twin?: boolean;
  /** Whether all events are kept for `Violation.happened`. */
  readonly record?: boolean;
}

export class CheckedCore {
  /** The one that was given an event last. */
  static last: CheckedCore | undefined;
  /** As much as any start said, whether it was taken or not. */
  #storageBytes: number = StorageMap.FullBytes;
  /** Whether the storage held no settings when they were last read. */
  #blank = false;
  readonly #exports: CoreExports;
  readonly #twin: TwinInstance | undefined;
  readonly #memory: Buffer;
  readonly #actionAt: number;
  readonly #eventAt: number;
  readonly #end: number;
  readonly #capacity: number;
  readonly #record: boolean;
  readonly large: boolean;
  readonly #behind: Buffer;
  readonly #twinGarbage = Buffer.alloc(LinkLimit.DatagramBytes + 64, 0x5a);
  readonly happened: RecordedEvent[] = [];
  handled = 0;
  /** Longest time that an event took, ms. */
  slowestMs = 0;

  constructor(modules: CheckedModules, { large, twin = false, record = false }: CheckOptions) {
    this.#exports = instance(modules.plain, large);
    if (twin && modules.atEnd === undefined) throw new Error('a twin needs the modules of twinModules()');
    const shifted = large ? modules.atEnd?.large : modules.atEnd?.small;
    if (twin && shifted !== undefined) {
      this.#twin = { ...shifted, exports: instance(shifted.module, large) };
      shifted.fresh.copy(Buffer.from(this.#twin.exports.memory.buffer));
      this.#twin.exports.bitsliceAes();
    }
    this.#memory = Buffer.from(this.#exports.memory.buffer);
    this.#actionAt = this.#exports.actionBuffer();
    this.#eventAt = this.#exports.eventBuffer();
    this.#end = this.#exports.memoryEnd();
    this.#capacity = this.#exports.eventCapacity() - Abi.EventHeaderBytes;
    this.#record = record;
    this.large = large;
    this.#memory.fill(canary, this.#end);
    this.#behind = Buffer.alloc(pageBytes - this.#end, canary);
  }

  /** The longest payload that fits. */
  get capacity(): number {
    return this.#capacity;
  }

  /** What the core holds, for a look at what it should have forgotten. */
  get memory(): Buffer {
    return this.#memory.subarray(0, this.#end);
  }

  #fail(message: string, cause?: unknown): never {
    throw new Violation(message, [...this.happened], this.large, cause === undefined ? undefined : { cause });
  }

  /** One event. @throws Violation */
  handle(event: number, tick: bigint, payload: Uint8Array = new Uint8Array(0)): CoreAction[] {
    if (event === Event.Start && payload.length >= StartField.StorageBytes + 4) {
      const said = new DataView(payload.buffer, payload.byteOffset).getUint32(StartField.StorageBytes, true);
      this.#storageBytes = Math.max(this.#storageBytes, said);
    }
    if (event === Event.StorageData && payload.length > 8) {
      const view = new DataView(payload.buffer, payload.byteOffset);
      if (view.getUint32(0, true) === StorageMap.Settings)
        this.#blank = view.getUint32(4, true) !== SettingsFormat.Magic;
    }
    if (this.#record) this.happened.push({ event, tick, payload: payload.slice() });
    CheckedCore.last = this;
    this.handled++;
    const startMs = performance.now();
    const length = this.#call(this.#exports, this.#memory, event, tick, payload);
    const tookMs = performance.now() - startMs;
    if (tookMs > this.slowestMs) this.slowestMs = tookMs;
    if (tookMs > handleLimitMs) this.#fail(`event ${event} took ${Math.round(tookMs)} ms`);
    if (length > this.#eventAt - this.#actionAt) this.#fail(`${length} bytes of actions are more than their buffer`);
    if (this.#memory.compare(this.#behind, 0, this.#behind.length, this.#end) !== 0) {
      this.#fail('a byte behind the memory of the core changed');
    }
    const bytes = this.#memory.subarray(this.#actionAt, this.#actionAt + length);
    if (this.#twin !== undefined) this.#compare(this.#twin, event, tick, payload, bytes);
    const actions = splitActions(new Uint8Array(bytes));
    this.#check(actions, length);
    return actions;
  }

  #call(exports: CoreExports, memory: Buffer, event: number, tick: bigint, payload: Uint8Array): number {
    const at = exports.eventBuffer();
    const taken = payload.subarray(0, this.#capacity);
    memory.writeBigUInt64LE(BigInt.asUintN(64, tick), at);
    memory.set(taken, at + Abi.EventHeaderBytes);
    try {
      return exports.handle(event, payload.length);
    } catch (cause) {
      return this.#fail(`trap in event ${event}: ${cause instanceof Error ? cause.message : cause}`, cause);
    }
  }

  #compare(twin: TwinInstance, event: number, tick: bigint, payload: Uint8Array, expected: Buffer): void {
    const { exports, zones, fresh } = twin;
    const memory = Buffer.from(exports.memory.buffer);
    const behind = exports.eventBuffer() + Abi.EventHeaderBytes + Math.min(payload.length, this.#capacity);
    const garbage = this.#twinGarbage.subarray(0, pageBytes - behind);
    memory.set(garbage, behind);
    const length = this.#call(exports, memory, event, tick, payload);
    if (exports.memory.buffer.byteLength !== pageBytes) this.#fail(`event ${event}: the memory grew`);
    for (const { from, to } of zones) {
      if (memory.compare(fresh, from, to, from, to) !== 0)
        this.#fail(`event ${event}: the red zone at ${from} was written`);
    }
    const at = exports.actionBuffer();
    if (length !== expected.length || memory.compare(expected, 0, expected.length, at, at + length) !== 0) {
      this.#fail(`event ${event}: what lies behind its payload of ${payload.length} bytes makes a difference`);
    }
    if (memory.compare(garbage, 0, garbage.length, behind) !== 0) {
      this.#fail(`event ${event}: a byte behind its payload of ${payload.length} bytes changed`);
    }
  }

  #check(actions: readonly CoreAction[], length: number): void {
    let total = 0;
    for (const { kind, payload } of actions) {
      total += Abi.ActionHeaderBytes + payload.length;
      const problem = actionProblem(kind, payload, this.#storageBytes, this.#blank);
      if (problem !== undefined) this.#fail(`action ${Action[kind] ?? kind}: ${problem}`);
    }
    if (total !== length) this.#fail(`actions of ${total} bytes in ${length}`);
    for (const once of [
      Action.FrameSend,
      Action.Wake,
      Action.RtcRead,
      Action.RtcSet,
      Action.TemperatureRead,
      Action.TimeNow,
      Action.ReadingsRead,
      Action.TariffSwitch,
      Action.Restart,
    ]) {
      if (actions.filter(({ kind }) => kind === once).length > 1)
        this.#fail(`two actions ${Action[once]} in one event`);
    }
  }
}

function actionProblem(kind: number, payload: Uint8Array, storageBytes: number, blank: boolean): string | undefined {
  const bytes = payload.length;
  const wrong = (condition: boolean) => (condition ? undefined : `${bytes} bytes`);
  const view = new DataView(payload.buffer, payload.byteOffset, bytes);
  switch (kind) {
    case Action.FrameSend: {
      if (bytes < 3 || bytes > LinkLimit.FrameBytes) return `${bytes} bytes`;
      const zeros = payload.reduce((sum, byte) => sum + (byte === 0 ? 1 : 0), 0);
      return payload[0] === 0 && payload[bytes - 1] === 0 && zeros === 2 ? undefined : 'zeros within or none around';
    }
    case Action.Wake:
      return wrong(bytes === 8);
    case Action.StorageRead: {
      if (bytes !== 8) return `${bytes} bytes`;
      const end = view.getUint32(0, true) + view.getUint32(4, true);
      return end <= storageBytes ? undefined : `reads up to ${end}`;
    }
    case Action.StorageWrite: {
      const offset = bytes >= 4 ? view.getUint32(0, true) : 0;
      // Settings are never written over others.
      return bytes > 4 && (blank || offset >= StorageMap.SeedA) && offset + bytes - 4 <= storageBytes
        ? undefined
        : `writes ${bytes - 4} bytes at ${offset}`;
    }
    case Action.RtcRead:
    case Action.TemperatureRead:
    case Action.ReadingsRead:
    case Action.Restart:
      return wrong(bytes === 0);
    case Action.RtcSet:
      return wrong(bytes === RtcField.Bytes - RtcField.Second);
    case Action.Message:
      return wrong(bytes >= 2 && bytes <= LinkMessageField.Message + LinkLimit.DatagramBytes);
    case Action.TariffSwitch:
      return wrong(bytes === TariffSwitchField.Bytes);
    case Action.TimeNow:
      return wrong(bytes === TimeNowField.Bytes);
    case Action.SlotErase:
    case Action.SlotRead:
      return wrong(bytes === 8);
    case Action.SlotWrite:
      return wrong(bytes > 4 && bytes <= 4 + UpdateLimit.PartBytes);
    case Action.SlotCommit:
      return wrong(bytes === SlotImageField.Bytes);
    case Action.SlotConfirm:
      return wrong(bytes === 0);
    case Action.LinkReady:
      return wrong(bytes === LinkReadyField.Bytes);
    case Action.LinkHello:
      return wrong(bytes > LinkHelloField.Meter && bytes === LinkHelloField.Meter + 1 + payload[LinkHelloField.Meter]!);
    default:
      return 'unknown';
  }
}

/** Gives a new core the events of a recording. @throws Violation */
export function replayEvents(core: CheckedCore, events: readonly RecordedEvent[]): void {
  for (const { event, tick, payload } of events) core.handle(event as Event, tick, payload);
}
