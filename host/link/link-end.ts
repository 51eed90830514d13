// The gateway's end of one link: a transport, a core in the gateway's role, and typed messages for the host.
//
// What always holds:
// - Events reach the core one after the other in the order in which they happened; none from within another.
// - At most one frame is with the transport; its FrameSent follows when the transport has taken or lost it.
// - Messages leave in the order of `send` on their channel, the time channel first; what waits is bounded, and what
//   does not fit is refused at once. A new session forgets what waited for the old one.
// - Ticks are nanoseconds of process.hrtime.bigint().
// - A core that traps is replaced by a new one, which opens a new session.
// - A link key is handed to the core and to nothing else.
import { randomBytes } from 'node:crypto';
import { EventEmitter } from 'node:events';
import {
  Action,
  Channel,
  Event,
  LinkHello,
  LinkHelloField,
  LinkKeyField,
  LinkKnown,
  LinkMessageField,
  LinkReadyField,
  LinkStartField,
  Message,
} from '../../as/abi/codes.ts';
import { Core, type CoreAction, CoreError, type CoreModule } from '../core/core.ts';
import { type Logger, silentLogger } from '../log.ts';
import { errorText } from '../net/socket-error.ts';
import { FrameSplitter } from './frame-splitter.ts';
import {
  channelOf,
  decodeMessage,
  encodeMessage,
  type GatewayMessage,
  isMeterMessage,
  type LinkMessage,
  MessageError,
  type MeterMessage,
} from './messages.ts';
import type { LinkTransport } from './transport.ts';

/** Messages that wait for room, at most, by channel. */
const queueLimits = { [Channel.Time]: 16, [Channel.Stream]: 640, [Channel.Report]: 256 } as const;
type DataChannel = keyof typeof queueLimits;
const dataChannels = [Channel.Time, Channel.Stream, Channel.Report] as const;

/** A message from the meter. */
export interface ReceivedMessage {
  readonly message: MeterMessage;
  /** process.hrtime.bigint() at which the first and the last byte of the frames that carried it were read. */
  readonly firstTick: bigint;
  readonly lastTick: bigint;
  /** When the last one had come before that, as far as it is known: for estimates, it may be wrong. */
  readonly cameTick: bigint;
}

export interface LinkCounters {
  readonly framesReceived: number;
  readonly framesDamaged: number;
  readonly framesSent: number;
  readonly framesResent: number;
  /** In sealed sessions: without the seal that they should have; sent again or come too late. */
  readonly framesForged: number;
  readonly framesReplayed: number;
  /** Longer than a frame may be: noise, or another protocol. */
  readonly framesTooLong: number;
  /** Messages that made no sense. */
  readonly messagesRefused: number;
  /** Messages to the meter that found their queue full. */
  readonly messagesDropped: number;
  readonly coreRestarts: number;
}

/** Why a meter gets no session. */
export type TurnedAway =
  /** Its link is sealed, and there is no key. */
  | 'no-key'
  /** Its link is open, though there is a key; or open links are not served. */
  | 'open'
  /** It does not prove the key. */
  | 'wrong-key';

/** What a gateway knows of a meter: its link key (16 bytes); that its link is open; or nothing, and it is not served. */
export type LinkKeys = (meter: string) => Uint8Array | 'open' | undefined;

export interface LinkEndEvents {
  /** A session stands; a number other than the last one means that everything before is forgotten. */
  session: [number];
  /** No session stands any more. */
  down: [reason: string];
  message: [ReceivedMessage];
  /** The meter sent what as/abi/codes.ts does not describe. */
  refused: [MessageError];
  /** A channel's queue is short again after `isBusy`. */
  drain: [];
  /** A meter, or somebody in its name, asks for a session and gets none; it asks again and again. */
  turnedAway: [meter: string, reason: TurnedAway];
  /** Frames of a sealed session were refused: how many of each kind since the link's core started. */
  tampered: [{ readonly forged: number; readonly replayed: number }];
  /** The transport ended for good. */
  closed: [];
}

/** What a message is made of at the moment at which it is handed to the link. */
export type MessageMaker = (nowTick: bigint) => GatewayMessage;

export interface LinkEndOptions {
  readonly transport: LinkTransport;
  readonly log?: Logger;
  readonly core?: CoreModule;
  /** Without it, every open link is served, and no sealed one. */
  readonly linkKeys?: LinkKeys | undefined;
}

