// The gateway: links to meters, and the meters that were met on them.
//
// What always holds:
// - A meter is who its Info says. Where two links say the same id, the newer one speaks for the meter: a meter that
//   comes back before its old connection is found dead must not be turned away. The older link's sockets are closed
//   and its reports are not passed on until it says its id again; `duplicate` tells that it happened.
// - A meter whose link key is known speaks for itself only in a session sealed under that key.
// - Links and meters are apart: a link that fails, floods or traps costs no other one anything.
import { EventEmitter } from 'node:events';
import type { CoreModule } from '../core/core.ts';
import { LinkEnd, type TurnedAway } from '../link/link-end.ts';
import type { Entry, Head, Info, Tariff, Time } from '../link/messages.ts';
import { type AcceptLimits, LinkListener, type LinkTransport, openLink } from '../link/transports.ts';
import { type Logger, silentLogger } from '../log.ts';
import { Resolver } from '../net/dns.ts';
import { errorText } from '../net/socket-error.ts';
import type { TlsTimeouts } from '../net/tls.ts';
import { TokenBucket } from '../net/token-bucket.ts';
import type { TrustAnchors } from '../net/trust-anchors.ts';
import { HostClock } from './host-clock.ts';
import type { MeterLimits } from './limits.ts';
import { type MeterReportedEvent, MeterSession, MeterSessionError, type ProbedTime } from './meter-session.ts';
import type { ServerReport } from './server-reports.ts';

/** More meters than this are not taken in. */
const meterCount = 4_096;
/** Log lines of one link about meters that get no session there, and about frames that were refused. */
const refusalLines = { burst: 4, perSecond: 1 / 60 } as const;
/** Log lines of one listener about connections that it turned away; the others are counted. */
const turnedAwayLines = { burst: 4, perSecond: 1 / 60 } as const;

export interface MeterEvents {
  /** A link speaks for the meter: it is online. */
  up: [];
  down: [reason: string];
  info: [Info];
  time: [Time];
  /** One of its time servers, whenever something new is known of it. */
  server: [ServerReport];
  event: [MeterReportedEvent];
  /** An entry of its rings that was not asked for. */
  entry: [Entry];
  head: [Head];
  tariff: [Tariff];
}

/** One meter, whatever link it is on; lives from its first Info until the gateway is thrown away. */
export class Meter extends EventEmitter<MeterEvents> {
  session: MeterSession | undefined;
  info: Info | undefined;
  /** The last report of its time. */
  time: Time | undefined;
  /** The last report of its tariff. */
  tariff: Tariff | undefined;

  constructor(readonly id: string) {
    super();
  }

  get isUp(): boolean {
    return this.session !== undefined;
  }

  /** What it reported of its time servers, while it is online. */
  get servers(): readonly ServerReport[] {
    return this.session?.servers ?? [];
  }

  /** @throws MeterSessionError */
  async probeTime(timeoutMs?: number): Promise<ProbedTime> {
    if (this.session === undefined) throw new MeterSessionError('meter-offline', `meter ${this.id} is not connected`);
    return this.session.probeTime(timeoutMs);
  }
}

export interface GatewayEvents {
  /** A meter was met for the first time; its `up` and `info` follow. */
  meter: [Meter];
  /** A link came up or went down, whoever is on it. */
  link: [{ readonly name: string; readonly up: boolean; readonly reason: string }];
  /** A second link said the id of a meter that has one. */
  duplicate: [{ readonly meter: Meter; readonly oldLink: string; readonly newLink: string }];
}

export interface GatewayOptions {
  /** URLs. */
  readonly links: readonly string[];
  readonly anchors: TrustAnchors;
  readonly log?: Logger;
  readonly resolver?: Resolver;
  readonly limits?: Partial<MeterLimits>;
  /** Of each listener. */
  readonly acceptLimits?: Partial<AcceptLimits>;
  readonly tlsTimeouts?: Partial<TlsTimeouts>;
  readonly core?: CoreModule;
  /** Link keys by meter: their links are sealed, and never open. */
  readonly linkKeys?: ReadonlyMap<string, Uint8Array>;
  /** Meters without one are not served. */
  readonly sealedOnly?: boolean;
}

