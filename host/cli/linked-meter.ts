// A meter in software behind a link within this process, served by a gateway: as a meter at a serial line, without the
// line.
import type { ResetCause } from '../../as/abi/codes.ts';
import type { Gateway } from '../gateway/gateway.ts';
import type { MeterSession } from '../gateway/meter-session.ts';
import { createPair } from '../link/transports.ts';
import { lineOf, type SoftwareMeter, type SoftwareMeterOptions } from '../meter/software-meter.ts';
import { makeSoftwareMeter } from './software-meter.ts';

export interface LinkedMeter {
  readonly meter: SoftwareMeter;
  readonly session: MeterSession;
  start(cause?: ResetCause): void;
  /** Switches the meter off and takes the line away. */
  stop(): Promise<void>;
}

/** Makes a meter and its line to the gateway; it is off until `start`. */
export function linkMeter(
  gateway: Gateway,
  name: string,
  options: Pick<SoftwareMeterOptions, 'storage' | 'rtc' | 'trace' | 'onTrap' | 'maxFrequencyErrorPpb'>,
): LinkedMeter {
  const [meterEnd, gatewayEnd] = createPair(name);
  const meter = makeSoftwareMeter({ ...options, line: lineOf(meterEnd) });
  const session = gateway.addLink(gatewayEnd);
  meterEnd.start();
  return {
    meter,
    session,
    start: (cause) => meter.start(cause),
    stop: async () => {
      await meter.stop();
      await session.stop();
    },
  };
}
