// Waiting for the end of what goes on until it is ended.

/**
 * Resolves when the signal aborts; or settles as one of `others` does before, which lets the process end.
 * @returns what the other one resolved with
 */
export async function ended<T = never>(signal: AbortSignal, ...others: readonly Promise<T>[]): Promise<T | undefined> {
  // Something must keep the process alive; the interval's length is of no matter.
  const keepAlive = setInterval(() => {}, 0x7fffffff);
  const aborted = new Promise<undefined>((resolve) => {
    if (signal.aborted) resolve(undefined);
    else signal.addEventListener('abort', () => resolve(undefined), { once: true });
  });
  try {
    return await Promise.race([aborted, ...others]);
  } finally {
    clearInterval(keepAlive);
  }
}
