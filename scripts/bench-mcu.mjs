// `npm run bench:mcu`: how many instructions the core takes on an emulated Cortex-M3, event by event, beside other
// implementations of its ciphers. --help tells the options; --json; --check (exit code 1 when a target is missed).
import { mcuUsage } from '../bench/usage.mjs';
import { runProgram } from './lib/program.mjs';

await runProgram('bench-mcu', 'bench/mcu.ts', { usage: mcuUsage, debian: ['firmware', 'emulator'] });
