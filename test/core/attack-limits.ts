// What a meter may do at most whatever an attacker does, and what counts it.
import { Failure, StorageMap } from '../../as/abi/codes.ts';
import type { VirtualTime } from '../../host/meter/clocks.ts';
import { MemoryStorage } from '../../host/meter/storage.ts';
import { Violation } from '../fuzz/checked-core.ts';
import { second } from './simulated-meter.ts';

export const dayNs = 86_400n * second;

/** What no request may hold twice, ever. */
export class NeverTwice {
  readonly #seen = new Set<string>();

  add(what: string, bytes: Uint8Array): void {
    const key = what[0] + Buffer.from(bytes.subarray(0, 24)).toString('latin1');
    if (this.#seen.has(key)) throw new Violation(`${what} was sent twice`);
    this.#seen.add(key);
  }
}

/** Counts by whole intervals of time. */
export class Tally {
  #interval = -1n;
  count = 0;
  most = 0;
  sum = 0;

  constructor(readonly intervalNs: bigint) {}

  add(nowNs: bigint): number {
    const interval = nowNs / this.intervalNs;
    if (interval !== this.#interval) this.count = 0;
    this.#interval = interval;
    this.count++;
    this.sum++;
    this.most = Math.max(this.most, this.count);
    return this.count;
  }
}

/** Counts what is written. */
export class CountingStorage extends MemoryStorage {
  readonly writes = new Tally(dayNs);

  constructor(readonly time: VirtualTime) {
    super(StorageMap.FullBytes);
  }

  override write(offset: number, bytes: Uint8Array): void {
    this.writes.add(this.time.nowNs);
    super.write(offset, bytes);
  }
}

/**
 * Requests to a server in an hour: at each poll interval, as often as misses of new keys make them, 2, 4, 8 … s apart; further ones
 * for each key establishment.
 */
export function requestsInHour(pollMinSeconds: number, establishments: number): number {
  let most = 0;
  for (let misses = 0; misses < 16; misses++) {
    const waits = Array.from({ length: misses }, (_, i) => Math.min(2 ** (i + 1), pollMinSeconds));
    const cycle = pollMinSeconds * (7 / 8) + waits.reduce((sum, wait) => sum + wait, 0);
    most = Math.max(most, (3600 * (misses + 1)) / cycle);
  }
  return Math.ceil(most * 1.01) + 10 * (establishments + 1);
}

/** RFC 8915 4.2: five days. */
export const longestWaitSeconds = 432_000;

/** Key establishments with one server in a day; each phase of attacks, and each start, may begin with short waits. */
export const establishmentsInDay = 300;

/** Why a key establishment failed, as far as its waits are apart (as/nts/backoff.ts). */
export type FailureKind = 'dns' | 'tcp' | 'tls' | 'ke';

export function kindOf(reason: Failure): FailureKind {
  if (reason === Failure.Dns) return 'dns';
  return reason === Failure.Connect || reason === Failure.Timeout ? 'tcp' : 'tls';
}

/** s that the next key establishment waits at least after so many failures of a kind (RFC 8915 4.2). */
export function leastWaitSeconds(kind: FailureKind, failures: number): number {
  // Of names that are not found no time server knows.
  return Math.min(10 * 1.5 ** (failures - 1), kind === 'dns' ? 3600 : longestWaitSeconds);
}
