// `npm run bench:clock`: the meter's clock against models of oscillator, network and servers, beside chrony's figures.
// --help tells the options.
import { runProgram } from './lib/program.mjs';

await runProgram('bench-clock', 'bench/clock.ts', process.argv.slice(2));
