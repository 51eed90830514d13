// Rings of entries and heads are verified: what a meter wrote holds, and each kind of change is found and named.
import { describe, expect, test } from 'vitest';
import { ChainField, ContextPartField, HeadField, RecordField, Ring } from '../../as/abi/codes.ts';
import { ed25519Key } from '../../host/record/seal.ts';
import { type Finding, type Report, type Trust, verifyEvidence } from '../../host/record/verify.ts';
import { ChainMaker, linkTo, sealOf, signingKey } from './record-chain.ts';

const recordKey = Buffer.alloc(16, 7);
const key = signingKey(Buffer.alloc(32, 9));

/** A context, records, another context, records; a logbook and what the network provoked. */
function chain(meter = 'm1', of = recordKey): ChainMaker {
  const made = new ChainMaker(meter, of, key);
  made.context({ program: 'first' });
  for (let count = 0; count < 4; count++) made.record({ tariff: count });
  made.context({ program: 'second', servers: [{ name: 'a.example' }, { name: 'b.example' }] });
  for (let count = 0; count < 4; count++) made.record({ tariff: count });
  for (let count = 0; count < 5; count++) made.log(Ring.Logbook, { text: `event ${count}` });
  for (let count = 0; count < 3; count++) made.log(Ring.Network);
  return made;
}

const trustAll = (made: ChainMaker): Trust => ({
  meter: 'm1',
  recordKey,
  publicKey: ed25519Key(made.publicKey),
  headCoversAll: true,
  from: { [Ring.Records]: 1, [Ring.Logbook]: 1, [Ring.Network]: 1 },
});

function verify(made: ChainMaker, heads: readonly Uint8Array[], trust: Trust = trustAll(made)): Report {
  const rings = [Ring.Records, Ring.Logbook, Ring.Network].map((ring) => ({ ring, entries: made.rings[ring] }));
  return verifyEvidence(rings, heads, trust);
}

/** What was found, as `check ring sequence`. */
const found = ({ findings }: Report) => findings.map(({ check, ring, sequence }) => `${check} ${ring} ${sequence}`);
const copy = (bytes: Uint8Array) => Buffer.from(bytes);
const flip = (bytes: Uint8Array, at: number, bit = 1): void => {
  bytes[at] = bytes[at]! ^ bit;
};

/** Makes links and seals good again from an entry on, as whoever has the record key can. */
function reseal(entries: Buffer[], ring: Ring, from: number): void {
  for (let at = from; at < entries.length; at++) {
    entries[at]!.set(linkTo(entries[at - 1]), ChainField.Link);
    entries[at]!.set(sealOf(recordKey, ring, entries[at]!), ChainField.Seal);
  }
}

describe('what a meter wrote', () => {
  test('holds, to its last entry', () => {
    const made = chain();
    const report = verify(made, [made.head()]);
    expect(report.findings).toEqual([]);
    expect(report).toMatchObject({ ok: true, meter: 'm1', heads: { held: 1, failed: 0, unchecked: 0 } });
    const entries = made.rings[Ring.Records].length;
    expect(report.rings).toEqual([
      {
        ring: 'records',
        entries,
        from: 1,
        to: entries,
        gaps: 0,
        links: { held: entries, failed: 0 },
        seals: { held: entries, failed: 0, unchecked: 0 },
        tail: 'signed',
      },
      expect.objectContaining({ ring: 'logbook', entries: 5, tail: 'signed' }),
      // Nobody signs what anybody can provoke.
      expect.objectContaining({ ring: 'network', entries: 3, tail: 'not-proven' }),
    ]);
  });

  test('holds without keys as far as links say, and then its end is not proven', () => {
    const made = chain();
    const report = verify(made, [made.head()], {});
    expect(report).toMatchObject({ ok: true, meter: 'm1', heads: { held: 0, failed: 0, unchecked: 1 } });
    expect(report.rings[0]).toMatchObject({ tail: 'not-proven', seals: { held: 0, failed: 0, unchecked: 18 } });
  });

  test('holds from any entry on, also from within a context', () => {
    const made = chain();
    const head = made.head();
    for (let from = 1; from < 18; from++) {
      const entries = made.rings[Ring.Records].slice(from);
      const report = verifyEvidence([{ ring: Ring.Records, entries }], [head], { ...trustAll(made), from: {} });
      expect(report.findings).toEqual([]);
      expect(report.rings[0]).toMatchObject({ from: from + 1, tail: 'signed', links: { held: entries.length - 1 } });
    }
  });

  test('holds where a context was not finished and another one followed', () => {
    const made = new ChainMaker('m1', recordKey, key);
    made.context();
    made.record();
    made.context();
    made.rings[Ring.Records].pop();
    made.context();
    made.record();
    expect(found(verify(made, [made.head()]))).toEqual([]);
  });

  test('may go on behind the last head, where that is not asked for', () => {
    const made = chain();
    const head = made.head();
    made.record();
    expect(verify(made, [head], { ...trustAll(made), headCoversAll: false })).toMatchObject({
      ok: true,
      rings: [{ tail: 'behind-head' }, { tail: 'signed' }, {}],
    });
    expect(found(verify(made, [head]))).toEqual(['tail records 19']);
    // The newest head counts, in whatever order they come.
    expect(found(verify(made, [made.head(), head]))).toEqual([]);
  });
});

