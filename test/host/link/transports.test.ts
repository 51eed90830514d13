// Transports: sockets that come back, listeners, serial ports on a pseudo-terminal, pairs and faults.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createConnection, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { damage, FaultyTransport, seededRandom } from '../../../host/link/faults.ts';
import { kernelPorts } from '../../../host/link/serial-transport.ts';
import { createPair, LinkListener, LinkTransport, listSerialPorts, openLink } from '../../../host/link/transports.ts';

let folder: string;
const open: { close(): unknown }[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'metertime-link-'));
});
afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
  rmSync(folder, { recursive: true });
});

function connect(url: string): LinkTransport {
  const link = openLink(url);
  expect(link).toBeInstanceOf(LinkTransport);
  open.push(link);
  return link as LinkTransport;
}

async function listenOn(url: string): Promise<LinkListener> {
  const link = openLink(url) as LinkListener;
  expect(link).toBeInstanceOf(LinkListener);
  await link.start();
  open.push(link);
  return link;
}

function collect(transport: LinkTransport): { text: () => string } {
  const chunks: Uint8Array[] = [];
  transport.on('data', (chunk, stampNs) => {
    expect(stampNs).toBeLessThanOrEqual(process.hrtime.bigint());
    chunks.push(chunk);
  });
  return { text: () => Buffer.concat(chunks).toString('latin1') };
}

describe('sockets', () => {
  test.each(['tcp', 'unix'])('%s: data both ways, a lost connection comes back', async (kind) => {
    const listener = await listenOn(kind === 'tcp' ? 'tcp-listen://127.0.0.1:0' : `unix-listen:${folder}/m.sock`);
    const accepted: LinkTransport[] = [];
    listener.on('link', (link) => {
      accepted.push(link);
      link.on('data', (chunk) => void link.write(Buffer.from(`re: ${Buffer.from(chunk)}`)));
      link.start();
    });
    const meter = connect(kind === 'tcp' ? `tcp://127.0.0.1:${listener.port}` : `unix:${folder}/m.sock`);
    const heard = collect(meter);
    let downs = 0;
    meter.on('down', () => downs++);
    meter.start();
    await once(meter, 'up');
    expect(meter.isUp).toBe(true);
    await meter.write(Buffer.from('one'));
    await expect.poll(heard.text).toBe('re: one');

    const ended = once(accepted[0]!, 'closed');
    await accepted[0]!.close();
    await ended;
    await once(meter, 'up');
    expect(downs).toBe(1);
    await meter.write(Buffer.from(' two'));
    await expect.poll(heard.text).toBe('re: onere:  two');
  });

  test('a meter that is not there yet is found when it comes', async () => {
    const path = join(folder, 'late.sock');
    const meter = connect(`unix:${path}`);
    const reasons: string[] = [];
    meter.on('down', (reason) => reasons.push(reason));
    meter.start();
    await meter.write(Buffer.from('lost'));
    await expect.poll(() => reasons.length).toBeGreaterThan(0);
    const server: Server = createServer((socket) => socket.end()).listen(path);
    open.push(server);
    await once(meter, 'up');
    expect(reasons[0]).toMatch(/ENOENT/);
  });

  test('a socket file that a dead gateway left is replaced, one that is served is not', async () => {
    const path = join(folder, 'g.sock');
    const dead = spawn(process.execPath, [
      '-e',
      `require('net').createServer().listen('${path}', () => console.log())`,
    ]);
    await once(dead.stdout, 'data');
    await expect((openLink(`unix-listen:${path}`) as LinkListener).start()).rejects.toMatchObject({
      code: 'link-listen',
    });
    dead.kill('SIGKILL');
    await once(dead, 'exit');
    expect(existsSync(path)).toBe(true);
    const listener = await listenOn(`unix-listen:${path}`);
    listener.on('link', (link) => link.start());
    const meter = connect(`unix:${path}`);
    meter.start();
    await once(meter, 'up');
  });

  test('a file that is no socket is never replaced', async () => {
    const path = join(folder, 'notes.txt');
    writeFileSync(path, 'kept');
    await expect((openLink(`unix-listen:${path}`) as LinkListener).start()).rejects.toMatchObject({
      code: 'link-listen',
      message: expect.stringContaining('the path is no socket'),
    });
    expect(readFileSync(path, 'utf8')).toBe('kept');
  });

  test.each([
    ['tcp-listen://192.0.2.1:0', 'this machine has no such address'],
    ['tcp-listen://nothing.invalid:0', 'the name of the host cannot be found'],
    ['unix-listen:/nowhere/m.sock', /its folder does not exist|permission denied/],
  ])('%s: said why nobody can connect', async (url, why) => {
    const failure = (openLink(url) as LinkListener).start();
    await expect(failure).rejects.toMatchObject({ code: 'link-listen', message: expect.stringMatching(why) });
    await expect(failure).rejects.toThrow(url);
  });

  test('a connection without a session is closed after a while, one that lost its session too', async () => {
    const listener = openLink('tcp-listen://127.0.0.1:0', { sessionMs: 300 }) as LinkListener;
    await listener.start();
    open.push(listener);
    const told: string[] = [];
    listener.on('turnedAway', (_peer, reason) => told.push(reason));
    const tells: ((stands: boolean) => void)[] = [];
    const ended: number[] = [];
    listener.on('link', (link, tellSession) => {
      const index = tells.push(tellSession) - 1;
      link.on('closed', () => ended.push(index));
      if (index === 0) tellSession(true);
      link.start();
    });
    const sockets = [0, 1].map(() => createConnection(listener.port, '127.0.0.1').resume());
    open.push({ close: () => sockets.map((socket) => socket.destroy()) });
    await expect.poll(() => ended).toEqual([1]);
    expect(told).toEqual(['it had no session for 0.3 s']);
    tells[0]!(false);
    await expect.poll(() => ended).toEqual([1, 0]);
    expect(told).toHaveLength(2);
  });

  test('close() ends a connection that is being made', async () => {
    const meter = openLink('tcp://192.0.2.1:4059') as LinkTransport;
    meter.start();
    const closed = once(meter, 'closed');
    await meter.close();
    await closed;
  });

  test('a flood is read no faster than the limit', async () => {
    const listener = await listenOn('tcp-listen://127.0.0.1:0');
    let taken = 0;
    listener.on('link', (link) => {
      link.on('data', (chunk) => {
        taken += chunk.length;
      });
      link.start();
    });
    const meter = connect(`tcp://127.0.0.1:${listener.port}`);
    meter.start();
    await once(meter, 'up');
    const startMs = performance.now();
    const total = 640 * 1024;
    for (let sent = 0; sent < total; sent += 65_536) await meter.write(new Uint8Array(65_536));
    await expect.poll(() => taken, { timeout: 20_000 }).toBe(total);
    // 128 KB at once, the other 512 KB at 192 KB a second.
    expect(performance.now() - startMs).toBeGreaterThan(2_000);
  });
});

