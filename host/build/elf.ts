// Reads what the build needs of a 32-bit little-endian ELF file: symbols, and where an address lies in the file.
// (System V ABI, "ELF header", "Symbol table", "Program header".)
import { BuildError } from './errors.ts';

const programHeaderLoad = 1;
const sectionSymbols = 2;

/** A parsed file; `bytes` is the file itself. */
export interface Elf {
  readonly bytes: Buffer;
  /** Address of each named symbol. */
  readonly symbols: ReadonlyMap<string, number>;
}

/** Parses a file. Throws `BuildError` image-invalid. */
export function parseElf(bytes: Buffer): Elf {
  if (bytes.readUInt32BE(0) !== 0x7f454c46 || bytes[4] !== 1 || bytes[5] !== 1) {
    throw new BuildError('image-invalid', 'the image is no 32-bit little-endian ELF file');
  }
  const symbols = new Map<string, number>();
  for (const section of sections(bytes)) {
    if (section.type !== sectionSymbols) continue;
    const names = sections(bytes)[section.link]!;
    for (let at = section.offset; at < section.offset + section.size; at += 16) {
      const nameAt = names.offset + bytes.readUInt32LE(at);
      const name = bytes.toString('latin1', nameAt, bytes.indexOf(0, nameAt));
      if (name !== '') symbols.set(name, bytes.readUInt32LE(at + 4));
    }
  }
  return { bytes, symbols };
}

function sections(bytes: Buffer): { type: number; offset: number; size: number; link: number }[] {
  const table = bytes.readUInt32LE(32);
  const entryBytes = bytes.readUInt16LE(46);
  return Array.from({ length: bytes.readUInt16LE(48) }, (_, index) => {
    const at = table + index * entryBytes;
    return {
      type: bytes.readUInt32LE(at + 4),
      offset: bytes.readUInt32LE(at + 16),
      size: bytes.readUInt32LE(at + 20),
      link: bytes.readUInt32LE(at + 24),
    };
  });
}

/** Address of a symbol. Throws `BuildError` image-invalid. */
export function symbolAddress(elf: Elf, name: string): number {
  const address = elf.symbols.get(name);
  if (address === undefined) throw new BuildError('image-invalid', `the image has no symbol ${name}`);
  return address;
}

/** Where the byte at an address lies in the file. Throws `BuildError` image-invalid. */
export function fileOffset({ bytes }: Elf, address: number): number {
  const table = bytes.readUInt32LE(28);
  const entryBytes = bytes.readUInt16LE(42);
  for (let index = 0; index < bytes.readUInt16LE(44); index++) {
    const at = table + index * entryBytes;
    const start = bytes.readUInt32LE(at + 8);
    if (bytes.readUInt32LE(at) !== programHeaderLoad) continue;
    if (address >= start && address < start + bytes.readUInt32LE(at + 16)) {
      return bytes.readUInt32LE(at + 4) + address - start;
    }
  }
  throw new BuildError('image-invalid', `address 0x${address.toString(16)} is not in the image`);
}
