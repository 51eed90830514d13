// A life of a meter as a process under AddressSanitizer and UBSan: garbage on its line, a time from a real server, and the
// same again after a cut of its power. A sanitizer that finds something ends the process and says what.
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Gateway } from '../../host/gateway/gateway.ts';
import { type Chronyd, startChronyd } from '../../host/setup/chronyd.ts';
import { LabCa } from '../../host/setup/lab-ca.ts';
import { encodeFrame } from '../core/link-wire.ts';
import { randomNumbers } from '../firmware/random.ts';
import { labGateway } from './lab.ts';
import { EmulatedMeter } from './meters.ts';
import { everyFourSeconds, recordingSettings } from './recording.ts';
import { MeterWatch } from './watch.ts';

const id = 'sanitized';

// The compiler is that of native fuzzing.
describe.skipIf(process.env.METERTIME_NATIVE_FUZZ === 'skip')('a process with sanitizers', () => {
  let server: Chronyd;
  let gateway: Gateway;
  let meter: EmulatedMeter;
  let watch: MeterWatch;

  beforeAll(async () => {
    const ca = await LabCa.create();
    server = await startChronyd({ ca });
    const settings = { id, servers: [{ host: '127.0.0.1', port: server.kePort }], ...recordingSettings };
    const sanitize = ['address', 'undefined'] as const;
    meter = await EmulatedMeter.create(settings, 'posix', { dynamic: everyFourSeconds() }, { sanitize });
    gateway = labGateway(ca);
    watch = new MeterWatch(gateway, id);
  }, 300_000);
  afterAll(async () => {
    await gateway?.stop();
    await meter?.remove();
    await server?.stop();
  });

  it('finds nothing in a life with garbage on the line', async () => {
    expect(readFileSync(meter.firmware.elfPath).includes('__asan_report_load')).toBe(true);
    const random = randomNumbers();
    await meter.start();
    await talkNonsense(meter.link, random);
    const link = meter.transport();
    gateway.addLink(link);
    await watch.synchronised();
    await meter.kill();
    const times = watch.times.length;
    await meter.start();
    await watch.nextTime('a time after the cut', ({ authenticated }) => authenticated > 1);
    expect(watch.times.length).toBeGreaterThan(times);
    await gateway.stop();
    await talkNonsense(meter.link, random);
    const { code } = await meter.emulator!.stop();
    expect(meter.emulator!.logTail()).toBe('');
    expect(code).toBe(0);
  });
});

/** Noise, and frames whose CRC is right and whose fields are not. */
async function talkNonsense(link: string, random: (below: number) => number): Promise<void> {
  const bytes = (length: number) => Uint8Array.from({ length }, () => random(256));
  const frame = () =>
    encodeFrame({
      version: random(20) > 0 ? 1 : random(16),
      channel: random(20) > 0 ? random(4) : random(16),
      flags: random(4),
      keyId: random(20) > 0 ? 0 : random(256),
      credit: random(256),
      counter: random(20) > 0 ? 0 : random(2 ** 32),
      session: random(65_536),
      sequence: random(256),
      acknowledge: random(256),
      payload: bytes(random(238)),
    });
  const socket = connect(link);
  socket.on('error', () => {});
  await once(socket, 'connect');
  socket.resume();
  for (let i = 0; i < 2_000; i++) {
    if (!socket.write(random(3) > 0 ? frame() : bytes(random(300)))) await once(socket, 'drain');
  }
  socket.end();
  await once(socket, 'close');
}
