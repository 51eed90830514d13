// The drivers of firmware/drivers: what each is for and what a board's data say of its device.
//
// What always holds: a driver is described here once; its device's values reach the C file as macros, BOARD_<role>_<key>,
// so a new value needs no code but the driver's own. Addresses are hex text in JSON and numbers here.
import { z } from 'zod';

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

/** A serial line that carries the link's bytes (`uart_...` in firmware/platform/platform.h). */
export const uart = z.discriminatedUnion('driver', [
  z.strictObject({ driver: z.literal('cmsdk_uart'), base, receiveIrq: irq, transmitIrq: irq }),
  z.strictObject({ driver: z.literal('nrf51_uart'), base, irq, transmitPin: nrf51Pin, receivePin: nrf51Pin }),
  z.strictObject({
    driver: z.literal('ns16550'),
    base,
    registerStride: positive.describe('bytes from one register to the next'),
    inputHz: positive.describe('of the clock that the divisor divides'),
    irq,
  }),
  z.strictObject({ driver: z.literal('stellaris_uart'), ...stellaris, irq, ...stellarisPins }),
]);

/** Counts ticks or ends waits (`tick_...`). */
export const timer = z.discriminatedUnion('driver', [
  z.strictObject({ driver: z.literal('cmsdk_timer'), base, irq }),
  z.strictObject({ driver: z.literal('nrf51_timer'), base, irq }),
  z.strictObject({ driver: z.literal('clint'), base }),
  z.strictObject({ driver: z.literal('stellaris_counter'), base }),
  z.strictObject({ driver: z.literal('stellaris_gptm'), ...stellaris, irq }),
]);

/** Restarts a board that hangs (`watchdog_...`). */
export const watchdog = z.discriminatedUnion('driver', [
  z.strictObject({ driver: z.literal('cmsdk_watchdog'), base }),
  z.strictObject({ driver: z.literal('nrf51_wdt'), base }),
  z.strictObject({ driver: z.literal('stellaris_watchdog'), base, irq }),
]);

/** Watchdogs whose first expiry is the processor's NMI, served by `watchdog_on_expiry`. */
export const nmiWatchdogs: readonly string[] = ['cmsdk_watchdog'];

/** A bus with parts on it (firmware/drivers/i2c.h). */
export const i2c = z.discriminatedUnion('driver', [
  z.strictObject({ driver: z.literal('sbcon_i2c'), base }),
  z.strictObject({ driver: z.literal('stellaris_i2c'), ...stellaris, ...stellarisPins }),
]);

/** A source of random bits (`entropy_...`). */
export const entropy = z.discriminatedUnion('driver', [z.strictObject({ driver: z.literal('nrf51_rng'), base })]);

/** Brings interrupt lines to the processor, where the processor itself does not (`cpu_enable_interrupt`). */
export const interruptController = z.discriminatedUnion('driver', [
  z.strictObject({ driver: z.literal('plic'), base }),
]);

/** Resets the board, where the processor itself cannot (`cpu_reset_board`). */
export const reset = z.discriminatedUnion('driver', [z.strictObject({ driver: z.literal('sifive_test'), base })]);

/** Which function of a driver serves which of its device's interrupts, by the role that the device has. */
export const handlers = {
  uart: { receiveIrq: 'uart_on_receive', transmitIrq: 'uart_on_transmit', irq: 'uart_on_interrupt' },
  counter: { overflowIrq: 'tick_on_overflow' },
  alarm: { irq: 'tick_on_alarm' },
  watchdog: { irq: 'watchdog_on_expiry' },
} as const;
