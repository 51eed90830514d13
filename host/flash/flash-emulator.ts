// Starts a board's emulator with erased flash, and writes the image into it with gdb, as into a chip over a probe.

import { emulatorMethod } from '../build/flash-methods.ts';
import { type Board, type Emulator, type EmulatorOptions, startEmulator } from '../build/index.ts';
import { type FlashImage, flashBoard } from './flash.ts';

/** Where the emulated meter's link and storage are. */
export type FlashEmulatorOptions = Pick<EmulatorOptions, 'link' | 'storageFile' | 'rtcBase'> & {
  readonly onProgress?: (text: string) => void;
};

/** What messages call it. */
export const emulatorName = (board: Board): string => `its emulator (${board.emulation?.program})`;

/** @throws {BuildError} @throws {FlashError} The emulator has ended then. */
export function flashEmulator(board: Board, image: FlashImage, options: FlashEmulatorOptions): Promise<Emulator> {
  const { onProgress, ...where } = options;
  return startEmulator({
    ...{ board, image: image.elfPath, ...where },
    load: (gdbPath) =>
      flashBoard(emulatorMethod, { port: gdbPath, serial: undefined, what: emulatorName(board) }, image, onProgress),
  });
}
