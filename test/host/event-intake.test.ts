// Events of a meter on their way into the outbox: an acknowledgement is for all up to its own, so none may overtake.
import { describe, expect, it } from 'vitest';
import { MeterEvent } from '../../as/abi/codes.ts';
import { EventIntake } from '../../host/cli/event-intake.ts';
import { loggerTo, silentLogger } from '../../host/log.ts';
import { OutboxError } from '../../host/outbox/outbox.ts';
import { until } from '../../host/setup/until.ts';

const rate = { burst: 1_000, perSecond: 1_000 };

function makeIntake() {
  const stored: number[] = [];
  const acknowledged: string[] = [];
  const refuse = new Set<number>();
  const publisher = {
    async event({ sequence }: { sequence: number }) {
      await new Promise((resolve) => setImmediate(resolve));
      if (refuse.has(sequence)) throw new OutboxError('outbox-full', 'full');
      stored.push(sequence);
    },
  };
  const intake = new EventIntake(publisher, rate, silentLogger, 5);
  const take = (sequence: number, session = 'a') => {
    const event = { code: MeterEvent.Started, sequence, boot: 7, utcNs: 0n, uptimeNs: 0n, a: 0n, b: 0n, text: '' };
    intake.take({ event, ack: () => acknowledged.push(`${session}${sequence}`) } as never);
  };
  return { stored, acknowledged, refuse, take };
}

describe('events', () => {
  it('are logged as warnings where run would mark them as bad news', async () => {
    const levels: string[] = [];
    const log = loggerTo(({ level }) => void levels.push(level));
    const intake = new EventIntake(undefined, rate, log);
    const codes = [
      MeterEvent.Started,
      MeterEvent.Synchronised,
      MeterEvent.SourceDisagrees,
      MeterEvent.AnswerRefused,
      MeterEvent.SourceStopped,
      MeterEvent.MajorityLost,
      MeterEvent.Holdover,
      MeterEvent.CertificateRefused,
      200 as MeterEvent,
    ];
    for (const [index, code] of codes.entries()) {
      const event = { code, sequence: index + 1, boot: 7, utcNs: 0n, uptimeNs: 0n, a: 0n, b: 0n, text: '' };
      intake.take({ event, ack: () => {} } as never);
    }
    await until('all logged', () => levels.length === codes.length);
    expect(levels).toEqual(['info', 'info', 'warn', 'warn', 'warn', 'warn', 'warn', 'warn', 'info']);
  });

  it('are acknowledged in order, none before one that is not stored yet', async () => {
    const { stored, acknowledged, refuse, take } = makeIntake();
    refuse.add(2);
    for (const sequence of [1, 2, 3, 4]) take(sequence);
    await until('the first acknowledged', () => acknowledged.length === 1);
    await new Promise((resolve) => setImmediate(resolve));
    expect(stored).toEqual([1]);
    refuse.clear();
    await until('all acknowledged', () => acknowledged.length === 4);
    expect(stored).toEqual([1, 2, 3, 4]);
    expect(acknowledged).toEqual(['a1', 'a2', 'a3', 'a4']);
  });

  it('that come again in a new session are acknowledged to that one', async () => {
    const { stored, acknowledged, refuse, take } = makeIntake();
    refuse.add(1);
    take(1);
    take(2);
    take(1, 'b');
    take(2, 'b');
    refuse.clear();
    await until('all acknowledged', () => acknowledged.includes('b2'));
    expect(stored).toEqual([1, 2]);
    expect(acknowledged.filter((one) => one.startsWith('b'))).toEqual(['b1', 'b2']);
  });

  it('that find no place keep those behind them from being acknowledged, until they come again', async () => {
    const { acknowledged, refuse, take } = makeIntake();
    refuse.add(1);
    for (let sequence = 1; sequence <= 70; sequence++) take(sequence);
    refuse.clear();
    await until('64 acknowledged', () => acknowledged.length === 64);
    // 65 was given up: a 71st must not be acknowledged, as that would acknowledge 65 too.
    take(71);
    await new Promise((resolve) => setImmediate(resolve));
    expect(acknowledged).toHaveLength(64);
    for (let sequence = 65; sequence <= 71; sequence++) take(sequence, 'b');
    await until('all acknowledged', () => acknowledged.length === 71);
    expect(acknowledged.at(-1)).toBe('b71');
  });
});
