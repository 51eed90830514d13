// Who uses how much flash and RAM: from the linker's map, by part of the firmware.
// What always holds: the parts of a memory add up to what is used of it; alignment gaps have a line of their own.
import type { Board } from './board.ts';

/** Bytes used of one memory. */
export interface MemoryUse {
  readonly usedBytes: number;
  readonly budgetBytes: number;
  readonly parts: readonly { readonly part: string; readonly bytes: number }[];
}

/** Flash and RAM of an image. */
export interface SizeReport {
  readonly flash: MemoryUse;
  readonly ram: MemoryUse;
}

interface OutputSection {
  readonly name: string;
  readonly bytes: number;
  readonly inputs: { name: string; bytes: number; object: string }[];
}

// Constants of a process have sections of their own.
const flashSections = ['.text', '.rodata', '.data'];
const ramSections = ['.stack', '.data', '.bss', '.noinit'];

/** Adds up what a map file of GNU ld says. */
export function measureSizes(map: string, board: Board): SizeReport {
  const sections = readMap(map);
  const use = (names: string[], budgetBytes: number, partOf: (section: string, object: string) => string) => {
    const parts = new Map<string, number>();
    const add = (part: string, bytes: number) => parts.set(part, (parts.get(part) ?? 0) + bytes);
    let usedBytes = 0;
    for (const section of sections.filter(({ name }) => names.includes(name))) {
      usedBytes += section.bytes;
      let named = 0;
      for (const input of section.inputs) {
        add(partOf(input.name, input.object), input.bytes);
        named += input.bytes;
      }
      if (section.name === '.stack') add('stack', section.bytes);
      else if (section.bytes > named) add('alignment', section.bytes - named);
    }
    const sorted = [...parts].map(([part, bytes]) => ({ part, bytes })).sort((a, b) => b.bytes - a.bytes);
    return { usedBytes, budgetBytes, parts: sorted };
  };
  return {
    flash: use(flashSections, board.budgets.flashBytes, flashPart),
    ram: use(ramSections, board.budgets.ramBytes, ramPart),
  };
}

function flashPart(section: string, object: string): string {
  const owner = ownerOf(object);
  if (owner !== 'core') return owner;
  return section.startsWith('.text') ? 'core: code' : 'core: tables';
}

function ramPart(section: string, object: string): string {
  if (section === '.bss.wasm_memory') return 'core: linear memory';
  const owner = ownerOf(object);
  return owner === 'core' ? 'core: globals' : owner;
}

function ownerOf(object: string): string {
  if (object.includes('.a(')) return 'compiler helpers';
  const folder = /obj\/([a-z_]+)\//.exec(object)?.[1];
  return folder === 'platform' ? 'start-up' : (folder ?? 'other');
}

// A long section name stands on a line of its own, its figures on the next.
function readMap(map: string): OutputSection[] {
  const body = map.slice(map.indexOf('Linker script and memory map')).replace(/^( ?\.\S+)\n +0x/gm, '$1 0x');
  const sections: OutputSection[] = [];
  for (const line of body.split('\n')) {
    const output = /^(\.\S+)\s+0x[0-9a-f]+\s+0x([0-9a-f]+)/.exec(line);
    if (output) {
      sections.push({ name: output[1]!, bytes: Number.parseInt(output[2]!, 16), inputs: [] });
      continue;
    }
    const input = /^ (\.\S+|COMMON)\s+0x[0-9a-f]+\s+0x([0-9a-f]+)\s+(\S.*)$/.exec(line);
    const bytes = input ? Number.parseInt(input[2]!, 16) : 0;
    if (input && bytes > 0) sections.at(-1)?.inputs.push({ name: input[1]!, bytes, object: input[3]! });
  }
  return sections;
}
