// The link alone, compiled for tests: as/link with the core's options, in an instance of its own for each end.
// The product's entry is as/index.ts; this one only lets a test reach what lies behind it.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import asc from 'assemblyscript/asc';

const root = join(import.meta.dirname, '..', '..');

const entry = `
export * from './as/link/link';
import { linkPoll as linkPollAt, linkStart as linkStartEnd } from './as/link/link';
import { GATEWAY_MEMORY_BYTES, linkUseMemory } from './as/link/memory';
const FRAME: usize = memory.data(256);
export function linkPoll(now: u64): u32 {
  return linkPollAt(now, FRAME);
}
const GATEWAY: usize = memory.data(3504, 8);
export function linkStart(gateway: bool, tickHz: u32, seed: u32): void {
  if (gateway && GATEWAY_MEMORY_BYTES <= 3504) linkUseMemory(GATEWAY);
  linkStartEnd(gateway, tickHz, seed);
}
export function linkFrame(): usize {
  return FRAME;
}
export { crc32 } from './as/link/crc32';
export { cobsEncode, cobsDecode } from './as/link/cobs';
/** First byte that the link does not use. */
export function scratch(): usize {
  return (__heap_base + 15) & ~15;
}
`;

/** What the module exports: as/link/link.ts, with wasm's types (u64 is a bigint, u32 and bool are numbers). */
export interface LinkExports {
  readonly memory: WebAssembly.Memory;
  scratch(): number;
  crc32(ptr: number, length: number): number;
  cobsEncode(ptr: number, length: number): void;
  cobsDecode(ptr: number, length: number): number;
  linkStart(gateway: number, tickHz: number, seed: number): void;
  linkReceive(frame: number, length: number, firstTick: bigint, lastTick: bigint, now: bigint): number;
  linkChannel(): number;
  linkMessage(): number;
  linkMessageLength(): number;
  linkFirstTick(): bigint;
  linkLastTick(): bigint;
  linkUp(): number;
  linkSession(): number;
  linkSessionChanged(): number;
  linkRoom(channel: number): number;
  linkDatagramBuffer(): number;
  linkSend(channel: number, message: number, length: number): number;
  linkPoll(now: bigint): number;
  linkFrame(): number;
  linkFrameSent(tick: bigint): void;
  linkDatagramSent(): number;
  linkDatagramTick(): bigint;
  linkDeadline(): bigint;
  linkFramesReceived(): number;
  linkFramesDamaged(): number;
  linkFramesSent(): number;
  linkFramesResent(): number;
  linkDatagramsDropped(): number;
}

const compiled = new Map<number, Promise<Uint8Array>>();

/** The module's bytes, as a core for so many servers has it; compiled once. */
export function compileLink(servers = 4): Promise<Uint8Array> {
  const wasm = compiled.get(servers) ?? compile(servers);
  compiled.set(servers, wasm);
  return wasm;
}

async function compile(servers: number): Promise<Uint8Array> {
  const config = JSON.parse(readFileSync(join(root, 'asconfig.json'), 'utf8'));
  config.options.use = config.options.use.map((one: string) => one.replace('SERVERS_MAX=4', `SERVERS_MAX=${servers}`));
  config.entries = ['link-entry.ts'];
  config.options.outFile = 'link.wasm';
  let wasm: Uint8Array | undefined;
  const { error, stderr } = await asc.main(['--config', 'asconfig.json', '--noColors'], {
    readFile: (name: string) => {
      if (name === 'asconfig.json') return JSON.stringify(config);
      if (name === 'link-entry.ts') return entry;
      try {
        return readFileSync(join(root, name), 'utf8');
      } catch {
        return null;
      }
    },
    writeFile: (_name: string, contents: Uint8Array | string) => {
      if (typeof contents !== 'string') wasm = contents;
    },
    listFiles: () => null,
  });
  if (error !== null || wasm === undefined) throw new Error(`as/link does not compile:\n${stderr.toString()}`);
  return wasm;
}

const modules = new Map<number, WebAssembly.Module>();

/** A new instance. */
export async function newLink(servers = 4): Promise<LinkExports> {
  const wasm = (await compileLink(servers)) as Uint8Array<ArrayBuffer>;
  if (!modules.has(servers)) modules.set(servers, new WebAssembly.Module(wasm));
  return newLinkSync(servers);
}

/** A new instance of a module that `newLink` has compiled. */
export function newLinkSync(servers = 4): LinkExports {
  const module = modules.get(servers);
  if (module === undefined) throw new Error(`newLink must have been called for ${servers} servers`);
  return new WebAssembly.Instance(module, {}).exports as unknown as LinkExports;
}
