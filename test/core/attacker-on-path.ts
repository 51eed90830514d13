// An attacker on the path between a meter's gateway and its time servers. He sees each datagram and each connection, and
// may hold, drop, copy, change, reorder and make datagrams, break connections and names, as long as he likes.
// What always holds: he has no keys. What he makes is not sealed, or not with the right key, and a TLS connection he can
// only let be, hold up or break. What he does follows from his random numbers and from what he sees.
import { Failure } from '../../as/abi/codes.ts';
import type { VirtualTime } from '../../host/meter/clocks.ts';
import { FieldType, kiss } from '../../host/setup/nts-packets.ts';
import type { Prng } from '../fuzz/prng.ts';
import { extensionField } from './nts-reference.ts';

const second = 1e9;
const minute = 60 * second;
const day = 86_400 * second;

/** A request on its way. */
export interface Flight {
  readonly server: number;
  readonly socket: number;
  readonly exchange: number;
  readonly packet: Buffer;
}

/** Where a packet goes when the attacker lets it. */
export interface Wire {
  /** How long the network itself takes one way, ns. */
  pathNs(server: number): number;
  /** A packet comes to a server now: its answers. */
  serve(server: number, packet: Buffer): Buffer[];
  /** A datagram comes to the gateway now, on the port of an exchange. */
  toMeter(socket: number, exchange: number, payload: Buffer): void;
}

/** What becomes of something that is asked for: it comes after a while, or fails, or nothing comes at all. */
export interface Fate {
  readonly afterNs: number;
  readonly failure?: Failure | 'silence';
}

/** What the attacker does to one server's packets; numbers from 0 to 1 are probabilities. */
interface Tactic {
  /** Added to the network's own delays, ns. */
  outNs: () => number;
  backNs: () => number;
  dropOut: number;
  dropBack: number;
  /** A further copy of a request or an answer, with delays of its own. */
  copyOut: number;
  copyBack: number;
  /** A request or an answer arrives changed. */
  changeOut: number;
  changeBack: number;
  /** A copy of a request goes to another server, whose answer comes back for it. */
  mix: number;
  /** Each of the last answers comes once more for this request. */
  replay: number;
  /** Datagrams of his own for each request, and when they come after the request, ns. */
  forge: readonly Forgery[];
  forgeNs: () => number;
  /** Datagrams of his own, all the time: a second. */
  flood: number;
  /** After each key establishment so many answers pass, and no further ones. */
  lets: number;
  /** Of the name for NTP, of the connection of a key establishment, of its answer. */
  resolve: () => Fate;
  connect: () => Fate;
  answer: () => Fate;
}

const peace: Tactic = {
  outNs: () => 0,
  backNs: () => 0,
  dropOut: 0,
  dropBack: 0,
  copyOut: 0,
  copyBack: 0,
  changeOut: 0,
  changeBack: 0,
  mix: 0,
  replay: 0,
  forge: [],
  forgeNs: () => 1e6,
  flood: 0,
  lets: Number.POSITIVE_INFINITY,
  resolve: () => ({ afterNs: 0 }),
  connect: () => ({ afterNs: 0 }),
  answer: () => ({ afterNs: 0 }),
};

// ---------------------------------------------------------------- datagrams of his own

type Forgery = (random: Prng, request: Buffer, seen: Buffer | undefined) => Buffer;

const headerBytes = 48;
/** The field of the unique identifier, behind the header of each request. */
const identifierBytes = 36;

const kissOf = (code: string): Forgery => {
  return (_, request) => kiss({ identifier: request.subarray(52, 84), origin: request.subarray(40, 48) }, code);
};

const unsealed: Forgery = (random, request, seen) =>
  fitted(random, request, seen?.subarray(0, headerBytes + identifierBytes));

const forgeries = {
  nak: kissOf('NTSN'),
  deny: kissOf('DENY'),
  restrict: kissOf('RSTR'),
  rate: kissOf('RATE'),
  other: (random, request, seen) =>
    kissOf(String.fromCharCode(...Array.from({ length: 4 }, () => random.between(65, 90))))(random, request, seen),
  /** The time that he wants, without a seal. */
  unsealed,
  /** The same with a seal of the right shape, made without the key; nothing is encrypted. */
  sealed: (random, request, seen) => {
    const nonceBytes = random.pick([12, 16]);
    const seal = Buffer.concat([Buffer.of(0, nonceBytes, 0, 16), random.bytes(nonceBytes + 16)]);
    return Buffer.concat([unsealed(random, request, seen), extensionField(FieldType.authenticator, seal)]);
  },
  /** The request itself, as if it were an answer. */
  reflected: (_, request) => Buffer.concat([Buffer.of(0x24, 1), request.subarray(2)]),
  /** A sealed answer to another request, with this one's identifier and origin. */
  dressed: fitted,
  garbage: (random) => Buffer.from(random.bytes(random.below(600))),
} satisfies Record<string, Forgery>;