describe('serial ports', () => {
  /** A pseudo-terminal: its path, and the other end as this process's streams. */
  async function openTerminal() {
    const child = spawn('script', ['-qfec', 'tty; stty raw -echo; exec sleep 60', '/dev/null']);
    open.push({ close: () => child.kill('SIGKILL') });
    let text = '';
    child.stdout.on('data', (chunk) => {
      text += chunk.toString('latin1');
    });
    await expect.poll(() => /\/dev\/pts\/\d+\r?\n/.test(text)).toBe(true);
    const path = /\/dev\/pts\/\d+/.exec(text)![0];
    return { path, child, rest: () => text.slice(text.indexOf('\n') + 1) };
  }

  test('data both ways', async () => {
    const terminal = await openTerminal();
    const link = connect(`serial:${terminal.path}?baud=115200`);
    const heard = collect(link);
    link.start();
    await once(link, 'up');
    await link.write(Buffer.from('to the meter'));
    await expect.poll(terminal.rest).toBe('to the meter');
    terminal.child.stdin.write('from the meter');
    await expect.poll(heard.text).toBe('from the meter');

    // Closed means given back: the next one can have the port.
    await link.close();
    const again = connect(`serial:${terminal.path}`);
    again.start();
    await once(again, 'up');
    const other = connect(`serial:${terminal.path}`);
    const refused = once(other, 'down');
    other.start();
    expect((await refused)[0]).toMatch(/another program has the port open/);
  });

  test('an adapter that is unplugged is down, and open again when it is back', async () => {
    const port = join(folder, 'ttyUSB0');
    const first = await openTerminal();
    symlinkSync(first.path, port);
    const link = connect(`serial:${port}`);
    const heard = collect(link);
    link.start();
    await once(link, 'up');
    const down = once(link, 'down');
    first.child.kill('SIGKILL');
    await down;
    expect(link.isUp).toBe(false);
    rmSync(port);
    const second = await openTerminal();
    symlinkSync(second.path, port);
    await once(link, 'up');
    second.child.stdin.write('back');
    await expect.poll(heard.text).toBe('back');
  });

  test('a port that is not there says so, and is tried again', async () => {
    const link = connect(`serial:${folder}/ttyUSB9`);
    const reasons: string[] = [];
    link.on('down', (reason) => reasons.push(reason));
    link.start();
    await expect.poll(() => reasons.length, { timeout: 10_000 }).toBeGreaterThan(1);
    expect(reasons[0]).toMatch(/no such port/);
  });

  test('the list works with and without udevadm', async () => {
    const path = process.env.PATH;
    expect(await listSerialPorts()).toBeInstanceOf(Array);
    process.env.PATH = folder;
    try {
      const ports = await listSerialPorts();
      expect(ports.map((port) => port.path)).toEqual(kernelPorts());
    } finally {
      process.env.PATH = path;
    }
  });

  test('of the kernel’s ports those with a device count', () => {
    for (const [name, device] of [
      ['ttyUSB0', '../usb1/1-1'],
      ['ttyS0', '../serial8250'],
      ['ttyACM3', '../cdc'],
    ] as const) {
      mkdirSync(join(folder, name));
      symlinkSync(device, join(folder, name, 'device'));
    }
    mkdirSync(join(folder, 'tty0'));
    expect(kernelPorts(folder)).toEqual(['/dev/ttyACM3', '/dev/ttyUSB0']);
    expect(kernelPorts(join(folder, 'none'))).toEqual([]);
  });
});

