// A serial line between a simulated meter and its gateway, in virtual time: a core at each end, frames as long as they are.
//
// What always holds:
// - The meter's ticks are those of its driver (firmware/drivers/cmsdk_uart.c): of a frame's first byte and of the zero at its
//   end when each has come; of a frame sent, as its last byte is given to a part that still has the one before it.
// - The gateway's are late: its part keeps bytes back, and its process looks at them when it gets round to it.
// - What is drawn follows from the seed.
import { Action, Channel, Event, LinkMessageField, LinkReadyField, LinkStartField } from '../../as/abi/codes.ts';
import { Core } from '../../host/core/core.ts';
import { FrameSplitter } from '../../host/link/frame-splitter.ts';
import type { VirtualTime } from '../../host/meter/clocks.ts';
import type { Cancel } from '../../host/meter/parts.ts';
import type { MeterLine } from '../../host/meter/software-meter.ts';
import type { Prng } from '../../test/fuzz/prng.ts';
import type { Case } from './cases.ts';
import type { OscillatorClock } from './oscillator.ts';
import { sampler } from './random.ts';

/** Of a USB packet of 64 bytes two are status (FTDI AN232B-04): one goes as soon as it is full. */
const usbPacketBytes = 62;
/** A 16550 tells of 8 bytes at once, or of fewer after the time of four (TI PC16550D, 8.4.3). */
const fifoBytes = 8;
const fifoTimeoutBytes = 4;

/** What a message is made of when the line takes it. */
type Maker = (nowNs: bigint) => Uint8Array;

const channels = [Channel.Time, Channel.Stream, Channel.Report] as const;

export class Link {
  /** A message from the meter, and the gateway's stamp of its last byte. */
  onMessage: (channel: Channel, message: Uint8Array, lastNs: bigint) => void = () => {};
  /** The meter's end, for `SoftwareMeter`. */
  readonly meterLine: MeterLine;
  readonly #core = new Core();
  readonly #byteNs: number;
  /** 0: a UART of its own. */
  readonly #usbNs: number;
  /** What is sent over USB, in either direction, waits for up to so long. */
  readonly #frameNs: number;
  readonly #lateNs: () => number;
  readonly #splitter: FrameSplitter;
  readonly #queues: Record<number, Maker[]> = { [Channel.Time]: [], [Channel.Stream]: [], [Channel.Report]: [] };
  #room: Record<number, number> = { [Channel.Time]: 0, [Channel.Stream]: 0, [Channel.Report]: 0 };
  #toMeter: (bytes: Uint8Array, tick?: bigint) => void = () => {};
  #cancelWake: Cancel = () => {};
  /** What the gateway's part has and has not told, since when, and when it told of something last. */
  #kept: number[] = [];
  #frameKeptNs = 0;
  #keptNs = 0;
  #toldNs = 0;
  #readNs = 0;

