// What a meter reports of its time servers: state and counters of one come in two messages, one behind the other, and are
// told together.
// Always holds: what is told is of one session of the link, and of servers that the meter still has.
import { Message } from '../../as/abi/codes.ts';
import type { Source, SourceCounts } from '../link/messages.ts';

/** One time server of a meter. */
export interface ServerReport {
  readonly source: Source;
  readonly counts: SourceCounts;
}

export class ServerReports {
  readonly #sources: (Source | undefined)[] = [];
  readonly #counts: (SourceCounts | undefined)[] = [];

  /** Takes one message. @returns all that is known of its server, with the second of the two */
  take(message: Source | SourceCounts): ServerReport | undefined {
    if (message.type === Message.Source) {
      this.#sources[message.index] = message;
      return undefined;
    }
    this.#counts[message.index] = message;
    return this.#report(message.index);
  }

  /** The meter has `count` servers: those behind them are forgotten. */
  keep(count: number): void {
    if (this.#sources.length > count) this.#sources.length = count;
    if (this.#counts.length > count) this.#counts.length = count;
  }

  /** The servers known, in the order of the meter's settings. */
  get all(): ServerReport[] {
    return this.#sources.flatMap((_, index) => this.#report(index) ?? []);
  }

  #report(index: number): ServerReport | undefined {
    const [source, counts] = [this.#sources[index], this.#counts[index]];
    return source === undefined || counts === undefined ? undefined : { source, counts };
  }
}
