// What NTS-KE servers see of a fleet that comes back after a blackout: a simulation of single attempts, to the millisecond.
// What always holds:
// - Attempts are served in their order in time; a server serves no more than its rate, with one second's worth in reserve.
// - An attempt that is not served, by a server that is down or busy, ends with a timeout, and its client waits anew.
// - The same seed gives the same run.
import { setImmediate as others } from 'node:timers/promises';

/** Random numbers of a simulation: 32 bits each. */
export type Random = () => number;

/** splitmix32. */
export function seededBits(seed: number): Random {
  let state = seed | 0;
  return () => {
    state = (state + 0x9e3779b9) | 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return (z ^ (z >>> 15)) >>> 0;
  };
}

export interface World {
  /** NTS-KE servers that the fleet can choose from. */
  readonly servers: number;
  /** Handshakes that each of them can do, 1/s. */
  readonly capacity: number;
  /** They answer from this time on, ms after the power's return. */
  readonly upAtMs: number;
  /** An attempt that is not served ends after this, ms; at least 1000. */
  readonly timeoutMs: number;
  /** What has not happened by then is not simulated, s; at most 2^22 (7 weeks), so that all times are 32 bits of ms. */
  readonly horizonSeconds: number;
}

/** Clients by their groups: those of a group do everything at the same moments. */
export interface Clients {
  /** Number of groups. */
  readonly groups: number;
  /** Clients of each group; those that are served leave it. */
  readonly size: Uint32Array;
  /** First attempt of each group, ms. */
  readonly startMs: Uint32Array;
  /** Which server a group asks now. */
  server(group: number): number;
  /** The group's attempt ended without keys: when it asks again, ms, not before `nowMs`. */
  failed(group: number, nowMs: number): number;
}

/** One figure for each second since the power's return, up to the last one with an attempt. */
export interface Load {
  /** Attempts at each server. */
  readonly attempts: readonly Uint32Array[];
  /** Clients that got keys, from any server. */
  readonly keyed: Uint32Array;
  readonly clients: number;
  readonly attemptsInAll: number;
}

/** Handshakes of one server: a token bucket, counted in thousandths. */
class KeServer {
  #credit: number;
  #atMs: number;

  constructor(
    readonly perSecond: number,
    readonly upAtMs: number,
  ) {
    this.#credit = perSecond * 1000;
    this.#atMs = upAtMs;
  }

