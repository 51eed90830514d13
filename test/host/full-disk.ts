// A full disk for outboxes of this process: the store cannot be opened while it is full.
import { ClassicLevel } from 'classic-level';
import { vi } from 'vitest';

/** @param isFull asked at each opening */
export function fullDisk(isFull: () => boolean): { restore(): void } {
  const open = ClassicLevel.prototype.open;
  const spy = vi.spyOn(ClassicLevel.prototype, 'open').mockImplementation(function (
    this: ClassicLevel,
    ...args: unknown[]
  ) {
    if (!isFull()) return Reflect.apply(open, this, args);
    return Promise.reject(new Error('IO error: MANIFEST-000004: No space left on device'));
  });
  return { restore: () => spy.mockRestore() };
}
