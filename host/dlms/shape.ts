// Looks into A-XDR values for what an attribute has to be.
//
// What always holds: an error names where in the object it stands, what was expected and what came.
import type { AxdrValue, NumberType } from './axdr.ts';
import { DlmsError } from './error.ts';

/** Where a value stands, such as `activity calendar, attribute 3 (seasons), item 2`. */
export type Place = string;

export function refuse(place: Place, expected: string, came: string): never {
  throw new DlmsError('file-dlms', `${place}: expected ${expected}, came ${came}`);
}

export function arrayOf(value: AxdrValue, place: Place): readonly AxdrValue[] {
  return value.type === 'array' ? value.items : refuse(place, 'an array', value.type);
}

/** The items of a structure of so many. */
export function structureOf(value: AxdrValue, count: number, place: Place): readonly AxdrValue[] {
  if (value.type !== 'structure') refuse(place, `a structure of ${count}`, value.type);
  if (value.items.length !== count) refuse(place, `a structure of ${count}`, `one of ${value.items.length}`);
  return value.items;
}

/** An octet-string; `also` is the type of its own that some meters use instead, such as date-time. */
export function octetsOf(value: AxdrValue, place: Place, also?: 'date-time' | 'date' | 'time'): Uint8Array {
  if (value.type === 'octet-string' || (value.type === also && 'bytes' in value)) return value.bytes;
  return refuse(place, 'an octet-string', value.type);
}

export function numberOf(value: AxdrValue, type: NumberType, place: Place): number {
  return value.type === type ? (value.value as number) : refuse(place, `a number of the type ${type}`, value.type);
}

export function booleanOf(value: AxdrValue, place: Place): boolean {
  return value.type === 'boolean' ? value.value : refuse(place, 'a boolean', value.type);
}

export function octets(bytes: Uint8Array): AxdrValue {
  return { type: 'octet-string', bytes };
}

export function number(type: NumberType, value: number): AxdrValue {
  return { type, value };
}

export function array(items: readonly AxdrValue[]): AxdrValue {
  return { type: 'array', items };
}

export function structure(...items: readonly AxdrValue[]): AxdrValue {
  return { type: 'structure', items };
}

/** Decodes bytes of a date or time; what is wrong with them is said with its place. */
export function at<T>(place: Place, decode: () => T): T {
  try {
    return decode();
  } catch (cause) {
    if (!(cause instanceof DlmsError)) throw cause;
    throw new DlmsError(cause.code, `${place}: ${cause.message}`, { cause });
  }
}

/** `0.0.13.0.0.255` as six bytes. */
export function logicalNameBytes(name: string): Uint8Array {
  const parts = /^\d{1,3}(\.\d{1,3}){5}$/.test(name) ? name.split('.').map(Number) : [];
  if (parts.length !== 6 || parts.some((part) => part > 255)) {
    throw new DlmsError('dlms-value', `logical name: expected six numbers from 0 to 255 between dots, came ${name}`);
  }
  return Uint8Array.from(parts);
}

export function logicalNameText(bytes: Uint8Array, place: Place): string {
  if (bytes.length !== 6) refuse(place, 'a logical name of 6 bytes', `${bytes.length}`);
  return [...bytes].join('.');
}
