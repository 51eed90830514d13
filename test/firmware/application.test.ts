// What an application in the firmware can ask and tell: the product with application/application.c in its main loop, in
// QEMU, at a gateway, against chronyd. A processor that is halted for a while, with its clocks, is late by that.
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ClockStatus, MeterEvent, TimeFlag } from '../../as/abi/codes.ts';
import { type Board, buildFirmware, type Emulator, loadBoard, startEmulator } from '../../host/build/index.ts';
import type { Gateway } from '../../host/gateway/gateway.ts';
import { openLink } from '../../host/link/transports.ts';
import { settingsDefaults } from '../../host/provision/settings-block.ts';
import { provisionStorage } from '../../host/provision/storage-file.ts';
import { timeProfiles } from '../../host/provision/time-rules.ts';
import { type Chronyd, startChronyd } from '../../host/setup/chronyd.ts';
import { LabCa } from '../../host/setup/lab-ca.ts';
import { until } from '../../host/setup/until.ts';
import { root } from '../../scripts/lib/project.mjs';
import { labGateway } from '../e2e/lab.ts';
import { MeterWatch } from '../e2e/watch.ts';
import { boardName, temporaryFolder } from './echo-meter.ts';

const temporary = temporaryFolder();
const paths = Object.fromEntries(
  ['checkout', 'link', 'storage', 'application'].map((name) => [name, join(temporary.path, name)]),
) as Record<'checkout' | 'link' | 'storage' | 'application', string>;

/** The firmware with the application, built from a copy of what the build reads. */
async function buildApplication(): Promise<string> {
  mkdirSync(join(paths.checkout, 'host'), { recursive: true });
  for (const path of ['firmware', 'boards', 'host/build', 'package.json']) {
    cpSync(join(root, path), join(paths.checkout, path), { recursive: true });
  }
  symlinkSync(join(root, 'node_modules'), join(paths.checkout, 'node_modules'));
  const glue = join(paths.checkout, 'firmware', 'glue');
  cpSync(join(root, 'test', 'firmware', 'application', 'application.c'), join(glue, 'application.c'));
  const main = readFileSync(join(glue, 'main.c'), 'utf8');
  const step = 'if (!loop_step() && !main_measure_stack()) main_sleep();';
  expect(main).toContain(step);
  const called = main
    .replace(step, `application_step();\n    ${step}`)
    .replace(/^#ifdef BOARD_PROCESS\nint main/m, 'void application_step(void);\n\n$&');
  writeFileSync(join(glue, 'main.c'), called);
  // It needs flash and RAM of its own.
  const file = join(paths.checkout, 'boards', boardName, 'board.json');
  const board = JSON.parse(readFileSync(file, 'utf8')) as Board;
  const budgets = { flashBytes: 2 * board.budgets.flashBytes, ramBytes: 2 * board.budgets.ramBytes };
  writeFileSync(file, JSON.stringify({ ...board, budgets }));
  const outDir = join(root, 'build', 'test', `application-${boardName}`);
  const report = await buildFirmware({ board: boardName, root: paths.checkout, outDir });
  // Its stack is proven as the product's.
  expect(report.stack.unboundedBy).toBeUndefined();
  return report.elfPath;
}

/** The board with a socket at the second UART. */
function withSecondUart(): Board {
  const board = loadBoard(boardName);
  const { program, arguments: all } = board.emulation!;
  const device = ['-chardev', `socket,id=application,path=${paths.application},server=on,wait=off`];
  return { ...board, emulation: { program, arguments: [...all, ...device, '-serial', 'chardev:application'] } };
}

/** `struct core_time`, and what loop_ask_time returned. */
interface AskedTime {
  readonly known: boolean;
  readonly status: ClockStatus;
  readonly flags: number;
  readonly invalidations: number;
  readonly utcNs: bigint;
  readonly boundNs: number;
  readonly uncertaintyNs: number;
  /** As the core has it: noise, asymmetry, server, stamps, slew, frequency and its uncertainty. */
  readonly budget: readonly number[];
  readonly sampleAgeNs: number;
  /** Asked time minus the host's when it came: no more than this, and less by as long as the answer was on its way. */
  readonly aheadNs: number;
}

/** The test's end of the application. */
class Application {
  #socket: Socket;
  #text = '';

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk) => {
      this.#text += chunk;
    });
  }

  static async open(): Promise<Application> {
    const socket = connect(paths.application);
    await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject));
    return new Application(socket);
  }

  async command(letter: string): Promise<bigint[]> {
    this.#text = '';
    this.#socket.write(letter);
    await until(`an answer to ${letter}`, () => this.#text.endsWith('\n'), { intervalMs: 1 });
    return this.#text
      .trim()
      .split(' ')
      .map((digits) => BigInt.asIntN(64, BigInt(`0x${digits}`)));
  }

  /** Tells something, once. */
  async tell(letter: 'b' | 'e' | 'c'): Promise<void> {
    expect(await this.command(letter)).toEqual([1n]);
  }

  async ask(): Promise<AskedTime> {
    const numbers = await this.command('a');
    const hostNs = BigInt(Math.round((performance.timeOrigin + performance.now()) * 1e6));
    expect(numbers).toHaveLength(15);
    const [known, status, flags, invalidations, utcNs] = numbers as [bigint, bigint, bigint, bigint, bigint];
    const [boundNs, uncertaintyNs, ...rest] = numbers.slice(5).map(Number) as [number, number, ...number[]];
    return {
      ...{ known: known === 1n, status: Number(status), flags: Number(flags), invalidations: Number(invalidations) },
      ...{ utcNs, boundNs, uncertaintyNs, budget: rest.slice(0, 7), sampleAgeNs: rest[7]! },
      aheadNs: Number(utcNs - hostNs),
    };
  }

  /** Asks until the time is as wanted. */
  until(what: string, wanted: (time: AskedTime) => boolean): Promise<AskedTime> {
    let last: AskedTime | undefined;
    const ask = async () => {
      last = await this.ask();
      if (wanted(last)) return last;
      const { boundNs, aheadNs, budget, flags } = last;
      throw new Error(`bound ${boundNs}, ahead ${aheadNs}, budget ${budget}, flags ${flags}`);
    };
    return until(what, ask, { timeoutMs: 60_000, intervalMs: 100 });
  }

  close(): void {
    this.#socket.destroy();
  }
}

