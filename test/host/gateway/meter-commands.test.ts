// Commands to a meter that does not do as it is told.
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { CommandResult, Message, Ring } from '../../../as/abi/codes.ts';
import { MeterCommands } from '../../../host/gateway/meter-commands.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

test('a meter that repeats entries for ever is silent: what was asked for did not come to its end', async () => {
  const tokens: number[] = [];
  const commands = new MeterCommands(
    (message) => {
      if (message.type === Message.EntriesAsk) tokens.push(message.token);
      return true;
    },
    { silenceMs: 1000 },
  );
  const ended: unknown[] = [];
  commands.entries(Ring.Records, 1, 2).catch((error: Error & { code: string }) => ended.push(error.code));
  const next = commands.entries(Ring.Records, 5, 1);
  const entry = new Uint8Array(128);
  const say = () => commands.take({ type: Message.Entry, ring: Ring.Records, token: tokens[0]!, entry });
  // Those that were asked for give it time.
  for (let count = 0; count < 2; count++) {
    await vi.advanceTimersByTimeAsync(900);
    say();
  }
  for (let count = 0; count < 9; count++) {
    await vi.advanceTimersByTimeAsync(100);
    say();
  }
  expect(ended).toEqual([]);
  await vi.advanceTimersByTimeAsync(100);
  expect(ended).toEqual(['meter-silent']);
  commands.take({ type: Message.Done, token: tokens[1]!, result: CommandResult.Done, detail: 0 });
  expect(await next).toEqual({ result: CommandResult.Done, detail: 0, entries: [] });
});
