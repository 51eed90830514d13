// The clock of demonstrations: fast where nothing is under way, exact where somebody is to be called, unmoved by stalls.
import { afterEach, describe, expect, it } from 'vitest';
import { AcceleratedClock } from '../../host/meter/accelerated-clock.ts';
import { until } from '../../host/setup/until.ts';

const second = 1_000_000_000n;
const clocks: AcceleratedClock[] = [];

function start(speed: number, isBusy = () => false): AcceleratedClock {
  const clock = new AcceleratedClock({ speed, isBusy });
  clocks.push(clock);
  clock.start();
  clock.fast = true;
  return clock;
}

/** Keeps this process from doing anything else. */
function stall(ms: number): void {
  const endNs = process.hrtime.bigint() + BigInt(ms) * 1_000_000n;
  while (process.hrtime.bigint() < endNs);
}

/** What the counter has gained on the machine's, ns: too much by no more than the time between two statements. */
const gainedNs = (clock: AcceleratedClock, zeroNs: bigint) => clock.nowTicks() - (process.hrtime.bigint() - zeroNs);

afterEach(() => {
  for (const clock of clocks.splice(0)) clock.stop();
});

describe('an accelerated clock', () => {
  it('runs many times as fast as the machine, from 0 on', async () => {
    const clock = start(1_000);
    expect(clock.nowTicks()).toBeLessThan(second);
    await until('a quarter of an hour', () => clock.nowTicks() > 900n * second, { timeoutMs: 20_000 });
  });

  it('runs as the machine does while something is under way, and until it is to be fast', async () => {
    let busy = true;
    const zeroNs = process.hrtime.bigint();
    const clock = start(1_000, () => busy);
    const slow = new AcceleratedClock({ speed: 1_000, isBusy: () => false });
    clocks.push(slow);
    slow.start();
    let calls = 0;
    for (const each of [clock, slow]) each.at(50_000_000n, () => calls++);
    await until('both calls', () => calls === 2);
    expect(gainedNs(clock, zeroNs)).toBeLessThanOrEqual(0n);
    expect(gainedNs(slow, zeroNs)).toBeLessThanOrEqual(0n);
    busy = false;
    await until('a minute gained', () => gainedNs(clock, zeroNs) > 60n * second);
  });

  it('calls at the tick that was asked for, in order, however far it leaps', async () => {
    const clock = start(10_000);
    const called: bigint[] = [];
    const ticks = [40n, 10n, 30n, 20n, 50n].map((seconds) => seconds * second);
    const late: bigint[] = [];
    for (const tick of ticks) {
      clock.at(tick, () => {
        called.push(tick);
        late.push(clock.nowTicks() - tick);
      });
    }
    await until('five calls', () => called.length === 5);
    expect(called).toEqual([...ticks].sort((a, b) => Number(a - b)));
    // A turn of a millisecond is ten seconds.
    for (const each of late) {
      expect(each).toBeGreaterThanOrEqual(0n);
      expect(each).toBeLessThan(second);
    }
  });

  it('makes no leap of a stall', async () => {
    const clock = start(1_000);
    await until('its first leap', () => clock.nowTicks() > second);
    let before = 0n;
    clock.at(clock.nowTicks(), () => {
      before = clock.nowTicks();
      stall(300);
    });
    await until('the turn behind it', () => before > 0n && clock.nowTicks() > before + second);
    // 300 s if the stall counted.
    expect(clock.nowTicks() - before).toBeLessThan(100n * second);
  });

  it('calls nobody who took it back, nor after it was stopped', async () => {
    const clock = start(1_000);
    const called: string[] = [];
    const cancel = clock.at(2n * second, () => called.push('taken back before'));
    clock.at(second, () => {
      called.push('first');
      cancel();
    });
    clock.at(3n * second, () => {
      called.push('last');
      clock.stop();
    });
    clock.at(4n * second, () => called.push('after the stop'));
    await until('the last call', () => called.includes('last'));
    const other = start(1_000);
    await until('as much time on another clock', () => other.nowTicks() > 10n * second);
    expect(called).toEqual(['first', 'last']);
  });
});
