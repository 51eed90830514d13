// A line between a gateway and an emulator's link that can be cut at any byte: a unix socket in front of another.
import { rmSync } from 'node:fs';
import { createConnection, createServer, type Server, type Socket } from 'node:net';

export type Direction = 'toMeter' | 'toGateway';

export class CuttableLine {
  /** Bytes passed on so far. */
  readonly passed: Record<Direction, number> = { toMeter: 0, toGateway: 0 };
  cuts = 0;
  readonly #sockets = new Set<Socket>();
  #cut: { readonly direction: Direction; at: number; done: () => void } | undefined;

  private constructor(
    private readonly server: Server,
    private readonly path: string,
  ) {}

  /** Listens on `path` for the gateway; each of its connections is passed on to `link`. */
  static start(path: string, link: string): Promise<CuttableLine> {
    const server = createServer();
    const line = new CuttableLine(server, path);
    server.on('connection', (gateway) => {
      const meter = createConnection({ path: link });
      const end = () => {
        gateway.destroy();
        meter.destroy();
      };
      for (const socket of [gateway, meter]) {
        line.#sockets.add(socket);
        socket.on('error', end);
        socket.on('close', () => {
          line.#sockets.delete(socket);
          end();
        });
      }
      gateway.on('data', (chunk) => line.#pass('toMeter', chunk, meter, end));
      meter.on('data', (chunk) => line.#pass('toGateway', chunk, gateway, end));
    });
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(path, () => resolve(line));
    });
  }

  #pass(direction: Direction, chunk: Buffer, to: Socket, end: () => void): void {
    const cut = this.#cut;
    if (cut?.direction !== direction || cut.at >= chunk.length) {
      if (cut?.direction === direction) cut.at -= chunk.length;
      this.passed[direction] += chunk.length;
      to.write(chunk);
      return;
    }
    this.#cut = undefined;
    this.passed[direction] += cut.at;
    this.cuts++;
    // What was written before the cut still arrives.
    if (cut.at === 0) end();
    else to.write(chunk.subarray(0, cut.at), end);
    cut.done();
  }

  /** Cuts the connection after so many further bytes in a direction; resolves when that has happened. */
  cutAfter(bytes: number, direction: Direction): Promise<void> {
    return new Promise((done) => {
      this.#cut = { direction, at: bytes, done };
    });
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) => this.server.close(() => resolve()));
    rmSync(this.path, { force: true });
  }
}
