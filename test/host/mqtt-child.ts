// A gateway's publisher in a process that can be killed: publishes events as fast as the outbox takes them.
//
//   node mqtt-child.mjs URL DIRECTORY FIRST   events of meter m1 with sequence FIRST, FIRST + 1, …; "ok N" for each
//                                             one taken; "connected" and "report CODE" as it happens
//   node mqtt-child.mjs URL DIRECTORY idle    says that m1 is online and nothing else
import { Message } from '../../as/abi/codes.ts';
import { MqttPublisher } from '../../host/mqtt/publisher.ts';
import { Outbox } from '../../host/outbox/outbox.ts';
import { mqttSettings } from './mqtt-settings.ts';

const [url, directory, what] = process.argv.slice(2) as [string, string, string];
const publisher = new MqttPublisher({
  settings: mqttSettings(url),
  gateway: 'g1',
  version: '0.0.0-test',
  outbox: new Outbox({ directory, maxBytes: 1 << 26 }),
  report: ({ code }) => console.log(`report ${code}`),
  firstRetryMs: 50,
  longestRetryMs: 200,
});
await publisher.start();
const meter = publisher.meter('m1');
meter.state(true);
process.on('SIGTERM', () => {
  void publisher.stop().then(() => process.exit(0));
});
for (let sequence = Number(what); !Number.isNaN(sequence); sequence++) {
  await meter.event({
    type: Message.Event,
    sequence,
    code: 1,
    utcNs: 0n,
    uptimeNs: 1n,
    a: 0n,
    b: 0n,
    boot: 0xabcdef01,
    text: '',
  } as Parameters<typeof meter.event>[0]);
  console.log(`ok ${sequence}`);
}
