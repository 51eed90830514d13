// The processes that look names up: real ones, in which only `dns.lookup` is replaced, so that names can hang.
import { afterEach, expect, test, vi } from 'vitest';
import { type LookupError, LookupProcesses, socketLookup, systemLookup } from '../../../host/net/lookup.ts';
import { until } from '../../../host/setup/until.ts';

/** A signal that never comes. */
const never = () => new AbortController().signal;
/** Names that begin with `slow` are never answered; others say what comes of them. */
const prelude = `
require('node:dns').lookup = (host, options, done) => {
  if (host.startsWith('slow')) return;
  if (host === 'crash.test') process.kill(process.pid, 'SIGKILL');
  if (host.startsWith('EAI') || host.startsWith('ENO')) return done(Object.assign(new Error(host), { code: host }));
  if (host.startsWith('say ')) return process.stdout.write(host.slice(4) + '\\n');
  if (host === 'none.test') return done(null, []);
  if (host === 'many.test') {
    const of = (family, prefix) => Array.from({ length: 3000 }, (_, at) => ({ address: prefix + (at % 250), family }));
    return done(null, [...of(6, '2001:db8::'), ...of(4, '192.0.2.')]);
  }
  done(null, [{ address: 'fe80::1%lo', family: 6 }, { address: '192.0.2.1', family: 4 }]);
};
`;

let processes: LookupProcesses;
const start = (): LookupProcesses => {
  processes = new LookupProcesses(prelude);
  return processes;
};
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllEnvs();
  processes?.stop();
});

/** Asks for slow names; `giveUp` ends them. */
function askSlow(count: number) {
  const controllers = Array.from({ length: count }, () => new AbortController());
  const all = Promise.allSettled(controllers.map(({ signal }, at) => processes.lookup(`slow${at}.test`, signal)));
  return {
    giveUp: async () => {
      for (const controller of controllers) controller.abort(new Error('late'));
      return (await all).map((one) => (one.status === 'rejected' ? one.reason.message : one.value));
    },
  };
}

const codeOf = (asked: Promise<unknown>) =>
  asked.then(
    () => 'found',
    ({ code }: LookupError) => code,
  );

test('addresses come in the order of the system, with their zones', async () => {
  expect(await start().lookup('good.test', never())).toEqual([
    { address: 'fe80::1%lo', family: 6 },
    { address: '192.0.2.1', family: 4 },
  ]);
  expect(await processes.lookup('none.test', never())).toEqual([]);
});

test('of thousands of addresses the first sixteen of each family come', async () => {
  const found = await start().lookup('many.test', never());
  expect(found.map(({ family }) => family)).toEqual([...Array(16).fill(6), ...Array(16).fill(4)]);
  expect(found.slice(15, 17).map(({ address }) => address)).toEqual(['2001:db8::15', '192.0.2.0']);
});

test.each(['ENOTFOUND', 'EAI_AGAIN', 'EAI_FAIL', 'ENOMEM'])('the code %s is kept', async (code) => {
  expect(await codeOf(start().lookup(code, never()))).toBe(code);
});

test('one process serves 32 at once; further ones are started as they are needed, four at most', async () => {
  start();
  const counts: number[] = [];
  for (const count of [1, 31, 1, 95]) {
    askSlow(count);
    counts.push(processes.pids.length);
  }
  expect(counts).toEqual([1, 1, 2, 4]);
  // All 128 places are taken.
  askSlow(1);
  expect(processes.pids).toHaveLength(4);
});

test('what was given up leaves its place, and its process ends when it has no other', async () => {
  start();
  for (let round = 0; round < 3; round++) {
    const slow = askSlow(200);
    const pids = [...processes.pids];
    expect(pids).toHaveLength(4);
    const good = processes.lookup('good.test', never());
    expect(new Set(await slow.giveUp())).toEqual(new Set(['late']));
    expect(await good).toHaveLength(2);
    expect(processes.pids).toHaveLength(1);
    expect(pids).not.toContain(processes.pids[0]);
    processes.stop();
  }
});

test('a process in which some hang serves the others', async () => {
  start();
  await askSlow(31).giveUp();
  const [pid] = processes.pids;
  for (let at = 0; at < 100; at++) expect(await processes.lookup(`good${at}.test`, never())).toHaveLength(2);
  expect(processes.pids).toEqual([pid]);
});

test('what waits for a place and is given up is never asked', async () => {
  start();
  const slow = askSlow(128);
  const controller = new AbortController();
  const crash = processes.lookup('crash.test', controller.signal);
  controller.abort(new Error('late'));
  await expect(crash).rejects.toThrow('late');
  await slow.giveUp();
  expect(await processes.lookup('good.test', never())).toHaveLength(2);
});

