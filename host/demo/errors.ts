// The demo's own errors, and waiting that Ctrl-C ends.
import { until } from '../setup/until.ts';

/** What was to be shown did not happen. */
export class DemoError extends Error {
  constructor(
    readonly code: 'server-missing' | 'not-shown' | 'meter-ended' | 'usage',
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = 'DemoError';
  }
}

/** The demo was asked to end (Ctrl-C, or its terminal is gone). */
export class Interrupted extends Error {
  readonly code = 'interrupted';
  constructor() {
    super('ended on request');
    this.name = 'Interrupted';
  }
}

/** `work`, unless the demo is to end first: then it is left to itself. @throws Interrupted */
export async function unlessAborted<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  work.catch(() => {}); // told by the race, or of no interest any more
  if (signal.aborted) throw new Interrupted();
  let stop = () => {};
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(new Interrupted());
    signal.addEventListener('abort', stop, { once: true });
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

/** Waits for a condition, as `until` does. @throws Interrupted, DemoError not-shown */
export async function waitFor<T>(
  signal: AbortSignal,
  what: string,
  timeoutMs: number,
  condition: () => T | undefined | false | Promise<T | undefined | false>,
): Promise<T> {
  try {
    return await unlessAborted(signal, until(what, condition, { timeoutMs }));
  } catch (error) {
    if (error instanceof Interrupted) throw error;
    throw new DemoError('not-shown', (error as Error).message, { cause: error });
  }
}
