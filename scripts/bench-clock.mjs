// `npm run bench:clock`: the meter's clock against models of oscillator, network and servers, beside chrony's figures.
// --help tells the options.
import { clockUsage } from '../bench/usage.mjs';
import { runProgram } from './lib/program.mjs';

await runProgram('bench-clock', 'bench/clock.ts', { usage: clockUsage, debian: [] });
