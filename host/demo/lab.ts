// The demo's stage: certificate authority, time server, relay and broker, all on loopback, and the gateway's settings.
// Everything lies in one folder that goes with the demo.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { debianTool } from '../../scripts/debian.mjs';
import { startChronyd } from '../setup/chronyd.ts';
import { LabCa } from '../setup/lab-ca.ts';
import { startMosquitto } from '../setup/mosquitto.ts';
import { NtpRelay, relayAddress } from '../setup/ntp-relay.ts';
import type { Cleanup } from './cleanup.ts';
import { DemoError, unlessAborted } from './errors.ts';
import type { Story } from './story.ts';

/** The gateway's name, a level of its topics. */
export const gatewayName = 'demo';

export interface Lab {
  readonly folder: string;
  readonly ca: LabCa;
  /** PEM file of the authority, by which the meters' time servers are signed. */
  readonly caFile: string;
  /** NTS-KE on localhost. */
  readonly kePort: number;
  readonly relay: NtpRelay;
  readonly brokerUrl: string;
  /** The last lines of the servers' own logs. */
  log(): string;
}

/** A folder for the demo's files, removed at its end; mode 0700. */
export function makeDemoFolder(cleanup: Cleanup): string {
  const folder = mkdtempSync(join(tmpdir(), 'metertime-demo-'));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  cleanup.add('temporary folder', remove);
  process.on('exit', remove);
  return folder;
}

/** @throws DemoError server-missing where there is no time server or broker: the demo cannot do without them */
export function requireServers(): void {
  for (const name of ['chronyd', 'mosquitto']) {
    const tool = debianTool(name);
    if (tool.ok) continue;
    throw new DemoError(
      'server-missing',
      `the demo needs the time server chronyd and the MQTT broker mosquitto. ${tool.reason}`,
    );
  }
}

/** Starts authority, time server, relay and broker. */
export async function startLab(folder: string, story: Story, cleanup: Cleanup, signal: AbortSignal): Promise<Lab> {
  const ca = await LabCa.create('metertime demo authority');
  const caFile = join(folder, 'ca.pem');
  writeFileSync(caFile, ca.certificatePem);
  story.line('authority', 'ok', "signs the server's certificate; the meters believe this authority and no other");

  const server = await story.during('server', 'chronyd is starting', () => {
    // Clients are sent to the relay for their time, not to the server itself.
    const starting = startChronyd({ ca, extraConfig: [`ntsntpserver ${relayAddress}`] });
    cleanup.add('time server', () => starting.then((started) => started.stop()).catch(() => {}));
    return unlessAborted(signal, starting);
  });
  story.line(
    'server',
    'ok',
    `chronyd, the time server: keys at localhost:${server.kePort} (TCP), time at port ${server.ntpPort} (UDP)`,
    { kePort: server.kePort, ntpPort: server.ntpPort },
  );

  const relay = await NtpRelay.start(server.ntpPort);
  cleanup.add('relay', () => relay.stop());
  story.line('relay', 'ok', 'carries questions and answers on their way, as any router does; honest so far');

  const broker = await story.during('broker', 'mosquitto is starting', () => {
    const starting = startMosquitto();
    cleanup.add('broker', () => starting.then((started) => started.stop()).catch(() => {}));
    return unlessAborted(signal, starting);
  });
  story.line('broker', 'ok', `mosquitto collects the meters' reports (MQTT 5) at ${broker.url}`, {
    url: broker.url,
  });

  return {
    folder,
    ca,
    caFile,
    kePort: server.kePort,
    relay,
    brokerUrl: broker.url,
    log: () => [...labelled('server', server.log(5)), ...labelled('broker', broker.log(5))].join('\n'),
  };
}

/** Writes the gateway's settings, as for `metertime gateway -c FILE`, but for the links. @returns the file */
export function writeGatewaySettings(lab: Lab): string {
  const file = join(lab.folder, 'gateway.yaml');
  mkdirSync(join(lab.folder, 'data'), { mode: 0o700 });
  const lines = [
    `name: ${gatewayName}`,
    'trust:',
    '  system: false',
    `  files: [${JSON.stringify(lab.caFile)}]`,
    'mqtt:',
    `  url: ${lab.brokerUrl}`,
    'dataDirectory: data',
  ];
  writeFileSync(file, `${lines.join('\n')}\n`);
  return file;
}

function labelled(name: string, log: string): string[] {
  return log === '' ? [] : log.split('\n').map((line) => `${name}: ${line}`);
}
