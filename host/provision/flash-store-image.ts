// Storage as firmware/drivers/flash_store.c keeps it in flash that is erased in units: a log of pages, read and written as
// a file of the flash's bytes. The layout is drawn there, and docs/storage.md says what it is for.
//
//   unit     magic u32, sequence u32, erases u32, CRC-32 of these; then records
//   record   page u16, its inverse u16, CRC-32 with the unit's sequence in its place, 64 bytes of data
//
// What always holds: a page's newest record counts, that is the last one in the unit with the highest sequence; a page
// without one has ones. An image made here has a header in each unit and a record of the last page, so that where units
// begin and how large the storage is can be read from it.
import { crc32 } from 'node:zlib';

/** How flash is laid out. */
export interface FlashGeometry {
  readonly units: number;
  readonly unitBytes: number;
  /** What is programmed at once: records begin at multiples of it. */
  readonly programBytes: number;
}

/** What an image holds. */
export interface FlashContents {
  /** The storage as its user sees it. */
  readonly contents: Buffer;
  readonly geometry: FlashGeometry;
}

/** The flash is too small for the storage, or its image is damaged. */
export class FlashImageError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'FlashImageError';
  }
}

const magic = 0x3153544d;
const pageBytes = 64;
const headerBytes = 16;
const recordBytes = 8 + pageBytes;
/** Units begin at multiples of this, whatever their size. */
const unitStep = 256;
const largestProgramBytes = 4096;
/** As the driver demands: one that is written, one to copy to, one that may fail. */
const spareUnits = 3;

interface Unit {
  readonly at: number;
  readonly end: number;
  readonly sequence: number;
  readonly erases: number;
}

/** Whether a file holds units. */
export function isFlashImage(image: Buffer): boolean {
  return findUnits(image).length > 0;
}

/**
 * Reads the storage out of an image.
 * @throws {FlashImageError} when no page is in it
 */
export function decodeFlashImage(image: Buffer): FlashContents {
  const units = findUnits(image);
  const layouts = programSizes().map((programBytes) => ({ programBytes, ...readPages(image, units, programBytes) }));
  // Places of a large size are among those of some smaller ones.
  const { programBytes, pages } = layouts.reduce((best, one) => (one.records >= best.records ? one : best));
  if (pages.size === 0) throw new FlashImageError('its flash has no page of a storage');
  const contents = Buffer.alloc((Math.max(...pages.keys()) + 1) * pageBytes, 0xff);
  for (const [page, data] of pages) data.copy(contents, page * pageBytes);
  return { contents, geometry: { ...measureUnits(image, units), programBytes } };
}

/**
 * Makes the image of a flash with a storage in it. Erase counts go on from those of the image that it replaces.
 * @throws {FlashImageError} when the storage does not fit
 */
export function encodeFlashImage(contents: Uint8Array, geometry: FlashGeometry, before?: Buffer): Buffer {
  const { units, unitBytes, programBytes } = geometry;
  const { recordsAt, stride } = layoutOf(programBytes);
  const slots = Math.floor((unitBytes - recordsAt) / stride);
  const pages = contents.length / pageBytes;
  if (!Number.isInteger(pages) || slots < 1 || (units - spareUnits) * slots < pages) {
    throw new FlashImageError(`${units} units of ${unitBytes} bytes are too few for a storage of ${contents.length}`);
  }
  const written = Array.from({ length: pages }, (_, page) => page).filter((page) => {
    const data = contents.subarray(page * pageBytes, (page + 1) * pageBytes);
    return page === pages - 1 || data.some((byte) => byte !== 0xff);
  });
  const image = Buffer.alloc(units * unitBytes, 0xff);
  const erases = new Map(before === undefined ? [] : findUnits(before).map((unit) => [unit.at, unit.erases]));
  // The ring stands as if it had come round to the unit with the last record.
  const head = Math.ceil(written.length / slots) - 1;
  for (let unit = 0; unit < units; unit++) {
    const at = unit * unitBytes;
    const sequence = ((unit - head - 1 + units) % units) + 1;
    writeHeader(image, { at, end: at + unitBytes, sequence, erases: (erases.get(at) ?? 0) + 1 });
    written.slice(unit * slots, (unit + 1) * slots).forEach((page, slot) => {
      const record = image.subarray(at + recordsAt + slot * stride).subarray(0, recordBytes);
      record.writeUInt16LE(page, 0);
      record.writeUInt16LE(page ^ 0xffff, 2);
      record.set(contents.subarray(page * pageBytes, (page + 1) * pageBytes), 8);
      record.writeUInt32LE(sumRecord(record, sequence), 4);
    });
  }
  return image;
}

