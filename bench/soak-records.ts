// Meters that record as much as they can while everything between them and the broker's subscribers is killed and cut:
// test/peers/record-kills.ts, here for longer.
import type { SeededRandom } from '../test/core/random.ts';
import {
  type KillFigures,
  type KillKind,
  type Kills,
  killKinds,
  killWhileRecording,
} from '../test/peers/record-kills.ts';

const progressMs = 15_000;

/** Kinds by their names, `text` being a list of them; undefined where one of them is not known. */
export function parseKinds(text: string): KillKind[] | undefined {
  const names = text.split(',');
  return names.every((name): name is KillKind => name in killKinds) ? names : undefined;
}

/** So many kills of each kind; a disk is full a fifth as often, as that takes longest. */
export function recordsUnderKills(
  count: number,
  kinds: readonly KillKind[],
  random: SeededRandom,
): Promise<KillFigures> {
  const of = (kind: KillKind) => (kinds.includes(kind) ? (kind === 'disk' ? Math.ceil(count / 5) : count) : 0);
  const kills = Object.fromEntries(Object.keys(killKinds).map((kind) => [kind, of(kind as KillKind)])) as Kills;
  const startMs = performance.now();
  let nextProgressMs = startMs + progressMs;
  return killWhileRecording({
    random,
    kills,
    progress: ({ round, of, arrived }) => {
      if (performance.now() < nextProgressMs && round < of) return;
      nextProgressMs = performance.now() + progressMs;
      const minutes = ((performance.now() - startMs) / 60_000).toFixed(1);
      console.log(`  ${minutes.padStart(5)} min  round ${round} of ${of}  ${arrived} records arrived`);
    },
  });
}

/** The result for people. */
export function recordsText(figures: KillFigures): string {
  const { kills, meters, cuts, transactions, records, contexts, arrived, duplicates, gaps } = figures;
  const hits = Object.entries(kills)
    .filter(([, count]) => count > 0)
    .map(([kind, count]) => `  ${String(count).padStart(6)}  ${killKinds[kind as KillKind]}`);
  return `records of ${meters} meters under kills, seed ${figures.seed}, ${(figures.seconds / 60).toFixed(1)} min
${hits.join('\n')}
  power cuts                    ${cuts}, those soon after another one included
  made                          ${records} records of ${transactions} transactions and all else, ${contexts} parts of contexts
  arrived                       ${arrived}, of which ${duplicates} came again with the same number
  gaps                          ${gaps}`;
}