interface QueuedEvent {
  readonly event: Event;
  readonly tick: bigint;
  readonly payload?: Uint8Array;
  /** Of a frame: by how much earlier its last byte had come. */
  readonly keptNs?: number;
}

export class LinkEnd extends EventEmitter<LinkEndEvents> {
  readonly transport: LinkTransport;
  readonly #log: Logger;
  readonly #module: CoreModule | undefined;
  readonly #linkKeys: LinkKeys | undefined;
  readonly #splitter: FrameSplitter;
  readonly #queues: Record<DataChannel, (Uint8Array | MessageMaker)[]> = {
    [Channel.Time]: [],
    [Channel.Stream]: [],
    [Channel.Report]: [],
  };
  #room: Record<DataChannel, number> = { [Channel.Time]: 0, [Channel.Stream]: 0, [Channel.Report]: 0 };
  #core: Core | undefined;
  #generation = 0;
  #events: QueuedEvent[] = [];
  #running = false;
  #started = false;
  #stopped = false;
  #wake: NodeJS.Timeout | undefined;
  #session: number | undefined;
  #up = false;
  #busy = false;
  #ready: Uint8Array = new Uint8Array(LinkReadyField.Bytes);
  #refused = 0;
  #dropped = 0;
  #restarts = 0;

  constructor(options: LinkEndOptions) {
    super();
    this.transport = options.transport;
    this.#log = options.log ?? silentLogger;
    this.#module = options.core;
    this.#linkKeys = options.linkKeys;
    this.#splitter = new FrameSplitter(
      (frame, first, last, keptNs) => this.#frame(frame, first, last, keptNs),
      options.transport.byteNs,
    );
  }

  /** Whether a session stands. */
  get isUp(): boolean {
    return this.#up;
  }

  /** The session that stands or stood last; undefined before the first. */
  get session(): number | undefined {
    return this.#session;
  }

  /** Whether the session that stands is sealed. */
  get isSealed(): boolean {
    return this.#up && this.#ready[LinkReadyField.Sealed] === 1;
  }

  /** The meter that the session is with: proven where it is sealed, as it says where it is not. */
  get meter(): string | undefined {
    return this.#up ? textAt(this.#ready, LinkReadyField.Meter) : undefined;
  }

  /** The stream queue is long: whoever has more for it should wait for `drain`. */
  get isBusy(): boolean {
    return this.#busy;
  }

  get counters(): LinkCounters {
    const view = new DataView(this.#ready.buffer, this.#ready.byteOffset);
    return {
      framesReceived: view.getUint32(LinkReadyField.FramesReceived, true),
      framesDamaged: view.getUint32(LinkReadyField.FramesDamaged, true),
      framesSent: view.getUint32(LinkReadyField.FramesSent, true),
      framesResent: view.getUint32(LinkReadyField.FramesResent, true),
      framesForged: view.getUint32(LinkReadyField.FramesForged, true),
      framesReplayed: view.getUint32(LinkReadyField.FramesReplayed, true),
      framesTooLong: this.#splitter.dropped,
      messagesRefused: this.#refused,
      messagesDropped: this.#dropped,
      coreRestarts: this.#restarts,
    };
  }

  /** Starts the transport; a core runs for as long as that is up. */
  start(): void {
    if (this.#started || this.#stopped) return;
    this.#started = true;
    this.transport.on('data', (chunk, stampNs) => this.#splitter.push(chunk, stampNs));
    this.transport.on('up', () => {
      this.#log.debug('link connected', { link: this.transport.name });
      this.#startCore();
    });
    this.transport.on('down', (reason) => {
      this.#log.debug('link lost', { link: this.transport.name, reason });
      this.#dropCore(reason);
    });
    this.transport.on('closed', () => {
      void this.stop();
      this.emit('closed');
    });
    this.transport.start();
  }

  /** Forgets the session and everything that waits, and asks the meter for a new session. */
  restart(): void {
    this.#dropCore('started anew');
    if (!this.#stopped && this.transport.isUp) this.#startCore();
  }

  #startCore(): void {
    this.#core = new Core(this.#module);
    const payload = new Uint8Array(LinkStartField.Bytes);
    const view = new DataView(payload.buffer);
    view.setUint32(LinkStartField.TickHz, 1e9, true);
    payload.set(randomBytes(8), LinkStartField.Nonce);
    view.setUint8(LinkStartField.ServesOpen, this.#linkKeys === undefined ? 1 : 0);
    this.#happenNow(Event.LinkStart, payload);
  }

  #dropCore(reason: string): void {
    this.#core = undefined;
    this.#generation++;
    this.#events = [];
    clearTimeout(this.#wake);
    this.#splitter.reset();
    this.#ended(reason);
  }

  /** Closes the transport. */
  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#dropCore('stopped');
    await this.transport.close();
  }

  /**
   * Queues a message; one that must carry its departure is given as a function, called when the link takes it.
   * Returns false when no session stands or too many wait: the message is dropped.
   * @throws MessageError for a message that cannot be encoded
   */
  send(message: GatewayMessage): boolean;
  send(make: MessageMaker, channel: Channel.Time): boolean;
  send(message: GatewayMessage | MessageMaker, channel = Channel.Time): boolean {
    const to = typeof message === 'function' ? channel : channelOf(message.type);
    const entry = typeof message === 'function' ? message : encodeMessage(message);
    const queue = this.#queues[to as DataChannel];
    if (!this.#up || queue.length >= queueLimits[to as DataChannel]) {
      this.#dropped++;
      return false;
    }
    queue.push(entry);
    if (to === Channel.Stream && queue.length >= 64) this.#busy = true;
    this.#run();
    return true;
  }

  #frame(frame: Uint8Array, firstTick: bigint, tick: bigint, keptNs: number): void {
    const payload = new Uint8Array(8 + frame.length);
    new DataView(payload.buffer).setBigUint64(0, firstTick, true);
    payload.set(frame, 8);
    this.#happen({ event: Event.Frame, tick, payload, keptNs });
  }

  #happen(event: QueuedEvent): void {
    if (this.#core === undefined) return;
    this.#events.push(event);
    this.#run();
  }

  // Something without a stamp of its own.
  #happenNow(event: Event, payload = new Uint8Array(0)): void {
    this.#happen({ event, tick: process.hrtime.bigint(), payload });
  }

  /** Hands waiting events to the core, then waiting messages, until there is neither; never nested. */
  #run(): void {
    if (this.#running) return;
    this.#running = true;
    try {
      for (;;) {
        const next = this.#events.shift() ?? this.#nextSend();
        if (next === undefined || this.#core === undefined) break;
        this.#handle(this.#core, next);
      }
    } finally {
      this.#running = false;
    }
    if (this.#busy && this.#queues[Channel.Stream].length < 16) {
      this.#busy = false;
      this.emit('drain');
    }
  }

  #nextSend(): QueuedEvent | undefined {
    if (!this.#up) return undefined;
    for (const channel of dataChannels) {
      if (this.#room[channel] === 0) continue;
      const entry = this.#queues[channel].shift();
      if (entry === undefined) continue;
      // The core says the room again when it has changed; until then it is one less.
      this.#room[channel]--;
      const tick = process.hrtime.bigint();
      const message = typeof entry === 'function' ? encodeMessage(entry(tick)) : entry;
      const payload = new Uint8Array(1 + message.length);
      payload[0] = channel;
      payload.set(message, 1);
      return { event: Event.LinkSend, tick, payload };
    }
    return undefined;
  }

  #handle(core: Core, { event, tick, payload, keptNs = 0 }: QueuedEvent): void {
    let actions: CoreAction[];
    try {
      actions = core.handle(event, tick, payload);
    } catch (error) {
      if (!(error instanceof CoreError) || error.code !== 'core-trap') throw error;
      this.#log.error('the core of a link trapped and was started anew', {
        link: this.transport.name,
        error: error.message,
      });
      // Not at once: a core that traps at its start must not take this process with it.
      this.#restarts++;
      this.#dropCore('trapped');
      this.#wake = setTimeout(() => this.restart(), 1_000);
      return;
    }
    for (const action of actions) {
      if (this.#core !== core) return;
      this.#do(action, keptNs);
    }
  }

  #do({ kind, payload }: CoreAction, keptNs: number): void {
    const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
    switch (kind) {
      case Action.FrameSend: {
        const generation = this.#generation;
        void this.transport.write(payload).then(() => {
          if (generation === this.#generation) this.#happenNow(Event.FrameSent);
        });
        break;
      }
      case Action.Wake: {
        const waitNs = view.getBigUint64(0, true) - process.hrtime.bigint();
        const waitMs = Math.max(0, Math.min(Number(waitNs) / 1e6, 2 ** 31 - 1));
        clearTimeout(this.#wake);
        this.#wake = setTimeout(() => this.#happenNow(Event.Wake), Math.ceil(waitMs));
        break;
      }
      case Action.Message:
        this.#message(payload, view, keptNs);
        break;
      case Action.LinkReady:
        this.#told(payload, view);
        break;
      case Action.LinkHello:
        this.#hello(payload);
        break;
      default:
        this.#log.warn('the core of a link asks for what a gateway does not have', { action: kind });
    }
  }

  #message(payload: Uint8Array, view: DataView, keptNs: number): void {
    const channel = payload[LinkMessageField.Channel] as Channel;
    let message: LinkMessage;
    try {
      message = decodeMessage(channel, payload.subarray(LinkMessageField.Message));
      if (!isMeterMessage(message)) {
        throw new MessageError('type', `message: expected one that meters send, came ${Message[message.type]}`);
      }
    } catch (error) {
      if (!(error instanceof MessageError)) throw error;
      this.#refused++;
      this.#log.warn('the meter sent a message that makes no sense', {
        link: this.transport.name,
        error: errorText(error),
      });
      this.emit('refused', error);
      return;
    }
    const lastTick = view.getBigUint64(LinkMessageField.LastTick, true);
    this.emit('message', {
      message,
      firstTick: view.getBigUint64(LinkMessageField.FirstTick, true),
      lastTick,
      cameTick: lastTick - BigInt(keptNs),
    });
  }

  #hello(payload: Uint8Array): void {
    const meter = textAt(payload, LinkHelloField.Meter);
    if (payload[LinkHelloField.Kind] === LinkHello.Refused) {
      this.emit('turnedAway', meter, 'wrong-key');
      return;
    }
    const sealed = payload[LinkHelloField.Sealed] === 1;
    const key = this.#linkKeys?.(meter);
    const answer = new Uint8Array(LinkKeyField.Meter + payload.length - LinkHelloField.Meter);
    answer.set(payload.subarray(LinkHelloField.Meter), LinkKeyField.Meter);
    if (key === 'open') answer[LinkKeyField.Known] = LinkKnown.Open;
    else if (key !== undefined) {
      answer[LinkKeyField.Known] = LinkKnown.Key;
      answer.set(key, LinkKeyField.Key);
    }
    this.#happenNow(Event.LinkKey, answer);
    const isOpen = key === 'open';
    if (sealed && (isOpen || key === undefined)) this.emit('turnedAway', meter, 'no-key');
    else if (!sealed && !isOpen) this.emit('turnedAway', meter, 'open');
  }

  #told(payload: Uint8Array, view: DataView): void {
    const before = this.counters;
    this.#ready = payload;
    const { framesForged: forged, framesReplayed: replayed } = this.counters;
    if (forged > before.framesForged || replayed > before.framesReplayed) this.emit('tampered', { forged, replayed });
    this.#room = {
      [Channel.Time]: payload[LinkReadyField.TimeRoom]!,
      [Channel.Stream]: payload[LinkReadyField.StreamRoom]!,
      [Channel.Report]: payload[LinkReadyField.ReportRoom]!,
    };
    if (payload[LinkReadyField.Up] !== 1) {
      this.#ended('the session ended');
      return;
    }
    const session = view.getUint16(LinkReadyField.Session, true);
    if (this.#up && session === this.#session) return;
    this.#ended('a new session began');
    this.#session = session;
    this.#up = true;
    this.emit('session', session);
  }

  #ended(reason: string): void {
    for (const channel of dataChannels) this.#queues[channel] = [];
    this.#busy = false;
    if (!this.#up) return;
    this.#up = false;
    this.emit('down', reason);
  }
}

/** A text of the core: its length in a byte, then that many bytes. */
function textAt(bytes: Uint8Array, at: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + at + 1, bytes[at]).toString('utf8');
}
