// Everything is killed and started again at drawn moments: gateway, broker, time server, meter. Each time the meter comes
// back to a reported, authenticated time; its events reach the broker at least once, without a gap; what the broker
// keeps is right; and nothing is left running.
import { expect, it } from 'vitest';
import { until } from '../../host/setup/until.ts';
import { seededRandom } from '../core/random.ts';
import { BrokerView } from './broker-view.ts';
import { RestartLab, shuffle, topics, victims } from './restart-lab.ts';

it('whatever is killed, the meter comes back and no event is missing', { timeout: 400_000 }, async () => {
  const random = seededRandom('restarts');
  const lab = new RestartLab();
  try {
    await lab.start();
    // Each once, in a drawn order, then two at once.
    const pairs = [0, 1].map(() => shuffle(victims, random).slice(0, 2));
    for (const together of [...shuffle(victims, random).map((victim) => [victim]), ...pairs]) {
      console.log(`killed: ${together.join(' and ')}`);
      await lab.round(together, random);
    }
    const { view, gateway, broker } = lab;
    // Times do not wait for the events, which go through the gateway's disk.
    await until('all events', () => {
      const missing = lab.missingEvents();
      if (missing.length > 0) throw new Error(missing.join('; '));
      return true;
    });
    const names = new Set(view.all(topics.event).map(({ event }) => event));
    for (const wanted of ['started', 'keys-established', 'synchronised']) expect(names).toContain(wanted);

    // What the broker keeps, for whoever comes later.
    const later = await BrokerView.connect(broker.url, 'metertime/#');
    try {
      const { gateway: gatewayState, state, info, time, event } = topics;
      const wanted = [gatewayState, state, info, time, event];
      await until('everything retained', () => wanted.every((topic) => later.last(topic)));
      // The first of each topic is what was kept; live ones may follow at once.
      const first = new Map(
        later.seen
          .filter(({ topic }) => topic !== topics.record)
          .toReversed()
          .map(({ topic, retained }) => [topic, retained]),
      );
      expect([...first].filter(([, retained]) => !retained)).toEqual([]);
      expect(later.last(gatewayState)).toMatchObject({ state: 'online' });
      expect(later.last(state)).toMatchObject({ state: 'online' });
      expect(later.last(info)).toMatchObject({ board: 'mps2-an385' });
      expect(later.last(time)).toMatchObject({ status: 'synchronised' });
    } finally {
      await later.stop();
    }

    // An orderly end says goodbye.
    const from = view.seen.length;
    expect(await gateway.stop()).toBe(0);
    await until('a goodbye', () => view.last(topics.gateway, from)?.reason === 'stopped');
  } finally {
    await lab.stop();
  }
});
