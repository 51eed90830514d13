// A simulated meter with tariffs and records: registers that count, programs in its storage or over its link.
import { Block, CommandResult, Message, RecordMark, RecordReason, StorageMap } from '../../as/abi/codes.ts';
import { blockPartBytes, type Done } from '../../host/link/record-messages.ts';
import type { RecordEntry } from '../../host/record/entry.ts';
import { encodeDynamic } from '../../host/tariff/dynamic-block.ts';
import type { DynamicTariffs, TariffProgram } from '../../host/tariff/model.ts';
import { encodeProgram } from '../../host/tariff/program-block.ts';
import { SimulatedMeter, type SimulatedMeterOptions, second } from './simulated-meter.ts';
import { type Calibration, calibrationItem, type Rules, registerItem, rulesItem } from './tariff-settings.ts';

export const hour = 3600;
export const day = 86_400;

export const unix = (text: string): number => Date.parse(text) / 1000;
export const utcNsOf = (text: string): bigint => BigInt(unix(text)) * second;

export interface TariffMeterOptions extends SimulatedMeterOptions {
  readonly rules?: Rules;
  /** Default: one that holds through all of the test; null for none. */
  readonly calibration?: Calibration | null;
  readonly program?: TariffProgram;
  readonly dynamic?: DynamicTariffs;
  /** How many registers there are; default 2, 0 for an application without any. */
  readonly registerCount?: number;
}

/** Day tariff 1 from 06:00 on, night tariff 2 from 22:00 on, in Berlin. */
export const berlin: TariffProgram = {
  name: 'day and night',
  zone: 'CET-1CEST,M3.5.0,M10.5.0/3',
  defaultTariff: 9,
  seasons: [{ name: 'all', start: { month: 1, day: 1 }, week: 'all' }],
  weeks: [{ name: 'all', monday: 1, tuesday: 1, wednesday: 1, thursday: 1, friday: 1, saturday: 1, sunday: 1 }],
  days: [
    {
      id: 1,
      actions: [
        { time: '06:00', tariff: 1 },
        { time: '22:00', tariff: 2 },
      ],
    },
  ],
};

/** A meter, not started. */
export function tariffMeter(options: TariffMeterOptions = {}): SimulatedMeter {
  const count = options.registerCount ?? 2;
  const calibration = options.calibration === undefined ? { at: 1, until: 2n ** 40n } : options.calibration;
  const items = [
    rulesItem(options.rules ?? {}),
    ...(calibration === null ? [] : [calibrationItem(calibration)]),
    ...Array.from({ length: count }, () => registerItem()),
    ...(options.items ?? []),
  ];
  let sim: SimulatedMeter | undefined;
  // The first register counts the seconds of true time.
  const registers = () =>
    Array.from({ length: count }, (_, i) => (i === 0 ? (sim as SimulatedMeter).utcNs / second : BigInt(i)));
  sim = new SimulatedMeter({
    ...(count === 0 ? {} : { registers }),
    ...options,
    storageBytes: options.storageBytes ?? 0x40000,
    buildUnixSeconds: options.buildUnixSeconds ?? 1_770_000_000,
    settings: { poll: { minSeconds: 16, maxSeconds: 64 }, reportSeconds: 300, ...options.settings },
    items,
  });
  if (options.program !== undefined) sim.storage.write(StorageMap.ProgramA, encodeProgram(options.program, 1));
  if (options.dynamic !== undefined) sim.storage.write(StorageMap.DynamicA, encodeDynamic(options.dynamic, 1));
  return sim;
}

/** A started one, with a time. */
export function runningMeter(options: TariffMeterOptions = {}): SimulatedMeter {
  const sim = tariffMeter(options);
  sim.meter.start();
  sim.runUntilSynchronised();
  return sim;
}

let token = 0;

/** Sends a command, and gives its answer. */
export function command(
  sim: SimulatedMeter,
  make: (token: number) => Parameters<SimulatedMeter['deliver']>[0],
  seconds = 10,
): Done {
  token = (token % 65_535) + 1;
  const mine = token;
  sim.deliver(make(mine));
  const answer = () => sim.done.find((done) => done.token === mine);
  sim.runUntil(`an answer to command ${mine}`, () => answer() !== undefined, seconds);
  return answer()!;
}

/** Writes a block over the link, part by part; the answer to the first that is not done, or to its end. */
export function send(
  sim: SimulatedMeter,
  block: Block,
  bytes: Uint8Array,
  { parts = blockPartBytes, commit = true } = {},
): Done {
  let done: Done | undefined;
  for (let offset = 0; offset < bytes.length; offset += parts) {
    const part = bytes.subarray(offset, offset + parts);
    done = command(sim, (number) => ({ type: Message.BlockWrite, block, token: number, offset, part }));
    if (done.result !== CommandResult.Done) return done;
  }
  if (!commit) return done!;
  return command(sim, (number) => ({ type: Message.BlockCommit, block, token: number, length: bytes.length }));
}

export const sendProgram = (sim: SimulatedMeter, program: TariffProgram): Done =>
  send(sim, Block.Program, encodeProgram(program, 0));
export const sendDynamic = (sim: SimulatedMeter, dynamic: DynamicTariffs): Done =>
  send(sim, Block.Dynamic, encodeDynamic(dynamic, 0));

/** Names of the bits that are set. */
function names(of: Record<string, string | number>, bits: number): string[] {
  return Object.entries(of).flatMap(([name, bit]) => (typeof bit === 'number' && (bits & bit) !== 0 ? [name] : []));
}
export const reasonsOf = ({ reasons }: Pick<RecordEntry, 'reasons'>): string[] => names(RecordReason, reasons);
export const marksOf = ({ marks }: Pick<RecordEntry, 'marks'>): string[] => names(RecordMark, marks);

/** Records with one of these reasons. */
export const recordsOf = (sim: SimulatedMeter, reasons: number): RecordEntry[] =>
  sim.records.filter((record) => (record.reasons & reasons) !== 0);

/** Targets of records, as texts in UTC. */
export const targetsOf = (records: readonly RecordEntry[]): string[] =>
  records.map(({ targetUtcNs }) => new Date(Number(targetUtcNs / 1_000_000n)).toISOString().replace('.000Z', 'Z'));
