// Bytes and checks as hexadecimal digits, in lower case.

export const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

/** A CRC-32, of a number its low 32 bits: 8 digits. */
export const crcText = (crc: number | bigint) => BigInt.asUintN(32, BigInt(crc)).toString(16).padStart(8, '0');
