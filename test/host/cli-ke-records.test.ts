// NTS-KE records as `metertime ke` shows them.
import { expect, it } from 'vitest';
import { readKeRecords } from '../../host/cli/ke-records.ts';

function record(type: number, critical: boolean, body: readonly number[] = []): number[] {
  return [(critical ? 0x80 : 0) | (type >> 8), type & 0xff, body.length >> 8, body.length & 0xff, ...body];
}

it('names each record and says what is in it', () => {
  const { records, rest } = readKeRecords(
    Uint8Array.from([
      ...record(1, true, [0, 0]),
      ...record(4, false, [0, 15, 0, 30, 0x12, 0x34]),
      ...record(2, true, [0, 1]),
      ...record(3, true, [0, 9]),
      ...record(5, false, new Array(100).fill(7)),
      ...record(6, false, [...Buffer.from('ntp.\x1bexample')]),
      ...record(7, false, [0x10, 0xe1]),
      ...record(7, false, [1]),
      ...record(1024, false),
      ...record(0x1abc, true, [1, 2, 3]),
      ...record(4, true, []),
      ...record(0, true),
    ]),
  );
  expect(rest).toBe(0);
  expect(records.map(({ name, critical, text }) => `${name}${critical ? '!' : ''}: ${text}`)).toEqual([
    'NTS Next Protocol Negotiation!: NTPv4 (0)',
    'AEAD Algorithm Negotiation: AES-SIV-CMAC-256 (15), AES-128-GCM-SIV (30), unknown AEAD (4660)',
    'Error!: bad request (1)',
    'Warning!: unknown code (9)',
    'New Cookie for NTPv4: 100 bytes, for one request',
    'NTPv4 Server Negotiation: NTP server ntp.\ufffdexample',
    'NTPv4 Port Negotiation: NTP port 4321',
    'NTPv4 Port Negotiation: 1 bytes, expected 2',
    'Compliant AES-128-GCM-SIV Exporter Context: keys of AEAD 30 from a context that names it (RFC 8915 5.1)',
    'unknown record 6844!: 3 bytes',
    'AEAD Algorithm Negotiation!: none',
    'End of Message!: ',
  ]);
});

it('counts what is no whole record', () => {
  const whole = record(1, true, [0, 0]);
  for (const cut of [1, 3, 4, 5]) {
    const { records, rest } = readKeRecords(Uint8Array.from([...whole, ...whole.slice(0, cut)]));
    expect(records).toHaveLength(1);
    expect(rest).toBe(cut);
  }
});
