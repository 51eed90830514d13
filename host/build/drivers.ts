// The drivers of firmware/drivers: what each is for and what a board's data say of its device.
//
// What always holds: a driver is described here once; its device's values reach the C file as macros, BOARD_<role>_<key>,
// so a new value needs no code but the driver's own. Addresses are hex text in JSON and numbers here.
import { z } from 'zod';
import { maxStorageBytes } from '../provision/storage-file.ts';

/** A 32-bit address, or one on a bus. */
export const address = z
  .string()
  .regex(/^0x[0-9a-fA-F]{1,8}$/, 'a hex number such as 0x40004000')
  .transform((text) => Number.parseInt(text, 16));
export const positive = z.number().int().positive();
const irq = z.number().int().min(0).max(239).describe('line of the interrupt controller');
const base = address.describe('of its registers');
const stellaris = {
  base,
  gate: z.number().int().min(0).max(31).describe('bit of RCGC1'),
};
const stellarisPins = {
  port: z.number().int().min(0).max(6).describe('0 for A to 6 for G'),
  firstPin: z.number().int().min(0).max(6).describe('the lower one of its two'),
};
const nrf51Pin = z.number().int().min(0).max(31).describe('of the port');
const inputHz = positive.describe('of the clock that it divides');
const stm32Pin = z
  .string()
  .regex(/^P[A-I]([0-9]|1[0-5])$/, 'a pin such as PA9')
  .transform((text) => (text.charCodeAt(1) - 65) * 16 + Number(text.slice(2)));
const stm32Usart = { base, inputHz, transmitPin: stm32Pin, receivePin: stm32Pin };
/** CMSIS counts the processor's own exceptions below 0. */
const systickIrq = z.literal(-1);

/** A serial line that carries the link's bytes (`uart_...` in firmware/platform/platform.h). */
export const uart = z.discriminatedUnion('driver', [
  z.strictObject({ driver: z.literal('cmsdk_uart'), base, receiveIrq: irq, transmitIrq: irq }),
  z.strictObject({ driver: z.literal('nrf51_uart'), base, irq, transmitPin: nrf51Pin, receivePin: nrf51Pin }),
  z.strictObject({
    driver: z.literal('ns16550'),
    base,
    registerStride: positive.describe('bytes from one register to the next'),
    inputHz,
    irq,
  }),
  z.strictObject({ driver: z.literal('stellaris_uart'), ...stellaris, irq, ...stellarisPins }),
  z.strictObject({ driver: z.literal('stm32_usart'), ...stm32Usart, irq }),
  z.strictObject({ driver: z.literal('posix_line') }).describe('a socket, pseudo terminal or serial device'),
]);

/** Counts ticks or ends waits (`tick_...`). */
export const timer = z.discriminatedUnion('driver', [
  z.strictObject({ driver: z.literal('cmsdk_timer'), base, irq }),
  z.strictObject({ driver: z.literal('nrf51_timer'), base, irq }),
  z.strictObject({ driver: z.literal('clint'), base }),
  z.strictObject({ driver: z.literal('stellaris_counter'), base }),
  z.strictObject({ driver: z.literal('stellaris_gptm'), ...stellaris, irq }),
  z.strictObject({ driver: z.literal('stm32_timer'), base, inputHz }).describe('counts only'),
  z.strictObject({ driver: z.literal('systick_alarm'), inputHz, irq: systickIrq }).describe('ends waits only'),
  z.strictObject({ driver: z.literal('posix_timer') }),
]);

/** Restarts a board that hangs (`watchdog_...`). */
export const watchdog = z.discriminatedUnion('driver', [
  z.strictObject({ driver: z.literal('cmsdk_watchdog'), base }),
  z.strictObject({ driver: z.literal('nrf51_wdt'), base }),
  z.strictObject({ driver: z.literal('stellaris_watchdog'), base, irq }),
  z.strictObject({ driver: z.literal('stm32_iwdg'), base }),
  z.strictObject({ driver: z.literal('posix_watchdog') }).describe('counts the time of the processor'),
]);

