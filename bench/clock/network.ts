// The way between a simulated meter and one of its time servers: base delay, jitter, routes, congestion, loss, attacks.
// What always holds: what is drawn of routes and congestion follows from the seed alone, not from when packets are sent.
import { Prng } from '../../test/fuzz/prng.ts';
import type { Case, Direction, Network } from './cases.ts';
import { sampler } from './random.ts';

const hourNs = 3600e9;

/** A stretch of time, ns from the start, and what holds in it. */
interface Span {
  readonly fromNs: number;
  readonly toNs: number;
}
interface Route extends Span {
  readonly outNs: number;
  readonly backNs: number;
}
interface Episode extends Span {
  readonly out: boolean;
}

/** One way of a packet. */
export interface Passage {
  /** What it takes at least on this route, which the oracle knows, and beyond that, ns. */
  readonly baseNs: number;
  readonly extraNs: number;
}

const inSpan = (span: Span, atNs: number) => atNs >= span.fromNs && atNs < span.toNs;

function drawnOut(direction: Direction, random: Prng): boolean {
  const drawn = random.chance(0.5);
  return direction === 'drawn' ? drawn : direction === 'out';
}

export class Path {
  readonly #routes: readonly Route[];
  readonly #episodes: readonly Episode[];
  readonly #attacks: readonly (Episode & { readonly delayNs: () => number })[];
  readonly #jitter: () => number;
  readonly #extra: () => number;
  readonly #packets: Prng;

  constructor(
    readonly network: Network,
    attacks: Case['attacks'],
    seconds: number,
    seed: number,
  ) {
    const random = new Prng(seed);
    const endNs = seconds * 1e9;
    this.#routes = routes(network, endNs, random.fork());
    this.#episodes = episodes(network, endNs, random.fork());
    this.#packets = random.fork();
    this.#jitter = sampler(network.jitter, this.#packets);
    this.#extra = network.congestion === undefined ? () => 0 : sampler(network.congestion.extra, this.#packets);
    const attacker = random.fork();
    this.#attacks = attacks.map(({ fromHours, hours, direction, delay }) => ({
      fromNs: fromHours * hourNs,
      toNs: (fromHours + hours) * hourNs,
      out: drawnOut(direction, attacker),
      delayNs: sampler(delay, attacker),
    }));
  }

  /** A packet that sets out at a true time; undefined where it is lost. */
  pass(out: boolean, atNs: number): Passage | undefined {
    let extraNs = this.#jitter();
    const lost = this.#packets.fraction() * 100 < this.network.lossPercent;
    for (const episode of this.#episodes) {
      if (episode.out === out && inSpan(episode, atNs)) extraNs += this.#extra();
    }
    for (const attack of this.#attacks) {
      if (attack.out === out && inSpan(attack, atNs)) extraNs += attack.delayNs();
    }
    if (lost || this.broken(atNs)) return undefined;
    const route = this.#routes.find((each) => inSpan(each, atNs)) ?? this.#routes.at(-1)!;
    return { baseNs: out ? route.outNs : route.backNs, extraNs };
  }

  /** Whether nothing passes. */
  broken(atNs: number): boolean {
    return this.network.outages.some(({ fromHours, hours }) =>
      inSpan({ fromNs: fromHours * hourNs, toNs: (fromHours + hours) * hourNs }, atNs),
    );
  }
}

function route(fromNs: number, toNs: number, baseMs: number, asymmetryPercent: number): Route {
  const share = asymmetryPercent / 100;
  return { fromNs, toNs, outNs: baseMs * 1e6 * (1 + share), backNs: baseMs * 1e6 * (1 - share) };
}

function routes({ baseMs, asymmetryPercent, routes: drawn, changes }: Network, endNs: number, random: Prng): Route[] {
  if (drawn === undefined) {
    const all = [{ atHours: 0, baseMs, asymmetryPercent }, ...changes].sort((a, b) => a.atHours - b.atHours);
    return all.map((each, n) =>
      route(
        each.atHours * hourNs,
        (all[n + 1]?.atHours ?? Number.POSITIVE_INFINITY) * hourNs,
        each.baseMs,
        each.asymmetryPercent,
      ),
    );
  }
  const found: Route[] = [];
  for (let fromNs = 0; fromNs <= endNs; ) {
    const toNs = fromNs + random.exponential(drawn.everyHours * hourNs);
    const ms = drawn.fromMs + (drawn.toMs - drawn.fromMs) * random.fraction();
    found.push(route(fromNs, toNs, ms, drawn.asymmetryPercent * (2 * random.fraction() - 1)));
    fromNs = toNs;
  }
  return found;
}

function episodes({ congestion }: Network, endNs: number, random: Prng): Episode[] {
  if (congestion === undefined) return [];
  const found: Episode[] = [];
  for (let atNs = 0; ; ) {
    const fromNs = atNs + random.exponential(congestion.everyHours * hourNs);
    if (fromNs > endNs) return found;
    atNs = fromNs + random.exponential(congestion.meanMinutes * 60e9);
    found.push({ fromNs, toNs: atNs, out: drawnOut(congestion.direction, random) });
  }
}
