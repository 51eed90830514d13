// The payload section of an OCMF data set (Open Charge Metering Format 1.3), as text: what is signed are its bytes.
// What always holds: no vertical bar stands in it, since that ends a section; a number keeps its decimals, so 2935.600
// stays 2935.600; keys stand in the order of the specification's tables.

/** Version of the format that is written. */
export const formatVersion = '1.3';
/** Largest tariff text, characters (table 4). */
export const tariffTextMost = 250;

/** A decimal number as it is to be written. */
export class Decimal {
  constructor(readonly text: string) {
    if (!/^-?(0|[1-9]\d*)(\.\d+)?$/.test(text)) {
      throw new RangeError(`expected a decimal number such as 2935.600, came "${text}"`);
    }
  }
}

type Json = string | boolean | number | Decimal | null | undefined | readonly Json[] | { readonly [key: string]: Json };

/** State of synchronisation of a reading's time (table 19). */
export type TimeLetter = 'S' | 'R' | 'I' | 'U';

/** Why a reading was taken (table 7): begin, tariff change, end, end by power failure. */
export type TransactionCode = 'B' | 'T' | 'E' | 'P';

export interface OcmfReading {
  /** `2018-07-24T13:22:04,000+0200 S`. */
  readonly time: string;
  readonly code: TransactionCode;
  readonly value: Decimal;
  /** OBIS code. */
  readonly identification: string;
  readonly unit: 'Wh' | 'kWh';
  readonly currentType?: 'AC' | 'DC' | undefined;
  /** Quantities that are not usable for billing: E energy, t time. */
  readonly errors: '' | 'E' | 't' | 'Et';
}

/** Who is charged (table 4). */
export interface OcmfIdentification {
  readonly assigned: boolean;
  /** Table 11, such as VERIFIED. */
  readonly level?: string | undefined;
  /** Tables 13 to 16, such as RFID_PLAIN. */
  readonly flags?: readonly string[] | undefined;
  /** Table 17, such as ISO14443, or NONE. */
  readonly type: string;
  readonly data?: string | undefined;
}

/** Who is charged, as people write it: `ISO14443:1F2D3A4F`. Undefined for other text. */
export function identificationOf(text: string): OcmfIdentification | undefined {
  const parts = /^([A-Z0-9_]+):(.+)$/.exec(text);
  return parts === null ? undefined : { assigned: true, type: parts[1]!, data: parts[2]! };
}

export interface OcmfDataSet {
  /** What signs: its maker's name for it, serial number, version. */
  readonly gateway: { readonly identification: string; readonly serial: string; readonly version?: string | undefined };
  /** Number of the transaction. */
  readonly transaction: number;
  readonly meter: {
    readonly vendor?: string | undefined;
    readonly model?: string | undefined;
    readonly serial: string;
    readonly firmware?: string | undefined;
  };
  readonly identification: OcmfIdentification;
  readonly tariffText?: string | undefined;
  /** Table 18, such as EVSEID, and the id. */
  readonly chargePoint?: { readonly type: string; readonly id: string } | undefined;
  readonly readings: readonly OcmfReading[];
  /** What the vendor key U holds. */
  readonly evidence: { readonly [key: string]: Json };
}

/** The payload section. */
export function ocmfPayload(set: OcmfDataSet): string {
  if (set.tariffText !== undefined && set.tariffText.length > tariffTextMost) {
    throw new RangeError(
      `a tariff text has at most ${tariffTextMost} characters, this one has ${set.tariffText.length}`,
    );
  }
  const { gateway, meter, identification: user, chargePoint } = set;
  return write({
    FV: formatVersion,
    GI: gateway.identification,
    GS: gateway.serial,
    GV: gateway.version,
    PG: `T${set.transaction}`,
    MV: meter.vendor,
    MM: meter.model,
    MS: meter.serial,
    MF: meter.firmware,
    IS: user.assigned,
    IL: user.level,
    IF: user.flags ?? [],
    IT: user.type,
    ID: user.data,
    TT: set.tariffText,
    CT: chargePoint?.type,
    CI: chargePoint?.id,
    RD: set.readings.map((reading) => ({
      TM: reading.time,
      TX: reading.code,
      RV: reading.value,
      RI: reading.identification,
      RU: reading.unit,
      RT: reading.currentType,
      EF: reading.errors,
      ST: 'G',
    })),
    U: set.evidence,
  });
}

function write(value: Json): string {
  if (value instanceof Decimal) return value.text;
  // A bar in a string is escaped as JSON allows for any character.
  if (value === null || typeof value !== 'object') return JSON.stringify(value ?? null).replaceAll('|', '\\u007c');
  if (Array.isArray(value)) return `[${value.map(write).join(',')}]`;
  const members = Object.entries(value as { readonly [key: string]: Json })
    .filter(([, member]) => member !== undefined)
    .map(([key, member]) => `${write(key)}:${write(member)}`);
  return `{${members.join(',')}}`;
}
