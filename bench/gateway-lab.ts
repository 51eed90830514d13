// What a run of the gateway's bench is made of: time servers, broker, gateway, meters and a subscriber, each in processes
// of their own.
// What always holds: the gateway is the program as it is built, started with the node flags of the run; nothing that was
// started outlives `stop`, or this process.
import { type ChildProcess, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { serialize } from 'node:v8';
import mqtt, { type MqttClient } from 'mqtt';
import { stringify } from 'yaml';
import { MeterEvent } from '../as/abi/codes.ts';
import { Outbox } from '../host/outbox/outbox.ts';
import { type Chronyd, startChronyd } from '../host/setup/chronyd.ts';
import { LabCa } from '../host/setup/lab-ca.ts';
import { makeFolder } from '../host/setup/lab-server.ts';
import { type Mosquitto, startMosquitto } from '../host/setup/mosquitto.ts';
import { DeadlineError, until } from '../host/setup/until.ts';
import { descendants } from '../scripts/lib/processes.mjs';
import { Arrivals } from './gateway-arrivals.ts';
import type { MetersOptions, MetersState } from './gateway-meters.ts';
import type { PeerOptions, Sample } from './gateway-peer.ts';
import { cpuMs, probeArguments } from './gateway-processes.ts';

export interface RunOptions {
  readonly meters: number;
  readonly minutes: number;
  readonly servers: number;
  readonly reportSeconds: number;
  readonly startSeconds: number;
  /** Node's flags for the gateway, and settings of its environment (NAME=value). */
  readonly flags: string;
  /** The gateway's program and the core. */
  readonly program: string;
  readonly corePath: string;
  /** Whether the peer publishes the same afterwards. */
  readonly withPeer: boolean;
  /** Told where the run stands, every few seconds. */
  readonly note: (text: string) => void;
}

/** Processor time of a phase, ms. */
export interface PhaseCpu {
  readonly seconds: number;
  readonly gatewayMs: number;
  readonly brokerMs: number;
  readonly metersMs: number;
  readonly serversMs: number;
  readonly benchMs: number;
}

/** What the peer took. */
export interface PeerCpu {
  readonly seconds: number;
  readonly cpuMs: number;
  readonly messages: number;
}

/** Meters of one listener, and of one process. */
const metersTogether = 500;
/** Of registration. */
export const periodMs = 60_000;
/** What is made at the end of a period is delivered so long behind it, ms; and so long before one, all can be ended. */
const calmMs = 10_000;
const name = 'bench';
const base = `metertime/${name}`;

export class Lab {
  readonly arrivals = new Arrivals();
  readonly synchronised = new Set<string>();
  readonly #undo: (() => unknown)[] = [];
  readonly #states: MetersState[] = [];
  readonly #children: ChildProcess[] = [];
  readonly #ids: string[][] = [];
  readonly #servers: Chronyd[] = [];
  readonly folder = makeFolder('bench-gateway');
  gateway!: ChildProcess;
  broker!: Mosquitto;

  constructor(readonly options: RunOptions) {}

  async start(): Promise<void> {
    const { meters, servers } = this.options;
    const ca = await LabCa.create();
    writeFileSync(join(this.folder, 'ca.pem'), ca.certificatePem);
    for (let index = 0; index < servers; index++) {
      const server = await startChronyd({ ca, name: `chronyd-${index + 1}` });
      this.#servers.push(server);
      this.#undo.push(() => server.stop());
    }
    // A queue without end for who subscribes: it is the gateway that is measured. No line for each packet.
    const extraConfig = ['max_queued_messages 0', 'log_type none', 'log_type error', 'log_type warning'];
    this.broker = await startMosquitto({ extraConfig });
    this.#undo.push(() => this.broker.stop());
    await this.#subscribe();
    const ids = Array.from({ length: meters }, (_, index) => `meter-${String(index + 1).padStart(5, '0')}`);
    for (let at = 0; at < ids.length; at += metersTogether) this.#ids.push(ids.slice(at, at + metersTogether));
    await this.#startGateway();
  }

  async #connect(): Promise<MqttClient> {
    const client = await mqtt.connectAsync(this.broker.url, { protocolVersion: 5, reconnectPeriod: 0 }, false);
    this.#undo.push(() => client.endAsync(true));
    return client;
  }

  async #subscribe(): Promise<void> {
    const client = await this.#connect();
    client.on('message', (topic, payload) => {
      const atMs = Date.now();
      const [, , meter = '', leaf] = topic.split('/');
      const said = JSON.parse(payload.toString()) as { bytes?: string; code?: number };
      if (leaf === 'record') this.arrivals.take(meter, Buffer.from(said.bytes ?? '', 'base64'), atMs);
      else if (said.code === MeterEvent.Synchronised) this.synchronised.add(meter);
    });
    await client.subscribeAsync([`${base}/+/record`, `${base}/+/event`], { qos: 1 });
  }

  async #startGateway(): Promise<void> {
    const config = join(this.folder, 'gateway.yaml');
    const settings = {
      name,
      links: this.#ids.map((_, index) => `unix-listen:${this.#socket(index)}`),
      trust: { system: false, files: [join(this.folder, 'ca.pem')] },
      mqtt: { url: this.broker.url },
      dataDirectory: join(this.folder, 'data'),
    };
    writeFileSync(config, stringify(settings));
    const words = this.options.flags.split(/\s+/).filter((word) => word !== '');
    const isVariable = (word: string) => /^[A-Z_]+=/.test(word);
    const flags = words.filter((word) => !isVariable(word));
    const variables = Object.fromEntries(words.filter(isVariable).map((word) => word.split(/=(.*)/s, 2)));
    const log = join(this.folder, 'gateway.log');
    const output = openSync(log, 'w');
    const args = [...flags, ...probeArguments, this.options.program, 'gateway', '-c', config];
    this.gateway = spawn(process.execPath, args, {
      env: { ...process.env, ...variables },
      stdio: ['ignore', output, output, 'ipc'],
    });
    this.#undo.push(() => end(this.gateway));
    const isUp = () => {
      const said = readFileSync(log, 'utf8');
      if (this.gateway.exitCode !== null) throw new Error(`the gateway ended with ${this.gateway.exitCode}:\n${said}`);
      return said.includes('gateway started') && said.includes('connected to');
    };
    await until('the gateway started', isUp, { timeoutMs: 30_000 });
  }

  #socket(index: number): string {
    return join(this.folder, `link-${index}`);
  }

  /** Switches the meters on. */
  startMeters(): void {
    const { startSeconds, reportSeconds, corePath, meters } = this.options;
    const servers = this.#servers.map(({ address, kePort }) => ({ host: address, port: kePort }));
    const apartMs = (startSeconds * 1000) / meters;
    for (const [index, ids] of this.#ids.entries()) {
      const child = fork(process.argv[1]!, ['--role', 'meters'], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
      this.#children.push(child);
      this.#undo.push(() => end(child));
      child.on('message', (state: MetersState) => {
        this.#states[index] = state;
      });
      const told: MetersOptions = {
        ...{ ids, socket: this.#socket(index), corePath, servers, reportSeconds },
        ...{ firstMs: index * metersTogether * apartMs, apartMs },
      };
      child.send(told);
    }
  }

  /** Throws where a process has ended that should run. */
  assertRunning(): void {
    for (const child of [this.gateway, ...this.#children]) {
      if (child.exitCode === null && child.signalCode === null) continue;
      const log = readFileSync(join(this.folder, 'gateway.log'), 'utf8').slice(-2_000);
      throw new Error(`a process ended (${child.exitCode ?? child.signalCode}): ${child.spawnargs.join(' ')}\n${log}`);
    }
  }

  /** Entries that meters had made when they were asked last, that are not at the broker now, and that they hold. */
  get backlog(): { readonly notArrived: number; readonly unacknowledged: number; readonly atMs: number } {
    let notArrived = 0;
    let unacknowledged = 0;
    for (const [index, { newest, delivered }] of this.#states.entries()) {
      for (const [at, sequence] of newest.entries()) {
        notArrived += Math.max(0, sequence - this.arrivals.newest(this.#ids[index]![at]!));
        unacknowledged += sequence - delivered[at]!;
      }
    }
    const said = this.#states.length === this.#ids.length ? this.#states.map(({ atMs }) => atMs) : [0];
    return { notArrived, unacknowledged, atMs: Math.min(...said) };
  }

  /**
   * Waits until the broker has a record of each meter and all else that they have made, and they know it, far from the
   * end of any period; not for ever.
   */
  async noBacklog(): Promise<void> {
    const isDone = () => {
      const { notArrived, unacknowledged, atMs } = this.backlog;
      const isCalm = [atMs, Date.now()].every((at) => Math.abs((at % periodMs) - periodMs / 2) < periodMs / 2 - calmMs);
      return isCalm && this.arrivals.recorded.size === this.options.meters && notArrived === 0 && unacknowledged === 0;
    };
    await until('an empty backlog', isDone, { timeoutMs: 2 * periodMs, intervalMs: 200 }).catch((error: unknown) => {
      if (!(error instanceof DeadlineError)) throw error;
    });
  }

  get traps(): number {
    return this.#states.reduce((sum, { traps }) => sum + traps, 0);
  }

  /** Processor time of all since their start, ms. */
  cpu(): PhaseCpu {
    const sum = (pids: readonly number[]) => pids.reduce((total, pid) => total + cpuMs(pid), 0);
    const group = (pid: number | undefined) => (pid === undefined ? [] : [pid, ...descendants(pid)]);
    return {
      seconds: performance.now() / 1000,
      gatewayMs: sum(group(this.gateway.pid)),
      brokerMs: sum(group(this.broker.pid)),
      metersMs: sum(this.#children.flatMap(({ pid }) => pid ?? [])),
      serversMs: sum(this.#servers.flatMap(({ pid }) => group(pid))),
      benchMs: process.cpuUsage().user / 1000 + process.cpuUsage().system / 1000,
    };
  }

  /** What the gateway publishes in one period, as it comes. */
  async sample(): Promise<Sample[]> {
    const client = await this.#connect();
    const samples: Sample[] = [];
    const startMs = performance.now();
    client.on('message', (topic, payload, { retain, properties }) => {
      const { contentType, messageExpiryInterval, userProperties, payloadFormatIndicator } = properties ?? {};
      const kept = { contentType, messageExpiryInterval, userProperties, payloadFormatIndicator };
      const given = Object.fromEntries(Object.entries(kept).filter(([, value]) => value !== undefined));
      samples.push({
        topic: topic.replace('metertime/', 'peer/'),
        ...{ payload, retain, properties: given, afterMs: performance.now() - startMs },
      });
    });
    await client.subscribeAsync(`${base}/#`, { qos: 0, rap: true, rh: 2 });
    await sleepUntil(Date.now() + periodMs);
    await client.endAsync(true);
    return samples;
  }

  /** Publishes samples without a gateway. */
  async peer(samples: readonly Sample[]): Promise<PeerCpu> {
    const file = join(this.folder, 'samples');
    writeFileSync(file, serialize(samples));
    const told: PeerOptions = { url: this.broker.url, file };
    const child = fork(process.argv[1]!, ['--role', 'peer'], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    this.#undo.push(() => end(child));
    const nextMessage = async () => {
      const [message] = await once(child, 'message', { signal: AbortSignal.timeout(2 * periodMs) });
      return message as { readonly refused: number };
    };
    child.send(told);
    await nextMessage();
    const before = cpuMs(child.pid!);
    child.send('go');
    const { refused } = await nextMessage();
    const cpu = cpuMs(child.pid!) - before;
    if (refused > 0) throw new Error(`the broker refused ${refused} messages of the peer`);
    return { seconds: periodMs / 1000, cpuMs: cpu, messages: samples.length };
  }

  /** Ends meters, then the gateway, and counts what is left in its outbox. */
  async finish(): Promise<number> {
    await Promise.all(this.#children.map(end));
    await end(this.gateway);
    const outbox = new Outbox({ directory: join(this.folder, 'data', 'outbox'), maxBytes: 2 ** 30 });
    await outbox.open();
    const { entries } = outbox.state;
    await outbox.close();
    return entries;
  }

  async stop(): Promise<void> {
    for (const undo of this.#undo.splice(0).reverse()) await undo();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const closed = once(child, 'exit');
  child.kill('SIGTERM');
  const impatience = setTimeout(() => child.kill('SIGKILL'), 15_000);
  await closed;
  clearTimeout(impatience);
}

/** @param atMs Unix ms */
export async function sleepUntil(atMs: number, beat?: () => void): Promise<void> {
  for (let leftMs = atMs - Date.now(); leftMs > 0; leftMs = atMs - Date.now()) {
    await new Promise((resolve) => setTimeout(resolve, Math.min(leftMs, 1_000)));
    beat?.();
  }
}
