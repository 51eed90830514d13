// One meter at its gateway: the link's end, the meter's sockets, what it reports, and its share of everything.
//
// What always holds:
// - A new session of the link closes every socket that the last one left open.
// - A meter that asks for more than its share is told so (Failure.Limit) or not listened to for a while; nothing that
//   it does grows without a bound or holds up another meter.
// - An event is acknowledged to the session that sent it or not at all: a later one sends it again.
import { randomInt } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { Channel, type ClockStatus, Failure, Message } from '../../as/abi/codes.ts';
import type { LinkEnd, LinkEndEvents, ReceivedMessage } from '../link/link-end.ts';
import type { Entry, Head, Info, MeterEventMessage, Slots, Tariff, Time, TimeReply } from '../link/messages.ts';
import { type Logger, silentLogger } from '../log.ts';
import { Resolver } from '../net/dns.ts';
import type { TlsTimeouts } from '../net/tls.ts';
import { TokenBucket } from '../net/token-bucket.ts';
import type { TrustAnchors } from '../net/trust-anchors.ts';
import { HostAddresses } from './host-addresses.ts';
import { HostClock } from './host-clock.ts';
import { type MeterLimits, meterLimits } from './limits.ts';
import { MeterCommands, MeterSessionError } from './meter-commands.ts';
import { type ServerReport, ServerReports } from './server-reports.ts';
import { type OpenedConnection, TlsSockets } from './tls-sockets.ts';
import { UdpSockets } from './udp-sockets.ts';

export { MeterSessionError } from './meter-commands.ts';

/** An event of the meter, to be acknowledged when it is stored for good. */
export interface MeterReportedEvent {
  readonly event: MeterEventMessage;
  /** Tells the meter that it may forget the event; without effect once the session is another. */
  readonly ack: () => void;
}

/** The meter's time between two readings of this machine's wall clock. */
export interface ProbedTime {
  /** Wall time (UTC ns) at which the probe left here, and at which the reply's first byte came. */
  readonly hostBeforeNs: bigint;
  readonly hostAfterNs: bigint;
  /** The meter's UTC ns at the probe's last byte, and when it made the reply. */
  readonly probeUtcNs: bigint;
  readonly replyUtcNs: bigint;
  readonly boundNs: bigint;
  readonly status: ClockStatus;
}

/** Meter's clock minus this machine's: within `ns` ± `halfWidthNs`. */
export interface ClockDifference {
  readonly ns: bigint;
  readonly halfWidthNs: bigint;
}

/** What a probe tells of the clocks: it came to the meter after it left here, and the reply left there before it came. */
export function meterMinusHost({ hostBeforeNs, hostAfterNs, probeUtcNs, replyUtcNs }: ProbedTime): ClockDifference {
  const high = probeUtcNs - hostBeforeNs;
  const low = replyUtcNs - hostAfterNs;
  return { ns: (high + low) / 2n, halfWidthNs: (high - low + 1n) / 2n };
}

export interface MeterSessionEvents {
  /** The link's session stands. */
  up: [];
  down: [reason: string];
  info: [Info];
  time: [Time];
  /** One of the meter's time servers, whenever something new is known of it. */
  server: [ServerReport];
  event: [MeterReportedEvent];
  /** An entry of its rings that was not asked for. */
  entry: [Entry];
  head: [Head];
  tariff: [Tariff];
  slots: [Slots];
  /** A TLS connection stands for the meter. */
  tls: [OpenedConnection];
  /** The meter asked for too much and is not listened to for a while. */
  muted: [reason: string];
  /** The link ended for good. */
  closed: [];
}

/** What a session needs of its link's end. */
export interface SessionLink
  extends Pick<
    LinkEnd,
    | 'start'
    | 'stop'
    | 'restart'
    | 'send'
    | 'isUp'
    | 'isBusy'
    | 'isSealed'
    | 'meter'
    | 'session'
    | 'counters'
    | 'transport'
  > {
  on<Name extends keyof LinkEndEvents>(name: Name, listener: (...args: LinkEndEvents[Name]) => void): unknown;
}

export interface MeterSessionOptions {
  readonly link: SessionLink;
  readonly anchors: TrustAnchors;
  /** Shared by all meters of a gateway. */
  readonly resolver?: Resolver;
  readonly log?: Logger;
  readonly limits?: Partial<MeterLimits>;
  readonly hostClock?: HostClock;
  readonly tlsTimeouts?: Partial<TlsTimeouts>;
  readonly udpAnswersMs?: number;
}

