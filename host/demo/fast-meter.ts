// A meter in software and its time server, both in a time that runs faster than the machine's: with tariffs, records and
// logbook, provisioned as `metertime provision` does, on a line to the demo's gateway.
// What always holds: time runs fast only while nothing is on its way on the line, on sockets or to the storage.
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { releaseUnixSeconds, version } from '../cli/program-info.ts';
import type { Gateway } from '../gateway/gateway.ts';
import type { MeterSession } from '../gateway/meter-session.ts';
import { createPair } from '../link/transports.ts';
import { AcceleratedClock } from '../meter/accelerated-clock.ts';
import type { MeterStorage, TariffSwitch } from '../meter/parts.ts';
import { simulatedRegisters } from '../meter/simulated-load.ts';
import { type MeterLine, SoftwareMeter } from '../meter/software-meter.ts';
import { FileStorage } from '../meter/storage.ts';
import { writeKeysFiles } from '../provision/keys-files.ts';
import { type MeterSettings, settingsDefaults } from '../provision/settings-block.ts';
import { newTariffStorageBytes, provisionStorage, readStorageKeys } from '../provision/storage-file.ts';
import { tariffRulesDefaults } from '../provision/tariff-settings.ts';
import type { IssuedCertificate } from '../setup/lab-ca.ts';
import { NtsServer } from '../setup/nts-server.ts';
import { TariffEngine } from '../tariff/engine.ts';
import { type TariffProgram, utcText } from '../tariff/model.ts';
import { encodeProgram } from '../tariff/program-block.ts';
import { nsPerSecond } from '../text/utc.ts';
import { bestCheck, type ClockCheck, looksMade } from './clock-check.ts';

/** How many times as fast as the machine's its time runs. */
export const speed = 60;
export const periodMinutes = 5;
export const calibrationId = 'DEMO-0001';

/** After something has passed on the line, what it led to has this long, in any case this many turns of the event loop. */
const settling = { ms: 8, turns: 8 } as const;
const daySeconds = 86_400;

/** Tariff 2 at night, tariff 1 by day, in Berlin's legal time. */
export const program: TariffProgram = {
  name: 'day-and-night',
  zone: 'CET-1CEST,M3.5.0,M10.5.0/3',
  defaultTariff: 2,
  seasons: [{ name: 'all year', start: { month: 1, day: 1 }, week: 'any' }],
  weeks: [{ name: 'any', days: [1, 1, 1, 1, 1, 1, 1] }],
  days: [
    {
      id: 1,
      actions: [
        { time: '06:00', tariff: 1 },
        { time: '22:00', tariff: 2 },
      ],
    },
  ],
};

/** The next switch to tariff 1, and not just now. */
export interface MorningSwitch {
  readonly utcSeconds: number;
  /** Local time minus UTC. */
  readonly offsetSeconds: number;
}

export function nextMorning(nowMs = Date.now()): MorningSwitch {
  const engine = new TariffEngine();
  engine.useProgram(encodeProgram(program));
  const from = Math.floor(nowMs / 1000) + daySeconds / 4;
  const found = engine.switches(from, from + 2 * daySeconds, 4).find(({ tariff }) => tariff === 1);
  if (found === undefined) throw new Error('expected a switch to tariff 1 within two days, came none');
  return { utcSeconds: found.utc, offsetSeconds: found.offsetSeconds };
}

export interface FastMeterOptions {
  readonly id: string;
  readonly folder: string;
  readonly gateway: Gateway;
  /** Of its time server, for localhost. */
  readonly certificate: IssuedCertificate;
  /** When it begins. */
  readonly startUtcSeconds: number;
  readonly onTariff: (tariff: TariffSwitch) => void;
  readonly onEnd: (reason: string) => void;
}

/** A meter with its time server. */
export class FastMeter {
  readonly clock: AcceleratedClock;
  readonly #utcMinusTicks: bigint;
  #underWay = 0;
  #lastMs = 0;
  #turns = 0;
  #session: MeterSession | undefined;
  #meter: SoftwareMeter | undefined;
  #storage: FileStorage | undefined;

