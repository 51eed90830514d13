// The demo after its acts, until Ctrl-C: one line for each meter, from what the broker gets.
// On a terminal the lines stay in place and tell how old the report is; elsewhere one is added as a report comes.
// What always holds: no time of day is shown. A report is seconds old when it is looked at, and two meters' reports are
// not of the same moment: their clocks would seem to differ.
import type { TimePayload } from '../mqtt/payloads.ts';
import { durationText } from '../text/names.ts';
import type { Cast, Stage } from './acts.ts';
import type { BrokerView } from './broker-view.ts';
import type { Story } from './story.ts';

/** Without a terminal, reports of a meter that come sooner after the last one that was told are not told. */
const quietMs = 7_000;

/** Resolves when the demo is to end. */
export async function watchLive({ story, signal }: Stage, { broker, meters }: Cast): Promise<void> {
  story.heading("The demo goes on until Ctrl-C. The meters' reports:");
  const ids = meters.map(({ watch }) => watch.id);
  const end = story.isLive ? showInPlace(story, broker, ids) : tellReports(story, broker);
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
  end();
  story.end();
}

/** Rewritten every second, as the reports' age changes. @returns what ends it */
function showInPlace(story: Story, broker: BrokerView, ids: readonly string[]): () => void {
  const lines = (id: string) => {
    const last = broker.lastTime(id);
    const age = last === undefined ? '' : `${Math.floor((performance.now() - last.cameMs) / 1000)} s ago: `;
    return story.named(id, `${age}${clockText(last?.payload)}`);
  };
  const show = () => story.bottom(() => ids.flatMap(lines));
  show();
  const beat = setInterval(show, 1000);
  return () => clearInterval(beat);
}

/** @returns what ends it */
function tellReports(story: Story, broker: BrokerView): () => void {
  const toldMs = new Map<string, number>();
  broker.onReport = (report) => {
    if (report.kind !== 'time') return;
    const { meter, payload } = report;
    if (performance.now() - (toldMs.get(meter) ?? Number.NEGATIVE_INFINITY) < quietMs) return;
    toldMs.set(meter, performance.now());
    story.line(meter, 'ok', clockText(payload), { event: 'live' });
  };
  return () => {
    broker.onReport = () => {};
  };
}

/** What a report says of a meter's clock. */
function clockText(time: TimePayload | undefined): string {
  if (time === undefined || time.utc === null) return 'does not know the time';
  const uncertainty = durationText(time.uncertaintyNs ?? 0);
  return `${time.status} ± ${uncertainty}, error certainly below ${durationText(time.boundNs ?? 0)}`;
}