  /** How many of the attempts made at once are served. */
  serve(attempts: number, atMs: number): number {
    if (atMs < this.upAtMs) return 0;
    this.#credit = Math.min(this.perSecond * 1000, this.#credit + (atMs - this.#atMs) * this.perSecond);
    this.#atMs = atMs;
    const served = Math.min(attempts, Math.floor(this.#credit / 1000));
    this.#credit -= served * 1000;
    return served;
  }
}

// A piece of a list, in words: the piece before it, how many groups it holds, and of each its number and its ms.
const pieceWords = 64;
const pieceGroups = (pieceWords - 2) / 2;

/**
 * Who is due when: a list for each second, put in order when its second comes. Lists are made of pieces, so that memory is
 * read in rows: that is what takes the time here.
 */
class Calendar {
  /** The last piece of each second's list, 0 for none. */
  readonly #last: Uint32Array;
  #pieces = new Uint32Array(1024 * pieceWords);
  #used = 1;
  readonly #free: number[] = [];
  readonly #byMs = new Uint32Array(1001);
  #groups = new Uint32Array(1024);
  #ms = new Uint32Array(1024);
  #sorted = new Uint32Array(2048);

  constructor(readonly seconds: number) {
    this.#last = new Uint32Array(seconds);
  }

  put(group: number, atMs: number): void {
    const second = Math.floor(atMs / 1000);
    if (second >= this.seconds) return;
    let piece = this.#last[second]!;
    if (piece === 0 || this.#pieces[piece * pieceWords + 1] === pieceGroups) piece = this.#newPiece(second, piece);
    const at = piece * pieceWords;
    const place = at + 2 + this.#pieces[at + 1]!++ * 2;
    this.#pieces[place] = group;
    this.#pieces[place + 1] = atMs - second * 1000;
  }

  #newPiece(second: number, before: number): number {
    const piece = this.#free.pop() ?? this.#used++;
    if (this.#used * pieceWords > this.#pieces.length) this.#pieces = longer(this.#pieces);
    this.#pieces[piece * pieceWords] = before;
    this.#pieces[piece * pieceWords + 1] = 0;
    this.#last[second] = piece;
    return piece;
  }

  /** Takes out those of a second, the earliest first: number and ms within the second of each. Good until the next call. */
  take(second: number): Uint32Array {
    let count = 0;
    for (let piece = this.#last[second]!; piece !== 0; piece = this.#pieces[piece * pieceWords]!) {
      const at = piece * pieceWords;
      const end = at + 2 + this.#pieces[at + 1]! * 2;
      if (count + pieceGroups > this.#groups.length) this.#enlarge();
      for (let place = at + 2; place < end; place += 2) {
        this.#groups[count] = this.#pieces[place]!;
        this.#ms[count++] = this.#pieces[place + 1]!;
      }
      this.#free.push(piece);
    }
    this.#last[second] = 0;
    return this.#sort(count);
  }

  #enlarge(): void {
    this.#groups = longer(this.#groups);
    this.#ms = longer(this.#ms);
    this.#sorted = new Uint32Array(this.#groups.length * 2);
  }

  // Counting sort by the ms.
  #sort(count: number): Uint32Array {
    if (count === 0) return this.#sorted.subarray(0, 0);
    this.#byMs.fill(0);
    for (let n = 0; n < count; n++) this.#byMs[this.#ms[n]! + 1]!++;
    for (let ms = 1; ms < 1000; ms++) this.#byMs[ms]! += this.#byMs[ms - 1]!;
    for (let n = 0; n < count; n++) {
      const ms = this.#ms[n]!;
      const place = this.#byMs[ms]!++ * 2;
      this.#sorted[place] = this.#groups[n]!;
      this.#sorted[place + 1] = ms;
    }
    return this.#sorted.subarray(0, count * 2);
  }
}

function longer(words: Uint32Array<ArrayBuffer>): Uint32Array<ArrayBuffer> {
  const all = new Uint32Array(words.length * 2);
  all.set(words);
  return all;
}

/** Timers and signals have a turn this often, ms. */
const turnMs = 150;

/** Runs until all have keys or the horizon is reached. */
export async function simulate(world: World, clients: Clients): Promise<Load> {
  const servers = Array.from({ length: world.servers }, () => new KeServer(world.capacity, world.upAtMs));
  const attempts = servers.map(() => new Uint32Array(world.horizonSeconds));
  const keyed = new Uint32Array(world.horizonSeconds);
  const calendar = new Calendar(world.horizonSeconds);
  let all = 0;
  for (let group = 0; group < clients.groups; group++) {
    if (clients.size[group] === 0) continue;
    all += clients.size[group]!;
    calendar.put(group, clients.startMs[group]!);
  }
  let left = all;
  let attemptsInAll = 0;
  let seconds = 0;
  let turnAtMs = performance.now() + turnMs;
  for (; left > 0 && seconds < world.horizonSeconds; seconds++) {
    if (performance.now() >= turnAtMs) {
      await others();
      turnAtMs = performance.now() + turnMs;
    }
    const due = calendar.take(seconds);
    for (let n = 0; n < due.length; n += 2) {
      const group = due[n]!;
      const atMs = seconds * 1000 + due[n + 1]!;
      const asking = clients.size[group]!;
      const server = clients.server(group);
      const served = servers[server]!.serve(asking, atMs);
      attempts[server]![seconds]! += asking;
      attemptsInAll += asking;
      if (served > 0) {
        keyed[seconds]! += served;
        left -= served;
        clients.size[group] = asking - served;
      }
      if (served < asking) calendar.put(group, clients.failed(group, atMs + world.timeoutMs));
    }
  }
  return {
    attempts: attempts.map((each) => each.subarray(0, seconds)),
    keyed: keyed.subarray(0, seconds),
    clients: all,
    attemptsInAll,
  };
}

// ---------------------------------------------------------------- the clients

/** How a fleet chooses: drawn by each, or all the first in their list. */
export type Choice = 'drawn' | 'first';

export interface Return {
  /** Clients of the fleet that need keys. */
  readonly clients: number;
  /** They have power again within this, evenly, ms. */
  readonly withinMs: number;
  readonly servers: number;
  readonly choice: Choice;
  readonly random: Random;
}

const below = (limit: number, random: Random) => Math.floor((random() / 2 ** 32) * limit);

/** The core's back-off (docs/protocol.md). */
export interface Backoff {
  backoffNext(kind: number, previousMs: number, random: number): number;
  backoffSpread(spreadSeconds: number, random: number): number;
}

/** `FailureKind.Tcp` of as/nts/backoff.ts: what the core takes a timeout for. */
const kindTcp = 1;

/**
 * Meters with the core's back-off and one source each: as/meter/source.ts. After a failure a meter turns to the server
 * that it may ask the soonest, as `sourceMoves` does; with one server that is the same one again.
 */
export function meters(fleet: Return, spreadSeconds: number, backoff: Backoff): Clients {
  const { clients, servers, random } = fleet;
  const startMs = new Uint32Array(clients);
  const asks = new Uint8Array(clients);
  // Of each meter and server the last wait, ms, and when it may be asked again, ms after the power's return.
  const waits = new Uint32Array(clients * servers * 2);
  for (let meter = 0; meter < clients; meter++) {
    asks[meter] = fleet.choice === 'drawn' ? below(servers, random) : 0;
    startMs[meter] = below(fleet.withinMs, random) + backoff.backoffSpread(spreadSeconds, random());
  }
  return {
    groups: clients,
    size: new Uint32Array(clients).fill(1),
    startMs,
    server: (meter) => asks[meter]!,
    failed(meter, nowMs) {
      const at = meter * servers * 2;
      let best = at + asks[meter]! * 2;
      waits[best] = backoff.backoffNext(kindTcp, waits[best]!, random() & 0xffff);
      waits[best + 1] = nowMs + waits[best]!;
      for (let other = at; other < at + servers * 2; other += 2) {
        if (waits[other + 1]! < waits[best + 1]!) best = other;
      }
      asks[meter] = (best - at) / 2;
      return Math.max(nowMs, waits[best + 1]!);
    },
  };
}

/** Clients that start at once, stay with their server, and wait as long as `waitMs` says after the n-th failure, from 1. */
export function regular(fleet: Return, waitMs: (failures: number) => number): Clients {
  const { clients, withinMs, servers, random } = fleet;
  const groups = withinMs * servers;
  const size = new Uint32Array(groups);
  const failures = new Uint32Array(groups);
  for (let client = 0; client < clients; client++) {
    const server = fleet.choice === 'drawn' ? below(servers, random) : 0;
    size[server * withinMs + below(withinMs, random)]!++;
  }
  return {
    groups,
    size,
    startMs: Uint32Array.from({ length: groups }, (_, group) => group % withinMs),
    server: (group) => Math.floor(group / withinMs),
    failed: (group, nowMs) => nowMs + waitMs(++failures[group]!),
  };
}

/** After a failure, again in a second, for ever. */
export const everySecond = () => 1000;

/** chrony: from 2^4 s (no connection) or 2^10 s (no TLS), doubling, up to 2^19 s. */
export function doubling(firstLog2: number): (failures: number) => number {
  return (failures) => 2 ** Math.min(firstLog2 + failures - 1, 19) * 1000;
}

/** chrony's poll interval without an answer; each is longer by up to 2 %, drawn. */
const pollMs = 64_000;
const pollJitter = 0.02;

/**
 * chrony with the moments at which it looks: a failure is noticed at the next poll, where its wait begins, and the next
 * attempt is made at the first poll after the wait.
 */
export function doublingAtPolls(fleet: Return, firstLog2: number, timeoutMs: number): Clients {
  const { clients, servers, random } = fleet;
  const waitMs = doubling(firstLog2);
  const asks = new Uint8Array(clients);
  const failures = new Uint8Array(clients);
  const startMs = new Uint32Array(clients);
  for (let client = 0; client < clients; client++) {
    asks[client] = fleet.choice === 'drawn' ? below(servers, random) : 0;
    startMs[client] = below(fleet.withinMs, random);
  }
  const longerMs = pollMs * pollJitter;
  const meanMs = pollMs + longerMs / 2;
  // The sum of many even draws has nearly the distribution of four that are wider.
  const polls = (count: number) => {
    const draws = Math.min(count, 4);
    let sum = -draws / 2;
    for (let n = 0; n < draws; n++) sum += random() / 2 ** 32;
    return count * meanMs + sum * longerMs * Math.sqrt(count / draws);
  };
  const pollsWithin = (ms: number) => Math.max(1, Math.ceil(ms / meanMs));
  return {
    groups: clients,
    size: new Uint32Array(clients).fill(1),
    startMs,
    server: (client) => asks[client]!,
    failed(client, nowMs) {
      const count = pollsWithin(timeoutMs) + pollsWithin(waitMs(++failures[client]!));
      return Math.max(nowMs, Math.round(nowMs - timeoutMs + polls(count)));
    },
  };
}
