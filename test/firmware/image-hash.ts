// The hash of the image: computed by the firmware at each start over its flash, so that what was changed there shows.
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { StartField } from '../../as/abi/codes.ts';
import { type Elf, fileOffset, parseElf, symbolAddress } from '../../host/build/elf.ts';
import type { Board, BuildReport } from '../../host/build/index.ts';
import { hex, type Line } from './echo-meter.ts';
import type { EchoMeters } from './use-echo-meters.ts';

const flippedBit = 0x10;

/**
 * Starts an echo meter as it was built, then with one bit flipped in its vector table and one in its code; a process, with
 * a byte more in its file.
 */
export async function checkImageHash(report: BuildReport, board: Board, meters: EchoMeters): Promise<void> {
  const { elfPath, binPath, imageSha256 } = report;
  const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
  const built = await meters.start(meters.newFolder(), { board });
  expect(await reportedHash(built.line)).toBe(imageSha256);
  if (board.process !== undefined) {
    await meters.stop();
    const folder = meters.newFolder();
    const image = join(folder, 'changed.elf');
    const longer = Buffer.concat([readFileSync(elfPath), Buffer.of(flippedBit)]);
    writeFileSync(image, longer, { mode: 0o700 });
    expect(await reportedHash((await meters.start(folder, { board, image })).line)).toBe(sha256(longer));
    return;
  }
  for (const address of harmlessPlaces(parseElf(readFileSync(elfPath)), board)) {
    await meters.stop();
    const folder = meters.newFolder();
    const elf = parseElf(readFileSync(elfPath));
    elf.bytes[fileOffset(elf, address)]! ^= flippedBit;
    const image = join(folder, 'changed.elf');
    writeFileSync(image, elf.bytes);
    const changed = await meters.start(folder, { board, image });
    const bin = readFileSync(binPath!);
    bin[address - board.memory.flash.origin]! ^= flippedBit;
    expect(await reportedHash(changed.line)).toBe(sha256(bin));
  }
}

async function reportedHash(line: Line): Promise<string> {
  const payload = (await line.ask(`I${hex(0, 4)}`)) + (await line.ask(`I${hex(64, 4)}`));
  return payload.slice(2 * StartField.ImageSha256, 2 * StartField.Entropy);
}

// On a Cortex-M a word of the vector table that the processor does not know; and code that only faults come to.
function harmlessPlaces(elf: Elf, { architecture }: Board): number[] {
  const code = symbolAddress(elf, 'startup_handle_fault') & ~1;
  return architecture.startsWith('cortex') ? [symbolAddress(elf, 'vectors') + 7 * 4, code] : [code];
}
