// Records of NTS key establishment (RFC 8915 4.1) as a server reads and writes them, right and wrong ones.
//
//    0  critical bit | type   u16
//    2  length of the body    u16
//    4  body

/** Types of RFC 8915 4.1, and the one by which both sides agree on the exporter's context for AEAD 30. */
export const RecordType = {
  end: 0,
  nextProtocol: 1,
  error: 2,
  warning: 3,
  aead: 4,
  cookie: 5,
  server: 6,
  port: 7,
  compliantExporter: 1024,
} as const;

export interface KeRecord {
  readonly critical: boolean;
  readonly type: number;
  readonly body: Buffer;
}

export const u16 = (value: number): Buffer => Buffer.from([value >> 8, value & 0xff]);

/** One record; critical unless said otherwise. @param length what the header says, where that is to be a lie */
export function record(
  type: number,
  body: Uint8Array = Buffer.alloc(0),
  critical = true,
  length = body.length,
): Buffer {
  return Buffer.concat([u16((critical ? 0x8000 : 0) | type), u16(length), body]);
}

/** The records of a message, up to its End of Message; undefined while that has not come. */
export function parseRecords(bytes: Buffer): KeRecord[] | undefined {
  const records: KeRecord[] = [];
  for (let at = 0; at + 4 <= bytes.length; ) {
    const [head, length] = [bytes.readUInt16BE(at), bytes.readUInt16BE(at + 2)];
    if (at + 4 + length > bytes.length) return undefined;
    records.push({
      critical: head >= 0x8000,
      type: head & 0x7fff,
      body: bytes.subarray(at + 4, at + 4 + length),
    });
    at += 4 + length;
    if ((head & 0x7fff) === RecordType.end) return records;
  }
  return undefined;
}

/** A body of 16-bit numbers. */
export function numbers(body: Buffer): number[] {
  return Array.from({ length: body.length >> 1 }, (_, at) => body.readUInt16BE(2 * at));
}
