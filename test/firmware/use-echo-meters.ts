// Echo meters of a test file: one at a time is ended after its test, and their folders are removed after all of them.
// In a module of its own, as a program without tests uses echo-meter.ts too.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach } from 'vitest';
import type { EmulatorOptions } from '../../host/build/index.ts';
import { type EchoMeter, startEchoMeter, temporaryFolder } from './echo-meter.ts';

export interface EchoMeters {
  /** A folder for the next emulator. */
  newFolder(): string;
  /** Starts one that is ended when its test is. */
  start(folder?: string, options?: Partial<EmulatorOptions>): Promise<EchoMeter>;
  /** Ends the one that was started last. */
  stop(): Promise<void>;
}

export function useEchoMeters(): EchoMeters {
  const temporary = temporaryFolder();
  let folders = 0;
  let meter: EchoMeter | undefined;
  const newFolder = () => {
    const path = join(temporary.path, String(folders++));
    mkdirSync(path);
    return path;
  };
  const start = async (folder = newFolder(), options: Partial<EmulatorOptions> = {}) => {
    meter = await startEchoMeter(folder, options);
    return meter;
  };
  const stop = async () => {
    meter?.line.close();
    await meter?.emulator.kill();
    meter = undefined;
  };
  afterEach(stop);
  afterAll(() => temporary.remove());
  return { newFolder, start, stop };
}
