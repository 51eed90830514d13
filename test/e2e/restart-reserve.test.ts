// A meter that restarts is back without NTS-KE: the firmware in QEMU, keys and cookies in its EEPROM's file, at a gateway,
// against chronyd.
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { MeterEvent, StorageMap } from '../../as/abi/codes.ts';
import type { Gateway } from '../../host/gateway/gateway.ts';
import { type Chronyd, startChronyd } from '../../host/setup/chronyd.ts';
import { LabCa } from '../../host/setup/lab-ca.ts';
import { until } from '../../host/setup/until.ts';
import { labGateway } from './lab.ts';
import { EmulatedMeter } from './meters.ts';
import { MeterWatch } from './watch.ts';

let ca: LabCa;
let server: Chronyd;
let gateway: Gateway;
let meter: EmulatedMeter;
beforeAll(async () => {
  ca = await LabCa.create();
  server = await startChronyd({ ca });
  meter = await EmulatedMeter.create({ id: 'reserve', servers: [{ host: '127.0.0.1', port: server.kePort }] });
  gateway = labGateway(ca);
  gateway.addLink(meter.transport());
});
afterAll(async () => {
  await gateway?.stop();
  await meter?.remove();
  await server?.stop();
});

/** Numbers of keys, first and second cookie in the EEPROM. */
const numbers = () => {
  const storage = readFileSync(meter.storageFile);
  return [0, 1, 2].map((part) => storage.readUInt32LE(StorageMap.Reserves + part * StorageMap.ReservePartStride));
};
const stored = () => {
  const [keys, first, second] = numbers();
  return keys !== 0xffff_ffff && keys !== 0 && first === keys && second === keys;
};

it('each time, with its cookies used up and written anew', async () => {
  const watch = new MeterWatch(gateway, 'reserve');
  await meter.start();
  expect(await watch.synchronised()).toMatchObject({ keAttempts: 1 });
  await until('a reserve', stored, { timeoutMs: 30_000 });
  const [number] = numbers();
  for (let restart = 0; restart < 3; restart++) {
    // A meter that reports is not writing; one report may have been on its way.
    const reports = watch.times.length;
    await watch.until('two reports', () => watch.times.length >= reports + 2);
    await meter.kill();
    const cookies = readFileSync(meter.storageFile).subarray(StorageMap.Reserves + StorageMap.ReservePartStride);
    const from = watch.events.length;
    await meter.start();
    const restored = await watch.event(MeterEvent.KeysRestored, { from });
    expect([Number(restored.a), Number(restored.b)]).toEqual([15, 1]);
    const time = await watch.synchronised();
    expect(time).toMatchObject({ keAttempts: 0, keFailures: 0, naks: 0, rejected: 0, aead: 15 });
    expect(time.authenticated).toBeGreaterThan(0);
    await until(
      'a new reserve',
      () => {
        const now = readFileSync(meter.storageFile).subarray(StorageMap.Reserves + StorageMap.ReservePartStride);
        const changed = [0, 1].every((cookie) => {
          const at = cookie * StorageMap.ReservePartStride;
          return !now.subarray(at, at + 20).equals(cookies.subarray(at, at + 20));
        });
        return changed && stored();
      },
      { timeoutMs: 30_000 },
    );
    // The keys were not written again.
    expect(numbers()[0]).toBe(number);
    const codes = watch.events.slice(from).map(({ code }) => code);
    expect(codes).not.toContain(MeterEvent.KeysEstablished);
    expect(codes).not.toContain(MeterEvent.StorageFailed);
  }
});
