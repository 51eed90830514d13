// One instance of the core in node: events in, actions out, nothing else.
// What comes out is copied out of the core's memory, so it stays valid after the next event.
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Abi, type Action, type Event } from '../../as/abi/codes.ts';

/** What went wrong between the host and its core. */
export class CoreError extends Error {
  constructor(
    readonly code: 'core-missing' | 'core-version' | 'event-too-long' | 'core-trap',
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = 'CoreError';
  }
}

/** An action of the core: its kind and payload (layouts in as/abi/codes.ts). */
export interface CoreAction {
  readonly kind: Action;
  readonly payload: Uint8Array;
}

/** The compiled core: shared by any number of instances. */
export interface CoreModule {
  readonly module: WebAssembly.Module;
  /** SHA-256 of core.wasm, 32 bytes. */
  readonly sha256: Uint8Array;
}

/** What core.wasm exports, known-answer functions (`test…`) aside. */
export interface CoreExports extends Record<string, unknown> {
  readonly memory: WebAssembly.Memory;
  abiVersion(): number;
  enlargeBuffers(): void;
  bitsliceAes(): void;
  memoryEnd(): number;
  eventBuffer(): number;
  eventCapacity(): number;
  actionBuffer(): number;
  handle(event: number, length: number): number;
}

/** The place of core.wasm: beside the bundle, or in the checkout's build folder. */
function locateCore(): string {
  const places = ['./core.wasm', '../../build/core.wasm', '../build/core.wasm'].map((place) =>
    fileURLToPath(new URL(place, import.meta.url)),
  );
  const found = places.find((place) => existsSync(place));
  if (found === undefined) {
    throw new CoreError(
      'core-missing',
      `core.wasm is not at ${places.join(' or ')}; in a checkout, run: npm run build`,
    );
  }
  return found;
}

let located: CoreModule | undefined;

/** Compiles core.wasm; the one that belongs to this program is compiled once. */
export function loadCoreModule(path?: string): CoreModule {
  if (path === undefined && located !== undefined) return located;
  const bytes = readFileSync(path ?? locateCore());
  const loaded = {
    module: new WebAssembly.Module(bytes),
    sha256: new Uint8Array(createHash('sha256').update(bytes).digest()),
  };
  if (path === undefined) located = loaded;
  return loaded;
}

/** How a core computes AES; what comes out is the same (docs/security.md, "Side channels"). */
export const aesWays = ['bitsliced', 'table'] as const;
export type AesWay = (typeof aesWays)[number];

export interface CoreOptions {
  /**
   * Default bitsliced: its time and the memory that it touches tell nothing. The table is several times faster: for
   * processors without a data cache, and for simulations, whose keys are nobody's.
   */
  readonly aes?: AesWay | undefined;
}

/** A running core. After a trap (`CoreError` core-trap) an instance must not be used again: make a new one. */
export class Core {
  readonly exports: CoreExports;
  readonly #eventAt: number;
  readonly #actionAt: number;
  readonly #capacity: number;

  constructor(
    readonly source: CoreModule = loadCoreModule(),
    { aes = 'bitsliced' }: CoreOptions = {},
  ) {
    // It imports nothing.
    this.exports = new WebAssembly.Instance(source.module).exports as unknown as CoreExports;
    if (this.exports.abiVersion() !== Abi.Version) {
      throw new CoreError(
        'core-version',
        `core.wasm speaks interface version ${this.exports.abiVersion()}, this program ${Abi.Version}; build both from one commit`,
      );
    }
    this.exports.enlargeBuffers();
    if (aes === 'bitsliced') this.exports.bitsliceAes();
    this.#eventAt = this.exports.eventBuffer();
    this.#actionAt = this.exports.actionBuffer();
    this.#capacity = this.exports.eventCapacity() - Abi.EventHeaderBytes;
  }

  /** Handles one event that happened at local tick `tick` and returns the actions it led to, in order. */
  handle(event: Event, tick: bigint, payload: Uint8Array = new Uint8Array(0)): CoreAction[] {
    if (payload.length > this.#capacity) {
      throw new CoreError(
        'event-too-long',
        `event ${event}: ${payload.length} bytes, the core takes ${this.#capacity}`,
      );
    }
    const memory = this.exports.memory.buffer;
    new DataView(memory).setBigUint64(this.#eventAt, tick, true);
    new Uint8Array(memory, this.#eventAt + Abi.EventHeaderBytes, payload.length).set(payload);
    let length: number;
    try {
      length = this.exports.handle(event, payload.length);
    } catch (cause) {
      throw new CoreError('core-trap', `the core trapped in event ${event}; it has to be started anew`, { cause });
    }
    return splitActions(new Uint8Array(memory, this.#actionAt, length).slice());
  }
}

/** Splits an action buffer into its actions. */
export function splitActions(buffer: Uint8Array): CoreAction[] {
  const view = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
  const actions: CoreAction[] = [];
  for (let at = 0; at < buffer.length; ) {
    const length = view.getUint16(at + 2, true);
    const start = at + Abi.ActionHeaderBytes;
    actions.push({ kind: view.getUint16(at, true) as Action, payload: buffer.subarray(start, start + length) });
    at = start + length;
  }
  return actions;
}
