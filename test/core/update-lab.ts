// A meter with slots whose images are cores, an update for it, and a gateway that sends it, part by part.
import { readFileSync } from 'node:fs';
import { CommandResult, Message, SettingsTag, type Slot, StorageMap, UpdateLimit } from '../../as/abi/codes.ts';
import type { Done } from '../../host/link/record-messages.ts';
import type { Slots } from '../../host/link/update-messages.ts';
import { MemoryFlash, MeterSlots } from '../../host/meter/slots.ts';
import { encodeManifest, type ImageFacts, makeImage, signImage, type UpdateImage } from '../../host/update/manifest.ts';
import { buildCore } from '../../scripts/build-core.mjs';
import { ed25519, signingKey } from './ed25519-reference.ts';
import { SimulatedMeter, type SimulatedMeterOptions } from './simulated-meter.ts';

export const keySeed = new Uint8Array(32).fill(0x5e);
export const board = 'software';
export const runningVersion = 0x0100_0000;
export const nextVersion = 0x0101_0000;

const { path, sha256 } = await buildCore();
/** The core, as an image. */
export const core = new Uint8Array(readFileSync(path));
const coreSha256 = Uint8Array.from(Buffer.from(sha256, 'hex'));

/** A small module of its own behind the core's last section: other bytes, the same core. */
export function otherCore(mark: number, source = core): Uint8Array {
  return Buffer.concat([source, Buffer.of(0, 6, 1, 0x78, mark & 0xff, (mark >> 8) & 0xff, 0, 0)]);
}

export const facts: ImageFacts = {
  board,
  version: nextVersion,
  floor: 0,
  buildUnixSeconds: 1_795_000_000n,
  coreSha256,
};

/** An image for a slot, signed. */
export function update(slot: Slot.A | Slot.B, changes: Partial<ImageFacts> = {}, bytes = otherCore(1)): UpdateImage {
  return signImage(makeImage(slot, bytes, { ...facts, ...changes }), signingKey(keySeed));
}

export const slotBytes = 96 * 1024;

/** A flash of which any step may be the last one before the power fails: that step is done half. */
export class CutFlash extends MemoryFlash {
  steps = 0;
  /** The step that is cut, from 1 on; 0 for none. */
  cutAt = 0;
  onCut: () => void = () => {};

  override program(at: number, bytes: Uint8Array): void {
    for (let i = 0; i < bytes.length; i += 128) {
      const piece = bytes.subarray(i, i + 128);
      if (this.#cut()) {
        super.program(at + i, piece.subarray(0, piece.length >> 1));
        this.onCut();
        throw new Error('the power failed');
      }
      super.program(at + i, piece);
    }
  }

  override erase(at: number, length: number): void {
    const cut = this.#cut();
    super.erase(at, cut ? length >> 1 : length);
    if (!cut) return;
    this.onCut();
    throw new Error('the power failed');
  }

  #cut(): boolean {
    this.steps++;
    return this.steps === this.cutAt;
  }
}

export interface UpdateLabOptions extends SimulatedMeterOptions {
  readonly key?: boolean;
  readonly image?: Uint8Array;
}

export class UpdateLab {
  readonly flash = new CutFlash(MeterSlots.flashBytes(slotBytes));
  readonly slots: MeterSlots;
  readonly sim: SimulatedMeter;
  #token = 0;

  constructor({ key = true, image = core, ...options }: UpdateLabOptions = {}) {
    this.slots = new MeterSlots(this.flash);
    this.slots.install(image, runningVersion);
    const keyItem = Buffer.concat([Buffer.of(SettingsTag.UpdateKey, 32), ed25519(keySeed).publicKey]);
    this.sim = new SimulatedMeter({
      storageBytes: StorageMap.TariffBytes,
      ...options,
      board,
      slots: this.slots,
      items: [...(options.items ?? []), ...(key ? [keyItem] : [])],
    });
  }

  /** Starts it, until it has a time and has told of its slots. */
  start(): this {
    this.sim.meter.start();
    this.sim.runUntilSynchronised();
    this.sim.runUntil('its slots are told', () => this.said !== undefined);
    return this;
  }

  /** What it said last of its slots. */
  get said(): Slots | undefined {
    return this.sim.sentOf(Message.Slots).at(-1);
  }

  /** Sends a command, again while the meter is busy, and gives its answer. */
  command(make: (token: number) => Parameters<SimulatedMeter['deliver']>[0], seconds = 60): Done {
    for (let tries = 0; ; tries++) {
      const token = this.send(make);
      const answer = () => this.sim.done.find((done) => done.token === token);
      this.sim.runUntil(`an answer to command ${token}`, () => answer() !== undefined, seconds);
      if (answer()!.result !== CommandResult.Busy || tries === 100) return answer()!;
      this.sim.run(0.3);
    }
  }

  send(make: (token: number) => Parameters<SimulatedMeter['deliver']>[0]): number {
    this.#token = (this.#token % 0xffff) + 1;
    this.sim.deliver(make(this.#token));
    return this.#token;
  }

  begin({ manifest, signature }: UpdateImage, change: (manifest: Buffer) => void = () => {}): Done {
    const bytes = Buffer.from(encodeManifest(manifest));
    change(bytes);
    return this.command((token) => ({ type: Message.UpdateBegin, token, manifest: bytes, signature }));
  }

  part({ image }: UpdateImage, offset: number, length?: number): Done {
    return this.command((token) => partMessage(image, token, offset, length));
  }

  finish({ manifest }: UpdateImage, change: (manifest: Buffer) => void = () => {}): Done {
    const bytes = Buffer.from(encodeManifest(manifest));
    change(bytes);
    return this.command((token) => ({ type: Message.UpdateFinish, token, manifest: bytes }));
  }

  /** All of it up to the end, from where the meter says; the answer to the first that is not done, or to the last. */
  sendAll(image: UpdateImage, upTo = image.image.length): Done {
    let done = this.begin(image);
    if (done.result !== CommandResult.Done) return done;
    while (done.detail < upTo) {
      done = this.part(image, done.detail);
      if (done.result !== CommandResult.Done) return done;
    }
    return upTo === image.image.length ? this.finish(image) : done;
  }
}

/** How many bytes the part at an offset has, at most. */
export function partLength(length: number, offset: number): number {
  const inStep = UpdateLimit.StepBytes - (offset % UpdateLimit.StepBytes);
  return Math.min(UpdateLimit.PartBytes, inStep, length - offset);
}

export function partMessage(image: Uint8Array, token: number, offset: number, length?: number) {
  const part = image.subarray(offset, offset + (length ?? partLength(image.length, offset)));
  return { type: Message.UpdatePart, token, offset, part } as const;
}
