// Meters in software at a gateway, against chronyd and NTPsec: the whole chain but the microcontroller.
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ClockStatus, MeterEvent, RtcRefusal, StorageMap, TimeFlag } from '../../as/abi/codes.ts';
import { replayTrace, TraceRecorder } from '../../host/core/trace.ts';
import { HostClock } from '../../host/gateway/host-clock.ts';
import { SoftwareRtc } from '../../host/meter/parts.ts';
import { type Chronyd, startChronyd } from '../../host/setup/chronyd.ts';
import { LabCa } from '../../host/setup/lab-ca.ts';
import { until } from '../../host/setup/until.ts';
import { bundle } from '../../scripts/build-dist.mjs';
import { root } from '../../scripts/lib/project.mjs';
import { type Ntpsec, startNtpsec } from '../peers/ntpsec.ts';
import { Verdict } from './judge.ts';
import { labGateway, labMeter } from './lab.ts';
import { provisionMemory, softwareMeter } from './meters.ts';
import { MeterWatch } from './watch.ts';

let ca: LabCa;
beforeAll(async () => {
  ca = await LabCa.create();
});

describe('against chronyd', () => {
  let server: Chronyd;
  beforeAll(async () => {
    server = await startChronyd({ ca, stratum: 2 });
  });
  afterAll(() => server?.stop());
  const settings = (id: string) => ({ id, servers: [{ host: '127.0.0.1', port: server.kePort }] });

  it('comes to authenticated time, with the error within its bound', async () => {
    const { meter, watch, stop } = labMeter(ca, settings('soft-1'));
    try {
      meter.start();
      const first = await watch.synchronised();
      expect(first).toMatchObject({ aead: 15, cookies: 8, stratum: 2, authenticated: 1, rejected: 0, keFailures: 0 });
      expect([96, 100]).toContain(first.cookieBytes);
      expect(first.flags & TimeFlag.SingleSource).toBe(TimeFlag.SingleSource);
      expect(first.flags & (TimeFlag.DatesUnchecked | TimeFlag.FromRtc)).toBe(0);
      expect(watch.events.map(({ code }) => code)).toEqual(
        expect.arrayContaining([MeterEvent.Started, MeterEvent.KeysEstablished, MeterEvent.ClockSet]),
      );
      // Counted from its own start, not from this machine's.
      for (const { uptimeNs } of watch.events) expect(Number(uptimeNs)).toBeLessThan(process.uptime() * 1e9);

      // The meter is in this process, so its clock can be read between two readings of this machine's.
      const host = new HostClock();
      const wrong: string[] = [];
      let boundNs = 0;
      while (watch.times.at(-1)!.authenticated < 8) {
        const from = watch.times.length;
        const before = process.hrtime.bigint();
        const time = meter.time();
        const after = process.hrtime.bigint();
        const low = Number(time.utcNs - host.wallNs(after));
        const high = Number(time.utcNs - host.wallNs(before));
        boundNs = Number(time.boundNs);
        if (low > boundNs || high < -boundNs) wrong.push(`${low} to ${high} ns, bound ${boundNs} ns`);
        await watch.until('a report', () => watch.times.length > from);
      }
      expect(wrong).toEqual([]);
      expect(boundNs).toBeLessThan(20_000_000);
      const last = watch.times.at(-1)!;
      expect(last).toMatchObject({ cookies: 8, reach: 0xff, keAttempts: 1, rejected: 0, naks: 0 });
      expect(Number(last.uncertaintyNs)).toBeLessThanOrEqual(Number(last.boundNs));
    } finally {
      await stop();
    }
  });

  it('is reached by name, over whichever address family answers', async () => {
    const { meter, watch, stop } = labMeter(ca, {
      id: 'named',
      servers: [{ host: 'localhost', port: server.kePort }],
    });
    try {
      meter.start();
      const time = await watch.synchronised();
      expect(time).toMatchObject({ keHost: 'localhost' });
      const report = await watch.until('its server', () => watch.meter.servers.find(({ source }) => source.aead !== 0));
      expect(report.source).toMatchObject({ keHost: 'localhost', ntpHost: 'localhost' });
    } finally {
      await stop();
    }
  });

  it('serves many meters of one gateway, each with its own keys and time', async () => {
    const gateway = labGateway(ca);
    const ids = Array.from({ length: 12 }, (_, index) => `many-${index}`);
    const all = ids.map((id) => {
      const { meter, transport } = softwareMeter(settings(id));
      gateway.addLink(transport);
      return { meter, watch: new MeterWatch(gateway, id), verdict: new Verdict() };
    });
    try {
      for (const { meter } of all) meter.start();
      await Promise.all(all.map(({ watch }) => watch.synchronised()));
      await Promise.all(
        all.map(async ({ verdict, watch }) => {
          for (let i = 0; i < 10; i++) await verdict.probe(watch.meter);
        }),
      );
      for (const { verdict, watch } of all) {
        expect(verdict.boundBroken).toEqual([]);
        expect(verdict.timed.length).toBeGreaterThanOrEqual(5);
        expect(watch.times.at(-1)).toMatchObject({ cookies: 8, keFailures: 0 });
      }
      expect(new Set(all.map(({ watch }) => watch.events[0]!.boot)).size).toBe(ids.length);
    } finally {
      await Promise.all(all.map(({ meter }) => meter.stop()));
      await gateway.stop();
    }
  });

  it('keeps time over a restart where its real-time clock ran on, and not where it stopped', async () => {
    const rtc = new SoftwareRtc(() => process.hrtime.bigint(), 1_600_000_000_000_000_000n);
    // A start with kept keys polls at once, however rarely the meter polls.
    const rare = { ...settings('rtc'), poll: { minSeconds: 600, maxSeconds: 600 } };
    const storage = provisionMemory(rare, StorageMap.FullBytes);
    const { meter, watch, stop } = labMeter(ca, rare, { meter: { rtc, storage } });
    try {
      meter.start();
      // Running, but nothing proves that an authenticated time set it.
      const refused = await watch.event(MeterEvent.RtcRefused);
      expect(Number(refused.a)).toBe(RtcRefusal.NoProof);
      await watch.synchronised();
      // The proof of that is in the memory at the same instant.
      await until('the real-time clock set', () => rtc.read().date.year > 2020);
      await meter.stop();

      let from = watch.events.length;
      meter.start();
      expect(meter.time().status).toBe(ClockStatus.Holdover);
      const held = meter.time();
      const host = new HostClock();
      const errorNs = Number(held.utcNs - host.wallNs(process.hrtime.bigint()));
      expect(Math.abs(errorNs)).toBeLessThanOrEqual(Number(held.boundNs));
      await watch.event(MeterEvent.RtcAccepted, { from });
      await watch.event(MeterEvent.KeysRestored, { from });
      await watch.event(MeterEvent.Synchronised, { from });
      await meter.stop();

      from = watch.events.length;
      rtc.loseTime();
      meter.start();
      expect(meter.time().status).toBe(ClockStatus.Unsynchronised);
      expect(Number((await watch.event(MeterEvent.RtcRefused, { from })).a)).toBe(RtcRefusal.OscillatorStopped);
      await watch.event(MeterEvent.Synchronised, { from });
    } finally {
      await stop();
    }
  });

  it('leaves a trace that replays to the same actions, bit for bit', async () => {
    const folder = mkdtempSync(join(root, 'build', 'trace-'));
    try {
      const path = join(folder, 'session');
      const trace = new TraceRecorder(path);
      const { meter, watch, stop } = labMeter(ca, settings('traced'), { meter: { trace } });
      try {
        meter.start();
        await watch.nextTime('three answers', ({ authenticated }) => authenticated >= 3);
      } finally {
        await stop();
      }
      trace.close();
      const result = replayTrace(path);
      expect(result.mismatch).toBeUndefined();
      expect(result.instances).toBe(1);
      expect(result.events).toBeGreaterThan(20);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe('against NTPsec', () => {
  let server: Ntpsec;
  let folder: string;
  beforeAll(async () => {
    server = await startNtpsec({ ca });
    folder = mkdtempSync(join(root, 'build', 'inside-'));
    await bundle('test/e2e/fixtures/namespaced-meter.ts', folder);
  });
  afterAll(async () => {
    await server?.stop();
    if (folder) rmSync(folder, { recursive: true });
  });

  it('comes to authenticated time and keeps eight cookies, with the error within its bound', async () => {
    const [command = '', ...args] = server.namespace.wrap([
      process.execPath,
      join(folder, 'metertime.mjs'),
      server.caFile,
      '127.0.0.1',
      String(server.kePort),
      '6',
    ]);
    const { stdout } = await promisify(execFile)(command, args, { timeout: 60_000 });
    const result = JSON.parse(stdout);
    expect(result.time).toMatchObject({
      status: ClockStatus.Synchronised,
      aead: 15,
      cookies: 8,
      cookieBytes: 104,
      rejected: 0,
      keAttempts: 1,
      keFailures: 0,
    });
    expect(result.broken).toBe(0);
    expect(result.proven).toBeGreaterThan(result.probes / 2);
  });
});
