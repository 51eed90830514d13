// The LevelDB folder in which an outbox lies: its keys, how it is made, and how what can be read of a damaged one is saved.
import { chmod, cp, mkdir, rename, rm, stat } from 'node:fs/promises';
import { ClassicLevel } from 'classic-level';
import { numberOf } from './entry.ts';
import { isCorruption, isLocked } from './error.ts';

/** Key of the count and the next number, written with each change. */
export const META = 'meta';
export const entryKey = (number: number) => `e!${String(number).padStart(16, '0')}`;
export const noteKey = (name: string) => `n!${name}`;

/** The key that a value belongs under: an entry knows its own. Undefined where neither key nor value tells. */
export function keyOf(key: string, value: Buffer): string | undefined {
  if (key === META || key.startsWith('n!')) return key;
  const number = numberOf(value);
  if (number !== undefined) return entryKey(number);
  return key.startsWith('e!') && key === entryKey(Number(key.slice(2))) ? key : undefined;
}

/** The store in a folder, which is made where it is not there; not open yet. */
export async function makeStore(folder: string, writeBufferBytes?: number): Promise<ClassicLevel<string, Buffer>> {
  // LevelDB would make a folder, as its files, that everyone can read; so did earlier versions.
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const { mode, uid } = await stat(folder);
  if ((mode & 0o077) !== 0 && uid === process.getuid?.()) await chmod(folder, 0o700);
  return new ClassicLevel(folder, {
    keyEncoding: 'utf8',
    valueEncoding: 'buffer',
    writeBufferSize: writeBufferBytes,
    cacheSize: 1 << 20,
    compression: false,
  });
}

/** Rejects where another process has the store open. Changes nothing: LevelDB takes its lock before it refuses these options. */
export async function assertFree(folder: string): Promise<void> {
  const probe = new ClassicLevel(folder, { createIfMissing: false, errorIfExists: true });
  try {
    await probe.open();
  } catch (error) {
    if (isLocked(error)) throw error;
  } finally {
    await probe.close();
  }
}

/** Copies a damaged store beside itself; gives the copy's folder, or undefined where there was no room. */
export async function copyDamaged(folder: string): Promise<string | undefined> {
  const copy = `${folder}.damaged`;
  try {
    await rm(copy, { recursive: true, force: true });
    await cp(folder, copy, { recursive: true });
    return copy;
  } catch {
    return undefined;
  }
}

/** Makes a store that does not open one that does: LevelDB finds its files again. It takes no lock for this. */
export function repairStore(folder: string): Promise<void> {
  return ClassicLevel.repair(folder);
}

/**
 * A store that opens and cannot be read through: what can be read from either side of the damage goes into a new one
 * beside it, each entry under its own key, which takes the old one's place only when it is whole.
 */
export async function salvageStore(folder: string): Promise<void> {
  const entries = await readDamaged(folder);
  const partial = `${folder}.partial`;
  await rm(partial, { recursive: true, force: true });
  const fresh = await makeStore(partial);
  try {
    await fresh.open();
    await fresh.batch(
      [...entries].map(([key, value]) => ({ type: 'put' as const, key, value })),
      { sync: true },
    );
  } finally {
    await fresh.close();
  }
  await rename(partial, `${folder}.salvaged`);
  await takeSalvaged(folder);
}

async function readDamaged(folder: string): Promise<Map<string, Buffer>> {
  const entries = new Map<string, Buffer>();
  const damaged = await makeStore(folder);
  await damaged.open();
  for (const reverse of [false, true]) {
    try {
      for await (const [key, value] of damaged.iterator({ reverse })) {
        // The count may be an older one that damage has brought to light.
        const right = key === META ? undefined : keyOf(key, value);
        if (right !== undefined) entries.set(right, value);
      }
    } catch (error) {
      if (!isCorruption(error)) throw error;
    }
  }
  await damaged.close();
  return entries;
}

/** Puts a whole salvaged store in the damaged one's place, also one that a power cut kept from it. */
export async function takeSalvaged(folder: string): Promise<void> {
  const salvaged = `${folder}.salvaged`;
  if ((await stat(salvaged).catch(() => undefined)) === undefined) return;
  await rm(folder, { recursive: true, force: true });
  await rename(salvaged, folder);
}
