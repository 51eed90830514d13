// A meter in software at a real gateway, with a hostile server: what each test of this folder begins with.
//
// What always holds: a case ends with a meter that is synchronised by the server, which behaves again; that its clock
// was right all along; and that the meter itself did nothing that RFC 8915 forbids.
import { randomBytes } from 'node:crypto';
import { expect } from 'vitest';
import { ClockStatus, Failure, KeError, MeterEvent, Reject } from '../../as/abi/codes.ts';
import type { CoreModule } from '../../host/core/core.ts';
import type { Gateway, GatewayOptions } from '../../host/gateway/gateway.ts';
import { type MeterSession, MeterSessionError } from '../../host/gateway/meter-session.ts';
import type { MeterEventMessage } from '../../host/link/messages.ts';
import { createPair } from '../../host/link/pair-transport.ts';
import type { MeterRtc } from '../../host/meter/parts.ts';
import { type MeterLine, SoftwareMeter } from '../../host/meter/software-meter.ts';
import { LabCa } from '../../host/setup/lab-ca.ts';
import { nak } from '../../host/setup/nts-packets.ts';
import { labGateway } from '../e2e/lab.ts';
import { type LabSettings, provisionMemory, softwareBuildUnixSeconds } from '../e2e/meters.ts';
import { MeterWatch, type SeenTime } from '../e2e/watch.ts';
import { coreModule } from '../host/gateway/software-meters.ts';
import { HostileServer, type HostileServerOptions, type KeMisbehaviour, type NtpMisbehaviour } from './server.ts';
import { type PassOptions, World } from './world.ts';

/** A hostile server with its authority, for any number of meters. */
export interface Surroundings {
  readonly ca: LabCa;
  readonly world: World;
  readonly server: HostileServer;
  readonly core: CoreModule;
}

/** @param startUnixMs when the world begins, by default now */
export async function startSurroundings({
  startUnixMs = Date.now(),
  ...options
}: Partial<HostileServerOptions> & { startUnixMs?: number } = {}): Promise<Surroundings> {
  // First of all, as its time runs from here.
  const world = new World(startUnixMs);
  const days = (count: number) => new Date(startUnixMs + count * 86_400_000);
  const ca = await LabCa.create('metertime lab root', { notBefore: days(-365), notAfter: days(3_650) });
  const names = ['127.0.0.1', '::1', 'localhost', 'time.test'];
  const certificate = await ca.issue({ names, notBefore: days(-1), notAfter: days(30) });
  const server = await HostileServer.start({ certificate, utcNs: () => world.utcNs(), ...options });
  return { ca, world, server, core: await coreModule() };
}

// The shares of a meter have tests of their own; cases follow each other faster than a meter's own polls would.
const limits: GatewayOptions['limits'] = {
  tlsOpens: { burst: 1_000, perSecond: 1_000 },
  udpExchanges: { burst: 1_000, perSecond: 1_000 },
  udpExchangesInFlight: 256,
  messages: { burst: 100_000, perSecond: 100_000 },
};

export interface LabOptions extends Partial<LabSettings> {
  readonly gateway?: Partial<GatewayOptions>;
  /** Of the server, as the meter is told. */
  readonly host?: string;
  readonly buildUnixSeconds?: number;
  readonly rtc?: MeterRtc;
}

/** A server that cannot use any cookie. */
export const refusesCookies: NtpMisbehaviour = { send: (_packet, { request, reply }) => reply(nak(request)) };

let meters = 0;

export class HostileLab {
  readonly world: World;
  readonly server: HostileServer;
  readonly gateway: Gateway;
  readonly watch: MeterWatch;
  readonly meter: SoftwareMeter;
  readonly session: MeterSession;
  #saidTick = 0n;

  constructor(
    { ca, world, server, core }: Surroundings,
    {
      gateway = {},
      host = '127.0.0.1',
      buildUnixSeconds = softwareBuildUnixSeconds,
      rtc,
      ...settings
    }: LabOptions = {},
  ) {
    this.world = world;
    this.server = server;
    const id = `hostile-${++meters}`;
    this.gateway = labGateway(ca, { limits, core, ...gateway });
    this.watch = new MeterWatch(this.gateway, id);
    const [inner, outer] = createPair(id);
    const line: MeterLine = {
      write: (bytes, sent) => {
        const tick = world.nowTicks();
        void inner.write(bytes).then(() => sent(tick));
      },
      onData: (listener) => void inner.on('data', (bytes) => listener(bytes, world.nowTicks())),
    };
    this.meter = new SoftwareMeter({
      clock: world,
      entropy: () => new Uint8Array(randomBytes(32)),
      storage: provisionMemory({ id, servers: [{ host, port: server.kePort }], reportSeconds: 60, ...settings }),
      line,
      source: core,
      buildUnixSeconds,
      ...(rtc === undefined ? {} : { rtc }),
      onTrap: ({ error }) => server.faults.push(`the core trapped: ${error.message}`),
    });
    inner.start();
    this.session = this.gateway.addLink(outer);
  }

