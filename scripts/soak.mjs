// `npm run soak`: an emulated meter under load for ten minutes, then everything killed again and again, also under a load of
// records, then years of virtual time under attack. Options: bench/usage.mjs; exit code 1 when anything did not hold.
import { soakUsage } from '../bench/usage.mjs';
import { runProgram } from './lib/program.mjs';

await runProgram('soak', 'bench/soak.ts', { usage: soakUsage, debian: ['servers', 'firmware', 'emulator'] });
