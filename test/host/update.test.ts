// metertime update, and updates sent over a link: broken off anywhere, and gone on with.
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Slot, SlotFlag, StorageMap } from '../../as/abi/codes.ts';
import { ExitCode } from '../../host/cli/exit-codes.ts';
import { MeterSessionError } from '../../host/gateway/meter-commands.ts';
import { createPair } from '../../host/link/transports.ts';
import { SystemClock } from '../../host/meter/clocks.ts';
import { MemoryFlash, MeterSlots } from '../../host/meter/slots.ts';
import { lineOf, SoftwareMeter } from '../../host/meter/software-meter.ts';
import { MemoryStorage } from '../../host/meter/storage.ts';
import { encodeSeedSlot, encodeSettings } from '../../host/provision/settings-block.ts';
import { until } from '../../host/setup/until.ts';
import { UpdateLink } from '../../host/update/at-link.ts';
import { publicKeyHex, readUpdateKey } from '../../host/update/key.ts';
import { decodeUpdate, makeImage, signImage, UpdateError } from '../../host/update/manifest.ts';
import { sendUpdate } from '../../host/update/send.ts';
import { versionNumber, versionText } from '../../host/update/version.ts';
import { buildCore } from '../../scripts/build-core.mjs';
import { publicKeyOf, signingKey } from '../core/ed25519-reference.ts';
import { seededRandom } from '../core/random.ts';
import { runMetertime } from './cli-run.ts';

let folder = '';
const file = (name: string) => join(folder, name);
let core: Uint8Array;
beforeAll(async () => {
  core = new Uint8Array(readFileSync((await buildCore()).path));
  folder = mkdtempSync(join(tmpdir(), 'metertime-update-'));
}, 120_000);
afterAll(() => rmSync(folder, { recursive: true }));

describe('versions', () => {
  it.each([
    ['0.0.0', 0],
    ['1.2.3', 0x0102_0003],
    ['255.255.65535', 0xffff_ffff],
  ])('%s', (text, number) => {
    expect(versionNumber(text)).toBe(number);
    expect(versionText(number)).toBe(text);
  });

  it.each(['1.2', '256.0.0', '0.0.65536', 'v1.2.3', '1.2.3-rc', ''])('%s is none', (text) => {
    expect(versionNumber(text)).toBeUndefined();
  });
});

describe('metertime update', () => {
  it('makes a key, packs, signs and shows; a file that was changed anywhere is none', async () => {
    const key = await runMetertime(['update', 'key', file('key.pem')]);
    expect(key.exitCode).toBe(ExitCode.Ok);
    const digits = key.stdout.trim();
    expect(digits).toMatch(/^[0-9a-f]{64}$/);
    expect(statSync(file('key.pem')).mode & 0o777).toBe(0o600);
    expect((await runMetertime(['update', 'key', file('key.pem')])).exitCode).toBe(ExitCode.Failed);
    expect((await runMetertime(['update', 'key', file('key.pem'), '--existing'])).stdout).toBe(key.stdout);
    expect(publicKeyHex(readUpdateKey(file('key.pem')))).toBe(digits);

    writeFileSync(file('a.bin'), randomBytes(999));
    writeFileSync(file('b.bin'), randomBytes(1000));
    writeFileSync(file('core.wasm'), 'core');
    const pack = ['update', 'pack', '--board', 'x', '--release', '1.2.3', '--floor', '1.0.0', '--built', '1795000000'];
    const files = ['--a', file('a.bin'), '--b', file('b.bin'), '--core', file('core.wasm'), '-o', file('x.mtup')];
    expect((await runMetertime([...pack, ...files])).stdout).toContain('Signature         : none');
    const signed = await runMetertime([
      'update',
      'sign',
      file('x.mtup'),
      '--key',
      file('key.pem'),
      '-o',
      file('s.mtup'),
    ]);
    expect(signed.stdout.match(/there, and it holds/g)).toHaveLength(2);
    const shown = await runMetertime(['update', 'show', file('s.mtup'), '--key', digits, '--json']);
    const facts = { board: 'x', version: '1.2.3', floor: '1.0.0', signed: true, signatureHolds: true };
    expect(JSON.parse(shown.stdout)).toMatchObject([
      { ...facts, slot: 'A', imageBytes: 1000 },
      { ...facts, slot: 'B', imageBytes: 1000, coreSha256: createHash('sha256').update('core').digest('hex') },
    ]);
    const other = await runMetertime(['update', 'show', file('s.mtup'), '--key', '11'.repeat(32)]);
    expect(other.exitCode).toBe(ExitCode.Failed);

    const bytes = readFileSync(file('s.mtup'));
    expect(decodeUpdate(bytes)).toHaveLength(2);
    const random = seededRandom('changed updates');
    for (let i = 0; i < 200; i++) {
      const changed = Buffer.from(bytes);
      const at = random.below(changed.length);
      changed[at]! ^= 1 << random.below(8);
      let read: ReturnType<typeof decodeUpdate> = [];
      try {
        read = decodeUpdate(changed);
      } catch (error) {
        expect(error).toBeInstanceOf(UpdateError);
        continue;
      }
      // What is left is a manifest, or a signature, that is another one.
      expect(at).toBeLessThan(8 + 2 * 192);
      expect(read).toHaveLength(2);
    }
    expect(() => decodeUpdate(bytes.subarray(0, -1))).toThrow(UpdateError);
    expect(() => decodeUpdate(Buffer.concat([bytes, Buffer.of(0)]))).toThrow(UpdateError);
  });

  it('does not use a key that others may read', async () => {
    await runMetertime(['update', 'key', file('open.pem')]);
    writeFileSync(file('read.pem'), readFileSync(file('open.pem')), { mode: 0o644 });
    const { exitCode, stderr } = await runMetertime(['update', 'key', file('read.pem'), '--existing']);
    expect([exitCode, stderr]).toEqual([ExitCode.Failed, expect.stringContaining('may be read by others')]);
    expect(stderr).not.toContain('PRIVATE');
  });
});

