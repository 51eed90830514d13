// Meters for tests from end to end: provisioned, in software or in the emulator, each on a link that a gateway takes.
import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { StorageMap } from '../../as/abi/codes.ts';
import { type BuildOptions, type BuildReport, buildFirmware } from '../../host/build/firmware.ts';
import { type Emulator, type EmulatorOptions, loadBoard, startEmulator } from '../../host/build/index.ts';
import { createPair } from '../../host/link/pair-transport.ts';
import { type LinkTransport, openLink } from '../../host/link/transports.ts';
import { SystemClock } from '../../host/meter/clocks.ts';
import { lineOf, SoftwareMeter, type SoftwareMeterOptions } from '../../host/meter/software-meter.ts';
import { MemoryStorage } from '../../host/meter/storage.ts';
import { linkKeyOf } from '../../host/provision/meter-keys.ts';
import {
  decodeSettings,
  encodeSeedSlot,
  encodeSettings,
  type MeterSettings,
  settingsDefaults,
} from '../../host/provision/settings-block.ts';
import {
  type ProvisionOptions,
  provisionStorage,
  readStorageKeys,
  storageOptions,
} from '../../host/provision/storage-file.ts';
import { makeFolder } from '../../host/setup/lab-server.ts';

export const board = 'mps2-an385';

/** No time before it is believed: a meter in software is as old as this. */
export const softwareBuildUnixSeconds = 1_700_000_000;

export type LabSettings = Pick<MeterSettings, 'id' | 'servers'> & Partial<MeterSettings>;

/** Polls and reports often and does not spread its key establishments, so that a test need not wait for the next. */
export function labSettings(settings: LabSettings): MeterSettings {
  const often = { poll: { minSeconds: 1, maxSeconds: 1 }, reportSeconds: 2, spreadSeconds: 0 };
  return { ...settingsDefaults, ...often, ...settings };
}

/** Storage in memory with settings, root key and seed. */
export function provisionMemory(settings: LabSettings, bytes: number = StorageMap.Bytes): MemoryStorage {
  const storage = new MemoryStorage(new Uint8Array(bytes));
  storage.write(StorageMap.Settings, encodeSettings(labSettings(settings), new Uint8Array(randomBytes(16))));
  storage.write(StorageMap.SeedA, encodeSeedSlot(new Uint8Array(randomBytes(32)), 1));
  return storage;
}

/** The link key of the meter that a storage is of. */
export function storedLinkKey(storage: Uint8Array): Uint8Array {
  const { settings, rootKey } = decodeSettings(storage);
  return linkKeyOf(rootKey, settings.id);
}

/** A meter in software; `transport` is the gateway's end of its link. */
export function softwareMeter(
  settings: LabSettings,
  options: Partial<SoftwareMeterOptions> = {},
): { readonly meter: SoftwareMeter; readonly transport: LinkTransport; readonly storage: MemoryStorage } {
  const [inner, outer] = createPair(settings.id);
  const storage = provisionMemory(settings);
  const meter = new SoftwareMeter({
    clock: new SystemClock(),
    entropy: () => new Uint8Array(randomBytes(32)),
    storage,
    line: lineOf(inner),
    buildUnixSeconds: softwareBuildUnixSeconds,
    ...options,
  });
  inner.start();
  return { meter, transport: outer, storage };
}

/** An emulated meter: its storage file lives as long as this object, the emulator from `start` to `stop` or `kill`. */
export class EmulatedMeter {
  readonly folder = makeFolder('emulated');
  readonly storageFile = join(this.folder, 'storage');
  readonly link = join(this.folder, 'link');
  readonly events: string[] = [];
  emulator: Emulator | undefined;

  private constructor(
    readonly firmware: BuildReport,
    settings: LabSettings,
    options: ProvisionOptions,
  ) {
    const { storage } = loadBoard(firmware.board);
    provisionStorage(this.storageFile, labSettings(settings), { ...storageOptions(storage), ...options });
  }

  /** Builds the firmware where that is not done yet. */
  static async create(
    settings: LabSettings,
    boardName = board,
    options: ProvisionOptions = {},
    build: Omit<BuildOptions, 'board'> = {},
  ): Promise<EmulatedMeter> {
    return new EmulatedMeter(await buildFirmware({ board: boardName, ...build }), settings, options);
  }

  /** Power on. */
  async start(options: Pick<EmulatorOptions, 'rtcBase'> = {}): Promise<Emulator> {
    this.emulator = await startEmulator({
      board: this.firmware.board,
      image: this.firmware.elfPath,
      link: this.link,
      storageFile: this.storageFile,
      onEvent: ({ event }) => this.events.push(event),
      ...options,
    });
    return this.emulator;
  }

  /** What its gateway needs where the link is sealed. */
  get linkKeys(): Map<string, Uint8Array> {
    const { meter, linkKey } = readStorageKeys(this.storageFile);
    return new Map([[meter, linkKey!]]);
  }

  /** The gateway's end of the link. */
  transport(): LinkTransport {
    return openLink(`unix:${this.link}`) as LinkTransport;
  }

  /** Power off, as by a cut. */
  async kill(): Promise<void> {
    await this.emulator?.kill();
  }

  /** Power off for good. */
  async remove(): Promise<void> {
    await this.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
