// Red zones in a copy of the core's sources: in front of each static region and behind each server's part of it, so that
// an access that leaves its region, or leads from one server to the next, is one into a red zone.
//
// What always holds: the core does the same with them; a region that has a part for each server is known here, or the
// copy is refused; each zone in the compiled core tells where the next ones lie.

/** First eight bytes of a red zone; behind them the bytes of each part, 0 where there are none, and those of the region. */
export const zoneMagic = [0x7a4f6e45, 0xc35a9d17] as const;
const zoneBytes = 16;

/** Replaces what must be there exactly once. */
export function replaceOnce(text: string, what: string, by: string): string {
  const parts = text.split(what);
  if (parts.length !== 2) throw new Error(`"${what}" occurs ${parts.length - 1} times, expected once`);
  return parts.join(by);
}

interface Parts {
  readonly path: string;
  readonly region: string;
  /** Bytes of a part and number of parts, as expressions. */
  readonly bytes: string;
  readonly count: string;
  /** Uses of it that are not `region + which * bytes`: what is replaced by what, `STRIDE` in it. */
  readonly places?: readonly (readonly [RegExp, string])[];
}

const perServer = '<u32>SERVERS_MAX';

/** Regions in parts that belong to different servers, or hold different messages. */
const regionsInParts: readonly Parts[] = [
  { path: 'as/nts/cookies.ts', region: 'JARS', bytes: 'JAR_BYTES', count: perServer },
  { path: 'as/nts/exchange.ts', region: 'KEYS', bytes: 'KEYS_BYTES', count: perServer },
  { path: 'as/nts/exchange.ts', region: 'OPEN', bytes: 'OPEN_BYTES', count: perServer },
  { path: 'as/clock/agreement.ts', region: 'ENTRIES', bytes: 'ENTRY_BYTES', count: perServer },
  { path: 'as/clock/agreement.ts', region: 'PRESENT', bytes: 'PRESENT_BYTES', count: perServer },
  { path: 'as/clock/path.ts', region: 'PATHS', bytes: 'PATH_BYTES', count: perServer },
  {
    path: 'as/meter/source.ts',
    region: 'TABLE',
    bytes: 'SOURCE_BYTES',
    count: perServer,
    places: [
      [
        /clear\(TABLE, <u32>SOURCE_BYTES \* SOURCES\)/g,
        'for (let i: u32 = 0; i < SOURCES; i++) clear(TABLE + i * STRIDE, <u32>SOURCE_BYTES)',
      ],
    ],
  },
  { path: 'as/meter/source.ts', region: 'CERTIFICATES', bytes: '32', count: perServer },
  { path: 'as/meter/source.ts', region: 'NTP_HOSTS', bytes: '68', count: perServer },
  {
    path: 'as/meter/source.ts',
    region: 'REJECTED',
    bytes: '2 * REJECT_REASONS',
    count: perServer,
    places: [
      [
        /REJECTED \+ 2 \* \(source\.index \* REJECT_REASONS \+ reason - 1\)/g,
        'REJECTED + source.index * STRIDE + 2 * (reason - 1)',
      ],
    ],
  },
  { path: 'as/meter/establish.ts', region: 'FINGERPRINTS', bytes: '32', count: perServer },
  { path: 'as/meter/settings.ts', region: 'SERVERS', bytes: 'SERVER_BYTES', count: '4' },
  { path: 'as/link/reliable.ts', region: 'STREAM_QUEUE', bytes: 'STREAM_SLOT_BYTES', count: 'STREAM_SLOTS' },
  { path: 'as/link/reliable.ts', region: 'REPORT_QUEUE', bytes: 'REPORT_SLOT_BYTES', count: 'REPORT_SLOTS' },
];

/** Regions whose size depends on the number of servers, but which have no parts of theirs: events of all servers in turn. */
const shared = ['as/meter/events.ts RING'];

/** A zone of 16 to 23 bytes follows each part, up to a multiple of eight. */
const strideOf = (bytes: string) => `((${bytes} + 23) / 8 * 8)`;

/** Where the parenthesis or bracket at `open` is closed. */
function closing(text: string, open: number): number {
  let depth = 0;
  for (let at = open; at < text.length; at++) {
    if ('([{'.includes(text[at]!)) depth++;
    else if (')]}'.includes(text[at]!) && --depth === 0) return at;
  }
  throw new Error(`nothing closes what begins with "${text.slice(open, open + 40)}"`);
}

