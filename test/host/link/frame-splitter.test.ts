// When a frame's last byte came, from what a USB adapter or a UART tells of it and how late a process reads that.
import { describe, expect, it } from 'vitest';
import { FrameSplitter } from '../../../host/link/frame-splitter.ts';
import { seededRandom } from '../../core/random.ts';

const random = seededRandom('frame splitter');

interface Taken {
  readonly length: number;
  readonly firstNs: number;
  readonly lastNs: number;
  readonly cameNs: number;
}

function splitting(byteNs?: number): { splitter: FrameSplitter; taken: Taken[] } {
  const taken: Taken[] = [];
  const splitter = new FrameSplitter((frame, firstTick, lastTick, keptNs) => {
    const lastNs = Number(lastTick);
    taken.push({ length: frame.length, firstNs: Number(firstTick), lastNs, cameNs: lastNs - keptNs });
  }, byteNs);
  return { splitter, taken };
}

const frameOf = (length: number) => Uint8Array.from([0, ...Array.from({ length }, () => 1 + random.below(255)), 0]);

describe.each([9_600, 115_200, 921_600])('at %i baud', (baud) => {
  const byteNs = 10e9 / baud;

  // FTDI AN232B-04: what is there goes when 62 bytes are, or 16 ms after the last time.
  it('tells within a few bytes when a frame ended that an adapter kept back for up to 16 ms', () => {
    let keptMostNs = 0;
    for (let run = 0; run < 200; run++) {
      const { splitter, taken } = splitting(byteNs);
      const bytes = frameOf(90 + random.below(160));
      const startNs = 1e12;
      const lateNs = () => random.below(50_000);
      let toldNs = startNs - random.below(16_000_000);
      let from = 0;
      const tell = (atNs: number, to: number) => {
        toldNs = atNs;
        if (to > from) splitter.push(bytes.subarray(from, to), BigInt(Math.round(atNs + lateNs())));
        from = to;
      };
      for (let i = 0; i < bytes.length; i++) {
        const atNs = startNs + (i + 1) * byteNs;
        while (toldNs + 16e6 < atNs) tell(toldNs + 16e6, i);
        if (i + 1 - from === 62) tell(atNs, i + 1);
      }
      const endNs = startNs + bytes.length * byteNs;
      if (from < bytes.length) tell(toldNs + 16e6, bytes.length);
      expect(taken).toHaveLength(1);
      const [frame] = taken;
      expect(frame!.cameNs).toBeGreaterThanOrEqual(endNs - 1);
      expect(frame!.cameNs - endNs).toBeLessThan(byteNs + 50_000 + 1);
      keptMostNs = Math.max(keptMostNs, frame!.lastNs - endNs);
    }
    // Uncorrected it would be that much too late.
    expect(keptMostNs).toBeGreaterThan(10e6);
  });

  it('tells of each of two frames that are read at once', () => {
    const { splitter, taken } = splitting(byteNs);
    splitter.push(Uint8Array.from([...frameOf(30), ...frameOf(50)]), 10n ** 12n);
    expect(taken.map(({ length }) => length)).toEqual([30, 50]);
    expect(taken[0]!.cameNs).toBe(1e12 - Math.round(52 * byteNs));
    expect(taken[1]!.cameNs).toBe(1e12);
  });
});

it('does not count a pause as time that bytes were kept back', () => {
  const { splitter, taken } = splitting(10e9 / 115_200);
  splitter.push(Uint8Array.of(7), 0n);
  splitter.push(frameOf(40), 3_600_000_000_000n);
  expect(taken.map(({ length }) => length)).toEqual([1, 40]);
  // The zero that ends noise is the first of what came later.
  expect(taken[0]!.cameNs).toBe(3_600_000_000_000 - Math.round((41 * 10e9) / 115_200));
});

it('leaves stamps as they are where the speed is not known', () => {
  const { splitter, taken } = splitting();
  const bytes = frameOf(100);
  splitter.push(bytes.subarray(0, 60), 1000n);
  splitter.push(bytes.subarray(60), 5000n);
  expect(taken).toEqual([{ length: 100, firstNs: 1000, lastNs: 5000, cameNs: 5000 }]);
});
