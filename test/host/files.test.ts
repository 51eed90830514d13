// Files that people name: what is endless, too large or no file is refused, and nothing of it is read or waited for.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ExitCode } from '../../host/cli/exit-codes.ts';
import { checkSettings, loadSettings } from '../../host/config/settings.ts';
import { replayTrace } from '../../host/core/trace.ts';
import { checkFile, FileError, InputFile, readFileWithin } from '../../host/files.ts';
import { loadTrustAnchors } from '../../host/net/trust-anchors.ts';
import { parseSettings, readSettingsFile } from '../../host/provision/settings-file.ts';
import { readRootKeyFile, readStorageSettings } from '../../host/provision/storage-file.ts';
import { buildCore } from '../../scripts/build-core.mjs';
import { runMetertime } from './cli-run.ts';

let folder = '';
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'metertime-files-'));
  await buildCore();
});
afterAll(() => rmSync(folder, { recursive: true }));

const at = (name: string): string => join(folder, name);

/** A sparse file: it takes no room. */
function sparse(name: string, bytes: number): string {
  writeFileSync(at(name), '');
  truncateSync(at(name), bytes);
  return at(name);
}

describe('a file that is read within a limit', () => {
  it.each([0, 1, 65_535, 65_536, 65_537, 300_000])('of %i bytes comes whole', (length) => {
    const contents = Buffer.from(Array.from({ length }, (_, i) => i * 7 + (i >> 8)));
    writeFileSync(at('whole'), contents);
    expect(readFileWithin(at('whole'), length).equals(contents)).toBe(true);
    if (length > 0) {
      expect(() => readFileWithin(at('whole'), length - 1)).toThrow(
        `${at('whole')} cannot be read: expected at most ${length - 1} bytes, came ${length}`,
      );
    }
  });

  it('is bounded where it tells no size', () => {
    expect(readFileWithin('/proc/self/status', 65_536).toString()).toContain('Name:');
    expect(() => readFileWithin('/proc/self/status', 10)).toThrow(/expected at most 10 bytes, came more/);
  });

  it('comes in pieces of any length, the last one shorter', () => {
    const contents = Buffer.from(Array.from({ length: 200_000 }, (_, i) => i % 251));
    writeFileSync(at('pieces'), contents);
    const input = InputFile.open(at('pieces'));
    const lengths = [1, 0, 14, 65_536, 100_000, 70_000, 5];
    const pieces = lengths.map((length) => input.upTo(length));
    input.close();
    expect(pieces.map(({ length }) => length)).toEqual([1, 0, 14, 65_536, 100_000, 34_449, 0]);
    expect(Buffer.concat(pieces).equals(contents)).toBe(true);
  });

  it('is a regular file, or a pipe where that makes sense', async () => {
    execFileSync('mkfifo', [at('fifo')]);
    const server = createServer().listen(at('socket'));
    await once(server, 'listening');
    for (const [path, came] of [
      ['/dev/full', 'a device'],
      ['/dev/zero', 'a device'],
      [folder, 'a folder'],
      [at('socket'), 'a socket'],
    ] as const) {
      const error = new FileError('file-kind', path, `expected a regular file or a pipe, came ${came}`);
      expect(() => readFileWithin(path, 10)).toThrow(error);
    }
    server.close();
    // Nobody writes: opening it would wait for ever.
    expect(() => readFileWithin(at('fifo'), 10, 'file')).toThrow(/expected a regular file, came a pipe$/);
    const writer = spawn('sh', ['-c', 'exec printf 12345678901 >"$1"', 'sh', at('fifo')]);
    expect(() => readFileWithin(at('fifo'), 10)).toThrow(/at most 10 bytes, came more/);
    await once(writer, 'close');
  });

  it('that is not there, or not for us, says so', () => {
    expect(() => checkFile('')).toThrow('"" cannot be read: it does not exist');
    expect(() => checkFile(at('none'))).toThrow(expect.objectContaining({ code: 'file-missing' }));
    writeFileSync(at('plain'), '');
    expect(() => checkFile(join(at('plain'), 'x'))).toThrow(/a part of its path is no folder/);
    writeFileSync(at('locked'), '', { mode: 0 });
    if (process.getuid?.() !== 0) expect(() => checkFile(at('locked'))).toThrow(/permission denied/);
  });
});

