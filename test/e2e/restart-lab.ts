// A whole installation in processes that can be killed and started again: time server, broker, gateway, emulated meter;
// and a subscriber who sees it all at the broker.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { buildFirmware } from '../../host/build/index.ts';
import type { MeterSettings } from '../../host/provision/settings-block.ts';
import type { ProvisionOptions } from '../../host/provision/storage-file.ts';
import { type Chronyd, startChronyd } from '../../host/setup/chronyd.ts';
import { LabCa } from '../../host/setup/lab-ca.ts';
import { type Mosquitto, startMosquitto } from '../../host/setup/mosquitto.ts';
import { until } from '../../host/setup/until.ts';
import { buildDist } from '../../scripts/build-dist.mjs';
import { descendants } from '../../scripts/lib/processes.mjs';
import { root } from '../../scripts/lib/project.mjs';
import type { SeededRandom } from '../core/random.ts';
import { BrokerView } from './broker-view.ts';
import { GatewayProcess } from './gateway-process.ts';
import { EmulatedMeter, board as smallBoard } from './meters.ts';

const name = 'gateway-1';
const id = 'meter-1';

/** Topics of the gateway and the meter. */
export const topics = {
  gateway: `metertime/${name}/state`,
  state: `metertime/${name}/${id}/state`,
  info: `metertime/${name}/${id}/info`,
  time: `metertime/${name}/${id}/time`,
  event: `metertime/${name}/${id}/event`,
  record: `metertime/${name}/${id}/record`,
  tariff: `metertime/${name}/${id}/tariff`,
  head: `metertime/${name}/${id}/head`,
} as const;

export const victims = ['gateway', 'broker', 'server', 'meter'] as const;
export type Victim = (typeof victims)[number];

/** Each value once, in a drawn order. */
export function shuffle<T>(values: readonly T[], random: SeededRandom): T[] {
  const rest = [...values];
  return values.map(() => rest.splice(random.below(rest.length), 1)[0]!);
}

/** A moment that is drawn, not waited for. */
export function drawnMoment(random: SeededRandom, mostMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, random.below(mostMs)));
}

/** What the broker says while one of them alone is away. */
const absences: Partial<Record<Victim, { readonly topic: string; readonly reason: string }>> = {
  gateway: { topic: topics.gateway, reason: 'lost' },
  meter: { topic: topics.state, reason: 'link' },
};

/** What the meter is and records. */
export interface LabMeter {
  readonly board?: string;
  readonly settings?: Partial<MeterSettings>;
  /** Made when everything else is there. */
  readonly provision?: () => ProvisionOptions;
}

export class RestartLab {
  constructor(private readonly made: LabMeter = {}) {}

  /** Times the meter was started. */
  starts = 0;
  #stops: (() => Promise<unknown>)[] = [];
  #before = new Set<number>();
  #folder = '';
  server!: Chronyd;
  broker!: Mosquitto;
  gateway!: GatewayProcess;
  meter!: EmulatedMeter;
  view!: BrokerView;

  /** Starts everything and waits for the meter's first time. After a failure, `stop` is to be called all the same. */
  async start(): Promise<void> {
    mkdirSync(join(root, 'build'), { recursive: true });
    this.#folder = mkdtempSync(join(root, 'build', 'restarts-'));
    const program = join(this.#folder, 'program');
    await buildDist({ outDir: program });
    // The bundler's own process stays.
    this.#before = new Set(descendants(process.pid));
    const ca = await LabCa.create();
    const caFile = join(this.#folder, 'ca.pem');
    writeFileSync(caFile, ca.certificatePem);
    const server = await startChronyd({ ca });
    this.#stops.push(() => server.stop());
    const broker = await startMosquitto({ persistence: true });
    this.#stops.push(() => broker.stop());
    const view = await BrokerView.connect(broker.url, 'metertime/#', 'view');
    this.#stops.push(() => view.stop());
    const { board = smallBoard, settings = {}, provision = () => ({}) } = this.made;
    await buildFirmware({ board });
    const servers = [{ host: '127.0.0.1', port: server.kePort }];
    const meter = await EmulatedMeter.create({ id, servers, ...settings }, board, provision());
    this.#stops.push(() => meter.remove());
    const gateway = new GatewayProcess(join(program, 'metertime.mjs'), this.#folder, {
      name,
      links: [`unix:${meter.link}`],
      trust: { system: false, files: [caFile] },
      mqtt: { url: broker.url, willDelaySeconds: 0, keepAliveSeconds: 5 },
    });
    this.#stops.push(() => gateway.kill());
    Object.assign(this, { server, broker, view, meter, gateway });
    await gateway.start();
    await this.#power();
    await this.comesBack('the start');
  }

  async #power(): Promise<void> {
    this.starts++;
    await this.meter.start();
  }

