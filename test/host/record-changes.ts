// Random changes of what a meter wrote. Each is verified in its neighbourhood, by the same functions as a whole file, and
// so is the neighbourhood before the change, which has to hold.
// What always holds: a change is one; what is changed afterwards is not what it was.
import { ChainField, Ring } from '../../as/abi/codes.ts';
import { EvidenceFile } from '../../host/record/evidence-file.ts';
import { EvidenceLines } from '../../host/record/evidence-line.ts';
import { EvidenceCheck, type Report, type Trust, verifyEvidence } from '../../host/record/verify.ts';
import type { SeededRandom } from '../core/random.ts';
import { ChainMaker, linkTo, sealOf, signingKey } from './record-chain.ts';
import type { DrawnMeter } from './record-world.ts';

/** What is drawn before changes are: a meter, and another one for what comes from elsewhere. */
export interface World {
  readonly meter: DrawnMeter;
  readonly other: DrawnMeter;
}

/** A change and what it is made to. */
export interface Change {
  readonly kind: ChangeKind;
  /** For people: where, and how it is verified. */
  readonly what: string;
  /** The neighbourhood as it was, and as it is. */
  readonly before: () => Report;
  readonly after: () => Report;
}

/** Which of the keys whoever verifies has. */
type Keys = 'both' | 'record' | 'public';

interface Place {
  readonly ring: Ring;
  readonly keys: Keys;
  /** The neighbourhood: from an entry's index to before another one's. */
  readonly from: number;
  readonly to: number;
  readonly at: number;
}

const signedRings = [Ring.Records, Ring.Logbook] as const;
const allRings = [...signedRings, Ring.Network] as const;
const pick = <T>(random: SeededRandom, from: readonly T[]): T => from[random.below(from.length)]!;
const copies = (entries: readonly Uint8Array[]) => entries.map((entry) => Buffer.from(entry));

/** Entries around one, so many that the change shows: to the end and its head where no seal can be checked. */
function drawPlace({ meter }: World, random: SeededRandom): Place {
  const keys: Keys = pick(random, ['both', 'both', 'record', 'public']);
  const ring = pick(random, keys === 'public' ? signedRings : allRings);
  const { length } = meter.chain.rings[ring];
  const at = random.below(length);
  const to = keys === 'public' ? length : Math.min(length, at + 2 + random.below(3));
  return { ring, keys, from: Math.max(0, at - random.below(3)), to, at };
}

/** The neighbourhood reaches the end and its head. */
function atEnd({ ring, keys, to }: Place, { meter }: World): boolean {
  return keys !== 'record' && ring !== Ring.Network && to === meter.chain.rings[ring].length;
}

function trustIn({ meter }: World, { ring, keys, from }: Place, headCoversAll: boolean): Trust {
  const { chain, publicKey } = meter;
  return {
    meter: chain.meter,
    ...(keys === 'public' ? {} : { recordKey: chain.recordKey }),
    ...(keys === 'record' ? {} : { publicKey }),
    headCoversAll,
    from: { [ring]: from + 1 },
  };
}

function verifyAt(world: World, place: Place, entries: readonly Uint8Array[], heads?: readonly Uint8Array[]): Report {
  const end = atEnd(place, world);
  const used = heads ?? (end ? world.meter.heads.slice(-1) : []);
  return verifyEvidence([{ ring: place.ring, entries }], used, trustIn(world, place, end));
}

const around = ({ meter }: World, { ring, from, to }: Place) => meter.chain.rings[ring].slice(from, to);
const textOf = ({ ring, keys, from, to, at }: Place) =>
  `ring ${ring}, entry ${at + 1} in ${from + 1} to ${to}, ${keys} keys`;

/** A change of the entries around one. */
function changeOf(
  kind: ChangeKind,
  world: World,
  place: Place,
  change: (entries: Buffer[], index: number) => readonly Uint8Array[],
): Change {
  return {
    kind,
    what: textOf(place),
    before: () => verifyAt(world, place, around(world, place)),
    after: () => verifyAt(world, place, change(copies(around(world, place)), place.at - place.from)),
  };
}

/** Flips a bit, so that it is another one. */
function flip(bytes: Uint8Array, bit: number): void {
  bytes[bit >> 3] = bytes[bit >> 3]! ^ (1 << (bit & 7));
}

type Draw = (world: World, random: SeededRandom) => Change;

const oneBit: Draw = (world, random) => {
  const bit = random.below(8 * ChainField.Bytes);
  return changeOf('bit', world, drawPlace(world, random), (entries, index) => {
    flip(entries[index]!, bit);
    return entries;
  });
};

