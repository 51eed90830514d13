// Finds what someone probably meant: the known word that takes the fewest slips of the keyboard from the one written.

/** Edit distance with swapped neighbours as one edit (optimal string alignment). */
function distance(a: string, b: string): number {
  const rows = Array.from({ length: a.length + 1 }, (_, i) =>
    Array.from({ length: b.length + 1 }, (_, j) => (i === 0 ? j : j === 0 ? i : 0)),
  );
  for (let i = 1; i <= a.length; i++) {
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let best = Math.min(rows[i - 1]![j]! + 1, rows[i]![j - 1]! + 1, rows[i - 1]![j - 1]! + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        best = Math.min(best, rows[i - 2]![j - 2]! + 1);
      rows[i]![j] = best;
    }
  }
  return rows[a.length]![b.length]!;
}

const plain = (word: string) => word.toLowerCase().replace(/[^a-z0-9]/g, '');

/** The one of `known` that `word` most likely stands for, or undefined when none is near. Case, dashes and underscores do not count. */
export function suggest(word: string, known: readonly string[]): string | undefined {
  const written = plain(word.slice(0, 64));
  let found: string | undefined;
  let least = Math.max(1, Math.floor(written.length / 3)) + 1;
  for (const candidate of known) {
    const target = plain(candidate);
    const edits = distance(written, target);
    // A part of three letters or more counts as near: `keepAlive` for `keepAliveSeconds`, `warning` for `warn`.
    const [short, long] = written.length < target.length ? [written, target] : [target, written];
    const part = short.length >= 3 && (long.startsWith(short) || long.endsWith(short));
    const score = part ? Math.min(edits, 1) : edits;
    if (score < least) {
      least = score;
      found = candidate;
    }
  }
  return found;
}
