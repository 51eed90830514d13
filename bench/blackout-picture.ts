// A picture of loads over time for a terminal: one line each, time and load both logarithmic.
import type { Load } from './blackout-fleet.ts';

const columns = 60;
const firstSecond = 10;
const lastSecond = 30 * 86_400;
const bars = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/** A bar's height says which power of ten the load reaches, from 0.1/s on, in steps of about 6. */
const leastPerSecond = 0.1;
const mostPerSecond = 200_000;

const marks = [
  [60, '1 min'],
  [600, '10 min'],
  [3600, '1 h'],
  [21_600, '6 h'],
  [86_400, '1 d'],
  [604_800, '1 week'],
] as const;

const edge = (column: number) => Math.floor(firstSecond * (lastSecond / firstSecond) ** (column / columns));
const columnOf = (second: number) =>
  Math.floor((columns * Math.log(second / firstSecond)) / Math.log(lastSecond / firstSecond));

/** Mean load of all servers between two seconds, 1/s. */
function mean({ attempts }: Load, from: number, to: number): number {
  let sum = 0;
  for (const each of attempts) for (const count of each.subarray(from, to)) sum += count;
  return sum / (attempts.length * (to - from));
}

function bar(perSecond: number): string {
  if (perSecond < leastPerSecond) return bars[0]!;
  const height = Math.log(perSecond / leastPerSecond) / Math.log(mostPerSecond / leastPerSecond);
  return bars[Math.min(bars.length - 1, 1 + Math.floor(height * (bars.length - 1)))]!;
}

/** The loads below each other, each behind its label; labels have the same width. */
export function drawLoads(labels: readonly string[], loads: readonly Load[]): string {
  const lines = loads.map((load, n) => {
    const line = Array.from({ length: columns }, (_, column) =>
      bar(mean(load, column === 0 ? 0 : edge(column), edge(column + 1))),
    );
    return labels[n]! + line.join('');
  });
  let axis = '';
  for (const [second, name] of marks) axis = `${axis.padEnd(columnOf(second))}│${name}`;
  return [...lines, ' '.repeat(labels[0]!.length) + axis].join('\n');
}
