// Charging transactions of a meter with the real core and an authenticated time, signed by a gateway in a process of its own
// and published by mosquitto: what arrives is what the meter recorded, verifies elsewhere, and comes once, also where the
// gateway is killed.
import { execFileSync } from 'node:child_process';
import { createHash, createPublicKey, generateKeyPairSync, randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { StorageMap } from '../../as/abi/codes.ts';
import { version } from '../../host/cli/program-info.ts';
import type { CoreModule } from '../../host/core/core.ts';
import { type LinkTransport, openLink } from '../../host/link/transports.ts';
import { SystemClock } from '../../host/meter/clocks.ts';
import { simulatedRegisters } from '../../host/meter/simulated-load.ts';
import { lineOf, SoftwareMeter } from '../../host/meter/software-meter.ts';
import { MemoryStorage } from '../../host/meter/storage.ts';
import { keysFileText, meterKeys } from '../../host/provision/meter-keys.ts';
import { encodeSeedSlot, encodeSettings } from '../../host/provision/settings-block.ts';
import { startChronyd } from '../../host/setup/chronyd.ts';
import { LabCa } from '../../host/setup/lab-ca.ts';
import { startMosquitto } from '../../host/setup/mosquitto.ts';
import { until } from '../../host/setup/until.ts';
import { encodeDynamic } from '../../host/tariff/dynamic-block.ts';
import { encodeProgram } from '../../host/tariff/program-block.ts';
import { buildDist } from '../../scripts/build-dist.mjs';
import { root } from '../../scripts/lib/project.mjs';
import { seededRandom } from '../core/random.ts';
import { berlin } from '../core/tariff-meter.ts';
import { CuttableLine } from '../e2e/cuttable-line.ts';
import { GatewayProcess } from '../e2e/gateway-process.ts';
import { drawnMoment } from '../e2e/restart-lab.ts';
import { runMetertime } from '../host/cli-run.ts';
import { coreModule } from '../host/gateway/software-meters.ts';
import { schemaProblem } from '../host/mqtt-schemas.ts';
import { type Seen, Watcher } from '../host/mqtt-watcher.ts';
import { opensslAccepts, roadLabs } from '../host/ocmf-verify.ts';
import { needPkcs11, softHsm } from '../host/soft-hsm.ts';

let folder = '';
let core: CoreModule;
let program = '';
beforeAll(async () => {
  core = await coreModule();
  mkdirSync(join(root, 'build'), { recursive: true });
  program = mkdtempSync(join(root, 'build', 'ocmf-'));
  await buildDist({ outDir: program });
}, 180_000);
afterAll(() => rmSync(program, { recursive: true, force: true }));
const cleanUp: (() => unknown)[] = [];
const key = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
const publicKeyPem = key.publicKey.export({ format: 'pem', type: 'spki' }).toString();
const rootKey = new Uint8Array(randomBytes(16));
const keyFile = () => join(folder, 'ocmf.pem');
const lineSocket = () => join(folder, 'm.sock');
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'metertime-ocmf-'));
  writeFileSync(keyFile(), key.privateKey.export({ format: 'pem', type: 'pkcs8' }), { mode: 0o600 });
  writeFileSync(join(folder, 'm1.keys.json'), keysFileText(meterKeys(rootKey, 'm1')), { mode: 0o600 });
});
afterEach(async () => {
  for (const undo of cleanUp.splice(0).reverse()) await undo();
  rmSync(folder, { recursive: true, force: true });
});

/** The line between meter and gateway. */
async function startLine(): Promise<CuttableLine> {
  const line = await CuttableLine.start(lineSocket(), { path: join(folder, 'g.sock') });
  cleanUp.push(() => line.stop());
  return line;
}

