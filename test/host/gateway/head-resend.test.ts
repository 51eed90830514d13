// A signed head reaches a gateway that was away when it was signed: not before it is in the meter's storage for good, once in
// each session of the link.
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { HeadField, StorageMap } from '../../../as/abi/codes.ts';
import { Gateway, type Meter } from '../../../host/gateway/gateway.ts';
import { type LinkTransport, openLink } from '../../../host/link/transports.ts';
import { MemoryStorage } from '../../../host/meter/storage.ts';
import { TrustAnchors } from '../../../host/net/trust-anchors.ts';
import { until } from '../../../host/setup/until.ts';
import { coreModule, startMeter } from './software-meters.ts';

let folder = '';
const cleanUp: (() => unknown)[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'metertime-heads-'));
});
afterEach(async () => {
  for (const undo of cleanUp.splice(0).reverse()) await undo();
  rmSync(folder, { recursive: true, force: true });
});

const isHead = (offset: number) => offset >= StorageMap.HeadA && offset < StorageMap.MarkA;

/** Storage that takes its time with heads: until they are let through. */
class SlowHeads extends MemoryStorage {
  held: (() => void) | undefined;

  override write(offset: number, bytes: Uint8Array): void | Promise<void> {
    if (!isHead(offset)) return super.write(offset, bytes);
    return new Promise((resolve) => {
      this.held = () => {
        super.write(offset, bytes);
        resolve();
      };
    });
  }
}

test('a head that was signed while the gateway was away comes when head and gateway are both there, once', {
  timeout: 90_000,
}, async () => {
  const core = await coreModule();
  let gateway: Gateway | undefined;
  cleanUp.push(() => gateway?.stop());
  /** Another gateway takes the place of the one before; gives the heads that come to it. */
  const change = async () => {
    await gateway?.stop();
    gateway = new Gateway({ links: [`unix-listen:${folder}/g.sock`], anchors: new TrustAnchors(), core });
    const heads: Buffer[] = [];
    gateway.on('meter', (meter) => meter.on('head', ({ head }) => heads.push(Buffer.from(head))));
    await gateway.start();
    return heads;
  };
  /** The meter is there, and has reported twice. */
  const reported = async () => {
    await until('the meter', () => gateway!.meters.some(({ isUp }) => isUp), { timeoutMs: 20_000 });
    for (let times = 0; times < 2; times++) await once(gateway!.meters[0] as Meter, 'time');
  };

  const first = await change();
  const storage = new SlowHeads(StorageMap.TariffBytes);
  const transport = openLink(`unix:${folder}/g.sock`) as LinkTransport;
  cleanUp.push(() => transport.close());
  const meter = startMeter(transport, core, 'm1', undefined, storage);
  cleanUp.push(() => meter.powerCut());
  transport.start();
  await until('a signed head', () => storage.held !== undefined);
  await reported();
  expect(first).toEqual([]);

  // The gateway comes back before the head is stored for good: it comes when it is.
  const second = await change();
  await reported();
  expect(second).toEqual([]);
  storage.held!();
  await until('the head', () => second.length > 0);
  await reported();
  const stored = Buffer.from(storage.read(StorageMap.HeadA, HeadField.Bytes)).subarray(HeadField.Magic);
  expect(second).toEqual([stored]);

  // The gateway is away while the next one is signed and stored.
  await gateway!.stop();
  storage.held = undefined;
  // It is signed at the end of a transaction.
  meter.transaction(true);
  meter.transaction(false);
  await until('the next head', () => storage.held !== undefined);
  storage.held!();
  const third = await change();
  await reported();
  const next = Buffer.from(storage.read(StorageMap.HeadB, HeadField.Bytes)).subarray(HeadField.Magic);
  expect(next.equals(stored)).toBe(false);
  expect(third).toEqual([next]);

  // The next gateway does not know what that one has done with it.
  const fourth = await change();
  await reported();
  expect(fourth).toEqual([next]);
});