test('a process that dies fails what it was asked, and another one answers the next', async () => {
  start();
  const slow = codeOf(processes.lookup('slow.test', never()));
  expect(await codeOf(processes.lookup('crash.test', never()))).toBe('EIO');
  expect(await slow).toBe('EIO');
  expect(await processes.lookup('good.test', never())).toHaveLength(2);
});

const wrongLines: [string, string][] = [
  ...[
    '',
    '1',
    '1 =  ',
    '1 = 192.0.2.1 ',
    '1 = 192.0.2.256',
    '1 = time.example',
    '1 !',
    '1 ! eai_again',
    '1 ! EAI_AGAIN 192.0.2.1',
    '1 ? EAI_AGAIN',
    '01 = 192.0.2.1',
    '-1 = 192.0.2.1',
    '2 = 192.0.2.1',
    '1 = 192.0.2.1\n1 = 192.0.2.1',
  ].map((line): [string, string] => [JSON.stringify(line), line]),
  ['too many addresses', `1 = ${'192.0.2.1 '.repeat(1_000)}192.0.2.1`],
  ['a line that is too long', 'x'.repeat(10_000)],
];

test.each(wrongLines)('a process that says %s is ended', async (_what, line) => {
  start();
  const first = codeOf(processes.lookup(`say ${line}`, never()));
  const [pid] = processes.pids;
  const code = await first;
  // A right answer counts, and the second one to the same question does not.
  expect(code).toBe(line.includes('\n') ? 'found' : 'EPROTO');
  await until('its end', () => !processes.pids.includes(pid));
  expect(await processes.lookup('good.test', never())).toHaveLength(2);
});

test('a process ends that has not been asked for half a minute, what hangs in it included', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  start();
  await processes.lookup('good.test', never());
  vi.advanceTimersByTime(29_999);
  expect(processes.pids).toHaveLength(1);
  const slow = askSlow(1);
  vi.advanceTimersByTime(30_000);
  expect(processes.pids).toHaveLength(1);
  await slow.giveUp();
  vi.advanceTimersByTime(29_999);
  expect(processes.pids).toHaveLength(1);
  vi.advanceTimersByTime(1);
  expect(processes.pids).toHaveLength(0);
});

test('options of node that this process was started with are none of theirs', async () => {
  vi.stubEnv('NODE_OPTIONS', '--no-such-option');
  expect(await start().lookup('good.test', never())).toHaveLength(2);
});

test('a node that cannot be started is an error of each lookup', async () => {
  const { execPath } = process;
  try {
    process.execPath = '/nowhere/node';
    await expect(start().lookup('good.test', never())).rejects.toMatchObject({
      code: 'ENOENT',
      message: expect.stringContaining('/nowhere/node cannot be started'),
    });
  } finally {
    process.execPath = execPath;
  }
  expect(await processes.lookup('good.test', never())).toHaveLength(2);
});

test('a node whose start is refused at once is an error of each lookup, those that wait for a place included', async () => {
  start();
  const slow = askSlow(128);
  const waiting = codeOf(processes.lookup('good.test', never()));
  // No argument or variable may be so long (execve(2), E2BIG).
  vi.stubEnv('LONG', 'x'.repeat(1_000_000));
  processes.stop();
  expect(await waiting).toBe('E2BIG');
  await expect(processes.lookup('good.test', never())).rejects.toThrow('cannot be started');
  vi.unstubAllEnvs();
  await slow.giveUp();
  expect(await processes.lookup('good.test', never())).toHaveLength(2);
});

test('the system knows localhost, with a dot at its end too', async () => {
  for (const host of ['localhost', 'localhost.']) {
    expect((await systemLookup(host, never())).map(({ address }) => address)).toContain('127.0.0.1');
  }
});

test('sockets ask for all addresses, the first, or those of a family', async () => {
  const ask = (options: { all?: boolean; family?: number | 'IPv4' | 'IPv6' }) =>
    new Promise((resolve, reject) =>
      socketLookup('localhost', options, (error, ...found) => (error ? reject(error) : resolve(found))),
    );
  const four = { address: '127.0.0.1', family: 4 };
  expect(await ask({ all: true, family: 4 })).toEqual([[four]]);
  expect(await ask({ family: 'IPv4' })).toEqual([four.address, 4]);
  expect(await ask({ all: true })).toEqual([expect.arrayContaining([four])]);
});
