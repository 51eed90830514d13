// A simulated meter on a drawn oscillator, its gateway and its time servers, in virtual time: the core's own polls, under
// the seal of NTS, are what moves its clock.
// What always holds: the same case and seed give the same life, bit for bit; reading the clock is no event of it.
import { Channel, type ClockStatus, Failure, Message, StorageMap, TimeNowField } from '../../as/abi/codes.ts';
import type { CoreExports } from '../../host/core/core.ts';
import {
  channelOf,
  decodeMessage,
  encodeMessage,
  type GatewayMessage,
  type MeterMessage,
  type TlsExport,
  type UdpSend,
} from '../../host/link/messages.ts';
import { VirtualTime } from '../../host/meter/clocks.ts';
import { SoftwareMeter, type SoftwareMeterOptions } from '../../host/meter/software-meter.ts';
import { MemoryStorage } from '../../host/meter/storage.ts';
import { encodeSeedSlot, encodeSettings, settingsDefaults } from '../../host/provision/settings-block.ts';
import { Aead } from '../../host/setup/nts-aeads.ts';
import type { Association } from '../../host/setup/nts-packets.ts';
import { GatewaySockets } from '../../test/core/gateway-sockets.ts';
import { answeringNs, NtsServer } from '../../test/core/nts-server.ts';
import { Prng } from '../../test/fuzz/prng.ts';
import type { Case, ServerCase } from './cases.ts';
import { Link } from './link.ts';
import { Path } from './network.ts';
import { Oracle } from './oracle.ts';
import { Oscillator, OscillatorClock } from './oscillator.ts';
import { sampler } from './random.ts';

/** 2026-11-02 00:00 UTC: weeks before the month ends, when a leap second may be due that nobody announced. */
const startUtcNs = 1_793_577_600n * 1_000_000_000n;
const buildUnixSeconds = 1_793_000_000;
const validUnixSeconds = startUtcNs / 1_000_000_000n;

/** Both of the board mps2-an385. */
const tickHz = 25_000_000;
const maxFrequencyErrorPpb = 100_000;

/** No slew lasts longer; and until then what a thermometer said still counts. */
const slewedSeconds = 100;
const frequencySeconds = 250;

const hourNs = 3600e9;
const pieceBytes = 219;

/** Where a server's time is off from true UTC. */
class Server extends NtsServer {
  constructor(
    index: number,
    seed: number,
    readonly of: ServerCase,
  ) {
    super(index, new Prng(seed), {
      aead: Aead.sivCmac256,
      compliant: true,
      cookieBytes: of.cookieBytes,
      rootDelayNs: of.rootDelayMs * 1e6,
      rootDispersionNs: of.rootDispersionMs * 1e6,
    });
  }

  /** Its time minus UTC, ns. */
  offsetNs(trueNs: number): number {
    const { offsetMs, fromHours, smear } = this.of;
    if (trueNs < fromHours * hourNs) return 0;
    return offsetMs * 1e6 + (smear === undefined ? 0 : smearedNs(smear, trueNs));
  }

  override utcNs(truthNs: bigint): bigint {
    return truthNs + BigInt(Math.round(this.offsetNs(Number(truthNs - startUtcNs))));
  }
}

// A leap second spread evenly around the instant at which others insert it: half of it early, half of it late.
function smearedNs({ atHours, hours, seconds }: NonNullable<ServerCase['smear']>, trueNs: number): number {
  const fromLeap = (trueNs / hourNs - atHours) / hours;
  if (Math.abs(fromLeap) > 0.5) return 0;
  return seconds * 1e9 * (fromLeap < 0 ? -(fromLeap + 0.5) : 0.5 - fromLeap);
}

interface Connection {
  readonly server: Server;
  association?: Association;
}

/** The core's clock at an instant: what `read` found last. */
export interface Reading {
  status: ClockStatus;
  /** Meter minus truth; meaningless while unsynchronised. */
  errorNs: number;
  boundNs: number;
  uncertaintyNs: number;
}

