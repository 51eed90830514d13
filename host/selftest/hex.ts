// Bytes written in hexadecimal, as standards print them.

/** @param text digits in pairs, with any white space between */
export function hex(text: string): Uint8Array {
  const digits = text.replace(/\s/g, '');
  if (!/^([0-9a-f]{2})*$/i.test(digits)) throw new TypeError(`pairs of hexadecimal digits expected, got «${text}»`);
  return new Uint8Array(Buffer.from(digits, 'hex'));
}

/** Lower-case digits, no spaces. */
export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex');
}