/** Watchdogs whose first expiry is the processor's NMI, served by `watchdog_on_expiry`. */
export const nmiWatchdogs: readonly string[] = ['cmsdk_watchdog'];

/** A bus with parts on it (firmware/drivers/i2c.h). */
export const i2c = z.discriminatedUnion('driver', [
  z.strictObject({ driver: z.literal('sbcon_i2c'), base }),
  z.strictObject({ driver: z.literal('stellaris_i2c'), ...stellaris, ...stellarisPins }),
  z.strictObject({
    driver: z.literal('sc18im700'),
    port: z.enum(['stm32_serial']).describe('driver of the serial port that the bridge is on'),
    ...stm32Usart,
    irq,
    readBytes: positive.max(16).describe('that one transfer reads at most'),
  }),
]);

/** A source of random bits (`entropy_...`). */
export const entropy = z.discriminatedUnion('driver', [
  z.strictObject({ driver: z.literal('nrf51_rng'), base }),
  z.strictObject({ driver: z.literal('posix_entropy') }),
]);

/** Brings interrupt lines to the processor, where the processor itself does not (`cpu_enable_interrupt`). */
export const interruptController = z.discriminatedUnion('driver', [
  z.strictObject({ driver: z.literal('plic'), base }),
]);

/** Resets the board, where the processor itself cannot (`cpu_reset_board`). */
export const reset = z.discriminatedUnion('driver', [z.strictObject({ driver: z.literal('sifive_test'), base })]);

/** A real-time clock on I2C (`rtc_...`). */
export const rtc = z.strictObject({ driver: z.literal('ds1338'), address });

/** A thermometer on I2C (`thermometer_...`). */
export const thermometer = z.strictObject({ driver: z.literal('tmp105'), address });

/** What the core keeps in the storage begins at multiples of this (`StorageMap`). */
const pageUnit = 64;

/** Parts of 64 KiB at most on I2C, at addresses in a row. */
export const eeprom = z.strictObject({
  driver: z.literal('at24c'),
  address,
  bytes: positive.max(maxStorageBytes).describe('above 65,536: parts of 64 KiB at addresses in a row'),
  pageBytes: positive
    .refine((bytes) => pageUnit % bytes === 0, {
      error: ({ input }) =>
        `expected a power of two up to ${pageUnit}, got ${input}: what power cuts off while a page is written must not be ` +
        'part of anything else that the core keeps, which begins every 64 bytes. Take a part with smaller pages; where ' +
        'it has none, as FRAM, any of these',
    })
    .describe('what one write takes at most; of what the core keeps, none share a page'),
  writeCycleMs: z.number().int().min(0).describe('0 for a part that is ready at once, as FRAM'),
});

/** A log of pages in flash that is erased in units (docs/storage.md). */
export const flashStore = z.strictObject({
  driver: z.literal('flash_store'),
  device: z.enum(['nrf51_nvmc', 'cfi_nor']).describe('what reaches the flash'),
  base: address.describe('where the units are in the address space'),
  bytes: positive.max(maxStorageBytes).multipleOf(pageUnit).describe('what the core may use'),
  units: positive.min(4).describe('that are erased one at a time'),
  unitBytes: positive,
  programBytes: positive.describe('what is programmed at once'),
});

/** A file of a process. */
export const storageFile = z.strictObject({
  driver: z.literal('posix_file'),
  bytes: positive.max(maxStorageBytes).multipleOf(pageUnit),
});

/** Sockets of the board's own (`datagram_...`). */
export const datagrams = z.discriminatedUnion('driver', [z.strictObject({ driver: z.literal('posix_udp') })]);

/** Which function of a driver serves which of its device's interrupts, by the role that the device has. */
export const handlers = {
  uart: { receiveIrq: 'uart_on_receive', transmitIrq: 'uart_on_transmit', irq: 'uart_on_interrupt' },
  alarm: { irq: 'tick_on_alarm' },
  i2c: { irq: 'serial_on_interrupt' },
  watchdog: { irq: 'watchdog_on_expiry' },
} as const;
