// One exchange over UDP against real sockets: its source port, who is heard, its stamps, and how it ends.
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { afterEach, expect, test } from 'vitest';
import { Failure } from '../../../as/abi/codes.ts';
import type { SocketError } from '../../../host/net/socket-error.ts';
import { UdpExchange, type UdpExchangeOptions } from '../../../host/net/udp.ts';

const open: { close(): unknown }[] = [];
afterEach(() => {
  for (const one of open.splice(0)) one.close();
});

async function bind(host = '127.0.0.1'): Promise<{ socket: Socket; port: number }> {
  const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4');
  socket.bind(0, host);
  await once(socket, 'listening');
  open.push(socket);
  return { socket, port: socket.address().port };
}

function start(port: number, more: Partial<UdpExchangeOptions> = {}): UdpExchange {
  const exchange = new UdpExchange({
    remote: { address: '127.0.0.1', family: 4 },
    port,
    payload: Buffer.from('request'),
    ...more,
  });
  open.push(exchange);
  exchange.start();
  return exchange;
}

test.each([
  ['127.0.0.1', 4],
  ['::1', 6],
] as const)('asks %s and hears its answer; departure lies before arrival', async (address, family) => {
  const { socket, port } = await bind(address);
  socket.on('message', (message, from) => socket.send(`re: ${message}`, from.port, from.address));
  const beforeNs = process.hrtime.bigint();
  const exchange = start(port, { remote: { address, family } });
  const [payload, arrivalNs] = (await once(exchange, 'answer')) as [Uint8Array, bigint];
  expect(Buffer.from(payload).toString()).toBe('re: request');
  expect(exchange.departureNs).toBeGreaterThan(beforeNs);
  expect(arrivalNs).toBeGreaterThan(exchange.departureNs!);
  expect(arrivalNs).toBeLessThan(process.hrtime.bigint());
});

test('source ports do not follow from one another', async () => {
  const { socket, port } = await bind();
  const ports: number[] = [];
  socket.on('message', (_, from) => ports.push(from.port));
  const count = 200;
  for (let at = 0; at < count; at++) start(port);
  await expect.poll(() => ports.length, { timeout: 10_000 }).toBe(count);
  expect(new Set(ports).size).toBe(count);
  const steps = ports.slice(1).map((one, at) => one - ports[at]!);
  // Of 28,232 ports picked at random a neighbour of the one before comes once in some 14,000 times.
  expect(steps.filter((step) => Math.abs(step) <= 2).length).toBeLessThan(5);
  // The standard deviation of that range is 8,150; that of counted ports would be far below.
  const mean = ports.reduce((sum, one) => sum + one, 0) / count;
  const deviation = Math.sqrt(ports.reduce((sum, one) => sum + (one - mean) ** 2, 0) / count);
  expect(deviation).toBeGreaterThan(4_000);
});

test('nobody else is heard', async () => {
  const [server, stranger] = [await bind(), await bind()];
  const answers: string[] = [];
  server.socket.on('message', (_, from) => {
    stranger.socket.send('forged', from.port, from.address, () => {
      server.socket.send('real', from.port, from.address);
    });
  });
  const exchange = start(server.port);
  exchange.on('answer', (payload) => answers.push(Buffer.from(payload).toString()));
  await once(exchange, 'answer');
  expect(answers).toEqual(['real']);
});

test('at most four answers, none above 1,232 bytes; then it ends without an error', async () => {
  const { socket, port } = await bind();
  socket.on('message', (_, from) => {
    socket.send(new Uint8Array(1_233), from.port, from.address);
    for (let at = 0; at < 8; at++) socket.send(new Uint8Array(1_232).fill(at), from.port, from.address);
  });
  const exchange = start(port, { answersMs: 500 });
  const answers: Uint8Array[] = [];
  exchange.on('answer', (payload) => answers.push(payload));
  const [error] = (await once(exchange, 'closed')) as [SocketError | undefined];
  expect(error).toBeUndefined();
  expect(answers.map((one) => one[0])).toEqual([0, 1, 2, 3]);
  expect(answers.every((one) => one.length === 1_232)).toBe(true);
});

test('silence ends in a timeout', async () => {
  const { port } = await bind();
  const [error] = (await once(start(port, { answersMs: 200 }), 'closed')) as [SocketError];
  expect(Failure[error.failure]).toBe('Timeout');
});

test('a port where nothing listens is told at once', async () => {
  const { socket, port } = await bind();
  socket.close();
  open.splice(0);
  const [error] = (await once(start(port), 'closed')) as [SocketError];
  expect(Failure[error.failure]).toBe('Connect');
  expect(error.message).toMatch(/nothing listens/);
});

test('after close() nothing comes', async () => {
  const { socket, port } = await bind();
  const askers: { port: number; address: string }[] = [];
  socket.on('message', (_, from) => askers.push(from));
  const closed = start(port);
  const events: string[] = [];
  closed.on('answer', () => events.push('answer'));
  closed.on('closed', () => events.push('closed'));
  await expect.poll(() => askers.length).toBe(1);
  closed.close();
  const other = start(port);
  await expect.poll(() => askers.length).toBe(2);
  for (const asker of askers) socket.send('late', asker.port, asker.address);
  await once(other, 'answer');
  expect(events).toEqual([]);
});