function layoutOf(programBytes: number): { recordsAt: number; stride: number } {
  const roundUp = (bytes: number) => Math.ceil(bytes / programBytes) * programBytes;
  return { recordsAt: roundUp(headerBytes), stride: roundUp(recordBytes) };
}

// 8 is laid out as 4 is.
function programSizes(): number[] {
  const sizes = [4];
  for (let bytes = 16; bytes <= largestProgramBytes; bytes *= 2) sizes.push(bytes);
  return sizes;
}

// A unit ends where the next one is found.
function findUnits(image: Buffer): Unit[] {
  const found: Unit[] = [];
  for (let at = image.length - (image.length % unitStep); at >= 0; at -= unitStep) {
    if (at + headerBytes > image.length || image.readUInt32LE(at) !== magic) continue;
    if (image.readUInt32LE(at + 12) !== crc32(image.subarray(at, at + 12))) continue;
    const end = found[0]?.at ?? image.length;
    found.unshift({ at, end, sequence: image.readUInt32LE(at + 4), erases: image.readUInt32LE(at + 8) });
  }
  return found;
}

function writeHeader(image: Buffer, { at, sequence, erases }: Unit): void {
  image.writeUInt32LE(magic, at);
  image.writeUInt32LE(sequence, at + 4);
  image.writeUInt32LE(erases, at + 8);
  image.writeUInt32LE(crc32(image.subarray(at, at + 12)), at + 12);
}

// Those of a later sequence replace those before.
function readPages(
  image: Buffer,
  units: readonly Unit[],
  programBytes: number,
): { pages: Map<number, Buffer>; records: number } {
  const { recordsAt, stride } = layoutOf(programBytes);
  const pages = new Map<number, Buffer>();
  let records = 0;
  for (const { at, end, sequence } of [...units].sort((a, b) => a.sequence - b.sequence)) {
    for (let place = at + recordsAt; place + recordBytes <= end; place += stride) {
      const record = image.subarray(place, place + recordBytes);
      const page = record.readUInt16LE(0);
      if (record.readUInt16LE(2) !== (page ^ 0xffff)) continue;
      if (record.readUInt32LE(4) !== sumRecord(record, sequence)) continue;
      pages.set(page, record.subarray(8));
      records++;
    }
  }
  return { pages, records };
}

// CRC-32 with the unit's sequence in the place of the sum, which is never 0.
function sumRecord(record: Buffer, sequence: number): number {
  const summed = Buffer.from(record);
  summed.writeUInt32LE(sequence, 4);
  return crc32(summed) || 1;
}

// An emulator's file may be larger than its units: what follows them is a hole, which reads as zeros.
function measureUnits(image: Buffer, units: readonly Unit[]): Pick<FlashGeometry, 'units' | 'unitBytes'> {
  const divisor = (a: number, b: number): number => (b === 0 ? a : divisor(b, a % b));
  const unitBytes = units.reduce((bytes, { at }) => divisor(bytes, at), image.length);
  let used = image.length;
  while (used > 0 && image[used - 1] === 0) used--;
  return { units: Math.ceil(used / unitBytes), unitBytes };
}