/** Why a meter gets no session, and what to do. */
function turnedAwayText(meter: string, reason: TurnedAway): string {
  const name = meter === '' ? 'a meter without settings' : `meter ${meter}`;
  switch (reason) {
    case 'no-key':
      return `the link of ${name} is sealed and this gateway has no link key of it: add its file of keys (metertime provision --keys) to linkKeys.files`;
    case 'open':
      return `the link of ${name} is open, and this gateway takes sealed ones of it only: provision it with --sealed-link, or take its key out of linkKeys.files, and linkKeys.sealedOnly`;
    case 'wrong-key':
      return `${name} does not prove the link key that this gateway has of it: its root key is another one, or somebody else says its name; write its keys anew (metertime provision --keys)`;
  }
}

export class Gateway extends EventEmitter<GatewayEvents> {
  readonly #options: GatewayOptions;
  readonly #log: Logger;
  readonly #resolver: Resolver;
  readonly #clock = new HostClock();
  readonly #meters = new Map<string, Meter>();
  readonly #sessions = new Map<MeterSession, Meter | undefined>();
  readonly #listeners: LinkListener[] = [];

  constructor(options: GatewayOptions) {
    super();
    this.#options = options;
    this.#log = options.log ?? silentLogger;
    this.#resolver = options.resolver ?? new Resolver();
  }

