// What is wrong with a tariff program, with dynamic tariffs, or with a meter's block of them.

/** Where something stands: `seasons`, 2, `week`. */
export type TariffPath = readonly (string | number)[];

/** A program cannot be made into a block, or a block cannot be read. */
export class TariffError extends Error {
  constructor(
    readonly code: 'tariff-value' | 'tariff-zone' | 'tariff-absent' | 'tariff-damaged' | 'tariff-version',
    message: string,
    /** What the message is about; empty for all of it. */
    readonly path: TariffPath = [],
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = 'TariffError';
  }
}
