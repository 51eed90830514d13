// The life of a meter over many starts, for tests of what it keeps in its storage: each operation of the storage can fail
// or be the last one before power fails.
// What always holds: a cookie is sent once, over all starts, to the server that gave it, under the keys for which it gave
// it; and, within a start, none of older keys once newer ones have served.
import { randomBytes } from 'node:crypto';
import { expect } from 'vitest';
import { ClockStatus, Message, MeterEvent, StorageMap } from '../../as/abi/codes.ts';
import { keRecords } from './nts-reference.ts';
import {
  type ServedRequest,
  SimulatedMeter,
  type SimulatedMeterOptions,
  type SimulatedServer,
} from './simulated-meter.ts';

export interface Operation {
  readonly kind: 'read' | 'write';
  readonly offset: number;
  readonly length: number;
  /** Virtual time, s. */
  readonly at: number;
}

/** What becomes of an operation: it is done, it fails (a write may leave bytes), or power fails after so many bytes. */
export type Fate = 'done' | 'fails' | { readonly tornAfter: number };

export const partOffset = (source: number, part: number) =>
  StorageMap.Reserves + source * StorageMap.ReserveBytes + part * StorageMap.ReservePartStride;

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

export class Life {
  readonly sim: SimulatedMeter;
  readonly operations: Operation[] = [];
  /** Decides about each operation; `index` counts them over all starts. */
  fate: (operation: Operation, index: number) => Fate = () => 'done';
  #startAt = 0n;
  #sentBefore = 0;
  #requestsBefore = 0;

  constructor(options: SimulatedMeterOptions = {}) {
    this.sim = new SimulatedMeter({ ...options, settings: { reportSeconds: 60, ...options.settings } });
    for (const server of this.sim.servers) watchCookies(server, () => this.#startAt);
    const { storage } = this.sim;
    const read = storage.read.bind(storage);
    const write = storage.write.bind(storage);
    storage.read = (offset, length) => {
      const fate = this.#decide('read', offset, length);
      if (fate === 'done') return read(offset, length);
      if (fate !== 'fails') this.sim.meter.powerCut();
      throw new Error('no answer');
    };
    storage.write = (offset, bytes) => {
      const fate = this.#decide('write', offset, bytes.length);
      if (fate === 'done') return write(offset, bytes);
      if (fate === 'fails') throw new Error('worn out');
      // The byte at which power failed holds anything.
      const torn = Math.min(fate.tornAfter, bytes.length);
      write(offset, bytes.subarray(0, torn));
      if (torn < bytes.length) write(offset + torn, randomBytes(1));
      this.sim.meter.powerCut();
    };
  }

  #decide(kind: Operation['kind'], offset: number, length: number): Fate {
    const operation = { kind, offset, length, at: Number(this.sim.time.nowNs) / 1e9 };
    this.operations.push(operation);
    return this.fate(operation, this.operations.length - 1);
  }

  /** Power on. */
  start(): void {
    this.#sentBefore = this.sim.sent.length;
    this.#requestsBefore = this.sim.requests.length;
    this.sim.events.length = 0;
    this.#startAt = this.sim.utcNs;
    this.sim.meter.start();
  }

  /** Power off for so long. */
  cut(seconds = 3600): void {
    this.sim.meter.powerCut();
    this.sim.run(seconds);
  }

  get synchronised(): boolean {
    return this.sim.meter.running && this.sim.meter.time().status === ClockStatus.Synchronised;
  }

  /** NTS key establishments tried since the last start. */
  get establishments(): number {
    return this.sim.sent.slice(this.#sentBefore).filter(({ type }) => type === Message.TlsOpen).length;
  }

  /** Requests that came to the servers since the last start. */
  get requests(): ServedRequest[] {
    return this.sim.requests.slice(this.#requestsBefore);
  }

  get restored(): number {
    return this.sim.eventCodes().filter((code) => code === MeterEvent.KeysRestored).length;
  }

  /** Runs until synchronised with all servers heard, then on until the reserves are stored. */
  settle(seconds = 30): void {
    this.sim.runUntil('synchronised', () => this.synchronised, seconds);
    this.sim.run(10);
  }

  /** Writes of a kind of object since an index. */
  writes(from: number, to: number, since = 0): Operation[] {
    return this.operations.slice(since).filter(({ kind, offset }) => kind === 'write' && offset >= from && offset < to);
  }
}

/** Bytes behind a cookie in its field: zeros that fill it up (RFC 7822 3). */
function isPadding(bytes: Buffer): boolean {
  return bytes.length < 16 && bytes.every((byte) => byte === 0);
}

function watchCookies(server: SimulatedServer, startAt: () => bigint): void {
  // Cookies that were given and not seen, with the keys for which they were given.
  const given = new Map<string, string>();
  const { behaviour } = server;
  const { onKe, onRequest } = behaviour;
  let answering: ServedRequest | undefined;
  let newest = { name: '', since: 0n };
  const nameOf = (keys: { clientToServer: Uint8Array }) => hex(keys.clientToServer);
  let fresh: string[] = [];
  behaviour.onKe = (request) => {
    const pieces = onKe(request);
    fresh = keRecords(Buffer.concat(pieces))
      .filter(({ type }) => type === 5)
      .map(({ body }) => hex(body));
    return pieces;
  };
  behaviour.change = (parts) => {
    for (const cookie of parts.cookies) given.set(hex(cookie), nameOf(answering!.keys));
  };
  behaviour.onRequest = (request, exchange) => {
    const name = nameOf(request.keys);
    // Those of the last key establishment are for its keys.
    if (server.keys === request.keys) for (const cookie of fresh.splice(0)) given.set(cookie, name);
    const found = [...Array(16).keys()].find((padded) => {
      const end = request.cookie.length - padded;
      return end > 0 && given.has(hex(request.cookie.subarray(0, end))) && isPadding(request.cookie.subarray(end));
    });
    expect(found, 'a cookie that the server gave, for the first time').toBeDefined();
    const cookie = hex(request.cookie.subarray(0, request.cookie.length - found!));
    expect(given.get(cookie), 'the keys for which it was given').toBe(name);
    given.delete(cookie);
    if (newest.since !== startAt()) newest = { name: '', since: startAt() };
    if (server.keys === request.keys) newest.name = name;
    else expect(newest.name, 'no older keys once newer ones have served').not.toBe(nameOf(server.keys!));
    answering = request;
    return onRequest(request, exchange);
  };
}