  /** The meters met so far. */
  get meters(): readonly Meter[] {
    return [...this.#meters.values()];
  }

  /** A meter that was met. */
  meter(id: string): Meter | undefined {
    return this.#meters.get(id);
  }

  /** The links that are open, and who is on them. */
  get sessions(): readonly { readonly session: MeterSession; readonly meter: Meter | undefined }[] {
    return [...this.#sessions].map(([session, meter]) => ({ session, meter }));
  }

  /**
   * Opens the links. One that cannot connect yet is tried again and again; one that cannot listen is an error.
   * @throws LinkError
   */
  async start(): Promise<void> {
    const links = this.#options.links.map((url) => openLink(url, this.#options.acceptLimits));
    try {
      for (const link of links) {
        if (link instanceof LinkListener) await this.#listen(link);
        else this.addLink(link);
      }
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  async #listen(listener: LinkListener): Promise<void> {
    listener.on('link', (transport, tellSession) => {
      const session = this.addLink(transport);
      session.on('up', () => tellSession(true));
      session.on('down', () => tellSession(false));
    });
    const lines = new TokenBucket(turnedAwayLines);
    let unsaid = 0;
    listener.on('turnedAway', (peer, reason) => {
      if (!lines.take()) {
        unsaid++;
        return;
      }
      this.#log.warn('a connection was turned away', {
        link: listener.name,
        peer,
        reason,
        ...(unsaid === 0 ? {} : { othersSinceTheLast: unsaid }),
      });
      unsaid = 0;
    });
    listener.on('failed', (error) => {
      this.#log.error('listening for meters failed', { link: listener.name, error: errorText(error) });
    });
    this.#listeners.push(listener);
    await listener.start();
    this.#log.info('waiting for meters', { link: listener.name });
  }

  /** Ports of the TCP listeners, in the order of the settings. */
  get listeningPorts(): readonly number[] {
    return this.#listeners.map((listener) => listener.port);
  }

  /** Closes every link and listener. */
  async stop(): Promise<void> {
    await Promise.all(this.#listeners.splice(0).map((listener) => listener.close()));
    await Promise.all([...this.#sessions.keys()].map((session) => session.stop()));
  }

  /** Takes one link into service; the transport is started here. */
  addLink(transport: LinkTransport): MeterSession {
    const { core, anchors, limits, tlsTimeouts } = this.#options;
    const { linkKeys, sealedOnly = false } = this.#options;
    const needsKeys = sealedOnly || (linkKeys !== undefined && linkKeys.size > 0);
    const known = (meter: string) => linkKeys?.get(meter) ?? (sealedOnly ? undefined : 'open');
    const link = new LinkEnd({
      ...{ transport, log: this.#log, ...(core ? { core } : {}) },
      linkKeys: needsKeys ? known : undefined,
    });
    this.#watchSeal(link);
    const session = new MeterSession({
      link,
      anchors,
      log: this.#log,
      resolver: this.#resolver,
      hostClock: this.#clock,
      ...(limits ? { limits } : {}),
      ...(tlsTimeouts ? { tlsTimeouts } : {}),
    });
    const { name } = transport;
    this.#sessions.set(session, undefined);
    session.on('up', () => {
      this.#log.info('link up', { link: name, sealed: link.isSealed });
      this.emit('link', { name, up: true, reason: '' });
    });
    session.on('down', (reason) => {
      this.#log.info('link down', { link: name, reason });
      this.#detach(session, reason);
      this.emit('link', { name, up: false, reason });
    });
    session.on('info', (info) => this.#identify(session, info));
    session.on('time', (time) => {
      const meter = this.#sessions.get(session);
      if (meter === undefined) return;
      meter.time = time;
      meter.emit('time', time);
    });
    session.on('server', (report) => this.#sessions.get(session)?.emit('server', report));
    session.on('event', (event) => this.#sessions.get(session)?.emit('event', event));
    session.on('entry', (entry) => this.#sessions.get(session)?.emit('entry', entry));
    session.on('head', (head) => this.#sessions.get(session)?.emit('head', head));
    session.on('tariff', (tariff) => {
      const meter = this.#sessions.get(session);
      if (meter === undefined) return;
      meter.tariff = tariff;
      meter.emit('tariff', tariff);
    });
    session.on('closed', () => {
      this.#detach(session, 'the link ended');
      this.#sessions.delete(session);
    });
    session.start();
    return session;
  }

  #watchSeal(link: LinkEnd): void {
    const { name } = link.transport;
    const lines = new TokenBucket(refusalLines);
    const said = new Set<string>();
    link.on('turnedAway', (meter, reason) => {
      const about = `${meter} ${reason}`;
      if ((said.has(about) && !lines.take()) || said.size > 64) return;
      said.add(about);
      this.#log.warn('a meter gets no session', { link: name, meter, reason: turnedAwayText(meter, reason) });
    });
    link.on('session', () => said.clear());
    const tampered = new TokenBucket(refusalLines);
    link.on('tampered', ({ forged, replayed }) => {
      if (!tampered.take()) return;
      this.#log.warn('frames of a sealed link were refused: somebody makes, alters or repeats them', {
        ...{ link: name, meter: link.meter ?? '', forged, replayed },
      });
    });
  }

  /** Whether a session may speak for a meter. */
  #mayBe(session: MeterSession, meter: string): boolean {
    const { link } = session;
    if (link.isSealed) return link.meter === meter;
    return this.#options.linkKeys?.has(meter) !== true && this.#options.sealedOnly !== true;
  }

  #identify(session: MeterSession, info: Info): void {
    const link = session.link.transport.name;
    if (!this.#mayBe(session, info.meterId)) {
      this.#log.warn('a link says the name of a meter whose key it did not prove', { link, meter: info.meterId });
      this.#detach(session, 'the link says the name of another meter');
      return;
    }
    let meter = this.#meters.get(info.meterId);
    if (meter === undefined) {
      if (this.#meters.size >= meterCount) {
        this.#log.error('too many meters: this one is not taken in', { link, meter: info.meterId });
        return;
      }
      meter = new Meter(info.meterId);
      this.#meters.set(meter.id, meter);
      this.emit('meter', meter);
    }
    if (this.#sessions.get(session) !== meter) this.#detach(session, 'the link speaks for another meter');
    const old = meter.session;
    if (old !== undefined && old !== session) {
      const oldLink = old.link.transport.name;
      this.#log.warn('two links speak for one meter: the newer one counts', {
        meter: meter.id,
        oldLink,
        newLink: link,
      });
      old.closeSockets();
      this.#detach(old, 'a newer link speaks for the meter');
      this.emit('duplicate', { meter, oldLink, newLink: link });
    }
    this.#sessions.set(session, meter);
    meter.info = info;
    if (meter.session !== session) {
      meter.session = session;
      const sealed = session.link.isSealed;
      this.#log.info('meter online', {
        meter: meter.id,
        link,
        sealed,
        board: info.board,
        firmware: info.firmwareVersion,
      });
      meter.emit('up');
    }
    meter.emit('info', info);
  }

  #detach(session: MeterSession, reason: string): void {
    const meter = this.#sessions.get(session);
    if (meter === undefined) return;
    this.#sessions.set(session, undefined);
    if (meter.session !== session) return;
    meter.session = undefined;
    this.#log.info('meter offline', { meter: meter.id, reason });
    meter.emit('down', reason);
  }
}
