// A core's file, as the builds take it.
import { readFileSync } from 'node:fs';
import { Abi } from '../../as/abi/codes.ts';
import { BuildError } from './errors.ts';

interface CoreExports {
  abiVersion?: () => number;
  memoryEnd?: () => number;
  ownDatagrams?: () => void;
}

/**
 * Bytes of a core and of its linear memory, with `ownDatagrams` that of a board with sockets of its own. Throws `BuildError` core-invalid where it imports something or speaks another interface.
 */
export function inspectCore(path: string, ownDatagrams = false): { bytes: Buffer; memoryBytes: number } {
  const bytes = readFileSync(path);
  const module = new WebAssembly.Module(bytes);
  const imports = WebAssembly.Module.imports(module);
  if (imports.length > 0) {
    const names = imports.map((entry) => `${entry.module}.${entry.name}`).join(', ');
    throw new BuildError('core-invalid', `${path} imports ${names}; a core imports nothing`);
  }
  const exports = new WebAssembly.Instance(module).exports as unknown as CoreExports;
  const version = exports.abiVersion?.();
  if (version !== Abi.Version || exports.memoryEnd === undefined) {
    throw new BuildError(
      'core-invalid',
      `${path} speaks interface version ${version ?? 'none'}, this build ${Abi.Version}`,
    );
  }
  if (ownDatagrams) exports.ownDatagrams?.();
  // The memory is an array of words on the microcontroller.
  return { bytes, memoryBytes: (exports.memoryEnd() + 7) & ~7 };
}
