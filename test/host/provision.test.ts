// Provisioning: the bytes of the settings block and what may happen to a storage file.
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { StorageMap } from '../../as/abi/codes.ts';
import { boardSchema } from '../../host/build/board.ts';
import { aeadText, knownAeads, parseAead, parseAeads } from '../../host/provision/aeads.ts';
import { formatHostPort, parseHostPort } from '../../host/provision/host-port.ts';
import {
  decodeSettings,
  encodeSeedSlot,
  encodeSettings,
  isSeedSlot,
  type MeterSettings,
} from '../../host/provision/settings-block.ts';
import {
  maxStorageBytes,
  provisionStorage,
  readRootKeyFile,
  readStorageSettings,
} from '../../host/provision/storage-file.ts';

function twoServers(one: string, other: string): Pick<MeterSettings, 'servers'> {
  return { servers: [one, other].map((host) => ({ host, port: 1 })) };
}

const settings: MeterSettings = {
  id: 'meter-1',
  servers: [{ host: 'time.example', port: 4460 }],
  firstDatesUnchecked: true,
  poll: { minSeconds: 64, maxSeconds: 1024 },
  reportSeconds: 10,
};
const rootKey = Uint8Array.from({ length: 16 }, (_, i) => i);
const seed = Uint8Array.from({ length: 32 }, (_, i) => 0x80 + i);

