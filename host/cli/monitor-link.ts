// The meter at the other end of a link, watched and served as by a gateway, but with nothing kept.
import { Gateway } from '../gateway/gateway.ts';
import { loadTrustAnchors } from '../net/trust-anchors.ts';
import type { Context } from './context.ts';
import { LiveView } from './live.ts';
import { printable } from './terminal.ts';
import { ended } from './wait.ts';
import { terminalLogger, watchMeters } from './watch-meters.ts';

export interface MonitorLinkOptions {
  readonly ca: readonly string[];
  readonly leaveEvents?: boolean;
  readonly verbose?: boolean;
  readonly json?: boolean;
}

/** Watches until it is ended. @throws LinkError for a URL that is none, or a listener that cannot listen */
export async function monitorLink(context: Context, link: string, options: MonitorLinkOptions): Promise<void> {
  const { terminal, signal } = context;
  const gateway = new Gateway({
    links: [link],
    anchors: loadTrustAnchors({ system: true, files: options.ca }),
    log: terminalLogger(terminal, options.verbose === true ? 'debug' : 'warn'),
  });
  const view = new LiveView(terminal, { json: options.json === true });
  watchMeters(gateway, view, { acknowledge: options.leaveEvents !== true });
  let seen = false;
  gateway.on('link', ({ name, up, reason }) => {
    seen ||= up;
    if (!up && options.json !== true)
      terminal.note(`The link ${printable(name)} is down (${printable(reason)}); waiting for it.`);
  });
  await gateway.start();
  try {
    await terminal.during(
      () => (seen ? '' : `waiting for a meter at ${link}`),
      () => ended(signal),
    );
  } finally {
    await gateway.stop();
  }
}
