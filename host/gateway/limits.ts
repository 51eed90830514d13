// What one meter may use of its gateway. Ample for a meter that works, and small enough that hundreds that do not
// leave room for the others.
import type { Rate } from '../net/token-bucket.ts';

export interface MeterLimits {
  readonly tlsConnections: number;
  /** In each direction of one connection. */
  readonly tlsBytes: number;
  readonly tlsOpens: Rate;
  readonly udpSockets: number;
  readonly udpExchangesInFlight: number;
  readonly udpExchanges: Rate;
  /** Messages of any kind but entries of the meter's rings. */
  readonly messages: Rate;
  /** Those: a meter whose gateway was away for weeks has thousands. */
  readonly entries: Rate;
  /** How long a meter that sent too many is not listened to. */
  readonly muteMs: number;
}

export const meterLimits: MeterLimits = {
  tlsConnections: 4,
  tlsBytes: 64 * 1024,
  tlsOpens: { burst: 16, perSecond: 0.5 },
  udpSockets: 8,
  udpExchangesInFlight: 16,
  udpExchanges: { burst: 64, perSecond: 8 },
  messages: { burst: 400, perSecond: 100 },
  entries: { burst: 4_096, perSecond: 500 },
  muteMs: 5_000,
};
