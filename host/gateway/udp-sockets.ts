// The UDP sockets of one meter: a host and port that it chose, and one exchange with its own source port for each
// datagram. Residence times are measured here: from the request's last byte on the link to its departure, and from the
// answer's arrival to the moment at which the link takes it.
import { Channel, Failure, Message } from '../../as/abi/codes.ts';
import type { LinkEnd } from '../link/link-end.ts';
import { truncateText } from '../link/message-bytes.ts';
import type { UdpClose, UdpOpen, UdpSend } from '../link/messages.ts';
import type { Logger } from '../log.ts';
import { type Address, addressBytes, type Resolver } from '../net/dns.ts';
import { errorText, SocketError } from '../net/socket-error.ts';
import { TokenBucket } from '../net/token-bucket.ts';
import { UdpExchange, udpLimits } from '../net/udp.ts';
import type { HostAddresses } from './host-addresses.ts';
import type { MeterLimits } from './limits.ts';
import { detailBytes } from './tls-sockets.ts';

export interface UdpSocketsOptions {
  readonly link: Pick<LinkEnd, 'send'>;
  readonly limits: MeterLimits;
  readonly resolver: Pick<Resolver, 'resolve'>;
  readonly addresses: HostAddresses;
  readonly log: Logger;
  /** How long answers are heard; for tests. */
  readonly answersMs?: number;
}

interface Entry {
  readonly socket: number;
  readonly host: string;
  readonly port: number;
  /** Undefined while the host is being resolved. */
  remote: Address | undefined;
}

interface Exchange {
  readonly socket: number;
  readonly exchange: number;
  readonly udp: UdpExchange;
  /** No answer came, and none is waited for any more. */
  readonly unanswered: () => void;
}

export class UdpSockets {
  readonly #options: UdpSocketsOptions;
  readonly #entries = new Map<number, Entry>();
  readonly #exchanges: Exchange[] = [];
  readonly #sends: TokenBucket;

  constructor(options: UdpSocketsOptions) {
    this.#options = options;
    this.#sends = new TokenBucket(options.limits.udpExchanges);
  }

  get count(): number {
    return this.#entries.size;
  }

  get inFlight(): number {
    return this.#exchanges.length;
  }

  async open({ socket, attempt, port, host }: UdpOpen): Promise<void> {
    const { limits, resolver, link, log } = this.#options;
    this.close({ type: Message.UdpClose, socket });
    if (port === 0 || host === '') {
      this.#tellFailed(socket, new SocketError(Failure.Request, 'a socket needs a host and a port'));
      return;
    }
    if (this.#entries.size >= limits.udpSockets) {
      this.#tellFailed(socket, new SocketError(Failure.Limit, `at most ${limits.udpSockets} sockets at once`));
      return;
    }
    const entry: Entry = { socket, host, port, remote: undefined };
    this.#entries.set(socket, entry);
    try {
      const found = await resolver.resolve(host);
      const addresses = this.#options.addresses.forDatagrams(host, found);
      if (this.#entries.get(socket) !== entry) return;
      const remote = addresses[attempt % addresses.length]!;
      entry.remote = remote;
      link.send({
        type: Message.UdpOpened,
        socket,
        family: remote.family,
        addresses: Math.min(addresses.length, 255),
        address: addressBytes(remote),
      });
    } catch (error) {
      if (this.#entries.get(socket) !== entry) return;
      this.#entries.delete(socket);
      log.warn('no address for a UDP socket', { host, detail: errorText(error) });
      const failure = new SocketError(Failure.Dns, errorText(error), { cause: error });
      this.#tellFailed(socket, error instanceof SocketError ? error : failure);
    }
  }

  /** @param arrivedNs process.hrtime.bigint() when the last byte of the message had come */
  send({ socket, exchange, payload }: UdpSend, arrivedNs: bigint): void {
    const entry = this.#entries.get(socket);
    const fail = (reason: Failure) => this.#options.link.send({ type: Message.UdpFailed, socket, exchange, reason });
    if (entry?.remote === undefined || payload.length > udpLimits.payloadBytes) {
      fail(Failure.Request);
      return;
    }
    this.#closeExchanges((one) => one.socket === socket && one.exchange === exchange);
    if (!this.#makeRoom() || !this.#sends.take()) {
      fail(Failure.Limit);
      return;
    }
    const { answersMs, addresses } = this.#options;
    const { host, remote } = entry;
    const udp = new UdpExchange({
      remote,
      port: entry.port,
      payload,
      ...(answersMs === undefined ? {} : { answersMs }),
    });
    const one: Exchange = { socket, exchange, udp, unanswered: () => addresses.unanswered(host, remote) };
    this.#exchanges.push(one);
    udp.on('answer', (answer, arrivalNs) => {
      addresses.heard(host, remote);
      const forwardResidenceNs = residence(arrivedNs, udp.departureNs ?? arrivalNs);
      this.#options.link.send(
        (nowNs) => ({
          type: Message.UdpReceived,
          socket,
          exchange,
          forwardResidenceNs,
          backResidenceNs: residence(arrivalNs, nowNs),
          payload: answer,
        }),
        Channel.Time,
      );
    });
    udp.on('closed', (error) => {
      this.#exchanges.splice(this.#exchanges.indexOf(one), 1);
      if (error === undefined) return;
      one.unanswered();
      fail(error.failure);
    });
    udp.start();
  }

  /** One that has its answer makes room for a new one; one that waits for it does not. */
  #makeRoom(): boolean {
    if (this.#exchanges.length < this.#options.limits.udpExchangesInFlight) return true;
    const answered = this.#exchanges.find(({ udp }) => udp.answers > 0);
    if (answered === undefined) return false;
    this.#closeExchanges((one) => one === answered);
    return true;
  }

  close({ socket }: UdpClose): void {
    this.#entries.delete(socket);
    for (const one of this.#exchanges) if (one.socket === socket && one.udp.answers === 0) one.unanswered();
    this.#closeExchanges((one) => one.socket === socket);
  }

  closeAll(): void {
    this.#entries.clear();
    this.#closeExchanges(() => true);
  }

  #closeExchanges(which: (exchange: Exchange) => boolean): void {
    for (const one of this.#exchanges.filter(which)) {
      one.udp.close();
      this.#exchanges.splice(this.#exchanges.indexOf(one), 1);
    }
  }

  #tellFailed(socket: number, error: SocketError): void {
    this.#options.link.send({
      type: Message.UdpOpenFailed,
      socket,
      reason: error.failure,
      detail: truncateText(error.message, detailBytes),
    });
  }
}

/** Nanoseconds between two ticks, from 0 to the largest u32. */
function residence(fromNs: bigint, toNs: bigint): number {
  return Math.min(Math.max(0, Number(toNs - fromNs)), 0xffffffff);
}
