// A relay on the way between meters and time server, as any router or attacker is: it sees every datagram and may send
// what it likes, but has none of the keys. chronyd's key establishment names 127.0.0.2 as the time server (ntsntpserver),
// where this listens; requests go on to 127.0.0.1, and `onAnswer` decides what the meter gets.
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';

/** Where it listens: an address of this machine that nothing else uses. */
export const relayAddress = '127.0.0.2';

/** One answer of the server on its way. */
export interface Passing {
  readonly request: Buffer;
  readonly answer: Buffer;
  /** Sends something to the meter, as if it came from the server. */
  send(packet: Uint8Array): void;
}

export class NtpRelay {
  /** By default the answer passes. */
  onAnswer: (passing: Passing) => void = ({ answer, send }) => send(answer);
  /** By default the request passes at once. */
  onRequest: (request: Buffer, pass: () => void) => void = (_request, pass) => pass();
  requests = 0;
  readonly #upstreams = new Set<Socket>();
  #closed = false;

  private constructor(
    private readonly socket: Socket,
    private readonly port: number,
  ) {
    socket.on('message', (request, from) => {
      this.requests++;
      this.onRequest(request, () => this.#pass(request, from));
    });
  }

  static start(port: number): Promise<NtpRelay> {
    const socket = createSocket('udp4');
    return new Promise((resolve, reject) => {
      socket.once('error', reject);
      socket.bind(port, relayAddress, () => {
        socket.off('error', reject);
        // What cannot be sent is lost, as on any network.
        socket.on('error', () => {});
        resolve(new NtpRelay(socket, port));
      });
    });
  }

  #pass(request: Buffer, from: RemoteInfo): void {
    if (this.#closed) return;
    const upstream = createSocket('udp4');
    this.#upstreams.add(upstream);
    const forget = () => {
      if (!this.#upstreams.delete(upstream)) return;
      upstream.close();
    };
    const timer = setTimeout(forget, 2_000);
    upstream.on('error', forget);
    upstream.on('message', (answer) => {
      clearTimeout(timer);
      forget();
      const send = (packet: Uint8Array) => {
        if (!this.#closed) this.socket.send(packet, from.port, from.address);
      };
      this.onAnswer({ request, answer, send });
    });
    upstream.send(request, this.port, '127.0.0.1');
  }

  stop(): Promise<void> {
    this.#closed = true;
    for (const upstream of this.#upstreams) upstream.close();
    this.#upstreams.clear();
    return new Promise((resolve) => this.socket.close(() => resolve()));
  }
}