const bits: Draw = (world, random) => {
  const which = new Set(Array.from({ length: 2 + random.below(30) }, () => random.below(8 * ChainField.Bytes)));
  return changeOf('bits', world, drawPlace(world, random), (entries, index) => {
    for (const bit of which) flip(entries[index]!, bit);
    return entries;
  });
};

const bytes: Draw = (world, random) => {
  const begin = random.below(ChainField.Bytes);
  const set = random.bytes(1 + random.below(ChainField.Bytes - begin));
  return changeOf('bytes', world, drawPlace(world, random), (entries, index) => {
    const entry = entries[index]!;
    // What is set may be what was there.
    if (Buffer.compare(entry.subarray(begin, begin + set.length), set) === 0) flip(entry, 8 * begin);
    else entry.set(set, begin);
    return entries;
  });
};

const removed: Draw = (world, random) => {
  let place = drawPlace(world, random);
  const { length } = world.meter.chain.rings[place.ring];
  // Behind what is removed there is an entry, or the head.
  if (place.at === length - 1 && !atEnd(place, world))
    place = { ...place, at: length - 2, from: Math.min(place.from, length - 2) };
  const most = (atEnd(place, world) ? place.to : place.to - 1) - place.at;
  // Nothing at all is no evidence, whatever was there.
  const count = 1 + random.below(Math.max(1, Math.min(5, most)));
  return changeOf('removed', world, place, (entries, index) => entries.toSpliced(index, count));
};

const swapped: Draw = (world, random) => {
  const place = drawPlace(world, random);
  const ring = world.meter.chain.rings[place.ring];
  const with_ = (place.at + 1 + random.below(ring.length - 1)) % ring.length;
  return changeOf('swapped', world, place, (entries, index) => {
    const other = with_ - place.from;
    if (other >= 0 && other < entries.length) entries[other] = entries[index]!;
    return entries.with(index, Buffer.from(ring[with_]!));
  });
};

const repeated: Draw = (world, random) => {
  const place = drawPlace(world, random);
  const ring = world.meter.chain.rings[place.ring];
  const again = ring[random.below(ring.length)]!;
  return changeOf('repeated', world, place, (entries, index) => {
    // Before its own place, the entry that is there would be the one that comes again.
    const own = again.readUInt32LE(ChainField.Sequence) === place.at + 1;
    return entries.toSpliced(own ? index + 1 : index, 0, again);
  });
};

const foreign: Draw = (world, random) => {
  const place = drawPlace(world, random);
  const { ring } = place;
  const theirs = world.other.chain.rings[ring];
  const all = random.below(4) === 0;
  return changeOf('foreign', world, place, (entries, index) => {
    const taken = (at: number): Buffer => {
      const entry = Buffer.from(theirs[at % theirs.length]!);
      entry.writeUInt32LE(at + 1, ChainField.Sequence);
      return entry;
    };
    // Their own entries, in their order, as they are; to their end where this one's end is seen.
    const { length } = world.meter.chain.rings[ring];
    const whole = all ? theirs.slice(place.from, place.to === length ? theirs.length : place.to) : [];
    if (whole.length > 0) return whole;
    return entries.with(index, taken(place.at));
  });
};

const otherRing: Draw = (world, random) => {
  const place = { ...drawPlace(world, random), keys: 'both' as const };
  const { rings } = world.meter.chain;
  const from = pick(
    random,
    allRings.filter((ring) => ring !== place.ring),
  );
  const taken = Buffer.from(pick(random, rings[from]));
  taken.writeUInt32LE(place.at + 1, ChainField.Sequence);
  return changeOf('other-ring', world, place, (entries, index) => entries.with(index, taken));
};

/** The last entries of a ring and its head, with the record key or without. */
function endOf({ meter }: World, random: SeededRandom, ring: Ring): Place {
  const { length } = meter.chain.rings[ring];
  const keys = pick(random, ['both', 'public'] as const);
  return { ring, keys, from: Math.max(0, length - 1 - random.below(4)), to: length, at: length - 1 };
}

const cut: Draw = (world, random) => {
  const ring = pick(random, signedRings);
  const place = endOf(world, random, ring);
  const { length } = world.meter.chain.rings[ring];
  const count = 1 + random.below(length - 1);
  const kept = { ...place, from: Math.max(0, length - count - 1 - random.below(3)) };
  return {
    kind: 'cut',
    what: `${textOf(place)}, ${count} cut off`,
    before: () => verifyAt(world, place, around(world, place)),
    after: () => verifyAt(world, kept, world.meter.chain.rings[ring].slice(kept.from, length - count)),
  };
};

