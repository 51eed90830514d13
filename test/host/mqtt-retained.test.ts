// What is retained: when a topic is published again, and when not.
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { Publication } from '../../host/mqtt/connection.ts';
import { type RetainedMessage, RetainedTopics } from '../../host/mqtt/retained.ts';

let published: Publication[] = [];
let reasonCode = 0;
let topics: RetainedTopics;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance'] });
  [published, reasonCode] = [[], 0];
  topics = new RetainedTopics({
    publish: async (publication) => {
      published.push(publication);
      return reasonCode;
    },
    reasonText: (code) => `${code}`,
    report: () => {},
  });
  topics.connected();
});
afterEach(() => {
  vi.useRealTimers();
});

const text = (value: string, more: Partial<RetainedMessage> = {}): RetainedMessage => ({
  payload: Buffer.from(value),
  properties: { userProperties: { schema: 'a/1' } },
  rank: 0,
  expirySeconds: 900,
  ...more,
});

async function set(message: RetainedMessage): Promise<number> {
  topics.set('t', message);
  await topics.idle();
  return published.length;
}

test('what the topic holds is published again when a third of its time has passed, with all of its time', async () => {
  expect(await set(text('a'))).toBe(1);
  vi.advanceTimersByTime(299_000);
  expect(await set(text('a'))).toBe(1);
  vi.advanceTimersByTime(2_000);
  expect(await set(text('a'))).toBe(2);
  expect(published.map(({ properties }) => properties?.messageExpiryInterval)).toEqual([900, 900]);
  expect(await set(text('a'))).toBe(2);
});

test('anything that is new is published at once', async () => {
  await set(text('a'));
  expect(await set(text('b'))).toBe(2);
  expect(await set(text('a'))).toBe(3);
  expect(await set(text('a', { properties: { userProperties: { schema: 'a/2' } } }))).toBe(4);
  expect(await set(text('a', { expirySeconds: 60 }))).toBe(5);
});

test('a message that never expires is published once', async () => {
  const { expirySeconds: _never, ...lasting } = text('a');
  await set(lasting);
  vi.advanceTimersByTime(1e9);
  expect(await set(lasting)).toBe(1);
});

test('one that the broker refused is tried with each report', async () => {
  reasonCode = 0x87;
  expect(await set(text('a'))).toBe(1);
  expect(await set(text('a'))).toBe(2);
  reasonCode = 0;
  expect(await set(text('a'))).toBe(3);
  expect(await set(text('a'))).toBe(3);
});

test('who waits for the broker to have it is told, whatever was there', async () => {
  const onPublished = vi.fn();
  await set(text('a'));
  await set(text('a', { onPublished }));
  expect(onPublished).toHaveBeenCalledTimes(1);
});

test('a broker that may have forgotten gets it again, with the time that is left', async () => {
  await set(text('a'));
  vi.advanceTimersByTime(100_000);
  topics.disconnected();
  await set(text('a'));
  expect(published).toHaveLength(1);
  topics.connected();
  await topics.idle();
  expect(published.map(({ properties }) => properties?.messageExpiryInterval)).toEqual([900, 800]);
});
