// The link alone, compiled for tests: as/link with the core's options, in an instance of its own for each end.
// The product's entry is as/index.ts; this one only lets a test reach what lies behind it.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import asc from 'assemblyscript/asc';

const root = join(import.meta.dirname, '..', '..');

const entry = `
export * from './as/link/link';
import {
  linkAsks,
  linkHello,
  linkKnow,
  linkPoll as linkPollAt,
  linkReceive as linkReceiveAt,
  linkStart as linkStartEnd,
} from './as/link/link';
import { LINK_KEY } from './as/link/seal';
export { sealFramesForged, sealFramesReplayed, sealStands } from './as/link/seal';
import { GATEWAY_MEMORY_BYTES, linkUseMemory } from './as/link/memory';
const FRAME: usize = memory.data(256);
export function linkPoll(now: u64): u32 {
  return linkPollAt(now, FRAME);
}
const GATEWAY: usize = memory.data(3744, 8);
export function linkStart(gateway: bool, tickHz: u32, seed: u32): void {
  if (gateway && GATEWAY_MEMORY_BYTES <= 3744) linkUseMemory(GATEWAY);
  linkStartEnd(gateway, tickHz, seed);
}
/** A host that knows this of every meter. */
let known: u32 = 1;
export function linkTrust(what: u32): usize {
  known = what;
  return LINK_KEY;
}
const NAME: usize = memory.data(36);
/** Where a meter's id may be put: a text. */
export function linkName(): usize {
  return NAME;
}
const KEY: usize = memory.data(16);
export function linkReceive(frame: usize, length: u32, firstTick: u64, lastTick: u64, now: u64): bool {
  const result = linkReceiveAt(frame, length, firstTick, lastTick, now);
  if (linkAsks()) {
    memory.copy(KEY, LINK_KEY, 16);
    linkKnow(linkHello() + 13, known, KEY);
  }
  return result;
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
  linkIdentify(id: number, sealed: number): void;
  linkStart(gateway: number, tickHz: number, seed: number): void;
  /** Gateway: what `LinkKnown` is said of any meter. Either end: where its link key is. */
  linkTrust(known: number): number;
  linkName(): number;
  linkHelloRefused(): number;
  linkPeer(): number;
  sealStands(): number;
  sealFramesForged(): number;
  sealFramesReplayed(): number;
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

/** Gives an end, before its start, a meter's link key: the meter's link is sealed, and the gateway knows the key. */
export function giveKey(core: LinkExports, gateway: boolean, meter: string, key: Uint8Array): void {
  const at = core.linkTrust(2);
  const memory = new Uint8Array(core.memory.buffer);
  memory.set(key, at);
  if (gateway) return;
  memory.set([meter.length, ...Buffer.from(meter)], core.linkName());
  core.linkIdentify(core.linkName(), 1);
}