describe('pairs and faults', () => {
  test('what one end writes the other receives; closing one closes both', async () => {
    const [a, b] = createPair();
    const heard = collect(b);
    a.start();
    await a.write(Buffer.from('early '));
    b.start();
    await a.write(Buffer.from('late'));
    expect(heard.text()).toBe('early late');
    const closed = once(b, 'closed');
    await a.close();
    await closed;
    expect(b.isUp).toBe(false);
  });

  test('the same seed does the same harm', () => {
    const bytes = new Uint8Array(10_000).map((_, at) => at);
    const faults = { flip: 0.01, drop: 0.01, duplicate: 0.01, noise: 0.01 };
    const [one, two, three] = [1, 1, 2].map((seed) => damage(bytes, faults, seededRandom(seed)));
    expect(one).toEqual(two);
    expect(one).not.toEqual(three);
    expect(damage(bytes, {}, seededRandom(1))).toEqual(bytes);
  });

  test.each([
    ['flip', (came: number) => came === 10_000],
    ['drop', (came: number) => came > 9_300 && came < 9_700],
    ['duplicate', (came: number) => came > 10_300 && came < 10_700],
    ['noise', (came: number) => came > 10_300 && came < 10_700],
  ] as const)('%s at 1 in 20', (fault, plausible) => {
    const bytes = new Uint8Array(10_000);
    const came = damage(bytes, { [fault]: 0.05 }, seededRandom(7));
    expect(plausible(came.length), `${came.length} bytes`).toBe(true);
    if (fault === 'flip') expect(came.filter((byte) => byte !== 0).length).toBeGreaterThan(300);
  });

  test('cut and repeat take whole writes', () => {
    const bytes = new Uint8Array(100).fill(1);
    expect(damage(bytes, { cut: 1 }, seededRandom(3)).length).toBeLessThan(100);
    expect(damage(bytes, { repeat: 1 }, seededRandom(3)).length).toBe(200);
  });

  test('a line’s speed', async () => {
    const [a, b] = createPair();
    const line = new FaultyTransport(a, { seed: 1, bytesPerSecond: 11_520 });
    open.push(line);
    const heard = collect(b);
    b.start();
    line.start();
    const startMs = performance.now();
    for (let at = 0; at < 10; at++) await line.write(Buffer.alloc(256, 'x'));
    const tookMs = performance.now() - startMs;
    expect(heard.text()).toHaveLength(2_560);
    expect(tookMs).toBeGreaterThan(210);
    expect(tookMs).toBeLessThan(2_000);
  });
});