  /**
   * Kills some of them at a drawn moment, all at once, and starts them again; then waits for an authenticated time. Where
   * the broker must say that one is away, that is waited for first.
   * @returns seconds from the last start to the time reported
   */
  async round(together: readonly Victim[], random: SeededRandom): Promise<number> {
    await drawnMoment(random, 2_000);
    const from = this.view.seen.length;
    await Promise.all(together.map((victim) => this[victim].kill()));
    const absence = together.length === 1 ? absences[together[0]!] : undefined;
    if (absence === undefined) {
      await drawnMoment(random, 1_000);
    } else {
      await until(
        `${together[0]} said to be away`,
        () => {
          const said = this.view.last(absence.topic, from);
          return said?.state === 'offline' && said.reason === absence.reason;
        },
        { timeoutMs: 20_000 },
      );
    }
    for (const victim of together) await (victim === 'meter' ? this.#power() : this[victim].start());
    const startMs = performance.now();
    await this.comesBack(`killing ${together.join(' and ')}`);
    return (performance.now() - startMs) / 1_000;
  }

  /** Waits for a time that rests on an answer of the server after this call, of a meter that counts as online. */
  async comesBack(what: string): Promise<void> {
    const sinceNs = BigInt(Date.now()) * 1_000_000n;
    await until(
      `an authenticated time after ${what}`,
      () => {
        const time = this.view.last(topics.time);
        const online = [topics.gateway, topics.state].every((topic) => this.view.last(topic)?.state === 'online');
        const fresh = BigInt(String(time?.lastSynchronisationUtcNs ?? 0)) > sinceNs;
        if (time?.status === 'synchronised' && online && fresh) return true;
        throw new Error(`${JSON.stringify(time)}\n${this.gateway.log.slice(-2_000)}`);
      },
      { timeoutMs: 90_000, intervalMs: 50 },
    );
  }

  /**
   * What is missing among the events that came: for each start of the meter, all from the first to the last that came
   * must be there. Those behind the last died with the meter.
   */
  missingEvents(): string[] {
    const sequences = new Map<string, Set<number>>();
    for (const { boot, sequence } of this.view.all(topics.event)) {
      sequences.set(String(boot), (sequences.get(String(boot)) ?? new Set()).add(Number(sequence)));
    }
    const missing = [...sequences].flatMap(([boot, got]) => {
      const expected = Array.from({ length: Math.max(...got) }, (_, index) => index + 1);
      const sorted = [...got].sort((a, b) => a - b);
      return isDeepStrictEqual(sorted, expected) ? [] : [`start ${boot}: ${sorted.join(' ')}`];
    });
    if (sequences.size !== this.starts) missing.push(`events of ${sequences.size} starts, expected ${this.starts}`);
    return missing;
  }

  /** Ends everything and waits until nothing is left running. */
  async stop(): Promise<void> {
    for (const stop of this.#stops.splice(0).reverse()) await stop();
    if (this.#folder !== '') rmSync(this.#folder, { recursive: true, force: true });
    await until('nothing left running', () => descendants(process.pid).every((pid) => this.#before.has(pid)));
  }
}