const allForgeries: readonly Forgery[] = Object.values(forgeries);

/** An answer that he has seen, or the beginning of it, as one to this request, with the time that he wants. */
function fitted(random: Prng, request: Buffer, seen: Buffer | undefined): Buffer {
  if (seen === undefined || seen.length < headerBytes + identifierBytes) return Buffer.from(random.bytes(200));
  const packet = Buffer.from(seen);
  packet[0] = 0x24;
  request.copy(packet, 24, 40, 48);
  request.copy(packet, headerBytes, headerBytes, headerBytes + identifierBytes);
  return shifted(random, packet, 1);
}

// Receive and transmit timestamps moved by up to a day.
function shifted(random: Prng, packet: Buffer, stratum: number): Buffer {
  packet[1] = stratum;
  const bySeconds = random.between(-86_400, 86_400);
  for (const at of [32, 40]) packet.writeUInt32BE((packet.readUInt32BE(at) + bySeconds) >>> 0, at);
  return packet;
}

/** Flips, cuts, lengthens or overwrites. What he appends behind the seal leaves the answer as good as it was. */
function changed(random: Prng, packet: Buffer): Buffer {
  const copy = Buffer.from(packet);
  const at = random.below(copy.length);
  switch (random.below(6)) {
    case 0:
      copy[at]! ^= 1 << random.below(8);
      return copy;
    case 1:
      return copy.subarray(0, at);
    case 2:
      return copy.subarray(0, at & ~3);
    case 3:
      return Buffer.concat([copy, Buffer.from(random.bytes(random.below(64)))]);
    case 4:
      return shifted(random, copy, copy[1]!);
    default: {
      // A cookie of his own, behind the seal.
      const field = Buffer.from(random.bytes(104));
      field.writeUInt32BE(0x0204_0068);
      return Buffer.concat([copy, field]);
    }
  }
}

// ---------------------------------------------------------------- what he may be after

type Strategy = (random: Prng, sinceNs: () => number) => Partial<Tactic>;

const failures = [
  Failure.Dns,
  Failure.Connect,
  Failure.Tls,
  Failure.WrongName,
  Failure.Timeout,
  Failure.Reset,
] as const;

/** Connections fail in one way, in any way, now and then, or hang. */
function broken(random: Prng): () => Fate {
  const always = random.chance(0.5) ? random.pick([...failures, 'silence' as const]) : undefined;
  const share = random.pick([1, 1, 0.9, 0.5]);
  return () => ({
    afterNs: random.exponential(second),
    ...(random.chance(share) ? { failure: always ?? random.pick([...failures, 'silence' as const]) } : {}),
  });
}

/** Just within and just beyond what a meter waits for. */
const nearDeadline = (random: Prng) => 2.9 * second * random.pick([0.1, 0.5, 0.9, 0.98, 1.02, random.fraction()]);

/** Milliseconds to days. */
const anyDelay = (random: Prng) => 1e6 * (5 * day * 1e-6) ** random.fraction();