  private constructor(
    private readonly options: FastMeterOptions,
    readonly files: { readonly storage: string; readonly keys: string },
  ) {
    this.clock = new AcceleratedClock({ speed, isBusy: () => this.#isBusy() });
    this.#utcMinusTicks = BigInt(options.startUtcSeconds) * nsPerSecond - this.clock.nowTicks();
  }

  /** There once it is provisioned. */
  server!: NtsServer;

  /** Provisions it and starts its server; it is off. */
  static async create(options: FastMeterOptions): Promise<FastMeter> {
    const file = (name: string) => join(options.folder, `${options.id}.${name}`);
    const made = new FastMeter(options, { storage: file('eeprom'), keys: file('keys.json') });
    made.server = await NtsServer.start({ certificate: options.certificate, utcNs: () => made.utcNs() });
    provisionStorage(made.files.storage, settingsOf(options, made.server.kePort), {
      bytes: newTariffStorageBytes,
      program: encodeProgram(program),
    });
    writeKeysFiles({ keys: made.files.keys }, readStorageKeys(made.files.storage), false);
    return made;
  }

  /** The right time, which its server gives: UTC, ns. */
  utcNs(): bigint {
    return this.clock.nowTicks() + this.#utcMinusTicks;
  }

  /** Its clock against the right time. */
  check(): ClockCheck {
    const looks = Array.from({ length: looksMade }, () => {
      const before = this.utcNs();
      const { utcNs, boundNs } = this.meter.time();
      const widthNs = this.utcNs() - before;
      return { ns: utcNs - before - widthNs / 2n, halfWidthNs: (widthNs + 1n) / 2n, boundNs };
    });
    return bestCheck(looks);
  }

  get meter(): SoftwareMeter {
    if (this.#meter === undefined) throw new Error(`${this.options.id} is off`);
    return this.#meter;
  }

  async powerOn(): Promise<void> {
    const { id, gateway, onTariff, onEnd } = this.options;
    this.#storage = await FileStorage.open(this.files.storage);
    const storage = this.#watched(this.#storage);
    const [inner, outer] = createPair(id);
    const line: MeterLine = {
      write: (bytes, sent) => {
        this.#passed();
        const tick = this.clock.nowTicks();
        void inner.write(bytes).then(() => sent(tick));
      },
      onData: (listener) =>
        void inner.on('data', (bytes) => {
          this.#passed();
          listener(bytes, this.clock.nowTicks());
        }),
    };
    this.#meter = new SoftwareMeter({
      clock: this.clock,
      entropy: () => new Uint8Array(randomBytes(32)),
      storage,
      registers: simulatedRegisters(storage, () => Number(this.utcNs() / 1_000_000n)),
      line,
      buildUnixSeconds: releaseUnixSeconds,
      version,
      onTariff,
      onTrap: ({ error, restarted }) => {
        if (!restarted) onEnd(error.message);
      },
    });
    this.#session = gateway.addLink(outer);
    inner.start();
    this.clock.start();
    this.clock.fast = true;
    this.#meter.start();
  }

  async powerOff(): Promise<void> {
    this.clock.stop();
    await this.#meter?.stop();
    this.#meter = undefined;
    await this.#session?.stop();
    await this.#storage?.close();
    this.#storage = undefined;
  }

  #passed(): void {
    this.#lastMs = performance.now();
    this.#turns = 0;
  }

  /** Asked once in each turn. */
  #isBusy(): boolean {
    this.#turns++;
    const settles = this.#turns < settling.turns || performance.now() - this.#lastMs < settling.ms;
    return settles || this.#underWay > 0 || (this.#session?.sockets.tls ?? 0) > 0;
  }

  #watched(storage: FileStorage): MeterStorage {
    const during = async <T>(work: Promise<T>): Promise<T> => {
      this.#underWay++;
      try {
        return await work;
      } finally {
        this.#underWay--;
      }
    };
    return {
      bytes: storage.bytes,
      read: (offset, length) => during(storage.read(offset, length)),
      write: (offset, bytes) => during(storage.write(offset, bytes)),
    };
  }
}

function settingsOf({ id, startUtcSeconds }: FastMeterOptions, kePort: number): MeterSettings {
  return {
    ...settingsDefaults,
    id,
    servers: [{ host: 'localhost', port: kePort }],
    poll: { minSeconds: 4, maxSeconds: 16 },
    // Its gateway, whose seconds are longer, is heard when it acknowledges a report: at least every ten seconds.
    reportSeconds: 8,
    tariff: { ...tariffRulesDefaults, registrationMinutes: periodMinutes },
    calibration: {
      id: calibrationId,
      atUtc: utcText(startUtcSeconds - daySeconds),
      untilUtc: utcText(startUtcSeconds + 8 * 365 * daySeconds),
      uncertaintyPpb: 500,
    },
    registers: [{ obis: '1-0:1.8.0*255', scale: 0, unit: 30 }],
  };
}