type ClockExports = CoreExports & { testClock(ticks: number): void };

const high = 2 ** 32;

export class World extends GatewaySockets<Connection> {
  readonly time = new VirtualTime();
  readonly oscillator: Oscillator;
  readonly oracle: Oracle;
  readonly reading: Reading = { status: 0, errorNs: 0, boundNs: 0, uncertaintyNs: 0 };
  /** Requests that the meter sent. */
  polls = 0;
  readonly #clock: OscillatorClock;
  readonly #meter: SoftwareMeter;
  readonly #servers: readonly { readonly server: Server; readonly path: Path }[];
  readonly #lieNs: () => number;
  /** Without it the board has a network of its own. */
  readonly #link: Link | undefined;
  readonly #gatewayLateNs: () => number;
  readonly #exports: ClockExports;
  readonly #view: DataView;
  readonly #actionAt: number;
  readonly #epochHigh = Number(startUtcNs >> 32n);
  readonly #epochLow = Number(startUtcNs & 0xffff_ffffn);

  constructor(of: Case, seed: number) {
    super();
    // Streams of their own: what one part draws changes nothing for the others.
    const random = new Prng(Math.imul(seed, 0x9e3779b1) ^ 0x5bd1e995);
    const [oscillatorSeed, meterRandom, gatewayRandom] = [random.u32(), random.fork(), random.fork()];
    this.oscillator = new Oscillator(of, oscillatorSeed);
    this.oracle = new Oracle(this.oscillator, of.oscillator);
    this.#clock = new OscillatorClock(this.time, this.oscillator, tickHz);
    this.#servers = of.servers.map((one, index) => {
      const attacks = of.attacks.filter(({ server }) => server === undefined || server === index);
      const path = new Path(one.network ?? of.network, attacks, of.seconds, random.u32());
      return { server: new Server(index, random.u32(), one), path };
    });
    this.#lieNs = of.gateway === undefined ? () => 0 : sampler(of.gateway.lies, gatewayRandom);
    if (of.link !== undefined) this.#link = new Link(this.time, this.#clock, of.link, gatewayRandom.fork());
    this.#gatewayLateNs = of.link === undefined ? () => 0 : sampler(of.link.gatewayJitter, gatewayRandom.fork());
    const storage = new MemoryStorage();
    const { pollMinSeconds, pollMaxSeconds, ...settings } = of.settings;
    const block = encodeSettings(
      {
        ...settings,
        id: 'bench',
        servers: this.#servers.map(({ server: { host } }) => ({ host, port: 4460 })),
        firstDatesUnchecked: true,
        poll: { minSeconds: pollMinSeconds, maxSeconds: pollMaxSeconds },
        reportSeconds: of.link === undefined ? 65_535 : settingsDefaults.reportSeconds,
      },
      meterRandom.bytes(16),
    );
    storage.write(StorageMap.Settings, block);
    storage.write(StorageMap.SeedA, encodeSeedSlot(meterRandom.bytes(32), 1));
    this.#meter = new SoftwareMeter({
      clock: this.#clock,
      storage,
      buildUnixSeconds,
      maxFrequencyErrorPpb,
      entropy: () => meterRandom.bytes(32),
      ...this.#network(),
      onTrap: ({ error }) => {
        throw error;
      },
      ...(of.thermometer === undefined ? {} : { thermometer: this.#thermometer(of.thermometer) }),
    });
    this.#meter.start();
    this.#link?.start();
    this.#exports = this.#meter.core!.exports as ClockExports;
    this.#view = new DataView(this.#exports.memory.buffer);
    this.#actionAt = this.#exports.actionBuffer();
  }

  /** The meter's time as an event asks for it: what `read` has to agree with. */
  ask(): Reading {
    const { status, utcNs, boundNs, uncertaintyNs } = this.#meter.time();
    const errorNs = Number(utcNs - startUtcNs - this.time.nowNs);
    return { status, errorNs, boundNs: Number(boundNs), uncertaintyNs: Number(uncertaintyNs) };
  }

  /** Reads the clock at a full second, which must not lie before the last event nor behind the next one, into `reading`. */
  read(second: number): Reading {
    const localNs = second * 1e9 + this.oscillator.offsetNs[second]!;
    this.#exports.testClock(Math.floor((localNs * tickHz) / 1e9));
    const { reading } = this;
    reading.status = this.#view.getUint32(this.#actionAt + TimeNowField.Status, true);
    reading.errorNs = this.#utcNs() - second * 1e9;
    reading.boundNs = this.#u64(TimeNowField.BoundNs);
    reading.uncertaintyNs = this.#u64(TimeNowField.UncertaintyNs);
    return reading;
  }

  /** Frequency error of the oscillator as the clock sees it, ppb: how it runs on by itself when nothing is slewed any more. */
  frequencyPpb(second: number): number {
    return (
      (this.#aheadNs(second, slewedSeconds) - this.#aheadNs(second, frequencySeconds)) /
      (frequencySeconds - slewedSeconds)
    );
  }

  // What its UTC gains on the counter until then, ns.
  #aheadNs(second: number, seconds: number): number {
    const localNs = second * 1e9 + this.oscillator.offsetNs[second]!;
    this.#exports.testClock(Math.floor(((localNs + seconds * 1e9) * tickHz) / 1e9));
    return this.#utcNs() - seconds * 1e9;
  }

  // UTC since the start, ns.
  #utcNs(): number {
    const at = this.#actionAt + TimeNowField.UtcNs;
    return (
      (this.#view.getInt32(at + 4, true) - this.#epochHigh) * high + (this.#view.getUint32(at, true) - this.#epochLow)
    );
  }

  #u64(field: TimeNowField): number {
    const at = this.#actionAt + field;
    return this.#view.getUint32(at + 4, true) * high + this.#view.getUint32(at, true);
  }

  // The way on which the meter gets its sockets.
  #network(): Pick<SoftwareMeterOptions, 'line' | 'onMessage'> {
    const take = (channel: number, bytes: Uint8Array, atNs: bigint) =>
      this.#message(decodeMessage(channel as Channel, bytes) as MeterMessage, atNs);
    if (this.#link === undefined) return { onMessage: (channel, bytes) => take(channel, bytes, this.time.nowNs) };
    this.#link.onMessage = take;
    return { line: this.#link.meterLine };
  }

  // What the sensor shows, in thousandths of a degree.
  #thermometer({ resolutionK, offsetK }: NonNullable<Case['thermometer']>): () => number {
    return () => {
      const second = Math.min(Number(this.time.nowNs / 1_000_000_000n), this.oscillator.celsius!.length - 1);
      const steps = Math.round((this.oscillator.celsius![second]! + offsetK) / resolutionK);
      return Math.round(steps * resolutionK * 1000);
    };
  }

  // -------------------------------------------------------------- the gateway

  #deliver(message: GatewayMessage): void {
    this.#deliverMade(channelOf(message.type), () => message);
  }

  // A message that tells when the link takes it.
  #deliverMade(channel: Channel, make: (nowNs: bigint) => GatewayMessage): void {
    if (this.#link === undefined) this.#meter.deliver(channel, encodeMessage(make(this.time.nowNs)));
    else this.#link.send(channel, (nowNs) => encodeMessage(make(nowNs)));
  }

  #later(ns: number, then: () => void): void {
    this.time.schedule(this.time.nowNs + BigInt(Math.max(1, Math.round(ns))), then);
  }

  // `arrivedNs`: the gateway's stamp of its last byte.
  #message(message: MeterMessage, arrivedNs: bigint): void {
    this.takeForSockets(message, arrivedNs);
    if (message.type !== Message.Event) return;
    this.#later(1e6, () => this.#deliver({ type: Message.EventAck, sequence: message.sequence }));
  }

  #serverOf(host: string) {
    return this.#servers.find(({ server }) => server.host === host)!;
  }

  protected override tlsOpen(id: number, host: string): void {
    const { server, path } = this.#serverOf(host);
    if (path.broken(Number(this.time.nowNs))) {
      this.#later(10e9, () => this.#deliver({ type: Message.TlsClosed, id, reason: Failure.Timeout, detail: '' }));
      return;
    }
    this.connections.set(id, { server });
    this.#later(4 * path.network.baseMs * 1e6, () =>
      this.#deliver({
        type: Message.TlsOpened,
        id,
        notBefore: validUnixSeconds - 86_400n,
        notAfter: validUnixSeconds + 86_400n * 800n,
        fingerprint: new Uint8Array(32).fill(server.index),
        alpn: 'ntske/1',
      }),
    );
  }

  protected override tlsWrite(id: number, request: Buffer): void {
    const connection = this.connections.get(id);
    if (connection === undefined) return;
    const { answer, association } = connection.server.establish(request);
    connection.association = association;
    const { path } = this.#serverOf(connection.server.host);
    for (let at = 0; at < answer.length; at += pieceBytes) {
      const data = answer.subarray(at, at + pieceBytes);
      this.#later(2 * path.network.baseMs * 1e6, () => this.#deliver({ type: Message.TlsData, id, data }));
    }
  }

  protected override tlsExport({ id, tag, context }: TlsExport): void {
    const association = this.connections.get(id)?.association;
    if (association === undefined) return;
    const key = context[4] === 0 ? association.clientToServer : association.serverToClient;
    this.#later(1e6, () => this.#deliver({ type: Message.TlsExported, id, tag, key }));
  }

  protected override udpOpen(socket: number, host: string): void {
    this.sockets.set(socket, this.#serverOf(host).server.index);
    const address = new Uint8Array(16).fill(192, 0, 1);
    this.#later(1e6, () => this.#deliver({ type: Message.UdpOpened, socket, family: 4, addresses: 1, address }));
  }

  protected override udpSend({ socket, exchange, payload: sent }: UdpSend, arrivedNs: bigint): void {
    const forwardNs = Number(this.time.nowNs - arrivedNs);
    const packet = Buffer.from(sent);
    const { server, path } = this.#servers[this.sockets.get(socket)!]!;
    this.polls++;
    const sentNs = Number(this.time.nowNs);
    const out = path.pass(true, sentNs);
    if (out === undefined) return;
    this.#later(out.baseNs + out.extraNs, () => {
      const payload = server.serve(packet, startUtcNs + this.time.nowNs);
      if (payload === undefined) return;
      const leftNs = Number(this.time.nowNs + answeringNs);
      const honest = server.offsetNs(leftNs) === 0;
      const back = path.pass(false, leftNs);
      if (back === undefined) return;
      this.#later(Number(answeringNs) + back.baseNs + back.extraNs, () => {
        if (honest) this.#oracleTakes(sentNs, back.extraNs - out.extraNs, out.extraNs + back.extraNs);
        const forwardResidenceNs = Math.round(forwardNs + this.#lieNs());
        const lieNs = BigInt(Math.round(this.#lieNs()));
        const answered = () => {
          const arrivalNs = this.time.nowNs;
          this.#deliverMade(Channel.Time, (nowNs) => {
            const backResidenceNs = Number(nowNs - arrivalNs + lieNs);
            return { type: Message.UdpReceived, socket, exchange, forwardResidenceNs, backResidenceNs, payload };
          });
        };
        if (this.#link === undefined) answered();
        else this.#later(this.#gatewayLateNs(), answered);
      });
    });
  }

  #oracleTakes(sentNs: number, backLongerNs: number, excessNs: number): void {
    const nowNs = Number(this.time.nowNs);
    const offsetNs = (this.oscillator.offsetAt(sentNs) + this.oscillator.offsetAt(nowNs)) / 2;
    this.oracle.sample((sentNs + nowNs) / 2, offsetNs + backLongerNs / 2, excessNs);
  }
}
