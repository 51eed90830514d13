// A serial line in virtual time and the gateway's end of its link, a core of its own; frames can be changed on the way.
import {
  Action,
  Channel,
  Event,
  LinkHelloField,
  LinkKnown,
  LinkMessageField,
  LinkReadyField,
  LinkStartField,
} from '../../as/abi/codes.ts';
import { VirtualClock, type VirtualTime } from '../../host/meter/clocks.ts';
import { CheckedCore, type CheckedModules, type CheckOptions } from './checked-core.ts';
import type { Device } from './device.ts';

/** What becomes of a frame (the bytes between its delimiters): the frames that arrive instead. */
export type FrameFault = (frame: Uint8Array, toMeter: boolean) => Uint8Array[];

const tickHz = 1_000_000_000;

export class GatewayLine {
  core: CheckedCore;
  readonly clock: VirtualClock;
  /** Of any meter whose link is sealed. */
  linkKey: Uint8Array | undefined;
  fault: FrameFault = (frame) => [frame];
  onMessage: (channel: number, message: Uint8Array) => void = () => {};
  /** The meter's sockets are gone. */
  onReset: () => void = () => {};
  #cancelWake = () => {};
  #generation = 0;
  #session = 0;
  #nonce: number;
  #room = [0, 0, 0, 0];
  #waiting: [Uint8Array[], Uint8Array[], Uint8Array[], Uint8Array[]] = [[], [], [], []];

  constructor(
    readonly time: VirtualTime,
    readonly modules: CheckedModules,
    readonly device: Device,
    readonly options: { readonly baud: number; readonly nonce: number; readonly check?: Partial<CheckOptions> },
  ) {
    this.clock = new VirtualClock(time, { tickHz });
    this.#nonce = options.nonce;
    device.onFrame = (bytes, sent) => this.#send(bytes, sent, true);
    this.core = this.#newCore();
  }

  #newCore(): CheckedCore {
    return new CheckedCore(this.modules, { large: true, ...this.options.check });
  }

  start(): void {
    const payload = new Uint8Array(LinkStartField.Bytes);
    const view = new DataView(payload.buffer);
    view.setUint32(LinkStartField.TickHz, tickHz, true);
    view.setUint32(LinkStartField.Nonce, this.#nonce, true);
    view.setUint8(LinkStartField.ServesOpen, 1);
    this.#handle(Event.LinkStart, payload);
  }

  /** The gateway's process ends and a new one starts. */
  restart(): void {
    this.#generation++;
    this.#cancelWake();
    this.#reset();
    this.#nonce = (this.#nonce * 69069 + 1) >>> 0;
    this.core = this.#newCore();
    this.start();
  }

  #reset(): void {
    this.#waiting = [[], [], [], []];
    this.#room = [0, 0, 0, 0];
    this.onReset();
  }

  /** To the meter; what has no room waits, but for datagrams, of which only a few do. */
  send(channel: number, message: Uint8Array): void {
    const queue = this.#waiting[channel as 0 | 1 | 2 | 3];
    if (channel === Channel.Time && queue.length >= 8) return;
    queue.push(message);
    this.#flush();
  }

  #flush(): void {
    for (let channel = 1; channel <= 3; channel++) {
      const queue = this.#waiting[channel as 1 | 2 | 3];
      while (queue.length > 0 && this.#room[channel]! > 0) {
        this.#room[channel]!--;
        this.#handle(Event.LinkSend, Buffer.concat([Uint8Array.of(channel), queue.shift()!]));
      }
    }
  }

  /** Any event for the gateway's end. */
  feed(event: number, payload: Uint8Array): void {
    this.#handle(event, payload);
  }

  #handle(event: number, payload: Uint8Array = new Uint8Array(0), tick = this.clock.nowTicks()): void {
    const generation = this.#generation;
    for (const { kind, payload: body } of this.core.handle(event, tick, payload)) {
      if (generation !== this.#generation) return;
      const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
      if (kind === Action.FrameSend) {
        this.#send(body, () => generation === this.#generation && this.#handle(Event.FrameSent), false);
      } else if (kind === Action.Wake) {
        this.#cancelWake();
        this.#cancelWake = this.clock.at(view.getBigUint64(0, true), () => this.#handle(Event.Wake));
      } else if (kind === Action.LinkReady) {
        const session = view.getUint16(LinkReadyField.Session, true);
        const up = body[LinkReadyField.Up] === 1;
        if (!up || session !== this.#session) {
          this.#session = session;
          this.#reset();
        }
        if (up) {
          this.#room = [
            0,
            body[LinkReadyField.TimeRoom]!,
            body[LinkReadyField.StreamRoom]!,
            body[LinkReadyField.ReportRoom]!,
          ];
        }
      } else if (kind === Action.LinkHello) {
        this.#know(body.slice(LinkHelloField.Meter));
      } else if (kind === Action.Message) {
        this.onMessage(body[LinkMessageField.Channel]!, body.slice(LinkMessageField.Message));
      }
    }
    if (this.#waiting.some((queue) => queue.length > 0)) this.time.schedule(this.time.nowNs, () => this.#flush());
  }

  #know(meter: Uint8Array): void {
    if (this.linkKey === undefined) return;
    const known = Uint8Array.of(LinkKnown.Key, ...this.linkKey, ...meter);
    this.time.schedule(this.time.nowNs, () => this.#handle(Event.LinkKey, known));
  }

  /** A frame with both delimiters goes on the line. */
  #send(bytes: Uint8Array, sent: () => void, fromMeter: boolean): void {
    const lastsNs = BigInt(Math.round((bytes.length * 10e9) / this.options.baud));
    const startNs = this.time.nowNs;
    const arriving = this.fault(bytes.subarray(1, bytes.length - 1), !fromMeter);
    const boots = this.device.boots;
    let firstTick = 0n;
    this.time.schedule(startNs, () => {
      firstTick = fromMeter ? this.clock.nowTicks() : this.device.clock.nowTicks();
    });
    this.time.schedule(startNs + lastsNs, () => {
      sent();
      for (const frame of arriving) {
        const payload = new Uint8Array(8 + frame.length);
        payload.set(frame, 8);
        if (!fromMeter && boots !== this.device.boots) firstTick = 0n;
        new DataView(payload.buffer).setBigUint64(0, firstTick, true);
        if (fromMeter) this.#handle(Event.Frame, payload);
        else if (payload.length <= (this.device.core?.capacity ?? 0)) this.device.feed(Event.Frame, payload);
      }
    });
  }
}
