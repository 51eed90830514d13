// A meter without settings gets them over its link: once, whole or not at all wherever power fails, and never over others.
import { crc32 } from 'node:zlib';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  Channel,
  CommandResult,
  Message,
  MeterEvent,
  ResetCause,
  SettingsError,
  StorageMap,
} from '../../as/abi/codes.ts';
import { type CoreModule, loadCoreModule } from '../../host/core/core.ts';
import {
  blockPartBytes,
  type Done,
  decodeMessage,
  encodeMessage,
  type Info,
  type MeterEventMessage,
} from '../../host/link/messages.ts';
import { VirtualClock, VirtualTime } from '../../host/meter/clocks.ts';
import { SoftwareMeter } from '../../host/meter/software-meter.ts';
import { MemoryStorage } from '../../host/meter/storage.ts';
import { decodeSettings, encodeSeedSlot, encodeSettings } from '../../host/provision/settings-block.ts';
import { buildCore } from '../../scripts/build-core.mjs';
import { seededRandom } from './random.ts';
import { buildUnixSeconds, testSettings } from './simulated-meter.ts';

beforeAll(async () => {
  await buildCore();
});

const random = seededRandom('provisioning');
const rootKey = random.bytes(16);

function storageHead(id = 'meter-1'): Buffer {
  const head = Buffer.alloc(StorageMap.SeedB);
  head.set(encodeSettings({ ...testSettings, id }, rootKey));
  head.set(encodeSeedSlot(random.bytes(32), 1), StorageMap.SeedA);
  return head;
}

/** Power fails after so many bytes were written. */
class TearingStorage extends MemoryStorage {
  left = Number.POSITIVE_INFINITY;
  readonly written: { readonly offset: number; readonly bytes: number }[] = [];
  torn = () => {};

  override write(offset: number, bytes: Uint8Array): void {
    this.written.push({ offset, bytes: bytes.length });
    const whole = bytes.length <= this.left;
    super.write(offset, whole ? bytes : bytes.subarray(0, this.left));
    this.left -= whole ? bytes.length : this.left;
    if (!whole) this.torn();
  }
}

class Bench {
  readonly time = new VirtualTime();
  readonly storage: TearingStorage;
  readonly meter: SoftwareMeter;
  readonly done: Done[] = [];
  readonly infos: Info[] = [];
  readonly events: MeterEventMessage[] = [];
  #token = 0;

  constructor(contents: Uint8Array | number = StorageMap.FullBytes, source: CoreModule = loadCoreModule()) {
    this.storage = new TearingStorage(contents);
    this.storage.torn = () => this.meter.powerCut();
    this.meter = new SoftwareMeter({
      clock: new VirtualClock(this.time, { frequencyPpb: 0, tickHz: 25_000_000 }),
      storage: this.storage,
      buildUnixSeconds,
      source,
      onMessage: (channel, bytes) => {
        const message = decodeMessage(channel, bytes);
        if (message.type === Message.Done) this.done.push(message);
        else if (message.type === Message.Info) this.infos.push(message);
        else if (message.type === Message.Event) this.events.push(message);
      },
    });
    this.start();
  }

  start(): void {
    this.meter.start();
    this.run();
  }

  run(seconds = 5): void {
    this.time.runUntil(this.time.nowNs + BigInt(seconds) * 1_000_000_000n);
  }

  write(offset: number, part: Uint8Array, token = ++this.#token): Done | undefined {
    this.done.length = 0;
    this.meter.deliver(Channel.Report, encodeMessage({ type: Message.Provision, token, offset, part }));
    return this.done[0];
  }

  /** The last answer. */
  provision(head: Buffer, partBytes = blockPartBytes): Done | undefined {
    let last: Done | undefined;
    for (let offset = 0; offset < head.length && this.meter.running; offset += partBytes) {
      last = this.write(offset, head.subarray(offset, offset + partBytes));
      if (last?.result !== CommandResult.Done) break;
    }
    return last;
  }

  get settingsErrors(): number[] {
    return this.events.filter(({ code }) => code === MeterEvent.SettingsInvalid).map(({ a }) => Number(a));
  }
}

describe.each([1, 4] as const)('a core for %i servers', (servers) => {
  let source: CoreModule;
  beforeAll(async () => {
    source = loadCoreModule((await buildCore({ servers })).path);
  });

  it.each([blockPartBytes, 1, 100])('gets its settings in parts of %i bytes, and starts with them', (partBytes) => {
    const bench = new Bench(undefined, source);
    expect(bench.infos.at(-1)!.meterId).toBe('');
    const head = storageHead();
    expect(bench.provision(head, partBytes)).toMatchObject({ result: CommandResult.Done, detail: head.length });
    expect(Buffer.from(bench.storage.contents.subarray(0, head.length))).toEqual(head);
    bench.run();
    expect(bench.infos.at(-1)).toMatchObject({ meterId: 'meter-1', resetCause: ResetCause.Software });
    expect(bench.settingsErrors).toEqual([SettingsError.Absent]);
    // And never again.
    const before = bench.storage.contents.slice(0, StorageMap.SettingsBytes);
    expect(bench.provision(storageHead('meter-2'))).toMatchObject({ result: CommandResult.Provisioned });
    bench.meter.powerCut();
    bench.start();
    expect(bench.provision(storageHead('meter-2'))).toMatchObject({ result: CommandResult.Provisioned });
    expect(bench.storage.contents.slice(0, StorageMap.SettingsBytes)).toEqual(before);
  });

  it('has all of them or none where power fails, at any byte, and takes them again', () => {
    const head = storageHead();
    let provisioned = 0;
    for (let left = 0; left <= head.length; left++) {
      const bench = new Bench(undefined, source);
      bench.storage.left = left;
      bench.provision(head);
      bench.meter.powerCut();
      bench.storage.left = Number.POSITIVE_INFINITY;
      bench.start();
      const { meterId } = bench.infos.at(-1)!;
      if (meterId === '') {
        expect(bench.settingsErrors.at(-1)).toBe(SettingsError.Absent);
        expect(bench.provision(head)).toMatchObject({ result: CommandResult.Done });
        bench.run();
      } else {
        provisioned++;
      }
      expect(bench.infos.at(-1)!.meterId).toBe('meter-1');
    }
    expect(provisioned).toBe(1);
  });
});

