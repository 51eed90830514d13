// The meter in software that `metertime run` runs: with a gateway in this process, or at a link to one elsewhere.
// What always holds: what was started is ended by the function that comes back, the storage last.
import { ClockStatus, Event } from '../../as/abi/codes.ts';
import type { AesWay } from '../core/core.ts';
import { TraceRecorder } from '../core/trace.ts';
import type { Gateway } from '../gateway/gateway.ts';
import { HostClock } from '../gateway/host-clock.ts';
import { LinkListener, type LinkTransport, openLink } from '../link/transports.ts';
import { SoftwareRtc } from '../meter/parts.ts';
import { simulatedRegisters } from '../meter/simulated-load.ts';
import { lineOf, type SoftwareMeter, type SoftwareMeterOptions, type Trap } from '../meter/software-meter.ts';
import { FileStorage } from '../meter/storage.ts';
import { softwareBoard } from './boards.ts';
import { CliError, usageError } from './errors.ts';
import { linkMeter } from './linked-meter.ts';
import { makeSoftwareMeter } from './software-meter.ts';

export interface SoftwareRun {
  /** Is told what there is to know, such as that the core trapped and was started anew. */
  readonly note: (text: string) => void;
  readonly storageFile: string;
  /** What the real-time clock says at the start; this machine's time otherwise. */
  readonly rtcNs: bigint | undefined;
  /** File for a trace. */
  readonly record: string | undefined;
  /** How long a charging transaction runs, which begins when the meter has a time; none without it. */
  readonly transactionSeconds: number | undefined;
  /** How the core computes AES. */
  readonly aes: AesWay | undefined;
}

export interface RunningMeter {
  /** Rejects with `CliError` when the core trapped in its first event, which leaves the meter off. */
  readonly off: Promise<never>;
  stop(): Promise<void>;
}

/** @param to a gateway in this process, or the link to one elsewhere */
export async function startSoftware(to: Gateway | LinkTransport, run: SoftwareRun): Promise<RunningMeter> {
  const storage = await FileStorage.open(run.storageFile);
  const trace = run.record === undefined ? undefined : new TraceRecorder(run.record);
  const counterNs = (): bigint => process.hrtime.bigint();
  const rtc = new SoftwareRtc(counterNs, run.rtcNs ?? new HostClock().wallNs(counterNs()));
  let fail: (error: CliError) => void = () => {};
  const off = new Promise<never>((_, reject) => {
    fail = reject;
  });
  // The meter may be stopped before it is waited for.
  off.catch(() => {});
  const onTrap = ({ event, restarted, error }: Trap) => {
    if (restarted)
      run.note(`The core trapped in event ${Event[event]}, which is a defect; the meter was started anew.`);
    else fail(trappedAtStart(error));
  };
  const parts = { storage, rtc, onTrap, aes: run.aes, ...(trace === undefined ? {} : { trace }) };
  const { meter, stop } = 'addLink' in to ? linkMeter(to, softwareBoard, parts) : atLink(to, parts);
  meter.start();
  const endTransaction = transact(meter, run.transactionSeconds);
  return {
    off,
    stop: async () => {
      endTransaction();
      await stop();
      await storage.close();
      trace?.close();
    },
  };
}

function trappedAtStart(cause: Error): CliError {
  return new CliError('core-trap', 'the core trapped as it started, which is a defect; the meter is off', {
    hint: 'Run it with --record FILE for a trace of what led to it.',
    cause,
  });
}

type Parts = Pick<SoftwareMeterOptions, 'rtc' | 'trace' | 'onTrap' | 'aes'> & { readonly storage: FileStorage };

function atLink(transport: LinkTransport, parts: Parts) {
  const registers = simulatedRegisters(parts.storage);
  const meter = makeSoftwareMeter({ ...parts, registers, line: lineOf(transport) });
  transport.start();
  const stop = async () => {
    await meter.stop();
    await transport.close();
  };
  return { meter, stop };
}

/** The link of a meter to a gateway elsewhere. @throws LinkError for a URL that is none */
export function meterLink(url: string): LinkTransport {
  const link = openLink(url);
  if (!(link instanceof LinkListener)) return link;
  throw usageError(`--link is "${url}"`, 'Expected what the gateway listens at: unix:PATH or tcp://HOST:PORT.');
}

const lookMs = 500;

/** A charging transaction from when the meter has a time. */
function transact(meter: SoftwareMeter, seconds: number | undefined): () => void {
  if (seconds === undefined) return () => {};
  let begunMs: number | undefined;
  const look = setInterval(() => {
    // It is off where it trapped in its first event.
    if (meter.core === undefined) return;
    if (begunMs === undefined) {
      if (meter.time().status === ClockStatus.Unsynchronised) return;
      begunMs = performance.now();
      meter.transaction(true);
    } else if (performance.now() - begunMs >= seconds * 1000) {
      clearInterval(look);
      meter.transaction(false);
    }
  }, lookMs);
  return () => clearInterval(look);
}
