// A DNS server (RFC 1035) on loopback, UDP and TCP, that answers what it is told to; and the messages to tell it.
import { createSocket, type Socket } from 'node:dgram';
import { promises as dns } from 'node:dns';
import { createServer, type Server, type Socket as TcpSocket } from 'node:net';
import type { Address } from '../../host/net/dns.ts';
import type { Lookup } from '../../host/net/lookup.ts';
import { u16 } from '../../host/setup/ke-records.ts';

export const typeA = 1;
export const typeCname = 5;

export interface Question {
  readonly id: Buffer;
  readonly type: number;
  /** As it stands in the query: name, type, class. */
  readonly bytes: Buffer;
}

export type DnsAnswer = (question: Question) => Buffer | undefined;

export class HostileDns {
  answer: DnsAnswer = genuine;
  questions = 0;
  /** Over TCP, once a question was cut off. */
  stream: ((socket: TcpSocket, question: Question) => void) | undefined;
  readonly #udp: Socket;
  readonly #tcp: Server;
  readonly #open = new Set<TcpSocket>();

  private constructor(udp: Socket, tcp: Server) {
    this.#udp = udp;
    this.#tcp = tcp;
    udp.on('message', (query, from) => {
      this.questions++;
      const answer = this.answer(questionOf(query));
      if (answer !== undefined) udp.send(answer, from.port, from.address);
    });
    udp.on('error', () => {});
    tcp.on('connection', (socket) => {
      this.#open.add(socket);
      socket.on('close', () => this.#open.delete(socket));
      socket.on('error', () => {});
      socket.once('data', (query) => this.stream?.(socket, questionOf(query.subarray(2))));
    });
  }

  /** @param port by default a free one */
  static async start(port = 0): Promise<HostileDns> {
    const udp = createSocket('udp4');
    await new Promise<void>((resolve) => udp.bind(port, '127.0.0.1', resolve));
    const tcp = createServer();
    await new Promise<void>((resolve) => tcp.listen(udp.address().port, '127.0.0.1', resolve));
    return new HostileDns(udp, tcp);
  }

  /** Asks this server, as a gateway's machine would. */
  lookup(): Lookup {
    return async (host) => {
      const resolver = new dns.Resolver({ timeout: 200, tries: 1 });
      resolver.setServers([`127.0.0.1:${this.#udp.address().port}`]);
      const found = await Promise.allSettled([resolver.resolve4(host), resolver.resolve6(host)]);
      const addresses = found.flatMap((one, at) =>
        one.status === 'fulfilled' ? one.value.map((address): Address => ({ address, family: at === 0 ? 4 : 6 })) : [],
      );
      const failed = found.find((one) => one.status === 'rejected');
      if (addresses.length === 0 && failed !== undefined) throw failed.reason;
      return addresses;
    };
  }

  async stop(): Promise<void> {
    for (const socket of this.#open) socket.destroy();
    await new Promise<void>((resolve) => this.#udp.close(resolve));
    await new Promise<void>((resolve) => this.#tcp.close(() => resolve()));
  }
}

/** Whom a question is about, in lower case and without the dot at the end. */
export function nameOf({ bytes }: Question): string {
  const labels: string[] = [];
  for (let at = 0; bytes[at] !== 0; at += 1 + bytes[at]!)
    labels.push(bytes.toString('latin1', at + 1, at + 1 + bytes[at]!));
  return labels.join('.').toLowerCase();
}

function questionOf(query: Buffer): Question {
  let end = 12;
  while (query[end] !== 0) end += 1 + query[end]!;
  return { id: query.subarray(0, 2), type: query.readUInt16BE(end + 1), bytes: query.subarray(12, end + 5) };
}

/** A message of RFC 1035 4: flags, counts that may lie, and what follows the question. */
export function message(
  { id, bytes }: Question,
  answers: Buffer[],
  { flags = 0x8180, count = answers.length } = {},
): Buffer {
  return Buffer.concat([id, u16(flags), u16(1), u16(count), u16(0), u16(0), bytes, ...answers]);
}

/** A resource record of the name at `owner`, by default the question's. */
export function resource(type: number, data: Uint8Array, { owner = u16(0xc00c), length = data.length } = {}): Buffer {
  return Buffer.concat([owner, u16(type), u16(1), Buffer.alloc(4), u16(length), data]);
}

const label = (text: string) => Buffer.concat([Buffer.of(text.length), Buffer.from(text)]);
export const domain = (text: string) => Buffer.concat([...text.split('.').map(label), Buffer.of(0)]);
export const loopback = Buffer.of(127, 0, 0, 1);

export const genuine: DnsAnswer = (question) =>
  message(question, question.type === typeA ? [resource(typeA, loopback)] : []);
