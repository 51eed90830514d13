// Links over serial ports (8N1, raw). The package is loaded when a serial link is first used: gateways without serial
// lines need none of its native code.
import { readdirSync, readlinkSync, realpathSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Duplex } from 'node:stream';
import type { SerialPort } from 'serialport';
import { errorText } from '../net/socket-error.ts';
import { DuplexTransport } from './duplex-transport.ts';
import { LinkError, type LinkTransport } from './transport.ts';

/** Opens a serial port, again and again when it goes away: adapters are unplugged. */
export function connectSerial(address: { readonly path: string; readonly baud: number }): LinkTransport {
  return new DuplexTransport({
    name: `serial:${address.path}?baud=${address.baud}`,
    connect: async () => {
      const { SerialPort } = await loadSerialPort();
      return new Promise<Duplex>((resolve, reject) => {
        const port = new SerialPort({ path: address.path, baudRate: address.baud, autoOpen: false });
        port.open((error) => {
          if (error) reject(new LinkError('link-serial', explain(address.path, error), { cause: error }));
          else resolve(port);
        });
      });
    },
    drain: (duplex) =>
      new Promise((resolve) => {
        (duplex as SerialPort).drain(() => resolve());
      }),
    // Destroying the stream leaves the port open and locked.
    release: (duplex) =>
      new Promise((resolve) => {
        const port = duplex as SerialPort;
        if (port.isOpen) port.close(() => resolve());
        else resolve();
      }),
  });
}

async function loadSerialPort(): Promise<typeof import('serialport')> {
  try {
    return await import('serialport');
  } catch (cause) {
    throw new LinkError(
      'link-serial',
      `serial ports need the package serialport and its native part for ${process.platform}-${process.arch}: ${errorText(cause)}`,
      { cause },
    );
  }
}

function explain(path: string, error: Error): string {
  const text = error.message;
  if (/permission denied/i.test(text))
    return `${path}: permission denied; add the user to the group of the port (dialout)`;
  if (/cannot lock/i.test(text)) return `${path}: another program has the port open`;
  if (/no such file/i.test(text)) return `${path}: no such port; is the adapter plugged in?`;
  return `${path}: ${text}`;
}

/** A serial port of this machine. */
export interface SerialPortInfo {
  readonly path: string;
  /** A name that stays when adapters are plugged in another order; undefined where there is none. */
  readonly stablePath: string | undefined;
  readonly manufacturer: string | undefined;
  readonly serialNumber: string | undefined;
}

/**
 * Lists serial ports. `serialport` asks udevadm on Linux; where that is missing (containers), the kernel's own list in
 * /sys is read, which knows no manufacturers.
 */
export async function listSerialPorts(): Promise<SerialPortInfo[]> {
  const stable = stablePaths();
  try {
    const { SerialPort } = await loadSerialPort();
    const ports = await SerialPort.list();
    return ports.map(({ path, manufacturer, serialNumber }) => ({
      path,
      stablePath: stable.get(path),
      manufacturer,
      serialNumber,
    }));
  } catch (error) {
    if (process.platform !== 'linux') throw error;
    return kernelPorts().map((path) => ({
      path,
      stablePath: stable.get(path),
      manufacturer: undefined,
      serialNumber: undefined,
    }));
  }
}

/** Ports with a device behind them; the four that a PC's driver makes up without any are left out. */
export function kernelPorts(sysfs = '/sys/class/tty'): string[] {
  return list(sysfs)
    .filter((name) => {
      try {
        return !basename(readlinkSync(join(sysfs, name, 'device'))).startsWith('serial8250');
      } catch {
        return false;
      }
    })
    .sort()
    .map((name) => `/dev/${name}`);
}

function stablePaths(folder = '/dev/serial/by-id'): Map<string, string> {
  return new Map(list(folder).map((name) => [realpathSync(join(folder, name)), join(folder, name)]));
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
