// Files that people name, read within bounds: what is endless or far too large is refused before it fills the memory.
//
// What always holds: nothing but regular files and pipes is opened, and of either no more is kept than was asked for;
// errors name the file, what was expected and what came.
import { accessSync, closeSync, constants, openSync, readSync, type Stats, statSync } from 'node:fs';

/** A file that a person named cannot be used; the message is for that person. */
export class FileError extends Error {
  constructor(
    readonly code: 'file-missing' | 'file-kind' | 'file-size' | 'file-io',
    path: string,
    /** Why, without the file's name. */
    readonly reason: string,
    options?: ErrorOptions,
  ) {
    super(`${path === '' ? '""' : path} cannot be read: ${reason}`, options);
    this.name = 'FileError';
  }
}

/** A pipe is such as `<(command)` or /dev/stdin behind one. */
export type FileKinds = 'file' | 'file-or-pipe';

/**
 * Reads a file as a whole.
 * @param limitBytes what a file for this use never exceeds
 * @throws {FileError}
 */
export function readFileWithin(path: string, limitBytes: number, kinds: FileKinds = 'file-or-pipe'): Buffer {
  const tooLong = (came: string): FileError =>
    new FileError('file-size', path, `expected at most ${limitBytes} bytes, came ${came}`);
  const input = InputFile.open(path, kinds);
  try {
    if (input.size > limitBytes) throw tooLong(String(input.size));
    // Pipes and files of /proc tell no size, and any file may grow: one byte more than allowed shows it.
    const contents = input.upTo(limitBytes + 1);
    if (contents.length > limitBytes) throw tooLong('more');
    return contents;
  } finally {
    input.close();
  }
}

/** What `read` gives; undefined where the file does not exist. @throws {FileError} */
export function ifThere<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    const isMissing =
      error instanceof FileError && (error.cause as NodeJS.ErrnoException | undefined)?.code === 'ENOENT';
    if (!isMissing) throw error;
    return undefined;
  }
}

/** As `readFileWithin`, for text in UTF-8. @throws {FileError} */
export function readTextWithin(path: string, limitBytes: number): string {
  return readFileWithin(path, limitBytes).toString('utf8');
}

/**
 * Looks at a file without opening it: opening a pipe waits for its other end, and opening a device may act on it.
 * @throws {FileError}
 */
export function checkFile(path: string, kinds: FileKinds = 'file-or-pipe'): Stats {
  return attempt(path, () => {
    const stats = statSync(path);
    if (!stats.isFile() && !(kinds === 'file-or-pipe' && stats.isFIFO())) {
      const expected = kinds === 'file' ? 'a regular file' : 'a regular file or a pipe';
      throw new FileError('file-kind', path, `expected ${expected}, came ${kindOf(stats)}`);
    }
    accessSync(path, constants.R_OK);
    return stats;
  });
}

const pieceBytes = 65_536;

/** A file that is read from its beginning to its end, piece by piece. */
export class InputFile {
  readonly #piece = Buffer.alloc(pieceBytes);
  #at = 0;
  #end = 0;

  private constructor(
    readonly path: string,
    /** In bytes, as the file says; 0 of a pipe. */
    readonly size: number,
    private readonly file: number,
  ) {}

  /** @throws {FileError} */
  static open(path: string, kinds: FileKinds = 'file-or-pipe'): InputFile {
    const { size } = checkFile(path, kinds);
    const file = attempt(path, () => openSync(path, 'r'));
    return new InputFile(path, size, file);
  }

  /** The next `length` bytes, fewer where the file ends before. @throws {FileError} file-io */
  upTo(length: number): Buffer {
    // `length` may be no more than a claim: memory grows with what comes.
    let bytes = Buffer.alloc(Math.min(length, pieceBytes));
    let filled = 0;
    while (filled < length) {
      if (this.#at === this.#end) this.#readOn();
      if (this.#end === 0) break;
      if (filled === bytes.length) bytes = Buffer.concat([bytes], Math.min(length, 2 * filled));
      const copied = this.#piece.copy(bytes, filled, this.#at, this.#end);
      this.#at += copied;
      filled += copied;
    }
    return bytes.subarray(0, filled);
  }

  close(): void {
    closeSync(this.file);
  }

  #readOn(): void {
    this.#at = 0;
    this.#end = attempt(this.path, () => readSync(this.file, this.#piece));
  }
}

function kindOf(stats: Stats): string {
  if (stats.isDirectory()) return 'a folder';
  if (stats.isFIFO()) return 'a pipe';
  if (stats.isSocket()) return 'a socket';
  return 'a device';
}

const reasons: ReadonlyMap<string, string> = new Map([
  ['ENOENT', 'it does not exist'],
  ['EACCES', 'permission denied'],
  ['ENOTDIR', 'a part of its path is no folder'],
]);

function attempt<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    if (cause instanceof FileError) throw cause;
    const { code = 'unknown' } = cause as NodeJS.ErrnoException;
    const missing = code === 'ENOENT' || code === 'ENOTDIR';
    throw new FileError(missing ? 'file-missing' : 'file-io', path, reasons.get(code) ?? code, { cause });
  }
}