/** A meter with a register of energy, tariffs that switch every five seconds, and a calibration. */
function startMeter(server: { host: string; port: number }): SoftwareMeter {
  const storage = new MemoryStorage(StorageMap.TariffBytes);
  const fromMs = Math.floor(Date.now() / 1000) * 1000;
  const utcAfter = (seconds: number) => new Date(fromMs + seconds * 1000).toISOString().replace('.000Z', 'Z');
  const settings = {
    ...{ id: 'm1', servers: [server], firstDatesUnchecked: true },
    ...{ poll: { minSeconds: 1, maxSeconds: 4 }, reportSeconds: 1, spreadSeconds: 0 },
    calibration: { id: 'CAL-1', atUtc: '2020-01-01T00:00:00Z', untilUtc: '2060-01-01T00:00:00Z', uncertaintyPpb: 500 },
    registers: [{ obis: '1-0:1.8.0*255', scale: -3, unit: 30 }],
  };
  storage.write(StorageMap.Settings, encodeSettings(settings, rootKey));
  storage.write(StorageMap.SeedA, encodeSeedSlot(randomBytes(32), 1));
  storage.write(StorageMap.ProgramA, encodeProgram(berlin, 1));
  const entries = Array.from({ length: 96 }, (_, index) => ({ utc: utcAfter(5 * index), tariff: 1 + (index % 2) }));
  storage.write(StorageMap.DynamicA, encodeDynamic({ entries, endUtc: utcAfter(500) }, 1));
  const transport = openLink(`unix:${lineSocket()}`) as LinkTransport;
  const meter = new SoftwareMeter({
    clock: new SystemClock(),
    storage,
    entropy: () => new Uint8Array(randomBytes(32)),
    buildUnixSeconds: 1_700_000_000,
    board: 'test',
    version: '1.2.3',
    source: core,
    registers: simulatedRegisters(storage),
    line: lineOf(transport),
  });
  meter.start();
  transport.start();
  cleanUp.push(
    () => transport.close(),
    () => meter.powerCut(),
  );
  return meter;
}

/** @param signer its settings of `ocmf` that say what signs */
function gatewayOf(
  broker: string,
  caFile: string | undefined,
  signer: object,
  env?: NodeJS.ProcessEnv,
): GatewayProcess {
  const settings = {
    name: 'g1',
    links: [`unix-listen:${folder}/g.sock`],
    ...(caFile === undefined ? {} : { trust: { system: false, files: [caFile] } }),
    mqtt: { url: broker, willDelaySeconds: 0 },
    ocmf: {
      gatewaySerial: 'gw-1',
      meters: [{ keysFile: 'm1.keys.json', evse: 'DE*ABC*E1', current: 'DC', vendor: 'Test' }],
      ...signer,
    },
  };
  const gateway = new GatewayProcess(join(program, 'metertime.mjs'), folder, settings, env);
  cleanUp.push(() => gateway.kill());
  return gateway;
}

interface Published {
  readonly sequence: number;
  readonly transaction: number | null;
  readonly reasons: readonly string[];
  readonly status: { readonly letter: string };
  readonly readings: readonly { readonly value: string }[];
  readonly bytes: string;
}

const recordsOf = (watcher: Watcher) =>
  watcher
    .on('metertime/g1/m1/record')
    .map((text) => JSON.parse(text) as Published & { format: string })
    .filter(({ format }) => format === 'record');
const setsOf = (watcher: Watcher) => watcher.seen.filter(({ topic }) => topic === 'metertime/g1/m1/ocmf');
const numberOf = ({ properties }: Seen) => Number((properties.userProperties as { transaction: string }).transaction);

async function untilRecord(watcher: Watcher, transaction: number, reason: string): Promise<void> {
  const isIt = (record: Published) => record.transaction === transaction && record.reasons.includes(reason);
  await until(`${reason} of ${transaction}`, () => recordsOf(watcher).some(isIt), { timeoutMs: 30_000 });
}

async function untilSet(watcher: Watcher, transaction: number): Promise<Seen> {
  return until(`transaction ${transaction}`, () => setsOf(watcher).find((seen) => numberOf(seen) === transaction), {
    timeoutMs: 60_000,
  });
}