let server: Chronyd | undefined;
let gateway: Gateway | undefined;
let emulator: Emulator | undefined;
let application: Application;
let watch: MeterWatch;

beforeAll(async () => {
  const ca = await LabCa.create();
  server = await startChronyd({ ca });
  const board = withSecondUart();
  const servers = [{ host: '127.0.0.1', port: server.kePort }];
  const often = { poll: { minSeconds: 1, maxSeconds: 1 }, reportSeconds: 2, spreadSeconds: 0 };
  const timeRules = {
    ...timeProfiles.default.rules,
    invalidMs: 1000,
    refuseMs: 4000,
    duringTransaction: 'wait' as const,
  };
  const settings = { ...settingsDefaults, ...often, id: 'application', servers, timeRules };
  provisionStorage(paths.storage, settings, { bytes: board.storage.bytes });
  gateway = labGateway(ca);
  watch = new MeterWatch(gateway, 'application');
  const image = await buildApplication();
  emulator = await startEmulator({ board, image, link: paths.link, storageFile: paths.storage });
  application = await Application.open();
}, 120_000);

afterAll(async () => {
  application?.close();
  await gateway?.stop();
  await emulator?.kill();
  await server?.stop();
  temporary.remove();
});

/** Halts the meter's clock: from then on it is late by that. */
async function haltFor(seconds: number): Promise<void> {
  await emulator!.pause();
  await delay(seconds * 1000);
  await emulator!.resume();
}

/** A time whose bound holds at the host, on its way for at most 0.3 s. */
const right = ({ known, aheadNs, boundNs }: AskedTime) => known && aheadNs <= boundNs && aheadNs >= -boundNs - 3e8;

const second = 1e9;

