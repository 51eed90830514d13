// An entry that this version of metertime cannot read, as it is told.
// What always holds: its bytes are in it, exactly.
import { z } from 'zod';
import type { Ring } from '../../as/abi/codes.ts';
import { nameOf, ringNames } from '../text/names.ts';
import { sequenceOf } from './entry.ts';

export const unreadableSchema = z.strictObject({
  format: z.literal('unreadable'),
  meter: z.string(),
  sequence: z.int().min(0),
  /** `records`, `logbook` or `network`. */
  chain: z.strictObject({ ring: z.string() }),
  /** The 128 bytes of the entry. */
  bytes: z.base64(),
});

export type UnreadableJson = z.infer<typeof unreadableSchema>;

/** @param bytes 128, of an entry of this ring */
export function unreadableJson(meter: string, ring: Ring, bytes: Uint8Array): UnreadableJson {
  const base64 = Buffer.from(bytes).toString('base64');
  const chain = { ring: nameOf(ringNames, ring).name };
  return { format: 'unreadable', meter, sequence: sequenceOf(bytes), chain, bytes: base64 };
}
