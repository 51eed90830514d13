// What `npm run check:tariff -- --help` prints. Node built-ins only: it is printed before anything is set up.
import { availableParallelism } from 'node:os';

export const checkTariffUsage = `npm run check:tariff -- [options]

  --calendars N   random calendars, each of 2026 to 2046 in one of twelve zones (10000)
  --seed N        of the random numbers (another one each time)
  --only N        the Nth of them alone
  --jobs N        worker threads (${availableParallelism()}, one for each processor)
  --json          the figures as JSON
  --help          this

Exit code 1 when the core differs from the reference, with the calendar as JSON.`;
