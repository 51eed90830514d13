// Two ends of a link on a line with faults, in virtual time: nothing here reads a clock or waits.
//
// What always holds:
// - Everything follows from the seed of the random numbers.
// - A line carries bytes in their order at its speed; a doubled piece comes once more later, between two other pieces.
// - An end is told what firmware tells the core: what lies between two zeros, and ticks of first and last bytes.
import { Channel, LinkLimit } from '../../as/abi/codes.ts';
import { METER_DATAGRAM_BYTES, REQUEST_MAX_BYTES } from '../../as/link/layout.ts';
import { giveKey, type LinkExports, newLinkSync } from './link-core.ts';
import type { SeededRandom } from './random.ts';

const NS = 1_000_000_000;
/** Bytes between two zeros that a receiver keeps; of more it keeps the first. */
const RECEIVE_BYTES = 256;
/** Of a frame with one of `Traffic`'s messages. */
const SHORTEST_FRAME_BYTES = 31;

/** How often a line spoils something. */
export interface Faults {
  /** Of each byte: one bit flipped, the byte lost, a byte of noise put before it. */
  readonly flip: number;
  readonly lose: number;
  readonly noise: number;
  /** Of each frame: its end cut off, all of it lost, all of it once more, up to 60 of the shortest frames later. */
  readonly cut: number;
  readonly drop: number;
  readonly double: number;
}

export const noFaults: Faults = { flip: 0, lose: 0, noise: 0, cut: 0, drop: 0, double: 0 };

/** A line that does harm to one byte in `bytes`, in every way. */
export function faultsEvery(bytes: number): Faults {
  const rate = 1 / bytes;
  return { flip: rate / 3, lose: rate / 3, noise: rate / 3, cut: rate * 20, drop: rate * 20, double: rate * 20 };
}

export interface LineOptions {
  readonly baud: number;
  /** One way, besides the time that the bytes take. */
  readonly latencyNs: number;
  readonly tickHz: { readonly meter: number; readonly gateway: number };
  /** Servers that the meter's core is built for; the gateway's is for four. */
  readonly servers: number;
  /** The link key that both ends have. */
  readonly key?: Uint8Array | undefined;
}

interface Planned {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
}

/** Events in the order of their time; those of the same time in the order in which they were planned. */
export class Timeline {
  nowNs = 0;
  #order = 0;
  readonly #heap: Planned[] = [];

  plan(at: number, run: () => void): void {
    const entry = { at: Math.max(at, this.nowNs), order: this.#order++, run };
    const heap = this.#heap;
    let index = heap.push(entry) - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (!before(entry, heap[parent]!)) break;
      heap[index] = heap[parent]!;
      index = parent;
    }
    heap[index] = entry;
  }

  /** Runs what is planned up to `until`, or until `stop` says so. */
  run(until: number, stop: () => boolean = () => false): void {
    while (!stop()) {
      const first = this.#heap[0];
      if (first === undefined || first.at > until) {
        this.nowNs = until;
        return;
      }
      this.#take();
      this.nowNs = first.at;
      first.run();
    }
  }

  #take(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++;
      if (!before(heap[child]!, last)) break;
      heap[index] = heap[child]!;
      index = child;
    }
    heap[index] = last;
  }
}

function before(a: Planned, b: Planned): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}

export interface Received {
  readonly channel: Channel;
  readonly message: Uint8Array;
  readonly firstTick: bigint;
  readonly lastTick: bigint;
}

/** One end: a core, its side of the line, and what its application is told. */
export class LinkEnd {
  core!: LinkExports;
  peer!: LinkEnd;
  faults: Faults = noFaults;
  polls = 0;
  framesOnLine = 0;
  bytesOnLine = 0;
  /** Called for each message, after each event (the application may send then), and when a session began. */
  onMessage: (received: Received) => void = () => {};
  onTurn: () => void = () => {};
  onSession: () => void = () => {};
  onDatagramSent: (tick: bigint) => void = () => {};
  #run = 0;
  #partial: { byte: number; at: number }[] = [];
  #wakeAt = Number.POSITIVE_INFINITY;
  #restartedAt = 0;

