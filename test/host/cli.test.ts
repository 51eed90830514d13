// The command line: help, errors, exit codes, and the commands that need no network.
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { makeProgram } from '../../host/cli/cli.ts';
import { ExitCode } from '../../host/cli/exit-codes.ts';
import { printable, Terminal } from '../../host/cli/terminal.ts';
import { loadSettings } from '../../host/config/settings.ts';
import { readStorageSettings } from '../../host/provision/storage-file.ts';
import { formatPairs, formatTable } from '../../host/text/table.ts';
import { buildCore } from '../../scripts/build-core.mjs';
import { runMetertime } from './cli-run.ts';

let folder = '';
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'metertime-'));
  await buildCore();
});
afterAll(() => rmSync(folder, { recursive: true }));

function commandNames(): string[] {
  const sink = { write: () => true };
  const terminal = new Terminal({ stdout: sink, stderr: sink, env: {} });
  const context = { terminal, env: {}, signal: new AbortController().signal, exitCode: ExitCode.Ok };
  return makeProgram(context, { stdout: sink, stderr: sink }).commands.map((command) => command.name());
}

describe('help', () => {
  it('without arguments goes to stderr and is a wrong use', async () => {
    const { exitCode, stdout, stderr } = await runMetertime([]);
    expect(exitCode).toBe(ExitCode.Usage);
    expect(stdout).toBe('');
    expect(stderr).toContain('Usage: metertime');
  });

  it('of each command has examples of that command and exit codes', async () => {
    const names = commandNames();
    expect(names).toContain('provision');
    for (const name of names) {
      const { exitCode, stdout, stderr } = await runMetertime([name, '--help']);
      expect(exitCode, name).toBe(ExitCode.Ok);
      expect(stderr).toBe('');
      expect(stdout).toMatch(new RegExp(`Examples:\n( {2}\\$ metertime .*\n)*? {2}\\$ metertime ${name}\\b`));
      expect(stdout).toMatch(/Exit codes:\n {2}0 /);
      expect(stdout).toContain('--debug');
    }
  });

  it('tells which commands Ctrl-C interrupts, and which go on until it', async () => {
    const line = async (name: string, code: ExitCode) =>
      new RegExp(`^ {2}${code} +(.*)$`, 'm').exec((await runMetertime([name, '--help'])).stdout)?.[1];
    for (const name of ['build', 'ke', 'status', 'sync']) {
      expect(await line(name, ExitCode.Ok), name).toBe('all is well');
      expect(await line(name, ExitCode.Interrupted), name).toBe('ended by Ctrl-C');
    }
    for (const name of ['gateway', 'monitor', 'run']) {
      expect(await line(name, ExitCode.Ok), name).toBe('all is well; also: ended by Ctrl-C');
      expect(await line(name, ExitCode.Interrupted), name).toMatch(/^ended by Ctrl-C before it had begun/);
    }
    expect(await line('init', ExitCode.Interrupted)).toBeUndefined();
  });

  it('is in docs/cli.md for each command', () => {
    const docs = readFileSync(new URL('../../docs/cli.md', import.meta.url), 'utf8');
    for (const name of commandNames()) expect(docs).toContain(`## metertime ${name}`);
  });

  it('--version tells the version and the SHA-256 of the core', async () => {
    const { sha256 } = await buildCore();
    const { exitCode, stdout } = await runMetertime(['--version']);
    expect(exitCode).toBe(ExitCode.Ok);
    expect(stdout).toMatch(/^metertime \d+\.\d+\.\d+\n/);
    expect(stdout).toContain(`core.wasm SHA-256 ${sha256}\n`);
  });
});

