// Meters in software with the real core, for tests of links and gateways.
import { randomBytes } from 'node:crypto';
import { StorageMap } from '../../../as/abi/codes.ts';
import { type CoreModule, loadCoreModule } from '../../../host/core/core.ts';
import type { LinkTransport } from '../../../host/link/transports.ts';
import { SystemClock } from '../../../host/meter/clocks.ts';
import { lineOf, SoftwareMeter } from '../../../host/meter/software-meter.ts';
import { MemoryStorage } from '../../../host/meter/storage.ts';
import { encodeSeedSlot, encodeSettings } from '../../../host/provision/settings-block.ts';
import { buildCore } from '../../../scripts/build-core.mjs';

/** The core as its sources stand. */
export async function coreModule(): Promise<CoreModule> {
  return loadCoreModule((await buildCore()).path);
}

/** A meter at one end of a transport; it is switched on, the transport is the caller's to start. */
export function startMeter(
  transport: LinkTransport,
  source: CoreModule,
  id: string,
  server = { host: 'nothing.invalid', port: 4460 },
  storage = new MemoryStorage(),
): SoftwareMeter {
  const settings = {
    id,
    servers: [server],
    firstDatesUnchecked: true,
    poll: { minSeconds: 16, maxSeconds: 64 },
    reportSeconds: 1,
  };
  storage.write(StorageMap.Settings, encodeSettings(settings, randomBytes(16)));
  storage.write(StorageMap.SeedA, encodeSeedSlot(randomBytes(32), 1));
  const meter = new SoftwareMeter({
    clock: new SystemClock(),
    storage,
    entropy: () => new Uint8Array(randomBytes(32)),
    buildUnixSeconds: 1_790_000_000,
    board: 'test',
    version: '1.2.3',
    source,
    line: lineOf(transport),
  });
  meter.start();
  return meter;
}