test('what the meter recorded of a transaction arrives signed, once, also where the gateway is killed at its end', {
  timeout: 240_000,
}, async () => {
  const random = seededRandom('transactions and kills');
  const ca = await LabCa.create();
  const caFile = join(folder, 'ca.pem');
  writeFileSync(caFile, ca.certificatePem);
  const server = await startChronyd({ ca, stratum: 2 });
  cleanUp.push(() => server.stop());
  const broker = await startMosquitto();
  cleanUp.push(() => broker.stop());
  const watcher = await Watcher.start(broker.url);
  cleanUp.push(() => watcher.stop());
  const gateway = gatewayOf(broker.url, caFile, { keyFile: 'ocmf.pem' });
  await gateway.start();
  const der = createPublicKey(publicKeyPem).export({ format: 'der', type: 'spki' });
  const sha256 = createHash('sha256').update(der).digest('hex');
  const logged = () => gateway.log.split('\n');
  expect(logged().find((text) => text.includes('charging transactions are signed'))).toContain(sha256);
  expect(gateway.log).not.toContain('PRIVATE');
  const line = await startLine();
  const meter = startMeter({ host: '127.0.0.1', port: server.kePort });
  await watcher.expect('metertime/g1/m1/time', { status: 'synchronised' }, 60_000);

  // A whole one, with a switch of the tariff in it.
  meter.transaction(true);
  await untilRecord(watcher, 1, 'switch');
  meter.transaction(false);
  const first = await untilSet(watcher, 1);
  expect(first.retain).toBe(false);
  expect(first.properties).toMatchObject({
    contentType: 'text/plain; charset=utf-8',
    payloadFormatIndicator: true,
    userProperties: { schema: 'metertime-ocmf/1', meter: 'm1', transaction: '1' },
  });
  expect(schemaProblem('ocmf', first.text)).toBeUndefined();
  const { payloadData } = (await roadLabs(first.text, publicKeyPem))!;
  expect(payloadData).toMatchObject({
    ...{ GS: 'gw-1', GV: version, PG: 'T1', MV: 'Test', MM: 'test', MS: 'm1', MF: '1.2.3' },
    ...{ IS: false, IT: 'NONE', CT: 'EVSEID', CI: 'DE*ABC*E1' },
  });
  await untilRecord(watcher, 1, 'transaction-end');
  const own = recordsOf(watcher).filter(
    ({ transaction, reasons }) => transaction === 1 && reasons.some((reason) => /switch|transaction/.test(reason)),
  );
  const readings = [...first.text.matchAll(/"TM":"[^"]* (.)","TX":"(.)","RV":([0-9.]+),/g)];
  expect(readings.map(([, letter]) => letter)).toEqual(own.map(({ status }) => status.letter));
  expect(new Set(own.map(({ status }) => status.letter))).toEqual(new Set('S'));
  expect(readings.map(([, , code]) => code)).toEqual(['B', ...own.slice(2).map(() => 'T'), 'E']);
  expect(readings.map(([, , , value]) => value)).toEqual(own.map((record) => record.readings[0]!.value));
  const { U } = JSON.parse(first.text.split('|')[1]!) as { U: { records: { bytes: string }[] } };
  expect(U.records.map(({ bytes }) => bytes)).toEqual(own.map(({ bytes }) => bytes));
  expect(first.properties.userProperties).toMatchObject({
    firstSequence: `${own[0]!.sequence}`,
    lastSequence: `${own.at(-1)!.sequence}`,
  });

  // One whose begin another process has seen, and whose meter does not answer before this one is killed, too.
  meter.transaction(true);
  await untilRecord(watcher, 2, 'transaction-begin');
  await gateway.kill();
  await gateway.start();
  const newest = () => Math.max(...recordsOf(watcher).map(({ sequence }) => sequence));
  const before = newest();
  await until('records go on', () => newest() > before, { timeoutMs: 30_000 });
  line.deaf = 'back';
  meter.transaction(false);
  await untilRecord(watcher, 2, 'transaction-end');
  await gateway.kill();
  expect(setsOf(watcher).map(numberOf)).toEqual([1]);
  line.deaf = undefined;
  await gateway.start();
  await untilSet(watcher, 2);

  // Killed at any time around the end.
  const last = 8;
  let kills = 0;
  const killAndStart = async () => {
    kills++;
    await gateway.kill();
    await gateway.start();
  };
  const killsBefore = new Map([[2, 0]]);
  for (let transaction = 3; transaction <= last; transaction++) {
    meter.transaction(true);
    await untilRecord(watcher, transaction, 'transaction-begin');
    if (random.below(2) === 0) await killAndStart();
    killsBefore.set(transaction, kills);
    meter.transaction(false);
    await drawnMoment(random, 60);
    await killAndStart();
  }
  // A whole one again: data sets are made one after the other, so behind it comes none of those before.
  meter.transaction(true);
  await untilRecord(watcher, last + 1, 'transaction-begin');
  killsBefore.set(last + 1, kills);
  meter.transaction(false);
  await untilSet(watcher, last + 1);
  const sets = setsOf(watcher);
  const numbers = Array.from({ length: last + 1 }, (_, index) => index + 1);
  expect([...new Set(sets.map(numberOf))].sort((a, b) => a - b)).toEqual(numbers);
  for (const transaction of numbers) {
    const [text, ...again] = sets.filter((seen) => numberOf(seen) === transaction).map((seen) => seen.text);
    // The same comes again where the gateway was killed before it knew that the broker has it, and only there.
    expect(again).toEqual(again.map(() => text));
    const most = transaction === 1 ? 0 : kills - killsBefore.get(transaction)!;
    expect(again.length).toBeLessThanOrEqual(most);
    expect((await roadLabs(text!, publicKeyPem))?.payloadData.RD.length).toBeGreaterThanOrEqual(2);
    expect(opensslAccepts(text!, publicKeyPem)).toBe(true);
  }
  expect(logged().filter((one) => /not signed|waits for its signature|defect/.test(one))).toEqual([]);
});

test('a token signs, and a wrong PIN ends the gateway at its start', { timeout: 120_000 }, async (context) => {
  needPkcs11(context);
  const { module, env } = softHsm(folder, keyFile());
  const broker = await startMosquitto();
  cleanUp.push(() => broker.stop());
  const watcher = await Watcher.start(broker.url);
  cleanUp.push(() => watcher.stop());
  const token = { tokenModule: module, tokenLabel: 'charger', tokenKey: 'ocmf' };
  const withoutPin = gatewayOf(broker.url, undefined, token, env);
  await expect(withoutPin.start()).rejects.toThrow(/PIN of the token .* METERTIME_TOKEN_PIN/);
  const wrong = { ...env, METERTIME_TOKEN_PIN: '9999' };
  await expect(gatewayOf(broker.url, undefined, token, wrong).start()).rejects.toThrow(/the PIN was not accepted/);
  writeFileSync(join(folder, 'pin'), '1234\n', { mode: 0o600 });
  const gateway = gatewayOf(broker.url, undefined, { ...token, tokenPinFile: 'pin' }, env);
  await gateway.start();
  await startLine();
  // It has no time: its records say so, and so does the data set.
  const meter = startMeter({ host: 'nothing.invalid', port: 4460 });
  await watcher.expect('metertime/g1/m1/state', { state: 'online' }, 30_000);
  meter.transaction(true);
  await untilRecord(watcher, 1, 'transaction-begin');
  meter.transaction(false);
  const { text } = await untilSet(watcher, 1);
  expect(opensslAccepts(text, publicKeyPem)).toBe(true);
  const { payloadData } = (await roadLabs(text, publicKeyPem))!;
  expect(payloadData.RD.map(({ TM, EF }) => `${TM.at(-1)} ${EF}`)).toEqual(['U t', 'U t']);
  expect(gateway.log).not.toContain('1234');
});

test('a gateway whose keys others can read, or are none, does not start, and says why', async () => {
  const settings = gatewayOf('mqtt://127.0.0.1:1', undefined, { keyFile: 'ocmf.pem' }).settingsFile;
  chmodSync(join(folder, 'm1.keys.json'), 0o644);
  const open = await runMetertime(['gateway', '-c', settings]);
  expect(open.exitCode).toBe(2);
  expect(open.stderr).toContain(`${folder}/m1.keys.json holds a secret and everyone can read it; run: chmod o-rwx`);
  chmodSync(join(folder, 'm1.keys.json'), 0o600);
  expect(await runMetertime(['gateway', '-c', settings, '--check'])).toMatchObject({
    exitCode: 0,
    stdout: expect.stringContaining('OCMF of 1 meter'),
  });
  execFileSync('openssl', ['ecparam', '-name', 'secp384r1', '-genkey', '-noout', '-out', keyFile()], { stdio: 'pipe' });
  const other = await runMetertime(['gateway', '-c', settings]);
  expect(other.exitCode).toBe(2);
  expect(other.stderr).toMatch(/ocmf\.keyFile is "ocmf\.pem"; expected an EC key on secp256r1, came one on secp384r1/);
});