const probeTimeoutMs = 3_000;
const probesAtOnce = 8;

export class MeterSession extends EventEmitter<MeterSessionEvents> {
  readonly link: SessionLink;
  readonly commands: MeterCommands;
  readonly #log: Logger;
  readonly #limits: MeterLimits;
  readonly #clock: HostClock;
  readonly #tls: TlsSockets;
  readonly #udp: UdpSockets;
  readonly #messages: TokenBucket;
  readonly #entries: TokenBucket;
  readonly #probes = new Map<number, { settle: (reply: TimeReply | undefined, firstTick: bigint) => void }>();
  readonly #servers = new ServerReports();
  #slots: Slots | undefined;
  #generation = 0;
  #muted: NodeJS.Timeout | undefined;

  constructor(options: MeterSessionOptions) {
    super();
    this.link = options.link;
    this.commands = new MeterCommands((message) => this.link.send(message));
    this.#log = (options.log ?? silentLogger).child({ link: options.link.transport.name });
    this.#limits = { ...meterLimits, ...options.limits };
    this.#clock = options.hostClock ?? new HostClock();
    this.#messages = new TokenBucket(this.#limits.messages);
    this.#entries = new TokenBucket(this.#limits.entries);
    const resolver = oneAtATime(options.resolver ?? new Resolver());
    const addresses = new HostAddresses();
    const common = {
      link: this.link,
      limits: this.#limits,
      log: this.#log,
    };
    this.#udp = new UdpSockets({
      ...common,
      resolver,
      addresses,
      ...(options.udpAnswersMs === undefined ? {} : { answersMs: options.udpAnswersMs }),
    });
    this.#tls = new TlsSockets({
      ...common,
      resolver: { resolve: async (host) => addresses.forTls(host, await resolver.resolve(host)) },
      anchors: options.anchors,
      onConnected: (connection) => {
        if (connection.remote !== undefined) addresses.connected(connection.host, connection.remote);
        this.emit('tls', connection);
      },
      ...(options.tlsTimeouts ? { timeouts: options.tlsTimeouts } : {}),
    });
  }

  get isUp(): boolean {
    return this.link.isUp;
  }

  /** Counts sessions of the link, and their ends. */
  get generation(): number {
    return this.#generation;
  }

  /** Sockets in use. */
  get sockets(): { readonly tls: number; readonly udp: number; readonly exchanges: number } {
    return { tls: this.#tls.count, udp: this.#udp.count, exchanges: this.#udp.inFlight };
  }

  /** What the meter reported of its time servers in this session. */
  get servers(): readonly ServerReport[] {
    return this.#servers.all;
  }

  /** What the meter said of its slots in this session; undefined where it has none, or has not said it yet. */
  get slots(): Slots | undefined {
    return this.#slots;
  }

  start(): void {
    this.link.on('session', () => {
      this.#forget();
      this.emit('up');
    });
    this.link.on('down', (reason) => {
      this.#forget();
      this.emit('down', reason);
    });
    this.link.on('drain', () => this.#tls.drain());
    this.link.on('message', (received) => this.#take(received));
    this.link.on('refused', () => this.#spend('messages'));
    this.link.on('closed', () => {
      this.#forget();
      clearTimeout(this.#muted);
      this.emit('closed');
    });
    this.link.start();
  }

  async stop(): Promise<void> {
    clearTimeout(this.#muted);
    this.#forget();
    await this.link.stop();
  }

  /** Closes the meter's sockets: another link speaks for this meter now. */
  closeSockets(): void {
    this.#tls.closeAll({ failure: Failure.Limit, detail: 'another link speaks for this meter' });
    this.#udp.closeAll();
  }

  /**
   * Reads the meter's clock.
   * @throws MeterSessionError meter-offline, or meter-silent when no reply came in time
   */
  probeTime(timeoutMs = probeTimeoutMs): Promise<ProbedTime> {
    return new Promise((resolve, reject) => {
      if (this.#probes.size >= probesAtOnce) {
        reject(new MeterSessionError('meter-silent', `${probesAtOnce} probes of the meter's time wait for replies`));
        return;
      }
      const token = randomInt(2 ** 32);
      let departedTick = 0n;
      const timer = setTimeout(() => this.#probes.get(token)?.settle(undefined, 0n), timeoutMs);
      this.#probes.set(token, {
        settle: (reply, firstTick) => {
          clearTimeout(timer);
          this.#probes.delete(token);
          if (reply === undefined) {
            const why = this.isUp ? `the meter did not say its time within ${timeoutMs} ms` : 'the link went down';
            reject(new MeterSessionError(this.isUp ? 'meter-silent' : 'meter-offline', why));
            return;
          }
          const { probeUtcNs, replyUtcNs, boundNs, status } = reply;
          resolve({
            hostBeforeNs: this.#clock.wallNs(departedTick),
            hostAfterNs: this.#clock.wallNs(firstTick),
            probeUtcNs,
            replyUtcNs,
            boundNs,
            status,
          });
        },
      });
      const sent = this.link.send((nowTick) => {
        departedTick = nowTick;
        return { type: Message.TimeProbe, token };
      }, Channel.Time);
      if (!sent) this.#probes.get(token)?.settle(undefined, 0n);
    });
  }

  #forget(): void {
    this.#generation++;
    this.#servers.keep(0);
    this.#slots = undefined;
    this.commands.abandon();
    this.#tls.closeAll();
    this.#udp.closeAll();
    for (const probe of [...this.#probes.values()]) probe.settle(undefined, 0n);
  }

  /** Counts one message; false when the meter is not listened to. */
  #spend(kind: 'messages' | 'entries'): boolean {
    if (this.#muted !== undefined) return false;
    if ((kind === 'entries' ? this.#entries : this.#messages).take()) return true;
    const reason = `more than ${this.#limits[kind].perSecond} ${kind} a second`;
    this.#log.warn('a meter is not listened to for a while', { reason, muteMs: this.#limits.muteMs });
    this.#tls.closeAll({ failure: Failure.Limit, detail: reason });
    this.#udp.closeAll();
    // A new session then makes both sides begin afresh, and the meter sends again what was passed over.
    this.#muted = setTimeout(() => {
      this.#muted = undefined;
      this.link.restart();
    }, this.#limits.muteMs);
    this.emit('muted', reason);
    return false;
  }

  #take({ message, firstTick, cameTick }: ReceivedMessage): void {
    if (!this.#spend(message.type === Message.Entry ? 'entries' : 'messages')) return;
    switch (message.type) {
      case Message.TlsOpen:
        this.#tls.open(message);
        break;
      case Message.TlsWrite:
        this.#tls.write(message);
        break;
      case Message.TlsExport:
        this.#tls.export(message);
        break;
      case Message.TlsClose:
        this.#tls.close(message);
        break;
      case Message.UdpOpen:
        void this.#udp.open(message);
        break;
      case Message.UdpSend:
        this.#udp.send(message, cameTick);
        break;
      case Message.UdpClose:
        this.#udp.close(message);
        break;
      case Message.TimeReply:
        this.#probes.get(message.token)?.settle(message, firstTick);
        break;
      case Message.Info:
        this.emit('info', message);
        break;
      case Message.Time:
        this.#servers.keep(message.servers);
        this.emit('time', message);
        break;
      case Message.Source:
      case Message.SourceCounts: {
        const report = this.#servers.take(message);
        if (report !== undefined) this.emit('server', report);
        break;
      }
      case Message.Entry:
        if (message.token === 0) this.emit('entry', message);
        else this.commands.take(message);
        break;
      case Message.Done:
        this.commands.take(message);
        break;
      case Message.Head:
        this.emit('head', message);
        break;
      case Message.Slots:
        this.#slots = message;
        this.emit('slots', message);
        break;
      case Message.Tariff:
        this.emit('tariff', message);
        break;
      case Message.Event: {
        const generation = this.#generation;
        const ack = () => {
          if (generation === this.#generation) this.link.send({ type: Message.EventAck, sequence: message.sequence });
        };
        this.emit('event', { event: message, ack });
        break;
      }
    }
  }
}

/** One lookup at a time, so that a meter with bad names holds one of the resolver's places and no more. */
function oneAtATime(resolver: Pick<Resolver, 'resolve'>): Pick<Resolver, 'resolve'> {
  let last: Promise<unknown> = Promise.resolve();
  return {
    resolve: (host) => {
      const mine = last.then(() => resolver.resolve(host));
      last = mine.catch(() => {});
      return mine;
    },
  };
}
