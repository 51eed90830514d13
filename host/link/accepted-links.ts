// Which connections a listener takes in, and how long one may stay without a session.
//
// What always holds:
// - A connection without a session waits: it is closed when it has waited for too long, and of one peer only so many
//   wait at a time. Those with a session are not counted by peer: many meters may stand behind one address.
// - A new connection takes the place of the one that has waited longest, if that has had the time that a session
//   takes: so neither idle connections keep a meter out, nor does a flood of new ones keep all from their session.
import type { Socket } from 'node:net';

export interface AcceptLimits {
  /** Connections at a time, with and without a session. */
  readonly places: number;
  /** Connections of one peer that wait for a session. */
  readonly waitingPerPeer: number;
  /** How long a connection has its place for certain: a session takes less. */
  readonly certainMs: number;
  /** How long a connection may be without a session. */
  readonly sessionMs: number;
}

export const acceptLimits: AcceptLimits = { places: 512, waitingPerPeer: 64, certainMs: 3_000, sessionMs: 15_000 };

interface AcceptedLink {
  readonly socket: Socket;
  readonly peer: string;
  /** Ends it, and is told why. */
  readonly close: (reason: string) => void;
  /** Set while it waits for a session. */
  timer: NodeJS.Timeout | undefined;
  waitsSinceMs: number;
}

export class AcceptedLinks {
  readonly #limits: AcceptLimits;
  readonly #links = new Map<Socket, AcceptedLink>();
  /** Those without a session, the one that has waited longest first. */
  readonly #waiting = new Set<AcceptedLink>();

  constructor(limits: Partial<AcceptLimits> = {}) {
    this.#limits = { ...acceptLimits, ...limits };
  }

  /** Takes a connection in, until its socket closes; gives the reason when it is to be turned away instead. */
  admit(socket: Socket, close: (reason: string) => void): string | undefined {
    const { places, waitingPerPeer } = this.#limits;
    const peer = peerOf(socket.remoteAddress ?? '');
    const waitingHere = [...this.#waiting].filter((link) => link.peer === peer);
    if (waitingHere.length >= waitingPerPeer && !this.#makeRoom(waitingHere[0])) {
      return `${waitingPerPeer} connections of this peer have no session yet`;
    }
    if (this.#links.size >= places && !this.#makeRoom([...this.#waiting][0])) return `all ${places} places are taken`;
    const link: AcceptedLink = { socket, peer, close, timer: undefined, waitsSinceMs: 0 };
    this.#links.set(socket, link);
    socket.once('close', () => {
      this.#links.delete(socket);
      this.#stopWaiting(link);
    });
    this.#wait(link);
    return undefined;
  }

  /** A session stands on the connection, or stands no more. */
  session(socket: Socket, stands: boolean): void {
    const link = this.#links.get(socket);
    if (link === undefined) return;
    if (stands) this.#stopWaiting(link);
    else if (link.timer === undefined) this.#wait(link);
  }

  /** Ends the connection that has waited longest, unless it may still wait. */
  #makeRoom(oldest: AcceptedLink | undefined): boolean {
    if (oldest === undefined || performance.now() - oldest.waitsSinceMs < this.#limits.certainMs) return false;
    this.#end(oldest, 'it had no session yet, and another connection came');
    return true;
  }

  #wait(link: AcceptedLink): void {
    const { sessionMs } = this.#limits;
    link.waitsSinceMs = performance.now();
    this.#waiting.add(link);
    link.timer = setTimeout(() => this.#end(link, `it had no session for ${sessionMs / 1000} s`), sessionMs);
    link.timer.unref();
  }

  #stopWaiting(link: AcceptedLink): void {
    clearTimeout(link.timer);
    link.timer = undefined;
    this.#waiting.delete(link);
  }

  #end(link: AcceptedLink, reason: string): void {
    this.#stopWaiting(link);
    this.#links.delete(link.socket);
    link.close(reason);
  }
}

/**
 * Who counts as one peer: an IPv4 address, or an IPv6 network of 64 bits, of which one machine may have every address.
 * Link-local addresses, all in one network, count each for itself.
 */
export function peerOf(address: string): string {
  const mapped = /^::ffff:([0-9.]+)$/i.exec(address)?.[1];
  if (mapped !== undefined || !address.includes(':') || /^fe80:/i.test(address)) return mapped ?? address;
  const [head = [], tail = []] = address.split('::').map((part) => part.split(':').filter((group) => group !== ''));
  const zeros = new Array<string>(8 - head.length - tail.length).fill('0');
  return `${[...head, ...zeros, ...tail].slice(0, 4).join(':')}::/64`;
}
