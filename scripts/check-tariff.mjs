// `npm run check:tariff`: every tariff switch of random calendars from 2026 to 2046, as the core has it, beside a reference
// on Temporal and the IANA data. --help tells the options.
import { checkTariffUsage } from '../test/core/tariff-usage.mjs';
import { runProgram } from './lib/program.mjs';

await runProgram('check-tariff', 'test/core/tariff-check.ts', { usage: checkTariffUsage, debian: [] });
