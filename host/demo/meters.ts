// The demo's meters: the firmware on emulated microcontrollers, or, where compiler or emulator are missing, the same core
// in this process. Each has its storage in a file, provisioned as `metertime provision` does.
import { join } from 'node:path';
import { debianTool } from '../../scripts/debian.mjs';
import { type BuildReport, buildFirmware, loadBoard, startEmulator } from '../build/index.ts';
import { linkMeter } from '../cli/linked-meter.ts';
import type { Gateway } from '../gateway/gateway.ts';
import type { MeterSession } from '../gateway/meter-session.ts';
import { connectSocket } from '../link/socket-transport.ts';
import { SoftwareRtc } from '../meter/parts.ts';
import { FileStorage } from '../meter/storage.ts';
import { settingsDefaults } from '../provision/settings-block.ts';
import { provisionStorage } from '../provision/storage-file.ts';

export const boardName = 'mps2-an385';
/** Questions come often enough that nobody has to wait long for the next one. */
export const poll = { minSeconds: 4, maxSeconds: 8 } as const;

export interface PowerOnOptions {
  readonly gateway: Gateway;
  /** Given the gateway's end of the meter's line, before anything comes over it. */
  readonly onSession: (session: MeterSession) => void;
  /** Told when the meter ends by itself. */
  readonly onEnd: (reason: string) => void;
}

/** One meter of the demo, off until `powerOn`. */
export interface DemoMeter {
  readonly id: string;
  /** What its real-time clock says at power-on; the right time unless given. */
  readonly rtcStart: Date | undefined;
  /** Switches it on and plugs its line into the gateway; resolves when it runs. */
  powerOn(options: PowerOnOptions): Promise<void>;
  powerOff(): Promise<void>;
}

/** What the demo shows as meters: firmware, or why not. */
export type MeterKind = { readonly emulated: true } | { readonly emulated: false; readonly reason: string };

/** Whether firmware can be built and emulated here. */
export function meterKind(env: Readonly<Record<string, string | undefined>>): MeterKind {
  if ((env.METERTIME_NO_EMULATOR ?? '') !== '') return { emulated: false, reason: 'METERTIME_NO_EMULATOR is set' };
  for (const name of ['arm-none-eabi-gcc', 'arm-none-eabi-objcopy', 'qemu-system-arm']) {
    if (!debianTool(name).ok) return { emulated: false, reason: `${name} is not on this machine` };
  }
  return { emulated: true };
}

export function buildMeterFirmware(signal: AbortSignal): Promise<BuildReport> {
  return buildFirmware({ board: boardName, signal });
}

export interface MeterOptions {
  readonly id: string;
  /** For its storage and its line. */
  readonly folder: string;
  /** Port of the NTS-KE server on localhost. */
  readonly kePort: number;
  readonly rtcStart?: Date;
  /** The firmware; a meter in software without it. */
  readonly image?: string;
}

/** Provisions a meter; it is off. */
export function makeMeter(options: MeterOptions): DemoMeter {
  const { id, folder, kePort, image } = options;
  const storageFile = join(folder, `${id}.eeprom`);
  provisionStorage(
    storageFile,
    { ...settingsDefaults, id, servers: [{ host: 'localhost', port: kePort }], poll },
    { bytes: loadBoard(boardName).storage.bytes },
  );
  return image === undefined ? softwareMeter(options, storageFile) : emulatedMeter(options, storageFile, image);
}

function emulatedMeter({ id, folder, rtcStart }: MeterOptions, storageFile: string, image: string): DemoMeter {
  let stop = async () => {};
  return {
    id,
    rtcStart,
    async powerOn({ gateway, onSession, onEnd }) {
      const link = join(folder, `${id}.sock`);
      const emulator = await startEmulator({
        board: boardName,
        image,
        link,
        storageFile,
        ...(rtcStart === undefined ? {} : { rtcBase: rtcStart.toISOString().slice(0, 19) }),
      });
      let off = false;
      stop = async () => {
        off = true;
        await emulator.stop();
      };
      void emulator.exit.then(({ code, signal }) => {
        if (!off) onEnd(`the emulator ended (${signal ?? `exit code ${code}`})\n${emulator.logTail()}`.trimEnd());
      });
      onSession(gateway.addLink(connectSocket({ path: link })));
    },
    powerOff: () => stop(),
  };
}

function softwareMeter({ id, rtcStart }: MeterOptions, storageFile: string): DemoMeter {
  let stop = async () => {};
  return {
    id,
    rtcStart,
    async powerOn({ gateway, onSession, onEnd }) {
      const storage = await FileStorage.open(storageFile);
      const counterNs = () => process.hrtime.bigint();
      const linked = linkMeter(gateway, id, {
        storage,
        rtc: new SoftwareRtc(counterNs, BigInt((rtcStart ?? new Date()).getTime()) * 1_000_000n),
        onTrap: ({ error, restarted }) => {
          if (!restarted) onEnd(error.message);
        },
      });
      stop = async () => {
        await linked.stop();
        await storage.close();
      };
      onSession(linked.session);
      linked.start();
    },
    powerOff: () => stop(),
  };
}
