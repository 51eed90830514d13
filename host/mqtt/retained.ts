// The retained messages that the broker should hold: published when they change, and all of them after each connection.
//
// Always holds: of one topic, one message is under way at a time and the newest one wins; a message with an expiry is
// never given more time than it has left; a broker that forgot everything gets everything again. What the topic holds
// already is not published again before a third of its time has passed.
import { isDeepStrictEqual } from 'node:util';
import type { MessageProperties } from '../outbox/outbox.ts';
import { firstFailure } from '../outbox/sender.ts';
import type { Report } from '../report.ts';
import type { Publication } from './connection.ts';

export type RetainedReport = Report<'retained-refused'>;

export interface RetainedMessage {
  /** Empty: the broker is to forget the topic. */
  readonly payload: Uint8Array;
  readonly properties: MessageProperties;
  /** Lower ones go first after a connection. */
  readonly rank: number;
  /** How long the message holds from now on; for ever where missing. */
  readonly expirySeconds?: number;
  /** Called when the broker has it. */
  readonly onPublished?: () => void;
}

/** Share of a message's time that has to be left for a repetition to be passed over. */
const freshShare = 2 / 3;

interface Topic {
  message: RetainedMessage;
  expiresAtMs: number | undefined;
  /** To be published. */
  dirty: boolean;
  underWay: boolean;
  refusedWith: number | undefined;
}

export interface RetainedOptions {
  readonly publish: (publication: Publication) => Promise<number>;
  readonly reasonText: (reasonCode: number) => string;
  readonly report: (report: RetainedReport) => void;
}

export class RetainedTopics {
  readonly #options: RetainedOptions;
  readonly #topics = new Map<string, Topic>();
  #connected = false;
  #connection = 0;
  #idleWaiters: (() => void)[] = [];

  constructor(options: RetainedOptions) {
    this.#options = options;
  }

  /** The message that the topic is to hold from now on. */
  set(name: string, message: RetainedMessage): void {
    const expiresAtMs =
      message.expirySeconds === undefined ? undefined : performance.now() + message.expirySeconds * 1000;
    const topic = this.#topics.get(name);
    if (topic !== undefined && isRepetition(topic, message)) return;
    if (topic === undefined) {
      this.#topics.set(name, { message, expiresAtMs, dirty: true, underWay: false, refusedWith: undefined });
    } else {
      Object.assign(topic, { message, expiresAtMs, dirty: true });
    }
    this.#publish(name);
  }

  connected(): void {
    this.#connected = true;
    this.#connection++;
    for (const topic of this.#topics.values())
      Object.assign(topic, { dirty: true, underWay: false, refusedWith: undefined });
    const inOrder = [...this.#topics].sort(([, a], [, b]) => a.message.rank - b.message.rank);
    for (const [name] of inOrder) this.#publish(name);
  }

  disconnected(): void {
    this.#connected = false;
    this.#connection++;
    this.#wakeIdle();
  }

  /** Resolves when the broker has everything, or when the connection ends. */
  idle(): Promise<void> {
    return new Promise((resolve) => {
      this.#idleWaiters.push(resolve);
      this.#wakeIdle();
    });
  }

  #wakeIdle(): void {
    if (this.#idleWaiters.length === 0) return;
    if (this.#connected && [...this.#topics.values()].some(({ dirty, underWay }) => dirty || underWay)) return;
    for (const resolve of this.#idleWaiters.splice(0)) resolve();
  }

  #publish(name: string): void {
    const topic = this.#topics.get(name);
    if (!this.#connected || topic === undefined || topic.underWay || !topic.dirty) return;
    topic.dirty = false;
    const { message } = topic;
    let { properties } = message;
    if (topic.expiresAtMs !== undefined) {
      const leftSeconds = Math.ceil((topic.expiresAtMs - performance.now()) / 1000);
      if (leftSeconds <= 0) return;
      properties = { ...properties, messageExpiryInterval: leftSeconds };
    }
    topic.underWay = true;
    const connection = this.#connection;
    this.#options.publish({ topic: name, payload: message.payload, retain: true, properties }).then(
      (reasonCode) => {
        if (connection !== this.#connection) return;
        topic.underWay = false;
        this.#acknowledged(name, topic, message, reasonCode);
        this.#publish(name);
        this.#wakeIdle();
      },
      () => {}, // The connection is gone: `connected` publishes everything again.
    );
  }

  #acknowledged(name: string, topic: Topic, message: RetainedMessage, reasonCode: number): void {
    if (reasonCode < firstFailure) {
      topic.refusedWith = undefined;
      if (topic.message === message) message.onPublished?.();
      if (message.payload.length === 0 && !topic.dirty) this.#topics.delete(name);
      return;
    }
    if (topic.refusedWith === reasonCode) return;
    topic.refusedWith = reasonCode;
    this.#options.report({
      level: 'error',
      code: 'retained-refused',
      message: `the broker refused ${name}: ${this.#options.reasonText(reasonCode)}`,
      fields: { topic: name, reasonCode },
    });
  }
}

/** Whether a message says what the topic holds, or is about to, and what is there lasts long enough. */
function isRepetition({ message: held, expiresAtMs, refusedWith }: Topic, message: RetainedMessage): boolean {
  if (refusedWith !== undefined || message.onPublished !== undefined || held.onPublished !== undefined) return false;
  const { expirySeconds, properties, payload } = message;
  const leftMs = (expiresAtMs ?? Number.POSITIVE_INFINITY) - performance.now();
  return (
    expirySeconds === held.expirySeconds &&
    (expirySeconds === undefined || leftMs >= expirySeconds * 1000 * freshShare) &&
    Buffer.compare(payload, held.payload) === 0 &&
    (properties === held.properties || isDeepStrictEqual(properties, held.properties))
  );
}