export const strategies = {
  blackout: (random) => ({ dropOut: 1, connect: broken(random), resolve: broken(random) }),
  mute: () => ({ dropBack: 1 }),
  keysOnly: (random) => ({ dropOut: 1, forge: random.chance(0.5) ? [forgeries.nak] : [] }),
  noKeys: (random) => ({ connect: broken(random), answer: broken(random) }),
  brokenAnswers: (random) => ({ answer: broken(random) }),
  slowKeys: (random) => {
    const [connect, answer] = [random.exponential(20 * second), random.exponential(20 * second)];
    return {
      connect: () => ({ afterNs: random.exponential(connect) }),
      answer: () => ({ afterNs: random.exponential(answer) }),
    };
  },
  noNames: (random) => ({ resolve: broken(random) }),
  loss: (random) => ({ dropOut: random.fraction() ** 0.3, dropBack: random.fraction() ** 0.3 }),
  /** All of the delay in one direction: an error that a meter cannot see. */
  asymmetry: (random) => {
    const ns = nearDeadline(random);
    return random.chance(0.5) ? { outNs: () => ns } : { backNs: () => ns };
  },
  /** The same, slowly more, to drag the clock along. */
  creep: (random, sinceNs) => {
    const overNs = minute * 10 ** (1 + 2.5 * random.fraction());
    const ns = () => Math.min(sinceNs() / overNs, 1) * 2.95 * second;
    return random.chance(0.5) ? { outNs: ns } : { backNs: ns };
  },
  /** From one direction to the other with each exchange. */
  swing: (random) => {
    const ns = nearDeadline(random) / 2;
    return { outNs: () => ns * random.below(2), backNs: () => ns * random.below(2) };
  },
  late: (random) => ({ backNs: () => (2.5 + random.exponential(2)) * second }),
  reorder: (random) => ({ outNs: () => anyDelay(random), backNs: () => anyDelay(random), copyOut: 0.7, copyBack: 0.7 }),
  /** Answers to copies of one request, made at other times, of which the one he likes best comes first. */
  copies: (random) => ({
    copyOut: 0.8,
    copyBack: 0.8,
    dropBack: 0.5,
    outNs: () => random.exponential(second),
    backNs: () => random.exponential(second / 2),
  }),
  replay: (random) => ({ replay: random.fraction(), dropBack: random.pick([0, 0.5, 1]) }),
  mixed: (random) => ({ mix: random.fraction(), replay: 0.1, dropBack: random.pick([0, 0.5]) }),
  /** NAKs, each before the answer, which comes all the same. */
  nakBefore: (random) => ({ forge: [forgeries.nak], backNs: () => random.exponential(second) }),
  nakInstead: () => ({ forge: [forgeries.nak], dropBack: 1 }),
  /** New keys are proven each time, and of no use then. */
  provenInVain: (random) => ({
    lets: random.between(1, 12),
    forge: random.chance(0.7) ? [forgeries.nak] : [],
    forgeNs: () => second,
  }),
  kisses: (random) => ({
    forge: [forgeries.deny, forgeries.restrict, forgeries.rate, forgeries.other],
    dropBack: random.pick([0, 0.5, 1]),
    forgeNs: () => random.pick([1e6, second]),
  }),
  forge: (random) => ({
    forge: Array.from({ length: random.between(1, 8) }, () => random.pick(allForgeries)),
    forgeNs: () => random.exponential(second),
    dropBack: random.pick([0, 0, 0.5, 1]),
  }),
  change: (random) => ({ changeOut: random.fraction() ** 2, changeBack: random.fraction() }),
  flood: (random) => ({ flood: 10 ** (-1 + 2.5 * random.fraction()), forge: [forgeries.nak, forgeries.rate] }),
} satisfies Record<string, Strategy>;

export type StrategyName = keyof typeof strategies;
export const strategyNames = Object.keys(strategies) as StrategyName[];

/** A flood lasts no longer than this, ns: his line is not free either. */
const floodNs = 10 * minute;
/** Answers that he keeps. */
const keepsAnswers = 40;

interface SeenAnswer extends Flight {
  readonly payload: Buffer;
}

export class Attacker {
  /** What he does to each server, by name: for people. */
  doing: string[];
  forged = 0;
  dropped = 0;
  #tactics: Tactic[];
  #began = 0n;
  #phase = 0;
  /** Answers that pass yet for the newest keys of each server. */
  readonly #passes: number[];
  readonly #answers: SeenAnswer[] = [];
  readonly #newest: (Flight | undefined)[];

  constructor(
    readonly time: VirtualTime,
    readonly random: Prng,
    readonly wire: Wire,
    servers: number,
  ) {
    this.#tactics = Array.from({ length: servers }, () => peace);
    this.#passes = this.#tactics.map(() => Number.POSITIVE_INFINITY);
    this.#newest = this.#tactics.map(() => undefined);
    this.doing = [];
  }

