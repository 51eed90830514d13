// A recording for the board: what a meter on a serial line is told while it polls simulated servers, in virtual time.
// What always holds: everything follows from the seed and the core; the servers are honest, so each answer is accepted.
import { Abi, Action, Channel, Event, Message } from '../as/abi/codes.ts';
import { FrameFlag } from '../as/link/layout.ts';
import { type CoreAction, type CoreModule, loadCoreModule } from '../host/core/core.ts';
import { settingsLimits } from '../host/provision/settings-block.ts';
import { decodeFrame } from '../test/core/link-wire.ts';
import { CheckedCore, type RecordedEvent } from '../test/fuzz/checked-core.ts';
import { Prng } from '../test/fuzz/prng.ts';
import { World } from '../test/fuzz/world.ts';

/** What an event is to the bench. */
export interface Label {
  /** An answer longer than a frame comes as pieces before it. */
  readonly kind: 'request' | 'piece' | 'answer' | 'temperature' | 'idle' | 'time' | 'again' | 'rest';
  /** The poll to which it belongs, from 0; undefined: none. */
  readonly poll?: number;
}

export interface Recording {
  /** As firmware/bench/bench.c reads it. */
  readonly bytes: Buffer;
  /** By index of the event; those without one are not told of. */
  readonly labels: ReadonlyMap<number, Label>;
  readonly events: number;
  readonly polls: number;
  /** Accepted answers: each is one update of the clock. */
  readonly answers: number;
  /** FNV-1a over all actions. */
  readonly checksum: number;
}

export interface RecordingOptions {
  readonly core: CoreModule;
  readonly servers: number;
  readonly polls: number;
  readonly seed: number;
  /** Whether the board has one. */
  readonly thermometer: boolean;
}

const tickHz = 25_000_000n;
/** From a request on, all that happens belongs to its poll: exchange, reports, acknowledgements. */
const pollTicks = 4n * tickHz;
/** How often the time is read, and a wake-up comes for which nothing is due. */
const readSeconds = 61;
/** And read again, as applications do that stamp one thing after the other. */
const againSeconds = 0.01;
const longestSeconds = 5_000_000;
/** FNV-1a of nothing. */
export const firstChecksum = 2_166_136_261;

/** Plays the meter's life and keeps what it was told. */
export function makeRecording(options: RecordingOptions): Recording {
  const { happened, asked } = live(options);
  const core = new CheckedCore({ plain: options.core.module }, { large: false });
  const labels = new Map<number, Label>();
  let checksum = firstChecksum;
  let request: { poll: number; untilTick: bigint } | undefined;
  let polls = 0;
  let answers = 0;
  for (const [index, { event, tick, payload }] of happened.entries()) {
    const actions = core.handle(event, tick, payload);
    checksum = addActions(checksum, actions);
    const sent = actions.some(({ kind }) => kind === Action.FrameSend);
    if (request !== undefined && tick > request.untilTick) request = undefined;
    const kind = asked.get(index);
    if (kind !== undefined) {
      // One that something else was due with, or in the middle of a poll, is no measure of it.
      if (request === undefined && !sent) labels.set(index, { kind });
      continue;
    }
    if (actions.some(isRequest)) {
      request = { poll: polls++, untilTick: tick + pollTicks };
      // One that had to wait for the line leaves in another event than that in which it was built.
      labels.set(index, { kind: event === Event.Wake ? 'request' : 'rest', poll: request.poll });
    } else if (request !== undefined) {
      const datagram = event === Event.Frame ? timeFrame(payload.subarray(8)) : undefined;
      const last = datagram !== undefined && (datagram.flags & FrameFlag.Last) !== 0;
      if (last) answers++;
      labels.set(index, { kind: last ? 'answer' : datagram === undefined ? 'rest' : 'piece', poll: request.poll });
    } else if (event === Event.Temperature && !sent) {
      labels.set(index, { kind: 'temperature' });
    }
  }
  if (answers !== polls) throw new Error(`${polls} requests and ${answers} answers; each was to be answered`);
  return { bytes: encode(happened, labels), labels, events: happened.length, polls, answers, checksum };
}