describe('the settings block', () => {
  it('has the layout of as/abi/codes.ts', () => {
    const block = Buffer.from(encodeSettings(settings, rootKey));
    expect(block.length).toBe(512);
    const items = [
      '01076d657465722d31',
      '0210000102030405060708090a0b0c0d0e0f',
      '030e6c1174696d652e6578616d706c65',
      '040101',
      '050440000004',
      '06020a00',
    ].join('');
    const length = items.length / 2;
    expect(block.toString('hex', 0, 8)).toBe(`4d5453310100${length.toString(16)}00`);
    expect(block.toString('hex', 8, 8 + length)).toBe(items);
    // CRC-32 of IEEE 802.3, bit by bit.
    let crc = 0xffffffff;
    for (const byte of block.subarray(0, 8 + length)) {
      crc ^= byte;
      for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
    }
    expect(block.readUInt32LE(8 + length)).toBe(~crc >>> 0);
    expect(block.subarray(12 + length).every((byte) => byte === 0)).toBe(true);
  });

  it('is read back as it was written, with the largest settings too', () => {
    const largest: MeterSettings = {
      id: 'M'.repeat(32),
      servers: [1, 2, 3, 4].map((n) => ({ host: `${'a'.repeat(31)}.${'b'.repeat(30)}${n}`, port: 65_535 })),
      firstDatesUnchecked: false,
      poll: { minSeconds: 1, maxSeconds: 36_000 },
      reportSeconds: 65_535,
      aeads: [17, 30, 15, 16],
      keyAgeHours: 65_535,
      agreement: 4,
      spreadSeconds: 65_535,
      limits: { stratum: 15, rootDelayMs: 65_535, rootDispersionMs: 65_535 },
      asymmetryPercent: 100,
      timeRules: {
        ...{ slewMaxMs: 20_000, silentMaxMs: 20_000, invalidMs: 1_000_000, refuseMs: 1_000_000, dayLimitMs: 1_000_000 },
        ...{ dayLimitCount: 255, holdoverHours: 65_535, duringTransaction: 'slew' },
      },
    };
    for (const each of [settings, largest]) {
      expect(decodeSettings(encodeSettings(each, rootKey))).toEqual({ settings: each, rootKey });
    }
  });

  it('says of AEADs, key age, agreement, spread, limits and asymmetry what is given, and nothing else', () => {
    const items = (given: Partial<MeterSettings>) => {
      const block = Buffer.from(encodeSettings({ ...settings, ...given }, rootKey));
      const end = 8 + block.readUInt16LE(6);
      const plain = 8 + Buffer.from(encodeSettings(settings, rootKey)).readUInt16LE(6);
      return block.toString('hex', plain, end);
    };
    expect(items({})).toBe('');
    expect(items({ aeads: [30, 15] })).toBe('07021e0f');
    expect(items({ keyAgeHours: 0x1234 })).toBe('08023412');
    expect(items({ agreement: 1 })).toBe('090101');
    expect(items({ agreement: 'majority' })).toBe('090100');
    expect(items({ spreadSeconds: 0 })).toBe('0a020000');
    expect(items({ limits: { stratum: 3, rootDelayMs: 0x102, rootDispersionMs: 0x304 } })).toBe('0b050302010403');
    expect(items({ asymmetryPercent: 0 })).toBe('0c0100');
    expect(items({ asymmetryPercent: 37 })).toBe('0c0125');
    const some = [{ agreement: 'majority' as const }, { spreadSeconds: 0 }, { aeads: [16] }, { asymmetryPercent: 0 }];
    for (const given of some) {
      const changed = { ...settings, ...given };
      expect(decodeSettings(encodeSettings(changed, rootKey)).settings).toEqual(changed);
    }
  });

  it.each<[string, Partial<MeterSettings>, RegExp]>([
    ['an empty id', { id: '' }, /id: expected 1 to 32 letters/],
    ['an id of 33', { id: 'x'.repeat(33) }, /id: expected/],
    ['an id that is no topic level', { id: 'a/b' }, /came "a\/b"/],
    ['no server', { servers: [] }, /servers: expected 1 to 4/],
    ['five servers', { servers: Array.from({ length: 5 }, (_, n) => ({ host: `h${n}`, port: 1 })) }, /came 5/],
    ['one server twice', { servers: [settings.servers[0]!, settings.servers[0]!] }, /came twice/],
    [
      'one server in other letters',
      twoServers('localhost', 'LOCALHOST'),
      /LOCALHOST port 1 came twice \(first as local/,
    ],
    ['one IPv6 address in two forms', twoServers('::1', '0:0:0:0:0:0:0:1'), /1 port 1 came twice \(first as ::1\)/],
    ['one IPv6 address in other letters', twoServers('2001:db8::A', '2001:DB8::a'), /came twice/],
    ['an IPv4 address, and within an IPv6 one', twoServers('192.0.2.1', '::ffff:c000:201'), /came twice/],
    ['a host with a space', { servers: [{ host: 'a b', port: 1 }] }, /came "a b"/],
    ['a host of 64', { servers: [{ host: `${'a'.repeat(32)}.${'b'.repeat(31)}`, port: 1 }] }, /1 to 63/],
    ['port 0', { servers: [{ host: 'a', port: 0 }] }, /port from 1 to 65535/],
    ['a poll of 0 s', { poll: { minSeconds: 0, maxSeconds: 5 } }, /poll.minSeconds: .* from 1 to 36000, came 0/],
    ['a poll over ten hours', { poll: { minSeconds: 1, maxSeconds: 36_001 } }, /poll.maxSeconds/],
    ['polls the wrong way round', { poll: { minSeconds: 9, maxSeconds: 8 } }, /came 9 and 8/],
    ['no AEAD', { aeads: [] }, /aeads: expected at least one of AES-128-GCM-SIV \(30\), AES-SIV-CMAC-256 \(15\)/],
    ['an AEAD that it does not know', { aeads: [15, 31] }, /aeads: expected one of .*, came 31/],
    ['an AEAD twice', { aeads: [15, 30, 15] }, /aeads: expected each once, AES-SIV-CMAC-256 came twice/],
    ['keys of no age', { keyAgeHours: 0 }, /keyAgeHours: expected a whole number of hours from 1 to 65535, came 0/],
    ['more agreement than servers', { agreement: 2 }, /agreement: expected at most 1, .*, came 2/],
    ['no agreement', { agreement: 0 }, /agreement: expected a whole number from 1 to 4, came 0/],
    ['too long a spread', { spreadSeconds: 65_536 }, /spreadSeconds: .* from 0 to 65535/],
    [
      'a stratum that no server has',
      { limits: { stratum: 16, rootDelayMs: 1, rootDispersionMs: 1 } },
      /limits.stratum: expected a whole number from 1 to 15, came 16/,
    ],
    [
      'half a millisecond',
      { limits: { stratum: 1, rootDelayMs: 0.5, rootDispersionMs: 1 } },
      /limits.rootDelayMs: expected a whole number of milliseconds/,
    ],
    [
      'more asymmetry than the whole path',
      { asymmetryPercent: 101 },
      /asymmetryPercent: .* of percent from 0 to 100, came 101/,
    ],
    ['half a percent', { asymmetryPercent: 0.5 }, /asymmetryPercent: expected a whole number of percent/],
    ['a fraction of a second', { reportSeconds: 0.5 }, /reportSeconds: expected a whole number/],
  ])('refuses %s', (_name, change, message) => {
    expect(() => encodeSettings({ ...settings, ...change }, rootKey)).toThrow(message);
  });

  it('takes servers that only look alike', () => {
    const hosts = ['a.example', 'A.example.org', '2001:db8::1', '2001:db8::1:1'];
    const different = { ...settings, servers: hosts.map((host) => ({ host, port: 1 })) };
    const ports = { ...settings, servers: [1, 2].map((port) => ({ host: 'a', port })) };
    for (const each of [different, ports, { ...settings, ...twoServers('fe80::1%a', 'fe80::1%b') }]) {
      expect(decodeSettings(encodeSettings(each, rootKey)).settings).toEqual(each);
    }
  });

  it('refuses a root key that is none, and says nothing of it', () => {
    for (const key of [rootKey.subarray(1), new Uint8Array(16), new Uint8Array(16).fill(0xff)]) {
      expect(() => encodeSettings(settings, key)).toThrow(
        /^root key: expected [a-z0-9 ]+, (came \d+|all of them are the same)$/,
      );
    }
  });

  it('is refused when any bit of it changed', () => {
    const block = encodeSettings(settings, rootKey);
    const used = 8 + Buffer.from(block).readUInt16LE(6) + 4;
    for (let bit = 0; bit < used * 8; bit++) {
      const changed = block.slice();
      changed[bit >> 3]! ^= 1 << (bit & 7);
      expect(() => decodeSettings(changed), `bit ${bit}`).toThrow(
        expect.objectContaining({ name: 'SettingsBlockError' }),
      );
    }
  });
});

describe('a seed slot', () => {
  it('has the layout of as/abi/codes.ts and is recognised', () => {
    const slot = encodeSeedSlot(seed, 1);
    expect(Buffer.from(slot).toString('hex', 0, 36)).toBe(`01000000${Buffer.from(seed).toString('hex')}`);
    expect(isSeedSlot(slot)).toBe(true);
    slot[5]! ^= 1;
    expect(isSeedSlot(slot)).toBe(false);
    expect(isSeedSlot(new Uint8Array(64))).toBe(false);
    expect(isSeedSlot(new Uint8Array(64).fill(0xff))).toBe(false);
  });
});

describe('a storage file', () => {
  const folder = mkdtempSync(join(tmpdir(), 'metertime-'));
  let number = 0;
  let path = '';
  beforeEach(() => {
    path = join(folder, `${number++}.bin`);
  });
  afterAll(() => rmSync(folder, { recursive: true }));
  const slot = (bytes: Buffer, at: number): Buffer => bytes.subarray(at, at + StorageMap.SeedBytes);

  it('is made readable by its owner only, with a random root key and seed', () => {
    const result = provisionStorage(path, settings);
    const none = { program: 'none', dynamic: 'none' };
    expect(result).toEqual({ path, bytes: 8192, before: 'nothing', rootKey: 'new', seed: 'new', ...none });
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const bytes = readFileSync(path);
    expect(bytes.length).toBe(8192);
    expect(isSeedSlot(slot(bytes, StorageMap.SeedA))).toBe(true);
    expect(isSeedSlot(slot(bytes, StorageMap.SeedB))).toBe(false);
    expect(readStorageSettings(path)).toEqual(settings);
    provisionStorage(`${path}.other`, settings);
    const other = readFileSync(`${path}.other`);
    expect(decodeSettings(other).rootKey).not.toEqual(decodeSettings(bytes).rootKey);
    expect(slot(other, StorageMap.SeedA).equals(slot(bytes, StorageMap.SeedA))).toBe(false);
  });

  it('of this meter keeps root key, seeds, state and size when it is provisioned anew', () => {
    provisionStorage(path, settings, { rootKey, bytes: 4096 });
    const bytes = readFileSync(path);
    bytes.fill(0xaa, StorageMap.StateA, StorageMap.StateB + StorageMap.StateBytes);
    bytes.set(encodeSeedSlot(seed, 9), StorageMap.SeedB);
    bytes[4095] = 0x77;
    writeFileSync(path, bytes);
    chmodSync(path, 0o644);
    const changed = { ...settings, servers: [{ host: 'other.example', port: 4461 }] };
    expect(provisionStorage(path, changed)).toEqual({
      path,
      bytes: 4096,
      before: 'this-meter',
      rootKey: 'kept',
      seed: 'kept',
      program: 'none',
      dynamic: 'none',
    });
    const after = readFileSync(path);
    expect(decodeSettings(after)).toEqual({ settings: changed, rootKey });
    expect(after.subarray(StorageMap.SeedA).equals(bytes.subarray(StorageMap.SeedA))).toBe(true);
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  it('that names one server twice keeps its root key when that is put right', () => {
    provisionStorage(path, { ...settings, ...twoServers('time-a', 'TIME-B') }, { rootKey });
    const bytes = readFileSync(path);
    bytes[bytes.indexOf('TIME-B') + 5] = 'A'.charCodeAt(0);
    const crcAt = 8 + bytes.readUInt16LE(6);
    bytes.writeUInt32LE(crc32(bytes.subarray(0, crcAt)), crcAt);
    writeFileSync(path, bytes);
    expect(readStorageSettings(path)).toMatchObject(twoServers('time-a', 'TIME-A'));
    expect(provisionStorage(path, settings)).toMatchObject({ before: 'this-meter', rootKey: 'kept' });
    expect(decodeSettings(readFileSync(path)).rootKey).toEqual(rootKey);
  });

  it('loses its state and its reserves with another root key', () => {
    provisionStorage(path, settings, { bytes: 8192 });
    const bytes = readFileSync(path);
    bytes.fill(0xaa, StorageMap.StateA);
    writeFileSync(path, bytes);
    expect(provisionStorage(path, settings, { rootKey, seed })).toMatchObject({ rootKey: 'given', seed: 'given' });
    const after = readFileSync(path);
    const end = StorageMap.Reserves + 4 * StorageMap.ReserveBytes;
    expect(after.subarray(StorageMap.StateA, end).every((byte) => byte === 0)).toBe(true);
    expect(after.subarray(end).equals(bytes.subarray(end))).toBe(true);
    expect(slot(after, StorageMap.SeedA).equals(encodeSeedSlot(seed, 1))).toBe(true);
    provisionStorage(`${path}.small`, settings, { bytes: StorageMap.Bytes });
    expect(provisionStorage(`${path}.small`, settings, { rootKey })).toMatchObject({
      bytes: StorageMap.Bytes,
      rootKey: 'given',
    });
  });

  it('of another meter, or that is none, is not touched unless forced', () => {
    provisionStorage(path, { ...settings, id: 'meter-2' });
    const before = readFileSync(path);
    expect(() => provisionStorage(path, settings)).toThrow(/belongs to meter meter-2, not meter-1.*--force/);
    expect(readFileSync(path).equals(before)).toBe(true);
    expect(provisionStorage(path, settings, { force: true })).toMatchObject({
      before: 'another',
      rootKey: 'new',
      seed: 'new',
    });
    const text = Buffer.from('a letter to a friend. '.repeat(60));
    writeFileSync(path, text);
    expect(() => provisionStorage(path, settings)).toThrow(/no valid meter storage/);
    expect(readFileSync(path).equals(text)).toBe(true);
  });

  it('that is blank is taken, and keeps its size', () => {
    for (const value of [0, 0xff]) {
      writeFileSync(path, new Uint8Array(8192).fill(value));
      expect(provisionStorage(path, settings, { bytes: 8192 })).toMatchObject({ bytes: 8192, before: 'nothing' });
    }
    expect(() => provisionStorage(path, settings, { bytes: 2048 })).toThrow(/has 8192 bytes, expected 2048/);
    writeFileSync(`${path}.small`, new Uint8Array(512));
    expect(() => provisionStorage(`${path}.small`, settings)).toThrow(/512 bytes are too few/);
  });

  it('is no larger than that of any board can be', () => {
    for (const { shape } of boardSchema.shape.storage.options) {
      const sizes = [maxStorageBytes, maxStorageBytes + 64];
      expect(sizes.map((size) => shape.bytes.safeParse(size).success)).toEqual([true, false]);
    }
    expect(provisionStorage(path, settings, { bytes: maxStorageBytes })).toMatchObject({ bytes: maxStorageBytes });
    expect(provisionStorage(path, settings)).toMatchObject({ before: 'this-meter' });
    expect(() => provisionStorage(`${path}.large`, settings, { bytes: maxStorageBytes + 1 })).toThrow(
      /524289 bytes are too many; a meter's storage has 1152 to 524288/,
    );
    expect(existsSync(`${path}.large`)).toBe(false);
  });

  it('behind a link stays behind it; a folder that is not there is an error that names the file', () => {
    provisionStorage(path, settings);
    const link = `${path}.link`;
    symlinkSync(path, link);
    provisionStorage(link, { ...settings, reportSeconds: 99 });
    expect(readStorageSettings(path).reportSeconds).toBe(99);
    const nowhere = join(folder, 'nowhere', 'meter');
    expect(() => provisionStorage(nowhere, settings)).toThrow(`${nowhere} cannot be written`);
    expect(readdirSync(folder).filter((name) => name.endsWith('.partial'))).toEqual([]);
  });

  it('takes its root key from a file of 16 bytes or 32 digits', () => {
    writeFileSync(path, rootKey);
    expect(readRootKeyFile(path)).toEqual(rootKey);
    writeFileSync(path, `${Buffer.from(rootKey).toString('hex').toUpperCase()}\n`);
    expect(readRootKeyFile(path)).toEqual(rootKey);
    for (const bad of ['', '0011', `${'0'.repeat(32)}`, 'not a key of any kind at all']) {
      writeFileSync(path, bad);
      let message = '';
      try {
        readRootKeyFile(path);
      } catch (error) {
        message = (error as Error).message;
      }
      expect(message).toMatch(/expected 16 random bytes or 32 hexadecimal digits/);
      if (bad !== '') expect(message).not.toContain(bad);
    }
  });
});

describe('HOST:PORT', () => {
  it.each([
    ['time.example', 'time.example', 4460],
    ['time.example:123', 'time.example', 123],
    ['192.0.2.1', '192.0.2.1', 4460],
    ['192.0.2.1:5', '192.0.2.1', 5],
    ['2001:db8::1', '2001:db8::1', 4460],
    ['[2001:db8::1]', '2001:db8::1', 4460],
    ['[2001:db8::1]:5', '2001:db8::1', 5],
  ])('%s', (text, host, port) => {
    expect(parseHostPort(text)).toEqual({ host, port });
    expect(parseHostPort(formatHostPort({ host, port }))).toEqual({ host, port });
  });

  it.each([
    ['', /1 to 63/],
    ['https://time.example', /without "https:\/\/"/],
    ['time.example:', /port from 1/],
    ['time.example:70000', /port from 1/],
    ['time.example:12x', /port from 1/],
    ['[time.example]:1', /IPv6 address in the brackets/],
    ['time.example.', /dot at its end/],
    ['1.2.3.400', /DNS name or an IP address/],
    ['a b', /DNS name/],
    ['-', /DNS name/],
  ])('%s is refused', (text, message) => {
    expect(() => parseHostPort(text)).toThrow(message);
  });
});

describe('AEADs', () => {
  it('are read by short name, full name and number, in any case', () => {
    const texts = ['AES-128-GCM-SIV', 'aead_aes_siv_cmac_256', '16', 17];
    expect(parseAeads(texts)).toEqual([30, 15, 16, 17]);
    for (const aead of knownAeads) expect(parseAead(aeadText(aead))).toBe(aead);
  });

  it.each([
    [['AES-GCM'], /"AES-GCM": expected one of AES-128-GCM-SIV \(30\), .*, AES-SIV-CMAC-512 \(17\)/],
    [[31], /"31": expected one of/],
    [[15, 'AES-SIV-CMAC-256'], /AES-SIV-CMAC-256 came twice/],
    [[], /at least one of/],
  ])('%j are refused', (texts, message) => {
    expect(() => parseAeads(texts)).toThrow(message);
  });
});