type Change = (made: ChainMaker, entries: Buffer[], ring: Ring) => void;
const changes: [string, Change, (at: number) => string[]][] = [
  ['a bit of a body', (_, entries) => flip(entries[2]!, 40), () => ['seal 3', 'link 4']],
  ['a bit of a link', (_, entries) => flip(entries[2]!, ChainField.Link, 128), () => ['link 3', 'seal 3', 'link 4']],
  ['a bit of a seal', (_, entries) => flip(entries[2]!, ChainField.Seal + 15), () => ['seal 3', 'link 4']],
  [
    'a sequence',
    (_, entries) => void entries[2]!.writeUInt32LE(9, ChainField.Sequence),
    () => ['sequence 9', 'seal 9', 'sequence 4'],
  ],
  ['one removed', (_, entries) => void entries.splice(2, 1), () => ['sequence 4']],
  ['the first one removed', (_, entries) => void entries.shift(), () => ['sequence 2']],
  [
    'two swapped',
    (_, entries) => void entries.splice(1, 2, entries[2]!, entries[1]!),
    () => ['sequence 3', 'sequence 2', 'sequence 4'],
  ],
  ['one repeated', (_, entries) => void entries.splice(2, 0, entries[1]!), () => ['sequence 2']],
  ['one cut off at the end', (_, entries) => void entries.pop(), (last) => [`tail ${last}`]],
  [
    'one of another meter',
    (made, entries, ring) => void entries.splice(2, 1, chain(made.meter, Buffer.alloc(16, 8)).rings[ring][2]!),
    () => ['seal 3', 'link 4'],
  ],
  ['zeros', (_, entries) => void entries[2]!.fill(0), () => ['layout 0', 'sequence 0', 'seal 0', 'sequence 4']],
  [
    'a byte less',
    (_, entries) => void entries.splice(2, 1, entries[2]!.subarray(1)),
    () => ['layout null', 'sequence 4'],
  ],
  [
    'all from one on sealed anew, with the record key',
    (_, entries, ring) => {
      flip(entries[2]!, 40);
      reseal(entries, ring, 2);
    },
    (last) => [`head ${last}`],
  ],
];

describe.each([Ring.Records, Ring.Logbook])('in ring %d', (ring) => {
  test.each(changes)('%s is found', (_, change, expected) => {
    const made = chain();
    const head = made.head();
    const last = made.rings[ring].length;
    made.rings[ring] = made.rings[ring].map(copy);
    change(made, made.rings[ring], ring);
    const report = verify(made, [head]);
    expect(report.ok).toBe(false);
    const seen = report.findings.map(({ check, sequence }) => `${check} ${sequence}`);
    for (const each of expected(last)) expect(seen).toContain(each);
    for (const { expected: of, came } of report.findings) expect(of.length * came.length).toBeGreaterThan(0);
  });
});

test('a change that nobody with the record key could make is found without it, but at the end', () => {
  const made = chain();
  const entries = made.rings[Ring.Records];
  flip(entries[3]!, 60, 4);
  const report = verifyEvidence([{ ring: Ring.Records, entries }], [], {});
  expect(found(report)).toContain('link records 5');
});