describe('wrong uses', () => {
  it.each([
    [['provsion'], /unknown command 'provsion'\n\(Did you mean provision\?\)/],
    [['replay'], /missing required argument 'file'\nTry: metertime replay --help/],
    [['replay', '--jsn', 'x'], /unknown option '--jsn'\n\(Did you mean --json\?\)/],
    [['provision', 'x', '--poll-min', 'soon'], /Expected a whole number/],
    [['provision', 'x', '--id', 'a', '--server', 'a b'], /expected a DNS name or an IP address/],
    [['provision', 'x', '--server', 'a'], /the meter needs an id\nGive --id ID/],
    [['provision', 'x', '--id', 'a'], /the meter needs a time server\nGive --server HOST/],
    [['init', '--link', 'carrier pigeon', '-'], /links\[1\] is "carrier pigeon"; expected serial:/],
  ])('metertime %j', async (args, message) => {
    const { exitCode, stdout, stderr } = await runMetertime(args);
    expect(stderr).toMatch(message);
    expect(stderr.trimEnd().split('\n').length).toBeLessThanOrEqual(3);
    expect(stdout).toBe('');
    expect(exitCode).toBe(ExitCode.Usage);
    expect(existsSync('x')).toBe(false);
  });

  it('show a stack with --debug only', async () => {
    const args = ['replay', join(folder, 'absent')];
    const plain = await runMetertime(args);
    expect(plain.stderr.split('\n')).toHaveLength(2);
    expect(plain.stderr).toMatch(/^metertime: .*absent cannot be read/);
    const debug = await runMetertime([...args, '--debug']);
    expect(debug.stderr).toMatch(/\n\s+at /);
    expect(debug.exitCode).toBe(ExitCode.Usage);
  });
});

