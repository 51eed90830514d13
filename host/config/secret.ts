// A value that must not be seen: it prints, serialises and inspects as `(hidden)`; only `reveal()` gives it away.
import { inspect } from 'node:util';

const HIDDEN = '(hidden)';

/** Wraps a password or the like. Two of them are not comparable: reveal them and compare in constant time. */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  /** The value itself: hand it to what needs it, keep it nowhere else. */
  reveal(): string {
    return this.#value;
  }

  toString(): string {
    return HIDDEN;
  }

  toJSON(): string {
    return HIDDEN;
  }

  [inspect.custom](): string {
    return HIDDEN;
  }
}

/** `text` with user and password of any URL in it replaced, for messages that quote what someone wrote. */
export function hideUserinfo(text: string): string {
  return text.replace(/([a-z][a-z0-9+.-]*:\/\/)[^\s/]*@/gi, `$1${HIDDEN}@`);
}