  constructor(
    readonly gateway: boolean,
    readonly timeline: Timeline,
    readonly options: LineOptions,
    readonly random: SeededRandom,
  ) {
    this.restart();
  }

  get tickHz(): number {
    return this.gateway ? this.options.tickHz.gateway : this.options.tickHz.meter;
  }

  /** Longest message that it sends on the stream channel. */
  get streamBytes(): number {
    return this.gateway ? LinkLimit.MessageBytes : REQUEST_MAX_BYTES;
  }

  /** Longest message that it sends on the time channel. */
  get datagramBytes(): number {
    return this.gateway ? LinkLimit.DatagramBytes : METER_DATAGRAM_BYTES;
  }

  tick(ns: number): bigint {
    return BigInt(Math.round((ns * this.tickHz) / NS));
  }

  /** Loses all memory, and the frame that is being received; one that is being sent is cut. */
  restart(): void {
    this.core = newLinkSync(this.gateway ? 4 : this.options.servers);
    this.#run++;
    this.#restartedAt = this.timeline.nowNs;
    this.#partial = [];
    this.#wakeAt = Number.POSITIVE_INFINITY;
    if (this.options.key !== undefined) giveKey(this.core, this.gateway, 'meter-1', this.options.key);
    this.core.linkStart(this.gateway ? 1 : 0, this.tickHz, this.random.below(2 ** 32));
    const run = this.#run;
    this.timeline.plan(this.timeline.nowNs, () => {
      if (run === this.#run) this.turn();
    });
  }

  send(channel: Channel, message: Uint8Array): boolean {
    const { core } = this;
    const at = core.scratch() + 4096;
    new Uint8Array(core.memory.buffer, at, message.length).set(message);
    return core.linkSend(channel, at, message.length) !== 0;
  }

  /** Lets the application act, and the core send. */
  turn(): void {
    const { core } = this;
    if (core.linkSessionChanged() !== 0) this.onSession();
    if (core.linkDatagramSent() !== 0) this.onDatagramSent(core.linkDatagramTick());
    this.onTurn();
    this.polls++;
    const length = core.linkPoll(this.tick(this.timeline.nowNs));
    if (length > 0) this.#transmit(new Uint8Array(core.memory.buffer, core.linkFrame(), length).slice());
    const deadline = BigInt.asUintN(64, core.linkDeadline());
    if (deadline === 2n ** 64n - 1n) return;
    // The first moment at which this end's tick is no less than the deadline.
    let at = Math.ceil((Number(deadline) * NS) / this.tickHz);
    while (this.tick(at) < deadline) at++;
    if (at === this.#wakeAt) return;
    this.#wakeAt = at;
    const run = this.#run;
    this.timeline.plan(at, () => {
      if (run !== this.#run || this.#wakeAt !== at) return;
      this.#wakeAt = Number.POSITIVE_INFINITY;
      this.turn();
    });
  }

  #transmit(bytes: Uint8Array): void {
    this.framesOnLine++;
    this.bytesOnLine += bytes.length;
    const byteNs = (10 * NS) / this.options.baud;
    const start = this.timeline.nowNs;
    const end = start + bytes.length * byteNs;
    const run = this.#run;
    const spoiled = this.#spoil(bytes);
    const arrival = start + this.options.latencyNs;
    this.timeline.plan(end, () => {
      if (run !== this.#run) return;
      this.core.linkFrameSent(this.tick(end));
      this.turn();
    });
    this.timeline.plan(end + this.options.latencyNs, () => {
      const left = run === this.#run ? spoiled.length : Math.floor((this.#restartedAt - start) / byteNs);
      this.peer.#receiveBytes(spoiled.subarray(0, left), arrival, byteNs);
    });
    if (this.#chance(this.faults.double)) {
      const later = end + this.options.latencyNs + this.random.below(60 * SHORTEST_FRAME_BYTES * byteNs);
      this.timeline.plan(later, () => this.peer.#receiveBytes(spoiled, later - spoiled.length * byteNs, byteNs));
    }
  }

  #chance(probability: number): boolean {
    return probability > 0 && this.random.below(2 ** 30) < probability * 2 ** 30;
  }

  #spoil(bytes: Uint8Array): Uint8Array {
    const { faults } = this;
    if (this.#chance(faults.drop)) return new Uint8Array(0);
    const length = this.#chance(faults.cut) ? this.random.below(bytes.length) : bytes.length;
    const result: number[] = [];
    for (const byte of bytes.subarray(0, length)) {
      if (this.#chance(faults.noise)) result.push(this.random.below(256));
      if (this.#chance(faults.lose)) continue;
      result.push(this.#chance(faults.flip) ? byte ^ (1 << this.random.below(8)) : byte);
    }
    return Uint8Array.from(result);
  }

  #receiveBytes(bytes: Uint8Array, start: number, byteNs: number): void {
    let at = start;
    for (const byte of bytes) {
      at += byteNs;
      if (byte !== 0) {
        if (this.#partial.length < RECEIVE_BYTES) this.#partial.push({ byte, at: at - byteNs });
        continue;
      }
      const frame = this.#partial;
      this.#partial = [];
      if (frame.length === 0) continue;
      this.receiveFrame(
        frame.map((entry) => entry.byte),
        this.tick(frame[0]!.at),
        this.tick(Math.min(frame.at(-1)!.at + byteNs, this.timeline.nowNs)),
      );
    }
  }

  receiveFrame(frame: ArrayLike<number>, firstTick: bigint, lastTick: bigint): void {
    const { core } = this;
    const at = core.scratch();
    const memory = new Uint8Array(core.memory.buffer);
    memory.set(frame, at);
    if (core.linkReceive(at, frame.length, firstTick, lastTick, this.tick(this.timeline.nowNs)) !== 0) {
      if (core.linkSessionChanged() !== 0) throw new Error('a message came together with a new session');
      const start = core.linkMessage();
      this.onMessage({
        channel: core.linkChannel(),
        message: memory.slice(start, start + core.linkMessageLength()),
        firstTick: core.linkFirstTick(),
        lastTick: core.linkLastTick(),
      });
    }
    this.turn();
  }
}

/** A meter's and a gateway's end on one line. */
export function joinEnds(
  random: SeededRandom,
  options: Partial<LineOptions> = {},
): { timeline: Timeline; meter: LinkEnd; gateway: LinkEnd } {
  const timeline = new Timeline();
  const all = { baud: 115_200, latencyNs: 0, tickHz: { meter: 25_000_000, gateway: NS }, servers: 4, ...options };
  const meter = new LinkEnd(false, timeline, all, random);
  const gateway = new LinkEnd(true, timeline, all, random);
  meter.peer = gateway;
  gateway.peer = meter;
  return { timeline, meter, gateway };
}

/** Runs until both ends say that the session stands; throws when that takes longer than `limitNs`. */
export function bringUp(
  { timeline, meter, gateway }: { timeline: Timeline; meter: LinkEnd; gateway: LinkEnd },
  limitNs = NS,
): void {
  const standing = () =>
    meter.core.linkUp() !== 0 && gateway.core.linkUp() !== 0 && meter.core.linkSession() === gateway.core.linkSession();
  timeline.run(timeline.nowNs + limitNs, standing);
  if (!standing()) throw new Error(`no session within ${limitNs / 1e6} ms of virtual time`);
}

/** What an application sends and checks: every message says where it belongs and what it must contain. */
export class Traffic {
  /** Messages of this session given to the core and delivered, for each reliable channel. */
  given: Record<number, number> = {};
  taken: Record<number, number> = {};
  sessions = 0;
  /** Over all sessions. */
  delivered = 0;
  datagrams = 0;
  datagramsGiven = 0;
  active = true;
  readonly faultsFound: string[] = [];
  readonly #seenDatagrams = new Set<number>();

  constructor(
    readonly end: LinkEnd,
    readonly random: SeededRandom,
    /** Percent: how likely a message is given at each turn when there is room. */
    readonly share = { reliable: 60, datagram: 10 },
  ) {
    end.onSession = () => {
      this.sessions++;
      this.given = {};
      this.taken = {};
    };
    end.onTurn = () => this.#offer();
    end.onMessage = (received) => this.#check(received);
  }

  #offer(): void {
    if (!this.active) return;
    for (const channel of [Channel.Stream, Channel.Report]) {
      while (this.end.core.linkRoom(channel) > 0 && this.random.below(100) < this.share.reliable) {
        const count = this.given[channel] ?? 0;
        const most = channel === Channel.Stream ? this.end.streamBytes : LinkLimit.MessageBytes;
        const message = markMessage(this.end, channel, count, 12 + this.random.below(most - 12 + 1));
        if (!this.end.send(channel, message)) {
          this.faultsFound.push('room was promised and a message refused');
          return;
        }
        this.given[channel] = count + 1;
      }
    }
    if (this.end.core.linkRoom(Channel.Time) > 0 && this.random.below(100) < this.share.datagram) {
      const length =
        this.random.below(3) === 0
          ? 12 + this.random.below(50)
          : 12 + this.random.below(this.end.datagramBytes - 12 + 1);
      if (this.end.send(Channel.Time, markMessage(this.end, Channel.Time, this.datagramsGiven, length))) {
        this.datagramsGiven++;
      }
    }
  }

  #check({ channel, message, firstTick, lastTick }: Received): void {
    const view = new DataView(message.buffer, message.byteOffset, message.length);
    if (message.length < 12) {
      this.faultsFound.push(`a message of ${message.length} bytes`);
      return;
    }
    const count = view.getUint32(4, true);
    const expected = markMessage(this.end.peer, channel, count, message.length, view.getUint16(2, true));
    if (Buffer.compare(message, expected) !== 0) this.faultsFound.push(`channel ${channel}: damaged message ${count}`);
    if (firstTick > lastTick) this.faultsFound.push('the first byte came after the last');
    if (view.getUint16(2, true) !== this.end.core.linkSession()) {
      this.faultsFound.push(`channel ${channel}: a message of another session`);
    }
    if (channel === Channel.Time) {
      this.datagrams++;
      const key = view.getUint16(2, true) * 2 ** 32 + count;
      if (this.#seenDatagrams.has(key)) this.faultsFound.push(`datagram ${count} twice`);
      this.#seenDatagrams.add(key);
      return;
    }
    const next = this.taken[channel] ?? 0;
    if (count !== next) this.faultsFound.push(`channel ${channel}: message ${count} where ${next} was to come`);
    this.taken[channel] = next + 1;
    this.delivered++;
  }
}

/** Channel, sender, session, count, length, and bytes that follow from all of them. */
function markMessage(end: LinkEnd, channel: number, count: number, length: number, session?: number): Uint8Array {
  const message = new Uint8Array(length);
  const view = new DataView(message.buffer);
  view.setUint8(0, channel);
  view.setUint8(1, end.gateway ? 1 : 0);
  view.setUint16(2, session ?? end.core.linkSession(), true);
  view.setUint32(4, count, true);
  view.setUint32(8, length, true);
  let state = view.getUint32(0, true) ^ Math.imul(count + 1, 0x9e3779b1) ^ length;
  for (let i = 12; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    // Zeros are what COBS has to work for.
    message[i] = state >>> 29 === 0 ? 0 : state >>> 24;
  }
  return message;
}
