// The meter at the other end of a link, watched and served as by a gateway, but with nothing kept.
import { Gateway } from '../gateway/gateway.ts';
import { loggerTo } from '../log.ts';
import { loadTrustAnchors } from '../net/trust-anchors.ts';
import { readLinkKeys } from '../provision/meter-keys.ts';
import type { Context } from './context.ts';
import { LiveView } from './live.ts';
import { printable } from './terminal.ts';
import { ended } from './wait.ts';
import { terminalLogger, watchMeters } from './watch-meters.ts';

export interface MonitorLinkOptions {
  readonly ca: readonly string[];
  /** Files with link keys. */
  readonly keys: readonly string[];
  readonly leaveEvents?: boolean;
  readonly verbose?: boolean;
  readonly json?: boolean;
}

/** Watches until it is ended. @throws LinkError for a URL that is none, or a listener that cannot listen */
export async function monitorLink(context: Context, link: string, options: MonitorLinkOptions): Promise<void> {
  const { terminal, signal } = context;
  let trouble = '';
  const shown = terminalLogger(terminal, options.verbose === true ? 'debug' : 'warn');
  const gateway = new Gateway({
    links: [link],
    anchors: loadTrustAnchors({ system: true, files: options.ca }),
    linkKeys: new Map(options.keys.flatMap(readLinkKeys).map(({ meter, linkKey }) => [meter, linkKey])),
    log: loggerTo(({ level, message, fields }) => {
      // Why a link does not come up is told where it waits.
      if (typeof fields.reason === 'string') trouble = `: ${printable(fields.reason)}`;
      shown[level](message, fields);
    }),
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
      () => (seen ? '' : `waiting for a meter at ${printable(link)}${trouble}`),
      () => ended(signal),
    );
  } finally {
    await gateway.stop();
  }
}
