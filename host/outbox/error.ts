// Why the outbox did not do what it was asked for, and how the store's errors become such reasons.

export type OutboxErrorCode =
  /** The disk, or the share of it allowed to this process, is full. */
  | 'outbox-disk-full'
  /** The size limit of the settings is reached. */
  | 'outbox-full'
  /** Another process has this outbox open. */
  | 'outbox-locked'
  /** The store cannot be opened, read or written for another reason. */
  | 'outbox-unavailable'
  /** Not opened yet, or closed. */
  | 'outbox-closed';

/** Why the outbox did not do what it was asked for. */
export class OutboxError extends Error {
  override readonly name = 'OutboxError';

  constructor(
    readonly code: OutboxErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** Any error of the store or the file system as one of the outbox in `directory`. */
export function outboxError(directory: string, cause: unknown): OutboxError {
  if (cause instanceof OutboxError) return cause;
  const text = `${(cause as Error).message} ${((cause as Error).cause as Error | undefined)?.message ?? ''}`;
  if (isLocked(cause)) {
    return new OutboxError(
      'outbox-locked',
      `${directory}: this outbox is in use by another process; each gateway needs one of its own (outbox.directory)`,
      { cause },
    );
  }
  if (/No space left|File too large|quota exceeded|ENOSPC|EFBIG|EDQUOT/i.test(text)) {
    return new OutboxError(
      'outbox-disk-full',
      `${directory}: the disk is full; the outbox takes nothing until there is room`,
      { cause },
    );
  }
  return new OutboxError('outbox-unavailable', `${directory}: the outbox cannot be used (${text.trim()})`, { cause });
}

/** Whether the store says that its files are damaged. */
export function isCorruption(error: unknown): boolean {
  return storeCode(error) === 'LEVEL_CORRUPTION';
}

/** Whether the store says that another process has it open. */
export function isLocked(error: unknown): boolean {
  return storeCode(error) === 'LEVEL_LOCKED';
}

/** A key that the outbox never wrote, or not for what stands under it: LevelDB cannot tell. */
export function damagedKey(): Error {
  return corruption('a key is damaged');
}

export function damagedTables(count: number): Error {
  return corruption(count === 1 ? 'a table is damaged' : `${count} tables are damaged`);
}

function corruption(what: string): Error {
  return Object.assign(new Error(what), { code: 'LEVEL_CORRUPTION' });
}

function storeCode(error: unknown): string | undefined {
  const { code, cause } = error as { code?: string; cause?: { code?: string } };
  return code === 'LEVEL_CORRUPTION' || code === 'LEVEL_LOCKED' ? code : cause?.code;
}