  constructor(
    readonly time: VirtualTime,
    readonly meterClock: OscillatorClock,
    { baud, usb, gatewayJitter }: NonNullable<Case['link']>,
    readonly random: Prng,
  ) {
    this.#byteNs = 10e9 / baud;
    this.#usbNs = (usb?.latencyMs ?? 0) * 1e6;
    this.#frameNs = (usb?.frameMs ?? 0) * 1e6;
    this.#toldNs = -this.#usbNs * random.fraction();
    this.#lateNs = sampler(gatewayJitter, random);
    this.#splitter = new FrameSplitter((frame, firstTick, lastTick, keptNs) => {
      const payload = new Uint8Array(8 + frame.length);
      new DataView(payload.buffer).setBigUint64(0, firstTick, true);
      payload.set(frame, 8);
      this.#frameKeptNs = keptNs;
      this.#handle(Event.Frame, payload, lastTick);
    }, this.#byteNs);
    this.meterLine = {
      write: (bytes, sent) => this.#fromMeter(bytes.slice(), sent),
      onData: (listener) => {
        this.#toMeter = listener;
      },
    };
  }

  start(): void {
    const payload = new Uint8Array(LinkStartField.Bytes);
    const view = new DataView(payload.buffer);
    view.setUint32(LinkStartField.TickHz, 1e9, true);
    view.setUint32(LinkStartField.Nonce, this.random.u32(), true);
    view.setUint8(LinkStartField.ServesOpen, 1);
    this.#handle(Event.LinkStart, payload);
  }

  /** To the meter, as soon as there is room. */
  send(channel: Channel, make: Maker): void {
    this.#queues[channel]!.push(make);
    this.#flush();
  }

  #at(ns: number, then: () => void): void {
    this.time.schedule(BigInt(Math.round(ns)), then);
  }

  // ------------------------------------------------- the gateway's core

  #handle(event: Event, payload?: Uint8Array, tick = this.time.nowNs): void {
    for (const { kind, payload: body } of this.#core.handle(event, tick, payload)) {
      const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
      if (kind === Action.FrameSend) this.#fromGateway(body);
      else if (kind === Action.Wake) {
        this.#cancelWake();
        this.#cancelWake = this.time.schedule(view.getBigUint64(0, true), () => this.#happen(Event.Wake));
      } else if (kind === Action.Message) {
        const message = body.subarray(LinkMessageField.Message);
        this.onMessage(
          body[LinkMessageField.Channel]!,
          message,
          view.getBigUint64(LinkMessageField.LastTick, true) - BigInt(this.#frameKeptNs),
        );
      } else if (kind === Action.LinkReady) {
        this.#room = {
          [Channel.Time]: body[LinkReadyField.TimeRoom]!,
          [Channel.Stream]: body[LinkReadyField.StreamRoom]!,
          [Channel.Report]: body[LinkReadyField.ReportRoom]!,
        };
      }
    }
  }

  #happen(event: Event): void {
    this.#handle(event);
    this.#flush();
  }

  #flush(): void {
    for (const channel of channels) {
      const queue = this.#queues[channel]!;
      while (queue.length > 0 && this.#room[channel]! > 0) {
        this.#room[channel]!--;
        const message = queue.shift()!(this.time.nowNs);
        const payload = new Uint8Array(1 + message.length);
        payload[0] = channel;
        payload.set(message, 1);
        this.#handle(Event.LinkSend, payload);
      }
    }
  }

  // ------------------------------------------------- the line

  #fromMeter(bytes: Uint8Array, sent: (tick?: bigint) => void): void {
    const startNs = Number(this.time.nowNs);
    const endNs = startNs + bytes.length * this.#byteNs;
    this.#at(endNs - this.#byteNs, () => sent(BigInt(this.meterClock.ticksAt(endNs - 2 * this.#byteNs))));
    this.#at(endNs, () => {
      for (let i = 0; i < bytes.length; i++) this.#keep(bytes[i]!, startNs + (i + 1) * this.#byteNs);
      this.#tellLater();
    });
  }

  #fromGateway(bytes: Uint8Array): void {
    const startNs = Number(this.time.nowNs) + this.#frameNs * this.random.fraction();
    const endNs = startNs + bytes.length * this.#byteNs;
    // The zero before the frame, and its first byte.
    this.#at(startNs + 2 * this.#byteNs, () => this.#toMeter(bytes.subarray(0, 2), this.meterClock.nowTicks()));
    this.#at(endNs, () => this.#toMeter(bytes.subarray(2), this.meterClock.nowTicks()));
    this.#at(endNs + this.#lateNs(), () => this.#happen(Event.FrameSent));
  }

  // ------------------------------------------------- what receives for the gateway

  // A byte that came at this time.
  #keep(byte: number, atNs: number): void {
    const dueNs = this.#dueNs();
    if (dueNs <= atNs) this.#tell(dueNs);
    // Packets without bytes go all the while.
    if (this.#usbNs > 0) this.#toldNs += Math.floor((atNs - this.#toldNs) / this.#usbNs) * this.#usbNs;
    this.#kept.push(byte);
    this.#keptNs = atNs;
    if (this.#kept.length === (this.#usbNs > 0 ? usbPacketBytes : fifoBytes)) this.#tell(atNs);
  }

  // When it tells of what it has.
  #dueNs(): number {
    if (this.#kept.length === 0) return Number.POSITIVE_INFINITY;
    return this.#usbNs > 0 ? this.#toldNs + this.#usbNs : this.#keptNs + fifoTimeoutBytes * this.#byteNs;
  }

  #tellLater(): void {
    const dueNs = this.#dueNs();
    if (dueNs === Number.POSITIVE_INFINITY) return;
    this.#at(dueNs, () => {
      if (this.#dueNs() === dueNs) this.#tell(dueNs);
    });
  }

  #tell(atNs: number): void {
    const bytes = Uint8Array.from(this.#kept);
    this.#kept = [];
    this.#toldNs = atNs;
    this.#readNs = Math.round(Math.max(this.#readNs, atNs + this.#frameNs * this.random.fraction() + this.#lateNs()));
    const tick = BigInt(this.#readNs);
    this.time.schedule(tick, () => {
      this.#splitter.push(bytes, tick);
      this.#flush();
    });
  }
}
