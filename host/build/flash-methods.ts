// How a board's image gets into its flash: what its data say, for the programs of the field.
// What always holds: the first method is the one that is taken where nothing else is asked for.
import { z } from 'zod';

const usbId = z
  .string()
  .regex(/^[0-9a-f]{4}:[0-9a-f]{4}$/, 'vendor and product, such as 0483:374b')
  .describe('as lsusb prints it');

/** One way to flash a board. */
export const flashMethod = z.discriminatedUnion('method', [
  z.strictObject({
    method: z.literal('openocd'),
    config: z.array(z.string()).min(1).describe("files of OpenOCD's scripts: interface, then target; or a board's"),
    usb: z.array(usbId).describe('the debug probes that these files serve'),
  }),
  z.strictObject({ method: z.literal('st-flash'), usb: z.array(usbId) }),
  z.strictObject({
    method: z.literal('dfu-util'),
    usb: z.array(usbId).length(1).describe('of the chip in its boot loader'),
    alternate: z.number().int().min(0).default(0).describe('interface setting of the flash'),
  }),
  z.strictObject({
    method: z.literal('stm32flash'),
    usb: z.array(usbId).default([]).describe('serial adapters to look for; none: any'),
    baud: z.number().int().positive().default(115_200),
    mode: z.enum(['8e1', '8n1']).default('8e1').describe('the boot loader of the chips wants even parity'),
  }),
  z.strictObject({
    method: z.literal('gdb'),
    usb: z
      .array(usbId)
      .describe("debug probes that speak gdb's remote protocol themselves, such as a Black Magic Probe"),
    attach: z.array(z.string()).default([]).describe('what gdb is told to find the chip, such as attach 1'),
    reset: z.array(z.string()).min(1).describe('and what starts the firmware, such as monitor reset run'),
  }),
]);

/** How a board's emulator gets its image: as a chip does over a probe. */
export const emulatorMethod = flashMethod.parse({ method: 'gdb', usb: [], reset: ['monitor system_reset'] });

/** A way to flash a board, with everything it needs to know. */
export type FlashMethod = z.output<typeof flashMethod>;
