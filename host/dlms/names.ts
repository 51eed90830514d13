// Names of calendars, seasons and weeks: octet strings in DLMS/COSEM, texts in a tariff program.
//
// What always holds: bytes become a text and the same bytes again. What is text stays as it is; anything else, and what
// looks like that, becomes `hex:` and hexadecimal digits: `hex:01` is the one byte 01, `hex:` is empty.

const hexForm = /^hex:((?:[0-9a-f]{2})*)$/;

export function nameText(bytes: Uint8Array): string {
  const text = Buffer.from(bytes).toString('utf8');
  const isText = Buffer.from(text, 'utf8').equals(bytes) && text !== '' && !/\p{Cc}/u.test(text);
  return isText && !hexForm.test(text) ? text : `hex:${Buffer.from(bytes).toString('hex')}`;
}

export function nameBytes(text: string): Uint8Array {
  const hex = hexForm.exec(text)?.[1];
  return Uint8Array.from(hex === undefined ? Buffer.from(text, 'utf8') : Buffer.from(hex, 'hex'));
}
