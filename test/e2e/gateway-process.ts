// `metertime gateway -c FILE` as a process of its own, to be killed and started again.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { until } from '../../host/setup/until.ts';

export class GatewayProcess {
  #child: ChildProcess | undefined;
  #log = '';

  /**
   * @param program the bundled command line
   * @param folder for settings and data
   */
  constructor(
    private readonly program: string,
    private readonly folder: string,
    settings: object,
  ) {
    writeFileSync(join(folder, 'gateway.yaml'), stringify({ dataDirectory: join(folder, 'data'), ...settings }));
  }

  get log(): string {
    return this.#log;
  }

  /** Starts it and waits until it says that it runs. */
  async start(): Promise<void> {
    const before = this.#log.length;
    const argv = [process.execPath, this.program, 'gateway', '-c', join(this.folder, 'gateway.yaml')];
    // At a limit of file sizes (`limitFiles`) writes then fail as on a full disk.
    const child = spawn('sh', ['-c', `trap '' XFSZ; exec "$@"`, 'sh', ...argv], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.#child = child;
    child.stderr.on('data', (chunk) => {
      this.#log += chunk;
    });
    await until(
      'the gateway started',
      () => {
        if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}:\n${this.#log.slice(before)}`);
        if (this.#log.indexOf('gateway started', before) >= 0) return true;
        throw new Error(`it said:\n${this.#log.slice(before)}`);
      },
      { timeoutMs: 60_000 },
    );
  }

  /** From now on no file of the running process may become longer, as on a full disk; `unlimited` ends that. */
  limitFiles(bytes: number | 'unlimited'): void {
    execFileSync('prlimit', ['--pid', String(this.#child!.pid), `--fsize=${bytes}:`]);
  }

  kill(): Promise<number | null> {
    return this.#end('SIGKILL');
  }

  /** As systemd ends it. Resolves with its exit code. */
  stop(): Promise<number | null> {
    return this.#end('SIGTERM');
  }

  #end(signal: NodeJS.Signals): Promise<number | null> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return Promise.resolve(null);
    return new Promise((resolve) => {
      child.once('close', (code) => resolve(code));
      child.kill(signal);
    });
  }
}
