// QEMU's machine protocol over the emulator's standard input and output (QEMU, "QMP specification"): one JSON object
// a line; each command is answered in order, events come in between.

import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { BuildError } from './errors.ts';

/** An event such as RESET, WATCHDOG or SHUTDOWN. */
export interface QmpEvent {
  readonly event: string;
  readonly data?: Record<string, unknown>;
}

interface Waiting {
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** A session with one emulator. */
export class Qmp {
  readonly #input: Writable;
  readonly #waiting: Waiting[] = [];
  #ended: BuildError | undefined;

  constructor(
    input: Writable,
    output: Readable,
    readonly onEvent: (event: QmpEvent) => void,
  ) {
    this.#input = input;
    input.on('error', () => {});
    const lines = createInterface({ input: output });
    lines.on('line', (line) => this.#accept(line));
    lines.on('close', () => this.end('it closed its control channel'));
  }

  /** Runs a command and returns what it returned. Throws `BuildError` emulator-failed. */
  run(command: string, args: Record<string, unknown> = {}): Promise<unknown> {
    if (this.#ended) return Promise.reject(this.#ended);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#input.write(`${JSON.stringify({ execute: command, arguments: args })}\n`);
    });
  }

  /** No answer comes any more. */
  end(reason: string): void {
    this.#ended ??= new BuildError('emulator-failed', `the emulator does not answer: ${reason}`);
    for (const { reject } of this.#waiting.splice(0)) reject(this.#ended);
  }

  #accept(line: string): void {
    let message: Record<string, unknown>;
    try {
      message = JSON.parse(line) as Record<string, unknown>;
    } catch {
      return;
    }
    if (typeof message.event === 'string') {
      this.onEvent(message as unknown as QmpEvent);
    } else if ('return' in message) {
      this.#waiting.shift()?.resolve(message.return);
    } else if ('error' in message) {
      const { desc } = message.error as { desc: string };
      this.#waiting.shift()?.reject(new BuildError('emulator-failed', `the emulator refused a command: ${desc}`));
    }
  }
}
