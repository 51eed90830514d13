// The records of a meter whose link is played by a test: its rings, what it sends of them, and what it frees; and the blocks
// that it is told.
// Always holds, as in the core: each message of a command is answered by a Done; in a session nothing is sent before the gateway said what it has; what the broker does not
// have is kept; what it has may be gone at once.
import { Abi, CommandResult, Message, Ring } from '../../../as/abi/codes.ts';
import type { GatewayMessage, MeterMessage } from '../../../host/link/messages.ts';
import { ChainMaker, signingKey } from '../record-chain.ts';
import type { ScriptedLink } from './scripted-link.ts';

/** A chain of a meter; another `life` is one that was provisioned anew. */
export function chainOf(meter: string, life = 1): ChainMaker {
  return new ChainMaker(meter, Buffer.alloc(16, life), signingKey(Buffer.alloc(32, life)));
}

export function infoOf(meterId: string): Extract<MeterMessage, { type: Message.Info }> {
  return {
    type: Message.Info,
    abiVersion: Abi.Version,
    resetCause: 0,
    capabilities: 0,
    maxFrequencyErrorPpb: 50_000,
    buildUnixSeconds: 1_795_312_800n,
    coreSha256: new Uint8Array(32).fill(1),
    imageSha256: new Uint8Array(32),
    serversMax: 4,
    meterId,
    board: 'test',
    firmwareVersion: '0.1.0',
  };
}

export class RecordMeter {
  /** The broker has all up to here; said by the gateway, and never less than before. */
  delivered = 0;
  /** What it was told last as stored. */
  heard = 0;
  /** Whether freed entries are overwritten at once. */
  forgets = false;
  /** Sequences of the entries sent unasked, in order, of all sessions. */
  readonly sent: number[] = [];
  readonly asked: Extract<GatewayMessage, { type: Message.EntriesAsk }>[] = [];
  /** Whole blocks that it was told, by `Block`. */
  readonly blocks: { readonly block: number; readonly bytes: Buffer }[] = [];
  released = 0;
  /** What commits are answered with. */
  answer: { result: CommandResult; detail: number } = { result: CommandResult.Done, detail: 0 };
  /** Answers to commands are held back. */
  silent = false;
  #parts = Buffer.alloc(0);
  #cursor: number | undefined;

  constructor(
    public chain: ChainMaker,
    private readonly say: (message: MeterMessage) => void,
  ) {}

  get ring(): readonly Buffer[] {
    return this.chain.rings[Ring.Records];
  }

  /** The link's session begins: the meter says who it is. */
  open(): void {
    this.#cursor = undefined;
    this.say(infoOf(this.chain.meter));
  }

  /** A message of the gateway. */
  take(message: GatewayMessage): void {
    if (message.type === Message.RecordAck) {
      if (message.delivered > this.ring.length)
        throw new Error(`${message.delivered} delivered of ${this.ring.length}`);
      this.heard = message.stored;
      this.delivered = Math.max(this.delivered, message.delivered);
      this.#cursor = Math.max(this.#cursor ?? 0, message.stored, this.delivered);
      this.pump();
    }
    if (message.type === Message.EntriesAsk) this.#answer(message);
    if (message.type === Message.BlockWrite) {
      const continues = message.offset === this.#parts.length;
      this.#parts = Buffer.concat([message.offset === 0 ? Buffer.alloc(0) : this.#parts, message.part]);
      const result = continues || message.offset === 0 ? CommandResult.Done : CommandResult.Request;
      this.#done(message.token, result, 0);
    }
    if (message.type === Message.BlockCommit) {
      const whole = this.#parts.length === message.length;
      if (whole && this.answer.result === CommandResult.Done) {
        this.blocks.push({ block: message.block, bytes: this.#parts });
      }
      this.#done(message.token, whole ? this.answer.result : CommandResult.Damaged, this.answer.detail);
    }
    if (message.type === Message.Release) {
      const newest = this.chain.rings[Ring.Logbook].length;
      const holds = message.sequence <= newest;
      if (holds) this.released = message.sequence;
      this.#done(message.token, holds ? CommandResult.Done : CommandResult.Request, newest);
    }
  }

  /** Makes records and sends them. */
  make(count: number): void {
    for (let index = 0; index < count; index++) this.chain.record();
    this.pump();
  }

  pump(): void {
    if (this.#cursor === undefined) return;
    while (this.#cursor < this.ring.length) {
      const entry = this.ring[this.#cursor++]!;
      this.sent.push(this.#cursor);
      this.say({ type: Message.Entry, ring: Ring.Records, token: 0, entry });
    }
  }

  #answer(ask: Extract<GatewayMessage, { type: Message.EntriesAsk }>): void {
    this.asked.push(ask);
    const { ring, token, from, count } = ask;
    const least = this.forgets && ring === Ring.Records ? this.delivered : 0;
    const entries = this.chain.rings[ring].slice(Math.max(from - 1, least), from - 1 + count);
    for (const entry of entries) this.say({ type: Message.Entry, ring, token, entry });
    this.#done(token, CommandResult.Done, entries.length);
  }

  #done(token: number, result: CommandResult, detail: number): void {
    if (!this.silent) this.say({ type: Message.Done, result, token, detail });
  }
}

/** Puts a meter at a link, now and whenever the gateway begins a new session. */
export function attach(meter: RecordMeter, link: ScriptedLink): void {
  let taken = link.sent.length;
  link.on('sent' as 'drain', () => {
    // Later, as a line does: what is said at once would reach a gateway that is still sending.
    setImmediate(() => {
      while (taken < link.sent.length) meter.take(link.sent[taken++]!);
    });
  });
  const open = () => {
    taken = link.sent.length;
    link.open();
    meter.open();
  };
  link.on('down', () => setImmediate(open));
  open();
}