/** The first of the arguments between two parentheses. */
function firstArgument(text: string): string {
  for (let at = 0; at < text.length; at++) {
    if ('([{'.includes(text[at]!)) at = closing(text, at);
    else if (text[at] === ',') return text.slice(0, at);
  }
  return text;
}

/** Moves the parts of a region apart. */
function moveApart(text: string, { path, region, bytes, count, places = [] }: Parts): string {
  const stride = strideOf(bytes);
  const size = new RegExp(`(const ${region}: usize = memory\\.data\\().*(, \\d+\\);)`);
  const usual = new RegExp(`\\b${region} \\+ ((?:<usize>)?[\\w.]+) \\* ${bytes}\\b`, 'g');
  const known = [...places, [usual, `${region} + $1 * STRIDE`] as const];
  let moved = 0;
  let result = text;
  for (const [what, by] of known) {
    result = result.replace(what, (match) => {
      moved++;
      return match.replace(new RegExp(what.source), by.replace('STRIDE', stride));
    });
  }
  if (!size.test(result)) throw new Error(`${path}: the region ${region} is not what is known here`);
  const uses = [...result.matchAll(new RegExp(`\\b${region}\\b`, 'g'))].length - 1;
  if (moved === 0 || uses !== moved) throw new Error(`${path}: ${moved} of ${uses} uses of ${region} are known here`);
  return result.replace(size, `$1<i32>(${stride} * ${count})$2`);
}

/**
 * Puts the red zones into a source. A `memory.data` has bytes, also as a constant expression, or a type and its values;
 * then the alignment, which may be left out. A table of values tells no length: 0.
 */
export function insertZones(path: string, text: string): string {
  const inParts = regionsInParts.filter((one) => one.path === path);
  const apart = inParts.reduce(moveApart, text);
  const [head = '', ...regions] = apart.split('memory.data');
  return regions.reduce((result, rest) => {
    const type = /^(?:<\w+>)?(?=\()/.exec(rest)?.[0];
    if (type === undefined) throw new Error(`a static region has a form that is not known here: ${rest.slice(0, 60)}`);
    const end = closing(rest, type.length);
    const first = firstArgument(rest.slice(type.length + 1, end)).trim();
    const name = /const (\w+): usize = $/.exec(result)?.[1];
    const parts = inParts.find(({ region }) => region === name);
    if (parts === undefined && first.includes('SERVERS_MAX') && !shared.includes(`${path} ${name}`)) {
      throw new Error(`${path}: ${name} has a part for each server, which is not known here`);
    }
    const words = [
      ...zoneMagic,
      parts === undefined ? '0' : `<u32>(${parts.bytes})`,
      type === '' ? `<u32>(${first})` : '0',
    ];
    const zone = `memory.data<u32>([${words.join(', ')}], 16) * 0`;
    return `${result}(${zone} + memory.data${type}(${first}, 16))${rest.slice(end + 1)}`;
  }, head);
}

export interface Zone {
  readonly from: number;
  readonly to: number;
}

/** The red zones of a compiled core whose static regions end at `end`. What follows a region belongs to the next zone. */
export function findZones(memory: Buffer, end: number): Zone[] {
  const magic = Buffer.from(Uint32Array.from(zoneMagic).buffer);
  const zones: Zone[] = [];
  let regionEnd = 0;
  for (let at = memory.indexOf(magic); at >= 0 && at < end; at = memory.indexOf(magic, Math.max(at + 1, regionEnd))) {
    zones.push({ from: regionEnd === 0 ? at : regionEnd, to: at + zoneBytes });
    const part = memory.readUInt32LE(at + 8);
    const length = memory.readUInt32LE(at + 12);
    const region = at + zoneBytes;
    const stride = Math.floor((part + 23) / 8) * 8;
    for (let next = region + stride; part !== 0 && next <= region + length; next += stride) {
      zones.push({ from: next - stride + part, to: next });
    }
    regionEnd = length === 0 ? 0 : region + length;
  }
  if (regionEnd !== 0) zones.push({ from: regionEnd, to: end });
  return zones;
}
