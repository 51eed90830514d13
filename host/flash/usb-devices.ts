// USB devices of this machine with their serial ports, as Linux's sysfs tells them.
import { readdirSync, readFileSync, realpathSync } from 'node:fs';
import { join } from 'node:path';

/** A USB device. */
export interface UsbDevice {
  /** Vendor and product, four hex digits each: 0483:374b. */
  readonly id: string;
  readonly name: string;
  readonly serial: string | undefined;
  /** Its serial ports, such as /dev/ttyACM0. */
  readonly ports: readonly string[];
}

/** All USB devices, hubs left out. Empty where there is no sysfs. */
export function listUsbDevices(sysfs = '/sys'): UsbDevice[] {
  const folder = join(sysfs, 'bus', 'usb', 'devices');
  const ports = serialPorts(sysfs);
  return entries(folder).flatMap((entry) => {
    const path = join(folder, entry);
    const [vendor, product] = [text(path, 'idVendor'), text(path, 'idProduct')];
    // 09 is the class of hubs.
    if (vendor === undefined || product === undefined || text(path, 'bDeviceClass') === '09') return [];
    const real = realpathSync(path);
    const own = ports.filter(({ device }) => device.startsWith(`${real}/`)).map(({ name }) => `/dev/${name}`);
    const name = [text(path, 'manufacturer'), text(path, 'product')].filter(Boolean).join(' ');
    return [{ id: `${vendor}:${product}`, name, serial: text(path, 'serial'), ports: own.sort() }];
  });
}

// A port's `device` is a link into the folder of the USB interface that it belongs to.
function serialPorts(sysfs: string): { name: string; device: string }[] {
  const folder = join(sysfs, 'class', 'tty');
  return entries(folder).flatMap((name) => {
    try {
      return [{ name, device: realpathSync(join(folder, name, 'device')) }];
    } catch {
      return [];
    }
  });
}

function entries(folder: string): string[] {
  try {
    return readdirSync(folder).sort();
  } catch {
    return [];
  }
}

function text(folder: string, file: string): string | undefined {
  try {
    return readFileSync(join(folder, file), 'utf8').trim();
  } catch {
    return undefined;
  }
}
