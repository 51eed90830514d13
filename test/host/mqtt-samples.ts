// Reports of a meter as the link decodes them, for tests.
import {
  Abi,
  ClockStatus,
  KeError,
  Message,
  MeterEvent,
  Missing,
  Reject,
  ResetCause,
  SourceFlag,
  SourceState,
} from '../../as/abi/codes.ts';
import type { ServerReport } from '../../host/gateway/server-reports.ts';
import {
  type Info,
  type MeterEventMessage,
  rejectReasons,
  type Source,
  type SourceCounts,
  type Time,
} from '../../host/link/messages.ts';

export const info: Info = {
  type: Message.Info,
  abiVersion: Abi.Version,
  resetCause: ResetCause.Watchdog,
  capabilities: 6,
  maxFrequencyErrorPpb: 50_000,
  buildUnixSeconds: 1_795_312_800n,
  coreSha256: new Uint8Array(32).fill(0x11),
  imageSha256: new Uint8Array(32).fill(0x22),
  serversMax: 4,
  meterId: 'm1',
  board: 'mps2-an385',
  firmwareVersion: '0.1.0',
};

export const time: Time = {
  type: Message.Time,
  status: ClockStatus.Synchronised,
  flags: 0b101,
  stratum: 2,
  reach: 7,
  cookies: 8,
  cookieBytes: 100,
  aead: 15,
  pollSeconds: 64,
  rootDelayNs: 15_259,
  rootDispersionNs: 30_518,
  frequencyPpb: -4200,
  utcNs: 2_085_978_496_123_456_789n,
  offsetNs: -1_234_567n,
  delayNs: 2_000_000n,
  uncertaintyNs: 400_000n,
  boundNs: 1_500_000n,
  lastSyncUtcNs: 2_085_978_490_000_000_001n,
  keysSinceUtcNs: 2_085_955_200_000_000_000n,
  sent: 3,
  authenticated: 2,
  rejected: 1,
  naks: 0,
  keAttempts: 4,
  keFailures: 3,
  lastReject: Reject.Authentication,
  lastKeError: KeError.Connection,
  eventsLost: 0,
  servers: 3,
  agreeing: 2,
  needed: 2,
  missing: Missing.None,
  milliCelsius: -12_345,
  rtcOffsetUs: -301_250,
  rtcRatePpb: 12_345,
  budget: {
    noiseNs: 61_200,
    asymmetryNs: 180_000,
    serverNs: 44_000,
    stampsNs: 20_000,
    slewNs: 12_000,
    frequencyPpt: -4_200_125,
    frequencyUncertaintyPpt: 31_500,
  },
  source: 1,
  keHost: 'ke.example',
};

export const source: Source = {
  type: Message.Source,
  index: 1,
  flags: SourceFlag.Agrees | SourceFlag.Reference,
  state: SourceState.Serving,
  stratum: 2,
  leap: 1,
  reach: 7,
  cookies: 8,
  cookieBytes: 68,
  aead: 30,
  pollSeconds: 64,
  ntpPort: 1123,
  rootDelayNs: 15_259,
  rootDispersionNs: 30_518,
  offsetNs: -1_234_567n,
  delayNs: 2_000_000n,
  lastSyncUtcNs: 2_085_978_490_000_000_001n,
  keysSinceUtcNs: 2_085_955_200_000_000_000n,
  retrySeconds: 0,
  keHost: 'ke.example',
  ntpHost: 'ntp.example',
};

export const counts: SourceCounts = {
  type: Message.SourceCounts,
  index: 1,
  lastReject: Reject.Kiss,
  lastKeError: KeError.Connection,
  kissCode: 'RATE',
  sent: 9,
  authenticated: 5,
  naks: 1,
  keAttempts: 4,
  keFailures: 3,
  rejected: Array.from({ length: rejectReasons }, (_, index) =>
    index + 1 === Reject.Authentication ? 2 : index + 1 === Reject.Kiss ? 1 : 0,
  ),
};

/** Both, about the server with this index. */
export function serverReport(index: number, change: Partial<Source> = {}): ServerReport {
  return { source: { ...source, index, ...change }, counts: { ...counts, index } };
}

export const event: MeterEventMessage = {
  type: Message.Event,
  sequence: 4_294_967_295,
  code: MeterEvent.ClockSet,
  utcNs: 2_085_978_496_123_456_789n,
  uptimeNs: 9_007_199_254_740_993n,
  a: -3_600_000_000_000n,
  b: 2_500_000n,
  boot: 0x00c0ffee,
  text: 'ntp.example',
};
