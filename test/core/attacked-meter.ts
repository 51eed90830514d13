// A meter in virtual time whose way to its time servers leads through an attacker, and what must hold whatever he does.
// Servers and gateway are right: a server is wrong by no more than it says, the gateway sends on what comes.
// What always holds, or a Violation says what did not: the error stays within the bound, looked at after each event and
// whenever `probe` is called; time runs back only where an event says so, and each change of status has its event;
// nothing is sent twice; polls, key establishments and writes to the storage are few.
import {
  type Channel,
  ClockStatus,
  Failure,
  Message,
  MeterEvent,
  SourceState,
  StorageMap,
} from '../../as/abi/codes.ts';
import {
  channelOf,
  decodeMessage,
  encodeMessage,
  type GatewayMessage,
  type MeterEventMessage,
  type MeterMessage,
  type Source,
  type Time,
  type TlsExport,
  type UdpSend,
} from '../../host/link/messages.ts';
import { VirtualClock, VirtualTime } from '../../host/meter/clocks.ts';
import { type Cancel, type MeterClock, SoftwareRtc } from '../../host/meter/parts.ts';
import { SoftwareMeter } from '../../host/meter/software-meter.ts';
import { encodeSeedSlot, encodeSettings } from '../../host/provision/settings-block.ts';
import type { Association } from '../../host/setup/nts-packets.ts';
import { Violation } from '../fuzz/checked-core.ts';
import type { Prng } from '../fuzz/prng.ts';
import {
  CountingStorage,
  dayNs,
  establishmentsInDay,
  type FailureKind,
  kindOf,
  leastWaitSeconds,
  longestWaitSeconds,
  NeverTwice,
  requestsInHour,
  Tally,
} from './attack-limits.ts';
import { Attacker } from './attacker-on-path.ts';
import { GatewaySockets } from './gateway-sockets.ts';
import { HonestServer } from './honest-server.ts';
import { buildUnixSeconds, second, startUtcNs } from './simulated-meter.ts';

const hourNs = 3600n * second;

/** How a world is drawn. */
export interface AttackedOptions {
  readonly servers: number;
  readonly pollMinSeconds: number;
  readonly pollMaxSeconds: number;
  readonly rtc: boolean;
  /** What the board guarantees of its oscillator. */
  readonly maxFrequencyErrorPpb: number;
}

/** Key establishments with one server in this start of the meter. */
interface Attempts {
  /** When the last one began, and how it ended: as a failure that the gateway told, or in keys; else it just ended. */
  lastNs: number;
  ended: 'open' | 'failed' | 'proven';
  /** The next one comes no sooner. */
  notBeforeNs: number;
  /** Failures since keys led to an answer. */
  failures: Record<FailureKind, number>;
}

const noFailures = () => ({ dns: 0, tcp: 0, tls: 0, ke: 0 });

interface Connection {
  readonly server: HonestServer;
  association?: Association;
  contextAead?: number;
  readonly exported: Set<number>;
}

/** The meter's counter: tells when something was due of it. */
class WatchedClock implements MeterClock {
  readonly tickHz: number;

  constructor(
    readonly clock: VirtualClock,
    readonly happened: () => void,
  ) {
    this.tickHz = clock.tickHz;
  }

  nowTicks(): bigint {
    return this.clock.nowTicks();
  }

  at(tick: bigint, callback: () => void): Cancel {
    return this.clock.at(tick, () => {
      callback();
      this.happened();
    });
  }
}

// ---------------------------------------------------------------- the meter

/** What every packet that opens has under its seal, and no two have alike. */
const headerOf = (packet: Buffer) => packet.subarray(0, 48).toString('latin1');

