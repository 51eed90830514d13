// Linker script of a board, from its memory regions and stack size.
//
// What always holds: the stack lies at the bottom of RAM, where running out of it faults; .noinit keeps its contents
// over a reset; the image has no gaps from image_start to image_end, so that its hash is that of the BIN file; no
// section takes an address or order from anything but this script and the sorted list of objects.
import type { Board } from './board.ts';

/**
 * Room below the lowest stack address at which a function of the core may begin: its own frame is above it already, so
 * this is for helpers of the compiler, the trap itself and interrupts. The build compares it with what those can use.
 */
export const stackReserveBytes = 640;

/** The script as text. */
export function linkerScript(board: Board): string {
  const { flash, ram } = board.memory;
  // Where the processor does not set the stack itself, that comes first.
  const entry = board.exceptions.handler === undefined ? 'startup_on_reset' : 'startup_enter';
  return `ENTRY(${entry})

MEMORY {
  FLASH (rx) : ORIGIN = 0x${flash.origin.toString(16)}, LENGTH = ${flash.bytes}
  RAM (rwx) : ORIGIN = 0x${ram.origin.toString(16)}, LENGTH = ${ram.bytes}
}

SECTIONS {
  .text : {
    image_start = .;
    KEEP(*(.vectors))
    *(.text .text.*)
    . = ALIGN(4);
    *(.rodata .rodata.*)
    . = ALIGN(8);
  } > FLASH

  .stack (NOLOAD) : {
    stack_bottom = .;
    . += ${board.stackBytes};
    stack_top = .;
  } > RAM
  wasm_stack_floor = stack_bottom + ${stackReserveBytes};

  .data : {
    data_start = .;
    *(.data .data.*)
    . = ALIGN(4);
    data_end = .;
  } > RAM AT > FLASH
  data_image = LOADADDR(.data);
  image_end = data_image + SIZEOF(.data);

  .bss (NOLOAD) : {
    bss_start = .;
    *(.bss .bss.* COMMON)
    . = ALIGN(8);
    bss_end = .;
  } > RAM

  .noinit (NOLOAD) : {
    *(.noinit .noinit.*)
  } > RAM

  /DISCARD/ : {
    *(.ARM.exidx .ARM.exidx.*)
    *(.eh_frame)
    *(.note.* .comment)
  }
}
`;
}
