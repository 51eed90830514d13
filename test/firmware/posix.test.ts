// The board that is a process: its arguments, its storage, its lines, and how it ends and starts anew.
import { execFile, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, lstatSync, openSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ReadStream } from 'node:tty';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { ResetCause, StartField, TrapCode } from '../../as/abi/codes.ts';
import { loadBoard } from '../../host/build/index.ts';
import { until } from '../../host/setup/until.ts';
import { debianTool } from '../../scripts/debian.mjs';
import { buildEchoFirmware, hex, Line, temporaryFolder } from './echo-meter.ts';
import { parseEcho } from './line-checks.ts';

const board = loadBoard('posix');
const temporary = temporaryFolder();
let program = '';
let storage = '';
let files = 0;
const place = () => join(temporary.path, String(files++));

// In a namespace of its own, a process may mount a disk that is too small.
const unshare = process.getuid?.() === 0 ? '-m' : '-rm';
const refusal = spawnSync('unshare', [unshare, 'true']).status === 0 ? undefined : 'no namespaces here';
if (refusal !== undefined) console.log(refusal);

/** The program as it runs: what it said, and how it ended. */
class Process {
  log = '';
  readonly #child;
  readonly exit: Promise<number | NodeJS.Signals | null>;

  constructor(...args: string[]) {
    this.#child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream.on('data', (chunk) => {
        this.log += String(chunk);
      });
    }
    this.exit = once(this.#child, 'close').then(([code, signal]) => code ?? signal);
    running.add(this);
    void this.exit.then(() => running.delete(this));
  }

  get pid(): number {
    return this.#child.pid!;
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }
}
const running = new Set<Process>();

const ends = async (...args: string[]) => {
  const process = new Process(...args);
  return { code: await process.exit, log: process.log };
};

/** Starts one on a socket and opens its line. */
async function onSocket(file = storage) {
  const link = place();
  const process = new Process('--storage', file, '--link', `unix:${link}`);
  await until('its socket', async () => existsSync(link) || running.size === 0);
  return { process, link, line: await Line.open(link) };
}

async function startPayload(line: Line): Promise<Buffer> {
  return Buffer.from((await line.ask(`I${hex(0, 4)}`)) + (await line.ask(`I${hex(64, 4)}`)), 'hex');
}

