// Shows the records that a meter makes while it is watched straight from its link.
// What always holds: nothing is told to be delivered, so that the meter frees nothing and sends all of it to whoever keeps
// it; records from before the session are passed over.
import { Message, Ring } from '../../as/abi/codes.ts';
import { ContextKeeper } from '../gateway/context-keeper.ts';
import type { Meter } from '../gateway/gateway.ts';
import { MeterSessionError } from '../gateway/meter-commands.ts';
import type { MeterSession } from '../gateway/meter-session.ts';
import { type Entry, MessageError, type Tariff } from '../link/messages.ts';
import { entryPayload, type NewestRecord, newestRecordOf } from '../mqtt/record-payloads.ts';
import { type Context, tryDecodeEntry } from '../record/entry.ts';
import type { RecordPayload } from './broker.ts';
import type { LiveView } from './live.ts';

export class RecordWatch {
  /** The newest record that came. */
  newest: NewestRecord = null;
  /** Since its begin, nothing came of this session. */
  #isFirst = true;
  /** Of this session: the next may be of another chain. */
  #contexts = new ContextKeeper();
  /** Entries are shown one after the other: of some the context is asked for. */
  #turn: Promise<void> = Promise.resolve();

  constructor(
    private readonly meter: Meter,
    private readonly name: string,
    private readonly view: LiveView,
  ) {
    meter.on('up', () => {
      this.#isFirst = true;
      this.newest = null;
      this.#contexts = new ContextKeeper();
    });
    meter.on('tariff', (tariff) => this.#begin(tariff));
    meter.on('entry', (entry) => this.#take(entry));
  }

  /** The meter sends what is behind what is stored, as soon as it has found its rings. */
  #begin({ recordNewest }: Tariff): void {
    if (this.#isFirst) this.meter.session?.link.send({ type: Message.RecordAck, stored: recordNewest, delivered: 0 });
  }

  #take({ ring, entry }: Entry): void {
    const { session } = this.meter;
    if (ring !== Ring.Records || session === undefined) return;
    this.#isFirst = false;
    this.newest = newestRecordOf(entry) ?? this.newest;
    const contexts = this.#contexts;
    this.#turn = this.#turn.then(async () => {
      const context = await contextOf(contexts, session, entry);
      this.view.record(this.name, entryPayload(this.name, ring, entry, context) as RecordPayload);
    });
  }
}

async function contextOf(
  contexts: ContextKeeper,
  { commands }: MeterSession,
  bytes: Uint8Array,
): Promise<Context | undefined> {
  const entry = tryDecodeEntry(Ring.Records, bytes);
  if (entry instanceof MessageError) return undefined;
  return contexts.of(entry, async (sequence) => {
    try {
      const context = await contexts.ask(commands, sequence);
      if (context === undefined) contexts.giveUp(sequence);
      return context;
    } catch (error) {
      // It is shown without its units then.
      if (!(error instanceof MeterSessionError)) throw error;
      return undefined;
    }
  });
}