function live({ core, servers, polls, seed, thermometer }: RecordingOptions) {
  const named = Array.from({ length: servers }, (_, i) => ({ host: `${'abcd'[i]}.test`, port: 4460 }));
  const world: World = new World({
    seed,
    modules: { plain: core.module },
    gatewayModules: { plain: loadCoreModule().module },
    baud: 115_200,
    tickHz: Number(tickHz),
    rtc: { frequencyPpb: 2_000 },
    ...(thermometer ? { thermometer: () => milliCelsius(world.time.nowNs) } : {}),
    settings: {
      servers: named,
      poll: { minSeconds: 64, maxSeconds: 1024 },
      reportSeconds: settingsLimits.reportSeconds.most,
    },
    check: { record: true },
  });
  const random = new Prng(seed);
  const delayNs = () => 10e6 + random.exponential(1e6);
  Object.assign(world.conditions, { outNs: delayNs, backNs: delayNs });
  world.conditions.change = (parts) => {
    parts.nonce = Buffer.from(random.bytes(parts.nonce.length));
  };
  world.device.setFrequency(5_000);
  world.boot();
  // Events that came of the bench's own asking.
  const asked = new Map<number, 'time' | 'again' | 'idle'>();
  const { core: meter } = world.device;
  if (meter === undefined) throw new Error('the meter did not start');
  for (let seconds = 0; world.sockets.served < polls; seconds += readSeconds) {
    if (seconds > longestSeconds) throw new Error(`${world.sockets.served} of ${polls} polls in ${seconds} s`);
    world.run(readSeconds);
    asked.set(meter.happened.length, 'time');
    world.device.ask();
    asked.set(meter.happened.length, 'idle');
    world.device.feed(Event.Wake);
    world.run(againSeconds);
    asked.set(meter.happened.length, 'again');
    world.device.ask();
  }
  world.run(Number(pollTicks / tickHz));
  return { happened: meter.happened, asked };
}

// A cabinet at 15 °C ± 10 K over the day.
function milliCelsius(nowNs: bigint): number {
  return Math.round(15_000 + 10_000 * Math.sin((2 * Math.PI * Number(nowNs)) / 86_400e9));
}

// Between two zeros.
function timeFrame(bytes: Uint8Array) {
  const frame = decodeFrame(Buffer.concat([Buffer.of(0), bytes, Buffer.of(0)]));
  return frame.channel === Channel.Time ? frame : undefined;
}

function isRequest({ kind, payload }: CoreAction): boolean {
  if (kind !== Action.FrameSend) return false;
  const frame = decodeFrame(payload);
  return (
    frame.channel === Channel.Time && (frame.flags & FrameFlag.First) !== 0 && frame.payload[0] === Message.UdpSend
  );
}

/** FNV-1a, continued over actions as the core writes them. */
export function addActions(before: number, actions: readonly CoreAction[]): number {
  let hash = before;
  const add = (bytes: Uint8Array) => {
    for (const byte of bytes) hash = Math.imul(hash ^ byte, 16_777_619) >>> 0;
  };
  const head = Buffer.alloc(Abi.ActionHeaderBytes);
  for (const { kind, payload } of actions) {
    head.writeUInt16LE(kind, 0);
    head.writeUInt16LE(payload.length, 2);
    add(head);
    add(payload);
  }
  return hash;
}

// Tick u64, event u16, length u16, whether it is told of u32, payload, up to a multiple of 8; an event 0 ends it.
function encode(happened: readonly RecordedEvent[], labels: ReadonlyMap<number, Label>): Buffer {
  const parts = happened.map(({ event, tick, payload }, index) => {
    const bytes = Buffer.alloc((16 + payload.length + 7) & ~7);
    bytes.writeBigUInt64LE(tick, 0);
    bytes.writeUInt16LE(event, 8);
    bytes.writeUInt16LE(payload.length, 10);
    bytes.writeUInt32LE(labels.has(index) ? 1 : 0, 12);
    bytes.set(payload, 16);
    return bytes;
  });
  return Buffer.concat([...parts, Buffer.alloc(16)]);
}