describe('provision', () => {
  it('writes what it says it writes', async () => {
    const file = join(folder, 'meter-1.bin');
    const { exitCode, stdout } = await runMetertime([
      ...['provision', file, '--id', 'meter-1', '-S', 'time.example', '-S', '[2001:db8::1]:4461'],
      ...['--poll-min', '2000', '--always-check-dates'],
    ]);
    expect(exitCode).toBe(ExitCode.Ok);
    expect(readStorageSettings(file)).toEqual({
      id: 'meter-1',
      servers: [
        { host: 'time.example', port: 4460 },
        { host: '2001:db8::1', port: 4461 },
      ],
      firstDatesUnchecked: false,
      poll: { minSeconds: 2000, maxSeconds: 2000 },
      reportSeconds: 10,
    });
    expect(stdout).toMatch(/^Meter +: meter-1\n/);
    expect(stdout).toMatch(/NTS-KE server 2 +: \[2001:db8::1\]:4461\n/);
    expect(stdout).toMatch(/Root key +: new and random\n/);
  });

  it('takes settings from YAML, and says where one is wrong', async () => {
    const yaml = join(folder, 'meter.yaml');
    const file = join(folder, 'meter-2.bin');
    writeFileSync(
      yaml,
      'id: meter-2\nservers:\n  - time.example\npoll: { minSeconds: 8 }\nfirstDatesUnchecked: false\n',
    );
    const ran = await runMetertime(['provision', file, '-s', yaml, '--json', '--report', '60']);
    expect(JSON.parse(ran.stdout)).toMatchObject({
      rootKey: 'new',
      settings: {
        id: 'meter-2',
        poll: { minSeconds: 8, maxSeconds: 1024 },
        firstDatesUnchecked: false,
        reportSeconds: 60,
      },
    });
    for (const [text, message] of [
      ['id: a\nservers:\n  - "a b"\n', `${yaml}:3:5: servers: "a b": expected a DNS name`],
      ['id: a\nserver: [b]\n', `${yaml}:2:1: unknown setting "server"; did you mean "servers"?`],
      [
        'id: a\nservers: [b]\nreportSeconds: soon\n',
        `${yaml}:3:16: reportSeconds is "soon"; expected a whole number of seconds`,
      ],
      ['id: [', `${yaml}:1:6: expected `],
      ['id: a\nid: b\n', `${yaml}:2:1: expected each setting once; this one stands above, too`],
      ['id: 12\nservers: [b]\n', `${yaml}:1:5: id is 12; expected text (in quotes if it looks like a number)`],
      ['servers: a\n', `${yaml}:1:10: servers is "a"; expected a list: lines that begin with "- ", or [ ]`],
      ['poll: null\n', `${yaml}:1:7: poll is empty; expected settings of its own, indented below it`],
      ['firstDatesUnchecked: maybe\n', `${yaml}:1:22: firstDatesUnchecked is "maybe"; expected true or false`],
      ['id: a/b\nservers: [b]\n', `${yaml}:1:5: id: expected 1 to 32 letters, digits, dots, dashes and`],
      ['id: ""\nservers: [b]\n', `${yaml}:1:5: id: expected 1 to 32 letters`],
      ['id: a\nservers: []\n', `${yaml}:2:10: servers: expected 1 to 4 NTS-KE servers, came 0`],
      ['id: a\nservers: [b, c, d, e, f]\n', `${yaml}:2:10: servers: expected 1 to 4 NTS-KE servers, came 5`],
      ['id: a\nservers:\n  - b\n  - B:4460\n', `${yaml}:4:5: servers: expected each server once, B port 4460 came`],
      [
        'id: a\nservers: [b]\npoll:\n  minSeconds: 9\n  maxSeconds: 8\n',
        `${yaml}:4:3: poll: expected minSeconds no larger than maxSeconds, came 9 and 8`,
      ],
    ] as const) {
      writeFileSync(yaml, text);
      const wrong = await runMetertime(['provision', join(folder, 'none.bin'), '-s', yaml]);
      expect(wrong.stderr).toContain(message);
      expect(wrong.exitCode).toBe(ExitCode.Usage);
      expect(existsSync(join(folder, 'none.bin'))).toBe(false);
    }
    // What the command line says is nowhere in the file.
    writeFileSync(yaml, 'id: a\nservers: [b]\npoll: { minSeconds: 2 }\n');
    for (const [option, message] of [
      [['--id', 'a/b'], /^metertime: id: expected/],
      [['--server', 'c', '--server', 'C'], /^metertime: servers: expected each server once/],
      [['--poll-max', '1'], /meter\.yaml:3:7: poll: expected minSeconds no larger than maxSeconds, came 2 and 1/],
    ] as const) {
      const wrong = await runMetertime(['provision', join(folder, 'none.bin'), '-s', yaml, ...option]);
      expect(wrong.stderr).toMatch(message);
      expect(wrong.exitCode).toBe(ExitCode.Usage);
    }
  });

  it('takes AEADs, key age, agreement, spread, limits and asymmetry from YAML, and writes no others', async () => {
    const yaml = join(folder, 'choices.yaml');
    const file = join(folder, 'meter-6.bin');
    writeFileSync(
      yaml,
      `id: meter-6
servers: [a.example, b.example, c.example]
agreement: 2
aeads: [AES-SIV-CMAC-512, 30]
keyAgeHours: 24
spreadSeconds: 0
limits: { stratum: 3 }
asymmetryPercent: 30
`,
    );
    const { stdout, exitCode } = await runMetertime(['provision', file, '-s', yaml]);
    expect(exitCode).toBe(ExitCode.Ok);
    expect(readStorageSettings(file)).toMatchObject({
      ...{ agreement: 2, aeads: [17, 30], keyAgeHours: 24, spreadSeconds: 0, asymmetryPercent: 30 },
      limits: { stratum: 3, rootDelayMs: 3000, rootDispersionMs: 1500 },
    });
    for (const line of [
      /^AEAD 1 +: AES-SIV-CMAC-512 \(17\)\nAEAD 2 +: AES-128-GCM-SIV \(30\)$/m,
      /^Keys replaced +: after 24 hours$/m,
      /^Agreement +: of 2 servers, and of more than half of those heard$/m,
      /^Asymmetry +: up to 30 % of the smallest delay$/m,
      /^Spread +: key establishments over 0 s after a start$/m,
      /^Limits +: stratum 3, root delay 3000 ms, root dispersion 1500 ms$/m,
    ]) {
      expect(stdout).toMatch(line);
    }
    writeFileSync(yaml, JSON.stringify({ id: 'meter-6', servers: ['a.example'], agreement: 'majority' }));
    const again = await runMetertime(['provision', file, '-s', yaml]);
    expect(again.stdout).toMatch(/^Agreement +: of more than half of the servers in use$/m);
    expect(again.stdout).not.toMatch(/^(AEAD|Asymmetry|Limits|Spread)/m);
    expect(Object.keys(readStorageSettings(file)).sort()).toEqual([
      'agreement',
      'firstDatesUnchecked',
      'id',
      'poll',
      'reportSeconds',
      'servers',
    ]);
    for (const [text, message] of [
      ['aeads:\n  - 30\n  - AES-GCM\n', `${yaml}:5:5: aeads: "AES-GCM": expected one of AES-128-GCM-SIV (30)`],
      ['aeads: [15, 15]\n', `${yaml}:3:13: aeads: expected each algorithm once`],
      ['aeads: []\n', `${yaml}:3:8: aeads: expected at least one of`],
      ['aeads: [{}]\n', `${yaml}:3:9: aeads[1] is a group of settings; expected one of`],
      ['keyAgeHours: 0\n', `${yaml}:3:14: keyAgeHours is 0; expected a whole number of hours from 1 to 65535`],
      ['aeads: 30\n', `${yaml}:3:8: aeads is 30; expected a list: lines that begin with "- ", or [ ]`],
      ['agreement: most\n', `${yaml}:3:12: agreement is "most"; expected majority, or a whole number from 1 to 4`],
      ['agreement: 3\n', `${yaml}:3:12: agreement: expected at most 1, as many as there are servers, came 3`],
      ['limits: { stratum: 16 }\n', `${yaml}:3:20: limits.stratum is 16; expected a whole number from 1 to 15`],
      ['limits: { delay: 16 }\n', `${yaml}:3:11: unknown setting "limits.delay"; `],
      [
        'asymmetryPercent: 101\n',
        `${yaml}:3:19: asymmetryPercent is 101; expected a whole number of percent from 0 to 100`,
      ],
      ['spreadSeconds: -1\n', `${yaml}:3:16: spreadSeconds is -1; expected a whole number of seconds from 0 to 65535`],
    ]) {
      writeFileSync(yaml, `id: meter-6\nservers: [a.example]\n${text}`);
      const wrong = await runMetertime(['provision', file, '-s', yaml]);
      expect(wrong.stderr).toContain(message);
      expect(wrong.exitCode).toBe(ExitCode.Usage);
    }
  });

  it('is refused where more servers have to agree than the board asks at once, and run refuses such a storage', async () => {
    const yaml = join(folder, 'three.yaml');
    writeFileSync(yaml, 'id: meter-9\nservers: [a, b, c]\nagreement: 3\n');
    const file = join(folder, 'meter-9.bin');
    const message = 'agreement: expected at most 1, as many servers as mps2-an385 asks at once, came 3';
    const refused = await runMetertime(['provision', file, '-s', yaml, '--board', 'mps2-an385']);
    expect(refused.stderr).toContain(`${yaml}:3:12: ${message}`);
    expect(refused.exitCode).toBe(ExitCode.Usage);
    expect(existsSync(file)).toBe(false);
    for (const board of ['mps2-an385-4', 'software']) {
      expect((await runMetertime(['provision', file, '-s', yaml, '--board', board])).exitCode).toBe(ExitCode.Ok);
    }
    const run = await runMetertime(['run', '--board', 'mps2-an385', '--storage', file]);
    expect(run.stderr).toContain(message);
    expect(run.exitCode).toBe(ExitCode.Usage);
  });

  it("takes its size from a board and leaves another meter's storage alone", async () => {
    const file = join(folder, 'meter-3.bin');
    const args = ['provision', file, '-S', 'a', '--board', 'mps2-an385', '--id'];
    expect((await runMetertime([...args, 'meter-3'])).exitCode).toBe(ExitCode.Ok);
    expect(statSync(file).size).toBe(8192);
    const refused = await runMetertime([...args, 'meter-4']);
    expect(refused.exitCode).toBe(ExitCode.Failed);
    expect(refused.stderr).toMatch(/belongs to meter meter-3, not meter-4; .*--force/);
    const forced = await runMetertime([...args, 'meter-4', '--force']);
    expect(forced.stdout).toContain("another meter's before");
  });

  it('never prints the root key', async () => {
    const key = '00112233445566778899aabbccddeeff';
    const keyFile = join(folder, 'key');
    writeFileSync(keyFile, key);
    const file = join(folder, 'meter-5.bin');
    for (const extra of [[], ['--json'], ['--debug']]) {
      const args = ['provision', file, '--id', 'm5', '-S', 'a', '--root-key-file', keyFile, ...extra];
      const { stdout, stderr, exitCode } = await runMetertime(args);
      expect(exitCode).toBe(ExitCode.Ok);
      expect((stdout + stderr).toLowerCase().replaceAll(/[^0-9a-f]/g, '')).not.toContain(key);
    }
    expect(readFileSync(file).includes(Buffer.from(key, 'hex'))).toBe(true);
  });
});