/** Makes sequences, links and seals good again, as whoever has the record key can. */
function reseal(entries: Buffer[], ring: Ring, recordKey: Uint8Array, from: number): void {
  for (let at = from; at < entries.length; at++) {
    const entry = entries[at]!;
    entry.writeUInt32LE(at + 1, ChainField.Sequence);
    entry.set(linkTo(entries[at - 1]), ChainField.Link);
    entry.set(sealOf(recordKey, ring, entry), ChainField.Seal);
  }
}

const resealed: Draw = (world, random) => {
  const ring = pick(random, signedRings);
  const place = endOf(world, random, ring);
  const { chain, heads } = world.meter;
  const at = random.below(chain.rings[ring].length);
  const how = pick(random, ['changed', 'removed', 'added', 'appended', 'signed'] as const);
  const bit = random.below(8 * ChainField.BodyBytes);
  const seed = random.bytes(32);
  return {
    kind: 'resealed',
    what: `${textOf(place)}, ${how} from ${at + 1} on`,
    before: () => verifyAt(world, place, around(world, place)),
    after: () => {
      const entries = copies(chain.rings[ring]);
      // The sequence is set anew: a bit of it is none.
      if (how === 'changed' || how === 'signed') flip(entries[at]!, bit >= 32 && bit < 64 ? bit + 32 : bit);
      else if (how === 'removed') entries.splice(at, 1);
      else if (how === 'added') entries.splice(at, 0, Buffer.from(entries[at]!));
      else entries.push(Buffer.from(entries.at(-1)!));
      reseal(entries, ring, chain.recordKey, how === 'appended' ? entries.length - 1 : at);
      return verifyAt(
        world,
        place,
        entries.slice(place.from),
        how === 'signed' ? [forgedHead(world, ring, entries, signingKey(seed))] : heads.slice(-1),
      );
    },
  };
};

/** A head of all entries that somebody else signed. */
function forgedHead(
  { meter }: World,
  ring: Ring,
  entries: Buffer[],
  forger: ReturnType<typeof signingKey>,
): Uint8Array {
  const forged = new ChainMaker(meter.chain.meter, meter.chain.recordKey, forger);
  for (const each of allRings) forged.rings[each] = each === ring ? entries : meter.chain.rings[each];
  return forged.head();
}

const head: Draw = (world, random) => {
  const place = endOf(world, random, pick(random, signedRings));
  const { heads } = world.meter;
  const changed = Buffer.from(heads.at(-1)!);
  const how = pick(random, ['bit', 'bit', 'bit', 'old', 'foreign', 'none', 'short'] as const);
  if (how === 'bit') flip(changed, random.below(8 * changed.length));
  const used = {
    bit: [changed],
    old: [heads[0]!],
    foreign: [world.other.heads.at(-1)!],
    none: [],
    short: [changed.subarray(1)],
  }[how];
  return {
    kind: 'head',
    what: `${textOf(place)}, ${how}`,
    before: () => verifyAt(world, place, around(world, place)),
    after: () => verifyAt(world, place, around(world, place), used),
  };
};

/** Lines of a neighbourhood, beside the contexts that they need. */
function verifyLines(world: World, place: Place, take: (check: EvidenceCheck) => void): Report {
  const { ring, from } = place;
  const check = new EvidenceCheck({
    meter: world.meter.chain.meter,
    recordKey: world.meter.chain.recordKey,
    from: { [ring]: from + 1 },
  });
  if (ring === Ring.Records) {
    for (const entry of world.meter.chain.rings[ring]) if (entry[ChainField.Format] === 2) check.addContext(entry);
  }
  take(check);
  return check.finish();
}

function linesPlace(world: World, random: SeededRandom): { place: Place; lines: readonly string[] } {
  const ring = pick(random, allRings);
  const lines = world.meter.lines(ring);
  const at = random.below(lines.length);
  const from = Math.max(0, at - random.below(2));
  const to = Math.min(lines.length, at + 1 + random.below(2));
  return { place: { ring, keys: 'record', from, to, at }, lines: lines.slice(from, to) };
}

