// The core's module for a WebAssembly runtime on a microcontroller: the exports that the glue calls and nothing else, in
// what every runtime takes (WebAssembly 1.0), with the two globals by which WAMR sees how much of its page it uses.
//
// What always holds: the functions are those of the core that it is made of; the memory does not grow and nothing asks for
// its size, or WAMR gave it a whole page of 64 KiB.
import type Binaryen from 'assemblyscript/binaryen';
import { BuildError } from '../build/errors.ts';

/** Exports that the glue calls, with what their result is. */
export const glueExports = {
  abiVersion: 'u32 abiVersion(void): version of the interface',
  memoryEnd: 'u32 memoryEnd(void): first byte of the memory that is not used',
  eventBuffer: 'u32 eventBuffer(void): where an event is put, header and payload',
  eventCapacity: 'u32 eventCapacity(void): bytes that fit there',
  actionBuffer: 'u32 actionBuffer(void): where the actions are found',
  handle: 'u32 handle(u32 event, u32 length): handles one event with that many bytes of payload; bytes of actions',
  bitsliceAes: 'void bitsliceAes(void): AES without a table, for processors with a data cache; before the first event',
} as const;

// WAMR takes the first global that changes, where it begins within the memory, for a stack pointer, and checks what it is
// set to unless it begins at 0.
function requireNoStack(binaryen: typeof Binaryen, module: Binaryen.Module): void {
  for (let index = 0; index < module.getNumGlobals(); index++) {
    const { mutable, type, init } = binaryen.getGlobalInfo(module.getGlobalByIndex(index));
    if (!mutable || type !== binaryen.i32) continue;
    const { value } = binaryen.getExpressionInfo(init) as Binaryen.ConstInfo;
    if (value === 0) return;
    throw new BuildError('core-invalid', `the core's first global begins at ${value}, expected 0`);
  }
}

/**
 * Strips a core; `memoryBytes` is what it uses of its memory. The same core gives the same bytes.
 * Throws `BuildError` core-invalid where an export is missing or the memory could grow.
 */
export async function stripCore(core: Uint8Array, memoryBytes: number): Promise<Uint8Array> {
  // Of a checkout: the bundled command line does without.
  const { default: binaryen } = await import('assemblyscript/binaryen');
  const module = binaryen.readBinary(core);
  try {
    module.setFeatures(binaryen.Features.MVP);
    const names = Array.from({ length: module.getNumExports() }, (_, index) => {
      return binaryen.getExportInfo(module.getExportByIndex(index)).name;
    });
    for (const name of Object.keys(glueExports)) {
      if (!names.includes(name)) throw new BuildError('core-invalid', `the core does not export ${name}`);
    }
    for (const name of names) if (name !== 'memory' && !Object.hasOwn(glueExports, name)) module.removeExport(name);
    requireNoStack(binaryen, module);
    for (const name of ['__data_end', '__heap_base']) {
      module.addGlobal(name, binaryen.i32, false, module.i32.const(memoryBytes));
      module.addGlobalExport(name, name);
    }
    module.runPasses(['remove-unused-module-elements']);
    if (module.validate() !== 1) throw new BuildError('core-invalid', 'the stripped core is no valid module');
    if (/\(memory\.(grow|size)/.test(module.emitText())) {
      throw new BuildError('core-invalid', 'the core asks for the size of its memory, or lets it grow');
    }
    return module.emitBinary();
  } finally {
    module.dispose();
  }
}

function macroName(name: string): string {
  return name.replace(/([a-z0-9])([A-Z])/g, '$1_$2').toUpperCase();
}

/** Beside what follows from the module's size, and a stack of 4 KB. */
const wamrBytes = 16_384;

/** `metertime_core.h`: the module's interface for whoever calls it; events, actions and layouts are in core_abi.h. */
export function interfaceHeader(sha256: string, moduleBytes: number, memoryBytes: number): string {
  const lines = Object.entries(glueExports).flatMap(([name, meaning]) => [
    `// ${meaning}`,
    `#define METERTIME_EXPORT_${macroName(name)} "${name}"`,
  ]);
  return `// Interface of core.wasm, which imports nothing. Events and actions, their numbers and layouts, are in core_abi.h.
#pragma once

#include "core_abi.h"

#define METERTIME_CORE_SHA256 "${sha256}"
#define METERTIME_MODULE_BYTES ${moduleBytes}u
// Of the linear memory: with __heap_base, WAMR takes no more of the page that the module declares.
#define METERTIME_MEMORY_BYTES ${memoryBytes}u
// A pool that suffices for WAMR's classic interpreter where pointers have 32 bits, the module's bytes aside.
#define METERTIME_WAMR_BYTES ${Math.ceil((moduleBytes + memoryBytes + wamrBytes) / 1024) * 1024}u

${lines.join('\n')}
`;
}

/** `core_module.h`: the module's bytes. */
export function moduleHeader(module: Uint8Array): string {
  const text = [...module].map((byte) => `${byte},`).join('');
  return `// The bytes of core.wasm.
#pragma once

#define METERTIME_CORE_MODULE \\
${text.replaceAll(/.{1,110},/g, '  $& \\\n').replace(/,? \\\n$/, '')}
`;
}
