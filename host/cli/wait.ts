// Waiting for the end of what goes on until it is ended.

/** Resolves when the signal aborts. */
export function ended(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    // Something must keep the process alive; the interval's length is of no matter.
    const keepAlive = setInterval(() => {}, 0x7fffffff);
    const end = (): void => {
      clearInterval(keepAlive);
      resolve();
    };
    if (signal.aborted) end();
    else signal.addEventListener('abort', end, { once: true });
  });
}
