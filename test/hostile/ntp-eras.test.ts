// RFC 5905 6: timestamps count seconds modulo 2^32, from 1900: the first era ends on 2036-02-07 at 06:28:16 UTC. Meter,
// gateway and server live around that moment, and long after it.
import { afterEach, describe, expect, it } from 'vitest';
import { ClockStatus, MeterEvent } from '../../as/abi/codes.ts';
import { ntpTimestamp } from '../../host/setup/nts-packets.ts';
import { HostileLab, type Surroundings, startSurroundings } from './lab.ts';

const eraEndsUnixMs = Date.UTC(2036, 1, 7, 6, 28, 16);
const yearMs = 31_557_600_000;

let surroundings: Surroundings | undefined;
let lab: HostileLab | undefined;
afterEach(async () => {
  await lab?.stop();
  await surroundings?.server.stop();
  expect(surroundings?.server.faults).toEqual([]);
});

/** A meter that is switched on at a moment, with software that was built as long before. */
async function meterAt(startUnixMs: number, softwareAgeMs: number): Promise<HostileLab> {
  surroundings = await startSurroundings({ startUnixMs });
  lab = new HostileLab(surroundings, { buildUnixSeconds: Math.floor((startUnixMs - softwareAgeMs) / 1000) });
  lab.start();
  await lab.synchronised();
  return lab;
}

const dateOf = (meter: HostileLab) => new Date(Number(meter.meter.time().utcNs / 1_000_000n));

describe('the first era ends', () => {
  it('while the meter runs: nothing happens', async () => {
    const meter = await meterAt(eraEndsUnixMs - 20_000, 5 * yearMs);
    expect(dateOf(meter).getTime()).toBeLessThan(eraEndsUnixMs);
    const from = meter.localNs;
    await meter.pass('the next era', () => {
      meter.expectRight();
      return dateOf(meter).getTime() > eraEndsUnixMs + 20_000;
    });
    await meter.synchronised();
    const told = meter.watch.events.filter(({ uptimeNs }) => uptimeNs > from).map(({ code }) => code);
    expect(told).not.toContain(MeterEvent.BoundsDisagree);
    expect(told).not.toContain(MeterEvent.AnswerRefused);
    expect(meter.last.rejected).toBe(0);
  });

  it('between request and answer, and between receipt and sending: nothing happens', async () => {
    const meter = await meterAt(eraEndsUnixMs - 20_000, 5 * yearMs);
    const { server } = surroundings!;
    let crossed = false;
    server.always = {
      answer: (answer, { receivedUtcNs }) => {
        const before = receivedUtcNs / 1_000_000n < BigInt(eraEndsUnixMs);
        // It takes its time to send what it received in the last second.
        if (!before || receivedUtcNs / 1_000_000n < BigInt(eraEndsUnixMs) - 1_500n) return;
        surroundings!.world.skip(2_000);
        answer.transmit = ntpTimestamp(surroundings!.world.utcNs());
        crossed = true;
      },
    };
    await meter.pass('an answer of two eras', () => crossed, { stepMs: 100 });
    server.always = undefined;
    await meter.synchronised();
    expect(meter.last.rejected).toBe(0);
  });
});

describe('a start', () => {
  const years = [0.01, 1, 9, 30, 39];
  it.each(years)('%d years after the software was built, in the second era', async (age) => {
    const meter = await meterAt(eraEndsUnixMs + 8 * yearMs, age * yearMs);
    expect(meter.meter.time().status).toBe(ClockStatus.Synchronised);
    expect(dateOf(meter).getUTCFullYear()).toBe(2044);
  });

  it('in 2170, in the third era', async () => {
    const meter = await meterAt(Date.UTC(2170, 6), yearMs);
    expect(dateOf(meter).getUTCFullYear()).toBe(2170);
  });
});
