// Links over serial ports (8N1, raw). The package is loaded when a serial link is first used: gateways without serial
// lines need none of its native code.
import { read, readdirSync, readlinkSync, realpathSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Duplex } from 'node:stream';
import { promisify } from 'node:util';
import type { SerialPort } from 'serialport';
import { errorText } from '../net/socket-error.ts';
import { DuplexTransport } from './duplex-transport.ts';
import { LinkError, type LinkTransport } from './transport.ts';

/** Opens a serial port, again and again when it goes away: adapters are unplugged. */
export function connectSerial(address: { readonly path: string; readonly baud: number }): LinkTransport {
  return new DuplexTransport({
    name: `serial:${address.path}?baud=${address.baud}`,
    // Start, eight bits, stop.
    byteNs: 10e9 / address.baud,
    connect: async () => {
      const { SerialPort } = await loadSerialPort();
      return new Promise<Duplex>((resolve, reject) => {
        const port = new SerialPort({ path: address.path, baudRate: address.baud, autoOpen: false });
        port.open((error) => {
          if (error) reject(new LinkError('link-serial', explain(address.path, error), { cause: error }));
          else {
            endAtHangup(port);
            resolve(port);
          }
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

const readBytes = promisify(read);

/** What the package's ports on Linux and macOS have besides the interface of all systems. */
interface UnixPort {
  fd: number | null;
  readonly poller: { once(event: 'readable', callback: (error: Error | null) => void): unknown };
}

/**
 * Makes a port that is gone an error. Its reads give no bytes from then on; the package's own reading would try again
 * at once and for ever, and the port would never be closed.
 */
function endAtHangup({ port }: SerialPort): void {
  if (!port || !('poller' in port)) return;
  const unix: UnixPort = port;
  port.read = async (buffer: Buffer, offset: number, length: number) => {
    while (unix.fd !== null) {
      try {
        const { bytesRead } = await readBytes(unix.fd, buffer, offset, length, null);
        if (bytesRead === 0) throw new Error('the port is gone');
        return { buffer, bytesRead };
      } catch (error) {
        if (!['EAGAIN', 'EINTR'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
      }
      // Closed meanwhile, its poller is destroyed, and calling that would end the process.
      if (unix.fd === null) break;
      await new Promise<void>((resolve, reject) => {
        unix.poller.once('readable', (error) => (error ? reject(error) : resolve()));
      });
    }
    throw Object.assign(new Error('the port is closed'), { canceled: true });
  };
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
