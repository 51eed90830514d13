// Which device a board is to be flashed through: the one that was named, else the only one that fits.
import type { FlashMethod } from '../build/flash-methods.ts';
import { FlashError } from './flash-error.ts';
import { listUsbDevices, type UsbDevice } from './usb-devices.ts';

/** What a method is to be pointed at. */
export interface FlashTarget {
  /** A serial port, where the method works over one or the device has one. */
  readonly port: string | undefined;
  readonly serial: string | undefined;
  readonly what: string;
}

/**
 * Finds the device for a method. `port` is a serial port (stm32flash), where gdb connects to (gdb; a serial port, HOST:PORT or
 * the path of a socket) or a device's serial number (the others).
 * Throws `FlashError` flash-no-device or flash-ambiguous, with what is there.
 */
export function findDevice(method: FlashMethod, port: string | undefined, devices = listUsbDevices()): FlashTarget {
  if (method.method === 'stm32flash') return findPort(method.usb, port, devices);
  if (method.method !== 'gdb') return findProbe(method, port, devices);
  if (port !== undefined) return { port, serial: undefined, what: port };
  const probe = findProbe(method, undefined, devices);
  if (probe.port !== undefined) return probe;
  throw new FlashError(
    'flash-no-device',
    `${probe.what} has no serial port that gdb could connect to; name one: --port /dev/ttyACM0`,
  );
}

function findPort(ids: readonly string[], port: string | undefined, devices: readonly UsbDevice[]): FlashTarget {
  if (port !== undefined) return { port, serial: undefined, what: port };
  const fitting = devices.filter(({ id }) => ids.length === 0 || ids.includes(id));
  const ports = fitting.flatMap((device) => device.ports.map((each) => ({ port: each, device })));
  const [only] = ports;
  if (only === undefined) {
    const wanted = ids.length === 0 ? 'no USB serial adapter' : `no serial adapter with USB id ${ids.join(' or ')}`;
    throw new FlashError(
      'flash-no-device',
      `${wanted} is plugged in; ${seen(devices)}. Name the port: --port /dev/ttyUSB0`,
    );
  }
  if (ports.length > 1) {
    const names = ports.map(({ port: each, device }) => `${each} (${device.name || device.id})`);
    throw new FlashError(
      'flash-ambiguous',
      `there are several serial ports: ${names.join(', ')}. Choose one: --port ${only.port}`,
    );
  }
  return { port: only.port, serial: only.device.serial, what: `${only.port} (${only.device.name || only.device.id})` };
}

function findProbe(
  { method, usb }: FlashMethod,
  serial: string | undefined,
  devices: readonly UsbDevice[],
): FlashTarget {
  const fitting = devices.filter((device) => usb.includes(device.id));
  const chosen = serial === undefined ? fitting : fitting.filter((device) => device.serial === serial);
  const [only] = chosen;
  if (only === undefined) {
    const wanted = serial === undefined ? usb.join(' or ') : `${usb.join(' or ')} and serial number ${serial}`;
    const rights = 'A device that lsusb shows and this does not is not there for this user or container';
    throw new FlashError(
      'flash-no-device',
      `${method} needs a device with USB id ${wanted}; ${seen(devices)}. ${rights}`,
    );
  }
  if (chosen.length > 1) {
    const names = chosen.map((device) => device.serial ?? '(without a serial number)');
    throw new FlashError(
      'flash-ambiguous',
      `${chosen.length} devices fit, with serial numbers ${names.join(', ')}. Choose one: --port SERIAL`,
    );
  }
  return { port: only.ports[0], serial: only.serial, what: `${only.name || only.id}` };
}

function seen(devices: readonly UsbDevice[]): string {
  if (devices.length === 0) return 'no USB device is there';
  return `there are ${devices.map(({ id, name }) => (name === '' ? id : `${id} (${name})`)).join(', ')}`;
}