export class AttackedMeter extends GatewaySockets<Connection> {
  readonly time = new VirtualTime();
  readonly clock: VirtualClock;
  readonly storage: CountingStorage;
  readonly rtc: SoftwareRtc | undefined;
  readonly meter: SoftwareMeter;
  readonly servers: readonly HonestServer[];
  readonly attacker: Attacker;
  report: Time | undefined;
  boots = 0;
  probes = 0;
  /** Requests, key establishments and sockets asked for, of all servers. */
  requests = 0;
  attempts = 0;
  worstErrorOfBound = 0;
  readonly #random: Prng;
  readonly #once = new NeverTwice();
  readonly #hourly: { requests: Tally; sockets: Tally; attempts: Tally }[];
  readonly #daily: Tally[];
  #attempts: Attempts[] = [];
  /** Answers that each server's source has counted as authenticated. */
  #authenticated: number[] = [];
  /** Headers of the servers' answers that the meter has not got yet, and when it got the last one. */
  readonly #served = new Set<string>();
  #heardNs = 0n;
  /** Servers whose newest keys led to no answer yet. */
  readonly #unproven = new Set<number>();
  #sources = new Map<number, { source: Source; atNs: bigint }>();
  // Of this start of the meter.
  #events: { code: number; uptimeNs: bigint }[] = [];
  #last: { localNs: bigint; utcNs: bigint } | undefined;
  #status = ClockStatus.Unsynchronised;
  #changes = { synchronised: 0, holdover: 0 };
  #backward: { fromNs: bigint; toNs: bigint; stepNs: bigint }[] = [];
  #bootsOfDay = new Tally(dayNs);