describe('each use of a file', () => {
  it.each<[string, (path: string) => unknown, number]>([
    ['storage', readStorageSettings, 524_288],
    ['root key', readRootKeyFile, 1024],
    ["a meter's settings", readSettingsFile, 1 << 20],
    ["a gateway's settings", loadSettings, 1 << 20],
    ['certificates', (path) => loadTrustAnchors({ system: false, files: [path] }), 16 << 20],
  ])('%s has a limit, and refuses what is endless', (name, read, limit) => {
    expect(() => read('/dev/zero')).toThrow(/\/dev\/zero\b.* cannot be read.*came a device/);
    const path = sparse(name, limit + 1);
    expect(() => read(path)).toThrow(`expected at most ${limit} bytes, came ${limit + 1}`);
    truncateSync(path, limit);
    // Zeros are refused, too, but for what they are.
    expect(() => read(path)).toThrow(/^(?!.*cannot be read)/);
  });

  it('a trace may be longer than the memory', () => {
    expect(() => replayTrace('/dev/zero')).toThrow(/came a device/);
    expect(() => replayTrace(sparse('long.trace', 2 ** 40))).toThrow(/is no trace/);
  });

  it('what a gateway’s settings name is looked at before it is opened', () => {
    const [problem] = checkSettings('name: g\ntrust: {files: [/dev/zero]}\n', 'g.yaml');
    expect(problem?.message).toMatch(/expected a file that can be read \(expected a regular file, came a device/);
  });
});

describe('the command', () => {
  it.each([
    [['provision', '/dev/full', '--id', 'm', '-S', 'a'], /^metertime: \/dev\/full cannot be read: .* came a device\n/],
    [['provision', 'x', '--id', 'm', '-S', 'a', '--root-key-file', '/dev/zero'], /\/dev\/zero cannot be read/],
    [['provision', 'x', '-s', '/dev/zero'], /\/dev\/zero cannot be read/],
    [['provision', 'x', '-s', '/nowhere/x'], /^metertime: \/nowhere\/x cannot be read: it does not exist\n/],
    [['provision', 'x', '--id', 'm', '-S', 'a', '--root-key-file', '/nowhere/x'], /it does not exist/],
    [['selftest', '--vectors', '/dev/zero'], /^metertime: \/dev\/zero cannot be read/],
    [['selftest', '--vectors', '/nowhere/x'], /^metertime: \/nowhere\/x cannot be read: it does not exist\n/],
    [['replay', '/nowhere/x'], /^metertime: \/nowhere\/x cannot be read: it does not exist\n/],
    [['replay', '/dev/zero'], /^metertime: \/dev\/zero cannot be read/],
    [
      ['ke', 'a', '--ca', '/nowhere/x'],
      /^metertime: \/nowhere\/x: the certificates cannot be read: it does not exist\n/,
    ],
    [['gateway', '-c', '/dev/zero'], /^metertime: \/dev\/zero: the settings cannot be read/],
  ])('%j is a wrong use', async (args, message) => {
    const { exitCode, stdout, stderr } = await runMetertime(args);
    expect(stderr).toMatch(message);
    expect(stdout).toBe('');
    expect(exitCode).toBe(ExitCode.Usage);
    expect(existsSync('x')).toBe(false);
  });

  it.each(['5', '1151', '524289', '999999999'])('provision takes no storage of %s bytes', async (bytes) => {
    const { exitCode, stderr } = await runMetertime(['provision', 'x', '-i', 'm', '-S', 'a', '--bytes', bytes]);
    expect(stderr).toContain("A meter's storage has 1152 to 524288 bytes.");
    expect(exitCode).toBe(ExitCode.Usage);
  });

  it('shows a long argument once, and cut', async () => {
    const long = `${'a'.repeat(5000)}.example`;
    for (const args of [
      ['provision', 'x', '-i', 'm', '-S', long],
      ['provision', 'x', '-i', long, '-S', 'a'],
      ['sync', long],
    ]) {
      const { exitCode, stderr } = await runMetertime(args);
      expect(stderr).toMatch(/"a{79}…"/);
      expect(stderr.length).toBeLessThan(300);
      expect(exitCode).toBe(ExitCode.Usage);
    }
  });
});

describe('what a file says', () => {
  const inherited = ['constructor', 'toString', '__proto__', 'hasOwnProperty'];

  it.each(inherited)('may be named %s, as what every object has, and is not known for that', (name) => {
    for (const text of [`name: g\n${name}: 1\n`, `name: g\nlog: {${name}: 1}\n`, `name: g\n${name}: {${name}: 1}\n`]) {
      expect(checkSettings(text, 'g.yaml').map(({ message }) => message)).toEqual([
        expect.stringMatching(/^unknown setting /),
      ]);
    }
    for (const text of [`${name}: 1\n`, `poll: {${name}: 1}\n`, `${name}: {${name}: 1}\n`]) {
      expect(() => parseSettings(text, 'm.yaml')).toThrow(/unknown setting /);
    }
  });

  it('acts on no terminal', async () => {
    writeFileSync(at('escape.json'), '{"algorithm":"\\u001b[2J","testGroups":[{"tests":[{}]}]}');
    const { exitCode, stdout } = await runMetertime(['selftest', '--vectors', at('escape.json')]);
    expect(stdout).toContain('got \ufffd[2J');
    expect(stdout).not.toContain('\x1b');
    expect(exitCode).toBe(ExitCode.Mismatch);
  });
});
