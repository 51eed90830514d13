// `npm run soak`: an emulated meter under load for ten minutes, then everything killed again and again, then
// years of virtual time under attack. --minutes N, --rounds N, --years N, --seed N, --json; exit code 1 when anything did
// not hold.
import { soakUsage } from '../bench/usage.mjs';
import { runProgram } from './lib/program.mjs';

await runProgram('soak', 'bench/soak.ts', { usage: soakUsage, debian: ['servers', 'firmware', 'emulator'] });
