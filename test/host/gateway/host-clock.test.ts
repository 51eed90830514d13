// The host's wall time at a tick: finer than Date.now(), and never away from it.
import { expect, test } from 'vitest';
import { HostClock } from '../../../host/gateway/host-clock.ts';
import { TokenBucket } from '../../../host/net/token-bucket.ts';

test('the wall time of a tick lies within the millisecond that Date.now() says', () => {
  const clock = new HostClock();
  clock.wallNs(process.hrtime.bigint());
  for (let times = 0; times < 1_000; times++) {
    const before = BigInt(Date.now()) * 1_000_000n;
    const wallNs = clock.wallNs(process.hrtime.bigint());
    const after = BigInt(Date.now()) * 1_000_000n;
    // Where a scheduler took the edges between milliseconds away, one millisecond is all that is known.
    expect(wallNs).toBeGreaterThan(before - 1_200_000n);
    expect(wallNs).toBeLessThan(after + 1_200_000n);
  }
});

test('ticks keep their distances, and a correction never moves them back', () => {
  const clock = new HostClock();
  const tick = process.hrtime.bigint();
  let lastNs = clock.wallNs(tick);
  for (let times = 1; times <= 1_000; times++) {
    const wallNs = clock.wallNs(tick + BigInt(times) * 5_000_000n);
    expect(wallNs - lastNs).toBeGreaterThanOrEqual(5_000_000n);
    lastNs = wallNs;
  }
  // Settled by now, unless this process was held up each time.
  expect(clock.wallNs(tick + 10_000_000_000n) - lastNs).toBeLessThan(5_000_000_000n + 1_200_000n);
});

test('a token bucket: so much at once, so much a second, never more than its size', () => {
  let nowMs = 0;
  const bucket = new TokenBucket({ burst: 3, perSecond: 2 }, () => nowMs);
  expect([bucket.take(), bucket.take(), bucket.take(), bucket.take()]).toEqual([true, true, true, false]);
  nowMs = 400;
  expect(bucket.take()).toBe(false);
  nowMs = 500;
  expect([bucket.take(), bucket.take()]).toEqual([true, false]);
  nowMs = 100_000;
  expect(bucket.available).toBe(3);
  expect(bucket.take(4)).toBe(false);
  expect(bucket.take(3)).toBe(true);
});
