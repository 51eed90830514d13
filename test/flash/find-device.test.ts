// Which device a board is flashed through, on trees as Linux's sysfs has them.
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { flashMethod } from '../../host/build/flash-methods.ts';
import { findDevice } from '../../host/flash/find-device.ts';
import { flashSteps } from '../../host/flash/flash.ts';
import { listUsbDevices } from '../../host/flash/usb-devices.ts';

let sysfs: string;
beforeEach(() => {
  sysfs = mkdtempSync(join(tmpdir(), 'mt-'));
});
afterEach(() => rmSync(sysfs, { recursive: true, force: true }));

interface Plugged {
  readonly at: string;
  readonly id: string;
  readonly product?: string;
  readonly serial?: string;
  readonly tty?: string;
  readonly deviceClass?: string;
}

function plug({ at, id, product, serial, tty, deviceClass = '00' }: Plugged): void {
  const real = join(sysfs, 'devices', 'pci0000:00', 'usb1', at);
  const own = join(real, `${at}:1.0`);
  mkdirSync(own, { recursive: true });
  const [vendor, number] = id.split(':');
  const texts = { idVendor: vendor, idProduct: number, bDeviceClass: deviceClass, product, serial };
  for (const [file, text] of Object.entries(texts)) {
    if (text !== undefined) writeFileSync(join(real, file), `${text}\n`);
  }
  mkdirSync(join(sysfs, 'bus', 'usb', 'devices'), { recursive: true });
  symlinkSync(real, join(sysfs, 'bus', 'usb', 'devices', at));
  if (tty === undefined) return;
  const class_ = join(sysfs, 'class', 'tty', tty);
  mkdirSync(class_, { recursive: true });
  symlinkSync(own, join(class_, 'device'));
}

const stlink = { at: '1-2', id: '0483:374b', product: 'STM32 STLink', serial: '066BFF', tty: 'ttyACM0' };
const adapter = { at: '1-3', id: '0403:6001', product: 'FT232R USB UART', serial: 'A900', tty: 'ttyUSB0' };
const openocd = flashMethod.parse({
  method: 'openocd',
  config: ['interface/stlink.cfg', 'target/stm32f4x.cfg'],
  usb: ['0483:374b'],
});
const serial = flashMethod.parse({ method: 'stm32flash' });

it('devices come with their names and ports; hubs are none', () => {
  plug(stlink);
  plug({ at: '1-1', id: '1d6b:0002', deviceClass: '09' });
  expect(listUsbDevices(sysfs)).toEqual([
    { id: '0483:374b', name: 'STM32 STLink', serial: '066BFF', ports: ['/dev/ttyACM0'] },
  ]);
  expect(listUsbDevices(join(sysfs, 'none'))).toEqual([]);
});

describe('a debug probe', () => {
  it('is found by its id, and told to the program by its serial number', () => {
    plug(stlink);
    plug(adapter);
    const target = findDevice(openocd, undefined, listUsbDevices(sysfs));
    expect(target).toEqual({ port: '/dev/ttyACM0', serial: '066BFF', what: 'STM32 STLink' });
    const [{ args } = { args: [] }] = flashSteps(
      openocd,
      target,
      { elfPath: 'a.elf', binPath: 'a.bin', origin: 0 },
      '',
    );
    expect(args.join(' ')).toBe(
      '-f interface/stlink.cfg -f target/stm32f4x.cfg -c adapter serial 066BFF -c program {a.elf} verify reset exit',
    );
  });

  it('that is not there is asked for, with what is there', () => {
    plug(adapter);
    const find = () => findDevice(openocd, undefined, listUsbDevices(sysfs));
    expect(find).toThrow(/openocd needs a device with USB id 0483:374b; there are 0403:6001 \(FT232R USB UART\)/);
  });

  it('of two, one has to be chosen', () => {
    plug(stlink);
    plug({ ...stlink, at: '1-4', serial: '077CAA', tty: 'ttyACM1' });
    const devices = listUsbDevices(sysfs);
    expect(() => findDevice(openocd, undefined, devices)).toThrow(/066BFF, 077CAA. Choose one: --port SERIAL/);
    expect(findDevice(openocd, '077CAA', devices)).toMatchObject({ port: '/dev/ttyACM1' });
    expect(() => findDevice(openocd, '1', devices)).toThrow(/and serial number 1/);
  });
});

describe('a serial port', () => {
  it('is the one that is named, else the only one', () => {
    expect(findDevice(serial, '/dev/ttyS3', [])).toMatchObject({ port: '/dev/ttyS3' });
    plug(adapter);
    expect(findDevice(serial, undefined, listUsbDevices(sysfs))).toMatchObject({
      port: '/dev/ttyUSB0',
      what: '/dev/ttyUSB0 (FT232R USB UART)',
    });
  });

  it('of none or several, it is said what to do', () => {
    const find = () => findDevice(serial, undefined, listUsbDevices(sysfs));
    expect(find).toThrow(/no USB serial adapter is plugged in; no USB device is there. Name the port: --port/);
    plug(stlink);
    plug(adapter);
    expect(find).toThrow(/\/dev\/ttyACM0 \(STM32 STLink\), \/dev\/ttyUSB0 \(FT232R USB UART\). Choose one/);
  });
});
