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
   * @param env its environment
   */
  constructor(
    private readonly program: string,
    private readonly folder: string,
    settings: object,
    private readonly env: NodeJS.ProcessEnv = process.env,
  ) {
    writeFileSync(this.settingsFile, stringify({ dataDirectory: join(folder, 'data'), ...settings }));
  }

  get settingsFile(): string {
    return join(this.folder, 'gateway.yaml');
  }

  get log(): string {
    return this.#log;
  }

  /** Starts it and waits until it says that it runs. */
  async start(): Promise<void> {
    const before = this.#log.length;
    const argv = [process.execPath, this.program, 'gateway', '-c', this.settingsFile];
    // At a limit of file sizes (`limitFiles`) writes then fail as on a full disk.
    const child = spawn('sh', ['-c', `trap '' XFSZ; exec "$@"`, 'sh', ...argv], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: this.env,
    });
    this.#child = child;
    child.stderr.on('data', (chunk) => {
      this.#log += chunk;
    });
    let ended = false;
    child.once('close', () => {
      ended = true;
    });
    await until(
      'the gateway started',
      () => {
        if (ended || this.#log.indexOf('gateway started', before) >= 0) return true;
        throw new Error(`it said:\n${this.#log.slice(before)}`);
      },
      { timeoutMs: 60_000 },
    );
    if (ended) throw new Error(`the gateway ended with ${child.exitCode}:\n${this.#log.slice(before)}`);
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
