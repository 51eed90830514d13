// What a meter wrote, as lines that MQTT publishes.
import { Format, type Ring } from '../../as/abi/codes.ts';
import { type Context, type ContextPart, decodeContext, decodeEntry, decodeHead } from '../../host/record/entry.ts';
import { contextJson, type EvidenceJson, headJson, logJson, recordJson } from '../../host/record/json.ts';
import type { ChainMaker } from './record-chain.ts';

/** The entries of a ring as JSON, records with the contexts before them. */
export function publishedEntries({ meter, rings }: ChainMaker, ring: Ring): EvidenceJson[] {
  const contexts = new Map<number, Context>();
  let parts: ContextPart[] = [];
  return rings[ring].map((bytes) => {
    const entry = decodeEntry(ring, bytes);
    if (entry.format === Format.Log) return logJson(meter, entry);
    if (entry.format === Format.Record) return recordJson(meter, entry, contexts.get(entry.context));
    parts = entry.index === 0 ? [entry] : [...parts, entry];
    if (parts.length === entry.count) contexts.set(parts[0]!.sequence, decodeContext(parts));
    return contextJson(meter, entry, contexts.get(parts[0]!.sequence));
  });
}

export function publishedHead(head: Uint8Array): EvidenceJson {
  return headJson(decodeHead(head));
}

export function toLines(values: readonly unknown[]): string {
  return values.map((value) => `${JSON.stringify(value)}\n`).join('');
}