  start(): void {
    this.meter.start();
  }

  /** The meter's local time, as its events tell it: its counter, which counts ns, and did not begin with it. */
  get localNs(): bigint {
    return this.world.nowTicks();
  }

  async stop(): Promise<void> {
    await this.meter.stop();
    await this.gateway.stop();
  }

  /** The last report; all zero before the first. */
  get last(): Pick<
    SeenTime,
    'authenticated' | 'rejected' | 'lastReject' | 'keFailures' | 'keAttempts' | 'reach' | 'naks' | 'cookies' | 'sent'
  > &
    Partial<SeenTime> {
    const none = { authenticated: 0, rejected: 0, lastReject: 0, keFailures: 0, keAttempts: 0, reach: 0, naks: 0 };
    return this.watch.times.at(-1) ?? { ...none, cookies: 0, sent: 0 };
  }

  /** Skips time until something holds, but none while the link comes up or a TLS connection is open. */
  pass<T>(what: string, condition: () => T | undefined | false, options: PassOptions = {}): Promise<T> {
    const busy = () => !this.session.isUp || this.session.sockets.tls > 0;
    const skipped = () => this.#keepLink();
    return this.world.pass(what, condition, { describe: () => this.watch.describe(), busy, skipped, ...options });
  }

  /** The gateway, which sees no skips, says too seldom that it is there. */
  #keepLink(): Promise<void> | undefined {
    if (this.world.nowTicks() - this.#saidTick < 3_000_000_000n) return undefined;
    this.#saidTick = this.world.nowTicks();
    return this.session.probeTime(1_000).then(
      () => undefined,
      (error: unknown) => {
        if (!(error instanceof MeterSessionError)) throw error;
      },
    );
  }

  /** The meter's clock minus the right one, ns, by what it surely differs, and its bound; undefined without a time. */
  clock(): { readonly errorNs: number; readonly boundNs: number } | undefined {
    const before = this.world.utcNs();
    const { status, utcNs, boundNs } = this.meter.time();
    const after = this.world.utcNs();
    if (status === ClockStatus.Unsynchronised) return undefined;
    const errorNs = utcNs < before ? utcNs - before : utcNs > after ? utcNs - after : 0n;
    return { errorNs: Number(errorNs), boundNs: Number(boundNs) };
  }

  /** The clock, where there is one, is within the bound that it claims. */
  expectRight(): void {
    const clock = this.clock();
    if (clock !== undefined) expect(Math.abs(clock.errorNs)).toBeLessThanOrEqual(clock.boundNs);
  }

  /** Answers that the meter takes come again. */
  async synchronised(): Promise<void> {
    const { authenticated } = this.last;
    await this.pass(
      'a synchronised meter',
      () =>
        this.last.status === ClockStatus.Synchronised &&
        this.meter.time().status === ClockStatus.Synchronised &&
        this.last.authenticated > authenticated,
    );
    this.expectRight();
    expect(this.server.faults).toEqual([]);
  }

  /** A meter without time that meets a key establishment which must fail; it recovers after its back-off. */
  async refusesKe(
    misbehaviour: KeMisbehaviour,
    { skipping = false } = {},
  ): Promise<{ error: keyof typeof KeError; detail: number }> {
    const { keFailures } = this.last;
    const from = this.watch.events.length;
    const { connections } = this.server;
    this.server.script.ke.push(misbehaviour);
    if (!this.meter.running) this.start();
    const known = this.clock() !== undefined;
    const beginNs = this.localNs;
    await this.pass('a connection', () => this.server.connections > connections);
    const event = await this.#keFailed(from, skipping);
    const failed = this.server.connections;
    await this.pass('a report of the failure', () => this.last.keFailures > keFailures, { stepMs: 60 });
    expect(this.last.lastKeError).toBe(Number(event.a));
    if (!known) expect(this.meter.time().status).toBe(ClockStatus.Unsynchronised);
    const endNs = this.localNs;
    this.server.always = undefined;
    // Who still has keys goes on with them.
    if (!known) await this.pass('another attempt', () => this.server.connections > failed, { stepMs: 1_000 });
    await this.synchronised();
    this.#expectNone([MeterEvent.KeysEstablished, MeterEvent.ClockSet], beginNs, endNs);
    return { error: KeError[Number(event.a)] as keyof typeof KeError, detail: Number(event.b) };
  }

