// A publisher that takes commands over a real broker, and the session of a meter whose link is played by the test.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { MeterSession } from '../../host/gateway/meter-session.ts';
import type { CommandMeter } from '../../host/mqtt/meter-command.ts';
import { MqttPublisher, type PublisherReport } from '../../host/mqtt/publisher.ts';
import { loadTrustAnchors } from '../../host/net/trust-anchors.ts';
import { Outbox } from '../../host/outbox/outbox.ts';
import { type MosquittoOptions, startMosquitto } from '../../host/setup/mosquitto.ts';
import { until } from '../../host/setup/until.ts';
import { attach, RecordMeter } from './gateway/record-meter.ts';
import { ScriptedLink } from './gateway/scripted-link.ts';
import { mqttSettings } from './mqtt-settings.ts';
import type { ChainMaker } from './record-chain.ts';

export interface CommandGatewayOptions {
  readonly directory: string;
  /** What ends it all; to be called from the last to the first. */
  readonly cleanUp: (() => unknown)[];
  /** Of meter `m1`. */
  readonly chain: ChainMaker;
  readonly options?: MosquittoOptions;
  readonly login?: { username: string; password: string } | undefined;
  readonly recordFormat?: 'json' | 'cbor';
  readonly report?: (report: PublisherReport) => void;
}

/** Gateway `g1` with a meter `m1` that is there, and one `away` that is not. */
export async function startCommandGateway(given: CommandGatewayOptions) {
  const { directory, cleanUp, chain, login } = given;
  const broker = await startMosquitto(given.options);
  cleanUp.push(() => broker.stop());
  const link = new ScriptedLink();
  const session = new MeterSession({ link, anchors: loadTrustAnchors({ system: true, files: [] }) });
  session.start();
  const meter = new RecordMeter(chain, (message) => link.say(message));
  attach(meter, link);
  const target: CommandMeter = {
    commands: session.commands,
    newest: (ring) => chain.rings[ring].length,
    slots: undefined,
    updates: undefined,
    context: () => undefined,
  };
  const away: CommandMeter = { ...target, commands: undefined };
  const passwordFile = join(directory, 'password');
  if (login !== undefined) writeFileSync(passwordFile, login.password, { mode: 0o600 });
  const publisher = new MqttPublisher({
    settings: mqttSettings(broker.url, {
      ...(given.recordFormat === undefined ? {} : { recordFormat: given.recordFormat }),
      ...(login === undefined ? {} : { username: login.username, passwordFile }),
    }),
    gateway: 'g1',
    version: '1.2.3',
    outbox: new Outbox({ directory: join(directory, 'outbox'), maxBytes: 1 << 26, reserveBytes: 1 << 16 }),
    commandMeter: (id) => ({ m1: target, away })[id],
    report: (report) => given.report?.(report),
    firstRetryMs: 50,
    longestRetryMs: 200,
  });
  await publisher.start();
  cleanUp.push(() => publisher.stop());
  publisher.meter('m1').state(true);
  await until('a connection to the broker', () => publisher.connected);
  return { broker, link, meter, chain, publisher, target };
}
