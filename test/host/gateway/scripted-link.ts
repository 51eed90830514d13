// A link whose meter's side is played by a test: it says any message at any moment and sees all that is sent to it.
import { EventEmitter } from 'node:events';
import { type Channel, Message } from '../../../as/abi/codes.ts';
import type { SessionLink } from '../../../host/gateway/meter-session.ts';
import type { LinkEndEvents, MessageMaker } from '../../../host/link/link-end.ts';
import {
  channelOf,
  decodeMessage,
  encodeMessage,
  type GatewayMessage,
  type MeterMessage,
} from '../../../host/link/messages.ts';
import { createPair } from '../../../host/link/pair-transport.ts';

export class ScriptedLink extends EventEmitter<LinkEndEvents> {
  readonly transport = createPair('scripted')[0];
  /** Everything that the gateway sent, in order. */
  readonly sent: GatewayMessage[] = [];
  isUp = false;
  isBusy = false;
  isSealed = false;
  meter: string | undefined;
  session: number | undefined;
  restarts = 0;
  /** The gateway finds no room for more. */
  full = false;

  get counters(): SessionLink['counters'] {
    return {
      framesReceived: 0,
      framesDamaged: 0,
      framesSent: 0,
      framesResent: 0,
      framesForged: 0,
      framesReplayed: 0,
      framesTooLong: 0,
      messagesRefused: 0,
      messagesDropped: 0,
      coreRestarts: 0,
    };
  }

  start(): void {}

  async stop(): Promise<void> {
    this.drop();
  }

  restart(): void {
    this.restarts++;
    this.drop();
  }

  /** The meter opens a session. */
  open(): void {
    this.session = (this.session ?? 0) + 1;
    this.isUp = true;
    this.emit('session', this.session);
  }

  drop(): void {
    if (!this.isUp) return;
    this.isUp = false;
    this.emit('down', 'test');
  }

  send(message: GatewayMessage | MessageMaker, _channel?: Channel): boolean {
    if (!this.isUp || this.full) return false;
    const made = typeof message === 'function' ? message(process.hrtime.bigint()) : message;
    // Through bytes and back: what cannot be encoded must not pass.
    const decoded = decodeMessage(channelOf(made.type), encodeMessage(made)) as GatewayMessage;
    this.sent.push(decoded);
    this.emit('sent' as 'drain');
    return true;
  }

  /** The meter says `message`. */
  say(message: MeterMessage): void {
    const tick = process.hrtime.bigint();
    const decoded = decodeMessage(channelOf(message.type), encodeMessage(message)) as MeterMessage;
    this.emit('message', { message: decoded, firstTick: tick, lastTick: tick, cameTick: tick });
  }

  /** The first message of `type` that the gateway sent from number `from` on, as soon as it is there. */
  async expect<Type extends GatewayMessage['type']>(
    type: Type,
    match: Partial<Extract<GatewayMessage, { type: Type }>> = {},
    timeoutMs = 8_000,
  ): Promise<Extract<GatewayMessage, { type: Type }>> {
    const find = () =>
      this.sent.find(
        (one) =>
          one.type === type &&
          Object.entries(match).every(([key, value]) => (one as unknown as Record<string, unknown>)[key] === value),
      ) as Extract<GatewayMessage, { type: Type }> | undefined;
    return new Promise((resolve, reject) => {
      const check = () => {
        const found = find();
        if (found === undefined) return;
        clearTimeout(timer);
        this.removeListener('sent' as 'drain', check);
        resolve(found);
      };
      const timer = setTimeout(() => {
        this.removeListener('sent' as 'drain', check);
        const names = this.sent.map((one) => Message[one.type]).join(' ');
        reject(new Error(`no ${Message[type]} came within ${timeoutMs} ms, only: ${names}`));
      }, timeoutMs);
      this.on('sent' as 'drain', check);
      check();
    });
  }

  /** Forgets what was sent so far. */
  clear(): void {
    this.sent.length = 0;
  }
}
