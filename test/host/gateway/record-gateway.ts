// A gateway's side for one meter, m1, whose link is played by a test: outbox, ledger, session and intake.
// What always holds: it ends as a kill does, with what is on disk.
import { MeterSession } from '../../../host/gateway/meter-session.ts';
import { RecordIntake } from '../../../host/gateway/record-intake.ts';
import { type Logger, loggerTo } from '../../../host/log.ts';
import { recordPublication } from '../../../host/mqtt/record-payloads.ts';
import { loadTrustAnchors } from '../../../host/net/trust-anchors.ts';
import type { TransactionFollower } from '../../../host/ocmf/maker.ts';
import { Outbox, type OutboxOptions } from '../../../host/outbox/outbox.ts';
import { type MeterLedger, RecordLedger } from '../../../host/outbox/record-ledger.ts';
import { attach, chainOf, RecordMeter } from './record-meter.ts';
import { ScriptedLink } from './scripted-link.ts';

/** What a follower of the records is made of. */
export interface GatewayParts {
  readonly outbox: Outbox;
  readonly ledger: MeterLedger;
  readonly link: ScriptedLink;
  readonly session: MeterSession;
  readonly log: Logger;
}

/** @param follow makes what goes on with the records */
export async function startRecordGateway(
  options: Pick<OutboxOptions, 'directory'> & Partial<OutboxOptions>,
  follow: (parts: GatewayParts) => TransactionFollower | undefined = () => undefined,
) {
  const outbox = new Outbox({ maxBytes: 1 << 26, reserveBytes: 1 << 16, retryMs: 20, ...options });
  await outbox.open();
  const ledgers = new RecordLedger(outbox);
  ledgers.load();
  const ledger = ledgers.meter('m1');
  const logged: string[] = [];
  const log = loggerTo(({ level, message, fields }) => {
    logged.push(`${level}: ${message}${fields?.reason === undefined ? '' : ` (${fields.reason})`}`);
  });
  const link = new ScriptedLink();
  const session = new MeterSession({ link, anchors: loadTrustAnchors({ system: true, files: [] }), log });
  const follower = follow({ outbox, ledger, link, session, log });
  const intake = new RecordIntake({
    ledger,
    encode: (entry, context) => ({ topic: 'record', ...recordPublication('m1', entry, context, 'json') }),
    ...(follower === undefined ? {} : { follower }),
    log,
    outboxRetryMs: 20,
    tellMs: 1,
  });
  session.on('info', () => {
    intake.begin(session);
    follower?.wake();
  });
  session.on('down', () => intake.end());
  session.on('entry', (entry) => intake.take(entry));
  session.on('tariff', (tariff) => intake.newest(tariff.recordNewest));
  session.start();
  const stop = async () => {
    intake.close();
    follower?.close();
    await session.stop();
    // The meter begins a new session at once, which nobody hears any more.
    link.removeAllListeners();
    await outbox.close();
  };
  return { outbox, ledgers, ledger, intake, link, session, logged, stop };
}

/** A meter at the link of a gateway; it comes back by itself when the gateway begins a new session. */
export function connect({ link }: { readonly link: ScriptedLink }, chain = chainOf('m1')): RecordMeter {
  const meter = new RecordMeter(chain, (message) => link.say(message));
  attach(meter, link);
  return meter;
}
