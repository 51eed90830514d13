// Meters that record as much as they can, and all between them and who watches at the broker, to be killed and cut:
//
//   meters (this process) ── lines ── gateway (process) ── wire ── mosquitto ── who watches
//                                        │
//                                     chronyd
//
// What always holds: whatever a meter has freed is seen to have arrived.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type LinkTransport, openLink } from '../../host/link/transports.ts';
import { startChronyd } from '../../host/setup/chronyd.ts';
import { LabCa } from '../../host/setup/lab-ca.ts';
import { type Mosquitto, startMosquitto } from '../../host/setup/mosquitto.ts';
import { until } from '../../host/setup/until.ts';
import { buildDist } from '../../scripts/build-dist.mjs';
import { root } from '../../scripts/lib/project.mjs';
import type { SeededRandom } from '../core/random.ts';
import { CuttableLine } from '../e2e/cuttable-line.ts';
import { GatewayProcess } from '../e2e/gateway-process.ts';
import { coreModule } from '../host/gateway/software-meters.ts';
import { RecordArrivals, releaseLogbook } from './record-arrivals.ts';
import { RecordingMeter } from './recording-meter.ts';

const gatewayName = 'g1';
const meterIds = ['m1', 'm2', 'm3'] as const;
/** How often an application looks whether it may record. */
const workMs = 2;
/** What a meter has freed is seen within so many looks, or so long. */
const seenWithin = { looks: 5, ms: 250 } as const;
/** Events in a logbook before an operator releases it. */
const logbookMost = 100;

interface Unseen {
  readonly meter: string;
  readonly sequence: number;
  readonly sinceMs: number;
  looks: number;
}

export class RecordLab {
  readonly arrivals = new RecordArrivals();
  readonly failures: string[] = [];
  readonly meters: RecordingMeter[] = [];
  /** Lines of the meters, in their order. */
  readonly lines: CuttableLine[] = [];
  broker!: Mosquitto;
  gateway!: GatewayProcess;
  wire!: CuttableLine;
  #ticker: NodeJS.Timeout | undefined;
  readonly #stops: (() => unknown)[] = [];
  /** Up to where each meter has freed its records, and its logbook was released. */
  readonly #freed = new Map<string, number>();
  readonly #released = new Map<string, number>();
  #unseen: Unseen[] = [];

  constructor(private readonly random: SeededRandom) {}

  /** Starts everything. After a failure, `stop` is to be called all the same. */
  async start(): Promise<void> {
    const core = await coreModule();
    mkdirSync(join(root, 'build'), { recursive: true });
    const folder = mkdtempSync(join(root, 'build', 'records-'));
    this.#stops.push(() => rmSync(folder, { recursive: true, force: true }));
    const program = join(folder, 'program');
    await buildDist({ outDir: program });
    const ca = await LabCa.create();
    const caFile = join(folder, 'ca.pem');
    writeFileSync(caFile, ca.certificatePem);
    const server = await startChronyd({ ca });
    this.#stops.push(() => server.stop());
    const broker = await startMosquitto();
    this.#stops.push(() => broker.stop());
    const wire = await CuttableLine.start(0, { port: broker.port, host: '127.0.0.1' });
    this.#stops.push(() => wire.stop());
    await this.arrivals.watch(broker);
    this.#stops.push(() => this.arrivals.stop());
    const socket = join(folder, 'g.sock');
    const gateway = new GatewayProcess(join(program, 'metertime.mjs'), folder, {
      name: gatewayName,
      links: [`unix-listen:${socket}`],
      trust: { system: false, files: [caFile] },
      mqtt: { url: `mqtt://127.0.0.1:${wire.port}`, willDelaySeconds: 0 },
    });
    this.#stops.push(() => gateway.kill());
    Object.assign(this, { broker, wire, gateway });
    await gateway.start();
    for (const id of meterIds) {
      const path = join(folder, `${id}.sock`);
      const line = await CuttableLine.start(path, { path: socket });
      this.#stops.push(() => line.stop());
      this.lines.push(line);
      const meter = new RecordingMeter({
        settings: { id, servers: [{ host: '127.0.0.1', port: server.kePort }] },
        transport: openLink(`unix:${path}`) as LinkTransport,
        ...{ core, folder, random: this.random },
      });
      this.#stops.push(() => meter.stop());
      this.meters.push(meter);
      meter.start();
    }
    this.#ticker = setInterval(() => {
      for (const meter of this.meters) meter.work();
    }, workMs);
    this.#stops.push(() => this.rest());
  }

  /** What the gateway has said. */
  get log(): string {
    return this.gateway?.log ?? '';
  }

  /** The applications end their transactions, and begin no more. */
  rest(): void {
    clearInterval(this.#ticker);
    for (const meter of this.meters) meter.rest();
  }

  /** Waits while it looks at what arrives. */
  async until(what: string, holds: () => boolean, timeoutMs = 90_000): Promise<void> {
    const look = () => {
      this.#look();
      if (holds()) return true;
      const states = this.meters.map(
        ({ id, isOn, oldest, newest }) => `${id} ${isOn ? 'on' : 'off'} ${oldest} to ${newest}`,
      );
      throw new Error(`${states.join(', ')}; ${this.arrivals.total} arrived\n${this.gateway.log.slice(-2_000)}`);
    };
    await until(what, look, { timeoutMs, intervalMs: 3 });
  }

  #look(): void {
    this.arrivals.take();
    const sinceMs = performance.now();
    for (const { id, oldest } of this.meters) {
      const from = this.#freed.get(id) ?? 1;
      for (let sequence = from; sequence < oldest; sequence++) {
        this.#unseen.push({ meter: id, sequence, sinceMs, looks: 0 });
      }
      this.#freed.set(id, Math.max(from, oldest));
    }
    this.#unseen = this.#unseen.filter((unseen) => {
      const { meter, sequence } = unseen;
      if (this.arrivals.of(meter).entries.has(sequence)) return false;
      // The gateway may have been heard before the broker was: this process reads its sockets one after the other.
      const isLate = ++unseen.looks > seenWithin.looks && sinceMs - unseen.sinceMs > seenWithin.ms;
      if (isLate) this.failures.push(`${meter} has freed ${sequence}, which has not arrived`);
      return !isLate;
    });
  }

  /** All that the meters have freed, when it was looked last, is seen to have arrived. */
  get isAllSeen(): boolean {
    return this.#unseen.length === 0;
  }

  /** Some more records have arrived. */
  async moreArrived(before: string): Promise<void> {
    const goal = this.arrivals.total + 8 + this.random.below(40);
    await this.until(`${goal} records arrived, before ${before}`, () => this.arrivals.total >= goal);
    for (const { id } of this.meters) {
      const { logbook } = this.arrivals.of(id);
      if (logbook - (this.#released.get(id) ?? 0) < logbookMost) continue;
      this.#released.set(id, logbook);
      await releaseLogbook(this.broker, gatewayName, id, logbook);
    }
  }

  /** Ends everything. */
  async stop(): Promise<void> {
    for (const stop of this.#stops.splice(0).reverse()) await stop();
  }
}
