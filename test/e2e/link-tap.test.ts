// Somebody taps the line between a gateway and its meter while NTS keys are established with a real server, and says again
// what he heard: where the link is sealed he learns no key, nothing that is asked or reported, and is found out.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LinkRefusal, Message, MeterEvent } from '../../as/abi/codes.ts';
import { FrameKey } from '../../as/link/layout.ts';
import type { LinkTransport } from '../../host/link/transports.ts';
import { type Chronyd, startChronyd } from '../../host/setup/chronyd.ts';
import { LabCa } from '../../host/setup/lab-ca.ts';
import { until } from '../../host/setup/until.ts';
import { cobsDecode } from '../core/link-wire.ts';
import { labMeter } from './lab.ts';

let ca: LabCa;
let server: Chronyd;
beforeAll(async () => {
  ca = await LabCa.create();
  server = await startChronyd({ ca, stratum: 2 });
});
afterAll(() => server?.stop());

/** Records what goes over a gateway's end of a line, and can say it again. */
class Tap {
  readonly #toGateway: Uint8Array[] = [];
  readonly #toMeter: Uint8Array[] = [];
  line: LinkTransport | undefined;
  /** Says something to the meter. */
  say: (bytes: Uint8Array) => Promise<void> = async () => {};

  on(line: LinkTransport): LinkTransport {
    this.line = line;
    line.on('data', (bytes) => this.#toGateway.push(bytes.slice()));
    const write = line.write.bind(line);
    this.say = write;
    line.write = (bytes) => {
      this.#toMeter.push(bytes.slice());
      return write(bytes);
    };
    return line;
  }

  /** Frames as on the line, without the zeros around them. */
  frames(direction: 'meter' | 'gateway' | 'both'): Uint8Array[] {
    const sides = [direction === 'gateway' ? [] : this.#toMeter, direction === 'meter' ? [] : this.#toGateway];
    return sides.flatMap((chunks) => {
      const bytes = Buffer.concat(chunks);
      const zeros = [...bytes.keys()].filter((at) => bytes[at] === 0);
      return zeros.slice(1).flatMap((end, index) => {
        const frame = bytes.subarray(zeros[index]! + 1, end);
        return frame.length === 0 ? [] : [Uint8Array.from(frame)];
      });
    });
  }

  /** Whether bytes were on the line, as they are or inside a frame. */
  saw(bytes: Uint8Array): boolean {
    const wanted = Buffer.from(bytes);
    return this.frames('both').some(
      (frame) => Buffer.from(frame).includes(wanted) || Buffer.from(cobsDecode(frame)).includes(wanted),
    );
  }
}

/** A meter that comes to the time with somebody on its line, and the keys that the gateway handed it. */
async function tapped(id: string, sealedLink: boolean) {
  const tap = new Tap();
  const settings = { id, sealedLink, servers: [{ host: '127.0.0.1', port: server.kePort }] };
  const lab = labMeter(ca, settings, { line: (line) => tap.on(line) });
  const keys: Uint8Array[] = [];
  const [{ session } = { session: undefined }] = lab.gateway.sessions;
  const link = session!.link as { send: (...args: never[]) => boolean };
  const send = link.send.bind(link) as (...args: unknown[]) => boolean;
  link.send = (...args: unknown[]) => {
    const [message] = args as [{ type?: Message; key?: Uint8Array }];
    if (message.type === Message.TlsExported) keys.push(message.key!.slice());
    return send(...args);
  };
  lab.meter.start();
  await lab.watch.synchronised();
  return { ...lab, tap, keys, session: session! };
}

/** What the meter asks its gateway for, and reports. */
const asked = Buffer.from('127.0.0.1');

describe('a tap', () => {
  it('sees the NTS keys on an open link', async () => {
    const { keys, tap, session, stop } = await tapped('open-1', false);
    try {
      expect(session.link.isSealed).toBe(false);
      expect(keys.length).toBeGreaterThanOrEqual(2);
      for (const key of keys) expect(tap.saw(key)).toBe(true);
      expect(tap.saw(asked)).toBe(true);
    } finally {
      await stop();
    }
  });

  it('sees no key, no server and no report on a sealed one, and is found out where it says something again', async () => {
    const { keys, tap, session, watch, gateway, stop } = await tapped('sealed-1', true);
    try {
      expect(session.link.isSealed).toBe(true);
      expect(keys.length).toBeGreaterThanOrEqual(2);
      expect(keys[0]!.length).toBeGreaterThanOrEqual(16);
      for (const key of keys) {
        for (let at = 0; at + 16 <= key.length; at++) expect(tap.saw(key.subarray(at, at + 16))).toBe(false);
      }
      expect(tap.saw(asked)).toBe(false);
      const kinds = new Set(tap.frames('both').map((frame) => cobsDecode(frame)[2]));
      expect(kinds).toEqual(new Set([FrameKey.Open, FrameKey.Sealed, FrameKey.Tagged]));
      expect(session.link.counters).toMatchObject({ framesForged: 0, framesReplayed: 0 });

      const before = session.link.session;
      const [old] = tap.frames('gateway').filter((frame) => cobsDecode(frame)[2] === FrameKey.Sealed);
      tap.line!.emit('data', Uint8Array.of(0, ...old!, 0), process.hrtime.bigint());
      await until('the gateway finds it', () => session.link.counters.framesReplayed === 1);
      for (const frame of tap.frames('meter')) await tap.say(Uint8Array.of(0, ...frame, 0));
      const refused = () => watch.events.find(({ code }) => code === MeterEvent.LinkRefused);
      await watch.until('the meter tells of it', () => refused() !== undefined);
      expect(refused()).toMatchObject({ a: BigInt(LinkRefusal.Replayed) });
      expect(session.link.session).toBe(before);
      expect(gateway.meter('sealed-1')?.isUp).toBe(true);
    } finally {
      await stop();
    }
  });
});

describe('a gateway', () => {
  it.each([
    ['without the key of a sealed meter', true, undefined, 'no-key'],
    ['with another key', true, new Uint8Array(16), 'wrong-key'],
    ['with a key of a meter whose link is open', false, new Uint8Array(16), 'open'],
  ] as const)('%s takes no session and says why', async (_, sealedLink, key, why) => {
    const said: string[] = [];
    const note = (_message: string, fields: Record<string, unknown> = {}) => void said.push(String(fields.reason));
    const log = { error: note, warn: note, info: () => {}, debug: () => {}, child: () => log };
    const linkKeys = new Map<string, Uint8Array>(
      key === undefined ? [['another', new Uint8Array(16)]] : [['meter-1', key]],
    );
    const settings = { id: 'meter-1', sealedLink, servers: [{ host: '127.0.0.1', port: server.kePort }] };
    const { gateway, meter, stop } = labMeter(ca, settings, { gateway: { linkKeys, log } });
    try {
      meter.start();
      await until('it is said', () => said.length > 0);
      const words = { 'no-key': 'has no link key of it', 'wrong-key': 'does not prove', open: 'is open, and' };
      expect(said[0]).toContain(words[why]);
      expect(gateway.meters).toEqual([]);
    } finally {
      await stop();
    }
  });
});