  constructor(
    readonly options: AttackedOptions,
    random: Prng,
  ) {
    super();
    const { servers, pollMinSeconds, pollMaxSeconds, rtc, maxFrequencyErrorPpb } = options;
    this.#random = random.fork();
    this.clock = new VirtualClock(this.time, { tickHz: random.pick([32_768, 1_000_000, 25_000_000]) });
    this.storage = new CountingStorage(this.time);
    this.servers = Array.from({ length: servers }, (_, index) => new HonestServer(index, random.fork()));
    const rtcPpb = BigInt(random.between(-100_000, 100_000));
    if (rtc) this.rtc = new SoftwareRtc(() => this.utcNs + (this.time.nowNs * rtcPpb) / second);
    const settings = {
      id: 'attacked',
      servers: this.servers.map(({ host }) => ({ host, port: 4460 })),
      firstDatesUnchecked: true,
      poll: { minSeconds: pollMinSeconds, maxSeconds: pollMaxSeconds },
      reportSeconds: 3600,
    };
    this.storage.write(StorageMap.Settings, encodeSettings(settings, random.bytes(16)));
    this.storage.write(StorageMap.SeedA, encodeSeedSlot(random.bytes(32), 1));
    const entropy = random.fork();
    this.meter = new SoftwareMeter({
      clock: new WatchedClock(this.clock, () => this.probe()),
      storage: this.storage,
      buildUnixSeconds,
      maxFrequencyErrorPpb,
      entropy: () => entropy.bytes(32),
      onMessage: (channel, bytes) => this.#message(decodeMessage(channel as Channel, bytes) as MeterMessage),
      ...(this.rtc === undefined ? {} : { rtc: this.rtc }),
    });
    const wire = {
      // Up to twice as long as at best.
      pathNs: (server: number) => this.servers[server]!.pathNs * (1 + this.#random.fraction() ** 4),
      serve: (server: number, packet: Buffer) => {
        const answer = this.servers[server]!.serve(packet, this.utcNs);
        if (answer === undefined) return [];
        this.#served.add(headerOf(answer));
        return [answer];
      },
      toMeter: (socket: number, exchange: number, payload: Buffer) => this.#datagram(socket, exchange, payload),
    };
    this.attacker = new Attacker(this.time, random.fork(), wire, servers);
    this.#hourly = this.servers.map(() => ({
      requests: new Tally(hourNs),
      sockets: new Tally(hourNs),
      attempts: new Tally(hourNs),
    }));
    this.#daily = this.servers.map(() => new Tally(dayNs));
  }

  /** True UTC. */
  get utcNs(): bigint {
    return startUtcNs + this.time.nowNs;
  }

  /** Local time of the meter, ns. */
  get #localNs(): bigint {
    return (this.clock.nowTicks() * second) / BigInt(this.clock.tickHz);
  }

  fail(what: string): never {
    const days = (Number(this.time.nowNs) / 86_400e9).toFixed(5);
    throw new Violation(`after ${days} days, start ${this.boots}, against ${this.attacker.doing.join(' ')}: ${what}`);
  }

  run(seconds: number): void {
    this.time.runUntil(this.time.nowNs + BigInt(Math.round(seconds * 1e9)));
  }

  boot(): void {
    this.boots++;
    this.#bootsOfDay.add(this.time.nowNs);
    this.#attempts = this.servers.map(() => ({
      lastNs: -1,
      ended: 'proven',
      notBeforeNs: 0,
      failures: noFailures(),
    }));
    this.#authenticated = this.servers.map(() => 0);
    this.#heardNs = this.time.nowNs;
    this.#unproven.clear();
    this.#events = [];
    this.#last = undefined;
    this.#status = ClockStatus.Unsynchronised;
    this.#changes = { synchronised: 0, holdover: 0 };
    this.#backward = [];
    this.#sources.clear();
    this.report = undefined;
    this.meter.start();
  }

  powerCut(): void {
    this.checkEvents();
    this.meter.powerCut();
    this.connections.clear();
    this.sockets.clear();
  }

  // -------------------------------------------------------------- what must hold

  /** Looks at the meter's time. @throws Violation */
  probe(): ClockStatus {
    if (this.meter.traps > 0) this.fail('the core trapped');
    if (!this.meter.running) return ClockStatus.Unsynchronised;
    this.probes++;
    const { status, utcNs, boundNs } = this.meter.time();
    const localNs = this.#localNs;
    if (status !== this.#status) this.#statusChanged(status);
    if (status === ClockStatus.Unsynchronised) return status;
    const silentSeconds = Number(this.time.nowNs - this.#heardNs) / 1e9;
    if (status === ClockStatus.Synchronised && silentSeconds > 8 * (this.options.pollMaxSeconds + 3) * 1.01) {
      this.fail(`synchronised, and no answer for ${Math.round(silentSeconds)} s`);
    }
    const errorNs = utcNs > this.utcNs ? utcNs - this.utcNs : this.utcNs - utcNs;
    if (errorNs > boundNs) this.fail(`an error of ${errorNs} ns, a bound of ${boundNs} ns`);
    this.worstErrorOfBound = Math.max(this.worstErrorOfBound, Number(errorNs) / Number(boundNs));
    const last = this.#last;
    if (last !== undefined && utcNs < last.utcNs) {
      this.#backward.push({ fromNs: last.localNs, toNs: localNs, stepNs: last.utcNs - utcNs });
    }
    this.#last = { localNs, utcNs };
    return status;
  }

  get boundNs(): number {
    return Number(this.meter.time().boundNs);
  }

  #statusChanged(status: ClockStatus): void {
    if (status === ClockStatus.Unsynchronised) this.fail('a time was there and is gone');
    if (status === ClockStatus.Synchronised) this.#changes.synchronised++;
    // What the real-time clock gives at the start is told by another event.
    else if (this.#status === ClockStatus.Synchronised) this.#changes.holdover++;
    this.#status = status;
  }

  /** Whether the events of the clock are all there. @throws Violation */
  checkEvents(): void {
    const count = (code: number) => this.#events.filter((event) => event.code === code).length;
    const { synchronised, holdover } = this.#changes;
    if (count(MeterEvent.Synchronised) !== synchronised || count(MeterEvent.Holdover) !== holdover) {
      this.fail(
        `${synchronised} times synchronised and ${holdover} times in holdover, with ` +
          `${count(MeterEvent.Synchronised)} and ${count(MeterEvent.Holdover)} events`,
      );
    }
    for (const { fromNs, toNs, stepNs } of this.#backward) {
      const told = this.#events.some(
        ({ code, uptimeNs }) => code === MeterEvent.ClockSet && uptimeNs >= fromNs && uptimeNs <= toNs,
      );
      if (!told) this.fail(`time ran back by ${stepNs} ns without an event, ${fromNs} to ${toNs} ns of local time`);
    }
    this.#backward = [];
  }

  /** Writes to the storage since the world began: starts, days and sources have each their few. @throws Violation */
  checkWrites(): void {
    const { length } = this.servers;
    const days = Math.ceil(Number(this.time.nowNs) / 86_400e9);
    // A seed written and one erased, a reserve erased and written, the state; daily reserve and state, which may be widened.
    let most = this.boots * (2 + 6 * length + 4) + days * (3 * length + 4) + 2;
    // A real-time clock that is 100 ppm wrong is set 20 times a day, after comparisons an hour apart where somebody moves
    // the clock; each time the state is written three times. It is written four times a day, and once more after a start.
    if (this.rtc !== undefined) most += this.boots * 4 + days * (3 * 24 + 4);
    const { sum } = this.storage.writes;
    if (sum > most) this.fail(`${sum} writes to the storage in ${days} days and ${this.boots} starts`);
  }

  /** How long the meter waits, s, before it asks a server for something, beyond its polls. */
  waitSeconds(server: number): number {
    const known = this.#sources.get(server);
    if (known === undefined) this.fail(`nothing was reported of server ${server}`);
    const { state, cookies, retrySeconds } = known.source;
    if (state === SourceState.Stopped) this.fail(`server ${server} is stopped`);
    if (retrySeconds > longestWaitSeconds) this.fail(`a wait of ${retrySeconds} s`);
    // A forged NAK makes a meter try keys that such a server does not know.
    if (cookies > 0 && !this.servers[server]!.mayGetOtherKeys) return 0;
    return Math.max(0, retrySeconds - Number(this.time.nowNs - known.atNs) / 1e9);
  }

  /** The same before it asks as many servers as have to agree. */
  recoverySeconds(): number {
    const waits = this.servers.map(({ index }) => this.waitSeconds(index));
    return waits.sort((a, b) => a - b)[Math.floor(waits.length / 2)]!;
  }

  /** Authenticated answers of each server, as the meter counts them since its start. */
  get answers(): readonly number[] {
    return [...this.#authenticated];
  }

  /** Whether so many servers as have to agree have answered since `answers` was taken. */
  heardSince(answers: readonly number[]): boolean {
    const heard = this.#authenticated.filter((count, index) => count > answers[index]!).length;
    return heard > this.servers.length / 2;
  }

  /** The largest bound, ns, that is right when nobody disturbs: path, root distance, slew, the oscillator between polls. */
  get calmBoundNs(): number {
    const widths = this.servers.map(({ pathNs, rootDistanceNs }) => 4 * pathNs + 2 * rootDistanceNs + 3e6);
    const shown = this.options.maxFrequencyErrorPpb / (1 - this.options.maxFrequencyErrorPpb * 1e-9);
    return Math.max(...widths) + 3 * this.options.pollMaxSeconds * shown + 2e7;
  }

  // -------------------------------------------------------------- the gateway

  #deliver(message: GatewayMessage): void {
    this.meter.deliver(channelOf(message.type), encodeMessage(message));
    this.probe();
  }

  // After a while, unless the meter has started anew by then.
  #later(ns: number, then: () => void): void {
    const { boots } = this;
    this.time.schedule(this.time.nowNs + BigInt(Math.max(1, Math.round(ns))), () => {
      if (boots === this.boots && this.meter.running) then();
    });
  }

  #datagram(socket: number, exchange: number, payload: Buffer): void {
    if (!this.meter.running || !this.sockets.has(socket) || payload.length > 1232) return;
    if (this.#served.delete(headerOf(payload))) this.#heardNs = this.time.nowNs;
    this.#deliver({
      type: Message.UdpReceived,
      socket,
      exchange,
      forwardResidenceNs: 0,
      backResidenceNs: 0,
      payload,
    });
  }

  #message(message: MeterMessage): void {
    this.takeForSockets(message, this.time.nowNs);
    switch (message.type) {
      case Message.Time:
        this.report = message;
        break;
      case Message.Source:
        this.#sources.set(message.index, { source: message, atNs: this.time.nowNs });
        break;
      case Message.SourceCounts:
        this.#counted(message.index, message.authenticated);
        break;
      case Message.Event:
        this.#event(message);
        break;
    }
  }

  #event({ sequence, code, uptimeNs }: MeterEventMessage): void {
    this.#events.push({ code, uptimeNs });
    if (code === MeterEvent.SourceStopped) this.fail('a server is stopped, though none asked for it');
    if (code === MeterEvent.RateLimited) this.fail('polls became fewer, though no server asked for it');
    if (code === MeterEvent.CertificateRefused) this.fail('a certificate was refused that holds');
    if (code === MeterEvent.BoundsDisagree) this.fail('two true intervals do not meet');
    if (code === MeterEvent.SourceDisagrees) this.fail('a server is said to be wrong that is right');
    if (code === MeterEvent.StorageFailed) this.fail('the storage is said to have failed');
    // The gateway stores it first, which may take a while.
    this.#later(Math.min(this.#random.exponential(1e9), 3e9), () =>
      this.#deliver({ type: Message.EventAck, sequence }),
    );
  }

  #server(host: string): HonestServer {
    const server = this.servers.find((one) => one.host === host || `${one.host}.` === host);
    return server ?? this.fail(`the meter asks for «${host}»`);
  }

  protected override tlsOpen(id: number, host: string): void {
    const server = this.#server(host);
    this.#countAttempt(server.index);
    const connection: Connection = { server, exported: new Set() };
    this.connections.set(id, connection);
    const { afterNs, failure } = this.attacker.connect(server.index);
    if (failure === 'silence') return;
    this.#later(4 * server.pathNs + afterNs, () => {
      if (this.connections.get(id) !== connection) return;
      if (failure !== undefined) return this.#tlsClosed(id, failure);
      this.#deliver({
        type: Message.TlsOpened,
        id,
        notBefore: startUtcNs / second - 86_400n,
        notAfter: startUtcNs / second + 86_400n * 800n,
        fingerprint: new Uint8Array(32).fill(server.index),
        alpn: 'ntske/1',
      });
    });
  }

  #tlsClosed(id: number, reason: Failure): void {
    this.#attemptFailed(this.connections.get(id)!.server.index, kindOf(reason), Number(this.time.nowNs));
    this.connections.delete(id);
    this.#deliver({ type: Message.TlsClosed, id, reason, detail: '' });
  }

  protected override tlsWrite(id: number, request: Buffer): void {
    const connection = this.connections.get(id);
    if (connection === undefined) return;
    const { server } = connection;
    const { answer, association, contextAead } = server.establish(request);
    Object.assign(connection, { association, contextAead });
    const { afterNs, failure } = this.attacker.answer(server.index);
    if (failure === 'silence') return;
    // He may break the connection anywhere within the answer.
    const end = failure === undefined ? answer.length : this.#random.below(answer.length);
    const pieces = Math.ceil(end / 219);
    for (let piece = 0; piece < pieces; piece++) {
      const data = answer.subarray(piece * 219, Math.min(end, piece * 219 + 219));
      this.#later(2 * server.pathNs + ((piece + 1) * afterNs) / pieces, () => {
        if (this.connections.get(id) === connection) this.#deliver({ type: Message.TlsData, id, data });
      });
    }
    if (failure === undefined) return;
    this.#later(2 * server.pathNs + afterNs + 1, () => {
      if (this.connections.get(id) === connection) this.#tlsClosed(id, Failure.Reset);
    });
  }

  protected override tlsExport({ id, tag, context, length }: TlsExport): void {
    const connection = this.connections.get(id);
    if (connection?.association === undefined) return;
    const { association, contextAead, server } = connection;
    const [aead, direction] = [Buffer.from(context).readUInt16BE(2), context[4]];
    const key = direction === 0 ? association.clientToServer : association.serverToClient;
    if (length !== key.length) this.fail(`a key of ${length} bytes is asked for, AEAD ${association.aead}`);
    const right = aead === contextAead;
    this.#later(1e6, () => {
      if (this.connections.get(id) !== connection) return;
      if (right) connection.exported.add(direction!);
      if (connection.exported.size === 2) {
        this.#unproven.add(server.index);
        this.attacker.established(server.index);
      }
      this.#deliver({ type: Message.TlsExported, id, tag, key: right ? key : this.#random.bytes(length) });
    });
  }

  protected override udpOpen(socket: number, host: string): void {
    const { index } = this.#server(host);
    this.sockets.set(socket, index);
    const most = 2 * requestsInHour(this.options.pollMinSeconds, this.#hourly[index]!.attempts.count);
    if (this.#hourly[index]!.sockets.add(this.time.nowNs) > most) this.fail('a storm of sockets');
    const { afterNs, failure } = this.attacker.resolve(index);
    if (failure === 'silence') return;
    this.#later(1e6 + afterNs, () => {
      if (this.sockets.get(socket) !== index) return;
      if (failure !== undefined) this.#deliver({ type: Message.UdpOpenFailed, socket, reason: failure, detail: '' });
      else {
        const address = new Uint8Array(16).fill(192, 0, 1);
        this.#deliver({ type: Message.UdpOpened, socket, family: 4, addresses: 1, address });
      }
    });
  }

  protected override udpSend({ socket, exchange, payload }: UdpSend): void {
    const packet = Buffer.from(payload);
    const server = this.sockets.get(socket);
    if (server === undefined) this.fail('a request without a socket');
    this.requests++;
    this.#once.add('origin', packet.subarray(40, 48));
    this.#once.add('identifier', packet.subarray(52, 76));
    this.#once.add('cookie', packet.subarray(88, 112));
    const read = this.servers[server]!.read(packet);
    if (typeof read === 'string') this.fail(`a request that server ${server} cannot read: ${read}`);
    if (read.number === undefined && !this.servers[server]!.mayGetOtherKeys) {
      this.fail(`a request with a cookie of other keys than server ${server} has`);
    }
    const { requests, attempts } = this.#hourly[server]!;
    const count = requests.add(this.time.nowNs);
    if (count > requestsInHour(this.options.pollMinSeconds, attempts.count)) {
      this.fail(`${count} requests to server ${server} within an hour`);
    }
    this.attacker.request({ server, socket, exchange, packet });
  }

  // -------------------------------------------------------------- key establishments

  #countAttempt(server: number): void {
    const now = this.time.nowNs;
    this.attempts++;
    this.#hourly[server]!.attempts.add(now);
    const inDay = this.#daily[server]!.add(now);
    if (inDay > establishmentsInDay + 4 * this.#bootsOfDay.count) {
      this.fail(`${inDay} key establishments with server ${server} within a day`);
    }
    const attempts = this.#attempts[server]!;
    // It timed out, or its keys led to nothing.
    if (attempts.ended === 'open') this.#attemptFailed(server, 'ke', attempts.lastNs);
    const earlyNs = attempts.notBeforeNs - Number(now);
    if (earlyNs > 0) {
      const failures = JSON.stringify(attempts.failures);
      this.fail(`key establishment with server ${server} ${earlyNs / 1e9} s too early, after failures ${failures}`);
    }
    attempts.lastNs = Number(now);
    attempts.ended = 'open';
    attempts.notBeforeNs = this.#afterNs(Number(now), 10);
  }

  // The meter's oscillator may run fast.
  #afterNs(fromNs: number, seconds: number): number {
    return fromNs + seconds * 1e9 * (1 - this.options.maxFrequencyErrorPpb * 1e-9) - 1e6;
  }

  #attemptFailed(server: number, kind: FailureKind, atNs: number): void {
    const attempts = this.#attempts[server]!;
    if (attempts.lastNs < 0) return;
    const failures = ++attempts.failures[kind];
    attempts.ended = 'failed';
    attempts.notBeforeNs = Math.max(attempts.notBeforeNs, this.#afterNs(atNs, leastWaitSeconds(kind, failures)));
  }

  // RFC 8915 4.2: waits begin anew when new keys led to an authenticated answer.
  #counted(server: number, authenticated: number): void {
    if (authenticated > this.#authenticated[server]! && this.#unproven.delete(server)) {
      Object.assign(this.#attempts[server]!, { ended: 'proven', failures: noFailures() });
    }
    this.#authenticated[server] = authenticated;
  }

  get figures() {
    return {
      requestsInHourMost: Math.max(...this.#hourly.map(({ requests }) => requests.most)),
      attemptsInDayMost: Math.max(...this.#daily.map(({ most }) => most)),
      writes: this.storage.writes.sum,
      writesInDayMost: this.storage.writes.most,
    };
  }
}
