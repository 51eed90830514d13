// Runs programs for set-up and builds: output kept for the error message, nothing left behind when node ends.
import { execFile, spawn } from 'node:child_process';
import { promisify } from 'node:util';
import { killTree } from './processes.mjs';

const execute = promisify(execFile);

/** A program of the set-up failed: code `not-found`, `exit` or `signal`. */
export class RunError extends Error {
  /**
   * @param {'not-found' | 'exit' | 'signal'} code
   * @param {string} message
   * @param {string} output what the program printed
   */
  constructor(code, message, output) {
    super(message);
    this.name = 'RunError';
    this.code = code;
    this.output = output;
  }
}

/**
 * Runs a program to its end.
 * @param {string} command
 * @param {string[]} args
 * @param {{ cwd?: string, env?: NodeJS.ProcessEnv, onLine?: (line: string) => void }} [options] onLine sees each line
 *   of stdout and stderr as it comes
 * @returns {Promise<string>} stdout and stderr, in the order in which they came
 * @throws {RunError} with the last lines of the output
 */
export function run(command, args, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: options.cwd, env: options.env, stdio: ['ignore', 'pipe', 'pipe'] });
    const atExit = () => killWhole(child);
    process.prependOnceListener('exit', atExit);
    let output = '';
    const collect = (/** @type {import('node:stream').Readable} */ stream) => {
      let rest = '';
      stream.setEncoding('utf8').on('data', (chunk) => {
        output += chunk;
        const lines = (rest + chunk).split(/\r?\n|\r/);
        rest = lines.pop() ?? '';
        if (options.onLine) lines.forEach(options.onLine);
      });
    };
    collect(child.stdout);
    collect(child.stderr);
    child.on('error', (error) => {
      process.removeListener('exit', atExit);
      const missing = /** @type {NodeJS.ErrnoException} */ (error).code === 'ENOENT';
      const message = missing ? `${command} is not installed` : `${command} could not be started: ${error.message}`;
      reject(new RunError('not-found', message, ''));
    });
    child.on('close', (exitCode, signal) => {
      process.removeListener('exit', atExit);
      if (exitCode === 0) return resolve(output);
      const how = signal ? `was ended by ${signal}` : `ended with exit code ${exitCode}`;
      const tail = output.trimEnd().split('\n').slice(-15).join('\n');
      reject(new RunError(signal ? 'signal' : 'exit', `${command} ${args[0] ?? ''} ${how}\n${tail}`, output));
    });
  });
}

/**
 * Runs a program to its end and gives what it printed. When `signal` aborts, or this process exits, it is killed with all
 * that it started: what it wrote can be removed then.
 * @param {string} command
 * @param {readonly string[]} args
 * @param {{ cwd?: string, env?: NodeJS.ProcessEnv, maxBuffer?: number, signal?: AbortSignal | undefined }} [options]
 * @returns {Promise<{ stdout: string, stderr: string }>}
 * @throws the signal's reason, also when it aborted before; else the error of `execFile`, with `stderr`
 */
export async function capture(command, args, { signal, ...options } = {}) {
  signal?.throwIfAborted();
  const running = execute(command, args, options);
  const kill = () => killWhole(running.child);
  signal?.addEventListener('abort', kill, { once: true });
  // Before those that remove what it has written.
  process.prependOnceListener('exit', kill);
  try {
    return await running;
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  } finally {
    signal?.removeEventListener('abort', kill);
    process.off('exit', kill);
  }
}

/** @param {import('node:child_process').ChildProcess} child */
function killWhole(child) {
  if (child.pid !== undefined) killTree(child.pid);
  child.kill('SIGKILL');
}
