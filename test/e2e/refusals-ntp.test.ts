// NTP answers that must be refused, from a man in the middle before a real server, by a meter on a microcontroller: its
// clock does not move, and the genuine answers beside them still count. A hostile server: test/hostile.
import { expect, it } from 'vitest';
import { MeterEvent } from '../../as/abi/codes.ts';
import { startChronyd } from '../../host/setup/chronyd.ts';
import { LabCa } from '../../host/setup/lab-ca.ts';
import { NtpRelay, relayAddress } from '../../host/setup/ntp-relay.ts';
import { Verdict } from './judge.ts';
import { labGateway } from './lab.ts';
import { EmulatedMeter } from './meters.ts';
import { MeterWatch } from './watch.ts';

/** An answer that is one hour off, as somebody without the keys would make it of a genuine one. */
function hourOff(answer: Buffer): Buffer {
  const copy = Buffer.from(answer);
  // Receive and transmit timestamp.
  for (const at of [32, 40]) copy.writeUInt32BE(copy.readUInt32BE(at) + 3600, at);
  return copy;
}

it('a meter on a microcontroller refuses forged answers', async () => {
  const ca = await LabCa.create();
  const server = await startChronyd({ ca, extraConfig: [`ntsntpserver ${relayAddress}`] });
  const relay = await NtpRelay.start(server.ntpPort);
  const gateway = labGateway(ca);
  const meter = await EmulatedMeter.create({ id: 'emulated', servers: [{ host: '127.0.0.1', port: server.kePort }] });
  const watch = new MeterWatch(gateway, 'emulated');
  try {
    await meter.start();
    gateway.addLink(meter.transport());
    const first = await watch.synchronised();
    relay.onAnswer = ({ answer, send }) => {
      send(hourOff(answer));
      send(answer.subarray(0, 100));
      send(answer);
    };
    const verdict = new Verdict();
    const last = await watch.nextTime('six answers', ({ authenticated }) => authenticated >= first.authenticated + 6);
    for (let i = 0; i < 30; i++) await verdict.probe(watch.meter);
    expect(last.rejected).toBeGreaterThanOrEqual(8);
    expect(verdict.boundBroken).toEqual([]);
    expect(verdict.beyond(1_000_000_000)).toEqual([]);
    expect(verdict.timed.length).toBeGreaterThan(20);
    expect(watch.events.filter(({ code }) => code === MeterEvent.ClockSet)).toHaveLength(1);
  } finally {
    await gateway.stop();
    await meter.remove();
    await relay.stop();
    await server.stop();
  }
});