describe('a record', () => {
  const first = () => new ChainMaker('m1', recordKey, key);

  test('names the newest whole context', () => {
    const made = chain();
    made.record({ context: 1 });
    expect(found(verify(made, [made.head()]))).toEqual(['context records 19']);
    const none = first();
    none.record({ context: 0 });
    expect(found(verify(none, [none.head()]))).toEqual(['context records 1']);
    const own = first();
    own.record({ context: 1 });
    expect(found(verify(own, [own.head()]))).toEqual(['context records 1']);
  });

  test('of another meter is told by its context', () => {
    const made = first();
    made.context();
    new ChainMaker('m2', recordKey, key).context().forEach((part) => void made.rings[Ring.Records].push(part));
    reseal(made.rings[Ring.Records], Ring.Records, 0);
    expect(found(verify(made, [], {}))).toContain('meter records 1');
    expect(found(verify(chain('m2'), []))).toContain('meter records 1');
  });

  test('cannot follow a context whose parts do not fit', () => {
    const made = first();
    made.context({ board: 'x'.repeat(31) });
    const parts = made.rings[Ring.Records];
    parts[1]![ContextPartField.Index] = 3;
    reseal(parts, Ring.Records, 1);
    made.record();
    expect(found(verify(made, [made.head()]))).toContain('context records 2');
    const garbled = first();
    garbled.context();
    garbled.rings[Ring.Records][0]![ContextPartField.Part + 2] = 9;
    reseal(garbled.rings[Ring.Records], Ring.Records, 0);
    expect(found(verify(garbled, [garbled.head()]))).toEqual([`context records 1`]);
  });

  test('that does not fit its layout is no end of the checks', () => {
    const made = chain();
    made.rings[Ring.Records][7]![RecordField.Readings] = 200;
    const report = verify(made, [made.head()]);
    expect(found(report)).toEqual(expect.arrayContaining(['layout records 8', 'seal records 8', 'link records 9']));
    expect(report.findings.find(({ check }) => check === 'layout')?.came).toContain('at most 4 readings, came 200');
  });
});

describe('a head', () => {
  test('of another key, changed, of another meter, or too short, is found', () => {
    const made = chain();
    const head = made.head();
    const other = made.head(5n, signingKey(Buffer.alloc(32, 1)));
    // A head that does not hold covers nothing.
    expect(found(verify(made, [other]))).toEqual(['signature null null', 'tail records 18', 'tail logbook 5']);
    for (const at of [0, 6, 119, 120, 183]) {
      const changed = copy(head);
      flip(changed, at, 2);
      expect(verify(made, [changed]).ok).toBe(false);
    }
    const foreign = chain('m2').head();
    expect(found(verify(made, [foreign]))).toContain('meter null null');
    expect(found(verify(made, [head.subarray(1)]))).toEqual(['layout null null', 'tail records 18', 'tail logbook 5']);
  });

  test('finds that entries it was signed for are missing, at the end or within', () => {
    const made = chain();
    const early = made.head();
    made.record();
    const late = made.head();
    const entries = made.rings[Ring.Records];
    const of = (kept: Buffer[]): [Finding[], string] => {
      const { findings, rings } = verifyEvidence(
        [{ ring: Ring.Records, entries: kept }],
        [early, late],
        trustAll(made),
      );
      return [findings.filter(({ check }) => check === 'tail'), rings[0]!.tail];
    };
    expect(of(entries)).toEqual([[], 'signed']);
    const cut = of(entries.slice(0, -1));
    expect(cut[1]).toBe('cut');
    expect(cut[0]).toMatchObject([{ sequence: 19, came: 'the last one is 18' }]);
    expect(of(entries.filter((_, at) => at !== 17))[0]).toMatchObject([{ sequence: 18, came: 'it is missing' }]);
  });

  test('of a ring that was remade says that its end is another one', () => {
    const made = chain();
    const head = made.head();
    const entries = made.rings[Ring.Records].map(copy);
    entries.at(-1)![70] = 1;
    reseal(entries, Ring.Records, entries.length - 1);
    const report = verifyEvidence([{ ring: Ring.Records, entries }], [head], trustAll(made));
    expect(report.rings[0]?.tail).toBe('changed');
    expect(found(report)).toEqual(['head records 18']);
  });
});

test('each bit of an entry and of a head is covered', () => {
  const made = new ChainMaker('m1', recordKey, key);
  made.context();
  made.record();
  made.log(Ring.Logbook);
  const head = made.head();
  const changedIsFound = (bytes: Buffer): void => {
    for (let bit = 0; bit < 8 * bytes.length; bit++) {
      flip(bytes, bit >> 3, 1 << (bit & 7));
      expect(verify(made, [head]).ok, `bit ${bit}`).toBe(false);
      flip(bytes, bit >> 3, 1 << (bit & 7));
    }
    expect(verify(made, [head]).ok).toBe(true);
  };
  changedIsFound(made.rings[Ring.Records].at(-1)!);
  changedIsFound(made.rings[Ring.Logbook][0]!);
  expect(HeadField.Bytes - HeadField.Magic).toBe(head.length);
  changedIsFound(head);
});
