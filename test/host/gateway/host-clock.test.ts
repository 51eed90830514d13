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
    // 0.2 ms for a scheduler that came between the edge and its stamp.
    expect(wallNs).toBeGreaterThan(before - 200_000n);
    expect(wallNs).toBeLessThan(after + 1_200_000n);
  }
});

test('ticks keep their distances', () => {
  const clock = new HostClock();
  const tick = process.hrtime.bigint();
  expect(clock.wallNs(tick + 5_000_000n) - clock.wallNs(tick)).toBe(5_000_000n);
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