const decoded: Draw = (world, random) => {
  const { place, lines } = linesPlace(world, random);
  const take = (each: readonly string[]) => (check: EvidenceCheck) => {
    const file = new EvidenceLines(check);
    for (const line of each) file.add(line, 'line');
  };
  const index = place.at - place.from;
  const changed = changeJson(lines[index]!, random);
  return {
    kind: 'decoded',
    what: `${textOf(place)}: ${changed}`,
    before: () => verifyLines(world, place, take(lines)),
    after: () => verifyLines(world, place, take(lines.with(index, changed))),
  };
};

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** A line with one field that is another one, is left out, or is new. What is for people is not changed. */
function changeJson(line: string, random: SeededRandom): string {
  for (;;) {
    const value = JSON.parse(line) as { [key: string]: Json };
    const places = placesIn(value).filter(({ holder, key }) => !(holder === value && key === 'text'));
    const { holder, key } = pick(random, places);
    const fields = holder as { [key: string]: Json };
    const what = random.below(6);
    if (what === 0 && !Array.isArray(holder)) delete fields[key];
    else if (what === 1 && !Array.isArray(holder)) fields[`${key}2`] = fields[key]!;
    else fields[key] = otherValue(fields[key]!, random);
    const changed = JSON.stringify(value);
    // A gateway that knew no context says so: that is another line, and no changed one.
    if (changed !== line && !isWithoutContext(value, line)) return changed;
  }
}

function placesIn(value: Json): { holder: object; key: string }[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => [{ holder: value, key }, ...placesIn(inner)]);
}

function otherValue(value: Json, random: SeededRandom): Json {
  if (random.below(8) === 0) return pick(random, [null, 0, '', [], {}, true]);
  if (typeof value === 'number') return random.below(2) === 0 ? value + 1 : -value - 1;
  if (typeof value === 'string') {
    const at = random.below(value.length + 1);
    return `${value.slice(0, at)}${pick(random, ['0', '1', 'a', 'A', '=', ' ', '\u0000', 'é'])}${value.slice(at + random.below(2))}`;
  }
  if (Array.isArray(value)) return random.below(2) === 0 || value.length === 0 ? [...value, 'x'] : value.slice(1);
  return value === null ? 'x' : null;
}

function isWithoutContext(value: { [key: string]: Json }, line: string): boolean {
  const { contents, software } = JSON.parse(line) as { [key: string]: Json };
  if (value.format === 'context') return contents !== null && value.contents === null;
  return software !== undefined && value.software === null;
}

const textBit: Draw = (world, random) => {
  const { place, lines } = linesPlace(world, random);
  const index = place.at - place.from;
  const clean = lines.map((line) => Buffer.from(`${line}\n`));
  const changed = Buffer.from(clean[index]!);
  let bit: number;
  // The sentence for people may be worded otherwise.
  do bit = random.below(8 * changed.length);
  while (inSentence(changed, bit >> 3));
  flip(changed, bit);
  const take = (each: readonly Buffer[]) => (check: EvidenceCheck) => {
    const file = new EvidenceFile(check, { name: 'file' });
    for (const piece of each) file.push(piece);
    file.end();
  };
  return {
    kind: 'text-bit',
    what: `${textOf(place)}, bit ${bit} of its line`,
    before: () => verifyLines(world, place, take(clean)),
    after: () => verifyLines(world, place, take(clean.with(index, changed))),
  };
};

/** Whether a byte is inside the value of a line's own `text`. */
function inSentence(line: Buffer, at: number): boolean {
  const { text } = JSON.parse(line.toString()) as { text?: string };
  if (text === undefined) return false;
  const value = Buffer.from(JSON.stringify(text));
  const begin = line.indexOf(Buffer.concat([Buffer.from('"text":'), value])) + '"text":'.length;
  return at > begin && at < begin + value.length - 1;
}

/** Kinds of changes, and how many of 100 are of each. */
const draws = {
  bit: [22, oneBit],
  bits: [6, bits],
  bytes: [8, bytes],
  removed: [8, removed],
  swapped: [7, swapped],
  repeated: [7, repeated],
  cut: [8, cut],
  foreign: [7, foreign],
  'other-ring': [4, otherRing],
  resealed: [9, resealed],
  head: [6, head],
  decoded: [5, decoded],
  'text-bit': [3, textBit],
} satisfies Record<string, [number, Draw]>;

export type ChangeKind = keyof typeof draws;
export const changeKinds = Object.keys(draws) as ChangeKind[];

export function drawChange(world: World, random: SeededRandom): Change {
  let left = random.below(100);
  for (const [share, draw] of Object.values(draws)) {
    left -= share;
    if (left < 0) return draw(world, random);
  }
  throw new Error('the shares of all kinds are not 100');
}
