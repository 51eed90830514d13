// The whole of a board, from end to end: its firmware in the emulator, provisioned, at a gateway, against chronyd; through
// a cut of its link and a cut of its power. What is known of its storage is what it says over the link, so it may be of
// any kind.
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Capability, ClockStatus, MeterEvent, ResetCause, Ring, StorageMap } from '../../as/abi/codes.ts';
import { type Board, buildFirmware, loadBoard } from '../../host/build/index.ts';
import type { Gateway } from '../../host/gateway/gateway.ts';
import type { Info } from '../../host/link/messages.ts';
import { openLink } from '../../host/link/transports.ts';
import { meterKeys } from '../../host/provision/meter-keys.ts';
import { verifyEvidence } from '../../host/record/verify.ts';
import { type Chronyd, startChronyd } from '../../host/setup/chronyd.ts';
import { LabCa } from '../../host/setup/lab-ca.ts';
import { until } from '../../host/setup/until.ts';
import { CuttableLine } from './cuttable-line.ts';
import { surelyBeyond, Verdict } from './judge.ts';
import { labGateway } from './lab.ts';
import { EmulatedMeter } from './meters.ts';
import { everyFourSeconds, recordingSettings } from './recording.ts';
import { MeterWatch } from './watch.ts';

const id = 'whole';
const probesMs = 8_000;
const worstErrorNs = 5_000_000;

/** A meter that has kept time for a while. */
export interface Running {
  readonly meter: EmulatedMeter;
  readonly watch: MeterWatch;
  readonly server: Chronyd;
}