  /** Draws what he does from now on: the same to all servers, something else to each, or to some only. */
  begin(): void {
    const { random } = this;
    const draw = () => Array.from({ length: random.pick([1, 1, 2, 3]) }, () => random.pick(strategyNames));
    const same = random.chance(0.5) ? draw() : undefined;
    const spared = random.chance(0.3) ? random.fraction() : 0;
    this.do(this.#tactics.map(() => (random.chance(spared) ? [] : (same ?? draw()))));
  }

  /** Does this to each server. */
  do(names: readonly (readonly StrategyName[])[]): void {
    const { random } = this;
    this.#phase++;
    this.#began = this.time.nowNs;
    const sinceNs = () => Number(this.time.nowNs - this.#began);
    const strategy = (name: StrategyName): Strategy => strategies[name];
    this.#tactics = names.map((list) =>
      Object.assign({ ...peace }, ...list.map((name) => strategy(name)(random, sinceNs))),
    );
    this.doing = names.map((list) => list.join('+') || '-');
    for (const [server, { lets, flood }] of this.#tactics.entries()) {
      this.#passes[server] = lets;
      if (flood > 0) this.#flood(server, this.#phase);
    }
  }

  /** From now on he does nothing more; what he has held up still comes. */
  stop(): void {
    this.do(this.#tactics.map(() => []));
  }

  #later(ns: number, then: () => void): void {
    this.time.schedule(this.time.nowNs + BigInt(Math.max(0, Math.round(ns))), then);
  }

  resolve(server: number): Fate {
    return this.#tactics[server]!.resolve();
  }

  connect(server: number): Fate {
    return this.#tactics[server]!.connect();
  }

  answer(server: number): Fate {
    return this.#tactics[server]!.answer();
  }

  /** He sees that a key establishment has come to its end. */
  established(server: number): void {
    this.#passes[server] = this.#tactics[server]!.lets;
  }

  request(flight: Flight): void {
    const { random } = this;
    const tactic = this.#tactics[flight.server]!;
    this.#newest[flight.server] = flight;
    do {
      if (random.chance(tactic.dropOut)) this.dropped++;
      else this.#out(flight, flight.server);
    } while (random.chance(tactic.copyOut));
    if (random.chance(tactic.mix)) this.#out(flight, random.below(this.#tactics.length));
    for (const forgery of tactic.forge) {
      this.#later(this.wire.pathNs(flight.server) / 2 + tactic.forgeNs(), () => this.#forge(forgery, flight));
    }
    for (const old of this.#answers) {
      if (!random.chance(tactic.replay)) continue;
      this.#later(random.exponential(second), () => {
        this.forged++;
        const to = random.chance(0.8) ? flight : old;
        this.wire.toMeter(to.socket, to.exchange, old.payload);
      });
    }
  }

  #out(flight: Flight, server: number): void {
    const { random } = this;
    const tactic = this.#tactics[flight.server]!;
    const packet = random.chance(tactic.changeOut) ? changed(random, flight.packet) : flight.packet;
    this.#later(this.wire.pathNs(server) + tactic.outNs(), () => {
      for (const answer of this.wire.serve(server, packet)) this.#back(flight, server, answer);
    });
  }

  #back(flight: Flight, server: number, payload: Buffer): void {
    const { random } = this;
    const tactic = this.#tactics[flight.server]!;
    this.#answers.push({ ...flight, payload });
    if (this.#answers.length > keepsAnswers) this.#answers.shift();
    do {
      if (random.chance(tactic.dropBack) || this.#passes[flight.server]! <= 0) {
        this.dropped++;
        continue;
      }
      this.#passes[flight.server]!--;
      const comes = random.chance(tactic.changeBack) ? changed(random, payload) : payload;
      this.#later(this.wire.pathNs(server) + tactic.backNs(), () => {
        this.wire.toMeter(flight.socket, flight.exchange, comes);
      });
    } while (random.chance(tactic.copyBack));
  }

  #forge(forgery: Forgery, { server, socket, exchange, packet }: Flight): void {
    // Where some answers are to pass, nothing else disturbs them.
    if (this.#passes[server] !== Number.POSITIVE_INFINITY && this.#passes[server]! > 0) return;
    this.forged++;
    const seen = this.#answers.length === 0 ? undefined : this.random.pick(this.#answers).payload;
    this.wire.toMeter(socket, exchange, forgery(this.random, packet, seen));
  }

  #flood(server: number, phase: number): void {
    const { flood } = this.#tactics[server]!;
    if (phase !== this.#phase || this.time.nowNs - this.#began > BigInt(floodNs)) return;
    const flight = this.#newest[server];
    if (flight !== undefined) this.#forge(this.random.pick(allForgeries), flight);
    this.#later(this.random.exponential(second / flood), () => this.#flood(server, phase));
  }
}
