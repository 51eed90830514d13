// Meters on bad lines: noise, lost, cut and doubled frames at one fault in 1,000 bytes, and lines cut in the middle of a
// frame. The meter still comes to authenticated time, and its error stays within its bound.
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Faults, FaultyTransport } from '../../host/link/faults.ts';
import { type LinkTransport, openLink } from '../../host/link/transports.ts';
import { type Chronyd, startChronyd } from '../../host/setup/chronyd.ts';
import { LabCa } from '../../host/setup/lab-ca.ts';
import { until } from '../../host/setup/until.ts';
import { seededRandom } from '../core/random.ts';
import { CuttableLine } from './cuttable-line.ts';
import { Verdict } from './judge.ts';
import { labGateway, labMeter } from './lab.ts';
import { EmulatedMeter } from './meters.ts';
import { MeterWatch } from './watch.ts';

let ca: LabCa;
let server: Chronyd;
beforeAll(async () => {
  ca = await LabCa.create();
  server = await startChronyd({ ca });
});
afterAll(() => server?.stop());

const rate = 1 / 1_000;
// A fault of a whole frame hits at this rate where frames have some 100 bytes on average.
const frameRate = rate * 100;
const kinds: [string, Faults][] = [
  ['flipped bits', { flip: rate }],
  ['lost bytes', { drop: rate }],
  ['doubled bytes', { duplicate: rate }],
  ['bytes from nowhere', { noise: rate }],
  ['cut frames', { cut: frameRate }],
  ['doubled frames', { repeat: frameRate }],
];
/** One fault in 1,000 bytes, whichever it is. */
const mixed = (writeRate: number): Faults => {
  const share = rate / kinds.length;
  const whole = writeRate / kinds.length;
  return { flip: share, drop: share, duplicate: share, noise: share, cut: whole, repeat: whole };
};

// Half of all exchanges meet a fault, and each that does costs the meter four seconds: hence the long deadlines.

/** Waits for synchronisation and some authenticated answers, probing meanwhile. */
async function judge(watch: MeterWatch, answers: number, timeoutMs: number): Promise<Verdict> {
  const verdict = new Verdict();
  const first = await watch.synchronised(timeoutMs);
  await until(
    `${answers} answers over a bad line (${watch.describe()})`,
    async () => {
      if (watch.isUp) await verdict.probe(watch.meter);
      return (watch.times.at(-1)?.authenticated ?? 0) >= first.authenticated + answers;
    },
    { timeoutMs, intervalMs: 100 },
  );
  // The line may be between two sessions for a moment.
  await until(
    'answers to probes',
    async () => {
      if (watch.isUp) await verdict.probe(watch.meter);
      return verdict.timed.length >= 10;
    },
    { timeoutMs: 60_000 },
  );
  expect(verdict.boundBroken).toEqual([]);
  expect(watch.times.at(-1)).toMatchObject({ keFailures: 0 });
  return verdict;
}

describe.concurrent('software meters', () => {
  it.each([...kinds, ['all of them', mixed(frameRate)] as [string, Faults]])(
    '%s',
    { timeout: 220_000 },
    async (name, faults) => {
      const { seed } = seededRandom(`link faults, ${name}`);
      let transport: FaultyTransport | undefined;
      const lab = labMeter(
        ca,
        { id: `software-${name.replaceAll(' ', '-')}`, servers: [{ host: '127.0.0.1', port: server.kePort }] },
        {
          line: (inner) => {
            transport = new FaultyTransport(inner, { seed, send: faults, receive: faults });
            return transport;
          },
        },
      );
      try {
        lab.meter.start();
        await judge(lab.watch, 1, 100_000);
        const { counters } = lab.gateway.sessions[0]!.session.link;
        expect(counters.framesReceived).toBeGreaterThan(10);
      } finally {
        await lab.stop();
      }
    },
  );
});

describe('an emulated meter', () => {
  it('at faults of all kinds', async () => {
    const { seed } = seededRandom('link faults, emulated');
    const gateway = labGateway(ca);
    const meter = await EmulatedMeter.create({ id: 'bad-line', servers: [{ host: '127.0.0.1', port: server.kePort }] });
    const watch = new MeterWatch(gateway, 'bad-line');
    try {
      await meter.start();
      // The emulator hands bytes over in pieces of some ten.
      const faults = { send: mixed(frameRate), receive: mixed(frameRate / 10) };
      const { link } = gateway.addLink(new FaultyTransport(meter.transport(), { seed, ...faults }));
      const verdict = await judge(watch, 2, 100_000);
      await until(
        'a damaged frame',
        async () => {
          if (watch.isUp) await verdict.probe(watch.meter);
          return link.counters.framesDamaged + link.counters.framesResent > 0;
        },
        { timeoutMs: 60_000 },
      );
      console.log(verdict.describe(), JSON.stringify(link.counters));
      expect(verdict.boundBroken).toEqual([]);
      expect(meter.events).not.toContain('WATCHDOG');
    } finally {
      await gateway.stop();
      await meter.remove();
    }
  });

  it('on a line that is cut in the middle of frames', async () => {
    const random = seededRandom('line cuts');
    const gateway = labGateway(ca);
    const meter = await EmulatedMeter.create({ id: 'cut-line', servers: [{ host: '127.0.0.1', port: server.kePort }] });
    const watch = new MeterWatch(gateway, 'cut-line');
    const path = join(meter.folder, 'line');
    await meter.start();
    const line = await CuttableLine.start(path, { path: meter.link });
    try {
      gateway.addLink(openLink(`unix:${path}`) as LinkTransport);
      for (let round = 0; round < 6; round++) {
        // The first cuts fall into key establishment, as that is the first thing that is sent.
        await line.cutAfter(random.below(900), random.below(2) === 0 ? 'forth' : 'back');
      }
      expect(line.cuts).toBe(6);
      const verdict = await judge(watch, 3, 60_000);
      console.log(verdict.describe());
    } finally {
      await gateway.stop();
      await line.stop();
      await meter.remove();
    }
  });
});
