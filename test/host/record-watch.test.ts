// Records of a meter that is watched straight from its link: each with the context of its own chain.
import { expect, test } from 'vitest';
import { Message, Ring } from '../../as/abi/codes.ts';
import { LiveView } from '../../host/cli/live.ts';
import { RecordWatch } from '../../host/cli/record-watch.ts';
import { Terminal } from '../../host/cli/terminal.ts';
import { Meter } from '../../host/gateway/gateway.ts';
import { MeterSessionError } from '../../host/gateway/meter-commands.ts';
import type { MeterSession } from '../../host/gateway/meter-session.ts';
import { until } from '../../host/setup/until.ts';
import { chainOf } from './gateway/record-meter.ts';
import type { ChainMaker } from './record-chain.ts';

function watched() {
  let shown = '';
  const write = (text: string) => {
    shown += text;
  };
  const terminal = new Terminal({ stdout: { write }, stderr: { write }, env: {} });
  const meter = new Meter('m1');
  new RecordWatch(meter, 'm1', new LiveView(terminal, { json: true }));
  const asked: number[] = [];
  /** The meter comes up with this chain, its newest record is sent; how it is shown. */
  const show = async (chain: ChainMaker | undefined, entry: Uint8Array) => {
    shown = '';
    const entries = async (ring: Ring, from: number, count: number) => {
      asked.push(from);
      if (chain === undefined) throw new MeterSessionError('meter-silent', 'says nothing');
      return { entries: chain.rings[ring].slice(from - 1, from - 1 + count) };
    };
    meter.session = { commands: { entries } } as unknown as MeterSession;
    meter.emit('entry', { type: Message.Entry, ring: Ring.Records, token: 0, entry });
    await until('shown', () => shown.endsWith('\n'));
    return JSON.parse(shown);
  };
  return { meter, asked, show };
}

/** A record behind a context, with the digits of its only register. */
function recordWith(scale: number, life: number) {
  const chain = chainOf('m1', life);
  chain.context({ registers: [{ obis: [1, 0, 1, 8, 0, 255], scale, unit: 30 }] });
  return { chain, record: chain.record({ readings: [1234n] }) };
}

test('the context is asked for once, and again where the meter comes up: it may have another chain', async () => {
  const { meter, asked, show } = watched();
  const first = recordWith(-3, 1);
  const second = recordWith(0, 2);
  meter.emit('up');
  expect((await show(first.chain, first.record)).readings).toMatchObject([{ value: '1.234', unit: 'Wh' }]);
  expect((await show(first.chain, first.record)).readings).toMatchObject([{ value: '1.234' }]);
  expect(asked).toEqual([1]);
  meter.emit('up');
  expect((await show(second.chain, second.record)).readings).toMatchObject([{ value: '1234', unit: 'Wh' }]);
  expect(asked).toEqual([1, 1]);
});

test('of a meter that does not say it, a record is shown without, and asked for again with the next', async () => {
  const { meter, asked, show } = watched();
  const { chain, record } = recordWith(-3, 1);
  meter.emit('up');
  expect((await show(undefined, record)).sequence).toBe(chain.rings[Ring.Records].length);
  expect((await show(chain, record)).readings).toMatchObject([{ value: '1.234' }]);
  expect(asked).toEqual([1, 1]);
});
