// Records from meters with the real core, through a gateway in a process of its own, to mosquitto: both are killed again and
// again under load, and every record arrives, with the bytes that the meter has; no gaps, and nothing freed too early.
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { ChainField, RecordField, Ring, StorageMap } from '../../as/abi/codes.ts';
import type { CoreModule } from '../../host/core/core.ts';
import { type LinkTransport, openLink } from '../../host/link/transports.ts';
import { SystemClock } from '../../host/meter/clocks.ts';
import { lineOf, SoftwareMeter } from '../../host/meter/software-meter.ts';
import { MemoryStorage } from '../../host/meter/storage.ts';
import { recordTopicSchema } from '../../host/mqtt/record-payloads.ts';
import { encodeSeedSlot, encodeSettings } from '../../host/provision/settings-block.ts';
import { type Mosquitto, startMosquitto } from '../../host/setup/mosquitto.ts';
import { until } from '../../host/setup/until.ts';
import { seededRandom } from '../core/random.ts';
import { bundleChild } from '../host/bundle-child.ts';
import { coreModule } from '../host/gateway/software-meters.ts';
import { Watcher } from '../host/mqtt-watcher.ts';

let folder = '';
let core: CoreModule;
let child = '';
beforeAll(async () => {
  core = await coreModule();
  child = await bundleChild('../peers/gateway-child.ts');
}, 180_000);
const cleanUp: (() => unknown)[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'metertime-kills-'));
});
afterEach(async () => {
  for (const undo of cleanUp.splice(0).reverse()) await undo();
  rmSync(folder, { recursive: true, force: true });
});

/** Fewer slots than records are made: the meter has to free some. */
const slots = 128;

interface RecordExports {
  readonly memory: WebAssembly.Memory;
  testScratch(): number;
  testRecord(body: number): number;
  testStoreReady(): number;
  testStoreNewest(ring: number): number;
  testStoreOldest(): number;
}

/** A meter whose application hands in records as fast as there is room for them. */
class RecordingMeter {
  readonly #meter: SoftwareMeter;
  readonly #storage = new MemoryStorage(StorageMap.Records + slots * ChainField.Bytes);
  #value = 0;