  /** @param skipping whether the meter's own deadline is to end it: else no time is skipped while a connection is open */
  #keFailed(from: number, skipping: boolean): Promise<MeterEventMessage> {
    if (!skipping) return this.watch.event(MeterEvent.KeFailed, { from });
    const failed = () => this.watch.events.slice(from).find(({ code }) => code === MeterEvent.KeFailed);
    return this.pass('a failure', failed, { busy: () => !this.session.isUp });
  }

  /** A synchronised meter needs new keys, and gets none from a server that misbehaves: why, and which `Failure`. */
  async refusesNextKe(misbehaviour: KeMisbehaviour): Promise<[keyof typeof KeError, keyof typeof Failure]> {
    this.server.always = refusesCookies;
    const { error, detail } = await this.refusesKe(misbehaviour);
    return [error, Failure[detail] as keyof typeof Failure];
  }

  /** Makes a synchronised meter ask for new keys. */
  async newKeys(misbehaviour: KeMisbehaviour = {}): Promise<void> {
    const { connections } = this.server;
    this.server.script.ke.push(misbehaviour);
    this.server.always = refusesCookies;
    await this.pass('new keys', () => this.server.connections > connections);
    this.server.always = undefined;
    await this.synchronised();
  }

  /**
   * A synchronised meter gets a wrong answer instead of the next genuine one.
   * @returns why it was refused, and what else of the reports changed until then
   */
  async refuses(misbehaviour: NtpMisbehaviour): Promise<{ reason: keyof typeof Reject; after: SeenTime }> {
    const before = this.last;
    const unmoved = this.#expectUnmoved();
    await this.misbehave(misbehaviour);
    const after = await this.pass(
      'a refused answer',
      () => this.watch.times.find(({ rejected }) => rejected > before.rejected),
      { stepMs: 60 },
    );
    const told = unmoved();
    await this.synchronised();
    told();
    return { reason: Reject[after.lastReject] as keyof typeof Reject, after };
  }

  /** A synchronised meter gets something else than the genuine answer, and hears nothing of it. */
  async ignores(misbehaviour: NtpMisbehaviour): Promise<void> {
    const { rejected, sent } = this.last;
    const unmoved = this.#expectUnmoved();
    await this.misbehave(misbehaviour);
    const missed = await this.pass('a missed poll', () =>
      this.watch.times.find((time) => time.sent > sent && (time.reach & 1) === 0),
    );
    expect(missed.rejected).toBe(rejected);
    const told = unmoved();
    await this.synchronised();
    told();
    expect(this.last.rejected).toBe(rejected);
  }

  /** Lets the next answer go wrong, and waits until it was sent. */
  async misbehave(misbehaviour: NtpMisbehaviour): Promise<void> {
    let done = false;
    this.server.script.ntp.push({
      ...misbehaviour,
      send: (packet, context) => {
        (misbehaviour.send ?? ((sealed) => context.reply(sealed)))(packet, context);
        done = true;
      },
    });
    await this.pass('a request', () => done);
  }

  /**
   * The clock runs on as it did.
   * @returns what checks that, and returns what checks that no event of the time between says otherwise
   */
  #expectUnmoved(): () => () => void {
    const before = this.clock()!;
    const beginNs = this.localNs;
    return () => {
      const after = this.clock();
      const endNs = this.localNs;
      expect(after).toBeDefined();
      // A slew in progress, at 500 ppm.
      expect(Math.abs(after!.errorNs - before.errorNs)).toBeLessThan(20_000_000);
      this.expectRight();
      return () => this.#expectNone([MeterEvent.ClockSet, MeterEvent.BoundsDisagree], beginNs, endNs);
    };
  }

  /** Events come one by one, and later than what they tell. */
  #expectNone(codes: readonly MeterEvent[], beginNs: bigint, endNs: bigint): void {
    const told = this.watch.events.filter(({ uptimeNs }) => uptimeNs > beginNs && uptimeNs < endNs);
    expect(told.filter(({ code }) => codes.includes(code))).toEqual([]);
  }
}

export { Failure, KeError, Reject };
