// What can go wrong on the way of an image into a board's flash.

/** `code` is stable, the message says what to do. */
export class FlashError extends Error {
  constructor(
    readonly code: 'flash-no-device' | 'flash-ambiguous' | 'flash-failed' | 'flash-differs',
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = 'FlashError';
  }
}
