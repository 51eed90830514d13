// What can go wrong between a board's data and its running image.

/** An error of the firmware build or of the emulator; `code` is stable, the message says what to do. */
export class BuildError extends Error {
  constructor(
    readonly code:
      | 'board-unknown'
      | 'board-invalid'
      | 'board-exists'
      | 'checkout-missing'
      | 'tool-missing'
      | 'tool-failed'
      | 'core-invalid'
      | 'wasm2c-changed'
      | 'stack-unbounded'
      | 'over-budget'
      | 'image-invalid'
      | 'output-foreign'
      | 'sanitize-bare'
      | 'emulator-failed',
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = 'BuildError';
  }
}
