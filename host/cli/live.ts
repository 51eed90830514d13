// Reports of meters as they come, one line each: for monitor, run and sync. With JSON, one object a line.
import type { ClockDifference } from '../gateway/meter-session.ts';
import type { EventPayload, InfoPayload, ServerPayload, TimePayload } from '../mqtt/payloads.ts';
import type { TariffPayload } from '../mqtt/record-payloads.ts';
import { shortAead } from '../provision/aeads.ts';
import type { HeadJson } from '../record/json.ts';
import { eventNews, waitingText } from '../text/names.ts';
import { legalTime } from '../text/utc.ts';
import type { RecordPayload } from './broker.ts';
import { recordText, recordTime } from './evidence-entries.ts';
import { hasMajority, serverMark, serverState } from './server-table.ts';
import { clockText } from './status.ts';
import { printable, type Style, type Terminal } from './terminal.ts';
import { plainNs, reachText, signedNs } from './units.ts';

const newsMarks: Readonly<Record<'good' | 'bad' | 'neither', readonly [mark: string, style: Style]>> = {
  good: ['✓', 'green'],
  bad: ['✗', 'red'],
  neither: ['·', 'cyan'],
};

export class LiveView {
  readonly #terminal: Terminal;
  readonly #json: boolean;
  #widest = 8;
  /** What was last shown of each server: as long as it stays so, it is not told again. */
  readonly #servers = new Map<string, string>();
  /** What was last shown of each meter's tariff. */
  readonly #tariffs = new Map<string, string>();
  /** What was last said of what each meter is. */
  readonly #infos = new Map<string, string>();
  /** Meters whose last report said that too few servers agree. */
  readonly #divided = new Set<string>();

  constructor(terminal: Terminal, options: { json?: boolean } = {}) {
    this.#terminal = terminal;
    this.#json = options.json === true;
  }

