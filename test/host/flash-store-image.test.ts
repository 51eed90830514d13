// The image of a flash with a storage in it, written and read on the host; and a meter provisioned into one. That the
// firmware reads what is written here, test/e2e/board-riscv-virt.test.ts shows.
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { afterAll, describe, expect, it } from 'vitest';
import { decodeFlashImage, encodeFlashImage, isFlashImage } from '../../host/provision/flash-store-image.ts';
import { type MeterSettings, settingsDefaults } from '../../host/provision/settings-block.ts';
import {
  keysKept,
  provisionStorage,
  readStorage,
  readStorageSettings,
  storageFileBytes,
} from '../../host/provision/storage-file.ts';
import { seededRandom } from '../core/random.ts';

const folder = mkdtempSync(join(tmpdir(), 'mt-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const nrf51 = { units: 24, unitBytes: 1024, programBytes: 4 };
const geometries = [
  nrf51,
  { units: 5, unitBytes: 65_536, programBytes: 4 },
  { units: 40, unitBytes: 2048, programBytes: 16 },
  { units: 64, unitBytes: 512, programBytes: 32 },
  { units: 64, unitBytes: 1024, programBytes: 64 },
  { units: 64, unitBytes: 1024, programBytes: 128 },
  { units: 8, unitBytes: 16_384, programBytes: 512 },
];

describe('an image', () => {
  it('holds a storage, and tells how the flash is laid out', () => {
    const random = seededRandom('flash images');
    for (const geometry of geometries) {
      const contents = Buffer.from(random.bytes(5120));
      // Pages that were never written have ones.
      contents.fill(0xff, 1024, 2048).fill(0xff, 5056);
      const image = encodeFlashImage(contents, geometry);
      expect(image).toHaveLength(geometry.units * geometry.unitBytes);
      expect(isFlashImage(image)).toBe(true);
      expect(decodeFlashImage(image)).toEqual({ contents, geometry });
      // As in an emulator's file that is larger.
      const file = Buffer.concat([image, Buffer.alloc(1 << 20)]);
      expect(decodeFlashImage(file)).toEqual({ contents, geometry });
    }
  });

  it('does without a page whose record is damaged', () => {
    const contents = Buffer.alloc(2048, 0x5a);
    const image = encodeFlashImage(contents, nrf51);
    for (let byte = 0; byte < 72; byte++) {
      const damaged = Buffer.from(image);
      damaged[16 + 72 + byte]! ^= 0x10;
      expect(decodeFlashImage(damaged).contents).toEqual(Buffer.from(contents).fill(0xff, 64, 128));
    }
  });

  it('takes the record of the highest sequence, and in its unit the last', () => {
    const contents = Buffer.alloc(128, 1);
    const image = encodeFlashImage(contents, { ...nrf51, units: 8 });
    const put = (at: number, sequence: number, byte: number) => {
      const record = Buffer.alloc(72, byte);
      record.writeUInt32LE(0xffff_0000, 0);
      record.writeUInt32LE(sequence, 4);
      record.writeUInt32LE(crc32(record), 4);
      record.copy(image, at);
    };
    // The first unit is the newest, and so has the highest sequence; the next one is the oldest.
    put(1024 + 16, 1, 2);
    expect(decodeFlashImage(image).contents).toEqual(contents);
    put(16 + 5 * 72, 8, 3);
    expect(decodeFlashImage(image).contents).toEqual(Buffer.concat([Buffer.alloc(64, 3), Buffer.alloc(64, 1)]));
    // Of another unit's sequence, it does not count.
    put(16 + 6 * 72, 7, 4);
    expect(decodeFlashImage(image).contents).toEqual(Buffer.concat([Buffer.alloc(64, 3), Buffer.alloc(64, 1)]));
  });

  it('is refused for a storage that the flash has no room for', () => {
    const room = (nrf51.units - 3) * 14 * 64;
    expect(() => encodeFlashImage(Buffer.alloc(room), nrf51)).not.toThrow();
    expect(() => encodeFlashImage(Buffer.alloc(room + 64), nrf51)).toThrow('too few');
  });
});

describe('a meter', () => {
  const settings: MeterSettings = {
    ...settingsDefaults,
    id: 'meter-1',
    servers: [{ host: 'time.example', port: 4460 }],
  };

  it('is provisioned into erased flash and again, and each unit was erased once more', () => {
    const path = join(folder, 'flash');
    writeFileSync(path, Buffer.alloc(nrf51.units * nrf51.unitBytes, 0xff));
    const options = { bytes: 5120, flash: nrf51 };
    expect(provisionStorage(path, settings, options)).toMatchObject({ bytes: 5120, before: 'nothing', rootKey: 'new' });
    expect(readStorageSettings(path)).toEqual(settings);
    const first = readStorage(path);
    expect(first).toHaveLength(5120);

    const changed = { ...settings, reportSeconds: 77 };
    expect(provisionStorage(path, changed)).toMatchObject({ bytes: 5120, before: 'this-meter', rootKey: 'kept' });
    expect(readStorageSettings(path)).toEqual(changed);
    const image = readFileSync(path);
    expect(image).toHaveLength(nrf51.units * nrf51.unitBytes);
    for (let unit = 0; unit < nrf51.units; unit++) expect(image.readUInt32LE(unit * nrf51.unitBytes + 8)).toBe(2);
    expect(() => provisionStorage(path, { ...settings, id: 'meter-2' })).toThrow('belongs to meter meter-1');
  });

  it('has no storage in flash whose records are gone, nor in a file that is too large', () => {
    const path = join(folder, 'damaged');
    provisionStorage(path, settings, { bytes: 5120, flash: nrf51 });
    const image = readFileSync(path);
    for (let at = 0; at < image.length; at++) if (at % 1024 >= 16) image[at] = 0;
    writeFileSync(path, image);
    expect(() => readStorageSettings(path)).toThrow('its flash has no page of a storage');
    const large = join(folder, 'large');
    writeFileSync(large, 'x');
    truncateSync(large, 600_000);
    expect(() => readStorageSettings(large)).toThrow('expected at most 524288 bytes, came 600000');
  });

  it('is provisioned into erased flash that is larger than any storage, in a file that is larger still', () => {
    const path = join(folder, 'erased');
    const flash = { units: 4, unitBytes: 262_144, programBytes: 4 };
    writeFileSync(path, Buffer.alloc(flash.units * flash.unitBytes, 0xff));
    truncateSync(path, 2 << 20);
    const options = { bytes: 131_072, flash };
    expect(storageFileBytes(path, options)).toBeUndefined();
    expect(keysKept(path, settings.id, options)).toBeUndefined();
    expect(provisionStorage(path, settings, options)).toMatchObject({ bytes: 131_072, before: 'nothing' });
    expect(storageFileBytes(path, options)).toBe(131_072);
  });

  it('replaces what cannot be read by force only', () => {
    const path = join(folder, 'forced');
    const options = { bytes: 5120, flash: nrf51 };
    provisionStorage(path, settings, options);
    const image = readFileSync(path);
    for (let at = 0; at < image.length; at++) if (at % 1024 >= 16) image[at] = 0;
    writeFileSync(path, image);
    expect(() => provisionStorage(path, settings, options)).toThrow('its flash has no page of a storage');
    expect(provisionStorage(path, settings, { ...options, force: true })).toMatchObject({ rootKey: 'new' });
    expect(readStorageSettings(path)).toEqual(settings);
  });

  it('that is too large for its flash is refused as that', () => {
    const path = join(folder, 'large-storage');
    const provision = () => provisionStorage(path, settings, { bytes: 65_536, flash: nrf51 });
    expect(provision).toThrow(expect.objectContaining({ code: 'provision-size' }));
    expect(provision).toThrow(/24 units of 1024 bytes are too few for a storage of 65536; choose fewer --bytes/);
  });
});
