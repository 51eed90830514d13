// `npm run bench:blackout`: the load on NTS-KE servers when a fleet of meters comes back after a blackout, for our clients
// beside a fixed retry and chrony's rule. --help tells the options; --json; --check (exit code 1 when a target is missed).
import { blackoutUsage } from '../bench/usage.mjs';
import { runProgram } from './lib/program.mjs';

await runProgram('bench-blackout', 'bench/blackout.ts', { usage: blackoutUsage, debian: [] });
