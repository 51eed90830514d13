// A meter with four time servers at once: firmware for mps2-an385-4 in QEMU, at a gateway, against four chronyd, of which
// one is wrong by a second.
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ClockStatus, MeterEvent, SourceFlag, SourceState, TimeFlag } from '../../as/abi/codes.ts';
import { type Chronyd, startChronyd } from '../../host/setup/chronyd.ts';
import { LabCa } from '../../host/setup/lab-ca.ts';
import { probeNtp } from '../../host/setup/probe.mjs';
import { until } from '../../host/setup/until.ts';
import { surelyWithin, Verdict } from './judge.ts';
import { labGateway } from './lab.ts';
import { EmulatedMeter } from './meters.ts';
import { MeterWatch } from './watch.ts';

/** Place of the liar in the meter's settings. */
const liar = 1;
const offsetMs = 1000;

let ca: LabCa;
const servers: Chronyd[] = [];
beforeAll(async () => {
  ca = await LabCa.create();
  for (let i = 0; i < 4; i++) {
    const address = `127.0.0.${11 + i}`;
    const certificate = await ca.issue({ names: [address] });
    servers.push(await startChronyd({ ca, name: `chronyd-${i}`, address, certificate, extraConfig: configOf(i) }));
  }
  const { address, ntpPort } = servers[liar]!;
  await until(
    'the liar a second off',
    async () => Math.abs((await probeNtp(address, ntpPort)).unixMs - Date.now() - offsetMs) < offsetMs / 4,
  );
});
afterAll(() => Promise.all(servers.map((server) => server.stop())));

// It follows the first one, and takes it to be a second behind. Without the right to set the machine's clock (-x) it keeps
// a clock of its own, and serves that.
function configOf(index: number): string[] {
  if (index !== liar) return [];
  const { address, ntpPort } = servers[0]!;
  return [`server ${address} port ${ntpPort} iburst offset ${offsetMs / 1000}`];
}

it('takes the time of three that agree, marks the fourth, and tells when only two are left', async () => {
  const meter = await EmulatedMeter.create(
    { id: 'four', servers: servers.map(({ address, kePort }) => ({ host: address, port: kePort })) },
    'mps2-an385-4',
  );
  const gateway = labGateway(ca);
  const watch = new MeterWatch(gateway, 'four');
  try {
    gateway.addLink(meter.transport());
    await meter.start();
    const first = await watch.synchronised();
    expect(watch.infos.at(-1)).toMatchObject({ board: 'mps2-an385-4', serversMax: 4 });
    expect(first).toMatchObject({ servers: 4, needed: 3 });

    const disagrees = await watch.event(MeterEvent.SourceDisagrees);
    expect(disagrees.text).toBe(servers[liar]!.address);
    // A second, without the bounds of both.
    expect(Number(disagrees.a)).toBeGreaterThan(0.8e9);
    expect(Number(disagrees.a)).toBeLessThan(offsetMs * 1e6);

    const verdict = new Verdict();
    const from = watch.times.length;
    await until(
      'answers of all, and probes meanwhile',
      async () => {
        await verdict.probe(watch.meter);
        const counts = watch.meter.servers.map((server) => server.counts.authenticated);
        return counts.length === 4 && counts.every((authenticated) => authenticated >= 8);
      },
      { timeoutMs: 60_000, intervalMs: 100 },
    );
    console.log(verdict.describe());
    expect(verdict.boundBroken).toEqual([]);
    const own = verdict.timed.filter((probe) => surelyWithin(probe, (offsetMs * 1e6) / 2));
    expect(own.length).toBeGreaterThan(verdict.probes.length / 2);
    expect(verdict.beyond((offsetMs * 1e6) / 20)).toEqual([]);

    for (const time of watch.times.slice(from)) {
      expect(time).toMatchObject({ servers: 4, agreeing: 3, needed: 3 });
      expect(time.flags & (TimeFlag.SingleSource | TimeFlag.NoMajority)).toBe(0);
      expect(time.source).not.toBe(liar);
    }
    for (const [index, { source, counts }] of watch.meter.servers.entries()) {
      const { address, ntpPort } = servers[index]!;
      expect(source).toMatchObject({ index, state: SourceState.Serving, aead: 15, keHost: address, ntpPort });
      expect(source.flags & (SourceFlag.Agrees | SourceFlag.Disagrees), `server ${index}`).toBe(
        index === liar ? SourceFlag.Disagrees : SourceFlag.Agrees,
      );
      expect(counts).toMatchObject({ keAttempts: 1, keFailures: 0, naks: 0 });
    }

    // Two of four are no majority: the clock runs on by itself, says so, and comes back with the third.
    const before = watch.events.length;
    servers[3]!.signal('SIGSTOP');
    const lost = await watch.event(MeterEvent.MajorityLost, { from: before, timeoutMs: 60_000 });
    expect([lost.a, lost.b]).toEqual([2n, 3n]);
    const alone = await watch.nextTime('no majority', ({ flags }) => (flags & TimeFlag.NoMajority) !== 0);
    expect(alone).toMatchObject({ status: ClockStatus.Holdover, agreeing: 2, needed: 3 });
    servers[3]!.signal('SIGCONT');
    const regained = await watch.event(MeterEvent.MajorityReached, { from: before, timeoutMs: 60_000 });
    expect([regained.a, regained.b]).toEqual([3n, 3n]);
    await watch.synchronised();

    expect(meter.events).not.toContain('WATCHDOG');
    const stack = await meter.emulator!.readStack();
    expect(stack.usedBytes).toBeLessThanOrEqual(meter.firmware.stack.totalBytes!);
  } finally {
    await gateway.stop();
    await meter.remove();
  }
});
