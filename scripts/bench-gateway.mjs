// `npm run bench:gateway`: a gateway with a thousand meters in software that record each minute: backlog, delays, and what a
// meter costs. --help tells the options; --json; --check (exit code 1 when a target is missed).
import { gatewayUsage } from '../bench/usage.mjs';
import { runProgram } from './lib/program.mjs';

await runProgram('bench-gateway', 'bench/gateway.ts', { usage: gatewayUsage, debian: ['servers'] });
