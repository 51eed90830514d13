// Waits for something that can be observed, with a deadline: never for a time alone.

/** The deadline passed: says what was waited for, how long, and the last thing seen. */
export class DeadlineError extends Error {
  readonly code = 'deadline';
  constructor(what: string, timeoutMs: number, cause: unknown) {
    const seen = cause === undefined ? '' : `; last: ${cause instanceof Error ? cause.message : String(cause)}`;
    super(`${what} did not happen within ${timeoutMs / 1000} s${seen}`, { cause });
    this.name = 'DeadlineError';
  }
}

/**
 * Tries until a condition gives something other than undefined and false. A condition that throws is tried again.
 * @param what what is waited for, as the subject of "did not happen"
 * @returns what the condition gave
 * @throws {DeadlineError}
 */
export async function until<T>(
  what: string,
  condition: () => Promise<T | undefined | false> | T | undefined | false,
  { timeoutMs = 10_000, intervalMs = 20 } = {},
): Promise<T> {
  const deadlineMs = performance.now() + timeoutMs;
  let cause: unknown;
  for (;;) {
    try {
      const value = await condition();
      if (value !== undefined && value !== false) return value;
    } catch (error) {
      cause = error;
    }
    if (performance.now() > deadlineMs) throw new DeadlineError(what, timeoutMs, cause);
    await new Promise((resolve) => setTimeout(resolve, intervalMs));
  }
}