  event(meter: string, payload: EventPayload, gateway?: string): void {
    if (this.#json) this.#object('event', payload, gateway);
    else {
      const [mark, style] = newsMarks[eventNews(payload.event)];
      this.#line(meter, this.#terminal.paint(style, mark), printable(payload.text));
    }
  }

  /** @param more seen: the meter's clock minus this computer's, where that was measured */
  time(meter: string, payload: TimePayload, more: { gateway?: string; seen?: ClockDifference } = {}): void {
    const { gateway, seen } = more;
    if (hasMajority(payload)) this.#divided.delete(`${gateway ?? ''}/${meter}`);
    else this.#divided.add(`${gateway ?? ''}/${meter}`);
    if (this.#json) {
      const difference = seen && { meterMinusHostNs: seen.ns, meterMinusHostHalfWidthNs: seen.halfWidthNs };
      this.#object('time', { ...payload, ...difference }, gateway);
      return;
    }
    const { server, servers, nts } = payload;
    const waiting = waitingText({ missing: payload.missing, ...servers });
    const parts = [
      clockText(this.#terminal, payload.status),
      ...(waiting === undefined ? [] : [printable(waiting)]),
      ...(payload.utc === null ? [] : [payload.utc.replace(/\d{6}Z$/, 'Z')]),
      ...(payload.uncertaintyNs === null ? [] : [`± ${plainNs(payload.uncertaintyNs)}`]),
      ...(payload.boundNs === null ? [] : [`bound ${plainNs(payload.boundNs)}`]),
      ...(payload.offsetNs === null ? [] : [`offset ${signedNs(payload.offsetNs)}`]),
      ...(payload.delayNs === null ? [] : [`delay ${plainNs(payload.delayNs)}`]),
      ...(server.stratum === null ? [] : [`stratum ${server.stratum}`]),
      ...(nts.aead === null ? [] : [`cookies ${nts.cookies}`, `reach ${reachText(payload.reach)}`]),
      ...(servers.inUse > 1 ? [`servers ${servers.agreeing}/${servers.inUse}`] : []),
      ...(seen === undefined ? [] : [`host sees ${signedNs(seen.ns)} ± ${plainNs(seen.halfWidthNs)}`]),
      ...payload.flags.map((flag) => printable(flag)),
    ];
    this.#line(meter, ' ', parts.join('  '));
  }

  /** One of the meter's servers: a line when its state, keys or agreement change; in JSON, each report. */
  server(meter: string, payload: ServerPayload, gateway?: string): void {
    if (this.#json) {
      this.#object('server', payload, gateway);
      return;
    }
    const { number, nts } = payload;
    const key = `${gateway ?? ''}/${meter}/${number}`;
    // Which of several is followed, and a sample that strays, may be other ones with each answer: that is no news.
    const flags = payload.flags.filter((flag) => flag !== 'reference' && flag !== 'strays');
    const now = JSON.stringify([payload.ke, payload.ntp, payload.state, flags, nts.aead]);
    if (this.#servers.get(key) === now) return;
    this.#servers.set(key, now);
    const majority = !this.#divided.has(`${gateway ?? ''}/${meter}`);
    const ntp = payload.ntp !== null && payload.ntp.host !== payload.ke ? ` (NTP at ${payload.ntp.host})` : '';
    const parts = [
      `server ${number}${serverMark(payload, majority)} ${printable(`${payload.ke ?? '-'}${ntp}`)}`,
      serverState(payload),
      ...(nts.aeadName === null ? [] : [printable(shortAead(nts.aeadName)), `cookies ${nts.cookies}`]),
      ...(payload.offsetNs === null ? [] : [`offset ${signedNs(payload.offsetNs)}`]),
      ...(payload.delayNs === null ? [] : [`delay ${plainNs(payload.delayNs)}`]),
      ...payload.flags.map((flag) => printable(flag)),
    ];
    this.#line(meter, ' ', parts.join('  '));
  }

  /** A line when the tariff or what is next changes; in JSON, each report. */
  tariff(meter: string, payload: TariffPayload, gateway?: string): void {
    if (this.#json) {
      this.#object('tariff', payload, gateway);
      return;
    }
    const { tariff, sinceUtc, next, program, passiveProgram, dynamic, offsetMinutes } = payload;
    // What is of the next records is told with them; summer time is in the offset.
    const flags = payload.flags.filter((flag) => flag !== 'known' && flag !== 'summer');
    const key = `${gateway ?? ''}/${meter}`;
    const now = JSON.stringify([tariff, sinceUtc, next, program, passiveProgram, dynamic, flags]);
    if (this.#tariffs.get(key) === now) return;
    this.#tariffs.set(key, now);
    const at = (utc: string | null) => (utc === null ? '?' : legalTime(utc, offsetMinutes));
    const parts = [
      tariff === null ? 'no tariff' : `tariff ${tariff}${sinceUtc === null ? '' : ` since ${at(sinceUtc)}`}`,
      ...(next === null ? [] : [`until ${at(next.utc)}, then ${next.tariff}`]),
      ...(program === null ? ['no program'] : [printable(program.name)]),
      ...(passiveProgram === null
        ? []
        : [`${printable(passiveProgram.name)} from ${at(passiveProgram.activationUtc)}`]),
      ...flags.map(printable),
    ];
    this.#line(meter, this.#terminal.paint('cyan', '·'), parts.join('  '));
  }

  /** An entry of the records: a line for each record, and for the last part of each context. */
  record(meter: string, payload: RecordPayload, gateway?: string): void {
    if (this.#json) this.#object('record', payload, gateway);
    else if (payload.format === 'record') {
      const { sequence, status, tariff } = payload;
      const parts = [`record ${sequence}`, recordTime(payload), printable(status.letter), `tariff ${tariff}`];
      this.#line(meter, ' ', [...parts, recordText(payload)].join('  '));
    } else if (payload.format === 'context' && payload.part === payload.parts) {
      const { contents } = payload;
      const program = contents === null ? [] : [contents.program === null ? 'no program' : printable(contents.program)];
      this.#line(meter, ' ', [`record ${payload.sequence}`, 'context of the next ones', ...program].join('  '));
    } else if (payload.format === 'unreadable') {
      this.#line(meter, this.#terminal.paint('red', '✗'), `record ${payload.sequence}  does not fit its layout`);
    }
  }

  /** What a meter signed; only programs want to know. */
  head(payload: HeadJson, gateway?: string): void {
    if (this.#json) this.#object('head', payload, gateway);
  }

  /** A line for each start of the meter or its link; in JSON, each report. */
  info(meter: string, payload: InfoPayload, gateway?: string): void {
    if (this.#json) {
      this.#object('info', payload, gateway);
      return;
    }
    const { board, firmwareVersion, software } = payload;
    const key = `${gateway ?? ''}/${meter}`;
    const image = software.imageSha256 === null ? '' : `, image ${software.imageSha256.slice(0, 16)}…`;
    const now = `board ${printable(board)}, firmware ${printable(firmwareVersion) || '-'}, core ${software.coreSha256.slice(0, 16)}…${image}`;
    if (this.#infos.get(key) === now) return;
    this.#infos.set(key, now);
    this.#line(meter, ' ', now);
  }

  /** Whether the meter is there. */
  presence(meter: string, online: boolean, reason: string | undefined, gateway?: string): void {
    this.#infos.delete(`${gateway ?? ''}/${meter}`);
    if (this.#json) this.#object('state', { meter, state: stateName(online), reason }, gateway);
    else this.#presenceLine(meter, online, reason);
  }

  /** Whether a gateway is there. In JSON it has no `meter`, as one of its meters may be named like it. */
  gateway(gateway: string, online: boolean, reason: string | undefined): void {
    if (this.#json) this.#object('state', { state: stateName(online), reason }, gateway);
    else this.#presenceLine(gateway, online, reason);
  }

  /** Something of the program's own, such as a link that broke. */
  remark(meter: string, text: string, style: Style = 'dim'): void {
    if (!this.#json) this.#line(meter, ' ', this.#terminal.paint(style, printable(text)));
  }

  #presenceLine(name: string, online: boolean, reason: string | undefined): void {
    const text = this.#terminal.paint(online ? 'green' : 'red', stateName(online));
    this.#line(name, ' ', `${text}${reason === undefined ? '' : ` (${printable(reason)})`}`);
  }

  #line(meter: string, mark: string, text: string): void {
    this.#widest = Math.max(this.#widest, meter.length);
    const time = this.#terminal.paint('dim', new Date().toISOString().slice(11, 23));
    this.#terminal.print(`${time}  ${printable(meter).padEnd(this.#widest)}  ${mark} ${text}`);
  }

  #object(kind: string, payload: object, gateway: string | undefined): void {
    const from = gateway === undefined ? {} : { gateway };
    this.#terminal.printJson({ at: new Date().toISOString(), kind, ...from, ...payload }, 0);
  }
}

function stateName(online: boolean): 'online' | 'offline' {
  return online ? 'online' : 'offline';
}
