// One run: time servers, broker, gateway, meters and a subscriber, each in processes of their own, from an empty outbox to
// the end of a window of whole minutes, and what all that took.
// What always holds: the gateway is the program as it is built, started with the node flags of the run; nothing that was
// started outlives the run.
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
import { median, quantile } from './figures.ts';
import { Arrivals } from './gateway-arrivals.ts';
import type { MetersOptions, MetersState } from './gateway-meters.ts';
import type { PeerOptions, Sample } from './gateway-peer.ts';
import { cpuMs, type Insight, insight, probeArguments, residentBytes } from './gateway-processes.ts';

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

export interface RunResult {
  readonly flags: string;
  readonly meters: number;
  /** 0: only the start was measured. */
  readonly minutes: number;
  /** From the first meter's switch-on to the last one's authenticated time. */
  readonly start: PhaseCpu & { readonly synchronised: number };
  readonly window: PhaseCpu & {
    readonly boundaries: number;
    readonly expected: number;
    readonly arrived: number;
    /** Messages that the gateway published, records included, each minute. */
    readonly messagesPerMinute: number;
    readonly delayMedianMs: number;
    readonly delayP99Ms: number;
    readonly delayMostMs: number;
    /** Entries that meters have made and that are not at the broker: the most at any second, and at the end. */
    readonly backlogMost: number;
    readonly backlogEnd: number;
    /** Entries that meters do not know to be delivered. */
    readonly unacknowledgedMost: number;
    readonly unacknowledgedEnd: number;
    readonly loopDelayP99Ms: number;
    readonly loopDelayMostMs: number;
    readonly collectionMs: number;
  };
  /** Of the whole run. */
  readonly entries: number;
  readonly duplicates: number;
  readonly missing: number;
  readonly broken: number;
  readonly traps: number;
  /** What was in the gateway's outbox when all had ended. */
  readonly outboxEntries: number;
  readonly memory: {
    readonly idleResidentBytes: number;
    readonly residentBytes: number;
    readonly residentMostBytes: number;
    readonly idleHeapBytes: number;
    readonly heapBytes: number;
    readonly externalBytes: number;
  };
  readonly peer: { readonly seconds: number; readonly cpuMs: number; readonly messages: number } | undefined;
}

/** Meters of one listener, and of one process. */
const metersTogether = 500;
const periodMs = 60_000;
/** A window begins and ends so long after a period's end, ms: far from the next one. */
const phaseMs = 40_000;
const name = 'bench';
const base = `metertime/${name}`;

class Lab {
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

