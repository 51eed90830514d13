// Takes commands to meters from the broker and answers them: request and response of MQTT 5 (4.10).
//
// What always holds:
// - Of one meter one command is under way at a time; a few wait, further ones are refused at once.
// - An answer goes to the request's Response Topic, with its Correlation Data; only below the meter's own `response`, so that
//   nobody makes the gateway publish what they may not publish themselves.
// - Who may command is the broker's affair. Whatever comes is checked, and no command ends the gateway.
import type { Report } from '../report.ts';
import {
  CommandError,
  type CommandName,
  type CommandResponse,
  commandBytesMax,
  commandSchemas,
} from './command-payloads.ts';
import type { Publication, Received } from './connection.ts';
import { type CommandMeter, carryOut } from './meter-command.ts';
import { packetTooLarge, reasonText } from './reason-codes.ts';
import { schemaName } from './record-payloads.ts';

export type CommandReport = Report<'command-done' | 'command-failed' | 'command-unanswerable'>;

export interface CommandsOptions {
  /** `PREFIX/GATEWAY`. */
  readonly base: string;
  readonly meter: (id: string) => CommandMeter | undefined;
  readonly publish: (publication: Publication) => Promise<number>;
  readonly report: (report: CommandReport) => void;
}

/** Commands that wait for the one before them: of one meter, and of all. */
const mostWaiting = { ofMeter: 4, ofAll: 64 } as const;

interface Request {
  readonly meter: string;
  readonly command: string;
  readonly received: Received;
}

export class Commands {
  readonly #options: CommandsOptions;
  /** Requests that wait behind the one under way, by meter. */
  readonly #waiting = new Map<string, Request[]>();

  constructor(options: CommandsOptions) {
    this.#options = options;
  }

  /** What is to be subscribed to. */
  get filter(): string {
    return `${this.#options.base}/+/command/+`;
  }

  /** Takes a message of that filter. */
  take(received: Received): void {
    const levels = received.topic.slice(this.#options.base.length + 1).split('/');
    const [meter = '', , command = ''] = levels;
    const request = { meter, command, received };
    const { responseTopic } = received;
    if (responseTopic !== undefined && !this.#mayAnswer(meter, responseTopic)) {
      this.#options.report({
        level: 'warn',
        code: 'command-unanswerable',
        message: `command ${printed(command)} to meter ${printed(meter)} is not carried out: expected a response topic below ${this.#options.base}/${printed(meter)}/response/, came ${printed(responseTopic)}`,
      });
      return;
    }
    const waiting = this.#waiting.get(meter);
    const error = this.#refusal(request, waiting?.length ?? 0);
    if (error !== undefined) void this.#answer(request, error);
    else if (waiting !== undefined) waiting.push(request);
    else {
      this.#waiting.set(meter, []);
      void this.#work(request);
    }
  }

  #mayAnswer(meter: string, topic: string): boolean {
    const below = `${this.#options.base}/${meter}/response/`;
    return topic.startsWith(below) && topic.length > below.length && !/[+#\p{Cc}]/u.test(topic);
  }

  /** Why a request is not even begun. */
  #refusal({ meter, command, received: { payload } }: Request, waiting: number): CommandError | undefined {
    if (!Object.hasOwn(commandSchemas, command)) {
      const names = Object.keys(commandSchemas).join(', ');
      return new CommandError(
        'command-unknown',
        `expected one of ${names}, came ${printed(command)}`,
        'The last level of the topic is the name of the command.',
      );
    }
    if (payload.length > commandBytesMax) {
      return new CommandError(
        'command-too-large',
        `expected at most ${commandBytesMax} bytes, came ${payload.length}`,
        'Send less at once.',
      );
    }
    if (this.#options.meter(meter) === undefined) {
      return new CommandError(
        'meter-unknown',
        `expected a meter that this gateway has met, came ${printed(meter)}`,
        'Look at the name of the meter, and of the gateway that serves it.',
      );
    }
    const ofAll = [...this.#waiting.values()].reduce((sum, { length }) => sum + length, 0);
    if (waiting < mostWaiting.ofMeter && ofAll < mostWaiting.ofAll) return undefined;
    return new CommandError(
      'command-busy',
      waiting < mostWaiting.ofMeter
        ? `${ofAll} commands wait already`
        : `${waiting} commands wait for this meter already`,
      'Send it again when the commands before it are answered.',
    );
  }

  async #work(first: Request): Promise<void> {
    for (let request: Request | undefined = first; request !== undefined; ) {
      await this.#carryOut(request);
      request = this.#waiting.get(request.meter)?.shift();
    }
    this.#waiting.delete(first.meter);
  }

  async #carryOut(request: Request): Promise<void> {
    const { meter, command, received } = request;
    try {
      const target = this.#options.meter(meter)!;
      const result = await carryOut(meter, target, command as CommandName, received.payload.toString('utf8'));
      await this.#respond(request, { ok: true, meter, command, result });
      this.#options.report({
        level: 'info',
        code: 'command-done',
        message: `command ${command} to meter ${meter} is done`,
        fields: { meter, command },
      });
    } catch (error) {
      await this.#answer(request, error instanceof CommandError ? error : defect(error));
    }
  }

  /** Answers that a command was not carried out. */
  async #answer(request: Request, error: CommandError): Promise<void> {
    const { meter, command } = request;
    this.#options.report({
      level: error.code === 'gateway-failed' ? 'error' : 'warn',
      code: 'command-failed',
      message: `command ${printed(command)} to meter ${printed(meter)}: ${logged(error)}`,
      fields: { code: error.code },
    });
    const { code, message, hint } = error;
    await this.#respond(request, { ok: false, meter, command, error: { code, message, hint } });
  }

  async #respond(request: Request, response: CommandResponse): Promise<void> {
    const { responseTopic, correlationData } = request.received;
    if (responseTopic === undefined) return;
    let reasonCode: number;
    try {
      reasonCode = await this.#options.publish({
        topic: responseTopic,
        payload: Buffer.from(JSON.stringify(response), 'utf8'),
        retain: false,
        properties: {
          contentType: 'application/json',
          payloadFormatIndicator: true,
          userProperties: { schema: schemaName('response'), meter: request.meter },
          ...(correlationData === undefined ? {} : { correlationData }),
        },
      });
    } catch {
      return; // The connection is gone, and with it, as far as can be known here, who waits for the answer.
    }
    if (reasonCode < 0x80) return;
    if (reasonCode === packetTooLarge && response.ok) {
      throw new CommandError(
        'answer-too-large',
        'the answer is larger than the broker takes',
        'Ask for fewer entries with "count".',
      );
    }
    this.#options.report({
      level: 'warn',
      code: 'command-unanswerable',
      message: `the broker refused the answer to a command on ${responseTopic}: ${reasonText(reasonCode)}`,
    });
  }
}

/** An own error: whoever sent the command is told that there was one, the log which. */
function defect(cause: unknown): CommandError {
  const hint = 'This is a defect of metertime: the log of the gateway says which.';
  return new CommandError('gateway-failed', 'the gateway failed while it carried out the command', hint, { cause });
}

function logged({ code, message, cause }: CommandError): string {
  if (code !== 'gateway-failed') return message;
  return `${message}: ${cause instanceof Error ? (cause.stack ?? cause.message) : String(cause)}`;
}

/** What others wrote, short and without what a terminal would obey. */
function printed(text: string): string {
  return JSON.stringify(text.length > 64 ? `${text.slice(0, 64)}…` : text);
}
