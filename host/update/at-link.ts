// A meter at the other end of a link that this program alone has, for as long as an update is sent.
// What always holds: events are acknowledged, as the meter may wait for that before it takes the update; whoever else is to
// store them is to be asked before.
import { Message } from '../../as/abi/codes.ts';
import { MeterCommands } from '../gateway/meter-commands.ts';
import { LinkEnd } from '../link/link-end.ts';
import type { Info, Slots } from '../link/messages.ts';
import type { LinkTransport } from '../link/transport.ts';
import type { UpdateMeter } from './send.ts';

export class UpdateLink implements UpdateMeter {
  readonly #end: LinkEnd;
  readonly #commands: MeterCommands;
  #slots: Slots | undefined;
  #info: Info | undefined;

  constructor(transport: LinkTransport) {
    this.#end = new LinkEnd({ transport });
    this.#commands = new MeterCommands((message) => this.#end.send(message));
    this.#end.on('down', () => this.#forget());
    this.#end.on('session', () => this.#forget());
    this.#end.on('message', ({ message }) => {
      if (message.type === Message.Event) this.#end.send({ type: Message.EventAck, sequence: message.sequence });
      else if (message.type === Message.Info) this.#info = message;
      else if (message.type === Message.Slots) this.#slots = message;
      else if (message.type === Message.Done) this.#commands.take(message);
    });
    this.#end.start();
  }

  get commands(): MeterCommands | undefined {
    return this.#slots === undefined ? undefined : this.#commands;
  }

  get slots(): Slots | undefined {
    return this.#slots;
  }

  /** What it said of itself in this session. */
  get info(): Info | undefined {
    return this.#info;
  }

  /** Begins a new session of the link. */
  restart(): void {
    this.#end.restart();
  }

  #forget(): void {
    this.#slots = undefined;
    this.#info = undefined;
    this.#commands.abandon();
  }

  async close(): Promise<void> {
    this.#commands.abandon();
    await this.#end.stop();
  }
}
