// Shows what the meters of a gateway in this process report, as it comes.
import { ClockStatus } from '../../as/abi/codes.ts';
import type { Gateway, Meter } from '../gateway/gateway.ts';
import { meterMinusHost } from '../gateway/meter-session.ts';
import { MessageError } from '../link/messages.ts';
import { formatLine, type Logger, type LogLevel, loggerTo } from '../log.ts';
import { eventPayload, infoPayload, serverPayload, timePayload } from '../mqtt/payloads.ts';
import { tariffPayload } from '../mqtt/record-payloads.ts';
import { decodeHead } from '../record/entry.ts';
import { headJson } from '../record/json.ts';
import type { LiveView } from './live.ts';
import { RecordWatch } from './record-watch.ts';
import type { Terminal } from './terminal.ts';

export interface WatchOptions {
  /** Whether events are acknowledged: a meter keeps eight, and tells no more while they wait. */
  readonly acknowledge: boolean;
}

/** A logger for a gateway whose meters are watched: what is worth a line goes beside the result. */
export function terminalLogger(terminal: Terminal, least: LogLevel): Logger {
  const order: readonly LogLevel[] = ['debug', 'info', 'warn', 'error'];
  return loggerTo((record) => {
    if (order.indexOf(record.level) >= order.indexOf(least)) terminal.note(formatLine(record));
  });
}

/** Shows every meter of the gateway, from now on. */
export function watchMeters(gateway: Gateway, view: LiveView, options: WatchOptions): void {
  gateway.on('meter', (meter) => watchMeter(meter, view, options));
}

function watchMeter(meter: Meter, view: LiveView, { acknowledge }: WatchOptions): void {
  const name = meter.id === '' ? '(no id)' : meter.id;
  meter.on('up', () => view.presence(name, true, undefined));
  meter.on('down', (reason) => view.presence(name, false, reason));
  meter.on('info', (info) => view.info(name, infoPayload(info)));
  meter.on('server', (report) => view.server(name, serverPayload(name, report)));
  const records = new RecordWatch(meter, name, view);
  meter.on('tariff', (tariff) => view.tariff(name, tariffPayload(name, tariff, records.newest)));
  meter.on('head', ({ head }) => {
    try {
      view.head(headJson(decodeHead(head)));
    } catch (error) {
      if (!(error instanceof MessageError)) throw error;
      view.remark(name, `a head that makes no sense: ${error.message}`, 'red');
    }
  });
  meter.on('event', ({ event, ack }) => {
    view.event(name, eventPayload(name, event));
    if (acknowledge) ack();
  });
  meter.on('time', (time) => {
    const payload = timePayload(name, time);
    if (time.status === ClockStatus.Unsynchronised) {
      view.time(name, payload);
      return;
    }
    meter.probeTime().then(
      (probed) => view.time(name, payload, { seen: meterMinusHost(probed) }),
      () => view.time(name, payload),
    );
  });
}
