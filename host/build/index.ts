// Firmware build and emulation, for the command line, the demo and tests.
export { type Board, type BoardSummary, boardSchema, listBoards, loadBoard } from './board.ts';
export { type Emulator, type EmulatorExit, type EmulatorOptions, startEmulator } from './emulator.ts';
export { BuildError } from './errors.ts';
export { type BuildOptions, type BuildReport, buildFirmware } from './firmware.ts';
export { formatBuildReport } from './report.ts';
