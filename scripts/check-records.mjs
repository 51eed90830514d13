// `npm run check:records`: random changes of records, logbooks and heads, each of which has to be found. --help tells the
// options.
import { checkRecordsUsage } from '../test/host/record-usage.mjs';
import { runProgram } from './lib/program.mjs';

await runProgram('check-records', 'test/host/record-check.ts', { usage: checkRecordsUsage, debian: [] });
