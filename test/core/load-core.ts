// Gives tests the core, compiled from the sources as they stand.
import { readFileSync } from 'node:fs';
import { instantiateSync } from '@assemblyscript/loader';
import type { CoreOptions } from '../../host/core/core.ts';
import { buildCore } from '../../scripts/build-core.mjs';

/** Any of the core's exports; a test that calls functions names their types itself. */
export type CoreExports = { readonly memory: WebAssembly.Memory } & Record<string, unknown>;

let compiled: Promise<WebAssembly.Module> | undefined;

/** The core's module; built when its sources changed, compiled once. */
export function loadCoreModule(): Promise<WebAssembly.Module> {
  compiled ??= buildCore().then(({ path }) => new WebAssembly.Module(readFileSync(path)));
  return compiled;
}

/** A new instance of the core, with memory of its own. */
export async function loadCore<T = CoreExports>({ aes = 'table' }: CoreOptions = {}): Promise<T & CoreExports> {
  const { exports } = instantiateSync<CoreExports & { bitsliceAes(): void }>(await loadCoreModule(), {});
  if (aes === 'bitsliced') exports.bitsliceAes();
  return exports as unknown as T & CoreExports;
}
