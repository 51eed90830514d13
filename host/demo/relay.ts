// A relay on the way between meters and time server: honest until it is told to forge one answer.
// It stands where any attacker on the network could stand: it sees every datagram and may send what it likes, but it has
// none of the keys. A forged answer is the genuine one with its timestamps moved, sent just before the genuine one.
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';

/** What the relay sent instead of, and just before, the genuine answer. */
export interface Forgery {
  /** Transmit timestamps of the genuine and of the forged answer, UTC, whole milliseconds. */
  readonly genuine: Date;
  readonly forged: Date;
  /** Length of both, bytes. */
  readonly bytes: number;
}

export interface RelayOptions {
  /** Where clients send to. */
  readonly listenAddress: string;
  /** Port of the relay and of the server. */
  readonly port: number;
  readonly serverAddress: string;
}

/** NTP header (RFC 5905 7.3): places of the timestamps that tell the server's time; origin is the client's. */
const timestampAt = { reference: 16, receive: 32, transmit: 40 } as const;
const headerBytes = 48;
/** Seconds from 1900 to 1970. */
const ntpToUnixSeconds = 2_208_988_800;
/** A question that the server does not answer is forgotten after this long. */
const answerTimeoutMs = 3_000;

export class NtpRelay {
  readonly #options: RelayOptions;
  readonly #socket: Socket = createSocket('udp4');
  readonly #upstream = new Set<() => void>();
  #forge: { shiftSeconds: number; done: (forgery: Forgery) => void } | undefined;
  #answers = 0;

  constructor(options: RelayOptions) {
    this.#options = options;
  }

  /** Genuine answers passed on so far. */
  get answers(): number {
    return this.#answers;
  }

  async start(): Promise<void> {
    const { listenAddress, port } = this.#options;
    await new Promise<void>((resolve, reject) => {
      this.#socket.once('error', reject);
      this.#socket.bind(port, listenAddress, () => {
        this.#socket.off('error', reject);
        // What cannot be sent is lost, as on any network.
        this.#socket.on('error', () => {});
        resolve();
      });
    });
    this.#socket.on('message', (request, client) => this.#ask(request, client));
  }

  /** Forges the next answer, whoever asks. Resolves when it was sent; never, when nobody asks. */
  forgeNext(shiftSeconds: number): Promise<Forgery> {
    return new Promise((done) => {
      this.#forge = { shiftSeconds, done };
    });
  }

  async stop(): Promise<void> {
    for (const close of [...this.#upstream]) close();
    await new Promise<void>((resolve) => this.#socket.close(() => resolve()));
  }

  #ask(request: Buffer, client: RemoteInfo): void {
    const { port, serverAddress } = this.#options;
    const upstream = createSocket('udp4');
    const close = () => {
      if (!this.#upstream.delete(close)) return;
      clearTimeout(timer);
      upstream.close();
    };
    const timer = setTimeout(close, answerTimeoutMs);
    this.#upstream.add(close);
    upstream.on('error', close);
    upstream.on('message', (answer) => {
      close();
      this.#answer(answer, client);
    });
    upstream.connect(port, serverAddress, () => upstream.send(request));
  }

  #answer(answer: Buffer, client: RemoteInfo): void {
    const forge = this.#forge;
    if (forge !== undefined && answer.length >= headerBytes) {
      this.#forge = undefined;
      const forged = shiftTimestamps(answer, forge.shiftSeconds);
      this.#socket.send(forged, client.port, client.address);
      forge.done({ genuine: transmitTime(answer), forged: transmitTime(forged), bytes: answer.length });
    }
    this.#answers++;
    this.#socket.send(answer, client.port, client.address);
  }
}

/** A copy of an NTP packet in which the server's timestamps are moved, and nothing else. */
export function shiftTimestamps(packet: Uint8Array, seconds: number): Buffer {
  const copy = Buffer.from(packet);
  for (const at of Object.values(timestampAt)) copy.writeUInt32BE((copy.readUInt32BE(at) + seconds) >>> 0, at);
  return copy;
}

/** The transmit timestamp, in the NTP era that began in 1900 or, for small values, in that of 2036. */
function transmitTime(packet: Buffer): Date {
  const seconds = packet.readUInt32BE(timestampAt.transmit);
  const era = seconds < ntpToUnixSeconds ? 2 ** 32 : 0;
  const fraction = packet.readUInt32BE(timestampAt.transmit + 4) / 2 ** 32;
  return new Date(Math.floor((seconds + era - ntpToUnixSeconds + fraction) * 1000));
}
