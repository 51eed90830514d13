// Commands to one meter: asking for entries of its rings, writing blocks, releasing its logbook, updating its software. A command is one message or
// several, each of which has a token of its own and is answered by a Done.
//
// What always holds: one message is under way at a time, as the meter takes no more, and one command; some others wait,
// further ones are refused. A new session, or none, ends all of them; so does silence.
import { randomInt } from 'node:crypto';
import { type Block, CommandResult, Message, type Ring } from '../../as/abi/codes.ts';
import {
  blockPartBytes,
  type Done,
  type Entry,
  type GatewayMessage,
  type GatewayRecordMessage,
  type GatewayUpdateMessage,
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

type Step = (token: number) => GatewayRecordMessage | GatewayUpdateMessage;

interface Command {
  /** Each is sent when the one before it is done. */
  readonly steps: readonly Step[];
  /** How many of them are done. */
  done: number;
  /** Entries that were asked for. */
  readonly most: number;
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
    return this.#enqueue([(token) => ({ type: Message.EntriesAsk, ring, token, from, count })], count);
  }

  /**
   * Writes a whole block.
   * @throws MeterSessionError
   */
  write(block: Block, bytes: Uint8Array): Promise<CommandOutcome> {
    const steps: Step[] = [];
    for (let offset = 0; offset < bytes.length; offset += blockPartBytes) {
      const part = bytes.subarray(offset, offset + blockPartBytes);
      steps.push((token) => ({ type: Message.BlockWrite, block, token, offset, part }));
    }
    return this.#enqueue([...steps, (token) => ({ type: Message.BlockCommit, block, token, length: bytes.length })]);
  }

  /**
   * Releases the logbook up to `sequence`.
   * @throws MeterSessionError
   */
  release(ring: Ring.Logbook, sequence: number): Promise<CommandOutcome> {
    return this.#enqueue([(token) => ({ type: Message.Release, ring, token, sequence })]);
  }

  /**
   * One message of an update, and its answer; what comes next depends on that (host/update/send.ts).
   * @throws MeterSessionError
   */
  update(step: (token: number) => GatewayUpdateMessage): Promise<CommandOutcome> {
    return this.#enqueue([step]);
  }

  /** Takes a message of the meter; what belongs to no command under way is of one that was given up. */
  take(message: Entry | Done): void {
    const current = this.#underWay;
    if (current === undefined || message.token !== current.token) return;
    const { command } = current;
    if (message.type === Message.Entry) {
      // What was not asked for is no sign that it gets on with it.
      if (command.entries.length >= command.most) return;
      command.entries.push(message.entry);
      this.#listen(command, current.token, current.untilMs);
      return;
    }
    const { result, detail } = message;
    if (result === CommandResult.Busy && performance.now() < current.untilMs) {
      this.#timer = this.#after(this.#limits.busyMs, () => this.#begin(command, current.untilMs));
      return;
    }
    if (result === CommandResult.Done && ++command.done < command.steps.length) this.#begin(command);
    else this.#end(() => command.resolve({ result, detail, entries: command.entries }));
  }

  /** Ends every command: the session is over. */
  abandon(): void {
    const commands = [...(this.#underWay === undefined ? [] : [this.#underWay.command]), ...this.#waiting.splice(0)];
    this.#underWay = undefined;
    clearTimeout(this.#timer);
    for (const { reject } of commands) reject(new MeterSessionError('meter-offline', 'the link went down'));
  }

  #enqueue(steps: readonly Step[], most = 0): Promise<CommandOutcome> {
    return new Promise((resolve, reject) => {
      if (this.#waiting.length >= this.#limits.waiting) {
        reject(new MeterSessionError('meter-busy', `${this.#waiting.length} commands wait for the meter already`));
        return;
      }
      this.#waiting.push({ steps, done: 0, most, entries: [], resolve, reject });
      this.#next();
    });
  }

  #next(): void {
    if (this.#underWay !== undefined) return;
    const command = this.#waiting.shift();
    if (command !== undefined) this.#begin(command);
  }

  /** Sends the next message of a command; all tries of one together are given the time of `untilMs`. */
  #begin(command: Command, untilMs = performance.now() + this.#limits.silenceMs): void {
    this.#token = (this.#token % 0xffff) + 1;
    command.entries.length = 0;
    const token = this.#token;
    this.#listen(command, token, untilMs);
    if (!this.#send(command.steps[command.done]!(token))) {
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