describe('over a link', () => {
  const key = signingKey(new Uint8Array(32).fill(9));
  const board = 'test';
  const slotBytes = 112 * 1024;

  function makeMeter() {
    const storage = new MemoryStorage(StorageMap.UpdateBytes);
    const settings = {
      id: 'm1',
      servers: [{ host: 'nothing.invalid', port: 4460 }],
      firstDatesUnchecked: true,
      poll: { minSeconds: 16, maxSeconds: 64 },
      reportSeconds: 5,
      updateKey: publicKeyOf(key),
    };
    storage.write(StorageMap.Settings, encodeSettings(settings, randomBytes(16)));
    storage.write(StorageMap.SeedA, encodeSeedSlot(randomBytes(32), 1));
    const slots = new MeterSlots(new MemoryFlash(MeterSlots.flashBytes(slotBytes)));
    const padded = makeImage(Slot.A, core, { ...facts(1), version: 1 }).image;
    slots.install(padded, 1);
    const [meterEnd, gatewayEnd] = createPair('update');
    const meter = new SoftwareMeter({
      clock: new SystemClock(),
      storage,
      slots,
      entropy: () => new Uint8Array(randomBytes(32)),
      buildUnixSeconds: 1_790_000_000,
      board,
      line: lineOf(meterEnd),
    });
    meterEnd.start();
    meter.start();
    return { meter, slots, gatewayEnd };
  }

  const facts = (version: number) => ({
    board,
    version,
    floor: 0,
    buildUnixSeconds: 1_795_000_000n,
    coreSha256: new Uint8Array(createHash('sha256').update(core).digest()),
  });

  /** Other bytes than those that run: a section of its own behind the core. */
  const other = () => Buffer.concat([core, Buffer.of(0, 6, 1, 0x78, 1, 2, 3, 4)]);

  it('arrives whole, though the link breaks and the meter is switched off at any message', async () => {
    const { meter, gatewayEnd } = makeMeter();
    const link = new UpdateLink(gatewayEnd);
    const images = ([Slot.A, Slot.B] as const).map((slot) => signImage(makeImage(slot, other(), facts(2)), key));
    const random = seededRandom('update link cuts');
    let asked = 0;
    let broken = 0;
    let highest = 0;
    const target = {
      get slots() {
        return link.slots;
      },
      get commands() {
        const { commands } = link;
        if (commands === undefined) return undefined;
        return {
          update: (step: Parameters<typeof commands.update>[0]) => {
            asked++;
            // At each of the first messages, then at random.
            const breaks = asked <= 3 || random.below(100) === 0;
            if (!breaks || broken === 5) return commands.update(step);
            broken++;
            if (random.below(3) === 0) {
              meter.powerCut();
              meter.start();
              return Promise.reject(new MeterSessionError('meter-offline', 'switched off'));
            }
            const done = commands.update(step);
            if (random.below(2) === 0) link.restart();
            else setImmediate(() => link.restart());
            return done;
          },
        };
      },
    };
    const taken = await sendUpdate(target, images, { onProgress: (sent) => (highest = Math.max(highest, sent)) });
    expect(taken.manifest.slot).toBe(Slot.B);
    expect(broken).toBeGreaterThan(3);
    expect(highest).toBe(taken.image.length);
    await until('a start from the other slot', () => link.slots?.slot === Slot.B, { timeoutMs: 20_000 });
    expect(link.slots).toMatchObject({ imageVersion: 2, flags: SlotFlag.Trial });
    await link.close();
    await meter.stop();
  }, 90_000);

  it('says in words what the meter refuses', async () => {
    const { meter, gatewayEnd } = makeMeter();
    const link = new UpdateLink(gatewayEnd);
    const image = makeImage(Slot.B, other(), facts(2));
    await expect(sendUpdate(link, [image])).rejects.toThrow(/not signed/);
    await expect(sendUpdate(link, [signImage(makeImage(Slot.A, other(), facts(2)), key)])).rejects.toThrow(/no image/);
    const forged = signImage(image, signingKey(new Uint8Array(32)));
    await expect(sendUpdate(link, [forged])).rejects.toThrow(/signature does not hold/);
    const elsewhere = signImage(makeImage(Slot.B, other(), { ...facts(2), board: 'another' }), key);
    await expect(sendUpdate(link, [elsewhere])).rejects.toThrow(/for another board/);
    await link.close();
    await meter.stop();
  }, 30_000);
});
