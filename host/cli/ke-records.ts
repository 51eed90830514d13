// NTS-KE records for people (RFC 8915 4): what each one says. For display only: whether an answer counts is decided by
// the core. Bytes that are no whole record are shown as such.
import { shortAead } from '../provision/aeads.ts';
import { aeadName } from '../text/names.ts';
import { printable } from './terminal.ts';

/** One record as it was sent. */
export interface KeRecord {
  readonly critical: boolean;
  readonly type: number;
  readonly name: string;
  /** Bytes of its body. */
  readonly length: number;
  /** What it says, one line. */
  readonly text: string;
}

export interface KeRecords {
  readonly records: readonly KeRecord[];
  /** Bytes behind the last whole record. */
  readonly rest: number;
}

const names: Readonly<Record<number, string>> = {
  0: 'End of Message',
  1: 'NTS Next Protocol Negotiation',
  2: 'Error',
  3: 'Warning',
  4: 'AEAD Algorithm Negotiation',
  5: 'New Cookie for NTPv4',
  6: 'NTPv4 Server Negotiation',
  7: 'NTPv4 Port Negotiation',
  1024: 'Compliant AES-128-GCM-SIV Exporter Context',
};

const errors: Readonly<Record<number, string>> = {
  0: 'unrecognized critical record',
  1: 'bad request',
  2: 'internal server error',
};

/** Takes a stream of records apart. */
export function readKeRecords(bytes: Uint8Array): KeRecords {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const records: KeRecord[] = [];
  let at = 0;
  while (at + 4 <= buffer.length) {
    const length = buffer.readUInt16BE(at + 2);
    if (at + 4 + length > buffer.length) break;
    const type = buffer.readUInt16BE(at) & 0x7fff;
    const critical = (buffer[at]! & 0x80) !== 0;
    const text = describeBody(type, buffer.subarray(at + 4, at + 4 + length));
    records.push({ critical, type, name: names[type] ?? `unknown record ${type}`, length, text });
    at += 4 + length;
  }
  return { records, rest: buffer.length - at };
}

function describeBody(type: number, body: Buffer): string {
  const numbers: number[] = [];
  for (let at = 0; at + 2 <= body.length; at += 2) numbers.push(body.readUInt16BE(at));
  const odd = body.length % 2 === 0 ? '' : ', and one byte too many';
  const list = (name: (value: number) => string): string =>
    numbers.length === 0 && odd === '' ? 'none' : `${numbers.map(name).join(', ')}${odd}`;
  switch (type) {
    case 0:
      return body.length === 0 ? '' : 'has a body, which it must not have';
    case 1:
      return list((id) => (id === 0 ? 'NTPv4 (0)' : `protocol ${id}`));
    case 2:
    case 3:
      return list((code) => `${(type === 2 ? errors[code] : undefined) ?? 'unknown code'} (${code})`);
    case 4:
      return list((id) => `${shortAead(aeadName(id) ?? 'none').replace(/^AEAD \d+$/, 'unknown AEAD')} (${id})`);
    case 5:
      return `${body.length} bytes, for one request`;
    case 6:
      return `NTP server ${printable(body.toString('latin1'))}`;
    case 7:
      return body.length === 2 ? `NTP port ${numbers[0]}` : `${body.length} bytes, expected 2`;
    case 1024:
      return 'keys of AEAD 30 from a context that names it (RFC 8915 5.1)';
    default:
      return `${body.length} bytes`;
  }
}
