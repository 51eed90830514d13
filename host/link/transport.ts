// What a link runs over: bytes in both directions, up or down, closed at the end.
// A transport that can connect again does so by itself; one that cannot (an accepted connection) emits `closed`.
// Bytes written while a transport is down are lost, as on an unplugged cable; the link's own retries bring them again.
import { EventEmitter } from 'node:events';

/** Errors of links: their settings, their ports, their servers. */
export class LinkError extends Error {
  constructor(
    readonly code: 'link-url' | 'link-serial' | 'link-listen' | 'link-closed',
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = 'LinkError';
  }
}

export interface TransportEvents {
  /** Bytes, and process.hrtime.bigint() at their arrival. */
  data: [chunk: Uint8Array, stampNs: bigint];
  up: [];
  /** Why, for people. */
  down: [reason: string];
  /** Nothing follows. */
  closed: [];
}

/** One end of a byte stream in each direction. */
export abstract class LinkTransport extends EventEmitter<TransportEvents> {
  /** For logs: the URL or the peer. */
  abstract readonly name: string;
  abstract readonly isUp: boolean;
  /** What a byte takes on the line, ns; 0 where there is no line of a known speed. */
  readonly byteNs: number = 0;

  /** Begins to connect, or to read where it is connected already. */
  abstract start(): void;

  /** Resolves when the transport has taken the bytes or lost them; never rejects. One write at a time. */
  abstract write(bytes: Uint8Array): Promise<void>;

  /** Ends it for good; resolves when nothing is left open. */
  abstract close(): Promise<void>;
}

/** Time to the next try: doubles from 250 ms to 10 s, with jitter so that many do not come at once. */
export function backoffMs(failures: number, random: () => number = Math.random): number {
  const full = Math.min(250 * 2 ** Math.min(failures, 6), 10_000);
  return Math.round(full * (0.5 + random() / 2));
}
