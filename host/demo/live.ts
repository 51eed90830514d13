// The demo after its acts, until Ctrl-C: one line for each meter, from what the broker gets.
// On a terminal the lines stay in place; elsewhere a new one is added for each meter every ten seconds.
import type { TimePayload } from '../mqtt/payloads.ts';
import { durationText } from '../text/names.ts';
import type { Cast, Stage } from './acts.ts';

const linePeriodMs = 10_000;

/** Resolves when the demo is to end. */
export async function watchLive({ story, signal }: Stage, { broker, meters }: Cast): Promise<void> {
  story.heading('The demo goes on until Ctrl-C');
  const texts = () => meters.map(({ watch: { id } }) => ({ id, text: clockText(broker.time(id)) }));
  const toldMs = new Map<string, number>();
  const tell = () => {
    if (story.isLive) return story.bottom(() => texts().map(({ id, text }) => `  ${story.paint('cyan', id)}  ${text}`));
    for (const { id, text } of texts()) {
      if (performance.now() - (toldMs.get(id) ?? Number.NEGATIVE_INFINITY) < linePeriodMs * 0.9) continue;
      toldMs.set(id, performance.now());
      story.line(id, 'ok', text, { event: 'live' });
    }
  };
  broker.onReport = (report) => {
    if (report.kind === 'time') tell();
  };
  tell();
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
  broker.onReport = () => {};
  story.end();
}

/** One line about a meter's clock. */
function clockText(time: TimePayload | undefined): string {
  if (time?.utc === null || time === undefined) return 'does not know the time';
  const utc = time.utc.replace(/^.*T/, '').replace(/\.\d+Z$/, ' UTC');
  const uncertainty = durationText(time.uncertaintyNs ?? 0);
  return `${time.status}: ${utc} ± ${uncertainty}, error certainly below ${durationText(time.boundNs ?? 0)}`;
}