describe('refused, with nothing written', () => {
  const refusals: [string, (head: Buffer) => void, Partial<Done>][] = [
    ['a CRC-32 that does not hold', (head) => head.writeUInt8(head[20]! ^ 1, 20), { detail: SettingsError.Damaged }],
    ['settings of another version', (head) => reseal(head, 4), { detail: SettingsError.Version }],
    ['no settings', (head) => head.fill(0, 0, 4), { detail: SettingsError.Absent }],
    ['an item that is none', (head) => reseal(head, 8), { detail: SettingsError.Item }],
    [
      'a seed that is damaged',
      (head) => head.writeUInt8(head[StorageMap.SeedA + 9]! ^ 1, StorageMap.SeedA + 9),
      { result: CommandResult.Damaged },
    ],
  ];
  it.each(refusals)('%s', (_, damage, expected) => {
    const bench = new Bench();
    const head = storageHead();
    damage(head);
    expect(bench.provision(head)).toMatchObject({ result: CommandResult.Invalid, ...expected });
    expect(bench.storage.written).toEqual([]);
    expect(bench.provision(storageHead())).toMatchObject({ result: CommandResult.Done });
  });

  it('parts out of order, beyond the end, or without a token', () => {
    const bench = new Bench();
    const head = storageHead();
    expect(bench.write(4, head.subarray(4, 100))).toMatchObject({ result: CommandResult.Request });
    expect(bench.write(0, head.subarray(0, 100))).toMatchObject({ result: CommandResult.Done, detail: 100 });
    expect(bench.write(101, head.subarray(101, 200))).toMatchObject({ result: CommandResult.Request, detail: 100 });
    expect(bench.write(0xffff, head.subarray(0, 200))).toMatchObject({ result: CommandResult.Request });
    bench.meter.deliver(Channel.Report, Uint8Array.of(Message.Provision, 0, 0, 0, 0, 0, 1));
    bench.meter.deliver(Channel.Report, Uint8Array.of(Message.Provision, 0, 1, 0, 0, 0));
    expect(bench.done).toHaveLength(1);
    expect(bench.storage.written).toEqual([]);
  });

  it('a meter whose settings are damaged', () => {
    const contents = new Uint8Array(StorageMap.FullBytes).fill(0xff);
    contents.set(storageHead());
    contents[30]! ^= 1;
    const bench = new Bench(contents);
    expect(bench.settingsErrors).toEqual([SettingsError.Damaged]);
    expect(bench.provision(storageHead())).toMatchObject({ result: CommandResult.Provisioned });
    expect(bench.storage.written).toEqual([]);
  });
});

it('takes settings that came with a damaged seed again', () => {
  const bench = new Bench(StorageMap.TariffBytes);
  const registers = [1, 2, 3].map((place) => ({ obis: `1-0:${place}.8.0`, scale: 0, unit: 30 }));
  const head = Buffer.alloc(StorageMap.SeedB);
  head.set(encodeSettings({ ...testSettings, registers }, rootKey));
  for (let tries = 0; tries < 3; tries++)
    expect(bench.provision(head)).toMatchObject({ result: CommandResult.Damaged });
  head.set(encodeSeedSlot(random.bytes(32), 1), StorageMap.SeedA);
  expect(bench.provision(head)).toMatchObject({ result: CommandResult.Done });
});

it('tells a storage that fails, and takes the settings again', () => {
  const bench = new Bench();
  const write = bench.storage.write.bind(bench.storage);
  const head = storageHead();
  for (let good = 0; good < 4; good++) {
    let writes = 0;
    bench.storage.write = (offset, bytes) => {
      if (writes++ >= good) throw new Error('worn out');
      write(offset, bytes);
    };
    expect(bench.provision(head)).toMatchObject({ result: CommandResult.Storage });
  }
  bench.storage.write = write;
  expect(bench.provision(head)).toMatchObject({ result: CommandResult.Done });
  bench.run();
  expect(bench.infos.at(-1)!.meterId).toBe('meter-1');
  expect(decodeSettings(bench.storage.contents).rootKey).toEqual(Uint8Array.from(rootKey));
});

/** Changes a byte of the settings block and makes its CRC-32 hold again. */
function reseal(head: Buffer, at: number): void {
  const items = head.readUInt16LE(6);
  head.writeUInt8(head[at]! ^ 0x40, at);
  head.writeUInt32LE(crc32(head.subarray(0, 8 + items)), 8 + items);
}
