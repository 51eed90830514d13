// A process that uses an outbox and can be killed: puts messages as fast as they are taken and says which ones were.
//
//   node outbox-child.mjs DIRECTORY put FIRST [BYTES]   puts FIRST, FIRST + 1, … and prints "ok N" for each one taken,
//                                                       "no CODE" and a pause for each one refused
//   node outbox-child.mjs DIRECTORY hold                opens it, prints "open", waits
// Further arguments: NAME=NUMBER options of the outbox. On "remove" from standard input it removes all it has put.
import { createInterface } from 'node:readline';
import { Outbox, type OutboxError } from '../../host/outbox/outbox.ts';

const [directory, what, first = '1', bytes = '200', ...rest] = process.argv.slice(2) as [string, string, ...string[]];
const options = Object.fromEntries(rest.map((pair) => pair.split('=')).map(([name, value]) => [name, Number(value)]));
const outbox = new Outbox({
  directory,
  maxBytes: 1 << 30,
  ...options,
  report: ({ code }) => console.log(`report ${code}`),
});
await outbox.open();
console.log(`open ${outbox.state.entries}`);

createInterface({ input: process.stdin }).on('line', (line) => {
  if (line !== 'remove') return;
  for (const { number } of outbox.waiting()) outbox.remove(number);
  console.log('removed');
});

async function putFrom(start: number, step: number): Promise<void> {
  for (let n = start; ; n += step) {
    const payload = Buffer.alloc(Number(bytes), n % 251);
    payload.writeUInt32LE(n, 0);
    for (let taken = false; !taken; ) {
      try {
        await outbox.put({ topic: `t/${n}`, payload });
        console.log(`ok ${n}`);
        taken = true;
      } catch (error) {
        console.log(`no ${(error as OutboxError).code}`);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
  }
}

// Several at once, so that writes are shared.
if (what === 'put') await Promise.all([0, 1, 2].map((lane) => putFrom(Number(first) + lane, 3)));
