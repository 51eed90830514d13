// Names to addresses: literals, families in turn, one question for many askers, and each way to fail.
import { expect, test, vi } from 'vitest';
import { Failure } from '../../../as/abi/codes.ts';
import { type Address, addressBytes, interleave, isHostName, Resolver } from '../../../host/net/dns.ts';

const four = (address: string): Address => ({ address, family: 4 });
const six = (address: string): Address => ({ address, family: 6 });

test('an address is its own answer', async () => {
  const resolver = new Resolver(() => Promise.reject(new Error('asked')));
  expect(await resolver.resolve('192.0.2.1')).toEqual([four('192.0.2.1')]);
  expect(await resolver.resolve('2001:db8::1')).toEqual([six('2001:db8::1')]);
});

test('the system knows localhost', async () => {
  const found = await new Resolver().resolve('localhost');
  expect(found.map(({ address }) => address)).toContain('127.0.0.1');
});

test('families in turn, beginning with the first', () => {
  const [a, b, c, d, e] = [four('1.1.1.1'), four('2.2.2.2'), four('3.3.3.3'), six('::1'), six('::2')];
  expect(interleave([a, b, c, d, e])).toEqual([a, d, b, e, c]);
  expect(interleave([d, a, b, c])).toEqual([d, a, b, c]);
  expect(interleave([a, b])).toEqual([a, b]);
  expect(interleave([])).toEqual([]);
});

test('of a name with thousands of addresses the first sixteen count, of both families', async () => {
  const fours = Array.from({ length: 4_000 }, (_, at) => four(`10.0.${at >> 8}.${at & 255}`));
  const sixes = Array.from({ length: 4_000 }, (_, at) => six(`2001:db8::${(at + 1).toString(16)}`));
  const found = await new Resolver(async () => [...fours, ...sixes]).resolve('many.example');
  expect(found).toEqual(interleave([...fours.slice(0, 8), ...sixes.slice(0, 8)]));
});

test('many askers, one question; failures are not kept', async () => {
  let asked = 0;
  let fail = true;
  const resolver = new Resolver(async () => {
    asked++;
    if (fail) throw Object.assign(new Error('x'), { code: 'EAI_AGAIN' });
    return [four('192.0.2.1')];
  });
  await expect(resolver.resolve('time.example')).rejects.toMatchObject({ failure: Failure.Dns });
  fail = false;
  const [one, two] = await Promise.all([resolver.resolve('time.example'), resolver.resolve('TIME.example')]);
  expect(one).toEqual(two);
  expect(asked).toBe(2);
});

test('a lookup that never ends fails in its time, again and again, and holds up no other', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  try {
    const givenUp: AbortSignal[] = [];
    const resolver = new Resolver((host, signal) => {
      if (!host.startsWith('slow')) return Promise.resolve([four('192.0.2.1')]);
      givenUp.push(signal);
      return new Promise(() => {});
    });
    for (let attempt = 1; attempt <= 4; attempt++) {
      const names = Array.from({ length: 300 }, (_, at) => `slow${at}.example`);
      const late = Promise.all(
        names.map((name) =>
          expect(resolver.resolve(name)).rejects.toMatchObject({
            failure: Failure.Dns,
            message: `no DNS server answered for ${name}`,
          }),
        ),
      );
      expect(await resolver.resolve(`good${attempt}.example`)).toEqual([four('192.0.2.1')]);
      await vi.advanceTimersByTimeAsync(8_000);
      await late;
      expect(givenUp.map(({ aborted }) => aborted)).toEqual(Array(300 * attempt).fill(true));
    }
    expect(vi.getTimerCount()).toBe(0);
  } finally {
    vi.useRealTimers();
  }
});

test.each<[string, Failure]>([
  ['nothing.invalid', Failure.Dns],
  ['a b', Failure.Request],
  ['', Failure.Request],
  ['.example', Failure.Request],
  ['time_server.example', Failure.Dns],
])('%j fails', async (host, failure) => {
  const none = new Resolver(async () => []);
  await expect(none.resolve(host)).rejects.toMatchObject({ failure });
});

test('host names', () => {
  for (const good of ['a', 'time.example', 'time.example.', 'x--y.test', '_ntske._tcp.example', '1.pool.test']) {
    expect(isHostName(good), good).toBe(true);
  }
  for (const bad of ['-a', 'a-', 'a..b', '.', '..', 'a/b', 'a:1', 'ä.example', `${'a'.repeat(64)}.example`]) {
    expect(isHostName(bad), bad).toBe(false);
  }
});

test.each<[Address, string]>([
  [four('192.0.2.1'), `c0000201${'00'.repeat(12)}`],
  [six('::'), '00'.repeat(16)],
  [six('2001:db8::1:2'), '20010db8000000000000000000010002'],
  [six('1:2:3:4:5:6:7:8'), '00010002000300040005000600070008'],
  [six('::ffff:192.0.2.1'), '00000000000000000000ffffc0000201'],
  [six('fe80::1%lo'), 'fe800000000000000000000000000001'],
])('bytes of $address', (address, hex) => {
  expect(Buffer.from(addressBytes(address)).toString('hex')).toBe(hex);
});
