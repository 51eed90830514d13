// What `--help` of the programs in this folder prints. Node built-ins only: it is printed before anything is set up.
import { availableParallelism } from 'node:os';

export const aeadUsage = `npm run bench:aead -- [options]

  --rounds N      rounds of a hundred messages, all in turns (41)
  --json          the figures as JSON
  --help          this`;

export const blackoutUsage = `npm run bench:blackout -- [options]

  --meters N      meters that come back (1000000)
  --within S      ... within this many seconds (60)
  --servers N     NTS-KE servers (4)
  --capacity N    handshakes per second that each of them can do (1000)
  --down M        minutes for which they are down, too, in the second half of the tables (10)
  --timeout S     seconds until an attempt that is not served ends (10, as in the gateway)
  --spread S      the meters' setting spreadSeconds (300)
  --share P       meters that have no stored cookies, per cent (2)
  --fleets LIST   which tables: all, drawn, first (all,drawn)
  --seed N        of the random numbers (1)
  --json          the figures as JSON
  --check         exit code 1 when a target of docs/testing.md is missed
  --help          this`;

export const clockUsage = `npm run bench:clock -- [options]

  --cases PATH    a file with a case, or a folder with several (bench/clock/cases)
  --only NAMES    of these, the named ones: walk-9-j1,walk-9-j10; a * stands for anything
  --seeds LIST    such as 1-100 or 3,7,20-29 (1-100)
  --every S       read the clock this often, s, instead of what the cases say
  --jobs N        worker threads (${availableParallelism()}, one for each processor)
  --json          the figures as JSON
  --check         exit code 1 when a target of a case is missed
  --plot DIR      also writes a picture of each case with its first seed (SVG) into this folder
  --help          this

The cases, what they say and what the columns mean: docs/bench-clock.md`;

export const gatewayUsage = `npm run bench:gateway -- [options]

  --meters N      meters on one gateway, each with periods of a minute (1000)
  --minutes M     measure for so long, after all are synchronised (5); 0: only their start
  --servers N     time servers that each meter asks, 1 to 4 (4)
  --report S      seconds between two reports of a meter's time (10, as provisioned by default)
  --start S       switch the meters on within so many seconds (120)
  --flags=TEXT    flags of node for the gateway, and settings of its environment such as UV_THREADPOOL_SIZE=8;
                  given several times, there is a run for each, to compare them; none: without any
  --json          the figures as JSON
  --check         exit code 1 when a target of docs/testing.md is missed
  --help          this`;

export const mcuUsage = `npm run bench:mcu -- [options]

  --servers N     time servers that the core is laid out for, and asks (1)
  --polls N       polls to count (40)
  --seed N        of the random numbers (1)
  --json          the figures as JSON
  --check         exit code 1 when a target of docs/testing.md is missed
  --help          this`;

export const startUsage = `npm run bench:start -- [options]

  --runs N        starts of each, in turns (7)
  --json          the figures as JSON
  --check         exit code 1 when the meter is slower than chronyd -Q
  --help          this`;

export const soakUsage = `npm run soak -- [options]

  --minutes N     a meter under load for so long (10); 0: not
  --rounds N      kills of everything (12); 0: none
  --years N       simulated years under attack (5); 0: none
  --kills N       kills and cuts of each kind while meters record as much as they can (100); 0: none
  --only KINDS    of these: broker,gateway,meter,line,wire,disk (all)
  --seed N        of the random numbers (another one each time)
  --json          the figures as JSON
  --help          this

Exit code 1 when anything did not hold.`;
