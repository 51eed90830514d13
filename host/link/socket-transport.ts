// Links over TCP and unix sockets: the gateway connects to a meter, or meters connect to the gateway.
import { EventEmitter } from 'node:events';
import { statSync, unlinkSync } from 'node:fs';
import { connect, createServer, type NetConnectOpts, type Server, type Socket } from 'node:net';
import { socketLookup } from '../net/lookup.ts';
import { errorText } from '../net/socket-error.ts';
import { AcceptedLinks, type AcceptLimits } from './accepted-links.ts';
import { DuplexTransport } from './duplex-transport.ts';
import { LinkError, type LinkTransport } from './transport.ts';

/** Where a socket is: TCP, or a path in the file system. */
export type SocketAddress = { readonly host: string; readonly port: number } | { readonly path: string };

const connectTimeoutMs = 10_000;

/** Connects to a meter, again and again when the connection is lost. */
export function connectSocket(address: SocketAddress): LinkTransport {
  const name = 'path' in address ? `unix:${address.path}` : `tcp://${hostPort(address.host, address.port)}`;
  return new DuplexTransport({ name, connect: (signal) => open({ ...address, lookup: socketLookup }, signal) });
}

function open(options: NetConnectOpts, signal: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(options);
    const fail = (error: Error) => {
      socket.destroy();
      reject(error);
    };
    const stop = () => fail(new LinkError('link-closed', 'the link was closed'));
    const timer = setTimeout(
      () => fail(new LinkError('link-closed', `no answer within ${connectTimeoutMs} ms`)),
      connectTimeoutMs,
    );
    const settle = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', stop);
    };
    socket.once('connect', () => {
      settle();
      socket.removeListener('error', fail);
      prepare(socket);
      resolve(socket);
    });
    socket.once('error', fail);
    socket.once('close', settle);
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) stop();
  });
}

function prepare(socket: Socket): void {
  socket.setNoDelay(true);
  // Without traffic a peer that vanished is found after about a minute.
  socket.setKeepAlive(true, 30_000);
}

function hostPort(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

export interface ListenerEvents {
  /**
   * A meter connected; the transport is started by whoever takes it, who also tells when a session stands on it and
   * when it does no more: a connection that is without one for too long is closed.
   */
  link: [transport: LinkTransport, tellSession: (stands: boolean) => void];
  /** A connection was not taken in, or was closed because it had no session. */
  turnedAway: [peer: string, reason: string];
  /** It stopped accepting meters. */
  failed: [Error];
}

/** Waits for meters that connect; each connection is a link. */
export class LinkListener extends EventEmitter<ListenerEvents> {
  readonly name: string;
  readonly #address: SocketAddress;
  readonly #server: Server;
  readonly #accepted: AcceptedLinks;
  #count = 0;

  constructor(address: SocketAddress, limits?: Partial<AcceptLimits>) {
    super();
    this.#address = address;
    this.#accepted = new AcceptedLinks(limits);
    this.name =
      'path' in address ? `unix-listen:${address.path}` : `tcp-listen://${hostPort(address.host, address.port)}`;
    this.#server = createServer({ noDelay: true, pauseOnConnect: true }, (socket) => this.#accept(socket));
  }

  /** TCP port that it listens on; 0 on a unix socket. */
  get port(): number {
    const bound = this.#server.address();
    return typeof bound === 'object' && bound !== null ? bound.port : 0;
  }

  #accept(socket: Socket): void {
    const peer =
      'path' in this.#address
        ? `${this.name}#${++this.#count}`
        : `tcp://${hostPort(socket.remoteAddress ?? '?', socket.remotePort ?? 0)}`;
    // Until somebody starts the transport, an error is only an end.
    socket.on('error', () => {});
    const transport = new DuplexTransport({ name: peer, connect: async () => socket, reconnect: false });
    const turnAway = (reason: string) => {
      void transport.close();
      socket.destroy();
      this.emit('turnedAway', peer, reason);
    };
    const refused = this.#accepted.admit(socket, turnAway);
    if (refused !== undefined) {
      turnAway(refused);
      return;
    }
    prepare(socket);
    const tellSession = (stands: boolean) => this.#accepted.session(socket, stands);
    if (!this.emit('link', transport, tellSession)) socket.destroy();
  }

  /** @throws LinkError link-listen */
  async start(): Promise<void> {
    try {
      await this.#listen();
    } catch (error) {
      const address = this.#address;
      const inUse = (error as NodeJS.ErrnoException).code === 'EADDRINUSE';
      if (inUse && 'path' in address && (await isStale(address.path))) {
        unlinkSync(address.path);
        return this.start();
      }
      throw new LinkError('link-listen', `${this.name}: ${listenProblem(error, address)}`, { cause: error });
    }
  }

  #listen(): Promise<void> {
    return new Promise((resolve, reject) => {
      const fail = (error: Error) => {
        this.#server.removeListener('listening', done);
        reject(error);
      };
      const done = () => {
        this.#server.removeListener('error', fail);
        this.#server.on('error', (error) => this.emit('failed', error));
        resolve();
      };
      this.#server.once('error', fail);
      this.#server.once('listening', done);
      this.#server.listen({ ...this.#address });
    });
  }

  /** Stops listening; links that were accepted stay as they are. */
  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      // The callback waits for accepted connections, which belong to others by now.
      resolve();
    });
  }
}

/** Why nobody can connect, and what to do, as far as the system says it. */
function listenProblem(error: unknown, address: SocketAddress): string {
  const isPath = 'path' in address;
  switch ((error as NodeJS.ErrnoException).code) {
    case 'EADDRINUSE':
      return isPath
        ? 'another program listens there, perhaps another gateway, or the path is no socket; end that one, or name another path'
        : 'another program listens there, perhaps another gateway; end that one, or name another port';
    case 'EADDRNOTAVAIL':
      return 'this machine has no such address; name one of its own, or 0.0.0.0 or [::] for all';
    case 'EACCES':
      return isPath
        ? 'permission denied; the user of the gateway must be allowed to write to the folder'
        : 'permission denied; only privileged programs listen on ports below 1024';
    case 'ENOENT':
      return 'its folder does not exist';
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return 'the name of the host cannot be found; name an address of this machine';
    default:
      return `cannot listen: ${errorText(error)}`;
  }
}

/** Nobody listens behind this socket file any more. Any other file looks so, too, and is left alone. */
async function isStale(path: string): Promise<boolean> {
  if (!statSync(path).isSocket()) return false;
  return new Promise((resolve) => {
    const socket = connect({ path });
    socket.once('connect', () => {
      socket.destroy();
      resolve(false);
    });
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'ECONNREFUSED'));
  });
}
