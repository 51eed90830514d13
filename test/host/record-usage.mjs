// What `npm run check:records -- --help` prints. Node built-ins only: it is printed before anything is set up.
import { availableParallelism } from 'node:os';

export const checkRecordsUsage = `npm run check:records -- [options]

  --changes N   random changes of records, logbooks and heads (1000000)
  --seed N      of the random numbers (another one each time)
  --only N      the Nth world of 500 changes alone
  --jobs N      worker threads (${availableParallelism()}, one for each processor)
  --json        the figures as JSON
  --help        this

Exit code 1 when a change was not found, or one was found where there was none.`;
