// What goes wrong with DLMS/COSEM data.
//
// What always holds: the message names the place, what was expected and what came.

export class DlmsError extends Error {
  constructor(
    /** `file-axdr`: bytes that are no A-XDR; `file-dlms`: A-XDR that is no such object; `dlms-value`: it has no such form. */
    readonly code: 'file-axdr' | 'file-dlms' | 'dlms-value',
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = 'DlmsError';
  }
}
