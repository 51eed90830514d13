// A place where NTPsec's fixed ports are free: a network namespace with loopback only, from which nothing reaches the
// machine's network. Works as root, and without where user namespaces are allowed. Where neither is (containers), it is
// the machine's own loopback, for one holder at a time. It lasts until stop(), or until this process ends.
import { type ChildProcess, spawn } from 'node:child_process';
import { createServer, type Server } from 'node:net';
import { LabServerError } from '../../host/setup/lab-server.ts';
import { until } from '../../host/setup/until.ts';
import { debianTool } from '../../scripts/debian.mjs';

/** What to make a namespace with, and what to enter it with. */
const ways = {
  root: { unshare: '-n', nsenter: ['--net'] },
  user: { unshare: '-rn', nsenter: ['--user', '--preserve-credentials', '--net'] },
};

export class NetworkNamespace {
  private constructor(
    private readonly holder: ChildProcess | Server,
    private readonly enter: readonly string[],
  ) {}

  /** @throws {LabServerError} `not-started` where namespaces are not allowed and others keep the machine's ports */
  static async create(): Promise<NetworkNamespace> {
    const ip = debianTool('ip');
    if (!ip.ok) throw new LabServerError('tool-missing', ip.reason);
    const refusals: string[] = [];
    for (const way of process.getuid?.() === 0 ? [ways.root, ways.user] : [ways.user]) {
      const holder = await hold(way.unshare, ip.path, { ...process.env, ...ip.env });
      if (typeof holder === 'string') refusals.push(holder);
      else return new NetworkNamespace(holder, ['nsenter', '--target', String(holder.pid), ...way.nsenter, '--']);
    }
    try {
      return new NetworkNamespace(await until("NTPsec's ports", () => lockPorts(), { timeoutMs: 90_000 }), []);
    } catch (cause) {
      throw new LabServerError('not-started', `no network namespace: ${refusals.join('; ')}`, { cause });
    }
  }

  /** The command line that runs a program in this namespace. */
  wrap(argv: readonly string[]): string[] {
    return [...this.enter, ...argv];
  }

  /** Ends the namespace once the last program in it ended. */
  stop(): Promise<void> {
    const { holder } = this;
    return new Promise((resolve) => {
      if (!('stdin' in holder)) return holder.close(() => resolve());
      if (holder.exitCode !== null || holder.signalCode !== null) return resolve();
      holder.once('close', () => resolve());
      holder.stdin?.end();
    });
  }
}

/** The process that keeps a new namespace, or why there is none. */
function hold(flags: string, ipPath: string, env: NodeJS.ProcessEnv): Promise<ChildProcess | string> {
  // cat holds the namespace and ends with the pipe, so with this process, however that ends.
  const script = '"$0" link set lo up && echo ready && exec cat';
  const holder = spawn('unshare', [flags, 'sh', '-c', script, ipPath], { env, stdio: ['pipe', 'pipe', 'pipe'] });
  let output = '';
  return new Promise((resolve) => {
    holder.stdout.on('data', (chunk) => {
      output += chunk;
      if (output.startsWith('ready')) resolve(holder);
    });
    holder.stderr.on('data', (chunk) => {
      output += chunk;
    });
    holder.stdin.on('error', () => {}); // it ended before the pipe was closed
    holder.on('error', (error) => resolve(error.message));
    holder.on('close', () => resolve(output.trim()));
  });
}

/** A socket whose abstract name only one process on this machine's network has at a time; undefined when one has it. */
function lockPorts(): Promise<Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.on('error', (error: NodeJS.ErrnoException) =>
      error.code === 'EADDRINUSE' ? resolve(undefined) : reject(error),
    );
    server.listen({ path: '\0metertime-ntpsec-ports' }, () => resolve(server));
  });
}