describe.skipIf(process.env.METERTIME_NATIVE_FUZZ === 'skip')('a process', () => {
  beforeAll(async () => {
    program = (await buildEchoFirmware('posix')).elfPath;
    storage = place();
    writeFileSync(storage, Buffer.alloc(board.storage.bytes, 0xff));
  }, 120_000);
  afterEach(async () => {
    for (const one of running) {
      one.kill('SIGKILL');
      await one.exit;
    }
  });
  afterAll(() => temporary.remove());

  it.each([
    ['no arguments', [], /--storage FILE is missing/],
    ['an unknown way of AES', ['--aes', 'fast'], /expected bitsliced or table/],
    ['no link', ['--storage', 'x'], /--link LINK is missing/],
    ['an unknown option', ['--colour', 'red'], /colour.*--help/s],
    ['an argument too many', ['--storage', 'x', '--link', 'y', 'z'], /z is not expected/],
  ])('says what is wrong with %s', async (_, args, message) => {
    const { code, log } = await ends(...args);
    expect(log).toMatch(message);
    expect(code).toBe(2);
  });

  it('says how it is used, and what it is', async () => {
    expect(await ends('--help')).toMatchObject({ code: 0, log: expect.stringMatching(/--storage FILE.*unix:PATH/s) });
    expect(await ends('--version')).toMatchObject({ code: 0, log: expect.stringMatching(/^posix \d/) });
  });

  it('refuses a link that it does not know, a baud that no line has, and what is no terminal', async () => {
    const link = async (text: string) => ends('--storage', storage, '--link', text);
    expect(await link('tcp:1')).toMatchObject({ code: 2, log: expect.stringMatching(/expected unix:PATH, pty:PATH/) });
    expect(await link(`serial:${storage}?baud=x`)).toMatchObject({
      code: 2,
      log: expect.stringMatching(/baud=NUMBER/),
    });
    expect(await link(`serial:${storage}`)).toMatchObject({ code: 1, log: expect.stringMatching(/ioctl/) });
    expect(await link(`unix:${place()}/none`)).toMatchObject({ code: 1, log: expect.stringMatching(/No such file/) });
    expect(await link(`unix:/${'x'.repeat(120)}`)).toMatchObject({
      code: 2,
      log: expect.stringMatching(/a shorter one/),
    });
  });

  it('refuses a storage that is not there, is no file, has another size, or is in use', async () => {
    const at = async (file: string) => ends('--storage', file, '--link', `unix:${place()}`);
    expect(await at(place())).toMatchObject({ code: 1, log: expect.stringMatching(/metertime provision/) });
    expect(await at('/dev/null')).toMatchObject({ code: 1, log: expect.stringMatching(/is not a file/) });
    const small = place();
    writeFileSync(small, Buffer.alloc(1152));
    expect(await at(small)).toMatchObject({ code: 1, log: expect.stringMatching(/has 1152 bytes, expected 524288/) });
    await onSocket();
    expect(await at(storage)).toMatchObject({ code: 1, log: expect.stringMatching(/in use by another meter/) });
  });

  it.skipIf(refusal !== undefined)('refuses a storage on a disk that has no room for all of it', async () => {
    const folder = place();
    const run = `mkdir ${folder} && mount -t tmpfs -o size=64k none ${folder} &&
      truncate -s ${board.storage.bytes} ${folder}/s && ${program} --storage ${folder}/s --link unix:${folder}/l`;
    const { stderr, code } = await promisify(execFile)('unshare', [unshare, 'sh', '-c', run]).then(
      () => ({ stderr: '', code: 0 }),
      (error: { stderr: string; code: number }) => error,
    );
    expect(stderr).toMatch(/no room for the whole storage .*No space left/);
    expect(code).toBe(1);
  });

  it('keeps what was there where a write fails, says so once, and writes again when it can', async () => {
    const file = place();
    writeFileSync(file, Buffer.alloc(board.storage.bytes, 0xff));
    const { process, line } = await onSocket(file);
    const write = (data: string) => line.ask(`W${hex(0x2000, 8)}${data.repeat(32)}`);
    const limit = (bytes: string) =>
      promisify(execFile)('prlimit', ['--pid', String(process.pid), `--fsize=${bytes}:`]);
    expect(await write('11')).toMatch(/00$/);
    await limit('4096');
    expect(await write('22')).toMatch(/01$/);
    expect(await write('22')).toMatch(/01$/);
    expect(readFileSync(file).subarray(0x2000, 0x2020).toString('hex')).toBe('11'.repeat(32));
    expect(process.log.match(/cannot be written: File too large/g)).toHaveLength(1);
    await limit('unlimited');
    expect(await write('22')).toMatch(/00$/);
    expect(readFileSync(file).subarray(0x2000, 0x2020).toString('hex')).toBe('22'.repeat(32));
    truncateSync(file, 0x2010);
    expect(await line.ask(`R${hex(0x2000, 8)}${hex(32, 4)}`)).toBe('00200000');
  });

  it.each(['SIGTERM', 'SIGINT', 'SIGHUP'] as const)('ends cleanly by %s', async (signal) => {
    const { process, link } = await onSocket();
    process.kill(signal);
    expect(await process.exit).toBe(0);
    expect(existsSync(link)).toBe(false);
  });

  it('starts anew after a fault, on the same line and with its storage still locked', async () => {
    const { process, line } = await onSocket();
    await line.ask('Eone');
    process.kill('SIGSEGV');
    expect((await line.receive()).text).toBe('!');
    let payload = await startPayload(line);
    expect(payload[StartField.ResetCause]).toBe(ResetCause.Trap);
    expect(payload.readUInt32LE(StartField.TrapCode)).toBe(TrapCode.Fault + 11);
    expect((await ends('--storage', storage, '--link', `unix:${place()}`)).log).toMatch(/in use/);
    // Out of its stack; from the second failure in a row on it waits.
    line.send('Xr');
    expect((await line.receive()).text).toBe('!');
    payload = await startPayload(line);
    expect(payload.readUInt32LE(StartField.TrapCode)).toBe(TrapCode.Fault + 11);
    process.kill('SIGTERM');
    expect(await process.exit).toBe(0);
  });

  it('takes one gateway after the other', async () => {
    const { line, link } = await onSocket();
    expect(parseEcho(await line.ask('Eone')).data).toBe('one');
    const second = await Line.open(link);
    second.send('Etwo');
    line.close();
    expect(parseEcho((await second.receive()).text.slice(1)).data).toBe('two');
    second.close();
  });

  it('has a pseudo terminal as its line', async () => {
    const link = place();
    const process = new Process('--storage', storage, '--link', `pty:${link}`);
    await until('its terminal', async () => existsSync(link));
    for (const text of ['one', 'two']) {
      const terminal = new ReadStream(openSync(link, 'r+'));
      const heard: Buffer[] = [];
      terminal.on('data', (chunk) => heard.push(chunk));
      terminal.setRawMode(true);
      writeFileSync(link, `\0E${text}\0`);
      await until('an answer', async () => Buffer.concat(heard).includes(`${text}\0`));
      terminal.destroy();
    }
    process.kill('SIGTERM');
    expect(await process.exit).toBe(0);
    expect(() => lstatSync(link)).toThrow();
  });

  it('has a serial device as its line, and ends when that is gone', async () => {
    const [near, far] = [place(), place()];
    const tool = debianTool('socat');
    if (!tool.ok) throw new Error(tool.reason);
    const ends = [near, far].map((link) => `pty,raw,echo=0,link=${link}`);
    const socat = spawn(tool.path, [...tool.args, ...ends], { env: { ...process.env, ...tool.env } });
    await until('two terminals', async () => existsSync(near) && existsSync(far));
    const meter = new Process('--storage', storage, '--link', `serial:${near}?baud=9600`);
    const terminal = new ReadStream(openSync(far, 'r+'));
    const heard: Buffer[] = [];
    terminal.on('data', (chunk) => heard.push(chunk));
    terminal.on('error', () => {});
    // What came before it opened the device is dropped.
    await until('its greeting', async () => Buffer.concat(heard).includes('!'));
    writeFileSync(far, '\0Ehello\0');
    await until('an answer', async () => Buffer.concat(heard).includes('hello\0'));
    socat.kill('SIGKILL');
    expect(await meter.exit).toBe(1);
    expect(meter.log).toMatch(/the link serial:.* is gone/);
    terminal.destroy();
  });
});
