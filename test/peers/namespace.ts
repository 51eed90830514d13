// A network namespace with loopback only: fixed ports are free in it, and nothing in it reaches the machine's network.
// It lasts until stop(), or until this process ends. Works as root, and without where user namespaces are allowed.
import { type ChildProcess, spawn } from 'node:child_process';
import { LabServerError } from '../../host/setup/lab-server.ts';
import { debianTool } from '../../scripts/debian.mjs';

export class NetworkNamespace {
  private constructor(
    private readonly holder: ChildProcess,
    private readonly asRoot: boolean,
  ) {}

  /** @throws {LabServerError} `not-started` where namespaces are not allowed */
  static async create(): Promise<NetworkNamespace> {
    const ip = debianTool('ip');
    if (!ip.ok) throw new LabServerError('tool-missing', ip.reason);
    const asRoot = process.getuid?.() === 0;
    // cat holds the namespace and ends with the pipe, so with this process, however that ends.
    const script = '"$0" link set lo up && echo ready && exec cat';
    const holder = spawn('unshare', [asRoot ? '-n' : '-rn', 'sh', '-c', script, ip.path], {
      env: { ...process.env, ...ip.env },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    let output = '';
    await new Promise<void>((resolve, reject) => {
      holder.stdout.on('data', (chunk) => {
        output += chunk;
        if (output.startsWith('ready')) resolve();
      });
      holder.stderr.on('data', (chunk) => {
        output += chunk;
      });
      holder.on('error', reject);
      holder.on('close', () => reject(new LabServerError('not-started', `no network namespace: ${output.trim()}`)));
    });
    return new NetworkNamespace(holder, asRoot);
  }

  /** The command line that runs a program in this namespace. */
  wrap(argv: readonly string[]): string[] {
    const kinds = this.asRoot ? ['--net'] : ['--user', '--preserve-credentials', '--net'];
    return ['nsenter', '--target', String(this.holder.pid), ...kinds, '--', ...argv];
  }

  /** Ends the namespace once the last program in it ended. */
  stop(): Promise<void> {
    return new Promise((resolve) => {
      if (this.holder.exitCode !== null || this.holder.signalCode !== null) return resolve();
      this.holder.once('close', () => resolve());
      this.holder.stdin?.end();
    });
  }
}
