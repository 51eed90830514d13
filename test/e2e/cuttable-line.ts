// A line of sockets (TCP or unix) that can be cut at any byte, and be kept closed for a while.
// What always holds: what was passed on before a cut arrives; nothing behind it does.
import {
  type AddressInfo,
  createConnection,
  createServer,
  type NetConnectOpts,
  type Server,
  type Socket,
} from 'node:net';

/** From those who connect to the target, and back. */
export type Direction = 'forth' | 'back';

export class CuttableLine {
  cuts = 0;
  /** Nothing is passed on in this direction, as if it were lost on its way. */
  deaf: Direction | undefined;
  #isOpen = true;
  readonly #sockets = new Set<Socket>();
  #cut: { readonly direction: Direction; at: number; done: () => void } | undefined;

  private constructor(private readonly server: Server) {}

  /** Listens at `at`, a path or a port of this machine (0 for any); each connection is passed on to `target`. */
  static start(at: string | number, target: NetConnectOpts): Promise<CuttableLine> {
    const server = createServer();
    const line = new CuttableLine(server);
    server.on('connection', (near) => line.#connect(near, target));
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(typeof at === 'string' ? { path: at } : { port: at, host: '127.0.0.1' }, () => resolve(line));
    });
  }

  /** Where it listens, of a line over TCP. */
  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  #connect(near: Socket, target: NetConnectOpts): void {
    near.on('error', () => {});
    if (!this.#isOpen) {
      near.destroy();
      return;
    }
    const far = createConnection(target);
    const end = () => {
      near.destroy();
      far.destroy();
    };
    for (const socket of [near, far]) {
      this.#sockets.add(socket);
      socket.on('error', end);
      socket.on('close', () => {
        this.#sockets.delete(socket);
        end();
      });
    }
    near.on('data', (chunk) => this.#pass('forth', chunk, far, end));
    far.on('data', (chunk) => this.#pass('back', chunk, near, end));
  }

  #pass(direction: Direction, chunk: Buffer, to: Socket, end: () => void): void {
    if (direction === this.deaf) return;
    const cut = this.#cut;
    if (cut?.direction !== direction || cut.at >= chunk.length) {
      if (cut?.direction === direction) cut.at -= chunk.length;
      to.write(chunk);
      return;
    }
    this.#cut = undefined;
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

  /** Ends all connections without a word. */
  sever(): void {
    for (const socket of this.#sockets) {
      if (socket.remoteFamily === undefined) socket.destroy();
      else socket.resetAndDestroy();
    }
  }

  /** Ends all connections, and takes none before `open`. */
  close(): void {
    this.#isOpen = false;
    for (const socket of this.#sockets) socket.destroy();
  }

  open(): void {
    this.#isOpen = true;
  }

  async stop(): Promise<void> {
    this.close();
    await new Promise<void>((resolve) => this.server.close(() => resolve()));
  }
}
