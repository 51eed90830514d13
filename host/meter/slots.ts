// Two slots for software, as a board has them in its flash, and what its bootloader does: for meters in software, whose
// images are cores.
//
// What always holds:
// - Flash is written as flash is: bits go from one to zero, and back only when a unit is erased.
// - The slot that runs is never touched, but for the word that confirms it.
// - Cut off after any single step, one whole image is chosen at the next start.
//
// A slot is followed by its trailer, in a unit of its own. Each word is written once; the first says that the others are there:
//
//     0  complete   u32   `written`: what follows was written before
//     4  sequence   u32   counts the installations of both slots: the higher one is newer
//     8  length     u32
//    12  version    u32
//    16  hash       32    the first of SHA-512 of the image
//    48  tried      u32   `written` before the first jump into it
//    52  confirmed  u32   `written` when it is to stay
//
// The choice: what is complete and not tried is tried, if its hash holds; else of those that are confirmed the newest
// whose hash holds. What was tried and not confirmed has failed, and never runs again.
import { Slot, SlotFlag } from '../../as/abi/codes.ts';
import { imageHash } from '../update/manifest.ts';

/** What the slots lie in. A step that is cut off throws, or never returns. */
export interface SlotFlash {
  readonly bytes: number;
  /** As it is in the flash, not copied. */
  read(at: number, length: number): Uint8Array;
  /** Programs a word of four bytes or several: bits can only be cleared. */
  program(at: number, bytes: Uint8Array): void;
  /** Erases whole units. */
  erase(at: number, length: number): void;
}

/** Slots that no longer hold anything that could run. */
export class SlotsError extends Error {
  readonly code = 'slots-empty';
  constructor() {
    super('neither slot holds an image that may run');
    this.name = 'SlotsError';
  }
}

/** What the bootloader chose. */
export interface BootChoice {
  readonly slot: Slot.A | Slot.B;
  /** `SlotFlag` bits. */
  readonly flags: number;
  readonly version: number;
  readonly image: Uint8Array;
}

export interface SlotImage {
  readonly length: number;
  readonly version: number;
  readonly hash: Uint8Array;
}

const unitBytes = 1024;
const written = 0x4d54_534c;
const trailer = { complete: 0, sequence: 4, length: 8, version: 12, hash: 16, tried: 48, confirmed: 52, bytes: 56 };

export class MeterSlots {
  /** Of the longest image. */
  readonly slotBytes: number;
  readonly #flash: SlotFlash;
  #running: Slot.A | Slot.B = Slot.A;

  constructor(flash: SlotFlash) {
    this.#flash = flash;
    this.slotBytes = Math.floor(flash.bytes / 2 / unitBytes) * unitBytes - unitBytes;
  }

  /** Bytes of a flash whose slots take images of `slotBytes`. */
  static flashBytes(slotBytes: number): number {
    return 2 * (Math.ceil(slotBytes / unitBytes) + 1) * unitBytes;
  }

  /** Puts an image into slot A that stays, as a programmer does who makes a meter. */
  install(image: Uint8Array, version: number): void {
    this.#flash.erase(0, this.#flash.bytes);
    this.#flash.program(0, image);
    this.#running = Slot.B;
    this.commit({ length: image.length, version, hash: imageHash(image) });
    this.#mark(Slot.A, trailer.tried);
    this.#mark(Slot.A, trailer.confirmed);
  }

