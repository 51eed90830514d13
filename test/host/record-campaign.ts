// Worlds of two drawn meters each, and random changes of what the first of them wrote, one after the other.
// What always holds: world N of a seed is the same one, whoever looks at it; a change counts as found only where its
// neighbourhood held before it.
import { Ring } from '../../as/abi/codes.ts';
import { verifyEvidence } from '../../host/record/verify.ts';
import { randomFrom, type SeededRandom } from '../core/random.ts';
import { type Change, type ChangeKind, changeKinds, drawChange, type World } from './record-changes.ts';
import { drawMeter } from './record-world.ts';

/** Of one world. */
export interface Tally {
  /** Changes of each kind that were found. */
  readonly found: Record<ChangeKind, number>;
  /** What contradicts the claim: a change that was not found, or one where there was none. */
  readonly wrong?: string;
}

export function emptyTally(): Record<ChangeKind, number> {
  return Object.fromEntries(changeKinds.map((kind) => [kind, 0])) as Record<ChangeKind, number>;
}

function wholeIsFine({ meter }: World): string | undefined {
  const { chain, publicKey, heads } = meter;
  const trust = { meter: chain.meter, recordKey: chain.recordKey, publicKey, headCoversAll: true };
  const rings = [Ring.Records, Ring.Logbook, Ring.Network].map((ring) => ({ ring, entries: chain.rings[ring] }));
  const { findings } = verifyEvidence(rings, heads, trust);
  return findings.length === 0 ? undefined : `nothing was changed, but found: ${JSON.stringify(findings[0])}`;
}

function judge({ kind, what, before, after }: Change): string | undefined {
  const first = before();
  if (!first.ok) return `${kind}: ${what}: before the change, found: ${JSON.stringify(first.findings[0])}`;
  return after().ok ? `${kind}: ${what}: not found` : undefined;
}

/** Random numbers of a world of a seed. */
export function randomOfWorld(seed: number, number: number): SeededRandom {
  return randomFrom((seed + Math.imul(number, 0x9e37_79b1)) >>> 0);
}

/** Draws a world, and so many changes in it; ends at the first that contradicts. */
export function changeWorld(random: SeededRandom, changes: number): Tally {
  const world: World = { meter: drawMeter(random), other: drawMeter(random) };
  const found = emptyTally();
  const fine = wholeIsFine(world);
  if (fine !== undefined) return { found, wrong: fine };
  for (let number = 0; number < changes; number++) {
    const change = drawChange(world, random);
    const wrong = judge(change);
    if (wrong !== undefined) return { found, wrong: `change ${number + 1}: ${wrong}` };
    found[change.kind]++;
  }
  return { found };
}
