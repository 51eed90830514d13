// Pictures of bench:clock: what is drawn, and that nothing of it is nonsense.
import { beforeAll, describe, expect, it } from 'vitest';
import { allanDeviation } from '../../bench/clock/allan.ts';
import { parseCase } from '../../bench/clock/cases.ts';
import { plotCase } from '../../bench/clock/plot.ts';
import { svgOf, ticks } from '../../bench/clock/svg.ts';
import { buildCore } from '../../scripts/build-core.mjs';

beforeAll(async () => {
  await buildCore();
});

describe('a picture of a case', () => {
  it.each([
    ['with a temperature', 'oscillator: { crystal: {} }\ntemperature: { dailyK: 5 }\nthermometer: {}', 5],
    ['without', '', 4],
    ['of the end alone', 'leaveOutSeconds: 20000\nreadEverySeconds: 20000', 4],
  ])('%s has all panels', (_, text, panels) => {
    const rest = text.includes('leaveOut') ? text : `leaveOutSeconds: 1000\n${text}`;
    const svg = plotCase(parseCase(`title: "a < b & c"\nseconds: 20000\n${rest}`, 'x.yaml'), 1);
    expect(svg).not.toMatch(/NaN|Infinity|undefined/);
    expect(svg).toContain('a &lt; b &amp; c (x, seed 1)');
    const titles = [...svg.matchAll(/font-weight="bold">([^<]+)</g)].map((match) => match[1]);
    expect(titles).toHaveLength(panels);
    expect(titles).toEqual(
      expect.arrayContaining(['error of the clock', 'frequency of the oscillator', 'Allan deviation']),
    );
    // Every element ends.
    expect(svg.match(/<(g|svg|defs|clipPath|text)\b/g)!.length).toBe(
      svg.match(/<\/(g|svg|defs|clipPath|text)>/g)!.length,
    );
  });

  it('puts a value where its axis has it', () => {
    const x = { label: 'x', from: 0, to: 10 };
    const y = { label: 'y', from: 0.01, to: 100, logarithmic: true };
    const svg = svgOf('t', [
      { title: 'p', x, y, lines: [{ name: 'l', colour: 'red', x: [0, 5, 10], y: [0.01, 1, 100] }] },
    ]);
    // 84 to 940, and from 254 up to 34.
    expect(svg).toContain('d="M84 254L512 144L940 34"');
  });
});

describe('an axis', () => {
  it('has round numbers', () => {
    expect(ticks({ label: '', from: -1.3, to: 1.3 })).toEqual([-1, -0.5, 0, 0.5, 1]);
    expect(ticks({ label: '', from: 0, to: 55 })).toEqual([0, 10, 20, 30, 40, 50]);
    expect(ticks({ label: '', from: 0.004, to: 300, logarithmic: true })).toHaveLength(5);
  });
});

describe('the Allan deviation', () => {
  it('is nothing for a constant frequency, and tau over the root of 2 times the drift for a drift', () => {
    const line = Array.from({ length: 1000 }, (_, n) => 5 * n);
    for (const { deviation } of allanDeviation(line, 1)) expect(deviation).toBe(0);
    const drift = Array.from({ length: 1000 }, (_, n) => (3 * (n * 10) ** 2) / 2);
    for (const { tau, deviation } of allanDeviation(drift, 10)) {
      expect(deviation).toBeCloseTo((3e-9 * tau) / Math.SQRT2, 15);
    }
  });
});
