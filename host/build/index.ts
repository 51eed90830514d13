// Firmware build and emulation, for the command line, the demo and tests.
export { type Board, type BoardSummary, boardSchema, listBoards, loadBoard } from './board.ts';
export { type BoardPart, boardFeatures, boardParts } from './board-parts.ts';
export { type Emulator, type EmulatorExit, type EmulatorOptions, startEmulator } from './emulator.ts';
export { BuildError } from './errors.ts';
export { type BuildOptions, type BuildReport, buildFirmware } from './firmware.ts';
export { addBoard, listChips } from './new-board.ts';
export { type BuildOutcome, formatBuildReport, formatBuildTable } from './report.ts';
