// Everything is killed and started again at drawn moments: gateway, broker, time server, meter. Each time the meter comes
// back to a reported, authenticated time; its events reach the broker at least once, without a gap; what the broker
// keeps is right; and nothing is left running.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { type Chronyd, startChronyd } from '../../host/setup/chronyd.ts';
import { LabCa } from '../../host/setup/lab-ca.ts';
import { type Mosquitto, startMosquitto } from '../../host/setup/mosquitto.ts';
import { until } from '../../host/setup/until.ts';
import { buildDist } from '../../scripts/build-dist.mjs';
import { descendants } from '../../scripts/lib/processes.mjs';
import { root } from '../../scripts/lib/project.mjs';
import { type SeededRandom, seededRandom } from '../core/random.ts';
import { BrokerView } from './broker-view.ts';
import { GatewayProcess } from './gateway-process.ts';
import { EmulatedMeter } from './meters.ts';

const name = 'gateway-1';
const id = 'meter-1';
const topic = (rest: string) => `metertime/${name}/${rest}`;
const victims = ['gateway', 'broker', 'server', 'meter'] as const;
type Victim = (typeof victims)[number];

interface Lab {
  readonly gateway: GatewayProcess;
  readonly broker: Mosquitto;
  readonly server: Chronyd;
  readonly meter: EmulatedMeter;
  readonly view: BrokerView;
}

function shuffle<T>(values: readonly T[], random: SeededRandom): T[] {
  const rest = [...values];
  return values.map(() => rest.splice(random.below(rest.length), 1)[0]!);
}

/** A moment that is drawn, not waited for. */
function drawnMoment(random: SeededRandom, mostMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, random.below(mostMs)));
}

/** A time reported after this call, synchronised, by a meter that counts as online. */
async function comesBack({ view, gateway }: Lab, what: string): Promise<void> {
  const sinceNs = BigInt(Date.now()) * 1_000_000n;
  await until(
    `a synchronised time after ${what}`,
    () => {
      const time = view.last(topic(`${id}/time`));
      const online = [topic('state'), topic(`${id}/state`)].every((one) => view.last(one)?.state === 'online');
      if (time?.status === 'synchronised' && online && BigInt(String(time.utcNs)) > sinceNs) return true;
      throw new Error(`${JSON.stringify(time)}\n${gateway.log.slice(-2_000)}`);
    },
    { timeoutMs: 90_000, intervalMs: 50 },
  );
}

/** What the broker says while one of them alone is away. */
const absences: Partial<Record<Victim, { readonly topic: string; readonly value: object }>> = {
  gateway: { topic: topic('state'), value: { state: 'offline', reason: 'lost' } },
  meter: { topic: topic(`${id}/state`), value: { state: 'offline', reason: 'link' } },
};

async function killAndStart(lab: Lab, together: readonly Victim[], random: SeededRandom): Promise<void> {
  const from = lab.view.seen.length;
  await Promise.all(together.map((victim) => lab[victim].kill()));
  const absence = together.length === 1 ? absences[together[0]!] : undefined;
  if (absence === undefined) {
    await drawnMoment(random, 1_000);
  } else {
    const said = await until(`${together[0]} said to be offline`, () => lab.view.last(absence.topic, from), {
      timeoutMs: 20_000,
    });
    expect(said).toMatchObject(absence.value);
  }
  for (const victim of together) await lab[victim].start();
}

it('whatever is killed, the meter comes back and no event is missing', { timeout: 400_000 }, async () => {
  const random = seededRandom('restarts');
  mkdirSync(join(root, 'build'), { recursive: true });
  const folder = mkdtempSync(join(root, 'build', 'restarts-'));
  const stops: (() => Promise<unknown>)[] = [];
  let before = new Set<number>();
  try {
    await buildDist({ outDir: join(folder, 'program') });
    // The bundler's own process stays.
    before = new Set(descendants(process.pid));
    const ca = await LabCa.create();
    const caFile = join(folder, 'ca.pem');
    writeFileSync(caFile, ca.certificatePem);
    const server = await startChronyd({ ca });
    stops.push(() => server.stop());
    const broker = await startMosquitto({ persistence: true });
    stops.push(() => broker.stop());
    const view = await BrokerView.connect(broker.url, `metertime/#`, 'view');
    stops.push(() => view.stop());
    const meter = await EmulatedMeter.create({ id, servers: [{ host: '127.0.0.1', port: server.kePort }] });
    stops.push(() => meter.remove());
    const gateway = new GatewayProcess(join(folder, 'program', 'metertime.mjs'), folder, {
      name,
      links: [`unix:${meter.link}`],
      trust: { system: false, files: [caFile] },
      mqtt: { url: broker.url, willDelaySeconds: 0, keepAliveSeconds: 5 },
    });
    stops.push(() => gateway.kill());
    const lab: Lab = { gateway, broker, server, meter, view };

    await gateway.start();
    await meter.start();
    await comesBack(lab, 'the start');

    // Each once, in a drawn order, then two at once.
    const pairs = [0, 1].map(() => shuffle(victims, random).slice(0, 2));
    const rounds = [...shuffle(victims, random).map((victim) => [victim]), ...pairs];
    for (const together of rounds) {
      await drawnMoment(random, 2_000);
      console.log(`killed: ${together.join(' and ')}`);
      await killAndStart(lab, together, random);
      await comesBack(lab, `killing ${together.join(' and ')}`);
    }

    // At least once, and for each start of the meter without a gap from the first to the last that came.
    const sequences = new Map<string, Set<number>>();
    for (const { boot, sequence } of view.all(topic(`${id}/event`))) {
      sequences.set(String(boot), (sequences.get(String(boot)) ?? new Set()).add(Number(sequence)));
    }
    const starts = 1 + rounds.flat().filter((victim) => victim === 'meter').length;
    expect(sequences.size).toBe(starts);
    for (const [boot, got] of sequences) {
      const expected = Array.from({ length: Math.max(...got) }, (_, index) => index + 1);
      expect([boot, [...got].sort((a, b) => a - b)]).toEqual([boot, expected]);
    }
    const events = view.all(topic(`${id}/event`));
    const names = new Set(events.map(({ event }) => event));
    for (const wanted of ['started', 'keys-established', 'synchronised']) expect(names).toContain(wanted);

    // What the broker keeps, for whoever comes later.
    const later = await BrokerView.connect(broker.url, 'metertime/#');
    try {
      const topics = [topic('state'), topic(`${id}/state`), topic(`${id}/info`), topic(`${id}/time`)];
      await until('everything retained', () => topics.every((one) => later.last(one) !== undefined));
      expect(later.last(topic('state'))).toMatchObject({ state: 'online' });
      expect(later.last(topic(`${id}/state`))).toMatchObject({ state: 'online' });
      expect(later.last(topic(`${id}/info`))).toMatchObject({ meter: id, board: 'mps2-an385' });
      expect(later.last(topic(`${id}/time`))).toMatchObject({ status: 'synchronised' });
    } finally {
      await later.stop();
    }

    // An orderly end says goodbye.
    const from = view.seen.length;
    expect(await gateway.stop()).toBe(0);
    await until('a goodbye', () => view.last(topic('state'), from)?.reason === 'stopped');
  } finally {
    for (const stop of stops.reverse()) await stop();
    rmSync(folder, { recursive: true, force: true });
  }
  await until('nothing left running', () => descendants(process.pid).every((pid) => before.has(pid)));
});
