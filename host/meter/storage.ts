// Storage of a meter in software: a file whose writes are on the disk when they are reported, or memory.
// A file is never created or made longer here: `metertime provision` makes it.
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { StorageMap } from '../../as/abi/codes.ts';
import type { MeterStorage } from './parts.ts';

/** A storage cannot be used as asked. */
export class StorageError extends Error {
  constructor(
    readonly code: 'storage-missing' | 'storage-size' | 'storage-range' | 'storage-io',
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = 'StorageError';
  }
}

function checkRange(storage: { readonly bytes: number }, offset: number, length: number): void {
  if (offset < 0 || length < 0 || offset + length > storage.bytes) {
    throw new StorageError(
      'storage-range',
      `${length} bytes at ${offset} do not lie within the storage of ${storage.bytes} bytes`,
    );
  }
}

/** Storage in memory: lost with the process, kept over starts of the meter. New bytes are 0xff, as in an EEPROM. */
export class MemoryStorage implements MeterStorage {
  readonly contents: Uint8Array;

  constructor(contents: Uint8Array | number = StorageMap.FullBytes) {
    this.contents = typeof contents === 'number' ? new Uint8Array(contents).fill(0xff) : contents;
  }

  get bytes(): number {
    return this.contents.length;
  }

  read(offset: number, length: number): Uint8Array {
    checkRange(this, offset, length);
    return this.contents.slice(offset, offset + length);
  }

  write(offset: number, bytes: Uint8Array): void {
    checkRange(this, offset, bytes.length);
    this.contents.set(bytes, offset);
  }
}

/** Storage in a file. A write resolves when fsync has returned; writes are done one after the other. */
export class FileStorage implements MeterStorage {
  #last: Promise<unknown> = Promise.resolve();

  private constructor(
    readonly path: string,
    readonly bytes: number,
    private readonly file: FileHandle,
  ) {}

  static async open(path: string): Promise<FileStorage> {
    let file: FileHandle;
    try {
      file = await open(path, constants.O_RDWR);
    } catch (cause) {
      const missing = (cause as NodeJS.ErrnoException).code === 'ENOENT';
      throw missing
        ? new StorageError('storage-missing', `${path} does not exist; make it with: metertime provision ${path}`, {
            cause,
          })
        : new StorageError('storage-io', `${path} cannot be opened: ${(cause as Error).message}`, { cause });
    }
    const { size } = await file.stat();
    if (size < StorageMap.Bytes) {
      await file.close();
      throw new StorageError(
        'storage-size',
        `${path} has ${size} bytes, a meter's storage at least ${StorageMap.Bytes}; make it with: metertime provision ${path}`,
      );
    }
    return new FileStorage(path, size, file);
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    checkRange(this, offset, length);
    await this.#last;
    const bytes = new Uint8Array(length);
    const { bytesRead } = await this.file.read(bytes, 0, length, offset);
    if (bytesRead !== length) {
      throw new StorageError('storage-io', `${this.path}: ${bytesRead} bytes at ${offset}, expected ${length}`);
    }
    return bytes;
  }

  write(offset: number, bytes: Uint8Array): Promise<void> {
    checkRange(this, offset, bytes.length);
    const done = this.#last.then(async () => {
      const { bytesWritten } = await this.file.write(bytes, 0, bytes.length, offset);
      if (bytesWritten !== bytes.length) {
        throw new StorageError('storage-io', `${this.path}: ${bytesWritten} of ${bytes.length} bytes were written`);
      }
      await this.file.datasync();
    });
    this.#last = done.catch(() => {});
    return done;
  }

  /** Waits for what is being written. */
  async close(): Promise<void> {
    await this.#last;
    await this.file.close();
  }
}
