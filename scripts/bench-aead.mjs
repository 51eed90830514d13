// `npm run bench:aead`: how long the core's ciphers take on this machine, with AES bitsliced and with its table, beside
// @noble/ciphers. --help tells the options.
import { aeadUsage } from '../bench/usage.mjs';
import { runProgram } from './lib/program.mjs';

await runProgram('bench-aead', 'bench/aead.ts', { usage: aeadUsage, debian: [] });
