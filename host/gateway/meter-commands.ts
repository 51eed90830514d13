// Commands to one meter: asking for entries of its rings, writing blocks, releasing its logbook. Each has a token, and ends
// with the meter's Done.
//
// What always holds: one command is under way at a time, as the meter takes no more; some others wait, further ones are
// refused. A new session, or none, ends all of them; so does silence.
import { randomInt } from 'node:crypto';
import { type Block, CommandResult, Message, type Ring } from '../../as/abi/codes.ts';
import {
  blockPartBytes,
  type Done,
  type Entry,
  type GatewayMessage,
  type GatewayRecordMessage,
} from '../link/messages.ts';

/** A meter cannot be asked now. */
export class MeterSessionError extends Error {
  constructor(
    readonly code: 'meter-offline' | 'meter-silent' | 'meter-busy',
    message: string,
  ) {
    super(message);
    this.name = 'MeterSessionError';
  }
}

/** How a command ended. */
export interface CommandOutcome {
  readonly result: CommandResult;
  /** As in `Done`. */
  readonly detail: number;
  /** Entries that came, 128 bytes each, in the order of their coming. */
  readonly entries: readonly Uint8Array[];
}

export interface CommandLimits {
  /** Commands that wait for the one under way. */
  readonly waiting: number;
  /** How long the meter may say nothing about a command. */
  readonly silenceMs: number;
  /** Pause before a command is tried again where the meter says that another one is under way. */
  readonly busyMs: number;
}

export const commandLimits: CommandLimits = { waiting: 8, silenceMs: 10_000, busyMs: 500 };

interface Command {
  /** The messages that it is made of. */
  make(token: number): GatewayRecordMessage[];
  readonly entries: Uint8Array[];
  resolve(outcome: CommandOutcome): void;
  reject(error: MeterSessionError): void;
}

export class MeterCommands {
  readonly #send: (message: GatewayMessage) => boolean;
  readonly #limits: CommandLimits;
  readonly #waiting: Command[] = [];
  #underWay: { readonly command: Command; readonly token: number; readonly untilMs: number } | undefined;
  /** Random at first: what a session before was still answered has another one. */
  #token = randomInt(0xffff);
  #timer: NodeJS.Timeout | undefined;

  constructor(send: (message: GatewayMessage) => boolean, limits: Partial<CommandLimits> = {}) {
    this.#send = send;
    this.#limits = { ...commandLimits, ...limits };
  }

  /**
   * Asks for `count` entries of a ring from sequence `from` on; those that the meter does not have are left out.
   * @throws MeterSessionError
   */
  entries(ring: Ring, from: number, count: number): Promise<CommandOutcome> {
    return this.#enqueue((token) => [{ type: Message.EntriesAsk, ring, token, from, count }]);
  }

  /**
   * Writes a whole block.
   * @throws MeterSessionError
   */
  write(block: Block, bytes: Uint8Array): Promise<CommandOutcome> {
    return this.#enqueue((token) => {
      const messages: GatewayRecordMessage[] = [];
      for (let offset = 0; offset < bytes.length; offset += blockPartBytes) {
        const part = bytes.subarray(offset, offset + blockPartBytes);
        messages.push({ type: Message.BlockWrite, block, token, offset, part });
      }
      messages.push({ type: Message.BlockCommit, block, token, length: bytes.length });
      return messages;
    });
  }

  /**
   * Releases the logbook up to `sequence`.
   * @throws MeterSessionError
   */
  release(ring: Ring.Logbook, sequence: number): Promise<CommandOutcome> {
    return this.#enqueue((token) => [{ type: Message.Release, ring, token, sequence }]);
  }

  /** Takes a message of the meter; what belongs to no command under way is of one that was given up. */
  take(message: Entry | Done): void {
    const current = this.#underWay;
    if (current === undefined || message.token !== current.token) return;
    const { command } = current;
    if (message.type === Message.Entry) {
      command.entries.push(message.entry);
      this.#listen(command, current.token, current.untilMs);
      return;
    }
    const { result, detail } = message;
    if (result === CommandResult.Busy && performance.now() < current.untilMs) {
      this.#timer = this.#after(this.#limits.busyMs, () => this.#begin(command, current.untilMs));
      return;
    }
    this.#end(() => command.resolve({ result, detail, entries: command.entries }));
  }

  /** Ends every command: the session is over. */
  abandon(): void {
    const commands = [...(this.#underWay === undefined ? [] : [this.#underWay.command]), ...this.#waiting.splice(0)];
    this.#underWay = undefined;
    clearTimeout(this.#timer);
    for (const { reject } of commands) reject(new MeterSessionError('meter-offline', 'the link went down'));
  }

  #enqueue(make: Command['make']): Promise<CommandOutcome> {
    return new Promise((resolve, reject) => {
      if (this.#waiting.length >= this.#limits.waiting) {
        reject(new MeterSessionError('meter-busy', `${this.#waiting.length} commands wait for the meter already`));
        return;
      }
      this.#waiting.push({ make, entries: [], resolve, reject });
      this.#next();
    });
  }

  #next(): void {
    if (this.#underWay !== undefined) return;
    const command = this.#waiting.shift();
    // All of its tries together are given this long.
    if (command !== undefined) this.#begin(command, performance.now() + this.#limits.silenceMs);
  }

  #begin(command: Command, untilMs: number): void {
    this.#token = (this.#token % 0xffff) + 1;
    command.entries.length = 0;
    const token = this.#token;
    this.#listen(command, token, untilMs);
    if (!command.make(token).every((message) => this.#send(message))) {
      this.#end(() => command.reject(new MeterSessionError('meter-offline', 'the link takes no message now')));
    }
  }

  #listen(command: Command, token: number, untilMs: number): void {
    this.#underWay = { command, token, untilMs };
    this.#timer = this.#after(this.#limits.silenceMs, () => {
      const error = new MeterSessionError(
        'meter-silent',
        `the meter said nothing about a command for ${this.#limits.silenceMs} ms`,
      );
      this.#end(() => command.reject(error));
    });
  }

  #after(ms: number, then: () => void): NodeJS.Timeout {
    clearTimeout(this.#timer);
    return setTimeout(then, ms).unref();
  }

  #end(tell: () => void): void {
    clearTimeout(this.#timer);
    this.#underWay = undefined;
    tell();
    this.#next();
  }
}