  /** Waits until each meter has recorded something, the broker has it, and the meter knows it; not for ever. */
  async noBacklog(): Promise<void> {
    const haveAll = () => this.#states.every(({ newest }) => newest.every((sequence) => sequence > 0));
    const isDone = () => haveAll() && this.backlog.notArrived === 0 && this.backlog.unacknowledged === 0;
    await until('an empty backlog', isDone, { timeoutMs: periodMs, intervalMs: 200 }).catch((error: unknown) => {
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
  async peer(samples: readonly Sample[]): Promise<RunResult['peer']> {
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
async function sleepUntil(atMs: number, beat?: () => void): Promise<void> {
  for (let leftMs = atMs - Date.now(); leftMs > 0; leftMs = atMs - Date.now()) {
    await new Promise((resolve) => setTimeout(resolve, Math.min(leftMs, 1_000)));
    beat?.();
  }
}

/** The next moment at which a window may begin. */
function nextPhase(): number {
  return Math.ceil((Date.now() - phaseMs) / periodMs) * periodMs + phaseMs;
}

function between(before: PhaseCpu, after: PhaseCpu): PhaseCpu {
  const names = Object.keys(before) as (keyof PhaseCpu)[];
  return Object.fromEntries(names.map((key) => [key, after[key] - before[key]])) as unknown as PhaseCpu;
}

async function startAll(lab: Lab): Promise<RunResult['start']> {
  const { meters, startSeconds, note } = lab.options;
  const before = lab.cpu();
  lab.startMeters();
  const limitMs = startSeconds * 1000 + 120_000;
  const startMs = performance.now();
  let beatMs = 0;
  while (lab.synchronised.size < meters && performance.now() - startMs < limitMs) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    lab.assertRunning();
    if (performance.now() < beatMs) continue;
    beatMs = performance.now() + 2_000;
    note(`${lab.synchronised.size} of ${meters} meters synchronised`);
  }
  return { ...between(before, lab.cpu()), synchronised: lab.synchronised.size };
}

interface Watched {
  readonly cpu: PhaseCpu;
  readonly fromMs: number;
  readonly toMs: number;
  readonly backlogMost: number;
  readonly unacknowledgedMost: number;
  readonly insight: Insight;
}

async function watch(lab: Lab): Promise<Watched> {
  const { minutes, note } = lab.options;
  const fromMs = Date.now();
  const toMs = fromMs + minutes * periodMs;
  await insight(lab.gateway, false);
  const before = lab.cpu();
  let [backlogMost, unacknowledgedMost] = [0, 0];
  await sleepUntil(toMs, () => {
    lab.assertRunning();
    const { notArrived, unacknowledged } = lab.backlog;
    backlogMost = Math.max(backlogMost, notArrived);
    unacknowledgedMost = Math.max(unacknowledgedMost, unacknowledged);
    note(
      `measuring, ${Math.max(0, Math.round((toMs - Date.now()) / 1000))} s left: ${lab.arrivals.entries} entries at the broker, backlog ${notArrived}`,
    );
  });
  const cpu = between(before, lab.cpu());
  return { cpu, fromMs, toMs, backlogMost, unacknowledgedMost, insight: await insight(lab.gateway, false) };
}

/** Everything from an empty outbox to the end. */
export async function runOnce(options: RunOptions): Promise<RunResult> {
  const { meters, minutes, note } = options;
  const lab = new Lab(options);
  try {
    note('time servers, broker and gateway start');
    await lab.start();
    const idle = { ...(await insight(lab.gateway, true)), resident: residentBytes(lab.gateway.pid!).now };
    const start = await startAll(lab);
    if (minutes > 0) {
      note('waiting for the first whole minute');
      await sleepUntil(nextPhase());
    }
    if (minutes > 0) note('what is published in a minute is recorded');
    const samples = minutes > 0 ? await lab.sample() : [];
    const watched = await watch(lab);
    // What the meters say of a moment behind the end.
    await until('the meters say what they have', () => lab.backlog.atMs > watched.toMs, { timeoutMs: 15_000 });
    if (minutes === 0) await lab.noBacklog();
    const { notArrived, unacknowledged } = lab.backlog;
    const loaded = { ...(await insight(lab.gateway, true)), resident: residentBytes(lab.gateway.pid!) };
    const withPeer = options.withPeer && minutes > 0;
    if (withPeer) note('the peer publishes the same');
    const peer = withPeer ? await lab.peer(samples) : undefined;
    const arrived = lab.arrivals.within(watched.fromMs, watched.toMs, meters, periodMs);
    const { entries, duplicates, missing, broken } = lab.arrivals;
    const { traps } = lab;
    note('ending');
    const outboxEntries = await lab.finish();
    const { delaysMs, ...counted } = arrived;
    return {
      ...{
        flags: options.flags,
        meters,
        minutes,
        start,
        entries,
        duplicates,
        missing,
        broken,
        traps,
        outboxEntries,
        peer,
      },
      window: {
        ...{ ...watched.cpu, ...counted, messagesPerMinute: samples.length },
        delayMedianMs: median(delaysMs),
        delayP99Ms: quantile(delaysMs, 0.99),
        delayMostMs: quantile(delaysMs, 1),
        backlogMost: watched.backlogMost,
        backlogEnd: notArrived,
        unacknowledgedMost: watched.unacknowledgedMost,
        unacknowledgedEnd: unacknowledged,
        loopDelayP99Ms: watched.insight.loopDelayP99Ms,
        loopDelayMostMs: watched.insight.loopDelayMostMs,
        collectionMs: watched.insight.collectionMs,
      },
      memory: {
        idleResidentBytes: idle.resident,
        residentBytes: loaded.resident.now,
        residentMostBytes: loaded.resident.most,
        idleHeapBytes: idle.heapUsedBytes,
        heapBytes: loaded.heapUsedBytes,
        externalBytes: loaded.externalBytes,
      },
    };
  } finally {
    await lab.stop();
  }
}
