// One exchange over UDP: one datagram from a port of its own, and what the server's address and port answer to it.
// The kernel picks the port at random from its range (RFC 9109 3 asks for that); the socket is connected, so the kernel
// hands over datagrams of that address and port only. Departure and arrival are stamped.
import { createSocket, type Socket } from 'node:dgram';
import { EventEmitter } from 'node:events';
import { Failure } from '../../as/abi/codes.ts';
import type { Address } from './dns.ts';
import { errorText, SocketError } from './socket-error.ts';

export const udpLimits = {
  /** Answers are heard for so long. */
  answersMs: 5_000,
  /** More answers than this to one request are not handed on. */
  answers: 4,
  /** Largest UDP payload in either direction, bytes. */
  payloadBytes: 1_232,
} as const;

export interface UdpExchangeEvents {
  /** process.hrtime.bigint() at the arrival. */
  answer: [payload: Uint8Array, arrivalNs: bigint];
  /** The exchange is over; an error when it brought no answer. */
  closed: [SocketError | undefined];
}

export interface UdpExchangeOptions {
  readonly remote: Address;
  readonly port: number;
  readonly payload: Uint8Array;
  readonly answersMs?: number;
}

export class UdpExchange extends EventEmitter<UdpExchangeEvents> {
  readonly #options: UdpExchangeOptions;
  readonly #socket: Socket;
  #timer: NodeJS.Timeout | undefined;
  #answers = 0;
  #departureNs: bigint | undefined;
  #localPort = 0;
  #closed = false;

  constructor(options: UdpExchangeOptions) {
    super();
    this.#options = options;
    this.#socket = createSocket({ type: options.remote.family === 6 ? 'udp6' : 'udp4' });
  }

  /** process.hrtime.bigint() when the datagram left; undefined before. */
  get departureNs(): bigint | undefined {
    return this.#departureNs;
  }

  get answers(): number {
    return this.#answers;
  }

  /** The source port; 0 before it is known. */
  get localPort(): number {
    return this.#localPort;
  }

  /** Sends the datagram as soon as the socket has its port. */
  start(): void {
    const { remote, port, payload, answersMs = udpLimits.answersMs } = this.#options;
    const socket = this.#socket;
    socket.on('error', (error) => this.#fail(error));
    socket.on('message', (message) => {
      const arrivalNs = process.hrtime.bigint();
      if (this.#closed || message.length > udpLimits.payloadBytes || this.#answers >= udpLimits.answers) return;
      this.#answers++;
      this.emit('answer', message, arrivalNs);
    });
    this.#timer = setTimeout(() => {
      const silence = new SocketError(Failure.Timeout, `no answer from ${remote.address} port ${port}`);
      this.#end(this.#answers === 0 ? silence : undefined);
    }, answersMs);
    try {
      socket.connect(port, remote.address, () => {
        if (this.#closed) return;
        this.#localPort = socket.address().port;
        // The datagram leaves within this call; the middle of it is nearest to the moment.
        const beforeNs = process.hrtime.bigint();
        socket.send(payload, (error) => {
          if (error) this.#fail(error);
        });
        this.#departureNs = (beforeNs + process.hrtime.bigint()) / 2n;
      });
    } catch (error) {
      this.#fail(error as Error);
    }
  }

  #fail(error: Error): void {
    const { code } = error as NodeJS.ErrnoException;
    const { remote, port } = this.#options;
    const text = code === 'ECONNREFUSED' ? 'nothing listens there' : errorText(error);
    this.#end(new SocketError(Failure.Connect, `${remote.address} port ${port}: ${text}`, { cause: error }));
  }

  #end(error: SocketError | undefined): void {
    if (this.#closed) return;
    this.close();
    this.emit('closed', error);
  }

  /** Hears no more; no event follows. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#socket.close();
  }
}
