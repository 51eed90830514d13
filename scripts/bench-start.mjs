// `npm run bench:start`: power-on of an emulated meter to its first reported, authenticated time, beside chronyd -Q.
// --runs N (default 7), --json, --check (exit code 1 when the meter is slower).
import { startUsage } from '../bench/usage.mjs';
import { runProgram } from './lib/program.mjs';

await runProgram('bench-start', 'bench/start.ts', { usage: startUsage, debian: ['servers', 'firmware', 'emulator'] });
