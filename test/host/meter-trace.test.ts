// Traces: what is recorded replays to the same actions; what differs, is cut off or foreign is told apart.
import { mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Action } from '../../as/abi/codes.ts';
import type { CoreModule } from '../../host/core/core.ts';
import { replayTrace, TraceRecorder } from '../../host/core/trace.ts';
import { VirtualClock, VirtualTime } from '../../host/meter/clocks.ts';
import { SoftwareMeter } from '../../host/meter/software-meter.ts';
import { MemoryStorage } from '../../host/meter/storage.ts';
import { action, echoCore, u32, u64 } from './meter-echo-core.ts';

const folder = mkdtempSync(join(tmpdir(), 'metertime-'));
let source: CoreModule;
let number = 0;
beforeAll(async () => {
  source = await echoCore();
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Records a meter that wakes twice, uses its storage, traps, restarts and tells the time. */
function record(): string {
  const path = join(folder, `${number++}.trace`);
  const trace = new TraceRecorder(path, source);
  const time = new VirtualTime();
  const meter = new SoftwareMeter({
    clock: new VirtualClock(time),
    source,
    buildUnixSeconds: 0,
    storage: new MemoryStorage(),
    onMessage: () => {},
    trace,
  });
  meter.start();
  meter.deliver(1, action(Action.Wake, u64(10n)));
  time.runUntil(10n);
  meter.deliver(1, Buffer.concat([action(Action.StorageWrite, [...u32(0), 1]), action(Action.RtcRead)]));
  meter.deliver(1, Uint8Array.of(0xff));
  meter.time();
  meter.powerCut();
  trace.close();
  return path;
}

function changed(path: string, change: (bytes: Buffer) => Uint8Array): string {
  const copy = `${path}.changed`;
  writeFileSync(copy, change(readFileSync(path)));
  return copy;
}

describe('a trace', () => {
  it('is readable by its owner only and replays to the same actions', () => {
    const path = record();
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const result = replayTrace(path, source);
    expect(result).toEqual({ events: 9, actions: 9, instances: 2, ticks: 10n });
  });

  it('never replaces a file, nor follows a link', () => {
    const path = join(folder, 'taken');
    writeFileSync(path, 'mine');
    const link = join(folder, 'link');
    symlinkSync(join(folder, 'elsewhere'), link);
    for (const target of [path, link]) {
      expect(() => new TraceRecorder(target, source)).toThrow(expect.objectContaining({ code: 'trace-exists' }));
    }
    expect(readFileSync(path, 'utf8')).toBe('mine');
    expect(() => statSync(join(folder, 'elsewhere'))).toThrow();
  });

  it('names the first event that goes another way', () => {
    const path = record();
    // The bound (77 ns) in the recorded answer to the last event.
    const at = readFileSync(path).lastIndexOf(Buffer.from(u64(77n)));
    const result = replayTrace(
      changed(path, (bytes) => {
        bytes[at]! ^= 1;
        return bytes;
      }),
      source,
    );
    expect(result.mismatch).toEqual({
      event: 9,
      name: 'TimeAsk',
      difference: 'the same actions (TimeNow (68 bytes)), but byte 20 of 72 differs',
    });
    const fewer = replayTrace(
      changed(path, (bytes) => {
        // The event that wrote and read: its recorded StorageWrite becomes another action.
        const write = bytes.lastIndexOf(action(Action.StorageWrite, [...u32(0), 1]));
        bytes[write] = Action.Wake;
        return bytes;
      }),
      source,
    );
    expect(fewer.mismatch?.event).toBe(4);
    expect(fewer.mismatch?.difference).toBe(
      'recorded Wake (5 bytes), RtcRead (0 bytes); now StorageWrite (5 bytes), RtcRead (0 bytes)',
    );
  });

  it('that was cut off at any place says after which event, and never passes', () => {
    const path = record();
    const { length } = readFileSync(path);
    for (let cut = 0; cut < length; cut++) {
      const file = changed(path, (bytes) => bytes.subarray(0, cut));
      expect(() => replayTrace(file, source), `cut at ${cut}`).toThrow(
        expect.objectContaining({ code: cut < 8 ? 'trace-foreign' : 'trace-truncated' }),
      );
    }
  });

  it('of another kind, version or core is refused', async () => {
    const path = record();
    const text = join(folder, 'text');
    writeFileSync(text, 'no trace at all, but long enough to hold a whole header of one');
    expect(() => replayTrace(text, source)).toThrow(/is no trace/);
    const version = changed(path, (bytes) => {
      bytes[8] = 99;
      return bytes;
    });
    expect(() => replayTrace(version, source)).toThrow(/format 99/);
    const other = await echoCore('another');
    expect(() => replayTrace(path, other)).toThrow(expect.objectContaining({ code: 'trace-core' }));
    expect(() => replayTrace(join(folder, 'absent'), source)).toThrow(
      expect.objectContaining({ code: 'file-missing' }),
    );
  });

  it('with bytes after its end or an unknown record is damaged', () => {
    const path = record();
    const longer = changed(path, (bytes) => Buffer.concat([bytes, Buffer.of(0)]));
    expect(() => replayTrace(longer, source)).toThrow(/follow its end/);
    const unknown = changed(path, (bytes) => {
      bytes[44] = 77;
      return bytes;
    });
    expect(() => replayTrace(unknown, source)).toThrow(/record kind 77/);
  });

  it('with a record that no core can have made is damaged, whatever length it claims', () => {
    // Behind the header and the Reset: an event's kind, number, tick and length.
    const lengthAt = 44 + 1 + 11;
    const longest = changed(record(), (bytes) => {
      bytes.writeUInt32LE(65_537, lengthAt);
      return bytes;
    });
    expect(() => replayTrace(longest, source)).toThrow(/expected a record of at most 65536 bytes, came one of 65537/);
  });
});
