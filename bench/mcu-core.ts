// The core with marks around one clock update, for counting what the compilers have merged into everything around it.
// What always holds: sources and options are those of the core that ships, but for two calls of an import; text that
// is not found where it is expected ends the bench rather than counting something else.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import asc from 'assemblyscript/asc';
import { setFeatures } from '../scripts/build-core.mjs';
import { root } from '../scripts/lib/project.mjs';

/** Where a server's measurement becomes the meter's time: certificates, majority, clock. */
const markedFile = 'as/meter/poll.ts';
const markedCall = /^ *const verdict = agreeTake\([^;]*\);$/m;

const declaration = `
// @ts-ignore: decorator
@external("bench", "mark")
declare function benchMark(begins: u32): void;
`;

/** Puts the marks around the call. Throws where there is not exactly one. */
export function markUpdate(text: string): string {
  const parts = text.split(new RegExp(markedCall.source, 'gm'));
  if (parts.length !== 2) throw new Error(`${markedFile} calls agreeTake ${parts.length - 1} times, expected once`);
  return text.replace(markedCall, (call) => `  benchMark(1);\n${call}\n  benchMark(0);`) + declaration;
}

/** Compiles it for a number of servers to `wasmPath`. */
export async function buildMarkedCore(servers: number, wasmPath: string): Promise<void> {
  const config = JSON.parse(readFileSync(join(root, 'asconfig.json'), 'utf8'));
  setFeatures(config, { servers, update: false });
  config.options.outFile = 'core.wasm';
  const { error, stderr } = await asc.main(['--config', 'asconfig.json', '--noColors'], {
    readFile: (name: string) => {
      if (name === 'asconfig.json') return JSON.stringify(config);
      try {
        const text = readFileSync(join(root, name), 'utf8');
        return name === markedFile ? markUpdate(text) : text;
      } catch (cause) {
        // The compiler looks for a file in several places.
        if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return null;
        throw cause;
      }
    },
    writeFile: (_name: string, contents: Uint8Array | string) => {
      if (typeof contents !== 'string') writeFileSync(wasmPath, contents);
    },
    listFiles: () => null,
  });
  if (error !== null) throw new Error(`as/ does not compile with marks:\n${stderr.toString() || error}`);
}