/** Tests a board; the file that calls it has no more to say than its name, and what else holds while it keeps time. */
export function testWholeBoard(name: string, also: (running: Running) => Promise<void> = async () => {}): void {
  const board = loadBoard(name);
  const records = board.storage.bytes >= StorageMap.TariffBytes;
  const rootKey = new Uint8Array(randomBytes(16));
  let server: Chronyd;
  let gateway: Gateway;
  let meter: EmulatedMeter;
  let line: CuttableLine;
  let watch: MeterWatch;

  beforeAll(async () => {
    // What takes long, and is no part of what is tested.
    await buildFirmware({ board: name });
    const ca = await LabCa.create();
    server = await startChronyd({ ca });
    const settings = { id, servers: [{ host: '127.0.0.1', port: server.kePort }], ...(records && recordingSettings) };
    meter = await EmulatedMeter.create(settings, name, { rootKey, ...(records && { dynamic: everyFourSeconds() }) });
    line = await CuttableLine.start(`${meter.link}.cut`, { path: meter.link });
    gateway = labGateway(ca);
    watch = new MeterWatch(gateway, id);
    gateway.addLink(openLink(`unix:${meter.link}.cut`) as ReturnType<EmulatedMeter['transport']>);
  });
  afterAll(async () => {
    await gateway?.stop();
    await line?.stop();
    await meter?.remove();
    await server?.stop();
  });

  /** All entries of its rings, which hold and are sealed with the keys of the root key that it was given. */
  async function readRings(): Promise<string[]> {
    const { meter: said } = watch;
    const rings = [Ring.Records, Ring.Logbook];
    const asked = await Promise.all(rings.map((ring) => said.session!.commands.entries(ring, 1, 256)));
    const evidence = asked.map(({ entries }, index) => ({ ring: rings[index]!, entries }));
    const trust = { ...meterKeys(rootKey, id), from: { [Ring.Records]: 1, [Ring.Logbook]: 1 } };
    expect(verifyEvidence(evidence, [], trust).findings).toEqual([]);
    return evidence.flatMap(({ ring, entries }) =>
      entries.map((entry) => `${ring} ${Buffer.from(entry).toString('hex')}`),
    );
  }

  it(`${name} keeps time within its bound, and goes on after cuts of its link and its power`, async () => {
    await meter.start();
    const first = await watch.synchronised();
    expect(first).toMatchObject({ aead: 15, stratum: 1, keAttempts: 1, keFailures: 0, rejected: 0 });
    const info = watch.infos.at(-1)!;
    expect(info).toMatchObject({
      ...{ meterId: id, board: name, resetCause: ResetCause.PowerOn, capabilities: capabilitiesOf(board) },
      ...{ maxFrequencyErrorPpb: board.maxFrequencyErrorPpb, firmwareVersion: meter.firmware.version },
    });
    expect(Buffer.from(info.coreSha256).toString('hex')).toBe(meter.firmware.coreSha256);
    expect(Buffer.from(info.imageSha256).toString('hex')).toBe(meter.firmware.imageSha256);

    const verdict = new Verdict();
    // A first answer that was held up counts whole until others follow: that is seen in the bound, and soon put right.
    let settledMs = performance.now();
    await until(
      'some seconds of probes near the right time',
      async () => {
        const judged = await verdict.probe(watch.meter);
        if (judged === undefined || surelyBeyond(judged, worstErrorNs)) settledMs = performance.now();
        return performance.now() - settledMs > probesMs;
      },
      { timeoutMs: 60_000, intervalMs: 50 },
    );
    console.log(verdict.describe());
    expect(verdict.boundBroken).toEqual([]);
    // A busy machine sees less sharply than the meter keeps time, and over the link nobody sees as sharply as one does whose
    // datagrams do not go there.
    const surely = board.datagrams === undefined ? verdict.boundProven : verdict.within(worstErrorNs);
    expect(surely.length).toBeGreaterThan(10);
    expect(verdict.unanswered).toBe(0);
    await also({ meter, watch, server });

    // That of a process is the system's.
    if (board.process === undefined) {
      const used = (info: Info) => info.stack?.usedBytes ?? 0;
      await watch.until('its stack used deeper than at first', () => used(watch.infos.at(-1)!) > used(watch.infos[0]!));
      const told = watch.infos.at(-1)!.stack!;
      expect(told.totalBytes).toBe(board.stackBytes);
      expect(told.usedBytes).toBeLessThanOrEqual(meter.firmware.stack.totalBytes!);
    }

    line.close();
    await watch.until('the link down', () => !watch.isUp);
    line.open();
    await watch.until('the link up again', () => watch.isUp);
    const resumed = await watch.nextTime('an answer after the cut', ({ authenticated }) => authenticated > 1);
    expect(resumed).toMatchObject({ status: ClockStatus.Synchronised, keAttempts: 1, naks: 0 });

    if (board.rtc !== undefined) {
      await watch.nextTime('its real-time clock set and compared', ({ rtcOffsetUs }) => rtcOffsetUs !== undefined);
    }
    // A meter that reports is not writing; one report may have been on its way.
    const reports = watch.times.length;
    await watch.until('two reports', () => watch.times.length >= reports + 2);
    const rings = records ? await readRings() : [];
    const boots = new Set(watch.events.map(({ boot }) => boot));
    const events = watch.events.length;
    const times = watch.times.length;
    await meter.kill();
    await meter.start();

    const restored = await watch.event(MeterEvent.KeysRestored, { from: events });
    expect(boots).not.toContain(restored.boot);
    const again = await watch.synchronised();
    expect(again).toMatchObject({ keAttempts: 0, keFailures: 0, naks: 0, rejected: 0, aead: 15 });
    const early = watch.times.slice(times).filter(({ authenticated }) => authenticated === 0);
    const timed = early.filter(({ status }) => status !== ClockStatus.Unsynchronised);
    expect(timed.length > 0, `a time before the first answer: ${watch.describe()}`).toBe(board.rtc !== undefined);
    expect(watch.events.slice(events).map(({ code }) => code)).not.toContain(MeterEvent.StorageFailed);
    if (records) expect((await readRings()).filter((entry) => rings.includes(entry))).toEqual(rings);
    expect(meter.events).not.toContain('WATCHDOG');
    const stack = await meter.emulator!.readStack();
    expect(stack.usedBytes).toBeLessThan(stack.totalBytes);
  });
}

function capabilitiesOf({ rtc, thermometer, application, datagrams }: Board): number {
  const has = (part: unknown, capability: Capability) => (part === undefined ? 0 : capability);
  const parts = has(rtc, Capability.Rtc) | has(thermometer, Capability.Thermometer);
  const more = has(application, Capability.Registers) | has(datagrams, Capability.OwnDatagrams);
  return Capability.Storage | parts | more;
}
