// One server process of the lab: started, watched until it serves, stopped, killed, started again with the same ports
// and data. What always holds: none outlives the process that started it, none can set the machine's clock, and its
// folder goes when it is stopped, or with that process.
import { type ChildProcess, spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { debianTool } from '../../scripts/debian.mjs';
import { until } from './until.ts';

/** A server that cannot run; the message ends with what it printed. */
export class LabServerError extends Error {
  constructor(
    readonly code: 'tool-missing' | 'not-started' | 'ended',
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = 'LabServerError';
  }
}

export interface LabServerOptions {
  /** For messages and the folder's name. */
  readonly name: string;
  /** A program of scripts/debian.mjs. */
  readonly tool: string;
  readonly args: readonly string[];
  /** Its files; removed by stop(). By makeFolder(). */
  readonly folder: string;
  /** Whether it serves; tried until it neither throws nor gives false. */
  readonly ready: () => Promise<boolean>;
  /** By default 15 s. */
  readonly readyTimeoutMs?: number;
  /** Starts the command elsewhere, such as in a network namespace. */
  readonly wrap?: (argv: readonly string[]) => string[];
}

const logLimit = 256 * 1024;

export class LabServer {
  private child: ChildProcess | undefined;
  private output = '';
  private served = false;

  constructor(protected readonly options: LabServerOptions) {}

  get name(): string {
    return this.options.name;
  }

  /** Its files; gone after stop(). */
  get folder(): string {
    return this.options.folder;
  }

  get running(): boolean {
    return this.child !== undefined && this.child.exitCode === null && this.child.signalCode === null;
  }

  /** The process id, of the wrapping command when there is one; undefined when it does not run. */
  get pid(): number | undefined {
    return this.running ? this.child?.pid : undefined;
  }

  /** Starts the server and waits until it serves. One that never did leaves no files. */
  async start(): Promise<void> {
    const { name, args, ready, readyTimeoutMs = 15_000, wrap } = this.options;
    const tool = debianTool(this.options.tool);
    if (!tool.ok) throw new LabServerError('tool-missing', tool.reason);
    const environment = Object.entries(tool.env).map(([key, value]) => `${key}=${value}`);
    // The environment is set last, so that the libraries of an unpacked program reach no other program.
    const argv = [...(wrap ? wrap(harmless()) : harmless()), 'env', ...environment, tool.path, ...tool.args, ...args];
    const child = spawn(argv[0]!, argv.slice(1), {
      cwd: this.folder,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.child = child;
    const collect = (chunk: Buffer) => {
      this.output = (this.output + chunk.toString()).slice(-logLimit);
    };
    child.stdout.on('data', collect);
    child.stderr.on('data', collect);
    let spawnError: Error | undefined;
    child.on('error', (error) => {
      spawnError = error;
    });
    endWithProcess.add(this);
    try {
      await until(
        `${name} serving`,
        async () => {
          if (spawnError || !this.running) return true;
          return await ready();
        },
        { timeoutMs: readyTimeoutMs },
      );
      if (spawnError) throw new LabServerError('not-started', `${name} cannot be started`, { cause: spawnError });
      if (!this.running) throw new LabServerError('ended', `${name} ended as soon as it was started`);
    } catch (error) {
      await this.kill();
      const code = error instanceof LabServerError ? error.code : 'not-started';
      const reason = `${(error as Error).message}:\n${this.log(20)}`;
      if (!this.served) removeFolder(this.folder);
      throw new LabServerError(code, reason, { cause: error });
    }
    this.served = true;
  }

  /** Ends the server as its operator would (SIGTERM), and removes its files. */
  async stop(): Promise<void> {
    await this.end('SIGTERM');
    removeFolder(this.folder);
  }

  /** Ends the server as a power cut would (SIGKILL). Its files stay; start() starts it again. */
  async kill(): Promise<void> {
    await this.end('SIGKILL');
  }

  /** Sends a signal to the server and its helpers: SIGSTOP and SIGCONT make it silent for a while. */
  signal(signal: NodeJS.Signals): void {
    const pid = this.child?.pid;
    if (pid === undefined) return;
    try {
      process.kill(-pid, signal);
    } catch {} // it ended meanwhile
  }

  /** The last lines that it printed. */
  log(lines = 50): string {
    return this.output.trimEnd().split('\n').slice(-lines).join('\n');
  }

  private async end(signal: NodeJS.Signals): Promise<void> {
    const child = this.child;
    if (child === undefined || !this.running) return this.forget();
    const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
    this.signal(signal);
    const impatience = setTimeout(() => this.signal('SIGKILL'), 5000);
    await closed;
    clearTimeout(impatience);
    // Helpers of a killed server are in its group.
    this.signal('SIGKILL');
    this.forget();
  }

  private forget(): void {
    endWithProcess.delete(this);
    this.child = undefined;
  }
}

const endWithProcess = new Set<LabServer>();
const folders = new Set<string>();
process.on('exit', () => {
  for (const server of endWithProcess) server.signal('SIGKILL');
  for (const folder of folders) removeFolder(folder);
});

/** A command prefix: dies with its parent, and as root without the right to set the clock. */
function harmless(): string[] {
  const root = process.getuid?.() === 0;
  return ['setpriv', '--pdeathsig', 'KILL', ...(root ? ['--bounding-set', '-sys_time'] : []), '--'];
}

/** A new folder for a server's files, mode 0700; it goes with this process at the latest. */
export function makeFolder(name: string): string {
  const folder = mkdtempSync(join(tmpdir(), `metertime-${name}-`));
  folders.add(folder);
  return folder;
}

function removeFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true });
  folders.delete(folder);
}

/** The name of the user that this process runs as; servers that want to drop root are told to stay it. */
export function currentUser(): string {
  return userInfo().username;
}

/**
 * Ports free for both TCP and UDP on 127.0.0.1, below the range of outgoing connections, so that none takes them while a
 * server is down.
 */
export async function freePorts(count: number): Promise<number[]> {
  const ports = new Set<number>();
  while (ports.size < count) {
    const port = 12_000 + Math.floor(Math.random() * 20_000);
    if (!handedOut.has(port) && (await isFreeTcp(port)) && (await isFreeUdp(port))) {
      handedOut.add(port);
      ports.add(port);
    }
  }
  return [...ports];
}

const handedOut = new Set<number>();

function isFreeTcp(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => resolve(true)));
  });
}

function isFreeUdp(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createSocket('udp4');
    socket.once('error', () => resolve(false));
    socket.bind({ port, address: '127.0.0.1', exclusive: true }, () => socket.close(() => resolve(true)));
  });
}