it('has no time before it is synchronised, and says so', async () => {
  expect(await application.ask()).toMatchObject({
    ...{ known: false, status: ClockStatus.Unsynchronised, flags: 0, invalidations: 0 },
    ...{ utcNs: 0n, boundNs: 0, uncertaintyNs: 0, budget: [0, 0, 0, 0, 0, 0, 0], sampleAgeNs: -1 },
  });
});

it('gives the time that the core has, once it is synchronised', { timeout: 60_000 }, async () => {
  gateway!.addLink(openLink(`unix:${paths.link}`) as Parameters<Gateway['addLink']>[0]);
  await watch.synchronised();
  const time = await application.until('a time that is right', (asked) => right(asked) && asked.boundNs < 0.1 * second);
  expect(time).toMatchObject({ status: ClockStatus.Synchronised, invalidations: 0 });
  // What a busy network moves the clock by is slewed.
  expect(time.flags & ~TimeFlag.Slewing).toBe(TimeFlag.SingleSource);
  expect(time.sampleAgeNs).toBeGreaterThanOrEqual(0);
  expect(time.sampleAgeNs).toBeLessThan(30 * second);
  // The budget adds up to the uncertainty as far as the bound lets it (as/abi/codes.ts).
  const [noise, asymmetry, fromServer, stamps, slew, , frequencyUncertainty] = time.budget as [number, ...number[]];
  const sum = 2 * Math.hypot(noise, asymmetry!, fromServer!, stamps!) + slew!;
  expect(Math.abs(Math.min(sum, time.boundNs) - time.uncertaintyNs)).toBeLessThan(100);
  expect(time.uncertaintyNs).toBeGreaterThan(0);
  expect(frequencyUncertainty).toBeGreaterThan(0);
  // Between two of the core's own reports lies what is asked between them.
  const before = watch.times.length;
  const earlier = await watch.until('a report', () => watch.times.length > before && watch.times.at(-1));
  const asked = await application.ask();
  expect(asked.utcNs).toBeGreaterThan(earlier.utcNs);
  // One that is on its way already is of an earlier time.
  await watch.nextTime('a later report', ({ utcNs }) => utcNs > asked.utcNs);
});

it('lets a correction wait for the end of a transaction', { timeout: 120_000 }, async () => {
  await application.tell('b');
  await haltFor(2);
  // The core knows how late it is, and goes on as it was.
  const held = await application.until('the delay known', ({ budget }) => budget[4]! > 1.5 * second);
  for (const { aheadNs, invalidations, boundNs } of [held, await application.ask()]) {
    expect(aheadNs).toBeLessThan(-1.5 * second);
    expect(boundNs).toBeGreaterThan(1.5 * second);
    expect(invalidations).toBe(0);
  }
  expect(watch.events.map(({ code }) => code)).not.toContain(MeterEvent.ClockRefused);
  await application.tell('e');
  const corrected = await application.until('the correction', ({ aheadNs }) => aheadNs > -0.5 * second);
  expect(corrected.invalidations).toBe(1);
  expect(corrected.budget[4]).toBeLessThan(0.1 * second);
});

it('has a refused correction done when it is accepted', { timeout: 120_000 }, async () => {
  await haltFor(5);
  const refused = await application.until('a refusal', ({ flags }) => (flags & TimeFlag.ClockRefused) !== 0);
  expect(refused.aheadNs).toBeLessThan(-4 * second);
  expect(refused.invalidations).toBe(1);
  await application.tell('c');
  const accepted = await application.until('the correction', ({ aheadNs }) => aheadNs > -0.5 * second);
  expect(accepted.flags & TimeFlag.ClockRefused).toBe(0);
  expect(accepted.invalidations).toBe(2);
});

it('asks behind what waits: what it told, and frames', async () => {
  const [before, after] = (await application.command('f')).map(Number) as [number, number];
  // The core's own answers may wait as well, but not all the time.
  expect(before).toBeLessThanOrEqual(4);
  expect(after).toBeGreaterThan(0);
  expect(after).toBeLessThanOrEqual(4);
  expect(await application.command('w')).toEqual([1n]);
  expect((await application.ask()).known).toBe(true);
});
