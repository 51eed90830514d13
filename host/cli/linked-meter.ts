// A meter in software behind a link within this process, served by a gateway: as a meter at a serial line, without the
// line.
import type { ResetCause } from '../../as/abi/codes.ts';
import type { Gateway } from '../gateway/gateway.ts';
import type { MeterSession } from '../gateway/meter-session.ts';
import { createPair } from '../link/transports.ts';
import { simulatedRegisters } from '../meter/simulated-load.ts';
import { lineOf, type SoftwareMeter, type SoftwareMeterOptions } from '../meter/software-meter.ts';
import { makeSoftwareMeter } from './software-meter.ts';

export interface LinkedMeter {
  readonly meter: SoftwareMeter;
  readonly session: MeterSession;
  start(cause?: ResetCause): void;
  /** Switches the meter off and takes the line away. */
  stop(): Promise<void>;
}

/** Makes a meter and its line to the gateway; it is off until `start`. The registers of its settings count a simulated load. */
export function linkMeter(
  gateway: Gateway,
  name: string,
  options: Pick<
    SoftwareMeterOptions,
    'storage' | 'rtc' | 'trace' | 'onTrap' | 'onTariff' | 'registers' | 'maxFrequencyErrorPpb' | 'aes'
  >,
): LinkedMeter {
  const [meterEnd, gatewayEnd] = createPair(name);
  const registers = options.storage && simulatedRegisters(options.storage);
  const meter = makeSoftwareMeter({ ...(registers && { registers }), ...options, line: lineOf(meterEnd) });
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
