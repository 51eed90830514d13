// One forged answer: the genuine one with its timestamps moved, sent by the relay just before the genuine one.
import type { NtpRelay } from '../setup/ntp-relay.ts';

/** What the relay sent just before the genuine answer. */
export interface Forgery {
  /** Transmit timestamps of the genuine and of the forged answer, UTC, whole milliseconds. */
  readonly genuine: Date;
  readonly forged: Date;
  /** Length of both, bytes. */
  readonly bytes: number;
}

/** NTP header (RFC 5905 7.3): places of the timestamps that tell the server's time; origin is the client's. */
const timestampAt = { reference: 16, receive: 32, transmit: 40 } as const;
const headerBytes = 48;
/** Seconds from 1900 to 1970. */
const ntpToUnixSeconds = 2_208_988_800;

/** Has the relay forge its next answer, whoever asked. Resolves when it was sent; never, when nobody asks. */
export function forgeNext(relay: NtpRelay, shiftSeconds: number): Promise<Forgery> {
  const honest = relay.onAnswer;
  return new Promise((done) => {
    relay.onAnswer = (passing) => {
      const { answer, send } = passing;
      if (answer.length >= headerBytes) {
        relay.onAnswer = honest;
        const forged = shiftTimestamps(answer, shiftSeconds);
        send(forged);
        done({ genuine: transmitTime(answer), forged: transmitTime(forged), bytes: answer.length });
      }
      honest(passing);
    };
  });
}

/** A copy of an NTP packet in which the server's timestamps are moved, and nothing else. */
function shiftTimestamps(packet: Uint8Array, seconds: number): Buffer {
  const copy = Buffer.from(packet);
  for (const at of Object.values(timestampAt)) copy.writeUInt32BE((copy.readUInt32BE(at) + seconds) >>> 0, at);
  return copy;
}

/** The transmit timestamp, in the NTP era that began in 1900 or, for small values, in that of 2036. */
function transmitTime(packet: Buffer): Date {
  const seconds = packet.readUInt32BE(timestampAt.transmit);
  const era = seconds < ntpToUnixSeconds ? 2 ** 32 : 0;
  const fraction = packet.readUInt32BE(timestampAt.transmit + 4) / 2 ** 32;
  return new Date(Math.floor((seconds + era - ntpToUnixSeconds + fraction) * 1000));
}
