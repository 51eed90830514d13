// The demo as people run it: what it shows, and that nothing of it is left, however it ends.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { MeterEvent } from '../../as/abi/codes.ts';
import { until } from '../../host/setup/until.ts';
import { descendants } from '../../scripts/lib/processes.mjs';
import { root } from '../../scripts/lib/project.mjs';

const marker = 'METERTIME_TEST_RUN';
const software = { METERTIME_NO_EMULATOR: '1' };

interface Run {
  readonly child: ChildProcess;
  readonly pid: number;
  readonly folder: string;
  readonly mark: string;
  readonly stdout: () => string;
  readonly stderr: () => string;
  readonly firstOutputMs: () => number;
  readonly exitCode: Promise<number | null>;
}

const runs: Run[] = [];

/** This process's environment without what others set for colours: the terminal alone decides. */
function surroundings(): NodeJS.ProcessEnv {
  const { NO_COLOR: _, FORCE_COLOR: __, ...rest } = process.env;
  return rest;
}

/** Starts a command in a process group of its own, with a folder of its own for temporary files. */
function start(command: string, args: readonly string[], env: Record<string, string> = {}): Run {
  const folder = mkdtempSync(join(tmpdir(), 'demo-'));
  const mark = randomUUID();
  const startMs = performance.now();
  let firstMs = Number.POSITIVE_INFINITY;
  const child = spawn(command, args, {
    cwd: root,
    detached: true,
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...surroundings(), TERM: 'xterm', ...env, TMPDIR: folder, [marker]: mark },
  });
  const texts = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name]!.setEncoding('utf8').on('data', (text: string) => {
      firstMs = Math.min(firstMs, performance.now() - startMs);
      texts[name] += text;
    });
  }
  const run: Run = {
    child,
    pid: child.pid!,
    folder,
    mark,
    stdout: () => texts.stdout,
    stderr: () => texts.stderr,
    firstOutputMs: () => firstMs,
    exitCode: new Promise((resolve) => child.on('close', (code) => resolve(code))),
  };
  runs.push(run);
  return run;
}

const demo = (args: readonly string[], env: Record<string, string> = {}) =>
  start(process.execPath, ['scripts/demo.mjs', ...args], env);

/** The demo with meters in software on a terminal. */
const onTerminal = (columns = 80) => {
  const command = `stty cols ${columns} rows 50; exec ${process.execPath} scripts/demo.mjs`;
  return start('script', ['-qfec', command, '/dev/null'], software);
};