describe('init', () => {
  it('writes settings that the gateway takes, once', async () => {
    const file = join(folder, 'gateway.yaml');
    const { exitCode, stdout } = await runMetertime([
      'init',
      file,
      '--name',
      'gw-7',
      '--mqtt',
      'mqtt://broker.example',
    ]);
    expect(exitCode).toBe(ExitCode.Ok);
    expect(stdout).toContain(`metertime gateway -c ${file} --check`);
    expect(loadSettings(file)).toMatchObject({ name: 'gw-7', mqtt: { url: 'mqtt://broker.example' } });
    const again = await runMetertime(['init', file]);
    expect(again.exitCode).toBe(ExitCode.Failed);
    expect(again.stderr).toMatch(/exists and is not replaced/);
    const printed = await runMetertime(['init', '-']);
    expect(printed.stdout).toContain('gateway-1');
  });
});

describe('boards', () => {
  it('lists what firmware can be built for, and the meter in software', async () => {
    const { stdout } = await runMetertime(['boards']);
    expect(stdout).toMatch(/^Board +Processor +Flash +RAM +Servers +Oscillator +Runs in\n=+\n/);
    expect(stdout).toMatch(/^software +- +- +- +4 +±100 ppm +this process/m);
    expect(stdout).toMatch(/^mps2-an385 +: Cortex-M3 on .*\n {15}/m);
    expect(Math.max(...stdout.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80);
    expect(stdout).toMatch(/^mps2-an385 +cortex-m3 +96 KiB +16 KiB +1 +±100 ppm +emulator/m);
    expect(stdout).toMatch(/^mps2-an385-4 +cortex-m3 +160 KiB +25 KiB +4 +±100 ppm +emulator/m);
    const json = JSON.parse((await runMetertime(['boards', '--json'])).stdout);
    expect(json).toContainEqual(
      expect.objectContaining({ name: 'mps2-an385', servers: 1, budgets: { flashBytes: 98_304, ramBytes: 16_384 } }),
    );
  });
});

describe('boards BOARD', () => {
  it('tells what its data say', async () => {
    const { stdout } = await runMetertime(['boards', 'mps2-an385']);
    expect(stdout).toMatch(/^mps2-an385\nCortex-M3 on /);
    expect(stdout).toMatch(/^link +: uart0 \(cmsdk_uart\), 115200 baud, 4 frames$/m);
    expect(stdout).toMatch(/^clock +: ds1338 at 0x68$/m);
    const json = JSON.parse((await runMetertime(['boards', 'mps2-an385', '--json'])).stdout);
    expect(json).toMatchObject({
      clock: 'ds1338',
      watchdog: true,
      entropy: false,
      parts: { watchdog: 'cmsdk_watchdog, 8 s' },
    });
  });

  it('tells of the meter in software, which needs no checkout', async () => {
    expect((await runMetertime(['boards', 'software'])).stdout).toBe(
      'software\nA meter in software: the core in node\n',
    );
  });

  it('that there is not is a wrong command line', async () => {
    const { exitCode, stderr } = await runMetertime(['boards', 'mps3']);
    expect(exitCode).toBe(ExitCode.Usage);
    expect(stderr).toMatch(/there is no board mps3; there are: .*mps2-an385/);
  });
});

describe('flash', () => {
  it.each([
    [
      ['--board', 'posix'],
      /posix is a process of this machine: there is nothing to flash\nmetertime run --board posix/,
    ],
    [['--board', 'mps2-an385', '--method', 'openocd'], /is not flashed by openocd\nIt has: emulator\./],
    [['--board', 'mps2-an385', '--keys', 'k'], /--keys: no meter is provisioned/],
    [['--board', 'mps2-an385', '--id', 'a', '--server', 'b'], /nobody would ever know the keys of this meter/],
    [['--board', 'mps2-an385', '--dry-run'], /--dry-run is for boards that are plugged in/],
  ])('with %j says why not, before anything is built', async (args, message) => {
    const { exitCode, stderr } = await runMetertime(['flash', ...args]);
    expect(exitCode).toBe(ExitCode.Usage);
    expect(stderr).toMatch(message);
  });
});

describe('build', () => {
  it('wants a board, or all, and not both', async () => {
    const none = await runMetertime(['build']);
    expect(none.exitCode).toBe(ExitCode.Usage);
    expect(none.stderr).toContain('expected --board BOARD, or --all');
    expect((await runMetertime(['build', '--all', '--board', 'mps2-an385'])).exitCode).toBe(ExitCode.Usage);
  });

  it.each(['0', '5', 'many'])('is refused for %s servers', async (servers) => {
    const { exitCode, stderr } = await runMetertime(['build', '--board', 'mps2-an385', '--servers', servers]);
    expect(exitCode).toBe(ExitCode.Usage);
    expect(stderr).toContain('Expected a number from 1 to 4.');
  });
});

describe('selftest', () => {
  it('passes, and reads Wycheproof files', async () => {
    const { exitCode, stdout } = await runMetertime(['selftest']);
    for (const aes of ['bitsliced', 'table']) {
      expect(stdout).toMatch(new RegExp(`^built-in .* ${aes} +[1-9]\\d* +0 +0$`, 'm'));
    }
    expect(exitCode).toBe(ExitCode.Ok);
    const broken = join(folder, 'vectors.json');
    writeFileSync(broken, '{}');
    expect((await runMetertime(['selftest', '--vectors', broken])).exitCode).toBe(ExitCode.Mismatch);
    const absent = await runMetertime(['selftest', '--vectors', join(folder, 'absent.json')]);
    expect(absent.exitCode).toBe(ExitCode.Usage);
  });
});

describe('output', () => {
  it('is aligned, whatever marks of colour it carries', () => {
    const terminal = new Terminal({ stdout: { write: () => 0, isTTY: true }, stderr: { write: () => 0 }, env: {} });
    const green = terminal.paint('green', 'up');
    expect(green).toBe('\x1b[32mup\x1b[39m');
    expect(
      formatTable(
        [{ heading: 'State' }, { heading: 'ms', align: 'right' }],
        [
          [green, '1'],
          ['down', '100'],
        ],
      ),
    ).toEqual(['State   ms', '==========', `${green}       1`, 'down   100']);
    expect(
      formatPairs([
        ['a', '1'],
        ['bcd', undefined],
        ['bc', '2'],
      ]),
    ).toEqual(['a  : 1', 'bc : 2']);
  });

  it('has colour only on a terminal and not with NO_COLOR', () => {
    const paint = (isTTY: boolean, env: Record<string, string>): string =>
      new Terminal({ stdout: { write: () => 0, isTTY }, stderr: { write: () => 0 }, env }).paint('red', 'x');
    expect(paint(true, {})).not.toBe('x');
    expect(paint(true, { NO_COLOR: '1' })).toBe('x');
    expect(paint(true, { TERM: 'dumb' })).toBe('x');
    expect(paint(false, {})).toBe('x');
  });

  it('shows on stderr what takes long, and nothing for what does not', async () => {
    let stderr = '';
    const terminal = new Terminal({
      stdout: { write: () => 0 },
      stderr: {
        write: (text) => {
          stderr += text;
        },
      },
      env: {},
    });
    await terminal.during(
      () => 'quick work',
      async () => {},
    );
    expect(stderr).toBe('');
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] });
    try {
      await terminal.during(
        () => 'slow work',
        async () => {
          vi.advanceTimersByTime(1_999);
          expect(stderr).toBe('');
          vi.advanceTimersByTime(1);
          expect(stderr).toBe('slow work (2 s)\n');
          vi.advanceTimersByTime(9_999);
        },
      );
    } finally {
      vi.useRealTimers();
    }
    expect(stderr).toBe('slow work (2 s)\n');
  });

  it('lets no text from outside act on the terminal', () => {
    expect(printable('a\x1b[2Jb\rc\u202ed\u2028e\n')).toBe('a\ufffd[2Jb\ufffdc\ufffdd\ufffde\ufffd');
  });
});
