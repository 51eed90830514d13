// What tests ask of the echo core on any board: ticks against the host's clock, the real-time clock in civil terms, the
// stack's mark.
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'vitest';
import { StackField } from '../../as/abi/codes.ts';
import type { Emulator } from '../../host/build/index.ts';
import { until } from '../../host/setup/until.ts';
import { hex, hostNs, type Line } from './echo-meter.ts';
import { randomNumbers } from './random.ts';

/** First tick, last tick, tick of the last byte sent before, and the data. */
export function parseEcho(answer: string): { first: bigint; last: bigint; sent: bigint; data: string } {
  const tick = (at: number) => BigInt(`0x${answer.slice(at, at + 16)}`);
  return { first: tick(0), last: tick(16), sent: tick(32), data: answer.slice(48) };
}

/**
 * Frames at drawn moments for so long: one offset between both clocks must fit the ticks of all of them. `halfway`
 * happens in the midst.
 */
export async function checkTicks(
  line: Line,
  tickHz: number,
  forMs: number,
  halfway: () => Promise<void> = async () => {},
): Promise<void> {
  const ticksToNs = (ticks: bigint) => (ticks * 1_000_000_000n) / BigInt(tickHz);
  const random = randomNumbers();
  let least = -(2n ** 62n);
  let most = 2n ** 62n;
  let before = 0n;
  let fastestNs = 2n ** 62n;
  const startMs = performance.now();
  let isHalfway = false;
  while (performance.now() - startMs < forMs) {
    if (!isHalfway && performance.now() - startMs > forMs / 2) {
      isHalfway = true;
      await halfway();
    }
    await delay(random(50));
    const sentNs = hostNs();
    line.send(`E${'x'.repeat(random(150))}`);
    const answer = await line.receive();
    const { first, last, sent } = parseEcho(answer.text.slice(1));
    expect(first).toBeGreaterThan(before);
    expect(last).toBeGreaterThanOrEqual(first);
    expect(sent).toBeLessThan(first);
    before = last;
    const bound = (a: bigint, b: bigint, larger: boolean) => (a > b === larger ? a : b);
    least = bound(least, sentNs - ticksToNs(first), true);
    most = bound(most, answer.hostNs - ticksToNs(last), false);
    fastestNs = bound(fastestNs, answer.hostNs - sentNs, false);
  }
  console.log(
    `tick against host: offset known to ${Number(most - least) / 1e3} us, fastest echo ${Number(fastestNs) / 1e3} us`,
  );
  // But for 20 ppm of five seconds.
  const slackNs = 100_000n;
  expect(least).toBeLessThanOrEqual(most + slackNs);
  expect(most - least).toBeLessThan(20_000_000n);
}

/** Share of a processor that an emulator takes for so long. */
export async function busyShare({ pid }: Emulator, forMs: number): Promise<number> {
  const busyMs = () => {
    const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]!.split(' ');
    // The kernel counts hundredths of a second.
    return 10 * (Number(fields[11]) + Number(fields[12]));
  };
  const before = busyMs();
  await delay(forMs);
  return (busyMs() - before) / forMs;
}

export interface Civil {
  readonly status: number;
  readonly iso: string;
}

export async function readClock(line: Line): Promise<Civil> {
  const fields = Buffer.from(await line.ask('T'), 'hex');
  const two = (value: number) => String(value).padStart(2, '0');
  const [status, second, minute, hour, day, month] = [...fields] as [number, number, number, number, number, number];
  const iso = `${fields.readUInt16LE(6)}-${two(month)}-${two(day)}T${two(hour)}:${two(minute)}:${two(second)}`;
  return { status, iso };
}

/** Answers `00` when the clock keeps it. */
export async function setClock(line: Line, iso: string): Promise<string> {
  const [year, month, day, hour, minute, second] = iso.split(/\D/).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const fields = Buffer.from([second, minute, hour, day, month, year & 255, year >> 8]);
  return line.ask(`S${fields.toString('hex')}`);
}

export const isoSeconds = (iso: string): number => Date.parse(`${iso}Z`) / 1000;

/** What was told of the stack is what is in memory; what uses more of it moves that. */
export async function checkStack(line: Line, emulator: Emulator, stackBytes: number): Promise<void> {
  const told = async () => {
    const fields = Buffer.from(await line.ask('K'), 'hex');
    return {
      usedBytes: fields.readUInt32LE(StackField.UsedBytes),
      totalBytes: fields.readUInt32LE(StackField.TotalBytes),
    };
  };
  const settled = async () => {
    let mark = await told();
    await until('the mark told', async () => {
      mark = await told();
      return mark.usedBytes === (await emulator.readStack()).usedBytes;
    });
    return mark;
  };
  const before = await settled();
  expect(before.totalBytes).toBe(stackBytes);
  expect(before.usedBytes).toBeGreaterThan(0);
  // Deeper, step by step, until that is deeper than the start was; a frame has another size on each processor.
  let after = before;
  for (let depth = 16; depth < 256 && after.usedBytes < before.usedBytes + 64; depth += 16) {
    await line.ask(`D${hex(depth, 2)}`);
    after = await settled();
  }
  expect(after.usedBytes).toBeGreaterThanOrEqual(before.usedBytes + 64);
  expect(after.usedBytes).toBeLessThan(stackBytes);
}