/** The lines on a terminal without colours; of one that was rewritten in place, each form. */
function linesShown(output: string): string[] {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control sequences are what is looked for
  const forms = output.replaceAll('\r\n', '\n').split(/\n|\r(?:\x1b\[[KJ])?/);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control sequences are what is looked for
  return forms.map((form) => form.replace(/\x1b\[\d*[a-zA-Z]/g, ''));
}

/** Processes that inherited the run's mark: everything that it started, however far from it. */
function marked(run: Run): number[] {
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/environ`, 'latin1').includes(`${marker}=${run.mark}`);
      } catch {
        return false; // none of a number, or it ended
      }
    });
}

/** The name of a process; empty when it has ended. */
function nameOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'latin1').trim();
  } catch {
    return '';
  }
}

async function expectNothingLeft(run: Run, others: readonly number[] = []): Promise<void> {
  const alive = (pid: number) => {
    try {
      return !/^\d+ \(.*\) Z/s.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
    } catch {
      return false;
    }
  };
  await until('end of all processes of the demo', () => [...marked(run), ...others.filter(alive)].length === 0, {
    timeoutMs: 30_000,
  });
  expect(readdirSync(run.folder)).toEqual([]);
}

async function shows(run: Run, text: string | RegExp, timeoutMs = 150_000): Promise<void> {
  await until(
    `"${text}" in the demo's output`,
    () => {
      if (run.child.exitCode !== null) throw new Error(`it ended:\n${run.stdout()}\n${run.stderr()}`);
      return typeof text === 'string' ? run.stdout().includes(text) : text.test(run.stdout());
    },
    { timeoutMs },
  );
}

afterEach(() => {
  for (const run of runs.splice(0)) {
    for (const pid of marked(run)) process.kill(pid, 'SIGKILL');
    rmSync(run.folder, { recursive: true, force: true });
  }
});

/** The texts, each behind the one before. */
function expectInOrder(output: string, texts: readonly (string | RegExp)[]): void {
  // Lines are wrapped where they end; what they say is not.
  let rest = output.replace(/\s+/g, ' ');
  for (const text of texts) {
    const match = typeof text === 'string' ? { index: rest.indexOf(text), length: text.length } : search(rest, text);
    expect(match.index, `"${text}" in: ${rest}`).toBeGreaterThanOrEqual(0);
    rest = rest.slice(match.index + match.length);
  }
}

function search(text: string, pattern: RegExp): { index: number; length: number } {
  const match = pattern.exec(text);
  return { index: match?.index ?? -1, length: match?.[0].length ?? 0 };
}

/** A line of the demo as JSON; what else it has depends on the event. */
interface Happening {
  readonly event?: string;
  readonly lines?: readonly string[];
  readonly sequence?: number;
  readonly reasons?: readonly string[];
  readonly tariff?: number;
  readonly legal?: string;
  readonly letter?: string;
  readonly clock?: string;
  readonly ptb?: string;
  readonly at?: string;
  readonly boundNs?: number;
  readonly errorNs?: number;
}

const twoDigits = (value: number) => value.toString().padStart(2, '0');

const indexOf = (happenings: readonly Happening[], wanted: string) =>
  happenings.findIndex(({ event }) => event === wanted);

describe('what it shows', () => {
  /** Two tariffs, a switch, a network lost, and what is left to verify, as JSON while the demo goes on. */
  function expectQuarterOfAnHour(run: Run): void {
    const lines = run.stdout().trimEnd().split('\n');
    const all = lines.map((line) => JSON.parse(line) as Happening);
    const facts = all
      .slice(all.findLastIndex(({ event }) => event === 'power-on'))
      .filter(({ event }) => event !== 'live');
    const commands = facts.find((each) => each.lines?.some((line) => line.includes('metertime verify')))!.lines!;
    const told = facts.map(({ event }) => event).filter((event) => event !== undefined && event !== 'record');
    const [records, at] = [facts.filter(({ event }) => event === 'record'), (event: string) => indexOf(facts, event)];
    const story = ['power-on', 'synchronised', 'tariff', 'switched', 'cut', 'holdover', 'held', 'back', 'synchronised'];
    expect(told).toEqual([...story, 'signed', 'verified', 'stored', 'change-found']);

    // Each period, on its second of legal time; the switch once, in the record that ends tariff 2.
    const ends = records.filter(({ reasons }) => reasons?.includes('period'));
    const minutesOfDay = ends.map((_, index) => 5 * 60 + 55 + 5 * index);
    const expected = minutesOfDay.map((minute) => `${twoDigits(Math.floor(minute / 60))}:${twoDigits(minute % 60)}:00`);
    expect(ends.length).toBeGreaterThanOrEqual(3);
    expect(ends.map(({ legal }) => legal?.slice(11, 19))).toEqual(expected);
    expect(ends.map(({ tariff }) => tariff)).toEqual(ends.map((_, index) => (index < 2 ? 2 : 1)));
    const switched = records.filter(({ reasons }) => reasons?.includes('switch'));
    expect(switched.map(({ tariff }) => tariff)).toEqual([0, 2]);
    expect(facts[at('switched')]!.at).toBe('06:00:00');
    // The first may have been made before there was a time.
    expect(new Set(records.slice(1).map(({ letter }) => letter))).toEqual(new Set(['S']));

    // Without a network the records go on and say so, and what is known of the error grows.
    const held = records.filter(({ clock }) => clock === 'holdover');
    expect(held.length).toBeGreaterThanOrEqual(2);
    for (const { ptb } of held) expect(ptb).toBe('warning');
    const [before, after] = [facts[at('holdover')]!, facts[at('held')]!];
    expect(after.boundNs!).toBeGreaterThan(before.boundNs!);
    expect(Math.abs(after.errorNs!)).toBeLessThan(after.boundNs!);
    expect(records.at(-1)).toMatchObject({ reasons: ['transaction-end'], clock: 'synchronised', ptb: 'ok' });

    // What the reader may type holds as well, while the demo goes on; the changed copy does not.
    expect(facts[at('verified')]).toMatchObject({ records: records.length, switches: 1 });
    expect(facts[at('change-found')]!.sequence).toBe(switched.at(-1)!.sequence);
    const typed = commands.flatMap((line) => /npx metertime ((?:verify|logbook) .*)$/.exec(line)?.[1] ?? []);
    expect(typed).toHaveLength(3);
    const codes = typed.map((text) => spawnSync(process.execPath, ['bin/metertime.mjs', ...text.split(' ')]).status);
    expect(codes).toEqual([0, 4, 0]);
  }

  it('takes two emulated meters from power-on to a reported time and refuses a forged answer', async () => {
    const run = demo(['--once']);
    expect(await run.exitCode, `${run.stdout()}\n${run.stderr()}`).toBe(0);
    expect(run.firstOutputMs()).toBeLessThan(2_000);
    const meter = (id: string) => [
      `${id} ✓ power on (emulated by QEMU)`,
      `${id} ✓ has started and reached its gateway: board mps2-an385`,
      new RegExp(`${id} ✗ battery clock says ${id === 'meter-2' ? '2020-01-01 00:00' : '2'}.*?; not believed`),
      `${id} ✓ TLS 1.3 connection to localhost; certificate: right name, signed by our authority`,
      `${id} ✓ agreed on secret keys with the server`,
      `${id} ✓ first sealed answer`,
      new RegExp(`${id} ✓ clock set to 20\\d\\d-\\d\\d-\\d\\d \\d\\d:\\d\\d:\\d\\d UTC`),
      new RegExp(`${id} ✓ synchronised \\d+\\.\\d s after power-on; error certainly below \\d`),
    ];
    expectInOrder(run.stdout(), [
      'Electricity meters and chargers bill by time',
      'The stage',
      /firmware ✓ .*?Cortex-M3 \(board mps2-an385\): flash \d+\.\d of 96 KiB, RAM \d+\.\d of 16 KiB/,
      'server ✓',
      'broker ✓',
      ...meter('meter-1'),
      ...meter('meter-2'),
      /meter-1 ✓ after \d answers: offset to the server [+-]\d.*? ± \d.*?, error certainly below \d/,
      'metertime/demo/state {"state":"online"',
      'metertime/demo/meter-1/time {"status":"synchronised"',
      /attacker · sends a meter an answer that says (\d\d):\d\d:\d\d UTC; it is (?!\1)\d\d:\d\d:\d\d/,
      /(meter-[12]) ✗ refuses the answer: its seal does not hold.*?\1 ✓ takes the genuine answer right behind it/,
      /meter-[12] ✓ its clock did not follow: [+-]\d/,
      '"event":"answer-refused"',
      'A quarter of an hour, 60 times as fast',
      /it is 20\d\d-\d\d-\d\d, 05:53 in Berlin/,
      /meter-3 ✓ power on; its clock has a calibration/,
      /meter-3 ✓ bills by tariff 2; tariff 1 from 06:00:00 on/,
      /broker ✓ record \d+: 05:55:00\.\d+, tariff 2, \d+ Wh, S/,
      /network · is cut at 06:0\d:\d\d/,
      /meter-3 · holdover: its last answer is 15\d s old/,
      /broker ✓ record \d+: 06:0\d:\d\d\.\d+, tariff 1, \d+ Wh, S, warning/,
      /network · is back at 06:/,
      /meter-3 ✓ synchronised again at 06:/,
      /meter-3 ✓ signs with its own key \(Ed25519\)/,
      /verify ✓ what the broker received: \d+ entries, \d+ of them records/,
      /logbook ✓ in the meter's own storage: .*?holdover.*? hold likewise/,
      /verify ✗ a copy with one bit of the energy in record (\d+) changed: seal of record \1/,
      'Your turn',
      /The broker is at mqtt:\/\/127\.0\.0\.1:\d+/,
      /npx metertime status --mqtt mqtt:\/\/127\.0\.0\.1:\d+/,
      /npx metertime monitor mqtt:\/\/127\.0\.0\.1:\d+/,
      /npx metertime sync localhost:\d+ --ca /,
      /npx metertime verify \S+\.ndjson --keys \S+ --head \S+/,
      /npx metertime logbook --storage \S+ --keys \S+/,
    ]);
    expect(run.stdout()).not.toContain('\x1b');
    await expectNothingLeft(run);
  });

  it('runs the meters in software where there is no emulator, and says so; as JSON on request', async () => {
    const run = demo(['--json'], software);
    // It goes on as its meters report.
    for (const id of ['meter-1', 'meter-2']) await shows(run, new RegExp(`"who":"${id}".*"event":"live"`));
    expectQuarterOfAnHour(run);
    process.kill(-run.pid, 'SIGINT');
    expect(await run.exitCode, `${run.stdout()}\n${run.stderr()}`).toBe(0);
    const happenings = run
      .stdout()
      .trimEnd()
      .split('\n')
      .map(
        (line) => JSON.parse(line) as { seconds: number; who?: string; event?: string; text?: string; code?: number },
      );
    const quantities = happenings.flatMap((each) => Object.entries(each).filter(([name]) => name.endsWith('Ns')));
    expect(new Set(quantities.map(([name]) => name))).toEqual(
      new Set(['boundNs', 'offsetNs', 'movedNs', 'uncertaintyNs', 'errorNs']),
    );
    for (const [name, value] of quantities) expect(value, name).toBeTypeOf('number');
    expect(happenings.find(({ who }) => who === 'firmware')?.text).toContain('the meters run in software');
    const live = happenings.filter(({ event }) => event === 'live');
    for (const { text } of live) expect(text).toMatch(/^synchronised ± \d\S* .?s, error certainly below \d\S* .?s$/);
    // On a busy machine a first answer may have been held up, and the next one corrects that by more than is passed over.
    const told = happenings.filter(({ event, code }) => event !== 'live' && code !== MeterEvent.ClockSlewed);
    const events = (id: string) => told.filter(({ who }) => who === id).map(({ event }) => event);
    const arrival = [
      ...['power-on', 'info', 'rtc-refused', 'tls', 'keys-established', 'certificate-dates'],
      ...['clock-set', 'synchronised', 'measured', 'clock-before'],
    ];
    const [attacked, spared] = events('meter-1').includes('answer-refused')
      ? ['meter-1', 'meter-2']
      : ['meter-2', 'meter-1'];
    expect(events(attacked!)).toEqual([...arrival, 'answer-refused', 'genuine-accepted', 'clock-after']);
    expect(events(spared!)).toEqual(arrival);
    expect(happenings.map(({ seconds }) => seconds)).toEqual(
      happenings.map(({ seconds }) => seconds).sort((a, b) => a - b),
    );
    await expectNothingLeft(run);
  });

  it('refuses options that it does not have', async () => {
    const run = demo(['--twice']);
    expect(await run.exitCode).toBe(2);
    expect(run.stderr()).toContain("Unknown option '--twice'");
    expect(run.stderr()).toContain('Usage: npm run demo');
  });
});

describe('nothing of it is left', () => {
  it('after Ctrl-C while meters come to the time', async () => {
    const run = demo([]);
    await shows(run, 'has started and reached its gateway');
    // As a terminal does it: to the whole group.
    process.kill(-run.pid, 'SIGINT');
    expect(await run.exitCode).toBe(130);
    await expectNothingLeft(run);
  });

  it('after Ctrl-C on terminals of 80 and 40 columns when all was shown, which is success', async () => {
    const check = async (columns: number) => {
      const run = onTerminal(columns);
      // The age of the reports is what lives.
      await shows(run, /meter-1\S* {2}(\d+) s ago: synchronised.*meter-1\S* {2}(?!\1 )\d+ s ago: synchronised/s);
      run.child.stdin!.write('\x03');
      expect(await run.exitCode, run.stdout()).toBe(0);
      await expectNothingLeft(run);
      expect(run.stdout().split('\x1b[32m✓').length).toBeGreaterThan(10);
      const lines = linesShown(run.stdout());
      // Commands, and what explains them, are not broken, so that they can be copied; nor is what has no spaces.
      const whole = (line: string) => /^ {2}(npx metertime|#) /.test(line) || /^(.* [✓✗·…])? *\S+$/.test(line);
      expect(lines.filter((line) => [...line].length > columns && !whole(line))).toEqual([]);
      const live = lines.slice(lines.findIndex((line) => line.startsWith('The demo goes on until Ctrl-C')));
      // Whoever sees the times of two reports takes them for two clocks that differ.
      expect(live.filter((line) => /\d\d:\d\d/.test(line))).toEqual([]);
      expect(live.join(' ').replace(/ +/g, ' ')).toMatch(
        /meter-2 \d+ s ago: synchronised ± \d\S* .?s, error certainly below \d/,
      );
    };
    await Promise.all([80, 40].map(check));
  });

  /** Starts it with the firmware to be built, and waits for the compiler; gives all processes that were there. */
  async function startCompiling(): Promise<{ run: Run; pids: number[] }> {
    // Without its stamp a build is done again.
    rmSync(join(root, 'build', 'mps2-an385', 'report.json'), { force: true });
    const run = start('npm', ['run', 'demo']);
    const compiling = await until(
      'a compiler at work',
      () => {
        const pids = descendants(run.pid);
        return pids.some((pid) => nameOf(pid) === 'cc1') && pids;
      },
      { timeoutMs: 60_000 },
    );
    return { run, pids: [...compiling, ...descendants(run.pid)] };
  }

  /** What they had begun to write. */
  const partial = (pids: readonly number[]) =>
    readdirSync(join(root, 'build')).filter((name) => pids.some((pid) => name.includes(`.${pid}.partial`)));

  it('after SIGTERM to npm alone in the middle of compiling', async () => {
    const { run, pids } = await startCompiling();
    expect(partial(pids)).toHaveLength(1);
    process.kill(run.pid, 'SIGTERM');
    await run.exitCode;
    await expectNothingLeft(run, pids);
    expect(partial(pids)).toEqual([]);
    expect(run.stderr()).not.toContain('did not end in time');
  });

  it('after Ctrl-C in the quarter of an hour, while its network is cut', async () => {
    const run = demo([], software);
    await shows(run, 'is cut at');
    process.kill(-run.pid, 'SIGINT');
    expect(await run.exitCode).toBe(130);
    await expectNothingLeft(run);
  });

  it('after its starter was killed', async () => {
    const run = demo([], software);
    await shows(run, 'A meter is switched on');
    process.kill(run.pid, 'SIGKILL');
    await run.exitCode;
    await expectNothingLeft(run);
  });

  it('after its terminal was closed', async () => {
    const run = onTerminal();
    await shows(run, 'A meter is switched on');
    process.kill(run.pid, 'SIGKILL');
    await run.exitCode;
    await expectNothingLeft(run);
  });
});