  /** What a start does. @throws {SlotsError} */
  boot(): BootChoice {
    const slots = [Slot.A, Slot.B] as const;
    for (const slot of slots) {
      if (!this.#is(slot, trailer.complete) || this.#is(slot, trailer.tried)) continue;
      this.#mark(slot, trailer.tried);
      if (this.#holds(slot)) return this.#choose(slot, SlotFlag.Trial);
    }
    const [newest] = slots
      .filter((slot) => this.#is(slot, trailer.complete) && this.#is(slot, trailer.confirmed) && this.#holds(slot))
      .sort((a, b) => this.#word(b, trailer.sequence) - this.#word(a, trailer.sequence));
    if (newest === undefined) throw new SlotsError();
    return this.#choose(newest, 0);
  }

  #choose(slot: Slot.A | Slot.B, trial: number): BootChoice {
    this.#running = slot;
    const other = this.#other;
    const failed = this.#is(other, trailer.complete) && this.#is(other, trailer.tried);
    const flags = trial | (failed && !this.#is(other, trailer.confirmed) ? SlotFlag.OtherFailed : 0);
    const image = this.#flash.read(this.#at(slot), this.#word(slot, trailer.length)).slice();
    return { slot, flags, version: this.#word(slot, trailer.version), image };
  }

  /** Erases the units of the other slot that begin in these bytes; from offset 0 on the trailer first. */
  erase(offset: number, length: number): void {
    const from = Math.ceil(offset / unitBytes) * unitBytes;
    if (offset === 0) this.#flash.erase(this.#at(this.#other) + this.slotBytes, unitBytes);
    for (let unit = from; unit < Math.min(offset + length, this.slotBytes); unit += unitBytes) {
      this.#flash.erase(this.#at(this.#other) + unit, unitBytes);
    }
  }

  /** Writes to the other slot, and reads it back; false where that is not what was to be there. */
  write(offset: number, bytes: Uint8Array): boolean {
    if (offset + bytes.length > this.slotBytes) return false;
    this.#flash.program(this.#at(this.#other) + offset, bytes);
    return Buffer.compare(this.read(offset, bytes.length), bytes) === 0;
  }

  /** Reads of the other slot. */
  read(offset: number, length: number): Uint8Array {
    return this.#flash.read(this.#at(this.#other) + offset, Math.max(0, Math.min(length, this.slotBytes - offset)));
  }

  /** The other slot's image is to be tried at the next start. */
  commit({ length, version, hash }: SlotImage): void {
    const other = this.#other;
    const sequence = Math.max(this.#sequence(Slot.A), this.#sequence(Slot.B)) + 1;
    const at = this.#at(other) + this.slotBytes;
    for (const [place, value] of [
      [trailer.sequence, sequence],
      [trailer.length, length],
      [trailer.version, version],
    ] as const) {
      this.#flash.program(at + place, word(value));
    }
    this.#flash.program(at + trailer.hash, hash);
    this.#mark(other, trailer.complete);
  }

  /** What runs is to stay. */
  confirm(): void {
    this.#mark(this.#running, trailer.confirmed);
  }

  get #other(): Slot.A | Slot.B {
    return this.#running === Slot.A ? Slot.B : Slot.A;
  }

  #at(slot: Slot.A | Slot.B): number {
    return (slot - Slot.A) * (this.slotBytes + unitBytes);
  }

  #word(slot: Slot.A | Slot.B, place: number): number {
    return Buffer.from(this.#flash.read(this.#at(slot) + this.slotBytes + place, 4)).readUInt32LE();
  }

  #is(slot: Slot.A | Slot.B, place: number): boolean {
    return this.#word(slot, place) === written;
  }

  #mark(slot: Slot.A | Slot.B, place: number): void {
    if (!this.#is(slot, place)) this.#flash.program(this.#at(slot) + this.slotBytes + place, word(written));
  }

  #sequence(slot: Slot.A | Slot.B): number {
    return this.#is(slot, trailer.complete) ? this.#word(slot, trailer.sequence) : 0;
  }

  #holds(slot: Slot.A | Slot.B): boolean {
    const length = this.#word(slot, trailer.length);
    if (length > this.slotBytes) return false;
    const hash = this.#flash.read(this.#at(slot) + this.slotBytes + trailer.hash, 32);
    return Buffer.compare(imageHash(this.#flash.read(this.#at(slot), length)), hash) === 0;
  }
}

function word(value: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

/** Flash in memory. */
export class MemoryFlash implements SlotFlash {
  readonly contents: Uint8Array;

  constructor(bytes: number) {
    this.contents = new Uint8Array(bytes).fill(0xff);
  }

  get bytes(): number {
    return this.contents.length;
  }

  read(at: number, length: number): Uint8Array {
    return this.contents.subarray(at, at + length);
  }

  program(at: number, bytes: Uint8Array): void {
    bytes.forEach((byte, i) => {
      this.contents[at + i]! &= byte;
    });
  }

  erase(at: number, length: number): void {
    this.contents.fill(0xff, at, at + length);
  }
}