  constructor(
    readonly id: string,
    source: CoreModule,
    transport: LinkTransport,
  ) {
    const settings = {
      id,
      servers: [{ host: 'nothing.invalid', port: 4460 }],
      firstDatesUnchecked: true,
      poll: { minSeconds: 16, maxSeconds: 64 },
      reportSeconds: 1,
    };
    this.#storage.write(StorageMap.Settings, encodeSettings(settings, randomBytes(16)));
    this.#storage.write(StorageMap.SeedA, encodeSeedSlot(randomBytes(32), 1));
    this.#meter = new SoftwareMeter({
      clock: new SystemClock(),
      storage: this.#storage,
      entropy: () => new Uint8Array(randomBytes(32)),
      buildUnixSeconds: 1_790_000_000,
      board: 'test',
      version: '1.2.3',
      source,
      line: lineOf(transport),
    });
    this.#meter.start();
    transport.start();
    cleanUp.push(
      () => transport.close(),
      () => this.#meter.powerCut(),
    );
  }

  get #core(): RecordExports {
    return this.#meter.core!.exports as unknown as RecordExports;
  }

  get newest(): number {
    return this.#core.testStoreNewest(Ring.Records);
  }

  /** The oldest record that is not delivered, as the meter knows it. */
  get oldest(): number {
    return this.#core.testStoreOldest();
  }

  /** Hands in a record; false where there is no room. */
  record(): boolean {
    const core = this.#core;
    if (core.testStoreReady() === 0 || this.newest - this.oldest > slots - 16) return false;
    const body = Buffer.alloc(ChainField.BodyBytes);
    body.writeUInt32LE(this.#value, RecordField.Values);
    body.write('U', RecordField.Letter, 1, 'latin1');
    body[RecordField.Readings] = 1;
    new Uint8Array(core.memory.buffer).set(body, core.testScratch());
    const taken = core.testRecord(core.testScratch()) !== 0;
    if (taken) this.#value++;
    // Any event lets the meter go on.
    this.#meter.time();
    return taken;
  }

  /** The entry that the storage holds. */
  entry(sequence: number): Buffer {
    const at = StorageMap.Records + (sequence % slots) * ChainField.Bytes;
    return Buffer.from(this.#storage.read(at, ChainField.Bytes));
  }
}

/** The gateway's way to the broker: it stays closed until who watches is there. */
class Wire {
  readonly #sockets = new Set<Socket>();
  readonly #server: Server;
  #open = true;

  private constructor(target: number) {
    this.#server = createServer((socket) => {
      if (!this.#open) {
        socket.destroy();
        return;
      }
      const other = connect(target, '127.0.0.1');
      for (const [one, two] of [
        [socket, other],
        [other, socket],
      ] as const) {
        this.#sockets.add(one);
        one.on('error', () => {});
        one.on('close', () => {
          this.#sockets.delete(one);
          two.destroy();
        });
        one.pipe(two);
      }
    });
  }

  static async start(target: number): Promise<Wire> {
    const wire = new Wire(target);
    await new Promise<void>((resolve) => wire.#server.listen(0, '127.0.0.1', resolve));
    cleanUp.push(() => {
      wire.close();
      wire.#server.close();
    });
    return wire;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  open(): void {
    this.#open = true;
  }

  close(): void {
    this.#open = false;
    for (const socket of this.#sockets) socket.destroy();
  }
}

/** What has arrived of each meter: bytes by sequence. */
class Arrivals {
  readonly of = new Map<string, Map<number, Buffer>>();
  total = 0;
  duplicates = 0;
  #watcher: Watcher | undefined;
  #read = 0;

  /** QoS 0: mosquitto hands a message on before it acknowledges it, and keeps none back. */
  async watch(broker: Mosquitto): Promise<void> {
    this.take();
    await this.#watcher?.stop();
    this.#watcher = await Watcher.start(broker.url, { reconnectPeriod: 0 }, 0);
    this.#read = 0;
  }

  take(): void {
    const seen = this.#watcher?.seen ?? [];
    for (; this.#read < seen.length; this.#read++) {
      const { topic, text, properties } = seen[this.#read]!;
      const [, , meter, leaf] = topic.split('/');
      if (leaf !== 'record') continue;
      const record = recordTopicSchema.parse(JSON.parse(text));
      expect(properties.userProperties).toMatchObject({ sequence: `${record.sequence}`, meter });
      const bytes = Buffer.from(record.bytes, 'base64');
      const known = this.of.get(meter!) ?? new Map<number, Buffer>();
      this.of.set(meter!, known);
      this.total++;
      if (known.has(record.sequence)) this.duplicates++;
      else known.set(record.sequence, bytes);
      // What comes again is the same.
      expect(known.get(record.sequence)!.equals(bytes)).toBe(true);
    }
  }

  async stop(): Promise<void> {
    await this.#watcher?.stop();
  }
}

test('broker and gateway are killed ten times each: every record arrives, none is freed before', {
  timeout: 240_000,
}, async () => {
  const random = seededRandom('records and kills');
  const broker = await startMosquitto();
  cleanUp.push(() => broker.stop());
  const wire = await Wire.start(broker.port);
  const arrivals = new Arrivals();
  cleanUp.push(() => arrivals.stop());
  await arrivals.watch(broker);
  const settings = join(folder, 'gateway.yaml');
  writeFileSync(
    settings,
    `name: g1\nlinks: ["unix-listen:${folder}/g.sock"]\nmqtt: {url: "mqtt://127.0.0.1:${wire.port}", willDelaySeconds: 0}\ndataDirectory: ${folder}/data\n`,
    { mode: 0o600 },
  );
  const logged: string[] = [];
  let gateway: ChildProcess | undefined;
  const startGateway = async () => {
    gateway = spawn(process.execPath, [child, settings], { stdio: ['ignore', 'pipe', 'pipe'] });
    gateway.stderr!.on('data', (data: Buffer) => logged.push(...`${data}`.split('\n')));
    const ended = once(gateway, 'close').then(() => {
      throw new Error(`the gateway ended at its start:\n${logged.slice(-20).join('\n')}`);
    });
    await Promise.race([once(gateway.stdout!, 'data'), ended]);
    // It is going to be killed.
    ended.catch(() => {});
  };
  const killGateway = async () => {
    const dying = gateway!;
    const closed = once(dying, 'close');
    dying.kill('SIGKILL');
    await closed;
  };
  cleanUp.push(killGateway);
  await startGateway();
  const meters = ['m1', 'm2'].map(
    (id) => new RecordingMeter(id, core, openLink(`unix:${folder}/g.sock`) as LinkTransport),
  );
  const check = (): void => {
    arrivals.take();
    for (const meter of meters) {
      const known = arrivals.of.get(meter.id);
      // Whatever the meter may overwrite has arrived.
      for (let sequence = Math.max(1, meter.oldest - 20); sequence < meter.oldest; sequence++) {
        expect(known?.has(sequence), `${meter.id} has freed ${sequence}`).toBe(true);
      }
    }
  };
  const checked = (holds: () => boolean) => {
    check();
    return holds();
  };
  const made = new Map(meters.map(({ id }) => [id, new Map<number, Buffer>()]));
  const work = () => {
    for (const meter of meters) {
      const before = meter.newest;
      meter.record();
      for (let sequence = before + 1; sequence <= meter.newest; sequence++) {
        made.get(meter.id)!.set(sequence, meter.entry(sequence));
      }
    }
  };
  const ticker = setInterval(work, 5);
  cleanUp.push(() => clearInterval(ticker));

  const kinds = Array.from({ length: 20 }, (_, index) => (index % 2 === 0 ? 'broker' : 'gateway'));
  for (const kind of kinds) {
    const goal = arrivals.total + 8 + random.below(40);
    await until(`${goal} arrived, before the ${kind} is killed`, () => checked(() => arrivals.total >= goal), {
      timeoutMs: 60_000,
      intervalMs: 3,
    });
    if (kind === 'broker') {
      await broker.kill();
      wire.close();
      await broker.start();
      await arrivals.watch(broker);
      wire.open();
    } else {
      await killGateway();
      await startGateway();
    }
  }
  await until('more made than fit', () => checked(() => meters.every(({ newest }) => newest > slots + 16)), {
    timeoutMs: 60_000,
  });
  clearInterval(ticker);
  await until('all delivered', () => checked(() => meters.every(({ newest, oldest }) => oldest === newest + 1)), {
    timeoutMs: 60_000,
  });
  for (const meter of meters) {
    const known = arrivals.of.get(meter.id)!;
    expect([...known.keys()].sort((a, b) => a - b)).toEqual(
      Array.from({ length: meter.newest }, (_, index) => index + 1),
    );
    for (const [sequence, bytes] of made.get(meter.id)!) expect(known.get(sequence)!.equals(bytes)).toBe(true);
  }
  console.log(`${arrivals.total} records arrived, ${arrivals.duplicates} of them again`);
  // Nothing of a chain was taken for another, or missing.
  expect(logged.filter((line) => /begin anew|no more of these|other bytes|broken/.test(line))).toEqual([]);
});
