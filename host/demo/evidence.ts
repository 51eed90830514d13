// What the broker receives of a meter's records, kept in files that `metertime verify` takes; and the verification of them,
// of the meter's own storage, and of a copy in which one bit was changed.
// What always holds: a file holds what came, byte for byte, and is verified as the command does it.
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { MqttClient } from 'mqtt';
import { RecordField, type Ring } from '../../as/abi/codes.ts';
import { connectBroker } from '../cli/broker.ts';
import { type ReadRing, readStoredRing } from '../cli/logbook.ts';
import { recordTopicSchema, type TariffPayload, tariffSchema } from '../mqtt/record-payloads.ts';
import { readKeysFile } from '../provision/meter-keys.ts';
import { EvidenceFile } from '../record/evidence-file.ts';
import { type HeadJson, headSchema, type RecordJson } from '../record/json.ts';
import { readHeadFile } from '../record/keys.ts';
import { EvidenceCheck, type Report } from '../record/verify.ts';

export interface EvidenceFiles {
  readonly records: string;
  readonly head: string;
  /** A copy of the records with one bit changed. */
  readonly changed: string;
  readonly keys: string;
  readonly storage: string;
}

export class Evidence {
  readonly files: EvidenceFiles;
  readonly #topic: string;
  readonly #records: RecordJson[] = [];
  #head: HeadJson | undefined;
  #tariff: TariffPayload | undefined;
  #client: MqttClient | undefined;
  /** Told of each record as it comes, once. */
  onRecord: (record: RecordJson) => void = () => {};

  /** @param topic of the meter, above `record` */
  constructor(options: { folder: string; meter: string; topic: string; keys: string; storage: string }) {
    const { folder, meter, topic, keys, storage } = options;
    const file = (name: string) => join(folder, `${meter}.${name}`);
    this.#topic = topic;
    this.files = {
      records: file('records.ndjson'),
      head: file('head.json'),
      changed: file('changed.ndjson'),
      keys,
      storage,
    };
  }

  /** Subscribes, with QoS 1, so that nothing is left out. @throws CliError */
  async start(url: string, signal: AbortSignal): Promise<void> {
    const client = await connectBroker(url, { prefix: 'metertime' }, signal);
    this.#client = client;
    client.on('error', () => {}); // its end is seen by what does not come any more
    client.on('message', (topic, payload) => this.#take(topic.slice(this.#topic.length + 1), payload));
    await client.subscribeAsync(
      ['record', 'head', 'tariff'].map((leaf) => `${this.#topic}/${leaf}`),
      { qos: 1 },
    );
  }

  async stop(): Promise<void> {
    await this.#client?.endAsync(true);
  }

  /** Oldest first; none twice. */
  get records(): readonly RecordJson[] {
    return this.#records;
  }

  /** The newest head. */
  get head(): HeadJson | undefined {
    return this.#head;
  }

  /** The last report of the tariff. */
  get tariff(): TariffPayload | undefined {
    return this.#tariff;
  }

  #take(leaf: string, payload: Buffer): void {
    if (payload.length === 0) return;
    const value: unknown = JSON.parse(payload.toString());
    if (leaf === 'tariff') {
      this.#tariff = tariffSchema.parse(value);
    } else if (leaf === 'head') {
      this.#head = headSchema.parse(value);
      writeFileSync(this.files.head, payload);
    } else {
      appendFileSync(this.files.records, `${payload}\n`);
      const entry = recordTopicSchema.parse(value);
      if (entry.format !== 'record' || this.#records.some(({ sequence }) => sequence === entry.sequence)) return;
      this.#records.push(entry);
      this.onRecord(entry);
    }
  }

  /** As `metertime verify RECORDS --keys KEYS --head HEAD`. */
  verify(records = this.files.records): Report {
    const { head, keys } = this.files;
    const trust = readKeysFile(keys);
    const check = new EvidenceCheck({ ...trust, headCoversAll: true });
    const file = new EvidenceFile(check, { name: records, recordKey: trust.recordKey });
    file.push(readFileSync(records));
    file.end();
    for (const each of readHeadFile(head)) check.addHead(each, head);
    return check.finish();
  }

  /** As `metertime logbook --storage STORAGE --keys KEYS --head HEAD`, or with `--records`. The meter is off. */
  readStorage(ring: Ring.Logbook | Ring.Records): ReadRing {
    const { storage, keys, head } = this.files;
    return readStoredRing({ storage, keys, head: [head] }, ring);
  }

  /** Writes the copy in which the lowest bit of a record's first reading is the other one. @throws Error without that record */
  changeOneBit(sequence: number): void {
    const lines = readFileSync(this.files.records, 'utf8').split('\n');
    const at = lines.findIndex((line) => line !== '' && isRecord(JSON.parse(line), sequence));
    if (at < 0) throw new Error(`${this.files.records}: expected record ${sequence}, came none`);
    const record = JSON.parse(lines[at]!) as RecordJson;
    const bytes = Buffer.from(record.bytes, 'base64');
    bytes[RecordField.Values]! ^= 1;
    lines[at] = JSON.stringify({ ...record, bytes: bytes.toString('base64') });
    writeFileSync(this.files.changed, lines.join('\n'));
  }
}

function isRecord(line: { format: string; sequence?: number }, sequence: number): boolean {
  return line.format === 'record' && line.sequence === sequence;
}
