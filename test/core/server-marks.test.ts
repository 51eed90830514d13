// What `metertime status` makes of a meter's own reports on its servers: who is followed, who counts, and whether there is
// a majority at all.
import { beforeAll, describe, expect, it } from 'vitest';
import { ClockStatus, SourceFlag } from '../../as/abi/codes.ts';
import { meterLines } from '../../host/cli/status.ts';
import { Terminal } from '../../host/cli/terminal.ts';
import { serverPayload, timePayload } from '../../host/mqtt/payloads.ts';
import { buildCore } from '../../scripts/build-core.mjs';
import { millisecond, type SimulatedMeter, second, started } from './simulated-meter.ts';

beforeAll(async () => {
  await buildCore();
});

/** The status of the meter, as a user sees it. */
function shown(sim: SimulatedMeter): string {
  const sink = { write: () => true };
  const meter = 'sim-1';
  const servers = sim.sources.map((source, index) => serverPayload(meter, { source, counts: sim.counts[index]! }));
  const time = timePayload(meter, sim.report!);
  const status = {
    gateway: 'gw',
    meter,
    online: true,
    state: null,
    info: null,
    tariff: null,
    head: null,
    time,
    servers,
  };
  return meterLines(new Terminal({ stdout: sink, stderr: sink, env: {} }), status).join('\n');
}

/** The marks of its servers, in their order. */
function marks(sim: SimulatedMeter): string {
  const all = [...shown(sim).matchAll(/^\d([-*+~x?]) /gm)].map(([, mark]) => mark);
  return all.slice(0, sim.servers.length).join('');
}

const lie = (sim: SimulatedMeter, by: bigint) => {
  for (const { behaviour } of sim.servers.slice(2)) behaviour.serverErrorNs = by;
};

describe('two falsetickers out of four that agree with each other', () => {
  it('from the start: there is no time, nobody is followed, and the status says that a majority is missing', () => {
    const sim = started({ servers: 4 }, (each) => lie(each, 5n * second));
    sim.run(600);
    expect(shown(sim)).toMatch(/^Missing +: waiting for a majority: 2 of 3 needed servers agree$/m);
    expect(shown(sim)).toMatch(/^Servers +: 4 in use, 2 agree, 3 needed$/m);
    expect(marks(sim)).toBe('----');
  });

  it('later: the status says that there is no majority, as long as it lasts', () => {
    const sim = started({ servers: 4 });
    sim.run(300);
    expect(marks(sim)).toMatch(/^[*+]{4}$/);
    expect(marks(sim).replaceAll('+', '')).toBe('*');
    expect(shown(sim)).not.toContain('Majority');
    lie(sim, 5n * second);
    sim.runUntil('the loss', () => marks(sim) === '----', 600);
    const majority = () => /^Majority +: (.*?)\n\S/ms.exec(shown(sim))?.[1]?.replace(/\s+/g, ' ');
    const few = 'none: 2 of 4 servers agree, 3 have to';
    expect(sim.report!.status).toBe(ClockStatus.Synchronised);
    expect(majority()).toBe(`${few}; what they agreed on last counts until it is too old`);
    sim.run(1200);
    expect(shown(sim)).toMatch(/^Clock +: holdover \(.*no-majority.*\)$/m);
    expect(majority()).toBe(`${few}; the clock runs on by itself`);
    expect(marks(sim)).toBe('----');
    lie(sim, 0n);
    sim.run(600);
    expect(shown(sim)).not.toContain('Majority');
    expect(marks(sim)).toMatch(/^[*+]{4}$/);
  });
});

it('a falseticker, one that falls silent and one without keys: each has its mark', () => {
  const sim = started({ servers: 4, settings: { agreement: 2 } }, ({ servers }) => {
    servers[3]!.behaviour.onTlsOpen = () => undefined;
  });
  sim.run(300);
  expect(marks(sim)).toMatch(/^[*+]{3}\?$/);
  sim.servers[2]!.behaviour.serverErrorNs = second;
  sim.runUntil('the liar', () => marks(sim)[2] === 'x', 300);
  sim.servers[2]!.behaviour.serverErrorNs = 0n;
  sim.runUntil('its return', () => /[*+]/.test(marks(sim)[2]!), 300);
  sim.servers[2]!.behaviour.onRequest = () => [];
  sim.runUntil('its silence', () => marks(sim)[2] === '?', 1200);
});

it('a server that suddenly differs by more than its path explains strays until it insists', () => {
  const sim = started({ servers: 1, settings: { poll: { minSeconds: 16, maxSeconds: 16 } } }, ({ servers }) => {
    const { behaviour } = servers[0]!;
    behaviour.outNs = () => 40n * millisecond;
    behaviour.backNs = () => 40n * millisecond;
  });
  sim.run(1200);
  expect(marks(sim)).toBe('*');
  sim.servers[0]!.behaviour.serverErrorNs = 15n * millisecond;
  const before = sim.counts[0]!.authenticated;
  sim.runUntil('the next sample', () => sim.counts[0]!.authenticated > before, 60);
  expect(sim.sources[0]!.flags & (SourceFlag.Agrees | SourceFlag.Strays)).toBe(SourceFlag.Agrees | SourceFlag.Strays);
  expect(marks(sim)).toBe('~');
  expect(Math.abs(Number(sim.errorNs))).toBeLessThan(5e6);
  sim.runUntil('believed', () => marks(sim) === '*', 120);
  expect(sim.counts[0]!.authenticated - before).toBeGreaterThanOrEqual(3);
});
